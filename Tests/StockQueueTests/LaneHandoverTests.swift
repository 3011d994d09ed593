import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// Two workers in one deep lane: while one writes its batch, the other claims the next. What they do is the same as what
/// one worker does.
@Suite("Lanes handed over") struct LaneHandoverTests {
    /// Small batches, so that a lane changes hands often.
    private static func smallBatches(_ settings: inout WorkerSettings) {
        settings.workers = 2
        settings.batchJobsMax = 100
    }

    /// Jobs of an item that were applied before a job with a lower id.
    private static let early = """
        SELECT job_id FROM (
            SELECT job_id, version < lag(version) OVER (PARTITION BY store_id, item_id ORDER BY job_id) AS is_early
            FROM stockq.results
            WHERE outcome = 'applied'
        ) AS applied
        WHERE is_early
        """

    @Test("two workers share a deep lane, and jobs are applied in their order") func inOrder() async throws {
        try await withDatabase { database in
            for item in ["a", "b", "c"] { try database.addItem(item, 1_000_000) }
            try database.run(
                """
                INSERT INTO stockq.jobs (store_id, item_id, quantity, group_id)
                SELECT 's', chr(97 + number % 3), -1, CASE WHEN number % 7 < 3 THEN 'g' || number / 7 END
                FROM generate_series(1, 20000) AS number
                """)
            try database.drain(Self.smallBatches)
            #expect(try database.resultCount() == 20_000)
            #expect(try database.rows(Self.early) == [])
            #expect(try database.changesOfWorker() > 10, "the lane stayed with one worker")
            try Verifier(connection: try database.connect(), schema: database.schema).runAll {
                #expect($0.violations == [])
            }
        }
    }

    @Test("a claim ahead is given up where the batch before it fails") func failedBatch() async throws {
        try await withDatabase { database in
            for item in ["a", "b"] { try database.addItem(item, 1_000_000) }
            try database.run(
                """
                CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN RAISE EXCEPTION 'not this one' USING ERRCODE = '23514'; END $$;
                CREATE TRIGGER fail BEFORE INSERT ON stockq.results
                    FOR EACH ROW WHEN (NEW.reference = 'bad' AND NEW.outcome = 'applied') EXECUTE FUNCTION fail();
                INSERT INTO stockq.jobs (store_id, item_id, quantity, reference, max_attempts)
                SELECT 's', CASE WHEN number % 2 = 0 THEN 'a' ELSE 'b' END, -1,
                    CASE WHEN number % 1000 = 500 THEN 'bad' END, 1
                FROM generate_series(1, 5000) AS number
                """)
            try database.drain(Self.smallBatches)
            #expect(
                try database.rows("SELECT outcome, count(*) FROM stockq.results GROUP BY outcome ORDER BY outcome")
                    == ["applied,4995", "failed,5"])
            #expect(try database.rows(Self.early) == [])
        }
    }

    @Test("jobs that a batch makes ready again come before those that were claimed ahead") func promoted() async throws
    {
        try await withDatabase { database in
            for item in ["a", "b"] { try database.addItem(item, item == "a" ? 0 : 1_000_000) }
            // The batch of the jobs 1001 to 1100 brings at its end what its first job waits for. The next batch begins
            // with a job that would take it.
            try database.run(
                """
                INSERT INTO stockq.jobs (store_id, item_id, quantity, on_insufficient, reference)
                SELECT 's', CASE WHEN reference IS NULL THEN 'b' ELSE 'a' END,
                    CASE reference WHEN 'brings' THEN 5 WHEN 'waits' THEN -5 WHEN 'too late' THEN -5 ELSE -1 END,
                    CASE reference WHEN 'waits' THEN 'wait' ELSE 'reject' END::stockq.on_insufficient, reference
                FROM (
                    SELECT number,
                        CASE number WHEN 1001 THEN 'waits' WHEN 1100 THEN 'brings' WHEN 1101 THEN 'too late' END
                            AS reference
                    FROM generate_series(1, 2000) AS number
                ) AS job
                ORDER BY number
                """)
            try database.drain(Self.smallBatches)
            #expect(
                try database.rows(
                    "SELECT reference, outcome FROM stockq.results WHERE reference IS NOT NULL ORDER BY reference")
                    == ["brings,applied", "too late,rejected", "waits,applied"])
            #expect(try database.changesOfWorker() > 3, "the lane stayed with one worker")
        }
    }

    /// Which worker meets the locked job, and in which way, is chance: so it is tried some times.
    @Test("no worker overtakes a job of its item that another transaction has locked") func lockedJob() async throws {
        try await withDatabase { database in
            for round in 1...8 {
                let store = "s\(round)"
                try database.run(
                    """
                    INSERT INTO stockq.items (store_id, item_id, on_hand)
                    SELECT '\(store)', chr(97 + number), 1000000 FROM generate_series(0, 2) AS number;
                    INSERT INTO stockq.jobs (store_id, item_id, quantity, reference)
                    SELECT '\(store)', chr(97 + number % 3), -1, number FROM generate_series(1, 6000) AS number
                    """)
                let holder = try database.lock(
                    "SELECT FROM stockq.jobs WHERE store_id = '\(store)' AND reference = '3030' FOR UPDATE")
                let workers = database.startWorkers(Self.smallBatches)
                let applied = "SELECT count(*) FROM stockq.results WHERE store_id = '\(store)'"
                // Of each item 2,000; of that of the locked job those before it.
                #expect(eventually { (try? database.value(applied)) == "5009" })
                #expect(try database.value("\(applied) AND item_id = 'a' AND reference::integer > 3030") == "0")
                try holder.executeScript("COMMIT")
                #expect(eventually { (try? database.value(applied)) == "6000" })
                try workers.stop()
            }
            #expect(try database.rows(Self.early) == [])
        }
    }

    @Test("another lane does not wait for a lane that two workers share") func otherLane() async throws {
        try await withDatabase { database in
            try database.addItem("a", 1_000_000)
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('t', 'a', 10);
                INSERT INTO stockq.jobs (store_id, item_id, quantity)
                SELECT 's', 'a', -1 FROM generate_series(1, 60000)
                """)
            let workers = database.startWorkers(Self.smallBatches)
            #expect(workers.waitForBatches(moreThan: 5))
            try database.enqueue(.adjust("a", -1, store: "t"))
            #expect(
                try eventually { try database.value("SELECT count(*) FROM stockq.results WHERE store_id = 't'") == "1" }
            )
            #expect(try database.queuedJobs() > 0, "the deep lane was done first")
            try workers.stop()
        }
    }
}
