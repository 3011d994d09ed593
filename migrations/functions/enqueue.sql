-- Enqueueing one job, from any language, inside the producer's own transaction. Repeatable: applied again whenever this
-- text changes; a change of a signature needs a migration.
--
-- These functions run with the caller's rights, so row security decides which stores a producer may use.

-- What a job has where the caller of an enqueue function says nothing: the same as the columns' defaults. Its body is
-- standard SQL and it pins no search_path, so the planner replaces the call by its value.
CREATE OR REPLACE FUNCTION :"schema".job_defaults() RETURNS :"schema".job_defaults
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ROW('main', 'adjust', 'reject', 2::smallint, 10::smallint, true):::"schema".job_defaults;

-- The columns of jobs that a producer's request sets, that its result keeps and that a retry always copies, as a list.
-- The list omits job_id, submission_id, retry_of, enqueued_at, scheduled_at, waiting_since and attempts, which a
-- producer cannot set, and expires_at and idempotency_key, which a retry copies in some cases only.
CREATE OR REPLACE FUNCTION :"schema".request_columns() RETURNS text
LANGUAGE sql STABLE SET search_path = :"schema", pg_temp
AS $$
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum)
    FROM pg_attribute
    WHERE attrelid = 'jobs'::regclass AND attnum > 0 AND NOT attisdropped
        AND attname IN (SELECT attname FROM pg_attribute WHERE attrelid = 'results'::regclass)
        AND attname NOT IN (
            'job_id', 'submission_id', 'retry_of', 'enqueued_at', 'scheduled_at', 'waiting_since', 'attempts',
            'expires_at', 'idempotency_key'
        )
$$;

-- Raises an error when the lines do not fit the store's limit of ready jobs: SQLSTATE 53400
-- (configuration_limit_exceeded) where the producer can try again later, 54000 (program_limit_exceeded) where so many
-- lines at once never fit.
--
-- Without a limit it costs one probe of a table of a few rows. With a limit it counts the jobs, and notes in a setting
-- of the session up to which job id the store cannot reach the limit; until then the session does not count again.
CREATE OR REPLACE FUNCTION :"schema".check_store_limit(store_id text, lines integer) RETURNS void
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
DECLARE
    ready_jobs_max integer := (
        SELECT l.ready_jobs_max FROM store_limits AS l WHERE l.store_id = check_store_limit.store_id
    );
    -- One note a store. Where two stores hash to the same name, each overwrites the other's note and counts again.
    note_name CONSTANT text := 'stockq.store_limit_' || (hashtext(store_id) & 2147483647);
    -- The store, its limit, and the job id up to which the limit cannot be reached.
    note text[];
    last_drawn bigint;
    ready_jobs integer;
BEGIN
    IF ready_jobs_max IS NULL THEN
        RETURN;
    END IF;
    IF lines > ready_jobs_max THEN
        RAISE program_limit_exceeded USING
            MESSAGE = format(
                '%s lines at once exceed the limit of %s ready jobs of store %L', lines, ready_jobs_max, store_id),
            HINT = 'Enqueue fewer lines in a transaction; an import has --rows-per-commit for that.';
    END IF;
    SELECT CASE WHEN is_called THEN last_value ELSE 0 END INTO last_drawn FROM jobs_job_id_seq;
    note := string_to_array(current_setting(note_name, true), E'\x1f');
    IF note[1] = store_id AND note[2]::integer = ready_jobs_max AND last_drawn + lines <= note[3]::bigint THEN
        RETURN;
    END IF;
    IF can_read_all_stores() THEN
        SELECT count(*) INTO ready_jobs
        FROM (
            SELECT FROM jobs AS j
            WHERE j.store_id = check_store_limit.store_id AND j.run_at IS NULL
            LIMIT ready_jobs_max
        ) AS counted;
    ELSE
        SELECT count(*) INTO ready_jobs
        FROM (
            SELECT FROM my_ready_jobs AS j
            WHERE j.store_id = check_store_limit.store_id
            LIMIT ready_jobs_max
        ) AS counted;
    END IF;
    IF ready_jobs + lines > ready_jobs_max THEN
        RAISE configuration_limit_exceeded USING
            MESSAGE = CASE
                WHEN ready_jobs = ready_jobs_max
                    THEN format('store %L has reached its limit of %s ready jobs', store_id, ready_jobs_max)
                ELSE format('%s more lines exceed the limit of %s ready jobs of store %L, which has %s',
                    lines, ready_jobs_max, store_id, ready_jobs)
            END,
            HINT = 'Try again later, when the workers have caught up.';
    END IF;
    PERFORM set_config(
        note_name, concat_ws(E'\x1f', store_id, ready_jobs_max, last_drawn + ready_jobs_max - ready_jobs), false);
END
$$;

-- Raises an error (SQLSTATE 54000) when a transaction enqueues more lines for a group than a group may have: 10,000, or
-- what the setting `stockq.group_lines_max` of the database, the role or the session says.
--
-- A group is the lines of one transaction, which may call an enqueue function several times. A setting of the
-- transaction counts them, because a producer cannot always read its own jobs. Where two groups hash to the same name,
-- each starts the other's count again. The workers reject every group that is too large, whichever way it came in.
CREATE OR REPLACE FUNCTION :"schema".check_group_limit(store_id text, group_id text, new_lines integer) RETURNS void
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
DECLARE
    lines_max CONSTANT integer := coalesce(nullif(current_setting('stockq.group_lines_max', true), '')::integer, 10000);
    note_name CONSTANT text := 'stockq.group_lines_' || (hashtext(concat_ws(E'\x1f', store_id, group_id)) & 15);
    -- The store, the group, and its lines so far.
    note CONSTANT text[] := string_to_array(current_setting(note_name, true), E'\x1f');
    lines integer := new_lines;
BEGIN
    IF group_id IS NULL THEN
        RETURN;
    END IF;
    IF (note[1], note[2]) = (store_id, group_id) THEN
        lines := lines + note[3]::integer;
    END IF;
    IF lines > lines_max THEN
        RAISE program_limit_exceeded USING
            MESSAGE = format(
                'group %L of store %L would have %s lines, at most %s are allowed',
                group_id, store_id, lines, lines_max),
            HINT = 'Split the group, or enqueue the lines without a group.';
    END IF;
    PERFORM set_config(note_name, concat_ws(E'\x1f', store_id, group_id, lines), true);
END
$$;

-- The reasons that a job may have; null where it may have any. The constraint of the table decides that.
CREATE OR REPLACE FUNCTION :"schema".allowed_reasons() RETURNS text[]
LANGUAGE sql STABLE SET search_path = :"schema", pg_temp
AS $$
    SELECT ARRAY(SELECT reason FROM reasons ORDER BY reason)
    FROM pg_constraint
    WHERE conrelid = 'jobs'::regclass AND conname = 'jobs_reason_listed'
$$;

-- Raises an error that names the allowed reasons where one of these is none of them. With several reasons it names the
-- line too.
CREATE OR REPLACE FUNCTION :"schema".check_reasons(reasons text[]) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
DECLARE
    allowed CONSTANT text[] := allowed_reasons();
    unlisted record;
BEGIN
    IF allowed IS NULL THEN
        RETURN;
    END IF;
    SELECT line.reason, line.number INTO unlisted
    FROM unnest(reasons) WITH ORDINALITY AS line (reason, number)
    WHERE line.reason <> ALL (allowed)
    ORDER BY line.number
    LIMIT 1;
    IF FOUND THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format(
                '%sthe reason must be one of %s, not %L',
                CASE WHEN cardinality(reasons) > 1 THEN format('line %s: ', unlisted.number) END,
                array_to_string(allowed, ', '), left(unlisted.reason, 60)),
            HINT = 'stockq reasons set --add adds a reason to the list, and stockq reasons set --any allows every one.';
    END IF;
END
$$;

-- Enqueues one job. A null, or an argument that is not given, means the default that a plain INSERT would give it.
--
-- If the idempotency key is in use for the same request, nothing is enqueued; the receipt names the first job and its
-- result. If it is in use for another request, the call fails with SQLSTATE 23505. Two sessions that bring a new key at
-- the same time both enqueue, and one of the jobs ends as a duplicate.
--
-- A line of a group is enqueued even if its key is in use: a group is decided as a whole, and which lines it has is
-- known only when its transaction has committed.
CREATE OR REPLACE FUNCTION :"schema".enqueue(
    store_id text, item_id text, quantity bigint, action text DEFAULT NULL, location_id text DEFAULT NULL,
    on_insufficient text DEFAULT NULL, expected_available bigint DEFAULT NULL, idempotency_key text DEFAULT NULL,
    group_id text DEFAULT NULL, priority integer DEFAULT NULL, run_at timestamptz DEFAULT NULL,
    expires_at timestamptz DEFAULT NULL, notify boolean DEFAULT NULL, ordering_key text DEFAULT NULL,
    reason text DEFAULT NULL, reference text DEFAULT NULL, max_attempts integer DEFAULT NULL,
    counted_at timestamptz DEFAULT NULL, actor text DEFAULT NULL, occurred_at timestamptz DEFAULT NULL,
    metadata jsonb DEFAULT NULL
) RETURNS :"schema".receipt
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
DECLARE
    answer receipt;
    is_same boolean;
    new_job bigint;
BEGIN
    IF expires_at <= run_at THEN
        RAISE invalid_parameter_value USING MESSAGE = 'expires_at must be after run_at';
    END IF;
    IF counted_at IS NOT NULL THEN
        PERFORM check_counted_at('', counted_at, action);
    END IF;
    answer.line := 1;
    IF idempotency_key IS NOT NULL THEN
        SELECT first.job_id, is_same_request(
            first, enqueue.item_id, enqueue.location_id, enqueue.action, enqueue.quantity, enqueue.on_insufficient,
            enqueue.expected_available)
        INTO answer.job_id, is_same
        FROM key_in_use(enqueue.store_id, enqueue.idempotency_key) AS first;
        IF NOT is_same THEN
            PERFORM raise_key_conflict(store_id, idempotency_key, answer.job_id);
        ELSIF is_same THEN
            SELECT r.outcome, r.code, r.warning, r.applied_quantity, r.on_hand_after, r.allocated_after
            INTO answer.outcome, answer.code, answer.warning, answer.applied_quantity, answer.on_hand_after,
                answer.allocated_after
            FROM results AS r
            WHERE r.job_id = answer.job_id;
        END IF;
    END IF;
    answer.is_duplicate := answer.job_id IS NOT NULL;
    IF NOT answer.is_duplicate OR enqueue.group_id IS NOT NULL THEN
        IF (
            are_valid_options(store_id, group_id, priority, run_at, expires_at, ordering_key, max_attempts)
            AND octet_length(item_id) BETWEEN 1 AND 200
            AND quantity IS NOT NULL
            AND are_valid_details(
                action, location_id, on_insufficient, idempotency_key, reference, reason, counted_at, actor,
                occurred_at, metadata)
            AND are_visible(item_id || '|' || coalesce(location_id, ''))
        ) IS NOT TRUE THEN
            PERFORM check_options(store_id, group_id, priority, run_at, expires_at, ordering_key, max_attempts);
            PERFORM check_line(
                NULL, item_id, quantity, action, location_id, on_insufficient, idempotency_key, reference, reason,
                counted_at, actor, occurred_at, metadata);
        END IF;
        PERFORM check_store_limit(store_id, 1);
        PERFORM check_group_limit(store_id, group_id, 1);
        IF reason IS NOT NULL THEN
            PERFORM check_reasons(ARRAY[reason]);
        END IF;
        INSERT INTO jobs (
            store_id, item_id, location_id, quantity, action, on_insufficient, expected_available, idempotency_key,
            group_id, priority, run_at, expires_at, notify, ordering_key, reason, reference, max_attempts,
            counted_at, actor, occurred_at, metadata
        ) VALUES (
            enqueue.store_id, enqueue.item_id, coalesce(enqueue.location_id, (job_defaults()).location_id),
            enqueue.quantity, coalesce(enqueue.action, (job_defaults()).action)::action,
            coalesce(enqueue.on_insufficient, (job_defaults()).on_insufficient)::on_insufficient,
            enqueue.expected_available, enqueue.idempotency_key, enqueue.group_id,
            CASE
                WHEN enqueue.action = 'set' THEN priority_behind(
                    store_id, ARRAY[item_id], ARRAY[location_id], priority, ordering_key)
                ELSE coalesce(enqueue.priority, (job_defaults()).priority)
            END,
            enqueue.run_at, enqueue.expires_at,
            coalesce(enqueue.notify, (job_defaults()).notify), enqueue.ordering_key, enqueue.reason, enqueue.reference,
            coalesce(enqueue.max_attempts, (job_defaults()).max_attempts), enqueue.counted_at, enqueue.actor,
            enqueue.occurred_at, enqueue.metadata
        ) RETURNING jobs.job_id INTO new_job;
        answer.job_id := coalesce(answer.job_id, new_job);
    END IF;
    RETURN answer;
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA :"schema" FROM PUBLIC;
