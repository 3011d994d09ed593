import Foundation
import StockQueueLocking
import StockQueuePostgres

/// Waits for results on behalf of many: one thread and one connection, there only while somebody waits, ask for all of them.
final class ResultWatch: Sendable {
    typealias Answer = @Sendable (Result<JobResult?, QueueError>) -> Void

    private struct Waiter {
        var deadline: Deadline
        var answer: Answer
    }

    private struct State {
        var waiters: [Int64: [Waiter]] = [:]
        var isWatching = false
        var isClosed = false
        /// Somebody has come since the last poll: poll soon.
        var isFresh = false
    }

    private let settings: ConnectionSettings
    private let schema: QueueSchema
    private let state = Mutex(State())
    private let stop = StopSignal()

    /// Pauses between two looks: short after somebody has come, then growing.
    private static let pauseMs = (shortest: 1, longest: 50)

    init(_ settings: ConnectionSettings, _ schema: QueueSchema) {
        self.settings = settings
        self.schema = schema
    }

    func wait(for job: Int64, timeoutMs: Int, _ answer: @escaping Answer) {
        let (isClosed, starts) = state.withLock { state in
            if state.isClosed { return (true, false) }
            state.waiters[job, default: []].append(
                Waiter(deadline: .after(milliseconds: timeoutMs), answer: answer))
            state.isFresh = true
            defer { state.isWatching = true }
            return (false, !state.isWatching)
        }
        if isClosed { return answer(.failure(.closed)) }
        if starts {
            let thread = Thread { [self] in watch() }
            thread.name = "stockq results"
            thread.start()
        }
    }

    func close() {
        state.withLock { $0.isClosed = true }
        stop.finish()
    }

    private func watch() {
        var connection: Connection?
        var pause = Self.pauseMs.shortest
        while let jobs = awaited() {
            do {
                let usable = try connection ?? Connection(settings)
                connection = usable
                try poll(for: jobs, usable)
            } catch {
                connection = nil
                let reason = QueueError(error)
                // A server that is away may be back before the time is over.
                if case .database(let cause) = reason, cause.isTransient {} else { answerAll(.failure(reason)) }
            }
            answerLate()
            let isFresh = state.withLock { state in
                defer { state.isFresh = false }
                return state.isFresh
            }
            pause = isFresh ? Self.pauseMs.shortest : min(pause * 2, Self.pauseMs.longest)
            if stop.wait(milliseconds: pause) { answerAll(.failure(.closed)) }
        }
    }

    /// The jobs that somebody waits for; nil when nobody does, and then this thread ends.
    private func awaited() -> [Int64]? {
        state.withLock { state in
            if state.waiters.isEmpty { state.isWatching = false }
            return state.waiters.isEmpty ? nil : Array(state.waiters.keys)
        }
    }

    private func poll(for jobs: [Int64], _ connection: Connection) throws {
        var parameters = Parameters()
        parameters.addArray(of: jobs.count, int64: { jobs[$0] })
        let found = try connection.execute(
            Statement(
                "have_results", [.int8Array], "SELECT job_id FROM \(schema.quoted).results WHERE job_id = ANY ($1)"),
            parameters)
        let inspector = Inspector(connection: connection, schema: schema)
        for row in 0..<found.rowCount {
            let job = found.int64(row, 0)
            let result = try inspector.result(of: job)?.value
            for waiter in state.withLock({ $0.waiters.removeValue(forKey: job) }) ?? [] {
                waiter.answer(.success(result))
            }
        }
    }

    private func answerLate() {
        let late = state.withLock { state in
            var late: [Waiter] = []
            for (job, waiters) in state.waiters {
                // Asked once of each: the time goes on meanwhile.
                let isLate = waiters.map(\.deadline.hasPassed)
                late += zip(waiters, isLate).filter(\.1).map(\.0)
                let rest = zip(waiters, isLate).filter { !$0.1 }.map(\.0)
                state.waiters[job] = rest.isEmpty ? nil : rest
            }
            return late
        }
        for waiter in late { waiter.answer(.success(nil)) }
    }

    private func answerAll(_ result: Result<JobResult?, QueueError>) {
        let all = state.withLock { state in
            defer { state.waiters = [:] }
            return state.waiters.values.flatMap { $0 }
        }
        for waiter in all { waiter.answer(result) }
    }
}
