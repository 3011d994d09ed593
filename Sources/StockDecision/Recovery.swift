/// What kind of error the database, or the connection to it, reported for a batch. The batch is rolled back.
public enum DatabaseFault: Sendable, Hashable, CaseIterable {
    /// The data of a job caused the error: SQLSTATE class 22 (data exception) or 23 (integrity constraint violation).
    case jobData
    /// An error that the server may have, and a job as well, for instance through a trigger of the user's: an exception
    /// that was raised, a missing table. Other batches show whose it is.
    case unexplained
    /// An idempotency key that the batch took for unused was used before.
    case keyConflict
    /// An item's row stayed locked by another transaction for longer than `lock_timeout`.
    case lockTimeout
    /// Another transaction has locked a job, or their table, and the batch did not skip locked jobs.
    case lockedJob
    /// The results lack a partition for a job id.
    case missingPartition
    /// The server canceled a statement that took too long; the connection can be used.
    case statementTimeout
    /// The client gave a call up; the connection is closed.
    case callTimeout
    /// The connection is lost, or its server takes no writes.
    case connection
    /// Another transaction was in the way, as the SQLSTATE says: a deadlock, a serialization failure, an object in use.
    /// `ErrorHistory.explained` doubts that when it does not end.
    case otherTransaction
    /// Not caused by the jobs or the connection, whatever other batches do: a full disk, no memory.
    case server
}

/// How far a batch came before its error.
public struct BatchProgress: Sendable, Hashable {
    /// Jobs that the batch claimed, with the whole of their groups.
    public var claimed = 0
    /// Jobs that the batch skipped. They are at the head of the lane and have nothing to do with the error.
    public var skipped = 0
    /// The decided jobs, in order of work; empty for a batch that was not decided.
    public var decidedIDs: [Int64] = []
    /// The decided jobs, or the claimed ones of a batch that was not decided, where they are a single work unit; nil
    /// where they are several, or none. Of a group, a batch that was not decided may have claimed only some lines.
    public var onlyWorkUnit: [Int64]?
    /// Everything was written; the error came from COMMIT.
    public var isCommitting = false

    public init(
        claimed: Int = 0, skipped: Int = 0, decidedIDs: [Int64] = [], onlyWorkUnit: [Int64]? = nil,
        isCommitting: Bool = false
    ) {
        self.claimed = claimed
        self.skipped = skipped
        self.decidedIDs = onlyWorkUnit ?? decidedIDs
        self.onlyWorkUnit = onlyWorkUnit
        self.isCommitting = isCommitting
    }

    /// The progress of a batch that was decided.
    public init(_ jobs: [ClaimedJob], _ decision: BatchDecision) {
        claimed = jobs.count
        skipped = decision.skipped
        let decided = jobs.indices.filter { decision.jobs[$0] != .skipped }.map { jobs[$0] }
        decidedIDs = decided.map(\.id)
        if Self.isOneUnit(decided) { onlyWorkUnit = decidedIDs }
    }

    /// The progress of a batch that claimed these jobs and was not decided.
    public init(undecided jobs: [ClaimedJob]) {
        claimed = jobs.count
        if Self.isOneUnit(jobs) { onlyWorkUnit = jobs.map(\.id) }
    }

    private static func isOneUnit(_ jobs: [ClaimedJob]) -> Bool {
        guard let first = jobs.first else { return false }
        return jobs.allSatisfy { $0.id == first.id || ($0.group != nil && $0.group == first.group) }
    }

    /// Jobs that the batch decided.
    public var decided: Int { claimed - skipped }
}

/// What a worker does after an error.
public enum Recovery: Sendable, Hashable {
    /// Connect again.
    case reconnect
    /// Run the batch again, reading first which keys were used.
    case readKeys
    /// Run the batch again and skip locked jobs.
    case skipLockedJobs
    /// Run the batch again and skip the jobs of locked items instead of waiting for them.
    case skipLockedItems
    /// Add the missing partitions of the results, then run the batch again.
    case addPartitions
    /// Run a smaller batch at once, to find the work unit that causes the error.
    case isolate(jobsMax: Int)
    /// Run a batch without this work unit at once, to see whether the error is its own.
    case setAside(jobIDs: [Int64])
    /// Count an attempt against this work unit.
    case recordFailure(jobIDs: [Int64])
    /// Connect again, and count an attempt against this work unit.
    case reconnectAndRecordFailure(jobIDs: [Int64])
    /// Make the next batch smaller, and pause the lane for a while.
    case shrink(jobsMax: Int)
    /// Make the next batch smaller, and connect again.
    case shrinkAndReconnect(jobsMax: Int)
    /// Pause the lane for a while, longer after each error.
    case backOff
}

/// Chooses what a worker does after an error.
///
/// - An error that a job's data causes halves the batch until the work unit at fault is alone.
/// - An unexplained error does so too, and so does one that another transaction seems to cause again and again. The work unit that is then alone is at fault if the same statement has succeeded
///   for others since. Where nothing else was tried, the next batch leaves the unit out. What fails for all of them is
///   the server's, and is not counted.
/// - A work unit that times out twice when it is alone takes too long: the server has answered in between.
///
/// Nothing else is ever counted against a job.
///
/// - Parameters:
///   - progress: how far the batch came.
///   - jobsMax: the most jobs that the batch was allowed to claim.
///   - history: the lane's errors, this one among them.
///   - skipsLockedItems: the batch did not wait for locked items.
public func recovery(
    from fault: DatabaseFault, progress: BatchProgress, jobsMax: Int, history: ErrorHistory = ErrorHistory(),
    skipsLockedItems: Bool = false
) -> Recovery {
    switch fault {
    case .jobData:
        if let unit = progress.onlyWorkUnit { return .recordFailure(jobIDs: unit) }
        // An error before anything was claimed belongs to no job that could be found.
        return progress.decided > 1 ? .isolate(jobsMax: half(of: min(jobsMax, progress.decided))) : .backOff
    case .unexplained: return recoveryFromUnexplained(progress, jobsMax, history)
    case .keyConflict: return .readKeys
    case .lockedJob: return .skipLockedJobs
    // Some other lock: skipping items again would not help.
    case .lockTimeout: return skipsLockedItems ? .backOff : .skipLockedItems
    case .missingPartition: return .addPartitions
    case .statementTimeout:
        if let unit = progress.onlyWorkUnit, unit == history.timedOut { return .recordFailure(jobIDs: unit) }
        return .shrink(jobsMax: smallerBatch(progress, jobsMax))
    case .callTimeout:
        // A COMMIT that hangs waits for the server's disk or for a standby.
        if let unit = progress.onlyWorkUnit, unit == history.timedOut, !progress.isCommitting {
            return .reconnectAndRecordFailure(jobIDs: unit)
        }
        return .shrinkAndReconnect(jobsMax: smallerBatch(progress, jobsMax))
    case .connection: return .reconnect
    case .otherTransaction, .server: return .backOff
    }
}

private func recoveryFromUnexplained(
    _ progress: BatchProgress, _ jobsMax: Int, _ history: ErrorHistory
) -> Recovery {
    // What fails before anything was decided only reads, and fails for every batch.
    if progress.decidedIDs.isEmpty { return .backOff }
    guard let unit = progress.onlyWorkUnit else {
        return .isolate(jobsMax: half(of: min(jobsMax, progress.decided)))
    }
    if history.succeedsWithout(unit) { return .recordFailure(jobIDs: unit) }
    return history.setAside.count < ErrorHistory.setAsideMax ? .setAside(jobIDs: unit) : .backOff
}

private func smallerBatch(_ progress: BatchProgress, _ jobsMax: Int) -> Int {
    half(of: progress.claimed > 0 ? min(jobsMax, progress.claimed) : jobsMax)
}

private func half(of jobs: Int) -> Int { max(1, jobs / 2) }
