import StockModel
import StockQueuePostgres

/// Why a call of `StockQueueClient` or `StockWorkers` failed.
public enum QueueError: Error, Sendable {
    /// A field breaks a rule; nothing was sent.
    case invalid(ValidationError)
    /// The idempotency key was used before for another request (SQLSTATE 23505).
    case keyConflict(String)
    /// This role has no grant for the store, or lacks the scope that the message names (42501).
    case notPermitted(String)
    /// The store has reached its limit of ready jobs; try again later (53400).
    case storeIsFull(String)
    /// The database failed, or its connection was lost.
    case database(PostgresError)
    /// The schema is not migrated, or not at the version of this library.
    case schema(QueueSchemaError)
    /// A newer version has migrated the schema.
    case unknownLabel(UnknownLabelError)
    /// The start-up checks found why workers must not run here: sentences that say what to do.
    case blocked([String])
    /// The task of the caller was canceled. What was on its way may or may not have taken effect.
    case canceled
    /// `run()` has ended.
    case stopped
    /// `run()` was called before.
    case alreadyRun
    /// An error of this library. Neither the caller nor the database caused it.
    case unexpected(any Error)

    init(_ error: any Error) {
        switch error {
        case let error as QueueError: self = error
        case let error as ValidationError: self = .invalid(error)
        case let error as UnknownLabelError: self = .unknownLabel(error)
        case let error as QueueSchemaError: self = .schema(error)
        case is CancellationError: self = .canceled
        case let error as PostgresError: self.init(error)
        default: self = .unexpected(error)
        }
    }

    private init(_ error: PostgresError) {
        switch error.sqlState {
        case .uniqueViolation where error.constraint == "idempotency_key": self = .keyConflict(error.message)
        case .insufficientPrivilege: self = .notPermitted(error.message)
        case .configurationLimitExceeded: self = .storeIsFull(error.message)
        default: self = .database(error)
        }
    }
}

extension QueueError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .invalid(let error): error.description
        case .keyConflict(let message), .notPermitted(let message), .storeIsFull(let message): message
        case .database(let error): error.description
        case .schema(let error): error.description
        case .unknownLabel(let error): error.description
        case .blocked(let reasons): "workers cannot run here: \(reasons.joined(separator: "; "))"
        case .canceled: "the call was canceled"
        case .stopped: "the client is stopped: its run() has ended"
        case .alreadyRun: "run() was called before; make another client or other workers"
        case .unexpected(let error): "unexpected error: \(error)"
        }
    }
}
