-- Pausing and resuming stores, lanes, or everything. Repeatable: applied again whenever this text changes; a change of
-- a signature needs a migration.

-- Raises an error unless exactly one of a store, a lane and everything is named.
CREATE OR REPLACE FUNCTION :"schema".check_pause_target(store_id text, lane integer, everything boolean) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
DECLARE
    last_lane integer;
BEGIN
    IF num_nonnulls(store_id, lane, nullif(everything, false)) <> 1 THEN
        RAISE invalid_parameter_value USING MESSAGE = 'name a store, or a lane, or everything';
    END IF;
    IF lane IS NOT NULL AND NOT EXISTS (SELECT FROM lanes AS l WHERE l.lane = check_pause_target.lane) THEN
        SELECT max(l.lane) INTO last_lane FROM lanes AS l;
        RAISE invalid_parameter_value USING MESSAGE = format('there are lanes 0 to %s, not %s', last_lane, lane);
    END IF;
END
$$;

-- Makes an administrator's change of the whole queue wait for others, until the transaction ends. Those that lock lanes
-- first and then jobs wait for those that do it the other way round, and a resume ends no pause that came after it.
-- Cancel and retry lock no lanes, and are not among them. Without `shared` a change waits for all others.
--
-- Each of them has to see what another one or a worker has committed while it waited.
CREATE OR REPLACE FUNCTION :"schema".lock_queue(shared boolean) RETURNS void
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format(
                'the transaction is %s, and may not see every queued job', current_setting('transaction_isolation')),
            HINT = 'Call the function in a transaction that is READ COMMITTED.';
    END IF;
    PERFORM lock_maintenance('queue', shared => lock_queue.shared);
END
$$;

-- Makes the paused jobs of a store ready, without a store those of all. Returns how many.
CREATE OR REPLACE FUNCTION :"schema".make_paused_jobs_ready(store_id text) RETURNS bigint
LANGUAGE plpgsql SET search_path = :"schema", pg_temp SET jit = off
AS $$
DECLARE
    changed bigint;
BEGIN
    UPDATE jobs SET run_at = NULL, paused_at = NULL
    WHERE jobs.lane = ANY (ARRAY(SELECT generate_series(0, 63)::smallint)) AND run_at = 'infinity'
        AND (make_paused_jobs_ready.store_id IS NULL OR jobs.store_id = make_paused_jobs_ready.store_id);
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END
$$;

-- Pauses a store, a lane, or everything. Workers finish the batches that they have begun; once this has committed, they
-- claim nothing more.
CREATE OR REPLACE FUNCTION :"schema".pause(
    store_id text DEFAULT NULL, lane integer DEFAULT NULL, everything boolean DEFAULT false
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
BEGIN
    PERFORM check_pause_target(store_id, lane, everything);
    PERFORM lock_queue(shared => true);
    PERFORM FROM paused_stores AS p WHERE p.store_id = pause.store_id FOR UPDATE;
    -- A worker locks the row of the lane that it works. In the order of lanes, so that two administrators cannot
    -- deadlock.
    PERFORM l.lane FROM lanes AS l
    WHERE store_id IS NOT NULL OR everything OR l.lane = pause.lane
    ORDER BY l.lane
    FOR UPDATE;
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

-- Resumes a paused store, lane, or everything: then every paused store and lane too. Returns how many paused jobs are
-- ready again.
--
-- With ordering keys a store's jobs are in any lane, so resuming a store raises the epoch of all lanes. Lanes that are
-- paused themselves stay paused.
--
-- To make many jobs ready takes long. Workers go on meanwhile: they do not see it before the transaction ends, and
-- still pause the store's new jobs. Only the last of those are made ready while the lanes are locked.
CREATE OR REPLACE FUNCTION :"schema".resume(
    store_id text DEFAULT NULL, lane integer DEFAULT NULL, everything boolean DEFAULT false
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
DECLARE
    few CONSTANT integer := 1000;
    rounds_max CONSTANT integer := 5;
    changed bigint;
    promoted bigint := 0;
BEGIN
    PERFORM check_pause_target(store_id, lane, everything);
    PERFORM lock_queue(shared => NOT everything);
    PERFORM FROM paused_stores AS p WHERE p.store_id = resume.store_id FOR UPDATE;
    IF lane IS NULL THEN
        FOR round IN 1..rounds_max LOOP
            changed := make_paused_jobs_ready(store_id);
            promoted := promoted + changed;
            EXIT WHEN changed < few;
        END LOOP;
    END IF;
    PERFORM l.lane FROM lanes AS l
    WHERE store_id IS NOT NULL OR everything OR l.lane = resume.lane
    ORDER BY l.lane
    FOR UPDATE;
    UPDATE lanes AS l
    SET epoch = epoch + 1,
        paused_at = CASE WHEN everything OR l.lane = resume.lane THEN NULL ELSE paused_at END
    WHERE resume.store_id IS NOT NULL OR everything OR l.lane = resume.lane;
    IF store_id IS NOT NULL OR everything THEN
        DELETE FROM paused_stores AS p WHERE everything OR p.store_id = resume.store_id;
        promoted := promoted + make_paused_jobs_ready(store_id);
        UPDATE lanes SET has_paused_stores = false
        WHERE has_paused_stores AND NOT EXISTS (SELECT FROM paused_stores);
    END IF;
    PERFORM record_operation(
        'resume', jsonb_build_object('store_id', store_id, 'lane', lane, 'everything', nullif(everything, false)),
        promoted);
    -- A wake-up, in case the workers sleep.
    PERFORM pg_notify(current_schema(), '');
    RETURN promoted;
END
$$;

-- What was resumed since a time: stores, lanes, or everything (a row without either), each time. No job
-- says since when it could be worked after a pause: those of a paused lane, and those of a paused store that no worker
-- has met, do not change with it.
--
-- It reads the log of operations backwards, up to the time.
CREATE OR REPLACE FUNCTION :"schema".resumes(since timestamptz) RETURNS TABLE (
    store_id text, lane smallint, resumed_at timestamptz
)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 10 SET search_path = :"schema", pg_temp SET jit = off
    SET enable_seqscan = off SET enable_sort = off
AS $$
DECLARE
    operation operations;
BEGIN
    FOR operation IN SELECT * FROM operations AS o WHERE since IS NOT NULL ORDER BY o.operation_id DESC LOOP
        EXIT WHEN operation.at < since;
        IF operation.verb = 'resume' THEN
            store_id := operation.subject->>'store_id';
            lane := operation.subject->>'lane';
            resumed_at := operation.at;
            RETURN NEXT;
        END IF;
    END LOOP;
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA :"schema" FROM PUBLIC;
