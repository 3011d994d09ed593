import Foundation
import PrivateCluster
import StockQueue
import StockQueueLocking
import StockQueuePostgres
import TestSupport
import Testing

extension Faults {
    @Suite("The server: sessions terminated, restarts, a full disk, a standby", .serialized) struct Server {
        /// A server that only this test uses. Its commits survive everything except a power cut.
        static func cluster(
            _ settings: [(name: String, value: String)] = [], folder: String = "/tmp",
            environment: [String: String] = [:]
        ) throws -> PrivateCluster {
            var options = PrivateCluster.Options()
            options.settings =
                [("fsync", "off"), ("max_connections", "60"), ("shared_buffers", "32MB"), LedgerOracle.setting]
                + settings
            options.parentFolder = folder
            options.environment = environment
            return try PrivateCluster(name: "stockq-fault", options: options)
        }

        // MARK: sessions

        @Test(
            "one session of the workers, or all of them, terminated again and again under load",
            arguments: [false, true])
        func terminatedSessions(all: Bool) async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 41, stores: 4)
                let workers = rig.startWorkers()
                for _ in 0..<(Faults.isFull ? 100 : 15) {
                    try rig.enqueueRound()
                    try database.run(
                        """
                        SELECT pg_terminate_backend(pid) FROM (
                            SELECT pid FROM pg_stat_activity
                            WHERE datname = current_database() AND application_name LIKE 'tests %'
                            ORDER BY random() LIMIT \(all ? 100 : 1)
                        ) AS session
                        """)
                }
                #expect(try rig.jobsFinish())
                try workers.stop()
                try rig.expectSound()
            }
        }

        /// The client's deadline passes, also during COMMIT, and the process continues later.
        @Test("a server process that stops at any message of a batch does nothing twice when it continues")
        func frozenBackend() async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 43, stores: 1)
                var number = 0
                var misses = 0
                var deadlines = 0
                while misses < 3 {
                    var settings = Rig.quick()
                    settings.callTimeout = .milliseconds(100)
                    let workers = rig.startWorkers(settings)
                    try rig.enqueueRound(3)
                    #expect(try rig.jobsFinish())
                    let frozen = Mutex<(left: Int, backend: Int32)>((number, 0))
                    rig.proxy.setRule { message in
                        guard message.isOfWorker, message.direction == .toServer else { return .pass }
                        frozen.withLock { state in
                            state.left -= 1
                            if state.left == -1 {
                                state.backend = message.backend
                                kill(message.backend, SIGSTOP)
                            }
                        }
                        return .pass
                    }
                    try rig.enqueueRound(3)
                    let hasFired = try eventually(seconds: 3) {
                        try workers.events.all.contains {
                            $0.disconnection?.kind == .deadline
                        } || database.value("SELECT count(*) FROM stockq.jobs WHERE waiting_since IS NULL") == "0"
                    }
                    #expect(hasFired)
                    // From here on no process is stopped: no SIGCONT would follow.
                    let backend = frozen.withLock { state in
                        state.left = -1_000
                        return state.backend
                    }
                    if backend != 0 {
                        deadlines += 1
                        kill(backend, SIGCONT)
                    }
                    misses = backend != 0 ? 0 : misses + 1
                    #expect(try rig.jobsFinish(), "frozen at message \(number)")
                    rig.proxy.passAll()
                    try workers.stop()
                    number += Faults.isFull ? 1 : 9
                }
                Faults.report("the server's process stopped at \(deadlines) messages")
                #expect(deadlines > (Faults.isFull ? 30 : 3))
                try rig.expectSound()
            }
        }

        // MARK: restarts

        @Test("after each kind of restart under load the next result comes within a second") func restarts()
            async throws
        {
            try await onThread {
                let cluster = try Self.cluster()
                let database = try TestDatabase(on: cluster)
                let rig = try Rig(database, seed: 47, stores: 4)
                let workers = rig.startDirectWorkers()
                let producer = RepeatingSession(rig.database) { _ in rig.shops.nextJobs(6) }
                var times: [Int] = []
                for round in 0..<(Faults.isFull ? 30 : 3) {
                    let results = try database.value("SELECT count(*) FROM stockq.results")
                    #expect(
                        try eventually { try database.value("SELECT count(*) FROM stockq.results") != results },
                        "workers continue")
                    try cluster.shutDown(PrivateCluster.Shutdown.allCases[round % 3])
                    // Long enough for the pauses between two attempts to reach their maximum.
                    pause(milliseconds: 1_500)
                    let batches = workers.batches
                    try cluster.startAgain()
                    let start = Stopwatch()
                    #expect(workers.waitForBatches(moreThan: batches))
                    times.append(start.milliseconds)
                }
                try producer.stop()
                #expect(try rig.jobsFinish())
                try workers.stop()
                times.sort()
                Faults.report(
                    "first result after \(times.count) restarts: median \(times[times.count / 2]) ms, longest \(times.last ?? 0) ms"
                )
                #expect((times.last ?? 0) <= 1_000)
                try rig.expectSound(order: .none)
            }
        }

        @Test("a server process is killed, and all sessions end with it") func crashedBackend() async throws {
            try await onThread {
                let cluster = try Self.cluster()
                let database = try TestDatabase(on: cluster)
                let rig = try Rig(database, seed: 53, stores: 4)
                let workers = rig.startDirectWorkers()
                let producer = RepeatingSession(rig.database) { _ in rig.shops.nextJobs(6) }
                for _ in 0..<(Faults.isFull ? 20 : 2) {
                    let batches = workers.batches
                    #expect(workers.waitForBatches(moreThan: batches + 3))
                    let victim = try waitingForServer {
                        try database.value(
                            "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'tests worker%' LIMIT 1")
                    }
                    let disconnections = workers.disconnections
                    kill(try #require(Int32(victim)), SIGKILL)
                    #expect(eventually { workers.disconnections > disconnections })
                    #expect(eventually { (try? database.value("SELECT 1")) == "1" })
                }
                try producer.stop()
                #expect(try rig.jobsFinish())
                try workers.stop()
                try rig.expectSound(order: .none)
            }
        }

        @Test("workers continue after the server had no free connection (53300)") func noConnectionsLeft() async throws
        {
            try await onThread {
                let cluster = try Self.cluster([("max_connections", "12"), ("superuser_reserved_connections", "0")])
                let database = try TestDatabase(on: cluster)
                let rig = try Rig(database, seed: 59)
                let workers = rig.startDirectWorkers()
                try rig.enqueueRound()
                #expect(try rig.jobsFinish())
                let killer = try database.connect()
                var taken: [Connection] = []
                let isRejected = try eventually {
                    do {
                        taken.append(try database.connect())
                    } catch let error as PostgresError where error.sqlState == .tooManyConnections {
                        // The test takes each slot that the workers get back.
                        try killer.executeScript(
                            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'tests %'"
                        )
                    }
                    return workers.events.all.contains {
                        $0.disconnection?.sqlState == .tooManyConnections
                    }
                }
                #expect(isRejected)
                for sql in rig.shops.nextJobs(8) { try killer.executeScript(sql) }
                taken = []
                #expect(try rig.jobsFinish())
                try workers.stop()
                try rig.expectSound()
            }
        }
    }
}
