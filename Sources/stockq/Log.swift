import CommandLineKit
import Foundation
import StockFormats
import StockModel
import StockQueue
import StockQueuePostgres

/// Structured log lines on standard error: a time, a level, an event, and fields as `name=value`.
struct Log: Sendable {
    enum Level: String, Sendable, CaseIterable, Comparable {
        case debug, info, warn, error

        private var severity: Int {
            switch self {
            case .debug: 0
            case .info: 1
            case .warn: 2
            case .error: 3
            }
        }

        static func < (first: Level, second: Level) -> Bool { first.severity < second.severity }
    }

    var minimumLevel = Level.info

    func write(_ level: Level, _ event: String, _ fields: [(String, any CustomStringConvertible)] = []) {
        if level < minimumLevel { return }
        let time = Timestamp(Date())
        let texts = fields.map { " \($0.0)=\(Self.quoted($0.1.description))" }
        Terminal.note("time=\(time) level=\(level) event=\(event)" + texts.joined())
    }

    /// A value with blanks, quotes or invisible characters is written as a JSON string, so that an event stays on one
    /// line.
    private static func quoted(_ value: String) -> String {
        let isPlain =
            !value.isEmpty
            && value.unicodeScalars.allSatisfy {
                $0.value > 0x20 && $0 != "\"" && $0 != "=" && $0 != "\\" && !VisibleText.isHidden($0)
            }
        return isPlain ? value : JSONWriter.quoted(value)
    }

    /// Writes an event of a worker process.
    func write(_ event: WorkEvent) {
        switch event {
        case .started(let event): write(.info, "started", [("workers", event.workers)])
        case .connected(let event):
            write(.debug, "connected", [("service", event.service), ("server", event.serverVersion)])
        case .disconnected(let event):
            write(
                .warn, "disconnected",
                [("service", event.service), ("error", event.error), ("retry_in_ms", event.retryIn.milliseconds)])
        case .batchHalved(let event):
            write(
                .warn, "batch_halved",
                [("worker", event.worker), ("lane", event.lane), ("jobs", event.jobs), ("error", event.error)])
        case .attemptFailed(let event):
            write(
                event.isFinal ? .error : .warn, event.isFinal ? "job_failed" : "job_retried_later",
                [("worker", event.worker), ("lane", event.lane), ("job", event.jobID), ("error", event.error)])
        case .batchFailed(let event):
            write(
                .error, "batch_failed",
                [
                    ("worker", event.worker), ("lane", event.lane), ("error", event.error),
                    ("retry_in_ms", event.retryIn.milliseconds),
                ])
        case .batch(let event): write(.debug, "batch", Self.fields(of: event))
        case .promoted(let event): write(.debug, "promoted", [("jobs", event.jobs)])
        case .partitionsAdded(let event): write(.info, "partitions_added", [("count", event.count)])
        case .partitionDropped(let event): write(.info, "partition_dropped", [("name", event.name)])
        case .maintenanceFailed(let error): write(.warn, "maintenance_failed", [("error", error)])
        case .stalledSessionsTerminated(let event):
            write(.warn, "stalled_sessions_terminated", [("count", event.count)])
        case .transactionOpenLong(let event): write(.warn, "transaction_open_long", Self.fields(of: event))
        case .deliveriesEnded(let event):
            write(
                event.failed > 0 ? .warn : .debug, "deliveries",
                [("delivered", event.delivered), ("failed", event.failed)]
                    + (event.error.map { [("error", $0)] } ?? []))
        case .subscriptionDisabled(let event):
            write(.error, "subscription_disabled", [("name", event.name), ("reason", event.reason)])
        case .ledgerCheckFailed(let error): write(.warn, "ledger_check_failed", [("error", error)])
        case .integrityViolation(let event):
            write(.error, "integrity_violation", [("violation", event.description)])
        case .stopping: write(.info, "stopping")
        case .stopped: write(.info, "stopped")
        }
    }

    private static func fields(
        of event: WorkEvent.TransactionOpenLong
    ) -> [(String, any CustomStringConvertible)] {
        var fields: [(String, any CustomStringConvertible)] = []
        if let processID = event.processID { fields.append(("pid", processID)) }
        if let name = event.preparedName { fields.append(("prepared", name)) }
        if let user = event.user { fields.append(("user", user)) }
        if let name = event.applicationName { fields.append(("application", name)) }
        return fields + [("seconds", event.seconds)]
    }

    private static func fields(of batch: WorkEvent.BatchCommitted) -> [(String, any CustomStringConvertible)] {
        let outcomes = Outcome.allCases.map { ($0.rawValue, batch.outcomes[$0]) }
        return [
            ("worker", batch.worker), ("lane", batch.lane),
            ("duration_ms", Int(batch.duration / .milliseconds(1))), ("claimed", batch.claimed),
            ("finished", batch.finished),
        ] + outcomes + [
            ("waiting", batch.waiting), ("skipped", batch.skipped), ("paused", batch.paused),
            ("promoted", batch.promoted), ("notifications", batch.notifications),
        ]
    }
}
