import StockModel
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// A group has at most `groupLinesMax` lines, whichever way it comes in.
@Suite("The limit on the lines of a group") struct GroupLimitTests {
    /// - Parameter key: gives each line this key and its number.
    private static func lines(
        _ count: Int, of group: String, key: String? = nil, runAt: TestJob.Time? = nil
    ) -> [TestJob] {
        (1...count).map { line in
            .adjust("a", -1, group: group, key: key.map { "\($0)/\(line)" }, runAt: runAt)
        }
    }

    private static func outcomes(_ database: TestDatabase) throws -> [String] {
        try database.rows(
            """
            SELECT concat_ws(' ', group_id, outcome, code, count(*)) FROM stockq.results
            GROUP BY group_id, outcome, code ORDER BY 1
            """)
    }

    // MARK: at the workers

    @Test("a group with a line too many is rejected whole, and its neighbors are not", arguments: [1, 3, 6, 20_000])
    func rejected(batchJobsMax: Int) async throws {
        try await withDatabase { database in
            try database.addItem("a", 100)
            try database.enqueue(.adjust("a", -1))
            try database.enqueue(Self.lines(5, of: "small"))
            try database.enqueue(Self.lines(17, of: "large"))
            try database.enqueue(Self.lines(6, of: "by one"))
            try database.enqueue(.adjust("a", -1))
            let events = try database.drain {
                $0.workers = 1
                $0.groupLinesMax = 5
                $0.batchJobsMax = batchJobsMax
            }
            #expect(
                try Self.outcomes(database) == [
                    "applied 2", "by one rejected group_too_large 6", "large rejected group_too_large 17",
                    "small applied 5",
                ])
            // A line reports the real balance, before the group.
            #expect(
                try database.rows(
                    "SELECT DISTINCT on_hand_before, on_hand_after FROM stockq.results WHERE group_id = 'large'")
                    == ["94,94"])
            #expect(try database.value("SELECT count(*) FROM stockq.too_large_groups") == "0")
            #expect(try database.rows("SELECT count(*) FROM stockq.find_group('s', 'large')") == ["17"])
            // A batch has the lines that it claimed, and at most the rest of a group of the largest size.
            #expect(events.compactMap(\.batch).allSatisfy { $0.claimed <= batchJobsMax + 5 })
            try expectSoundLedger(database)
        }
    }

    @Test("what is left of a rejected group is rejected, however small it is and whatever the limit is by then")
    func rest() async throws {
        try await withDatabase { database in
            try database.addItem("a", 100)
            try database.enqueue(Self.lines(3, of: "g", runAt: .after("1 day")) + Self.lines(4, of: "g"))
            try database.drain {
                $0.groupLinesMax = 5
                $0.batchJobsMax = 2
            }
            // The deferred lines have their time; with the limit of 5 the last four lines went together.
            #expect(try Self.outcomes(database) == ["g rejected group_too_large 7"])
            #expect(try database.value("SELECT count(*) FROM stockq.too_large_groups") == "0")

            try database.enqueue(Self.lines(8, of: "h", runAt: .after("1 day")) + Self.lines(4, of: "h"))
            try database.drain { $0.groupLinesMax = 5 }
            #expect(try Self.outcomes(database).last == "h rejected group_too_large 4")
            #expect(try database.rows("SELECT group_id FROM stockq.too_large_groups") == ["h"])
            try expectSoundLedger(database)
            try database.run("UPDATE stockq.jobs SET run_at = now()")
            try database.drain { $0.groupLinesMax = 100 }
            #expect(try Self.outcomes(database).last == "h rejected group_too_large 12")
            #expect(try database.value("SELECT count(*) FROM stockq.too_large_groups") == "0")
            #expect(try database.value("SELECT on_hand FROM stockq.items") == "100")
            try expectSoundLedger(database)
        }
    }

    @Test("lines that another transaction has locked are skipped, and rejected when they are free")
    func lockedLine() async throws {
        try await withDatabase { database in
            try database.addItem("a", 100)
            try database.addItem("b", 100)
            try database.enqueue(Self.lines(7, of: "g") + [.adjust("b", -1)])
            let holder = try database.lockJob(4)
            let workers = database.startWorkers(drains: true) { $0.groupLinesMax = 5 }
            #expect(workers.waitForBatch { $0.finished == 1 && $0.skipped == 7 })
            try holder.executeScript("ROLLBACK")
            try workers.wait()
            #expect(try Self.outcomes(database) == ["applied 1", "g rejected group_too_large 7"])
        }
    }

    @Test("what is left of a group that is too large is rejected when its first lines failed") func failedLines()
        async throws
    {
        try await withDatabase { database in
            try database.addItem("a", 100)
            try database.run(
                """
                ALTER TABLE stockq.results ADD CONSTRAINT trap CHECK (reason <> 'poison' OR outcome = 'failed');
                INSERT INTO stockq.jobs (store_id, item_id, quantity, group_id, max_attempts, reason)
                SELECT 's', 'a', -1, 'g', 1, CASE number WHEN 1 THEN 'poison' END FROM generate_series(1, 7) AS number
                """)
            try database.drain {
                $0.groupLinesMax = 5
                $0.batchJobsMax = 2
            }
            #expect(
                try database.rows("SELECT outcome, count(*) FROM stockq.results GROUP BY 1 ORDER BY 1") == [
                    "rejected,5", "failed,2",
                ])
            #expect(try database.value("SELECT count(*) FROM stockq.too_large_groups") == "0")
            try expectSoundLedger(database)
        }
    }

    @Test("a rejected group uses up its keys, and takes none from another job", arguments: [2, 20_000])
    func keys(batchJobsMax: Int) async throws {
        try await withDatabase { database in
            try database.addItem("a", 100)
            try database.enqueue(.adjust("a", -1, key: "k/2"))
            try database.enqueue(Self.lines(6, of: "g", key: "k"))
            try database.drain {
                $0.groupLinesMax = 5
                $0.batchJobsMax = batchJobsMax
            }
            #expect(try Self.outcomes(database) == ["applied 1", "g rejected group_too_large 6"])
            #expect(
                try database.rows("SELECT idempotency_key, job_id FROM stockq.idempotency_keys ORDER BY 1") == [
                    "k/1,2", "k/2,1", "k/3,4", "k/4,5", "k/5,6", "k/6,7",
                ])
            #expect(
                try database.value("SELECT is_duplicate FROM stockq.enqueue('s', 'a', -1, idempotency_key => 'k/3')")
                    == "t")
            try expectSoundLedger(database)
        }
    }

    @Test("a group that is too large cannot be retried, and canceling its rest forgets it") func administration()
        async throws
    {
        try await withDatabase { database in
            try database.addItem("a", 100)
            try database.enqueue(Self.lines(8, of: "g", runAt: .after("1 day")) + Self.lines(4, of: "g"))
            try database.drain { $0.groupLinesMax = 5 }
            #expect(
                try database.failure(of: "SELECT stockq.retry_jobs('{9}')")
                    == "55000 job 9 is a line of a group that is too large, and cannot be retried")
            #expect(try database.rows("SELECT 1 FROM stockq.retry_jobs(code => 'group_too_large')") == [])
            #expect(try database.rows("SELECT stockq.cancel_jobs('{1}')").count == 8)
            #expect(try database.value("SELECT count(*) FROM stockq.too_large_groups") == "0")
            // A canceled line is retried with its whole group, and that is too large.
            #expect(try database.rows("SELECT 1 FROM stockq.retry_jobs('{1}')") == [])
        }
    }

    // MARK: at the door

    @Test(
        "the enqueue functions refuse the first line too many of a transaction, with the group, the count and the limit",
        arguments: [
            "SELECT stockq.enqueue('s', 'a', -1, group_id => 'g') FROM generate_series(1, 4)",
            """
            SELECT stockq.enqueue_arrays('s', '{a,a}', '{1,1}', group_id => 'g');
            SELECT stockq.enqueue_arrays('s', '{a,a}', '{1,1}', group_id => 'other');
            SELECT stockq.enqueue_arrays('s', '{a,a}', '{1,1}', group_id => 'g')
            """,
            "SELECT stockq.enqueue_arrays('s', '{a,a,a,a}', '{1,1,1,1}', group_id => 'g')",
        ])
    func functions(_ calls: String) async throws {
        try await withDatabase { database in
            let connection = try database.connect()
            try connection.executeScript("SET stockq.group_lines_max = 3")
            #expect(
                connection.failure(of: "BEGIN; \(calls)")
                    == "54000 group 'g' of store 's' would have 4 lines, at most 3 are allowed")
            try connection.executeScript("ROLLBACK")
            // Another transaction is another group.
            for _ in 1...2 {
                try connection.executeScript("SELECT stockq.enqueue_arrays('s', '{a,a,a}', '{1,1,1}', group_id => 'g')")
            }
            #expect(try database.queuedJobs() == 6)
        }
    }

    @Test("a producer without any other right is refused in the same way") func producer() async throws {
        try await withDatabase { database in
            let role = "shop_of_\(database.name)"
            try database.run(
                """
                CREATE ROLE \(role) LOGIN;
                GRANT stockq_producer TO \(role);
                SELECT stockq.grant_store('\(role)', 's', '{update_catalog}')
                """)
            let connection = try database.connect(as: role)
            let failure = connection.failure(
                of: "SELECT stockq.enqueue('s', 'a', -1, group_id => 'g') FROM generate_series(1, 10001)")
            #expect(failure == "54000 group 'g' of store 's' would have 10001 lines, at most 10000 are allowed")
            #expect(try database.queuedJobs() == 0)
        }
    }

    @Test("the Swift client refuses the line too many of a bulk by its number") func bulk() async throws {
        try await withDatabase { database in
            let producer = Producer(connection: try database.connect(), schema: .standard)
            var job = JobRequest(store: "s", item: "a", quantity: -1)
            job.groupID = "g"
            let jobs = Array(repeating: job, count: GroupLimit.linesMax)
            let error = #expect(throws: ValidationError.self) { try producer.enqueueBulk(jobs + [job]) }
            #expect(error?.line == 10_001)
            #expect(error?.message == "the group 'g' of store 's' has more than 10000 lines; split it")
            #expect(try database.queuedJobs() == 0)
            #expect(try producer.enqueueBulk(jobs) == 10_000)
        }
    }

    @Test("a dry run says that a group is too large") func dryRun() async throws {
        try await withDatabase { database in
            let producer = Producer(connection: try database.connect(), schema: .standard)
            var job = JobRequest(store: "s", item: "a", quantity: -1)
            job.groupID = "g"
            let answers = try producer.dryRun(Array(repeating: job, count: GroupLimit.linesMax + 1))
            #expect(Set(answers.map(\.summary)) == ["rejected (group_too_large)"])
        }
    }

    // MARK: groups of other submissions

    @Test("a job with the name of a waiting group is a group of its own, and touches no line of it")
    func waitingGroup() async throws {
        try await withDatabase { database in
            try database.addItem("a", 0)
            try database.run(
                """
                INSERT INTO stockq.jobs (store_id, item_id, quantity, group_id, on_insufficient)
                SELECT 's', 'a', -1, 'g', 'wait' FROM generate_series(1, 5000)
                """)
            try database.drain()
            try database.run("UPDATE stockq.jobs SET run_at = now() + interval '1 day'")
            let versions = "SELECT count(*), count(DISTINCT xmin::text), min(xmin::text) FROM stockq.jobs"
            let before = try database.rows(versions)
            try database.enqueue(.adjust("a", -1, group: "g"))
            let events = try database.drain()
            #expect(try database.rows(versions) == before)
            #expect(events.compactMap(\.batch).allSatisfy { $0.claimed == 1 })
            #expect(try database.results() == [.rejected(5_001, .insufficientStock)])
        }
    }
}
