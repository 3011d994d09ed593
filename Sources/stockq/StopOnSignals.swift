import Dispatch
import Foundation
import StockQueue
import StockQueueLocking

/// The first SIGTERM or SIGINT lets a pool finish its batches; a second one, or too long a wait, rolls them back.
final class StopOnSignals: Sendable {
    private struct State {
        var pool: WorkerPool?
        var signals = 0
        var wasAborted = false
    }

    private let state = Mutex(State())
    private let timeout: Duration

    /// - Parameter timeout: how long a graceful stop may take.
    init(timeout: Duration) {
        self.timeout = timeout
        Signals.handle { [self] in receive() }
    }

    var wasAborted: Bool { state.withLock { $0.wasAborted } }

    /// From here on signals stop this pool. Before, no batch has begun, and a signal ends the process.
    func stop(_ pool: WorkerPool) { state.withLock { $0.pool = pool } }

    private func receive() {
        let (pool, number) = state.withLock { state in
            state.signals += 1
            return (state.pool, state.signals)
        }
        guard let pool else { exit(0) }
        if number > 1 { return abort(pool) }
        pool.finish()
        // A tenth of the time remains for the rollback.
        DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(timeout.milliseconds * 9 / 10)) { [self] in
            abort(pool)
        }
    }

    private func abort(_ pool: WorkerPool) {
        state.withLock { $0.wasAborted = true }
        pool.abort()
    }
}
