import StockModel
import StockQueuePostgres

/// Creates items with their opening stock, and changes the attributes of those that exist.
///
/// Only attributes for which the input has a column are changed. Rows are written in the order of their keys, in which
/// workers lock them. The level at creation is the baseline of the alerts: it is recorded before the threshold it
/// depends on changes.
struct UpsertItemsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let level = { (threshold: String, tracked: String, table: String) in
            SQL.alertLevel(available: "\(table).available", threshold: threshold, tracked: tracked, schema)
        }
        statement = Statement(
            "upsert_items",
            EnqueueStockCountsStatement.types + [.textArray, .boolArray, .int8Array, .bool, .bool, .bool],
            """
            WITH written AS (
                INSERT INTO \(schema.quoted).items AS old (
                    store_id, item_id, location_id, on_hand, parent_id, tracked, low_stock_threshold,
                    opening_on_hand, opening_allocated, notified_level
                )
                SELECT
                    store_id, item_id, location_id, available, parent_id, tracked, low_stock_threshold, available, 0,
                    \(level("given.low_stock_threshold", "given.tracked", "given"))
                FROM unnest($1, $2, $3, $4, $5, $6, $7) AS given (
                    store_id, item_id, location_id, available, parent_id, tracked, low_stock_threshold
                )
                ORDER BY store_id COLLATE "C", item_id COLLATE "C", location_id COLLATE "C"
                ON CONFLICT (store_id, item_id, location_id) DO UPDATE
                SET parent_id = CASE WHEN $8 THEN excluded.parent_id ELSE old.parent_id END,
                    tracked = CASE WHEN $9 THEN excluded.tracked ELSE old.tracked END,
                    low_stock_threshold = CASE WHEN $10 THEN excluded.low_stock_threshold ELSE old.low_stock_threshold END,
                    threshold_is_default = CASE WHEN $10 THEN excluded.threshold_is_default ELSE old.threshold_is_default END,
                    notified_level = coalesce(old.notified_level, \(level("old.low_stock_threshold", "old.tracked", "old"))),
                    updated_at = now()
                WHERE ($8 AND excluded.parent_id IS DISTINCT FROM old.parent_id)
                    OR ($9 AND excluded.tracked IS DISTINCT FROM old.tracked)
                    OR ($10 AND excluded.low_stock_threshold IS DISTINCT FROM old.low_stock_threshold)
                    OR ($10 AND excluded.threshold_is_default <> old.threshold_is_default)
                RETURNING xmax = 0 AS is_new
            )
            SELECT count(*) FILTER (WHERE is_new) AS created, count(*) FILTER (WHERE NOT is_new) AS changed FROM written
            """)
    }

    /// - Parameter columns: the columns of the input.
    static func parameters(_ items: [ItemRequest], columns: [ItemField]) -> Parameters {
        var parameters = EnqueueStockCountsStatement.parameters(items)
        parameters.addArray(items.map(\.parentID))
        parameters.addArray(of: items.count, bool: { items[$0].isTracked })
        parameters.addArray(of: items.count, int64: { items[$0].lowStockThreshold })
        for column in [ItemField.parentID, .tracked, .lowStockThreshold] { parameters.add(columns.contains(column)) }
        return parameters
    }

    static func counts(in rows: ResultSet) -> (created: Int, changed: Int) {
        (Int(rows.int64(0, rows.column("created"))), Int(rows.int64(0, rows.column("changed"))))
    }
}

/// Enqueues a `set` job for each counted item whose stock differs or that has queued jobs: these change the stock before
/// the count is applied, although it may be right at this moment.
///
/// With a moment (`counted_at`) the count is booked as of then, and is enqueued for an item that was changed since too.
///
/// A count comes after the queued jobs of its item, which it counts already: with the lowest of their priorities, and
/// with the ordering key of the last one.
struct EnqueueStockCountsStatement: QueueStatement {
    let statement: Statement

    static let types: [TypeOID] = [.textArray, .textArray, .textArray, .int8Array]

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        statement = Statement(
            "enqueue_stock_counts", Self.types + [.timestamptz],
            """
            WITH counted AS MATERIALIZED (
                SELECT * FROM unnest($1, $2, $3, $4) WITH ORDINALITY
                    AS given (store_id, item_id, location_id, on_hand, number)
            ), queued AS MATERIALIZED (
                SELECT number, max(priority) AS priority, max(job_id) AS last_job_id
                FROM counted
                JOIN \(s).jobs USING (store_id, item_id, location_id)
                GROUP BY number
            ), of_count AS MATERIALIZED (
                SELECT reason
                FROM (SELECT \(s).allowed_reasons() AS reasons) AS allowed
                CROSS JOIN unnest(ARRAY['stock count', 'cycle_count_available']) WITH ORDINALITY AS r (reason, number)
                WHERE allowed.reasons IS NULL OR r.reason = ANY (allowed.reasons)
                ORDER BY r.number
                LIMIT 1
            )
            INSERT INTO \(s).jobs (
                store_id, item_id, location_id, quantity, action, reason, priority, ordering_key, counted_at
            )
            SELECT store_id, item_id, location_id, counted.on_hand, 'set', (SELECT reason FROM of_count),
                greatest((\(s).job_defaults()).priority, queued.priority), last.ordering_key, $5
            FROM counted
            JOIN \(s).items USING (store_id, item_id, location_id)
            LEFT JOIN queued USING (number)
            LEFT JOIN LATERAL (SELECT ordering_key FROM \(s).jobs WHERE job_id = queued.last_job_id) AS last ON true
            WHERE items.tracked AND (
                items.on_hand <> counted.on_hand OR queued.number IS NOT NULL
                -- The stock may have changed since, and have come back.
                OR items.updated_at >= $5 - interval '10 minutes' AND items.last_job_id IS NOT NULL)
            ORDER BY number
            """)
    }

    static func parameters(_ items: [ItemRequest]) -> Parameters {
        var parameters = Parameters()
        parameters.addArray(items.map(\.storeID))
        parameters.addArray(items.map(\.itemID))
        parameters.addArray(items.map(\.locationID))
        parameters.addArray(of: items.count, int64: { items[$0].onHand })
        return parameters
    }
}

/// Counts the items whose stock differs from the given one.
struct CountStockDifferencesStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "count_stock_differences", EnqueueStockCountsStatement.types,
            """
            SELECT count(*) AS differences
            FROM unnest($1, $2, $3, $4) AS given (store_id, item_id, location_id, on_hand)
            JOIN \(schema.quoted).items USING (store_id, item_id, location_id)
            WHERE items.tracked AND items.on_hand <> given.on_hand
            """)
    }
}
