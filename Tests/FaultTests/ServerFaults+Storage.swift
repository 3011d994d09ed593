import Foundation
import PrivateCluster
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

extension Faults.Server {
    // MARK: storage

    @Test(
        "batches on a full disk fail and are reported, and workers continue when there is space again",
        .enabled(if: SmallFileSystem.isPossible, "must mount a file system of a known size"))
    func fullDisk() async throws {
        try await onThread {
            let folder = try SmallFileSystem(megabytes: 140)
            let cluster = try Self.cluster(
                [("max_wal_size", "64MB"), ("min_wal_size", "32MB"), ("wal_recycle", "off")], folder: folder.path)
            let database = try TestDatabase(on: cluster)
            let rig = try Rig(database, seed: 61)
            var settings = Rig.quick()
            settings.idleInTransactionTimeout = .seconds(60)
            let workers = rig.startDirectWorkers(settings)
            try rig.enqueueRound()
            #expect(try rig.jobsFinish())
            // The workers find the jobs when the disk is full: until then this session locks all lanes.
            let holder = try database.connect()
            try holder.executeScript("BEGIN")
            try holder.executeScript("SELECT FROM stockq.lanes FOR UPDATE")
            for _ in 0..<20 { try rig.enqueueRound(50) }
            let ballast = try folder.fill()
            try holder.executeScript("ROLLBACK")
            let isReported = workers.events.wait {
                switch $0 {
                case .batchFailed(let failed): failed.error.sqlState == SQLState(rawValue: "53100")
                // The server stops when its log has no space.
                case .disconnected: true
                default: false
                }
            }
            #expect(isReported)
            // A producer's statement fails too, or has space that was allocated before.
            try? rig.enqueueRound(50)
            try FileManager.default.removeItem(atPath: ballast)
            if !cluster.isRunning { try cluster.startAgain() }
            #expect(eventually { (try? database.value("SELECT 1")) == "1" })
            #expect(try rig.jobsFinish())
            try workers.stop()
            try rig.expectSound(order: .none)
            cluster.stop()
        }
    }

    /// PostgreSQL shuts down on purpose when fsync fails (manual, 20.4 "data_sync_retry").
    @Test("after a failed fsync only uncommitted batches run again") func failingSync() async throws {
        try await onThread {
            let sync = try FailingSync()
            let cluster = try Self.cluster([("fsync", "on")], environment: sync.environment)
            let database = try TestDatabase(on: cluster)
            let rig = try Rig(database, seed: 83, stores: 4)
            let workers = rig.startDirectWorkers()
            let producer = RepeatingSession(rig.database) { _ in rig.shops.nextJobs(6) }
            for _ in 0..<(Faults.isFull ? 20 : 2) {
                let batches = workers.batches
                #expect(workers.waitForBatches(moreThan: batches + 3))
                let disconnections = workers.disconnections
                try sync.fail()
                #expect(eventually { workers.disconnections > disconnections })
                try sync.succeed()
                // fsync may have failed in the recovery too, which stops the server for good, now or in a moment.
                let isBack = try eventually {
                    if !cluster.isRunning { try cluster.startAgain() }
                    return (try? database.value("SELECT 1")) == "1"
                }
                #expect(isBack)
            }
            try producer.stop()
            #expect(try rig.jobsFinish())
            try workers.stop()
            let log = try String(contentsOfFile: cluster.logFile, encoding: .utf8)
            #expect(log.contains("PANIC:  could not fdatasync file"))
            try rig.expectSound(order: .none)
        }
    }

    // MARK: replication

    /// COMMIT waits for the standby, and the client's deadline passes.
    @Test("nothing is applied twice after COMMIT waited for a synchronous standby that is missing")
    func missingSynchronousStandby() async throws {
        try await onThread {
            let cluster = try Self.cluster()
            let database = try TestDatabase(on: cluster)
            let rig = try Rig(database, seed: 67, stores: 4)
            try rig.enqueueRound(40)
            try database.run("ALTER SYSTEM SET synchronous_standby_names = 'missing'")
            try database.run("SELECT pg_reload_conf()")
            var settings = Rig.quick()
            settings.callTimeout = .milliseconds(300)
            let workers = rig.startDirectWorkers(settings)
            let hangs = eventually {
                workers.events.all.contains {
                    $0.disconnection?.kind == .deadline && $0.disconnection?.statement == "commit"
                }
            }
            #expect(hangs)
            // With synchronous_commit off, or this session's COMMIT would wait too.
            let admin = try database.connect()
            try admin.executeScript("SET synchronous_commit = off")
            try admin.executeScript("ALTER SYSTEM RESET synchronous_standby_names")
            try admin.executeScript("SELECT pg_reload_conf()")
            #expect(try rig.jobsFinish())
            try workers.stop()
            try rig.expectSound()
        }
    }

    @Test("workers with both hosts in their connection string continue on a promoted standby")
    func promotedStandby() async throws {
        try await onThread {
            let primary = try Self.cluster([("wal_level", "replica"), ("hot_standby", "on")])
            let database = try TestDatabase(on: primary)
            let rig = try Rig(database, seed: 71, stores: 4)
            let standby = try PrivateCluster(standbyOf: primary, name: "stockq-fault")
            let both = ConnectionSettings(
                conninfo:
                    """
                    host=\(standby.folder),\(primary.folder) port=\(standby.port),\(primary.port) user=stockq \
                    dbname=\(database.name) target_session_attrs=read-write
                    """,
                applicationName: "tests")
            let workers = WorkersUnderTest(both, settings: Rig.quick())
            try rig.enqueueRound(40)
            #expect(try rig.jobsFinish())
            try primary.shutDown(.immediate)
            let promoted = TestDatabase(existing: database.name, on: standby)
            #expect(try promoted.value("SELECT pg_promote()") == "t")
            let batches = workers.batches
            let start = Stopwatch()
            let connection = try promoted.connect()
            for sql in rig.shops.nextJobs(8) { try connection.executeScript(sql) }
            #expect(workers.waitForBatches(moreThan: batches))
            let took = start.milliseconds
            Faults.report("first result \(took) ms after the promotion of the standby")
            #expect(took <= 1_000)
            #expect(
                try eventually {
                    try promoted.value("SELECT count(*) FROM stockq.jobs WHERE waiting_since IS NULL") == "0"
                })
            try workers.stop()
            try Rig.expectSound(promoted)
        }
    }
}
