import Foundation

/// An item with its balance and its attributes.
public struct Item: Sendable, Hashable {
    /// The name of the item.
    public let key: ItemKey
    /// The product of which this item is a variation.
    public let parentID: String?
    /// The present quantities.
    public let balance: Balance
    /// False: its stock is unlimited, and jobs do not change it.
    public let isTracked: Bool
    /// The item is low when it has this much available, or less.
    public let lowStockThreshold: Int64?
    /// The level of the balance now. The level that the last notification reported may be another one.
    public let alertLevel: AlertLevel
    /// Raised by 1 by each change of the balance.
    public let version: Int64
    /// Units on hand before the oldest result that is kept.
    public let openingOnHand: Int64
    /// When the item was created.
    public let createdAt: Date
    /// When its balance or its attributes changed last.
    public let updatedAt: Date

    package init(
        key: ItemKey, parentID: String?, balance: Balance, isTracked: Bool, lowStockThreshold: Int64?,
        alertLevel: AlertLevel, version: Int64, openingOnHand: Int64, createdAt: Date, updatedAt: Date
    ) {
        self.key = key
        self.parentID = parentID
        self.balance = balance
        self.isTracked = isTracked
        self.lowStockThreshold = lowStockThreshold
        self.alertLevel = alertLevel
        self.version = version
        self.openingOnHand = openingOnHand
        self.createdAt = createdAt
        self.updatedAt = updatedAt
    }
}

extension Item: ItemKeyed {}
