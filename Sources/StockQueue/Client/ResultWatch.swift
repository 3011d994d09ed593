import Dispatch
import StockModel
import StockQueueLocking
import StockQueuePostgres

/// Waits for results on behalf of many tasks: one thread polls for the results of all of them with one statement.
final class ResultWatch: Sendable {
    private struct Waiter {
        let job: Int64
        let deadline: Deadline
        let answer: PendingAnswer<JobResult?>
    }

    private struct State {
        var waiters: [UInt64: Waiter] = [:]
        var lastID: UInt64 = 0
        var isStopped = false
        /// A waiter was added since the last poll.
        var hasNewWaiter = false
    }

    private let settings: ConnectionSettings
    private let schema: QueueSchema
    private let state = Mutex(State())
    /// Signaled when a waiter is added, and at the end.
    private let changed = DispatchSemaphore(value: 0)
    private let stopSignal = StopSignal()

    /// Pauses between two polls: short after a new waiter, then growing.
    private static let pauseMs = (shortest: 1, longest: 50)

    init(_ settings: ConnectionSettings, _ schema: QueueSchema) {
        self.settings = settings
        self.schema = schema
    }

    /// Waits until the job has a result, or until the time is over, which gives nil.
    func result(of job: Int64, timeoutMs: Int) async -> Result<JobResult?, QueueError> {
        let answer = PendingAnswer<JobResult?>()
        let waiter = Waiter(job: job, deadline: .after(milliseconds: timeoutMs), answer: answer)
        let id: UInt64? = state.withLock { state in
            if state.isStopped { return nil }
            state.lastID += 1
            state.waiters[state.lastID] = waiter
            state.hasNewWaiter = true
            return state.lastID
        }
        guard let id else { return .failure(.stopped) }
        changed.signal()
        return await answer.wait { [self] in
            state.withLock { $0.waiters[id] = nil }
        }
    }

    /// How many tasks wait.
    var waiters: Int { state.withLock { $0.waiters.count } }

    /// Fails all waiters with `stopped`, now and later, and ends `run`.
    func stop() {
        let waiters: [Waiter] = state.withLock { state in
            state.isStopped = true
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.answer.answer(.failure(.stopped)) }
        stopSignal.finish()
        changed.signal()
    }

    /// Polls until `stop`. Blocks the calling thread.
    func run() {
        var connection: Connection?
        var pause = Self.pauseMs.shortest
        while !stopSignal.isFinishing {
            let jobs = awaitedJobs()
            if jobs.isEmpty {
                changed.wait()
                continue
            }
            do {
                let usable = try connection ?? Connection(settings)
                connection = usable
                try poll(for: jobs, usable)
            } catch {
                connection = nil
                let reason = QueueError(error)
                // A server that is not reachable may be so again before the time is over.
                if case .database(let cause) = reason, cause.isTransient {} else { answerAll(.failure(reason)) }
            }
            answerLate()
            let hasNewWaiter = state.withLock { state in
                defer { state.hasNewWaiter = false }
                return state.hasNewWaiter
            }
            pause = hasNewWaiter ? Self.pauseMs.shortest : min(pause * 2, Self.pauseMs.longest)
            _ = stopSignal.wait(milliseconds: pause)
        }
    }

    private func awaitedJobs() -> [Int64] { state.withLock { Array(Set($0.waiters.values.map(\.job))) } }

    private func poll(for jobs: [Int64], _ connection: Connection) throws {
        let results = try Inspector(connection: connection, schema: schema).results(of: jobs)
        if results.isEmpty { return }
        let byJob = Dictionary(results.map { ($0.jobID, $0) }, uniquingKeysWith: { first, _ in first })
        for waiter in remove({ byJob[$0.job] != nil }) { waiter.answer.answer(.success(byJob[waiter.job])) }
    }

    private func answerLate() {
        for waiter in remove(\.deadline.hasPassed) { waiter.answer.answer(.success(nil)) }
    }

    private func answerAll(_ result: Result<JobResult?, QueueError>) {
        for waiter in remove({ _ in true }) { waiter.answer.answer(result) }
    }

    private func remove(_ isWanted: @Sendable (Waiter) -> Bool) -> [Waiter] {
        state.withLock { state in
            let found = state.waiters.filter { isWanted($0.value) }
            for id in found.keys { state.waiters[id] = nil }
            return Array(found.values)
        }
    }
}
