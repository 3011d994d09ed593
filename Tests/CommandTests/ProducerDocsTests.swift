import Examples
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
        try pages.flatMap { try blocks(language, in: "docs/guides/\($0).md") }
    }

    static func blocks(_ language: String, in page: String) throws -> [String] {
        let text = try String(contentsOf: root.appendingPathComponent(page), encoding: .utf8)
        return text.split(separator: "\n```").map(String.init).filter {
            $0.hasPrefix("\(language)\n") || $0.hasPrefix("```\(language)\n")
        }
        .map { $0.drop { $0 != "\n" }.dropFirst() }.map(String.init)
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
        let workers = database.startWorkers()
        try body()
        try workers.stop()
    }

    /// Each block in a psql of its own, one after the other, while workers run.
    @Test("every SQL example runs") func everySQLExampleRuns() async throws {
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

    @Test("the Python example runs") func thePythonExampleRuns() async throws {
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

    /// A text without its white space, which a block of a page and a function need not share.
    private static func words(_ text: String) -> String { text.filter { !$0.isWhitespace } }

    /// The lines of a documentation comment's example.
    private static func commentedBlocks(_ file: String) throws -> [String] {
        let text = try String(contentsOf: root.appendingPathComponent(file), encoding: .utf8)
        let parts = text.components(separatedBy: "/// ```swift\n")
        return parts.dropFirst().map { part in
            part.components(separatedBy: "/// ```\n")[0].split(separator: "\n").map { line in
                String(line.drop { $0 == " " }.dropFirst(3))
            }.joined(separator: "\n")
        }
    }

    @Test("every Swift example of guide and DocC catalog is compiled")
    func swiftExamplesAreCompiled() throws {
        let compiled = Self.words(
            try String(
                contentsOf: Self.root.appendingPathComponent("Tests/Examples/GuideExamples.swift"), encoding: .utf8))
        let article = "Sources/StockQueue/StockQueue.docc/FromInsertToResult.md"
        let blocks =
            try Self.blocks("swift") + Self.blocks("swift", in: article)
            + Self.blocks("swift", in: "docs/guides/webhooks.md")
            + Self.commentedBlocks("Sources/StockQueue/Client/StockQueueClient.swift")
            + Self.commentedBlocks("Sources/StockQueue/Feeds/StockQueueClient+Feeds.swift")
            + Self.commentedBlocks("Sources/StockQueue/StockWorkers.swift")
        #expect(blocks.count >= 17)
        for block in blocks { #expect(compiled.contains(Self.words(block)), "not compiled: \(block)") }
    }

    @Test("the Swift examples run", .timeLimit(.minutes(15)))
    func swiftExamplesRun() async throws {
        let database = try TestDatabase()
        defer { database.drop() }
        try await onThread { try Self.shop(database) }
        let conninfo = database.conninfo
        let queue = StockQueueClient(ConnectionSettings(conninfo: conninfo, applicationName: "examples"))
        let stored = Shared<NotificationCursor?>(nil)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await runWorkers(conninfo: conninfo) }
            group.addTask { try await queue.run() }
            try await withQueue(conninfo: conninfo)
            let receipts = try await sellAnOrder(with: queue)
            #expect(try await queue.result(of: receipts[1].jobID, timeout: .seconds(20))?.outcome == .applied)
            #expect(try await restock(with: queue).map(\.key) == [ItemKey("berlin", "mug"), ItemKey("berlin", "mug")])
            try await sellUnlessFull(JobRequest(store: "", item: "mug", quantity: -1), with: queue)
            let last = try await queue.enqueue(JobRequest(store: "berlin", item: "mug", quantity: -10))
            #expect(try await queue.result(of: last.jobID, timeout: .seconds(20))?.after?.available == 0)
            let following = Task {
                try await follow(queue, from: .beginning) { stored.value = $0 }
            }
            let changed = Shared<ChangeCursor?>(nil)
            let followingChanges = Task {
                try await followChanges(queue, from: nil) { changed.value = $0 }
            }
            try await onThread { #expect(eventually { changed.value != nil }, "a change of stock") }
            followingChanges.cancel()
            await #expect(throws: QueueError.self) { try await followingChanges.value }
            try await onThread { #expect(eventually { stored.value != nil }, "out of stock") }
            following.cancel()
            await #expect(throws: QueueError.self) { try await following.value }
            group.cancelAll()
            try await group.waitForAll()
        }
    }
}
