import Foundation
import PrivateCluster
import StockQueue
import TestSupport
import Testing

/// `stockq serve` as its clients see it: curl, and a real PostgreSQL.
@Suite("stockq serve") struct ServeCommandTests {
    private static func withShop(
        _ arguments: [String] = [], _ body: @escaping @Sendable (Shop) throws -> Void
    ) async throws {
        try await withDatabase { (database: TestDatabase) throws in
            let shop = try Shop(database, arguments)
            try body(shop)
            try shop.stop()
        }
    }

    // MARK: the vendors' calls

    @Test("Ecwid's calls adjust a product and a variation") func ecwid() async throws {
        try await Self.withShop { (shop: Shop) throws in
            let adjusted = try shop.curl(Shop.ecwid, shop.delta(-10))
            #expect(adjusted.status == 200 && adjusted.body == #"{"updateCount":1}"#, "\(adjusted)")
            let variation = "/api/v3/1003/products/\(Shop.product)/combinations/\(Shop.variation)/inventory"
            #expect(try shop.curl(variation, shop.delta(4)).body == #"{"updateCount":1}"#)
            #expect(
                try shop.curl(Shop.ecwid, shop.delta(-20)).body
                    == #"{"updateCount":1,"warning":"Product has negative stock."}"#)
            #expect(try shop.onHand() == "-15")
            #expect(try shop.onHand(Shop.variation) == "19")
            let unknown = try shop.curl("/api/v3/1003/products/1/inventory", shop.delta(1))
            #expect(unknown.status == 404 && unknown.body.contains("PRODUCT_NOT_FOUND"), "\(unknown)")
            let wrong = try shop.curl(
                Shop.ecwid,
                ["-X", "PUT", "-H", "Authorization: Bearer x", "-H", "Content-Type: application/json", "-d", "{}"])
            #expect(wrong.status == 403 && wrong.body.contains("INVALID_API_TOKEN"), "\(wrong)")
            let elsewhere = try shop.curl("/api/v3/1004/products/1/inventory", shop.delta(1))
            #expect(elsewhere.status == 404 && elsewhere.body.contains("STORE_NOT_FOUND"), "\(elsewhere)")
            try shop.database.run("INSERT INTO stockq.items (store_id, item_id) VALUES ('1004', '1')")
            #expect(try shop.curl("/api/v3/1004/products/1/inventory", shop.delta(1)).status == 403)
            let inQuery = try shop.curl(
                "\(Shop.ecwid)?token=\(shop.token)",
                ["-X", "PUT", "-H", "Content-Type: application/json", "-d", #"{"quantityDelta": 1}"#])
            #expect(inQuery.status == 200, "\(inQuery)")
            let profile = try shop.curl("/api/v3/1003/profile?token=\(shop.token)", [])
            #expect(profile.body == #"{"generalInfo":{"storeId":1003}}"#, "\(profile)")
        }
    }

    @Test("Elastic Path's calls: a token for a client, transactions, stock, history, creation") func elasticPath()
        async throws
    {
        try await Self.withShop { (shop: Shop) throws in
            let created = try Program(shop.database).run(
                [
                    "clients", "create", "warehouse", "--store", "1003", "--scope", "update_catalog", "--scope",
                    "read_catalog", "--scope", "manage_items", "--json",
                ])
            let id = try Shop.member("client_id", of: created)
            let secret = try Shop.member("client_secret", of: created)
            let form = "grant_type=client_credentials&client_id=\(id)&client_secret="
            let issued = try shop.curl("/oauth/access_token", ["-d", form + secret])
            #expect(issued.status == 200, "\(issued)")
            let members = try JSONSerialization.jsonObject(with: Data(issued.body.utf8)) as? [String: Any]
            let token = try #require(members?["access_token"] as? String)
            #expect(members?["expires_in"] as? Int == 3_600)
            #expect(try shop.curl("/oauth/access_token", ["-d", form + "wrong"]).status == 401)
            let bearer = ["-H", "Authorization: Bearer \(token)"]
            func transact(_ action: String, _ quantity: Int, _ more: [String] = []) throws -> Answer {
                let data = #"{"data":{"type":"stock-transaction","action":"\#(action)","quantity":\#(quantity)}}"#
                return try shop.curl(
                    "/v2/inventories/\(Shop.product)/transactions",
                    bearer + ["-H", "Content-Type: application/json", "-d", data] + more)
            }
            let decrement = try transact("decrement", 5)
            #expect(decrement.status == 200 && decrement.body.contains(#""quantity":5"#), "\(decrement)")
            #expect(try transact("allocate", 3).status == 200)
            let tooMany = try transact("decrement", 8)
            #expect(tooMany.status == 422 && tooMany.body.contains(#""status":422"#), "\(tooMany)")
            // The same key again: the first answer.
            let keyed = try transact("increment", 2, ["-H", "Idempotency-Key: k1"])
            #expect(try transact("increment", 2, ["-H", "Idempotency-Key: k1"]).body == keyed.body)
            let otherRequest = try transact("increment", 3, ["-H", "Idempotency-Key: k1"])
            #expect((400..<500).contains(otherRequest.status), "\(otherRequest)")
            let stock = try shop.curl("/v2/inventories/\(Shop.product)", bearer)
            #expect(stock.body.contains(#""total":12,"available":9,"allocated":3"#), "\(stock)")
            let history = try shop.curl("/v2/inventories/\(Shop.product)/transactions?page[limit]=10", bearer)
            #expect(history.body.components(separatedBy: #""stock-transaction""#).count == 5, "\(history)")
            let new = try shop.curl(
                "/v2/inventories/new",
                bearer + ["-H", "Content-Type: application/json", "-d", #"{"data":{"quantity":20}}"#])
            #expect(new.status == 201 && new.body.contains(#""total":20"#), "\(new)")
            #expect(try shop.curl("/v2/inventories/new", bearer + ["-X", "DELETE"]).status == 204)
            #expect(try shop.curl("/v2/inventories/new", bearer).status == 404)
            // A token that can only read.
            let implicit = try shop.curl("/oauth/access_token", ["-d", "grant_type=implicit&client_id=\(id)"])
            #expect(implicit.status == 200)
            // Revoked, with all its tokens, at once.
            #expect(try Program(shop.database).run(["clients", "revoke", "warehouse"]).code == 0)
            let revoked = try transact("increment", 1)
            #expect(revoked.status == 401 && revoked.body.contains(#""errors""#), "\(revoked)")
        }
    }

    @Test("Prosperna's call deducts all lines or none, and without a token by a setting only") func prosperna()
        async throws
    {
        try await Self.withShop { (shop: Shop) throws in
            func deduct(_ lines: String, _ query: String = "") throws -> Answer {
                try shop.curl("/v1/products/stock-quantity?store_id=1003\(query)", ["-d", lines])
            }
            func lines(_ first: Int, _ second: Int) -> String {
                #"[{"product_id":"\#(Shop.product)","purchased_quantity":\#(first)},"#
                    + #"{"product_variant_combination_id":"\#(Shop.variation)","purchased_quantity":\#(second)}]"#
            }
            #expect(try deduct(lines(1, 1)).status == 403)
            let good = try deduct(lines(9, 4), "&token=\(shop.token)")
            #expect(
                good.body == #"{"data":null,"message":"Inventory successfully updated.","statusCode":200}"#, "\(good)")
            let tooMany = try deduct(lines(1, 12), "&token=\(shop.token)")
            #expect(tooMany.status == 400 && tooMany.body.contains("insufficient_stock"), "\(tooMany)")
            #expect(try shop.onHand() == "6")
            #expect(try shop.onHand(Shop.variation) == "11")
            let opened = try Program(shop.database).run(
                [
                    "tokens", "create", "open", "--store", "1003", "--scope", "update_catalog", "--scope",
                    "read_catalog",
                    "--anonymous",
                ])
            #expect(opened.code == 0, "\(opened.err)")
            #expect(try deduct(lines(1, 1)).status == 200)
            #expect(try shop.onHand() == "5")
        }
    }

    @Test("an Ecwid batch is executed in order, and its ticket has the answers") func batch() async throws {
        try await Self.withShop { (shop: Shop) throws in
            let requests = """
                [{"id":"a","path":"products/\(Shop.product)/inventory","method":"PUT","body":{"quantityDelta":-5}},
                 {"id":"b","path":"/products/none/inventory","method":"PUT","body":{"quantityDelta":-5}}]
                """
            let bearer = ["-H", "Authorization: Bearer \(shop.token)", "-H", "Content-Type: application/json"]
            let begun = try shop.curl("/api/v3/1003/batch", bearer + ["-d", requests])
            #expect(begun.status == 200, "\(begun)")
            let ticket = try #require(begun.body.split(separator: "\"").dropLast().last)
            #expect(
                try eventually {
                    try shop.curl("/api/v3/1003/batch?ticket=\(ticket)", bearer).body.contains("COMPLETED\",\"total")
                })
            let answer = try shop.curl("/api/v3/1003/batch?ticket=\(ticket)", bearer).body
            #expect(answer.contains(#""httpStatusCode":200"#) && answer.contains(#""httpStatusCode":404"#), "\(answer)")
            #expect(try shop.onHand() == "10")
        }
    }

    // MARK: many at once, and again

    @Test("100 calls at the same time are all applied") func parallel() async throws {
        try await Self.withShop { (shop: Shop) throws in
            let ended = try Program().start(
                ["-sS", "-Z", "--parallel-max", "50"] + shop.delta(2)
                    + ["http://\(shop.address)\(Shop.ecwid)?n=[1-100]"],
                executable: "/usr/bin/curl"
            ).wait()
            #expect(ended.out.components(separatedBy: #"{"updateCount":1}"#).count == 101, "\(ended)")
            #expect(try shop.onHand() == "215")
            let submissions = try shop.database.value("SELECT count(DISTINCT submission_id) FROM stockq.results")
            #expect(Int(submissions).map { $0 < 100 } == true, "\(submissions) transactions for 100 calls")
        }
    }

    @Test("a request that a client sends again with the same id is applied once") func repeated() async throws {
        try await Self.withShop { (shop: Shop) throws in
            let again = shop.delta(-3, ["-H", "X-Ecwid-Api-Request-Id: a1b2c3d4"])
            for _ in 0..<3 { #expect(try shop.curl(Shop.ecwid, again).body == #"{"updateCount":1}"#) }
            #expect(try shop.onHand() == "12")
            #expect(
                try shop.curl(Shop.ecwid, shop.delta(-3, ["-H", "X-Ecwid-Api-Request-Id: other"])).status == 200)
            #expect(try shop.onHand() == "9")
        }
    }

    @Test("a key that was kept longer than its result is not applied again") func keyWithoutResult() async throws {
        try await Self.withShop { (shop: Shop) throws in
            let keyed = shop.delta(-3, ["-H", "Idempotency-Key: k"])
            #expect(try shop.curl(Shop.ecwid, keyed).status == 200)
            try shop.database.run("TRUNCATE stockq.results")
            let again = try shop.curl(Shop.ecwid, keyed)
            #expect((400..<500).contains(again.status), "\(again)")
            #expect(try shop.onHand() == "12")
        }
    }

    // MARK: never ambiguous

    /// The jobs that are queued.
    private static func jobs(_ shop: Shop) throws -> String {
        try shop.database.value("SELECT count(*) FROM stockq.jobs")
    }

    @Test("E47: a call that is not decided in time is canceled, and its answer says that nothing was applied")
    func deadline() async throws {
        try await Self.withShop(["--deadline", "300ms"]) { (shop: Shop) throws in
            #expect(try Program(shop.database).run(["pause", "--store", "1003"]).code == 0)
            let late = try shop.curl(Shop.ecwid, shop.delta(-3))
            #expect(late.status == 408 && late.body.contains("TIMEOUT"), "\(late)")
            #expect(try Program(shop.database).run(["resume", "--store", "1003"]).code == 0)
            #expect(try shop.curl(Shop.ecwid, shop.delta(-1)).status == 200)
            #expect(
                try shop.database.rows("SELECT outcome FROM stockq.results ORDER BY job_id") == ["canceled", "applied"])
            #expect(try shop.onHand() == "14")
        }
    }

    @Test("H22: the jobs of a client that went away are canceled") func clientGone() async throws {
        try await Self.withShop { (shop: Shop) throws in
            #expect(try Program(shop.database).run(["pause", "--store", "1003"]).code == 0)
            let client = try shop.start(Shop.ecwid, shop.delta(-3))
            #expect(try eventually { try Self.jobs(shop) == "1" })
            client.send(SIGKILL)
            // Long before the deadline.
            #expect(try eventually(seconds: 8) { try Self.jobs(shop) == "0" })
            #expect(try shop.database.rows("SELECT outcome FROM stockq.results") == ["canceled"])
        }
    }

    @Test("H28: a stop answers the calls under way, and their jobs are canceled first") func shutdown() async throws {
        try await withDatabase { (database: TestDatabase) throws in
            let shop = try Shop(database)
            #expect(try Program(database).run(["pause", "--store", "1003"]).code == 0)
            let client = try shop.start(Shop.ecwid, shop.delta(-3))
            #expect(try eventually { try Self.jobs(shop) == "1" })
            try shop.stop()
            #expect(try Shop.answer(try client.wait()).status == 408)
            #expect(try database.rows("SELECT outcome FROM stockq.results") == ["canceled"])
        }
    }

    @Test("E46: while the database is away calls get 429 with Retry-After, and afterwards each answer was true")
    func databaseKilled() async throws {
        try await onThread {
            var options = PrivateCluster.Options()
            options.settings = [("fsync", "off"), ("shared_buffers", "32MB")]
            let cluster = try PrivateCluster(name: "stockq-serve", options: options)
            defer { cluster.stop() }
            let shop = try Shop(try TestDatabase(on: cluster))
            #expect(try shop.curl(Shop.ecwid, shop.delta(-1)).status == 200)
            // Calls are under way when the server crashes.
            let clients = try (0..<8).map { _ in try shop.start(Shop.ecwid, shop.delta(-1)) }
            try cluster.shutDown(.immediate)
            let away = try shop.curl(Shop.ecwid, shop.delta(-1))
            #expect(away.status == 429 && away.fields.contains("Retry-After: 1"), "\(away)")
            #expect(try shop.curl("/healthz", []).status == 503)
            try cluster.startAgain()
            #expect(try eventually { try shop.curl(Shop.ecwid, shop.delta(-1)).status == 200 })
            let applied = try clients.filter { try Shop.answer(try $0.wait()).status == 200 }.count
            #expect(try shop.onHand() == "\(15 - 2 - applied)")
            #expect(try shop.curl("/healthz", []).status == 200)
            try shop.stop()
        }
    }

    @Test("sessions that are terminated under load make no answer wrong") func terminatedSessions() async throws {
        try await Self.withShop { (shop: Shop) throws in
            var applied = 0
            for round in 0..<2 {
                let clients = try Program().start(
                    ["-sS", "-Z", "--parallel-max", "30", "-o", "/dev/null", "-w", "%{http_code}\\n"] + shop.delta(1)
                        + ["http://\(shop.address)\(Shop.ecwid)?n=[1-60]"],
                    executable: "/usr/bin/curl")
                // Of the gateway, and in the second round of the workers too.
                let names = round % 2 == 0 ? "= 'stockq serve'" : "LIKE 'stockq serve%'"
                while !clients.hasEnded {
                    try shop.database.run(
                        """
                        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                        WHERE datname = current_database() AND application_name \(names)
                        """)
                }
                let statuses = try clients.wait().out.split(separator: "\n")
                #expect(statuses.count == 60, "\(statuses)")
                #expect(statuses.allSatisfy { ["200", "408", "429"].contains($0) }, "\(statuses)")
                applied += statuses.count { $0 == "200" }
            }
            #expect(eventually { (try? Self.jobs(shop)) == "0" })
            #expect(try shop.onHand() == "\(15 + applied)")
        }
    }

    @Test("a request that is sent again after its client went away is executed") func repeatedAfterDeparture()
        async throws
    {
        try await Self.withShop { (shop: Shop) throws in
            let request = shop.delta(-3, ["-H", "X-Ecwid-Api-Request-Id: a1b2c3d4"])
            #expect(try Program(shop.database).run(["pause", "--store", "1003"]).code == 0)
            let client = try shop.start(Shop.ecwid, request)
            #expect(try eventually { try Self.jobs(shop) == "1" })
            client.send(SIGKILL)
            let again = try shop.start(Shop.ecwid, request)
            #expect(
                try eventually {
                    try shop.database.value("SELECT count(*) FROM stockq.results WHERE outcome = 'canceled'") == "1"
                })
            #expect(try Program(shop.database).run(["resume", "--store", "1003"]).code == 0)
            #expect(try Shop.answer(try again.wait()).status == 200)
            #expect(try shop.onHand() == "12")
        }
    }

    // MARK: before the start

    @Test("--check names what is missing; a role of workers and gateway serves") func check() async throws {
        try await withDatabase { (database: TestDatabase) throws in
            let name = "server_of_\(database.name)"
            try database.run("CREATE ROLE \(name) LOGIN; GRANT stockq_worker TO \(name)")
            var program = Program()
            program.environment["DATABASE_URL"] = database.settings(as: name).conninfo
            let check = ["serve", "--check", "--listen", "127.0.0.1:0"]
            let missing = try program.run(check)
            #expect(missing.code == 1 && missing.out.contains("EXECUTE on gateway_access"), "\(missing)")
            try database.run("GRANT stockq_gateway TO \(name)")
            let ready = try program.run(check)
            #expect(ready.code == 0 && ready.out == "ready to serve\n", "\(ready)")
            #expect(try program.run(check + ["--listen", "192.0.2.1:1"]).code == 1)
            try database.run("DROP OWNED BY \(name); DROP ROLE \(name)")
        }
    }
}
