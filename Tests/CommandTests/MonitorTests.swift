import Foundation
import PrivateCluster
import StockModel
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing
import stockq

/// `--listen-metrics`: metrics and health of the processes.
@Suite("Metrics and health") struct MonitorTests {
    /// A process of stockq with its metrics.
    struct Monitored {
        let process: Program.Running
        let address: String

        init(_ program: Program, _ arguments: [String]) throws {
            process = try program.start(arguments + ["--listen-metrics", "127.0.0.1:0"])
            address = try Self.address(of: process)
        }

        static func address(of process: Program.Running) throws -> String {
            let event = "event=metrics_listening address="
            guard eventually({ process.errorText.contains(event) || process.hasEnded }),
                let text = process.errorText.components(separatedBy: event).dropFirst().first
            else { throw ServeCommandTests.ShopError("no metrics: \(process.errorText)") }
            return String(text.prefix { !$0.isWhitespace })
        }

        func get(_ path: String, _ arguments: [String] = []) throws -> ServeCommandTests.Answer {
            try MonitorTests.get(address, path, arguments)
        }

        func stop() throws {
            process.send(SIGTERM)
            let ended = try process.wait()
            #expect(ended.code == 0, "\(ended.err)")
        }
    }

    static func get(
        _ address: String, _ path: String, _ arguments: [String] = []
    ) throws -> ServeCommandTests.Answer {
        try ServeCommandTests.Shop.answer(
            Program().start(
                ["-sS", "-i", "--max-time", "30"] + arguments + ["http://\(address)\(path)"],
                executable: "/usr/bin/curl"
            ).wait())
    }

    /// The values of a page by name and labels.
    static func values(_ page: String) -> [String: Double] {
        var values: [String: Double] = [:]
        for line in page.split(separator: "\n") where !line.hasPrefix("#") {
            guard let blank = line.lastIndex(of: " ") else { continue }
            values[String(line[..<blank])] = Double(line[line.index(after: blank)...])
        }
        return values
    }

    static func promtool(_ arguments: [String], input: String = "") throws -> Program.Ended {
        try Program().start(arguments, input: Array(input.utf8), executable: "/usr/bin/promtool").wait()
    }

    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("docs/operating")

    // MARK: metrics

    @Test("metrics have the numbers of the database after a drain, and promtool accepts them") func drained()
        async throws
    {
        try await withDatabase { (database: TestDatabase) throws in
            let monitored = try Monitored(Program(database), ["run"])
            let before = Self.values(try monitored.get("/metrics").body)
            #expect(before[#"stockq_jobs_total{outcome="applied",code=""}"#] == 0)
            #expect(before[#"stockq_jobs_total{outcome="rejected",code="stale"}"#] == 0)
            #expect(before[#"stockq_errors_total{sqlstate="40P01"}"#] == 0)
            #expect(before[#"stockq_disconnects_total{service="worker"}"#] == 0)
            #expect(before["stockq_job_latency_seconds_count"] == 0)
            let shop = StoreCase(name: "berlin", byItem: false, seed: 7, jobs: 400)
            try database.run(shop.itemsSQL + shop.jobsSQL)
            #expect(try eventually { try database.value("SELECT count(*) FROM stockq.jobs") == "0" })
            // A batch is counted when it was committed.
            let results = Double(try database.value("SELECT count(*) FROM stockq.results"))
            #expect(
                try eventually {
                    Self.values(try monitored.get("/metrics").body)["stockq_job_latency_seconds_count"] == results
                })
            let page = try monitored.get("/metrics")
            #expect(page.fields.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8"))
            let values = Self.values(page.body)
            let counted = try database.rows(
                "SELECT outcome, coalesce(code::text, ''), count(*) FROM stockq.results GROUP BY 1, 2")
            #expect(counted.count > 3, "the jobs have few outcomes: \(counted)")
            for row in counted {
                let parts = row.split(separator: ",", omittingEmptySubsequences: false)
                let name = #"stockq_jobs_total{outcome="\#(parts[0])",code="\#(parts[1])"}"#
                #expect(values[name] == Double(parts[2]), "\(name)")
            }
            let jobs = values.filter { $0.key.hasPrefix("stockq_jobs_total{") }.values.reduce(0, +)
            #expect(jobs == results)
            #expect(values["stockq_batch_jobs_sum"] == results)
            let notifications = try database.value("SELECT count(*) FROM stockq.notifications WHERE job_id IS NOT NULL")
            #expect(values["stockq_notifications_total"] == Double(notifications))
            let workers = ["idle", "working"].map { values[#"stockq_services{service="worker",state="\#($0)"}"#] ?? 0 }
            #expect(workers.reduce(0, +) == 2)
            let checked = try Self.promtool(["check", "metrics"], input: page.body)
            #expect(checked.code == 0 && checked.err.isEmpty, "\(checked.out)\(checked.err)")
            let open = try monitored.get("/metrics", ["-H", "Accept: application/openmetrics-text; version=1.0.0"])
            #expect(
                open.fields.contains("Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8"))
            #expect(open.body.hasSuffix("# EOF\n"))
            #expect(open.body.contains("# TYPE stockq_jobs counter\n"))
            try monitored.stop()
        }
    }

    @Test("the queue is read as a worker's role may, with its depth, its age and the partitions") func queue()
        async throws
    {
        try await withDatabase { (database: TestDatabase) throws in
            let role = "metrics_of_\(database.name)"
            try database.run(
                """
                CREATE ROLE \(role) LOGIN;
                GRANT stockq_worker TO \(role);
                INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 1);
                UPDATE stockq.lanes SET paused_at = now(), epoch = epoch + 1;
                INSERT INTO stockq.jobs (store_id, item_id, quantity) SELECT 's', 'a', 1 FROM generate_series(1, 7);
                INSERT INTO stockq.jobs (store_id, item_id, quantity, run_at) VALUES ('s', 'a', 1, now() + interval '1 h');
                """)
            var program = Program()
            program.environment["DATABASE_URL"] = database.url.replacingOccurrences(of: "stockq@", with: "\(role)@")
            let monitored = try Monitored(program, ["run"])
            #expect(try eventually { try monitored.get("/startupz").status == 200 })
            var values = [String: Double]()
            #expect(
                try eventually {
                    values = Self.values(try monitored.get("/metrics").body)
                    return values["stockq_queue_workers"] ?? 0 > 0
                })
            #expect(values[#"stockq_queue_jobs{state="ready"}"#] == 7)
            #expect(values[#"stockq_queue_jobs{state="scheduled"}"#] == 1)
            #expect(values["stockq_queue_paused_lanes"] == 64)
            // Jobs of a paused lane do not count.
            #expect(values["stockq_queue_oldest_ready_timestamp_seconds"] == nil)
            #expect(values["stockq_partition_jobs_left"] ?? 0 > 1_000_000)
            #expect(values["stockq_sees_all_transactions"] == 0)
            #expect(values[#"stockq_table_dead_rows{table="jobs"}"#] != nil)
            #expect(abs((values["stockq_queue_read_timestamp_seconds"] ?? 0) - Date().timeIntervalSince1970) < 60)
            #expect(try Program(database).run(["workers"]).out.contains("metrics"))
            try monitored.stop()
            try database.run("DROP OWNED BY \(role); DROP ROLE \(role)")
        }
    }

    @Test("the gateway counts its requests by route, status and time") func gateway() async throws {
        try await withDatabase { (database: TestDatabase) throws in
            let shop = try ServeCommandTests.Shop(database, ["--listen-metrics", "127.0.0.1:0"])
            let address = try Monitored.address(of: shop.gateway)
            for _ in 1...3 {
                #expect(try shop.curl(ServeCommandTests.Shop.ecwid, shop.delta(-1)).status == 200)
            }
            #expect(try shop.curl(ServeCommandTests.Shop.ecwid, ["-X", "PUT", "-d", "{}"]).status >= 400)
            #expect(try shop.curl("/nothing", []).status == 404)
            let page = try Self.get(address, "/metrics").body
            let values = Self.values(page)
            let route = values.keys.first {
                $0.hasPrefix("stockq_http_requests_total{") && $0.contains(#"status="2xx""#) && values[$0] == 3
            }
            let name = try #require(route, "\(page)")
            #expect(name.contains("inventory") && name.contains(#"method="PUT""#), "\(name)")
            #expect(values[name.replacingOccurrences(of: "2xx", with: "4xx")] == 1)
            let labels = name.dropFirst("stockq_http_requests_total{".count).dropLast(#",status="2xx"}"#.count)
            #expect(values["stockq_http_request_duration_seconds_count{\(labels)}"] == 4)
            #expect(values[#"stockq_http_requests_total{route="none",method="none",status="4xx"}"#] == 1)
            #expect(values[#"stockq_http_responses_total{code="404"}"#] == 1)
            #expect(values[#"stockq_jobs_total{outcome="applied",code=""}"#] == 3)
            #expect(values["stockq_http_connections_accepted_total"] ?? 0 >= 5)
            let checked = try Self.promtool(["check", "metrics"], input: page)
            #expect(checked.code == 0 && checked.err.isEmpty, "\(checked.out)\(checked.err)")
            try Self.checkNames(page)
            #expect(try Self.get(address, "/readyz").body.contains("database: ok"))
            try shop.stop()
        }
    }

    /// The rules, the dashboard and the documentation name no metric that does not exist.
    private static func checkNames(_ page: String) throws {
        let known = Set(
            page.split(separator: "\n").filter { $0.hasPrefix("# TYPE ") }.flatMap { line in
                let name = line.split(separator: " ")[2]
                return [String(name)] + ["_bucket", "_sum", "_count"].map { name + $0 }
            })
        for file in ["prometheus/alerts.yml", "grafana/stockq.json", "metrics.md"] {
            let text = try String(contentsOf: folder.appendingPathComponent(file), encoding: .utf8)
            let names = Set(text.matches(of: /\b(stockq|process)_[a-z0-9_]+\b/).map { String($0.output.0) })
                .subtracting(["stockq_reader", "stockq_worker", "stockq_sql"])
            for name in names.sorted() { #expect(known.contains(name), "\(file): \(name)") }
            #expect(names.count > 10)
        }
        let documented = try String(contentsOf: folder.appendingPathComponent("metrics.md"), encoding: .utf8)
        for line in page.split(separator: "\n") where line.hasPrefix("# TYPE ") {
            let name = line.split(separator: " ")[2]
            #expect(documented.contains("`\(name)`"), "metrics.md lacks \(name)")
        }
    }

    @Test("promtool accepts the alert rules, and their tests pass") func rules() throws {
        let rules = Self.folder.appendingPathComponent("prometheus/alerts.yml").path
        let checked = try Self.promtool(["check", "rules", rules])
        #expect(checked.code == 0, "\(checked.out)\(checked.err)")
        let tested = try Self.promtool(["test", "rules", rules.replacingOccurrences(of: ".yml", with: ".test.yml")])
        #expect(tested.code == 0, "\(tested.out)\(tested.err)")
    }

    @Test("a reader can run the SQL of the dashboard and of the exporter") func sql() async throws {
        try await withDatabase { (database: TestDatabase) throws in
            let board = try JSONSerialization.jsonObject(
                with: Data(contentsOf: Self.folder.appendingPathComponent("grafana/stockq-sql.json")))
            let panels = (board as? [String: Any])?["panels"] as? [[String: Any]] ?? []
            let targets = panels.flatMap { $0["targets"] as? [[String: Any]] ?? [] }
            var queries = targets.compactMap { $0["rawSql"] as? String }
            #expect(queries.count > 10)
            let exporter = try String(
                contentsOf: Self.folder.appendingPathComponent("prometheus/postgres-exporter.yml"), encoding: .utf8)
            let texts = exporter.components(separatedBy: "  query: |\n").dropFirst().map {
                $0.components(separatedBy: "\n  metrics:")[0]
            }
            #expect(texts.count == 5)
            queries += texts
            let role = "dashboard_of_\(database.name)"
            try database.run("CREATE ROLE \(role) LOGIN; GRANT stockq_reader TO \(role)")
            let connection = try database.connect(as: role)
            for (number, query) in queries.enumerated() {
                let text = query.replacingOccurrences(of: "$schema", with: "stockq")
                    .replacing(/\$__timeFilter\(([a-z_]+)\)/) { "\($0.output.1) > now() - interval '1 hour'" }
                do {
                    try connection.execute(Statement("dashboard_\(number)", [], text))
                } catch {
                    Issue.record("\(error): \(text)")
                }
            }
            try database.run("DROP OWNED BY \(role); DROP ROLE \(role)")
        }
    }

    // MARK: health

    @Test("health says why a process is not ready, and lives while its database is away") func health() async throws {
        try await withDatabase { (database: TestDatabase) throws in
            let proxy = try Proxy(to: database)
            proxy.rejectConnections(true)
            var program = Program()
            program.environment["DATABASE_URL"] =
                "postgresql://stockq@127.0.0.1:\(proxy.port)/\(database.name)?sslmode=disable&gssencmode=disable"
            let monitored = try Monitored(program, ["run"])
            #expect(try eventually { try monitored.get("/startupz").body.hasPrefix("start: not complete: ") })
            #expect(try monitored.get("/startupz").status == 503)
            #expect(try monitored.get("/readyz").status == 503)
            #expect(try monitored.get("/livez").status == 200)
            // Nothing of the queue, and no error.
            #expect(try monitored.get("/metrics").body.contains("stockq_jobs_total"))
            proxy.rejectConnections(false)
            #expect(try eventually { try monitored.get("/readyz").status == 200 })
            #expect(
                try eventually {
                    try monitored.get("/readyz").body == "start: ok\ndatabase: ok\nworkers: ok (2 of 2 connected)\n"
                })
            proxy.rejectConnections(true)
            proxy.cutAll()
            #expect(try eventually { try monitored.get("/readyz").status == 503 })
            let away = try monitored.get("/readyz")
            #expect(away.body.contains("database: the poller has no connection"), "\(away.body)")
            #expect(try monitored.get("/livez").body == "process: ok\n")
            #expect(try monitored.get("/startupz").status == 200)
            proxy.rejectConnections(false)
            #expect(try eventually { try monitored.get("/readyz").status == 200 })
            let values = Self.values(try monitored.get("/metrics").body)
            #expect(values[#"stockq_disconnects_total{service="poller"}"#] ?? 0 > 0)
            try monitored.stop()
        }
    }

    @Test("a service that hangs makes the process not live") func hang() {
        let health = ProcessHealth(callTimeout: .seconds(1))
        let now = Date()
        var poller = ServiceStatus(
            name: "poller", role: "poller", activity: .idle, since: now.addingTimeInterval(-100),
            lastSuccessAt: now.addingTimeInterval(-5))
        health.watch { [poller] in [poller] }
        #expect(health.liveness(at: now).allSatisfy { $0.problem == nil })
        let late = health.liveness(at: now.addingTimeInterval(6))
        #expect(late.map(\.line) == ["process: ok", "poller: hangs; the database answered it last 11 s ago"])
        poller = ServiceStatus(
            name: "poller", role: "poller", activity: .connecting, since: poller.since, lastSuccessAt: nil)
        health.watch { [poller] in [poller] }
        #expect(health.liveness(at: now.addingTimeInterval(1_000)).count == 1)
    }
}
