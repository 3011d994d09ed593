import HTTPServer
import StockFormats

/// An error of Ecwid's API: `{"errorMessage":"…","errorCode":"…"}`.
struct EcwidError: ResponseError, Sendable {
    var status: HTTPStatus
    var code: String
    var message: String
    var fields = ResponseFields()

    init(_ status: HTTPStatus, _ code: String, _ message: String) {
        self.status = status
        self.code = code
        self.message = message
    }

    var response: Response {
        var json = JSONWriter()
        json.object { json in
            json.key("errorMessage")
            json.string(message)
            json.key("errorCode")
            json.string(code)
        }
        var response = Response.json(status, json.bytes)
        response.fields.append(fields)
        return response
    }

    func response(_ style: ErrorStyle) -> Response { response }

    /// The same as the fault of a field, for the callers that know fields only.
    var invalidField: InvalidField { InvalidField(EcwidAdjustment.flagName, message) }
}

extension EcwidError {
    static let invalidToken = EcwidError(
        HTTPStatus(403), "INVALID_API_TOKEN",
        "The API token is missing, wrong or expired, or is not one of this store's.")
    static let unknownStore = EcwidError(.notFound, "STORE_NOT_FOUND", "There is no such store.")
    static let unknownProduct = EcwidError(.notFound, "PRODUCT_NOT_FOUND", "There is no such product.")
    static let unknownCombination = EcwidError(
        .notFound, "COMBINATION_NOT_FOUND", "The product has no such combination.")
    static let undecided = EcwidError(
        .requestTimeout, "TIMEOUT", "The call was not processed in time and was canceled. Nothing was applied.")
    static let idempotencyMismatch = EcwidError(
        .conflict, "CONSTRAINT_VIOLATION", "The Idempotency-Key was used for another request. Nothing was applied.")
    static let internalError = EcwidError(
        .internalServerError, "INTERNAL_ERROR", "The server has a fault. Nothing was applied.")

    static func wrongParameter(_ name: String, _ reason: String) -> EcwidError {
        EcwidError(.badRequest, "WRONG_PARAMETER", "Wrong parameter '\(name)' value: \(reason)")
    }

    static func wrongFlag(_ name: String) -> EcwidError {
        wrongParameter(name, "expected one of 'true', 'false', 'yes', 'no', 'on', 'off', '1', '0'")
    }

    private static func rateLimited(_ seconds: Int, _ message: String) -> EcwidError {
        var error = EcwidError(.tooManyRequests, "RATE_LIMITED", message)
        error.fields.addRetryAfter(seconds)
        return error
    }

    /// - Parameter unknownItem: what the call is about.
    init(_ failure: CallFailure, _ unknownItem: EcwidError) {
        switch failure {
        case .invalidCredential: self = .invalidToken
        case .missingScope:
            self.init(
                HTTPStatus(403), "INSUFFICIENT_APP_SCOPE", "The API token lacks a scope. \(CallFailure.neededScopes)")
        case .unknownStore: self = .unknownStore
        case .unknownItem: self = unknownItem
        case .overLimit(let seconds):
            self = .rateLimited(seconds, "Too many requests. Nothing was applied. Try again after the given seconds.")
        case .storeLimit(let seconds):
            self = .rateLimited(
                seconds,
                "\(CallFailure.storeLimitText) Nothing was applied. Try again after the given seconds.")
        case .callLimit: self.init(.conflict, "CONSTRAINT_VIOLATION", CallFailure.callLimitText)
        case .severalStores: self.init(HTTPStatus(403), "INVALID_API_TOKEN", CallFailure.severalStoresText)
        case .unavailable(let seconds):
            self = .rateLimited(seconds, "The server is busy. Nothing was applied. Try again after the given seconds.")
        case .undecided: self = .undecided
        case .idempotencyMismatch: self = .idempotencyMismatch
        // Lines of this API have no times and no reasons.
        case .timeLimit, .unlistedReason, .internalError: self = .internalError
        }
    }

    init(_ invalid: InvalidField) {
        switch (invalid.field, invalid.kind) {
        case (let field?, .missing):
            self.init(.badRequest, "WRONG_PARAMETER", "Required parameter '\(field)' is missing")
        case (EcwidAdjustment.flagName?, .malformed): self = .wrongFlag(EcwidAdjustment.flagName)
        case (let field?, .malformed): self = .wrongParameter(field, invalid.rule)
        case (nil, _): self.init(.badRequest, "WRONG_PARAMETER", "Wrong request body: it \(invalid.rule)")
        }
    }

    /// An error that the server or the router found.
    init(_ failure: HTTPFailure) {
        if failure.status == .serviceUnavailable {
            // The vendor's clients wait and try again after a 429 only.
            self = .rateLimited(1, failure.message)
        } else {
            self.init(failure.status, Self.code(failure.status), failure.message)
        }
        fields.append(failure.fields)
    }

    private static func code(_ status: HTTPStatus) -> String {
        switch status.code {
        case 403: "INVALID_API_TOKEN"
        case 404: "NOT_FOUND"
        case 405, 501: "METHOD_NOT_ALLOWED"
        case 408: "TIMEOUT"
        case 409: "CONSTRAINT_VIOLATION"
        case 415: "UNSUPPORTED_CONTENT_TYPE"
        case 429: "RATE_LIMITED"
        case 500...: "INTERNAL_ERROR"
        default: "WRONG_PARAMETER"
        }
    }

    // MARK: heads

    static func requireJSON(_ head: RequestHead) throws {
        guard let type = head.mediaType, ["application/json", "text/json"].contains(type) else {
            throw HTTPFailure(
                .unsupportedMediaType, "Unsupported content-type: expected application/json or text/json")
        }
        try head.requirePlainBody()
        if head.query.hasInvalid {
            throw HTTPFailure(.badRequest, "Wrong parameter: the query is not percent-encoded UTF-8")
        }
    }
}
