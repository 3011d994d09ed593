import CommandLineKit
import StockQueue
import StockQueuePostgres

enum StatsCommand: Command {
    private static let since = Option(
        "since", .pastSpan, default: .seconds(86_400), help: "count what was finished within this span")
    private static let by = Option(
        "by", .choice("WHAT", of: BacklogList.Group.allCases),
        help: "show the queued jobs by store, lane or item instead")
    private static let limit = Option(
        "limit", .wholeNumber(1...1_000_000), default: 20, help: "with --by: at most N rows")
    private static let json = Flag("json", help: "one JSON object, with --by one a line")

    static let spec = CommandSpec(
        "stats", "Shows the queue, its workers and what was finished recently.",
        options: [since, by, limit, json, RowTable.csv] + CSVForm.options, usesDatabase: true,
        examples: [
            .init("Count the last quarter of an hour.", "--since", "15m"),
            .init("Find out whose jobs are queued.", "--by", "store"),
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        if input[RowTable.csv] && input[by] == nil { throw input.usageError("--csv needs --by") }
        _ = try CSVForm(input, isCSV: input[RowTable.csv])
        let (connection, schema) = try Database.open(input)
        let inspector = Inspector(connection: connection, schema: schema)
        if let group = input[by] {
            let rows = try inspector.rows(of: BacklogList(by: group, limit: input[limit]))
            try listing(group).print(rows, input, limit: input[limit])
            try notePauses(inspector)
            return .success
        }
        let row = try inspector.statistics(seconds: input[since].wholeSeconds)
        Terminal.print(input[json] ? row.json : text(row.value, span: input[since].text))
        return .success
    }

    private static func notePauses(_ inspector: Inspector) throws {
        do {
            let lanes = try inspector.pauses().lanes
            if lanes > 0 { Terminal.note("paused: \(pauseText(lanes))") }
        } catch let error as PostgresError where error.sqlState == .insufficientPrivilege {
            // A producer sees its own stores, and no lane.
        }
    }

    private static func text(_ stats: QueueStatistics, span: String) -> String {
        let perMinute = stats.finishedLastMinute
        var lines = ["queue"] + queueLines(stats.queue)
        let lastResult = stats.lastResultSeconds.map { ", the last result \(age($0)) ago" } ?? ""
        lines += [
            "workers      \(grouped(stats.workers)) connected\(lastResult)",
            "items        \(grouped(stats.items))",
        ]
        lines += violationLines(stats.violations)
        lines += [
            "rate         \(counted(perMinute, "job")) in the last minute, \(grouped(perMinute / 60)) a second",
            "finished within \(span)",
        ]
        lines += stats.outcomes.isEmpty ? ["  nothing"] : countLines(stats.outcomes)
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

    private static func pauseText(_ lanes: Int64) -> String {
        lanes == Int64(QueueAdmin.Scope.lanes.count)
            ? "everything: no job is worked until stockq resume --all" : counted(lanes, "lane")
    }

    private static func violationLines(_ violations: QueueStatistics.Violations) -> [String] {
        guard let item = violations.lastItem, let seconds = violations.lastSeconds else { return [] }
        let location = item.locationID == "main" ? "" : " at \(item.locationID.printable)"
        return [
            "violations   the ledger of \(counted(violations.items, "item")) is wrong, the last found \(age(seconds)) ago:",
            "  \(item.itemID.printable)\(location) in \(item.storeID.printable); see stockq verify",
        ]
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
        if queue.pausedLanes > 0 { lines.append("  paused     \(pauseText(queue.pausedLanes))") }
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

    // MARK: the backlog

    private static func listing(_ group: BacklogList.Group) -> RowTable {
        let states = JobList.State.allCases.filter { $0 != .failed }.map(\.rawValue)
        let counts =
            states.map { state in RowTable.Column(state) { $0.grouped(state) } } + [
                RowTable.Column("oldest ready") { $0.time("oldest_ready_at") }
            ]
        let csvCounts = states + ["oldest_ready_at"]
        switch group {
        case .store:
            return RowTable(
                columns: [.init("store", "store_id")] + counts + [.init("lanes", "lanes")],
                csvColumns: ["store_id"] + csvCounts + ["lanes"])
        case .lane:
            return RowTable(
                columns: [.init("lane", "lane")] + counts
                    + [.init("stores") { $0.grouped("store_count") }, .init("the first of them", "stores")],
                csvColumns: ["lane"] + csvCounts + ["store_count", "stores"])
        case .item:
            return RowTable(
                columns: [.init("item") { $0.item }] + counts
                    + [.init("adjusts by") { $0.grouped("adjusted_by") }],
                csvColumns: ["store_id", "item_id", "location_id"] + csvCounts + ["adjusted_by"])
        }
    }
}
