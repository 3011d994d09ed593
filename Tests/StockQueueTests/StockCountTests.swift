import StockModel
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// A stock count belongs to the moment at which it was taken: it is never applied before a job of its item that was
/// enqueued before it.
@Suite("Stock counts") struct StockCountTests {
    private static func stock(_ database: TestDatabase) throws -> [String] {
        try database.rows("SELECT item_id, location_id, on_hand FROM stockq.items ORDER BY 1, 2")
    }

    @Test("a count comes after the queued jobs of its item, whatever their priority", arguments: 1...4)
    func countAfterQueuedJobs(priority: Int) async throws {
        try await withDatabase { database in
            try database.run("INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 20)")
            try database.enqueue(.adjust("a", -5, priority: priority))
            let (report, _) = try importItems(database, "store_id,item_id,on_hand\ns,a,15\n", setsStock: true)
            #expect(report.setJobs == 1)
            try database.enqueue(.adjust("a", -1, priority: max(2, priority)))
            try database.drain()
            #expect(try Self.stock(database) == ["a,main,14"])
            try expectSoundLedger(database)
        }
    }

    @Test("a count that equals the record is enqueued while jobs of its item are queued, and not otherwise")
    func countThatEqualsTheRecord() async throws {
        try await withDatabase { database in
            try database.run(
                "INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 20), ('s', 'b', 20), ('s', 'c', 20)"
            )
            try database.enqueue(.adjust("a", -5, priority: 3), .adjust("c", -5, runAt: .after("1 day")))
            let (report, _) = try importItems(
                database, "store_id,item_id,on_hand\ns,a,20\ns,b,20\ns,c,20\n", setsStock: true)
            #expect(report.setJobs == 2)
            try database.drain()
            #expect(try Self.stock(database) == ["a,main,20", "b,main,20", "c,main,20"])
        }
    }

    @Test("a count of a new item comes after jobs that were enqueued before the item was created")
    func countOfNewItem() async throws {
        try await withDatabase { database in
            try database.enqueue(.adjust("a", -5, priority: 4))
            let (report, _) = try importItems(database, "store_id,item_id,on_hand\ns,a,15\n", setsStock: true)
            #expect("\(report.created) \(report.setJobs)" == "1 1")
            try database.drain()
            #expect(try Self.stock(database) == ["a,main,15"])
        }
    }

    @Test("a count is in the lane of the last queued job of its item")
    func countInTheLaneOfTheItem() async throws {
        try await withDatabase { database in
            try database.run("INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 20)")
            try database.enqueue(.adjust("a", -5, orderingKey: "key of a"))
            _ = try importItems(database, "store_id,item_id,on_hand\ns,a,15\n", setsStock: true)
            #expect(try database.rows("SELECT DISTINCT lane, ordering_key FROM stockq.jobs").count == 1)
            try database.drain()
            #expect(try Self.stock(database) == ["a,main,15"])
        }
    }

    @Test(
        "after random jobs and the counts of a file, the stock is that of the file",
        arguments: Seeds.random(4, fullCount: 24)
    )
    func randomJobs(seed: UInt64) async throws {
        try await withDatabase { database in
            var random = SeededRandom(seed: seed)
            let items = (0..<8).map { "item-\($0)" }
            for item in items {
                try database.run("INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', '\(item)', 50)")
            }
            let ordersByItem = random.chance(1, in: 2)
            let jobs = (0..<120).map { _ in
                let item = random.pick(items)
                return TestJob(
                    random.pick([.adjust, .adjust, .adjust, .set]), item, Int64(random.below(30)),
                    group: !ordersByItem && random.chance(1, in: 4) ? "g\(random.below(9))" : nil,
                    priority: 1 + random.below(4), orderingKey: ordersByItem ? item : nil)
            }
            for job in jobs { try database.enqueue(job) }
            let counted = items.map { ($0, random.below(100)) }
            let file = counted.map { "s,\($0),\($1)\n" }.joined()
            _ = try importItems(database, "store_id,item_id,on_hand\n" + file, setsStock: true)
            try database.drain { $0.batchJobsMax = 1 + random.below(50) }
            let found = try Self.stock(database)
            #expect(found == counted.map { "\($0),main,\($1)" }, "run again with STOCKQ_SEED=\(seed)")
            try expectSoundLedger(database)
        }
    }

    @Test(
        "the enqueue functions put a count behind the ready jobs of its item and lane",
        arguments: [
            "SELECT stockq.enqueue('s', 'a', 15, action => 'set')",
            "SELECT stockq.enqueue('s', 'a', 15, action => 'set', priority => 1)",
            "SELECT stockq.enqueue_lines('s', '[{\"item_id\": \"a\", \"quantity\": 15, \"action\": \"set\"}]')",
            """
            SELECT stockq.enqueue_lines('s', '[{"item_id": "a", "quantity": 15, "action": "set"},
                {"item_id": "b", "quantity": 1}]', group_id => 'g')
            """,
        ])
    func enqueueFunctions(sql: String) async throws {
        try await withDatabase { database in
            try database.run(
                "INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 20), ('s', 'b', 1)")
            let producer = "shop_of_\(database.name)"
            try database.run(
                """
                CREATE ROLE \(producer) LOGIN; GRANT stockq_producer TO \(producer);
                SELECT stockq.grant_store('\(producer)', 's', '{update_catalog,read_catalog}');
                """)
            try database.enqueue(.adjust("a", -5, priority: 3), .adjust("b", -1, priority: 4))
            try database.connect(as: producer).executeScript(sql)
            #expect(try database.value("SELECT priority FROM stockq.jobs WHERE action = 'set'") == "3")
            try database.drain()
            #expect(try Self.stock(database).first == "a,main,15")
            try database.run("DROP OWNED BY \(producer); DROP ROLE \(producer)")
        }
    }

    @Test("behind a long queue of low priority a count comes last, without a search")
    func longQueue() async throws {
        try await withDatabase { database in
            try database.enqueue(10_001, of: .adjust("b", -1, priority: 3))
            try database.enqueue(.adjust("b", -1, store: "of another lane", priority: 4))
            let priority = { (item: String) in
                try database.value("SELECT stockq.priority_behind('s', '{\(item)}', NULL, 1, NULL)")
            }
            #expect(try priority("a") == "3")
            try database.run("DELETE FROM stockq.jobs WHERE job_id > 9000")
            #expect(try priority("a") == "1")
            #expect(try priority("b") == "3")
        }
    }

    @Test("a transfer without a priority comes after the ready jobs of its item")
    func transfer() async throws {
        try await withDatabase { database in
            try database.run(
                "INSERT INTO stockq.items (store_id, item_id, location_id, on_hand) VALUES ('s', 'a', 'main', 0), ('s', 'a', 'back', 0)"
            )
            try database.enqueue(.adjust("a", 5, priority: 3))
            try database.run("SELECT stockq.transfer('s', 'a', 5, 'main', 'back')")
            try database.drain()
            #expect(try Self.stock(database) == ["a,back,5", "a,main,0"])
            try database.enqueue(.adjust("a", 5, priority: 3))
            try database.run("SELECT stockq.transfer('s', 'a', 5, 'main', 'back', priority => 1)")
            #expect(try database.value("SELECT string_agg(priority::text, ' ') FROM stockq.jobs") == "3 1 1")
        }
    }

    @Test("a retried count comes after the queued jobs of its item, a group as a whole")
    func retry() async throws {
        try await withDatabase { database in
            try database.run(
                "INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 20), ('s', 'b', 5)")
            try database.run(
                """
                SELECT stockq.enqueue('s', 'a', 15, action => 'set', priority => 1);
                SELECT stockq.enqueue_lines('s', '[{"item_id": "a", "quantity": 1}, {"item_id": "b", "quantity": 1}]', 'g');
                SELECT stockq.cancel_jobs(job_ids => '{1,2,3}');
                """)
            try database.enqueue(.adjust("a", -5, priority: 3), .adjust("b", -5, priority: 4))
            try database.run("SELECT stockq.retry_jobs(job_ids => '{1,2}')")
            #expect(
                try database.rows("SELECT retry_of, priority FROM stockq.jobs WHERE retry_of IS NOT NULL ORDER BY 1")
                    == ["1,3", "2,4", "3,4"])
            try database.drain()
            #expect(try Self.stock(database) == ["a,main,16", "b,main,1"])
        }
    }

    @Test("a count below 0 is rejected by its line") func negativeCount() async throws {
        try await withDatabase { database in
            let text = "store_id,item_id,on_hand\ns,a,-3\n"
            let (report, rejects) = try importItems(database, text, setsStock: true)
            #expect("\(report.created) \(report.rejected)" == "0 1")
            #expect(rejects == ["2: on_hand must not be below 0 for a stock count, not -3"])
            #expect(
                try importItems(database, text, allowsNegativeStock: true).0.created == 1,
                "an opening stock may be below 0")
        }
    }
}
