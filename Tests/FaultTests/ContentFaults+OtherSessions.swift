import StockQueue
import StockQueueLocking
import StockQueuePostgres
import TestSupport
import Testing

extension Faults.Content {
    // MARK: an administrator

    /// The administrator locks items in the opposite order of the workers, changes attributes, and deletes items
    /// without jobs and jobs.
    @Test("an administrator changes items and cancels jobs while workers run")
    func administratorAtWork() async throws {
        try await withDatabase { database in
            let rig = try Rig(database, seed: 97, stores: 4)
            let workers = rig.startDirectWorkers()
            let admin = try database.connect()
            var deadlocks = 0
            for round in 0..<(Faults.isFull ? 200 : 30) {
                try rig.enqueueRound(20)
                try admin.executeScript(
                    "INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('store-0', 'passing-\(round)', 5)"
                )
                do {
                    try admin.executeScript("BEGIN")
                    for item in ["item-6", "item-4", "item-2", "item-0"] {
                        try admin.executeScript(
                            "UPDATE stockq.items SET parent_id = 'p\(round)' WHERE item_id = '\(item)'")
                    }
                    try admin.executeScript("DELETE FROM stockq.items WHERE item_id = 'passing-\(round)'")
                    try admin.executeScript("COMMIT")
                } catch let error as PostgresError where error.sqlState == .deadlockDetected {
                    deadlocks += 1
                    try admin.executeScript("ROLLBACK")
                }
                try admin.executeScript(
                    """
                    WITH gone AS (
                        DELETE FROM stockq.jobs WHERE job_id IN (
                            SELECT job_id FROM stockq.jobs WHERE group_id IS NULL
                            ORDER BY random() LIMIT 3 FOR UPDATE SKIP LOCKED
                        ) RETURNING job_id
                    )
                    INSERT INTO audit.canceled SELECT job_id FROM gone
                    """)
            }
            #expect(try rig.jobsFinish())
            try workers.stop()
            Faults.report("an administrator's deadlocks with workers: \(deadlocks)")
            // The deleted items had no jobs. They are in the copy, and not in the table.
            try database.run("DELETE FROM audit.items WHERE item_id LIKE 'passing-%'")
            try rig.expectSound(order: .ofItems)
        }
    }

    @Test("a decision about an item that another transaction changes waits for its commit")
    func decisionWaitsForLock() async throws {
        try await withDatabase { database in
            let rig = try Rig(database, seed: 99, stores: 1)
            try database.run(
                "INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('store-0', 'counted', 1)")
            let admin = try database.connect()
            try admin.executeScript("BEGIN; UPDATE stockq.items SET on_hand = 100 WHERE item_id = 'counted'")
            try database.run(
                "INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('store-0', 'counted', -20)")
            let workers = rig.startDirectWorkers()
            #expect(workers.waitForBatch { $0.finished + $0.skipped > 0 })
            try admin.executeScript("COMMIT")
            #expect(try rig.jobsFinish())
            try workers.stop()
            #expect(try database.value("SELECT outcome, on_hand_before FROM stockq.results") == "applied,100")
            try database.run("UPDATE audit.items SET on_hand = 100 WHERE item_id = 'counted'")
            try rig.expectSound(order: .ofItems)
        }
    }

    /// A statement exceeds its timeout until its batch is small enough.
    @Test("after a timeout of the server or the client the next batches are smaller", arguments: [false, true])
    func slowBatches(byClient: Bool) async throws {
        try await withDatabase { database in
            let rig = try Rig(database, seed: 98, stores: 1)
            // A result takes 5 ms, so 400 of them exceed the timeout.
            try database.run(
                """
                CREATE FUNCTION audit.slow() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    PERFORM pg_sleep(0.005);
                    RETURN NEW;
                END
                $$;
                CREATE TRIGGER slow BEFORE INSERT ON stockq.results FOR EACH ROW EXECUTE FUNCTION audit.slow();
                INSERT INTO stockq.jobs (store_id, item_id, quantity)
                SELECT 'store-0', 'item-' || n % 5, 1 FROM generate_series(1, 400) AS n
                """)
            var settings = Rig.quick()
            if byClient {
                settings.callTimeout = .milliseconds(800)
            } else {
                settings.statementTimeout = .milliseconds(800)
            }
            let workers = rig.startDirectWorkers(settings)
            #expect(try rig.jobsFinish())
            try workers.stop()
            #expect(try database.value("SELECT count(DISTINCT finished_at) > 1 FROM stockq.results") == "t")
            try database.run("DROP TRIGGER slow ON stockq.results")
            try rig.expectSound()
        }
    }

    /// A claim that has skipped a locked job looks for it, and finds another. No later job overtakes that one.
    @Test("a job of higher priority that is enqueued between two statements of a claim joins the batch")
    func jobDuringClaim() async throws {
        try await withDatabase { database in
            let rig = try Rig(database, seed: 113, stores: 1)
            try database.enqueue(
                .adjust("item-3", 1, store: "store-0"), .adjust("item-1", 1, store: "store-0"),
                .adjust("item-2", 1, store: "store-0"))
            let holder = try database.connect()
            try holder.executeScript("BEGIN; SELECT FROM stockq.jobs WHERE job_id = 1 FOR UPDATE")
            let isEnqueued = Mutex(false)
            rig.proxy.setRule { message in
                guard message.isOfWorker, message.isOf("B"), message.statement == "count_up_to" else {
                    return .pass
                }
                let isFirst = isEnqueued.withLock { isEnqueued in
                    defer { isEnqueued = true }
                    return !isEnqueued
                }
                // If this fails, its result is missing below.
                if isFirst { try? database.enqueue(.adjust("item-1", 1, store: "store-0", priority: 1)) }
                return .pass
            }
            let workers = rig.startWorkers()
            #expect(try eventually { try database.resultCount() == 3 })
            #expect(
                try database.rows(
                    "SELECT job_id, xmin = first_value(xmin) OVER (ORDER BY job_id) FROM stockq.results")
                    == ["2,t", "3,t", "4,t"])
            try holder.executeScript("COMMIT")
            #expect(try rig.jobsFinish())
            try workers.stop()
            try rig.expectSound(order: .ofItems)
        }
    }

    @Test("while one item is locked for long, the other jobs of its lane are applied")
    func longLock() async throws {
        try await withDatabase { database in
            let rig = try Rig(database, seed: 101, stores: 1)
            let workers = rig.startDirectWorkers()
            let admin = try database.connect()
            try admin.executeScript("BEGIN; SELECT FROM stockq.items WHERE item_id = 'item-3' FOR UPDATE")
            for round in 1...5 {
                try database.run(
                    """
                    INSERT INTO stockq.jobs (store_id, item_id, quantity, reference)
                    SELECT 'store-0', 'item-' || CASE WHEN n % 10 = 0 THEN 3 ELSE n % 3 END, 1, 'round \(round)'
                    FROM generate_series(1, 100) AS n
                    """)
                #expect(
                    try eventually(seconds: 5) {
                        try database.value("SELECT count(*) FROM stockq.results WHERE reference = 'round \(round)'")
                            == "90"
                    })
            }
            try admin.executeScript("ROLLBACK")
            #expect(try rig.jobsFinish())
            try workers.stop()
            try rig.expectSound(order: .ofItems)
        }
    }
}
