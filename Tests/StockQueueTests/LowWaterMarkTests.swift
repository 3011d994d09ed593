import Foundation
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// Claims begin above low-water marks; nothing that becomes ready below them may be lost or overtaken for long.
@Suite struct LowWaterMarkTests {
    /// Runs `body` beside a worker process's pool that has worked for a while, so that its marks stand high.
    private static func withWarmPool(_ database: TestDatabase, _ body: () throws -> Void) throws {
        try database.run("INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 1000000)")
        let pool = WorkerPool(connection: database.settings, schema: .standard, settings: WorkerSettings())
        let ended = Background { pool.run() }
        for round in 1...20 {
            try database.run(
                "INSERT INTO stockq.jobs (store_id, item_id, quantity) SELECT 's', 'a', -1 FROM generate_series(1, 100)"
            )
            #expect(try eventually { try database.value("SELECT count(*) FROM stockq.results") == "\(round * 100)" })
        }
        // A mark above what was seen would hide the first jobs of a round until the next poll at everything.
        try expectInOrder(database)
        try body()
        pool.finish()
        try ended.wait()
    }

    /// Checks that jobs were done in the order of their ids. All are of one item, whose versions tell the order.
    private static func expectInOrder(_ database: TestDatabase) throws {
        let overtaken =
            "SELECT job_id FROM (SELECT job_id, version < lag(version) OVER (ORDER BY job_id) AS is_early FROM stockq.results) AS r WHERE is_early"
        #expect(try database.rows(overtaken) == [])
    }

    private static func isDone(_ database: TestDatabase, _ job: String, within seconds: Double) throws -> Bool {
        try eventually(seconds: seconds) {
            try database.value("SELECT count(*) FROM stockq.results WHERE job_id = \(job)") == "1"
        }
    }

    /// By hand, and by coming due.
    @Test(arguments: ["NULL", "now()"]) func aJobThatGetsReadyBelowTheMarkIsFound(runAt: String) async throws {
        try await withDatabase { database in
            try database.run(
                "INSERT INTO stockq.jobs (store_id, item_id, quantity, run_at) VALUES ('s', 'a', -7, now() + interval '1 day')"
            )
            try Self.withWarmPool(database) {
                try database.run("UPDATE stockq.jobs SET run_at = \(runAt)")
                #expect(try Self.isDone(database, "1", within: 10))
            }
        }
    }

    @Test func anIdDrawnLongBeforeItsCommitIsFoundAndInOrder() async throws {
        try await withDatabase { database in
            let slow = try database.connect()
            try slow.executeScript("BEGIN")
            try slow.executeScript("INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'a', -7)")
            try Self.withWarmPool(database) {
                try slow.executeScript("COMMIT")
                try slow.executeScript("INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'a', -7)")
                #expect(try Self.isDone(database, "1", within: 10))
                #expect(try Self.isDone(database, "2002", within: 10))
                #expect(
                    try database.rows("SELECT job_id FROM stockq.results WHERE job_id IN (1, 2002) ORDER BY version")
                        == ["1", "2002"])
            }
        }
    }

    @Test func aDrainSeesWhatStandsBelowTheMarks() async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 1000000);
                INSERT INTO stockq.jobs (store_id, item_id, quantity, run_at) VALUES ('s', 'a', -7, now() + interval '1 day');
                INSERT INTO stockq.jobs (store_id, item_id, quantity) SELECT 's', 'a', -1 FROM generate_series(1, 2000);
                -- The last job of the backlog makes the first one ready, as an operator might.
                CREATE FUNCTION stockq.wake() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    UPDATE stockq.jobs SET run_at = NULL WHERE job_id = 1;
                    RETURN NULL;
                END
                $$;
                CREATE TRIGGER wake AFTER INSERT ON stockq.results
                FOR EACH ROW WHEN (NEW.job_id = 2001) EXECUTE FUNCTION stockq.wake()
                """)
            try database.drain { $0.batchJobsMax = 100 }
            #expect(try database.value("SELECT count(*), sum(applied_quantity) FROM stockq.results") == "2001,-2007")
        }
    }
}
