import Foundation
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// The native API of `stockq serve`, from curl to PostgreSQL and back.
@Suite("stockq serve: native API") struct NativeServeTests {
    typealias Shop = ServeCommandTests.Shop

    private static let api = "/v1/stores/1003"
    private static let product = Shop.product

    private static func withShop(
        _ arguments: [String] = [], _ body: @escaping @Sendable (Shop) throws -> Void
    ) async throws {
        try await withDatabase { (database: TestDatabase) throws in
            let shop = try Shop(database, arguments)
            try body(shop)
            try shop.stop()
        }
    }

    private static func arguments(
        _ shop: Shop, _ body: String? = nil, method: String? = nil, token: String? = nil, _ fields: [String] = []
    ) -> [String] {
        ["-H", "Authorization: Bearer \(token ?? shop.token)"] + (method.map { ["-X", $0] } ?? [])
            + (body.map { ["-H", "Content-Type: application/json", "-d", $0] } ?? [])
            + fields.flatMap { ["-H", $0] }
    }

    private static func call(
        _ shop: Shop, _ path: String, _ body: String? = nil, method: String? = nil, _ fields: [String] = []
    ) throws -> ServeCommandTests.Answer {
        try shop.curl(api + path, arguments(shop, body, method: method, fields))
    }

    /// A member of an answer that is an object, or of its first job.
    private static func member(_ name: String, of answer: ServeCommandTests.Answer) throws -> String {
        let value = try JSONSerialization.jsonObject(with: Data(answer.body.utf8))
        guard var object = value as? [String: Any] else { throw ServeCommandTests.ShopError(answer.body) }
        if let jobs = object["jobs"] as? [[String: Any]], let first = jobs.first { object = first }
        return object[name].map { "\($0)" } ?? "-"
    }

    private static func job(_ quantity: Int, _ more: String = "") -> String {
        #"{"item_id":"\#(product)","quantity":\#(quantity)\#(more)}"#
    }

    private static func field(_ name: String, of answer: ServeCommandTests.Answer) -> String? {
        answer.fields.components(separatedBy: "\r\n").first { $0.hasPrefix("\(name): ") }
            .map { String($0.dropFirst(name.utf8.count + 2)) }
    }

    private static func pause(_ shop: Shop) throws {
        #expect(try Program(shop.database).run(["pause", "--store", "1003"]).code == 0)
    }

    private static func resume(_ shop: Shop) throws {
        #expect(try Program(shop.database).run(["resume", "--store", "1003"]).code == 0)
    }

    private static func token(_ shop: Shop, _ name: String, _ arguments: [String]) throws -> String {
        try Shop.member(
            "token", of: Program(shop.database).run(["tokens", "create", name, "--json"] + arguments))
    }

    // MARK: jobs

    @Test("a job is applied, rejected or left unchanged, and found again by its id, key and group") func jobs()
        async throws
    {
        try await Self.withShop { (shop: Shop) throws in
            let applied = try Self.call(shop, "/jobs", Self.job(-6, #","idempotency_key":"k","reference":"o 7""#))
            #expect(applied.status == 200, "\(applied)")
            #expect(try Self.member("outcome", of: applied) == "applied")
            #expect(try Self.member("on_hand_after", of: applied) == "9")
            let rejected = try Self.call(shop, "/jobs", Self.job(-16))
            #expect(rejected.status == 409 && rejected.body.contains(#""code":"insufficient_stock""#), "\(rejected)")
            #expect(try Self.member("outcome", of: Self.call(shop, "/jobs", Self.job(0))) == "unchanged")
            let group = #"{"jobs":[\#(Self.job(-1, #","group_id":"g/1""#)),\#(Self.job(-99, #","group_id":"g/1""#))]}"#
            let order = try Self.call(shop, "/submissions", group)
            #expect(order.status == 409 && order.body.contains(#""code":"group_rejected""#), "\(order)")
            #expect(try shop.onHand() == "9")
            for path in ["/jobs/1", "/keys/k"] {
                let found = try Self.call(shop, path)
                #expect(found.status == 200 && found.body.contains(#""reference":"o 7""#), "\(found)")
                #expect(try Self.member("version", of: found) == "1")
            }
            let lines = try Self.call(shop, "/groups/g%2F1")
            #expect(lines.status == 200 && lines.body.components(separatedBy: "\"job_id\"").count == 3, "\(lines)")
            for path in ["/jobs/99", "/keys/none", "/groups/none", "/submissions/98-99"] {
                #expect(try Self.call(shop, path).status == 404)
            }
            let far = try Self.call(shop, "/jobs", Self.job(1, #","run_at":"9999-01-01T00:00:00Z""#))
            #expect(far.status == 409 && far.body.contains("/v1/problems/time_limit"), "\(far)")
            try shop.database.run(
                """
                SELECT stockq.set_reasons(remove => array_remove(ARRAY(SELECT reason FROM stockq.reasons), 'damaged'));
                SELECT stockq.set_reasons(add => '{lost}', only_listed => true)
                """)
            let unlisted = try Self.call(shop, "/jobs", Self.job(1, #","reason":"stolen""#))
            #expect(unlisted.status == 409 && unlisted.body.contains("/v1/problems/unlisted_reason"), "\(unlisted)")
            #expect(
                unlisted.body.contains("The reason of job 1 of the request must be one of: damaged, lost."),
                "\(unlisted)")
            #expect(try Self.call(shop, "/jobs", Self.job(1, #","reason":"lost""#)).status == 200)
        }
    }

    @Test("a repeated call gets the first answer, also while the first is under way, and another request is 422")
    func idempotencyKeys() async throws {
        try await Self.withShop { (shop: Shop) throws in
            try Self.pause(shop)
            let key = ["Idempotency-Key: \"order-7\""]
            let arguments = Self.arguments(shop, Self.job(-2), key)
            let first = try shop.start(Self.api + "/jobs", arguments)
            #expect(eventually { (try? shop.database.value("SELECT count(*) FROM stockq.jobs")) == "1" })
            let second = try shop.start(Self.api + "/jobs", arguments)
            let other = try Self.call(shop, "/jobs", Self.job(-3), key)
            #expect(other.status == 422 && other.body.contains("idempotency_mismatch"), "\(other)")
            try Self.resume(shop)
            let answers = try [first, second].map { try Shop.answer(try $0.wait()) }
            #expect(answers.allSatisfy { $0.status == 200 } && answers[0].body == answers[1].body, "\(answers)")
            #expect(try Self.call(shop, "/jobs", Self.job(-2), key).body == answers[0].body)
            #expect(try shop.onHand() == "13")
            // The same key for a list is another request, and so is a longer or a shorter list.
            let lists = (1...3).map { count in
                #"{"jobs":[\#(Array(repeating: Self.job(-1), count: count).joined(separator: ","))]}"#
            }
            #expect(try Self.call(shop, "/submissions", lists[0], key).status == 422)
            let list = try Self.call(shop, "/submissions", lists[1], ["Idempotency-Key: list"])
            #expect(list.status == 200, "\(list)")
            #expect(try Self.call(shop, "/submissions", lists[1], ["Idempotency-Key: list"]).body == list.body)
            for other in [lists[0], lists[2]] {
                #expect(try Self.call(shop, "/submissions", other, ["Idempotency-Key: list"]).status == 422)
            }
            #expect(try Self.call(shop, "/jobs", Self.job(-1), ["Idempotency-Key: list"]).status == 422)
            #expect(try shop.onHand() == "11")
        }
    }

    @Test("Prefer: wait and respond-async answer 202 with a Location that has the results later") func preferences()
        async throws
    {
        try await Self.withShop { (shop: Shop) throws in
            try Self.pause(shop)
            let waited = try Self.call(shop, "/jobs", Self.job(-1), ["Prefer: wait=1"])
            #expect(waited.status == 202 && Self.field("Preference-Applied", of: waited) == "wait=1", "\(waited)")
            let list = #"{"jobs":[\#(Self.job(-2)),\#(Self.job(-3))]}"#
            let asynchronous = try Self.call(shop, "/submissions", list, ["Prefer: respond-async"])
            #expect(asynchronous.status == 202, "\(asynchronous)")
            #expect(Self.field("Location", of: asynchronous) == "/v1/stores/1003/submissions/2-3")
            let deferred = try Self.call(shop, "/jobs", Self.job(-1, #","on_insufficient":"wait""#))
            #expect(deferred.status == 202, "\(deferred)")
            try Self.resume(shop)
            #expect(eventually { (try? shop.onHand()) == "8" })
            let path = try #require(Self.field("Location", of: waited))
            #expect(try Self.member("outcome", of: shop.curl(path, Self.arguments(shop))) == "applied")
            let results = try Self.call(shop, "/submissions/2-3")
            #expect(results.body.components(separatedBy: #""outcome":"applied""#).count == 3, "\(results)")
            // Decided in time: no 202.
            #expect(try Self.call(shop, "/jobs", Self.job(1), ["Prefer: wait=10"]).status == 200)
        }
    }

    @Test("after the deadline a job is canceled, but not one that an earlier call was promised") func deadline()
        async throws
    {
        try await Self.withShop(["--deadline", "700ms"]) { (shop: Shop) throws in
            try Self.pause(shop)
            let undecided = try Self.call(shop, "/jobs", Self.job(-1))
            #expect(undecided.status == 503 && undecided.body.contains("/v1/problems/undecided"), "\(undecided)")
            let key = ["Idempotency-Key: k"]
            #expect(try Self.call(shop, "/jobs", Self.job(-2), key + ["Prefer: respond-async"]).status == 202)
            let repeated = try Self.call(shop, "/jobs", Self.job(-2), key)
            #expect(repeated.status == 202 && repeated.body == #"{"job_id":2,"is_duplicate":true}"#, "\(repeated)")
            try Self.resume(shop)
            #expect(eventually { (try? shop.onHand()) == "13" })
            #expect(try Self.member("outcome", of: Self.call(shop, "/jobs/1")) == "canceled")
        }
    }

    @Test("queued jobs are canceled, groups whole, and finished ones are not") func cancellation() async throws {
        try await Self.withShop { (shop: Shop) throws in
            let later = #","run_at":"\#(Date(timeIntervalSinceNow: 3_600).ISO8601Format())""#
            #expect(try Self.call(shop, "/jobs", Self.job(-1, later)).status == 202)
            let list =
                #"{"jobs":[\#(Self.job(-1, later + #","group_id":"g""#)),\#(Self.job(-1, later + #","group_id":"g""#))]}"#
            #expect(try Self.call(shop, "/submissions", list).status == 202)
            let canceled = try Self.call(shop, "/jobs/1/cancel", method: "POST")
            #expect(canceled.status == 200, "\(canceled)")
            #expect(try Self.member("outcome", of: canceled) == "canceled")
            #expect(try Self.call(shop, "/jobs/1/cancel", "{}").status == 409)
            let wordy = try Self.call(shop, "/jobs/1/cancel", #"{"reason":"late"}"#)
            #expect(wordy.status == 400 && wordy.body.contains("the call takes no body"), "\(wordy)")
            #expect(try Self.call(shop, "/jobs/9/cancel", method: "POST").status == 404)
            let group = try Self.call(shop, "/groups/g/cancel", method: "POST")
            #expect(group.body.components(separatedBy: #""outcome":"canceled""#).count == 3, "\(group)")
            #expect(try shop.database.value("SELECT count(*) FROM stockq.jobs") == "0")
        }
    }

    @Test("groups of one name that arrive together stay groups of their own") func equalGroups() async throws {
        try await Self.withShop { (shop: Shop) throws in
            let body = #"{"jobs":[\#(Self.job(-1, #","group_id":"g""#)),\#(Self.job(1, #","group_id":"g""#))]}"#
            let targets = Array(repeating: "http://\(shop.address)\(Self.api)/submissions", count: 20)
            let ended = try Program().start(
                ["-sS", "-Z", "--parallel-max", "20", "-w", "%{http_code}\\n"] + Self.arguments(shop, body)
                    + targets.flatMap { ["-o", "/dev/null", $0] },
                executable: "/usr/bin/curl"
            ).wait()
            #expect(ended.out.split(separator: "\n").map(String.init) == Array(repeating: "200", count: 20), "\(ended)")
            #expect(
                try shop.database.value(
                    "SELECT count(DISTINCT submission_id) || ' ' || count(*) FROM stockq.results WHERE group_id = 'g'")
                    == "20 40")
        }
    }

    @Test("a dry run decides like a worker and writes nothing") func dryRun() async throws {
        try await Self.withShop { (shop: Shop) throws in
            let list =
                #"{"jobs":[\#(Self.job(-10)),\#(Self.job(-10)),\#(Self.job(-5, #","on_insufficient":"partial""#))]}"#
            let dry = try Self.call(shop, "/dry-runs", list)
            #expect(dry.status == 200, "\(dry)")
            let codes = #""outcome":"applied","applied_quantity":-10,"on_hand_before":15,"on_hand_after":5"#
            #expect(dry.body.contains(codes) && dry.body.contains(#""code":"insufficient_stock""#), "\(dry)")
            #expect(try shop.database.value("SELECT count(*) FROM stockq.results") == "0")
            let real = try Self.call(shop, "/submissions", list)
            func outcomes(_ answer: ServeCommandTests.Answer) -> [String] {
                answer.body.components(separatedBy: #""outcome":""#).dropFirst().map {
                    String($0.prefix { $0 != "\"" })
                }
            }
            #expect(outcomes(dry) == outcomes(real) && outcomes(real) == ["applied", "rejected", "applied"], "\(real)")
        }
    }

    // MARK: items

    @Test("items are created, changed, listed and read, with their history and past stock") func items() async throws {
        try await Self.withShop { (shop: Shop) throws in
            let new = #"{"item_id":"mug","on_hand":5,"low_stock_threshold":2,"location_id":"cellar"}"#
            let created = try Self.call(shop, "/items", new)
            #expect(created.status == 201 && Self.field("Location", of: created) == "/v1/stores/1003/items/mug")
            #expect(try Self.call(shop, "/items", new).status == 409)
            let before = Timestamp(Date()).description
            let taken = try Self.call(shop, "/jobs", #"{"item_id":"mug","location_id":"cellar","quantity":-4}"#)
            #expect(taken.status == 200, "\(taken)")
            let mug = try Self.call(shop, "/items/mug")
            #expect(mug.body.contains(#""on_hand":1,"#) && mug.body.contains(#""alert_level":"low""#), "\(mug)")
            let changed = try Self.call(
                shop, "/items/mug?location_id=cellar", #"{"low_stock_threshold":null,"parent_id":"cup"}"#,
                method: "PATCH")
            #expect(changed.status == 200 && changed.body.contains(#""alert_level":"ok""#), "\(changed)")
            #expect(changed.body.contains(#""parent_id":"cup""#))
            #expect(try Self.call(shop, "/items/mug", "{}", method: "PATCH").status == 404)
            let history = try Self.call(shop, "/items/mug/history?location_id=cellar")
            #expect(history.body.contains(#""on_hand_before":5,"on_hand_after":1,"#), "\(history)")
            let past = try Self.call(shop, "/items/mug/stock?location_id=cellar&at=\(before)")
            #expect(past.body.contains(#""on_hand":5,"#), "\(past)")
            #expect(try Self.call(shop, "/items/mug/stock?location_id=cellar").body.contains(#""on_hand":1,"#))
            #expect(try Self.call(shop, "/items/mug/stock?location_id=cellar&at=2001-01-01T00:00:00Z").status == 404)
            #expect(try Self.call(shop, "/items/none/history").status == 404)
            var ids: [String] = []
            var next: String? = "\(Self.api)/items?limit=2"
            while let path = next {
                let page = try shop.curl(path, Self.arguments(shop))
                ids += page.body.components(separatedBy: #""item_id":""#).dropFirst().map {
                    String($0.prefix { $0 != "\"" })
                }
                next = page.body.components(separatedBy: #""next":""#).dropFirst().first.map {
                    String($0.prefix { $0 != "\"" })
                }
            }
            #expect(ids == [Self.product, Shop.variation, "mug"])
        }
    }

    // MARK: notifications

    @Test("notifications are read after a cursor, and followed as events from the last one on") func notifications()
        async throws
    {
        try await Self.withShop { (shop: Shop) throws in
            let stream = try Program().start(
                ["-sSN", "--max-time", "60"] + Self.arguments(shop)
                    + ["http://\(shop.address)\(Self.api)/notifications/stream"], executable: "/usr/bin/curl")
            #expect(eventually { stream.outputText.hasSuffix("\n\n") })
            for quantity in [-15, 20] { #expect(try Self.call(shop, "/jobs", Self.job(quantity)).status == 200) }
            #expect(eventually { stream.outputText.contains(#""kind":"back_in_stock""#) })
            stream.send(SIGTERM)
            _ = try stream.wait()
            let events = stream.outputText.components(separatedBy: "\n\n").filter { $0.contains("data: ") }
            let cursors = events.map { String($0.prefix { $0 != "\n" }.dropFirst("id: ".count)) }
            try #require(cursors.count == 2)
            let page = try Self.call(shop, "/notifications?limit=1")
            #expect(page.body.contains(#""kind":"out_of_stock""#), "\(page)")
            #expect(page.body.hasSuffix(#""cursor":"\#(cursors[0])"}"#), "\(page)")
            let rest = try Self.call(shop, "/notifications?after=\(cursors[0])")
            #expect(rest.body.contains(#""notification_id":2,"#), "\(rest)")
            #expect(rest.body.hasSuffix(#""cursor":"\#(cursors[1])"}"#), "\(rest)")
            let resumed = try Program().start(
                ["-sSN", "--max-time", "60"] + Self.arguments(shop, nil, ["Last-Event-ID: \(cursors[0])"])
                    + ["http://\(shop.address)\(Self.api)/notifications/stream"], executable: "/usr/bin/curl")
            #expect(eventually { resumed.outputText.contains("id: \(cursors[1])\ndata: ") })
            #expect(!resumed.outputText.contains("out_of_stock"))
            // A token that is revoked ends its streams.
            #expect(try Program(shop.database).run(["tokens", "revoke", "shop"]).code == 0)
            #expect(try resumed.wait().code == 0)
            #expect(try Self.call(shop, "/notifications/stream").status == 401)
        }
    }

    // MARK: tokens and limits

    @Test("a token reaches its stores only, with its scopes only") func scopes() async throws {
        try await Self.withShop { (shop: Shop) throws in
            let reader = try Self.token(shop, "reader", ["--store", "1003", "--scope", "read_catalog"])
            let writer = try Self.token(shop, "writer", ["--store", "1003", "--scope", "update_catalog"])
            let stranger = try Self.token(
                shop, "stranger",
                ["--store", "2"]
                    + ["update_catalog", "read_catalog", "manage_items", "manage_notifications"].flatMap {
                        ["--scope", $0]
                    })
            let list = #"{"jobs":[\#(Self.job(-1))]}"#
            let item = #"{"item_id":"new","on_hand":1}"#
            let calls: [(method: String, path: String, body: String?, reader: Int, writer: Int)] = [
                ("POST", "/jobs", Self.job(-1), 403, 200), ("POST", "/submissions", list, 403, 200),
                ("POST", "/dry-runs", list, 200, 403), ("GET", "/jobs/1", nil, 200, 200),
                ("GET", "/submissions/1-1", nil, 200, 200), ("GET", "/keys/k", nil, 404, 404),
                ("GET", "/groups/g", nil, 404, 404), ("POST", "/jobs/1/cancel", nil, 403, 409),
                ("POST", "/groups/g/cancel", nil, 403, 404), ("GET", "/items", nil, 200, 403),
                ("GET", "/items/\(Self.product)", nil, 200, 403), ("POST", "/items", item, 403, 403),
                ("PATCH", "/items/\(Self.product)", "{}", 403, 403),
                ("GET", "/items/\(Self.product)/history", nil, 200, 403),
                ("GET", "/items/\(Self.product)/stock", nil, 200, 403), ("GET", "/notifications", nil, 200, 403),
                ("GET", "/notifications/stream", nil, 200, 403), ("GET", "/alert-policy", nil, 403, 403),
                ("PUT", "/alert-policy", "{}", 403, 403), ("DELETE", "/alert-policy", nil, 403, 403),
                ("PUT", "/items/\(Self.product)/snooze", #"{"until":"2099-01-01T00:00:00Z"}"#, 403, 403),
                ("DELETE", "/items/\(Self.product)/snooze", nil, 403, 403), ("GET", "/subscriptions", nil, 403, 403),
                ("POST", "/subscriptions", #"{"channel":"mail","target":"a@b"}"#, 403, 403),
                ("DELETE", "/subscriptions/1", nil, 403, 403),
                // A variation needs both scopes.
                ("POST", "/jobs", #"{"item_id":"\#(Shop.variation)","quantity":1}"#, 403, 403),
            ]
            for call in calls {
                for (token, status) in [(writer, call.writer), (reader, call.reader), (stranger, 404)] {
                    // Only the head of a stream is of interest.
                    let head = call.path.hasSuffix("stream") ? ["-I"] : ["-X", call.method]
                    let answer = try shop.curl(
                        Self.api + call.path, Self.arguments(shop, call.body, token: token) + head)
                    #expect(answer.status == status, "\(call.method) \(call.path): \(answer)")
                }
            }
            #expect(try shop.onHand() == "13")
            #expect(try shop.curl(Self.api + "/items", Self.arguments(shop, token: "x")).status == 401)
            // The stranger reaches its own store, which has none of the other's jobs.
            let own = try shop.curl("/v1/stores/2/jobs/1", Self.arguments(shop, token: stranger))
            #expect(own.status == 404 && own.body.contains("not_found"), "\(own)")
        }
    }

    @Test("each answer says what the token has left, and too many requests are 429") func rateLimit() async throws {
        try await Self.withShop(["--set", "requestsPerMinute=3"]) { (shop: Shop) throws in
            for remaining in [2, 1, 0] {
                let answer = try Self.call(shop, "/items")
                #expect(answer.status == 200 && Self.field("RateLimit-Policy", of: answer) == #""requests";q=3;w=60"#)
                let left = Self.field("RateLimit", of: answer)
                #expect(left?.hasPrefix(#""requests";r=\#(remaining);t="#) == true, "\(answer)")
            }
            let job = try Self.call(shop, "/jobs", Self.job(-1))
            #expect(job.status == 429 && job.body.contains("/v1/problems/over_limit"), "\(job)")
            let seconds = try #require(Self.field("Retry-After", of: job).flatMap { Int($0) })
            #expect((1...60).contains(seconds))
            #expect(try shop.onHand() == "15")
        }
    }

    @Test("a store at its limit of ready jobs is 429") func storeLimit() async throws {
        try await Self.withShop { (shop: Shop) throws in
            try shop.database.run("SELECT stockq.set_store_limit('1003', 1)")
            try Self.pause(shop)
            // A worker that meets the job would take it out of the ready ones.
            try shop.database.run("UPDATE stockq.lanes SET paused_at = now()")
            #expect(try Self.call(shop, "/jobs", Self.job(-1), ["Prefer: respond-async"]).status == 202)
            let full = try Self.call(shop, "/jobs", Self.job(-1))
            #expect(full.status == 429 && Self.field("Retry-After", of: full) == "1", "\(full)")
            #expect(full.body.contains("/v1/problems/store_limit"), "\(full)")
            let never = try Self.call(shop, "/submissions", #"{"jobs":[\#(Self.job(-1)),\#(Self.job(-2))]}"#)
            #expect(never.status == 409 && Self.field("Retry-After", of: never) == nil, "\(never)")
            #expect(never.body.contains("/v1/problems/call_limit"), "\(never)")
        }
    }

    @Test("the log has the Request-Id of the answer") func requestIDs() async throws {
        try await Self.withShop { (shop: Shop) throws in
            #expect(
                Self.field("Request-Id", of: try Self.call(shop, "/items", nil, ["Request-Id: order-7"])) == "order-7")
            let id = try #require(Self.field("Request-Id", of: try Self.call(shop, "/nothing")))
            for (id, path, status) in [("order-7", "items", 200), (id, "nothing", 404)] {
                let line = "event=request request_id=\(id) method=GET path=/v1/stores/1003/\(path) status=\(status)"
                #expect(eventually { shop.gateway.errorText.contains(line) })
            }
        }
    }

    // MARK: the guide

    /// The guide's lines with curl, in their order.
    @Test("the requests of the guide get the answers that it shows") func guide() async throws {
        try await withDatabase { (database: TestDatabase) throws in
            let page = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
                .appendingPathComponent("../../docs/guides/native-api.md")
            let text = try String(contentsOf: page, encoding: .utf8)
            let blocks = text.components(separatedBy: "```console\n").dropFirst().map {
                $0.components(separatedBy: "```")[0]
            }
            let shop = try Shop(database)
            let token = try Self.token(
                shop, "guide",
                [
                    "--store", "berlin", "--scope", "update_catalog", "--scope", "read_catalog", "--scope",
                    "manage_items", "--scope", "manage_notifications",
                ])
            var calls = 0
            for example in blocks.flatMap({ $0.components(separatedBy: "$ ").dropFirst() }) {
                let lines = example.components(separatedBy: "\n")
                let isCommand = { (line: String) in line.hasPrefix("curl ") || line.hasPrefix("    ") }
                let ended = try Program().start(
                    [
                        "-c",
                        lines.filter(isCommand).joined(separator: "\n").replacingOccurrences(
                            of: "curl ", with: "curl -sS "),
                    ],
                    environment: ["TOKEN": token, "API": "http://\(shop.address)/v1/stores/berlin"],
                    executable: "/bin/sh"
                ).wait()
                let shown = lines.filter { !$0.isEmpty && !isCommand($0) }.joined().components(separatedBy: "…")
                let answer = ended.out.filter { $0 != "\r" && $0 != "\n" && $0 != "\r\n" }
                #expect(ended.code == 0, "\(example): \(ended.err)")
                #expect(shown.allSatisfy { $0.isEmpty || answer.contains($0) }, "\(example): \(ended.out)")
                calls += 1
            }
            #expect(calls == 17)
            try shop.stop()
        }
    }
}
