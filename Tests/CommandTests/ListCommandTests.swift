import Foundation
import StockQueuePostgres
import TestSupport
import Testing

/// Lists of jobs, results, items, operations and limits on the command line.
@Suite("Lists") struct ListCommandTests {
    /// Jobs of two stores: applied, rejected, failed, waiting, scheduled and ready.
    private static func fill(_ database: TestDatabase) throws {
        try database.run(
            """
            INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold)
            VALUES ('berlin', 'mug', 10, 5), ('berlin', 'cup', 2, 5), ('oslo', 'mug', 1, NULL);
            INSERT INTO stockq.jobs (store_id, item_id, quantity, on_insufficient, reference, group_id)
            VALUES ('berlin', 'mug', -3, 'reject', 'order-1', NULL), ('berlin', 'cup', -3, 'reject', 'order-2', NULL),
                ('berlin', 'mug', -1, 'reject', 'order-3', 'g'), ('berlin', 'cup', -1, 'reject', 'order-3', 'g'),
                ('oslo', 'mug', -5, 'wait', 'order-4', NULL), ('oslo', 'none', -1, 'reject', 'a, "b"', NULL);
            """)
        try database.drain()
        try database.run(
            """
            INSERT INTO stockq.jobs (store_id, item_id, quantity, run_at)
            VALUES ('berlin', 'mug', -1, NULL), ('berlin', 'mug', -2, now() + interval '1 hour')
            """)
    }

    private static func jobs(_ database: TestDatabase, _ words: [String]) throws -> [Int] {
        let ended = try Program(database).run(words + ["--json"])
        #expect(ended.code == 0, "\(ended.err)")
        return try ended.out.split(separator: "\n").map { line in
            let row = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
            return try #require(row?["job_id"] as? Int)
        }
    }

    @Test("a list is written for spreadsheets that separate fields by semicolons") func spreadsheetForm() async throws {
        try await withDatabase { database in
            try database.run(
                "INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold) VALUES ('s', 'a;b', 1, 5)")
            let program = Program(database)
            let form = ["--delimiter", "semicolon", "--byte-order-mark"]
            let listed = try program.run(["items", "list", "--level", "low", "--csv"] + form)
            #expect(listed.code == 0, "\(listed.err)")
            let words = ["items", "list", "--csv"] + form
            let beginning = try program.runInShell(words.joined(separator: " "), "| od -An -c -N 12")
            #expect(beginning.out == " 357 273 277   s   t   o   r   e   _   i   d   ;\n")
            #expect(listed.out.contains("\ns;\"a;b\";"), "\(listed.out)")
            let read = try program.run(["items", "import", "-"], input: listed.out)
            #expect(read.code == 0, "\(read.err)")
            #expect(read.out.contains("1 unchanged"), "\(read.out)")
            for words in [["items", "list"], ["results", "list", "--json"], ["stats"]] {
                let refused = try program.run(words + ["--byte-order-mark"])
                #expect(refused.code == 2)
                #expect(refused.err.contains("--delimiter and --byte-order-mark are for CSV"), "\(refused.err)")
            }
        }
    }

    static let jobLists: [([String], [Int])] = [
        ([], [5, 7, 8]), (["--state", "ready"], [7]), (["--state", "scheduled"], [8]), (["--state", "waiting"], [5]),
        (["--state", "failed"], []), (["--store", "oslo"], [5]), (["--store", "berlin", "--item", "mug"], [7, 8]),
        (["--reference", "order-4"], [5]), (["--limit", "1"], [5]), (["--after", "5", "--limit", "1"], [7]),
        (["--since", "1h"], [5, 7, 8]), (["--until", "1h"], []), (["--since", "2999-01-01T00:00:00Z"], []),
        (["--group", "g"], []), (["--key", "k"], []), (["--location", "main", "--state", "ready"], [7]),
    ]

    @Test("each filter of jobs list selects the jobs that it says", arguments: jobLists)
    func jobsList(options: [String], expected: [Int]) async throws {
        try await withDatabase { database in
            try Self.fill(database)
            let found = try Self.jobs(database, ["jobs", "list"] + options)
            #expect(found == expected)
        }
    }

    @Test("ready jobs of what is paused are shown as paused, and the filters agree") func pausedJobs() async throws {
        try await withDatabase { database in
            try Self.fill(database)
            try database.run(
                """
                INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('oslo', 'mug', -1);
                CREATE ROLE seller_of_\(database.name) LOGIN; GRANT stockq_producer TO seller_of_\(database.name);
                SELECT stockq.grant_store('seller_of_\(database.name)', 'berlin', '{enqueue,read}')
                """)
            defer { try? database.run("DROP ROLE seller_of_\(database.name)") }
            let all = Program(database)
            var seller = all
            seller.environment["DATABASE_URL"] = database.settings(as: "seller_of_\(database.name)").conninfo
            func states(_ program: Program) throws -> [String] {
                let rows = try program.run(["jobs", "list", "--csv"])
                #expect(rows.code == 0, "\(rows.err)")
                let listed = rows.out.split(separator: "\n").dropFirst().map {
                    $0.split(separator: ",").prefix(2).joined(separator: " ")
                }
                // Each filter selects what is shown so.
                for state in ["ready", "paused", "scheduled", "waiting"] {
                    let selected = try program.run(["jobs", "list", "--state", state, "--csv"]).out
                    #expect(
                        selected.split(separator: "\n").count - 1 == listed.count { $0.hasSuffix(" \(state)") },
                        "\(state): \(selected)")
                }
                return listed
            }
            #expect(try states(all) == ["5 waiting", "7 ready", "8 scheduled", "9 ready"])
            #expect(try all.run(["pause", "--store", "berlin"]).code == 0)
            #expect(try states(all) == ["5 waiting", "7 paused", "8 scheduled", "9 ready"])
            #expect(try states(seller) == ["7 paused", "8 scheduled"])
            #expect(try all.run(["resume", "--all"]).code == 0)
            #expect(try all.run(["pause", "--store", "oslo"]).code == 0)
            #expect(try states(seller) == ["7 ready", "8 scheduled"])
            let lane = try database.value("SELECT lane FROM stockq.jobs WHERE job_id = 7")
            #expect(try all.run(["pause", "--lane", lane]).code == 0)
            #expect(try states(all) == ["5 waiting", "7 paused", "8 scheduled", "9 paused"])
            #expect(try all.run(["pause", "--all", "--yes"]).code == 0)
            #expect(try states(seller) == ["7 paused", "8 scheduled"])
            #expect(try all.run(["resume", "--all"]).code == 0)
            #expect(try states(all) == ["5 waiting", "7 ready", "8 scheduled", "9 ready"])
        }
    }

    @Test("a job that waits for stock counts as waiting also when it is due") func dueWaitingJob() async throws {
        try await withDatabase { database in
            try Self.fill(database)
            try database.run(
                "UPDATE stockq.jobs SET run_at = now() - interval '1 hour' WHERE waiting_since IS NOT NULL")
            let program = Program(database)
            let shown = try program.run(["stats"]).out
            #expect(
                shown.contains("  ready      1 in 1 lane") && shown.contains("  waiting    1 for stock"), "\(shown)")
            #expect(try Self.jobs(database, ["jobs", "list", "--state", "waiting"]) == [5])
            #expect(
                try program.run(["stats", "--by", "store", "--csv"]).out.hasPrefix(
                    """
                    store_id,ready,scheduled,waiting,retrying,paused,oldest_ready_at,lanes
                    berlin,1,1,0,0,0,2
                    """))
            #expect(try program.run(["stats", "--by", "item", "--csv"]).out.contains("oslo,mug,main,0,0,1,0,0,,-5"))
            let doctor = try program.run(["doctor", "--max-age", "10m"]).out
            #expect(!doctor.contains("ready"), "\(doctor)")
        }
    }

    static let resultLists: [([String], [Int])] = [
        ([], [6, 4, 3, 2, 1]), (["--outcome", "rejected"], [6, 2]), (["--code", "unknown_item"], [6]),
        (["--code", "insufficient_stock", "--store", "berlin"], [2]), (["--group", "g"], [4, 3]),
        (["--group", "g", "--item", "cup"], [4]), (["--reference", "order-3"], [4, 3]), (["--limit", "2"], [6, 4]),
        (["--before", "4", "--limit", "1"], [3]), (["--since", "1h", "--store", "oslo"], [6]), (["--until", "1h"], []),
        (["--outcome", "failed"], []), (["--key", "k"], []), (["--location", "main"], [6, 4, 3, 2, 1]),
    ]

    @Test("each filter of results list selects the results that it says", arguments: resultLists)
    func resultsList(options: [String], expected: [Int]) async throws {
        try await withDatabase { database in
            try Self.fill(database)
            let found = try Self.jobs(database, ["results", "list"] + options)
            #expect(found == expected)
        }
    }

    @Test("failed jobs are in both lists") func failed() async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 1);
                CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    RAISE data_exception USING MESSAGE = 'not today';
                END
                $$;
                CREATE TRIGGER refuse BEFORE UPDATE ON stockq.items FOR EACH ROW EXECUTE FUNCTION refuse();
                INSERT INTO stockq.jobs (store_id, item_id, quantity, max_attempts) VALUES ('s', 'a', -1, 1)
                """)
            try database.drain()
            #expect(try Self.jobs(database, ["jobs", "list", "--state", "failed"]) == [1])
            #expect(try Self.jobs(database, ["jobs", "list"]) == [])
            #expect(try Self.jobs(database, ["results", "list", "--outcome", "failed"]) == [1])
            let list = try Program(database).run(["jobs", "list", "--state", "failed"]).out
            #expect(list.contains("failed") && list.contains("not today"), "\(list)")
        }
    }

    @Test("a list for people has a heading, times and the item's name") func table() async throws {
        try await withDatabase { database in
            try Self.fill(database)
            try database.run("UPDATE stockq.results SET finished_at = '2026-03-01 12:00:00.75Z' WHERE job_id = 2")
            let list = try Program(database).run(
                ["results", "list", "--outcome", "rejected", "--store", "berlin"])
            #expect(
                list.out == """
                    job  finished                  outcome                        action  quantity  item        on hand  group  reference  message
                      2  2026-03-01T12:00:00.750Z  rejected (insufficient_stock)  adjust        -3  berlin/cup        2         order-2

                    """, "\(list.out)")
            let cut = try Program(database).run(["results", "list", "--limit", "1"])
            #expect(cut.err == "only the first 1; continue with --before 6\n")
        }
    }

    @Test("CSV has a header, and quotes what must be quoted") func csv() async throws {
        try await withDatabase { database in
            try Self.fill(database)
            let ended = try Program(database).run(["results", "list", "--store", "oslo", "--csv"])
            let lines = ended.out.split(separator: "\n")
            #expect(lines.count == 2 && lines[0].hasPrefix("job_id,finished_at,outcome,code,"))
            #expect(
                lines[1].hasPrefix("6,") && lines[1].contains(",rejected,unknown_item,,oslo,none,main,adjust,-1,0,"))
            #expect(lines[1].contains(",\"a, \"\"b\"\"\","), "\(ended.out)")
            let both = try Program(database).run(["jobs", "list", "--csv", "--json"])
            #expect(both.code == 2 && both.err.contains("give --json or --csv, not both"))
        }
    }

    @Test("items list writes the CSV that items import reads") func itemsRoundTrip() async throws {
        try await withDatabase { database in
            try Self.fill(database)
            let written = try Program(database).run(["items", "list", "--csv"]).out
            let program = Program(database)
            #expect(try program.run(["migrate", "--schema", "copy"]).code == 0)
            let words = ["items", "import", "-", "--format", "csv", "--schema", "copy"]
            let imported = try program.run(words, input: written)
            #expect(imported.code == 0, "\(imported.err)")
            #expect(try program.run(["items", "list", "--csv", "--schema", "copy"]).out == written)
        }
    }

    @Test("items list sorts by what is left") func itemsByAvailable() async throws {
        try await withDatabase { database in
            try Self.fill(database)
            let ended = try Program(database).run(["items", "list", "--sort", "available", "--csv"])
            let items = ended.out.split(separator: "\n").dropFirst().map {
                $0.split(separator: ",")[0...2].joined(separator: "/")
            }
            #expect(items == ["berlin/cup/1", "oslo/mug/1", "berlin/mug/6"])
            let usage = try Program(database).run(["items", "list", "--sort", "available", "--after", "a/b/c"])
            #expect(usage.code == 2)
        }
    }

    @Test("operations list says who did what, and limits list which store has a limit") func administration()
        async throws
    {
        try await withDatabase { database in
            #expect(try Program(database).run(["limits", "set", "berlin", "100"]).code == 0)
            #expect(try Program(database).run(["pause", "--store", "oslo"]).code == 0)
            #expect(
                try Program(database).run(["limits", "list", "--csv"]).out == "store_id,ready_jobs_max\nberlin,100\n")
            let operations = try Program(database).run(["operations", "list"]).out
            #expect(operations.contains("store berlin, limit 100 ready jobs"), "\(operations)")
            let pauses = try Program(database).run(["operations", "list", "--verb", "pause", "--csv"]).out
            #expect(pauses.split(separator: "\n").count == 2 && pauses.contains("oslo"), "\(pauses)")
        }
    }

    @Test("operations list says in words what was done") func operationWords() async throws {
        try await withDatabase { database in
            try Self.fill(database)
            let program = Program(database)
            for words in [
                "pause --all --yes", "resume --all", "pause --lane 5",
                "items set berlin mug --threshold 7 --tracked no",
                "items set berlin mug --threshold none", "cancel 7 8 --reason mistake --yes", "retry 7",
                "alerts set berlin --quiet 6h --margin 2",
                "tokens create till --store berlin --scope enqueue",
            ] {
                let ended = try program.run(words.split(separator: " ").map(String.init))
                #expect(ended.code == 0, "\(words): \(ended.err)")
            }
            try database.run("UPDATE stockq.items SET on_hand = 99 WHERE item_id = 'cup'")
            #expect(try program.run(["items", "reconcile", "berlin", "cup", "--reason", "found"]).code == 0)
            let listed = try program.run(["operations", "list"]).out
            for words in [
                "  everything\n", "  lane 5\n", "  berlin/mug, not tracked, threshold 7\n",
                "  berlin/mug, without threshold\n", "jobs 7 8",
                "reason mistake", "jobs 7\n",
                "berlin/cup, on hand 1 → 99, reason found\n", "store berlin, quiet period 06:00:00, margin 2\n",
                "scopes enqueue",
            ] {
                #expect(listed.contains(words), "\(words): \(listed)")
            }
            #expect(!listed.contains("_id") && !listed.contains("true"), "\(listed)")
            #expect(try program.run(["operations", "list", "--json"]).out.contains(#""store_id": "berlin""#))
        }
    }

    @Test("operations list shows the beginning of a long list of jobs, and programs get all of it") func longSubject()
        async throws
    {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.operations (who, verb, subject)
                SELECT 'me', 'cancel', jsonb_build_object('jobs', ARRAY(SELECT generate_series(1, last)))
                FROM (VALUES (3), (100000)) AS jobs (last);
                INSERT INTO stockq.operations (who, verb, subject) VALUES ('me', 'x', jsonb_build_object('y', repeat('z', 5000)))
                """)
            let list = try Program(database).run(["operations", "list"]).out
            #expect(list.contains("jobs 1 2 3\n") && list.contains(" 99 100 … and 99,900 more\n"))
            #expect(list.contains("zzz…\n") && list.utf8.count < 10_000, "\(list.utf8.count)")
            for format in ["--json", "--csv"] {
                let rows = try Program(database).run(["operations", "list", format]).out
                #expect(rows.contains("100000") && rows.contains(String(repeating: "z", count: 5_000)))
            }
        }
    }
}
