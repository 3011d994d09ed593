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
        if let password = settings.password { words.append(("password", password)) }
        let names = words.map { strdup($0.0) } + [nil]
        let values = words.map { strdup($0.1) } + [nil]
        defer { for word in names + values { free(word) } }
        return PQconnectdbParams(names.map { UnsafePointer($0) }, values.map { UnsafePointer($0) }, 1)
    }

    /// libpq quotes an unreadable string, password and all, in its message; so the message is our own.
    static func checkReadable(_ conninfo: String) throws(PostgresError) {
        var message: UnsafeMutablePointer<CChar>?
        if let options = PQconninfoParse(conninfo, &message) {
            PQconninfoFree(options)
            return
        }
        // A plain word is a database name, which the parser does not take and PQconnectdbParams does.
        if let message { PQfreemem(message) }
        if !conninfo.contains(where: { "=@:/".contains($0) }) { return }
        throw PostgresError(
            kind: .cannotConnect, sqlState: .cannotEstablishConnection,
            message: "the database URL cannot be read; it looks like postgresql://user:password@host:5432/database"
        )
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

    static func error(of result: OpaquePointer, statement: String?, handle: OpaquePointer) -> PostgresError {
        func field(_ code: stockq_diag) -> String? {
            PQresultErrorField(result, Int32(code.rawValue)).map { String(cString: $0) }
        }
        guard let sqlState = field(stockq_diag_sqlstate) else {
            return PostgresError(
                kind: .connectionLost, message: sanitized(PQresultErrorMessage(result)), statement: statement)
        }
        return PostgresError(
            kind: .server, sqlState: SQLState(rawValue: sqlState),
            message: field(stockq_diag_message) ?? "unknown error",
            detail: field(stockq_diag_detail), hint: field(stockq_diag_hint),
            constraint: field(stockq_diag_constraint), statement: statement)
    }
}
