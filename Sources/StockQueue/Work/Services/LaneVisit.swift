import StockDecision
import StockModel
import StockQueuePostgres

/// A worker's visit to one lane: it runs batches and acts on what became of them.
struct LaneVisit {
    let lane: Int16
    let worker: Worker
    let batch: Batch
    let terminateStalledSessions: TerminateStalledSessionsStatement
    var tuning: LaneTuning
    let report: ServiceReport
    /// False while another worker has the lane.
    var ownsLane = true

    /// What one batch means for the lane.
    struct Step {
        var disposition: LaneQueue.Disposition
        /// The batch changed something, so other lanes may have work by now.
        var didWork = false
        /// The lane is another worker's now.
        var isHandedOver = false

        /// The batch was as large as allowed, and the lane has more.
        var hasMore: Bool {
            if case .requeue = disposition { didWork } else { false }
        }
    }

    private var context: ServiceContext { worker.context }

    /// Cooldown of a lane that another worker has.
    static let lockedLaneCooldownMs = 20
    /// The most jobs of a batch of the express worker: what it finds may have become more since.
    private static let expressJobsMax = 500
    /// Cooldown of a lane of which all jobs were skipped: claiming them again at once would be of no use.
    static let skippedJobsCooldownMs = 50

    mutating func runBatch() throws(PostgresError) -> Step {
        if let failure = tuning.pendingFailure {
            tuning.pendingFailure = nil
            return try recordFailure(of: failure.jobIDs, failure.error)
        }
        let immediate = immediateWork()
        var request = self.request(callers: immediate?.stores ?? [])
        request.immediate = immediate
        if request.marks.stores.isEmpty { return Step(disposition: .idle) }
        return try run(request)
    }

    /// - Parameter callers: the stores of the calls that the batch is to decide.
    private func request(callers: Set<StoreInLane> = []) -> BatchRequest {
        let turn = context.turns.jobsMax(of: lane, for: context.settings.turnDurationMax)
        let jobsMax = tuning.claimJobsMax(context.settings, turn: turn)
        let marks = context.marks.view(
            of: lane,
            context.turns.shares(of: lane, jobsMax: jobsMax, skipped: tuning.skippedJobs, callers: callers))
        var request = BatchRequest(
            lane: lane, jobsMax: jobsMax, marks: marks, skipsLockedJobs: tuning.batchesThatSkipLockedJobs > 0,
            skipsLockedItems: tuning.skipsLockedItems, readsKeys: tuning.batchesThatReadKeys > 0,
            leavesOut: tuning.leavesOut)
        if worker.isExpress {
            // The shares stay those of a whole batch, so that a store counts as deep no sooner.
            request.jobsMax = min(jobsMax, Self.expressJobsMax)
            request.skipsLockedJobs = true
        } else if tuning.mayBeHandedOver(context.settings) {
            request.handover = LaneHandover(lane: lane, marks: marks, queue: context.laneQueue)
        }
        return request
    }

    private mutating func run(_ request: BatchRequest) throws(PostgresError) -> Step {
        // In a batch that was not committed nothing has happened.
        defer {
            request.immediate?.decline()
            _ = request.handover?.end(isCommitted: false)
        }
        let started = ContinuousClock.now
        var tuples = context.tupleCache.remove(lane)
        let outcome: BatchOutcome
        do throws(PostgresError) {
            outcome = try batch.run(request, tuples: &tuples)
        } catch {
            if let immediate = request.immediate, immediate.isInBatch {
                batch.end(immediate, after: error)
                if error.isConnectionFatal { throw error }
                // The same jobs without them show whose the error is.
                return Step(disposition: .requeue)
            }
            return try recover(from: error)
        }
        context.tupleCache.store(tuples, of: lane)
        switch outcome {
        case .laneUnavailable:
            context.turns.foundUnavailable(lane)
            try watchLockedLane()
            return Step(disposition: .cooldown(milliseconds: Self.lockedLaneCooldownMs))
        case .staleMarks(let epoch):
            sawLane(epoch, request)
            return Step(disposition: .requeue)
        case .transactionsEnded(let transactions):
            context.marks.end(transactions)
            return Step(disposition: .requeue)
        case .nothingReady(let epoch):
            sawLane(epoch, request)
            context.turns.served(request.marks.stores.map(\.share), [], isFull: false)
            tuning.learnKeys(metUsedKeys: false)
            tuning.errors.removeAll()
            // The claim may have been for stores with little work alone.
            return Step(disposition: context.turns.hasWork(lane) ? .requeue : .idle)
        case .committed(let report):
            sawLane(report.epoch, request)
            let step = finish(report, request, started.duration(to: .now))
            guard let handover = request.handover else { return step }
            return try handOver(handover, step)
        case .tried(let statements): return finishTrial(statements)
        }
    }

    // MARK: handing a lane over

    /// The batch is committed: the worker that has claimed what comes behind it has the lane now. Stores with few jobs
    /// that came in since do not wait for that claim: their batch comes first, and it is short.
    ///
    /// - Parameter step: what the batch means for the lane.
    private mutating func handOver(_ handover: LaneHandover, _ step: Step) throws(PostgresError) -> Step {
        var step = step
        if let claimed = handover.followed, context.turns.isForOthers(lane, than: claimed) {
            var request = self.request()
            request.handover = nil
            // It is short, and must not end for a locked job.
            request.skipsLockedJobs = true
            let first = try run(request)
            if case .cooldown = first.disposition { step.disposition = first.disposition }
        }
        step.isHandedOver = handover.end(isCommitted: tuning.mayBeHandedOver(context.settings))
        return step
    }

    /// Claims the next batch of a lane while another worker writes its own, and runs it when that is committed.
    ///
    /// - Returns: nil where the lane stays with the other worker.
    mutating func follow(_ handover: LaneHandover) throws(PostgresError) -> Step? {
        // Behind a full batch, calls cannot be decided at once.
        context.immediateOffers.decline(lane)
        guard var request = request(behind: handover) else {
            ownsLane = handover.wait(milliseconds: 0)
            return ownsLane ? Step(disposition: .requeue) : nil
        }
        handover.follow(Set(request.marks.stores.map(\.share.store)))
        // The other worker has locked the jobs of a group that its claim cut.
        request.skipsLockedJobs = true
        var failure: PostgresError?
        do throws(PostgresError) { try batch.claimAhead(request) } catch { failure = error }
        ownsLane = handover.wait(milliseconds: context.settings.idleInTransactionTimeout.milliseconds / 2)
        if let failure, failure.isConnectionFatal { throw failure }
        // Any other error comes again in the next batch, which recovers from it.
        if ownsLane && failure == nil && context.marks.isStill(request.marks, of: lane) {
            request.isClaimed = true
            return try run(request)
        }
        try batch.connection.rollBack()
        return ownsLane ? Step(disposition: .requeue) : nil
    }

    /// What to claim as if the batch of the other worker were committed; nil where nothing can be.
    private func request(behind handover: LaneHandover) -> BatchRequest? {
        var request = self.request()
        let isPossible =
            tuning.mayBeHandedOver(context.settings) && context.marks.isStill(handover.marks, of: lane)
            && request.marks.raise(upTo: handover.claimed) && !request.marks.stores.isEmpty
        return isPossible ? request : nil
    }

    /// The calls that were offered for the lane. A batch that leaves jobs out cannot decide what is behind them.
    private func immediateWork() -> ImmediateWork? {
        let offers = context.immediateOffers.take(lane)
        if offers.isEmpty { return nil }
        let work = ImmediateWork(offers)
        if !tuning.skipsLockedItems && tuning.leavesOut.isNothing { return work }
        work.decline()
        return nil
    }

    /// The lane was not locked; its epoch may be another one than that of the marks.
    private mutating func sawLane(_ epoch: Int64, _ request: BatchRequest) {
        tuning.holderMayBeStalledAt = nil
        if epoch != request.marks.epoch { context.marks.reset(lane, to: epoch) }
    }

    private mutating func finish(_ report: BatchReport, _ request: BatchRequest, _ duration: Duration) -> Step {
        if report.finished > 0 { context.successes.add(report.statements) }
        tuning.learnKeys(metUsedKeys: report.metUsedKeys)
        tuning.learnLockedJobs(metAny: report.metLockedJobs)
        // All jobs belong to paused stores, and other transactions have locked them.
        if report.claimed == 0 && report.paused == 0 { return Step(disposition: .idle) }
        if report.skipped == 0 { context.marks.raise(lane, from: request.marks, upTo: report.strands) }
        // Only then: a batch may make jobs ready again that were its own.
        for promotion in report.promotions { context.marks.promoted(promotion.strand, promotion.firstID) }
        context.turns.served(
            request.marks.stores.map(\.share), report.strands, isFull: report.isFull,
            callers: request.immediate?.stores ?? [])
        context.turns.learn(jobs: report.claimed, took: duration)
        context.onEvent(.batch(event(report, duration)))
        if tuning.leavesAnythingOut { return finishBesideLeftOut(report) }
        tuning.learn(from: report, tookMs: Int(duration / .milliseconds(1)), context.settings)
        if report.skippedAll { return Step(disposition: .cooldown(milliseconds: Self.skippedJobsCooldownMs)) }
        let hasMore = report.mayHaveMore || context.turns.hasWork(lane)
        return Step(disposition: hasMore ? .requeue : .idle, didWork: true)
    }

    /// A batch without the jobs that are left out. What it has committed shows next time whose the error is.
    private mutating func finishBesideLeftOut(_ report: BatchReport) -> Step {
        if tuning.learnBesideLeftOut(report, context.settings) { return Step(disposition: .requeue) }
        tuning.takeAllAgain()
        return Step(disposition: .requeue, didWork: true)
    }

    private mutating func finishTrial(_ statements: [String]) -> Step {
        context.successes.add(statements)
        let (error, subject) = (tuning.errorOfSetAside, tuning.subjectOfSetAside)
        tuning.takeAllAgain()
        // Where no other job needs the statement there is nothing to compare with.
        if let error, !statements.contains(error.statement ?? "") {
            return backOff(after: error, of: subject)
        }
        return Step(disposition: .requeue)
    }

    private func event(_ report: BatchReport, _ duration: Duration) -> WorkEvent.BatchCommitted {
        WorkEvent.BatchCommitted(
            worker: worker.name, lane: Int(lane), duration: duration, claimed: report.claimed,
            finished: report.finished, outcomes: report.outcomes, waiting: report.waiting, skipped: report.skipped,
            paused: report.paused, promoted: report.promotions.reduce(0) { $0 + $1.jobs },
            notifications: report.notifications, latencies: report.latencies)
    }

    /// Terminates the sessions that have locked a lane and wait for a client that no longer answers.
    ///
    /// The server does so itself after `idle_in_transaction_session_timeout`, but not where the client stopped in the
    /// middle of a pipeline: between two messages of a pipeline no timeout of the server runs (`PostgresMain` starts
    /// them only behind a ReadyForQuery), and a stalled worker would keep its lane for ever.
    private mutating func watchLockedLane() throws(PostgresError) {
        let limitMs = context.settings.idleInTransactionTimeout.milliseconds
        guard let due = tuning.holderMayBeStalledAt else {
            tuning.holderMayBeStalledAt = .after(milliseconds: limitMs)
            return
        }
        guard due.hasPassed else { return }
        tuning.holderMayBeStalledAt = .after(milliseconds: limitMs)
        var parameters = Parameters()
        parameters.add(Int64(limitMs))
        let count = try batch.connection.execute(terminateStalledSessions.statement, parameters).int64(0, 0)
        if count > 0 { context.onEvent(.stalledSessionsTerminated(.init(count: Int(count)))) }
    }
}
