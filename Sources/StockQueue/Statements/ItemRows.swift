import StockModel
import StockQueuePostgres

/// Reads rows of `items`.
struct ItemRows: RowReader {
    static func columns(_ schema: QueueSchema) -> String {
        """
        \(ItemKeyReader.columns), parent_id, on_hand::bigint AS on_hand, allocated::bigint AS allocated,
            available::bigint AS available, tracked, low_stock_threshold::bigint AS low_stock_threshold,
            \(SQL.alertLevel(schema)) AS level, version,
            coalesce(opening_on_hand, on_hand)::bigint AS opening_on_hand, created_at, updated_at
        """
    }

    /// The object that `--json` prints.
    static func json(_ schema: QueueSchema) -> String {
        """
        json_build_object(
                'store_id', store_id, 'item_id', item_id, 'location_id', location_id, 'parent_id', parent_id,
                'on_hand', on_hand, 'allocated', allocated, 'available', available, 'tracked', tracked,
                'low_stock_threshold', low_stock_threshold, 'level', \(SQL.alertLevel(schema)), 'version', version,
                'opening_on_hand', coalesce(opening_on_hand, on_hand), 'created_at', created_at, 'updated_at', updated_at
            )::text AS json
        """
    }

    private let key: ItemKeyReader
    private let (parentID, onHand, allocated, tracked, threshold): (Int, Int, Int, Int, Int)
    private let (level, version, opening, createdAt, updatedAt): (Int, Int, Int, Int, Int)

    init(_ rows: ResultSet) {
        key = ItemKeyReader(rows)
        parentID = rows.column("parent_id")
        onHand = rows.column("on_hand")
        allocated = rows.column("allocated")
        tracked = rows.column("tracked")
        threshold = rows.column("low_stock_threshold")
        level = rows.column("level")
        version = rows.column("version")
        opening = rows.column("opening_on_hand")
        createdAt = rows.column("created_at")
        updatedAt = rows.column("updated_at")
    }

    func value(in rows: ResultSet, row: Int) throws(UnknownLabelError) -> Item {
        Item(
            key: key.key(in: rows, row: row), parentID: rows.optionalString(row, parentID),
            balance: Balance(onHand: rows.int64(row, onHand), allocated: rows.int64(row, allocated)),
            isTracked: rows.bool(row, tracked), lowStockThreshold: rows.optionalInt64(row, threshold),
            alertLevel: try rows.label(row, level, of: AlertLevel.self), version: rows.int64(row, version),
            openingOnHand: rows.int64(row, opening), createdAt: rows.timestamp(row, createdAt).date,
            updatedAt: rows.timestamp(row, updatedAt).date)
    }
}

/// Reads one item.
struct ShowItemStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "show_item", ItemKeyReader.types,
            """
            SELECT \(ItemRows.json(schema)), \(ItemRows.columns(schema))
            FROM \(schema.quoted).items
            WHERE (store_id, item_id, location_id) = ($1, $2, $3)
            """)
    }
}
