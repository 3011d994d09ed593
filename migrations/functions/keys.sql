-- Idempotency keys. Repeatable: applied again whenever this text changes; a change of a signature needs a migration.
--
-- The first two functions have bodies in standard SQL and pin no search_path, so that the planner puts them into the
-- calling statement; their names were resolved when they were created.

-- The job that an idempotency key belongs to: the job that used it, or else the first queued job.
CREATE OR REPLACE FUNCTION :"schema".key_in_use(store_id text, idempotency_key text)
RETURNS SETOF :"schema".keys_in_use
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT k.*
    FROM :"schema".keys_in_use AS k
    WHERE k.idempotency_key = key_in_use.idempotency_key AND k.store_id = key_in_use.store_id
    ORDER BY k.is_used DESC, k.job_id
    LIMIT 1;
END;

-- Whether the request that a key was first used for is this one: the same item, action, quantity, policy and
-- expected_available. A null means the default.
CREATE OR REPLACE FUNCTION :"schema".is_same_request(
    first :"schema".keys_in_use, item_id text, location_id text, action text, quantity bigint, on_insufficient text,
    expected_available bigint
) RETURNS boolean
LANGUAGE sql STABLE
RETURN (
    (first).item_id, (first).location_id, (first).action::text, (first).quantity, (first).on_insufficient::text,
    (first).expected_available
) IS NOT DISTINCT FROM (
    item_id, coalesce(location_id, (:"schema".job_defaults()).location_id),
    coalesce(action, (:"schema".job_defaults()).action), quantity,
    coalesce(on_insufficient, (:"schema".job_defaults()).on_insufficient), expected_available
);

-- Raises the error for a key that was used for another request.
CREATE OR REPLACE FUNCTION :"schema".raise_key_conflict(
    store_id text, idempotency_key text, job_id bigint
) RETURNS void
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
BEGIN
    RAISE unique_violation USING
        MESSAGE = format(
            'idempotency key %L of store %L was used by job %s for another request', idempotency_key, store_id, job_id),
        DETAIL = 'The same request has the same item, location, action, quantity, policy and expected_available.',
        CONSTRAINT = 'idempotency_key';
END
$$;

-- The lines whose idempotency key is in use, with the first job and its result. A key that was used for another request
-- is an error.
CREATE OR REPLACE FUNCTION :"schema".known_keys(list :"schema".lines) RETURNS SETOF :"schema".receipt
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
DECLARE
    known record;
BEGIN
    FOR known IN
        SELECT line.number, line.key, first.job_id,
            is_same_request(
                first, line.item_id, line.location_id, line.action, line.quantity, line.policy, line.expected
            ) AS is_same,
            results.outcome, results.code, results.warning, results.applied_quantity, results.on_hand_after,
            results.allocated_after
        FROM unnest(
            list.idempotency_keys, list.item_ids, list.location_ids, list.actions, list.quantities,
            list.on_insufficients, list.expected_availables
        ) WITH ORDINALITY AS line (key, item_id, location_id, action, quantity, policy, expected, number)
        CROSS JOIN LATERAL key_in_use(list.store_id, line.key) AS first
        LEFT JOIN results ON results.job_id = first.job_id
    LOOP
        IF NOT known.is_same THEN
            PERFORM raise_key_conflict(list.store_id, known.key, known.job_id);
        END IF;
        RETURN NEXT ROW(
            known.number::integer, known.job_id, true, known.outcome, known.code, known.warning,
            known.applied_quantity, known.on_hand_after, known.allocated_after
        )::receipt;
    END LOOP;
END
$$;

-- Checks the idempotency keys of the lines: at most 200 bytes each, and each on one line only.
--
-- No constraint rejects two new lines with one key: the index on the keys of jobs is not unique, because two sessions
-- may bring a new key at the same time.
CREATE OR REPLACE FUNCTION :"schema".check_line_keys(list :"schema".lines) RETURNS void
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
DECLARE
    problem text;
BEGIN
    SELECT CASE
        WHEN octet_length(key) > 200 THEN format('idempotency key %L has more than 200 bytes', key)
        ELSE format('idempotency key %L is used on more than one line', key)
    END INTO problem
    FROM unnest(list.idempotency_keys) AS key
    WHERE key IS NOT NULL
    GROUP BY key
    HAVING count(*) > 1 OR octet_length(key) > 200
    LIMIT 1;
    IF problem IS NOT NULL THEN
        RAISE invalid_parameter_value USING MESSAGE = problem;
    END IF;
END
$$;

-- The receipts of the lines whose idempotency key is in use. A group is an error if only some of its keys are in use:
-- its new lines alone would be another group than what the producer submitted.
CREATE OR REPLACE FUNCTION :"schema".known_lines(list :"schema".lines) RETURNS :"schema".receipt[]
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
DECLARE
    lines CONSTANT integer := coalesce(cardinality(list.item_ids), 0);
    known receipt[] := ARRAY(SELECT k FROM known_keys(list) AS k);
    new_lines CONSTANT integer := lines - cardinality(known);
BEGIN
    IF list.group_id IS NOT NULL AND new_lines NOT IN (0, lines) THEN
        RAISE unique_violation USING
            MESSAGE = format(
                '%s of %s lines of group %L of store %L are new, and the keys of the others are in use',
                new_lines, lines, list.group_id, list.store_id),
            HINT = 'Submit the group as it was submitted first, or under other keys.',
            CONSTRAINT = 'idempotency_key';
    END IF;
    RETURN known;
END
$$;

-- A list whose lines are all known is the beginning of another one if that had more lines under its key.
CREATE OR REPLACE FUNCTION :"schema".check_list_length(
    store_id text, idempotency_key text, lines integer
) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
DECLARE
    next_line record;
BEGIN
    SELECT k.job_id INTO next_line
    FROM key_in_use(store_id, check_list_length.idempotency_key || '/' || lines + 1) AS k;
    IF FOUND THEN
        RAISE unique_violation USING
            MESSAGE = format(
                'idempotency key %L of store %L was used for a list of more than %s lines', idempotency_key, store_id,
                lines),
            DETAIL = format('Job %s is its next line.', next_line.job_id),
            CONSTRAINT = 'idempotency_key';
    END IF;
END
$$;

-- The job that corrects a finished one, or one that this one is a retry of: it has the key that `results list
-- --for-import` writes. Null where there is none.
CREATE OR REPLACE FUNCTION :"schema".correction_of(job_id bigint, retry_of bigint, store_id text) RETURNS bigint
LANGUAGE sql STABLE SET search_path = :"schema", pg_temp
AS $$
    WITH RECURSIVE tries AS (
        SELECT correction_of.job_id AS try_id, correction_of.retry_of AS before_id
        UNION ALL
        SELECT r.job_id, r.retry_of
        FROM tries
        CROSS JOIN LATERAL (
            SELECT results.job_id, results.retry_of FROM results WHERE results.job_id = tries.before_id LIMIT 1
        ) AS r
    )
    SELECT first.job_id
    FROM tries
    CROSS JOIN LATERAL key_in_use(correction_of.store_id, 'correction of job ' || tries.try_id) AS first
    LIMIT 1
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA :"schema" FROM PUBLIC;
