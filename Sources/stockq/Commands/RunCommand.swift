import CommandLineKit
import Foundation
import StockQueue
import StockQueuePostgres

enum RunCommand: Command {
    private static let workers = shorthand("workers", for: "workers")
    private static let batchMax = shorthand("batch-max", for: "batchJobsMax")
    private static let drain = Flag("drain", help: "stop when no job is ready or due")
    static let set = Option(
        repeated: "set", .settingAssignment, help: "change a setting; --show-settings lists them")
    private static let showSettings = Flag("show-settings", help: "print the settings and stop")
    private static let json = Flag("json", help: "at the end, print what was done as JSON")

    static let spec = CommandSpec(
        "run", "Runs workers that apply the queue's jobs, until stopped.",
        options: [workers, batchMax, drain, set, showSettings, json] + MonitorOptions.all, usesDatabase: true,
        examples: [
            .init("Run four workers.", "--workers", "4"),
            .init("Apply what is queued and stop.", "--drain", "--json"),
            .init(
                "Wait less for locked items, and log every batch.", "--set", "lockTimeout=50ms", "--log-level", "debug"),
            .init("Show metrics and health at http://127.0.0.1:9810/.", "--listen-metrics", "9810"),
        ],
        notes: [
            "The first SIGTERM or SIGINT finishes the batches that have begun and then stops; a second one rolls them back.",
            "Log lines go to standard error, and so does a progress line if it is a terminal.",
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let settings = try settings(input)
        if input[showSettings] {
            settings.show()
            return .success
        }
        let log = MonitorOptions.log(input)
        try checkOpenFiles(settings)
        let signals = StopOnSignals(timeout: settings.stopTimeout)
        let (connection, schema) = (try Database.settings(input), Database.schema(input))
        let monitor = Monitor(
            MonitorOptions.monitor(input), log,
            source: Monitor.Source(connection: connection, schema: schema, settings: settings),
            callTimeout: settings.callTimeout)
        monitor.connections.expect(Monitor.services(of: settings))
        try monitor.start()
        defer { monitor.stop() }
        try startUp(connection, schema, settings, log, monitor.health)
        let meter = WorkMeter()
        let pool = WorkerPool(
            connection: connection, schema: schema, settings: settings, drains: input[drain],
            onEvent: { event in
                meter.record(event)
                monitor.record(event)
                log.write(event)
                if case .stopping = event { monitor.isStopping() }
            })
        signals.stop(pool)
        monitor.health.watch { pool.status }
        monitor.isRunning()
        let progress = ProgressLine(meter)
        pool.run()
        progress.end()
        printSummary(meter.totals, log, json: input[json])
        if input[drain] { try warnOfPauses(input, log) }
        let isStoppedByViolation = meter.totals.violations > 0 && settings.stopOnViolation
        return signals.wasAborted || isStoppedByViolation ? .failure : .success
    }

    // MARK: settings

    /// An option that is short for `--set NAME=VALUE`, made of the setting's own description.
    private static func shorthand(_ name: String, for settingName: String) -> Option<String?> {
        guard let setting = WorkerSettings.all.first(where: { $0.name == settingName }) else {
            preconditionFailure("there is no setting \(settingName)")
        }
        let type = ValueType<String>("N", shape: .text(bytes: nil), expectation: setting.allowed) { word in
            var settings = WorkerSettings()
            do {
                try setting.set(word, in: &settings)
                return word
            } catch {
                return nil
            }
        }
        return Option(
            name, type, defaultText: setting.defaultText,
            help: "\(setting.help), \(setting.allowed); short for --set \(settingName)=N")
    }

    /// The defaults, changed by the configuration file, the environment, the shorthands, and last by `--set`.
    static func settings(_ input: ParsedCommand) throws -> WorkerSettings {
        var settings = WorkerSettings()
        try settings.apply(input.configuration)
        let shorthands =
            input.spec.name == spec.name ? [("workers", input[workers]), ("batchJobsMax", input[batchMax])] : []
        let assignments = shorthands.compactMap { name, value in value.map { SettingAssignment(name: name, value: $0) }
        }
        for assignment in assignments + input[set] {
            do throws(ValidationError) {
                try settings.set(assignment.name, to: assignment.value)
            } catch {
                throw input.usageError(error.message)
            }
        }
        return settings
    }

    // MARK: before the start

    /// Connections, pipes and the standard streams; without enough of them the process would fail in the middle of its
    /// work.
    private static func checkOpenFiles(_ settings: WorkerSettings) throws {
        let needed = settings.workers + 24
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < needed else {
            return
        }
        throw Failure(
            "\(settings.workers) workers need \(needed) open files, and this process may have \(limit.rlim_cur); raise it with ulimit -n"
        )
    }

    /// Waits for a database that is not reachable yet, and checks what would make a worker's results wrong without an
    /// error.
    static func startUp(
        _ connection: ConnectionSettings, _ schema: QueueSchema, _ settings: WorkerSettings, _ log: Log,
        _ health: ProcessHealth
    ) throws {
        let startup = WorkerStartup(connection: connection, schema: schema, settings: settings, stop: StopSignal())
        var nextWarning: Deadline?
        let check = try startup.run { error, _ in
            health.isWaiting(for: error.description)
            if nextWarning?.hasPassed == false { return }
            log.write(.warn, "waiting_for_database", [("error", error)])
            nextWarning = .after(milliseconds: 5_000)
        }
        guard let check else { return }
        for warning in check.warnings { log.write(.warn, "warning", [("text", warning)]) }
        if !check.blockers.isEmpty {
            throw Failure("cannot run here: " + check.blockers.joined(separator: "\n  and: "))
        }
    }

    // MARK: after the end

    /// Without this, a drain that skipped paused jobs would look like a drain of an empty queue.
    private static func warnOfPauses(_ input: ParsedCommand, _ log: Log) throws {
        let (connection, schema) = try reopen(input)
        let (lanes, stores) = try Inspector(connection: connection, schema: schema).pauses()
        if lanes + stores == 0 { return }
        log.write(
            .warn, "paused",
            [("lanes", lanes), ("stores", stores), ("text", "their jobs are still queued; see stockq stats")])
    }

    /// Tries again for a while: the server counts the sessions of this process until it has seen them end, and with a
    /// limit of connections it rejects the next one.
    private static func reopen(_ input: ParsedCommand) throws -> (Connection, QueueSchema) {
        let deadline = Deadline.after(milliseconds: 5_000)
        while true {
            do {
                return try Database.open(input)
            } catch let error as PostgresError where error.sqlState == .tooManyConnections && !deadline.hasPassed {
                pause(milliseconds: 20)
            }
        }
    }

    private static func printSummary(_ totals: WorkMeter.Totals, _ log: Log, json: Bool) {
        func rounded(_ seconds: Double) -> Double { (seconds * 1_000).rounded() / 1_000 }
        let fields: Log.Fields = [
            ("jobs", totals.finished), ("applied", totals.applied), ("rejected", totals.rejected),
            ("notifications", totals.notifications), ("violations", totals.violations), ("batches", totals.batches),
            ("seconds", rounded(totals.seconds)), ("jobs_per_second", totals.jobsPerSecond),
            ("cpu_seconds", rounded(ProcessUsage.cpuSeconds)), ("peak_rss_kib", ProcessUsage.peakResidentKiB),
        ]
        log.write(.info, "summary", fields)
        if json { Terminal.print(.object(fields.map { ($0.0, Log.json($0.1)) })) }
    }
}
