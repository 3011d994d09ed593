import Foundation
import StockQueuePostgres
import TestSupport
import Testing

@Suite struct CommandTests {
    private static let commands = [
        "demo", "migrate", "items import", "items list", "items show", "enqueue", "import", "run", "result", "stats",
        "notifications", "verify", "bench",
    ]

    // MARK: usage

    @Test(arguments: commands) func everyCommandHelps(command: String) async throws {
        try await onThread {
            let ended = try Program().run(command.split(separator: " ").map(String.init) + ["--help"])
            #expect(ended.code == 0)
            #expect(ended.out.hasPrefix("usage: stockq \(command)"))
            #expect(ended.err == "")
        }
    }

    struct Wrong: Sendable, CustomTestStringConvertible {
        var words: [String]
        var says: String

        var testDescription: String { words.joined(separator: " ") }
    }

    static let wrongs = [
        Wrong(words: ["frobnicate"], says: "unknown command 'frobnicate'"),
        Wrong(words: ["items"], says: "items what? There are items import, items list, items show"),
        Wrong(words: ["stats", "--frob"], says: "unknown option --frob"),
        Wrong(words: ["stats", "extra"], says: "expected nothing, got extra"),
        Wrong(words: ["enqueue", "s", "a"], says: "expected STORE ITEM QUANTITY, got s a"),
        Wrong(words: ["enqueue", "s", "a", "1", "--priority"], says: "--priority needs a value: N"),
        Wrong(words: ["enqueue", "s", "a", "1", "--priority", "9"], says: "priority must be from 1 to 4, not 9"),
        Wrong(words: ["enqueue", "s", "a", "x"], says: "quantity must be a whole number, not 'x'"),
        Wrong(words: ["enqueue", "s", "a", "1.5"], says: "quantity must be a whole number, not '1.5'"),
        Wrong(
            words: ["enqueue", "s", "a", "9007199254740992"],
            says: "quantity must be from -9007199254740991 to 9007199254740991"),
        Wrong(
            words: ["enqueue", "s", "a", "0", "--action", "allocate"],
            says: "quantity must be above 0 for allocate, not 0"),
        Wrong(words: ["enqueue", "s", "a", "1", "--action", "steal"], says: "action must be one of adjust, allocate"),
        Wrong(
            words: ["enqueue", "s", "a", "1", "--on-insufficient", "x"],
            says: "on_insufficient must be one of reject, allow"),
        Wrong(words: ["enqueue", "", "a", "1"], says: "store_id is empty"),
        Wrong(
            words: ["enqueue", "s", String(repeating: "x", count: 201), "1"],
            says: "item_id has 201 bytes, at most 200 are allowed"),
        Wrong(words: ["enqueue", "s", "a", "1", "--run-at", "+x"], says: "--run-at +SPAN takes a span of time"),
        Wrong(words: ["enqueue", "s", "a", "1", "--run-at", "infinity"], says: "run_at must be a time with its zone"),
        Wrong(
            words: ["enqueue", "s", "a", "1", "--run-at", "٢٠٢٦-03-01T12:00:00Z"],
            says: "run_at must be a time with its zone"),
        Wrong(
            words: ["enqueue", "s", "a", "1", "--wait", "--timeout", "999999999d"],
            says: "--timeout takes a span of time"),
        Wrong(words: ["run", "--workers", "0"], says: "--workers takes a whole number from 1 to 64, not '0'"),
        Wrong(words: ["run", "--set", "speed=9"], says: "there is no setting speed"),
        Wrong(
            words: ["run", "--set", "lockTimeout=x"],
            says: "lockTimeout takes a duration from 1ms to 1m, such as 200ms, 5s, 15m, 24h or 7d, not 'x'"),
        Wrong(words: ["result", "x"], says: "JOB takes a whole number"),
        Wrong(words: ["stats", "--schema", "pg_x"], says: "'pg_x' cannot name a schema"),
    ]

    @Test(arguments: wrongs) func wrongUsageIsExplained(_ wrong: Wrong) async throws {
        try await onThread {
            let ended = try Program().run(wrong.words)
            #expect(ended.code == 2)
            #expect(ended.err.contains(wrong.says), "\(ended.err)")
            #expect(ended.err.contains("--help'"))
            #expect(ended.out == "")
        }
    }

    // MARK: databases that cannot be used

    @Test func anUnreachableDatabaseIsExplained() async throws {
        try await onThread {
            let ended = try Program().run(["stats", "--database-url", "postgresql://me:hush@/x?host=/nowhere"])
            #expect(ended.code == 1)
            #expect(ended.err.contains("cannot reach the database"))
            #expect(!ended.err.contains("hush"))
        }
    }

    @Test func aWrongPasswordIsExplainedAndNotShown() async throws {
        try await withDatabase { database in
            let url = database.url.replacingOccurrences(of: "stockq@", with: "\(TestCluster.passwordUser):hush@")
            let ended = try Program().run(["stats", "--database-url", url])
            #expect(ended.code == 1)
            #expect(ended.err.contains("the server refused the password"))
            #expect(!(ended.err + ended.out).contains("hush"))
            var program = Program()
            program.environment = ["DATABASE_URL": "postgresql://me:hu%sh@h/x"]
            let unreadable = try program.run(["stats"])
            #expect(unreadable.err.contains("the database URL cannot be read"))
            #expect(!unreadable.err.contains("hu%sh"))
            program.environment = ["DATABASE_URL": "me:hush@h/x"]
            #expect(try !program.run(["stats"]).err.contains("hush"))
        }
    }

    @Test func thePasswordIsNotInTheProcessList() async throws {
        try await withDatabase { database in
            let url = database.url.replacingOccurrences(of: "stockq@", with: "stockq:hush@")
            let running = try Program().start(["run", "--database-url", url])
            #expect(eventually { running.errorText.contains("event=started") })
            let line = try String(contentsOfFile: "/proc/\(running.processID)/cmdline", encoding: .utf8)
            running.send(SIGTERM)
            #expect(try running.wait().code == 0)
            #expect(line.contains("--database-url"))
            #expect(!line.contains("hush"))
        }
    }

    @Test func aDatabaseThatIsNotMigratedIsExplained() async throws {
        try await withDatabase(migrated: false) { database in
            for words in [["stats"], ["run", "--drain"], ["import", "-"], ["verify"], ["migrate", "--status"]] {
                let ended = try Program(database).run(words, input: "store_id,item_id,quantity\ns,a,1\n")
                #expect(ended.code == 1)
                #expect(ended.err.contains("is not migrated; run: stockq migrate --schema stockq\n"))
            }
            #expect(
                try Program(database).run(["migrate"]).out.hasPrefix(
                    "applied functions/access.sql\napplied 0001_initial.sql\napplied views/own_rows.sql\n"))
            #expect(try Program(database).run(["migrate"]).out == "schema stockq is up to date\n")
            try database.run(
                "INSERT INTO stockq.migrations (name, kind, checksum) VALUES ('0099_later.sql', 'numbered', repeat('0', 64))"
            )
            let newer = try Program(database).run(["run", "--drain"])
            #expect(newer.code == 1)
            #expect(newer.err.contains("was migrated by a newer stockq (it has 0099_later.sql)"))
        }
    }

    @Test func aSignalInTheFirstMomentIsNotLost() async throws {
        try await withDatabase { database in
            for _ in 1...8 {
                let running = try Program(database).start(["run"])
                #expect(eventually { running.errorText.contains("event=started") })
                let deadline = Deadline.after(milliseconds: 5_000)
                running.send(SIGTERM)
                #expect(try running.wait().code == 0)
                #expect(!deadline.hasPassed)
            }
        }
    }

    @Test func outputThatCannotBeWrittenIsAFailure() async throws {
        try await withDatabase { database in
            let full = try Program(database).start(["stats"], output: "/dev/full").wait()
            #expect(full.code == 1)
            #expect(full.err.contains("cannot write to standard output: No space left on device"))
        }
    }

    // MARK: the whole way

    @Test func aJobGoesAllTheWay() async throws {
        try await withDatabase { database in
            let program = Program(database)
            let items = try program.run(
                ["items", "import", "-"], input: "store_id,item_id,on_hand,low_stock_threshold\ns,a,5,2\n")
            #expect(items.out == "items: 1 created, 0 changed, 0 unchanged, 0 rejected\n")
            let enqueued = try program.run([
                "enqueue", "s", "a", "-4", "--reason", "sale", "--reference", "order 1", "--no-notify",
            ])
            #expect(enqueued.out == "1\n")
            #expect(try program.run(["result", "1"]).out == "job 1: queued – adjust -4 of a in s\n")
            #expect(try program.run(["run", "--drain"]).code == 0)
            #expect(try program.run(["result", "1"]).out == "job 1: applied – adjust -4 of a in s; available 5 → 1\n")
            #expect(try program.run(["result", "1", "--json"]).out.contains("\"reference\":\"order 1\""))
            #expect(try program.run(["result", "1", "77"]).code == 1)
            let shown = try program.run(["items", "show", "s", "a"])
            #expect(shown.out.contains("available  1 (low, threshold 2)"))
            #expect(shown.out.contains("5 → 1"))
            #expect(try program.run(["items", "list", "--level", "low"]).out.contains("low"))
            #expect(try program.run(["items", "show", "s", "b"]).code == 1)
            #expect(try program.run(["notifications"]).out == "", "the job was silent")
            #expect(try program.run(["stats", "--json"]).out.contains("\"applied\" : 1"))
            #expect(try program.run(["verify"]).code == 0)
            try database.run("UPDATE stockq.items SET on_hand = 99")
            let wrong = try program.run(["verify"])
            #expect(wrong.code == 1)
            #expect(wrong.out.contains("item 's' 'a' 'main': on_hand is 99 and should be 1"))
        }
    }

    @Test func enqueueWaitsForTheResult() async throws {
        try await withDatabase { database in
            try database.run("INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 5)")
            let program = Program(database)
            let workers = try program.start(["run"])
            let applied = try program.run(["enqueue", "s", "a", "-4", "--wait"])
            #expect(applied.code == 0)
            #expect(applied.out == "job 1: applied – adjust -4 of a in s; available 5 → 1\n")
            let refused = try program.run(["enqueue", "s", "a", "-4", "--wait"])
            #expect(refused.code == 1)
            #expect(refused.out == "job 2: rejected (insufficient_stock) – adjust -4 of a in s; available 1\n")
            workers.send(SIGINT)
            #expect(try workers.wait().code == 0)
            let alone = try program.run(["enqueue", "s", "a", "1", "--wait", "--timeout", "0s"])
            #expect(alone.code == 1)
            #expect(alone.err.contains("job 3 is enqueued, and has no result after 0 s"))
        }
    }

    @Test func rejectsCanBeMendedAndImportedAgain() async throws {
        try await withDatabase { database in
            let program = Program(database)
            let rejects = NSTemporaryDirectory() + "stockq-rejects-\(UUID().uuidString).csv"
            defer { try? FileManager.default.removeItem(atPath: rejects) }
            let first = try program.run(
                ["import", "-", "--rejects", rejects], input: "store_id,item_id,quantity\ns,a,1\ns,b,two\ns,c,3\n")
            #expect(first.code == 1)
            #expect(first.err.contains("line 3: quantity must be a whole number, not 'two'"))
            #expect(first.out.hasPrefix("jobs: 3 read, 2 enqueued, 1 rejected"))
            let text = try String(contentsOfFile: rejects, encoding: .utf8)
            #expect(text == "store_id,item_id,quantity\ns,b,two\n")
            let again = try program.run(["import", "-"], input: text.replacingOccurrences(of: "two", with: "2"))
            #expect(again.code == 0)
            #expect(try database.value("SELECT sum(quantity) FROM stockq.jobs") == "6")
            #expect(try program.run(["import", "/nowhere.csv"]).err.contains("cannot open /nowhere.csv: No such file"))
            #expect(try program.run(["import", "/tmp"]).err.contains("/tmp is a folder"))
            let same = try program.run(["import", rejects, "--rejects", rejects])
            #expect(same.code == 1)
            #expect(same.err.contains("is the file that is read"))
            #expect(try String(contentsOfFile: rejects, encoding: .utf8) == text)
        }
    }

    @Test func anImportWhoseCommitWasNotAnsweredAsksWhatBecameOfIt() async throws {
        try await withDatabase { database in
            // The session ends in mid-commit, after the first transaction's rows.
            try database.run(
                """
                CREATE FUNCTION public.hang_up() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    PERFORM pg_terminate_backend(pg_backend_pid());
                    RETURN NULL;
                END
                $$;
                CREATE CONSTRAINT TRIGGER hang_up AFTER INSERT ON stockq.jobs DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW WHEN (NEW.item_id = 'last') EXECUTE FUNCTION public.hang_up()
                """)
            let ended = try Program(database).run(
                ["import", "-", "--rows-per-commit", "2"],
                input: "store_id,item_id,quantity\ns,a,1\ns,a,2\ns,a,3\ns,last,4\n")
            #expect(ended.code == 1)
            #expect(
                ended.err.contains(
                    "broken off: 2 jobs are enqueued, everything up to line 3; go on with --after-line 3"))
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "2")
        }
    }

    @Test func notificationsAreFollowed() async throws {
        try await withDatabase { database in
            try database.run(
                "INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold) VALUES ('s', 'a', 9, 5)")
            let program = Program(database)
            let following = try program.start(["notifications", "--follow"])
            for quantity in ["-5", "-4", "9"] { _ = try program.run(["enqueue", "s", "a", quantity]) }
            #expect(try program.run(["run", "--drain"]).code == 0)
            #expect(eventually { following.outputText.split(separator: "\n").count == 3 })
            following.send(SIGINT)
            let ended = try following.wait()
            #expect(ended.code == 0)
            #expect(
                ended.out.split(separator: "\n").map { $0.split(separator: " ")[1] } == [
                    "low_stock", "out_of_stock", "back_in_stock",
                ])
            #expect(
                try program.run(["notifications", "--since", "1h", "--json"]).out.split(separator: "\n").count == 3)
        }
    }

    // MARK: signals

    private static func fill(_ database: TestDatabase, jobs: Int) throws {
        try database.run(
            """
            INSERT INTO stockq.items (store_id, item_id, on_hand) SELECT 's' || i % 8, 'a' || i, 1000000 FROM generate_series(1, 200) AS i;
            INSERT INTO stockq.jobs (store_id, item_id, quantity) SELECT 's' || i % 8, 'a' || 1 + (i - 1) % 200, -1 FROM generate_series(1, \(jobs)) AS i;
            """)
    }

    @Test func terminationEndsTheBatchAndLeavesTheRest() async throws {
        try await withDatabase { database in
            try Self.fill(database, jobs: 60_000)
            let program = Program(database)
            let running = try program.start(["run", "--drain", "--batch-max", "100"])
            #expect(try eventually { try database.value("SELECT count(*) > 500 FROM stockq.results") == "t" })
            let deadline = Deadline.after(milliseconds: 5_000)
            running.send(SIGTERM)
            let ended = try running.wait()
            #expect(!deadline.hasPassed)
            #expect(ended.code == 0, "\(ended.err)")
            #expect(try database.value("SELECT count(*) > 0 FROM stockq.jobs") == "t", "it was stopped, not done")
            #expect(try program.run(["run", "--drain"]).code == 0)
            #expect(try database.value("SELECT count(*), sum(applied_quantity) FROM stockq.results") == "60000,-60000")
            #expect(try program.run(["verify"]).code == 0)
        }
    }

    @Test func killingLosesNothing() async throws {
        try await withDatabase { database in
            try Self.fill(database, jobs: 60_000)
            let program = Program(database)
            for round in 1...4 {
                let running = try program.start(["run", "--drain", "--batch-max", "200"])
                let enough = round * 3_000
                #expect(try eventually { try database.value("SELECT count(*) > \(enough) FROM stockq.results") == "t" })
                running.send(SIGKILL)
                #expect(try running.wait().code == -SIGKILL)
            }
            #expect(try program.run(["run", "--drain"]).code == 0)
            #expect(try database.value("SELECT count(*), sum(applied_quantity) FROM stockq.results") == "60000,-60000")
            #expect(try program.run(["verify"]).code == 0)
        }
    }

    @Test func aSecondSignalBreaksTheBatchOff() async throws {
        try await withDatabase { database in
            try Self.fill(database, jobs: 10)
            // The write-back hangs until its statement timeout, far longer than the test.
            let blocker = try database.connect()
            try blocker.executeScript("BEGIN")
            try blocker.executeScript("LOCK TABLE stockq.results IN ACCESS EXCLUSIVE MODE")
            let running = try Program(database).start([
                "run", "--set", "lockTimeout=60000ms", "--set", "stopTimeout=60000ms",
            ])
            #expect(
                try eventually {
                    try database.value(
                        """
                        SELECT count(*) > 0 FROM pg_stat_activity
                        WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'WITH gone%'
                        """) == "t"
                })
            running.send(SIGTERM)
            #expect(eventually { running.errorText.contains("event=stopping") })
            let deadline = Deadline.after(milliseconds: 3_000)
            running.send(SIGTERM)
            let ended = try running.wait()
            #expect(!deadline.hasPassed)
            #expect(ended.code == 1, "it did not end by itself")
            try blocker.executeScript("ROLLBACK")
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "10")
        }
    }

    // MARK: the bench

    @Test func theBenchMeasuresWhatItPromises() async throws {
        try await onThread {
            let folder = NSTemporaryDirectory() + "stockq-bench-test-\(UUID().uuidString)"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(atPath: folder) }
            let ended = try Program().run([
                "bench", "--quick", "--only", "drains", "--only", "held-back", "--json", folder + "/bench.json",
                "--svg",
                folder + "/bench.svg",
            ])
            #expect(ended.code == 0, "\(ended.err)")
            let data = try Data(contentsOf: URL(fileURLWithPath: folder + "/bench.json"))
            let report = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
            let figures = try #require(report["figures"] as? [[String: Any]])
            let names = figures.compactMap { $0["name"] as? String }
            for name in ["baseline", "ceiling", "drain", "one_lane", "orders", "drain_wal", "cpu_ratio", "held_back"] {
                #expect(names.contains(name))
                #expect(
                    ended.out.contains(
                        try #require(figures.first { $0["name"] as? String == name }?["title"] as? String)))
            }
            #expect(figures.allSatisfy { ($0["value"] as? Double ?? 0) > 0 }, "every figure was measured")
            #expect((report["configuration"] as? [String: String])?["fsync"] == "on")
            #expect(try String(contentsOfFile: folder + "/bench.svg", encoding: .utf8).hasPrefix("<svg "))
        }
    }
}
