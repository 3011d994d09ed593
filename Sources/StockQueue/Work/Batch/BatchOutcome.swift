import StockDecision
import StockModel

/// What a worker asks a batch to do.
struct BatchRequest {
    var lane: Int16
    /// The most jobs to claim. The rest of a group that is cut is added.
    var jobsMax: Int
    /// What to claim of each store, and the low-water marks: nothing is claimed at or below them.
    var marks: LowWaterMarks.View
    /// Skip the jobs that another transaction has locked; otherwise one of them ends the batch.
    var skipsLockedJobs: Bool
    /// Skip the jobs of items that another transaction has locked, instead of waiting for the locks.
    var skipsLockedItems: Bool
    /// Read which idempotency keys were used before. Otherwise all are taken for unused, and where one is not the batch
    /// is rolled back.
    var readsKeys: Bool
    /// Jobs that the batch leaves out: see `ErrorHistory` and `LaneTuning`.
    var leavesOut = LeftOut.none
    /// Calls of this process that the batch decides behind the jobs of the table.
    var immediate: ImmediateWork?
    /// The jobs are claimed already: see `Batch.claimAhead`.
    var isClaimed = false
    /// Offers the lane to another worker, where that may claim ahead.
    var handover: LaneHandover?

    enum LeftOut {
        case none
        /// The jobs are skipped, as if another transaction had locked them, and with them later jobs of their items.
        case skipping(Set<Int64>)
        /// The jobs of the items with these hashes are skipped in the same way.
        case skippingItems(Set<UInt32>)
        /// The batch does as if the jobs were not there. That is out of order, so it is rolled back.
        case trying(Set<Int64>)

        var isNothing: Bool { if case .none = self { true } else { false } }
    }
}

/// What became of a batch.
enum BatchOutcome {
    /// Another worker has the lane, or the lane is paused. Nothing was done.
    case laneUnavailable
    /// The lane has no ready job above the marks. Nothing was done.
    case nothingReady(epoch: Int64)
    /// An administrator's change has raised the lane's epoch, so the marks may hide ready jobs. Nothing was done.
    case staleMarks(epoch: Int64)
    /// Passed transactions of the marks have ended, so the marks may hide their jobs. Nothing was done.
    case transactionsEnded([TransactionID])
    case committed(BatchReport)
    /// Everything was written, by these statements, and rolled back.
    case tried(statements: [String])
}

/// What a committed batch did.
struct BatchReport {
    /// The lane's epoch.
    var epoch: Int64
    /// Jobs claimed, with the whole of their groups, without those of paused stores.
    var claimed: Int
    /// The jobs with a result, by outcome and code.
    var outcomes: OutcomeCounts
    var finished: Int
    var waiting: Int
    /// Jobs that stay for a later batch, because a row that they need is locked.
    var skipped: Int
    var notifications: Int
    /// How long the jobs with a result took since they were enqueued.
    var latencies: JobLatencies
    /// Jobs of paused stores, taken out of the ready index until those are resumed.
    var paused = 0
    /// Waiting jobs that became ready, since this batch raised the stock they wait for.
    var promotions: [Promotion] = []
    /// The claim has skipped jobs that another transaction has locked.
    var metLockedJobs = false
    /// The keys were read, and some were used before.
    var metUsedKeys = false
    /// What was claimed of each strand.
    var strands: [ClaimedStrand]
    /// The claim was as large as allowed.
    var isFull = false
    /// The claim was as large as allowed, or what it took of some store, so there may be more.
    var mayHaveMore = false
    /// The statements that the batch committed.
    var statements: [String]

    /// Nothing was finished, deferred or paused: all jobs were skipped.
    var skippedAll: Bool { finished == 0 && waiting == 0 && paused == 0 }
}
