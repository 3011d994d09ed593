import StockQueuePostgres
import TestSupport

/// A reader whose transaction stays open: it has read the tables, and its session is idle.
final class HeldReader {
    private let connection: Connection

    init(_ database: TestDatabase) throws {
        connection = try database.connect()
        try connection.executeScript(
            """
            BEGIN;
            SELECT count(*) FROM stockq.items;
            SELECT FROM stockq.jobs LIMIT 1;
            SELECT FROM stockq.results LIMIT 1;
            SELECT FROM stockq.notifications LIMIT 1
            """)
    }

    func end() throws { try connection.executeScript("ROLLBACK") }
}
