-- What the native API of the gateway does with the queue. Repeatable: applied again whenever this text changes; a
-- change of a signature needs a migration.
--
-- Like those of gateway.sql, these functions run with their owner's rights, and each checks the hash of the token that
-- a caller presented. They return what a client sees as JSON, so that each form exists once; a member without a value
-- is left out.

-- Checks the access of one call to a named store. A failure is invalid_token, unknown_store (a valid token, of other
-- stores) or missing_scope.
CREATE OR REPLACE FUNCTION :"schema".check_native_access(token_hash text, store_id text, scopes text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
DECLARE
    access CONSTANT record := check_gateway_access(ARRAY[token_hash], ARRAY[store_id], ARRAY[scopes]);
BEGIN
    RETURN CASE
        WHEN access.failure = 'invalid_token' AND access.granted IS NOT NULL THEN 'unknown_store'
        ELSE access.failure
    END;
END
$$;

-- A time as clients see it: RFC 3339 in UTC with microseconds.
CREATE OR REPLACE FUNCTION :"schema".native_time(at timestamptz) RETURNS text
LANGUAGE sql STABLE SET search_path = :"schema", pg_temp
AS $$
    SELECT to_char($1 AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;

CREATE OR REPLACE FUNCTION :"schema".native_job(job :"schema".job_states) RETURNS text
LANGUAGE sql STABLE SET search_path = :"schema", pg_temp
AS $$
    SELECT json_strip_nulls(json_build_object(
        'job_id', job.job_id, 'state', job.state, 'store_id', job.store_id, 'item_id', job.item_id,
        'location_id', job.location_id, 'action', job.action, 'quantity', job.quantity,
        'on_insufficient', job.on_insufficient, 'priority', job.priority, 'group_id', job.group_id,
        'ordering_key', job.ordering_key, 'idempotency_key', job.idempotency_key, 'reference', job.reference,
        'reason', job.reason, 'actor', job.actor, 'occurred_at', native_time(job.occurred_at),
        'metadata', job.metadata, 'counted_at', native_time(job.counted_at),
        'enqueued_at', native_time(job.enqueued_at),
        'run_at', native_time(job.run_at),
        'finished_at', native_time(job.finished_at), 'outcome', job.outcome, 'code', job.code,
        'warning', job.warning, 'applied_quantity', job.applied_quantity, 'on_hand_before', job.on_hand_before,
        'on_hand_after', job.on_hand_after, 'allocated_before', job.allocated_before,
        'allocated_after', job.allocated_after, 'version', job.version, 'first_job_id', job.first_job_id,
        'retry_of', job.retry_of, 'message', job.message
    ))::text
$$;

CREATE OR REPLACE FUNCTION :"schema".native_item(item :"schema".items) RETURNS text
LANGUAGE sql STABLE SET search_path = :"schema", pg_temp
AS $$
    SELECT json_strip_nulls(json_build_object(
        'store_id', item.store_id, 'item_id', item.item_id, 'location_id', item.location_id,
        'parent_id', item.parent_id, 'on_hand', item.on_hand, 'allocated', item.allocated,
        'available', item.available, 'tracked', item.tracked, 'low_stock_threshold', item.low_stock_threshold,
        'alert_level', CASE
            WHEN NOT item.tracked THEN 'ok'
            WHEN item.available <= 0 THEN 'out'
            WHEN item.available <= item.low_stock_threshold THEN 'low'
            ELSE 'ok'
        END,
        'version', item.version, 'created_at', native_time(item.created_at),
        'updated_at', native_time(item.updated_at)
    ))::text
$$;

-- How far in the future a new job's times may be: the constraint of the table has it.
CREATE OR REPLACE FUNCTION :"schema".native_time_limit() RETURNS interval
LANGUAGE sql STABLE SET search_path = :"schema", pg_temp
AS $$
    SELECT substring(pg_get_constraintdef(oid) FROM '''([0-9:]+)''::interval')::interval
    FROM pg_constraint
    WHERE conrelid = 'jobs'::regclass AND conname = 'jobs_run_at_limit'
$$;

-- Enqueues the jobs of many calls, each call whole or not at all, and returns one row for each line.
--
-- The first five arrays have an element a call, the others an element a line, which names its call by the number from
-- 1. `are_keyed` says that the idempotency keys of all lines come from one key of the call, so that all are in use or
-- none; of a group that is so anyway. A call with `expires_ms` is not applied much later should the gateway die before
-- its answer. `unused_keys` must not be in use: the key of a call with one job and those of a list differ, and one of
-- them means that the call is another request.
--
-- A line's failure is one of check_native_access, idempotency_mismatch, time_limit, store_limit, or unlisted_reason
-- with a colon and the allowed reasons; a call is enqueued if none of its lines has one. Calls with groups of one name
-- and store must not be in one transaction: their lines would be one group.
CREATE OR REPLACE FUNCTION :"schema".gateway_submit(
    token_hashes text[], store_ids text[], scopes text[], are_keyed boolean[], expires_ms integer[],
    unused_key_calls integer[], unused_keys text[],
    line_calls integer[], item_ids text[], location_ids text[], actions text[], quantities bigint[],
    on_insufficients text[], expected_availables bigint[], idempotency_keys text[], group_ids text[],
    ordering_keys text[], priorities integer[], run_ats timestamptz[], expires_ats timestamptz[], notifies boolean[],
    max_attempts integer[], reasons text[], "references" text[], counted_ats timestamptz[], actors text[],
    occurred_ats timestamptz[], metadatas jsonb[]
) RETURNS TABLE (
    line integer, store_id text, job_id bigint, enqueued_at timestamptz, is_duplicate boolean, failure text,
    strand integer
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
DECLARE
    room jsonb := '{}';
    latest CONSTANT timestamptz := now() + native_time_limit();
    reasons_allowed CONSTANT text[] := allowed_reasons();
BEGIN
    IF EXISTS (SELECT FROM store_limits) THEN
        room := gateway_room(ARRAY(
            SELECT a.store_id
            FROM unnest(line_calls) AS l (call)
            JOIN check_gateway_access(token_hashes, store_ids, gateway_submit.scopes) AS a USING (call)
            WHERE a.failure IS NULL
        ));
    END IF;
    PERFORM note_gateway_use(token_hashes);
    RETURN QUERY
    WITH access AS MATERIALIZED (
        SELECT a.call, a.store_id, a.granted, c.is_keyed, c.expires_ms,
            CASE
                WHEN a.failure = 'invalid_token' AND a.granted IS NOT NULL THEN 'unknown_store'
                WHEN a.failure IS NOT NULL THEN a.failure
                WHEN 'update_catalog' <> ALL (a.granted) THEN 'missing_scope'
                WHEN EXISTS (
                    SELECT FROM unnest(unused_key_calls, unused_keys) AS u (call, key)
                    CROSS JOIN LATERAL key_in_use(a.store_id, u.key) AS k
                    WHERE u.call = a.call
                ) THEN 'idempotency_mismatch'
            END AS failure
        FROM check_gateway_access(token_hashes, store_ids, scopes) AS a
        JOIN unnest(are_keyed, gateway_submit.expires_ms) WITH ORDINALITY AS c (is_keyed, expires_ms, number)
            ON c.number = a.call
    ), line AS MATERIALIZED (
        SELECT l.*, a.store_id, a.is_keyed, a.expires_ms, k.job_id AS known_job,
            CASE
                WHEN a.failure IS NOT NULL THEN a.failure
                WHEN i.parent_id IS NOT NULL AND 'read_catalog' <> ALL (a.granted) THEN 'missing_scope'
                WHEN l.run_at > latest OR l.expires_at > latest OR l.counted_at > now() + interval '5 minutes'
                    THEN 'time_limit'
                WHEN k.job_id IS NULL AND l.reason <> ALL (reasons_allowed)
                    THEN 'unlisted_reason:' || array_to_string(reasons_allowed, ', ')
                WHEN k.job_id IS NOT NULL AND NOT is_same_request(
                    k, l.item_id, l.location_id, l.action, l.quantity, l.on_insufficient, l.expected_available
                ) THEN 'idempotency_mismatch'
            END AS problem
        FROM unnest(
            line_calls, item_ids, location_ids, actions, quantities, on_insufficients, expected_availables,
            idempotency_keys, group_ids, ordering_keys, priorities, run_ats, expires_ats, notifies,
            gateway_submit.max_attempts, reasons, "references", counted_ats, actors, occurred_ats, metadatas
        ) WITH ORDINALITY AS l (
            call, item_id, location_id, action, quantity, on_insufficient, expected_available, idempotency_key,
            group_id, ordering_key, priority, run_at, expires_at, notify, max_attempts, reason, reference,
            counted_at, actor, occurred_at, metadata, number
        )
        JOIN access AS a USING (call)
        LEFT JOIN items AS i
            ON (i.store_id, i.item_id, i.location_id) = (a.store_id, l.item_id, l.location_id) AND a.failure IS NULL
        LEFT JOIN LATERAL key_in_use(a.store_id, l.idempotency_key) AS k
            ON l.idempotency_key IS NOT NULL AND a.failure IS NULL
    ), checked AS (
        SELECT l.*,
            CASE
                WHEN l.problem IS NOT NULL THEN l.problem
                -- Another line of the call has one.
                WHEN count(l.problem) OVER of_call > 0 THEN ''
                -- Its new lines alone would be another request than the first.
                WHEN l.is_keyed AND count(l.known_job) OVER of_call NOT IN (0, count(*) OVER of_call)
                    OR l.group_id IS NOT NULL
                    AND count(l.known_job) OVER of_group NOT IN (0, count(*) OVER of_group)
                    THEN 'idempotency_mismatch'
                WHEN l.known_job IS NULL AND count(*) FILTER (WHERE l.known_job IS NULL) OVER (
                    PARTITION BY l.store_id ORDER BY l.call
                ) > (room->>l.store_id)::bigint THEN CASE
                    -- So many lines at once never fit.
                    WHEN count(*) FILTER (WHERE l.known_job IS NULL) OVER of_call > (
                        SELECT m.ready_jobs_max FROM store_limits AS m WHERE m.store_id = l.store_id
                    ) THEN 'call_limit'
                    ELSE 'store_limit'
                END
            END AS reason_not
        FROM line AS l
        WINDOW of_call AS (PARTITION BY l.call), of_group AS (PARTITION BY l.call, l.group_id)
    ), whole AS (
        SELECT c.*, count(nullif(c.reason_not, '')) OVER (PARTITION BY c.call) > 0 AS is_failed FROM checked AS c
    ), placed AS MATERIALIZED (
        -- Joins of these would be nested loops, because the planner expects a few lines.
        SELECT w.*, NOT w.is_failed AND w.known_job IS NULL AS is_new,
            count(*) FILTER (WHERE NOT w.is_failed AND w.known_job IS NULL) OVER (ORDER BY w.number) AS place,
            -- All lines of a call with a stock count, or those after it would come before it.
            greatest(w.priority, max(
                CASE WHEN w.action = 'set' AND w.known_job IS NULL THEN priority_behind(
                    w.store_id, ARRAY[w.item_id], ARRAY[w.location_id], w.priority, w.ordering_key) END
            ) OVER (PARTITION BY w.call)) AS placed_priority
        FROM whole AS w
    ), added AS (
        INSERT INTO jobs (
            store_id, item_id, location_id, action, quantity, on_insufficient, expected_available, notify,
            idempotency_key, group_id, ordering_key, priority, run_at, expires_at, max_attempts, reason, reference,
            counted_at, actor, occurred_at, metadata
        )
        SELECT l.store_id, l.item_id, l.location_id, l.action::action, l.quantity,
            l.on_insufficient::on_insufficient, l.expected_available, l.notify, l.idempotency_key, l.group_id,
            l.ordering_key, l.placed_priority, l.run_at,
            coalesce(l.expires_at, now() + l.expires_ms * interval '1 millisecond'), l.max_attempts, l.reason,
            l.reference, l.counted_at, l.actor, l.occurred_at, l.metadata
        FROM placed AS l
        WHERE l.is_new
        ORDER BY l.number
        RETURNING jobs.job_id, jobs.strand
    ), new_jobs AS MATERIALIZED (
        SELECT array_agg(a.job_id ORDER BY a.job_id) AS ids, array_agg(a.strand ORDER BY a.job_id) AS strands
        FROM added AS a
    )
    SELECT l.number::integer, l.store_id,
        CASE WHEN l.is_new THEN (SELECT n.ids FROM new_jobs AS n)[l.place] ELSE l.known_job END,
        CASE
            WHEN l.known_job IS NULL THEN now()
            ELSE coalesce(
                (SELECT q.enqueued_at FROM jobs AS q WHERE q.job_id = l.known_job),
                (SELECT r.enqueued_at FROM results AS r WHERE r.job_id = l.known_job))
        END,
        l.known_job IS NOT NULL, nullif(l.reason_not, ''),
        CASE WHEN l.is_new THEN (SELECT n.strands FROM new_jobs AS n)[l.place] END
    FROM placed AS l
    ORDER BY l.number;
END
$$;

-- Reads jobs: one by its id, those of the first one's submission up to a last one, the lines of a group, or the job of
-- an idempotency key; any token of the store may. The first row has the failure of the access.
CREATE OR REPLACE FUNCTION :"schema".gateway_jobs(
    token_hash text, store_id text, job_id bigint, last_job_id bigint, group_id text, idempotency_key text
) RETURNS TABLE (failure text, json text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    failure := check_native_access(token_hash, store_id, '');
    RETURN NEXT;
    IF failure IS NOT NULL THEN
        RETURN;
    ELSIF gateway_jobs.last_job_id IS NOT NULL THEN
        RETURN QUERY SELECT NULL, native_job(s)
        FROM job_states AS s
        WHERE s.job_id BETWEEN gateway_jobs.job_id AND gateway_jobs.last_job_id
            AND s.store_id = gateway_jobs.store_id
            AND s.submission_id = (SELECT f.submission_id FROM find_job(gateway_jobs.job_id) AS f)
        ORDER BY s.job_id;
    ELSIF gateway_jobs.job_id IS NOT NULL THEN
        RETURN QUERY SELECT NULL, native_job(s)
        FROM find_job(gateway_jobs.job_id) AS s
        WHERE s.store_id = gateway_jobs.store_id;
    ELSIF gateway_jobs.group_id IS NOT NULL THEN
        RETURN QUERY SELECT NULL, native_job(s)
        FROM find_group(gateway_jobs.store_id, gateway_jobs.group_id) AS s
        ORDER BY s.job_id;
    ELSE
        RETURN QUERY SELECT NULL, native_job(s)
        FROM find_key(gateway_jobs.store_id, gateway_jobs.idempotency_key) AS s;
    END IF;
END
$$;

-- Cancels a queued job with its group, or the queued lines of a group, for a token with the scope update_catalog. The
-- first row has the failure of the access, the others the jobs afterwards and whether this call canceled them.
CREATE OR REPLACE FUNCTION :"schema".gateway_cancel_queued(
    token_hash text, store_id text, job_id bigint, group_id text
) RETURNS TABLE (failure text, json text, is_canceled boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
DECLARE
    canceled bigint[] := '{}';
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    failure := check_native_access(token_hash, store_id, 'update_catalog');
    RETURN NEXT;
    IF failure IS NOT NULL THEN
        RETURN;
    END IF;
    IF cardinality(queued_jobs(
        CASE WHEN gateway_cancel_queued.job_id IS NOT NULL THEN ARRAY[gateway_cancel_queued.job_id] END,
        gateway_cancel_queued.store_id, gateway_cancel_queued.group_id, NULL)) > 0
    THEN
        canceled := ARRAY(SELECT * FROM cancel_jobs(
            CASE WHEN gateway_cancel_queued.job_id IS NOT NULL THEN ARRAY[gateway_cancel_queued.job_id] END,
            gateway_cancel_queued.store_id, gateway_cancel_queued.group_id, reason => 'canceled by the caller'));
    END IF;
    RETURN QUERY
    SELECT NULL, native_job(s), s.job_id = ANY (canceled)
    FROM (
        SELECT unnest(canceled) AS job_id
        UNION
        SELECT gateway_cancel_queued.job_id WHERE gateway_cancel_queued.job_id IS NOT NULL
        UNION
        SELECT g.job_id FROM find_group(gateway_cancel_queued.store_id, gateway_cancel_queued.group_id) AS g
    ) AS named
    CROSS JOIN LATERAL find_job(named.job_id) AS s
    WHERE s.store_id = gateway_cancel_queued.store_id
    ORDER BY s.job_id;
END
$$;

-- Reads items: one, at one location or at all, or a part of the list of the store's items by their ids, for a token
-- with the scope read_catalog. The first row has the failure of the access.
CREATE OR REPLACE FUNCTION :"schema".gateway_items(
    token_hash text, store_id text, item_id text, location_id text, parent_id text, after_item text, items_max integer
) RETURNS TABLE (failure text, json text, item text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    failure := check_native_access(token_hash, store_id, 'read_catalog');
    RETURN NEXT;
    IF failure IS NOT NULL THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT NULL, native_item(i), i.item_id
    FROM items AS i
    WHERE i.store_id = gateway_items.store_id
        AND i.item_id = ANY (CASE
            WHEN gateway_items.item_id IS NOT NULL THEN ARRAY[gateway_items.item_id]
            ELSE ARRAY(
                SELECT DISTINCT p.item_id
                FROM items AS p
                WHERE p.store_id = gateway_items.store_id AND p.item_id > coalesce(after_item, '')
                    AND (gateway_items.parent_id IS NULL OR p.parent_id = gateway_items.parent_id)
                    AND (gateway_items.location_id IS NULL OR p.location_id = gateway_items.location_id)
                ORDER BY 1
                LIMIT items_max
            )
        END)
        AND (gateway_items.location_id IS NULL OR i.location_id = gateway_items.location_id)
    ORDER BY i.item_id, i.location_id;
END
$$;

-- Creates an item, for a token with the scope manage_items. Without a row behind the first, the item exists already.
CREATE OR REPLACE FUNCTION :"schema".gateway_create_item(
    token_hash text, store_id text, item_id text, location_id text, on_hand bigint, parent_id text, tracked boolean,
    low_stock_threshold bigint
) RETURNS TABLE (failure text, json text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
DECLARE
    new_item items;
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    failure := check_native_access(token_hash, store_id, 'manage_items');
    RETURN NEXT;
    IF failure IS NOT NULL THEN
        RETURN;
    END IF;
    INSERT INTO items AS i (store_id, item_id, location_id, on_hand, parent_id, tracked, low_stock_threshold)
    VALUES (
        gateway_create_item.store_id, gateway_create_item.item_id, gateway_create_item.location_id,
        gateway_create_item.on_hand, gateway_create_item.parent_id, gateway_create_item.tracked,
        gateway_create_item.low_stock_threshold
    )
    ON CONFLICT ON CONSTRAINT items_pkey DO NOTHING
    RETURNING i.* INTO new_item;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM record_operation(
        'items create',
        jsonb_build_object('store_id', store_id, 'item_id', item_id, 'location_id', location_id), NULL);
    json := native_item(new_item);
    RETURN NEXT;
END
$$;

-- Changes attributes of an item, as set_item does, for a token with the scope manage_items. Without a row behind the
-- first, there is no such item.
CREATE OR REPLACE FUNCTION :"schema".gateway_set_item(
    token_hash text, store_id text, item_id text, location_id text, parent_id text, tracked boolean,
    low_stock_threshold bigint, clear text[]
) RETURNS TABLE (failure text, json text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    failure := check_native_access(token_hash, store_id, 'manage_items');
    RETURN NEXT;
    IF failure IS NOT NULL OR NOT set_item(
        store_id, item_id, location_id, low_stock_threshold => low_stock_threshold, tracked => tracked,
        parent_id => parent_id, clear => clear)
    THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT NULL, native_item(i)
    FROM items AS i
    WHERE (i.store_id, i.item_id, i.location_id)
        = (gateway_set_item.store_id, gateway_set_item.item_id, gateway_set_item.location_id);
END
$$;

-- Reads an item's last movements, newest first, for a token with the scope read_catalog. The first row has the failure
-- of the access: unknown_item too.
CREATE OR REPLACE FUNCTION :"schema".gateway_movements(
    token_hash text, store_id text, item_id text, location_id text, movements integer
) RETURNS TABLE (failure text, json text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    failure := coalesce(check_native_access(token_hash, store_id, 'read_catalog'), CASE
        WHEN NOT EXISTS (
            SELECT FROM items AS i
            WHERE (i.store_id, i.item_id, i.location_id)
                = (gateway_movements.store_id, gateway_movements.item_id, gateway_movements.location_id)
        ) THEN 'unknown_item'
    END);
    RETURN NEXT;
    IF failure IS NOT NULL THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT NULL, native_job(s)
    FROM item_history(
        gateway_movements.store_id, gateway_movements.item_id, gateway_movements.location_id, movements
    ) WITH ORDINALITY AS movement
    CROSS JOIN LATERAL find_job(movement.job_id) AS s
    ORDER BY movement.ordinality;
END
$$;

-- An item's balance at a past time, by default now, for a token with the scope read_catalog. The first row has the
-- failure of the access; without another row, the balance of that time is not known.
CREATE OR REPLACE FUNCTION :"schema".gateway_stock_at(
    token_hash text, store_id text, item_id text, location_id text, at timestamptz
) RETURNS TABLE (failure text, json text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
DECLARE
    moment CONSTANT timestamptz := coalesce(at, now());
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    failure := check_native_access(token_hash, store_id, 'read_catalog');
    RETURN NEXT;
    IF failure IS NOT NULL THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT NULL, json_strip_nulls(json_build_object(
        'store_id', gateway_stock_at.store_id, 'item_id', gateway_stock_at.item_id,
        'location_id', gateway_stock_at.location_id, 'at', native_time(moment), 'on_hand', s.on_hand,
        'allocated', s.allocated, 'available', s.available, 'version', s.version
    ))::text
    FROM stock_at(
        gateway_stock_at.store_id, gateway_stock_at.item_id, gateway_stock_at.location_id, moment
    ) AS s;
END
$$;

-- Reads a store's notifications behind a cursor of notifications_after, each with the cursor behind it. The last row
-- has no JSON, and the cursor behind everything that was read. A null cursor is behind the newest notification.
CREATE OR REPLACE FUNCTION :"schema".notifications_behind(store_id text, cursor text, notifications_max integer)
RETURNS TABLE (next_cursor text, json text)
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
DECLARE
    start record;
    found record;
BEGIN
    next_cursor := coalesce(cursor, notifications_cursor());
    start := read_cursor(next_cursor);
    -- A stream asks again and again, mostly for nothing. The answer of the index is much cheaper than feed_horizon.
    IF EXISTS (
        SELECT FROM notifications AS n
        WHERE n.store_id = notifications_behind.store_id
            AND (n.position, n.notification_id) > (start.position, start.row_id)
    ) THEN
        FOR found IN
            SELECT * FROM notifications_after(next_cursor, notifications_max, notifications_behind.store_id)
        LOOP
            next_cursor := found.cursor;
            json := json_strip_nulls(json_build_object(
                'notification_id', found.notification_id, 'store_id', found.store_id, 'item_id', found.item_id,
                'location_id', found.location_id, 'kind', found.kind,
                'low_stock_threshold', found.low_stock_threshold, 'available_before', found.available_before,
                'available_after', found.available_after, 'job_id', found.job_id, 'version', found.version,
                'created_at', native_time(found.created_at)
            ))::text;
            RETURN NEXT;
        END LOOP;
    END IF;
    json := NULL;
    RETURN NEXT;
END
$$;

-- notifications_behind for many callers, for tokens with the scope read_catalog. The failure of an access is in a row
-- of its own.
CREATE OR REPLACE FUNCTION :"schema".gateway_notifications(
    token_hashes text[], store_ids text[], cursors text[], notifications_max integer
) RETURNS TABLE (number integer, failure text, next_cursor text, json text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
DECLARE
    caller record;
BEGIN
    PERFORM note_gateway_use(token_hashes);
    FOR caller IN
        SELECT c.number::integer, c.token_hash, c.store_id, c.cursor
        FROM unnest(token_hashes, store_ids, cursors) WITH ORDINALITY AS c (token_hash, store_id, cursor, number)
        ORDER BY c.number
    LOOP
        number := caller.number;
        failure := check_native_access(caller.token_hash, caller.store_id, 'read_catalog');
        IF failure IS NOT NULL THEN
            RETURN NEXT;
        ELSE
            RETURN QUERY SELECT caller.number, NULL, b.next_cursor, b.json
            FROM notifications_behind(caller.store_id, caller.cursor, notifications_max) AS b;
        END IF;
    END LOOP;
END
$$;

-- What a dry run decides with: the items, the idempotency keys that were used, and the changes since the stock counts
-- were taken, for a token with the scope read_catalog. The first row has the failure of the access; `kind` is item, key
-- or count, and `position` that in the arrays, from 0. `count_items` are positions of items. A count has the changes as
-- its quantity, and as `on_hand` 1 if it is outdated.
CREATE OR REPLACE FUNCTION :"schema".gateway_dry_run(
    token_hash text, store_id text, item_ids text[], location_ids text[], idempotency_keys text[],
    count_items integer[], counted_ats timestamptz[]
) RETURNS TABLE (
    failure text, kind text, "position" integer, on_hand bigint, allocated bigint, version bigint,
    low_stock_threshold bigint, notified_level text, tracked boolean, job_id bigint, item_id text, location_id text,
    action text, quantity bigint, on_insufficient text, expected_available bigint, decided_at timestamptz
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    failure := check_native_access(token_hash, store_id, 'read_catalog');
    decided_at := now();
    RETURN NEXT;
    IF failure IS NOT NULL THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT NULL, 'item', (w.number - 1)::integer, i.on_hand::bigint, i.allocated::bigint, i.version,
        i.low_stock_threshold::bigint, i.notified_level::text, i.tracked, NULL::bigint, NULL, NULL, NULL,
        NULL::bigint, NULL, NULL::bigint, NULL::timestamptz
    FROM unnest(item_ids, location_ids) WITH ORDINALITY AS w (item_id, location_id, number)
    JOIN items AS i ON (i.store_id, i.item_id, i.location_id) = (gateway_dry_run.store_id, w.item_id, w.location_id);
    RETURN QUERY
    SELECT NULL, 'key', (w.number - 1)::integer, NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint, NULL,
        NULL::boolean, k.job_id, k.item_id, k.location_id, k.action::text, k.quantity, k.on_insufficient::text,
        k.expected_available, NULL::timestamptz
    FROM unnest(gateway_dry_run.idempotency_keys) WITH ORDINALITY AS w (idempotency_key, number)
    JOIN idempotency_keys AS k ON (k.idempotency_key, k.store_id) = (w.idempotency_key, gateway_dry_run.store_id);
    RETURN QUERY
    SELECT NULL, 'count', (w.number - 1)::integer, c.is_outdated::integer::bigint, NULL::bigint, NULL::bigint,
        NULL::bigint, NULL, NULL::boolean, NULL::bigint, NULL, NULL, NULL, c.on_hand_change, NULL, NULL::bigint,
        NULL::timestamptz
    FROM unnest(count_items, counted_ats) WITH ORDINALITY AS w (item, counted_at, number)
    CROSS JOIN LATERAL changes_since_count(
        gateway_dry_run.store_id, item_ids[w.item + 1], location_ids[w.item + 1], w.counted_at) AS c;
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA :"schema" FROM PUBLIC;
