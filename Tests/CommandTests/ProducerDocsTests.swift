import Foundation
import StockModel
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// Runs the examples of the guides, in the order in which a reader meets them.
@Suite struct ProducerDocsTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
        "../..")

    /// Later pages use the jobs of earlier ones.
    private static let pages = ["sql", "idempotency", "orders", "results", "swift"]

    private static func blocks(_ language: String) throws -> [String] {
        try pages.flatMap { page in
            let text = try String(contentsOf: root.appendingPathComponent("docs/guides/\(page).md"), encoding: .utf8)
            return text.split(separator: "\n```").map(String.init).filter {
                $0.hasPrefix("\(language)\n") || $0.hasPrefix("```\(language)\n")
            }
            .map { $0.drop { $0 != "\n" }.dropFirst() }.map(String.init)
        }
    }

    /// Runs the first two examples, which create a role and items.
    private static func shop(_ database: TestDatabase) throws {
        for block in try blocks("sql").prefix(2) {
            try database.run(
                block.replacingOccurrences(of: "CREATE ROLE shop LOGIN;", with: "").replacingOccurrences(
                    of: "GRANT stockq_producer TO shop;", with: ""
                ).replacingOccurrences(of: "'shop'", with: "'stockq'"))
        }
    }

    static func whileWorking(_ database: TestDatabase, _ body: () throws -> Void) throws {
        let pool = WorkerPool(connection: database.settings, schema: database.schema, settings: WorkerSettings())
        let running = Background { pool.run() }
        defer { pool.finish() }
        try body()
        pool.finish()
        try running.wait()
    }

    /// Each block in a psql of its own, one after the other, while workers run.
    @Test("every SQL example runs") func sql() async throws {
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

    @Test("the Python example runs") func python() async throws {
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

    /// The example of the Swift guide, compiled here; the test compares both texts.
    @Test("the Swift example runs") func swift() async throws {
        let database = try TestDatabase()
        defer { database.drop() }
        try await onThread { try Self.shop(database) }
        let pool = WorkerPool(connection: database.settings, schema: database.schema, settings: WorkerSettings())
        let running = Background { pool.run() }
        let conninfo = database.conninfo

        // The example begins here.
        let queue = StockQueueClient(ConnectionSettings(conninfo: conninfo, applicationName: "shop"))
        defer { queue.close() }

        var job = JobRequest(store: "berlin", item: "mug", quantity: -1)
        job.idempotencyKey = "order 1005"
        let receipt = try await queue.enqueue(job)
        if let result = try await queue.result(of: receipt.jobID, timeoutMs: 10_000) {
            print(result.outcome, result.onHandAfter ?? 0)
        }

        let lines = [
            JobRequest(store: "berlin", item: "mug", quantity: -1),
            JobRequest(store: "berlin", item: "shirt-m", quantity: -1),
        ]
        let receipts = try await queue.enqueue(lines, idempotencyKey: "order 1006")
        let loaded = try await queue.enqueueBulk(
            (1...1_000).map { _ in JobRequest(store: "berlin", item: "shirt-m", quantity: 1) })
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
}
