import CommandLineKit
import Foundation
import PrivateCluster
import StockQueue
import StockQueuePostgres

/// The test bed of the scenarios: a durable private server, and databases copied from templates, so that every round
/// and every contestant starts with the same rows on the same pages.
final class BenchRig {
    let cluster: PrivateCluster
    let schema = QueueSchema.standard
    private let admin: Connection
    private var templates: Set<String> = []
    private var copies = 0

    /// The server's settings, part of the report; everything else is PostgreSQL's default.
    static let configuration: [(name: String, value: String)] = [
        ("fsync", "on"), ("synchronous_commit", "on"), ("full_page_writes", "on"), ("shared_buffers", "4GB"),
        ("max_wal_size", "8GB"), ("min_wal_size", "6GB"), ("checkpoint_timeout", "15min"), ("max_connections", "200"),
        ("track_commit_timestamp", "on"),
    ]

    init() throws {
        var options = PrivateCluster.Options()
        options.settings = Self.configuration
        cluster = try PrivateCluster(name: "stockq-bench", options: options)
        admin = try Connection(Self.settings(cluster, "postgres"))
    }

    private static func settings(_ cluster: PrivateCluster, _ database: String) -> ConnectionSettings {
        var settings = ConnectionSettings(
            conninfo: cluster.conninfo(database: database), applicationName: "stockq-bench")
        settings.callTimeout = .seconds(600)
        return settings
    }

    /// A database of the rig.
    struct Database {
        let name: String
        let settings: ConnectionSettings
        let url: String

        func connect() throws -> Connection { try Connection(settings) }

        func run(_ sql: String) throws { try connect().executeScript(sql, timeoutMs: 600_000) }
    }

    private func database(_ name: String) -> Database {
        Database(
            name: name, settings: Self.settings(cluster, name), url: cluster.url(database: name))
    }

    /// Lends a copy of the workload's database, and drops it afterwards.
    func withCopy<Value>(of workload: Workload, _ body: (Database) throws -> Value) throws -> Value {
        let template = "template_\(workload.name)"
        if templates.insert(template).inserted {
            try admin.executeScript("CREATE DATABASE \(template)")
            let made = database(template)
            try Migrator(connection: try made.connect(), schema: schema).migrate()
            for statement in workload.statements { try made.run(statement) }
        }
        copies += 1
        let copy = database("copy_\(copies)")
        try admin.executeScript("CREATE DATABASE \(copy.name) TEMPLATE \(template) STRATEGY file_copy")
        // Dirty pages of the copy must not be charged to the contestant.
        try admin.executeScript("CHECKPOINT")
        defer {
            // A database that cannot be dropped is removed with the cluster.
            try? admin.executeScript("DROP DATABASE IF EXISTS \(copy.name) WITH (FORCE)")
        }
        return try body(copy)
    }

    // MARK: measuring

    /// The time and the resources of some work.
    struct Cost {
        var jobs = 0
        var seconds = 0.0
        var serverCPU = 0.0
        var clientCPU = 0.0
        var walBytes: Int64 = 0

        var rate: Double { seconds > 0 ? Double(jobs) / seconds : 0 }
    }

    /// Runs `body`, which returns how many jobs it did in how many seconds, and measures its cost.
    func measure(_ body: () throws -> (jobs: Int, seconds: Double)) throws -> Cost {
        let server = ServerCPU(cluster)
        let wal = try walPosition()
        let client = ProcessUsage.cpuSeconds
        let (jobs, seconds) = try body()
        return Cost(
            jobs: jobs, seconds: seconds, serverCPU: server.since(), clientCPU: ProcessUsage.cpuSeconds - client,
            walBytes: try walPosition() - wal)
    }

    /// Runs a pool in this process until the queue is empty.
    func drain(_ database: Database) throws -> Cost {
        try measure {
            let meter = WorkMeter()
            pool(database, drains: true, meter).run()
            let totals = meter.totals
            return (totals.finished, totals.seconds)
        }
    }

    private func pool(_ database: Database, drains: Bool, _ meter: WorkMeter) -> WorkerPool {
        WorkerPool(
            connection: database.settings, schema: schema, settings: WorkerSettings(), drains: drains,
            onEvent: { event in
                meter.record(event)
                Self.reportTrouble(event)
            })
    }

    /// A figure that was measured while something failed is worth nothing unless the reader knows.
    private static func reportTrouble(_ event: WorkEvent) {
        switch event {
        case .started, .connected, .batch, .promoted, .partitionsAdded, .partitionDropped, .stopping, .stopped: break
        // Some scenarios keep one open on purpose.
        case .transactionOpenLong: break
        default: Terminal.note("stockq-bench: \(event)")
        }
    }

    /// Runs `body` beside a pool that runs until `body` ends.
    func withPool<Value>(_ database: Database, _ body: (WorkMeter) throws -> Value) throws -> Value {
        let meter = WorkMeter()
        let pool = pool(database, drains: false, meter)
        let ended = DispatchSemaphore(value: 0)
        Thread {
            pool.run()
            ended.signal()
        }.start()
        defer {
            pool.finish()
            ended.wait()
        }
        return try body(meter)
    }

    /// Throws if the ledger of a database is wrong: a fast run with wrong results does not count.
    func verify(_ database: Database) throws {
        let verifier = Verifier(connection: try database.connect(), schema: schema)
        var violations: [String] = []
        try verifier.runAll { violations += $0.violations }
        if !violations.isEmpty { throw Failure("verify: \(violations.joined(separator: "; "))") }
    }

    func serverVersion() throws -> String {
        try admin.execute(Statement("server_version", [], "SHOW server_version")).string(0, 0)
    }

    private func walPosition() throws -> Int64 {
        try admin.execute(
            Statement("wal_position", [], "SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint")
        ).int64(0, 0)
    }
}
