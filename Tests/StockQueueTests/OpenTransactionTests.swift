import Foundation
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// The low-water marks pass the ids of transactions that stay open. Their jobs must be neither lost nor overtaken when
/// the transactions end.
@Suite("Producers' transactions that stay open") struct OpenTransactionTests {
    /// Keeps workers busy, and lets a test wait until they have passed a transaction.
    final class Traffic {
        let database: TestDatabase
        private var enqueued = 0

        init(_ database: TestDatabase) throws {
            self.database = database
            // A wake-up would keep a transaction from being prepared, and hide what the polls do.
            try database.run("ALTER TABLE stockq.jobs DISABLE TRIGGER send_wakeup")
            try database.addItem("a", 1_000_000)
        }

        /// Enqueues 50 jobs and waits until they are done.
        func round() throws {
            try database.enqueue(50, of: .adjust("a", -1, reference: "traffic"))
            enqueued += 50
            #expect(
                try eventually {
                    try database.value("SELECT count(*) FROM stockq.results WHERE reference = 'traffic'")
                        == String(enqueued)
                })
        }

        /// Runs rounds until the pollers of some processes rely on a transaction's being open, and the marks are above
        /// its ids.
        func untilPassed(byPollers pollers: Int = 1) throws {
            let asking = """
                SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name LIKE '% poller' AND query LIKE '%pg_visible_in_snapshot%'
                """
            #expect(
                try eventually(seconds: 60) {
                    try round()
                    return Int(try database.value(asking)) == pollers
                }, "the open transactions were not passed")
            for _ in 0..<10 { try round() }
        }
    }

    /// A way in which a producer's transaction may go on.
    enum Ending: String, CaseIterable, Sendable {
        case commit, prepared, preparedBefore, subtransaction, rolledBackSavepoint
    }

    @Test("the jobs of a passed transaction are found at once and come before later ones", arguments: Ending.allCases)
    func order(_ ending: Ending) async throws {
        try await withDatabase { database in
            let traffic = try Traffic(database)
            let producer = try database.connect()
            try producer.executeScript("BEGIN")
            if ending == .subtransaction { try producer.executeScript("SAVEPOINT nested") }
            try producer.enqueue(.adjust("a", -1, reference: "first"))
            if ending == .rolledBackSavepoint {
                try producer.executeScript("SAVEPOINT nested")
                try producer.enqueue(.adjust("a", -1, reference: "never"))
                try producer.executeScript("ROLLBACK TO nested")
            }
            if ending == .preparedBefore { try producer.executeScript("PREPARE TRANSACTION '\(database.name)'") }
            let workers = database.startWorkers()
            try traffic.untilPassed()
            switch ending {
            case .prepared:
                try producer.executeScript("PREPARE TRANSACTION '\(database.name)'")
                try traffic.untilPassed()
                try producer.executeScript("COMMIT PREPARED '\(database.name)'")
            case .preparedBefore: try producer.executeScript("COMMIT PREPARED '\(database.name)'")
            case .subtransaction:
                try producer.enqueue(.adjust("a", -1, reference: "more"))
                try producer.executeScript("RELEASE nested; COMMIT")
            case .commit, .rolledBackSavepoint: try producer.executeScript("COMMIT")
            }
            try producer.enqueue(.adjust("a", -1, reference: "later"))
            try Self.expectOrder(
                ending == .subtransaction ? ["first", "more", "later"] : ["first", "later"], database)
            try traffic.round()
            try workers.stop()
            #expect(try database.queuedJobs() == 0)
            try expectSoundLedger(database)
        }
    }

    /// The poller, which asks as well, is stopped meanwhile.
    @Test("a worker with a backlog finds the jobs of a passed transaction with its next batch") func besideBacklog()
        async throws
    {
        try await withDatabase { database in
            let traffic = try Traffic(database)
            let producer = try database.connect()
            try producer.executeScript("BEGIN")
            try producer.enqueue(.adjust("a", -1, reference: "first"))
            let workers = database.startWorkers { settings in
                settings.workers = 1
                settings.batchJobsMax = 50
            }
            try traffic.untilPassed()
            let before = try database.resultCount()
            try database.enqueue(60_000, of: .adjust("a", -1))
            #expect(try eventually { try database.resultCount() > before })
            let poller = try #require(
                Int32(
                    database.value(
                        """
                        SELECT pid FROM pg_stat_activity
                        WHERE datname = current_database() AND application_name LIKE '% poller'
                        """)))
            kill(poller, SIGSTOP)
            defer { kill(poller, SIGCONT) }
            try producer.executeScript("COMMIT")
            let isFound = try eventually {
                try database.value("SELECT count(*) FROM stockq.results WHERE reference = 'first'") == "1"
            }
            let left = try database.queuedJobs()
            kill(poller, SIGCONT)
            #expect(isFound)
            #expect(left > 0, "the backlog was done too soon")
            #expect(try eventually(seconds: 60) { try database.queuedJobs() == 0 })
            try workers.stop()
        }
    }

    @Test("several passed transactions end one after the other, in two processes that are started again")
    func severalTransactions() async throws {
        try await withDatabase { database in
            let traffic = try Traffic(database)
            let producers = try (0..<4).map { _ in try database.connect() }
            for (number, producer) in producers.enumerated() {
                try producer.executeScript("BEGIN")
                try producer.enqueue(.adjust("a", -1, priority: 1 + number, reference: "first \(number)"))
            }
            var processes = (0..<2).map { _ in database.startWorkers() }
            try traffic.untilPassed(byPollers: 2)
            try processes[0].stop()
            processes[0] = database.startWorkers()
            try traffic.untilPassed(byPollers: 2)
            for (number, producer) in producers.enumerated().reversed() {
                if number == 2 {
                    try producer.executeScript("ROLLBACK")
                    continue
                }
                try producer.executeScript("COMMIT")
                try producer.enqueue(.adjust("a", -1, priority: 1 + number, reference: "later \(number)"))
                try Self.expectOrder(["first \(number)", "later \(number)"], database)
            }
            try traffic.round()
            for workers in processes { try workers.stop() }
            #expect(try database.queuedJobs() == 0)
            #expect(try database.value("SELECT count(*) FROM stockq.results WHERE reference = 'first 2'") == "0")
            try expectSoundLedger(database)
        }
    }

    /// Waits until the jobs with these references are done, and checks that they were applied in this order.
    private static func expectOrder(_ references: [String], _ database: TestDatabase) throws {
        let names = references.map(quoteLiteral).joined(separator: ", ")
        let query = "SELECT reference FROM stockq.results WHERE reference IN (\(names)) ORDER BY version"
        #expect(try eventually { try database.rows(query).count == references.count }, "\(references) are not done")
        #expect(try database.rows(query) == references)
    }

    @Test("a transaction that is open for ten seconds is reported with its session") func reported() async throws {
        try await withDatabase { database in
            let traffic = try Traffic(database)
            let producer = try database.connect()
            try producer.executeScript("SET application_name = 'till 4'")
            try producer.executeScript("BEGIN")
            try producer.enqueue(.adjust("a", -1))
            let workers = database.startWorkers()
            var report: WorkEvent.TransactionOpenLong?
            #expect(
                try eventually(seconds: 60) {
                    try traffic.round()
                    report = workers.events.all.compactMap(\.openTransaction).first
                    return report != nil
                })
            #expect(report?.processID == Int(producer.backendProcessID))
            #expect(report?.applicationName == "till 4")
            #expect(report?.user == "stockq")
            #expect(report?.preparedName == nil)
            #expect((10..<40).contains(try #require(report).seconds))
            try producer.executeScript("COMMIT")
            try workers.stop()
            #expect(workers.events.all.compactMap(\.openTransaction).count == 1)
        }
    }

    /// What a session does in a transaction that it leaves open while nothing else is enqueued.
    static let leftOpen = [
        "SELECT stockq.enqueue('s', 'a', -1)", "SELECT stockq.pause(store_id => 'other')",
        "SELECT stockq.resume(everything => true)",
    ]

    @Test("a transaction that holds jobs or lanes is reported on a quiet queue too", arguments: leftOpen)
    func reportedWhenQuiet(statement: String) async throws {
        try await withDatabase { database in
            try database.addItem("a", 10)
            let workers = database.startWorkers()
            let session = try database.connect()
            try session.executeScript("BEGIN")
            try session.executeScript(statement)
            var report: WorkEvent.TransactionOpenLong?
            #expect(
                eventually(seconds: 60) {
                    report = workers.events.all.compactMap(\.openTransaction).first
                    return report != nil
                })
            #expect(report?.processID == Int(session.backendProcessID))
            try session.executeScript("COMMIT")
            try workers.stop()
        }
    }

    // MARK: at random

    /// A session of a producer whose transactions last for a moment or for seconds.
    private final class RandomProducer {
        let connection: Connection
        var isOpen = false
        var isPrepared = false
        /// When it may end, as a number of steps.
        var endsAt = 0
        var references: [String] = []
        /// How many transactions of all sessions had committed when this one began.
        var began = 0

        init(_ database: TestDatabase) throws { connection = try database.connect() }
    }

    /// A committed transaction: its jobs, and how many had committed before it began and when it ended.
    private struct Committed {
        var references: [String]
        var began: Int
        var ended: Int
    }

    @Test(
        "whatever transactions do, no job is lost, and none overtakes one that was committed before it was enqueued",
        arguments: Seeds.random(2, fullCount: 12))
    func random(seed: UInt64) async throws {
        try await withDatabase { database in
            try database.run("ALTER TABLE stockq.jobs DISABLE TRIGGER send_wakeup")
            try database.addItem("a", 1_000_000)
            var random = SeededRandom(seed: seed)
            let processes = (0..<2).map { _ in database.startWorkers { $0.batchJobsMax = 20 } }
            let producers = try (0..<8).map { _ in try RandomProducer(database) }
            var committed: [Committed] = []
            let deadline = Deadline.after(milliseconds: 9_000)
            var step = 0
            while !deadline.hasPassed || producers.contains(where: \.isOpen) {
                step += 1
                let producer = producers[random.below(producers.count)]
                if !producer.isOpen {
                    if deadline.hasPassed { continue }
                    try producer.connection.executeScript("BEGIN")
                    producer.isOpen = true
                    producer.began = committed.count
                    // One in four outlives many polls.
                    producer.endsAt = step + (random.below(4) == 0 ? 1_500 + random.below(3_000) : random.below(20))
                } else if step < producer.endsAt && !deadline.hasPassed {
                    if producer.isPrepared || producer.references.count > 20 { continue }
                    try Self.advance(producer, step, database, &random)
                } else if let jobs = try Self.end(producer, database, &random) {
                    committed.append(
                        Committed(references: jobs, began: producer.began, ended: committed.count))
                }
            }
            #expect(try eventually { try database.queuedJobs() == 0 })
            for workers in processes { try workers.stop() }
            try Self.expectNothingLostOrOvertaken(committed, database, seed)
            try expectSoundLedger(database)
        }
    }

    private static func advance(
        _ producer: RandomProducer, _ step: Int, _ database: TestDatabase, _ random: inout SeededRandom
    ) throws {
        if random.below(30) == 0 && !producer.references.isEmpty {
            try producer.connection.executeScript(
                "PREPARE TRANSACTION '\(database.name) \(ObjectIdentifier(producer).hashValue)'")
            producer.isPrepared = true
            return
        }
        let reference = "\(step)"
        let isRolledBack = random.below(5) == 0
        let usesSavepoint = isRolledBack || random.below(5) == 0
        if usesSavepoint { try producer.connection.executeScript("SAVEPOINT nested") }
        try producer.connection.enqueue(.adjust("a", -1, reference: reference))
        if isRolledBack {
            try producer.connection.executeScript("ROLLBACK TO nested")
        } else {
            producer.references.append(reference)
        }
    }

    /// - Returns: the jobs that were committed; nil for none.
    private static func end(
        _ producer: RandomProducer, _ database: TestDatabase, _ random: inout SeededRandom
    ) throws -> [String]? {
        let commits = random.below(5) > 0
        let name = producer.isPrepared ? " PREPARED '\(database.name) \(ObjectIdentifier(producer).hashValue)'" : ""
        try producer.connection.executeScript((commits ? "COMMIT" : "ROLLBACK") + name)
        let jobs = producer.references
        producer.isOpen = false
        producer.isPrepared = false
        producer.references = []
        return commits && !jobs.isEmpty ? jobs : nil
    }

    private static func expectNothingLostOrOvertaken(
        _ committed: [Committed], _ database: TestDatabase, _ seed: UInt64
    ) throws {
        let rows = try database.rows("SELECT reference, version FROM stockq.results")
        var versions: [String: Int] = [:]
        for row in rows {
            let fields = row.split(separator: ",")
            versions[String(fields[0])] = Int(fields[1])
        }
        #expect(
            Set(versions.keys) == Set(committed.flatMap(\.references)),
            "seed \(seed): exactly the committed jobs have results")
        #expect(rows.count == versions.count)
        // The highest version among the transactions that had committed by each point.
        var highest = [0]
        for transaction in committed {
            highest.append(
                max(highest[highest.count - 1], transaction.references.compactMap { versions[$0] }.max() ?? 0))
        }
        for transaction in committed {
            let lowest = transaction.references.compactMap { versions[$0] }.min() ?? .max
            // Jobs of this transaction are enqueued after it began. Those before it come first.
            #expect(
                lowest > highest[transaction.began],
                "seed \(seed): \(transaction) overtook a job that was committed before it began")
        }
    }
}
