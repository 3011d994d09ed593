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

    static let options: [any Parameter] = [url, schema, pooled, TimeText.utc]

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
            throw input.usageError("STOCKQ_SCHEMA takes \(QueueSchema.nameRule), not '\(name.shown)'")
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
        let connection = try Connection(settings)
        try Migrator(connection: connection, schema: schema).check()
        return (connection, schema)
    }

    /// Overwrites passwords of database URLs in the process list (`/proc/PID/cmdline`), as other programs do that
    /// accept one on the command line.
    static func hidePasswordInProcessList() {
        for index in 1..<max(1, Int(CommandLine.argc)) {
            guard let argument = CommandLine.unsafeArgv[index], let secret = secretBytes(String(cString: argument))
            else { continue }
            for offset in secret { argument[offset] = CChar(UInt8(ascii: "*")) }
        }
    }

    /// A message that quotes an argument, without the password in it.
    static func hidingPasswords(in message: String) -> String {
        CommandLine.arguments.reduce(message) { message, argument in
            guard let secret = secretBytes(argument) else { return message }
            let bytes = Array(argument.utf8)[secret]
            return message.replacingOccurrences(of: String(decoding: bytes, as: UTF8.self), with: "***")
        }
    }

    /// The bytes of an argument that are a password.
    private static func secretBytes(_ argument: String) -> Range<Int>? {
        let option = "--\(url.info.name)="
        let start = argument.hasPrefix(option) ? option.utf8.count : 0
        let value = String(decoding: argument.utf8.dropFirst(start), as: UTF8.self)
        return ConnectionString.secretBytes(in: value).map { ($0.lowerBound + start)..<($0.upperBound + start) }
    }
}

extension ValueType where Value == QueueSchema {
    fileprivate static var schema: Self {
        Self("NAME", shape: .text(bytes: QueueSchema.nameBytes), expectation: QueueSchema.nameRule) { QueueSchema($0) }
    }
}
