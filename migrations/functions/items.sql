-- Items that come and go: the checks and the baseline of a new one, and what stays of a retired one. Repeatable:
-- applied again whenever this text changes; a change of a signature needs a migration.
--
-- The triggers are left out where the extension Citus is installed, which refuses them on its tables. There the
-- programs keep the rules: `stockq items import`, set_item and retire_item.

-- The first character of an id that makes it look like another one, as U+200B (see hidden_characters). Null if there is
-- none.
CREATE OR REPLACE FUNCTION :"schema".hidden_character(id text) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = :"schema", pg_temp
AS $$
BEGIN
    RETURN 'U+' || upper(lpad(to_hex(ascii(substring(id FROM '^ | $|' || hidden_characters()))), 4, '0'));
END
$$;

-- Raises an error for the first of the item's ids with a hidden character.
CREATE OR REPLACE FUNCTION :"schema".check_item_ids(item :"schema".items) RETURNS void
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
DECLARE
    wrong record;
BEGIN
    SELECT given.name, given.id, hidden_character(given.id) AS hidden INTO wrong
    FROM (VALUES
        ('store_id', item.store_id), ('item_id', item.item_id), ('location_id', item.location_id),
        ('parent_id', item.parent_id)
    ) AS given (name, id)
    WHERE hidden_character(given.id) IS NOT NULL
    LIMIT 1;
    IF FOUND THEN
        RAISE check_violation USING
            MESSAGE = format(
                '%s %s has the character %s, which does not show', wrong.name, to_json(wrong.id), wrong.hidden),
            HINT = 'An id has visible characters, and spaces only between them.',
            TABLE = 'items', CONSTRAINT = 'items_ids_visible';
    END IF;
END
$$;

-- The threshold of the items of a store that have none of their own.
CREATE OR REPLACE FUNCTION :"schema".default_threshold(store_id text) RETURNS bigint
LANGUAGE sql STABLE SET search_path = :"schema", pg_temp
AS $$
    SELECT p.default_threshold FROM alert_policies AS p WHERE p.store_id = $1 ORDER BY p.policy_id DESC LIMIT 1
$$;

-- Before an item is inserted: checks its ids, gives it its store's threshold if it has none of its own, records its
-- level as the baseline, and continues the versions of an earlier item with the same key.
CREATE OR REPLACE FUNCTION :"schema".open_item() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
DECLARE
    last_version bigint;
BEGIN
    IF NEW.store_id || NEW.item_id || NEW.location_id || coalesce(NEW.parent_id, '') ~ '[^!-~]' THEN
        PERFORM check_item_ids(NEW);
    END IF;
    IF NEW.low_stock_threshold IS NULL THEN
        NEW.low_stock_threshold := default_threshold(NEW.store_id);
        NEW.threshold_is_default := NEW.low_stock_threshold IS NOT NULL;
    END IF;
    -- A level that comes with the row does not know the default.
    IF NEW.notified_level IS NULL OR NEW.threshold_is_default THEN
        NEW.notified_level := CASE
            WHEN NOT NEW.tracked THEN 'ok'
            WHEN NEW.on_hand - NEW.allocated <= 0 THEN 'out'
            WHEN NEW.on_hand - NEW.allocated <= NEW.low_stock_threshold THEN 'low'
            ELSE 'ok'
        END;
    END IF;
    IF NEW.version = 0 THEN
        SELECT r.version INTO last_version
        FROM retired_items AS r
        WHERE r.store_id = NEW.store_id AND r.item_id = NEW.item_id AND r.location_id = NEW.location_id
        ORDER BY r.version DESC
        LIMIT 1;
        IF FOUND THEN
            NEW.version := last_version;
            NEW.opening_version := last_version;
        END IF;
    END IF;
    RETURN NEW;
END
$$;

-- The level of an available quantity.
CREATE OR REPLACE FUNCTION :"schema".level_of(available bigint, threshold bigint) RETURNS :"schema".alert_level
LANGUAGE sql IMMUTABLE SET search_path = :"schema", pg_temp
AS $$
    SELECT CASE WHEN available <= 0 THEN 'out' WHEN available <= threshold THEN 'low' ELSE 'ok' END::alert_level
$$;

-- The notification for a change of the level.
CREATE OR REPLACE FUNCTION :"schema".kind_of(
    level_before :"schema".alert_level, level_after :"schema".alert_level
) RETURNS :"schema".notification_kind
LANGUAGE sql IMMUTABLE SET search_path = :"schema", pg_temp
AS $$
    SELECT CASE
        WHEN level_after = 'out' THEN 'out_of_stock'
        WHEN level_before = 'out' THEN 'back_in_stock'
        WHEN level_after = 'low' THEN 'low_stock'
        ELSE 'restocked'
    END::notification_kind
$$;

-- Before an item's threshold changes: if its level changes with it, writes the notification and records the change. An
-- item that loses its threshold gets its store's.
CREATE OR REPLACE FUNCTION :"schema".compare_threshold() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
DECLARE
    available CONSTANT bigint := NEW.on_hand - NEW.allocated;
    level alert_level;
    written bigint;
BEGIN
    IF NEW.low_stock_threshold IS NULL THEN
        NEW.low_stock_threshold := default_threshold(NEW.store_id);
        NEW.threshold_is_default := NEW.low_stock_threshold IS NOT NULL;
    ELSIF NEW.low_stock_threshold IS DISTINCT FROM OLD.low_stock_threshold
        AND NEW.threshold_is_default = OLD.threshold_is_default
    THEN
        NEW.threshold_is_default := false;
    END IF;
    level := level_of(available, NEW.low_stock_threshold::bigint);
    IF NOT NEW.tracked OR NEW.notified_level IS NULL OR level = NEW.notified_level THEN
        RETURN NEW;
    END IF;
    INSERT INTO notifications (
        version, available_before, available_after, low_stock_threshold, kind, store_id, item_id, location_id
    ) VALUES (
        NEW.version, available, available, NEW.low_stock_threshold, kind_of(NEW.notified_level, level),
        NEW.store_id, NEW.item_id, NEW.location_id)
    RETURNING notification_id INTO written;
    INSERT INTO threshold_changes (
        notification_id, store_id, item_id, location_id, version, low_stock_threshold, alert_before, alert_after
    ) VALUES (
        written, NEW.store_id, NEW.item_id, NEW.location_id, NEW.version, NEW.low_stock_threshold, NEW.notified_level,
        level);
    NEW.notified_level := level;
    RETURN NEW;
END
$$;

-- Keeps the last balance and version of an item that goes. An item that neither a job nor a threshold has changed
-- leaves nothing to prove.
--
-- What is due about it before this is announced, and nothing later (alerts.sql). So the time of this row must be later
-- than all announcements that were made without seeing it: in an announced store it is taken under the lock of the
-- fan-out.
CREATE OR REPLACE FUNCTION :"schema".keep_retired_item(item :"schema".items) RETURNS void
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
DECLARE
    created CONSTANT bigint := coalesce((
        SELECT max(r.version)
        FROM retired_items AS r
        WHERE (r.store_id, r.item_id, r.location_id) = (item.store_id, item.item_id, item.location_id)
    ), 0);
BEGIN
    IF item.version <= created AND NOT EXISTS (
        SELECT FROM threshold_changes AS c
        WHERE (c.item_id, c.store_id, c.location_id, c.version)
            = (item.item_id, item.store_id, item.location_id, item.version)
    ) THEN
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM announced_stores AS s WHERE s.store_id = item.store_id) THEN
        PERFORM FROM delivery_progress FOR UPDATE;
    END IF;
    INSERT INTO retired_items (
        store_id, item_id, location_id, version, created_version, on_hand, allocated, opening_on_hand,
        opening_allocated, opening_version, last_job_id, last_notification_id, retired_at
    )
    SELECT item.store_id, item.item_id, item.location_id, item.version, created, item.on_hand, item.allocated,
        coalesce(item.opening_on_hand, item.on_hand), coalesce(item.opening_allocated, item.allocated),
        item.opening_version, item.last_job_id,
        -- The item's row is locked, so none of its notifications is still to come.
        CASE WHEN s.is_called THEN s.last_value ELSE 0 END, clock_timestamp()
    FROM notifications_notification_id_seq AS s
    ON CONFLICT ON CONSTRAINT retired_items_pkey DO NOTHING;
END
$$;

-- After an item is deleted, and before all of them are truncated.
CREATE OR REPLACE FUNCTION :"schema".retire_deleted_items() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        PERFORM keep_retired_item(items) FROM items;
    ELSE
        PERFORM keep_retired_item(OLD);
    END IF;
    RETURN NULL;
END
$$;

-- Deletes an item that is no longer sold. Its results stay, and its ledger stays provable; an item that is created
-- again with the same key continues its versions. Returns whether the item existed.
--
-- An item with stock or with queued jobs is an error, because both would be lost without a record.
CREATE OR REPLACE FUNCTION :"schema".retire_item(
    store_id text, item_id text, location_id text DEFAULT NULL
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
DECLARE
    location CONSTANT text := coalesce(location_id, (job_defaults()).location_id);
    item items;
BEGIN
    SELECT * INTO item FROM items AS i
    WHERE (i.store_id, i.item_id, i.location_id) = (retire_item.store_id, retire_item.item_id, location)
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    ELSIF item.tracked AND (item.on_hand <> 0 OR item.allocated <> 0) THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format(
                'item %L of store %L at %L has %s on hand and %s allocated, and cannot be retired', item_id, store_id,
                location, item.on_hand, item.allocated),
            HINT = 'Ship or deallocate what is allocated, and set its stock to 0 with a job.';
    ELSIF EXISTS (
        SELECT FROM jobs AS j
        WHERE (j.store_id, j.item_id, j.location_id) = (retire_item.store_id, retire_item.item_id, location)
    ) THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format(
                'item %L of store %L at %L has queued jobs, and cannot be retired', item_id, store_id, location),
            HINT = 'Wait until they are finished, or cancel them.';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'items'::regclass AND tgname = 'retire_deleted_items') THEN
        PERFORM keep_retired_item(item);
    END IF;
    DELETE FROM items AS i
    WHERE (i.store_id, i.item_id, i.location_id) = (retire_item.store_id, retire_item.item_id, location);
    DELETE FROM ledger_violations AS v
    WHERE (v.store_id, v.item_id, v.location_id) = (retire_item.store_id, retire_item.item_id, location);
    PERFORM record_operation(
        'items retire',
        jsonb_build_object('store_id', store_id, 'item_id', item_id, 'location_id', location), NULL);
    RETURN true;
END
$$;

SET search_path = :"schema", pg_temp;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') THEN
        RETURN;
    END IF;
    -- Making a trigger locks the table, so those that exist are kept. A worker's updates do not name the threshold, so
    -- they do not call the trigger.
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'items'::regclass AND tgname = 'compare_threshold') THEN
        CREATE TRIGGER compare_threshold BEFORE UPDATE OF low_stock_threshold ON items
            FOR EACH ROW EXECUTE FUNCTION compare_threshold();
    END IF;
    IF EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'items'::regclass AND tgname = 'open_item') THEN
        RETURN;
    END IF;
    CREATE TRIGGER open_item BEFORE INSERT ON items
        FOR EACH ROW EXECUTE FUNCTION open_item();
    CREATE TRIGGER retire_deleted_items AFTER DELETE ON items
        FOR EACH ROW EXECUTE FUNCTION retire_deleted_items();
    CREATE TRIGGER retire_truncated_items BEFORE TRUNCATE ON items
        FOR EACH STATEMENT EXECUTE FUNCTION retire_deleted_items();
END
$$;
RESET search_path;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA :"schema" FROM PUBLIC;
