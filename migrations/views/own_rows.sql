-- What belongs to the caller. Repeatable: applied again whenever this text changes; new columns go to the end, and
-- another change of the columns needs a migration.
--
-- A view reads its tables with its owner's rights, and current_user in it is still the caller. So each view shows a
-- producer its own part of a table that it may not read.

-- The caller's grants.
CREATE OR REPLACE VIEW :"schema".my_grants WITH (security_barrier) AS
SELECT store_id, scopes
FROM :"schema".grants
WHERE producer = current_user::text;

-- The variations in the caller's stores, for a producer that may not read the items themselves.
CREATE OR REPLACE VIEW :"schema".my_variations WITH (security_barrier) AS
SELECT items.store_id, items.item_id, items.location_id
FROM :"schema".items
JOIN :"schema".grants USING (store_id)
WHERE producer = current_user::text AND parent_id IS NOT NULL;

-- The ready jobs in the caller's stores: reading them through row security would call the policy for each row.
CREATE OR REPLACE VIEW :"schema".my_ready_jobs WITH (security_barrier) AS
SELECT jobs.store_id, jobs.strand, jobs.priority, jobs.job_id, jobs.item_id, jobs.location_id
FROM :"schema".jobs
JOIN :"schema".grants USING (store_id)
WHERE producer = current_user::text AND run_at IS NULL;

-- Proves to a function with its owner's rights who calls it, within one transaction.
--
-- In such a function current_user is its owner. session_user and the setting `role` name the role that opened the
-- session, which differs from the caller when another function with its owner's rights is in between. This view issues
-- a token in the caller's own name, and in no other.
CREATE OR REPLACE VIEW :"schema".my_caller_token WITH (security_barrier) AS
SELECT current_user::text AS producer,
    sha256(convert_to(pg_current_xact_id()::text || ' ' || current_user::text, 'UTF8') || secret) AS caller_token
FROM :"schema".caller_token_secret;
