import StockDecision
import StockQueuePostgres

/// What a worker does after the database failed a batch. `recovery(from:)` chooses; this acts.
extension LaneVisit {
    mutating func recover(from error: PostgresError) throws(PostgresError) -> Step {
        let progress = batch.progress
        switch recovery(from: error.fault, progress: progress, jobsMax: tuning.batchJobsMax) {
        case .reconnect: throw error
        case .readKeys:
            tuning.holderMayBeStalledAt = nil
            tuning.learnKeys(metUsedKeys: true)
            return Step(disposition: .requeue)
        case .skipLockedItems:
            tuning.skipsLockedItems = true
            return Step(disposition: .requeue)
        case .addPartitions: return try addPartitions(after: error)
        case .isolate(let jobsMax):
            tuning.skippedJobs = progress.skipped
            tuning.batchJobsMax = jobsMax
            worker.context.onEvent(
                .batchHalved(
                    .init(worker: worker.name, lane: Int(lane), jobs: progress.decided, error: error)))
            return Step(disposition: .requeue)
        case .recordFailure(let jobIDs):
            tuning.skippedJobs = progress.skipped
            return try recordFailure(of: jobIDs, error)
        case .shrink(let jobsMax):
            tuning.batchJobsMax = jobsMax
            return backOff(after: error)
        case .shrinkAndReconnect(let jobsMax):
            tuning.batchJobsMax = jobsMax
            throw error
        case .backOff:
            if error.fault == .jobData { tuning.skippedJobs = progress.skipped }
            return backOff(after: error)
        }
    }

    private mutating func addPartitions(after missing: PostgresError) throws(PostgresError) -> Step {
        do throws(PostgresError) {
            let added = try Maintenance.addPartitions(batch.connection, worker.context)
            // Nothing to add, and yet a partition is missing: an administrator detached it. Running again at once would
            // not help.
            if added == 0 { return backOff(after: missing) }
            worker.context.onEvent(.partitionsAdded(.init(count: added)))
            return Step(disposition: .requeue)
        } catch {
            // Another worker is adding them, or this role may not.
            if error.isConnectionFatal { throw error }
            return backOff(after: error)
        }
    }

    private mutating func recordFailure(of jobIDs: [Int64], _ error: PostgresError) throws(PostgresError) -> Step {
        do throws(PostgresError) {
            let outcome = try batch.recordFailure(of: jobIDs, lane: lane, error: error)
            if outcome != .unavailable {
                worker.context.onEvent(
                    .attemptFailed(
                        .init(
                            worker: worker.name, lane: Int(lane), jobID: jobIDs[0], isFinal: outcome == .failed,
                            error: error)))
            }
            return Step(disposition: .requeue)
        } catch {
            // Not even the failure can be recorded: log it, and do not try again at once.
            guard error.fault == .jobData else { throw error }
            return backOff(after: error)
        }
    }

    private mutating func backOff(after error: PostgresError) -> Step {
        let pause = tuning.backoff.next()
        report.failed(error)
        worker.context.onEvent(
            .batchFailed(.init(worker: worker.name, lane: Int(lane), error: error, retryIn: .milliseconds(pause))))
        return Step(disposition: .cooldown(milliseconds: pause))
    }
}
