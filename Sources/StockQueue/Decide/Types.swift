import StockQueuePostgres

/// A claimed job as the decision sees it: integers only. Texts stay with the batch that claimed it.
public struct ClaimedJob: Sendable {
    public var id: Int64
    /// Where the row stands; good while the claim's lock is held.
    public var place: TupleID
    /// Number of the item in the batch's stock table.
    public var item: Int32
    /// Number of the group in the batch; -1 for a job that stands alone.
    public var group: Int32 = -1
    /// Number of the idempotency key in the batch; -1 for a job without one.
    public var key: Int32 = -1
    /// When the transaction that enqueued it began, in microseconds since 2000; 0 for a job that stands alone.
    public var enqueuedAt: Int64 = 0
    public var action: StockAction
    public var onInsufficient: InsufficientStockPolicy
    public var priority: Int16 = 2
    public var attempts: Int16 = 0
    public var maxAttempts: Int16 = 10
    public var quantity: Int64
    public var expectedAvailable: Int64?
    public var notify = true
    /// `expires_at` has passed by the database's clock.
    public var isExpired = false
    /// The row is ready. A deferred line is claimed only along with its group.
    public var isReady = true
    /// False for a job that somebody else holds: it is left, and takes with it whatever comes after it on its items.
    public var isLocked = true

    public init(
        id: Int64, place: TupleID = TupleID(block: 0, line: 0), item: Int32, action: StockAction,
        onInsufficient: InsufficientStockPolicy = .reject, quantity: Int64
    ) {
        self.id = id
        self.place = place
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
        /// Somebody else holds the row; its jobs are left for the next round.
        case held
    }

    public var presence = Presence.unknown
    public var place = TupleID(block: 0, line: 0)
    public var tracked = true
    public var onHand: Int64 = 0
    public var allocated: Int64 = 0
    public var version: Int64 = 0
    public var threshold: Int64?
    /// The level last told; nil while nothing was, so that the level at the first change is the baseline.
    public var notifiedLevel: AlertLevel?
    /// The job that made `version`.
    public var lastJobID: Int64?

    public init() {}

    public init(onHand: Int64, allocated: Int64 = 0, threshold: Int64? = nil, tracked: Bool = true) {
        presence = .known
        self.onHand = onHand
        self.allocated = allocated
        self.threshold = threshold
        self.tracked = tracked
    }

    public var available: Int64 { onHand - allocated }

    /// Where the stock stands now.
    public var level: AlertLevel {
        if !tracked { return .ok }
        if available <= 0 { return .out }
        if let threshold, available <= threshold { return .low }
        return .ok
    }
}

/// An idempotency key as the batch found it: free, or used up by a job and its request.
public struct KeyState: Sendable, Hashable {
    /// What a job asks for; two jobs with the same key and the same request are one.
    public struct Request: Sendable, Hashable {
        /// Number of the item in the batch; -1 for one that no job of the batch names.
        public var item: Int32
        public var action: StockAction
        public var quantity: Int64
        public var onInsufficient: InsufficientStockPolicy
        public var expectedAvailable: Int64?

        public init(
            item: Int32, action: StockAction, quantity: Int64, onInsufficient: InsufficientStockPolicy,
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

    /// The job that took its outcome first.
    public var jobID: Int64
    public var request: Request

    public init(jobID: Int64, request: Request) {
        self.jobID = jobID
        self.request = request
    }
}

/// What the decision says of one job.
public struct JobDecision: Sendable, Hashable {
    public enum Fate: Sendable, Hashable {
        /// The job gets its result now.
        case result
        /// The job, or its group, waits for stock.
        case waits
        /// The job stays as it is until the next round.
        case left
    }

    public var fate: Fate
    public var outcome: Outcome
    public var code: ResultCode?
    /// The one warning there is, `negative_stock`.
    public var warnsNegative = false
    public var appliedQuantity: Int64 = 0
    /// Whether the fields about stock mean anything; not so for an unknown item.
    public var hasStock = true
    public var onHandBefore: Int64 = 0
    public var onHandAfter: Int64 = 0
    public var allocatedBefore: Int64 = 0
    public var allocatedAfter: Int64 = 0
    public var version: Int64 = 0
    /// Levels are told for applied jobs only.
    public var levelBefore: AlertLevel?
    public var levelAfter: AlertLevel?
    public var previousJobID: Int64?
    /// Of a duplicate or a mismatch: the job that used the key up.
    public var firstJobID: Int64?
    /// For a line that lacks stock and waits: how much it needs.
    public var waitingQuantity: Int64?

    init(_ fate: Fate, _ outcome: Outcome, _ code: ResultCode?, stock: ItemState) {
        self.fate = fate
        self.outcome = outcome
        self.code = code
        hasStock = stock.presence == .known
        guard hasStock else { return }
        onHandBefore = stock.onHand
        onHandAfter = stock.onHand
        allocatedBefore = stock.allocated
        allocatedAfter = stock.allocated
        version = stock.version
    }
}

/// A change of an item's alert level that is to be told.
public struct LevelChange: Sendable, Hashable {
    public var kind: NotificationKind
    /// Place of the job among the claimed ones.
    public var job: Int32
    public var item: Int32
    public var threshold: Int64?
    public var availableBefore: Int64
    public var availableAfter: Int64
    public var version: Int64
}

/// What is to be done about a batch.
public struct BatchDecision: Sendable {
    /// One for each claimed job, in the same order.
    public var decisions: [JobDecision] = []
    /// The stock after the batch, by item number.
    public var stock: [ItemState] = []
    /// The idempotency keys after the batch, by key number; nil for one that is free.
    public var keys: [KeyState?] = []
    /// The items whose stock changed, by number, ascending.
    public var changedItems: [Int32] = []
    /// The items that had more available after some job than before it: what waits for them may go on.
    public var itemsWithMoreStock: [Int32] = []
    public var levelChanges: [LevelChange] = []
    /// The jobs that use up their idempotency keys, by place among the claimed ones.
    public var keyUsers: [Int32] = []
    /// How many jobs get a result, wait, and are left.
    public var finished = 0
    public var waiting = 0
    public var left = 0
}
