import Foundation
import Postgres

/// A process's share of the work: worker threads, the lookout that finds work for them, and the maintenance.
///
/// ```swift
/// let pool = WorkerPool(connection: settings, schema: .standard, settings: WorkerSettings())
/// pool.run()  // until `finish` is called from another thread
/// ```
public final class WorkerPool: Sendable {
    private let base: ConnectionSettings
    private let schema: Schema
    private let settings: WorkerSettings
    private let drains: Bool
    private let tell: WorkEventSink
    private let board: LaneBoard
    private let marks = LowWaterMarks()
    private let itemPlaces = ItemPlaces()
    private let lookoutWake = WakePipe()
    private let stop = StopSignal()
    private let sample = ChangedItems()
    private let changed = DispatchSemaphore(value: 0)

    /// - Parameters:
    ///   - drains: stop by itself when nothing is ready or due.
    ///   - tell: takes what happens, from several threads at once.
    public init(
        connection: ConnectionSettings, schema: Schema, settings: WorkerSettings, drains: Bool = false,
        tell: @escaping WorkEventSink = { _ in }
    ) {
        base = connection
        self.schema = schema
        self.settings = settings
        board = LaneBoard(workers: settings.workers)
        self.drains = drains
        self.tell = tell
    }

    /// Works until `finish`, `abort`, or the end of a drain. Blocks the calling thread.
    public func run() {
        tell(.started(workers: settings.workers))
        let host = ProcessInfo.processInfo.hostName
        let process = ProcessInfo.processInfo.processIdentifier
        let lookout = startLookout()
        let workers = (1...settings.workers).map { startWorker($0, name: "\(host):\(process)/\($0)", behind: lookout) }
        let others =
            [startMaintenance(behind: lookout)] + (settings.checkEveryMs > 0 ? [startChecker(behind: lookout)] : [])
        // Whatever ended the lookout, nobody finds work for the workers any more. It does not end a drain while one works.
        wait(for: [lookout])
        stop.finish()
        board.stop()
        wait(for: workers + others)
        tell(.stopped)
    }

    private func startWorker(_ number: Int, name: String, behind lookout: PoolThread) -> PoolThread {
        let memories = LaneMemories(settings)
        let thread = thread(name, role: "worker \(number)", behind: lookout)
        thread.start { [self] connection, succeeded throws(PostgresError) in
            let worker = Worker(
                name: name, connection: connection, schema: schema, settings: settings, board: board, marks: marks,
                itemPlaces: itemPlaces, sample: sample, lookoutWake: lookoutWake, stop: stop, tell: tell,
                memories: memories)
            try worker.workLanes(succeeded)
        }
        return thread
    }

    private func startLookout() -> PoolThread {
        let thread = thread("lookout", role: "lookout")
        thread.start { [self] connection, succeeded throws(PostgresError) in
            let lookout = Lookout(
                connection: connection, schema: schema, settings: settings, board: board, marks: marks,
                wake: lookoutWake, stop: stop, tell: tell, drains: drains)
            try lookout.lookOut(succeeded)
        }
        return thread
    }

    private func startMaintenance(behind lookout: PoolThread) -> PoolThread {
        let thread = thread("maintenance", role: "maintenance", behind: lookout)
        thread.start { [self] connection, succeeded throws(PostgresError) in
            let maintenance = Maintenance(
                connection: connection, schema: schema, settings: settings, stop: stop, tell: tell)
            try maintenance.look(succeeded)
        }
        return thread
    }

    private func startChecker(behind lookout: PoolThread) -> PoolThread {
        let thread = thread("checker", role: "checker", behind: lookout)
        thread.start { [self] connection, succeeded throws(PostgresError) in
            let checker = OnlineChecker(
                connection: connection, schema: schema, settings: settings, sample: sample, stop: stop,
                found: { [self] violation in
                    tell(.violation(violation))
                    if settings.stopOnViolation != 0 && !stop.isFinishing { finish() }
                }, failed: { [self] error in tell(.checkFailed(error)) })
            try checker.check(succeeded)
        }
        return thread
    }

    /// Lets every worker end the batch at hand; nothing more is claimed.
    public func finish() {
        tell(.stopping)
        stop.finish()
        wakeAll()
    }

    /// Breaks the batches at hand off; the server rolls them back.
    public func abort() {
        stop.abort()
        wakeAll()
    }

    private func wakeAll() {
        board.stop()
        lookoutWake.wake()
        changed.signal()
    }

    private func thread(_ name: String, role: String, behind leader: PoolThread? = nil) -> PoolThread {
        var connection = settings.connection(from: base, role: role)
        if role == "maintenance" { connection.session = Maintenance.session(settings) }
        return PoolThread(name, connection, settings, stop: stop, tell: tell, changed: changed, behind: leader)
    }

    /// Waits until all have ended, or, when the pool is to stop, hold nothing.
    private func wait(for threads: [PoolThread]) {
        while !threads.allSatisfy({ $0.hasEnded || stop.isFinishing && $0.isConnecting }) { changed.wait() }
    }
}
