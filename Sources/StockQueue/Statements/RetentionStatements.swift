import StockQueuePostgres

/// Partitions of the results, and what has expired. The work is done by functions of the schema
/// (`migrations/functions/retention.sql`).
struct RetentionStatements: Sendable {
    /// Adds missing partitions of the results; returns how many.
    let addPartitions: Statement
    /// Drops the oldest partition when all in it has expired; returns its name or NULL.
    let dropExpiredResults: Statement
    /// Deletes expired idempotency keys, at most so many; returns how many.
    let dropExpiredKeys: Statement
    /// Deletes deliveries that have ended, at most so many; returns how many.
    let dropOldDeliveries: Statement
    /// The queued jobs that keep the oldest partition, although its results have expired.
    let findBlocker: Statement
    /// Whether this role may drop results and delete keys.
    let canDropExpired: Statement

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        addPartitions = Statement(
            "add_results_partitions", [.int8, .int4], "SELECT \(s).add_results_partitions($1, $2)")
        dropExpiredResults = Statement(
            "drop_expired_results", [.int8], "SELECT \(s).drop_expired_results($1 * interval '1 second')")
        dropExpiredKeys = Statement(
            "drop_expired_keys", [.int8, .int4], "SELECT \(s).drop_expired_keys($1 * interval '1 second', $2)")
        dropOldDeliveries = Statement(
            "drop_old_deliveries", [.int8, .int4], "SELECT \(s).drop_old_deliveries($1 * interval '1 second', $2)")
        findBlocker = Statement(
            "find_retention_blocker", [.int8],
            "SELECT * FROM \(s).find_retention_blocker($1 * interval '1 second')")
        canDropExpired = Statement(
            "can_drop_expired", [],
            """
            SELECT bool_and(has_function_privilege(oid, 'EXECUTE'))
            FROM pg_proc
            WHERE oid IN (
                to_regprocedure(\(quoteLiteral("\(s).drop_expired_results(interval)"))),
                to_regprocedure(\(quoteLiteral("\(s).drop_expired_keys(interval,integer)")))
            )
            """)
    }
}

/// Queued jobs that keep a partition of the results whose results have all expired.
package struct RetentionBlocker: Sendable, Hashable {
    /// The most jobs that are counted.
    package static let jobsMax = 1_000

    package let partition: String
    /// How many jobs, at most `jobsMax`.
    package let jobs: Int64
    /// The oldest of them.
    package let job: Int64
    package let store: String
    package let runAt: Timestamp?
    package let expiresAt: Timestamp?

    init?(_ rows: ResultSet) {
        if rows.rowCount == 0 { return nil }
        partition = rows.string(0, rows.column("partition"))
        jobs = rows.int64(0, rows.column("jobs"))
        job = rows.int64(0, rows.column("job_id"))
        store = rows.string(0, rows.column("store_id"))
        runAt = rows.optionalTimestamp(0, rows.column("run_at"))
        expiresAt = rows.optionalTimestamp(0, rows.column("expires_at"))
    }
}
