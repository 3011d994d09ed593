-- Moves an item that has a wrong id, or is at a wrong location, to another one of its store. Repeatable: applied again
-- whenever this text changes; a change of a signature needs a migration.
--
-- Results alone change stock, so the stock moves by jobs: a group that takes everything from the one item and gives it
-- to the other. `stockq items rename` and `items move` call move_item, wait for the group, and repeat that until the
-- item has no stock. Then finish_item_move retires it.

-- Gives queued jobs of an item another one of the same store, behind lock_queue. Returns how many.
--
-- A job whose id was changed keeps its place in the queue, its key and everything else.
CREATE OR REPLACE FUNCTION :"schema".give_jobs_item(
    store_id text, from_item text, from_location text, to_item text, to_location text, only_deferred boolean
) RETURNS bigint
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
DECLARE
    wanted bigint[] := ARRAY(
        SELECT j.job_id FROM jobs AS j
        WHERE (j.store_id, j.item_id, j.location_id) = (give_jobs_item.store_id, from_item, from_location)
            AND (j.run_at IS NOT NULL OR NOT only_deferred)
    );
    changed bigint;
BEGIN
    -- A worker locks the row of the lane that it works.
    PERFORM l.lane FROM lanes AS l
    WHERE l.lane IN (SELECT j.lane FROM jobs AS j WHERE j.job_id = ANY (wanted))
    ORDER BY l.lane
    FOR UPDATE;
    UPDATE jobs SET item_id = to_item, location_id = to_location WHERE job_id = ANY (wanted);
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END
$$;

-- Raises an error unless the item exists, and returns it locked.
CREATE OR REPLACE FUNCTION :"schema".item_to_move(store_id text, item_id text, location_id text)
RETURNS :"schema".items
LANGUAGE plpgsql SET search_path = :"schema", pg_temp
AS $$
DECLARE
    item items;
BEGIN
    SELECT * INTO item FROM items AS i
    WHERE (i.store_id, i.item_id, i.location_id)
            = (item_to_move.store_id, item_to_move.item_id, item_to_move.location_id)
    FOR UPDATE;
    IF NOT FOUND THEN
        RAISE no_data_found USING
            MESSAGE = format('there is no item %L in store %L at %L', item_id, store_id, location_id);
    END IF;
    RETURN item;
END
$$;

-- Prepares a move: creates the new item with the attributes of the old one, gives it the old one's deferred jobs, and
-- enqueues the group that moves the stock. The group comes after the ready jobs of both items. Returns the jobs of the
-- group, none if there is no stock to move, whether the new item was created, and how many jobs were given to it.
--
-- An existing item gets the stock in addition to its own if `merge` is true, and keeps its attributes.
CREATE OR REPLACE FUNCTION :"schema".move_item(
    store_id text, from_item text, from_location text, to_item text, to_location text, merge boolean, reason text,
    OUT job_ids bigint[], OUT is_new boolean, OUT given_jobs bigint
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
#variable_conflict use_column
DECLARE
    item items;
    lines jsonb;
BEGIN
    IF (from_item, from_location) = (to_item, to_location) THEN
        RAISE invalid_parameter_value USING MESSAGE = 'both items are the same';
    END IF;
    PERFORM lock_queue(shared => false);
    item := item_to_move(move_item.store_id, from_item, from_location);
    INSERT INTO items (store_id, item_id, location_id, parent_id, tracked, low_stock_threshold)
    VALUES (
        move_item.store_id, to_item, to_location, nullif(item.parent_id, to_item), item.tracked,
        CASE WHEN NOT item.threshold_is_default THEN item.low_stock_threshold END)
    ON CONFLICT DO NOTHING;
    is_new := FOUND;
    IF NOT is_new AND merge IS NOT TRUE THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('item %L exists in store %L at %L', to_item, move_item.store_id, to_location),
            HINT = 'With --merge it gets the stock in addition to its own.';
    END IF;
    given_jobs := give_jobs_item(move_item.store_id, from_item, from_location, to_item, to_location, true);
    job_ids := '{}';
    IF item.tracked AND (item.on_hand <> 0 OR item.allocated <> 0) THEN
        -- The old item sends no notification: it is not out of stock, but gone.
        SELECT jsonb_agg(jsonb_strip_nulls(to_jsonb(l) - 'number') ORDER BY number) INTO lines
        FROM (VALUES
            (1, 'deallocate', from_item, from_location, item.allocated, 'reject', item.on_hand - item.allocated, false),
            (2, 'adjust', from_item, from_location, -item.on_hand, 'reject',
                CASE WHEN item.allocated = 0 THEN item.on_hand END, false),
            (3, 'adjust', to_item, to_location, item.on_hand, 'allow', NULL, NOT is_new),
            (4, 'allocate', to_item, to_location, item.allocated, 'allow', NULL, NOT is_new)
        ) AS l (number, action, item_id, location_id, quantity, on_insufficient, expected_available, notify)
        WHERE quantity <> 0;
        SELECT array_agg(r.job_id ORDER BY r.line) INTO job_ids
        FROM enqueue_lines(
            move_item.store_id, lines, 'move ' || gen_random_uuid(),
            priority => priority_behind(
                move_item.store_id, ARRAY[from_item, to_item], ARRAY[from_location, to_location], NULL, NULL),
            reference => format('move %s to %s', from_item, to_item), reason => reason) AS r;
    END IF;
    PERFORM record_operation(
        'items move',
        jsonb_build_object(
            'store_id', move_item.store_id, 'item_id', from_item, 'location_id', from_location, 'to_item', to_item,
            'to_location', to_location, 'is_new', is_new, 'given_jobs', given_jobs, 'reason', reason),
        cardinality(job_ids));
END
$$;

-- Ends a move when the item has no stock: gives the new item the jobs that are still queued and the variations of the
-- old one, and retires the old one. Returns false if the item has stock again, and then changes nothing.
CREATE OR REPLACE FUNCTION :"schema".finish_item_move(
    store_id text, from_item text, from_location text, to_item text, to_location text, OUT is_retired boolean,
    OUT given_jobs bigint
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = :"schema", pg_temp
AS $$
#variable_conflict use_column
DECLARE
    item items;
BEGIN
    PERFORM lock_queue(shared => false);
    item := item_to_move(finish_item_move.store_id, from_item, from_location);
    is_retired := NOT item.tracked OR (item.on_hand = 0 AND item.allocated = 0);
    given_jobs := 0;
    IF NOT is_retired THEN
        RETURN;
    END IF;
    given_jobs := give_jobs_item(finish_item_move.store_id, from_item, from_location, to_item, to_location, false);
    IF from_item <> to_item THEN
        UPDATE items SET parent_id = to_item
        WHERE store_id = finish_item_move.store_id AND parent_id = from_item AND item_id <> to_item;
    END IF;
    PERFORM retire_item(finish_item_move.store_id, from_item, from_location);
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA :"schema" FROM PUBLIC;
