import StockQueuePostgres

/// Every limit of a worker process, by name, with its unit and default. `stockq run --set name=value` changes one.
public struct WorkerSettings: Sendable {
    /// Threads that work batches, each with a connection of its own. 1–64. Default 2.
    public var workers = 2
    /// The most jobs claimed at once. A group is never cut, so a batch may hold one group more. 1–100,000. Default 20,000:
    /// of a deep backlog a large batch folds many jobs of an item into one new version of its row.
    public var batchJobsMax = 20_000
    /// How long a batch should hold its lane and its stock rows at most: a batch that took longer halves the next one of
    /// its lane. Default 500 ms.
    public var batchLongestMs = 500
    /// How long a batch waits for a stock row that somebody else holds, before it leaves the row's jobs for the next
    /// round. Default 200 ms.
    public var lockTimeoutMs = 200
    /// The server gives a statement up after this. Default 20,000 ms: far beyond a batch, well within `callTimeoutMs`.
    public var statementTimeoutMs = 20_000
    /// The server ends a session that holds locks and does nothing; a worker that was frozen frees its lane so.
    /// Default 5,000 ms.
    public var idleInTransactionTimeoutMs = 5_000
    /// The client gives a call up after this, COMMIT included. Default 30,000 ms.
    public var callTimeoutMs = 30_000
    /// How long one host may take to accept a connection, in steps of whole seconds from 2 s on. Default 5,000 ms.
    public var connectTimeoutMs = 5_000
    /// How soon a side of a TCP connection notices that the other side's machine is gone: silence of 5 s is followed by up to
    /// 3 questions, a second apart, and what was sent may stay unacknowledged for 8,000 ms. They are set for both sides.
    public var keepaliveIdleSeconds = 5
    public var keepaliveIntervalSeconds = 1
    public var keepaliveProbes = 3
    public var unacknowledgedMs = 8_000
    /// The first and the longest pause before connecting anew; doubled at each try, with jitter. Defaults 50 and 500 ms: after
    /// an outage of any length work goes on within a second; meanwhile one thread of a process asks two to four times a second.
    public var reconnectFirstMs = 50
    public var reconnectLongestMs = 500
    /// How long a process that starts before its database waits for it. Default 300,000 ms.
    public var startTimeoutMs = 300_000
    /// 1: refuse to start on a server that may lose commits in a power cut (`fsync` or `full_page_writes` off). Default 0: warn.
    public var requireDurability = 0
    /// The longest time between two looks at the queue, and so the longest that a missed workers_awake can delay a job.
    /// Default 1,000 ms.
    public var pollLongestMs = 1_000
    /// How long workers stay busy before producers are told not to ring. Default 50 ms.
    public var awakeAfterMs = 50
    /// The most jobs promoted by one statement. Default 10,000.
    public var promoteJobsMax = 10_000
    /// How long a job waits for stock when it has no `expires_at`. Default 604,800 s (7 days).
    public var waitLongestSeconds = 604_800
    /// How many waiting jobs of an item one poll takes in. Default 1,000.
    public var wakeWaitingMax = 1_000
    /// Job ids a partition of the results holds. Default 5,000,000.
    public var jobsPerPartition = 5_000_000
    /// Partitions kept ready ahead of the ids drawn. Default 2.
    public var partitionsAhead = 2
    /// How often the online checker looks at items that were just changed; 0 turns it off. Default 1,000 ms.
    public var checkEveryMs = 1_000
    /// The most items that one poll of the online checker takes in. Default 20.
    public var checkItemsMax = 20
    /// How many changes of an item the online checker walks back. Default 10.
    public var checkChangesMax = 10
    /// 1: stop when the online checker finds the ledger wrong. Default 0: log, count, and go on.
    public var stopOnViolation = 0
    /// How often partitions are looked after. Default 10,000 ms.
    public var maintenanceEveryMs = 10_000
    /// How long results are kept. Default 34,560,000 s (400 days).
    public var keepResultsSeconds = 34_560_000
    /// Idempotency keys used longer ago than this are forgotten. Default 400 days; 1–3,153,600,000.
    public var keepKeysSeconds = 34_560_000
    /// How long a graceful stop may take before the process ends anyway. Default 5,000 ms.
    public var stopTimeoutMs = 5_000

    public init() {}

    private static var ranges: [(name: String, field: WritableKeyPath<WorkerSettings, Int>, range: ClosedRange<Int>)] {
        [
            ("workers", \.workers, 1...64),
            ("batchJobsMax", \.batchJobsMax, 1...100_000),
            ("batchLongestMs", \.batchLongestMs, 1...60_000),
            ("lockTimeoutMs", \.lockTimeoutMs, 1...60_000),
            ("statementTimeoutMs", \.statementTimeoutMs, 100...3_600_000),
            ("idleInTransactionTimeoutMs", \.idleInTransactionTimeoutMs, 100...3_600_000),
            ("callTimeoutMs", \.callTimeoutMs, 100...3_600_000),
            ("connectTimeoutMs", \.connectTimeoutMs, 2_000...600_000),
            ("keepaliveIdleSeconds", \.keepaliveIdleSeconds, 1...3_600),
            ("keepaliveIntervalSeconds", \.keepaliveIntervalSeconds, 1...3_600),
            ("keepaliveProbes", \.keepaliveProbes, 1...100),
            ("unacknowledgedMs", \.unacknowledgedMs, 100...3_600_000),
            ("reconnectFirstMs", \.reconnectFirstMs, 1...60_000),
            ("reconnectLongestMs", \.reconnectLongestMs, 1...600_000),
            ("startTimeoutMs", \.startTimeoutMs, 0...86_400_000),
            ("requireDurability", \.requireDurability, 0...1),
            ("pollLongestMs", \.pollLongestMs, 1...60_000),
            ("awakeAfterMs", \.awakeAfterMs, 0...60_000),
            ("promoteJobsMax", \.promoteJobsMax, 1...1_000_000),
            ("waitLongestSeconds", \.waitLongestSeconds, 1...315_360_000),
            ("wakeWaitingMax", \.wakeWaitingMax, 1...100_000),
            ("jobsPerPartition", \.jobsPerPartition, 1_000...1_000_000_000),
            ("partitionsAhead", \.partitionsAhead, 1...100),
            ("checkEveryMs", \.checkEveryMs, 0...3_600_000),
            ("checkItemsMax", \.checkItemsMax, 1...10_000),
            ("checkChangesMax", \.checkChangesMax, 1...1_000),
            ("stopOnViolation", \.stopOnViolation, 0...1),
            ("maintenanceEveryMs", \.maintenanceEveryMs, 100...3_600_000),
            ("keepResultsSeconds", \.keepResultsSeconds, 1...3_153_600_000),
            ("keepKeysSeconds", \.keepKeysSeconds, 1...3_153_600_000),
            ("stopTimeoutMs", \.stopTimeoutMs, 100...600_000),
        ]
    }

    /// All settings as `name=value`, in order of declaration.
    public var listing: [String] { Self.ranges.map { "\($0.name)=\(self[keyPath: $0.field])" } }

    /// Changes one setting by its name.
    ///
    /// - Returns: nil, or a sentence that says what is wrong.
    public mutating func set(_ name: String, to text: String) -> String? {
        guard let entry = Self.ranges.first(where: { $0.name == name }) else {
            return "there is no setting \(name); known are \(Self.ranges.map(\.name).joined(separator: ", "))"
        }
        guard let value = Int(text), entry.range.contains(value) else {
            return
                "\(name) takes a whole number from \(entry.range.lowerBound) to \(entry.range.upperBound), not \(text)"
        }
        self[keyPath: entry.field] = value
        return nil
    }

    /// The session settings of connections that work batches.
    var session: [(name: String, value: String)] {
        [
            // Compiling a statement costs 300 ms, and the statements of a batch run for milliseconds.
            ("jit", "off"),
            // A batch's rows pass through the write-back in tuning, not through a temporary file.
            ("work_mem", "64MB"),
            // A queue's table is empty at one moment and holds millions of rows at the next, so statistics are always
            // wrong; the plans that are right at every size are pinned by leaving nothing else to choose.
            ("enable_seqscan", "off"),
            ("enable_bitmapscan", "off"),
            ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"),
            ("enable_material", "off"),
            ("enable_memoize", "off"),
            ("max_parallel_workers_per_gather", "0"),
        ] + limits(lockTimeoutMs: lockTimeoutMs)
    }

    /// What bounds every wait of a session on the server's side.
    func limits(lockTimeoutMs: Int) -> [(name: String, value: String)] {
        [
            ("lock_timeout", "\(lockTimeoutMs)ms"),
            ("statement_timeout", "\(statementTimeoutMs)ms"),
            ("idle_in_transaction_session_timeout", "\(idleInTransactionTimeoutMs)ms"),
            // Each statement must see what the lock before it waited for.
            ("default_transaction_isolation", "read committed"),
        ] + keepalive.ofServer
    }

    private var keepalive: ConnectionSettings.Keepalive {
        var keepalive = ConnectionSettings.Keepalive()
        keepalive.idleSeconds = keepaliveIdleSeconds
        keepalive.intervalSeconds = keepaliveIntervalSeconds
        keepalive.probes = keepaliveProbes
        keepalive.unacknowledgedMs = unacknowledgedMs
        return keepalive
    }

    /// The connection of one thread of a worker process.
    ///
    /// - Parameter role: what the thread does; stands behind the program's name in `pg_stat_activity`.
    func connection(
        from base: ConnectionSettings, role: String, session: [(name: String, value: String)]
    ) -> ConnectionSettings {
        var settings = base
        settings.applicationName = "\(base.applicationName) \(role)"
        settings.connectTimeoutMs = connectTimeoutMs
        settings.callTimeoutMs = callTimeoutMs
        settings.keepalive = keepalive
        settings.session = session
        return settings
    }
}
