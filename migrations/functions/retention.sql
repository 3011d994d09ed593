-- Retention: dropping what has expired. Repeatable: applied again whenever this text changes; a change of a signature
-- needs a migration.
--
-- A partition of the results goes in three steps, each in transactions of its own, so that no worker waits long:
--
-- 1. prepare_expired_results finds for each item the last of its changes in the partition.
-- 2. fold_expired_results makes that the item's opening, a few items at a time. Results up to the opening count for
--    nothing any more, so the ledger is provable at every moment.
-- 3. drop_results_partition drops the partition or detaches it.

-- Locks retention until the transaction ends: one process at a time drops. Returns false if another one does.
CREATE OR REPLACE FUNCTION :"schema".lock_retention() RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = :"schema", pg_temp
RETURN :"schema".lock_maintenance('retention', waits => false);

-- The oldest partition of the results, and what keeps it; nothing does if `reason` is null. The reasons are: in_use
-- (producers draw ids in it), not_expired, and queued_job (with the oldest of these jobs, and how many there are,
-- counted up to 1,000). All later partitions are kept with it.
CREATE OR REPLACE FUNCTION :"schema".find_kept_partition(
    keep interval, OUT name text, OUT upper_bound bigint, OUT partitions bigint, OUT reason text,
    OUT last_finished_at timestamptz, OUT store_id text, OUT job_id bigint, OUT run_at timestamptz,
    OUT expires_at timestamptz, OUT jobs bigint
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    oldest record;
    is_live boolean;
BEGIN
    SELECT p.name, p.upper_bound, count(*) OVER () AS partitions INTO oldest
    FROM partition_bounds() AS p
    ORDER BY p.lower_bound
    LIMIT 1;
    name := oldest.name;
    upper_bound := oldest.upper_bound;
    partitions := oldest.partitions;
    IF oldest.upper_bound > (SELECT last_value FROM jobs_job_id_seq) THEN
        reason := 'in_use';
    END IF;
    IF reason IS NOT NULL OR name IS NULL THEN
        RETURN;
    END IF;
    -- A result that is kept is often the last one; otherwise the partition is read.
    EXECUTE format('SELECT finished_at FROM %I ORDER BY job_id DESC LIMIT 1', oldest.name) INTO last_finished_at;
    is_live := coalesce(last_finished_at > now() - keep, false);
    IF NOT is_live THEN
        EXECUTE format('SELECT max(finished_at) FROM %I WHERE finished_at > now() - $1', oldest.name)
        INTO last_finished_at
        USING keep;
        is_live := last_finished_at IS NOT NULL;
    END IF;
    IF is_live THEN
        reason := 'not_expired';
        RETURN;
    END IF;
    SELECT 'queued_job', j.store_id, j.job_id,
        -- A paused or promoted job keeps the time that its producer set.
        coalesce(j.scheduled_at, j.run_at), j.expires_at,
        (SELECT count(*) FROM (SELECT FROM jobs AS k WHERE k.job_id < oldest.upper_bound LIMIT 1000) AS counted)
    INTO reason, store_id, job_id, run_at, expires_at, jobs
    FROM jobs AS j
    WHERE j.job_id < oldest.upper_bound
    ORDER BY j.job_id
    LIMIT 1;
END
$$;

-- The first step. Returns the name of the partition that may go; null if there is none, or another process drops.
CREATE OR REPLACE FUNCTION :"schema".prepare_expired_results(keep interval) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
DECLARE
    oldest record;
BEGIN
    -- A live job is found by one probe of an index; the age of the results may need a scan of the partition.
    IF EXISTS (
            SELECT FROM jobs
            WHERE job_id < (SELECT p.upper_bound FROM partition_bounds() AS p ORDER BY p.lower_bound LIMIT 1))
        OR NOT lock_retention()
    THEN
        RETURN NULL;
    END IF;
    oldest := find_kept_partition(keep);
    IF oldest.name IS NULL OR oldest.reason IS NOT NULL THEN
        RETURN NULL;
    END IF;
    IF EXISTS (SELECT FROM prepared_partitions AS p WHERE p.name = oldest.name) THEN
        RETURN oldest.name; -- the next step goes on
    END IF;
    DELETE FROM next_openings;
    DELETE FROM prepared_partitions;
    EXECUTE format($query$
        INSERT INTO next_openings (store_id, item_id, location_id, version, on_hand, allocated)
        SELECT store_id, item_id, location_id, version, r.on_hand_after, r.allocated_after
        FROM (
            SELECT r.store_id, r.item_id, r.location_id, max(r.version) AS version
            FROM %1$I AS r
            LEFT JOIN retired_items AS retired
                ON (retired.store_id, retired.item_id, retired.location_id) = (r.store_id, r.item_id, r.location_id)
                AND r.version > retired.created_version AND r.version <= retired.version
            WHERE r.outcome = 'applied'
            GROUP BY r.store_id, r.item_id, r.location_id, retired.version
        ) AS last
        JOIN %1$I AS r USING (store_id, item_id, location_id, version)
        WHERE r.outcome = 'applied'
    $query$, oldest.name);
    INSERT INTO prepared_partitions (name) VALUES (oldest.name);
    -- A batch's row of the log is as old as its results.
    DELETE FROM change_log WHERE created_at < now() - keep;
    RETURN oldest.name;
END
$$;

-- The second step: at most `items_max` items, not those that a worker has locked. With `waits` it waits for one item,
-- and has no other one locked meanwhile. Returns how many it did and whether these were all; nulls if another process
-- drops.
--
-- An opening is the balance after its version without the changes outside the queue that an administrator accepted
-- before that version: those are counted by themselves.
CREATE OR REPLACE FUNCTION :"schema".fold_expired_results(
    items_max integer, waits boolean, OUT folded integer, OUT is_complete boolean
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
DECLARE
    chosen next_openings[];
BEGIN
    IF NOT lock_retention() THEN
        RETURN;
    END IF;
    IF waits THEN
        SELECT array_agg(n) INTO chosen FROM (SELECT * FROM next_openings LIMIT 1) AS n;
        PERFORM FROM items AS i
        JOIN unnest(chosen) AS c USING (store_id, item_id, location_id)
        FOR NO KEY UPDATE OF i;
    ELSE
        SELECT array_agg(free) INTO chosen FROM (
            SELECT n.* FROM next_openings AS n
            JOIN items AS i USING (store_id, item_id, location_id)
            ORDER BY n.store_id, n.item_id, n.location_id
            LIMIT items_max
            FOR NO KEY UPDATE OF i SKIP LOCKED
        ) AS free;
        IF chosen IS NULL THEN
            -- Of these there are only retired ones.
            SELECT array_agg(gone) INTO chosen FROM (
                SELECT n.* FROM next_openings AS n
                WHERE NOT EXISTS (
                    SELECT FROM items AS i
                    WHERE (i.store_id, i.item_id, i.location_id) = (n.store_id, n.item_id, n.location_id))
                LIMIT items_max
            ) AS gone;
        END IF;
    END IF;
    -- A statement of its own, to see what the transactions before the locks wrote.
    WITH gone AS (
        DELETE FROM next_openings AS n
        USING unnest(chosen) AS c
        WHERE (n.store_id, n.item_id, n.location_id, n.version) = (c.store_id, c.item_id, c.location_id, c.version)
        RETURNING n.*
    ), opening AS MATERIALIZED (
        SELECT gone.*, retired.version AS retired_version, gone.on_hand - accepted.on_hand AS opening_on_hand,
            gone.allocated - accepted.allocated AS opening_allocated
        FROM gone
        LEFT JOIN retired_items AS retired
            ON (retired.store_id, retired.item_id, retired.location_id)
                = (gone.store_id, gone.item_id, gone.location_id)
            AND gone.version > retired.created_version AND gone.version <= retired.version
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(a.on_hand_after - a.on_hand_before), 0) AS on_hand,
                coalesce(sum(a.allocated_after - a.allocated_before), 0) AS allocated
            FROM reconciliations AS a
            WHERE (a.store_id, a.item_id, a.location_id) = (gone.store_id, gone.item_id, gone.location_id)
                AND a.version < gone.version AND a.version > coalesce(
                    retired.created_version,
                    (
                        SELECT max(earlier.version) FROM retired_items AS earlier
                        WHERE (earlier.store_id, earlier.item_id, earlier.location_id)
                            = (gone.store_id, gone.item_id, gone.location_id)
                    ),
                    0)
        ) AS accepted
    ), retired AS (
        UPDATE retired_items AS r
        SET opening_on_hand = opening.opening_on_hand, opening_allocated = opening.opening_allocated,
            opening_version = opening.version
        FROM opening
        WHERE (r.store_id, r.item_id, r.location_id, r.version)
                = (opening.store_id, opening.item_id, opening.location_id, opening.retired_version)
            AND r.created_version < r.version AND r.opening_version < opening.version
    )
    UPDATE items AS i
    SET opening_on_hand = opening.opening_on_hand, opening_allocated = opening.opening_allocated,
        opening_version = opening.version
    FROM opening
    WHERE (i.store_id, i.item_id, i.location_id) = (opening.store_id, opening.item_id, opening.location_id)
        AND opening.retired_version IS NULL AND i.opening_version < opening.version;
    folded := coalesce(cardinality(chosen), 0);
    is_complete := NOT EXISTS (SELECT FROM next_openings);
END
$$;

-- The third step. Returns whether the partition is gone; if not, an earlier step has to be repeated, or another process
-- drops. A partition that is detached becomes a table of its own, named detached_<partition>.
--
-- It locks the results for a moment: call it under a short lock_timeout, and again after SQLSTATE 55P03.
CREATE OR REPLACE FUNCTION :"schema".drop_results_partition(name text, detach boolean DEFAULT false) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
DECLARE
    oldest record;
BEGIN
    IF NOT lock_retention() OR EXISTS (SELECT FROM next_openings) THEN
        RETURN false;
    END IF;
    -- Its results had expired when it was prepared, and no job can get another one.
    SELECT p.name, p.upper_bound INTO oldest FROM partition_bounds() AS p ORDER BY p.lower_bound LIMIT 1;
    DELETE FROM prepared_partitions AS p WHERE p.name = drop_results_partition.name AND p.name = oldest.name;
    IF NOT FOUND OR EXISTS (SELECT FROM jobs WHERE job_id < oldest.upper_bound) THEN
        RETURN false;
    END IF;
    DELETE FROM import_parts WHERE last_job_id < oldest.upper_bound;
    -- Last, because all batches wait from here to the end of the transaction.
    IF detach THEN
        EXECUTE format('ALTER TABLE results DETACH PARTITION %I', name);
        EXECUTE format('ALTER TABLE %I RENAME TO %I', name, 'detached_' || name);
    ELSE
        EXECUTE format('DROP TABLE %I', name);
    END IF;
    RETURN true;
END
$$;

-- All three steps in one transaction, for the oldest partition: for a queue that is not being worked. Returns the
-- partition's name, null when there was nothing to drop.
CREATE OR REPLACE FUNCTION :"schema".drop_expired_results(keep interval) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
DECLARE
    name CONSTANT text := prepare_expired_results(keep);
BEGIN
    IF name IS NULL THEN
        RETURN NULL;
    END IF;
    WHILE NOT (SELECT f.is_complete FROM fold_expired_results(1, true) AS f) LOOP
    END LOOP;
    RETURN CASE WHEN drop_results_partition(name) THEN name END;
END
$$;

-- Begins the next partition of the results if the results of the present one span more than `span`: draws the ids that
-- are left in it, at most `ids_max` of them, and does not use them. Returns how many it drew: call it until that is 0.
-- A million takes the server some seconds.
--
-- Ids are drawn and not set, so that no id is given twice, whatever producers do meanwhile.
CREATE OR REPLACE FUNCTION :"schema".begin_results_partition(
    span interval, ids_max integer DEFAULT 500000
) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
DECLARE
    drawn CONSTANT bigint := (SELECT last_value FROM jobs_job_id_seq);
    present record;
    began timestamptz;
    ids integer;
BEGIN
    SELECT * INTO present FROM partition_bounds() AS p WHERE drawn >= p.lower_bound AND drawn < p.upper_bound;
    IF NOT FOUND OR NOT has_results_partition(present.upper_bound) THEN
        RETURN 0;
    END IF;
    -- The oldest job of the partition, whether it is finished or not, is among the first ids.
    EXECUTE format('SELECT enqueued_at FROM %I ORDER BY job_id LIMIT 1', present.name) INTO began;
    began := least(began, (
        SELECT j.enqueued_at FROM jobs AS j
        WHERE j.job_id >= present.lower_bound AND j.job_id < present.upper_bound
        ORDER BY j.job_id
        LIMIT 1
    ));
    IF began IS NULL OR began > now() - span OR NOT lock_retention() THEN
        RETURN 0;
    END IF;
    ids := least(ids_max, present.upper_bound - (SELECT last_value FROM jobs_job_id_seq));
    PERFORM max(nextval('jobs_job_id_seq')) FROM generate_series(1, ids);
    RETURN greatest(ids, 0);
END
$$;

-- Drops idempotency keys that were used longer ago than `keep`, at most `keys_max` of them. Returns how many.
CREATE OR REPLACE FUNCTION :"schema".drop_expired_keys(keep interval, keys_max integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
DECLARE
    dropped integer;
BEGIN
    IF NOT lock_retention() THEN
        RETURN 0;
    END IF;
    DELETE FROM idempotency_keys
    WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM idempotency_keys WHERE used_at < now() - keep LIMIT keys_max FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS dropped = ROW_COUNT;
    RETURN dropped;
END
$$;

-- Drops notifications that are older than `keep`, at most `rows_max` of them. Returns how many.
--
-- verify proves them, and by them. So these are kept: a notification whose result is kept, or that the deliverer or a
-- row of deliveries needs; the change of a threshold of an item that has not changed since; and all that announcements
-- of their store are made from.
CREATE OR REPLACE FUNCTION :"schema".drop_old_notifications(keep interval, rows_max integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
DECLARE
    dropped bigint[];
    first_job CONSTANT bigint := (SELECT min(p.lower_bound) FROM partition_bounds() AS p);
    before CONSTANT timestamptz := least(now() - keep, (SELECT min(occurred_at) FROM deliveries));
    progress delivery_progress;
    is_delivered boolean;
BEGIN
    IF NOT lock_retention() THEN
        RETURN 0;
    END IF;
    SELECT * INTO progress FROM delivery_progress;
    is_delivered := NOT EXISTS (SELECT FROM subscriptions);
    WITH gone AS (
        DELETE FROM notifications
        WHERE ctid = ANY (ARRAY(
            SELECT n.ctid FROM notifications AS n
            WHERE n.created_at < before
                AND (is_delivered OR (n.position, n.notification_id) <= (progress.position, progress.row_id))
                AND CASE WHEN n.job_id IS NOT NULL THEN n.job_id < first_job ELSE NOT EXISTS (
                    SELECT FROM items AS i
                    WHERE (i.store_id, i.item_id, i.location_id, i.version)
                        = (n.store_id, n.item_id, n.location_id, n.version)
                ) END
                AND NOT EXISTS (
                    SELECT FROM announced_stores AS s
                    WHERE s.store_id = n.store_id
                        AND (n.position, n.notification_id) > (s.from_position, s.from_row))
            LIMIT rows_max
            FOR UPDATE SKIP LOCKED
        ))
        RETURNING notification_id
    )
    SELECT array_agg(notification_id) INTO dropped FROM gone;
    DELETE FROM threshold_changes WHERE notification_id = ANY (dropped);
    RETURN coalesce(cardinality(dropped), 0);
END
$$;

-- Drops what administrators did longer ago than `keep`, at most `rows_max` rows. Returns how many.
CREATE OR REPLACE FUNCTION :"schema".drop_old_operations(keep interval, rows_max integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
DECLARE
    dropped integer;
BEGIN
    IF NOT lock_retention() THEN
        RETURN 0;
    END IF;
    DELETE FROM operations
    WHERE operation_id IN (
        SELECT operation_id FROM operations WHERE at < now() - keep ORDER BY operation_id LIMIT rows_max);
    GET DIAGNOSTICS dropped = ROW_COUNT;
    RETURN dropped;
END
$$;

-- Drops the records of imports that were last at work longer ago than `keep`, at most `rows_max` of them; not of one
-- that is running, and not while a job is queued that it enqueued. Returns how many.
CREATE OR REPLACE FUNCTION :"schema".drop_old_imports(keep interval, rows_max integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
DECLARE
    dropped bigint[];
BEGIN
    IF NOT lock_retention() THEN
        RETURN 0;
    END IF;
    WITH gone AS (
        DELETE FROM imports
        WHERE ctid = ANY (ARRAY(
            SELECT i.ctid FROM imports AS i
            WHERE i.updated_at < now() - keep AND import_state(i) <> 'running'
                AND NOT EXISTS (
                    SELECT FROM import_parts AS p
                    WHERE p.import_id = i.import_id AND EXISTS (
                        SELECT FROM jobs AS j
                        WHERE j.job_id BETWEEN p.first_job_id AND p.last_job_id AND j.submission_id = p.submission_id))
            LIMIT rows_max
            FOR UPDATE SKIP LOCKED
        ))
        RETURNING import_id
    )
    SELECT array_agg(import_id) INTO dropped FROM gone;
    DELETE FROM import_parts WHERE import_id = ANY (dropped);
    RETURN coalesce(cardinality(dropped), 0);
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA :"schema" FROM PUBLIC;
