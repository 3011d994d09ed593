import CommandLineKit
import StockModel
import StockQueue
import StockQueuePostgres

enum StatsCommand: Command {
    static let usage = Usage(
        command: "stats", summary: "Shows the queue and what was finished lately.",
        options: [
            Option("since", "SPAN", "count what was finished within this span, like 15m, 24h or 30d; default 24h"),
            Option("json", nil, "one JSON object"),
        ])

    static func run(_ arguments: Arguments) throws -> Int32 {
        let seconds = try arguments.seconds("since") ?? 86_400
        let (connection, schema) = try Database.open(arguments)
        let row = try Inspector(connection: connection, schema: schema).statistics(seconds: seconds)
        Terminal.print(arguments.has("json") ? row.json : text(row.value, span: arguments.text("since") ?? "24h"))
        return 0
    }

    static func text(_ stats: QueueStatistics, span: String) -> String {
        let queue = stats.queue
        var oldest = ""
        if let age = queue.oldestReadySeconds { oldest = ", the oldest for \(Self.span(age))" }
        var lines = [
            "queue",
            "  ready      \(grouped(queue.ready))\(queue.ready > 0 ? " in \(queue.lanes) \(queue.lanes == 1 ? "lane" : "lanes")" : "")\(oldest)",
            "  scheduled  \(grouped(queue.scheduled))",
            "  waiting    \(grouped(queue.waiting)) for stock",
            "  retrying   \(grouped(queue.retrying))",
        ]
        if queue.paused > 0 || !queue.pausedStores.isEmpty {
            let stores = queue.pausedStores.map(\.printable).joined(separator: ", ")
            lines.append("  paused     \(grouped(queue.paused))\(stores.isEmpty ? "" : " of \(stores)")")
        }
        if queue.pausedLanes > 0 { lines.append("  \(queue.pausedLanes) lanes are paused") }
        lines += [
            "items        \(grouped(stats.items))",
            "rate         \(grouped(stats.finishedLastMinute)) jobs in the last minute, \(grouped(stats.finishedLastMinute / 60)) a second",
            "finished within \(span)",
        ]
        lines += Self.list(stats.outcomes, Outcome.allCases.map(\.rawValue))
        if !stats.codes.isEmpty { lines += ["codes"] + Self.list(stats.codes, ResultCode.allCases.map(\.rawValue)) }
        if stats.warnings > 0 { lines += ["warnings", "  negative_stock  \(grouped(stats.warnings))"] }
        if !stats.notifications.isEmpty {
            lines += ["notifications"] + Self.list(stats.notifications, NotificationKind.allCases.map(\.rawValue))
        }
        return lines.joined(separator: "\n")
    }

    static func list(_ counts: [String: Int64], _ order: [String]) -> [String] {
        let names = order.filter { counts[$0] != nil }
        let width = names.map(\.count).max() ?? 0
        let figures = names.map { grouped(counts[$0] ?? 0) }
        let figureWidth = figures.map(\.count).max() ?? 0
        return zip(names, figures).map { name, figure in
            "  \(name.padding(toWidth: width))  \(String(repeating: " ", count: figureWidth - figure.count))\(figure)"
        }
    }

    private static func span(_ seconds: Double) -> String {
        switch seconds {
        case ..<1: "\(Int(seconds * 1_000)) ms"
        case ..<120: "\(Int(seconds)) s"
        case ..<7_200: "\(Int(seconds / 60)) min"
        default: "\(Int(seconds / 3_600)) h"
        }
    }
}
