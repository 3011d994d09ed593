import Foundation
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// Runs the examples of the guide to feeds.
@Suite struct FeedDocsTests {
    private static let page = "docs/guides/feeds.md"

    private static func shop(_ database: TestDatabase) throws {
        try database.run(
            """
            INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold)
            VALUES ('berlin', 'mug', 5, 2), ('hamburg', 'cap', 1, NULL)
            """)
        try database.enqueue(.adjust("mug", -1, store: "berlin"), .adjust("mug", -2, store: "berlin"))
        try database.enqueue(.adjust("cap", -1, store: "hamburg"))
        try database.drain()
    }

    @Test("every SQL example of the guide to feeds returns rows") func sql() async throws {
        try await withDatabase { database in
            try Self.shop(database)
            let blocks = try ProducerDocsTests.blocks("sql", in: Self.page)
            #expect(blocks.count == 2)
            for block in blocks {
                let ended = try Program().start(
                    ["-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-d", database.conninfo],
                    input: Array(block.utf8),
                    executable: "/usr/bin/psql"
                ).wait()
                #expect(
                    ended.code == 0 && ended.out.contains("mug") && ended.out.contains("cap"), "\(block): \(ended.err)")
            }
        }
    }

    @Test("the Python reader of the guide reads each change once, over restarts") func python() async throws {
        try await withDatabase { database in
            try Self.shop(database)
            let script = try #require(try ProducerDocsTests.blocks("python", in: Self.page).first)
            let first = try ProducerDocsTests.python(script, database)
            #expect(first.code == 0, "\(first.err)")
            #expect(Set(first.out.split(separator: "\n")) == ["mug 1 4", "mug 2 2", "cap 1 0"])
            #expect(try ProducerDocsTests.python(script, database).out == "")
            try database.enqueue(.adjust("mug", -1, store: "berlin"))
            try database.drain()
            #expect(try ProducerDocsTests.python(script, database).out == "mug 3 1\n")
        }
    }

    @Test("a batch sends a hint on the feed's channel if the setting asks for it") func hints() async throws {
        try await withDatabase { database in
            try Self.shop(database)
            let listener = try database.connect()
            try listener.listen(channel: "stockq_feed")
            try database.enqueue(.adjust("mug", -1, store: "berlin"))
            try database.drain { $0.feedHints = true }
            #expect(try listener.waitForNotification(wakeDescriptor: -1, timeoutMs: 10_000).contains("stockq_feed"))
        }
    }

    @Test("stockq changes shows every change with its cursor, and goes on after one") func command() async throws {
        try await withDatabase { database in
            try Self.shop(database)
            let program = Program(database)
            let shown = try program.run(["changes", "--store", "berlin"])
            #expect(
                shown.out.split(separator: "\n").map { $0.split(separator: "  ").dropFirst().joined(separator: " ") }
                    == [
                        "berlin mug adjust -1 on hand 5 → 4, available 5 → 4, version 1, job 1",
                        "berlin mug adjust -2 on hand 4 → 2, available 4 → 2, version 2, job 2",
                    ])
            struct Line: Decodable {
                var cursor: String
            }
            let json = try program.run(["changes", "--json"]).out.split(separator: "\n").map {
                try JSONDecoder().decode(Line.self, from: Data($0.utf8))
            }
            #expect(json.count == 3)
            let rest = try program.run(["changes", "--after", json[0].cursor, "--json"])
            #expect(rest.out.split(separator: "\n").count == 2)
            #expect(try program.run(["changes", "--after", json[2].cursor]).out == "")
        }
    }
}
