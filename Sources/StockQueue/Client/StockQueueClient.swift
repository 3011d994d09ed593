import Foundation
import StockModel
import StockQueueLocking
import StockQueuePostgres

/// The queue for a server application: enqueues jobs, waits for results, reads items, follows notifications.
///
/// ```swift
/// let queue = StockQueueClient(ConnectionSettings(conninfo: conninfo, applicationName: "shop"))
/// try await withThrowingTaskGroup(of: Void.self) { group in
///     group.addTask { try await queue.run() }
///     try await sell(with: queue)
///     group.cancelAll()
/// }
/// ```
///
/// The connections live in threads that `run()` starts and ends, so that blocking calls stay off Swift's pool. A call
/// waits until `run()` is called; after its end a call throws `QueueError.stopped`.
///
/// A call whose task is canceled throws `QueueError.canceled` at once, and its connection is interrupted. What was on
/// its way may or may not have taken effect: enqueue with an idempotency key, and the same call can be made again.
///
/// A call whose connection is lost is made again by the client if it only reads, or if all its jobs have idempotency
/// keys, because it cannot take effect twice then; otherwise it throws.
public final class StockQueueClient: Sendable {
    private let schema: QueueSchema
    private let threads: ConnectionThreads
    private let watch: ResultWatch
    private let hasRun = Mutex(false)

    /// How often a call is made when its connection is lost.
    private static let attemptsMax = 3

    /// - Parameters:
    ///   - schema: the schema of the queue.
    ///   - connections: how many calls are served at a time, 1–100. Waiting for results takes one connection more,
    ///     however many tasks wait.
    public init(_ settings: ConnectionSettings, schema: QueueSchema = .standard, connections: Int = 4) {
        precondition((1...100).contains(connections))
        self.schema = schema
        threads = ConnectionThreads(settings, count: connections)
        watch = ResultWatch(settings, schema)
    }

    /// Runs the connections of the client until the task is canceled. To be called once.
    ///
    /// Cancellation is the shutdown: calls that have a connection end first, at the latest after the `callTimeout` of
    /// the connection settings; calls that wait for one, and waits for results, throw `stopped`. When `run` returns,
    /// all threads have ended and all connections are closed.
    ///
    /// - Throws: `QueueError.alreadyRun`.
    public func run() async throws {
        let isFirst = hasRun.withLock { hasRun in
            defer { hasRun = true }
            return !hasRun
        }
        guard isFirst else { throw QueueError.alreadyRun }
        await withTaskCancellationHandler {
            await Self.runThreads(threads.bodies + [watch.run])
        } onCancel: {
            threads.stop()
            watch.stop()
        }
    }

    /// Returns when all threads have ended.
    private static func runThreads(_ bodies: [@Sendable () -> Void]) async {
        await withCheckedContinuation { continuation in
            let end = EndOfThreads(bodies.count, continuation)
            for (number, body) in bodies.enumerated() {
                let thread = Thread {
                    body()
                    end.signal()
                }
                thread.name = "stockq client \(number + 1)"
                thread.start()
            }
        }
    }

    // MARK: jobs

    /// Enqueues one job.
    ///
    /// With an idempotency key that was used before for the same request nothing is enqueued, and the receipt names the
    /// first job.
    public func enqueue(_ job: JobRequest) async throws(QueueError) -> Receipt {
        try await produce(mayRetry: job.idempotencyKey != nil) { try $0.enqueue(job) }
    }

    /// Enqueues lines of one store, at most 10,000, in one transaction: as one group where they have a group id.
    ///
    /// - Parameter idempotencyKey: gives each line this key and its number.
    public func enqueue(_ lines: [JobRequest], idempotencyKey: String? = nil) async throws(QueueError) -> [Receipt] {
        let areKeyed = idempotencyKey != nil || lines.allSatisfy { $0.idempotencyKey != nil }
        return try await produce(mayRetry: areKeyed) { try $0.enqueue(lines, idempotencyKey: idempotencyKey) }
    }

    /// Enqueues any number of jobs with COPY, in one transaction. Where all have idempotency keys, those used before
    /// are skipped.
    ///
    /// - Returns: how many were enqueued.
    public func enqueueBulk(_ jobs: [JobRequest]) async throws(QueueError) -> Int {
        let areKeyed = jobs.allSatisfy { $0.idempotencyKey != nil }
        return try await produce(mayRetry: areKeyed) { try $0.enqueueBulk(jobs, skipsDuplicates: areKeyed) }
    }

    /// Moves stock from one location of an item to another: a group of two lines.
    ///
    /// - Parameter quantity: above 0.
    public func transfer(
        _ quantity: Int64, of key: ItemKey, to location: String, idempotencyKey: String? = nil
    ) async throws(QueueError) -> [Receipt] {
        var job = JobRequest(store: key.storeID, item: key.itemID, quantity: quantity)
        job.locationID = key.locationID
        job.idempotencyKey = idempotencyKey
        return try await transfer(job, to: location)
    }

    /// Moves stock from one location of an item to another: a group of two lines.
    ///
    /// - Parameter job: that of the location that gives, with a quantity above 0. Both lines have its reason, reference,
    ///   actor, time and metadata.
    public func transfer(_ job: JobRequest, to location: String) async throws(QueueError) -> [Receipt] {
        try await produce(mayRetry: job.idempotencyKey != nil) { try $0.transfer(job, to: location) }
    }

    /// What jobs would do with the present stock, one after the other; enqueues nothing.
    public func dryRun(_ jobs: [JobRequest]) async throws(QueueError) -> [DryRun.Answer] {
        try await produce(mayRetry: true) { try $0.dryRun(jobs) }
    }

    // MARK: results

    /// The result of a job; nil while it has none.
    public func result(of job: Int64) async throws(QueueError) -> JobResult? {
        try await inspect { try $0.result(of: job)?.value }
    }

    /// Waits for the result of a job; nil when there is none after the timeout, which is a year at most.
    ///
    /// All waiting tasks share one connection and one statement every 1–50 ms. A canceled task stops waiting at once.
    public func result(of job: Int64, timeout: Duration) async throws(QueueError) -> JobResult? {
        try await watch.result(of: job, timeoutMs: min(timeout, .days(365)).milliseconds).get()
    }

    /// How many tasks wait for results.
    package var waitingTasks: Int { watch.waiters }

    /// A job that is still queued; nil when it has its result or was never enqueued.
    public func queuedJob(_ job: Int64) async throws(QueueError) -> QueuedJob? {
        try await inspect { try $0.job(job)?.value }
    }

    // MARK: items

    /// An item; nil when there is no such item.
    public func item(_ key: ItemKey) async throws(QueueError) -> Item? {
        try await inspect { try $0.item(key)?.value }
    }

    /// The last results that changed an item, newest first.
    public func history(of key: ItemKey, limit: Int = 10) async throws(QueueError) -> [JobResult] {
        try await inspect { try $0.movements(key, limit: limit).map(\.value) }
    }

    /// The queue now, and what was finished within the window, which is counted in whole seconds. It scans the queue.
    public func statistics(window: Duration = .seconds(86_400)) async throws(QueueError) -> QueueStatistics {
        try await inspect { try $0.statistics(seconds: window.wholeSeconds).value }
    }

    // MARK: calls

    func inspect<Value: Sendable>(
        _ body: @escaping @Sendable (Inspector) throws -> Value
    ) async throws(QueueError) -> Value {
        try await call(mayRetry: true) { [schema] in try body(Inspector(connection: $0, schema: schema)) }
    }

    func administer<Value: Sendable>(
        _ body: @escaping @Sendable (QueueAdmin) throws -> Value
    ) async throws(QueueError) -> Value {
        try await call(mayRetry: false) { [schema] in try body(QueueAdmin(connection: $0, schema: schema)) }
    }

    private func produce<Value: Sendable>(
        mayRetry: Bool, _ body: @escaping @Sendable (Producer) throws -> Value
    ) async throws(QueueError) -> Value {
        try await call(mayRetry: mayRetry) { [schema] in try body(Producer(connection: $0, schema: schema)) }
    }

    private func call<Value: Sendable>(
        mayRetry: Bool, _ body: @escaping @Sendable (Connection) throws -> Value
    ) async throws(QueueError) -> Value {
        var attempts = 0
        while true {
            attempts += 1
            let answer = await attempt(body)
            if case .failure(.database(let error)) = answer, mayRetry, error.isConnectionFatal,
                attempts < Self.attemptsMax
            {
                continue
            }
            return try answer.get()
        }
    }

    private func attempt<Value: Sendable>(
        _ body: @escaping @Sendable (Connection) throws -> Value
    ) async -> Result<Value, QueueError> {
        let answer = PendingAnswer<Value>()
        let id = threads.submit(
            work: { connection in
                // Canceled just before this thread took the call.
                if answer.isAnswered { return true }
                let result = Result { try body(connection()) }.mapError { QueueError($0) }
                answer.answer(result)
                if case .failure(.database(let error)) = result { return !error.isConnectionFatal }
                return true
            },
            drop: { answer.answer(.failure(.stopped)) })
        guard let id else { return .failure(.stopped) }
        return await answer.wait { [threads] in threads.cancel(id) }
    }
}

/// Resumes a task when the last of some threads has ended.
private final class EndOfThreads: Sendable {
    private let running: Mutex<Int>
    private let continuation: CheckedContinuation<Void, Never>

    init(_ count: Int, _ continuation: CheckedContinuation<Void, Never>) {
        running = Mutex(count)
        self.continuation = continuation
    }

    func signal() {
        let isLast = running.withLock { running in
            running -= 1
            return running == 0
        }
        if isLast { continuation.resume() }
    }
}
