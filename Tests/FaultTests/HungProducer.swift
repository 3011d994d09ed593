import StockQueuePostgres
import TestSupport

/// A producer whose transaction stays open: it has inserted jobs, and its session is idle.
final class HungProducer {
    enum Ending: String, CaseIterable, Sendable { case commits, rollsBack, isTerminated }

    private let database: TestDatabase
    private let connection: Connection
    private let process: String

    /// Inserts the jobs.
    ///
    /// - Parameter sql: the INSERT.
    init(_ database: TestDatabase, _ sql: String) throws {
        self.database = database
        connection = try database.connect()
        process = try database.rows("SELECT pg_backend_pid()", connection)[0]
        try connection.executeScript("BEGIN; \(LedgerOracle.marksLateJobs); \(sql)")
    }

    func end(_ ending: Ending) throws {
        switch ending {
        case .commits: try connection.executeScript("COMMIT")
        case .rollsBack: try connection.executeScript("ROLLBACK")
        case .isTerminated: try waitingForServer { try database.run("SELECT pg_terminate_backend(\(process))") }
        }
    }
}
