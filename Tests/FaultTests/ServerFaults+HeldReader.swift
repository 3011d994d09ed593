import Foundation
import StockQueue
import StockQueueMigrations
import StockQueuePostgres
import TestSupport
import Testing

extension Faults.Server {
    // MARK: a vacuum that is held back

    /// A full scan steps over all entries of finished jobs, and takes its time.
    @Test("a store that is resumed beside a reader's transaction is worked at once, not with the next full scan")
    func resumeBesideReader() async throws {
        try await withDatabase { database in
            let finished = 250_000
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 1000000), ('t', 'a', 1000000);
                INSERT INTO stockq.jobs (store_id, item_id, quantity)
                SELECT (ARRAY['s', 't'])[1 + n % 2], 'a', -1 FROM generate_series(1, \(finished)) AS n
                """)
            let reader = try HeldReader(database)
            let workers = database.startWorkers()
            #expect(try eventually(seconds: 60) { try database.resultCount() == finished })
            try database.run(
                """
                SELECT stockq.pause('s');
                INSERT INTO stockq.jobs (store_id, item_id, quantity) SELECT 's', 'a', -1 FROM generate_series(1, 20000)
                """)
            let ready = "SELECT count(*) FROM stockq.jobs WHERE run_at IS NULL"
            #expect(try eventually(seconds: 60) { try database.value(ready) == "0" })
            try database.run("SELECT stockq.resume('s')")
            let resumed = Stopwatch()
            #expect(try eventually(seconds: 60) { try database.resultCount() > finished })
            Faults.report("a resumed store waited for \(resumed.milliseconds) ms")
            #expect(resumed.milliseconds <= 5_000)
            try reader.end()
            try workers.stop()
        }
    }

    /// The server removes old versions where no other transaction is open, of whatever database.
    @Test("many small batches do not let the table of items grow") func oldVersions() async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand) SELECT 's', n::text, 1000 FROM generate_series(0, 399) AS n;
                INSERT INTO stockq.jobs (store_id, item_id, quantity)
                SELECT 's', (n * 37 % 400)::text, -1 FROM generate_series(0, 19999) AS n
                """)
            // Some items of each page.
            let events = try database.drain { $0.batchJobsMax = 40 }
            #expect(events.count { $0.batch?.finished == 40 } == 500)
            #expect(try database.value("SELECT sum(on_hand) FROM stockq.items") == "380000")
            // One version of each item takes 12 pages, fifty of each would take 300.
            let pages = try #require(Int(try database.value("SELECT pg_relation_size('stockq.items') / 8192")))
            #expect(pages <= 150, "\(pages) pages")
        }
    }

    // MARK: migrations beside a reader whose transaction stays open

    @Test("a migrate that has nothing to do waits for no reader, and no producer or worker waits for it")
    func migrateBesideReader() async throws {
        try await withDatabase { database in
            let rig = try Rig(database, seed: 151, stores: 2)
            let workers = rig.startDirectWorkers()
            let producer = RepeatingSession(rig.database) { _ in rig.shops.nextJobs(6) }
            #expect(workers.waitForBatches(moreThan: workers.batches + 5))
            let reader = try HeldReader(database)
            let migration = try Program(database).start(["migrate"])
            #expect(eventually(seconds: 10) { migration.hasEnded })
            if !migration.hasEnded { migration.send(SIGKILL) }
            let ended = try migration.wait()
            #expect(ended.code == 0, "\(ended.err)")
            #expect(workers.waitForBatches(moreThan: workers.batches + 5))
            try reader.end()
            try producer.stop()
            #expect(try rig.jobsFinish())
            try workers.stop()
            try rig.expectSound()
        }
    }

    /// The migration waits for the reader, or gives up; it does not make others wait behind it.
    @Test("while a migration waits for a reader's transaction, producers and workers continue")
    func migrationWaitsForReader() async throws {
        try await withDatabase { database in
            let rig = try Rig(database, seed: 157, stores: 2)
            let workers = rig.startDirectWorkers()
            try rig.enqueueRound()
            #expect(try rig.jobsFinish())
            let newer = Migration(
                .numbered, "9999_newer.sql",
                sql: """
                    ALTER TABLE :"schema".items ADD COLUMN newer text;
                    ALTER TABLE :"schema".results ADD COLUMN newer text;
                    ALTER TABLE audit.items ADD COLUMN newer text;
                    """)
            let migrate: @Sendable () throws -> Void = {
                try Migrator(
                    connection: database.connect(), schema: database.schema, migrations: Migration.all + [newer]
                ).migrate()
            }
            let reader = try HeldReader(database)
            let migrator = Background(migrate)
            let end = Deadline.after(milliseconds: 5_000)
            var longest = 0
            while !end.hasPassed {
                let start = Stopwatch()
                let results = try database.resultCount()
                try database.enqueue(.adjust("item-1", 1, store: "store-0"))
                #expect(try eventually { try database.resultCount() > results })
                longest = max(longest, start.milliseconds)
            }
            Faults.report("longest way of a job beside a migration that waits for a reader: \(longest) ms")
            #expect(longest <= 3_000)
            try reader.end()
            do { try migrator.wait() } catch {
                // It gave up, and said so; now nothing is in its way.
                try migrate()
            }
            #expect(
                try database.value("SELECT count(*) FROM information_schema.columns WHERE column_name = 'newer'")
                    != "0")
            try workers.stop()
            try rig.expectSound(order: .none)
        }
    }
}
