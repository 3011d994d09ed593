import StockDecision
import StockModel
import StockQueuePostgres

/// Reads which idempotency keys were used before: the first job of each, and its request.
///
/// `OFFSET 0` keeps the order: each wanted key is looked up, and the keys are never read to look for the wanted ones.
struct ReadKeysStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "read_keys", [.textArray, .textArray],
            """
            SELECT (wanted.number - 1)::integer AS wanted_index, used.*
            FROM unnest($1, $2) WITH ORDINALITY AS wanted (key, store, number)
            CROSS JOIN LATERAL (
                SELECT job_id, quantity, expected_available, action, on_insufficient, store_id, item_id, location_id
                FROM \(schema.quoted).idempotency_keys
                WHERE idempotency_key = wanted.key AND store_id = wanted.store
                OFFSET 0
            ) AS used
            """)
    }

    /// The used keys, by the position in the list of keys that were asked for.
    ///
    /// - Parameters:
    ///   - items: the items that a request can name.
    ///   - addsItems: add an item that is not in the table yet, because a later job may name it.
    static func used(
        in rows: ResultSet, items: inout KeyTable, addsItems: Bool = false
    ) throws(PostgresError) -> [(position: Int, state: KeyState)] {
        let position = rows.column("wanted_index")
        let jobID = rows.column("job_id")
        let quantity = rows.column("quantity")
        let expected = rows.column("expected_available")
        let action = rows.column("action")
        let policy = rows.column("on_insufficient")
        let item = rows.column("store_id")
        var used: [(position: Int, state: KeyState)] = []
        for row in 0..<rows.rowCount {
            guard let action = rows.label(row, action, StockAction.labels, StockAction.allCases),
                let policy = rows.label(row, policy, InsufficientStockPolicy.labels, InsufficientStockPolicy.allCases)
            else { throw ClaimedJobColumns.newerVersion(rows.int64(row, jobID)) }
            let known =
                addsItems
                ? items.number(in: rows, row: row, firstColumn: item)
                : items.knownNumber(in: rows, row: row, firstColumn: item)
            let request = KeyState.Request(
                item: known.map { ItemIndex(rawValue: $0) }, action: action, quantity: rows.int64(row, quantity),
                onInsufficient: policy, expectedAvailable: rows.optionalInt64(row, expected))
            used.append(
                (Int(rows.int32(row, position)), KeyState(jobID: rows.int64(row, jobID), request: request)))
        }
        return used
    }
}

/// Records the use of idempotency keys, in the order of the keys, so that two lanes with the same keys do not deadlock.
/// A key that was used before violates the primary key, and the batch runs again.
///
/// Rejected: ON CONFLICT DO NOTHING and counting the rows (docs/performance/experiments.md).
struct UseKeysStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let columns = """
            idempotency_key, store_id, job_id, quantity, expected_available, action, on_insufficient, item_id, location_id
            """
        statement = Statement(
            "use_keys", [.tidArray],
            """
            INSERT INTO \(schema.quoted).idempotency_keys (\(columns))
            SELECT \(columns)
            FROM unnest($1) AS used (tuple_id)
            JOIN \(schema.quoted).jobs ON jobs.ctid = used.tuple_id
            ORDER BY idempotency_key, store_id
            """)
    }

    /// The constraint that a key used before violates.
    static let constraint = "idempotency_keys_pkey"
}
