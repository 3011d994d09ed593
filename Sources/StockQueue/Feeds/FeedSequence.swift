import StockModel
import StockQueueLocking

/// The rows of a feed, for one loop.
public struct FeedSequence<Element: Sendable, Cursor: Sendable>: AsyncSequence, Sendable {
    public typealias Failure = QueueError

    /// Reads the rows after a cursor, each with the cursor after it.
    typealias Read = @Sendable (Cursor) async throws(QueueError) -> [FeedRow<Element, Cursor>]

    private let read: Read
    private let position: Position
    private let pollInterval: Duration

    init(after cursor: Cursor, pollInterval: Duration, read: @escaping Read) {
        self.read = read
        self.pollInterval = pollInterval
        position = Position(cursor)
    }

    /// After the last row that the loop received. A loop that stores it after its work receives each row at least once,
    /// across restarts.
    public var cursor: Cursor { position.cursor.withLock { $0 } }

    public func makeAsyncIterator() -> Iterator {
        Iterator(read: read, position: position, pollInterval: pollInterval)
    }

    /// The cursor, shared by the sequence and its iterator.
    final class Position: Sendable {
        let cursor: Mutex<Cursor>

        init(_ cursor: Cursor) { self.cursor = Mutex(cursor) }
    }

    public struct Iterator: AsyncIteratorProtocol {
        fileprivate let read: Read
        fileprivate let position: Position
        fileprivate let pollInterval: Duration
        /// What was read and not returned yet, the next one last.
        private var page: [FeedRow<Element, Cursor>] = []

        fileprivate init(read: @escaping Read, position: Position, pollInterval: Duration) {
            self.read = read
            self.position = position
            self.pollInterval = pollInterval
        }

        /// The next row.
        ///
        /// Waits while the server cannot be reached, and goes on when it can.
        ///
        /// - Throws: `canceled` when the task is canceled, `stopped` when the client's `run()` has ended; an error of
        ///   the database that does not pass by itself, such as a missing privilege.
        public mutating func next(isolation: isolated (any Actor)?) async throws(QueueError) -> Element? {
            var backoff = Backoff(firstMs: 50, longestMs: 2_000)
            while page.isEmpty {
                var pause = pollInterval
                do throws(QueueError) {
                    page = try await read(position.cursor.withLock { $0 }).reversed()
                    backoff.reset()
                } catch {
                    guard case .database(let cause) = error, cause.isTransient else { throw error }
                    pause = .milliseconds(backoff.next())
                }
                if !page.isEmpty { break }
                // No event says when a row is committed, so the sequence polls. Cancellation ends the pause.
                do {
                    try await Task.sleep(for: pause)
                } catch {
                    throw .canceled
                }
            }
            let row = page.removeLast()
            position.cursor.withLock { $0 = row.cursor }
            return row.value
        }
    }
}

/// The notifications of a queue, for one loop.
public typealias NotificationSequence = FeedSequence<StockNotification, NotificationCursor>

/// The changes of stock of a queue, for one loop.
public typealias ChangeSequence = FeedSequence<StockChange, ChangeCursor>
