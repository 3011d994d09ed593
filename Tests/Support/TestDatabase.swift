import Foundation
import PrivateCluster
import StockQueue
import StockQueueLocking
import StockQueuePostgres

import struct Synchronization.Atomic  // not its Mutex: StockQueueLocking has one that ThreadSanitizer knows

/// The database of one test.
public final class TestDatabase: Sendable {
    public let cluster: PrivateCluster
    public let name: String
    public let schema = QueueSchema.standard

    private static let counter = Atomic(0)

    /// - Parameter migrated: clone a template that has the schema; otherwise the database is empty.
    public init(migrated: Bool = true) throws {
        cluster = try TestCluster.get()
        let number = Self.counter.add(1, ordering: .relaxed).newValue
        name = "test_\(number)"
        let admin = try Self.connect(cluster.conninfo())
        try Self.cloning.withLock { _ in
            try admin.executeScript("CREATE DATABASE \(name)" + (migrated ? " TEMPLATE template_stockq" : ""))
        }
    }

    /// A migrated database on a server that only this test uses and may stop.
    public init(on cluster: PrivateCluster) throws {
        self.cluster = cluster
        name = "queue"
        let admin = try Self.connect(cluster.conninfo())
        try admin.executeScript("CREATE DATABASE queue")
        try Migrator(connection: connect(), schema: schema).migrate()
    }

    /// A database that exists already.
    public init(existing name: String, on cluster: PrivateCluster) {
        self.cluster = cluster
        self.name = name
    }

    /// PostgreSQL clones a template only while no session uses it, and each cloning is such a session.
    private static let cloning = Mutex(())

    /// The server's log, of all its databases.
    public var logFile: String { cluster.logFile }
    public var conninfo: String { cluster.conninfo(database: name) }
    public var url: String { cluster.url(database: name) }
    /// How the workers under test connect: directly, or with `STOCKQ_POOLED=1` through PgBouncer.
    public var settings: ConnectionSettings {
        guard let bouncer = TestCluster.bouncer, cluster.folder == (try? TestCluster.get())?.folder else {
            return ConnectionSettings(conninfo: conninfo, applicationName: "tests")
        }
        var settings = ConnectionSettings(conninfo: bouncer.conninfo(database: name), applicationName: "tests")
        settings.pooled = true
        return settings
    }

    public func connect() throws -> Connection { try Self.connect(conninfo) }

    /// The tests that run at once share the disk, so the statement of one may take minutes and nothing is wrong.
    private static func connect(_ conninfo: String) throws -> Connection {
        var settings = ConnectionSettings(conninfo: conninfo, applicationName: "test")
        settings.callTimeout = .seconds(300)
        return try Connection(settings)
    }

    /// A direct connection as another role.
    public func settings(as role: String) -> ConnectionSettings {
        ConnectionSettings(
            conninfo: conninfo.replacingOccurrences(of: "user=stockq", with: "user=\(role)"), applicationName: "tests")
    }

    public func connect(as role: String) throws -> Connection { try Connection(settings(as: role)) }

    public func drop() {
        // A test that failed and left a connection open reports that by its own assertions.
        let admin = try? Self.connect(cluster.conninfo())
        try? admin?.executeScript("DROP DATABASE IF EXISTS \(name) WITH (FORCE)")
    }

    // MARK: shorthand

    /// Runs a script. One that changes its session has to have a connection of its own.
    public func run(_ sql: String) throws {
        let changesSession = ["SET ", "LISTEN "].contains { sql.hasPrefix($0) } || sql.contains("set_config(")
        if changesSession { return try connect().executeScript(sql) }
        try withSession { try $0.executeScript(sql) }
    }

    /// A new session for each call would cost the server more than the call.
    private let idleSessions = Mutex<[IdleSession]>([])

    /// Passed from thread to thread, and used by one at a time.
    private struct IdleSession: @unchecked Sendable {
        let connection: Connection
    }

    private func withSession<Value>(_ body: (Connection) throws -> Value) throws -> Value {
        while let session = idleSessions.withLock({ $0.popLast() }) {
            // The server may have restarted, or a test may have ended the session.
            guard (try? session.connection.executeScript("SELECT")) != nil else { continue }
            let value = try body(session.connection)
            idleSessions.withLock { $0.append(session) }
            return value
        }
        let session = IdleSession(connection: try connect())
        let value = try body(session.connection)
        idleSessions.withLock { $0.append(session) }
        return value
    }

    /// The rows of a query as text, columns separated by commas; NULL is empty.
    public func rows(_ sql: String) throws -> [String] { try withSession { try rows(sql, $0) } }

    public func rows(_ sql: String, _ connection: Connection) throws -> [String] {
        let text = "SELECT replace(rtrim(ltrim(q::text, '('), ')'), '\"', '') FROM (\(sql)) AS q"
        let result = try connection.execute(Statement("test_\(UInt(bitPattern: sql.hashValue))", [], text))
        return (0..<result.rowCount).map { result.string($0, 0) }
    }

    public func value(_ sql: String) throws -> String { try rows(sql).first ?? "" }

    /// How many sessions of the database wait for a lock.
    public func sessionsWaitingForLocks() throws -> Int {
        let count = try value(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
        return Int(count) ?? -1
    }

    // MARK: workers

    /// Starts workers beside the test. They stop when the test releases them.
    ///
    /// - Parameters:
    ///   - drains: stop when nothing is ready or due.
    ///   - change: changes the default settings.
    public func startWorkers(
        drains: Bool = false, _ change: (inout WorkerSettings) -> Void = { _ in }
    ) -> WorkersUnderTest {
        var settings = WorkerSettings()
        change(&settings)
        return WorkersUnderTest(self.settings, schema: schema, settings: settings, drains: drains)
    }

    /// Runs workers until nothing is ready or due.
    ///
    /// - Parameters:
    ///   - role: the database role of the workers; nil for the owner of the schema.
    ///   - change: changes the default settings.
    /// - Returns: the events of the workers.
    @discardableResult
    public func drain(as role: String? = nil, _ change: (inout WorkerSettings) -> Void = { _ in }) throws -> [WorkEvent]
    {
        var settings = WorkerSettings()
        change(&settings)
        let connection = role.map { self.settings(as: $0) } ?? self.settings
        return WorkersUnderTest.drain(connection, schema: schema, settings: settings)
    }
}
