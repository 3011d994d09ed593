import Dispatch
import Foundation
import StockQueueLocking
import StockQueuePostgres

/// The workers of a queue inside an application: poller, workers, maintenance of partitions, ledger checker.
///
/// ```swift
/// let workers = StockWorkers(
///     connection: ConnectionSettings(conninfo: conninfo, applicationName: "stock"), observer: BatchMetrics())
/// try await workers.run()
/// ```
///
/// They are what `stockq run` is, and any number of both can work on one queue. Each service has a thread and a
/// connection of its own.
public final class StockWorkers: Sendable {
    private let startup: WorkerStartup
    private let pool: WorkerPool
    private let observer: (any WorkersObserver)?
    private let stopTimeout: Duration
    private let stop: StopSignal
    private let hasRun = Mutex(false)
    private let findings = Mutex<[String]>([])

    /// - Parameters:
    ///   - drain: end when no job is ready or due.
    ///   - observer: its methods are called by the threads of the workers, several at the same time.
    public init(
        connection: ConnectionSettings, schema: QueueSchema = .standard, settings: WorkerSettings = WorkerSettings(),
        drain: Bool = false, observer: (any WorkersObserver)? = nil
    ) {
        let stop = StopSignal()
        self.stop = stop
        self.observer = observer
        stopTimeout = settings.stopTimeout
        startup = WorkerStartup(connection: connection, schema: schema, settings: settings, stop: stop)
        pool = WorkerPool(
            connection: connection, schema: schema, settings: settings, drains: drain,
            onEvent: { observer?.observe($0) })
    }

    /// Works until the task is canceled, or until the end of a drain. To be called once.
    ///
    /// First it waits for a database that is not reachable yet, at most `startTimeout`, and runs the start-up checks.
    ///
    /// Cancellation is the shutdown: each worker finishes its batch and claims nothing more. After `stopTimeout` the
    /// remaining batches are canceled as by `abort()`. When `run` returns, nothing is locked any more.
    ///
    /// - Throws: `QueueError`: `alreadyRun`; `schema` or `blocked` where workers must not run; `database` when it
    ///   cannot be reached.
    public func run() async throws {
        let isFirst = hasRun.withLock { hasRun in
            defer { hasRun = true }
            return !hasRun
        }
        guard isFirst else { throw QueueError.alreadyRun }
        let end: Result<Void, QueueError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let thread = Thread { [self] in
                    continuation.resume(returning: Result { try work() }.mapError { QueueError($0) })
                }
                thread.name = "stockq workers"
                thread.start()
            }
        } onCancel: {
            finish()
        }
        try end.get()
    }

    /// Cancels the batches at once; the server rolls them back, and their jobs stay queued. `run` returns soon after.
    public func abort() {
        stop.finish()
        pool.abort()
    }

    /// What each service does now; empty while nothing runs.
    public var status: [ServiceStatus] { pool.status }

    /// What the start-up checks found and did not block the workers, as sentences.
    public var warnings: [String] { findings.withLock { $0 } }

    private func work() throws {
        let check = try startup.run { error, pauseMs in
            observer?.serviceDisconnected(
                WorkEvent.Disconnected(service: "start-up", error: error, retryIn: .milliseconds(pauseMs)))
        }
        guard let check else { return }
        findings.withLock { $0 = check.warnings }
        if !check.blockers.isEmpty { throw QueueError.blocked(check.blockers) }
        if !stop.isFinishing { pool.run() }
    }

    private func finish() {
        stop.finish()
        pool.finish()
        DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(stopTimeout.milliseconds)) { [weak self] in
            self?.pool.abort()
        }
    }
}
