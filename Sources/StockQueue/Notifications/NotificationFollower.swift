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
    ///
    /// - Parameter body: is called with each notification, and with the cursor after it.
    @discardableResult
    package mutating func next(
        limit: Int, _ body: (JSONRow<StockNotification>, NotificationCursor) -> Void = { _, _ in }
    ) throws -> [JSONRow<StockNotification>] {
        let rows = try inspector.notifications(after: cursor, limit: limit)
        cursor.dropOverdueIDs()
        for row in rows {
            cursor.advance(past: row.value.id)
            body(row, cursor)
        }
        return rows
    }
}
