import CommandLineKit
import Foundation
import StockQueue
import StockQueuePostgres

/// The options that name an import, and what is said of earlier imports of the same file.
struct ImportNaming {
    private static let name = Option(
        "name", .text("NAME", bytes: 1...200), defaultText: "the file's name and a number",
        help: "the import's name in imports list")
    private static let once = Flag(
        "once", help: "end with an error if the same file was imported before; without it only a note says so")

    static let parameters: [any Parameter] = [name, once]

    private let input: ParsedCommand
    private let file: InputFile
    private let kind: ImportRecord.Kind
    /// The import that is to go on.
    private let resumed: String?

    init(_ input: ParsedCommand, _ file: InputFile, _ kind: ImportRecord.Kind, resumed: String? = nil) throws {
        (self.input, self.file, self.kind, self.resumed) = (input, file, kind, resumed)
        if resumed != nil && (input[Self.name] != nil || input[Self.once]) {
            throw input.usageError("--name and --once are for a new import, not for --resume")
        }
        if input[Self.once] && !file.canBeReadTwice {
            throw input.usageError("--once needs a file: what a pipe has is known at its end")
        }
    }

    /// Begins the import's row, or goes on with that of the import that is to be resumed. A dry run has none.
    func begin(_ connection: Connection, _ schema: QueueSchema, isDryRun: Bool) throws -> ImportRecord? {
        if isDryRun {
            try noteEarlier(connection, schema)
            return nil
        }
        let read = ImportRecord.Input(fileName: file.name, sha256: try file.sha256())
        if let resumed {
            return hashed(
                try ImportRecord.resume(resumed, sha256: read.sha256, connection: connection, schema: schema))
        }
        let (record, earlier) = try ImportRecord.begin(
            kind, read, name: input[Self.name], once: input[Self.once], connection: connection, schema: schema)
        guard let record else {
            throw Failure(
                "\(earlier.map(sentence) ?? "the file was imported before"); nothing is imported, because of --once")
        }
        if let earlier { Terminal.note(sentence(earlier)) }
        return hashed(record)
    }

    /// Says of the file of a dry run that it was imported before.
    private func noteEarlier(_ connection: Connection, _ schema: QueueSchema) throws {
        guard let sha256 = try file.sha256() else { return }
        var list = ImportList(limit: 1)
        (list.kind, list.sha256) = (kind, sha256)
        guard let json = try Inspector(connection: connection, schema: schema).rows(of: list).first else { return }
        let row = try Row(json: json)
        Terminal.note(
            Self.importedBefore(row["name"], at: row.time("started_at"), by: row.printable("imported_by")))
    }

    private func hashed(_ record: ImportRecord) -> ImportRecord {
        record.hashAtEnd = file.hashAtEnd
        return record
    }

    private static func importedBefore(_ name: String, at time: String, by user: String) -> String {
        "the same file was imported before: \(word(name)), \(time), by \(user)"
    }

    private func sentence(_ earlier: ImportRecord.Earlier) -> String {
        let name = Self.word(earlier.name)
        let again =
            input[Self.once] || kind == .items
            ? "" : "; lines without an idempotency key are enqueued again, which --once prevents"
        return Self.importedBefore(earlier.name, at: earlier.startedAt.shown, by: earlier.importedBy.printable)
            + (earlier.isFinished
                ? ""
                : earlier.isRunning
                    ? ", which has not ended" : earlier.isInterrupted ? ", which was interrupted" : ", which stopped")
            + (earlier.isFinished || kind == .items ? again : "; --resume \(name) goes on with it")
    }

    /// Notes why an import stopped.
    ///
    /// - Parameter reconnect: for a connection that is lost. Where the server cannot be reached the import counts as
    ///   interrupted.
    static func stop(
        _ record: ImportRecord, because error: any Error, _ connection: Connection, reconnect: () throws -> Connection
    ) {
        let problem = ErrorText.explain(error)
        do {
            try record.stop(because: problem, over: connection)
        } catch {
            guard error.isConnectionFatal, let connection = try? reconnect() else { return }
            try? record.stop(because: problem, over: connection)
        }
    }

    /// A name as a word of a shell command.
    static func word(_ name: String) -> String {
        let isPlain = name.utf8.allSatisfy { byte in
            byte >= 0x80 || (byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z"))
                || (byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")) || "._-/:,+".utf8.contains(byte)
        }
        return isPlain ? name.printable : "'\(name.printable.replacing("'", with: "'\\''"))'"
    }
}
