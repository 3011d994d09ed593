import Foundation
import StockQueuePostgres
import TestSupport
import Testing

/// Imports as rows: their names, their jobs, the same file again, and imports that are resumed.
@Suite struct NamedImportTests {
    /// A file of the test, in a folder of its own.
    private final class File {
        let path: String
        private let folder = NSTemporaryDirectory() + "stockq-named-\(UUID().uuidString)"

        init(_ name: String, _ text: String) throws {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            path = "\(folder)/\(name)"
            try write(text)
        }

        func write(_ text: String) throws { try Data(text.utf8).write(to: URL(fileURLWithPath: path)) }

        deinit { try? FileManager.default.removeItem(atPath: folder) }
    }

    private static let header = "store_id,item_id,quantity\n"

    private static func lines(_ numbers: ClosedRange<Int>, item: String = "a") -> String {
        numbers.map { "s,\(item),\($0)\n" }.joined()
    }

    private static func imports(_ database: TestDatabase) throws -> [String] {
        try database.rows(
            """
            SELECT concat_ws(' ', name, kind, state, run, lines, enqueued, duplicates, rejected, 'through', through_line)
            FROM stockq.imports ORDER BY import_id
            """)
    }

    /// The items in a list of jobs or results.
    private static func items(_ program: Program, _ words: String...) throws -> [String] {
        let listed = try program.run(words + ["--csv"])
        #expect(listed.code == 0, "\(listed.err)")
        let rows = listed.out.split(separator: "\n").map { $0.split(separator: ",", omittingEmptySubsequences: false) }
        let column = try #require(rows.first?.firstIndex(of: "item_id"))
        return rows.dropFirst().map { String($0[column]) }
    }

    /// Runs the program with its standard input at a pipe, which it can read only once.
    private static func pipe(_ program: Program, _ input: String, _ words: String...) throws -> Program.Ended {
        let script = "cat | { \"$@\"; }"
        return try program.start(
            ["-c", script, "sh", Program.path] + words, input: Array(input.utf8), executable: "/bin/sh"
        ).wait()
    }

    /// Lets every insert of a job of the item fail.
    private static func refuse(_ item: String, _ database: TestDatabase) throws {
        try database.run(
            """
            CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                RAISE 'no room on the shelf';
            END
            $$;
            CREATE TRIGGER refuse BEFORE INSERT ON stockq.jobs
            FOR EACH ROW WHEN (NEW.item_id = '\(item)') EXECUTE FUNCTION public.refuse()
            """)
    }

    @Test("the jobs and results of an import are listed by its name, and no others") func lists() async throws {
        try await withDatabase { database in
            try database.run("INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 9)")
            let program = Program(database)
            let pipe = try NamedPipe()
            defer { pipe.close() }
            let importing = try program.start(
                ["import", pipe.path, "--format", "csv", "--commit-interval", "20ms", "--name", "my orders"])
            // Jobs of other transactions, with ids before, between and behind those of the import.
            try database.run("SELECT stockq.enqueue('s', 'other', 1)")
            for number in 1...3 {
                try pipe.write("\(number == 1 ? Self.header : "")s,a,-\(number)\ns,b\(number),1\n")
                #expect(
                    try eventually {
                        try database.value("SELECT count(*) FROM stockq.jobs WHERE item_id <> 'other'")
                            == "\(number * 2)"
                    })
                try database.run("SELECT stockq.enqueue('s', 'other', 1)")
            }
            let mine = ["a", "b1", "a", "b2", "a", "b3"]
            #expect(try Self.items(program, "jobs", "list", "--import", "my orders") == mine)
            importing.send(SIGTERM)
            #expect(try importing.wait().code == 130)
            #expect(try Self.imports(database) == ["my orders jobs stopped 1 6 6 0 0 through 7"])
            #expect(try program.run(["run", "--drain", "--log-level", "error"]).code == 0)
            #expect(try Self.items(program, "results", "list", "--import", "my orders") == mine.reversed())
            #expect(
                try Self.items(program, "results", "list", "--import", "my orders", "--outcome", "rejected")
                    == ["b3", "b2", "b1"])
            #expect(try Self.items(program, "jobs", "list", "--import", "my orders") == [])
            let shown = try program.run(["imports", "show", "my orders"])
            #expect(shown.out.contains("jobs now    3 applied, 3 rejected (unknown_item)"), "\(shown.out)\(shown.err)")
            #expect(shown.out.contains("stopped     reading the input was interrupted"), "\(shown.out)")
            for command in ["results list --import none", "jobs list --import none", "imports show none"] {
                let unknown = try program.run(command.split(separator: " ").map(String.init))
                #expect(unknown.code == 1 && unknown.err.contains("there is no import none"), "\(unknown.err)")
            }
        }
    }

    @Test("an import's queued jobs are canceled by its name, and no others") func cancel() async throws {
        try await withDatabase { database in
            try database.run("INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 9)")
            let program = Program(database)
            let file = try File("wrong.csv", "store_id,item_id,quantity,group_id\ns,a,1,\ns,a,2,g\ns,b,3,g\n")
            #expect(try program.run(["enqueue", "s", "a", "1"]).code == 0)
            #expect(try program.run(["import", file.path]).code == 0)
            let words = ["cancel", "--import", "wrong.csv-1"]
            let rehearsed = try program.run(words + ["--dry-run"])
            #expect(rehearsed.out == "3 jobs: queued → canceled: 2 3 4; nothing was changed\n", "\(rehearsed.err)")
            let misspelled = try program.run(["cancel", "--import", "worng.csv-1"])
            #expect(misspelled.code == 1 && misspelled.err.contains("did you mean wrong.csv-1?"), "\(misspelled.err)")
            let both = try program.run(words + ["--store", "s"])
            #expect(both.code == 2 && both.err.contains("--import names the jobs"), "\(both.err)")
            let canceled = try program.run(words + ["--reason", "wrong file"])
            #expect(canceled.out == "3 jobs: queued → canceled: 2 3 4\n", "\(canceled.err)")
            #expect(try Self.items(program, "jobs", "list") == ["a"])
            #expect(try Self.items(program, "results", "list", "--outcome", "canceled") == ["b", "a", "a"])
            let again = try program.run(words)
            #expect(again.code == 1 && again.out == "0 jobs canceled: no such job is queued\n")
        }
    }

    /// As after a restore into a new cluster, which counts its transactions from the beginning.
    @Test("a job of another transaction with the same number is none of the import's") func restored() async throws {
        try await withDatabase { database in
            let file = try File("a.csv", Self.header + Self.lines(1...2))
            let program = Program(database)
            #expect(try program.run(["import", file.path]).code == 0)
            try database.run(
                """
                SELECT stockq.enqueue('s', 'other', 1);
                UPDATE stockq.jobs SET submission_id = (SELECT min(submission_id) FROM stockq.import_parts)
                """)
            #expect(try Self.items(program, "jobs", "list", "--import", "a.csv-1") == ["a", "a"])
        }
    }

    @Test("the same file is noticed, and refused with --once") func sameFile() async throws {
        try await withDatabase { database in
            let file = try File("day.csv", Self.header + Self.lines(1...3))
            let program = Program(database)
            let first = try program.run(["import", file.path, "--once"])
            #expect(first.code == 0 && first.err == "", "\(first.err)")
            #expect(first.out.hasSuffix(" rows/s; import day.csv-1\n"), "\(first.out)")
            let copy = try File("copy.csv", Self.header + Self.lines(1...3))
            let refused = try program.run(["import", copy.path, "--once"])
            #expect(refused.code == 1)
            #expect(refused.err.contains("the same file was imported before: day.csv-1, 20"), "\(refused.err)")
            #expect(refused.err.contains("by stockq; nothing is imported, because of --once"), "\(refused.err)")
            #expect(try Self.imports(database) == ["day.csv-1 jobs finished 1 3 3 0 0 through 4"])
            let second = try program.run(["import", copy.path])
            #expect(second.code == 0 && second.err.contains("the same file was imported before: day.csv-1"))
            // A pipe is known at its end, and is then as good as a file.
            let piped = try Self.pipe(program, Self.header + Self.lines(4...4), "import", "-")
            #expect(piped.out.hasSuffix("import stdin-3\n") && piped.err == "", "\(piped.out)\(piped.err)")
            let same = try File("same.csv", Self.header + Self.lines(4...4))
            #expect(try program.run(["import", same.path, "--once"]).err.contains("imported before: stdin-3"))
            let pipe = try Self.pipe(program, Self.header, "import", "-", "--once")
            #expect(pipe.code == 2 && pipe.err.contains("--once needs a file"), "\(pipe.err)")
            let name = try program.run(["import", file.path, "--name", "copy.csv-2"])
            #expect(name.code == 1 && name.err.contains("there is an import named 'copy.csv-2' already"), "\(name.err)")
            #expect(
                try database.value("SELECT sha256 FROM stockq.imports WHERE name = 'stdin-3'")
                    == database.value(
                        "SELECT encode(sha256(convert_to('\(Self.header + Self.lines(4...4))', 'UTF8')), 'hex')"))
            let dryRun = try program.run(["import", file.path, "--dry-run"])
            #expect(dryRun.err.contains("the same file was imported before: copy.csv-2, 20"), "\(dryRun.err)")
            // An import of jobs is none of items.
            let items = try program.run(["items", "import", file.path, "--dry-run"])
            #expect(items.err.contains("this looks like jobs") && !items.err.contains("before"), "\(items.err)")
            // What changed nothing was not imported.
            let bad = try File("bad.csv", Self.header + "s,a,x\n")
            for _ in 1...2 {
                let ended = try program.run(["import", bad.path, "--once"])
                #expect(ended.code == 1 && !ended.err.contains("imported before"), "\(ended.err)")
            }
        }
    }

    @Test("a file of which all jobs were canceled is imported again with --once") func canceledFile() async throws {
        try await withDatabase { database in
            let program = Program(database)
            let file = try File("day.csv", Self.header + Self.lines(1...3))
            let words = ["import", file.path, "--once"]
            #expect(try program.run(words).code == 0)
            #expect(try program.run(["cancel", "1", "2"]).code == 0)
            #expect(try program.run(words).err.contains("imported before: day.csv-1"), "job 3 is queued")
            #expect(try program.run(["cancel", "3"]).code == 0)
            #expect(try program.run(words).code == 0)
            #expect(try Self.imports(database).count == 2)
            // The earlier one counts again when one of its jobs was retried.
            #expect(try program.run(["cancel", "--import", "day.csv-2"]).code == 0)
            #expect(try program.run(["retry", "2"]).code == 0)
            let refused = try program.run(words)
            #expect(refused.code == 1 && refused.err.contains("imported before: day.csv-1"), "\(refused.err)")
        }
    }

    @Test("an import of items that a role may not do leaves no row") func refusedItems() async throws {
        try await withDatabase { database in
            let name = "seller_of_\(database.name)"
            try database.run(
                """
                CREATE ROLE \(name) LOGIN; GRANT stockq_producer TO \(name);
                SELECT stockq.grant_store('\(name)', 's', '{enqueue,read}')
                """)
            defer { try? database.run("DROP ROLE \(name)") }
            var program = Program(database)
            program.environment["DATABASE_URL"] = database.settings(as: name).conninfo
            let refused = try program.run(["items", "import", "-"], input: "store_id,item_id,on_hand\ns,a,1\n")
            #expect(refused.code == 1 && refused.err.contains("permission denied"), "\(refused.err)")
            #expect(try Self.imports(database) == [])
        }
    }

    /// Starts an import that waits for a lock, kills it, and ends the lock.
    private static func kill(_ words: [String], _ database: TestDatabase, lock: String) throws {
        let holder = try database.connect()
        try holder.executeScript("BEGIN; \(lock)")
        let running = try Program(database).start(words)
        #expect(try eventually { try database.sessionsWaitingForLocks() == 1 })
        let states = { try Program(database).run(["imports", "list", "--csv"]).out }
        #expect(try states().contains(",running,"))
        running.send(SIGKILL)
        #expect(try running.wait().code == -SIGKILL)
        try holder.executeScript("ROLLBACK")
        #expect(try eventually { try states().contains(",interrupted,") })
    }

    @Test("an import of items that was killed is interrupted, and is run again with --once") func killedItems()
        async throws
    {
        try await withDatabase { database in
            let file = try File("items.csv", "store_id,item_id,on_hand,low_stock_threshold\ns,a,5,1\ns,b,5,1\n")
            let program = Program(database)
            let words = ["items", "import", file.path, "--once"]
            try database.run("INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 5)")
            try Self.kill(words, database, lock: "SELECT FROM stockq.items FOR UPDATE")
            // As if it had created b.
            try database.run("UPDATE stockq.imports SET created = 1")
            let again = try program.run(words)
            #expect(again.code == 0, "\(again.err)")
            #expect(again.err.contains("the same file was imported before: items.csv-1"), "\(again.err)")
            #expect(again.err.contains("by stockq, which was interrupted\n"), "\(again.err)")
            #expect(try program.run(["imports", "show", "items.csv-1"]).out.contains(" interrupted\n"))
            let third = try program.run(words)
            #expect(third.code == 1 && third.err.contains("before: items.csv-2"), "\(third.err)")
            let dryRun = try program.run(["items", "import", file.path, "--dry-run"])
            #expect(dryRun.code == 0 && dryRun.err.contains("before: items.csv-2, 20"), "\(dryRun.err)")
        }
    }

    @Test("an import of jobs that was killed is interrupted, and is run again or resumed by what it has committed")
    func killedJobs() async throws {
        try await withDatabase { database in
            let file = try File("day.csv", Self.header + Self.lines(1...3))
            let program = Program(database)
            let words = ["import", file.path, "--once"]
            try Self.kill(words, database, lock: "LOCK TABLE stockq.jobs IN EXCLUSIVE MODE")
            try database.run("UPDATE stockq.imports SET enqueued = 1, through_line = 2")
            let refused = try program.run(words)
            #expect(refused.code == 1)
            let advice = "which was interrupted; --resume day.csv-1 goes on with it"
            #expect(refused.err.contains(advice), "\(refused.err)")
            try database.run("UPDATE stockq.imports SET enqueued = 0, through_line = 0")
            let again = try program.run(words)
            #expect(again.code == 0 && again.err == "", "\(again.err)")
            let interrupted = try program.run(["imports", "list", "--state", "interrupted", "--csv"])
            #expect(interrupted.out.split(separator: "\n").count == 2)
            // Without a session of its own it counts as interrupted after an hour.
            try database.run("UPDATE stockq.imports SET session_pid = NULL")
            let state = "SELECT stockq.import_state(i) FROM stockq.imports AS i WHERE name = 'day.csv-1'"
            #expect(try database.value(state) == "running")
            try database.run("UPDATE stockq.imports SET updated_at = updated_at - interval '61 minutes'")
            #expect(try database.value(state) == "interrupted")
        }
    }

    @Test("an import that stopped is resumed behind its last committed line, and keeps its name") func resumed()
        async throws
    {
        try await withDatabase { database in
            let rejects = try File("rejects.csv", "")
            let file = try File(
                "orders.csv",
                Self.header + "s,a,x\n" + Self.lines(1...10) + "s,a,y\ns,refused,1\n" + Self.lines(11...15))
            try Self.refuse("refused", database)
            let program = Program(database)
            let words = ["import", file.path, "--rows-per-commit", "4", "--rejects", rejects.path]
            let stopped = try program.run(words)
            #expect(stopped.code == 1)
            let advice = "import stopped: 8 jobs enqueued (through line 10); resume with --resume orders.csv-1\n"
            #expect(stopped.err.contains(advice), "\(stopped.err)")
            #expect(try Self.imports(database) == ["orders.csv-1 jobs stopped 1 9 8 0 1 through 10"])
            #expect(
                try database.value("SELECT problem LIKE 'no room on the shelf%' FROM stockq.imports") == "t")
            let again = try program.run(["import", file.path, "--once"])
            #expect(again.err.contains("which stopped; --resume orders.csv-1 goes on with it"), "\(again.err)")
            try database.run("DROP TRIGGER refuse ON stockq.jobs")
            let done = try program.run(words + ["--resume", "orders.csv-1"])
            #expect(done.out.hasPrefix("jobs: 9 read, 8 enqueued, 1 bad line"), "\(done.out)\(done.err)")
            #expect(done.out.hasSuffix("; import orders.csv-1\n"), "\(done.out)")
            #expect(try Self.imports(database) == ["orders.csv-1 jobs finished 2 18 16 0 2 through 19"])
            #expect(
                try database.value("SELECT count(*), count(DISTINCT quantity) FROM stockq.jobs WHERE item_id = 'a'")
                    == "15,15")
            #expect(try Self.items(program, "jobs", "list", "--import", "orders.csv-1").count == 16)
            let bad = try String(contentsOfFile: rejects.path, encoding: .utf8)
            #expect(
                bad.split(separator: "\n").map { $0.prefix(3) } == ["_li", "2,\"", "13,", "13,"],
                "the bad line behind the last commit was read by both runs: \(bad)")
            for (words, message) in [
                (["--resume", "orders.csv-1"], "import 'orders.csv-1' is finished"),
                (["--resume", "none"], "there is no import 'none'"),
            ] {
                let ended = try program.run(["import", file.path] + words)
                #expect(ended.code == 1 && ended.err.contains(message), "\(ended.err)")
            }
            for words in [["--after-line", "3"], ["--dry-run"], ["--once"], ["--name", "x"]] {
                #expect(try program.run(["import", file.path, "--resume", "orders.csv-1"] + words).code == 2)
            }
        }
    }

    @Test("another file does not resume an import, and items are imported again instead") func otherFile() async throws
    {
        try await withDatabase { database in
            let file = try File("a.csv", Self.header + Self.lines(1...3) + "s,refused,1\n")
            try Self.refuse("refused", database)
            let program = Program(database)
            #expect(try program.run(["import", file.path, "--rows-per-commit", "1"]).code == 1)
            try file.write(Self.header + Self.lines(1...4))
            let other = try program.run(["import", file.path, "--resume", "a.csv-1"])
            #expect(other.code == 1 && other.err.contains("was one of another file"), "\(other.err)")
            #expect(other.err.contains("--after-line 4"), "\(other.err)")
            let piped = try Self.pipe(program, Self.header + Self.lines(1...5), "import", "-", "--resume", "a.csv-1")
            #expect(piped.out.hasPrefix("jobs: 2 read, 2 enqueued"), "what a pipe has is not compared: \(piped.err)")
            let known =
                "SELECT sha256 = encode(sha256(convert_to('\(Self.header + Self.lines(1...3))s,refused,1\n', 'UTF8')), 'hex')"
            #expect(try database.value("\(known) FROM stockq.imports") == "t", "the hash is that of the file")
            let items = try program.run(["items", "import", "-"], input: "store_id,item_id,on_hand\ns,a,1\n")
            #expect(items.out.hasSuffix("; import stdin-2\n"), "\(items.out)\(items.err)")
            let resumed = try program.run(["import", file.path, "--resume", "stdin-2"])
            #expect(resumed.err.contains("import 'stdin-2' is one of items"), "\(resumed.err)")
        }
    }

    @Test("a process whose import was resumed by another one enqueues nothing more") func resumedElsewhere()
        async throws
    {
        try await withDatabase { database in
            let program = Program(database)
            let pipe = try NamedPipe()
            defer { pipe.close() }
            let first = try program.start(
                ["import", pipe.path, "--format", "csv", "--commit-interval", "20ms", "--name", "live"])
            try pipe.write(Self.header + Self.lines(1...2))
            #expect(try eventually { try database.value("SELECT count(*) FROM stockq.jobs") == "2" })
            let second = try program.run(["import", "-", "--resume", "live"], input: Self.header + Self.lines(1...5))
            #expect(second.code == 0 && second.out.hasPrefix("jobs: 3 read, 3 enqueued"), "\(second.out)\(second.err)")
            try pipe.write(Self.lines(3...4))
            let ended = try first.wait()
            #expect(ended.code == 1 && ended.err.contains("another process has resumed this import"), "\(ended.err)")
            #expect(try database.value("SELECT count(*), count(DISTINCT quantity) FROM stockq.jobs") == "5,5")
            #expect(try Self.imports(database) == ["live jobs finished 2 5 5 0 0 through 6"])
        }
    }

    @Test("an import of items has a row, and its stock counts are its jobs") func items() async throws {
        try await withDatabase { database in
            let file = try File("count.csv", "store_id,item_id,on_hand\ns,a,5\ns,b,5\ns,c,x\n")
            let program = Program(database)
            let first = try program.run(["items", "import", file.path])
            #expect(first.out == "items: 2 created, 0 changed, 0 unchanged, 1 bad line; import count.csv-1\n")
            try file.write("store_id,item_id,on_hand\ns,a,6\ns,b,5\n")
            let differs = try program.run(["items", "import", file.path])
            #expect(
                differs.out == """
                    items: 0 created, 0 changed, 2 unchanged, 0 bad lines; 1 differs in stock (not changed; --set-stock enqueues counts); import count.csv-2

                    """)
            try database.run("SELECT stockq.enqueue('s', 'b', 1)")
            let counted = try program.run(["items", "import", file.path, "--set-stock", "--json"])
            #expect(counted.err.contains("the same file was imported before: count.csv-2"), "\(counted.err)")
            #expect(counted.out.contains("\"import\":\"count.csv-3\""), "\(counted.out)")
            #expect(try Self.items(program, "jobs", "list", "--import", "count.csv-3") == ["a", "b"])
            #expect(
                try database.rows(
                    """
                    SELECT concat_ws(' ', name, kind, state, lines, created, unchanged, stock_differs, enqueued, through_line)
                    FROM stockq.imports ORDER BY import_id
                    """) == [
                        "count.csv-1 items finished 3 2 0 0 0 4", "count.csv-2 items finished 2 0 2 1 0 3",
                        "count.csv-3 items finished 2 0 2 0 2 3",
                    ])
            let shown = try program.run(["imports", "show", "count.csv-2"])
            #expect(shown.out.contains("differ in stock  1"), "\(shown.out)")
            let listed = try program.run(["imports", "list", "--kind", "items"])
            #expect(
                listed.out.split(separator: "\n").map { $0.prefix(11) } == ["import     "]
                    + (1...3).map { "count.csv-\(4 - $0)" })
            #expect(try program.run(["imports", "list", "--state", "running"]).out.split(separator: "\n").count == 1)
        }
    }

    @Test("a producer sees and resumes its own imports alone") func producers() async throws {
        try await withDatabase { database in
            let names = ["one", "two"].map { "\($0)_of_\(database.name)" }
            for name in names {
                try database.run(
                    "CREATE ROLE \(name) LOGIN; GRANT stockq_producer TO \(name); SELECT stockq.grant_store('\(name)', 's', '{update_catalog}')"
                )
            }
            defer { for name in names { try? database.run("DROP ROLE \(name)") } }
            let programs = names.map { name in
                var program = Program(database)
                program.environment["DATABASE_URL"] = database.settings(as: name).conninfo
                return program
            }
            let file = try File("day.csv", Self.header + Self.lines(1...2))
            #expect(try programs[0].run(["import", file.path]).code == 0)
            #expect(try Self.items(programs[0], "jobs", "list", "--import", "day.csv-1") == ["a", "a"])
            #expect(try programs[1].run(["imports", "list"]).out.split(separator: "\n").count == 1)
            #expect(try programs[1].run(["imports", "show", "day.csv-1"]).code == 1)
            let second = try programs[1].run(["import", file.path, "--once"])
            #expect(
                second.code == 1 && second.err.contains("before: day.csv-1"), "who has the file may know: \(second.err)"
            )
            try database.run("UPDATE stockq.imports SET state = 'stopped'")
            let resumed = try programs[1].run(["import", file.path, "--resume", "day.csv-1"])
            #expect(resumed.code == 1 && resumed.err.contains("who alone may resume it"), "\(resumed.err)")
            #expect(try Program(database).run(["imports", "list"]).out.contains(names[0]))
            #expect(throws: PostgresError.self) {
                try database.connect(as: names[1]).executeScript(
                    "SELECT stockq.begin_import_for('\(names[0])', '\\x00', 'jobs', 'x', NULL, NULL, NULL, false)")
            }
        }
    }
}
