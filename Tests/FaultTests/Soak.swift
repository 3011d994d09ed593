import Foundation
import PrivateCluster
import StockQueue
import StockQueueLocking
import StockQueuePostgres
import TestSupport
import Testing

extension Faults {
    /// Every kind of fault at random, with producers, workers and an administrator: `make soak SECONDS=900 SEED=7`.
    ///
    /// A seed makes the same faults in the same order. What the workers are doing at each fault differs.
    @Suite("Soak", .serialized) struct Soak {
        static let environment = ProcessInfo.processInfo.environment
        static let seconds = environment["STOCKQ_SOAK_SECONDS"].flatMap { Int($0) }
        static let seed = environment["STOCKQ_SEED"].flatMap { UInt64($0) } ?? UInt64.random(in: 1...999_999)

        @Test("the queue is sound after all faults at random", .enabled(if: Soak.seconds != nil, "make soak SECONDS=…"))
        func everythingAtOnce() async throws {
            try await onThread {
                let storm = try Storm(seed: Self.seed)
                try storm.rage(seconds: Self.seconds ?? 60)
            }
        }
    }
}

/// The soak: a server, a proxy, three worker processes, a producer for each store, an administrator, and faults.
private final class Storm {
    private enum Kind: String, CaseIterable {
        case workerKilled, workerFrozen, workerStopped, sessionEnded, allSessionsEnded, backendKilled, backendFrozen
        case serverFast, serverImmediate, serverKilled
        case connectionsCut, cutInMessage, silence, connectionsRejected, slow, errorInjected, itemsLocked
    }

    private let seed: UInt64
    private var random: SeededRandom
    private let cluster: PrivateCluster
    private let rig: Rig
    private let observer = Observer()
    private var workers: [Program.Running] = []
    private var count: [Kind: Int] = [:]
    private var starts = 0
    private var checks = 0
    private let startedAt = Stopwatch()

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
    private static let stores = 6

    init(seed: UInt64) throws {
        self.seed = seed
        random = SeededRandom(seed: seed)
        cluster = try Faults.Server.cluster()
        rig = try Rig(TestDatabase(on: cluster), seed: seed, stores: Self.stores)
    }

    func rage(seconds: Int) throws {
        say("seed \(seed), \(seconds) s")
        let end = Deadline.after(milliseconds: seconds * 1_000)
        setRule { _ in .pass }
        try keepWorkers()
        while !end.hasPassed {
            let calm = Deadline.after(milliseconds: min(60_000, end.remainingMs))
            let producers = (0..<Self.stores).map { store in
                // A few jobs ten times a second, and many at once in every 50th round.
                RepeatingSession(rig.database, everyMs: 100) { [rig] round in
                    [rig.shops.nextJobs(round % 50 == 0 ? 600 : 6, store: store)]
                }
            }
            let admin = RepeatingSession(rig.database, everyMs: 300) { _ in [Self.administratorsSQL] }
            while !calm.hasPassed {
                pause(milliseconds: 200 + random.below(1_300))
                try strike(random.pick(Kind.allCases))
                try keepWorkers()
            }
            for producer in producers { try producer.stop() }
            try admin.stop()
            try checkAtRest()
        }
        for worker in workers {
            worker.send(SIGTERM)
            let ended = try worker.wait()
            #expect(!ended.err.contains("integrity_violation"), "\(ended.err)")
        }
        try rig.expectSound(order: .ofItems)
        reportNumbers()
    }

    // MARK: faults

    private func strike(_ kind: Kind) throws {
        count[kind, default: 0] += 1
        observer.faultBegins(kind.rawValue)
        let worker = random.pick(workers)
        let shortly = 100 + random.below(900)
        say("\(kind.rawValue)")
        switch kind {
        case .workerKilled: worker.send(SIGKILL)
        case .workerStopped: worker.send(random.pick([SIGTERM, SIGINT]))
        case .workerFrozen: freeze(worker.processID, milliseconds: 200 + random.below(7_000))
        case .backendFrozen: if let backend = backend() { freeze(backend, milliseconds: shortly) }
        case .backendKilled: if let backend = backend() { kill(backend, SIGKILL) }
        case .sessionEnded, .allSessionsEnded:
            ask(
                """
                SELECT pg_terminate_backend(pid) FROM (
                    SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'stockq run%' ORDER BY random()
                    LIMIT \(kind == .sessionEnded ? 1 : 100)
                ) AS session
                """)
        case .serverFast: try restart(.fast, shortly)
        case .serverImmediate: try restart(.immediate, shortly)
        case .serverKilled: try restart(.kill, shortly)
        case .connectionsCut: rig.proxy.cutAll()
        case .connectionsRejected:
            rig.proxy.rejectConnections(true)
            rig.proxy.cutAll()
            pause(milliseconds: shortly)
            rig.proxy.rejectConnections(false)
        case .cutInMessage, .silence, .errorInjected: once(kind)
        case .slow:
            setRule { _ in .delay(milliseconds: 3) }
            pause(milliseconds: shortly)
            setRule { _ in .pass }
        case .itemsLocked:
            let admin = try? rig.database.connect()
            for item in ["item-5", "item-3", "item-1"] {
                try? admin?.executeScript("BEGIN; SELECT FROM stockq.items WHERE item_id = '\(item)' FOR UPDATE")
            }
            pause(milliseconds: shortly)
        }
    }

    /// Acts at one of the next messages of a worker.
    private func once(_ kind: Kind) {
        let offset = random.below(400)
        let code = random.pick(Faults.Content.transient + Faults.Content.ofData)
        let left = Mutex(random.below(60))
        setRule { message in
            guard message.isOfWorker else { return .pass }
            if kind == .errorInjected && !(message.direction == .toServer && message.isOf("B")) { return .pass }
            let isNow = left.withLock { left in
                left -= 1
                return left == -1
            }
            if !isNow { return .pass }
            switch kind {
            case .cutInMessage: return .cutAfter(offset)
            case .silence: return .silence
            default: return .fail(sqlState: code)
            }
        }
    }

    private func freeze(_ process: Int32, milliseconds: Int) {
        kill(process, SIGSTOP)
        let thread = Thread {
            pause(milliseconds: milliseconds)
            kill(process, SIGCONT)
        }
        thread.start()
    }

    private func restart(_ how: PrivateCluster.Shutdown, _ downMs: Int) throws {
        try cluster.shutDown(how)
        pause(milliseconds: downMs)
        try cluster.startAgain()
    }

    /// The server's process of a random worker session; nil if there is none. (A signal to 0 would reach this process
    /// group.)
    private func backend() -> Int32? {
        let pid = try? rig.database.value(
            """
            SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'stockq run worker%' ORDER BY random() LIMIT 1
            """
        )
        return pid.flatMap { Int32($0) }
    }

    /// Runs SQL, unless the server is down at the moment.
    private func ask(_ sql: String) { try? rig.database.run(sql) }

    private func setRule(_ rule: @escaping Proxy.Rule) {
        let observer = observer
        rig.proxy.setRule { message in
            observer.see(message)
            return rule(message)
        }
    }

    // MARK: workers

    /// Replaces the processes that have ended.
    private func keepWorkers() throws {
        for worker in workers where worker.hasEnded {
            let ended = try worker.wait()
            // The soak sends no other fatal signal, so any other one is a crash.
            #expect(ended.code >= 0 || ended.code == -SIGKILL, "a worker ended with \(ended.code): \(ended.err)")
        }
        workers.removeAll { $0.hasEnded }
        while workers.count < Self.processes {
            starts += 1
            workers.append(
                try rig.program.start([
                    "run", "--log-level", "error", "--set", "batchJobsMax=\(random.pick([3, 100, 20_000]))",
                ]))
        }
    }

    // MARK: at rest

    private func checkAtRest() throws {
        setRule { _ in .pass }
        rig.proxy.rejectConnections(false)
        #expect(eventually(seconds: 20) { (try? rig.database.value("SELECT 1")) == "1" })
        #expect(try rig.jobsFinish(seconds: 60), "at rest after \(seconds) s, seed \(seed)")
        let violations = try LedgerOracle(rig.database).violationsNow()
        #expect(violations == [], "seed \(seed): \(violations.joined(separator: "\n"))")
        checks += 1
        say(
            "at rest: \(violations.count) violations, \(try rig.database.value("SELECT count(*) FROM stockq.results")) results"
        )
    }

    private var seconds: Int { startedAt.milliseconds / 1_000 }

    private func say(_ text: String) { Faults.report("soak \(seconds) s: \(text)") }

    private func reportNumbers() {
        let total = count.values.reduce(0, +)
        let kinds = Kind.allCases.map { "\($0.rawValue) \(count[$0] ?? 0)" }.joined(separator: ", ")
        let results = (try? rig.database.value("SELECT count(*) FROM stockq.results")) ?? "?"
        say("\(total) faults: \(kinds)")
        say("\(results) jobs, \(starts) worker processes, \(checks) checks at rest")
        say("from a fault to the next applied result: \(observer.summary)")
    }
}

/// Measures how long no batch that changed stock was committed after a fault.
private final class Observer: Sendable {
    private struct State {
        /// Connections whose transaction has changed stock.
        var changed: Set<Int> = []
        var fault: (kind: String, since: Stopwatch)?
        var longest: [String: Int] = [:]
        var all: [Int] = []
    }

    private let state = Mutex(State())

    func faultBegins(_ kind: String) {
        state.withLock { $0.fault = (kind, Stopwatch()) }
    }

    func see(_ message: Proxy.Message) {
        guard message.isOfWorker else { return }
        if message.direction == .toServer {
            if message.isOf("B") && message.statement == "write_items" {
                state.withLock { _ = $0.changed.insert(message.connection) }
            }
        } else if message.isOf("C") && (message.tag == "COMMIT" || message.tag == "ROLLBACK") {
            state.withLock { state in
                let changed = state.changed.remove(message.connection) != nil
                guard changed, message.tag == "COMMIT", let fault = state.fault else { return }
                let took = fault.since.milliseconds
                state.all.append(took)
                state.longest[fault.kind] = max(took, state.longest[fault.kind] ?? 0)
                state.fault = nil
            }
        }
    }

    var summary: String {
        state.withLock { state in
            let sorted = state.all.sorted()
            guard let last = sorted.last else { return "never" }
            let kinds = state.longest.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
            return
                "median \(sorted[sorted.count / 2]) ms, p99 \(sorted[sorted.count * 99 / 100]) ms, longest \(last) ms (\(kinds))"
        }
    }
}
