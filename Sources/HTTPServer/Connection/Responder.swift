import StockQueueLocking

/// The answer of one request, to be given once and from any thread. A request whose responder is released without an answer
/// gets a 500.
package final class Responder: Sendable {
    private let exchange: Exchange

    init(_ exchange: Exchange) { self.exchange = exchange }

    deinit { exchange.post(.dropped) }

    /// Answers the request.
    ///
    /// - Returns: false if it has an answer already; this one is ignored then.
    @discardableResult
    package func answer(_ response: Response) -> Bool { exchange.post(.complete(response)) }

    /// Begins an answer whose body is written piece by piece, without a length.
    ///
    /// - Returns: nil if the request has an answer already.
    package func stream(_ response: Response) -> BodyWriter? {
        let buffer = StreamBuffer(bytesMax: exchange.streamBytesMax)
        return exchange.post(.stream(response, buffer)) ? BodyWriter(exchange, buffer) : nil
    }

    /// Calls `body` when the client goes away, or the server begins to shut down, before the answer is complete; at once if
    /// that has happened. Each call replaces the one before. It runs on a thread of the server and must not block.
    package func onDeparture(_ body: @escaping @Sendable (Departure) -> Void) { exchange.onDeparture(body) }
}

/// One request under way, shared by its connection and its responder.
final class Exchange: Sendable {
    enum Answer: Sendable {
        case complete(Response)
        case stream(Response, StreamBuffer)
        /// Bytes of the stream, or its end, wait to be sent.
        case streamReady
        case dropped
    }

    private struct State {
        var isAnswered = false
        var isOver = false
        var departure: Departure?
        var onDeparture: (@Sendable (Departure) -> Void)?
    }

    let connection: ConnectionID
    let sequence: UInt64
    let head: RequestHead
    let streamBytesMax: Int
    private let mailbox: Mailbox
    private let state = Mutex(State())

    init(_ connection: ConnectionID, _ sequence: UInt64, _ head: RequestHead, _ mailbox: Mailbox, streamBytesMax: Int) {
        self.connection = connection
        self.sequence = sequence
        self.head = head
        self.mailbox = mailbox
        self.streamBytesMax = streamBytesMax
    }

    /// - Returns: whether this is the first answer.
    @discardableResult
    func post(_ answer: Answer) -> Bool {
        let isFirst = state.withLock { state in
            if state.isAnswered { return false }
            state.isAnswered = true
            return true
        }
        if isFirst, !mailbox.post(.answer(self, answer)), case .stream(_, let buffer) = answer { buffer.disconnect() }
        return isFirst
    }

    func streamIsReady() { mailbox.post(.answer(self, .streamReady)) }

    func onDeparture(_ body: @escaping @Sendable (Departure) -> Void) {
        // The closure that is replaced is released outside the lock: it may hold the last reference to a responder, whose
        // end takes the lock.
        let (departure, _): (Departure?, (@Sendable (Departure) -> Void)?) = state.withLock { state in
            if state.isOver { return (nil, nil) }
            let replaced = state.onDeparture
            state.onDeparture = body
            return (state.departure, replaced)
        }
        if let departure { body(departure) }
    }

    func depart(_ departure: Departure) {
        let body: (@Sendable (Departure) -> Void)? = state.withLock { state in
            if state.isOver { return nil }
            state.departure = departure
            return state.onDeparture
        }
        body?(departure)
    }

    /// The answer is complete: no departure is reported any more.
    func end() {
        // Released outside the lock, as in `onDeparture`.
        _ = state.withLock { state in
            let replaced = state.onDeparture
            state.isOver = true
            state.onDeparture = nil
            return replaced
        }
    }
}
