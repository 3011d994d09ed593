import StockDecision
import StockModel
import StockQueuePostgres

/// An item's row as a batch reads it, and its reader.
struct StoredItem {
    /// The position in the list of items that were asked for.
    var position: Int
    var tupleID: TupleID
    var state: ItemState
    /// Read only where it is asked for.
    var parentID: String?

    /// The columns of an item that every statement which reads items for a batch returns, beside `position`.
    static let list = """
        items.ctid AS tuple_id, on_hand::bigint AS on_hand, allocated::bigint AS allocated, version,
            low_stock_threshold::bigint AS low_stock_threshold, last_job_id, notified_level, tracked, parent_id
        """

    /// The item's place in the list of items that were asked for.
    static let wantedIndex = "(wanted.number - 1)::integer AS wanted_index"

    static func rows(in rows: ResultSet, withParents: Bool = false) -> [StoredItem] {
        let position = rows.column("wanted_index")
        let tupleID = rows.column("tuple_id")
        let onHand = rows.column("on_hand")
        let allocated = rows.column("allocated")
        let version = rows.column("version")
        let threshold = rows.column("low_stock_threshold")
        let lastJobID = rows.column("last_job_id")
        let notifiedLevel = rows.column("notified_level")
        let tracked = rows.column("tracked")
        let parent = rows.column("parent_id")
        return (0..<rows.rowCount).map { row in
            var state = ItemState(
                onHand: rows.int64(row, onHand), allocated: rows.int64(row, allocated),
                threshold: rows.optionalInt64(row, threshold), tracked: rows.bool(row, tracked))
            state.version = rows.int64(row, version)
            state.lastJobID = rows.optionalInt64(row, lastJobID)
            if !rows.isNull(row, notifiedLevel) {
                state.notifiedLevel = rows.label(row, notifiedLevel, AlertLevel.labels, AlertLevel.allCases)
            }
            return StoredItem(
                position: Int(rows.int32(row, position)), tupleID: rows.tupleID(row, tupleID), state: state,
                parentID: withParents ? rows.optionalString(row, parent) : nil)
        }
    }
}

/// Reads items by their keys: three arrays of store, item and location.
struct ReadItemsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement("read_items", Self.keys, Self.byKey(schema, fence: "OFFSET 0"))
    }

    static let keys: [TypeOID] = [.textArray, .textArray, .textArray]

    /// Each key in turn, by the primary key.
    ///
    /// - Parameter fence: a locking clause or `OFFSET 0`. With either, the planner does not turn the sub-select into a
    ///   join, which could read all items in order to look each up among the keys.
    static func byKey(_ schema: QueueSchema, fence: String) -> String {
        """
        SELECT \(StoredItem.wantedIndex), item.*
        FROM unnest($1, $2, $3) WITH ORDINALITY AS wanted (store, item, location, number)
        CROSS JOIN LATERAL (
            SELECT \(StoredItem.list)
            FROM \(schema.quoted).items
            WHERE item_id = wanted.item AND store_id = wanted.store AND location_id = wanted.location
            \(fence)
        ) AS item
        """
    }
}

/// Locks the batch's items in the order of the arrays, which come sorted by key, and waits up to `lock_timeout` for a row
/// that another transaction has locked.
///
/// NO KEY UPDATE, because the key never changes; a row that only refers to the item is not held up.
struct LockItemsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "lock_items", ReadItemsStatement.keys,
            ReadItemsStatement.byKey(schema, fence: "FOR NO KEY UPDATE"))
    }
}

/// Locks the batch's items without waiting: rows that another transaction has locked are not returned.
struct LockUnlockedItemsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "lock_unlocked_items", ReadItemsStatement.keys,
            ReadItemsStatement.byKey(schema, fence: "FOR NO KEY UPDATE SKIP LOCKED"))
    }
}

/// Locks items whose tuple ids are cached, straight at the tuple, where the key is still the same.
///
/// IS NOT DISTINCT FROM compares the key and gives the planner no index to prefer to the tuple id.
struct LockCachedItemsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "lock_cached_items", ReadItemsStatement.keys + [.tidArray],
            """
            SELECT \(StoredItem.wantedIndex), \(StoredItem.list)
            FROM unnest($1, $2, $3, $4) WITH ORDINALITY AS wanted (store_id, item_id, location_id, tuple_id, number)
            JOIN \(schema.quoted).items ON items.ctid = wanted.tuple_id
                AND items.store_id IS NOT DISTINCT FROM wanted.store_id
                AND items.item_id IS NOT DISTINCT FROM wanted.item_id
                AND items.location_id IS NOT DISTINCT FROM wanted.location_id
            ORDER BY wanted.number
            FOR NO KEY UPDATE OF items
            """)
    }
}

/// Writes the items' new balances straight to the row versions that were locked. Returns the tuple ids of the new
/// versions.
struct WriteItemsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "write_items", [.tidArray, .int8Array, .int8Array, .int8Array, .int8Array, .int2Array],
            """
            UPDATE \(schema.quoted).items
            SET on_hand = new.on_hand,
                allocated = new.allocated,
                version = new.version,
                last_job_id = new.last_job_id,
                notified_level = (\(SQL.labels(AlertLevel.self, schema)))[new.notified_level + 1],
                opening_on_hand = coalesce(items.opening_on_hand, items.on_hand),
                opening_allocated = coalesce(items.opening_allocated, items.allocated),
                updated_at = now()
            FROM unnest($1, $2, $3, $4, $5, $6) WITH ORDINALITY
                AS new (tuple_id, on_hand, allocated, version, last_job_id, notified_level, number)
            WHERE items.ctid = new.tuple_id
            RETURNING (new.number - 1)::integer AS written_index, items.ctid AS tuple_id
            """)
    }

    static func parameters(_ parameters: inout Parameters, _ items: [(tupleID: TupleID, state: ItemState)]) {
        let count = items.count
        parameters.addArray(of: count, tupleID: { items[$0].tupleID })
        parameters.addArray(of: count, int64: { items[$0].state.balance.onHand })
        parameters.addArray(of: count, int64: { items[$0].state.balance.allocated })
        parameters.addArray(of: count, int64: { items[$0].state.version })
        parameters.addArray(of: count, int64: { items[$0].state.lastJobID })
        parameters.addArray(of: count, int16: { items[$0].state.notifiedLevel?.ordinal })
    }

    /// The tuple ids of the new row versions, by the position of the item among those written.
    static func written(in rows: ResultSet) -> [(position: Int, tupleID: TupleID)] {
        let (position, tupleID) = (rows.column("written_index"), rows.column("tuple_id"))
        return (0..<rows.rowCount).map { (Int(rows.int32($0, position)), rows.tupleID($0, tupleID)) }
    }
}

/// Retires an item by the SQL function, which keeps its last version.
struct RetireItemStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "retire_item", ItemKeyReader.types, "SELECT \(schema.quoted).retire_item($1, $2, $3) AS was_known")
    }

    static func wasKnown(in rows: ResultSet) -> Bool { rows.bool(0, rows.column("was_known")) }
}

/// Accepts an item's stock that was changed outside the queue; the SQL function records each change.
struct ReconcileItemStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "reconcile_item", ItemKeyReader.types + [.text],
            """
            SELECT format('after version %s: on hand %s → %s, allocated %s → %s', version, on_hand_before, on_hand_after,
                allocated_before, allocated_after) AS correction
            FROM \(schema.quoted).reconcile_item($1, $2, $3, $4)
            ORDER BY version
            """)
    }

    static func parameters(_ key: ItemKey, reason: String) -> Parameters {
        var parameters = ItemKeyReader.parameters(key)
        parameters.add(reason)
        return parameters
    }

    /// A sentence for each change that was accepted.
    static func corrections(in rows: ResultSet) -> [String] {
        (0..<rows.rowCount).map { rows.string($0, rows.column("correction")) }
    }
}
