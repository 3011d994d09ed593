import Foundation
import StockQueue
import StockQueueLocking

/// Adds up what workers tell, for the progress line and the summary.
final class RunMeter: Sendable {
    struct Totals: Sendable {
        var finished = 0
        var applied = 0
        var rejected = 0
        var notifications = 0
        /// What the online checker found.
        var violations = 0
        var batches = 0
        /// When the first and the last batch ended, in nanoseconds of uptime.
        var firstAt: UInt64 = 0
        var lastAt: UInt64 = 0

        var seconds: Double { Double(lastAt &- firstAt) / 1e9 }
    }

    private let state = Mutex(Totals())
    private let startedAt = DispatchTime.now().uptimeNanoseconds

    var totals: Totals { state.withLock { $0 } }

    /// Seconds since the meter was made.
    var elapsed: Double { Double(DispatchTime.now().uptimeNanoseconds - startedAt) / 1e9 }

    func take(_ event: WorkEvent) {
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

    /// One line for people.
    var line: String {
        let totals = totals
        let rate = totals.seconds > 0 ? Int(Double(totals.finished) / totals.seconds) : 0
        return
            "\(grouped(totals.finished)) jobs, \(grouped(totals.applied)) applied, \(grouped(totals.rejected)) rejected, "
            + "\(grouped(totals.notifications)) notifications, \(grouped(rate)) jobs/s"
    }
}
