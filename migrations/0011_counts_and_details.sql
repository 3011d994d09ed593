-- Stock counts that belong to a moment, and details of a job: who caused it, when it happened, and what the producer
-- keeps with it. Producers that manage the items of their stores.
--
-- A job that has none of them costs the work path nothing: columns that are null take one bit.

-- The functions get more arguments, and a feed more columns; their files make them again.
DROP FUNCTION IF EXISTS :"schema".enqueue(
    text, text, bigint, text, text, text, bigint, text, text, integer, timestamptz, timestamptz, boolean, text, text,
    text, integer);
DROP FUNCTION IF EXISTS :"schema".enqueue_arrays(
    text, text[], bigint[], text[], text[], text[], bigint[], text[], text[], text[], boolean[], text, text, integer,
    timestamptz, timestamptz, text, integer, text, text);
DROP FUNCTION IF EXISTS :"schema".enqueue_lines(
    text, jsonb, text, text, integer, timestamptz, timestamptz, text, integer, text, text);
DROP FUNCTION IF EXISTS :"schema".read_lines(jsonb);
DROP FUNCTION IF EXISTS :"schema".cancel_jobs(bigint[], text, text, text, text);
DROP FUNCTION IF EXISTS :"schema".gateway_submit(
    text[], text[], text[], boolean[], integer[], integer[], text[], integer[], text[], text[], text[], bigint[],
    text[], bigint[], text[], text[], text[], integer[], timestamptz[], timestamptz[], boolean[], integer[], text[],
    text[]);
DROP FUNCTION IF EXISTS :"schema".transfer(
    text, text, bigint, text, text, text, text, text, integer, timestamptz, timestamptz, text, text);
DROP FUNCTION IF EXISTS :"schema".changes_after(text, integer, text);
DROP FUNCTION IF EXISTS :"schema".gateway_dry_run(text, text, text[], text[], text[]);

-- The moment at which a stock count was taken; of `set` jobs only.
ALTER TABLE :"schema".jobs ADD COLUMN counted_at timestamptz;
-- Who caused the job: a person, a till, a program.
ALTER TABLE :"schema".jobs ADD COLUMN actor text COLLATE "C";
-- When it happened, if that was before the job was enqueued.
ALTER TABLE :"schema".jobs ADD COLUMN occurred_at timestamptz;
-- What the producer keeps with the job.
ALTER TABLE :"schema".jobs ADD COLUMN metadata jsonb;
-- No row has a value in these columns, so there is nothing to scan. A count of the future would swallow the sales up to
-- then; a few minutes are the clocks' difference.
ALTER TABLE :"schema".jobs ADD CONSTRAINT jobs_counted_at_valid
    CHECK (counted_at IS NULL OR action = 'set' AND counted_at <= enqueued_at + interval '5 minutes') NOT VALID;
ALTER TABLE :"schema".jobs ADD CONSTRAINT jobs_actor_length CHECK (octet_length(actor) BETWEEN 1 AND 200) NOT VALID;
ALTER TABLE :"schema".jobs ADD CONSTRAINT jobs_occurred_at_finite CHECK (isfinite(occurred_at)) NOT VALID;
ALTER TABLE :"schema".jobs ADD CONSTRAINT jobs_metadata_valid
    CHECK (jsonb_typeof(metadata) = 'object' AND octet_length(metadata::text) <= 10000) NOT VALID;

ALTER TABLE :"schema".results ADD COLUMN counted_at timestamptz;
ALTER TABLE :"schema".results ADD COLUMN actor text COLLATE "C";
ALTER TABLE :"schema".results ADD COLUMN occurred_at timestamptz;
ALTER TABLE :"schema".results ADD COLUMN metadata jsonb;
-- As in jobs: a job that waited took effect when it was finished, whenever it was enqueued.
ALTER TABLE :"schema".results ADD COLUMN waiting_since timestamptz;

ALTER TYPE :"schema".lines ADD ATTRIBUTE counted_ats timestamptz[];
ALTER TYPE :"schema".lines ADD ATTRIBUTE actors text[];
ALTER TYPE :"schema".lines ADD ATTRIBUTE occurred_ats timestamptz[];
ALTER TYPE :"schema".lines ADD ATTRIBUTE metadatas jsonb[];
-- Those of the lines that have none of their own.
ALTER TYPE :"schema".lines ADD ATTRIBUTE counted_at timestamptz;
ALTER TYPE :"schema".lines ADD ATTRIBUTE actor text;
ALTER TYPE :"schema".lines ADD ATTRIBUTE occurred_at timestamptz;
ALTER TYPE :"schema".lines ADD ATTRIBUTE metadata jsonb;

-- The reasons of jobs that have a name in the queue: at first those of Shopify, so that a shop's files need no other.
-- A job may have any reason, unless set_reasons allows only these: then a constraint of the jobs has them.
CREATE TABLE :"schema".reasons (
    reason text COLLATE "C" NOT NULL,
    CONSTRAINT reasons_pkey PRIMARY KEY (reason),
    CONSTRAINT reasons_reason_length CHECK (octet_length(reason) BETWEEN 1 AND 200)
);
-- The values of InventoryAdjustQuantitiesInput.reason in Shopify's GraphQL Admin API.
INSERT INTO :"schema".reasons (reason) VALUES
    ('correction'), ('cycle_count_available'), ('damaged'), ('movement_canceled'), ('movement_created'),
    ('movement_received'), ('movement_updated'), ('other'), ('promotion'), ('quality_control'), ('received'),
    ('reservation_created'), ('reservation_deleted'), ('reservation_updated'), ('restock'), ('safety_stock'),
    ('shrinkage');

-- A producer may also have manage_items: create the items of a store, and set their attributes.
ALTER TABLE :"schema".grants DROP CONSTRAINT grants_scopes_known;
ALTER TABLE :"schema".grants ADD CONSTRAINT grants_scopes_known
    CHECK (scopes <@ ARRAY['update_catalog', 'read_catalog', 'manage_items']::text[]);
