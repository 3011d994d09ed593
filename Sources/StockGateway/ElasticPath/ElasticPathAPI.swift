import HTTPServer
import StockFormats
import StockModel

/// Elastic Path's (formerly Moltin's) calls: tokens, stock transactions, stock.
///
/// The store is that of the token. Facts that shaped it: every error has an `errors` array (see `ElasticPathError`), a
/// wrong token is 401, which makes clients authenticate again, and a slash too many in a path is common.
package struct ElasticPathAPI: VendorAPI {
    package let prefixes = ["/v2", "/oauth", "/pcm"]
    package let errorStyle: ErrorStyle = { ElasticPathError($0).response(.basic) }
    let settings: VendorSettings

    package init(_ settings: VendorSettings) { self.settings = settings }

    package var routes: [VendorRoute] { tokenRoutes + transactionRoutes + stockRoutes }

    // MARK: tokens

    private var tokenRoutes: [VendorRoute] {
        let paths: [PathPattern] = ["/oauth/access_token", "/oauth/token"]
        return paths.map { path in
            VendorRoute(
                .post, path, bodyBytesMax: AccessToken.bodyBytesMax, check: { try $0.requirePlainBody() },
                plan: { request, _ in try AccessToken.plan(request) })
        }
    }

    // MARK: transactions

    private var transactionRoutes: [VendorRoute] {
        let path: PathPattern = "/v2/inventories/{product}/transactions"
        return [
            writing(.post, path, [.updateCatalog]) { input throws(InvalidField) in
                try StockTransaction.plan(input, deadlineMs: settings.deadlineMs)
            },
            reading(.get, path) { input throws(InvalidField) in try TransactionList.plan(input) },
            reading(.get, "/v2/inventories/{product}/transactions/{transaction}") { input throws(InvalidField) in
                TransactionList.planOne(input)
            },
        ]
    }

    // MARK: stock

    private var stockRoutes: [VendorRoute] {
        let path: PathPattern = "/v2/inventories/{product}"
        return [
            reading(.get, "/v2/inventories") { input throws(InvalidField) in try StockObject.planList(input) },
            writing(.post, "/v2/inventories/multiple", [.readCatalog]) { input throws(InvalidField) in
                try StockObject.planMultiple(input, itemsMax: settings.linesMax)
            },
            reading(.get, path) { input throws(InvalidField) in StockObject.planOne(input) },
            writing(.post, path, [.manageItems]) { input throws(InvalidField) in
                try StockObject.planCreation(input)
            },
            route(.delete, path, [.manageItems], bodyBytesMax: 0) { input throws(InvalidField) in
                StockObject.planRemoval(input)
            },
            // The registry of locations is not served. Without these routes, `locations` would be a product.
            reading(.get, "/v2/inventories/locations") { input throws(InvalidField) in input.notFound },
            writing(.post, "/v2/inventories/locations", [.manageItems]) { input throws(InvalidField) in
                input.notFound
            },
        ]
    }

    // MARK: routes

    private typealias Plan = @Sendable (ElasticPathInput) throws(InvalidField) -> CallPlan

    private func reading(_ method: HTTPMethod, _ path: PathPattern, _ plan: @escaping Plan) -> VendorRoute {
        route(method, path, [.readCatalog], bodyBytesMax: 0, plan)
    }

    private func writing(
        _ method: HTTPMethod, _ path: PathPattern, _ scopes: Set<Scope>, _ plan: @escaping Plan
    ) -> VendorRoute {
        route(method, path, scopes, bodyBytesMax: settings.bodyBytesMax, plan)
    }

    private func route(
        _ method: HTTPMethod, _ path: PathPattern, _ scopes: Set<Scope>, bodyBytesMax: Int, _ plan: @escaping Plan
    ) -> VendorRoute {
        VendorRoute(
            method, path, bodyBytesMax: bodyBytesMax,
            check: { head in
                _ = try Self.credential(head)
                if bodyBytesMax > 0 { try Self.requireJSON(head) }
            },
            plan: { request, path in
                let caller = Caller(try Self.credential(request.head), peer: request.head.peer)
                let input = ElasticPathInput(request, path, Access(caller, .ofToken, scopes))
                do throws(InvalidField) {
                    return try plan(input)
                } catch {
                    // A wrong token is the first thing to report.
                    return input.afterAccess { ElasticPathError(error).response(input.dialect) }
                }
            })
    }

    private static func credential(_ head: RequestHead) throws(ElasticPathError) -> Credential {
        let presented = PresentedCredential(head, accepting: [.bearer, .bearerColon, .bare])
        guard case .credential(let credential) = presented else { throw .invalidToken }
        return credential
    }

    /// A missing type is let pass: no client was seen to send none, and the body says what it is.
    private static func requireJSON(_ head: RequestHead) throws {
        if let type = head.mediaType, type != "application/json", type != "text/json", !type.hasSuffix("+json") {
            throw HTTPFailure(.unsupportedMediaType, "The body must be JSON, with Content-Type: application/json")
        }
        try head.requirePlainBody()
    }
}

/// A request of a caller with a credential.
struct ElasticPathInput: Sendable {
    var request: Request
    var path: PathParameters
    var access: Access
    var dialect: ElasticPathDialect

    init(_ request: Request, _ path: PathParameters, _ access: Access) {
        self.request = request
        self.path = path
        self.access = access
        dialect = ElasticPathDialect(request.head)
    }

    /// nil where the path's part can name no item: there is none.
    var productID: String? {
        let id = path["product"]
        return Identifier.isValid(id) ? id : nil
    }

    /// The locations that an answer is about.
    var locationID: String? {
        switch dialect {
        case .basic: ItemKey.defaultLocation
        case .multiLocation: nil
        }
    }

    /// An answer that only those get whose access is allowed.
    func afterAccess(_ response: @escaping @Sendable () -> Response) -> CallPlan {
        let dialect = dialect
        return .access(access) { answer in
            switch answer {
            case .success: response()
            case .failure(let failure): ElasticPathError(failure).response(dialect)
            }
        }
    }

    var notFound: CallPlan {
        let dialect = dialect
        return afterAccess { ElasticPathError.notFound.response(dialect) }
    }

    /// The object `data` of the body.
    func data() throws(InvalidField) -> JSONValue {
        let data = try JSONBody.object(request.body)["data"]
        guard let data, case .object = data else { throw InvalidField("data", "must be an object") }
        return data
    }
}
