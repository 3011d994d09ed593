import StockModel

/// A job that the worker claimed, with indexes instead of texts.
public struct ClaimedJob: Sendable {
    public var id: Int64
    public var item: ItemIndex
    /// The group of the job: one store, one group id, one submission. Nil for a job without a group.
    public var group: GroupIndex?
    /// Nil for a job without an idempotency key.
    public var key: KeyIndex?
    public var action: StockAction
    public var onInsufficient: InsufficientStockPolicy
    /// 1 (first) to 4 (last).
    public var priority: Int16 = 2
    public var attempts: Int16 = 0
    public var maxAttempts: Int16 = 10
    public var quantity: Int64
    public var expectedAvailable: Int64?
    /// False: the job writes no notification.
    public var notify = true
    /// `expires_at` has passed by the database's clock.
    public var isExpired = false
    /// False for a deferred line, which is claimed only with its group.
    public var isReady = true
    /// False for a job that another transaction has locked: it is skipped, and with it every later job of its items.
    public var isClaimed = true

    public init(
        id: Int64, item: ItemIndex, action: StockAction, onInsufficient: InsufficientStockPolicy = .reject,
        quantity: Int64
    ) {
        self.id = id
        self.item = item
        self.action = action
        self.onInsufficient = onInsufficient
        self.quantity = quantity
    }
}

/// An item as the batch found it under its lock.
public struct ItemState: Sendable, Hashable {
    public enum Presence: Sendable, Hashable {
        case known
        /// There is no such item.
        case unknown
        /// Another transaction has locked the row, so the item's jobs are skipped in this batch.
        case locked
    }

    public var presence = Presence.unknown
    public var tracked = true
    public var balance = Balance()
    public var version: Int64 = 0
    /// The low-stock threshold; nil for none.
    public var threshold: Int64?
    /// The alert level that the last notification reported; nil before the first change, when the present level is the
    /// baseline.
    public var notifiedLevel: AlertLevel?
    /// The job that made `version`.
    public var lastJobID: Int64?

    /// An unknown item.
    public init() {}

    /// A known item.
    public init(onHand: Int64, allocated: Int64 = 0, threshold: Int64? = nil, tracked: Bool = true) {
        presence = .known
        balance = Balance(onHand: onHand, allocated: allocated)
        self.threshold = threshold
        self.tracked = tracked
    }

    /// The alert level of the present balance.
    public var level: AlertLevel {
        AlertLevel(available: balance.available, threshold: threshold, tracked: tracked)
    }

    /// What a result row says of the item; nil for an unknown one.
    var snapshot: BalanceAtVersion? {
        presence == .known ? BalanceAtVersion(balance: balance, version: version) : nil
    }
}

/// An idempotency key that a job has used, with the job's request.
public struct KeyState: Sendable, Hashable {
    /// What a job asks for: two jobs with the same key and the same request are duplicates.
    public struct Request: Sendable, Hashable {
        /// Nil for an item that no job of the batch names.
        public var item: ItemIndex?
        public var action: StockAction
        public var quantity: Int64
        public var onInsufficient: InsufficientStockPolicy
        public var expectedAvailable: Int64?

        public init(
            item: ItemIndex?, action: StockAction, quantity: Int64, onInsufficient: InsufficientStockPolicy,
            expectedAvailable: Int64?
        ) {
            self.item = item
            self.action = action
            self.quantity = quantity
            self.onInsufficient = onInsufficient
            self.expectedAvailable = expectedAvailable
        }

        init(of job: ClaimedJob) {
            self.init(
                item: job.item, action: job.action, quantity: job.quantity, onInsufficient: job.onInsufficient,
                expectedAvailable: job.expectedAvailable)
        }
    }

    /// The first job with the key that got an outcome.
    public var jobID: Int64
    public var request: Request

    public init(jobID: Int64, request: Request) {
        self.jobID = jobID
        self.request = request
    }
}

/// Calls `body` with the positions of each work unit: a group's lines, which are neighbors, or one job without a group.
package func forEachWorkUnit(of jobs: [ClaimedJob], _ body: (Range<Int>) -> Void) {
    var start = 0
    while start < jobs.count {
        var end = start + 1
        if let group = jobs[start].group {
            while end < jobs.count && jobs[end].group == group { end += 1 }
        }
        body(start..<end)
        start = end
    }
}
