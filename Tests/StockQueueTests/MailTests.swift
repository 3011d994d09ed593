import Foundation
import StockModel
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// Mail and programs as receivers of notifications.
@Suite("Mail and programs", .timeLimit(.minutes(15))) struct MailTests {
    /// A folder that is removed at the end of a test, with programs in it.
    private struct Folder {
        let path: String

        init() throws {
            path = NSTemporaryDirectory() + "stockq-\(UUID().uuidString)"
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        }

        func remove() { try? FileManager.default.removeItem(atPath: path) }

        /// A shell script that the deliverer can run.
        func script(_ name: String, _ text: String) throws {
            let file = "\(path)/\(name)"
            try "#!/bin/sh\n\(text)\n".write(toFile: file, atomically: true, encoding: .utf8)
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: file)
        }

        func files(_ ending: String) -> [String] {
            ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).filter { $0.hasSuffix(ending) }
                .sorted()
        }

        /// Waits until another process reads it.
        func write(_ text: String, toPipe name: String) throws {
            let pipe = try #require(FileHandle(forWritingAtPath: "\(path)/\(name)"))
            try pipe.write(contentsOf: Data(text.utf8))
            try pipe.close()
        }

        /// Waits until another process has written it.
        func readPipe(_ name: String) throws -> String {
            let pipe = try #require(FileHandle(forReadingAtPath: "\(path)/\(name)"))
            defer { try? pipe.close() }
            return String(decoding: try pipe.readToEnd() ?? Data(), as: UTF8.self)
        }

        func text(_ name: String) -> String { (try? String(contentsOfFile: "\(path)/\(name)", encoding: .utf8)) ?? "" }
    }

    private static func shop(_ database: TestDatabase, items: Int = 1) throws {
        try database.run(
            """
            INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold)
            SELECT 's', 'i' || n, 7, 5 FROM generate_series(0, \(items - 1)) AS n
            """)
    }

    /// A mail as Python's parser reads it: the header fields, and the two parts.
    private struct Parsed: Decodable {
        var fields: [String: String]
        var text: String
        var html: String
    }

    private static func parse(_ message: String) throws -> Parsed {
        let script = """
            import email, email.policy, json, sys
            m = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
            print(json.dumps({"fields": {k: str(v) for k, v in m.items()},
                "text": m.get_body(("plain",)).get_content(), "html": m.get_body(("html",)).get_content()}))
            """
        let ended = try Program().start(
            ["python3", "-c", script], input: Array(message.utf8), executable: "/usr/bin/env"
        ).wait()
        return try JSONDecoder().decode(Parsed.self, from: Data(ended.out.utf8))
    }

    @Test("500 crossings within the window are one mail, which names items, what is left and what took it")
    func digest() async throws {
        try await withDatabase { database in
            let folder = try Folder()
            defer { folder.remove() }
            try folder.script("sendmail", "echo \"$@\" > \(folder.path)/arguments; cat > \(folder.path)/$$.eml")
            try Self.shop(database, items: 500)
            let added = try Program(database).run(
                ["subscriptions", "add", "owner", "--mail", "owner@example.com", "--digest-window", "2s"])
            #expect(added.out == "added\n", "\(added.err)")
            try database.enqueue((0..<500).map { .adjust("i\($0)", -3, reference: "order \($0)") })
            let workers = database.startWorkers { settings in
                settings.deliveryPollInterval = .milliseconds(20)
                settings.sendmail = "\(folder.path)/sendmail"
                settings.mailFrom = "shop@example.com"
                settings.dashboardURL = "https://example.com/stock"
            }
            #expect(
                try eventually {
                    try database.value("SELECT count(*) FROM stockq.deliveries WHERE state = 'delivered'") == "500"
                })
            try workers.stop()
            #expect(folder.files(".eml").count == 1 && folder.text("arguments") == "-t -i\n")
            let mail = try Self.parse(folder.text(folder.files(".eml")[0]))
            #expect(mail.fields["To"] == "owner@example.com" && mail.fields["From"] == "shop@example.com")
            #expect(mail.fields["Subject"] == "Stock: 500 notifications")
            for part in [mail.text, mail.html] {
                #expect(part.contains("i499 (store s) is low: 4 left"))
                #expect(part.contains("by adjust -3, order 499"))
                #expect(part.contains("https://example.com/stock"))
            }
        }
    }

    /// The mailer has accepted the mail when the deliverer is killed, so nothing says that it was sent.
    @Test("a mail whose deliverer was killed is sent once more, as the same digest, and newer notifications on theirs")
    func killedDeliverer() async throws {
        try await withDatabase { database in
            let folder = try Folder()
            defer { folder.remove() }
            // The first time the mailer keeps its process until the test writes the deliverer's id.
            try folder.script(
                "sendmail",
                """
                cd \(folder.path); cat > $$.part; mv $$.part $(ls *.eml 2>/dev/null | wc -l).eml
                if mkdir first 2>/dev/null; then read id < deliverer; kill -9 $id; fi
                """)
            #expect(mkfifo("\(folder.path)/deliverer", 0o600) == 0)
            try Self.shop(database, items: 9)
            try database.run("SELECT stockq.add_subscription('owner', 'mail', 'owner@example.com')")
            let program = Program(database)
            let arguments = [
                "deliver", "--log-level", "error", "--set", "sendmail=\(folder.path)/sendmail",
                "--set", "deliveryPollInterval=20ms",
            ]
            try database.enqueue((0..<7).map { .adjust("i\($0)", -3) })
            try database.drain()
            let killed = try program.start(arguments)
            try folder.write("\(killed.processID)\n", toPipe: "deliverer")
            #expect(try killed.wait().code == -SIGKILL)
            #expect(folder.files(".eml") == ["0.eml"])
            let states =
                "SELECT state, attempts, count(*) FROM stockq.deliveries GROUP BY state, attempts ORDER BY 1, 2"
            #expect(try database.rows(states) == ["pending,1,7"])

            // While the claim counts, no other deliverer sends these. What is new does not wait for them.
            try database.enqueue((7..<9).map { .adjust("i\($0)", -3) })
            try database.drain()
            let next = try program.start(arguments)
            #expect(try eventually { try database.rows(states) == ["delivered,1,2", "pending,1,7"] })
            #expect(folder.files(".eml") == ["0.eml", "1.eml"])
            // Its time is over.
            try database.run("UPDATE stockq.deliveries SET next_attempt_at = now() WHERE state = 'pending'")
            #expect(try eventually { try database.rows(states) == ["delivered,1,2", "delivered,2,7"] })
            next.send(SIGTERM)
            #expect(try next.wait().code == 0)

            let mails = try folder.files(".eml").map { try Self.parse(folder.text($0)) }
            #expect(mails.count == 3)
            #expect(mails.map { $0.fields["Subject"] } == [7, 2, 7].map { "Stock: \($0) notifications" })
            // The receiver's mail program may know that it is the same.
            #expect(mails[2].fields["Message-ID"] == mails[0].fields["Message-ID"] && mails[2].text == mails[0].text)
            #expect(mails[1].fields["Message-ID"] != mails[0].fields["Message-ID"])
        }
    }

    @Test("a mail whose deliverer lost its connection meanwhile is not sent again") func lostConnection() async throws {
        try await withDatabase { database in
            let folder = try Folder()
            defer { folder.remove() }
            try folder.script(
                "sendmail", "cd \(folder.path); cat > $$.eml; echo accepted > accepted; read word < answer")
            for name in ["accepted", "answer"] { #expect(mkfifo("\(folder.path)/\(name)", 0o600) == 0) }
            try Self.shop(database, items: 5)
            try database.run("SELECT stockq.add_subscription('owner', 'mail', 'owner@example.com')")
            try database.enqueue((0..<5).map { .adjust("i\($0)", -3) })
            let workers = database.startWorkers { settings in
                settings.deliveryPollInterval = .milliseconds(20)
                settings.sendmail = "\(folder.path)/sendmail"
            }
            #expect(try folder.readPipe("accepted") == "accepted\n")
            let ended = try database.value(
                """
                SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name LIKE '% deliverer'
                """)
            #expect(ended == "1")
            try folder.write("go on\n", toPipe: "answer")
            #expect(
                try eventually {
                    try database.value("SELECT count(*) FROM stockq.deliveries WHERE state = 'delivered'") == "5"
                })
            try workers.stop()
            #expect(folder.files(".eml").count == 1)
            #expect(try database.value("SELECT max(attempts) FROM stockq.deliveries") == "1")
        }
    }

    @Test("quotes, line breaks and other alphabets in names add no header field and no HTML")
    func injection() throws {
        let name = "evil\r\nBcc: victim@example.com\r\n\r\n<script>\"'&茶 \u{1F375}"
        var message = MailMessage(to: "owner@example.com", messageID: "msg_1_1", subscription: name)
        message.lines = [
            .init(
                event: "stock.low", store: name, item: name, location: name, available: 1, threshold: 2, cause: name,
                at: Timestamp(Date()))
        ]
        let text = message.text(date: Date())
        let mail = try Self.parse(text)
        #expect(
            Set(mail.fields.keys) == [
                "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type",
            ])
        #expect(mail.fields["To"] == "owner@example.com")
        #expect(mail.text.contains("茶 \u{1F375}"))
        #expect(!mail.html.contains("<script>") && mail.html.contains("&lt;script&gt;&quot;&#39;&amp;茶"))
        #expect(
            text.utf8.allSatisfy { $0 < 0x80 }
                && text.components(separatedBy: "\r\n").allSatisfy { $0.utf8.count <= 78 })
    }

    @Test(
        "a text that is not one address is refused",
        arguments: [
            "", "owner", "a@b@c", "a@b\r\nBcc: c@d", "a@b, c@d", "-oQ/tmp@x", "a b@c", "a@", "@b", "<a@b>", "ä@b",
        ])
    func noAddress(text: String) { #expect(!MailMessage.isAddress(text)) }

    @Test("a daily digest comes at the local time, across a change of summer time")
    func localTime() async throws {
        try await withDatabase { database in
            let times = [
                ("2026-03-28 12:00Z", "2026-03-29 06:00:00+00"), ("2026-03-27 12:00Z", "2026-03-28 07:00:00+00"),
                ("2026-10-24 12:00Z", "2026-10-25 07:00:00+00"), ("2026-10-24 05:59Z", "2026-10-24 06:00:00+00"),
                ("2026-10-24 06:00Z", "2026-10-25 07:00:00+00"),
            ]
            for (now, due) in times {
                let found = try database.value("SELECT stockq.next_digest('08:00', 'Europe/Berlin', '\(now)')")
                #expect(found == due)
            }
        }
    }

    @Test(
        "one digest a day comes, also at a time of day that a change of summer time leaves out or repeats",
        arguments: [
            // 02:30 is left out in the night to 29 March, and comes twice in that to 25 October.
            ("02:30", "Europe/Berlin", "2026-03-27 12:00Z", ["03-28 01:30", "03-29 01:30", "03-30 00:30"]),
            ("02:30", "Europe/Berlin", "2026-10-23 12:00Z", ["10-24 00:30", "10-25 01:30", "10-26 01:30"]),
            ("00:00", "America/Santiago", "2026-09-04 12:00Z", ["09-05 04:00", "09-06 04:00", "09-07 03:00"]),
            ("23:59", "Pacific/Kiritimati", "2026-12-30 12:00Z", ["12-31 09:59", "01-01 09:59", "01-02 09:59"]),
        ])
    func oneADay(time: String, zone: String, from: String, due: [String]) async throws {
        try await withDatabase { database in
            let found = try database.value(
                """
                WITH RECURSIVE digest AS (
                    SELECT stockq.next_digest('\(time)', '\(zone)', '\(from)') AS due, 1 AS number
                    UNION ALL
                    SELECT stockq.next_digest('\(time)', '\(zone)', due), number + 1 FROM digest
                    WHERE number < \(due.count)
                )
                SELECT string_agg(to_char(due AT TIME ZONE 'UTC', 'MM-DD HH24:MI'), '; ' ORDER BY number) FROM digest
                """)
            #expect(found == due.joined(separator: "; "))
        }
    }

    @Test("a daily digest lists what is low or out now, also an item that was created low")
    func dailyDigest() async throws {
        try await withDatabase { database in
            let folder = try Folder()
            defer { folder.remove() }
            try folder.script("sendmail", "cat > \(folder.path)/$$.eml")
            try Self.shop(database, items: 2)
            try database.run("INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'born-out', 0)")
            let added = try Program(database).run(
                [
                    "subscriptions", "add", "owner", "--mail", "owner@example.com", "--daily", "08:00", "--time-zone",
                    "Europe/Berlin",
                ])
            #expect(added.out == "added\n", "\(added.err)")
            try database.enqueue(.adjust("i0", -3))
            let workers = database.startWorkers { settings in
                settings.deliveryPollInterval = .milliseconds(20)
                settings.sendmail = "\(folder.path)/sendmail"
            }
            #expect(try eventually { try database.value("SELECT count(*) FROM stockq.deliveries") == "1" })
            #expect(folder.files(".eml").isEmpty)
            try database.run("UPDATE stockq.subscriptions SET next_digest_at = now()")
            #expect(eventually { folder.files(".eml").count == 1 })
            #expect(
                try eventually {
                    try database.value("SELECT count(*) FROM stockq.deliveries WHERE state = 'delivered'") == "2"
                })
            try workers.stop()
            let text = try Self.parse(folder.text(folder.files(".eml")[0])).text
            let parts = text.components(separatedBy: "Low or out now:")
            #expect(parts[0].contains("i0 (store s) is low: 4 left"))
            #expect(parts[1].contains("born-out (store s): 0") && parts[1].contains("i0 (store s): 4, threshold 5"))
            #expect(!parts[1].contains("i1 "))
            #expect(try database.value("SELECT next_digest_at > now() FROM stockq.subscriptions") == "t")
        }
    }

    /// msmtp reads the recipients from the header, so a `Bcc` that got there would be one.
    @Test(
        "a mail reaches an SMTP server through msmtp, and its one recipient alone, whatever the item's name",
        arguments: [
            "i0", "Bcc: victim@example.com", "\"<script>'&\\, <victim@example.com>", "茶 \u{1F375} Ωμέγα=?utf-8?q?x?=",
        ])
    func smtp(item: String) async throws {
        try await withDatabase { database in
            let folder = try Folder()
            defer { folder.remove() }
            var sink = Program()
            sink.environment["PYTHONPATH"] = WebhookReceiver.pythonPath
            let script = """
                import asyncio, sys
                from aiosmtpd.controller import Controller

                class Handler:
                    async def handle_DATA(self, server, session, envelope):
                        print("MAIL", envelope.mail_from, envelope.rcpt_tos, flush=True)
                        # Anything else than ASCII is in encoded words and parts.
                        print(envelope.content.decode("ascii"), flush=True)
                        return "250 OK"

                controller = Controller(Handler(), hostname="127.0.0.1", port=0)
                async def main():
                    server = await asyncio.get_running_loop().create_server(controller.factory, "127.0.0.1", 0)
                    print("PORT", server.sockets[0].getsockname()[1], flush=True)
                    await server.serve_forever()
                asyncio.run(main())
                """
            let running = try sink.start(["python3", "-c", script], executable: "/usr/bin/env")
            #expect(eventually { running.outputText.contains("\n") }, "\(running.errorText)")
            let port = running.outputText.split(separator: "\n")[0].split(separator: " ")[1]
            try folder.script("sendmail", "exec msmtp --host=127.0.0.1 --port=\(port) --from=shop@example.com \"$@\"")
            try Self.shop(database)
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', \(quoteLiteral(item)), 7)
                ON CONFLICT DO NOTHING
                """)
            _ = try Program(database).run(
                ["subscriptions", "add", "owner", "--mail", "owner@example.com", "--digest-window", "1s"])
            try database.enqueue(.adjust(item, -7))
            let workers = database.startWorkers { settings in
                settings.deliveryPollInterval = .milliseconds(20)
                settings.sendmail = "\(folder.path)/sendmail"
            }
            #expect(
                eventually { running.outputText.contains("MAIL shop@example.com ['owner@example.com']") },
                "\(running.errorText)")
            try workers.stop()
            #expect(running.outputText.components(separatedBy: "MAIL ").count == 2)
            let message = running.outputText.split(separator: "\n", omittingEmptySubsequences: false).dropFirst(2)
            let mail = try Self.parse(message.joined(separator: "\n"))
            #expect(mail.fields["Bcc"] == nil && mail.fields["To"] == "owner@example.com")
            #expect(mail.fields["Subject"]?.contains("out of stock") == true, "\(mail.fields)")
            #expect(mail.text.contains("0 left") || mail.text.contains("out of stock"), "\(mail.text)")
            #expect(
                try database.rows("SELECT state, coalesce(last_error, '') FROM stockq.deliveries") == ["delivered,"])
        }
    }

    @Test("a program gets the message on standard input, and its exit code is the answer") func command() async throws {
        try await withDatabase { database in
            let folder = try Folder()
            defer { folder.remove() }
            try folder.script("good", "cat > \(folder.path)/$2.json")
            try folder.script("bad", "echo out of paper >&2; exit 3")
            try folder.script("slow", "sleep 60")
            try Self.shop(database)
            for program in ["good", "bad", "slow", "missing", "../bad"] {
                try database.run("SELECT stockq.add_subscription('\(program)', 'command', '\(program)')")
            }
            try database.enqueue(.adjust("i0", -3))
            let workers = database.startWorkers { settings in
                settings.deliveryPollInterval = .milliseconds(20)
                settings.deliveryTimeout = .seconds(1)
                settings.commandFolder = folder.path
            }
            #expect(
                try eventually {
                    try database.value("SELECT count(*) FROM stockq.deliveries WHERE claim_id IS NULL AND attempts > 0")
                        == "5"
                })
            try workers.stop()
            let ends = try database.rows(
                """
                SELECT name, state, coalesce(last_error, '') FROM stockq.deliveries
                JOIN stockq.subscription_names() USING (subscription_id) ORDER BY subscription_id
                """)
            #expect(ends[0] == "good,delivered,")
            #expect(ends[1] == "bad,pending,bad ended with 3: out of paper")
            #expect(ends[2] == "slow,pending,slow did not end within 1s")
            #expect(ends[3].hasPrefix("missing,pending,missing could not be started: "))
            #expect(ends[4] == "../bad,pending,../bad is not the name of a program in commandFolder")
            #expect(folder.text("msg_1_1.json").hasPrefix(#"{"type":"stock.low","timestamp":""#))
        }
    }
}
