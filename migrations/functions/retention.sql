-- Retention: dropping what has expired. Repeatable: applied again whenever this text changes; a change of a signature
-- needs a migration.

-- The oldest partition of the results, if its results may be dropped as far as their age and the ids drawn say: every
-- result in it has expired, and no more ids are drawn below its upper bound. Nulls otherwise.
CREATE OR REPLACE FUNCTION :"schema".oldest_expired_partition(
    keep interval, OUT name text, OUT lower_bound bigint, OUT upper_bound bigint
)
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
DECLARE
    oldest record;
    is_live boolean;
BEGIN
    SELECT * INTO oldest FROM partition_bounds() LIMIT 1;
    IF oldest.upper_bound <= (SELECT last_value FROM jobs_job_id_seq) THEN
        EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE finished_at > now() - $1)', oldest.name)
        INTO is_live
        USING keep;
        IF NOT is_live THEN
            name := oldest.name;
            lower_bound := oldest.lower_bound;
            upper_bound := oldest.upper_bound;
        END IF;
    END IF;
END
$$;

-- Drops the oldest partition of the results when every result in it has expired and no live job has an id below its
-- upper bound, and with them the imports of their jobs. First it adds the changes of these results to the items'
-- opening balances, so that the ledger stays provable.
--
-- Returns the partition's name, null when there was nothing to drop. Dropping locks the parent: call it under a short
-- lock_timeout and try again later.
CREATE OR REPLACE FUNCTION :"schema".drop_expired_results(keep interval) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
DECLARE
    oldest record;
BEGIN
    -- A live job is found by one probe of an index; the age of the results may need a scan of the partition.
    SELECT * INTO oldest FROM partition_bounds() LIMIT 1;
    IF oldest.upper_bound IS NULL OR EXISTS (SELECT FROM jobs WHERE job_id < oldest.upper_bound) THEN
        RETURN NULL;
    END IF;
    PERFORM FROM maintenance_locks AS l WHERE l.name = 'retention' FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        IF NOT EXISTS (SELECT FROM maintenance_locks AS l WHERE l.name = 'retention') THEN
            RAISE internal_error USING
                MESSAGE = 'maintenance_locks lacks its row "retention"', HINT = 'Insert it again.';
        END IF;
        RETURN NULL; -- another process is dropping
    END IF;
    -- Under the lock: another process may have dropped the partition meanwhile, and the next one has other jobs.
    oldest := oldest_expired_partition(keep);
    IF oldest.name IS NULL OR EXISTS (SELECT FROM jobs WHERE job_id < oldest.upper_bound) THEN
        RETURN NULL;
    END IF;
    EXECUTE format($fold$
        WITH dropped AS MATERIALIZED (
            SELECT r.store_id, r.item_id, r.location_id, retired.version AS retired_version,
                sum(r.on_hand_after - r.on_hand_before)::bigint AS on_hand,
                sum(r.allocated_after - r.allocated_before)::bigint AS allocated,
                count(*) AS changes
            FROM %I AS r
            LEFT JOIN retired_items AS retired
                ON (retired.store_id, retired.item_id, retired.location_id) = (r.store_id, r.item_id, r.location_id)
                AND r.version > retired.created_version AND r.version <= retired.version
            WHERE r.outcome = 'applied'
            GROUP BY r.store_id, r.item_id, r.location_id, retired.version
        ), locked AS MATERIALIZED (
            -- In key order, as workers lock item rows, or the two could deadlock.
            SELECT store_id, item_id, location_id FROM items
            WHERE (store_id, item_id, location_id)
                IN (SELECT store_id, item_id, location_id FROM dropped WHERE retired_version IS NULL)
            ORDER BY store_id, item_id, location_id
            FOR NO KEY UPDATE
        ), folded AS (
            UPDATE retired_items AS i
            SET opening_on_hand = i.opening_on_hand + dropped.on_hand,
                opening_allocated = i.opening_allocated + dropped.allocated,
                opening_version = i.opening_version + dropped.changes
            FROM dropped
            WHERE (i.store_id, i.item_id, i.location_id, i.version)
                = (dropped.store_id, dropped.item_id, dropped.location_id, dropped.retired_version)
                AND i.created_version < i.version
        )
        UPDATE items
        SET opening_on_hand = items.opening_on_hand + dropped.on_hand,
            opening_allocated = items.opening_allocated + dropped.allocated,
            opening_version = items.opening_version + dropped.changes
        FROM locked
        JOIN dropped USING (store_id, item_id, location_id)
        WHERE (items.store_id, items.item_id, items.location_id)
                = (locked.store_id, locked.item_id, locked.location_id)
            AND dropped.retired_version IS NULL
    $fold$, oldest.name);
    -- After the items, in the order of the workers: they have locked item rows when they write results.
    EXECUTE format('DROP TABLE %I', oldest.name);
    -- A batch's row of the log is as old as its results.
    DELETE FROM change_log WHERE created_at < now() - keep;
    DELETE FROM import_parts WHERE last_job_id < oldest.upper_bound;
    DELETE FROM imports AS i
    WHERE i.updated_at < now() - keep AND NOT EXISTS (SELECT FROM import_parts AS p WHERE p.import_id = i.import_id);
    RETURN oldest.name;
END
$$;

-- The queued jobs that keep drop_expired_results from dropping the oldest partition whose results have expired: the
-- oldest of them, and how many there are, counted up to 1,000. No row if jobs keep nothing.
CREATE OR REPLACE FUNCTION :"schema".find_retention_blocker(keep interval) RETURNS TABLE (
    partition text, store_id text, job_id bigint, run_at timestamptz, expires_at timestamptz, jobs bigint
)
LANGUAGE plpgsql SECURITY DEFINER ROWS 1 SET search_path = :"schema", pg_temp SET jit = off
AS $$
DECLARE
    oldest record;
BEGIN
    SELECT * INTO oldest FROM partition_bounds() LIMIT 1;
    IF NOT EXISTS (SELECT FROM jobs AS j WHERE j.job_id < oldest.upper_bound) THEN
        RETURN;
    END IF;
    oldest := oldest_expired_partition(keep);
    IF oldest.name IS NOT NULL THEN
        RETURN QUERY
        SELECT oldest.name::text, j.store_id, j.job_id,
            -- A paused or promoted job keeps the time that its producer set.
            coalesce(j.scheduled_at, j.run_at), j.expires_at,
            (SELECT count(*) FROM (SELECT FROM jobs AS k WHERE k.job_id < oldest.upper_bound LIMIT 1000) AS counted)
        FROM jobs AS j
        WHERE j.job_id < oldest.upper_bound
        ORDER BY j.job_id
        LIMIT 1;
    END IF;
END
$$;

-- Drops idempotency keys that were used longer ago than `keep`, at most `keys_max` of them. Returns how many.
CREATE OR REPLACE FUNCTION :"schema".drop_expired_keys(keep interval, keys_max integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
DECLARE
    dropped integer;
BEGIN
    DELETE FROM idempotency_keys
    WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM idempotency_keys WHERE used_at < now() - keep LIMIT keys_max FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS dropped = ROW_COUNT;
    RETURN dropped;
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA :"schema" FROM PUBLIC;
