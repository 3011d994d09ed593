-- Imports have names: what was read, by whom, and how far it has come.
--
-- Its jobs do not name their import, because a column more would cost the work path. An import notes its transactions,
-- and submission_id, which jobs and results have, says of which one a job is.

-- Lists of lines get a reference and a reason; functions/lists.sql makes the functions again.
DROP FUNCTION IF EXISTS :"schema".enqueue_arrays(
    text, text[], bigint[], text[], text[], text[], bigint[], text[], text[], text[], boolean[], text, text, integer,
    timestamptz, timestamptz, text, integer);
DROP FUNCTION IF EXISTS :"schema".enqueue_lines(
    text, jsonb, text, text, integer, timestamptz, timestamptz, text, integer);

CREATE TABLE :"schema".imports (
    import_id bigint GENERATED ALWAYS AS IDENTITY,
    -- The name that was given; null for the label and the id.
    given_name text COLLATE "C",
    -- The file's name without its folder, or stdin.
    label text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL
        GENERATED ALWAYS AS (coalesce(given_name, label || '-' || import_id::text)) STORED,
    kind text COLLATE "C" NOT NULL,
    -- Null for standard input.
    file_name text COLLATE "C",
    -- SHA-256 of the input in hexadecimal digits. Null: of a pipe that was not read to its end.
    sha256 text COLLATE "C",
    -- Of an import whose session is gone it is still running here: import_state says what it is at.
    state text COLLATE "C" NOT NULL DEFAULT 'running',
    -- The session of its last run, and its name. Null behind a pooler, where it has none of its own.
    session_pid integer,
    session_name text,
    -- 1, and one more each time it is resumed: only the last run may go on.
    run integer NOT NULL DEFAULT 1,
    imported_by text COLLATE "C" NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- When a transaction of it was committed last.
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    -- Each line of the input up to this one is finished: a job, a change of an item, a duplicate or a bad line.
    through_line bigint NOT NULL DEFAULT 0,
    -- Jobs; of an import of items the stock counts.
    enqueued bigint NOT NULL DEFAULT 0,
    duplicates bigint NOT NULL DEFAULT 0,
    -- Bad lines.
    rejected bigint NOT NULL DEFAULT 0,
    -- Items.
    created bigint NOT NULL DEFAULT 0,
    changed bigint NOT NULL DEFAULT 0,
    unchanged bigint NOT NULL DEFAULT 0,
    -- Items whose stock is another one, and was not changed.
    stock_differs bigint NOT NULL DEFAULT 0,
    lines bigint NOT NULL GENERATED ALWAYS AS (
        rejected + duplicates + CASE WHEN kind = 'jobs' THEN enqueued ELSE created + changed + unchanged END
    ) STORED,
    -- Why it stopped.
    problem text COLLATE "C",
    CONSTRAINT imports_pkey PRIMARY KEY (import_id),
    CONSTRAINT imports_name_key UNIQUE (name),
    CONSTRAINT imports_given_name_length CHECK (octet_length(given_name) BETWEEN 1 AND 200),
    CONSTRAINT imports_label_length CHECK (octet_length(label) BETWEEN 1 AND 1000),
    CONSTRAINT imports_kind_known CHECK (kind IN ('jobs', 'items')),
    CONSTRAINT imports_state_known CHECK (state IN ('running', 'finished', 'stopped')),
    CONSTRAINT imports_sha256_form CHECK (sha256 ~ '^[0-9a-f]{64}$')
) WITH (fillfactor = 70);
INSERT INTO :"schema".maintenance_locks (name) VALUES ('imports');
CREATE INDEX imports_sha256 ON :"schema".imports (sha256);

-- The transactions of an import that enqueued jobs. The jobs are those with its submission_id among the ids from the
-- first to the last one, where other transactions may have some too. The ids make it exact: a dump that is restored
-- brings submissions, and the new server counts its transactions from the beginning.
CREATE TABLE :"schema".import_parts (
    import_id bigint NOT NULL,
    first_job_id bigint NOT NULL,
    last_job_id bigint NOT NULL,
    submission_id xid8 NOT NULL,
    -- As in imports, for its policy.
    imported_by text COLLATE "C" NOT NULL,
    CONSTRAINT import_parts_pkey PRIMARY KEY (import_id, first_job_id),
    CONSTRAINT import_parts_ids_rise CHECK (first_job_id <= last_job_id)
);
-- For retention.
CREATE INDEX import_parts_last_job ON :"schema".import_parts (last_job_id);

ALTER TABLE :"schema".imports ENABLE ROW LEVEL SECURITY;
ALTER TABLE :"schema".import_parts ENABLE ROW LEVEL SECURITY;
-- An import may have jobs of many stores, so a producer reads its own imports alone.
CREATE POLICY producers_read ON :"schema".imports FOR SELECT USING (imported_by = current_user::text);
CREATE POLICY producers_read ON :"schema".import_parts FOR SELECT USING (imported_by = current_user::text);
