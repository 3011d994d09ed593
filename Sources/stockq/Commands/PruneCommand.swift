import CommandLineKit
import StockQueue

enum PruneCommand: Command {
    private static let keepResults = Option(
        "keep-results", .duration, default: WorkerSettings().keepResults,
        help: "drop results older than this")
    private static let keepKeys = Option(
        "keep-keys", .duration, default: WorkerSettings().keepKeys,
        help: "drop keys used longer ago than this")

    static let spec = CommandSpec(
        "prune", "Drops expired results and idempotency keys, as a worker with the privilege does.",
        options: [keepResults, keepKeys], usesDatabase: true,
        examples: [.init("Keep results for three months.", "--keep-results", "90d")],
        notes: [
            "Results are dropped by partition, once all results in it have expired and no queued job has an id below its end. "
                + "A job that keeps a partition is named."
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let (connection, schema) = try Database.open(input)
        let dropped = try QueueAdmin(connection: connection, schema: schema).prune(
            keepResultsSeconds: input[keepResults].wholeSeconds, keepKeysSeconds: input[keepKeys].wholeSeconds)
        Terminal.print(
            "dropped \(counted(dropped.partitions.count, "partition")) of results and \(counted(dropped.keys, "key"))")
        if let blocker = dropped.blocker { Terminal.print(text(blocker)) }
        return .success
    }

    private static func text(_ blocker: RetentionBlocker) -> String {
        var times: [String] = []
        if let runAt = blocker.runAt { times.append("run_at \(runAt.shown)") }
        if let expiresAt = blocker.expiresAt { times.append("expires_at \(expiresAt.shown)") }
        let facts = times.isEmpty ? "" : " (\(times.joined(separator: ", ")))"
        let count =
            blocker.jobs == RetentionBlocker.jobsMax ? "\(grouped(blocker.jobs)) or more" : grouped(blocker.jobs)
        let others = blocker.jobs == 1 ? "" : ", the first of \(count) such jobs"
        return "\(blocker.partition) is kept: its results have expired, but job \(blocker.job) of store "
            + "\(blocker.store.printable) is still queued\(facts)\(others); stockq cancel \(blocker.job) cancels it"
    }
}
