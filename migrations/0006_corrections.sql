-- What a review of the functions for operators and producers found, and what workers need for it. Each function stands here whole, as it is
-- from now on.

ALTER TABLE :"schema".lanes
    -- Raised where jobs with ids drawn long ago become ready by hand: a worker forgets its low-water marks then, or newer jobs
    -- would overtake them.
    ADD COLUMN epoch bigint NOT NULL DEFAULT 0;

-- Whether whoever asks sees every store: the owner of the tables, and the roles whose policies let everything through.
CREATE FUNCTION :"schema".can_read_all_stores() RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
BEGIN
    RETURN NOT row_security_active('jobs') OR EXISTS (
        SELECT FROM pg_roles
        WHERE rolname IN (current_schema() || '_reader', current_schema() || '_admin') AND pg_has_role(oid, 'USAGE')
    );
END
$$;

-- Jobs that are still queued: by id, or the group or the reference of a store; with each its whole group.
CREATE OR REPLACE FUNCTION :"schema".queued_jobs(job_ids bigint[], store_id text, group_id text, reference text) RETURNS bigint[]
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
            SELECT j.job_id, j.group_id, j.store_id FROM jobs AS j
            WHERE j.job_id = ANY (job_ids) AND (queued_jobs.store_id IS NULL OR j.store_id = queued_jobs.store_id)
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

-- Enqueues finished jobs again, groups whole: those named, or the failed ones, or those with a code; the latter two of one store or
-- of all, and not older than `since`. Only jobs that changed nothing can be retried, each once; the new job names the first one.
--
-- A key goes along unless the job used it up. What was refused since its key was used before is not retried: it would take
-- effect a second time.
CREATE OR REPLACE FUNCTION :"schema".retry_jobs(
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
        SELECT named.id, r.outcome, r.first_job_id INTO wrong
        FROM unnest(job_ids) AS named (id)
        LEFT JOIN results AS r ON r.job_id = named.id
        WHERE r.outcome IS NULL OR r.outcome NOT IN ('failed', 'rejected', 'canceled')
            OR r.first_job_id IS NOT NULL OR r.code = 'idempotency_mismatch'
        LIMIT 1;
        IF FOUND THEN
            RAISE object_not_in_prerequisite_state USING
                MESSAGE = format('job %s %s, and cannot be retried', wrong.id, CASE
                    WHEN wrong.outcome IS NULL THEN 'has no result'
                    WHEN wrong.outcome IN ('failed', 'rejected', 'canceled') THEN 'was refused for its idempotency key'
                    ELSE 'was ' || wrong.outcome
                END);
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
            r.reference,
            CASE WHEN NOT EXISTS (
                SELECT FROM idempotency_keys AS k
                WHERE (k.idempotency_key, k.store_id) = (r.idempotency_key, r.store_id) AND k.job_id = r.job_id
            ) THEN r.idempotency_key END,
            r.job_id
        FROM whole
        JOIN results AS r ON r.job_id = whole.job_id
        WHERE r.outcome IN ('failed', 'rejected', 'canceled')
            AND NOT EXISTS (SELECT FROM retries WHERE retries.job_id = whole.job_id)
            -- Of a group no line may have been refused for its key.
            AND NOT EXISTS (
                SELECT FROM whole AS other
                JOIN results AS line ON line.job_id = other.job_id
                WHERE (line.job_id = r.job_id OR (line.group_id, line.store_id, line.finished_at) = (r.group_id, r.store_id, r.finished_at))
                    AND (line.first_job_id IS NOT NULL OR line.code = 'idempotency_mismatch')
            )
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

-- Lets the work go on: on a store, a lane, or everything that was paused. Returns how many paused jobs are ready again.
CREATE OR REPLACE FUNCTION :"schema".resume(store_id text DEFAULT NULL, lane integer DEFAULT NULL, everything boolean DEFAULT false) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
DECLARE
    promoted bigint := 0;
BEGIN
    PERFORM check_pause_target(store_id, lane, everything);
    PERFORM l.lane FROM lanes AS l WHERE store_id IS NOT NULL OR everything OR l.lane = resume.lane ORDER BY l.lane FOR UPDATE;
    UPDATE lanes AS l SET paused_at = NULL, epoch = epoch + 1
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

-- Gives queued jobs another priority, groups whole. Returns how many.
CREATE OR REPLACE FUNCTION :"schema".reprioritize(
    priority integer, job_ids bigint[] DEFAULT NULL, store_id text DEFAULT NULL, group_id text DEFAULT NULL,
    reference text DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
DECLARE
    wanted bigint[] := queued_jobs(job_ids, store_id, group_id, reference);
    changed bigint;
BEGIN
    -- Whoever works a lane holds its row.
    PERFORM l.lane FROM lanes AS l WHERE l.lane IN (SELECT j.lane FROM jobs AS j WHERE j.job_id = ANY (wanted)) ORDER BY l.lane FOR UPDATE;
    UPDATE lanes AS l SET epoch = epoch + 1 WHERE l.lane IN (SELECT j.lane FROM jobs AS j WHERE j.job_id = ANY (wanted));
    UPDATE jobs SET priority = reprioritize.priority WHERE job_id = ANY (wanted) AND jobs.priority <> reprioritize.priority;
    GET DIAGNOSTICS changed = ROW_COUNT;
    PERFORM record_operation(
        'reprioritize',
        jsonb_build_object('priority', priority, 'jobs', job_ids, 'store_id', store_id, 'group_id', group_id, 'reference', reference),
        changed);
    RETURN changed;
END
$$;

-- Reads a JSON array of lines into arrays. A line is an object; what it may hold are the columns below.
--
-- `5.0` is 5, and `5.5` is refused: quantities are whole.
CREATE OR REPLACE FUNCTION :"schema".read_lines(lines jsonb) RETURNS TABLE (
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
        WHEN line->>'item_id' IS NULL OR line->'quantity' IS NULL THEN format('line %s needs item_id and quantity', number)
        WHEN jsonb_typeof(line->'quantity') <> 'number' OR (line->>'quantity')::numeric % 1 <> 0
            THEN format('line %s: quantity must be a whole number, not %s', number, left(line->>'quantity', 60))
        WHEN (line->>'quantity')::numeric NOT BETWEEN -9223372036854775808 AND 9223372036854775807
            THEN format('line %s: quantity %s is too large', number, left(line->>'quantity', 60))
        WHEN line->'expected_available' IS NOT NULL AND (jsonb_typeof(line->'expected_available') NOT IN ('number', 'null')
                OR (line->>'expected_available')::numeric % 1 <> 0)
            THEN format('line %s: expected_available must be a whole number, not %s', number, left(line->>'expected_available', 60))
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
            OR line->>'item_id' IS NULL
            OR CASE jsonb_typeof(line->'expected_available')
                WHEN 'number' THEN (line->>'expected_available')::numeric % 1 <> 0
                WHEN 'null' THEN false
                ELSE line ? 'expected_available'
            END
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
        array_agg(l.expected_available::bigint ORDER BY number),
        CASE WHEN count(l.idempotency_key) > 0 THEN array_agg(l.idempotency_key ORDER BY number) END,
        array_agg(l.reference ORDER BY number), array_agg(l.reason ORDER BY number), array_agg(l.notify ORDER BY number)
    FROM ROWS FROM (
        jsonb_to_recordset(lines) AS (item_id text, quantity numeric, action text, location_id text, on_insufficient text,
            expected_available numeric, idempotency_key text, reference text, reason text, notify boolean)
    ) WITH ORDINALITY
        AS l (item_id, quantity, action, location_id, on_insufficient, expected_available, idempotency_key, reference, reason, notify, number);
END
$$;

-- Moves stock from one location of a store to another: a group of two lines. It is applied if the first location has enough
-- and the item is known at both. Without a group_id a name is made up.
CREATE OR REPLACE FUNCTION :"schema".transfer(
    store_id text, item_id text, quantity bigint, from_location text, to_location text, idempotency_key text DEFAULT NULL,
    on_insufficient text DEFAULT 'reject', group_id text DEFAULT NULL, priority integer DEFAULT 2,
    run_at timestamptz DEFAULT NULL, expires_at timestamptz DEFAULT NULL, reason text DEFAULT NULL, reference text DEFAULT NULL
) RETURNS SETOF :"schema".receipt
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
BEGIN
    IF quantity <= 0 OR quantity IS NULL THEN
        RAISE invalid_parameter_value USING MESSAGE = format('a transfer moves a quantity above 0, not %s', quantity);
    ELSIF coalesce(from_location, 'main') = coalesce(to_location, 'main') THEN
        RAISE invalid_parameter_value USING MESSAGE = format('both locations are %L', coalesce(from_location, 'main'));
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
CREATE OR REPLACE FUNCTION :"schema".preview(store_id text, lines jsonb, as_group boolean DEFAULT false) RETURNS TABLE (
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
    place text;
    on_hand numeric;
    allocated numeric;
    taken numeric;
    seen numeric;
    duplicates integer := 0;
    mismatches integer := 0;
    total integer := 0;
    answers jsonb[] := '{}';
    answer jsonb;
    is_refused boolean := false;
    is_waiting boolean := false;
    new_code text;
BEGIN
    IF jsonb_typeof(lines) = 'array' AND jsonb_array_length(lines) > 1000 THEN
        RAISE program_limit_exceeded USING MESSAGE = format('%s lines in one preview, at most 1000 are allowed', jsonb_array_length(lines));
    END IF;
    IF NOT can_read_all_stores() AND NOT has_grant(store_id, 'read_catalog') THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('%I lacks the scope read_catalog for store %L', current_user, store_id);
    END IF;
    SELECT given->>'idempotency_key' INTO place
    FROM jsonb_array_elements(CASE WHEN jsonb_typeof(lines) = 'array' THEN lines ELSE '[]' END) AS element (given)
    WHERE given->>'idempotency_key' IS NOT NULL
    GROUP BY given->>'idempotency_key'
    HAVING count(*) > 1
    LIMIT 1;
    IF place IS NOT NULL THEN
        RAISE invalid_parameter_value USING MESSAGE = format('idempotency key %L stands on more than one line', place);
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
            SELECT k.job_id, (k.item_id, k.location_id, k.action::text, k.quantity, k.on_insufficient::text, k.expected_available)
                IS NOT DISTINCT FROM (l.i, l.loc, l.a, l.q, l.p, l.e)
            INTO first_id, is_same
            FROM idempotency_keys AS k
            WHERE k.idempotency_key = l.k AND k.store_id = preview.store_id;
        END IF;
        IF is_same THEN
            duplicates := duplicates + 1;
            answers := answers || (answer || jsonb_build_object('outcome', 'duplicate', 'first_job_id', first_id));
            CONTINUE;
        ELSIF NOT is_same THEN
            new_code := 'idempotency_mismatch';
            mismatches := mismatches + 1;
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
        answers := answers || answer;
    END LOOP;
    IF as_group AND duplicates = total THEN
        NULL; -- a group sent again
    ELSIF as_group AND duplicates + mismatches > 0 THEN
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

-- The lines of a group, queued or finished; of every group of that name.
CREATE OR REPLACE FUNCTION :"schema".find_group(store_id text, group_id text) RETURNS SETOF :"schema".job_states
LANGUAGE sql STABLE SET search_path = :"schema", pg_temp
AS $$
    SELECT s.*
    FROM (
        SELECT jobs.job_id FROM jobs WHERE (jobs.group_id, jobs.store_id) = ($2, $1)
        -- Groups of one name may lie between each other.
        UNION
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

-- An item's stock at a past time, by walking back from now. No row where there was no such item yet, or where retention has
-- dropped what would tell.
CREATE OR REPLACE FUNCTION :"schema".stock_at(
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
        WHERE (finished_at <= $4 OR previous_job_id IS NULL)
            AND NOT EXISTS (SELECT FROM item WHERE updated_at <= $4)
        UNION ALL
        -- Nothing has changed since.
        SELECT item.on_hand, item.allocated, item.version FROM item WHERE last_job_id IS NULL OR updated_at <= $4
    )
    SELECT found.on_hand, found.allocated, found.on_hand - found.allocated, found.version FROM found
$$;

REVOKE ALL ON FUNCTION :"schema".can_read_all_stores FROM PUBLIC;
