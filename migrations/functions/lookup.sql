-- Looking up jobs, results and the past of an item. Repeatable: applied again whenever this text changes; a change of a
-- signature needs a migration.
--
-- These functions run with the caller's rights, so row security decides which stores a producer sees.
--
-- They compile nothing and say how few rows they return: before the first ANALYZE of the results the planner expects
-- millions of rows, and compiling a query for them took 0.6 s for ten rows.

-- Waits until all of some jobs have results, at most `timeout_ms` milliseconds, and returns those that there are then.
--
-- The jobs must be committed: workers do not see them earlier. Each poll probes the primary key for the jobs that had
-- no result before. For some thousand ids the planner would rather read all results and hash them.
CREATE OR REPLACE FUNCTION :"schema".wait_for_results(job_ids bigint[], timeout_ms integer DEFAULT 5000)
RETURNS SETOF :"schema".results
LANGUAGE plpgsql ROWS 10 SET search_path = :"schema", pg_temp SET jit = off SET enable_seqscan = off
    SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    deadline timestamptz := clock_timestamp() + coalesce(timeout_ms, 5000) * interval '1 millisecond';
    pause_ms double precision := 1;
    missing bigint[] := job_ids;
    own_job bigint;
BEGIN
    IF cardinality(job_ids) > 10000 THEN
        RAISE program_limit_exceeded USING
            MESSAGE = format('%s jobs in one call, at most 10000 are allowed', cardinality(job_ids));
    END IF;
    IF timeout_ms NOT BETWEEN 0 AND 60000 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('timeout_ms must be 0 to 60000, not %s', timeout_ms),
            HINT = 'A waiting call holds back vacuum and changes of the tables. To wait longer, call again.';
    END IF;
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format(
                'a transaction that is %s never sees the result', current_setting('transaction_isolation')),
            HINT = 'Wait outside the transaction, or in one that is READ COMMITTED.';
    END IF;
    -- A retried group keeps its first submission, so its own transaction is known by its time.
    SELECT j.job_id INTO own_job
    FROM jobs AS j
    WHERE j.job_id = ANY (job_ids)
        AND (j.submission_id = pg_current_xact_id_if_assigned() OR j.retry_of IS NOT NULL AND j.enqueued_at = now())
    LIMIT 1;
    IF FOUND THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format(
                'job %s was enqueued by this transaction, and workers see it only after the commit', own_job),
            HINT = 'Commit first, then wait.';
    END IF;
    LOOP
        missing := ARRAY(
            SELECT id FROM unnest(missing) AS id WHERE NOT EXISTS (SELECT FROM results AS r WHERE r.job_id = id)
        );
        IF cardinality(missing) = 0 OR clock_timestamp() >= deadline THEN
            RETURN QUERY SELECT * FROM results AS r WHERE r.job_id = ANY (job_ids) ORDER BY r.job_id;
            RETURN;
        END IF;
        PERFORM pg_sleep(
            least(pause_ms / 1000, greatest(0.001, extract(epoch FROM deadline - clock_timestamp()))));
        pause_ms := least(pause_ms * 2, 50);
    END LOOP;
END
$$;

-- Waits until a job has its result. Returns no row if the timeout expires.
CREATE OR REPLACE FUNCTION :"schema".wait_for_result(job_id bigint, timeout_ms integer DEFAULT 5000)
RETURNS SETOF :"schema".results
LANGUAGE plpgsql ROWS 1 SET search_path = :"schema", pg_temp SET jit = off
AS $$
BEGIN
    RETURN QUERY SELECT * FROM wait_for_results(ARRAY[job_id], timeout_ms);
END
$$;

-- Waits until all lines of every group of that name have results, and returns those that there are then. It waits for
-- the group too, because the transaction that enqueues it may not have committed yet.
CREATE OR REPLACE FUNCTION :"schema".wait_for_group(store_id text, group_id text, timeout_ms integer DEFAULT 5000)
RETURNS SETOF :"schema".results
LANGUAGE plpgsql ROWS 10 SET search_path = :"schema", pg_temp SET jit = off
AS $$
DECLARE
    remaining_ms integer := coalesce(timeout_ms, 5000);
    deadline timestamptz := clock_timestamp() + remaining_ms * interval '1 millisecond';
    pause_ms double precision := 1;
    lines bigint[];
BEGIN
    PERFORM FROM wait_for_results('{}', timeout_ms); -- checks the timeout and the transaction
    LOOP
        lines := ARRAY(SELECT line.job_id FROM find_group(wait_for_group.store_id, wait_for_group.group_id) AS line);
        EXIT WHEN cardinality(lines) > 0 OR remaining_ms = 0;
        PERFORM pg_sleep(least(pause_ms, remaining_ms) / 1000);
        pause_ms := least(pause_ms * 2, 50);
        remaining_ms := greatest(0, ceil(extract(epoch FROM deadline - clock_timestamp()) * 1000));
    END LOOP;
    RETURN QUERY SELECT * FROM wait_for_results(lines, remaining_ms);
END
$$;

-- Waits until the job that an idempotency key belongs to has its result. It waits for the job too, because the
-- transaction that enqueues it may not have committed yet. Returns no row if the timeout expires.
CREATE OR REPLACE FUNCTION :"schema".wait_for_key(
    store_id text, idempotency_key text, timeout_ms integer DEFAULT 5000
) RETURNS SETOF :"schema".results
LANGUAGE plpgsql ROWS 1 SET search_path = :"schema", pg_temp SET jit = off
AS $$
DECLARE
    remaining_ms integer := coalesce(timeout_ms, 5000);
    deadline timestamptz := clock_timestamp() + remaining_ms * interval '1 millisecond';
    pause_ms double precision := 1;
    named bigint[];
BEGIN
    PERFORM FROM wait_for_results('{}', timeout_ms); -- checks the timeout and the transaction
    LOOP
        named := ARRAY(SELECT k.job_id FROM key_in_use(wait_for_key.store_id, wait_for_key.idempotency_key) AS k);
        EXIT WHEN cardinality(named) > 0 OR remaining_ms = 0;
        PERFORM pg_sleep(least(pause_ms, remaining_ms) / 1000);
        pause_ms := least(pause_ms * 2, 50);
        remaining_ms := greatest(0, ceil(extract(epoch FROM deadline - clock_timestamp()) * 1000));
    END LOOP;
    RETURN QUERY SELECT * FROM wait_for_results(named, remaining_ms);
END
$$;

-- A job, queued or finished.
CREATE OR REPLACE FUNCTION :"schema".find_job(job_id bigint) RETURNS SETOF :"schema".job_states
LANGUAGE sql STABLE ROWS 1 SET search_path = :"schema", pg_temp SET jit = off
AS $$
    SELECT * FROM job_states WHERE job_states.job_id = $1
$$;

-- The lines of every group of that name, queued or finished; submission_id distinguishes the groups.
CREATE OR REPLACE FUNCTION :"schema".find_group(store_id text, group_id text) RETURNS SETOF :"schema".job_states
LANGUAGE sql STABLE ROWS 10 SET search_path = :"schema", pg_temp SET jit = off
AS $$
    SELECT state.*
    FROM (
        SELECT jobs.job_id FROM jobs WHERE (jobs.group_id, jobs.store_id) = ($2, $1)
        UNION
        -- A group's first line says how far the group reaches. Lines of other submissions can be in between. A group
        -- that is too large has such a line for each batch, and where its priorities differ their extents overlap.
        SELECT line.job_id
        FROM results AS first
        JOIN results AS line
            ON line.job_id BETWEEN first.job_id AND first.group_last_job_id
            AND (line.group_id, line.store_id, line.submission_id) = ($2, $1, first.submission_id)
        WHERE (first.group_id, first.store_id) = ($2, $1) AND first.group_last_job_id IS NOT NULL
    ) AS of_group
    CROSS JOIN LATERAL (SELECT * FROM job_states AS s WHERE s.job_id = of_group.job_id) AS state
    ORDER BY state.job_id
$$;

-- The job that an idempotency key belongs to.
CREATE OR REPLACE FUNCTION :"schema".find_key(store_id text, idempotency_key text)
RETURNS SETOF :"schema".job_states
LANGUAGE sql STABLE ROWS 1 SET search_path = :"schema", pg_temp SET jit = off
AS $$
    SELECT state.*
    FROM key_in_use($1, $2) AS first
    CROSS JOIN LATERAL (SELECT * FROM job_states AS s WHERE s.job_id = first.job_id) AS state
$$;

-- The jobs with a reference. It reads all jobs and results unless an administrator adds an index for it
-- (docs/guides/results.md).
CREATE OR REPLACE FUNCTION :"schema".find_reference(store_id text, reference text) RETURNS SETOF :"schema".job_states
LANGUAGE sql STABLE ROWS 10 SET search_path = :"schema", pg_temp SET jit = off
AS $$
    SELECT * FROM job_states WHERE job_states.reference = $2 AND job_states.store_id = $1 ORDER BY job_id
$$;

-- An item's last movements, newest first: from the item to the result of its last job, and from each result to the
-- previous one. So the history needs no index of its own on the results.
CREATE OR REPLACE FUNCTION :"schema".item_history(
    store_id text, item_id text, location_id text DEFAULT NULL, movements integer DEFAULT 10
) RETURNS SETOF :"schema".results
LANGUAGE sql STABLE ROWS 10 SET search_path = :"schema", pg_temp SET jit = off
AS $$
    WITH RECURSIVE movement AS (
        SELECT last_job_id AS job_id, 1 AS step
        FROM items
        WHERE (items.store_id, items.item_id, items.location_id)
                = ($1, $2, coalesce($3, (job_defaults()).location_id))
            AND last_job_id IS NOT NULL AND $4 > 0
        UNION ALL
        SELECT results.previous_job_id, step + 1
        FROM movement
        JOIN results USING (job_id)
        WHERE results.previous_job_id IS NOT NULL AND step < $4
    )
    SELECT results.*
    FROM movement
    JOIN results USING (job_id)
    ORDER BY step
$$;

-- The stock of some items of a store, a row for each location; none for an item that is unknown or that the caller may
-- not see. An untracked item never runs out, whatever its numbers say.
--
-- `queued` is the sum of the ready and due adjustments that no worker has applied, if it is asked for, or the next
-- number that 64 bits can hold. It reads all queued jobs: the lane of the store would bound it to an index, but jobs
-- with an ordering key are in any lane, and an index for them would slow down every job.
CREATE OR REPLACE FUNCTION :"schema".stock(store_id text, item_ids text[], with_queued boolean DEFAULT false)
RETURNS TABLE (
    item_id text, location_id text, on_hand bigint, allocated bigint, available bigint, tracked boolean,
    low_stock_threshold bigint, queued bigint
)
LANGUAGE plpgsql STABLE ROWS 10 SET search_path = :"schema", pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
    IF cardinality(item_ids) > 10000 THEN
        RAISE program_limit_exceeded USING
            MESSAGE = format('%s items in one call, at most 10000 are allowed', cardinality(item_ids));
    END IF;
    RETURN QUERY
    WITH waiting AS MATERIALIZED (
        SELECT j.item_id, j.location_id,
            least(greatest(sum(j.quantity), -9223372036854775808), 9223372036854775807)::bigint AS quantity
        FROM jobs AS j
        WHERE with_queued AND j.store_id = stock.store_id AND j.item_id = ANY (item_ids) AND j.action = 'adjust'
            AND (j.run_at IS NULL OR j.run_at <= now() AND j.waiting_since IS NULL)
        GROUP BY j.item_id, j.location_id
    )
    SELECT i.item_id, i.location_id, i.on_hand::bigint, i.allocated::bigint, (i.on_hand - i.allocated)::bigint,
        i.tracked, i.low_stock_threshold::bigint, CASE WHEN with_queued THEN coalesce(w.quantity, 0) END
    FROM items AS i
    LEFT JOIN waiting AS w USING (item_id, location_id)
    WHERE i.store_id = stock.store_id AND i.item_id = ANY (item_ids)
    ORDER BY i.item_id, i.location_id;
END
$$;

-- An item's balance at a past time, by walking back from now. Returns no row if the item did not exist then, or if
-- retention has dropped the results in between.
CREATE OR REPLACE FUNCTION :"schema".stock_at(
    store_id text, item_id text, location_id text, at timestamptz,
    OUT on_hand bigint, OUT allocated bigint, OUT available bigint, OUT version bigint
) RETURNS SETOF record
LANGUAGE sql STABLE ROWS 1 SET search_path = :"schema", pg_temp SET jit = off
AS $$
    WITH RECURSIVE item AS (
        SELECT * FROM items
        WHERE (items.store_id, items.item_id, items.location_id) = ($1, $2, $3) AND created_at <= $4
    ), movement AS (
        SELECT 1 AS step, results.* FROM item JOIN results ON job_id = last_job_id
        UNION ALL
        SELECT step + 1, earlier.*
        FROM movement
        JOIN results AS earlier ON earlier.job_id = movement.previous_job_id
        WHERE movement.finished_at > $4
    ), oldest AS (
        SELECT * FROM movement ORDER BY step DESC LIMIT 1
    ), found AS (
        SELECT
            CASE WHEN finished_at <= $4 THEN on_hand_after ELSE on_hand_before END AS on_hand,
            CASE WHEN finished_at <= $4 THEN allocated_after ELSE allocated_before END AS allocated,
            CASE WHEN finished_at <= $4 THEN version ELSE version - 1 END AS version
        FROM oldest
        -- If results were dropped, the change before the oldest remaining one may be earlier or later than the time.
        WHERE (finished_at <= $4 OR previous_job_id IS NULL)
            AND NOT EXISTS (SELECT FROM item WHERE updated_at <= $4)
        UNION ALL
        -- Unchanged since.
        SELECT item.on_hand, item.allocated, item.version FROM item WHERE last_job_id IS NULL OR updated_at <= $4
    )
    SELECT found.on_hand, found.allocated, found.on_hand - found.allocated, found.version FROM found
$$;

-- What a stock count needs to know of the time since it was taken: how much the jobs that belong to a later moment
-- have changed on_hand, and whether the count is outdated: a later count has changed the stock, or the results of the
-- time in between are gone.
--
-- A job belongs to the moment at which it happened (occurred_at), or else at which it was enqueued, or, with a run_at
-- of the producer, to that time. A job that waited for stock belongs to the time at which it was applied. A count
-- belongs to its counted_at.
--
-- It walks back from the item's last change. A change that was made some time before the count is of an earlier moment;
-- the ten minutes allow for batches and producers' transactions that took long.
CREATE OR REPLACE FUNCTION :"schema".changes_since_count(
    store_id text, item_id text, location_id text, counted_at timestamptz,
    OUT on_hand_change bigint, OUT is_outdated boolean
) RETURNS SETOF record
LANGUAGE sql STABLE STRICT ROWS 1 SET search_path = :"schema", pg_temp SET jit = off
AS $$
    WITH RECURSIVE change AS (
        SELECT r.previous_job_id, r.finished_at, r.action, r.on_hand_before, r.on_hand_after, r.counted_at,
            r.waiting_since, r.occurred_at, r.enqueued_at, r.scheduled_at
        FROM items AS i
        JOIN results AS r ON r.job_id = i.last_job_id
        WHERE (i.store_id, i.item_id, i.location_id) = ($1, $2, $3)
        UNION ALL
        SELECT r.previous_job_id, r.finished_at, r.action, r.on_hand_before, r.on_hand_after, r.counted_at,
            r.waiting_since, r.occurred_at, r.enqueued_at, r.scheduled_at
        FROM change AS c
        JOIN results AS r ON r.job_id = c.previous_job_id
        WHERE c.finished_at >= $4 - interval '10 minutes'
    ), movement AS (
        SELECT c.previous_job_id, c.finished_at, c.action = 'set' AS is_count,
            c.on_hand_after - c.on_hand_before AS moved,
            CASE
                WHEN c.counted_at IS NOT NULL THEN c.counted_at
                WHEN c.waiting_since IS NOT NULL THEN c.finished_at
                ELSE coalesce(c.occurred_at, greatest(c.enqueued_at, c.scheduled_at))
            END AS moment
        FROM change AS c
    )
    SELECT
        greatest(-1e18, least(1e18, coalesce(sum(moved) FILTER (WHERE NOT is_count AND moment >= $4), 0)))::bigint,
        coalesce(bool_or(is_count AND moment > $4), false)
            -- Retention has dropped what was before the oldest result.
            OR coalesce($4 < (SELECT r.finished_at FROM results AS r ORDER BY r.job_id LIMIT 1), false)
                AND coalesce(
                    bool_and(finished_at >= $4 - interval '10 minutes' AND previous_job_id IS NOT NULL),
                    EXISTS (
                        SELECT FROM items AS i
                        WHERE (i.store_id, i.item_id, i.location_id) = ($1, $2, $3) AND i.last_job_id IS NOT NULL
                    ))
    FROM movement
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA :"schema" FROM PUBLIC;
