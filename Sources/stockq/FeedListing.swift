import CommandLineKit
import StockQueue
import StockQueuePostgres

/// What the commands `notifications` and `changes` do with their feeds: show what there is, then follow what comes.
struct FeedListing<Value: Sendable, Cursor: LosslessStringConvertible & Sendable> {
    typealias Row = FeedRow<Value, Cursor>
    typealias Follower = FeedFollower<Value, Cursor>

    /// Where the listing begins.
    enum Start {
        /// With the newest rows.
        case newest(@Sendable (Inspector, Int) throws -> [Row])
        /// So long ago.
        case since(Duration)
        case after(Cursor)
    }

    let start: Start
    /// The most rows before `follow` waits for new ones; nil for all.
    let limit: Int?
    let follows: Bool
    let json: Bool
    /// The only store that is shown.
    let store: String?
    /// A row for people.
    let line: (Value) -> String
    /// The columns of a CSV, and how it is written; nil for lines.
    var csv: (columns: [String], form: CSVForm)?
    /// Which rows are shown; nil for all.
    var isShown: ((Value) -> Bool)?
    /// A follower of the chosen stores.
    let follower: (Inspector, Cursor) -> Follower
    /// The cursor after which the rows of a span of seconds begin; nil for those that are still to come.
    let findCursor: (Inspector, Int64?) throws -> Cursor

    /// Rows read by one statement.
    private static var rowsMax: Int { 10_000 }
    private static var newestMax: Int { 100 }
    /// Among so many of the newest rows those are looked for that `isShown` chooses.
    static var searchedMax: Int { 10_000 }
    private static var pollMs: Int { 250 }

    func run(_ input: ParsedCommand) throws -> ExitCode {
        let (connection, schema) = try Database.open(
            input, timeout: follows ? ReconnectingReader.callTimeout : .seconds(300))
        try UnknownStore.warn(store, connection, schema)
        if let csv { Terminal.print(exactly: csv.form.heading(csv.columns)) }
        let cursor = try showFirst(Inspector(connection: connection, schema: schema))
        guard follows else { return .success }
        let stop = StopSignal()
        Signals.handle { stop.finish() }
        var reader = ReconnectingReader(input, connection, schema, stop: stop)
        Terminal.note("continue with --after \(try showNew(&reader, after: cursor, stop))")
        return .success
    }

    /// Shows the rows that there are.
    ///
    /// - Returns: the cursor after them.
    private func showFirst(_ inspector: Inspector) throws -> Cursor {
        var cursor: Cursor
        switch start {
        case .newest(let newest):
            let shownMax = limit ?? Self.newestMax
            let rows = try newest(inspector, isShown == nil ? shownMax : Self.searchedMax)
            for row in rows.filter(isChosen).suffix(shownMax) { try show(row) }
            return try rows.last?.cursor ?? findCursor(inspector, nil)
        case .since(let age): cursor = try findCursor(inspector, age.wholeSeconds)
        case .after(let given): cursor = given
        }
        var remaining = limit ?? Int.max
        while remaining > 0, Terminal.outputProblem == nil {
            var follower = follower(inspector, cursor)
            let rows = try follower.next(limit: isShown == nil ? min(remaining, Self.rowsMax) : Self.rowsMax)
            if rows.isEmpty { return cursor }
            cursor = follower.cursor
            for row in rows where isChosen(row) && remaining > 0 {
                try show(row)
                remaining -= 1
                if remaining == 0 { cursor = row.cursor }
            }
        }
        if !follows { Terminal.note("there may be more; continue with --after \(cursor)") }
        return cursor
    }

    private func showNew(_ reader: inout ReconnectingReader, after start: Cursor, _ stop: StopSignal) throws -> Cursor {
        var cursor = start
        while Terminal.outputProblem == nil, !stop.wait(milliseconds: Self.pollMs) {
            let next = try reader.read { connection, schema in
                var follower = follower(Inspector(connection: connection, schema: schema), cursor)
                for row in try follower.next(limit: Self.rowsMax) where isChosen(row) { try show(row) }
                return follower.cursor
            }
            cursor = next ?? cursor
        }
        return cursor
    }

    private func isChosen(_ row: Row) -> Bool { isShown?(row.value) ?? true }

    private func show(_ row: Row) throws {
        if let csv {
            let object = try stockq.Row(json: row.json)
            Terminal.print(exactly: csv.form.line(csv.columns.map { object[$0] }))
        } else {
            Terminal.print(json ? row.json : line(row.value))
        }
    }
}

/// The options that the commands of feeds share.
struct FeedOptions<Cursor: LosslessStringConvertible & Sendable> {
    let since: Option<Duration?>
    let after: Option<Cursor?>
    let limit: Option<Int?>
    let follow: Flag
    let json: Flag
    let store: Option<String?>

    /// - Parameter withoutStart: where the listing begins without --since and --after.
    init(withoutStart: String, limitText: String, cursor: ValueType<Cursor>) {
        since = Option("since", .pastSpan, defaultText: withoutStart, help: "from this time, or this long ago, on")
        after = Option(
            "after", cursor,
            help: "from this cursor on, which --json gives with each row and --follow at its end")
        limit = Option(
            "limit", .wholeNumber(1...1_000_000), defaultText: limitText,
            help: "at most N rows before --follow waits for new ones")
        follow = Flag("follow", help: "continue with new ones until interrupted; a lost connection is made again")
        json = Flag("json", help: "one JSON object a line, with the cursor after it")
        store = Option("store", .text("STORE"), help: "only this store")
    }

    var all: [any Parameter] { [since, after, store, limit, follow, json] }
}

extension ValueType where Value: LosslessStringConvertible {
    /// - Parameter example: what a cursor looks like.
    static func cursor(_ example: String) -> Self {
        Self("CURSOR", shape: .text(bytes: nil), expectation: "a cursor like \(example)") { Value($0) }
    }
}
