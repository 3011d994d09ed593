-- Idempotency keys, links between jobs, and the way from a group to its results.

ALTER TABLE :"schema".jobs
    -- The producer's name for the request: of several jobs of a store with the same key, one takes effect.
    ADD COLUMN idempotency_key text COLLATE "C" CHECK (octet_length(idempotency_key) BETWEEN 1 AND 200),
    -- The job that an operator enqueued again by this one.
    ADD COLUMN retry_of bigint;

ALTER TABLE :"schema".results
    ADD COLUMN idempotency_key text COLLATE "C",
    -- Of 'duplicate' and 'idempotency_mismatch': the job that used the key first.
    ADD COLUMN first_job_id bigint,
    ADD COLUMN retry_of bigint,
    -- On the first line of a group alone: the id of its last line.
    ADD COLUMN group_last_job_id bigint;

-- The keys that have been used, each with its request, so that a repetition is told from another request.
--
-- The key is used up in the transaction in which its job takes its outcome. The request stands here and not in the results
-- alone, because the two are kept for times of their own.
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
    -- The key first: it tells more of them apart than the store.
    PRIMARY KEY (idempotency_key, store_id)
) WITH (
    -- Rows are written once and never updated; freezing needs no hurry.
    autovacuum_vacuum_insert_scale_factor = 1,
    autovacuum_analyze_scale_factor = 1
);
-- Rows stand in the order of time, so a few bytes for each megabyte find the expired ones.
CREATE INDEX idempotency_keys_used ON :"schema".idempotency_keys USING brin (used_at);

-- A job that is still queued, by its key. Not unique: a COPY may bring a key twice, and the decision settles it.
CREATE INDEX jobs_key ON :"schema".jobs (idempotency_key, store_id) WHERE idempotency_key IS NOT NULL;

-- One entry a group instead of one a line.
CREATE INDEX results_group ON :"schema".results (group_id, store_id) WHERE group_last_job_id IS NOT NULL;

-- The failures that somebody may want to retry. There are few of them.
CREATE INDEX results_failed ON :"schema".results (job_id) WHERE outcome = 'failed';

-- Forgets keys used longer ago than `keep`, at most `most` at a time. Returns how many.
CREATE FUNCTION :"schema".drop_expired_keys(keep interval, most integer) RETURNS integer
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
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
