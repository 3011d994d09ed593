import Foundation
import PrivateCluster
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// Which notifications become messages: quiet periods, margins, snoozed items, and transfers.
@Suite("Alerts") struct AlertTests {
    /// Items of the store `s`, 7 units each with the threshold 5, and a subscription to all of them.
    static func shop(_ database: TestDatabase, items: Int = 1) throws {
        try database.run(
            """
            INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold)
            SELECT 's', 'i' || n, 7, 5 FROM generate_series(0, \(items - 1)) AS n;
            SELECT stockq.add_subscription('all', 'command', 'none')
            """)
    }

    static func setPolicy(_ database: TestDatabase, _ arguments: String) throws {
        try database.run("SELECT stockq.set_alert_policy('s', \(arguments))")
    }

    /// Applies changes of the item `i0` and makes messages of what is to be sent.
    static func change(_ database: TestDatabase, _ quantities: Int64..., item: String = "i0") throws {
        if !quantities.isEmpty { try database.enqueue(quantities.map { .adjust(item, $0) }) }
        try database.drain()
        try fanOut(database)
    }

    /// As a deliverer does, until there is nothing to do.
    static func fanOut(_ database: TestDatabase, rows: Int = 1_000) throws {
        let connection = try database.connect()
        let sql = "SELECT coalesce(notifications + deliveries, 0) FROM stockq.fan_out_deliveries(\(rows))"
        while try database.rows(sql, connection) != ["0"] {}
    }

    /// Moves all that has happened into the past.
    static func pass(_ database: TestDatabase, _ span: String) throws {
        let columns = [
            "notifications": ["created_at"], "results": ["finished_at"], "announcements": ["announced_at", "made_at"],
            "announced_items": ["announced_at", "ready_at", "not_before", "due_at"], "alert_policies": ["set_at"],
            "snoozes": ["until", "set_at"], "retired_items": ["retired_at"],
        ]
        for (table, names) in columns {
            let changes = names.map { "\($0) = \($0) - interval '\(span)'" }.joined(separator: ", ")
            try database.run("UPDATE stockq.\(table) SET \(changes)")
        }
        try fanOut(database)
    }

    /// The messages so far: event and available quantity.
    static func sent(_ database: TestDatabase, where condition: String = "true") throws -> [String] {
        try database.rows(
            """
            SELECT replace(event, 'stock.', '') || ' ' || (data ->> 'available') FROM stockq.deliveries
            WHERE \(condition) ORDER BY delivery_id
            """)
    }

    @Test(
        "stock that swings about the threshold sends one message, and all its notifications are written",
        arguments: ["rearm_margin => 1", "quiet_period => '1 hour'", "rearm_margin => 3, quiet_period => '1 hour'"])
    func swing(policy: String) async throws {
        try await withDatabase { database in
            try Self.shop(database)
            try Self.setPolicy(database, policy)
            try Self.change(database, -1)
            for _ in 0..<5 { try Self.change(database, -1, 1) }
            try Self.change(database, -1)
            #expect(try Self.sent(database) == ["low 5"])
            #expect(try database.value("SELECT count(*) FROM stockq.notifications") == "11")
            try expectSoundLedger(database)
        }
    }

    @Test("a store without a policy gets every message, also beside one that has a policy")
    func withoutPolicy() async throws {
        try await withDatabase { database in
            try Self.shop(database)
            try database.run("SELECT stockq.set_alert_policy('other', quiet_period => '1 day')")
            try Self.change(database, -2, 1, -1, 1)
            #expect(try Self.sent(database) == ["low 5", "restocked 6", "low 5", "restocked 6"])
            #expect(try database.value("SELECT count(*) FROM stockq.announcements") == "0")
            try expectSoundLedger(database)
        }
    }

    @Test("an item that was low is restocked by the change that exceeds the margin, and then becomes low again")
    func margin() async throws {
        try await withDatabase { database in
            try Self.shop(database)
            try Self.setPolicy(database, "rearm_margin => 3")
            try Self.change(database, -2)
            try Self.change(database, 1)
            try Self.change(database, 2)
            #expect(try Self.sent(database) == ["low 5"], "8 is the threshold and the margin")
            try database.enqueue(.adjust("i0", 1, reference: "delivery note 8"))
            try Self.change(database, 1)
            #expect(try Self.sent(database) == ["low 5", "restocked 9"])
            #expect(
                try database.value(
                    "SELECT data -> 'cause' ->> 'reference' FROM stockq.deliveries WHERE delivery_id = 2")
                    == "delivery note 8")
            try Self.change(database, -5)
            #expect(try Self.sent(database) == ["low 5", "restocked 9", "low 5"])
            // All of it between two looks.
            try Self.change(database, 1, 3, -4)
            #expect(try Self.sent(database).suffix(2) == ["restocked 9", "low 5"])
            // What is out is back with the first unit.
            try Self.change(database, -5, 1)
            #expect(try Self.sent(database).suffix(2) == ["out 0", "back_in_stock 1"])
            try expectSoundLedger(database)
        }
    }

    @Test("at the end of a quiet period a message comes if the level differs from the last message's")
    func quietPeriod() async throws {
        try await withDatabase { database in
            try Self.shop(database, items: 2)
            try Self.setPolicy(database, "quiet_period => '1 hour'")
            try Self.change(database, -2, 1, -1, item: "i0")
            try Self.change(database, -2, 1, -1, 2, item: "i1")
            #expect(try Self.sent(database) == ["low 5", "low 5"])
            try Self.pass(database, "30 minutes")
            #expect(try Self.sent(database) == ["low 5", "low 5"])
            try Self.pass(database, "30 minutes")
            #expect(try Self.sent(database) == ["low 5", "low 5", "restocked 7"], "i0 is low, as the message said")
            // The next quiet period begins with that message.
            try Self.change(database, -2, item: "i1")
            try Self.pass(database, "30 minutes")
            #expect(try Self.sent(database).count == 3)
            try Self.pass(database, "30 minutes")
            #expect(try Self.sent(database).suffix(1) == ["low 5"])
            #expect(
                try database.rows("SELECT announced_at <= made_at FROM stockq.announcements") == ["t", "t", "t", "t"])
            try expectSoundLedger(database)
        }
    }

    @Test("an item that runs out in a quiet period says so at once, and only once a quiet period")
    func outInQuietPeriod() async throws {
        try await withDatabase { database in
            try Self.shop(database)
            try Self.setPolicy(database, "quiet_period => '1 hour'")
            try Self.change(database, -2)
            try Self.pass(database, "10 minutes")
            try Self.change(database, -5)
            #expect(try Self.sent(database) == ["low 5", "out 0"])
            // A quiet period begins with it too: stock that swings between nothing and one unit sends no more.
            for _ in 0..<3 { try Self.change(database, 1, -1) }
            try Self.change(database, 1)
            try Self.pass(database, "59 minutes")
            #expect(try Self.sent(database) == ["low 5", "out 0"])
            try Self.pass(database, "1 minute")
            #expect(try Self.sent(database) == ["low 5", "out 0", "back_in_stock 1"])
            try Self.change(database, -1)
            #expect(try Self.sent(database).suffix(1) == ["out 0"])
            // Also from above the threshold, and for an item that has just been restocked.
            try Self.change(database, 9)
            try Self.pass(database, "1 hour")
            try Self.change(database, -9)
            #expect(try Self.sent(database).suffix(2) == ["back_in_stock 9", "out 0"])
            try expectSoundLedger(database)
        }
    }

    @Test("an item that runs out while it is snoozed says so at the end of the snooze")
    func outInSnooze() async throws {
        try await withDatabase { database in
            try Self.shop(database)
            try Self.setPolicy(database, "quiet_period => '3 hours'")
            try Self.change(database, -2)
            try database.run("SELECT stockq.snooze_item('s', 'i0', now() + interval '1 hour')")
            try Self.change(database, -5)
            #expect(try Self.sent(database) == ["low 5"])
            try Self.pass(database, "1 hour")
            #expect(try Self.sent(database) == ["low 5", "out 0"])
            try expectSoundLedger(database)
        }
    }

    @Test("a snoozed item sends nothing until the end, then at most one message; no digest lists it")
    func snooze() async throws {
        try await withDatabase { database in
            try Self.shop(database, items: 2)
            try database.run(
                """
                SELECT stockq.add_subscription('daily', 'mail', 'a@example.com', digest_at => '08:00', time_zone => 'UTC');
                SELECT stockq.snooze_item('s', 'i0', now() + interval '2 days');
                SELECT stockq.snooze_item('s', 'i1', now() + interval '2 days')
                """)
            try Self.change(database, -2, item: "i0")
            try Self.change(database, -2, 1, item: "i1")
            let digest = "SELECT item_id FROM stockq.digest_items(2, 10)"
            #expect(try Self.sent(database, where: "event <> 'stock.digest'") == [])
            #expect(try database.rows(digest) == [])
            try Self.pass(database, "2 days")
            #expect(try Self.sent(database, where: "event <> 'stock.digest' AND subscription_id = 1") == ["low 5"])
            #expect(try database.rows(digest) == ["i0"])
            try Self.change(database, 2, item: "i0")
            #expect(try Self.sent(database, where: "subscription_id = 1") == ["low 5", "restocked 7"])
            try expectSoundLedger(database)
        }
    }

    @Test(
        "an item that is retired before its snooze or its quiet period ends sends nothing, and one that is created again with its key begins anew",
        arguments: [
            "snooze_item('s', 'i0', now() + interval '2 days')", "set_alert_policy('s', quiet_period => '2 days')",
        ],
        [false, true])
    func retired(delay: String, isCreatedBefore: Bool) async throws {
        try await withDatabase { database in
            let create =
                "INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold) VALUES ('s', 'i0', 20, 5)"
            try Self.shop(database)
            let isQuiet = delay.hasPrefix("set")
            try database.run("SELECT stockq.\(delay)")
            if isQuiet { try Self.change(database, -7) }
            let before = try Self.sent(database)
            if isQuiet {
                // That it is back waits, and its owner deletes it with its stock.
                try Self.change(database, 1)
                try database.run("DELETE FROM stockq.items")
            } else {
                try Self.change(database, -7)
                #expect(try database.value("SELECT stockq.retire_item('s', 'i0')") == "t")
            }
            #expect(try database.value("SELECT count(*) FROM stockq.retired_items") == "1")
            if isCreatedBefore { try database.run(create) }
            try Self.pass(database, "2 days")
            #expect(try Self.sent(database) == before)
            if !isCreatedBefore { try database.run(create) }
            try Self.change(database, -16)
            #expect(try Self.sent(database) == before + ["low 4"])
            try expectSoundLedger(database)
        }
    }

    @Test("an item that is created again is another: its levels are announced, and no quiet period goes on")
    func createdAgain() async throws {
        try await withDatabase { database in
            let create = { (threshold: Int) in
                try database.run(
                    """
                    INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold)
                    VALUES ('s', 'i0', 7, \(threshold))
                    """)
            }
            try Self.shop(database)
            try Self.setPolicy(database, "quiet_period => '1 day'")
            // It is low, and that it is restocked waits.
            try Self.change(database, -2, 3)
            #expect(try Self.sent(database) == ["low 5"])
            try database.run("DELETE FROM stockq.items")
            try create(5)
            try Self.change(database, -3)
            #expect(try Self.sent(database) == ["low 5", "low 4"])
            // Its quiet period is its own.
            try Self.change(database, 4, -4)
            #expect(try Self.sent(database) == ["low 5", "low 4"])
            // Once more, changed by its threshold alone, and once more.
            for _ in 0..<2 {
                try database.run("DELETE FROM stockq.items")
                try create(5)
                try database.run("SELECT stockq.set_item('s', 'i0', low_stock_threshold => 9)")
                try Self.fanOut(database)
            }
            #expect(try Self.sent(database) == ["low 5", "low 4", "low 7", "low 7"])
            #expect(try database.value("SELECT count(*) FROM stockq.retired_items") == "3")
            try expectSoundLedger(database)
        }
    }

    @Test("whether a notification is of a retired item does not depend on when its transaction began")
    func longTransaction() async throws {
        try await withDatabase { database in
            try Self.shop(database)
            try Self.setPolicy(database, "quiet_period => '1 day'")
            let slow = try database.connect()
            try slow.executeScript("BEGIN; SELECT now()")
            try Self.change(database, -2)
            try database.run(
                """
                DELETE FROM stockq.items;
                INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold) VALUES ('s', 'i0', 7, 5)
                """)
            try slow.executeScript("SELECT stockq.set_item('s', 'i0', low_stock_threshold => 9); COMMIT")
            try Self.fanOut(database)
            #expect(try Self.sent(database) == ["low 5", "low 7"])
            try expectSoundLedger(database)
        }
    }

    @Test("a snooze that is ended, and a policy that is removed, send what is due at once")
    func endedEarly() async throws {
        try await withDatabase { database in
            try Self.shop(database, items: 2)
            try database.run("SELECT stockq.snooze_item('s', 'i0', now() + interval '2 days')")
            try Self.change(database, -2)
            #expect(try Self.sent(database) == [])
            try database.run("SELECT stockq.snooze_item('s', 'i0', NULL)")
            try Self.fanOut(database)
            #expect(try Self.sent(database) == ["low 5"])
            try Self.setPolicy(database, "quiet_period => '1 day', rearm_margin => 3")
            try Self.change(database, 1)
            #expect(try Self.sent(database) == ["low 5"])
            try Self.setPolicy(database, "quiet_period => '0'")
            try Self.fanOut(database)
            #expect(try Self.sent(database) == ["low 5"], "the margin is still set")
            #expect(try database.value("SELECT stockq.remove_alert_policy('s')") == "t")
            try Self.fanOut(database)
            #expect(try Self.sent(database) == ["low 5", "restocked 6"])
            try Self.change(database, -1, 1)
            #expect(try Self.sent(database).suffix(2) == ["low 5", "restocked 6"])
            #expect(try database.value("SELECT stockq.remove_alert_policy('s')") == "f")
            try expectSoundLedger(database)
        }
    }

    @Test("a job without notifications re-arms its item")
    func withoutNotifications() async throws {
        try await withDatabase { database in
            try Self.shop(database)
            try Self.setPolicy(database, "rearm_margin => 1")
            try Self.change(database, -2)
            try database.run(
                "INSERT INTO stockq.jobs (store_id, item_id, quantity, notify) VALUES ('s', 'i0', 5, false)")
            try Self.change(database, -5)
            #expect(try Self.sent(database) == ["low 5", "low 5"])
            try expectSoundLedger(database)
        }
    }

    @Test(
        "a transfer to a location that never sold sends nothing, others say that the item is back",
        arguments: [false, true])
    func transfers(hasPolicy: Bool) async throws {
        try await withDatabase { database in
            try Self.shop(database)
            if hasPolicy { try Self.setPolicy(database, "rearm_margin => 1") }
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, location_id, on_hand)
                VALUES ('s', 'm', 'main', 50), ('s', 'm', 'shop', 0), ('s', 'm', 'other', 0)
                """)
            let transfer = { (from: String, to: String) in
                try database.run("SELECT stockq.transfer('s', 'm', 4, '\(from)', '\(to)')")
                try database.drain()
                try Self.fanOut(database)
            }
            let kinds = "SELECT kind, location_id FROM stockq.notifications ORDER BY notification_id"
            try transfer("main", "shop")
            #expect(try Self.sent(database) == [])
            #expect(try database.rows(kinds) == ["back_in_stock,shop"], "the ledger has it")
            // There and back is no sale.
            try transfer("shop", "main")
            try transfer("main", "shop")
            #expect(try Self.sent(database) == ["out 0"])
            try database.run("SELECT stockq.enqueue('s', 'm', -4, location_id => 'shop')")
            try transfer("main", "shop")
            #expect(try Self.sent(database) == ["out 0", "out 0", "back_in_stock 4"])
            // Goods that come in are no transfer.
            try database.run("SELECT stockq.enqueue('s', 'm', 9, location_id => 'other')")
            try Self.change(database)
            #expect(try Self.sent(database).suffix(1) == ["back_in_stock 9"])
            try expectSoundLedger(database)
        }
    }

    @Test("what is announced depends on no subscription")
    func withoutSubscription() async throws {
        try await withDatabase { database in
            try Self.shop(database)
            try database.run("SELECT stockq.remove_subscription('all')")
            try Self.setPolicy(database, "quiet_period => '1 hour', rearm_margin => 2")
            try Self.change(database, -2, 1, -1)
            let announced = "SELECT kind, available_after FROM stockq.announcements ORDER BY notification_id"
            #expect(try database.rows(announced) == ["low_stock,5"])
            try database.run("SELECT stockq.add_subscription('late', 'command', 'none')")
            try Self.change(database, 5)
            #expect(try Self.sent(database) == [], "the quiet period began before it was added")
            try Self.pass(database, "1 hour")
            #expect(try Self.sent(database) == ["restocked 10"])
            #expect(try database.rows(announced) == ["low_stock,5", "restocked,10"])
            try expectSoundLedger(database)
        }
    }

    @Test("a replay sends what was announced, with the ids that the messages had")
    func replay() async throws {
        try await withDatabase { database in
            try Self.shop(database)
            try Self.setPolicy(database, "rearm_margin => 3")
            try Self.change(database, -2, 1, -1, 1)
            try Self.change(database, 4)
            let before = try Self.sent(database)
            let ids = "SELECT message_id FROM stockq.deliveries ORDER BY delivery_id"
            let idsBefore = try database.rows(ids)
            try database.run(
                "TRUNCATE stockq.deliveries; SELECT stockq.replay_deliveries('all', now() - interval '1 day')")
            #expect(before == ["low 5", "restocked 10"])
            #expect(try Self.sent(database) == before && database.rows(ids) == idsBefore)
        }
    }

    @Test("a receiver gets one message of a swing, and the one at the end of the quiet period")
    func delivered() async throws {
        try await withDatabase { database in
            let receiver = try WebhookReceiver()
            try Self.shop(database)
            try database.run(
                """
                SELECT stockq.remove_subscription('all');
                SELECT stockq.add_subscription('shop', 'webhook', '\(receiver.url("/ok"))', secret => '\(WebhookReceiver.secret)')
                """)
            try Self.setPolicy(database, "quiet_period => '1 second'")
            try database.enqueue([-2, 1, -1, 1, -1, 1].map { .adjust("i0", $0) })
            let workers = database.startWorkers {
                $0.allowPrivateTargets = true
                $0.deliveryPollInterval = .milliseconds(20)
            }
            #expect(eventually { receiver.received.count == 2 })
            #expect(receiver.received.map(\.event) == ["stock.low", "stock.restocked"])
            #expect(receiver.received.allSatisfy { $0.verified })
            #expect(
                try database.value(
                    "SELECT max(announced_at) - min(announced_at) FROM stockq.announcements") == "00:00:01")
            try workers.stop()
            try expectSoundLedger(database)
        }
    }
}
