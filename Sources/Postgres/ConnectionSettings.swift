/// How to reach the server and how to treat a session there.
public struct ConnectionSettings: Sendable {
    /// A connection URI or a keyword/value string as libpq takes it (PostgreSQL manual, 34.1.1 "Connection Strings");
    /// empty means libpq's own environment variables and defaults. May hold a password, so it is never printed.
    public var conninfo: String
    /// A password that is kept apart from the string, for instance in a file of its own. Never printed.
    public var password: String?
    /// Shown in `pg_stat_activity`.
    public var applicationName: String
    /// How long one host may take to accept a connection. libpq counts in seconds and takes 2 as the least. Default 5,000 ms.
    public var connectTimeoutMs = 5_000
    /// How long any one call may take, COMMIT included, before the client gives the connection up. The server's own
    /// `statement_timeout` does not bound COMMIT, and TCP keepalives do not notice a server that is stopped. Default 30,000 ms.
    public var callTimeoutMs = 30_000
    /// Settings of the session, by their names in PostgreSQL.
    public var session: [(name: String, value: String)] = []
    /// For a pooler in transaction mode (PgBouncer before 1.21): statements are not prepared by name, and the session's
    /// settings are made again at the head of each transaction, because the next one may run on another server session.
    public var pooled = false

    public init(conninfo: String = "", applicationName: String) {
        self.conninfo = conninfo
        self.applicationName = applicationName
    }
}
