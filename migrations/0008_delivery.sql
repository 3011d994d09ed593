-- Feeds that readers follow with a cursor: notifications in the order of their effects, and every change of stock.
--
-- A row's position is drawn when the row is written, and rows become visible when their transactions commit, in another
-- order. functions/feeds.sql says up to which position no row is missing; it explains the expression below.

-- Added to every position: a dump that is restored brings positions, and the new server counts its transactions from
-- the beginning. Not called: 0.
CREATE SEQUENCE :"schema".feed_base;

-- The rows of earlier releases were committed before this transaction, so they come first, in the order of their ids.
ALTER TABLE :"schema".notifications ADD COLUMN position bigint NOT NULL DEFAULT 0;

-- Every change of stock: a row for each store of a batch.
--
-- An index on the results by position would cost the write-back of a batch too much, and the ids of jobs are not the
-- order in which they were applied. So a batch writes its order here, 8 bytes a job.
CREATE TABLE :"schema".change_log (
    position bigint NOT NULL,
    log_id bigint GENERATED ALWAYS AS IDENTITY,
    created_at timestamptz NOT NULL DEFAULT now(),
    store_id text COLLATE "C" NOT NULL,
    -- The applied jobs, in the order in which they were applied.
    job_ids bigint[] NOT NULL,
    CONSTRAINT change_log_pkey PRIMARY KEY (position, log_id),
    CONSTRAINT change_log_job_ids_not_empty CHECK (cardinality(job_ids) > 0)
);
-- Compressing ids saves little and costs the worker time.
ALTER TABLE :"schema".change_log ALTER COLUMN job_ids SET STORAGE EXTERNAL;

-- The names of functions and sequences are resolved here, and the defaults keep their oids.
SET search_path = :"schema", pg_temp;
ALTER TABLE notifications ALTER COLUMN position SET DEFAULT
    greatest(pg_current_xact_id()::text::bigint, pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1)
        + coalesce(pg_sequence_last_value('feed_base'::regclass), 0);
ALTER TABLE change_log ALTER COLUMN position SET DEFAULT
    greatest(pg_current_xact_id()::text::bigint, pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1)
        + coalesce(pg_sequence_last_value('feed_base'::regclass), 0);
RESET search_path;

CREATE INDEX notifications_feed ON :"schema".notifications (position, notification_id);
CREATE INDEX notifications_store_feed ON :"schema".notifications (store_id, position, notification_id);
CREATE INDEX change_log_store ON :"schema".change_log (store_id, position, log_id);

ALTER TABLE :"schema".change_log ENABLE ROW LEVEL SECURITY;
CREATE POLICY producers_read ON :"schema".change_log FOR SELECT USING (:"schema".has_grant(store_id));
