import StockQueuePostgres

/// What a batch takes: the jobs, with the whole of their groups, their stock rows and what is known of their keys.
extension Batch {
    /// - Returns: false when somebody else holds the lane.
    func claim(lane: Int16, limit: Int, marks: [Int64]) throws(PostgresError) -> Bool {
        claims.removeAll()
        try sendLockLane(lane)
        try send(statements.claim) { parameters in
            parameters.add(Int32(limit))
            parameters.addArray(of: marks.count, int64: { marks[$0] })
        }
        guard let rows = try receiveLocked() else { return false }
        try claims.add(rows)
        return true
    }

    func sendLockLane(_ lane: Int16) throws(PostgresError) {
        try connection.send(.begin)
        try connection.sendSessionSettings()
        try send(statements.lockLane) { $0.add(lane) }
    }

    /// The rows of the claim that was sent behind `sendLockLane`; nil when somebody else holds the lane, or it is paused.
    func receiveLocked() throws(PostgresError) -> ResultSet? {
        let results = try connection.receive()
        let held = results[results.count - 2]
        guard held.rowCount == 1 else { return nil }
        hasPausedStores = held.bool(0, 1)
        laneEpoch = held.int64(0, 2)
        return results[results.count - 1]
    }

    /// Sets the jobs of paused stores aside; they are out of the batch then.
    ///
    /// - Returns: how many.
    func pauseJobs() throws(PostgresError) -> Int {
        try send(statements.readPausedStores) { _ in }
        let stores = try connection.receive()[0]
        let places = claims.removeJobs(ofStores: Set((0..<stores.rowCount).map { stores.string($0, 0) }))
        if places.isEmpty { return 0 }
        try send(statements.pauseJobs) { $0.addArray(of: places.count, tupleID: { places[$0] }) }
        let paused = try connection.receive()[0].affectedRows
        try expect(paused == places.count, statements.pauseJobs, paused, places.count)
        return paused
    }

    /// Brings in what belongs to the claim: the rest of groups that were cut, and jobs that somebody else holds, which
    /// are left and keep what comes after them on their items behind them.
    func completeClaim(lane: Int16, marks: [Int64]) throws(PostgresError) {
        guard let last = claims.jobs.last else { return }
        let readyHere = claims.jobs.count
        let bounded = Int(last.priority)
        func addBounds(to parameters: inout Parameters) {
            parameters.add(lane)
            parameters.addArray(of: bounded, int64: { marks[$0] })
            parameters.addArray(of: bounded, int64: { $0 == bounded - 1 ? last.id : Int64.max })
        }
        try send(statements.countUpTo) { addBounds(to: &$0) }
        let groupCount = claims.groups.count
        if groupCount > 0 { try sendCountGroups() }
        let counts = try connection.receive()
        if counts[0].int64(0, 0) > Int64(readyHere) {
            try send(statements.readUpTo) { addBounds(to: &$0) }
            let ready = try connection.receive()[0]
            // Some are only new: they came between the two statements, and join the batch in their place. Left in front as
            // if somebody held them, they would let later jobs of other items overtake those behind them.
            let missing = claims.missing(from: ready)
            try send(statements.claimByID) { $0.addArray(of: missing.count, int64: { missing[$0] }) }
            try claims.addMissing(try connection.receive()[0], locked: true)
            try claims.addMissing(ready, locked: false)
        }
        if claims.groups.count > groupCount {
            // A group of which only held lines stand here has lines further on, which must be left as well.
            try sendCountGroups()
            try completeGroups(try connection.receive()[0])
        } else if groupCount > 0 {
            try completeGroups(counts[1])
        }
        claims.arrange()
    }

    private func sendCountGroups() throws(PostgresError) {
        let groups = Array(0..<Int32(claims.groups.count))
        try send(statements.countGroups) { self.addGroups(groups, to: &$0) }
    }

    private func completeGroups(_ counts: ResultSet) throws(PostgresError) {
        var cut: [Int32] = []
        for row in 0..<counts.rowCount {
            let group = Int(counts.int64(row, 0)) - 1
            if counts.int64(row, 1) != Int64(claims.groupLines[group]) { cut.append(Int32(group)) }
        }
        if cut.isEmpty { return }
        try send(statements.claimGroups) { self.addGroups(cut, to: &$0) }
        try send(statements.readGroups) { self.addGroups(cut, to: &$0) }
        let rows = try connection.receive()
        try claims.addMissing(rows[0], locked: true)
        try claims.addMissing(rows[1], locked: false)
    }

    private func addGroups(_ groups: [Int32], to parameters: inout Parameters) {
        parameters.addArray(of: groups, in: claims.groups, column: 0)
        parameters.addArray(of: groups, in: claims.groups, column: 1)
    }

    // MARK: lock

    /// What is known of the batch's idempotency keys, by number; nil for a key that is free.
    func readKeys() throws(PostgresError) -> [KeyState?] {
        var states = [KeyState?](repeating: nil, count: claims.keys.count)
        if states.isEmpty { return states }
        let wanted = Array(0..<Int32(states.count))
        try send(statements.readKeys) { self.addKeys(wanted, to: &$0) }
        let rows = try connection.receive()[0]
        for row in 0..<rows.rowCount { states[Int(rows.int32(row, 0))] = try claims.keyState(in: rows, row: row) }
        return states
    }

    private func addKeys(_ keys: [Int32], to parameters: inout Parameters) {
        for column in 0..<2 { parameters.addArray(of: keys, in: claims.keys, column: column) }
    }

    func lockItems(skipsLockedItems: Bool, _ places: inout ItemTupleCache.Lane) throws(PostgresError) -> [ItemState] {
        let items = claims.items
        var stock = [ItemState](repeating: ItemState(), count: items.count)
        func take(_ rows: ResultSet, _ keys: [Int32]) {
            for row in 0..<rows.rowCount { stock[Int(keys[Int(rows.int32(row, 0))])] = Self.stockState(rows, row) }
        }
        var keys = items.sortedKeys()
        if !skipsLockedItems {
            let remembered = keys.filter { places[items.hash(of: $0)] != nil }
            if !remembered.isEmpty {
                let there = remembered.map { places[items.hash(of: $0)] ?? TupleID(block: 0, line: 0) }
                try send(statements.lockCachedItems) { parameters in
                    self.addItems(remembered, to: &parameters)
                    parameters.addArray(of: there.count, tupleID: { there[$0] })
                }
                take(try connection.receive()[0], remembered)
                keys.removeAll { stock[Int($0)].presence == .known }
            }
        }
        if keys.isEmpty { return stock }
        let lock = skipsLockedItems ? statements.lockUnlockedItems : statements.lockItems
        try send(lock) { self.addItems(keys, to: &$0) }
        take(try connection.receive()[0], keys)
        for key in keys where stock[Int(key)].presence == .known {
            places[items.hash(of: key)] = stock[Int(key)].place
        }
        let missing = keys.filter { stock[Int($0)].presence == .unknown }
        if skipsLockedItems && !missing.isEmpty {
            try send(statements.readItems) { self.addItems(missing, to: &$0) }
            let held = try connection.receive()[0]
            for row in 0..<held.rowCount { stock[Int(missing[Int(held.int32(row, 0))])].presence = .held }
        }
        return stock
    }

    func addItems(_ keys: [Int32], to parameters: inout Parameters) {
        for column in 0..<3 { parameters.addArray(of: keys, in: claims.items, column: column) }
    }

    private static let levels = AlertLevel.labels
    private static let allLevels = AlertLevel.allCases

    static func stockState(_ rows: ResultSet, _ row: Int) -> ItemState {
        var state = ItemState()
        state.presence = .known
        state.place = rows.tupleID(row, 1)
        state.onHand = rows.int64(row, 2)
        state.allocated = rows.int64(row, 3)
        state.version = rows.int64(row, 4)
        state.threshold = rows.optionalInt64(row, 5)
        state.lastJobID = rows.optionalInt64(row, 6)
        if !rows.isNull(row, 7) { state.notifiedLevel = rows.label(row, 7, among: levels).map { allLevels[$0] } }
        state.tracked = rows.bool(row, 8)
        return state
    }
}
