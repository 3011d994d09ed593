import HTTPServer
import StockFormats
import StockModel

/// The native API under `/v1`: jobs, items, notifications and subscriptions of the token's stores. Errors are problem documents.
package struct NativeAPI: VendorAPI {
    package let prefixes = ["/v1"]
    package let errorStyle: ErrorStyle = { Problem($0).response }
    let settings: VendorSettings

    package init(_ settings: VendorSettings) { self.settings = settings }

    /// All operations, in the order of the document.
    static let operations: [NativeOperation] =
        JobOperations.all + ItemOperations.all + NotificationOperations.all + AlertOperations.all
        + SubscriptionOperations.all + PublicOperations.all

    package var routes: [VendorRoute] { Self.operations.map(route) }

    private func route(_ operation: NativeOperation) -> VendorRoute {
        VendorRoute(
            operation.method, PathPattern(operation.path),
            bodyBytesMax: bodyBytesMax(operation),
            check: { head in
                if !operation.isPublic { _ = try NativeInput.credential(head) }
                if operation.body != nil { try Self.requireJSON(head) }
            },
            plan: { request, path in
                if operation.isPublic { return try operation.publicPlan(path) }
                return try plan(operation, request, path)
            })
    }

    /// Some clients send an empty object where no body is expected.
    private func bodyBytesMax(_ operation: NativeOperation) -> Int {
        operation.body != nil ? settings.bodyBytesMax : operation.method == .post ? 1_024 : 0
    }

    private func plan(
        _ operation: NativeOperation, _ request: Request, _ path: PathParameters
    ) throws(Problem) -> CallPlan {
        let requestID = RequestID.of(request.head)
        let input = try NativeInput(request, path, scopes: operation.scopes, settings, requestID: requestID)
        var plan: CallPlan
        do throws(Problem) {
            try input.requireParameters(operation.queryNames)
            if operation.body == nil { try input.requireNoBody() }
            plan = try operation.plan(input)
        } catch {
            plan = input.reporting(error)
        }
        plan.addField("Request-Id", requestID)
        return plan
    }

    private static func requireJSON(_ head: RequestHead) throws {
        if let type = head.mediaType, type != "application/json", !type.hasSuffix("+json") {
            throw HTTPFailure(.unsupportedMediaType, "The body must be JSON, with Content-Type: application/json")
        }
        try head.requirePlainBody()
    }

    /// The description of the API.
    package static let document: [UInt8] = OpenAPIDocument.json(operations)
}

/// The operations that need no token.
enum PublicOperations {
    static let all = [document, problem]

    private static let document = NativeOperation(
        id: "getDocument", method: .get, path: "/v1/openapi.json", summary: "This document",
        answers: [.init(200, "The document.", nil)], publicPlan: { _ in .respond(.json(.ok, NativeAPI.document)) })

    private static let problem = NativeOperation(
        id: "getProblem", method: .get, path: "/v1/problems/{problem}", summary: "What a type of problems means",
        answers: [.init(200, "The type, as a problem document without an occurrence.", "Problem")],
        publicPlan: { path throws(Problem) in
            guard let type = ProblemType(rawValue: path["problem"]) else {
                throw Problem(.notFound, "There is no such type of problems.")
            }
            return .respond(.json(.ok, Problem(type).response.body))
        })
}

extension CallPlan {
    /// Adds a field to the answer, whatever it will be.
    mutating func addField(_ name: String, _ value: String) {
        @Sendable func adding(_ response: Response) -> Response {
            var response = response
            response.fields.add(name, value)
            return response
        }
        switch self {
        case .respond(let response): self = .respond(adding(response))
        case .submit(let call, let write): self = .submit(call) { adding(write($0)) }
        case .native(let query, let write): self = .native(query) { adding(write($0)) }
        case .dryRun(let call, let write): self = .dryRun(call) { adding(write($0)) }
        case .events(let query, let head, let write): self = .events(query, adding(head)) { adding(write($0)) }
        case .access, .stock, .levels, .history, .item, .token, .batch, .ticket:
            preconditionFailure("no plan of the native API")
        }
    }
}
