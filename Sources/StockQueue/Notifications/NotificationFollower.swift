import StockModel

/// Reads notifications as they are committed, each once.
package struct NotificationFollower {
    private let inspector: Inspector
    /// After everything that was read.
    package private(set) var cursor: NotificationCursor

    package init(inspector: Inspector, after cursor: NotificationCursor) {
        self.inspector = inspector
        self.cursor = cursor
    }

    /// What was committed since the last call.
    package mutating func next(limit: Int) throws -> [JSONRow<StockNotification>] {
        let rows = try inspector.notifications(after: cursor, limit: limit)
        cursor.dropOverdueIDs()
        for row in rows { cursor.advance(past: row.value.id) }
        return rows
    }
}
