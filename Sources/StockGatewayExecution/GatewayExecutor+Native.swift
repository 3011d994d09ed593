import StockGateway
import StockQueueLocking
import StockQueuePostgres

/// The calls of the native API that are statements.
extension GatewayExecutor {
    func run(_ query: NativeQuery, then answer: @escaping @Sendable (NativeAnswer) -> Void) {
        let secrets = SubscriptionCalls.Secrets(query)
        look(
            query.access.caller.peer, requestID: query.access.caller.requestID,
            { schema, connection throws(PostgresError) in try RunQuery.run(query, secrets, schema, connection) },
            then: { [self] result in
                if case .alerts(.setPolicy) = query.subject, case .success(let policy) = result {
                    let pending = PolicyAnswer(policy, deadlineMs: vendorSettings.deadlineMs, answer)
                    applyThreshold(query.access, after: ApplyThreshold.Place(), pending)
                } else {
                    answer(result)
                }
            })
    }

    /// Gives the store's threshold to its items, a page a call, so that other calls get their turn between two pages.
    private func applyThreshold(_ access: Access, after place: ApplyThreshold.Place, _ pending: PolicyAnswer) {
        look(
            access.caller.peer, requestID: access.caller.requestID,
            { schema, connection throws(PostgresError) in
                try ApplyThreshold.run(access, after: place, schema, connection)
            },
            then: { [self] page in
                switch page {
                case .failure: pending.give(.failed)
                case .success(nil): pending.give(.applied)
                case .success(let place?):
                    if pending.deadline.hasPassed { pending.give(.late) }
                    applyThreshold(access, after: place, pending)
                }
            })
    }
}

/// The answer to a call that set a policy. It is given once: when all items have the threshold, at the deadline, or when
/// a page has failed.
private final class PolicyAnswer: Sendable {
    enum End { case applied, late, failed }

    let deadline: Deadline
    private let policy: NativeRows
    private let answer: Mutex<(@Sendable (NativeAnswer) -> Void)?>

    init(_ policy: NativeRows, deadlineMs: Int, _ answer: @escaping @Sendable (NativeAnswer) -> Void) {
        self.policy = policy
        self.answer = Mutex(answer)
        deadline = .after(milliseconds: deadlineMs)
    }

    func give(_ end: End) {
        let answer = answer.withLock { answer in
            let pending = answer
            answer = nil
            return pending
        }
        var rows = end == .failed ? NativeRows(.thresholdsNotApplied) : policy
        rows.isApplied = end == .applied
        answer?(.success(rows))
    }
}
