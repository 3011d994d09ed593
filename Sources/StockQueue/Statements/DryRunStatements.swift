import StockDecision
import StockModel
import StockQueuePostgres

/// The database's clock, by which jobs expire.
struct CurrentTimeStatement: QueueStatement {
    let statement = Statement("current_time", [], "SELECT now() AS now")
}

/// Finds one store whose items the caller may not read: row security hides them, and all would look unknown.
struct HiddenStoreStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        statement = Statement(
            "hidden_store", [.textArray],
            """
            SELECT store
            FROM unnest($1) AS store
            WHERE NOT \(s).can_read_all_stores() AND NOT \(s).has_grant(store, 'read_catalog')
            LIMIT 1
            """)
    }
}

/// A stock count that a dry run decides.
struct DryRunCount {
    var jobID: Int64
    /// Its place in the table of items.
    var item: Int32
    var at: Timestamp
}

/// Reads what a dry run needs, for a caller of the gateway: items and used keys of one store.
struct GatewayDryRunStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "gateway_dry_run",
            [.text, .text, .textArray, .textArray, .textArray, .int4Array, .timestamptzArray],
            """
            SELECT failure, kind, "position", on_hand, allocated, version, low_stock_threshold, notified_level, tracked,
                job_id, item_id, location_id, action, quantity, on_insufficient, expected_available
            FROM \(schema.quoted).gateway_dry_run($1, $2, $3, $4, $5, $6, $7)
            """)
    }

    func parameters(
        _ tokenHash: String?, _ store: String, items: KeyTable, keys: KeyTable, counts: [DryRunCount]
    ) -> Parameters {
        let numbers = Array(Int32(0)..<Int32(items.count))
        var parameters = Parameters()
        parameters.add(tokenHash)
        parameters.add(store)
        parameters.addArray(of: numbers, in: items, column: 1)
        parameters.addArray(of: numbers, in: items, column: 2)
        parameters.addArray(of: Array(Int32(0)..<Int32(keys.count)), in: keys, column: 0)
        parameters.addArray(of: counts.count, int32: { counts[$0].item })
        parameters.addArray(of: counts.count, timestamp: { counts[$0].at })
        return parameters
    }

    static func changes(in rows: ResultSet) -> [(position: Int, change: Int64, isOutdated: Bool)] {
        (1..<max(1, rows.rowCount)).filter { rows.string($0, rows.column("kind")) == "count" }.map {
            (
                Int(rows.int32($0, rows.column("position"))), rows.int64($0, rows.column("quantity")),
                rows.int64($0, rows.column("on_hand")) == 1
            )
        }
    }

    /// The first row has it.
    static func failure(in rows: ResultSet) -> String? { rows.optionalString(0, rows.column("failure")) }

    static func items(in rows: ResultSet) throws(PostgresError) -> [(position: Int, state: ItemState)] {
        var items: [(position: Int, state: ItemState)] = []
        for row in 1..<max(1, rows.rowCount) where rows.string(row, rows.column("kind")) == "item" {
            var state = ItemState(
                onHand: rows.int64(row, rows.column("on_hand")), allocated: rows.int64(row, rows.column("allocated")),
                threshold: rows.optionalInt64(row, rows.column("low_stock_threshold")),
                tracked: rows.bool(row, rows.column("tracked")))
            state.version = rows.int64(row, rows.column("version"))
            if let level = rows.optionalString(row, rows.column("notified_level")) {
                state.notifiedLevel = try label(level)
            }
            items.append((Int(rows.int32(row, rows.column("position"))), state))
        }
        return items
    }

    /// - Parameter items: gets those that only a request of a key names.
    static func keys(
        in rows: ResultSet, store: String, items: inout KeyTable
    ) throws(PostgresError) -> [(position: Int, state: KeyState)] {
        var keys: [(position: Int, state: KeyState)] = []
        for row in 1..<max(1, rows.rowCount) where rows.string(row, rows.column("kind")) == "key" {
            let item = items.number(of: [
                store, rows.string(row, rows.column("item_id")), rows.string(row, rows.column("location_id")),
            ])
            let request = KeyState.Request(
                item: ItemIndex(rawValue: item), action: try label(rows.string(row, rows.column("action"))),
                quantity: rows.int64(row, rows.column("quantity")),
                onInsufficient: try label(rows.string(row, rows.column("on_insufficient"))),
                expectedAvailable: rows.optionalInt64(row, rows.column("expected_available")))
            let state = KeyState(jobID: rows.int64(row, rows.column("job_id")), request: request)
            keys.append((Int(rows.int32(row, rows.column("position"))), state))
        }
        return keys
    }

    private static func label<Label: DatabaseLabel>(_ text: String) throws(PostgresError) -> Label {
        guard let label = Label(rawValue: text) else {
            throw PostgresError(kind: .protocolViolation, message: "unknown \(Label.typeName) \(text)")
        }
        return label
    }
}
