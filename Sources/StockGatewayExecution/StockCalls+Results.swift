import StockGateway
import StockModel
import StockQueueLocking
import StockQueuePostgres

/// The thread that answers calls: with the results that workers of this process hand over, and with those that it finds
/// in the database.
extension StockCalls {
    func resultLoop() {
        let session = Session("gateway results", connection, report)
        var waiting = WaitingCalls(hasWorkers: settings.hasWorkers, pollMsMax: settings.pollMsMax)
        while true {
            let (finished, isStopped) = state.withLock { state in
                let taken = (state.finished, state.isStopped)
                state.finished.removeAll()
                if state.hasNewWaiting { waiting.lookNow() }
                if waiting.mustLook {
                    state.waiting.removeAll { !$0.isWaiting }
                    waiting.calls = state.waiting
                    state.hasNewWaiting = false
                }
                return taken
            }
            // Of those that were decided at once the time says nothing.
            if let first = finished.first(where: { $0.pending.isWaiting }) {
                waiting.gotResults(afterMs: first.pending.waitedMs)
            }
            if answer(finished) {
                state.withLock { $0.hasNewWaiting = true }
                continue
            }
            if waiting.mustLook {
                if isStopped, waiting.calls.isEmpty { return }
                look(at: &waiting, session)
            }
            waitingWakeUp.wait(milliseconds: waiting.pauseMs)
        }
    }

    /// - Returns: whether the database has the results of some of them.
    private func answer(_ finished: [JobRegistry.Finished]) -> Bool {
        var mustLook = false
        for call in finished {
            if let results = call.results {
                call.pending.answer(Self.answer(results, call.pending.call))
            } else {
                call.pending.expectResultsInDatabase()
                mustLook = true
            }
        }
        if state.withLock({ $0.gathersUpTo > 0 }) { queuedWakeUp.signal() }
        return mustLook
    }

    private func look(at waiting: inout WaitingCalls, _ session: Session) {
        let asked = waiting.asked
        let found = asked.isEmpty ? 0 : poll(asked, session)
        addGivenUp(waiting.calls.filter { !$0.accept() && $0.isLate && $0.giveUp() })
        waiting.looked(found: found)
    }

    /// - Returns: how many of the calls have their answers now.
    private func poll(_ calls: [PendingCall], _ session: Session) -> Int {
        do throws(PostgresError) {
            let answers = try readAnswers(calls, session.open())
            for (pending, answer) in zip(calls, answers) {
                if let answer { pending.answer(answer) }
            }
            return answers.count(where: { $0 != nil })
        } catch {
            session.recover(from: error)
            if !error.isTransient { session.reportFailure(error) }
            return 0
        }
    }

    /// The answer of each call whose jobs all have results.
    func readAnswers(_ calls: [PendingCall], _ connection: Connection) throws(PostgresError) -> [StockAnswer?] {
        let submissions = calls.map { $0.submission?.jobs ?? [] }
        let jobs = zip(calls, submissions).flatMap { pending, jobs in
            jobs.map { (tokenHash: pending.tokenHash, job: $0) }
        }
        if jobs.isEmpty { return calls.map { _ in nil } }
        let rows = try connection.execute(FollowCalls.results(schema), FollowCalls.parameters(jobs))
        let results: [Int: LineResult]
        do throws(UnknownLabelError) {
            results = try FollowCalls.lineResults(rows)
        } catch {
            throw PostgresError(kind: .protocolViolation, message: "\(error)")
        }
        var first = 0
        return zip(calls, submissions).map { pending, jobs in
            let lines = (first..<first + jobs.count).compactMap { results[$0] }
            first += jobs.count
            return !jobs.isEmpty && lines.count == jobs.count ? Self.answer(lines, pending.call) : nil
        }
    }

    private static func answer(_ lines: [LineResult], _ call: StockCall) -> StockAnswer {
        // The native API shows each result as it is.
        if call.submission != nil { return .success(lines) }
        // A group is decided as a whole. Of lines that are decided one by one, some may have been applied before the
        // others were canceled: then each says what became of it.
        let isEnded = lines.contains { $0.outcome == .canceled || $0.code == .expired }
        let isChanged = lines.contains { $0.outcome == .applied || $0.outcome == .unchanged }
        if isEnded, !isChanged { return .failure(.undecided) }
        if lines.contains(where: { $0.code == .idempotencyMismatch }) { return .failure(.idempotencyMismatch) }
        return .success(lines)
    }
}

/// When the thread that answers calls looks at those that wait, and which of them it asks the database for.
struct WaitingCalls {
    var calls: [PendingCall] = []
    private let hasWorkers: Bool
    private let pollMsMax: Int
    private var pauseMsNow: Int
    private var nextLook = Deadline.after(milliseconds: 0)
    /// Until then workers of other processes are known to decide jobs.
    private var othersDecideUntil: Deadline?
    /// Milliseconds after which workers of this process have handed over results lately.
    private var usualMs = 0

    /// Milliseconds after which a call is asked for while workers of other processes decide jobs too.
    private static let besideOthersMs = 5
    private static let othersMs = 1_000
    private static let idleMs = 1_000
    private static let timesUsual = 4

    init(hasWorkers: Bool, pollMsMax: Int) {
        self.hasWorkers = hasWorkers
        self.pollMsMax = pollMsMax
        pauseMsNow = pollMsMax
    }

    var mustLook: Bool { nextLook.hasPassed }

    /// Some call was added, or has less time, or its result is in the database.
    mutating func lookNow() {
        nextLook = .after(milliseconds: 0)
        pauseMsNow = 0
    }

    /// The calls to ask the database for: with workers in this process, those that none of them has decided in time.
    var asked: [PendingCall] {
        guard hasWorkers else { return calls }
        return calls.filter { $0.hasResultsInDatabase || $0.waitedMs >= longestMs }
    }

    /// Under load the calls of a batch wait longer than a poll's pause, and asking for them would only add to the load.
    private var longestMs: Int {
        let pauseMs = othersDecideUntil?.hasPassed == false ? min(Self.besideOthersMs, pollMsMax) : pollMsMax
        return hasWorkers ? max(pauseMs, min(Self.timesUsual * usualMs, Self.idleMs)) : pauseMs
    }

    /// A batch of a worker of this process was handed over.
    mutating func gotResults(afterMs milliseconds: Int) { usualMs = (usualMs * 7 + milliseconds) / 8 }

    /// Sets the time of the next look.
    mutating func looked(found: Int) {
        if hasWorkers, found > 0 { othersDecideUntil = .after(milliseconds: Self.othersMs) }
        // Workers of other processes say nothing: at first often, then less.
        pauseMsNow = hasWorkers ? longestMs : min(max(1, pauseMsNow * 2), longestMs)
        let untilLate = calls.map(\.waitMs).min() ?? Self.idleMs
        nextLook = .after(milliseconds: calls.isEmpty ? Self.idleMs : max(1, min(pauseMsNow, untilLate)))
    }

    /// Milliseconds until the next look.
    var pauseMs: Int { nextLook.remainingMs }
}
