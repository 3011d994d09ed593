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
///
/// A page of each item, from a position in the order of work on: a page that started with the first waiting job again
/// would meet the same locked jobs for ever.
///
/// `num_nulls`, because with `run_at IS NOT NULL` the planner could read all of the index of due jobs instead.
struct PromoteWaitingStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        statement = Statement(
            "promote_waiting", [.textArray, .textArray, .textArray, .int8Array, .int2Array, .int8Array, .int4],
            """
            WITH fitting AS MATERIALIZED (
                SELECT item.number, waiting.tuple_id, waiting.job_id, waiting.group_id, waiting.store_id, waiting.submission_id,
                    waiting.waiting_quantity, waiting.priority
                FROM unnest($1, $2, $3, $4, $5, $6) WITH ORDINALITY
                    AS item (store_id, item_id, location_id, available, after_priority, after_id, number)
                CROSS JOIN LATERAL (
                    SELECT first.*,
                        sum(first.waiting_quantity) OVER (ORDER BY first.priority, first.job_id) AS summed_need
                    FROM (
                        SELECT ctid AS tuple_id, job_id, group_id, store_id, submission_id, waiting_quantity, priority
                        FROM \(s).jobs
                        WHERE jobs.item_id = item.item_id AND jobs.store_id = item.store_id
                            AND jobs.location_id = item.location_id
                            AND waiting_quantity IS NOT NULL AND run_at IS NOT NULL
                            AND (jobs.priority, jobs.job_id) > (item.after_priority, item.after_id)
                        ORDER BY priority, job_id
                        LIMIT $7
                    ) AS first
                ) AS waiting
                WHERE waiting.summed_need <= item.available
            ), singles AS MATERIALIZED (
                SELECT jobs.ctid AS tuple_id
                FROM fitting
                JOIN \(s).jobs ON jobs.ctid = fitting.tuple_id
                WHERE fitting.group_id IS NULL AND num_nulls(run_at) = 0 AND paused_at IS NULL
                FOR UPDATE OF jobs SKIP LOCKED
            ), lines AS MATERIALIZED (
                SELECT line.tuple_id
                FROM (
                    SELECT DISTINCT group_id, store_id, submission_id FROM fitting WHERE group_id IS NOT NULL
                ) AS whole
                CROSS JOIN LATERAL (
                    SELECT ctid AS tuple_id
                    FROM \(s).jobs
                    WHERE jobs.group_id = whole.group_id AND jobs.store_id = whole.store_id
                        AND jobs.submission_id = whole.submission_id
                        AND num_nulls(run_at) = 0 AND paused_at IS NULL
                    FOR UPDATE SKIP LOCKED
                ) AS line
            ), promoted AS (
                UPDATE \(s).jobs SET run_at = NULL
                FROM (SELECT tuple_id FROM singles UNION ALL SELECT tuple_id FROM lines) AS locked
                WHERE jobs.ctid = locked.tuple_id
                RETURNING strand, job_id
            )
            SELECT (number - 1)::integer AS item_index, NULL::integer AS strand, max(priority) AS priority,
                count(*) AS jobs, (array_agg(job_id ORDER BY priority DESC, job_id DESC))[1] AS job_id,
                sum(waiting_quantity)::bigint AS need
            FROM fitting
            GROUP BY number
            UNION ALL
            SELECT NULL, strand, NULL, count(*), min(job_id), NULL
            FROM promoted
            GROUP BY strand
            """)
    }

    /// An item with more stock, and how far its waiting jobs were seen.
    struct Item {
        /// The item of the batch.
        var index: Int32
        /// What the waiting jobs behind the position may need together.
        var available: Int64
        /// The position: the last job of the pages before.
        var lastPriority: Int16 = 0
        var lastID: Int64 = 0
    }

    /// The parameters behind the items' keys.
    static func parameters(_ parameters: inout Parameters, _ items: [Item], jobsMax: Int) {
        parameters.addArray(of: items.count, int64: { items[$0].available })
        parameters.addArray(of: items.count, int16: { items[$0].lastPriority })
        parameters.addArray(of: items.count, int64: { items[$0].lastID })
        parameters.add(Int32(jobsMax))
    }

    /// What one call found and did.
    struct Promoted {
        /// The items of which a full page fits: they may have more jobs that fit what remains.
        var items: [Item] = []
        /// For each strand: how many jobs became ready, and the lowest id.
        var strands: [Promotion] = []
    }

    static func promoted(in rows: ResultSet, of items: [Item], jobsMax: Int) -> Promoted {
        let (item, strand, priority) = (rows.column("item_index"), rows.column("strand"), rows.column("priority"))
        let (jobs, jobID, need) = (rows.column("jobs"), rows.column("job_id"), rows.column("need"))
        var promoted = Promoted()
        for row in 0..<rows.rowCount {
            let count = Int(rows.int64(row, jobs))
            guard let position = rows.optionalInt32(row, item) else {
                promoted.strands.append(
                    Promotion(
                        strand: Strand(rawValue: rows.int32(row, strand)), firstID: rows.int64(row, jobID), jobs: count)
                )
                continue
            }
            if count < jobsMax { continue }
            var item = items[Int(position)]
            item.available -= rows.int64(row, need)
            (item.lastPriority, item.lastID) = (rows.int16(row, priority), rows.int64(row, jobID))
            promoted.items.append(item)
        }
        return promoted
    }
}

/// Jobs of one strand that became ready.
struct Promotion: Sendable {
    var strand: Strand
    /// The lowest of their ids.
    var firstID: Int64
    var jobs: Int
}
