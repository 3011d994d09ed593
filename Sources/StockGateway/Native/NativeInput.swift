import HTTPServer
import StockFormats
import StockModel

/// A request of a caller with a token, to the native API.
struct NativeInput: Sendable {
    var request: Request
    var path: PathParameters
    var access: Access
    var settings: VendorSettings
    var parameters: [(name: String, value: String)]

    /// Reads the store of the path and the token.
    init(
        _ request: Request, _ path: PathParameters, scopes: Set<Scope>, _ settings: VendorSettings, requestID: String
    ) throws(Problem) {
        self.request = request
        self.path = path
        self.settings = settings
        parameters = request.head.query.all
        var caller = Caller(try Self.credential(request.head), peer: request.head.peer)
        caller.requestID = requestID
        access = Access(caller, .named(path["store_id"]), scopes)
    }

    /// Checks that the query has parameters of the operation only, each once.
    func requireParameters(_ names: [String]) throws(Problem) {
        let query = request.head.query
        if query.hasInvalid { throw Problem.parameter("the query", "must be percent-encoded UTF-8") }
        for (name, _) in parameters {
            guard names.contains(name) else {
                let known = names.isEmpty ? "none" : names.joined(separator: ", ")
                throw Problem.parameter(
                    ValidationError.shown(name.utf8), "is no parameter of this operation; known are \(known)")
            }
            guard query.values(name).count == 1 else { throw Problem.parameter(name, "must be given once") }
        }
    }

    /// Checks that a call without a body has none, or the empty object that some clients send.
    func requireNoBody() throws(Problem) {
        let text = request.body.filter { $0 > UInt8(ascii: " ") }
        if text.isEmpty || text.elementsEqual("{}".utf8) { return }
        throw Problem(Problem.Fault(.pointer(""), "the call takes no body"))
    }

    static func credential(_ head: RequestHead) throws(Problem) -> Credential {
        switch PresentedCredential(head, accepting: [.bearer]) {
        case .credential(let credential): return credential
        case .none: throw .unauthenticated(isPresented: false)
        case .unreadable: throw .unauthenticated(isPresented: true)
        }
    }

    var store: String { path["store_id"] }

    // MARK: parameters

    func text(_ name: String) -> String? { parameters.first { $0.name == name }?.value }

    /// The id of something: an empty text, and one that no item has, are faults.
    func id(_ name: String) throws(Problem) -> String? {
        guard let text = text(name) else { return nil }
        do throws(ValidationError) {
            try JobField.itemID.definition.validate(.text(text))
        } catch {
            throw Problem.parameter(name, "must have 1 to \(Identifier.bytesMax) bytes of visible characters")
        }
        return text
    }

    func location() throws(Problem) -> String { try id("location_id") ?? ItemKey.defaultLocation }

    static let limitMax = 1_000
    static let limitDefault = 100

    func limit() throws(Problem) -> Int {
        guard let text = text("limit") else { return Self.limitDefault }
        guard let number = Int64(pathText: text), (1...Int64(Self.limitMax)).contains(number) else {
            throw Problem.parameter("limit", "must be a whole number from 1 to \(Self.limitMax)")
        }
        return Int(number)
    }

    /// A cursor as an earlier answer had it.
    func cursor() throws(Problem) -> String? {
        guard let text = text("after") else { return nil }
        guard NotificationCursorText.isValid(text) else {
            throw Problem.parameter("after", "must be a cursor of an earlier answer")
        }
        return text
    }

    // MARK: plans

    /// A fault of the request is reported to callers with access only: a wrong token is the first thing to report.
    func reporting(_ problem: Problem) -> CallPlan {
        query(.job(0)) { (_: NativeRows) throws(Problem) -> Response in throw problem }
    }

    func query(
        _ subject: NativeQuery.Subject, _ write: @escaping @Sendable (NativeRows) throws(Problem) -> Response
    ) -> CallPlan {
        .native(NativeQuery(access, subject)) { [access] answer in
            do throws(Problem) {
                switch answer {
                case .success(let rows): return try write(rows)
                case .failure(let failure): throw Problem(failure, access)
                }
            } catch {
                return error.response
            }
        }
    }
}

/// The cursors that the SQL function `notifications_after` reads.
enum NotificationCursorText {
    static let pattern = "^[0-9]{1,18}(-[0-9]{1,18})?$"

    static func isValid(_ text: String) -> Bool { CursorText.isValid(text, numbers: 1...2) }
}
