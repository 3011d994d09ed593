import HTTPServer
import StockQueueLocking
import StockQueuePostgres

/// Slows down the answers to wrong tokens, by the address of the client. Right tokens are not slowed down: behind a
/// proxy all clients may have one address.
final class WrongTokenDelay: Sendable {
    private struct State {
        var failures: [PeerAddress: Int] = [:]
        var until = Deadline.after(milliseconds: windowMs)
    }

    private static let windowMs = 60_000
    private static let freeFailures = 5
    private static let stepMs = 100
    private static let longestMs = 3_000
    private static let addressesMax = 10_000

    private let state = Mutex(State())

    /// Counts a wrong token.
    ///
    /// - Returns: how long its answer is held back, ms.
    func failed(_ peer: PeerAddress) -> Int {
        let failures: Int = state.withLock { state in
            if state.until.hasPassed || state.failures.count >= Self.addressesMax { state = State() }
            state.failures[peer, default: 0] += 1
            return state.failures[peer, default: 0]
        }
        return min(max(0, failures - Self.freeFailures) * Self.stepMs, Self.longestMs)
    }
}
