import StockModel
import StockQueuePostgres

/// Finds keys without an item, in the stores whose items the caller may read.
struct UnknownItemsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        statement = Statement(
            "unknown_items", ReadItemsStatement.keys,
            """
            SELECT store_id, item_id, location_id
            FROM unnest($1, $2, $3) AS wanted (store_id, item_id, location_id)
            LEFT JOIN \(s).items USING (store_id, item_id, location_id)
            WHERE items.version IS NULL
                AND (\(s).can_read_all_stores() OR \(s).has_grant(store_id, 'read_catalog'))
            """)
    }

    static func parameters(_ keys: [ItemKey]) -> Parameters {
        var parameters = Parameters()
        parameters.addArray(keys.map(\.storeID))
        parameters.addArray(keys.map(\.itemID))
        parameters.addArray(keys.map(\.locationID))
        return parameters
    }

    static func keys(in rows: ResultSet) -> [ItemKey] {
        let key = ItemKeyReader(rows)
        return (0..<rows.rowCount).map { key.key(in: rows, row: $0) }
    }
}
