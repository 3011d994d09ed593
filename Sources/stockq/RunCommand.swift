import CommandLineKit
import Dispatch
import Foundation
import StockQueue
import StockQueueLocking
import StockQueuePostgres

enum RunCommand: Command {
    static let usage = Usage(
        command: "run", summary: "Works off the queue until it is stopped.",
        options: [
            Option("workers", "N", "threads, each with a connection; 1 to 64, default 2"),
            Option("batch-max", "N", "the most jobs claimed at once; 1 to 100000, default 20000"),
            Option("drain", nil, "stop when nothing is ready or due"),
            Option("set", "NAME=VALUE", "change a setting; --show-settings lists them", repeats: true),
            Option("show-settings", nil, "print the settings and stop"),
            Option("log-level", "LEVEL", "debug, info, warn or error; default info"),
            Option("json", nil, "at the end, print what was done as JSON"),
        ],
        notes: """
            SIGTERM or SIGINT lets the batches at hand end and then stops; a second one breaks them off.
            Log lines go to standard error, and a progress line when that is a terminal.
            """)

    static func run(_ arguments: Arguments) throws -> Int32 {
        let settings = try settings(arguments)
        if arguments.has("show-settings") {
            for setting in WorkerSettings.all { Terminal.print("\(setting.name)=\(setting.text(in: settings))") }
            return 0
        }
        var log = Log()
        if let text = arguments.text("log-level") {
            guard let level = Log.Level(text) else {
                throw UsageError("--log-level must be debug, info, warn or error, not '\(text)'", usage)
            }
            log.least = level
        }
        try checkOpenFiles(settings)
        let signals = StopOnSignals(timeoutMs: settings.stopTimeout.milliseconds)
        let schema = try openWhenThere(arguments, settings, log)
        let meter = RunMeter()
        let pool = WorkerPool(
            connection: try Database.settings(arguments), schema: schema, settings: settings,
            drains: arguments.has("drain"),
            onEvent: { [log] event in
                meter.take(event)
                log.write(event)
            })
        signals.stop(pool)
        let progress = ProgressLine(meter)
        pool.run()
        progress.end()
        summarise(meter, log, json: arguments.has("json"))
        if arguments.has("drain") { try tellOfPauses(arguments, log) }
        return signals.wasAborted || meter.totals.violations > 0 && settings.stopOnViolation ? 1 : 0
    }

    /// A drain that left jobs because they are paused looks as if there had been none.
    private static func tellOfPauses(_ arguments: Arguments, _ log: Log) throws {
        let (connection, schema) = try Database.open(arguments)
        let (lanes, stores) = try Inspector(connection: connection, schema: schema).pauses()
        if lanes + stores == 0 { return }
        log.write(
            .warn, "paused",
            [("lanes", lanes), ("stores", stores), ("text", "their jobs were left in the queue; see stockq stats")])
    }

    /// Connections, pipes and the standard streams; a process that cannot have them would fail somewhere in the middle.
    private static func checkOpenFiles(_ settings: WorkerSettings) throws {
        let needed = settings.workers + 24
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < needed else {
            return
        }
        throw Failure(
            "this process may have \(limit.rlim_cur) files open, and \(settings.workers) workers need \(needed); raise it with ulimit -n"
        )
    }

    /// Waits for a database that is not there yet, and checks what would make a worker silently wrong.
    private static func openWhenThere(
        _ arguments: Arguments, _ settings: WorkerSettings, _ log: Log
    ) throws -> QueueSchema {
        let deadline = Deadline.after(milliseconds: settings.startTimeout.milliseconds)
        var backoff = Backoff(firstMs: settings.reconnectPauseMin.milliseconds, longestMs: settings.reconnectPauseMax.milliseconds)
        var told: Deadline?
        while true {
            do {
                return try open(arguments, settings, log)
            } catch let error as PostgresError where error.isTransient && !deadline.hasPassed {
                if told?.hasPassed != false {
                    log.write(.warn, "waiting_for_database", [("error", error)])
                    told = .after(milliseconds: 5_000)
                }
                pause(milliseconds: min(backoff.next(), deadline.remainingMs))
            }
        }
    }

    private static func open(_ arguments: Arguments, _ settings: WorkerSettings, _ log: Log) throws -> QueueSchema {
        let (connection, schema) = try openMigrated(arguments, settings)
        let readiness = try StartupCheck(
            connection: connection, schema: schema, requiresDurability: settings.requireDurability)
        for warning in readiness.warnings { log.write(.warn, "warning", [("text", warning)]) }
        if !readiness.blockers.isEmpty {
            throw Failure("cannot run here: " + readiness.blockers.joined(separator: "\n  and: "))
        }
        return schema
    }

    private static func openMigrated(
        _ arguments: Arguments, _ settings: WorkerSettings
    ) throws -> (Connection, QueueSchema) {
        try Database.open(arguments, timeoutMs: settings.callTimeout.milliseconds)
    }

    private static func settings(_ arguments: Arguments) throws -> WorkerSettings {
        var settings = WorkerSettings()
        do throws(ValidationError) {
            try settings.apply(environment: ProcessInfo.processInfo.environment)
        } catch {
            throw Failure(error.message)
        }
        settings.workers = try arguments.number("workers", in: 1...64) ?? settings.workers
        settings.batchJobsMax = try arguments.number("batch-max", in: 1...100_000) ?? settings.batchJobsMax
        for pair in arguments.texts("set") {
            let parts = pair.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2 else { throw UsageError("--set takes NAME=VALUE, not '\(pair)'", usage) }
            do throws(ValidationError) {
                try settings.set(parts[0], to: parts[1])
            } catch {
                throw UsageError(error.message, usage)
            }
        }
        return settings
    }

    private static func summarise(_ meter: RunMeter, _ log: Log, json: Bool) {
        let totals = meter.totals
        let fields: [(String, any CustomStringConvertible)] = [
            ("jobs", totals.finished), ("applied", totals.applied), ("rejected", totals.rejected),
            ("notifications", totals.notifications), ("violations", totals.violations),
            ("batches", totals.batches),
            ("seconds", (totals.seconds * 1_000).rounded() / 1_000),
            ("jobs_per_second", totals.seconds > 0 ? Int(Double(totals.finished) / totals.seconds) : 0),
            ("cpu_seconds", (ProcessUsage.cpuSeconds * 1_000).rounded() / 1_000),
            ("peak_rss_kib", ProcessUsage.peakResidentKiB),
        ]
        log.write(.info, "summary", fields)
        if json { Terminal.print("{" + fields.map { "\"\($0.0)\":\($0.1)" }.joined(separator: ",") + "}") }
    }
}

/// The first SIGTERM or SIGINT lets the pool finish; a second one, or too long a wait, breaks it off.
private final class StopOnSignals: Sendable {
    private struct State {
        var pool: WorkerPool?
        var signals = 0
        var wasAborted = false
    }

    private let state = Mutex(State())
    private let timeoutMs: Int

    init(timeoutMs: Int) {
        self.timeoutMs = timeoutMs
        Signals.handle { [self] in take() }
    }

    var wasAborted: Bool { state.withLock { $0.wasAborted } }

    /// From here on signals stop this pool. Before, nothing is at hand, and they end the process.
    func stop(_ pool: WorkerPool) { state.withLock { $0.pool = pool } }

    private func take() {
        let (pool, number) = state.withLock { state in
            state.signals += 1
            return (state.pool, state.signals)
        }
        guard let pool else { exit(0) }
        act(on: pool, number)
    }

    private func act(on pool: WorkerPool, _ number: Int) {
        if number > 1 { return abort(pool) }
        pool.finish()
        DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(timeoutMs * 9 / 10)) { [self] in abort(pool)
        }
    }

    private func abort(_ pool: WorkerPool) {
        state.withLock { $0.wasAborted = true }
        pool.abort()
    }
}

/// Shows the meter five times a second where standard error is a terminal.
struct ProgressLine {
    private let timer: (any DispatchSourceTimer)?

    init(_ meter: RunMeter, of total: Int? = nil) {
        guard Terminal.errorIsTerminal else {
            timer = nil
            return
        }
        let source = DispatchSource.makeTimerSource(queue: .global())
        source.schedule(deadline: .now(), repeating: .milliseconds(200))
        source.setEventHandler { Terminal.showProgress(Self.bar(meter, total) + meter.line) }
        source.resume()
        timer = source
    }

    func end() {
        timer?.cancel()
        Terminal.endProgress()
    }

    static func bar(_ meter: RunMeter, _ total: Int?) -> String {
        guard let total, total > 0 else { return "" }
        let share = min(1, Double(meter.totals.finished) / Double(total))
        let full = Int(share * 24)
        return String(repeating: "█", count: full) + String(repeating: "░", count: 24 - full)
            + " \(Int(share * 100))%  "
    }
}
