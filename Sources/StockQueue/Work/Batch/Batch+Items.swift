import StockDecision
import StockQueuePostgres

/// What a batch locks and reads beside its jobs: their items, the use of their idempotency keys, and the time of stock
/// counts.
extension Batch {
    /// A statement that locks items.
    struct ItemLock {
        var items: [Int32]
        /// By the primary key, not at a cached tuple id: an item that it does not find does not exist.
        var isByKey: Bool
    }

    /// The items of the batch as far as they are known, by item index.
    struct Items {
        var states: [ItemState] = []
        /// Where the locked row is.
        var tupleIDs: [TupleID?] = []
        /// Of a batch with immediate jobs.
        var parentIDs: [String?] = []
        /// Immediate jobs say which parent an item must have.
        var readsParents = false
        /// The item was looked for by its key.
        fileprivate var isLookedUp: [Bool] = []

        /// The item may exist, and is not locked.
        fileprivate func isMissing(_ item: Int) -> Bool { states[item].presence != .known && !isLookedUp[item] }

        mutating func grow(to count: Int) {
            let new = count - states.count
            states.append(contentsOf: repeatElement(ItemState(), count: new))
            tupleIDs.append(contentsOf: repeatElement(nil, count: new))
            if readsParents { parentIDs.append(contentsOf: repeatElement(nil, count: new)) }
            isLookedUp.append(contentsOf: repeatElement(false, count: new))
        }
    }

    // MARK: locking

    /// Sends the locks of the items that the claim names so far: of those with a cached tuple id first, then of the
    /// others by key, both in key order. Of a page that is due, one item is among the others.
    func sendItemLocks(_ tuples: ItemTupleCache.Lane) throws(PostgresError) -> [ItemLock] {
        var (cached, others): ([Int32], [Int32]) = ([], [])
        var tupleIDs: [TupleID] = []
        var duePages: Set<UInt32> = []
        for item in claims.items.sortedKeys() {
            if let tupleID = tuples[claims.items.hash(of: item)],
                !tuples.isDue(tupleID.block) || !duePages.insert(tupleID.block).inserted
            {
                cached.append(item)
                tupleIDs.append(tupleID)
            } else {
                others.append(item)
            }
        }
        var locks: [ItemLock] = []
        if !cached.isEmpty {
            try send(statements.lockCachedItems) { parameters in
                self.addItems(cached, to: &parameters)
                parameters.addArray(of: tupleIDs.count, tupleID: { tupleIDs[$0] })
            }
            locks.append(ItemLock(items: cached, isByKey: false))
        }
        if !others.isEmpty {
            try send(statements.lockItems) { self.addItems(others, to: &$0) }
            locks.append(ItemLock(items: others, isByKey: true))
        }
        return locks
    }

    /// Takes the rows of `sendItemLocks`.
    func takeItems(_ results: ArraySlice<ResultSet>, lockedBy locks: [ItemLock]) {
        for (rows, lock) in zip(results, locks) { take(rows, lockedBy: lock) }
    }

    private func take(_ rows: ResultSet, lockedBy lock: ItemLock) {
        items.grow(to: claims.items.count)
        for row in StoredItem.rows(in: rows, withParents: items.readsParents) {
            let item = Int(lock.items[row.position])
            items.states[item] = row.state
            items.tupleIDs[item] = row.tupleID
            if items.readsParents { items.parentIDs[item] = row.parentID }
        }
        if lock.isByKey { for item in lock.items { items.isLookedUp[Int(item)] = true } }
    }

    /// Locks the items that are not locked yet, and brings the cached tuple ids up to date.
    ///
    /// - Parameter skipsLocked: do not wait for rows that another transaction has locked.
    func lockItems(skipsLocked: Bool, _ tuples: inout ItemTupleCache.Lane) throws(PostgresError) {
        if skipsLocked {
            try lockUnlockedItems()
        } else {
            if items.states.isEmpty {
                let locks = try sendItemLocks(tuples)
                if !locks.isEmpty { takeItems(try connection.receive()[...], lockedBy: locks) }
            }
            // Those whose cached tuple id was out of date, and those of jobs that joined the claim later.
            items.grow(to: claims.items.count)
            if items.states.indices.contains(where: items.isMissing) {
                let others = claims.items.sortedKeys().filter { items.isMissing(Int($0)) }
                let rows = try execute(statements.lockItems) { self.addItems(others, to: &$0) }
                take(rows, lockedBy: ItemLock(items: others, isByKey: true))
            }
        }
        for item in items.isLookedUp.indices where items.isLookedUp[item] {
            tuples.found(claims.items.hash(of: Int32(item)), at: items.tupleIDs[item])
        }
    }

    private func lockUnlockedItems() throws(PostgresError) {
        let wanted = claims.items.sortedKeys()
        if wanted.isEmpty { return }
        let rows = try execute(statements.lockUnlockedItems) { self.addItems(wanted, to: &$0) }
        take(rows, lockedBy: ItemLock(items: wanted, isByKey: true))
        // Of the missing ones, some are locked and the others do not exist.
        let missing = wanted.filter { items.states[Int($0)].presence == .unknown }
        if missing.isEmpty { return }
        let locked = try execute(statements.readItems) { self.addItems(missing, to: &$0) }
        for row in StoredItem.rows(in: locked) { items.states[Int(missing[row.position])].presence = .locked }
    }

    func addItems(_ items: [Int32], to parameters: inout Parameters) {
        for column in 0..<3 { parameters.addArray(of: items, in: claims.items, column: column) }
    }

    // MARK: keys

    /// Reads which of the batch's idempotency keys were used before, by key index; nil for an unused one.
    func readKeys() throws(PostgresError) -> [KeyState?] {
        if claims.keys.count == 0 { return [] }
        let wanted = Array(0..<Int32(claims.keys.count))
        let rows = try execute(statements.readKeys) { parameters in
            for column in 0..<2 { parameters.addArray(of: wanted, in: self.claims.keys, column: column) }
        }
        return try claims.keyStates(in: rows)
    }

    // MARK: counts

    /// Reads the time of the batch's stock counts. The items are locked, so that the ledger says what they have now.
    func readCounts() throws(PostgresError) -> StockCounts {
        guard claims.jobs.contains(where: { $0.action == .set }) else { return StockCounts() }
        var isCounted = [Bool](repeating: false, count: claims.items.count)
        for job in claims.jobs where job.action == .set { isCounted[job.item.position] = true }
        let wanted = claims.jobs.indices.filter {
            claims.jobs[$0].isClaimed && isCounted[claims.jobs[$0].item.position]
        }
        let tupleIDs = claims.tupleIDs
        let rows = try execute(statements.readCounts) { parameters in
            parameters.addArray(of: wanted.count, tupleID: { tupleIDs[wanted[$0]] })
        }
        return ReadCountsStatement.counts(in: rows)
    }
}
