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
        /// For so many seconds after a message about an item no other follows.
        package var quietSeconds: Change?
        /// An item that was announced as low is restocked when more than threshold + margin is available.
        package var rearmMargin: Change?

        package init(store: String) { self.store = store }
    }

    /// Changes how the alerts of a store are sent.
    package func setAlertPolicy(_ change: AlertPolicyChange) throws(PostgresError) {
        try run(SetAlertPolicyStatement(schema), SetAlertPolicyStatement.parameters(change))
    }

    /// Removes the policy of a store.
    ///
    /// - Returns: whether it had one.
    package func removeAlertPolicy(store: String) throws(PostgresError) -> Bool {
        var parameters = Parameters()
        parameters.add(store)
        return RemoveAlertPolicyStatement.hadOne(in: try run(RemoveAlertPolicyStatement(schema), parameters))
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
