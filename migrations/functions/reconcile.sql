-- Corrects the ledger of an item whose balance was changed outside the queue. Repeatable: applied again whenever this
-- text changes; a change of a signature needs a migration.

-- Accepts the item's present stock: each place where its history does not continue is recorded as a change outside the
-- queue, with who accepted it and why. The stock itself does not change. Returns the changes recorded, or no row if
-- there were none. What the ledger checker found of the item is forgotten. Reads all results, because the item's own
-- chain may be what is broken.
--
-- A history whose results are missing or have wrong versions is an error: nothing says what happened in between.
CREATE OR REPLACE FUNCTION :"schema".reconcile_item(
    store_id text, item_id text, location_id text, reason text
) RETURNS SETOF :"schema".reconciliations
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
#variable_conflict use_column
DECLARE
    location CONSTANT text := coalesce(reconcile_item.location_id, (job_defaults()).location_id);
    item items;
    created_version bigint;
    accepted reconciliations[];
BEGIN
    IF coalesce(btrim(reason), '') = '' THEN
        RAISE invalid_parameter_value USING MESSAGE = 'a correction needs a reason';
    END IF;
    -- A worker that has the item locked finishes its batch first; later statements see what it wrote.
    SELECT * INTO item FROM items AS i
    WHERE (i.store_id, i.item_id, i.location_id) = (reconcile_item.store_id, reconcile_item.item_id, location)
    FOR UPDATE;
    IF NOT FOUND THEN
        RAISE no_data_found USING
            MESSAGE = format('there is no item %L in store %L at %L',
                reconcile_item.item_id, reconcile_item.store_id, location);
    END IF;
    DELETE FROM ledger_violations AS v
    WHERE (v.store_id, v.item_id, v.location_id) = (item.store_id, item.item_id, item.location_id);
    IF EXISTS (
        SELECT FROM (
            SELECT r.version, lead(r.version, 1, item.version + 1) OVER (ORDER BY r.version) AS next_version
            FROM results AS r
            WHERE (r.store_id, r.item_id, r.location_id) = (item.store_id, item.item_id, item.location_id)
                AND r.outcome = 'applied' AND r.version > item.opening_version
        ) AS change
        WHERE change.next_version <> change.version + 1
    ) THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('the versions of item %L of store %L at %L have a gap: its ledger cannot be reconciled',
                item.item_id, item.store_id, item.location_id),
            HINT = 'Results are missing, or a version was changed. Restore them from a backup.';
    END IF;
    SELECT coalesce(max(r.version), 0) INTO created_version
    FROM retired_items AS r
    WHERE (r.store_id, r.item_id, r.location_id) = (item.store_id, item.item_id, item.location_id);
    WITH kept AS (
        SELECT r.version, r.on_hand_before, r.on_hand_after, r.allocated_before, r.allocated_after
        FROM results AS r
        WHERE (r.store_id, r.item_id, r.location_id) = (item.store_id, item.item_id, item.location_id)
            AND r.outcome = 'applied' AND r.version > item.opening_version
        UNION ALL
        -- What retention has dropped: the opening balance has its changes, but none that was accepted.
        SELECT item.opening_version, NULL, item.opening_on_hand + coalesce(sum(a.on_hand_after - a.on_hand_before), 0),
            NULL, item.opening_allocated + coalesce(sum(a.allocated_after - a.allocated_before), 0)
        FROM reconciliations AS a
        WHERE (a.store_id, a.item_id, a.location_id) = (item.store_id, item.item_id, item.location_id)
            AND a.version > created_version AND a.version < item.opening_version
        HAVING item.opening_version > created_version
    ), change AS (
        SELECT version, on_hand_after, allocated_after,
            lead(on_hand_before, 1, item.on_hand) OVER history AS next_on_hand,
            lead(allocated_before, 1, item.allocated) OVER history AS next_allocated
        FROM kept
        WINDOW history AS (ORDER BY version)
    ), written AS (
        INSERT INTO reconciliations AS known (
            store_id, item_id, location_id, version, on_hand_before, on_hand_after, allocated_before, allocated_after,
            reason
        )
        SELECT item.store_id, item.item_id, item.location_id, change.version, change.on_hand_after, change.next_on_hand,
            change.allocated_after, change.next_allocated, reconcile_item.reason
        FROM change
        LEFT JOIN reconciliations AS earlier
            ON (earlier.store_id, earlier.item_id, earlier.location_id, earlier.version)
                = (item.store_id, item.item_id, item.location_id, change.version)
        WHERE (change.next_on_hand, change.next_allocated) IS DISTINCT FROM (
            coalesce(earlier.on_hand_after, change.on_hand_after),
            coalesce(earlier.allocated_after, change.allocated_after))
        ON CONFLICT ON CONSTRAINT reconciliations_pkey DO UPDATE
            SET on_hand_after = excluded.on_hand_after, allocated_after = excluded.allocated_after, at = now(),
                who = session_user, reason = excluded.reason
        RETURNING known.*
    )
    SELECT array_agg(written::reconciliations ORDER BY version) INTO accepted FROM written;
    IF accepted IS NULL THEN
        RETURN;
    END IF;
    PERFORM record_operation(
        'items reconcile',
        jsonb_build_object(
            'store_id', item.store_id, 'item_id', item.item_id, 'location_id', item.location_id,
            'reason', reconcile_item.reason, 'changes', (
                SELECT jsonb_agg(to_jsonb(c) - '{store_id,item_id,location_id,at,who,reason}'::text[])
                FROM unnest(accepted) AS c
            )),
        NULL);
    RETURN QUERY SELECT * FROM unnest(accepted);
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA :"schema" FROM PUBLIC;
