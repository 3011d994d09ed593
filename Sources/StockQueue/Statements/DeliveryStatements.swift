import StockQueuePostgres

/// What a deliverer asks the database: each statement calls a function of `migrations/functions/delivery.sql`.
struct DeliveryStatements: Sendable {
    /// Makes deliveries of new notifications.
    let fanOut: Statement
    /// Claims deliveries that are due.
    let claim: Statement
    /// Records how attempts ended; returns the subscriptions that were disabled for it.
    let finish: Statement
    /// What is low or out now, for a daily digest.
    let digestItems: Statement

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        fanOut = Statement(
            "fan_out_deliveries", [.int4], "SELECT notifications, deliveries FROM \(s).fan_out_deliveries($1)")
        claim = Statement(
            "claim_deliveries", [.int4, .int4, .int8Array, .int8],
            """
            SELECT delivery_id, subscription_id, claim_id, channel, target, array_to_string(secrets, ' ') AS secrets,
                message_id, event, data, occurred_at, attempts, name, store_id, time_zone
            FROM \(s).claim_deliveries($1, $2, $3, $4 * interval '1 millisecond')
            ORDER BY delivery_id
            """)
        finish = Statement(
            "finish_deliveries", [.int8Array, .int8Array, .textArray, .int8Array, .boolArray, .int8],
            """
            SELECT name, reason
            FROM \(s).finish_deliveries($1, $2, $3, $4::integer[], $5, $6 * interval '1 second')
            """)
        digestItems = Statement(
            "read_digest_items", [.int8, .int4],
            "SELECT store_id, item_id, location_id, available, low_stock_threshold FROM \(s).digest_items($1, $2)")
    }

    static func claimParameters(room: Int, each: Int, busy: [Int64], leaseMs: Int) -> Parameters {
        var parameters = Parameters()
        parameters.add(Int32(room))
        parameters.add(Int32(each))
        parameters.addArray(of: busy.count, int64: { busy[$0] })
        parameters.add(Int64(leaseMs))
        return parameters
    }

    static func claimed(in rows: ResultSet) -> [ClaimedDelivery] {
        let (id, subscription, claim) = (
            rows.column("delivery_id"), rows.column("subscription_id"), rows.column("claim_id")
        )
        let (channel, target, secrets) = (rows.column("channel"), rows.column("target"), rows.column("secrets"))
        let (message, event, data) = (rows.column("message_id"), rows.column("event"), rows.column("data"))
        let (occurred, attempts, name) = (rows.column("occurred_at"), rows.column("attempts"), rows.column("name"))
        let (store, zone) = (rows.column("store_id"), rows.column("time_zone"))
        return (0..<rows.rowCount).compactMap { row in
            // The table's constraint allows no other channels.
            ClaimedDelivery.Channel(rawValue: rows.string(row, channel)).map {
                ClaimedDelivery(
                    id: rows.int64(row, id), subscriptionID: rows.int64(row, subscription),
                    claimID: rows.int64(row, claim), channel: $0, target: rows.string(row, target),
                    secrets: rows.string(row, secrets).split(separator: " ").map(String.init),
                    messageID: rows.string(row, message), event: rows.string(row, event),
                    data: rows.string(row, data), occurredAt: rows.timestamp(row, occurred),
                    attempts: Int(rows.int16(row, attempts)), subscription: rows.string(row, name),
                    store: rows.optionalString(row, store), timeZone: rows.optionalString(row, zone))
            }
        }
    }

    static func finishParameters(_ ended: [Outbox.Ended], disableAfter: Duration) -> Parameters {
        let all = ended.flatMap { ended in ended.deliveries.map { (id: $0.id, claim: $0.claimID, end: ended.end) } }
        var parameters = Parameters()
        parameters.addArray(of: all.count, int64: { all[$0].id })
        parameters.addArray(of: all.count, int64: { all[$0].claim })
        parameters.addArray(all.map { $0.end.error.map { $0.filter { $0 != "\0" } } })
        parameters.addArray(of: all.count, int64: { all[$0].end.pauseSeconds.map { Int64(min(max($0, 0), 86_400)) } })
        parameters.addArray(of: all.count, bool: { all[$0].end.isGone })
        parameters.add(disableAfter.wholeSeconds)
        return parameters
    }

    static func disabled(in rows: ResultSet) -> [WorkEvent.SubscriptionDisabled] {
        let (name, reason) = (rows.column("name"), rows.column("reason"))
        return (0..<rows.rowCount).map { .init(name: rows.string($0, name), reason: rows.string($0, reason)) }
    }

    static func present(in rows: ResultSet, at time: Timestamp) -> [MailMessage.Line] {
        let (store, item, location) = (rows.column("store_id"), rows.column("item_id"), rows.column("location_id"))
        let (available, threshold) = (rows.column("available"), rows.column("low_stock_threshold"))
        return (0..<rows.rowCount).map { row in
            MailMessage.Line(
                event: "", store: rows.string(row, store), item: rows.string(row, item),
                location: rows.string(row, location), available: rows.int64(row, available),
                threshold: rows.optionalInt64(row, threshold), cause: nil, at: time)
        }
    }
}
