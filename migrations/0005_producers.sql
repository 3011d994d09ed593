-- What producers call, in any language, inside their own transaction.
--
-- All of it runs with the caller's rights, so that row security decides what a producer may touch and see.

-- What an enqueue function answers, one for each line.
CREATE TYPE :"schema".receipt AS (
    -- The line's place in the list, from 1.
    line integer,
    -- The job; of a repeated idempotency key the first one.
    job_id bigint,
    is_duplicate boolean,
    -- What became of the first job; null while it is queued.
    outcome :"schema".outcome,
    code :"schema".code,
    warning :"schema".warning,
    applied_quantity bigint,
    on_hand_after bigint,
    allocated_after bigint
);

-- The requests that idempotency keys stand for: used up ones, and those of jobs still queued.
CREATE VIEW :"schema".keys_in_use WITH (security_invoker) AS
SELECT store_id, idempotency_key, job_id, item_id, location_id, action, quantity, on_insufficient, expected_available,
    true AS is_used
FROM :"schema".idempotency_keys
UNION ALL
SELECT store_id, idempotency_key, job_id, item_id, location_id, action, quantity, on_insufficient, expected_available, false
FROM :"schema".jobs
WHERE idempotency_key IS NOT NULL;

-- Every job, queued or finished.
CREATE VIEW :"schema".job_states WITH (security_invoker) AS
SELECT job_id,
    CASE
        WHEN paused_at IS NOT NULL THEN 'paused'
        WHEN run_at IS NULL THEN 'ready'
        WHEN waiting_since IS NOT NULL THEN 'waiting'
        WHEN attempts > 0 THEN 'retrying'
        ELSE 'scheduled'
    END AS state,
    store_id, item_id, location_id, action, quantity, on_insufficient, priority, group_id, ordering_key, idempotency_key, reference,
    reason, enqueued_at, NULL::timestamptz AS finished_at,
    NULL:::"schema".outcome AS outcome, NULL:::"schema".code AS code, NULL:::"schema".warning AS warning,
    NULL::bigint AS applied_quantity, NULL::bigint AS on_hand_before, NULL::bigint AS on_hand_after,
    NULL::bigint AS allocated_before, NULL::bigint AS allocated_after, NULL::bigint AS version,
    NULL::bigint AS first_job_id, retry_of, last_error AS message
FROM :"schema".jobs
UNION ALL
SELECT job_id, 'finished', store_id, item_id, location_id, action, quantity, on_insufficient, priority, group_id, ordering_key,
    idempotency_key, reference, reason, enqueued_at, finished_at, outcome, code, warning, applied_quantity, on_hand_before,
    on_hand_after, allocated_before, allocated_after, version, first_job_id, retry_of, message
FROM :"schema".results;

-- The ready jobs in the stores of whoever asks: counting them through row security would ask for each row.
CREATE VIEW :"schema".my_ready_jobs WITH (security_barrier) AS
SELECT jobs.store_id
FROM :"schema".jobs
JOIN :"schema".grants USING (store_id)
WHERE producer = current_user::text AND run_at IS NULL;

-- Refuses when a store has as many ready jobs as it may, with SQLSTATE 53400 (configuration_limit_exceeded): try again later.
--
-- Without a ceiling it costs a poll at a table of a few rows. With one, the jobs are counted, and a session that found room
-- for n jobs does not count again before n ids have been drawn, by whomever: until then the ceiling cannot be reached.
CREATE FUNCTION :"schema".check_store_limit(store_id text, lines integer) RETURNS void
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
DECLARE
    most integer := (SELECT ready_jobs_max FROM store_limits WHERE store_limits.store_id = check_store_limit.store_id);
    drawn bigint;
    room text[];
    ready integer;
BEGIN
    IF most IS NULL THEN
        RETURN;
    END IF;
    SELECT CASE WHEN is_called THEN last_value ELSE 0 END INTO drawn FROM jobs_job_id_seq;
    -- The store, its ceiling, and the id up to which there is room for sure.
    room := string_to_array(current_setting('stockq.room', true), E'\x1f');
    IF room[1] = store_id AND room[2]::integer = most AND drawn + lines <= room[3]::bigint THEN
        RETURN;
    END IF;
    IF row_security_active('jobs') THEN
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
    PERFORM set_config('stockq.room', concat_ws(E'\x1f', store_id, most, drawn + most - ready), false);
END
$$;

-- Enqueues one job. What is left out has the default that a plain INSERT would give it.
--
-- With an idempotency key that was used before, nothing is enqueued: the first job's id comes back, and what became of it. Another
-- request under the same key is refused with SQLSTATE 23505. Of two sessions that bring a new key at the same time both
-- enqueue, and one of the jobs ends as a duplicate.
CREATE FUNCTION :"schema".enqueue(
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
    IF NOT answer.is_duplicate THEN
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
        ) RETURNING jobs.job_id INTO answer.job_id;
    END IF;
    RETURN answer;
END
$$;

CREATE FUNCTION :"schema".raise_key_conflict(store_id text, idempotency_key text, job_id bigint) RETURNS void
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
BEGIN
    RAISE unique_violation USING
        MESSAGE = format('idempotency key %L of store %L was used by job %s for another request', idempotency_key, store_id, job_id),
        DETAIL = 'The same request has the same item, location, action, quantity, policy and expected_available.',
        CONSTRAINT = 'idempotency_key';
END
$$;

-- The lines whose idempotency key is known, with the first job and what became of it. A key that stands for another request
-- is an error.
CREATE FUNCTION :"schema".known_keys(
    store_id text, keys text[], item_ids text[], location_ids text[], actions text[], quantities bigint[], policies text[],
    expected bigint[]
) RETURNS TABLE (
    line integer, job_id bigint, outcome :"schema".outcome, code :"schema".code, warning :"schema".warning, applied_quantity bigint,
    on_hand_after bigint, allocated_after bigint
)
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
DECLARE
    known record;
BEGIN
    FOR known IN
        SELECT wanted.key, wanted.number, first.job_id,
            (first.item_id, first.location_id, first.action::text, first.quantity, first.on_insufficient::text, first.expected_available)
                IS NOT DISTINCT FROM
            (wanted.item_id, wanted.location_id, wanted.action, wanted.quantity, wanted.policy, wanted.expected) AS is_same,
            results.outcome, results.code, results.warning, results.applied_quantity, results.on_hand_after, results.allocated_after
        FROM unnest(keys, item_ids, location_ids, actions, quantities, policies, expected) WITH ORDINALITY
            AS wanted (key, item_id, location_id, action, quantity, policy, expected, number)
        CROSS JOIN LATERAL (
            SELECT *
            FROM keys_in_use AS k
            WHERE k.idempotency_key = wanted.key AND k.store_id = known_keys.store_id
            ORDER BY is_used DESC, k.job_id
            LIMIT 1
        ) AS first
        LEFT JOIN results ON results.job_id = first.job_id
    LOOP
        IF NOT known.is_same THEN
            PERFORM raise_key_conflict(store_id, known.key, known.job_id);
        END IF;
        RETURN QUERY SELECT known.number::integer, known.job_id, known.outcome, known.code, known.warning, known.applied_quantity,
            known.on_hand_after, known.allocated_after;
    END LOOP;
END
$$;

-- Enqueues many lines of a store, at most 10,000, from arrays of one element a line. An array that is left out is the default
-- for each line, and so is a null in it. With a group_id the lines are one group: applied all together or not at all.
--
-- An idempotency_key for the whole list gives each line that key and its number: KEY/1, KEY/2, …. Lines whose key is known are not enqueued
-- again; of a group all must be known, or none.
CREATE FUNCTION :"schema".enqueue_arrays(
    store_id text, item_ids text[], quantities bigint[], actions text[] DEFAULT NULL, location_ids text[] DEFAULT NULL,
    on_insufficients text[] DEFAULT NULL, expected_availables bigint[] DEFAULT NULL, idempotency_keys text[] DEFAULT NULL,
    "references" text[] DEFAULT NULL, reasons text[] DEFAULT NULL, notifies boolean[] DEFAULT NULL,
    group_id text DEFAULT NULL, idempotency_key text DEFAULT NULL, priority integer DEFAULT 2, run_at timestamptz DEFAULT NULL,
    expires_at timestamptz DEFAULT NULL, ordering_key text DEFAULT NULL, max_attempts integer DEFAULT 10
) RETURNS SETOF :"schema".receipt
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
DECLARE
    lines integer := coalesce(cardinality(item_ids), 0);
    wrong text;
    keys text[] := idempotency_keys;
    known_jobs bigint[];
    known receipt[];
    missing integer := lines;
BEGIN
    IF lines > 10000 THEN
        RAISE program_limit_exceeded USING MESSAGE = format('%s lines in one call, at most 10000 are allowed', lines);
    END IF;
    SELECT format('%s has %s elements, item_ids has %s', given.name, given.size, lines) INTO wrong
    FROM (VALUES
        ('quantities', coalesce(cardinality(quantities), 0)), ('actions', cardinality(actions)), ('location_ids', cardinality(location_ids)),
        ('on_insufficients', cardinality(on_insufficients)), ('expected_availables', cardinality(expected_availables)),
        ('idempotency_keys', cardinality(idempotency_keys)), ('references', cardinality("references")),
        ('reasons', cardinality(reasons)), ('notifies', cardinality(notifies))
    ) AS given (name, size)
    WHERE given.size <> lines;
    IF wrong IS NOT NULL THEN
        RAISE array_subscript_error USING MESSAGE = wrong;
    END IF;
    IF idempotency_key IS NOT NULL THEN
        IF keys IS NOT NULL THEN
            RAISE invalid_parameter_value USING MESSAGE = 'give idempotency_key or idempotency_keys, not both';
        END IF;
        keys := ARRAY(SELECT idempotency_key || '/' || number FROM generate_series(1, lines) AS number);
    END IF;
    IF keys IS NOT NULL THEN
        SELECT key INTO wrong FROM unnest(keys) AS key WHERE key IS NOT NULL GROUP BY key HAVING count(*) > 1 LIMIT 1;
        IF wrong IS NOT NULL THEN
            RAISE invalid_parameter_value USING MESSAGE = format('idempotency key %L stands on more than one line', wrong);
        END IF;
        SELECT array_agg(ROW(k.line, k.job_id, true, k.outcome, k.code, k.warning, k.applied_quantity, k.on_hand_after, k.allocated_after)::receipt),
            count(*)
        INTO known, missing
        FROM known_keys(
            store_id, keys, item_ids,
            ARRAY(SELECT coalesce(location_ids[n], 'main') FROM generate_series(1, lines) AS n),
            ARRAY(SELECT coalesce(actions[n], 'adjust') FROM generate_series(1, lines) AS n), quantities,
            ARRAY(SELECT coalesce(on_insufficients[n], 'reject') FROM generate_series(1, lines) AS n),
            coalesce(expected_availables, array_fill(NULL::bigint, ARRAY[lines]))
        ) AS k;
        missing := lines - missing;
        IF group_id IS NOT NULL AND missing NOT IN (0, lines) THEN
            RAISE unique_violation USING
                MESSAGE = format('of group %L of store %L, %s lines were enqueued before under their keys, and %s were not', group_id, store_id, lines - missing, missing),
                CONSTRAINT = 'idempotency_key';
        END IF;
        known_jobs := ARRAY(
            SELECT k.job_id
            FROM generate_series(1, lines) AS number
            LEFT JOIN unnest(known) AS k ON k.line = number
            ORDER BY number
        );
    END IF;
    IF missing > 0 THEN
        PERFORM check_store_limit(store_id, missing);
    END IF;
    -- Identity values are drawn in the order of the select; so the nth new job is the nth new line.
    RETURN QUERY
    WITH added AS (
        INSERT INTO jobs (
            store_id, item_id, location_id, quantity, action, on_insufficient, expected_available, idempotency_key, reference,
            reason, notify, group_id, priority, run_at, expires_at, ordering_key, max_attempts
        )
        SELECT enqueue_arrays.store_id, l.item_id, coalesce(l.location_id, 'main'), l.quantity,
            coalesce(l.action, 'adjust')::action, coalesce(l.policy, 'reject')::on_insufficient, l.expected, l.key, l.reference,
            l.reason, coalesce(l.notify, true), enqueue_arrays.group_id, coalesce(enqueue_arrays.priority, 2), enqueue_arrays.run_at,
            enqueue_arrays.expires_at, enqueue_arrays.ordering_key, coalesce(enqueue_arrays.max_attempts, 10)
        FROM unnest(
            item_ids, quantities, actions, location_ids, on_insufficients, expected_availables, keys, "references", reasons, notifies, known_jobs
        ) WITH ORDINALITY AS l (item_id, quantity, action, location_id, policy, expected, key, reference, reason, notify, known_job, number)
        WHERE known_job IS NULL
        ORDER BY number
        RETURNING jobs.job_id
    ), new_line AS (
        SELECT number, row_number() OVER (ORDER BY number) AS place
        FROM generate_series(1, lines) AS number
        WHERE known_jobs[number] IS NULL
    ), new_job AS (
        SELECT added.job_id, row_number() OVER (ORDER BY added.job_id) AS place FROM added
    )
    SELECT number, new_job.job_id, false, NULL::outcome, NULL::code, NULL::warning, NULL::bigint, NULL::bigint, NULL::bigint
    FROM new_line
    JOIN new_job USING (place)
    UNION ALL
    SELECT (k).* FROM unnest(known) AS k
    ORDER BY 1;
END
$$;

-- Reads a JSON array of lines into arrays. A line is an object; what it may hold are the columns below.
--
-- `5.0` is 5, and `5.5` is refused: quantities are whole.
CREATE FUNCTION :"schema".read_lines(lines jsonb) RETURNS TABLE (
    item_ids text[], quantities bigint[], actions text[], location_ids text[], on_insufficients text[],
    expected_availables bigint[], idempotency_keys text[], "references" text[], reasons text[], notifies boolean[]
)
LANGUAGE plpgsql IMMUTABLE SET search_path = :"schema", pg_temp
AS $$
DECLARE
    wrong text;
BEGIN
    IF jsonb_typeof(lines) IS DISTINCT FROM 'array' THEN
        RAISE invalid_parameter_value USING MESSAGE = 'the lines must be a JSON array of objects';
    END IF;
    SELECT CASE
        WHEN jsonb_typeof(line) <> 'object' THEN format('line %s is no object', number)
        WHEN line->'item_id' IS NULL OR line->'quantity' IS NULL THEN format('line %s needs item_id and quantity', number)
        WHEN jsonb_typeof(line->'quantity') <> 'number' OR (line->>'quantity')::numeric % 1 <> 0
            THEN format('line %s: quantity must be a whole number, not %s', number, left(line->>'quantity', 60))
        WHEN (line->>'quantity')::numeric NOT BETWEEN -9223372036854775808 AND 9223372036854775807
            THEN format('line %s: quantity %s is too large', number, left(line->>'quantity', 60))
        ELSE (
            SELECT format('line %s: there is no column %L', number, key)
            FROM jsonb_object_keys(line) AS key
            WHERE key NOT IN ('item_id', 'quantity', 'action', 'location_id', 'on_insufficient', 'expected_available',
                'idempotency_key', 'reference', 'reason', 'notify')
            LIMIT 1
        )
    END INTO wrong
    FROM jsonb_array_elements(lines) WITH ORDINALITY AS element (line, number)
    WHERE CASE
        WHEN jsonb_typeof(line) <> 'object' THEN true
        ELSE coalesce(jsonb_typeof(line->'quantity') <> 'number', true)
            OR (line->>'quantity')::numeric % 1 <> 0
            OR (line->>'quantity')::numeric NOT BETWEEN -9223372036854775808 AND 9223372036854775807
            OR line->'item_id' IS NULL
            OR line - '{item_id,quantity,action,location_id,on_insufficient,expected_available,idempotency_key,reference,reason,notify}'::text[]
                <> '{}'
    END
    ORDER BY number
    LIMIT 1;
    IF wrong IS NOT NULL THEN
        RAISE invalid_parameter_value USING MESSAGE = wrong;
    END IF;
    RETURN QUERY
    SELECT array_agg(l.item_id ORDER BY number), array_agg(l.quantity::bigint ORDER BY number), array_agg(l.action ORDER BY number),
        array_agg(l.location_id ORDER BY number), array_agg(l.on_insufficient ORDER BY number),
        array_agg(l.expected_available ORDER BY number),
        CASE WHEN count(l.idempotency_key) > 0 THEN array_agg(l.idempotency_key ORDER BY number) END,
        array_agg(l.reference ORDER BY number), array_agg(l.reason ORDER BY number), array_agg(l.notify ORDER BY number)
    FROM ROWS FROM (
        jsonb_to_recordset(lines) AS (item_id text, quantity numeric, action text, location_id text, on_insufficient text,
            expected_available bigint, idempotency_key text, reference text, reason text, notify boolean)
    ) WITH ORDINALITY
        AS l (item_id, quantity, action, location_id, on_insufficient, expected_available, idempotency_key, reference, reason, notify, number);
END
$$;

-- The same from a JSON array: [{"item_id": "shirt-m", "quantity": -2}, …].
CREATE FUNCTION :"schema".enqueue_lines(
    store_id text, lines jsonb, group_id text DEFAULT NULL, idempotency_key text DEFAULT NULL, priority integer DEFAULT 2,
    run_at timestamptz DEFAULT NULL, expires_at timestamptz DEFAULT NULL, ordering_key text DEFAULT NULL,
    max_attempts integer DEFAULT 10
) RETURNS SETOF :"schema".receipt
LANGUAGE sql SET search_path = :"schema", pg_temp
AS $$
    SELECT receipt.*
    FROM read_lines($2) AS l
    CROSS JOIN LATERAL enqueue_arrays(
        $1, l.item_ids, l.quantities, l.actions, l.location_ids, l.on_insufficients, l.expected_availables, l.idempotency_keys,
        l."references", l.reasons, l.notifies, $3, $4, $5, $6, $7, $8, $9
    ) AS receipt
$$;

-- Moves stock from one location of a store to another: a group of two lines. It is applied if the first location has enough
-- and the item is known at both. Without a group_id a name is made up.
CREATE FUNCTION :"schema".transfer(
    store_id text, item_id text, quantity bigint, from_location text, to_location text, idempotency_key text DEFAULT NULL,
    on_insufficient text DEFAULT 'reject', group_id text DEFAULT NULL, priority integer DEFAULT 2,
    run_at timestamptz DEFAULT NULL, expires_at timestamptz DEFAULT NULL, reason text DEFAULT NULL, reference text DEFAULT NULL
) RETURNS SETOF :"schema".receipt
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
BEGIN
    IF quantity <= 0 OR quantity IS NULL THEN
        RAISE invalid_parameter_value USING MESSAGE = format('a transfer moves a quantity above 0, not %s', quantity);
    ELSIF from_location = to_location THEN
        RAISE invalid_parameter_value USING MESSAGE = format('both locations are %L', from_location);
    ELSIF on_insufficient NOT IN ('reject', 'allow', 'wait') THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('on_insufficient of a transfer is reject, allow or wait, not %s: what leaves must arrive', on_insufficient);
    END IF;
    RETURN QUERY SELECT * FROM enqueue_arrays(
        store_id, ARRAY[item_id, item_id], ARRAY[-quantity, quantity], location_ids => ARRAY[from_location, to_location],
        on_insufficients => ARRAY[on_insufficient, 'reject'],
        group_id => coalesce(group_id, 'transfer ' || gen_random_uuid()),
        idempotency_key => idempotency_key, priority => priority, run_at => run_at, expires_at => expires_at,
        "references" => ARRAY[reference, reference], reasons => ARRAY[reason, reason]);
END
$$;

-- What a list of lines would do now, one after the other, or as a group. Nothing is written and no queued job is regarded.
--
-- These are the rules of the decision (docs/reference.md) written a second time; a test holds both against each other.
CREATE FUNCTION :"schema".preview(store_id text, lines jsonb, as_group boolean DEFAULT false) RETURNS TABLE (
    line integer, outcome :"schema".outcome, code :"schema".code, warning :"schema".warning, waits boolean, applied_quantity bigint,
    on_hand_before bigint, on_hand_after bigint, allocated_before bigint, allocated_after bigint, first_job_id bigint
)
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
DECLARE
    most CONSTANT bigint := 9007199254740991;
    l record;
    item record;
    first_id bigint;
    is_same boolean;
    -- The stock as the lines so far leave it, by item and location: [on_hand, allocated].
    scratch jsonb := '{}';
    used jsonb := '{}';
    place text;
    on_hand numeric;
    allocated numeric;
    taken numeric;
    seen numeric;
    duplicates integer := 0;
    total integer := 0;
    answers jsonb[] := '{}';
    answer jsonb;
    is_refused boolean := false;
    is_waiting boolean := false;
    new_code text;
BEGIN
    IF row_security_active('items') AND NOT has_grant(store_id, 'read_catalog') THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('%I lacks the scope read_catalog for store %L', current_user, store_id);
    END IF;
    FOR l IN
        SELECT number, i, coalesce(loc, 'main') AS loc, coalesce(a, 'adjust') AS a, q, coalesce(p, 'reject') AS p, e, k
        FROM read_lines(lines) AS r
        CROSS JOIN LATERAL unnest(r.item_ids, r.quantities, r.actions, r.location_ids, r.on_insufficients, r.expected_availables, r.idempotency_keys)
            WITH ORDINALITY AS u (i, q, a, loc, p, e, k, number)
        ORDER BY number
    LOOP
        PERFORM l.a::action, l.p::on_insufficient;
        IF l.p <> 'reject' AND l.a NOT IN ('adjust', 'allocate') AND NOT (l.a = 'set' AND l.p = 'allow') THEN
            RAISE invalid_parameter_value USING
                MESSAGE = format('line %s: on_insufficient %s does not go with action %s', l.number, l.p, l.a);
        END IF;
        SELECT i.on_hand, i.allocated, i.available, i.tracked INTO item
        FROM items AS i WHERE (i.store_id, i.item_id, i.location_id) = (preview.store_id, l.i, l.loc);
        place := jsonb_build_array(l.i, l.loc)::text;
        on_hand := coalesce((scratch->place->>0)::numeric, item.on_hand);
        allocated := coalesce((scratch->place->>1)::numeric, item.allocated);
        seen := CASE WHEN as_group THEN item.available ELSE on_hand - allocated END;
        total := total + 1;
        new_code := NULL;
        taken := abs(l.q::numeric);
        answer := jsonb_build_object('line', l.number, 'on_hand_before', on_hand, 'allocated_before', allocated,
            'on_hand_after', on_hand, 'allocated_after', allocated, 'applied_quantity', 0, 'waits', false, 'place', place);
        first_id := NULL;
        is_same := NULL;
        IF l.k IS NOT NULL THEN
            IF used ? l.k THEN
                is_same := used->l.k = jsonb_build_array(l.i, l.loc, l.a, l.q, l.p, l.e);
            ELSE
                SELECT k.job_id, (k.item_id, k.location_id, k.action::text, k.quantity, k.on_insufficient::text, k.expected_available)
                    IS NOT DISTINCT FROM (l.i, l.loc, l.a, l.q, l.p, l.e)
                INTO first_id, is_same
                FROM idempotency_keys AS k
                WHERE k.idempotency_key = l.k AND k.store_id = preview.store_id;
            END IF;
        END IF;
        IF is_same THEN
            duplicates := duplicates + 1;
            answers := answers || (answer || jsonb_build_object('outcome', 'duplicate', 'first_job_id', first_id));
            CONTINUE;
        ELSIF NOT is_same THEN
            new_code := 'idempotency_mismatch';
            answer := answer || jsonb_build_object('first_job_id', first_id);
        ELSIF abs(l.q::numeric) > most OR (l.a IN ('allocate', 'deallocate', 'ship') AND l.q <= 0) OR (l.a = 'set' AND l.q < 0) THEN
            new_code := 'invalid_quantity';
        ELSIF item.on_hand IS NULL THEN
            new_code := 'unknown_item';
        ELSIF NOT item.tracked THEN
            new_code := 'untracked';
        ELSIF l.e <> seen THEN
            new_code := 'stale';
        ELSIF (l.a = 'adjust' AND l.q = 0) OR (l.a = 'set' AND l.q = on_hand) THEN
            new_code := 'no_change';
        ELSIF l.a IN ('deallocate', 'ship') AND allocated < l.q THEN
            new_code := 'insufficient_allocation';
        ELSIF l.a = 'set' AND l.q < allocated AND l.p <> 'allow' THEN
            new_code := 'insufficient_stock';
        ELSIF (l.a = 'allocate' OR (l.a = 'adjust' AND l.q < 0)) AND on_hand - allocated < taken AND l.p <> 'allow' THEN
            IF l.p = 'wait' THEN
                is_waiting := true;
                answers := answers || (answer || jsonb_build_object('waits', true));
                CONTINUE;
            ELSIF l.p = 'partial' AND on_hand > allocated THEN
                taken := on_hand - allocated;
            ELSE
                new_code := 'insufficient_stock';
            END IF;
        END IF;
        IF new_code IS NULL THEN
            CASE l.a
                WHEN 'adjust' THEN on_hand := on_hand + taken * sign(l.q::numeric);
                WHEN 'allocate' THEN allocated := allocated + taken;
                WHEN 'deallocate' THEN allocated := allocated - taken;
                WHEN 'ship' THEN
                    on_hand := on_hand - taken;
                    allocated := allocated - taken;
                WHEN 'set' THEN on_hand := l.q;
            END CASE;
            IF greatest(abs(on_hand), abs(allocated), abs(on_hand - allocated)) > most THEN
                new_code := 'out_of_range';
            ELSE
                scratch := scratch || jsonb_build_object(place, jsonb_build_array(on_hand, allocated));
                answer := answer || jsonb_build_object('outcome', 'applied', 'on_hand_after', on_hand, 'allocated_after', allocated,
                    'applied_quantity', CASE WHEN l.a = 'adjust' THEN taken * sign(l.q::numeric) ELSE taken END,
                    'warning', CASE WHEN on_hand < allocated THEN 'negative_stock' END);
            END IF;
        END IF;
        IF new_code IN ('untracked', 'no_change') THEN
            answer := answer || jsonb_build_object('outcome', 'unchanged', 'code', new_code);
        ELSIF new_code IS NOT NULL THEN
            is_refused := true;
            answer := answer || jsonb_build_object('outcome', 'rejected', 'code', new_code);
        END IF;
        IF l.k IS NOT NULL AND new_code IS DISTINCT FROM 'idempotency_mismatch' THEN
            used := used || jsonb_build_object(l.k, jsonb_build_array(l.i, l.loc, l.a, l.q, l.p, l.e));
        END IF;
        answers := answers || answer;
    END LOOP;
    IF as_group AND duplicates = total THEN
        NULL; -- a group sent again
    ELSIF as_group AND duplicates > 0 THEN
        -- Some lines are new and others are not: the new ones cannot be what was sent before.
        answers := ARRAY(
            SELECT a || jsonb_build_object('outcome', 'rejected', 'warning', NULL, 'applied_quantity', 0, 'waits', false,
                'code', CASE WHEN a->>'outcome' = 'duplicate' THEN 'group_rejected' ELSE 'idempotency_mismatch' END)
            FROM unnest(answers) WITH ORDINALITY AS u (a, n) ORDER BY n
        );
        is_refused := true;
    ELSIF as_group AND is_refused THEN
        answers := ARRAY(
            SELECT a || jsonb_build_object('outcome', 'rejected', 'warning', NULL, 'applied_quantity', 0, 'waits', false,
                'code', CASE WHEN a->>'outcome' = 'rejected' THEN a->>'code' ELSE 'group_rejected' END)
            FROM unnest(answers) WITH ORDINALITY AS u (a, n) ORDER BY n
        );
    ELSIF as_group AND is_waiting THEN
        answers := ARRAY(
            SELECT a - 'outcome' - 'code' - 'warning' || jsonb_build_object('applied_quantity', 0, 'waits', true)
            FROM unnest(answers) WITH ORDINALITY AS u (a, n) ORDER BY n
        );
    END IF;
    RETURN QUERY
    SELECT (a->>'line')::integer, (a->>'outcome')::outcome, (a->>'code')::code, (a->>'warning')::warning, (a->>'waits')::boolean,
        (a->>'applied_quantity')::bigint,
        -- A refused or waiting group shows the stock before it.
        CASE WHEN whole THEN before.on_hand ELSE (a->>'on_hand_before')::bigint END,
        CASE WHEN whole THEN before.on_hand ELSE (a->>'on_hand_after')::bigint END,
        CASE WHEN whole THEN before.allocated ELSE (a->>'allocated_before')::bigint END,
        CASE WHEN whole THEN before.allocated ELSE (a->>'allocated_after')::bigint END,
        (a->>'first_job_id')::bigint
    FROM unnest(answers) WITH ORDINALITY AS u (a, n)
    CROSS JOIN LATERAL (SELECT as_group AND (is_refused OR is_waiting OR duplicates > 0)) AS w (whole)
    LEFT JOIN items AS before
        ON (before.store_id, before.item_id, before.location_id)
            = (preview.store_id, (a->>'place')::jsonb->>0, (a->>'place')::jsonb->>1)
    ORDER BY n;
END
$$;

-- Waits until a job has its result, at most so many milliseconds. Returns no row when the time was over before.
--
-- The job must have been committed: nobody works on what they cannot see. Each poll is a poll by the primary key.
CREATE FUNCTION :"schema".wait_for_result(job_id bigint, timeout_ms integer DEFAULT 5000) RETURNS SETOF :"schema".results
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
DECLARE
    deadline timestamptz := clock_timestamp() + timeout_ms * interval '1 millisecond';
    pause_ms double precision := 1;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('a transaction that is %s never sees the result', current_setting('transaction_isolation')),
            HINT = 'Wait outside the transaction, or in one that is READ COMMITTED.';
    ELSIF EXISTS (
        SELECT FROM jobs WHERE jobs.job_id = wait_for_result.job_id AND xmin = pg_current_xact_id_if_assigned()::xid
    ) THEN
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

-- A job, queued or finished.
CREATE FUNCTION :"schema".find_job(job_id bigint) RETURNS SETOF :"schema".job_states
LANGUAGE sql STABLE SET search_path = :"schema", pg_temp
AS $$
    SELECT * FROM job_states WHERE job_states.job_id = $1
$$;

-- The lines of a group, queued or finished; of every group of that name.
CREATE FUNCTION :"schema".find_group(store_id text, group_id text) RETURNS SETOF :"schema".job_states
LANGUAGE sql STABLE SET search_path = :"schema", pg_temp
AS $$
    SELECT s.*
    FROM (
        SELECT jobs.job_id FROM jobs WHERE (jobs.group_id, jobs.store_id) = ($2, $1)
        UNION ALL
        -- The first line says how far the group reaches.
        SELECT line.job_id
        FROM results AS first
        JOIN results AS line
            ON line.job_id BETWEEN first.job_id AND first.group_last_job_id AND (line.group_id, line.store_id) = ($2, $1)
        WHERE (first.group_id, first.store_id) = ($2, $1) AND first.group_last_job_id IS NOT NULL
    ) AS of_group
    CROSS JOIN LATERAL (SELECT * FROM job_states AS j WHERE j.job_id = of_group.job_id) AS s
    ORDER BY s.job_id
$$;

-- The job that an idempotency key stands for.
CREATE FUNCTION :"schema".find_key(store_id text, idempotency_key text) RETURNS SETOF :"schema".job_states
LANGUAGE sql STABLE SET search_path = :"schema", pg_temp
AS $$
    SELECT s.*
    FROM (
        SELECT k.job_id FROM keys_in_use AS k
        WHERE (k.idempotency_key, k.store_id) = ($2, $1)
        ORDER BY is_used DESC, k.job_id
        LIMIT 1
    ) AS first
    CROSS JOIN LATERAL (SELECT * FROM job_states AS j WHERE j.job_id = first.job_id) AS s
$$;

-- The jobs with a reference. It reads everything there is, unless somebody has made the index for it (docs/producers.md).
CREATE FUNCTION :"schema".find_reference(store_id text, reference text) RETURNS SETOF :"schema".job_states
LANGUAGE sql STABLE SET search_path = :"schema", pg_temp
AS $$
    SELECT * FROM job_states WHERE job_states.reference = $2 AND job_states.store_id = $1 ORDER BY job_id
$$;

-- An item's last movements, newest first: from the item to the result of its last job, and from each result to the one before
-- it. So the history needs no index of its own on the results.
CREATE FUNCTION :"schema".item_history(
    store_id text, item_id text, location_id text DEFAULT 'main', movements integer DEFAULT 10
) RETURNS SETOF :"schema".results
LANGUAGE sql STABLE SET search_path = :"schema", pg_temp
AS $$
    WITH RECURSIVE movement AS (
        SELECT last_job_id AS job_id, 1 AS place
        FROM items
        WHERE (items.store_id, items.item_id, items.location_id) = ($1, $2, $3) AND last_job_id IS NOT NULL AND $4 > 0
        UNION ALL
        SELECT results.previous_job_id, place + 1
        FROM movement
        JOIN results USING (job_id)
        WHERE results.previous_job_id IS NOT NULL AND place < $4
    )
    SELECT results.*
    FROM movement
    JOIN results USING (job_id)
    ORDER BY place
$$;

-- An item's stock at a past time, by walking back from now. No row where there was no such item yet, or where retention has
-- dropped what would tell.
CREATE FUNCTION :"schema".stock_at(
    store_id text, item_id text, location_id text, at timestamptz,
    OUT on_hand bigint, OUT allocated bigint, OUT available bigint, OUT version bigint
) RETURNS SETOF record
LANGUAGE sql STABLE SET search_path = :"schema", pg_temp
AS $$
    WITH RECURSIVE item AS (
        SELECT * FROM items WHERE (items.store_id, items.item_id, items.location_id) = ($1, $2, $3) AND created_at <= $4
    ), movement AS (
        SELECT 1 AS place, results.* FROM item JOIN results ON job_id = last_job_id
        UNION ALL
        SELECT place + 1, earlier.*
        FROM movement
        JOIN results AS earlier ON earlier.job_id = movement.previous_job_id
        WHERE movement.finished_at > $4
    ), oldest AS (
        SELECT * FROM movement ORDER BY place DESC LIMIT 1
    ), found AS (
        SELECT
            CASE WHEN finished_at <= $4 THEN on_hand_after ELSE on_hand_before END AS on_hand,
            CASE WHEN finished_at <= $4 THEN allocated_after ELSE allocated_before END AS allocated,
            CASE WHEN finished_at <= $4 THEN version ELSE version - 1 END AS version
        FROM oldest
        -- The change before the oldest one that is left may have been later or earlier than the time asked for.
        WHERE finished_at <= $4 OR previous_job_id IS NULL
        UNION ALL
        SELECT item.on_hand, item.allocated, item.version FROM item WHERE last_job_id IS NULL
    )
    SELECT found.on_hand, found.allocated, found.on_hand - found.allocated, found.version FROM found
$$;

-- A new function may be called by everybody unless that is taken back; roles.sql says who may.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA :"schema" FROM PUBLIC;
REVOKE ALL ON TYPE :"schema".action, :"schema".on_insufficient, :"schema".outcome, :"schema".code, :"schema".warning,
    :"schema".alert_level, :"schema".notification_kind, :"schema".receipt FROM PUBLIC;
