import StockModel
import StockQueuePostgres

// Each statement calls a function of `migrations/functions/alerts.sql`.

/// Changes how the alerts of a store are sent.
struct SetAlertPolicyStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "admin_set_alert_policy", [.text, .int8, .int8, .int8, .textArray],
            "SELECT \(schema.quoted).set_alert_policy($1, $2, $3 * interval '1 second', $4, $5)")
    }

    static func parameters(_ change: QueueAdmin.AlertPolicyChange) -> Parameters {
        var parameters = Parameters()
        parameters.add(change.store)
        parameters.add(change.defaultThreshold?.value)
        parameters.add(change.quietSeconds?.value)
        parameters.add(change.rearmMargin?.value)
        parameters.addArray(
            [
                ("default_threshold", change.defaultThreshold), ("quiet_period", change.quietSeconds),
                ("rearm_margin", change.rearmMargin),
            ].filter { $0.1 == .some(.cleared) }.map(\.0))
        return parameters
    }
}

/// Removes the policy of a store.
struct RemoveAlertPolicyStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "admin_remove_alert_policy", [.text], "SELECT \(schema.quoted).remove_alert_policy($1) AS had_one")
    }

    static func hadOne(in rows: ResultSet) -> Bool { rows.bool(0, rows.column("had_one")) }
}

/// Gives the next items of a store, in the order of their keys, the store's threshold where they have none of their own.
struct ApplyDefaultThresholdStatement: QueueStatement {
    let statement: Statement

    /// Items of one transaction: workers wait for its row locks.
    static let itemsMax = 1_000

    init(_ schema: QueueSchema) {
        statement = Statement(
            "admin_apply_default_threshold", [.text, .text, .text, .int4],
            "SELECT items, last_item, last_location FROM \(schema.quoted).apply_default_threshold($1, $2, $3, $4)")
    }

    static func parameters(store: String, after: (item: String, location: String)) -> Parameters {
        var parameters = Parameters()
        for text in [store, after.item, after.location] { parameters.add(text) }
        parameters.add(Int32(itemsMax))
        return parameters
    }

    /// The last item that was seen; nil at the end of the store's items.
    static func last(in rows: ResultSet) -> (item: String, location: String)? {
        guard rows.int32(0, rows.column("items")) == Int32(itemsMax) else { return nil }
        return (rows.string(0, rows.column("last_item")), rows.string(0, rows.column("last_location")))
    }
}

/// Sends no message about an item until a time.
struct SnoozeItemStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "admin_snooze_item", ItemKeyReader.types + [.timestamptz, .int8],
            """
            SELECT \(schema.quoted).snooze_item($1, $2, coalesce($4, now() + $5 * interval '1 second'), $3) AS is_known
            """)
    }

    static func parameters(_ key: ItemKey, _ end: QueueAdmin.SnoozeEnd) -> Parameters {
        var parameters = ItemKeyReader.parameters(key)
        switch end {
        case .at(let time):
            parameters.add(time)
            parameters.add(nil as Int64?)
        case .after(let seconds):
            parameters.add(nil as Timestamp?)
            parameters.add(seconds)
        case .now:
            parameters.add(nil as Timestamp?)
            parameters.add(nil as Int64?)
        }
        return parameters
    }

    static func isKnown(in rows: ResultSet) -> Bool { rows.bool(0, rows.column("is_known")) }
}
