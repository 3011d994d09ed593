/// The routes of an application, with the style of its errors by path, as the handler of a server.
///
/// ```swift
/// var routes = RouteTable()
/// routes.setErrorStyle(under: "/v2", elasticPathErrors)
/// routes.add(.post, "/v2/inventories/{id}/transactions") { call in
///     guard let id = call.path.value("id", as: UUID.self) else { throw HTTPFailure(.notFound, "…") }
///     transactions.enqueue(id, call.request.body) { call.respond($0) }
/// }
/// ```
package struct RouteTable: RequestHandler {
    /// Answers now or later, or throws an error, which becomes the answer.
    package typealias Action = @Sendable (Call) throws -> Void
    /// Decides by the head alone whether the request can succeed, before its body is read; throws if not.
    package typealias Check = @Sendable (RequestHead, PathParameters) throws -> Void

    struct Route: Sendable {
        var bodyBytesMax: Int?
        var check: Check?
        var action: Action
    }

    private var router = Router<Route>()
    private var styles: [(prefix: [UInt8], style: ErrorStyle)] = []
    /// nil: browsers may not call the server from pages of other origins.
    package var cors: CORSPolicy?
    /// Called after all requests that arrived together have been handed over.
    package var onBurstEnded: @Sendable () -> Void = {}

    package init() {}

    /// Adds a route.
    ///
    /// - Parameters:
    ///   - bodyBytesMax: nil for the server's limit.
    ///   - check: runs when the head is complete. A client that waits for `100 Continue` then sends no body for nothing.
    package mutating func add(
        _ method: HTTPMethod, _ pattern: PathPattern, coding: PercentCoding = .uri, bodyBytesMax: Int? = nil,
        check: Check? = nil, _ action: @escaping Action
    ) {
        router.add(method, pattern, coding: coding, Route(bodyBytesMax: bodyBytesMax, check: check, action: action))
    }

    /// Errors of paths that begin with these segments are written by `style`; the longest prefix counts. `/` is for all.
    package mutating func setErrorStyle(under prefix: String, _ style: @escaping ErrorStyle) {
        styles.append((Self.canonical(prefix.utf8), style))
        styles.sort { $0.prefix.count > $1.prefix.count }
    }

    // MARK: the server's calls

    package func admit(_ head: RequestHead) -> Admission {
        if head.method.isOptions { return .answer(options(head), closes: false) }
        switch router.match(head.method, head.path) {
        case .found(let route, let parameters):
            do {
                try route.check?(head, parameters)
                return .read(bodyBytesMax: route.bodyBytesMax)
            } catch {
                return .answer(response(to: error, head), closes: false)
            }
        case .methodNotAllowed(let methods):
            if case .other = head.method { return failure(.notImplemented, "The method is not known.", head) }
            let fields = ResponseFields().adding("Allow", Self.list(methods))
            return failure(.methodNotAllowed, "The path has other methods: \(Self.list(methods)).", head, fields)
        case .notFound:
            if case .other = head.method { return failure(.notImplemented, "The method is not known.", head) }
            return failure(.notFound, "There is nothing at this path.", head)
        case .malformed:
            return failure(.badRequest, "The path is not percent-encoded UTF-8.", head)
        }
    }

    package func handle(_ request: Request, _ responder: Responder) {
        guard case .found(let route, let parameters) = router.match(request.head.method, request.head.path) else {
            preconditionFailure("the head was admitted")
        }
        let call = Call(request: request, path: parameters, responder: responder, table: self)
        do {
            try route.action(call)
        } catch {
            responder.answer(response(to: error, request.head))
        }
    }

    package func response(to fault: RequestFault, _ context: FaultContext) -> Response {
        let failure = HTTPFailure(fault.status, fault.reason)
        let path = context.head?.path ?? Self.path(ofTarget: context.target ?? "")
        return decorated(style(path)(failure), context.head)
    }

    package func burstEnded() { onBurstEnded() }

    // MARK: answers

    /// The answer to an error that an action threw or reports later. An error without an answer of its own is a 500.
    package func response(to error: any Error, _ head: RequestHead) -> Response {
        let failure: any ResponseError =
            error as? any ResponseError ?? HTTPFailure(.internalServerError, "The server has a fault.")
        return decorated(failure.response(style(head.path)), head)
    }

    private func failure(
        _ status: HTTPStatus, _ message: String, _ head: RequestHead, _ fields: ResponseFields = ResponseFields()
    ) -> Admission {
        .answer(response(to: HTTPFailure(status, message, fields: fields), head), closes: false)
    }

    private func options(_ head: RequestHead) -> Response {
        var response = Response(.noContent)
        if head.isServerWide {
            response.fields.add("Allow", Self.list(Self.serverMethods))
            return response
        }
        let methods: [HTTPMethod]
        switch router.match(.options, head.path) {
        case .methodNotAllowed(let allowed): methods = allowed
        case .malformed, .found, .notFound:
            return self.response(to: HTTPFailure(.notFound, "There is nothing at this path."), head)
        }
        response.fields.add("Allow", Self.list(methods))
        cors?.decoratePreflight(&response, head, methods)
        return decorated(response, head)
    }

    func decorated(_ response: Response, _ head: RequestHead?) -> Response {
        guard let cors, let head else { return response }
        var response = response
        cors.decorate(&response, head)
        return response
    }

    private static let serverMethods: [HTTPMethod] = [.delete, .get, .head, .options, .patch, .post, .put]

    private static func list(_ methods: [HTTPMethod]) -> String { methods.map(\.description).joined(separator: ", ") }

    private func style(_ path: ArraySlice<UInt8>) -> ErrorStyle {
        let path = Self.canonical(path)
        return styles.first { path.starts(with: $0.prefix) }?.style ?? HTTPFailure.plainText
    }

    /// Of a target that may be incomplete: a path, or a URI with a host before it.
    private static func path(ofTarget target: String) -> ArraySlice<UInt8> {
        let path = Array(target.utf8).prefix { $0 != UInt8(ascii: "?") }
        guard path.first != UInt8(ascii: "/"), target.contains("://") else { return path }
        return path.split(separator: UInt8(ascii: "/"), maxSplits: 2).last ?? []
    }

    /// `/a/b/` without empty segments, so that prefixes are compared by whole segments.
    private static func canonical(_ path: some Collection<UInt8>) -> [UInt8] {
        path.split(separator: UInt8(ascii: "/")).reduce(into: [UInt8(ascii: "/")]) { $0 += $1 + [UInt8(ascii: "/")] }
    }
}

/// One request that a route handles.
package struct Call: Sendable {
    package let request: Request
    package let path: PathParameters
    package let responder: Responder
    private let table: RouteTable

    init(request: Request, path: PathParameters, responder: Responder, table: RouteTable) {
        (self.request, self.path, self.responder, self.table) = (request, path, responder, table)
    }

    /// Answers the request.
    package func respond(_ response: Response) { responder.answer(table.decorated(response, request.head)) }

    /// Answers with an error that came up after the action returned.
    package func fail(_ error: any Error) { responder.answer(table.response(to: error, request.head)) }

    /// Begins an answer whose body is written piece by piece; nil if the request has an answer.
    package func stream(_ response: Response) -> BodyWriter? {
        responder.stream(table.decorated(response, request.head))
    }
}
