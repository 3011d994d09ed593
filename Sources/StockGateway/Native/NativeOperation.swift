import HTTPServer
import StockFormats
import StockModel

/// One operation of the native API: its route, its description in the OpenAPI document, and the function that plans it.
/// Routes and document are made of the same values.
struct NativeOperation: Sendable {
    struct Parameter: Sendable {
        enum Location: String, Sendable { case query, header }

        var name: String
        var location: Location
        var schema: JSONValue
        var help: String
    }

    struct Answer: Sendable {
        var status: Int
        var help: String
        /// The name of a schema; nil for an answer without JSON.
        var schema: String?
        /// nil for an answer without a body.
        var mediaType: String? = "application/json"
        /// The fields that this answer can have, besides those of all answers.
        var fields: [String] = []
        var links: [Link] = []

        init(_ status: Int, _ help: String, _ schema: String?, fields: [String] = [], links: [Link] = []) {
            (self.status, self.help, self.schema, self.fields, self.links) = (status, help, schema, fields, links)
        }

        /// An answer without a body.
        static func empty(_ status: Int, _ help: String) -> Answer {
            var answer = Answer(status, help, nil)
            answer.mediaType = nil
            return answer
        }
    }

    /// Another operation to which the answer has the parameter.
    struct Link: Sendable {
        var operationID: String
        var parameter: String
        /// Where the answer has it (RFC 6901).
        var pointer: String

        init(_ operationID: String, _ parameter: String, _ pointer: String) {
            (self.operationID, self.parameter, self.pointer) = (operationID, parameter, pointer)
        }
    }

    typealias Plan = @Sendable (NativeInput) throws(Problem) -> CallPlan
    typealias PublicPlan = @Sendable (PathParameters) throws(Problem) -> CallPlan

    var id: String
    var method: HTTPMethod
    /// With the names of the path's parameters in braces.
    var path: String
    var summary: String
    /// The token must have all of them.
    var scopes: Set<Scope> = []
    var parameters: [Parameter] = []
    /// The name of the schema of the body; nil without one.
    var body: String?
    var answers: [Answer]
    /// The statuses of problem documents, besides those of all operations.
    private var problems: [Int] = []
    private var action: Action

    private enum Action: Sendable {
        case withToken(Plan)
        case withoutToken(PublicPlan)
    }

    init(
        id: String, method: HTTPMethod, path: String, summary: String, scopes: Set<Scope> = [],
        parameters: [Parameter] = [], body: String? = nil, answers: [Answer], problems: [Int] = [],
        plan: @escaping Plan
    ) {
        self.id = id
        self.method = method
        self.path = path
        self.summary = summary
        self.scopes = scopes
        self.parameters = parameters
        self.body = body
        self.answers = answers
        self.problems = problems
        action = .withToken(plan)
    }

    /// An operation that needs no token.
    init(
        id: String, method: HTTPMethod, path: String, summary: String, answers: [Answer],
        publicPlan: @escaping PublicPlan
    ) {
        self.id = id
        self.method = method
        self.path = path
        self.summary = summary
        self.answers = answers
        action = .withoutToken(publicPlan)
    }

    var isPublic: Bool {
        if case .withoutToken = action { true } else { false }
    }

    func plan(_ input: NativeInput) throws(Problem) -> CallPlan {
        guard case .withToken(let plan) = action else { preconditionFailure("\(id) needs no token") }
        return try plan(input)
    }

    func publicPlan(_ path: PathParameters) throws(Problem) -> CallPlan {
        guard case .withoutToken(let plan) = action else { preconditionFailure("\(id) needs a token") }
        return try plan(path)
    }

    /// The statuses with which it can answer a problem document.
    var allProblems: [Int] {
        let common = isPublic ? Self.publicProblems : Self.commonProblems
        return Set(common + (body == nil ? [] : Self.bodyProblems) + problems).sorted()
    }

    var queryNames: [String] { parameters.filter { $0.location == .query }.map(\.name) }

    private static let publicProblems = [400, 404, 408, 413, 414, 431, 500, 503]
    private static let commonProblems = publicProblems + [401, 403, 429]
    private static let bodyProblems = [409, 415]
}

extension NativeOperation.Parameter {
    static let limit = Self(
        name: "limit", location: .query,
        schema: [
            "type": "integer", "minimum": 1, "maximum": .integer(NativeInput.limitMax),
            "default": .integer(NativeInput.limitDefault),
        ], help: "How many to return, at most.")

    static func id(_ name: String, _ help: String) -> Self {
        Self(name: name, location: .query, schema: NativeSchemas.id, help: help)
    }

    static let location = id("location_id", "The location; main if it is not given.")

    static let prefer = Self(
        name: "Prefer", location: .header, schema: ["type": "string", "examples": ["respond-async", "wait=5"]],
        help:
            "wait=N: after N seconds the answer is 202, and the jobs stay in the queue. respond-async: at once (RFC 7240)."
    )

    static let idempotencyKey = Self(
        name: "Idempotency-Key", location: .header,
        schema: ["type": "string", "pattern": .string(NativeIdempotencyKey.pattern), "maxLength": 190],
        help: "A repeated call with the same key gets the first answer, also while the first is under way.")

    static let cursor = Self(
        name: "after", location: .query,
        schema: ["type": "string", "pattern": .string(NotificationCursorText.pattern)],
        help: "The cursor of an earlier answer.")
}

/// `Idempotency-Key` of the native API: visible ASCII without a quote, plain or in double quotes (a string of RFC 8941).
enum NativeIdempotencyKey {
    static let pattern = "^([!#-\\[\\]-~]{1,190}|\"[!#-\\[\\]-~]{1,188}\")$"

    /// nil without one.
    static func read(_ head: RequestHead) throws(Problem) -> IdempotencyKey? {
        do throws(InvalidField) {
            guard let key = try IdempotencyKey(head) else { return nil }
            if key.text.utf8.allSatisfy({ $0 != 0x20 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }) {
                return key
            }
        } catch {
            throw Problem.header("Idempotency-Key", error.rule)
        }
        throw Problem.header("Idempotency-Key", "must have no blank, quote or backslash inside")
    }
}
