import Foundation
import StockQueuePostgres

/// A process's share of the work: worker threads, the poller that finds work for them, and the maintenance.
///
/// ```swift
/// let pool = WorkerPool(connection: settings, schema: .standard, settings: WorkerSettings())
/// pool.run()  // until `finish` is called from another thread
/// ```
public final class WorkerPool: Sendable {
    private let base: ConnectionSettings
    private let schema: QueueSchema
    private let settings: WorkerSettings
    private let drains: Bool
    private let onEvent: WorkEventHandler
    private let laneQueue: LaneQueue
    private let marks = LowWaterMarks()
    private let tupleCache = ItemTupleCache()
    private let pollerWakeUp = WakePipe()
    private let stop = StopSignal()
    private let sample = ChangedItemSample()
    private let changed = DispatchSemaphore(value: 0)

    /// - Parameters:
    ///   - drains: stop by itself when nothing is ready or due.
    ///   - onEvent: takes what happens, from several threads at once.
    public init(
        connection: ConnectionSettings, schema: QueueSchema, settings: WorkerSettings, drains: Bool = false,
        onEvent: @escaping WorkEventHandler = { _ in }
    ) {
        base = connection
        self.schema = schema
        self.settings = settings
        laneQueue = LaneQueue(workers: settings.workers)
        self.drains = drains
        self.onEvent = onEvent
    }

    /// Works until `finish`, `abort`, or the end of a drain. Blocks the calling thread.
    public func run() {
        onEvent(.started(workers: settings.workers))
        let host = ProcessInfo.processInfo.hostName
        let process = ProcessInfo.processInfo.processIdentifier
        let poller = startPoller()
        let workers = (1...settings.workers).map { startWorker($0, name: "\(host):\(process)/\($0)", behind: poller) }
        let others =
            [startMaintenance(behind: poller)] + (settings.checkEveryMs > 0 ? [startChecker(behind: poller)] : [])
        // Whatever ended the poller, nobody finds work for the workers any more. It does not end a drain while one works.
        wait(for: [poller])
        stop.finish()
        laneQueue.stop()
        wait(for: workers + others)
        onEvent(.stopped)
    }

    private func startWorker(_ number: Int, name: String, behind poller: ServiceThread) -> ServiceThread {
        let tunings = LaneTunings(settings)
        let thread = thread(name, role: "worker \(number)", behind: poller)
        thread.start { [self] connection, succeeded throws(PostgresError) in
            let worker = Worker(
                name: name, connection: connection, schema: schema, settings: settings, laneQueue: laneQueue,
                marks: marks,
                tupleCache: tupleCache, sample: sample, pollerWakeUp: pollerWakeUp, stop: stop, onEvent: onEvent,
                tunings: tunings)
            try worker.workLanes(succeeded)
        }
        return thread
    }

    private func startPoller() -> ServiceThread {
        let thread = thread("poller", role: "poller")
        thread.start { [self] connection, succeeded throws(PostgresError) in
            let poller = Poller(
                connection: connection, schema: schema, settings: settings, laneQueue: laneQueue, marks: marks,
                wake: pollerWakeUp, stop: stop, onEvent: onEvent, drains: drains)
            try poller.poll(succeeded)
        }
        return thread
    }

    private func startMaintenance(behind poller: ServiceThread) -> ServiceThread {
        let thread = thread("maintenance", role: "maintenance", behind: poller)
        thread.start { [self] connection, succeeded throws(PostgresError) in
            let maintenance = Maintenance(
                connection: connection, schema: schema, settings: settings, stop: stop, onEvent: onEvent)
            try maintenance.poll(succeeded)
        }
        return thread
    }

    private func startChecker(behind poller: ServiceThread) -> ServiceThread {
        let thread = thread("checker", role: "checker", behind: poller)
        thread.start { [self] connection, succeeded throws(PostgresError) in
            let checker = LedgerChecker(
                connection: connection, schema: schema, settings: settings, sample: sample, stop: stop,
                found: { [self] violation in
                    onEvent(.violation(violation))
                    if settings.stopOnViolation != 0 && !stop.isFinishing { finish() }
                }, failed: { [self] error in onEvent(.checkFailed(error)) })
            try checker.check(succeeded)
        }
        return thread
    }

    /// Lets every worker end the batch at hand; nothing more is claimed.
    public func finish() {
        onEvent(.stopping)
        stop.finish()
        wakeAll()
    }

    /// Breaks the batches at hand off; the server rolls them back.
    public func abort() {
        stop.abort()
        wakeAll()
    }

    private func wakeAll() {
        laneQueue.stop()
        pollerWakeUp.wake()
        changed.signal()
    }

    private func thread(_ name: String, role: String, behind leader: ServiceThread? = nil) -> ServiceThread {
        var connection = settings.connection(from: base, role: role)
        if role == "maintenance" { connection.session = Maintenance.session(settings) }
        return ServiceThread(name, connection, settings, stop: stop, onEvent: onEvent, changed: changed, behind: leader)
    }

    /// Waits until all have ended, or, when the pool is to stop, hold nothing.
    private func wait(for threads: [ServiceThread]) {
        while !threads.allSatisfy({ $0.hasEnded || stop.isFinishing && $0.isConnecting }) { changed.wait() }
    }
}
