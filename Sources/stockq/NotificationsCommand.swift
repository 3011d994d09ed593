import CommandLineKit
import Foundation
import StockQueue
import StockQueuePostgres

enum NotificationsCommand: Command {
    static let usage = Usage(
        command: "notifications", summary: "Shows what ran low, ran out, or came back.",
        options: [
            Option("since", "SPAN", "from this long ago on, like 15m or 24h; without it the last --limit"),
            Option("limit", "N", "at most N; default 100, with --since all"),
            Option("follow", nil, "go on as they come, until interrupted"),
            Option("json", nil, "one JSON object a line"),
        ])

    static func run(_ arguments: Arguments) throws -> Int32 {
        let since = try arguments.seconds("since")
        let limit = try arguments.number("limit", in: 1...1_000_000)
        let json = arguments.has("json")
        let (connection, schema) = try Database.open(arguments)
        let inspector = Inspector(connection: connection, schema: schema)
        var follower = NotificationFollower(inspector: inspector)
        if let since {
            follower.lastID = try inspector.lastNotification(secondsAgo: since)
            var left = limit ?? Int.max
            while left > 0, Terminal.outputProblem == nil {
                let rows = try follower.next(limit: min(left, 10_000))
                if rows.isEmpty { break }
                for row in rows { show(row, json) }
                left -= rows.count
            }
        } else {
            let rows = try inspector.lastNotifications(limit: limit ?? 100)
            for row in rows { show(row, json) }
            follower.lastID = rows.last?.value.notificationId ?? 0
        }
        guard arguments.has("follow") else { return 0 }
        let stop = StopSignal()
        Signals.handle { stop.finish() }
        while Terminal.outputProblem == nil, !stop.wait(milliseconds: 250) {
            for row in try follower.next(limit: 10_000) { show(row, json) }
        }
        return 0
    }

    private static func show(_ row: JSONRow<StockNotification>, _ json: Bool) {
        let told = row.value
        Terminal.print(
            json
                ? row.json
                : "\(told.createdAt)  \(told.kind.padding(toWidth: 13))  \(told.storeId.printable)  \(told.itemId.printable)"
                    + (told.locationId == "main" ? "" : " at \(told.locationId.printable)")
                    + "  available \(grouped(told.availableBefore)) → \(grouped(told.availableAfter))"
                    + (told.lowStockThreshold.map { ", threshold \(grouped($0))" } ?? "") + ", job \(told.jobId)")
    }
}
