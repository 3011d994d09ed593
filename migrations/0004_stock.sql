-- Stock that comes in right: whole quantities, ids that are what they look like, and the last versions of retired
-- items.

-- A quantity is numeric, because PostgreSQL rounds a fraction to a bigint before any constraint sees it. What is not
-- whole violates a constraint; what is beyond 64 bits is out of range, as it was. The files of the views and of the
-- functions that read the columns make them again.
DROP FUNCTION IF EXISTS :"schema".find_job(bigint);
DROP FUNCTION IF EXISTS :"schema".find_group(text, text);
DROP FUNCTION IF EXISTS :"schema".find_key(text, text);
DROP FUNCTION IF EXISTS :"schema".find_reference(text, text);
DROP FUNCTION IF EXISTS :"schema".is_same_request(:"schema".keys_in_use, text, text, text, bigint, text, bigint);
DROP FUNCTION IF EXISTS :"schema".key_in_use(text, text);
DROP VIEW IF EXISTS :"schema".job_states;
DROP VIEW IF EXISTS :"schema".keys_in_use;
DELETE FROM :"schema".migrations WHERE name IN ('views/jobs.sql', 'functions/keys.sql', 'functions/lookup.sql');

ALTER TABLE :"schema".jobs ALTER COLUMN quantity TYPE numeric;
ALTER TABLE :"schema".jobs ALTER COLUMN expected_available TYPE numeric;
ALTER TABLE :"schema".jobs ADD CONSTRAINT jobs_quantity_whole CHECK (quantity = quantity::bigint);
ALTER TABLE :"schema".jobs ADD CONSTRAINT jobs_expected_available_whole
    CHECK (expected_available = expected_available::bigint);

-- available is generated from the columns that change, so it is made again. It stays a bigint: only input has
-- fractions.
ALTER TABLE :"schema".items DROP COLUMN available;
ALTER TABLE :"schema".items ALTER COLUMN on_hand TYPE numeric;
ALTER TABLE :"schema".items ALTER COLUMN allocated TYPE numeric;
ALTER TABLE :"schema".items ALTER COLUMN low_stock_threshold TYPE numeric;
ALTER TABLE :"schema".items ADD COLUMN available bigint NOT NULL
    GENERATED ALWAYS AS ((on_hand - allocated)::bigint) STORED;
ALTER TABLE :"schema".items ADD CONSTRAINT items_on_hand_whole CHECK (on_hand = on_hand::bigint);
ALTER TABLE :"schema".items ADD CONSTRAINT items_allocated_whole CHECK (allocated = allocated::bigint);
ALTER TABLE :"schema".items ADD CONSTRAINT items_low_stock_threshold_whole
    CHECK (low_stock_threshold = low_stock_threshold::bigint);

-- The level that an item is created with is its baseline. functions/items.sql records it for a new item; the items that
-- no job has changed yet get it here.
UPDATE :"schema".items
SET notified_level = CASE
        WHEN NOT tracked THEN 'ok'
        WHEN available <= 0 THEN 'out'
        WHEN available <= low_stock_threshold THEN 'low'
        ELSE 'ok'
    END:::"schema".alert_level
WHERE notified_level IS NULL;

-- The items that were deleted after jobs had changed them. An item with the same key that is created again goes on with
-- the versions, so each version of a key exists once, and the ledger of the deleted one stays provable.
CREATE TABLE :"schema".retired_items (
    store_id text COLLATE "C" NOT NULL,
    item_id text COLLATE "C" NOT NULL,
    location_id text COLLATE "C" NOT NULL,
    -- The item's last version.
    version bigint NOT NULL,
    -- The version with which the item was created. Its ledger is the results with a version above this one, up to its
    -- last.
    created_version bigint NOT NULL,
    -- As in items.
    on_hand bigint NOT NULL,
    allocated bigint NOT NULL,
    opening_on_hand bigint NOT NULL,
    opening_allocated bigint NOT NULL,
    opening_version bigint NOT NULL,
    last_job_id bigint,
    -- The notifications of the item have ids up to this one, those of its successor higher ones.
    last_notification_id bigint NOT NULL,
    retired_at timestamptz NOT NULL DEFAULT now(),
    retired_by text NOT NULL DEFAULT session_user,
    -- An item that was created again, changed by thresholds alone and deleted has the version of the one before it.
    CONSTRAINT retired_items_pkey PRIMARY KEY (store_id, item_id, location_id, version, last_notification_id)
);

-- Of an item that was deleted in an earlier release only notifications are known, besides its results. Versions go on
-- after them, and there is no ledger to prove.
INSERT INTO :"schema".retired_items (
    store_id, item_id, location_id, version, created_version, on_hand, allocated, opening_on_hand, opening_allocated,
    opening_version, last_notification_id
)
SELECT store_id, item_id, location_id, max(n.version), max(n.version), 0, 0, 0, 0, max(n.version),
    max(n.notification_id)
FROM :"schema".notifications AS n
LEFT JOIN :"schema".items USING (store_id, item_id, location_id)
WHERE items.store_id IS NULL
GROUP BY store_id, item_id, location_id;

-- Ids are what they look like: no control character, no invisible one, no white space but single bytes 0x20 inside.
--
-- One regular expression for the three ids of a job; the first one alone answers for printable ASCII without a space.
-- Only the transaction that inserts a job is bound by it: jobs of an earlier release may break the rule, and workers
-- have to update them. For the same reason it is NOT VALID.
SET search_path = :"schema", pg_temp;
DO $$
DECLARE
    visible CONSTANT text := E'[^\\u0001-\\u0020\\u007f-\\u00a0\\u00ad\\u034f\\u061c\\u115f\\u1160\\u1680\\u17b4\\u17b5'
        || E'\\u180b-\\u180f\\u2000-\\u200f\\u2028-\\u202f\\u205f-\\u206f\\u2800\\u3000\\u3164\\ufe00-\\ufe0f'
        || E'\\ufeff\\uffa0\\ufff0-\\ufffb\\U0001bca0-\\U0001bca3\\U0001d173-\\U0001d17a\\U000e0000-\\U000e0fff]+';
    id CONSTANT text := visible || '( +' || visible || ')*';
    rule CONSTANT text := format(
        'store_id || item_id || location_id !~ %L OR store_id || %L || item_id || %L || location_id ~ %L',
        '[^!-~]', E'\n', E'\n', '^' || id || E'(\\n' || id || '){2}$');
BEGIN
    EXECUTE format(
        'ALTER TABLE jobs ADD CONSTRAINT jobs_ids_visible '
            || 'CHECK (%s OR retry_of IS NOT NULL OR submission_id <> pg_current_xact_id()) NOT VALID', rule);
END
$$;
RESET search_path;
