import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

@Suite("Jobs for which the database raises an error") struct FailedJobTests {
    /// A constraint of the results that a job with the reason `poison` violates, unless it failed.
    private static let trap =
        "ALTER TABLE stockq.results ADD CONSTRAINT trap CHECK (reason <> 'poison' OR outcome = 'failed')"
    /// The same, whatever the outcome.
    private static let absoluteTrap = "ALTER TABLE stockq.results ADD CONSTRAINT trap CHECK (reason <> 'poison')"

    /// Batches become smaller with each time limit that they exceed, down to a single line of the group.
    @Test("a group that exceeds the time limit before it is claimed as a whole fails as a whole")
    func groupExceedsTimeLimit() async throws {
        try await withDatabase { database in
            for item in ["a", "b", "c"] { try database.addItem(item, 10) }
            try database.run(
                """
                INSERT INTO stockq.jobs (store_id, item_id, quantity, group_id, max_attempts)
                SELECT 's', chr(96 + number), -1, 'g', 1 FROM generate_series(1, 3) AS number
                """)
            let holder = try database.lock("SELECT FROM stockq.items WHERE item_id = 'a' FOR UPDATE")
            let workers = database.startWorkers {
                $0.workers = 1
                $0.statementTimeout = .milliseconds(200)
                $0.lockTimeout = .seconds(60)
            }
            #expect(try eventually(seconds: 30) { try database.resultCount() > 0 })
            #expect(try database.rows("SELECT outcome, count(*) FROM stockq.results GROUP BY outcome") == ["failed,3"])
            try holder.rollBack()
            try workers.stop()
        }
    }

    @Test("one bad job among many fails alone") func oneOfMany() async throws {
        try await withDatabase { database in
            try database.addItem("a", 10_000)
            try database.run(Self.trap)
            try database.enqueue(
                (1...500).map { .adjust("a", -1, reason: $0 == 137 ? "poison" : "fine", maxAttempts: 1) })
            let events = try database.drain()
            let results = try database.results()
            #expect(results.filter { $0.outcome == .applied }.count == 499)
            #expect(results.filter { $0.outcome == .failed }.map(\.job) == [137])
            #expect(
                try database.rows("SELECT sqlstate, reason FROM stockq.results WHERE outcome = 'failed'") == [
                    "23514,poison"
                ])
            #expect(try database.value("SELECT on_hand FROM stockq.items") == "9501")
            #expect(events.contains { $0.failedAttempt?.isFinal == true })
            try expectSoundLedger(database)
        }
    }

    @Test("a bad job behind locked ones is the only one that fails") func behindLockedJobs() async throws {
        try await withDatabase { database in
            for item in ["locked", "bad", "good"] { try database.addItem(item, 10) }
            try database.run(Self.trap)
            let holder = try database.lockItem("locked")
            try database.enqueue(
                .adjust("locked", -1, reason: "", maxAttempts: 3), .adjust("locked", -1, reason: "", maxAttempts: 3),
                .adjust("bad", -1, reason: "poison", maxAttempts: 1), .adjust("good", -1, reason: "", maxAttempts: 3))
            let workers = database.startWorkers(drains: true)
            #expect(try eventually { try database.resultCount() == 2 })
            #expect(try database.results() == [.failed(3), .applied(4, -1)])
            #expect(try database.value("SELECT max(attempts) FROM stockq.jobs") == "0")
            try holder.executeScript("COMMIT")
            try workers.wait()
            #expect(try database.attemptsByJob().values.max() == 1)
        }
    }

    @Test("a job for which the database raises an error is tried again within its attempts")
    func triedAgain() async throws {
        try await withDatabase { database in
            try database.addItem("a", 10)
            try database.run(Self.absoluteTrap)
            try database.enqueue(
                .adjust("a", -1, group: "g", reason: "poison"), .adjust("a", -1, group: "g", reason: "fine"))
            try database.drain()
            #expect(
                try database.rows(
                    """
                    SELECT job_id, attempts, run_at > enqueued_at + interval '1.4 seconds', last_error LIKE '%23514%'
                    FROM stockq.jobs ORDER BY 1
                    """) == ["1,1,t,t", "2,1,t,t"], "a group is deferred as a whole")
            try database.run("ALTER TABLE stockq.results DROP CONSTRAINT trap; UPDATE stockq.jobs SET run_at = now()")
            try database.drain()
            #expect(try database.results() == [.applied(1, -1), .applied(2, -1)])
            #expect(try database.attemptsByJob() == [1: 2, 2: 2])
            #expect(try database.rows("SELECT scheduled_at FROM stockq.results") == ["", ""])
        }
    }

    @Test("a failed job that cannot be written as it is, is kept as text") func keptAsText() async throws {
        try await withDatabase { database in
            try database.addItem("a", 10)
            try database.run(Self.absoluteTrap)
            try database.enqueue(.adjust("a", -1, reason: "poison", maxAttempts: 1))
            try database.drain()
            #expect(
                try database.value("SELECT outcome, reason IS NULL, message LIKE '%poison%' FROM stockq.results")
                    == "failed,t,t")
        }
    }

    /// COPY from a file that is said to be SQL_ASCII stores its bytes unchecked, also on a UTF-8 server. A claim reads
    /// them; the server refuses them when the batch sends them back to look something up.
    @Test(
        "a job whose text is not UTF-8 fails alone, and its lane goes on",
        arguments: [("item_id", true), ("group_id", true), ("idempotency_key", false), ("reason", false)])
    func invalidUTF8(column: String, isSentBack: Bool) async throws {
        try await withDatabase { database in
            try database.addItem("a", 100)
            try database.enqueue(5, of: .adjust("a", -1))
            let columns = column == "item_id" ? "item_id" : "item_id, \(column)"
            let values = column == "item_id" ? #"\377"# : #"a\t\377"#
            try database.run(
                """
                COPY stockq.jobs (store_id, quantity, max_attempts, \(columns))
                FROM PROGRAM 'printf "s\\t-1\\t1\\t\(values)\\n"' WITH (ENCODING 'SQL_ASCII')
                """)
            try database.enqueue(5, of: .adjust("a", -1))
            try database.drain()
            #expect(try database.queuedJobs() == 0)
            let outcomes = try database.rows("SELECT job_id, sqlstate FROM stockq.results WHERE outcome <> 'applied'")
            #expect(outcomes == (isSentBack ? ["6,22021"] : []))
            #expect(try database.attemptsByJob().values.max() == 1)
        }
    }

    @Test(
        "the server refuses text that is not UTF-8 from all other ways",
        arguments: [
            #"INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', E'\xff', 1)"#,
            #"SET client_encoding = 'SQL_ASCII'; INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', E'\xff', 1)"#,
            #"INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', convert_from('\xff', 'SQL_ASCII'), 1)"#,
            #"COPY stockq.jobs (store_id, item_id, quantity) FROM PROGRAM 'printf "s\t\377\t1\n"'"#,
        ])
    func refusedBytes(_ sql: String) async throws {
        try await withDatabase { database in
            let failure = try database.failure(of: sql)
            #expect(failure.hasPrefix("22021"), "\(failure)")
        }
    }

    @Test(
        "the table rejects values that would stop the queue",
        arguments: [("run_at", "'infinity'"), ("run_at", "'-infinity'"), ("attempts", "32767")])
    func stoppingValues(column: String, value: String) async throws {
        try await withDatabase { database in
            let failure = try database.failure(
                of: "INSERT INTO stockq.jobs (store_id, item_id, quantity, \(column)) VALUES ('s', 'a', -1, \(value))")
            #expect(failure.hasPrefix("23514"), "\(failure)")
        }
    }
}
