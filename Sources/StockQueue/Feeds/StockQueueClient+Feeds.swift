import StockModel

extension StockQueueClient {
    /// Rows of a feed that are read at once.
    private static var pageMax: Int { 1_000 }

    /// Notifications as they are committed, each once, beginning after a cursor. The sequence does not end.
    ///
    /// ```swift
    /// let notifications = queue.notifications(after: cursor ?? .beginning)
    /// for try await notification in notifications {
    ///     print(notification.itemID, notification.kind, notification.availableAfter)
    ///     store(notifications.cursor)
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - store: nil for all stores that the client's role may read.
    ///   - pollInterval: how long to wait before the next poll when there is nothing new.
    public func notifications(
        after cursor: NotificationCursor, store: String? = nil, pollInterval: Duration = .milliseconds(250)
    ) -> NotificationSequence {
        NotificationSequence(after: cursor, pollInterval: pollInterval) { cursor throws(QueueError) in
            try await self.notificationPage(after: cursor, store: store)
        }
    }

    /// The cursor after which the notifications of a span of time begin.
    ///
    /// - Parameter age: counted in whole seconds; zero for notifications that are still to come.
    public func notificationCursor(since age: Duration = .zero) async throws(QueueError) -> NotificationCursor {
        try await inspect { try $0.notificationCursor(secondsAgo: age == .zero ? nil : age.wholeSeconds) }
    }

    package func notificationPage(
        after cursor: NotificationCursor, store: String? = nil
    ) async throws(QueueError) -> [FeedRow<StockNotification, NotificationCursor>] {
        try await inspect { try $0.notifications(after: cursor, limit: Self.pageMax, store: store) }
    }

    /// Changes of stock as they are committed, each once, beginning after a cursor: the applied jobs. The changes of an
    /// item come in the order of its versions. The sequence does not end.
    ///
    /// ```swift
    /// let changes = queue.changes(after: cursor ?? .beginning)
    /// for try await change in changes {
    ///     print(change.itemID, change.version, change.after.available)
    ///     store(changes.cursor)
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - store: nil for all stores that the client's role may read.
    ///   - pollInterval: how long to wait before the next poll when there is nothing new.
    public func changes(
        after cursor: ChangeCursor, store: String? = nil, pollInterval: Duration = .milliseconds(250)
    ) -> ChangeSequence {
        ChangeSequence(after: cursor, pollInterval: pollInterval) { cursor throws(QueueError) in
            try await self.inspect { try $0.changes(after: cursor, limit: Self.pageMax, store: store) }
        }
    }

    /// The cursor after which the changes of a span of time begin.
    ///
    /// - Parameter age: counted in whole seconds; zero for changes that are still to come.
    public func changeCursor(since age: Duration = .zero) async throws(QueueError) -> ChangeCursor {
        try await inspect { try $0.changeCursor(secondsAgo: age == .zero ? nil : age.wholeSeconds) }
    }
}
