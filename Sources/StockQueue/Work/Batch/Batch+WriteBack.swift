import StockDecision
import StockQueuePostgres

/// What a batch writes: items, results, used keys, notifications, and the jobs that wait or become ready.
extension Batch {
    /// - Returns: waiting jobs that became ready, and what was decided of immediate jobs.
    func writeBack(
        _ decision: BatchDecision, _ tuples: inout ItemTupleCache.Lane
    ) throws(PostgresError) -> (promotions: [Promotion], immediate: [JobOutcome]) {
        let lastsOfGroups = claims.groups.count > 0 ? claims.lastJobsOfGroups() : []
        let immediate = try immediateRows(decision, lastsOfGroups: lastsOfGroups)
        var writes = Writes()
        let (jobs, tupleIDs) = (claims.jobs, claims.tupleIDs)
        try send(statements.useKeys, changing: decision.keyUsers.count, &writes) { parameters in
            parameters.addArray(of: decision.keyUsers.count, tupleID: { tupleIDs[decision.keyUsers[$0].position] })
        }
        let itemsResult = writes.expected.count
        let changed = try changedItems(decision)
        try send(statements.writeItems, changing: changed.count, &writes) {
            WriteItemsStatement.parameters(&$0, changed)
        }
        let finished = finishedRows(decision, lastsOfGroups: lastsOfGroups)
        try send(statements.writeResults, changing: finished.count, &writes) {
            WriteResultsStatement.parameters(&$0, finished, worker: self.workerName)
        }
        try send(statements.deleteFinished, changing: finished.count, &writes) {
            DeleteFinishedStatement.parameters(&$0, finished)
        }
        try send(statements.writeImmediateResults, changing: immediate.count, &writes) {
            WriteImmediateResultsStatement.parameters(&$0, immediate, self.claims, worker: self.workerName)
        }
        let changes = decision.levelChanges
        try send(statements.writeNotifications, changing: changes.count, &writes) { parameters in
            self.addItems(changes.map(\.item.rawValue), to: &parameters)
            WriteNotificationsStatement.parameters(&parameters, changes, jobs)
        }
        let applied = AppliedJobs(decision, claims)
        try send(statements.writeChangeLog, changing: applied.stores.count, &writes) { parameters in
            parameters.addArray(of: applied.stores, in: self.claims.items, column: 0)
            WriteChangeLogStatement.parameters(&parameters, applied)
        }
        try send(statements.sendFeedHint, changing: settings.feedHints && !applied.stores.isEmpty ? 1 : 0, &writes) {
            _ in
        }
        let tooLarge = tooLargeGroups(decision)
        try send(statements.markTooLargeGroups, changing: tooLarge.marked.count, &writes) {
            self.addGroups(tooLarge.marked, to: &$0)
        }
        try send(statements.unmarkTooLargeGroups, changing: tooLarge.unmarked.count, &writes) {
            self.addGroups(tooLarge.unmarked, to: &$0)
        }
        let waiting = waitingJobs(decision)
        try send(statements.deferWaiting, changing: waiting.count, &writes) { parameters in
            parameters.addArray(of: waiting.count, tupleID: { waiting[$0].tupleID })
            parameters.addArray(of: waiting.count, int64: { waiting[$0].quantity })
            parameters.add(self.settings.waitDurationMax.wholeSeconds)
        }
        let results = try connection.receive()
        for (result, write) in zip(results, writes.expected) {
            try expect(write.rows, changedBy: write.name, got: result.affectedRows)
        }
        if !changed.isEmpty {
            for written in WriteItemsStatement.written(in: results[itemsResult]) {
                let item = decision.changedItems[written.position].rawValue
                tuples.wrote(
                    claims.items.hash(of: item), at: written.tupleID, before: changed[written.position].tupleID)
            }
        }
        return (try promoteWaiting(decision), immediate.map(\.outcome))
    }

    /// The statements of a write-back that were sent, with the rows that each must change.
    private struct Writes {
        var expected: [(name: String, rows: Int)] = []
    }

    /// Sends a statement that must change so many rows; none where that is 0.
    private func send(
        _ statement: some QueueStatement, changing rows: Int, _ writes: inout Writes,
        _ fill: (inout Parameters) -> Void
    ) throws(PostgresError) {
        if rows == 0 { return }
        try send(statement, fill)
        writes.expected.append((statement.name, rows))
        self.writes.append(statement.name)
    }

    private func changedItems(_ decision: BatchDecision) throws(PostgresError) -> [(tupleID: TupleID, state: ItemState)]
    {
        var changed: [(tupleID: TupleID, state: ItemState)] = []
        changed.reserveCapacity(decision.changedItems.count)
        for item in decision.changedItems {
            guard let tupleID = items.tupleIDs[item.position] else {
                throw PostgresError(
                    kind: .protocolViolation, message: "an item was changed that the batch had not locked")
            }
            changed.append((tupleID, decision.items[item]))
        }
        return changed
    }

    private func finishedRows(
        _ decision: BatchDecision, lastsOfGroups: [Int64?]
    ) -> [WriteResultsStatement.Row] {
        var rows: [WriteResultsStatement.Row] = []
        rows.reserveCapacity(decision.finished - claims.immediateJobs)
        for (index, job) in decision.jobs.enumerated() {
            guard case .finished(let outcome) = job, !claims.isImmediate(index) else { continue }
            rows.append(
                WriteResultsStatement.Row(
                    tupleID: claims.tupleIDs[index], outcome: outcome,
                    groupLastJobID: lastsOfGroups.isEmpty ? nil : lastsOfGroups[index]))
        }
        return rows
    }

    /// The groups that are too large to mark, and those to forget, as this batch rejects lines of them.
    private func tooLargeGroups(_ decision: BatchDecision) -> (marked: [Int32], unmarked: [Int32]) {
        if claims.tooLargeGroups.isEmpty { return ([], []) }
        let rejected = Set(
            decision.jobs.indices.lazy.compactMap { index -> GroupIndex? in
                if case .finished = decision.jobs[index] { self.claims.jobs[index].group } else { nil }
            })
        return claims.changedMarks(where: rejected.contains)
    }

    private func waitingJobs(_ decision: BatchDecision) -> [(tupleID: TupleID, quantity: Int64?)] {
        if decision.waiting == 0 { return [] }
        return decision.jobs.enumerated().compactMap { index, job in
            if case .waits(let quantity) = job { (claims.tupleIDs[index], quantity) } else { nil }
        }
    }

    /// Makes jobs ready that wait for the items with more stock, a bounded number of jobs at a time.
    private func promoteWaiting(_ decision: BatchDecision) throws(PostgresError) -> [Promotion] {
        var items = decision.itemsWithMoreStock.map {
            PromoteWaitingStatement.Item(index: $0.rawValue, available: decision.items[$0].balance.available)
        }.filter { $0.available > 0 }
        let jobsMax = settings.promoteWaitingJobsMax
        var promotions: [Promotion] = []
        if !items.isEmpty { writes.append(statements.promoteWaiting.name) }
        while !items.isEmpty {
            let rows = try execute(statements.promoteWaiting) { parameters in
                self.addItems(items.map(\.index), to: &parameters)
                PromoteWaitingStatement.parameters(&parameters, items, jobsMax: jobsMax)
            }
            let promoted = PromoteWaitingStatement.promoted(in: rows, of: items, jobsMax: jobsMax)
            promotions += promoted.strands
            items = promoted.items
        }
        return promotions
    }
}
