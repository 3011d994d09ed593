-- The tables of a queue: items, jobs, results, notifications, and what the administration needs.
--
-- :"schema" is the schema's quoted name. `stockq migrate` fills it in, and so does `psql -v schema=stockq -f FILE`;
-- with psql create the schema first, then run functions/access.sql (the policies below call it), this file, views/ and
-- functions/.
--
-- Text keys compare bytewise (COLLATE "C"): cheaper than a locale's rules, and the same order on every server.

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

-- What an enqueue function returns, one row for each line.
CREATE TYPE :"schema".receipt AS (
    -- The line's position in the list, from 1.
    line integer,
    -- The job; of a duplicate the first job with the idempotency key.
    job_id bigint,
    is_duplicate boolean,
    -- The first job's result; null while the job is queued.
    outcome :"schema".outcome,
    code :"schema".code,
    warning :"schema".warning,
    applied_quantity bigint,
    on_hand_after bigint,
    allocated_after bigint
);

-- The lines of one store that enqueue_arrays passes on to known_keys and insert_lines.
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
    -- The first job with the line's idempotency key. insert_lines skips such a line.
    known_jobs bigint[],
    group_id text,
    priority integer,
    run_at timestamptz,
    expires_at timestamptz,
    ordering_key text,
    max_attempts integer
);

-- The row type of the function job_defaults(), which says what a job has where the caller says nothing.
CREATE TYPE :"schema".job_defaults AS (
    location_id text,
    action text,
    on_insufficient text,
    priority smallint,
    max_attempts smallint,
    notify boolean
);

-- New types may be used by every role unless that is revoked; roles.sql says who may do what.
REVOKE ALL ON TYPE :"schema".action, :"schema".on_insufficient, :"schema".outcome, :"schema".code, :"schema".warning,
    :"schema".alert_level, :"schema".notification_kind, :"schema".receipt, :"schema".lines, :"schema".job_defaults
    FROM PUBLIC;

-- The SQL files that were applied. `stockq migrate` and the start-up check compare the checksums.
CREATE TABLE :"schema".migrations (
    -- The file's path below migrations/.
    name text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    -- SHA-256 of the file, in hexadecimal digits.
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT migrations_pkey PRIMARY KEY (name),
    CONSTRAINT migrations_kind_known CHECK (kind IN ('numbered', 'repeatable', 'wakeup_trigger', 'roles')),
    CONSTRAINT migrations_checksum_form CHECK (checksum ~ '^[0-9a-f]{64}$')
);

-- One row for each thing that is counted.
CREATE TABLE :"schema".items (
    store_id text COLLATE "C" NOT NULL,
    item_id text COLLATE "C" NOT NULL,
    location_id text COLLATE "C" NOT NULL DEFAULT 'main',
    -- A variation names its product.
    parent_id text COLLATE "C",
    on_hand bigint NOT NULL DEFAULT 0,
    allocated bigint NOT NULL DEFAULT 0,
    available bigint NOT NULL GENERATED ALWAYS AS (on_hand - allocated) STORED,
    low_stock_threshold bigint,
    -- Rises by exactly 1 with every change of on_hand or allocated.
    version bigint NOT NULL DEFAULT 0,
    -- The opening balance. Null until the first change records it, so that a plain INSERT needs no trigger. Retention
    -- adds the changes of the results that it drops.
    opening_on_hand bigint,
    opening_allocated bigint,
    opening_version bigint NOT NULL DEFAULT 0,
    -- The job that made the present version; its result names the job before it (results.previous_job_id).
    last_job_id bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- The alert level that the last notification reported. Null: none was written yet, and the level of the present
    -- stock is the baseline.
    notified_level :"schema".alert_level,
    -- False: unlimited stock; jobs do not change it.
    tracked boolean NOT NULL DEFAULT true,
    CONSTRAINT items_pkey PRIMARY KEY (store_id, item_id, location_id),
    CONSTRAINT items_store_id_length CHECK (octet_length(store_id) BETWEEN 1 AND 200),
    CONSTRAINT items_item_id_length CHECK (octet_length(item_id) BETWEEN 1 AND 200),
    CONSTRAINT items_location_id_length CHECK (octet_length(location_id) BETWEEN 1 AND 200),
    CONSTRAINT items_parent_id_length CHECK (octet_length(parent_id) BETWEEN 1 AND 200),
    -- Quantities stay within what JSON carries exactly: 2^53 - 1.
    CONSTRAINT items_on_hand_range CHECK (on_hand BETWEEN -9007199254740991 AND 9007199254740991),
    CONSTRAINT items_allocated_range CHECK (allocated BETWEEN 0 AND 9007199254740991),
    CONSTRAINT items_available_range CHECK (on_hand - allocated BETWEEN -9007199254740991 AND 9007199254740991),
    CONSTRAINT items_low_stock_threshold_range CHECK (low_stock_threshold BETWEEN 0 AND 9007199254740991)
) WITH (
    -- Half of each page stays free, so that a new version of a row fits on the old one's page: no index changes (HOT
    -- update), and the page prunes itself.
    fillfactor = 50,
    -- Every batch rewrites a popular item's row; vacuum by the count of dead rows, not by a share of the table.
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0
);

-- Live jobs only: the transaction that writes a job's result deletes the job.
CREATE TABLE :"schema".jobs (
    -- CACHE 1: with more, ids would be out of order between sessions, and ids are the order of work.
    job_id bigint GENERATED ALWAYS AS IDENTITY (CACHE 1),
    quantity bigint NOT NULL,
    -- The available quantity that the producer saw; a different one rejects the job as stale.
    expected_available bigint,
    -- The transaction that inserted the job. A group is the jobs of one store, one group_id and one submission, so that
    -- a group that is submitted again is a group of its own. A retried group keeps its first submission.
    submission_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
    -- The job that an administrator enqueued again as this one.
    retry_of bigint,
    -- Null: ready. A later time, a backoff, waiting for stock or a pause sets it; promotion clears it.
    run_at timestamptz,
    -- The time that the producer asked for, kept when the job is promoted.
    scheduled_at timestamptz,
    expires_at timestamptz,
    enqueued_at timestamptz NOT NULL DEFAULT now(),
    -- Since when the job, or another line of its group, has waited for stock.
    waiting_since timestamptz,
    -- The quantity that this line waits for; null where this line does not lack stock.
    waiting_quantity bigint,
    -- Since when the job's store is paused. The worker that claims such a job takes it out of the ready index (run_at
    -- is infinity then), so that it costs the claims of other stores nothing. Resuming the store makes the job ready.
    paused_at timestamptz,
    priority smallint NOT NULL DEFAULT 2,
    attempts smallint NOT NULL DEFAULT 0,
    max_attempts smallint NOT NULL DEFAULT 10,
    -- The unit of ordering and of parallelism.
    lane smallint NOT NULL
        GENERATED ALWAYS AS ((hashtextextended(coalesce(ordering_key, store_id), 0) & 63)::smallint) STORED,
    action :"schema".action NOT NULL DEFAULT 'adjust',
    on_insufficient :"schema".on_insufficient NOT NULL DEFAULT 'reject',
    -- False: no notification reports this job's change of the alert level.
    notify boolean NOT NULL DEFAULT true,
    store_id text COLLATE "C" NOT NULL,
    item_id text COLLATE "C" NOT NULL,
    location_id text COLLATE "C" NOT NULL DEFAULT 'main',
    group_id text COLLATE "C",
    ordering_key text COLLATE "C",
    -- The producer's name for the request: of several jobs of a store with the same key, one takes effect.
    idempotency_key text COLLATE "C",
    reason text COLLATE "C",
    reference text COLLATE "C",
    -- Why the last attempt failed.
    last_error text COLLATE "C",
    CONSTRAINT jobs_pkey PRIMARY KEY (job_id),
    CONSTRAINT jobs_run_at_finite CHECK (isfinite(run_at) OR paused_at IS NOT NULL AND run_at = 'infinity'),
    CONSTRAINT jobs_priority_range CHECK (priority BETWEEN 1 AND 4),
    CONSTRAINT jobs_attempts_range CHECK (attempts BETWEEN 0 AND 1000),
    CONSTRAINT jobs_max_attempts_range CHECK (max_attempts BETWEEN 1 AND 1000),
    CONSTRAINT jobs_store_id_length CHECK (octet_length(store_id) BETWEEN 1 AND 200),
    CONSTRAINT jobs_item_id_length CHECK (octet_length(item_id) BETWEEN 1 AND 200),
    CONSTRAINT jobs_location_id_length CHECK (octet_length(location_id) BETWEEN 1 AND 200),
    CONSTRAINT jobs_group_id_length CHECK (octet_length(group_id) BETWEEN 1 AND 200),
    CONSTRAINT jobs_ordering_key_length CHECK (octet_length(ordering_key) BETWEEN 1 AND 200),
    CONSTRAINT jobs_idempotency_key_length CHECK (octet_length(idempotency_key) BETWEEN 1 AND 200),
    CONSTRAINT jobs_reason_length CHECK (octet_length(reason) <= 2000),
    CONSTRAINT jobs_reference_length CHECK (octet_length(reference) <= 2000),
    -- A group is in its store's lane.
    CONSTRAINT jobs_group_in_store_lane CHECK (group_id IS NULL OR ordering_key IS NULL),
    CONSTRAINT jobs_policy_fits_action CHECK (
        on_insufficient = 'reject'
        OR action IN ('adjust', 'allocate')
        OR (action = 'set' AND on_insufficient = 'allow')
    )
) WITH (
    -- The table grows and shrinks with the backlog: vacuum early while it is small, and a large backlog by its share,
    -- at ten times the usual pace and still with pauses: without them, vacuum took a whole core from a drain of five
    -- million jobs. Do not give pages back to the file system, which would lock the table only to grow it again.
    autovacuum_vacuum_scale_factor = 0.2,
    autovacuum_vacuum_threshold = 20000,
    autovacuum_vacuum_insert_threshold = -1,
    autovacuum_vacuum_cost_delay = 2,
    autovacuum_vacuum_cost_limit = 2000,
    vacuum_truncate = off
);

-- The claim: one lane's ready jobs in order of work.
CREATE INDEX jobs_ready ON :"schema".jobs (lane, priority, job_id) WHERE run_at IS NULL;
-- Promotion: the deferred jobs by due time. Ready jobs are not in it.
CREATE INDEX jobs_due ON :"schema".jobs (run_at) WHERE run_at IS NOT NULL;
-- The lines of a group.
CREATE INDEX jobs_group ON :"schema".jobs (group_id, store_id, submission_id) WHERE group_id IS NOT NULL;
-- The jobs that wait for an item's stock, in order of work.
CREATE INDEX jobs_waiting ON :"schema".jobs (item_id, store_id, location_id, priority, job_id)
    WHERE waiting_quantity IS NOT NULL AND run_at IS NOT NULL;
-- The queued jobs with an idempotency key. Not unique: a COPY may bring a key twice, and the decision sorts that out.
CREATE INDEX jobs_key ON :"schema".jobs (idempotency_key, store_id) WHERE idempotency_key IS NOT NULL;

-- A worker locks a lane's row for the length of a batch: one writer a lane.
CREATE TABLE :"schema".lanes (
    lane smallint NOT NULL,
    -- Not null: the lane is not worked.
    paused_at timestamptz,
    -- Some store is paused: the worker that locks the lane reads which. With ordering keys a store's jobs are in any
    -- lane, so this is the same in all rows.
    has_paused_stores boolean NOT NULL DEFAULT false,
    -- Raised when an administrator makes jobs with old ids ready: the workers then forget their low-water marks, or
    -- newer jobs would overtake these.
    epoch bigint NOT NULL DEFAULT 0,
    CONSTRAINT lanes_pkey PRIMARY KEY (lane),
    CONSTRAINT lanes_lane_range CHECK (lane BETWEEN 0 AND 63)
);
INSERT INTO :"schema".lanes SELECT generate_series(0, 63);

-- What became of each job. The applied results are the ledger. A result has what the
-- producer set; scheduled_at is what the producer asked for as run_at.
CREATE TABLE :"schema".results (
    job_id bigint NOT NULL,
    quantity bigint NOT NULL,
    applied_quantity bigint NOT NULL,
    -- Null where there is no such item.
    on_hand_before bigint,
    on_hand_after bigint,
    allocated_before bigint,
    allocated_after bigint,
    -- The item's version after the job.
    version bigint,
    -- The job that made the item's version before this one; on applied results only. The chain of these is the item's
    -- history without a second index on this table.
    previous_job_id bigint,
    expected_available bigint,
    -- As in jobs.
    submission_id xid8 NOT NULL,
    -- On a group's first line only: the id of its last line.
    group_last_job_id bigint,
    -- Of 'duplicate' and 'idempotency_mismatch': the job that used the key first.
    first_job_id bigint,
    retry_of bigint,
    finished_at timestamptz NOT NULL,
    enqueued_at timestamptz NOT NULL,
    scheduled_at timestamptz,
    expires_at timestamptz,
    outcome :"schema".outcome NOT NULL,
    code :"schema".code,
    warning :"schema".warning,
    action :"schema".action NOT NULL,
    on_insufficient :"schema".on_insufficient NOT NULL,
    -- The notified level before the job, and the alert level of the stock after it.
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
    ordering_key text COLLATE "C",
    idempotency_key text COLLATE "C",
    reason text COLLATE "C",
    reference text COLLATE "C",
    worker text COLLATE "C" NOT NULL,
    -- Of 'failed': the database's error.
    sqlstate text COLLATE "C",
    message text COLLATE "C",
    CONSTRAINT results_pkey PRIMARY KEY (job_id)
) PARTITION BY RANGE (job_id);

-- From a group to its results: one entry a group instead of one a line.
CREATE INDEX results_group ON :"schema".results (group_id, store_id) WHERE group_last_job_id IS NOT NULL;
-- The failures that an administrator may want to retry. There are few of them.
CREATE INDEX results_failed ON :"schema".results (job_id) WHERE outcome = 'failed';

-- One row for each change of an item's alert level.
CREATE TABLE :"schema".notifications (
    notification_id bigint GENERATED ALWAYS AS IDENTITY,
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
    CONSTRAINT notifications_pkey PRIMARY KEY (notification_id),
    CONSTRAINT notifications_once_a_version UNIQUE (item_id, store_id, location_id, version)
);

-- The idempotency keys that were used, each with its request, so that a duplicate is distinguished from another
-- request.
--
-- The transaction that finishes a job uses its key. The request is kept here and not in the results alone, because the
-- two are kept for different times.
CREATE TABLE :"schema".idempotency_keys (
    idempotency_key text COLLATE "C" NOT NULL,
    store_id text COLLATE "C" NOT NULL,
    job_id bigint NOT NULL,
    quantity bigint NOT NULL,
    expected_available bigint,
    used_at timestamptz NOT NULL DEFAULT now(),
    action :"schema".action NOT NULL,
    on_insufficient :"schema".on_insufficient NOT NULL,
    item_id text COLLATE "C" NOT NULL,
    location_id text COLLATE "C" NOT NULL,
    -- The key first: it is more selective than the store.
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (idempotency_key, store_id)
) WITH (
    -- Rows are written once and never updated; freezing needs no hurry.
    autovacuum_vacuum_insert_scale_factor = 1,
    autovacuum_analyze_scale_factor = 1
);
-- Rows are stored in the order of time, so a few bytes for each megabyte find the expired ones.
CREATE INDEX idempotency_keys_used ON :"schema".idempotency_keys USING brin (used_at);

-- Store limits: how many ready jobs a store may have. Enqueueing more fails, and the producer tries again later. A
-- store without a row has no limit.
CREATE TABLE :"schema".store_limits (
    store_id text COLLATE "C" NOT NULL,
    ready_jobs_max integer NOT NULL,
    CONSTRAINT store_limits_pkey PRIMARY KEY (store_id),
    CONSTRAINT store_limits_store_id_length CHECK (octet_length(store_id) BETWEEN 1 AND 200),
    CONSTRAINT store_limits_ready_jobs_max_range CHECK (ready_jobs_max BETWEEN 1 AND 100000000)
);

-- The paused stores, whose jobs are not worked.
CREATE TABLE :"schema".paused_stores (
    store_id text COLLATE "C" NOT NULL,
    paused_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT paused_stores_pkey PRIMARY KEY (store_id),
    CONSTRAINT paused_stores_store_id_length CHECK (octet_length(store_id) BETWEEN 1 AND 200)
);

-- Which job was enqueued again, and as which: each at most once, so that a retry given twice takes effect once.
CREATE TABLE :"schema".retries (
    job_id bigint NOT NULL,
    retry_job_id bigint NOT NULL,
    CONSTRAINT retries_pkey PRIMARY KEY (job_id)
);

-- The log of the administrative functions: who did what, and when.
CREATE TABLE :"schema".operations (
    operation_id bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The role that logged in, and after it the role assumed with SET ROLE.
    who text NOT NULL,
    verb text NOT NULL,
    subject jsonb NOT NULL,
    -- How many jobs were changed; null where the operation is not about jobs.
    jobs bigint,
    CONSTRAINT operations_pkey PRIMARY KEY (operation_id)
);

-- Which producer may use which store, and how far. A producer is a role of the database, by name.
CREATE TABLE :"schema".grants (
    producer text COLLATE "C" NOT NULL,
    store_id text COLLATE "C" NOT NULL,
    -- update_catalog: enqueue. read_catalog: read the items. Enqueueing for a variation needs both.
    scopes text[] COLLATE "C" NOT NULL,
    granted_by text NOT NULL DEFAULT session_user,
    granted_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT grants_pkey PRIMARY KEY (producer, store_id),
    CONSTRAINT grants_store_id_length CHECK (octet_length(store_id) BETWEEN 1 AND 200),
    CONSTRAINT grants_scopes_known CHECK (scopes <@ ARRAY['update_catalog', 'read_catalog']::text[]),
    CONSTRAINT grants_scopes_not_empty CHECK (cardinality(scopes) > 0)
);

-- The secret that makes caller tokens unforgeable. A copy of the database has the same; to replace it:
-- UPDATE stockq.caller_token_secret SET secret = DEFAULT
CREATE TABLE :"schema".caller_token_secret (
    is_only_row boolean NOT NULL DEFAULT true,
    secret bytea NOT NULL DEFAULT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()),
    CONSTRAINT caller_token_secret_pkey PRIMARY KEY (is_only_row),
    CONSTRAINT caller_token_secret_is_only_row CHECK (is_only_row)
);
INSERT INTO :"schema".caller_token_secret DEFAULT VALUES;

-- Whether workers are awake; producers read it to decide whether an insert sends a wake-up (wakeup_trigger.sql).
--
-- The flag is a sequence: not called means that all workers sleep. A sequence costs a producer next to nothing and no
-- snapshot (a table read in the trigger cost 64 producers a tenth of their commits), and every session sees a change at
-- once.
CREATE SEQUENCE :"schema".workers_awake;

-- Row security: producers see and use their own stores. The owner of the tables sees every row; roles.sql has the
-- policies of the other roles. Without a policy, caller_token_secret shows its row to its owner alone, whatever
-- privileges a role has.
ALTER TABLE :"schema".items ENABLE ROW LEVEL SECURITY;
ALTER TABLE :"schema".jobs ENABLE ROW LEVEL SECURITY;
ALTER TABLE :"schema".results ENABLE ROW LEVEL SECURITY;
ALTER TABLE :"schema".notifications ENABLE ROW LEVEL SECURITY;
ALTER TABLE :"schema".idempotency_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE :"schema".store_limits ENABLE ROW LEVEL SECURITY;
ALTER TABLE :"schema".caller_token_secret ENABLE ROW LEVEL SECURITY;

CREATE POLICY producers_read ON :"schema".items FOR SELECT USING (:"schema".has_grant(store_id, 'read_catalog'));
CREATE POLICY producers_read ON :"schema".jobs FOR SELECT USING (:"schema".has_grant(store_id));
CREATE POLICY producers_enqueue ON :"schema".jobs FOR INSERT
    WITH CHECK (:"schema".may_enqueue(store_id, item_id, location_id));
CREATE POLICY producers_read ON :"schema".results FOR SELECT USING (:"schema".has_grant(store_id));
CREATE POLICY producers_read ON :"schema".notifications FOR SELECT USING (:"schema".has_grant(store_id));
CREATE POLICY producers_read ON :"schema".idempotency_keys FOR SELECT USING (:"schema".has_grant(store_id));
CREATE POLICY producers_read ON :"schema".store_limits FOR SELECT USING (:"schema".has_grant(store_id));
