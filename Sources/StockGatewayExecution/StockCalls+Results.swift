import StockGateway
import StockModel
import StockQueueLocking
import StockQueuePostgres

/// The thread that waits for results.
extension StockCalls {
    func resultLoop() {
        let session = Session("gateway results", connection, report)
        var pauseMs = 1
        while true {
            let (calls, hasNew, isStopped) = state.withLock { state in
                state.waiting.removeAll { !$0.isWaiting }
                defer { state.hasNewWaiting = false }
                return (state.waiting, state.hasNewWaiting, state.isStopped)
            }
            if calls.isEmpty {
                if isStopped { return }
                waitingWakeUp.wait(milliseconds: 1_000)
                continue
            }
            poll(calls, session)
            addGivenUp(calls.filter { !$0.accept() && $0.isLate && $0.giveUp() })
            // Workers of this process say when to poll; those of others do not.
            let shortestMs = settings.hasWorkers ? settings.pollMsMax : 1
            pauseMs = hasNew ? shortestMs : min(pauseMs * 2, settings.pollMsMax)
            waitingWakeUp.wait(milliseconds: min(pauseMs, calls.map(\.waitMs).min() ?? pauseMs))
        }
    }

    private func poll(_ calls: [PendingCall], _ session: Session) {
        do throws(PostgresError) {
            let answers = try readAnswers(calls, session.open())
            for (pending, answer) in zip(calls, answers) {
                if let answer { pending.answer(answer) }
            }
        } catch {
            session.recover(from: error)
            if !error.isTransient { session.reportFailure(error) }
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
            guard !jobs.isEmpty, lines.count == jobs.count else { return nil }
            // The native API shows each result as it is.
            return pending.call.submission == nil ? Self.answer(lines) : .success(lines)
        }
    }

    private static func answer(_ lines: [LineResult]) -> StockAnswer {
        // A group is decided as a whole. Of lines that are decided one by one, some may have been applied before the
        // others were canceled: then each says what became of it.
        let isEnded = lines.contains { $0.outcome == .canceled || $0.code == .expired }
        let isChanged = lines.contains { $0.outcome == .applied || $0.outcome == .unchanged }
        if isEnded, !isChanged { return .failure(.undecided) }
        if lines.contains(where: { $0.code == .idempotencyMismatch }) { return .failure(.idempotencyMismatch) }
        return .success(lines)
    }
}
