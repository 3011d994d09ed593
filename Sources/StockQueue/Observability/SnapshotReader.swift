import Foundation
import StockQueuePostgres

/// Reads snapshots of a queue for the dashboard and `stockq top`, over a session of its own that can only read.
///
/// A reading has the numbers and the panel that was read longest ago, so that each reading is short.
/// `pause(after:)` says how long its caller waits before the next one. Not `Sendable`: it never leaves its thread.
package final class SnapshotReader {
    /// The most jobs of a kind that are counted; of more the number is an estimate.
    package static let countMax: Int64 = 10_000
    /// The newest results that say what the latency is.
    private static let latencyResults: Int64 = 500
    /// Between two readings at least.
    private static let pauseMin = Duration.seconds(1)
    /// The pause behind a reading is at least so many times as long as the reading.
    private static let pauseFactor = 50
    /// The panels of a reading that is older than this are not shown any more.
    private static let staleAfter = Duration.seconds(30)
    /// Rates are taken over so many seconds.
    private static let rateSeconds = 5.0

    private let schema: QueueSchema
    private var session: ReadingSession
    private var staleAt: Deadline?
    private var panels: [SnapshotPanel: String] = [:]
    /// The panels in the order in which they are read next.
    private var order = SnapshotPanel.allCases
    /// The last readings of the flow, oldest first.
    private var flows: [ReadFlowStatement.Reading] = []

    /// - Parameter base: the database, as a role that reads the queue.
    package init(connection base: ConnectionSettings, schema: QueueSchema) {
        self.schema = schema
        let settings = WorkerSettings()
        session = ReadingSession(
            base, settings, role: "snapshots",
            session: settings.session.filter { $0.name != "work_mem" }
                + [("jit", "off"), ("default_transaction_read_only", "on")],
            statementTimeout: .seconds(2))
    }

    /// How long to wait after a reading, so that readings take at most a fiftieth of one session's time.
    package static func pause(after took: Duration) -> Duration { max(pauseMin, took * pauseFactor) }

    /// Reads the numbers, and the panel that was read longest ago; every panel where the last reading is long ago.
    package func read() throws(PostgresError) -> QueueSnapshot {
        let isFresh = staleAt?.hasPassed == false
        if !isFresh { flows = [] }
        do throws(PostgresError) {
            let snapshot = try readNow(isFresh ? [order[0]] : SnapshotPanel.allCases)
            staleAt = .after(milliseconds: max(Self.staleAfter, Self.pause(after: snapshot.took) * 2).milliseconds)
            return snapshot
        } catch {
            session.failed(error)
            throw error
        }
    }

    private func readNow(_ renewed: [SnapshotPanel]) throws(PostgresError) -> QueueSnapshot {
        let connection = try session.open()
        let took = Stopwatch()
        let limit = CountQueueStatement.parameters(countMax: Self.countMax)
        let depth = CountQueueStatement.depth(in: try connection.execute(CountQueueStatement(schema).statement, limit))
        let server = ReadServerStatement.server(
            in: try connection.execute(ReadServerStatement(schema).statement, limit))
        let flow = ReadFlowStatement.reading(
            in: try connection.execute(
                ReadFlowStatement(schema).statement, ReadFlowStatement.parameters(results: Self.latencyResults)))
        for panel in renewed {
            let rows = try connection.execute(ReadPanelStatement(panel, schema).statement)
            // PostgreSQL breaks lines between the elements of an array; within a text it escapes them.
            panels[panel] = rows.string(0, 0).replacing("\n", with: "")
            order.removeAll { $0 == panel }
            order.append(panel)
        }
        return QueueSnapshot(
            at: flow.at.date, depth: depth, server: server, flow: rates(flow), panels: panels, renewed: Set(renewed),
            took: .microseconds(took.microseconds))
    }

    /// Compares a reading with the one some seconds before it.
    private func rates(_ now: ReadFlowStatement.Reading) -> QueueSnapshot.Flow {
        var flow = QueueSnapshot.Flow(
            latencies: now.latencies, lastResultAt: now.lastResultAt?.date, failed: now.failed)
        // Of the readings that are older than the span, the newest one.
        while flows.count > 1, now.at.date.timeIntervalSince(flows[1].at.date) >= Self.rateSeconds {
            flows.removeFirst()
        }
        if let before = flows.first {
            let seconds = now.at.date.timeIntervalSince(before.at.date)
            // After a reset of the statistics the numbers begin again.
            if seconds > 0, now.finished >= before.finished, now.enqueued >= before.enqueued {
                flow.finishedPerSecond = Double(now.finished - before.finished) / seconds
                flow.enqueuedPerSecond = Double(now.enqueued - before.enqueued) / seconds
            } else {
                flows = []
            }
        }
        flows.append(now)
        return flow
    }
}
