import Foundation
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// `Tests/Releases` has a dump of each release's schema with a queue in use. This version upgrades every one of them
/// and works on.
@Suite("upgrades from released versions") struct ReleaseTests {
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Releases")

    static let dumps: [String] =
        (try? FileManager.default.contentsOfDirectory(atPath: folder.path))?.filter {
            $0.hasSuffix(".sql")
        }.sorted() ?? []

    @Test("a release's queue is upgraded, drained and verified", arguments: dumps)
    func upgrade(dump: String) async throws {
        try await withDatabase(migrated: false) { database in
            try Self.psql(database, file: Self.folder.appendingPathComponent(dump).path)
            let finished = try database.value("SELECT count(*) FROM stockq.results")
            let migrator = Migrator(connection: try database.connect(), schema: database.schema)
            try migrator.migrate()
            try migrator.check()
            #expect(try database.value("SELECT count(*) FROM stockq.results") == finished)
            try expectSoundLedger(database)
            try database.run("SELECT stockq.resume(everything => true); SELECT stockq.enqueue('s', 'a', 1)")
            try database.drain()
            // What is left waits for stock or for its time.
            #expect(
                try database.rows("SELECT DISTINCT state FROM stockq.job_states WHERE state <> 'finished' ORDER BY 1")
                    == ["scheduled", "waiting"])
            #expect(try database.value("SELECT count(*) FROM stockq.results WHERE group_id = 'later'") == "2")
            try expectSoundLedger(database)
        }
    }

    /// 0.2.0 took any time. Such a job is worked, changed and retried as before, and does not stop the migration.
    @Test("jobs of a release with times beyond the limit go on")
    func farTimes() async throws {
        try await withDatabase(migrated: false) { database in
            try Self.psql(database, file: Self.folder.appendingPathComponent("0.2.0.sql").path)
            try database.run(
                """
                SELECT stockq.resume(everything => true);
                INSERT INTO stockq.jobs (store_id, item_id, quantity, on_insufficient, reference, run_at, expires_at)
                VALUES ('far', 'a', -1, 'wait', 'waits', NULL, 'infinity'),
                    ('far', 'unknown', -1, 'reject', 'is rejected', NULL, '294276-01-01'),
                    ('far', 'a', 1, 'reject', 'is later', '294276-01-01', NULL);
                INSERT INTO stockq.items (store_id, item_id) VALUES ('far', 'a')
                """)
            try Migrator(connection: try database.connect(), schema: database.schema).migrate()
            try database.run("SELECT stockq.reprioritize(1, store_id => 'far', reference => 'waits')")
            try database.run("SELECT stockq.pause(store_id => 'far')")
            try database.drain()
            try database.run("SELECT stockq.resume(store_id => 'far')")
            try database.drain()
            let states = "SELECT state, reference FROM stockq.job_states WHERE store_id = 'far' ORDER BY job_id"
            #expect(
                try database.rows(states) == ["waiting,waits", "finished,is rejected", "scheduled,is later"])
            try database.run("SELECT stockq.retry_jobs(code => 'unknown_item', store_id => 'far')")
            try database.run("INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('far', 'unknown', 1)")
            try database.run("SELECT stockq.enqueue('far', 'a', 5)")
            try database.drain()
            #expect(try database.rows(states).filter { $0.hasPrefix("finished") }.count == 4)
            try expectSoundLedger(database)
        }
    }

    @Test("queued jobs and items with ids that are refused now are upgraded and worked", arguments: dumps)
    func idsOfEarlierReleases(dump: String) async throws {
        try await withDatabase(migrated: false) { database in
            try Self.psql(database, file: Self.folder.appendingPathComponent(dump).path)
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'old ', 5);
                INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'old ', -2);
                INSERT INTO stockq.jobs (store_id, item_id, quantity, on_insufficient) VALUES ('s', 'old ', -9, 'wait');
                """)
            try Migrator(connection: try database.connect(), schema: database.schema).migrate()
            try database.drain()
            #expect(try database.value("SELECT on_hand, version FROM stockq.items WHERE item_id = 'old '") == "3,1")
            #expect(
                try database.value("SELECT state FROM stockq.job_states WHERE item_id = 'old ' AND quantity = -9")
                    == "waiting")
            #expect(throws: PostgresError.self) {
                try database.run("INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'old ', 1)")
            }
            try expectSoundLedger(database)
        }
    }

    @Test("an item that was deleted before the upgrade continues its versions", arguments: dumps)
    func deletedBefore(dump: String) async throws {
        try await withDatabase(migrated: false) { database in
            try Self.psql(database, file: Self.folder.appendingPathComponent(dump).path)
            let last = try database.value(
                "SELECT max(version) FROM stockq.notifications WHERE store_id = 's' AND item_id = 'a'")
            try database.run("DELETE FROM stockq.items WHERE store_id = 's' AND item_id = 'a'")
            #expect(Int(last).map { $0 > 0 } == true)
            try Migrator(connection: try database.connect(), schema: database.schema).migrate()
            try database.run("INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 1)")
            try database.enqueue(.adjust("a", -1, priority: 1, reference: "first"))
            try database.drain()
            #expect(
                try database.value("SELECT outcome, version FROM stockq.results WHERE reference = 'first'")
                    == "applied,\((Int(last) ?? 0) + 1)")
        }
    }

    @Test("there is a dump of a release")
    func dumpsExist() { #expect(Self.dumps.contains("0.2.0.sql")) }

    /// Writes the dump of this version: STOCKQ_WRITE_RELEASE=0.2.0 swift test --filter ReleaseTests. Only once for each
    /// release; a dump is never changed afterwards.
    @Test(
        "a new release's dump is written on request",
        .enabled(if: ProcessInfo.processInfo.environment["STOCKQ_WRITE_RELEASE"] != nil))
    func write() async throws {
        let version = try #require(ProcessInfo.processInfo.environment["STOCKQ_WRITE_RELEASE"])
        try await withDatabase { database in
            try Self.use(database)
            let dump = try Self.output(
                of: ["pg_dump", "--no-owner", "--no-privileges", "--schema=stockq", database.conninfo])
            try dump.write(
                to: Self.folder.appendingPathComponent("\(version).sql"), atomically: true, encoding: .utf8)
        }
    }

    /// A queue with something of everything: every outcome but failed, groups, keys, waiting, scheduled and paused
    /// jobs, a limit, grants and recorded operations.
    private static func use(_ database: TestDatabase) throws {
        try database.run(
            """
            INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold, tracked, parent_id) VALUES
                ('s', 'a', 10, 5, true, NULL), ('s', 'b', 3, NULL, true, 'a'), ('s', 'free', 0, NULL, false, NULL),
                ('t', 'a', 7, 1, true, NULL);
            SELECT stockq.enqueue('s', 'a', -6, idempotency_key => 'order 1');
            SELECT stockq.enqueue('s', 'a', 0);
            SELECT stockq.enqueue('s', 'free', -1);
            SELECT stockq.enqueue('s', 'unknown', -1);
            SELECT stockq.enqueue_lines('s', '[{"item_id": "a", "quantity": -1}, {"item_id": "b", "quantity": -9}]', 'order 2');
            SELECT stockq.enqueue_lines('s', '[{"item_id": "a", "quantity": -1}, {"item_id": "b", "quantity": -1}]', 'order 3', 'key 3');
            SELECT stockq.enqueue('s', 'b', 1, action => 'allocate');
            """)
        try database.run(
            "INSERT INTO stockq.jobs (store_id, item_id, quantity, idempotency_key) VALUES ('s', 'a', -6, 'order 1')")
        try database.drain()
        try database.run(
            """
            SELECT stockq.enqueue('s', 'b', -50, on_insufficient => 'wait');
            SELECT stockq.enqueue('s', 'a', 5, run_at => now() + interval '1 year');
            SELECT stockq.enqueue('t', 'a', -2, reference => 'to be canceled');
            """)
        try database.drain()
        try database.run(
            """
            SELECT stockq.enqueue('t', 'a', -3, reference => 'canceled');
            SELECT stockq.cancel_jobs(store_id => 't', reference => 'canceled', reason => 'changed their mind');
            SELECT stockq.retry_jobs(job_ids => ARRAY(SELECT job_id FROM stockq.results WHERE group_id = 'order 2'));
            SELECT stockq.set_store_limit('t', 1000);
            SELECT stockq.pause(store_id => 't');
            SELECT stockq.enqueue('t', 'a', -1);
            SELECT stockq.set_item('s', 'a', low_stock_threshold => 4);
            SELECT stockq.enqueue_lines('s', '[{"item_id": "a", "quantity": 1}, {"item_id": "b", "quantity": 1}]', 'later');
            """)
    }

    private static func psql(_ database: TestDatabase, file: String) throws {
        _ = try output(of: ["psql", "-v", "ON_ERROR_STOP=1", "-q", "-d", database.conninfo, "-f", file])
    }

    private static func output(of command: [String]) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = command
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "\(command[0]) failed")
        return text
    }
}
