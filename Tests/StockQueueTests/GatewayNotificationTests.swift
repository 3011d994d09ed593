import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// What the gateway's role can do with subscriptions, policies and snoozes, by the token that it was given.
@Suite("Gateway access to subscriptions and alerts") struct GatewayNotificationTests {
    private static let mine = String(repeating: "1", count: 64)
    /// Of the same store, with every other scope.
    private static let without = String(repeating: "2", count: 64)
    /// Of another store.
    private static let other = String(repeating: "3", count: 64)

    /// Two stores with an item and a webhook each, and subscriptions that no caller reaches: to all stores, and one that
    /// runs a program.
    private static func withGateway(
        _ body: @escaping @Sendable (TestDatabase, Connection) throws -> Void
    ) async throws {
        try await withDatabase { database in
            let role = "notifier_of_\(database.name)"
            try database.run(
                """
                CREATE ROLE \(role) LOGIN; GRANT stockq_gateway TO \(role);
                INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 3), ('t', 'b', 3);
                SELECT stockq.create_gateway_token('mine', '\(mine)', '{s}', '{manage_notifications}'),
                    stockq.create_gateway_token(
                        'without', '\(without)', '{s}', '{update_catalog,read_catalog,manage_items}'),
                    stockq.create_gateway_token('other', '\(other)', '{t}', '{manage_notifications}');
                SELECT stockq.add_subscription('of s', 'webhook', 'https://a', 's', secret => 'whsec_s');
                SELECT stockq.add_subscription('of t', 'webhook', 'https://b', 't', secret => 'whsec_t');
                SELECT stockq.add_subscription('of all', 'webhook', 'https://c', secret => 'whsec_all');
                SELECT stockq.add_subscription('program', 'command', 'print-label', 's');
                SELECT stockq.test_subscription(name) FROM stockq.subscriptions;
                UPDATE stockq.deliveries SET created_at = now() - interval '1 hour';
                """)
            try body(database, try database.connect(as: role))
            try database.run("DROP OWNED BY \(role); DROP ROLE \(role)")
        }
    }

    /// Every function, with arguments behind the token and the store.
    ///
    /// - Parameter id: of the subscription and of its delivery.
    private static func calls(_ id: Int, item: String = "a") -> [String: String] {
        [
            "gateway_alert_policy": "", "gateway_set_alert_policy": ", 5, 60, 1",
            "gateway_apply_threshold": ", '', ''", "gateway_snooze": ", '\(item)', 'main'",
            "gateway_set_snooze": ", '\(item)', 'main', now() + interval '1 hour'",
            "gateway_subscriptions": ", \(id)",
            "gateway_add_subscription":
                ", 'api-\(id)', 'webhook', 'https://d', '{stock.low}', 'whsec_d', '', '', NULL, NULL, NULL",
            "gateway_set_subscription": ", \(id), true", "gateway_rotate_secret": ", \(id), 'whsec_new'",
            "gateway_test_subscription": ", \(id)", "gateway_deliveries": ", \(id), NULL, NULL, 10",
            "gateway_retry_deliveries": ", \(id), \(id)", "gateway_remove_subscription": ", \(id)",
        ]
    }

    private static func failure(
        _ database: TestDatabase, _ gateway: Connection, _ name: String, _ hash: String?, _ store: String,
        _ arguments: String
    ) throws -> String {
        let token = hash.map { "'\($0)'" } ?? "NULL"
        let rows = try database.rows(
            "SELECT coalesce(failure, 'none') FROM stockq.\(name)(\(token), '\(store)'\(arguments)) LIMIT 1", gateway)
        return try #require(rows.first)
    }

    /// What the functions could have changed.
    private static func state(_ database: TestDatabase) throws -> [String] {
        try database.rows(
            """
            SELECT concat_ws(' ', subscription_id, target, secret, old_secret, disabled_at) FROM stockq.subscriptions
            UNION ALL SELECT concat_ws(' ', delivery_id, subscription_id, next_attempt_at) FROM stockq.deliveries
            UNION ALL SELECT concat_ws(' ', store_id, item_id, low_stock_threshold) FROM stockq.items
            UNION ALL SELECT policy_id::text FROM stockq.alert_policies
            UNION ALL SELECT snooze_id::text FROM stockq.snoozes
            UNION ALL SELECT concat_ws(' ', verb, subject) FROM stockq.operations
            ORDER BY 1
            """)
    }

    @Test("each function needs a token of the store with manage_notifications, and changes nothing without")
    func access()
        async throws
    {
        try await Self.withGateway { (database: TestDatabase, gateway: Connection) throws in
            let before = try Self.state(database)
            for (name, arguments) in Self.calls(1) {
                for (hash, store, expected) in [
                    (Self.without, "s", "missing_scope"), (Self.other, "s", "unknown_store"),
                    (Self.mine, "t", "unknown_store"), (String(repeating: "f", count: 64), "s", "invalid_token"),
                    (nil, "s", "invalid_token"),
                ] as [(String?, String, String)] {
                    let failure = try Self.failure(database, gateway, name, hash, store, arguments)
                    #expect(failure == expected, "\(name) of \(store)")
                }
            }
            #expect(try Self.state(database) == before)
            // The last one removes it.
            for (name, arguments) in Self.calls(1).sorted(by: { left, _ in left.key != "gateway_remove_subscription" })
            {
                #expect(try Self.failure(database, gateway, name, Self.mine, "s", arguments) == "none", "\(name)")
            }
        }
    }

    @Test("the subscriptions of other stores, to all stores and to a program are neither seen nor changed")
    func otherSubscriptions() async throws {
        try await Self.withGateway { (database: TestDatabase, gateway: Connection) throws in
            #expect(
                try database.rows(
                    "SELECT json::json->>'name' FROM stockq.gateway_subscriptions('\(Self.mine)', 's', NULL) OFFSET 1",
                    gateway) == ["of s"])
            let before = try Self.state(database)
            for id in [2, 3, 4, 99] {
                for name in [
                    "gateway_set_subscription", "gateway_rotate_secret", "gateway_test_subscription",
                    "gateway_deliveries", "gateway_retry_deliveries", "gateway_remove_subscription",
                ] {
                    let arguments = try #require(Self.calls(id)[name])
                    let failure = try Self.failure(database, gateway, name, Self.mine, "s", arguments)
                    #expect(failure == "unknown_subscription", "\(name) \(id)")
                }
                #expect(
                    try database.rows(
                        "SELECT json FROM stockq.gateway_subscriptions('\(Self.mine)', 's', \(id)) OFFSET 1", gateway)
                        == [])
            }
            // A delivery of another subscription.
            #expect(
                try database.rows(
                    "SELECT json FROM stockq.gateway_retry_deliveries('\(Self.mine)', 's', 1, 2) OFFSET 1", gateway)
                    == [])
            #expect(try Self.state(database) == before)
        }
    }

    private static func add(
        _ name: String, channel: String = "webhook", target: String = "https://d", secret: String? = "whsec_d",
        digestAt: String? = nil, timeZone: String? = nil
    ) -> String {
        func text(_ text: String?) -> String { text.map(quoteLiteral) ?? "NULL" }
        return """
            SELECT coalesce(failure, json) FROM stockq.gateway_add_subscription(
                '\(mine)', 's', '\(name)', '\(channel)', '\(target)', '{stock.low}', \(text(secret)), '', '', NULL,
                \(text(digestAt)), \(text(timeZone)))
            """
    }

    @Test("a secret is in the answer to its creation alone") func secrets() async throws {
        try await Self.withGateway { (database: TestDatabase, gateway: Connection) throws in
            let added = try database.rows(Self.add("api-1"), gateway)
            #expect(added.count == 2 && added[1].contains("whsec_d") == true)
            let rotated = try database.rows(
                "SELECT json FROM stockq.gateway_rotate_secret('\(Self.mine)', 's', 5, 'whsec_e') OFFSET 1", gateway)
            #expect(rotated.first?.contains("whsec_e") == true && rotated.first?.contains("whsec_d") == false)
            // The gateway sends it again after a lost connection.
            _ = try database.rows("SELECT stockq.gateway_rotate_secret('\(Self.mine)', 's', 5, 'whsec_e')", gateway)
            #expect(
                try database.rows("SELECT secret, old_secret FROM stockq.subscriptions WHERE subscription_id = 5")
                    == ["whsec_e,whsec_d"])
            for call in [
                "gateway_subscriptions('\(Self.mine)', 's', NULL)",
                "gateway_test_subscription('\(Self.mine)', 's', 5)",
                "gateway_set_subscription('\(Self.mine)', 's', 5, false)",
                "gateway_deliveries('\(Self.mine)', 's', 5, NULL, NULL, 10)",
            ] {
                let rows = try database.rows("SELECT json FROM stockq.\(call) OFFSET 1", gateway)
                #expect(!rows.isEmpty && rows.allSatisfy { !$0.contains("whsec") }, "\(call)")
            }
            // A mail has none.
            #expect(
                try database.rows(Self.add("api-2", channel: "mail", target: "a@b", secret: nil), gateway).count == 2)
            #expect(
                try database.rows(
                    "SELECT json FROM stockq.gateway_rotate_secret('\(Self.mine)', 's', 6, 'whsec_e') OFFSET 1", gateway
                )
                    == [])
        }
    }

    @Test("a program is not added, whatever the gateway asks for") func noProgram() async throws {
        try await Self.withGateway { (database: TestDatabase, gateway: Connection) throws in
            let sql = Self.add("api-1", channel: "command", target: "print-label", secret: nil)
            #expect(gateway.failure(of: sql).hasPrefix("22023"))
            #expect(try database.value("SELECT count(*) FROM stockq.subscriptions") == "4")
        }
    }

    @Test("a store has at most 10 subscriptions, also when two calls come at once") func limit() async throws {
        try await Self.withGateway { (database: TestDatabase, gateway: Connection) throws in
            for number in 3...9 {
                #expect(try database.rows(Self.add("api-\(number)"), gateway).count == 2)
            }
            // The first one's transaction is open while the second one counts.
            let first = try database.connect()
            try first.executeScript("BEGIN")
            try first.executeScript(Self.add("api-10"))
            let second = Background {
                let gateway = try database.connect(as: "notifier_of_\(database.name)")
                let failures = try database.rows(Self.add("api-11"), gateway)
                #expect(failures == ["subscription_limit"])
            }
            #expect(
                try eventually { try database.sessionsWaitingForLocks() == 1 })
            try first.executeScript("COMMIT")
            try second.wait()
            #expect(try database.rows(Self.add("api-12"), gateway) == ["subscription_limit"])
            #expect(try database.value("SELECT count(*) FROM stockq.subscriptions WHERE store_id = 's'") == "10")
            // A call that is sent again after a lost connection.
            #expect(try database.rows(Self.add("api-10"), gateway).last?.contains("api-10") == true)
            #expect(try database.value("SELECT count(*) FROM stockq.subscriptions WHERE store_id = 's'") == "10")
        }
    }

    @Test("a time zone that the database does not know is refused") func timeZones() async throws {
        try await Self.withGateway { (database: TestDatabase, gateway: Connection) throws in
            func add(_ zone: String) throws -> [String] {
                try database.rows(
                    Self.add(
                        "api-1", channel: "mail", target: "a@b", secret: nil, digestAt: "08:00", timeZone: zone),
                    gateway)
            }
            #expect(try add("Europe/Nowhere") == ["unknown_time_zone"])
            let added = try add("Europe/Berlin")
            #expect(added.last?.contains("digest_at:08:00,time_zone:Europe/Berlin") == true, "\(added)")
        }
    }

    @Test("a subscription gets one test message a minute") func tests() async throws {
        try await Self.withGateway { (database: TestDatabase, gateway: Connection) throws in
            let test = "SELECT coalesce(failure, json) FROM stockq.gateway_test_subscription('\(Self.mine)', 's', 1)"
            #expect(try database.rows(test, gateway).count == 2)
            #expect(try database.rows(test, gateway) == ["test_limit"])
            try database.run("UPDATE stockq.deliveries SET state = 'delivered', finished_at = now()")
            #expect(try database.rows(test, gateway) == ["test_limit"])
            try database.run("UPDATE stockq.deliveries SET created_at = now() - interval '61 seconds'")
            #expect(try database.rows(test, gateway).count == 2)
        }
    }

    @Test("deliveries are listed newest first, by state and in pages") func deliveries() async throws {
        try await Self.withGateway { (database: TestDatabase, gateway: Connection) throws in
            try database.run(
                """
                DELETE FROM stockq.deliveries;
                INSERT INTO stockq.deliveries (
                    delivery_id, subscription_id, message_id, event, store_id, item_id, location_id, data, occurred_at,
                    state, attempts, last_error, finished_at
                ) OVERRIDING SYSTEM VALUE
                SELECT n, s, 'm' || n, 'stock.low', 's', 'a', 'main', '{}', now(), state, 8, error,
                    CASE WHEN state <> 'pending' THEN now() END
                FROM (VALUES
                    (10, 1, 'delivered', NULL), (11, 1, 'dead', 'the answer was 500'), (12, 1, 'pending', NULL),
                    (13, 2, 'dead', NULL), (14, 1, 'delivered', NULL), (15, 1, 'dead', 'the answer was 404')
                ) AS d (n, s, state, error)
                """)
            func ids(_ arguments: String) throws -> [String] {
                try database.rows(
                    """
                    SELECT concat_ws(' ', id, json::json->>'state', json::json->>'last_error')
                    FROM stockq.gateway_deliveries('\(Self.mine)', 's', 1, \(arguments)) OFFSET 1
                    """, gateway)
            }
            #expect(try ids("NULL, NULL, 2") == ["15 dead the answer was 404", "14 delivered"])
            #expect(
                try ids("NULL, 14, 10") == ["12 pending", "11 dead the answer was 500", "10 delivered"])
            #expect(try ids("'dead', 15, 10") == ["11 dead the answer was 500"])
            #expect(try ids("'pending', NULL, 10") == ["12 pending"])
            #expect(try ids("'delivered', NULL, 1") == ["14 delivered"])
            // Retry: one, and all of the subscription; what was delivered stays.
            func retry(_ id: String) throws -> [String] {
                try database.rows(
                    "SELECT json FROM stockq.gateway_retry_deliveries('\(Self.mine)', 's', 1, \(id)) OFFSET 1", gateway)
            }
            #expect(try retry("11").first?.contains("state:pending,attempts:0") == true)
            #expect(try retry("10").first?.contains("state:delivered,attempts:8") == true)
            #expect(try retry("13") == [])
            #expect(try retry("NULL") == ["{retried:3}"])
            #expect(
                try database.rows("SELECT delivery_id FROM stockq.deliveries WHERE state = 'pending' ORDER BY 1")
                    == ["11", "12", "15"])
        }
    }

    @Test("a policy, a snooze and a state that is there already is not written again") func repeated() async throws {
        try await Self.withGateway { (database: TestDatabase, gateway: Connection) throws in
            func call(_ name: String, _ arguments: String) throws -> String {
                let rows = try database.rows(
                    "SELECT json FROM stockq.\(name)('\(Self.mine)', 's'\(arguments)) OFFSET 1", gateway)
                return rows.first ?? "-"
            }
            // The tests' rows have no quotes.
            let set = "{store_id:s,default_threshold:5,quiet_seconds:3600,rearm_margin:2}"
            let none = "{store_id:s,quiet_seconds:0,rearm_margin:0}"
            for _ in 0..<2 { #expect(try call("gateway_set_alert_policy", ", 5, 3600, 2") == set) }
            #expect(try call("gateway_alert_policy", "") == set)
            for _ in 0..<2 { #expect(try call("gateway_set_alert_policy", ", NULL, NULL, NULL") == none) }
            let key = "{store_id:s,item_id:a,location_id:main"
            let until = "{store_id:s,item_id:a,location_id:main,until:2099-01-01T00:00:00.000000Z}"
            for _ in 0..<2 {
                #expect(try call("gateway_set_snooze", ", 'a', 'main', '2099-01-01 00:00+00'") == until)
            }
            #expect(try call("gateway_snooze", ", 'a', 'main'") == until)
            for end in ["NULL", "'2020-01-01 00:00+00'"] {
                #expect(try call("gateway_set_snooze", ", 'a', 'main', \(end)") == key + "}")
            }
            #expect(try call("gateway_snooze", ", 'a', 'main'") == key + "}")
            #expect(try call("gateway_snooze", ", 'b', 'main'") == "-", "an item of another store")
            #expect(try call("gateway_set_snooze", ", 'b', 'main', NULL") == "-")
            for enabled in ["false", "false", "true", "true"] {
                _ = try call("gateway_set_subscription", ", 1, \(enabled)")
            }
            #expect(
                try database.rows(
                    """
                    SELECT verb FROM stockq.operations
                    WHERE verb NOT IN ('tokens create', 'subscriptions add') ORDER BY operation_id
                    """) == [
                        "alerts set", "alerts set", "items snooze", "items snooze", "subscriptions disable",
                        "subscriptions enable",
                    ])
            #expect(try database.value("SELECT count(*) FROM stockq.alert_policies") == "2")
            #expect(try database.value("SELECT count(*) FROM stockq.snoozes") == "2")
        }
    }
}
