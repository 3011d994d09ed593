-- Which notifications are sent: policies of stores, and snoozed items. Repeatable: applied again whenever this text
-- changes; a change of a signature needs a migration.
--
-- Notifications are never changed. In an announced store the fan-out (delivery.sql) reads them in the order of the feed
-- and writes an announcement for each one that is sent. For an item it compares the level after the last notification
-- with the level that was announced last. If they differ, the level is announced
--
-- - when it changed; an item that was announced as low is restocked when its available stock exceeds the threshold by
--   more than the margin, which the results since the notification show;
-- - and not before the quiet period since the last announcement and the snooze of the item have ended. That it ran out
--   waits for no quiet period: a merchant must know, and two such messages have the end of a quiet period between them.
--   If the item was retired before, it is not announced.
-- - An item that is created again with the same key is another: it begins with the level before its first notification,
--   and no quiet period goes on. A snooze belongs to the key, and goes on.
--
-- All this follows from rows of the ledger and their times, in whatever steps the fan-out reads them, and whether there
-- are subscriptions or not. So `verify` can repeat it. Policies and snoozes are set under the lock of
-- delivery_progress and count from its position.

-- Whether a result is one side of a transfer: in its group the same item has as much less, or more, at another
-- location.
CREATE OR REPLACE FUNCTION :"schema".is_transfer(line :"schema".results) RETURNS boolean
LANGUAGE sql STABLE SET search_path = :"schema", pg_temp SET jit = off
AS $$
    SELECT line.action = 'adjust' AND line.group_id IS NOT NULL AND EXISTS (
        SELECT FROM results AS first
        JOIN results AS other ON other.job_id BETWEEN first.job_id AND first.group_last_job_id
        WHERE first.group_id = line.group_id AND first.store_id = line.store_id
            AND first.group_last_job_id IS NOT NULL AND line.job_id BETWEEN first.job_id AND first.group_last_job_id
            AND (other.group_id, other.store_id, other.submission_id)
                = (line.group_id, line.store_id, line.submission_id)
            AND other.item_id = line.item_id AND other.location_id <> line.location_id AND other.action = 'adjust'
            AND other.outcome = 'applied' AND other.applied_quantity = -line.applied_quantity
    )
$$;

-- Whether a job transferred stock to a location that never sold the item: none of its changes there before took stock
-- away, but for transfers. After 1,000 changes an item counts as sold.
CREATE OR REPLACE FUNCTION :"schema".is_first_supply(job_id bigint) RETURNS boolean
LANGUAGE sql STABLE SET search_path = :"schema", pg_temp SET jit = off
AS $$
    SELECT EXISTS (SELECT FROM results AS r WHERE r.job_id = $1 AND r.applied_quantity > 0 AND is_transfer(r))
        AND NOT EXISTS (
            WITH RECURSIVE change AS (
                SELECT r.previous_job_id AS job_id, 1 AS step FROM results AS r WHERE r.job_id = $1
                UNION ALL
                SELECT r.previous_job_id, change.step + 1
                FROM change
                JOIN results AS r ON r.job_id = change.job_id
                WHERE change.step <= 1000
            )
            SELECT FROM change
            JOIN results AS r ON r.job_id = change.job_id
            WHERE change.step > 1000
                OR (r.on_hand_after - r.allocated_after < r.on_hand_before - r.allocated_before AND NOT is_transfer(r))
        )
$$;

-- The policy in force of a store. Without one there is no quiet period and no margin.
CREATE OR REPLACE FUNCTION :"schema".alert_policy(store_id text) RETURNS :"schema".alert_policies
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
DECLARE
    policy alert_policies;
BEGIN
    SELECT * INTO policy FROM alert_policies AS p
    WHERE p.store_id = alert_policy.store_id
    ORDER BY p.policy_id DESC
    LIMIT 1;
    policy.quiet_period := coalesce(policy.quiet_period, interval '0');
    policy.rearm_margin := coalesce(policy.rearm_margin, 0);
    RETURN policy;
END
$$;

-- The item with the time at which its level is due.
CREATE OR REPLACE FUNCTION :"schema".with_due_time(item :"schema".announced_items) RETURNS :"schema".announced_items
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
BEGIN
    item.due_at := CASE WHEN item.ready_at IS NOT NULL THEN greatest(
        item.ready_at, item.not_before,
        CASE WHEN item.level <> 'out' THEN item.announced_at + (alert_policy(item.store_id)).quiet_period END,
        (
            SELECT s.until FROM snoozes AS s
            WHERE (s.item_id, s.store_id, s.location_id) = (item.item_id, item.store_id, item.location_id)
            ORDER BY s.snooze_id DESC
            LIMIT 1
        ))
    END;
    RETURN item;
END
$$;

-- The item as the policy and the snooze in force have it after its last notification.
CREATE OR REPLACE FUNCTION :"schema".decide_item(item :"schema".announced_items) RETURNS :"schema".announced_items
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
DECLARE
    n notifications;
    rearm_above bigint;
BEGIN
    SELECT * INTO n FROM notifications WHERE notification_id = item.notification_id;
    item.searched_version := n.version;
    item.ready_at := NULL;
    item.rearm_above := NULL;
    item.rearmed_by := NULL;
    IF item.level <> item.announced_level THEN
        IF item.announced_level = 'low' AND item.level = 'ok' THEN
            rearm_above := n.low_stock_threshold + (alert_policy(item.store_id)).rearm_margin;
        END IF;
        IF n.available_after <= rearm_above THEN
            item.rearm_above := rearm_above;
        ELSE
            item.ready_at := n.created_at;
        END IF;
    END IF;
    RETURN with_due_time(item);
END
$$;

-- The item without what is due only after it was retired.
CREATE OR REPLACE FUNCTION :"schema".unless_retired(item :"schema".announced_items) RETURNS :"schema".announced_items
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
BEGIN
    IF item.due_at IS NOT NULL AND EXISTS (
        SELECT FROM retired_items AS r
        WHERE (r.store_id, r.item_id, r.location_id) = (item.store_id, item.item_id, item.location_id)
            AND r.last_notification_id >= item.notification_id AND r.retired_at < item.due_at
    ) THEN
        item.ready_at := NULL;
        item.due_at := NULL;
    END IF;
    RETURN item;
END
$$;

-- Looks for the change, up to a version, with which the item exceeds the margin.
CREATE OR REPLACE FUNCTION :"schema".search_rise(
    item :"schema".announced_items, last_job bigint, last_version bigint
) RETURNS :"schema".announced_items
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
DECLARE
    rise record;
BEGIN
    -- From the last job back, from each result to the one before it. An item that was created again with the same key
    -- has a chain of its own, as the retired item had.
    WITH RECURSIVE change AS (
        SELECT r.job_id, r.previous_job_id, r.version, r.on_hand_after - r.allocated_after AS available, r.finished_at
        FROM (
            SELECT last_job AS job_id
            UNION
            SELECT t.last_job_id FROM retired_items AS t
            WHERE (t.store_id, t.item_id, t.location_id) = (item.store_id, item.item_id, item.location_id)
                AND t.version > item.searched_version
        ) AS last
        JOIN results AS r ON r.job_id = last.job_id
        WHERE r.version > item.searched_version
        UNION ALL
        SELECT r.job_id, r.previous_job_id, r.version, r.on_hand_after - r.allocated_after, r.finished_at
        FROM change
        JOIN results AS r ON r.job_id = change.previous_job_id
        WHERE r.version > item.searched_version
    )
    SELECT change.job_id, change.finished_at INTO rise
    FROM change
    WHERE change.available > item.rearm_above AND change.version <= last_version
    ORDER BY change.version
    LIMIT 1;
    IF FOUND THEN
        item.ready_at := rise.finished_at;
        item.rearmed_by := rise.job_id;
        item.rearm_above := NULL;
    END IF;
    item.searched_version := greatest(item.searched_version, last_version);
    RETURN with_due_time(item);
END
$$;

-- Writes the announcement of an item that is due.
CREATE OR REPLACE FUNCTION :"schema".announce(item :"schema".announced_items, is_sent boolean DEFAULT true)
RETURNS :"schema".announced_items
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
BEGIN
    INSERT INTO announcements (
        notification_id, store_id, item_id, location_id, kind, alert_before, alert_after, job_id, version,
        available_before, available_after, low_stock_threshold, is_sent, announced_at
    )
    SELECT n.notification_id, n.store_id, n.item_id, n.location_id, kind_of(item.announced_level, item.level),
        item.announced_level, item.level, coalesce(r.job_id, n.job_id), coalesce(r.version, n.version),
        coalesce(r.on_hand_before - r.allocated_before, n.available_before),
        coalesce(r.on_hand_after - r.allocated_after, n.available_after), n.low_stock_threshold, announce.is_sent,
        item.due_at
    FROM notifications AS n
    LEFT JOIN results AS r ON r.job_id = item.rearmed_by
    WHERE n.notification_id = item.notification_id;
    item.announced_level := item.level;
    item.announced_at := CASE WHEN announce.is_sent THEN item.due_at ELSE item.announced_at END;
    item.ready_at := NULL;
    item.due_at := NULL;
    RETURN item;
END
$$;

-- Keeps an item's row.
CREATE OR REPLACE FUNCTION :"schema".save_announced_item(item :"schema".announced_items) RETURNS void
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
BEGIN
    INSERT INTO announced_items SELECT item.*
    ON CONFLICT ON CONSTRAINT announced_items_pkey DO UPDATE
    SET notification_id = excluded.notification_id, level = excluded.level,
        announced_level = excluded.announced_level, announced_at = excluded.announced_at,
        rearm_above = excluded.rearm_above, searched_version = excluded.searched_version,
        rearmed_by = excluded.rearmed_by, ready_at = excluded.ready_at, not_before = excluded.not_before,
        due_at = excluded.due_at;
END
$$;

-- Decides the notifications of announced stores in a part of the feed, in order. Returns the notifications that were
-- announced.
CREATE OR REPLACE FUNCTION :"schema".announce_notifications(
    from_position bigint, from_row bigint, to_position bigint, to_row bigint
) RETURNS bigint[]
LANGUAGE plpgsql SET search_path = :"schema", pg_temp SET jit = off SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    n notifications;
    item announced_items;
    -- The level before the notification, as its kind says; of out_of_stock it may be low too.
    level_before alert_level;
    announced bigint[] := '{}';
BEGIN
    FOR n IN
        SELECT x.* FROM notifications AS x
        JOIN announced_stores AS s ON s.store_id = x.store_id
        WHERE (x.position, x.notification_id) > (announce_notifications.from_position, announce_notifications.from_row)
            AND (x.position, x.notification_id) <= (to_position, to_row)
            AND (x.position, x.notification_id) > (s.from_position, s.from_row)
        ORDER BY x.position, x.notification_id
    LOOP
        level_before := CASE n.kind WHEN 'restocked' THEN 'low' WHEN 'back_in_stock' THEN 'out' ELSE 'ok' END;
        SELECT * INTO item FROM announced_items AS i
        WHERE (i.item_id, i.store_id, i.location_id) = (n.item_id, n.store_id, n.location_id);
        IF NOT FOUND THEN
            item.store_id := n.store_id;
            item.item_id := n.item_id;
            item.location_id := n.location_id;
            item.announced_level := level_before;
        ELSE
            IF item.rearm_above IS NOT NULL THEN
                item := search_rise(
                    item,
                    CASE WHEN n.job_id IS NOT NULL
                        THEN (SELECT r.previous_job_id FROM results AS r WHERE r.job_id = n.job_id)
                        ELSE (
                            SELECT i.last_job_id FROM items AS i
                            WHERE (i.store_id, i.item_id, i.location_id) = (n.store_id, n.item_id, n.location_id)
                        )
                    END,
                    CASE WHEN n.job_id IS NOT NULL THEN n.version - 1 ELSE n.version END);
            END IF;
            item := unless_retired(item);
            IF item.due_at <= n.created_at THEN
                item := announce(item);
                announced := announced || item.notification_id;
            END IF;
            IF EXISTS (
                SELECT FROM retired_items AS r
                WHERE (r.store_id, r.item_id, r.location_id) = (n.store_id, n.item_id, n.location_id)
                    AND r.last_notification_id >= item.notification_id AND r.last_notification_id < n.notification_id
            ) THEN
                item.announced_level := level_before;
                item.announced_at := NULL;
            -- A job without notifications made the level better in between.
            ELSIF (CASE n.kind WHEN 'out_of_stock' THEN item.level = 'out' ELSE item.level <> level_before END) THEN
                item.announced_level := level_before;
            END IF;
        END IF;
        item.notification_id := n.notification_id;
        item.level := level_of(n.available_after, n.low_stock_threshold);
        item.not_before := NULL;
        item := decide_item(item);
        IF item.level <> item.announced_level AND n.kind = 'back_in_stock' AND is_first_supply(n.job_id) THEN
            item.due_at := n.created_at;
            item := announce(item, is_sent => false);
        ELSIF item.due_at <= n.created_at THEN
            item := announce(item);
            announced := announced || item.notification_id;
        END IF;
        PERFORM save_announced_item(item);
    END LOOP;
    RETURN announced;
END
$$;

-- Whether announce_due has something to do.
CREATE OR REPLACE FUNCTION :"schema".is_announcement_due() RETURNS boolean
LANGUAGE sql STABLE SET search_path = :"schema", pg_temp SET jit = off SET enable_seqscan = off
AS $$
    SELECT EXISTS (SELECT FROM announced_items WHERE due_at <= now())
        OR EXISTS (
            SELECT FROM announced_items AS waiting
            JOIN items AS i USING (store_id, item_id, location_id)
            WHERE waiting.rearm_above IS NOT NULL AND i.version > waiting.searched_version
        )
$$;

-- Announces the levels that have become due since their notifications, at most `max_rows`. Returns their notifications.
CREATE OR REPLACE FUNCTION :"schema".announce_due(max_rows integer) RETURNS bigint[]
LANGUAGE plpgsql SET search_path = :"schema", pg_temp SET jit = off SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    item announced_items;
    found_item record;
    announced bigint[] := '{}';
BEGIN
    FOR found_item IN
        SELECT waiting, i.last_job_id, i.version
        FROM announced_items AS waiting
        JOIN items AS i USING (store_id, item_id, location_id)
        WHERE waiting.rearm_above IS NOT NULL AND i.version > waiting.searched_version
            -- A later notification comes first: it is committed, and not read yet.
            AND NOT EXISTS (
                SELECT FROM notifications AS n
                WHERE (n.item_id, n.store_id, n.location_id)
                        = (waiting.item_id, waiting.store_id, waiting.location_id)
                    AND n.job_id IS NOT NULL AND n.version > waiting.searched_version
            )
            AND NOT EXISTS (
                SELECT FROM threshold_changes AS c
                WHERE (c.item_id, c.store_id, c.location_id)
                        = (waiting.item_id, waiting.store_id, waiting.location_id)
                    AND c.notification_id > waiting.notification_id
            )
        LIMIT max_rows
    LOOP
        item := found_item.waiting;
        PERFORM save_announced_item(search_rise(item, found_item.last_job_id, found_item.version));
    END LOOP;
    FOR item IN SELECT * FROM announced_items AS i WHERE i.due_at <= now() ORDER BY i.due_at LIMIT max_rows LOOP
        item := unless_retired(item);
        IF item.due_at IS NOT NULL THEN
            item := announce(item);
            announced := announced || item.notification_id;
        END IF;
        PERFORM save_announced_item(item);
    END LOOP;
    RETURN announced;
END
$$;

-- Locks the progress of the fan-out, and returns its position. If nothing has been fanned out so far, it is the end of
-- the feed.
CREATE OR REPLACE FUNCTION :"schema".lock_delivery_progress() RETURNS :"schema".delivery_progress
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
DECLARE
    progress delivery_progress;
    horizon record;
BEGIN
    SELECT * INTO progress FROM delivery_progress FOR UPDATE;
    IF NOT EXISTS (SELECT FROM subscriptions WHERE disabled_at IS NULL)
        AND NOT EXISTS (SELECT FROM announced_stores)
    THEN
        horizon := feed_horizon('notifications'::regclass, 'notifications_notification_id_seq'::regclass);
        UPDATE delivery_progress SET position = horizon.position, row_id = horizon.row_id RETURNING * INTO progress;
    END IF;
    RETURN progress;
END
$$;

-- From here on the notifications of a store are sent as announcements say.
CREATE OR REPLACE FUNCTION :"schema".add_announced_store(store_id text, from_position bigint, from_row bigint)
RETURNS void
LANGUAGE sql SET search_path = :"schema", pg_temp
AS $$
    INSERT INTO announced_stores (store_id, from_position, from_row) VALUES ($1, $2, $3)
    ON CONFLICT ON CONSTRAINT announced_stores_pkey DO NOTHING
$$;

-- Changes how the alerts of a store are sent: a null keeps what was set, and a name in `clear` removes it.
--
-- It does not change thresholds: apply_default_threshold does that, in steps.
CREATE OR REPLACE FUNCTION :"schema".set_alert_policy(
    store_id text, default_threshold bigint DEFAULT NULL, quiet_period interval DEFAULT NULL,
    rearm_margin bigint DEFAULT NULL, clear text[] DEFAULT '{}'
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
#variable_conflict use_column
DECLARE
    progress CONSTANT delivery_progress := lock_delivery_progress();
    -- After the lock, so that the times of changes and of announcements are in one order.
    set_at CONSTANT timestamptz := clock_timestamp();
    policy alert_policies := alert_policy(set_alert_policy.store_id);
    item announced_items;
BEGIN
    IF NOT clear <@ ARRAY['default_threshold', 'quiet_period', 'rearm_margin'] THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('default_threshold, quiet_period and rearm_margin can be cleared, not %s', clear);
    END IF;
    policy.default_threshold := CASE WHEN 'default_threshold' <> ALL (clear)
        THEN coalesce(set_alert_policy.default_threshold, policy.default_threshold) END;
    policy.quiet_period := CASE WHEN 'quiet_period' = ANY (clear) THEN interval '0'
        ELSE coalesce(set_alert_policy.quiet_period, policy.quiet_period) END;
    policy.rearm_margin := CASE WHEN 'rearm_margin' = ANY (clear) THEN 0
        ELSE coalesce(set_alert_policy.rearm_margin, policy.rearm_margin) END;
    INSERT INTO alert_policies (
        store_id, default_threshold, quiet_period, rearm_margin, from_position, from_row, set_at
    ) VALUES (
        set_alert_policy.store_id, policy.default_threshold, policy.quiet_period, policy.rearm_margin,
        progress.position, progress.row_id, set_at);
    IF policy.quiet_period > interval '0' OR policy.rearm_margin > 0 THEN
        PERFORM add_announced_store(set_alert_policy.store_id, progress.position, progress.row_id);
    END IF;
    FOR item IN
        SELECT * FROM announced_items AS i
        WHERE i.store_id = set_alert_policy.store_id AND i.level <> i.announced_level
    LOOP
        item.not_before := set_at;
        PERFORM save_announced_item(decide_item(item));
    END LOOP;
    PERFORM record_operation(
        'alerts set',
        jsonb_build_object(
            'store_id', set_alert_policy.store_id, 'default_threshold', policy.default_threshold,
            'quiet_period', policy.quiet_period, 'rearm_margin', policy.rearm_margin),
        NULL);
END
$$;

-- Removes the policy of a store. Returns whether it had one. apply_default_threshold then removes the thresholds.
CREATE OR REPLACE FUNCTION :"schema".remove_alert_policy(store_id text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
DECLARE
    policy CONSTANT alert_policies := alert_policy(remove_alert_policy.store_id);
BEGIN
    IF policy.default_threshold IS NULL AND policy.quiet_period = interval '0' AND policy.rearm_margin = 0 THEN
        RETURN false;
    END IF;
    PERFORM set_alert_policy(
        remove_alert_policy.store_id, clear => '{default_threshold,quiet_period,rearm_margin}');
    RETURN true;
END
$$;

-- Gives the items of a store without a threshold of their own the default, or takes it from them: the items after a
-- key, in the order of workers, at most `max_rows`. Returns how many were seen and the key of the last one. An item
-- whose level changes with it is notified by compare_threshold().
CREATE OR REPLACE FUNCTION :"schema".apply_default_threshold(
    store_id text, after_item text DEFAULT '', after_location text DEFAULT '', max_rows integer DEFAULT 1000,
    OUT items integer, OUT last_item text, OUT last_location text
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    threshold CONSTANT bigint := (alert_policy(apply_default_threshold.store_id)).default_threshold;
BEGIN
    WITH page AS MATERIALIZED (
        SELECT i.store_id, i.item_id, i.location_id, i.low_stock_threshold, i.threshold_is_default
        FROM items AS i
        WHERE i.store_id = apply_default_threshold.store_id
            AND (i.item_id, i.location_id) > (after_item, after_location)
        ORDER BY i.item_id, i.location_id
        LIMIT max_rows
    ), locked AS MATERIALIZED (
        SELECT i.store_id, i.item_id, i.location_id
        FROM page
        JOIN items AS i USING (store_id, item_id, location_id)
        WHERE (page.threshold_is_default OR page.low_stock_threshold IS NULL)
            AND page.low_stock_threshold IS DISTINCT FROM threshold
        ORDER BY i.store_id, i.item_id, i.location_id
        FOR NO KEY UPDATE OF i
    ), changed AS (
        UPDATE items AS i
        SET low_stock_threshold = NULL, updated_at = now() -- compare_threshold() fills in the default
        FROM locked
        WHERE (i.store_id, i.item_id, i.location_id) = (locked.store_id, locked.item_id, locked.location_id)
            AND (i.threshold_is_default OR i.low_stock_threshold IS NULL)
    )
    SELECT count(*), (array_agg(p.item_id ORDER BY p.item_id DESC, p.location_id DESC))[1],
        (array_agg(p.location_id ORDER BY p.item_id DESC, p.location_id DESC))[1]
    INTO items, last_item, last_location
    FROM page AS p;
END
$$;

-- Sends no message about an item until a time; null ends that. Returns whether the item exists.
CREATE OR REPLACE FUNCTION :"schema".snooze_item(
    store_id text, item_id text, until timestamptz, location_id text DEFAULT NULL
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
#variable_conflict use_column
DECLARE
    location CONSTANT text := coalesce(snooze_item.location_id, (job_defaults()).location_id);
    progress delivery_progress;
    set_at timestamptz;
    item announced_items;
BEGIN
    IF NOT EXISTS (
        SELECT FROM items AS i
        WHERE (i.store_id, i.item_id, i.location_id) = (snooze_item.store_id, snooze_item.item_id, location)
    ) THEN
        RETURN false;
    END IF;
    progress := lock_delivery_progress();
    set_at := clock_timestamp();
    INSERT INTO snoozes (store_id, item_id, location_id, until, from_position, from_row, set_at)
    VALUES (
        snooze_item.store_id, snooze_item.item_id, location, coalesce(snooze_item.until, set_at), progress.position,
        progress.row_id, set_at);
    PERFORM add_announced_store(snooze_item.store_id, progress.position, progress.row_id);
    SELECT * INTO item FROM announced_items AS i
    WHERE (i.item_id, i.store_id, i.location_id) = (snooze_item.item_id, snooze_item.store_id, location)
        AND i.level <> i.announced_level;
    IF FOUND THEN
        item.not_before := set_at;
        PERFORM save_announced_item(decide_item(item));
    END IF;
    PERFORM record_operation(
        'items snooze',
        jsonb_build_object(
            'store_id', snooze_item.store_id, 'item_id', snooze_item.item_id, 'location_id', location,
            'until', snooze_item.until),
        NULL);
    RETURN true;
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA :"schema" FROM PUBLIC;
