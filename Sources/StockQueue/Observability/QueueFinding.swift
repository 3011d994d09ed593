import Foundation
import StockFormats

/// What an administrator has to know at once, with what to do about it.
package struct QueueFinding: Sendable, Hashable {
    package enum Severity: String, Sendable {
        /// The queue does not work as it should.
        case bad
        /// It works, and something needs attention.
        case warning
        /// An administrator did this on purpose, or a number is not known.
        case note
    }

    package let severity: Severity
    package let text: String

    func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.key("severity")
            writer.string(severity.rawValue)
            writer.key("text")
            writer.string(text)
        }
    }
}

extension QueueSnapshot {
    /// What is wrong, the worst first; empty where all is well.
    package var findings: [QueueFinding] {
        var bad: [String] = []
        var warnings: [String] = []
        var notes: [String] = []
        let ready = depth.ready
        if server.workers == 0 {
            let text =
                "No worker is connected to this database. Start stockq run; if it ends at once, its log says why."
            if ready > 0 {
                bad.append("\(Self.count(ready, "job is", "jobs are")) ready. \(text)")
            } else {
                warnings.append(text)
            }
        }
        if let since = depth.oldestReadyAt, at.timeIntervalSince(since) > Self.oldSeconds {
            let text = "The oldest ready job has waited for \(Self.span(at.timeIntervalSince(since)))."
            bad.append(
                server.workers > 0
                    ? "\(text) See the stores by backlog, and whether workers wait for a lock; stockq doctor names the store."
                    : text)
        }
        if server.partitionJobsLeft < Self.partitionJobsMin {
            bad.append(
                "The results have partitions for \(max(0, server.partitionJobsLeft)) more jobs. A worker adds partitions;"
                    + " its log has event=maintenance_failed with the reason.")
        }
        if flow.failed > 0 {
            warnings.append(
                "\(Self.count(flow.failed, "job", "jobs")) failed within a day and were not retried; stockq jobs list --state failed has the errors."
            )
        }
        if server.deadDeliveries > 0 {
            warnings.append(
                "\(Self.count(server.deadDeliveries, "delivery was", "deliveries were")) given up; stockq deliveries list has the receivers' errors."
            )
        }
        if let began = server.oldestTransactionAt, at.timeIntervalSince(began) > Self.transactionSeconds {
            warnings.append(
                "A transaction has been open for \(Self.span(at.timeIntervalSince(began))) and holds vacuum back;"
                    + " stockq doctor names it.")
        }
        if depth.retrying > 0 {
            warnings.append(
                "\(Self.count(depth.retrying, "job is", "jobs are")) queued again after an error of the database.")
        }
        if server.pausedStores > 0 { notes.append("Paused stores: \(server.pausedStores).") }
        if server.pausedLanes > 0 { notes.append("Paused lanes: \(server.pausedLanes).") }
        if !server.seesAllTransactions {
            notes.append("This role sees only its own transactions and sessions: GRANT pg_read_all_stats to it.")
        }
        return bad.map { QueueFinding(severity: .bad, text: $0) }
            + warnings.map { QueueFinding(severity: .warning, text: $0) }
            + notes.map { QueueFinding(severity: .note, text: $0) }
    }

    /// A ready job that waits longer than this is too old.
    private static let oldSeconds: TimeInterval = 60
    private static let transactionSeconds: TimeInterval = 900
    private static let partitionJobsMin: Int64 = 1_000

    private static func count(_ number: Int64, _ one: String, _ more: String) -> String {
        number == 1 ? "1 \(one)" : "\(number) \(more)"
    }

    /// `40 s`, `12 min`, `3 h`, `5 d`
    private static func span(_ seconds: TimeInterval) -> String {
        let seconds = Int(seconds)
        return switch seconds {
        case ..<120: "\(seconds) s"
        case ..<7_200: "\(seconds / 60) min"
        case ..<172_800: "\(seconds / 3_600) h"
        default: "\(seconds / 86_400) d"
        }
    }
}
