-- Locks that only the owner's functions can take, and limits of a job's times.

-- What adds partitions, and what drops expired results, locks a row here. No role but the owner may lock a row of this
-- table, so no other role can stop the maintenance of a queue, as it could with an advisory lock.
CREATE TABLE :"schema".maintenance_locks (
    name text COLLATE "C" NOT NULL,
    CONSTRAINT maintenance_locks_pkey PRIMARY KEY (name)
);
INSERT INTO :"schema".maintenance_locks (name) VALUES ('partitions'), ('retention'), ('queue');

-- Retention drops results only below the oldest live job, so a job for a far day would keep the results of all stores.
-- set_time_limit replaces these constraints.
--
-- Only the transaction that inserts a job is bound by them: a worker may defer a job beyond its producer's limit, and
-- jobs of earlier versions have any time. Most jobs have neither time, and for them nothing else is evaluated.
-- NOT VALID spares a scan of the table that could find nothing. The span is in hours, because the length of a day
-- depends on the time zone.
ALTER TABLE :"schema".jobs ADD CONSTRAINT jobs_run_at_limit CHECK (
    run_at IS NULL OR run_at <= enqueued_at + interval '9600 hours' OR retry_of IS NOT NULL
    OR submission_id <> pg_current_xact_id()
) NOT VALID;
ALTER TABLE :"schema".jobs ADD CONSTRAINT jobs_expires_at_limit CHECK (
    expires_at IS NULL OR expires_at <= enqueued_at + interval '9600 hours' OR retry_of IS NOT NULL
    OR submission_id <> pg_current_xact_id()
) NOT VALID;
