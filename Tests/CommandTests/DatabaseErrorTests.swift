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
        }
    }

    @Test("the password is not in the process list") func processList() async throws {
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

    @Test("a database that is not migrated is explained") func notMigrated() async throws {
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

    @Test("output that cannot be written is a failure") func fullOutput() async throws {
        try await withDatabase { database in
            let full = try Program(database).start(["stats"], output: "/dev/full").wait()
            #expect(full.code == 1)
            #expect(full.err.contains("cannot write to standard output: No space left on device"))
        }
    }
}
