import StockModel
import StockQueueLocking

/// The notifications of a queue, for one loop.
public struct NotificationSequence: AsyncSequence, Sendable {
    public typealias Element = StockNotification
    public typealias Failure = QueueError

    private let client: StockQueueClient
    private let position: Position
    private let pollInterval: Duration

    /// Notifications read at once.
    static let pageMax = 1_000

    init(client: StockQueueClient, cursor: NotificationCursor, pollInterval: Duration) {
        self.client = client
        self.pollInterval = pollInterval
        position = Position(cursor)
    }

    /// After the last notification that the loop received. A loop that stores it after its work receives each
    /// notification at least once, across restarts.
    public var cursor: NotificationCursor { position.cursor.withLock { $0 } }

    public func makeAsyncIterator() -> Iterator {
        Iterator(client: client, position: position, pollInterval: pollInterval)
    }

    /// The cursor, shared by the sequence and its iterator.
    final class Position: Sendable {
        let cursor: Mutex<NotificationCursor>

        init(_ cursor: NotificationCursor) { self.cursor = Mutex(cursor) }
    }

    public struct Iterator: AsyncIteratorProtocol {
        fileprivate let client: StockQueueClient
        fileprivate let position: Position
        fileprivate let pollInterval: Duration
        /// What was read and not returned yet, the next one last.
        private var page: [StockNotification] = []

        fileprivate init(client: StockQueueClient, position: Position, pollInterval: Duration) {
            self.client = client
            self.position = position
            self.pollInterval = pollInterval
        }

        /// The next notification.
        ///
        /// Waits while the server cannot be reached, and goes on when it can.
        ///
        /// - Throws: `canceled` when the task is canceled, `stopped` when the client's `run()` has ended; an error of
        ///   the database that does not pass by itself, such as a missing privilege.
        public mutating func next(isolation: isolated (any Actor)?) async throws(QueueError) -> StockNotification? {
            var backoff = Backoff(firstMs: 50, longestMs: 2_000)
            while page.isEmpty {
                var pause = pollInterval
                do throws(QueueError) {
                    page = try await client.notificationPage(after: position.cursor.withLock { $0 }).reversed()
                    position.cursor.withLock { $0.dropOverdueIDs() }
                    backoff.reset()
                } catch {
                    guard case .database(let cause) = error, cause.isTransient else { throw error }
                    pause = .milliseconds(backoff.next())
                }
                if !page.isEmpty { break }
                // No event says when a notification is committed, so the sequence polls. Cancellation ends the pause.
                do {
                    try await Task.sleep(for: pause)
                } catch {
                    throw .canceled
                }
            }
            let notification = page.removeLast()
            position.cursor.withLock { $0.advance(past: notification.id) }
            return notification
        }
    }
}
