import CommandLineKit
import Foundation
import StockQueue
import StockQueuePostgres

/// Where the database is, from the command line and the environment.
enum Database {
    static let options = [
        Option("database-url", "URL", "the database; default: DATABASE_URL, else libpq's PGHOST, PGDATABASE, …"),
        Option("schema", "NAME", "the queue's schema; default: STOCKQ_SCHEMA, else \(QueueSchema.defaultName)"),
        Option("pooled", nil, "the database is behind a pooler in transaction mode (PgBouncer)"),
    ]

    static func settings(_ arguments: Arguments, pooled: Bool? = nil) throws -> ConnectionSettings {
        let environment = ProcessInfo.processInfo.environment
        var settings = ConnectionSettings(
            conninfo: arguments.text("database-url") ?? environment["DATABASE_URL"] ?? "",
            applicationName: "stockq \(arguments.usage.command)")
        settings.pooled = pooled ?? arguments.has("pooled")
        if let file = environment["DATABASE_PASSWORD_FILE"] {
            guard let password = try? String(contentsOfFile: file, encoding: .utf8) else {
                throw Failure("cannot read the password from DATABASE_PASSWORD_FILE \(file)")
            }
            settings.password = password.trimmingCharacters(in: .newlines)
        }
        return settings
    }

    static func schema(_ arguments: Arguments) throws -> QueueSchema {
        let name =
            arguments.text("schema") ?? ProcessInfo.processInfo.environment["STOCKQ_SCHEMA"] ?? QueueSchema.defaultName
        guard let schema = QueueSchema(name) else {
            throw UsageError("'\(name)' cannot name a schema: 1 to 63 bytes, not beginning with pg_", arguments.usage)
        }
        return schema
    }

    /// Connects and checks that the schema is at this program's version.
    static func open(_ arguments: Arguments, timeoutMs: Int? = nil) throws -> (Connection, QueueSchema) {
        let schema = try schema(arguments)
        var settings = try settings(arguments)
        // Scans over everything are slow on a large store, and that is no fault.
        settings.callTimeout = .milliseconds(timeoutMs ?? 300_000)
        settings.session = [("jit", "off")]
        let connection = try Connection(settings)
        try Migrator(connection: connection, schema: schema).check()
        return (connection, schema)
    }

    /// Overwrites the password of a database URL in the process list (`/proc/PID/cmdline`), as other programs do that
    /// take one on the command line.
    static func hidePasswordInProcessList() {
        for index in 1..<max(1, Int(CommandLine.argc)) {
            guard let argument = CommandLine.unsafeArgv[index] else { continue }
            let text = String(cString: argument)
            guard let range = passwordRange(in: text) else { continue }
            let start = text.utf8.distance(from: text.startIndex, to: range.lowerBound)
            let length = text.utf8.distance(from: range.lowerBound, to: range.upperBound)
            for offset in start..<(start + length) { argument[offset] = CChar(UInt8(ascii: "*")) }
        }
    }

    private static func passwordRange(in text: String) -> Range<String.Index>? {
        if let match = text.firstMatch(of: /:\/\/[^\/@:]*:([^\/@]*)@/) {
            return match.output.1.startIndex..<match.output.1.endIndex
        }
        if let match = text.firstMatch(of: /password=([^\s&]*)/) {
            return match.output.1.startIndex..<match.output.1.endIndex
        }
        return nil
    }
}

extension Usage {
    /// - Parameter usesDatabase: takes the options that name the database.
    init(
        command: String, positionals: String = "", positionalCount: ClosedRange<Int> = 0...0, summary: String,
        options: [Option] = [], usesDatabase: Bool = true, notes: String = ""
    ) {
        self.init(
            command: command, positionals: positionals, positionalCount: positionalCount, summary: summary,
            optionsWithoutHelp: options + (usesDatabase ? Database.options : []), notes: notes)
    }
}

/// A failure with its message; exit code 1.
struct Failure: Error {
    var message: String

    init(_ message: String) { self.message = message }
}
