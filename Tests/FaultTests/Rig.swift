import Foundation
import PrivateCluster
import StockQueue
import StockQueueLocking
import StockQueuePostgres
import TestSupport
import Testing

/// All fault tests, one after the other: each wants the machine's time for itself.
@Suite(.serialized) enum Faults {
    /// Every point of every sweep, instead of a selection: `STOCKQ_FAULTS=all`, which `make soak` sets.
    static let isFull = ProcessInfo.processInfo.environment["STOCKQ_FAULTS"] == "all"

    /// What a test did, for the reader of a run and for docs/internals/reliability.md.
    static func report(_ line: String) { FileHandle.standardError.write(Data("faults: \(line)\n".utf8)) }
}

/// A queue, a proxy between its workers and the server, and shops that make jobs.
final class Rig: Sendable {
    let database: TestDatabase
    let proxy: Proxy
    let ledger: Shops

    /// - Parameter seed: of the jobs.
    init(_ database: TestDatabase, seed: UInt64 = 1, stores: Int = 2) throws {
        self.database = database
        proxy = try Proxy(to: database)
        try Books.open(in: database)
        ledger = Shops(seed: seed, stores: stores)
        try database.run(ledger.itemsSQL)
    }

    /// How a worker reaches the server: through the proxy.
    var settings: ConnectionSettings {
        ConnectionSettings(conninfo: proxy.conninfo(database: database.name), applicationName: "tests")
    }

    /// The program, reaching the server through the proxy.
    var program: Program {
        var program = Program()
        program.environment["DATABASE_URL"] = proxy.conninfo(database: database.name)
        return program
    }

    /// Settings that make a test quick: it need not be gentle to anybody.
    static func quick() -> WorkerSettings {
        var settings = WorkerSettings()
        settings.workers = 1
        settings.reconnectPauseMin = .milliseconds(1)
        settings.reconnectPauseMax = .milliseconds(20)
        settings.checkInterval = .milliseconds(20)
        return settings
    }

    /// A pool in the background.
    func start(_ settings: WorkerSettings = Rig.quick()) -> RunningPool {
        RunningPool(self.settings, database.schema, settings)
    }

    /// The same past the proxy.
    func startDirect(_ settings: WorkerSettings = Rig.quick()) -> RunningPool {
        RunningPool(database.settings, database.schema, settings)
    }

    /// Enqueues a round of jobs in every shop.
    func enqueueRound(_ count: Int = 8) throws {
        let connection = try database.connect()
        for sql in ledger.next(count) { try connection.executeScript(sql) }
    }

    /// Waits until nothing but what waits for stock is queued; tells what is left when that takes too long.
    func isWorkedOff(seconds: Double = 30) throws -> Bool {
        let connection = try database.connect()
        let isDone = try eventually(seconds: seconds) {
            try database.rows("SELECT count(*) FROM stockq.jobs WHERE waiting_since IS NULL", connection) == ["0"]
        }
        if !isDone {
            let left = try database.rows(
                """
                SELECT format('job %s: run_at %s, attempts %s, lane %s, group %s, %s', job_id, run_at, attempts, lane, group_id, last_error)
                FROM stockq.jobs WHERE waiting_since IS NULL ORDER BY job_id LIMIT 5
                """, connection)
            let sessions = try database.rows(
                """
                SELECT format('%s: %s %s since %s, %s', application_name, state, wait_event, now() - state_change, left(query, 40))
                FROM pg_stat_activity WHERE datname = current_database()
                """, connection)
            Faults.report("left: \((left + sessions).joined(separator: "; "))")
        }
        return isDone
    }

    /// Works off what is left past the proxy, and checks all invariants.
    func expectSound(order: Books.Order = .ofLanes) throws {
        // A way that fell silent keeps its session until the network tells; the proxy is that network.
        proxy.passAll()
        proxy.cutAll()
        try database.drain()
        let violations = try Books(database).violations(order: order)
        #expect(violations == [], "\(violations.joined(separator: "\n"))")
    }
}

/// A pool that works on a thread of its own.
final class RunningPool: Sendable {
    let events = Events()
    private let pool: WorkerPool
    private let ended: Background

    init(_ connection: ConnectionSettings, _ schema: QueueSchema, _ settings: WorkerSettings) {
        let pool = WorkerPool(connection: connection, schema: schema, settings: settings, onEvent: events.take)
        self.pool = pool
        ended = Background { pool.run() }
    }

    /// How many batches finished jobs.
    var batches: Int {
        events.all.count { ($0.batch?.finished ?? 0) > 0 }
    }

    /// How many connections were lost, or could not be made.
    var losses: Int { events.all.count { if case .disconnected = $0 { true } else { false } } }

    /// Stops it, and checks that it told of no violation.
    func stop() throws {
        pool.finish()
        try ended.wait()
        for event in events.all {
            if case .integrityViolation(let violation) = event {
                Issue.record("the ledger checker found: \(violation.description)")
            }
        }
    }
}

/// Random jobs of several stores, round by round; the same for the same seed.
final class Shops: Sendable {
    private struct Shop {
        let name: String
        var scenario: Scenario
        /// In one store nothing waits, so that the order of its lane can be proven.
        let waits: Bool
        var enqueued: Int64 = 0
    }

    private let shops: Mutex<[Shop]>
    let itemsSQL: String

    init(seed: UInt64, stores: Int, items: Int = 8) {
        let all = (0..<stores).map { number in
            Shop(
                name: "store-\(number)", scenario: Scenario(seed: seed &* 1_000 &+ UInt64(number), items: items),
                waits: stores == 1 || number > 0)
        }
        itemsSQL = all.map { StoreCase(name: $0.name, items: $0.scenario.items).itemsSQL }.joined()
        shops = Mutex(all)
    }

    /// The next jobs: a transaction for each store.
    func next(_ count: Int) -> [String] {
        shops.withLock { shops in shops.indices.map { Self.next(count, &shops[$0]) } }
    }

    /// The next jobs of one store.
    func next(_ count: Int, store: Int) -> String { shops.withLock { Self.next(count, &$0[store]) } }

    private static func next(_ count: Int, _ shop: inout Shop) -> String {
        let jobs = shop.scenario.jobs(count, firstID: shop.enqueued + 1, waits: shop.waits, groups: true)
        shop.enqueued += Int64(jobs.count)
        return StoreCase(name: shop.name, items: [:], jobs: jobs).jobsSQL
    }
}

/// Enqueues until it is stopped, and begins anew when its connection is lost. Whether a lost COMMIT was done, the ledger know: they
/// are kept in the same transaction.
final class Producer: Sendable {
    private let stopped = StopSignal()
    private let ended: Background

    /// - Parameter next: the statements of a round, counted from 1; each is a transaction.
    init(_ database: TestDatabase, everyMs: Int = 5, next: @escaping @Sendable (_ round: Int) -> [String]) {
        let stopped = stopped
        ended = Background {
            var connection: Connection?
            var round = 0
            while !stopped.wait(milliseconds: everyMs) {
                round += 1
                do {
                    let usable = try connection ?? database.connect()
                    connection = usable
                    for sql in next(round) { try usable.executeScript(sql) }
                } catch is PostgresError {
                    connection = nil
                }
            }
        }
    }

    func stop() throws {
        stopped.finish()
        try ended.wait()
    }
}
