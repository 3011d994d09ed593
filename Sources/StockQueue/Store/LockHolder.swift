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

/// Reads which sessions another one waits for.
struct ReadLockHoldersStatement: QueueStatement {
    let statement = Statement(
        "read_lock_holders", [.int4],
        """
        SELECT pid, coalesce(usename::text, '') AS user_name, coalesce(application_name, '') AS application_name,
            coalesce(state, '') AS state, query_start
        FROM (SELECT DISTINCT unnest(pg_blocking_pids($1)) AS pid) AS blocking
        LEFT JOIN pg_stat_activity USING (pid)
        ORDER BY xact_start NULLS LAST, pid
        """)

    static func parameters(processID: Int32) -> Parameters {
        var parameters = Parameters()
        parameters.add(processID)
        return parameters
    }

    static func holders(in rows: ResultSet) -> [LockHolder] {
        let (pid, user, application) = (
            rows.column("pid"), rows.column("user_name"), rows.column("application_name")
        )
        let (state, queryStart) = (rows.column("state"), rows.column("query_start"))
        return (0..<rows.rowCount).map { row in
            LockHolder(
                processID: rows.int32(row, pid), user: rows.string(row, user),
                applicationName: rows.string(row, application), state: rows.string(row, state),
                queryStart: rows.optionalTimestamp(row, queryStart))
        }
    }
}
