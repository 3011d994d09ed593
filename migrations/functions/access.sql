-- Who may use which store. Repeatable: applied again whenever this text changes; a change of a signature needs a
-- migration.
--
-- The policies of 0001_initial.sql call these functions, so a new schema gets this file first. The bodies name tables
-- that do not exist then; PL/pgSQL resolves names at the first call.

-- Whether the caller has a grant for the store: with this scope, or with any scope when none is named.
CREATE OR REPLACE FUNCTION :"schema".has_grant(store_id text, scope text DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM my_grants
        WHERE my_grants.store_id = has_grant.store_id AND (scope IS NULL OR scope = ANY (scopes))
    );
END
$$;

-- True if the caller may enqueue for the item; otherwise an error that names the missing scope.
CREATE OR REPLACE FUNCTION :"schema".may_enqueue(store_id text, item_id text, location_id text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
AS $$
DECLARE
    granted text[] := (SELECT scopes FROM my_grants WHERE my_grants.store_id = may_enqueue.store_id);
BEGIN
    IF 'update_catalog' = ANY (granted) AND 'read_catalog' = ANY (granted) THEN
        RETURN true;
    ELSIF granted IS NULL OR 'update_catalog' <> ALL (granted) THEN
        PERFORM raise_missing_scope(current_user::text, 'update_catalog', store_id, item_id);
    ELSIF EXISTS (
        SELECT FROM my_variations AS v
        WHERE (v.store_id, v.item_id, v.location_id)
            = (may_enqueue.store_id, may_enqueue.item_id, may_enqueue.location_id)
    ) THEN
        PERFORM raise_missing_scope(current_user::text, 'read_catalog', store_id, item_id);
    END IF;
    RETURN true;
END
$$;

-- A scope's name on the command line, which the messages have. The tables keep Ecwid's names of two of them.
CREATE OR REPLACE FUNCTION :"schema".scope_name(stored text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE stored WHEN 'update_catalog' THEN 'enqueue' WHEN 'read_catalog' THEN 'read' ELSE stored END;

-- The scopes of a producer as the table of grants has them. An unknown one is an error that lists those that there are.
CREATE OR REPLACE FUNCTION :"schema".stored_scopes(scopes text[]) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE SET search_path = :"schema", pg_temp
AS $$
DECLARE
    known CONSTANT text[] := ARRAY['update_catalog', 'read_catalog', 'manage_items'];
    stored CONSTANT text[] := ARRAY(
        SELECT CASE given.scope WHEN 'enqueue' THEN 'update_catalog' WHEN 'read' THEN 'read_catalog' ELSE scope END
        FROM unnest(scopes) AS given (scope)
    );
    unknown record;
BEGIN
    SELECT s.scope INTO unknown FROM unnest(stored) AS s (scope) WHERE (s.scope = ANY (known)) IS NOT TRUE LIMIT 1;
    IF FOUND OR cardinality(stored) = 0 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = CASE
                WHEN cardinality(stored) = 0 THEN 'name a scope'
                ELSE format('there is no scope %L of producers', left(unknown.scope, 60))
            END,
            HINT = format(
                'The scopes are %s.', (SELECT string_agg(scope_name(scope), ', ') FROM unnest(known) AS k (scope)));
    END IF;
    RETURN stored;
END
$$;

-- A word of a command for a shell.
CREATE OR REPLACE FUNCTION :"schema".shell_word(word text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN word ~ '^[A-Za-z0-9_./:@%+][A-Za-z0-9_./:@%+-]*$' THEN word
    ELSE '''' || replace(word, '''', E'\'\\\'\'') || ''''
END;

-- Raises the error that names the missing scope.
CREATE OR REPLACE FUNCTION :"schema".raise_missing_scope(
    producer text, scope text, store_id text, item_id text
) RETURNS void
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
BEGIN
    RAISE insufficient_privilege USING
        MESSAGE = format('%I lacks the scope %s for store %L', producer, scope_name(scope), store_id),
        DETAIL = CASE scope
            WHEN 'read_catalog'
                THEN format('Item %L is a variation, which needs the scopes enqueue and read.', item_id)
            WHEN 'manage_items' THEN 'Creating items and changing their attributes need this scope.'
            ELSE 'Enqueueing and canceling need this scope.'
        END,
        HINT = format(
            'An administrator grants it with: stockq grant %s --store %s --scope %s', shell_word(producer),
            shell_word(store_id), scope_name(scope));
END
$$;

-- Raises an error unless the token is that of the named role in this transaction, and the role may enqueue; see
-- my_caller_token.
CREATE OR REPLACE FUNCTION :"schema".check_caller_token(producer text, caller_token bytea) RETURNS void
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
DECLARE
    expected_token CONSTANT bytea := (
        SELECT sha256(convert_to(pg_current_xact_id()::text || ' ' || producer, 'UTF8') || secret)
        FROM caller_token_secret
    );
BEGIN
    IF caller_token IS NULL OR expected_token IS NULL OR caller_token <> expected_token
        OR NOT has_any_column_privilege(producer, 'jobs', 'INSERT')
    THEN
        RAISE insufficient_privilege USING
            MESSAGE = CASE
                WHEN producer IS NULL THEN 'the caller token names no producer'
                ELSE format('the caller token is not the one of %I in this transaction', producer)
            END,
            HINT = 'Call enqueue_arrays, enqueue_lines, cancel_jobs, create_item or set_item.';
    END IF;
END
$$;

-- Whether the caller sees every store: the owner of the tables, and the roles whose policies let every row through.
-- Views use it, and without PARALLEL SAFE no scan of theirs could be parallel.
CREATE OR REPLACE FUNCTION :"schema".can_read_all_stores() RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = :"schema", pg_temp
AS $$
BEGIN
    RETURN NOT row_security_active('jobs') OR EXISTS (
        SELECT FROM pg_roles
        WHERE rolname IN (
                current_schema() || '_worker', current_schema() || '_reader', current_schema() || '_admin'
            )
            AND pg_has_role(oid, 'USAGE')
    );
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA :"schema" FROM PUBLIC;
