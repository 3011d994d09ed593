import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// A ledger that was tampered with is detected, each way by the check that is meant for it.
@Suite("Verifier") struct VerifierTests {
    struct Tampering: Sendable, CustomTestStringConvertible {
        var sql: String
        var check: String

        var testDescription: String { sql }
    }

    static let tamperings = [
        Tampering(
            sql: "UPDATE stockq.items SET on_hand = on_hand + 1 WHERE item_id = 'a'",
            check: "opening + sum of applied = present, for on_hand and allocated"),
        Tampering(
            sql: "UPDATE stockq.items SET allocated = allocated + 1 WHERE item_id = 'b'",
            check: "opening + sum of applied = present, for on_hand and allocated"),
        Tampering(
            sql: "UPDATE stockq.items SET version = version + 1 WHERE item_id = 'a'", check: "versions are gapless"),
        Tampering(sql: "DELETE FROM stockq.results WHERE job_id = 2", check: "versions are gapless"),
        Tampering(
            sql:
                "UPDATE stockq.results SET on_hand_before = on_hand_before + 1, on_hand_after = on_hand_after + 1 WHERE job_id = 2",
            check: "each change begins where the one before it ended"),
        Tampering(
            sql: "UPDATE stockq.results SET previous_job_id = 99 WHERE job_id = 2",
            check: "each change begins where the one before it ended"),
        Tampering(
            sql: "DELETE FROM stockq.items WHERE item_id = 'b'; DELETE FROM stockq.retired_items",
            check: "every applied job belongs to an item"),
        Tampering(
            sql: "DELETE FROM stockq.items WHERE item_id = 'b'; UPDATE stockq.retired_items SET on_hand = on_hand + 1",
            check: "opening + sum of applied = present, for on_hand and allocated"),
        Tampering(
            sql: "DELETE FROM stockq.items WHERE item_id = 'b'; UPDATE stockq.retired_items SET version = version + 1",
            check: "versions are gapless"),
        Tampering(
            sql: "UPDATE stockq.results SET outcome = 'rejected' WHERE job_id = 2",
            check: "applied jobs change stock, all others do not"),
        Tampering(
            sql:
                "INSERT INTO stockq.jobs (job_id, store_id, item_id, quantity) OVERRIDING SYSTEM VALUE VALUES (2, 's', 'a', 1)",
            check: "no job is both queued and finished"),
        Tampering(
            sql: "UPDATE stockq.results SET on_hand_after = -7, on_insufficient = 'partial' WHERE job_id = 3",
            check: "available stock went below zero only where the job allowed it"),
        Tampering(
            sql: "UPDATE stockq.results SET group_id = 'g' WHERE job_id IN (1, 4)",
            check: "groups are applied all together or not at all"),
        Tampering(
            sql: "DELETE FROM stockq.notifications",
            check: "notifications are the changes of level that the results record"),
        Tampering(
            sql:
                "INSERT INTO stockq.notifications (job_id, version, available_before, available_after, kind, store_id, item_id, location_id) VALUES (1, 1, 1, 1, 'restocked', 's', 'a', 'main')",
            check: "notifications are the changes of level that the results record"),
        Tampering(
            sql: "UPDATE stockq.items SET notified_level = 'ok' WHERE item_id = 'a'",
            check: "the notified level of an item is that of its last change"),
        Tampering(
            sql:
                "INSERT INTO stockq.jobs (store_id, item_id, quantity, group_id, submission_id) SELECT 's', 'a', 1, 'lines', submission_id FROM stockq.results WHERE job_id = 5",
            check: "no group is finished in part"),
    ]

    @Test("a tampered ledger is detected", arguments: tamperings) func isDetected(_ tampering: Tampering) async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold) VALUES ('s', 'a', 9, 5), ('s', 'b', 9, NULL);
                INSERT INTO stockq.jobs (store_id, item_id, quantity, action, on_insufficient, group_id) VALUES
                    ('s', 'a', -1, 'adjust', 'reject', NULL), ('s', 'a', -3, 'adjust', 'reject', NULL),
                    ('s', 'a', -9, 'adjust', 'allow', NULL), ('s', 'b', -99, 'adjust', 'reject', NULL),
                    ('s', 'b', 2, 'allocate', 'reject', 'lines');
                """)
            try database.drain()
            try expectSoundLedger(database)
            try database.run(tampering.sql)
            var found: [String] = []
            try Verifier(connection: database.connect(), schema: .standard).runAll {
                if !$0.violations.isEmpty { found.append($0.check) }
            }
            #expect(found.contains(tampering.check))
        }
    }

    @Test("a submission that waits beside an applied one of the same group id is no violation")
    func submissionsOfOneGroupID() async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 9);
                INSERT INTO stockq.jobs (store_id, item_id, quantity, on_insufficient, group_id, idempotency_key) VALUES
                    ('s', 'a', -1, 'wait', 'g', 'k1'), ('s', 'a', -99, 'wait', 'g', 'k2')
                """)
            try database.run(
                """
                INSERT INTO stockq.jobs (store_id, item_id, quantity, on_insufficient, group_id, idempotency_key) VALUES
                    ('s', 'a', -1, 'wait', 'g', 'k1')
                """)
            try database.drain()
            #expect(try database.rows("SELECT job_id, outcome FROM stockq.results") == ["3,applied"])
            #expect(try database.value("SELECT count(*) FROM stockq.jobs WHERE waiting_since IS NOT NULL") == "2")
            try expectSoundLedger(database)
        }
    }

    /// So autovacuum leaves them when it analyzes tables before their rows are committed.
    @Test("statistics of empty tables do not make it compare each item with each change") func statistics() async throws
    {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand)
                SELECT 's', number, 10 FROM generate_series(1, 60000) AS number;
                INSERT INTO stockq.jobs (store_id, item_id, quantity)
                SELECT 's', number, -1 FROM generate_series(1, 20000) AS number
                """)
            try database.drain()
            try database.run(
                """
                ALTER TABLE stockq.items SET (autovacuum_enabled = off);
                ALTER TABLE stockq.results_000000000000000 SET (autovacuum_enabled = off);
                DELETE FROM pg_statistic
                WHERE starelid IN ('stockq.items'::regclass, 'stockq.results_000000000000000'::regclass);
                UPDATE pg_class SET reltuples = 0, relpages = 10
                WHERE oid IN ('stockq.items'::regclass, 'stockq.results_000000000000000'::regclass)
                """)
            var (store, lastHour) = (Verifier.Scope(), Verifier.Scope())
            store.store = "s"
            lastHour.since = .ago(.seconds(3_600))
            for scope in [nil, store, lastHour] {
                let connection = try database.connect()
                try connection.executeScript("SET statement_timeout = '60s'")
                let verifier =
                    scope.map { Verifier(connection: connection, schema: .standard, scope: $0) }
                    ?? Verifier(connection: connection, schema: .standard)
                try verifier.runAll { #expect($0.violations == []) }
            }
        }
    }

    @Test("the table accepts no second result of a job") func secondResult() async throws {
        try await withDatabase { database in
            try database.run("INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'a', 1)")
            try database.drain()
            let error = try #require(throws: PostgresError.self) {
                try database.run("INSERT INTO stockq.results SELECT * FROM stockq.results")
            }
            #expect(error.sqlState == .uniqueViolation)
        }
    }

    @Test("every check has a name and a statement of its own")
    func names() async throws {
        try await withDatabase { database in
            let connection = try database.connect()
            let verifier = Verifier(connection: connection, schema: .standard)
            #expect(Set(verifier.checks.map(\.name)).count == verifier.checks.count)
            // The same connection prepares all of them, twice under the same names.
            for _ in 1...2 { try verifier.runAll { #expect($0.violations.isEmpty) } }
        }
    }
}
