import Foundation
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// A claim reads above the low-water marks. A job that becomes ready below a mark must be neither lost nor overtaken
/// for long.
@Suite("Low-water marks") struct LowWaterMarkTests {
    /// Runs `body` beside workers that have finished 2,000 jobs, so that their marks are high.
    private static func withWarmWorkers(
        _ database: TestDatabase, lockTimeout: Duration = .milliseconds(200), _ body: () throws -> Void
    ) throws {
        try database.addItem("a", 1_000_000)
        let workers = database.startWorkers { $0.lockTimeout = lockTimeout }
        for round in 1...20 {
            try database.enqueue(100, of: .adjust("a", -1))
            #expect(try eventually { try database.resultCount() == round * 100 })
        }
        // A mark above an id that the poller has not seen would hide the first jobs of a round until the next full
        // scan.
        try expectInOrder(database)
        try body()
        try workers.stop()
    }

    /// Checks that jobs were applied in the order of their ids. All are of one item, whose versions show the order.
    private static func expectInOrder(_ database: TestDatabase) throws {
        #expect(
            try database.rows(
                """
                SELECT job_id FROM (
                    SELECT job_id, version < lag(version) OVER (ORDER BY job_id) AS is_early FROM stockq.results
                ) AS finished
                WHERE is_early
                """) == [])
    }

    private static func isFinished(_ database: TestDatabase, _ job: Int64, within seconds: Double) throws -> Bool {
        try eventually(seconds: seconds) { try database.hasResult(job) }
    }

    /// An administrator makes the job ready, or it becomes due.
    @Test("a job that becomes ready below the mark is found", arguments: ["NULL", "now()"])
    func readyBelowTheMark(runAt: String) async throws {
        try await withDatabase { database in
            try database.enqueue(.adjust("a", -7, runAt: .after("1 day")))
            try Self.withWarmWorkers(database) {
                try database.run("UPDATE stockq.jobs SET run_at = \(runAt)")
                #expect(try Self.isFinished(database, 1, within: 10))
            }
        }
    }

    @Test("a job whose id was drawn long before its commit is found, and in order") func lateCommit() async throws {
        try await withDatabase { database in
            let slow = try database.connect()
            try slow.executeScript("BEGIN")
            try slow.enqueue(.adjust("a", -7))
            try Self.withWarmWorkers(database) {
                try slow.executeScript("COMMIT")
                try slow.enqueue(.adjust("a", -7))
                #expect(try Self.isFinished(database, 1, within: 10))
                #expect(try Self.isFinished(database, 2002, within: 10))
                let versions = try database.versionsByJob()
                let first = try #require(versions[1] ?? nil)
                let second = try #require(versions[2002] ?? nil)
                #expect(first < second)
            }
        }
    }

    @Test("a job that a batch makes ready below the mark comes before a later one of its item") func promoted()
        async throws
    {
        try await withDatabase { database in
            try database.addItem("b", 0)
            try database.enqueue(.adjust("b", -5, policy: .wait))
            try Self.withWarmWorkers(database) {
                try database.enqueue(.adjust("b", 5))
                #expect(try Self.isFinished(database, 2002, within: 10))
                try database.enqueue(.adjust("b", -5, policy: .reject))
                #expect(try Self.isFinished(database, 2003, within: 10))
                #expect(
                    try database.rows(
                        "SELECT job_id, outcome FROM stockq.results WHERE item_id = 'b' ORDER BY job_id")
                        == ["1,applied", "2002,applied", "2003,rejected"])
            }
        }
    }

    @Test("a batch does not raise the mark over a job that became due meanwhile") func dueMeanwhile() async throws {
        try await withDatabase { database in
            try database.addItem("slow", 10)
            try database.enqueue(.adjust("a", -7, runAt: .after("1 day")))
            try Self.withWarmWorkers(database, lockTimeout: .seconds(10)) {
                let holder = try database.lockItem("slow")
                try database.enqueue(.adjust("slow", -1))
                #expect(try eventually { try database.value(Self.isItemAwaited) == "t" })
                try database.run("UPDATE stockq.jobs SET run_at = now() WHERE job_id = 1")
                #expect(
                    try eventually {
                        try database.value("SELECT run_at IS NULL FROM stockq.jobs WHERE job_id = 1") == "t"
                    })
                try holder.executeScript("COMMIT")
                #expect(try Self.isFinished(database, 2002, within: 10))
                try database.enqueue(.adjust("a", -1))
                #expect(try Self.isFinished(database, 2003, within: 10))
                let versions = try database.versionsByJob()
                let first = try #require(versions[1] ?? nil)
                let second = try #require(versions[2003] ?? nil)
                #expect(first < second)
            }
        }
    }

    /// Whether a batch waits for an item's row.
    private static let isItemAwaited = """
        SELECT EXISTS (
            SELECT FROM pg_stat_activity
            WHERE datname = current_database() AND application_name LIKE '%worker%' AND wait_event_type = 'Lock'
        )
        """

    @Test("a job that batches skip stays before later ones of its item") func skipped() async throws {
        try await withDatabase { database in
            for item in ["free", "locked"] { try database.addItem(item, 1_000) }
            try Self.withWarmWorkers(database) {
                let holder = try database.lockItem("locked")
                try database.enqueue(.adjust("locked", -1))
                // Batch after batch skips it, so that any of them could raise the mark.
                for job in 2002...2030 {
                    try database.enqueue(.adjust("free", -1))
                    #expect(try Self.isFinished(database, Int64(job), within: 10))
                }
                try database.enqueue(.adjust("locked", -1))
                try holder.executeScript("COMMIT")
                #expect(try Self.isFinished(database, 2031, within: 10))
                let versions = try database.versionsByJob()
                #expect(versions[2001] == 1)
                #expect(versions[2031] == 2)
            }
        }
    }

    @Test("a drain finds jobs below the marks") func drain() async throws {
        try await withDatabase { database in
            try database.addItem("a", 1_000_000)
            try database.enqueue(.adjust("a", -7, runAt: .after("1 day")))
            try database.enqueue(2_000, of: .adjust("a", -1))
            try database.run(
                """
                -- The last job of the backlog makes the first one ready, as an administrator might.
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
