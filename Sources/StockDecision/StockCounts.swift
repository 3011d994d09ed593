import StockModel

/// What a batch knows of the time of its stock counts: `set` jobs that belong to the moment at which they were taken.
/// Empty for a batch without such a job.
public struct StockCounts: Sendable {
    /// A count, and what the ledger says of the time since it was taken.
    public struct Count: Sendable, Hashable {
        /// Microseconds since 2000.
        public var countedAt: Int64
        /// How much the applied jobs of a later moment have changed on_hand.
        public var changeSince: Int64
        /// A later count has changed the stock, or the ledger does not reach back to the count.
        public var isOutdated: Bool

        public init(countedAt: Int64, changeSince: Int64 = 0, isOutdated: Bool = false) {
            self.countedAt = countedAt
            self.changeSince = changeSince
            self.isOutdated = isOutdated
        }
    }

    /// By job id.
    public var counts: [Int64: Count] = [:]
    /// The moments of the batch's jobs of counted items, by job id, in microseconds since 2000.
    public var moments: [Int64: Int64] = [:]

    public init() {}

    public var isEmpty: Bool { counts.isEmpty }
}

/// The stock that a `set` job leaves.
enum CountedStock: Hashable {
    case onHand(Int64)
    /// A later count has been applied.
    case outdated
    /// Beyond 64 bits.
    case outOfRange
}

/// The changes of stock that a batch decides, so far as its stock counts need them.
struct CountedChanges {
    private let counts: StockCounts
    private var changes: [ItemIndex: [Change]] = [:]

    private struct Change {
        /// The item's version after it.
        var version: Int64
        var moment: Int64
        var onHand: Int64
        var isCount: Bool
    }

    init(_ counts: StockCounts) { self.counts = counts }

    /// The quantity of a `set` job is the stock at its moment: what jobs of a later moment changed is added. A plain one
    /// belongs to the moment at which it is applied.
    func stock(of job: ClaimedJob) -> CountedStock {
        guard let count = counts.counts[job.id] else { return .onHand(job.quantity) }
        if count.isOutdated { return .outdated }
        var (stock, hasOverflowed) = job.quantity.addingReportingOverflow(count.changeSince)
        for change in changes[job.item] ?? [] {
            if change.isCount {
                if change.moment > count.countedAt { return .outdated }
            } else if change.moment >= count.countedAt {
                let sum = stock.addingReportingOverflow(change.onHand)
                stock = sum.partialValue
                hasOverflowed = hasOverflowed || sum.overflow
            }
        }
        return hasOverflowed ? .outOfRange : .onHand(stock)
    }

    /// Notes what a job has changed.
    mutating func add(_ job: ClaimedJob, onHand: Int64, version: Int64) {
        if counts.isEmpty { return }
        guard let moment = counts.moments[job.id] else { return }
        changes[job.item, default: []].append(
            Change(version: version, moment: moment, onHand: onHand, isCount: job.action == .set))
    }

    /// Forgets the changes behind a version.
    mutating func rollBack(_ item: ItemIndex, to version: Int64) {
        changes[item]?.removeAll { $0.version > version }
    }
}
