import Foundation
import StockQueuePostgres
import TestSupport
import Testing

/// Databases and outputs that cannot be used.
@Suite struct DatabaseErrorTests {
    @Test("an unreachable database is explained") func unreachable() async throws {
        try await onThread {
            let ended = try Program().run(["stats", "--database-url", "postgresql://me:hush@/x?host=/nowhere"])
            #expect(ended.code == 1)
            #expect(ended.err.contains("cannot reach the database"))
            #expect(!ended.err.contains("hush"))
        }
    }

    @Test("a wrong password is explained and not shown") func wrongPassword() async throws {
        try await withDatabase { database in
            let url = database.url.replacingOccurrences(of: "stockq@", with: "\(TestCluster.passwordUser):hush@")
            let ended = try Program().run(["stats", "--database-url", url])
            #expect(ended.code == 1)
            #expect(ended.err.contains("the server rejected the password"))
            #expect(!(ended.err + ended.out).contains("hush"))
            var program = Program()
            program.environment = ["DATABASE_URL": "postgresql://me:hu%sh@h/x"]
            let unreadable = try program.run(["stats"])
            #expect(unreadable.err.contains("the database URL cannot be read"))
            #expect(!unreadable.err.contains("hu%sh"))
            program.environment = ["DATABASE_URL": "me:hush@h/x"]
            #expect(try !program.run(["stats"]).err.contains("hush"))
            let misplaced = try program.run(["stats", "postgresql://me:hush@h/x"])
            #expect(misplaced.code == 2 && misplaced.err.contains("got postgresql://me:***@h/x"))
        }
    }

    @Test(
        "the password is not in the process list, however it is written",
        arguments: [["--database-url", "URL"], ["--database-url=URL"], ["--database-url", "WORDS"]])
    func processList(_ options: [String]) async throws {
        try await withDatabase { database in
            let url = database.url.replacingOccurrences(of: "stockq@", with: "stockq:hu%40sh@")
            let words = "\(database.conninfo) password = 'hu sh'"
            let arguments = options.map {
                $0.replacingOccurrences(of: "URL", with: url).replacingOccurrences(of: "WORDS", with: words)
            }
            let running = try Program().start(["run"] + arguments)
            #expect(eventually { running.errorText.contains("event=started") })
            let line = try String(contentsOfFile: "/proc/\(running.processID)/cmdline", encoding: .utf8)
            running.send(SIGTERM)
            #expect(try running.wait().code == 0)
            #expect(line.contains("--database-url"))
            #expect(!line.contains("hu") && !line.contains("sh@") && !line.contains("sh'"))
        }
    }

    @Test("a database that is not migrated is explained") func notMigrated() async throws {
        try await withDatabase(migrated: false) { database in
            for words in [["stats"], ["run", "--drain"], ["import", "-"], ["verify"], ["migrate", "--status"]] {
                let ended = try Program(database).run(words, input: "store_id,item_id,quantity\ns,a,1\n")
                #expect(ended.code == (words == ["verify"] ? 3 : 1))
                #expect(ended.err.contains("is not migrated; run: stockq migrate --schema stockq\n"))
            }
            let first = try Program(database).run(["migrate"]).out
            #expect(first.hasPrefix("applied functions/access.sql\napplied 0001_initial.sql\n"))
            #expect(first.hasSuffix("applied wakeup_trigger.sql\napplied roles.sql\nschema stockq is up to date\n"))
            #expect(try Program(database).run(["migrate"]).out == "schema stockq is up to date\n")
            try database.run(
                "INSERT INTO stockq.migrations (name, kind, checksum) VALUES ('0099_later.sql', 'numbered', repeat('0', 64))"
            )
            let newer = try Program(database).run(["run", "--drain"])
            #expect(newer.code == 1)
            #expect(newer.err.contains("was migrated by a newer stockq (it has 0099_later.sql)"))
        }
    }

    @Test("a migration says how many sessions of services have to begin again") func workersBeforeMigration()
        async throws
    {
        try await withDatabase { database in
            try database.run("DELETE FROM stockq.migrations WHERE name = 'roles.sql'")
            let worker = try Connection(
                ConnectionSettings(conninfo: database.conninfo, applicationName: "stockq run worker 1"))
            let ended = try Program(database).run(["migrate"])
            #expect(ended.code == 0)
            #expect(
                ended.err.contains(
                    "1 session of services in this database began before: start their processes again\n"),
                "\(ended.err)")
            #expect(try Program(database).run(["migrate"]).err == "", "nothing was applied")
            withExtendedLifetime(worker) {}
        }
    }

    @Test("migrate says that it made roles that a copy of the database lacks") func rolesOfCopy() async throws {
        try await withDatabase { database in
            try database.run("REVOKE ALL ON SCHEMA stockq FROM stockq_reader")
            #expect(try Program(database).run(["migrate"]).out == "applied roles.sql\nschema stockq is up to date\n")
            #expect(try Program(database).run(["migrate"]).out == "schema stockq is up to date\n")
        }
    }

    @Test(
        "a schema name that the roles would not fit, or with a line break, is refused before anything is done",
        arguments: [String(repeating: "n", count: 55), "a\n; CREATE TABLE public.evil (); --", "a\rb", "a\u{200B}b"])
    func schemaNames(_ name: String) async throws {
        try await withDatabase(migrated: false) { database in
            for environment in [false, true] {
                var program = Program(database)
                if environment { program.environment["STOCKQ_SCHEMA"] = name }
                let ended = try program.run(["migrate"] + (environment ? [] : ["--schema", name]))
                #expect(ended.code == 2 && ended.err.contains("a name of 1 to 54 bytes without control characters"))
            }
            #expect(
                try database.value("SELECT count(*) FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema)'")
                    == "1")
            #expect(try database.value("SELECT to_regclass('public.evil') IS NULL") == "t")
        }
    }

    @Test("migrate gives up with a sentence when its tables are locked") func lockWait() async throws {
        try await withDatabase { database in
            try database.run(
                "DROP TRIGGER send_wakeup ON stockq.jobs; DELETE FROM stockq.migrations WHERE kind = 'wakeup_trigger'")
            let reader = try Connection(ConnectionSettings(conninfo: database.conninfo, applicationName: "idle writer"))
            try reader.executeScript(
                "BEGIN; INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'a', 1)")
            let ended = try Program(database).run(["migrate", "--lock-wait", "1s"])
            #expect(ended.code == 1 && ended.out == "")
            let name =
                "process \(reader.backendProcessID) (user stockq, application idle writer, idle in transaction, last "
            #expect(ended.err.contains("waiting for a lock that is held by \(name)"), "\(ended.err)")
            #expect(
                ended.err.contains("stockq: schema stockq was not migrated: within 1s its tables could not be locked"))
            try reader.executeScript("COMMIT")
            #expect(try Program(database).run(["migrate"]).out.hasPrefix("applied wakeup_trigger.sql\n"))
        }
    }

    @Test("output that cannot be written is a failure") func fullOutput() async throws {
        try await withDatabase { database in
            let full = try Program(database).start(["stats"], output: "/dev/full").wait()
            #expect(full.code == 1)
            #expect(full.err.contains("cannot write to standard output: No space left on device"))
        }
    }
}
