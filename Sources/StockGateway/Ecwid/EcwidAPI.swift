import HTTPServer
import StockModel

/// Ecwid's calls: adjust the stock of a product or of a variation, the store's profile, and batches of calls.
///
/// Facts that shaped it: a success is exactly 200, because clients treat 201 and 204 as errors; a wrong token is 403,
/// never 401; `updateCount` is an integer literal; every error has a JSON body.
package struct EcwidAPI: VendorAPI {
    package let prefixes = ["/api/v3"]
    package let errorStyle: ErrorStyle = { EcwidError($0).response }
    let settings: VendorSettings

    package init(_ settings: VendorSettings) { self.settings = settings }

    package var routes: [VendorRoute] {
        EcwidAdjustment.Target.allCases.map { target in
            // The vendor decodes path segments like query parameters: a plus is a space.
            VendorRoute(
                .put, target.pattern, coding: .form, bodyBytesMax: EcwidAdjustment.bodyBytesMax,
                check: { head in
                    try requireCredential(head)
                    try EcwidError.requireJSON(head)
                },
                plan: { request, path in
                    try guarded(access(request.head, path["store"], target.scopes)) { access throws(InvalidField) in
                        try EcwidAdjustment.plan(
                            target, path, EcwidInput(request), access, deadlineMs: settings.deadlineMs)
                    }
                })
        } + [profile] + batchRoutes
    }

    // MARK: around the adjustments

    private var profile: VendorRoute {
        VendorRoute(
            .get, "/api/v3/{store}/profile", coding: .form, bodyBytesMax: 0, check: requireCredential,
            plan: { request, path in EcwidProfile.plan(try access(request.head, path["store"], [])) })
    }

    private var batchRoutes: [VendorRoute] {
        [
            VendorRoute(
                .post, "/api/v3/{store}/batch", coding: .form, bodyBytesMax: settings.bodyBytesMax,
                check: { head in
                    try requireCredential(head)
                    try EcwidError.requireJSON(head)
                },
                plan: { request, path in
                    try guarded(access(request.head, path["store"], [])) { access throws(InvalidField) in
                        try EcwidBatch.plan(request, access, itemsMax: settings.linesMax)
                    }
                }),
            VendorRoute(
                .get, "/api/v3/{store}/batch", coding: .form, bodyBytesMax: 0, check: requireCredential,
                plan: { request, path in
                    try guarded(access(request.head, path["store"], [])) { access throws(InvalidField) in
                        try EcwidBatch.planProgress(request.head.query, access)
                    }
                }),
        ]
    }

    // MARK: the caller

    private func requireCredential(_ head: RequestHead) throws { _ = try credential(head) }

    private static let fieldForms: Set<Credential.Form> = [.bearer, .bearerColon, .bare]
    private static let allForms = fieldForms.union([.query, .tokenParameter])

    private func credential(_ head: RequestHead) throws(EcwidError) -> Credential {
        let forms = settings.acceptsEcwidQueryTokens ? Self.allForms : Self.fieldForms
        guard case .credential(let credential) = PresentedCredential(head, accepting: forms) else {
            throw .invalidToken
        }
        return credential
    }

    private func access(_ head: RequestHead, _ store: String, _ scopes: Set<Scope>) throws(EcwidError) -> Access {
        let caller = Caller(try credential(head), peer: head.peer)
        guard Identifier.isValid(store) else { throw .unknownStore }
        return Access(caller, .named(store), scopes)
    }

    /// A request with a fault gets its 400 only after its token was checked: a wrong token is the first thing to
    /// report.
    private func guarded(
        _ access: Access, _ plan: (Access) throws(InvalidField) -> CallPlan
    ) -> CallPlan {
        do {
            return try plan(access)
        } catch {
            return .access(access) { answer in
                switch answer {
                case .success: EcwidError(error).response
                case .failure(let failure): EcwidError(failure, .unknownProduct).response
                }
            }
        }
    }
}

/// The parts of a request that a call is made of: also those of an item of a batch.
struct EcwidInput {
    var query: QueryParameters
    var body: [UInt8]
    /// Recognizes a duplicate of the call.
    var duplicateCheck: () throws(InvalidField) -> DuplicateCheck

    init(query: QueryParameters, body: [UInt8], duplicateCheck: @escaping () throws(InvalidField) -> DuplicateCheck) {
        self.query = query
        self.body = body
        self.duplicateCheck = duplicateCheck
    }

    init(_ request: Request) {
        let duplicateCheck = { () throws(InvalidField) in try Self.duplicateCheck(request) }
        self.init(query: request.head.query, body: request.body, duplicateCheck: duplicateCheck)
    }

    /// The vendor's own client repeats a PUT when its connection is cut, with the same `X-Ecwid-Api-Request-Id`: eight
    /// letters and digits, too few for a key that is kept for long.
    private static func duplicateCheck(_ request: Request) throws(InvalidField) -> DuplicateCheck {
        let head = request.head
        if let key = try IdempotencyKey(head) { return .key(key) }
        guard let id = head.field("x-ecwid-api-request-id"), Identifier.isValid(id) else { return .unguarded }
        let path = String(decoding: head.path, as: UTF8.self)
        let parameters = head.query.all.filter { $0.name != "token" }.map { "\($0.name)=\($0.value)" }
        return .guarded(
            CallFingerprint(
                requestID: id, target: "\(head.method) \(path)?\(parameters.joined(separator: "&"))",
                body: request.body))
    }
}
