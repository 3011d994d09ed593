import CLinux
import Glibc
import StockQueueLocking

/// What other threads have for a loop. An eventfd ends the sleep of a loop in `epoll_wait`; a loop that is busy takes the
/// messages before it sleeps, so most messages cost no system call.
final class Mailbox: Sendable {
    enum Message: Sendable {
        case answer(Exchange, Exchange.Answer)
        case shutDown(graceMs: Int)
    }

    private struct State {
        var messages: [Message] = []
        var isLoopAsleep = false
        var isClosed = false
    }

    private let state = Mutex(State())
    let descriptor: Int32

    init() throws {
        descriptor = eventfd(0, stockq_efd_flags)
        guard descriptor >= 0 else { throw SocketError("eventfd", errno) }
    }

    deinit { close(descriptor) }

    /// - Returns: false if the loop has ended.
    @discardableResult
    func post(_ message: Message) -> Bool {
        let (isOpen, mustWake) = state.withLock { state in
            if state.isClosed { return (false, false) }
            state.messages.append(message)
            defer { state.isLoopAsleep = false }
            return (true, state.isLoopAsleep)
        }
        if mustWake {
            var one: UInt64 = 1
            // It fails only when the counter is full, and then the loop wakes anyway.
            _ = write(descriptor, &one, 8)
        }
        return isOpen
    }

    /// - Returns: whether the loop may sleep: there are no messages.
    func fallAsleep() -> Bool {
        state.withLock { state in
            state.isLoopAsleep = state.messages.isEmpty
            return state.isLoopAsleep
        }
    }

    func takeAll() -> [Message] {
        state.withLock { state in
            state.isLoopAsleep = false
            let messages = state.messages
            state.messages = []
            return messages
        }
    }

    /// Takes no message any more: the loop has ended.
    ///
    /// - Returns: the messages that it did not handle.
    func seal() -> [Message] {
        state.withLock { state in
            state.isClosed = true
            let messages = state.messages
            state.messages = []
            return messages
        }
    }

    /// Makes the descriptor wait for the next message.
    func reset() {
        var count: UInt64 = 0
        _ = read(descriptor, &count, 8)
    }
}

/// Names a connection of a loop. The generation differs from those of earlier ones in the same slot.
struct ConnectionID: Sendable, Hashable {
    var slot: UInt32
    var generation: UInt32

    var bits: UInt64 { UInt64(generation) << 32 | UInt64(slot) }

    init(slot: Int, generation: UInt32) { (self.slot, self.generation) = (UInt32(slot), generation) }

    init(bits: UInt64) {
        slot = UInt32(truncatingIfNeeded: bits)
        generation = UInt32(truncatingIfNeeded: bits >> 32)
    }
}

/// A system call that failed where no client is to blame.
package struct SocketError: Error, Sendable, CustomStringConvertible {
    package let call: String
    package let code: Int32

    init(_ call: String, _ code: Int32) { (self.call, self.code) = (call, code) }

    package var description: String { "\(call): \(String(cString: strerror(code)))" }
}
