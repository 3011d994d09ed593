import StockQueue
import StockQueueLocking
import StockQueuePostgres
import TestSupport
import Testing

/// A queue, a proxy between its workers and the server, and shops that make jobs.
final class Rig: Sendable {
    let database: TestDatabase
    let proxy: Proxy
    let shops: Shops
    /// With `STOCKQ_GATEWAY=1`: calls of a gateway beside the jobs of each round, and their threads.
    private let gateway: GatewayUnderTest?
    private let calls = Mutex<[Background]>([])
    private static let storeOfCalls = "calls"

    /// - Parameter seed: of the jobs.
    init(_ database: TestDatabase, seed: UInt64 = 1, stores: Int = 2) throws {
        self.database = database
        proxy = try Proxy(to: database)
        try LedgerOracle.install(in: database)
        shops = Shops(seed: seed, stores: stores)
        try database.run(shops.itemsSQL)
        gateway =
            try Faults.hasGateway
            ? GatewayUnderTest(database, Program(database), ["--workers", "0"], store: Self.storeOfCalls) : nil
        try gateway?.start()
    }

    /// The program, which connects through the proxy.
    var program: Program {
        var program = Program()
        program.environment["DATABASE_URL"] = proxy.conninfo(database: database.name)
        return program
    }

    // MARK: workers

    /// One worker with short pauses, so that a test is quick.
    static func quick() -> WorkerSettings {
        var settings = WorkerSettings()
        settings.workers = 1
        settings.reconnectPauseMin = .milliseconds(1)
        settings.reconnectPauseMax = .milliseconds(20)
        settings.checkInterval = .milliseconds(20)
        return settings
    }

    /// Starts workers that connect through the proxy.
    func startWorkers(_ settings: WorkerSettings = Rig.quick()) -> WorkersUnderTest {
        WorkersUnderTest(
            ConnectionSettings(conninfo: proxy.conninfo(database: database.name), applicationName: "tests"),
            schema: database.schema, settings: settings)
    }

    /// Starts workers that connect without the proxy.
    func startDirectWorkers(_ settings: WorkerSettings = Rig.quick()) -> WorkersUnderTest {
        WorkersUnderTest(database.settings, schema: database.schema, settings: settings)
    }

    /// Starts workers that connect without the proxy, with some settings changed.
    func startDirectWorkers(_ change: (inout WorkerSettings) -> Void) -> WorkersUnderTest {
        var settings = Rig.quick()
        change(&settings)
        return startDirectWorkers(settings)
    }

    // MARK: jobs

    /// Enqueues a round of jobs in every shop.
    func enqueueRound(_ count: Int = 8) throws {
        let connection = try database.connect()
        for sql in shops.nextJobs(count) { try connection.executeScript(sql) }
        guard let gateway else { return }
        let call = Background {
            gateway.callOnce()
            if !gateway.callUntilApplied(seconds: 120) {
                throw GatewayUnderTest.Failure("a call with a key was not applied within 120 s")
            }
        }
        calls.withLock { $0.append(call) }
    }

    /// Waits for the calls of the gateway, with workers for their jobs.
    ///
    /// - Returns: the answers that were wrong.
    private func endCalls() throws -> [String] {
        guard let gateway else { return [] }
        let workers = startDirectWorkers()
        for call in calls.withLock({ calls in
            defer { calls = [] }
            return calls
        }) { try call.wait() }
        let wrong = try gateway.wrongAnswers()
        try workers.stop()
        let ended = try gateway.stop()
        return wrong + (ended?.code == 0 ? [] : ["the gateway ended with \(String(describing: ended))"])
    }

    /// Enqueues jobs beside the stores' producers, in a transaction of its own, unless a former call did.
    ///
    /// - Parameters:
    ///   - reference: of the jobs.
    ///   - select: a SELECT of store, item, quantity, reference and the most attempts.
    func enqueueOnce(named reference: String, _ select: String) throws {
        try waitingForServer {
            let known = "SELECT EXISTS (SELECT FROM audit.jobs WHERE reference = '\(reference)')"
            if try database.value(known) == "t" { return }
            try database.run(
                """
                BEGIN;
                \(LedgerOracle.marksLateJobs);
                INSERT INTO stockq.jobs (store_id, item_id, quantity, reference, max_attempts) \(select);
                COMMIT
                """)
        }
    }

    /// Waits until all jobs are finished, except those that wait for stock; otherwise reports what remains.
    ///
    /// Asks again when the server is starting or ends this session, as any client would.
    ///
    /// - Parameter ofShops: only the jobs of the shops, not those of the gateway's calls.
    func jobsFinish(seconds: Double = 30, ofShops: Bool = false) throws -> Bool {
        let store = ofShops ? "AND store_id <> \(quoteLiteral(Self.storeOfCalls))" : ""
        let remaining = "SELECT count(*) FROM stockq.jobs WHERE waiting_since IS NULL \(store)"
        let isDone = try eventually(seconds: seconds) {
            do { return try database.value(remaining) == "0" } catch let error as PostgresError where error.isTransient
            {
                return false
            }
        }
        if !isDone { try waitingForServer { try reportRemainder() } }
        return isDone
    }

    private func reportRemainder() throws {
        let connection = try database.connect()
        let jobs = try database.rows(
            """
            SELECT format('job %s: run_at %s, attempts %s, lane %s, group %s, %s',
                job_id, run_at, attempts, lane, group_id, last_error)
            FROM stockq.jobs WHERE waiting_since IS NULL ORDER BY job_id LIMIT 5
            """, connection)
        let sessions = try database.rows(
            """
            SELECT format('%s: %s %s since %s, %s',
                application_name, state, wait_event, now() - state_change, left(query, 40))
            FROM pg_stat_activity WHERE datname = current_database()
            """, connection)
        Faults.report("jobs that do not finish: \((jobs + sessions).joined(separator: "; "))")
    }

    // MARK: invariants

    /// Runs the remaining jobs without the proxy, and checks all invariants.
    func expectSound(order: LedgerOracle.Order = .ofLanes) throws {
        let violations = try violations(order: order)
        #expect(violations == [], "\(violations.joined(separator: "\n"))")
    }

    /// Runs the remaining jobs without the proxy.
    ///
    /// - Returns: the violations of all invariants.
    func violations(order: LedgerOracle.Order) throws -> [String] {
        // A silent connection keeps its session until the network reports the end; the proxy is that network.
        proxy.passAll()
        proxy.cutAll()
        let wrong = try endCalls()
        try database.drain()
        return wrong + (try Self.violations(database, order))
    }

    /// Checks all invariants.
    static func expectSound(_ database: TestDatabase, order: LedgerOracle.Order = .ofLanes) throws {
        let violations = try violations(database, order)
        #expect(violations == [], "\(violations.joined(separator: "\n"))")
    }

    private static func violations(_ database: TestDatabase, _ order: LedgerOracle.Order) throws -> [String] {
        try waitingForServer { try LedgerOracle(database).violations(order: order) }
    }
}
