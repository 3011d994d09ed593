-- What operators do by hand: cancel, retry, pause and resume, reprioritize, set attributes, grant stores. Each act is recorded.
--
-- These functions run with their owner's rights, so that no role needs to write to the tables for them; roles.sql gives them to
-- administrators alone.

-- Who did what, and when.
CREATE TABLE :"schema".operations (
    operation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The role that logged in, and behind it the one taken on with SET ROLE.
    who text NOT NULL,
    verb text NOT NULL,
    subject jsonb NOT NULL,
    -- How many jobs it changed; null where it was not about jobs.
    jobs bigint
);

-- Which job was enqueued again, and as which: each at most once, so that a retry given twice takes effect once.
CREATE TABLE :"schema".retries (
    job_id bigint PRIMARY KEY,
    retry_job_id bigint NOT NULL
);

-- Stores whose jobs are not worked.
CREATE TABLE :"schema".paused_stores (
    store_id text COLLATE "C" PRIMARY KEY CHECK (octet_length(store_id) BETWEEN 1 AND 200),
    paused_at timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE :"schema".lanes
    -- A paused lane is not worked.
    ADD COLUMN paused_at timestamptz,
    -- Some store is paused: whoever works the lane has to ask which. By an ordering key a store's jobs are in any lane, so this is
    -- the same for all of them.
    ADD COLUMN has_paused_stores boolean NOT NULL DEFAULT false;

ALTER TABLE :"schema".jobs
    -- Parked since its store is paused: a job that a worker claims is set aside for ever, `run_at` being infinity, and so it costs
    -- the claims of other stores nothing. Resuming makes it ready.
    ADD COLUMN paused_at timestamptz,
    DROP CONSTRAINT jobs_run_at_check,
    ADD CONSTRAINT jobs_run_at_check CHECK (isfinite(run_at) OR paused_at IS NOT NULL AND run_at = 'infinity');

-- The most ready jobs of a store; beyond, enqueueing fails, and the producer tries again later. No row: no ceiling.
CREATE TABLE :"schema".store_limits (
    store_id text COLLATE "C" PRIMARY KEY CHECK (octet_length(store_id) BETWEEN 1 AND 200),
    ready_jobs_max integer NOT NULL CHECK (ready_jobs_max BETWEEN 1 AND 100000000)
);
ALTER TABLE :"schema".store_limits ENABLE ROW LEVEL SECURITY;
CREATE POLICY producers_read ON :"schema".store_limits FOR SELECT USING (:"schema".has_grant(store_id));

-- Who asks: in a function with its owner's rights current_user is the owner.
CREATE FUNCTION :"schema".record_operation(verb text, subject jsonb, jobs bigint) RETURNS void
LANGUAGE sql SET search_path = :"schema", pg_temp
AS $$
    INSERT INTO operations (who, verb, subject, jobs)
    VALUES (
        session_user || CASE WHEN current_setting('role') IN ('none', session_user) THEN '' ELSE ' as ' || current_setting('role') END,
        $1, jsonb_strip_nulls($2), $3
    )
$$;

-- Jobs that are still queued: by id, or the group or the reference of a store; with each its whole group.
CREATE FUNCTION :"schema".queued_jobs(job_ids bigint[], store_id text, group_id text, reference text) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
BEGIN
    IF num_nonnulls(job_ids, group_id, reference) <> 1 THEN
        RAISE invalid_parameter_value USING MESSAGE = 'name jobs by job_ids, or by group_id, or by reference';
    ELSIF job_ids IS NULL AND store_id IS NULL THEN
        RAISE invalid_parameter_value USING MESSAGE = 'a group or a reference belongs to a store: name it';
    END IF;
    RETURN ARRAY(
        WITH named AS (
            SELECT j.job_id, j.group_id, j.store_id FROM jobs AS j WHERE j.job_id = ANY (job_ids)
            UNION ALL
            SELECT j.job_id, j.group_id, j.store_id FROM jobs AS j
            WHERE (j.group_id, j.store_id) = (queued_jobs.group_id, queued_jobs.store_id)
            UNION ALL
            SELECT j.job_id, j.group_id, j.store_id FROM jobs AS j
            WHERE j.reference = queued_jobs.reference AND j.store_id = queued_jobs.store_id
        )
        SELECT job_id FROM named
        UNION
        SELECT line.job_id
        FROM named
        JOIN jobs AS line ON (line.group_id, line.store_id) = (named.group_id, named.store_id)
        ORDER BY 1
    );
END
$$;

-- Cancels jobs that are still queued, groups whole: each gets the outcome 'canceled', and its idempotency key stays free.
-- Waits for a batch that has them; what was finished by then stays so. Returns the jobs that were canceled.
CREATE FUNCTION :"schema".cancel_jobs(
    job_ids bigint[] DEFAULT NULL, store_id text DEFAULT NULL, group_id text DEFAULT NULL, reference text DEFAULT NULL,
    reason text DEFAULT NULL
) RETURNS SETOF bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
DECLARE
    wanted bigint[] := queued_jobs(job_ids, store_id, group_id, reference);
    canceled bigint[];
BEGIN
    -- Somebody may cancel before any worker has built what the results need.
    PERFORM add_results_partitions(5000000, 1);
    WITH gone AS (
        DELETE FROM jobs WHERE jobs.job_id = ANY (wanted) RETURNING *
    ), finished AS (
        INSERT INTO results (
            job_id, quantity, applied_quantity, finished_at, enqueued_at, scheduled_at, expires_at, expected_available, outcome,
            action, on_insufficient, priority, attempts, max_attempts, notify, store_id, item_id, location_id, group_id,
            ordering_key, reason, reference, worker, message, idempotency_key, retry_of, group_last_job_id
        )
        SELECT
            gone.job_id, gone.quantity, 0, now(), gone.enqueued_at,
            coalesce(gone.scheduled_at, CASE WHEN gone.attempts = 0 AND gone.waiting_since IS NULL AND gone.paused_at IS NULL THEN gone.run_at END),
            gone.expires_at, gone.expected_available, 'canceled', gone.action, gone.on_insufficient, gone.priority, gone.attempts,
            gone.max_attempts, gone.notify, gone.store_id, gone.item_id, gone.location_id, gone.group_id, gone.ordering_key, gone.reason,
            gone.reference, 'canceled by ' || session_user, cancel_jobs.reason, gone.idempotency_key, gone.retry_of,
            CASE WHEN gone.group_id IS NOT NULL AND gone.job_id = min(gone.job_id) OVER line THEN max(gone.job_id) OVER line END
        FROM gone
        WINDOW line AS (PARTITION BY gone.group_id, gone.store_id)
        RETURNING results.job_id
    )
    SELECT coalesce(array_agg(finished.job_id ORDER BY finished.job_id), '{}') INTO canceled FROM finished;
    PERFORM record_operation(
        'cancel', jsonb_build_object('jobs', job_ids, 'store_id', store_id, 'group_id', group_id, 'reference', reference, 'reason', reason),
        cardinality(canceled));
    RETURN QUERY SELECT unnest(canceled);
END
$$;

-- Enqueues finished jobs again, groups whole: those named, or the failed ones, or those with a code; the latter two of one store or
-- of all, and not older than `since`. Only jobs that changed nothing can be retried, each once; the new job names the first one.
--
-- The key of a failed or canceled job was not used up and goes along; a rejected job's key was, and does not.
CREATE FUNCTION :"schema".retry_jobs(
    job_ids bigint[] DEFAULT NULL, failed boolean DEFAULT false, code text DEFAULT NULL, store_id text DEFAULT NULL,
    since interval DEFAULT '1 day'
) RETURNS TABLE (job_id bigint, retry_of bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
DECLARE
    wanted bigint[];
    wrong record;
    again bigint;
BEGIN
    IF (job_ids IS NOT NULL)::integer + failed::integer + (code IS NOT NULL)::integer <> 1 THEN
        RAISE invalid_parameter_value USING MESSAGE = 'name jobs by job_ids, or the failed ones, or those with a code';
    END IF;
    IF job_ids IS NOT NULL THEN
        wanted := job_ids;
        SELECT named.id, r.outcome INTO wrong
        FROM unnest(job_ids) AS named (id)
        LEFT JOIN results AS r ON r.job_id = named.id
        WHERE r.outcome IS NULL OR r.outcome NOT IN ('failed', 'rejected', 'canceled')
        LIMIT 1;
        IF wrong.id IS NOT NULL THEN
            RAISE object_not_in_prerequisite_state USING
                MESSAGE = format('job %s %s, and cannot be retried', wrong.id, coalesce('was ' || wrong.outcome, 'has no result'));
        END IF;
    ELSIF failed THEN
        wanted := ARRAY(
            SELECT r.job_id FROM results AS r
            WHERE r.outcome = 'failed' AND r.finished_at >= now() - since AND (retry_jobs.store_id IS NULL OR r.store_id = retry_jobs.store_id)
        );
    ELSE
        wanted := ARRAY(
            SELECT r.job_id FROM results AS r
            WHERE r.outcome = 'rejected' AND r.code = retry_jobs.code::code AND r.finished_at >= now() - since
                AND (retry_jobs.store_id IS NULL OR r.store_id = retry_jobs.store_id)
        );
    END IF;
    RETURN QUERY
    WITH named AS (
        SELECT r.job_id, r.group_id, r.store_id, r.finished_at FROM results AS r WHERE r.job_id = ANY (wanted)
    ), whole AS (
        SELECT named.job_id FROM named
        UNION
        SELECT line.job_id
        FROM named
        JOIN results AS first ON (first.group_id, first.store_id) = (named.group_id, named.store_id) AND first.group_last_job_id IS NOT NULL
            AND named.job_id BETWEEN first.job_id AND first.group_last_job_id
        JOIN results AS line ON line.job_id BETWEEN first.job_id AND first.group_last_job_id
            AND (line.group_id, line.store_id) = (named.group_id, named.store_id) AND line.finished_at = named.finished_at
    ), added AS (
        INSERT INTO jobs (
            quantity, expected_available, expires_at, priority, max_attempts, action, on_insufficient, notify, store_id, item_id,
            location_id, group_id, ordering_key, reason, reference, idempotency_key, retry_of
        )
        SELECT
            r.quantity, r.expected_available, CASE WHEN r.expires_at > now() THEN r.expires_at END, r.priority, r.max_attempts,
            r.action, r.on_insufficient, r.notify, r.store_id, r.item_id, r.location_id, r.group_id, r.ordering_key, r.reason,
            r.reference, CASE WHEN r.outcome IN ('failed', 'canceled') THEN r.idempotency_key END, r.job_id
        FROM whole
        JOIN results AS r ON r.job_id = whole.job_id
        WHERE NOT EXISTS (SELECT FROM retries WHERE retries.job_id = whole.job_id)
        ORDER BY r.job_id
        RETURNING jobs.job_id, jobs.retry_of
    ), linked AS (
        INSERT INTO retries (job_id, retry_job_id) SELECT added.retry_of, added.job_id FROM added
    )
    SELECT added.job_id, added.retry_of FROM added ORDER BY 1;
    GET DIAGNOSTICS again = ROW_COUNT;
    PERFORM record_operation(
        'retry', jsonb_build_object('jobs', job_ids, 'failed', nullif(failed, false), 'code', code, 'store_id', store_id), again);
END
$$;

-- Stops the work on a store, a lane, or everything. What is being worked is finished first; when this has committed, nothing is
-- claimed any more.
CREATE FUNCTION :"schema".pause(store_id text DEFAULT NULL, lane integer DEFAULT NULL, everything boolean DEFAULT false) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
BEGIN
    PERFORM check_pause_target(store_id, lane, everything);
    -- Whoever works a lane holds its row; in the order of lanes, so that two operators do not wait for each other.
    PERFORM l.lane FROM lanes AS l WHERE store_id IS NOT NULL OR everything OR l.lane = pause.lane ORDER BY l.lane FOR UPDATE;
    IF store_id IS NOT NULL THEN
        INSERT INTO paused_stores (store_id) VALUES (pause.store_id) ON CONFLICT DO NOTHING;
        UPDATE lanes SET has_paused_stores = true WHERE NOT has_paused_stores;
    ELSE
        UPDATE lanes AS l SET paused_at = now() WHERE (everything OR l.lane = pause.lane) AND l.paused_at IS NULL;
    END IF;
    PERFORM record_operation(
        'pause', jsonb_build_object('store_id', store_id, 'lane', lane, 'everything', nullif(everything, false)), NULL);
END
$$;

-- Lets the work go on: on a store, a lane, or everything that was paused. Returns how many paused jobs are ready again.
CREATE FUNCTION :"schema".resume(store_id text DEFAULT NULL, lane integer DEFAULT NULL, everything boolean DEFAULT false) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
DECLARE
    promoted bigint := 0;
BEGIN
    PERFORM check_pause_target(store_id, lane, everything);
    PERFORM l.lane FROM lanes AS l WHERE store_id IS NOT NULL OR everything OR l.lane = resume.lane ORDER BY l.lane FOR UPDATE;
    UPDATE lanes AS l SET paused_at = NULL WHERE (everything OR l.lane = resume.lane) AND l.paused_at IS NOT NULL;
    IF store_id IS NOT NULL OR everything THEN
        DELETE FROM paused_stores AS p WHERE everything OR p.store_id = resume.store_id;
        UPDATE jobs SET run_at = NULL, paused_at = NULL
        WHERE run_at = 'infinity' AND (everything OR jobs.store_id = resume.store_id);
        GET DIAGNOSTICS promoted = ROW_COUNT;
        UPDATE lanes SET has_paused_stores = false WHERE has_paused_stores AND NOT EXISTS (SELECT FROM paused_stores);
    END IF;
    PERFORM record_operation(
        'resume', jsonb_build_object('store_id', store_id, 'lane', lane, 'everything', nullif(everything, false)), promoted);
    -- The workers may be asleep.
    PERFORM pg_notify(current_schema(), '');
    RETURN promoted;
END
$$;

CREATE FUNCTION :"schema".check_pause_target(store_id text, lane integer, everything boolean) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = :"schema", pg_temp
AS $$
BEGIN
    IF num_nonnulls(store_id, lane, nullif(everything, false)) <> 1 THEN
        RAISE invalid_parameter_value USING MESSAGE = 'name a store, or a lane, or everything';
    ELSIF lane NOT BETWEEN 0 AND 63 THEN
        RAISE invalid_parameter_value USING MESSAGE = format('there are lanes 0 to 63, not %s', lane);
    END IF;
END
$$;

-- Gives queued jobs another priority, groups whole. Returns how many.
CREATE FUNCTION :"schema".reprioritize(
    priority integer, job_ids bigint[] DEFAULT NULL, store_id text DEFAULT NULL, group_id text DEFAULT NULL,
    reference text DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
DECLARE
    wanted bigint[] := queued_jobs(job_ids, store_id, group_id, reference);
    changed bigint;
BEGIN
    UPDATE jobs SET priority = reprioritize.priority WHERE job_id = ANY (wanted) AND jobs.priority <> reprioritize.priority;
    GET DIAGNOSTICS changed = ROW_COUNT;
    PERFORM record_operation(
        'reprioritize',
        jsonb_build_object('priority', priority, 'jobs', job_ids, 'store_id', store_id, 'group_id', group_id, 'reference', reference),
        changed);
    RETURN changed;
END
$$;

-- Changes an item's attributes; null leaves one as it is, and a name in `clear` empties it. Returns whether there is such an item.
CREATE FUNCTION :"schema".set_item(
    store_id text, item_id text, location_id text DEFAULT 'main', low_stock_threshold bigint DEFAULT NULL,
    tracked boolean DEFAULT NULL, parent_id text DEFAULT NULL, clear text[] DEFAULT '{}'
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
DECLARE
    is_there boolean;
BEGIN
    IF NOT clear <@ ARRAY['low_stock_threshold', 'parent_id'] THEN
        RAISE invalid_parameter_value USING MESSAGE = format('low_stock_threshold and parent_id can be cleared, not %s', clear);
    END IF;
    UPDATE items AS i
    SET low_stock_threshold = CASE WHEN 'low_stock_threshold' = ANY (clear) THEN NULL
            ELSE coalesce(set_item.low_stock_threshold, i.low_stock_threshold) END,
        parent_id = CASE WHEN 'parent_id' = ANY (clear) THEN NULL ELSE coalesce(set_item.parent_id, i.parent_id) END,
        tracked = coalesce(set_item.tracked, i.tracked),
        updated_at = now()
    WHERE (i.store_id, i.item_id, i.location_id) = (set_item.store_id, set_item.item_id, set_item.location_id);
    is_there := FOUND;
    IF is_there THEN
        PERFORM record_operation(
            'items set',
            jsonb_build_object('store_id', store_id, 'item_id', item_id, 'location_id', location_id, 'low_stock_threshold', low_stock_threshold,
                'tracked', tracked, 'parent_id', parent_id, 'clear', nullif(clear, '{}')),
            NULL);
    END IF;
    RETURN is_there;
END
$$;

-- Sets the most ready jobs that a store may have; null for no ceiling.
CREATE FUNCTION :"schema".set_store_limit(store_id text, ready_jobs_max integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
BEGIN
    DELETE FROM store_limits AS l WHERE l.store_id = set_store_limit.store_id;
    IF ready_jobs_max IS NOT NULL THEN
        INSERT INTO store_limits VALUES (set_store_limit.store_id, set_store_limit.ready_jobs_max);
    END IF;
    PERFORM record_operation('ceiling', jsonb_build_object('store_id', store_id, 'ready_jobs_max', ready_jobs_max), NULL);
END
$$;

-- Lets a producer, a role of the database, touch a store; scopes come on top of those it has.
CREATE FUNCTION :"schema".grant_store(producer text, store_id text, scopes text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = producer) THEN
        RAISE undefined_object USING
            MESSAGE = format('there is no role %I', producer), HINT = format('Create it with: CREATE ROLE %I LOGIN', producer);
    END IF;
    INSERT INTO grants AS g (producer, store_id, scopes)
    VALUES (grant_store.producer, grant_store.store_id, grant_store.scopes)
    ON CONFLICT ON CONSTRAINT grants_pkey DO UPDATE
    SET scopes = ARRAY(SELECT DISTINCT unnest(g.scopes || excluded.scopes) ORDER BY 1),
        granted_by = excluded.granted_by,
        granted_at = now();
    PERFORM record_operation('grant', jsonb_build_object('producer', producer, 'store_id', store_id, 'scopes', scopes), NULL);
END
$$;

-- Takes scopes of a store from a producer; all of them where none is named. Returns whether it had any of them.
CREATE FUNCTION :"schema".revoke_store(producer text, store_id text, scopes text[] DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
DECLARE
    kept text[];
    held text[];
BEGIN
    SELECT g.scopes INTO held FROM grants AS g
    WHERE (g.producer, g.store_id) = (revoke_store.producer, revoke_store.store_id) FOR UPDATE;
    IF held IS NULL OR NOT held && coalesce(scopes, held) THEN
        RETURN false;
    END IF;
    kept := ARRAY(SELECT unnest(held) EXCEPT SELECT unnest(coalesce(scopes, held)) ORDER BY 1);
    IF cardinality(kept) = 0 THEN
        DELETE FROM grants AS g WHERE (g.producer, g.store_id) = (revoke_store.producer, revoke_store.store_id);
    ELSE
        UPDATE grants AS g SET scopes = kept WHERE (g.producer, g.store_id) = (revoke_store.producer, revoke_store.store_id);
    END IF;
    PERFORM record_operation('revoke', jsonb_build_object('producer', producer, 'store_id', store_id, 'scopes', scopes), NULL);
    RETURN true;
END
$$;
