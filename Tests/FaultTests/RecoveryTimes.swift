import StockQueueLocking
import StockQueuePostgres
import TestSupport

/// Measures how long no batch that changed stock was committed after a fault.
final class RecoveryTimes: Sendable {
    private struct State {
        /// Connections whose transaction has changed stock.
        var changed: Set<Int> = []
        var fault: (kind: String, since: Stopwatch)?
        var longest: [String: Int] = [:]
        var all: [Int] = []
    }

    private let state = Mutex(State())

    func faultBegins(_ kind: String) {
        state.withLock { $0.fault = (kind, Stopwatch()) }
    }

    func see(_ message: Proxy.Message) {
        guard message.isOfWorker else { return }
        if message.direction == .toServer {
            if message.isOf("B") && message.statement == "write_items" {
                state.withLock { _ = $0.changed.insert(message.connection) }
            }
        } else if message.isOf("C") && (message.tag == "COMMIT" || message.tag == "ROLLBACK") {
            state.withLock { state in
                let changed = state.changed.remove(message.connection) != nil
                guard changed, message.tag == "COMMIT", let fault = state.fault else { return }
                let took = fault.since.milliseconds
                state.all.append(took)
                state.longest[fault.kind] = max(took, state.longest[fault.kind] ?? 0)
                state.fault = nil
            }
        }
    }

    var summary: String {
        state.withLock { state in
            let sorted = state.all.sorted()
            guard let last = sorted.last else { return "never" }
            let kinds = state.longest.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
            return
                "median \(sorted[sorted.count / 2]) ms, p99 \(sorted[sorted.count * 99 / 100]) ms, longest \(last) ms (\(kinds))"
        }
    }
}
