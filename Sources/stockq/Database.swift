import CommandLineKit
import Foundation
import StockQueue
import StockQueuePostgres

/// The connection to the database, from the command line and the environment.
enum Database {
    private static let url = Option(
        "database-url", .text("URL"), defaultText: "DATABASE_URL, else libpq's PGHOST, PGDATABASE, …",
        help: "the database")
    private static let schema = Option(
        "schema", .schema, defaultText: "STOCKQ_SCHEMA, else \(QueueSchema.defaultName)", help: "the queue's schema")
    private static let pooled = Flag("pooled", help: "the database is behind a pooler in transaction mode (PgBouncer)")

    static let options: [any Parameter] = [url, schema, pooled]

    static func settings(_ input: ParsedCommand) throws -> ConnectionSettings {
        let environment = ProcessInfo.processInfo.environment
        var settings = ConnectionSettings(
            conninfo: input[url] ?? environment["DATABASE_URL"] ?? "", applicationName: "stockq \(input.spec.name)")
        settings.pooled = input[pooled]
        if let file = environment["DATABASE_PASSWORD_FILE"] {
            guard let password = try? String(contentsOfFile: file, encoding: .utf8) else {
                throw Failure("cannot read the password from DATABASE_PASSWORD_FILE \(file)")
            }
            settings.password = password.trimmingCharacters(in: .newlines)
        }
        return settings
    }

    static func schema(_ input: ParsedCommand) throws -> QueueSchema {
        if let schema = input[schema] { return schema }
        guard let name = ProcessInfo.processInfo.environment["STOCKQ_SCHEMA"] else { return .standard }
        guard let schema = QueueSchema(name) else {
            throw input.usageError("STOCKQ_SCHEMA takes \(QueueSchema.nameRule), not '\(name.printable)'")
        }
        return schema
    }

    /// Connects and checks that the schema is at this program's version.
    ///
    /// - Parameter timeout: long by default, because scans of a large store are slow.
    static func open(_ input: ParsedCommand, timeout: Duration = .seconds(300)) throws -> (Connection, QueueSchema) {
        let schema = try schema(input)
        var settings = try settings(input)
        settings.callTimeout = timeout
        settings.session = [("jit", "off")]
        let connection = try Connection(settings)
        try Migrator(connection: connection, schema: schema).check()
        return (connection, schema)
    }

    /// Overwrites the password of a database URL in the process list (`/proc/PID/cmdline`), as other programs do that
    /// accept one on the command line.
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

extension QueueSchema {
    fileprivate static let nameRule = "a name of 1 to 63 bytes that does not begin with pg_"
}

extension ValueType where Value == QueueSchema {
    fileprivate static var schema: Self {
        Self("NAME", shape: .text(bytes: 1...63), expectation: QueueSchema.nameRule) { QueueSchema($0) }
    }
}
