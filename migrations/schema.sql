-- The schema that the migrations make, as pg_dump shows it. A test compares it; do not edit.
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
    'group_rejected',
    'group_too_large'
);
CREATE TYPE stockq.job_defaults AS (
	location_id text,
	action text,
	on_insufficient text,
	priority smallint,
	max_attempts smallint,
	notify boolean
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
	max_attempts integer,
	counted_ats timestamp with time zone[],
	actors text[],
	occurred_ats timestamp with time zone[],
	metadatas jsonb[],
	counted_at timestamp with time zone,
	actor text,
	occurred_at timestamp with time zone,
	metadata jsonb
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
CREATE FUNCTION stockq.add_announced_store(store_id text, from_position bigint, from_row bigint) RETURNS void
    LANGUAGE sql
    SET search_path TO 'stockq', 'pg_temp'
    AS $_$
    INSERT INTO announced_stores (store_id, from_position, from_row) VALUES ($1, $2, $3)
    ON CONFLICT ON CONSTRAINT announced_stores_pkey DO NOTHING
$_$;
CREATE FUNCTION stockq.add_results_partition(job_id bigint, jobs_per_partition bigint) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    first_id bigint := job_id / jobs_per_partition * jobs_per_partition;
    end_id bigint := first_id + jobs_per_partition;
    name text;
BEGIN
    IF has_results_partition(job_id) THEN
        RETURN false;
    END IF;
    PERFORM lock_maintenance('partitions');
    IF has_results_partition(job_id) THEN
        RETURN false;
    END IF;
    -- The neighbors may have another size: fill the gap between them, and no more.
    SELECT greatest(first_id, max(p.upper_bound)) INTO first_id
    FROM partition_bounds() AS p
    WHERE p.upper_bound <= job_id;
    SELECT least(end_id, min(p.lower_bound)) INTO end_id
    FROM partition_bounds() AS p
    WHERE p.lower_bound > job_id;
    -- Fifteen digits, or as many as there are: the names sort like the ids, and no two are the same.
    name := 'results_' || lpad(first_id::text, greatest(15, length(first_id::text)), '0');
    EXECUTE format('CREATE TABLE %I (LIKE results INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
    EXECUTE format(
        'ALTER TABLE %I ADD CONSTRAINT bounds CHECK (job_id >= %s AND job_id < %s)', name, first_id, end_id);
    -- Written once and never updated; freezing needs no hurry, and the work path does not use statistics.
    EXECUTE format(
        'ALTER TABLE %I SET (autovacuum_vacuum_insert_scale_factor = 1, autovacuum_analyze_scale_factor = 1)', name);
    EXECUTE format('ALTER TABLE results ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', name, first_id, end_id);
    EXECUTE format('ALTER TABLE %I DROP CONSTRAINT bounds', name);
    RETURN true;
END
$$;
CREATE FUNCTION stockq.add_results_partitions(jobs_per_partition bigint DEFAULT 5000000, partitions_ahead integer DEFAULT 1) RETURNS integer
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
CREATE FUNCTION stockq.add_subscription(name text, channel text, target text, store_id text DEFAULT NULL::text, events text[] DEFAULT '{stock.low,stock.out,stock.back_in_stock,stock.restocked}'::text[], secret text DEFAULT NULL::text, item_prefix text DEFAULT ''::text, location_prefix text DEFAULT ''::text, digest_window interval DEFAULT NULL::interval, digest_at time without time zone DEFAULT NULL::time without time zone, time_zone text DEFAULT NULL::text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
#variable_conflict use_column
DECLARE
    horizon record;
    added bigint;
BEGIN
    IF add_subscription.name = ANY (ARRAY(SELECT s.name FROM subscriptions AS s)) THEN
        RAISE unique_violation USING
            MESSAGE = format('there is a subscription %L already', add_subscription.name),
            HINT = 'Choose another name, or remove it first.';
    ELSIF add_subscription.time_zone IS NOT NULL
        AND NOT EXISTS (SELECT FROM pg_timezone_names AS z WHERE z.name = add_subscription.time_zone) THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('there is no time zone %L', add_subscription.time_zone),
            HINT = 'Name one of pg_timezone_names, for instance Europe/Berlin.';
    END IF;
    -- The fan-out may be about to read the notifications up to the same horizon.
    PERFORM lock_delivery_progress();
    horizon := feed_horizon('notifications'::regclass, 'notifications_notification_id_seq'::regclass);
    INSERT INTO subscriptions (
        name, channel, target, store_id, events, secret, item_prefix, location_prefix, digest_window, digest_at,
        time_zone, next_digest_at, start_position, start_row, changes_cursor
    ) VALUES (
        add_subscription.name, add_subscription.channel, add_subscription.target, add_subscription.store_id,
        add_subscription.events, add_subscription.secret, coalesce(add_subscription.item_prefix, ''),
        coalesce(add_subscription.location_prefix, ''), add_subscription.digest_window, add_subscription.digest_at,
        add_subscription.time_zone,
        next_digest(add_subscription.digest_at, add_subscription.time_zone, now()), horizon.position, horizon.row_id,
        CASE WHEN 'stock.changed' = ANY (add_subscription.events) THEN changes_cursor() END
    )
    RETURNING subscription_id INTO added;
    PERFORM record_operation(
        'subscriptions add',
        jsonb_build_object(
            'name', add_subscription.name, 'channel', add_subscription.channel, 'store_id', add_subscription.store_id,
            'events', add_subscription.events), NULL);
    RETURN added;
END
$$;
CREATE TABLE stockq.alert_policies (
    policy_id bigint NOT NULL,
    store_id text NOT NULL COLLATE pg_catalog."C",
    default_threshold bigint,
    quiet_period interval NOT NULL,
    rearm_margin bigint NOT NULL,
    from_position bigint NOT NULL,
    from_row bigint NOT NULL,
    set_at timestamp with time zone NOT NULL,
    set_by text DEFAULT SESSION_USER NOT NULL,
    CONSTRAINT alert_policies_default_threshold_range CHECK (((default_threshold >= 0) AND (default_threshold <= '9007199254740991'::bigint))),
    CONSTRAINT alert_policies_quiet_period_range CHECK (((quiet_period >= '00:00:00'::interval) AND (quiet_period <= '366 days'::interval))),
    CONSTRAINT alert_policies_rearm_margin_range CHECK (((rearm_margin >= 0) AND (rearm_margin <= '9007199254740991'::bigint))),
    CONSTRAINT alert_policies_store_id_length CHECK (((octet_length(store_id) >= 1) AND (octet_length(store_id) <= 200)))
);
CREATE FUNCTION stockq.alert_policy(store_id text) RETURNS stockq.alert_policies
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    policy alert_policies;
BEGIN
    SELECT * INTO policy FROM alert_policies AS p
    WHERE p.store_id = alert_policy.store_id
    ORDER BY p.policy_id DESC
    LIMIT 1;
    policy.quiet_period := coalesce(policy.quiet_period, interval '0');
    policy.rearm_margin := coalesce(policy.rearm_margin, 0);
    RETURN policy;
END
$$;
CREATE FUNCTION stockq.allowed_reasons() RETURNS text[]
    LANGUAGE sql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
    SELECT ARRAY(SELECT reason FROM reasons ORDER BY reason)
    FROM pg_constraint
    WHERE conrelid = 'jobs'::regclass AND conname = 'jobs_reason_listed'
$$;
CREATE TABLE stockq.announced_items (
    store_id text NOT NULL COLLATE pg_catalog."C",
    item_id text NOT NULL COLLATE pg_catalog."C",
    location_id text NOT NULL COLLATE pg_catalog."C",
    notification_id bigint NOT NULL,
    level stockq.alert_level NOT NULL,
    announced_level stockq.alert_level NOT NULL,
    announced_at timestamp with time zone,
    rearm_above bigint,
    searched_version bigint NOT NULL,
    rearmed_by bigint,
    ready_at timestamp with time zone,
    not_before timestamp with time zone,
    due_at timestamp with time zone
)
WITH (fillfactor='70');
CREATE FUNCTION stockq.announce(item stockq.announced_items, is_sent boolean DEFAULT true) RETURNS stockq.announced_items
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO announcements (
        notification_id, store_id, item_id, location_id, kind, alert_before, alert_after, job_id, version,
        available_before, available_after, low_stock_threshold, is_sent, announced_at
    )
    SELECT n.notification_id, n.store_id, n.item_id, n.location_id, kind_of(item.announced_level, item.level),
        item.announced_level, item.level, coalesce(r.job_id, n.job_id), coalesce(r.version, n.version),
        coalesce(r.on_hand_before - r.allocated_before, n.available_before),
        coalesce(r.on_hand_after - r.allocated_after, n.available_after), n.low_stock_threshold, announce.is_sent,
        item.due_at
    FROM notifications AS n
    LEFT JOIN results AS r ON r.job_id = item.rearmed_by
    WHERE n.notification_id = item.notification_id;
    item.announced_level := item.level;
    item.announced_at := CASE WHEN announce.is_sent THEN item.due_at ELSE item.announced_at END;
    item.ready_at := NULL;
    item.due_at := NULL;
    RETURN item;
END
$$;
CREATE FUNCTION stockq.announce_due(max_rows integer) RETURNS bigint[]
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    AS $$
#variable_conflict use_column
DECLARE
    item announced_items;
    found_item record;
    announced bigint[] := '{}';
BEGIN
    FOR found_item IN
        SELECT waiting, i.last_job_id, i.version
        FROM announced_items AS waiting
        JOIN items AS i USING (store_id, item_id, location_id)
        WHERE waiting.rearm_above IS NOT NULL AND i.version > waiting.searched_version
            -- A later notification comes first: it is committed, and not read yet.
            AND NOT EXISTS (
                SELECT FROM notifications AS n
                WHERE (n.item_id, n.store_id, n.location_id)
                        = (waiting.item_id, waiting.store_id, waiting.location_id)
                    AND n.job_id IS NOT NULL AND n.version > waiting.searched_version
            )
            AND NOT EXISTS (
                SELECT FROM threshold_changes AS c
                WHERE (c.item_id, c.store_id, c.location_id)
                        = (waiting.item_id, waiting.store_id, waiting.location_id)
                    AND c.notification_id > waiting.notification_id
            )
        LIMIT max_rows
    LOOP
        item := found_item.waiting;
        PERFORM save_announced_item(search_rise(item, found_item.last_job_id, found_item.version));
    END LOOP;
    FOR item IN SELECT * FROM announced_items AS i WHERE i.due_at <= now() ORDER BY i.due_at LIMIT max_rows LOOP
        item := unless_retired(item);
        IF item.due_at IS NOT NULL THEN
            item := announce(item);
            announced := announced || item.notification_id;
        END IF;
        PERFORM save_announced_item(item);
    END LOOP;
    RETURN announced;
END
$$;
CREATE FUNCTION stockq.announce_notifications(from_position bigint, from_row bigint, to_position bigint, to_row bigint) RETURNS bigint[]
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    AS $$
#variable_conflict use_column
DECLARE
    n notifications;
    item announced_items;
    -- The level before the notification, as its kind says; of out_of_stock it may be low too.
    level_before alert_level;
    announced bigint[] := '{}';
BEGIN
    FOR n IN
        SELECT x.* FROM notifications AS x
        JOIN announced_stores AS s ON s.store_id = x.store_id
        WHERE (x.position, x.notification_id) > (announce_notifications.from_position, announce_notifications.from_row)
            AND (x.position, x.notification_id) <= (to_position, to_row)
            AND (x.position, x.notification_id) > (s.from_position, s.from_row)
        ORDER BY x.position, x.notification_id
    LOOP
        level_before := CASE n.kind WHEN 'restocked' THEN 'low' WHEN 'back_in_stock' THEN 'out' ELSE 'ok' END;
        SELECT * INTO item FROM announced_items AS i
        WHERE (i.item_id, i.store_id, i.location_id) = (n.item_id, n.store_id, n.location_id);
        IF NOT FOUND THEN
            item.store_id := n.store_id;
            item.item_id := n.item_id;
            item.location_id := n.location_id;
            item.announced_level := level_before;
        ELSE
            IF item.rearm_above IS NOT NULL THEN
                item := search_rise(
                    item,
                    CASE WHEN n.job_id IS NOT NULL
                        THEN (SELECT r.previous_job_id FROM results AS r WHERE r.job_id = n.job_id)
                        ELSE (
                            SELECT i.last_job_id FROM items AS i
                            WHERE (i.store_id, i.item_id, i.location_id) = (n.store_id, n.item_id, n.location_id)
                        )
                    END,
                    CASE WHEN n.job_id IS NOT NULL THEN n.version - 1 ELSE n.version END);
            END IF;
            item := unless_retired(item);
            IF item.due_at <= n.created_at THEN
                item := announce(item);
                announced := announced || item.notification_id;
            END IF;
            IF EXISTS (
                SELECT FROM retired_items AS r
                WHERE (r.store_id, r.item_id, r.location_id) = (n.store_id, n.item_id, n.location_id)
                    AND r.last_notification_id >= item.notification_id AND r.last_notification_id < n.notification_id
            ) THEN
                item.announced_level := level_before;
                item.announced_at := NULL;
            -- A job without notifications made the level better in between.
            ELSIF (CASE n.kind WHEN 'out_of_stock' THEN item.level = 'out' ELSE item.level <> level_before END) THEN
                item.announced_level := level_before;
            END IF;
        END IF;
        item.notification_id := n.notification_id;
        item.level := level_of(n.available_after, n.low_stock_threshold);
        item.not_before := NULL;
        item := decide_item(item);
        IF item.level <> item.announced_level AND n.kind = 'back_in_stock' AND is_first_supply(n.job_id) THEN
            item.due_at := n.created_at;
            item := announce(item, is_sent => false);
        ELSIF item.due_at <= n.created_at THEN
            item := announce(item);
            announced := announced || item.notification_id;
        END IF;
        PERFORM save_announced_item(item);
    END LOOP;
    RETURN announced;
END
$$;
CREATE FUNCTION stockq.apply_default_threshold(store_id text, after_item text DEFAULT ''::text, after_location text DEFAULT ''::text, max_rows integer DEFAULT 1000, OUT items integer, OUT last_item text, OUT last_location text) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
#variable_conflict use_column
DECLARE
    threshold CONSTANT bigint := (alert_policy(apply_default_threshold.store_id)).default_threshold;
BEGIN
    WITH page AS MATERIALIZED (
        SELECT i.store_id, i.item_id, i.location_id, i.low_stock_threshold, i.threshold_is_default
        FROM items AS i
        WHERE i.store_id = apply_default_threshold.store_id
            AND (i.item_id, i.location_id) > (after_item, after_location)
        ORDER BY i.item_id, i.location_id
        LIMIT max_rows
    ), locked AS MATERIALIZED (
        SELECT i.store_id, i.item_id, i.location_id
        FROM page
        JOIN items AS i USING (store_id, item_id, location_id)
        WHERE (page.threshold_is_default OR page.low_stock_threshold IS NULL)
            AND page.low_stock_threshold IS DISTINCT FROM threshold
        ORDER BY i.store_id, i.item_id, i.location_id
        FOR NO KEY UPDATE OF i
    ), changed AS (
        UPDATE items AS i
        SET low_stock_threshold = NULL, updated_at = now() -- compare_threshold() fills in the default
        FROM locked
        WHERE (i.store_id, i.item_id, i.location_id) = (locked.store_id, locked.item_id, locked.location_id)
            AND (i.threshold_is_default OR i.low_stock_threshold IS NULL)
    )
    SELECT count(*), (array_agg(p.item_id ORDER BY p.item_id DESC, p.location_id DESC))[1],
        (array_agg(p.location_id ORDER BY p.item_id DESC, p.location_id DESC))[1]
    INTO items, last_item, last_location
    FROM page AS p;
END
$$;
CREATE FUNCTION stockq.are_valid_details(action text, location_id text, on_insufficient text, idempotency_key text, reference text, reason text, counted_at timestamp with time zone, actor text, occurred_at timestamp with time zone, metadata jsonb) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (((action IS NULL) OR (action = ANY (ARRAY['adjust'::text, 'allocate'::text, 'deallocate'::text, 'ship'::text, 'set'::text]))) AND ((location_id IS NULL) OR ((octet_length(location_id) >= 1) AND (octet_length(location_id) <= 200))) AND ((on_insufficient IS NULL) OR (on_insufficient = 'reject'::text) OR ((on_insufficient = 'allow'::text) AND (action = 'set'::text)) OR ((on_insufficient = ANY (ARRAY['allow'::text, 'partial'::text, 'wait'::text])) AND ((action IS NULL) OR (action = ANY (ARRAY['adjust'::text, 'allocate'::text]))))) AND ((idempotency_key IS NULL) OR ((octet_length(idempotency_key) >= 1) AND (octet_length(idempotency_key) <= 200))) AND ((reference IS NULL) OR (octet_length(reference) <= 2000)) AND ((reason IS NULL) OR (octet_length(reason) <= 2000)) AND ((counted_at IS NULL) OR ((action = 'set'::text) AND (counted_at <= (now() + '00:05:00'::interval)))) AND ((actor IS NULL) OR ((octet_length(actor) >= 1) AND (octet_length(actor) <= 200))) AND ((occurred_at IS NULL) OR isfinite(occurred_at)) AND ((metadata IS NULL) OR ((jsonb_typeof(metadata) = 'object'::text) AND (octet_length((metadata)::text) <= 10000))));
CREATE FUNCTION stockq.hidden_characters() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (('[\u0001-\u001f\u007f-\u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5'::text || '\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f'::text) || '\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]'::text);
CREATE FUNCTION stockq.are_visible(ids text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((ids !~ '[^!-~]'::text) OR (ids !~ ('^ | $|\| | \||'::text || stockq.hidden_characters())));
CREATE FUNCTION stockq.are_valid_options(store_id text, group_id text, priority integer, run_at timestamp with time zone, expires_at timestamp with time zone, ordering_key text, max_attempts integer) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (((octet_length(store_id) >= 1) AND (octet_length(store_id) <= 200)) AND stockq.are_visible(store_id) AND ((group_id IS NULL) OR (((octet_length(group_id) >= 1) AND (octet_length(group_id) <= 200)) AND (ordering_key IS NULL))) AND ((ordering_key IS NULL) OR ((octet_length(ordering_key) >= 1) AND (octet_length(ordering_key) <= 200))) AND ((priority IS NULL) OR ((priority >= 1) AND (priority <= 4))) AND ((max_attempts IS NULL) OR ((max_attempts >= 1) AND (max_attempts <= 1000))) AND ((run_at IS NULL) OR (isfinite(run_at) AND (run_at <= (now() + '9600:00:00'::interval)))) AND ((expires_at IS NULL) OR (expires_at <= (now() + '9600:00:00'::interval))));
CREATE FUNCTION stockq.begin_import_for(producer text, caller_token bytea, kind text, label text, file_name text, sha256 text, given_name text, once boolean, keeps_session boolean, OUT import_id bigint, OUT name text, OUT earlier_name text, OUT earlier_state text, OUT earlier_by text, OUT earlier_at timestamp with time zone) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET debug_print_plan TO 'off'
    AS $$
DECLARE
    may_be_repeated boolean;
BEGIN
    PERFORM check_caller_token(producer, caller_token);
    IF sha256 IS NOT NULL THEN
        -- Two processes may begin with the same file.
        PERFORM lock_maintenance('imports');
        SELECT i.name, import_state(i), i.imported_by, i.started_at,
            i.kind = 'items' AND import_state(i) IN ('stopped', 'interrupted')
        INTO earlier_name, earlier_state, earlier_by, earlier_at, may_be_repeated
        FROM imports AS i
        WHERE i.sha256 = begin_import_for.sha256 AND i.kind = begin_import_for.kind
            AND (import_state(i) = 'running' OR i.lines > i.rejected)
            AND NOT (once AND is_canceled(i))
        ORDER BY once AND i.kind = 'items' AND import_state(i) IN ('stopped', 'interrupted'), i.import_id DESC
        LIMIT 1;
        IF FOUND AND once AND NOT may_be_repeated THEN
            RETURN;
        END IF;
    END IF;
    BEGIN
        INSERT INTO imports AS i (given_name, label, kind, file_name, sha256, imported_by, session_pid, session_name)
        VALUES (
            begin_import_for.given_name, begin_import_for.label, begin_import_for.kind, begin_import_for.file_name,
            begin_import_for.sha256, producer, CASE WHEN keeps_session THEN pg_backend_pid() END,
            current_setting('application_name'))
        RETURNING i.import_id, i.name INTO import_id, name;
    EXCEPTION WHEN unique_violation THEN
        RAISE unique_violation USING
            MESSAGE = format('there is an import named %L already', coalesce(given_name, label)),
            HINT = 'Give another --name. An import that stopped goes on with --resume NAME.';
    END;
END
$$;
CREATE FUNCTION stockq.begin_results_partition(span interval, ids_max integer DEFAULT 500000) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
DECLARE
    drawn CONSTANT bigint := (SELECT last_value FROM jobs_job_id_seq);
    present record;
    began timestamptz;
    ids integer;
BEGIN
    SELECT * INTO present FROM partition_bounds() AS p WHERE drawn >= p.lower_bound AND drawn < p.upper_bound;
    IF NOT FOUND OR NOT has_results_partition(present.upper_bound) THEN
        RETURN 0;
    END IF;
    -- The oldest job of the partition, whether it is finished or not, is among the first ids.
    EXECUTE format('SELECT enqueued_at FROM %I ORDER BY job_id LIMIT 1', present.name) INTO began;
    began := least(began, (
        SELECT j.enqueued_at FROM jobs AS j
        WHERE j.job_id >= present.lower_bound AND j.job_id < present.upper_bound
        ORDER BY j.job_id
        LIMIT 1
    ));
    IF began IS NULL OR began > now() - span OR NOT lock_retention() THEN
        RETURN 0;
    END IF;
    ids := least(ids_max, present.upper_bound - (SELECT last_value FROM jobs_job_id_seq));
    PERFORM max(nextval('jobs_job_id_seq')) FROM generate_series(1, ids);
    RETURN greatest(ids, 0);
END
$$;
CREATE FUNCTION stockq.can_read_all_stores() RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
BEGIN
    RETURN NOT row_security_active('jobs') OR EXISTS (
        SELECT FROM pg_roles
        WHERE rolname IN (
                current_schema() || '_worker', current_schema() || '_reader', current_schema() || '_admin'
            )
            AND pg_has_role(oid, 'USAGE')
    );
END
$$;
CREATE FUNCTION stockq.cancel_jobs(job_ids bigint[] DEFAULT NULL::bigint[], store_id text DEFAULT NULL::text, group_id text DEFAULT NULL::text, reference text DEFAULT NULL::text, reason text DEFAULT NULL::text, idempotency_key text DEFAULT NULL::text) RETURNS SETOF bigint
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    named bigint[] := job_ids;
BEGIN
    IF idempotency_key IS NOT NULL THEN
        IF job_ids IS NOT NULL OR store_id IS NULL THEN
            RAISE invalid_parameter_value USING MESSAGE = 'name the job of an idempotency key by its store and the key';
        END IF;
        named := ARRAY(SELECT k.job_id FROM key_in_use(cancel_jobs.store_id, cancel_jobs.idempotency_key) AS k);
    END IF;
    IF num_nonnulls(named, group_id, reference) <> 1 THEN
        RAISE invalid_parameter_value USING MESSAGE = 'name jobs by job_ids, group_id, reference or idempotency_key';
    END IF;
    RETURN QUERY
    SELECT unnest(cancel_jobs_for(
        t.producer, t.caller_token, named, cancel_jobs.store_id, cancel_jobs.group_id, cancel_jobs.reference,
        cancel_jobs.reason))
    FROM my_caller_token AS t;
END
$$;
CREATE FUNCTION stockq.cancel_jobs_for(producer text, caller_token bytea, job_ids bigint[], store_id text, group_id text, reference text, reason text) RETURNS bigint[]
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET debug_print_plan TO 'off'
    AS $_$
DECLARE
    wanted bigint[];
    canceled bigint[];
BEGIN
    PERFORM check_caller_token(producer, caller_token);
    IF cardinality(job_ids) > 10000 AND NOT may_act_everywhere(producer) THEN
        RAISE program_limit_exceeded USING
            MESSAGE = format('%s ids of jobs in one call, at most 10000 are allowed', cardinality(job_ids)),
            HINT = 'Cancel the others in further calls.';
    ELSIF octet_length(reason) > 2000 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('the reason has %s bytes, at most 2000 are allowed', octet_length(reason));
    END IF;
    wanted := jobs_to_cancel(producer, queued_jobs(job_ids, store_id, group_id, reference));
    IF cardinality(wanted) = 0 THEN
        RETURN wanted;
    END IF;
    -- No worker may have built the partitions for these jobs yet.
    PERFORM add_results_partitions();
    EXECUTE format($cancel$
        WITH gone AS (
            DELETE FROM jobs WHERE job_id = ANY ($1) RETURNING *
        ), finished AS (
            INSERT INTO results (
                job_id, submission_id, group_last_job_id, retry_of, enqueued_at, scheduled_at, expires_at, attempts,
                idempotency_key, applied_quantity, finished_at, outcome, worker, message, %1$s
            )
            SELECT
                job_id, submission_id,
                CASE WHEN group_id IS NOT NULL AND job_id = min(job_id) OVER of_group
                    THEN max(job_id) OVER of_group END,
                retry_of, enqueued_at,
                coalesce(scheduled_at, CASE
                    WHEN attempts = 0 AND waiting_since IS NULL AND paused_at IS NULL THEN run_at
                END),
                expires_at, attempts, idempotency_key, 0, now(), 'canceled', 'canceled by ' || session_user, $2, %1$s
            FROM gone
            WINDOW of_group AS (PARTITION BY group_id, store_id, submission_id)
            RETURNING job_id
        )
        SELECT coalesce(array_agg(job_id ORDER BY job_id), '{}') FROM finished
    $cancel$, request_columns())
    INTO canceled
    USING wanted, reason;
    -- Of a group that is too large nothing may be left now.
    DELETE FROM too_large_groups AS g
    WHERE NOT EXISTS (
        SELECT FROM jobs AS j
        WHERE (j.group_id, j.store_id, j.submission_id) = (g.group_id, g.store_id, g.submission_id)
    );
    IF cardinality(canceled) > 0 THEN
        PERFORM record_operation(
            'cancel',
            recorded_jobs(job_ids) || jsonb_build_object(
                'store_id', store_id, 'group_id', group_id, 'reference', reference, 'reason', reason),
            cardinality(canceled));
    END IF;
    RETURN canceled;
END
$_$;
CREATE FUNCTION stockq.changes_after(after_cursor text, max_rows integer DEFAULT 100, only_store text DEFAULT NULL::text) RETURNS TABLE(job_id bigint, store_id text, item_id text, location_id text, version bigint, action stockq.action, quantity bigint, applied_quantity bigint, on_hand_before bigint, on_hand_after bigint, allocated_before bigint, allocated_after bigint, group_id text, reason text, reference text, actor text, occurred_at timestamp with time zone, metadata jsonb, counted_at timestamp with time zone, finished_at timestamp with time zone, cursor text)
    LANGUAGE plpgsql ROWS 100
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
#variable_conflict use_column
DECLARE
    start record;
    horizon record;
    stores CONSTANT text[] := feed_stores(only_store);
    entry record;
    passed integer;
    remaining integer := max_rows;
    returned integer;
BEGIN
    PERFORM check_page(max_rows);
    start := read_cursor(after_cursor);
    horizon := feed_horizon('change_log'::regclass, 'change_log_log_id_seq'::regclass);
    FOR entry IN
        SELECT c.position, c.log_id, c.job_ids
        FROM (
            (
                SELECT l.position, l.log_id, l.job_ids FROM change_log AS l
                WHERE stores IS NULL AND (l.position, l.log_id) >= (start.position, start.row_id)
                    AND (l.position, l.log_id) <= (horizon.position, horizon.row_id)
                ORDER BY l.position, l.log_id
                LIMIT max_rows + 1
            )
            UNION ALL
            (
                SELECT l.position, l.log_id, l.job_ids FROM unnest(stores) AS s (store_id)
                CROSS JOIN LATERAL (
                    SELECT * FROM change_log AS of_store
                    WHERE of_store.store_id = s.store_id
                        AND (of_store.position, of_store.log_id) >= (start.position, start.row_id)
                        AND (of_store.position, of_store.log_id) <= (horizon.position, horizon.row_id)
                    ORDER BY of_store.position, of_store.log_id
                    LIMIT max_rows + 1
                ) AS l
            )
        ) AS c
        ORDER BY c.position, c.log_id
    LOOP
        passed := 0;
        IF (entry.position, entry.log_id) = (start.position, start.row_id) THEN
            CONTINUE WHEN start.changes IS NULL; -- all of it was read
            passed := start.changes;
        END IF;
        WHILE passed < cardinality(entry.job_ids) AND remaining > 0 LOOP
            RETURN QUERY
            SELECT r.job_id, r.store_id, r.item_id, r.location_id, r.version, r.action, r.quantity, r.applied_quantity,
                r.on_hand_before, r.on_hand_after, r.allocated_before, r.allocated_after, r.group_id, r.reason,
                r.reference, r.actor, r.occurred_at, r.metadata, r.counted_at, r.finished_at,
                entry.position || '-' || entry.log_id
                    || CASE WHEN passed + number < cardinality(entry.job_ids) THEN '-' || passed + number ELSE '' END
            FROM unnest(entry.job_ids[passed + 1 : passed + remaining]) WITH ORDINALITY AS change (job_id, number)
            JOIN results AS r ON r.job_id = change.job_id
            ORDER BY number;
            GET DIAGNOSTICS returned = ROW_COUNT;
            -- Retention may have dropped results that the log still has.
            passed := passed + remaining;
            remaining := remaining - returned;
        END LOOP;
        EXIT WHEN remaining = 0;
    END LOOP;
END
$$;
CREATE FUNCTION stockq.changes_cursor(since timestamp with time zone DEFAULT NULL::timestamp with time zone) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
DECLARE
    horizon record;
    first_position bigint;
    first_id bigint;
BEGIN
    horizon := feed_horizon('change_log'::regclass, 'change_log_log_id_seq'::regclass);
    IF since IS NOT NULL THEN
        SELECT l.position, l.log_id INTO first_position, first_id FROM change_log AS l
        WHERE l.created_at >= since AND (l.position, l.log_id) <= (horizon.position, horizon.row_id)
        ORDER BY l.position, l.log_id
        LIMIT 1;
    END IF;
    RETURN coalesce(first_position || '-' || first_id - 1, horizon.position || '-' || horizon.row_id);
END
$$;
CREATE FUNCTION stockq.changes_since_count(store_id text, item_id text, location_id text, counted_at timestamp with time zone, OUT on_hand_change bigint, OUT is_outdated boolean) RETURNS SETOF record
    LANGUAGE sql STABLE STRICT ROWS 1
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $_$
    WITH RECURSIVE change AS (
        SELECT r.previous_job_id, r.finished_at, r.action, r.on_hand_before, r.on_hand_after, r.counted_at,
            r.waiting_since, r.occurred_at, r.enqueued_at, r.scheduled_at
        FROM items AS i
        JOIN results AS r ON r.job_id = i.last_job_id
        WHERE (i.store_id, i.item_id, i.location_id) = ($1, $2, $3)
        UNION ALL
        SELECT r.previous_job_id, r.finished_at, r.action, r.on_hand_before, r.on_hand_after, r.counted_at,
            r.waiting_since, r.occurred_at, r.enqueued_at, r.scheduled_at
        FROM change AS c
        JOIN results AS r ON r.job_id = c.previous_job_id
        WHERE c.finished_at >= $4 - interval '10 minutes'
    ), movement AS (
        SELECT c.previous_job_id, c.finished_at, c.action = 'set' AS is_count,
            c.on_hand_after - c.on_hand_before AS moved,
            CASE
                WHEN c.counted_at IS NOT NULL THEN c.counted_at
                WHEN c.waiting_since IS NOT NULL THEN c.finished_at
                ELSE coalesce(c.occurred_at, greatest(c.enqueued_at, c.scheduled_at))
            END AS moment
        FROM change AS c
    )
    SELECT
        greatest(-1e18, least(1e18, coalesce(sum(moved) FILTER (WHERE NOT is_count AND moment >= $4), 0)))::bigint,
        coalesce(bool_or(is_count AND moment > $4), false)
            -- Retention has dropped what was before the oldest result.
            OR coalesce($4 < (SELECT r.finished_at FROM results AS r ORDER BY r.job_id LIMIT 1), false)
                AND coalesce(
                    bool_and(finished_at >= $4 - interval '10 minutes' AND previous_job_id IS NOT NULL),
                    EXISTS (
                        SELECT FROM items AS i
                        WHERE (i.store_id, i.item_id, i.location_id) = ($1, $2, $3) AND i.last_job_id IS NOT NULL
                    ))
    FROM movement
$_$;
CREATE FUNCTION stockq.check_arrays(list stockq.lines) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.check_attributes(parent_id text, low_stock_threshold bigint) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    number_max CONSTANT bigint := 9007199254740991;
BEGIN
    IF low_stock_threshold NOT BETWEEN 0 AND number_max THEN
        RAISE check_violation USING
            MESSAGE = format('low_stock_threshold must be from 0 to %s, not %s', number_max, low_stock_threshold),
            TABLE = 'items', CONSTRAINT = 'items_low_stock_threshold_range';
    ELSIF octet_length(parent_id) NOT BETWEEN 1 AND 200 THEN
        RAISE check_violation USING
            MESSAGE = format('parent_id has %s bytes, from 1 to 200 are allowed', octet_length(parent_id)),
            TABLE = 'items', CONSTRAINT = 'items_parent_id_length';
    END IF;
END
$$;
CREATE FUNCTION stockq.check_caller_token(producer text, caller_token bytea) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    expected_token CONSTANT bytea := (
        SELECT sha256(convert_to(pg_current_xact_id()::text || ' ' || producer, 'UTF8') || secret)
        FROM caller_token_secret
    );
BEGIN
    IF caller_token IS NULL OR expected_token IS NULL OR caller_token <> expected_token
        OR NOT has_any_column_privilege(producer, 'jobs', 'INSERT')
    THEN
        RAISE insufficient_privilege USING
            MESSAGE = CASE
                WHEN producer IS NULL THEN 'the caller token names no producer'
                ELSE format('the caller token is not the one of %I in this transaction', producer)
            END,
            HINT = 'Call enqueue_arrays, enqueue_lines, cancel_jobs, create_item or set_item.';
    END IF;
END
$$;
CREATE FUNCTION stockq.check_counted_at(place text, counted_at timestamp with time zone, action text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
BEGIN
    IF counted_at IS NOT NULL AND action IS DISTINCT FROM 'set' THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format(
                '%scounted_at is for the action set, not for %s', place, coalesce(action, (job_defaults()).action)),
            HINT = 'When a sale or a delivery happened is its occurred_at.';
    ELSIF counted_at > now() + interval '5 minutes' THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('%scounted_at is in the future: %s', place, counted_at),
            HINT = 'Check the clock and the time zone.';
    END IF;
END
$$;
CREATE FUNCTION stockq.check_gateway_access(token_hashes text[], store_ids text[], scopes text[]) RETURNS TABLE(call integer, store_id text, granted text[], failure text)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
BEGIN
    RETURN QUERY
    SELECT c.number::integer, coalesce(c.store_id, t.stores[1]), t.scopes,
        CASE
            WHEN t.token_id IS NULL THEN 'invalid_token'
            WHEN c.store_id IS NULL AND cardinality(t.stores) <> 1 THEN 'several_stores'
            WHEN c.store_id <> ALL (t.stores) THEN CASE
                WHEN EXISTS (SELECT FROM items AS i WHERE i.store_id = c.store_id) THEN 'invalid_token'
                ELSE 'unknown_store'
            END
            WHEN NOT string_to_array(c.scopes, ' ') <@ t.scopes THEN 'missing_scope'
        END
    -- Sub-selects hide the arrays from the planner: one plan serves all calls. Planning costs more than the look-up.
    FROM unnest((SELECT token_hashes), (SELECT store_ids), (SELECT check_gateway_access.scopes)) WITH ORDINALITY
        AS c (token_hash, store_id, scopes, number)
    LEFT JOIN LATERAL (
        SELECT g.token_id, g.stores, g.scopes
        FROM gateway_tokens AS g
        WHERE (
                g.token_hash = c.token_hash
                OR c.token_hash IS NULL AND g.token_hash IS NULL AND c.store_id = ANY (g.stores)
            )
            AND g.revoked_at IS NULL
            AND (g.expires_at IS NULL OR g.expires_at > now())
            AND (g.client_id IS NULL OR EXISTS (
                SELECT FROM gateway_clients AS k WHERE k.client_id = g.client_id AND k.revoked_at IS NULL
            ))
        ORDER BY cardinality(g.scopes) DESC, g.token_id
        LIMIT 1
    ) AS t ON true;
END
$$;
CREATE FUNCTION stockq.check_group_limit(store_id text, group_id text, new_lines integer) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE TABLE stockq.items (
    store_id text NOT NULL COLLATE pg_catalog."C",
    item_id text NOT NULL COLLATE pg_catalog."C",
    location_id text DEFAULT 'main'::text NOT NULL COLLATE pg_catalog."C",
    parent_id text COLLATE pg_catalog."C",
    on_hand numeric DEFAULT 0 NOT NULL,
    allocated numeric DEFAULT 0 NOT NULL,
    low_stock_threshold numeric,
    version bigint DEFAULT 0 NOT NULL,
    opening_on_hand bigint,
    opening_allocated bigint,
    opening_version bigint DEFAULT 0 NOT NULL,
    last_job_id bigint,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    notified_level stockq.alert_level,
    tracked boolean DEFAULT true NOT NULL,
    available bigint GENERATED ALWAYS AS (((on_hand - allocated))::bigint) STORED NOT NULL,
    threshold_is_default boolean DEFAULT false NOT NULL,
    CONSTRAINT items_allocated_range CHECK (((allocated >= (0)::numeric) AND (allocated <= ('9007199254740991'::bigint)::numeric))),
    CONSTRAINT items_allocated_whole CHECK ((allocated = ((allocated)::bigint)::numeric)),
    CONSTRAINT items_available_range CHECK ((((on_hand - allocated) >= ('-9007199254740991'::bigint)::numeric) AND ((on_hand - allocated) <= ('9007199254740991'::bigint)::numeric))),
    CONSTRAINT items_item_id_length CHECK (((octet_length(item_id) >= 1) AND (octet_length(item_id) <= 200))),
    CONSTRAINT items_location_id_length CHECK (((octet_length(location_id) >= 1) AND (octet_length(location_id) <= 200))),
    CONSTRAINT items_low_stock_threshold_range CHECK (((low_stock_threshold >= (0)::numeric) AND (low_stock_threshold <= ('9007199254740991'::bigint)::numeric))),
    CONSTRAINT items_low_stock_threshold_whole CHECK ((low_stock_threshold = ((low_stock_threshold)::bigint)::numeric)),
    CONSTRAINT items_on_hand_range CHECK (((on_hand >= ('-9007199254740991'::bigint)::numeric) AND (on_hand <= ('9007199254740991'::bigint)::numeric))),
    CONSTRAINT items_on_hand_whole CHECK ((on_hand = ((on_hand)::bigint)::numeric)),
    CONSTRAINT items_parent_id_length CHECK (((octet_length(parent_id) >= 1) AND (octet_length(parent_id) <= 200))),
    CONSTRAINT items_store_id_length CHECK (((octet_length(store_id) >= 1) AND (octet_length(store_id) <= 200)))
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='5000', autovacuum_vacuum_cost_delay='0');
CREATE FUNCTION stockq.check_item_ids(item stockq.items) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    wrong record;
BEGIN
    SELECT given.name, given.id, hidden_character(given.id) AS hidden INTO wrong
    FROM (VALUES
        ('store_id', item.store_id), ('item_id', item.item_id), ('location_id', item.location_id),
        ('parent_id', item.parent_id)
    ) AS given (name, id)
    WHERE hidden_character(given.id) IS NOT NULL
    LIMIT 1;
    IF FOUND THEN
        RAISE check_violation USING
            MESSAGE = format(
                '%s %s has the character %s, which does not show', wrong.name, to_json(wrong.id), wrong.hidden),
            HINT = 'An id has visible characters, and spaces only between them.',
            TABLE = 'items', CONSTRAINT = 'items_ids_visible';
    END IF;
END
$$;
CREATE FUNCTION stockq.check_line(number bigint, item_id text, quantity bigint, action text, location_id text, on_insufficient text, idempotency_key text, reference text, reason text, counted_at timestamp with time zone, actor text, occurred_at timestamp with time zone, metadata jsonb) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    place CONSTANT text := CASE WHEN number IS NULL THEN '' ELSE format('line %s: ', number) END;
    given_action CONSTANT text := coalesce(action, (job_defaults()).action);
BEGIN
    PERFORM check_text(place, 'item_id', item_id);
    PERFORM check_text(place, 'location_id', location_id);
    PERFORM check_text(place, 'idempotency_key', idempotency_key);
    PERFORM check_text(place, 'reference', reference);
    PERFORM check_text(place, 'reason', reason);
    PERFORM check_text(place, 'actor', actor);
    IF quantity IS NULL THEN
        RAISE not_null_violation USING MESSAGE = place || 'quantity is empty', TABLE = 'jobs', COLUMN = 'quantity';
    ELSIF action <> ALL (enum_range(NULL::action)::text[]) THEN
        RAISE invalid_text_representation USING
            MESSAGE = format(
                '%saction must be one of %s, not %L', place, array_to_string(enum_range(NULL::action), ', '),
                left(action, 60));
    ELSIF on_insufficient <> ALL (enum_range(NULL::on_insufficient)::text[]) THEN
        RAISE invalid_text_representation USING
            MESSAGE = format(
                '%son_insufficient must be one of %s, not %L', place,
                array_to_string(enum_range(NULL::on_insufficient), ', '), left(on_insufficient, 60));
    ELSIF on_insufficient <> 'reject' AND given_action NOT IN ('adjust', 'allocate')
        AND NOT (given_action = 'set' AND on_insufficient = 'allow')
    THEN
        RAISE check_violation USING
            MESSAGE = format('%son_insufficient %s does not go with action %s', place, on_insufficient, given_action),
            TABLE = 'jobs', CONSTRAINT = 'jobs_policy_fits_action';
    END IF;
    PERFORM check_counted_at(place, counted_at, action);
    PERFORM check_time(place, 'occurred_at', occurred_at, false);
    IF jsonb_typeof(metadata) <> 'object' THEN
        RAISE check_violation USING
            MESSAGE = format(
                '%smetadata must be a JSON object like {"till": 3}, not %s', place, left(metadata::text, 60)),
            TABLE = 'jobs', CONSTRAINT = 'jobs_metadata_valid';
    ELSIF octet_length(metadata::text) > 10000 THEN
        RAISE check_violation USING
            MESSAGE = format(
                '%smetadata has %s bytes, at most 10000 are allowed', place, octet_length(metadata::text)),
            TABLE = 'jobs', CONSTRAINT = 'jobs_metadata_valid';
    END IF;
END
$$;
CREATE FUNCTION stockq.check_line_keys(list stockq.lines) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.check_lines(list stockq.lines) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    line record;
BEGIN
    FOR line IN
        SELECT *
        FROM unnest(
            list.item_ids, list.quantities, list.actions, list.location_ids, list.on_insufficients,
            list.idempotency_keys, list."references", list.reasons, list.counted_ats, list.actors, list.occurred_ats,
            list.metadatas, list.known_jobs
        ) WITH ORDINALITY AS l (
            item_id, quantity, action, location_id, policy, key, reference, reason, counted_at, actor, occurred_at,
            metadata, known_job, number
        )
        WHERE known_job IS NULL
        ORDER BY number
    LOOP
        PERFORM check_line(
            line.number, line.item_id, line.quantity, line.action, line.location_id, line.policy, line.key,
            line.reference, line.reason, line.counted_at, coalesce(line.actor, list.actor),
            coalesce(line.occurred_at, list.occurred_at), coalesce(line.metadata, list.metadata));
    END LOOP;
END
$$;
CREATE FUNCTION stockq.check_list_length(store_id text, idempotency_key text, lines integer) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.check_manages_items(producer text, caller_token bytea, store_id text, item_id text, sets_parent boolean) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    scopes CONSTANT text[] := (
        SELECT g.scopes FROM grants AS g
        WHERE (g.producer, g.store_id) = (check_manages_items.producer, check_manages_items.store_id)
    );
BEGIN
    PERFORM check_caller_token(producer, caller_token);
    IF may_act_everywhere(producer) THEN
        RETURN;
    ELSIF ('manage_items' = ANY (scopes)) IS NOT TRUE THEN
        PERFORM raise_missing_scope(producer, 'manage_items', store_id, item_id);
    ELSIF sets_parent AND NOT 'read_catalog' = ANY (scopes) THEN
        PERFORM raise_missing_scope(producer, 'read_catalog', store_id, item_id);
    END IF;
END
$$;
CREATE FUNCTION stockq.check_native_access(token_hash text, store_id text, scopes text) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    access CONSTANT record := check_gateway_access(ARRAY[token_hash], ARRAY[store_id], ARRAY[scopes]);
BEGIN
    RETURN CASE
        WHEN access.failure = 'invalid_token' AND access.granted IS NOT NULL THEN 'unknown_store'
        ELSE access.failure
    END;
END
$$;
CREATE FUNCTION stockq.check_options(store_id text, group_id text, priority integer, run_at timestamp with time zone, expires_at timestamp with time zone, ordering_key text, max_attempts integer) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
BEGIN
    PERFORM check_text('', 'store_id', store_id);
    PERFORM check_text('', 'group_id', group_id);
    PERFORM check_text('', 'ordering_key', ordering_key);
    IF group_id IS NOT NULL AND ordering_key IS NOT NULL THEN
        RAISE check_violation USING
            MESSAGE = 'group_id and ordering_key are mutually exclusive',
            TABLE = 'jobs', CONSTRAINT = 'jobs_group_in_store_lane';
    ELSIF priority NOT BETWEEN 1 AND 4 THEN
        RAISE check_violation USING
            MESSAGE = format('priority must be from 1 to 4, not %s', priority),
            TABLE = 'jobs', CONSTRAINT = 'jobs_priority_range';
    ELSIF max_attempts NOT BETWEEN 1 AND 1000 THEN
        RAISE check_violation USING
            MESSAGE = format('max_attempts must be from 1 to 1000, not %s', max_attempts),
            TABLE = 'jobs', CONSTRAINT = 'jobs_max_attempts_range';
    END IF;
    PERFORM check_time('', 'run_at', run_at, true);
    PERFORM check_time('', 'expires_at', expires_at, true);
END
$$;
CREATE FUNCTION stockq.check_page(max_rows integer) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
BEGIN
    IF max_rows IS NULL OR max_rows NOT BETWEEN 1 AND 100000 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('max_rows must be 1 to 100000, not %s', coalesce(max_rows::text, 'null'));
    END IF;
END
$$;
CREATE FUNCTION stockq.check_pause_target(store_id text, lane integer, everything boolean) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.check_reasons(reasons text[]) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.check_store_limit(store_id text, lines integer) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE TABLE stockq.subscriptions (
    subscription_id bigint NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    store_id text COLLATE pg_catalog."C",
    channel text NOT NULL COLLATE pg_catalog."C",
    target text NOT NULL COLLATE pg_catalog."C",
    events text[] NOT NULL COLLATE pg_catalog."C",
    item_prefix text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C",
    location_prefix text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C",
    secret text COLLATE pg_catalog."C",
    old_secret text COLLATE pg_catalog."C",
    old_secret_until timestamp with time zone,
    digest_window interval,
    digest_at time without time zone,
    time_zone text COLLATE pg_catalog."C",
    next_digest_at timestamp with time zone,
    start_position bigint NOT NULL,
    start_row bigint NOT NULL,
    changes_cursor text COLLATE pg_catalog."C",
    created_by text DEFAULT SESSION_USER NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    failing_since timestamp with time zone,
    disabled_at timestamp with time zone,
    disabled_reason text COLLATE pg_catalog."C",
    CONSTRAINT subscriptions_channel_known CHECK ((channel = ANY (ARRAY['webhook'::text, 'mail'::text, 'command'::text]))),
    CONSTRAINT subscriptions_digest_of_mail CHECK (((channel = 'mail'::text) OR (num_nonnulls(digest_window, digest_at, time_zone, next_digest_at) = 0))),
    CONSTRAINT subscriptions_digest_time CHECK ((num_nulls(digest_at, time_zone, next_digest_at) = ANY (ARRAY[0, 3]))),
    CONSTRAINT subscriptions_events_known CHECK ((events <@ ARRAY['stock.low'::text, 'stock.out'::text, 'stock.back_in_stock'::text, 'stock.restocked'::text, 'stock.changed'::text])),
    CONSTRAINT subscriptions_events_not_empty CHECK ((cardinality(events) > 0)),
    CONSTRAINT subscriptions_mail_has_no_changes CHECK (((channel <> 'mail'::text) OR ('stock.changed'::text <> ALL (events)))),
    CONSTRAINT subscriptions_name_length CHECK (((octet_length(name) >= 1) AND (octet_length(name) <= 200))),
    CONSTRAINT subscriptions_secret_of_webhook CHECK (((channel = 'webhook'::text) = (secret IS NOT NULL))),
    CONSTRAINT subscriptions_store_id_length CHECK (((octet_length(store_id) >= 1) AND (octet_length(store_id) <= 200))),
    CONSTRAINT subscriptions_target_length CHECK (((octet_length(target) >= 1) AND (octet_length(target) <= 2000)))
);
CREATE FUNCTION stockq.check_subscription_access(token_hash text, store_id text, subscription_id bigint, OUT failure text, OUT subscription stockq.subscriptions) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    failure := check_native_access(token_hash, store_id, 'manage_notifications');
    IF failure IS NULL THEN
        SELECT s.* INTO subscription
        FROM native_subscriptions(check_subscription_access.store_id) AS s
        WHERE s.subscription_id = check_subscription_access.subscription_id;
        IF NOT FOUND THEN
            failure := 'unknown_subscription';
        END IF;
    END IF;
END
$$;
CREATE FUNCTION stockq.check_text(place text, field text, value text) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    is_note CONSTANT boolean := field IN ('reason', 'reference');
    bytes_max CONSTANT integer := CASE WHEN is_note THEN 2000 ELSE 200 END;
    hidden CONSTANT text := CASE
        WHEN field IN ('store_id', 'item_id', 'location_id') THEN hidden_character(value)
    END;
BEGIN
    IF value IS NULL AND field IN ('store_id', 'item_id') THEN
        RAISE not_null_violation USING
            MESSAGE = format('%s%s is empty', place, field), TABLE = 'jobs', COLUMN = field;
    ELSIF value = '' AND NOT is_note THEN
        RAISE check_violation USING
            MESSAGE = format('%s%s is empty', place, field),
            TABLE = 'jobs', CONSTRAINT = format('jobs_%s_length', field);
    ELSIF octet_length(value) > bytes_max THEN
        RAISE check_violation USING
            MESSAGE = format(
                '%s%s has %s bytes, at most %s are allowed', place, field, octet_length(value), bytes_max),
            TABLE = 'jobs', CONSTRAINT = format('jobs_%s_length', field);
    ELSIF hidden IS NOT NULL THEN
        RAISE check_violation USING
            MESSAGE = format(
                '%s%s %s %s, which does not show; remove it', place, field,
                CASE hidden
                    WHEN 'U+' || upper(lpad(to_hex(ascii(value)), 4, '0')) THEN 'begins with'
                    WHEN 'U+' || upper(lpad(to_hex(ascii(right(value, 1))), 4, '0')) THEN 'ends with'
                    ELSE 'contains'
                END,
                CASE hidden WHEN 'U+0020' THEN 'U+0020 (SPACE)' ELSE hidden END),
            DETAIL = format('The %s is %s.', field, to_json(value)),
            HINT = 'An id has visible characters, and spaces only between them.',
            TABLE = 'jobs', CONSTRAINT = 'jobs_ids_visible';
    END IF;
END
$$;
CREATE FUNCTION stockq.check_time(place text, field text, value timestamp with time zone, has_limit boolean) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    time_limit interval;
BEGIN
    IF NOT isfinite(value) AND field <> 'expires_at' THEN
        RAISE check_violation USING
            MESSAGE = format('%s%s must be a time, not %s', place, field, value),
            TABLE = 'jobs', CONSTRAINT = format('jobs_%s_finite', field);
    ELSIF has_limit THEN
        time_limit := native_time_limit();
        IF value > now() + time_limit THEN
            RAISE check_violation USING
                MESSAGE = format(
                    '%s%s is too far ahead: %s days is the limit, and it is %s', place, field,
                    round(extract(epoch FROM time_limit) / 86400), value),
                HINT = 'An administrator changes the limit with set_time_limit.',
                TABLE = 'jobs', CONSTRAINT = format('jobs_%s_limit', field);
        END IF;
    END IF;
END
$$;
CREATE FUNCTION stockq.claim_deliveries(max_rows integer, each_max integer, busy bigint[], lease interval) RETURNS TABLE(delivery_id bigint, subscription_id bigint, claim_id bigint, channel text, target text, secrets text[], message_id text, event text, data text, occurred_at timestamp with time zone, attempts smallint, name text, store_id text, time_zone text)
    LANGUAGE plpgsql SECURITY DEFINER ROWS 100
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_sort TO 'off'
    AS $$
#variable_conflict use_column
DECLARE
    claim CONSTANT bigint := (random() * 9e15)::bigint;
BEGIN
    RETURN QUERY
    WITH RECURSIVE with_work AS (
        (
            SELECT d.subscription_id FROM deliveries AS d WHERE d.state = 'pending'
            ORDER BY d.subscription_id LIMIT 1
        )
        UNION ALL
        SELECT (
            SELECT d.subscription_id FROM deliveries AS d
            WHERE d.state = 'pending' AND d.subscription_id > with_work.subscription_id
            ORDER BY d.subscription_id LIMIT 1
        )
        FROM with_work
        WHERE with_work.subscription_id IS NOT NULL
    ), chosen AS MATERIALIZED (
        SELECT due.delivery_id, s.subscription_id, s.channel = 'mail' AS is_mail
        FROM with_work
        JOIN subscriptions AS s ON s.subscription_id = with_work.subscription_id
        CROSS JOIN LATERAL (
            SELECT d.delivery_id FROM deliveries AS d
            WHERE d.subscription_id = s.subscription_id AND d.state = 'pending' AND d.next_attempt_at <= now()
                AND (s.channel = 'mail' OR d.delivery_id = (
                    SELECT first.delivery_id FROM deliveries AS first
                    WHERE first.subscription_id = d.subscription_id AND first.state = 'pending'
                        AND (first.item_id, first.store_id, first.location_id)
                            >= (d.item_id, d.store_id, d.location_id)
                    ORDER BY first.item_id, first.store_id, first.location_id, first.delivery_id
                    LIMIT 1
                ))
            ORDER BY d.next_attempt_at
            LIMIT CASE WHEN s.channel = 'mail' THEN 1 ELSE each_max END
        ) AS due
        WHERE s.disabled_at IS NULL AND s.subscription_id <> ALL (busy)
        ORDER BY due.delivery_id
        LIMIT max_rows
    ), whole AS MATERIALIZED (
        SELECT chosen.delivery_id FROM chosen
        UNION
        SELECT also.delivery_id
        FROM chosen
        CROSS JOIN LATERAL (
            SELECT d.delivery_id FROM deliveries AS d
            -- Those of a claim that is lost come together again.
            WHERE d.subscription_id = chosen.subscription_id AND d.state = 'pending'
                AND (d.claim_id IS NULL OR d.next_attempt_at <= now())
            OFFSET 0 -- evaluated for mails alone, whatever the statistics
        ) AS also
        WHERE chosen.is_mail
    ), locked AS MATERIALIZED (
        SELECT d.delivery_id FROM deliveries AS d
        WHERE d.delivery_id = ANY (ARRAY(SELECT whole.delivery_id FROM whole))
        ORDER BY d.delivery_id
        FOR UPDATE SKIP LOCKED
    )
    UPDATE deliveries AS d
    SET attempts = least(d.attempts + 1, 1000), next_attempt_at = now() + lease, claim_id = claim
    FROM locked
    JOIN deliveries AS l ON l.delivery_id = locked.delivery_id
    JOIN subscriptions AS s ON s.subscription_id = l.subscription_id
    -- Another deliverer may have claimed or finished it before this one had the lock.
    WHERE d.delivery_id = locked.delivery_id AND d.state = 'pending'
        AND (d.next_attempt_at <= now() OR s.channel = 'mail' AND d.claim_id IS NULL)
    RETURNING d.delivery_id, d.subscription_id, d.claim_id, s.channel, s.target,
        array_remove(
            ARRAY[s.secret, CASE WHEN s.old_secret_until > now() THEN s.old_secret END], NULL),
        d.message_id, d.event, d.data::text, d.occurred_at, d.attempts, s.name, s.store_id, s.time_zone;
END
$$;
CREATE FUNCTION stockq.compare_threshold() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    available CONSTANT bigint := NEW.on_hand - NEW.allocated;
    level alert_level;
    written bigint;
BEGIN
    IF NEW.low_stock_threshold IS NULL THEN
        NEW.low_stock_threshold := default_threshold(NEW.store_id);
        NEW.threshold_is_default := NEW.low_stock_threshold IS NOT NULL;
    ELSIF NEW.low_stock_threshold IS DISTINCT FROM OLD.low_stock_threshold
        AND NEW.threshold_is_default = OLD.threshold_is_default
    THEN
        NEW.threshold_is_default := false;
    END IF;
    level := level_of(available, NEW.low_stock_threshold::bigint);
    IF NOT NEW.tracked OR NEW.notified_level IS NULL OR level = NEW.notified_level THEN
        RETURN NEW;
    END IF;
    INSERT INTO notifications (
        version, available_before, available_after, low_stock_threshold, kind, store_id, item_id, location_id
    ) VALUES (
        NEW.version, available, available, NEW.low_stock_threshold, kind_of(NEW.notified_level, level),
        NEW.store_id, NEW.item_id, NEW.location_id)
    RETURNING notification_id INTO written;
    INSERT INTO threshold_changes (
        notification_id, store_id, item_id, location_id, version, low_stock_threshold, alert_before, alert_after
    ) VALUES (
        written, NEW.store_id, NEW.item_id, NEW.location_id, NEW.version, NEW.low_stock_threshold, NEW.notified_level,
        level);
    NEW.notified_level := level;
    RETURN NEW;
END
$$;
CREATE FUNCTION stockq.correction_of(job_id bigint, retry_of bigint, store_id text) RETURNS bigint
    LANGUAGE sql STABLE
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.create_gateway_client(name text, client_id text, secret_hash text, store_id text, scopes text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
BEGIN
    IF EXISTS (
        SELECT FROM gateway_clients AS c WHERE c.name = create_gateway_client.name AND c.revoked_at IS NULL
    ) THEN
        RAISE unique_violation USING
            MESSAGE = format('there is a client %L', name),
            HINT = 'Use another name, or revoke that client: stockq clients revoke NAME';
    END IF;
    INSERT INTO gateway_clients (client_id, secret_hash, name, store_id, scopes)
    VALUES (
        create_gateway_client.client_id, create_gateway_client.secret_hash, create_gateway_client.name,
        create_gateway_client.store_id, ARRAY(SELECT DISTINCT unnest(create_gateway_client.scopes) ORDER BY 1)
    );
    PERFORM record_operation(
        'clients create',
        jsonb_build_object('name', name, 'client_id', client_id, 'store_id', store_id, 'scopes', scopes), NULL);
END
$$;
CREATE FUNCTION stockq.create_gateway_token(name text, token_hash text, stores text[], scopes text[], expires_after interval DEFAULT NULL::interval) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
BEGIN
    IF EXISTS (
        SELECT FROM unnest(stores) AS store WHERE store IS NULL OR octet_length(store) NOT BETWEEN 1 AND 200
    ) THEN
        RAISE invalid_parameter_value USING MESSAGE = 'the id of a store has 1 to 200 bytes';
    END IF;
    IF EXISTS (
        SELECT FROM gateway_tokens AS t WHERE t.name = create_gateway_token.name AND t.revoked_at IS NULL
    ) THEN
        RAISE unique_violation USING
            MESSAGE = format('there is a token %L', name),
            HINT = 'Use another name, or revoke that token: stockq tokens revoke NAME';
    END IF;
    INSERT INTO gateway_tokens (name, token_hash, stores, scopes, expires_at)
    VALUES (
        create_gateway_token.name, create_gateway_token.token_hash,
        ARRAY(SELECT DISTINCT unnest(create_gateway_token.stores) ORDER BY 1),
        ARRAY(SELECT DISTINCT unnest(create_gateway_token.scopes) ORDER BY 1), now() + expires_after
    );
    PERFORM record_operation(
        'tokens create',
        jsonb_build_object(
            'name', name, 'stores', stores, 'scopes', scopes, 'expires_at', now() + expires_after,
            'anonymous', CASE WHEN token_hash IS NULL THEN true END),
        NULL);
END
$$;
CREATE FUNCTION stockq.create_item(store_id text, item_id text, location_id text DEFAULT NULL::text, on_hand bigint DEFAULT 0, parent_id text DEFAULT NULL::text, tracked boolean DEFAULT true, low_stock_threshold bigint DEFAULT NULL::bigint) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    is_created boolean;
BEGIN
    SELECT create_item_for(
        t.producer, t.caller_token, create_item.store_id, create_item.item_id, create_item.location_id,
        create_item.on_hand, create_item.parent_id, create_item.tracked, create_item.low_stock_threshold)
    INTO STRICT is_created
    FROM my_caller_token AS t;
    RETURN is_created;
END
$$;
CREATE FUNCTION stockq.create_item_for(producer text, caller_token bytea, store_id text, item_id text, location_id text, on_hand bigint, parent_id text, tracked boolean, low_stock_threshold bigint) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET debug_print_plan TO 'off'
    AS $$
DECLARE
    location CONSTANT text := coalesce(location_id, (job_defaults()).location_id);
    is_created boolean;
BEGIN
    PERFORM check_text('', 'store_id', store_id), check_text('', 'item_id', item_id),
        check_text('', 'location_id', location);
    PERFORM check_manages_items(producer, caller_token, store_id, item_id, parent_id IS NOT NULL);
    PERFORM check_attributes(parent_id, low_stock_threshold);
    IF on_hand NOT BETWEEN 0 AND 9007199254740991 THEN
        RAISE check_violation USING
            MESSAGE = format('on_hand must be from 0 to 9007199254740991, not %s', on_hand),
            TABLE = 'items', CONSTRAINT = 'items_on_hand_range';
    END IF;
    INSERT INTO items (store_id, item_id, location_id, on_hand, parent_id, tracked, low_stock_threshold)
    VALUES (
        create_item_for.store_id, create_item_for.item_id, location, coalesce(create_item_for.on_hand, 0),
        create_item_for.parent_id, coalesce(create_item_for.tracked, true), create_item_for.low_stock_threshold
    )
    ON CONFLICT ON CONSTRAINT items_pkey DO NOTHING;
    is_created := FOUND;
    IF is_created THEN
        PERFORM record_operation(
            'items create',
            jsonb_build_object('store_id', store_id, 'item_id', item_id, 'location_id', location), NULL);
    END IF;
    RETURN is_created;
END
$$;
CREATE FUNCTION stockq.decide_item(item stockq.announced_items) RETURNS stockq.announced_items
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    n notifications;
    rearm_above bigint;
BEGIN
    SELECT * INTO n FROM notifications WHERE notification_id = item.notification_id;
    item.searched_version := n.version;
    item.ready_at := NULL;
    item.rearm_above := NULL;
    item.rearmed_by := NULL;
    IF item.level <> item.announced_level THEN
        IF item.announced_level = 'low' AND item.level = 'ok' THEN
            rearm_above := n.low_stock_threshold + (alert_policy(item.store_id)).rearm_margin;
        END IF;
        IF n.available_after <= rearm_above THEN
            item.rearm_above := rearm_above;
        ELSE
            item.ready_at := n.created_at;
        END IF;
    END IF;
    RETURN with_due_time(item);
END
$$;
CREATE FUNCTION stockq.default_threshold(store_id text) RETURNS bigint
    LANGUAGE sql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $_$
    SELECT p.default_threshold FROM alert_policies AS p WHERE p.store_id = $1 ORDER BY p.policy_id DESC LIMIT 1
$_$;
CREATE FUNCTION stockq.digest_items(subscription_id bigint, max_rows integer) RETURNS TABLE(store_id text, item_id text, location_id text, available bigint, low_stock_threshold bigint)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 100
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $_$
    SELECT i.store_id, i.item_id, i.location_id, i.available, i.low_stock_threshold::bigint
    FROM subscriptions AS s
    JOIN items AS i ON s.store_id IS NULL OR i.store_id = s.store_id
    WHERE s.subscription_id = $1 AND i.tracked
        AND NOT coalesce(
            (
                SELECT z.until > now() FROM snoozes AS z
                WHERE (z.item_id, z.store_id, z.location_id) = (i.item_id, i.store_id, i.location_id)
                ORDER BY z.snooze_id DESC
                LIMIT 1
            ), false)
        AND (i.available <= 0 OR i.available <= i.low_stock_threshold)
        AND starts_with(i.item_id, s.item_prefix) AND starts_with(i.location_id, s.location_prefix)
    ORDER BY i.store_id, i.item_id, i.location_id
    LIMIT $2
$_$;
CREATE FUNCTION stockq.drop_expired_keys(keep interval, keys_max integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    dropped integer;
BEGIN
    IF NOT lock_retention() THEN
        RETURN 0;
    END IF;
    DELETE FROM idempotency_keys
    WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM idempotency_keys WHERE used_at < now() - keep LIMIT keys_max FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS dropped = ROW_COUNT;
    RETURN dropped;
END
$$;
CREATE FUNCTION stockq.drop_expired_results(keep interval) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    name CONSTANT text := prepare_expired_results(keep);
BEGIN
    IF name IS NULL THEN
        RETURN NULL;
    END IF;
    WHILE NOT (SELECT f.is_complete FROM fold_expired_results(1, true) AS f) LOOP
    END LOOP;
    RETURN CASE WHEN drop_results_partition(name) THEN name END;
END
$$;
CREATE FUNCTION stockq.drop_old_deliveries(keep interval, max_rows integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    dropped integer;
BEGIN
    DELETE FROM deliveries WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM deliveries WHERE finished_at < now() - keep LIMIT max_rows FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS dropped = ROW_COUNT;
    RETURN dropped;
END
$$;
CREATE FUNCTION stockq.drop_old_imports(keep interval, rows_max integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
DECLARE
    dropped bigint[];
BEGIN
    IF NOT lock_retention() THEN
        RETURN 0;
    END IF;
    WITH gone AS (
        DELETE FROM imports
        WHERE ctid = ANY (ARRAY(
            SELECT i.ctid FROM imports AS i
            WHERE i.updated_at < now() - keep AND import_state(i) <> 'running'
                AND NOT EXISTS (
                    SELECT FROM import_parts AS p
                    WHERE p.import_id = i.import_id AND EXISTS (
                        SELECT FROM jobs AS j
                        WHERE j.job_id BETWEEN p.first_job_id AND p.last_job_id AND j.submission_id = p.submission_id))
            LIMIT rows_max
            FOR UPDATE SKIP LOCKED
        ))
        RETURNING import_id
    )
    SELECT array_agg(import_id) INTO dropped FROM gone;
    DELETE FROM import_parts WHERE import_id = ANY (dropped);
    RETURN coalesce(cardinality(dropped), 0);
END
$$;
CREATE FUNCTION stockq.drop_old_notifications(keep interval, rows_max integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
DECLARE
    dropped bigint[];
    first_job CONSTANT bigint := (SELECT min(p.lower_bound) FROM partition_bounds() AS p);
    before CONSTANT timestamptz := least(now() - keep, (SELECT min(occurred_at) FROM deliveries));
    progress delivery_progress;
    is_delivered boolean;
BEGIN
    IF NOT lock_retention() THEN
        RETURN 0;
    END IF;
    SELECT * INTO progress FROM delivery_progress;
    is_delivered := NOT EXISTS (SELECT FROM subscriptions);
    WITH gone AS (
        DELETE FROM notifications
        WHERE ctid = ANY (ARRAY(
            SELECT n.ctid FROM notifications AS n
            WHERE n.created_at < before
                AND (is_delivered OR (n.position, n.notification_id) <= (progress.position, progress.row_id))
                AND CASE WHEN n.job_id IS NOT NULL THEN n.job_id < first_job ELSE NOT EXISTS (
                    SELECT FROM items AS i
                    WHERE (i.store_id, i.item_id, i.location_id, i.version)
                        = (n.store_id, n.item_id, n.location_id, n.version)
                ) END
                AND NOT EXISTS (
                    SELECT FROM announced_stores AS s
                    WHERE s.store_id = n.store_id
                        AND (n.position, n.notification_id) > (s.from_position, s.from_row))
            LIMIT rows_max
            FOR UPDATE SKIP LOCKED
        ))
        RETURNING notification_id
    )
    SELECT array_agg(notification_id) INTO dropped FROM gone;
    DELETE FROM threshold_changes WHERE notification_id = ANY (dropped);
    RETURN coalesce(cardinality(dropped), 0);
END
$$;
CREATE FUNCTION stockq.drop_old_operations(keep interval, rows_max integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    dropped integer;
BEGIN
    IF NOT lock_retention() THEN
        RETURN 0;
    END IF;
    DELETE FROM operations
    WHERE operation_id IN (
        SELECT operation_id FROM operations WHERE at < now() - keep ORDER BY operation_id LIMIT rows_max);
    GET DIAGNOSTICS dropped = ROW_COUNT;
    RETURN dropped;
END
$$;
CREATE FUNCTION stockq.drop_results_partition(name text, detach boolean DEFAULT false) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    oldest record;
BEGIN
    IF NOT lock_retention() OR EXISTS (SELECT FROM next_openings) THEN
        RETURN false;
    END IF;
    -- Its results had expired when it was prepared, and no job can get another one.
    SELECT p.name, p.upper_bound INTO oldest FROM partition_bounds() AS p ORDER BY p.lower_bound LIMIT 1;
    DELETE FROM prepared_partitions AS p WHERE p.name = drop_results_partition.name AND p.name = oldest.name;
    IF NOT FOUND OR EXISTS (SELECT FROM jobs WHERE job_id < oldest.upper_bound) THEN
        RETURN false;
    END IF;
    DELETE FROM import_parts WHERE last_job_id < oldest.upper_bound;
    -- Last, because all batches wait from here to the end of the transaction.
    IF detach THEN
        EXECUTE format('ALTER TABLE results DETACH PARTITION %I', name);
        EXECUTE format('ALTER TABLE %I RENAME TO %I', name, 'detached_' || name);
    ELSE
        EXECUTE format('DROP TABLE %I', name);
    END IF;
    RETURN true;
END
$$;
CREATE FUNCTION stockq.enqueue(store_id text, item_id text, quantity bigint, action text DEFAULT NULL::text, location_id text DEFAULT NULL::text, on_insufficient text DEFAULT NULL::text, expected_available bigint DEFAULT NULL::bigint, idempotency_key text DEFAULT NULL::text, group_id text DEFAULT NULL::text, priority integer DEFAULT NULL::integer, run_at timestamp with time zone DEFAULT NULL::timestamp with time zone, expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone, notify boolean DEFAULT NULL::boolean, ordering_key text DEFAULT NULL::text, reason text DEFAULT NULL::text, reference text DEFAULT NULL::text, max_attempts integer DEFAULT NULL::integer, counted_at timestamp with time zone DEFAULT NULL::timestamp with time zone, actor text DEFAULT NULL::text, occurred_at timestamp with time zone DEFAULT NULL::timestamp with time zone, metadata jsonb DEFAULT NULL::jsonb) RETURNS stockq.receipt
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.enqueue_arrays(store_id text, item_ids text[], quantities bigint[], actions text[] DEFAULT NULL::text[], location_ids text[] DEFAULT NULL::text[], on_insufficients text[] DEFAULT NULL::text[], expected_availables bigint[] DEFAULT NULL::bigint[], idempotency_keys text[] DEFAULT NULL::text[], "references" text[] DEFAULT NULL::text[], reasons text[] DEFAULT NULL::text[], notifies boolean[] DEFAULT NULL::boolean[], group_id text DEFAULT NULL::text, idempotency_key text DEFAULT NULL::text, priority integer DEFAULT NULL::integer, run_at timestamp with time zone DEFAULT NULL::timestamp with time zone, expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone, ordering_key text DEFAULT NULL::text, max_attempts integer DEFAULT NULL::integer, reference text DEFAULT NULL::text, reason text DEFAULT NULL::text, counted_ats timestamp with time zone[] DEFAULT NULL::timestamp with time zone[], actors text[] DEFAULT NULL::text[], occurred_ats timestamp with time zone[] DEFAULT NULL::timestamp with time zone[], metadatas jsonb[] DEFAULT NULL::jsonb[], counted_at timestamp with time zone DEFAULT NULL::timestamp with time zone, actor text DEFAULT NULL::text, occurred_at timestamp with time zone DEFAULT NULL::timestamp with time zone, metadata jsonb DEFAULT NULL::jsonb) RETURNS SETOF stockq.receipt
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.enqueue_lines(store_id text, lines jsonb, group_id text DEFAULT NULL::text, idempotency_key text DEFAULT NULL::text, priority integer DEFAULT NULL::integer, run_at timestamp with time zone DEFAULT NULL::timestamp with time zone, expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone, ordering_key text DEFAULT NULL::text, max_attempts integer DEFAULT NULL::integer, reference text DEFAULT NULL::text, reason text DEFAULT NULL::text, counted_at timestamp with time zone DEFAULT NULL::timestamp with time zone, actor text DEFAULT NULL::text, occurred_at timestamp with time zone DEFAULT NULL::timestamp with time zone, metadata jsonb DEFAULT NULL::jsonb) RETURNS SETOF stockq.receipt
    LANGUAGE sql
    SET search_path TO 'stockq', 'pg_temp'
    AS $_$
    SELECT receipt.*
    FROM read_lines($2) AS l
    CROSS JOIN LATERAL enqueue_arrays(
        $1, l.item_ids, l.quantities, l.actions, l.location_ids, l.on_insufficients, l.expected_availables,
        l.idempotency_keys, l."references", l.reasons, l.notifies, $3, $4, $5, $6, $7, $8, $9, $10, $11,
        l.counted_ats, l.actors, l.occurred_ats, l.metadatas, $12, $13, $14, $15
    ) AS receipt
$_$;
CREATE FUNCTION stockq.event_of(kind stockq.notification_kind) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
    SELECT CASE kind WHEN 'low_stock' THEN 'stock.low' WHEN 'out_of_stock' THEN 'stock.out' ELSE 'stock.' || kind END
$$;
CREATE FUNCTION stockq.fan_out_changes() RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
DECLARE
    s record;
    page record;
    ahead integer;
    made integer := 0;
BEGIN
    FOR s IN SELECT * FROM subscriptions WHERE changes_cursor IS NOT NULL AND disabled_at IS NULL LOOP
        SELECT count(*) INTO ahead FROM deliveries AS d
        WHERE d.subscription_id = s.subscription_id AND d.state = 'pending' AND d.item_id = '' AND d.store_id = ''
            AND d.location_id = '';
        FOR step IN ahead + 1..10 LOOP
            SELECT count(*) AS changes, (array_agg(c.cursor ORDER BY number DESC))[1] AS cursor,
                max(c.finished_at) AS occurred_at,
                json_agg(
                    json_build_object(
                        'store_id', c.store_id, 'item_id', c.item_id, 'location_id', c.location_id,
                        'version', c.version, 'job_id', c.job_id, 'action', c.action, 'quantity', c.applied_quantity,
                        'on_hand', c.on_hand_after, 'allocated', c.allocated_after,
                        'available', c.on_hand_after - c.allocated_after, 'reference', c.reference,
                        'reason', c.reason, 'actor', c.actor, 'occurred_at', native_time(c.occurred_at),
                        'metadata', c.metadata)
                    ORDER BY number
                ) FILTER (
                    WHERE starts_with(c.item_id, s.item_prefix) AND starts_with(c.location_id, s.location_prefix)
                ) AS list
            INTO page
            FROM changes_after(s.changes_cursor, 100, s.store_id) WITH ORDINALITY AS c (
                job_id, store_id, item_id, location_id, version, action, quantity, applied_quantity, on_hand_before,
                on_hand_after, allocated_before, allocated_after, group_id, reason, reference, actor, occurred_at,
                metadata, counted_at, finished_at, cursor, number);
            EXIT WHEN page.changes = 0;
            s.changes_cursor := page.cursor;
            CONTINUE WHEN page.list IS NULL;
            INSERT INTO deliveries (
                subscription_id, message_id, event, store_id, item_id, location_id, data, occurred_at
            ) VALUES (
                s.subscription_id, 'msg_' || s.subscription_id || '_c' || page.cursor, 'stock.changed', '', '', '',
                json_build_object('changes', page.list), page.occurred_at);
            made := made + 1;
        END LOOP;
        UPDATE subscriptions AS u SET changes_cursor = s.changes_cursor
        WHERE u.subscription_id = s.subscription_id AND u.changes_cursor <> s.changes_cursor;
    END LOOP;
    RETURN made;
END
$$;
CREATE FUNCTION stockq.fan_out_deliveries(max_rows integer DEFAULT 1000, OUT notifications integer, OUT deliveries integer) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    AS $$
#variable_conflict use_column
DECLARE
    progress delivery_progress;
    horizon record;
    last_position bigint;
    last_row bigint;
    announced bigint[];
    digest record;
BEGIN
    -- Announcements do not depend on subscriptions.
    IF NOT EXISTS (SELECT FROM subscriptions WHERE disabled_at IS NULL)
        AND NOT EXISTS (SELECT FROM announced_stores)
    THEN
        RETURN;
    END IF;
    notifications := 0;
    deliveries := 0;
    -- A poll that finds nothing writes nothing, and a row lock is a write.
    SELECT * INTO progress FROM delivery_progress;
    horizon := feed_horizon('notifications'::regclass, 'notifications_notification_id_seq'::regclass);
    IF NOT EXISTS (
            SELECT FROM notifications AS n
            WHERE (n.position, n.notification_id) > (progress.position, progress.row_id)
                AND (n.position, n.notification_id) <= (horizon.position, horizon.row_id)
        )
        AND NOT EXISTS (
            SELECT FROM subscriptions AS s
            WHERE s.disabled_at IS NULL AND (s.next_digest_at <= now() OR s.changes_cursor IS NOT NULL)
        )
        AND NOT is_announcement_due()
    THEN
        RETURN;
    END IF;
    SELECT * INTO progress FROM delivery_progress FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN; -- another process does it
    END IF;
    SELECT count(*), max(position), max(notification_id) FILTER (WHERE is_last)
    INTO notifications, last_position, last_row
    FROM (
        SELECT n.position, n.notification_id, lead(n.position) OVER () IS NULL AS is_last FROM (
            SELECT * FROM notifications AS newer
            WHERE (newer.position, newer.notification_id) > (progress.position, progress.row_id)
                AND (newer.position, newer.notification_id) <= (horizon.position, horizon.row_id)
            ORDER BY newer.position, newer.notification_id
            LIMIT max_rows
        ) AS n
    ) AS page;
    last_position := coalesce(last_position, progress.position);
    last_row := coalesce(last_row, progress.row_id);
    announced := announce_notifications(progress.position, progress.row_id, last_position, last_row);
    -- A level is due as the notifications have it, so all of them are read first.
    IF notifications < max_rows THEN
        announced := announced || announce_due(max_rows);
    END IF;
    deliveries := insert_deliveries(
        progress.position, progress.row_id, last_position, last_row, announced => announced);
    IF notifications > 0 THEN
        UPDATE delivery_progress SET position = last_position, row_id = last_row;
    END IF;
    deliveries := deliveries + fan_out_changes();
    FOR digest IN
        SELECT * FROM subscriptions AS s WHERE s.next_digest_at <= now() AND s.disabled_at IS NULL FOR UPDATE
    LOOP
        -- The mail lists what is low or out now, and what has become pending since the last digest.
        INSERT INTO deliveries (
            subscription_id, message_id, event, store_id, item_id, location_id, data, occurred_at
        ) VALUES (
            digest.subscription_id,
            'msg_' || digest.subscription_id || '_digest_' || extract(epoch FROM digest.next_digest_at)::bigint,
            'stock.digest', coalesce(digest.store_id, ''), '', '', '{}', digest.next_digest_at);
        UPDATE subscriptions SET next_digest_at = next_digest(digest.digest_at, digest.time_zone, now())
        WHERE subscription_id = digest.subscription_id;
        deliveries := deliveries + 1;
    END LOOP;
END
$$;
CREATE FUNCTION stockq.feed_horizon(feed regclass, row_ids regclass, OUT "position" bigint, OUT row_id bigint) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    base CONSTANT bigint := coalesce(pg_sequence_last_value('feed_base'::regclass), 0);
    xmax CONSTANT bigint := pg_snapshot_xmax(pg_current_snapshot())::text::bigint;
    oldest bigint;
BEGIN
    "position" := xmax - 1;
    row_id := coalesce(pg_sequence_last_value(row_ids), 0);
    IF current_setting('transaction_isolation') <> 'read committed' OR pg_is_in_recovery() THEN
        oldest := pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
    ELSE
        WITH locks AS MATERIALIZED (
            SELECT locktype, mode, virtualtransaction, transactionid, relation, database FROM pg_locks WHERE granted
        )
        -- pg_locks has the lower 32 bits of an id, which is less than 2^31 away from the xmax.
        SELECT min(xmax - CASE WHEN age < 2147483648 THEN age ELSE age - 4294967296 END) INTO oldest
        FROM (
            SELECT (xmax - own.transactionid::text::bigint) & 4294967295 AS age
            FROM locks AS writer
            JOIN locks AS own USING (virtualtransaction)
            WHERE writer.locktype = 'relation' AND writer.mode = 'RowExclusiveLock' AND writer.relation = feed
                AND writer.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND own.locktype = 'transactionid' AND own.mode = 'ExclusiveLock'
        ) AS writing;
    END IF;
    IF oldest <= "position" THEN
        "position" := oldest;
        row_id := 0; -- row ids begin at 1
    END IF;
    "position" := "position" + base;
END
$$;
CREATE FUNCTION stockq.feed_stores(store_id text) RETURNS text[]
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
BEGIN
    IF store_id IS NOT NULL THEN
        RETURN ARRAY[store_id];
    ELSIF can_read_all_stores() THEN
        RETURN NULL;
    END IF;
    RETURN ARRAY(SELECT my_grants.store_id FROM my_grants);
END
$$;
CREATE FUNCTION stockq.fill_up(texts text[], value text, lines integer) RETURNS text[]
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
    SELECT CASE WHEN value IS NULL THEN texts ELSE ARRAY(
        SELECT coalesce(given.line_text, value)
        FROM generate_series(1, lines) AS number
        LEFT JOIN unnest(texts) WITH ORDINALITY AS given (line_text, number) USING (number)
        ORDER BY number
    ) END
$$;
CREATE FUNCTION stockq.strand_of(store_id text, ordering_key text, priority integer) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((CASE WHEN (ordering_key IS NULL) THEN ((hashtextextended(store_id, (0)::bigint) & (268435455)::bigint))::integer ELSE ((((hashtextextended(ordering_key, hashtextextended(store_id, (0)::bigint)) & (63)::bigint))::integer << 22) | ((hashtextextended(store_id, (0)::bigint) & (4194303)::bigint))::integer) END << 2) | (priority - 1));
CREATE TABLE stockq.grants (
    producer text NOT NULL COLLATE pg_catalog."C",
    store_id text NOT NULL COLLATE pg_catalog."C",
    scopes text[] NOT NULL COLLATE pg_catalog."C",
    granted_by text DEFAULT SESSION_USER NOT NULL,
    granted_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT grants_scopes_known CHECK ((scopes <@ ARRAY['update_catalog'::text, 'read_catalog'::text, 'manage_items'::text])),
    CONSTRAINT grants_scopes_not_empty CHECK ((cardinality(scopes) > 0)),
    CONSTRAINT grants_store_id_length CHECK (((octet_length(store_id) >= 1) AND (octet_length(store_id) <= 200)))
);
CREATE TABLE stockq.jobs (
    job_id bigint NOT NULL,
    quantity numeric NOT NULL,
    expected_available numeric,
    submission_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    retry_of bigint,
    run_at timestamp with time zone,
    scheduled_at timestamp with time zone,
    expires_at timestamp with time zone,
    enqueued_at timestamp with time zone DEFAULT now() NOT NULL,
    waiting_since timestamp with time zone,
    waiting_quantity bigint,
    paused_at timestamp with time zone,
    priority smallint DEFAULT 2 NOT NULL,
    attempts smallint DEFAULT 0 NOT NULL,
    max_attempts smallint DEFAULT 10 NOT NULL,
    action stockq.action DEFAULT 'adjust'::stockq.action NOT NULL,
    on_insufficient stockq.on_insufficient DEFAULT 'reject'::stockq.on_insufficient NOT NULL,
    notify boolean DEFAULT true NOT NULL,
    store_id text NOT NULL COLLATE pg_catalog."C",
    item_id text NOT NULL COLLATE pg_catalog."C",
    location_id text DEFAULT 'main'::text NOT NULL COLLATE pg_catalog."C",
    group_id text COLLATE pg_catalog."C",
    ordering_key text COLLATE pg_catalog."C",
    idempotency_key text COLLATE pg_catalog."C",
    reason text COLLATE pg_catalog."C",
    reference text COLLATE pg_catalog."C",
    last_error text COLLATE pg_catalog."C",
    counted_at timestamp with time zone,
    actor text COLLATE pg_catalog."C",
    occurred_at timestamp with time zone,
    metadata jsonb,
    lane smallint GENERATED ALWAYS AS ((
CASE
    WHEN (ordering_key IS NULL) THEN ((hashtextextended(store_id, (0)::bigint) >> 22) & (63)::bigint)
    ELSE (hashtextextended(ordering_key, hashtextextended(store_id, (0)::bigint)) & (63)::bigint)
END)::smallint) STORED NOT NULL,
    strand integer GENERATED ALWAYS AS (stockq.strand_of(store_id, ordering_key, (priority)::integer)) STORED NOT NULL,
    CONSTRAINT jobs_attempts_range CHECK (((attempts >= 0) AND (attempts <= 1000))),
    CONSTRAINT jobs_expected_available_whole CHECK ((expected_available = ((expected_available)::bigint)::numeric)),
    CONSTRAINT jobs_group_id_length CHECK (((octet_length(group_id) >= 1) AND (octet_length(group_id) <= 200))),
    CONSTRAINT jobs_group_in_store_lane CHECK (((group_id IS NULL) OR (ordering_key IS NULL))),
    CONSTRAINT jobs_idempotency_key_length CHECK (((octet_length(idempotency_key) >= 1) AND (octet_length(idempotency_key) <= 200))),
    CONSTRAINT jobs_item_id_length CHECK (((octet_length(item_id) >= 1) AND (octet_length(item_id) <= 200))),
    CONSTRAINT jobs_location_id_length CHECK (((octet_length(location_id) >= 1) AND (octet_length(location_id) <= 200))),
    CONSTRAINT jobs_max_attempts_range CHECK (((max_attempts >= 1) AND (max_attempts <= 1000))),
    CONSTRAINT jobs_ordering_key_length CHECK (((octet_length(ordering_key) >= 1) AND (octet_length(ordering_key) <= 200))),
    CONSTRAINT jobs_policy_fits_action CHECK (((on_insufficient = 'reject'::stockq.on_insufficient) OR (action = ANY (ARRAY['adjust'::stockq.action, 'allocate'::stockq.action])) OR ((action = 'set'::stockq.action) AND (on_insufficient = 'allow'::stockq.on_insufficient)))),
    CONSTRAINT jobs_priority_range CHECK (((priority >= 1) AND (priority <= 4))),
    CONSTRAINT jobs_quantity_whole CHECK ((quantity = ((quantity)::bigint)::numeric)),
    CONSTRAINT jobs_reason_length CHECK ((octet_length(reason) <= 2000)),
    CONSTRAINT jobs_reference_length CHECK ((octet_length(reference) <= 2000)),
    CONSTRAINT jobs_run_at_finite CHECK ((isfinite(run_at) OR ((paused_at IS NOT NULL) AND (run_at = 'infinity'::timestamp with time zone)))),
    CONSTRAINT jobs_store_id_length CHECK (((octet_length(store_id) >= 1) AND (octet_length(store_id) <= 200)))
)
WITH (autovacuum_vacuum_scale_factor='0.2', autovacuum_vacuum_threshold='20000', autovacuum_vacuum_insert_threshold='-1', autovacuum_vacuum_cost_delay='2', autovacuum_vacuum_cost_limit='2000', vacuum_truncate=off);
CREATE TABLE stockq.lanes (
    lane smallint NOT NULL,
    paused_at timestamp with time zone,
    has_paused_stores boolean DEFAULT false NOT NULL,
    epoch bigint DEFAULT 0 NOT NULL,
    CONSTRAINT lanes_lane_range CHECK (((lane >= 0) AND (lane <= 63)))
);
CREATE TABLE stockq.paused_stores (
    store_id text NOT NULL COLLATE pg_catalog."C",
    paused_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT paused_stores_store_id_length CHECK (((octet_length(store_id) >= 1) AND (octet_length(store_id) <= 200)))
);
CREATE VIEW stockq.my_paused_stores WITH (security_barrier='true') AS
 SELECT paused_stores.store_id
   FROM stockq.paused_stores
  WHERE (( SELECT stockq.can_read_all_stores() AS can_read_all_stores) OR (paused_stores.store_id IN ( SELECT grants.store_id
           FROM stockq.grants
          WHERE (grants.producer = (CURRENT_USER)::text))));
CREATE VIEW stockq.paused_lanes WITH (security_barrier='true') AS
 SELECT lanes.lane
   FROM stockq.lanes
  WHERE (lanes.paused_at IS NOT NULL);
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
    submission_id xid8 NOT NULL,
    group_last_job_id bigint,
    first_job_id bigint,
    retry_of bigint,
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
    ordering_key text COLLATE pg_catalog."C",
    idempotency_key text COLLATE pg_catalog."C",
    reason text COLLATE pg_catalog."C",
    reference text COLLATE pg_catalog."C",
    worker text NOT NULL COLLATE pg_catalog."C",
    sqlstate text COLLATE pg_catalog."C",
    message text COLLATE pg_catalog."C",
    counted_at timestamp with time zone,
    actor text COLLATE pg_catalog."C",
    occurred_at timestamp with time zone,
    metadata jsonb,
    waiting_since timestamp with time zone
)
PARTITION BY RANGE (job_id);
CREATE VIEW stockq.job_states WITH (security_invoker='true') AS
 SELECT jobs.job_id,
        CASE
            WHEN (jobs.paused_at IS NOT NULL) THEN 'paused'::text
            WHEN ((jobs.run_at IS NULL) OR ((jobs.run_at <= now()) AND (jobs.waiting_since IS NULL))) THEN
            CASE
                WHEN ((jobs.lane IN ( SELECT p.lane
                   FROM stockq.paused_lanes p)) OR (jobs.store_id IN ( SELECT p.store_id
                   FROM stockq.my_paused_stores p))) THEN 'paused'::text
                ELSE 'ready'::text
            END
            WHEN (jobs.waiting_since IS NOT NULL) THEN 'waiting'::text
            WHEN (jobs.attempts > 0) THEN 'retrying'::text
            ELSE 'scheduled'::text
        END AS state,
    jobs.store_id,
    jobs.item_id,
    jobs.location_id,
    jobs.action,
    (jobs.quantity)::bigint AS quantity,
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
    jobs.last_error AS message,
    jobs.submission_id,
    jobs.run_at,
    jobs.attempts,
    jobs.max_attempts,
    jobs.counted_at,
    jobs.actor,
    jobs.occurred_at,
    jobs.metadata
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
    results.message,
    results.submission_id,
    NULL::timestamp with time zone AS run_at,
    results.attempts,
    results.max_attempts,
    results.counted_at,
    results.actor,
    results.occurred_at,
    results.metadata
   FROM stockq.results;
CREATE FUNCTION stockq.find_group(store_id text, group_id text) RETURNS SETOF stockq.job_states
    LANGUAGE sql STABLE ROWS 10
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $_$
    SELECT state.*
    FROM (
        SELECT jobs.job_id FROM jobs WHERE (jobs.group_id, jobs.store_id) = ($2, $1)
        UNION
        -- A group's first line says how far the group reaches. Lines of other submissions can be in between. A group
        -- that is too large has such a line for each batch, and where its priorities differ their extents overlap.
        SELECT line.job_id
        FROM results AS first
        JOIN results AS line
            ON line.job_id BETWEEN first.job_id AND first.group_last_job_id
            AND (line.group_id, line.store_id, line.submission_id) = ($2, $1, first.submission_id)
        WHERE (first.group_id, first.store_id) = ($2, $1) AND first.group_last_job_id IS NOT NULL
    ) AS of_group
    CROSS JOIN LATERAL (SELECT * FROM job_states AS s WHERE s.job_id = of_group.job_id) AS state
    ORDER BY state.job_id
$_$;
CREATE FUNCTION stockq.find_job(job_id bigint) RETURNS SETOF stockq.job_states
    LANGUAGE sql STABLE ROWS 1
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $_$
    SELECT * FROM job_states WHERE job_states.job_id = $1
$_$;
CREATE FUNCTION stockq.find_kept_partition(keep interval, OUT name text, OUT upper_bound bigint, OUT partitions bigint, OUT reason text, OUT last_finished_at timestamp with time zone, OUT store_id text, OUT job_id bigint, OUT run_at timestamp with time zone, OUT expires_at timestamp with time zone, OUT jobs bigint) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $_$
#variable_conflict use_column
DECLARE
    oldest record;
    is_live boolean;
BEGIN
    SELECT p.name, p.upper_bound, count(*) OVER () AS partitions INTO oldest
    FROM partition_bounds() AS p
    ORDER BY p.lower_bound
    LIMIT 1;
    name := oldest.name;
    upper_bound := oldest.upper_bound;
    partitions := oldest.partitions;
    IF oldest.upper_bound > (SELECT last_value FROM jobs_job_id_seq) THEN
        reason := 'in_use';
    END IF;
    IF reason IS NOT NULL OR name IS NULL THEN
        RETURN;
    END IF;
    -- A result that is kept is often the last one; otherwise the partition is read.
    EXECUTE format('SELECT finished_at FROM %I ORDER BY job_id DESC LIMIT 1', oldest.name) INTO last_finished_at;
    is_live := coalesce(last_finished_at > now() - keep, false);
    IF NOT is_live THEN
        EXECUTE format('SELECT max(finished_at) FROM %I WHERE finished_at > now() - $1', oldest.name)
        INTO last_finished_at
        USING keep;
        is_live := last_finished_at IS NOT NULL;
    END IF;
    IF is_live THEN
        reason := 'not_expired';
        RETURN;
    END IF;
    SELECT 'queued_job', j.store_id, j.job_id,
        -- A paused or promoted job keeps the time that its producer set.
        coalesce(j.scheduled_at, j.run_at), j.expires_at,
        (SELECT count(*) FROM (SELECT FROM jobs AS k WHERE k.job_id < oldest.upper_bound LIMIT 1000) AS counted)
    INTO reason, store_id, job_id, run_at, expires_at, jobs
    FROM jobs AS j
    WHERE j.job_id < oldest.upper_bound
    ORDER BY j.job_id
    LIMIT 1;
END
$_$;
CREATE FUNCTION stockq.find_key(store_id text, idempotency_key text) RETURNS SETOF stockq.job_states
    LANGUAGE sql STABLE ROWS 1
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $_$
    SELECT state.*
    FROM key_in_use($1, $2) AS first
    CROSS JOIN LATERAL (SELECT * FROM job_states AS s WHERE s.job_id = first.job_id) AS state
$_$;
CREATE FUNCTION stockq.find_reference(store_id text, reference text) RETURNS SETOF stockq.job_states
    LANGUAGE sql STABLE ROWS 10
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $_$
    SELECT * FROM job_states WHERE job_states.reference = $2 AND job_states.store_id = $1 ORDER BY job_id
$_$;
CREATE FUNCTION stockq.finish_deliveries(delivery_ids bigint[], claim_ids bigint[], errors text[], pauses integer[], gone boolean[], disable_after interval) RETURNS TABLE(subscription_id bigint, name text, reason text)
    LANGUAGE plpgsql SECURITY DEFINER ROWS 1
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_sort TO 'off'
    AS $$
#variable_conflict use_column
DECLARE
    has_failures CONSTANT boolean := array_remove(errors, NULL) <> '{}';
    -- https://github.com/standard-webhooks/standard-webhooks, "Deliverability and reliability"
    schedule CONSTANT integer[] := ARRAY[5, 300, 1800, 7200, 18000, 36000, 36000];
BEGIN
    UPDATE deliveries AS d
    SET state = CASE
            WHEN ended.error IS NULL THEN 'delivered'
            WHEN d.attempts > cardinality(schedule) THEN 'dead'
            ELSE 'pending'
        END,
        finished_at = CASE WHEN ended.error IS NULL OR d.attempts > cardinality(schedule) THEN now() END,
        next_attempt_at = now() + greatest(
            schedule[least(d.attempts, cardinality(schedule))] * (0.9 + 0.2 * random()),
            least(coalesce(ended.pause, 0), 86400)
        ) * interval '1 second',
        claim_id = NULL, last_error = ended.error
    FROM unnest(delivery_ids, claim_ids, errors, pauses) AS ended (delivery_id, claim_id, error, pause)
    WHERE d.delivery_id = ended.delivery_id AND d.claim_id = ended.claim_id;
    -- What comes after a failed message of an item waits for it, and no claim looks at it before.
    IF has_failures THEN
        UPDATE deliveries AS d
        SET next_attempt_at = waiting.until
        FROM (
            SELECT later.delivery_id, failed.next_attempt_at AS until
            FROM unnest(delivery_ids, errors) AS ended (delivery_id, error)
            JOIN deliveries AS failed ON failed.delivery_id = ended.delivery_id AND failed.state = 'pending'
            CROSS JOIN LATERAL (
                SELECT * FROM deliveries AS of_item
                WHERE of_item.subscription_id = failed.subscription_id AND of_item.state = 'pending'
                    AND (of_item.item_id, of_item.store_id, of_item.location_id)
                        >= (failed.item_id, failed.store_id, failed.location_id)
                    AND (of_item.item_id, of_item.store_id, of_item.location_id)
                        <= (failed.item_id, failed.store_id, failed.location_id)
                ORDER BY of_item.item_id, of_item.store_id, of_item.location_id, of_item.delivery_id
            ) AS later
            WHERE ended.error IS NOT NULL AND later.delivery_id > failed.delivery_id
        ) AS waiting
        WHERE d.delivery_id = waiting.delivery_id AND d.state = 'pending' AND d.next_attempt_at < waiting.until
            AND d.claim_id IS NULL;
    END IF;
    -- A success ends a failing time; a failure begins one.
    UPDATE subscriptions AS s
    SET failing_since = CASE WHEN seen.succeeded THEN NULL ELSE coalesce(s.failing_since, now()) END
    FROM (
        SELECT d.subscription_id, bool_or(ended.error IS NULL) AS succeeded
        FROM unnest(delivery_ids, errors) AS ended (delivery_id, error)
        JOIN deliveries AS d ON d.delivery_id = ended.delivery_id
        GROUP BY d.subscription_id
    ) AS seen
    WHERE s.subscription_id = seen.subscription_id AND (s.failing_since IS NULL) <> seen.succeeded;
    IF NOT has_failures THEN
        RETURN;
    END IF;
    FOR subscription_id, name, reason IN
    WITH failed AS (
        SELECT d.subscription_id, bool_or(ended.gone) AS is_gone, max(ended.error) AS error
        FROM unnest(delivery_ids, errors, gone) AS ended (delivery_id, error, gone)
        JOIN deliveries AS d ON d.delivery_id = ended.delivery_id
        WHERE ended.error IS NOT NULL
        GROUP BY d.subscription_id
    )
    UPDATE subscriptions AS s
    SET disabled_at = now(),
        disabled_reason = CASE WHEN failed.is_gone THEN failed.error
            ELSE format('every attempt since %s has failed, the last one with: %s', s.failing_since, failed.error) END
    FROM failed
    WHERE s.subscription_id = failed.subscription_id AND s.disabled_at IS NULL
        AND (failed.is_gone OR s.failing_since < now() - disable_after)
    RETURNING s.subscription_id, s.name, s.disabled_reason
    LOOP
        PERFORM record_operation(
            'subscriptions disable', jsonb_build_object('name', name, 'reason', reason), NULL);
        RETURN NEXT;
    END LOOP;
END
$$;
CREATE FUNCTION stockq.finish_item_move(store_id text, from_item text, from_location text, to_item text, to_location text, OUT is_retired boolean, OUT given_jobs bigint) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
#variable_conflict use_column
DECLARE
    item items;
BEGIN
    PERFORM lock_queue(shared => false);
    item := item_to_move(finish_item_move.store_id, from_item, from_location);
    is_retired := NOT item.tracked OR (item.on_hand = 0 AND item.allocated = 0);
    given_jobs := 0;
    IF NOT is_retired THEN
        RETURN;
    END IF;
    given_jobs := give_jobs_item(finish_item_move.store_id, from_item, from_location, to_item, to_location, false);
    IF from_item <> to_item THEN
        UPDATE items SET parent_id = to_item
        WHERE store_id = finish_item_move.store_id AND parent_id = from_item AND item_id <> to_item;
    END IF;
    PERFORM retire_item(finish_item_move.store_id, from_item, from_location);
END
$$;
CREATE FUNCTION stockq.fold_expired_results(items_max integer, waits boolean, OUT folded integer, OUT is_complete boolean) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
DECLARE
    chosen next_openings[];
BEGIN
    IF NOT lock_retention() THEN
        RETURN;
    END IF;
    IF waits THEN
        SELECT array_agg(n) INTO chosen FROM (SELECT * FROM next_openings LIMIT 1) AS n;
        PERFORM FROM items AS i
        JOIN unnest(chosen) AS c USING (store_id, item_id, location_id)
        FOR NO KEY UPDATE OF i;
    ELSE
        SELECT array_agg(free) INTO chosen FROM (
            SELECT n.* FROM next_openings AS n
            JOIN items AS i USING (store_id, item_id, location_id)
            ORDER BY n.store_id, n.item_id, n.location_id
            LIMIT items_max
            FOR NO KEY UPDATE OF i SKIP LOCKED
        ) AS free;
        IF chosen IS NULL THEN
            -- Of these there are only retired ones.
            SELECT array_agg(gone) INTO chosen FROM (
                SELECT n.* FROM next_openings AS n
                WHERE NOT EXISTS (
                    SELECT FROM items AS i
                    WHERE (i.store_id, i.item_id, i.location_id) = (n.store_id, n.item_id, n.location_id))
                LIMIT items_max
            ) AS gone;
        END IF;
    END IF;
    -- A statement of its own, to see what the transactions before the locks wrote.
    WITH gone AS (
        DELETE FROM next_openings AS n
        USING unnest(chosen) AS c
        WHERE (n.store_id, n.item_id, n.location_id, n.version) = (c.store_id, c.item_id, c.location_id, c.version)
        RETURNING n.*
    ), opening AS MATERIALIZED (
        SELECT gone.*, retired.version AS retired_version, gone.on_hand - accepted.on_hand AS opening_on_hand,
            gone.allocated - accepted.allocated AS opening_allocated
        FROM gone
        LEFT JOIN retired_items AS retired
            ON (retired.store_id, retired.item_id, retired.location_id)
                = (gone.store_id, gone.item_id, gone.location_id)
            AND gone.version > retired.created_version AND gone.version <= retired.version
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(a.on_hand_after - a.on_hand_before), 0) AS on_hand,
                coalesce(sum(a.allocated_after - a.allocated_before), 0) AS allocated
            FROM reconciliations AS a
            WHERE (a.store_id, a.item_id, a.location_id) = (gone.store_id, gone.item_id, gone.location_id)
                AND a.version < gone.version AND a.version > coalesce(
                    retired.created_version,
                    (
                        SELECT max(earlier.version) FROM retired_items AS earlier
                        WHERE (earlier.store_id, earlier.item_id, earlier.location_id)
                            = (gone.store_id, gone.item_id, gone.location_id)
                    ),
                    0)
        ) AS accepted
    ), retired AS (
        UPDATE retired_items AS r
        SET opening_on_hand = opening.opening_on_hand, opening_allocated = opening.opening_allocated,
            opening_version = opening.version
        FROM opening
        WHERE (r.store_id, r.item_id, r.location_id, r.version)
                = (opening.store_id, opening.item_id, opening.location_id, opening.retired_version)
            AND r.created_version < r.version AND r.opening_version < opening.version
    )
    UPDATE items AS i
    SET opening_on_hand = opening.opening_on_hand, opening_allocated = opening.opening_allocated,
        opening_version = opening.version
    FROM opening
    WHERE (i.store_id, i.item_id, i.location_id) = (opening.store_id, opening.item_id, opening.location_id)
        AND opening.retired_version IS NULL AND i.opening_version < opening.version;
    folded := coalesce(cardinality(chosen), 0);
    is_complete := NOT EXISTS (SELECT FROM next_openings);
END
$$;
CREATE FUNCTION stockq.gateway_access(token_hashes text[], store_ids text[], scopes text[]) RETURNS TABLE(call integer, store_id text, failure text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
BEGIN
    PERFORM note_gateway_use(token_hashes);
    RETURN QUERY
    SELECT a.call, a.store_id, coalesce(a.failure, CASE
        WHEN NOT EXISTS (SELECT FROM items AS i WHERE i.store_id = a.store_id) THEN 'unknown_store'
    END)
    FROM check_gateway_access(token_hashes, store_ids, scopes) AS a
    ORDER BY a.call;
END
$$;
CREATE FUNCTION stockq.gateway_accesses(token_hashes text[], store_ids text[], scopes text[], OUT of_calls integer[], OUT stores text[], OUT may_update boolean[], OUT may_read boolean[], OUT failures text[]) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
DECLARE
    calls CONSTANT integer := cardinality(token_hashes);
    hashes text[] := token_hashes[:1];
    named text[] := store_ids[:1];
    needed text[] := gateway_accesses.scopes[:1];
BEGIN
    -- Mostly all calls have one. Equality of arrays takes NULLs for equal.
    IF token_hashes = array_fill(hashes[1], ARRAY[calls]) AND store_ids = array_fill(named[1], ARRAY[calls])
        AND gateway_accesses.scopes = array_fill(needed[1], ARRAY[calls])
    THEN
        of_calls := array_fill(1, ARRAY[calls]);
    ELSE
        SELECT array_agg(c.access ORDER BY c.number),
            array_agg(c.token_hash ORDER BY c.access) FILTER (WHERE c.is_first),
            array_agg(c.store_id ORDER BY c.access) FILTER (WHERE c.is_first),
            array_agg(c.scopes ORDER BY c.access) FILTER (WHERE c.is_first)
        INTO of_calls, hashes, named, needed
        FROM (
            SELECT u.*, dense_rank() OVER alike AS access, row_number() OVER (
                PARTITION BY u.token_hash COLLATE "C", u.store_id COLLATE "C", u.scopes COLLATE "C"
            ) = 1 AS is_first
            FROM unnest(token_hashes, store_ids, gateway_accesses.scopes) WITH ORDINALITY
                AS u (token_hash, store_id, scopes, number)
            WINDOW alike AS (ORDER BY u.token_hash COLLATE "C", u.store_id COLLATE "C", u.scopes COLLATE "C")
        ) AS c;
    END IF;
    SELECT array_agg(a.store_id ORDER BY a.call), array_agg('update_catalog' = ANY (a.granted) ORDER BY a.call),
        array_agg('read_catalog' = ANY (a.granted) ORDER BY a.call), array_agg(a.failure ORDER BY a.call)
    INTO stores, may_update, may_read, failures
    FROM check_gateway_access(hashes, named, needed) AS a;
END
$$;
CREATE FUNCTION stockq.gateway_add_subscription(token_hash text, store_id text, name text, channel text, target text, events text[], secret text, item_prefix text, location_prefix text, digest_window_seconds bigint, digest_at text, time_zone text) RETURNS TABLE(failure text, json text, id bigint)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
DECLARE
    -- Each one makes the fan-out read more, and every message of a store goes to each.
    subscriptions_max CONSTANT integer := 10;
    added bigint;
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    failure := check_native_access(token_hash, store_id, 'manage_notifications');
    IF failure IS NULL AND channel NOT IN ('webhook', 'mail') THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('callers of the gateway have webhooks and mail, not %L', channel);
    END IF;
    IF failure IS NULL THEN
        -- Two calls at once count one after the other.
        PERFORM lock_delivery_progress();
        SELECT s.subscription_id INTO added
        FROM native_subscriptions(gateway_add_subscription.store_id) AS s
        WHERE s.name = gateway_add_subscription.name;
        IF added IS NOT NULL THEN
            NULL;
        ELSIF (
            SELECT count(*) FROM subscriptions AS s WHERE s.store_id = gateway_add_subscription.store_id
        ) >= subscriptions_max THEN
            failure := 'subscription_limit';
        ELSIF time_zone IS NOT NULL
            AND NOT EXISTS (SELECT FROM pg_timezone_names AS z WHERE z.name = gateway_add_subscription.time_zone)
        THEN
            failure := 'unknown_time_zone';
        END IF;
    END IF;
    RETURN NEXT;
    IF failure IS NOT NULL THEN
        RETURN;
    END IF;
    added := coalesce(added, add_subscription(
        name, channel, target, store_id, events, secret, item_prefix, location_prefix,
        digest_window_seconds * interval '1 second', digest_at::time, time_zone));
    RETURN QUERY
    SELECT NULL, native_subscription(s, with_secret => true), s.subscription_id
    FROM subscriptions AS s
    WHERE s.subscription_id = added;
END
$$;
CREATE FUNCTION stockq.gateway_alert_policy(token_hash text, store_id text) RETURNS TABLE(failure text, json text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    failure := check_native_access(token_hash, store_id, 'manage_notifications');
    RETURN NEXT;
    IF failure IS NULL THEN
        json := native_alert_policy(store_id);
        RETURN NEXT;
    END IF;
END
$$;
CREATE FUNCTION stockq.gateway_apply_threshold(token_hash text, store_id text, after_item text, after_location text) RETURNS TABLE(failure text, last_item text, last_location text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
DECLARE
    -- Workers wait for the row locks of the transaction.
    items_max CONSTANT integer := 1000;
    page record;
BEGIN
    failure := check_native_access(token_hash, store_id, 'manage_notifications');
    RETURN NEXT;
    IF failure IS NOT NULL THEN
        RETURN;
    END IF;
    page := apply_default_threshold(store_id, after_item, after_location, items_max);
    IF page.items = items_max THEN
        last_item := page.last_item;
        last_location := page.last_location;
        RETURN NEXT;
    END IF;
END
$$;
CREATE FUNCTION stockq.gateway_cancel(token_hashes text[], job_ids bigint[], enqueued_ats timestamp with time zone[]) RETURNS SETOF bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
DECLARE
    queued CONSTANT bigint[] := ARRAY(
        SELECT j.job_id
        FROM unnest(token_hashes, job_ids, enqueued_ats) AS wanted (token_hash, job_id, enqueued_at)
        JOIN jobs AS j ON j.job_id = wanted.job_id AND j.enqueued_at = wanted.enqueued_at
        WHERE EXISTS (
            SELECT FROM gateway_tokens AS g
            LEFT JOIN gateway_clients AS k USING (client_id)
            WHERE (g.token_hash = wanted.token_hash OR wanted.token_hash IS NULL AND g.token_hash IS NULL)
                AND j.store_id = ANY (g.stores)
                AND coalesce(least(g.expires_at, g.revoked_at, k.revoked_at), 'infinity') > now() - interval '1 hour'
        )
    );
BEGIN
    IF cardinality(queued) > 0 THEN
        RETURN QUERY SELECT * FROM cancel_jobs(job_ids => queued, reason => 'the gateway stopped waiting for it');
    END IF;
END
$$;
CREATE FUNCTION stockq.gateway_cancel_queued(token_hash text, store_id text, job_id bigint, group_id text) RETURNS TABLE(failure text, json text, is_canceled boolean)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
DECLARE
    canceled bigint[] := '{}';
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    failure := check_native_access(token_hash, store_id, 'update_catalog');
    RETURN NEXT;
    IF failure IS NOT NULL THEN
        RETURN;
    END IF;
    IF cardinality(queued_jobs(
        CASE WHEN gateway_cancel_queued.job_id IS NOT NULL THEN ARRAY[gateway_cancel_queued.job_id] END,
        gateway_cancel_queued.store_id, gateway_cancel_queued.group_id, NULL)) > 0
    THEN
        canceled := ARRAY(SELECT * FROM cancel_jobs(
            CASE WHEN gateway_cancel_queued.job_id IS NOT NULL THEN ARRAY[gateway_cancel_queued.job_id] END,
            gateway_cancel_queued.store_id, gateway_cancel_queued.group_id, reason => 'canceled by the caller'));
    END IF;
    RETURN QUERY
    SELECT NULL, native_job(s), s.job_id = ANY (canceled)
    FROM (
        SELECT unnest(canceled) AS job_id
        UNION
        SELECT gateway_cancel_queued.job_id WHERE gateway_cancel_queued.job_id IS NOT NULL
        UNION
        SELECT g.job_id FROM find_group(gateway_cancel_queued.store_id, gateway_cancel_queued.group_id) AS g
    ) AS named
    CROSS JOIN LATERAL find_job(named.job_id) AS s
    WHERE s.store_id = gateway_cancel_queued.store_id
    ORDER BY s.job_id;
END
$$;
CREATE FUNCTION stockq.gateway_change_item(token_hash text, store_id text, scopes text, item_id text, location_ids text[], on_hands bigint[]) RETURNS TABLE(failure text, outcome text, changed_at timestamp with time zone)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
DECLARE
    access CONSTANT record := check_gateway_access(ARRAY[token_hash], ARRAY[store_id], ARRAY[scopes]);
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    changed_at := now();
    failure := coalesce(access.failure, CASE WHEN 'manage_items' <> ALL (access.granted) THEN 'missing_scope' END);
    IF failure IS NULL AND location_ids IS NULL THEN
        DELETE FROM items AS i
        WHERE (i.store_id, i.item_id) = (access.store_id, gateway_change_item.item_id);
        outcome := CASE WHEN FOUND THEN 'removed' ELSE 'unknown_item' END;
    ELSIF failure IS NULL THEN
        IF NOT EXISTS (
            SELECT FROM items AS i
            WHERE (i.store_id, i.item_id) = (access.store_id, gateway_change_item.item_id)
        ) THEN
            INSERT INTO items (store_id, item_id, location_id, on_hand)
            SELECT access.store_id, gateway_change_item.item_id, l.location_id, l.on_hand
            FROM unnest(location_ids, on_hands) AS l (location_id, on_hand)
            ON CONFLICT ON CONSTRAINT items_pkey DO NOTHING;
            outcome := CASE WHEN FOUND THEN 'created' END;
        END IF;
        outcome := coalesce(outcome, 'exists');
    END IF;
    IF outcome IN ('created', 'removed') THEN
        PERFORM record_operation(
            CASE outcome WHEN 'created' THEN 'items create' ELSE 'items remove' END,
            jsonb_build_object('store_id', access.store_id, 'item_id', item_id), NULL);
    END IF;
    RETURN NEXT;
END
$$;
CREATE FUNCTION stockq.gateway_create_item(token_hash text, store_id text, item_id text, location_id text, on_hand bigint, parent_id text, tracked boolean, low_stock_threshold bigint) RETURNS TABLE(failure text, json text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
DECLARE
    new_item items;
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    failure := check_native_access(token_hash, store_id, 'manage_items');
    RETURN NEXT;
    IF failure IS NOT NULL THEN
        RETURN;
    END IF;
    INSERT INTO items AS i (store_id, item_id, location_id, on_hand, parent_id, tracked, low_stock_threshold)
    VALUES (
        gateway_create_item.store_id, gateway_create_item.item_id, gateway_create_item.location_id,
        gateway_create_item.on_hand, gateway_create_item.parent_id, gateway_create_item.tracked,
        gateway_create_item.low_stock_threshold
    )
    ON CONFLICT ON CONSTRAINT items_pkey DO NOTHING
    RETURNING i.* INTO new_item;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM record_operation(
        'items create',
        jsonb_build_object('store_id', store_id, 'item_id', item_id, 'location_id', location_id), NULL);
    json := native_item(new_item);
    RETURN NEXT;
END
$$;
CREATE FUNCTION stockq.gateway_deliveries(token_hash text, store_id text, subscription_id bigint, state text, before bigint, deliveries_max integer) RETURNS TABLE(failure text, json text, id bigint)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
DECLARE
    access CONSTANT record := check_subscription_access(token_hash, store_id, subscription_id);
BEGIN
    failure := access.failure;
    RETURN NEXT;
    IF failure IS NULL THEN
        RETURN QUERY
        SELECT NULL, native_delivery(d), d.delivery_id
        FROM recent_deliveries((access.subscription).subscription_id, state, before, deliveries_max) AS d;
    END IF;
END
$$;
CREATE FUNCTION stockq.gateway_dry_run(token_hash text, store_id text, item_ids text[], location_ids text[], idempotency_keys text[], count_items integer[], counted_ats timestamp with time zone[]) RETURNS TABLE(failure text, kind text, "position" integer, on_hand bigint, allocated bigint, version bigint, low_stock_threshold bigint, notified_level text, tracked boolean, job_id bigint, item_id text, location_id text, action text, quantity bigint, on_insufficient text, expected_available bigint, decided_at timestamp with time zone)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    failure := check_native_access(token_hash, store_id, 'read_catalog');
    decided_at := now();
    RETURN NEXT;
    IF failure IS NOT NULL THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT NULL, 'item', (w.number - 1)::integer, i.on_hand::bigint, i.allocated::bigint, i.version,
        i.low_stock_threshold::bigint, i.notified_level::text, i.tracked, NULL::bigint, NULL, NULL, NULL,
        NULL::bigint, NULL, NULL::bigint, NULL::timestamptz
    FROM unnest(item_ids, location_ids) WITH ORDINALITY AS w (item_id, location_id, number)
    JOIN items AS i ON (i.store_id, i.item_id, i.location_id) = (gateway_dry_run.store_id, w.item_id, w.location_id);
    RETURN QUERY
    SELECT NULL, 'key', (w.number - 1)::integer, NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint, NULL,
        NULL::boolean, k.job_id, k.item_id, k.location_id, k.action::text, k.quantity, k.on_insufficient::text,
        k.expected_available, NULL::timestamptz
    FROM unnest(gateway_dry_run.idempotency_keys) WITH ORDINALITY AS w (idempotency_key, number)
    JOIN idempotency_keys AS k ON (k.idempotency_key, k.store_id) = (w.idempotency_key, gateway_dry_run.store_id);
    RETURN QUERY
    SELECT NULL, 'count', (w.number - 1)::integer, c.is_outdated::integer::bigint, NULL::bigint, NULL::bigint,
        NULL::bigint, NULL, NULL::boolean, NULL::bigint, NULL, NULL, NULL, c.on_hand_change, NULL, NULL::bigint,
        NULL::timestamptz
    FROM unnest(count_items, counted_ats) WITH ORDINALITY AS w (item, counted_at, number)
    CROSS JOIN LATERAL changes_since_count(
        gateway_dry_run.store_id, item_ids[w.item + 1], location_ids[w.item + 1], w.counted_at) AS c;
END
$$;
CREATE FUNCTION stockq.gateway_enqueue(token_hashes text[], store_ids text[], scopes text[], groups boolean[], timeouts_ms integer[], line_calls integer[], item_ids text[], location_ids text[], actions text[], quantities bigint[], on_insufficients text[], notifies boolean[], idempotency_keys text[], parent_ids text[]) RETURNS TABLE(line integer, store_id text, job_id bigint, enqueued_at timestamp with time zone, is_duplicate boolean, failure text, strand integer)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
DECLARE
    access CONSTANT record := gateway_accesses(token_hashes, store_ids, scopes);
    -- Elements of variables are found faster than those of a record's fields.
    accesses CONSTANT integer[] := access.of_calls;
    stores CONSTANT text[] := access.stores;
    may_read CONSTANT boolean[] := access.may_read;
    has_limits CONSTANT boolean := EXISTS (SELECT FROM store_limits);
    known_items bigint := -1;
    room jsonb := '{}';
BEGIN
    PERFORM note_gateway_use(token_hashes);
    IF NOT has_limits AND cardinality(array_remove(idempotency_keys, NULL)) = 0
        AND cardinality(array_remove(access.failures, NULL)) = 0 AND true = ALL (access.may_update)
    THEN
        SELECT count(*) INTO known_items
        FROM unnest((SELECT line_calls), (SELECT item_ids), (SELECT location_ids), (SELECT parent_ids))
            AS l (call, item_id, location_id, parent_id)
        JOIN items AS i
            ON (i.store_id, i.item_id, i.location_id) = (stores[accesses[l.call]], l.item_id, l.location_id)
        WHERE (l.parent_id IS NULL OR l.parent_id = coalesce(i.parent_id, ''))
            AND (i.parent_id IS NULL OR may_read[accesses[l.call]]);
    END IF;
    IF known_items = cardinality(line_calls) THEN
        RETURN QUERY
        WITH added AS (
            INSERT INTO jobs (
                store_id, item_id, location_id, action, quantity, on_insufficient, notify, group_id, expires_at,
                priority
            )
            SELECT stores[accesses[l.call]], l.item_id, l.location_id, l.action::action, l.quantity,
                l.on_insufficient::on_insufficient, l.notify,
                CASE WHEN groups[l.call] THEN 'http-' || pg_current_xact_id() || '-' || l.call END,
                now() + (timeouts_ms[l.call] + 5000) * interval '1 millisecond',
                CASE
                    WHEN l.action = 'set' THEN priority_behind(
                        stores[accesses[l.call]], ARRAY[l.item_id], ARRAY[l.location_id], NULL, NULL)
                    ELSE (job_defaults()).priority
                END
            FROM unnest(
                (SELECT line_calls), (SELECT item_ids), (SELECT location_ids), (SELECT actions), (SELECT quantities),
                (SELECT on_insufficients), (SELECT notifies)
            ) WITH ORDINALITY AS l (
                call, item_id, location_id, action, quantity, on_insufficient, notify, number
            )
            ORDER BY l.number
            RETURNING jobs.job_id, jobs.store_id, jobs.strand
        )
        SELECT (row_number() OVER (ORDER BY a.job_id))::integer, a.store_id, a.job_id, now(), false, NULL::text,
            a.strand
        FROM added AS a;
        RETURN;
    END IF;
    IF has_limits THEN
        room := gateway_room(ARRAY(
            SELECT stores[accesses[l.call]]
            FROM unnest(line_calls) AS l (call)
            WHERE access.failures[accesses[l.call]] IS NULL
        ));
    END IF;
    RETURN QUERY
    WITH line AS MATERIALIZED (
        SELECT l.*, k.job_id AS known_job,
            CASE
                WHEN access.failures[l.access] IS NOT NULL THEN access.failures[l.access]
                -- Every call of this function changes stock, whatever it says that it needs.
                WHEN NOT access.may_update[l.access] THEN 'missing_scope'
                WHEN i.item_id IS NULL OR l.parent_id IS NOT NULL AND l.parent_id <> coalesce(i.parent_id, '') THEN
                    CASE
                        WHEN EXISTS (SELECT FROM items AS other WHERE other.store_id = l.store_id) THEN 'unknown_item'
                        ELSE 'unknown_store'
                    END
                WHEN i.parent_id IS NOT NULL AND NOT may_read[l.access] THEN 'missing_scope'
                WHEN k.job_id IS NOT NULL AND NOT is_same_request(
                    k, l.item_id, l.location_id, l.action, l.quantity, l.on_insufficient, NULL
                ) THEN 'idempotency_mismatch'
            END AS problem
        FROM (
            SELECT u.*, accesses[u.call] AS access, stores[accesses[u.call]] AS store_id
            FROM unnest(
                (SELECT line_calls), (SELECT item_ids), (SELECT location_ids), (SELECT actions), (SELECT quantities),
                (SELECT on_insufficients), (SELECT notifies), (SELECT idempotency_keys), (SELECT parent_ids)
            ) WITH ORDINALITY AS u (
                call, item_id, location_id, action, quantity, on_insufficient, notify, idempotency_key, parent_id,
                number
            )
        ) AS l
        LEFT JOIN items AS i
            ON (i.store_id, i.item_id, i.location_id) = (l.store_id, l.item_id, l.location_id)
            AND access.failures[l.access] IS NULL
        LEFT JOIN LATERAL key_in_use(l.store_id, l.idempotency_key) AS k
            ON l.idempotency_key IS NOT NULL AND access.failures[l.access] IS NULL
    ), checked AS (
        SELECT l.*,
            CASE
                WHEN l.problem IS NOT NULL THEN l.problem
                -- Another line of the call has one.
                WHEN count(l.problem) OVER of_call > 0 THEN ''
                -- Its new lines alone would be another request than the first.
                WHEN count(l.known_job) OVER of_call NOT IN (0, count(*) OVER of_call) THEN 'idempotency_mismatch'
                WHEN l.known_job IS NULL AND count(*) FILTER (WHERE l.known_job IS NULL) OVER (
                    PARTITION BY l.store_id ORDER BY l.call
                ) > (room->>l.store_id)::bigint THEN CASE
                    -- So many lines at once never fit.
                    WHEN count(*) FILTER (WHERE l.known_job IS NULL) OVER of_call > (
                        SELECT m.ready_jobs_max FROM store_limits AS m WHERE m.store_id = l.store_id
                    ) THEN 'call_limit'
                    ELSE 'store_limit'
                END
            END AS reason
        FROM line AS l
        WINDOW of_call AS (PARTITION BY l.call)
    ), placed AS MATERIALIZED (
        -- Joins of these would be nested loops, because the planner expects a few lines.
        SELECT c.*, c.reason IS NULL AND c.known_job IS NULL AS is_new,
            count(*) FILTER (WHERE c.reason IS NULL AND c.known_job IS NULL) OVER (ORDER BY c.number) AS place
        FROM checked AS c
    ), added AS (
        INSERT INTO jobs (
            store_id, item_id, location_id, action, quantity, on_insufficient, notify, idempotency_key, group_id,
            expires_at, priority
        )
        SELECT l.store_id, l.item_id, l.location_id, l.action::action, l.quantity, l.on_insufficient::on_insufficient,
            l.notify, l.idempotency_key,
            CASE WHEN groups[l.call] THEN 'http-' || pg_current_xact_id() || '-' || l.call END,
            CASE WHEN l.idempotency_key IS NULL
                THEN now() + (timeouts_ms[l.call] + 5000) * interval '1 millisecond' END,
            CASE
                WHEN l.action = 'set'
                    THEN priority_behind(l.store_id, ARRAY[l.item_id], ARRAY[l.location_id], NULL, NULL)
                ELSE (job_defaults()).priority
            END
        FROM placed AS l
        WHERE l.is_new
        ORDER BY l.number
        RETURNING jobs.job_id, jobs.strand
    ), new_jobs AS MATERIALIZED (
        SELECT array_agg(a.job_id ORDER BY a.job_id) AS ids, array_agg(a.strand ORDER BY a.job_id) AS strands
        FROM added AS a
    )
    SELECT l.number::integer, l.store_id,
        CASE WHEN l.is_new THEN (SELECT n.ids FROM new_jobs AS n)[l.place] ELSE l.known_job END,
        CASE
            WHEN l.known_job IS NULL THEN now()
            ELSE coalesce(
                (SELECT q.enqueued_at FROM jobs AS q WHERE q.job_id = l.known_job),
                (SELECT r.enqueued_at FROM results AS r WHERE r.job_id = l.known_job))
        END,
        l.known_job IS NOT NULL, nullif(l.reason, ''),
        CASE WHEN l.is_new THEN (SELECT n.strands FROM new_jobs AS n)[l.place] END
    FROM placed AS l
    ORDER BY l.number;
END
$$;
CREATE FUNCTION stockq.gateway_history(token_hash text, store_id text, scopes text, item_id text, location_id text, one_job bigint, movements integer) RETURNS TABLE(failure text, job_id bigint, location text, action text, quantity bigint, at timestamp with time zone)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
DECLARE
    access CONSTANT record := check_gateway_access(ARRAY[token_hash], ARRAY[store_id], ARRAY[scopes]);
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    failure := coalesce(access.failure, CASE
        WHEN 'read_catalog' <> ALL (access.granted) THEN 'missing_scope'
        WHEN NOT EXISTS (
            SELECT FROM items AS i
            WHERE (i.store_id, i.item_id) = (access.store_id, gateway_history.item_id)
                AND (gateway_history.location_id IS NULL OR i.location_id = gateway_history.location_id)
        ) THEN 'unknown_item'
    END);
    RETURN NEXT;
    IF failure IS NOT NULL THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT NULL, entry.job_id, entry.location_id, entry.action, entry.quantity, entry.at
    FROM (
        SELECT NULL::bigint AS job_id, i.location_id, NULL AS action,
            coalesce(i.opening_on_hand, i.on_hand::bigint) AS quantity, i.created_at AS at
        FROM items AS i
        WHERE (i.store_id, i.item_id) = (access.store_id, gateway_history.item_id) AND one_job IS NULL
            AND (gateway_history.location_id IS NULL OR i.location_id = gateway_history.location_id)
        UNION ALL
        SELECT r.job_id, r.location_id, r.action::text, r.applied_quantity, r.finished_at
        FROM items AS i
        CROSS JOIN LATERAL item_history(i.store_id, i.item_id, i.location_id, movements) AS r
        WHERE (i.store_id, i.item_id) = (access.store_id, gateway_history.item_id) AND one_job IS NULL
            AND (gateway_history.location_id IS NULL OR i.location_id = gateway_history.location_id)
            -- The opening has what was before it, whether retention has dropped it yet or not.
            AND r.version > i.opening_version
        UNION ALL
        SELECT r.job_id, r.location_id, r.action::text, r.applied_quantity, r.finished_at
        FROM results AS r
        WHERE r.job_id = one_job AND r.outcome = 'applied'
            AND (r.store_id, r.item_id) = (access.store_id, gateway_history.item_id)
            AND (gateway_history.location_id IS NULL OR r.location_id = gateway_history.location_id)
    ) AS entry
    ORDER BY entry.job_id NULLS FIRST, entry.location_id;
END
$$;
CREATE FUNCTION stockq.gateway_issue_tokens(client_ids text[], secret_hashes text[], token_hashes text[], lifetime_s integer) RETURNS TABLE(call integer, expires_at timestamp with time zone)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
BEGIN
    IF lifetime_s IS NULL OR lifetime_s NOT BETWEEN 60 AND 86400 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('lifetime_s must be 60 to 86400, not %s', coalesce(lifetime_s::text, 'null'));
    END IF;
    DELETE FROM gateway_tokens AS g
    WHERE g.token_id IN (
        SELECT ended.token_id FROM gateway_tokens AS ended
        WHERE ended.client_id IS NOT NULL AND ended.expires_at < now() - interval '1 day'
        ORDER BY ended.expires_at
        LIMIT 10 + 2 * cardinality(client_ids)
        FOR UPDATE SKIP LOCKED
    );
    UPDATE gateway_clients AS k SET last_used_at = now()
    WHERE k.client_id IN (
        SELECT used.client_id FROM gateway_clients AS used
        JOIN unnest(client_ids, secret_hashes) AS c (client_id, secret_hash)
            ON c.client_id = used.client_id AND c.secret_hash = used.secret_hash
        WHERE used.last_used_at < now() - interval '1 minute' OR used.last_used_at IS NULL
        FOR UPDATE OF used SKIP LOCKED
    );
    RETURN QUERY
    WITH allowed AS (
        SELECT c.number, c.token_hash, k.client_id, k.store_id,
            CASE WHEN c.secret_hash IS NULL THEN ARRAY['read_catalog'] ELSE k.scopes END AS scopes
        FROM unnest(client_ids, secret_hashes, token_hashes) WITH ORDINALITY
            AS c (client_id, secret_hash, token_hash, number)
        JOIN gateway_clients AS k
            ON k.client_id = c.client_id AND k.revoked_at IS NULL
            AND CASE WHEN c.secret_hash IS NULL THEN 'read_catalog' = ANY (k.scopes)
                ELSE k.secret_hash = c.secret_hash END
    ), issued AS (
        INSERT INTO gateway_tokens AS g (token_hash, client_id, stores, scopes, expires_at)
        SELECT a.token_hash, a.client_id, ARRAY[a.store_id], a.scopes, now() + lifetime_s * interval '1 second'
        FROM allowed AS a
        RETURNING g.token_hash, g.expires_at
    )
    SELECT c.number::integer, i.expires_at
    FROM unnest(token_hashes) WITH ORDINALITY AS c (token_hash, number)
    LEFT JOIN issued AS i USING (token_hash)
    ORDER BY c.number;
END
$$;
CREATE FUNCTION stockq.gateway_items(token_hash text, store_id text, item_id text, location_id text, parent_id text, after_item text, items_max integer) RETURNS TABLE(failure text, json text, item text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    failure := check_native_access(token_hash, store_id, 'read_catalog');
    RETURN NEXT;
    IF failure IS NOT NULL THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT NULL, native_item(i), i.item_id
    FROM items AS i
    WHERE i.store_id = gateway_items.store_id
        AND i.item_id = ANY (CASE
            WHEN gateway_items.item_id IS NOT NULL THEN ARRAY[gateway_items.item_id]
            ELSE ARRAY(
                SELECT DISTINCT p.item_id
                FROM items AS p
                WHERE p.store_id = gateway_items.store_id AND p.item_id > coalesce(after_item, '')
                    AND (gateway_items.parent_id IS NULL OR p.parent_id = gateway_items.parent_id)
                    AND (gateway_items.location_id IS NULL OR p.location_id = gateway_items.location_id)
                ORDER BY 1
                LIMIT items_max
            )
        END)
        AND (gateway_items.location_id IS NULL OR i.location_id = gateway_items.location_id)
    ORDER BY i.item_id, i.location_id;
END
$$;
CREATE FUNCTION stockq.gateway_jobs(token_hash text, store_id text, job_id bigint, last_job_id bigint, group_id text, idempotency_key text) RETURNS TABLE(failure text, json text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    failure := check_native_access(token_hash, store_id, '');
    RETURN NEXT;
    IF failure IS NOT NULL THEN
        RETURN;
    ELSIF gateway_jobs.last_job_id IS NOT NULL THEN
        RETURN QUERY SELECT NULL, native_job(s)
        FROM job_states AS s
        WHERE s.job_id BETWEEN gateway_jobs.job_id AND gateway_jobs.last_job_id
            AND s.store_id = gateway_jobs.store_id
            AND s.submission_id = (SELECT f.submission_id FROM find_job(gateway_jobs.job_id) AS f)
        ORDER BY s.job_id;
    ELSIF gateway_jobs.job_id IS NOT NULL THEN
        RETURN QUERY SELECT NULL, native_job(s)
        FROM find_job(gateway_jobs.job_id) AS s
        WHERE s.store_id = gateway_jobs.store_id;
    ELSIF gateway_jobs.group_id IS NOT NULL THEN
        RETURN QUERY SELECT NULL, native_job(s)
        FROM find_group(gateway_jobs.store_id, gateway_jobs.group_id) AS s
        ORDER BY s.job_id;
    ELSE
        RETURN QUERY SELECT NULL, native_job(s)
        FROM find_key(gateway_jobs.store_id, gateway_jobs.idempotency_key) AS s;
    END IF;
END
$$;
CREATE FUNCTION stockq.gateway_levels(token_hash text, store_id text, scopes text, item_ids text[], location_id text, items_skipped bigint, items_max bigint) RETURNS TABLE(failure text, total bigint, item_id text, location text, on_hand bigint, allocated bigint, created_at timestamp with time zone, updated_at timestamp with time zone)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
DECLARE
    access CONSTANT record := check_gateway_access(ARRAY[token_hash], ARRAY[store_id], ARRAY[scopes]);
    wanted text[] := item_ids;
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    failure := coalesce(access.failure, CASE WHEN 'read_catalog' <> ALL (access.granted) THEN 'missing_scope' END);
    IF failure IS NOT NULL THEN
        RETURN NEXT;
        RETURN;
    END IF;
    IF item_ids IS NULL THEN
        SELECT count(DISTINCT i.item_id) INTO total
        FROM items AS i
        WHERE i.store_id = access.store_id
            AND (gateway_levels.location_id IS NULL OR i.location_id = gateway_levels.location_id);
        wanted := ARRAY(
            SELECT DISTINCT i.item_id
            FROM items AS i
            WHERE i.store_id = access.store_id
                AND (gateway_levels.location_id IS NULL OR i.location_id = gateway_levels.location_id)
            ORDER BY 1
            LIMIT items_max OFFSET items_skipped
        );
    END IF;
    RETURN NEXT;
    RETURN QUERY
    SELECT NULL, NULL::bigint, i.item_id, i.location_id, i.on_hand::bigint, i.allocated::bigint, i.created_at,
        i.updated_at
    FROM items AS i
    WHERE i.store_id = access.store_id AND i.item_id = ANY (wanted)
        AND (gateway_levels.location_id IS NULL OR i.location_id = gateway_levels.location_id)
    ORDER BY i.item_id, i.location_id;
END
$$;
CREATE FUNCTION stockq.gateway_movements(token_hash text, store_id text, item_id text, location_id text, movements integer) RETURNS TABLE(failure text, json text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    failure := coalesce(check_native_access(token_hash, store_id, 'read_catalog'), CASE
        WHEN NOT EXISTS (
            SELECT FROM items AS i
            WHERE (i.store_id, i.item_id, i.location_id)
                = (gateway_movements.store_id, gateway_movements.item_id, gateway_movements.location_id)
        ) THEN 'unknown_item'
    END);
    RETURN NEXT;
    IF failure IS NOT NULL THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT NULL, native_job(s)
    FROM item_history(
        gateway_movements.store_id, gateway_movements.item_id, gateway_movements.location_id, movements
    ) WITH ORDINALITY AS movement
    CROSS JOIN LATERAL find_job(movement.job_id) AS s
    ORDER BY movement.ordinality;
END
$$;
CREATE FUNCTION stockq.gateway_notifications(token_hashes text[], store_ids text[], cursors text[], notifications_max integer) RETURNS TABLE(number integer, failure text, next_cursor text, json text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
DECLARE
    caller record;
BEGIN
    PERFORM note_gateway_use(token_hashes);
    FOR caller IN
        SELECT c.number::integer, c.token_hash, c.store_id, c.cursor
        FROM unnest(token_hashes, store_ids, cursors) WITH ORDINALITY AS c (token_hash, store_id, cursor, number)
        ORDER BY c.number
    LOOP
        number := caller.number;
        failure := check_native_access(caller.token_hash, caller.store_id, 'read_catalog');
        IF failure IS NOT NULL THEN
            RETURN NEXT;
        ELSE
            RETURN QUERY SELECT caller.number, NULL, b.next_cursor, b.json
            FROM notifications_behind(caller.store_id, caller.cursor, notifications_max) AS b;
        END IF;
    END LOOP;
END
$$;
CREATE FUNCTION stockq.gateway_remove_subscription(token_hash text, store_id text, subscription_id bigint) RETURNS TABLE(failure text, json text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
DECLARE
    access CONSTANT record := check_subscription_access(token_hash, store_id, subscription_id);
BEGIN
    failure := access.failure;
    RETURN NEXT;
    IF failure IS NULL THEN
        PERFORM remove_subscription((access.subscription).name);
    END IF;
END
$$;
CREATE FUNCTION stockq.gateway_results(token_hashes text[], job_ids bigint[], enqueued_ats timestamp with time zone[]) RETURNS TABLE(number integer, job_id bigint, item_id text, location_id text, action text, quantity bigint, applied_quantity bigint, outcome text, code text, warning text, on_hand_before bigint, allocated_before bigint, on_hand_after bigint, allocated_after bigint, finished_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
DECLARE
    -- These limits leave out the other partitions.
    first_id CONSTANT bigint := (SELECT min(id) FROM unnest(job_ids) AS id);
    last_id CONSTANT bigint := (SELECT max(id) FROM unnest(job_ids) AS id);
BEGIN
    RETURN QUERY
    SELECT wanted.number::integer, (r).job_id, (r).item_id, (r).location_id, (r).action::text, (r).quantity,
        (r).applied_quantity, (r).outcome::text, (r).code::text, (r).warning::text, (r).on_hand_before,
        (r).allocated_before, (r).on_hand_after, (r).allocated_after, (r).finished_at
    FROM unnest((SELECT token_hashes), (SELECT job_ids), (SELECT enqueued_ats)) WITH ORDINALITY
        AS wanted (token_hash, job_id, enqueued_at, number)
    JOIN results AS own
        ON own.job_id = wanted.job_id AND own.enqueued_at = wanted.enqueued_at
        AND own.job_id BETWEEN first_id AND last_id
    CROSS JOIN LATERAL (
        SELECT CASE
            WHEN own.outcome = 'duplicate'
                THEN coalesce((SELECT first FROM results AS first WHERE first.job_id = own.first_job_id), own)
            ELSE own
        END AS r
    ) AS shown
    WHERE EXISTS (
        SELECT FROM gateway_tokens AS g
        LEFT JOIN gateway_clients AS k USING (client_id)
        WHERE (g.token_hash = wanted.token_hash OR wanted.token_hash IS NULL AND g.token_hash IS NULL)
            AND own.store_id = ANY (g.stores)
            AND coalesce(least(g.expires_at, g.revoked_at, k.revoked_at), 'infinity') > now() - interval '1 hour'
    );
END
$$;
CREATE FUNCTION stockq.gateway_retry_deliveries(token_hash text, store_id text, subscription_id bigint, delivery_id bigint) RETURNS TABLE(failure text, json text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
DECLARE
    access CONSTANT record := check_subscription_access(token_hash, store_id, subscription_id);
BEGIN
    failure := access.failure;
    RETURN NEXT;
    IF failure IS NOT NULL THEN
        RETURN;
    ELSIF delivery_id IS NULL THEN
        json := json_strip_nulls(json_build_object(
            'retried', (SELECT deliveries FROM retry_deliveries(subscription => (access.subscription).name))))::text;
        RETURN NEXT;
    ELSIF EXISTS (
        SELECT FROM deliveries AS d
        WHERE d.delivery_id = gateway_retry_deliveries.delivery_id
            AND d.subscription_id = (access.subscription).subscription_id
    ) THEN
        PERFORM retry_deliveries(ARRAY[delivery_id]);
        RETURN QUERY
        SELECT NULL, native_delivery(d)
        FROM deliveries AS d
        WHERE d.delivery_id = gateway_retry_deliveries.delivery_id;
    END IF;
END
$$;
CREATE FUNCTION stockq.gateway_room(store_ids text[]) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    room jsonb := '{}';
    store record;
BEGIN
    FOR store IN
        SELECT s.store_id, l.ready_jobs_max, count(*)::integer AS lines
        FROM unnest(store_ids) AS s (store_id)
        JOIN store_limits AS l USING (store_id)
        GROUP BY s.store_id, l.ready_jobs_max
    LOOP
        BEGIN
            PERFORM check_store_limit(store.store_id, store.lines);
        EXCEPTION WHEN configuration_limit_exceeded OR program_limit_exceeded THEN
            room := room || jsonb_build_object(store.store_id, store.ready_jobs_max - (
                SELECT count(*)
                FROM (
                    SELECT FROM jobs AS j
                    WHERE j.store_id = store.store_id AND j.run_at IS NULL
                    LIMIT store.ready_jobs_max
                ) AS counted
            ));
        END;
    END LOOP;
    RETURN room;
END
$$;
CREATE FUNCTION stockq.gateway_rotate_secret(token_hash text, store_id text, subscription_id bigint, secret text) RETURNS TABLE(failure text, json text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
DECLARE
    access CONSTANT record := check_subscription_access(token_hash, store_id, subscription_id);
BEGIN
    failure := access.failure;
    RETURN NEXT;
    IF failure IS NOT NULL OR (access.subscription).channel <> 'webhook' THEN
        RETURN;
    ELSIF (access.subscription).secret <> secret THEN
        PERFORM rotate_subscription_secret((access.subscription).name, secret);
    END IF;
    RETURN QUERY
    SELECT NULL, json_strip_nulls(json_build_object(
        'subscription_id', s.subscription_id, 'secret', s.secret, 'old_secret_until', native_time(s.old_secret_until)
    ))::text
    FROM subscriptions AS s
    WHERE s.subscription_id = gateway_rotate_secret.subscription_id;
END
$$;
CREATE FUNCTION stockq.gateway_set_alert_policy(token_hash text, store_id text, default_threshold bigint, quiet_seconds bigint, rearm_margin bigint) RETURNS TABLE(failure text, json text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
DECLARE
    quiet_period CONSTANT interval := coalesce(quiet_seconds, 0) * interval '1 second';
    policy alert_policies;
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    failure := check_native_access(token_hash, store_id, 'manage_notifications');
    RETURN NEXT;
    IF failure IS NOT NULL THEN
        RETURN;
    END IF;
    policy := alert_policy(store_id);
    -- Each change is a row that is kept, so a repeated request writes none.
    IF (policy.default_threshold, policy.quiet_period, policy.rearm_margin)
        IS DISTINCT FROM (default_threshold, quiet_period, coalesce(rearm_margin, 0))
    THEN
        PERFORM set_alert_policy(
            store_id, default_threshold, quiet_period, rearm_margin,
            clear => array_remove(
                ARRAY[
                    CASE WHEN default_threshold IS NULL THEN 'default_threshold' END,
                    CASE WHEN rearm_margin IS NULL THEN 'rearm_margin' END
                ], NULL));
    END IF;
    json := native_alert_policy(store_id);
    RETURN NEXT;
END
$$;
CREATE FUNCTION stockq.gateway_set_item(token_hash text, store_id text, item_id text, location_id text, parent_id text, tracked boolean, low_stock_threshold bigint, clear text[]) RETURNS TABLE(failure text, json text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    failure := check_native_access(token_hash, store_id, 'manage_items');
    RETURN NEXT;
    IF failure IS NOT NULL OR NOT set_item(
        store_id, item_id, location_id, low_stock_threshold => low_stock_threshold, tracked => tracked,
        parent_id => parent_id, clear => clear)
    THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT NULL, native_item(i)
    FROM items AS i
    WHERE (i.store_id, i.item_id, i.location_id)
        = (gateway_set_item.store_id, gateway_set_item.item_id, gateway_set_item.location_id);
END
$$;
CREATE FUNCTION stockq.gateway_set_snooze(token_hash text, store_id text, item_id text, location_id text, until timestamp with time zone) RETURNS TABLE(failure text, json text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
DECLARE
    new_end CONSTANT timestamptz := CASE WHEN until > clock_timestamp() THEN until END;
    old_end timestamptz;
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    failure := check_native_access(token_hash, store_id, 'manage_notifications');
    RETURN NEXT;
    IF failure IS NOT NULL THEN
        RETURN;
    END IF;
    SELECT s.until INTO old_end FROM snoozes AS s
    WHERE (s.item_id, s.store_id, s.location_id)
        = (gateway_set_snooze.item_id, gateway_set_snooze.store_id, gateway_set_snooze.location_id)
    ORDER BY s.snooze_id DESC
    LIMIT 1;
    -- Each change is a row that is kept, so a repeated request writes none.
    IF (CASE WHEN old_end > clock_timestamp() THEN old_end END) IS DISTINCT FROM new_end THEN
        PERFORM snooze_item(store_id, item_id, new_end, location_id);
    END IF;
    json := native_snooze(store_id, item_id, location_id);
    IF json IS NOT NULL THEN
        RETURN NEXT;
    END IF;
END
$$;
CREATE FUNCTION stockq.gateway_set_subscription(token_hash text, store_id text, subscription_id bigint, enabled boolean) RETURNS TABLE(failure text, json text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
DECLARE
    access CONSTANT record := check_subscription_access(token_hash, store_id, subscription_id);
BEGIN
    failure := access.failure;
    RETURN NEXT;
    IF failure IS NOT NULL THEN
        RETURN;
    ELSIF ((access.subscription).disabled_at IS NULL) <> enabled THEN
        PERFORM set_subscription_enabled((access.subscription).name, enabled);
        UPDATE subscriptions AS s SET disabled_reason = 'by a caller of the API'
        WHERE s.subscription_id = gateway_set_subscription.subscription_id AND s.disabled_at IS NOT NULL;
    END IF;
    RETURN QUERY
    SELECT NULL, native_subscription(s)
    FROM subscriptions AS s
    WHERE s.subscription_id = gateway_set_subscription.subscription_id;
END
$$;
CREATE FUNCTION stockq.gateway_snooze(token_hash text, store_id text, item_id text, location_id text) RETURNS TABLE(failure text, json text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    failure := check_native_access(token_hash, store_id, 'manage_notifications');
    RETURN NEXT;
    IF failure IS NULL THEN
        RETURN QUERY
        SELECT NULL, s.text
        FROM native_snooze(gateway_snooze.store_id, gateway_snooze.item_id, gateway_snooze.location_id) AS s (text)
        WHERE s.text IS NOT NULL;
    END IF;
END
$$;
CREATE FUNCTION stockq.gateway_stock_at(token_hash text, store_id text, item_id text, location_id text, at timestamp with time zone) RETURNS TABLE(failure text, json text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
DECLARE
    moment CONSTANT timestamptz := coalesce(at, now());
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    failure := check_native_access(token_hash, store_id, 'read_catalog');
    RETURN NEXT;
    IF failure IS NOT NULL THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT NULL, json_strip_nulls(json_build_object(
        'store_id', gateway_stock_at.store_id, 'item_id', gateway_stock_at.item_id,
        'location_id', gateway_stock_at.location_id, 'at', native_time(moment), 'on_hand', s.on_hand,
        'allocated', s.allocated, 'available', s.available, 'version', s.version
    ))::text
    FROM stock_at(
        gateway_stock_at.store_id, gateway_stock_at.item_id, gateway_stock_at.location_id, moment
    ) AS s;
END
$$;
CREATE FUNCTION stockq.gateway_submit(token_hashes text[], store_ids text[], scopes text[], are_keyed boolean[], expires_ms integer[], unused_key_calls integer[], unused_keys text[], line_calls integer[], item_ids text[], location_ids text[], actions text[], quantities bigint[], on_insufficients text[], expected_availables bigint[], idempotency_keys text[], group_ids text[], ordering_keys text[], priorities integer[], run_ats timestamp with time zone[], expires_ats timestamp with time zone[], notifies boolean[], max_attempts integer[], reasons text[], "references" text[], counted_ats timestamp with time zone[], actors text[], occurred_ats timestamp with time zone[], metadatas jsonb[]) RETURNS TABLE(line integer, store_id text, job_id bigint, enqueued_at timestamp with time zone, is_duplicate boolean, failure text, strand integer)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
DECLARE
    room jsonb := '{}';
    latest CONSTANT timestamptz := now() + native_time_limit();
    reasons_allowed CONSTANT text[] := allowed_reasons();
BEGIN
    IF EXISTS (SELECT FROM store_limits) THEN
        room := gateway_room(ARRAY(
            SELECT a.store_id
            FROM unnest(line_calls) AS l (call)
            JOIN check_gateway_access(token_hashes, store_ids, gateway_submit.scopes) AS a USING (call)
            WHERE a.failure IS NULL
        ));
    END IF;
    PERFORM note_gateway_use(token_hashes);
    RETURN QUERY
    WITH access AS MATERIALIZED (
        SELECT a.call, a.store_id, a.granted, c.is_keyed, c.expires_ms,
            CASE
                WHEN a.failure = 'invalid_token' AND a.granted IS NOT NULL THEN 'unknown_store'
                WHEN a.failure IS NOT NULL THEN a.failure
                WHEN 'update_catalog' <> ALL (a.granted) THEN 'missing_scope'
                WHEN EXISTS (
                    SELECT FROM unnest(unused_key_calls, unused_keys) AS u (call, key)
                    CROSS JOIN LATERAL key_in_use(a.store_id, u.key) AS k
                    WHERE u.call = a.call
                ) THEN 'idempotency_mismatch'
            END AS failure
        FROM check_gateway_access(token_hashes, store_ids, scopes) AS a
        JOIN unnest(are_keyed, gateway_submit.expires_ms) WITH ORDINALITY AS c (is_keyed, expires_ms, number)
            ON c.number = a.call
    ), line AS MATERIALIZED (
        SELECT l.*, a.store_id, a.is_keyed, a.expires_ms, k.job_id AS known_job,
            CASE
                WHEN a.failure IS NOT NULL THEN a.failure
                WHEN i.parent_id IS NOT NULL AND 'read_catalog' <> ALL (a.granted) THEN 'missing_scope'
                WHEN l.run_at > latest OR l.expires_at > latest OR l.counted_at > now() + interval '5 minutes'
                    THEN 'time_limit'
                WHEN k.job_id IS NULL AND l.reason <> ALL (reasons_allowed)
                    THEN 'unlisted_reason:' || array_to_string(reasons_allowed, ', ')
                WHEN k.job_id IS NOT NULL AND NOT is_same_request(
                    k, l.item_id, l.location_id, l.action, l.quantity, l.on_insufficient, l.expected_available
                ) THEN 'idempotency_mismatch'
            END AS problem
        FROM unnest(
            line_calls, item_ids, location_ids, actions, quantities, on_insufficients, expected_availables,
            idempotency_keys, group_ids, ordering_keys, priorities, run_ats, expires_ats, notifies,
            gateway_submit.max_attempts, reasons, "references", counted_ats, actors, occurred_ats, metadatas
        ) WITH ORDINALITY AS l (
            call, item_id, location_id, action, quantity, on_insufficient, expected_available, idempotency_key,
            group_id, ordering_key, priority, run_at, expires_at, notify, max_attempts, reason, reference,
            counted_at, actor, occurred_at, metadata, number
        )
        JOIN access AS a USING (call)
        LEFT JOIN items AS i
            ON (i.store_id, i.item_id, i.location_id) = (a.store_id, l.item_id, l.location_id) AND a.failure IS NULL
        LEFT JOIN LATERAL key_in_use(a.store_id, l.idempotency_key) AS k
            ON l.idempotency_key IS NOT NULL AND a.failure IS NULL
    ), checked AS (
        SELECT l.*,
            CASE
                WHEN l.problem IS NOT NULL THEN l.problem
                -- Another line of the call has one.
                WHEN count(l.problem) OVER of_call > 0 THEN ''
                -- Its new lines alone would be another request than the first.
                WHEN l.is_keyed AND count(l.known_job) OVER of_call NOT IN (0, count(*) OVER of_call)
                    OR l.group_id IS NOT NULL
                    AND count(l.known_job) OVER of_group NOT IN (0, count(*) OVER of_group)
                    THEN 'idempotency_mismatch'
                WHEN l.known_job IS NULL AND count(*) FILTER (WHERE l.known_job IS NULL) OVER (
                    PARTITION BY l.store_id ORDER BY l.call
                ) > (room->>l.store_id)::bigint THEN CASE
                    -- So many lines at once never fit.
                    WHEN count(*) FILTER (WHERE l.known_job IS NULL) OVER of_call > (
                        SELECT m.ready_jobs_max FROM store_limits AS m WHERE m.store_id = l.store_id
                    ) THEN 'call_limit'
                    ELSE 'store_limit'
                END
            END AS reason_not
        FROM line AS l
        WINDOW of_call AS (PARTITION BY l.call), of_group AS (PARTITION BY l.call, l.group_id)
    ), whole AS (
        SELECT c.*, count(nullif(c.reason_not, '')) OVER (PARTITION BY c.call) > 0 AS is_failed FROM checked AS c
    ), placed AS MATERIALIZED (
        -- Joins of these would be nested loops, because the planner expects a few lines.
        SELECT w.*, NOT w.is_failed AND w.known_job IS NULL AS is_new,
            count(*) FILTER (WHERE NOT w.is_failed AND w.known_job IS NULL) OVER (ORDER BY w.number) AS place,
            -- All lines of a call with a stock count, or those after it would come before it.
            greatest(w.priority, max(
                CASE WHEN w.action = 'set' AND w.known_job IS NULL THEN priority_behind(
                    w.store_id, ARRAY[w.item_id], ARRAY[w.location_id], w.priority, w.ordering_key) END
            ) OVER (PARTITION BY w.call)) AS placed_priority
        FROM whole AS w
    ), added AS (
        INSERT INTO jobs (
            store_id, item_id, location_id, action, quantity, on_insufficient, expected_available, notify,
            idempotency_key, group_id, ordering_key, priority, run_at, expires_at, max_attempts, reason, reference,
            counted_at, actor, occurred_at, metadata
        )
        SELECT l.store_id, l.item_id, l.location_id, l.action::action, l.quantity,
            l.on_insufficient::on_insufficient, l.expected_available, l.notify, l.idempotency_key, l.group_id,
            l.ordering_key, l.placed_priority, l.run_at,
            coalesce(l.expires_at, now() + l.expires_ms * interval '1 millisecond'), l.max_attempts, l.reason,
            l.reference, l.counted_at, l.actor, l.occurred_at, l.metadata
        FROM placed AS l
        WHERE l.is_new
        ORDER BY l.number
        RETURNING jobs.job_id, jobs.strand
    ), new_jobs AS MATERIALIZED (
        SELECT array_agg(a.job_id ORDER BY a.job_id) AS ids, array_agg(a.strand ORDER BY a.job_id) AS strands
        FROM added AS a
    )
    SELECT l.number::integer, l.store_id,
        CASE WHEN l.is_new THEN (SELECT n.ids FROM new_jobs AS n)[l.place] ELSE l.known_job END,
        CASE
            WHEN l.known_job IS NULL THEN now()
            ELSE coalesce(
                (SELECT q.enqueued_at FROM jobs AS q WHERE q.job_id = l.known_job),
                (SELECT r.enqueued_at FROM results AS r WHERE r.job_id = l.known_job))
        END,
        l.known_job IS NOT NULL, nullif(l.reason_not, ''),
        CASE WHEN l.is_new THEN (SELECT n.strands FROM new_jobs AS n)[l.place] END
    FROM placed AS l
    ORDER BY l.number;
END
$$;
CREATE FUNCTION stockq.gateway_subscriptions(token_hash text, store_id text, subscription_id bigint) RETURNS TABLE(failure text, json text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    failure := check_native_access(token_hash, store_id, 'manage_notifications');
    RETURN NEXT;
    IF failure IS NULL THEN
        RETURN QUERY
        SELECT NULL, native_subscription(s)
        FROM native_subscriptions(gateway_subscriptions.store_id) AS s
        WHERE gateway_subscriptions.subscription_id IS NULL
            OR s.subscription_id = gateway_subscriptions.subscription_id
        ORDER BY s.subscription_id;
    END IF;
END
$$;
CREATE FUNCTION stockq.gateway_test_subscription(token_hash text, store_id text, subscription_id bigint) RETURNS TABLE(failure text, json text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
DECLARE
    access CONSTANT record := check_subscription_access(token_hash, store_id, subscription_id);
    known CONSTANT bigint := (access.subscription).subscription_id;
    sent bigint;
BEGIN
    failure := access.failure;
    IF failure IS NULL AND (access.subscription).disabled_at IS NOT NULL THEN
        failure := 'disabled';
    END IF;
    IF failure IS NULL THEN
        -- Two calls at once count one after the other.
        PERFORM FROM subscriptions AS s WHERE s.subscription_id = known FOR UPDATE;
        IF EXISTS (SELECT FROM recent_deliveries(known) AS d
            WHERE d.event = 'stock.test' AND d.created_at > now() - interval '1 minute')
        THEN
            failure := 'test_limit';
        END IF;
    END IF;
    RETURN NEXT;
    IF failure IS NULL THEN
        sent := test_subscription((access.subscription).name);
        RETURN QUERY SELECT NULL, native_delivery(d) FROM deliveries AS d WHERE d.delivery_id = sent;
    END IF;
END
$$;
CREATE FUNCTION stockq.give_jobs_item(store_id text, from_item text, from_location text, to_item text, to_location text, only_deferred boolean) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    wanted bigint[] := ARRAY(
        SELECT j.job_id FROM jobs AS j
        WHERE (j.store_id, j.item_id, j.location_id) = (give_jobs_item.store_id, from_item, from_location)
            AND (j.run_at IS NOT NULL OR NOT only_deferred)
    );
    changed bigint;
BEGIN
    -- A worker locks the row of the lane that it works.
    PERFORM l.lane FROM lanes AS l
    WHERE l.lane IN (SELECT j.lane FROM jobs AS j WHERE j.job_id = ANY (wanted))
    ORDER BY l.lane
    FOR UPDATE;
    UPDATE jobs SET item_id = to_item, location_id = to_location WHERE job_id = ANY (wanted);
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END
$$;
CREATE FUNCTION stockq.grant_store(producer text, store_id text, scopes text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    wanted CONSTANT text[] := stored_scopes(scopes);
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = producer) THEN
        RAISE undefined_object USING
            MESSAGE = format('there is no role %I', producer),
            HINT = format('Create it with: CREATE ROLE %I LOGIN', producer);
    END IF;
    INSERT INTO grants AS g (producer, store_id, scopes)
    VALUES (grant_store.producer, grant_store.store_id, wanted)
    ON CONFLICT ON CONSTRAINT grants_pkey DO UPDATE
    SET scopes = ARRAY(SELECT DISTINCT unnest(g.scopes || excluded.scopes) ORDER BY 1),
        granted_by = excluded.granted_by,
        granted_at = now();
    PERFORM record_operation(
        'grant', jsonb_build_object('producer', producer, 'store_id', store_id, 'scopes', wanted), NULL);
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
CREATE FUNCTION stockq.has_results_partition(job_id bigint) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
BEGIN
    RETURN EXISTS (SELECT FROM partition_bounds() AS p WHERE job_id >= p.lower_bound AND job_id < p.upper_bound);
END
$$;
CREATE FUNCTION stockq.hidden_character(id text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $_$
BEGIN
    RETURN 'U+' || upper(lpad(to_hex(ascii(substring(id FROM '^ | $|' || hidden_characters()))), 4, '0'));
END
$_$;
CREATE FUNCTION stockq.immediate_accesses(token_hashes text[], store_ids text[], scopes text[]) RETURNS TABLE(store_id text, may_update boolean, may_read boolean)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
BEGIN
    PERFORM note_gateway_use(token_hashes);
    RETURN QUERY
    SELECT a.store_id, a.failure IS NULL AND 'update_catalog' = ANY (a.granted),
        coalesce('read_catalog' = ANY (a.granted), false)
    FROM check_gateway_access(token_hashes, store_ids, scopes) AS a
    WHERE NOT EXISTS (SELECT FROM store_limits)
    ORDER BY a.call;
END
$$;
CREATE TABLE stockq.imports (
    import_id bigint NOT NULL,
    given_name text COLLATE pg_catalog."C",
    label text NOT NULL COLLATE pg_catalog."C",
    name text GENERATED ALWAYS AS (COALESCE(given_name, ((label || '-'::text) || (import_id)::text))) STORED NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL COLLATE pg_catalog."C",
    file_name text COLLATE pg_catalog."C",
    sha256 text COLLATE pg_catalog."C",
    state text DEFAULT 'running'::text NOT NULL COLLATE pg_catalog."C",
    session_pid integer,
    session_name text,
    run integer DEFAULT 1 NOT NULL,
    imported_by text NOT NULL COLLATE pg_catalog."C",
    started_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    finished_at timestamp with time zone,
    through_line bigint DEFAULT 0 NOT NULL,
    enqueued bigint DEFAULT 0 NOT NULL,
    duplicates bigint DEFAULT 0 NOT NULL,
    rejected bigint DEFAULT 0 NOT NULL,
    created bigint DEFAULT 0 NOT NULL,
    changed bigint DEFAULT 0 NOT NULL,
    unchanged bigint DEFAULT 0 NOT NULL,
    stock_differs bigint DEFAULT 0 NOT NULL,
    lines bigint GENERATED ALWAYS AS (((rejected + duplicates) +
CASE
    WHEN (kind = 'jobs'::text) THEN enqueued
    ELSE ((created + changed) + unchanged)
END)) STORED NOT NULL,
    problem text COLLATE pg_catalog."C",
    CONSTRAINT imports_given_name_length CHECK (((octet_length(given_name) >= 1) AND (octet_length(given_name) <= 200))),
    CONSTRAINT imports_kind_known CHECK ((kind = ANY (ARRAY['jobs'::text, 'items'::text]))),
    CONSTRAINT imports_label_length CHECK (((octet_length(label) >= 1) AND (octet_length(label) <= 1000))),
    CONSTRAINT imports_sha256_form CHECK ((sha256 ~ '^[0-9a-f]{64}$'::text)),
    CONSTRAINT imports_state_known CHECK ((state = ANY (ARRAY['running'::text, 'finished'::text, 'stopped'::text])))
)
WITH (fillfactor='70');
CREATE FUNCTION stockq.import_state(import stockq.imports) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
    SELECT CASE
        WHEN import.state = 'running' AND CASE
            WHEN import.session_pid IS NULL THEN import.updated_at < now() - interval '1 hour'
            ELSE NOT EXISTS (
                SELECT FROM pg_stat_activity
                WHERE pid = import.session_pid AND application_name = import.session_name
            )
        END THEN 'interrupted'
        ELSE import.state
    END
$$;
CREATE FUNCTION stockq.insert_deliveries(from_position bigint, from_row bigint, to_position bigint, to_row bigint, only_subscription bigint DEFAULT NULL::bigint, announced bigint[] DEFAULT '{}'::bigint[]) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    inserted integer;
BEGIN
    INSERT INTO deliveries (
        subscription_id, message_id, event, store_id, item_id, location_id, data, occurred_at, next_attempt_at
    )
    SELECT s.subscription_id, 'msg_' || s.subscription_id || '_' || n.notification_id, event_of(n.kind), n.store_id,
        n.item_id, n.location_id,
        json_build_object(
            'notification_id', n.notification_id, 'store_id', n.store_id, 'item_id', n.item_id,
            'location_id', n.location_id, 'available', n.available_after, 'available_before', n.available_before,
            'low_stock_threshold', n.low_stock_threshold, 'version', n.version, 'job_id', n.job_id,
            'cause', json_build_object(
                'action', CASE WHEN n.job_id IS NULL THEN 'threshold' ELSE r.action::text END,
                'quantity', r.applied_quantity, 'reference', r.reference, 'reason', r.reason)),
        n.occurred_at,
        CASE WHEN s.channel = 'mail' THEN coalesce(s.next_digest_at, now() + s.digest_window, now()) ELSE now() END
    FROM (
        SELECT m.*, false AS is_late FROM alert_messages AS m
        WHERE (m.position, m.notification_id) > (from_position, from_row)
            AND (m.position, m.notification_id) <= (to_position, to_row)
        UNION ALL
        SELECT m.*, true FROM alert_messages AS m
        WHERE m.notification_id = ANY (announced) AND (m.position, m.notification_id) <= (from_position, from_row)
    ) AS n
    LEFT JOIN results AS r ON r.job_id = n.job_id
    CROSS JOIN LATERAL (
        SELECT * FROM subscriptions AS of_store WHERE of_store.store_id = n.store_id
        UNION ALL
        SELECT * FROM subscriptions AS of_all WHERE of_all.store_id IS NULL
    ) AS s
    WHERE s.disabled_at IS NULL AND event_of(n.kind) = ANY (s.events)
        AND starts_with(n.item_id, s.item_prefix) AND starts_with(n.location_id, s.location_prefix)
        AND CASE
            WHEN only_subscription IS NULL THEN
                n.is_late OR (n.position, n.notification_id) > (s.start_position, s.start_row)
            ELSE s.subscription_id = only_subscription
        END
        AND (n.is_announced OR n.kind <> 'back_in_stock' OR r.group_id IS NULL OR NOT is_first_supply(n.job_id))
    ORDER BY n.position, n.notification_id, s.subscription_id;
    GET DIAGNOSTICS inserted = ROW_COUNT;
    RETURN inserted;
END
$$;
CREATE FUNCTION stockq.insert_lines(list stockq.lines) RETURNS bigint[]
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.insert_lines_for(producer text, caller_token bytea, list stockq.lines) RETURNS bigint[]
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET debug_print_plan TO 'off'
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
CREATE FUNCTION stockq.insert_new_lines(list stockq.lines, new_lines integer) RETURNS bigint[]
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.insert_retries(wanted bigint[]) RETURNS TABLE(job_id bigint, retry_of bigint)
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
    AS $_$
BEGIN
    RETURN QUERY EXECUTE format($retry$
        WITH named AS MATERIALIZED (
            SELECT job_id, group_id, store_id, submission_id FROM results WHERE job_id = ANY ($1)
        ), too_large AS MATERIALIZED (
            -- Of a group that is too large nothing is ever retried, not even lines that were canceled.
            SELECT DISTINCT first.group_id, first.store_id, first.submission_id
            FROM (SELECT DISTINCT group_id, store_id, submission_id FROM named WHERE group_id IS NOT NULL) AS of_named
            JOIN results AS first USING (group_id, store_id, submission_id)
            WHERE first.group_last_job_id IS NOT NULL AND first.code = 'group_too_large'
        ), tries AS (
            -- A retried group keeps its submission, so one submission can have several tries, one behind the other.
            SELECT first.job_id AS first_id, first.group_last_job_id AS last_id, of_named.*
            FROM (SELECT DISTINCT group_id, store_id, submission_id FROM named WHERE group_id IS NOT NULL) AS of_named
            JOIN results AS first USING (group_id, store_id, submission_id)
            WHERE first.group_last_job_id IS NOT NULL
                AND EXISTS (
                    SELECT FROM named
                    WHERE (named.group_id, named.store_id, named.submission_id)
                            = (of_named.group_id, of_named.store_id, of_named.submission_id)
                        AND named.job_id BETWEEN first.job_id AND first.group_last_job_id
                )
        ), whole AS (
            SELECT job_id FROM named
            UNION
            SELECT line.job_id
            FROM tries
            CROSS JOIN LATERAL (
                SELECT job_id
                FROM results
                WHERE job_id BETWEEN tries.first_id AND tries.last_id
                    AND (group_id, store_id, submission_id) = (tries.group_id, tries.store_id, tries.submission_id)
                ORDER BY job_id
            ) AS line
        ), retryable AS (
            SELECT r.*,
                -- A group is not retried if one of its lines was rejected for its key, or was corrected.
                bool_or(
                    r.first_job_id IS NOT NULL OR r.code = 'idempotency_mismatch'
                    OR correction_of(r.job_id, r.retry_of, r.store_id) IS NOT NULL
                ) OVER (
                    PARTITION BY group_id, store_id, submission_id, CASE WHEN group_id IS NULL THEN r.job_id END
                ) AS is_blocked
            FROM whole
            CROSS JOIN LATERAL (SELECT * FROM results WHERE results.job_id = whole.job_id LIMIT 1) AS r
        ), added AS (
            INSERT INTO jobs (submission_id, retry_of, expires_at, idempotency_key, %1$s)
            SELECT
                CASE WHEN group_id IS NULL THEN pg_current_xact_id() ELSE submission_id END,
                job_id,
                CASE WHEN expires_at > now() THEN expires_at END,
                CASE WHEN NOT EXISTS (
                    SELECT FROM idempotency_keys AS k
                    WHERE (k.idempotency_key, k.store_id) = (r.idempotency_key, r.store_id) AND k.job_id = r.job_id
                ) THEN idempotency_key END,
                %1$s
            FROM retryable AS r
            WHERE outcome IN ('failed', 'rejected', 'canceled')
                AND is_blocked IS NOT TRUE
                AND ((group_id, store_id, submission_id) IN (SELECT * FROM too_large)) IS NOT TRUE
                AND NOT EXISTS (SELECT FROM retries WHERE retries.job_id = r.job_id)
            ORDER BY job_id
            RETURNING job_id, retry_of
        ), linked AS (
            INSERT INTO retries (job_id, retry_job_id) SELECT retry_of, job_id FROM added
        )
        SELECT job_id, retry_of FROM added ORDER BY 1
    $retry$, request_columns())
    USING wanted;
END
$_$;
CREATE FUNCTION stockq.inserts_as_caller() RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
BEGIN
    RETURN NOT row_security_active('jobs') OR has_restrictive_policies()
        OR EXISTS (
            SELECT FROM pg_roles WHERE rolname = current_schema() || '_admin' AND pg_has_role(oid, 'USAGE')
        );
END
$$;
CREATE FUNCTION stockq.is_announcement_due() RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    AS $$
    SELECT EXISTS (SELECT FROM announced_items WHERE due_at <= now())
        OR EXISTS (
            SELECT FROM announced_items AS waiting
            JOIN items AS i USING (store_id, item_id, location_id)
            WHERE waiting.rearm_above IS NOT NULL AND i.version > waiting.searched_version
        )
$$;
CREATE FUNCTION stockq.is_canceled(import stockq.imports) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
BEGIN
    IF import.kind <> 'jobs' OR import.enqueued = 0 OR import_state(import) = 'running' THEN
        RETURN false;
    END IF;
    RETURN (
        WITH finished AS NOT MATERIALIZED (
            SELECT r.job_id, r.outcome
            FROM import_parts AS part
            CROSS JOIN LATERAL (
                SELECT job_id, outcome FROM results
                WHERE job_id BETWEEN part.first_job_id AND part.last_job_id AND submission_id = part.submission_id
                OFFSET 0  -- part by part: a join would read all results
            ) AS r
            WHERE part.import_id = import.import_id
        )
        -- The usual answer is in the first results.
        SELECT NOT EXISTS (SELECT FROM finished WHERE outcome <> 'canceled')
            AND import.enqueued = (
                SELECT count(*) FROM finished AS f
                WHERE NOT EXISTS (SELECT FROM retries WHERE retries.job_id = f.job_id)
            )
    );
END
$$;
CREATE FUNCTION stockq.is_first_supply(job_id bigint) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $_$
    SELECT EXISTS (SELECT FROM results AS r WHERE r.job_id = $1 AND r.applied_quantity > 0 AND is_transfer(r))
        AND NOT EXISTS (
            WITH RECURSIVE change AS (
                SELECT r.previous_job_id AS job_id, 1 AS step FROM results AS r WHERE r.job_id = $1
                UNION ALL
                SELECT r.previous_job_id, change.step + 1
                FROM change
                JOIN results AS r ON r.job_id = change.job_id
                WHERE change.step <= 1000
            )
            SELECT FROM change
            JOIN results AS r ON r.job_id = change.job_id
            WHERE change.step > 1000
                OR (r.on_hand_after - r.allocated_after < r.on_hand_before - r.allocated_before AND NOT is_transfer(r))
        )
$_$;
CREATE FUNCTION stockq.job_defaults() RETURNS stockq.job_defaults
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ROW('main'::text, 'adjust'::text, 'reject'::text, (2)::smallint, (10)::smallint, true)::stockq.job_defaults;
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
    (jobs.quantity)::bigint AS quantity,
    jobs.on_insufficient,
    (jobs.expected_available)::bigint AS expected_available,
    false AS is_used
   FROM stockq.jobs
  WHERE (jobs.idempotency_key IS NOT NULL);
CREATE FUNCTION stockq.is_same_request(first stockq.keys_in_use, item_id text, location_id text, action text, quantity bigint, on_insufficient text, expected_available bigint) RETURNS boolean
    LANGUAGE sql STABLE
    RETURN (NOT (((((((first).item_id IS DISTINCT FROM item_id) OR ((first).location_id IS DISTINCT FROM COALESCE(location_id, (stockq.job_defaults()).location_id))) OR (((first).action)::text IS DISTINCT FROM COALESCE(action, (stockq.job_defaults()).action))) OR ((first).quantity IS DISTINCT FROM quantity)) OR (((first).on_insufficient)::text IS DISTINCT FROM COALESCE(on_insufficient, (stockq.job_defaults()).on_insufficient))) OR ((first).expected_available IS DISTINCT FROM expected_available)));
CREATE FUNCTION stockq.is_transfer(line stockq.results) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
    SELECT line.action = 'adjust' AND line.group_id IS NOT NULL AND EXISTS (
        SELECT FROM results AS first
        JOIN results AS other ON other.job_id BETWEEN first.job_id AND first.group_last_job_id
        WHERE first.group_id = line.group_id AND first.store_id = line.store_id
            AND first.group_last_job_id IS NOT NULL AND line.job_id BETWEEN first.job_id AND first.group_last_job_id
            AND (other.group_id, other.store_id, other.submission_id)
                = (line.group_id, line.store_id, line.submission_id)
            AND other.item_id = line.item_id AND other.location_id <> line.location_id AND other.action = 'adjust'
            AND other.outcome = 'applied' AND other.applied_quantity = -line.applied_quantity
    )
$$;
CREATE FUNCTION stockq.item_history(store_id text, item_id text, location_id text DEFAULT NULL::text, movements integer DEFAULT 10) RETURNS SETOF stockq.results
    LANGUAGE sql STABLE ROWS 10
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $_$
    WITH RECURSIVE movement AS (
        SELECT last_job_id AS job_id, 1 AS step
        FROM items
        WHERE (items.store_id, items.item_id, items.location_id)
                = ($1, $2, coalesce($3, (job_defaults()).location_id))
            AND last_job_id IS NOT NULL AND $4 > 0
        UNION ALL
        SELECT results.previous_job_id, step + 1
        FROM movement
        JOIN results USING (job_id)
        WHERE results.previous_job_id IS NOT NULL AND step < $4
    )
    SELECT results.*
    FROM movement
    JOIN results USING (job_id)
    ORDER BY step
$_$;
CREATE FUNCTION stockq.item_to_move(store_id text, item_id text, location_id text) RETURNS stockq.items
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    item items;
BEGIN
    SELECT * INTO item FROM items AS i
    WHERE (i.store_id, i.item_id, i.location_id)
            = (item_to_move.store_id, item_to_move.item_id, item_to_move.location_id)
    FOR UPDATE;
    IF NOT FOUND THEN
        RAISE no_data_found USING
            MESSAGE = format('there is no item %L in store %L at %L', item_id, store_id, location_id);
    END IF;
    RETURN item;
END
$$;
CREATE FUNCTION stockq.jobs_to_cancel(producer text, job_ids bigint[]) RETURNS bigint[]
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    may_read_only record;
BEGIN
    IF may_act_everywhere(producer) THEN
        RETURN job_ids;
    END IF;
    SELECT j.store_id, j.item_id INTO may_read_only
    FROM jobs AS j
    JOIN grants AS g ON g.store_id = j.store_id AND g.producer = jobs_to_cancel.producer
    WHERE j.job_id = ANY (job_ids) AND 'update_catalog' <> ALL (g.scopes)
    LIMIT 1;
    IF FOUND THEN
        PERFORM raise_missing_scope(producer, 'update_catalog', may_read_only.store_id, may_read_only.item_id);
    END IF;
    RETURN ARRAY(
        SELECT j.job_id
        FROM jobs AS j
        JOIN grants AS g ON g.store_id = j.store_id AND g.producer = jobs_to_cancel.producer
        WHERE j.job_id = ANY (job_ids)
        ORDER BY j.job_id
    );
END
$$;
CREATE FUNCTION stockq.jobs_to_retry(job_ids bigint[], failed boolean, code text, store_id text, since interval) RETURNS bigint[]
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    wrong record;
BEGIN
    IF (job_ids IS NOT NULL)::integer + failed::integer + (code IS NOT NULL)::integer <> 1 THEN
        RAISE invalid_parameter_value USING MESSAGE = 'name jobs by job_ids, or the failed ones, or those with a code';
    END IF;
    IF job_ids IS NULL THEN
        RETURN ARRAY(
            SELECT r.job_id FROM results AS r
            WHERE CASE WHEN failed THEN r.outcome = 'failed'
                    ELSE r.outcome = 'rejected' AND r.code = jobs_to_retry.code::code END
                AND r.finished_at >= now() - since
                AND (jobs_to_retry.store_id IS NULL OR r.store_id = jobs_to_retry.store_id)
        );
    END IF;
    SELECT named.id, r.outcome, r.code, corrected.by_job INTO wrong
    FROM unnest(job_ids) AS named (id)
    LEFT JOIN results AS r ON r.job_id = named.id
    CROSS JOIN LATERAL correction_of(r.job_id, r.retry_of, r.store_id) AS corrected (by_job)
    WHERE r.outcome IS NULL OR r.outcome NOT IN ('failed', 'rejected', 'canceled')
        OR r.first_job_id IS NOT NULL OR r.code IN ('idempotency_mismatch', 'group_too_large')
        OR corrected.by_job IS NOT NULL
    LIMIT 1;
    IF FOUND THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('job %s %s, and cannot be retried', wrong.id, CASE
                WHEN wrong.outcome IS NULL THEN 'has no result'
                WHEN wrong.code = 'group_too_large' THEN 'is a line of a group that is too large'
                WHEN wrong.by_job IS NOT NULL THEN format('was corrected by job %s', wrong.by_job)
                WHEN wrong.outcome IN ('failed', 'rejected', 'canceled')
                    THEN 'was rejected for its idempotency key'
                ELSE 'was ' || wrong.outcome
            END);
    END IF;
    RETURN job_ids;
END
$$;
CREATE FUNCTION stockq.keep_retired_item(item stockq.items) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    created CONSTANT bigint := coalesce((
        SELECT max(r.version)
        FROM retired_items AS r
        WHERE (r.store_id, r.item_id, r.location_id) = (item.store_id, item.item_id, item.location_id)
    ), 0);
BEGIN
    IF item.version <= created AND NOT EXISTS (
        SELECT FROM threshold_changes AS c
        WHERE (c.item_id, c.store_id, c.location_id, c.version)
            = (item.item_id, item.store_id, item.location_id, item.version)
    ) THEN
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM announced_stores AS s WHERE s.store_id = item.store_id) THEN
        PERFORM FROM delivery_progress FOR UPDATE;
    END IF;
    INSERT INTO retired_items (
        store_id, item_id, location_id, version, created_version, on_hand, allocated, opening_on_hand,
        opening_allocated, opening_version, last_job_id, last_notification_id, retired_at
    )
    SELECT item.store_id, item.item_id, item.location_id, item.version, created, item.on_hand, item.allocated,
        coalesce(item.opening_on_hand, item.on_hand), coalesce(item.opening_allocated, item.allocated),
        item.opening_version, item.last_job_id,
        -- The item's row is locked, so none of its notifications is still to come.
        CASE WHEN s.is_called THEN s.last_value ELSE 0 END, clock_timestamp()
    FROM notifications_notification_id_seq AS s
    ON CONFLICT ON CONSTRAINT retired_items_pkey DO NOTHING;
END
$$;
CREATE FUNCTION stockq.key_in_use(store_id text, idempotency_key text) RETURNS SETOF stockq.keys_in_use
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 SELECT k.store_id,
     k.idempotency_key,
     k.job_id,
     k.item_id,
     k.location_id,
     k.action,
     k.quantity,
     k.on_insufficient,
     k.expected_available,
     k.is_used
    FROM stockq.keys_in_use k
   WHERE ((k.idempotency_key = key_in_use.idempotency_key) AND (k.store_id = key_in_use.store_id))
   ORDER BY k.is_used DESC, k.job_id
  LIMIT 1;
END;
CREATE FUNCTION stockq.kind_of(level_before stockq.alert_level, level_after stockq.alert_level) RETURNS stockq.notification_kind
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
    SELECT CASE
        WHEN level_after = 'out' THEN 'out_of_stock'
        WHEN level_before = 'out' THEN 'back_in_stock'
        WHEN level_after = 'low' THEN 'low_stock'
        ELSE 'restocked'
    END::notification_kind
$$;
CREATE FUNCTION stockq.known_keys(list stockq.lines) RETURNS SETOF stockq.receipt
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.known_lines(list stockq.lines) RETURNS stockq.receipt[]
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.known_subscription(name text) RETURNS bigint
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    known bigint := (SELECT s.subscription_id FROM subscriptions AS s WHERE s.name = known_subscription.name);
BEGIN
    IF known IS NULL THEN
        RAISE undefined_object USING
            MESSAGE = format('there is no subscription %L', name), HINT = 'stockq subscriptions list shows them.';
    END IF;
    RETURN known;
END
$$;
CREATE FUNCTION stockq.last_notifications(max_rows integer DEFAULT 100, only_store text DEFAULT NULL::text) RETURNS TABLE(notification_id bigint, job_id bigint, version bigint, available_before bigint, available_after bigint, low_stock_threshold bigint, created_at timestamp with time zone, kind stockq.notification_kind, store_id text, item_id text, location_id text, cursor text)
    LANGUAGE plpgsql ROWS 100
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    AS $$
#variable_conflict use_column
DECLARE
    horizon record;
    stores CONSTANT text[] := feed_stores(only_store);
BEGIN
    horizon := feed_horizon('notifications'::regclass, 'notifications_notification_id_seq'::regclass);
    IF stores IS NULL THEN
        RETURN QUERY
        SELECT n.notification_id, n.job_id, n.version, n.available_before, n.available_after, n.low_stock_threshold,
            n.created_at, n.kind, n.store_id, n.item_id, n.location_id, n.position || '-' || n.notification_id
        FROM (
            SELECT * FROM notifications AS newest
            WHERE (newest.position, newest.notification_id) <= (horizon.position, horizon.row_id)
            ORDER BY newest.position DESC, newest.notification_id DESC
            LIMIT max_rows
        ) AS n
        ORDER BY n.position, n.notification_id;
    ELSE
        RETURN QUERY
        SELECT n.notification_id, n.job_id, n.version, n.available_before, n.available_after, n.low_stock_threshold,
            n.created_at, n.kind, n.store_id, n.item_id, n.location_id, n.position || '-' || n.notification_id
        FROM (
            SELECT of_store.* FROM unnest(stores) AS s (store_id) CROSS JOIN LATERAL (
                SELECT * FROM notifications AS newest
                WHERE newest.store_id = s.store_id
                    AND (newest.position, newest.notification_id) <= (horizon.position, horizon.row_id)
                ORDER BY newest.position DESC, newest.notification_id DESC
                LIMIT max_rows
            ) AS of_store
            ORDER BY of_store.position DESC, of_store.notification_id DESC
            LIMIT max_rows
        ) AS n
        ORDER BY n.position, n.notification_id;
    END IF;
END
$$;
CREATE FUNCTION stockq.level_of(available bigint, threshold bigint) RETURNS stockq.alert_level
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
    SELECT CASE WHEN available <= 0 THEN 'out' WHEN available <= threshold THEN 'low' ELSE 'ok' END::alert_level
$$;
CREATE FUNCTION stockq.list_gateway_clients() RETURNS TABLE(name text, client_id text, store_id text, scopes text[], created_by text, created_at timestamp with time zone, last_used_at timestamp with time zone, revoked_at timestamp with time zone)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
    SELECT c.name, c.client_id, c.store_id, c.scopes, c.created_by, c.created_at, c.last_used_at, c.revoked_at
    FROM gateway_clients AS c
    ORDER BY c.name, c.created_at
$$;
CREATE FUNCTION stockq.list_gateway_tokens() RETURNS TABLE(name text, is_anonymous boolean, stores text[], scopes text[], created_by text, created_at timestamp with time zone, expires_at timestamp with time zone, last_used_at timestamp with time zone, revoked_at timestamp with time zone)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
    SELECT t.name, t.token_hash IS NULL, t.stores, t.scopes, t.created_by, t.created_at, t.expires_at, t.last_used_at,
        t.revoked_at
    FROM gateway_tokens AS t
    WHERE t.client_id IS NULL
    ORDER BY t.name, t.token_id
$$;
CREATE FUNCTION stockq.list_subscriptions() RETURNS TABLE(name text, subscription_id bigint, store_id text, channel text, target text, events text[], item_prefix text, location_prefix text, digest_window interval, digest_at time without time zone, time_zone text, created_by text, created_at timestamp with time zone, failing_since timestamp with time zone, disabled_at timestamp with time zone, disabled_reason text, pending bigint, dead bigint)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
    SELECT s.name, s.subscription_id, s.store_id, s.channel, s.target, s.events, s.item_prefix, s.location_prefix,
        s.digest_window, s.digest_at, s.time_zone, s.created_by, s.created_at, s.failing_since, s.disabled_at,
        s.disabled_reason,
        (SELECT count(*) FROM deliveries AS d WHERE d.subscription_id = s.subscription_id AND d.state = 'pending'),
        (SELECT count(*) FROM deliveries AS d WHERE d.subscription_id = s.subscription_id AND d.state = 'dead')
    FROM subscriptions AS s
    ORDER BY s.name
$$;
CREATE TABLE stockq.delivery_progress (
    is_only_row boolean DEFAULT true NOT NULL,
    "position" bigint DEFAULT 0 NOT NULL,
    row_id bigint DEFAULT 0 NOT NULL,
    CONSTRAINT delivery_progress_is_only_row CHECK (is_only_row)
);
CREATE FUNCTION stockq.lock_delivery_progress() RETURNS stockq.delivery_progress
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    progress delivery_progress;
    horizon record;
BEGIN
    SELECT * INTO progress FROM delivery_progress FOR UPDATE;
    IF NOT EXISTS (SELECT FROM subscriptions WHERE disabled_at IS NULL)
        AND NOT EXISTS (SELECT FROM announced_stores)
    THEN
        horizon := feed_horizon('notifications'::regclass, 'notifications_notification_id_seq'::regclass);
        UPDATE delivery_progress SET position = horizon.position, row_id = horizon.row_id RETURNING * INTO progress;
    END IF;
    RETURN progress;
END
$$;
CREATE FUNCTION stockq.lock_maintenance(name text, shared boolean DEFAULT false, waits boolean DEFAULT true) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
BEGIN
    IF shared THEN
        PERFORM FROM maintenance_locks AS l WHERE l.name = lock_maintenance.name FOR SHARE;
    ELSIF waits THEN
        PERFORM FROM maintenance_locks AS l WHERE l.name = lock_maintenance.name FOR UPDATE;
    ELSE
        PERFORM FROM maintenance_locks AS l WHERE l.name = lock_maintenance.name FOR UPDATE SKIP LOCKED;
    END IF;
    IF FOUND THEN
        RETURN true;
    END IF;
    IF NOT EXISTS (SELECT FROM maintenance_locks AS l WHERE l.name = lock_maintenance.name) THEN
        RAISE internal_error USING
            MESSAGE = format('maintenance_locks lacks its row "%s"', name), HINT = 'Insert it again.';
    END IF;
    RETURN false;
END
$$;
CREATE FUNCTION stockq.lock_queue(shared boolean) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.lock_retention() RETURNS boolean
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    RETURN stockq.lock_maintenance('retention'::text, waits => false);
CREATE FUNCTION stockq.make_paused_jobs_ready(store_id text) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
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
CREATE FUNCTION stockq.may_act_everywhere(role text) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
BEGIN
    RETURN pg_has_role(role, (SELECT relowner FROM pg_class WHERE oid = 'jobs'::regclass), 'USAGE')
        OR EXISTS (
            SELECT FROM pg_roles
            WHERE rolname = current_schema() || '_admin' AND pg_has_role(may_act_everywhere.role, oid, 'USAGE')
        );
END
$$;
CREATE FUNCTION stockq.may_enqueue(store_id text, item_id text, location_id text) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    granted text[] := (SELECT scopes FROM my_grants WHERE my_grants.store_id = may_enqueue.store_id);
BEGIN
    IF 'update_catalog' = ANY (granted) AND 'read_catalog' = ANY (granted) THEN
        RETURN true;
    ELSIF granted IS NULL OR 'update_catalog' <> ALL (granted) THEN
        PERFORM raise_missing_scope(current_user::text, 'update_catalog', store_id, item_id);
    ELSIF EXISTS (
        SELECT FROM my_variations AS v
        WHERE (v.store_id, v.item_id, v.location_id)
            = (may_enqueue.store_id, may_enqueue.item_id, may_enqueue.location_id)
    ) THEN
        PERFORM raise_missing_scope(current_user::text, 'read_catalog', store_id, item_id);
    END IF;
    RETURN true;
END
$$;
CREATE FUNCTION stockq.move_item(store_id text, from_item text, from_location text, to_item text, to_location text, merge boolean, reason text, OUT job_ids bigint[], OUT is_new boolean, OUT given_jobs bigint) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
#variable_conflict use_column
DECLARE
    item items;
    lines jsonb;
BEGIN
    IF (from_item, from_location) = (to_item, to_location) THEN
        RAISE invalid_parameter_value USING MESSAGE = 'both items are the same';
    END IF;
    PERFORM lock_queue(shared => false);
    item := item_to_move(move_item.store_id, from_item, from_location);
    INSERT INTO items (store_id, item_id, location_id, parent_id, tracked, low_stock_threshold)
    VALUES (
        move_item.store_id, to_item, to_location, nullif(item.parent_id, to_item), item.tracked,
        CASE WHEN NOT item.threshold_is_default THEN item.low_stock_threshold END)
    ON CONFLICT DO NOTHING;
    is_new := FOUND;
    IF NOT is_new AND merge IS NOT TRUE THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('item %L exists in store %L at %L', to_item, move_item.store_id, to_location),
            HINT = 'With --merge it gets the stock in addition to its own.';
    END IF;
    given_jobs := give_jobs_item(move_item.store_id, from_item, from_location, to_item, to_location, true);
    job_ids := '{}';
    IF item.tracked AND (item.on_hand <> 0 OR item.allocated <> 0) THEN
        -- The old item sends no notification: it is not out of stock, but gone.
        SELECT jsonb_agg(jsonb_strip_nulls(to_jsonb(l) - 'number') ORDER BY number) INTO lines
        FROM (VALUES
            (1, 'deallocate', from_item, from_location, item.allocated, 'reject', item.on_hand - item.allocated, false),
            (2, 'adjust', from_item, from_location, -item.on_hand, 'reject',
                CASE WHEN item.allocated = 0 THEN item.on_hand END, false),
            (3, 'adjust', to_item, to_location, item.on_hand, 'allow', NULL, NOT is_new),
            (4, 'allocate', to_item, to_location, item.allocated, 'allow', NULL, NOT is_new)
        ) AS l (number, action, item_id, location_id, quantity, on_insufficient, expected_available, notify)
        WHERE quantity <> 0;
        SELECT array_agg(r.job_id ORDER BY r.line) INTO job_ids
        FROM enqueue_lines(
            move_item.store_id, lines, 'move ' || gen_random_uuid(),
            priority => priority_behind(
                move_item.store_id, ARRAY[from_item, to_item], ARRAY[from_location, to_location], NULL, NULL),
            reference => format('move %s to %s', from_item, to_item), reason => reason) AS r;
    END IF;
    PERFORM record_operation(
        'items move',
        jsonb_build_object(
            'store_id', move_item.store_id, 'item_id', from_item, 'location_id', from_location, 'to_item', to_item,
            'to_location', to_location, 'is_new', is_new, 'given_jobs', given_jobs, 'reason', reason),
        cardinality(job_ids));
END
$$;
CREATE FUNCTION stockq.native_alert_policy(store_id text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $_$
    SELECT json_strip_nulls(json_build_object(
        'store_id', $1, 'default_threshold', p.default_threshold,
        'quiet_seconds', extract(epoch FROM p.quiet_period)::bigint, 'rearm_margin', p.rearm_margin
    ))::text
    FROM alert_policy($1) AS p
$_$;
CREATE TABLE stockq.deliveries (
    delivery_id bigint NOT NULL,
    subscription_id bigint NOT NULL,
    message_id text NOT NULL COLLATE pg_catalog."C",
    event text NOT NULL COLLATE pg_catalog."C",
    store_id text NOT NULL COLLATE pg_catalog."C",
    item_id text NOT NULL COLLATE pg_catalog."C",
    location_id text NOT NULL COLLATE pg_catalog."C",
    data json NOT NULL,
    occurred_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    state text DEFAULT 'pending'::text NOT NULL COLLATE pg_catalog."C",
    attempts smallint DEFAULT 0 NOT NULL,
    next_attempt_at timestamp with time zone DEFAULT now() NOT NULL,
    claim_id bigint,
    finished_at timestamp with time zone,
    last_error text COLLATE pg_catalog."C",
    CONSTRAINT deliveries_state_known CHECK ((state = ANY (ARRAY['pending'::text, 'delivered'::text, 'dead'::text])))
)
WITH (fillfactor='70', autovacuum_vacuum_scale_factor='0.05', autovacuum_vacuum_cost_delay='0');
CREATE FUNCTION stockq.native_delivery(d stockq.deliveries) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
    SELECT json_strip_nulls(json_build_object(
        'delivery_id', d.delivery_id, 'message_id', d.message_id, 'event', d.event,
        'item_id', nullif(d.item_id, ''), 'location_id', nullif(d.location_id, ''), 'state', d.state,
        'attempts', d.attempts, 'occurred_at', native_time(d.occurred_at), 'created_at', native_time(d.created_at),
        'next_attempt_at', native_time(CASE WHEN d.state = 'pending' THEN d.next_attempt_at END),
        'finished_at', native_time(d.finished_at), 'last_error', d.last_error
    ))::text
$$;
CREATE FUNCTION stockq.native_item(item stockq.items) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
    SELECT json_strip_nulls(json_build_object(
        'store_id', item.store_id, 'item_id', item.item_id, 'location_id', item.location_id,
        'parent_id', item.parent_id, 'on_hand', item.on_hand, 'allocated', item.allocated,
        'available', item.available, 'tracked', item.tracked, 'low_stock_threshold', item.low_stock_threshold,
        'alert_level', CASE
            WHEN NOT item.tracked THEN 'ok'
            WHEN item.available <= 0 THEN 'out'
            WHEN item.available <= item.low_stock_threshold THEN 'low'
            ELSE 'ok'
        END,
        'version', item.version, 'created_at', native_time(item.created_at),
        'updated_at', native_time(item.updated_at)
    ))::text
$$;
CREATE FUNCTION stockq.native_job(job stockq.job_states) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
    SELECT json_strip_nulls(json_build_object(
        'job_id', job.job_id, 'state', job.state, 'store_id', job.store_id, 'item_id', job.item_id,
        'location_id', job.location_id, 'action', job.action, 'quantity', job.quantity,
        'on_insufficient', job.on_insufficient, 'priority', job.priority, 'group_id', job.group_id,
        'ordering_key', job.ordering_key, 'idempotency_key', job.idempotency_key, 'reference', job.reference,
        'reason', job.reason, 'actor', job.actor, 'occurred_at', native_time(job.occurred_at),
        'metadata', job.metadata, 'counted_at', native_time(job.counted_at),
        'enqueued_at', native_time(job.enqueued_at),
        'run_at', native_time(job.run_at),
        'finished_at', native_time(job.finished_at), 'outcome', job.outcome, 'code', job.code,
        'warning', job.warning, 'applied_quantity', job.applied_quantity, 'on_hand_before', job.on_hand_before,
        'on_hand_after', job.on_hand_after, 'allocated_before', job.allocated_before,
        'allocated_after', job.allocated_after, 'version', job.version, 'first_job_id', job.first_job_id,
        'retry_of', job.retry_of, 'message', job.message
    ))::text
$$;
CREATE FUNCTION stockq.native_snooze(store_id text, item_id text, location_id text) RETURNS text
    LANGUAGE sql
    SET search_path TO 'stockq', 'pg_temp'
    AS $_$
    SELECT json_strip_nulls(json_build_object(
        'store_id', i.store_id, 'item_id', i.item_id, 'location_id', i.location_id,
        -- The end of a snooze is a time after that at which its transaction began.
        'until', native_time(CASE WHEN s.until > clock_timestamp() THEN s.until END)
    ))::text
    FROM items AS i
    LEFT JOIN LATERAL (
        SELECT z.until FROM snoozes AS z
        WHERE (z.item_id, z.store_id, z.location_id) = (i.item_id, i.store_id, i.location_id)
        ORDER BY z.snooze_id DESC
        LIMIT 1
    ) AS s ON true
    WHERE (i.store_id, i.item_id, i.location_id) = ($1, $2, $3)
$_$;
CREATE FUNCTION stockq.native_subscription(s stockq.subscriptions, with_secret boolean DEFAULT false) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
    SELECT json_strip_nulls(json_build_object(
        'subscription_id', s.subscription_id, 'name', s.name, 'store_id', s.store_id, 'channel', s.channel,
        'target', s.target, 'events', s.events, 'item_prefix', nullif(s.item_prefix, ''),
        'location_prefix', nullif(s.location_prefix, ''),
        'digest_window_seconds', extract(epoch FROM s.digest_window)::bigint,
        'digest_at', to_char(s.digest_at, 'HH24:MI'), 'time_zone', s.time_zone,
        'created_at', native_time(s.created_at), 'failing_since', native_time(s.failing_since),
        'enabled', s.disabled_at IS NULL, 'disabled_at', native_time(s.disabled_at),
        'disabled_reason', s.disabled_reason,
        'pending', (
            SELECT count(*) FROM deliveries AS d WHERE d.subscription_id = s.subscription_id AND d.state = 'pending'
        ),
        'dead', (SELECT count(*) FROM deliveries AS d WHERE d.subscription_id = s.subscription_id AND d.state = 'dead'),
        'secret', CASE WHEN with_secret THEN s.secret END
    ))::text
$$;
CREATE FUNCTION stockq.native_subscriptions(store_id text) RETURNS SETOF stockq.subscriptions
    LANGUAGE sql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $_$
    SELECT * FROM subscriptions AS s WHERE s.store_id = $1 AND s.channel IN ('webhook', 'mail')
$_$;
CREATE FUNCTION stockq.native_time(at timestamp with time zone) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $_$
    SELECT to_char($1 AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$_$;
CREATE FUNCTION stockq.native_time_limit() RETURNS interval
    LANGUAGE sql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
    SELECT substring(pg_get_constraintdef(oid) FROM '''([0-9:]+)''::interval')::interval
    FROM pg_constraint
    WHERE conrelid = 'jobs'::regclass AND conname = 'jobs_run_at_limit'
$$;
CREATE FUNCTION stockq.next_digest(digest_at time without time zone, time_zone text, after timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE sql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
    SELECT min(due) FROM (
        SELECT ((after AT TIME ZONE time_zone)::date + day + digest_at) AT TIME ZONE time_zone AS due
        FROM generate_series(0, 2) AS day
    ) AS days
    WHERE due > after
$$;
CREATE FUNCTION stockq.note_gateway_use(token_hashes text[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
BEGIN
    UPDATE gateway_tokens SET last_used_at = now()
    WHERE token_id IN (
        SELECT token_id FROM gateway_tokens
        WHERE token_hash = ANY ((SELECT note_gateway_use.token_hashes)::text[])
            AND (last_used_at < now() - interval '1 minute' OR last_used_at IS NULL)
        FOR UPDATE SKIP LOCKED
    );
END
$$;
CREATE FUNCTION stockq.notifications_after(after_cursor text, max_rows integer DEFAULT 100, only_store text DEFAULT NULL::text) RETURNS TABLE(notification_id bigint, job_id bigint, version bigint, available_before bigint, available_after bigint, low_stock_threshold bigint, created_at timestamp with time zone, kind stockq.notification_kind, store_id text, item_id text, location_id text, cursor text)
    LANGUAGE plpgsql ROWS 100
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    AS $$
#variable_conflict use_column
DECLARE
    start record;
    horizon record;
    stores CONSTANT text[] := feed_stores(only_store);
BEGIN
    PERFORM check_page(max_rows);
    start := read_cursor(after_cursor);
    horizon := feed_horizon('notifications'::regclass, 'notifications_notification_id_seq'::regclass);
    IF stores IS NULL THEN
        RETURN QUERY
        SELECT n.notification_id, n.job_id, n.version, n.available_before, n.available_after, n.low_stock_threshold,
            n.created_at, n.kind, n.store_id, n.item_id, n.location_id, n.position || '-' || n.notification_id
        FROM notifications AS n
        WHERE (n.position, n.notification_id) > (start.position, start.row_id)
            AND (n.position, n.notification_id) <= (horizon.position, horizon.row_id)
        ORDER BY n.position, n.notification_id
        LIMIT max_rows;
    ELSE
        RETURN QUERY
        SELECT n.notification_id, n.job_id, n.version, n.available_before, n.available_after, n.low_stock_threshold,
            n.created_at, n.kind, n.store_id, n.item_id, n.location_id, n.position || '-' || n.notification_id
        FROM unnest(stores) AS s (store_id)
        CROSS JOIN LATERAL (
            SELECT * FROM notifications AS of_store
            WHERE of_store.store_id = s.store_id
                AND (of_store.position, of_store.notification_id) > (start.position, start.row_id)
                AND (of_store.position, of_store.notification_id) <= (horizon.position, horizon.row_id)
            ORDER BY of_store.position, of_store.notification_id
            LIMIT max_rows
        ) AS n
        ORDER BY n.position, n.notification_id
        LIMIT max_rows;
    END IF;
END
$$;
CREATE FUNCTION stockq.notifications_behind(store_id text, cursor text, notifications_max integer) RETURNS TABLE(next_cursor text, json text)
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    start record;
    found record;
BEGIN
    next_cursor := coalesce(cursor, notifications_cursor());
    start := read_cursor(next_cursor);
    -- A stream asks again and again, mostly for nothing. The answer of the index is much cheaper than feed_horizon.
    IF EXISTS (
        SELECT FROM notifications AS n
        WHERE n.store_id = notifications_behind.store_id
            AND (n.position, n.notification_id) > (start.position, start.row_id)
    ) THEN
        FOR found IN
            SELECT * FROM notifications_after(next_cursor, notifications_max, notifications_behind.store_id)
        LOOP
            next_cursor := found.cursor;
            json := json_strip_nulls(json_build_object(
                'notification_id', found.notification_id, 'store_id', found.store_id, 'item_id', found.item_id,
                'location_id', found.location_id, 'kind', found.kind,
                'low_stock_threshold', found.low_stock_threshold, 'available_before', found.available_before,
                'available_after', found.available_after, 'job_id', found.job_id, 'version', found.version,
                'created_at', native_time(found.created_at)
            ))::text;
            RETURN NEXT;
        END LOOP;
    END IF;
    json := NULL;
    RETURN NEXT;
END
$$;
CREATE FUNCTION stockq.notifications_cursor(since timestamp with time zone DEFAULT NULL::timestamp with time zone) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
DECLARE
    horizon record;
    first_position bigint;
    first_id bigint;
BEGIN
    horizon := feed_horizon('notifications'::regclass, 'notifications_notification_id_seq'::regclass);
    IF since IS NOT NULL THEN
        SELECT n.position, n.notification_id INTO first_position, first_id FROM notifications AS n
        WHERE n.created_at >= since AND (n.position, n.notification_id) <= (horizon.position, horizon.row_id)
        ORDER BY n.position, n.notification_id
        LIMIT 1;
    END IF;
    RETURN coalesce(first_position || '-' || first_id - 1, horizon.position || '-' || horizon.row_id);
END
$$;
CREATE FUNCTION stockq.open_item() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    last_version bigint;
BEGIN
    IF NEW.store_id || NEW.item_id || NEW.location_id || coalesce(NEW.parent_id, '') ~ '[^!-~]' THEN
        PERFORM check_item_ids(NEW);
    END IF;
    IF NEW.low_stock_threshold IS NULL THEN
        NEW.low_stock_threshold := default_threshold(NEW.store_id);
        NEW.threshold_is_default := NEW.low_stock_threshold IS NOT NULL;
    END IF;
    -- A level that comes with the row does not know the default.
    IF NEW.notified_level IS NULL OR NEW.threshold_is_default THEN
        NEW.notified_level := CASE
            WHEN NOT NEW.tracked THEN 'ok'
            WHEN NEW.on_hand - NEW.allocated <= 0 THEN 'out'
            WHEN NEW.on_hand - NEW.allocated <= NEW.low_stock_threshold THEN 'low'
            ELSE 'ok'
        END;
    END IF;
    IF NEW.version = 0 THEN
        SELECT r.version INTO last_version
        FROM retired_items AS r
        WHERE r.store_id = NEW.store_id AND r.item_id = NEW.item_id AND r.location_id = NEW.location_id
        ORDER BY r.version DESC
        LIMIT 1;
        IF FOUND THEN
            NEW.version := last_version;
            NEW.opening_version := last_version;
        END IF;
    END IF;
    RETURN NEW;
END
$$;
CREATE FUNCTION stockq.partition_bounds(OUT name text, OUT lower_bound bigint, OUT upper_bound bigint) RETURNS SETOF record
    LANGUAGE sql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
    SELECT
        child.relname::text,
        (regexp_match(pg_get_expr(child.relpartbound, child.oid), 'FROM [(]''(-?[0-9]+)''[)]'))[1]::bigint,
        (regexp_match(pg_get_expr(child.relpartbound, child.oid), 'TO [(]''(-?[0-9]+)''[)]'))[1]::bigint
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
CREATE FUNCTION stockq.prepare_expired_results(keep interval) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $_$
DECLARE
    oldest record;
BEGIN
    -- A live job is found by one probe of an index; the age of the results may need a scan of the partition.
    IF EXISTS (
            SELECT FROM jobs
            WHERE job_id < (SELECT p.upper_bound FROM partition_bounds() AS p ORDER BY p.lower_bound LIMIT 1))
        OR NOT lock_retention()
    THEN
        RETURN NULL;
    END IF;
    oldest := find_kept_partition(keep);
    IF oldest.name IS NULL OR oldest.reason IS NOT NULL THEN
        RETURN NULL;
    END IF;
    IF EXISTS (SELECT FROM prepared_partitions AS p WHERE p.name = oldest.name) THEN
        RETURN oldest.name; -- the next step goes on
    END IF;
    DELETE FROM next_openings;
    DELETE FROM prepared_partitions;
    EXECUTE format($query$
        INSERT INTO next_openings (store_id, item_id, location_id, version, on_hand, allocated)
        SELECT store_id, item_id, location_id, version, r.on_hand_after, r.allocated_after
        FROM (
            SELECT r.store_id, r.item_id, r.location_id, max(r.version) AS version
            FROM %1$I AS r
            LEFT JOIN retired_items AS retired
                ON (retired.store_id, retired.item_id, retired.location_id) = (r.store_id, r.item_id, r.location_id)
                AND r.version > retired.created_version AND r.version <= retired.version
            WHERE r.outcome = 'applied'
            GROUP BY r.store_id, r.item_id, r.location_id, retired.version
        ) AS last
        JOIN %1$I AS r USING (store_id, item_id, location_id, version)
        WHERE r.outcome = 'applied'
    $query$, oldest.name);
    INSERT INTO prepared_partitions (name) VALUES (oldest.name);
    -- A batch's row of the log is as old as its results.
    DELETE FROM change_log WHERE created_at < now() - keep;
    RETURN oldest.name;
END
$_$;
CREATE FUNCTION stockq.priority_behind(store_id text, item_ids text[], location_ids text[], priority integer, ordering_key text) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.put_behind_queued(new_jobs bigint[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.queued_jobs(job_ids bigint[], store_id text, group_id text, reference text) RETURNS bigint[]
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
BEGIN
    IF num_nonnulls(job_ids, group_id, reference) <> 1 THEN
        RAISE invalid_parameter_value USING MESSAGE = 'name jobs by job_ids, group_id or reference';
    ELSIF job_ids IS NULL AND store_id IS NULL THEN
        RAISE invalid_parameter_value USING MESSAGE = 'name the store of the group or the reference';
    END IF;
    RETURN ARRAY(
        WITH named AS (
            SELECT j.job_id, j.group_id, j.store_id, j.submission_id FROM jobs AS j
            WHERE j.job_id = ANY (job_ids) AND (queued_jobs.store_id IS NULL OR j.store_id = queued_jobs.store_id)
            UNION ALL
            SELECT j.job_id, j.group_id, j.store_id, j.submission_id FROM jobs AS j
            WHERE (j.group_id, j.store_id) = (queued_jobs.group_id, queued_jobs.store_id)
            UNION ALL
            SELECT j.job_id, j.group_id, j.store_id, j.submission_id FROM jobs AS j
            WHERE j.reference = queued_jobs.reference AND j.store_id = queued_jobs.store_id
        ), whole AS (
            -- Each group once. Joined to the named lines themselves, a group of n lines would be n * n rows.
            SELECT DISTINCT named.group_id, named.store_id, named.submission_id
            FROM named
            WHERE named.group_id IS NOT NULL
        )
        SELECT job_id FROM named
        UNION
        SELECT line.job_id FROM whole JOIN jobs AS line USING (group_id, store_id, submission_id)
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
        MESSAGE = format(
            'idempotency key %L of store %L was used by job %s for another request', idempotency_key, store_id, job_id),
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
        MESSAGE = format('%I lacks the scope %s for store %L', producer, scope_name(scope), store_id),
        DETAIL = CASE scope
            WHEN 'read_catalog'
                THEN format('Item %L is a variation, which needs the scopes enqueue and read.', item_id)
            WHEN 'manage_items' THEN 'Creating items and changing their attributes need this scope.'
            ELSE 'Enqueueing and canceling need this scope.'
        END,
        HINT = format(
            'An administrator grants it with: stockq grant %s --store %s --scope %s', shell_word(producer),
            shell_word(store_id), scope_name(scope));
END
$$;
CREATE FUNCTION stockq.read_cursor(cursor text, OUT "position" bigint, OUT row_id bigint, OUT changes integer) RETURNS record
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $_$
DECLARE
    parts CONSTANT text[] := string_to_array(coalesce(cursor, '0'), '-');
BEGIN
    IF NOT coalesce(cursor, '0') ~ '^[0-9]{1,18}(-[0-9]{1,18}(-[0-9]{1,9})?)?$' THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('%L is no cursor', cursor),
            HINT = 'Pass the cursor of the last row that was read, or ''0'' for the beginning.';
    END IF;
    "position" := CASE WHEN cardinality(parts) = 1 THEN 0 ELSE parts[1]::bigint END;
    row_id := CASE WHEN cardinality(parts) = 1 THEN parts[1] ELSE parts[2] END;
    changes := parts[3];
END
$_$;
CREATE FUNCTION stockq.read_lines(lines jsonb) RETURNS TABLE(item_ids text[], quantities bigint[], actions text[], location_ids text[], on_insufficients text[], expected_availables bigint[], idempotency_keys text[], "references" text[], reasons text[], notifies boolean[], counted_ats timestamp with time zone[], actors text[], occurred_ats timestamp with time zone[], metadatas jsonb[])
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $_$
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
$_$;
CREATE FUNCTION stockq.rebase_feeds() RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
DECLARE
    base bigint;
    newest bigint;
    present bigint;
BEGIN
    FOR step IN 1..2 LOOP
        base := coalesce(pg_sequence_last_value('feed_base'::regclass), 0);
        newest := greatest((SELECT max(position) FROM notifications), (SELECT max(position) FROM change_log));
        -- In a statement of its own, after the rows: each of them is below this xmax.
        present := pg_snapshot_xmax(pg_current_snapshot())::text::bigint;
        IF newest IS NULL OR newest <= base + present THEN
            RETURN false;
        END IF;
        -- No other transaction writes meanwhile. Look again under the lock.
        LOCK TABLE notifications, change_log IN SHARE ROW EXCLUSIVE MODE;
    END LOOP;
    PERFORM setval('feed_base', newest - present + 2);
    RETURN true;
END
$$;
CREATE FUNCTION stockq.recent_deliveries(subscription_id bigint, state text DEFAULT NULL::text, before bigint DEFAULT NULL::bigint, max_rows integer DEFAULT NULL::integer) RETURNS SETOF stockq.deliveries
    LANGUAGE sql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $_$
    SELECT * FROM (
        (
            SELECT d.* FROM deliveries AS d
            WHERE d.subscription_id = $1 AND d.state = 'pending' AND coalesce($2, 'pending') = 'pending'
                AND d.delivery_id < coalesce($3, 9223372036854775807)
            ORDER BY d.delivery_id DESC
            LIMIT $4
        )
        UNION ALL
        (
            SELECT d.* FROM deliveries AS d
            WHERE d.subscription_id = $1 AND d.state = 'dead' AND coalesce($2, 'dead') = 'dead'
                AND d.delivery_id < coalesce($3, 9223372036854775807)
            ORDER BY d.delivery_id DESC
            LIMIT $4
        )
        UNION ALL
        (
            SELECT d.* FROM deliveries AS d
            WHERE d.subscription_id = $1 AND d.state = 'delivered' AND coalesce($2, 'delivered') = 'delivered'
                AND d.delivery_id < coalesce($3, 9223372036854775807)
                AND d.delivery_id > (SELECT max(newest.delivery_id) FROM deliveries AS newest) - 100000
            ORDER BY d.delivery_id DESC
            LIMIT $4
        )
    ) AS found
    ORDER BY found.delivery_id DESC
    LIMIT $4
$_$;
CREATE TABLE stockq.reconciliations (
    store_id text NOT NULL COLLATE pg_catalog."C",
    item_id text NOT NULL COLLATE pg_catalog."C",
    location_id text NOT NULL COLLATE pg_catalog."C",
    version bigint NOT NULL,
    on_hand_before bigint NOT NULL,
    on_hand_after bigint NOT NULL,
    allocated_before bigint NOT NULL,
    allocated_after bigint NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    who text DEFAULT SESSION_USER NOT NULL COLLATE pg_catalog."C",
    reason text NOT NULL COLLATE pg_catalog."C",
    CONSTRAINT reconciliations_reason_length CHECK (((octet_length(reason) >= 1) AND (octet_length(reason) <= 2000)))
);
CREATE FUNCTION stockq.reconcile_item(store_id text, item_id text, location_id text, reason text) RETURNS SETOF stockq.reconciliations
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
#variable_conflict use_column
DECLARE
    location CONSTANT text := coalesce(reconcile_item.location_id, (job_defaults()).location_id);
    item items;
    created_version bigint;
    accepted reconciliations[];
BEGIN
    IF coalesce(btrim(reason), '') = '' THEN
        RAISE invalid_parameter_value USING MESSAGE = 'a correction needs a reason';
    END IF;
    -- A worker that has the item locked finishes its batch first; later statements see what it wrote.
    SELECT * INTO item FROM items AS i
    WHERE (i.store_id, i.item_id, i.location_id) = (reconcile_item.store_id, reconcile_item.item_id, location)
    FOR UPDATE;
    IF NOT FOUND THEN
        RAISE no_data_found USING
            MESSAGE = format('there is no item %L in store %L at %L',
                reconcile_item.item_id, reconcile_item.store_id, location);
    END IF;
    DELETE FROM ledger_violations AS v
    WHERE (v.store_id, v.item_id, v.location_id) = (item.store_id, item.item_id, item.location_id);
    IF EXISTS (
        SELECT FROM (
            SELECT r.version, lead(r.version, 1, item.version + 1) OVER (ORDER BY r.version) AS next_version
            FROM results AS r
            WHERE (r.store_id, r.item_id, r.location_id) = (item.store_id, item.item_id, item.location_id)
                AND r.outcome = 'applied' AND r.version > item.opening_version
        ) AS change
        WHERE change.next_version <> change.version + 1
    ) THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('the versions of item %L of store %L at %L have a gap: its ledger cannot be reconciled',
                item.item_id, item.store_id, item.location_id),
            HINT = 'Results are missing, or a version was changed. Restore them from a backup.';
    END IF;
    SELECT coalesce(max(r.version), 0) INTO created_version
    FROM retired_items AS r
    WHERE (r.store_id, r.item_id, r.location_id) = (item.store_id, item.item_id, item.location_id);
    WITH kept AS (
        SELECT r.version, r.on_hand_before, r.on_hand_after, r.allocated_before, r.allocated_after
        FROM results AS r
        WHERE (r.store_id, r.item_id, r.location_id) = (item.store_id, item.item_id, item.location_id)
            AND r.outcome = 'applied' AND r.version > item.opening_version
        UNION ALL
        -- What retention has dropped: the opening balance has its changes, but none that was accepted.
        SELECT item.opening_version, NULL, item.opening_on_hand + coalesce(sum(a.on_hand_after - a.on_hand_before), 0),
            NULL, item.opening_allocated + coalesce(sum(a.allocated_after - a.allocated_before), 0)
        FROM reconciliations AS a
        WHERE (a.store_id, a.item_id, a.location_id) = (item.store_id, item.item_id, item.location_id)
            AND a.version > created_version AND a.version < item.opening_version
        HAVING item.opening_version > created_version
    ), change AS (
        SELECT version, on_hand_after, allocated_after,
            lead(on_hand_before, 1, item.on_hand) OVER history AS next_on_hand,
            lead(allocated_before, 1, item.allocated) OVER history AS next_allocated
        FROM kept
        WINDOW history AS (ORDER BY version)
    ), written AS (
        INSERT INTO reconciliations AS known (
            store_id, item_id, location_id, version, on_hand_before, on_hand_after, allocated_before, allocated_after,
            reason
        )
        SELECT item.store_id, item.item_id, item.location_id, change.version, change.on_hand_after, change.next_on_hand,
            change.allocated_after, change.next_allocated, reconcile_item.reason
        FROM change
        LEFT JOIN reconciliations AS earlier
            ON (earlier.store_id, earlier.item_id, earlier.location_id, earlier.version)
                = (item.store_id, item.item_id, item.location_id, change.version)
        WHERE (change.next_on_hand, change.next_allocated) IS DISTINCT FROM (
            coalesce(earlier.on_hand_after, change.on_hand_after),
            coalesce(earlier.allocated_after, change.allocated_after))
        ON CONFLICT ON CONSTRAINT reconciliations_pkey DO UPDATE
            SET on_hand_after = excluded.on_hand_after, allocated_after = excluded.allocated_after, at = now(),
                who = session_user, reason = excluded.reason
        RETURNING known.*
    )
    SELECT array_agg(written::reconciliations ORDER BY version) INTO accepted FROM written;
    IF accepted IS NULL THEN
        RETURN;
    END IF;
    PERFORM record_operation(
        'items reconcile',
        jsonb_build_object(
            'store_id', item.store_id, 'item_id', item.item_id, 'location_id', item.location_id,
            'reason', reconcile_item.reason, 'changes', (
                SELECT jsonb_agg(to_jsonb(c) - '{store_id,item_id,location_id,at,who,reason}'::text[])
                FROM unnest(accepted) AS c
            )),
        NULL);
    RETURN QUERY SELECT * FROM unnest(accepted);
END
$$;
CREATE FUNCTION stockq.record_operation(verb text, subject jsonb, jobs bigint) RETURNS void
    LANGUAGE sql
    SET search_path TO 'stockq', 'pg_temp'
    AS $_$
    INSERT INTO operations (who, verb, subject, jobs)
    VALUES (
        session_user || CASE
            WHEN current_setting('role') IN ('none', session_user) THEN ''
            ELSE ' as ' || current_setting('role')
        END || coalesce(' for ' || nullif(left(current_setting('stockq.acts_for', true), 200), ''), ''),
        $1, jsonb_strip_nulls($2), $3
    )
$_$;
CREATE FUNCTION stockq.recorded_jobs(job_ids bigint[]) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $_$
    SELECT jsonb_build_object(
        'jobs', $1[:10000], 'jobs_named', CASE WHEN cardinality($1) > 10000 THEN cardinality($1) END)
$_$;
CREATE FUNCTION stockq.remove_alert_policy(store_id text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    policy CONSTANT alert_policies := alert_policy(remove_alert_policy.store_id);
BEGIN
    IF policy.default_threshold IS NULL AND policy.quiet_period = interval '0' AND policy.rearm_margin = 0 THEN
        RETURN false;
    END IF;
    PERFORM set_alert_policy(
        remove_alert_policy.store_id, clear => '{default_threshold,quiet_period,rearm_margin}');
    RETURN true;
END
$$;
CREATE FUNCTION stockq.remove_subscription(name text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    known CONSTANT bigint := known_subscription(remove_subscription.name);
BEGIN
    DELETE FROM subscriptions AS s WHERE s.subscription_id = known;
    DELETE FROM deliveries AS d WHERE d.subscription_id = known;
    PERFORM record_operation('subscriptions remove', jsonb_build_object('name', remove_subscription.name), NULL);
END
$$;
CREATE FUNCTION stockq.replay_deliveries(subscription text, since timestamp with time zone) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    known CONSTANT bigint := known_subscription(subscription);
    start record;
    progress delivery_progress;
    replayed bigint;
BEGIN
    SELECT * INTO progress FROM delivery_progress FOR UPDATE;
    start := read_cursor(notifications_cursor(since));
    replayed := insert_deliveries(start.position, start.row_id, progress.position, progress.row_id, known);
    PERFORM record_operation(
        'deliveries replay', jsonb_build_object('subscription', subscription, 'since', since), replayed);
    RETURN replayed;
END
$$;
CREATE FUNCTION stockq.reprioritize(priority integer, job_ids bigint[] DEFAULT NULL::bigint[], store_id text DEFAULT NULL::text, group_id text DEFAULT NULL::text, reference text DEFAULT NULL::text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    wanted bigint[];
    changed bigint;
BEGIN
    PERFORM lock_queue(shared => false);
    wanted := queued_jobs(job_ids, store_id, group_id, reference);
    -- A worker locks the row of the lane that it works.
    PERFORM l.lane FROM lanes AS l
    WHERE l.lane IN (SELECT j.lane FROM jobs AS j WHERE j.job_id = ANY (wanted))
    ORDER BY l.lane
    FOR UPDATE;
    UPDATE lanes AS l SET epoch = epoch + 1
    WHERE l.lane IN (SELECT j.lane FROM jobs AS j WHERE j.job_id = ANY (wanted));
    UPDATE jobs SET priority = reprioritize.priority
    WHERE job_id = ANY (wanted) AND jobs.priority <> reprioritize.priority;
    GET DIAGNOSTICS changed = ROW_COUNT;
    PERFORM record_operation(
        'reprioritize',
        recorded_jobs(job_ids) || jsonb_build_object(
            'priority', priority, 'store_id', store_id, 'group_id', group_id, 'reference', reference),
        changed);
    RETURN changed;
END
$$;
CREATE FUNCTION stockq.request_columns() RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.resume(store_id text DEFAULT NULL::text, lane integer DEFAULT NULL::integer, everything boolean DEFAULT false) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.resume_import_for(producer text, caller_token bytea, name text, sha256 text, keeps_session boolean, OUT import_id bigint, OUT run integer, OUT through_line bigint, OUT enqueued bigint, OUT duplicates bigint, OUT rejected bigint) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET debug_print_plan TO 'off'
    AS $$
DECLARE
    known imports;
BEGIN
    PERFORM check_caller_token(producer, caller_token);
    -- Waits for a commit of an earlier run that is under way.
    SELECT * INTO known FROM imports AS i WHERE i.name = resume_import_for.name FOR UPDATE;
    IF NOT FOUND THEN
        RAISE no_data_found USING MESSAGE = format('there is no import %L', name), HINT = 'See: stockq imports list';
    ELSIF known.imported_by <> producer THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('import %L is one of %I, who alone may resume it', name, known.imported_by);
    ELSIF known.kind <> 'jobs' THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('import %L is one of items', name),
            HINT = 'Run stockq items import again: it changes only what is not as the file says.';
    ELSIF known.state = 'finished' THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('import %L is finished', name), HINT = 'Without --resume the file is imported again.';
    ELSIF known.sha256 <> resume_import_for.sha256 THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('import %L was one of another file: their SHA-256 differ', name),
            HINT = format(
                'To import the rest of a file that was changed since: --after-line %s.', known.through_line);
    END IF;
    UPDATE imports AS i
    SET run = i.run + 1, state = 'running', problem = NULL, updated_at = clock_timestamp(),
        session_pid = CASE WHEN keeps_session THEN pg_backend_pid() END,
        session_name = current_setting('application_name')
    WHERE i.import_id = known.import_id
    RETURNING i.import_id, i.run, i.through_line, i.enqueued, i.duplicates, i.rejected
    INTO import_id, run, through_line, enqueued, duplicates, rejected;
END
$$;
CREATE FUNCTION stockq.resumes(since timestamp with time zone) RETURNS TABLE(store_id text, lane smallint, resumed_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 10
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_sort TO 'off'
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
CREATE FUNCTION stockq.retire_deleted_items() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        PERFORM keep_retired_item(items) FROM items;
    ELSE
        PERFORM keep_retired_item(OLD);
    END IF;
    RETURN NULL;
END
$$;
CREATE FUNCTION stockq.retire_item(store_id text, item_id text, location_id text DEFAULT NULL::text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    location CONSTANT text := coalesce(location_id, (job_defaults()).location_id);
    item items;
BEGIN
    SELECT * INTO item FROM items AS i
    WHERE (i.store_id, i.item_id, i.location_id) = (retire_item.store_id, retire_item.item_id, location)
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    ELSIF item.tracked AND (item.on_hand <> 0 OR item.allocated <> 0) THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format(
                'item %L of store %L at %L has %s on hand and %s allocated, and cannot be retired', item_id, store_id,
                location, item.on_hand, item.allocated),
            HINT = 'Ship or deallocate what is allocated, and set its stock to 0 with a job.';
    ELSIF EXISTS (
        SELECT FROM jobs AS j
        WHERE (j.store_id, j.item_id, j.location_id) = (retire_item.store_id, retire_item.item_id, location)
    ) THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format(
                'item %L of store %L at %L has queued jobs, and cannot be retired', item_id, store_id, location),
            HINT = 'Wait until they are finished, or cancel them.';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'items'::regclass AND tgname = 'retire_deleted_items') THEN
        PERFORM keep_retired_item(item);
    END IF;
    DELETE FROM items AS i
    WHERE (i.store_id, i.item_id, i.location_id) = (retire_item.store_id, retire_item.item_id, location);
    DELETE FROM ledger_violations AS v
    WHERE (v.store_id, v.item_id, v.location_id) = (retire_item.store_id, retire_item.item_id, location);
    PERFORM record_operation(
        'items retire',
        jsonb_build_object('store_id', store_id, 'item_id', item_id, 'location_id', location), NULL);
    RETURN true;
END
$$;
CREATE FUNCTION stockq.retry_deliveries(delivery_ids bigint[] DEFAULT NULL::bigint[], subscription text DEFAULT NULL::text, OUT deliveries bigint, OUT dead bigint) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    known CONSTANT bigint := CASE WHEN subscription IS NOT NULL THEN known_subscription(subscription) END;
BEGIN
    IF num_nonnulls(delivery_ids, subscription) <> 1 THEN
        RAISE invalid_parameter_value USING MESSAGE = 'name deliveries by delivery_ids, or a subscription';
    END IF;
    WITH chosen AS MATERIALIZED (
        SELECT d.delivery_id, d.state FROM deliveries AS d
        WHERE (d.delivery_id = ANY (delivery_ids) OR d.subscription_id = known)
            AND d.state IN ('pending', 'dead') AND d.claim_id IS NULL
        ORDER BY d.delivery_id
        FOR UPDATE
    ), retried AS (
        UPDATE deliveries AS d
        SET state = 'pending', attempts = 0, next_attempt_at = now(), finished_at = NULL
        FROM chosen
        WHERE d.delivery_id = chosen.delivery_id
        RETURNING chosen.state
    )
    SELECT count(*), count(*) FILTER (WHERE state = 'dead')
    INTO retry_deliveries.deliveries, retry_deliveries.dead
    FROM retried;
    PERFORM record_operation(
        'deliveries retry',
        jsonb_build_object('delivery_ids', delivery_ids[:10000], 'subscription', subscription), NULL);
END
$$;
CREATE FUNCTION stockq.retry_jobs(job_ids bigint[] DEFAULT NULL::bigint[], failed boolean DEFAULT false, code text DEFAULT NULL::text, store_id text DEFAULT NULL::text, since interval DEFAULT '1 day'::interval) RETURNS TABLE(job_id bigint, retry_of bigint)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    wanted bigint[] := jobs_to_retry(job_ids, failed, code, store_id, since);
    new_jobs bigint[];
    retried bigint[];
BEGIN
    -- One retry at a time: the next one sees what this one has linked, and leaves it out. Reading is not blocked.
    LOCK TABLE retries IN SHARE ROW EXCLUSIVE MODE;
    SELECT coalesce(array_agg(added.job_id), '{}'), coalesce(array_agg(added.retry_of), '{}')
    INTO new_jobs, retried
    FROM insert_retries(wanted) AS added;
    PERFORM put_behind_queued(new_jobs);
    PERFORM record_operation(
        'retry',
        recorded_jobs(job_ids)
            || jsonb_build_object('failed', nullif(failed, false), 'code', code, 'store_id', store_id),
        cardinality(retried));
    RETURN QUERY SELECT added.job_id, added.retry_of FROM unnest(new_jobs, retried) AS added (job_id, retry_of);
END
$$;
CREATE FUNCTION stockq.revoke_gateway_client(name text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
BEGIN
    UPDATE gateway_clients AS c SET revoked_at = now()
    WHERE c.name = revoke_gateway_client.name AND c.revoked_at IS NULL;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM record_operation('clients revoke', jsonb_build_object('name', name), NULL);
    RETURN true;
END
$$;
CREATE FUNCTION stockq.revoke_gateway_token(name text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
BEGIN
    UPDATE gateway_tokens AS t SET revoked_at = now()
    WHERE t.name = revoke_gateway_token.name AND t.revoked_at IS NULL;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM record_operation('tokens revoke', jsonb_build_object('name', name), NULL);
    RETURN true;
END
$$;
CREATE FUNCTION stockq.revoke_store(producer text, store_id text, scopes text[] DEFAULT NULL::text[]) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    named CONSTANT text[] := CASE WHEN scopes IS NOT NULL THEN stored_scopes(scopes) END;
    granted text[];
    remaining text[];
BEGIN
    SELECT g.scopes INTO granted
    FROM grants AS g
    WHERE (g.producer, g.store_id) = (revoke_store.producer, revoke_store.store_id)
    FOR UPDATE;
    IF granted IS NULL OR NOT granted && coalesce(named, granted) THEN
        RETURN false;
    END IF;
    remaining := ARRAY(SELECT unnest(granted) EXCEPT SELECT unnest(coalesce(named, granted)) ORDER BY 1);
    IF cardinality(remaining) = 0 THEN
        DELETE FROM grants AS g WHERE (g.producer, g.store_id) = (revoke_store.producer, revoke_store.store_id);
    ELSE
        UPDATE grants AS g SET scopes = remaining
        WHERE (g.producer, g.store_id) = (revoke_store.producer, revoke_store.store_id);
    END IF;
    PERFORM record_operation(
        'revoke', jsonb_build_object('producer', producer, 'store_id', store_id, 'scopes', named), NULL);
    RETURN true;
END
$$;
CREATE FUNCTION stockq.rotate_subscription_secret(name text, secret text, keep_old interval DEFAULT '24:00:00'::interval) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
#variable_conflict use_column
BEGIN
    UPDATE subscriptions
    SET old_secret = secret, old_secret_until = now() + keep_old, secret = rotate_subscription_secret.secret
    WHERE subscription_id = known_subscription(rotate_subscription_secret.name);
    PERFORM record_operation(
        'subscriptions rotate', jsonb_build_object('name', rotate_subscription_secret.name), NULL);
END
$$;
CREATE FUNCTION stockq.save_announced_item(item stockq.announced_items) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO announced_items SELECT item.*
    ON CONFLICT ON CONSTRAINT announced_items_pkey DO UPDATE
    SET notification_id = excluded.notification_id, level = excluded.level,
        announced_level = excluded.announced_level, announced_at = excluded.announced_at,
        rearm_above = excluded.rearm_above, searched_version = excluded.searched_version,
        rearmed_by = excluded.rearmed_by, ready_at = excluded.ready_at, not_before = excluded.not_before,
        due_at = excluded.due_at;
END
$$;
CREATE FUNCTION stockq.save_import_for(producer text, caller_token bytea, import_id bigint, run integer, state text, problem text, sha256 text, first_job_id bigint, has_jobs boolean, through_line bigint, enqueued bigint, duplicates bigint, rejected bigint, created bigint, changed bigint, unchanged bigint, stock_differs bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET debug_print_plan TO 'off'
    AS $$
BEGIN
    PERFORM check_caller_token(producer, caller_token);
    UPDATE imports AS i
    SET state = save_import_for.state,
        problem = save_import_for.problem,
        sha256 = coalesce(i.sha256, save_import_for.sha256),
        updated_at = clock_timestamp(),
        finished_at = CASE WHEN save_import_for.state = 'finished' THEN clock_timestamp() END,
        through_line = coalesce(save_import_for.through_line, i.through_line),
        enqueued = coalesce(save_import_for.enqueued, i.enqueued),
        duplicates = coalesce(save_import_for.duplicates, i.duplicates),
        rejected = coalesce(save_import_for.rejected, i.rejected),
        created = coalesce(save_import_for.created, i.created),
        changed = coalesce(save_import_for.changed, i.changed),
        unchanged = coalesce(save_import_for.unchanged, i.unchanged),
        stock_differs = coalesce(save_import_for.stock_differs, i.stock_differs)
    WHERE i.import_id = save_import_for.import_id AND i.run = save_import_for.run AND i.imported_by = producer;
    IF NOT FOUND THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = 'another process has resumed this import, so this one ends',
            HINT = 'What this one has not committed, the other one enqueues.';
    END IF;
    IF has_jobs THEN
        INSERT INTO import_parts (import_id, first_job_id, last_job_id, submission_id, imported_by)
        SELECT save_import_for.import_id, save_import_for.first_job_id, last_value, pg_current_xact_id(), producer
        FROM jobs_job_id_seq;
    END IF;
END
$$;
CREATE FUNCTION stockq.scope_name(stored text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE stored WHEN 'update_catalog'::text THEN 'enqueue'::text WHEN 'read_catalog'::text THEN 'read'::text ELSE stored END;
CREATE FUNCTION stockq.search_rise(item stockq.announced_items, last_job bigint, last_version bigint) RETURNS stockq.announced_items
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    rise record;
BEGIN
    -- From the last job back, from each result to the one before it. An item that was created again with the same key
    -- has a chain of its own, as the retired item had.
    WITH RECURSIVE change AS (
        SELECT r.job_id, r.previous_job_id, r.version, r.on_hand_after - r.allocated_after AS available, r.finished_at
        FROM (
            SELECT last_job AS job_id
            UNION
            SELECT t.last_job_id FROM retired_items AS t
            WHERE (t.store_id, t.item_id, t.location_id) = (item.store_id, item.item_id, item.location_id)
                AND t.version > item.searched_version
        ) AS last
        JOIN results AS r ON r.job_id = last.job_id
        WHERE r.version > item.searched_version
        UNION ALL
        SELECT r.job_id, r.previous_job_id, r.version, r.on_hand_after - r.allocated_after, r.finished_at
        FROM change
        JOIN results AS r ON r.job_id = change.previous_job_id
        WHERE r.version > item.searched_version
    )
    SELECT change.job_id, change.finished_at INTO rise
    FROM change
    WHERE change.available > item.rearm_above AND change.version <= last_version
    ORDER BY change.version
    LIMIT 1;
    IF FOUND THEN
        item.ready_at := rise.finished_at;
        item.rearmed_by := rise.job_id;
        item.rearm_above := NULL;
    END IF;
    item.searched_version := greatest(item.searched_version, last_version);
    RETURN with_due_time(item);
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
CREATE FUNCTION stockq.set_alert_policy(store_id text, default_threshold bigint DEFAULT NULL::bigint, quiet_period interval DEFAULT NULL::interval, rearm_margin bigint DEFAULT NULL::bigint, clear text[] DEFAULT '{}'::text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
#variable_conflict use_column
DECLARE
    progress CONSTANT delivery_progress := lock_delivery_progress();
    -- After the lock, so that the times of changes and of announcements are in one order.
    set_at CONSTANT timestamptz := clock_timestamp();
    policy alert_policies := alert_policy(set_alert_policy.store_id);
    item announced_items;
BEGIN
    IF NOT clear <@ ARRAY['default_threshold', 'quiet_period', 'rearm_margin'] THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('default_threshold, quiet_period and rearm_margin can be cleared, not %s', clear);
    END IF;
    policy.default_threshold := CASE WHEN 'default_threshold' <> ALL (clear)
        THEN coalesce(set_alert_policy.default_threshold, policy.default_threshold) END;
    policy.quiet_period := CASE WHEN 'quiet_period' = ANY (clear) THEN interval '0'
        ELSE coalesce(set_alert_policy.quiet_period, policy.quiet_period) END;
    policy.rearm_margin := CASE WHEN 'rearm_margin' = ANY (clear) THEN 0
        ELSE coalesce(set_alert_policy.rearm_margin, policy.rearm_margin) END;
    INSERT INTO alert_policies (
        store_id, default_threshold, quiet_period, rearm_margin, from_position, from_row, set_at
    ) VALUES (
        set_alert_policy.store_id, policy.default_threshold, policy.quiet_period, policy.rearm_margin,
        progress.position, progress.row_id, set_at);
    IF policy.quiet_period > interval '0' OR policy.rearm_margin > 0 THEN
        PERFORM add_announced_store(set_alert_policy.store_id, progress.position, progress.row_id);
    END IF;
    FOR item IN
        SELECT * FROM announced_items AS i
        WHERE i.store_id = set_alert_policy.store_id AND i.level <> i.announced_level
    LOOP
        item.not_before := set_at;
        PERFORM save_announced_item(decide_item(item));
    END LOOP;
    PERFORM record_operation(
        'alerts set',
        jsonb_build_object(
            'store_id', set_alert_policy.store_id, 'default_threshold', policy.default_threshold,
            'quiet_period', policy.quiet_period, 'rearm_margin', policy.rearm_margin),
        NULL);
END
$$;
CREATE FUNCTION stockq.set_item(store_id text, item_id text, location_id text DEFAULT NULL::text, low_stock_threshold bigint DEFAULT NULL::bigint, tracked boolean DEFAULT NULL::boolean, parent_id text DEFAULT NULL::text, clear text[] DEFAULT '{}'::text[]) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    is_known boolean;
BEGIN
    SELECT set_item_for(
        t.producer, t.caller_token, set_item.store_id, set_item.item_id, set_item.location_id,
        set_item.low_stock_threshold, set_item.tracked, set_item.parent_id, set_item.clear)
    INTO STRICT is_known
    FROM my_caller_token AS t;
    RETURN is_known;
END
$$;
CREATE FUNCTION stockq.set_item_for(producer text, caller_token bytea, store_id text, item_id text, location_id text, low_stock_threshold bigint, tracked boolean, parent_id text, clear text[]) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET debug_print_plan TO 'off'
    AS $$
DECLARE
    location CONSTANT text := coalesce(location_id, (job_defaults()).location_id);
    is_known boolean;
BEGIN
    PERFORM check_manages_items(
        producer, caller_token, store_id, item_id, parent_id IS NOT NULL OR 'parent_id' = ANY (clear));
    PERFORM check_attributes(parent_id, low_stock_threshold);
    IF NOT clear <@ ARRAY['low_stock_threshold', 'parent_id'] THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('low_stock_threshold and parent_id can be cleared, not %s', clear);
    END IF;
    UPDATE items AS i
    SET low_stock_threshold = CASE WHEN 'low_stock_threshold' = ANY (clear) THEN NULL
            ELSE coalesce(set_item_for.low_stock_threshold, i.low_stock_threshold) END,
        -- A value that equals the store's is the item's own all the same.
        threshold_is_default = i.threshold_is_default AND set_item_for.low_stock_threshold IS NULL,
        parent_id = CASE WHEN 'parent_id' = ANY (clear) THEN NULL
            ELSE coalesce(set_item_for.parent_id, i.parent_id) END,
        tracked = coalesce(set_item_for.tracked, i.tracked),
        -- Where no trigger has recorded the baseline, it is the level before the attributes change.
        notified_level = coalesce(i.notified_level, CASE
            WHEN NOT i.tracked THEN 'ok'
            WHEN i.available <= 0 THEN 'out'
            WHEN i.available <= i.low_stock_threshold THEN 'low'
            ELSE 'ok'
        END::alert_level),
        updated_at = now()
    WHERE (i.store_id, i.item_id, i.location_id) = (set_item_for.store_id, set_item_for.item_id, location);
    is_known := FOUND;
    IF is_known THEN
        PERFORM record_operation(
            'items set',
            jsonb_build_object(
                'store_id', store_id, 'item_id', item_id, 'location_id', location,
                'low_stock_threshold', low_stock_threshold, 'tracked', tracked, 'parent_id', parent_id,
                'clear', nullif(clear, '{}')),
            NULL);
    END IF;
    RETURN is_known;
END
$$;
CREATE FUNCTION stockq.set_reasons(add text[] DEFAULT '{}'::text[], remove text[] DEFAULT '{}'::text[], only_listed boolean DEFAULT NULL::boolean) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET lock_timeout TO '200ms'
    AS $$
DECLARE
    was_restricted boolean;
    unknown text;
BEGIN
    LOCK TABLE reasons IN SHARE ROW EXCLUSIVE MODE;
    was_restricted := allowed_reasons() IS NOT NULL;
    SELECT r INTO unknown FROM unnest(remove) AS r WHERE r NOT IN (SELECT reason FROM reasons) LIMIT 1;
    IF FOUND THEN
        RAISE no_data_found USING
            MESSAGE = format('the list has no reason %L', unknown), HINT = 'stockq reasons list shows them.';
    END IF;
    DELETE FROM reasons WHERE reason = ANY (remove);
    INSERT INTO reasons SELECT unnest(add) ON CONFLICT DO NOTHING;
    IF was_restricted OR only_listed THEN
        LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE;
        IF was_restricted THEN
            ALTER TABLE jobs DROP CONSTRAINT jobs_reason_listed;
        END IF;
        IF coalesce(only_listed, was_restricted) THEN
            EXECUTE format(
                'ALTER TABLE jobs ADD CONSTRAINT jobs_reason_listed CHECK (reason IS NULL OR reason = ANY (%L::text[])
                    OR retry_of IS NOT NULL OR submission_id <> pg_current_xact_id()) NOT VALID',
                ARRAY(SELECT reason FROM reasons ORDER BY reason));
        END IF;
    END IF;
    PERFORM record_operation(
        'reasons set',
        jsonb_build_object('add', nullif(add, '{}'), 'remove', nullif(remove, '{}'), 'only_listed', only_listed), NULL);
END
$$;
CREATE FUNCTION stockq.set_store_limit(store_id text, ready_jobs_max integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
BEGIN
    IF ready_jobs_max IS NULL THEN
        DELETE FROM store_limits AS l WHERE l.store_id = set_store_limit.store_id;
    ELSE
        -- One statement: two administrators may set the limit of a store at the same time.
        INSERT INTO store_limits (store_id, ready_jobs_max)
        VALUES (set_store_limit.store_id, set_store_limit.ready_jobs_max)
        ON CONFLICT ON CONSTRAINT store_limits_pkey DO UPDATE SET ready_jobs_max = excluded.ready_jobs_max;
    END IF;
    PERFORM record_operation(
        'limits set', jsonb_build_object('store_id', store_id, 'ready_jobs_max', ready_jobs_max), NULL);
END
$$;
CREATE FUNCTION stockq.set_subscription_enabled(name text, enabled boolean) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
#variable_conflict use_column
DECLARE
    known CONSTANT bigint := known_subscription(set_subscription_enabled.name);
    horizon record;
BEGIN
    IF enabled THEN
        PERFORM lock_delivery_progress();
        horizon := feed_horizon('notifications'::regclass, 'notifications_notification_id_seq'::regclass);
        UPDATE subscriptions
        SET disabled_at = NULL, disabled_reason = NULL, failing_since = NULL, start_position = horizon.position,
            start_row = horizon.row_id
        WHERE subscription_id = known AND disabled_at IS NOT NULL;
    ELSE
        UPDATE subscriptions SET disabled_at = now(), disabled_reason = 'by an administrator'
        WHERE subscription_id = known AND disabled_at IS NULL;
    END IF;
    PERFORM record_operation(
        'subscriptions ' || CASE WHEN enabled THEN 'enable' ELSE 'disable' END,
        jsonb_build_object('name', set_subscription_enabled.name), NULL);
END
$$;
CREATE FUNCTION stockq.set_time_limit(days integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    SET lock_timeout TO '200ms'
    AS $_$
DECLARE
    name text;
BEGIN
    IF days IS NULL OR days NOT BETWEEN 1 AND 36500 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('the limit must be 1 to 36500 days, not %s', coalesce(days::text, 'null'));
    END IF;
    LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE;
    FOREACH name IN ARRAY ARRAY['run_at', 'expires_at'] LOOP
        EXECUTE format('ALTER TABLE jobs DROP CONSTRAINT %I', 'jobs_' || name || '_limit');
        EXECUTE format(
            'ALTER TABLE jobs ADD CONSTRAINT %I CHECK (%I IS NULL OR %2$I <= enqueued_at + interval %L
                OR retry_of IS NOT NULL OR submission_id <> pg_current_xact_id()) NOT VALID',
            'jobs_' || name || '_limit', name, days * 24 || ' hours');
    END LOOP;
    PERFORM record_operation('limits set', jsonb_build_object('days', days), NULL);
END
$_$;
CREATE FUNCTION stockq.shell_word(word text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (word ~ '^[A-Za-z0-9_./:@%+][A-Za-z0-9_./:@%+-]*$'::text) THEN word ELSE ((''''::text || replace(word, ''''::text, '''\'''''::text)) || ''''::text) END;
CREATE FUNCTION stockq.snooze_item(store_id text, item_id text, until timestamp with time zone, location_id text DEFAULT NULL::text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
#variable_conflict use_column
DECLARE
    location CONSTANT text := coalesce(snooze_item.location_id, (job_defaults()).location_id);
    progress delivery_progress;
    set_at timestamptz;
    item announced_items;
BEGIN
    IF NOT EXISTS (
        SELECT FROM items AS i
        WHERE (i.store_id, i.item_id, i.location_id) = (snooze_item.store_id, snooze_item.item_id, location)
    ) THEN
        RETURN false;
    END IF;
    progress := lock_delivery_progress();
    set_at := clock_timestamp();
    INSERT INTO snoozes (store_id, item_id, location_id, until, from_position, from_row, set_at)
    VALUES (
        snooze_item.store_id, snooze_item.item_id, location, coalesce(snooze_item.until, set_at), progress.position,
        progress.row_id, set_at);
    PERFORM add_announced_store(snooze_item.store_id, progress.position, progress.row_id);
    SELECT * INTO item FROM announced_items AS i
    WHERE (i.item_id, i.store_id, i.location_id) = (snooze_item.item_id, snooze_item.store_id, location)
        AND i.level <> i.announced_level;
    IF FOUND THEN
        item.not_before := set_at;
        PERFORM save_announced_item(decide_item(item));
    END IF;
    PERFORM record_operation(
        'items snooze',
        jsonb_build_object(
            'store_id', snooze_item.store_id, 'item_id', snooze_item.item_id, 'location_id', location,
            'until', snooze_item.until),
        NULL);
    RETURN true;
END
$$;
CREATE FUNCTION stockq.stock(store_id text, item_ids text[], with_queued boolean DEFAULT false) RETURNS TABLE(item_id text, location_id text, on_hand bigint, allocated bigint, available bigint, tracked boolean, low_stock_threshold bigint, queued bigint)
    LANGUAGE plpgsql STABLE ROWS 10
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
#variable_conflict use_column
BEGIN
    IF cardinality(item_ids) > 10000 THEN
        RAISE program_limit_exceeded USING
            MESSAGE = format('%s items in one call, at most 10000 are allowed', cardinality(item_ids));
    END IF;
    RETURN QUERY
    WITH waiting AS MATERIALIZED (
        SELECT j.item_id, j.location_id,
            least(greatest(sum(j.quantity), -9223372036854775808), 9223372036854775807)::bigint AS quantity
        FROM jobs AS j
        WHERE with_queued AND j.store_id = stock.store_id AND j.item_id = ANY (item_ids) AND j.action = 'adjust'
            AND (j.run_at IS NULL OR j.run_at <= now() AND j.waiting_since IS NULL)
        GROUP BY j.item_id, j.location_id
    )
    SELECT i.item_id, i.location_id, i.on_hand::bigint, i.allocated::bigint, (i.on_hand - i.allocated)::bigint,
        i.tracked, i.low_stock_threshold::bigint, CASE WHEN with_queued THEN coalesce(w.quantity, 0) END
    FROM items AS i
    LEFT JOIN waiting AS w USING (item_id, location_id)
    WHERE i.store_id = stock.store_id AND i.item_id = ANY (item_ids)
    ORDER BY i.item_id, i.location_id;
END
$$;
CREATE FUNCTION stockq.stock_at(store_id text, item_id text, location_id text, at timestamp with time zone, OUT on_hand bigint, OUT allocated bigint, OUT available bigint, OUT version bigint) RETURNS SETOF record
    LANGUAGE sql STABLE ROWS 1
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $_$
    WITH RECURSIVE item AS (
        SELECT * FROM items
        WHERE (items.store_id, items.item_id, items.location_id) = ($1, $2, $3) AND created_at <= $4
    ), movement AS (
        SELECT 1 AS step, results.* FROM item JOIN results ON job_id = last_job_id
        UNION ALL
        SELECT step + 1, earlier.*
        FROM movement
        JOIN results AS earlier ON earlier.job_id = movement.previous_job_id
        WHERE movement.finished_at > $4
    ), oldest AS (
        SELECT * FROM movement ORDER BY step DESC LIMIT 1
    ), found AS (
        SELECT
            CASE WHEN finished_at <= $4 THEN on_hand_after ELSE on_hand_before END AS on_hand,
            CASE WHEN finished_at <= $4 THEN allocated_after ELSE allocated_before END AS allocated,
            CASE WHEN finished_at <= $4 THEN version ELSE version - 1 END AS version
        FROM oldest
        -- If results were dropped, the change before the oldest remaining one may be earlier or later than the time.
        WHERE (finished_at <= $4 OR previous_job_id IS NULL)
            AND NOT EXISTS (SELECT FROM item WHERE updated_at <= $4)
        UNION ALL
        -- Unchanged since.
        SELECT item.on_hand, item.allocated, item.version FROM item WHERE last_job_id IS NULL OR updated_at <= $4
    )
    SELECT found.on_hand, found.allocated, found.on_hand - found.allocated, found.version FROM found
$_$;
CREATE FUNCTION stockq.stored_scopes(scopes text[]) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    known CONSTANT text[] := ARRAY['update_catalog', 'read_catalog', 'manage_items'];
    stored CONSTANT text[] := ARRAY(
        SELECT CASE given.scope WHEN 'enqueue' THEN 'update_catalog' WHEN 'read' THEN 'read_catalog' ELSE scope END
        FROM unnest(scopes) AS given (scope)
    );
    unknown record;
BEGIN
    SELECT s.scope INTO unknown FROM unnest(stored) AS s (scope) WHERE (s.scope = ANY (known)) IS NOT TRUE LIMIT 1;
    IF FOUND OR cardinality(stored) = 0 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = CASE
                WHEN cardinality(stored) = 0 THEN 'name a scope'
                ELSE format('there is no scope %L of producers', left(unknown.scope, 60))
            END,
            HINT = format(
                'The scopes are %s.', (SELECT string_agg(scope_name(scope), ', ') FROM unnest(known) AS k (scope)));
    END IF;
    RETURN stored;
END
$$;
CREATE FUNCTION stockq.subscription_names() RETURNS TABLE(subscription_id bigint, name text)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
    SELECT s.subscription_id, s.name FROM subscriptions AS s
$$;
CREATE FUNCTION stockq.test_subscription(name text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
DECLARE
    known CONSTANT bigint := known_subscription(test_subscription.name);
    sent bigint;
BEGIN
    INSERT INTO deliveries (subscription_id, message_id, event, store_id, item_id, location_id, data, occurred_at)
    VALUES (
        known, 'msg_' || known || '_test_' || (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, 'stock.test',
        '', 'test', '', json_build_object('subscription', test_subscription.name), now())
    RETURNING delivery_id INTO sent;
    RETURN sent;
END
$$;
CREATE FUNCTION stockq.transfer(store_id text, item_id text, quantity bigint, from_location text, to_location text, idempotency_key text DEFAULT NULL::text, on_insufficient text DEFAULT NULL::text, group_id text DEFAULT NULL::text, priority integer DEFAULT NULL::integer, run_at timestamp with time zone DEFAULT NULL::timestamp with time zone, expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone, reason text DEFAULT NULL::text, reference text DEFAULT NULL::text, actor text DEFAULT NULL::text, occurred_at timestamp with time zone DEFAULT NULL::timestamp with time zone, metadata jsonb DEFAULT NULL::jsonb) RETURNS SETOF stockq.receipt
    LANGUAGE plpgsql
    SET search_path TO 'stockq', 'pg_temp'
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
CREATE FUNCTION stockq.unless_retired(item stockq.announced_items) RETURNS stockq.announced_items
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
BEGIN
    IF item.due_at IS NOT NULL AND EXISTS (
        SELECT FROM retired_items AS r
        WHERE (r.store_id, r.item_id, r.location_id) = (item.store_id, item.item_id, item.location_id)
            AND r.last_notification_id >= item.notification_id AND r.retired_at < item.due_at
    ) THEN
        item.ready_at := NULL;
        item.due_at := NULL;
    END IF;
    RETURN item;
END
$$;
CREATE FUNCTION stockq.wait_for_group(store_id text, group_id text, timeout_ms integer DEFAULT 5000) RETURNS SETOF stockq.results
    LANGUAGE plpgsql ROWS 10
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
DECLARE
    remaining_ms integer := coalesce(timeout_ms, 5000);
    deadline timestamptz := clock_timestamp() + remaining_ms * interval '1 millisecond';
    pause_ms double precision := 1;
    lines bigint[];
BEGIN
    PERFORM FROM wait_for_results('{}', timeout_ms); -- checks the timeout and the transaction
    LOOP
        lines := ARRAY(SELECT line.job_id FROM find_group(wait_for_group.store_id, wait_for_group.group_id) AS line);
        EXIT WHEN cardinality(lines) > 0 OR remaining_ms = 0;
        PERFORM pg_sleep(least(pause_ms, remaining_ms) / 1000);
        pause_ms := least(pause_ms * 2, 50);
        remaining_ms := greatest(0, ceil(extract(epoch FROM deadline - clock_timestamp()) * 1000));
    END LOOP;
    RETURN QUERY SELECT * FROM wait_for_results(lines, remaining_ms);
END
$$;
CREATE FUNCTION stockq.wait_for_key(store_id text, idempotency_key text, timeout_ms integer DEFAULT 5000) RETURNS SETOF stockq.results
    LANGUAGE plpgsql ROWS 1
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
DECLARE
    remaining_ms integer := coalesce(timeout_ms, 5000);
    deadline timestamptz := clock_timestamp() + remaining_ms * interval '1 millisecond';
    pause_ms double precision := 1;
    named bigint[];
BEGIN
    PERFORM FROM wait_for_results('{}', timeout_ms); -- checks the timeout and the transaction
    LOOP
        named := ARRAY(SELECT k.job_id FROM key_in_use(wait_for_key.store_id, wait_for_key.idempotency_key) AS k);
        EXIT WHEN cardinality(named) > 0 OR remaining_ms = 0;
        PERFORM pg_sleep(least(pause_ms, remaining_ms) / 1000);
        pause_ms := least(pause_ms * 2, 50);
        remaining_ms := greatest(0, ceil(extract(epoch FROM deadline - clock_timestamp()) * 1000));
    END LOOP;
    RETURN QUERY SELECT * FROM wait_for_results(named, remaining_ms);
END
$$;
CREATE FUNCTION stockq.wait_for_result(job_id bigint, timeout_ms integer DEFAULT 5000) RETURNS SETOF stockq.results
    LANGUAGE plpgsql ROWS 1
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    AS $$
BEGIN
    RETURN QUERY SELECT * FROM wait_for_results(ARRAY[job_id], timeout_ms);
END
$$;
CREATE FUNCTION stockq.wait_for_results(job_ids bigint[], timeout_ms integer DEFAULT 5000) RETURNS SETOF stockq.results
    LANGUAGE plpgsql ROWS 10
    SET search_path TO 'stockq', 'pg_temp'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
DECLARE
    deadline timestamptz := clock_timestamp() + coalesce(timeout_ms, 5000) * interval '1 millisecond';
    pause_ms double precision := 1;
    missing bigint[] := job_ids;
    own_job bigint;
BEGIN
    IF cardinality(job_ids) > 10000 THEN
        RAISE program_limit_exceeded USING
            MESSAGE = format('%s jobs in one call, at most 10000 are allowed', cardinality(job_ids));
    END IF;
    IF timeout_ms NOT BETWEEN 0 AND 60000 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('timeout_ms must be 0 to 60000, not %s', timeout_ms),
            HINT = 'A waiting call holds back vacuum and changes of the tables. To wait longer, call again.';
    END IF;
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format(
                'a transaction that is %s never sees the result', current_setting('transaction_isolation')),
            HINT = 'Wait outside the transaction, or in one that is READ COMMITTED.';
    END IF;
    -- A retried group keeps its first submission, so its own transaction is known by its time.
    SELECT j.job_id INTO own_job
    FROM jobs AS j
    WHERE j.job_id = ANY (job_ids)
        AND (j.submission_id = pg_current_xact_id_if_assigned() OR j.retry_of IS NOT NULL AND j.enqueued_at = now())
    LIMIT 1;
    IF FOUND THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format(
                'job %s was enqueued by this transaction, and workers see it only after the commit', own_job),
            HINT = 'Commit first, then wait.';
    END IF;
    LOOP
        missing := ARRAY(
            SELECT id FROM unnest(missing) AS id WHERE NOT EXISTS (SELECT FROM results AS r WHERE r.job_id = id)
        );
        IF cardinality(missing) = 0 OR clock_timestamp() >= deadline THEN
            RETURN QUERY SELECT * FROM results AS r WHERE r.job_id = ANY (job_ids) ORDER BY r.job_id;
            RETURN;
        END IF;
        PERFORM pg_sleep(
            least(pause_ms / 1000, greatest(0.001, extract(epoch FROM deadline - clock_timestamp()))));
        pause_ms := least(pause_ms * 2, 50);
    END LOOP;
END
$$;
CREATE FUNCTION stockq.with_due_time(item stockq.announced_items) RETURNS stockq.announced_items
    LANGUAGE plpgsql STABLE
    SET search_path TO 'stockq', 'pg_temp'
    AS $$
BEGIN
    item.due_at := CASE WHEN item.ready_at IS NOT NULL THEN greatest(
        item.ready_at, item.not_before,
        CASE WHEN item.level <> 'out' THEN item.announced_at + (alert_policy(item.store_id)).quiet_period END,
        (
            SELECT s.until FROM snoozes AS s
            WHERE (s.item_id, s.store_id, s.location_id) = (item.item_id, item.store_id, item.location_id)
            ORDER BY s.snooze_id DESC
            LIMIT 1
        ))
    END;
    RETURN item;
END
$$;
CREATE TABLE stockq.announced_stores (
    store_id text NOT NULL COLLATE pg_catalog."C",
    from_position bigint NOT NULL,
    from_row bigint NOT NULL
);
CREATE TABLE stockq.announcements (
    notification_id bigint NOT NULL,
    store_id text NOT NULL COLLATE pg_catalog."C",
    item_id text NOT NULL COLLATE pg_catalog."C",
    location_id text NOT NULL COLLATE pg_catalog."C",
    kind stockq.notification_kind NOT NULL,
    alert_before stockq.alert_level NOT NULL,
    alert_after stockq.alert_level NOT NULL,
    job_id bigint,
    version bigint NOT NULL,
    available_before bigint NOT NULL,
    available_after bigint NOT NULL,
    low_stock_threshold bigint,
    is_sent boolean NOT NULL,
    announced_at timestamp with time zone NOT NULL,
    made_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT announcements_level_changes CHECK ((alert_before <> alert_after))
);
CREATE SEQUENCE stockq.feed_base
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
CREATE TABLE stockq.notifications (
    notification_id bigint NOT NULL,
    job_id bigint,
    version bigint NOT NULL,
    available_before bigint NOT NULL,
    available_after bigint NOT NULL,
    low_stock_threshold bigint,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    kind stockq.notification_kind NOT NULL,
    store_id text NOT NULL COLLATE pg_catalog."C",
    item_id text NOT NULL COLLATE pg_catalog."C",
    location_id text NOT NULL COLLATE pg_catalog."C",
    "position" bigint DEFAULT (GREATEST(((pg_current_xact_id())::text)::bigint, (((pg_snapshot_xmax(pg_current_snapshot()))::text)::bigint - 1)) + COALESCE(pg_sequence_last_value('stockq.feed_base'::regclass), (0)::bigint)) NOT NULL
);
CREATE VIEW stockq.alert_messages WITH (security_invoker='true') AS
 SELECT n."position",
    n.notification_id,
    n.store_id,
    n.item_id,
    n.location_id,
    COALESCE(a.kind, n.kind) AS kind,
        CASE
            WHEN (a.notification_id IS NULL) THEN n.job_id
            ELSE a.job_id
        END AS job_id,
    COALESCE(a.version, n.version) AS version,
    COALESCE(a.available_before, n.available_before) AS available_before,
    COALESCE(a.available_after, n.available_after) AS available_after,
    n.low_stock_threshold,
    COALESCE(a.announced_at, n.created_at) AS occurred_at,
    (a.notification_id IS NOT NULL) AS is_announced
   FROM (stockq.notifications n
     LEFT JOIN stockq.announcements a ON ((a.notification_id = n.notification_id)))
  WHERE
        CASE
            WHEN (a.notification_id IS NOT NULL) THEN a.is_sent
            ELSE (NOT (EXISTS ( SELECT
               FROM stockq.announced_stores s
              WHERE ((s.store_id = n.store_id) AND (ROW(n."position", n.notification_id) > ROW(s.from_position, s.from_row))))))
        END;
ALTER TABLE stockq.alert_policies ALTER COLUMN policy_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME stockq.alert_policies_policy_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE stockq.caller_token_secret (
    is_only_row boolean DEFAULT true NOT NULL,
    secret bytea DEFAULT (uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) NOT NULL,
    CONSTRAINT caller_token_secret_is_only_row CHECK (is_only_row)
);
CREATE TABLE stockq.change_log (
    "position" bigint DEFAULT (GREATEST(((pg_current_xact_id())::text)::bigint, (((pg_snapshot_xmax(pg_current_snapshot()))::text)::bigint - 1)) + COALESCE(pg_sequence_last_value('stockq.feed_base'::regclass), (0)::bigint)) NOT NULL,
    log_id bigint NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    store_id text NOT NULL COLLATE pg_catalog."C",
    job_ids bigint[] NOT NULL,
    CONSTRAINT change_log_job_ids_not_empty CHECK ((cardinality(job_ids) > 0))
);
ALTER TABLE ONLY stockq.change_log ALTER COLUMN job_ids SET STORAGE EXTERNAL;
ALTER TABLE stockq.change_log ALTER COLUMN log_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME stockq.change_log_log_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE stockq.deliveries ALTER COLUMN delivery_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME stockq.deliveries_delivery_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE stockq.gateway_clients (
    client_id text NOT NULL COLLATE pg_catalog."C",
    secret_hash text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    store_id text NOT NULL COLLATE pg_catalog."C",
    scopes text[] NOT NULL COLLATE pg_catalog."C",
    created_by text DEFAULT SESSION_USER NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    last_used_at timestamp with time zone,
    revoked_at timestamp with time zone,
    CONSTRAINT gateway_clients_client_id_length CHECK (((octet_length(client_id) >= 1) AND (octet_length(client_id) <= 200))),
    CONSTRAINT gateway_clients_name_length CHECK (((octet_length(name) >= 1) AND (octet_length(name) <= 200))),
    CONSTRAINT gateway_clients_scopes_known CHECK ((scopes <@ ARRAY['update_catalog'::text, 'read_catalog'::text, 'manage_items'::text, 'manage_notifications'::text])),
    CONSTRAINT gateway_clients_scopes_not_empty CHECK ((cardinality(scopes) > 0)),
    CONSTRAINT gateway_clients_secret_hash_form CHECK ((secret_hash ~ '^[0-9a-f]{64}$'::text)),
    CONSTRAINT gateway_clients_store_id_length CHECK (((octet_length(store_id) >= 1) AND (octet_length(store_id) <= 200)))
);
CREATE TABLE stockq.gateway_tokens (
    token_id bigint NOT NULL,
    token_hash text COLLATE pg_catalog."C",
    name text COLLATE pg_catalog."C",
    client_id text COLLATE pg_catalog."C",
    stores text[] NOT NULL COLLATE pg_catalog."C",
    scopes text[] NOT NULL COLLATE pg_catalog."C",
    created_by text DEFAULT SESSION_USER NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    last_used_at timestamp with time zone,
    revoked_at timestamp with time zone,
    CONSTRAINT gateway_tokens_name_length CHECK (((octet_length(name) >= 1) AND (octet_length(name) <= 200))),
    CONSTRAINT gateway_tokens_name_or_client CHECK ((num_nonnulls(name, client_id) = 1)),
    CONSTRAINT gateway_tokens_scopes_known CHECK ((scopes <@ ARRAY['update_catalog'::text, 'read_catalog'::text, 'manage_items'::text, 'manage_notifications'::text])),
    CONSTRAINT gateway_tokens_scopes_not_empty CHECK ((cardinality(scopes) > 0)),
    CONSTRAINT gateway_tokens_stores_not_empty CHECK ((cardinality(stores) > 0)),
    CONSTRAINT gateway_tokens_token_hash_form CHECK ((token_hash ~ '^[0-9a-f]{64}$'::text))
);
ALTER TABLE stockq.gateway_tokens ALTER COLUMN token_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME stockq.gateway_tokens_token_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE stockq.import_parts (
    import_id bigint NOT NULL,
    first_job_id bigint NOT NULL,
    last_job_id bigint NOT NULL,
    submission_id xid8 NOT NULL,
    imported_by text NOT NULL COLLATE pg_catalog."C",
    CONSTRAINT import_parts_ids_rise CHECK ((first_job_id <= last_job_id))
);
ALTER TABLE stockq.imports ALTER COLUMN import_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME stockq.imports_import_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE stockq.jobs ALTER COLUMN job_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME stockq.jobs_job_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE stockq.ledger_violations (
    store_id text NOT NULL COLLATE pg_catalog."C",
    item_id text NOT NULL COLLATE pg_catalog."C",
    location_id text NOT NULL COLLATE pg_catalog."C",
    violation text NOT NULL COLLATE pg_catalog."C",
    found_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE stockq.maintenance_locks (
    name text NOT NULL COLLATE pg_catalog."C"
);
CREATE TABLE stockq.migrations (
    name text NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT migrations_checksum_form CHECK ((checksum ~ '^[0-9a-f]{64}$'::text)),
    CONSTRAINT migrations_kind_known CHECK ((kind = ANY (ARRAY['numbered'::text, 'repeatable'::text, 'wakeup_trigger'::text, 'roles'::text])))
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
 SELECT jobs.store_id,
    jobs.strand,
    jobs.priority,
    jobs.job_id,
    jobs.item_id,
    jobs.location_id
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
CREATE TABLE stockq.next_openings (
    version bigint NOT NULL,
    on_hand bigint NOT NULL,
    allocated bigint NOT NULL,
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
CREATE TABLE stockq.prepared_partitions (
    name text NOT NULL COLLATE pg_catalog."C"
);
CREATE VIEW stockq.ready_heads WITH (security_invoker='true') AS
 WITH RECURSIVE heads AS (
        ( SELECT jobs.strand,
            jobs.lane,
            jobs.store_id,
            jobs.job_id,
            GREATEST(jobs.enqueued_at, jobs.scheduled_at) AS since
           FROM stockq.jobs
          WHERE (jobs.run_at IS NULL)
          ORDER BY jobs.strand, jobs.job_id
         LIMIT 1)
        UNION ALL
         SELECT head.strand,
            head.lane,
            head.store_id,
            head.job_id,
            head.since
           FROM (heads heads_1
             CROSS JOIN LATERAL ( SELECT jobs.strand,
                    jobs.lane,
                    jobs.store_id,
                    jobs.job_id,
                    GREATEST(jobs.enqueued_at, jobs.scheduled_at) AS since
                   FROM stockq.jobs
                  WHERE ((jobs.run_at IS NULL) AND (jobs.strand > heads_1.strand))
                  ORDER BY jobs.strand, jobs.job_id
                 LIMIT 1) head)
        )
 SELECT heads.strand,
    heads.lane,
    heads.store_id,
    heads.job_id,
    heads.since
   FROM heads;
CREATE TABLE stockq.reasons (
    reason text NOT NULL COLLATE pg_catalog."C",
    CONSTRAINT reasons_reason_length CHECK (((octet_length(reason) >= 1) AND (octet_length(reason) <= 200)))
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
    submission_id xid8 NOT NULL,
    group_last_job_id bigint,
    first_job_id bigint,
    retry_of bigint,
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
    ordering_key text COLLATE pg_catalog."C",
    idempotency_key text COLLATE pg_catalog."C",
    reason text COLLATE pg_catalog."C",
    reference text COLLATE pg_catalog."C",
    worker text NOT NULL COLLATE pg_catalog."C",
    sqlstate text COLLATE pg_catalog."C",
    message text COLLATE pg_catalog."C",
    counted_at timestamp with time zone,
    actor text COLLATE pg_catalog."C",
    occurred_at timestamp with time zone,
    metadata jsonb,
    waiting_since timestamp with time zone
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
    submission_id xid8 NOT NULL,
    group_last_job_id bigint,
    first_job_id bigint,
    retry_of bigint,
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
    ordering_key text COLLATE pg_catalog."C",
    idempotency_key text COLLATE pg_catalog."C",
    reason text COLLATE pg_catalog."C",
    reference text COLLATE pg_catalog."C",
    worker text NOT NULL COLLATE pg_catalog."C",
    sqlstate text COLLATE pg_catalog."C",
    message text COLLATE pg_catalog."C",
    counted_at timestamp with time zone,
    actor text COLLATE pg_catalog."C",
    occurred_at timestamp with time zone,
    metadata jsonb,
    waiting_since timestamp with time zone
)
WITH (autovacuum_vacuum_insert_scale_factor='1', autovacuum_analyze_scale_factor='1');
CREATE TABLE stockq.retired_items (
    store_id text NOT NULL COLLATE pg_catalog."C",
    item_id text NOT NULL COLLATE pg_catalog."C",
    location_id text NOT NULL COLLATE pg_catalog."C",
    version bigint NOT NULL,
    created_version bigint NOT NULL,
    on_hand bigint NOT NULL,
    allocated bigint NOT NULL,
    opening_on_hand bigint NOT NULL,
    opening_allocated bigint NOT NULL,
    opening_version bigint NOT NULL,
    last_job_id bigint,
    last_notification_id bigint NOT NULL,
    retired_at timestamp with time zone DEFAULT now() NOT NULL,
    retired_by text DEFAULT SESSION_USER NOT NULL
);
CREATE TABLE stockq.retries (
    job_id bigint NOT NULL,
    retry_job_id bigint NOT NULL
);
CREATE TABLE stockq.snoozes (
    snooze_id bigint NOT NULL,
    store_id text NOT NULL COLLATE pg_catalog."C",
    item_id text NOT NULL COLLATE pg_catalog."C",
    location_id text NOT NULL COLLATE pg_catalog."C",
    until timestamp with time zone NOT NULL,
    from_position bigint NOT NULL,
    from_row bigint NOT NULL,
    set_at timestamp with time zone NOT NULL,
    set_by text DEFAULT SESSION_USER NOT NULL,
    CONSTRAINT snoozes_until_finite CHECK (isfinite(until))
);
ALTER TABLE stockq.snoozes ALTER COLUMN snooze_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME stockq.snoozes_snooze_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE stockq.store_limits (
    store_id text NOT NULL COLLATE pg_catalog."C",
    ready_jobs_max integer NOT NULL,
    CONSTRAINT store_limits_ready_jobs_max_range CHECK (((ready_jobs_max >= 1) AND (ready_jobs_max <= 100000000))),
    CONSTRAINT store_limits_store_id_length CHECK (((octet_length(store_id) >= 1) AND (octet_length(store_id) <= 200)))
);
ALTER TABLE stockq.subscriptions ALTER COLUMN subscription_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME stockq.subscriptions_subscription_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE stockq.threshold_changes (
    change_id bigint NOT NULL,
    notification_id bigint NOT NULL,
    store_id text NOT NULL COLLATE pg_catalog."C",
    item_id text NOT NULL COLLATE pg_catalog."C",
    location_id text NOT NULL COLLATE pg_catalog."C",
    version bigint NOT NULL,
    low_stock_threshold bigint,
    alert_before stockq.alert_level NOT NULL,
    alert_after stockq.alert_level NOT NULL,
    changed_at timestamp with time zone DEFAULT now() NOT NULL,
    changed_by text DEFAULT SESSION_USER NOT NULL,
    CONSTRAINT threshold_changes_level_changes CHECK ((alert_before <> alert_after))
);
ALTER TABLE stockq.threshold_changes ALTER COLUMN change_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME stockq.threshold_changes_change_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE stockq.too_large_groups (
    group_id text NOT NULL COLLATE pg_catalog."C",
    store_id text NOT NULL COLLATE pg_catalog."C",
    submission_id xid8 NOT NULL,
    marked_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE SEQUENCE stockq.workers_awake
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER TABLE ONLY stockq.results ATTACH PARTITION stockq.results_000000000000000 FOR VALUES FROM ('0') TO ('5000000');
ALTER TABLE ONLY stockq.results ATTACH PARTITION stockq.results_000000005000000 FOR VALUES FROM ('5000000') TO ('10000000');
ALTER TABLE ONLY stockq.alert_policies
    ADD CONSTRAINT alert_policies_pkey PRIMARY KEY (policy_id);
ALTER TABLE ONLY stockq.announced_items
    ADD CONSTRAINT announced_items_pkey PRIMARY KEY (item_id, store_id, location_id);
ALTER TABLE ONLY stockq.announced_stores
    ADD CONSTRAINT announced_stores_pkey PRIMARY KEY (store_id);
ALTER TABLE ONLY stockq.announcements
    ADD CONSTRAINT announcements_pkey PRIMARY KEY (notification_id);
ALTER TABLE ONLY stockq.caller_token_secret
    ADD CONSTRAINT caller_token_secret_pkey PRIMARY KEY (is_only_row);
ALTER TABLE ONLY stockq.change_log
    ADD CONSTRAINT change_log_pkey PRIMARY KEY ("position", log_id);
ALTER TABLE ONLY stockq.deliveries
    ADD CONSTRAINT deliveries_pkey PRIMARY KEY (delivery_id);
ALTER TABLE ONLY stockq.delivery_progress
    ADD CONSTRAINT delivery_progress_pkey PRIMARY KEY (is_only_row);
ALTER TABLE ONLY stockq.gateway_clients
    ADD CONSTRAINT gateway_clients_pkey PRIMARY KEY (client_id);
ALTER TABLE ONLY stockq.gateway_tokens
    ADD CONSTRAINT gateway_tokens_pkey PRIMARY KEY (token_id);
ALTER TABLE ONLY stockq.gateway_tokens
    ADD CONSTRAINT gateway_tokens_token_hash_key UNIQUE (token_hash);
ALTER TABLE ONLY stockq.grants
    ADD CONSTRAINT grants_pkey PRIMARY KEY (producer, store_id);
ALTER TABLE ONLY stockq.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (idempotency_key, store_id);
ALTER TABLE ONLY stockq.import_parts
    ADD CONSTRAINT import_parts_pkey PRIMARY KEY (import_id, first_job_id);
ALTER TABLE ONLY stockq.imports
    ADD CONSTRAINT imports_name_key UNIQUE (name);
ALTER TABLE ONLY stockq.imports
    ADD CONSTRAINT imports_pkey PRIMARY KEY (import_id);
ALTER TABLE ONLY stockq.items
    ADD CONSTRAINT items_pkey PRIMARY KEY (store_id, item_id, location_id);
ALTER TABLE stockq.jobs
    ADD CONSTRAINT jobs_actor_length CHECK (((octet_length(actor) >= 1) AND (octet_length(actor) <= 200))) NOT VALID;
ALTER TABLE stockq.jobs
    ADD CONSTRAINT jobs_counted_at_valid CHECK (((counted_at IS NULL) OR ((action = 'set'::stockq.action) AND (counted_at <= (enqueued_at + '00:05:00'::interval))))) NOT VALID;
ALTER TABLE stockq.jobs
    ADD CONSTRAINT jobs_expires_at_limit CHECK (((expires_at IS NULL) OR (expires_at <= (enqueued_at + '9600:00:00'::interval)) OR (retry_of IS NOT NULL) OR (submission_id <> pg_current_xact_id()))) NOT VALID;
ALTER TABLE stockq.jobs
    ADD CONSTRAINT jobs_ids_visible CHECK (((((store_id || item_id) || location_id) !~ '[^!-~]'::text) OR (((((store_id || '
'::text) || item_id) || '
'::text) || location_id) ~ '^[^\u0001-\u0020\u007f-\u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+( +[^\u0001-\u0020\u007f-\u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+)*(\n[^\u0001-\u0020\u007f-\u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+( +[^\u0001-\u0020\u007f-\u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+)*){2}$'::text) OR (retry_of IS NOT NULL) OR (submission_id <> pg_current_xact_id()))) NOT VALID;
ALTER TABLE stockq.jobs
    ADD CONSTRAINT jobs_metadata_valid CHECK (((jsonb_typeof(metadata) = 'object'::text) AND (octet_length((metadata)::text) <= 10000))) NOT VALID;
ALTER TABLE stockq.jobs
    ADD CONSTRAINT jobs_occurred_at_finite CHECK (isfinite(occurred_at)) NOT VALID;
ALTER TABLE ONLY stockq.jobs
    ADD CONSTRAINT jobs_pkey PRIMARY KEY (job_id);
ALTER TABLE stockq.jobs
    ADD CONSTRAINT jobs_run_at_limit CHECK (((run_at IS NULL) OR (run_at <= (enqueued_at + '9600:00:00'::interval)) OR (retry_of IS NOT NULL) OR (submission_id <> pg_current_xact_id()))) NOT VALID;
ALTER TABLE ONLY stockq.lanes
    ADD CONSTRAINT lanes_pkey PRIMARY KEY (lane);
ALTER TABLE ONLY stockq.ledger_violations
    ADD CONSTRAINT ledger_violations_pkey PRIMARY KEY (store_id, item_id, location_id);
ALTER TABLE ONLY stockq.maintenance_locks
    ADD CONSTRAINT maintenance_locks_pkey PRIMARY KEY (name);
ALTER TABLE ONLY stockq.migrations
    ADD CONSTRAINT migrations_pkey PRIMARY KEY (name);
ALTER TABLE ONLY stockq.next_openings
    ADD CONSTRAINT next_openings_pkey PRIMARY KEY (store_id, item_id, location_id, version);
ALTER TABLE ONLY stockq.notifications
    ADD CONSTRAINT notifications_pkey PRIMARY KEY (notification_id);
ALTER TABLE ONLY stockq.operations
    ADD CONSTRAINT operations_pkey PRIMARY KEY (operation_id);
ALTER TABLE ONLY stockq.paused_stores
    ADD CONSTRAINT paused_stores_pkey PRIMARY KEY (store_id);
ALTER TABLE ONLY stockq.prepared_partitions
    ADD CONSTRAINT prepared_partitions_pkey PRIMARY KEY (name);
ALTER TABLE ONLY stockq.reasons
    ADD CONSTRAINT reasons_pkey PRIMARY KEY (reason);
ALTER TABLE ONLY stockq.reconciliations
    ADD CONSTRAINT reconciliations_pkey PRIMARY KEY (store_id, item_id, location_id, version);
ALTER TABLE ONLY stockq.results
    ADD CONSTRAINT results_pkey PRIMARY KEY (job_id);
ALTER TABLE ONLY stockq.results_000000000000000
    ADD CONSTRAINT results_000000000000000_pkey PRIMARY KEY (job_id);
ALTER TABLE ONLY stockq.results_000000005000000
    ADD CONSTRAINT results_000000005000000_pkey PRIMARY KEY (job_id);
ALTER TABLE ONLY stockq.retired_items
    ADD CONSTRAINT retired_items_pkey PRIMARY KEY (store_id, item_id, location_id, version, last_notification_id);
ALTER TABLE ONLY stockq.retries
    ADD CONSTRAINT retries_pkey PRIMARY KEY (job_id);
ALTER TABLE ONLY stockq.snoozes
    ADD CONSTRAINT snoozes_pkey PRIMARY KEY (snooze_id);
ALTER TABLE ONLY stockq.store_limits
    ADD CONSTRAINT store_limits_pkey PRIMARY KEY (store_id);
ALTER TABLE ONLY stockq.subscriptions
    ADD CONSTRAINT subscriptions_name_key UNIQUE (name);
ALTER TABLE ONLY stockq.subscriptions
    ADD CONSTRAINT subscriptions_pkey PRIMARY KEY (subscription_id);
ALTER TABLE ONLY stockq.threshold_changes
    ADD CONSTRAINT threshold_changes_pkey PRIMARY KEY (change_id);
ALTER TABLE ONLY stockq.too_large_groups
    ADD CONSTRAINT too_large_groups_pkey PRIMARY KEY (group_id, store_id, submission_id);
CREATE INDEX alert_policies_store ON stockq.alert_policies USING btree (store_id, policy_id);
CREATE INDEX announced_items_due ON stockq.announced_items USING btree (due_at) WHERE (due_at IS NOT NULL);
CREATE INDEX announced_items_rearming ON stockq.announced_items USING btree (item_id, store_id, location_id) WHERE (rearm_above IS NOT NULL);
CREATE INDEX announced_items_waiting ON stockq.announced_items USING btree (store_id) WHERE (level <> announced_level);
CREATE INDEX change_log_created_at ON stockq.change_log USING brin (created_at);
CREATE INDEX change_log_store ON stockq.change_log USING btree (store_id, "position", log_id);
CREATE INDEX deliveries_dead ON stockq.deliveries USING btree (subscription_id, delivery_id) WHERE (state = 'dead'::text);
CREATE INDEX deliveries_due ON stockq.deliveries USING btree (subscription_id, next_attempt_at) WHERE (state = 'pending'::text);
CREATE INDEX deliveries_finished ON stockq.deliveries USING brin (finished_at);
CREATE INDEX deliveries_item ON stockq.deliveries USING btree (subscription_id, item_id, store_id, location_id, delivery_id) WHERE (state = 'pending'::text);
CREATE UNIQUE INDEX gateway_clients_name ON stockq.gateway_clients USING btree (name) WHERE (revoked_at IS NULL);
CREATE INDEX gateway_tokens_anonymous ON stockq.gateway_tokens USING btree (token_id) WHERE (token_hash IS NULL);
CREATE INDEX gateway_tokens_ended ON stockq.gateway_tokens USING btree (expires_at) WHERE (client_id IS NOT NULL);
CREATE UNIQUE INDEX gateway_tokens_name ON stockq.gateway_tokens USING btree (name) WHERE (revoked_at IS NULL);
CREATE INDEX idempotency_keys_used ON stockq.idempotency_keys USING brin (used_at);
CREATE INDEX import_parts_last_job ON stockq.import_parts USING btree (last_job_id);
CREATE INDEX imports_sha256 ON stockq.imports USING btree (sha256);
CREATE INDEX jobs_due ON stockq.jobs USING btree (lane, run_at) WHERE (run_at IS NOT NULL);
CREATE INDEX jobs_group ON stockq.jobs USING btree (group_id, store_id, submission_id) WHERE (group_id IS NOT NULL);
CREATE INDEX jobs_key ON stockq.jobs USING btree (idempotency_key, store_id) WHERE (idempotency_key IS NOT NULL);
CREATE INDEX jobs_ready ON stockq.jobs USING btree (strand, job_id) WHERE (run_at IS NULL);
CREATE INDEX jobs_waiting ON stockq.jobs USING btree (item_id, store_id, location_id, priority, job_id) WHERE ((waiting_quantity IS NOT NULL) AND (run_at IS NOT NULL));
CREATE INDEX notifications_feed ON stockq.notifications USING btree ("position", notification_id);
CREATE UNIQUE INDEX notifications_once_a_version ON stockq.notifications USING btree (item_id, store_id, location_id, version) WHERE (job_id IS NOT NULL);
CREATE INDEX notifications_store_feed ON stockq.notifications USING btree (store_id, "position", notification_id);
CREATE INDEX results_not_applied ON ONLY stockq.results USING brin (finished_at) WHERE ((outcome <> 'applied'::stockq.outcome) OR (warning IS NOT NULL));
CREATE INDEX results_000000000000000_finished_at_idx ON stockq.results_000000000000000 USING brin (finished_at) WHERE ((outcome <> 'applied'::stockq.outcome) OR (warning IS NOT NULL));
CREATE INDEX results_group ON ONLY stockq.results USING btree (group_id, store_id) WHERE (group_last_job_id IS NOT NULL);
CREATE INDEX results_000000000000000_group_id_store_id_idx ON stockq.results_000000000000000 USING btree (group_id, store_id) WHERE (group_last_job_id IS NOT NULL);
CREATE INDEX results_failed ON ONLY stockq.results USING btree (job_id) WHERE (outcome = 'failed'::stockq.outcome);
CREATE INDEX results_000000000000000_job_id_idx ON stockq.results_000000000000000 USING btree (job_id) WHERE (outcome = 'failed'::stockq.outcome);
CREATE INDEX results_000000005000000_finished_at_idx ON stockq.results_000000005000000 USING brin (finished_at) WHERE ((outcome <> 'applied'::stockq.outcome) OR (warning IS NOT NULL));
CREATE INDEX results_000000005000000_group_id_store_id_idx ON stockq.results_000000005000000 USING btree (group_id, store_id) WHERE (group_last_job_id IS NOT NULL);
CREATE INDEX results_000000005000000_job_id_idx ON stockq.results_000000005000000 USING btree (job_id) WHERE (outcome = 'failed'::stockq.outcome);
CREATE INDEX snoozes_item ON stockq.snoozes USING btree (item_id, store_id, location_id, snooze_id);
CREATE INDEX subscriptions_store ON stockq.subscriptions USING btree (store_id);
CREATE INDEX threshold_changes_item ON stockq.threshold_changes USING btree (item_id, store_id, location_id, version);
ALTER INDEX stockq.results_not_applied ATTACH PARTITION stockq.results_000000000000000_finished_at_idx;
ALTER INDEX stockq.results_group ATTACH PARTITION stockq.results_000000000000000_group_id_store_id_idx;
ALTER INDEX stockq.results_failed ATTACH PARTITION stockq.results_000000000000000_job_id_idx;
ALTER INDEX stockq.results_pkey ATTACH PARTITION stockq.results_000000000000000_pkey;
ALTER INDEX stockq.results_not_applied ATTACH PARTITION stockq.results_000000005000000_finished_at_idx;
ALTER INDEX stockq.results_group ATTACH PARTITION stockq.results_000000005000000_group_id_store_id_idx;
ALTER INDEX stockq.results_failed ATTACH PARTITION stockq.results_000000005000000_job_id_idx;
ALTER INDEX stockq.results_pkey ATTACH PARTITION stockq.results_000000005000000_pkey;
CREATE TRIGGER compare_threshold BEFORE UPDATE OF low_stock_threshold ON stockq.items FOR EACH ROW EXECUTE FUNCTION stockq.compare_threshold();
CREATE TRIGGER open_item BEFORE INSERT ON stockq.items FOR EACH ROW EXECUTE FUNCTION stockq.open_item();
CREATE TRIGGER retire_deleted_items AFTER DELETE ON stockq.items FOR EACH ROW EXECUTE FUNCTION stockq.retire_deleted_items();
CREATE TRIGGER retire_truncated_items BEFORE TRUNCATE ON stockq.items FOR EACH STATEMENT EXECUTE FUNCTION stockq.retire_deleted_items();
CREATE TRIGGER send_wakeup AFTER INSERT ON stockq.jobs FOR EACH STATEMENT WHEN ((pg_sequence_last_value('stockq.workers_awake'::regclass) IS NULL)) EXECUTE FUNCTION stockq.send_wakeup();
CREATE POLICY admin_all ON stockq.change_log TO stockq_admin USING (true);
CREATE POLICY admin_all ON stockq.deliveries TO stockq_admin USING (true);
CREATE POLICY admin_all ON stockq.idempotency_keys TO stockq_admin USING (true);
CREATE POLICY admin_all ON stockq.import_parts TO stockq_admin USING (true);
CREATE POLICY admin_all ON stockq.imports TO stockq_admin USING (true);
CREATE POLICY admin_all ON stockq.items TO stockq_admin USING (true);
CREATE POLICY admin_all ON stockq.jobs TO stockq_admin USING (true);
CREATE POLICY admin_all ON stockq.notifications TO stockq_admin USING (true);
CREATE POLICY admin_all ON stockq.reconciliations TO stockq_admin USING (true);
CREATE POLICY admin_all ON stockq.results TO stockq_admin USING (true);
CREATE POLICY admin_all ON stockq.store_limits TO stockq_admin USING (true);
ALTER TABLE stockq.caller_token_secret ENABLE ROW LEVEL SECURITY;
ALTER TABLE stockq.change_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE stockq.deliveries ENABLE ROW LEVEL SECURITY;
ALTER TABLE stockq.gateway_clients ENABLE ROW LEVEL SECURITY;
ALTER TABLE stockq.gateway_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE stockq.idempotency_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE stockq.import_parts ENABLE ROW LEVEL SECURITY;
ALTER TABLE stockq.imports ENABLE ROW LEVEL SECURITY;
ALTER TABLE stockq.items ENABLE ROW LEVEL SECURITY;
ALTER TABLE stockq.jobs ENABLE ROW LEVEL SECURITY;
ALTER TABLE stockq.notifications ENABLE ROW LEVEL SECURITY;
CREATE POLICY producers_enqueue ON stockq.jobs FOR INSERT WITH CHECK (stockq.may_enqueue(store_id, item_id, location_id));
CREATE POLICY producers_read ON stockq.change_log FOR SELECT USING (stockq.has_grant(store_id));
CREATE POLICY producers_read ON stockq.idempotency_keys FOR SELECT USING (stockq.has_grant(store_id));
CREATE POLICY producers_read ON stockq.import_parts FOR SELECT USING ((imported_by = (CURRENT_USER)::text));
CREATE POLICY producers_read ON stockq.imports FOR SELECT USING ((imported_by = (CURRENT_USER)::text));
CREATE POLICY producers_read ON stockq.items FOR SELECT USING (stockq.has_grant(store_id, 'read_catalog'::text));
CREATE POLICY producers_read ON stockq.jobs FOR SELECT USING (stockq.has_grant(store_id));
CREATE POLICY producers_read ON stockq.notifications FOR SELECT USING (stockq.has_grant(store_id));
CREATE POLICY producers_read ON stockq.reconciliations FOR SELECT USING (stockq.has_grant(store_id));
CREATE POLICY producers_read ON stockq.results FOR SELECT USING (stockq.has_grant(store_id));
CREATE POLICY producers_read ON stockq.store_limits FOR SELECT USING (stockq.has_grant(store_id));
CREATE POLICY reader_select ON stockq.change_log FOR SELECT TO stockq_reader USING (true);
CREATE POLICY reader_select ON stockq.deliveries FOR SELECT TO stockq_reader USING (true);
CREATE POLICY reader_select ON stockq.idempotency_keys FOR SELECT TO stockq_reader USING (true);
CREATE POLICY reader_select ON stockq.import_parts FOR SELECT TO stockq_reader USING (true);
CREATE POLICY reader_select ON stockq.imports FOR SELECT TO stockq_reader USING (true);
CREATE POLICY reader_select ON stockq.items FOR SELECT TO stockq_reader USING (true);
CREATE POLICY reader_select ON stockq.jobs FOR SELECT TO stockq_reader USING (true);
CREATE POLICY reader_select ON stockq.notifications FOR SELECT TO stockq_reader USING (true);
CREATE POLICY reader_select ON stockq.reconciliations FOR SELECT TO stockq_reader USING (true);
CREATE POLICY reader_select ON stockq.results FOR SELECT TO stockq_reader USING (true);
CREATE POLICY reader_select ON stockq.store_limits FOR SELECT TO stockq_reader USING (true);
ALTER TABLE stockq.reconciliations ENABLE ROW LEVEL SECURITY;
ALTER TABLE stockq.results ENABLE ROW LEVEL SECURITY;
ALTER TABLE stockq.store_limits ENABLE ROW LEVEL SECURITY;
ALTER TABLE stockq.subscriptions ENABLE ROW LEVEL SECURITY;
CREATE POLICY worker_all ON stockq.change_log TO stockq_worker USING (true);
CREATE POLICY worker_all ON stockq.deliveries TO stockq_worker USING (true);
CREATE POLICY worker_all ON stockq.idempotency_keys TO stockq_worker USING (true);
CREATE POLICY worker_all ON stockq.import_parts TO stockq_worker USING (true);
CREATE POLICY worker_all ON stockq.imports TO stockq_worker USING (true);
CREATE POLICY worker_all ON stockq.items TO stockq_worker USING (true);
CREATE POLICY worker_all ON stockq.notifications TO stockq_worker USING (true);
CREATE POLICY worker_all ON stockq.reconciliations TO stockq_worker USING (true);
CREATE POLICY worker_all ON stockq.results TO stockq_worker USING (true);
CREATE POLICY worker_all ON stockq.store_limits TO stockq_worker USING (true);
CREATE POLICY worker_delete ON stockq.jobs FOR DELETE TO stockq_worker USING (true);
CREATE POLICY worker_select ON stockq.jobs FOR SELECT TO stockq_worker USING (true);
CREATE POLICY worker_update ON stockq.jobs FOR UPDATE TO stockq_worker USING (true);
