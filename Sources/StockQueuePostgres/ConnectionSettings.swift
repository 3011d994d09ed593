/// How to reach the server and how to treat a session there.
public struct ConnectionSettings: Sendable {
    /// A connection URI or a keyword/value string as libpq takes it (PostgreSQL manual, 34.1.1 "Connection Strings");
    /// empty means libpq's own environment variables and defaults. May hold a password, so it is never printed.
    public var conninfo: String
    /// A password that is kept apart from the string, for instance in a file of its own. Never printed.
    public var password: String?
    /// Shown in `pg_stat_activity`, unless the connection string or PGAPPNAME has another name.
    public var applicationName: String
    /// What the session is for in its program; shown behind whichever name the program has.
    package var purpose: String?
    /// How long one host may take to accept a connection, before the next one of a multi-host string is tried. libpq
    /// counts whole seconds, from 2 s on. Default 5 s.
    public var connectTimeout = Duration.seconds(5)
    /// How a connection over TCP notices that the other side is gone. The operating system's own default is two hours.
    public var keepalive = Keepalive()
    /// How long a call may take, COMMIT included, before the client gives the connection up. The server's
    /// `statement_timeout` does not bound COMMIT, and TCP keepalives do not notice a server that is stopped. Default 30
    /// s.
    public var callTimeout = Duration.seconds(30)
    /// Settings of the session, by their names in PostgreSQL. Whatever the database or the role have as defaults, each
    /// session also gets the settings that this program relies on: no timeouts, times in UTC, and others.
    public var session: [(name: String, value: String)] = []
    /// For a pooler in transaction mode (PgBouncer): statements are not prepared by name, and the session's
    /// settings are set again at the head of each transaction, because the next one may run on another server session.
    public var pooled = false

    /// How a connection over TCP notices that the other side's machine, or the network, is gone: a silent connection is
    /// probed, and sent data must be acknowledged. Neither notices a machine whose program does not answer;
    /// `callTimeout` does.
    ///
    /// PostgreSQL manual, 34.1.2 "Parameter Key Words" (`keepalives_idle` and the following, `tcp_user_timeout`).
    public struct Keepalive: Sendable, Hashable {
        /// Silence before the first probe, whole seconds from 1 s to 1 h. Default 5 s.
        public var idle = Duration.seconds(5)
        /// Time between two probes, whole seconds from 1 s to 1 h. Default 1 s.
        public var interval = Duration.seconds(1)
        /// Unanswered probes after which the connection is lost, 1–100. Default 3.
        public var probes = 3
        /// How long sent data may stay unacknowledged. Default 8 s.
        public var unacknowledgedTimeout = Duration.seconds(8)

        public init() {}

        /// The same for the server's side of the session: it frees the locks of a worker whose machine is gone.
        package var ofServer: [(name: String, value: String)] {
            [
                ("tcp_keepalives_idle", "\(idle.wholeSeconds)"),
                ("tcp_keepalives_interval", "\(interval.wholeSeconds)"),
                ("tcp_keepalives_count", "\(probes)"),
                ("tcp_user_timeout", "\(unacknowledgedTimeout.milliseconds)"),
            ]
        }
    }

    public init(conninfo: String = "", applicationName: String) {
        self.conninfo = conninfo
        self.applicationName = applicationName
    }
}

extension ConnectionSettings {
    /// The name of a session with a purpose. PostgreSQL keeps 63 bytes of a name, and replaces those that are not ASCII:
    /// of a longer one the program's part is cut, because sessions are recognized by their purpose.
    func sessionName(purpose: String, environment: [String: String]) -> String {
        let program =
            ConnectionString.value(of: "application_name", in: conninfo) ?? environment["PGAPPNAME"] ?? applicationName
        let shown = program.utf8.map { (0x20..<0x7F).contains($0) ? Character(Unicode.Scalar($0)) : "?" }
        return String(shown.prefix(max(0, Self.nameBytesMax - 1 - purpose.utf8.count))) + " " + purpose
    }

    private static let nameBytesMax = 63
}
