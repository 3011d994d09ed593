import StockDecision
import StockModel
import StockQueuePostgres

/// Reads what a dry run of an import of items compares with the input: the items as they are, and what their stock counts
/// depend on. It writes nothing.
struct PreviewItemsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        statement = Statement(
            "preview_items",
            EnqueueStockCountsStatement.types
                + [.textArray, .boolArray, .int8Array, .bool, .bool, .bool, .timestamptz],
            """
            WITH given AS MATERIALIZED (
                SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7) WITH ORDINALITY AS given (
                    store_id, item_id, location_id, counted, parent_id, tracked, low_stock_threshold, number
                )
            ), queued AS MATERIALIZED (
                SELECT number, count(*) AS jobs
                FROM given
                JOIN \(s).jobs USING (store_id, item_id, location_id)
                GROUP BY number
            )
            SELECT (number - 1)::integer AS wanted_index, items.store_id IS NOT NULL AS is_known,
                items.on_hand::bigint AS on_hand, items.allocated::bigint AS allocated, items.tracked,
                own.threshold::bigint AS threshold,
                coalesce($8 AND given.parent_id IS DISTINCT FROM items.parent_id
                    OR $9 AND given.tracked <> items.tracked, false) AS is_changed,
                $10 AND given.low_stock_threshold IS DISTINCT FROM own.threshold AS changes_threshold,
                coalesce(queued.jobs, 0) AS queued, since.on_hand_change, since.is_outdated
            FROM given
            LEFT JOIN \(s).items USING (store_id, item_id, location_id)
            CROSS JOIN LATERAL (
                SELECT CASE WHEN NOT items.threshold_is_default THEN items.low_stock_threshold END AS threshold
            ) AS own
            LEFT JOIN queued USING (number)
            LEFT JOIN LATERAL \(s).changes_since_count(store_id, item_id, location_id, $11) AS since ON true
            ORDER BY number
            """)
    }

    /// - Parameter columns: the columns of the input.
    static func parameters(_ items: [ItemRequest], columns: [ItemField], countedAt: Timestamp?) -> Parameters {
        var parameters = UpsertItemsStatement.parameters(items, columns: columns)
        parameters.add(countedAt)
        return parameters
    }

    /// An item as it is.
    struct Found {
        var position: Int
        /// Nil for an unknown item.
        var state: ItemState?
        var isChanged: Bool
        var changesThreshold: Bool
        /// Nil for none, and for that of the store.
        var threshold: Int64?
        /// Queued jobs of the item.
        var queued: Int
        /// What later jobs changed since the count, and whether it is outdated.
        var changeSince: Int64
        var isOutdated: Bool
    }

    static func found(in rows: ResultSet) -> [Found] {
        let (position, known) = (rows.column("wanted_index"), rows.column("is_known"))
        let (onHand, allocated) = (rows.column("on_hand"), rows.column("allocated"))
        let (tracked, changed) = (rows.column("tracked"), rows.column("is_changed"))
        let (queued, since) = (rows.column("queued"), rows.column("on_hand_change"))
        let (outdated, threshold) = (rows.column("is_outdated"), rows.column("threshold"))
        let changesThreshold = rows.column("changes_threshold")
        return (0..<rows.rowCount).map { row in
            let state =
                rows.bool(row, known)
                ? ItemState(
                    onHand: rows.int64(row, onHand), allocated: rows.int64(row, allocated),
                    tracked: rows.bool(row, tracked)) : nil
            return Found(
                position: Int(rows.int32(row, position)), state: state,
                isChanged: state != nil && (rows.bool(row, changed) || rows.bool(row, changesThreshold)),
                changesThreshold: rows.bool(row, changesThreshold), threshold: rows.optionalInt64(row, threshold),
                queued: Int(rows.int64(row, queued)),
                changeSince: rows.optionalInt64(row, since) ?? 0,
                isOutdated: !rows.isNull(row, outdated) && rows.bool(row, outdated))
        }
    }
}
