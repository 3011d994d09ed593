import CommandLineKit
import StockQueue

enum NotificationsCommand: Command {
    private static let since = Option(
        "since", .duration, defaultText: "the last --limit", help: "from this long ago on")
    private static let after = Option(
        "after", .cursor, help: "from this cursor on, which --json gives with each notification and --follow at its end"
    )
    private static let limit = Option(
        "limit", .wholeNumber(1...1_000_000), defaultText: "100, with --since and --after all",
        help: "at most N notifications before --follow waits for new ones")
    private static let follow = Flag(
        "follow", help: "continue with new ones until interrupted; a lost connection is made again")
    private static let json = Flag("json", help: "one JSON object a line, with the cursor after it")

    static let spec = CommandSpec(
        "notifications", "Shows which items became low, ran out, or came back.",
        options: [since, after, limit, follow, json], usesDatabase: true,
        examples: [
            .init("Show the last day's notifications.", "--since", "24h"),
            .init("Follow new ones as JSON.", "--follow", "--json"),
            .init("Go on where another call ended.", "--after", "57:12-14", "--follow"),
        ],
        notes: [
            "A cursor has the id of the last notification and the ids before it that were not committed yet. A reader that "
                + "stores the cursor of the last line that it has processed misses none."
        ])

    /// Rows read by one statement.
    private static let rowsMax = 10_000
    private static let pollMs = 250

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        if input.isGiven(since) && input.isGiven(after) { throw input.usageError("give --since or --after, not both") }
        let (connection, schema) = try Database.open(
            input, timeout: input[follow] ? ReconnectingReader.callTimeout : .seconds(300))
        let inspector = Inspector(connection: connection, schema: schema)
        let cursor = try showFirst(inspector, input)
        guard input[follow] else { return .success }
        let stop = StopSignal()
        Signals.handle { stop.finish() }
        var reader = ReconnectingReader(input, connection, schema, stop: stop)
        let last = try followNew(&reader, after: cursor, stop, input)
        Terminal.note("continue with --after \(last)")
        return .success
    }

    /// Shows the notifications that there are.
    ///
    /// - Returns: the cursor after them.
    private static func showFirst(_ inspector: Inspector, _ input: ParsedCommand) throws -> NotificationCursor {
        var start = input[after]
        if let since = input[since] { start = try inspector.notificationCursor(secondsAgo: since.wholeSeconds) }
        guard let start else { return try showLast(inspector, limit: input[limit] ?? 100, json: input[json]) }
        var follower = NotificationFollower(inspector: inspector, after: start)
        var remaining = input[limit] ?? Int.max
        while remaining > 0, Terminal.outputProblem == nil {
            let rows = try follower.next(limit: min(remaining, rowsMax)) { show($0, $1, json: input[json]) }
            if rows.isEmpty { return follower.cursor }
            remaining -= rows.count
        }
        if !input[follow] { Terminal.note("there may be more; continue with --after \(follower.cursor)") }
        return follower.cursor
    }

    private static func showLast(_ inspector: Inspector, limit: Int, json: Bool) throws -> NotificationCursor {
        // The one before them shows which ids before the first are missing.
        var rows = try inspector.lastNotifications(limit: limit + 1)[...]
        var cursor = NotificationCursor.beginning
        if rows.count > limit, let before = rows.popFirst() { cursor = NotificationCursor(after: before.value) }
        for row in rows {
            cursor.advance(past: row.value.id)
            show(row, cursor, json: json)
        }
        return cursor
    }

    private static func followNew(
        _ reader: inout ReconnectingReader, after start: NotificationCursor, _ stop: StopSignal, _ input: ParsedCommand
    ) throws -> NotificationCursor {
        var cursor = start
        while Terminal.outputProblem == nil, !stop.wait(milliseconds: pollMs) {
            let next = try reader.read { connection, schema in
                var follower = NotificationFollower(
                    inspector: Inspector(connection: connection, schema: schema), after: cursor)
                try follower.next(limit: rowsMax) { show($0, $1, json: input[json]) }
                return follower.cursor
            }
            cursor = next ?? cursor
        }
        return cursor
    }

    // MARK: what it prints

    private static func show(_ row: JSONRow<StockNotification>, _ cursor: NotificationCursor, json: Bool) {
        Terminal.print(json ? row.json.dropLast() + ",\"cursor\":\"\(cursor)\"}" : line(row.value))
    }

    private static func line(_ notification: StockNotification) -> String {
        var text = "\(Timestamp(notification.createdAt))  \(notification.kind.rawValue.padding(toWidth: 13))  "
        text += "\(notification.storeID.printable)  \(notification.itemID.printable)"
        if notification.locationID != "main" { text += " at \(notification.locationID.printable)" }
        text += "  available \(grouped(notification.availableBefore)) → \(grouped(notification.availableAfter))"
        if let threshold = notification.lowStockThreshold { text += ", threshold \(grouped(threshold))" }
        return text + ", job \(notification.jobID)"
    }
}

extension ValueType where Value == NotificationCursor {
    fileprivate static var cursor: Self {
        Self("CURSOR", shape: .text(bytes: nil), expectation: "a cursor like 57 or 57:12-14,20") {
            NotificationCursor($0)
        }
    }
}
