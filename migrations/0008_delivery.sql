-- Feeds that readers follow with a cursor: notifications in the order of their effects, and every change of stock.
--
-- A row's position is drawn when the row is written, and rows become visible when their transactions commit, in another
-- order. functions/feeds.sql says up to which position no row is missing; it explains the expression below.

-- Added to every position: a dump that is restored brings positions, and the new server counts its transactions from
-- the beginning. Not called: 0.
CREATE SEQUENCE :"schema".feed_base;

-- The rows of earlier releases were committed before this transaction, so they come first, in the order of their ids.
ALTER TABLE :"schema".notifications ADD COLUMN position bigint NOT NULL DEFAULT 0;

-- Every change of stock: a row for each store of a batch.
--
-- An index on the results by position would cost the write-back of a batch too much, and the ids of jobs are not the
-- order in which they were applied. So a batch writes its order here, 8 bytes a job.
CREATE TABLE :"schema".change_log (
    position bigint NOT NULL,
    log_id bigint GENERATED ALWAYS AS IDENTITY,
    created_at timestamptz NOT NULL DEFAULT now(),
    store_id text COLLATE "C" NOT NULL,
    -- The applied jobs, in the order in which they were applied.
    job_ids bigint[] NOT NULL,
    CONSTRAINT change_log_pkey PRIMARY KEY (position, log_id),
    CONSTRAINT change_log_job_ids_not_empty CHECK (cardinality(job_ids) > 0)
);
-- Compressing ids saves little and costs the worker time.
ALTER TABLE :"schema".change_log ALTER COLUMN job_ids SET STORAGE EXTERNAL;

-- The names of functions and sequences are resolved here, and the defaults keep their oids.
SET search_path = :"schema", pg_temp;
ALTER TABLE notifications ALTER COLUMN position SET DEFAULT
    greatest(pg_current_xact_id()::text::bigint, pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1)
        + coalesce(pg_sequence_last_value('feed_base'::regclass), 0);
ALTER TABLE change_log ALTER COLUMN position SET DEFAULT
    greatest(pg_current_xact_id()::text::bigint, pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1)
        + coalesce(pg_sequence_last_value('feed_base'::regclass), 0);
RESET search_path;

CREATE INDEX notifications_feed ON :"schema".notifications (position, notification_id);
CREATE INDEX notifications_store_feed ON :"schema".notifications (store_id, position, notification_id);
CREATE INDEX change_log_store ON :"schema".change_log (store_id, position, log_id);
-- For statistics, for a cursor by time, and for retention.
CREATE INDEX change_log_created_at ON :"schema".change_log USING brin (created_at);

ALTER TABLE :"schema".change_log ENABLE ROW LEVEL SECURITY;
CREATE POLICY producers_read ON :"schema".change_log FOR SELECT USING (:"schema".has_grant(store_id));

-- Where notifications of a store go. Secrets are in it, so row security without a policy shows it to its owner alone.
CREATE TABLE :"schema".subscriptions (
    subscription_id bigint GENERATED ALWAYS AS IDENTITY,
    name text COLLATE "C" NOT NULL,
    -- Null: all stores.
    store_id text COLLATE "C",
    channel text COLLATE "C" NOT NULL,
    -- A URL, a mail address, or the path of a program.
    target text COLLATE "C" NOT NULL,
    events text[] COLLATE "C" NOT NULL,
    item_prefix text COLLATE "C" NOT NULL DEFAULT '',
    location_prefix text COLLATE "C" NOT NULL DEFAULT '',
    -- Of a webhook: with what messages are signed, and for a time after a change the secret before.
    secret text COLLATE "C",
    old_secret text COLLATE "C",
    old_secret_until timestamptz,
    -- Of a mail: notifications within this time are one message.
    digest_window interval,
    -- Of a mail: one message a day at this local time.
    digest_at time,
    time_zone text COLLATE "C",
    next_digest_at timestamptz,
    -- Notifications after this position are delivered.
    start_position bigint NOT NULL,
    start_row bigint NOT NULL,
    -- Of a subscription to every change: what was read.
    changes_cursor text COLLATE "C",
    created_by text NOT NULL DEFAULT session_user,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Since when every attempt has failed.
    failing_since timestamptz,
    disabled_at timestamptz,
    disabled_reason text COLLATE "C",
    CONSTRAINT subscriptions_pkey PRIMARY KEY (subscription_id),
    CONSTRAINT subscriptions_name_key UNIQUE (name),
    CONSTRAINT subscriptions_name_length CHECK (octet_length(name) BETWEEN 1 AND 200),
    CONSTRAINT subscriptions_store_id_length CHECK (octet_length(store_id) BETWEEN 1 AND 200),
    CONSTRAINT subscriptions_target_length CHECK (octet_length(target) BETWEEN 1 AND 2000),
    CONSTRAINT subscriptions_channel_known CHECK (channel IN ('webhook', 'mail', 'command')),
    CONSTRAINT subscriptions_events_known CHECK (
        events <@ ARRAY['stock.low', 'stock.out', 'stock.back_in_stock', 'stock.restocked', 'stock.changed']::text[]
    ),
    CONSTRAINT subscriptions_events_not_empty CHECK (cardinality(events) > 0),
    CONSTRAINT subscriptions_secret_of_webhook CHECK ((channel = 'webhook') = (secret IS NOT NULL)),
    CONSTRAINT subscriptions_digest_of_mail CHECK (
        channel = 'mail' OR num_nonnulls(digest_window, digest_at, time_zone, next_digest_at) = 0
    ),
    CONSTRAINT subscriptions_digest_time CHECK (num_nulls(digest_at, time_zone, next_digest_at) IN (0, 3)),
    CONSTRAINT subscriptions_mail_has_no_changes CHECK (channel <> 'mail' OR 'stock.changed' <> ALL (events))
);
CREATE INDEX subscriptions_store ON :"schema".subscriptions (store_id);

-- Each message on its way to one subscription.
CREATE TABLE :"schema".deliveries (
    delivery_id bigint GENERATED ALWAYS AS IDENTITY,
    subscription_id bigint NOT NULL,
    -- The same for each attempt and each replay, so that a receiver can drop what it has already.
    message_id text COLLATE "C" NOT NULL,
    event text COLLATE "C" NOT NULL,
    store_id text COLLATE "C" NOT NULL,
    item_id text COLLATE "C" NOT NULL,
    location_id text COLLATE "C" NOT NULL,
    data json NOT NULL,
    occurred_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    state text COLLATE "C" NOT NULL DEFAULT 'pending',
    attempts smallint NOT NULL DEFAULT 0,
    -- When the next attempt is due. While one is under way: when it counts as lost.
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    -- The random number of the claim that is under way; null if none is.
    claim_id bigint,
    finished_at timestamptz,
    last_error text COLLATE "C",
    CONSTRAINT deliveries_pkey PRIMARY KEY (delivery_id),
    CONSTRAINT deliveries_state_known CHECK (state IN ('pending', 'delivered', 'dead'))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX deliveries_due ON :"schema".deliveries (subscription_id, next_attempt_at) WHERE state = 'pending';
-- Whether an earlier message of the item is still on its way.
CREATE INDEX deliveries_item ON :"schema".deliveries (subscription_id, item_id, store_id, location_id, delivery_id)
    WHERE state = 'pending';
CREATE INDEX deliveries_dead ON :"schema".deliveries (subscription_id, delivery_id) WHERE state = 'dead';
CREATE INDEX deliveries_finished ON :"schema".deliveries USING brin (finished_at);

-- Up to where notifications have become deliveries.
CREATE TABLE :"schema".delivery_progress (
    is_only_row boolean NOT NULL DEFAULT true,
    position bigint NOT NULL DEFAULT 0,
    row_id bigint NOT NULL DEFAULT 0,
    CONSTRAINT delivery_progress_pkey PRIMARY KEY (is_only_row),
    CONSTRAINT delivery_progress_is_only_row CHECK (is_only_row)
);
INSERT INTO :"schema".delivery_progress DEFAULT VALUES;

ALTER TABLE :"schema".subscriptions ENABLE ROW LEVEL SECURITY;
ALTER TABLE :"schema".deliveries ENABLE ROW LEVEL SECURITY;

-- A changed threshold can change an item's level without a job.
ALTER TABLE :"schema".notifications ALTER COLUMN job_id DROP NOT NULL;
ALTER TABLE :"schema".notifications DROP CONSTRAINT notifications_once_a_version;
CREATE UNIQUE INDEX notifications_once_a_version
    ON :"schema".notifications (item_id, store_id, location_id, version) WHERE job_id IS NOT NULL;

-- The changes of a threshold that changed the notified level, so that the levels can be replayed. Between the versions
-- of the item they are in the order of their ids.
CREATE TABLE :"schema".threshold_changes (
    change_id bigint GENERATED ALWAYS AS IDENTITY,
    -- The notification that reported it.
    notification_id bigint NOT NULL,
    store_id text COLLATE "C" NOT NULL,
    item_id text COLLATE "C" NOT NULL,
    location_id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    low_stock_threshold bigint,
    alert_before :"schema".alert_level NOT NULL,
    alert_after :"schema".alert_level NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    changed_by text NOT NULL DEFAULT session_user,
    CONSTRAINT threshold_changes_pkey PRIMARY KEY (change_id),
    CONSTRAINT threshold_changes_level_changes CHECK (alert_before <> alert_after)
);
CREATE INDEX threshold_changes_item ON :"schema".threshold_changes (item_id, store_id, location_id, version);

-- An item without a threshold of its own has its store's: low_stock_threshold is then a copy of it, so that workers
-- read one column.
ALTER TABLE :"schema".items ADD COLUMN threshold_is_default boolean NOT NULL DEFAULT false;

-- How the alerts of a store are sent: a row for each change, of which the last one is in force.
CREATE TABLE :"schema".alert_policies (
    policy_id bigint GENERATED ALWAYS AS IDENTITY,
    store_id text COLLATE "C" NOT NULL,
    -- Of the items without a threshold of their own.
    default_threshold bigint,
    -- After a message about an item no other follows for this time.
    quiet_period interval NOT NULL,
    -- An item that was announced as low is restocked when more than threshold + margin is available.
    rearm_margin bigint NOT NULL,
    -- It decides the notifications after this position.
    from_position bigint NOT NULL,
    from_row bigint NOT NULL,
    set_at timestamptz NOT NULL,
    set_by text NOT NULL DEFAULT session_user,
    CONSTRAINT alert_policies_pkey PRIMARY KEY (policy_id),
    CONSTRAINT alert_policies_store_id_length CHECK (octet_length(store_id) BETWEEN 1 AND 200),
    CONSTRAINT alert_policies_default_threshold_range CHECK (default_threshold BETWEEN 0 AND 9007199254740991),
    CONSTRAINT alert_policies_quiet_period_range CHECK (quiet_period BETWEEN interval '0' AND interval '366 days'),
    CONSTRAINT alert_policies_rearm_margin_range CHECK (rearm_margin BETWEEN 0 AND 9007199254740991)
);
CREATE INDEX alert_policies_store ON :"schema".alert_policies (store_id, policy_id);

-- Items about which no message is sent until a time: a row for each change, of which the last one is in force.
CREATE TABLE :"schema".snoozes (
    snooze_id bigint GENERATED ALWAYS AS IDENTITY,
    store_id text COLLATE "C" NOT NULL,
    item_id text COLLATE "C" NOT NULL,
    location_id text COLLATE "C" NOT NULL,
    until timestamptz NOT NULL,
    -- As in alert_policies.
    from_position bigint NOT NULL,
    from_row bigint NOT NULL,
    set_at timestamptz NOT NULL,
    set_by text NOT NULL DEFAULT session_user,
    CONSTRAINT snoozes_pkey PRIMARY KEY (snooze_id),
    CONSTRAINT snoozes_until_finite CHECK (isfinite(until))
);
CREATE INDEX snoozes_item ON :"schema".snoozes (item_id, store_id, location_id, snooze_id);

-- The stores that have had a quiet period, a margin or a snoozed item, with the position after which their
-- notifications are sent as announcements say. In all other stores every notification is sent.
CREATE TABLE :"schema".announced_stores (
    store_id text COLLATE "C" NOT NULL,
    from_position bigint NOT NULL,
    from_row bigint NOT NULL,
    CONSTRAINT announced_stores_pkey PRIMARY KEY (store_id)
);

-- The notifications that are sent, and what is sent: the level may have changed several times since the message before.
CREATE TABLE :"schema".announcements (
    notification_id bigint NOT NULL,
    store_id text COLLATE "C" NOT NULL,
    item_id text COLLATE "C" NOT NULL,
    location_id text COLLATE "C" NOT NULL,
    kind :"schema".notification_kind NOT NULL,
    -- The level that was announced before, and this one.
    alert_before :"schema".alert_level NOT NULL,
    alert_after :"schema".alert_level NOT NULL,
    -- Of the change that the message is about: the notification's, or a later one that exceeded the margin.
    job_id bigint,
    version bigint NOT NULL,
    available_before bigint NOT NULL,
    available_after bigint NOT NULL,
    low_stock_threshold bigint,
    -- False: the level counts as announced without a message.
    is_sent boolean NOT NULL,
    -- When it was due: the time from which the next quiet period counts.
    announced_at timestamptz NOT NULL,
    -- Later if no deliverer was running.
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT announcements_pkey PRIMARY KEY (notification_id),
    CONSTRAINT announcements_level_changes CHECK (alert_before <> alert_after)
);

-- Where each item of such a store is: its last notification, and the level that was announced last.
CREATE TABLE :"schema".announced_items (
    store_id text COLLATE "C" NOT NULL,
    item_id text COLLATE "C" NOT NULL,
    location_id text COLLATE "C" NOT NULL,
    notification_id bigint NOT NULL,
    -- After that notification.
    level :"schema".alert_level NOT NULL,
    announced_level :"schema".alert_level NOT NULL,
    -- Null: nothing was announced yet.
    announced_at timestamptz,
    -- More than this must be available before the level is announced; null if nothing is waited for.
    rearm_above bigint,
    -- No version up to this one had more.
    searched_version bigint NOT NULL,
    -- The job that brought more.
    rearmed_by bigint,
    -- Since when the level could be announced, were it not for the quiet period and the snooze.
    ready_at timestamptz,
    -- When a policy or a snooze was set after the notification.
    not_before timestamptz,
    -- When the level is announced; null: it is announced already, or waits for more stock.
    due_at timestamptz,
    CONSTRAINT announced_items_pkey PRIMARY KEY (item_id, store_id, location_id)
) WITH (fillfactor = 70);
CREATE INDEX announced_items_due ON :"schema".announced_items (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX announced_items_rearming ON :"schema".announced_items (item_id, store_id, location_id)
    WHERE rearm_above IS NOT NULL;
CREATE INDEX announced_items_waiting ON :"schema".announced_items (store_id) WHERE level <> announced_level;
