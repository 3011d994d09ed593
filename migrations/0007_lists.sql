-- Lists of lines, enqueued for a producer at the speed of their owner: row security would ask for the grant at each line.

-- Lines of one store on their way into the queue, as enqueue_arrays has checked them.
CREATE TYPE :"schema".lines AS (
    store_id text,
    item_ids text[],
    quantities bigint[],
    actions text[],
    location_ids text[],
    on_insufficients text[],
    expected_availables bigint[],
    idempotency_keys text[],
    "references" text[],
    reasons text[],
    notifies boolean[],
    -- Where a line's key was used before: the first job. Such a line is left out.
    known_jobs bigint[],
    group_id text,
    priority integer,
    run_at timestamptz,
    expires_at timestamptz,
    ordering_key text,
    max_attempts integer
);

-- Inserts the lines with the rights of whoever asks. Returns the new jobs in the order of the lines.
CREATE FUNCTION :"schema".insert_lines(list :"schema".lines) RETURNS bigint[]
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
DECLARE
    new_jobs bigint[];
BEGIN
    -- Identity values are drawn in the order of the select.
    WITH added AS (
        INSERT INTO jobs (
            store_id, item_id, location_id, quantity, action, on_insufficient, expected_available, idempotency_key, reference,
            reason, notify, group_id, priority, run_at, expires_at, ordering_key, max_attempts
        )
        SELECT list.store_id, l.item_id, coalesce(l.location_id, 'main'), l.quantity,
            coalesce(l.action, 'adjust')::action, coalesce(l.policy, 'reject')::on_insufficient, l.expected, l.key, l.reference,
            l.reason, coalesce(l.notify, true), list.group_id, coalesce(list.priority, 2), list.run_at, list.expires_at,
            list.ordering_key, coalesce(list.max_attempts, 10)
        FROM unnest(
            list.item_ids, list.quantities, list.actions, list.location_ids, list.on_insufficients, list.expected_availables,
            list.idempotency_keys, list."references", list.reasons, list.notifies, list.known_jobs
        ) WITH ORDINALITY AS l (item_id, quantity, action, location_id, policy, expected, key, reference, reason, notify, known_job, number)
        WHERE known_job IS NULL
        ORDER BY number
        RETURNING job_id
    )
    SELECT array_agg(job_id ORDER BY job_id) INTO new_jobs FROM added;
    RETURN new_jobs;
END
$$;

-- What makes passes unforgeable. A copy of the database has it too; a new one: UPDATE stockq.caller_token_secret SET secret = DEFAULT.
CREATE TABLE :"schema".caller_token_secret (
    is_only_row boolean PRIMARY KEY DEFAULT true CHECK (is_only_row),
    secret bytea NOT NULL DEFAULT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
);
INSERT INTO :"schema".caller_token_secret DEFAULT VALUES;
-- Without a policy nobody but the owner sees the row, whatever privileges they hold.
ALTER TABLE :"schema".caller_token_secret ENABLE ROW LEVEL SECURITY;

-- Proves to a function with its owner's rights who calls it, within one transaction.
--
-- In such a function current_user is its owner; session_user and the setting `role` tell who began, who may be somebody else when
-- another function with its owner's rights lies between. A view reads with its owner's rights, and yet current_user in it is
-- whoever asks; so everybody gets a pass in their own name, and in no other.
CREATE VIEW :"schema".my_caller_token WITH (security_barrier) AS
SELECT current_user::text AS producer,
    sha256(convert_to(pg_current_xact_id()::text || ' ' || current_user::text, 'UTF8') || secret) AS caller_token
FROM :"schema".caller_token_secret;

-- Whether policies of the owner's own restrict what goes into the queue; they are asked line by line.
CREATE FUNCTION :"schema".has_restrictive_policies() RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM pg_policy WHERE polrelid = 'jobs'::regclass AND NOT polpermissive);
END
$$;

-- Whether the lines of whoever asks go in with their own rights: the owner's, admins', and where line by line has to be asked.
CREATE FUNCTION :"schema".inserts_as_caller() RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
BEGIN
    RETURN NOT row_security_active('jobs') OR has_restrictive_policies()
        OR EXISTS (SELECT FROM pg_roles WHERE rolname = current_schema() || '_admin' AND pg_has_role(oid, 'USAGE'));
END
$$;

-- Says which scope is missing.
CREATE FUNCTION :"schema".raise_missing_scope(producer text, scope text, store_id text, item_id text) RETURNS void
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
BEGIN
    RAISE insufficient_privilege USING
        MESSAGE = format('%I lacks the scope %s for store %L', producer, scope, store_id),
        DETAIL = CASE scope
            WHEN 'read_catalog' THEN format('Item %L is a variation, which needs both scopes.', item_id)
            ELSE 'Enqueueing needs this scope.'
        END,
        HINT = 'An administrator gives it with: stockq grant PRODUCER --store STORE --scope ' || scope;
END
$$;

-- Inserts the lines of a producer who is no owner, and asks for the grant once for all of them.
--
-- Plans are not to be printed: one could show the pass to whoever calls another's function that gets here.
CREATE FUNCTION :"schema".insert_lines_for(producer text, caller_token bytea, list :"schema".lines) RETURNS bigint[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET debug_print_plan = off
AS $$
DECLARE
    expected_token bytea;
    held text[];
    new_jobs bigint[];
    variation text;
BEGIN
    SELECT sha256(convert_to(pg_current_xact_id()::text || ' ' || producer, 'UTF8') || secret) INTO expected_token FROM caller_token_secret;
    IF caller_token IS NULL OR expected_token IS NULL OR caller_token <> expected_token OR NOT has_any_column_privilege(producer, 'jobs', 'INSERT')
        OR has_restrictive_policies()
    THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('the pass is not that of %s in this transaction', coalesce(quote_ident(producer), 'anybody')),
            HINT = 'Call enqueue_arrays or enqueue_lines.';
    END IF;
    SELECT scopes INTO held FROM grants WHERE grants.producer = insert_lines_for.producer AND grants.store_id = list.store_id;
    IF held IS NULL OR 'update_catalog' <> ALL (held) THEN
        PERFORM raise_missing_scope(producer, 'update_catalog', list.store_id, list.item_ids[1]);
    END IF;
    new_jobs := insert_lines(list);
    IF 'read_catalog' <> ALL (held) THEN
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

-- True where whoever asks may enqueue for the item; otherwise an error that names the scope that is missing.
CREATE OR REPLACE FUNCTION :"schema".may_enqueue(store_id text, item_id text, location_id text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
DECLARE
    held text[] := (SELECT scopes FROM my_grants WHERE my_grants.store_id = may_enqueue.store_id);
BEGIN
    IF 'update_catalog' = ANY (held) AND 'read_catalog' = ANY (held) THEN
        RETURN true;
    ELSIF held IS NULL OR 'update_catalog' <> ALL (held) THEN
        PERFORM raise_missing_scope(current_user::text, 'update_catalog', store_id, item_id);
    ELSIF EXISTS (
        SELECT FROM my_variations AS v
        WHERE (v.store_id, v.item_id, v.location_id) = (may_enqueue.store_id, may_enqueue.item_id, may_enqueue.location_id)
    ) THEN
        PERFORM raise_missing_scope(current_user::text, 'read_catalog', store_id, item_id);
    END IF;
    RETURN true;
END
$$;

-- Refuses when a store has as many ready jobs as it may, with SQLSTATE 53400 (configuration_limit_exceeded): try again later.
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

-- Enqueues many lines of a store, at most 10,000, from arrays of one element a line. An array that is left out is the default
-- for each line, and so is a null in it. With a group_id the lines are one group: applied all together or not at all.
--
-- An idempotency_key for the whole list gives each line that key and its number: KEY/1, KEY/2, …. Lines whose key is known are not enqueued
-- again; of a group all must be known, or none.
CREATE OR REPLACE FUNCTION :"schema".enqueue_arrays(
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
    new_lines lines;
    new_jobs bigint[];
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
    -- unnest would flatten them, and subscripts would miss.
    SELECT given.name || ' must have one dimension and begin at 1' INTO wrong
    FROM (VALUES
        ('item_ids', array_ndims(item_ids), array_lower(item_ids, 1)), ('quantities', array_ndims(quantities), array_lower(quantities, 1)),
        ('actions', array_ndims(actions), array_lower(actions, 1)),
        ('location_ids', array_ndims(location_ids), array_lower(location_ids, 1)),
        ('on_insufficients', array_ndims(on_insufficients), array_lower(on_insufficients, 1)),
        ('expected_availables', array_ndims(expected_availables), array_lower(expected_availables, 1)),
        ('idempotency_keys', array_ndims(idempotency_keys), array_lower(idempotency_keys, 1))
    ) AS given (name, dimensions, first)
    WHERE given.dimensions <> 1 OR given.first <> 1
    LIMIT 1;
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
        SELECT key INTO wrong FROM unnest(keys) AS key WHERE octet_length(key) > 200 LIMIT 1;
        IF wrong IS NOT NULL THEN
            RAISE invalid_parameter_value USING MESSAGE = format('idempotency key %L has more than 200 bytes', wrong);
        END IF;
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
        new_lines.store_id := store_id;
        new_lines.item_ids := item_ids;
        new_lines.quantities := quantities;
        new_lines.actions := actions;
        new_lines.location_ids := location_ids;
        new_lines.on_insufficients := on_insufficients;
        new_lines.expected_availables := expected_availables;
        new_lines.idempotency_keys := keys;
        new_lines."references" := "references";
        new_lines.reasons := reasons;
        new_lines.notifies := notifies;
        new_lines.known_jobs := known_jobs;
        new_lines.group_id := group_id;
        new_lines.priority := priority;
        new_lines.run_at := run_at;
        new_lines.expires_at := expires_at;
        new_lines.ordering_key := ordering_key;
        new_lines.max_attempts := max_attempts;
        IF inserts_as_caller() THEN
            new_jobs := insert_lines(new_lines);
        ELSE
            SELECT insert_lines_for(p.producer, p.caller_token, new_lines) INTO new_jobs FROM my_caller_token AS p;
        END IF;
        IF coalesce(cardinality(new_jobs), 0) <> missing THEN
            RAISE internal_error USING
                MESSAGE = format('%s lines were to be inserted, and %s were', missing, coalesce(cardinality(new_jobs), 0)),
                HINT = 'Is the one row of caller_token_secret gone?';
        END IF;
    END IF;
    -- The nth new job is the nth new line.
    RETURN QUERY
    SELECT number, new_jobs[row_number() OVER (ORDER BY number)], false, NULL::outcome, NULL::code, NULL::warning, NULL::bigint,
        NULL::bigint, NULL::bigint
    FROM generate_series(1, lines) AS number
    WHERE known_jobs[number] IS NULL
    UNION ALL
    SELECT (k).* FROM unnest(known) AS k
    ORDER BY 1;
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA :"schema" FROM PUBLIC;
REVOKE ALL ON TYPE :"schema".lines FROM PUBLIC;

-- roles.sql follows in a transaction of its own, or by somebody else's hand; until then lists must not be refused to those who sent
-- them before.
SET search_path = :"schema", pg_temp;
DO $$
DECLARE
    role text;
BEGIN
    FOR role IN SELECT rolname FROM pg_roles WHERE rolname IN (current_schema() || '_producer', current_schema() || '_admin') LOOP
        EXECUTE format('GRANT SELECT ON my_caller_token TO %I', role);
        EXECUTE format('GRANT EXECUTE ON FUNCTION raise_missing_scope, has_restrictive_policies, inserts_as_caller,
            insert_lines, insert_lines_for TO %I', role);
    END LOOP;
END
$$;
RESET search_path;
