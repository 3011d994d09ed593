import Foundation
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// Runs the examples of the guides to notifications: for merchants, and for developers.
@Suite("Guides to notifications", .timeLimit(.minutes(15))) struct NotificationDocsTests {
    private static let merchants = "docs/guides/notifications.md"
    private static let developers = "docs/guides/webhooks.md"

    private static func shop(_ database: TestDatabase) throws {
        try database.run(
            """
            INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold)
            VALUES ('berlin', 'shirt-m', 10, 5), ('berlin', 'mug', 8, NULL)
            """)
    }

    /// Runs the commands of a block as a shell does.
    private static func shell(_ block: String, _ database: TestDatabase) throws -> Program.Ended {
        let folder = URL(fileURLWithPath: Program.path).deletingLastPathComponent().path
        var program = Program(database)
        program.environment["PATH"] = "\(folder):/usr/bin:/bin"
        return try program.start(["-e", "-c", block], executable: "/bin/sh").wait()
    }

    @Test("every command of the merchants' page does what the page says") func merchantsPage() async throws {
        try await withDatabase { database in
            try Self.shop(database)
            let blocks = try ProducerDocsTests.blocks("sh", in: Self.merchants)
            #expect(blocks.count == 8)
            var out = ""
            for block in blocks {
                let ended = try Self.shell(block, database)
                #expect(ended.code == 0 && ended.err == "", "\(block): \(ended.err)")
                out += ended.out
            }
            #expect(out.contains("owner") && out.contains("stock.test"), "the list of deliveries: \(out)")
            let subscriptions = try database.rows(
                """
                SELECT concat_ws(' ', name, target, store_id, digest_window, digest_at, time_zone, disabled_at IS NULL)
                FROM stockq.list_subscriptions()
                """)
            #expect(
                subscriptions == [
                    "daily owner@example.com berlin 08:00:00 Europe/Berlin t",
                    "owner owner@example.com berlin 00:05:00 t",
                ])
            #expect(
                try database.rows("SELECT (p).* FROM stockq.alert_policy('berlin') AS p").first?.contains("00:00:00,3")
                    == true)
            // The default threshold is in force, and the snooze was ended.
            #expect(
                try database.value("SELECT low_stock_threshold FROM stockq.items WHERE item_id = 'mug'") == "5")
            #expect(
                try database.rows("SELECT until > now() FROM stockq.snoozes ORDER BY snooze_id") == ["t", "f"])
        }
    }

    /// The receiver of the page, with one of its two ways to verify.
    private static func receiver(_ way: Int, secret: String, _ database: String) throws -> Program.Running {
        let blocks = try ProducerDocsTests.blocks("python", in: developers)
        var program = Program()
        program.environment = [
            "PYTHONPATH": WebhookReceiver.pythonPath, "PYTHONUNBUFFERED": "1", "PORT": "0", "STOCK_SECRET": secret,
            "DATABASE": database,
        ]
        let text = ([blocks[way]] + blocks[2...3]).joined(separator: "\n")
        return try program.start(["python3", "-c", text], executable: "/usr/bin/env")
    }

    private static func port(_ running: Program.Running) throws -> String {
        #expect(eventually { running.outputText.contains("\n") }, "\(running.errorText)")
        return try #require(running.outputText.split(separator: "\n")[0].split(separator: " ").last.map(String.init))
    }

    /// What it did.
    private static func reactions(_ running: Program.Running) -> [String] {
        running.outputText.split(separator: "\n").dropFirst().map(String.init)
    }

    private static func post(_ body: String, to port: String) throws -> String {
        try Program().start(
            [
                "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "webhook-id: msg_1_99", "-H",
                "webhook-timestamp: \(Int(Date().timeIntervalSince1970))", "-H", "webhook-signature: v1,AAAA",
                "--data-raw", body, "http://127.0.0.1:\(port)/",
            ], executable: "/usr/bin/curl"
        ).wait().out
    }

    @Test(
        "the receiver of the developers' page verifies, drops doubles, and reacts to each event",
        arguments: [("the package", 0), ("plain code", 1)])
    func receiver(name: String, way: Int) async throws {
        try await withDatabase { database in
            let folder = NSTemporaryDirectory() + "stockq-\(UUID().uuidString)"
            defer { try? FileManager.default.removeItem(atPath: folder) }
            try Self.shop(database)
            let program = Program(database)
            let receiver = try Self.receiver(way, secret: WebhookReceiver.secret, folder)
            let port = try Self.port(receiver)
            for (name, events) in [("shop", ""), ("changes", ", events => '{stock.changed}'")] {
                try database.run(
                    """
                    SELECT stockq.add_subscription('\(name)', 'webhook', 'http://127.0.0.1:\(port)/',
                        secret => '\(WebhookReceiver.secret)'\(events))
                    """)
            }
            let workers = database.startWorkers { $0.allowPrivateTargets = true }
            for quantity in [-5, -5, 3, 6] as [Int64] {
                try database.enqueue(.adjust("shirt-m", quantity, store: "berlin"))
            }
            _ = try program.run(["subscriptions", "test", "shop"])
            let expected: Set = [
                "order more of shirt-m: 5 left", "stop the campaign for shirt-m", "write to those who wait for shirt-m",
                "shirt-m is above 5 again: 9", "show 5 of shirt-m, version 1", "show 0 of shirt-m, version 2",
                "show 3 of shirt-m, version 3", "show 9 of shirt-m, version 4", "a test",
            ]
            #expect(eventually { Self.reactions(receiver).count >= 9 }, "\(receiver.errorText)")
            #expect(Set(Self.reactions(receiver)) == expected)
            // What is not signed is refused, and what comes again is dropped.
            #expect(try Self.post(#"{"type":"stock.test","data":{}}"#, to: port) == "400")
            #expect(
                try program.run(["deliveries", "replay", "shop", "--since", "24h"]).out
                    == "shop: 4 deliveries → pending, due now\n")
            #expect(
                try eventually {
                    try database.value("SELECT count(*) FROM stockq.deliveries WHERE state <> 'delivered'") == "0"
                })
            #expect(Self.reactions(receiver).count == 9)

            // During a change of the secret the old one and the new one are accepted.
            let rotated = try Self.shell("stockq subscriptions rotate shop", database)
            let secret = rotated.out.trimmingCharacters(in: .newlines)
            let new = try Self.receiver(way, secret: secret, folder + ".new")
            defer { try? FileManager.default.removeItem(atPath: folder + ".new") }
            let newPort = try Self.port(new)
            for (port, receiver, count) in [(port, receiver, 10), (newPort, new, 1)] {
                try database.run(
                    "UPDATE stockq.subscriptions SET target = 'http://127.0.0.1:\(port)/' WHERE name = 'shop'")
                _ = try program.run(["subscriptions", "test", "shop"])
                #expect(eventually { Self.reactions(receiver).count == count }, "\(receiver.errorText)")
                #expect(Self.reactions(receiver).last == "a test")
            }
            try workers.stop()
        }
    }

    @Test("every command of the developers' page runs") func developersPage() async throws {
        try await withDatabase { database in
            try Self.shop(database)
            let blocks = try ProducerDocsTests.blocks("sh", in: Self.developers)
            #expect(blocks.count == 5)
            try database.enqueue(.adjust("shirt-m", -5, store: "berlin"))
            try database.drain()
            var out = ""
            for block in blocks {
                let ended = try Self.shell(block, database)
                #expect(ended.code == 0 && ended.err == "", "\(block): \(ended.err)")
                out += ended.out
            }
            let secrets = out.split(separator: "\n").filter { WebhookSignature.isSecret(String($0)) }
            #expect(secrets.count == 2 && out.contains("1 delivery → pending, due now\n"), "\(out)")
        }
    }

    @Test("the message on the developers' page has the fields of a message") func message() async throws {
        try await withDatabase { database in
            try Self.shop(database)
            let receiver = try WebhookReceiver()
            try database.run(
                """
                SELECT stockq.add_subscription('shop', 'webhook', '\(receiver.url("/ok"))',
                    secret => '\(WebhookReceiver.secret)')
                """)
            try database.enqueue(.adjust("shirt-m", -5, store: "berlin", reference: "order 1001"))
            let workers = database.startWorkers { $0.allowPrivateTargets = true }
            #expect(eventually { receiver.received.count == 1 })
            try workers.stop()
            let sent = try #require(receiver.received.first)
            let page = try #require(try ProducerDocsTests.blocks("json", in: Self.developers).first)
            let (message, example) = (try Self.fields(sent.body), try Self.fields(page))
            #expect(message == example)
        }
    }

    /// Names and values of a message; of its time only that it is one.
    private static func fields(_ json: String) throws -> NSDictionary {
        let object = try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any]
        var fields = try #require(object)
        let time = try #require(fields["timestamp"] as? String)
        #expect(time.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/) != nil, "\(time)")
        fields["timestamp"] = ""
        return fields as NSDictionary
    }

    @Test("the feed examples of the developers' page return what came, each once") func feeds() async throws {
        try await withDatabase { database in
            try Self.shop(database)
            try database.enqueue(.adjust("shirt-m", -5, store: "berlin"), .adjust("shirt-m", -5, store: "berlin"))
            try database.drain()
            let sql = try #require(try ProducerDocsTests.blocks("sql", in: Self.developers).first)
            let shown = try Program().start(
                ["-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-d", database.conninfo], input: Array(sql.utf8),
                executable: "/usr/bin/psql"
            ).wait()
            #expect(
                shown.out.split(separator: "\n").map { $0.split(separator: "|").dropFirst().joined(separator: " ") }
                    == ["low_stock shirt-m 5", "out_of_stock shirt-m 0"], "\(shown.err)")
            var program = Program(database)
            let cursor = NSTemporaryDirectory() + "stockq-\(UUID().uuidString)"
            defer { try? FileManager.default.removeItem(atPath: cursor) }
            program.environment["PYTHONPATH"] = WebhookReceiver.pythonPath
            program.environment["CURSOR"] = cursor
            let script = try ProducerDocsTests.blocks("python", in: Self.developers)[4]
            func read() throws -> Program.Ended {
                try program.start(["python3", "-c", script], executable: "/usr/bin/env").wait()
            }
            let first = try read()
            #expect(first.out == "low_stock shirt-m 5\nout_of_stock shirt-m 0\n", "\(first.err)")
            #expect(try read().out == "")
            try database.enqueue(.adjust("shirt-m", 9, store: "berlin"))
            try database.drain()
            #expect(try read().out == "back_in_stock shirt-m 9\n")
        }
    }
}
