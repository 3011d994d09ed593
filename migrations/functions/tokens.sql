-- The callers of the gateway: tokens and clients, for administrators. Repeatable: applied again whenever this text
-- changes; a change of a signature needs a migration.
--
-- The secrets are made by the program and never reach the server: these functions get their SHA-256.

-- Creates a token. Without a hash, calls that present no token may do this in these stores.
CREATE OR REPLACE FUNCTION :"schema".create_gateway_token(
    name text, token_hash text, stores text[], scopes text[], expires_after interval DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
BEGIN
    IF EXISTS (
        SELECT FROM unnest(stores) AS store WHERE store IS NULL OR octet_length(store) NOT BETWEEN 1 AND 200
    ) THEN
        RAISE invalid_parameter_value USING MESSAGE = 'the id of a store has 1 to 200 bytes';
    END IF;
    IF EXISTS (
        SELECT FROM gateway_tokens AS t WHERE t.name = create_gateway_token.name AND t.revoked_at IS NULL
    ) THEN
        RAISE unique_violation USING
            MESSAGE = format('there is a token %L', name),
            HINT = 'Use another name, or revoke that token: stockq tokens revoke NAME';
    END IF;
    INSERT INTO gateway_tokens (name, token_hash, stores, scopes, expires_at)
    VALUES (
        create_gateway_token.name, create_gateway_token.token_hash,
        ARRAY(SELECT DISTINCT unnest(create_gateway_token.stores) ORDER BY 1),
        ARRAY(SELECT DISTINCT unnest(create_gateway_token.scopes) ORDER BY 1), now() + expires_after
    );
    PERFORM record_operation(
        'tokens create',
        jsonb_build_object(
            'name', name, 'stores', stores, 'scopes', scopes, 'expires_at', now() + expires_after,
            'anonymous', CASE WHEN token_hash IS NULL THEN true END),
        NULL);
END
$$;

-- Revokes a token by its name. Returns whether there was one. Calls under way still get their answer.
CREATE OR REPLACE FUNCTION :"schema".revoke_gateway_token(name text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
BEGIN
    UPDATE gateway_tokens AS t SET revoked_at = now()
    WHERE t.name = revoke_gateway_token.name AND t.revoked_at IS NULL;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM record_operation('tokens revoke', jsonb_build_object('name', name), NULL);
    RETURN true;
END
$$;

-- The tokens that administrators created, without their hashes.
CREATE OR REPLACE FUNCTION :"schema".list_gateway_tokens() RETURNS TABLE (
    name text, is_anonymous boolean, stores text[], scopes text[], created_by text, created_at timestamptz,
    expires_at timestamptz, last_used_at timestamptz, revoked_at timestamptz
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
    SELECT t.name, t.token_hash IS NULL, t.stores, t.scopes, t.created_by, t.created_at, t.expires_at, t.last_used_at,
        t.revoked_at
    FROM gateway_tokens AS t
    WHERE t.client_id IS NULL
    ORDER BY t.name, t.token_id
$$;

-- Creates a client, which gets tokens of an hour for its id and its secret.
CREATE OR REPLACE FUNCTION :"schema".create_gateway_client(
    name text, client_id text, secret_hash text, store_id text, scopes text[]
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
BEGIN
    IF EXISTS (
        SELECT FROM gateway_clients AS c WHERE c.name = create_gateway_client.name AND c.revoked_at IS NULL
    ) THEN
        RAISE unique_violation USING
            MESSAGE = format('there is a client %L', name),
            HINT = 'Use another name, or revoke that client: stockq clients revoke NAME';
    END IF;
    INSERT INTO gateway_clients (client_id, secret_hash, name, store_id, scopes)
    VALUES (
        create_gateway_client.client_id, create_gateway_client.secret_hash, create_gateway_client.name,
        create_gateway_client.store_id, ARRAY(SELECT DISTINCT unnest(create_gateway_client.scopes) ORDER BY 1)
    );
    PERFORM record_operation(
        'clients create',
        jsonb_build_object('name', name, 'client_id', client_id, 'store_id', store_id, 'scopes', scopes), NULL);
END
$$;

-- Revokes a client by its name, and with it all tokens that it has. Returns whether there was one.
CREATE OR REPLACE FUNCTION :"schema".revoke_gateway_client(name text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
BEGIN
    UPDATE gateway_clients AS c SET revoked_at = now()
    WHERE c.name = revoke_gateway_client.name AND c.revoked_at IS NULL;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM record_operation('clients revoke', jsonb_build_object('name', name), NULL);
    RETURN true;
END
$$;

-- The clients, without their hashes.
CREATE OR REPLACE FUNCTION :"schema".list_gateway_clients() RETURNS TABLE (
    name text, client_id text, store_id text, scopes text[], created_by text, created_at timestamptz,
    last_used_at timestamptz, revoked_at timestamptz
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
    SELECT c.name, c.client_id, c.store_id, c.scopes, c.created_by, c.created_at, c.last_used_at, c.revoked_at
    FROM gateway_clients AS c
    ORDER BY c.name, c.created_at
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA :"schema" FROM PUBLIC;
