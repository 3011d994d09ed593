import Foundation
import StockQueue
import StockQueueMigrations
import StockQueuePostgres
import TestSupport
import Testing

extension Faults.Server {
    // MARK: between worker and server

    @Test(
        "workers behind a PgBouncer in transaction mode continue after its restarts",
        .enabled(if: PgBouncer.isInstalled, "needs pgbouncer"))
    func restartedPgBouncer() async throws {
        try await withDatabase { database in
            let rig = try Rig(database, seed: 73, stores: 4)
            var bouncer = try PgBouncer(database.cluster)
            var settings = ConnectionSettings(
                conninfo: bouncer.conninfo(database: database.name), applicationName: "tests")
            settings.pooled = true
            let workers = WorkersUnderTest(settings, settings: Rig.quick())
            for _ in 0..<(Faults.isFull ? 20 : 3) {
                try rig.enqueueRound(40)
                let batches = workers.batches
                #expect(workers.waitForBatches(moreThan: batches))
                bouncer.kill()
                bouncer = try PgBouncer(database.cluster, port: bouncer.port)
            }
            #expect(try rig.jobsFinish())
            try workers.stop()
            bouncer.kill()
            try rig.expectSound(order: .none)
        }
    }

    // MARK: migrations

    @Test("workers continue while a newer version migrates the schema, and then do not start again")
    func migrationUnderLoad() async throws {
        try await withDatabase { database in
            let rig = try Rig(database, seed: 79, stores: 4)
            let workers = rig.startDirectWorkers()
            let producer = RepeatingSession(rig.database, accepts: [.deadlockDetected]) { _ in rig.shops.nextJobs(6) }
            let newer = Migration(
                .numbered, "9999_newer.sql",
                sql: """
                    ALTER TABLE :"schema".jobs ADD COLUMN newer text;
                    ALTER TABLE :"schema".items ADD COLUMN newer text DEFAULT 'x';
                    ALTER TABLE :"schema".results ADD COLUMN newer text;
                    ALTER TABLE audit.jobs ADD COLUMN newer text;
                    ALTER TABLE audit.items ADD COLUMN newer text;
                    CREATE INDEX newer ON :"schema".items (newer);
                    """)
            let before = workers.batches
            #expect(workers.waitForBatches(moreThan: before + 5))
            let migrators = (0..<2).map { _ in
                Background {
                    try Migrator(
                        connection: database.connect(), schema: database.schema, migrations: Migration.all + [newer]
                    ).migrate()
                }
            }
            for migrator in migrators { try migrator.wait() }
            let after = workers.batches
            #expect(workers.waitForBatches(moreThan: after + 5), "the older version continues")
            try producer.stop()
            #expect(try rig.jobsFinish())
            try workers.stop()
            // A worker of the older version does not start again, and says why.
            let blocked = try rig.program.run(["run", "--drain"])
            #expect(blocked.code == 1 && blocked.err.contains("newer stockq"), "\(blocked.err)")
            try Rig.expectSound(database, order: .none)
        }
    }

    @Test("workers with prepared statements, without them, and with other batch sizes share a queue")
    func twoKindsOfWorkers() async throws {
        try await withDatabase { database in
            let rig = try Rig(database, seed: 83, stores: 6)
            var pooled = database.settings
            pooled.pooled = true
            var small = Rig.quick()
            small.batchJobsMax = 3
            let all = [
                rig.startDirectWorkers(WorkerSettings()), WorkersUnderTest(pooled, settings: small), rig.startWorkers(),
            ]
            for _ in 0..<20 { try rig.enqueueRound(20) }
            #expect(try rig.jobsFinish())
            for workers in all { try workers.stop() }
            try rig.expectSound()
        }
    }
}
