import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// Jobs that the database refuses.
@Suite struct FailedJobTests {
    @Test func oneBadJobAmongManyIsQuarantined() async throws {
        try await withDatabase { database in
            try database.addItem("a", 10_000)
            try database.run(
                "ALTER TABLE stockq.results ADD CONSTRAINT trap CHECK (reason <> 'poison' OR outcome = 'failed')")
            try database.run(
                """
                INSERT INTO stockq.jobs (store_id, item_id, quantity, reason, max_attempts)
                SELECT 's', 'a', -1, CASE WHEN i = 137 THEN 'poison' ELSE 'fine' END, 1 FROM generate_series(1, 500) AS i
                """)
            let events = try database.drain()
            #expect(try database.value("SELECT count(*) FROM stockq.results WHERE outcome = 'applied'") == "499")
            #expect(
                try database.rows("SELECT job_id, sqlstate, reason FROM stockq.results WHERE outcome = 'failed'") == [
                    "137,23514,poison"
                ])
            #expect(try database.value("SELECT on_hand FROM stockq.items") == "9501")
            #expect(events.contains { $0.failedAttempt?.isFinal == true })
            try expectSoundBooks(database.connect())
        }
    }

    @Test func aBadJobBehindHeldOnesIsTheOneThatPays() async throws {
        try await withDatabase { database in
            for item in ["held", "bad", "good"] { try database.addItem(item, 10) }
            try database.run(
                "ALTER TABLE stockq.results ADD CONSTRAINT trap CHECK (reason <> 'poison' OR outcome = 'failed')")
            let holder = try database.connect()
            try holder.executeScript("BEGIN")
            try holder.executeScript("UPDATE stockq.items SET updated_at = now() WHERE item_id = 'held'")
            try database.enqueue(
                "item_id, quantity, reason, max_attempts",
                "('s', 'held', -1, '', 3), ('s', 'held', -1, '', 3), ('s', 'bad', -1, 'poison', 1), ('s', 'good', -1, '', 3)"
            )
            let pool = WorkerPool(
                connection: database.settings, schema: .standard, settings: WorkerSettings(), drains: true)
            let ended = Background { pool.run() }
            #expect(try eventually { try database.value("SELECT count(*) FROM stockq.results") == "2" })
            #expect(try database.results() == ["3 failed 0", "4 applied -1"])
            #expect(try database.value("SELECT max(attempts) FROM stockq.jobs") == "0")
            try holder.executeScript("COMMIT")
            try ended.wait()
            #expect(try database.value("SELECT max(attempts) FROM stockq.results") == "1")
        }
    }

    @Test func aRefusedJobIsTriedAgainWithinItsAttempts() async throws {
        try await withDatabase { database in
            try database.addItem("a", 10)
            try database.run("ALTER TABLE stockq.results ADD CONSTRAINT trap CHECK (reason <> 'poison')")
            try database.enqueue(
                "item_id, quantity, reason, group_id",
                "('s', 'a', -1, 'poison', 'g'), ('s', 'a', -1, 'fine', 'g')")
            try database.drain()
            #expect(
                try database.rows(
                    """
                    SELECT job_id, attempts, run_at > enqueued_at + interval '1.4 seconds', last_error LIKE '%23514%'
                    FROM stockq.jobs ORDER BY 1
                    """) == ["1,1,t,t", "2,1,t,t"], "a group is set aside whole")
            try database.run("ALTER TABLE stockq.results DROP CONSTRAINT trap; UPDATE stockq.jobs SET run_at = now()")
            try database.drain()
            #expect(
                try database.rows("SELECT job_id, outcome, attempts, scheduled_at FROM stockq.results ORDER BY 1") == [
                    "1,applied,2,", "2,applied,2,",
                ])
        }
    }

    @Test func aFailureThatCannotBeWrittenIsKeptAsText() async throws {
        try await withDatabase { database in
            try database.addItem("a", 10)
            try database.run("ALTER TABLE stockq.results ADD CONSTRAINT trap CHECK (reason <> 'poison')")
            try database.enqueue("item_id, quantity, reason, max_attempts", "('s', 'a', -1, 'poison', 1)")
            try database.drain()
            #expect(
                try database.value("SELECT outcome, reason IS NULL, message LIKE '%poison%' FROM stockq.results")
                    == "failed,t,t")
        }
    }

    @Test func columnsThatWouldStopTheQueueAreRefused() async throws {
        try await withDatabase { database in
            for (column, value) in [("run_at", "'infinity'"), ("run_at", "'-infinity'"), ("attempts", "32767")] {
                #expect(throws: PostgresError.self) {
                    try database.enqueue("item_id, quantity, \(column)", "('s', 'a', -1, \(value))")
                }
            }
        }
    }
}
