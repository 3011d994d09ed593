import StockQueuePostgres

/// Defers waiting jobs until they are tried again. The step grows with the time waited, so that the tries are at 2^n
/// seconds without a counter; waiting uses no attempts.
struct DeferWaitingStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "defer_waiting", [.tidArray, .int8Array, .int8],
            """
            UPDATE \(schema.quoted).jobs
            SET scheduled_at = \(SQL.requestedTime),
                waiting_since = coalesce(waiting_since, now()),
                waiting_quantity = waiting.quantity,
                expires_at = CASE WHEN waiting.quantity IS NULL THEN expires_at
                    ELSE coalesce(expires_at, coalesce(waiting_since, now()) + $3 * interval '1 second') END,
                run_at = least(
                    expires_at,
                    now() + least(
                        greatest(now() - coalesce(waiting_since, now()), interval '1 second'), interval '1 hour'
                    ) * \(SQL.jitter)
                )
            FROM unnest($1, $2) AS waiting (tuple_id, quantity)
            WHERE jobs.ctid = waiting.tuple_id
            """)
    }
}

/// Makes the first jobs that wait for an item ready, in order of work, while their summed need fits the available
/// stock; the whole group of each. Not all of them: most would only wait again. Jobs that another transaction has
/// locked are skipped, because two workers that promote jobs of each other's lanes must not wait for each other.
struct PromoteWaitingStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        statement = Statement(
            "promote_waiting", [.textArray, .textArray, .textArray, .int8Array, .int4],
            """
            WITH fitting AS MATERIALIZED (
                SELECT item.number, waiting.job_id, waiting.group_id, waiting.store_id, waiting.submission_id,
                    waiting.waiting_quantity
                FROM unnest($1, $2, $3, $4) WITH ORDINALITY
                    AS item (store_id, item_id, location_id, available, number)
                CROSS JOIN LATERAL (
                    SELECT first.*,
                        sum(first.waiting_quantity) OVER (ORDER BY first.priority, first.job_id) AS summed_need
                    FROM (
                        SELECT job_id, group_id, store_id, submission_id, waiting_quantity, priority
                        FROM \(s).jobs
                        WHERE jobs.item_id = item.item_id AND jobs.store_id = item.store_id
                            AND jobs.location_id = item.location_id
                            AND waiting_quantity IS NOT NULL AND run_at IS NOT NULL
                        ORDER BY priority, job_id
                        LIMIT $5
                    ) AS first
                ) AS waiting
                WHERE waiting.summed_need <= item.available
            ), singles AS MATERIALIZED (
                SELECT jobs.ctid AS tuple_id
                FROM fitting
                JOIN \(s).jobs USING (job_id)
                WHERE fitting.group_id IS NULL AND run_at IS NOT NULL AND paused_at IS NULL
                FOR UPDATE OF jobs SKIP LOCKED
            ), lines AS MATERIALIZED (
                SELECT jobs.ctid AS tuple_id
                FROM (
                    SELECT DISTINCT group_id, store_id, submission_id FROM fitting WHERE group_id IS NOT NULL
                ) AS whole
                JOIN \(s).jobs USING (group_id, store_id, submission_id)
                WHERE run_at IS NOT NULL AND paused_at IS NULL
                FOR UPDATE OF jobs SKIP LOCKED
            ), promoted AS (
                UPDATE \(s).jobs SET run_at = NULL
                FROM (SELECT tuple_id FROM singles UNION ALL SELECT tuple_id FROM lines) AS locked
                WHERE jobs.ctid = locked.tuple_id
                RETURNING lane, priority, job_id
            )
            SELECT (number - 1)::integer AS item_index, NULL::smallint AS lane, NULL::smallint AS priority,
                count(*) AS jobs, sum(waiting_quantity)::bigint AS need_or_first_id
            FROM fitting
            GROUP BY number
            UNION ALL
            SELECT NULL, lane, priority, count(*), min(job_id)
            FROM promoted
            GROUP BY lane, priority
            """)
    }

    /// What one call found and did.
    struct Promoted {
        /// For each item of the call that had waiting jobs which fit: how many, and what they need together.
        var items: [(position: Int, jobs: Int, need: Int64)] = []
        /// For each lane and priority: how many jobs became ready, and the lowest id.
        var lanes: [Promotion] = []
    }

    static func promoted(in rows: ResultSet) -> Promoted {
        let (item, lane, priority) = (rows.column("item_index"), rows.column("lane"), rows.column("priority"))
        let (jobs, value) = (rows.column("jobs"), rows.column("need_or_first_id"))
        var promoted = Promoted()
        for row in 0..<rows.rowCount {
            let count = Int(rows.int64(row, jobs))
            if let position = rows.optionalInt32(row, item) {
                promoted.items.append((Int(position), count, rows.int64(row, value)))
            } else {
                promoted.lanes.append(
                    Promotion(
                        lane: rows.int16(row, lane), priority: rows.int16(row, priority),
                        firstID: rows.int64(row, value), jobs: count))
            }
        }
        return promoted
    }
}

/// Jobs of one lane and priority that became ready.
struct Promotion: Sendable {
    var lane: Int16
    var priority: Int16
    /// The lowest of their ids.
    var firstID: Int64
    var jobs: Int
}
