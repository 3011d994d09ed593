-- Who may do what: grants of stores to producers, row security, and functions that run with their owner's rights.
--
-- The roles themselves belong to the whole cluster and stand in roles.sql, since not everybody who migrates may create roles.

-- Which producer may touch which store, and how far. A producer is a role of the database, by name.
CREATE TABLE :"schema".grants (
    producer text COLLATE "C" NOT NULL,
    store_id text COLLATE "C" NOT NULL CHECK (octet_length(store_id) BETWEEN 1 AND 200),
    -- update_catalog: enqueue. read_catalog: read the items; enqueueing for a variation needs both.
    scopes text[] COLLATE "C" NOT NULL
        CHECK (scopes <@ ARRAY['update_catalog', 'read_catalog']::text[] AND cardinality(scopes) > 0),
    granted_by text NOT NULL DEFAULT session_user,
    granted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (producer, store_id)
);

-- The grants of whoever asks. A view reads with its owner's rights, and current_user in it is still the one who asks.
CREATE VIEW :"schema".my_grants WITH (security_barrier) AS
SELECT store_id, scopes
FROM :"schema".grants
WHERE producer = current_user::text;

-- The variations in the stores of whoever asks, for a producer who may not read the items themselves.
CREATE VIEW :"schema".my_variations WITH (security_barrier) AS
SELECT items.store_id, items.item_id, items.location_id
FROM :"schema".items
JOIN :"schema".grants USING (store_id)
WHERE producer = current_user::text AND parent_id IS NOT NULL;

-- Whether whoever asks has a grant for the store: with this scope, or with any where none is named.
CREATE FUNCTION :"schema".has_grant(store_id text, scope text DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM my_grants
        WHERE my_grants.store_id = has_grant.store_id AND (scope IS NULL OR scope = ANY (scopes))
    );
END
$$;

-- True where whoever asks may enqueue for the item; otherwise an error that names the scope that is missing.
CREATE FUNCTION :"schema".may_enqueue(store_id text, item_id text, location_id text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
DECLARE
    held text[] := (SELECT scopes FROM my_grants WHERE my_grants.store_id = may_enqueue.store_id);
    missing text;
BEGIN
    IF 'update_catalog' = ANY (held) AND 'read_catalog' = ANY (held) THEN
        RETURN true;
    END IF;
    IF held IS NULL OR 'update_catalog' <> ALL (held) THEN
        missing := 'update_catalog';
    ELSIF EXISTS (
        SELECT FROM my_variations AS v
        WHERE (v.store_id, v.item_id, v.location_id) = (may_enqueue.store_id, may_enqueue.item_id, may_enqueue.location_id)
    ) THEN
        missing := 'read_catalog';
    ELSE
        RETURN true;
    END IF;
    RAISE insufficient_privilege USING
        MESSAGE = format('%I lacks the scope %s for store %L', current_user, missing, store_id),
        DETAIL = CASE missing
            WHEN 'read_catalog' THEN format('Item %L is a variation, which needs both scopes.', item_id)
            ELSE 'Enqueueing needs this scope.'
        END,
        HINT = 'An administrator gives it with: stockq grant PRODUCER --store STORE --scope ' || missing;
END
$$;

-- Producers see their own stores. Who owns the tables sees everything; the other roles have policies in roles.sql.
ALTER TABLE :"schema".items ENABLE ROW LEVEL SECURITY;
ALTER TABLE :"schema".jobs ENABLE ROW LEVEL SECURITY;
ALTER TABLE :"schema".results ENABLE ROW LEVEL SECURITY;
ALTER TABLE :"schema".notifications ENABLE ROW LEVEL SECURITY;
ALTER TABLE :"schema".idempotency_keys ENABLE ROW LEVEL SECURITY;

CREATE POLICY producers_read ON :"schema".items FOR SELECT USING (:"schema".has_grant(store_id, 'read_catalog'));
CREATE POLICY producers_read ON :"schema".jobs FOR SELECT USING (:"schema".has_grant(store_id));
CREATE POLICY producers_enqueue ON :"schema".jobs FOR INSERT
    WITH CHECK (:"schema".may_enqueue(store_id, item_id, location_id));
CREATE POLICY producers_read ON :"schema".results FOR SELECT USING (:"schema".has_grant(store_id));
CREATE POLICY producers_read ON :"schema".notifications FOR SELECT USING (:"schema".has_grant(store_id));
CREATE POLICY producers_read ON :"schema".idempotency_keys FOR SELECT USING (:"schema".has_grant(store_id));

-- A worker owns no table, and has to build partitions all the same.
ALTER FUNCTION :"schema".add_results_partition(bigint, bigint) SECURITY DEFINER;
ALTER FUNCTION :"schema".add_results_partitions(bigint, integer) SECURITY DEFINER;
ALTER FUNCTION :"schema".drop_expired_results(interval) SECURITY DEFINER;
ALTER FUNCTION :"schema".drop_expired_keys(interval, integer) SECURITY DEFINER;
