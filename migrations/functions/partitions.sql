-- The partitions of the results. Repeatable: applied again whenever this text changes; a change of a signature needs a
-- migration.

-- The partitions of the results with their bounds.
--
-- No literal of these scripts has a backslash: a body is read under the caller's standard_conforming_strings.
CREATE OR REPLACE FUNCTION :"schema".partition_bounds(OUT name text, OUT lower_bound bigint, OUT upper_bound bigint)
RETURNS SETOF record
LANGUAGE sql STABLE SET search_path = :"schema", pg_temp
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

-- Whether there is a partition of the results for a job id.
CREATE OR REPLACE FUNCTION :"schema".has_results_partition(job_id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = :"schema", pg_temp
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM partition_bounds() AS p WHERE job_id >= p.lower_bound AND job_id < p.upper_bound);
END
$$;

-- Builds the partition of the results for a job id, and attaches it. Returns whether it built one.
--
-- A partition that is built apart and then attached needs only SHARE UPDATE EXCLUSIVE on the parent, so workers go on
-- writing results (PostgreSQL manual, 5.11.2.2 "Partition Maintenance"). The CHECK spares ATTACH the scan. Two callers
-- at once are safe: the lock lets one in, and the other finds the partition. If it exists, nothing is locked.
CREATE OR REPLACE FUNCTION :"schema".add_results_partition(job_id bigint, jobs_per_partition bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
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

-- Keeps a partition for every live job and for the ids that producers draw next. Returns how many it built.
--
-- It begins at the oldest live job: an import without a worker may have drawn the ids of many partitions.
CREATE OR REPLACE FUNCTION :"schema".add_results_partitions(
    jobs_per_partition bigint DEFAULT 5000000, partitions_ahead integer DEFAULT 1
) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
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

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA :"schema" FROM PUBLIC;

-- The first partitions, so that workers can work a queue that was just migrated. Builds nothing where they exist.
SELECT :"schema".add_results_partitions();
