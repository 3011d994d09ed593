import StockModel
import StockQueuePostgres

// Each statement calls a function of `migrations/functions/alerts.sql`.

/// Changes how the alerts of a store are sent.
struct SetAlertPolicyStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "admin_set_alert_policy", [.text, .int8, .int8, .textArray],
            "SELECT \(schema.quoted).set_alert_policy($1, $2 * interval '1 second', $3, $4)")
    }

    static func parameters(_ change: QueueAdmin.AlertPolicyChange) -> Parameters {
        var parameters = Parameters()
        parameters.add(change.store)
        parameters.add(change.quietSeconds?.value)
        parameters.add(change.rearmMargin?.value)
        parameters.addArray(
            [
                ("quiet_period", change.quietSeconds),
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
