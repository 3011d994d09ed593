-- What the gateway does with the queue. Repeatable: applied again whenever this text changes; a change of a signature
-- needs a migration.
--
-- These functions run with their owner's rights, and they are all that the gateway's role may execute. Each checks the
-- hash of the token that a caller presented, for every call and every job: the role's password alone reads nothing and
-- enqueues nothing. One call of a function serves many requests of many callers.

-- Checks the access of each call. `scopes` has what a call needs, separated by spaces; a call without a store means the
-- one store of its token.
--
-- A failure is invalid_token (unknown, expired, revoked, or of other stores), unknown_store (the token is of other
-- stores, and this one has no item) or missing_scope.
CREATE OR REPLACE FUNCTION :"schema".check_gateway_access(token_hashes text[], store_ids text[], scopes text[])
RETURNS TABLE (call integer, store_id text, granted text[], failure text)
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp SET jit = off
AS $$
BEGIN
    RETURN QUERY
    SELECT c.number::integer, coalesce(c.store_id, t.stores[1]), t.scopes,
        CASE
            WHEN t.token_id IS NULL THEN 'invalid_token'
            WHEN c.store_id IS NULL AND cardinality(t.stores) <> 1 THEN 'several_stores'
            WHEN c.store_id <> ALL (t.stores) THEN CASE
                WHEN EXISTS (SELECT FROM items AS i WHERE i.store_id = c.store_id) THEN 'invalid_token'
                ELSE 'unknown_store'
            END
            WHEN NOT string_to_array(c.scopes, ' ') <@ t.scopes THEN 'missing_scope'
        END
    -- Sub-selects hide the arrays from the planner: one plan serves all calls. Planning costs more than the look-up.
    FROM unnest((SELECT token_hashes), (SELECT store_ids), (SELECT check_gateway_access.scopes)) WITH ORDINALITY
        AS c (token_hash, store_id, scopes, number)
    LEFT JOIN LATERAL (
        SELECT g.token_id, g.stores, g.scopes
        FROM gateway_tokens AS g
        WHERE (
                g.token_hash = c.token_hash
                OR c.token_hash IS NULL AND g.token_hash IS NULL AND c.store_id = ANY (g.stores)
            )
            AND g.revoked_at IS NULL
            AND (g.expires_at IS NULL OR g.expires_at > now())
            AND (g.client_id IS NULL OR EXISTS (
                SELECT FROM gateway_clients AS k WHERE k.client_id = g.client_id AND k.revoked_at IS NULL
            ))
        ORDER BY cardinality(g.scopes) DESC, g.token_id
        LIMIT 1
    ) AS t ON true;
END
$$;

-- Notes the use of tokens. Another transaction that notes the same use is not waited for.
CREATE OR REPLACE FUNCTION :"schema".note_gateway_use(token_hashes text[]) RETURNS void
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
BEGIN
    UPDATE gateway_tokens SET last_used_at = now()
    WHERE token_id IN (
        SELECT token_id FROM gateway_tokens
        WHERE token_hash = ANY ((SELECT note_gateway_use.token_hashes)::text[])
            AND (last_used_at < now() - interval '1 minute' OR last_used_at IS NULL)
        FOR UPDATE SKIP LOCKED
    );
END
$$;

-- Checks the accesses of calls that a worker decides without the table of jobs, one row for each. No row where a store
-- has a limit, which counts the jobs of the table: the calls have to be enqueued.
CREATE OR REPLACE FUNCTION :"schema".immediate_accesses(token_hashes text[], store_ids text[], scopes text[])
RETURNS TABLE (store_id text, may_update boolean, may_read boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
BEGIN
    PERFORM note_gateway_use(token_hashes);
    RETURN QUERY
    SELECT a.store_id, a.failure IS NULL AND 'update_catalog' = ANY (a.granted),
        coalesce('read_catalog' = ANY (a.granted), false)
    FROM check_gateway_access(token_hashes, store_ids, scopes) AS a
    WHERE NOT EXISTS (SELECT FROM store_limits)
    ORDER BY a.call;
END
$$;

-- Checks accesses that change nothing. A failure is also unknown_store: the store has no item.
CREATE OR REPLACE FUNCTION :"schema".gateway_access(token_hashes text[], store_ids text[], scopes text[])
RETURNS TABLE (call integer, store_id text, failure text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
BEGIN
    PERFORM note_gateway_use(token_hashes);
    RETURN QUERY
    SELECT a.call, a.store_id, coalesce(a.failure, CASE
        WHEN NOT EXISTS (SELECT FROM items AS i WHERE i.store_id = a.store_id) THEN 'unknown_store'
    END)
    FROM check_gateway_access(token_hashes, store_ids, scopes) AS a
    ORDER BY a.call;
END
$$;

-- How many more ready jobs each store with a store limit may have, if these lines are too many for it; as an object of
-- store ids and numbers.
CREATE OR REPLACE FUNCTION :"schema".gateway_room(store_ids text[]) RETURNS jsonb
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
DECLARE
    room jsonb := '{}';
    store record;
BEGIN
    FOR store IN
        SELECT s.store_id, l.ready_jobs_max, count(*)::integer AS lines
        FROM unnest(store_ids) AS s (store_id)
        JOIN store_limits AS l USING (store_id)
        GROUP BY s.store_id, l.ready_jobs_max
    LOOP
        BEGIN
            PERFORM check_store_limit(store.store_id, store.lines);
        EXCEPTION WHEN configuration_limit_exceeded OR program_limit_exceeded THEN
            room := room || jsonb_build_object(store.store_id, store.ready_jobs_max - (
                SELECT count(*)
                FROM (
                    SELECT FROM jobs AS j
                    WHERE j.store_id = store.store_id AND j.run_at IS NULL
                    LIMIT store.ready_jobs_max
                ) AS counted
            ));
        END;
    END LOOP;
    RETURN room;
END
$$;

-- The distinct accesses of some calls, checked once each: for each call the number of its access, from 1, and for each
-- access its store, what its token may, and its failure, as check_gateway_access has them.
CREATE OR REPLACE FUNCTION :"schema".gateway_accesses(
    token_hashes text[], store_ids text[], scopes text[],
    OUT of_calls integer[], OUT stores text[], OUT may_update boolean[], OUT may_read boolean[], OUT failures text[]
)
LANGUAGE plpgsql STABLE SET search_path = :"schema", pg_temp SET jit = off
AS $$
DECLARE
    calls CONSTANT integer := cardinality(token_hashes);
    hashes text[] := token_hashes[:1];
    named text[] := store_ids[:1];
    needed text[] := gateway_accesses.scopes[:1];
BEGIN
    -- Mostly all calls have one. Equality of arrays takes NULLs for equal.
    IF token_hashes = array_fill(hashes[1], ARRAY[calls]) AND store_ids = array_fill(named[1], ARRAY[calls])
        AND gateway_accesses.scopes = array_fill(needed[1], ARRAY[calls])
    THEN
        of_calls := array_fill(1, ARRAY[calls]);
    ELSE
        SELECT array_agg(c.access ORDER BY c.number),
            array_agg(c.token_hash ORDER BY c.access) FILTER (WHERE c.is_first),
            array_agg(c.store_id ORDER BY c.access) FILTER (WHERE c.is_first),
            array_agg(c.scopes ORDER BY c.access) FILTER (WHERE c.is_first)
        INTO of_calls, hashes, named, needed
        FROM (
            SELECT u.*, dense_rank() OVER alike AS access, row_number() OVER (
                PARTITION BY u.token_hash COLLATE "C", u.store_id COLLATE "C", u.scopes COLLATE "C"
            ) = 1 AS is_first
            FROM unnest(token_hashes, store_ids, gateway_accesses.scopes) WITH ORDINALITY
                AS u (token_hash, store_id, scopes, number)
            WINDOW alike AS (ORDER BY u.token_hash COLLATE "C", u.store_id COLLATE "C", u.scopes COLLATE "C")
        ) AS c;
    END IF;
    SELECT array_agg(a.store_id ORDER BY a.call), array_agg('update_catalog' = ANY (a.granted) ORDER BY a.call),
        array_agg('read_catalog' = ANY (a.granted) ORDER BY a.call), array_agg(a.failure ORDER BY a.call)
    INTO stores, may_update, may_read, failures
    FROM check_gateway_access(hashes, named, needed) AS a;
END
$$;

-- Enqueues the jobs of many calls, each call whole or not at all, and returns one row for each line.
--
-- The first five arrays have an element a call, the others an element a line, which names its call by the number from
-- 1. A call without an idempotency key gets the time at which its jobs expire: should the gateway die before its
-- answer, they are not applied much later. A call of a key that is in use for the same request gets its first jobs.
-- `idempotency_keys` may be empty: no line has one. `parent_ids` says what the item must be: null anything, '' an item
-- without a parent, else a variation of that parent.
--
-- A line's failure is one of check_gateway_access, unknown_store, unknown_item, idempotency_mismatch, store_limit, or
-- call_limit where the call alone has too many lines for the store; a call is enqueued if none of its lines has one.
-- job_id with enqueued_at names a job beyond doubt, even after a crash that gives its id to another job. `strand` is
-- that of a new job.
--
-- Most transactions have no key, no failure and no store limit. They take a short way: two statements whose plans do
-- not depend on the arrays.
CREATE OR REPLACE FUNCTION :"schema".gateway_enqueue(
    token_hashes text[], store_ids text[], scopes text[], groups boolean[], timeouts_ms integer[],
    line_calls integer[], item_ids text[], location_ids text[], actions text[], quantities bigint[],
    on_insufficients text[], notifies boolean[], idempotency_keys text[], parent_ids text[]
) RETURNS TABLE (
    line integer, store_id text, job_id bigint, enqueued_at timestamptz, is_duplicate boolean, failure text,
    strand integer
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
DECLARE
    access CONSTANT record := gateway_accesses(token_hashes, store_ids, scopes);
    -- Elements of variables are found faster than those of a record's fields.
    accesses CONSTANT integer[] := access.of_calls;
    stores CONSTANT text[] := access.stores;
    may_read CONSTANT boolean[] := access.may_read;
    has_limits CONSTANT boolean := EXISTS (SELECT FROM store_limits);
    known_items bigint := -1;
    room jsonb := '{}';
BEGIN
    PERFORM note_gateway_use(token_hashes);
    IF NOT has_limits AND cardinality(array_remove(idempotency_keys, NULL)) = 0
        AND cardinality(array_remove(access.failures, NULL)) = 0 AND true = ALL (access.may_update)
    THEN
        SELECT count(*) INTO known_items
        FROM unnest((SELECT line_calls), (SELECT item_ids), (SELECT location_ids), (SELECT parent_ids))
            AS l (call, item_id, location_id, parent_id)
        JOIN items AS i
            ON (i.store_id, i.item_id, i.location_id) = (stores[accesses[l.call]], l.item_id, l.location_id)
        WHERE (l.parent_id IS NULL OR l.parent_id = coalesce(i.parent_id, ''))
            AND (i.parent_id IS NULL OR may_read[accesses[l.call]]);
    END IF;
    IF known_items = cardinality(line_calls) THEN
        RETURN QUERY
        WITH added AS (
            INSERT INTO jobs (
                store_id, item_id, location_id, action, quantity, on_insufficient, notify, group_id, expires_at,
                priority
            )
            SELECT stores[accesses[l.call]], l.item_id, l.location_id, l.action::action, l.quantity,
                l.on_insufficient::on_insufficient, l.notify,
                CASE WHEN groups[l.call] THEN 'http-' || pg_current_xact_id() || '-' || l.call END,
                now() + (timeouts_ms[l.call] + 5000) * interval '1 millisecond',
                CASE
                    WHEN l.action = 'set' THEN priority_behind(
                        stores[accesses[l.call]], ARRAY[l.item_id], ARRAY[l.location_id], NULL, NULL)
                    ELSE (job_defaults()).priority
                END
            FROM unnest(
                (SELECT line_calls), (SELECT item_ids), (SELECT location_ids), (SELECT actions), (SELECT quantities),
                (SELECT on_insufficients), (SELECT notifies)
            ) WITH ORDINALITY AS l (
                call, item_id, location_id, action, quantity, on_insufficient, notify, number
            )
            ORDER BY l.number
            RETURNING jobs.job_id, jobs.store_id, jobs.strand
        )
        SELECT (row_number() OVER (ORDER BY a.job_id))::integer, a.store_id, a.job_id, now(), false, NULL::text,
            a.strand
        FROM added AS a;
        RETURN;
    END IF;
    IF has_limits THEN
        room := gateway_room(ARRAY(
            SELECT stores[accesses[l.call]]
            FROM unnest(line_calls) AS l (call)
            WHERE access.failures[accesses[l.call]] IS NULL
        ));
    END IF;
    RETURN QUERY
    WITH line AS MATERIALIZED (
        SELECT l.*, k.job_id AS known_job,
            CASE
                WHEN access.failures[l.access] IS NOT NULL THEN access.failures[l.access]
                -- Every call of this function changes stock, whatever it says that it needs.
                WHEN NOT access.may_update[l.access] THEN 'missing_scope'
                WHEN i.item_id IS NULL OR l.parent_id IS NOT NULL AND l.parent_id <> coalesce(i.parent_id, '') THEN
                    CASE
                        WHEN EXISTS (SELECT FROM items AS other WHERE other.store_id = l.store_id) THEN 'unknown_item'
                        ELSE 'unknown_store'
                    END
                WHEN i.parent_id IS NOT NULL AND NOT may_read[l.access] THEN 'missing_scope'
                WHEN k.job_id IS NOT NULL AND NOT is_same_request(
                    k, l.item_id, l.location_id, l.action, l.quantity, l.on_insufficient, NULL
                ) THEN 'idempotency_mismatch'
            END AS problem
        FROM (
            SELECT u.*, accesses[u.call] AS access, stores[accesses[u.call]] AS store_id
            FROM unnest(
                (SELECT line_calls), (SELECT item_ids), (SELECT location_ids), (SELECT actions), (SELECT quantities),
                (SELECT on_insufficients), (SELECT notifies), (SELECT idempotency_keys), (SELECT parent_ids)
            ) WITH ORDINALITY AS u (
                call, item_id, location_id, action, quantity, on_insufficient, notify, idempotency_key, parent_id,
                number
            )
        ) AS l
        LEFT JOIN items AS i
            ON (i.store_id, i.item_id, i.location_id) = (l.store_id, l.item_id, l.location_id)
            AND access.failures[l.access] IS NULL
        LEFT JOIN LATERAL key_in_use(l.store_id, l.idempotency_key) AS k
            ON l.idempotency_key IS NOT NULL AND access.failures[l.access] IS NULL
    ), checked AS (
        SELECT l.*,
            CASE
                WHEN l.problem IS NOT NULL THEN l.problem
                -- Another line of the call has one.
                WHEN count(l.problem) OVER of_call > 0 THEN ''
                -- Its new lines alone would be another request than the first.
                WHEN count(l.known_job) OVER of_call NOT IN (0, count(*) OVER of_call) THEN 'idempotency_mismatch'
                WHEN l.known_job IS NULL AND count(*) FILTER (WHERE l.known_job IS NULL) OVER (
                    PARTITION BY l.store_id ORDER BY l.call
                ) > (room->>l.store_id)::bigint THEN CASE
                    -- So many lines at once never fit.
                    WHEN count(*) FILTER (WHERE l.known_job IS NULL) OVER of_call > (
                        SELECT m.ready_jobs_max FROM store_limits AS m WHERE m.store_id = l.store_id
                    ) THEN 'call_limit'
                    ELSE 'store_limit'
                END
            END AS reason
        FROM line AS l
        WINDOW of_call AS (PARTITION BY l.call)
    ), placed AS MATERIALIZED (
        -- Joins of these would be nested loops, because the planner expects a few lines.
        SELECT c.*, c.reason IS NULL AND c.known_job IS NULL AS is_new,
            count(*) FILTER (WHERE c.reason IS NULL AND c.known_job IS NULL) OVER (ORDER BY c.number) AS place
        FROM checked AS c
    ), added AS (
        INSERT INTO jobs (
            store_id, item_id, location_id, action, quantity, on_insufficient, notify, idempotency_key, group_id,
            expires_at, priority
        )
        SELECT l.store_id, l.item_id, l.location_id, l.action::action, l.quantity, l.on_insufficient::on_insufficient,
            l.notify, l.idempotency_key,
            CASE WHEN groups[l.call] THEN 'http-' || pg_current_xact_id() || '-' || l.call END,
            CASE WHEN l.idempotency_key IS NULL
                THEN now() + (timeouts_ms[l.call] + 5000) * interval '1 millisecond' END,
            CASE
                WHEN l.action = 'set'
                    THEN priority_behind(l.store_id, ARRAY[l.item_id], ARRAY[l.location_id], NULL, NULL)
                ELSE (job_defaults()).priority
            END
        FROM placed AS l
        WHERE l.is_new
        ORDER BY l.number
        RETURNING jobs.job_id, jobs.strand
    ), new_jobs AS MATERIALIZED (
        SELECT array_agg(a.job_id ORDER BY a.job_id) AS ids, array_agg(a.strand ORDER BY a.job_id) AS strands
        FROM added AS a
    )
    SELECT l.number::integer, l.store_id,
        CASE WHEN l.is_new THEN (SELECT n.ids FROM new_jobs AS n)[l.place] ELSE l.known_job END,
        CASE
            WHEN l.known_job IS NULL THEN now()
            ELSE coalesce(
                (SELECT q.enqueued_at FROM jobs AS q WHERE q.job_id = l.known_job),
                (SELECT r.enqueued_at FROM results AS r WHERE r.job_id = l.known_job))
        END,
        l.known_job IS NOT NULL, nullif(l.reason, ''),
        CASE WHEN l.is_new THEN (SELECT n.strands FROM new_jobs AS n)[l.place] END
    FROM placed AS l
    ORDER BY l.number;
END
$$;

-- The results of those of the jobs that have one; of a duplicate that of the first job. A job is named by its id and
-- the time at which it was enqueued, and shown to the tokens of its store. A token counts for an hour after its end, so
-- that a call that was enqueued with it gets its answer.
CREATE OR REPLACE FUNCTION :"schema".gateway_results(
    token_hashes text[], job_ids bigint[], enqueued_ats timestamptz[]
) RETURNS TABLE (
    number integer, job_id bigint, item_id text, location_id text, action text, quantity bigint,
    applied_quantity bigint, outcome text, code text, warning text, on_hand_before bigint, allocated_before bigint,
    on_hand_after bigint, allocated_after bigint, finished_at timestamptz
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
DECLARE
    -- These limits leave out the other partitions.
    first_id CONSTANT bigint := (SELECT min(id) FROM unnest(job_ids) AS id);
    last_id CONSTANT bigint := (SELECT max(id) FROM unnest(job_ids) AS id);
BEGIN
    RETURN QUERY
    SELECT wanted.number::integer, (r).job_id, (r).item_id, (r).location_id, (r).action::text, (r).quantity,
        (r).applied_quantity, (r).outcome::text, (r).code::text, (r).warning::text, (r).on_hand_before,
        (r).allocated_before, (r).on_hand_after, (r).allocated_after, (r).finished_at
    FROM unnest((SELECT token_hashes), (SELECT job_ids), (SELECT enqueued_ats)) WITH ORDINALITY
        AS wanted (token_hash, job_id, enqueued_at, number)
    JOIN results AS own
        ON own.job_id = wanted.job_id AND own.enqueued_at = wanted.enqueued_at
        AND own.job_id BETWEEN first_id AND last_id
    CROSS JOIN LATERAL (
        SELECT CASE
            WHEN own.outcome = 'duplicate'
                THEN coalesce((SELECT first FROM results AS first WHERE first.job_id = own.first_job_id), own)
            ELSE own
        END AS r
    ) AS shown
    WHERE EXISTS (
        SELECT FROM gateway_tokens AS g
        LEFT JOIN gateway_clients AS k USING (client_id)
        WHERE (g.token_hash = wanted.token_hash OR wanted.token_hash IS NULL AND g.token_hash IS NULL)
            AND own.store_id = ANY (g.stores)
            AND coalesce(least(g.expires_at, g.revoked_at, k.revoked_at), 'infinity') > now() - interval '1 hour'
    );
END
$$;

-- Cancels those of the jobs that are still queued, groups whole, and returns them, for the tokens for which
-- gateway_results shows them. It waits for a batch that has
-- claimed one; gateway_results then has the result of every job that was ever committed.
CREATE OR REPLACE FUNCTION :"schema".gateway_cancel(
    token_hashes text[], job_ids bigint[], enqueued_ats timestamptz[]
) RETURNS SETOF bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
DECLARE
    queued CONSTANT bigint[] := ARRAY(
        SELECT j.job_id
        FROM unnest(token_hashes, job_ids, enqueued_ats) AS wanted (token_hash, job_id, enqueued_at)
        JOIN jobs AS j ON j.job_id = wanted.job_id AND j.enqueued_at = wanted.enqueued_at
        WHERE EXISTS (
            SELECT FROM gateway_tokens AS g
            LEFT JOIN gateway_clients AS k USING (client_id)
            WHERE (g.token_hash = wanted.token_hash OR wanted.token_hash IS NULL AND g.token_hash IS NULL)
                AND j.store_id = ANY (g.stores)
                AND coalesce(least(g.expires_at, g.revoked_at, k.revoked_at), 'infinity') > now() - interval '1 hour'
        )
    );
BEGIN
    IF cardinality(queued) > 0 THEN
        RETURN QUERY SELECT * FROM cancel_jobs(job_ids => queued, reason => 'the gateway stopped waiting for it');
    END IF;
END
$$;

-- Issues tokens to clients: for a client's secret one with the client's scopes, without a secret one that can only
-- read. Returns when each token expires, and null where the client is unknown or its secret is wrong.
--
-- Earlier tokens stay valid. Each call deletes a few tokens that ended long ago.
CREATE OR REPLACE FUNCTION :"schema".gateway_issue_tokens(
    client_ids text[], secret_hashes text[], token_hashes text[], lifetime_s integer
) RETURNS TABLE (call integer, expires_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
BEGIN
    IF lifetime_s IS NULL OR lifetime_s NOT BETWEEN 60 AND 86400 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('lifetime_s must be 60 to 86400, not %s', coalesce(lifetime_s::text, 'null'));
    END IF;
    DELETE FROM gateway_tokens AS g
    WHERE g.token_id IN (
        SELECT ended.token_id FROM gateway_tokens AS ended
        WHERE ended.client_id IS NOT NULL AND ended.expires_at < now() - interval '1 day'
        ORDER BY ended.expires_at
        LIMIT 10 + 2 * cardinality(client_ids)
        FOR UPDATE SKIP LOCKED
    );
    UPDATE gateway_clients AS k SET last_used_at = now()
    WHERE k.client_id IN (
        SELECT used.client_id FROM gateway_clients AS used
        JOIN unnest(client_ids, secret_hashes) AS c (client_id, secret_hash)
            ON c.client_id = used.client_id AND c.secret_hash = used.secret_hash
        WHERE used.last_used_at < now() - interval '1 minute' OR used.last_used_at IS NULL
        FOR UPDATE OF used SKIP LOCKED
    );
    RETURN QUERY
    WITH allowed AS (
        SELECT c.number, c.token_hash, k.client_id, k.store_id,
            CASE WHEN c.secret_hash IS NULL THEN ARRAY['read_catalog'] ELSE k.scopes END AS scopes
        FROM unnest(client_ids, secret_hashes, token_hashes) WITH ORDINALITY
            AS c (client_id, secret_hash, token_hash, number)
        JOIN gateway_clients AS k
            ON k.client_id = c.client_id AND k.revoked_at IS NULL
            AND CASE WHEN c.secret_hash IS NULL THEN 'read_catalog' = ANY (k.scopes)
                ELSE k.secret_hash = c.secret_hash END
    ), issued AS (
        INSERT INTO gateway_tokens AS g (token_hash, client_id, stores, scopes, expires_at)
        SELECT a.token_hash, a.client_id, ARRAY[a.store_id], a.scopes, now() + lifetime_s * interval '1 second'
        FROM allowed AS a
        RETURNING g.token_hash, g.expires_at
    )
    SELECT c.number::integer, i.expires_at
    FROM unnest(token_hashes) WITH ORDINALITY AS c (token_hash, number)
    LEFT JOIN issued AS i USING (token_hash)
    ORDER BY c.number;
END
$$;

-- Reads the stock of items, a row for each location, or of a part of the list of all items of the store (item_ids is
-- null). The first row has the failure of the access, or how many items there are; of rows without an item_id that is
-- all.
CREATE OR REPLACE FUNCTION :"schema".gateway_levels(
    token_hash text, store_id text, scopes text, item_ids text[], location_id text, items_skipped bigint,
    items_max bigint
) RETURNS TABLE (
    failure text, total bigint, item_id text, location text, on_hand bigint, allocated bigint, created_at timestamptz,
    updated_at timestamptz
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
DECLARE
    access CONSTANT record := check_gateway_access(ARRAY[token_hash], ARRAY[store_id], ARRAY[scopes]);
    wanted text[] := item_ids;
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    failure := coalesce(access.failure, CASE WHEN 'read_catalog' <> ALL (access.granted) THEN 'missing_scope' END);
    IF failure IS NOT NULL THEN
        RETURN NEXT;
        RETURN;
    END IF;
    IF item_ids IS NULL THEN
        SELECT count(DISTINCT i.item_id) INTO total
        FROM items AS i
        WHERE i.store_id = access.store_id
            AND (gateway_levels.location_id IS NULL OR i.location_id = gateway_levels.location_id);
        wanted := ARRAY(
            SELECT DISTINCT i.item_id
            FROM items AS i
            WHERE i.store_id = access.store_id
                AND (gateway_levels.location_id IS NULL OR i.location_id = gateway_levels.location_id)
            ORDER BY 1
            LIMIT items_max OFFSET items_skipped
        );
    END IF;
    RETURN NEXT;
    RETURN QUERY
    SELECT NULL, NULL::bigint, i.item_id, i.location_id, i.on_hand::bigint, i.allocated::bigint, i.created_at,
        i.updated_at
    FROM items AS i
    WHERE i.store_id = access.store_id AND i.item_id = ANY (wanted)
        AND (gateway_levels.location_id IS NULL OR i.location_id = gateway_levels.location_id)
    ORDER BY i.item_id, i.location_id;
END
$$;

-- Reads the last movements of an item, at most `movements`, and its opening balance at each location (job_id is null),
-- oldest first; or those of one job. The first row has the failure of the access: unknown_item too.
CREATE OR REPLACE FUNCTION :"schema".gateway_history(
    token_hash text, store_id text, scopes text, item_id text, location_id text, one_job bigint, movements integer
) RETURNS TABLE (
    failure text, job_id bigint, location text, action text, quantity bigint, at timestamptz
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
DECLARE
    access CONSTANT record := check_gateway_access(ARRAY[token_hash], ARRAY[store_id], ARRAY[scopes]);
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    failure := coalesce(access.failure, CASE
        WHEN 'read_catalog' <> ALL (access.granted) THEN 'missing_scope'
        WHEN NOT EXISTS (
            SELECT FROM items AS i
            WHERE (i.store_id, i.item_id) = (access.store_id, gateway_history.item_id)
                AND (gateway_history.location_id IS NULL OR i.location_id = gateway_history.location_id)
        ) THEN 'unknown_item'
    END);
    RETURN NEXT;
    IF failure IS NOT NULL THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT NULL, entry.job_id, entry.location_id, entry.action, entry.quantity, entry.at
    FROM (
        SELECT NULL::bigint AS job_id, i.location_id, NULL AS action,
            coalesce(i.opening_on_hand, i.on_hand::bigint) AS quantity, i.created_at AS at
        FROM items AS i
        WHERE (i.store_id, i.item_id) = (access.store_id, gateway_history.item_id) AND one_job IS NULL
            AND (gateway_history.location_id IS NULL OR i.location_id = gateway_history.location_id)
        UNION ALL
        SELECT r.job_id, r.location_id, r.action::text, r.applied_quantity, r.finished_at
        FROM items AS i
        CROSS JOIN LATERAL item_history(i.store_id, i.item_id, i.location_id, movements) AS r
        WHERE (i.store_id, i.item_id) = (access.store_id, gateway_history.item_id) AND one_job IS NULL
            AND (gateway_history.location_id IS NULL OR i.location_id = gateway_history.location_id)
            -- The opening has what was before it, whether retention has dropped it yet or not.
            AND r.version > i.opening_version
        UNION ALL
        SELECT r.job_id, r.location_id, r.action::text, r.applied_quantity, r.finished_at
        FROM results AS r
        WHERE r.job_id = one_job AND r.outcome = 'applied'
            AND (r.store_id, r.item_id) = (access.store_id, gateway_history.item_id)
            AND (gateway_history.location_id IS NULL OR r.location_id = gateway_history.location_id)
    ) AS entry
    ORDER BY entry.job_id NULLS FIRST, entry.location_id;
END
$$;

-- Creates an item with an opening balance at each location, or removes it from all locations (location_ids is null),
-- for a token with the scope manage_items. The outcome is created, exists, removed or unknown_item.
CREATE OR REPLACE FUNCTION :"schema".gateway_change_item(
    token_hash text, store_id text, scopes text, item_id text, location_ids text[], on_hands bigint[]
) RETURNS TABLE (failure text, outcome text, changed_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp SET jit = off
AS $$
DECLARE
    access CONSTANT record := check_gateway_access(ARRAY[token_hash], ARRAY[store_id], ARRAY[scopes]);
BEGIN
    PERFORM note_gateway_use(ARRAY[token_hash]);
    changed_at := now();
    failure := coalesce(access.failure, CASE WHEN 'manage_items' <> ALL (access.granted) THEN 'missing_scope' END);
    IF failure IS NULL AND location_ids IS NULL THEN
        DELETE FROM items AS i
        WHERE (i.store_id, i.item_id) = (access.store_id, gateway_change_item.item_id);
        outcome := CASE WHEN FOUND THEN 'removed' ELSE 'unknown_item' END;
    ELSIF failure IS NULL THEN
        IF NOT EXISTS (
            SELECT FROM items AS i
            WHERE (i.store_id, i.item_id) = (access.store_id, gateway_change_item.item_id)
        ) THEN
            INSERT INTO items (store_id, item_id, location_id, on_hand)
            SELECT access.store_id, gateway_change_item.item_id, l.location_id, l.on_hand
            FROM unnest(location_ids, on_hands) AS l (location_id, on_hand)
            ON CONFLICT ON CONSTRAINT items_pkey DO NOTHING;
            outcome := CASE WHEN FOUND THEN 'created' END;
        END IF;
        outcome := coalesce(outcome, 'exists');
    END IF;
    IF outcome IN ('created', 'removed') THEN
        PERFORM record_operation(
            CASE outcome WHEN 'created' THEN 'items create' ELSE 'items remove' END,
            jsonb_build_object('store_id', access.store_id, 'item_id', item_id), NULL);
    END IF;
    RETURN NEXT;
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA :"schema" FROM PUBLIC;
