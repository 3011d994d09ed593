import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// Idempotency keys of single jobs and of lists; `GroupKeyTests` has those of groups.
@Suite("Idempotency keys") struct KeyTests {
    @Test("a used key returns the first job and its result") func usedKey() async throws {
        try await withDatabase { database in
            try database.run(EnqueueSQLTests.items)
            let call =
                """
                SELECT concat_ws(' ', job_id, is_duplicate, outcome, applied_quantity, on_hand_after)
                FROM stockq.enqueue('s', 'a', -2, idempotency_key => 'k')
                """
            let first = try database.value(call)
            #expect(first.hasSuffix(" f"))
            let job = first.dropLast(2)
            #expect(try database.value(call) == "\(job) t")
            try database.drain()
            #expect(try database.value(call) == "\(job) t applied -2 8")
            // The keys of another store are others.
            #expect(
                try database.value("SELECT is_duplicate FROM stockq.enqueue('t', 'a', -2, idempotency_key => 'k')")
                    == "f")
            for other in [
                "-3, idempotency_key => 'k'", "-2, location_id => 'cellar', idempotency_key => 'k'",
                "-2, on_insufficient => 'allow', idempotency_key => 'k'",
                "-2, expected_available => 8, idempotency_key => 'k'",
            ] {
                #expect(
                    try database.failure(of: "SELECT stockq.enqueue('s', 'a', \(other))")
                        == "23505 idempotency key 'k' of store 's' was used by job \(job) for another request")
            }
            #expect(try database.queuedJobs() == 1)
        }
    }

    /// COPY and a plain INSERT do not look keys up; the worker's decision does.
    @Test("the decision finds duplicates among inserted jobs") func decidedByTheWorker() async throws {
        try await withDatabase { database in
            try database.run(EnqueueSQLTests.items)
            try database.enqueue(
                .adjust("a", -1, key: "k"), .adjust("a", -1, key: "k"), .adjust("a", -2, key: "k"),
                .adjust("b", -1, key: "k"), .adjust("a", -1, store: "t", key: "k"))
            try database.drain()
            let results = try database.results()
            #expect(results.map(\.outcome) == [.applied, .duplicate, .rejected, .rejected, .applied])
            #expect(results.map(\.code) == [nil, nil, .idempotencyMismatch, .idempotencyMismatch, nil])
            let first = try #require(results.first?.job)
            #expect(
                try database.firstJobIDs()
                    == [first: nil, first + 1: first, first + 2: first, first + 3: first, first + 4: nil])
            #expect(
                try database.rows("SELECT on_hand FROM stockq.items ORDER BY store_id, item_id, location_id") == [
                    "0", "9", "5", "9",
                ])
            try expectSoundLedger(database)
        }
    }

    /// Canceled and failed jobs, duplicates and mismatches leave the key unused; rejections use it up.
    @Test("applied, unchanged and rejected jobs use their keys up") func usedUp() async throws {
        try await withDatabase { database in
            try database.run(EnqueueSQLTests.items)
            try database.enqueue(
                .adjust("a", -1, key: "applied"), .adjust("a", 0, key: "unchanged"),
                .adjust("a", -99, key: "rejected"), .adjust("a", -1, group: "g", key: "of a group"),
                .adjust("a", -99, group: "g", key: "rejected in a group"), .adjust("a", -1, key: "canceled"))
            try database.run(
                "SELECT stockq.cancel_jobs(ARRAY(SELECT job_id FROM stockq.jobs WHERE idempotency_key = 'canceled'))")
            try database.drain()
            #expect(
                try database.rows("SELECT idempotency_key FROM stockq.idempotency_keys ORDER BY 1") == [
                    "applied", "of a group", "rejected", "rejected in a group", "unchanged",
                ])
        }
    }

    /// The key comes first: before the duplicate would wait or be rejected with its group, also in a batch in which no
    /// other job has a key.
    @Test("a duplicate that would wait is a duplicate") func duplicateThatWouldWait() async throws {
        try await withDatabase { database in
            let jobs: [TestJob] = [
                .adjust("b", -4, policy: .wait, key: "k"), .adjust("a", -1, policy: .reject, group: "g", key: "g1"),
                .adjust("b", -1, policy: .reject, group: "g", key: "g2"),
            ]
            try database.run(EnqueueSQLTests.items)
            try database.enqueue(jobs)
            try database.drain()
            try database.enqueue(jobs)
            try database.drain()
            try database.enqueue(jobs[0])
            try database.drain()
            #expect(
                try database.results().map(\.outcome) == [
                    .applied, .applied, .applied, .duplicate, .duplicate, .duplicate, .duplicate,
                ])
        }
    }

    /// One of the two lanes is first; the other one runs its batch again and reads the key.
    @Test("of jobs in several lanes with the same key, one takes effect") func severalLanes() async throws {
        try await withDatabase { database in
            try database.addItem("a", 100_000)
            try database.run(
                """
                INSERT INTO stockq.jobs (store_id, item_id, quantity, idempotency_key, ordering_key)
                SELECT 's', 'a', -1, 'key-' || i / 8, 'lane-' || i % 8 FROM generate_series(0, 3999) AS i
                """)
            try database.drain {
                $0.workers = 8
                $0.batchJobsMax = 50
            }
            let outcomes = Dictionary(grouping: try database.results(), by: \.outcome).mapValues(\.count)
            #expect(outcomes == [.applied: 500, .duplicate: 3500])
            #expect(try database.value("SELECT on_hand FROM stockq.items") == "99500")
        }
    }

    @Test("a list with a key is enqueued once") func list() async throws {
        try await withDatabase { database in
            try database.run(EnqueueSQLTests.items)
            func submit(_ lines: String, group: String = "NULL") throws -> [String] {
                try database.rows(
                    """
                    SELECT concat_ws(' ', line, is_duplicate, outcome)
                    FROM stockq.enqueue_lines('s', '\(lines)', group_id => \(group), idempotency_key => 'list')
                    """)
            }
            let one = "{\"item_id\": \"a\", \"quantity\": -1}"
            let two = "{\"item_id\": \"b\", \"quantity\": -1}"
            #expect(try submit("[\(one)]") == ["1 f"])
            #expect(try submit("[\(one), \(two)]") == ["1 t", "2 f"])
            try database.drain()
            #expect(try submit("[\(one), \(two)]") == ["1 t applied", "2 t applied"])
            #expect(
                try database.failure(of: "SELECT stockq.enqueue_lines('s', '[\(two)]', idempotency_key => 'list')")
                    .hasPrefix("23505"))
            // The keys of a group's lines must all be used, or none.
            #expect(
                try database.failure(
                    of:
                        "SELECT stockq.enqueue_lines('s', '[\(one), \(two), \(one)]', group_id => 'g', idempotency_key => 'list')"
                ) == "23505 1 of 3 lines of group 'g' of store 's' are new, and the keys of the others are in use")
            #expect(try submit("[\(one), \(two)]", group: "'g'") == ["1 t applied", "2 t applied"])
            #expect(try database.queuedJobs() == 0)
        }
    }

    @Test(
        "a list that is the beginning of the list that used its key first is an error",
        arguments: ["group_id => 'g', ", ""])
    func shorterList(group: String) async throws {
        try await withDatabase { database in
            func enqueue(_ items: [String]) -> String {
                let lines = items.map { "{\"item_id\": \"\($0)\", \"quantity\": -1}" }.joined(separator: ", ")
                return """
                    SELECT count(*), bool_and(is_duplicate)
                    FROM stockq.enqueue_lines('s', '[\(lines)]', \(group)idempotency_key => 'k')
                    """
            }
            #expect(try database.rows(enqueue(["a", "b"])) == ["2,f"])
            #expect(try database.rows(enqueue(["a", "b"])) == ["2,t"])
            let failure = try database.failure(of: enqueue(["a"]))
            #expect(
                failure.hasPrefix("23505") && failure.contains("was used for a list of more than 1 lines"), "\(failure)"
            )
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "2")
        }
    }
}
