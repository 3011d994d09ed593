import Foundation
import PrivateCluster
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// The soak: a server, a proxy, three worker processes, a deliverer with its receiver, a producer for each store, an
/// administrator, and faults.
///
/// Its own statements wait for the server, as any client does: a fault may have hit it a moment before.
final class Storm {
    let tally: SoakTally
    var random: SeededRandom
    let cluster: PrivateCluster
    let rig: Rig
    let recoveryTimes = RecoveryTimes()
    var workers: [Program.Running] = []
    let gateway: GatewayUnderTest
    let deliveries: DeliveriesUnderTest
    var hungProducers: [Background] = []
    var raised = 0
    var probes = 0
    var giantGroups = 0
    private let faults: [Fault]
    private var count: [Fault: Int] = [:]
    private var starts = 0
    private var gatewayStarts = 0
    private var delivererStarts = 0
    private var checks = 0

    /// An administrator changes attributes in the opposite order of the workers' locks, and cancels jobs. If there is a
    /// deadlock, this transaction fails.
    private static let administratorsSQL = """
        BEGIN;
        UPDATE stockq.items SET parent_id = 'p' WHERE item_id = 'item-4' AND store_id = 'store-1';
        UPDATE stockq.items SET parent_id = 'p' WHERE item_id = 'item-2' AND store_id = 'store-1';
        UPDATE stockq.items SET parent_id = 'p' WHERE item_id = 'item-0' AND store_id = 'store-1';
        WITH gone AS (
            DELETE FROM stockq.jobs WHERE job_id IN (
                SELECT job_id FROM stockq.jobs WHERE group_id IS NULL ORDER BY random() LIMIT 1 FOR UPDATE SKIP LOCKED
            ) RETURNING job_id
        )
        INSERT INTO audit.canceled SELECT job_id FROM gone;
        COMMIT
        """

    private static let processes = 3
    static let stores = 6
    /// An item of each store that is in no group of the producers.
    static let otherItem = "other"

    /// - Parameter without: names of faults to leave out.
    init(_ tally: SoakTally, without: Set<String>) throws {
        faults = Fault.allCases.filter { !without.contains($0.rawValue) }
        try #require(faults.count == Fault.allCases.count - without.count, "an unknown fault in \(without)")
        self.tally = tally
        random = SeededRandom(seed: tally.seed)
        cluster = try Faults.Server.cluster()
        rig = try Rig(TestDatabase(on: cluster), seed: tally.seed, stores: Self.stores)
        // A first migrate makes the roles.
        try #require(Program(rig.database).run(["migrate"]).code == 0)
        try RaisingTrigger.install(in: rig.database)
        try rig.database.run(GiantGroup.itemSQL(stores: Self.stores))
        try rig.database.run(
            (0..<Self.stores).map {
                "INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('store-\($0)', '\(Self.otherItem)', 50);"
            }.joined())
        // Its workers come and go with it, beside the other processes.
        gateway = try GatewayUnderTest(
            rig.database, rig.program, ["--workers", "1", "--deadline", "3s", "--set", "deliver=false"])
        deliveries = try DeliveriesUnderTest(rig.database, rig.program)
    }

    func rage() throws {
        tally.say("seed \(tally.seed), \(tally.secondsAsked) s")
        let end = Deadline.after(milliseconds: tally.secondsAsked * 1_000)
        setRule { _ in .pass }
        try keepWorkers()
        try keepGateway()
        try keepDeliverer()
        while !end.hasPassed {
            let calm = Deadline.after(milliseconds: min(60_000, end.remainingMs))
            let producers = (0..<Self.stores).map { store in
                // A few jobs ten times a second, and many at once in every 50th round.
                RepeatingSession(rig.database, everyMs: 100) { [rig] round in
                    [rig.shops.nextJobs(round % 50 == 0 ? 600 : 6, store: store)]
                }
            }
            let callers = (0..<2).map { _ in HTTPProducer(gateway, everyMs: 20) }
            let admin = RepeatingSession(
                rig.database, everyMs: 300, accepts: [.deadlockDetected]
            ) { _ in [Self.administratorsSQL] }
            let time = deliveries.timePassing()
            while !calm.hasPassed {
                pause(milliseconds: 200 + random.below(1_300))
                let fault = random.pick(faults)
                count[fault, default: 0] += 1
                tally.figures.update { $0.faults += 1 }
                try strike(fault)
                try keepWorkers()
                try keepGateway()
                try keepDeliverer()
            }
            for producer in producers { try producer.stop() }
            setRule { _ in .pass }
            rig.proxy.rejectConnections(false)
            for caller in callers { try caller.stop() }
            try admin.stop()
            try time.stop()
            try waitForHungProducers()
            try checkAtRest()
        }
        for worker in workers {
            worker.send(SIGTERM)
            let ended = try worker.wait()
            expect(!ended.err.contains("integrity_violation"), ended.err)
        }
        expect(try gateway.stop()?.code == 0, "the gateway did not end as it should")
        expect(try deliveries.stop()?.code == 0, "the deliverer did not end as it should")
        expectNone(try gateway.wrongAnswers())
        expectNone(try rig.violations(order: .ofItems))
        reportNumbers()
    }

    /// Runs each message through a rule, and sees when batches are committed.
    func setRule(_ rule: @escaping Proxy.Rule) {
        let recoveryTimes = recoveryTimes
        rig.proxy.setRule { message in
            recoveryTimes.see(message)
            return rule(message)
        }
    }

    // MARK: workers

    /// Replaces the processes that have ended.
    private func keepWorkers() throws {
        for worker in workers where worker.hasEnded {
            let ended = try worker.wait()
            // The soak sends no other fatal signal, so any other one is a crash.
            expect(ended.code >= 0 || ended.code == -SIGKILL, "a worker ended with \(ended.code): \(ended.err)")
        }
        workers.removeAll { $0.hasEnded }
        while workers.count < Self.processes {
            starts += 1
            workers.append(
                try rig.program.start(
                    [
                        "run", "--log-level", "error", "--set", "batchJobsMax=\(random.pick([3, 100, 20_000]))",
                        "--set", "deliver=\(starts % Self.processes == 0)",
                    ] + DeliveriesUnderTest.receiverSettings))
        }
    }

    // MARK: the gateway

    /// Starts the gateway again when it has ended.
    private func keepGateway() throws {
        guard gateway.hasEnded else { return }
        if let ended = try gateway.wait() {
            expect(ended.code == 0 || ended.code == -SIGKILL, "the gateway ended with \(ended.code): \(ended.err)")
        }
        gatewayStarts += 1
        try gateway.start()
    }

    // MARK: the deliverer

    /// Starts the deliverer again when it has ended. One of the workers delivers too.
    private func keepDeliverer() throws {
        guard deliveries.hasEnded else { return }
        if let ended = try deliveries.wait() {
            // One that is silent for longer than a stop may take ends with an error.
            expect(ended.code >= 0 || ended.code == -SIGKILL, "a deliverer ended with \(ended.code): \(ended.err)")
        }
        delivererStarts += 1
        try deliveries.start()
    }

    // MARK: at rest

    private func checkAtRest() throws {
        setRule { _ in .pass }
        rig.proxy.rejectConnections(false)
        expect(try rig.jobsFinish(seconds: 80), "jobs do not finish at rest after \(tally.secondsRun) s")
        let violations =
            try waitingForServer { try LedgerOracle(rig.database).violationsNow() } + deliveries.violations()
        expectNone(violations)
        expectNone(try gateway.wrongAnswers())
        checks += 1
        let results = try waitingForServer { try rig.database.value("SELECT count(*) FROM stockq.results") }
        tally.figures.update { $0.jobs = Int(results) ?? 0 }
        tally.say("at rest: \(violations.count) violations, \(results) results")
    }

    /// Counts a violation if the condition does not hold.
    func expect(_ holds: Bool, _ violation: String) {
        if !holds { tally.figures.update { $0.violations += 1 } }
        #expect(holds, "seed \(tally.seed): \(violation)")
    }

    private func expectNone(_ violations: [String]) {
        tally.figures.update { $0.violations += violations.count }
        #expect(violations.isEmpty, "seed \(tally.seed): \(violations.prefix(20).joined(separator: "\n"))")
    }

    private func reportNumbers() {
        let kinds = faults.map { "\($0.rawValue) \(count[$0] ?? 0)" }.joined(separator: ", ")
        tally.say("\(tally.figures.value.faults) faults: \(kinds)")
        tally.say("\(tally.figures.value.jobs) jobs, \(starts) worker processes, \(checks) checks at rest")
        let (plain, keyed) = gateway.answers
        tally.say(
            "\(gatewayStarts) gateways; calls without a key: \(plain.applied) applied, \(plain.refused) refused, "
                + "\(plain.lost) not answered; with a key: \(keyed.applied) applied, \(keyed.lost) not")
        let received = deliveries.receiver.received
        tally.say(
            "\(delivererStarts) deliverers; \(received.count) webhooks arrived, "
                + "\(Set(received.map { $0.path + $0.id }).count) different ones")
        tally.say("from a fault to the next applied result: \(recoveryTimes.summary)")
    }
}
