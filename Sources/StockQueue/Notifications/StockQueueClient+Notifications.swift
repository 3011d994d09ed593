import StockModel

extension StockQueueClient {
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
    /// - Parameter pollInterval: how long to wait before the next poll when there is nothing new.
    public func notifications(
        after cursor: NotificationCursor, pollInterval: Duration = .milliseconds(250)
    ) -> NotificationSequence {
        NotificationSequence(client: self, cursor: cursor, pollInterval: pollInterval)
    }

    /// The cursor after which the notifications of a span of time begin.
    ///
    /// - Parameter age: counted in whole seconds; zero for notifications that are still to come.
    public func notificationCursor(since age: Duration = .zero) async throws(QueueError) -> NotificationCursor {
        try await inspect { try $0.notificationCursor(secondsAgo: age.wholeSeconds) }
    }

    package func notificationPage(after cursor: NotificationCursor) async throws(QueueError) -> [StockNotification] {
        try await inspect { try $0.notifications(after: cursor, limit: NotificationSequence.pageMax).map(\.value) }
    }
}
