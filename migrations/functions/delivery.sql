-- Delivery of notifications to subscriptions. Repeatable: applied again whenever this text changes; a change of a
-- signature needs a migration.
--
-- A deliverer calls fan_out_deliveries, claim_deliveries and finish_deliveries in turn. A claim is committed before the
-- message is sent, with a time at which the attempt counts as lost: no transaction is open while a receiver is slow,
-- and what a crashed deliverer had claimed is sent again. So each message is sent at least once.

-- The name of a notification's event.
CREATE OR REPLACE FUNCTION :"schema".event_of(kind :"schema".notification_kind) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = :"schema", pg_temp
AS $$
    SELECT CASE kind WHEN 'low_stock' THEN 'stock.low' WHEN 'out_of_stock' THEN 'stock.out' ELSE 'stock.' || kind END
$$;

-- The next time after `after` at which a clock of the time zone shows `digest_at`.
CREATE OR REPLACE FUNCTION :"schema".next_digest(digest_at time, time_zone text, after timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = :"schema", pg_temp
AS $$
    SELECT min(due) FROM (
        SELECT ((after AT TIME ZONE time_zone)::date + day + digest_at) AT TIME ZONE time_zone AS due
        FROM generate_series(0, 2) AS day
    ) AS days
    WHERE due > after
$$;

-- What is sent of the notifications of a part of the feed, and of older ones that were announced since, as deliveries
-- to enabled subscriptions, in order. Returns how many.
CREATE OR REPLACE FUNCTION :"schema".insert_deliveries(
    from_position bigint, from_row bigint, to_position bigint, to_row bigint, only_subscription bigint DEFAULT NULL,
    announced bigint[] DEFAULT '{}'
) RETURNS integer
LANGUAGE plpgsql SET search_path = :"schema", pg_temp SET enable_seqscan = off
AS $$
DECLARE
    inserted integer;
BEGIN
    INSERT INTO deliveries (
        subscription_id, message_id, event, store_id, item_id, location_id, data, occurred_at, next_attempt_at
    )
    SELECT s.subscription_id, 'msg_' || s.subscription_id || '_' || n.notification_id, event_of(n.kind), n.store_id,
        n.item_id, n.location_id,
        json_build_object(
            'notification_id', n.notification_id, 'store_id', n.store_id, 'item_id', n.item_id,
            'location_id', n.location_id, 'available', n.available_after, 'available_before', n.available_before,
            'low_stock_threshold', n.low_stock_threshold, 'version', n.version, 'job_id', n.job_id,
            'cause', json_build_object(
                'action', CASE WHEN n.job_id IS NULL THEN 'threshold' ELSE r.action::text END,
                'quantity', r.applied_quantity, 'reference', r.reference, 'reason', r.reason)),
        n.occurred_at,
        CASE WHEN s.channel = 'mail' THEN coalesce(s.next_digest_at, now() + s.digest_window, now()) ELSE now() END
    FROM (
        SELECT m.*, false AS is_late FROM alert_messages AS m
        WHERE (m.position, m.notification_id) > (from_position, from_row)
            AND (m.position, m.notification_id) <= (to_position, to_row)
        UNION ALL
        SELECT m.*, true FROM alert_messages AS m
        WHERE m.notification_id = ANY (announced) AND (m.position, m.notification_id) <= (from_position, from_row)
    ) AS n
    LEFT JOIN results AS r ON r.job_id = n.job_id
    CROSS JOIN LATERAL (
        SELECT * FROM subscriptions AS of_store WHERE of_store.store_id = n.store_id
        UNION ALL
        SELECT * FROM subscriptions AS of_all WHERE of_all.store_id IS NULL
    ) AS s
    WHERE s.disabled_at IS NULL AND event_of(n.kind) = ANY (s.events)
        AND starts_with(n.item_id, s.item_prefix) AND starts_with(n.location_id, s.location_prefix)
        AND CASE
            WHEN only_subscription IS NULL THEN
                n.is_late OR (n.position, n.notification_id) > (s.start_position, s.start_row)
            ELSE s.subscription_id = only_subscription
        END
        AND (n.is_announced OR n.kind <> 'back_in_stock' OR r.group_id IS NULL OR NOT is_first_supply(n.job_id))
    ORDER BY n.position, n.notification_id, s.subscription_id;
    GET DIAGNOSTICS inserted = ROW_COUNT;
    RETURN inserted;
END
$$;

-- Makes deliveries of the notifications that are new, at most `max_rows`, and of the changes for who wants them all.
-- Returns how many notifications were read and how many deliveries were made, NULL while no subscription is enabled and
-- no store announced. Only one process at a time does it.
CREATE OR REPLACE FUNCTION :"schema".fan_out_deliveries(
    max_rows integer DEFAULT 1000, OUT notifications integer, OUT deliveries integer
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    progress delivery_progress;
    horizon record;
    last_position bigint;
    last_row bigint;
    announced bigint[];
    digest record;
BEGIN
    -- Announcements do not depend on subscriptions.
    IF NOT EXISTS (SELECT FROM subscriptions WHERE disabled_at IS NULL)
        AND NOT EXISTS (SELECT FROM announced_stores)
    THEN
        RETURN;
    END IF;
    notifications := 0;
    deliveries := 0;
    -- A poll that finds nothing writes nothing, and a row lock is a write.
    SELECT * INTO progress FROM delivery_progress;
    horizon := feed_horizon('notifications'::regclass, 'notifications_notification_id_seq'::regclass);
    IF NOT EXISTS (
            SELECT FROM notifications AS n
            WHERE (n.position, n.notification_id) > (progress.position, progress.row_id)
                AND (n.position, n.notification_id) <= (horizon.position, horizon.row_id)
        )
        AND NOT EXISTS (
            SELECT FROM subscriptions AS s
            WHERE s.disabled_at IS NULL AND (s.next_digest_at <= now() OR s.changes_cursor IS NOT NULL)
        )
        AND NOT is_announcement_due()
    THEN
        RETURN;
    END IF;
    SELECT * INTO progress FROM delivery_progress FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN; -- another process does it
    END IF;
    SELECT count(*), max(position), max(notification_id) FILTER (WHERE is_last)
    INTO notifications, last_position, last_row
    FROM (
        SELECT n.position, n.notification_id, lead(n.position) OVER () IS NULL AS is_last FROM (
            SELECT * FROM notifications AS newer
            WHERE (newer.position, newer.notification_id) > (progress.position, progress.row_id)
                AND (newer.position, newer.notification_id) <= (horizon.position, horizon.row_id)
            ORDER BY newer.position, newer.notification_id
            LIMIT max_rows
        ) AS n
    ) AS page;
    last_position := coalesce(last_position, progress.position);
    last_row := coalesce(last_row, progress.row_id);
    announced := announce_notifications(progress.position, progress.row_id, last_position, last_row);
    -- A level is due as the notifications have it, so all of them are read first.
    IF notifications < max_rows THEN
        announced := announced || announce_due(max_rows);
    END IF;
    deliveries := insert_deliveries(
        progress.position, progress.row_id, last_position, last_row, announced => announced);
    IF notifications > 0 THEN
        UPDATE delivery_progress SET position = last_position, row_id = last_row;
    END IF;
    deliveries := deliveries + fan_out_changes();
    FOR digest IN
        SELECT * FROM subscriptions AS s WHERE s.next_digest_at <= now() AND s.disabled_at IS NULL FOR UPDATE
    LOOP
        -- The mail lists what is low or out now, and what has become pending since the last digest.
        INSERT INTO deliveries (
            subscription_id, message_id, event, store_id, item_id, location_id, data, occurred_at
        ) VALUES (
            digest.subscription_id,
            'msg_' || digest.subscription_id || '_digest_' || extract(epoch FROM digest.next_digest_at)::bigint,
            'stock.digest', coalesce(digest.store_id, ''), '', '', '{}', digest.next_digest_at);
        UPDATE subscriptions SET next_digest_at = next_digest(digest.digest_at, digest.time_zone, now())
        WHERE subscription_id = digest.subscription_id;
        deliveries := deliveries + 1;
    END LOOP;
END
$$;

-- Makes messages of at most 100 changes each for the subscriptions to every change: a few ahead of those that are on
-- their way, one after the other. Returns how many.
CREATE OR REPLACE FUNCTION :"schema".fan_out_changes() RETURNS integer
LANGUAGE plpgsql SET search_path = :"schema", pg_temp SET jit = off
AS $$
DECLARE
    s record;
    page record;
    ahead integer;
    made integer := 0;
BEGIN
    FOR s IN SELECT * FROM subscriptions WHERE changes_cursor IS NOT NULL AND disabled_at IS NULL LOOP
        SELECT count(*) INTO ahead FROM deliveries AS d
        WHERE d.subscription_id = s.subscription_id AND d.state = 'pending' AND d.item_id = '' AND d.store_id = ''
            AND d.location_id = '';
        FOR step IN ahead + 1..10 LOOP
            SELECT count(*) AS changes, (array_agg(c.cursor ORDER BY number DESC))[1] AS cursor,
                max(c.finished_at) AS occurred_at,
                json_agg(
                    json_build_object(
                        'store_id', c.store_id, 'item_id', c.item_id, 'location_id', c.location_id,
                        'version', c.version, 'job_id', c.job_id, 'action', c.action, 'quantity', c.applied_quantity,
                        'on_hand', c.on_hand_after, 'allocated', c.allocated_after,
                        'available', c.on_hand_after - c.allocated_after, 'reference', c.reference,
                        'reason', c.reason, 'actor', c.actor, 'occurred_at', native_time(c.occurred_at),
                        'metadata', c.metadata)
                    ORDER BY number
                ) FILTER (
                    WHERE starts_with(c.item_id, s.item_prefix) AND starts_with(c.location_id, s.location_prefix)
                ) AS list
            INTO page
            FROM changes_after(s.changes_cursor, 100, s.store_id) WITH ORDINALITY AS c (
                job_id, store_id, item_id, location_id, version, action, quantity, applied_quantity, on_hand_before,
                on_hand_after, allocated_before, allocated_after, group_id, reason, reference, actor, occurred_at,
                metadata, counted_at, finished_at, cursor, number);
            EXIT WHEN page.changes = 0;
            s.changes_cursor := page.cursor;
            CONTINUE WHEN page.list IS NULL;
            INSERT INTO deliveries (
                subscription_id, message_id, event, store_id, item_id, location_id, data, occurred_at
            ) VALUES (
                s.subscription_id, 'msg_' || s.subscription_id || '_c' || page.cursor, 'stock.changed', '', '', '',
                json_build_object('changes', page.list), page.occurred_at);
            made := made + 1;
        END LOOP;
        UPDATE subscriptions AS u SET changes_cursor = s.changes_cursor
        WHERE u.subscription_id = s.subscription_id AND u.changes_cursor <> s.changes_cursor;
    END LOOP;
    RETURN made;
END
$$;

-- Claims due deliveries for `lease`: at most `max_rows`, at most `each_max` of a subscription, none of those in `busy`.
-- Of an item's deliveries to a subscription only the first is claimed. A mail is one claim of all that are pending for
-- its subscription.
--
-- A session keeps the plans that it made while there were no deliveries. So each look has one order that one index has,
-- and nothing is sorted: a look for an item's first delivery that names the item by equality may use deliveries_due,
-- and read all that are pending (3.7 ms a message with 20,000 pending ones; now 0.05).
CREATE OR REPLACE FUNCTION :"schema".claim_deliveries(
    max_rows integer, each_max integer, busy bigint[], lease interval
) RETURNS TABLE (
    delivery_id bigint, subscription_id bigint, claim_id bigint, channel text, target text, secrets text[],
    message_id text, event text, data text, occurred_at timestamptz, attempts smallint, name text, store_id text,
    time_zone text
)
LANGUAGE plpgsql SECURITY DEFINER ROWS 100 SET search_path = :"schema", pg_temp SET jit = off SET enable_seqscan = off
    SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_sort = off
AS $$
#variable_conflict use_column
DECLARE
    claim CONSTANT bigint := (random() * 9e15)::bigint;
BEGIN
    RETURN QUERY
    WITH RECURSIVE with_work AS (
        (
            SELECT d.subscription_id FROM deliveries AS d WHERE d.state = 'pending'
            ORDER BY d.subscription_id LIMIT 1
        )
        UNION ALL
        SELECT (
            SELECT d.subscription_id FROM deliveries AS d
            WHERE d.state = 'pending' AND d.subscription_id > with_work.subscription_id
            ORDER BY d.subscription_id LIMIT 1
        )
        FROM with_work
        WHERE with_work.subscription_id IS NOT NULL
    ), chosen AS MATERIALIZED (
        SELECT due.delivery_id, s.subscription_id, s.channel = 'mail' AS is_mail
        FROM with_work
        JOIN subscriptions AS s ON s.subscription_id = with_work.subscription_id
        CROSS JOIN LATERAL (
            SELECT d.delivery_id FROM deliveries AS d
            WHERE d.subscription_id = s.subscription_id AND d.state = 'pending' AND d.next_attempt_at <= now()
                AND (s.channel = 'mail' OR d.delivery_id = (
                    SELECT first.delivery_id FROM deliveries AS first
                    WHERE first.subscription_id = d.subscription_id AND first.state = 'pending'
                        AND (first.item_id, first.store_id, first.location_id)
                            >= (d.item_id, d.store_id, d.location_id)
                    ORDER BY first.item_id, first.store_id, first.location_id, first.delivery_id
                    LIMIT 1
                ))
            ORDER BY d.next_attempt_at
            LIMIT CASE WHEN s.channel = 'mail' THEN 1 ELSE each_max END
        ) AS due
        WHERE s.disabled_at IS NULL AND s.subscription_id <> ALL (busy)
        ORDER BY due.delivery_id
        LIMIT max_rows
    ), whole AS MATERIALIZED (
        SELECT chosen.delivery_id FROM chosen
        UNION
        SELECT also.delivery_id
        FROM chosen
        CROSS JOIN LATERAL (
            SELECT d.delivery_id FROM deliveries AS d
            -- Those of a claim that is lost come together again.
            WHERE d.subscription_id = chosen.subscription_id AND d.state = 'pending'
                AND (d.claim_id IS NULL OR d.next_attempt_at <= now())
            OFFSET 0 -- evaluated for mails alone, whatever the statistics
        ) AS also
        WHERE chosen.is_mail
    ), locked AS MATERIALIZED (
        SELECT d.delivery_id FROM deliveries AS d
        WHERE d.delivery_id = ANY (ARRAY(SELECT whole.delivery_id FROM whole))
        ORDER BY d.delivery_id
        FOR UPDATE SKIP LOCKED
    )
    UPDATE deliveries AS d
    SET attempts = least(d.attempts + 1, 1000), next_attempt_at = now() + lease, claim_id = claim
    FROM locked
    JOIN deliveries AS l ON l.delivery_id = locked.delivery_id
    JOIN subscriptions AS s ON s.subscription_id = l.subscription_id
    -- Another deliverer may have claimed or finished it before this one had the lock.
    WHERE d.delivery_id = locked.delivery_id AND d.state = 'pending'
        AND (d.next_attempt_at <= now() OR s.channel = 'mail' AND d.claim_id IS NULL)
    RETURNING d.delivery_id, d.subscription_id, d.claim_id, s.channel, s.target,
        array_remove(
            ARRAY[s.secret, CASE WHEN s.old_secret_until > now() THEN s.old_secret END], NULL),
        d.message_id, d.event, d.data::text, d.occurred_at, d.attempts, s.name, s.store_id, s.time_zone;
END
$$;

-- Records how attempts ended: delivered where the error is null, otherwise due again, or dead after the last attempt.
-- An attempt that had counted as lost and was claimed again is ignored. Returns the subscriptions that were disabled.
--
-- `pauses`: what a receiver asked for, in seconds; null for the schedule. `gone`: the receiver wants nothing more.
CREATE OR REPLACE FUNCTION :"schema".finish_deliveries(
    delivery_ids bigint[], claim_ids bigint[], errors text[], pauses integer[], gone boolean[], disable_after interval
) RETURNS TABLE (subscription_id bigint, name text, reason text)
LANGUAGE plpgsql SECURITY DEFINER ROWS 1 SET search_path = :"schema", pg_temp SET jit = off SET enable_seqscan = off
    SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_sort = off
AS $$
#variable_conflict use_column
DECLARE
    has_failures CONSTANT boolean := array_remove(errors, NULL) <> '{}';
    -- https://github.com/standard-webhooks/standard-webhooks, "Deliverability and reliability"
    schedule CONSTANT integer[] := ARRAY[5, 300, 1800, 7200, 18000, 36000, 36000];
BEGIN
    UPDATE deliveries AS d
    SET state = CASE
            WHEN ended.error IS NULL THEN 'delivered'
            WHEN d.attempts > cardinality(schedule) THEN 'dead'
            ELSE 'pending'
        END,
        finished_at = CASE WHEN ended.error IS NULL OR d.attempts > cardinality(schedule) THEN now() END,
        next_attempt_at = now() + greatest(
            schedule[least(d.attempts, cardinality(schedule))] * (0.9 + 0.2 * random()),
            least(coalesce(ended.pause, 0), 86400)
        ) * interval '1 second',
        claim_id = NULL, last_error = ended.error
    FROM unnest(delivery_ids, claim_ids, errors, pauses) AS ended (delivery_id, claim_id, error, pause)
    WHERE d.delivery_id = ended.delivery_id AND d.claim_id = ended.claim_id;
    -- What comes after a failed message of an item waits for it, and no claim looks at it before.
    IF has_failures THEN
        UPDATE deliveries AS d
        SET next_attempt_at = waiting.until
        FROM (
            SELECT later.delivery_id, failed.next_attempt_at AS until
            FROM unnest(delivery_ids, errors) AS ended (delivery_id, error)
            JOIN deliveries AS failed ON failed.delivery_id = ended.delivery_id AND failed.state = 'pending'
            CROSS JOIN LATERAL (
                SELECT * FROM deliveries AS of_item
                WHERE of_item.subscription_id = failed.subscription_id AND of_item.state = 'pending'
                    AND (of_item.item_id, of_item.store_id, of_item.location_id)
                        >= (failed.item_id, failed.store_id, failed.location_id)
                    AND (of_item.item_id, of_item.store_id, of_item.location_id)
                        <= (failed.item_id, failed.store_id, failed.location_id)
                ORDER BY of_item.item_id, of_item.store_id, of_item.location_id, of_item.delivery_id
            ) AS later
            WHERE ended.error IS NOT NULL AND later.delivery_id > failed.delivery_id
        ) AS waiting
        WHERE d.delivery_id = waiting.delivery_id AND d.state = 'pending' AND d.next_attempt_at < waiting.until
            AND d.claim_id IS NULL;
    END IF;
    -- A success ends a failing time; a failure begins one.
    UPDATE subscriptions AS s
    SET failing_since = CASE WHEN seen.succeeded THEN NULL ELSE coalesce(s.failing_since, now()) END
    FROM (
        SELECT d.subscription_id, bool_or(ended.error IS NULL) AS succeeded
        FROM unnest(delivery_ids, errors) AS ended (delivery_id, error)
        JOIN deliveries AS d ON d.delivery_id = ended.delivery_id
        GROUP BY d.subscription_id
    ) AS seen
    WHERE s.subscription_id = seen.subscription_id AND (s.failing_since IS NULL) <> seen.succeeded;
    IF NOT has_failures THEN
        RETURN;
    END IF;
    FOR subscription_id, name, reason IN
    WITH failed AS (
        SELECT d.subscription_id, bool_or(ended.gone) AS is_gone, max(ended.error) AS error
        FROM unnest(delivery_ids, errors, gone) AS ended (delivery_id, error, gone)
        JOIN deliveries AS d ON d.delivery_id = ended.delivery_id
        WHERE ended.error IS NOT NULL
        GROUP BY d.subscription_id
    )
    UPDATE subscriptions AS s
    SET disabled_at = now(),
        disabled_reason = CASE WHEN failed.is_gone THEN failed.error
            ELSE format('every attempt since %s has failed, the last one with: %s', s.failing_since, failed.error) END
    FROM failed
    WHERE s.subscription_id = failed.subscription_id AND s.disabled_at IS NULL
        AND (failed.is_gone OR s.failing_since < now() - disable_after)
    RETURNING s.subscription_id, s.name, s.disabled_reason
    LOOP
        PERFORM record_operation(
            'subscriptions disable', jsonb_build_object('name', name, 'reason', reason), NULL);
        RETURN NEXT;
    END LOOP;
END
$$;

-- Deletes deliveries that ended longer ago than `keep`, at most `max_rows`. Returns how many.
CREATE OR REPLACE FUNCTION :"schema".drop_old_deliveries(keep interval, max_rows integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
DECLARE
    dropped integer;
BEGIN
    DELETE FROM deliveries WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM deliveries WHERE finished_at < now() - keep LIMIT max_rows FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS dropped = ROW_COUNT;
    RETURN dropped;
END
$$;

-- What is low or out now and not snoozed, in the stores of a subscription and within its prefixes: for a daily digest.
CREATE OR REPLACE FUNCTION :"schema".digest_items(subscription_id bigint, max_rows integer) RETURNS TABLE (
    store_id text, item_id text, location_id text, available bigint, low_stock_threshold bigint
)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 100 SET search_path = :"schema", pg_temp SET jit = off
AS $$
    SELECT i.store_id, i.item_id, i.location_id, i.available, i.low_stock_threshold::bigint
    FROM subscriptions AS s
    JOIN items AS i ON s.store_id IS NULL OR i.store_id = s.store_id
    WHERE s.subscription_id = $1 AND i.tracked
        AND NOT coalesce(
            (
                SELECT z.until > now() FROM snoozes AS z
                WHERE (z.item_id, z.store_id, z.location_id) = (i.item_id, i.store_id, i.location_id)
                ORDER BY z.snooze_id DESC
                LIMIT 1
            ), false)
        AND (i.available <= 0 OR i.available <= i.low_stock_threshold)
        AND starts_with(i.item_id, s.item_prefix) AND starts_with(i.location_id, s.location_prefix)
    ORDER BY i.store_id, i.item_id, i.location_id
    LIMIT $2
$$;

-- Adds a subscription; it gets what is committed from now on.
CREATE OR REPLACE FUNCTION :"schema".add_subscription(
    name text, channel text, target text, store_id text DEFAULT NULL,
    events text[] DEFAULT '{stock.low,stock.out,stock.back_in_stock,stock.restocked}', secret text DEFAULT NULL,
    item_prefix text DEFAULT '', location_prefix text DEFAULT '', digest_window interval DEFAULT NULL,
    digest_at time DEFAULT NULL, time_zone text DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
#variable_conflict use_column
DECLARE
    horizon record;
    added bigint;
BEGIN
    IF add_subscription.name = ANY (ARRAY(SELECT s.name FROM subscriptions AS s)) THEN
        RAISE unique_violation USING
            MESSAGE = format('there is a subscription %L already', add_subscription.name),
            HINT = 'Choose another name, or remove it first.';
    ELSIF add_subscription.time_zone IS NOT NULL
        AND NOT EXISTS (SELECT FROM pg_timezone_names AS z WHERE z.name = add_subscription.time_zone) THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('there is no time zone %L', add_subscription.time_zone),
            HINT = 'Name one of pg_timezone_names, for instance Europe/Berlin.';
    END IF;
    -- The fan-out may be about to read the notifications up to the same horizon.
    PERFORM lock_delivery_progress();
    horizon := feed_horizon('notifications'::regclass, 'notifications_notification_id_seq'::regclass);
    INSERT INTO subscriptions (
        name, channel, target, store_id, events, secret, item_prefix, location_prefix, digest_window, digest_at,
        time_zone, next_digest_at, start_position, start_row, changes_cursor
    ) VALUES (
        add_subscription.name, add_subscription.channel, add_subscription.target, add_subscription.store_id,
        add_subscription.events, add_subscription.secret, coalesce(add_subscription.item_prefix, ''),
        coalesce(add_subscription.location_prefix, ''), add_subscription.digest_window, add_subscription.digest_at,
        add_subscription.time_zone,
        next_digest(add_subscription.digest_at, add_subscription.time_zone, now()), horizon.position, horizon.row_id,
        CASE WHEN 'stock.changed' = ANY (add_subscription.events) THEN changes_cursor() END
    )
    RETURNING subscription_id INTO added;
    PERFORM record_operation(
        'subscriptions add',
        jsonb_build_object(
            'name', add_subscription.name, 'channel', add_subscription.channel, 'store_id', add_subscription.store_id,
            'events', add_subscription.events), NULL);
    RETURN added;
END
$$;

-- The subscription of a name, or an error.
CREATE OR REPLACE FUNCTION :"schema".known_subscription(name text) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
DECLARE
    known bigint := (SELECT s.subscription_id FROM subscriptions AS s WHERE s.name = known_subscription.name);
BEGIN
    IF known IS NULL THEN
        RAISE undefined_object USING
            MESSAGE = format('there is no subscription %L', name), HINT = 'stockq subscriptions list shows them.';
    END IF;
    RETURN known;
END
$$;

-- Enables or disables a subscription. What came while it was disabled is delivered by a replay.
CREATE OR REPLACE FUNCTION :"schema".set_subscription_enabled(name text, enabled boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
#variable_conflict use_column
DECLARE
    known CONSTANT bigint := known_subscription(set_subscription_enabled.name);
    horizon record;
BEGIN
    IF enabled THEN
        PERFORM lock_delivery_progress();
        horizon := feed_horizon('notifications'::regclass, 'notifications_notification_id_seq'::regclass);
        UPDATE subscriptions
        SET disabled_at = NULL, disabled_reason = NULL, failing_since = NULL, start_position = horizon.position,
            start_row = horizon.row_id
        WHERE subscription_id = known AND disabled_at IS NOT NULL;
    ELSE
        UPDATE subscriptions SET disabled_at = now(), disabled_reason = 'by an administrator'
        WHERE subscription_id = known AND disabled_at IS NULL;
    END IF;
    PERFORM record_operation(
        'subscriptions ' || CASE WHEN enabled THEN 'enable' ELSE 'disable' END,
        jsonb_build_object('name', set_subscription_enabled.name), NULL);
END
$$;

-- Gives a webhook another secret. For `keep_old` messages are signed with the old one too.
CREATE OR REPLACE FUNCTION :"schema".rotate_subscription_secret(
    name text, secret text, keep_old interval DEFAULT '24 hours'
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
#variable_conflict use_column
BEGIN
    UPDATE subscriptions
    SET old_secret = secret, old_secret_until = now() + keep_old, secret = rotate_subscription_secret.secret
    WHERE subscription_id = known_subscription(rotate_subscription_secret.name);
    PERFORM record_operation(
        'subscriptions rotate', jsonb_build_object('name', rotate_subscription_secret.name), NULL);
END
$$;

-- Removes a subscription and its deliveries.
CREATE OR REPLACE FUNCTION :"schema".remove_subscription(name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
DECLARE
    known CONSTANT bigint := known_subscription(remove_subscription.name);
BEGIN
    DELETE FROM subscriptions AS s WHERE s.subscription_id = known;
    DELETE FROM deliveries AS d WHERE d.subscription_id = known;
    PERFORM record_operation('subscriptions remove', jsonb_build_object('name', remove_subscription.name), NULL);
END
$$;

-- Sends a message of the event stock.test. Returns the delivery.
CREATE OR REPLACE FUNCTION :"schema".test_subscription(name text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
DECLARE
    known CONSTANT bigint := known_subscription(test_subscription.name);
    sent bigint;
BEGIN
    INSERT INTO deliveries (subscription_id, message_id, event, store_id, item_id, location_id, data, occurred_at)
    VALUES (
        known, 'msg_' || known || '_test_' || (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, 'stock.test',
        '', 'test', '', json_build_object('subscription', test_subscription.name), now())
    RETURNING delivery_id INTO sent;
    RETURN sent;
END
$$;

-- The subscriptions without their secrets, with the number of pending and dead deliveries.
CREATE OR REPLACE FUNCTION :"schema".list_subscriptions() RETURNS TABLE (
    name text, subscription_id bigint, store_id text, channel text, target text, events text[], item_prefix text,
    location_prefix text, digest_window interval, digest_at time, time_zone text, created_by text,
    created_at timestamptz, failing_since timestamptz, disabled_at timestamptz, disabled_reason text, pending bigint,
    dead bigint
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
    SELECT s.name, s.subscription_id, s.store_id, s.channel, s.target, s.events, s.item_prefix, s.location_prefix,
        s.digest_window, s.digest_at, s.time_zone, s.created_by, s.created_at, s.failing_since, s.disabled_at,
        s.disabled_reason,
        (SELECT count(*) FROM deliveries AS d WHERE d.subscription_id = s.subscription_id AND d.state = 'pending'),
        (SELECT count(*) FROM deliveries AS d WHERE d.subscription_id = s.subscription_id AND d.state = 'dead')
    FROM subscriptions AS s
    ORDER BY s.name
$$;

-- The names of the subscriptions.
CREATE OR REPLACE FUNCTION :"schema".subscription_names() RETURNS TABLE (subscription_id bigint, name text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
    SELECT s.subscription_id, s.name FROM subscriptions AS s
$$;

-- Makes dead deliveries pending again, and waiting ones due: the named ones, or those of a subscription. Returns how
-- many, and how many of them were dead.
CREATE OR REPLACE FUNCTION :"schema".retry_deliveries(
    delivery_ids bigint[] DEFAULT NULL, subscription text DEFAULT NULL, OUT deliveries bigint, OUT dead bigint
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
DECLARE
    known CONSTANT bigint := CASE WHEN subscription IS NOT NULL THEN known_subscription(subscription) END;
BEGIN
    IF num_nonnulls(delivery_ids, subscription) <> 1 THEN
        RAISE invalid_parameter_value USING MESSAGE = 'name deliveries by delivery_ids, or a subscription';
    END IF;
    WITH chosen AS MATERIALIZED (
        SELECT d.delivery_id, d.state FROM deliveries AS d
        WHERE (d.delivery_id = ANY (delivery_ids) OR d.subscription_id = known)
            AND d.state IN ('pending', 'dead') AND d.claim_id IS NULL
        ORDER BY d.delivery_id
        FOR UPDATE
    ), retried AS (
        UPDATE deliveries AS d
        SET state = 'pending', attempts = 0, next_attempt_at = now(), finished_at = NULL
        FROM chosen
        WHERE d.delivery_id = chosen.delivery_id
        RETURNING chosen.state
    )
    SELECT count(*), count(*) FILTER (WHERE state = 'dead')
    INTO retry_deliveries.deliveries, retry_deliveries.dead
    FROM retried;
    PERFORM record_operation(
        'deliveries retry',
        jsonb_build_object('delivery_ids', delivery_ids[:10000], 'subscription', subscription), NULL);
END
$$;

-- Delivers the notifications since a time again to a subscription, with the ids that their messages had. Returns how
-- many.
CREATE OR REPLACE FUNCTION :"schema".replay_deliveries(subscription text, since timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
DECLARE
    known CONSTANT bigint := known_subscription(subscription);
    start record;
    progress delivery_progress;
    replayed bigint;
BEGIN
    SELECT * INTO progress FROM delivery_progress FOR UPDATE;
    start := read_cursor(notifications_cursor(since));
    replayed := insert_deliveries(start.position, start.row_id, progress.position, progress.row_id, known);
    PERFORM record_operation(
        'deliveries replay', jsonb_build_object('subscription', subscription, 'since', since), replayed);
    RETURN replayed;
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA :"schema" FROM PUBLIC;
