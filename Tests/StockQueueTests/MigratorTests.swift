import Foundation
import StockQueue
import StockQueueMigrations
import StockQueuePostgres
import TestSupport
import Testing

@Suite struct MigratorTests {
    private static func migrator(_ database: TestDatabase, _ migrations: [Migration] = Migration.all) throws -> Migrator
    {
        Migrator(connection: try database.connect(), schema: .standard, migrations: migrations)
    }

    private static let extra = Migration(
        .numbered, "0002_extra.sql", sql: "CREATE TABLE :\"schema\".extra (id int);")
    private static let function = Migration(
        .repeatable, "functions/extra.sql",
        sql: "CREATE OR REPLACE FUNCTION :\"schema\".extra() RETURNS integer LANGUAGE sql RETURN 1;")
    private static let changedFunction = Migration(
        .repeatable, function.name,
        sql: "CREATE OR REPLACE FUNCTION :\"schema\".extra() RETURNS integer LANGUAGE sql RETURN 2;")

    @Test("a file that was applied is not applied again")
    func whatIsAppliedIsNotAppliedAgain() async throws {
        try await withDatabase(migrated: false) { database in
            #expect(throws: QueueSchemaError.notMigrated(schema: "stockq")) { try Self.migrator(database).check() }
            var applied: [String] = []
            try Self.migrator(database).migrate { applied.append($0) }
            try Self.migrator(database).migrate { applied.append($0) }
            #expect(applied.count == Migration.all.count && Set(applied) == Set(Migration.all.map(\.name)))
        }
    }

    @Test("six migrators at once apply each file once")
    func twoAtOnceAreSafe() async throws {
        try await withDatabase(migrated: false) { database in
            let all = (0..<6).map { _ in Background { try Self.migrator(database).migrate() } }
            for one in all { try one.wait() }
            #expect(try database.value("SELECT count(*) FROM stockq.migrations") == "\(Migration.all.count)")
        }
    }

    @Test("a numbered file that changed after it was applied is an error that names it")
    func aChangedFileIsRefusedByName() async throws {
        try await withDatabase { database in
            let first = Migration.all[0]
            let changed =
                [Migration(.numbered, first.name, sql: first.sql + "\n-- changed")] + Migration.all.dropFirst()
            let expected = QueueSchemaError.changed(schema: "stockq", name: first.name)
            #expect(throws: expected) { try Self.migrator(database, changed).migrate() }
            #expect(throws: expected) { try Self.migrator(database, changed).check() }
        }
    }

    @Test("an older program does not use a newer schema", arguments: [extra, function])
    func aNewerSchemaIsRefused(_ file: Migration) async throws {
        try await withDatabase { database in
            try Self.migrator(database, Migration.all + [file]).migrate()
            let expected = QueueSchemaError.newer(schema: "stockq", name: file.name)
            #expect(throws: expected) { try Self.migrator(database).check() }
            #expect(throws: expected) { try Self.migrator(database).migrate() }
        }
    }

    @Test("a newer program names the files that a schema lacks", arguments: [extra, function])
    func anOlderSchemaIsNamed(_ file: Migration) async throws {
        try await withDatabase { database in
            let migrator = try Self.migrator(database, Migration.all + [file])
            #expect(throws: QueueSchemaError.behind(schema: "stockq", files: [file.name])) { try migrator.check() }
            try migrator.migrate()
            try migrator.check()
        }
    }

    @Test("a migration that fails changes nothing")
    func aMigrationThatFailsLeavesNothing() async throws {
        try await withDatabase { database in
            let broken = Migration(
                .numbered, "0002_broken.sql", sql: "CREATE TABLE :\"schema\".half (id int); SELECT 1 / 0;")
            let error = #expect(throws: PostgresError.self) {
                try Self.migrator(database, Migration.all + [broken]).migrate()
            }
            #expect(error?.sqlState?.rawValue == "22012")
            #expect(try database.value("SELECT to_regclass('stockq.half') IS NULL") == "t")
            try Self.migrator(database).check()
        }
    }

    @Test("a repeatable script is applied again when its text changes, all of them or none")
    func aChangedScriptIsAppliedAgain() async throws {
        try await withDatabase { database in
            try Self.migrator(database, Migration.all + [Self.function]).migrate()
            #expect(try database.value("SELECT stockq.extra()") == "1")
            let broken = Migration(.repeatable, "functions/broken.sql", sql: "SELECT 1 / 0")
            let changed = Migration.all + [Self.changedFunction]
            #expect(throws: PostgresError.self) { try Self.migrator(database, changed + [broken]).migrate() }
            #expect(try database.value("SELECT stockq.extra()") == "1")
            #expect(throws: QueueSchemaError.behind(schema: "stockq", files: [Self.function.name])) {
                try Self.migrator(database, changed).check()
            }
            let outdated = try Self.migrator(database, changed).status().filter { $0.state != .applied }
            #expect(outdated.map(\.name) == [Self.function.name] && outdated[0].state == .outdated)

            var applied: [String] = []
            try Self.migrator(database, changed).migrate { applied.append($0) }
            #expect(applied == [Self.function.name])
            #expect(try database.value("SELECT stockq.extra()") == "2")
        }
    }

    /// A migrator with nothing to do waits for no producer and blocks none.
    @Test("nothing to do takes no lock stronger than ACCESS SHARE")
    func nothingToDoLocksNothing() async throws {
        try await withDatabase { database in
            let producer = try database.connect()
            try producer.executeScript(
                "BEGIN; INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'a', 1)")
            let connection = try database.connect()
            // In one transaction, so that its locks stay to be seen.
            try connection.executeScript("BEGIN; SET LOCAL lock_timeout = '1s'")
            let migrator = Migrator(connection: connection, schema: .standard)
            try migrator.migrate { name in Issue.record("\(name) was applied") }
            #expect(try migrator.makeRoles() == .unchanged)
            #expect(
                try database.rows(
                    """
                    SELECT DISTINCT mode FROM pg_locks
                    WHERE pid = pg_backend_pid() AND (locktype IN ('advisory', 'object') OR relation IS NOT NULL)
                    """, connection) == ["AccessShareLock"])
            try connection.executeScript("COMMIT")
            try producer.executeScript("COMMIT")
        }
    }

    @Test("the roles' script runs again after another file, and not otherwise")
    func theRolesFollowTheFiles() async throws {
        try await withDatabase { database in
            let applied = "SELECT applied_at FROM stockq.migrations WHERE kind = 'roles'"
            let first = try database.value(applied)
            #expect(try Self.migrator(database).makeRoles() == .unchanged)
            #expect(try database.value(applied) == first && first != "")
            try Self.migrator(database, Migration.all + [Self.function]).migrate()
            #expect(try database.rows(applied) == [])
            #expect(try Self.migrator(database, Migration.all + [Self.function]).makeRoles() == .made)
            #expect(try database.value(applied) > first)
        }
    }

    @Test("without the wake-up trigger a sleeping worker finds the job by polling")
    func theWakeUpTriggerMayBeLeftOut() async throws {
        try await withDatabase(migrated: false) { database in
            let trigger = "SELECT count(*) FROM pg_trigger WHERE tgname = 'send_wakeup'"
            try Self.migrator(database).migrate(withoutWakeUpTrigger: true)
            try Self.migrator(database).check()
            #expect(try database.value(trigger) == "0")
            let workers = database.startWorkers()
            for results in 1...2 {
                try database.run("INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'a', 1)")
                #expect(eventually { (try? database.value("SELECT count(*) FROM stockq.results")) == "\(results)" })
                // Not called: the workers sleep.
                #expect(eventually { (try? database.value("SELECT is_called FROM stockq.workers_awake")) == "f" })
            }
            try workers.stop()

            // Each call says what the schema is to have.
            try Self.migrator(database).migrate()
            #expect(try database.value(trigger) == "1")
            try Self.migrator(database).migrate(withoutWakeUpTrigger: true)
            #expect(try database.value(trigger) == "0")
        }
    }

    static let schemaNames: [(String, Bool)] = [
        ("stockq", true), ("Ünïcode", true), (String(repeating: "n", count: 54), true),
        (String(repeating: "n", count: 55), false), ("", false), ("pg_stockq", false), ("a\nb", false),
        ("a\rb", false), ("a\u{2028}b", false), ("a\u{202E}b", false), ("a\u{200B}b", false), ("a\u{7F}b", false),
    ]

    @Test("names of schemas that are taken and refused", arguments: schemaNames)
    func schemaName(_ name: String, isTaken: Bool) { #expect((QueueSchema(name) != nil) == isTaken) }

    @Test(
        "a schema may have any visible name",
        arguments: ["it's \"odd\" $$; DROP", "a\\b'\\", "%s %I :\"schema\" --", String(repeating: "n", count: 54)])
    func oddSchema(_ name: String) async throws {
        try await withDatabase(migrated: false) { database in
            let schema = try #require(QueueSchema(name))
            let migrator = Migrator(connection: try database.connect(), schema: schema)
            try migrator.migrate()
            #expect(try migrator.makeRoles() == .made)
            try migrator.check()
            try database.run(
                """
                INSERT INTO \(schema.quoted).items (store_id, item_id, on_hand) VALUES ('s', 'a', 9);
                SELECT \(schema.quoted).enqueue('s', 'a', -2);
                """)
            WorkersUnderTest.drain(database.settings, schema: schema, settings: WorkerSettings())
            #expect(try database.value("SELECT on_hand FROM \(schema.quoted).items") == "7")
            try Self.dropRoles(schema, database)
        }
    }

    /// Names of roles belong to the whole cluster.
    private static func dropRoles(_ schema: QueueSchema, _ database: TestDatabase) throws {
        for role in ["producer", "worker", "reader", "admin"] {
            let quoted = quoteIdentifier("\(schema.name)_\(role)")
            try database.run("DROP OWNED BY \(quoted); DROP ROLE \(quoted)")
        }
    }

    @Test("a copy of a database on another server gets its roles there") func copyWithoutRoles() async throws {
        try await withDatabase(migrated: false) { database in
            let schema = try #require(QueueSchema("copied"))
            let migrator = Migrator(connection: try database.connect(), schema: schema)
            try migrator.migrate()
            #expect(try migrator.makeRoles() == .made)
            try Self.dropRoles(schema, database)
            #expect(try migrator.makeRoles() == .made)
            #expect(try migrator.makeRoles() == .unchanged)
            try Self.dropRoles(schema, database)
        }
    }

    @Test("the files are ASCII and their literals mean the same under every setting")
    func ascii() {
        for migration in Migration.all + [Migration.roles] {
            #expect(migration.sql.utf8.allSatisfy { $0 < 0x80 }, "\(migration.name)")
            // A function's body is read under its caller's standard_conforming_strings.
            for line in migration.sql.split(separator: "\n") where line.contains("\\") {
                #expect(line.contains("E'"), "\(migration.name): \(line)")
            }
        }
    }

    static let errors: [(QueueSchemaError, String)] = [
        (
            .locked(schema: "eu", holders: [], waited: "1m"),
            "schema eu was not migrated: within 1m its tables could not be locked; nothing was changed. End those transactions, then run: stockq migrate --schema eu"
        ),
        (.notMigrated(schema: "stockq"), "schema stockq is not migrated; run: stockq migrate --schema stockq"),
        (.notMigrated(schema: "my shop"), "schema my shop is not migrated; run: stockq migrate --schema 'my shop'"),
        (.notMigrated(schema: "it's"), "schema it's is not migrated; run: stockq migrate --schema 'it'\\''s'"),
        (
            .behind(schema: "eu_1", files: ["0002_b.sql", "views/jobs.sql"]),
            "schema eu_1 is older than this program (0002_b.sql, views/jobs.sql); run: stockq migrate --schema eu_1"
        ),
        (
            .newer(schema: "eu", name: "0009_x.sql"),
            "schema eu was migrated by a newer stockq (it has 0009_x.sql); use that version or a later one"
        ),
        (
            .changed(schema: "eu", name: "0001_initial.sql"),
            "migration 0001_initial.sql was applied to schema eu and has changed since; restore the file, and put the change into a new one"
        ),
    ]

    @Test("an error names the command that helps", arguments: errors)
    func anErrorNamesTheCommand(_ error: QueueSchemaError, text: String) { #expect("\(error)" == text) }

    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
        "../../migrations")

    @Test("the program carries every SQL file of the folder")
    func everyFileOfTheFolderIsCarried() throws {
        let files = try FileManager.default.subpathsOfDirectory(atPath: Self.folder.path)
            .filter { $0.hasSuffix(".sql") && $0 != "schema.sql" }
        let carried = Migration.all + [Migration.roles]
        #expect(Set(files) == Set(carried.map(\.name)) && files.count == carried.count)
        let numbered = Migration.all.filter { $0.kind == .numbered }
        for (index, migration) in numbered.enumerated() { #expect(Int(migration.name.prefix(4)) == index + 1) }
        for migration in carried {
            let text = try String(contentsOf: Self.folder.appendingPathComponent(migration.name), encoding: .utf8)
            #expect(text == migration.sql)
            for line in text.split(separator: "\n") { #expect(line.count <= 120, "\(migration.name): \(line)") }
        }
    }

    @Test("psql runs the files as they are")
    func psqlRunsTheFiles() async throws {
        try await withDatabase(migrated: false) { database in
            try database.run("CREATE SCHEMA stockq")
            let first = Migration.all.flatMap(\.requires)
            for name in first + Migration.all.map(\.name) + [Migration.roles.name] {
                let ended = try Program().start(
                    [
                        "-X", "-q", "-v", "ON_ERROR_STOP=1", "-v", "schema=stockq", "-d", database.conninfo, "-f",
                        Self.folder.appendingPathComponent(name).path,
                    ], executable: "/usr/bin/psql"
                ).wait()
                #expect(ended.code == 0, "\(name): \(ended.err)")
            }
            let snapshot = try String(contentsOf: Self.folder.appendingPathComponent("schema.sql"), encoding: .utf8)
            #expect(try Self.dump(database) == snapshot)
        }
    }

    /// `migrations/schema.sql` shows the schema that all files make. After a change: STOCKQ_WRITE_SNAPSHOT=1 make test
    @Test("schema.sql is the schema that the files make")
    func theSnapshotIsWhatTheMigrationsMake() async throws {
        let dump = try await withDatabase { database in try Self.dump(database) }
        let file = Self.folder.appendingPathComponent("schema.sql")
        if ProcessInfo.processInfo.environment["STOCKQ_WRITE_SNAPSHOT"] != nil {
            try dump.write(to: file, atomically: true, encoding: .utf8)
        }
        let snapshot = try String(contentsOf: file, encoding: .utf8)
        #expect(
            dump == snapshot,
            "migrations/schema.sql is out of date; write it anew with STOCKQ_WRITE_SNAPSHOT=1 make test")
    }

    /// The schema as pg_dump writes it, without what depends on its version.
    private static func dump(_ database: TestDatabase) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [
            "pg_dump", "--schema-only", "--no-owner", "--no-privileges", "--schema=stockq", database.conninfo,
        ]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        try #require(process.terminationStatus == 0)
        let lines = text.split(separator: "\n").filter { line in
            !line.hasPrefix("--") && !line.hasPrefix("SET ") && !line.hasPrefix("\\")
                && !line.hasPrefix("SELECT pg_catalog.set_config")
        }
        return "-- The schema that the migrations make, as pg_dump shows it. A test compares it; do not edit.\n"
            + lines.joined(separator: "\n") + "\n"
    }
}
