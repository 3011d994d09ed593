import Foundation
import StockModel
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// What metrics read of a queue.
@Suite struct QueueReaderTests {
    private func reader(_ database: TestDatabase, countMax: Int64 = 100_000) -> QueueReader {
        QueueReader(
            connection: database.settings, schema: database.schema, settings: WorkerSettings(), countMax: countMax)
    }

    /// Jobs of every state, in several lanes and priorities.
    private static let jobs = """
        INSERT INTO stockq.items (store_id, item_id, on_hand) SELECT 's' || n, 'a', 0 FROM generate_series(1, 9) AS n;
        INSERT INTO stockq.jobs (store_id, item_id, quantity, priority, enqueued_at)
        SELECT 's' || n, 'a', 1, 1 + n % 4, now() - n * interval '1 minute' FROM generate_series(1, 9) AS n;
        INSERT INTO stockq.jobs (store_id, item_id, quantity, run_at)
        SELECT 's' || n, 'a', 1, now() + interval '1 h' FROM generate_series(1, 5) AS n;
        INSERT INTO stockq.jobs (store_id, item_id, quantity, run_at, waiting_since, waiting_quantity, on_insufficient)
        SELECT 's' || n, 'a', -1, now() + interval '1 h', now(), 1, 'wait' FROM generate_series(1, 4) AS n;
        INSERT INTO stockq.jobs (store_id, item_id, quantity, run_at, attempts)
        SELECT 's' || n, 'a', 1, now() + interval '1 h', 2 FROM generate_series(1, 3) AS n;
        INSERT INTO stockq.jobs (store_id, item_id, quantity, run_at, reference)
        SELECT 's' || n, 'a', 1, now() + interval '1 h', 'pause' FROM generate_series(1, 2) AS n;
        INSERT INTO stockq.jobs (store_id, item_id, quantity, run_at, scheduled_at, enqueued_at)
        VALUES ('s1', 'a', 1, now() - interval '20 minutes', NULL, now() - interval '2 days');
        """

    /// As a worker does it with the jobs of a paused store.
    private static let pause = """
        UPDATE stockq.jobs SET run_at = 'infinity', paused_at = now() WHERE reference = 'pause'
        """

    @Test("the depth is that of stats, and so is the age") func depth() async throws {
        try await withDatabase { (database: TestDatabase) throws in
            try database.run(Self.jobs)
            try database.run(Self.pause)
            // Due before the others of its lane, and still waiting.
            try database.run(
                """
                UPDATE stockq.jobs SET run_at = now() - interval '1 hour', enqueued_at = now() - interval '1 hour'
                WHERE store_id = 's1' AND waiting_since IS NOT NULL
                """)
            let depth = try #require(reader(database).read()).depth
            let stats = try Inspector(connection: database.connect(), schema: database.schema)
                .statistics(seconds: 60).value.queue
            #expect(depth.ready == 10 && depth.ready == stats.ready)
            #expect(depth.scheduled == 5 && depth.scheduled == stats.scheduled)
            #expect(depth.waiting == 4 && depth.waiting == stats.waiting)
            #expect(depth.retrying == 3 && depth.retrying == stats.retrying)
            #expect(depth.paused == 2 && depth.paused == stats.paused)
            // The job that was due 20 minutes ago.
            let age = Date().timeIntervalSince(try #require(depth.oldestReadyAt))
            #expect(abs(age - 1_200) < 30)
            #expect(abs(age - (stats.oldestReadySeconds ?? 0)) < 10)
        }
    }

    @Test("a store that was resumed counts from then, and a paused one not at all") func resumed() async throws {
        try await withDatabase { (database: TestDatabase) throws in
            try database.run(
                """
                INSERT INTO stockq.jobs (store_id, item_id, quantity, enqueued_at)
                VALUES ('s', 'a', 1, now() - interval '1 day');
                SELECT stockq.pause(store_id => 's');
                """)
            let paused = try #require(reader(database).read())
            #expect(paused.depth.oldestReadyAt == nil)
            #expect(paused.server.pausedStores == 1)
            try database.run("SELECT stockq.resume(store_id => 's')")
            let resumed = try #require(reader(database).read())
            let oldest = try #require(resumed.depth.oldestReadyAt)
            #expect(abs(Date().timeIntervalSince(oldest)) < 60)
        }
    }

    @Test("beyond the limit of counting the size of the table gives the number") func estimate() async throws {
        try await withDatabase { (database: TestDatabase) throws in
            try database.run(
                """
                INSERT INTO stockq.jobs (store_id, item_id, quantity) SELECT 's', 'a', 1 FROM generate_series(1, 5000);
                INSERT INTO stockq.jobs (store_id, item_id, quantity, run_at, reference)
                SELECT 's', 'a', 1, now() + interval '1 h', CASE n WHEN 4 THEN 'pause' END
                FROM generate_series(1, 4) AS n;
                """)
            try database.run(Self.pause)
            try database.run("ANALYZE stockq.jobs")
            let depth = try #require(reader(database, countMax: 50).read()).depth
            #expect(abs(depth.ready - 5_000) < 100, "\(depth)")
            #expect(depth.scheduled == 3 && depth.paused == 1)
            let all = try #require(reader(database, countMax: 3).read()).depth
            #expect(all.scheduled + all.paused >= 3)
        }
    }

    /// The planner would like to search by the primary key, and would read all jobs for each lane without any.
    @Test("statistics of a full table do not make a reading slow") func fullTable() async throws {
        try await withDatabase { (database: TestDatabase) throws in
            try database.run(
                "INSERT INTO stockq.jobs (store_id, item_id, quantity) SELECT 's', 'a', 1 FROM generate_series(1, 30000)"
            )
            try database.run("ANALYZE stockq.jobs")
            func scans() throws -> String {
                try database.value("SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'jobs_pkey'")
            }
            let before = try scans()
            var reader: QueueReader? = reader(database)
            let reading = try #require(reader?.read())
            #expect(reading.depth.ready == 30_000)
            // A session reports what it did when it ends.
            reader = nil
            #expect(
                try eventually {
                    try database.value(
                        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                            + "AND application_name LIKE '% metrics'") == "0"
                })
            #expect(try scans() == before)
        }
    }

    @Test("a transaction that holds vacuum back, and how far the partitions reach") func server() async throws {
        try await withDatabase { (database: TestDatabase) throws in
            let reader = reader(database)
            let holder = try database.connect()
            try holder.executeScript("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
            // One that holds nothing back.
            let other = try database.connect()
            try other.executeScript("BEGIN; SELECT 1")
            let reading = try #require(reader.read())
            let began = try database.value(
                "SELECT extract(epoch FROM xact_start) FROM pg_stat_activity WHERE backend_xmin IS NOT NULL "
                    + "AND datname = current_database() AND state = 'idle in transaction'")
            let oldest = try #require(reading.server.oldestTransactionAt)
            #expect(abs(oldest.timeIntervalSince1970 - (Double(began) ?? 0)) < 0.01)
            #expect(reading.server.seesAllTransactions)
            #expect(reading.server.workers == 0)
            let left = try database.value(
                "SELECT max(upper_bound) - (SELECT last_value FROM stockq.jobs_job_id_seq) FROM stockq.partition_bounds()"
            )
            #expect(reading.server.partitionJobsLeft == Int64(left))
            #expect(Set(reading.tables.map(\.name)).isSuperset(of: ["jobs", "items", "deliveries"]))
            try holder.rollBack()
        }
    }

    @Test("a reading is good for some seconds, and an error is no reading") func cached() async throws {
        try await withDatabase { (database: TestDatabase) throws in
            let reader = reader(database)
            let first = try #require(reader.read())
            try database.run("INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'a', 1)")
            let second = try #require(reader.read())
            #expect(second.depth.ready == 0 && second.readAt == first.readAt)
            let nowhere = QueueReader(
                connection: ConnectionSettings(conninfo: "host=/nowhere", applicationName: "tests"),
                schema: database.schema, settings: WorkerSettings())
            #expect(nowhere.read() == nil)
            #expect(nowhere.error?.kind == .cannotConnect)
        }
    }

    @Test("latencies are counted by bucket, from the enqueueing to the commit") func latencies() async throws {
        try await withDatabase { (database: TestDatabase) throws in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 9);
                INSERT INTO stockq.jobs (store_id, item_id, quantity, enqueued_at)
                SELECT 's', 'a', 1, now() - age::interval
                FROM unnest(ARRAY['0 s', '7 s', '7 s', '2 h', '-1 h']) AS age;
                """)
            let batches = try database.drain().compactMap(\.batch)
            #expect(batches.count == 1)
            let latencies = try #require(batches.first).latencies
            func count(upTo bound: Duration, after lower: Duration) -> Int {
                zip(JobLatencies.bounds, latencies.counts).filter { $0.0 <= bound && $0.0 > lower }.reduce(0) {
                    $0 + $1.1
                }
            }
            #expect(count(upTo: .seconds(5), after: .zero) == 2)
            #expect(count(upTo: .seconds(60), after: .seconds(5)) == 2)
            #expect(latencies.counts.last == 1)
            #expect(latencies.counts.reduce(0, +) == 5)
            #expect(latencies.sum > .seconds(7_214) && latencies.sum < .seconds(7_300))
        }
    }
}
