import Foundation
import Postgres
import StockQueue
import TestSupport
import Testing

/// What the queue promises beyond the judgement: groups, deferral, waiting, held rows, bad jobs, several processes.
@Suite struct QueueTests {
    private static func addItem(_ database: TestDatabase, _ id: String, _ onHand: Int, threshold: Int? = nil) throws {
        try database.run(
            "INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold) VALUES ('s', '\(id)', \(onHand), \(threshold.map(String.init) ?? "NULL"))"
        )
    }

    private static func enqueue(_ database: TestDatabase, _ columns: String, _ values: String) throws {
        try database.run("INSERT INTO stockq.jobs (store_id, \(columns)) VALUES \(values)")
    }

    private static func results(_ database: TestDatabase) throws -> [String] {
        try database.rows(
            "SELECT concat_ws(' ', job_id, outcome, code, applied_quantity) FROM stockq.results ORDER BY job_id")
    }

    // MARK: groups

    @Test(arguments: [1, 2, 3, 100]) func aGroupIsNeverCut(batchMax: Int) async throws {
        try await withDatabase { database in
            try Self.addItem(database, "a", 10)
            try Self.enqueue(
                database, "item_id, quantity, group_id",
                "('s', 'a', -4, NULL), ('s', 'a', -3, 'g'), ('s', 'a', -1, NULL), ('s', 'a', -4, 'g'), ('s', 'a', -1, NULL)"
            )
            try database.drain { $0.batchJobsMax = batchMax }
            // The group stands at its first line, takes its other line along, and is refused whole.
            #expect(
                try Self.results(database) == [
                    "1 applied -4", "2 rejected group_rejected 0", "3 applied -1", "4 rejected insufficient_stock 0",
                    "5 applied -1",
                ])
        }
    }

    @Test func aGroupTakesItsDeferredAndLowerLinesAlong() async throws {
        try await withDatabase { database in
            try Self.addItem(database, "a", 10)
            try Self.enqueue(
                database, "item_id, quantity, group_id, priority, run_at",
                """
                ('s', 'a', -1, 'g', 4, NULL), ('s', 'a', -1, 'g', 2, now() + interval '1 day'),
                ('s', 'a', -1, 'g', 1, NULL), ('s', 'a', -1, NULL, 2, NULL)
                """)
            try database.drain { $0.batchJobsMax = 1 }
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "0")
            // Versions tell the order: the whole group, in job order, at the place of its priority-1 line.
            #expect(
                try database.rows("SELECT job_id, version FROM stockq.results ORDER BY version") == [
                    "1,1", "2,2", "3,3", "4,4",
                ])
        }
    }

    @Test func aGroupOfWhichSomebodyHoldsALineIsLeftWhole() async throws {
        try await withDatabase { database in
            try Self.addItem(database, "a", 10)
            try Self.addItem(database, "b", 10)
            try Self.enqueue(
                database, "item_id, quantity, group_id",
                "('s', 'a', -1, 'g'), ('s', 'b', -1, 'g'), ('s', 'a', -1, NULL), ('s', 'b', -1, NULL)")
            let operatorSession = try database.connect()
            try operatorSession.executeScript("BEGIN")
            try operatorSession.executeScript("SELECT * FROM stockq.jobs WHERE job_id = 2 FOR UPDATE")
            let events = Events()
            let pool = WorkerPool(
                connection: database.settings, schema: .standard, settings: WorkerSettings(), drains: true,
                tell: events.take)
            let ended = Background { pool.run() }
            let left = events.wait {
                if case .batch(_, _, _, let finished, _, _, _, let left, _) = $0 {
                    finished == 0 && left == 4
                } else {
                    false
                }
            }
            #expect(left, "everything is left: the group, and what comes after it on its items")
            try operatorSession.executeScript("ROLLBACK")
            try ended.wait()
            #expect(
                try database.rows("SELECT job_id, version FROM stockq.results ORDER BY job_id") == [
                    "1,1", "2,1", "3,2", "4,2",
                ])
        }
    }

    // MARK: order

    @Test func higherPriorityGoesFirstAndIdsKeepTheOrder() async throws {
        try await withDatabase { database in
            try Self.addItem(database, "a", 2)
            try Self.enqueue(
                database, "item_id, quantity, priority",
                "('s', 'a', -1, 3), ('s', 'a', -1, 2), ('s', 'a', -1, 2), ('s', 'a', -1, 1)")
            try database.drain { $0.batchJobsMax = 2 }
            #expect(
                try Self.results(database) == [
                    "1 rejected insufficient_stock 0", "2 applied -1", "3 rejected insufficient_stock 0",
                    "4 applied -1",
                ])
        }
    }

    @Test func aSetLandsBetweenTheDeltasAroundIt() async throws {
        try await withDatabase { database in
            try Self.addItem(database, "a", 10)
            try Self.enqueue(
                database, "item_id, quantity, action",
                "('s', 'a', -1, 'adjust'), ('s', 'a', 100, 'set'), ('s', 'a', -1, 'adjust')")
            try database.drain()
            #expect(try database.value("SELECT on_hand FROM stockq.items") == "99")
        }
    }

    // MARK: deferred and waiting jobs

    @Test func scheduledJobsRunWhenTheyAreDueAndKeepTheirTimes() async throws {
        try await withDatabase { database in
            try Self.addItem(database, "a", 100)
            try database.run(
                """
                INSERT INTO stockq.jobs (store_id, item_id, quantity, run_at)
                SELECT 's', 'a', -1, now() + i * interval '30 milliseconds' FROM generate_series(1, 20) AS i
                """)
            let pool = WorkerPool(
                connection: database.settings, schema: .standard, settings: WorkerSettings(), tell: { _ in })
            let ended = Background { pool.run() }
            let areDone = try eventually {
                let early = try database.rows(
                    "SELECT job_id FROM stockq.results WHERE scheduled_at > clock_timestamp()")
                #expect(early == [], "done before its time")
                return try database.value("SELECT count(*) FROM stockq.results") == "20"
            }
            pool.finish()
            try ended.wait()
            #expect(areDone)
            let late = try database.rows(
                """
                SELECT concat_ws(' ', job_id, scheduled_at, finished_at) FROM stockq.results
                WHERE finished_at > scheduled_at + \(Self.secondsLateMax) * interval '1 second'
                """)
            #expect(late == [], "at most \(Self.secondsLateMax) s late")
        }
    }

    /// One second is promised; a sanitizer, which makes everything slower, asks for more with `STOCKQ_SECONDS_LATE=…`.
    private static let secondsLateMax =
        ProcessInfo.processInfo.environment["STOCKQ_SECONDS_LATE"].flatMap { Int($0) } ?? 1

    @Test func aWaitingJobIsWokenByRisingStockInOrder() async throws {
        try await withDatabase { database in
            try Self.addItem(database, "a", 0)
            try Self.enqueue(
                database, "item_id, quantity, on_insufficient",
                "('s', 'a', -3, 'wait'), ('s', 'a', -3, 'wait'), ('s', 'a', -1, 'wait')")
            try database.drain()
            #expect(
                try database.value("SELECT count(*) FROM stockq.jobs WHERE run_at IS NOT NULL AND waiting_quantity > 0")
                    == "3")
            #expect(
                try database.value(
                    "SELECT count(*) FROM stockq.jobs WHERE expires_at BETWEEN now() + interval '6 days' AND now() + interval '8 days'"
                )
                    == "3", "without expires_at, waiting ends after 7 days")
            // Too far off for the backoff step, so that only the rise can wake them.
            try database.run("UPDATE stockq.jobs SET run_at = now() + interval '1 hour'")
            try Self.enqueue(database, "item_id, quantity", "('s', 'a', 4)")
            try database.drain()
            // 3 fits, 3 + 3 does not; the one behind it waits for its turn.
            #expect(try Self.results(database) == ["1 applied -3", "4 applied 4"])
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "2")
            try Self.enqueue(database, "item_id, quantity", "('s', 'a', 3)")
            try database.drain()
            #expect(
                try Self.results(database) == [
                    "1 applied -3", "2 applied -3", "3 applied -1", "4 applied 4", "5 applied 3",
                ])
            #expect(
                try database.value("SELECT max(attempts) FROM stockq.results") == "1", "waiting uses up no attempts")
            try expectSoundBooks(database.connect())
        }
    }

    @Test func aHerdOfWaitingJobsIsWokenPieceByPiece() async throws {
        try await withDatabase { database in
            try Self.addItem(database, "a", 0)
            try database.run(
                "INSERT INTO stockq.jobs (store_id, item_id, quantity, on_insufficient) SELECT 's', 'a', -1, 'wait' FROM generate_series(1, 50)"
            )
            try database.drain()
            try database.run("UPDATE stockq.jobs SET run_at = now() + interval '1 hour'")
            try Self.enqueue(database, "item_id, quantity", "('s', 'a', 20)")
            // One look takes in 8, so waking 20 takes three.
            try database.drain { $0.wakeWaitingMax = 8 }
            #expect(try database.value("SELECT count(*), min(job_id) FROM stockq.jobs") == "30,21")
            #expect(try database.value("SELECT on_hand FROM stockq.items") == "0")
        }
    }

    @Test func aWaitingGroupWaitsAndWakesWhole() async throws {
        try await withDatabase { database in
            try Self.addItem(database, "a", 5)
            try Self.addItem(database, "b", 0)
            try Self.enqueue(
                database, "item_id, quantity, on_insufficient, group_id",
                "('s', 'a', -1, 'reject', 'g'), ('s', 'b', -2, 'wait', 'g')")
            try database.drain()
            #expect(try database.value("SELECT count(*) FROM stockq.jobs WHERE run_at IS NOT NULL") == "2")
            #expect(
                try database.value("SELECT on_hand FROM stockq.items WHERE item_id = 'a'") == "5",
                "it holds nothing while it waits")
            try database.run("UPDATE stockq.jobs SET run_at = now() + interval '1 hour'")
            try Self.enqueue(database, "item_id, quantity", "('s', 'b', 2)")
            try database.drain()
            #expect(try Self.results(database) == ["1 applied -1", "2 applied -2", "3 applied 2"])
        }
    }

    @Test func aJobThatWaitedTooLongIsExpired() async throws {
        try await withDatabase { database in
            try Self.addItem(database, "a", 0)
            try Self.enqueue(
                database, "item_id, quantity, on_insufficient, expires_at",
                "('s', 'a', -1, 'wait', now() + interval '200 milliseconds')")
            let events = Events()
            let pool = WorkerPool(
                connection: database.settings, schema: .standard, settings: WorkerSettings(), tell: events.take)
            let ended = Background { pool.run() }
            let rejected = events.wait { if case .batch(_, _, _, _, _, 1, _, _, _) = $0 { true } else { false } }
            pool.finish()
            try ended.wait()
            #expect(rejected)
            #expect(try Self.results(database) == ["1 rejected expired 0"])
        }
    }

    @Test func aHeldWaitingJobDoesNotHoldTheRestockUp() async throws {
        try await withDatabase { database in
            try Self.addItem(database, "a", 0)
            try Self.enqueue(
                database, "item_id, quantity, on_insufficient", "('s', 'a', -1, 'wait'), ('s', 'a', -2, 'wait')")
            try database.drain()
            let holder = try database.connect()
            try holder.executeScript("BEGIN")
            try holder.executeScript("SELECT FROM stockq.jobs WHERE job_id = 1 FOR UPDATE")
            try Self.enqueue(database, "item_id, quantity", "('s', 'a', 10)")
            let events = Events()
            let pool = WorkerPool(
                connection: database.settings, schema: .standard, settings: WorkerSettings(),
                tell: events.take)
            let ended = Background { pool.run() }
            #expect(try eventually { try database.value("SELECT count(*) FROM stockq.results") == "2" })
            #expect(try Self.results(database) == ["2 applied -2", "3 applied 10"])
            #expect(!events.all.contains { if case .batchFailed = $0 { true } else { false } })
            try holder.executeScript("COMMIT")
            // The held job was passed over, and comes due by itself.
            #expect(try eventually { try Self.results(database).first == "1 applied -1" })
            pool.finish()
            try ended.wait()
        }
    }

    @Test func theProducersTimeIsKept() async throws {
        try await withDatabase { database in
            try Self.addItem(database, "a", 0)
            // A deferred line is taken along, and waits with its group; its time stays the producer's.
            try Self.enqueue(
                database, "item_id, quantity, on_insufficient, group_id, run_at",
                "('s', 'a', -1, 'wait', 'g', NULL), ('s', 'a', -1, 'wait', 'g', '2126-01-01Z')")
            try database.drain()
            try Self.enqueue(database, "item_id, quantity", "('s', 'a', 2)")
            try database.drain()
            #expect(
                try database.rows(
                    "SELECT job_id, outcome, scheduled_at AT TIME ZONE 'UTC' FROM stockq.results ORDER BY 1") == [
                        "1,applied,", "2,applied,2126-01-01 00:00:00", "3,applied,",
                    ])
        }
    }

    // MARK: held stock

    @Test func aGroupWithAHeldLineKeepsItsPlace() async throws {
        try await withDatabase { database in
            for item in ["a", "b"] { try Self.addItem(database, item, 10) }
            try Self.enqueue(
                database, "item_id, quantity, group_id",
                "('s', 'a', -1, 'g'), ('s', 'b', -5, NULL), ('s', 'b', -1, 'g')")
            let holder = try database.connect()
            try holder.executeScript("BEGIN")
            try holder.executeScript("SELECT FROM stockq.jobs WHERE job_id = 1 FOR UPDATE")
            var settings = WorkerSettings()
            settings.batchJobsMax = 1
            let events = Events()
            let pool = WorkerPool(
                connection: database.settings, schema: .standard, settings: settings, drains: true, tell: events.take)
            let ended = Background { pool.run() }
            // Job 2 stands behind the group, which touches its item further on.
            #expect(events.wait { if case .batch(_, _, _, 0, _, _, _, 3, _) = $0 { true } else { false } })
            try holder.executeScript("COMMIT")
            try ended.wait()
            #expect(
                try database.rows("SELECT job_id, version FROM stockq.results WHERE item_id = 'b' ORDER BY version")
                    == [
                        "3,1", "2,2",
                    ])
        }
    }

    @Test func jobsOfAHeldItemAreLeftAndTheOthersGoOn() async throws {
        try await withDatabase { database in
            try Self.addItem(database, "held", 10)
            try Self.addItem(database, "free", 10)
            let holder = try database.connect()
            try holder.executeScript("BEGIN")
            try holder.executeScript("UPDATE stockq.items SET updated_at = now() WHERE item_id = 'held'")
            try Self.enqueue(
                database, "item_id, quantity",
                "('s', 'held', -1), ('s', 'free', -1), ('s', 'nowhere', -1), ('s', 'held', -2)")
            let events = Events()
            let pool = WorkerPool(
                connection: database.settings, schema: .standard, settings: WorkerSettings(), drains: true,
                tell: events.take)
            let ended = Background { pool.run() }
            let went = events.wait { if case .batch(_, _, _, 2, _, _, _, 2, _) = $0 { true } else { false } }
            #expect(went, "two finish, two are left")
            #expect(try Self.results(database) == ["2 applied -1", "3 rejected unknown_item 0"])
            try holder.executeScript("COMMIT")
            try ended.wait()
            #expect(
                try Self.results(database) == [
                    "1 applied -1", "2 applied -1", "3 rejected unknown_item 0", "4 applied -2",
                ])
            #expect(
                try database.value("SELECT max(attempts) FROM stockq.results") == "1",
                "nothing is counted against a job")
        }
    }

    // MARK: jobs that the database refuses

    @Test func oneBadJobAmongManyIsQuarantined() async throws {
        try await withDatabase { database in
            try Self.addItem(database, "a", 10_000)
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
            #expect(events.contains { if case .jobRefused(_, _, _, true, _) = $0 { true } else { false } })
            try expectSoundBooks(database.connect())
        }
    }

    @Test func aBadJobBehindHeldOnesIsTheOneThatPays() async throws {
        try await withDatabase { database in
            for item in ["held", "bad", "good"] { try Self.addItem(database, item, 10) }
            try database.run(
                "ALTER TABLE stockq.results ADD CONSTRAINT trap CHECK (reason <> 'poison' OR outcome = 'failed')")
            let holder = try database.connect()
            try holder.executeScript("BEGIN")
            try holder.executeScript("UPDATE stockq.items SET updated_at = now() WHERE item_id = 'held'")
            try Self.enqueue(
                database, "item_id, quantity, reason, max_attempts",
                "('s', 'held', -1, '', 3), ('s', 'held', -1, '', 3), ('s', 'bad', -1, 'poison', 1), ('s', 'good', -1, '', 3)"
            )
            let pool = WorkerPool(
                connection: database.settings, schema: .standard, settings: WorkerSettings(), drains: true)
            let ended = Background { pool.run() }
            #expect(try eventually { try database.value("SELECT count(*) FROM stockq.results") == "2" })
            #expect(try Self.results(database) == ["3 failed 0", "4 applied -1"])
            #expect(try database.value("SELECT max(attempts) FROM stockq.jobs") == "0")
            try holder.executeScript("COMMIT")
            try ended.wait()
            #expect(try database.value("SELECT max(attempts) FROM stockq.results") == "1")
        }
    }

    @Test func aRefusedJobIsTriedAgainWithinItsAttempts() async throws {
        try await withDatabase { database in
            try Self.addItem(database, "a", 10)
            try database.run("ALTER TABLE stockq.results ADD CONSTRAINT trap CHECK (reason <> 'poison')")
            try Self.enqueue(
                database, "item_id, quantity, reason, group_id",
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
            try Self.addItem(database, "a", 10)
            try database.run("ALTER TABLE stockq.results ADD CONSTRAINT trap CHECK (reason <> 'poison')")
            try Self.enqueue(database, "item_id, quantity, reason, max_attempts", "('s', 'a', -1, 'poison', 1)")
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
                    try Self.enqueue(database, "item_id, quantity, \(column)", "('s', 'a', -1, \(value))")
                }
            }
        }
    }

    // MARK: the results' partitions

    @Test func partitionsAreBuiltForAllLiveJobs() async throws {
        try await withDatabase { database in
            try Self.addItem(database, "a", 10)
            for drawn in [1, 12_345_678, 23_456_789, 87_654_321] {
                try database.run("SELECT setval('stockq.jobs_job_id_seq', \(drawn))")
                try Self.enqueue(database, "item_id, quantity", "('s', 'a', -1)")
            }
            try database.drain { $0.maintenanceEveryMs = 3_600_000 }
            #expect(
                try database.rows("SELECT job_id, outcome, attempts FROM stockq.results ORDER BY 1") == [
                    "2,applied,1", "12345679,applied,1", "23456790,applied,1", "87654322,applied,1",
                ])
        }
    }

    @Test func partitionsOfAnotherSizeLeaveNoGap() async throws {
        try await withDatabase { database in
            try database.run("SELECT setval('stockq.jobs_job_id_seq', 31000000)")
            try database.run(
                "SELECT stockq.add_results_partitions(3000000, 2); SELECT stockq.add_results_partitions(7000000, 2)")
            #expect(
                try database.value(
                    """
                    SELECT count(*) FROM stockq.partition_bounds() AS p
                    WHERE p.upper_bound <= 31000000
                        AND NOT EXISTS (SELECT FROM stockq.partition_bounds() AS n WHERE n.lower_bound = p.upper_bound)
                        AND p.upper_bound <> 10000000
                    """) == "0")
        }
    }

    @Test func aMissingPartitionIsBuiltAndNotCountedAgainstAJob() async throws {
        try await withDatabase { database in
            try Self.addItem(database, "a", 10)
            try database.run("SELECT setval('stockq.jobs_job_id_seq', 123456789)")
            try Self.enqueue(database, "item_id, quantity", "('s', 'a', -1)")
            try database.drain { $0.maintenanceEveryMs = 3_600_000 }
            #expect(
                try database.rows("SELECT job_id, outcome, attempts FROM stockq.results") == ["123456790,applied,1"])
        }
    }

    @Test func expiredResultsAreDroppedAndTheBooksStaySound() async throws {
        try await withDatabase { database in
            try Self.addItem(database, "a", 1_000)
            let add =
                "INSERT INTO stockq.jobs (store_id, item_id, quantity) SELECT 's', 'a', -1 FROM generate_series(1, 300)"
            // Partitions of 1,000 ids, so that the first is full and left behind.
            try database.run(
                "DROP TABLE stockq.results_000000000000000, stockq.results_000000005000000; SELECT stockq.add_results_partitions(1000, 2)"
            )
            try database.run(add)
            try database.drain { $0.jobsPerPartition = 1_000 }
            try database.run("SELECT setval('stockq.jobs_job_id_seq', 1500)")
            try database.run(add)
            try database.drain { $0.jobsPerPartition = 1_000 }
            #expect(
                try database.value("SELECT stockq.drop_expired_results(interval '1 day')") == "", "nothing has expired")
            #expect(try database.value("SELECT stockq.drop_expired_results(interval '0')") == "results_000000000000000")
            #expect(try database.value("SELECT count(*) FROM stockq.results") == "300")
            #expect(
                try database.value("SELECT opening_on_hand, opening_version, on_hand, version FROM stockq.items")
                    == "700,300,400,600")
            try expectSoundBooks(database.connect())
        }
    }

    // MARK: several processes, stopping

    @Test func severalPoolsShareTheWork() async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand) SELECT 's' || s, 'i' || i, 100 FROM generate_series(1, 10) s, generate_series(1, 20) i;
                INSERT INTO stockq.jobs (store_id, item_id, quantity) SELECT 's' || 1 + n % 10, 'i' || 1 + (n / 10) % 25, -1 FROM generate_series(1, 8000) n;
                """)
            let all = (0..<3).map { _ in Background { _ = try database.drain { $0.batchJobsMax = 100 } } }
            for one in all { try one.wait() }
            #expect(try database.value("SELECT count(*) FROM stockq.results") == "8000")
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "0")
            try expectSoundBooks(database.connect())
        }
    }

    /// The row lock on the lane is what keeps workers of several processes out of one another's order.
    @Test func aLaneThatSomebodyHoldsIsLeftAlone() async throws {
        try await withDatabase { database in
            try database.run(
                "INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 10), ('t', 'a', 10)")
            try Self.enqueue(database, "item_id, quantity", "('s', 'a', -1)")
            let holder = try database.connect()
            try holder.executeScript("BEGIN")
            // A worker that did not lock the row, or only shared it, would get past this.
            try holder.executeScript(
                "SELECT FROM stockq.lanes WHERE lane = (SELECT lane FROM stockq.jobs WHERE job_id = 1) FOR SHARE")
            // One worker, which takes the lanes in turn: while it works the other lane again and again, it comes to the held one.
            var settings = WorkerSettings()
            settings.workers = 1
            settings.idleInTransactionTimeoutMs = 60_000
            let pool = WorkerPool(connection: database.settings, schema: .standard, settings: settings)
            let ended = Background { pool.run() }
            for job in 2...20 {
                try database.run("INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('t', 'a', 1)")
                #expect(
                    try eventually {
                        try database.value("SELECT count(*) FROM stockq.results WHERE job_id = \(job)") == "1"
                    })
            }
            #expect(try database.value("SELECT count(*) FROM stockq.results WHERE job_id = 1") == "0")
            try holder.executeScript("COMMIT")
            #expect(
                try eventually {
                    try database.value("SELECT outcome FROM stockq.results WHERE job_id = 1") == "applied"
                })
            pool.finish()
            try ended.wait()
        }
    }

    @Test func aFinishedPoolLeavesTheRestQueued() async throws {
        try await withDatabase { database in
            try Self.addItem(database, "a", 1_000_000)
            try database.run(
                "INSERT INTO stockq.jobs (store_id, item_id, quantity) SELECT 's', 'a', -1 FROM generate_series(1, 20000)"
            )
            let events = Events()
            let pool = WorkerPool(
                connection: database.settings, schema: .standard,
                settings: {
                    var s = WorkerSettings()
                    s.batchJobsMax = 50
                    return s
                }(),
                tell: events.take)
            let ended = Background { pool.run() }
            _ = events.wait { if case .batch = $0 { true } else { false } }
            pool.finish()
            try ended.wait()
            #expect(try database.value("SELECT count(*) > 0 FROM stockq.jobs") == "t")
            #expect(
                try database.value("SELECT (SELECT count(*) FROM stockq.jobs) + (SELECT count(*) FROM stockq.results)")
                    == "20000")
            try expectSoundBooks(database.connect())
        }
    }

    @Test func aWorkerComesBackAfterItsSessionIsEnded() async throws {
        try await withDatabase { database in
            try Self.addItem(database, "a", 1_000)
            let events = Events()
            let pool = WorkerPool(
                connection: database.settings, schema: .standard, settings: WorkerSettings(), tell: events.take)
            let ended = Background { pool.run() }
            #expect(events.wait { if case .connected = $0 { true } else { false } })
            try database.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            try Self.enqueue(database, "item_id, quantity", "('s', 'a', -1)")
            #expect(events.wait { if case .batch(_, _, _, 1, _, _, _, _, _) = $0 { true } else { false } })
            pool.finish()
            try ended.wait()
            #expect(try Self.results(database) == ["1 applied -1"])
        }
    }

    @Test func insertsRingOnlyWhileWorkersSleep() async throws {
        try await withDatabase { database in
            let listener = try database.connect()
            try listener.listen(channel: "stockq")
            try Self.enqueue(database, "item_id, quantity", "('s', 'a', -1)")
            #expect(try listener.waitForNotification(wakeDescriptor: -1, timeoutMs: 10_000) == ["stockq"])
            try database.run("SELECT setval('stockq.doorbell', 1, true)")
            try Self.enqueue(database, "item_id, quantity", "('s', 'a', -1)")
            // A notification of our own comes behind whatever was rung before it.
            try database.run("LISTEN nothing; SELECT pg_notify('stockq', 'mine')")
            #expect(try listener.waitForNotification(wakeDescriptor: -1, timeoutMs: 10_000).count == 1)
        }
    }

    @Test func thePooledModeWorksWithoutPreparedStatements() async throws {
        try await withDatabase { database in
            try Self.addItem(database, "a", 100)
            try Self.enqueue(
                database, "item_id, quantity, on_insufficient",
                "('s', 'a', -1, 'reject'), ('s', 'a', -500, 'wait'), ('s', 'b', 1, 'reject')")
            var settings = database.settings
            settings.pooled = true
            WorkerPool(connection: settings, schema: .standard, settings: WorkerSettings(), drains: true).run()
            #expect(try Self.results(database) == ["1 applied -1", "3 rejected unknown_item 0"])
        }
    }

    @Test func aQueueLivesInAnySchema() async throws {
        try await withDatabase(migrated: false) { database in
            let schema = Schema("Odd \"shop\"")!
            let connection = try database.connect()
            try Migrator(connection: connection, schema: schema).migrate()
            let s = schema.quoted
            try connection.executeScript(
                "INSERT INTO \(s).items (store_id, item_id, on_hand) VALUES ('s', 'a', 5); INSERT INTO \(s).jobs (store_id, item_id, quantity) VALUES ('s', 'a', -2)"
            )
            WorkerPool(connection: database.settings, schema: schema, settings: WorkerSettings(), drains: true).run()
            #expect(try database.value("SELECT on_hand FROM \(s).items") == "3")
            #expect(try database.value("SELECT count(*) FROM pg_namespace WHERE nspname = 'stockq'") == "0")
        }
    }
}
