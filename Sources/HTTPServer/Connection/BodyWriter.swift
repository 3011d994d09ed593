import StockQueueLocking

/// Writes the body of a streamed answer, from any thread, one at a time. A writer that is released before `finish` cuts the
/// connection, so that the client sees that something is missing.
package final class BodyWriter: Sendable {
    /// What became of a piece.
    package enum Outcome: Sendable, Equatable {
        case accepted
        /// The client reads too slowly and nothing was taken. `onWritable` reports when to try again.
        case full
        /// The client is gone. Further pieces are useless.
        case disconnected
    }

    private let exchange: Exchange
    private let buffer: StreamBuffer

    init(_ exchange: Exchange, _ buffer: StreamBuffer) {
        self.exchange = exchange
        self.buffer = buffer
    }

    deinit { if buffer.end(isComplete: false) { exchange.streamIsReady() } }

    /// Writes a piece. A piece is taken whole or not at all; an empty buffer takes a piece of any size.
    package func write(_ piece: [UInt8]) -> Outcome {
        let (outcome, isNews) = buffer.append(piece)
        if isNews { exchange.streamIsReady() }
        return outcome
    }

    /// Ends the body.
    package func finish() { if buffer.end(isComplete: true) { exchange.streamIsReady() } }

    /// Calls `body` once: when a piece can be written after `full`, or when the client is gone. At once if that is so now. It
    /// runs on a thread of the server and must not block.
    package func onWritable(_ body: @escaping @Sendable () -> Void) { if buffer.wait(body) { body() } }
}

/// The bytes between a writer and its connection: the writer adds, the connection takes what its client can read.
final class StreamBuffer: Sendable {
    struct Content {
        var bytes: [UInt8] = []
        /// Set by the end: whether all of the body is there.
        var isComplete: Bool?
    }

    private struct State {
        var content = Content()
        var isDisconnected = false
        /// The connection has been notified and has not taken the bytes yet.
        var isAnnounced = false
        var onWritable: (@Sendable () -> Void)?
    }

    private let bytesMax: Int
    private let state = Mutex(State())

    init(bytesMax: Int) { self.bytesMax = bytesMax }

    /// - Returns: also whether the connection must be notified.
    func append(_ piece: [UInt8]) -> (BodyWriter.Outcome, isNews: Bool) {
        state.withLock { state in
            if state.isDisconnected || state.content.isComplete != nil { return (.disconnected, false) }
            let count = state.content.bytes.count
            guard count == 0 || count + piece.count <= bytesMax else { return (.full, false) }
            state.content.bytes += piece
            defer { state.isAnnounced = true }
            return (.accepted, !state.isAnnounced)
        }
    }

    /// - Returns: whether the connection must be notified.
    func end(isComplete: Bool) -> Bool {
        state.withLock { state in
            guard state.content.isComplete == nil, !state.isDisconnected else { return false }
            state.content.isComplete = isComplete
            defer { state.isAnnounced = true }
            return !state.isAnnounced
        }
    }

    /// Whether there is something to take.
    var hasNews: Bool { state.withLock { $0.isAnnounced } }

    /// - Returns: whether the wait is over already.
    func wait(_ body: @escaping @Sendable () -> Void) -> Bool {
        state.withLock { state in
            if state.isDisconnected || state.content.bytes.isEmpty { return true }
            state.onWritable = body
            return false
        }
    }

    func take() -> Content {
        let (content, body): (Content, (@Sendable () -> Void)?) = state.withLock { state in
            let content = state.content
            state.content.bytes = []
            state.isAnnounced = false
            let body = state.onWritable
            state.onWritable = nil
            return (content, body)
        }
        body?()
        return content
    }

    func disconnect() {
        let body: (@Sendable () -> Void)? = state.withLock { state in
            state.isDisconnected = true
            state.content.bytes = []
            let body = state.onWritable
            state.onWritable = nil
            return body
        }
        body?()
    }
}
