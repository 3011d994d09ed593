import BuildInfo
import CommandLineKit
import Foundation
import Metrics
import StockQueue

extension MetricsRegistry {
    /// Adds the version, and what every process has (Prometheus, "Process metrics").
    func addProcess() {
        let startedAt = Date().timeIntervalSince1970
        onScrape { exposition in
            exposition.family(
                .gauge, "stockq_build_info", "The version of this program.", labels: ["version", "commit"],
                [([Version.number, Version.commit], 1)])
            exposition.family(
                .counter, "process_cpu_seconds", "Processor time of this process, user and system.",
                [([], ProcessUsage.cpuSeconds)])
            exposition.family(
                .gauge, "process_resident_memory_bytes", "Resident memory of this process.",
                [([], Double(ProcessUsage.memoryKiB("VmRSS", ofProcess: "self") << 10))])
            exposition.family(
                .gauge, "process_open_fds", "Open files of this process.", [([], Double(ProcessUsage.openFiles))])
            exposition.family(
                .gauge, "process_start_time_seconds", "When this process started, in seconds since 1970.",
                [([], startedAt)])
        }
    }

    /// Adds what the services of this process do.
    func addServices(_ statuses: @escaping @Sendable () -> [ServiceStatus]) {
        onScrape { exposition in
            var counts: [String: [String: Int]] = [:]
            for status in statuses() { counts[status.kind, default: [:]][status.activity.label, default: 0] += 1 }
            let values = counts.sorted { $0.key < $1.key }.flatMap { kind, states in
                ServiceStatus.Activity.labels.map { (labels: [kind, $0], value: Double(states[$0] ?? 0)) }
            }
            exposition.family(
                .gauge, "stockq_services", "Services of this process by what they do now.",
                labels: ["service", "state"], values)
        }
    }

    /// Adds the last reading of the queue. While there is none its families have no values.
    func addQueue(_ reading: @escaping @Sendable () -> QueueReading?) {
        onScrape { exposition in
            let reading = reading()
            func one(_ value: Double?) -> [(labels: [String], value: Double)] { value.map { [([], $0)] } ?? [] }
            func gauge(_ name: String, _ help: String, _ value: Double?) {
                exposition.family(.gauge, name, help, one(value))
            }
            let depth = reading?.depth
            let states = depth.map {
                [
                    ("ready", $0.ready), ("scheduled", $0.scheduled), ("waiting", $0.waiting),
                    ("retrying", $0.retrying), ("paused", $0.paused),
                ]
            }
            exposition.family(
                .gauge, "stockq_queue_jobs", "Queued jobs by state; above 100,000 an estimate.", labels: ["state"],
                (states ?? []).map { ([$0.0], Double($0.1)) })
            gauge(
                "stockq_queue_oldest_ready_timestamp_seconds",
                "Since when the oldest ready job could have been worked; no value while none is ready.",
                depth?.oldestReadyAt?.timeIntervalSince1970)
            let server = reading?.server
            gauge(
                "stockq_queue_workers", "Workers connected to the database, of all processes.",
                server.map { Double($0.workers) })
            gauge("stockq_queue_paused_lanes", "Lanes that are paused.", server.map { Double($0.pausedLanes) })
            gauge("stockq_queue_paused_stores", "Stores that are paused.", server.map { Double($0.pausedStores) })
            exposition.family(
                .gauge, "stockq_deliveries", "Deliveries by state; at most 100,000 are counted.", labels: ["state"],
                server.map {
                    [(["pending"], Double($0.pendingDeliveries)), (["dead"], Double($0.deadDeliveries))]
                } ?? [])
            gauge(
                "stockq_partition_jobs_left", "Job ids until a partition of the results is needed that does not exist.",
                server.map { Double($0.partitionJobsLeft) })
            gauge(
                "stockq_oldest_transaction_timestamp_seconds",
                "When the oldest transaction began that holds vacuum back; no value while none does.",
                server?.oldestTransactionAt?.timeIntervalSince1970)
            gauge(
                "stockq_sees_all_transactions",
                "1 if the role of this process sees the transactions of other roles, else 0.",
                server.map { $0.seesAllTransactions ? 1 : 0 })
            let tables = reading?.tables ?? []
            exposition.family(
                .gauge, "stockq_table_live_rows", "Live rows of a table, as the server estimates.", labels: ["table"],
                tables.map { ([$0.name], Double($0.live)) })
            exposition.family(
                .gauge, "stockq_table_dead_rows", "Dead rows of a table, as the server estimates.", labels: ["table"],
                tables.map { ([$0.name], Double($0.dead)) })
            gauge(
                "stockq_queue_read_timestamp_seconds",
                "When the queue was read; no value after an attempt that failed.",
                reading?.readAt.timeIntervalSince1970)
        }
    }
}

extension ServiceStatus {
    /// `worker` for all workers.
    fileprivate var kind: String { role.hasPrefix("worker ") ? "worker" : role }
}

extension ServiceStatus.Activity {
    fileprivate static let labels = ["disconnected", "connecting", "idle", "working", "ended"]

    fileprivate var label: String {
        switch self {
        case .disconnected: "disconnected"
        case .connecting: "connecting"
        case .idle: "idle"
        case .working: "working"
        case .ended: "ended"
        }
    }
}
