-- The store: items, the queue, results, notifications.
--
-- :"schema" is the schema's name, quoted; `stockq migrate` puts it in, and so does `psql -v schema=stockq -f`.
-- Text keys compare bytewise (COLLATE "C"): cheaper than a locale's rules, and the same order everywhere.

CREATE TYPE :"schema".action AS ENUM ('adjust', 'allocate', 'deallocate', 'ship', 'set');
CREATE TYPE :"schema".on_insufficient AS ENUM ('reject', 'allow', 'partial', 'wait');
CREATE TYPE :"schema".outcome AS ENUM ('applied', 'unchanged', 'rejected', 'duplicate', 'canceled', 'failed');
CREATE TYPE :"schema".code AS ENUM (
    -- of 'unchanged'
    'untracked', 'no_change',
    -- of 'rejected'
    'insufficient_stock', 'insufficient_allocation', 'unknown_item', 'stale', 'out_of_range', 'invalid_quantity',
    'expired', 'idempotency_mismatch', 'group_rejected'
);
CREATE TYPE :"schema".warning AS ENUM ('negative_stock');
CREATE TYPE :"schema".alert_level AS ENUM ('ok', 'low', 'out');
CREATE TYPE :"schema".notification_kind AS ENUM ('low_stock', 'out_of_stock', 'back_in_stock', 'restocked');

-- One row for each thing that is counted.
CREATE TABLE :"schema".items (
    store_id text COLLATE "C" NOT NULL CHECK (octet_length(store_id) BETWEEN 1 AND 200),
    item_id text COLLATE "C" NOT NULL CHECK (octet_length(item_id) BETWEEN 1 AND 200),
    location_id text COLLATE "C" NOT NULL DEFAULT 'main' CHECK (octet_length(location_id) BETWEEN 1 AND 200),
    -- A variation names its product.
    parent_id text COLLATE "C" CHECK (octet_length(parent_id) BETWEEN 1 AND 200),
    on_hand bigint NOT NULL DEFAULT 0,
    allocated bigint NOT NULL DEFAULT 0,
    available bigint NOT NULL GENERATED ALWAYS AS (on_hand - allocated) STORED,
    low_stock_threshold bigint CHECK (low_stock_threshold BETWEEN 0 AND 9007199254740991),
    -- Rises by exactly 1 with every change of on_hand or allocated.
    version bigint NOT NULL DEFAULT 0,
    -- What the item started with. Null until the first change, which pins it; so a plain INSERT needs no trigger.
    -- Retention adds the changes of the results that it drops.
    opening_on_hand bigint,
    opening_allocated bigint,
    opening_version bigint NOT NULL DEFAULT 0,
    -- The job that made the present version; its result names the one before it (results.previous_job_id).
    last_job_id bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- The alert level last told. Null: nothing told yet, so the level that the stock stands at is the baseline.
    notified_level :"schema".alert_level,
    -- False: unlimited stock; jobs leave it unchanged.
    tracked boolean NOT NULL DEFAULT true,
    PRIMARY KEY (store_id, item_id, location_id),
    -- Quantities stay within what JSON carries unharmed: 2^53 - 1.
    CHECK (on_hand BETWEEN -9007199254740991 AND 9007199254740991),
    CHECK (allocated BETWEEN 0 AND 9007199254740991),
    CHECK (on_hand - allocated BETWEEN -9007199254740991 AND 9007199254740991)
) WITH (
    -- Half of each page stays free, so that a new version of a row finds room beside the old one: no index changes
    -- (HOT update), and the page prunes itself.
    fillfactor = 50,
    -- A popular item's row is rewritten by every batch; vacuum by count of dead rows, not by a share of the table.
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0
);

-- Live jobs only: a job leaves with the transaction that writes its result.
CREATE TABLE :"schema".jobs (
    -- CACHE 1: with more, ids would be out of order between sessions, and ids are the order of work.
    job_id bigint GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,
    quantity bigint NOT NULL,
    -- The available quantity that the producer saw; another one rejects the job as stale.
    expected_available bigint,
    -- Null: ready. A later time, a backoff or waiting for stock sets it; promotion clears it.
    run_at timestamptz CHECK (isfinite(run_at)),
    -- The time that the producer asked for, kept when the job is promoted.
    scheduled_at timestamptz,
    expires_at timestamptz,
    enqueued_at timestamptz NOT NULL DEFAULT now(),
    -- Since when the job, or another line of its group, has waited for stock.
    waiting_since timestamptz,
    -- How much this line waits for; null where it is not this line that lacks stock.
    waiting_quantity bigint,
    priority smallint NOT NULL DEFAULT 2 CHECK (priority BETWEEN 1 AND 4),
    attempts smallint NOT NULL DEFAULT 0 CHECK (attempts BETWEEN 0 AND 1000),
    max_attempts smallint NOT NULL DEFAULT 10 CHECK (max_attempts BETWEEN 1 AND 1000),
    -- The unit of order and of parallel work.
    lane smallint NOT NULL GENERATED ALWAYS AS ((hashtextextended(coalesce(ordering_key, store_id), 0) & 63)::smallint) STORED,
    action :"schema".action NOT NULL DEFAULT 'adjust',
    on_insufficient :"schema".on_insufficient NOT NULL DEFAULT 'reject',
    -- False: this job's change of the alert level is not told.
    notify boolean NOT NULL DEFAULT true,
    store_id text COLLATE "C" NOT NULL CHECK (octet_length(store_id) BETWEEN 1 AND 200),
    item_id text COLLATE "C" NOT NULL CHECK (octet_length(item_id) BETWEEN 1 AND 200),
    location_id text COLLATE "C" NOT NULL DEFAULT 'main' CHECK (octet_length(location_id) BETWEEN 1 AND 200),
    group_id text COLLATE "C" CHECK (octet_length(group_id) BETWEEN 1 AND 200),
    -- The transaction that inserted the job.
    submission_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
    ordering_key text COLLATE "C" CHECK (octet_length(ordering_key) BETWEEN 1 AND 200),
    reason text COLLATE "C" CHECK (octet_length(reason) <= 2000),
    reference text COLLATE "C" CHECK (octet_length(reference) <= 2000),
    -- Why the last attempt failed.
    last_error text COLLATE "C",
    -- A group lives in its store's lane.
    CONSTRAINT group_in_store_lane CHECK (group_id IS NULL OR ordering_key IS NULL),
    CONSTRAINT policy_fits_action CHECK (
        on_insufficient = 'reject'
        OR action IN ('adjust', 'allocate')
        OR (action = 'set' AND on_insufficient = 'allow')
    )
) WITH (
    -- The table lives and dies with the backlog: vacuum early while it is small, and of a large backlog by its share, at
    -- ten times the usual pace and yet with pauses: without them, vacuum took a whole core from a drain of five million.
    -- Do not give pages back to the file system, which would lock the table just to grow it again.
    autovacuum_vacuum_scale_factor = 0.2,
    autovacuum_vacuum_threshold = 20000,
    autovacuum_vacuum_insert_threshold = -1,
    autovacuum_vacuum_cost_delay = 2,
    autovacuum_vacuum_cost_limit = 2000,
    vacuum_truncate = off
);

-- The claim: one lane's ready jobs in order of work.
CREATE INDEX jobs_ready ON :"schema".jobs (lane, priority, job_id) WHERE run_at IS NULL;
-- Promotion: what is due next. A ready job is not in it.
CREATE INDEX jobs_due ON :"schema".jobs (run_at) WHERE run_at IS NOT NULL;
-- The rest of a group.
CREATE INDEX jobs_group ON :"schema".jobs (group_id, store_id, submission_id) WHERE group_id IS NOT NULL;
-- The jobs that wait for an item's stock, in order of work.
CREATE INDEX jobs_waiting ON :"schema".jobs (item_id, store_id, location_id, priority, job_id)
    WHERE waiting_quantity IS NOT NULL AND run_at IS NOT NULL;

-- A worker holds a lane's row for the length of a batch: one writer a lane.
CREATE TABLE :"schema".lanes (
    lane smallint PRIMARY KEY CHECK (lane BETWEEN 0 AND 63)
);
INSERT INTO :"schema".lanes SELECT generate_series(0, 63);

-- What became of each job. Applied results are the ledger. A row stands alone when its job is gone.
CREATE TABLE :"schema".results (
    job_id bigint NOT NULL PRIMARY KEY,
    quantity bigint NOT NULL,
    applied_quantity bigint NOT NULL,
    -- Null where there is no item.
    on_hand_before bigint,
    on_hand_after bigint,
    allocated_before bigint,
    allocated_after bigint,
    -- The item's version after.
    version bigint,
    -- The job that made the item's version before this one; only on applied results. The chain of these is the
    -- item's history without a second index on this table.
    previous_job_id bigint,
    expected_available bigint,
    finished_at timestamptz NOT NULL,
    enqueued_at timestamptz NOT NULL,
    scheduled_at timestamptz,
    expires_at timestamptz,
    outcome :"schema".outcome NOT NULL,
    code :"schema".code,
    warning :"schema".warning,
    action :"schema".action NOT NULL,
    on_insufficient :"schema".on_insufficient NOT NULL,
    -- The alert level last told before the job, and where the stock stood after it.
    alert_before :"schema".alert_level,
    alert_after :"schema".alert_level,
    priority smallint NOT NULL,
    attempts smallint NOT NULL,
    max_attempts smallint NOT NULL,
    notify boolean NOT NULL,
    store_id text COLLATE "C" NOT NULL,
    item_id text COLLATE "C" NOT NULL,
    location_id text COLLATE "C" NOT NULL,
    group_id text COLLATE "C",
    submission_id xid8,
    ordering_key text COLLATE "C",
    reason text COLLATE "C",
    reference text COLLATE "C",
    worker text COLLATE "C" NOT NULL,
    -- Of 'failed': what the database said.
    sqlstate text COLLATE "C",
    message text COLLATE "C"
) PARTITION BY RANGE (job_id);

-- Told once for each change of an item's alert level.
CREATE TABLE :"schema".notifications (
    notification_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id bigint NOT NULL,
    version bigint NOT NULL,
    available_before bigint NOT NULL,
    available_after bigint NOT NULL,
    low_stock_threshold bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    kind :"schema".notification_kind NOT NULL,
    store_id text COLLATE "C" NOT NULL,
    item_id text COLLATE "C" NOT NULL,
    location_id text COLLATE "C" NOT NULL,
    CONSTRAINT notification_once UNIQUE (item_id, store_id, location_id, version)
);

-- The workers_awake. An insert rings only while the workers sleep: NOTIFY in every producer's commit takes a lock through
-- commit and divides their throughput by three. A producer that reads "awake" just before the workers fall asleep
-- does not ring; a worker that falls asleep therefore polls a few more times. The trigger may be left out: polling
-- alone finds every job within a second.
--
-- The flag is a sequence: not called means asleep. Reading it costs a producer next to nothing and no snapshot (a table
-- read in the trigger cost 64 producers a tenth of their commits), and a change is seen at once.
CREATE SEQUENCE :"schema".workers_awake;

CREATE FUNCTION :"schema".send_wakeup() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM pg_notify(TG_TABLE_SCHEMA, '');
    RETURN NULL;
END
$$;

-- The sequence's name becomes its oid here; the trigger keeps that.
SET search_path = :"schema", pg_temp;
CREATE TRIGGER send_wakeup AFTER INSERT ON jobs
    FOR EACH STATEMENT WHEN (pg_sequence_last_value('workers_awake'::regclass) IS NULL) EXECUTE FUNCTION send_wakeup();
RESET search_path;

-- The partitions of the results with their bounds.
CREATE FUNCTION :"schema".partition_bounds(OUT name text, OUT lower_bound bigint, OUT upper_bound bigint)
RETURNS SETOF record
LANGUAGE sql STABLE SET search_path = :"schema", pg_temp
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

-- Builds the partition of the results that holds a job id, and attaches it.
--
-- Built apart and attached, a partition needs only SHARE UPDATE EXCLUSIVE on the parent, so that results go on being
-- written meanwhile (PostgreSQL manual, 5.11.2.2 "Partition Maintenance"). The CHECK spares ATTACH the scan.
-- Returns whether it built one. Two callers at once are safe: the lock lets one in, and the other finds it done.
CREATE FUNCTION :"schema".add_results_partition(job_id bigint, jobs_per_partition bigint) RETURNS boolean
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
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

-- Keeps a partition for every live job and for the ids that producers draw next. Returns how many it built.
--
-- It begins at the oldest live job: an import without a worker may have drawn many partitions' worth of ids.
CREATE FUNCTION :"schema".add_results_partitions(jobs_per_partition bigint, partitions_ahead integer) RETURNS integer
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
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

-- Drops the oldest partition of the results when every result in it has expired and no live job has an id below its
-- upper bound. The changes it recorded go into the items' opening first, so that the ledger stays provable.
-- Returns the partition's name, null when there was nothing to drop. Dropping locks the parent: call it under a short
-- lock_timeout and try again later.
CREATE FUNCTION :"schema".drop_expired_results(keep interval) RETURNS text
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
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
$$;

-- The first partitions, so that a queue that was just migrated can be worked at once.
SELECT :"schema".add_results_partitions(5000000, 1);
