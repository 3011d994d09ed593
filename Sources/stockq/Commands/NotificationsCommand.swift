import CommandLineKit
import StockQueue

enum NotificationsCommand: Command {
    private static let since = Option(
        "since", .duration, defaultText: "the last --limit", help: "from this long ago on")
    private static let limit = Option(
        "limit", .wholeNumber(1...1_000_000), defaultText: "100, with --since all", help: "at most N notifications")
    private static let follow = Flag("follow", help: "continue with new ones until interrupted")
    private static let json = Flag("json", help: "one JSON object a line")

    static let spec = CommandSpec(
        "notifications", "Shows which items became low, ran out, or came back.", options: [since, limit, follow, json],
        usesDatabase: true,
        examples: [
            .init("Show the last day's notifications.", "--since", "24h"),
            .init("Follow new ones as JSON.", "--follow", "--json"),
        ])

    /// Rows read by one statement.
    private static let rowsMax = 10_000
    private static let pollMs = 250

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let (connection, schema) = try Database.open(input)
        let inspector = Inspector(connection: connection, schema: schema)
        func show(_ row: JSONRow<StockNotification>) { Terminal.print(input[json] ? row.json : line(row.value)) }
        var follower: NotificationFollower
        if let since = input[since] {
            follower = NotificationFollower(
                inspector: inspector, after: try inspector.notificationCursor(secondsAgo: since.wholeSeconds))
            var remaining = input[limit] ?? Int.max
            while remaining > 0, Terminal.outputProblem == nil {
                let rows = try follower.next(limit: min(remaining, rowsMax))
                if rows.isEmpty { break }
                rows.forEach(show)
                remaining -= rows.count
            }
        } else {
            let rows = try inspector.lastNotifications(limit: input[limit] ?? 100)
            rows.forEach(show)
            follower = NotificationFollower(
                inspector: inspector, after: rows.last.map { NotificationCursor(after: $0.value) } ?? .beginning)
        }
        guard input[follow] else { return .success }
        let stop = StopSignal()
        Signals.handle { stop.finish() }
        while Terminal.outputProblem == nil, !stop.wait(milliseconds: pollMs) {
            try follower.next(limit: rowsMax).forEach(show)
        }
        return .success
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
