import Foundation
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// What an administrator does, and what becomes of the jobs.
@Suite("Admin") struct AdminTests {
    private static let items =
        "INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 10), ('t', 'a', 10);"

    private static func results(_ database: TestDatabase) throws -> [String] {
        try database.rows(
            "SELECT concat_ws(' ', store_id, item_id, quantity, outcome, code) FROM stockq.results ORDER BY job_id")
    }

    @Test("canceling a job cancels its whole group") func cancelingCancelsTheGroup() async throws {
        try await withDatabase { database in
            try database.run(
                Self.items + """
                    INSERT INTO stockq.jobs (store_id, item_id, quantity, group_id, reference, idempotency_key) VALUES
                    ('s', 'a', -1, 'g', NULL, 'k'), ('s', 'a', -2, NULL, NULL, NULL), ('s', 'a', -3, 'g', NULL, NULL), ('t', 'a', -4, 'g', NULL, NULL),
                    ('s', 'a', -5, NULL, 'order', NULL);
                    SELECT stockq.cancel_jobs(ARRAY[(SELECT min(job_id) FROM stockq.jobs)], reason => 'by mistake');
                    SELECT stockq.cancel_jobs(store_id => 's', reference => 'order')
                    """)
            try database.drain()
            #expect(
                try Self.results(database) == [
                    "s a -1 canceled", "s a -2 applied", "s a -3 canceled", "t a -4 applied", "s a -5 canceled",
                ])
            #expect(
                try database.rows("SELECT DISTINCT message FROM stockq.results WHERE group_id = 'g' AND store_id = 's'")
                    == ["by mistake"])
            #expect(
                try database.rows("SELECT concat_ws(' ', state, outcome) FROM stockq.find_group('s', 'g')") == [
                    "finished canceled", "finished canceled",
                ])
            #expect(
                try database.rows("SELECT concat_ws(' ', who, verb, jobs) FROM stockq.operations ORDER BY 1") == [
                    "stockq cancel 1", "stockq cancel 2",
                ])
            // The key is free, and a finished job cannot be canceled.
            #expect(
                try database.value("SELECT is_duplicate FROM stockq.enqueue('s', 'a', -1, idempotency_key => 'k')")
                    == "f")
            #expect(try database.rows("SELECT stockq.cancel_jobs(ARRAY(SELECT job_id FROM stockq.results))") == [])
            try expectSoundLedger(database)
        }
    }

    @Test("an operation records the first 10,000 ids of a long list, and a cancellation of nothing is not recorded")
    func longLists() async throws {
        try await withDatabase { database in
            let ids = "ARRAY(SELECT generate_series(1::bigint, 10001))"
            #expect(try database.rows("SELECT stockq.cancel_jobs(\(ids))") == [])
            #expect(try database.rows("SELECT * FROM stockq.operations") == [])
            let calls = ["cancel_jobs(\(ids))", "reprioritize(3, \(ids))"]
            for call in calls {
                try database.run(
                    """
                    INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'a', -1);
                    SELECT stockq.\(call)
                    """)
            }
            #expect(
                try database.rows(
                    """
                    SELECT verb, jobs, jsonb_array_length(subject -> 'jobs'), subject ->> 'jobs_named'
                    FROM stockq.operations ORDER BY operation_id
                    """) == ["cancel,1,10000,10001", "reprioritize,1,10000,10001"])
            #expect(
                try database.connect().failure(of: "SELECT stockq.cancel_jobs('{1}', reason => repeat('x', 2001))")
                    == "22023 the reason has 2001 bytes, at most 2000 are allowed")
        }
    }

    @Test("a job is retried once, and the retry names it") func retries() async throws {
        try await withDatabase { database in
            try database.run(
                Self.items + """
                    INSERT INTO stockq.jobs (store_id, item_id, quantity, group_id, idempotency_key) VALUES
                    ('s', 'a', -99, NULL, 'k'), ('s', 'a', -1, 'g', 'kg'), ('s', 'a', -98, 'g', NULL), ('s', 'a', -1, NULL, NULL)
                    """)
            try database.drain()
            try database.run("UPDATE stockq.items SET on_hand = 200, opening_on_hand = 201 WHERE store_id = 's'")
            #expect(try database.rows("SELECT count(*) FROM stockq.retry_jobs(code => 'insufficient_stock')") == ["3"])
            #expect(try database.rows("SELECT count(*) FROM stockq.retry_jobs(code => 'insufficient_stock')") == ["0"])
            let first = try database.value("SELECT min(job_id) FROM stockq.results")
            #expect(try database.rows("SELECT count(*) FROM stockq.retry_jobs(ARRAY[\(first)])") == ["0"])
            try database.drain()
            #expect(
                try Self.results(database).suffix(3) == ["s a -99 applied", "s a -1 applied", "s a -98 applied"])
            #expect(
                try database.rows(
                    """
                    SELECT concat_ws(' ', again.quantity, first.code) FROM stockq.results AS again
                    JOIN stockq.results AS first ON first.job_id = again.retry_of ORDER BY again.job_id
                    """) == ["-99 insufficient_stock", "-1 group_rejected", "-98 insufficient_stock"])
            let rejected = #expect(throws: PostgresError.self) {
                try database.run(
                    "SELECT stockq.retry_jobs(ARRAY(SELECT job_id FROM stockq.results WHERE outcome = 'applied' LIMIT 1))"
                )
            }
            #expect(
                rejected?.sqlState?.rawValue == "55000"
                    && rejected?.message.hasSuffix("was applied, and cannot be retried") == true
            )
        }
    }

    @Test("an administrator names one submission of a group by a job, and all of them by the name")
    func eachSubmissionIsAGroup() async throws {
        try await withDatabase { database in
            let insert = "INSERT INTO stockq.jobs (store_id, item_id, quantity, group_id) VALUES "
            for quantity in [-1, -2, -3] {
                try database.run(insert + "('s', 'a', \(quantity), 'g'), ('s', 'a', \(quantity), 'g')")
            }
            #expect(try database.rows("SELECT stockq.cancel_jobs('{3}')") == ["3", "4"])
            #expect(try database.value("SELECT stockq.reprioritize(1, '{5}')") == "2")
            #expect(
                try database.rows("SELECT job_id, group_last_job_id FROM stockq.results ORDER BY 1") == ["3,4", "4,"])
            #expect(try database.rows("SELECT stockq.cancel_jobs(store_id => 's', group_id => 'g')").count == 4)
            #expect(
                try database.rows("SELECT job_id, group_last_job_id FROM stockq.results ORDER BY 1") == [
                    "1,2", "2,", "3,4", "4,", "5,6", "6,",
                ])
            #expect(
                try database.rows(
                    "SELECT count(*), count(DISTINCT submission_id) FROM stockq.find_group('s', 'g')") == ["6,3"])
        }
    }

    @Test("a retried group is the whole group of one submission, and keeps it; a retried job is the retry's own")
    func aRetryKeepsTheSubmission() async throws {
        try await withDatabase { database in
            let insert = "INSERT INTO stockq.jobs (store_id, item_id, quantity, group_id) VALUES "
            for _ in 1...2 {
                try database.run(insert + "('s', 'a', -1, 'g'), ('s', 'a', -2, 'g'), ('s', 'a', -3, NULL)")
            }
            _ = try database.rows("SELECT stockq.cancel_jobs(ARRAY(SELECT job_id FROM stockq.jobs))")
            #expect(try database.rows("SELECT retry_of FROM stockq.retry_jobs('{2}')") == ["1", "2"])
            #expect(try database.rows("SELECT retry_of FROM stockq.retry_jobs('{3,4}')") == ["3", "4", "5"])
            #expect(
                try database.rows(
                    """
                    SELECT job.retry_of, job.submission_id = first.submission_id
                    FROM stockq.jobs AS job JOIN stockq.results AS first ON first.job_id = job.retry_of
                    ORDER BY 1
                    """) == ["1,t", "2,t", "3,f", "4,t", "5,t"])
            // The retry of a retry is a group of its own too.
            _ = try database.rows("SELECT stockq.cancel_jobs(ARRAY(SELECT job_id FROM stockq.jobs WHERE retry_of = 1))")
            let again = try database.rows(
                "SELECT retry_of FROM stockq.retry_jobs(ARRAY(SELECT job_id FROM stockq.results WHERE retry_of = 2))")
            #expect(again.count == 2)
            #expect(
                try database.failure(
                    of: """
                        BEGIN;
                        SELECT stockq.cancel_jobs(ARRAY(SELECT job_id FROM stockq.jobs WHERE retry_of = 4));
                        SELECT stockq.wait_for_result((
                            SELECT max(job_id) FROM stockq.retry_jobs(ARRAY(SELECT job_id FROM stockq.results WHERE retry_of = 4))
                        ), 60000)
                        """
                ).hasPrefix("55000"))
        }
    }

    @Test("the jobs of a paused store are taken out of the ready index until it is resumed")
    func pausedStore() async throws {
        try await withDatabase { database in
            try database.run(
                Self.items + """
                    SELECT stockq.pause(store_id => 's');
                    INSERT INTO stockq.jobs (store_id, item_id, quantity, group_id, ordering_key, run_at) VALUES
                    ('s', 'a', -1, NULL, NULL, NULL), ('s', 'a', -1, 'g', NULL, NULL), ('s', 'a', -1, 'g', NULL, NULL),
                    ('s', 'a', -1, NULL, 'o', NULL), ('s', 'a', -1, NULL, NULL, now() + interval '10 ms'), ('t', 'a', -1, NULL, NULL, NULL)
                    """)
            try database.drain()
            #expect(try Self.results(database) == ["t a -1 applied"])
            #expect(
                try database.rows("SELECT DISTINCT state FROM stockq.job_states WHERE outcome IS NULL") == ["paused"])
            #expect(try database.value("SELECT count(*) FROM stockq.jobs WHERE run_at IS NULL") == "0")
            let inspector = Inspector(connection: try database.connect(), schema: .standard)
            #expect(try inspector.statistics(seconds: 60).value.queue.paused == 5)
            // Resuming makes all of them ready.
            #expect(try database.value("SELECT stockq.resume(store_id => 's')") == "5")
            try database.drain()
            #expect(try database.value("SELECT on_hand FROM stockq.items WHERE store_id = 's'") == "5")
            #expect(try database.value("SELECT count(*) FROM stockq.results WHERE scheduled_at IS NOT NULL") == "1")
            #expect(
                try database.rows("SELECT concat_ws(' ', verb, jobs) FROM stockq.operations ORDER BY operation_id") == [
                    "pause", "resume 5",
                ])
            try expectSoundLedger(database)
        }
    }

    @Test(
        "a paused lane is not worked",
        arguments: ["lane => (SELECT lane FROM stockq.jobs LIMIT 1)", "everything => true"])
    func aPausedLaneIsNotWorked(_ what: String) async throws {
        try await withDatabase { database in
            try database.run(
                Self.items
                    + "INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'a', -1); SELECT stockq.pause(\(what))"
            )
            try database.drain()
            #expect(try Self.results(database) == [])
            try database.run("SELECT stockq.resume(\(what))")
            try database.drain()
            #expect(try Self.results(database) == ["s a -1 applied"])
        }
    }

    @Test("a pause of a lane ends when the lane or everything is resumed, not when a store is")
    func kindsOfPauses() async throws {
        try await withDatabase { database in
            try database.run("SELECT stockq.pause(lane => 7); SELECT stockq.pause(store_id => 's')")
            try database.run("SELECT stockq.resume(store_id => 's')")
            #expect(try database.rows("SELECT lane FROM stockq.lanes WHERE paused_at IS NOT NULL") == ["7"])
            try database.run("SELECT stockq.pause(store_id => 's'); SELECT stockq.resume(lane => 8)")
            #expect(try database.rows("SELECT lane FROM stockq.lanes WHERE paused_at IS NOT NULL") == ["7"])
            #expect(try database.rows("SELECT store_id FROM stockq.paused_stores") == ["s"])
            try database.run("SELECT stockq.resume(everything => true)")
            #expect(
                try database.value("SELECT count(*) FROM stockq.lanes WHERE paused_at IS NOT NULL OR has_paused_stores")
                    == "0")
        }
    }

    @Test("when a pause has returned, running workers finish no more jobs of the store")
    func pausingWhileWorkersWork() async throws {
        try await withDatabase { database in
            try database.run(Self.items)
            let workers = database.startWorkers { $0.batchJobsMax = 20 }
            let connection = try database.connect()
            for _ in 0..<5 {
                try connection.executeScript(
                    "INSERT INTO stockq.jobs (store_id, item_id, quantity) SELECT chr(115 + i % 2), 'a', 1 FROM generate_series(1, 2000) AS i"
                )
                try connection.executeScript("SELECT stockq.pause(store_id => 's')")
                let done = try database.value("SELECT count(*) FROM stockq.results WHERE store_id = 's'")
                #expect(
                    eventually { (try? database.value("SELECT count(*) FROM stockq.jobs WHERE run_at IS NULL")) == "0" }
                )
                #expect(try database.value("SELECT count(*) FROM stockq.results WHERE store_id = 's'") == done)
                try connection.executeScript("SELECT stockq.resume(store_id => 's')")
            }
            #expect(eventually { (try? database.value("SELECT count(*) FROM stockq.jobs")) == "0" })
            try workers.stop()
            #expect(try database.rows("SELECT on_hand FROM stockq.items") == ["5010", "5010"])
            try expectSoundLedger(database)
        }
    }

    /// It takes seconds for some hundred thousand jobs. Another change of queued jobs waits for it.
    @Test("while the jobs of a store are resumed, those of the others are worked") func workDuringResume() async throws
    {
        try await withDatabase { database in
            try database.run(
                Self.items + """
                    SELECT stockq.pause(store_id => 's');
                    INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'a', -1), ('s', 'a', -1)
                    """)
            let workers = database.startWorkers()
            #expect(
                try eventually {
                    try database.value("SELECT count(*) FROM stockq.jobs WHERE run_at = 'infinity'") == "2"
                })
            let holder = try database.lockJob(1)
            let resume = Background {
                let resumed = try database.value("SELECT stockq.resume(store_id => 's')")
                #expect(resumed == "3")
            }
            #expect(try eventually { try database.sessionsWaitingForLocks() == 1 })
            let reprioritize = Background {
                try database.run("SELECT stockq.reprioritize(priority => 1, job_ids => '{1, 2}')")
            }
            #expect(try eventually { try database.sessionsWaitingForLocks() == 2 })
            // The store is still paused for a job that comes in now.
            try database.enqueue(.adjust("a", -2), .adjust("a", -3, store: "t"))
            let applied = "SELECT store_id, quantity FROM stockq.results ORDER BY job_id"
            #expect(try eventually { try database.rows(applied) == ["t,-3"] })
            #expect(
                try eventually {
                    try database.value("SELECT count(*) FROM stockq.jobs WHERE run_at = 'infinity'") == "3"
                })
            // A pause of another store does not wait, one of this store does.
            try database.run("SELECT stockq.pause(store_id => 't'); SELECT stockq.resume(store_id => 't')")
            let pause = Background { try database.run("SELECT stockq.pause(store_id => 's')") }
            #expect(try eventually { try database.sessionsWaitingForLocks() == 3 })
            try holder.executeScript("COMMIT")
            try resume.wait()
            try pause.wait()
            #expect(try database.value("SELECT store_id FROM stockq.paused_stores") == "s")
            try database.run("SELECT stockq.resume(store_id => 's')")
            try reprioritize.wait()
            #expect(try eventually { try database.rows(applied) == ["s,-1", "s,-1", "s,-2", "t,-3"] })
            try workers.stop()
            try expectSoundLedger(database)
        }
    }

    @Test(
        "in a transaction with one snapshot, a change of the queue could miss jobs, and is refused",
        arguments: ["pause(store_id => 's')", "resume(everything => true)", "reprioritize(1, job_ids => '{1}')"])
    func oneSnapshot(_ call: String) async throws {
        try await withDatabase { database in
            let connection = try database.connect()
            try connection.executeScript("BEGIN ISOLATION LEVEL REPEATABLE READ")
            let error = #expect(throws: PostgresError.self) { try connection.executeScript("SELECT stockq.\(call)") }
            #expect(error?.sqlState?.rawValue == "55000")
        }
    }

    /// The low-water marks of the workers are above the jobs that are resumed.
    @Test("resumed jobs are applied before jobs that were enqueued later")
    func resumedJobsAreNotOvertaken() async throws {
        try await withDatabase { database in
            try database.run(Self.items)
            let workers = database.startWorkers()
            let connection = try database.connect()
            let lane = try database.value("SELECT stockq.strand_of('s', NULL, 1) >> 24")
            for (pause, resume) in [
                ("pause(store_id => 's')", "resume(store_id => 's')"),
                ("pause(lane => \(lane))", "resume(lane => \(lane))"),
            ] {
                try connection.executeScript("SELECT stockq.\(pause)")
                try connection.executeScript(
                    "INSERT INTO stockq.jobs (store_id, item_id, quantity, action) VALUES ('s', 'a', 500, 'set')")
                // Workers apply other jobs, which raises the marks.
                for _ in 0..<300 {
                    try connection.executeScript(
                        "INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('t', 'a', 1)")
                }
                #expect(
                    eventually { (try? database.value("SELECT count(*) FROM stockq.jobs WHERE store_id = 't'")) == "0" }
                )
                try connection.executeScript(
                    "SELECT stockq.\(resume)")
                try connection.executeScript(
                    "INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'a', -1)")
                #expect(eventually { (try? database.value("SELECT count(*) FROM stockq.jobs")) == "0" })
                #expect(try database.value("SELECT on_hand FROM stockq.items WHERE store_id = 's'") == "499")
                try connection.executeScript("SELECT stockq.enqueue('s', 'a', 10, action => 'set')")
                #expect(eventually { (try? database.value("SELECT count(*) FROM stockq.jobs")) == "0" })
            }
            try workers.stop()
        }
    }

    @Test("a job that was rejected for its idempotency key cannot be retried") func rejectedForItsKey() async throws {
        try await withDatabase { database in
            let lines = "('s', 'a', -1, 'pg', 'pg/1'), ('s', 'a', -2, 'pg', 'pg/2')"
            let insert = "INSERT INTO stockq.jobs (store_id, item_id, quantity, group_id, idempotency_key) VALUES "
            try database.run(Self.items + insert + lines)
            try database.drain()
            try database.run(insert + lines + ", ('s', 'a', -3, 'pg', 'pg/3')")
            try database.drain()
            for code in ["group_rejected", "idempotency_mismatch"] {
                #expect(try database.rows("SELECT 1 FROM stockq.retry_jobs(code => '\(code)')") == [])
            }
            let last = try database.value("SELECT max(job_id) FROM stockq.results")
            let rejected = #expect(throws: PostgresError.self) {
                try database.run("SELECT stockq.retry_jobs('{\(last)}')")
            }
            #expect(rejected?.message == "job \(last) was rejected for its idempotency key, and cannot be retried")
            let none = #expect(throws: PostgresError.self) { try database.run("SELECT stockq.retry_jobs('{NULL,1}')") }
            #expect(none?.sqlState?.rawValue == "55000")
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "0")
        }
    }

    @Test("priorities of jobs and attributes of items change") func prioritiesAndAttributes() async throws {
        try await withDatabase { database in
            try database.run(
                Self.items + """
                    INSERT INTO stockq.jobs (store_id, item_id, quantity, group_id) VALUES ('s', 'a', -9, NULL), ('s', 'a', -5, 'g'), ('s', 'a', -2, 'g');
                    """)
            #expect(try database.value("SELECT stockq.reprioritize(1, store_id => 's', group_id => 'g')") == "2")
            try database.drain { $0.workers = 1 }
            #expect(
                try Self.results(database) == [
                    "s a -9 rejected insufficient_stock", "s a -5 applied", "s a -2 applied",
                ])
            #expect(
                try database.value(
                    "SELECT stockq.set_item('s', 'a', low_stock_threshold => 4, parent_id => 'p', tracked => false)")
                    == "t")
            #expect(
                try database.value(
                    "SELECT concat_ws(' ', low_stock_threshold, parent_id, tracked) FROM stockq.items WHERE store_id = 's'"
                )
                    == "4 p f")
            #expect(
                try database.value("SELECT stockq.set_item('s', 'a', clear => '{low_stock_threshold,parent_id}')")
                    == "t")
            #expect(
                try database.value(
                    "SELECT concat_ws(' ', low_stock_threshold, parent_id, tracked) FROM stockq.items WHERE store_id = 's'"
                )
                    == "f")
            #expect(try database.value("SELECT stockq.set_item('s', 'nothing', tracked => true)") == "f")
        }
    }
}
