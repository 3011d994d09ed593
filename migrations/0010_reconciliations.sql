-- Balances that were changed outside the queue, and that an administrator accepted.
CREATE TABLE :"schema".reconciliations (
    store_id text COLLATE "C" NOT NULL,
    item_id text COLLATE "C" NOT NULL,
    location_id text COLLATE "C" NOT NULL,
    -- The change outside the queue came after this version and before the next one.
    version bigint NOT NULL,
    on_hand_before bigint NOT NULL,
    on_hand_after bigint NOT NULL,
    allocated_before bigint NOT NULL,
    allocated_after bigint NOT NULL,
    -- When it was accepted, by whom and why. The table operations has each act, if there were several at one version.
    at timestamptz NOT NULL DEFAULT now(),
    who text COLLATE "C" NOT NULL DEFAULT session_user,
    reason text COLLATE "C" NOT NULL,
    CONSTRAINT reconciliations_pkey PRIMARY KEY (store_id, item_id, location_id, version),
    CONSTRAINT reconciliations_reason_length CHECK (octet_length(reason) BETWEEN 1 AND 2000)
);

ALTER TABLE :"schema".reconciliations ENABLE ROW LEVEL SECURITY;
CREATE POLICY producers_read ON :"schema".reconciliations FOR SELECT USING (:"schema".has_grant(store_id));

-- What the ledger checkers of the workers found, the last of each item, until an administrator reconciles the item.
CREATE TABLE :"schema".ledger_violations (
    store_id text COLLATE "C" NOT NULL,
    item_id text COLLATE "C" NOT NULL,
    location_id text COLLATE "C" NOT NULL,
    violation text COLLATE "C" NOT NULL,
    found_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ledger_violations_pkey PRIMARY KEY (store_id, item_id, location_id)
);
