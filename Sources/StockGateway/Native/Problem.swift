import HTTPServer
import StockFormats
import StockModel

/// An error of the native API as a problem document (RFC 9457).
struct Problem: ResponseError, Sendable {
    /// A part of the request that breaks a rule.
    struct Fault: Sendable {
        enum Place: Sendable {
            /// A JSON pointer into the body (RFC 6901).
            case pointer(String)
            case parameter(String)
            case header(String)
        }

        var place: Place
        var detail: String

        init(_ place: Place, _ detail: String) {
            self.place = place
            self.detail = detail
        }
    }

    var type: ProblemType
    var status: HTTPStatus
    var detail: String
    var faults: [Fault] = []
    /// Of rejected jobs.
    var code: ResultCode?
    /// Jobs, as JSON.
    var jobs: [String] = []
    var fields = ResponseFields()

    init(_ type: ProblemType, _ detail: String? = nil, status: HTTPStatus? = nil) {
        self.type = type
        self.status = status ?? type.status
        self.detail = detail ?? type.meaning
    }

    init(_ fault: Fault) {
        self.init(.invalidRequest, fault.detail)
        faults = [fault]
    }

    static func parameter(_ name: String, _ detail: String) -> Problem {
        Problem(Fault(.parameter(name), "\(name) \(detail)"))
    }

    static func header(_ name: String, _ detail: String) -> Problem {
        Problem(Fault(.header(name), "\(name) \(detail)"))
    }

    var response: Response {
        var json = JSONWriter()
        json.object { json in
            json.key("type")
            json.string(type.uri)
            json.key("title")
            json.string(type.title)
            json.key("status")
            json.integer(status.code)
            json.key("detail")
            json.string(detail)
            if let code {
                json.key("code")
                json.string(code.rawValue)
            }
            if !faults.isEmpty {
                json.key("errors")
                json.array { json in for fault in faults { Self.write(fault, &json) } }
            }
            if !jobs.isEmpty {
                json.key("jobs")
                json.array { json in for job in jobs { json.encoded(job) } }
            }
        }
        var response = Response(
            status, fields: ResponseFields().adding("Content-Type", "application/problem+json"), body: json.bytes)
        response.fields.append(fields)
        return response
    }

    private static func write(_ fault: Fault, _ json: inout JSONWriter) {
        json.object { json in
            switch fault.place {
            case .pointer(let pointer):
                json.key("pointer")
                json.string("#\(pointer)")
            case .parameter(let name):
                json.key("parameter")
                json.string(name)
            case .header(let name):
                json.key("header")
                json.string(name)
            }
            json.key("detail")
            json.string(fault.detail)
        }
    }

    func response(_ style: ErrorStyle) -> Response { response }
}

extension Problem {
    /// `WWW-Authenticate` (RFC 6750): without a token in the request it names the scheme alone.
    static func unauthenticated(isPresented: Bool) -> Problem {
        var problem = Problem(.invalidToken)
        problem.fields.add("WWW-Authenticate", isPresented ? #"Bearer error="invalid_token""# : "Bearer")
        return problem
    }

    init(_ failure: CallFailure, _ access: Access) {
        switch failure {
        case .invalidCredential: self = .unauthenticated(isPresented: true)
        case .missingScope:
            let scopes = access.scopes.map(\.rawValue).sorted().joined(separator: " ")
            let more = access.scopes.contains(.updateCatalog) ? ", and jobs of a variation need read_catalog too" : ""
            self.init(.missingScope, "The call needs the scope \(scopes)\(more). Nothing was done.")
            fields.add("WWW-Authenticate", #"Bearer error="insufficient_scope", scope="\#(scopes)""#)
        case .unknownStore: self.init(.unknownStore)
        case .unknownItem: self.init(.notFound, "The store has no such item at this location.")
        case .overLimit(let seconds):
            self.init(.overLimit)
            fields.addRetryAfter(seconds)
        case .storeLimit(let seconds):
            self.init(.storeLimit)
            fields.addRetryAfter(seconds)
        case .callLimit: self.init(.callLimit)
        // The paths of this API name the store.
        case .severalStores: self.init(.internalError)
        case .unavailable(let seconds):
            self.init(.unavailable)
            fields.addRetryAfter(seconds)
        case .undecided:
            self.init(.undecided)
            fields.addRetryAfter(1)
        case .idempotencyMismatch: self.init(.idempotencyMismatch)
        case .timeLimit(let line):
            self.init(
                .timeLimit,
                "Of job \(line + 1) of the request, run_at or expires_at is too far ahead, or counted_at is in the future. Nothing was enqueued."
            )
        case .unlistedReason(let line, let allowed):
            self.init(
                .unlistedReason,
                "The reason of job \(line + 1) of the request must be one of: \(allowed). Nothing was enqueued.")
        case .internalError: self.init(.internalError)
        }
    }

    /// An error that the server or the router found.
    init(_ failure: HTTPFailure) {
        let type: ProblemType =
            switch failure.status.code {
            case 404: .notFound
            case 405: .methodNotAllowed
            case 408: .requestTimeout
            case 413: .contentTooLarge
            case 415: .unsupportedMediaType
            case 500: .internalError
            case 503: .unavailable
            default: .httpError
            }
        self.init(type, failure.message, status: failure.status)
        fields.append(failure.fields)
        if failure.status == .serviceUnavailable, failure.fields == ResponseFields() { fields.addRetryAfter(1) }
    }
}
