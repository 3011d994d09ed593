import HTTPServer

/// The kinds of errors of the native API (RFC 9457). Their names never change: programs decide by them.
package enum ProblemType: String, Sendable, CaseIterable {
    case invalidRequest = "invalid_request"
    case invalidToken = "invalid_token"
    case missingScope = "missing_scope"
    case unknownStore = "unknown_store"
    case notFound = "not_found"
    case methodNotAllowed = "method_not_allowed"
    case requestTimeout = "request_timeout"
    case conflictingFields = "conflicting_fields"
    case timeLimit = "time_limit"
    case unlistedReason = "unlisted_reason"
    case rejected
    case itemExists = "item_exists"
    case notQueued = "not_queued"
    case subscriptionLimit = "subscription_limit"
    case subscriptionDisabled = "subscription_disabled"
    case unknownTimeZone = "unknown_time_zone"
    case contentTooLarge = "content_too_large"
    case unsupportedMediaType = "unsupported_media_type"
    case idempotencyMismatch = "idempotency_mismatch"
    case overLimit = "over_limit"
    case storeLimit = "store_limit"
    case callLimit = "call_limit"
    case internalError = "internal_error"
    case unavailable
    case undecided
    /// An error that its HTTP status describes.
    case httpError = "http_error"

    package var status: HTTPStatus {
        switch self {
        case .invalidRequest, .httpError: .badRequest
        case .invalidToken: .unauthorized
        case .missingScope: .forbidden
        case .unknownStore, .notFound: .notFound
        case .methodNotAllowed: .methodNotAllowed
        case .requestTimeout: .requestTimeout
        case .conflictingFields, .timeLimit, .unlistedReason, .rejected, .itemExists, .notQueued, .subscriptionLimit,
            .unknownTimeZone, .callLimit, .subscriptionDisabled:
            .conflict
        case .contentTooLarge: .contentTooLarge
        case .unsupportedMediaType: .unsupportedMediaType
        case .idempotencyMismatch: .unprocessable
        case .overLimit, .storeLimit: .tooManyRequests
        case .internalError: .internalServerError
        case .unavailable, .undecided: .serviceUnavailable
        }
    }

    package var title: String {
        switch self {
        case .invalidRequest: "The request breaks a rule"
        case .invalidToken: "The token is missing or not valid"
        case .missingScope: "The token lacks a scope"
        case .unknownStore: "The token has no such store"
        case .notFound: "There is no such resource"
        case .methodNotAllowed: "The path has other methods"
        case .requestTimeout: "The request took too long to arrive"
        case .conflictingFields: "Two fields do not go together"
        case .timeLimit: "A time is too far in the future"
        case .unlistedReason: "The queue does not allow the reason"
        case .rejected: "Every job was rejected"
        case .itemExists: "The item exists already"
        case .notQueued: "No job is queued any more"
        case .subscriptionLimit: "The store has as many subscriptions as it may have"
        case .subscriptionDisabled: "The subscription is disabled"
        case .unknownTimeZone: "The database does not know the time zone"
        case .contentTooLarge: "The body is too large"
        case .unsupportedMediaType: "The body must be JSON"
        case .idempotencyMismatch: "The idempotency key was used for another request"
        case .overLimit: "Too many requests"
        case .storeLimit: "The store has as many ready jobs as it may have"
        case .callLimit: "The call has more jobs than the store may have ready"
        case .internalError: "The server has a fault"
        case .unavailable: "The server is busy"
        case .undecided: "The jobs were not decided in time and were canceled"
        case .httpError: "The request cannot be processed"
        }
    }

    /// What it means, and what a client does about it.
    package var meaning: String {
        switch self {
        case .invalidRequest: "A parameter, a field or the body is not valid; errors names each. Correct the request."
        case .invalidToken:
            "The request has no bearer token, or one that is unknown, expired or revoked. Get another token."
        case .missingScope: "The token is valid for the store and lacks a scope. An administrator creates tokens."
        case .unknownStore: "The token is valid, and the store of the path is none of its stores."
        case .notFound:
            "There is no such path, job, group, key, item, subscription or delivery, or it belongs to another store."
        case .methodNotAllowed: "The field Allow has the methods of the path."
        case .requestTimeout: "The connection was too slow. Send the request again."
        case .conflictingFields: "Each field is valid, and together they mean nothing. Correct the request."
        case .timeLimit:
            """
            run_at or expires_at is beyond the limit of the queue, or counted_at is in the future. Choose an earlier time.
            """
        case .unlistedReason: "The queue allows only certain reasons, which detail names. Choose one, or give none."
        case .rejected:
            "Nothing was changed. code has the reason, and jobs the result of each job. A repeat is another request."
        case .itemExists: "The store has an item with this id at this location. Change it with PATCH."
        case .notQueued: "The jobs were finished before they could be canceled; jobs has their results."
        case .subscriptionLimit: "A store has at most 10 subscriptions. Remove one."
        case .subscriptionDisabled: "Nothing is sent to it. Enable it with PATCH."
        case .unknownTimeZone: "time_zone is a name of the IANA database, like Europe/Berlin. Correct it."
        case .contentTooLarge: "Split the submission."
        case .unsupportedMediaType: "Send JSON that is not compressed, with Content-Type: application/json."
        case .idempotencyMismatch: "Nothing was enqueued. Use a new key for a new request."
        case .overLimit:
            "The token made too many requests, and this one was not executed. Send it again after the seconds in Retry-After."
        case .storeLimit:
            "Nothing was enqueued. Send the request again after the seconds in Retry-After, when the workers have caught up."
        case .callLimit: "Nothing was enqueued, and trying again does not help. Split the submission."
        case .internalError: "Nothing was applied. The log of the server has the reason with the Request-Id."
        case .unavailable:
            "The database is away, or the gateway is full or shutting down. Nothing was applied. Send the request "
                + "again after the seconds in Retry-After."
        case .undecided: "Nothing was applied, and nothing will be. Send the request again."
        case .httpError: "The title of the status says what is wrong."
        }
    }

    /// A reference, relative to the server: a GET of it answers what the type means.
    package var uri: String { "/v1/problems/\(rawValue)" }
}
