import StockModel

// The property names below are those of the columns, as JSONDecoder turns them: store_id becomes storeId.

/// An item as operators see it.
public struct Item: Decodable, Sendable {
    public let storeId: String
    public let itemId: String
    public let locationId: String
    public let parentId: String?
    public let onHand: Int64
    public let allocated: Int64
    public let available: Int64
    public let tracked: Bool
    public let lowStockThreshold: Int64?
    public let level: String
    public let version: Int64
    public let openingOnHand: Int64
}

/// A result as operators see it.
public struct JobResult: Decodable, Sendable {
    public let jobId: Int64
    public let storeId: String
    public let itemId: String
    public let locationId: String
    public let action: String
    public let quantity: Int64
    public let appliedQuantity: Int64
    public let outcome: String
    public let code: String?
    public let warning: String?
    public let onHandBefore: Int64?
    public let onHandAfter: Int64?
    public let allocatedBefore: Int64?
    public let allocatedAfter: Int64?
    public let version: Int64?
    public let groupId: String?
    public let reason: String?
    public let reference: String?
    public let attempts: Int
    public let worker: String
    public let finishedAt: String
    public let sqlstate: String?
    public let message: String?
}

/// A job that is still queued.
public struct QueuedJob: Decodable, Sendable {
    public let jobId: Int64
    public let storeId: String
    public let itemId: String
    public let action: String
    public let quantity: Int64
    public let runAt: String?
    public let waitingSince: String?
    public let attempts: Int
    public let maxAttempts: Int
    public let lastError: String?
}

/// A notification.
public struct StockNotification: Decodable, Sendable {
    public let notificationId: Int64
    public let storeId: String
    public let itemId: String
    public let locationId: String
    public let kind: String
    public let lowStockThreshold: Int64?
    public let availableBefore: Int64
    public let availableAfter: Int64
    public let jobId: Int64
    public let version: Int64
    public let createdAt: String
}

/// What `stockq stats` shows.
public struct QueueStatistics: Decodable, Sendable {
    public struct Queue: Decodable, Sendable {
        public let ready: Int64
        public let scheduled: Int64
        public let waiting: Int64
        public let retrying: Int64
        /// Parked, since their store is paused.
        public let paused: Int64
        public let pausedLanes: Int64
        public let pausedStores: [String]
        public let lanes: Int64
        public let oldestReadySeconds: Double?
    }

    public let windowSeconds: Int64
    public let queue: Queue
    public let items: Int64
    public let outcomes: [String: Int64]
    public let codes: [String: Int64]
    public let warnings: Int64
    public let notifications: [String: Int64]
    public let finishedLastMinute: Int64
}
