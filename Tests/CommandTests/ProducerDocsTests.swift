import Foundation
import Postgres
import StockQueue
import TestSupport
import Testing

/// docs/producers.md does what it says.
@Suite struct ProducerDocsTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
        "../..")

    private static func blocks(_ language: String) throws -> [String] {
        let text = try String(contentsOf: root.appendingPathComponent("docs/producers.md"), encoding: .utf8)
        return text.split(separator: "\n```").map(String.init).filter {
            $0.hasPrefix("\(language)\n") || $0.hasPrefix("```\(language)\n")
        }
        .map { $0.drop { $0 != "\n" }.dropFirst() }.map(String.init)
    }

    /// What the page's first examples make: a role and some items.
    private static func shop(_ database: TestDatabase) throws {
        for block in try blocks("sql").prefix(2) {
            try database.run(
                block.replacingOccurrences(of: "CREATE ROLE shop LOGIN;", with: "").replacingOccurrences(
                    of: "GRANT stockq_producer TO shop;", with: ""
                ).replacingOccurrences(of: "'shop'", with: "'stockq'"))
        }
    }

    private static func whileWorking(_ database: TestDatabase, _ body: () throws -> Void) throws {
        let pool = WorkerPool(connection: database.settings, schema: database.schema, settings: WorkerSettings())
        let running = Background { pool.run() }
        defer { pool.finish() }
        try body()
        pool.finish()
        try running.wait()
    }

    /// As somebody at psql would, one block after the other, while workers run.
    @Test func everySQLExampleRuns() async throws {
        try await withDatabase { database in
            try Self.shop(database)
            let blocks = try Self.blocks("sql")
            #expect(blocks.count >= 11)
            try Self.whileWorking(database) {
                for block in blocks.dropFirst(2) {
                    let ended = try Program().start(
                        ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database.conninfo], input: Array(block.utf8),
                        executable: "/usr/bin/psql"
                    ).wait()
                    #expect(ended.code == 0, "\(block): \(ended.err)")
                }
            }
            try database.drain()
            #expect(
                try database.rows(
                    "SELECT concat_ws(' ', group_id, item_id, outcome) FROM stockq.results WHERE group_id LIKE 'order%' ORDER BY job_id"
                ) == [
                    "order 1003 shirt-m applied", "order 1003 shirt-l applied",
                ])
            #expect(
                try database.value("SELECT count(*) FROM stockq.results WHERE idempotency_key = 'order 1002'") == "1")
        }
    }

    @Test func thePythonExampleRuns() async throws {
        try await withDatabase { database in
            try Self.shop(database)
            try Self.whileWorking(database) {
                for block in try Self.blocks("python") {
                    let ended = try Self.python(block, database)
                    #expect(ended.code == 0, "\(ended.err)")
                    #expect(ended.out == "applied 11\n")
                }
            }
        }
    }

    static func python(_ text: String, _ database: TestDatabase) throws -> Program.Ended {
        var program = Program(database)
        program.environment["PYTHONPATH"] = root.appendingPathComponent(".build/python").path
        return try program.start(["python3", "-"], input: Array(text.utf8), executable: "/usr/bin/env").wait()
    }

    /// The Swift example stands here as it stands there; the compiler and this test see to both.
    @Test func theSwiftExampleRuns() async throws {
        let database = try TestDatabase()
        defer { database.drop() }
        try await onThread { try Self.shop(database) }
        let pool = WorkerPool(connection: database.settings, schema: database.schema, settings: WorkerSettings())
        let running = Background { pool.run() }
        let conninfo = database.conninfo

        // The example begins here.
        let queue = QueueClient(ConnectionSettings(conninfo: conninfo, applicationName: "shop"))
        defer { queue.close() }

        var job = NewJob(store: "berlin", item: "mug", quantity: -1)
        job.idempotencyKey = "order 1005"
        let receipt = try await queue.enqueue(job)
        if let result = try await queue.result(of: receipt.jobID, timeoutMs: 10_000) {
            print(result.outcome, result.onHandAfter ?? 0)
        }

        let lines = [
            NewJob(store: "berlin", item: "mug", quantity: -1), NewJob(store: "berlin", item: "shirt-m", quantity: -1),
        ]
        let receipts = try await queue.enqueue(lines, idempotencyKey: "order 1006")
        let loaded = try await queue.enqueueBulk(
            (1...1_000).map { _ in NewJob(store: "berlin", item: "shirt-m", quantity: 1) })
        let history = try await queue.history(of: ItemKey("berlin", "mug"), limit: 5)
        // And ends here.

        #expect(receipts.count == 2 && loaded == 1_000 && history.first?.itemId == "mug")
        func words(_ text: String) -> String { text.filter { !$0.isWhitespace && $0 != "," } }
        let source = try String(contentsOfFile: #filePath, encoding: .utf8)
        let here = source.components(separatedBy: "begins here.\n")[1].components(separatedBy: "// And ends here")[0]
        let there = try Self.blocks("swift")
        #expect(there.map { words($0) } == [words(here)])
        pool.finish()
        try await onThread { try running.wait() }
    }

    // MARK: what three interfaces of shops can do

    /// From Python: each call with its published outcome.
    @Test func theCallsOfShopsFromPython() async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, parent_id, on_hand, low_stock_threshold, tracked) VALUES
                    ('7', '45', NULL, 10, 3, true), ('7', '45-9', '45', 5, NULL, true), ('7', '46', NULL, 0, NULL, false),
                    ('7', '65f0c0ffee0123456789abcd', NULL, 10, NULL, true)
                """)
            try Self.whileWorking(database) {
                let ended = try Self.python(Self.calls, database)
                #expect(ended.code == 0, "\(ended.err)")
                #expect(ended.out == "ok\n")
            }
            #expect(
                try database.rows(
                    "SELECT concat_ws(' ', item_id, kind) FROM stockq.notifications ORDER BY notification_id") == [
                        "45 out_of_stock", "45-9 out_of_stock",
                    ])
        }
    }

    private static let calls = """
        import json, os, psycopg

        db = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)

        def done(job):
            return db.execute("SELECT outcome, code, warning, applied_quantity, on_hand_after, allocated_after"
                              " FROM stockq.wait_for_result(%s, 20000)", (job,)).fetchone()

        def call(item, quantity, **more):
            names = "".join(f", {name} => %({name})s" for name in more)
            row = db.execute(f"SELECT job_id FROM stockq.enqueue('7', %(item)s, %(quantity)s{names})",
                             dict(more, item=item, quantity=quantity)).fetchone()
            return done(row[0])

        def lines(rows, **more):
            names = "".join(f", {name} => %({name})s" for name in more)
            jobs = db.execute(f"SELECT job_id FROM stockq.enqueue_lines('7', %(rows)s{names})",
                              dict(more, rows=json.dumps(rows))).fetchall()
            return [done(job)[:2] for (job,) in jobs]

        def refused(sqlstate, work):
            try:
                work()
            except psycopg.Error as error:
                assert error.sqlstate == sqlstate, error
            else:
                assert False, "not refused"

        # Adjust by a delta: negative stock is allowed and warned of, the notification is the caller's wish.
        assert call("45", -8, on_insufficient="allow", notify=False) == ("applied", None, None, -8, 2, 0)
        assert call("45", -5, on_insufficient="allow", notify=True) == ("applied", None, "negative_stock", -5, -3, 0)
        assert call("45-9", 2, on_insufficient="allow") == ("applied", None, None, 2, 7, 0)
        assert call("45", 0)[:2] == ("unchanged", "no_change")
        assert call("46", -1)[:2] == ("unchanged", "untracked")
        assert call("47", -1)[:2] == ("rejected", "unknown_item")
        assert call("45-9", 9007199254740991)[:2] == ("rejected", "out_of_range")
        assert lines([{"item_id": "45-9", "quantity": 5.0}]) == [("applied", None)]
        refused("22023", lambda: lines([{"item_id": "45-9", "quantity": 5.5}]))
        # Deduct what was purchased: products and variations, all or nothing, repeated ids add up.
        cart = [{"item_id": "45-9", "quantity": -6}, {"item_id": "65f0c0ffee0123456789abcd", "quantity": -4}, {"item_id": "45-9", "quantity": -6}]
        assert lines(cart, group_id="cart 1") == [("applied", None)] * 3
        assert lines(cart, group_id="cart 2") == [("rejected", "insufficient_stock"), ("rejected", "group_rejected"), ("rejected", "insufficient_stock")]
        # Increment, decrement, allocate, deallocate: bounded by what is available and what is allocated.
        item = "65f0c0ffee0123456789abcd"
        assert call(item, 10) == ("applied", None, None, 10, 16, 0)
        assert call(item, -17)[:2] == ("rejected", "insufficient_stock")
        assert call(item, 12, action="allocate") == ("applied", None, None, 12, 16, 12)
        assert call(item, 5, action="allocate")[:2] == ("rejected", "insufficient_stock")
        assert call(item, -5)[:2] == ("rejected", "insufficient_stock")
        assert call(item, 13, action="deallocate")[:2] == ("rejected", "insufficient_allocation")
        assert call(item, 2, action="deallocate") == ("applied", None, None, 2, 16, 10)
        assert call(item, 10, action="ship") == ("applied", None, None, 10, 6, 0)
        assert call(item, 0, action="allocate")[:2] == ("rejected", "invalid_quantity")
        assert call(item, 4, action="set") == ("applied", None, None, 4, 4, 0)
        print("ok")

        """
}
