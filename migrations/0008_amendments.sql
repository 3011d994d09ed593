-- Whole functions, amended: what each did wrong stands above it.

-- To resume a store lifted the pauses of all lanes.
-- Lets the work go on: on a store, a lane, or everything that was paused, each store and lane too. A store's jobs are in any lane, so
-- all lanes get a new epoch, and those that are paused themselves stay so. Returns how many paused jobs are ready again.
CREATE OR REPLACE FUNCTION :"schema".resume(store_id text DEFAULT NULL, lane integer DEFAULT NULL, everything boolean DEFAULT false) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
DECLARE
    promoted bigint := 0;
BEGIN
    PERFORM check_pause_target(store_id, lane, everything);
    PERFORM l.lane FROM lanes AS l WHERE store_id IS NOT NULL OR everything OR l.lane = resume.lane ORDER BY l.lane FOR UPDATE;
    UPDATE lanes AS l
    SET epoch = epoch + 1,
        paused_at = CASE WHEN everything OR l.lane = resume.lane THEN NULL ELSE paused_at END
    WHERE resume.store_id IS NOT NULL OR everything OR l.lane = resume.lane;
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

-- A list longer than the ceiling was told to try again later.
-- Refuses when a store has as many ready jobs as it may, with SQLSTATE 53400 (configuration_limit_exceeded): try again later.
-- More lines than the ceiling at once never fit; that is SQLSTATE 54000 (program_limit_exceeded).
--
-- Without a ceiling it costs a poll at a table of a few rows. With one, the jobs are counted, and a session that found room
-- for n jobs does not count again before n ids have been drawn, by whomever: until then the ceiling cannot be reached.
CREATE OR REPLACE FUNCTION :"schema".check_store_limit(store_id text, lines integer) RETURNS void
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
DECLARE
    most integer := (SELECT ready_jobs_max FROM store_limits WHERE store_limits.store_id = check_store_limit.store_id);
    drawn bigint;
    -- A session's note for each store that it enqueues for. Two stores of one name here would count for each other's every job.
    slot CONSTANT text := 'stockq.room_' || (hashtext(store_id) & 2147483647);
    room text[];
    ready integer;
BEGIN
    IF most IS NULL THEN
        RETURN;
    END IF;
    IF lines > most THEN
        RAISE program_limit_exceeded USING
            MESSAGE = format('%s lines at once never fit under the ceiling of store %L, which is %s', lines, store_id, most),
            HINT = 'Send fewer at a time; an import has --rows-per-commit for that.';
    END IF;
    SELECT CASE WHEN is_called THEN last_value ELSE 0 END INTO drawn FROM jobs_job_id_seq;
    -- The store, its ceiling, and the id up to which there is room for sure.
    room := string_to_array(current_setting(slot, true), E'\x1f');
    IF room[1] = store_id AND room[2]::integer = most AND drawn + lines <= room[3]::bigint THEN
        RETURN;
    END IF;
    IF NOT can_read_all_stores() THEN
        SELECT count(*) INTO ready FROM (SELECT FROM my_ready_jobs AS j WHERE j.store_id = check_store_limit.store_id LIMIT most) AS counted;
    ELSE
        SELECT count(*) INTO ready
        FROM (SELECT FROM jobs WHERE jobs.store_id = check_store_limit.store_id AND run_at IS NULL LIMIT most) AS counted;
    END IF;
    IF ready + lines > most THEN
        RAISE configuration_limit_exceeded USING
            MESSAGE = format('store %L has %s ready jobs, and may have %s', store_id, ready, most),
            HINT = 'Try again later, when the workers have caught up.';
    END IF;
    PERFORM set_config(slot, concat_ws(E'\x1f', store_id, most, drawn + most - ready), false);
END
$$;

-- Lines of a group that was there before were left out one by one, so that only the new ones of it were decided.
-- Enqueues one job. What is left out has the default that a plain INSERT would give it.
--
-- With an idempotency key that was used before, nothing is enqueued: the first job's id comes back, and what became of it. A line of
-- a group is enqueued all the same, and ends as a duplicate if the whole group was there before. Another
-- request under the same key is refused with SQLSTATE 23505. Of two sessions that bring a new key at the same time both
-- enqueue, and one of the jobs ends as a duplicate.
CREATE OR REPLACE FUNCTION :"schema".enqueue(
    store_id text, item_id text, quantity bigint, action text DEFAULT 'adjust', location_id text DEFAULT 'main',
    on_insufficient text DEFAULT 'reject', expected_available bigint DEFAULT NULL, idempotency_key text DEFAULT NULL,
    group_id text DEFAULT NULL, priority integer DEFAULT 2, run_at timestamptz DEFAULT NULL,
    expires_at timestamptz DEFAULT NULL, notify boolean DEFAULT true, ordering_key text DEFAULT NULL, reason text DEFAULT NULL,
    reference text DEFAULT NULL, max_attempts integer DEFAULT 10
) RETURNS :"schema".receipt
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
DECLARE
    answer receipt;
    is_same boolean;
    added bigint;
BEGIN
    answer.line := 1;
    IF idempotency_key IS NOT NULL THEN
        -- As in known_keys, for one line: this is the way of each order.
        SELECT k.job_id,
            (k.item_id, k.location_id, k.action::text, k.quantity, k.on_insufficient::text, k.expected_available) IS NOT DISTINCT FROM
                (enqueue.item_id, coalesce(enqueue.location_id, 'main'), coalesce(enqueue.action, 'adjust'), enqueue.quantity,
                    coalesce(enqueue.on_insufficient, 'reject'), enqueue.expected_available)
        INTO answer.job_id, is_same
        FROM keys_in_use AS k
        WHERE k.idempotency_key = enqueue.idempotency_key AND k.store_id = enqueue.store_id
        ORDER BY is_used DESC, k.job_id
        LIMIT 1;
        IF NOT is_same THEN
            PERFORM raise_key_conflict(store_id, idempotency_key, answer.job_id);
        ELSIF is_same THEN
            SELECT r.outcome, r.code, r.warning, r.applied_quantity, r.on_hand_after, r.allocated_after
            INTO answer.outcome, answer.code, answer.warning, answer.applied_quantity, answer.on_hand_after, answer.allocated_after
            FROM results AS r
            WHERE r.job_id = answer.job_id;
        END IF;
    END IF;
    answer.is_duplicate := answer.job_id IS NOT NULL;
    -- A group is answered as a whole, and which lines it has is seen only when it is decided: a line that was there before is sent along.
    IF NOT answer.is_duplicate OR enqueue.group_id IS NOT NULL THEN
        PERFORM check_store_limit(store_id, 1);
        INSERT INTO jobs (
            store_id, item_id, location_id, quantity, action, on_insufficient, expected_available, idempotency_key, group_id,
            priority, run_at, expires_at, notify, ordering_key, reason, reference, max_attempts
        ) VALUES (
            enqueue.store_id, enqueue.item_id, coalesce(enqueue.location_id, 'main'), enqueue.quantity,
            coalesce(enqueue.action, 'adjust')::action, coalesce(enqueue.on_insufficient, 'reject')::on_insufficient,
            enqueue.expected_available, enqueue.idempotency_key, enqueue.group_id, coalesce(enqueue.priority, 2), enqueue.run_at,
            enqueue.expires_at, coalesce(enqueue.notify, true), enqueue.ordering_key, enqueue.reason, enqueue.reference,
            coalesce(enqueue.max_attempts, 10)
        ) RETURNING jobs.job_id INTO added;
        answer.job_id := coalesce(answer.job_id, added);
    END IF;
    RETURN answer;
END
$$;

-- It waited for as long as it was told to, even when its client was gone, and all the while held back vacuum.
-- Waits until a job has its result, at most so many milliseconds. Returns no row when the time was over before.
--
-- The job must have been committed: nobody works on what they cannot see. Each poll is a poll by the primary key.
CREATE OR REPLACE FUNCTION :"schema".wait_for_result(job_id bigint, timeout_ms integer DEFAULT 5000) RETURNS SETOF :"schema".results
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
DECLARE
    deadline timestamptz := clock_timestamp() + coalesce(timeout_ms, 5000) * interval '1 millisecond';
    -- Of a job that is still queued: the transaction that enqueued it, or a part of it behind a savepoint, with its epoch.
    enqueued_by bigint := (SELECT xmin::text::bigint FROM jobs WHERE jobs.job_id = wait_for_result.job_id);
    newest CONSTANT bigint := pg_snapshot_xmax(pg_current_snapshot())::text::bigint;
    pause_ms double precision := 1;
BEGIN
    IF timeout_ms NOT BETWEEN 0 AND 60000 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('timeout_ms must be 0 to 60000, not %s', timeout_ms),
            HINT = 'Who waits holds back vacuum and changes of the tables. To wait longer, call again.';
    END IF;
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('a transaction that is %s never sees the result', current_setting('transaction_isolation')),
            HINT = 'Wait outside the transaction, or in one that is READ COMMITTED.';
    END IF;
    enqueued_by := enqueued_by + (newest >> 32 << 32);
    -- Transaction ids come round after 2^32; the nearest of that number is meant.
    IF enqueued_by > newest + (1::bigint << 31) THEN
        enqueued_by := enqueued_by - (1::bigint << 32);
    ELSIF enqueued_by < newest - (1::bigint << 31) THEN
        enqueued_by := enqueued_by + (1::bigint << 32);
    END IF;
    -- It can be seen here and has not ended: it is this one.
    IF enqueued_by > 2 AND pg_xact_status(enqueued_by::text::xid8) = 'in progress' THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('job %s was enqueued by this transaction, and nobody else sees it before it commits', job_id),
            HINT = 'Commit first, then wait.';
    END IF;
    LOOP
        RETURN QUERY SELECT * FROM results WHERE results.job_id = wait_for_result.job_id;
        IF FOUND OR clock_timestamp() >= deadline THEN
            RETURN;
        END IF;
        PERFORM pg_sleep(least(pause_ms / 1000, greatest(0.001, extract(epoch FROM deadline - clock_timestamp()))));
        pause_ms := least(pause_ms * 2, 50);
    END LOOP;
END
$$;
