import StockDecision
import StockQueueLocking
import StockQueuePostgres

/// Per-lane tuning that a worker carries from batch to batch. Advisory: correctness never depends on it.
struct LaneTuning {
    /// The most jobs to claim: halved while the database fails a batch and after one that took too long, doubled after
    /// a quick one.
    var batchJobsMax: Int
    /// The last batch found locked items, so the next one skips them instead of waiting.
    var skipsLockedItems = false
    /// Jobs skipped last time are still at the head of the lane; the next claim takes that many extra.
    var skippedJobs = 0
    /// For how many batches to read which idempotency keys were used before. Mostly none was, and reading costs more
    /// than to run a batch again now and then.
    var batchesThatReadKeys = 0
    /// For how many batches to skip locked jobs, and to ask whether there were any. Mostly no job is locked, and asking
    /// costs more than to run a batch again now and then.
    var batchesThatSkipLockedJobs = 0
    /// The errors of the lane since it worked without any.
    var errors = ErrorHistory()
    /// The error for which work units are set aside.
    private(set) var errorOfSetAside: PostgresError?
    /// Whose jobs were in the batch of that error.
    private(set) var subjectOfSetAside: WorkEvent.Subject?
    /// The next batch does as if the work units that are set aside were not there, because all others are of their
    /// items.
    private var triesBesideSetAside = false
    /// The items of the work unit of which an attempt was counted last: the next batch leaves them out. Their other jobs
    /// may fail as well, and each costs some transactions, for which the jobs of all other items would wait.
    private var failedItems: Set<UInt32> = []
    /// The most jobs of a batch beside those that are left out: doubled after such a batch, the least after an error.
    private var jobsBesideMax = LaneTuning.jobsBesideMin
    /// What the last batch beside those that were left out skipped: jobs of their items pile up at the head of the lane.
    private var skippedBeside = 0
    /// An attempt to be counted on the next connection, because the error closed the one before it.
    var pendingFailure: (jobIDs: [Int64], error: PostgresError)?
    /// Set while another worker has the lane; if it still has it at this time, it may be stalled.
    var holderMayBeStalledAt: Deadline?
    /// The lane's pause after an error that belongs to no job.
    var backoff = Backoff(firstMs: 50, longestMs: 5_000)

    init(batchJobsMax: Int) { self.batchJobsMax = batchJobsMax }

    /// Jobs beside those that are left out. Few at first, because one of them can be as bad.
    private static let jobsBesideMin = 64
    /// A slow batch is never made smaller than this.
    private static let slowBatchJobsMin = 500
    /// The most skipped jobs that a claim takes extra. It bounds the memory.
    private static let skippedJobsMax = 50_000
    /// After a batch with a key that was used before, so many read their keys.
    private static let batchesAfterUsedKeys = 100
    /// After a batch that met a locked job, so many skip such jobs.
    private static let batchesAfterLockedJobs = 100

    /// The most jobs that the next batch claims.
    ///
    /// - Parameter turn: the most that it may claim while stores with little work wait for their turn.
    func claimJobsMax(_ settings: WorkerSettings, turn: Int) -> Int {
        min(min(batchJobsMax, turn) + skippedJobs, settings.batchJobsMax + Self.skippedJobsMax)
    }

    /// Whether another worker may have the lane as well. After an error it may not: what this worker has learned of the
    /// jobs at fault, the other does not know.
    func mayBeHandedOver(_ settings: WorkerSettings) -> Bool {
        errors == ErrorHistory() && pendingFailure == nil && !leavesAnythingOut && !skipsLockedItems
            && batchJobsMax >= min(settings.batchJobsMax, Self.slowBatchJobsMin)
    }

    /// Learns from a committed batch.
    mutating func learn(from report: BatchReport, tookMs: Int, _ settings: WorkerSettings) {
        skippedJobs = report.skipped
        skipsLockedItems = report.skipped > 0
        backoff.reset()
        if batchJobsMax >= settings.batchJobsMax {
            errors.removeAll()
            (jobsBesideMax, skippedBeside) = (Self.jobsBesideMin, 0)
        }
        if tookMs > settings.batchDurationMax.milliseconds {
            // Half of the jobs that were claimed, not of the limit. A few jobs can be slow only because they waited for
            // a lock, so the limit does not fall below slowBatchJobsMin.
            batchJobsMax = max(
                min(batchJobsMax, report.claimed) / 2, min(batchJobsMax, Self.slowBatchJobsMin))
        } else if tookMs * 2 < settings.batchDurationMax.milliseconds {
            batchJobsMax = min(settings.batchJobsMax, batchJobsMax * 2)
        }
    }

    // MARK: work units and items left out

    /// Whether the next batch leaves anything out.
    var leavesAnythingOut: Bool { !errors.setAside.isEmpty || !failedItems.isEmpty }

    /// The jobs that the next batch leaves out.
    var leavesOut: BatchRequest.LeftOut {
        if !failedItems.isEmpty { return .skippingItems(failedItems) }
        if errors.setAside.isEmpty { return .none }
        let jobs = Set(errors.setAside.joined())
        return triesBesideSetAside ? .trying(jobs) : .skipping(jobs)
    }

    /// Leaves a work unit out of the next batches.
    ///
    /// - Parameter skipped: jobs that the last batch skipped.
    mutating func setAside(
        _ unit: [Int64], of subject: WorkEvent.Subject, skipped: Int, after error: PostgresError
    ) {
        failedItems.removeAll()
        errors.setAside(unit)
        (errorOfSetAside, subjectOfSetAside) = (error, subject)
        skippedJobs = max(skipped + unit.count, skippedBeside)
        batchJobsMax = jobsBesideMax
    }

    /// Leaves the items of a failed work unit out of the next batch.
    ///
    /// - Parameter items: their hashes.
    mutating func leaveOut(items: Set<UInt32>) {
        failedItems = items
        skippedJobs = max(skippedJobs, skippedBeside)
        batchJobsMax = jobsBesideMax
    }

    /// A batch failed, and the next one has fewer jobs.
    mutating func isolate(jobsMax: Int, skipped: Int) {
        skippedJobs = skipped
        batchJobsMax = jobsMax
        if leavesAnythingOut { jobsBesideMax = Self.jobsBesideMin }
    }

    /// Takes the first work unit of the lane again, alone.
    mutating func takeAllAgain() {
        errors.endSettingAside()
        (errorOfSetAside, subjectOfSetAside) = (nil, nil)
        triesBesideSetAside = false
        failedItems.removeAll()
        skippedJobs = 0
        batchJobsMax = 1
    }

    /// Learns from a batch that left jobs out.
    ///
    /// - Returns: whether the next batch leaves them out too, because this one has finished no other job.
    mutating func learnBesideLeftOut(_ report: BatchReport, _ settings: WorkerSettings) -> Bool {
        if report.finished > 0 {
            skippedBeside = report.skipped
            jobsBesideMax = min(jobsBesideMax * 2, max(settings.batchJobsMax, Self.jobsBesideMin))
            return false
        }
        if report.mayHaveMore && report.skipped < Self.skippedJobsMax {
            skippedJobs = min(2 * report.skipped, Self.skippedJobsMax)
            return true
        }
        if !failedItems.isEmpty { return false }
        triesBesideSetAside = true
        return true
    }

    // MARK: keys

    /// A batch met keys that were used before, or did not.
    mutating func learnKeys(metUsedKeys: Bool) {
        batchesThatReadKeys = metUsedKeys ? Self.batchesAfterUsedKeys : max(0, batchesThatReadKeys - 1)
    }

    // MARK: locked jobs

    /// A batch met jobs that another transaction has locked, or did not. One that found no ready job says nothing: locked
    /// ones may be all that there is.
    mutating func learnLockedJobs(metAny: Bool) {
        batchesThatSkipLockedJobs = metAny ? Self.batchesAfterLockedJobs : max(0, batchesThatSkipLockedJobs - 1)
    }
}

/// A worker's tuning of all lanes; it outlives the worker's connection.
final class LaneTunings: Sendable {
    let lanes: Mutex<[LaneTuning]>

    init(_ settings: WorkerSettings) {
        lanes = Mutex(
            [LaneTuning](repeating: LaneTuning(batchJobsMax: settings.batchJobsMax), count: LaneQueue.laneCount))
    }
}
