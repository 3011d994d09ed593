import StockModel
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// The threshold of a store, which its items without a threshold of their own have.
@Suite("The threshold of a store") struct DefaultThresholdTests {
    private static func set(_ database: TestDatabase, _ threshold: QueueAdmin.Change) throws {
        var change = QueueAdmin.AlertPolicyChange(store: "s")
        change.defaultThreshold = threshold
        try QueueAdmin(connection: database.connect(), schema: database.schema).setAlertPolicy(change)
    }

    private static func items(_ database: TestDatabase) throws -> [String] {
        try database.rows(
            "SELECT item_id, low_stock_threshold, threshold_is_default, notified_level FROM stockq.items ORDER BY store_id, item_id"
        )
    }

    private static func notifications(_ database: TestDatabase) throws -> [String] {
        try database.rows("SELECT item_id, kind FROM stockq.notifications ORDER BY notification_id")
    }

    @Test("items created before and after have it, one with its own keeps that, and other stores have none")
    func beforeAndAfter() async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold) VALUES
                    ('s', 'a', 4, NULL), ('s', 'b', 9, NULL), ('s', 'own', 4, 2), ('t', 'a', 4, NULL)
                """)
            try Self.set(database, .set(5))
            #expect(try Self.items(database) == ["a,5,t,low", "b,5,t,ok", "own,2,f,ok", "a,,f,ok"])
            #expect(try Self.notifications(database) == ["a,low_stock"], "compared at once")
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold) VALUES
                    ('s', 'c', 4, NULL), ('s', 'd', 4, 1)
                """)
            #expect(try Self.items(database)[2...3] == ["c,5,t,low", "d,1,f,ok"])
            #expect(try Self.notifications(database) == ["a,low_stock"], "a new item's level is its baseline")
            try database.enqueue(.adjust("b", -4), .adjust("c", 5))
            try database.drain()
            #expect(try Self.notifications(database) == ["a,low_stock", "b,low_stock", "c,restocked"])
            try expectSoundLedger(database)
        }
    }

    @Test("a changed one is compared at once, and a removed one leaves the items without a threshold")
    func changedAndRemoved() async throws {
        try await withDatabase { database in
            try Self.set(database, .set(5))
            try database.run(
                "INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 4), ('s', 'b', 9)")
            try Self.set(database, .set(10))
            #expect(try Self.items(database) == ["a,10,t,low", "b,10,t,low"])
            try Self.set(database, .cleared)
            #expect(try Self.items(database) == ["a,,f,ok", "b,,f,ok"])
            #expect(try Self.notifications(database) == ["b,low_stock", "a,restocked", "b,restocked"])
            try Self.set(database, .set(4))
            let admin = try QueueAdmin(connection: database.connect(), schema: database.schema)
            #expect(try admin.removeAlertPolicy(store: "s"))
            #expect(try Self.items(database) == ["a,,f,ok", "b,,f,ok"])
            #expect(try !admin.removeAlertPolicy(store: "s"))
            try expectSoundLedger(database)
        }
    }

    @Test("an item gets a threshold of its own, and the store's again without one")
    func ownThreshold() async throws {
        try await withDatabase { database in
            try Self.set(database, .set(5))
            try database.run("INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 9)")
            try database.run("SELECT stockq.set_item('s', 'a', low_stock_threshold => 5)")
            try Self.set(database, .set(7))
            #expect(try Self.items(database) == ["a,5,f,ok"], "its own, though it was the same")
            try database.run("SELECT stockq.set_item('s', 'a', clear => '{low_stock_threshold}')")
            #expect(try Self.items(database) == ["a,7,t,ok"])
            try database.run("SELECT stockq.set_item('s', 'a', parent_id => 'p')")
            #expect(try Self.items(database) == ["a,7,t,ok"])
            try database.run("UPDATE stockq.items SET low_stock_threshold = 9")
            #expect(try Self.items(database) == ["a,9,f,low"])
            try database.run("UPDATE stockq.items SET low_stock_threshold = NULL")
            #expect(try Self.items(database) == ["a,7,t,ok"])
            try expectSoundLedger(database)
        }
    }

    @Test("an import gives items without a threshold the store's, and the others their own, also one that is the same")
    func imports() async throws {
        try await withDatabase { database in
            try Self.set(database, .set(5))
            _ = try importItems(
                database, "store_id,item_id,on_hand,low_stock_threshold\ns,a,4,\ns,b,4,2\ns,c,4,5\n")
            #expect(try Self.items(database) == ["a,5,t,low", "b,2,f,ok", "c,5,f,low"])
            let text = "store_id,item_id,on_hand,low_stock_threshold\ns,a,4,5\ns,b,4,2\ns,c,4,5\n"
            let (own, _) = try importItems(database, text)
            #expect("\(own.changed) \(own.unchanged)" == "1 2")
            #expect(try Self.items(database) == ["a,5,f,low", "b,2,f,ok", "c,5,f,low"])
            #expect(try importItems(database, text).0.unchanged == 3)
            try Self.set(database, .set(9))
            try Self.set(database, .set(5))
            #expect(
                try Self.items(database) == ["a,5,f,low", "b,2,f,ok", "c,5,f,low"], "a changed default is not theirs")
            let (report, _) = try importItems(
                database, "store_id,item_id,on_hand,low_stock_threshold\ns,a,4,3\ns,b,4,\ns,c,4,\n")
            #expect(report.changed == 3)
            #expect(try Self.items(database) == ["a,3,f,ok", "b,5,t,low", "c,5,t,low"])
            let (parents, _) = try importItems(database, "store_id,item_id,on_hand,parent_id\ns,a,4,p\ns,b,4,p\n")
            #expect(parents.changed == 2)
            #expect(try Self.items(database) == ["a,3,f,ok", "b,5,t,low", "c,5,t,low"])
            #expect(try Self.notifications(database) == ["a,restocked", "b,low_stock"])
            try expectSoundLedger(database)
        }
    }

    @Test("a store with many items is changed in steps, also one that was changed in part")
    func steps() async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, location_id, on_hand)
                SELECT 's', 'i' || n % 1250, 'l' || n / 1250, 4 FROM generate_series(0, 2499) AS n;
                SELECT stockq.set_alert_policy('s', default_threshold => 5)
                """)
            #expect(
                try database.value("SELECT items FROM stockq.apply_default_threshold('s', max_rows => 700)") == "700")
            let changed = "SELECT count(*) FROM stockq.items WHERE threshold_is_default AND low_stock_threshold = 5"
            #expect(try database.value(changed) == "700")
            try Self.set(database, .set(5))
            #expect(try database.value(changed) == "2500")
            #expect(try database.value("SELECT count(*) FROM stockq.notifications WHERE kind = 'low_stock'") == "2500")
            try expectSoundLedger(database)
        }
    }

    @Test("the commands set, list and remove it, and snooze an item")
    func commands() async throws {
        try await withDatabase { database in
            let program = Program(database)
            try database.run("INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 4)")
            #expect(
                try program.run(["alerts", "set", "s", "--threshold", "5", "--quiet", "90m", "--margin", "3"]).out
                    == "store s: threshold none → 5, quiet none → 90m, margin none → 3\n")
            #expect(
                try program.run(["alerts", "set", "s", "--margin", "none"]).out
                    == "store s: threshold 5, quiet 90m, margin 3 → none\n")
            #expect(
                try program.run(["alerts", "list", "--json"]).out.contains(
                    #""default_threshold":5,"quiet_seconds":5400,"rearm_margin":0"#))
            #expect(try program.run(["alerts", "list"]).out.contains("90m"))
            #expect(try Self.items(database) == ["a,5,t,low"])
            #expect(try program.run(["alerts", "set", "s"]).code == 2)
            #expect(try program.run(["alerts", "set", "s", "--quiet", "400d"]).code == 2)
            #expect(try program.run(["items", "snooze", "s", "a", "+3d"]).out.hasPrefix("s/a: snoozed not → until "))
            #expect(
                try database.value("SELECT until - set_at BETWEEN '2 days 23:59' AND '3 days' FROM stockq.snoozes")
                    == "t")
            #expect(try program.run(["items", "snooze", "s", "a", "none"]).out.hasSuffix(" → not\n"))
            #expect(try program.run(["items", "snooze", "s", "x", "+3d"]).err.contains("there is no item x"))
            #expect(
                try program.run(["alerts", "remove", "s"]).out
                    == "store s: threshold 5 → none, quiet 90m → none, margin none\n")
            #expect(try program.run(["alerts", "remove", "s"]).err.contains("nothing is set for the store s;"))
            #expect(try Self.items(database) == ["a,,f,ok"])
            #expect(
                try database.rows("SELECT verb FROM stockq.operations ORDER BY operation_id") == [
                    "alerts set", "alerts set", "items snooze", "items snooze", "alerts set",
                ])
        }
    }
}
