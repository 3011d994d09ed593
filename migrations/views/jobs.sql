-- Jobs and keys, queued and finished together. Repeatable: applied again whenever this text changes; new columns go to
-- the end, and another change of the columns needs a migration.

-- The request of each idempotency key: of the used keys, and of the keys of queued jobs.
CREATE OR REPLACE VIEW :"schema".keys_in_use WITH (security_invoker) AS
SELECT store_id, idempotency_key, job_id, item_id, location_id, action, quantity, on_insufficient, expected_available,
    true AS is_used
FROM :"schema".idempotency_keys
UNION ALL
SELECT store_id, idempotency_key, job_id, item_id, location_id, action, quantity::bigint, on_insufficient,
    expected_available::bigint, false
FROM :"schema".jobs
WHERE idempotency_key IS NOT NULL;

-- The lanes that are paused. With its owner's rights, as the next one: a producer may not read the tables.
CREATE OR REPLACE VIEW :"schema".paused_lanes WITH (security_barrier) AS
SELECT lane FROM :"schema".lanes WHERE paused_at IS NOT NULL;

-- Those of the paused stores that the caller may read.
CREATE OR REPLACE VIEW :"schema".my_paused_stores WITH (security_barrier) AS
SELECT store_id
FROM :"schema".paused_stores
WHERE (SELECT :"schema".can_read_all_stores())
    OR store_id IN (SELECT grants.store_id FROM :"schema".grants WHERE producer = current_user::text);

-- Every job, queued or finished. What is paused is read once for all of them.
CREATE OR REPLACE VIEW :"schema".job_states WITH (security_invoker) AS
SELECT job_id,
    CASE
        WHEN paused_at IS NOT NULL THEN 'paused'
        -- Due: as of now the job is ready, whether a worker has promoted it yet or not. A job that waits for stock is
        -- only looked at again.
        WHEN run_at IS NULL OR run_at <= now() AND waiting_since IS NULL THEN CASE
            WHEN lane IN (SELECT p.lane FROM :"schema".paused_lanes AS p)
                OR store_id IN (SELECT p.store_id FROM :"schema".my_paused_stores AS p) THEN 'paused'
            ELSE 'ready'
        END
        WHEN waiting_since IS NOT NULL THEN 'waiting'
        WHEN attempts > 0 THEN 'retrying'
        ELSE 'scheduled'
    END AS state,
    store_id, item_id, location_id, action, quantity::bigint AS quantity, on_insufficient, priority, group_id,
    ordering_key, idempotency_key, reference, reason, enqueued_at, NULL::timestamptz AS finished_at,
    NULL:::"schema".outcome AS outcome, NULL:::"schema".code AS code, NULL:::"schema".warning AS warning,
    NULL::bigint AS applied_quantity, NULL::bigint AS on_hand_before, NULL::bigint AS on_hand_after,
    NULL::bigint AS allocated_before, NULL::bigint AS allocated_after, NULL::bigint AS version,
    NULL::bigint AS first_job_id, retry_of, last_error AS message, submission_id, run_at, attempts, max_attempts,
    counted_at, actor, occurred_at, metadata
FROM :"schema".jobs
UNION ALL
SELECT job_id, 'finished', store_id, item_id, location_id, action, quantity, on_insufficient, priority, group_id,
    ordering_key, idempotency_key, reference, reason, enqueued_at, finished_at, outcome, code, warning,
    applied_quantity, on_hand_before, on_hand_after, allocated_before, allocated_after, version, first_job_id,
    retry_of, message, submission_id, NULL::timestamptz, attempts, max_attempts, counted_at, actor, occurred_at,
    metadata
FROM :"schema".results;

-- The first ready job of each strand, one probe of the ready index for each: its oldest one, unless jobs became ready
-- in another order than they were enqueued. A limit bounds the probes.
CREATE OR REPLACE VIEW :"schema".ready_heads WITH (security_invoker) AS
WITH RECURSIVE heads AS (
    (
        SELECT strand, lane, store_id, job_id, greatest(enqueued_at, scheduled_at) AS since
        FROM :"schema".jobs
        WHERE run_at IS NULL
        ORDER BY strand, job_id
        LIMIT 1
    )
    UNION ALL
    SELECT head.*
    FROM heads
    CROSS JOIN LATERAL (
        SELECT strand, lane, store_id, job_id, greatest(enqueued_at, scheduled_at) AS since
        FROM :"schema".jobs
        WHERE run_at IS NULL AND strand > heads.strand
        ORDER BY strand, job_id
        LIMIT 1
    ) AS head
)
SELECT strand, lane, store_id, job_id, since FROM heads;
