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

    private static let next = Migration.all.count + 1
    private static let extra = Migration(
        number: next, name: "\(next)_extra.sql", sql: "CREATE TABLE :\"schema\".extra (id int);")

    @Test func whatIsAppliedIsNotAppliedAgain() async throws {
        try await withDatabase(migrated: false) { database in
            #expect(throws: SchemaError.notMigrated(schema: "stockq")) { try Self.migrator(database).check() }
            var applied: [String] = []
            try Self.migrator(database).migrate { applied.append($0) }
            try Self.migrator(database).migrate { applied.append($0) }
            #expect(applied == Migration.all.map(\.name))
        }
    }

    @Test func twoAtOnceAreSafe() async throws {
        try await withDatabase(migrated: false) { database in
            let all = (0..<6).map { _ in Background { try Self.migrator(database).migrate() } }
            for one in all { try one.wait() }
            #expect(try database.value("SELECT count(*) FROM stockq.migrations") == "\(Migration.all.count)")
        }
    }

    @Test func aChangedFileIsRefusedByName() async throws {
        try await withDatabase { database in
            let first = Migration.all[0]
            let changed = Migration(number: 1, name: first.name, sql: first.sql + "\n-- changed")
            #expect(throws: SchemaError.changed(name: first.name)) { try Self.migrator(database, [changed]).migrate() }
        }
    }

    @Test func aNewerSchemaIsRefused() async throws {
        try await withDatabase { database in
            try Self.migrator(database, Migration.all + [Self.extra]).migrate()
            #expect(throws: SchemaError.newer(schema: "stockq", name: Self.extra.name)) {
                try Self.migrator(database).check()
            }
            #expect(throws: SchemaError.newer(schema: "stockq", name: Self.extra.name)) {
                try Self.migrator(database).migrate()
            }
        }
    }

    @Test func anOlderSchemaIsNamed() async throws {
        try await withDatabase { database in
            let migrator = try Self.migrator(database, Migration.all + [Self.extra])
            #expect(throws: SchemaError.behind(schema: "stockq", missing: [Self.extra.name])) { try migrator.check() }
        }
    }

    @Test func aMigrationThatFailsLeavesNothing() async throws {
        try await withDatabase { database in
            let broken = Migration(
                number: Self.next, name: "\(Self.next)_broken.sql",
                sql: "CREATE TABLE :\"schema\".half (id int); SELECT 1 / 0;")
            #expect(throws: SchemaError.self) { try Self.migrator(database, Migration.all + [broken]).migrate() }
            #expect(try database.value("SELECT to_regclass('stockq.half') IS NULL") == "t")
            try Self.migrator(database).check()
        }
    }

    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
        "../../migrations")

    @Test func everyFileOfTheFolderIsCarried() throws {
        let files = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path)
            .filter { $0.hasSuffix(".sql") && !["schema.sql", "roles.sql"].contains($0) }.sorted()
        #expect(files == Migration.all.map(\.name))
        #expect(Migration.all.map(\.number) == Array(1...Migration.all.count))
        for migration in Migration.all {
            let text = try String(contentsOf: Self.folder.appendingPathComponent(migration.name), encoding: .utf8)
            #expect(text == migration.sql)
        }
    }

    /// `migrations/schema.sql` shows what all migrations amount to. After a new one: STOCKQ_WRITE_SNAPSHOT=1 make test
    @Test func theSnapshotIsWhatTheMigrationsMake() async throws {
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
        return "-- What the migrations amount to, as pg_dump shows it. A test compares it; do not edit.\n"
            + lines.joined(separator: "\n") + "\n"
    }
}
