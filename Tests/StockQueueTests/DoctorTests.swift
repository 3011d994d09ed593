import Foundation
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// What an administrator has to act on.
@Suite("Doctor") struct DoctorTests {
    /// Limits that a queue without workers keeps.
    private static var limits: Doctor.Limits {
        var limits = Doctor.Limits()
        limits.workersMin = 0
        return limits
    }

    /// The findings without those of the test's server, which does not write to the disk.
    private static func findings(
        _ database: TestDatabase, _ limits: Doctor.Limits = limits, schema: QueueSchema = .standard,
        clock: () -> Date = { Date() }
    ) throws -> [Doctor.Finding] {
        let doctor = Doctor(connection: try database.connect(), schema: schema)
        return try doctor.findings(limits, clock: clock).filter { !["durability", "vacuum"].contains($0.check) }
    }

    /// Checks that there is one finding, of this kind and with these words.
    private static func expectOne(_ findings: [Doctor.Finding], _ check: String, _ words: String...) {
        #expect(findings.map(\.check) == [check], "\(findings)")
        for word in words { #expect(findings.first?.text.contains(word) == true, "\(word): \(findings)") }
    }

    @Test("a queue without jobs has no finding but its missing workers") func fresh() async throws {
        try await withDatabase { database in
            #expect(try Self.findings(database) == [])
            Self.expectOne(
                try Self.findings(database, Doctor.Limits()), "workers", "no worker is connected", "still to come")
        }
    }

    @Test("a connected worker is counted") func connectedWorker() async throws {
        try await withDatabase { database in
            var settings = database.settings
            settings.applicationName = "shop worker 1"
            try withExtendedLifetime(try Connection(settings)) {
                #expect(try Self.findings(database, Doctor.Limits()) == [])
                var limits = Doctor.Limits()
                limits.workersMin = 2
                Self.expectOne(
                    try Self.findings(database, limits), "workers", "1 worker is connected", "2 are expected")
            }
        }
    }

    @Test("a job that waits too long is named with its store, unless it is paused") func backlog() async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.jobs (store_id, item_id, quantity, enqueued_at) VALUES
                    ('oslo', 'a', -1, now() - interval '4 minutes'), ('berlin', 'a', -1, now() - interval '6 minutes')
                """)
            Self.expectOne(
                try Self.findings(database), "backlog", "waited for 00:06:0", "store berlin", "2 jobs are ready")
            try database.run("SELECT stockq.pause(store_id => 'berlin')")
            #expect(try Self.findings(database) == [])
        }
    }

    @Test(
        "the time for which a store or a lane was paused is no waiting",
        arguments: ["store_id => 'berlin'", "lane => (SELECT lane FROM stockq.jobs LIMIT 1)", "everything => true"])
    func resumed(scope: String) async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.jobs (store_id, item_id, quantity, enqueued_at)
                SELECT 'berlin', 'a', -1, now() - interval '1 hour' FROM generate_series(1, 2);
                SELECT stockq.pause(\(scope)), stockq.pause(store_id => 'oslo')
                """)
            try database.drain()
            func oldest() throws -> Double {
                let inspector = Inspector(connection: try database.connect(), schema: .standard)
                return try inspector.statistics(seconds: 60).value.queue.oldestReadySeconds ?? -1
            }
            if scope.hasPrefix("store") { #expect(try oldest() == -1, "no job is ready") }
            try database.run("SELECT stockq.resume(\(scope))")
            #expect(try Self.findings(database) == [])
            #expect((0..<60).contains(try oldest()))
            // It has waited since it was resumed.
            try database.run("UPDATE stockq.operations SET at = at - interval '10 minutes'")
            Self.expectOne(
                try Self.findings(database), "backlog", "waited for 00:1", "store berlin", "2 jobs are ready")
            #expect((600..<660).contains(try oldest()))
            // What another store did changes nothing, and a job that came later has its own time.
            try database.run(
                """
                SELECT stockq.resume(store_id => 'oslo');
                UPDATE stockq.jobs SET enqueued_at = now() - interval '8 minutes';
                """)
            Self.expectOne(try Self.findings(database), "backlog", "waited for 00:08:", "store berlin")
        }
    }

    @Test("failed jobs and dead deliveries are counted, but not jobs that were retried") func failures() async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 9);
                INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'a', -1), ('s', 'a', -1)
                """)
            try database.drain()
            try database.run("UPDATE stockq.results SET outcome = 'failed'")
            Self.expectOne(try Self.findings(database), "failed jobs", "2 jobs failed within 1 day")
            try database.run("SELECT stockq.retry_jobs(ARRAY[1])")
            Self.expectOne(try Self.findings(database), "failed jobs", "1 job failed")
            var limits = Self.limits
            limits.failedMax = 1
            #expect(try Self.findings(database, limits) == [])
            try database.run(
                """
                INSERT INTO stockq.deliveries (
                    subscription_id, message_id, event, store_id, item_id, location_id, data, occurred_at, state,
                    finished_at
                ) VALUES (1, 'm', 'stock.low', 's', 'a', 'main', '{}', now(), 'dead', now())
                """)
            Self.expectOne(try Self.findings(database, limits), "deliveries", "1 delivery was given up")
        }
    }

    @Test("transactions that are open for long are named by their session") func openTransaction() async throws {
        try await withDatabase { database in
            var settings = database.settings
            settings.applicationName = "php"
            let hung = try Connection(settings)
            try hung.executeScript("BEGIN; INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'a', -1)")
            #expect(try Self.findings(database) == [])
            var limits = Self.limits
            limits.transactionMax = .zero
            Self.expectOne(
                try Self.findings(database, limits), "transactions", "process \(hung.backendProcessID) ",
                "application php", "idle_in_transaction_session_timeout")
        }
    }

    @Test("the end of the partitions and a missing lane are found") func server() async throws {
        try await withDatabase { database in
            try database.run("SELECT setval('stockq.jobs_job_id_seq', 9000000)")
            Self.expectOne(
                try Self.findings(database), "partitions", "up to job id 10000000", "the last job id is 9000000")
            try database.run("SELECT stockq.add_results_partitions(); DELETE FROM stockq.lanes WHERE lane = 7")
            Self.expectOne(try Self.findings(database), "lanes", "no row for lane 7,")
        }
    }

    /// A clock that shows these times, in seconds from now, one after the other.
    private static func clock(_ seconds: Double...) -> () -> Date {
        var rest = seconds.map { Date(timeIntervalSinceNow: $0) }
        return { rest.removeFirst() }
    }

    @Test("a wrong clock is found, by how much it is wrong at least, and a slow call to the server is none")
    func wrongClock() async throws {
        try await withDatabase { database in
            Self.expectOne(try Self.findings(database, clock: Self.clock(60, 61)), "clock", "ms ahead of")
            Self.expectOne(try Self.findings(database, clock: Self.clock(-90, -60)), "clock", "is 60", " ms behind")
            #expect(try Self.findings(database, clock: Self.clock(-60, 60)) == [])
            #expect(try Self.findings(database, clock: Self.clock(4, 60)) == [])
        }
    }

    @Test("a large table without statistics, and too many connections, are found") func load() async throws {
        try await withDatabase { database in
            let loader = try database.connect()
            try loader.executeScript(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand) SELECT 's', 'i' || n, 1 FROM generate_series(1, 50) AS n;
                SELECT pg_stat_force_next_flush()
                """)
            var limits = Self.limits
            limits.largeTableRows = 20
            Self.expectOne(try Self.findings(database, limits), "statistics", "table items has 50 rows")
            try database.run("ANALYZE stockq.items")
            #expect(try Self.findings(database, limits) == [])
            limits.connectionsPercentMax = 0
            Self.expectOne(try Self.findings(database, limits), "connections", "connections are in use")
        }
    }

    @Test("a reader, which sees of which kind its own sessions are only, counts the connections of all roles")
    func connectionsOfOthers() async throws {
        try await withDatabase { database in
            let reader = "reader_of_\(database.name)"
            try database.run("CREATE ROLE \(reader) LOGIN; GRANT stockq_reader TO \(reader)")
            let others = try (0..<5).map { _ in try database.connect() }
            var limits = Self.limits
            limits.connectionsPercentMax = 0
            let asReader = Doctor(connection: try database.connect(as: reader), schema: .standard)
            let text = try withExtendedLifetime(others) {
                try asReader.findings(limits).first { $0.check == "connections" }?.text
            }
            let count = text?.split(separator: " ").first.flatMap { Int($0) }
            // Other tests use the server too.
            #expect((count ?? 0) > others.count, "\(text ?? "no finding")")
            #expect(try !asReader.seesAllSessions())
            try database.run("DROP OWNED BY \(reader); DROP ROLE \(reader)")
        }
    }

    @Test("forgotten pauses, repeated attempts and failing subscriptions are named") func forgotten() async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 1);
                SELECT stockq.enqueue('s', 'a', -1, run_at => now() + interval '1 hour');
                SELECT stockq.add_subscription('till', 'command', 'p');
                SELECT stockq.pause('s');
                SELECT stockq.pause(lane => 3);
                """)
            var limits = Doctor.Limits()
            limits.workersMin = 0
            #expect(try Self.findings(database, limits) == [])
            try database.run(
                """
                UPDATE stockq.jobs SET attempts = 2, last_error = 'audit: no';
                UPDATE stockq.subscriptions SET failing_since = now() - interval '10 minutes';
                UPDATE stockq.paused_stores SET paused_at = now() - interval '2 days';
                UPDATE stockq.lanes SET paused_at = now() - interval '2 days' WHERE lane = 3
                """)
            let findings = try Self.findings(database, limits)
            #expect(findings.map(\.check) == ["pauses", "pauses", "retrying jobs", "deliveries"], "\(findings)")
            for text in [
                "stockq resume --store 's'", "lane 3 has been paused since", "for instance \"audit: no\"",
                "stockq deliveries list --subscription 'till'",
            ] {
                #expect(findings.contains { $0.text.contains(text) }, "\(text): \(findings)")
            }
            limits.pauseMax = .days(3)
            limits.failedMax = 1
            limits.ageMax = .hours(1)
            #expect(try Self.findings(database, limits) == [])
        }
    }

    @Test("the workers of a program with a long name are counted") func longProgramName() async throws {
        try await withDatabase { database in
            var settings = database.settings
            settings.applicationName = String(repeating: "the stock of all shops, ", count: 5)
            let workers = WorkersUnderTest(settings, schema: .standard, settings: WorkerSettings())
            #expect(try eventually { try Self.findings(database, Doctor.Limits()) == [] })
            #expect(
                try database.rows(
                    """
                    SELECT application_name FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name LIKE '%worker 1'
                    """) == ["the stock of all shops, the stock of all shops, the st worker 1"])
            try workers.stop()
        }
    }

    @Test("roles that do not exist are named") func roles() async throws {
        try await withDatabase(migrated: false) { database in
            let schema = try #require(QueueSchema("without_roles"))
            try Migrator(connection: try database.connect(), schema: schema).migrate()
            let findings = try Self.findings(database, schema: schema)
            #expect(findings.map(\.check) == Array(repeating: "roles", count: 5), "\(findings)")
            #expect(findings.contains { $0.text.contains("the role without_roles_worker does not exist") })
        }
    }
}
