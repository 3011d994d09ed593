import Foundation
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// The checks of `stockq run` before it starts and while it runs.
@Suite struct StartupTests {
    // MARK: a database that is not reachable yet

    @Test("a worker waits for its database") func waitsForDatabase() async throws {
        try await withDatabase { database in
            let proxy = try Proxy(to: database)
            proxy.rejectConnections(true)
            var program = Program()
            program.environment["DATABASE_URL"] = proxy.conninfo(database: database.name)
            let running = try program.start(["run"])
            #expect(eventually { running.errorText.contains("event=waiting_for_database") })
            proxy.rejectConnections(false)
            #expect(eventually { running.errorText.contains("event=started") })
            running.send(SIGTERM)
            #expect(try running.wait().code == 0)
            proxy.rejectConnections(true)
            let gaveUp = try program.run(["run", "--set", "startTimeout=200ms"])
            #expect(gaveUp.code == 1)
            #expect(gaveUp.err.contains("cannot reach the database"))
        }
    }

    // MARK: blockers

    struct Blocker: Sendable, CustomTestStringConvertible {
        var sql: String
        var message: String
        var arguments: [String] = []
        var testDescription: String { message }
    }

    static let blockers = [
        Blocker(
            sql: "REVOKE UPDATE ON stockq.items FROM stockq_worker",
            message: "UPDATE (allocated) on \"stockq\".items, UPDATE (version) on"),
        Blocker(
            sql: "REVOKE UPDATE ON stockq.workers_awake FROM stockq_worker",
            message:
                "this role lacks UPDATE on \"stockq\".workers_awake; an administrator runs: GRANT stockq_worker TO ROLE"
        ),
        Blocker(
            sql: "DROP POLICY worker_select ON stockq.jobs", message: "row security may hide rows of \"stockq\".jobs"),
        Blocker(
            sql: """
                DROP POLICY worker_select ON stockq.jobs;
                CREATE POLICY mine ON stockq.jobs TO ROLE USING (store_id = 'mine')
                """, message: "row security may hide rows of \"stockq\".jobs"),
        Blocker(
            sql: """
                DROP POLICY worker_all ON stockq.results;
                CREATE POLICY own ON stockq.results TO ROLE USING (true) WITH CHECK (store_id = 'mine')
                """, message: "row security may hide rows of \"stockq\".results"),
        Blocker(
            sql: "REVOKE EXECUTE ON FUNCTION stockq.add_results_partitions FROM stockq_worker",
            message: "this role lacks EXECUTE on add_results_partitions"),
        Blocker(
            sql: "DELETE FROM stockq.lanes WHERE lane IN (7, 63)", message: "the table lanes has no row for lanes 7, 63"
        ),
        Blocker(sql: "", message: "fsync is off", arguments: ["--set", "requireDurability=true"]),
    ]

    @Test("what would make results wrong without an error blocks the start", arguments: blockers)
    func isBlocked(_ blocker: Blocker) async throws {
        try await withDatabase { database in
            let program = try Self.programOfRole(database)
            try database.run(
                blocker.sql.replacingOccurrences(of: "TO ROLE", with: "TO \(Self.role(database))"))
            let ended = try program.run(["run", "--drain"] + blocker.arguments)
            #expect(ended.code == 1)
            #expect(ended.err.contains("cannot run here: ") && ended.err.contains(blocker.message), "\(ended.err)")
            try Self.dropRole(database)
        }
    }

    @Test("a role with a worker's privileges starts, with warnings") func warnings() async throws {
        try await withDatabase { database in
            let program = try Self.programOfRole(database)
            let ended = try program.run(["run", "--drain"])
            #expect(ended.code == 0, "\(ended.err)")
            #expect(ended.err.contains("fsync is off: a crash or a power cut may lose"))
            #expect(ended.err.contains("cannot drop expired results and keys; run `stockq prune` as an administrator"))
            try Self.dropRole(database)
        }
    }

    private static func role(_ database: TestDatabase) -> String { "worker_of_\(database.name)" }

    /// A role with the privileges of a worker, and no more.
    private static func programOfRole(_ database: TestDatabase) throws -> Program {
        let name = role(database)
        try database.run(
            """
            CREATE ROLE \(name) LOGIN;
            GRANT stockq_worker TO \(name)
            """)
        var program = Program()
        program.environment["DATABASE_URL"] = database.url.replacingOccurrences(of: "stockq@", with: "\(name)@")
        return program
    }

    private static func dropRole(_ database: TestDatabase) throws {
        try database.run("DROP OWNED BY \(role(database)); DROP ROLE \(role(database))")
    }

    // MARK: a drain

    @Test("a drain ends although one of its workers gets no connection") func drainWithFewConnections() async throws {
        try await withDatabase { database in
            let program = try Self.programOfRole(database)
            try database.run("ALTER ROLE \(Self.role(database)) CONNECTION LIMIT 4")
            try database.run("INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'a', -1)")
            let ended = try program.run(["run", "--drain", "--workers", "8"])
            #expect(ended.code == 0, "\(ended.err)")
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "0")
            try Self.dropRole(database)
        }
    }

    // MARK: the ledger checker

    static let tamperings = [
        "UPDATE stockq.items SET on_hand = on_hand + 1",
        "UPDATE stockq.items SET version = version + 1",
        "UPDATE stockq.results SET on_hand_after = on_hand_after - 1, on_hand_before = on_hand_before - 1 WHERE version = 2",
        "UPDATE stockq.results SET outcome = 'unchanged' WHERE version = 3",
        "UPDATE stockq.results SET item_id = 'b' WHERE version = 2",
        "INSERT INTO stockq.jobs (job_id, store_id, item_id, quantity, run_at) OVERRIDING SYSTEM VALUE SELECT job_id, 's', 'a', 1, now() + interval '1 day' FROM stockq.results WHERE version = 3",
    ]

    /// While workers run; with `stopOnViolation` it stops them.
    @Test("the ledger checker reports a wrong ledger", arguments: tamperings, [false, true])
    func violation(_ tampering: String, stops: Bool) async throws {
        try await withDatabase { database in
            try database.run("INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 100)")
            let job = "INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'a', -1)"
            for _ in 1...3 {
                try database.run(job)
                try database.drain()
            }
            try database.run(tampering)
            let running = try Program(database).start(
                ["run", "--json", "--set", "checkInterval=10ms", "--set", "stopOnViolation=\(stops)"])
            try database.run(job)
            #expect(eventually { running.errorText.contains("event=integrity_violation") })
            if !stops { running.send(SIGTERM) }
            let ended = try running.wait()
            #expect(ended.code == (stops ? 1 : 0))
            #expect(ended.out.firstMatch(of: /"violations":[1-9]/) != nil)
            let (stats, doctor) = (try Program(database).run(["stats"]).out, try Program(database).run(["doctor"]).out)
            #expect(stats.contains("violations   the ledger of 1 item is wrong, the last found "), "\(stats)")
            #expect(stats.contains("\n  a in s; see stockq verify\n"), "\(stats)")
            #expect(
                doctor.contains("ledger: the ledger of item 'a' at 'main' in store 's' is wrong, found at "),
                "\(doctor)")
        }
    }

    @Test("a violation is on record until the item is reconciled") func violationOnRecord() async throws {
        try await withDatabase { database in
            try database.run("INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 100)")
            let job = "INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'a', -1)"
            try database.run(job)
            try database.drain()
            try database.run("UPDATE stockq.items SET on_hand = on_hand + 7")
            let running = try Program(database).start(["run", "--set", "checkInterval=10ms"])
            try database.run(job)
            let noted = "SELECT count(*) FROM stockq.ledger_violations"
            #expect(try eventually { try database.value(noted) == "1" })
            running.send(SIGTERM)
            _ = try running.wait()
            _ = try Program(database).run(["items", "reconcile", "s", "a", "--reason", "counted"])
            #expect(try database.value(noted) == "0")
            #expect(try !Program(database).run(["stats"]).out.contains("violations"))
        }
    }

    @Test("the ledger checker reports nothing about a correct ledger") func noFalseAlarm() async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand) SELECT 's' || i % 3, 'a' || i, 5 FROM generate_series(1, 9) AS i;
                INSERT INTO stockq.jobs (store_id, item_id, quantity, on_insufficient)
                SELECT 's' || i % 3, 'a' || 1 + i % 9, 1 - i % 3, CASE WHEN i % 5 = 0 THEN 'allow' ELSE 'reject' END::stockq.on_insufficient
                FROM generate_series(1, 5000) AS i
                """)
            let events = try database.drain {
                $0.checkInterval = .milliseconds(1)
                $0.batchJobsMax = 20
            }
            #expect(!events.contains { if case .integrityViolation = $0 { true } else { false } })
        }
    }
}
