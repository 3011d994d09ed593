-- What the migrations amount to, as pg_dump shows it. A test compares it; do not edit.
CREATE SCHEMA stockq;
CREATE TYPE stockq.action AS ENUM (
    'adjust',
    'allocate',
    'deallocate',
    'ship',
    'set'
);
CREATE TYPE stockq.alert_level AS ENUM (
    'ok',
    'low',
    'out'
);
CREATE TYPE stockq.code AS ENUM (
    'untracked',
    'no_change',
    'insufficient_stock',
    'insufficient_allocation',
    'unknown_item',
    'stale',
    'out_of_range',
    'invalid_quantity',
    'expired',
    'idempotency_mismatch',
    'group_rejected'
);
CREATE TYPE stockq.lines AS (
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
	known_jobs bigint[],
	group_id text,
	priority integer,
	run_at timestamp with time zone,
	expires_at timestamp with time zone,
	ordering_key text,
	max_attempts integer
);
CREATE TYPE stockq.notification_kind AS ENUM (
    'low_stock',
    'out_of_stock',
    'back_in_stock',
    'restocked'
);
CREATE TYPE stockq.on_insufficient AS ENUM (
    'reject',
    'allow',
    'partial',
    'wait'
);
CREATE TYPE stockq.outcome AS ENUM (
    'applied',
    'unchanged',
    'rejected',
    'duplicate',
    'canceled',
    'failed'
);
CREATE TYPE stockq.warning AS ENUM (
    'negative_stock'
);
CREATE TYPE stockq.receipt AS (
	line integer,
	job_id bigint,
	is_duplicate boolean,
	outcome stockq.outcome,
	code stockq.code,
	warning stockq.warning,
	applied_quantity bigint,
	on_hand_after bigint,
	allocated_after bigint
);
CREATE FUNCTION stockq.add_results_partition(job_id bigint, jobs_per_partition bigint) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    first_id bigint := job_id / jobs_per_partition * jobs_per_partition;
    end_id bigint := first_id + jobs_per_partition;
    name text;
BEGIN
    PERFORM pg_advisory_xact_lock('results'::regclass::oid::integer, 0);
    IF EXISTS (SELECT FROM partition_bounds() AS p WHERE job_id >= p.lower_bound AND job_id < p.upper_bound) THEN
        RETURN false;
    END IF;
    -- Partitions of another size may stand on either side: fill the gap between them, and no more.
    SELECT greatest(first_id, max(p.upper_bound)) INTO first_id FROM partition_bounds() AS p WHERE p.upper_bound <= job_id;
    SELECT least(end_id, min(p.lower_bound)) INTO end_id FROM partition_bounds() AS p WHERE p.lower_bound > job_id;
    name := format('results_%s', to_char(first_id, 'FM000000000000000'));
    EXECUTE format('CREATE TABLE %I (LIKE results INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
    EXECUTE format('ALTER TABLE %I ADD CONSTRAINT bounds CHECK (job_id >= %s AND job_id < %s)', name, first_id, end_id);
    -- Written once and never updated; freezing needs no hurry, and the work path does not use statistics.
    EXECUTE format(
        'ALTER TABLE %I SET (autovacuum_vacuum_insert_scale_factor = 1, autovacuum_analyze_scale_factor = 1)', name);
    EXECUTE format('ALTER TABLE results ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', name, first_id, end_id);
    EXECUTE format('ALTER TABLE %I DROP CONSTRAINT bounds', name);
    RETURN true;
END
$$;
CREATE FUNCTION stockq.add_results_partitions(jobs_per_partition bigint, partitions_ahead integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    drawn bigint := (SELECT last_value FROM jobs_job_id_seq);
    next_id bigint := least(drawn, (SELECT min(jobs.job_id) FROM jobs));
    built integer := 0;
BEGIN
    WHILE next_id <= drawn + partitions_ahead * jobs_per_partition LOOP
        IF add_results_partition(next_id, jobs_per_partition) THEN
            built := built + 1;
        END IF;
        SELECT p.upper_bound INTO STRICT next_id
        FROM partition_bounds() AS p
        WHERE next_id >= p.lower_bound AND next_id < p.upper_bound;
    END LOOP;
    RETURN built;
END
$$;
CREATE FUNCTION stockq.can_read_all_stores() RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
BEGIN
    RETURN NOT row_security_active('jobs') OR EXISTS (
        SELECT FROM pg_roles
        WHERE rolname IN (current_schema() || '_reader', current_schema() || '_admin') AND pg_has_role(oid, 'USAGE')
    );
END
$$;
CREATE FUNCTION stockq.cancel_jobs(job_ids bigint[] DEFAULT NULL::bigint[], store_id text DEFAULT NULL::text, group_id text DEFAULT NULL::text, reference text DEFAULT NULL::text, reason text DEFAULT NULL::text) RETURNS SETOF bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.check_pause_target(store_id text, lane integer, everything boolean) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
BEGIN
    IF num_nonnulls(store_id, lane, nullif(everything, false)) <> 1 THEN
        RAISE invalid_parameter_value USING MESSAGE = 'name a store, or a lane, or everything';
    ELSIF lane NOT BETWEEN 0 AND 63 THEN
        RAISE invalid_parameter_value USING MESSAGE = format('there are lanes 0 to 63, not %s', lane);
    END IF;
END
$$;
CREATE FUNCTION stockq.check_store_limit(store_id text, lines integer) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.drop_expired_keys(keep interval, most integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    dropped integer;
BEGIN
    DELETE FROM idempotency_keys
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM idempotency_keys WHERE used_at < now() - keep LIMIT most FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS dropped = ROW_COUNT;
    RETURN dropped;
END
$$;
CREATE FUNCTION stockq.drop_expired_results(keep interval) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $_$
DECLARE
    oldest record;
    is_live boolean;
BEGIN
    IF NOT pg_try_advisory_xact_lock('results'::regclass::oid::integer, 1) THEN
        RETURN NULL; -- another process is at it
    END IF;
    SELECT * INTO oldest FROM partition_bounds() LIMIT 1;
    IF oldest.upper_bound IS NULL OR oldest.upper_bound > (SELECT last_value FROM jobs_job_id_seq) THEN
        RETURN NULL;
    END IF;
    IF EXISTS (SELECT FROM jobs WHERE job_id < oldest.upper_bound) THEN
        RETURN NULL;
    END IF;
    EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE finished_at > now() - $1)', oldest.name) INTO is_live USING keep;
    IF is_live THEN
        RETURN NULL;
    END IF;
    EXECUTE format($fold$
        WITH dropped AS MATERIALIZED (
            SELECT store_id, item_id, location_id,
                sum(on_hand_after - on_hand_before)::bigint AS on_hand,
                sum(allocated_after - allocated_before)::bigint AS allocated,
                count(*) AS changes
            FROM %I
            WHERE outcome = 'applied'
            GROUP BY store_id, item_id, location_id
        ), held AS MATERIALIZED (
            -- Workers lock stock rows in key order; so does this, or they could deadlock.
            SELECT store_id, item_id, location_id FROM items
            WHERE (store_id, item_id, location_id) IN (SELECT store_id, item_id, location_id FROM dropped)
            ORDER BY store_id, item_id, location_id
            FOR NO KEY UPDATE
        )
        UPDATE items
        SET opening_on_hand = items.opening_on_hand + dropped.on_hand,
            opening_allocated = items.opening_allocated + dropped.allocated,
            opening_version = items.opening_version + dropped.changes
        FROM held
        JOIN dropped USING (store_id, item_id, location_id)
        WHERE (items.store_id, items.item_id, items.location_id) = (held.store_id, held.item_id, held.location_id)
    $fold$, oldest.name);
    -- Last, as workers do: they hold stock rows when they write results.
    EXECUTE format('DROP TABLE %I', oldest.name);
    RETURN oldest.name;
END
$_$;
CREATE FUNCTION stockq.enqueue(store_id text, item_id text, quantity bigint, action text DEFAULT 'adjust'::text, location_id text DEFAULT 'main'::text, on_insufficient text DEFAULT 'reject'::text, expected_available bigint DEFAULT NULL::bigint, idempotency_key text DEFAULT NULL::text, group_id text DEFAULT NULL::text, priority integer DEFAULT 2, run_at timestamp with time zone DEFAULT NULL::timestamp with time zone, expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone, notify boolean DEFAULT true, ordering_key text DEFAULT NULL::text, reason text DEFAULT NULL::text, reference text DEFAULT NULL::text, max_attempts integer DEFAULT 10) RETURNS stockq.receipt
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.enqueue_arrays(store_id text, item_ids text[], quantities bigint[], actions text[] DEFAULT NULL::text[], location_ids text[] DEFAULT NULL::text[], on_insufficients text[] DEFAULT NULL::text[], expected_availables bigint[] DEFAULT NULL::bigint[], idempotency_keys text[] DEFAULT NULL::text[], "references" text[] DEFAULT NULL::text[], reasons text[] DEFAULT NULL::text[], notifies boolean[] DEFAULT NULL::boolean[], group_id text DEFAULT NULL::text, idempotency_key text DEFAULT NULL::text, priority integer DEFAULT 2, run_at timestamp with time zone DEFAULT NULL::timestamp with time zone, expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone, ordering_key text DEFAULT NULL::text, max_attempts integer DEFAULT 10) RETURNS SETOF stockq.receipt
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.enqueue_lines(store_id text, lines jsonb, group_id text DEFAULT NULL::text, idempotency_key text DEFAULT NULL::text, priority integer DEFAULT 2, run_at timestamp with time zone DEFAULT NULL::timestamp with time zone, expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone, ordering_key text DEFAULT NULL::text, max_attempts integer DEFAULT 10) RETURNS SETOF stockq.receipt
    LANGUAGE sql
    SET search_path TO 'stockq', 'pg_temp'
    AS $_$
    SELECT receipt.*
    FROM read_lines($2) AS l
    CROSS JOIN LATERAL enqueue_arrays(
        $1, l.item_ids, l.quantities, l.actions, l.location_ids, l.on_insufficients, l.expected_availables, l.idempotency_keys,
        l."references", l.reasons, l.notifies, $3, $4, $5, $6, $7, $8, $9
    ) AS receipt
$_$;
CREATE TABLE stockq.jobs (
    job_id bigint NOT NULL,
    quantity bigint NOT NULL,
    expected_available bigint,
    run_at timestamp with time zone,
    scheduled_at timestamp with time zone,
    expires_at timestamp with time zone,
    enqueued_at timestamp with time zone DEFAULT now() NOT NULL,
    waiting_since timestamp with time zone,
    waiting_quantity bigint,
    priority smallint DEFAULT 2 NOT NULL,
    attempts smallint DEFAULT 0 NOT NULL,
    max_attempts smallint DEFAULT 10 NOT NULL,
    lane smallint GENERATED ALWAYS AS (((hashtextextended(COALESCE(ordering_key, store_id), (0)::bigint) & (63)::bigint))::smallint) STORED NOT NULL,
    action stockq.action DEFAULT 'adjust'::stockq.action NOT NULL,
    on_insufficient stockq.on_insufficient DEFAULT 'reject'::stockq.on_insufficient NOT NULL,
    notify boolean DEFAULT true NOT NULL,
    store_id text NOT NULL COLLATE pg_catalog."C",
    item_id text NOT NULL COLLATE pg_catalog."C",
    location_id text DEFAULT 'main'::text NOT NULL COLLATE pg_catalog."C",
    group_id text COLLATE pg_catalog."C",
    submission_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    ordering_key text COLLATE pg_catalog."C",
    reason text COLLATE pg_catalog."C",
    reference text COLLATE pg_catalog."C",
    last_error text COLLATE pg_catalog."C",
    idempotency_key text COLLATE pg_catalog."C",
    retry_of bigint,
    paused_at timestamp with time zone,
    CONSTRAINT group_in_store_lane CHECK (((group_id IS NULL) OR (ordering_key IS NULL))),
    CONSTRAINT jobs_attempts_check CHECK (((attempts >= 0) AND (attempts <= 1000))),
    CONSTRAINT jobs_group_id_check CHECK (((octet_length(group_id) >= 1) AND (octet_length(group_id) <= 200))),
    CONSTRAINT jobs_idempotency_key_check CHECK (((octet_length(idempotency_key) >= 1) AND (octet_length(idempotency_key) <= 200))),
    CONSTRAINT jobs_item_id_check CHECK (((octet_length(item_id) >= 1) AND (octet_length(item_id) <= 200))),
    CONSTRAINT jobs_location_id_check CHECK (((octet_length(location_id) >= 1) AND (octet_length(location_id) <= 200))),
    CONSTRAINT jobs_max_attempts_check CHECK (((max_attempts >= 1) AND (max_attempts <= 1000))),
    CONSTRAINT jobs_ordering_key_check CHECK (((octet_length(ordering_key) >= 1) AND (octet_length(ordering_key) <= 200))),
    CONSTRAINT jobs_priority_check CHECK (((priority >= 1) AND (priority <= 4))),
    CONSTRAINT jobs_reason_check CHECK ((octet_length(reason) <= 2000)),
    CONSTRAINT jobs_reference_check CHECK ((octet_length(reference) <= 2000)),
    CONSTRAINT jobs_run_at_check CHECK ((isfinite(run_at) OR ((paused_at IS NOT NULL) AND (run_at = 'infinity'::timestamp with time zone)))),
    CONSTRAINT jobs_store_id_check CHECK (((octet_length(store_id) >= 1) AND (octet_length(store_id) <= 200))),
    CONSTRAINT policy_fits_action CHECK (((on_insufficient = 'reject'::stockq.on_insufficient) OR (action = ANY (ARRAY['adjust'::stockq.action, 'allocate'::stockq.action])) OR ((action = 'set'::stockq.action) AND (on_insufficient = 'allow'::stockq.on_insufficient))))
)
WITH (autovacuum_vacuum_scale_factor='0.2', autovacuum_vacuum_threshold='20000', autovacuum_vacuum_insert_threshold='-1', autovacuum_vacuum_cost_delay='2', autovacuum_vacuum_cost_limit='2000', vacuum_truncate=off);
CREATE TABLE stockq.results (
    job_id bigint NOT NULL,
    quantity bigint NOT NULL,
    applied_quantity bigint NOT NULL,
    on_hand_before bigint,
    on_hand_after bigint,
    allocated_before bigint,
    allocated_after bigint,
    version bigint,
    previous_job_id bigint,
    expected_available bigint,
    finished_at timestamp with time zone NOT NULL,
    enqueued_at timestamp with time zone NOT NULL,
    scheduled_at timestamp with time zone,
    expires_at timestamp with time zone,
    outcome stockq.outcome NOT NULL,
    code stockq.code,
    warning stockq.warning,
    action stockq.action NOT NULL,
    on_insufficient stockq.on_insufficient NOT NULL,
    alert_before stockq.alert_level,
    alert_after stockq.alert_level,
    priority smallint NOT NULL,
    attempts smallint NOT NULL,
    max_attempts smallint NOT NULL,
    notify boolean NOT NULL,
    store_id text NOT NULL COLLATE pg_catalog."C",
    item_id text NOT NULL COLLATE pg_catalog."C",
    location_id text NOT NULL COLLATE pg_catalog."C",
    group_id text COLLATE pg_catalog."C",
    submission_id xid8,
    ordering_key text COLLATE pg_catalog."C",
    reason text COLLATE pg_catalog."C",
    reference text COLLATE pg_catalog."C",
    worker text NOT NULL COLLATE pg_catalog."C",
    sqlstate text COLLATE pg_catalog."C",
    message text COLLATE pg_catalog."C",
    idempotency_key text COLLATE pg_catalog."C",
    first_job_id bigint,
    retry_of bigint,
    group_last_job_id bigint
)
PARTITION BY RANGE (job_id);
CREATE VIEW stockq.job_states WITH (security_invoker='true') AS
 SELECT jobs.job_id,
        CASE
            WHEN (jobs.paused_at IS NOT NULL) THEN 'paused'::text
            WHEN (jobs.run_at IS NULL) THEN 'ready'::text
            WHEN (jobs.waiting_since IS NOT NULL) THEN 'waiting'::text
            WHEN (jobs.attempts > 0) THEN 'retrying'::text
            ELSE 'scheduled'::text
        END AS state,
    jobs.store_id,
    jobs.item_id,
    jobs.location_id,
    jobs.action,
    jobs.quantity,
    jobs.on_insufficient,
    jobs.priority,
    jobs.group_id,
    jobs.ordering_key,
    jobs.idempotency_key,
    jobs.reference,
    jobs.reason,
    jobs.enqueued_at,
    NULL::timestamp with time zone AS finished_at,
    NULL::stockq.outcome AS outcome,
    NULL::stockq.code AS code,
    NULL::stockq.warning AS warning,
    NULL::bigint AS applied_quantity,
    NULL::bigint AS on_hand_before,
    NULL::bigint AS on_hand_after,
    NULL::bigint AS allocated_before,
    NULL::bigint AS allocated_after,
    NULL::bigint AS version,
    NULL::bigint AS first_job_id,
    jobs.retry_of,
    jobs.last_error AS message
   FROM stockq.jobs
UNION ALL
 SELECT results.job_id,
    'finished'::text AS state,
    results.store_id,
    results.item_id,
    results.location_id,
    results.action,
    results.quantity,
    results.on_insufficient,
    results.priority,
    results.group_id,
    results.ordering_key,
    results.idempotency_key,
    results.reference,
    results.reason,
    results.enqueued_at,
    results.finished_at,
    results.outcome,
    results.code,
    results.warning,
    results.applied_quantity,
    results.on_hand_before,
    results.on_hand_after,
    results.allocated_before,
    results.allocated_after,
    results.version,
    results.first_job_id,
    results.retry_of,
    results.message
   FROM stockq.results;
CREATE FUNCTION stockq.find_group(store_id text, group_id text) RETURNS SETOF stockq.job_states
    LANGUAGE sql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $_$
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
$_$;
CREATE FUNCTION stockq.find_job(job_id bigint) RETURNS SETOF stockq.job_states
    LANGUAGE sql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $_$
    SELECT * FROM job_states WHERE job_states.job_id = $1
$_$;
CREATE FUNCTION stockq.find_key(store_id text, idempotency_key text) RETURNS SETOF stockq.job_states
    LANGUAGE sql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $_$
    SELECT s.*
    FROM (
        SELECT k.job_id FROM keys_in_use AS k
        WHERE (k.idempotency_key, k.store_id) = ($2, $1)
        ORDER BY is_used DESC, k.job_id
        LIMIT 1
    ) AS first
    CROSS JOIN LATERAL (SELECT * FROM job_states AS j WHERE j.job_id = first.job_id) AS s
$_$;
CREATE FUNCTION stockq.find_reference(store_id text, reference text) RETURNS SETOF stockq.job_states
    LANGUAGE sql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $_$
    SELECT * FROM job_states WHERE job_states.reference = $2 AND job_states.store_id = $1 ORDER BY job_id
$_$;
CREATE FUNCTION stockq.grant_store(producer text, store_id text, scopes text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.has_grant(store_id text, scope text DEFAULT NULL::text) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM my_grants
        WHERE my_grants.store_id = has_grant.store_id AND (scope IS NULL OR scope = ANY (scopes))
    );
END
$$;
CREATE FUNCTION stockq.has_restrictive_policies() RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
BEGIN
    RETURN EXISTS (SELECT FROM pg_policy WHERE polrelid = 'jobs'::regclass AND NOT polpermissive);
END
$$;
CREATE FUNCTION stockq.insert_lines(list stockq.lines) RETURNS bigint[]
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.insert_lines_for(producer text, caller_token bytea, list stockq.lines) RETURNS bigint[]
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET debug_print_plan TO 'off'
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
CREATE FUNCTION stockq.inserts_as_caller() RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
BEGIN
    RETURN NOT row_security_active('jobs') OR has_restrictive_policies()
        OR EXISTS (SELECT FROM pg_roles WHERE rolname = current_schema() || '_admin' AND pg_has_role(oid, 'USAGE'));
END
$$;
CREATE FUNCTION stockq.item_history(store_id text, item_id text, location_id text DEFAULT 'main'::text, movements integer DEFAULT 10) RETURNS SETOF stockq.results
    LANGUAGE sql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $_$
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
$_$;
CREATE FUNCTION stockq.known_keys(store_id text, keys text[], item_ids text[], location_ids text[], actions text[], quantities bigint[], policies text[], expected bigint[]) RETURNS TABLE(line integer, job_id bigint, outcome stockq.outcome, code stockq.code, warning stockq.warning, applied_quantity bigint, on_hand_after bigint, allocated_after bigint)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.may_enqueue(store_id text, item_id text, location_id text) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.partition_bounds(OUT name text, OUT lower_bound bigint, OUT upper_bound bigint) RETURNS SETOF record
    LANGUAGE sql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
    SELECT
        child.relname::text,
        (regexp_match(pg_get_expr(child.relpartbound, child.oid), 'FROM \(''(-?\d+)''\)'))[1]::bigint,
        (regexp_match(pg_get_expr(child.relpartbound, child.oid), 'TO \(''(-?\d+)''\)'))[1]::bigint
    FROM pg_inherits
    JOIN pg_class AS child ON child.oid = inhrelid
    WHERE inhparent = 'results'::regclass
    ORDER BY 2
$$;
CREATE FUNCTION stockq.pause(store_id text DEFAULT NULL::text, lane integer DEFAULT NULL::integer, everything boolean DEFAULT false) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.preview(store_id text, lines jsonb, as_group boolean DEFAULT false) RETURNS TABLE(line integer, outcome stockq.outcome, code stockq.code, warning stockq.warning, waits boolean, applied_quantity bigint, on_hand_before bigint, on_hand_after bigint, allocated_before bigint, allocated_after bigint, first_job_id bigint)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.queued_jobs(job_ids bigint[], store_id text, group_id text, reference text) RETURNS bigint[]
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.raise_key_conflict(store_id text, idempotency_key text, job_id bigint) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
BEGIN
    RAISE unique_violation USING
        MESSAGE = format('idempotency key %L of store %L was used by job %s for another request', idempotency_key, store_id, job_id),
        DETAIL = 'The same request has the same item, location, action, quantity, policy and expected_available.',
        CONSTRAINT = 'idempotency_key';
END
$$;
CREATE FUNCTION stockq.raise_missing_scope(producer text, scope text, store_id text, item_id text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.read_lines(lines jsonb) RETURNS TABLE(item_ids text[], quantities bigint[], actions text[], location_ids text[], on_insufficients text[], expected_availables bigint[], idempotency_keys text[], "references" text[], reasons text[], notifies boolean[])
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.record_operation(verb text, subject jsonb, jobs bigint) RETURNS void
    LANGUAGE sql
    SET search_path TO 'stockq', 'pg_temp'
    AS $_$
    INSERT INTO operations (who, verb, subject, jobs)
    VALUES (
        session_user || CASE WHEN current_setting('role') IN ('none', session_user) THEN '' ELSE ' as ' || current_setting('role') END,
        $1, jsonb_strip_nulls($2), $3
    )
$_$;
CREATE FUNCTION stockq.reprioritize(priority integer, job_ids bigint[] DEFAULT NULL::bigint[], store_id text DEFAULT NULL::text, group_id text DEFAULT NULL::text, reference text DEFAULT NULL::text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.resume(store_id text DEFAULT NULL::text, lane integer DEFAULT NULL::integer, everything boolean DEFAULT false) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.retry_jobs(job_ids bigint[] DEFAULT NULL::bigint[], failed boolean DEFAULT false, code text DEFAULT NULL::text, store_id text DEFAULT NULL::text, since interval DEFAULT '1 day'::interval) RETURNS TABLE(job_id bigint, retry_of bigint)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.revoke_store(producer text, store_id text, scopes text[] DEFAULT NULL::text[]) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.send_wakeup() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM pg_notify(TG_TABLE_SCHEMA, '');
    RETURN NULL;
END
$$;
CREATE FUNCTION stockq.set_item(store_id text, item_id text, location_id text DEFAULT 'main'::text, low_stock_threshold bigint DEFAULT NULL::bigint, tracked boolean DEFAULT NULL::boolean, parent_id text DEFAULT NULL::text, clear text[] DEFAULT '{}'::text[]) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.set_store_limit(store_id text, ready_jobs_max integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
BEGIN
    DELETE FROM store_limits AS l WHERE l.store_id = set_store_limit.store_id;
    IF ready_jobs_max IS NOT NULL THEN
        INSERT INTO store_limits VALUES (set_store_limit.store_id, set_store_limit.ready_jobs_max);
    END IF;
    PERFORM record_operation('ceiling', jsonb_build_object('store_id', store_id, 'ready_jobs_max', ready_jobs_max), NULL);
END
$$;
CREATE FUNCTION stockq.stock_at(store_id text, item_id text, location_id text, at timestamp with time zone, OUT on_hand bigint, OUT allocated bigint, OUT available bigint, OUT version bigint) RETURNS SETOF record
    LANGUAGE sql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $_$
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
$_$;
CREATE FUNCTION stockq.transfer(store_id text, item_id text, quantity bigint, from_location text, to_location text, idempotency_key text DEFAULT NULL::text, on_insufficient text DEFAULT 'reject'::text, group_id text DEFAULT NULL::text, priority integer DEFAULT 2, run_at timestamp with time zone DEFAULT NULL::timestamp with time zone, expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone, reason text DEFAULT NULL::text, reference text DEFAULT NULL::text) RETURNS SETOF stockq.receipt
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.wait_for_result(job_id bigint, timeout_ms integer DEFAULT 5000) RETURNS SETOF stockq.results
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE TABLE stockq.caller_token_secret (
    is_only_row boolean DEFAULT true NOT NULL,
    secret bytea DEFAULT (uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) NOT NULL,
    CONSTRAINT caller_token_secret_is_only_row_check CHECK (is_only_row)
);
CREATE TABLE stockq.grants (
    producer text NOT NULL COLLATE pg_catalog."C",
    store_id text NOT NULL COLLATE pg_catalog."C",
    scopes text[] NOT NULL COLLATE pg_catalog."C",
    granted_by text DEFAULT SESSION_USER NOT NULL,
    granted_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT grants_scopes_check CHECK (((scopes <@ ARRAY['update_catalog'::text, 'read_catalog'::text]) AND (cardinality(scopes) > 0))),
    CONSTRAINT grants_store_id_check CHECK (((octet_length(store_id) >= 1) AND (octet_length(store_id) <= 200)))
);
CREATE TABLE stockq.idempotency_keys (
    idempotency_key text NOT NULL COLLATE pg_catalog."C",
    store_id text NOT NULL COLLATE pg_catalog."C",
    job_id bigint NOT NULL,
    quantity bigint NOT NULL,
    expected_available bigint,
    used_at timestamp with time zone DEFAULT now() NOT NULL,
    action stockq.action NOT NULL,
    on_insufficient stockq.on_insufficient NOT NULL,
    item_id text NOT NULL COLLATE pg_catalog."C",
    location_id text NOT NULL COLLATE pg_catalog."C"
)
WITH (autovacuum_vacuum_insert_scale_factor='1', autovacuum_analyze_scale_factor='1');
CREATE TABLE stockq.items (
    store_id text NOT NULL COLLATE pg_catalog."C",
    item_id text NOT NULL COLLATE pg_catalog."C",
    location_id text DEFAULT 'main'::text NOT NULL COLLATE pg_catalog."C",
    parent_id text COLLATE pg_catalog."C",
    on_hand bigint DEFAULT 0 NOT NULL,
    allocated bigint DEFAULT 0 NOT NULL,
    available bigint GENERATED ALWAYS AS ((on_hand - allocated)) STORED NOT NULL,
    low_stock_threshold bigint,
    version bigint DEFAULT 0 NOT NULL,
    opening_on_hand bigint,
    opening_allocated bigint,
    opening_version bigint DEFAULT 0 NOT NULL,
    last_job_id bigint,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    notified_level stockq.alert_level,
    tracked boolean DEFAULT true NOT NULL,
    CONSTRAINT items_allocated_check CHECK (((allocated >= 0) AND (allocated <= '9007199254740991'::bigint))),
    CONSTRAINT items_check CHECK ((((on_hand - allocated) >= '-9007199254740991'::bigint) AND ((on_hand - allocated) <= '9007199254740991'::bigint))),
    CONSTRAINT items_item_id_check CHECK (((octet_length(item_id) >= 1) AND (octet_length(item_id) <= 200))),
    CONSTRAINT items_location_id_check CHECK (((octet_length(location_id) >= 1) AND (octet_length(location_id) <= 200))),
    CONSTRAINT items_low_stock_threshold_check CHECK (((low_stock_threshold >= 0) AND (low_stock_threshold <= '9007199254740991'::bigint))),
    CONSTRAINT items_on_hand_check CHECK (((on_hand >= '-9007199254740991'::bigint) AND (on_hand <= '9007199254740991'::bigint))),
    CONSTRAINT items_parent_id_check CHECK (((octet_length(parent_id) >= 1) AND (octet_length(parent_id) <= 200))),
    CONSTRAINT items_store_id_check CHECK (((octet_length(store_id) >= 1) AND (octet_length(store_id) <= 200)))
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='5000', autovacuum_vacuum_cost_delay='0');
ALTER TABLE stockq.jobs ALTER COLUMN job_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME stockq.jobs_job_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE VIEW stockq.keys_in_use WITH (security_invoker='true') AS
 SELECT idempotency_keys.store_id,
    idempotency_keys.idempotency_key,
    idempotency_keys.job_id,
    idempotency_keys.item_id,
    idempotency_keys.location_id,
    idempotency_keys.action,
    idempotency_keys.quantity,
    idempotency_keys.on_insufficient,
    idempotency_keys.expected_available,
    true AS is_used
   FROM stockq.idempotency_keys
UNION ALL
 SELECT jobs.store_id,
    jobs.idempotency_key,
    jobs.job_id,
    jobs.item_id,
    jobs.location_id,
    jobs.action,
    jobs.quantity,
    jobs.on_insufficient,
    jobs.expected_available,
    false AS is_used
   FROM stockq.jobs
  WHERE (jobs.idempotency_key IS NOT NULL);
CREATE TABLE stockq.lanes (
    lane smallint NOT NULL,
    paused_at timestamp with time zone,
    has_paused_stores boolean DEFAULT false NOT NULL,
    epoch bigint DEFAULT 0 NOT NULL,
    CONSTRAINT lanes_lane_check CHECK (((lane >= 0) AND (lane <= 63)))
);
CREATE TABLE stockq.migrations (
    number integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE VIEW stockq.my_caller_token WITH (security_barrier='true') AS
 SELECT (CURRENT_USER)::text AS producer,
    sha256((convert_to((((pg_current_xact_id())::text || ' '::text) || (CURRENT_USER)::text), 'UTF8'::name) || caller_token_secret.secret)) AS caller_token
   FROM stockq.caller_token_secret;
CREATE VIEW stockq.my_grants WITH (security_barrier='true') AS
 SELECT grants.store_id,
    grants.scopes
   FROM stockq.grants
  WHERE (grants.producer = (CURRENT_USER)::text);
CREATE VIEW stockq.my_ready_jobs WITH (security_barrier='true') AS
 SELECT jobs.store_id
   FROM (stockq.jobs
     JOIN stockq.grants USING (store_id))
  WHERE ((grants.producer = (CURRENT_USER)::text) AND (jobs.run_at IS NULL));
CREATE VIEW stockq.my_variations WITH (security_barrier='true') AS
 SELECT items.store_id,
    items.item_id,
    items.location_id
   FROM (stockq.items
     JOIN stockq.grants USING (store_id))
  WHERE ((grants.producer = (CURRENT_USER)::text) AND (items.parent_id IS NOT NULL));
CREATE TABLE stockq.notifications (
    notification_id bigint NOT NULL,
    job_id bigint NOT NULL,
    version bigint NOT NULL,
    available_before bigint NOT NULL,
    available_after bigint NOT NULL,
    low_stock_threshold bigint,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    kind stockq.notification_kind NOT NULL,
    store_id text NOT NULL COLLATE pg_catalog."C",
    item_id text NOT NULL COLLATE pg_catalog."C",
    location_id text NOT NULL COLLATE pg_catalog."C"
);
ALTER TABLE stockq.notifications ALTER COLUMN notification_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME stockq.notifications_notification_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE stockq.operations (
    operation_id bigint NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    who text NOT NULL,
    verb text NOT NULL,
    subject jsonb NOT NULL,
    jobs bigint
);
ALTER TABLE stockq.operations ALTER COLUMN operation_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME stockq.operations_operation_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE stockq.paused_stores (
    store_id text NOT NULL COLLATE pg_catalog."C",
    paused_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT paused_stores_store_id_check CHECK (((octet_length(store_id) >= 1) AND (octet_length(store_id) <= 200)))
);
CREATE TABLE stockq.results_000000000000000 (
    job_id bigint NOT NULL,
    quantity bigint NOT NULL,
    applied_quantity bigint NOT NULL,
    on_hand_before bigint,
    on_hand_after bigint,
    allocated_before bigint,
    allocated_after bigint,
    version bigint,
    previous_job_id bigint,
    expected_available bigint,
    finished_at timestamp with time zone NOT NULL,
    enqueued_at timestamp with time zone NOT NULL,
    scheduled_at timestamp with time zone,
    expires_at timestamp with time zone,
    outcome stockq.outcome NOT NULL,
    code stockq.code,
    warning stockq.warning,
    action stockq.action NOT NULL,
    on_insufficient stockq.on_insufficient NOT NULL,
    alert_before stockq.alert_level,
    alert_after stockq.alert_level,
    priority smallint NOT NULL,
    attempts smallint NOT NULL,
    max_attempts smallint NOT NULL,
    notify boolean NOT NULL,
    store_id text NOT NULL COLLATE pg_catalog."C",
    item_id text NOT NULL COLLATE pg_catalog."C",
    location_id text NOT NULL COLLATE pg_catalog."C",
    group_id text COLLATE pg_catalog."C",
    submission_id xid8,
    ordering_key text COLLATE pg_catalog."C",
    reason text COLLATE pg_catalog."C",
    reference text COLLATE pg_catalog."C",
    worker text NOT NULL COLLATE pg_catalog."C",
    sqlstate text COLLATE pg_catalog."C",
    message text COLLATE pg_catalog."C",
    idempotency_key text COLLATE pg_catalog."C",
    first_job_id bigint,
    retry_of bigint,
    group_last_job_id bigint
)
WITH (autovacuum_vacuum_insert_scale_factor='1', autovacuum_analyze_scale_factor='1');
CREATE TABLE stockq.results_000000005000000 (
    job_id bigint NOT NULL,
    quantity bigint NOT NULL,
    applied_quantity bigint NOT NULL,
    on_hand_before bigint,
    on_hand_after bigint,
    allocated_before bigint,
    allocated_after bigint,
    version bigint,
    previous_job_id bigint,
    expected_available bigint,
    finished_at timestamp with time zone NOT NULL,
    enqueued_at timestamp with time zone NOT NULL,
    scheduled_at timestamp with time zone,
    expires_at timestamp with time zone,
    outcome stockq.outcome NOT NULL,
    code stockq.code,
    warning stockq.warning,
    action stockq.action NOT NULL,
    on_insufficient stockq.on_insufficient NOT NULL,
    alert_before stockq.alert_level,
    alert_after stockq.alert_level,
    priority smallint NOT NULL,
    attempts smallint NOT NULL,
    max_attempts smallint NOT NULL,
    notify boolean NOT NULL,
    store_id text NOT NULL COLLATE pg_catalog."C",
    item_id text NOT NULL COLLATE pg_catalog."C",
    location_id text NOT NULL COLLATE pg_catalog."C",
    group_id text COLLATE pg_catalog."C",
    submission_id xid8,
    ordering_key text COLLATE pg_catalog."C",
    reason text COLLATE pg_catalog."C",
    reference text COLLATE pg_catalog."C",
    worker text NOT NULL COLLATE pg_catalog."C",
    sqlstate text COLLATE pg_catalog."C",
    message text COLLATE pg_catalog."C",
    idempotency_key text COLLATE pg_catalog."C",
    first_job_id bigint,
    retry_of bigint,
    group_last_job_id bigint
)
WITH (autovacuum_vacuum_insert_scale_factor='1', autovacuum_analyze_scale_factor='1');
CREATE TABLE stockq.retries (
    job_id bigint NOT NULL,
    retry_job_id bigint NOT NULL
);
CREATE TABLE stockq.store_limits (
    store_id text NOT NULL COLLATE pg_catalog."C",
    ready_jobs_max integer NOT NULL,
    CONSTRAINT store_limits_ready_jobs_max_check CHECK (((ready_jobs_max >= 1) AND (ready_jobs_max <= 100000000))),
    CONSTRAINT store_limits_store_id_check CHECK (((octet_length(store_id) >= 1) AND (octet_length(store_id) <= 200)))
);
CREATE SEQUENCE stockq.workers_awake
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER TABLE ONLY stockq.results ATTACH PARTITION stockq.results_000000000000000 FOR VALUES FROM ('0') TO ('5000000');
ALTER TABLE ONLY stockq.results ATTACH PARTITION stockq.results_000000005000000 FOR VALUES FROM ('5000000') TO ('10000000');
ALTER TABLE ONLY stockq.caller_token_secret
    ADD CONSTRAINT caller_token_secret_pkey PRIMARY KEY (is_only_row);
ALTER TABLE ONLY stockq.grants
    ADD CONSTRAINT grants_pkey PRIMARY KEY (producer, store_id);
ALTER TABLE ONLY stockq.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (idempotency_key, store_id);
ALTER TABLE ONLY stockq.items
    ADD CONSTRAINT items_pkey PRIMARY KEY (store_id, item_id, location_id);
ALTER TABLE ONLY stockq.jobs
    ADD CONSTRAINT jobs_pkey PRIMARY KEY (job_id);
ALTER TABLE ONLY stockq.lanes
    ADD CONSTRAINT lanes_pkey PRIMARY KEY (lane);
ALTER TABLE ONLY stockq.migrations
    ADD CONSTRAINT migrations_pkey PRIMARY KEY (number);
ALTER TABLE ONLY stockq.notifications
    ADD CONSTRAINT notification_once UNIQUE (item_id, store_id, location_id, version);
ALTER TABLE ONLY stockq.notifications
    ADD CONSTRAINT notifications_pkey PRIMARY KEY (notification_id);
ALTER TABLE ONLY stockq.operations
    ADD CONSTRAINT operations_pkey PRIMARY KEY (operation_id);
ALTER TABLE ONLY stockq.paused_stores
    ADD CONSTRAINT paused_stores_pkey PRIMARY KEY (store_id);
ALTER TABLE ONLY stockq.results
    ADD CONSTRAINT results_pkey PRIMARY KEY (job_id);
ALTER TABLE ONLY stockq.results_000000000000000
    ADD CONSTRAINT results_000000000000000_pkey PRIMARY KEY (job_id);
ALTER TABLE ONLY stockq.results_000000005000000
    ADD CONSTRAINT results_000000005000000_pkey PRIMARY KEY (job_id);
ALTER TABLE ONLY stockq.retries
    ADD CONSTRAINT retries_pkey PRIMARY KEY (job_id);
ALTER TABLE ONLY stockq.store_limits
    ADD CONSTRAINT store_limits_pkey PRIMARY KEY (store_id);
CREATE INDEX idempotency_keys_used ON stockq.idempotency_keys USING brin (used_at);
CREATE INDEX jobs_due ON stockq.jobs USING btree (run_at) WHERE (run_at IS NOT NULL);
CREATE INDEX jobs_group ON stockq.jobs USING btree (group_id, store_id, submission_id) WHERE (group_id IS NOT NULL);
CREATE INDEX jobs_key ON stockq.jobs USING btree (idempotency_key, store_id) WHERE (idempotency_key IS NOT NULL);
CREATE INDEX jobs_ready ON stockq.jobs USING btree (lane, priority, job_id) WHERE (run_at IS NULL);
CREATE INDEX jobs_waiting ON stockq.jobs USING btree (item_id, store_id, location_id, priority, job_id) WHERE ((waiting_quantity IS NOT NULL) AND (run_at IS NOT NULL));
CREATE INDEX results_group ON ONLY stockq.results USING btree (group_id, store_id) WHERE (group_last_job_id IS NOT NULL);
CREATE INDEX results_000000000000000_group_id_store_id_idx ON stockq.results_000000000000000 USING btree (group_id, store_id) WHERE (group_last_job_id IS NOT NULL);
CREATE INDEX results_failed ON ONLY stockq.results USING btree (job_id) WHERE (outcome = 'failed'::stockq.outcome);
CREATE INDEX results_000000000000000_job_id_idx ON stockq.results_000000000000000 USING btree (job_id) WHERE (outcome = 'failed'::stockq.outcome);
CREATE INDEX results_000000005000000_group_id_store_id_idx ON stockq.results_000000005000000 USING btree (group_id, store_id) WHERE (group_last_job_id IS NOT NULL);
CREATE INDEX results_000000005000000_job_id_idx ON stockq.results_000000005000000 USING btree (job_id) WHERE (outcome = 'failed'::stockq.outcome);
ALTER INDEX stockq.results_group ATTACH PARTITION stockq.results_000000000000000_group_id_store_id_idx;
ALTER INDEX stockq.results_failed ATTACH PARTITION stockq.results_000000000000000_job_id_idx;
ALTER INDEX stockq.results_pkey ATTACH PARTITION stockq.results_000000000000000_pkey;
ALTER INDEX stockq.results_group ATTACH PARTITION stockq.results_000000005000000_group_id_store_id_idx;
ALTER INDEX stockq.results_failed ATTACH PARTITION stockq.results_000000005000000_job_id_idx;
ALTER INDEX stockq.results_pkey ATTACH PARTITION stockq.results_000000005000000_pkey;
CREATE TRIGGER send_wakeup AFTER INSERT ON stockq.jobs FOR EACH STATEMENT WHEN ((pg_sequence_last_value('stockq.workers_awake'::regclass) IS NULL)) EXECUTE FUNCTION stockq.send_wakeup();
CREATE POLICY admin_all ON stockq.idempotency_keys TO stockq_admin USING (true);
CREATE POLICY admin_all ON stockq.items TO stockq_admin USING (true);
CREATE POLICY admin_all ON stockq.jobs TO stockq_admin USING (true);
CREATE POLICY admin_all ON stockq.notifications TO stockq_admin USING (true);
CREATE POLICY admin_all ON stockq.results TO stockq_admin USING (true);
CREATE POLICY admin_all ON stockq.store_limits TO stockq_admin USING (true);
ALTER TABLE stockq.caller_token_secret ENABLE ROW LEVEL SECURITY;
ALTER TABLE stockq.idempotency_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE stockq.items ENABLE ROW LEVEL SECURITY;
ALTER TABLE stockq.jobs ENABLE ROW LEVEL SECURITY;
ALTER TABLE stockq.notifications ENABLE ROW LEVEL SECURITY;
CREATE POLICY producers_enqueue ON stockq.jobs FOR INSERT WITH CHECK (stockq.may_enqueue(store_id, item_id, location_id));
CREATE POLICY producers_read ON stockq.idempotency_keys FOR SELECT USING (stockq.has_grant(store_id));
CREATE POLICY producers_read ON stockq.items FOR SELECT USING (stockq.has_grant(store_id, 'read_catalog'::text));
CREATE POLICY producers_read ON stockq.jobs FOR SELECT USING (stockq.has_grant(store_id));
CREATE POLICY producers_read ON stockq.notifications FOR SELECT USING (stockq.has_grant(store_id));
CREATE POLICY producers_read ON stockq.results FOR SELECT USING (stockq.has_grant(store_id));
CREATE POLICY producers_read ON stockq.store_limits FOR SELECT USING (stockq.has_grant(store_id));
CREATE POLICY reader_select ON stockq.idempotency_keys FOR SELECT TO stockq_reader USING (true);
CREATE POLICY reader_select ON stockq.items FOR SELECT TO stockq_reader USING (true);
CREATE POLICY reader_select ON stockq.jobs FOR SELECT TO stockq_reader USING (true);
CREATE POLICY reader_select ON stockq.notifications FOR SELECT TO stockq_reader USING (true);
CREATE POLICY reader_select ON stockq.results FOR SELECT TO stockq_reader USING (true);
CREATE POLICY reader_select ON stockq.store_limits FOR SELECT TO stockq_reader USING (true);
ALTER TABLE stockq.results ENABLE ROW LEVEL SECURITY;
ALTER TABLE stockq.store_limits ENABLE ROW LEVEL SECURITY;
CREATE POLICY worker_all ON stockq.idempotency_keys TO stockq_worker USING (true);
CREATE POLICY worker_all ON stockq.items TO stockq_worker USING (true);
CREATE POLICY worker_all ON stockq.notifications TO stockq_worker USING (true);
CREATE POLICY worker_all ON stockq.results TO stockq_worker USING (true);
CREATE POLICY worker_all ON stockq.store_limits TO stockq_worker USING (true);
CREATE POLICY worker_delete ON stockq.jobs FOR DELETE TO stockq_worker USING (true);
CREATE POLICY worker_select ON stockq.jobs FOR SELECT TO stockq_worker USING (true);
CREATE POLICY worker_update ON stockq.jobs FOR UPDATE TO stockq_worker USING (true);
