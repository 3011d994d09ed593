import Foundation
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// The plans with which the worker's statements run, which auto_explain writes to the server's log.
@Suite("Plans of the worker's statements") struct PlanTests {
    enum Statistics: String, CaseIterable, Sendable {
        /// The usual statistics of a queue: taken while it was empty, used while it is full.
        case ofAnEmptyQueue
        case ofAFullQueue
        /// The workers have planned every statement while the queue was nearly empty, and keep the plans.
        case whenPlanned
    }

    /// With a direct connection, and with the settings for a pooler, behind which each transaction sets its settings
    /// itself.
    @Test(
        "no statement reads a whole table, or rows that it drops, whatever the statistics",
        arguments: Statistics.allCases, [false, true])
    func hotStatements(_ statistics: Statistics, pooled: Bool) async throws {
        try await withDatabase(migrated: false) { database in
            // All tests of the run share the log; the schema's name marks this test's plans.
            let name = "plans_\(statistics.rawValue.lowercased())\(pooled ? "_pooled" : "")"
            let schema = try #require(QueueSchema(name))
            let migrator = Migrator(connection: try database.connect(), schema: schema)
            try migrator.migrate()
            _ = try migrator.makeRoles()
            // A worker's role sees every row, so it has the owner's plans.
            let role = "worker_of_\(name)"
            try database.run("CREATE ROLE \(role) LOGIN; GRANT \(name)_worker TO \(role)")
            var settings = WorkerSettings()
            settings.batchJobsMax = 300
            var connection = pooled ? database.settings : database.settings(as: role)
            connection.pooled = connection.pooled || pooled
            let tables = ["jobs", "items", "idempotency_keys"].map { "\(name).\($0)" }.joined(separator: ", ")
            switch statistics {
            case .ofAnEmptyQueue:
                try database.run("ANALYZE \(tables)")
                try Self.fill(database, name)
            case .ofAFullQueue:
                try Self.fill(database, name)
                try database.run("ANALYZE \(tables)")
            case .whenPlanned: try database.run("VACUUM ANALYZE \(tables)")
            }
            let holder = try database.connect()
            try Self.logPlans(of: database)
            if statistics == .whenPlanned { try Self.fill(database, name, share: 100) }
            // Behind a locked job, the claims of its lane skip locked jobs.
            try holder.executeScript(
                "BEGIN; SELECT FROM \(name).jobs WHERE run_at IS NULL ORDER BY job_id LIMIT 1 FOR UPDATE")
            let workers = WorkersUnderTest(connection, schema: schema, settings: settings)
            #expect(workers.waitForBatch { $0.skipped > 0 })
            try holder.executeScript("COMMIT")
            try Self.waitUntilWorked(database, name)
            if statistics == .whenPlanned {
                try Self.fill(database, name)
                try Self.waitUntilWorked(database, name)
            }
            try workers.stop()

            let plans = try Self.plans(of: name, database.logFile).filter {
                // Without what was planned ahead and not run.
                $0.contains("(actual") && !$0.contains("FROM pg_") && !$0.contains("add_results")
            }
            for statement in [
                "FOR UPDATE NOWAIT", "SELECT count(*) AS jobs FROM \"\(name)\".jobs", "FOR NO KEY UPDATE",
                "AND items.store_id IS NOT DISTINCT FROM", "SET on_hand = new.on_hand",
                "JOIN \"\(name)\".jobs ON jobs.ctid = decided.tuple_id", "jobs WHERE ctid = ANY ($1)",
                "INSERT INTO \"\(name)\".notifications", "SET scheduled_at", "WITH fitting",
                "AS wanted_index,\n", "AS known (after_strand", "AS gaps (after_strand", "AS stores (first_strand)",
                "ceil(extract(epoch", "AS wanted (lane)", "WHERE idempotency_key = wanted.key", "AS used (tuple_id)",
            ] {
                #expect(plans.contains { $0.contains(statement) }, "no plan of the statement with \(statement)")
            }
            #expect(plans.contains { $0.contains("AS priority_4") && $0.contains("SKIP LOCKED") })
            for plan in plans { Self.expectFrugal(plan) }
        }
    }

    /// New sessions log the plan of each statement.
    private static func logPlans(of database: TestDatabase) throws {
        try database.run(
            """
            ALTER DATABASE \(database.name) SET session_preload_libraries = 'auto_explain';
            ALTER DATABASE \(database.name) SET auto_explain.log_min_duration = 0;
            ALTER DATABASE \(database.name) SET auto_explain.log_analyze = on;
            ALTER DATABASE \(database.name) SET auto_explain.log_timing = off
            """)
    }

    @Test("what was rejected lately, and statistics, are found without reading all results") func latelyRejected()
        async throws
    {
        try await withDatabase(migrated: false) { database in
            let schema = try #require(QueueSchema("plans_of_lists"))
            try Migrator(connection: try database.connect(), schema: schema).migrate()
            let name = schema.name
            try database.run(
                """
                INSERT INTO \(name).items (store_id, item_id, on_hand) VALUES ('s', 'a', 1);
                INSERT INTO \(name).jobs (store_id, item_id, quantity) VALUES ('s', 'a', -1)
                """)
            WorkersUnderTest.drain(database.settings, schema: schema, settings: WorkerSettings())
            try database.run(
                """
                INSERT INTO \(name).results
                SELECT old.*
                FROM \(name).results AS first, generate_series(1001, 31000) AS number, jsonb_populate_record(
                    first, jsonb_build_object('job_id', number, 'finished_at', now() - interval '2 days')
                ) AS old;
                INSERT INTO \(name).jobs (store_id, item_id, quantity) VALUES ('s', 'a', -1), ('s', 'a', -1)
                """)
            WorkersUnderTest.drain(database.settings, schema: schema, settings: WorkerSettings())
            try database.run("VACUUM ANALYZE \(name).results")
            try Self.logPlans(of: database)
            let inspector = Inspector(connection: try database.connect(), schema: schema)
            var list = ResultList(limit: 50)
            list.outcome = .rejected
            list.since = .ago(.seconds(3_600))
            #expect(try inspector.rows(of: list).count == 2)
            list.outcome = nil
            list.code = .insufficientStock
            #expect(try inspector.rows(of: list).count == 2)
            let statistics = try inspector.statistics(seconds: 3_600).value
            #expect(statistics.outcomes == [.applied: 1, .rejected: 2])
            let plans = try Self.plans(of: name, database.logFile).filter { $0.contains(".results") }
            #expect(plans.count == 3)
            for plan in plans {
                #expect(plan.contains("results_000000000000000_finished_at_idx"), "\(plan)")
                #expect(!plan.contains("Seq Scan on results_000000000000000"), "\(plan)")
                // Statistics look up the last result by its id.
                #expect(!plan.contains("AS listed") || !plan.contains("results_000000000000000_pkey"), "\(plan)")
            }
        }
    }

    @Test("functions for producers probe the results of the jobs that they are asked for, and no queue unasked")
    func functionsForProducers() async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 1);
                INSERT INTO stockq.jobs (store_id, item_id, quantity, idempotency_key) VALUES ('s', 'a', -1, 'k0')
                """)
            try database.drain()
            try database.run(
                """
                INSERT INTO stockq.results
                SELECT old.*
                FROM stockq.results AS first, generate_series(1001, 31000) AS number,
                    jsonb_populate_record(first, jsonb_build_object('job_id', number)) AS old;
                INSERT INTO stockq.jobs (store_id, item_id, quantity) SELECT 's', 'a', -1 FROM generate_series(1, 1000)
                """)
            try database.run("VACUUM ANALYZE stockq.results, stockq.jobs")
            let connection = try database.connect()
            try Self.logNestedPlans(of: connection)
            // Plans are made for the values first, and then for any.
            for _ in 0..<7 {
                try connection.executeScript(
                    """
                    SELECT count(*) FROM stockq.wait_for_results(ARRAY(SELECT generate_series(1001::bigint, 11000)));
                    SELECT count(*) FROM stockq.wait_for_results(ARRAY(SELECT generate_series(901::bigint, 10900)), 1);
                    SELECT count(*) FROM stockq.stock('s', '{a}')
                    """)
            }
            let plans = try Self.plans(ofSession: connection.backendProcessID, database.logFile)
            let waits = plans.filter { $0.contains("FROM results AS r WHERE r.job_id") }
            #expect(waits.count >= 28)
            for plan in waits {
                #expect(plan.contains("results_000000000000000_pkey"), "\(plan)")
                #expect(plan.firstMatch(of: /Seq Scan on results|(Hash|Merge) (Anti )?Join/) == nil, "\(plan)")
            }
            let stock = plans.filter { $0.contains("WITH waiting AS MATERIALIZED") }
            #expect(stock.count == 7)
            for plan in stock {
                #expect(plan.firstMatch(of: /Scan (using \w+ )?on jobs.*actual/) == nil, "\(plan)")
            }
        }
    }

    /// Deliverers keep the plans that they made while there was nothing to deliver.
    @Test("deliveries are claimed and finished by indexes, whatever the statistics", arguments: [false, true])
    func deliveries(isPlannedEmpty: Bool) async throws {
        try await withDatabase { database in
            let connection = try database.connect()
            let claim = "SELECT count(*) FROM stockq.claim_deliveries(64, 8, '{}', '1 minute')"
            let finish = """
                SELECT stockq.finish_deliveries(
                    array_agg(delivery_id), array_agg(claim_id), array_agg(CASE WHEN delivery_id % 2 = 0 THEN 'down' END),
                    array_agg(NULL::integer), array_agg(false), '5 days')
                FROM (SELECT * FROM stockq.deliveries WHERE claim_id IS NOT NULL ORDER BY delivery_id LIMIT 64) AS claimed
                """
            if isPlannedEmpty { for _ in 0..<7 { try connection.executeScript("\(claim); \(finish)") } }
            try database.run(
                """
                SELECT stockq.add_subscription('hook' || n, 'webhook', 'http://localhost/', secret => 'whsec_x')
                FROM generate_series(1, 40) AS n;
                SELECT stockq.add_subscription('mail' || n, 'mail', 'a@example.com') FROM generate_series(1, 3) AS n;
                INSERT INTO stockq.deliveries (
                    subscription_id, message_id, event, store_id, item_id, location_id, data, occurred_at, state
                )
                SELECT s.subscription_id, 'm' || n, 'stock.low', 's', 'i' || n % 500, 'main', '{}', now(),
                    CASE WHEN n % 10 < 8 THEN 'delivered' ELSE 'pending' END
                FROM stockq.subscriptions AS s, generate_series(1, 2000) AS n
                """)
            try database.run("VACUUM ANALYZE stockq.deliveries, stockq.subscriptions")
            try Self.logNestedPlans(of: connection)
            for _ in 0..<7 { try connection.executeScript("\(claim); \(finish)") }
            let plans = try Self.plans(ofSession: connection.backendProcessID, database.logFile)
            let claims = plans.filter { $0.contains("WITH RECURSIVE with_work") }
            let ends = plans.filter { $0.contains("AS ended (delivery_id, claim_id, error, pause)") }
            let waits = plans.filter { $0.contains("SELECT later.delivery_id, failed.next_attempt_at") }
            #expect(claims.count == 7 && ends.count == 7 && waits.count == 7)
            for plan in claims + ends + waits {
                #expect(
                    plan.firstMatch(of: /Seq Scan on deliveries|Bitmap Heap Scan|(Hash|Merge) Join/) == nil, "\(plan)")
                // A mail is all that is pending, so it reads what it claims; nothing reads what was delivered.
                let dropped = plan.matches(of: /Rows Removed by (?:Filter|Join Filter): (\d+)/)
                    .compactMap { Int($0.output.1) }.max()
                #expect((dropped ?? 0) <= 64, "\(plan)")
            }
            for plan in claims {
                // Looks at the first delivery of an item stop there.
                #expect(plan.contains("deliveries_due") && plan.contains("deliveries_item"), "\(plan)")
            }
        }
    }

    /// The session logs the plan of each statement from now on, also of those in functions.
    private static func logNestedPlans(of connection: Connection) throws {
        try connection.executeScript(
            """
            LOAD 'auto_explain';
            SET auto_explain.log_min_duration = 0;
            SET auto_explain.log_analyze = on;
            SET auto_explain.log_timing = off;
            SET auto_explain.log_nested_statements = on
            """)
    }

    /// The plans that a session has logged.
    private static func plans(ofSession processID: Int32, _ logFile: String) throws -> [String] {
        var plans: [String] = []
        var isOfSession = false
        for line in try String(contentsOfFile: logFile, encoding: .utf8).split(separator: "\n") {
            if !line.hasPrefix("\t") {
                isOfSession = line.contains("[\(processID)]") && line.contains("plan:")
                if isOfSession { plans.append(String(line)) }
            } else if isOfSession {
                plans[plans.count - 1] += "\n" + line
            }
        }
        return plans
    }

    /// Checks that a plan reads an index, in its order, and drops few rows.
    private static func expectFrugal(_ plan: String) {
        let dropped = plan.matches(of: /Rows Removed by (?:Filter|Index Recheck|Join Filter): (\d+)/)
            .compactMap { Int($0.output.1) }.max()
        #expect((dropped ?? 0) <= 64, "reads rows that it drops:\n\(plan)")
        #expect(
            plan.firstMatch(of: /Seq Scan on (jobs|items|notifications|results|idempotency_keys)\b[^_]/) == nil,
            "\(plan)")
        #expect(!plan.contains("Bitmap Heap Scan on"), "\(plan)")
        #expect(plan.firstMatch(of: /(Hash|Merge) Join/) == nil, "\(plan)")
        // A claim that sorts reads the lane to its end.
        if plan.contains("AS priority_1") {
            #expect(!plan.contains("Sort"), "\(plan)")
        }
    }

    /// Several lanes, more jobs than a batch takes, deferred jobs, groups, and jobs that wait and are promoted.
    ///
    /// - Parameter share: one part of so many of the jobs.
    private static func fill(_ database: TestDatabase, _ schema: String, share: Int = 1) throws {
        try database.run(
            """
            INSERT INTO \(schema).items (store_id, item_id, on_hand, low_stock_threshold)
            SELECT 's' || i % 8, 'i' || i, CASE WHEN i < 8 THEN 0 ELSE 60 END, 50 FROM generate_series(0, 800 / \(share) - 1) AS i
            ON CONFLICT DO NOTHING;
            INSERT INTO \(schema).jobs (store_id, item_id, quantity, run_at)
            SELECT 's' || i % 8, 'i' || i % 800, -1, now() + interval '1 day'
            FROM generate_series(1, 5000 / \(share)) AS i;
            INSERT INTO \(schema).jobs (store_id, item_id, quantity, run_at)
            SELECT 's' || i % 8, 'i' || i % 800, -1, now() - interval '1 s' FROM generate_series(1, 100 / \(share)) AS i;
            INSERT INTO \(schema).jobs (store_id, item_id, quantity, on_insufficient)
            SELECT 's' || i % 8, 'i' || i % 8, -1, 'wait' FROM generate_series(1, 400 / \(share)) AS i;
            INSERT INTO \(schema).jobs (store_id, item_id, quantity, group_id, priority)
            SELECT 's' || g % 8, 'i' || g % 8 + 8 * (g % 90 + l), -1, 'g' || g, 1 + g % 4
            FROM generate_series(1, 1000 / \(share)) AS g, generate_series(1, 3) AS l;
            INSERT INTO \(schema).jobs (store_id, item_id, quantity, priority)
            SELECT 's' || i % 8, 'i' || i % 8, 10, 4 FROM generate_series(1, greatest(80 / \(share), 8)) AS i;
            INSERT INTO \(schema).jobs (store_id, item_id, quantity, idempotency_key)
            SELECT 's' || i % 8, 'i' || i % 800, -1, '\(share)-' || i % 400 FROM generate_series(1, 9000 / \(share)) AS i
            """)
    }

    private static func waitUntilWorked(_ database: TestDatabase, _ schema: String) throws {
        let sql = "SELECT count(*) FROM \(schema).jobs WHERE run_at IS NULL OR run_at <= now()"
        #expect(try eventually(seconds: 60) { try database.value(sql) == "0" })
    }

    /// The logged plans that name the schema.
    private static func plans(of schema: String, _ logFile: String) throws -> [String] {
        var plans: [String] = []
        var current: [Substring] = []
        func end() {
            let plan = current.joined(separator: "\n")
            if plan.contains("plan:") && plan.contains("\"\(schema)\".") { plans.append(plan) }
            current = []
        }
        for line in try String(contentsOfFile: logFile, encoding: .utf8).split(separator: "\n") {
            if !line.hasPrefix("\t") { end() }
            current.append(line)
        }
        end()
        return plans
    }
}
