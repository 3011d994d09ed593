import StockModel
import StockQueuePostgres

/// Every limit of a worker process. `stockq run --set NAME=VALUE` or the environment changes one; `WorkerSettings.all`
/// describes them.
public struct WorkerSettings: Sendable {
    // MARK: work

    /// Threads that run batches, each with a connection of its own.
    public var workers = 2
    /// Beside several workers there is one more, for short batches alone. One worker stays one batch at a time.
    package var hasExpressWorker: Bool { workers > 1 }
    /// The most jobs that a batch claims; the rest of a group that is cut is added. On a deep backlog a large batch
    /// folds many jobs of an item into one new version of its row.
    public var batchJobsMax = 20_000
    /// The most lines of a group; a group with more is rejected. A batch never splits a group, so this bounds the memory
    /// of a batch and its time.
    public var groupLinesMax = GroupLimit.linesMax
    /// How long a batch should keep its lane and its items locked: one that took longer halves the lane's next batch.
    public var batchDurationMax = Duration.milliseconds(500)
    /// How long a batch of a lane should take while stores with little work are beside others in it: about so long they
    /// wait for their turn. With one worker it holds for all lanes.
    public var turnDurationMax = Duration.milliseconds(100)
    /// How long a batch waits for an item that another transaction has locked, before it skips the item's jobs.
    public var lockTimeout = Duration.milliseconds(200)
    /// How long a job without `expires_at` waits for stock.
    public var waitDurationMax = Duration.days(7)
    /// The most waiting jobs of an item that one statement makes ready.
    public var promoteWaitingJobsMax = 1_000
    /// The most due jobs that one statement makes ready.
    public var promoteDueJobsMax = 10_000

    // MARK: feeds

    /// Send `NOTIFY` with each batch, so that readers of the feeds can wait for it. Each such commit takes a lock of the
    /// whole server.
    public var feedHints = false

    // MARK: polling

    /// The longest time between two polls, and so the longest delay of a job after a wake-up that was missed.
    public var pollIntervalMax = Duration.seconds(1)
    /// How long work must be steady before producers may leave out wake-ups.
    public var awakeAfter = Duration.milliseconds(50)

    // MARK: timeouts

    /// After this the server cancels a statement: far above a batch, below `callTimeout`.
    public var statementTimeout = Duration.seconds(20)
    /// After this the server terminates a session that holds locks and does nothing, so that a stalled worker frees its
    /// lane.
    public var idleInTransactionTimeout = Duration.seconds(5)
    /// After this the client gives a call up, COMMIT included.
    public var callTimeout = Duration.seconds(30)
    /// How long a graceful shutdown may take before the batches are rolled back.
    public var stopTimeout = Duration.seconds(5)

    // MARK: connections

    /// How long one host may take to accept a connection, in whole seconds from 2 s on.
    public var connectTimeout = Duration.seconds(5)
    /// Silence on a TCP connection before the first keepalive probe. The keepalive settings hold for both sides.
    public var keepaliveIdle = Duration.seconds(5)
    /// Time between two keepalive probes.
    public var keepaliveInterval = Duration.seconds(1)
    /// Unanswered keepalive probes after which a connection is lost.
    public var keepaliveProbes = 3
    /// How long sent data may stay unacknowledged before a TCP connection is lost.
    public var unacknowledgedTimeout = Duration.seconds(8)
    /// The first pause before connecting again; it doubles at each attempt, with jitter.
    public var reconnectPauseMin = Duration.milliseconds(50)
    /// The longest pause before connecting again.
    public var reconnectPauseMax = Duration.milliseconds(500)
    /// How long a process that starts before its database waits for it.
    public var startTimeout = Duration.minutes(5)
    /// Do not start on a server that may lose commits in a power cut (`fsync`, `full_page_writes` or
    /// `synchronous_commit` off); otherwise log a warning.
    public var requireDurability = false

    // MARK: ledger checker

    /// Time between two checks of items that were just changed; 0 turns the ledger checker off.
    public var checkInterval = Duration.seconds(1)
    /// The most items of one check.
    public var checkItemsMax = 20
    /// The most changes of an item that one check follows back.
    public var checkChangesMax = 10
    /// Stop the workers when the ledger checker finds a violation; otherwise log it and go on.
    public var stopOnViolation = false

    // MARK: delivery

    /// Deliver notifications to subscriptions in this process.
    public var deliver = true
    /// The most messages that are sent at the same time.
    public var deliveriesAtOnce = 256
    /// The most messages that are sent to one subscription at the same time, those of an item one after the other.
    public var deliveriesAtOnceEach = 64
    /// How long a receiver may take to answer, and a program to end.
    public var deliveryTimeout = Duration.seconds(15)
    /// The longest time between two looks for new notifications; without a subscription up to 4 s.
    public var deliveryPollInterval = Duration.milliseconds(250)
    /// A subscription of which every attempt has failed for this long is disabled.
    public var disableAfter = Duration.days(5)
    /// How long deliveries are kept after their end.
    public var keepDeliveries = Duration.days(30)
    /// Send webhooks to private, loopback and link-local addresses too.
    public var allowPrivateTargets = false
    /// The folder of the programs that subscriptions may run; empty: none.
    public var commandFolder = ""
    /// The program that sends mail, called with `-t -i`.
    public var sendmail = "/usr/sbin/sendmail"
    /// The sender of mail; empty: the mailer's default.
    public var mailFrom = ""
    /// The link at the end of a mail; empty: none.
    public var dashboardURL = ""

    // MARK: maintenance

    /// Time between two rounds of maintenance.
    public var maintenanceInterval = Duration.seconds(10)
    /// Job ids that a partition of the results holds.
    public var jobsPerPartition = 5_000_000
    /// After this time results go to the next partition, whether the present one is full or not.
    public var partitionSpan = Duration.days(30)
    /// Partitions of the results kept ready ahead of the ids drawn.
    public var partitionsAhead = 2
    /// How long results are kept.
    public var keepResults = Duration.days(400)
    /// Make a partition of expired results a table of its own instead of dropping it.
    public var detachResults = false
    /// The folder where expired results are written before they are dropped; empty: none.
    public var exportFolder = ""
    /// How long used idempotency keys are kept.
    public var keepKeys = Duration.days(400)
    /// How long notifications are kept.
    public var keepNotifications = Duration.days(400)
    /// How long the records of what administrators did are kept.
    public var keepOperations = Duration.days(400)
    /// How long the records of imports are kept.
    public var keepImports = Duration.days(400)

    public init() {}
}

// MARK: sessions

extension WorkerSettings {
    /// The session settings of connections that run batches, or look for work.
    ///
    /// Each statement is planned once, not once a batch: planning takes longer than the work of a small batch. So a plan
    /// that was made while the queue was empty stays, and every statement of these sessions must leave the planner no
    /// choice: a locking clause or `OFFSET 0` keeps the order of a join, and a condition names one index.
    var batchSession: [(name: String, value: String)] { session + [("plan_cache_mode", "force_generic_plan")] }

    /// The session settings of the other connections of a worker process.
    var session: [(name: String, value: String)] {
        [
            // A batch's rows pass through the write-back in memory, not through a temporary file.
            ("work_mem", "64MB"),
            // A queue's table is empty at one moment and holds millions of rows at the next, so its statistics are
            // always wrong. Only the plans that are right at every size remain.
            ("enable_seqscan", "off"),
            ("enable_bitmapscan", "off"),
            ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"),
            ("enable_material", "off"),
            ("enable_memoize", "off"),
            ("max_parallel_workers_per_gather", "0"),
        ] + limits(lockTimeout: lockTimeout)
    }

    /// What bounds every wait of a session on the server's side.
    func limits(lockTimeout: Duration) -> [(name: String, value: String)] {
        [
            ("lock_timeout", "\(lockTimeout.milliseconds)ms"),
            ("statement_timeout", "\(statementTimeout.milliseconds)ms"),
            ("idle_in_transaction_session_timeout", "\(idleInTransactionTimeout.milliseconds)ms"),
        ] + keepalive.ofServer
    }

    private var keepalive: ConnectionSettings.Keepalive {
        var keepalive = ConnectionSettings.Keepalive()
        keepalive.idle = keepaliveIdle
        keepalive.interval = keepaliveInterval
        keepalive.probes = keepaliveProbes
        keepalive.unacknowledgedTimeout = unacknowledgedTimeout
        return keepalive
    }

    /// The connection of one service of a worker process.
    ///
    /// - Parameter role: what the service does; shown behind the program's name in `pg_stat_activity`.
    func connection(
        from base: ConnectionSettings, role: String, session: [(name: String, value: String)]
    ) -> ConnectionSettings {
        var settings = base
        settings.purpose = role
        settings.connectTimeout = connectTimeout
        settings.callTimeout = callTimeout
        settings.keepalive = keepalive
        settings.session = session
        return settings
    }
}
