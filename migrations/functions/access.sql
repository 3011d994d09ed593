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

-- Raises the error that names the missing scope.
CREATE OR REPLACE FUNCTION :"schema".raise_missing_scope(
    producer text, scope text, store_id text, item_id text
) RETURNS void
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
BEGIN
    RAISE insufficient_privilege USING
        MESSAGE = format('%I lacks the scope %s for store %L', producer, scope, store_id),
        DETAIL = CASE scope
            WHEN 'read_catalog' THEN format('Item %L is a variation, which needs both scopes.', item_id)
            ELSE 'Enqueueing and canceling need this scope.'
        END,
        HINT = 'An administrator grants it with: stockq grant PRODUCER --store STORE --scope ' || scope;
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
            HINT = 'Call enqueue_arrays, enqueue_lines or cancel_jobs.';
    END IF;
END
$$;

-- Whether the caller sees every store: the owner of the tables, and the roles whose policies let every row through.
CREATE OR REPLACE FUNCTION :"schema".can_read_all_stores() RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp
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
