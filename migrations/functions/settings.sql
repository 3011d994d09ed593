-- What administrators set, and producers for the items of their stores: items and their attributes, limits and grants
-- of stores. Repeatable: applied again whenever this text changes; a change of a signature needs a migration.
--
-- Producers with the scope manage_items set the items of their stores. A function with its owner's rights cannot see
-- who calls it, so the functions for that pass a caller token on; see my_caller_token.

-- Raises an error unless a role may create and change the items of a store: administrators, the owner of the tables,
-- and producers with the scope manage_items. Which item is a variation decides who may enqueue for it, so a producer
-- that sets the parent needs the scope of variations too.
CREATE OR REPLACE FUNCTION :"schema".check_manages_items(
    producer text, caller_token bytea, store_id text, item_id text, sets_parent boolean
) RETURNS void
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
DECLARE
    scopes CONSTANT text[] := (
        SELECT g.scopes FROM grants AS g
        WHERE (g.producer, g.store_id) = (check_manages_items.producer, check_manages_items.store_id)
    );
BEGIN
    PERFORM check_caller_token(producer, caller_token);
    IF may_act_everywhere(producer) THEN
        RETURN;
    ELSIF ('manage_items' = ANY (scopes)) IS NOT TRUE THEN
        PERFORM raise_missing_scope(producer, 'manage_items', store_id, item_id);
    ELSIF sets_parent AND NOT 'read_catalog' = ANY (scopes) THEN
        PERFORM raise_missing_scope(producer, 'read_catalog', store_id, item_id);
    END IF;
END
$$;

-- Raises an error for attributes that no item may have. The constraints of items have the same rules, but their error
-- shows the whole row, its stock too.
CREATE OR REPLACE FUNCTION :"schema".check_attributes(parent_id text, low_stock_threshold bigint) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = :"schema", pg_temp
AS $$
DECLARE
    number_max CONSTANT bigint := 9007199254740991;
BEGIN
    IF low_stock_threshold NOT BETWEEN 0 AND number_max THEN
        RAISE check_violation USING
            MESSAGE = format('low_stock_threshold must be from 0 to %s, not %s', number_max, low_stock_threshold),
            TABLE = 'items', CONSTRAINT = 'items_low_stock_threshold_range';
    ELSIF octet_length(parent_id) NOT BETWEEN 1 AND 200 THEN
        RAISE check_violation USING
            MESSAGE = format('parent_id has %s bytes, from 1 to 200 are allowed', octet_length(parent_id)),
            TABLE = 'items', CONSTRAINT = 'items_parent_id_length';
    END IF;
END
$$;

-- Creates an item with its opening stock. Returns whether it did: an item that exists stays as it is.
CREATE OR REPLACE FUNCTION :"schema".create_item(
    store_id text, item_id text, location_id text DEFAULT NULL, on_hand bigint DEFAULT 0, parent_id text DEFAULT NULL,
    tracked boolean DEFAULT true, low_stock_threshold bigint DEFAULT NULL
) RETURNS boolean
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
DECLARE
    is_created boolean;
BEGIN
    SELECT create_item_for(
        t.producer, t.caller_token, create_item.store_id, create_item.item_id, create_item.location_id,
        create_item.on_hand, create_item.parent_id, create_item.tracked, create_item.low_stock_threshold)
    INTO STRICT is_created
    FROM my_caller_token AS t;
    RETURN is_created;
END
$$;

-- Creates an item for a role that has proved its name with its caller token.
CREATE OR REPLACE FUNCTION :"schema".create_item_for(
    producer text, caller_token bytea, store_id text, item_id text, location_id text, on_hand bigint, parent_id text,
    tracked boolean, low_stock_threshold bigint
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET debug_print_plan = off
AS $$
DECLARE
    location CONSTANT text := coalesce(location_id, (job_defaults()).location_id);
    is_created boolean;
BEGIN
    PERFORM check_text('', 'store_id', store_id), check_text('', 'item_id', item_id),
        check_text('', 'location_id', location);
    PERFORM check_manages_items(producer, caller_token, store_id, item_id, parent_id IS NOT NULL);
    PERFORM check_attributes(parent_id, low_stock_threshold);
    IF on_hand NOT BETWEEN 0 AND 9007199254740991 THEN
        RAISE check_violation USING
            MESSAGE = format('on_hand must be from 0 to 9007199254740991, not %s', on_hand),
            TABLE = 'items', CONSTRAINT = 'items_on_hand_range';
    END IF;
    INSERT INTO items (store_id, item_id, location_id, on_hand, parent_id, tracked, low_stock_threshold)
    VALUES (
        create_item_for.store_id, create_item_for.item_id, location, coalesce(create_item_for.on_hand, 0),
        create_item_for.parent_id, coalesce(create_item_for.tracked, true), create_item_for.low_stock_threshold
    )
    ON CONFLICT ON CONSTRAINT items_pkey DO NOTHING;
    is_created := FOUND;
    IF is_created THEN
        PERFORM record_operation(
            'items create',
            jsonb_build_object('store_id', store_id, 'item_id', item_id, 'location_id', location), NULL);
    END IF;
    RETURN is_created;
END
$$;

-- Changes an item's attributes: a null keeps one as it is, and a name in `clear` empties it. Returns whether the item
-- exists.
CREATE OR REPLACE FUNCTION :"schema".set_item(
    store_id text, item_id text, location_id text DEFAULT NULL, low_stock_threshold bigint DEFAULT NULL,
    tracked boolean DEFAULT NULL, parent_id text DEFAULT NULL, clear text[] DEFAULT '{}'
) RETURNS boolean
LANGUAGE plpgsql SECURITY INVOKER SET search_path = :"schema", pg_temp
AS $$
DECLARE
    is_known boolean;
BEGIN
    SELECT set_item_for(
        t.producer, t.caller_token, set_item.store_id, set_item.item_id, set_item.location_id,
        set_item.low_stock_threshold, set_item.tracked, set_item.parent_id, set_item.clear)
    INTO STRICT is_known
    FROM my_caller_token AS t;
    RETURN is_known;
END
$$;

-- Changes an item's attributes for a role that has proved its name with its caller token.
CREATE OR REPLACE FUNCTION :"schema".set_item_for(
    producer text, caller_token bytea, store_id text, item_id text, location_id text, low_stock_threshold bigint,
    tracked boolean, parent_id text, clear text[]
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET debug_print_plan = off
AS $$
DECLARE
    location CONSTANT text := coalesce(location_id, (job_defaults()).location_id);
    is_known boolean;
BEGIN
    PERFORM check_manages_items(
        producer, caller_token, store_id, item_id, parent_id IS NOT NULL OR 'parent_id' = ANY (clear));
    PERFORM check_attributes(parent_id, low_stock_threshold);
    IF NOT clear <@ ARRAY['low_stock_threshold', 'parent_id'] THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('low_stock_threshold and parent_id can be cleared, not %s', clear);
    END IF;
    UPDATE items AS i
    SET low_stock_threshold = CASE WHEN 'low_stock_threshold' = ANY (clear) THEN NULL
            ELSE coalesce(set_item_for.low_stock_threshold, i.low_stock_threshold) END,
        -- A value that equals the store's is the item's own all the same.
        threshold_is_default = i.threshold_is_default AND set_item_for.low_stock_threshold IS NULL,
        parent_id = CASE WHEN 'parent_id' = ANY (clear) THEN NULL
            ELSE coalesce(set_item_for.parent_id, i.parent_id) END,
        tracked = coalesce(set_item_for.tracked, i.tracked),
        -- Where no trigger has recorded the baseline, it is the level before the attributes change.
        notified_level = coalesce(i.notified_level, CASE
            WHEN NOT i.tracked THEN 'ok'
            WHEN i.available <= 0 THEN 'out'
            WHEN i.available <= i.low_stock_threshold THEN 'low'
            ELSE 'ok'
        END::alert_level),
        updated_at = now()
    WHERE (i.store_id, i.item_id, i.location_id) = (set_item_for.store_id, set_item_for.item_id, location);
    is_known := FOUND;
    IF is_known THEN
        PERFORM record_operation(
            'items set',
            jsonb_build_object(
                'store_id', store_id, 'item_id', item_id, 'location_id', location,
                'low_stock_threshold', low_stock_threshold, 'tracked', tracked, 'parent_id', parent_id,
                'clear', nullif(clear, '{}')),
            NULL);
    END IF;
    RETURN is_known;
END
$$;

-- Sets how many ready jobs a store may have; null removes the limit.
CREATE OR REPLACE FUNCTION :"schema".set_store_limit(store_id text, ready_jobs_max integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
BEGIN
    IF ready_jobs_max IS NULL THEN
        DELETE FROM store_limits AS l WHERE l.store_id = set_store_limit.store_id;
    ELSE
        -- One statement: two administrators may set the limit of a store at the same time.
        INSERT INTO store_limits (store_id, ready_jobs_max)
        VALUES (set_store_limit.store_id, set_store_limit.ready_jobs_max)
        ON CONFLICT ON CONSTRAINT store_limits_pkey DO UPDATE SET ready_jobs_max = excluded.ready_jobs_max;
    END IF;
    PERFORM record_operation(
        'limits set', jsonb_build_object('store_id', store_id, 'ready_jobs_max', ready_jobs_max), NULL);
END
$$;

-- Sets how far in the future a new job's run_at and expires_at may be. Jobs that are queued keep their times.
--
-- The limit is a constraint of the table, which a plain INSERT and COPY obey too. Replacing it locks the table for a
-- moment: the function waits at most 200 ms for that and then fails with SQLSTATE 55P03.
CREATE OR REPLACE FUNCTION :"schema".set_time_limit(days integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET lock_timeout = '200ms'
AS $$
DECLARE
    name text;
BEGIN
    IF days IS NULL OR days NOT BETWEEN 1 AND 36500 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('the limit must be 1 to 36500 days, not %s', coalesce(days::text, 'null'));
    END IF;
    LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE;
    FOREACH name IN ARRAY ARRAY['run_at', 'expires_at'] LOOP
        EXECUTE format('ALTER TABLE jobs DROP CONSTRAINT %I', 'jobs_' || name || '_limit');
        EXECUTE format(
            'ALTER TABLE jobs ADD CONSTRAINT %I CHECK (%I IS NULL OR %2$I <= enqueued_at + interval %L
                OR retry_of IS NOT NULL OR submission_id <> pg_current_xact_id()) NOT VALID',
            'jobs_' || name || '_limit', name, days * 24 || ' hours');
    END LOOP;
    PERFORM record_operation('limits set', jsonb_build_object('days', days), NULL);
END
$$;

-- Adds reasons to the list of the queue and removes others, and sets whether jobs may have only these; a null keeps
-- that as it is. Jobs that are queued keep their reasons, and a job without a reason is always allowed.
--
-- The rule is a constraint of the table, which a plain INSERT and COPY obey too. Replacing it locks the table for a
-- moment: the function waits at most 200 ms for that and then fails with SQLSTATE 55P03.
CREATE OR REPLACE FUNCTION :"schema".set_reasons(
    add text[] DEFAULT '{}', remove text[] DEFAULT '{}', only_listed boolean DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET lock_timeout = '200ms'
AS $$
DECLARE
    was_restricted boolean;
    unknown text;
BEGIN
    LOCK TABLE reasons IN SHARE ROW EXCLUSIVE MODE;
    was_restricted := allowed_reasons() IS NOT NULL;
    SELECT r INTO unknown FROM unnest(remove) AS r WHERE r NOT IN (SELECT reason FROM reasons) LIMIT 1;
    IF FOUND THEN
        RAISE no_data_found USING
            MESSAGE = format('the list has no reason %L', unknown), HINT = 'stockq reasons list shows them.';
    END IF;
    DELETE FROM reasons WHERE reason = ANY (remove);
    INSERT INTO reasons SELECT unnest(add) ON CONFLICT DO NOTHING;
    IF was_restricted OR only_listed THEN
        LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE;
        IF was_restricted THEN
            ALTER TABLE jobs DROP CONSTRAINT jobs_reason_listed;
        END IF;
        IF coalesce(only_listed, was_restricted) THEN
            EXECUTE format(
                'ALTER TABLE jobs ADD CONSTRAINT jobs_reason_listed CHECK (reason IS NULL OR reason = ANY (%L::text[])
                    OR retry_of IS NOT NULL OR submission_id <> pg_current_xact_id()) NOT VALID',
                ARRAY(SELECT reason FROM reasons ORDER BY reason));
        END IF;
    END IF;
    PERFORM record_operation(
        'reasons set',
        jsonb_build_object('add', nullif(add, '{}'), 'remove', nullif(remove, '{}'), 'only_listed', only_listed), NULL);
END
$$;

-- Grants a producer, a role of the database, scopes of a store; it keeps the scopes that it has. The scopes are
-- enqueue, read and manage_items; the first two may have Ecwid's names too, which the table keeps.
CREATE OR REPLACE FUNCTION :"schema".grant_store(producer text, store_id text, scopes text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
DECLARE
    wanted CONSTANT text[] := stored_scopes(scopes);
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = producer) THEN
        RAISE undefined_object USING
            MESSAGE = format('there is no role %I', producer),
            HINT = format('Create it with: CREATE ROLE %I LOGIN', producer);
    END IF;
    INSERT INTO grants AS g (producer, store_id, scopes)
    VALUES (grant_store.producer, grant_store.store_id, wanted)
    ON CONFLICT ON CONSTRAINT grants_pkey DO UPDATE
    SET scopes = ARRAY(SELECT DISTINCT unnest(g.scopes || excluded.scopes) ORDER BY 1),
        granted_by = excluded.granted_by,
        granted_at = now();
    PERFORM record_operation(
        'grant', jsonb_build_object('producer', producer, 'store_id', store_id, 'scopes', wanted), NULL);
END
$$;

-- Revokes scopes of a store from a producer; all of them when none is named. Returns whether it had any of them.
CREATE OR REPLACE FUNCTION :"schema".revoke_store(
    producer text, store_id text, scopes text[] DEFAULT NULL
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
DECLARE
    named CONSTANT text[] := CASE WHEN scopes IS NOT NULL THEN stored_scopes(scopes) END;
    granted text[];
    remaining text[];
BEGIN
    SELECT g.scopes INTO granted
    FROM grants AS g
    WHERE (g.producer, g.store_id) = (revoke_store.producer, revoke_store.store_id)
    FOR UPDATE;
    IF granted IS NULL OR NOT granted && coalesce(named, granted) THEN
        RETURN false;
    END IF;
    remaining := ARRAY(SELECT unnest(granted) EXCEPT SELECT unnest(coalesce(named, granted)) ORDER BY 1);
    IF cardinality(remaining) = 0 THEN
        DELETE FROM grants AS g WHERE (g.producer, g.store_id) = (revoke_store.producer, revoke_store.store_id);
    ELSE
        UPDATE grants AS g SET scopes = remaining
        WHERE (g.producer, g.store_id) = (revoke_store.producer, revoke_store.store_id);
    END IF;
    PERFORM record_operation(
        'revoke', jsonb_build_object('producer', producer, 'store_id', store_id, 'scopes', named), NULL);
    RETURN true;
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA :"schema" FROM PUBLIC;
