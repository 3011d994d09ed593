-- Stores take turns: a strand is the ready jobs of one store in one lane with one priority, and a claim takes its share
-- from the strands of each store, so that no store waits for another one's backlog. An ordering key belongs to its
-- store: it never reaches into the order of another.
--
-- It rewrites the table of jobs: the time grows with the backlog. Workers of earlier versions would find no index for
-- their claims, so they have to be stopped before.

-- The indexes by lane go with the column. functions/ and views/ make again what is dropped here.
DROP VIEW IF EXISTS :"schema".my_ready_jobs;
DROP FUNCTION IF EXISTS :"schema".gateway_enqueue(
    text[], text[], text[], boolean[], integer[], integer[], text[], text[], text[], bigint[], text[], boolean[],
    text[], text[]);
DROP FUNCTION IF EXISTS :"schema".gateway_submit(
    text[], text[], text[], boolean[], integer[], integer[], text[], integer[], text[], text[], text[], bigint[],
    text[], bigint[], text[], text[], text[], integer[], timestamptz[], timestamptz[], boolean[], integer[], text[],
    text[], timestamptz[], text[], timestamptz[], jsonb[]);

-- The number of a strand: the lane, 22 bits of the store's hash that are the same in all lanes, and the priority from 0
-- on. So the strands of a lane are neighbors in the index, and in it those of a store. Two stores that share a strand
-- share its turns. Its body is standard SQL and it pins no search_path, so the planner replaces the call by its value.
CREATE FUNCTION :"schema".strand_of(store_id text, ordering_key text, priority integer) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (CASE
        WHEN ordering_key IS NULL THEN (hashtextextended(store_id, 0) & 268435455)::integer
        ELSE (hashtextextended(ordering_key, hashtextextended(store_id, 0)) & 63)::integer << 22
            | (hashtextextended(store_id, 0) & 4194303)::integer
    END << 2)
    | (priority - 1);

ALTER TABLE :"schema".jobs
    DROP COLUMN lane,
    -- The unit of locking: one writer a lane. It is strand >> 24, by as few hashes as can be: inserts pay for them.
    ADD COLUMN lane smallint NOT NULL GENERATED ALWAYS AS ((CASE
            WHEN ordering_key IS NULL THEN hashtextextended(store_id, 0) >> 22 & 63
            ELSE hashtextextended(ordering_key, hashtextextended(store_id, 0)) & 63
        END)::smallint) STORED,
    -- The unit of ordering and of turns.
    ADD COLUMN strand integer NOT NULL
        GENERATED ALWAYS AS (:"schema".strand_of(store_id, ordering_key, priority)) STORED;

-- The claim: a strand's ready jobs in order of work.
CREATE INDEX jobs_ready ON :"schema".jobs (strand, job_id) WHERE run_at IS NULL;
-- Promotion: the deferred jobs of a lane by due time. Ready jobs are not in it.
CREATE INDEX jobs_due ON :"schema".jobs (lane, run_at) WHERE run_at IS NOT NULL;
