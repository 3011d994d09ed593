import StockDecision
import StockModel
import StockQueuePostgres

/// Calls that a batch decides behind the jobs of the table, as if their jobs had been enqueued at that moment.
extension Batch {
    /// The calls of a request, where the batch can be sure that no ready job of their stores is behind the claim.
    ///
    /// - Parameter atLimit: the stores of which the claim took all that it may.
    func immediate(
        of request: BatchRequest, _ lane: LockLaneStatement.Lane, claimedRows: Int, atLimit: Set<StoreInLane>
    ) -> ImmediateWork? {
        guard let immediate = request.immediate else { return nil }
        if lane.hasPausedStores || claimedRows >= request.jobsMax
            || !atLimit.isDisjoint(with: immediate.stores)
        {
            immediate.decline()
            return nil
        }
        claims.number(itemsOf: immediate)
        items.readsParents = true
        return immediate
    }

    /// Sends the statements that `ImmediateWork.take` reads.
    func sendChecks(of immediate: ImmediateWork) throws(PostgresError) {
        try send(statements.readImmediateAccess) {
            ReadImmediateAccessStatement.parameters(&$0, immediate.accesses)
        }
        try send(statements.drawJobIDs) { $0.add(Int32(immediate.lines)) }
    }

    /// Adds the jobs of the calls to the claim, when their items are locked.
    func add(_ immediate: ImmediateWork, _ lane: LockLaneStatement.Lane) {
        // Behind a job that is skipped they might have to be skipped too. A stock count reads the time of each job that
        // it has to consider from the table.
        if claims.jobs.contains(where: { !$0.isClaimed || $0.action == .set }) { immediate.decline() }
        guard immediate.isInBatch else { return }
        immediate.admit(items)
        claims.add(immediate, enqueuedAt: lane.beganAt)
    }

    /// What was decided of immediate jobs, in the order of their ids, which is that of their calls and lines.
    ///
    /// - Throws: if one was not finished, which no rule allows: it has no row that could wait.
    func immediateRows(
        _ decision: BatchDecision, lastsOfGroups: [Int64?]
    ) throws(PostgresError) -> [WriteImmediateResultsStatement.Row] {
        if claims.immediateJobs == 0 { return [] }
        var rows: [WriteImmediateResultsStatement.Row] = []
        rows.reserveCapacity(claims.immediateJobs)
        for (index, job) in decision.jobs.enumerated() where claims.isImmediate(index) {
            guard case .finished(let outcome) = job else {
                throw PostgresError(kind: .protocolViolation, message: "an immediate job was not finished")
            }
            rows.append(
                WriteImmediateResultsStatement.Row(
                    job: claims.jobs[index], outcome: outcome,
                    groupLastJobID: lastsOfGroups.isEmpty ? nil : lastsOfGroups[index]))
        }
        return rows
    }
}
