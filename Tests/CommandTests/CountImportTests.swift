import Foundation
import TestSupport
import Testing

/// Imports of stock counts, and what they would change.
@Suite("Imports of counts") struct CountImportTests {
    private static func withCounts(
        _ body: @escaping @Sendable (TestDatabase, Program, String) throws -> Void
    ) async throws {
        try await withDatabase { database in
            let path = NSTemporaryDirectory() + "stockq-count-\(UUID().uuidString).csv"
            defer { try? FileManager.default.removeItem(atPath: path) }
            try Data(
                """
                store_id,item_id,on_hand
                s,a,15
                s,b,20
                s,new,7
                s,promised,1
                s,twice,1
                s,twice,2

                """.utf8
            ).write(to: URL(fileURLWithPath: path))
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand, allocated) VALUES
                    ('s', 'a', 20, 0), ('s', 'b', 20, 0), ('s', 'promised', 9, 4);
                INSERT INTO stockq.jobs (store_id, item_id, quantity, enqueued_at)
                VALUES ('s', 'a', -3, now() - interval '10 minutes')
                """)
            try database.drain()
            try database.run("SELECT stockq.enqueue('s', 'b', 1)")
            try body(database, Program(database), path)
        }
    }

    private static func time(_ database: TestDatabase, minutesAgo: Int) throws -> String {
        try database.value(
            "SELECT to_char((now() - interval '\(minutesAgo) minutes') AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
        )
    }

    @Test("a dry run shows what the counts would change, and changes nothing") func dryRun() async throws {
        try await Self.withCounts { database, program, path in
            let before = try database.rows("SELECT * FROM stockq.items ORDER BY item_id")
            let at = try Self.time(database, minutesAgo: 30)
            let arguments = ["items", "import", path, "--set-stock", "--counted-at", at, "--dry-run"]
            let ended = try program.run(arguments)
            #expect(
                ended.out == """
                    line 2: s/a: on hand 17 → 12
                    line 4: s/new: created, on hand 7
                    line 5: s/promised: the count of 1 would be rejected: insufficient_stock
                    line 6: bad line: the item is also on line 7, with other values; keep one of the lines
                    line 7: bad line: the item is also on line 6, with other values; keep one of the lines

                    """)
            #expect(
                ended.err.contains(
                    "items: 1 created, 0 changed, 3 unchanged, 2 bad lines; 1 stock count would change the stock, 1 would be rejected; nothing was changed"
                ), "\(ended.err)")
            #expect(ended.code == 1)
            let csv = try program.run(arguments + ["--csv"]).out
            #expect(csv.contains("3,s,b,main,unchanged,20,20,unchanged,no_change,1,\n"), "\(csv)")
            let json = try program.run(arguments + ["--json"]).out
            #expect(
                json.contains(
                    #"{"line":2,"store_id":"s","item_id":"a","location_id":"main","item":"unchanged","on_hand":17,"on_hand_after":12,"outcome":"applied","code":null,"queued_jobs":0}"#
                ), "\(json)")
            #expect(try database.rows("SELECT * FROM stockq.items ORDER BY item_id") == before)
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "1")
            #expect(try database.value("SELECT count(*) FROM stockq.imports") == "0")
        }
    }

    @Test("the import does what the dry run showed") func imported() async throws {
        try await Self.withCounts { database, program, path in
            let at = try Self.time(database, minutesAgo: 30)
            _ = try program.run(["items", "import", path, "--set-stock", "--counted-at", at])
            try database.drain()
            #expect(
                try database.rows("SELECT item_id, on_hand FROM stockq.items ORDER BY 1")
                    == ["a,12", "b,21", "new,7", "promised,9"])
        }
    }

    @Test(
        "options that do not go together are refused",
        arguments: [
            (["--counted-at", "2026-01-01T00:00:00Z"], "add --set-stock"), (["--csv"], "needs --dry-run"),
            (["--dry-run", "--csv", "--json"], "not both"),
        ])
    func options(arguments: [String], problem: String) async throws {
        try await Self.withCounts { _, program, path in
            let ended = try program.run(["items", "import", path] + arguments)
            #expect(ended.code == 2 && ended.err.contains(problem), "\(ended.err)")
        }
    }
}
