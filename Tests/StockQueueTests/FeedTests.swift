import Foundation
import PrivateCluster
import StockModel
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// Feeds lose no row and return none twice, whatever order transactions commit in.
@Suite("Feeds", .timeLimit(.minutes(15))) struct FeedTests {
    private static let items = 12
    private static let writers = 16
    private static let transactions = 25

    /// An item's changes as a feed returned them: its name and its versions.
    private typealias Versions = [String: [Int64]]

    private static func versions(_ rows: [(item: String, version: Int64)]) -> Versions {
        rows.reduce(into: [:]) { $0[$1.item, default: []].append($1.version) }
    }

    /// One transaction of a writer: it draws its transaction id long before it locks its items, writes what a worker
    /// writes, and ends late.
    private static func write(_ random: inout SeededRandom, _ connection: Connection) throws {
        let items = Set((0...random.below(3)).map { _ in 1 + random.below(Self.items) })
        var sql = "BEGIN; SELECT pg_current_xact_id(); SELECT pg_sleep(\(random.below(10)) / 1000.0);"
        for item in items.sorted() {
            sql += """
                UPDATE stockq.items SET version = version + 1 WHERE store_id = 's\(item % 3)' AND item_id = 'i\(item)';
                WITH job AS (
                    SELECT nextval('stockq.jobs_job_id_seq') AS job_id, items.* FROM stockq.items
                    WHERE store_id = 's\(item % 3)' AND item_id = 'i\(item)'
                ), result AS (
                    INSERT INTO stockq.results (job_id, quantity, applied_quantity, on_hand_before, on_hand_after,
                        allocated_before, allocated_after, version, submission_id, finished_at, enqueued_at, outcome,
                        action, on_insufficient, priority, attempts, max_attempts, notify, store_id, item_id, location_id,
                        worker)
                    SELECT job_id, -1, -1, 1, 0, 0, 0, version, '1', now(), now(), 'applied', 'adjust', 'reject', 2, 1, 10,
                        true, store_id, item_id, location_id, 'w'
                    FROM job
                ), notification AS (
                    INSERT INTO stockq.notifications (job_id, version, available_before, available_after, kind, store_id,
                        item_id, location_id)
                    SELECT job_id, version, 1, 1, 'restocked', store_id, item_id, location_id FROM job
                )
                INSERT INTO stockq.change_log (store_id, job_ids) SELECT store_id, ARRAY[job_id] FROM job;
                """
        }
        sql += "SELECT pg_sleep(\(random.chance(1, in: 8) ? 60 + random.below(60) : random.below(15)) / 1000.0);"
        try connection.executeScript(sql + (random.chance(1, in: 5) ? "ROLLBACK" : "COMMIT"))
    }

    @Test("no row is lost or doubled and item order holds under 16 writers with random commit delays")
    func writersWithDelays() async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand)
                SELECT 's' || n % 3, 'i' || n, 9 FROM generate_series(1, \(Self.items)) AS n
                """)
            let seed =
                ProcessInfo.processInfo.environment["STOCKQ_SEED"].flatMap { UInt64($0) } ?? .random(in: 1...(.max))
            let running = Shared(Self.writers)
            let writers = (0..<Self.writers).map { number in
                Background {
                    defer { running.update { $0 -= 1 } }
                    let connection = try database.connect()
                    var random = SeededRandom(seed: seed &+ UInt64(number))
                    for _ in 0..<Self.transactions { try Self.write(&random, connection) }
                }
            }
            // A transaction that writes to no feed, and that has an older id than all writers.
            let other = try database.connect()
            try other.executeScript("BEGIN; SELECT pg_current_xact_id()")
            let inspector = Inspector(connection: try database.connect(), schema: database.schema)
            var notifications = NotificationFollower(inspector: inspector, after: .beginning)
            var changes = ChangeFollower(inspector: inspector, after: .beginning)
            var (notified, changed): ([(String, Int64)], [(String, Int64)]) = ([], [])
            var random = SeededRandom(seed: seed)
            var isLast = false
            repeat {
                isLast = running.value == 0
                var rows: Int
                repeat {
                    let limit = random.pick([1, 2, 7, 100])
                    let found = try notifications.next(limit: limit).map { ($0.value.key.itemID, $0.value.version) }
                    let applied = try changes.next(limit: limit).map { ($0.value.key.itemID, $0.value.version) }
                    (notified, changed) = (notified + found, changed + applied)
                    rows = found.count + applied.count
                } while rows > 0
            } while !isLast
            for writer in writers { try writer.wait() }
            let written = try database.rows("SELECT item_id, version FROM stockq.items WHERE version > 0").map { row in
                let parts = row.split(separator: ",")
                return (String(parts[0]), Array(1...Int64(parts[1])!))
            }
            let expected = Versions(uniqueKeysWithValues: written)
            #expect(
                Self.versions(notified.map { (item: $0.0, version: $0.1) }) == expected,
                "run again with STOCKQ_SEED=\(seed)")
            #expect(
                Self.versions(changed.map { (item: $0.0, version: $0.1) }) == expected,
                "run again with STOCKQ_SEED=\(seed)")
        }
    }

    @Test("the feed of changes has every applied job of the workers, in the order of an item's versions")
    func changesOfWorkers() async throws {
        try await withDatabase { database in
            let stores = (0..<4).map { StoreCase(name: "s\($0)", byItem: $0 % 2 == 0, seed: UInt64($0), jobs: 400) }
            for store in stores { try database.run(store.itemsSQL + store.jobsSQL) }
            try database.drain { $0.batchJobsMax = 37 }
            let inspector = Inspector(connection: try database.connect(), schema: database.schema)
            var follower = ChangeFollower(inspector: inspector, after: .beginning)
            var changes: [StockChange] = []
            while case let rows = try follower.next(limit: 10), !rows.isEmpty { changes += rows.map(\.value) }
            #expect(
                changes.count
                    == Int(try database.value("SELECT count(*) FROM stockq.results WHERE outcome = 'applied'")))
            #expect(Set(changes.map(\.jobID)).count == changes.count)
            var last: [ItemKey: StockChange] = [:]
            for change in changes {
                if let before = last[change.key] {
                    #expect(change.version == before.version + 1 && change.before == before.after)
                }
                last[change.key] = change
            }
            // One store alone, and its cursor in the middle of a batch.
            let ofStore = try inspector.changes(after: .beginning, limit: 100_000, store: "s1")
            #expect(ofStore.map(\.value) == changes.filter { $0.storeID == "s1" })
            let rest = try inspector.changes(after: ofStore[4].cursor, limit: 100_000, store: "s1")
            #expect(rest.map(\.value) == ofStore.dropFirst(5).map(\.value))
        }
    }

    private static let insert = """
        INSERT INTO stockq.notifications
            (job_id, version, available_before, available_after, kind, store_id, item_id, location_id)
        """

    @Test("a producer follows its own stores, and other stores cost and show it nothing")
    func producer() async throws {
        try await withDatabase { database in
            let role = "follower_of_\(database.name)"
            try database.run("CREATE ROLE \(role) LOGIN IN ROLE stockq_producer")
            defer { try? database.run("DROP OWNED BY \(role); DROP ROLE \(role)") }
            try database.run("SELECT stockq.grant_store('\(role)', 'mine', ARRAY['read_catalog'])")
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold)
                VALUES ('mine', 'a', 5, 3), ('other', 'a', 5, 3)
                """)
            for store in ["other", "mine", "other"] { try database.enqueue(.adjust("a", -1, store: store)) }
            try database.enqueue(.adjust("a", -2, store: "mine"), .adjust("a", -2, store: "other"))
            try database.drain()
            let inspector = Inspector(connection: try database.connect(as: role), schema: database.schema)
            #expect(try inspector.notifications(after: .beginning, limit: 9).map(\.value.storeID) == ["mine"])
            #expect(try inspector.lastNotifications(limit: 9).map(\.value.storeID) == ["mine"])
            #expect(try inspector.changes(after: .beginning, limit: 9).map(\.value.storeID) == ["mine", "mine"])
            #expect(try inspector.notifications(after: .beginning, limit: 9, store: "other").isEmpty)
            #expect(try inspector.changes(after: .beginning, limit: 9, store: "other").isEmpty)
            #expect(try inspector.changes(after: inspector.changeCursor(secondsAgo: nil), limit: 9).isEmpty)
        }
    }

    @Test("a transaction whose snapshot does not advance reads no row that another one may get below")
    func repeatableRead() async throws {
        try await withDatabase { database in
            let slow = try database.connect()
            try slow.executeScript("BEGIN; \(Self.insert) VALUES (1, 1, 1, 1, 'restocked', 's', 'a', 'main')")
            try database.run("\(Self.insert) VALUES (2, 1, 1, 1, 'restocked', 's', 'b', 'main')")
            let reader = try database.connect()
            try reader.executeScript("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM stockq.items")
            try slow.executeScript("COMMIT")
            let inspector = Inspector(connection: reader, schema: database.schema)
            #expect(try inspector.notifications(after: .beginning, limit: 9).isEmpty)
            try reader.executeScript("COMMIT")
            #expect(try inspector.notifications(after: .beginning, limit: 9).map(\.value.itemID) == ["a", "b"])
        }
    }

    @Test("a prepared transaction holds a feed back until it is committed") func preparedTransaction() async throws {
        try await withDatabase { database in
            try database.run(
                """
                BEGIN; \(Self.insert) VALUES (1, 1, 1, 1, 'restocked', 's', 'a', 'main');
                PREPARE TRANSACTION 'of_\(database.name)'
                """)
            try database.run("\(Self.insert) VALUES (2, 1, 1, 1, 'restocked', 's', 'b', 'main')")
            let inspector = Inspector(connection: try database.connect(), schema: database.schema)
            #expect(try inspector.notifications(after: .beginning, limit: 9).isEmpty)
            try database.run("COMMIT PREPARED 'of_\(database.name)'")
            #expect(try inspector.notifications(after: .beginning, limit: 9).map(\.value.itemID) == ["a", "b"])
        }
    }

    @Test("after a dump was restored on a server with lower transaction ids, new rows come after the old ones")
    func restoredDump() async throws {
        try await withDatabase { database in
            try database.run("\(Self.insert) VALUES (1, 1, 1, 1, 'restocked', 's', 'a', 'main')")
            try database.run("UPDATE stockq.notifications SET position = 900000000000")
            #expect(try database.value("SELECT stockq.rebase_feeds()") == "t")
            #expect(try database.value("SELECT stockq.rebase_feeds()") == "f")
            let inspector = Inspector(connection: try database.connect(), schema: database.schema)
            let old = try inspector.notifications(after: .beginning, limit: 9)
            #expect(old.map(\.value.itemID) == ["a"])
            try database.run("\(Self.insert) VALUES (2, 1, 1, 1, 'restocked', 's', 'b', 'main')")
            #expect(try inspector.notifications(after: old[0].cursor, limit: 9).map(\.value.itemID) == ["b"])
        }
    }

    @Test("retention drops the change log with the results, and a cursor before them goes on after them")
    func retention() async throws {
        try await withDatabase { database in
            try database.run("INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 5000)")
            try database.run(
                """
                DROP TABLE stockq.results_000000000000000, stockq.results_000000005000000;
                SELECT stockq.add_results_partitions(1000, 2)
                """)
            try database.enqueue(1_500, of: .adjust("a", -1))
            // The second batch has jobs of both partitions.
            try database.drain { ($0.jobsPerPartition, $0.batchJobsMax) = (1_000, 600) }
            try database.run(
                """
                UPDATE stockq.results SET finished_at = now() - interval '2 days' WHERE job_id < 1000;
                UPDATE stockq.change_log SET created_at = now() - interval '2 days' WHERE 1 = ANY (job_ids)
                """)
            #expect(try database.value("SELECT stockq.drop_expired_results('1 day')") == "results_000000000000000")
            #expect(try database.value("SELECT count(*) FROM stockq.change_log WHERE 1 = ANY (job_ids)") == "0")
            let inspector = Inspector(connection: try database.connect(), schema: database.schema)
            let changes = try inspector.changes(after: .beginning, limit: 10)
            #expect(changes.map(\.value.jobID) == Array(1_000..<1_010))
        }
    }

    @Test("a page of the feed costs what it returns, however many notifications there are before and after it")
    func costOfAPage() async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.notifications (position, job_id, version, available_before, available_after, kind,
                    store_id, item_id, location_id)
                SELECT n / 1000, n, 1, 9, 4, 'low_stock', 's' || n % 7, 'i' || n, 'main' FROM generate_series(1, 150000) AS n
                """)
            // Without statistics, and with those of the full table.
            for statistics in ["", "ANALYZE stockq.notifications"] {
                try database.run(statistics)
                let cursors = try database.rows(
                    """
                    SELECT position || '-' || notification_id FROM stockq.notifications
                    WHERE job_id IN (1, 75000, 149000) ORDER BY job_id
                    """)
                for (cursor, store) in cursors.flatMap({ [($0, "NULL"), ($0, "'s3'")] }) {
                    let call = "SELECT * FROM stockq.notifications_after('\(cursor)', 100, \(store))"
                    let connection = try database.connect()
                    #expect(try database.rows(call, connection).count == 100)
                    let plan = try connection.execute(
                        Statement("explain_feed", [], "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) \(call)")
                    ).string(0, 0)
                    struct Plan: Decodable {
                        struct Node: Decodable {
                            var hit: Int
                            var read: Int
                            private enum CodingKeys: String, CodingKey {
                                case hit = "Shared Hit Blocks"
                                case read = "Shared Read Blocks"
                            }
                        }
                        var node: Node
                        private enum CodingKeys: String, CodingKey { case node = "Plan" }
                    }
                    let node = try #require(try JSONDecoder().decode([Plan].self, from: Data(plan.utf8)).first).node
                    // The table has more than 2,000 pages. A store's row is alone on its page of the index's order.
                    #expect((1...250).contains(node.hit + node.read), "\(node) at \(cursor), store \(store)")
                }
            }
        }
    }

    @Test("a page and a cursor that make no sense are refused with what to pass instead") func wrongArguments()
        async throws
    {
        try await withDatabase { database in
            for (call, message) in [
                ("notifications_after('x')", "'x' is no cursor"),
                ("changes_after('1-2-3-4')", "'1-2-3-4' is no cursor"),
                ("notifications_after('0', 0)", "max_rows must be 1 to 100000, not 0"),
                ("changes_after('0', NULL)", "max_rows must be 1 to 100000, not null"),
            ] {
                #expect {
                    try database.run("SELECT stockq.\(call)")
                } throws: {
                    ($0 as? PostgresError)?.message.contains(message) == true
                }
            }
        }
    }
}
