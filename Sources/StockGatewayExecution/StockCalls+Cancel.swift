import StockGateway
import StockModel
import StockQueueLocking
import StockQueuePostgres

/// The thread that cancels the jobs of calls that are given up, and answers them with what came first.
extension StockCalls {
    /// Milliseconds that a statement waits for a batch that has claimed a job, before the other calls have their turn.
    private static let lockTimeoutMs = 1_000

    func cancelLoop() {
        var connection = connection
        connection.session.append(("lock_timeout", "\(Self.lockTimeoutMs)ms"))
        let session = Session("gateway cancel", connection, report)
        while true {
            let (calls, isStopped): ([PendingCall], Bool) = state.withLock { state in
                defer { state.givenUp = [] }
                return (state.givenUp, state.isStopped)
            }
            // The jobs stay queued, and the calls have no answer: an answer could be wrong.
            if isStopped { return }
            if calls.isEmpty {
                givenUpWakeUp.wait(milliseconds: 1_000)
                continue
            }
            let remaining = cancel(calls, session)
            if remaining.isEmpty { continue }
            state.withLock { $0.givenUp += remaining }
            givenUpWakeUp.wait(milliseconds: 100)
        }
    }

    /// - Returns: the calls of which nothing certain is known yet.
    private func cancel(_ calls: [PendingCall], _ session: Session) -> [PendingCall] {
        do throws(PostgresError) {
            let connection = try session.open()
            let inProgress = try transactionsInProgress(calls, connection)
            let ended = calls.filter { pending in
                !inProgress.contains(pending.submission?.doubtfulTransaction ?? "")
            }
            let jobs = ended.flatMap { pending in
                // A job that an earlier call of the native API was promised to be in the queue stays there.
                (pending.submission?.jobs ?? []).filter { pending.call.submission == nil || !$0.isDuplicate }
                    .map { (tokenHash: pending.tokenHash, job: $0) }
            }
            if !jobs.isEmpty { try connection.execute(FollowCalls.cancel(schema), FollowCalls.parameters(jobs)) }
            // A statement of its own, which sees what a batch committed while the cancellation waited for it.
            for (pending, answer) in zip(ended, try readAnswers(ended, connection)) {
                // A job that is neither queued nor finished was never committed.
                pending.answer(answer ?? .failure(.undecided))
            }
            return calls.filter { pending in pending.submission != nil }
        } catch {
            session.recover(from: error)
            if error.isTransient { return calls }
            if calls.count == 1 {
                if error.sqlState != .lockNotAvailable { session.reportFailure(error) }
                return calls
            }
            // A batch has one of the jobs: the others need not wait for it.
            let middle = calls.count / 2
            return cancel(Array(calls[..<middle]), session) + cancel(Array(calls[middle...]), session)
        }
    }

    /// The transactions that may still commit. One that never reached the disk, or of which the server knows nothing,
    /// is over.
    private func transactionsInProgress(
        _ calls: [PendingCall], _ connection: Connection
    ) throws(PostgresError) -> Set<String> {
        var inProgress: Set<String> = []
        for transaction in Set(calls.compactMap { $0.submission?.doubtfulTransaction }) {
            var parameters = Parameters()
            parameters.add(transaction)
            do throws(PostgresError) {
                let rows = try connection.execute(EnqueueCalls.transactionStatus, parameters)
                if rows.optionalString(0, rows.column("status")) == "in progress" { inProgress.insert(transaction) }
            } catch {
                if error.kind != .server || error.isConnectionFatal { throw error }
                // "in the future": the server crashed before it wrote anything of the transaction.
            }
        }
        return inProgress
    }
}
