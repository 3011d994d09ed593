import StockQueuePostgres

/// Every statement of the batch transaction, in the order in which a batch uses them.
///
/// All of them name the schema themselves: a session's `search_path` is the user's. The sessions of workers run with
/// hash joins, merge joins, sequential and bitmap scans off (see `WorkerSettings.session`), because the right plan for
/// all of these is the same whatever the statistics say: follow the index, or go straight to the row.
struct WorkStatements: Sendable {
    /// Holds the lane, and says so to the claim that travels behind it in the same pipeline.
    ///
    /// The claim must do nothing when somebody else has the lane, and it is sent before the answer is known; a setting
    /// local to the transaction carries it over. `set_config` stands outside the sub-select because a target list is
    /// computed before FOR UPDATE has dropped the rows that are locked. Also tells whether any store is paused.
    let lockLane: Statement

    /// The stores that are paused.
    let readPausedStores: Statement

    /// Sets jobs of a paused store aside until it is resumed.
    let pauseJobs: Statement

    /// Claims the lane's first ready jobs above the low-water marks, in order of work.
    ///
    /// Not inside `IN (SELECT …)`, where FOR UPDATE SKIP LOCKED LIMIT n can claim more than n rows.
    /// Rejected: joining the stock here. In a statement that locks one table and reads another, the other can be stale.
    let claim: Statement

    /// How many ready jobs stand at or before the last claimed one. More than were claimed means that somebody else
    /// holds one of them, and that what comes after it on its items has to stay behind it.
    let countUpTo: Statement

    /// The ready jobs at or before the last claimed one, without locking.
    let readUpTo: Statement

    /// How many lines each claimed group has. More than were claimed means that the group was cut.
    let countGroups: Statement

    /// Claims certain jobs of the lane: those that the database refused when they stood alone, and those that came while the
    /// claim was being completed.
    let claimByID: Statement

    /// All lines of groups, locked where nobody else holds them; deferred ones too.
    let claimGroups: Statement

    /// All lines of groups, without locking.
    let readGroups: Statement

    /// Locks the batch's stock rows in key order (the arrays come sorted), waiting up to `lock_timeout`.
    ///
    /// NO KEY UPDATE: the key never changes, and nothing that only refers to the item is held up.
    let lockItems: Statement

    /// The same for rows whose place is remembered: straight there, and only where the key still fits.
    let lockCachedItems: Statement

    /// The same as `lockItems` without waiting: rows that somebody else holds are left out.
    let lockUnlockedItems: Statement

    /// Which of the items exist, to tell those that are held from those that are unknown.
    let readItems: Statement

    /// What is known of idempotency keys: the job that used each up, and its request.
    let readKeys: Statement

    /// Uses idempotency keys up, in the order of the keys, so that two lanes which meet do not wait for each other in a circle.
    /// One that was there before violates the primary key, and the batch looks again.
    ///
    /// Tried and dropped: ON CONFLICT DO NOTHING and counting the rows, 2,134 ms instead of 1,426 for 300,000 keys.
    let useKeys: Statement

    /// Writes the new stock, straight to the row versions that were locked. Returns where the new versions stand.
    let writeItems: Statement

    /// Removes the finished jobs and writes their results: what stands in the job's row never travels to the worker.
    let writeResults: Statement

    /// Tells changes of alert levels.
    let writeNotifications: Statement

    /// Sets waiting jobs aside until the next poll. The step grows with the time waited, so that looks are at
    /// 2^n seconds without a counter; waiting uses up no attempts.
    let deferWaiting: Statement

    /// Wakes the first jobs that wait for an item, in order, while their summed need fits what is available; the
    /// whole group of each. Not the whole herd: most of it would only go back to waiting. What somebody else holds is
    /// passed over: two workers that wake for each other's lanes must not wait for one another.
    ///
    /// Returns a row for each item with its jobs and their need, and one for each lane and priority with the lowest id
    /// promoted there.
    let promoteWaiting: Statement

    /// Counts an attempt and sets the jobs aside for 2^attempts seconds, at most an hour, with jitter.
    let retryLater: Statement

    /// Gives jobs up for good: the result keeps the whole job and what the database said.
    let writeFailures: Statement

    /// The same when a row cannot be written as it is: the job is kept as text inside the message.
    let writeFailuresAsText: Statement

    init(schema: QueueSchema) {
        let s = schema.quoted
        let requestedTime = PollerStatements.requestedTime
        // The lines of a group are due together, or the group would stand at another line in each round.
        let jitter =
            "CASE WHEN group_id IS NULL THEN random() ELSE (hashtextextended(group_id, extract(epoch FROM now())::bigint) & 1023) / 1024.0 END"
        let jobColumns = """
            job_id, jobs.ctid, quantity, expected_available, priority, attempts, max_attempts, action, on_insufficient, notify,
                coalesce(expires_at <= now(), false) AS is_expired, run_at IS NULL AS is_ready,
                group_id, store_id, item_id, location_id,
                idempotency_key, CASE WHEN idempotency_key IS NOT NULL THEN store_id END AS key_store,
                CASE WHEN group_id IS NOT NULL THEN enqueued_at END AS sent_at
            """

        lockLane = Statement(
            "lock_lane", [.int2],
            """
            SELECT set_config('stockq.lane', lane::text, true), has_paused_stores, epoch
            FROM (
                SELECT lane, has_paused_stores, epoch FROM \(s).lanes WHERE lane = $1 AND paused_at IS NULL FOR UPDATE SKIP LOCKED
            ) AS held
            """)
        readPausedStores = Statement("read_paused_stores", [], "SELECT store_id FROM \(s).paused_stores")
        pauseJobs = Statement(
            "pauseJobs", [.tidArray],
            """
            UPDATE \(s).jobs SET scheduled_at = \(requestedTime), paused_at = now(), run_at = 'infinity' WHERE ctid = ANY ($1)
            """)

        // One branch for each priority, each from its own mark on; an Append runs them one after the other, and the limit
        // above it stops as soon as it has enough, so nothing is locked that is not returned. The comparison of rows is
        // what the index on (lane, priority, job_id) can answer and the primary key cannot, whatever the statistics say.
        let lockedLane = "nullif(current_setting('stockq.lane', true), '')::smallint"
        claim = Statement(
            "claim", [.int4, .int8Array],
            (1...LowWaterMarks.priorities).map { priority in
                """
                SELECT * FROM (
                    SELECT \(jobColumns)
                    FROM \(s).jobs
                    WHERE lane = \(lockedLane) AND run_at IS NULL
                        AND (priority, job_id) > (\(priority)::smallint, ($2)[\(priority)]) AND priority <= \(priority)::smallint
                    ORDER BY priority, job_id
                    FOR UPDATE SKIP LOCKED
                ) AS priority_\(priority)
                """
            }.joined(separator: "\nUNION ALL\n") + "\nLIMIT $1")

        claimByID = Statement(
            "claim_by_id", [.int8Array],
            """
            SELECT \(jobColumns)
            FROM \(s).jobs
            WHERE lane = \(lockedLane) AND job_id = ANY ($1)
            ORDER BY job_id
            FOR UPDATE SKIP LOCKED
            """)

        // The marks come with an upper bound for each priority up to the last claimed one's. LATERAL with an aggregate or an
        // order in it cannot be turned round: the other way reads the whole lane.
        let bounds = "unnest($2, $3) WITH ORDINALITY AS bounds (mark, last, number)"
        let upTo = """
            lane = $1 AND run_at IS NULL
                    AND (priority, job_id) > (number::smallint, mark) AND (priority, job_id) <= (number::smallint, last)
            """
        countUpTo = Statement(
            "count_up_to", [.int2, .int8Array, .int8Array],
            """
            SELECT sum(ready.jobs)::bigint
            FROM \(bounds)
            CROSS JOIN LATERAL (
                SELECT count(*) AS jobs FROM \(s).jobs
                WHERE \(upTo)
            ) AS ready
            """)
        readUpTo = Statement(
            "read_up_to", [.int2, .int8Array, .int8Array],
            """
            SELECT ready.*
            FROM \(bounds)
            CROSS JOIN LATERAL (
                SELECT \(jobColumns) FROM \(s).jobs
                WHERE \(upTo)
                ORDER BY priority, job_id
            ) AS ready
            """)

        countGroups = Statement(
            "count_groups", [.textArray, .textArray],
            """
            SELECT wanted.number, count(*)
            FROM unnest($1, $2) WITH ORDINALITY AS wanted (group_id, store_id, number)
            JOIN \(s).jobs USING (group_id, store_id)
            GROUP BY wanted.number
            """)
        let groupLines = """
            SELECT \(jobColumns)
            FROM unnest($1, $2) AS wanted (wanted_group, wanted_store)
            JOIN \(s).jobs ON group_id = wanted_group AND store_id = wanted_store
            """
        claimGroups = Statement(
            "claim_groups", [.textArray, .textArray], "\(groupLines) FOR UPDATE OF jobs SKIP LOCKED")
        readGroups = Statement("read_groups", [.textArray, .textArray], groupLines)

        let stockColumns = """
            (wanted.number - 1)::integer, items.ctid, on_hand, allocated, version, low_stock_threshold, last_job_id,
                alert_level, tracked
            """
        let stockRows = """
            SELECT \(stockColumns)
            FROM unnest($1, $2, $3) WITH ORDINALITY AS wanted (store_id, item_id, location_id, number)
            JOIN \(s).items USING (store_id, item_id, location_id)
            """
        let keys: [TypeOID] = [.textArray, .textArray, .textArray]
        lockItems = Statement(
            "lock_items", keys, "\(stockRows) ORDER BY wanted.number FOR NO KEY UPDATE OF items")
        // IS NOT DISTINCT FROM checks the key and gives the planner no index to prefer to the place.
        lockCachedItems = Statement(
            "lock_cached_items", keys + [.tidArray],
            """
            SELECT \(stockColumns)
            FROM unnest($1, $2, $3, $4) WITH ORDINALITY AS wanted (store_id, item_id, location_id, place, number)
            JOIN \(s).items ON items.ctid = wanted.place
                AND items.store_id IS NOT DISTINCT FROM wanted.store_id
                AND items.item_id IS NOT DISTINCT FROM wanted.item_id
                AND items.location_id IS NOT DISTINCT FROM wanted.location_id
            ORDER BY wanted.number
            FOR NO KEY UPDATE OF items
            """)
        lockUnlockedItems = Statement(
            "lock_unlocked_items", keys, "\(stockRows) ORDER BY wanted.number FOR NO KEY UPDATE OF items SKIP LOCKED")
        readItems = Statement("read_items", keys, stockRows)

        readKeys = Statement(
            "read_keys", [.textArray, .textArray],
            """
            SELECT (wanted.number - 1)::integer, job_id, quantity, expected_available, action, on_insufficient,
                store_id, item_id, location_id
            FROM unnest($1, $2) WITH ORDINALITY AS wanted (idempotency_key, store_id, number)
            JOIN \(s).idempotency_keys USING (idempotency_key, store_id)
            """)
        useKeys = Statement(
            "use_keys", [.tidArray],
            """
            INSERT INTO \(s).idempotency_keys (
                idempotency_key, store_id, job_id, quantity, expected_available, action, on_insufficient, item_id, location_id
            )
            SELECT idempotency_key, store_id, job_id, quantity, expected_available, action, on_insufficient, item_id, location_id
            FROM unnest($1) AS used (place)
            JOIN \(s).jobs ON jobs.ctid = used.place
            ORDER BY idempotency_key, store_id
            """)

        writeItems = Statement(
            "write_items", [.tidArray, .int8Array, .int8Array, .int8Array, .int8Array, .int2Array],
            """
            UPDATE \(s).items
            SET on_hand = new.on_hand,
                allocated = new.allocated,
                version = new.version,
                last_job_id = new.last_job_id,
                alert_level = (\(Self.labels(AlertLevel.self, schema)))[new.alert_level + 1],
                opening_on_hand = coalesce(items.opening_on_hand, items.on_hand),
                opening_allocated = coalesce(items.opening_allocated, items.allocated),
                updated_at = now()
            FROM unnest($1, $2, $3, $4, $5, $6) WITH ORDINALITY
                AS new (place, on_hand, allocated, version, last_job_id, alert_level, number)
            WHERE items.ctid = new.place
            RETURNING (new.number - 1)::integer, items.ctid
            """)

        writeResults = Statement(
            "write_results",
            [
                .tidArray, .int2Array, .int2Array, .boolArray, .int8Array, .int8Array, .int8Array, .int8Array,
                .int8Array, .int8Array, .int8Array, .int2Array, .int2Array, .text, .int8Array, .int8Array,
            ],
            """
            WITH gone AS (
                DELETE FROM \(s).jobs
                USING unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $15, $16) AS decision (
                    place, outcome, code, warns_negative, applied_quantity, on_hand_before, on_hand_after,
                    allocated_before, allocated_after, version, previous_job_id, alert_before, alert_after,
                    first_job_id, group_last_job_id
                )
                WHERE jobs.ctid = decision.place
                RETURNING jobs.*, decision.*
            )
            INSERT INTO \(s).results (
                job_id, quantity, applied_quantity, on_hand_before, on_hand_after, allocated_before, allocated_after,
                version, previous_job_id, expected_available, finished_at, enqueued_at, scheduled_at, expires_at,
                outcome, code, warning,
                action, on_insufficient, alert_before, alert_after, priority, attempts, max_attempts, notify,
                store_id, item_id, location_id, group_id, ordering_key, reason, reference, worker,
                idempotency_key, first_job_id, retry_of, group_last_job_id
            )
            SELECT
                job_id, quantity, applied_quantity, on_hand_before, on_hand_after, allocated_before, allocated_after,
                version, previous_job_id, expected_available, now(), enqueued_at, \(requestedTime), expires_at,
                (\(Self.labels(Outcome.self, schema)))[outcome + 1],
                (\(Self.labels(ResultCode.self, schema)))[code + 1],
                CASE WHEN warns_negative THEN 'negative_stock'::\(s).warning END,
                action, on_insufficient,
                (\(Self.labels(AlertLevel.self, schema)))[alert_before + 1],
                (\(Self.labels(AlertLevel.self, schema)))[alert_after + 1],
                priority, attempts + 1, max_attempts, notify,
                store_id, item_id, location_id, group_id, ordering_key, reason, reference, $14,
                idempotency_key, first_job_id, retry_of, group_last_job_id
            FROM gone
            """)

        writeNotifications = Statement(
            "write_notifications",
            [
                .textArray, .textArray, .textArray, .int2Array, .int8Array, .int8Array, .int8Array, .int8Array,
                .int8Array,
            ],
            """
            INSERT INTO \(s).notifications (
                store_id, item_id, location_id, kind, low_stock_threshold, available_before, available_after, job_id, version
            )
            SELECT
                store_id, item_id, location_id, (\(Self.labels(NotificationKind.self, schema)))[kind + 1],
                low_stock_threshold, available_before, available_after, job_id, version
            FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) AS told (
                store_id, item_id, location_id, kind, low_stock_threshold, available_before, available_after, job_id, version
            )
            """)

        deferWaiting = Statement(
            "defer_waiting", [.tidArray, .int8Array, .int8],
            """
            UPDATE \(s).jobs
            SET scheduled_at = \(requestedTime),
                waiting_since = coalesce(waiting_since, now()),
                waiting_quantity = waiting.quantity,
                expires_at = CASE WHEN waiting.quantity IS NULL THEN expires_at
                    ELSE coalesce(expires_at, coalesce(waiting_since, now()) + $3 * interval '1 second') END,
                run_at = least(
                    expires_at,
                    now() + least(
                        greatest(now() - coalesce(waiting_since, now()), interval '1 second'), interval '1 hour'
                    ) * (0.75 + 0.5 * \(jitter))
                )
            FROM unnest($1, $2) AS waiting (place, quantity)
            WHERE jobs.ctid = waiting.place
            """)

        promoteWaiting = Statement(
            "promote_waiting", [.textArray, .textArray, .textArray, .int8Array, .int4],
            """
            WITH fitting AS MATERIALIZED (
                SELECT risen.number, waiting.job_id, waiting.group_id, waiting.store_id, waiting.waiting_quantity
                FROM unnest($1, $2, $3, $4) WITH ORDINALITY
                    AS risen (store_id, item_id, location_id, available, number)
                CROSS JOIN LATERAL (
                    SELECT first.*,
                        sum(first.waiting_quantity) OVER (ORDER BY first.priority, first.job_id) AS summed_need
                    FROM (
                        SELECT job_id, group_id, store_id, waiting_quantity, priority
                        FROM \(s).jobs
                        WHERE jobs.item_id = risen.item_id AND jobs.store_id = risen.store_id
                            AND jobs.location_id = risen.location_id
                            AND waiting_quantity IS NOT NULL AND run_at IS NOT NULL
                        ORDER BY priority, job_id
                        LIMIT $5
                    ) AS first
                ) AS waiting
                WHERE waiting.summed_need <= risen.available
            ), singles AS MATERIALIZED (
                SELECT jobs.ctid AS place
                FROM fitting
                JOIN \(s).jobs USING (job_id)
                WHERE fitting.group_id IS NULL AND run_at IS NOT NULL AND paused_at IS NULL
                FOR UPDATE OF jobs SKIP LOCKED
            ), lines AS MATERIALIZED (
                SELECT jobs.ctid AS place
                FROM (SELECT DISTINCT group_id, store_id FROM fitting WHERE group_id IS NOT NULL) AS whole
                JOIN \(s).jobs USING (group_id, store_id)
                WHERE run_at IS NOT NULL AND paused_at IS NULL
                FOR UPDATE OF jobs SKIP LOCKED
            ), promoted AS (
                UPDATE \(s).jobs SET run_at = NULL
                FROM (SELECT place FROM singles UNION ALL SELECT place FROM lines) AS held
                WHERE jobs.ctid = held.place
                RETURNING lane, priority, job_id
            )
            SELECT (number - 1)::integer, NULL::smallint, NULL::smallint, count(*), sum(waiting_quantity)::bigint
            FROM fitting
            GROUP BY number
            UNION ALL
            SELECT NULL, lane, priority, count(*), min(job_id)
            FROM promoted
            GROUP BY lane, priority
            """)

        retryLater = Statement(
            "retry_later", [.tidArray, .text],
            """
            UPDATE \(s).jobs
            SET scheduled_at = \(requestedTime),
                waiting_quantity = NULL,
                attempts = least(attempts + 1, 1000),
                last_error = $2,
                run_at = now() + least(power(2, attempts + 1), 3600) * interval '1 second' * (0.75 + 0.5 * \(jitter))
            WHERE ctid = ANY ($1)
            """)

        let failedColumns = """
            job_id, quantity, applied_quantity, finished_at, enqueued_at, scheduled_at, expires_at, expected_available,
            outcome, action, on_insufficient, priority, attempts, max_attempts, notify,
            retry_of, group_last_job_id,
            store_id, item_id, location_id, group_id, ordering_key, reason, reference, worker, sqlstate, message, idempotency_key
            """
        // One job, or the lines of one group.
        let failedValues = """
            job_id, quantity, 0, now(), enqueued_at, \(requestedTime), expires_at, expected_available,
            'failed'::\(s).outcome, action, on_insufficient, priority, attempts + 1, max_attempts, notify,
            retry_of, CASE WHEN group_id IS NOT NULL AND job_id = min(job_id) OVER () THEN max(job_id) OVER () END
            """
        writeFailures = Statement(
            "write_failures", [.tidArray, .text, .text, .text],
            """
            WITH gone AS (DELETE FROM \(s).jobs WHERE ctid = ANY ($1) RETURNING jobs.*)
            INSERT INTO \(s).results (\(failedColumns))
            SELECT \(failedValues),
                store_id, item_id, location_id, group_id, ordering_key, reason, reference, $2, $3, $4, idempotency_key
            FROM gone
            """)
        writeFailuresAsText = Statement(
            "write_failures_as_text", [.tidArray, .text, .text, .text],
            """
            WITH gone AS (DELETE FROM \(s).jobs WHERE ctid = ANY ($1) RETURNING jobs.*)
            INSERT INTO \(s).results (\(failedColumns))
            SELECT \(failedValues),
                store_id, item_id, location_id, group_id, NULL, NULL, NULL, $2, $3, $4 || '; job: ' || gone::text, NULL
            FROM gone
            """)
    }

    /// The labels of an enum as a constant array, so that a small number travels and a label is stored.
    private static func labels<Label: DatabaseEnum>(_ type: Label.Type, _ schema: QueueSchema) -> String {
        let quoted = Label.allCases.map { quoteLiteral($0.rawValue) }.joined(separator: ", ")
        return "ARRAY[\(quoted)]::\(schema.quoted).\(Label.typeName)[]"
    }
}
