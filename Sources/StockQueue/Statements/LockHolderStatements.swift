import StockQueuePostgres

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
