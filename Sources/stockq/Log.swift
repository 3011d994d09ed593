import Foundation
import StockQueue
import StockQueuePostgres

/// Structured log lines on standard error: a time, a level, an event, and fields as `name=value`.
struct Log: Sendable {
    enum Level: Int, Sendable, Comparable {
        case debug, info, warn, error

        init?(_ name: String) {
            switch name {
            case "debug": self = .debug
            case "info": self = .info
            case "warn": self = .warn
            case "error": self = .error
            default: return nil
            }
        }

        static func < (left: Level, right: Level) -> Bool { left.rawValue < right.rawValue }
    }

    var least = Level.info

    func write(_ level: Level, _ event: String, _ fields: [(String, any CustomStringConvertible)] = []) {
        if level < least { return }
        let time = Timestamp(Date())
        let texts = fields.map { " \($0.0)=\(Self.quoted($0.1.description))" }
        Terminal.note("time=\(time) level=\(level) event=\(event)" + texts.joined())
    }

    /// A value with blanks, quotes or control characters is written as a JSON string, so that a line stays a line.
    private static func quoted(_ value: String) -> String {
        let isPlain =
            !value.isEmpty
            && value.unicodeScalars.allSatisfy {
                $0.value > 0x20 && $0 != "\"" && $0 != "=" && $0 != "\\" && $0.properties.generalCategory != .control
            }
        return isPlain ? value : quotedJSON(value)
    }

    /// Writes what a worker process tells.
    func write(_ event: WorkEvent) {
        switch event {
        case .started(let workers): write(.info, "started", [("workers", workers)])
        case .connected(let worker, let server): write(.debug, "connected", [("worker", worker), ("server", server)])
        case .disconnected(let worker, let error, let pause):
            write(.warn, "disconnected", [("worker", worker), ("error", error), ("retry_in_ms", pause)])
        case .batchHalved(let worker, let lane, let jobs, let error):
            write(.warn, "batch_halved", [("worker", worker), ("lane", lane), ("jobs", jobs), ("error", error)])
        case .attemptFailed(let worker, let lane, let job, let gaveUp, let error):
            write(
                gaveUp ? .error : .warn, gaveUp ? "job_failed" : "job_retried_later",
                [("worker", worker), ("lane", lane), ("job", job), ("error", error)])
        case .batchFailed(let worker, let lane, let error, let pause):
            write(
                .error, "batch_failed", [("worker", worker), ("lane", lane), ("error", error), ("retry_in_ms", pause)])
        case .batch(
            let worker, let lane, let claimed, let finished, let applied, let rejected, let waiting, let left,
            let notifications):
            write(
                .debug, "batch",
                [
                    ("worker", worker), ("lane", lane), ("claimed", claimed), ("finished", finished),
                    ("applied", applied),
                    ("rejected", rejected), ("waiting", waiting), ("left", left), ("notifications", notifications),
                ])
        case .promoted(let jobs): write(.debug, "promoted", [("jobs", jobs)])
        case .partitionsAdded(let count): write(.info, "partitions_added", [("count", count)])
        case .partitionDropped(let name): write(.info, "partition_dropped", [("name", name)])
        case .maintenanceFailed(let error): write(.warn, "maintenance_failed", [("error", error)])
        case .stalledSessionsTerminated(let count): write(.warn, "stalled_sessions_terminated", [("count", count)])
        case .checkFailed(let error): write(.warn, "check_failed", [("error", error)])
        case .violation(let text): write(.error, "integrity_violation", [("violation", text)])
        case .stopping: write(.info, "stopping")
        case .stopped: write(.info, "stopped")
        }
    }
}

/// A text as a JSON string without control characters.
func quotedJSON(_ text: String) -> String {
    guard let data = try? JSONEncoder().encode(text) else { return "\"?\"" }  // a String always encodes
    // The encoder leaves DEL and the C1 controls, of which U+009B begins an escape sequence, as they are.
    return String(decoding: data, as: UTF8.self).unicodeScalars.map {
        (0x7F...0x9F).contains($0.value) ? "\\u00" + String($0.value, radix: 16) : String($0)
    }.joined()
}
