import CommandLineKit
import Foundation
import StockQueue
import StockQueuePostgres

/// The connection to the database, from the command line and the environment.
enum Database {
    static let url = Option(
        "database-url", .text("URL"), defaultText: "DATABASE_URL, else libpq's PGHOST, PGDATABASE, …",
        help: "the database"
    ).configurable
    private static let schema = Option(
        "schema", .schema, defaultText: QueueSchema.defaultName, help: "the queue's schema"
    ).configurable
    private static let pooled = Flag(
        "pooled", help: "the database is behind a pooler in transaction mode (PgBouncer)"
    ).configurable

    static let options: [any Parameter] = [url, schema, pooled, TimeText.utc]

    static func settings(_ input: ParsedCommand) throws -> ConnectionSettings {
        let environment = ProcessInfo.processInfo.environment
        var settings = ConnectionSettings(
            conninfo: conninfo(input), applicationName: "stockq \(input.spec.name)")
        settings.pooled = input[pooled]
        if let file = environment["DATABASE_PASSWORD_FILE"] {
            guard let password = try? String(contentsOfFile: file, encoding: .utf8) else {
                throw Failure("cannot read the password from DATABASE_PASSWORD_FILE \(file)")
            }
            settings.password = password.trimmingCharacters(in: .newlines)
        }
        return settings
    }

    private static func conninfo(_ input: ParsedCommand) -> String {
        input.isGiven(url) ? input[url] ?? "" : entry(input)?.text ?? ""
    }

    /// The database of the environment or of the file. `DATABASE_URL` is the environment's as much as
    /// `STOCKQ_DATABASE_URL`, so it comes before the file.
    static func entry(_ input: ParsedCommand) -> Configuration.Entry? {
        let entry = input.configuration.entry(of: url.info)
        if case .environment? = entry?.source { return entry }
        return ProcessInfo.processInfo.environment["DATABASE_URL"].map {
            Configuration.Entry(text: $0, source: .environment("DATABASE_URL"))
        } ?? entry
    }

    static func schema(_ input: ParsedCommand) -> QueueSchema { input[schema] ?? .standard }

    /// Connects and checks that the schema is at this program's version.
    ///
    /// - Parameter timeout: long by default, because scans of a large store are slow.
    static func open(_ input: ParsedCommand, timeout: Duration = .seconds(300)) throws -> (Connection, QueueSchema) {
        let schema = schema(input)
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

    /// A connection string without the password in it.
    static func masked(_ conninfo: String) -> String {
        guard let secret = ConnectionString.secretBytes(in: conninfo) else { return conninfo }
        let bytes = Array(conninfo.utf8)
        return String(
            decoding: bytes[..<secret.lowerBound] + Array("***".utf8) + bytes[secret.upperBound...], as: UTF8.self)
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
