import Foundation
import StockModel
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// Notifications on their way to subscriptions, with a receiver that checks signatures.
@Suite("Delivery", .timeLimit(.minutes(15))) struct DeliveryTests {
    /// Items `i0`, `i1`, … of a store, each two units above its threshold.
    private static func shop(_ database: TestDatabase, items: Int = 1, store: String = "s") throws {
        try database.run(
            """
            INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold)
            SELECT '\(store)', 'i' || n, 7, 5 FROM generate_series(0, \(items - 1)) AS n
            """)
    }

    private static func subscribe(
        _ database: TestDatabase, _ name: String, to url: String, _ more: String = ""
    ) throws {
        try database.run(
            """
            SELECT stockq.add_subscription('\(name)', 'webhook', \(quoteLiteral(url)),
                secret => '\(WebhookReceiver.secret)'\(more))
            """)
    }

    /// Workers that deliver to this machine and do not wait long.
    private static func workers(
        _ database: TestDatabase, _ change: (inout WorkerSettings) -> Void = { _ in }
    ) -> WorkersUnderTest {
        database.startWorkers { settings in
            settings.allowPrivateTargets = true
            settings.deliveryPollInterval = .milliseconds(20)
            settings.deliveryTimeout = .seconds(2)
            change(&settings)
        }
    }

    private static func deliveries(_ database: TestDatabase, _ columns: String) throws -> [String] {
        try database.rows("SELECT \(columns) FROM stockq.deliveries ORDER BY delivery_id")
    }

    @Test("a webhook is signed as the specification says, and says what happened to the item")
    func signedWebhook() async throws {
        try await withDatabase { database in
            let receiver = try WebhookReceiver()
            try Self.shop(database)
            try Self.subscribe(database, "shop", to: receiver.url("/ok"))
            try database.enqueue(.adjust("i0", -3, reference: "order 7"))
            let workers = Self.workers(database)
            #expect(eventually { receiver.received.count == 1 })
            let message = try #require(receiver.received.first)
            #expect(message.verified && message.event == "stock.low" && message.id == "msg_1_1")
            struct Body: Decodable {
                struct Content: Decodable {
                    struct Cause: Decodable {
                        var reference: String?
                    }
                    var available: Int
                    var version: Int
                    var cause: Cause
                }
                var timestamp: String
                var data: Content
            }
            let body = try JSONDecoder().decode(Body.self, from: Data(message.body.utf8))
            #expect(body.data.available == 4 && body.data.version == 1 && body.data.cause.reference == "order 7")
            #expect(try eventually { try Self.deliveries(database, "state, attempts") == ["delivered,1"] })
            try workers.stop()
        }
    }

    @Test("a subscription gets the events, the store and the prefixes that it asked for")
    func filters() async throws {
        try await withDatabase { database in
            let receiver = try WebhookReceiver()
            try Self.shop(database, items: 11)
            try Self.shop(database, store: "other")
            try Self.subscribe(database, "all", to: receiver.url("/all"))
            try Self.subscribe(database, "out", to: receiver.url("/out"), ", events => '{stock.out}'")
            try Self.subscribe(database, "store", to: receiver.url("/store"), ", store_id => 'other'")
            try Self.subscribe(database, "items", to: receiver.url("/items"), ", item_prefix => 'i1'")
            try database.enqueue(.adjust("i0", -3), .adjust("i0", -4), .adjust("i1", -3), .adjust("i10", -3))
            try database.enqueue(.adjust("i0", -3, store: "other"))
            let workers = Self.workers(database)
            #expect(
                try eventually { try Self.deliveries(database, "state") == Array(repeating: "delivered", count: 9) })
            let counts = Dictionary(grouping: receiver.received, by: \.path).mapValues(\.count)
            #expect(counts == ["/all": 5, "/out": 1, "/store": 1, "/items": 2])
            try workers.stop()
        }
    }

    @Test("an item's messages come in order, and a failed one holds back those of its item alone")
    func order() async throws {
        try await withDatabase { database in
            let receiver = try WebhookReceiver()
            try Self.shop(database, items: 2)
            try Self.subscribe(database, "shop", to: receiver.url("/fail-once"))
            for _ in 0..<3 { try database.enqueue(.adjust("i0", -3), .adjust("i0", 3)) }
            let workers = Self.workers(database)
            #expect(eventually { receiver.received.count == 1 })
            #expect(
                try eventually {
                    try database.value("SELECT count(*) FROM stockq.deliveries WHERE attempts = 1") == "1"
                })
            try database.enqueue(.adjust("i1", -3))
            #expect(eventually { receiver.received.contains { $0.body.contains(#""item_id" : "i1""#) } })
            // The first of i0 is tried again after 5 s, then each in turn.
            #expect(eventually(seconds: 60) { Set(receiver.received.map(\.id)).count >= 2 })
            try workers.stop()
            let versions = try database.rows(
                """
                SELECT item_id, bool_and(finished_at IS NOT NULL OR state = 'pending') FROM stockq.deliveries
                GROUP BY item_id ORDER BY item_id
                """)
            #expect(versions == ["i0,t", "i1,t"])
            let ids = receiver.received.filter { $0.body.contains(#""item_id" : "i0""#) }.map {
                Int($0.id.split(separator: "_")[2])!
            }
            #expect(ids == ids.sorted(), "\(ids)")
        }
    }

    @Test(
        "an answer that is no success is a failure that says why, and the next attempt is due later",
        arguments: [
            ("/fail", "the answer was 500", 4...6),
            ("/redirect", "the answer was the redirect 302, and redirects are not followed", 4...6),
            ("/busy", "the answer was 503", 110...121), ("/huge", "the answer has more than 64 KiB", 4...6),
            ("/slow", "no complete answer within 1s", 3...6), ("/endless", "no complete answer within 1s", 3...6),
        ])
    func failures(path: String, error: String, seconds: ClosedRange<Int>) async throws {
        try await withDatabase { database in
            let receiver = try WebhookReceiver()
            try Self.shop(database)
            try Self.subscribe(database, "shop", to: receiver.url(path))
            try database.enqueue(.adjust("i0", -3))
            let workers = Self.workers(database) { $0.deliveryTimeout = .seconds(1) }
            #expect(try eventually { try Self.deliveries(database, "last_error IS NOT NULL") == ["t"] })
            #expect(try Self.deliveries(database, "last_error") == [error])
            let wait = try database.value(
                "SELECT ceil(extract(epoch FROM next_attempt_at - now()))::int FROM stockq.deliveries")
            #expect(seconds.contains(Int(wait) ?? -1), "\(wait) s")
            #expect(try Self.deliveries(database, "state") == ["pending"])
            #expect(!receiver.received.contains { $0.path == "/ok" })
            try workers.stop()
        }
    }

    @Test("an answer with endless header fields is a failure, and ends at a limit") func endlessHeader() async throws {
        try await withDatabase { database in
            let receiver = try WebhookReceiver()
            try Self.shop(database)
            try Self.subscribe(database, "shop", to: receiver.url("/headers"))
            try database.enqueue(.adjust("i0", -3))
            // Its 1 GiB would take longer than this.
            let workers = Self.workers(database) { $0.deliveryTimeout = .seconds(10) }
            #expect(try eventually { try Self.deliveries(database, "last_error IS NOT NULL, state") == ["t,pending"] })
            try workers.stop()
        }
    }

    @Test("a receiver that never answers delays no other subscription") func slowReceiver() async throws {
        try await withDatabase { database in
            let receiver = try WebhookReceiver()
            try Self.shop(database, items: 60)
            try Self.subscribe(database, "slow", to: receiver.url("/slow"))
            try Self.subscribe(database, "shop", to: receiver.url("/ok"))
            for item in 0..<60 { try database.enqueue(.adjust("i\(item)", -3)) }
            let workers = Self.workers(database) {
                ($0.deliveryTimeout, $0.deliveriesAtOnceEach) = (.seconds(15), 8)
            }
            #expect(eventually(seconds: 10) { receiver.received.count { $0.path == "/ok" } == 60 })
            try workers.stop()
        }
    }

    @Test(
        "a name or an address inside the network gets no message unless a setting allows it",
        arguments: [
            "http://127.0.0.1:PORT/ok", "http://localhost:PORT/ok", "https://[::1]:PORT/ok", "http://0x7f000001:PORT/",
        ])
    func privateTargets(target: String) async throws {
        try await withDatabase { database in
            let receiver = try WebhookReceiver()
            try Self.shop(database)
            try Self.subscribe(
                database, "shop", to: target.replacingOccurrences(of: "PORT", with: "\(receiver.port)"))
            try database.enqueue(.adjust("i0", -3))
            let workers = Self.workers(database) { $0.allowPrivateTargets = false }
            #expect(
                try eventually {
                    try Self.deliveries(
                        database, "last_error LIKE '%is not public; the setting allowPrivateTargets allows it'")
                        == ["t"]
                })
            try workers.stop()
            #expect(receiver.received.isEmpty)
        }
    }

    @Test(
        "an address is public or not as the registries say",
        arguments: [
            ("1.1.1.1", true), ("172.15.255.255", true), ("172.16.0.1", false), ("10.1.2.3", false),
            ("169.254.169.254", false), ("100.64.0.1", false), ("192.168.0.1", false), ("224.0.0.1", false),
            ("255.255.255.255", false), ("0.0.0.0", false), ("2606:4700::1", true), ("::1", false), ("fe80::1", false),
            ("fd00::1", false), ("::ffff:10.0.0.1", false), ("::ffff:1.1.1.1", true), ("2002:0a00:0001::", false),
            ("64:ff9b::a00:1", false), ("2001:db8::1", false), ("2001::1", false), ("2001:4860::1", true),
        ])
    func addresses(text: String, isPublic: Bool) throws {
        let addresses = try TargetAddress.resolve(text)
        #expect(addresses.count == 1 && addresses[0].isPublic == isPublic)
    }

    @Test("a receiver that wants nothing more, and one that failed for too long, are disabled with an event")
    func disabling() async throws {
        try await withDatabase { database in
            let receiver = try WebhookReceiver()
            try Self.shop(database)
            try Self.subscribe(database, "gone", to: receiver.url("/gone"))
            try Self.subscribe(database, "failing", to: receiver.url("/fail"))
            try database.run(
                "UPDATE stockq.subscriptions SET failing_since = now() - interval '6 days' WHERE name = 'failing'")
            try database.enqueue(.adjust("i0", -3))
            let workers = Self.workers(database)
            for (name, reason) in [("gone", "the answer was 410"), ("failing", "the answer was 500")] {
                #expect(
                    workers.events.wait {
                        if case .subscriptionDisabled(let event) = $0 {
                            event.name == name && event.reason.hasSuffix(reason)
                        } else {
                            false
                        }
                    })
            }
            try database.enqueue(.adjust("i0", -4))
            #expect(
                try database.value("SELECT count(*) FROM stockq.operations WHERE verb = 'subscriptions disable'") == "2"
            )
            #expect(
                try database.value("SELECT count(*) FROM stockq.list_subscriptions() WHERE disabled_at IS NOT NULL")
                    == "2")
            try workers.stop()
        }
    }

    @Test("messages are signed with both secrets during a change of the secret") func rotation() async throws {
        try await withDatabase { database in
            let receiver = try WebhookReceiver()
            try Self.shop(database)
            try Self.subscribe(database, "old", to: receiver.url("/ok"))
            try Self.subscribe(database, "new", to: receiver.url("/rotated"))
            for name in ["old", "new"] {
                try database.run("SELECT stockq.rotate_subscription_secret('\(name)', '\(WebhookReceiver.newSecret)')")
            }
            try database.enqueue(.adjust("i0", -3))
            let workers = Self.workers(database)
            #expect(eventually { receiver.received.count == 2 })
            #expect(receiver.received.allSatisfy { $0.verified && $0.signatures == 2 })
            try workers.stop()
        }
    }

    @Test("every change comes in order, at most 100 in a message") func everyChange() async throws {
        try await withDatabase { database in
            let receiver = try WebhookReceiver()
            try database.run("INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 5000)")
            try Self.subscribe(
                database, "shop", to: receiver.url("/ok"), ", store_id => 's', events => '{stock.changed}'")
            try database.enqueue(249, of: .adjust("a", -1))
            try database.run(
                """
                SELECT stockq.enqueue(
                    's', 'a', -1, reference => 'order 7', reason => 'damaged', actor => 'till 2',
                    occurred_at => '2026-03-01 12:00:00.25+01', metadata => '{"box": null}')
                """)
            let workers = Self.workers(database)
            #expect(eventually { receiver.received.count == 3 })
            let kept = """
                "reference":"order7","reason":"damaged","actor":"till2","occurred_at":"2026-03-01T11:00:00.250000Z",\
                "metadata":{"box":null}
                """
            let last = try #require(receiver.received.last?.body).replacing(" ", with: "")
            #expect(last.contains(kept), "\(last)")
            struct Body: Decodable {
                struct Content: Decodable {
                    struct Change: Decodable { var version: Int }
                    var changes: [Change]
                }
                var data: Content
            }
            let pages = try receiver.received.map {
                try JSONDecoder().decode(Body.self, from: Data($0.body.utf8)).data.changes.map(\.version)
            }
            #expect(pages.map(\.count) == [100, 100, 50] && pages.flatMap { $0 } == Array(1...250))
            try workers.stop()
        }
    }

    @Test("every notification arrives when the deliverer is killed again and again, and none is invented")
    func kills() async throws {
        try await withDatabase { database in
            let receiver = try WebhookReceiver()
            try Self.shop(database, items: 300)
            try Self.subscribe(database, "shop", to: receiver.url("/ok"))
            for item in 0..<300 { try database.enqueue(.adjust("i\(item)", -3), .adjust("i\(item)", -4)) }
            try database.drain()
            let arguments = [
                "deliver", "--set", "allowPrivateTargets=true", "--set", "deliveryTimeout=3s", "--set",
                "callTimeout=1s", "--set", "deliveriesAtOnceEach=4",
            ]
            for _ in 0..<4 {
                let count = receiver.received.count
                let deliverer = try Program(database).start(arguments)
                #expect(eventually { receiver.received.count >= min(600, count + 60) })
                deliverer.send(SIGKILL)
                _ = try deliverer.wait()
            }
            let deliverer = try Program(database).start(arguments)
            #expect(eventually(seconds: 60) { Set(receiver.received.map(\.id)).count == 600 })
            #expect(
                try eventually(seconds: 30) {
                    try database.value("SELECT count(*) FROM stockq.deliveries WHERE state <> 'delivered'") == "0"
                })
            deliverer.send(SIGTERM)
            #expect(try deliverer.wait().code == 0)
            let ids = try database.rows("SELECT 'msg_1_' || notification_id FROM stockq.notifications")
            #expect(Set(receiver.received.map(\.id)) == Set(ids))
            // The first arrivals of an item's messages are in order.
            var last: [String: Int] = [:]
            var seen: Set<String> = []
            for message in receiver.received where seen.insert(message.id).inserted {
                let item = message.body.components(separatedBy: #""item_id" : ""#)[1].prefix { $0 != "\"" }
                let id = Int(message.id.split(separator: "_")[2])!
                #expect(last[String(item), default: 0] < id)
                last[String(item)] = id
            }
        }
    }

    @Test("a dead delivery is tried again on demand, and a replay sends old notifications with their old ids")
    func retryAndReplay() async throws {
        try await withDatabase { database in
            let receiver = try WebhookReceiver()
            try Self.shop(database)
            try database.enqueue(.adjust("i0", -3))
            try database.drain()
            try Self.subscribe(database, "shop", to: receiver.url("/ok"))
            try Self.subscribe(database, "failing", to: receiver.url("/fail"))
            try database.enqueue(.adjust("i0", -4))
            let program = Program(database)
            let workers = Self.workers(database)
            #expect(
                try eventually {
                    try database.value("SELECT count(*) FROM stockq.deliveries WHERE last_error IS NOT NULL") == "1"
                })
            #expect(receiver.received.count { $0.path == "/ok" } == 1, "only what came after the subscription")
            try database.run(
                "UPDATE stockq.deliveries SET state = 'dead', finished_at = now() WHERE last_error IS NOT NULL")
            #expect(try program.run(["stats"]).out.contains("dead     1"))
            #expect(
                try program.run(["deliveries", "retry", "--subscription", "failing"]).out
                    == "1 delivery: 1 dead → pending, due now\n")
            #expect(eventually { receiver.received.count { $0.path == "/fail" } == 2 })
            #expect(
                try program.run(["deliveries", "replay", "shop", "--since", "1h"]).out
                    == "shop: 2 deliveries → pending, due now\n")
            #expect(
                eventually {
                    receiver.received.filter { $0.path == "/ok" }.map(\.id) == ["msg_1_2", "msg_1_1", "msg_1_2"]
                })
            try workers.stop()
        }
    }

    @Test("the command line adds, lists, tests, disables, enables and removes a subscription") func commands()
        async throws
    {
        try await withDatabase { database in
            let receiver = try WebhookReceiver()
            let program = Program(database)
            let added = try program.run([
                "subscriptions", "add", "shop", "--webhook", receiver.url("/ok"), "--store", "s",
            ])
            #expect(
                added.code == 0 && WebhookSignature.isSecret(added.out.trimmingCharacters(in: .newlines)),
                "\(added.err)")
            let again = try program.run(["subscriptions", "add", "shop", "--webhook", "http://x/"])
            #expect(again.code == 1 && again.err.contains("there is a subscription 'shop' already"))
            #expect(try program.run(["subscriptions", "test", "shop"]).out == "delivery 1\n")
            let workers = Self.workers(database)
            #expect(eventually { receiver.received.map(\.event) == ["stock.test"] })
            try workers.stop()
            #expect(
                try program.run(["subscriptions", "disable", "shop"]).out
                    == "shop: enabled → disabled (by an administrator)\n")
            #expect(try program.run(["subscriptions", "list"]).out.contains("disabled: by an administrator"))
            #expect(
                try program.run(["subscriptions", "enable", "shop"]).out
                    == "shop: disabled (by an administrator) → enabled\n")
            #expect(try program.run(["subscriptions", "enable", "shop"]).out == "shop: enabled already\n")
            let secret = try program.run(["subscriptions", "rotate", "shop"]).out.trimmingCharacters(in: .newlines)
            let list = try program.run(["subscriptions", "list", "--json"]).out
            #expect(!list.contains("whsec_") && !list.contains(secret))
            #expect(
                try program.run(["deliveries", "list", "--state", "delivered", "--json"]).out.contains(
                    #""event":"stock.test""#))
            #expect(try program.run(["subscriptions", "remove", "shop"]).out == "shop: enabled → removed\n")
            #expect(
                try program.run(["subscriptions", "remove", "shop"]).err.contains("there is no subscription 'shop'"))
        }
    }

    @Test("a worker's role delivers, and neither it nor a reader sees a secret") func roles() async throws {
        try await withDatabase { database in
            let receiver = try WebhookReceiver()
            try Self.shop(database)
            try Self.subscribe(database, "shop", to: receiver.url("/ok"))
            try database.enqueue(.adjust("i0", -3))
            let role = "deliverer_of_\(database.name)"
            try database.run("CREATE ROLE \(role) LOGIN IN ROLE stockq_worker")
            defer { try? database.run("DROP OWNED BY \(role); DROP ROLE \(role)") }
            var settings = WorkerSettings()
            settings.allowPrivateTargets = true
            let workers = WorkersUnderTest(database.settings(as: role), settings: settings)
            #expect(eventually { receiver.received.count == 1 && receiver.received[0].verified })
            try workers.stop()
            let reader = "reader_of_\(database.name)"
            try database.run("CREATE ROLE \(reader) LOGIN IN ROLE stockq_reader")
            defer { try? database.run("DROP OWNED BY \(reader); DROP ROLE \(reader)") }
            #expect(try database.rows("SELECT * FROM stockq.subscriptions", database.connect(as: reader)).isEmpty)
            #expect(throws: PostgresError.self) {
                try database.rows("SELECT * FROM stockq.subscriptions", database.connect(as: role))
            }
        }
    }
}
