import StockModel
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// A ledger that was broken outside the queue is right again after an administrator accepted it.
@Suite("Reconciliation") struct ReconcileTests {
    private static func wrongChecks(_ database: TestDatabase) throws -> [String] {
        var found: [String] = []
        try Verifier(connection: database.connect(), schema: .standard).runAll {
            if !$0.violations.isEmpty { found.append($0.check) }
        }
        return found
    }

    private static func reconcile(_ database: TestDatabase) throws -> [String] {
        try database.rows(
            """
            SELECT version || ':' || on_hand_before || '>' || on_hand_after
            FROM stockq.reconcile_item('s', 'a', 'main', 'counted')
            """)
    }

    private static func withItem(_ body: @escaping @Sendable (TestDatabase) throws -> Void) async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 9), ('s', 'b', 9);
                SELECT stockq.enqueue('s', 'a', -1), stockq.enqueue('s', 'a', -2), stockq.enqueue('s', 'b', -2);
                """)
            try database.drain()
            try body(database)
        }
    }

    @Test("a changed balance is accepted, and later jobs go on from it") func lastGap() async throws {
        try await Self.withItem { database in
            try database.run("UPDATE stockq.items SET on_hand = on_hand + 7 WHERE item_id = 'a'")
            #expect(try Self.wrongChecks(database) != [])
            #expect(try Self.reconcile(database) == ["2:6>13"])
            #expect(try Self.wrongChecks(database) == [])
            #expect(try Self.reconcile(database) == [])
            try database.run("SELECT stockq.enqueue('s', 'a', -3)")
            try database.drain()
            #expect(try Self.wrongChecks(database) == [])
            #expect(try database.value("SELECT on_hand FROM stockq.items WHERE item_id = 'a'") == "10")
            #expect(
                try database.rows(
                    "SELECT verb, subject->>'reason' FROM stockq.operations WHERE verb = 'items reconcile'")
                    == ["items reconcile,counted"])
        }
    }

    @Test("a change outside the queue between two jobs is accepted afterwards") func gapInTheMiddle() async throws {
        try await Self.withItem { database in
            try database.run(
                """
                UPDATE stockq.items SET on_hand = on_hand + 7, allocated = 1 WHERE item_id = 'a';
                SELECT stockq.enqueue('s', 'a', -3);
                """)
            try database.drain()
            #expect(try Self.wrongChecks(database).count == 2)
            #expect(try Self.reconcile(database) == ["2:6>13"])
            #expect(try Self.wrongChecks(database) == [])
        }
    }

    @Test("another change outside the queue is reported again, and accepted again") func twice() async throws {
        try await Self.withItem { database in
            for stock in [20, 30] {
                try database.run("UPDATE stockq.items SET on_hand = \(stock) WHERE item_id = 'a'")
                #expect(try Self.wrongChecks(database) != [])
                #expect(try Self.reconcile(database) == ["2:6>\(stock)"])
                #expect(try Self.wrongChecks(database) == [])
            }
        }
    }

    @Test("a change outside the queue before the results that retention has kept is accepted") func beforeRetention()
        async throws
    {
        try await Self.withItem { database in
            try database.run(
                """
                UPDATE stockq.items SET on_hand = 20 WHERE item_id = 'a';
                SELECT stockq.enqueue('s', 'a', -3);
                """)
            try database.drain()
            // As retention does it.
            try database.run(
                """
                DELETE FROM stockq.results WHERE item_id = 'a' AND version <= 2;
                UPDATE stockq.items SET opening_on_hand = 6, opening_version = 2 WHERE item_id = 'a'
                """)
            #expect(try Self.wrongChecks(database) != [])
            #expect(try Self.reconcile(database) == ["2:6>20"])
            #expect(try Self.wrongChecks(database) == [])
            #expect(try Self.reconcile(database) == [])
        }
    }

    @Test("alert levels follow a stock that was accepted") func levels() async throws {
        try await Self.withItem { database in
            try database.run(
                """
                SELECT stockq.set_item('s', 'a', low_stock_threshold => 3);
                UPDATE stockq.items SET on_hand = 2 WHERE item_id = 'a'
                """)
            #expect(try Self.reconcile(database) == ["2:6>2"])
            #expect(try Self.wrongChecks(database) == [])
            for quantity in [-1, 5, -4, -2] {
                try database.run("SELECT stockq.enqueue('s', 'a', \(quantity))")
                try database.drain()
                #expect(try Self.wrongChecks(database) == [], "after \(quantity)")
            }
            #expect(
                try database.rows("SELECT kind, available_after FROM stockq.notifications ORDER BY notification_id")
                    == ["low_stock,1", "restocked,6", "low_stock,2", "out_of_stock,0"])
        }
    }

    @Test("missing results and an empty reason are refused") func refused() async throws {
        try await Self.withItem { database in
            #expect(throws: PostgresError.self) {
                try database.run("SELECT stockq.reconcile_item('s', 'a', 'main', ' ')")
            }
            try database.run("DELETE FROM stockq.results WHERE item_id = 'a' AND version = 2")
            #expect(throws: PostgresError.self) { _ = try Self.reconcile(database) }
        }
    }
}
