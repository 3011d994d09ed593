import StockQueuePostgres

/// The session of a thread that reads the queue for an administrator, shared with no worker. A reading that takes long is
/// given up, and after an error of the connection the next reading connects again.
struct ReadingSession {
    private let settings: ConnectionSettings
    private var connection: Connection?

    /// - Parameters:
    ///   - base: the database.
    ///   - role: what the session is for, in its name.
    ///   - session: its settings, without the time limit.
    init(
        _ base: ConnectionSettings, _ settings: WorkerSettings, role: String,
        session: [(name: String, value: String)], statementTimeout: Duration
    ) {
        let limit = ("statement_timeout", "\(statementTimeout.milliseconds)ms")
        var connection = settings.connection(
            from: base, role: role, session: session.filter { $0.name != limit.0 } + [limit])
        connection.connectTimeout = .seconds(2)
        connection.callTimeout = statementTimeout + .seconds(2)
        self.settings = connection
    }

    /// Connects where there is no connection.
    mutating func open() throws(PostgresError) -> Connection {
        if let connection { return connection }
        let made = try Connection(settings)
        connection = made
        return made
    }

    /// A reading failed.
    mutating func failed(_ error: PostgresError) {
        if error.isConnectionFatal { connection = nil }
    }
}
