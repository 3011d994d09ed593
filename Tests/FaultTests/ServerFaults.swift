import Foundation
import PrivateCluster
import StockQueue
import StockQueueLocking
import StockQueueMigrations
import StockQueuePostgres
import TestSupport
import Testing

extension Faults {
    /// What can happen to the server: sessions ended, stopped, killed, restarted, full, without its standby, replaced by it.
    @Suite(.serialized) struct Server {
        /// A server of the test's own, on which commits are as durable as on a real one, but for the power cut.
        static func cluster(
            _ settings: [(name: String, value: String)] = [], folder: String = "/tmp",
            environment: [String: String] = [:]
        ) throws -> PrivateCluster {
            var options = PrivateCluster.Options()
            options.settings = [("fsync", "off"), ("max_connections", "60"), ("shared_buffers", "32MB")] + settings
            options.parentFolder = folder
            options.environment = environment
            return try PrivateCluster(name: "stockq-fault", options: options)
        }

        // MARK: sessions

        /// Ends one session of the pool, or all of them, again and again under load.
        @Test(arguments: [false, true]) func terminatedSessions(all: Bool) async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 41, stores: 4)
                let pool = rig.start()
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
                #expect(try rig.isWorkedOff())
                try pool.stop()
                try rig.expectSound()
            }
        }

        /// The server's process of the worker stops answering at each message of a batch, COMMIT included: the client's
        /// deadline fires, and when the process goes on, nothing is done twice.
        @Test func frozenBackend() async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 43, stores: 1)
                var number = 0
                var misses = 0
                var deadlines = 0
                while misses < 3 {
                    var settings = Rig.quick()
                    settings.callTimeout = .milliseconds(100)
                    let pool = rig.start(settings)
                    try rig.enqueueRound(3)
                    #expect(try rig.isWorkedOff())
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
                        try pool.events.all.contains {
                            $0.disconnection?.kind == .deadline
                        } || database.value("SELECT count(*) FROM stockq.jobs WHERE waiting_since IS NULL") == "0"
                    }
                    #expect(hasFired)
                    // From here on nothing is stopped any more: nobody would let it go on.
                    let backend = frozen.withLock { state in
                        state.left = -1_000
                        return state.backend
                    }
                    if backend != 0 {
                        deadlines += 1
                        kill(backend, SIGCONT)
                    }
                    misses = backend != 0 ? 0 : misses + 1
                    #expect(try rig.isWorkedOff(), "frozen at message \(number)")
                    rig.proxy.passAll()
                    try pool.stop()
                    number += Faults.isFull ? 1 : 9
                }
                Faults.report("the server's process stopped at \(deadlines) messages")
                #expect(deadlines > (Faults.isFull ? 30 : 3))
                try rig.expectSound()
            }
        }

        // MARK: restarts

        /// Takes the server down in every way, again and again under load; once it accepts connections, the next result is
        /// there within a second.
        @Test func restarts() async throws {
            try await onThread {
                let cluster = try Self.cluster()
                let database = try TestDatabase(on: cluster)
                let rig = try Rig(database, seed: 47, stores: 4)
                let pool = rig.startDirect()
                let producer = Producer(rig.database) { _ in rig.ledger.next(6) }
                var times: [Int] = []
                for round in 0..<(Faults.isFull ? 30 : 3) {
                    let results = try database.value("SELECT count(*) FROM stockq.results")
                    #expect(
                        try eventually { try database.value("SELECT count(*) FROM stockq.results") != results },
                        "work goes on")
                    try cluster.shutDown(PrivateCluster.Shutdown.allCases[round % 3])
                    // Long enough that the pauses between two tries have grown to their longest.
                    pause(milliseconds: 1_500)
                    let batches = pool.batches
                    try cluster.startAgain()
                    let start = Stopwatch()
                    #expect(eventually { pool.batches > batches })
                    times.append(start.milliseconds)
                }
                try producer.stop()
                #expect(try rig.isWorkedOff())
                try pool.stop()
                times.sort()
                Faults.report(
                    "first result after \(times.count) restarts: median \(times[times.count / 2]) ms, longest \(times.last ?? 0) ms"
                )
                #expect((times.last ?? 0) <= 1_000)
                try rig.expectSound(order: .none)
            }
        }

        /// One process of the server dies, and with it, for a moment, all sessions.
        @Test func crashedBackend() async throws {
            try await onThread {
                let cluster = try Self.cluster()
                let database = try TestDatabase(on: cluster)
                let rig = try Rig(database, seed: 53, stores: 4)
                let pool = rig.startDirect()
                let producer = Producer(rig.database) { _ in rig.ledger.next(6) }
                for _ in 0..<(Faults.isFull ? 20 : 2) {
                    let batches = pool.batches
                    #expect(eventually { pool.batches > batches + 3 })
                    let victim = try database.value(
                        "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'tests worker%' LIMIT 1")
                    let losses = pool.losses
                    kill(try #require(Int32(victim)), SIGKILL)
                    #expect(eventually { pool.losses > losses })
                    #expect(eventually { (try? database.value("SELECT 1")) == "1" })
                }
                try producer.stop()
                #expect(try rig.isWorkedOff())
                try pool.stop()
                try rig.expectSound(order: .none)
            }
        }

        /// No connection is to be had (53300) after the pool has lost its own.
        @Test func noConnectionsLeft() async throws {
            try await onThread {
                let cluster = try Self.cluster([("max_connections", "12"), ("superuser_reserved_connections", "0")])
                let database = try TestDatabase(on: cluster)
                let rig = try Rig(database, seed: 59)
                let pool = rig.startDirect()
                try rig.enqueueRound()
                #expect(try rig.isWorkedOff())
                let killer = try database.connect()
                var taken: [Connection] = []
                let isRefused = try eventually {
                    do {
                        taken.append(try database.connect())
                    } catch let error as PostgresError where error.sqlState?.rawValue == "53300" {
                        // Each slot that the pool gets back is taken from it again.
                        try killer.executeScript(
                            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'tests %'"
                        )
                    }
                    return pool.events.all.contains {
                        $0.disconnection?.sqlState == .tooManyConnections
                    }
                }
                #expect(isRefused)
                for sql in rig.ledger.next(8) { try killer.executeScript(sql) }
                taken = []
                #expect(try rig.isWorkedOff())
                try pool.stop()
                try rig.expectSound()
            }
        }

        // MARK: no room

        /// The disk is full: batches fail and are told of, and once there is room again all goes on.
        @Test(.enabled(if: SmallFileSystem.isPossible, "a file system of a known size has to be mounted"))
        func fullDisk() async throws {
            try await onThread {
                let folder = try SmallFileSystem(megabytes: 140)
                let cluster = try Self.cluster(
                    [("max_wal_size", "64MB"), ("min_wal_size", "32MB"), ("wal_recycle", "off")], folder: folder.path)
                let database = try TestDatabase(on: cluster)
                let rig = try Rig(database, seed: 61)
                let pool = rig.startDirect()
                try rig.enqueueRound()
                #expect(try rig.isWorkedOff())
                let ballast = try folder.fill()
                var wasTold = false
                // Producers are refused too, or the server goes down for want of room for its log.
                for _ in 0..<200 where !wasTold {
                    try? rig.enqueueRound(50)
                    wasTold = pool.events.all.contains {
                        switch $0 {
                        case .batchFailed(let failed): failed.error.sqlState?.rawValue == "53100"
                        case .disconnected: true
                        default: false
                        }
                    }
                }
                #expect(wasTold)
                try FileManager.default.removeItem(atPath: ballast)
                if !cluster.isRunning { try cluster.startAgain() }
                #expect(eventually { (try? database.value("SELECT 1")) == "1" })
                #expect(try rig.isWorkedOff())
                try pool.stop()
                try rig.expectSound(order: .none)
                cluster.stop()
            }
        }

        /// Nothing can be made durable, and PostgreSQL goes down on purpose (manual, 20.4 "data_sync_retry"): what was not
        /// committed is done again, and what was is not.
        @Test func failingSync() async throws {
            try await onThread {
                let sync = try FailingSync()
                let cluster = try Self.cluster([("fsync", "on")], environment: sync.environment)
                let database = try TestDatabase(on: cluster)
                let rig = try Rig(database, seed: 83, stores: 4)
                let pool = rig.startDirect()
                let producer = Producer(rig.database) { _ in rig.ledger.next(6) }
                for _ in 0..<(Faults.isFull ? 20 : 2) {
                    let batches = pool.batches
                    #expect(eventually { pool.batches > batches + 3 })
                    let losses = pool.losses
                    try sync.fail()
                    #expect(eventually { pool.losses > losses })
                    try sync.succeed()
                    // Recovery may have met the same and ended the server for good, now or in a moment.
                    let isBack = try eventually {
                        if !cluster.isRunning { try cluster.startAgain() }
                        return (try? database.value("SELECT 1")) == "1"
                    }
                    #expect(isBack)
                }
                try producer.stop()
                #expect(try rig.isWorkedOff())
                try pool.stop()
                let log = try String(contentsOfFile: cluster.logFile, encoding: .utf8)
                #expect(log.contains("PANIC:  could not fdatasync file"))
                try rig.expectSound(order: .none)
            }
        }

        // MARK: replication

        /// COMMIT waits for a standby that is not there: the client's deadline fires, and once the standby is given up nothing
        /// has been counted twice.
        @Test func missingSynchronousStandby() async throws {
            try await onThread {
                let cluster = try Self.cluster()
                let database = try TestDatabase(on: cluster)
                let rig = try Rig(database, seed: 67, stores: 4)
                try rig.enqueueRound(40)
                try database.run("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
                try database.run("SELECT pg_reload_conf()")
                var settings = Rig.quick()
                settings.callTimeout = .milliseconds(300)
                let pool = rig.startDirect(settings)
                let hangs = eventually {
                    pool.events.all.contains {
                        $0.disconnection?.kind == .deadline && $0.disconnection?.statement == "commit"
                    }
                }
                #expect(hangs)
                // Not by `run`, whose own COMMIT would wait.
                let hand = try database.connect()
                try hand.executeScript("SET synchronous_commit = off")
                try hand.executeScript("ALTER SYSTEM RESET synchronous_standby_names")
                try hand.executeScript("SELECT pg_reload_conf()")
                #expect(try rig.isWorkedOff())
                try pool.stop()
                try rig.expectSound()
            }
        }

        /// The primary dies and its standby takes over: workers that name both hosts go on with the one that takes writes.
        @Test func promotedStandby() async throws {
            try await onThread {
                let primary = try Self.cluster([("wal_level", "replica"), ("hot_standby", "on")])
                let database = try TestDatabase(on: primary)
                let rig = try Rig(database, seed: 71, stores: 4)
                let standby = try PrivateCluster(standbyOf: primary, name: "stockq-fault")
                let both = ConnectionSettings(
                    conninfo:
                        "host=\(standby.folder),\(primary.folder) port=\(standby.port),\(primary.port) user=stockq dbname=\(database.name) target_session_attrs=read-write",
                    applicationName: "tests")
                let pool = RunningPool(both, database.schema, Rig.quick())
                try rig.enqueueRound(40)
                #expect(try rig.isWorkedOff())
                try primary.shutDown(.immediate)
                let promoted = TestDatabase(existing: database.name, on: standby)
                #expect(try promoted.value("SELECT pg_promote()") == "t")
                let batches = pool.batches
                let start = Stopwatch()
                let connection = try promoted.connect()
                for sql in rig.ledger.next(8) { try connection.executeScript(sql) }
                #expect(eventually { pool.batches > batches })
                let took = start.milliseconds
                Faults.report("first result \(took) ms after the promotion of the standby")
                #expect(took <= 1_000)
                #expect(
                    try eventually {
                        try promoted.value("SELECT count(*) FROM stockq.jobs WHERE waiting_since IS NULL") == "0"
                    })
                try pool.stop()
                let violations = try Books(promoted).violations()
                #expect(violations == [], "\(violations.joined(separator: "\n"))")
            }
        }

        // MARK: between worker and server

        /// Through PgBouncer in transaction mode, which is restarted now and then.
        @Test(.enabled(if: PgBouncer.isInstalled, "needs pgbouncer"))
        func restartedPgBouncer() async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 73, stores: 4)
                var bouncer = try PgBouncer(database.cluster)
                var settings = ConnectionSettings(
                    conninfo: bouncer.conninfo(database: database.name), applicationName: "tests")
                settings.pooled = true
                let pool = RunningPool(settings, database.schema, Rig.quick())
                for _ in 0..<(Faults.isFull ? 20 : 3) {
                    try rig.enqueueRound(40)
                    let batches = pool.batches
                    #expect(eventually { pool.batches > batches })
                    bouncer.kill()
                    bouncer = try PgBouncer(database.cluster, port: bouncer.port)
                }
                #expect(try rig.isWorkedOff())
                try pool.stop()
                bouncer.kill()
                try rig.expectSound(order: .none)
            }
        }

        // MARK: migrations

        /// A newer version migrates the schema while this one works: new columns, an index, a table of its own.
        @Test func migrationUnderLoad() async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 79, stores: 4)
                let pool = rig.startDirect()
                let producer = Producer(rig.database) { _ in rig.ledger.next(6) }
                let newer = Migration(
                    .numbered, "9999_newer.sql",
                    sql: """
                        ALTER TABLE :"schema".jobs ADD COLUMN newer text;
                        ALTER TABLE :"schema".items ADD COLUMN newer text DEFAULT 'x';
                        ALTER TABLE :"schema".results ADD COLUMN newer text;
                        ALTER TABLE audit.jobs ADD COLUMN newer text;
                        ALTER TABLE audit.items ADD COLUMN newer text;
                        CREATE INDEX newer ON :"schema".items (newer);
                        """)
                let before = pool.batches
                #expect(eventually { pool.batches > before + 5 })
                let migrators = (0..<2).map { _ in
                    Background {
                        try Migrator(
                            connection: database.connect(), schema: database.schema, migrations: Migration.all + [newer]
                        ).migrate()
                    }
                }
                for migrator in migrators { try migrator.wait() }
                let after = pool.batches
                #expect(eventually { pool.batches > after + 5 }, "the older version goes on")
                try producer.stop()
                #expect(try rig.isWorkedOff())
                try pool.stop()
                // A worker of the older version does not start any more, and says why.
                let refused = try rig.program.run(["run", "--drain"])
                #expect(refused.code == 1 && refused.err.contains("newer stockq"), "\(refused.err)")
                let violations = try Books(database).violations(order: .none)
                #expect(violations == [], "\(violations.joined(separator: "\n"))")
            }
        }

        /// Two versions of the program work one queue: this one, and one whose statements are not prepared and whose batches
        /// and timeouts are others.
        @Test func twoKindsOfWorkers() async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 83, stores: 6)
                var pooled = database.settings
                pooled.pooled = true
                var small = Rig.quick()
                small.batchJobsMax = 3
                let pools = [
                    rig.startDirect(WorkerSettings()), RunningPool(pooled, database.schema, small), rig.start(),
                ]
                for _ in 0..<20 { try rig.enqueueRound(20) }
                #expect(try rig.isWorkedOff())
                for pool in pools { try pool.stop() }
                try rig.expectSound()
            }
        }
    }
}
