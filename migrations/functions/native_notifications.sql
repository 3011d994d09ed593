-- Subscriptions, the policy of alerts and snoozes for callers of the native API. Repeatable: applied again whenever
-- this text changes; a change of a signature needs a migration.
--
-- As in native.sql, each function checks the hash of the token that a caller presented, needs the scope
-- manage_notifications, and returns the failure of the access in its first row. A caller reaches the subscriptions of
-- one store by webhook and mail. Those to all stores, and those that run a program, are the administrators' alone.

-- The policy in force of a store, as clients see it.
CREATE OR REPLACE FUNCTION :"schema".native_alert_policy(store_id text) RETURNS text
LANGUAGE sql STABLE SET search_path = :"schema", pg_temp
AS $$
    SELECT json_strip_nulls(json_build_object(
        'store_id', $1, 'default_threshold', p.default_threshold,
        'quiet_seconds', extract(epoch FROM p.quiet_period)::bigint, 'rearm_margin', p.rearm_margin
    ))::text
    FROM alert_policy($1) AS p
$$;

-- Reads the policy of a store.
CREATE OR REPLACE FUNCTION :"schema".gateway_alert_policy(token_hash text, store_id text)
RETURNS TABLE (failure text, json text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    failure := check_native_access(token_hash, store_id, 'manage_notifications');
    RETURN NEXT;
    IF failure IS NULL THEN
        json := native_alert_policy(store_id);
        RETURN NEXT;
    END IF;
END
$$;

-- Replaces the policy of a store. A null removes that part. gateway_apply_threshold then changes the items.
CREATE OR REPLACE FUNCTION :"schema".gateway_set_alert_policy(
    token_hash text, store_id text, default_threshold bigint, quiet_seconds bigint, rearm_margin bigint
) RETURNS TABLE (failure text, json text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
DECLARE
    quiet_period CONSTANT interval := coalesce(quiet_seconds, 0) * interval '1 second';
    policy alert_policies;
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    failure := check_native_access(token_hash, store_id, 'manage_notifications');
    RETURN NEXT;
    IF failure IS NOT NULL THEN
        RETURN;
    END IF;
    policy := alert_policy(store_id);
    -- Each change is a row that is kept, so a repeated request writes none.
    IF (policy.default_threshold, policy.quiet_period, policy.rearm_margin)
        IS DISTINCT FROM (default_threshold, quiet_period, coalesce(rearm_margin, 0))
    THEN
        PERFORM set_alert_policy(
            store_id, default_threshold, quiet_period, rearm_margin,
            clear => array_remove(
                ARRAY[
                    CASE WHEN default_threshold IS NULL THEN 'default_threshold' END,
                    CASE WHEN rearm_margin IS NULL THEN 'rearm_margin' END
                ], NULL));
    END IF;
    json := native_alert_policy(store_id);
    RETURN NEXT;
END
$$;

-- Gives the store's threshold to its next items, as apply_default_threshold does. The row behind the first has the last
-- item that was seen; without one, no item is left.
CREATE OR REPLACE FUNCTION :"schema".gateway_apply_threshold(
    token_hash text, store_id text, after_item text, after_location text
) RETURNS TABLE (failure text, last_item text, last_location text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
DECLARE
    -- Workers wait for the row locks of the transaction.
    items_max CONSTANT integer := 1000;
    page record;
BEGIN
    failure := check_native_access(token_hash, store_id, 'manage_notifications');
    RETURN NEXT;
    IF failure IS NOT NULL THEN
        RETURN;
    END IF;
    page := apply_default_threshold(store_id, after_item, after_location, items_max);
    IF page.items = items_max THEN
        last_item := page.last_item;
        last_location := page.last_location;
        RETURN NEXT;
    END IF;
END
$$;

-- Until when an item is snoozed, as clients see it; null if there is no such item.
CREATE OR REPLACE FUNCTION :"schema".native_snooze(store_id text, item_id text, location_id text) RETURNS text
LANGUAGE sql SET search_path = :"schema", pg_temp
AS $$
    SELECT json_strip_nulls(json_build_object(
        'store_id', i.store_id, 'item_id', i.item_id, 'location_id', i.location_id,
        -- The end of a snooze is a time after that at which its transaction began.
        'until', native_time(CASE WHEN s.until > clock_timestamp() THEN s.until END)
    ))::text
    FROM items AS i
    LEFT JOIN LATERAL (
        SELECT z.until FROM snoozes AS z
        WHERE (z.item_id, z.store_id, z.location_id) = (i.item_id, i.store_id, i.location_id)
        ORDER BY z.snooze_id DESC
        LIMIT 1
    ) AS s ON true
    WHERE (i.store_id, i.item_id, i.location_id) = ($1, $2, $3)
$$;

-- Reads the snooze of an item. Without a row behind the first, there is no such item.
CREATE OR REPLACE FUNCTION :"schema".gateway_snooze(token_hash text, store_id text, item_id text, location_id text)
RETURNS TABLE (failure text, json text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    failure := check_native_access(token_hash, store_id, 'manage_notifications');
    RETURN NEXT;
    IF failure IS NULL THEN
        RETURN QUERY
        SELECT NULL, s.text
        FROM native_snooze(gateway_snooze.store_id, gateway_snooze.item_id, gateway_snooze.location_id) AS s (text)
        WHERE s.text IS NOT NULL;
    END IF;
END
$$;

-- Snoozes an item until a time; null, or a time that has passed, ends that. Without a row behind the first, there is no
-- such item.
CREATE OR REPLACE FUNCTION :"schema".gateway_set_snooze(
    token_hash text, store_id text, item_id text, location_id text, until timestamptz
) RETURNS TABLE (failure text, json text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
DECLARE
    new_end CONSTANT timestamptz := CASE WHEN until > clock_timestamp() THEN until END;
    old_end timestamptz;
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    failure := check_native_access(token_hash, store_id, 'manage_notifications');
    RETURN NEXT;
    IF failure IS NOT NULL THEN
        RETURN;
    END IF;
    SELECT s.until INTO old_end FROM snoozes AS s
    WHERE (s.item_id, s.store_id, s.location_id)
        = (gateway_set_snooze.item_id, gateway_set_snooze.store_id, gateway_set_snooze.location_id)
    ORDER BY s.snooze_id DESC
    LIMIT 1;
    -- Each change is a row that is kept, so a repeated request writes none.
    IF (CASE WHEN old_end > clock_timestamp() THEN old_end END) IS DISTINCT FROM new_end THEN
        PERFORM snooze_item(store_id, item_id, new_end, location_id);
    END IF;
    json := native_snooze(store_id, item_id, location_id);
    IF json IS NOT NULL THEN
        RETURN NEXT;
    END IF;
END
$$;

-- A subscription as clients see it.
CREATE OR REPLACE FUNCTION :"schema".native_subscription(
    s :"schema".subscriptions, with_secret boolean DEFAULT false
) RETURNS text
LANGUAGE sql STABLE SET search_path = :"schema", pg_temp
AS $$
    SELECT json_strip_nulls(json_build_object(
        'subscription_id', s.subscription_id, 'name', s.name, 'store_id', s.store_id, 'channel', s.channel,
        'target', s.target, 'events', s.events, 'item_prefix', nullif(s.item_prefix, ''),
        'location_prefix', nullif(s.location_prefix, ''),
        'digest_window_seconds', extract(epoch FROM s.digest_window)::bigint,
        'digest_at', to_char(s.digest_at, 'HH24:MI'), 'time_zone', s.time_zone,
        'created_at', native_time(s.created_at), 'failing_since', native_time(s.failing_since),
        'enabled', s.disabled_at IS NULL, 'disabled_at', native_time(s.disabled_at),
        'disabled_reason', s.disabled_reason,
        'pending', (
            SELECT count(*) FROM deliveries AS d WHERE d.subscription_id = s.subscription_id AND d.state = 'pending'
        ),
        'dead', (SELECT count(*) FROM deliveries AS d WHERE d.subscription_id = s.subscription_id AND d.state = 'dead'),
        'secret', CASE WHEN with_secret THEN s.secret END
    ))::text
$$;

-- The subscriptions that callers of a store reach.
CREATE OR REPLACE FUNCTION :"schema".native_subscriptions(store_id text) RETURNS SETOF :"schema".subscriptions
LANGUAGE sql STABLE SET search_path = :"schema", pg_temp
AS $$
    SELECT * FROM subscriptions AS s WHERE s.store_id = $1 AND s.channel IN ('webhook', 'mail')
$$;

-- Checks the access to a subscription. A failure is one of check_native_access or unknown_subscription.
CREATE OR REPLACE FUNCTION :"schema".check_subscription_access(
    token_hash text, store_id text, subscription_id bigint, OUT failure text, OUT subscription :"schema".subscriptions
)
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    failure := check_native_access(token_hash, store_id, 'manage_notifications');
    IF failure IS NULL THEN
        SELECT s.* INTO subscription
        FROM native_subscriptions(check_subscription_access.store_id) AS s
        WHERE s.subscription_id = check_subscription_access.subscription_id;
        IF NOT FOUND THEN
            failure := 'unknown_subscription';
        END IF;
    END IF;
END
$$;

-- Reads the subscriptions of a store, or one.
CREATE OR REPLACE FUNCTION :"schema".gateway_subscriptions(token_hash text, store_id text, subscription_id bigint)
RETURNS TABLE (failure text, json text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    failure := check_native_access(token_hash, store_id, 'manage_notifications');
    RETURN NEXT;
    IF failure IS NULL THEN
        RETURN QUERY
        SELECT NULL, native_subscription(s)
        FROM native_subscriptions(gateway_subscriptions.store_id) AS s
        WHERE gateway_subscriptions.subscription_id IS NULL
            OR s.subscription_id = gateway_subscriptions.subscription_id
        ORDER BY s.subscription_id;
    END IF;
END
$$;

-- Adds a subscription by webhook or mail, as add_subscription does. A failure is also subscription_limit or
-- unknown_time_zone. The row behind the first has the secret of a webhook. A repeated call with the same name, which
-- the gateway makes after a lost connection, adds none.
CREATE OR REPLACE FUNCTION :"schema".gateway_add_subscription(
    token_hash text, store_id text, name text, channel text, target text, events text[], secret text,
    item_prefix text, location_prefix text, digest_window_seconds bigint, digest_at text, time_zone text
) RETURNS TABLE (failure text, json text, id bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
DECLARE
    -- Each one makes the fan-out read more, and every message of a store goes to each.
    subscriptions_max CONSTANT integer := 10;
    added bigint;
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    failure := check_native_access(token_hash, store_id, 'manage_notifications');
    IF failure IS NULL AND channel NOT IN ('webhook', 'mail') THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('callers of the gateway have webhooks and mail, not %L', channel);
    END IF;
    IF failure IS NULL THEN
        -- Two calls at once count one after the other.
        PERFORM lock_delivery_progress();
        SELECT s.subscription_id INTO added
        FROM native_subscriptions(gateway_add_subscription.store_id) AS s
        WHERE s.name = gateway_add_subscription.name;
        IF added IS NOT NULL THEN
            NULL;
        ELSIF (
            SELECT count(*) FROM subscriptions AS s WHERE s.store_id = gateway_add_subscription.store_id
        ) >= subscriptions_max THEN
            failure := 'subscription_limit';
        ELSIF time_zone IS NOT NULL
            AND NOT EXISTS (SELECT FROM pg_timezone_names AS z WHERE z.name = gateway_add_subscription.time_zone)
        THEN
            failure := 'unknown_time_zone';
        END IF;
    END IF;
    RETURN NEXT;
    IF failure IS NOT NULL THEN
        RETURN;
    END IF;
    added := coalesce(added, add_subscription(
        name, channel, target, store_id, events, secret, item_prefix, location_prefix,
        digest_window_seconds * interval '1 second', digest_at::time, time_zone));
    RETURN QUERY
    SELECT NULL, native_subscription(s, with_secret => true), s.subscription_id
    FROM subscriptions AS s
    WHERE s.subscription_id = added;
END
$$;

-- Enables or disables a subscription.
CREATE OR REPLACE FUNCTION :"schema".gateway_set_subscription(
    token_hash text, store_id text, subscription_id bigint, enabled boolean
) RETURNS TABLE (failure text, json text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
DECLARE
    access CONSTANT record := check_subscription_access(token_hash, store_id, subscription_id);
BEGIN
    failure := access.failure;
    RETURN NEXT;
    IF failure IS NOT NULL THEN
        RETURN;
    ELSIF ((access.subscription).disabled_at IS NULL) <> enabled THEN
        PERFORM set_subscription_enabled((access.subscription).name, enabled);
        UPDATE subscriptions AS s SET disabled_reason = 'by a caller of the API'
        WHERE s.subscription_id = gateway_set_subscription.subscription_id AND s.disabled_at IS NOT NULL;
    END IF;
    RETURN QUERY
    SELECT NULL, native_subscription(s)
    FROM subscriptions AS s
    WHERE s.subscription_id = gateway_set_subscription.subscription_id;
END
$$;

-- Gives a webhook another secret, as rotate_subscription_secret does. Without a row behind the first, the subscription
-- is no webhook. A repeated call with the same secret changes nothing.
CREATE OR REPLACE FUNCTION :"schema".gateway_rotate_secret(
    token_hash text, store_id text, subscription_id bigint, secret text
) RETURNS TABLE (failure text, json text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
DECLARE
    access CONSTANT record := check_subscription_access(token_hash, store_id, subscription_id);
BEGIN
    failure := access.failure;
    RETURN NEXT;
    IF failure IS NOT NULL OR (access.subscription).channel <> 'webhook' THEN
        RETURN;
    ELSIF (access.subscription).secret <> secret THEN
        PERFORM rotate_subscription_secret((access.subscription).name, secret);
    END IF;
    RETURN QUERY
    SELECT NULL, json_strip_nulls(json_build_object(
        'subscription_id', s.subscription_id, 'secret', s.secret, 'old_secret_until', native_time(s.old_secret_until)
    ))::text
    FROM subscriptions AS s
    WHERE s.subscription_id = gateway_rotate_secret.subscription_id;
END
$$;

-- Removes a subscription and its deliveries.
CREATE OR REPLACE FUNCTION :"schema".gateway_remove_subscription(
    token_hash text, store_id text, subscription_id bigint
) RETURNS TABLE (failure text, json text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
DECLARE
    access CONSTANT record := check_subscription_access(token_hash, store_id, subscription_id);
BEGIN
    failure := access.failure;
    RETURN NEXT;
    IF failure IS NULL THEN
        PERFORM remove_subscription((access.subscription).name);
    END IF;
END
$$;

-- A delivery as clients see it.
CREATE OR REPLACE FUNCTION :"schema".native_delivery(d :"schema".deliveries) RETURNS text
LANGUAGE sql STABLE SET search_path = :"schema", pg_temp
AS $$
    SELECT json_strip_nulls(json_build_object(
        'delivery_id', d.delivery_id, 'message_id', d.message_id, 'event', d.event,
        'item_id', nullif(d.item_id, ''), 'location_id', nullif(d.location_id, ''), 'state', d.state,
        'attempts', d.attempts, 'occurred_at', native_time(d.occurred_at), 'created_at', native_time(d.created_at),
        'next_attempt_at', native_time(CASE WHEN d.state = 'pending' THEN d.next_attempt_at END),
        'finished_at', native_time(d.finished_at), 'last_error', d.last_error
    ))::text
$$;

-- The newest deliveries of a subscription, with ids below `before`, in a state or in all. The delivered ones are sought
-- among the newest 100,000 deliveries of the queue: an index for them would cost every delivery, to find what is rarely
-- asked for.
CREATE OR REPLACE FUNCTION :"schema".recent_deliveries(
    subscription_id bigint, state text DEFAULT NULL, before bigint DEFAULT NULL, max_rows integer DEFAULT NULL
) RETURNS SETOF :"schema".deliveries
LANGUAGE sql STABLE SET search_path = :"schema", pg_temp SET enable_seqscan = off
AS $$
    SELECT * FROM (
        (
            SELECT d.* FROM deliveries AS d
            WHERE d.subscription_id = $1 AND d.state = 'pending' AND coalesce($2, 'pending') = 'pending'
                AND d.delivery_id < coalesce($3, 9223372036854775807)
            ORDER BY d.delivery_id DESC
            LIMIT $4
        )
        UNION ALL
        (
            SELECT d.* FROM deliveries AS d
            WHERE d.subscription_id = $1 AND d.state = 'dead' AND coalesce($2, 'dead') = 'dead'
                AND d.delivery_id < coalesce($3, 9223372036854775807)
            ORDER BY d.delivery_id DESC
            LIMIT $4
        )
        UNION ALL
        (
            SELECT d.* FROM deliveries AS d
            WHERE d.subscription_id = $1 AND d.state = 'delivered' AND coalesce($2, 'delivered') = 'delivered'
                AND d.delivery_id < coalesce($3, 9223372036854775807)
                AND d.delivery_id > (SELECT max(newest.delivery_id) FROM deliveries AS newest) - 100000
            ORDER BY d.delivery_id DESC
            LIMIT $4
        )
    ) AS found
    ORDER BY found.delivery_id DESC
    LIMIT $4
$$;

-- Sends a message of the event stock.test. A failure is also test_limit: the last one is less than a minute old. A
-- caller could otherwise fill a mailbox.
CREATE OR REPLACE FUNCTION :"schema".gateway_test_subscription(
    token_hash text, store_id text, subscription_id bigint
) RETURNS TABLE (failure text, json text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
DECLARE
    access CONSTANT record := check_subscription_access(token_hash, store_id, subscription_id);
    known CONSTANT bigint := (access.subscription).subscription_id;
    sent bigint;
BEGIN
    failure := access.failure;
    IF failure IS NULL AND (access.subscription).disabled_at IS NOT NULL THEN
        failure := 'disabled';
    END IF;
    IF failure IS NULL THEN
        -- Two calls at once count one after the other.
        PERFORM FROM subscriptions AS s WHERE s.subscription_id = known FOR UPDATE;
        IF EXISTS (SELECT FROM recent_deliveries(known) AS d
            WHERE d.event = 'stock.test' AND d.created_at > now() - interval '1 minute')
        THEN
            failure := 'test_limit';
        END IF;
    END IF;
    RETURN NEXT;
    IF failure IS NULL THEN
        sent := test_subscription((access.subscription).name);
        RETURN QUERY SELECT NULL, native_delivery(d) FROM deliveries AS d WHERE d.delivery_id = sent;
    END IF;
END
$$;

-- Reads the newest deliveries of a subscription, newest first.
CREATE OR REPLACE FUNCTION :"schema".gateway_deliveries(
    token_hash text, store_id text, subscription_id bigint, state text, before bigint, deliveries_max integer
) RETURNS TABLE (failure text, json text, id bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
DECLARE
    access CONSTANT record := check_subscription_access(token_hash, store_id, subscription_id);
BEGIN
    failure := access.failure;
    RETURN NEXT;
    IF failure IS NULL THEN
        RETURN QUERY
        SELECT NULL, native_delivery(d), d.delivery_id
        FROM recent_deliveries((access.subscription).subscription_id, state, before, deliveries_max) AS d;
    END IF;
END
$$;

-- Makes a dead delivery of a subscription pending again, and a waiting one due, as retry_deliveries does; without an id
-- all of them. The row behind the first has the delivery, or how many there were. Without one, there is no such
-- delivery.
CREATE OR REPLACE FUNCTION :"schema".gateway_retry_deliveries(
    token_hash text, store_id text, subscription_id bigint, delivery_id bigint
) RETURNS TABLE (failure text, json text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
DECLARE
    access CONSTANT record := check_subscription_access(token_hash, store_id, subscription_id);
BEGIN
    failure := access.failure;
    RETURN NEXT;
    IF failure IS NOT NULL THEN
        RETURN;
    ELSIF delivery_id IS NULL THEN
        json := json_strip_nulls(json_build_object(
            'retried', (SELECT deliveries FROM retry_deliveries(subscription => (access.subscription).name))))::text;
        RETURN NEXT;
    ELSIF EXISTS (
        SELECT FROM deliveries AS d
        WHERE d.delivery_id = gateway_retry_deliveries.delivery_id
            AND d.subscription_id = (access.subscription).subscription_id
    ) THEN
        PERFORM retry_deliveries(ARRAY[delivery_id]);
        RETURN QUERY
        SELECT NULL, native_delivery(d)
        FROM deliveries AS d
        WHERE d.delivery_id = gateway_retry_deliveries.delivery_id;
    END IF;
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA :"schema" FROM PUBLIC;
