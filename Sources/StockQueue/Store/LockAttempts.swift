import StockQueuePostgres

/// Runs a transaction that needs strong locks without making others wait for long.
///
/// An attempt waits for a lock under a short `lock_timeout` (`Migrator.lockTimeout`), because all later statements on
/// the table wait behind it. Then the transaction is rolled back and, after a pause in which the others go on, tried
/// again.
struct LockAttempts {
    private static let pauseMs = (first: 300, longest: 1_000)
    /// The time between two looks at the session while it waits.
    private static let watchEveryMs = 50

    let connection: Connection
    /// No attempt begins later than this.
    let waitMax: Duration
    /// Called after each attempt that was given up.
    let onWait: ([LockHolder]) -> Void

    /// - Parameter transaction: begins a transaction with `begin`, and has ended it when it throws.
    /// - Throws: what `transaction` throws; `LocksNotAvailable` when the last attempt was in vain too.
    func run<Value>(_ transaction: (_ begin: () throws(PostgresError) -> Void) throws -> Value) throws -> Value {
        let watch = LockWatch(connection.settings)
        connection.whileWaiting = .init(everyMs: Self.watchEveryMs) { watch.look() }
        defer { connection.whileWaiting = nil }
        let deadline = Deadline.after(milliseconds: waitMax.milliseconds)
        var pauseMs = Self.pauseMs.first
        while true {
            do {
                return try transaction { () throws(PostgresError) in
                    try connection.begin()
                    watch.processID = try connection.execute(Self.ownProcess).int32(0, 0)
                    try connection.executeScript("SET LOCAL lock_timeout = \(Migrator.lockTimeout.milliseconds)")
                }
            } catch let error as PostgresError
                where error.sqlState == .lockNotAvailable || error.sqlState == .deadlockDetected
            {
                if deadline.hasPassed { throw LocksNotAvailable(holders: watch.holders) }
                onWait(watch.holders)
                pause(milliseconds: min(pauseMs, deadline.remainingMs))
                pauseMs = min(pauseMs * 2, Self.pauseMs.longest)
            }
        }
    }

    /// Behind a pooler the connection does not know the server's process.
    private static let ownProcess = Statement("own_process", [], "SELECT pg_backend_pid()")

    /// Why a migration was given up.
    struct LocksNotAvailable: Error {
        /// Those seen last; empty if this role cannot see them.
        let holders: [LockHolder]
    }
}

/// Sees, over a connection of its own, for whom another connection waits. It connects when the first wait is long
/// enough to be seen.
private final class LockWatch {
    private(set) var holders: [LockHolder] = []
    /// The server's process of the connection; nil before its first transaction.
    var processID: Int32?
    private var settings: ConnectionSettings
    private var connection: Connection?
    private var hasFailed = false

    init(_ settings: ConnectionSettings) {
        self.settings = settings
        self.settings.purpose = "lock watch"
        self.settings.callTimeout = .seconds(2)
    }

    func look() {
        guard let processID, !hasFailed else { return }
        do {
            let usable = try connection ?? Connection(settings)
            connection = usable
            let rows = try usable.execute(
                ReadLockHoldersStatement().statement, ReadLockHoldersStatement.parameters(processID: processID))
            let seen = ReadLockHoldersStatement.holders(in: rows)
            if !seen.isEmpty { holders = seen }
        } catch {
            hasFailed = true  // the migration goes on without it; its messages then name no session
        }
    }
}
