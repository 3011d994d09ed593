import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// Stores take turns: what one store enqueues delays another's jobs by about a batch, not by its backlog.
@Suite("Fairness between stores") struct FairnessTests {
    /// One worker and small batches, so that the order of the batches is that of the turns.
    private static func smallBatches(_ settings: inout WorkerSettings) {
        settings.workers = 1
        settings.batchJobsMax = 100
    }

    /// A store that shares the lane of the store `flood`.
    private static func neighbor(_ database: TestDatabase) throws -> String {
        try database.value(
            """
            SELECT 'shop ' || number FROM generate_series(1, 10000) AS number
            WHERE stockq.strand_of('shop ' || number, NULL, 1) >> 24 = stockq.strand_of('flood', NULL, 1) >> 24
            LIMIT 1
            """)
    }

    /// How many batches were committed before that of a store's first job.
    private static func batchesBefore(_ store: String, _ database: TestDatabase) throws -> Int? {
        Int(
            try database.value(
                """
                SELECT count(DISTINCT xmin::text) FROM stockq.results
                WHERE finished_at < (SELECT min(finished_at) FROM stockq.results WHERE store_id = '\(store)')
                """))
    }

    private static func flood(_ jobs: Int, keys: Int = 0, priority: Int = 2) -> String {
        """
        INSERT INTO stockq.items (store_id, item_id, on_hand)
        SELECT 'flood', 'a' || number, 1000000 FROM generate_series(0, 9) AS number ON CONFLICT DO NOTHING;
        INSERT INTO stockq.jobs (store_id, item_id, quantity, priority, ordering_key)
        SELECT 'flood', 'a' || number % 10, -1, \(priority),
            CASE WHEN \(keys) > 0 THEN 'key ' || number % nullif(\(keys), 0) END
        FROM generate_series(1, \(jobs)) AS number
        """
    }

    /// The item of each of 200 stores.
    private static let crowdItems = """
        INSERT INTO stockq.items (store_id, item_id, on_hand)
        SELECT 'crowd ' || number, 'a', 1000000 FROM generate_series(1, 200) AS number
        """

    private static func item(of store: String) -> String {
        "INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('\(store)', 'a', 1000000)"
    }

    @Test("a job does not wait for another store's backlog in its lane, whatever the priorities")
    func sameLane() async throws {
        try await withDatabase { database in
            let shop = try Self.neighbor(database)
            try database.run(Self.flood(5_000, priority: 1))
            try database.run(Self.item(of: shop))
            try database.enqueue(.adjust("a", -1, store: shop, priority: 4))
            try database.drain(Self.smallBatches)
            #expect(try database.resultCount() == 5_001)
            #expect(try #require(try Self.batchesBefore(shop, database)) <= 1)
        }
    }

    @Test("a job does not wait for the lanes that another store fills with its ordering keys")
    func manyLanes() async throws {
        try await withDatabase { database in
            try database.run(Self.flood(10_000, keys: 200))
            let shop = try database.value(
                """
                SELECT 'shop ' || number FROM generate_series(1, 10000) AS number
                WHERE stockq.strand_of('shop ' || number, NULL, 1) >> 24 NOT IN (SELECT lane FROM stockq.jobs)
                    OR number = 10000
                LIMIT 1
                """)
            try database.run(Self.item(of: shop))
            try database.enqueue(.adjust("a", -1, store: shop))
            try database.drain(Self.smallBatches)
            #expect(try database.resultCount() == 10_001)
            #expect(try #require(try Self.batchesBefore(shop, database)) <= 1)
        }
    }

    @Test("a job that a process finds at its start does not wait for the backlog of many stores")
    func atStart() async throws {
        try await withDatabase { database in
            try database.run(
                """
                \(Self.crowdItems);
                INSERT INTO stockq.jobs (store_id, item_id, quantity, ordering_key)
                -- A third of the stores have few jobs in each of some lanes.
                SELECT 'crowd ' || number % 200 + 1, 'a', -1, CASE WHEN number % 200 < 70 THEN number / 2000 END
                FROM generate_series(1, 200 * 60) AS number
                """)
            try database.run(Self.item(of: "shop"))
            try database.enqueue(.adjust("a", -1, store: "shop"))
            try database.drain(Self.smallBatches)
            #expect(try database.resultCount() == 12_001)
            #expect(try #require(try Self.batchesBefore("shop", database)) <= 1)
        }
    }

    @Test("a new store's job is found beside the backlog of many stores, and so is its next one")
    func besideManyStores() async throws {
        try await withDatabase { database in
            try database.run(
                """
                \(Self.crowdItems);
                INSERT INTO stockq.jobs (store_id, item_id, quantity)
                SELECT 'crowd ' || number % 200 + 1, 'a', -1 FROM generate_series(1, 200 * 500) AS number
                """)
            try database.run(Self.item(of: "shop"))
            let workers = database.startWorkers(Self.smallBatches)
            #expect(try eventually { try database.resultCount() > 10_000 })
            for count in 1...2 {
                try database.enqueue(.adjust("a", -1, store: "shop"))
                #expect(
                    try eventually {
                        try database.value("SELECT count(*) FROM stockq.results WHERE store_id = 'shop'") == "\(count)"
                    })
            }
            #expect(try database.queuedJobs() > 0, "it did not wait for the backlog")
            #expect(try eventually(seconds: 60) { try database.queuedJobs() == 0 })
            try workers.stop()
        }
    }

    @Test("two stores with a backlog in one lane have equal shares of each batch") func equalShares() async throws {
        try await withDatabase { database in
            let shop = try Self.neighbor(database)
            try database.run(Self.flood(2_000))
            try database.run(Self.item(of: shop))
            try database.enqueue(2_000, of: .adjust("a", -1, store: shop))
            try database.drain(Self.smallBatches)
            #expect(
                try database.value(
                    """
                    SELECT max(abs(of_flood - of_shop)) FROM (
                        SELECT count(*) FILTER (WHERE store_id = 'flood') AS of_flood,
                            count(*) FILTER (WHERE store_id <> 'flood') AS of_shop
                        FROM stockq.results GROUP BY xmin::text
                    ) AS batches
                    """) == "0")
        }
    }

    @Test("a new store's job does not wait for workers that wait in other lanes, and neither does its next one")
    func expressWorker() async throws {
        try await withDatabase { database in
            let stores = try database.rows(
                """
                SELECT min(store) FROM (SELECT 'shop ' || number AS store FROM generate_series(1, 100) AS number) AS stores
                GROUP BY stockq.strand_of(store, NULL, 1) >> 24 ORDER BY 1 LIMIT 3
                """)
            for store in stores { try database.run(Self.item(of: store)) }
            let holder = try database.lock(
                "SELECT FROM stockq.items WHERE store_id IN ('\(stores[0])', '\(stores[1])') FOR UPDATE")
            let workers = database.startWorkers {
                $0.workers = 2
                $0.lockTimeout = .seconds(60)
            }
            for (index, store) in stores.prefix(2).enumerated() {
                try database.enqueue(.adjust("a", -1, store: store))
                #expect(try eventually { try database.sessionsWaitingForLocks() == index + 1 })
            }
            for count in 1...2 {
                try database.enqueue(.adjust("a", -1, store: stores[2]))
                #expect(try eventually { try database.resultCount() == count })
            }
            try holder.rollBack()
            #expect(try eventually { try database.resultCount() == 4 })
            try workers.stop()
        }
    }

    @Test("beside two workers that share a deep lane, a store with a job now and then keeps its order and the ledger")
    func visitor() async throws {
        try await withDatabase { database in
            let shop = try Self.neighbor(database)
            try database.run(Self.flood(60_000))
            try database.run(Self.item(of: shop))
            let workers = database.startWorkers {
                $0.workers = 2
                $0.batchJobsMax = 2_000
            }
            var visits = 0
            while try visits == 0 || database.value("SELECT count(*) FROM stockq.jobs WHERE store_id = 'flood'") != "0"
            {
                try database.enqueue(.adjust("a", -1, store: shop))
                visits += 1
            }
            #expect(try eventually(seconds: 30) { try database.queuedJobs() == 0 })
            try workers.stop()
            #expect(try database.resultCount() == 60_000 + visits)
            #expect(
                try database.rows(
                    """
                    SELECT store_id, item_id, job_id FROM (
                        SELECT *, version <> row_number() OVER (
                            PARTITION BY store_id, item_id ORDER BY job_id
                        ) AS is_early
                        FROM stockq.results
                    ) AS applied
                    WHERE is_early
                    """) == [])
            try Verifier(connection: database.connect(), schema: .standard).runAll { #expect($0.violations == []) }
        }
    }

    @Test("a store with many ready jobs takes what the others of its lane leave") func rest() async throws {
        try await withDatabase { database in
            let shop = try Self.neighbor(database)
            try database.run(Self.flood(3_000))
            try database.run(Self.item(of: shop))
            try database.enqueue(.adjust("a", -1, store: shop))
            try database.drain(Self.smallBatches)
            let batches = try #require(
                Int(try database.value("SELECT count(DISTINCT xmin::text) FROM stockq.results")))
            // 3,001 jobs in batches of 100, the first of which is half of one.
            #expect(batches <= 33)
        }
    }

    @Test("jobs of locked items do not use up their store's share") func skipped() async throws {
        try await withDatabase { database in
            let shop = try Self.neighbor(database)
            try database.run(Self.flood(0))
            try database.run(Self.item(of: shop))
            try database.run(
                """
                INSERT INTO stockq.jobs (store_id, item_id, quantity)
                SELECT 'flood', CASE WHEN number <= 500 THEN 'a1' ELSE 'a2' END, -1
                FROM generate_series(1, 600) AS number
                """)
            try database.enqueue(1_000, of: .adjust("a", -1, store: shop))
            let holder = try database.connect()
            try holder.executeScript("BEGIN; SELECT FROM stockq.items WHERE item_id = 'a1' FOR UPDATE")
            let workers = database.startWorkers {
                Self.smallBatches(&$0)
                $0.lockTimeout = .milliseconds(20)
            }
            #expect(
                try eventually(seconds: 30) {
                    try database.value("SELECT count(*) FROM stockq.results WHERE item_id = 'a2'") == "100"
                })
            try holder.executeScript("COMMIT")
            #expect(try eventually(seconds: 30) { try database.queuedJobs() == 0 })
            try workers.stop()
        }
    }

    @Test("an ordering key belongs to its store: the same key of two stores puts them into no common order")
    func keysOfStores() async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.jobs (store_id, item_id, quantity, ordering_key)
                SELECT 'shop ' || number, 'a', -1, 'till 1' FROM generate_series(1, 200) AS number
                """)
            let lanes = try #require(Int(try database.value("SELECT count(DISTINCT lane) FROM stockq.jobs")))
            #expect(lanes > 32)
            #expect(
                try database.value(
                    """
                    SELECT bool_and(lane = strand >> 24 AND strand = stockq.strand_of(store_id, ordering_key, priority))
                    FROM stockq.jobs
                    """) == "t")
        }
    }

    @Test("the jobs of a store in one lane are applied by priority, then in their order") func order() async throws {
        try await withDatabase { database in
            let shop = try Self.neighbor(database)
            try database.run(Self.flood(1_000, priority: 3))
            try database.run(Self.flood(1_000, priority: 1))
            try database.run(Self.item(of: shop))
            try database.enqueue(500, of: .adjust("a", -1, store: shop, priority: 4))
            try database.enqueue(500, of: .adjust("a", -1, store: shop))
            try database.drain {
                Self.smallBatches(&$0)
                $0.workers = 2
            }
            #expect(
                try database.rows(
                    """
                    SELECT job_id FROM (
                        SELECT job_id, version < lag(version) OVER (
                            PARTITION BY store_id, item_id ORDER BY priority, job_id
                        ) AS is_early
                        FROM stockq.results
                    ) AS applied
                    WHERE is_early
                    """) == [])
        }
    }
}
