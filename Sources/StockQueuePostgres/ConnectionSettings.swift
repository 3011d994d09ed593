/// How to reach the server and how to treat a session there.
public struct ConnectionSettings: Sendable {
    /// A connection URI or a keyword/value string as libpq takes it (PostgreSQL manual, 34.1.1 "Connection Strings");
    /// empty means libpq's own environment variables and defaults. May hold a password, so it is never printed.
    public var conninfo: String
    /// A password that is kept apart from the string, for instance in a file of its own. Never printed.
    public var password: String?
    /// Shown in `pg_stat_activity`.
    public var applicationName: String
    /// How long one host may take to accept a connection, before the next one of a multi-host string is tried. libpq counts
    /// in seconds and takes 2 as the least. Default 5,000 ms.
    public var connectTimeoutMs = 5_000
    /// How a connection over TCP notices that the other side is gone. libpq's own default is the operating system's, two hours.
    public var keepalive = Keepalive()
    /// How long any one call may take, COMMIT included, before the client gives the connection up. The server's own
    /// `statement_timeout` does not bound COMMIT, and TCP keepalives do not notice a server that is stopped. Default 30,000 ms.
    public var callTimeoutMs = 30_000
    /// Settings of the session, by their names in PostgreSQL.
    public var session: [(name: String, value: String)] = []
    /// For a pooler in transaction mode (PgBouncer before 1.21): statements are not prepared by name, and the session's
    /// settings are made again at the head of each transaction, because the next one may run on another server session.
    public var pooled = false

    /// How a connection over TCP notices that the other side's machine, or the way to it, is gone: a silent connection is
    /// asked, and what was sent must be acknowledged. A machine that is there with a program that does not answer shows in
    /// neither; for that there is `callTimeoutMs`.
    ///
    /// PostgreSQL manual, 34.1.2 "Parameter Key Words" (`keepalives_idle` and the following, `tcp_user_timeout`).
    public struct Keepalive: Sendable, Hashable {
        /// Silence before the first question. 1–3,600. Default 5 s.
        public var idleSeconds = 5
        /// Between two questions. 1–3,600. Default 1 s.
        public var intervalSeconds = 1
        /// Questions without an answer before the connection is given up. 1–100. Default 3.
        public var probes = 3
        /// How long what was sent may stay unacknowledged. Default 8,000 ms.
        public var unacknowledgedMs = 8_000

        public init() {}

        /// The same for the server's side of the session: a worker whose machine is gone frees its locks by it.
        public var ofServer: [(name: String, value: String)] {
            [
                ("tcp_keepalives_idle", "\(idleSeconds)"), ("tcp_keepalives_interval", "\(intervalSeconds)"),
                ("tcp_keepalives_count", "\(probes)"), ("tcp_user_timeout", "\(unacknowledgedMs)"),
            ]
        }
    }

    public init(conninfo: String = "", applicationName: String) {
        self.conninfo = conninfo
        self.applicationName = applicationName
    }
}
