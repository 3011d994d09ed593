import Foundation
import StockFormats

/// What the dashboard and `stockq top` show, as of a moment.
package struct QueueSnapshot: Sendable {
    /// How fast the queue moves.
    package struct Flow: Sendable {
        /// Jobs a second over the last seconds; nil until two readings can be compared.
        package var finishedPerSecond: Double?
        package var enqueuedPerSecond: Double?
        /// Seconds from the enqueueing of a job to its result, of the newest results of the last minute: the median, the
        /// 95th and the 99th percentile. Empty where there is none.
        package var latencies: [Double]
        package var lastResultAt: Date?
        /// Jobs that failed within a day and were not retried; at most a hundred are counted.
        package var failed: Int64
    }

    /// When it was read, by the server's clock.
    package var at: Date
    package var depth: QueueReading.Depth
    package var server: QueueReading.Server
    package var flow: Flow
    /// The panels, each as a JSON object.
    package var panels: [SnapshotPanel: String]
    /// The panels that this reading read again.
    package var renewed: Set<SnapshotPanel>
    /// How long the reading took.
    package var took: Duration

    // MARK: JSON

    /// The numbers as one point of the charts.
    package var point: String {
        var writer = JSONWriter()
        writer.object { writer in
            func number(_ name: String, _ value: Double?) {
                writer.key(name)
                writer.encoded(value.map { $0.isFinite ? "\(($0 * 1_000).rounded() / 1_000)" : "null" } ?? "null")
            }
            func count(_ name: String, _ value: Int64) {
                writer.key(name)
                writer.integer(value)
            }
            number("at", at.timeIntervalSince1970)
            number("finished_per_second", flow.finishedPerSecond)
            number("enqueued_per_second", flow.enqueuedPerSecond)
            for (name, index) in [("p50", 0), ("p95", 1), ("p99", 2)] {
                number(name, flow.latencies.indices.contains(index) ? flow.latencies[index] : nil)
            }
            number("oldest_seconds", depth.oldestReadyAt.map { max(0, at.timeIntervalSince($0)) })
            for (name, value) in counts { count(name, value) }
            number("last_result_at", flow.lastResultAt?.timeIntervalSince1970)
            number("oldest_transaction_at", server.oldestTransactionAt?.timeIntervalSince1970)
            number("read_seconds", took / .seconds(1))
        }
        return writer.text
    }

    private var counts: [(String, Int64)] {
        [
            ("ready", depth.ready), ("scheduled", depth.scheduled), ("waiting", depth.waiting),
            ("retrying", depth.retrying), ("paused", depth.paused), ("workers", server.workers),
            ("paused_lanes", server.pausedLanes), ("paused_stores", server.pausedStores),
            ("failed", flow.failed), ("deliveries_pending", server.pendingDeliveries),
            ("deliveries_dead", server.deadDeliveries),
            ("partition_jobs_left", server.partitionJobsLeft),
        ]
    }

    /// The numbers, the findings, and the panels of `names`.
    ///
    /// - Parameter names: nil for those that this reading renewed.
    package func json(panels names: Set<SnapshotPanel>? = nil) -> String {
        let names = names ?? renewed
        var writer = JSONWriter()
        writer.object { writer in
            writer.key("now")
            writer.encoded(point)
            writer.key("sees_all_transactions")
            writer.bool(server.seesAllTransactions)
            writer.key("count_max")
            writer.integer(SnapshotReader.countMax)
            writer.key("findings")
            writer.array { writer in for finding in findings { finding.write(to: &writer) } }
            writer.key("panels")
            writer.object { writer in
                for (panel, json) in panels.sorted(by: { $0.key.rawValue < $1.key.rawValue })
                where names.contains(panel) {
                    writer.key(panel.rawValue)
                    writer.encoded(json)
                }
            }
        }
        return writer.text
    }
}
