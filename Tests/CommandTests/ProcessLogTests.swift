import Foundation
import PrivateCluster
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing
import stockq

/// What a process writes while it works: its log, and its state for systemd.
@Suite("Log lines of a process") struct ProcessLogTests {
    private static func lines(_ text: String, of event: String) -> [String] {
        text.split(separator: "\n").map(String.init).filter { $0.contains("event=\(event) ") }
    }

    @Test("at intervals a line has rates, rejections by code, and the age of the oldest job") func progress()
        async throws
    {
        try await withDatabase { (database: TestDatabase) throws in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 5);
                INSERT INTO stockq.jobs (store_id, item_id, quantity) SELECT 's', 'a', -1 FROM generate_series(1, 7);
                INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'unknown', -1);
                """)
            let workers = try Program(database).start(["run", "--log-interval", "200ms"])
            let text = "jobs=8 "
            #expect(eventually { Self.lines(workers.errorText, of: "progress").contains { $0.contains(text) } })
            let line = Self.lines(workers.errorText, of: "progress").first { $0.contains(text) } ?? ""
            #expect(line.contains("level=info") && line.contains(" jobs_per_second="), "\(line)")
            #expect(line.contains(" applied=5 unchanged=0 rejected=3 duplicate=0 failed=0 batches="), "\(line)")
            #expect(line.contains(" rejected_insufficient_stock=2 rejected_unknown_item=1"), "\(line)")
            // As of the last reading, which may be some seconds old.
            #expect(line.contains(" ready=") && line.contains(" oldest_seconds="), "\(line)")
            // The next line has what came since.
            #expect(eventually { Self.lines(workers.errorText, of: "progress").last?.contains("jobs=0 ") == true })
            workers.send(SIGTERM)
            #expect(try workers.wait().code == 0)
        }
    }

    @Test("--log-format json writes an object a line, with numbers as numbers") func json() async throws {
        try await withDatabase { (database: TestDatabase) throws in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 5);
                INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'a', -1);
                """)
            let ended = try Program(database).run(
                ["run", "--drain", "--log-format", "json", "--log-level", "debug"])
            #expect(ended.code == 0, "\(ended.err)")
            let objects = try ended.err.split(separator: "\n").map { line in
                try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any], "\(line)")
            }
            #expect(objects.allSatisfy { $0["time"] is String && $0["level"] is String && $0["event"] is String })
            let batch = objects.first { $0["event"] as? String == "batch" }
            #expect(batch?["finished"] as? Int == 1)
            let summary = objects.first { $0["event"] as? String == "summary" }
            #expect(summary?["jobs"] as? Int == 1)
            #expect(summary?["seconds"] is Double)
        }
    }

    @Test("errors name the store and the item") func subjects() async throws {
        try await withDatabase { (database: TestDatabase) throws in
            try database.run(
                """
                ALTER TABLE stockq.results ADD CONSTRAINT trap CHECK (outcome = 'failed' OR item_id <> 'bad');
                INSERT INTO stockq.items (store_id, item_id, location_id, on_hand)
                SELECT store, item, 'x', 9 FROM unnest(ARRAY['s1', 's2']) AS store, unnest(ARRAY['good', 'bad']) AS item;
                INSERT INTO stockq.jobs (store_id, item_id, location_id, quantity, ordering_key, max_attempts)
                SELECT store_id, item_id, 'x', -1, NULL, 1 FROM stockq.items ORDER BY store_id, item_id;
                """)
            let ended = try Program(database).run(["run", "--drain"])
            let failed = Self.lines(ended.err, of: "job_failed")
            #expect(failed.count == 2)
            for store in ["s1", "s2"] {
                #expect(failed.contains { $0.contains(" store=\(store) item=bad location=x error=") }, "\(failed)")
            }
            let halved = Self.lines(ended.err, of: "batch_halved")
            #expect(halved.contains { $0.contains(" store=s") || $0.contains(" stores=") }, "\(ended.err)")
        }
    }

    @Test("a lost connection is logged at once, and not again for five seconds") func disconnected() async throws {
        try await withDatabase { (database: TestDatabase) throws in
            let proxy = try Proxy(to: database)
            var program = Program()
            program.environment["DATABASE_URL"] =
                "postgresql://stockq@127.0.0.1:\(proxy.port)/\(database.name)?sslmode=disable&gssencmode=disable"
            let workers = try program.start(["run", "--log-level", "debug"])
            #expect(eventually { Self.lines(workers.errorText, of: "connected").count >= 6 })
            proxy.rejectConnections(true)
            proxy.cutAll()
            // The poller tries twice a second and more; no other service does without it.
            let before = proxy.rejectedConnections
            #expect(eventually { proxy.rejectedConnections > before + 6 })
            let lost = Self.lines(workers.errorText, of: "disconnected")
            #expect(!lost.isEmpty)
            let services = lost.map { $0.components(separatedBy: "service=")[1].prefix { $0 != " " } }
            #expect(Set(services).count == services.count, "\(lost)")
            proxy.rejectConnections(false)
            // The others notice when they have something to do.
            #expect(
                eventually {
                    Self.lines(workers.errorText, of: "connected").count { $0.contains("service=poller ") } >= 2
                })
            workers.send(SIGTERM)
            #expect(try workers.wait().code == 0)
        }
    }

    @Test("lines that were left out are counted in the next one") func leftOut() {
        let log = DisconnectionLog(pauseMs: 20)
        #expect(log.admit("poller") == 0)
        #expect(log.admit("poller") == nil)
        #expect(log.admit("poller") == nil)
        #expect(log.admit("worker") == 0)
        #expect(eventually { log.admit("poller").map { $0 >= 2 } ?? false })
    }

    // MARK: systemd

    /// A socket as systemd gives one to a service.
    private final class NotifySocket {
        let path: String
        private let descriptor: Int32

        init(_ path: String) throws {
            self.path = path
            descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { bytes in
                bytes.copyBytes(from: (path.hasPrefix("@") ? "\0" + path.dropFirst() : path).utf8)
            }
            let length = socklen_t(MemoryLayout<sa_family_t>.size + path.utf8.count + (path.hasPrefix("@") ? 0 : 1))
            let isBound = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) == 0 }
            }
            guard descriptor >= 0, isBound else { throw POSIXError(.init(rawValue: errno) ?? .EIO) }
            var timeout = timeval(tv_sec: 20, tv_usec: 0)
            setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        }

        deinit {
            close(descriptor)
            if !path.hasPrefix("@") { unlink(path) }
        }

        /// The next message; nil if none comes.
        func next() -> String? {
            var bytes = [UInt8](repeating: 0, count: 4_096)
            let count = recv(descriptor, &bytes, bytes.count, 0)
            return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
        }
    }

    @Test("systemd gets reports of the start, of life, of what is done, and of the stop", arguments: [false, true])
    func serviceManager(isAbstract: Bool) async throws {
        try await withDatabase { (database: TestDatabase) throws in
            let name = "stockq-notify-\(UUID().uuidString)"
            let socket = try NotifySocket(isAbstract ? "@" + name : NSTemporaryDirectory() + "/" + name)
            let workers = try Program(database).start(
                ["run", "--log-interval", "100ms"],
                environment: ["NOTIFY_SOCKET": socket.path, "WATCHDOG_USEC": "200000"], executable: Program.path)
            var messages: Set<String> = []
            while !messages.isSuperset(of: ["READY=1", "WATCHDOG=1", "STATUS=0.0 jobs/s, 0 ready"]),
                let message = socket.next()
            {
                messages.insert(message)
            }
            #expect(messages.isSuperset(of: ["READY=1", "WATCHDOG=1", "STATUS=0.0 jobs/s, 0 ready"]), "\(messages)")
            workers.send(SIGTERM)
            var last = socket.next()
            while let message = last, message != "STOPPING=1" { last = socket.next() }
            #expect(last == "STOPPING=1")
            #expect(try workers.wait().code == 0)
        }
    }

    @Test("the watchdog of another process, and no socket, mean nothing to do") func noManager() {
        #expect(ServiceManager(environment: [:]).watchdogInterval == nil)
        #expect(ServiceManager(environment: ["WATCHDOG_USEC": "5"]).watchdogInterval == nil)
        let other = ["NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "5000", "WATCHDOG_PID": "1"]
        #expect(ServiceManager(environment: other).watchdogInterval == nil)
        let own = ["NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "5000", "WATCHDOG_PID": "\(getpid())"]
        #expect(ServiceManager(environment: own).watchdogInterval == .milliseconds(5))
        // A path that no socket can have, and one that does not exist.
        ServiceManager(environment: ["NOTIFY_SOCKET": "/" + String(repeating: "x", count: 200)]).ready()
        ServiceManager(environment: ["NOTIFY_SOCKET": "/nowhere/x"]).ready()
    }

    @Test("systemd accepts the units") func units() async throws {
        let token = NSTemporaryDirectory() + "/dashboard-\(UUID().uuidString).token"
        try String(repeating: "a", count: 48).write(toFile: token, atomically: true, encoding: .utf8)
        chmod(token, 0o600)
        defer { unlink(token) }
        try await withDatabase { database in
            for (unit, check) in [
                ("stockq-run", "--show-settings"), ("stockq-serve", "--show-settings"), ("stockq-dashboard", "--check"),
            ] {
                let path = MonitorTests.folder.appendingPathComponent("systemd/\(unit).service").path
                // The program of the unit is not installed here.
                let text = try String(contentsOfFile: path, encoding: .utf8)
                    .replacingOccurrences(of: "/usr/local/bin/stockq", with: Program.path)
                let words = try #require(text.firstMatch(of: /ExecStart=\S+ (.*)/)).output.1
                    .replacing("%d/dashboard.token", with: token).split(separator: " ")
                let checked = try Program(database).run(words.map(String.init) + [check])
                #expect(checked.code == 0, "\(checked.err)")
                try Self.verify(unit, text)
            }
        }
    }

    /// Asks systemd itself, where it is installed.
    private static func verify(_ unit: String, _ text: String) throws {
        guard FileManager.default.isExecutableFile(atPath: "/usr/bin/systemd-analyze") else { return }
        let copy = NSTemporaryDirectory() + "/\(unit)-\(UUID().uuidString).service"
        try text.write(toFile: copy, atomically: true, encoding: .utf8)
        defer { unlink(copy) }
        let verified = try Program().start(["verify", "--man=no", copy], executable: "/usr/bin/systemd-analyze").wait()
        #expect(verified.code == 0 && verified.err.isEmpty, "\(verified.err)")
    }
}
