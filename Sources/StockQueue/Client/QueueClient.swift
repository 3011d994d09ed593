import Dispatch
import Foundation
import StockModel
import StockQueueLocking
import StockQueuePostgres

/// Why the queue refused, or could not be reached.
public enum QueueError: Error, Sendable {
    /// A field breaks a rule; nothing was sent.
    case invalid(ValidationError)
    /// The idempotency key stands for another request (SQLSTATE 23505).
    case keyConflict(String)
    /// This user has no grant for the store, or lacks the scope that the message names (42501).
    case notPermitted(String)
    /// The store has as many ready jobs as it may; try again later (53400).
    case storeIsFull(String)
    /// Anything else that the database said, or that became of the connection.
    case database(PostgresError)
    /// The client has been closed.
    case closed

    init(_ error: any Error) {
        switch error {
        case let error as QueueError: self = error
        case let error as ValidationError: self = .invalid(error)
        case let error as PostgresError:
            switch error.sqlState {
            case .uniqueViolation where error.constraint == "idempotency_key": self = .keyConflict(error.message)
            case .insufficientPrivilege: self = .notPermitted(error.message)
            case .configurationLimitExceeded: self = .storeIsFull(error.message)
            default: self = .database(error)
            }
        default: self = .database(PostgresError(kind: .protocolViolation, message: "\(error)"))
        }
    }
}

/// The queue for a server application: enqueues, awaits results, reads the history.
///
/// ```swift
/// let queue = StockQueueClient(ConnectionSettings(conninfo: "postgresql:///shop", applicationName: "orders"))
/// var job = JobRequest(store: "berlin", item: "shirt-m", quantity: -1)
/// job.idempotencyKey = "order 1001"
/// let receipt = try await queue.enqueue(job)
/// let result = try await queue.result(of: receipt.jobID, timeoutMs: 5_000)
/// ```
///
/// `async` is at this edge alone: each connection lives in a thread of its own, and blocking calls stay off Swift's pool. A call
/// whose connection is lost throws, but for jobs with idempotency keys: those are sent again, since they cannot take effect
/// twice.
public final class StockQueueClient: Sendable {
    /// Does something with the thread's connection, which it makes when it has none. Returns whether that can still be used.
    private typealias Work = @Sendable (_ connection: () throws -> Connection) -> Bool

    private struct State {
        var waiting: [Work] = []
        var isClosed = false
    }

    private let settings: ConnectionSettings
    private let schema: QueueSchema
    private let state = Mutex(State())
    /// One count for each piece of work; after `close`, one for each thread.
    private let available = DispatchSemaphore(value: 0)
    private let threads: Int
    private let watch: ResultWatch

    /// How often a call with idempotency keys is sent when its connection is lost.
    private static let sendsMax = 3

    /// Connects when first asked.
    ///
    /// - Parameter connections: how many calls are served at a time, 1–100.
    public init(_ settings: ConnectionSettings, schema: QueueSchema = .standard, connections: Int = 4) {
        precondition((1...100).contains(connections))
        var settings = settings
        // A producer's statements are short; compiling them costs more than it saves.
        if !settings.pooled { settings.session += [("jit", "off")] }
        self.settings = settings
        self.schema = schema
        threads = connections
        watch = ResultWatch(settings, schema)
        for number in 1...connections {
            let thread = Thread { [self] in serve() }
            thread.name = "stockq client \(number)"
            thread.start()
        }
    }

    /// Ends the connections after the calls at hand; later ones throw `closed`. Must be called, or the threads live on.
    public func close() {
        let isFirst = state.withLock { state in
            defer { state.isClosed = true }
            return !state.isClosed
        }
        if !isFirst { return }
        watch.close()
        for _ in 0..<threads { available.signal() }
    }

    // MARK: enqueueing

    /// Enqueues one job.
    public func enqueue(_ job: JobRequest) async throws(QueueError) -> Receipt {
        try await perform(mayRetry: job.idempotencyKey != nil) { try $0.enqueue(job) }
    }

    /// Enqueues lines of one store, at most 10,000, as one group where they have a group's name: see `Producer.enqueue`.
    ///
    /// - Parameter idempotencyKey: gives each line this key and its number.
    public func enqueue(_ lines: [JobRequest], idempotencyKey: String? = nil) async throws(QueueError) -> [Receipt] {
        let areKeyed = idempotencyKey != nil || lines.allSatisfy { $0.idempotencyKey != nil }
        return try await perform(mayRetry: areKeyed) { try $0.enqueue(lines, idempotencyKey: idempotencyKey) }
    }

    /// Enqueues any number of jobs by COPY, in one transaction; where all have idempotency keys, those used before are left out.
    ///
    /// - Returns: how many were enqueued.
    public func enqueueBulk(_ jobs: [JobRequest]) async throws(QueueError) -> Int {
        let areKeyed = jobs.allSatisfy { $0.idempotencyKey != nil }
        return try await perform(mayRetry: areKeyed) { try $0.enqueueBulk(jobs, skipsDuplicates: areKeyed) }
    }

    /// Moves stock from one location to another: see `Producer.transfer`.
    public func transfer(
        _ quantity: Int64, of key: ItemKey, to location: String, idempotencyKey: String? = nil
    ) async throws(QueueError) -> [Receipt] {
        try await perform(mayRetry: idempotencyKey != nil) {
            try $0.transfer(quantity, of: key, to: location, idempotencyKey: idempotencyKey)
        }
    }

    // MARK: reading

    /// An item's last movements, newest first.
    public func history(of key: ItemKey, limit: Int = 10) async throws(QueueError) -> [JobResult] {
        try await inspect { try $0.movements(key, limit: limit).map(\.value) }
    }

    public func item(_ key: ItemKey) async throws(QueueError) -> Item? {
        try await inspect { try $0.item(key)?.value }
    }

    /// What became of a job; nil while it has no result.
    public func result(of job: Int64) async throws(QueueError) -> JobResult? {
        try await inspect { try $0.result(of: job)?.value }
    }

    /// Waits for the result of a job; nil when the time was over before. All who wait share one poll at the database.
    public func result(of job: Int64, timeoutMs: Int) async throws(QueueError) -> JobResult? {
        let answer: Result<JobResult?, QueueError> = await withCheckedContinuation { continuation in
            watch.wait(for: job, timeoutMs: timeoutMs) { continuation.resume(returning: $0) }
        }
        return try answer.get()
    }

    // MARK: threads

    private func inspect<Value: Sendable>(
        _ body: @escaping @Sendable (Inspector) throws -> Value
    ) async throws(QueueError) -> Value {
        try await call(mayRetry: true) { [schema] in try body(Inspector(connection: $0, schema: schema)) }
    }

    private func perform<Value: Sendable>(
        mayRetry: Bool, _ body: @escaping @Sendable (Producer) throws -> Value
    ) async throws(QueueError) -> Value {
        try await call(mayRetry: mayRetry) { [schema] in try body(Producer(connection: $0, schema: schema)) }
    }

    private func call<Value: Sendable>(
        mayRetry: Bool, _ body: @escaping @Sendable (Connection) throws -> Value
    ) async throws(QueueError) -> Value {
        var sends = 0
        while true {
            sends += 1
            let answer: Result<Value, QueueError> = await withCheckedContinuation { continuation in
                let isTaken = submit { connection in
                    let answer = Result { try body(connection()) }.mapError { QueueError($0) }
                    continuation.resume(returning: answer)
                    if case .failure(.database(let error)) = answer { return !error.isConnectionFatal }
                    return true
                }
                if !isTaken { continuation.resume(returning: .failure(.closed)) }
            }
            if case .failure(.database(let error)) = answer, mayRetry, error.isConnectionFatal, sends < Self.sendsMax {
                continue
            }
            return try answer.get()
        }
    }

    /// - Returns: false when the client is closed.
    private func submit(_ work: @escaping Work) -> Bool {
        let isTaken = state.withLock { state in
            if !state.isClosed { state.waiting.append(work) }
            return !state.isClosed
        }
        if isTaken { available.signal() }
        return isTaken
    }

    private func serve() {
        var connection: Connection?
        while true {
            available.wait()
            let work = state.withLock { $0.waiting.isEmpty ? nil : $0.waiting.removeFirst() }
            guard let work else { return }  // closed, and nothing left to do
            let isUsable = work {
                if let connection { return connection }
                let made = try Connection(settings)
                connection = made
                return made
            }
            if !isUsable { connection = nil }
        }
    }
}
