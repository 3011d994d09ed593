import Foundation
import StockQueue
import StockQueueMigrations
import StockQueuePostgres
import TestSupport
import Testing

@Suite("migrations beside other sessions") struct MigrationLockTests {
    private static let newColumn = Migration(
        .numbered, "9999_new_column.sql", sql: "ALTER TABLE :\"schema\".jobs ADD COLUMN new_column text;")

    /// A transaction that has read the jobs and does nothing more.
    private static func idleReader(_ database: TestDatabase) throws -> Connection {
        let reader = try Connection(ConnectionSettings(conninfo: database.conninfo, applicationName: "idle reader"))
        try reader.executeScript("BEGIN; SELECT FROM stockq.jobs")
        return reader
    }

    /// Inserts one job after another, and gives up at a wait five times as long as a migrator may cause.
    private static func startProducer(_ database: TestDatabase, until stop: Shared<Bool>) -> Background {
        Background {
            let producer = try database.connect()
            try producer.executeScript("SET lock_timeout = \(Migrator.lockTimeout.milliseconds * 5)")
            while !stop.value {
                try producer.executeScript("INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'a', 1)")
            }
        }
    }

    @Test("an idle reader holds a migration back, and neither holds producers back")
    func idleReader() async throws {
        try await withDatabase { database in
            let reader = try Self.idleReader(database)
            let stop = Shared(false)
            let producers = (0..<2).map { _ in Self.startProducer(database, until: stop) }
            let seen = Shared<[LockHolder]>([])
            let connection = try database.connect()
            let migrator = Migrator(
                connection: connection, schema: .standard, migrations: Migration.all + [Self.newColumn],
                onWait: { holders in
                    seen.update { $0 += holders }
                    // The reader ends when it has been named twice.
                    if seen.value.count >= 2 { try? reader.executeScript("COMMIT") }
                })
            try migrator.migrate()
            stop.value = true
            for producer in producers { try producer.wait() }
            #expect(seen.value.allSatisfy { $0.processID == reader.backendProcessID })
            #expect(seen.value.first?.applicationName == "idle reader" && seen.value.first?.user == "stockq")
            #expect(seen.value.first?.state == "idle in transaction" && seen.value.first?.queryStart != nil)
            #expect(try database.value("SELECT count(new_column) FROM stockq.jobs") == "0")
            let inserted = try database.value("SELECT count(*) > 0 FROM stockq.jobs")
            #expect(inserted == "t")
        }
    }

    @Test("a migration that gets no lock in time changes nothing and names the session")
    func givesUp() async throws {
        try await withDatabase { database in
            let reader = try Self.idleReader(database)
            let migrator = Migrator(
                connection: try database.connect(), schema: .standard, migrations: Migration.all + [Self.newColumn],
                lockWait: .seconds(1))
            let error = #expect(throws: QueueSchemaError.self) { try migrator.migrate() }
            #expect(
                "\(try #require(error))".hasPrefix(
                    "schema stockq was not migrated: within 1s its tables could not be locked, because of process "
                        + "\(reader.backendProcessID) (user stockq, application idle reader, idle in transaction, "))
            #expect("\(try #require(error))".hasSuffix("then run: stockq migrate --schema stockq"))
            #expect(throws: QueueSchemaError.behind(schema: "stockq", files: [Self.newColumn.name])) {
                try migrator.check()
            }
            try reader.executeScript("COMMIT")
            try migrator.migrate()
            try migrator.check()
        }
    }

    @Test(
        "through a pooler the session is named too", .enabled(if: PgBouncer.isInstalled, "needs pgbouncer"))
    func pooled() async throws {
        try await withDatabase { database in
            let bouncer = try PgBouncer(database.cluster)
            var settings = ConnectionSettings(
                conninfo: bouncer.conninfo(database: database.name), applicationName: "tests")
            settings.pooled = true
            let reader = try Self.idleReader(database)
            let seen = Shared<[LockHolder]>([])
            let migrator = Migrator(
                connection: try Connection(settings), schema: .standard, migrations: Migration.all + [Self.newColumn],
                onWait: { holders in
                    seen.update { $0 += holders }
                    if !holders.isEmpty { try? reader.executeScript("COMMIT") }
                })
            try migrator.migrate()
            #expect(seen.value.map(\.processID) == [reader.backendProcessID])
            bouncer.kill()
        }
    }

    @Test("a policy that the roles lack waits for a reader too")
    func roles() async throws {
        try await withDatabase { database in
            try database.run(
                "DROP POLICY reader_select ON stockq.jobs; DELETE FROM stockq.migrations WHERE kind = 'roles'")
            let reader = try Self.idleReader(database)
            let waits = Shared(0)
            let migrator = Migrator(
                connection: try database.connect(), schema: .standard,
                onWait: { _ in
                    waits.update { $0 += 1 }
                    try? reader.executeScript("COMMIT")
                })
            #expect(try migrator.makeRoles() == .made)
            #expect(waits.value == 1)
            #expect(try database.value("SELECT count(*) FROM pg_policy WHERE polname = 'reader_select'") == "11")
        }
    }

    @Test("migrators that meet an empty schema apply each file once")
    func emptySchema() async throws {
        try await withDatabase(migrated: false) { database in
            try database.run("CREATE SCHEMA stockq")
            let all = (0..<6).map { _ in
                Background { try Migrator(connection: database.connect(), schema: .standard).migrate() }
            }
            for one in all { try one.wait() }
            #expect(try database.value("SELECT count(*) FROM stockq.migrations") == "\(Migration.all.count)")
            #expect(try database.value("SELECT to_regclass('stockq.migrating') IS NULL") == "t")
        }
    }

    @Test("a migration waits for another one and finds nothing to do")
    func anotherMigrator() async throws {
        try await withDatabase { database in
            let other = try database.connect()
            try other.executeScript("BEGIN; LOCK TABLE stockq.migrations IN SHARE ROW EXCLUSIVE MODE")
            let waits = Shared(0)
            let migrator = Migrator(
                connection: try database.connect(), schema: .standard, migrations: Migration.all + [Self.newColumn],
                onWait: { _ in
                    waits.update { $0 += 1 }
                    try? other.executeScript("COMMIT")
                })
            try migrator.migrate()
            #expect(waits.value == 1)
        }
    }

    // MARK: roles without grants

    /// The keys that earlier versions used.
    private static let advisoryLocks = """
        SELECT pg_advisory_lock('stockq.results'::regclass::oid::integer, 0),
            pg_advisory_lock('stockq.results'::regclass::oid::integer, 1),
            pg_advisory_lock(hashtextextended('stockq migrate stockq', 0))
        """

    @Test("no advisory lock stops partitions, retention or migrations")
    func advisoryLocks() async throws {
        try await withDatabase { database in
            let holder = try database.connect()
            try holder.executeScript(Self.advisoryLocks)
            let connection = try database.connect()
            try connection.executeScript("SET lock_timeout = '1s'")
            try connection.executeScript("SELECT setval('stockq.jobs_job_id_seq', 12000000)")
            #expect(try database.rows("SELECT stockq.add_results_partitions()", connection) == ["2"])
            #expect(
                try database.rows("SELECT stockq.drop_expired_results('0')", connection) == ["results_000000000000000"])
            try Migrator(
                connection: connection, schema: .standard, migrations: Migration.all + [Self.newColumn],
                lockWait: .zero
            ).migrate()
            for migration in Migration.all where migration.kind != .numbered {
                #expect(!migration.sql.contains("pg_advisory") && !migration.sql.contains("pg_try_advisory"))
            }
        }
    }

    @Test(
        "no role of the queue can lock what the maintenance locks",
        arguments: ["producer", "worker", "reader", "admin"])
    func maintenanceLocks(role: String) async throws {
        try await withDatabase { database in
            for statement in [
                "SELECT FROM stockq.maintenance_locks FOR UPDATE", "SELECT FROM stockq.maintenance_locks FOR KEY SHARE",
                "LOCK TABLE stockq.maintenance_locks IN ROW SHARE MODE",
                "LOCK TABLE stockq.migrations IN ROW SHARE MODE",
            ] {
                let failure = try database.failure(of: "SET ROLE stockq_\(role); \(statement)")
                #expect(failure.hasPrefix("42501"), "\(statement): \(failure)")
            }
        }
    }

    @Test("one process at a time drops results, and one at a time adds partitions")
    func oneAtATime() async throws {
        try await withDatabase { database in
            try database.run("SELECT setval('stockq.jobs_job_id_seq', 12000000)")
            let other = try database.connect()
            try other.executeScript("BEGIN; SELECT FROM stockq.maintenance_locks FOR UPDATE")
            #expect(try database.value("SELECT stockq.drop_expired_results('0')") == "")
            let failure = try database.failure(of: "SET lock_timeout = 50; SELECT stockq.add_results_partitions()")
            #expect(failure.hasPrefix("55P03"))
            // Where there is nothing to add, nothing is locked.
            try database.run("SET lock_timeout = 50; SELECT setval('stockq.jobs_job_id_seq', 1)")
            #expect(try database.value("SELECT stockq.add_results_partitions()") == "0")
            try other.executeScript("COMMIT")
            #expect(try database.value("SELECT stockq.drop_expired_results('0')") == "")
        }
    }
}
