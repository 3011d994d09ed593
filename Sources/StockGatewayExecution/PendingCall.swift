import StockGateway
import StockQueueLocking
import StockQueuePostgres

/// A job of a call. The time distinguishes it from another job that got its id after a crash of the server.
struct EnqueuedJob: Sendable, Hashable {
    var jobID: Int64
    var enqueuedAt: Timestamp
    /// An earlier call with the same idempotency key enqueued it.
    var isDuplicate = false
}

/// What is known of the jobs of a call.
struct Submission: Sendable {
    var jobs: [EnqueuedJob]
    /// The jobs are those of an earlier call with the same idempotency key; of the native API, perhaps only some.
    var isDuplicate: Bool
    /// The transaction that enqueued them, if its COMMIT was not answered.
    var doubtfulTransaction: String?
}

/// A call that changes stock, from its arrival to its answer. It is answered once.
final class PendingCall: Sendable {
    private enum Phase {
        case queued
        /// Its transaction is under way.
        case enqueuing
        case waiting(Submission)
        /// Its jobs are being canceled; whatever came first is the answer.
        case givenUp(Submission)
        case answered
    }

    private struct State {
        var phase = Phase.queued
        /// When its jobs were committed.
        var waitsSince: Stopwatch?
        var deadline: Deadline
        /// Of the native API: when its caller wants to know only that the jobs are in the queue.
        var acceptAt: Deadline?
        var isDeparted = false
        /// The client has closed its side of the connection, and may be gone.
        var isLeaving = false
        /// The results that workers of this process handed over, by line; empty before the first of several.
        var results: [LineResult?] = []
        var resultsMissing = 0
        /// A worker has found that a job is a duplicate.
        var isDuplicate = false
    }

    /// What the caller of `depart` has to do.
    enum AfterDeparture { case nothing, giveUp }

    let call: StockCall
    let tokenHash: String?
    private let state: Mutex<State>
    private let onAnswer: OnAnswer
    private let onAccept: @Sendable ([EnqueuedJob]) -> Void

    /// - `jobs`: those of the call, if they are known.
    typealias OnAnswer = @Sendable (StockAnswer, _ isDeparted: Bool, _ jobs: [EnqueuedJob]) -> Void

    /// - Parameter onAccept: is called instead of `onAnswer` when the jobs are in the queue and stay there: for calls of
    ///   the native API only.
    init(
        _ call: StockCall, tokenHash: String?, onAccept: @escaping @Sendable ([EnqueuedJob]) -> Void = { _ in },
        onAnswer: @escaping OnAnswer
    ) {
        self.call = call
        self.tokenHash = tokenHash
        self.onAccept = onAccept
        self.onAnswer = onAnswer
        state = Mutex(State(deadline: .after(milliseconds: call.deadlineMs)))
    }

    var remainingMs: Int { state.withLock { $0.deadline.remainingMs } }

    /// Until its deadline, or until its caller does not wait longer.
    var waitMs: Int {
        state.withLock { min($0.deadline.remainingMs, $0.acceptAt?.remainingMs ?? .max) }
    }

    var isLate: Bool { state.withLock { $0.deadline.hasPassed } }

    var isWaiting: Bool {
        state.withLock { state in
            if case .waiting = state.phase { true } else { false }
        }
    }

    /// Milliseconds since its jobs were committed; 0 before.
    var waitedMs: Int { state.withLock { $0.waitsSince?.milliseconds ?? 0 } }

    /// Its jobs are those of an earlier call, or duplicates of them: the database may have the results already, and
    /// no worker hands them over.
    var hasResultsInDatabase: Bool {
        state.withLock { state in
            if case .waiting(let submission) = state.phase {
                submission.isDuplicate || state.isDuplicate
            } else {
                false
            }
        }
    }

    func expectResultsInDatabase() { state.withLock { $0.isDuplicate = true } }

    /// The jobs of a call that waits for results, or that is given up.
    var submission: Submission? {
        state.withLock { state in
            switch state.phase {
            case .waiting(let submission), .givenUp(let submission): submission
            case .queued, .enqueuing, .answered: nil
            }
        }
    }

    // MARK: its way

    /// - Returns: false for a call that was answered while it was queued.
    func beginEnqueuing() -> Bool {
        state.withLock { state in
            guard case .queued = state.phase else { return false }
            state.phase = .enqueuing
            return true
        }
    }

    /// - Returns: whether the call must be given up at once: its client went away meanwhile, or the commit is in doubt.
    func enqueued(_ submission: Submission) -> Bool {
        state.withLock { state in
            // A worker can have handed over the results already.
            guard case .enqueuing = state.phase else { return false }
            let isDoubtful = submission.doubtfulTransaction != nil && !submission.jobs.allSatisfy(\.isDuplicate)
            let isGivenUp = isDoubtful || state.isDeparted && !submission.isDuplicate
            state.acceptAt = call.submission?.acceptedAfterMs.map { .after(milliseconds: $0) }
            state.phase = isGivenUp ? .givenUp(submission) : .waiting(submission)
            state.waitsSince = Stopwatch()
            return isGivenUp
        }
    }

    /// Ends a call of the native API whose jobs stay in the queue: its caller does not wait longer, or an earlier call
    /// enqueued them.
    ///
    /// - Returns: whether it was such a call, and waiting.
    func accept() -> Bool {
        let jobs: [EnqueuedJob]? = state.withLock { state in
            guard let requested = call.submission, case .waiting(let submission) = state.phase,
                !state.isLeaving || submission.isDuplicate
            else { return nil }
            let mayStay = requested.acceptedAfterMs != nil || submission.isDuplicate
            guard state.acceptAt?.hasPassed ?? false || mayStay && state.deadline.hasPassed else { return nil }
            state.phase = .answered
            return submission.jobs
        }
        if let jobs { onAccept(jobs) }
        return jobs != nil
    }

    /// - Returns: whether it was waiting.
    func giveUp() -> Bool {
        state.withLock { state in
            guard case .waiting(let submission) = state.phase else { return false }
            state.phase = .givenUp(submission)
            return true
        }
    }

    /// The client is gone. A call that is queued ends; the jobs of one that waits are to be canceled, unless an earlier
    /// call waits for them too.
    func depart() -> AfterDeparture {
        let (wasQueued, after): (Bool, AfterDeparture) = state.withLock { state in
            state.isDeparted = true
            switch state.phase {
            case .queued: return (true, .nothing)
            case .waiting(let submission) where !submission.isDuplicate:
                state.phase = .givenUp(submission)
                return (false, .giveUp)
            case .enqueuing, .waiting, .givenUp, .answered: return (false, .nothing)
            }
        }
        if wasQueued { answer(.failure(.undecided)) }
        return after
    }

    /// The call has this much time left.
    func hurry(milliseconds: Int, isLeaving: Bool = false) {
        state.withLock { state in
            state.deadline = min(state.deadline, .after(milliseconds: milliseconds))
            state.isLeaving = state.isLeaving || isLeaving
        }
    }

    /// Takes the result of a line from a worker of this process.
    ///
    /// - Returns: the results of all lines, with the last one.
    func take(_ result: LineResult, ofLine line: Int) -> [LineResult]? {
        if call.lines.count == 1 { return [result] }
        return state.withLock { state in
            if state.results.isEmpty {
                state.results = [LineResult?](repeating: nil, count: call.lines.count)
                state.resultsMissing = call.lines.count
            }
            if state.results[line] == nil { state.resultsMissing -= 1 }
            state.results[line] = result
            return state.resultsMissing == 0 ? state.results.compactMap { $0 } : nil
        }
    }

    /// Only the first answer counts.
    func answer(_ answer: StockAnswer) {
        let end: (isDeparted: Bool, jobs: [EnqueuedJob])? = state.withLock { state in
            let jobs: [EnqueuedJob]
            switch state.phase {
            case .answered: return nil
            case .waiting(let submission), .givenUp(let submission): jobs = submission.jobs
            case .queued, .enqueuing: jobs = []
            }
            state.phase = .answered
            return (state.isDeparted || state.isLeaving, jobs)
        }
        if let end { onAnswer(answer, end.isDeparted, end.jobs) }
    }
}
