import CommandLineKit
import StockQueue
import StockQueuePostgres

enum PruneCommand: Command {
    private static let keepResults = keep("results", "keepResults", "results older than this")
    private static let keepKeys = keep("keys", "keepKeys", "keys used longer ago than this")
    private static let keepDeliveries = keep(
        "deliveries", "keepDeliveries", "deliveries that ended longer ago than this")
    private static let keepNotifications = keep("notifications", "keepNotifications", "notifications older than this")
    private static let keepOperations = keep(
        "operations", "keepOperations", "records of administrators' acts older than this")
    private static let keepImports = keep("imports", "keepImports", "records of imports older than this")
    private static let exportFolder = Option(
        "export-dir", .file("FOLDER"), help: "write results to a file in this folder before they are dropped")
    private static let format = Option(
        "format", .choice("FORMAT", of: Export.Format.allCases), default: Export.Format.csv,
        help: "how they are written")
    private static let detach = Flag(
        "detach", help: "make a partition of expired results a table of its own instead of dropping it")

    static let spec = CommandSpec(
        "prune", "Drops results, idempotency keys and records that are old, and says what is kept and why.",
        options: [
            keepResults, keepKeys, keepDeliveries, keepNotifications, keepOperations, keepImports, exportFolder, format,
            detach,
        ], usesDatabase: true,
        examples: [
            .init("Drop what is older than the settings say."),
            .init(
                "Keep results for three months, and write those that go to files.", "--keep-results", "90d",
                "--export-dir", "/var/backups/stockq"),
        ],
        notes: [
            "Results are dropped by partition, the oldest first, once all results in it have expired and no queued job has an id "
                + "below its end. Nothing of a partition is dropped if its export fails.",
            "A worker process whose role may does the same every ten minutes. Of all processes one at a time drops.",
        ])

    private static func keep(_ what: String, _ setting: String, _ help: String) -> Option<Duration?> {
        Option("keep-\(what)", .duration, defaultText: "the setting \(setting)", help: "drop \(help)")
    }

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let settings = try settings(input)
        let (connection, schema) = try Database.open(input)
        let retention = Retention(connection: connection, schema: schema)
        try dropResults(retention, settings, input[format])
        try showKept(retention, settings)
        for (rows, keep, name) in [
            (RetentionRows.keys, settings.keepKeys, "keys"), (.deliveries, settings.keepDeliveries, "deliveries"),
            (.notifications, settings.keepNotifications, "notifications"),
            (.operations, settings.keepOperations, "records of operations"),
            (.imports, settings.keepImports, "records of imports"),
        ] {
            let count = try retention.drop(rows, keepSeconds: keep.wholeSeconds) { true }
            Terminal.print("dropped \(grouped(count)) \(name) older than \(keep.text)")
        }
        if try retention.hasOldNotifications(keepSeconds: settings.keepNotifications.wholeSeconds) {
            Terminal.print(
                "older notifications are kept: those of results that are kept, those with a delivery, and those of stores with "
                    + "a quiet period, a margin or a snoozed item")
        }
        return .success
    }

    /// The settings in force, changed by the options.
    private static func settings(_ input: ParsedCommand) throws -> WorkerSettings {
        var settings = WorkerSettings()
        try settings.apply(input.configuration)
        settings.keepResults = input[keepResults] ?? settings.keepResults
        settings.keepKeys = input[keepKeys] ?? settings.keepKeys
        settings.keepDeliveries = input[keepDeliveries] ?? settings.keepDeliveries
        settings.keepNotifications = input[keepNotifications] ?? settings.keepNotifications
        settings.keepOperations = input[keepOperations] ?? settings.keepOperations
        settings.keepImports = input[keepImports] ?? settings.keepImports
        settings.exportFolder = input[exportFolder] ?? settings.exportFolder
        settings.detachResults = input[detach] || settings.detachResults
        return settings
    }

    // MARK: results

    /// How long it tries where workers have locked what it needs.
    private static let patience = Duration.minutes(10)

    private static func dropResults(
        _ retention: Retention, _ settings: WorkerSettings, _ format: Export.Format
    ) throws {
        let folder = settings.exportFolder
        let expired = ExpiredResults(
            retention, detaches: settings.detachResults, exports: folder.isEmpty ? nil : ExportFolder(folder, format))
        let deadline = Deadline.after(milliseconds: patience.milliseconds)
        var all: [ExpiredResults.Dropped] = []
        // What is gone is said, whatever follows.
        defer { show(all, settings) }
        while let dropped = try expired.dropNext(
            keepSeconds: settings.keepResults.wholeSeconds, while: { !deadline.hasPassed })
        {
            all.append(dropped)
        }
    }

    private static func show(_ dropped: [ExpiredResults.Dropped], _ settings: WorkerSettings) {
        let verb = settings.detachResults ? "detached" : "dropped"
        Terminal.print(
            "\(verb) \(counted(dropped.count, "partition")) of results older than \(settings.keepResults.text)")
        for partition in dropped {
            Terminal.print("  \(partition.name)\(partition.file.map { ", written to \($0)" } ?? "")")
        }
    }

    private static func showKept(_ retention: Retention, _ settings: WorkerSettings) throws {
        guard let kept = try retention.keptPartition(keepSeconds: settings.keepResults.wholeSeconds) else {
            return Terminal.print("another process drops results now; run stockq prune again later")
        }
        let reason =
            switch kept.reason {
            case .inUse: "its job ids are not used up"
            case .notExpired(let lastFinished): "a result was finished at \(lastFinished.shown)"
            case .queuedJobs(let jobs): text(jobs)
            }
        Terminal.print("\(kept.name) is kept: \(reason)")
        if kept.partitions > 1 {
            Terminal.print("\(counted(kept.partitions - 1, "later partition")) kept with it")
        }
    }

    private static func text(_ jobs: KeptPartition.QueuedJobs) -> String {
        var times: [String] = []
        if let runAt = jobs.runAt { times.append("run_at \(runAt.shown)") }
        if let expiresAt = jobs.expiresAt { times.append("expires_at \(expiresAt.shown)") }
        let facts = times.isEmpty ? "" : " (\(times.joined(separator: ", ")))"
        let count =
            jobs.count == KeptPartition.QueuedJobs.max ? "\(grouped(jobs.count)) or more" : grouped(jobs.count)
        let others = jobs.count == 1 ? "" : ", the first of \(count) such jobs"
        return "its results have expired, but job \(jobs.job) of store \(jobs.store.printable) is still queued\(facts)"
            + "\(others); stockq cancel \(jobs.job) cancels it"
    }
}
