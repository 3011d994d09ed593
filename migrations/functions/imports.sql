-- Imports as rows. Repeatable: applied again whenever this text changes; a change of a signature needs a migration.
--
-- The functions run with their owner's rights, because a producer must not write an import that is not its own; the
-- caller presents a caller token. `stockq import` and `stockq items import` call them.

-- What an import is at: its state, or `interrupted` where its process ended without a word. Any role sees the ids and
-- the names of all sessions. An import without a session of its own is interrupted an hour after its last commit.
CREATE OR REPLACE FUNCTION :"schema".import_state(import :"schema".imports) RETURNS text
LANGUAGE sql STABLE SET search_path = :"schema", pg_temp
AS $$
    SELECT CASE
        WHEN import.state = 'running' AND CASE
            WHEN import.session_pid IS NULL THEN import.updated_at < now() - interval '1 hour'
            ELSE NOT EXISTS (
                SELECT FROM pg_stat_activity
                WHERE pid = import.session_pid AND application_name = import.session_name
            )
        END THEN 'interrupted'
        ELSE import.state
    END
$$;

-- Whether all jobs of an import that has ended were canceled, and none of them retried: as if it had not been. A result
-- that has expired may have been another one.
CREATE OR REPLACE FUNCTION :"schema".is_canceled(import :"schema".imports) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp SET jit = off
AS $$
BEGIN
    IF import.kind <> 'jobs' OR import.enqueued = 0 OR import_state(import) = 'running' THEN
        RETURN false;
    END IF;
    RETURN (
        WITH finished AS NOT MATERIALIZED (
            SELECT r.job_id, r.outcome
            FROM import_parts AS part
            CROSS JOIN LATERAL (
                SELECT job_id, outcome FROM results
                WHERE job_id BETWEEN part.first_job_id AND part.last_job_id AND submission_id = part.submission_id
                OFFSET 0  -- part by part: a join would read all results
            ) AS r
            WHERE part.import_id = import.import_id
        )
        -- The usual answer is in the first results.
        SELECT NOT EXISTS (SELECT FROM finished WHERE outcome <> 'canceled')
            AND import.enqueued = (
                SELECT count(*) FROM finished AS f
                WHERE NOT EXISTS (SELECT FROM retries WHERE retries.job_id = f.job_id)
            )
    );
END
$$;

-- Begins an import, and finds the last one of the same input, also one of another user: the hash proves that the caller
-- has the input. With `once` nothing is begun where there is one; the ids are null then.
--
-- An import that changed nothing is none of these. With `once` neither is one of which all jobs were canceled, nor an
-- import of items that has not come to its end: run again, it changes only what is not as the file says. One of jobs
-- can be resumed.
--
-- `keeps_session`: all of the import is one session, as it is without a pooler.
CREATE OR REPLACE FUNCTION :"schema".begin_import_for(
    producer text, caller_token bytea, kind text, label text, file_name text, sha256 text, given_name text,
    once boolean, keeps_session boolean,
    OUT import_id bigint, OUT name text, OUT earlier_name text, OUT earlier_state text, OUT earlier_by text,
    OUT earlier_at timestamptz
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET debug_print_plan = off
AS $$
DECLARE
    may_be_repeated boolean;
BEGIN
    PERFORM check_caller_token(producer, caller_token);
    IF sha256 IS NOT NULL THEN
        -- Two processes may begin with the same file.
        PERFORM lock_maintenance('imports');
        SELECT i.name, import_state(i), i.imported_by, i.started_at,
            i.kind = 'items' AND import_state(i) IN ('stopped', 'interrupted')
        INTO earlier_name, earlier_state, earlier_by, earlier_at, may_be_repeated
        FROM imports AS i
        WHERE i.sha256 = begin_import_for.sha256 AND i.kind = begin_import_for.kind
            AND (import_state(i) = 'running' OR i.lines > i.rejected)
            AND NOT (once AND is_canceled(i))
        ORDER BY once AND i.kind = 'items' AND import_state(i) IN ('stopped', 'interrupted'), i.import_id DESC
        LIMIT 1;
        IF FOUND AND once AND NOT may_be_repeated THEN
            RETURN;
        END IF;
    END IF;
    BEGIN
        INSERT INTO imports AS i (given_name, label, kind, file_name, sha256, imported_by, session_pid, session_name)
        VALUES (
            begin_import_for.given_name, begin_import_for.label, begin_import_for.kind, begin_import_for.file_name,
            begin_import_for.sha256, producer, CASE WHEN keeps_session THEN pg_backend_pid() END,
            current_setting('application_name'))
        RETURNING i.import_id, i.name INTO import_id, name;
    EXCEPTION WHEN unique_violation THEN
        RAISE unique_violation USING
            MESSAGE = format('there is an import named %L already', coalesce(given_name, label)),
            HINT = 'Give another --name. An import that stopped goes on with --resume NAME.';
    END;
END
$$;

-- Lets an import of jobs go on that stopped, or whose process ended: behind the last line that was committed. An
-- earlier run that still goes on fails at its next commit.
CREATE OR REPLACE FUNCTION :"schema".resume_import_for(
    producer text, caller_token bytea, name text, sha256 text, keeps_session boolean,
    OUT import_id bigint, OUT run integer, OUT through_line bigint, OUT enqueued bigint, OUT duplicates bigint,
    OUT rejected bigint
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET debug_print_plan = off
AS $$
DECLARE
    known imports;
BEGIN
    PERFORM check_caller_token(producer, caller_token);
    -- Waits for a commit of an earlier run that is under way.
    SELECT * INTO known FROM imports AS i WHERE i.name = resume_import_for.name FOR UPDATE;
    IF NOT FOUND THEN
        RAISE no_data_found USING MESSAGE = format('there is no import %L', name), HINT = 'See: stockq imports list';
    ELSIF known.imported_by <> producer THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('import %L is one of %I, who alone may resume it', name, known.imported_by);
    ELSIF known.kind <> 'jobs' THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('import %L is one of items', name),
            HINT = 'Run stockq items import again: it changes only what is not as the file says.';
    ELSIF known.state = 'finished' THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('import %L is finished', name), HINT = 'Without --resume the file is imported again.';
    ELSIF known.sha256 <> resume_import_for.sha256 THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('import %L was one of another file: their SHA-256 differ', name),
            HINT = format(
                'To import the rest of a file that was changed since: --after-line %s.', known.through_line);
    END IF;
    UPDATE imports AS i
    SET run = i.run + 1, state = 'running', problem = NULL, updated_at = clock_timestamp(),
        session_pid = CASE WHEN keeps_session THEN pg_backend_pid() END,
        session_name = current_setting('application_name')
    WHERE i.import_id = known.import_id
    RETURNING i.import_id, i.run, i.through_line, i.enqueued, i.duplicates, i.rejected
    INTO import_id, run, through_line, enqueued, duplicates, rejected;
END
$$;

-- Notes how far an import has come, in the transaction of its jobs, and how it ended. A null count stays as it is.
CREATE OR REPLACE FUNCTION :"schema".save_import_for(
    producer text, caller_token bytea, import_id bigint, run integer, state text, problem text, sha256 text,
    -- Of this transaction: an id that no job before it has, and whether it enqueued any.
    first_job_id bigint, has_jobs boolean, through_line bigint, enqueued bigint, duplicates bigint, rejected bigint,
    created bigint, changed bigint, unchanged bigint, stock_differs bigint
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET debug_print_plan = off
AS $$
BEGIN
    PERFORM check_caller_token(producer, caller_token);
    UPDATE imports AS i
    SET state = save_import_for.state,
        problem = save_import_for.problem,
        sha256 = coalesce(i.sha256, save_import_for.sha256),
        updated_at = clock_timestamp(),
        finished_at = CASE WHEN save_import_for.state = 'finished' THEN clock_timestamp() END,
        through_line = coalesce(save_import_for.through_line, i.through_line),
        enqueued = coalesce(save_import_for.enqueued, i.enqueued),
        duplicates = coalesce(save_import_for.duplicates, i.duplicates),
        rejected = coalesce(save_import_for.rejected, i.rejected),
        created = coalesce(save_import_for.created, i.created),
        changed = coalesce(save_import_for.changed, i.changed),
        unchanged = coalesce(save_import_for.unchanged, i.unchanged),
        stock_differs = coalesce(save_import_for.stock_differs, i.stock_differs)
    WHERE i.import_id = save_import_for.import_id AND i.run = save_import_for.run AND i.imported_by = producer;
    IF NOT FOUND THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = 'another process has resumed this import, so this one ends',
            HINT = 'What this one has not committed, the other one enqueues.';
    END IF;
    IF has_jobs THEN
        INSERT INTO import_parts (import_id, first_job_id, last_job_id, submission_id, imported_by)
        SELECT save_import_for.import_id, save_import_for.first_job_id, last_value, pg_current_xact_id(), producer
        FROM jobs_job_id_seq;
    END IF;
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA :"schema" FROM PUBLIC;
