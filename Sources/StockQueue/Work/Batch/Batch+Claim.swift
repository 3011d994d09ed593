import StockDecision
import StockQueuePostgres

/// What a batch claims: jobs, with the whole of their groups.
extension Batch {
    /// Locks the lane and claims its first jobs.
    ///
    /// - Returns: nil when another worker has the lane or it is paused.
    func claim(_ request: BatchRequest) throws(PostgresError) -> LockLaneStatement.Lane? {
        claims.removeAll()
        try sendLockLane(request.lane)
        try sendClaim(request)
        guard let (lane, rows) = try receiveLocked() else { return nil }
        try claims.add(rows)
        return lane
    }

    /// Claims jobs of a lane that another worker has, behind those of its batch. Nothing comes of it before that batch is
    /// committed and this transaction has the lane: what the claim has not seen, `completeClaim` finds then.
    func claimAhead(_ request: BatchRequest) throws(PostgresError) {
        startAnew()
        claims.removeAll()
        try rollingBackOnError { () throws(PostgresError) in
            try sendBegin()
            try send(statements.nameLane) { $0.add(request.lane) }
            try sendClaim(request)
            let results = try connection.receive()
            try claims.add(results[results.count - 1])
        }
    }

    /// Locks the lane of jobs that were claimed ahead.
    func lockClaimed(_ request: BatchRequest) throws(PostgresError) -> LockLaneStatement.Lane? {
        LockLaneStatement.lane(in: try execute(statements.lockLane) { $0.add(request.lane) })
    }

    /// A batch with immediate jobs cannot be run again with them, so a locked job must not end it.
    private func sendClaim(_ request: BatchRequest) throws(PostgresError) {
        let skipsLocked = request.skipsLockedJobs || request.immediate != nil
        try send(skipsLocked ? statements.claimUnlocked : statements.claim) {
            ClaimStatement.parameters(&$0, jobsMax: request.jobsMax, marks: request.marks)
        }
    }

    private func sendBegin() throws(PostgresError) {
        started = .now
        try connection.send(.begin)
        try connection.sendSessionSettings()
    }

    func sendLockLane(_ lane: Int16) throws(PostgresError) {
        try sendBegin()
        try send(statements.lockLane) { $0.add(lane) }
    }

    /// The lane, and the rows of the claim that was sent behind `sendLockLane`; nil when another worker has the lane or
    /// it is paused.
    func receiveLocked() throws(PostgresError) -> (LockLaneStatement.Lane, ResultSet)? {
        let results = try connection.receive()
        return LockLaneStatement.lane(in: results[results.count - 2]).map { ($0, results[results.count - 1]) }
    }

    /// Takes the jobs of paused stores out of the batch and out of the ready index.
    ///
    /// - Returns: how many.
    func pauseJobs() throws(PostgresError) -> Int {
        let stores = ReadPausedStoresStatement.stores(in: try execute(statements.readPausedStores))
        let tupleIDs = claims.removeJobs(ofStores: stores)
        if tupleIDs.isEmpty { return 0 }
        let paused = try execute(statements.pauseJobs) {
            $0.addArray(of: tupleIDs.count, tupleID: { tupleIDs[$0] })
        }.affectedRows
        try expect(tupleIDs.count, changedBy: statements.pauseJobs.name, got: paused)
        return paused
    }

    // MARK: completing the claim

    /// Adds what belongs to the claim: the rest of groups that were cut, and jobs that another transaction has locked.
    /// The latter are skipped, and with them every later job of their items.
    ///
    /// - Parameters:
    ///   - range: what the claim has read, where ready jobs of it may be missing.
    ///   - passed: the transactions that the marks of the range have passed.
    ///   - tuples: lock the items of the claimed jobs in the same round trip, by these tuple ids where they have one; nil
    ///     where not all of the claimed jobs may stay in the batch.
    ///   - immediate: its items are locked too. It is declined where jobs of the range were not claimed.
    /// - Returns: the passed transactions that have ended. The batch may lack jobs of theirs then, and must be discarded.
    func completeClaim(
        _ range: ClaimedRange?, passing passed: [TransactionID], locking tuples: ItemTupleCache.Lane?,
        _ immediate: ImmediateWork?
    ) throws(PostgresError) -> [TransactionID] {
        let claimedHere = claims.jobs.count
        if let immediate { try sendChecks(of: immediate) }
        if let range { try send(statements.countUpTo) { range.parameters(&$0) } }
        let groupCount = claims.groups.count
        let linesMax = groupCount > 0 ? try sendCountGroups() : 0
        let locks = try tuples.map { tuples throws(PostgresError) in try sendItemLocks(tuples) } ?? []
        // Last, so that it holds for every statement before it.
        if !passed.isEmpty { try sendFindEnded(passed) }
        let isAnythingAsked = immediate != nil || range != nil || groupCount > 0 || !locks.isEmpty || !passed.isEmpty
        var answers = isAnythingAsked ? try connection.receive()[...] : []
        if let immediate { immediate.take(access: answers.removeFirst(), ids: answers.removeFirst()) }
        let readyJobs = range.map { _ in CountUpToStatement.count(in: answers.removeFirst()) }
        let groups = groupCount > 0 ? answers.removeFirst() : nil
        takeItems(answers, lockedBy: locks)
        if !passed.isEmpty {
            let ended = FindEndedTransactionsStatement.transactions(in: answers[answers.endIndex - 1])
            if !ended.isEmpty { return ended }
        }
        if let range, let readyJobs, readyJobs > claimedHere {
            immediate?.decline()
            let ended = try addUnclaimed(range, passing: passed)
            if !ended.isEmpty { return ended }
        }
        if claims.groups.count > groupCount {
            // A locked line brought in a group that has further lines behind the claim; they are skipped too.
            try completeGroups()
        } else if let groups {
            try completeGroups(groups, countedUpTo: linesMax)
        }
        claims.arrange()
        return []
    }

    private func sendFindEnded(_ passed: [TransactionID]) throws(PostgresError) {
        try connection.send(
            statements.findEndedTransactions.statement, FindEndedTransactionsStatement.parameters(passed))
    }

    /// Adds the ready jobs of the range that the claim did not return.
    ///
    /// - Returns: as `completeClaim`.
    private func addUnclaimed(
        _ range: ClaimedRange, passing passed: [TransactionID]
    ) throws(PostgresError) -> [TransactionID] {
        let ready = try execute(statements.readUpTo) { range.parameters(&$0) }
        // Some arrived between the two statements and are not locked. They are claimed now and join the batch at their
        // position; if they were skipped, later jobs of the lane would overtake them.
        let missing = claims.missing(from: ready)
        let claimed = try execute(statements.claimByID) { $0.addArray(of: missing.count, int64: { missing[$0] }) }
        try claims.addMissing(claimed, isClaimed: true)
        try claims.addMissing(ready, isClaimed: false)
        if passed.isEmpty { return [] }
        try sendFindEnded(passed)
        return FindEndedTransactionsStatement.transactions(in: try connection.receive()[0])
    }

    /// Adds the lines of the claim's groups that it lacks.
    func completeGroups() throws(PostgresError) {
        let linesMax = try sendCountGroups()
        try completeGroups(try connection.receive()[0], countedUpTo: linesMax)
    }

    /// - Returns: how many lines of a group are counted at most, but for one that says that there are more.
    private func sendCountGroups() throws(PostgresError) -> Int {
        let groups = Array(0..<Int32(claims.groups.count))
        let linesMax = max(settings.groupLinesMax, claims.jobs.count)
        try send(statements.countGroups) {
            self.addGroups(groups, to: &$0)
            $0.add(Int64(linesMax) + 1)
        }
        return linesMax
    }

    /// Adds the rest of groups that were cut, but not of groups that are too large: of those the batch rejects the lines
    /// that it claimed.
    private func completeGroups(_ counts: ResultSet, countedUpTo linesMax: Int) throws(PostgresError) {
        var cut: [Int32] = []
        for count in CountGroupsStatement.counts(in: counts) {
            // A line that was locked may have joined the batch since the count.
            let isCut = count.lines > linesMax || count.lines != claims.groupLines[count.position]
            let isTooLarge = count.lines > settings.groupLinesMax
            if isTooLarge || count.isMarked {
                claims.addTooLargeGroup(
                    count.position, .init(isMarked: count.isMarked, isComplete: !isTooLarge || !isCut))
            }
            if isCut && !isTooLarge { cut.append(Int32(count.position)) }
        }
        if cut.isEmpty { return }
        try send(statements.claimGroups) { self.addGroups(cut, to: &$0) }
        try send(statements.readGroups) { self.addGroups(cut, to: &$0) }
        let rows = try connection.receive()
        try claims.addMissing(rows[0], isClaimed: true)
        try claims.addMissing(rows[1], isClaimed: false)
    }

    func addGroups(_ groups: [Int32], to parameters: inout Parameters) {
        for column in 0..<2 { parameters.addArray(of: groups, in: claims.groups, column: column) }
        parameters.addXID8Array(of: groups, in: claims.groups, column: 2)
    }
}
