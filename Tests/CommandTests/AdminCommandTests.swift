import Foundation
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// Administrative commands.
@Suite struct AdminCommandTests {
    @Test("each command changes what it says") func commands() async throws {
        try await withDatabase { database in
            try database.run(
                "INSERT INTO stockq.items (store_id, item_id, on_hand, location_id) VALUES ('s', 'a', 10, 'main'), ('s', 'a', 0, 'cellar')"
            )
            let program = Program(database)
            func run(_ words: String, code: Int32 = 0) throws -> String {
                let ended = try program.run(words.split(separator: " ").map(String.init))
                #expect(ended.code == code, "stockq \(words): \(ended.out)\(ended.err)")
                return ended.out + ended.err
            }
            let job = try run("enqueue s a -1 --reference r1").trimmingCharacters(in: .newlines)
            #expect(try run("cancel \(job) --reason mistake") == "1 job: queued → canceled: \(job)\n")
            #expect(try run("cancel --store s --reference r1", code: 1) == "0 jobs canceled: no such job is queued\n")
            #expect(try run("retry \(job)").hasPrefix("job \(job): canceled → queued as job "))
            #expect(try run("retry --failed", code: 1).contains("nothing to retry"))
            #expect(try run("reprioritize 1 --store s --reference r1") == "1 job: priority 2 → 1\n")
            #expect(try run("pause --store s") == "store s: running → paused; 1 job waits\n")
            #expect(try run("pause --store s") == "store s: paused already; 1 job waits\n")
            _ = try run("run --drain --log-level error")
            #expect(try run("stats").contains("paused     1 of s"))
            #expect(try run("resume --store s") == "store s: paused → running; 1 paused job is ready again\n")
            #expect(try run("resume --store s") == "store s: running already\n")
            #expect(try run("transfer s a 4 main cellar --idempotency-key t").split(separator: " ").count == 2)
            #expect(try run("transfer s a 4 main cellar --idempotency-key t").contains("nothing was enqueued"))
            #expect(
                try run("enqueue s a -20 --dry-run", code: 1)
                    == "would be: rejected (insufficient_stock); available 10; nothing was enqueued\n")
            #expect(
                try run("enqueue s a -2 --dry-run") == "would be: applied; available 10 → 8; nothing was enqueued\n")
            _ = try run("run --drain --log-level error")
            #expect(
                try database.rows("SELECT concat_ws(' ', location_id, on_hand) FROM stockq.items ORDER BY 1") == [
                    "cellar 4", "main 5",
                ])
            #expect(
                try run("items set s a --threshold 7 --parent p --tracked no")
                    == "s/a: threshold none → 7, tracked yes → no, parent none → p\n")
            #expect(try run("items set s a --threshold none") == "s/a: threshold 7 → none\n")
            #expect(try run("items set s b --tracked no", code: 1).contains("there is no item b"))
            #expect(try run("limits set s 1") == "store s: limit none → 1 ready job\n")
            _ = try run("enqueue s a -1")
            #expect(try run("enqueue s a -1", code: 1).contains("store 's' has reached its limit of 1 ready jobs"))
            #expect(try run("limits set s none") == "store s: limit 1 → none\n")
            #expect(try run("prune --keep-keys 0s --keep-results 0s").contains(" keys older than 0ms\n"))
            #expect(try database.value("SELECT count(*) FROM stockq.idempotency_keys") == "0")
            #expect(
                try database.rows("SELECT verb FROM stockq.operations ORDER BY operation_id") == [
                    "cancel", "retry", "retry", "reprioritize", "pause", "pause", "resume", "resume",
                    "items set", "items set",
                    "limits set",
                    "limits set",
                ])
        }
    }

    @Test("pause and resume say what they change, and warn of a store that is not known") func pauses() async throws {
        try await withDatabase { database in
            let program = Program(database)
            func run(_ words: String) throws -> String {
                let ended = try program.run(words.split(separator: " ").map(String.init))
                #expect(ended.code == 0)
                return ended.out + ended.err
            }
            #expect(
                try run("pause --store nostore")
                    == "store nostore: running → paused; 0 jobs wait\nwarning: no item or job of store nostore; is the name right?\n"
            )
            #expect(try run("pause --lane 5") == "lane 5: running → paused; 0 jobs wait\n")
            #expect(try run("resume --lane 6") == "lane 6: running already\n")
            #expect(try run("resume --lane 5") == "lane 5: paused → running\n")
            _ = try program.run(["enqueue", "s", "a", "1", "b", "1"])
            #expect(try run("pause --all") == "everything: running → paused; 2 jobs wait\n")
            #expect(try run("resume --all") == "everything: paused → running\n")
            #expect(try run("resume --all") == "everything: running already; no store and no lane was paused\n")
        }
    }

    @Test("verify counts one violation as one") func oneViolation() async throws {
        try await withDatabase { database in
            try database.run("INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 5)")
            _ = try Program(database).run(["enqueue", "s", "a", "1"])
            #expect(try Program(database).run(["run", "--drain"]).code == 0)
            try database.run("UPDATE stockq.items SET on_hand = 7")
            let wrong = try Program(database).run(["verify"])
            #expect(wrong.code == 1)
            #expect(wrong.out.hasSuffix("\n1 violation\n"), "\(wrong.out)")
        }
    }

    @Test("a failure says what to do") func failures() async throws {
        try await withDatabase { database in
            let program = Program(database)
            _ = try program.run(["limits", "set", "s", "1"])
            _ = try program.run(["enqueue", "s", "a", "1"])
            let failed = try program.run(["enqueue", "s", "a", "1"])
            #expect(failed.code == 1)
            #expect(
                failed.err
                    == "stockq: store 's' has reached its limit of 1 ready jobs (SQLSTATE 53400)\nTry again later, when the workers have caught up.\n"
            )
            #expect(try program.run(["reprioritize", "1", "--store", "s", "--group", "none"]).code == 1)
            _ = try program.run(["pause", "--store", "s"])
            #expect(
                try program.run(["run", "--drain", "--log-level", "warn"]).err.contains("event=paused lanes=0 stores=1")
            )
            #expect(try program.run(["result", "1"]).out.hasPrefix("job 1: queued – adjust 1 of a in s, paused\n"))
            // Control characters of a name are not printed.
            let odd = try program.run(["enqueue", "\u{1B}[2J\n", "a", "2"])
            #expect(odd.code == 2)
            #expect(odd.err.contains("U+001B") && !odd.err.contains("\u{1B}"), "\(odd.err.debugDescription)")
            _ = try program.run(["enqueue", "t", "a", "1", "--idempotency-key", "k"])
            let used = try program.run(["enqueue", "t", "a", "2", "--idempotency-key", "k"])
            #expect(used.code == 1 && used.err.contains("SQLSTATE 23505"), "\(used.err)")
            #expect(used.err.split(separator: "\n").first?.contains("another request") == true)
        }
    }

    @Test("verify fails for a user from whom row-level security hides rows") func verifyAsProducer() async throws {
        try await withDatabase { database in
            let name = "prover_of_\(database.name)"
            try database.run(
                "CREATE ROLE \(name) LOGIN; GRANT stockq_producer TO \(name); SELECT stockq.grant_store('\(name)', 's', '{update_catalog}')"
            )
            var program = Program()
            program.environment["DATABASE_URL"] = database.settings(as: name).conninfo
            let failed = try program.run(["verify"])
            #expect(failed.code == 3 && failed.out.isEmpty)
            #expect(failed.err.contains("nothing was verified, because this role may not read all rows of the queue"))
            try database.run("DROP OWNED BY \(name); DROP ROLE \(name)")
        }
    }

    @Test("grants are listed") func grants() async throws {
        try await withDatabase { database in
            let name = "clerk_of_\(database.name)"
            try database.run("CREATE ROLE \(name)")
            let program = Program(database)
            #expect(try program.run(["grant", name, "--store", "s p", "--scope", "read"]).code == 0)
            #expect(try program.run(["grant", name, "--store", "s p"]).code == 0)
            #expect(try program.run(["grants", "list"]).out.contains("enqueue, read"))
            #expect(
                try program.run(["revoke", name, "--store", "s p", "--scope", "read_catalog"]).out
                    == "\(name) in store s p: enqueue, read → enqueue\n")
            #expect(
                try program.run(["revoke", name, "--store", "s p", "--scope", "read_catalog"]).out
                    == "no matching grant\n")
            #expect(
                try program.run(["grant", name, "--store", "s p", "--scope", "manage_items"]).out.hasPrefix(
                    "\(name) in store s p: enqueue → enqueue, manage_items\n"))
            try database.run("DROP ROLE \(name)")
            #expect(try program.run(["grants", "list"]).out.contains("(no such role)"))
            let missing = try program.run(["grant", name, "--store", "s"])
            #expect(missing.code == 1 && missing.err.contains("there is no role \(name)"))
        }
    }

    @Test("migrate without the privilege to create roles says what an administrator runs") func migrateWithoutRoles()
        async throws
    {
        try await withDatabase(migrated: false) { database in
            let name = "owner_of_\(database.name)"
            try database.run("CREATE ROLE \(name) LOGIN; GRANT CREATE ON DATABASE \(database.name) TO \(name)")
            var program = Program()
            program.environment["DATABASE_URL"] = database.url.replacingOccurrences(of: "stockq@", with: "\(name)@")
            let ended = try program.run(["migrate", "--schema", "of_\(database.name)"])
            #expect(
                ended.code == 0
                    && ended.err.contains("stockq migrate --schema of_\(database.name) --roles-script | psql"),
                "\(ended.err)")
            let script = try program.run(["migrate", "--schema", "of_\(database.name)", "--roles-script"]).out
            try database.run(script)
            #expect(
                try database.value("SELECT count(*) FROM pg_roles WHERE starts_with(rolname, 'of_\(database.name)_')")
                    == "5")
            // Once the roles exist, the owner keeps their privileges up to date.
            #expect(try program.run(["migrate", "--schema", "of_\(database.name)"]).err == "")
            try database.run(
                "DROP SCHEMA of_\(database.name) CASCADE; DROP OWNED BY \(name); DROP ROLE \(name), of_\(database.name)_producer, of_\(database.name)_worker, of_\(database.name)_reader, of_\(database.name)_admin"
            )
        }
    }
}
