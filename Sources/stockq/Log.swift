import CommandLineKit
import Foundation
import StockFormats
import StockModel
import StockQueue
import StockQueueLocking
import StockQueuePostgres

/// Structured log lines on standard error: a time, a level, an event, and fields.
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

    enum Format: String, Sendable, CaseIterable {
        /// `name=value`, one after the other.
        case logfmt
        /// One JSON object a line.
        case json
    }

    typealias Fields = [(String, any CustomStringConvertible)]

    var minimumLevel = Level.info
    var format = Format.logfmt
    private let disconnections = DisconnectionLog()

    init(minimumLevel: Level, format: Format = .logfmt) {
        self.minimumLevel = minimumLevel
        self.format = format
    }

    func write(_ level: Level, _ event: String, _ fields: Fields = []) {
        if level < minimumLevel { return }
        Terminal.note(line(level, event, fields, at: Timestamp(Date())))
    }

    func line(_ level: Level, _ event: String, _ fields: Fields, at time: Timestamp) -> String {
        switch format {
        case .logfmt:
            let texts = fields.map { " \($0.0)=\(Self.quoted($0.1.description))" }
            return "time=\(time) level=\(level) event=\(event)" + texts.joined()
        case .json:
            let fixed: [(key: String, value: JSON)] = [
                ("time", .string(time.description)), ("level", .string(level.rawValue)), ("event", .string(event)),
            ]
            return JSON.object(fixed + fields.map { ($0.0, Self.json($0.1)) }).text
        }
    }

    /// Numbers stay numbers.
    static func json(_ value: any CustomStringConvertible) -> JSON {
        switch value {
        case let number as any FixedWidthInteger: .integer(Int64(clamping: number))
        case let number as Double: .number(number)
        case let flag as Bool: .bool(flag)
        default: .string(value.description)
        }
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

    /// Writes that a service lost its connection: at once, and while it goes on every five seconds.
    func writeDisconnected(_ service: String, _ error: PostgresError, retryMs: Int) {
        guard let left = disconnections.admit(service) else { return }
        let more: Fields = left > 0 ? [("not_logged", left)] : []
        write(.warn, "disconnected", [("service", service), ("error", error), ("retry_in_ms", retryMs)] + more)
    }

    /// Writes an event of a worker process.
    func write(_ event: WorkEvent) {
        switch event {
        case .started(let event): write(.info, "started", [("workers", event.workers)])
        case .connected(let event):
            write(.debug, "connected", [("service", event.service), ("server", event.serverVersion)])
        case .disconnected(let event):
            writeDisconnected(event.service, event.error, retryMs: event.retryIn.milliseconds)
        case .batchHalved(let event):
            write(
                .warn, "batch_halved",
                [("worker", event.worker), ("lane", event.lane), ("jobs", event.jobs)]
                    + Self.fields(of: event.subject) + [("error", event.error)])
        case .attemptFailed(let event):
            write(
                event.isFinal ? .error : .warn, event.isFinal ? "job_failed" : "job_retried_later",
                [("worker", event.worker), ("lane", event.lane), ("job", event.jobID)]
                    + Self.fields(of: event.subject) + [("error", event.error)])
        case .batchFailed(let event):
            write(
                .error, "batch_failed",
                [("worker", event.worker), ("lane", event.lane)] + Self.fields(of: event.subject)
                    + [("error", event.error), ("retry_in_ms", event.retryIn.milliseconds)])
        case .batch(let event): write(.debug, "batch", Self.fields(of: event))
        case .promoted(let event): write(.debug, "promoted", [("jobs", event.jobs)])
        case .partitionsAdded(let event): write(.info, "partitions_added", [("count", event.count)])
        case .partitionDropped(let event):
            write(
                .info, event.isDetached ? "partition_detached" : "partition_dropped",
                [("name", event.name)] + (event.file.map { [("file", $0)] } ?? []))
        case .exportFailed(let event): write(.error, "export_failed", [("text", event.problem)])
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
            write(
                .error, "integrity_violation",
                Self.fields(of: event.item) + [("violation", event.description)])
        case .stopping: write(.info, "stopping")
        case .stopped: write(.info, "stopped")
        }
    }

    private static func fields(of item: ItemKey) -> Fields {
        [("store", item.storeID), ("item", item.itemID), ("location", item.locationID)]
    }

    /// The store and the item, where all jobs have the same.
    private static func fields(of subject: WorkEvent.Subject) -> Fields {
        if let item = subject.item { return fields(of: item) }
        switch subject.storeIDs.count {
        case 0: return []
        case 1: return [("store", subject.storeIDs[0])]
        default: return [("stores", subject.storeIDs.joined(separator: " "))]
        }
    }

    private static func fields(of event: WorkEvent.TransactionOpenLong) -> Fields {
        var fields: Fields = []
        if let processID = event.processID { fields.append(("pid", processID)) }
        if let name = event.preparedName { fields.append(("prepared", name)) }
        if let user = event.user { fields.append(("user", user)) }
        if let name = event.applicationName { fields.append(("application", name)) }
        return fields + [("seconds", event.seconds)]
    }

    private static func fields(of batch: WorkEvent.BatchCommitted) -> Fields {
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

/// Keeps a database that is away from filling the log: of each service one line at once, and then one in five seconds.
package final class DisconnectionLog: Sendable {
    private struct Entry: Sendable {
        var next: Deadline
        var left = 0
    }

    private let pauseMs: Int
    private let entries = Mutex<[String: Entry]>([:])

    package init(pauseMs: Int = 5_000) { self.pauseMs = pauseMs }

    /// - Returns: how many lines of the service were left out since the last one; nil if this one is to be left out.
    package func admit(_ service: String) -> Int? {
        entries.withLock { entries in
            if let entry = entries[service], !entry.next.hasPassed {
                entries[service]?.left += 1
                return nil
            }
            let left = entries[service]?.left ?? 0
            entries[service] = Entry(next: .after(milliseconds: pauseMs))
            return left
        }
    }
}
