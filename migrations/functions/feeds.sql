-- Feeds: rows after a cursor, each once, whatever order their transactions commit in. Repeatable: applied again
-- whenever this text changes; a change of a signature needs a migration.
--
-- A row's position is the greater of two numbers, when the row is written: the id of its transaction, and the id of the
-- last transaction that had ended (the snapshot's xmax - 1). Two facts follow.
--
-- 1. Positions with row ids are in the order of an item's versions. A worker writes under the item's lock, in a
--    statement with a snapshot of its own. If transaction B locks the item after A has ended, the last transaction that
--    ended is at least A for B, and at least what it was for A. Where positions are equal, the row ids decide, which
--    are drawn in order too.
-- 2. No row up to feed_horizon() is missing: see there.
--
-- A cursor is a text, <position>-<row id>, that only these functions read. The functions run with the caller's rights,
-- so row security decides which stores a producer sees.

-- Every row of the feed with at most this position and row id is visible to the caller's next statement, or will never
-- exist. The result is the end of what a cursor may pass.
--
-- A transaction that writes to the table holds a ROW EXCLUSIVE lock on it until its rows are visible, and has the lock
-- before the snapshot and the row ids of its statement. The xmax and the last row id are read first, then the locks. So
-- a transaction that is seen without the lock gets later row ids and positions of at least xmax - 1. One that is seen
-- with the lock gets positions of at least its own id; if it has no id yet, an id of at least xmax. pg_locks reads the
-- relation locks of the fast path before the transactions' own locks, so a transaction that is listed without an id
-- had none when its relation lock was read.
--
-- The oldest id of all transactions would do as well, but then any long transaction of the server would hold the feeds
-- back. It has to do on a standby, which sees no locks of the primary, and where the snapshot does not advance.
CREATE OR REPLACE FUNCTION :"schema".feed_horizon(
    feed regclass, row_ids regclass, OUT "position" bigint, OUT row_id bigint
)
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
DECLARE
    base CONSTANT bigint := coalesce(pg_sequence_last_value('feed_base'::regclass), 0);
    xmax CONSTANT bigint := pg_snapshot_xmax(pg_current_snapshot())::text::bigint;
    oldest bigint;
BEGIN
    "position" := xmax - 1;
    row_id := coalesce(pg_sequence_last_value(row_ids), 0);
    IF current_setting('transaction_isolation') <> 'read committed' OR pg_is_in_recovery() THEN
        oldest := pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
    ELSE
        WITH locks AS MATERIALIZED (
            SELECT locktype, mode, virtualtransaction, transactionid, relation, database FROM pg_locks WHERE granted
        )
        -- pg_locks has the lower 32 bits of an id, which is less than 2^31 away from the xmax.
        SELECT min(xmax - CASE WHEN age < 2147483648 THEN age ELSE age - 4294967296 END) INTO oldest
        FROM (
            SELECT (xmax - own.transactionid::text::bigint) & 4294967295 AS age
            FROM locks AS writer
            JOIN locks AS own USING (virtualtransaction)
            WHERE writer.locktype = 'relation' AND writer.mode = 'RowExclusiveLock' AND writer.relation = feed
                AND writer.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND own.locktype = 'transactionid' AND own.mode = 'ExclusiveLock'
        ) AS writing;
    END IF;
    IF oldest <= "position" THEN
        "position" := oldest;
        row_id := 0; -- row ids begin at 1
    END IF;
    "position" := "position" + base;
END
$$;

-- The numbers of a cursor: a position, a row id, and for a change the number of changes of the row that were read. Null
-- and '0' are the beginning. A single number is a cursor of a release without positions.
CREATE OR REPLACE FUNCTION :"schema".read_cursor(
    cursor text, OUT "position" bigint, OUT row_id bigint, OUT changes integer
)
LANGUAGE plpgsql IMMUTABLE SET search_path = :"schema", pg_temp
AS $$
DECLARE
    parts CONSTANT text[] := string_to_array(coalesce(cursor, '0'), '-');
BEGIN
    IF NOT coalesce(cursor, '0') ~ '^[0-9]{1,18}(-[0-9]{1,18}(-[0-9]{1,9})?)?$' THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('%L is no cursor', cursor),
            HINT = 'Pass the cursor of the last row that was read, or ''0'' for the beginning.';
    END IF;
    "position" := CASE WHEN cardinality(parts) = 1 THEN 0 ELSE parts[1]::bigint END;
    row_id := CASE WHEN cardinality(parts) = 1 THEN parts[1] ELSE parts[2] END;
    changes := parts[3];
END
$$;

-- The stores that a feed is read for: the given one, or those of a caller who may not read all. Null: all stores.
CREATE OR REPLACE FUNCTION :"schema".feed_stores(store_id text) RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
BEGIN
    IF store_id IS NOT NULL THEN
        RETURN ARRAY[store_id];
    ELSIF can_read_all_stores() THEN
        RETURN NULL;
    END IF;
    RETURN ARRAY(SELECT my_grants.store_id FROM my_grants);
END
$$;

-- Raises an error for a number of rows that no page can have.
CREATE OR REPLACE FUNCTION :"schema".check_page(max_rows integer) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = :"schema", pg_temp
AS $$
BEGIN
    IF max_rows IS NULL OR max_rows NOT BETWEEN 1 AND 100000 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('max_rows must be 1 to 100000, not %s', coalesce(max_rows::text, 'null'));
    END IF;
END
$$;

-- The notifications after a cursor, at most `max_rows`, each with the cursor after it. An item's notifications are in
-- the order of its versions.
CREATE OR REPLACE FUNCTION :"schema".notifications_after(
    after_cursor text, max_rows integer DEFAULT 100, only_store text DEFAULT NULL
) RETURNS TABLE (
    notification_id bigint, job_id bigint, version bigint, available_before bigint, available_after bigint,
    low_stock_threshold bigint, created_at timestamptz, kind :"schema".notification_kind, store_id text, item_id text,
    location_id text, cursor text
)
LANGUAGE plpgsql ROWS 100 SET search_path = :"schema", pg_temp SET jit = off SET enable_seqscan = off
    SET enable_bitmapscan = off
AS $$
#variable_conflict use_column
DECLARE
    start record;
    horizon record;
    stores CONSTANT text[] := feed_stores(only_store);
BEGIN
    PERFORM check_page(max_rows);
    start := read_cursor(after_cursor);
    horizon := feed_horizon('notifications'::regclass, 'notifications_notification_id_seq'::regclass);
    IF stores IS NULL THEN
        RETURN QUERY
        SELECT n.notification_id, n.job_id, n.version, n.available_before, n.available_after, n.low_stock_threshold,
            n.created_at, n.kind, n.store_id, n.item_id, n.location_id, n.position || '-' || n.notification_id
        FROM notifications AS n
        WHERE (n.position, n.notification_id) > (start.position, start.row_id)
            AND (n.position, n.notification_id) <= (horizon.position, horizon.row_id)
        ORDER BY n.position, n.notification_id
        LIMIT max_rows;
    ELSE
        RETURN QUERY
        SELECT n.notification_id, n.job_id, n.version, n.available_before, n.available_after, n.low_stock_threshold,
            n.created_at, n.kind, n.store_id, n.item_id, n.location_id, n.position || '-' || n.notification_id
        FROM unnest(stores) AS s (store_id)
        CROSS JOIN LATERAL (
            SELECT * FROM notifications AS of_store
            WHERE of_store.store_id = s.store_id
                AND (of_store.position, of_store.notification_id) > (start.position, start.row_id)
                AND (of_store.position, of_store.notification_id) <= (horizon.position, horizon.row_id)
            ORDER BY of_store.position, of_store.notification_id
            LIMIT max_rows
        ) AS n
        ORDER BY n.position, n.notification_id
        LIMIT max_rows;
    END IF;
END
$$;

-- The newest notifications that a cursor can follow, the oldest of them first.
CREATE OR REPLACE FUNCTION :"schema".last_notifications(
    max_rows integer DEFAULT 100, only_store text DEFAULT NULL
) RETURNS TABLE (
    notification_id bigint, job_id bigint, version bigint, available_before bigint, available_after bigint,
    low_stock_threshold bigint, created_at timestamptz, kind :"schema".notification_kind, store_id text, item_id text,
    location_id text, cursor text
)
LANGUAGE plpgsql ROWS 100 SET search_path = :"schema", pg_temp SET jit = off SET enable_seqscan = off
    SET enable_bitmapscan = off
AS $$
#variable_conflict use_column
DECLARE
    horizon record;
    stores CONSTANT text[] := feed_stores(only_store);
BEGIN
    horizon := feed_horizon('notifications'::regclass, 'notifications_notification_id_seq'::regclass);
    IF stores IS NULL THEN
        RETURN QUERY
        SELECT n.notification_id, n.job_id, n.version, n.available_before, n.available_after, n.low_stock_threshold,
            n.created_at, n.kind, n.store_id, n.item_id, n.location_id, n.position || '-' || n.notification_id
        FROM (
            SELECT * FROM notifications AS newest
            WHERE (newest.position, newest.notification_id) <= (horizon.position, horizon.row_id)
            ORDER BY newest.position DESC, newest.notification_id DESC
            LIMIT max_rows
        ) AS n
        ORDER BY n.position, n.notification_id;
    ELSE
        RETURN QUERY
        SELECT n.notification_id, n.job_id, n.version, n.available_before, n.available_after, n.low_stock_threshold,
            n.created_at, n.kind, n.store_id, n.item_id, n.location_id, n.position || '-' || n.notification_id
        FROM (
            SELECT of_store.* FROM unnest(stores) AS s (store_id) CROSS JOIN LATERAL (
                SELECT * FROM notifications AS newest
                WHERE newest.store_id = s.store_id
                    AND (newest.position, newest.notification_id) <= (horizon.position, horizon.row_id)
                ORDER BY newest.position DESC, newest.notification_id DESC
                LIMIT max_rows
            ) AS of_store
            ORDER BY of_store.position DESC, of_store.notification_id DESC
            LIMIT max_rows
        ) AS n
        ORDER BY n.position, n.notification_id;
    END IF;
END
$$;

-- The changes of stock after a cursor, at most `max_rows`: the applied results. Each row has the cursor after it. An
-- item's changes are in the order of its versions.
CREATE OR REPLACE FUNCTION :"schema".changes_after(
    after_cursor text, max_rows integer DEFAULT 100, only_store text DEFAULT NULL
) RETURNS TABLE (
    job_id bigint, store_id text, item_id text, location_id text, version bigint, action :"schema".action,
    quantity bigint, applied_quantity bigint, on_hand_before bigint, on_hand_after bigint, allocated_before bigint,
    allocated_after bigint, group_id text, reason text, reference text, actor text, occurred_at timestamptz,
    metadata jsonb, counted_at timestamptz, finished_at timestamptz, cursor text
)
LANGUAGE plpgsql ROWS 100 SET search_path = :"schema", pg_temp SET jit = off SET enable_seqscan = off
    SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
    start record;
    horizon record;
    stores CONSTANT text[] := feed_stores(only_store);
    entry record;
    passed integer;
    remaining integer := max_rows;
    returned integer;
BEGIN
    PERFORM check_page(max_rows);
    start := read_cursor(after_cursor);
    horizon := feed_horizon('change_log'::regclass, 'change_log_log_id_seq'::regclass);
    FOR entry IN
        SELECT c.position, c.log_id, c.job_ids
        FROM (
            (
                SELECT l.position, l.log_id, l.job_ids FROM change_log AS l
                WHERE stores IS NULL AND (l.position, l.log_id) >= (start.position, start.row_id)
                    AND (l.position, l.log_id) <= (horizon.position, horizon.row_id)
                ORDER BY l.position, l.log_id
                LIMIT max_rows + 1
            )
            UNION ALL
            (
                SELECT l.position, l.log_id, l.job_ids FROM unnest(stores) AS s (store_id)
                CROSS JOIN LATERAL (
                    SELECT * FROM change_log AS of_store
                    WHERE of_store.store_id = s.store_id
                        AND (of_store.position, of_store.log_id) >= (start.position, start.row_id)
                        AND (of_store.position, of_store.log_id) <= (horizon.position, horizon.row_id)
                    ORDER BY of_store.position, of_store.log_id
                    LIMIT max_rows + 1
                ) AS l
            )
        ) AS c
        ORDER BY c.position, c.log_id
    LOOP
        passed := 0;
        IF (entry.position, entry.log_id) = (start.position, start.row_id) THEN
            CONTINUE WHEN start.changes IS NULL; -- all of it was read
            passed := start.changes;
        END IF;
        WHILE passed < cardinality(entry.job_ids) AND remaining > 0 LOOP
            RETURN QUERY
            SELECT r.job_id, r.store_id, r.item_id, r.location_id, r.version, r.action, r.quantity, r.applied_quantity,
                r.on_hand_before, r.on_hand_after, r.allocated_before, r.allocated_after, r.group_id, r.reason,
                r.reference, r.actor, r.occurred_at, r.metadata, r.counted_at, r.finished_at,
                entry.position || '-' || entry.log_id
                    || CASE WHEN passed + number < cardinality(entry.job_ids) THEN '-' || passed + number ELSE '' END
            FROM unnest(entry.job_ids[passed + 1 : passed + remaining]) WITH ORDINALITY AS change (job_id, number)
            JOIN results AS r ON r.job_id = change.job_id
            ORDER BY number;
            GET DIAGNOSTICS returned = ROW_COUNT;
            -- Retention may have dropped results that the log still has.
            passed := passed + remaining;
            remaining := remaining - returned;
        END LOOP;
        EXIT WHEN remaining = 0;
    END LOOP;
END
$$;

-- The cursor after which the notifications of a time begin; without a time, those that are still to come.
CREATE OR REPLACE FUNCTION :"schema".notifications_cursor(since timestamptz DEFAULT NULL) RETURNS text
LANGUAGE plpgsql SET search_path = :"schema", pg_temp SET jit = off
AS $$
DECLARE
    horizon record;
    first_position bigint;
    first_id bigint;
BEGIN
    horizon := feed_horizon('notifications'::regclass, 'notifications_notification_id_seq'::regclass);
    IF since IS NOT NULL THEN
        SELECT n.position, n.notification_id INTO first_position, first_id FROM notifications AS n
        WHERE n.created_at >= since AND (n.position, n.notification_id) <= (horizon.position, horizon.row_id)
        ORDER BY n.position, n.notification_id
        LIMIT 1;
    END IF;
    RETURN coalesce(first_position || '-' || first_id - 1, horizon.position || '-' || horizon.row_id);
END
$$;

-- The cursor after which the changes of a time begin; without a time, those that are still to come.
CREATE OR REPLACE FUNCTION :"schema".changes_cursor(since timestamptz DEFAULT NULL) RETURNS text
LANGUAGE plpgsql SET search_path = :"schema", pg_temp SET jit = off
AS $$
DECLARE
    horizon record;
    first_position bigint;
    first_id bigint;
BEGIN
    horizon := feed_horizon('change_log'::regclass, 'change_log_log_id_seq'::regclass);
    IF since IS NOT NULL THEN
        SELECT l.position, l.log_id INTO first_position, first_id FROM change_log AS l
        WHERE l.created_at >= since AND (l.position, l.log_id) <= (horizon.position, horizon.row_id)
        ORDER BY l.position, l.log_id
        LIMIT 1;
    END IF;
    RETURN coalesce(first_position || '-' || first_id - 1, horizon.position || '-' || horizon.row_id);
END
$$;

-- Makes new positions greater than those that a restored dump brought. Workers call it before they start. Returns
-- whether it was needed.
CREATE OR REPLACE FUNCTION :"schema".rebase_feeds() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
DECLARE
    base bigint;
    newest bigint;
    present bigint;
BEGIN
    FOR step IN 1..2 LOOP
        base := coalesce(pg_sequence_last_value('feed_base'::regclass), 0);
        newest := greatest((SELECT max(position) FROM notifications), (SELECT max(position) FROM change_log));
        -- In a statement of its own, after the rows: each of them is below this xmax.
        present := pg_snapshot_xmax(pg_current_snapshot())::text::bigint;
        IF newest IS NULL OR newest <= base + present THEN
            RETURN false;
        END IF;
        -- No other transaction writes meanwhile. Look again under the lock.
        LOCK TABLE notifications, change_log IN SHARE ROW EXCLUSIVE MODE;
    END LOOP;
    PERFORM setval('feed_base', newest - present + 2);
    RETURN true;
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA :"schema" FROM PUBLIC;
