import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

@Suite("Worker processes: side by side, stopping, reconnecting") struct WorkerPoolTests {
    @Test("several worker processes share the work") func sharedWork() async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand)
                SELECT 's' || s, 'i' || i, 100 FROM generate_series(1, 10) s, generate_series(1, 20) i;
                INSERT INTO stockq.jobs (store_id, item_id, quantity)
                SELECT 's' || 1 + n % 10, 'i' || 1 + (n / 10) % 25, -1 FROM generate_series(1, 8000) n;
                """)
            let processes = (0..<3).map { _ in database.startWorkers(drains: true) { $0.batchJobsMax = 100 } }
            for workers in processes { try workers.wait() }
            #expect(try database.resultCount() == 8000)
            #expect(try database.queuedJobs() == 0)
            try expectSoundLedger(database)
        }
    }

    /// The lock on the lane's row keeps workers of several processes in one order.
    @Test("a worker skips a lane that another transaction has locked") func lockedLane() async throws {
        try await withDatabase { database in
            try database.run(
                "INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 10), ('t', 'a', 10)")
            try database.enqueue(.adjust("a", -1))
            // A worker that did not lock the row, or locked it in share mode, would get past this lock.
            let holder = try database.lock(
                "SELECT FROM stockq.lanes WHERE lane = (SELECT lane FROM stockq.jobs WHERE job_id = 1) FOR SHARE")
            // One worker takes the lanes in turn: while it works on the other lane again and again, it meets the locked
            // one.
            let workers = database.startWorkers {
                $0.workers = 1
                $0.idleInTransactionTimeout = .milliseconds(60_000)
            }
            for job in 2...20 {
                try database.enqueue(.adjust("a", 1, store: "t"))
                #expect(try eventually { try database.hasResult(Int64(job)) })
            }
            #expect(try !database.hasResult(1))
            try holder.executeScript("COMMIT")
            #expect(try eventually { try database.results().first == .applied(1, -1) })
            try workers.stop()
        }
    }

    @Test("workers that finish leave the remaining jobs queued") func finished() async throws {
        try await withDatabase { database in
            try database.addItem("a", 1_000_000)
            try database.enqueue(20_000, of: .adjust("a", -1))
            let workers = database.startWorkers { $0.batchJobsMax = 50 }
            #expect(workers.waitForBatch { _ in true })
            try workers.stop()
            #expect(try database.queuedJobs() > 0)
            #expect(
                try database.value("SELECT (SELECT count(*) FROM stockq.jobs) + (SELECT count(*) FROM stockq.results)")
                    == "20000")
            try expectSoundLedger(database)
        }
    }

    @Test("a worker reconnects after its session is terminated") func workerReconnects() async throws {
        try await withDatabase { database in
            try database.addItem("a", 1_000)
            let workers = database.startWorkers()
            #expect(workers.events.wait { if case .connected = $0 { true } else { false } })
            try database.run(
                """
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()
                """)
            try database.enqueue(.adjust("a", -1))
            #expect(workers.waitForBatch { $0.finished == 1 })
            try workers.stop()
            #expect(try database.results() == [.applied(1, -1)])
        }
    }

    /// Where connections are few, the poller must get one, and an unreachable server meets one attempt at a time.
    @Test("the other services connect only after the poller") func pollerConnectsFirst() async throws {
        try await withDatabase { database in
            let proxy = try Proxy(to: database)
            proxy.rejectConnections(true)
            let workers = WorkersUnderTest(
                ConnectionSettings(conninfo: proxy.conninfo(database: database.name), applicationName: "tests"))
            #expect(eventually { workers.disconnections >= 3 })
            proxy.rejectConnections(false)
            #expect(eventually { workers.events.all.contains { $0.connectedService == "poller" } })
            // Until the poller was connected, no other service had tried.
            let before = workers.events.all.prefix { $0.connectedService != "poller" }
            #expect(before.compactMap(\.disconnectedService).allSatisfy { $0 == "poller" })
            try workers.stop()
        }
    }

    @Test("an insert sends a wake-up only while the workers sleep") func wakeUps() async throws {
        try await withDatabase { database in
            let listener = try database.connect()
            try listener.listen(channel: "stockq")
            try database.enqueue(.adjust("a", -1))
            #expect(try listener.waitForNotification(wakeDescriptor: -1, timeoutMs: 10_000) == ["stockq"])
            try database.run("SELECT setval('stockq.workers_awake', 1, true)")
            try database.enqueue(.adjust("a", -1))
            // The server delivers this test's own notification after any wake-up sent before it.
            try database.run("LISTEN nothing; SELECT pg_notify('stockq', 'mine')")
            #expect(try listener.waitForNotification(wakeDescriptor: -1, timeoutMs: 10_000).count == 1)
        }
    }

    @Test("a drain leaves no flag that keeps producers from waking other workers") func flagOfDrain() async throws {
        try await withDatabase { database in
            try database.run("SELECT setval('stockq.workers_awake', 1, true)")
            try database.drain()
            #expect(try database.value("SELECT is_called FROM stockq.workers_awake") == "f")
        }
    }

    @Test("workers behind a pooler work without prepared statements") func pooled() async throws {
        try await withDatabase { database in
            try database.addItem("a", 100)
            try database.enqueue(
                .adjust("a", -1, policy: .reject), .adjust("a", -500, policy: .wait), .adjust("b", 1, policy: .reject))
            var settings = database.settings
            settings.pooled = true
            WorkersUnderTest.drain(settings)
            #expect(try database.results() == [.applied(1, -1), .rejected(3, .unknownItem)])
        }
    }

    @Test("a queue works in a schema with any name") func anySchema() async throws {
        try await withDatabase(migrated: false) { database in
            let schema = try #require(QueueSchema("Odd \"shop\""))
            let connection = try database.connect()
            try Migrator(connection: connection, schema: schema).migrate()
            let s = schema.quoted
            try connection.executeScript(
                """
                INSERT INTO \(s).items (store_id, item_id, on_hand) VALUES ('s', 'a', 5);
                INSERT INTO \(s).jobs (store_id, item_id, quantity) VALUES ('s', 'a', -2)
                """)
            WorkersUnderTest.drain(database.settings, schema: schema)
            #expect(try database.value("SELECT on_hand FROM \(s).items") == "3")
            #expect(try database.value("SELECT count(*) FROM pg_namespace WHERE nspname = 'stockq'") == "0")
        }
    }
}
