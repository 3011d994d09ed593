import HTTPServer
import StockFormats

/// An error of Elastic Path's API: `{"errors":[{"status":422,"title":"…","detail":"…"}]}`.
///
/// The array is in every answer that is no success, from every layer, with the status as an integer: one client looks
/// at nothing else, and takes an answer without `errors` for a success.
struct ElasticPathError: ResponseError, Sendable {
    var status: HTTPStatus
    var title: String
    var detail: String?
    /// The name of the field that has a fault, and its rule.
    var source: String?
    var reason: String?
    /// Whether the title comes first, as in the vendor's examples.
    var beginsWithTitle = false
    var fields = ResponseFields()

    init(_ status: HTTPStatus, _ title: String, _ detail: String? = nil) {
        self.status = status
        self.title = title
        self.detail = detail
    }

    func response(_ style: ErrorStyle) -> Response { response(.basic) }

    func response(_ dialect: ElasticPathDialect) -> Response {
        var json = JSONWriter()
        json.object { json in
            json.key("errors")
            json.array { json in json.object { json in write(dialect, &json) } }
        }
        var response = Response.json(status, json.bytes)
        response.fields.append(fields)
        return response
    }

    private func write(_ dialect: ElasticPathDialect, _ json: inout JSONWriter) {
        if beginsWithTitle { writeTitle(&json) }
        json.key("status")
        switch dialect {
        case .basic: json.integer(status.code)
        case .multiLocation: json.string(String(status.code))
        }
        if !beginsWithTitle { writeTitle(&json) }
        if let detail {
            json.key("detail")
            json.string(detail)
        }
        if let source {
            json.key("source")
            json.string(source)
        }
        if let reason {
            json.key("meta")
            json.object { json in
                json.key("reason")
                json.string(reason)
            }
        }
    }

    private func writeTitle(_ json: inout JSONWriter) {
        json.key("title")
        json.string(title)
    }
}

extension ElasticPathError {
    static let invalidToken = {
        var error = ElasticPathError(.unauthorized, "Unable to validate access token")
        error.fields.add("WWW-Authenticate", "Bearer")
        return error
    }()
    /// Of the call that issues tokens.
    static let invalidClient = {
        var error = ElasticPathError(.unauthorized, "Unauthorized")
        error.fields.add("WWW-Authenticate", "Bearer")
        return error
    }()
    static let forbidden = ElasticPathError(.forbidden, "Forbidden")
    static let notFound = {
        var error = ElasticPathError(.notFound, "Not Found", "The resource could not be found")
        error.beginsWithTitle = true
        return error
    }()
    static let insufficientStock = ElasticPathError(
        .unprocessable, "Cannot complete request",
        "Your request could not be completed due to insufficient stock levels")
    static let conflict = ElasticPathError(
        .conflict, "Conflict", "The Idempotency-Key was used for another request. Nothing was applied.")
    static let undecided = ElasticPathError(
        .requestTimeout, "Request Timeout",
        "The request was not processed in time and was canceled. Nothing was applied.")
    static let internalError = ElasticPathError(
        .internalServerError, "Internal Server Error", "There was an internal server error. Nothing was applied.")

    init(_ invalid: InvalidField) {
        self.init(.badRequest, "Validation Error", "Your request was invalid")
        beginsWithTitle = true
        source = invalid.field
        reason = invalid.sentence
    }

    init(_ failure: CallFailure) {
        switch failure {
        case .invalidCredential: self = .invalidToken
        // The vendor's error names no scope.
        case .missingScope: self = .forbidden
        case .severalStores: self.init(.forbidden, "Forbidden", CallFailure.severalStoresText)
        case .storeLimit(let seconds): self = .tooManyRequests(seconds, CallFailure.storeLimitText)
        case .callLimit: self.init(.conflict, "Conflict", CallFailure.callLimitText)
        case .unknownStore, .unknownItem: self = .notFound
        case .overLimit(let seconds): self = .tooManyRequests(seconds, "The limit of requests is reached.")
        case .unavailable(let seconds): self = .tooManyRequests(seconds, "The server is busy.")
        case .undecided: self = .undecided
        case .idempotencyMismatch: self = .conflict
        // Lines of this API have no times and no reasons.
        case .timeLimit, .unlistedReason, .internalError: self = .internalError
        }
    }

    private static func tooManyRequests(_ seconds: Int, _ message: String) -> ElasticPathError {
        var error = ElasticPathError(
            .tooManyRequests, "Too Many Requests", "\(message) Nothing was applied. Try again later.")
        error.fields.addRetryAfter(seconds)
        return error
    }

    /// An error that the server or the router found.
    init(_ failure: HTTPFailure) {
        if failure.status == .serviceUnavailable {
            // The vendor's clients try again after a 429 only.
            self = .tooManyRequests(1, failure.message)
        } else if failure.status == .notFound {
            self = .notFound
        } else {
            let phrase = "\(failure.status.reasonPhrase)"
            self.init(failure.status, phrase.isEmpty ? "Error" : phrase, failure.message)
        }
        fields.append(failure.fields)
    }
}

/// The two forms of the vendor's inventories.
enum ElasticPathDialect: Sendable, Hashable {
    /// One location.
    case basic
    /// With the header `EP-Inventories-Multi-Location: true`: members inside `attributes`, locations, and other
    /// statuses.
    case multiLocation

    init(_ head: RequestHead) {
        self = head.field("ep-inventories-multi-location")?.lowercased() == "true" ? .multiLocation : .basic
    }
}
