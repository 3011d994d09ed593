/// What a token allows its bearer to do with the items of its stores.
package enum Scope: String, Sendable, Hashable, CaseIterable {
    /// Read stock and history.
    case readCatalog = "read_catalog"
    /// Change stock.
    case updateCatalog = "update_catalog"
    /// Create items, and end their management.
    case manageItems = "manage_items"
    /// Decide where and when notifications are sent: subscriptions, the policy of alerts, snoozes.
    case manageNotifications = "manage_notifications"
}
