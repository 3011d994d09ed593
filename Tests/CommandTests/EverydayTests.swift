import Foundation
import StockQueuePostgres
import TestSupport
import Testing

/// What the commands say to people: what was and what is, what is missing, and when.
@Suite struct EverydayTests {
    @Test("a verb says what was and what is") func states() async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 5), ('s', 'gone', 0);
                SELECT stockq.add_subscription('hook', 'webhook', 'http://localhost/', secret => 'whsec_x');
                INSERT INTO stockq.deliveries (
                    subscription_id, message_id, event, store_id, item_id, location_id, data, occurred_at, state
                ) VALUES (1, 'm1', 'stock.low', 's', 'a', 'main', '{}', now(), 'dead'),
                    (1, 'm2', 'stock.low', 's', 'a', 'main', '{}', now(), 'pending')
                """)
            let program = Program(database)
            for (words, answer) in [
                ("alerts set s --threshold 5 --quiet 1h", "store s: threshold none → 5, quiet none → 1h, margin none"),
                ("alerts set s --quiet 1h", "store s: threshold 5, quiet 1h, margin none"),
                ("alerts remove s", "store s: threshold 5 → none, quiet 1h → none, margin none"),
                ("items retire s gone", "s/gone: out, version 0 → retired"),
                ("items snooze s a 2999-01-01T00:00:00Z", "s/a: snoozed not → until 2999-01-01T00:00:00.000Z"),
                ("items snooze s a none", "s/a: snoozed until 2999-01-01T00:00:00.000Z → not"),
                ("deliveries retry --subscription hook", "2 deliveries: 1 dead, 1 waiting → pending, due now"),
                ("deliveries retry 99", "0 deliveries: none is dead or waiting"),
                ("subscriptions disable hook", "hook: enabled, 2 pending → disabled (by an administrator), 2 pending"),
                ("subscriptions remove hook", "hook: disabled (by an administrator), 2 pending → removed"),
            ] {
                let ended = try program.run(words.split(separator: " ").map(String.init))
                #expect(ended.out == answer + "\n", "\(words): \(ended.err)")
            }
        }
    }

    @Test("a transfer creates the item where it goes, keeps who moved it, and waits for the results")
    func transfer() async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold, parent_id)
                VALUES ('s', 'a', 5, 1, 'p')
                """)
            let program = Program(database)
            let unknown = try program.run(["transfer", "s", "a", "1", "main", "cellar"])
            #expect(unknown.code == 0 && unknown.out == "1 2\n")
            #expect(
                unknown.err
                    == "warning: there is no item s/a at cellar; its jobs will be rejected unless it is created before\n"
            )
            try database.drain()
            let workers = database.startWorkers()
            let words = [
                "transfer", "s", "a", "2", "main", "cellar", "--create", "--wait", "--actor", "eva", "--occurred-at",
                "2026-03-01T12:00:00Z", "--metadata", #"{"van": 2}"#, "--json",
            ]
            let ended = try program.run(words)
            try workers.stop()
            #expect(ended.code == 0 && ended.err == "created a at cellar\n", "\(ended.err)")
            #expect(ended.out.components(separatedBy: #""outcome":"applied""#).count == 3, "\(ended.out)")
            #expect(
                try database.rows(
                    """
                    SELECT concat_ws(' ', location_id, applied_quantity, actor, occurred_at AT TIME ZONE 'UTC', metadata)
                    FROM stockq.results WHERE outcome = 'applied' ORDER BY job_id
                    """) == [
                        "main -2 eva 2026-03-01 12:00:00 {van: 2}",
                        "cellar 2 eva 2026-03-01 12:00:00 {van: 2}",
                    ])
            #expect(
                try database.rows(
                    "SELECT on_hand, low_stock_threshold, parent_id FROM stockq.items ORDER BY location_id")
                    == ["2,1,p", "3,1,p"])
        }
    }

    @Test("an unknown item is warned of, unless the role may not know") func unknownItems() async throws {
        try await withDatabase { database in
            let role = "blind_of_\(database.name)"
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 5);
                CREATE ROLE \(role) LOGIN;
                GRANT stockq_producer TO \(role);
                SELECT stockq.grant_store('\(role)', 's', '{update_catalog}')
                """)
            defer { try? database.run("DROP ROLE \(role)") }
            var program = Program(database)
            let warned = try program.run(["enqueue", "s", "a", "1", "x", "1", "y", "1"])
            #expect(warned.err.hasPrefix("warning: there are no items s/x, s/y; "), "\(warned.err)")
            program.environment["DATABASE_URL"] = database.settings(as: role).conninfo
            let blind = try program.run(["enqueue", "s", "x", "1"])
            #expect(blind.code == 0 && blind.err == "", "\(blind.err)")
        }
    }

    @Test(
        "a role that lacks a privilege gets the name of one that has it",
        arguments: [
            ("pause --store s", "pause needs the role stockq_admin: GRANT stockq_admin TO "),
            ("enqueue s a 1", "enqueue needs the role stockq_producer or stockq_admin: GRANT stockq_producer TO "),
            ("items import -", "items import needs the role stockq_admin: GRANT stockq_admin TO "),
        ])
    func roles(words: String, advice: String) async throws {
        try await withDatabase { database in
            let role = "reader_of_\(database.name)"
            try database.run("CREATE ROLE \(role) LOGIN; GRANT stockq_reader TO \(role)")
            defer { try? database.run("DROP ROLE \(role)") }
            var program = Program(database)
            program.environment["DATABASE_URL"] = database.settings(as: role).conninfo
            let ended = try program.run(
                words.split(separator: " ").map(String.init), input: "store_id,item_id,on_hand\ns,a,1\n")
            #expect(ended.code == 1 && ended.err.hasSuffix("\(advice)\(role)\n"), "\(ended.err)")
        }
    }

    @Test(
        "--since takes spans, times, days and their names",
        arguments: [
            ("1w", 2), ("90s", 1), ("today", 1), ("yesterday", 2), ("2000-01-01", 3), ("2000-01-01T00:00:00Z", 3),
        ])
    func since(text: String, count: Int) async throws {
        try await withDatabase { database in
            try database.run("INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 5)")
            for _ in 0..<3 { try database.run("SELECT stockq.enqueue('s', 'a', -9)") }
            try database.drain()
            // In UTC, which is the program's time zone here.
            try database.run(
                """
                UPDATE stockq.results SET finished_at = date_trunc('day', now(), 'UTC') - interval '1 hour' WHERE job_id = 2;
                UPDATE stockq.results SET finished_at = now() - interval '30 days' WHERE job_id = 3
                """)
            var program = Program(database)
            program.environment["TZ"] = "UTC0"
            let ended = try program.run(["results", "list", "--since", text, "--csv"])
            #expect(ended.out.split(separator: "\n").count == count + 1, "\(ended.out)\(ended.err)")
            // A span in seconds, made of it.
            let retried = try program.run(
                ["retry", "--code", "insufficient_stock", "--since", text, "--dry-run", "--json"])
            #expect(retried.out.split(separator: "\n").count == count, "\(retried.out)\(retried.err)")
        }
    }
}
