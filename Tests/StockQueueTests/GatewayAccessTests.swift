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

    /// A call of the native API with one job.
    ///
    /// - Parameters:
    ///   - hash: in SQL, as is the item.
    private static func submit(_ hash: String, _ store: String, _ item: String, key: String = "NULL") -> String {
        """
        gateway_submit(
            ARRAY[\(hash)], '{\(store)}', '{update_catalog}', '{f}', '{NULL}', '{}', '{}', '{1}', ARRAY[\(item)], '{main}',
            '{adjust}', '{-1}', '{reject}', '{NULL}', ARRAY[\(key)], '{NULL}', '{NULL}', '{2}', '{NULL}', '{NULL}', '{t}',
            '{10}', '{NULL}', '{NULL}', '{NULL}', '{NULL}', '{NULL}', '{NULL}')
        """
    }

    @Test("a valid token of another store is unknown_store, and each function of the native API needs its scope")
    func nativeScopes() async throws {
        try await Self.withGateway { (database: TestDatabase, gateway: Connection) throws in
            func failures(_ call: String) throws -> [String] {
                try database.rows("SELECT failure FROM stockq.\(call) LIMIT 1", gateway)
            }
            let (one, two) = ("'\(Self.one)'", "'\(Self.two)'")
            #expect(try failures(Self.submit(one, "t", "'b'")) == ["unknown_store"])
            #expect(try failures(Self.submit(one, "s", "'a-red'")) == ["missing_scope"])
            #expect(try failures(Self.submit(one, "s", "'a'")) == [""])
            // The item is unknown to the queue, not to the access.
            #expect(try failures(Self.submit(two, "s", "'none'")) == [""])
            for (name, arguments, scope) in [
                ("gateway_jobs", "1, NULL, NULL, NULL", ""), ("gateway_cancel_queued", "99, NULL", "update_catalog"),
                ("gateway_items", "'a', NULL, NULL, NULL, 10", "read_catalog"),
                ("gateway_create_item", "'n', 'main', 1, NULL, true, NULL", "manage_items"),
                ("gateway_set_item", "'a', 'main', NULL, NULL, 5, '{}'", "manage_items"),
                ("gateway_movements", "'a', 'main', 10", "read_catalog"),
                ("gateway_stock_at", "'a', 'main', now()", "read_catalog"),
                ("gateway_dry_run", "'{a}', '{main}', '{}', '{0}', '{now}'", "read_catalog"),
            ] {
                let ofOne = ["read_catalog", "manage_items"].contains(scope) ? "missing_scope" : ""
                #expect(try failures("\(name)(\(one), 's', \(arguments))") == [ofOne], "\(name)")
                let ofTwo = scope == "manage_items" ? "missing_scope" : ""
                #expect(try failures("\(name)(\(two), 's', \(arguments))") == [ofTwo], "\(name)")
                #expect(try failures("\(name)(\(one), 't', \(arguments))") == ["unknown_store"], "\(name)")
            }
            #expect(
                try database.rows(
                    """
                    SELECT concat_ws(' ', number, failure) FROM stockq.gateway_notifications(
                        ARRAY[\(one), \(two), \(two)], '{s,s,u}', '{0,0,0}', 10)
                    """, gateway) == ["1 missing_scope", "2", "3 unknown_store"])
        }
    }

    @Test("a job of another store is neither read nor canceled, whatever names it") func nativeStores() async throws {
        try await Self.withGateway { (database: TestDatabase, gateway: Connection) throws in
            let job = try database.value(
                "SELECT job_id FROM stockq.enqueue('t', 'b', -1, group_id => 'g', idempotency_key => 'k')")
            func json(_ call: String) throws -> [String] {
                try database.rows("SELECT json FROM stockq.\(call) WHERE json IS NOT NULL", gateway)
            }
            for store in ["s", "t"] {
                let names = [
                    "\(job), NULL, NULL, NULL", "\(job), \(job), NULL, NULL", "NULL, NULL, 'g', NULL",
                    "NULL, NULL, NULL, 'k'",
                ]
                for name in names {
                    let found = try json("gateway_jobs('\(Self.two)', '\(store)', \(name))")
                    #expect(found.count == (store == "s" ? 0 : 1), "\(name)")
                }
            }
            for name in ["\(job), NULL", "NULL, 'g'"] {
                #expect(try json("gateway_cancel_queued('\(Self.two)', 's', \(name))") == [])
            }
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "1")
            #expect(try json("gateway_cancel_queued('\(Self.two)', 't', NULL, 'g')").count == 1)
        }
    }

    @Test("a cursor finds each notification once, also one that is committed after a later one") func cursors()
        async throws
    {
        try await Self.withGateway { (database: TestDatabase, gateway: Connection) throws in
            func insert(_ id: Int, _ store: String, _ connection: Connection) throws {
                try connection.executeScript(
                    """
                    INSERT INTO stockq.notifications (
                        notification_id, job_id, version, available_before, available_after, kind, store_id, item_id,
                        location_id
                    ) OVERRIDING SYSTEM VALUE VALUES (\(id), \(id), \(id), 1, 0, 'out_of_stock', '\(store)', 'a', 'main')
                    """)
            }
            func read(_ cursor: String?, max: Int = 10) throws -> (ids: [String], cursor: String) {
                let rows = try database.rows(
                    """
                    SELECT concat_ws(' ', next_cursor, json::json->>'notification_id')
                    FROM stockq.gateway_notifications(
                        ARRAY['\(Self.two)'], '{s}', ARRAY[\(cursor.map { "'\($0)'" } ?? "NULL::text")], \(max))
                    """, gateway
                ).map { $0.split(separator: " ").map(String.init) }
                return (rows.filter { $0.count == 2 }.map { $0[1] }, rows[rows.count - 1][0])
            }
            let (writer, late) = (try database.connect(), try database.connect())
            for id in [1, 3] { try insert(id, "s", writer) }
            try insert(4, "t", writer)
            // 2 is committed after 6, which has to wait for it.
            try late.executeScript("BEGIN")
            try insert(2, "s", late)
            try insert(6, "s", writer)
            let first = try read("0", max: 1)
            #expect(first.ids == ["1"])
            let second = try read(first.cursor)
            #expect(second.ids == ["3"])
            #expect(try read(second.cursor).ids == [])
            let news = try read(nil)
            #expect(news.ids == [])
            try late.executeScript("COMMIT")
            let rest = try read(second.cursor)
            #expect(rest.ids == ["2", "6"])
            #expect(try read(news.cursor).ids == ["2", "6"])
            #expect(try read(rest.cursor).ids == [])
        }
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
                    "gateway_access(ARRAY[\(text)], '{s}', '{\"\"}')", Self.submit(text, "s", "'a'"),
                    "gateway_jobs(\(text), 's', 2, NULL, NULL, NULL)", "gateway_jobs(\(text), 's', 1, 2, NULL, NULL)",
                    "gateway_cancel_queued(\(text), 's', 2, NULL)",
                    "gateway_items(\(text), 's', 'a', NULL, NULL, NULL, 10)",
                    "gateway_create_item(\(text), 's', 'new', 'main', 1, NULL, true, NULL)",
                    "gateway_set_item(\(text), 's', 'a', 'main', NULL, NULL, 5, '{}')",
                    "gateway_movements(\(text), 's', 'a', 'main', 10)",
                    "gateway_stock_at(\(text), 's', 'a', 'main', now())",
                    "gateway_notifications(ARRAY[\(text)], '{s}', '{0}', 10)",
                    "gateway_dry_run(\(text), 's', '{a}', '{main}', '{}', '{}', '{}')",
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
            #expect(try outcome(Self.enqueue(Self.two, nil, "a")) == ["f several_stores"])
            #expect(try outcome(Self.enqueue(Self.one, "t", "b")) == ["f invalid_token"])
            #expect(try outcome(Self.enqueue(Self.one, "nowhere", "b")) == ["f unknown_store"])
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

    @Test("calls of several tokens and stores get jobs in the order of their lines, and the strands of their stores")
    func severalStores() async throws {
        try await Self.withGateway { (database: TestDatabase, gateway: Connection) throws in
            let lanes = try database.rows(
                "SELECT stockq.strand_of(store, NULL, 1) >> 24 FROM unnest('{s,t}'::text[]) AS store")
            let calls = """
                SELECT concat_ws(
                    ' ', line, store_id, job_id, is_duplicate,
                    strand >> 24 = CASE store_id WHEN 's' THEN \(lanes[0]) ELSE \(lanes[1]) END)
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
            try database.run("SELECT stockq.set_store_limit('s', 2)")
            #expect(
                try database.rows(calls, gateway) == ["1 2", "2 call_limit", "3 call_limit", "4 call_limit"],
                "the second call never fits")
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
