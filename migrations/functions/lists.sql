-- Enqueueing many lines at once. Repeatable: applied again whenever this text changes; a change of a signature needs a
-- migration.
--
-- The row security of jobs calls its policy for each row. So a producer's list is inserted by a function with its
-- owner's rights, which checks the grant once a call. That function cannot see who calls it; the caller presents a
-- caller token.

-- The priority with which a new job comes after the ready jobs of its items: the lowest among theirs, but none higher
-- than the given one. So a stock count is not applied before a sale that was enqueued earlier and that it counts
-- already.
--
-- Jobs of other stores and other lanes have no order with it. It looks at the 10,000 last jobs of the store in its lane
-- with a lower priority than the given one. Where there are more it does not search, and the new job comes after all of
-- them.
CREATE OR REPLACE FUNCTION :"schema".priority_behind(
    store_id text, item_ids text[], location_ids text[], priority integer, ordering_key text
) RETURNS integer
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
#variable_conflict use_column
DECLARE
    jobs_max CONSTANT integer := 10000;
    given CONSTANT integer := coalesce(priority_behind.priority, (job_defaults()).priority);
    first_strand CONSTANT integer := strand_of(priority_behind.store_id, ordering_key, 1);
    is_of_item boolean;
    lowest integer;
    found record;
BEGIN
    IF given >= 4 THEN
        RETURN given;
    ELSIF can_read_all_stores() THEN
        SELECT count(*) AS jobs, max(priority) AS lowest,
            max(priority) FILTER (WHERE store_id = priority_behind.store_id AND (item_id, location_id) IN (
                SELECT i, coalesce(l, (job_defaults()).location_id) FROM unnest(item_ids, location_ids) AS u (i, l)
            )) AS lowest_of_items
        INTO found
        FROM (
            SELECT j.priority, j.store_id, j.item_id, j.location_id FROM jobs AS j
            WHERE j.strand BETWEEN first_strand + given AND first_strand + 3 AND j.run_at IS NULL
            ORDER BY j.strand DESC, j.job_id DESC
            LIMIT jobs_max
        ) AS later;
    ELSE
        SELECT count(*) AS jobs, max(priority) AS lowest,
            max(priority) FILTER (WHERE (item_id, location_id) IN (
                SELECT i, coalesce(l, (job_defaults()).location_id) FROM unnest(item_ids, location_ids) AS u (i, l)
            )) AS lowest_of_items
        INTO found
        FROM (
            SELECT j.priority, j.item_id, j.location_id FROM my_ready_jobs AS j
            WHERE j.store_id = priority_behind.store_id
                AND j.strand BETWEEN first_strand + given AND first_strand + 3
            ORDER BY j.strand DESC, j.job_id DESC
            LIMIT jobs_max
        ) AS later;
    END IF;
    RETURN greatest(given, CASE WHEN found.jobs < jobs_max THEN found.lowest_of_items ELSE found.lowest END);
END
$$;

-- Gives new jobs, which retry earlier ones, the priority with which they come after the queued jobs of their items;
-- groups whole. `new_jobs` has all lines of its groups. It reads the jobs once.
--
-- The planner knows nothing of rows that this transaction has inserted, so nothing here depends on a choice between
-- joins: sorts bring the new jobs and the queued ones of their items together, and the ids of an array find the rows.
CREATE OR REPLACE FUNCTION :"schema".put_behind_queued(new_jobs bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
DECLARE
    later record;
BEGIN
    FOR later IN
        WITH new AS MATERIALIZED (
            SELECT job_id, priority, lane, store_id, item_id, location_id, group_id, submission_id
            FROM jobs
            WHERE job_id = ANY (new_jobs)
        ), queued AS MATERIALIZED (
            SELECT lane, store_id, item_id, location_id, max(priority) AS priority
            FROM jobs
            WHERE job_id < (SELECT min(job_id) FROM new) AND priority > (SELECT min(priority) FROM new)
            GROUP BY lane, store_id, item_id, location_id
        ), of_items AS (
            SELECT job_id, priority, group_id, store_id, submission_id,
                max(queued_priority) OVER (PARTITION BY lane, store_id, item_id, location_id) AS behind
            FROM (
                SELECT *, NULL::smallint AS queued_priority FROM new
                UNION ALL
                SELECT NULL, NULL, lane, store_id, item_id, location_id, NULL, NULL, priority FROM queued
            ) AS new_and_queued
        ), placed AS (
            SELECT job_id, priority, max(behind) OVER (
                    PARTITION BY CASE WHEN group_id IS NULL THEN job_id END, group_id, store_id, submission_id
                ) AS behind
            FROM of_items
            WHERE job_id IS NOT NULL
        )
        SELECT behind, array_agg(job_id) AS job_ids FROM placed WHERE priority < behind GROUP BY behind
    LOOP
        UPDATE jobs SET priority = later.behind WHERE job_id = ANY (later.job_ids) AND priority < later.behind;
    END LOOP;
END
$$;

-- Inserts the lines with the rights of the caller. Returns the new jobs in the order of the lines; a line that no
-- job can be is not among them, and insert_new_lines raises its error.
CREATE OR REPLACE FUNCTION :"schema".insert_lines(list :"schema".lines) RETURNS bigint[]
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
DECLARE
    ids_are_visible CONSTANT boolean := coalesce(are_visible(array_to_string(list.item_ids, '|')), true)
        AND coalesce(are_visible(array_to_string(list.location_ids, '|')), true);
    -- Most lists have items and quantities alone.
    has_details CONSTANT boolean := num_nonnulls(
        list.actions, list.location_ids, list.on_insufficients, list.idempotency_keys, list."references", list.reasons,
        list.counted_ats, list.actors, list.occurred_ats, list.metadatas, list.actor, list.occurred_at, list.metadata
    ) > 0;
    new_jobs bigint[];
BEGIN
    IF are_valid_options(
        list.store_id, list.group_id, list.priority, list.run_at, list.expires_at, list.ordering_key, list.max_attempts
    ) IS NOT TRUE THEN
        PERFORM check_options(
            list.store_id, list.group_id, list.priority, list.run_at, list.expires_at, list.ordering_key,
            list.max_attempts);
    END IF;
    -- Identity values are drawn in the order of the select.
    WITH added AS (
        INSERT INTO jobs (
            store_id, item_id, location_id, quantity, action, on_insufficient, expected_available, idempotency_key,
            reference, reason, notify, group_id, priority, run_at, expires_at, ordering_key, max_attempts, counted_at,
            actor, occurred_at, metadata
        )
        SELECT list.store_id, l.item_id, coalesce(l.location_id, (job_defaults()).location_id), l.quantity,
            coalesce(l.action, (job_defaults()).action)::action,
            coalesce(l.policy, (job_defaults()).on_insufficient)::on_insufficient, l.expected, l.key, l.reference,
            l.reason, coalesce(l.notify, (job_defaults()).notify), list.group_id,
            coalesce(list.priority, (job_defaults()).priority), list.run_at, list.expires_at, list.ordering_key,
            coalesce(list.max_attempts, (job_defaults()).max_attempts),
            coalesce(l.counted_at, CASE WHEN l.action = 'set' THEN list.counted_at END),
            coalesce(l.actor, list.actor), coalesce(l.occurred_at, list.occurred_at),
            coalesce(l.metadata, list.metadata)
        FROM unnest(
            list.item_ids, list.quantities, list.actions, list.location_ids, list.on_insufficients,
            list.expected_availables, list.idempotency_keys, list."references", list.reasons, list.notifies,
            list.known_jobs, list.counted_ats, list.actors, list.occurred_ats, list.metadatas
        ) WITH ORDINALITY AS l (
            item_id, quantity, action, location_id, policy, expected, key, reference, reason, notify, known_job,
            counted_at, actor, occurred_at, metadata, number
        )
        WHERE known_job IS NULL
            AND octet_length(l.item_id) BETWEEN 1 AND 200
            AND l.quantity IS NOT NULL
            AND (NOT has_details OR are_valid_details(
                l.action, l.location_id, l.policy, l.key, l.reference, l.reason, l.counted_at,
                coalesce(l.actor, list.actor), coalesce(l.occurred_at, list.occurred_at),
                coalesce(l.metadata, list.metadata)))
            AND (ids_are_visible OR hidden_character(l.item_id) IS NULL AND hidden_character(l.location_id) IS NULL)
        ORDER BY number
        RETURNING job_id
    )
    SELECT array_agg(job_id ORDER BY job_id) INTO new_jobs FROM added;
    RETURN new_jobs;
END
$$;

-- Whether the owner of the tables added restrictive policies to the jobs, which are checked row by row.
CREATE OR REPLACE FUNCTION :"schema".has_restrictive_policies() RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM pg_policy WHERE polrelid = 'jobs'::regclass AND NOT polpermissive);
END
$$;

-- Whether the caller inserts lines with its own rights: the owner of the tables, administrators, and every producer
-- while policies have to be checked row by row.
CREATE OR REPLACE FUNCTION :"schema".inserts_as_caller() RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
BEGIN
    RETURN NOT row_security_active('jobs') OR has_restrictive_policies()
        OR EXISTS (
            SELECT FROM pg_roles WHERE rolname = current_schema() || '_admin' AND pg_has_role(oid, 'USAGE')
        );
END
$$;

-- Inserts the lines of a producer that does not own the tables, and checks the grant once for all of them.
--
-- Plans are never printed: a plan could show the token to the caller of another role's function that calls this one.
CREATE OR REPLACE FUNCTION :"schema".insert_lines_for(
    producer text, caller_token bytea, list :"schema".lines
) RETURNS bigint[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET debug_print_plan = off
AS $$
DECLARE
    granted text[];
    new_jobs bigint[];
    variation text;
BEGIN
    PERFORM check_caller_token(producer, caller_token);
    IF has_restrictive_policies() THEN
        RAISE insufficient_privilege USING
            MESSAGE = 'the owner of the tables has restricted what may be inserted with policies',
            HINT = 'Call enqueue_arrays or enqueue_lines.';
    END IF;
    SELECT scopes INTO granted
    FROM grants
    WHERE grants.producer = insert_lines_for.producer AND grants.store_id = list.store_id;
    IF granted IS NULL OR 'update_catalog' <> ALL (granted) THEN
        PERFORM raise_missing_scope(producer, 'update_catalog', list.store_id, list.item_ids[1]);
    END IF;
    new_jobs := insert_lines(list);
    IF 'read_catalog' <> ALL (granted) THEN
        SELECT item_id INTO variation
        FROM unnest(new_jobs) AS new (job_id)
        JOIN jobs USING (job_id)
        JOIN items USING (store_id, item_id, location_id)
        WHERE parent_id IS NOT NULL
        LIMIT 1;
        IF FOUND THEN
            PERFORM raise_missing_scope(producer, 'read_catalog', list.store_id, variation);
        END IF;
    END IF;
    RETURN new_jobs;
END
$$;

-- Checks that the arrays have one element a line, so that the nth elements of all arrays are the nth line.
--
-- The arrays are checked before any of them is read: unnest would fill up a short array with nulls.
CREATE OR REPLACE FUNCTION :"schema".check_arrays(list :"schema".lines) RETURNS void
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
DECLARE
    lines_max CONSTANT integer := 10000;
    lines CONSTANT integer := coalesce(cardinality(list.item_ids), 0);
    problem text;
BEGIN
    IF lines > lines_max THEN
        RAISE program_limit_exceeded USING
            MESSAGE = format('%s lines in one call, at most %s are allowed', lines, lines_max);
    END IF;
    SELECT format('%s has %s elements, item_ids has %s', given.name, given.size, lines) INTO problem
    FROM (VALUES
        ('quantities', coalesce(cardinality(list.quantities), 0)), ('actions', cardinality(list.actions)),
        ('location_ids', cardinality(list.location_ids)), ('on_insufficients', cardinality(list.on_insufficients)),
        ('expected_availables', cardinality(list.expected_availables)),
        ('idempotency_keys', cardinality(list.idempotency_keys)), ('references', cardinality(list."references")),
        ('reasons', cardinality(list.reasons)), ('notifies', cardinality(list.notifies)),
        ('counted_ats', cardinality(list.counted_ats)), ('actors', cardinality(list.actors)),
        ('occurred_ats', cardinality(list.occurred_ats)), ('metadatas', cardinality(list.metadatas))
    ) AS given (name, size)
    WHERE given.size <> lines;
    IF problem IS NOT NULL THEN
        RAISE array_subscript_error USING MESSAGE = problem;
    END IF;
    -- unnest would flatten other arrays, and subscripts would miss their elements.
    SELECT given.name || ' must have one dimension and begin at 1' INTO problem
    FROM (VALUES
        ('item_ids', array_ndims(list.item_ids), array_lower(list.item_ids, 1)),
        ('quantities', array_ndims(list.quantities), array_lower(list.quantities, 1)),
        ('actions', array_ndims(list.actions), array_lower(list.actions, 1)),
        ('location_ids', array_ndims(list.location_ids), array_lower(list.location_ids, 1)),
        ('on_insufficients', array_ndims(list.on_insufficients), array_lower(list.on_insufficients, 1)),
        ('expected_availables', array_ndims(list.expected_availables), array_lower(list.expected_availables, 1)),
        ('idempotency_keys', array_ndims(list.idempotency_keys), array_lower(list.idempotency_keys, 1)),
        ('counted_ats', array_ndims(list.counted_ats), array_lower(list.counted_ats, 1)),
        ('metadatas', array_ndims(list.metadatas), array_lower(list.metadatas, 1))
    ) AS given (name, dimensions, first)
    WHERE given.dimensions <> 1 OR given.first <> 1
    LIMIT 1;
    IF problem IS NOT NULL THEN
        RAISE array_subscript_error USING MESSAGE = problem;
    END IF;
END
$$;

-- Inserts the lines that have no known job, as many as new_lines, and returns their jobs in the order of the lines.
--
-- It chooses the function for the caller's rights, and counts the jobs: without the row of caller_token_secret, or with
-- a trigger that drops rows, lines would be lost without an error.
CREATE OR REPLACE FUNCTION :"schema".insert_new_lines(list :"schema".lines, new_lines integer) RETURNS bigint[]
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
DECLARE
    new_jobs bigint[];
BEGIN
    PERFORM check_store_limit(list.store_id, new_lines);
    PERFORM check_group_limit(list.store_id, list.group_id, new_lines);
    IF inserts_as_caller() THEN
        new_jobs := insert_lines(list);
    ELSE
        SELECT insert_lines_for(t.producer, t.caller_token, list) INTO new_jobs FROM my_caller_token AS t;
    END IF;
    IF coalesce(cardinality(new_jobs), 0) <> new_lines THEN
        PERFORM check_lines(list);
        RAISE internal_error USING
            MESSAGE = format('%s of %s lines were inserted', coalesce(cardinality(new_jobs), 0), new_lines),
            HINT = 'Check that caller_token_secret has its one row.';
    END IF;
    RETURN new_jobs;
END
$$;

-- The texts of the lines, with one value for those that have none.
CREATE OR REPLACE FUNCTION :"schema".fill_up(texts text[], value text, lines integer) RETURNS text[]
LANGUAGE sql IMMUTABLE SET search_path = :"schema", pg_temp
AS $$
    SELECT CASE WHEN value IS NULL THEN texts ELSE ARRAY(
        SELECT coalesce(given.line_text, value)
        FROM generate_series(1, lines) AS number
        LEFT JOIN unnest(texts) WITH ORDINALITY AS given (line_text, number) USING (number)
        ORDER BY number
    ) END
$$;

-- Enqueues many lines of a store, at most 10,000, from arrays with one element a line. An array that is not given means
-- the default for each line, and so does a null in it. With a group_id the lines are one group: applied all together or
-- not at all.
--
-- A reference, a reason, an actor, an occurred_at and metadata for the whole list are those of the lines that have
-- none; a counted_at is that of the lines with the action set.
--
-- An idempotency_key for the whole list gives each line that key and its number: KEY/1, KEY/2, ... A line whose key is
-- in use is not enqueued again; of a group the keys of all lines must be in use, or none.
CREATE OR REPLACE FUNCTION :"schema".enqueue_arrays(
    store_id text, item_ids text[], quantities bigint[], actions text[] DEFAULT NULL, location_ids text[] DEFAULT NULL,
    on_insufficients text[] DEFAULT NULL, expected_availables bigint[] DEFAULT NULL,
    idempotency_keys text[] DEFAULT NULL, "references" text[] DEFAULT NULL, reasons text[] DEFAULT NULL,
    notifies boolean[] DEFAULT NULL, group_id text DEFAULT NULL, idempotency_key text DEFAULT NULL,
    priority integer DEFAULT NULL, run_at timestamptz DEFAULT NULL, expires_at timestamptz DEFAULT NULL,
    ordering_key text DEFAULT NULL, max_attempts integer DEFAULT NULL, reference text DEFAULT NULL,
    reason text DEFAULT NULL, counted_ats timestamptz[] DEFAULT NULL, actors text[] DEFAULT NULL,
    occurred_ats timestamptz[] DEFAULT NULL, metadatas jsonb[] DEFAULT NULL, counted_at timestamptz DEFAULT NULL,
    actor text DEFAULT NULL, occurred_at timestamptz DEFAULT NULL, metadata jsonb DEFAULT NULL
) RETURNS SETOF :"schema".receipt
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
DECLARE
    lines CONSTANT integer := coalesce(cardinality(item_ids), 0);
    list lines := ROW(
        store_id, item_ids, quantities, actions, location_ids, on_insufficients, expected_availables, idempotency_keys,
        "references", reasons, notifies, NULL, group_id, priority, run_at, expires_at, ordering_key, max_attempts,
        counted_ats, actors, occurred_ats, metadatas, counted_at, actor, occurred_at, metadata
    )::lines;
    known receipt[];
    new_lines integer := lines;
    new_jobs bigint[];
BEGIN
    PERFORM check_arrays(list);
    IF counted_at IS NOT NULL OR counted_ats IS NOT NULL THEN
        PERFORM check_counted_at('', counted_at, 'set');
        PERFORM check_counted_at(format('line %s: ', l.number), l.counted_at, l.action)
        FROM unnest(counted_ats, actions) WITH ORDINALITY AS l (counted_at, action, number);
        IF counted_at IS NOT NULL AND NOT coalesce('set' = ANY (actions), false) THEN
            RAISE invalid_parameter_value USING MESSAGE = 'counted_at is given, and no line has the action set';
        END IF;
    END IF;
    IF expires_at <= run_at THEN
        RAISE invalid_parameter_value USING MESSAGE = 'expires_at must be after run_at';
    END IF;
    list."references" := fill_up(list."references", reference, lines);
    list.reasons := fill_up(list.reasons, reason, lines);
    IF idempotency_key IS NOT NULL THEN
        IF idempotency_keys IS NOT NULL THEN
            RAISE invalid_parameter_value USING MESSAGE = 'give idempotency_key or idempotency_keys, not both';
        END IF;
        list.idempotency_keys := ARRAY(
            SELECT idempotency_key || '/' || number FROM generate_series(1, lines) AS number
        );
    END IF;
    IF list.idempotency_keys IS NOT NULL THEN
        PERFORM check_line_keys(list);
        known := known_lines(list);
        new_lines := lines - cardinality(known);
        IF idempotency_key IS NOT NULL AND new_lines = 0 THEN
            PERFORM check_list_length(store_id, idempotency_key, lines);
        END IF;
        list.known_jobs := ARRAY(
            SELECT k.job_id
            FROM generate_series(1, lines) AS number
            LEFT JOIN unnest(known) AS k ON k.line = number
            ORDER BY number
        );
    END IF;
    IF new_lines > 0 THEN
        IF array_remove(list.reasons, NULL) <> '{}' THEN
            -- With a null more, so that of one line the number is named too.
            PERFORM check_reasons(array_append(list.reasons, NULL));
        END IF;
        IF 'set' = ANY (list.actions) THEN
            -- All lines of the list, or those after a stock count would come before it.
            list.priority := priority_behind(
                store_id, ARRAY(SELECT i FROM unnest(item_ids, actions) AS l (i, action) WHERE action = 'set'),
                ARRAY(
                    SELECT location FROM unnest(item_ids, actions, location_ids) AS l (i, action, location)
                    WHERE action = 'set'
                ), priority, ordering_key);
        END IF;
        new_jobs := insert_new_lines(list, new_lines);
    END IF;
    -- The nth new job is the nth new line.
    RETURN QUERY
    SELECT number, new_jobs[row_number() OVER (ORDER BY number)], false, NULL::outcome, NULL::code, NULL::warning,
        NULL::bigint, NULL::bigint, NULL::bigint
    FROM generate_series(1, lines) AS number
    WHERE list.known_jobs[number] IS NULL
    UNION ALL
    SELECT (k).* FROM unnest(known) AS k
    ORDER BY 1;
END
$$;

-- Reads a JSON array of lines into arrays. A line is an object with the columns below.
--
-- A quantity is a number or a text of digits, as in NDJSON files. `5.0` is read as 5, and `5.5` is an error: quantities
-- are whole.
CREATE OR REPLACE FUNCTION :"schema".read_lines(lines jsonb) RETURNS TABLE (
    item_ids text[], quantities bigint[], actions text[], location_ids text[], on_insufficients text[],
    expected_availables bigint[], idempotency_keys text[], "references" text[], reasons text[], notifies boolean[],
    counted_ats timestamptz[], actors text[], occurred_ats timestamptz[], metadatas jsonb[]
)
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
DECLARE
    columns CONSTANT text[] := ARRAY[
        'item_id', 'quantity', 'action', 'location_id', 'on_insufficient', 'expected_available', 'idempotency_key',
        'reference', 'reason', 'notify', 'counted_at', 'actor', 'occurred_at', 'metadata'
    ];
    wrong record;
BEGIN
    IF jsonb_typeof(lines) IS DISTINCT FROM 'array' THEN
        RAISE invalid_parameter_value USING MESSAGE = 'the lines must be a JSON array of objects';
    END IF;
    SELECT number, problem INTO wrong
    FROM jsonb_array_elements(lines) WITH ORDINALITY AS element (line, number)
    CROSS JOIN LATERAL (
        SELECT CASE
            WHEN jsonb_typeof(line) <> 'object' THEN ' is not an object'
            WHEN line->>'item_id' IS NULL OR line->'quantity' IS NULL THEN ' needs item_id and quantity'
            WHEN NOT CASE jsonb_typeof(line->'quantity')
                WHEN 'number' THEN (line->>'quantity')::numeric % 1 = 0
                WHEN 'string' THEN line->>'quantity' ~ '^[+-]?[0-9]{1,40}$'
                ELSE false
            END
                THEN format(': quantity must be a whole number, not %s', left((line->'quantity')::text, 60))
            WHEN (line->>'quantity')::numeric NOT BETWEEN -9223372036854775808 AND 9223372036854775807
                THEN format(': quantity %s is too large', left(line->>'quantity', 60))
            WHEN line->>'expected_available' IS NOT NULL AND NOT CASE jsonb_typeof(line->'expected_available')
                WHEN 'number' THEN (line->>'expected_available')::numeric % 1 = 0
                WHEN 'string' THEN line->>'expected_available' ~ '^[+-]?[0-9]{1,40}$'
                ELSE false
            END
                THEN format(
                    ': expected_available must be a whole number, not %s', left((line->'expected_available')::text, 60))
            WHEN (line->>'expected_available')::numeric NOT BETWEEN -9223372036854775808 AND 9223372036854775807
                THEN format(': expected_available %s is too large', left(line->>'expected_available', 60))
            WHEN line - columns <> '{}'
                THEN format(': there is no column %L', (SELECT min(key) FROM jsonb_object_keys(line - columns) AS key))
        END AS problem
    ) AS checked
    WHERE problem IS NOT NULL
    ORDER BY number
    LIMIT 1;
    IF FOUND THEN
        RAISE invalid_parameter_value USING MESSAGE = format('line %s%s', wrong.number, wrong.problem);
    END IF;
    RETURN QUERY
    SELECT
        array_agg(l.item_id ORDER BY number), array_agg(l.quantity::bigint ORDER BY number),
        array_agg(l.action ORDER BY number), array_agg(l.location_id ORDER BY number),
        array_agg(l.on_insufficient ORDER BY number), array_agg(l.expected_available::bigint ORDER BY number),
        CASE WHEN count(l.idempotency_key) > 0 THEN array_agg(l.idempotency_key ORDER BY number) END,
        array_agg(l.reference ORDER BY number), array_agg(l.reason ORDER BY number),
        array_agg(l.notify ORDER BY number),
        CASE WHEN count(l.counted_at) > 0 THEN array_agg(l.counted_at ORDER BY number) END,
        CASE WHEN count(l.actor) > 0 THEN array_agg(l.actor ORDER BY number) END,
        CASE WHEN count(l.occurred_at) > 0 THEN array_agg(l.occurred_at ORDER BY number) END,
        CASE WHEN count(l.metadata) > 0 THEN array_agg(l.metadata ORDER BY number) END
    FROM ROWS FROM (
        jsonb_to_recordset(lines) AS (
            item_id text, quantity numeric, action text, location_id text, on_insufficient text,
            expected_available numeric, idempotency_key text, reference text, reason text, notify boolean,
            counted_at timestamptz, actor text, occurred_at timestamptz, metadata jsonb
        )
    ) WITH ORDINALITY AS l (
        item_id, quantity, action, location_id, on_insufficient, expected_available, idempotency_key, reference,
        reason, notify, counted_at, actor, occurred_at, metadata, number
    );
END
$$;

-- enqueue_arrays with the lines as a JSON array: [{"item_id": "shirt-m", "quantity": -2}, ...].
CREATE OR REPLACE FUNCTION :"schema".enqueue_lines(
    store_id text, lines jsonb, group_id text DEFAULT NULL, idempotency_key text DEFAULT NULL,
    priority integer DEFAULT NULL, run_at timestamptz DEFAULT NULL, expires_at timestamptz DEFAULT NULL,
    ordering_key text DEFAULT NULL, max_attempts integer DEFAULT NULL, reference text DEFAULT NULL,
    reason text DEFAULT NULL, counted_at timestamptz DEFAULT NULL, actor text DEFAULT NULL,
    occurred_at timestamptz DEFAULT NULL, metadata jsonb DEFAULT NULL
) RETURNS SETOF :"schema".receipt
LANGUAGE sql SET search_path = :"schema", pg_temp
AS $$
    SELECT receipt.*
    FROM read_lines($2) AS l
    CROSS JOIN LATERAL enqueue_arrays(
        $1, l.item_ids, l.quantities, l.actions, l.location_ids, l.on_insufficients, l.expected_availables,
        l.idempotency_keys, l."references", l.reasons, l.notifies, $3, $4, $5, $6, $7, $8, $9, $10, $11,
        l.counted_ats, l.actors, l.occurred_ats, l.metadatas, $12, $13, $14, $15
    ) AS receipt
$$;

-- Moves stock from one location of a store to another: a group of two lines. It is applied if the first location has
-- enough and the store has the item at both. Without a group_id it makes one up, and without a priority it comes after
-- the ready jobs of the item.
CREATE OR REPLACE FUNCTION :"schema".transfer(
    store_id text, item_id text, quantity bigint, from_location text, to_location text,
    idempotency_key text DEFAULT NULL, on_insufficient text DEFAULT NULL, group_id text DEFAULT NULL,
    priority integer DEFAULT NULL, run_at timestamptz DEFAULT NULL, expires_at timestamptz DEFAULT NULL,
    reason text DEFAULT NULL, reference text DEFAULT NULL, actor text DEFAULT NULL,
    occurred_at timestamptz DEFAULT NULL, metadata jsonb DEFAULT NULL
) RETURNS SETOF :"schema".receipt
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
DECLARE
    source text := coalesce(from_location, (job_defaults()).location_id);
    target text := coalesce(to_location, (job_defaults()).location_id);
BEGIN
    IF quantity <= 0 OR quantity IS NULL THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('the quantity of a transfer must be above 0, not %s', coalesce(quantity::text, 'null'));
    ELSIF source = target THEN
        RAISE invalid_parameter_value USING MESSAGE = format('both locations are %L', source);
    ELSIF on_insufficient NOT IN ('reject', 'allow', 'wait') THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('on_insufficient of a transfer must be reject, allow or wait, not %s', on_insufficient),
            HINT = 'Both locations change by the same quantity.';
    END IF;
    RETURN QUERY SELECT * FROM enqueue_arrays(
        store_id, ARRAY[item_id, item_id], ARRAY[-quantity, quantity], location_ids => ARRAY[source, target],
        on_insufficients => ARRAY[on_insufficient, NULL],
        group_id => coalesce(group_id, 'transfer ' || gen_random_uuid()),
        idempotency_key => idempotency_key,
        priority => coalesce(
            priority, priority_behind(store_id, ARRAY[item_id, item_id], ARRAY[source, target], NULL, NULL)),
        run_at => run_at, expires_at => expires_at, reference => reference, reason => reason, actor => actor,
        occurred_at => occurred_at, metadata => metadata);
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA :"schema" FROM PUBLIC;
