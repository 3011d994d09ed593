import Foundation
import StockQueue
import StockQueueLocking
import StockQueuePostgres
import TestSupport
import Testing

/// What is dropped when it is old, what is kept, and that the ledger is provable at every moment.
@Suite("Retention") struct RetentionTests {
    private static let first = "results_000000000000000"

    /// Partitions of 1,000 ids.
    private static func smallPartitions(_ database: TestDatabase) throws {
        try database.run(
            """
            DROP TABLE stockq.results_000000000000000, stockq.results_000000005000000;
            SELECT stockq.add_results_partitions(1000, 3)
            """)
    }

    /// The workers themselves drop nothing.
    private static func drain(_ database: TestDatabase) throws {
        try database.drain {
            $0.jobsPerPartition = 1_000
            ($0.keepResults, $0.keepNotifications) = (.days(36_500), .days(36_500))
            ($0.keepOperations, $0.keepImports) = (.days(36_500), .days(36_500))
        }
    }

    /// Three results in the first partition, all of which have expired.
    private static func expiredResults(_ database: TestDatabase, lastID: Int = 1_500) throws {
        try smallPartitions(database)
        try database.addItem("a", 100)
        try database.enqueue(3, of: .adjust("a", -1))
        try drain(database)
        try database.run("SELECT setval('stockq.jobs_job_id_seq', \(lastID))")
        try database.expireResults(below: 1_000)
    }

    private static func expectSound(_ database: TestDatabase) throws {
        try expectSoundLedger(database)
        var scope = Verifier.Scope()
        (scope.store, scope.item) = ("s", "a")
        var violations: [String] = []
        try Verifier(connection: database.connect(), schema: .standard, scope: scope).runAll {
            violations += $0.violations
        }
        #expect(violations == [])
    }

    @Test("a partition that has a later change of an item than the next one is dropped, and the ledger is sound")
    func laterChangeInEarlierPartition() async throws {
        try await withDatabase { database in
            try Self.smallPartitions(database)
            try database.addItem("a", 100)
            try database.enqueue(.adjust("a", -1, priority: 4))
            try database.run("SELECT setval('stockq.jobs_job_id_seq', 1500)")
            // Version 1, although its id is higher.
            try database.enqueue(.adjust("a", -2, priority: 1))
            try Self.drain(database)
            try database.run("SELECT setval('stockq.jobs_job_id_seq', 2500)")
            #expect(try database.value("SELECT version FROM stockq.results WHERE job_id = 1") == "2")
            try database.expireResults(below: 1_000)
            #expect(try database.dropExpiredPartition() == Self.first)
            let opening = "SELECT opening_on_hand, opening_version FROM stockq.items"
            #expect(try database.value(opening) == "97,2")
            try Self.expectSound(database)
            try database.enqueue(.adjust("a", -3))
            try Self.drain(database)
            try Self.expectSound(database)
            try database.expireResults(below: 2_000)
            #expect(try database.dropExpiredPartition() == "results_000000000001000")
            #expect(try database.value(opening) == "97,2")
            try Self.expectSound(database)
            #expect(try database.dropExpiredPartition() == nil)
        }
    }

    @Test("items that are locked are left for later, and the ledger is sound in between") func lockedItems()
        async throws
    {
        try await withDatabase { database in
            try Self.smallPartitions(database)
            try database.addItem("a", 100)
            try database.addItem("b", 100)
            try database.enqueue(.adjust("a", -1), .adjust("b", -1), .adjust("a", -1))
            try Self.drain(database)
            try database.run("SELECT setval('stockq.jobs_job_id_seq', 1500)")
            try database.expireResults(below: 1_000)
            #expect(try database.value("SELECT stockq.prepare_expired_results('400 days')") == Self.first)
            let holder = try database.connect()
            try holder.executeScript("BEGIN; SELECT FROM stockq.items WHERE item_id = 'a' FOR UPDATE")
            let fold = "SELECT * FROM stockq.fold_expired_results(10, false)"
            #expect(try database.value(fold) == "1,f")
            #expect(try database.value(fold) == "0,f")
            #expect(try database.value("SELECT stockq.drop_results_partition('\(Self.first)')") == "f")
            try Self.expectSound(database)
            try holder.executeScript("ROLLBACK")
            #expect(try database.value("SELECT * FROM stockq.fold_expired_results(10, true)") == "1,t")
            try Self.expectSound(database)
            try database.enqueue(.adjust("a", -5), .adjust("b", -5))
            try Self.drain(database)
            try Self.expectSound(database)
            #expect(try database.value("SELECT stockq.drop_results_partition('\(Self.first)')") == "t")
            try Self.expectSound(database)
        }
    }

    @Test("while one process drops, another one drops nothing") func oneAtATime() async throws {
        try await withDatabase { database in
            try Self.smallPartitions(database)
            try database.addItem("a", 100)
            try database.enqueue(.adjust("a", -1, key: "k"))
            try Self.drain(database)
            try database.run("SELECT setval('stockq.jobs_job_id_seq', 1500)")
            try database.expireResults(below: 1_000)
            let other = try database.connect()
            try other.executeScript("BEGIN; SELECT stockq.lock_retention()")
            #expect(try database.dropExpiredPartition() == nil)
            #expect(try database.value("SELECT stockq.drop_expired_keys('0', 10)") == "0")
            #expect(try database.value("SELECT stockq.drop_old_operations('0', 10)") == "0")
            try other.executeScript("ROLLBACK")
            #expect(try database.dropExpiredPartition() == Self.first)
            #expect(try database.value("SELECT stockq.drop_expired_keys('0', 10)") == "1")
        }
    }

    @Test("a partition that spans too long is followed by the next one") func span() async throws {
        try await withDatabase { database in
            try Self.smallPartitions(database)
            try database.addItem("a", 100)
            let begin = "SELECT stockq.begin_results_partition('30 days')"
            #expect(try database.value(begin) == "0", "it is empty")
            try database.enqueue(3, of: .adjust("a", -1))
            try Self.drain(database)
            #expect(try database.value(begin) == "0")
            try database.run("UPDATE stockq.results SET enqueued_at = now() - interval '31 days' WHERE job_id = 1")
            #expect(try database.value(begin) == "997")
            #expect(try database.value(begin) == "0")
            try database.enqueue(.adjust("a", -1))
            try Self.drain(database)
            #expect(try database.results().last == .applied(1_001, -1))
            // A queue that rests begins no further one, and the old one can go.
            #expect(try database.value(begin) == "0")
            try database.expireResults(below: 1_000)
            #expect(try database.dropExpiredPartition() == Self.first)
            try Self.expectSound(database)
        }
    }

    @Test("a job that is queued for long counts for the span too") func spanOfQueuedJob() async throws {
        try await withDatabase { database in
            try Self.smallPartitions(database)
            try database.run(
                """
                INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'a', 1);
                UPDATE stockq.jobs SET enqueued_at = now() - interval '31 days'
                """)
            #expect(try database.value("SELECT stockq.begin_results_partition('30 days')") == "999")
        }
    }

    @Test("ids that are left out are drawn, however many producers draw meanwhile") func concurrentProducers()
        async throws
    {
        try await withDatabase { database in
            try database.run(
                """
                DROP TABLE stockq.results_000000000000000, stockq.results_000000005000000;
                SELECT stockq.add_results_partitions(200000, 3);
                INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'a', 1);
                UPDATE stockq.jobs SET enqueued_at = now() - interval '31 days'
                """)
            let producers = (0..<3).map { _ in
                Background {
                    for _ in 0..<200 { try database.enqueue(5, of: .adjust("a", 1)) }
                }
            }
            #expect(try Int(database.value("SELECT stockq.begin_results_partition('30 days')")) ?? 0 > 190_000)
            for producer in producers { try producer.wait() }
            // The primary key proves it too.
            #expect(try database.value("SELECT count(*), count(DISTINCT job_id) FROM stockq.jobs") == "3001,3001")
        }
    }

    @Test("nothing is dropped when the export failed; the file has all results, and no name before it is complete")
    func export() async throws {
        try await withDatabase { database in
            try Self.expiredResults(database)
            #expect(throws: OutputError.self) {
                try database.dropExpiredPartition(exports: ExportFolder("/nowhere"))
            }
            // The disk is full.
            let full = NSTemporaryDirectory() + "/stockq-full-\(UUID().uuidString)"
            try FileManager.default.createDirectory(atPath: full, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(atPath: full) }
            try FileManager.default.createSymbolicLink(
                atPath: "\(full)/.\(Self.first).csv.\(getpid())", withDestinationPath: "/dev/full")
            #expect(throws: OutputError.self) { try database.dropExpiredPartition(exports: ExportFolder(full)) }
            #expect(try FileManager.default.contentsOfDirectory(atPath: full) == [])
            #expect(try database.resultCount() == 3)
            #expect(try database.dropExpiredPartition(exports: ExportFolder(full, .ndjson)) == Self.first)
            #expect(try FileManager.default.contentsOfDirectory(atPath: full) == ["\(Self.first).ndjson"])
            let lines = try String(contentsOfFile: "\(full)/\(Self.first).ndjson", encoding: .utf8).split(
                separator: "\n")
            #expect(lines.count == 3 && lines[0].hasPrefix(#"{"job_id":1,"#))
            #expect(try database.resultCount() == 0)
            try Self.expectSound(database)
        }
    }

    @Test("a detached partition is a table of its own") func detach() async throws {
        try await withDatabase { database in
            try Self.expiredResults(database)
            let retention = Retention(connection: try database.connect(), schema: .standard)
            let dropped = try ExpiredResults(retention, detaches: true).dropNext(keepSeconds: 86_400) { true }
            #expect(dropped?.name == Self.first)
            #expect(try database.resultCount() == 0)
            #expect(try database.value("SELECT count(*) FROM stockq.detached_\(Self.first)") == "3")
            try Self.expectSound(database)
        }
    }

    @Test("notifications, operations and imports are dropped by spans of their own, and what verify needs is kept")
    func spans() async throws {
        try await withDatabase { database in
            try Self.smallPartitions(database)
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold) VALUES ('s', 'a', 10, 5);
                INSERT INTO stockq.imports (label, kind, imported_by, state, updated_at) VALUES
                    ('old', 'jobs', 'a', 'finished', now() - interval '500 days'),
                    ('queued', 'jobs', 'a', 'finished', now() - interval '500 days'),
                    ('new', 'items', 'a', 'finished', now());
                SELECT stockq.set_store_limit('s', 7);
                UPDATE stockq.operations SET at = now() - interval '500 days';
                SELECT stockq.set_store_limit('s', 100)
                """)
            try database.enqueue(.adjust("a", -6))
            try Self.drain(database)
            // A change of the threshold that the item has not left, one that it has, and a job of an import.
            try database.run(
                """
                SELECT stockq.set_item('s', 'a', low_stock_threshold => 3);
                SELECT setval('stockq.jobs_job_id_seq', 1500);
                """)
            try database.enqueue(.adjust("a", 1))
            try Self.drain(database)
            try database.run(
                """
                SELECT stockq.set_item('s', 'a', low_stock_threshold => 5);
                INSERT INTO stockq.jobs (store_id, item_id, quantity, run_at) VALUES ('s', 'a', 1, now() + interval '1 day');
                INSERT INTO stockq.import_parts
                SELECT 2, job_id, job_id, submission_id, 'a' FROM stockq.jobs;
                UPDATE stockq.notifications SET created_at = now() - interval '500 days';
                """)
            let kinds = "SELECT kind, coalesce(job_id, 0) FROM stockq.notifications ORDER BY notification_id"
            #expect(try database.rows(kinds) == ["low_stock,1", "restocked,0", "low_stock,0"])
            let drop = { (what: String) in try database.value("SELECT stockq.drop_old_\(what)('400 days', 100)") }
            #expect(try drop("notifications") == "1", "the change that the item has left")
            try Self.expectSound(database)
            try database.expireResults(below: 1_000)
            #expect(try database.dropExpiredPartition() == Self.first)
            #expect(try drop("notifications") == "1", "the one whose result is gone")
            #expect(try database.rows(kinds) == ["low_stock,0"])
            try Self.expectSound(database)
            #expect(try drop("operations") == "1")
            #expect(try drop("imports") == "1")
            #expect(try database.rows("SELECT label FROM stockq.imports ORDER BY 1") == ["new", "queued"])
        }
    }

    @Test("a worker process of the owner drops by itself") func maintenance() async throws {
        try await withDatabase { database in
            try Self.expiredResults(database, lastID: 2_500)
            let workers = database.startWorkers { $0.jobsPerPartition = 1_000 }
            #expect(
                workers.events.wait { event in
                    if case .partitionDropped(let dropped) = event { dropped.name == Self.first } else { false }
                })
            try workers.stop()
            try Self.expectSound(database)
        }
    }
}
