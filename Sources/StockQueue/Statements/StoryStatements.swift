import StockModel
import StockQueuePostgres

// What the dashboard shows of one job, one order and one item, and what it finds for a search: JSON objects.

/// Everything about a job: as it is queued or finished, its group, its retries, its notifications.
struct ReadJobStoryStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        statement = Statement(
            "job_story", [.int8],
            """
            WITH job AS MATERIALIZED (
                SELECT * FROM \(s).find_job($1)
            ), finished AS MATERIALIZED (
                SELECT * FROM \(s).results WHERE job_id = $1
            ), lines AS MATERIALIZED (
                SELECT line.*
                FROM job, LATERAL \(s).find_group(job.store_id, job.group_id) AS line
                WHERE job.group_id IS NOT NULL AND line.submission_id = job.submission_id
                ORDER BY line.job_id
                LIMIT \(OrderStory.linesMax + 1)
            )
            SELECT json_build_object(
                'job', (SELECT to_json(job) FROM job),
                'result', (SELECT to_json(finished) FROM finished),
                'waiting', (SELECT to_json(j) FROM \(s).jobs AS j WHERE job_id = $1),
                'lines', (SELECT coalesce(json_agg(lines), '[]') FROM lines),
                'retried_as', (SELECT retry_job_id FROM \(s).retries WHERE job_id = $1),
                'next_job_id', (
                    -- The job behind this one in the history of the item, as far as a walk back from the end comes.
                    SELECT h.job_id
                    FROM finished, LATERAL \(s).item_history(
                        finished.store_id, finished.item_id, finished.location_id, 100
                    ) AS h
                    WHERE finished.outcome = 'applied' AND h.previous_job_id = finished.job_id
                    LIMIT 1
                ),
                'notifications', (
                    SELECT coalesce(json_agg(n), '[]')
                    FROM finished
                    JOIN \(s).notifications AS n USING (item_id, store_id, location_id, version)
                    WHERE n.job_id = finished.job_id
                )
            )::text AS json
            """)
    }
}

/// The lines of an order.
enum OrderStory {
    /// More lines are not shown.
    static let linesMax = 500
}

/// The jobs of a group, or with a reference, of a store or of any.
///
/// No index has the references, so only the newest jobs are searched for one.
struct ReadOrderStoryStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        statement = Statement(
            "order_story", [.text, .text, .text, .int8],
            """
            WITH stores AS (
                SELECT $1 AS store_id WHERE $1 IS NOT NULL
                UNION
                SELECT j.store_id FROM \(s).jobs AS j WHERE $1 IS NULL AND j.group_id = $2
                UNION
                SELECT r.store_id FROM \(s).results AS r
                WHERE $1 IS NULL AND r.group_id = $2 AND r.group_last_job_id IS NOT NULL
            ), lines AS MATERIALIZED (
                SELECT line.* FROM stores, LATERAL \(s).find_group(stores.store_id, $2) AS line WHERE $2 IS NOT NULL
                UNION ALL
                SELECT state.*
                FROM \(s).job_states AS state
                WHERE $3 IS NOT NULL AND state.reference = $3 AND state.job_id > $4
                    AND ($1 IS NULL OR state.store_id = $1)
                LIMIT \(OrderStory.linesMax + 1)
            )
            SELECT json_build_object(
                'lines', (SELECT coalesce(json_agg(lines ORDER BY job_id), '[]') FROM lines),
                'lines_max', \(OrderStory.linesMax),
                'searched_from', $4
            )::text AS json
            """)
    }
}

/// An item with its last movements, each with what proves it: `before + applied = after`, and that it begins where the
/// movement before it ended.
///
/// A change outside the queue that an administrator accepted is a link of the chain too.
struct ReadItemStoryStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        let isAccepted = SQL.isAccepted(
            "checked", behind: "earlier_version", before: "earlier_on_hand, earlier_allocated",
            after: "checked.on_hand_before, checked.allocated_before", s)
        statement = Statement(
            "item_story", ItemKeyReader.types + [.int4],
            """
            WITH item AS MATERIALIZED (
                SELECT *, \(SQL.alertLevel(schema)) AS level
                FROM \(s).items
                WHERE (store_id, item_id, location_id) = ($1, $2, $3)
            ), movement AS MATERIALIZED (
                SELECT * FROM \(s).item_history($1, $2, $3, $4 + 1)
            ), checked AS (
                SELECT movement.*, lag(version) OVER history AS earlier_version,
                    lag(on_hand_after) OVER history AS earlier_on_hand,
                    lag(allocated_after) OVER history AS earlier_allocated,
                    lag(movement.job_id) OVER history AS earlier_job, row_number() OVER (ORDER BY version DESC) AS number,
                    CASE action
                        WHEN 'adjust' THEN (on_hand_after, allocated_after)
                            = (on_hand_before + applied_quantity, allocated_before)
                        WHEN 'allocate' THEN (on_hand_after, allocated_after)
                            = (on_hand_before, allocated_before + applied_quantity)
                        WHEN 'deallocate' THEN (on_hand_after, allocated_after)
                            = (on_hand_before, allocated_before - applied_quantity)
                        WHEN 'ship' THEN (on_hand_after, allocated_after)
                            = (on_hand_before - applied_quantity, allocated_before - applied_quantity)
                        -- What was sold since the moment of the count is part of on_hand_after.
                        WHEN 'set' THEN allocated_after = allocated_before
                            AND (counted_at IS NOT NULL OR on_hand_after = applied_quantity)
                    END AS sum_is_right
                FROM movement
                WINDOW history AS (ORDER BY version)
            ), proven AS (
                SELECT job_id, action, quantity, applied_quantity, on_hand_before, on_hand_after, allocated_before,
                    allocated_after, version, previous_job_id, group_id, reference, reason, actor, worker, enqueued_at,
                    finished_at, warning, sum_is_right,
                    CASE
                        WHEN earlier_version IS NULL THEN NULL
                        ELSE earlier_version = version - 1 AND previous_job_id = earlier_job
                            AND ((earlier_on_hand, earlier_allocated) = (on_hand_before, allocated_before)
                                OR \(isAccepted))
                    END AS chain_is_right
                FROM checked
                WHERE number <= $4
            )
            SELECT json_build_object(
                'item', (SELECT to_json(item) FROM item),
                'movements', (SELECT coalesce(json_agg(proven ORDER BY version DESC), '[]') FROM proven),
                'has_more', (SELECT count(*) > $4 FROM movement),
                'end_is_right', (
                    SELECT coalesce(
                        (last.version, last.on_hand_after, last.allocated_after)
                            = (item.version, item.on_hand, item.allocated)
                        OR EXISTS (
                            SELECT FROM \(s).reconciliations AS accepted
                            WHERE (accepted.store_id, accepted.item_id, accepted.location_id)
                                    = (item.store_id, item.item_id, item.location_id)
                                AND (accepted.on_hand_after, accepted.allocated_after)
                                    = (item.on_hand, item.allocated)
                                AND accepted.version = item.version
                        ), true)
                    FROM item
                    LEFT JOIN (SELECT * FROM movement ORDER BY version DESC LIMIT 1) AS last ON true
                ),
                'notifications', (
                    SELECT coalesce(json_agg(n), '[]')
                    FROM (
                        SELECT kind, available_before, available_after, low_stock_threshold, job_id, version, created_at
                        FROM \(s).notifications
                        WHERE (item_id, store_id, location_id) = ($2, $1, $3) AND job_id IS NOT NULL
                        ORDER BY version DESC
                        LIMIT 20
                    ) AS n
                ),
                'reconciliations', (
                    SELECT coalesce(json_agg(to_json(accepted) ORDER BY accepted.version DESC), '[]')
                    FROM \(s).reconciliations AS accepted
                    WHERE (accepted.store_id, accepted.item_id, accepted.location_id) = ($1, $2, $3)
                )
            )::text AS json
            """)
    }
}

/// Finds jobs, groups, keys and items by a text, in a store or in any; a number is looked for as a job too.
///
/// Without a store all items are searched, so the statement is bounded by the time that the session allows. References
/// are not among these, because no index has them: `ReadOrderStoryStatement` finds them.
struct SearchStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        statement = Statement(
            "search", [.text, .text, .int8],
            """
            WITH found_group AS (
                SELECT store_id, min(job_id) AS job_id
                FROM (
                    SELECT store_id, job_id FROM \(s).jobs WHERE group_id = $1 AND ($2 IS NULL OR store_id = $2)
                    UNION ALL
                    SELECT store_id, job_id FROM \(s).results
                    WHERE group_id = $1 AND group_last_job_id IS NOT NULL AND ($2 IS NULL OR store_id = $2)
                ) AS lines
                GROUP BY store_id
                ORDER BY store_id
                LIMIT \(Self.hitsMax)
            ), found_key AS (
                SELECT store_id, job_id FROM \(s).keys_in_use
                WHERE idempotency_key = $1 AND ($2 IS NULL OR store_id = $2)
                ORDER BY store_id
                LIMIT \(Self.hitsMax)
            ), found_item AS (
                SELECT store_id, item_id, location_id
                FROM \(s).items
                WHERE ($2 IS NULL OR store_id = $2) AND (item_id = $1 OR starts_with(item_id, $1))
                ORDER BY store_id, item_id, location_id
                LIMIT \(Self.hitsMax)
            )
            SELECT json_build_object(
                'jobs', (SELECT coalesce(json_agg(j), '[]') FROM \(s).find_job($3) AS j WHERE $3 IS NOT NULL),
                'groups', (SELECT coalesce(json_agg(found_group), '[]') FROM found_group),
                'keys', (SELECT coalesce(json_agg(found_key), '[]') FROM found_key),
                'items', (SELECT coalesce(json_agg(found_item), '[]') FROM found_item)
            )::text AS json
            """)
    }

    private static let hitsMax = 20
}

/// Reads the id of the job that was enqueued last.
struct ReadLastJobStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "read_last_job", [], "SELECT last_value FROM \(schema.quoted).jobs_job_id_seq")
    }
}
