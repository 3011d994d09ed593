import StockDecision
import StockModel
import StockQueuePostgres

/// What an import would do with one line of an items file.
public struct ItemPreview: Sendable {
    /// What would become of the item itself.
    public enum Change: String, Sendable {
        case created, changed, unchanged
    }

    public let line: Int
    public let item: ItemRequest
    public let change: Change
    /// The stock now; nil for a new item.
    public let onHand: Int64?
    /// The stock that a stock count would leave; nil without one.
    public let onHandAfter: Int64?
    /// What would become of the stock count; nil without one.
    public let outcome: Outcome?
    public let code: ResultCode?
    /// Queued jobs of the item, which come before the count.
    public let queuedJobs: Int
    /// The threshold now; nil for none, for that of the store, and for a new item.
    public let threshold: Int64?
    /// The line has another threshold.
    public let changesThreshold: Bool
    private let countsStock: Bool
    private let isTracked: Bool
}

extension ItemPreview {
    /// Decides a stock count by the workers' own function.
    ///
    /// - Parameters:
    ///   - countsStock: the line's stock is that of a count.
    ///   - countedAt: when it was taken, in microseconds since 2000; nil for now.
    init(
        line: Int, _ item: ItemRequest, _ found: PreviewItemsStatement.Found, countsStock: Bool, countedAt: Int64?
    ) {
        self.line = line
        self.item = item
        self.countsStock = countsStock
        (queuedJobs, threshold, changesThreshold) = (found.queued, found.threshold, found.changesThreshold)
        isTracked = found.state?.tracked == true
        onHand = found.state?.balance.onHand
        change = found.state == nil ? .created : found.isChanged ? .changed : .unchanged
        guard countsStock, let state = found.state, state.tracked else {
            (onHandAfter, outcome, code) = (nil, nil, nil)
            return
        }
        var counts = StockCounts()
        if let countedAt {
            counts.counts[1] = .init(
                countedAt: countedAt, changeSince: found.changeSince, isOutdated: found.isOutdated)
        }
        let job = ClaimedJob(id: 1, item: ItemIndex(0), action: .set, quantity: item.onHand)
        let decision = decide([job], items: [state], counts: counts)
        guard case .finished(let result) = decision.jobs[0] else {
            preconditionFailure("a stock count neither waits nor is skipped")
        }
        (outcome, code, onHandAfter) = (result.outcome, result.code, result.after?.onHand)
    }

    /// The item has another stock than the line, which is not that of a count and changes nothing.
    public var differsInStock: Bool { !countsStock && isTracked && onHand.map { $0 != item.onHand } == true }

    /// Something would be another than it is, or a count would be rejected.
    public var isDifference: Bool {
        change != .unchanged || outcome == .applied || outcome == .rejected || differsInStock
    }
}
