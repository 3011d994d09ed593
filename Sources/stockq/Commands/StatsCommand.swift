import CommandLineKit
import StockQueue

enum StatsCommand: Command {
    private static let since = Option(
        "since", .duration, default: .seconds(86_400), help: "count what was finished within this span")
    private static let json = Flag("json", help: "one JSON object")

    static let spec = CommandSpec(
        "stats", "Shows the queue and what was finished recently.", options: [since, json], usesDatabase: true,
        examples: [.init("Count the last quarter of an hour.", "--since", "15m")])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let (connection, schema) = try Database.open(input)
        let row = try Inspector(connection: connection, schema: schema).statistics(seconds: input[since].wholeSeconds)
        Terminal.print(input[json] ? row.json : text(row.value, span: input[since].text))
        return .success
    }

    private static func text(_ stats: QueueStatistics, span: String) -> String {
        let perMinute = stats.finishedLastMinute
        var lines = ["queue"] + queueLines(stats.queue)
        lines += [
            "items        \(grouped(stats.items))",
            "rate         \(grouped(perMinute)) jobs in the last minute, \(grouped(perMinute / 60)) a second",
            "finished within \(span)",
        ]
        lines += countLines(stats.outcomes)
        if !stats.codes.isEmpty {
            lines += ["codes"] + countLines(stats.codes)
        }
        if stats.warnings > 0 { lines += ["warnings", "  negative_stock  \(grouped(stats.warnings))"] }
        if !stats.notifications.isEmpty {
            lines += ["notifications"] + countLines(stats.notifications)
        }
        if stats.pendingDeliveries + stats.deadDeliveries > 0 {
            lines += [
                "deliveries", "  pending  \(grouped(stats.pendingDeliveries))",
                "  dead     \(grouped(stats.deadDeliveries))",
            ]
        }
        return lines.joined(separator: "\n")
    }

    private static func queueLines(_ queue: QueueStatistics.Backlog) -> [String] {
        let lanes = queue.ready > 0 ? " in \(counted(queue.lanes, "lane"))" : ""
        let oldest = queue.oldestReadySeconds.map { ", the oldest for \(age($0))" } ?? ""
        var lines = [
            "  ready      \(grouped(queue.ready))\(lanes)\(oldest)",
            "  scheduled  \(grouped(queue.scheduled))",
            "  waiting    \(grouped(queue.waiting)) for stock",
            "  retrying   \(grouped(queue.retrying))",
        ]
        if queue.paused > 0 || !queue.pausedStores.isEmpty {
            let stores = shortList(queue.pausedStores, separator: ", ")
            lines.append("  paused     \(grouped(queue.paused))\(stores.isEmpty ? "" : " of \(stores)")")
        }
        if queue.pausedLanes > 0 { lines.append("  paused lanes  \(queue.pausedLanes)") }
        return lines
    }

    private static func age(_ seconds: Double) -> String {
        switch seconds {
        case ..<1: "\(Int(seconds * 1_000)) ms"
        case ..<120: "\(Int(seconds)) s"
        case ..<7_200: "\(Int(seconds / 60)) min"
        default: "\(Int(seconds / 3_600)) h"
        }
    }
}
