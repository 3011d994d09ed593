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
        let workers = (1...settings.workers).map { number in
            start("worker \(number)") { [self] in
                Worker(
                    name: "\(host):\(process)/\(number)", base: base, schema: schema, settings: settings, board: board,
                    marks: marks, itemPlaces: itemPlaces, lookoutWake: lookoutWake, stop: stop, tell: tell
                ).run()
            }
        }
        let maintenance = start("maintenance") { [self] in
            Maintenance(base: base, schema: schema, settings: settings, stop: stop, tell: tell).run()
        }
        Lookout(
            base: base, schema: schema, settings: settings, board: board, marks: marks, wake: lookoutWake, stop: stop,
            tell: tell,
            drains: drains
        ).run()
        for worker in workers { worker.wait() }
        stop.finish()
        maintenance.wait()
        tell(.stopped)
    }

    /// Lets every worker end the batch at hand; nothing more is claimed.
    public func finish() {
        tell(.stopping)
        stop.finish()
        lookoutWake.wake()
    }

    /// Breaks the batches at hand off; the server rolls them back.
    public func abort() {
        stop.abort()
        lookoutWake.wake()
    }

    /// A thread that can be waited for.
    private func start(_ name: String, _ body: @escaping @Sendable () -> Void) -> DispatchSemaphore {
        let ended = DispatchSemaphore(value: 0)
        let thread = Thread {
            body()
            ended.signal()
        }
        thread.name = name
        thread.start()
        return ended
    }
}
