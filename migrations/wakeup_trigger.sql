-- The wake-up: an insert into the jobs ends a sleeping worker's wait. Optional: `stockq migrate
-- --without-wakeup-trigger` skips this file, and the workers' polls alone find every job within a second. Applied again
-- whenever this text changes.
--
-- An insert sends NOTIFY only while all workers sleep: NOTIFY in every producer's commit takes a lock through the
-- commit and divides their throughput by three. A producer may read "awake" just before the workers go to sleep and
-- send nothing; so a worker that goes to sleep polls a few more times.

CREATE OR REPLACE FUNCTION :"schema".send_wakeup() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM pg_notify(TG_TABLE_SCHEMA, '');
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION :"schema".send_wakeup() FROM PUBLIC;

-- The sequence's name is resolved to its oid here, and the trigger keeps that.
SET search_path = :"schema", pg_temp;
CREATE OR REPLACE TRIGGER send_wakeup AFTER INSERT ON jobs
    FOR EACH STATEMENT
    WHEN (pg_sequence_last_value('workers_awake'::regclass) IS NULL)
    EXECUTE FUNCTION send_wakeup();
RESET search_path;
