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
    /// Whether this role may call the two above.
    let canDropExpired: Statement

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        addPartitions = Statement(
            "add_results_partitions", [.int8, .int4], "SELECT \(s).add_results_partitions($1, $2)")
        dropExpiredResults = Statement(
            "drop_expired_results", [.int8], "SELECT \(s).drop_expired_results($1 * interval '1 second')")
        dropExpiredKeys = Statement(
            "drop_expired_keys", [.int8, .int4], "SELECT \(s).drop_expired_keys($1 * interval '1 second', $2)")
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
