import StockQueuePostgres

/// A session that holds a lock for which a migration waits, or waits for it too and came first.
public struct LockHolder: Sendable, Hashable {
    /// 0 for a prepared transaction, which belongs to no session.
    public let processID: Int32
    /// Empty where the session has ended meanwhile.
    public let user: String
    public let applicationName: String
    /// `active`, `idle in transaction`, …; empty where this role may not see it.
    public let state: String
    /// When the session began its last statement; nil where this role may not see it.
    public let queryStart: Timestamp?
}

extension LockHolder: CustomStringConvertible {
    public var description: String {
        if processID == 0 { return "a prepared transaction" }
        let facts = [
            user.isEmpty ? nil : "user \(user)", applicationName.isEmpty ? nil : "application \(applicationName)",
            state.isEmpty ? nil : state, queryStart.map { "last statement at \($0)" },
        ]
        return "process \(processID) (\(facts.compactMap { $0 }.joined(separator: ", ")))"
    }
}
