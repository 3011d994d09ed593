import CommandLineKit
import StockQueue
import StockQueuePostgres

/// Moves an item to another id or location, as `items rename` and `items move` do.
struct ItemMove {
    static let merge = Flag(
        "merge", help: "the new item exists and keeps its attributes; it gets the stock in addition to its own")
    static let reason = Option("reason", .text("REASON"), help: "kept in the results and in operations list")
    static let timeout = Option(
        "timeout", .duration, default: .seconds(60), help: "how long to wait for workers to move the stock")

    static let notes = [
        "Jobs move what is on hand and what is allocated, in one group; so the ledger stays right, and the histories of "
            + "both items stay. Queued jobs get the new id; the old item is retired. Jobs that name it afterwards are "
            + "rejected as unknown_item.",
        "Workers must run. A command that was interrupted is called again, with --merge.",
    ]

    private let connection: Connection
    private let schema: QueueSchema
    private let merges: Bool
    private let reason: String?
    private let timeout: Duration

    init(_ input: ParsedCommand, _ connection: Connection, _ schema: QueueSchema) {
        (self.connection, self.schema) = (connection, schema)
        (merges, reason, timeout) = (input[Self.merge], input[Self.reason], input[Self.timeout])
    }

    /// Groups that are tried while other jobs change the stock between the decision what to move and the move.
    private static let triesMax = 20

    /// Moves the item, and prints what was done.
    func run(from: ItemKey, to: ItemKey) throws {
        let admin = QueueAdmin(connection: connection, schema: schema)
        var (givenJobs, isNew): (Int64, Bool) = (0, false)
        var moved = Balance(onHand: 0, allocated: 0)
        for number in 1...Self.triesMax {
            let step = try admin.moveItem(from, to: to, merges: merges || number > 1, reason: reason)
            givenJobs += step.givenJobs
            isNew = isNew || step.isNew
            if !step.jobs.isEmpty {
                moved = try add(try results(of: step.jobs, from, to), of: from, to: moved)
            } else if let jobs = try admin.finishMove(from, to: to) {
                report(from, to, isNew: isNew, moved, jobs: givenJobs + jobs)
                return
            }
        }
        throw Failure(
            "other jobs changed the stock of \(from.itemID.shownName) \(Self.triesMax) times meanwhile; "
                + "pause the store for the move, or call the command again with --merge")
    }

    /// The results of the group, in the order of its lines.
    private func results(of jobs: [Int64], _ from: ItemKey, _ to: ItemKey) throws -> [JobResult] {
        let isFinished = try jobs.last.map { job in
            let firstMs = min(Self.silentMs, timeout.milliseconds)
            if try hasResult(job, within: firstMs) { return true }
            Terminal.note(
                "waiting for a worker that applies the move; without one it is canceled after \(timeout.text)")
            return try hasResult(job, within: timeout.milliseconds - firstMs)
        }
        if isFinished != true {
            let canceled = try QueueAdmin(connection: connection, schema: schema).cancel(
                .jobs(jobs), reason: "no worker moved the item in time")
            if !canceled.isEmpty {
                throw Failure(
                    "no worker applied the move within \(timeout.text), so it was canceled; the stock is still at "
                        + "\(from.itemID.shownName). Start workers (stockq run), and call the command again with --merge"
                )
            }
        }
        return try Inspector(connection: connection, schema: schema).results(of: jobs)
    }

    /// So long the command waits without a word.
    private static let silentMs = 2_000

    private func hasResult(_ job: Int64, within milliseconds: Int) throws -> Bool {
        try Producer(connection: connection, schema: schema)
            .awaitResult(of: job, timeoutMs: milliseconds, stop: StopSignal())
    }

    /// What the group took from the old item, if it was applied. Otherwise the stock had changed, and the next group is
    /// made for what there is then.
    private func add(_ results: [JobResult], of from: ItemKey, to moved: Balance) throws -> Balance {
        if let failed = results.first(where: { $0.outcome == .failed || $0.outcome == .canceled }) {
            throw Failure("the stock was not moved: \(failed.sentence)")
        }
        guard results.allSatisfy({ $0.outcome == .applied }) else { return moved }
        var sum = (moved.onHand, moved.allocated)
        for result in results where result.itemID == from.itemID && result.locationID == from.locationID {
            if result.action == .adjust { sum.0 -= result.appliedQuantity }
            if result.action == .deallocate { sum.1 += result.appliedQuantity }
        }
        return Balance(onHand: sum.0, allocated: sum.1)
    }

    private func report(_ from: ItemKey, _ to: ItemKey, isNew: Bool, _ moved: Balance, jobs: Int64) {
        let name = { (key: ItemKey) in "\(key.storeID.shownName)/\(key.itemID.shownName) at \(key.locationID.shownName)"
        }
        var parts = ["\(grouped(moved.onHand)) on hand and \(grouped(moved.allocated)) allocated moved"]
        if jobs > 0 { parts.append("\(counted(jobs, "queued job")) given to it") }
        parts.append(isNew ? "it is new" : "merged")
        Terminal.print(
            "\(name(from)) → \(name(to)): \(parts.joined(separator: ", ")); the old item is retired")
    }
}
