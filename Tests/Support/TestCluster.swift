import Foundation
import PrivateCluster
import StockQueue
import StockQueueLocking
import StockQueuePostgres

import struct Synchronization.Atomic  // and not its Mutex, which StockQueueLocking stands for

/// The PostgreSQL server of a test run: started at the first use, gone with the process.
public enum TestCluster {
    /// Made once; a failure to start is every test's failure.
    private static let shared = Result { try start() }

    public static func get() throws -> PrivateCluster { try shared.get() }

    /// Between the pools of the tests and the server, where `STOCKQ_POOLED` asks for it.
    static let bouncer: PgBouncer? = {
        guard ProcessInfo.processInfo.environment["STOCKQ_POOLED"] == "1" else { return nil }
        do {
            return try PgBouncer(get())
        } catch {
            fatalError("STOCKQ_POOLED=1: \(error)")  // going on without it would prove nothing
        }
    }()

    /// The account that must give a password, to test what happens when it is wrong.
    public static let passwordUser = "locked"

    private static func start() throws -> PrivateCluster {
        var options = PrivateCluster.Options()
        options.settings = [
            // The data is thrown away, so nothing has to survive a power cut.
            ("fsync", "off"), ("synchronous_commit", "off"), ("full_page_writes", "off"), ("max_connections", "300"),
            ("shared_buffers", "256MB"), ("autovacuum_naptime", "5s"),
        ]
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

/// A database of a test's own.
public final class TestDatabase: Sendable {
    public let cluster: PrivateCluster
    public let name: String
    public let schema = QueueSchema.standard

    private static let counter = Atomic(0)

    /// - Parameter migrated: cloned from a template that has the schema; else empty.
    public init(migrated: Bool = true) throws {
        cluster = try TestCluster.get()
        let number = Self.counter.add(1, ordering: .relaxed).newValue
        name = "test_\(number)"
        let admin = try Connection(ConnectionSettings(conninfo: cluster.conninfo(), applicationName: "tests"))
        try Self.cloning.withLock { _ in
            try admin.executeScript("CREATE DATABASE \(name)" + (migrated ? " TEMPLATE template_stockq" : ""))
        }
    }

    /// A migrated database on a server of a test's own, which the test may take down.
    public init(on cluster: PrivateCluster) throws {
        self.cluster = cluster
        name = "queue"
        let admin = try Connection(ConnectionSettings(conninfo: cluster.conninfo(), applicationName: "tests"))
        try admin.executeScript("CREATE DATABASE queue")
        try Migrator(connection: connect(), schema: schema).migrate()
    }

    /// A database that is there already.
    public init(existing name: String, on cluster: PrivateCluster) {
        self.cluster = cluster
        self.name = name
    }

    /// A template must have no connection while it is cloned, and each cloning is one.
    private static let cloning = Mutex(())

    /// The log of the run's server, of all its databases.
    public var logFile: String { cluster.logFile }
    public var conninfo: String { cluster.conninfo(database: name) }
    public var url: String { cluster.url(database: name) }
    /// How the pools of a test reach the database: directly, or with `STOCKQ_POOLED=1` through PgBouncer.
    public var settings: ConnectionSettings {
        guard let bouncer = TestCluster.bouncer, cluster.folder == (try? TestCluster.get())?.folder else {
            return ConnectionSettings(conninfo: conninfo, applicationName: "tests")
        }
        var settings = ConnectionSettings(conninfo: bouncer.conninfo(database: name), applicationName: "tests")
        settings.pooled = true
        return settings
    }

    public func connect() throws -> Connection {
        try Connection(ConnectionSettings(conninfo: conninfo, applicationName: "test"))
    }

    /// Directly, as another role.
    public func settings(as role: String) -> ConnectionSettings {
        ConnectionSettings(
            conninfo: conninfo.replacingOccurrences(of: "user=stockq", with: "user=\(role)"), applicationName: "tests")
    }

    public func connect(as role: String) throws -> Connection { try Connection(settings(as: role)) }

    public func drop() {
        // A test that left a connection open fails by its own assertions, not here.
        let admin = try? Connection(ConnectionSettings(conninfo: cluster.conninfo(), applicationName: "tests"))
        try? admin?.executeScript("DROP DATABASE IF EXISTS \(name) WITH (FORCE)")
    }

    // MARK: shorthand

    public func run(_ sql: String) throws { try connect().executeScript(sql) }

    /// The rows of a query as text; NULL is `∅`.
    public func rows(_ sql: String) throws -> [String] { try rows(sql, connect()) }

    public func rows(_ sql: String, _ connection: Connection) throws -> [String] {
        let text = "SELECT replace(rtrim(ltrim(q::text, '('), ')'), '\"', '') FROM (\(sql)) AS q"
        let result = try connection.execute(Statement("test_\(UInt(bitPattern: sql.hashValue))", [], text))
        return (0..<result.rowCount).map { result.string($0, 0) }
    }

    public func value(_ sql: String) throws -> String { try rows(sql).first ?? "" }

    /// Works the queue off.
    ///
    /// - Returns: what the pool told.
    @discardableResult
    public func drain(as role: String? = nil, _ change: (inout WorkerSettings) -> Void = { _ in }) throws -> [WorkEvent]
    {
        var settings = WorkerSettings()
        change(&settings)
        let events = Events()
        let connection = role.map { self.settings(as: $0) } ?? self.settings
        WorkerPool(connection: connection, schema: schema, settings: settings, drains: true, onEvent: events.take).run()
        return events.all
    }
}

/// Gathers what a pool tells, and lets a test wait for it.
public final class Events: Sendable {
    private let state = Mutex<[WorkEvent]>([])
    private let came = DispatchSemaphore(value: 0)

    public init() {}

    @Sendable public func take(_ event: WorkEvent) {
        state.withLock { $0.append(event) }
        came.signal()
    }

    /// What was told so far: a copy of its own, since ThreadSanitizer does not see that the last reader's release of
    /// shared storage comes before the writer's next change of it.
    public var all: [WorkEvent] { state.withLock { events in events.map { $0 } } }

    /// Waits until one of the events so far, or to come, is as wished.
    public func wait(seconds: Double = 20, until isRight: (WorkEvent) -> Bool) -> Bool {
        let deadline = DispatchTime.now() + seconds
        while !all.contains(where: isRight) {
            if came.wait(timeout: deadline) == .timedOut { return all.contains(where: isRight) }
        }
        return true
    }
}

/// How many test bodies run at once. All of them together would keep two cores so busy that what a test promises in seconds is
/// not kept, by the server either.
private let atOnce = DispatchSemaphore(value: 6)

/// Runs a blocking test body on a thread of its own, so that it does not hold one of Swift's few.
public func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        let thread = Thread {
            atOnce.wait()
            defer { atOnce.signal() }
            continuation.resume(with: Result { try body() })
        }
        thread.stackSize = 8 << 20
        thread.start()
    }
}

/// Runs a test body with a database of its own.
public func withDatabase<Value: Sendable>(
    migrated: Bool = true, _ body: @escaping @Sendable (TestDatabase) throws -> Value
) async throws -> Value {
    try await onThread {
        let database = try TestDatabase(migrated: migrated)
        defer { database.drop() }
        return try body(database)
    }
}

/// Asks again and again, without a fixed pause that is too short or too long, until it holds or the time is over.
public func eventually(seconds: Double = 20, _ holds: () throws -> Bool) rethrows -> Bool {
    let deadline = Deadline.after(milliseconds: Int(seconds * 1_000))
    while true {
        if try holds() { return true }
        if deadline.hasPassed { return false }
        pause(milliseconds: 5)
    }
}

/// A blocking piece of a test that runs beside the rest of it.
public final class Background: Sendable {
    private let ended = DispatchSemaphore(value: 0)
    private let failure = Mutex<(any Error)?>(nil)

    public init(_ body: @escaping @Sendable () throws -> Void) {
        let thread = Thread { [self] in
            do { try body() } catch { failure.withLock { $0 = error } }
            ended.signal()
        }
        thread.stackSize = 8 << 20
        thread.start()
    }

    /// Waits for its end.
    ///
    /// - Throws: what it threw.
    public func wait() throws {
        ended.wait()
        if let error = failure.withLock({ $0 }) { throw error }
    }
}
