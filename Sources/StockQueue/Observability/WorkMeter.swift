import Foundation
import StockQueueLocking

/// Adds up what workers report, for a progress line and a summary.
package final class WorkMeter: Sendable {
    package struct Totals: Sendable {
        package var finished = 0
        package var applied = 0
        package var rejected = 0
        package var notifications = 0
        /// Violations that the ledger checker found.
        package var violations = 0
        package var batches = 0
        /// When the meter was made and when the last batch ended, in nanoseconds of uptime.
        package var firstAt: UInt64 = 0
        package var lastAt: UInt64 = 0

        package var seconds: Double { Double(lastAt &- firstAt) / 1e9 }

        package var jobsPerSecond: Int { seconds > 0 ? Int(Double(finished) / seconds) : 0 }
    }

    private let state = Mutex(Totals())
    private let startedAt = DispatchTime.now().uptimeNanoseconds

    package init() {}

    package var totals: Totals { state.withLock { $0 } }

    package func record(_ event: WorkEvent) {
        if case .integrityViolation = event { state.withLock { $0.violations += 1 } }
        guard case .batch(let batch) = event else { return }
        let now = DispatchTime.now().uptimeNanoseconds
        state.withLock { totals in
            if totals.batches == 0 { totals.firstAt = startedAt }
            totals.lastAt = now
            totals.batches += 1
            totals.finished += batch.finished
            totals.applied += batch.outcomes[.applied]
            totals.rejected += batch.outcomes[.rejected]
            totals.notifications += batch.notifications
        }
    }
}
