/// The settings of PostgreSQL that this program relies on, with the values that it relies on.
///
/// Every session gets them, so `ALTER DATABASE … SET`, `ALTER ROLE … SET`, postgresql.conf and PGOPTIONS change no
/// result, stop no statement and decide no plan of this program. `ConnectionSettings.session` overrides single ones.
///
/// Not here: `search_path`, because a user's own triggers may depend on it, while every statement of this program names
/// its schema; `synchronous_commit` and the storage settings, which are the administrator's to choose;
/// `session_replication_role`, which only a superuser may set. PostgreSQL manual, chapter 20 "Server Configuration".
enum PinnedSettings {
    typealias Setting = (name: String, value: String)

    /// - Parameter serverVersion: for instance 150018.
    static func all(serverVersion: Int) -> [Setting] {
        let known = timeouts + transactions + texts + plans
        return known.filter { $0.sinceVersion <= serverVersion }.map { ($0.name, $0.value) }
    }

    private typealias Entry = (name: String, value: String, sinceVersion: Int)

    /// The caller's deadline bounds a call; a service of a worker process sets limits of its own.
    private static let timeouts: [Entry] = [
        ("statement_timeout", "0", 0),
        ("lock_timeout", "0", 0),
        ("idle_in_transaction_session_timeout", "0", 0),
        ("idle_session_timeout", "0", 140_000),
        ("transaction_timeout", "0", 170_000),
        // When this program gives a call up or is killed, the server ends the call's statement, and with it its locks.
        ("client_connection_check_interval", "2s", 140_000),
        ("exit_on_error", "off", 0),
    ]

    private static let transactions: [Entry] = [
        // Each statement must see what the lock before it waited for.
        ("default_transaction_isolation", "read committed", 0),
        ("default_transaction_read_only", "off", 0),
        ("default_transaction_deferrable", "off", 0),
        ("row_security", "on", 0),
    ]

    /// How texts in SQL are read, and how values become texts.
    private static let texts: [Entry] = [
        ("standard_conforming_strings", "on", 0),
        ("transform_null_equals", "off", 0),
        ("array_nulls", "on", 0),
        ("quote_all_identifiers", "off", 0),
        ("client_encoding", "UTF8", 0),
        ("DateStyle", "ISO, MDY", 0),
        ("IntervalStyle", "postgres", 0),
        ("TimeZone", "UTC", 0),
        ("bytea_output", "hex", 0),
        ("extra_float_digits", "1", 0),
    ]

    private static let plans: [Entry] = [
        // Compiling a statement costs 300 ms; few run that long.
        ("jit", "off", 0),
        ("plan_cache_mode", "auto", 0),
    ]
}
