import Foundation
import TestSupport
import Testing

/// `stockq export`, and what `stockq prune` says.
@Suite("Export and prune") struct ExportTests {
    private static func shop(_ database: TestDatabase) throws {
        try database.run(
            """
            INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold) VALUES
                ('s', 'a', 10, 5), ('t', 'b', 10, NULL)
            """)
        try database.enqueue(.adjust("a", -6, reason: "said \"no\", \\.\nand left"), .adjust("b", -1, store: "t"))
        try database.drain()
    }

    @Test("CSV is what the database has") func csv() async throws {
        try await withDatabase { database in
            try Self.shop(database)
            let program = Program(database)
            let results = try program.run(["export", "results"])
            #expect(results.code == 0 && results.err == "2 rows\n", "\(results)")
            // Read back by the server: the same rows.
            let file = NSTemporaryDirectory() + "/stockq-\(UUID().uuidString).csv"
            try results.out.write(toFile: file, atomically: true, encoding: .utf8)
            defer { unlink(file) }
            chmod(file, 0o644)
            try database.run(
                """
                CREATE TABLE copied (LIKE stockq.results);
                COPY copied FROM '\(file)' (FORMAT csv, HEADER MATCH)
                """)
            let difference = "SELECT count(*) FROM (TABLE copied EXCEPT TABLE stockq.results) AS d"
            #expect(try database.rows("SELECT count(*) FROM copied") == ["2"])
            #expect(try database.value(difference) == "0")
            for content in ["items", "notifications"] {
                let exported = try program.run(["export", content, "--store", "s"])
                #expect(exported.out.split(separator: "\n").count == 2 && exported.err == "1 row\n", "\(exported)")
            }
        }
    }

    @Test("CSV for a spreadsheet has its separator and a byte order mark") func spreadsheet() async throws {
        try await withDatabase { database in
            try database.run("INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'ü;1', 10)")
            let program = Program(database)
            let words = ["export", "items", "--delimiter", "semicolon", "--byte-order-mark"]
            let exported = try program.runInShell(words.joined(separator: " "), "| od -An -c -N 18")
            #expect(exported.out == " 357 273 277   s   t   o   r   e   _   i   d   ;   i   t   e   m\n   _   i\n")
            #expect(try program.run(words).out.contains("\ns;\"ü;1\";"))
            let json = try program.run(words + ["--format", "ndjson"])
            #expect(json.code == 2 && json.err.contains("are for CSV"), "\(json)")
        }
    }

    @Test("a line of NDJSON is the row, whatever is in it; times and stores choose rows") func ndjson() async throws {
        try await withDatabase { database in
            try Self.shop(database)
            try database.run("UPDATE stockq.results SET finished_at = '2026-01-15T12:00:00Z' WHERE store_id = 's'")
            let program = Program(database)
            let january = try program.run([
                "export", "results", "--format", "ndjson", "--from", "2026-01-01", "--to", "2026-02-01",
            ])
            #expect(january.code == 0 && january.err == "1 row\n", "\(january)")
            let row = try #require(
                try JSONSerialization.jsonObject(with: Data(january.out.utf8)) as? [String: Any])
            #expect(row["reason"] as? String == "said \"no\", \\.\nand left")
            #expect(row["job_id"] as? Int == 1 && row["on_hand_after"] as? Int == 4)
            let other = try program.run(["export", "results", "--format", "ndjson", "--store", "t"])
            #expect(other.err == "1 row\n" && other.out.contains(#""item_id":"b""#), "\(other)")
            #expect(try program.run(["export", "results", "--from", "1h", "--store", "s"]).err == "0 rows\n")
        }
    }

    @Test("many rows go through a pipe whose reader stops, and through a small memory") func stream() async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand)
                SELECT 's', 'item-' || i, i FROM generate_series(1, 200000) AS i
                """)
            let program = Program(database)
            let head = try program.runInShell("export items --format ndjson", "2>/dev/null | head -n 2")
            #expect(head.code == 0 && head.out.split(separator: "\n").count == 2, "\(head)")
            // 200,000 rows have about 60 MB; the program needs a part of that.
            let counted = try program.runInShell("export items", "2>/dev/null | wc -l", before: "ulimit -v 1000000; ")
            #expect(counted.out.trimmingCharacters(in: .whitespaces) == "200001\n", "\(counted)")
            let full = try program.runInShell("export items", ">/dev/full")
            #expect(full.code == 1 && full.err.contains("cannot write standard output: No space left"), "\(full)")
        }
    }

    @Test("prune says what it dropped, what it kept and why") func prune() async throws {
        try await withDatabase { database in
            try Self.shop(database)
            let program = Program(database)
            let later = try database.value("SELECT count(*) - 1 FROM stockq.partition_bounds() HAVING count(*) > 2")
            let young = try program.run(["prune"])
            #expect(
                young.out == """
                    dropped 0 partitions of results older than 400d
                    results_000000000000000 is kept: its job ids are not used up
                    \(later) later partitions kept with it
                    dropped 0 keys older than 400d
                    dropped 0 deliveries older than 30d
                    dropped 0 notifications older than 400d
                    dropped 0 records of operations older than 400d
                    dropped 0 records of imports older than 400d

                    """, "\(young)")
            try database.run(
                """
                SELECT setval('stockq.jobs_job_id_seq', 5000001);
                UPDATE stockq.notifications SET created_at = now() - interval '500 days'
                """)
            let kept = try program.run(["prune"])
            #expect(kept.out.contains("results_000000000000000 is kept: a result was finished at "), "\(kept)")
            #expect(kept.out.contains("older notifications are kept: those of results that are kept"), "\(kept)")
            // The settings say how long, wherever they come from.
            var setting = program
            setting.environment["STOCKQ_KEEP_KEYS"] = "7d"
            #expect(try setting.run(["prune"]).out.contains("dropped 0 keys older than 7d\n"))
            let folder = NSTemporaryDirectory() + "/stockq-\(UUID().uuidString)"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(atPath: folder) }
            try database.run("UPDATE stockq.results SET finished_at = now() - interval '500 days'")
            let failed = try program.run(["prune", "--export-dir", "/nowhere"])
            #expect(failed.code == 1 && failed.err.contains("cannot create /nowhere/"), "\(failed)")
            #expect(failed.out.hasPrefix("dropped 0 partitions"), "\(failed)")
            let dropped = try program.run(["prune", "--export-dir", folder])
            #expect(
                dropped.out.hasPrefix(
                    """
                    dropped 1 partition of results older than 400d
                      results_000000000000000, written to \(folder)/results_000000000000000.csv
                    results_000000005000000 is kept: its job ids are not used up

                    """), "\(dropped)")
            #expect(dropped.out.contains("dropped 1 notifications older than 400d\n"), "\(dropped)")
            #expect(try program.run(["verify"]).code == 0)
        }
    }
}
