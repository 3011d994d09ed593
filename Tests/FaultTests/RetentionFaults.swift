import StockQueue
import StockQueueLocking
import StockQueuePostgres
import TestSupport
import Testing

extension Faults {
    @Suite("Retention beside a drain", .serialized) struct RetentionBesideDrain {
        /// The longest time for which a session waited for a lock that a drop of partitions had or wanted.
        private static func longestWait(
            _ database: TestDatabase, while drop: @escaping @Sendable (TestDatabase) throws -> [String]
        ) throws -> (ms: Int64, dropped: [String]) {
            let watcher = try database.connect()
            // The drop's session is the only one of this name.
            let waits = Statement(
                "longest_wait", [],
                """
                SELECT coalesce(max(1000 * extract(epoch FROM clock_timestamp() - l.waitstart)), 0)::bigint
                FROM pg_locks AS l
                JOIN pg_stat_activity AS waiting USING (pid)
                CROSS JOIN LATERAL unnest(pg_blocking_pids(l.pid)) AS blocker (pid)
                JOIN pg_stat_activity AS blocking ON blocking.pid = blocker.pid
                WHERE NOT l.granted AND blocking.application_name = 'test' AND waiting.application_name <> 'test'
                """)
            let dropped = Mutex<[String]?>(nil)
            let dropping = Background {
                defer { dropped.withLock { $0 = $0 ?? [] } }
                let names = try drop(database)
                dropped.withLock { $0 = names }
            }
            var longest: Int64 = 0
            while dropped.withLock({ $0 == nil }) {
                longest = max(longest, try watcher.execute(waits).int64(0, 0))
                pause(milliseconds: 2)
            }
            try dropping.wait()
            return (longest, dropped.withLock { $0 ?? [] })
        }

        @Test("dropping two of five partitions beside a drain makes no batch wait for longer than 100 ms")
        func besideDrain() async throws {
            try await withDatabase { database in
                try database.run(
                    """
                    DROP TABLE stockq.results_000000000000000, stockq.results_000000005000000;
                    SELECT stockq.add_results_partitions(50000, 5);
                    INSERT INTO stockq.items (store_id, item_id, on_hand)
                    SELECT 's' || s, 'i' || i, 1000000 FROM generate_series(1, 8) AS s, generate_series(1, 250) AS i
                    """)
                let jobs: @Sendable (Int) -> String = { count in
                    """
                    INSERT INTO stockq.jobs (store_id, item_id, quantity)
                    SELECT 's' || 1 + n % 8, 'i' || 1 + (n / 8) % 250, -1 FROM generate_series(1, \(count)) AS n
                    """
                }
                try database.run(jobs(250_000))
                let settings = { (settings: inout WorkerSettings) in
                    settings.jobsPerPartition = 50_000
                    settings.keepResults = .days(36_500)
                }
                try database.drain(settings)
                try database.expireResults(below: 100_000)
                try database.run(jobs(200_000))
                let workers = database.startWorkers(settings)
                #expect(workers.waitForBatches(moreThan: 2))
                // However long the drops take, the workers do not run out of jobs.
                let isDropping = Mutex(true)
                let producer = Background {
                    while isDropping.withLock({ $0 }) {
                        let hasFew = try database.value(
                            "SELECT count(*) < 100000 FROM (SELECT FROM stockq.jobs LIMIT 100000) AS j")
                        if hasFew == "t" { try database.run(jobs(50_000)) } else { pause(milliseconds: 20) }
                    }
                }
                defer { isDropping.withLock { $0 = false } }
                let (ms, dropped) = try Self.longestWait(database) { database in
                    var names: [String] = []
                    while let name = try database.dropExpiredPartition() { names.append(name) }
                    return names
                }
                isDropping.withLock { $0 = false }
                try producer.wait()
                let isBesideDrain = try database.value("SELECT EXISTS (SELECT FROM stockq.jobs)") == "t"
                try workers.stop()
                #expect(dropped == ["results_000000000000000", "results_000000000050000"])
                #expect(isBesideDrain, "the workers ran out of jobs")
                #expect(ms <= 100, "a batch waited for \(ms) ms")
                var violations: [String] = []
                try Verifier(connection: database.connect(), schema: .standard).runAll { violations += $0.violations }
                #expect(violations == [])
            }
        }
    }
}
