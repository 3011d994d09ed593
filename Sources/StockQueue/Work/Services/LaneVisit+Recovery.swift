import StockDecision
import StockQueuePostgres

/// What a worker does after the database failed a batch. `recovery(from:)` chooses; this acts.
extension LaneVisit {
    mutating func recover(from error: PostgresError) throws(PostgresError) -> Step {
        let progress = batch.progress
        let fault = tuning.errors.explained(error.fault)
        if fault == .unexplained {
            tuning.errors.learnError(
                in: progress.decidedIDs, statement: error.statement,
                successes: worker.context.successes.count(of: error.statement))
        }
        let choice = recovery(
            from: fault, progress: progress, jobsMax: tuning.batchJobsMax, history: tuning.errors,
            skipsLockedItems: tuning.skipsLockedItems)
        switch choice {
        case .reconnect: throw error
        case .readKeys:
            tuning.holderMayBeStalledAt = nil
            tuning.learnKeys(metUsedKeys: true)
            return Step(disposition: .requeue)
        case .skipLockedJobs:
            tuning.holderMayBeStalledAt = nil
            tuning.learnLockedJobs(metAny: true)
            return Step(disposition: .requeue)
        case .skipLockedItems:
            tuning.skipsLockedItems = true
            return Step(disposition: .requeue)
        case .addPartitions: return try addPartitions(after: error)
        case .isolate(let jobsMax):
            tuning.isolate(jobsMax: jobsMax, skipped: progress.skipped)
            halved(progress, error)
            return Step(disposition: .requeue)
        case .setAside(let jobIDs):
            tuning.setAside(jobIDs, of: batch.subject, skipped: progress.skipped, after: error)
            halved(progress, error)
            return Step(disposition: .requeue)
        case .recordFailure(let jobIDs):
            tuning.skippedJobs = progress.skipped
            return try recordFailure(of: jobIDs, error)
        case .reconnectAndRecordFailure(let jobIDs):
            tuning.pendingFailure = (jobIDs, error)
            throw error
        case .shrink(let jobsMax):
            shrink(to: jobsMax, progress)
            return backOff(after: error)
        case .shrinkAndReconnect(let jobsMax):
            shrink(to: jobsMax, progress)
            throw error
        case .backOff:
            if fault == .jobData { tuning.skippedJobs = progress.skipped }
            if tuning.leavesAnythingOut { tuning.takeAllAgain() }
            return backOff(after: error)
        }
    }

    private mutating func shrink(to jobsMax: Int, _ progress: BatchProgress) {
        tuning.batchJobsMax = jobsMax
        if let unit = progress.onlyWorkUnit { tuning.errors.learnTimeout(of: unit) }
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

    mutating func recordFailure(of jobIDs: [Int64], _ error: PostgresError) throws(PostgresError) -> Step {
        do throws(PostgresError) {
            let outcome = try batch.recordFailure(of: jobIDs, lane: lane, error: error)
            if outcome == .laneLocked {
                // Perhaps by the session that the worker gave up: the server does not know that yet.
                tuning.pendingFailure = (jobIDs, error)
                worker.context.turns.foundUnavailable(lane)
                return Step(disposition: .cooldown(milliseconds: Self.lockedLaneCooldownMs))
            }
            tuning.errors.forget(jobIDs)
            if outcome == .unavailable {
                // Where one is locked, the others would fail again at once.
                return Step(disposition: .cooldown(milliseconds: Self.skippedJobsCooldownMs))
            }
            tuning.leaveOut(items: batch.claimedItems)
            worker.context.onEvent(
                .attemptFailed(
                    .init(
                        worker: worker.name, lane: Int(lane), jobID: jobIDs[0], jobs: jobIDs.count,
                        subject: batch.subject, isFinal: outcome == .failed, error: error)))
            return Step(disposition: .requeue)
        } catch {
            // Not even the failure can be recorded: log it, leave the jobs out of the next batch, and do not try again
            // at once.
            guard error.mayBelongToJob else { throw error }
            tuning.errors.forget(jobIDs)
            tuning.setAside(jobIDs, of: batch.subject, skipped: 0, after: error)
            return backOff(after: error)
        }
    }

    private func halved(_ progress: BatchProgress, _ error: PostgresError) {
        worker.context.onEvent(
            .batchHalved(
                .init(
                    worker: worker.name, lane: Int(lane), jobs: progress.decided, subject: batch.subject,
                    error: error)))
    }

    /// - Parameter subject: whose jobs were in the batch, if it is not the last one.
    mutating func backOff(after error: PostgresError, of subject: WorkEvent.Subject? = nil) -> Step {
        let pause = tuning.backoff.next()
        report.failed(error)
        worker.context.onEvent(
            .batchFailed(
                .init(
                    worker: worker.name, lane: Int(lane), subject: subject ?? batch.subject, error: error,
                    retryIn: .milliseconds(pause))))
        return Step(disposition: .cooldown(milliseconds: pause))
    }
}
