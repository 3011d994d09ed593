import StockModel

/// Reads the rows of a feed as they are committed, each once.
package struct FeedFollower<Value: Sendable, Cursor: Sendable> {
    private let read: (Cursor, Int) throws -> [FeedRow<Value, Cursor>]
    /// After everything that was read.
    package private(set) var cursor: Cursor

    /// What was committed since the last call.
    ///
    /// - Parameter body: is called with each row, and with the cursor after it.
    @discardableResult
    package mutating func next(
        limit: Int, _ body: (FeedRow<Value, Cursor>, Cursor) -> Void = { _, _ in }
    ) throws -> [FeedRow<Value, Cursor>] {
        let rows = try read(cursor, limit)
        for row in rows {
            cursor = row.cursor
            body(row, cursor)
        }
        return rows
    }
}

package typealias NotificationFollower = FeedFollower<StockNotification, NotificationCursor>
package typealias ChangeFollower = FeedFollower<StockChange, ChangeCursor>

extension FeedFollower where Value == StockNotification, Cursor == NotificationCursor {
    package init(inspector: Inspector, after cursor: NotificationCursor, store: String? = nil) {
        self.cursor = cursor
        read = { try inspector.notifications(after: $0, limit: $1, store: store) }
    }
}

extension FeedFollower where Value == StockChange, Cursor == ChangeCursor {
    package init(inspector: Inspector, after cursor: ChangeCursor, store: String? = nil) {
        self.cursor = cursor
        read = { try inspector.changes(after: $0, limit: $1, store: store) }
    }
}
