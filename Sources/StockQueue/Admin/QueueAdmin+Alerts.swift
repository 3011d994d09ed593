import StockModel
import StockQueuePostgres

extension QueueAdmin {
    /// A new value of an attribute, or none.
    package enum Change: Sendable, Hashable {
        case set(Int64)
        case cleared

        var value: Int64? { if case .set(let value) = self { value } else { nil } }
    }

    /// How the alerts of a store are sent from now on. What is nil does not change.
    package struct AlertPolicyChange: Sendable {
        package var store: String
        /// The threshold of the items that have none of their own.
        package var defaultThreshold: Change?
        /// For so many seconds after a message about an item no other follows.
        package var quietSeconds: Change?
        /// An item that was announced as low is restocked when more than threshold + margin is available.
        package var rearmMargin: Change?

        package init(store: String) { self.store = store }
    }

    /// Changes how the alerts of a store are sent. Where the threshold of its items changes, they are notified at once.
    ///
    /// The items are changed in steps. After an error the same call goes on.
    package func setAlertPolicy(_ change: AlertPolicyChange) throws(PostgresError) {
        try run(SetAlertPolicyStatement(schema), SetAlertPolicyStatement.parameters(change))
        if change.defaultThreshold != nil { try applyDefaultThreshold(store: change.store) }
    }

    /// Removes the policy of a store.
    ///
    /// - Returns: whether it had one.
    package func removeAlertPolicy(store: String) throws(PostgresError) -> Bool {
        var parameters = Parameters()
        parameters.add(store)
        let hadOne = RemoveAlertPolicyStatement.hadOne(in: try run(RemoveAlertPolicyStatement(schema), parameters))
        try applyDefaultThreshold(store: store)
        return hadOne
    }

    private func applyDefaultThreshold(store: String) throws(PostgresError) {
        let statement = ApplyDefaultThresholdStatement(schema)
        var after: (item: String, location: String)? = ("", "")
        while let last = after {
            let parameters = ApplyDefaultThresholdStatement.parameters(store: store, after: last)
            after = ApplyDefaultThresholdStatement.last(in: try run(statement, parameters))
        }
    }

    /// Until when no message is sent about an item.
    package enum SnoozeEnd: Sendable {
        case at(Timestamp)
        /// So many seconds from now, by the database's clock.
        case after(Int64)
        /// The snooze ends now.
        case now
    }

    /// Sends no message about an item until a time. Then one follows if its level differs from that of the last message.
    ///
    /// - Returns: whether there is such an item.
    package func snooze(_ key: ItemKey, until end: SnoozeEnd) throws(PostgresError) -> Bool {
        SnoozeItemStatement.isKnown(
            in: try run(SnoozeItemStatement(schema), SnoozeItemStatement.parameters(key, end)))
    }
}
