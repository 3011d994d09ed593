import StockModel
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// Verification of a part of the ledger: it finds what is wrong in the part, by indexes.
@Suite("Scoped verifier") struct ScopedVerifierTests {
    private static func scope(
        store: String? = nil, item: String? = nil, location: String? = nil, since: PastMoment? = nil
    ) -> Verifier.Scope {
        var scope = Verifier.Scope()
        (scope.store, scope.item, scope.location, scope.since) = (store, item, location, since)
        return scope
    }

    static let scopes = [
        scope(store: "s"), scope(store: "s", item: "a"), scope(store: "s", item: "a", location: "main"),
        scope(since: .ago(.seconds(3_600))), scope(store: "s", since: .ago(.seconds(3_600))),
    ]

    private static func wrong(_ database: TestDatabase, _ scope: Verifier.Scope) throws -> [String] {
        var found: [String] = []
        try Verifier(connection: database.connect(), schema: .standard, scope: scope).runAll {
            if !$0.violations.isEmpty { found.append($0.check) }
        }
        return found
    }

    private static func shop(_ database: TestDatabase) throws {
        try database.run(
            """
            INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold) VALUES
                ('s', 'a', 9, 5), ('s', 'b', 9, NULL), ('t', 'a', 9, 5);
            INSERT INTO stockq.jobs (store_id, item_id, quantity, action, on_insufficient) VALUES
                ('s', 'a', -1, 'adjust', 'reject'), ('s', 'a', -3, 'adjust', 'reject'),
                ('s', 'a', -9, 'adjust', 'allow'), ('s', 'b', -99, 'adjust', 'reject'),
                ('s', 'b', 2, 'allocate', 'reject'), ('t', 'a', -5, 'adjust', 'reject');
            """)
        try database.drain()
    }

    static let stock = "the stock of an item is that after its last change"
    static let continuity = "each change begins where the one before it ended, and versions are gapless"

    struct Tampering: Sendable, CustomTestStringConvertible {
        var sql: String
        var check: String

        var testDescription: String { sql }
    }

    static let tamperings = [
        Tampering(
            sql: "UPDATE stockq.items SET on_hand = on_hand + 1 WHERE (store_id, item_id) = ('s', 'a')", check: stock),
        Tampering(
            sql: "UPDATE stockq.items SET version = version + 1 WHERE (store_id, item_id) = ('s', 'a')", check: stock),
        Tampering(sql: "DELETE FROM stockq.results WHERE job_id = 2", check: continuity),
        Tampering(
            sql: """
                UPDATE stockq.results SET on_hand_before = on_hand_before + 1, on_hand_after = on_hand_after + 1
                WHERE job_id = 2
                """, check: continuity),
        Tampering(sql: "UPDATE stockq.results SET previous_job_id = 99 WHERE job_id = 2", check: continuity),
        Tampering(
            sql: """
                INSERT INTO stockq.jobs (job_id, store_id, item_id, quantity) OVERRIDING SYSTEM VALUE
                VALUES (2, 's', 'a', 1)
                """, check: "no job is both queued and finished"),
        Tampering(
            sql: "UPDATE stockq.results SET on_hand_after = -7, on_insufficient = 'partial' WHERE job_id = 3",
            check: "available stock went below zero only where the job allowed it"),
        Tampering(
            sql: "DELETE FROM stockq.notifications WHERE store_id = 's'",
            check: "notifications are the changes of level that the results record"),
        Tampering(
            sql: "UPDATE stockq.items SET notified_level = 'ok' WHERE (store_id, item_id) = ('s', 'a')",
            check: "the notified level of an item is that of its last change"),
    ]

    @Test("what is wrong with an item is found in each part that has it", arguments: tamperings)
    func isDetected(_ tampering: Tampering) async throws {
        try await withDatabase { database in
            try Self.shop(database)
            for scope in Self.scopes { #expect(try Self.wrong(database, scope) == [], "\(scope)") }
            try database.run(tampering.sql)
            for scope in Self.scopes { #expect(try Self.wrong(database, scope).contains(tampering.check), "\(scope)") }
            for scope in [Self.scope(store: "t"), Self.scope(store: "s", item: "b")] {
                #expect(try Self.wrong(database, scope) == [], "\(scope) has another item")
            }
        }
    }

    @Test("what was finished before the time is not read") func since() async throws {
        try await withDatabase { database in
            try Self.shop(database)
            try database.run(
                """
                UPDATE stockq.results SET finished_at = finished_at - interval '1 day';
                UPDATE stockq.notifications SET created_at = created_at - interval '1 day';
                UPDATE stockq.change_log SET created_at = created_at - interval '1 day';
                UPDATE stockq.results SET on_hand_before = on_hand_before + 1 WHERE job_id = 2;
                SELECT stockq.enqueue('s', 'a', 20);
                """)
            try database.drain()
            #expect(try Self.wrong(database, Self.scope(since: .ago(.seconds(3_600)))) == [])
            #expect(try Self.wrong(database, Self.scope(since: .ago(.seconds(2 * 86_400)))) == [Self.continuity])
            #expect(try Self.wrong(database, Self.scope(store: "s")) == [Self.continuity])
        }
    }

    @Test("accepted changes, retired items and dropped results are right") func history() async throws {
        try await withDatabase { database in
            try Self.shop(database)
            try database.run(
                """
                UPDATE stockq.items SET on_hand = on_hand + 7 WHERE (store_id, item_id) = ('s', 'a');
                SELECT stockq.reconcile_item('s', 'a', 'main', 'counted');
                SELECT stockq.enqueue('s', 'a', -1);
                """)
            try database.drain()
            for scope in Self.scopes { #expect(try Self.wrong(database, scope) == [], "\(scope)") }
            try database.run(
                """
                SELECT stockq.enqueue('s', 'a', 0, action => 'set');
                """)
            try database.drain()
            try database.run(
                """
                SELECT stockq.retire_item('s', 'a');
                INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 4);
                SELECT stockq.enqueue('s', 'a', -1);
                """)
            try database.drain()
            for scope in Self.scopes { #expect(try Self.wrong(database, scope) == [], "\(scope)") }
        }
    }

    @Test("the results of one item are found by their ids, not by reading all") func plan() async throws {
        try await withDatabase { database in
            try Self.shop(database)
            try database.run(
                """
                SELECT count(*) FROM generate_series(1, 3000) AS n, LATERAL stockq.enqueue('t', 'a', 1) AS added
                """)
            try database.drain()
            try database.run("ANALYZE stockq.results, stockq.items, stockq.notifications")
            let session = try database.connect()
            let read = { (scope: Verifier.Scope) in
                try session.executeScript("SELECT pg_stat_force_next_flush()")
                let before = try Self.rowsRead(database)
                try Verifier(connection: session, schema: .standard, scope: scope).runAll { _ in }
                try session.executeScript("SELECT pg_stat_force_next_flush()")
                return try Self.rowsRead(database) - before
            }
            let one = try read(Self.scope(store: "s", item: "a"))
            #expect(one < 1_000, "\(one) rows")
        }
    }

    private static func rowsRead(_ database: TestDatabase) throws -> Int {
        Int(
            try database.value(
                """
                SELECT coalesce(sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)), 0)
                FROM pg_stat_user_tables WHERE relname LIKE 'results%'
                """)) ?? .max
    }
}
