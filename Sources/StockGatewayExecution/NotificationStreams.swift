import HTTPServer
import StockGateway
import StockQueue
import StockQueueLocking
import StockQueuePostgres

/// Sends notifications to the clients that follow them. One thread with a connection of its own polls for all of them
/// with one statement, which checks their tokens each time.
final class NotificationStreams: Sendable {
    private struct State {
        var followers: [StreamFollower] = []
        var isStopped = false
    }

    private let connection: ConnectionSettings
    private let schema: QueueSchema
    private let settings: ExecutorSettings
    private let report: GatewayEventHandler
    private let state = Mutex(State())
    private let wakeUp = WakeUp()

    /// Notifications that one poll reads for one client.
    private static let pageMax = 100

    init(
        _ connection: ConnectionSettings, _ schema: QueueSchema, _ settings: ExecutorSettings,
        _ report: @escaping GatewayEventHandler
    ) {
        self.connection = connection
        self.schema = schema
        self.settings = settings
        self.report = report
    }

    /// The body of the thread, with its name.
    var service: (name: String, body: @Sendable () -> Void) { ("gateway notifications", { [self] in loop() }) }

    func stop() {
        state.withLock { $0.isStopped = true }
        wakeUp.signal()
    }

    /// Adds a client.
    func add(
        _ query: EventQuery, onDeparture: (@escaping @Sendable (Departure) -> Void) -> Void,
        open: @escaping @Sendable () -> BodyWriter?, fail: @escaping @Sendable (CallFailure) -> Void
    ) {
        let follower = StreamFollower(query, heartbeatMs: settings.heartbeatSeconds * 1_000, open: open, fail: fail)
        let isTaken = state.withLock { state in
            guard state.followers.count < settings.streamsMax, !state.isStopped else { return false }
            state.followers.append(follower)
            return true
        }
        guard isTaken else {
            return fail(.unavailable(retryAfterSeconds: StockCalls.retryAfterSeconds))
        }
        onDeparture { [weak follower] departure in
            switch departure {
            // A client that sends nothing more still reads.
            case .finishedSending: break
            case .shuttingDown, .disconnected: follower?.end()
            }
        }
        wakeUp.signal()
    }

    private func loop() {
        let session = Session("gateway notifications", connection, report)
        while true {
            let (followers, isStopped) = state.withLock { state in
                state.followers.removeAll { $0.isOver }
                return (state.followers, state.isStopped)
            }
            if isStopped {
                for follower in followers { follower.end() }
                return
            }
            if followers.isEmpty {
                wakeUp.wait(milliseconds: 1_000)
            } else if !serve(followers, session) {
                wakeUp.wait(milliseconds: settings.notificationPollMs)
            }
        }
    }

    /// - Returns: whether there is more to read at once.
    private func serve(_ followers: [StreamFollower], _ session: Session) -> Bool {
        do throws(PostgresError) {
            let pages = try ReadNotifications.run(
                followers.map { ($0.query.access, $0.cursor) }, limit: Self.pageMax, schema, session.open())
            var hasMore = false
            for (follower, page) in zip(followers, pages) {
                let isAllSent = follower.send(page)
                if case .success(let page) = page, isAllSent, page.events.count == Self.pageMax { hasMore = true }
            }
            return hasMore
        } catch {
            session.recover(from: error)
            if !error.isTransient { session.reportFailure(error) }
            for follower in followers { follower.databaseIsAway() }
            return false
        }
    }
}

/// A client that follows notifications.
final class StreamFollower: Sendable {
    private struct State {
        var cursor: String?
        var writer: BodyWriter?
        var beatAt: Deadline
        var isOver = false
    }

    let query: EventQuery
    private let heartbeatMs: Int
    private let open: @Sendable () -> BodyWriter?
    private let fail: @Sendable (CallFailure) -> Void
    private let state: Mutex<State>

    init(
        _ query: EventQuery, heartbeatMs: Int, open: @escaping @Sendable () -> BodyWriter?,
        fail: @escaping @Sendable (CallFailure) -> Void
    ) {
        self.query = query
        self.heartbeatMs = heartbeatMs
        self.open = open
        self.fail = fail
        state = Mutex(State(cursor: query.cursor, beatAt: .after(milliseconds: heartbeatMs)))
    }

    /// Behind the last notification that was sent.
    var cursor: String? { state.withLock { $0.cursor } }

    var isOver: Bool { state.withLock { $0.isOver } }

    /// Sends what was read.
    ///
    /// - Returns: false if the client reads too slowly, or is gone; what was not sent is read again.
    func send(_ page: Result<ReadNotifications.Page, CallFailure>) -> Bool {
        switch page {
        case .failure(let failure):
            if begin() == nil { fail(failure) }
            end()
            return false
        case .success(let page):
            guard let writer = begin() ?? opened(at: page) else { return false }
            for event in page.events {
                guard write(NotificationEvents.event(event.json, cursor: event.cursor), writer, event.cursor) else {
                    return false
                }
            }
            let isQuiet = state.withLock { $0.beatAt.hasPassed }
            if isQuiet { return write(NotificationEvents.position(page.cursor), writer, page.cursor) }
            state.withLock { $0.cursor = page.cursor }
            return true
        }
    }

    /// Ends the stream, or the request that has none yet.
    func end() {
        let (wasOver, writer): (Bool, BodyWriter?) = state.withLock { state in
            defer {
                state.isOver = true
                state.writer = nil
            }
            return (state.isOver, state.writer)
        }
        if let writer { return writer.finish() }
        if !wasOver { fail(.unavailable(retryAfterSeconds: StockCalls.retryAfterSeconds)) }
    }

    /// A stream stays open; a request without one gets its answer.
    func databaseIsAway() {
        guard let writer = begin() else { return end() }
        if state.withLock({ $0.beatAt.hasPassed }) { _ = write(NotificationEvents.heartbeat, writer, nil) }
    }

    /// The writer of a stream that has begun.
    private func begin() -> BodyWriter? { state.withLock { $0.writer } }

    private func opened(at page: ReadNotifications.Page) -> BodyWriter? {
        guard !isOver, let writer = open() else {
            state.withLock { $0.isOver = true }
            return nil
        }
        let start = state.withLock { state in
            state.writer = writer
            return state.cursor ?? page.cursor
        }
        return write(NotificationEvents.opening(cursor: start), writer, start) ? writer : nil
    }

    private func write(_ bytes: [UInt8], _ writer: BodyWriter, _ cursor: String?) -> Bool {
        switch writer.write(bytes) {
        case .accepted:
            state.withLock { state in
                state.cursor = cursor ?? state.cursor
                state.beatAt = .after(milliseconds: heartbeatMs)
            }
            return true
        case .full: return false
        case .disconnected:
            end()
            return false
        }
    }
}
