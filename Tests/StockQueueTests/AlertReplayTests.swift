import Foundation
import PrivateCluster
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// Announcements can be replayed from the ledger, and a forged row is found.
@Suite("Replay of alerts") struct AlertReplayTests {
    // With the last one an item rises above the margin and is retired before the fan-out looks.
    static let seeds = Seeds.random(2, fullCount: 16) + [11_665_995_573_477_992_421]

    private static let announced = """
        SELECT notification_id, kind, alert_before, alert_after, version, available_after, is_sent, announced_at
        FROM stockq.announcements ORDER BY notification_id
        """

    @Test(
        "random jobs, policies, snoozes, thresholds and looks make announcements that verify repeats", arguments: seeds)
    func random(seed: UInt64) async throws {
        try await withDatabase { database in
            var random = SeededRandom(seed: seed)
            try AlertTests.shop(database, items: 4)
            let connection = try database.connect()
            try AlertTests.setPolicy(database, "rearm_margin => 2, quiet_period => '1 hour'")
            for _ in 0..<30 {
                for _ in 0..<8 {
                    // More goes than comes, so that the stock stays about the thresholds.
                    let (item, quantity) = (random.below(4), Int64(random.below(10)) - 5)
                    try connection.executeScript(
                        """
                        INSERT INTO stockq.jobs (store_id, item_id, quantity, on_insufficient, notify)
                        VALUES ('s', 'i\(item)', \(quantity), 'partial', \(random.below(8) > 0))
                        """)
                }
                try database.drain()
                switch random.below(6) {
                case 0:
                    try AlertTests.setPolicy(
                        database, "rearm_margin => \(random.below(4)), quiet_period => '\(random.below(3)) hours'")
                case 1:
                    try database.run(
                        "SELECT stockq.snooze_item('s', 'i\(random.below(4))', now() + interval '\(random.below(5)) hours')"
                    )
                case 2:
                    try database.run(
                        "SELECT stockq.set_item('s', 'i\(random.below(4))', low_stock_threshold => \(random.below(8)))")
                case 3:
                    // Deleted, and created again with the same key.
                    try database.run(
                        """
                        WITH gone AS (DELETE FROM stockq.items WHERE item_id = 'i\(random.below(4))' RETURNING item_id)
                        SELECT FROM gone;
                        INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold)
                        SELECT 's', item_id, 7, 5 FROM (VALUES ('i0'), ('i1'), ('i2'), ('i3')) AS all_items (item_id)
                        ON CONFLICT DO NOTHING
                        """)
                default: break
                }
                if random.below(3) == 0 { try AlertTests.fanOut(database, rows: 1 + random.below(5)) }
                try AlertTests.pass(database, "\(random.below(90)) minutes")
            }
            try AlertTests.fanOut(database)
            #expect(try !database.rows(Self.announced).isEmpty, "run again with STOCKQ_SEED=\(seed)")
            var violations: [String] = []
            try Verifier(connection: connection, schema: .standard).runAll { violations += $0.violations }
            #expect(violations == [], "run again with STOCKQ_SEED=\(seed)")
        }
    }

    @Test("announcements do not depend on when the fan-out reads the notifications", arguments: seeds)
    func steps(seed: UInt64) async throws {
        try await withDatabase { database in
            var random = SeededRandom(seed: seed)
            try AlertTests.shop(database, items: 4)
            try AlertTests.setPolicy(database, "rearm_margin => \(1 + random.below(3))")
            for _ in 0..<15 {
                try database.enqueue(
                    (0..<20).map { _ in
                        .adjust("i\(random.below(4))", Int64(random.below(10)) - 5, policy: .partial)
                    })
                try database.drain()
                if random.below(2) == 0 { try AlertTests.fanOut(database, rows: 1 + random.below(9)) }
            }
            try AlertTests.fanOut(database)
            let before = try database.rows(Self.announced)
            try database.run(
                """
                TRUNCATE stockq.announcements, stockq.announced_items;
                UPDATE stockq.delivery_progress SET (position, row_id) = (
                    SELECT from_position, from_row FROM stockq.announced_stores)
                """)
            try AlertTests.fanOut(database)
            #expect(!before.isEmpty)
            #expect(try database.rows(Self.announced) == before, "run again with STOCKQ_SEED=\(seed)")
        }
    }

    static let forgeries = [
        "DELETE FROM stockq.announcements WHERE notification_id = 1",
        "DELETE FROM stockq.announcements WHERE notification_id = (SELECT max(notification_id) FROM stockq.announcements)",
        "UPDATE stockq.announcements SET announced_at = announced_at + interval '1 second' WHERE notification_id = 1",
        "UPDATE stockq.announcements SET available_after = 4 WHERE notification_id = 1",
        "UPDATE stockq.announcements SET alert_after = 'out' WHERE notification_id = 1",
        "UPDATE stockq.announcements SET is_sent = false WHERE notification_id = 1",
        """
        INSERT INTO stockq.announcements (notification_id, store_id, item_id, location_id, kind, alert_before, alert_after,
            version, available_before, available_after, is_sent, announced_at)
        VALUES (3, 's', 'i0', 'main', 'low_stock', 'ok', 'low', 4, 6, 5, true, now())
        """,
        "UPDATE stockq.alert_policies SET rearm_margin = 4",
        "UPDATE stockq.alert_policies SET quiet_period = '2 hours'",
        "DELETE FROM stockq.snoozes",
        "UPDATE stockq.snoozes SET until = until + interval '1 hour'",
        "DELETE FROM stockq.announced_stores",
        "UPDATE stockq.announced_items SET announced_level = 'out' WHERE item_id = 'i0'",
        "UPDATE stockq.deliveries SET event = 'stock.out' WHERE delivery_id = 1",
        "UPDATE stockq.deliveries SET message_id = 'msg_1_3' WHERE delivery_id = 1",
    ]

    @Test("a forged announcement, policy, snooze or delivery is found", arguments: forgeries)
    func isFound(forgery: String) async throws {
        try await withDatabase { database in
            try AlertTests.shop(database, items: 2)
            try AlertTests.setPolicy(database, "rearm_margin => 3, quiet_period => '1 hour'")
            try database.run("SELECT stockq.snooze_item('s', 'i1', now() + interval '3 hours')")
            try AlertTests.change(database, -2, 1, -1, 1)
            try AlertTests.change(database, -2, item: "i1")
            try AlertTests.pass(database, "1 hour")
            try AlertTests.change(database, 3)
            try AlertTests.pass(database, "2 hours")
            #expect(try AlertTests.sent(database) == ["low 5", "restocked 9", "low 5"])
            try expectSoundLedger(database)
            try database.run(forgery)
            var found: [String] = []
            try Verifier(connection: database.connect(), schema: .standard).runAll { found += $0.violations }
            #expect(!found.isEmpty)
        }
    }
}
