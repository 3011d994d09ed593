import CommandLineKit
import StockQueue
import StockQueuePostgres

/// What to do about an error that says that the user lacks a privilege.
enum MissingRole {
    /// What a command writes at last, where other roles have the privileges for its first steps.
    private static let lastObjects = ["items import": "items"]

    /// `pause needs the role stockq_admin; the owner grants it: GRANT stockq_admin TO reader`
    ///
    /// - Returns: nil where no role of the queue has the privilege, or none is known.
    static func advice(_ error: any Error, _ input: ParsedCommand) -> String? {
        guard let error = error as? PostgresError, error.sqlState == .insufficientPrivilege,
            let match = error.message.firstMatch(of: /permission denied for (?:function|table|view|sequence) (\S+)/),
            let settings = try? Database.settings(input), let connection = try? Connection(settings),
            let found = try? Inspector(connection: connection, schema: Database.schema(input)).roles(
                for: lastObjects[input.spec.name] ?? String(match.1)),
            let role = found.roles.first
        else { return nil }
        let others = found.roles.dropFirst().map { " or \($0)" }.joined()
        return "\(input.spec.name) needs the role \(role)\(others): GRANT \(role) TO \(found.user)"
    }
}
