import StockDecision
import StockQueuePostgres

/// What a batch reads and locks: the jobs, with the whole of their groups, their items, and the use of their keys.
extension Batch {
    /// Locks the lane and claims its first jobs.
    ///
    /// - Returns: nil when another worker has the lane or it is paused.
    func claim(_ request: BatchRequest) throws(PostgresError) -> LockLaneStatement.Lane? {
        claims.removeAll()
        try sendLockLane(request.lane)
        try send(statements.claim) {
            ClaimStatement.parameters(&$0, jobsMax: request.jobsMax, marks: request.marks.marks)
        }
        guard let (lane, rows) = try receiveLocked() else { return nil }
        try claims.add(rows)
        return lane
    }

    func sendLockLane(_ lane: Int16) throws(PostgresError) {
        try connection.send(.begin)
        try connection.sendSessionSettings()
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
    /// - Parameter passed: the transactions that the marks of the range have passed.
    /// - Returns: those of them that have ended. The batch may lack jobs of theirs then, and must be discarded.
    func completeClaim(
        _ range: ClaimedRange, passing passed: [TransactionID]
    ) throws(PostgresError) -> [TransactionID] {
        let claimedHere = claims.jobs.count
        try send(statements.countUpTo) { range.parameters(&$0) }
        let groupCount = claims.groups.count
        if groupCount > 0 { try sendCountGroups() }
        // Last, so that it holds for every statement before it.
        if !passed.isEmpty { try sendFindEnded(passed) }
        let counts = try connection.receive()
        if !passed.isEmpty {
            let ended = FindEndedTransactionsStatement.transactions(in: counts[counts.count - 1])
            if !ended.isEmpty { return ended }
        }
        if CountUpToStatement.count(in: counts[0]) > Int64(claimedHere) {
            let ended = try addUnclaimed(range, passing: passed)
            if !ended.isEmpty { return ended }
        }
        if claims.groups.count > groupCount {
            // A locked line brought in a group that has further lines behind the claim; they are skipped too.
            try sendCountGroups()
            try completeGroups(try connection.receive()[0])
        } else if groupCount > 0 {
            try completeGroups(counts[1])
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

    private func sendCountGroups() throws(PostgresError) {
        let groups = Array(0..<Int32(claims.groups.count))
        let linesMax = max(settings.groupLinesMax, claims.jobs.count)
        try send(statements.countGroups) {
            self.addGroups(groups, to: &$0)
            $0.add(Int64(linesMax) + 1)
        }
    }

    /// Adds the rest of groups that were cut, but not of groups that are too large: of those the batch rejects the lines
    /// that it claimed.
    private func completeGroups(_ counts: ResultSet) throws(PostgresError) {
        var cut: [Int32] = []
        for count in CountGroupsStatement.counts(in: counts) {
            let isCut = count.lines != claims.groupLines[count.position]
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

    // MARK: keys and items

    /// Reads which of the batch's idempotency keys were used before, by key index; nil for an unused one.
    func readKeys() throws(PostgresError) -> [KeyState?] {
        if claims.keys.count == 0 { return [] }
        let wanted = Array(0..<Int32(claims.keys.count))
        let rows = try execute(statements.readKeys) { parameters in
            for column in 0..<2 { parameters.addArray(of: wanted, in: self.claims.keys, column: column) }
        }
        return try claims.keyStates(in: rows)
    }

    /// Locks the batch's items: those with a cached tuple id first, then the others by key, both in key order.
    ///
    /// - Parameter skipsLocked: do not wait for rows that another transaction has locked.
    func lockItems(skipsLocked: Bool, _ tuples: inout ItemTupleCache.Lane) throws(PostgresError) -> [ItemState] {
        var items = [ItemState](repeating: ItemState(), count: claims.items.count)
        itemTupleIDs = [TupleID?](repeating: nil, count: claims.items.count)
        var wanted = claims.items.sortedKeys()
        if !skipsLocked {
            try lockCachedItems(wanted, tuples, &items)
            wanted.removeAll { items[Int($0)].presence == .known }
        }
        if wanted.isEmpty { return items }
        let rows =
            skipsLocked
            ? try execute(statements.lockUnlockedItems) { self.addItems(wanted, to: &$0) }
            : try execute(statements.lockItems) { self.addItems(wanted, to: &$0) }
        store(rows, of: wanted, in: &items)
        for item in wanted { tuples[claims.items.hash(of: item)] = itemTupleIDs[Int(item)] }
        if skipsLocked { try markLockedItems(wanted.filter { items[Int($0)].presence == .unknown }, &items) }
        return items
    }

    private func lockCachedItems(
        _ wanted: [Int32], _ tuples: ItemTupleCache.Lane, _ items: inout [ItemState]
    ) throws(PostgresError) {
        var cached: [Int32] = []
        var tupleIDs: [TupleID] = []
        for item in wanted {
            guard let tupleID = tuples[claims.items.hash(of: item)] else { continue }
            cached.append(item)
            tupleIDs.append(tupleID)
        }
        if cached.isEmpty { return }
        let rows = try execute(statements.lockCachedItems) { parameters in
            self.addItems(cached, to: &parameters)
            parameters.addArray(of: tupleIDs.count, tupleID: { tupleIDs[$0] })
        }
        store(rows, of: cached, in: &items)
    }

    /// Marks the items whose rows are locked; the others do not exist.
    private func markLockedItems(_ missing: [Int32], _ items: inout [ItemState]) throws(PostgresError) {
        if missing.isEmpty { return }
        let rows = try execute(statements.readItems) { self.addItems(missing, to: &$0) }
        for row in StoredItem.rows(in: rows) { items[Int(missing[row.position])].presence = .locked }
    }

    private func store(_ rows: ResultSet, of wanted: [Int32], in items: inout [ItemState]) {
        for row in StoredItem.rows(in: rows) {
            let item = Int(wanted[row.position])
            items[item] = row.state
            itemTupleIDs[item] = row.tupleID
        }
    }

    func addItems(_ items: [Int32], to parameters: inout Parameters) {
        for column in 0..<3 { parameters.addArray(of: items, in: claims.items, column: column) }
    }
}
