import Foundation
import StockFormats
import StockModel
import StockQueue
import TestSupport
import Testing

/// `stockq dashboard`: what it shows, to whom, and what its acts do.
@Suite("stockq dashboard") struct DashboardTests {
    /// Job 1 is applied, job 2 rejected, the group o of the jobs 3 and 4 applied, job 5 queued for later.
    static func shop(_ database: TestDatabase) throws {
        try database.run(
            """
            INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold)
            VALUES ('berlin', 'mug', 9, 5), ('berlin', 'lamp', 50, NULL), ('berlin', '<img src=x>', 0, NULL);
            SELECT stockq.enqueue('berlin', 'mug', -1, reference => 'r1', idempotency_key => 'k1');
            SELECT stockq.enqueue('berlin', 'mug', -100);
            SELECT stockq.enqueue_lines('berlin', '[{"item_id": "mug", "quantity": -4}, {"item_id": "lamp", "quantity": -2}]',
                group_id => 'o');
            SELECT stockq.enqueue('berlin', 'lamp', -1, run_at => now() + interval '1 day');
            """)
        try database.drain()
    }

    // MARK: live data

    /// The data of the events of a stream that began so far, by name.
    static func events(_ text: String, _ name: String) throws -> [JSONValue] {
        try text.components(separatedBy: "\n\n").filter { $0.contains("event: \(name)\n") }.compactMap { event in
            guard let line = event.components(separatedBy: "data: ").dropFirst().first else { return nil }
            return try JSONReader.read(Array(line.utf8)[...])
        }
    }

    @Test("an open page gets a snapshot with every panel, whose numbers are those of the database") func snapshot()
        async throws
    {
        try await withDatabase { (database: TestDatabase) throws in
            try Self.shop(database)
            try database.run(
                "CREATE ROLE dashboard_\(database.name) LOGIN; GRANT stockq_reader TO dashboard_\(database.name)")
            defer { try? database.run("DROP ROLE dashboard_\(database.name)") }
            let dashboard = try DashboardUnderTest(database, as: "dashboard_\(database.name)")
            // Nothing is read without an open page.
            let sessions =
                "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '%snapshots' AND datname = '\(database.name)'"
            #expect(try database.value(sessions) == "0")
            let stream = try dashboard.start(
                "/dashboard/api/stream", ["-H", "Authorization: Bearer \(DashboardUnderTest.token)"])
            #expect(eventually { stream.outputText.components(separatedBy: "event: snapshot").count > 3 })
            let text = stream.outputText
            #expect(text.contains("Content-Type: text/event-stream"))
            let first = try #require(try Self.events(text, "snapshot").first)
            for panel in SnapshotPanel.allCases { #expect(first["panels"]?[panel.rawValue] != nil, "\(panel)") }
            #expect(first["now"]?["scheduled"] == .integer(1))
            #expect(first["now"]?["ready"] == .integer(0))
            #expect(first["panels"]?["recent"]?["outcomes"]?["applied"] == .integer(3))
            #expect(first["panels"]?["recent"]?["codes"]?["insufficient_stock"] == .integer(1))
            #expect(first["panels"]?["levels"]?["low"] == .integer(1))
            #expect(first["panels"]?["backlog"]?["store_count"] == .integer(1))
            guard case .array(let findings)? = first["findings"], case .string(let finding)? = findings.first?["text"]
            else { throw ServeCommandTests.ShopError("no finding: \(text)") }
            #expect(finding.contains("No worker is connected"))
            stream.send(SIGTERM)
            _ = try stream.wait()
            try dashboard.stop()
        }
    }

    @Test("a page waits for a database that is away, and goes on") func databaseAway() async throws {
        try await withDatabase { (database: TestDatabase) throws in
            let dashboard = try DashboardUnderTest(database)
            let stream = try dashboard.start(
                "/dashboard/api/stream", ["-H", "Authorization: Bearer \(DashboardUnderTest.token)"])
            #expect(eventually { stream.outputText.contains("event: snapshot") })
            let name = database.name
            let admin = TestDatabase(existing: "postgres", on: database.cluster)
            try admin.run("ALTER DATABASE \(name) ALLOW_CONNECTIONS false")
            try admin.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '\(name)'")
            #expect(eventually { stream.outputText.contains("event: problem") })
            #expect(try dashboard.curl("/healthz").status == 503)
            try admin.run("ALTER DATABASE \(name) ALLOW_CONNECTIONS true")
            #expect(
                eventually {
                    (stream.outputText.components(separatedBy: "event: problem").last ?? "").contains("event: snapshot")
                })
            #expect(try dashboard.curl("/healthz").status == 200)
            stream.send(SIGTERM)
            _ = try stream.wait()
            try dashboard.stop()
        }
    }

    // MARK: access

    @Test("without a token, with a wrong one, in the address or in a cookie nothing is shown") func closed()
        async throws
    {
        try await withDatabase { (database: TestDatabase) throws in
            try Self.shop(database)
            let dashboard = try DashboardUnderTest(database)
            let right = DashboardUnderTest.token
            let page = try dashboard.curl("/dashboard")
            #expect(page.status == 200)
            #expect(!page.body.contains("berlin"))
            let nothing = try dashboard.curl("/dashboard/api/access", ["-H", "X-Forwarded-User: root"])
            #expect(nothing.body.contains(#""may_read":false,"may_act":false"#))
            for path in [
                "stream", "job/1", "order?group=o", "item?store=berlin&item=mug", "search?q=mug", "checks",
                "jobs", "results", "items",
            ] {
                let api = "/dashboard/api/\(path)"
                #expect(try dashboard.curl(api).status == 401, "\(path)")
                #expect(try dashboard.curl(api, ["-H", "Authorization: Bearer \(right)x"]).status == 401, "\(path)")
                let separator = path.contains("?") ? "&" : "?"
                #expect(try dashboard.curl("\(api)\(separator)token=\(right)").status == 401, "\(path)")
                #expect(try dashboard.curl(api, ["-H", "Cookie: token=\(right)"]).status == 401, "\(path)")
                #expect(try dashboard.curl(api, ["-H", "X-Forwarded-User: root"]).status == 401, "\(path)")
            }
            let cookies = page.fields.lowercased().contains("set-cookie")
            #expect(!cookies)
            try dashboard.stop()
        }
    }

    @Test("a page of another origin gets nothing, even with a token") func foreignOrigin() async throws {
        try await withDatabase { (database: TestDatabase) throws in
            let dashboard = try DashboardUnderTest(database)
            let token = ["-H", "Authorization: Bearer \(DashboardUnderTest.adminToken)"]
            let api = "/dashboard/api/access"
            #expect(try dashboard.curl(api, token).status == 200)
            for field in [
                "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Origin: http://evil.example",
                "Origin: null",
            ] {
                #expect(try dashboard.curl(api, token + ["-H", field]).status == 403, "\(field)")
                let act = try dashboard.act(
                    #"{"verb":"pause","everything":true,"dry_run":false}"#, fields: ["X-Stockq-Act: 1", field])
                #expect(act.status == 403, "\(field)")
            }
            for own in ["Origin: http://\(dashboard.address)", "Sec-Fetch-Site: same-origin"] {
                #expect(try dashboard.curl(api, token + ["-H", own]).status == 200)
            }
            #expect(try database.value("SELECT count(*) FROM stockq.lanes WHERE paused_at IS NOT NULL") == "0")
            let preflight = try dashboard.curl(api, ["-X", "OPTIONS", "-H", "Origin: http://evil.example"])
            #expect(!preflight.fields.contains("Access-Control-Allow-Origin"))
            try dashboard.stop()
        }
    }

    @Test("a proxy's field names the reader where that is allowed, and never an administrator") func proxyField()
        async throws
    {
        try await withDatabase { (database: TestDatabase) throws in
            let dashboard = try DashboardUnderTest(database, ["--user-header", "X-Forwarded-User"])
            let user = ["-H", "X-Forwarded-User: ann"]
            #expect(try dashboard.curl("/dashboard/api/access", user).body.contains(#""name":"ann""#))
            #expect(try dashboard.curl("/dashboard/api/jobs", user).status == 200)
            #expect(try dashboard.curl("/dashboard/api/jobs").status == 401)
            #expect(try dashboard.curl("/dashboard/api/jobs", user + ["-H", "X-Forwarded-User: bob"]).status == 401)
            let act = #"{"verb":"pause","store":"berlin","dry_run":false}"#
            let fields = ["X-Stockq-Act: 1", "X-Forwarded-User: ann"]
            #expect(try dashboard.act(act, token: nil, fields: fields).status == 403)
            #expect(try dashboard.act(act, fields: fields).status == 200)
            let who = try database.value("SELECT who FROM stockq.operations WHERE verb = 'pause'")
            #expect(who == "stockq for ann")
            try dashboard.stop()
        }
    }

    @Test("the page lets nothing but its own style and script run") func policy() async throws {
        try await withDatabase { (database: TestDatabase) throws in
            let dashboard = try DashboardUnderTest(database, ["--path-prefix", "/stockq/"])
            #expect(try dashboard.curl("/").fields.contains("Location: /stockq/dashboard"))
            #expect(try dashboard.curl("/dashboard").status == 404)
            let page = try dashboard.curl("/stockq/dashboard")
            #expect(page.status == 200)
            #expect(page.fields.contains("Content-Security-Policy: default-src 'none'; script-src 'sha256-"))
            #expect(!page.fields.contains("unsafe"))
            for field in ["Cache-Control: no-store", "X-Frame-Options: DENY", "Referrer-Policy: no-referrer"] {
                #expect(page.fields.contains(field))
            }
            // No outside resource, and no place where a text could become HTML.
            for text in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "https://", "src="]
            {
                #expect(!page.body.contains(text), "\(text)")
            }
            #expect(page.body.range(of: #" on[a-z]+=""#, options: .regularExpression) == nil)
            try dashboard.stop()
        }
    }

    @Test("it does not start without a way in, or with a token that could be guessed") func start() async throws {
        try await withDatabase { (database: TestDatabase) throws in
            let open = try Program(database).run(["dashboard", "--listen", "127.0.0.1:0"])
            #expect(open.code == 2)
            #expect(open.err.contains("closed without a token"))
            let file = FileManager.default.temporaryDirectory.appendingPathComponent("token-\(UUID().uuidString)").path
            try Data("short".utf8).write(to: URL(fileURLWithPath: file))
            defer { try? FileManager.default.removeItem(atPath: file) }
            let weak = try Program(database).run(["dashboard", "--token-file", file])
            #expect(weak.code == 1)
            #expect(weak.err.contains("at least 20"))
            let missing = try Program(database).run(["dashboard", "--token-file", "/nowhere"])
            #expect(missing.err.contains("cannot read the token"))
            let prefix = try Program(database).run(["dashboard", "--path-prefix", "stockq"])
            #expect(prefix.code == 2)
        }
    }

    // MARK: stories

    @Test("the story of a job, of an order and of an item") func stories() async throws {
        try await withDatabase { (database: TestDatabase) throws in
            try Self.shop(database)
            let dashboard = try DashboardUnderTest(database)
            let job = try dashboard.get("/dashboard/api/job/3")
            #expect(job["result"]?["outcome"] == .string("applied"))
            #expect(job["result"]?["previous_job_id"] == .integer(1))
            guard case .array(let lines)? = job["lines"] else { throw ServeCommandTests.ShopError("no lines: \(job)") }
            #expect(lines.map { $0["job_id"] } == [.integer(3), .integer(4)])
            guard case .array(let notes)? = job["notifications"] else { throw ServeCommandTests.ShopError("\(job)") }
            #expect(notes.map { $0["kind"] } == [.string("low_stock")])
            #expect(try dashboard.get("/dashboard/api/job/1")["next_job_id"] == .integer(3))
            #expect(try dashboard.get("/dashboard/api/job/5")["job"]?["state"] == .string("scheduled"))
            #expect(try dashboard.get("/dashboard/api/job/99")["job"] == .null)
            for query in ["group=o", "store=berlin&group=o"] {
                guard case .array(let order)? = try dashboard.get("/dashboard/api/order?\(query)")["lines"] else {
                    throw ServeCommandTests.ShopError("no lines of \(query)")
                }
                #expect(order.map { $0["job_id"] } == [.integer(3), .integer(4)])
            }
            guard case .array(let referring)? = try dashboard.get("/dashboard/api/order?reference=r1")["lines"] else {
                throw ServeCommandTests.ShopError("no lines of r1")
            }
            #expect(referring.map { $0["job_id"] } == [.integer(1)])
            for (query, kind) in [
                ("1", "jobs"), ("o", "groups"), ("k1", "keys"), ("mu", "items"),
            ] {
                guard case .array(let hits)? = try dashboard.get("/dashboard/api/search?q=\(query)")[kind] else {
                    throw ServeCommandTests.ShopError("no \(kind)")
                }
                #expect(hits.count == 1, "\(query): \(hits)")
            }
            try dashboard.stop()
        }
    }

    @Test("the proof of an item holds for a right ledger, and fails where it was changed") func proof() async throws {
        try await withDatabase { (database: TestDatabase) throws in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 20);
                SELECT stockq.enqueue('s', 'a', 5), stockq.enqueue('s', 'a', 3, action => 'allocate'),
                    stockq.enqueue('s', 'a', 2, action => 'ship'), stockq.enqueue('s', 'a', 1, action => 'deallocate'),
                    stockq.enqueue('s', 'a', 30, action => 'set'), stockq.enqueue('s', 'a', -50, on_insufficient => 'partial');
                """)
            try database.drain()
            let dashboard = try DashboardUnderTest(database)
            func proof() throws -> (sums: [JSONValue?], chain: [JSONValue?], end: JSONValue?) {
                let story = try dashboard.get("/dashboard/api/item?store=s&item=a")
                guard case .array(let movements)? = story["movements"] else {
                    throw ServeCommandTests.ShopError("no movements: \(story)")
                }
                return (
                    movements.map { $0["sum_is_right"] }, movements.map { $0["chain_is_right"] }, story["end_is_right"]
                )
            }
            let right = try proof()
            #expect(right.sums == Array(repeating: .bool(true), count: 6))
            #expect(right.chain == Array(repeating: .bool(true), count: 5) + [.null])
            #expect(right.end == .bool(true))
            try database.run("UPDATE stockq.results SET applied_quantity = 4 WHERE job_id = 2")
            #expect(try proof().sums[4] == .bool(false))
            try database.run("UPDATE stockq.results SET applied_quantity = 3 WHERE job_id = 2")
            try database.run("UPDATE stockq.results SET on_hand_before = 24, on_hand_after = 24 WHERE job_id = 2")
            let broken = try proof()
            #expect(broken.chain[4] == .bool(false))
            #expect(broken.chain[3] == .bool(false))
            try database.run("UPDATE stockq.items SET on_hand = on_hand + 1")
            #expect(try proof().end == .bool(false))
            try dashboard.stop()
        }
    }
}
