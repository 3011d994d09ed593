import HTTPServer
import StockFormats

/// An error of Prosperna's API, in the union of its published shapes:
/// `{"data":null,"message":"…","statusCode":400,"error":true}`.
struct ProspernaError: ResponseError, Sendable {
    /// What is wrong with a line of the body.
    struct Line: Sendable {
        /// From 0.
        var index: Int
        var code: String
        var message: String

        init(_ index: Int, _ code: String, _ message: String) {
            self.index = index
            self.code = code
            self.message = message
        }
    }

    var status: HTTPStatus
    var message: String
    var lines: [Line] = []
    var fields = ResponseFields()

    init(_ status: HTTPStatus, _ message: String) {
        self.status = status
        self.message = message
    }

    init(_ status: HTTPStatus, lines: [Line]) {
        let first = lines.first.map { "Line \($0.index + 1): \($0.message). " } ?? ""
        self.init(status, "\(first)Nothing was applied.")
        self.lines = lines
    }

    var response: Response {
        var json = JSONWriter()
        json.object { json in
            json.key("data")
            if lines.isEmpty {
                json.null()
            } else {
                json.array { json in for line in lines { Self.write(line, &json) } }
            }
            json.key("message")
            json.string(message)
            json.key("statusCode")
            json.integer(status.code)
            json.key("error")
            json.bool(true)
        }
        var response = Response.json(status, json.bytes)
        response.fields.append(fields)
        return response
    }

    private static func write(_ line: Line, _ json: inout JSONWriter) {
        json.object { json in
            json.key("line")
            json.integer(line.index + 1)
            json.key("index")
            json.integer(line.index)
            json.key("code")
            json.string(line.code)
            json.key("message")
            json.string(line.message)
        }
    }

    func response(_ style: ErrorStyle) -> Response { response }
}

extension ProspernaError {
    static let unauthenticated = ProspernaError(HTTPStatus(403), "We couldn't authenticate you.")

    init(_ failure: CallFailure) {
        switch failure {
        case .invalidCredential: self = .unauthenticated
        case .missingScope: self.init(HTTPStatus(403), "The token lacks a scope. \(CallFailure.neededScopes)")
        case .unknownStore: self.init(.badRequest, "There is no such store.")
        case .unknownItem(let line):
            self.init(.badRequest, lines: [Line(line, "unknown_item", "there is no such product or variant")])
        case .overLimit(let seconds):
            self = .busy(seconds, "Too many requests. Nothing was applied. Try again after the given seconds.")
        case .storeLimit(let seconds):
            self = .busy(
                seconds,
                "\(CallFailure.storeLimitText) Nothing was applied. Try again after the given seconds.")
        case .callLimit: self.init(.badRequest, CallFailure.callLimitText)
        case .severalStores: self.init(HTTPStatus(403), CallFailure.severalStoresText)
        case .unavailable(let seconds):
            self = .busy(seconds, "The server is busy. Nothing was applied. Try again after the given seconds.")
        case .undecided:
            self.init(
                .requestTimeout, "The call was not processed in time and was canceled. Nothing was applied.")
        case .idempotencyMismatch:
            self.init(.badRequest, "The Idempotency-Key was used for another request. Nothing was applied.")
        // Lines of this API have no times and no reasons.
        case .timeLimit, .unlistedReason, .internalError:
            self.init(.internalServerError, "The server has a fault. Nothing was applied.")
        }
    }

    private static func busy(_ seconds: Int, _ message: String) -> ProspernaError {
        var error = ProspernaError(.tooManyRequests, message)
        error.fields.addRetryAfter(seconds)
        return error
    }

    /// An error that the server or the router found.
    init(_ failure: HTTPFailure) {
        if failure.status == .serviceUnavailable {
            self = .busy(1, failure.message)
        } else {
            self.init(failure.status, failure.message)
        }
        fields.append(failure.fields)
    }
}
