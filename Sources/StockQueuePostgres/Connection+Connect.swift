internal import CLibPQ
import Foundation

/// Connecting, and the errors of the server and of libpq.
extension Connection {
    static func connect(_ settings: ConnectionSettings) -> OpaquePointer? {
        // libpq expands a whole connection string in `dbname`: the string overrides the parameters before it, and those
        // after it override the string.
        var words: [(String, String)] = [
            ("connect_timeout", String(max(2, (settings.connectTimeout.milliseconds + 999) / 1_000))),
            ("keepalives", "1"),
            ("keepalives_idle", String(settings.keepalive.idle.wholeSeconds)),
            ("keepalives_interval", String(settings.keepalive.interval.wholeSeconds)),
            ("keepalives_count", String(settings.keepalive.probes)),
            ("tcp_user_timeout", String(settings.keepalive.unacknowledgedTimeout.milliseconds)),
            ("dbname", settings.conninfo),
            ("client_encoding", "UTF8"),
            ("fallback_application_name", settings.applicationName),
        ]
        if let purpose = settings.purpose {
            let environment = ProcessInfo.processInfo.environment
            words.append(("application_name", settings.sessionName(purpose: purpose, environment: environment)))
        }
        if let password = settings.password { words.append(("password", password)) }
        let names = words.map { strdup($0.0) } + [nil]
        let values = words.map { strdup($0.1) } + [nil]
        defer { for word in names + values { free(word) } }
        return PQconnectdbParams(names.map { UnsafePointer($0) }, values.map { UnsafePointer($0) }, 1)
    }

    /// Every text is bytes of UTF-8 here. In another encoding a text may not fit into the database, and in SQL_ASCII
    /// what is stored may be no text at all.
    static func checkEncoding(_ handle: OpaquePointer) throws(PostgresError) {
        // A pooler may hide the parameter.
        guard let encoding = PQparameterStatus(handle, "server_encoding").map({ String(cString: $0) }),
            encoding != "UTF8"
        else { return }
        throw PostgresError(
            kind: .cannotConnect, sqlState: .featureNotSupported,
            message: "the database is encoded in \(encoding), and stockq needs UTF8; create one with: "
                + "CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0")
    }

    /// libpq reports the SQLSTATE of a rejected connection only in its message, so the known ones are recognized there.
    static func sqlState(ofRejection message: String, passwordMissing: Bool) -> SQLState? {
        if passwordMissing || message.contains("password authentication failed") { return .invalidPassword }
        if message.contains("database") && message.contains("does not exist") { return .unknownDatabase }
        if message.contains("role") && message.contains("does not exist") { return .invalidAuthorization }
        if message.contains("no pg_hba.conf entry") { return .invalidAuthorization }
        // Of the server; of a role or a database with a limit of its own; the slots that are left are reserved.
        if ["too many clients", "too many connections", "remaining connection slots"].contains(where: message.contains)
        {
            return .tooManyConnections
        }
        if message.contains("the database system is") { return .cannotConnectNow }
        return nil
    }

    func error(of result: OpaquePointer, statement: String?) -> PostgresError {
        func field(_ code: stockq_diag) -> String? {
            PQresultErrorField(result, Int32(code.rawValue)).map { String(cString: $0) }
        }
        guard let sqlState = field(stockq_diag_sqlstate) else {
            return PostgresError(
                kind: .connectionLost, message: Self.sanitized(PQresultErrorMessage(result)), statement: statement)
        }
        return PostgresError(
            kind: .server, sqlState: SQLState(rawValue: sqlState),
            message: field(stockq_diag_message) ?? "unknown error",
            detail: field(stockq_diag_detail), hint: field(stockq_diag_hint) ?? poolerHint(sqlState),
            constraint: field(stockq_diag_constraint), table: field(stockq_diag_table), statement: statement)
    }

    /// Names of prepared statements are this connection's own, so only a pooler that changes the server's session in
    /// between can make one appear or vanish.
    private func poolerHint(_ sqlState: String) -> String? {
        let states = [SQLState.duplicatePreparedStatement, .unknownPreparedStatement]
        guard !settings.pooled, states.contains(SQLState(rawValue: sqlState)) else { return nil }
        return "The database seems to be behind a pooler in transaction mode (PgBouncer): use --pooled, or "
            + "ConnectionSettings.pooled."
    }
}
