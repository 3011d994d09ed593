-- Who calls the gateway: tokens, and clients of OAuth 2.0 that get tokens for their secrets.
--
-- A token and a secret are 256 random bits, so the SHA-256 of one needs no salt and no slow function. The tables have
-- only hashes, and row security without a policy shows even those to the owner alone: with the gateway's password, a
-- hash is as good as its token.

CREATE TABLE :"schema".gateway_tokens (
    token_id bigint GENERATED ALWAYS AS IDENTITY,
    -- SHA-256 of the token in hexadecimal digits. Null: calls that present no token.
    token_hash text COLLATE "C",
    -- Null for a token that was issued to a client.
    name text COLLATE "C",
    -- The client that the token was issued to; null for a token that an administrator created.
    client_id text COLLATE "C",
    stores text[] COLLATE "C" NOT NULL,
    -- update_catalog: enqueue. read_catalog: read items and their history. manage_items: create and remove items.
    -- manage_notifications: subscriptions, the policy of alerts, snoozes.
    scopes text[] COLLATE "C" NOT NULL,
    created_by text NOT NULL DEFAULT session_user,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Null: the token does not expire.
    expires_at timestamptz,
    -- Updated at most once a minute.
    last_used_at timestamptz,
    revoked_at timestamptz,
    CONSTRAINT gateway_tokens_pkey PRIMARY KEY (token_id),
    CONSTRAINT gateway_tokens_token_hash_key UNIQUE (token_hash),
    CONSTRAINT gateway_tokens_token_hash_form CHECK (token_hash ~ '^[0-9a-f]{64}$'),
    CONSTRAINT gateway_tokens_name_length CHECK (octet_length(name) BETWEEN 1 AND 200),
    CONSTRAINT gateway_tokens_name_or_client CHECK (num_nonnulls(name, client_id) = 1),
    CONSTRAINT gateway_tokens_stores_not_empty CHECK (cardinality(stores) > 0),
    CONSTRAINT gateway_tokens_scopes_not_empty CHECK (cardinality(scopes) > 0),
    CONSTRAINT gateway_tokens_scopes_known CHECK (
        scopes <@ ARRAY['update_catalog', 'read_catalog', 'manage_items', 'manage_notifications']::text[]
    )
);
-- A name can be used again when its token is revoked.
CREATE UNIQUE INDEX gateway_tokens_name ON :"schema".gateway_tokens (name) WHERE revoked_at IS NULL;
-- Issued tokens by their end: issuing one deletes a few of those that ended.
CREATE INDEX gateway_tokens_ended ON :"schema".gateway_tokens (expires_at) WHERE client_id IS NOT NULL;
-- The stores that answer calls without a token.
CREATE INDEX gateway_tokens_anonymous ON :"schema".gateway_tokens (token_id) WHERE token_hash IS NULL;

CREATE TABLE :"schema".gateway_clients (
    client_id text COLLATE "C" NOT NULL,
    -- SHA-256 of the client's secret in hexadecimal digits.
    secret_hash text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    store_id text COLLATE "C" NOT NULL,
    -- As in gateway_tokens.
    scopes text[] COLLATE "C" NOT NULL,
    created_by text NOT NULL DEFAULT session_user,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- When a token was issued last; updated at most once a minute.
    last_used_at timestamptz,
    revoked_at timestamptz,
    CONSTRAINT gateway_clients_pkey PRIMARY KEY (client_id),
    CONSTRAINT gateway_clients_client_id_length CHECK (octet_length(client_id) BETWEEN 1 AND 200),
    CONSTRAINT gateway_clients_secret_hash_form CHECK (secret_hash ~ '^[0-9a-f]{64}$'),
    CONSTRAINT gateway_clients_name_length CHECK (octet_length(name) BETWEEN 1 AND 200),
    CONSTRAINT gateway_clients_store_id_length CHECK (octet_length(store_id) BETWEEN 1 AND 200),
    CONSTRAINT gateway_clients_scopes_not_empty CHECK (cardinality(scopes) > 0),
    CONSTRAINT gateway_clients_scopes_known CHECK (
        scopes <@ ARRAY['update_catalog', 'read_catalog', 'manage_items', 'manage_notifications']::text[]
    )
);
CREATE UNIQUE INDEX gateway_clients_name ON :"schema".gateway_clients (name) WHERE revoked_at IS NULL;

ALTER TABLE :"schema".gateway_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE :"schema".gateway_clients ENABLE ROW LEVEL SECURITY;
