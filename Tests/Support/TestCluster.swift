import Foundation
import PrivateCluster
import StockQueue
import StockQueuePostgres

/// The PostgreSQL server of a test run: started at the first use, removed when the process ends.
public enum TestCluster {
    /// Started once. If the start fails, every test fails.
    private static let shared = Result { try start() }

    public static func get() throws -> PrivateCluster { try shared.get() }

    /// Between the workers under test and the server with `STOCKQ_POOLED=1`.
    static let bouncer: PgBouncer? = {
        guard ProcessInfo.processInfo.environment["STOCKQ_POOLED"] == "1" else { return nil }
        do {
            return try PgBouncer(get())
        } catch {
            fatalError("STOCKQ_POOLED=1: \(error)")  // a run without PgBouncer would prove nothing
        }
    }()

    /// The only account that needs a password; a test connects with a wrong one.
    public static let passwordUser = "locked"

    /// Each test makes and removes some 500 files: in memory, where there is room for them.
    private static var folderForData: String {
        var space = statvfs()
        let inMemory = "/dev/shm"
        guard statvfs(inMemory, &space) == 0 else { return "/tmp" }
        let free = Int(space.f_bavail) * Int(space.f_frsize)
        return free >= 4 << 30 ? inMemory : "/tmp"
    }

    private static func start() throws -> PrivateCluster {
        var options = PrivateCluster.Options()
        options.settings = [
            // The data is temporary, so nothing has to survive a power cut.
            ("fsync", "off"), ("synchronous_commit", "off"), ("full_page_writes", "off"), ("max_connections", "300"),
            // Each session maps what it touches of the shared buffers, and there are many sessions.
            ("shared_buffers", "64MB"), ("autovacuum_naptime", "5s"), ("max_prepared_transactions", "20"),
            LedgerOracle.setting,
        ]
        options.parentFolder = folderForData
        options.accessRules = ["local all \(passwordUser) scram-sha-256"]
        let cluster = try PrivateCluster(name: "stockq-test", options: options)
        let admin = try Connection(ConnectionSettings(conninfo: cluster.conninfo(), applicationName: "tests"))
        try admin.executeScript("CREATE ROLE \(passwordUser) LOGIN PASSWORD 'right-horse'")
        try admin.executeScript("CREATE DATABASE template_stockq")
        let template = try Connection(
            ConnectionSettings(conninfo: cluster.conninfo(database: "template_stockq"), applicationName: "tests"))
        let migrator = Migrator(connection: template, schema: .standard)
        try migrator.migrate()
        _ = try migrator.makeRoles()
        return cluster
    }
}
