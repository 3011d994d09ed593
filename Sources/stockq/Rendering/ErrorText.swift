import CommandLineKit
import StockModel
import StockQueue
import StockQueuePostgres

/// Errors as sentences: what is wrong, and what to do about it.
enum ErrorText {
    static func explain(_ error: any Error) -> String {
        switch error {
        case let error as PostgresError: explain(error)
        // It may name roles of the database.
        case let error as QueueSchemaError: error.description.printable
        default: "\(error)"
        }
    }

    static func explain(_ error: PostgresError) -> String {
        switch (error.kind, error.sqlState) {
        case (.cannotConnect, .invalidPassword?):
            """
            the server rejected the password: \(error.message)
            Set PGPASSWORD or PGPASSFILE, or put the password into DATABASE_URL.
            """
        case (.cannotConnect, .unknownDatabase?):
            "\(error.message)\nCreate it with: createdb \(databaseName(in: error.message))"
        case (.cannotConnect, .cannotEstablishConnection?), (.cannotConnect, .featureNotSupported?): error.message
        case (.cannotConnect, nil):
            """
            cannot reach the database: \(error.message)
            Is it running, and are --database-url, DATABASE_URL or PGHOST and PGPORT right?
            """
        case (.server, _): serverText(error)
        default: error.description
        }
    }

    /// The name that the server quotes: `database "shop" does not exist`.
    private static func databaseName(in message: String) -> String {
        guard let match = message.firstMatch(of: /database "(.+)" does not exist/) else { return "NAME" }
        let name = String(match.1)
        let isPlain = name.allSatisfy { $0.isLetter || $0.isNumber || "_-.".contains($0) }
        return isPlain && !name.hasPrefix("-") ? name : "NAME"
    }

    private static let columnsMax = 2_000

    /// Without the statement's name, which belongs into the log of a worker.
    private static func serverText(_ error: PostgresError) -> String {
        var message = error.message.printable
        if error.sqlState == .insufficientPrivilege { message += ": this user lacks a privilege" }
        if let sqlState = error.sqlState { message += " (SQLSTATE \(sqlState))" }
        let hint = error.hint ?? error.constraint.flatMap(hint)
        // A value that the server quotes may be of any length.
        return ([message] + [error.detail, hint].compactMap { $0?.printable })
            .map { $0.cut(toColumns: columnsMax) }.joined(separator: "\n")
    }

    /// The limits that administrators change.
    private static func hint(_ constraint: String) -> String? {
        switch constraint {
        case "jobs_run_at_limit", "jobs_expires_at_limit": "The time is too far ahead: \(JobRequest.timeLimitAdvice)."
        case "jobs_reason_listed": "stockq reasons list shows the reasons that are allowed."
        default: nil
        }
    }
}
