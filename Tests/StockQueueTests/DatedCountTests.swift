import StockDecision
import StockModel
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// Counts that belong to the moment at which they were taken (`counted_at`).
@Suite("Counts while selling") struct DatedCountTests {
    private static func stock(_ database: TestDatabase) throws -> [String] {
        try database.rows("SELECT item_id, on_hand FROM stockq.items ORDER BY 1")
    }

    private static func outcomes(_ database: TestDatabase) throws -> [String] {
        try database.rows(
            "SELECT coalesce(code::text, outcome::text), on_hand_after FROM stockq.results WHERE action = 'set' ORDER BY job_id"
        )
    }

    /// A sale or a delivery that was enqueued some minutes ago.
    private static func movement(_ quantity: Int, minutesAgo: Int, more: String = "NULL") -> String {
        """
        INSERT INTO stockq.jobs (store_id, item_id, quantity, on_insufficient, enqueued_at, occurred_at)
        VALUES ('s', 'a', \(quantity), 'allow', now() - interval '\(minutesAgo) minutes', \(more));
        """
    }

    private static func count(_ quantity: Int, minutesAgo: Int) -> String {
        """
        SELECT stockq.enqueue('s', 'a', \(quantity), action => 'set',
            counted_at => now() - interval '\(minutesAgo) minutes');
        """
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        /// 20 are on hand before.
        var sql: String
        var onHand: Int
        var outcome: String
    }

    static let cases: [Case] = [
        Case(
            testDescription: "a sale between the count and its import is not lost",
            sql: movement(-3, minutesAgo: 10) + count(15, minutesAgo: 30), onHand: 12, outcome: "applied,12"),
        Case(
            testDescription: "a sale that was queued before the count is not taken twice",
            sql: movement(-3, minutesAgo: 40) + count(15, minutesAgo: 30), onHand: 15, outcome: "applied,15"),
        Case(
            testDescription: "a count that agrees with the record of its moment changes nothing",
            sql: movement(-3, minutesAgo: 40) + movement(-2, minutesAgo: 10) + count(17, minutesAgo: 30),
            onHand: 15, outcome: "no_change,15"),
        Case(
            testDescription: "a sale that comes in behind the count takes effect",
            sql: count(15, minutesAgo: 30) + movement(-3, minutesAgo: 10), onHand: 12, outcome: "applied,15"),
        Case(
            testDescription: "a sale counts as done when it happened before the count and was reported later",
            sql: movement(-3, minutesAgo: 10, more: "now() - interval '35 minutes'") + count(15, minutesAgo: 30),
            onHand: 15, outcome: "applied,15"),
        Case(
            testDescription: "an older count that comes in behind a newer one is stale",
            sql: count(15, minutesAgo: 10) + count(18, minutesAgo: 30), onHand: 15, outcome: "applied,15 stale,15"),
        Case(
            testDescription: "counts that come in in their order are applied one after the other",
            sql: count(18, minutesAgo: 30) + movement(-1, minutesAgo: 20) + count(15, minutesAgo: 10)
                + movement(-1, minutesAgo: 5), onHand: 14, outcome: "applied,18 applied,15"),
        Case(
            testDescription: "a count below what was sold since is rejected",
            sql: movement(-4, minutesAgo: 10) + count(2, minutesAgo: 30), onHand: 16, outcome: "insufficient_stock,16"),
        Case(
            testDescription: "a scheduled job belongs to the time for which it was scheduled",
            sql: """
                INSERT INTO stockq.jobs (store_id, item_id, quantity, enqueued_at, run_at)
                VALUES ('s', 'a', 7, now() - interval '1 day', now() - interval '5 minutes');
                """ + count(15, minutesAgo: 30), onHand: 22, outcome: "applied,22"),
    ]

    @Test(
        "a count leaves what was counted and what happened since, in one batch or in several",
        arguments: cases, [1, 500])
    func bookedAsOfItsMoment(_ test: Case, batchJobsMax: Int) async throws {
        try await withDatabase { database in
            try database.addItem("a", 20)
            try database.run(test.sql)
            try database.drain { $0.batchJobsMax = batchJobsMax }
            #expect(try Self.stock(database) == ["a,\(test.onHand)"])
            #expect(try Self.outcomes(database).joined(separator: " ") == test.outcome)
            try expectSoundLedger(database)
        }
    }

    @Test("a job that waited for stock belongs to the time at which it was applied") func waitedForStock() async throws
    {
        try await withDatabase { database in
            try database.addItem("a", 2)
            try database.run(
                """
                INSERT INTO stockq.jobs (store_id, item_id, quantity, on_insufficient, enqueued_at)
                VALUES ('s', 'a', -5, 'wait', now() - interval '1 hour')
                """)
            try database.drain()
            try database.run(Self.movement(10, minutesAgo: 5))
            try database.drain()
            #expect(try Self.stock(database) == ["a,7"])
            try database.run(Self.count(2, minutesAgo: 30))
            try database.drain()
            #expect(try Self.outcomes(database) == ["no_change,7"])
            try expectSoundLedger(database)
        }
    }

    @Test("a count in a group that is rejected leaves no trace for the counts behind it") func rejectedGroup()
        async throws
    {
        try await withDatabase { database in
            try database.addItem("a", 20)
            try database.addItem("b", 0)
            try database.run(
                """
                SELECT stockq.enqueue_lines('s', '[{"item_id": "a", "quantity": -3},
                    {"item_id": "a", "quantity": 9, "action": "set"}, {"item_id": "b", "quantity": -1}]', group_id => 'g',
                    counted_at => now() - interval '10 minutes');
                """ + Self.count(15, minutesAgo: 30))
            try database.drain()
            #expect(try Self.outcomes(database) == ["group_rejected,20", "applied,15"])
            try expectSoundLedger(database)
        }
    }

    @Test("the walk through the ledger ends some minutes before the count") func endOfTheWalk() async throws {
        try await withDatabase { database in
            try database.addItem("a", 20)
            try database.run(Self.movement(-3, minutesAgo: 500))
            try database.drain()
            try database.run("UPDATE stockq.results SET finished_at = finished_at - interval '500 minutes'")
            try database.run(Self.movement(-2, minutesAgo: 3))
            try database.drain()
            let since = { (minutes: Int) in
                try database.rows(
                    """
                    SELECT on_hand_change, is_outdated::text
                    FROM stockq.changes_since_count('s', 'a', 'main', now() - interval '\(minutes) minutes')
                    """)
            }
            #expect(try since(30) == ["-2,false"])
            #expect(try since(499) == ["-2,false"])
            #expect(try since(501) == ["-5,false"], "both results are known, and nothing was before them")
            try database.run("DELETE FROM stockq.results WHERE job_id = 1")
            #expect(try since(30) == ["-2,true"], "what is older than all results that are kept is not known")
            #expect(try since(0) == ["0,false"])
        }
    }

    @Test(
        "counts of other actions and of the future are refused in words",
        arguments: [
            (
                "SELECT stockq.enqueue('s', 'a', 1, counted_at => now())",
                "22023 counted_at is for the action set, not for adjust"
            ),
            (
                "SELECT stockq.enqueue_lines('s', '[{\"item_id\": \"a\", \"quantity\": 1}]', counted_at => now())",
                "22023 counted_at is given, and no line has the action set"
            ),
            (
                "SELECT stockq.enqueue('s', 'a', 1, action => 'set', counted_at => '2999-01-01Z')",
                "22023 counted_at is in the future: 2999-01-01 00:00:00+00"
            ),
            (
                "INSERT INTO stockq.jobs (store_id, item_id, quantity, counted_at) VALUES ('s', 'a', 1, now())",
                "23514 new row for relation \"jobs\" violates check constraint \"jobs_counted_at_valid\""
            ),
        ])
    func refused(sql: String, message: String) async throws {
        try await withDatabase { database in
            let session = try database.connect()
            try session.executeScript("SET TimeZone = 'UTC'")
            #expect(session.failure(of: sql) == message)
        }
    }

    @Test("an import of items books its counts as of --counted-at") func importOfItems() async throws {
        try await withDatabase { database in
            try database.run(
                "INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 20), ('s', 'b', 20), ('s', 'c', 20)"
            )
            try database.run(Self.movement(-3, minutesAgo: 10))
            try database.drain()
            try database.run("UPDATE stockq.items SET updated_at = '2020-01-01Z' WHERE item_id <> 'a'")
            let moment = Int64(
                try database.value(
                    "SELECT extract(epoch FROM now() - interval '30 minutes' - timestamptz '2000-01-01Z')::bigint"))!
            let (report, _) = try importItems(
                database, "store_id,item_id,on_hand\ns,a,17\ns,b,20\ns,c,19\n", setsStock: true,
                countedAt: moment * 1_000_000)
            #expect(report.setJobs == 2, "the stock of b cannot be another one")
            try database.drain()
            #expect(try Self.stock(database) == ["a,14", "b,20", "c,19"])
            try expectSoundLedger(database)
        }
    }

    @Test(
        "an import of jobs puts counts behind the queued jobs of their items, staged or copied",
        arguments: [false, true])
    func importOfJobs(isStaged: Bool) async throws {
        try await withDatabase { database in
            try database.addItem("a", 20)
            try database.addItem("b", 5)
            if isStaged { try database.run("SELECT stockq.set_store_limit('other', 5)") }
            try database.run(
                """
                INSERT INTO stockq.jobs (store_id, item_id, quantity, priority, enqueued_at)
                VALUES ('s', 'a', -3, 4, now() - interval '1 hour'), ('s', 'b', -3, 4, now() - interval '1 hour')
                """)
            let moment = try database.value(
                "SELECT to_char(now() AT TIME ZONE 'UTC' - interval '30 minutes', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')")
            let text = """
                store_id,item_id,quantity,action,counted_at,group_id,priority
                s,a,15,set,\(moment),,1
                s,b,4,set,\(moment),g,1
                s,a,1,adjust,,g,1
                """
            let lines = Array((text + "\n").utf8)
            try withFile(lines) { file in
                var importer = try JobImport(
                    connection: database.connect(), schema: .standard, source: ByteSource(descriptor: file),
                    options: JobImport.Options(), onReject: { error, _ in Issue.record("\(error.message)") })
                #expect(try importer.run().enqueued == 3)
            }
            #expect(try database.rows("SELECT priority FROM stockq.jobs ORDER BY job_id") == ["4", "4", "4", "4", "4"])
            try database.drain()
            #expect(try Self.stock(database) == ["a,16", "b,4"])
            try expectSoundLedger(database)
        }
    }

    // MARK: the goods on the shelf

    @Test(
        "random sales, counts and delays: the decision has the goods on the shelf",
        arguments: Seeds.random(8, fullCount: 32))
    func decisionAgainstTheShelf(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        for _ in 0..<40 {
            let shelf = Shelf(random: &random, minutes: 120)
            var shop = CountedShop()
            for (index, arrival) in shelf.arrivals.enumerated() {
                shop.add(arrival)
                guard case .drain = arrival else { continue }
                while !shop.queue.isEmpty { shop.work(batch: 1 + random.below(12)) }
                let (found, expected) = (shop.stock, shelf.expected(after: index))
                #expect(found == expected, "run again with STOCKQ_SEED=\(seed)")
                if found != expected { return }
            }
        }
    }

    @Test(
        "random sales, counts and delays: the queue has the goods on the shelf",
        arguments: Seeds.random(3, fullCount: 24))
    func queueAgainstTheShelf(seed: UInt64) async throws {
        try await withDatabase { database in
            var random = SeededRandom(seed: seed)
            let shelf = Shelf(random: &random, minutes: 150)
            for item in Shelf.items { try database.addItem(item, Int(Shelf.opening)) }
            let session = try database.connect()
            for (index, arrival) in shelf.arrivals.enumerated() {
                switch arrival {
                case .drain:
                    try database.drain { $0.batchJobsMax = 1 + random.below(20) }
                    let expected = shelf.expected(after: index).sorted { $0.key < $1.key }.map {
                        "\($0.key),\($0.value)"
                    }
                    #expect(try Self.stock(database) == expected, "run again with STOCKQ_SEED=\(seed)")
                default: try session.executeScript(Self.sql(arrival))
                }
            }
            try expectSoundLedger(database)
        }
    }

    private static func sql(_ arrival: Shelf.Arrival) -> String {
        func time(_ minute: Int) -> String { "timestamptz '2026-01-01Z' + interval '\(minute) minutes'" }
        return switch arrival {
        case .movement(let item, let quantity, let moment, let isReportedLater, let priority):
            """
            INSERT INTO stockq.jobs (store_id, item_id, quantity, on_insufficient, priority, enqueued_at, occurred_at)
            VALUES ('s', '\(item)', \(quantity), 'allow', \(priority),
                \(isReportedLater ? "now()" : time(moment)), \(isReportedLater ? time(moment) : "NULL"))
            """
        case .count(let item, let quantity, let moment, let priority):
            """
            SELECT stockq.enqueue('s', '\(item)', \(quantity), action => 'set', on_insufficient => 'allow',
                priority => \(priority), counted_at => \(time(moment)))
            """
        case .drain: ""
        }
    }

    @Test("verify finds a count whose result is not what the ledger says") func verifyCounts() async throws {
        try await withDatabase { database in
            try database.addItem("a", 20)
            try database.run(Self.movement(-3, minutesAgo: 10) + Self.count(15, minutesAgo: 30))
            try database.drain()
            try expectSoundLedger(database)
            try database.run("UPDATE stockq.results SET enqueued_at = now() - interval '1 hour' WHERE job_id = 1")
            // The results of the time before the count are there.
            try database.run("UPDATE stockq.results SET finished_at = now() - interval '1 hour' WHERE job_id = 1")
            let verifier = Verifier(connection: try database.connect(), schema: .standard)
            var violations: [String] = []
            try verifier.runAll { violations += $0.violations }
            #expect(
                violations == [
                    "job 2: item 's' 'a' 'main' has 12 on hand after a count of 15 and later changes of 0, and no later count"
                ])
        }
    }
}

/// The queue's side of the comparison with the shelf: batches of the real decision, and a ledger of what they applied.
private struct CountedShop {

    private(set) var queue: [ClaimedJob] = []
    private var moments: [Int64: Int64] = [:]
    private var items = Shelf.items.map { _ in ItemState(onHand: Shelf.opening) }
    private var ledger: [(item: ItemIndex, moment: Int64, change: Int64, isCount: Bool)] = []
    private var nextID: Int64 = 1

    var stock: [String: Int64] {
        Dictionary(uniqueKeysWithValues: zip(Shelf.items, items.map(\.balance.onHand)))
    }

    mutating func add(_ arrival: Shelf.Arrival) {
        switch arrival {
        case .movement(let item, let quantity, let moment, _, let priority):
            add(.adjust, item, quantity, moment, Int16(priority))
        case .count(let item, let quantity, let moment, let priority):
            let item = Shelf.items.firstIndex(of: item)!
            let behind = queue.filter { $0.item.position == item }.map(\.priority).max() ?? 1
            add(.set, Shelf.items[item], quantity, moment, max(Int16(priority), behind))
        case .drain: break
        }
    }

    private mutating func add(
        _ action: StockAction, _ item: String, _ quantity: Int64, _ moment: Int, _ priority: Int16
    ) {
        var job = ClaimedJob(
            id: nextID, item: ItemIndex(Shelf.items.firstIndex(of: item)!), action: action, onInsufficient: .allow,
            quantity: quantity)
        job.priority = priority
        moments[nextID] = Int64(moment)
        nextID += 1
        queue.append(job)
    }

    mutating func work(batch size: Int) {
        queue.sort { ($0.priority, $0.id) < ($1.priority, $1.id) }
        let batch = Array(queue.prefix(size))
        queue.removeFirst(batch.count)
        var counts = StockCounts()
        for job in batch {
            let moment = moments[job.id]!
            counts.moments[job.id] = moment
            guard job.action == .set else { continue }
            let since = ledger.filter { $0.item == job.item }
            counts.counts[job.id] = .init(
                countedAt: moment,
                changeSince: since.filter { !$0.isCount && $0.moment >= moment }.reduce(0) { $0 + $1.change },
                isOutdated: since.contains { $0.isCount && $0.moment > moment })
        }
        let decision = decide(batch, items: items, counts: counts)
        for (job, decided) in zip(batch, decision.jobs) {
            guard case .finished(.applied(let change)) = decided else { continue }
            ledger.append(
                (job.item, moments[job.id]!, change.after.onHand - change.before.onHand, job.action == .set))
        }
        items = decision.items
    }
}
