import Foundation
import StockQueuePostgres

/// What metrics and the log say of a queue, as of a moment.
package struct QueueReading: Sendable {
    /// The queued jobs. Numbers above `QueueReader.countMax` are estimates.
    package struct Depth: Sendable {
        /// Jobs that a worker may claim.
        package var ready: Int64
        /// Jobs that their producer deferred.
        package var scheduled: Int64
        /// Jobs that wait for stock.
        package var waiting: Int64
        /// Jobs whose last attempt failed.
        package var retrying: Int64
        /// Jobs of paused stores.
        package var paused: Int64
        /// Since when the oldest ready job could have been worked; nil where none is ready, or all those are paused.
        package var oldestReadyAt: Date?
    }

    /// What an administrator watches beside the queue.
    package struct Server: Sendable {
        /// Job ids until a partition of the results is needed that does not exist yet.
        package var partitionJobsLeft: Int64
        /// When the oldest transaction began that holds vacuum back; nil where none does.
        package var oldestTransactionAt: Date?
        /// Whether the role sees the transactions of other roles.
        package var seesAllTransactions: Bool
        /// Workers that are connected to the database.
        package var workers: Int64
        package var pausedLanes: Int64
        package var pausedStores: Int64
        package var pendingDeliveries: Int64
        package var deadDeliveries: Int64
    }

    /// The rows of a table by the server's statistics.
    package struct Table: Sendable {
        package var name: String
        package var live: Int64
        package var dead: Int64
    }

    package var depth: Depth
    package var server: Server
    package var tables: [Table]
    /// When the reading was complete, by this machine's clock.
    package var readAt: Date
}

/// Reads a queue for metrics and the log, over a session of its own that no worker shares.
///
/// A reading costs little: each statement is bounded, and the next reading waits for so long that readings take at most a
/// fiftieth of one session's time. Not `Sendable`: it never leaves its thread.
package final class QueueReader {
    /// The most jobs of a kind that are counted.
    package static let countMax: Int64 = 100_000
    /// How long a reading is good at least.
    private static let pauseMin = Duration.seconds(5)
    /// The pause behind a reading is at least so many times as long as the reading.
    private static let pauseFactor = 50
    private static let statementTimeout = Duration.seconds(1)

    private let schema: QueueSchema
    private let countMax: Int64
    private var session: ReadingSession
    private var nextAt: Deadline?
    /// The last reading; nil after one that failed.
    private var reading: QueueReading?
    /// Why the last reading failed.
    package private(set) var error: PostgresError?

    package init(
        connection base: ConnectionSettings, schema: QueueSchema, settings: WorkerSettings,
        countMax: Int64 = QueueReader.countMax
    ) {
        self.schema = schema
        self.countMax = countMax
        session = ReadingSession(
            base, settings, role: SessionNames.metrics, session: settings.session,
            statementTimeout: Self.statementTimeout)
    }

    /// A reading that is a few seconds old at most, or as old as the cost of one requires; nil where the last attempt
    /// failed.
    package func read() -> QueueReading? {
        if nextAt?.hasPassed == false { return reading }
        let took = Stopwatch()
        do throws(PostgresError) {
            reading = try readNow()
            error = nil
        } catch {
            session.failed(error)
            (reading, self.error) = (nil, error)
        }
        nextAt = .after(milliseconds: max(Self.pauseMin.milliseconds, took.milliseconds * Self.pauseFactor))
        return reading
    }

    private func readNow() throws(PostgresError) -> QueueReading {
        let connection = try session.open()
        let depth = CountQueueStatement.depth(
            in: try connection.execute(
                CountQueueStatement(schema).statement, CountQueueStatement.parameters(countMax: countMax)))
        let server = ReadServerStatement.server(
            in: try connection.execute(
                ReadServerStatement(schema).statement, ReadServerStatement.parameters(countMax: countMax)))
        let tables = ReadTablesStatement.tables(
            in: try connection.execute(ReadTablesStatement().statement, ReadTablesStatement.parameters(schema)))
        return QueueReading(depth: depth, server: server, tables: tables, readAt: Date())
    }
}
