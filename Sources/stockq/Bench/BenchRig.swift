import Foundation
import Postgres
import PrivateCluster
import StockQueue

/// What the scenarios measure on: a durable private server, and databases that are copied from a template, so that every
/// round and every contestant finds the same rows on the same pages.
final class BenchRig {
    let cluster: PrivateCluster
    let schema = Schema.standard
    private let admin: Connection
    private var templates: Set<String> = []
    private var copies = 0

    /// Stated in the report; everything else is PostgreSQL's default.
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
            conninfo: cluster.conninfo(database: database), applicationName: "stockq bench")
        settings.callTimeoutMs = 600_000
        return settings
    }

    /// A database of the rig.
    struct Database {
        let name: String
        let settings: ConnectionSettings
        let url: String

        func connect() throws -> Connection { try Connection(settings) }

        func run(_ sql: String) throws { try connect().executeScript(sql, timeoutMs: 600_000) }

        func number(_ sql: String) throws -> Int64 {
            try connect().execute(Statement("number", [], "SELECT (\(sql))::bigint")).int64(0, 0)
        }
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
        // What the copy left to be written is not the contestant's.
        try admin.executeScript("CHECKPOINT")
        defer {
            // A database that cannot be dropped goes with the cluster.
            try? admin.executeScript("DROP DATABASE IF EXISTS \(copy.name) WITH (FORCE)")
        }
        return try body(copy)
    }

    // MARK: measuring

    /// What a stretch of work cost beside its time.
    struct Cost {
        var jobs = 0
        var seconds = 0.0
        var serverCPU = 0.0
        var clientCPU = 0.0
        var walBytes: Int64 = 0

        var rate: Double { seconds > 0 ? Double(jobs) / seconds : 0 }
    }

    /// Runs `body`, which says how many jobs it did in how many seconds, and adds what it cost.
    func measure(_ body: () throws -> (jobs: Int, seconds: Double)) throws -> Cost {
        let server = ServerCPU(cluster)
        let wal = try walPosition()
        let client = ProcessUsage.cpuSeconds
        let (jobs, seconds) = try body()
        return Cost(
            jobs: jobs, seconds: seconds, serverCPU: server.since(), clientCPU: ProcessUsage.cpuSeconds - client,
            walBytes: try walPosition() - wal)
    }

    /// Works the queue off with a pool in this process.
    func drain(
        _ database: Database, workers: Int = 2, _ change: (inout WorkerSettings) -> Void = { _ in }
    ) throws -> Cost {
        try measure {
            let meter = RunMeter()
            try pool(database, workers: workers, drains: true, meter, change).run()
            let totals = meter.totals
            return (totals.finished, totals.seconds)
        }
    }

    func pool(
        _ database: Database, workers: Int = 2, drains: Bool, _ meter: RunMeter,
        _ change: (inout WorkerSettings) -> Void = { _ in }
    ) throws -> WorkerPool {
        var settings = WorkerSettings()
        settings.workers = workers
        change(&settings)
        let log = Log(least: .warn)
        return WorkerPool(
            connection: database.settings, schema: schema, settings: settings, drains: drains,
            tell: { event in
                meter.take(event)
                log.write(event)
            })
    }

    /// Runs `body` beside a pool that works until `body` ends.
    func withPool<Value>(
        _ database: Database, workers: Int = 2, _ body: (RunMeter) throws -> Value
    ) throws -> Value {
        let meter = RunMeter()
        let pool = try pool(database, workers: workers, drains: false, meter)
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

    /// Throws when the books of a database are wrong: a fast answer that is not right is no answer.
    func verify(_ database: Database) throws {
        let verifier = Verifier(connection: try database.connect(), schema: schema)
        var violations: [String] = []
        try verifier.runAll { violations += $0.violations }
        if !violations.isEmpty { throw Failure("verify: \(violations.joined(separator: "; "))") }
    }

    private func walPosition() throws -> Int64 {
        try admin.execute(
            Statement("wal_position", [], "SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint")
        ).int64(0, 0)
    }
}

/// The processor time of a server with all its processes, from `/proc`.
struct ServerCPU {
    private let postmaster: Int32
    private let start: Double

    init(_ cluster: PrivateCluster) {
        postmaster = cluster.serverProcessID ?? -1
        start = Self.total(postmaster)
    }

    /// Seconds since this was made.
    func since() -> Double { Self.total(postmaster) - start }

    /// The postmaster's own time, that of its children that ended, and that of those that live.
    private static func total(_ postmaster: Int32) -> Double {
        let tick = Double(sysconf(Int32(_SC_CLK_TCK)))
        var ticks = 0
        let processes = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        for process in processes {
            guard let id = Int32(process),
                let text = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8),  // it may have ended
                let behindName = text.lastIndex(of: ")")
            else { continue }
            let fields = text[text.index(after: behindName)...].split(separator: " ")
            // Behind the name: state, ppid, …; utime is the 12th, and stime, cutime and cstime follow.
            guard fields.count > 14, id == postmaster || Int32(fields[1]) == postmaster else { continue }
            let own = (Int(fields[11]) ?? 0) + (Int(fields[12]) ?? 0)
            let ended = id == postmaster ? (Int(fields[13]) ?? 0) + (Int(fields[14]) ?? 0) : 0
            ticks += own + ended
        }
        return Double(ticks) / tick
    }
}
