-- What administrators do with jobs: cancel, retry, reprioritize. Repeatable: applied again whenever this text changes;
-- a change of a signature needs a migration.
--
-- The administrative functions, here, in pause.sql and in settings.sql, run with their owner's rights, so that no role
-- needs to write to the tables for them; roles.sql grants them to administrators alone. Each act is recorded in the
-- table operations.

-- Records an operation. It names the role that asked: in a function with its owner's rights current_user is the owner.
-- The dashboard's role acts for many persons, and names them in the setting stockq.acts_for.
CREATE OR REPLACE FUNCTION :"schema".record_operation(verb text, subject jsonb, jobs bigint) RETURNS void
LANGUAGE sql SET search_path = :"schema", pg_temp
AS $$
    INSERT INTO operations (who, verb, subject, jobs)
    VALUES (
        session_user || CASE
            WHEN current_setting('role') IN ('none', session_user) THEN ''
            ELSE ' as ' || current_setting('role')
        END || coalesce(' for ' || nullif(left(current_setting('stockq.acts_for', true), 200), ''), ''),
        $1, jsonb_strip_nulls($2), $3
    )
$$;

-- Named jobs as an operation records them: of a long list the first ids, and how many there are.
CREATE OR REPLACE FUNCTION :"schema".recorded_jobs(job_ids bigint[]) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = :"schema", pg_temp
AS $$
    SELECT jsonb_build_object(
        'jobs', $1[:10000], 'jobs_named', CASE WHEN cardinality($1) > 10000 THEN cardinality($1) END)
$$;

-- The ids of queued jobs: of the named jobs, or of a store's jobs with the group or the reference; with each its whole
-- group.
CREATE OR REPLACE FUNCTION :"schema".queued_jobs(
    job_ids bigint[], store_id text, group_id text, reference text
) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
BEGIN
    IF num_nonnulls(job_ids, group_id, reference) <> 1 THEN
        RAISE invalid_parameter_value USING MESSAGE = 'name jobs by job_ids, group_id or reference';
    ELSIF job_ids IS NULL AND store_id IS NULL THEN
        RAISE invalid_parameter_value USING MESSAGE = 'name the store of the group or the reference';
    END IF;
    RETURN ARRAY(
        WITH named AS (
            SELECT j.job_id, j.group_id, j.store_id, j.submission_id FROM jobs AS j
            WHERE j.job_id = ANY (job_ids) AND (queued_jobs.store_id IS NULL OR j.store_id = queued_jobs.store_id)
            UNION ALL
            SELECT j.job_id, j.group_id, j.store_id, j.submission_id FROM jobs AS j
            WHERE (j.group_id, j.store_id) = (queued_jobs.group_id, queued_jobs.store_id)
            UNION ALL
            SELECT j.job_id, j.group_id, j.store_id, j.submission_id FROM jobs AS j
            WHERE j.reference = queued_jobs.reference AND j.store_id = queued_jobs.store_id
        ), whole AS (
            -- Each group once. Joined to the named lines themselves, a group of n lines would be n * n rows.
            SELECT DISTINCT named.group_id, named.store_id, named.submission_id
            FROM named
            WHERE named.group_id IS NOT NULL
        )
        SELECT job_id FROM named
        UNION
        SELECT line.job_id FROM whole JOIN jobs AS line USING (group_id, store_id, submission_id)
        ORDER BY 1
    );
END
$$;

-- Cancels queued jobs, groups whole: each gets the outcome 'canceled', and its idempotency key stays unused. Returns
-- the jobs that were canceled.
--
-- A producer cancels jobs of stores for which it has the scope update_catalog, and names at most 10,000 ids; jobs of
-- stores without a grant are unknown to it. It waits for a batch that has claimed them; what that batch finishes stays
-- finished.
CREATE OR REPLACE FUNCTION :"schema".cancel_jobs(
    job_ids bigint[] DEFAULT NULL, store_id text DEFAULT NULL, group_id text DEFAULT NULL,
    reference text DEFAULT NULL, reason text DEFAULT NULL, idempotency_key text DEFAULT NULL
) RETURNS SETOF bigint
LANGUAGE plpgsql SECURITY INVOKER SET search_path = :"schema", pg_temp
AS $$
DECLARE
    named bigint[] := job_ids;
BEGIN
    IF idempotency_key IS NOT NULL THEN
        IF job_ids IS NOT NULL OR store_id IS NULL THEN
            RAISE invalid_parameter_value USING MESSAGE = 'name the job of an idempotency key by its store and the key';
        END IF;
        named := ARRAY(SELECT k.job_id FROM key_in_use(cancel_jobs.store_id, cancel_jobs.idempotency_key) AS k);
    END IF;
    IF num_nonnulls(named, group_id, reference) <> 1 THEN
        RAISE invalid_parameter_value USING MESSAGE = 'name jobs by job_ids, group_id, reference or idempotency_key';
    END IF;
    RETURN QUERY
    SELECT unnest(cancel_jobs_for(
        t.producer, t.caller_token, named, cancel_jobs.store_id, cancel_jobs.group_id, cancel_jobs.reference,
        cancel_jobs.reason))
    FROM my_caller_token AS t;
END
$$;

-- Whether a role may act on all stores without a grant: administrators and the owner of the tables.
CREATE OR REPLACE FUNCTION :"schema".may_act_everywhere(role text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
BEGIN
    RETURN pg_has_role(role, (SELECT relowner FROM pg_class WHERE oid = 'jobs'::regclass), 'USAGE')
        OR EXISTS (
            SELECT FROM pg_roles
            WHERE rolname = current_schema() || '_admin' AND pg_has_role(may_act_everywhere.role, oid, 'USAGE')
        );
END
$$;

-- Those of the jobs that a role may cancel.
CREATE OR REPLACE FUNCTION :"schema".jobs_to_cancel(producer text, job_ids bigint[]) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
DECLARE
    may_read_only record;
BEGIN
    IF may_act_everywhere(producer) THEN
        RETURN job_ids;
    END IF;
    SELECT j.store_id, j.item_id INTO may_read_only
    FROM jobs AS j
    JOIN grants AS g ON g.store_id = j.store_id AND g.producer = jobs_to_cancel.producer
    WHERE j.job_id = ANY (job_ids) AND 'update_catalog' <> ALL (g.scopes)
    LIMIT 1;
    IF FOUND THEN
        PERFORM raise_missing_scope(producer, 'update_catalog', may_read_only.store_id, may_read_only.item_id);
    END IF;
    RETURN ARRAY(
        SELECT j.job_id
        FROM jobs AS j
        JOIN grants AS g ON g.store_id = j.store_id AND g.producer = jobs_to_cancel.producer
        WHERE j.job_id = ANY (job_ids)
        ORDER BY j.job_id
    );
END
$$;

-- Cancels jobs for a role that has proved its name with its caller token; see my_caller_token.
CREATE OR REPLACE FUNCTION :"schema".cancel_jobs_for(
    producer text, caller_token bytea, job_ids bigint[], store_id text, group_id text, reference text, reason text
) RETURNS bigint[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET debug_print_plan = off
AS $$
DECLARE
    wanted bigint[];
    canceled bigint[];
BEGIN
    PERFORM check_caller_token(producer, caller_token);
    IF cardinality(job_ids) > 10000 AND NOT may_act_everywhere(producer) THEN
        RAISE program_limit_exceeded USING
            MESSAGE = format('%s ids of jobs in one call, at most 10000 are allowed', cardinality(job_ids)),
            HINT = 'Cancel the others in further calls.';
    ELSIF octet_length(reason) > 2000 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('the reason has %s bytes, at most 2000 are allowed', octet_length(reason));
    END IF;
    wanted := jobs_to_cancel(producer, queued_jobs(job_ids, store_id, group_id, reference));
    IF cardinality(wanted) = 0 THEN
        RETURN wanted;
    END IF;
    -- No worker may have built the partitions for these jobs yet.
    PERFORM add_results_partitions();
    EXECUTE format($cancel$
        WITH gone AS (
            DELETE FROM jobs WHERE job_id = ANY ($1) RETURNING *
        ), finished AS (
            INSERT INTO results (
                job_id, submission_id, group_last_job_id, retry_of, enqueued_at, scheduled_at, expires_at, attempts,
                idempotency_key, applied_quantity, finished_at, outcome, worker, message, %1$s
            )
            SELECT
                job_id, submission_id,
                CASE WHEN group_id IS NOT NULL AND job_id = min(job_id) OVER of_group
                    THEN max(job_id) OVER of_group END,
                retry_of, enqueued_at,
                coalesce(scheduled_at, CASE
                    WHEN attempts = 0 AND waiting_since IS NULL AND paused_at IS NULL THEN run_at
                END),
                expires_at, attempts, idempotency_key, 0, now(), 'canceled', 'canceled by ' || session_user, $2, %1$s
            FROM gone
            WINDOW of_group AS (PARTITION BY group_id, store_id, submission_id)
            RETURNING job_id
        )
        SELECT coalesce(array_agg(job_id ORDER BY job_id), '{}') FROM finished
    $cancel$, request_columns())
    INTO canceled
    USING wanted, reason;
    -- Of a group that is too large nothing may be left now.
    DELETE FROM too_large_groups AS g
    WHERE NOT EXISTS (
        SELECT FROM jobs AS j
        WHERE (j.group_id, j.store_id, j.submission_id) = (g.group_id, g.store_id, g.submission_id)
    );
    IF cardinality(canceled) > 0 THEN
        PERFORM record_operation(
            'cancel',
            recorded_jobs(job_ids) || jsonb_build_object(
                'store_id', store_id, 'group_id', group_id, 'reference', reference, 'reason', reason),
            cardinality(canceled));
    END IF;
    RETURN canceled;
END
$$;

-- The ids of finished jobs to retry: the named ones, or the failed ones, or those rejected with a code.
--
-- A named job that cannot be retried is an error, because an administrator asked for that very job.
CREATE OR REPLACE FUNCTION :"schema".jobs_to_retry(
    job_ids bigint[], failed boolean, code text, store_id text, since interval
) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
DECLARE
    wrong record;
BEGIN
    IF (job_ids IS NOT NULL)::integer + failed::integer + (code IS NOT NULL)::integer <> 1 THEN
        RAISE invalid_parameter_value USING MESSAGE = 'name jobs by job_ids, or the failed ones, or those with a code';
    END IF;
    IF job_ids IS NULL THEN
        RETURN ARRAY(
            SELECT r.job_id FROM results AS r
            WHERE CASE WHEN failed THEN r.outcome = 'failed'
                    ELSE r.outcome = 'rejected' AND r.code = jobs_to_retry.code::code END
                AND r.finished_at >= now() - since
                AND (jobs_to_retry.store_id IS NULL OR r.store_id = jobs_to_retry.store_id)
        );
    END IF;
    SELECT named.id, r.outcome, r.code, corrected.by_job INTO wrong
    FROM unnest(job_ids) AS named (id)
    LEFT JOIN results AS r ON r.job_id = named.id
    CROSS JOIN LATERAL correction_of(r.job_id, r.retry_of, r.store_id) AS corrected (by_job)
    WHERE r.outcome IS NULL OR r.outcome NOT IN ('failed', 'rejected', 'canceled')
        OR r.first_job_id IS NOT NULL OR r.code IN ('idempotency_mismatch', 'group_too_large')
        OR corrected.by_job IS NOT NULL
    LIMIT 1;
    IF FOUND THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('job %s %s, and cannot be retried', wrong.id, CASE
                WHEN wrong.outcome IS NULL THEN 'has no result'
                WHEN wrong.code = 'group_too_large' THEN 'is a line of a group that is too large'
                WHEN wrong.by_job IS NOT NULL THEN format('was corrected by job %s', wrong.by_job)
                WHEN wrong.outcome IN ('failed', 'rejected', 'canceled')
                    THEN 'was rejected for its idempotency key'
                ELSE 'was ' || wrong.outcome
            END);
    END IF;
    RETURN job_ids;
END
$$;

-- Inserts a retry of each of the finished jobs and of the lines of their groups, and links them.
--
-- It is one statement, so that it reads the jobs, their groups and earlier retries from one snapshot. It looks each
-- group up once and each line once; joins of lines with lines would make n * n rows of a group of n lines. LATERAL with
-- an ORDER BY or a LIMIT keeps the planner from joining the other way round, which reads all results.
CREATE OR REPLACE FUNCTION :"schema".insert_retries(wanted bigint[]) RETURNS TABLE (job_id bigint, retry_of bigint)
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
BEGIN
    RETURN QUERY EXECUTE format($retry$
        WITH named AS MATERIALIZED (
            SELECT job_id, group_id, store_id, submission_id FROM results WHERE job_id = ANY ($1)
        ), too_large AS MATERIALIZED (
            -- Of a group that is too large nothing is ever retried, not even lines that were canceled.
            SELECT DISTINCT first.group_id, first.store_id, first.submission_id
            FROM (SELECT DISTINCT group_id, store_id, submission_id FROM named WHERE group_id IS NOT NULL) AS of_named
            JOIN results AS first USING (group_id, store_id, submission_id)
            WHERE first.group_last_job_id IS NOT NULL AND first.code = 'group_too_large'
        ), tries AS (
            -- A retried group keeps its submission, so one submission can have several tries, one behind the other.
            SELECT first.job_id AS first_id, first.group_last_job_id AS last_id, of_named.*
            FROM (SELECT DISTINCT group_id, store_id, submission_id FROM named WHERE group_id IS NOT NULL) AS of_named
            JOIN results AS first USING (group_id, store_id, submission_id)
            WHERE first.group_last_job_id IS NOT NULL
                AND EXISTS (
                    SELECT FROM named
                    WHERE (named.group_id, named.store_id, named.submission_id)
                            = (of_named.group_id, of_named.store_id, of_named.submission_id)
                        AND named.job_id BETWEEN first.job_id AND first.group_last_job_id
                )
        ), whole AS (
            SELECT job_id FROM named
            UNION
            SELECT line.job_id
            FROM tries
            CROSS JOIN LATERAL (
                SELECT job_id
                FROM results
                WHERE job_id BETWEEN tries.first_id AND tries.last_id
                    AND (group_id, store_id, submission_id) = (tries.group_id, tries.store_id, tries.submission_id)
                ORDER BY job_id
            ) AS line
        ), retryable AS (
            SELECT r.*,
                -- A group is not retried if one of its lines was rejected for its key, or was corrected.
                bool_or(
                    r.first_job_id IS NOT NULL OR r.code = 'idempotency_mismatch'
                    OR correction_of(r.job_id, r.retry_of, r.store_id) IS NOT NULL
                ) OVER (
                    PARTITION BY group_id, store_id, submission_id, CASE WHEN group_id IS NULL THEN r.job_id END
                ) AS is_blocked
            FROM whole
            CROSS JOIN LATERAL (SELECT * FROM results WHERE results.job_id = whole.job_id LIMIT 1) AS r
        ), added AS (
            INSERT INTO jobs (submission_id, retry_of, expires_at, idempotency_key, %1$s)
            SELECT
                CASE WHEN group_id IS NULL THEN pg_current_xact_id() ELSE submission_id END,
                job_id,
                CASE WHEN expires_at > now() THEN expires_at END,
                CASE WHEN NOT EXISTS (
                    SELECT FROM idempotency_keys AS k
                    WHERE (k.idempotency_key, k.store_id) = (r.idempotency_key, r.store_id) AND k.job_id = r.job_id
                ) THEN idempotency_key END,
                %1$s
            FROM retryable AS r
            WHERE outcome IN ('failed', 'rejected', 'canceled')
                AND is_blocked IS NOT TRUE
                AND ((group_id, store_id, submission_id) IN (SELECT * FROM too_large)) IS NOT TRUE
                AND NOT EXISTS (SELECT FROM retries WHERE retries.job_id = r.job_id)
            ORDER BY job_id
            RETURNING job_id, retry_of
        ), linked AS (
            INSERT INTO retries (job_id, retry_job_id) SELECT retry_of, job_id FROM added
        )
        SELECT job_id, retry_of FROM added ORDER BY 1
    $retry$, request_columns())
    USING wanted;
END
$$;

-- Enqueues finished jobs again, groups whole: the named jobs, or the failed ones, or those with a code; the latter two
-- of one store or of all, and finished within `since`. Only jobs that changed nothing can be retried, each at most
-- once; retry_of links to the original. A retried group keeps its submission, so two submissions of one name stay two
-- groups.
--
-- A retry has the job's key unless the job used it. A job that was rejected because its key was in use is not retried:
-- it would take effect a second time. Neither is a job of which a correction was imported.
CREATE OR REPLACE FUNCTION :"schema".retry_jobs(
    job_ids bigint[] DEFAULT NULL, failed boolean DEFAULT false, code text DEFAULT NULL, store_id text DEFAULT NULL,
    since interval DEFAULT '1 day'
) RETURNS TABLE (job_id bigint, retry_of bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
DECLARE
    wanted bigint[] := jobs_to_retry(job_ids, failed, code, store_id, since);
    new_jobs bigint[];
    retried bigint[];
BEGIN
    -- One retry at a time: the next one sees what this one has linked, and leaves it out. Reading is not blocked.
    LOCK TABLE retries IN SHARE ROW EXCLUSIVE MODE;
    SELECT coalesce(array_agg(added.job_id), '{}'), coalesce(array_agg(added.retry_of), '{}')
    INTO new_jobs, retried
    FROM insert_retries(wanted) AS added;
    PERFORM put_behind_queued(new_jobs);
    PERFORM record_operation(
        'retry',
        recorded_jobs(job_ids)
            || jsonb_build_object('failed', nullif(failed, false), 'code', code, 'store_id', store_id),
        cardinality(retried));
    RETURN QUERY SELECT added.job_id, added.retry_of FROM unnest(new_jobs, retried) AS added (job_id, retry_of);
END
$$;

-- Gives queued jobs another priority, groups whole. Returns how many.
CREATE OR REPLACE FUNCTION :"schema".reprioritize(
    priority integer, job_ids bigint[] DEFAULT NULL, store_id text DEFAULT NULL, group_id text DEFAULT NULL,
    reference text DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
DECLARE
    wanted bigint[];
    changed bigint;
BEGIN
    PERFORM lock_queue(shared => false);
    wanted := queued_jobs(job_ids, store_id, group_id, reference);
    -- A worker locks the row of the lane that it works.
    PERFORM l.lane FROM lanes AS l
    WHERE l.lane IN (SELECT j.lane FROM jobs AS j WHERE j.job_id = ANY (wanted))
    ORDER BY l.lane
    FOR UPDATE;
    UPDATE lanes AS l SET epoch = epoch + 1
    WHERE l.lane IN (SELECT j.lane FROM jobs AS j WHERE j.job_id = ANY (wanted));
    UPDATE jobs SET priority = reprioritize.priority
    WHERE job_id = ANY (wanted) AND jobs.priority <> reprioritize.priority;
    GET DIAGNOSTICS changed = ROW_COUNT;
    PERFORM record_operation(
        'reprioritize',
        recorded_jobs(job_ids) || jsonb_build_object(
            'priority', priority, 'store_id', store_id, 'group_id', group_id, 'reference', reference),
        changed);
    RETURN changed;
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA :"schema" FROM PUBLIC;
