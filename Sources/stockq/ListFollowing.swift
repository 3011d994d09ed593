import CommandLineKit
import StockFormats
import StockQueue
import StockQueuePostgres

/// What `--follow` of `jobs list` and `results list` does: reads new rows until interrupted, each once.
///
/// A row may become visible after one with a later id or time, because transactions commit in any order. So the rows
/// behind the last complete mark (`CommitMarks`) are read again, and those that were shown are left out.
struct ListFollowing {
    static let follow = Flag(
        "follow", help: "then show new rows as they come, until interrupted; a lost connection is made again")

    /// Rows that one statement reads.
    static let pageMax = 10_000
    private static let pollMs = 250

    /// Reads rows that may be new, the oldest first, as of the last complete mark.
    typealias Read = (Inspector, _ complete: CommitMark) throws -> [String]

    private let input: ParsedCommand
    private let listing: RowTable
    private let read: Read
    /// Whether a row is older than a complete mark, so that it is not read again.
    private let isBefore: (Row, CommitMark) -> Bool

    init(
        _ input: ParsedCommand, _ listing: RowTable, isBefore: @escaping (Row, CommitMark) -> Bool,
        read: @escaping Read
    ) {
        (self.input, self.listing, self.isBefore, self.read) = (input, listing, isBefore, read)
    }

    static func mark(_ inspector: Inspector) throws -> CommitMark {
        let row = try Row(json: inspector.rows(of: CommitMarkList())[0])
        let at = RFC3339.microsecondsSince2000(Array(row["at"].utf8)[...])
        return CommitMark(
            at: Timestamp(microsecondsSince2000: at ?? 0), lastJob: row.number("last_job") ?? 0,
            open: Set(row["open"].split(separator: " ").map(String.init)))
    }

    /// - Parameters:
    ///   - start: read before the first rows were.
    ///   - shown: the rows that were shown already.
    func run(from start: CommitMark, shown: [String], _ connection: Connection, _ schema: QueueSchema) throws {
        let stop = StopSignal()
        Signals.handle { stop.finish() }
        var reader = ReconnectingReader(input, connection, schema, stop: stop)
        var marks = CommitMarks(from: start)
        var seen: [String: Row] = [:]
        for row in try shown.map({ try Row(json: $0) }) { seen[row["job_id"]] = row }
        while Terminal.outputProblem == nil, !stop.wait(milliseconds: Self.pollMs) {
            let (previous, seenSoFar) = (marks.complete, seen)
            let next = try reader.read { connection, schema in
                let inspector = Inspector(connection: connection, schema: schema)
                let mark = try Self.mark(inspector)
                // After the mark, so that the rows from before a mark that it completes are among these.
                return (mark, try read(inspector, previous).filter { seenSoFar[try Row(json: $0)["job_id"]] == nil })
            }
            guard let (mark, rows) = next else { return }
            try listing.printLines(rows, input)
            for row in try rows.map({ try Row(json: $0) }) { seen[row["job_id"]] = row }
            // A full page may have left out older rows.
            if rows.count < Self.pageMax { marks.advance(to: mark) }
            seen = seen.filter { !isBefore($0.value, marks.complete) }
        }
    }
}
