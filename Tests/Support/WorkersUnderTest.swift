import Foundation
import StockQueue
import StockQueueLocking
import StockQueuePostgres

/// Workers that run on a thread of their own beside a test.
///
///     let workers = database.startWorkers { $0.batchJobsMax = 1 }
///     #expect(workers.waitForBatch { $0.finished == 0 && $0.skipped == 3 })
///     try workers.stop()
///
/// A test that ends early releases the workers, and they stop.
public final class WorkersUnderTest: Sendable {
    /// What the ledger checker of the workers found.
    public struct LedgerViolation: Error, CustomStringConvertible {
        public let description: String
    }

    public let events: Events
    private let pool: WorkerPool
    private let ended: Background

    /// Starts the workers.
    ///
    /// - Parameter drains: stop when nothing is ready or due.
    public init(
        _ connection: ConnectionSettings, schema: QueueSchema = .standard, settings: WorkerSettings = WorkerSettings(),
        drains: Bool = false
    ) {
        let events = Events()
        let pool = WorkerPool(
            connection: connection, schema: schema, settings: settings, drains: drains, onEvent: events.take)
        self.events = events
        self.pool = pool
        ended = Background { pool.run() }
    }

    deinit { pool.finish() }

    /// Runs workers on this thread until nothing is ready or due.
    ///
    /// - Returns: the events of the workers.
    @discardableResult
    public static func drain(
        _ connection: ConnectionSettings, schema: QueueSchema = .standard, settings: WorkerSettings = WorkerSettings()
    ) -> [WorkEvent] {
        let events = Events()
        WorkerPool(connection: connection, schema: schema, settings: settings, drains: true, onEvent: events.take).run()
        return events.all
    }

    // MARK: events

    /// How many batches finished jobs so far.
    public var batches: Int { events.all.count { ($0.batch?.finished ?? 0) > 0 } }

    /// How many connections were lost, or could not be made, so far.
    public var disconnections: Int { events.all.count { $0.disconnection != nil } }

    /// Waits until a batch so far, or to come, meets the condition.
    public func waitForBatch(
        seconds: Double = 20, where meetsCondition: (WorkEvent.BatchCommitted) -> Bool
    ) -> Bool {
        events.wait(seconds: seconds) { $0.batch.map(meetsCondition) ?? false }
    }

    /// Waits until a number of batches more than `count` has finished jobs.
    public func waitForBatches(moreThan count: Int, seconds: Double = 20) -> Bool {
        eventually(seconds: seconds) { batches > count }
    }

    // MARK: the end

    /// Lets each worker end its batch; the workers claim nothing more.
    public func finish() { pool.finish() }

    /// Cancels the batches; the server rolls them back.
    public func abort() { pool.abort() }

    /// Waits until all workers have ended.
    ///
    /// - Throws: `LedgerViolation` if the ledger checker of the workers found one.
    public func wait() throws {
        try ended.wait()
        for event in events.all {
            if case .integrityViolation(let violation) = event {
                throw LedgerViolation(description: "the ledger checker found: \(violation.description)")
            }
        }
    }

    /// Finishes, and waits.
    public func stop() throws {
        finish()
        try wait()
    }
}

/// Collects the events of workers, and lets a test wait for one.
public final class Events: Sendable {
    private let state = Mutex<[WorkEvent]>([])
    private let came = DispatchSemaphore(value: 0)

    public init() {}

    /// Takes an event; several threads call it at the same time.
    @Sendable public func take(_ event: WorkEvent) {
        state.withLock { $0.append(event) }
        came.signal()
    }

    /// The events so far. This is a copy with storage of its own: ThreadSanitizer does not see that the last reader of
    /// shared storage releases it before the writer's next change.
    public var all: [WorkEvent] { state.withLock { events in events.map { $0 } } }

    /// Waits until an event so far, or to come, meets the condition.
    public func wait(seconds: Double = 20, until meetsCondition: (WorkEvent) -> Bool) -> Bool {
        let deadline = DispatchTime.now() + seconds
        while !all.contains(where: meetsCondition) {
            if came.wait(timeout: deadline) == .timedOut { return all.contains(where: meetsCondition) }
        }
        return true
    }
}
