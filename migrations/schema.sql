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
    'cancelled',
    'failed'
);
CREATE TYPE stockq.warning AS ENUM (
    'negative_stock'
);
CREATE FUNCTION stockq.add_results_partition(job_id bigint, jobs_per_partition bigint) RETURNS boolean
    LANGUAGE plpgsql
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
    LANGUAGE plpgsql
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
CREATE FUNCTION stockq.drop_expired_results(keep interval) RETURNS text
    LANGUAGE plpgsql
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
CREATE FUNCTION stockq.ring_doorbell() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM pg_notify(TG_TABLE_SCHEMA, '');
    RETURN NULL;
END
$$;
CREATE SEQUENCE stockq.doorbell
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
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
    alert_level stockq.alert_level,
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
    ordering_key text COLLATE pg_catalog."C",
    reason text COLLATE pg_catalog."C",
    reference text COLLATE pg_catalog."C",
    last_error text COLLATE pg_catalog."C",
    CONSTRAINT group_in_store_lane CHECK (((group_id IS NULL) OR (ordering_key IS NULL))),
    CONSTRAINT jobs_attempts_check CHECK (((attempts >= 0) AND (attempts <= 1000))),
    CONSTRAINT jobs_group_id_check CHECK (((octet_length(group_id) >= 1) AND (octet_length(group_id) <= 200))),
    CONSTRAINT jobs_item_id_check CHECK (((octet_length(item_id) >= 1) AND (octet_length(item_id) <= 200))),
    CONSTRAINT jobs_location_id_check CHECK (((octet_length(location_id) >= 1) AND (octet_length(location_id) <= 200))),
    CONSTRAINT jobs_max_attempts_check CHECK (((max_attempts >= 1) AND (max_attempts <= 1000))),
    CONSTRAINT jobs_ordering_key_check CHECK (((octet_length(ordering_key) >= 1) AND (octet_length(ordering_key) <= 200))),
    CONSTRAINT jobs_priority_check CHECK (((priority >= 1) AND (priority <= 4))),
    CONSTRAINT jobs_reason_check CHECK ((octet_length(reason) <= 2000)),
    CONSTRAINT jobs_reference_check CHECK ((octet_length(reference) <= 2000)),
    CONSTRAINT jobs_run_at_check CHECK (isfinite(run_at)),
    CONSTRAINT jobs_store_id_check CHECK (((octet_length(store_id) >= 1) AND (octet_length(store_id) <= 200))),
    CONSTRAINT policy_fits_action CHECK (((on_insufficient = 'reject'::stockq.on_insufficient) OR (action = ANY (ARRAY['adjust'::stockq.action, 'allocate'::stockq.action])) OR ((action = 'set'::stockq.action) AND (on_insufficient = 'allow'::stockq.on_insufficient))))
)
WITH (autovacuum_vacuum_scale_factor='0.2', autovacuum_vacuum_threshold='20000', autovacuum_vacuum_insert_threshold='-1', autovacuum_vacuum_cost_delay='2', autovacuum_vacuum_cost_limit='2000', vacuum_truncate=off);
ALTER TABLE stockq.jobs ALTER COLUMN job_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME stockq.jobs_job_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE stockq.lanes (
    lane smallint NOT NULL,
    CONSTRAINT lanes_lane_check CHECK (((lane >= 0) AND (lane <= 63)))
);
CREATE TABLE stockq.migrations (
    number integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);
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
    ordering_key text COLLATE pg_catalog."C",
    reason text COLLATE pg_catalog."C",
    reference text COLLATE pg_catalog."C",
    worker text NOT NULL COLLATE pg_catalog."C",
    sqlstate text COLLATE pg_catalog."C",
    message text COLLATE pg_catalog."C"
)
PARTITION BY RANGE (job_id);
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
    ordering_key text COLLATE pg_catalog."C",
    reason text COLLATE pg_catalog."C",
    reference text COLLATE pg_catalog."C",
    worker text NOT NULL COLLATE pg_catalog."C",
    sqlstate text COLLATE pg_catalog."C",
    message text COLLATE pg_catalog."C"
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
    ordering_key text COLLATE pg_catalog."C",
    reason text COLLATE pg_catalog."C",
    reference text COLLATE pg_catalog."C",
    worker text NOT NULL COLLATE pg_catalog."C",
    sqlstate text COLLATE pg_catalog."C",
    message text COLLATE pg_catalog."C"
)
WITH (autovacuum_vacuum_insert_scale_factor='1', autovacuum_analyze_scale_factor='1');
ALTER TABLE ONLY stockq.results ATTACH PARTITION stockq.results_000000000000000 FOR VALUES FROM ('0') TO ('5000000');
ALTER TABLE ONLY stockq.results ATTACH PARTITION stockq.results_000000005000000 FOR VALUES FROM ('5000000') TO ('10000000');
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
ALTER TABLE ONLY stockq.results
    ADD CONSTRAINT results_pkey PRIMARY KEY (job_id);
ALTER TABLE ONLY stockq.results_000000000000000
    ADD CONSTRAINT results_000000000000000_pkey PRIMARY KEY (job_id);
ALTER TABLE ONLY stockq.results_000000005000000
    ADD CONSTRAINT results_000000005000000_pkey PRIMARY KEY (job_id);
CREATE INDEX jobs_due ON stockq.jobs USING btree (run_at) WHERE (run_at IS NOT NULL);
CREATE INDEX jobs_group ON stockq.jobs USING btree (group_id, store_id) WHERE (group_id IS NOT NULL);
CREATE INDEX jobs_ready ON stockq.jobs USING btree (lane, priority, job_id) WHERE (run_at IS NULL);
CREATE INDEX jobs_waiting ON stockq.jobs USING btree (item_id, store_id, location_id, priority, job_id) WHERE ((waiting_quantity IS NOT NULL) AND (run_at IS NOT NULL));
ALTER INDEX stockq.results_pkey ATTACH PARTITION stockq.results_000000000000000_pkey;
ALTER INDEX stockq.results_pkey ATTACH PARTITION stockq.results_000000005000000_pkey;
CREATE TRIGGER ring_doorbell AFTER INSERT ON stockq.jobs FOR EACH STATEMENT WHEN ((pg_sequence_last_value('stockq.doorbell'::regclass) IS NULL)) EXECUTE FUNCTION stockq.ring_doorbell();
