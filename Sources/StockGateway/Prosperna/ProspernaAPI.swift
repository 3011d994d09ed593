import HTTPServer
import StockFormats
import StockModel

/// Prosperna's call: `POST /v1/products/stock-quantity?store_id=…` with an array of products and variants becomes one
/// group.
///
/// Facts that shaped it: the published snippet sends its JSON as `application/x-www-form-urlencoded` and no token, so
/// the body is JSON whatever its type says; a client whose URL has no scheme calls `/api.prosperna.com/v1/…`.
package struct ProspernaAPI: VendorAPI {
    package let prefixes = ["/v1/products", "/api.prosperna.com"]
    package let errorStyle: ErrorStyle = { ProspernaError($0).response }
    let settings: VendorSettings

    package init(_ settings: VendorSettings) { self.settings = settings }

    package var routes: [VendorRoute] {
        let paths: [PathPattern] = ["/v1/products/stock-quantity", "/api.prosperna.com/v1/products/stock-quantity"]
        return paths.map { path in
            VendorRoute(
                .post, path, bodyBytesMax: settings.bodyBytesMax, check: check,
                plan: { request, _ in try plan(request) })
        }
    }

    private func check(_ head: RequestHead) throws {
        _ = try credential(head)
        if let type = head.mediaType, type.isEmpty || type.hasPrefix("multipart/") {
            throw HTTPFailure(.unsupportedMediaType, "The body must be a JSON array.")
        }
        try head.requirePlainBody()
    }

    /// Whether calls without a token are let in is a setting of the store.
    private func credential(_ head: RequestHead) throws(ProspernaError) -> Credential? {
        switch PresentedCredential(head, accepting: [.bearer, .bearerColon, .bare, .query]) {
        case .none: nil
        case .credential(let credential): credential
        case .unreadable: throw .unauthenticated
        }
    }

    private func plan(_ request: Request) throws(ProspernaError) -> CallPlan {
        let caller = Caller(try credential(request.head), peer: request.head.peer)
        let stores = request.head.query.values("store_id")
        guard stores.count == 1, let store = stores.first, Identifier.isValid(store),
            !store.allSatisfy(\.isWhitespace)
        else {
            throw ProspernaError(.badRequest, "store_id must be given once, as a query parameter with 1 to 200 bytes.")
        }
        let access = Access(caller, .named(store), [.updateCatalog])
        do throws(ProspernaError) {
            return try Deduction.plan(request, access, settings)
        } catch {
            // A wrong token is the first thing to report.
            return .access(access) { answer in
                switch answer {
                case .success: error.response
                case .failure(let failure): ProspernaError(failure).response
                }
            }
        }
    }
}
