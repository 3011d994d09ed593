import Foundation
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

@Suite("Jobs with a time of their own, and jobs that wait for stock") struct WaitingTests {
    @Test("scheduled jobs run when they are due, and their results keep the times") func scheduledJobs() async throws {
        try await withDatabase { database in
            try database.addItem("a", 100)
            try database.enqueue((1...20).map { .adjust("a", -1, runAt: .after("\($0 * 30) milliseconds")) })
            let workers = database.startWorkers()
            let areDone = try eventually {
                let early = try database.rows(
                    "SELECT job_id FROM stockq.results WHERE scheduled_at > clock_timestamp()")
                #expect(early == [], "finished before its time")
                return try database.resultCount() == 20
            }
            try workers.stop()
            #expect(areDone)
            let late = try database.rows(
                """
                SELECT concat_ws(' ', job_id, scheduled_at, finished_at) FROM stockq.results
                WHERE finished_at > scheduled_at + \(Self.secondsLateMax) * interval '1 second'
                """)
            #expect(late == [], "at most \(Self.secondsLateMax) s late")
        }
    }

    /// The promise is one second. A sanitizer makes everything slower and sets more with `STOCKQ_SECONDS_LATE=…`.
    private static let secondsLateMax =
        ProcessInfo.processInfo.environment["STOCKQ_SECONDS_LATE"].flatMap { Int($0) } ?? 1

    /// Defers the waiting jobs beyond every backoff step, so that only a rise of stock can promote them.
    private static func deferWaitingJobs(_ database: TestDatabase) throws {
        try database.run("UPDATE stockq.jobs SET run_at = now() + interval '1 hour'")
    }

    @Test("rising stock promotes waiting jobs in order") func promotedInOrder() async throws {
        try await withDatabase { database in
            try database.addItem("a", 0)
            try database.enqueue(
                .adjust("a", -3, policy: .wait), .adjust("a", -3, policy: .wait), .adjust("a", -1, policy: .wait))
            try database.drain()
            #expect(
                try database.value("SELECT count(*) FROM stockq.jobs WHERE run_at IS NOT NULL AND waiting_quantity > 0")
                    == "3")
            #expect(
                try database.value(
                    """
                    SELECT count(*) FROM stockq.jobs
                    WHERE expires_at BETWEEN now() + interval '6 days' AND now() + interval '8 days'
                    """) == "3", "without expires_at, waiting ends after 7 days")
            try Self.deferWaitingJobs(database)
            try database.enqueue(.adjust("a", 4))
            try database.drain()
            // 3 fits, 3 + 3 does not; the third job waits for its turn.
            #expect(try database.results() == [.applied(1, -3), .applied(4, 4)])
            #expect(try database.queuedJobs() == 2)
            try database.enqueue(.adjust("a", 3))
            try database.drain()
            #expect(
                try database.results() == [
                    .applied(1, -3), .applied(2, -3), .applied(3, -1), .applied(4, 4), .applied(5, 3),
                ])
            #expect(try database.attemptsByJob().values.max() == 1, "waiting uses up no attempts")
            try expectSoundLedger(database)
        }
    }

    @Test("many waiting jobs are promoted a few at a time") func promotedInParts() async throws {
        try await withDatabase { database in
            try database.addItem("a", 0)
            try database.enqueue(50, of: .adjust("a", -1, policy: .wait))
            try database.drain()
            try Self.deferWaitingJobs(database)
            try database.enqueue(.adjust("a", 20))
            // One poll promotes at most 8, so 20 take three.
            try database.drain { $0.promoteWaitingJobsMax = 8 }
            #expect(try database.value("SELECT count(*), min(job_id) FROM stockq.jobs") == "30,21")
            #expect(try database.value("SELECT on_hand FROM stockq.items") == "0")
        }
    }

    @Test("a waiting group waits, and is promoted, as a whole") func group() async throws {
        try await withDatabase { database in
            try database.addItem("a", 5)
            try database.addItem("b", 0)
            try database.enqueue(
                .adjust("a", -1, policy: .reject, group: "g"), .adjust("b", -2, policy: .wait, group: "g"))
            try database.drain()
            #expect(try database.value("SELECT count(*) FROM stockq.jobs WHERE run_at IS NOT NULL") == "2")
            #expect(
                try database.value("SELECT on_hand FROM stockq.items WHERE item_id = 'a'") == "5",
                "a waiting group changes nothing")
            try Self.deferWaitingJobs(database)
            try database.enqueue(.adjust("b", 2))
            try database.drain()
            #expect(try database.results() == [.applied(1, -1), .applied(2, -2), .applied(3, 2)])
        }
    }

    @Test("a job that waits past its expiry is rejected") func expired() async throws {
        try await withDatabase { database in
            try database.addItem("a", 0)
            try database.enqueue(.adjust("a", -1, policy: .wait, expiresAt: .after("200 milliseconds")))
            let workers = database.startWorkers()
            let rejected = workers.waitForBatch { $0.outcomes[.rejected] == 1 }
            try workers.stop()
            #expect(rejected)
            #expect(try database.results() == [.rejected(1, .expired)])
        }
    }

    @Test("a waiting job that another transaction has locked does not delay the restock")
    func lockedWaitingJob() async throws {
        try await withDatabase { database in
            try database.addItem("a", 0)
            try database.enqueue(.adjust("a", -1, policy: .wait), .adjust("a", -2, policy: .wait))
            try database.drain()
            let holder = try database.lockJob(1)
            try database.enqueue(.adjust("a", 10))
            let workers = database.startWorkers()
            #expect(try eventually { try database.resultCount() == 2 })
            #expect(try database.results() == [.applied(2, -2), .applied(3, 10)])
            #expect(!workers.events.all.contains { if case .batchFailed = $0 { true } else { false } })
            try holder.executeScript("COMMIT")
            // The locked job was not promoted, and becomes due by itself.
            #expect(try eventually { try database.results().first == .applied(1, -1) })
            try workers.stop()
        }
    }

    @Test("locked waiting jobs do not hold up the batch that raises their stock") func manyLockedWaitingJobs()
        async throws
    {
        try await withDatabase { database in
            try database.addItem("a", 0)
            try database.enqueue(30, of: .adjust("a", -1, policy: .wait))
            try database.drain()
            try Self.deferWaitingJobs(database)
            // More than a page is locked, and the stock rises by far more than all pages need.
            let holder = try database.lock("SELECT FROM stockq.jobs WHERE job_id <= 20 FOR UPDATE")
            try database.enqueue(.adjust("a", 1_000_000_000))
            try database.drain { $0.promoteWaitingJobsMax = 8 }
            #expect(try database.value("SELECT count(*), min(job_id) FROM stockq.results") == "11,21")
            try holder.executeScript("ROLLBACK")
            try expectSoundLedger(database)
        }
    }

    @Test("the need of locked waiting jobs counts once") func needOfLockedWaitingJobs() async throws {
        try await withDatabase { database in
            try database.addItem("a", 0)
            try database.enqueue(30, of: .adjust("a", -1, policy: .wait))
            try database.drain()
            try Self.deferWaitingJobs(database)
            let holder = try database.lock("SELECT FROM stockq.jobs WHERE job_id <= 10 FOR UPDATE")
            try database.enqueue(.adjust("a", 25))
            try database.drain { $0.promoteWaitingJobsMax = 8 }
            // 25 jobs fit, ten of them are locked.
            #expect(
                try database.value("SELECT count(*), min(job_id) FROM stockq.results WHERE job_id <= 30") == "15,11")
            try holder.executeScript("ROLLBACK")
        }
    }

    @Test("the past-due jobs of one store do not delay those of another") func pastDueJobs() async throws {
        try await withDatabase { database in
            try database.addItem("a", 100_000)
            try database.enqueue(5_000, of: .adjust("a", -1, runAt: .after("-1 hour")))
            try database.enqueue(.adjust("a", -1, store: "t", runAt: .after("-1 ms")))
            try database.drain { $0.promoteDueJobsMax = 100 }
            let after = try database.value(
                """
                SELECT count(*) FROM stockq.results
                WHERE finished_at > (SELECT finished_at FROM stockq.results WHERE store_id = 't')
                """)
            #expect(try #require(Int(after)) > 4_000, "the other store's job came among the first")
        }
    }

    @Test("due jobs that are locked are promoted when the lock is gone, others before") func lockedDueJobs()
        async throws
    {
        try await withDatabase { database in
            try database.addItem("a", 100)
            try database.enqueue(10, of: .adjust("a", -1, runAt: .after("-1 hour")))
            let holder = try database.lock("SELECT FROM stockq.jobs FOR UPDATE")
            let workers = database.startWorkers { $0.promoteDueJobsMax = 4 }
            try database.enqueue(.adjust("a", -1, runAt: .after("100 ms")))
            #expect(try eventually { try database.hasResult(11) })
            #expect(try database.resultCount() == 1)
            try holder.executeScript("ROLLBACK")
            #expect(try eventually { try database.resultCount() == 11 })
            try workers.stop()
        }
    }

    @Test("a due job that no worker has promoted counts as ready") func dueStates() async throws {
        try await withDatabase { database in
            try database.addItem("a", 0)
            try database.enqueue(.adjust("a", -1, policy: .wait))
            try database.drain()
            try database.enqueue(
                .adjust("a", -1, runAt: .after("-90 seconds")), .adjust("a", -1, runAt: .after("1 hour")),
                .adjust("a", -1))
            try database.run("UPDATE stockq.jobs SET enqueued_at = now() - interval '2 minutes' WHERE job_id = 2")
            try database.run("UPDATE stockq.jobs SET run_at = now() + interval '1 hour' WHERE job_id = 1")
            let states = "SELECT job_id, state FROM stockq.job_states ORDER BY job_id"
            #expect(try database.rows(states) == ["1,waiting", "2,ready", "3,scheduled", "4,ready"])
            let inspector = Inspector(connection: try database.connect(), schema: database.schema)
            let queue = try inspector.statistics(seconds: 60).value.queue
            #expect((queue.ready, queue.scheduled, queue.waiting, queue.lanes) == (2, 1, 1, 1))
            let age = try #require(queue.oldestReadySeconds)
            #expect(age >= 90 && age < 115, "since the job was due, not since it was enqueued: \(age)")
            // A waiting job that is due is only looked at again: it still waits, until a rise of stock promotes it.
            try database.run("UPDATE stockq.jobs SET run_at = now() - interval '1 hour' WHERE job_id = 1")
            #expect(try database.rows(states).first == "1,waiting")
            let due = try inspector.statistics(seconds: 60).value.queue
            #expect((due.ready, due.scheduled, due.waiting, due.lanes) == (2, 1, 1, 1))
            #expect(try #require(due.oldestReadySeconds) < 300)
            #expect(
                try database.value("SELECT queued FROM stockq.stock('s', '{a}', true)") == "-2", "of the ready ones")
            try database.run("UPDATE stockq.jobs SET run_at = NULL WHERE job_id = 1")
            #expect(try database.rows(states).first == "1,ready")
        }
    }

    @Test("a result keeps the time that the producer set") func producersTime() async throws {
        try await withDatabase { database in
            try database.addItem("a", 0)
            try database.run("SELECT stockq.set_time_limit(36500)")
            // The group includes its deferred line, which waits with it; the time remains the producer's.
            try database.enqueue(
                .adjust("a", -1, policy: .wait, group: "g"),
                .adjust("a", -1, policy: .wait, group: "g", runAt: .at("2126-01-01Z")))
            try database.drain()
            try database.enqueue(.adjust("a", 2))
            try database.drain()
            #expect(try database.results() == [.applied(1, -1), .applied(2, -1), .applied(3, 2)])
            #expect(
                try database.rows("SELECT scheduled_at AT TIME ZONE 'UTC' FROM stockq.results ORDER BY job_id") == [
                    "", "2126-01-01 00:00:00", "",
                ])
        }
    }
}
