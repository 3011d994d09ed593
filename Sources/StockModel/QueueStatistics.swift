/// The queue now, and what was finished within a span of time.
public struct QueueStatistics: Sendable, Hashable {
    /// The jobs that are queued now.
    public struct Backlog: Sendable, Hashable {
        /// Jobs that a worker may claim, those among them that are due and not promoted yet.
        public let ready: Int64
        /// Jobs that their producer deferred.
        public let scheduled: Int64
        /// Jobs that wait for stock.
        public let waiting: Int64
        /// Jobs whose last attempt failed.
        public let retrying: Int64
        /// Jobs of paused stores.
        public let paused: Int64
        /// Lanes that are paused.
        public let pausedLanes: Int64
        /// Stores that are paused.
        public let pausedStores: [String]
        /// Lanes with a ready job.
        public let lanes: Int64
        /// For how long the oldest ready job could have been worked: since it was enqueued or due, seconds.
        public let oldestReadySeconds: Double?

        package init(
            ready: Int64, scheduled: Int64, waiting: Int64, retrying: Int64, paused: Int64, pausedLanes: Int64,
            pausedStores: [String], lanes: Int64, oldestReadySeconds: Double?
        ) {
            self.ready = ready
            self.scheduled = scheduled
            self.waiting = waiting
            self.retrying = retrying
            self.paused = paused
            self.pausedLanes = pausedLanes
            self.pausedStores = pausedStores
            self.lanes = lanes
            self.oldestReadySeconds = oldestReadySeconds
        }
    }

    /// What the ledger checkers found, and no administrator has reconciled.
    public struct Violations: Sendable, Hashable {
        /// How many items have a violation.
        public let items: Int64
        /// The item of the last one.
        public let lastItem: ItemKey?
        /// How long ago that was found, seconds.
        public let lastSeconds: Double?

        package init(items: Int64, last: (item: ItemKey, seconds: Double)?) {
            (self.items, lastItem, lastSeconds) = (items, last?.item, last?.seconds)
        }
    }

    /// The span of time, seconds.
    public let windowSeconds: Int64
    /// The jobs in the queue.
    public let queue: Backlog
    /// All items.
    public let items: Int64
    /// Jobs finished within the span, by outcome. An outcome without a job is missing.
    public let outcomes: [Outcome: Int64]
    /// The same by code.
    public let codes: [ResultCode: Int64]
    /// Jobs finished within the span with a warning.
    public let warnings: Int64
    /// Notifications written within the span.
    public let notifications: [NotificationKind: Int64]
    /// Results of the last minute, without those of canceled jobs.
    public let finishedLastMinute: Int64
    /// Workers that are connected to the database, of all its queues.
    public let workers: Int64
    /// How old the result with the highest job id is, seconds; nil without a result. Canceled jobs do not count.
    public let lastResultSeconds: Double?
    /// Messages on their way to subscriptions.
    public let pendingDeliveries: Int64
    /// Messages that no attempt delivered.
    public let deadDeliveries: Int64
    public let violations: Violations

    package init(
        windowSeconds: Int64, queue: Backlog, items: Int64, outcomes: [Outcome: Int64], codes: [ResultCode: Int64],
        warnings: Int64, notifications: [NotificationKind: Int64], finishedLastMinute: Int64,
        workers: Int64, lastResultSeconds: Double?, pendingDeliveries: Int64, deadDeliveries: Int64,
        violations: Violations
    ) {
        self.violations = violations
        self.workers = workers
        self.lastResultSeconds = lastResultSeconds
        self.pendingDeliveries = pendingDeliveries
        self.deadDeliveries = deadDeliveries
        self.windowSeconds = windowSeconds
        self.queue = queue
        self.items = items
        self.outcomes = outcomes
        self.codes = codes
        self.warnings = warnings
        self.notifications = notifications
        self.finishedLastMinute = finishedLastMinute
    }
}
