import StockQueuePostgres

/// Subscriptions and their deliveries.
extension QueueAdmin {
    /// What a new subscription has.
    package struct NewSubscription: Sendable {
        package var name: String
        /// `webhook`, `mail` or `command`.
        package var channel: String
        /// The URL, the mail address, or the name of the program.
        package var target: String
        /// Nil for all stores.
        package var store: String?
        /// For instance `stock.low`.
        package var events: [String]
        package var itemPrefix = ""
        package var locationPrefix = ""
        /// Of a mail: notifications within so many seconds are one message.
        package var digestWindowSeconds: Int64?
        /// Of a mail: one message a day at this local time, `08:00`, of the time zone.
        package var digestAt: String?
        package var timeZone: String?

        package init(name: String, channel: String, target: String, store: String?, events: [String]) {
            self.name = name
            self.channel = channel
            self.target = target
            self.store = store
            self.events = events
        }
    }

    /// Adds a subscription.
    ///
    /// - Parameter secret: with what a webhook's messages are signed; nil for other channels.
    package func addSubscription(_ new: NewSubscription, secret: String?) throws(PostgresError) {
        var parameters = Parameters()
        for text in [new.name, new.channel, new.target, new.store] { parameters.add(text) }
        parameters.addArray(new.events)
        for text in [secret, new.itemPrefix, new.locationPrefix] { parameters.add(text) }
        parameters.add(new.digestWindowSeconds)
        for text in [new.digestAt, new.timeZone] { parameters.add(text) }
        try execute(subscriptionStatements.add, parameters)
    }

    /// A subscription without its secret.
    package struct Subscription: Sendable {
        /// The row as PostgreSQL wrote it.
        package let json: String
        package let name: String
        package let store: String
        package let channel: String
        package let target: String
        package let events: String
        package let pending: Int64
        package let dead: Int64
        package let failingSince: Timestamp?
        package let disabledReason: String?
    }

    package func subscriptions() throws(PostgresError) -> [Subscription] {
        let rows = try execute(subscriptionStatements.list)
        func text(_ row: Int, _ name: String) -> String { rows.string(row, rows.column(name)) }
        return (0..<rows.rowCount).map { row in
            Subscription(
                json: text(row, "json"), name: text(row, "name"), store: text(row, "store"),
                channel: text(row, "channel"), target: text(row, "target"), events: text(row, "events"),
                pending: rows.int64(row, rows.column("pending")), dead: rows.int64(row, rows.column("dead")),
                failingSince: rows.optionalTimestamp(row, rows.column("failing_since")),
                disabledReason: rows.optionalString(row, rows.column("disabled_reason")))
        }
    }

    package func setSubscription(_ name: String, enabled: Bool) throws(PostgresError) {
        var parameters = Parameters()
        parameters.add(name)
        parameters.add(enabled)
        try execute(subscriptionStatements.setEnabled, parameters)
    }

    /// Gives a webhook another secret; for a time messages are signed with the old one too.
    package func rotateSecret(
        ofSubscription name: String, to secret: String, keepOldSeconds: Int64
    ) throws(PostgresError) {
        var parameters = Parameters()
        parameters.add(name)
        parameters.add(secret)
        parameters.add(keepOldSeconds)
        try execute(subscriptionStatements.rotate, parameters)
    }

    package func removeSubscription(_ name: String) throws(PostgresError) {
        var parameters = Parameters()
        parameters.add(name)
        try execute(subscriptionStatements.remove, parameters)
    }

    /// Sends a message of the event `stock.test`.
    ///
    /// - Returns: the delivery.
    package func testSubscription(_ name: String) throws(PostgresError) -> Int64 {
        var parameters = Parameters()
        parameters.add(name)
        return try execute(subscriptionStatements.test, parameters).int64(0, 0)
    }

    // MARK: deliveries

    /// One message on its way to a subscription, or one that has ended.
    package struct Delivery: Sendable {
        /// The row as PostgreSQL wrote it.
        package let json: String
        package let id: Int64
        package let subscription: String
        package let event: String
        package let item: String
        /// `pending`, `delivered` or `dead`.
        package let state: String
        package let attempts: Int
        package let nextAttemptAt: Timestamp
        package let finishedAt: Timestamp?
        package let lastError: String?
    }

    /// The newest deliveries, the oldest of them first.
    package func deliveries(
        subscription: String?, state: String?, limit: Int
    ) throws(PostgresError) -> [Delivery] {
        var parameters = Parameters()
        parameters.add(subscription)
        parameters.add(state)
        parameters.add(Int64(limit))
        let rows = try execute(subscriptionStatements.listDeliveries, parameters)
        func text(_ row: Int, _ name: String) -> String { rows.string(row, rows.column(name)) }
        return (0..<rows.rowCount).map { row in
            Delivery(
                json: text(row, "json"), id: rows.int64(row, rows.column("delivery_id")),
                subscription: text(row, "name"), event: text(row, "event"),
                item: [text(row, "store_id"), text(row, "item_id"), text(row, "location_id")].joined(separator: "/"),
                state: text(row, "state"), attempts: Int(rows.int16(row, rows.column("attempts"))),
                nextAttemptAt: rows.timestamp(row, rows.column("next_attempt_at")),
                finishedAt: rows.optionalTimestamp(row, rows.column("finished_at")),
                lastError: rows.optionalString(row, rows.column("last_error")))
        }
    }

    /// Makes dead deliveries pending again, and waiting ones due.
    ///
    /// - Returns: how many, and how many of them were dead.
    package func retryDeliveries(
        _ ids: [Int64]?, subscription: String?
    ) throws(PostgresError) -> (deliveries: Int, dead: Int) {
        var parameters = Parameters()
        if let ids {
            parameters.addArray(of: ids.count, int64: { ids[$0] })
        } else {
            parameters.add(nil as Int64?)
        }
        parameters.add(subscription)
        let rows = try execute(subscriptionStatements.retryDeliveries, parameters)
        return (Int(rows.int64(0, rows.column("deliveries"))), Int(rows.int64(0, rows.column("dead"))))
    }

    /// Delivers the notifications of a span of time again.
    ///
    /// - Returns: how many.
    package func replayDeliveries(to subscription: String, seconds: Int64) throws(PostgresError) -> Int64 {
        var parameters = Parameters()
        parameters.add(subscription)
        parameters.add(seconds)
        return try execute(subscriptionStatements.replayDeliveries, parameters).int64(0, 0)
    }

    private var subscriptionStatements: SubscriptionStatements { SubscriptionStatements(schema) }
}
