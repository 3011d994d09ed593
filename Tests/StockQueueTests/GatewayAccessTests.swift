import Foundation
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// What the gateway's role can do with a token, and what it cannot do without one.
@Suite("Gateway access") struct GatewayAccessTests {
    private static let one = String(repeating: "1", count: 64)
    private static let two = String(repeating: "2", count: 64)
    private static let wrong = String(repeating: "f", count: 64)

    /// A store with a product and its variation, another store, and a token for each; calls `body` with a connection of
    /// the gateway's role.
    private static func withGateway(
        _ body: @escaping @Sendable (TestDatabase, Connection) throws -> Void
    ) async throws {
        try await withDatabase { database in
            let role = "gateway_of_\(database.name)"
            try database.run(
                """
                CREATE ROLE \(role) LOGIN; GRANT stockq_gateway TO \(role);
                INSERT INTO stockq.items (store_id, item_id, parent_id, on_hand) VALUES
                    ('s', 'a', NULL, 10), ('s', 'a-red', 'a', 10), ('t', 'b', NULL, 10);
                SELECT stockq.create_gateway_token('one', '\(one)', '{s}', '{update_catalog}');
                SELECT stockq.create_gateway_token('two', '\(two)', '{s,t}', '{update_catalog,read_catalog}');
                SELECT stockq.create_gateway_client('c', 'client', '\(two)', 's', '{update_catalog}');
                """)
            try body(database, try database.connect(as: role))
            try database.run("DROP OWNED BY \(role); DROP ROLE \(role)")
        }
    }

    /// A call of one line; `nil` in SQL is a call without a token.
    private static func enqueue(
        _ hash: String?, _ store: String?, _ item: String, scopes: String = "update_catalog", key: String? = nil,
        quantity: Int = -1, parent: String? = nil
    ) -> String {
        func text(_ text: String?) -> String { text.map { "ARRAY['\($0)']" } ?? "ARRAY[NULL::text]" }
        return """
            SELECT concat_ws(' ', job_id, is_duplicate, failure) FROM stockq.gateway_enqueue(
                \(text(hash)), \(text(store)), ARRAY['\(scopes)'], '{f}', '{1000}', '{1}', ARRAY['\(item)'], '{main}',
                '{adjust}', '{\(quantity)}', '{reject}', '{t}', \(text(key)), \(text(parent)))
            """
    }

    @Test("with the role's password alone nothing can be read and nothing enqueued") func passwordAlone()
        async throws
    {
        try await Self.withGateway { database, gateway in
            try database.run("SELECT stockq.enqueue('s', 'a', -1)")
            try database.drain()
            try database.run("SELECT stockq.enqueue('s', 'a', -1)")
            for table in try database.rows(
                """
                SELECT relname FROM pg_class
                WHERE relnamespace = 'stockq'::regnamespace AND relkind IN ('r', 'p', 'v') AND relname <> 'migrations'
                """)
            {
                #expect(gateway.failure(of: "SELECT * FROM stockq.\(table)").hasPrefix("42501"), "\(table)")
            }
            #expect(
                gateway.failure(of: "INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'a', 1)")
                    .hasPrefix("42501"))
            for hash in [Self.wrong, nil] {
                let text = hash.map { "'\($0)'" } ?? "NULL"
                #expect(try database.rows(Self.enqueue(hash, "s", "a"), gateway) == ["f invalid_token"])
                #expect(try database.rows(Self.enqueue(hash, nil, "a"), gateway) == ["f invalid_token"])
                #expect(
                    try database.rows(
                        """
                        SELECT 1 FROM stockq.gateway_results(
                            ARRAY[\(text)], '{1}', ARRAY['\(try database.value("SELECT enqueued_at FROM stockq.results"))'::timestamptz])
                        """, gateway) == [])
                #expect(
                    try database.rows(
                        """
                        SELECT 1 FROM stockq.gateway_cancel(
                            ARRAY[\(text)], '{2}', ARRAY['\(try database.value("SELECT enqueued_at FROM stockq.jobs"))'::timestamptz])
                        """, gateway) == [])
                for call in [
                    "gateway_levels(\(text), 's', '', NULL, NULL, 0, 10)",
                    "gateway_history(\(text), 's', '', 'a', NULL, NULL, 10)",
                    "gateway_change_item(\(text), 's', '', 'new', '{main}', '{1}')",
                    "gateway_change_item(\(text), 's', '', 'a', NULL, NULL)",
                    "gateway_access(ARRAY[\(text)], '{s}', '{\"\"}')",
                ] {
                    #expect(
                        try database.rows("SELECT failure FROM stockq.\(call)", gateway) == ["invalid_token"], "\(call)"
                    )
                }
            }
            for secret in ["'\(Self.wrong)'", "NULL"] {
                #expect(
                    try database.rows(
                        "SELECT expires_at FROM stockq.gateway_issue_tokens('{client}', ARRAY[\(secret)], ARRAY['\(Self.wrong)'], 3600)",
                        gateway) == [""])
            }
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "1")
        }
    }

    @Test("each line is checked with its own call's token") func eachLine() async throws {
        try await Self.withGateway { (database: TestDatabase, gateway: Connection) throws in
            func outcome(_ sql: String) throws -> [String] { try database.rows(sql, gateway) }
            #expect(try outcome(Self.enqueue(Self.one, "s", "a")) == ["1 f"])
            // The store of a token with one store.
            #expect(try outcome(Self.enqueue(Self.one, nil, "a")) == ["2 f"])
            #expect(try outcome(Self.enqueue(Self.two, nil, "a")) == ["f invalid_token"])
            #expect(try outcome(Self.enqueue(Self.one, "t", "b")) == ["f invalid_token"])
            #expect(try outcome(Self.enqueue(Self.one, "s", "a-red")) == ["f missing_scope"])
            #expect(try outcome(Self.enqueue(Self.two, "s", "a-red", parent: "a")) == ["3 f"])
            #expect(try outcome(Self.enqueue(Self.two, "s", "a-red", parent: "x")) == ["f unknown_item"])
            #expect(try outcome(Self.enqueue(Self.two, "s", "a-red", parent: "")) == ["f unknown_item"])
            #expect(try outcome(Self.enqueue(Self.two, "s", "c")) == ["f unknown_item"])
            #expect(try outcome(Self.enqueue(Self.one, "s", "a", scopes: "manage_items")) == ["f missing_scope"])
            #expect(
                try outcome(
                    """
                    SELECT concat_ws(' ', line, store_id, job_id, failure) FROM stockq.gateway_enqueue(
                        ARRAY['\(Self.one)', '\(Self.wrong)', '\(Self.two)'], '{s,s,t}',
                        ARRAY['update_catalog', 'update_catalog', 'update_catalog'], '{t,f,f}', '{1000,1000,1000}',
                        '{1,1,2,3}', '{a,nope,a,b}', '{main,main,main,main}', '{adjust,adjust,adjust,adjust}',
                        '{-1,-1,-1,-1}', '{reject,reject,reject,reject}', '{t,t,t,t}',
                        ARRAY[NULL,NULL,NULL,NULL]::text[], ARRAY[NULL,NULL,NULL,NULL]::text[])
                    """) == ["1 s", "2 s unknown_item", "3 s invalid_token", "4 t 4"])
        }
    }

    @Test("calls of several tokens and stores get jobs in the order of their lines, and the lanes of their stores")
    func severalStores() async throws {
        try await Self.withGateway { (database: TestDatabase, gateway: Connection) throws in
            let calls = """
                SELECT concat_ws(' ', line, store_id, job_id, is_duplicate, lane = hashtextextended(store_id, 0) & 63)
                FROM stockq.gateway_enqueue(
                    ARRAY['\(Self.two)', '\(Self.one)', '\(Self.two)', '\(Self.one)'], '{t,NULL,s,s}',
                    '{update_catalog,update_catalog,update_catalog,update_catalog}', '{f,f,t,f}', '{1000,1000,1000,1000}',
                    '{1,2,3,3,4}', '{b,a,a-red,a,a}', '{main,main,main,main,main}', '{adjust,set,adjust,adjust,adjust}',
                    '{-1,5,-2,-3,-4}', '{reject,reject,reject,reject,allow}', '{t,t,t,t,f}', '{}',
                    ARRAY[NULL,'','a',NULL,NULL])
                """
            #expect(
                try database.rows(calls, gateway)
                    == ["1 t 1 f t", "2 s 2 f t", "3 s 3 f t", "4 s 4 f t", "5 s 5 f t"])
            #expect(
                try database.rows(
                    """
                    SELECT concat_ws(' ', job_id, store_id, item_id, action, quantity, on_insufficient, notify,
                        group_id IS NOT NULL, expires_at - enqueued_at)
                    FROM stockq.jobs ORDER BY job_id
                    """) == [
                        "1 t b adjust -1 reject t f 00:00:06", "2 s a set 5 reject t f 00:00:06",
                        "3 s a-red adjust -2 reject t t 00:00:06", "4 s a adjust -3 reject t t 00:00:06",
                        "5 s a adjust -4 allow f f 00:00:06",
                    ])
            #expect(try database.value("SELECT count(DISTINCT group_id) FROM stockq.jobs") == "1")
        }
    }

    @Test("a token ends when it is revoked or expires, and with its client") func ends() async throws {
        try await Self.withGateway { database, gateway in
            try database.run("SELECT stockq.revoke_gateway_token('one')")
            #expect(try database.rows(Self.enqueue(Self.one, "s", "a"), gateway) == ["f invalid_token"])
            try database.run("UPDATE stockq.gateway_tokens SET expires_at = now() WHERE name = 'two'")
            #expect(try database.rows(Self.enqueue(Self.two, "s", "a"), gateway) == ["f invalid_token"])
            let issue =
                "SELECT 1 FROM stockq.gateway_issue_tokens('{client}', ARRAY['\(Self.two)'], ARRAY['\(Self.wrong)'], 3600)"
            #expect(try database.rows(issue, gateway) == ["1"])
            #expect(try database.rows(Self.enqueue(Self.wrong, nil, "a"), gateway) == ["1 f"])
            try database.run("SELECT stockq.revoke_gateway_client('c')")
            #expect(try database.rows(Self.enqueue(Self.wrong, nil, "a"), gateway) == ["f invalid_token"])
        }
    }

    @Test("a call with a used idempotency key gets its first jobs, and another request fails") func keys() async throws
    {
        try await Self.withGateway { database, gateway in
            #expect(try database.rows(Self.enqueue(Self.one, "s", "a", key: "k"), gateway) == ["1 f"])
            #expect(try database.rows(Self.enqueue(Self.one, "s", "a", key: "k"), gateway) == ["1 t"])
            try database.drain()
            #expect(try database.rows(Self.enqueue(Self.one, "s", "a", key: "k"), gateway) == ["1 t"])
            #expect(
                try database.rows(Self.enqueue(Self.one, "s", "a", key: "k", quantity: -2), gateway)
                    == ["1 t idempotency_mismatch"])
        }
    }

    @Test("at the store limit a call fails whole, and those that fit are enqueued") func storeLimit() async throws {
        try await Self.withGateway { database, gateway in
            try database.run("SELECT stockq.set_store_limit('s', 3)")
            let calls = """
                SELECT concat_ws(' ', line, job_id, failure) FROM stockq.gateway_enqueue(
                    ARRAY['\(Self.one)', '\(Self.one)'], '{s,s}', '{update_catalog,update_catalog}', '{f,t}', '{1000,1000}',
                    '{1,2,2,2}', '{a,a,a,a}', '{main,main,main,main}', '{adjust,adjust,adjust,adjust}', '{-1,-1,-1,-1}',
                    '{reject,reject,reject,reject}', '{t,t,t,t}', ARRAY[NULL,NULL,NULL,NULL]::text[],
                    ARRAY[NULL,NULL,NULL,NULL]::text[])
                """
            #expect(
                try database.rows(calls, gateway) == ["1 1", "2 store_limit", "3 store_limit", "4 store_limit"])
        }
    }

    @Test("items are created and removed with the scope for it") func items() async throws {
        try await Self.withGateway { database, gateway in
            func change(_ hash: String, _ item: String, _ balances: String) throws -> [String] {
                try database.rows(
                    """
                    SELECT concat_ws(' ', failure, outcome)
                    FROM stockq.gateway_change_item('\(hash)', 's', 'manage_items', '\(item)', \(balances))
                    """, gateway)
            }
            let token = String(repeating: "3", count: 64)
            try database.run("SELECT stockq.create_gateway_token('three', '\(token)', '{s}', '{manage_items}')")
            #expect(try change(Self.two, "new", "'{main}', '{7}'") == ["missing_scope"])
            #expect(try change(token, "new", "'{main,cellar}', '{7,1}'") == ["created"])
            #expect(try change(token, "new", "'{main}', '{7}'") == ["exists"])
            #expect(try database.value("SELECT sum(on_hand) FROM stockq.items WHERE item_id = 'new'") == "8")
            #expect(try change(token, "new", "NULL, NULL") == ["removed"])
            #expect(try change(token, "new", "NULL, NULL") == ["unknown_item"])
            #expect(try change(token, "b", "NULL, NULL") == ["unknown_item"])
        }
    }

    @Test("a job is canceled and its result read by id and time alone, with a token of its store") func follow()
        async throws
    {
        try await Self.withGateway { database, gateway in
            let times = try database.rows(
                """
                SELECT enqueued_at FROM stockq.gateway_enqueue(
                    ARRAY['\(Self.two)', '\(Self.two)'], '{s,t}', '{update_catalog,update_catalog}', '{f,f}', '{1000,1000}',
                    '{1,2}', '{a,b}', '{main,main}', '{adjust,adjust}', '{-1,-1}', '{reject,reject}', '{t,t}',
                    ARRAY[NULL,NULL]::text[], ARRAY[NULL,NULL]::text[])
                """, gateway)
            func call(_ name: String, _ hash: String, at time: String) throws -> [String] {
                try database.rows(
                    """
                    SELECT answer FROM stockq.\(name)(
                        ARRAY['\(hash)', '\(hash)'], '{1,2}', ARRAY['\(time)', '\(time)']::timestamptz[]) AS answer
                    """, gateway
                ).map { $0.filter { $0 != ")" && $0 != "(" } }
            }
            #expect(try call("gateway_cancel", Self.two, at: "2000-01-01 00:00Z") == [])
            #expect(try call("gateway_cancel", Self.one, at: times[0]) == ["1"])
            #expect(try database.rows("SELECT job_id FROM stockq.jobs") == ["2"])
            #expect(try call("gateway_results", Self.one, at: times[0]).map { $0.prefix(7) } == ["1,1,a,m"])
            // The token ends while the call is under way: its answer can still be read.
            try database.run("SELECT stockq.revoke_gateway_token('two')")
            #expect(try call("gateway_cancel", Self.two, at: times[0]) == ["2"])
            try database.run("UPDATE stockq.gateway_tokens SET revoked_at = now() - interval '61 minutes'")
            #expect(try call("gateway_results", Self.two, at: times[0]) == [])
        }
    }
}
