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
            "Results are dropped by partition, once all results in it have expired and no queued job has an id below its end."
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let (connection, schema) = try Database.open(input)
        let dropped = try QueueAdmin(connection: connection, schema: schema).prune(
            keepResultsSeconds: input[keepResults].wholeSeconds, keepKeysSeconds: input[keepKeys].wholeSeconds)
        Terminal.print("dropped \(dropped.partitions.count) partitions of results and \(grouped(dropped.keys)) keys")
        return .success
    }
}
