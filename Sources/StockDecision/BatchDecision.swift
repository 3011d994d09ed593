import StockModel

/// An item's balance and version, as a result row records them.
public struct BalanceAtVersion: Sendable, Hashable {
    public var balance: Balance
    public var version: Int64

    public init(balance: Balance, version: Int64) {
        self.balance = balance
        self.version = version
    }
}

/// What an applied job did to its item.
public struct AppliedChange: Sendable, Hashable {
    /// How much was applied; with the policy `partial` it may be less than the job's quantity.
    public var quantity: Int64
    public var before: Balance
    public var after: Balance
    /// The item's version after the change.
    public var version: Int64
    /// The job that made the version before this one.
    public var previousJobID: Int64?
    /// The alert level notified last, and the level after the change.
    public var levelBefore: AlertLevel
    public var levelAfter: AlertLevel

    /// Whether the result carries the warning `negative_stock`.
    public var warnsNegativeStock: Bool { after.available < 0 }
}

/// What a job's result says.
public enum JobOutcome: Sendable, Hashable {
    case applied(AppliedChange)
    case unchanged(ResultCode, BalanceAtVersion)
    /// - `BalanceAtVersion`: nil for an unknown item.
    /// - `firstJobID`: the job that used the idempotency key before; only where that is the reason.
    case rejected(ResultCode, BalanceAtVersion?, firstJobID: Int64?)
    case duplicate(ofJobID: Int64, BalanceAtVersion?)
}

extension JobOutcome {
    public var outcome: Outcome {
        switch self {
        case .applied: .applied
        case .unchanged: .unchanged
        case .rejected: .rejected
        case .duplicate: .duplicate
        }
    }

    public var code: ResultCode? {
        switch self {
        case .applied, .duplicate: nil
        case .unchanged(let code, _), .rejected(let code, _, _): code
        }
    }

    /// The change of an applied job.
    public var change: AppliedChange? {
        if case .applied(let change) = self { change } else { nil }
    }

    /// The item's balance before the job; nil for an unknown item.
    public var before: Balance? { change?.before ?? unmoved?.balance }

    /// The item's balance after the job; nil for an unknown item.
    public var after: Balance? { change?.after ?? unmoved?.balance }

    /// The item's version after the job; nil for an unknown item.
    public var version: Int64? { change?.version ?? unmoved?.version }

    /// The job that used the idempotency key before this one.
    public var firstJobID: Int64? {
        switch self {
        case .applied, .unchanged: nil
        case .rejected(_, _, let firstJobID): firstJobID
        case .duplicate(let firstJobID, _): firstJobID
        }
    }

    private var unmoved: BalanceAtVersion? {
        switch self {
        case .applied: nil
        case .unchanged(_, let snapshot): snapshot
        case .rejected(_, let snapshot, _), .duplicate(_, let snapshot): snapshot
        }
    }
}

/// What a batch does with one of its jobs.
public enum JobDecision: Sendable, Hashable {
    /// The job gets its result and leaves the queue.
    case finished(JobOutcome)
    /// The job, or its group, waits for stock.
    ///
    /// - `quantity`: how much this job needs; nil for a line of a group in which another line lacks stock.
    case waits(quantity: Int64?)
    /// The job stays as it is until a later batch, because a row that it needs is locked.
    case skipped
}

/// A change of an item's alert level that is to be notified.
public struct LevelChange: Sendable, Hashable {
    public var kind: NotificationKind
    public var job: JobIndex
    public var item: ItemIndex
    public var threshold: Int64?
    public var availableBefore: Int64
    public var availableAfter: Int64
    public var version: Int64
}

/// What a batch does.
public struct BatchDecision: Sendable {
    /// One for each claimed job, in the same order.
    public var jobs: [JobDecision] = []
    /// The items after the batch, by item index.
    public var items: [ItemState] = []
    /// The idempotency keys after the batch, by key index; nil for an unused key.
    public var keys: [KeyState?] = []
    /// The items whose balance changed, ascending.
    public var changedItems: [ItemIndex] = []
    /// The items of which some job raised the available stock: jobs that wait for them may go on.
    public var itemsWithMoreStock: [ItemIndex] = []
    public var levelChanges: [LevelChange] = []
    /// The jobs that use their idempotency keys.
    public var keyUsers: [JobIndex] = []
    /// The jobs that get a result, by outcome and code.
    public var outcomes = OutcomeCounts()
    public var finished = 0
    public var waiting = 0
    public var skipped = 0
}
