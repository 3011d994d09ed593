import Foundation

/// The report that an item became low, ran out, or came back.
public struct StockNotification: Sendable, Hashable, Identifiable {
    /// The id of the notification.
    public let id: Int64
    /// The item.
    public let key: ItemKey
    /// What happened to the item.
    public let kind: NotificationKind
    /// The item's threshold at that time.
    public let lowStockThreshold: Int64?
    /// Available stock before the change.
    public let availableBefore: Int64
    /// Available stock after the change.
    public let availableAfter: Int64
    /// The job that changed the stock; nil where a changed threshold changed the level.
    public let jobID: Int64?
    /// The item's version after the change. An item has at most one notification of a job for a version.
    public let version: Int64
    /// When the transaction of the batch began.
    public let createdAt: Date

    package init(
        id: Int64, key: ItemKey, kind: NotificationKind, lowStockThreshold: Int64?, availableBefore: Int64,
        availableAfter: Int64, jobID: Int64?, version: Int64, createdAt: Date
    ) {
        self.id = id
        self.key = key
        self.kind = kind
        self.lowStockThreshold = lowStockThreshold
        self.availableBefore = availableBefore
        self.availableAfter = availableAfter
        self.jobID = jobID
        self.version = version
        self.createdAt = createdAt
    }
}

extension StockNotification: ItemKeyed {}
