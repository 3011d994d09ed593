/// What went wrong with a call to PostgreSQL.
///
/// `description` is safe to log: it never carries parameter values or a password. `detail`, which may quote
/// row values, shows only in `debugDescription`.
public struct PostgresError: Error, Sendable, Hashable {
    public enum Kind: Sendable, Hashable {
        /// The server answered with an error; `sqlState` says which.
        case server
        /// The connection could not be made. With a `sqlState` the server itself rejected it (a wrong password,
        /// an unknown database); without one it was not reached.
        case cannotConnect
        /// The connection broke while in use. What was in flight may or may not have happened.
        case connectionLost
        /// The client-side deadline passed. The connection is closed; what was in flight may or may not have happened.
        case deadline
        /// The caller's stop signal fired while the call was waiting. The connection is closed.
        case interrupted
        /// The server or the caller broke a rule of the protocol, for instance a value of an unexpected type.
        case protocolViolation
        /// A statement changed another number of rows than it was sent for, which a trigger or a rule can cause. The
        /// transaction has to be rolled back.
        case unexpectedRowCount
    }

    public let kind: Kind
    /// Five characters, see the PostgreSQL manual, appendix A "PostgreSQL Error Codes". Nil where the server said
    /// nothing.
    public let sqlState: SQLState?
    public let message: String
    public let detail: String?
    public let hint: String?
    public let constraint: String?
    /// The table that the server names.
    public let table: String?
    /// The name of the statement that failed, where one was running.
    public internal(set) var statement: String?

    public init(
        kind: Kind, sqlState: SQLState? = nil, message: String, detail: String? = nil, hint: String? = nil,
        constraint: String? = nil, table: String? = nil, statement: String? = nil
    ) {
        self.kind = kind
        self.sqlState = sqlState
        self.message = message
        self.detail = detail
        self.hint = hint
        self.constraint = constraint
        self.table = table
        self.statement = statement
    }

    /// The server takes no writes: it is a standby, or has become one. Another host of the connection string may be the
    /// primary.
    public var isReadOnlyServer: Bool {
        guard kind == .server else { return false }
        return sqlState == .readOnlyTransaction
            || sqlState == .featureNotSupported && statement == Statement.beginForWriting.name
    }

    /// The failure is transient: the server is unreachable, starting, stopping (57P0x) or out of connection slots
    /// (53300), or the connection was lost. A wrong password and an unknown database are not.
    public var isTransient: Bool {
        switch kind {
        case .cannotConnect: sqlState.map { $0.endsSession || $0 == .tooManyConnections } ?? true
        case .connectionLost, .deadline: true
        case .server: isConnectionFatal
        case .interrupted, .protocolViolation, .unexpectedRowCount: false
        }
    }

    /// The connection cannot be used any more and has to be made anew.
    public var isConnectionFatal: Bool {
        switch kind {
        case .cannotConnect, .connectionLost, .deadline, .interrupted: true
        case .protocolViolation: true
        // Class 57P0x is operator intervention: the server ends the session right after it has reported the error.
        case .server: sqlState?.endsSession ?? false
        case .unexpectedRowCount: false
        }
    }
}

extension PostgresError: CustomStringConvertible, CustomDebugStringConvertible {
    public var description: String {
        var text = message
        if let sqlState { text += " (SQLSTATE \(sqlState))" }
        if let statement { text += " in statement \(statement)" }
        return text
    }

    public var debugDescription: String {
        var text = description
        if let detail { text += "; detail: \(detail)" }
        if let hint { text += "; hint: \(hint)" }
        if let constraint { text += "; constraint: \(constraint)" }
        return text
    }
}
