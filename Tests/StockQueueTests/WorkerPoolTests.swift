import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// Several pools and processes beside each other, their stopping and coming back.
@Suite struct WorkerPoolTests {
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
            try database.enqueue("item_id, quantity", "('s', 'a', -1)")
            let holder = try database.connect()
            try holder.executeScript("BEGIN")
            // A worker that did not lock the row, or only shared it, would get past this.
            try holder.executeScript(
                "SELECT FROM stockq.lanes WHERE lane = (SELECT lane FROM stockq.jobs WHERE job_id = 1) FOR SHARE")
            // One worker, which takes the lanes in turn: while it works the other lane again and again, it comes to the held one.
            var settings = WorkerSettings()
            settings.workers = 1
            settings.idleInTransactionTimeout = .milliseconds(60_000)
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
            try database.addItem("a", 1_000_000)
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
                onEvent: events.take)
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
            try database.addItem("a", 1_000)
            let events = Events()
            let pool = WorkerPool(
                connection: database.settings, schema: .standard, settings: WorkerSettings(), onEvent: events.take)
            let ended = Background { pool.run() }
            #expect(events.wait { if case .connected = $0 { true } else { false } })
            try database.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            try database.enqueue("item_id, quantity", "('s', 'a', -1)")
            #expect(events.wait { $0.batch?.finished == 1 })
            pool.finish()
            try ended.wait()
            #expect(try database.results() == ["1 applied -1"])
        }
    }

    @Test func insertsRingOnlyWhileWorkersSleep() async throws {
        try await withDatabase { database in
            let listener = try database.connect()
            try listener.listen(channel: "stockq")
            try database.enqueue("item_id, quantity", "('s', 'a', -1)")
            #expect(try listener.waitForNotification(wakeDescriptor: -1, timeoutMs: 10_000) == ["stockq"])
            try database.run("SELECT setval('stockq.workers_awake', 1, true)")
            try database.enqueue("item_id, quantity", "('s', 'a', -1)")
            // A notification of our own comes behind whatever was rung before it.
            try database.run("LISTEN nothing; SELECT pg_notify('stockq', 'mine')")
            #expect(try listener.waitForNotification(wakeDescriptor: -1, timeoutMs: 10_000).count == 1)
        }
    }

    @Test func thePooledModeWorksWithoutPreparedStatements() async throws {
        try await withDatabase { database in
            try database.addItem("a", 100)
            try database.enqueue(
                "item_id, quantity, on_insufficient",
                "('s', 'a', -1, 'reject'), ('s', 'a', -500, 'wait'), ('s', 'b', 1, 'reject')")
            var settings = database.settings
            settings.pooled = true
            WorkerPool(connection: settings, schema: .standard, settings: WorkerSettings(), drains: true).run()
            #expect(try database.results() == ["1 applied -1", "3 rejected unknown_item 0"])
        }
    }

    @Test func aQueueLivesInAnySchema() async throws {
        try await withDatabase(migrated: false) { database in
            let schema = QueueSchema("Odd \"shop\"")!
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
