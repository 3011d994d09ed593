import StockModel
import StockQueuePostgres

/// Counts what the server's statistics know of the jobs since they began: inserted and deleted rows. Their differences
/// are the rates of enqueueing and of finishing; no table is read.
///
/// A session reports its numbers at most once a second, so a rate is taken over some seconds.
struct ReadFlowStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        statement = Statement(
            "read_flow", [.int8],
            """
            WITH newest AS MATERIALIZED (
                SELECT finished_at, greatest(enqueued_at, scheduled_at) AS due_at, outcome
                FROM \(s).results
                ORDER BY job_id DESC
                LIMIT $1
            )
            SELECT clock_timestamp() AS at,
                (
                    SELECT n_tup_ins FROM pg_stat_user_tables
                    WHERE relid = \(quoteLiteral("\(s).jobs"))::regclass
                ) AS enqueued,
                (
                    SELECT n_tup_del FROM pg_stat_user_tables
                    WHERE relid = \(quoteLiteral("\(s).jobs"))::regclass
                ) AS finished,
                (
                    SELECT (array_to_json(percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (
                        ORDER BY extract(epoch FROM finished_at - due_at)::float8
                    )))::text
                    FROM newest
                    -- A job may be canceled before it is due.
                    WHERE finished_at > now() - interval '1 minute' AND outcome <> 'canceled'
                ) AS latencies,
                (SELECT max(finished_at) FROM newest) AS last_result_at,
                (
                    SELECT count(*)
                    FROM (
                        SELECT job_id, finished_at FROM \(s).results
                        WHERE outcome = 'failed' ORDER BY job_id DESC LIMIT \(Self.failedMax)
                    ) AS failed
                    WHERE finished_at > now() - interval '1 day'
                        AND NOT EXISTS (SELECT FROM \(s).retries WHERE retries.job_id = failed.job_id)
                ) AS failed
            """)
    }

    /// The most failed jobs that are counted.
    static let failedMax = 100

    /// - Parameter results: how many of the newest results say what the latency is.
    static func parameters(results: Int64) -> Parameters {
        var parameters = Parameters()
        parameters.add(results)
        return parameters
    }

    /// The numbers of one reading.
    struct Reading: Sendable {
        var at: Timestamp
        /// Since the server's statistics began.
        var enqueued: Int64
        var finished: Int64
        var latencies: [Double]
        var lastResultAt: Timestamp?
        /// Jobs that failed within a day and were not retried, at most `failedMax`.
        var failed: Int64
    }

    static func reading(in rows: ResultSet) -> Reading {
        let latencies = rows.optionalString(0, rows.column("latencies")) ?? ""
        return Reading(
            at: rows.timestamp(0, rows.column("at")),
            enqueued: rows.optionalInt64(0, rows.column("enqueued")) ?? 0,
            finished: rows.optionalInt64(0, rows.column("finished")) ?? 0,
            latencies: latencies.split(whereSeparator: { "[], ".contains($0) }).compactMap { Double($0) },
            lastResultAt: rows.optionalTimestamp(0, rows.column("last_result_at")),
            failed: rows.int64(0, rows.column("failed")))
    }
}
