import StockQueuePostgres

/// What administrators do with subscriptions and deliveries: each statement calls a function of
/// `migrations/functions/delivery.sql`.
struct SubscriptionStatements: Sendable {
    let add: Statement
    let list: Statement
    let setEnabled: Statement
    let rotate: Statement
    let remove: Statement
    let test: Statement
    let listDeliveries: Statement
    let retryDeliveries: Statement
    let replayDeliveries: Statement

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        add = Statement(
            "admin_add_subscription",
            [.text, .text, .text, .text, .textArray, .text, .text, .text, .int8, .text, .text],
            """
            SELECT \(s).add_subscription(
                $1, $2, $3, $4, $5, $6, $7, $8, $9 * interval '1 second', $10::time, $11) AS subscription_id
            """)
        list = Statement(
            "admin_list_subscriptions", [],
            """
            SELECT to_json(found)::text AS json, name, coalesce(store_id, 'all stores') AS store, channel, target,
                array_to_string(events, ', ') AS events, pending, dead, failing_since, disabled_reason
            FROM \(s).list_subscriptions() AS found
            """)
        setEnabled = Statement(
            "admin_set_subscription_enabled", [.text, .bool], "SELECT \(s).set_subscription_enabled($1, $2)")
        rotate = Statement(
            "admin_rotate_secret", [.text, .text, .int8],
            "SELECT \(s).rotate_subscription_secret($1, $2, $3 * interval '1 second')")
        remove = Statement("admin_remove_subscription", [.text], "SELECT \(s).remove_subscription($1)")
        test = Statement("admin_test_subscription", [.text], "SELECT \(s).test_subscription($1) AS delivery_id")
        listDeliveries = Statement(
            "admin_list_deliveries", [.text, .text, .int8],
            """
            SELECT to_json(found)::text AS json, delivery_id, name, event, store_id, item_id, location_id, state, attempts,
                next_attempt_at, finished_at, last_error
            FROM (
                SELECT s.name, d.*
                FROM \(s).deliveries AS d
                JOIN \(s).subscription_names() AS s USING (subscription_id)
                WHERE ($1 IS NULL OR name = $1) AND ($2 IS NULL OR state = $2)
                ORDER BY delivery_id DESC
                LIMIT $3
            ) AS found
            ORDER BY delivery_id
            """)
        retryDeliveries = Statement(
            "admin_retry_deliveries", [.int8Array, .text], "SELECT deliveries, dead FROM \(s).retry_deliveries($1, $2)")
        replayDeliveries = Statement(
            "admin_replay_deliveries", [.text, .int8],
            "SELECT \(s).replay_deliveries($1, now() - $2 * interval '1 second') AS deliveries")
    }
}
