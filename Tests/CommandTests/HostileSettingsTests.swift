import Foundation
import StockQueuePostgres
import TestSupport
import Testing

/// Databases whose defaults would change what this program does.
@Suite("databases with other defaults") struct HostileSettingsTests {
    /// Each of these once broke a command or changed a result, or would without a pinned value. ConnectionTests shows the
    /// same of `statement_timeout`: here it would also bound the statement that replaces it, however long the machine
    /// takes for that.
    private static let settings = [
        "lock_timeout = '1ms'", "idle_in_transaction_session_timeout = '1s'", "exit_on_error = on",
        "default_transaction_isolation = 'serializable'",
        "default_transaction_read_only = on", "default_transaction_deferrable = on", "row_security = off",
        "standard_conforming_strings = off", "transform_null_equals = on", "array_nulls = off",
        "quote_all_identifiers = on", "client_encoding = 'LATIN1'", "DateStyle = 'German, DMY'",
        "IntervalStyle = 'sql_standard'", "TimeZone = 'Asia/Kathmandu'", "bytea_output = 'escape'",
        "extra_float_digits = -15", "jit_above_cost = 0", "jit = on", "plan_cache_mode = 'force_generic_plan'",
    ]

    private static func makeHostile(_ database: TestDatabase) throws {
        for setting in settings {
            // Not over a connection to the database, which would have the settings that are set already.
            try TestDatabase(existing: "postgres", on: database.cluster).run(
                "ALTER DATABASE \(database.name) SET \(setting)")
        }
    }

    @Test("every command works whatever the database's defaults are") func direct() async throws {
        try await withDatabase(migrated: false) { database in
            try Self.makeHostile(database)
            try Self.useEverything(Program(database), [])
        }
    }

    @Test(
        "every command works through a pooler whatever the database's defaults are",
        .enabled(if: PgBouncer.isInstalled, "needs pgbouncer"))
    func pooled() async throws {
        try await withDatabase(migrated: false) { database in
            try Self.makeHostile(database)
            let bouncer = try PgBouncer(database.cluster)
            var program = Program()
            program.environment["DATABASE_URL"] = bouncer.conninfo(database: database.name)
            try Self.useEverything(program, ["--pooled"])
            bouncer.kill()
        }
    }

    /// A day of a queue: 1,000 imported jobs and a few others.
    private static func useEverything(_ program: Program, _ options: [String]) throws {
        func run(_ words: String, input: String = "", code: Int32 = 0) throws -> String {
            let ended = try program.run(options + words.split(separator: " ").map(String.init), input: input)
            #expect(ended.code == code, "stockq \(words): \(ended.out)\(ended.err)")
            return ended.out
        }
        #expect(try run("migrate").hasSuffix("applied roles.sql\nschema stockq is up to date\n"))
        #expect(try run("migrate") == "schema stockq is up to date\n")
        _ = try run("migrate --status")
        _ = try run(
            "items import - --format csv",
            input: "store_id,item_id,on_hand,low_stock_threshold\ns,a\\1,5000,10\ns,b,3,1\n")
        let lines = (1...1_000).map { "s,a\\1,-1,line \($0)" }.joined(separator: "\n")
        _ = try run("import - --format csv", input: "store_id,item_id,quantity,reference\n\(lines)\n")
        let job = try run("enqueue s b -3 --expires-at 2027-01-02T03:04:05Z")
            .trimmingCharacters(in: .whitespacesAndNewlines)
        _ = try run("enqueue s b -9 --run-at +1h")
        _ = try run("run --drain --log-level error")
        #expect(try run("verify").hasSuffix("nothing is wrong\n"))
        _ = try run("enqueue s b 1")
        _ = try run("run --drain --log-level error")
        #expect(try run("items list --json").contains("\"on_hand\":4000"))
        #expect(try run("items show s b --json").contains("+00:00"))
        _ = try run("stats")
        _ = try run("notifications --json")
        #expect(try run("result \(job) --json").contains("\"expires_at\":\"2027-01-02T03:04:05+00:00\""))
        _ = try run("pause --store s")
        _ = try run("resume --store s")
        _ = try run("limits set s 100")
        _ = try run("prune")
        #expect(try run("verify --json").split(separator: "\n").allSatisfy { $0.contains("\"violations\":[]") })
    }

    @Test("a caller's own settings do not change where partitions begin") func partitions() async throws {
        try await withDatabase { database in
            let caller = try database.connect()
            try caller.executeScript("SET standard_conforming_strings = off; SET quote_all_identifiers = on")
            try caller.executeScript("SELECT setval('stockq.jobs_job_id_seq', 12000000)")
            #expect(
                try database.rows("SELECT stockq.add_results_partitions()", caller) == ["2"])
            #expect(
                try database.rows("SELECT lower_bound, upper_bound FROM stockq.partition_bounds()", caller) == [
                    "0,5000000", "5000000,10000000", "10000000,15000000", "15000000,20000000",
                ])
        }
    }

    // MARK: encodings

    @Test("a database that is not UTF8 is refused at the door", arguments: ["LATIN1", "SQL_ASCII"])
    func encoding(_ name: String) async throws {
        try await withDatabase(migrated: false) { database in
            let other = "\(database.name)_\(name.lowercased())"
            try database.run("CREATE DATABASE \(other) ENCODING '\(name)' LOCALE 'C' TEMPLATE template0")
            var program = Program()
            program.environment["DATABASE_URL"] = database.cluster.url(database: other)
            for (words, code) in [(["migrate"], 1), (["run", "--drain"], 1), (["stats"], 1), (["verify"], 3)] {
                let ended = try program.run(words)
                #expect(ended.code == code)
                #expect(
                    ended.err == "stockq: the database is encoded in \(name), and stockq needs UTF8; create one with: "
                        + "CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0\n", "\(words)")
            }
            try database.run("DROP DATABASE \(other)")
        }
    }

    // MARK: a pooler that was not named

    @Test(
        "behind a pooler without --pooled the error says what to do",
        .enabled(if: PgBouncer.isInstalled, "needs pgbouncer"))
    func unnamedPooler() async throws {
        try await withDatabase { database in
            let bouncer = try PgBouncer(database.cluster)
            var program = Program()
            program.environment["DATABASE_URL"] = bouncer.conninfo(database: database.name)
            // The first command leaves its statements on the server's session, which the second one gets.
            _ = try program.run(["stats"])
            let second = try program.run(["stats"])
            #expect(second.code == 1)
            #expect(second.err.contains("(SQLSTATE 42P05)"))
            #expect(second.err.contains("behind a pooler in transaction mode (PgBouncer): use --pooled"))
            #expect(try program.run(["stats", "--pooled"]).code == 0)
            bouncer.kill()
        }
    }

    // MARK: who may verify

    @Test("verify says one sentence to every role that does not see everything")
    func verifyByRole() async throws {
        try await withDatabase { database in
            let role = "verifier_of_\(database.name)"
            try database.run("CREATE ROLE \(role) LOGIN")
            var program = Program()
            program.environment["DATABASE_URL"] = database.url.replacingOccurrences(of: "stockq@", with: "\(role)@")
            let sentence =
                "stockq: nothing was verified, because this role may not read all rows of the queue; run verify as the owner "
                + "of its tables, as a reader or as an administrator\n"
            func expectRefusal(_ case: String) throws {
                let ended = try program.run(["verify"])
                #expect(ended.code == 3 && ended.err == sentence && ended.out == "", "\(`case`): \(ended.err)")
            }
            try expectRefusal("no privileges")
            try database.run("GRANT USAGE ON SCHEMA stockq TO \(role); GRANT SELECT ON stockq.migrations TO \(role)")
            try expectRefusal("the schema alone")
            try database.run("GRANT SELECT ON ALL TABLES IN SCHEMA stockq TO \(role)")
            try expectRefusal("row security")
            for group in ["producer", "worker"] {
                try database.run(
                    "REVOKE ALL ON ALL TABLES IN SCHEMA stockq FROM \(role); GRANT stockq_\(group) TO \(role)")
                if group == "producer" { try expectRefusal(group) }
                try database.run("REVOKE stockq_\(group) FROM \(role)")
            }
            for group in ["reader", "admin", "worker"] {
                try database.run("GRANT stockq_\(group) TO \(role)")
                let ended = try program.run(["verify"])
                #expect(ended.code == 0 && ended.out.hasSuffix("nothing is wrong\n"), "\(group): \(ended.err)")
                try database.run(
                    "CREATE POLICY mine ON stockq.jobs AS RESTRICTIVE FOR SELECT TO \(role) USING (store_id = 'mine')")
                try expectRefusal("\(group) with a restrictive policy")
                try database.run("DROP POLICY mine ON stockq.jobs; REVOKE stockq_\(group) FROM \(role)")
            }
            try database.run("DROP OWNED BY \(role); DROP ROLE \(role)")
        }
    }

    @Test("verify ends with 1 for wrong, and with 3 for not checked") func exitCodes() async throws {
        try await withDatabase { database in
            try database.run("INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 10)")
            #expect(try Program(database).run(["verify"]).code == 0)
            try database.run(
                "UPDATE stockq.items SET opening_on_hand = 9, opening_allocated = 0")
            #expect(try Program(database).run(["verify"]).code == 1)
            #expect(try Program(database).run(["verify", "--nonsense"]).code == 2)
            for words in [["verify"], ["migrate", "--status"]] {
                let away = try Program().run(words + ["--database-url", "postgresql://me@/x?host=/nowhere"])
                #expect(away.code == 3 && away.err.contains("cannot reach the database"))
            }
        }
    }
}
