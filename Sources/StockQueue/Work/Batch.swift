import Postgres

/// What a batch did.
struct BatchReport: Sendable {
    /// Somebody else holds the lane; nothing was done.
    var laneWasBusy = false
    /// Jobs claimed, with the whole of their groups.
    var claimed = 0
    var finished = 0
    var waiting = 0
    /// Jobs left for the next round because somebody else holds their item or one of their lines.
    var left = 0
    var notifications = 0
    /// Jobs of paused stores, set aside until those are resumed.
    var parked = 0
    /// The lane's revision, where the lane was had.
    var revision: Int64?
    /// The lane's marks belong to another revision, and may hide ready jobs; nothing was done.
    var marksWereStale = false
    /// An idempotency key was used before; nothing was done, and the batch has to read the keys.
    var keyWasTaken = false
    /// The keys were read, and some were used before.
    var metUsedKeys = false
    /// Waiting jobs that this batch's stock woke.
    var woken = 0
    var applied = 0
    var rejected = 0
    /// The claim was as large as allowed, so there may be more.
    var mayHaveMore = false
    /// The last job claimed in order of work.
    var last: (priority: Int16, id: Int64)?
    /// The lowest job woken in a lane and priority.
    var wokenPlaces: [(lane: Int16, priority: Int16, id: Int64)] = []
}

/// The batch transaction of one worker: claim, lock, judge, write back, commit.
///
/// Owned by the worker's thread, like the connection; the buffers are reused from batch to batch.
final class Batch {
    private let connection: Connection
    private let statements: WorkStatements
    private let settings: WorkerSettings
    private let workerName: String
    private let sample: ChangedItems
    private var claims = ClaimSet()
    /// Some store is paused, so that jobs may have to be parked.
    private var hasPausedStores = false
    private var laneRevision: Int64 = 0
    private var parameters = Parameters()

    init(
        connection: Connection, statements: WorkStatements, settings: WorkerSettings, workerName: String,
        sample: ChangedItems
    ) {
        self.connection = connection
        self.statements = statements
        self.settings = settings
        self.workerName = workerName
        self.sample = sample
    }

    /// How far the last batch got, for finding the guilty job when the database refused it.
    private(set) var last = Extent()

    struct Extent {
        /// Jobs in the claim.
        var claimed = 0
        /// Jobs that were left for the next round; they stand in front, and have nothing to do with a refusal.
        var left = 0
        /// The jobs that were judged, where they were a single job or group; nil where they were more, or none.
        var onlyUnit: [Int64]?

        init() {}

        init(_ jobs: [ClaimedJob], _ judgement: Judgement) {
            claimed = jobs.count
            left = judgement.left
            let judged = jobs.indices.lazy.filter { judgement.verdicts[$0].fate != .left }
            guard let first = judged.first.map({ jobs[$0] }) else { return }
            if judged.allSatisfy({ jobs[$0].id == first.id || jobs[$0].group >= 0 && jobs[$0].group == first.group }) {
                onlyUnit = judged.map { jobs[$0].id }
            }
        }
    }

    /// Works off one batch of a lane.
    ///
    /// - Parameters:
    ///   - limit: the most jobs to claim; the rest of a group that is cut comes on top.
    ///   - marks: the low-water marks of the lane's priorities; nothing is claimed at or below them.
    ///   - revision: the lane's revision that the marks belong to.
    ///   - places: where the lane's stock rows stood last; brought up to date.
    ///   - skipsHeld: do not wait for stock rows that somebody else holds.
    ///   - readsKeys: ask which idempotency keys were used before. Otherwise all are taken for free, and where one is not the
    ///     batch is undone.
    /// - Throws: any error of the database; the transaction is rolled back, nothing has happened.
    func run(
        lane: Int16, limit: Int, marks: [Int64], revision: Int64, places: inout ItemPlaces.Lane, skipsHeld: Bool,
        readsKeys: Bool
    ) throws(PostgresError) -> BatchReport {
        last = Extent()
        do throws(PostgresError) {
            var report = try work(
                lane: lane, limit: limit, marks: marks, revision: revision, places: &places, skipsHeld: skipsHeld,
                readsKeys: readsKeys)
            if !report.laneWasBusy { report.revision = laneRevision }
            return report
        } catch {
            // The transaction is rolled back by now.
            if error.sqlState == "23505" && error.constraint == Self.keysConstraint {
                return BatchReport(keyWasTaken: true)
            }
            throw error
        }
    }

    private static let keysConstraint = "idempotency_keys_pkey"

    private func work(
        lane: Int16, limit: Int, marks: [Int64], revision: Int64, places: inout ItemPlaces.Lane, skipsHeld: Bool,
        readsKeys: Bool
    ) throws(PostgresError) -> BatchReport {
        try undoingOnError { () throws(PostgresError) in
            guard try claim(lane: lane, limit: limit, marks: marks) else {
                try connection.rollBack()
                return BatchReport(laneWasBusy: true)
            }
            if laneRevision != revision && marks.contains(where: { $0 > 0 }) {
                try connection.rollBack()
                return BatchReport(marksWereStale: true)
            }
            if claims.jobs.isEmpty {
                try connection.rollBack()
                return BatchReport()
            }
            let claimedRows = claims.jobs.count
            last.claimed = claimedRows
            let lastClaimed = claims.jobs.last
            try completeClaim(lane: lane, marks: marks)
            let parked = hasPausedStores ? try park() : 0
            var keys = try readsKeys ? readKeys() : [KeyState?](repeating: nil, count: claims.keys.count)
            let stock = try lockStock(skipsHeld: skipsHeld, &places)
            var judgement = judge(claims.jobs, stock: stock, keys: keys)
            // A key taken for free that nobody uses up would not be missed by the database: what waits may be a duplicate.
            if !readsKeys && judgement.keyUsers.count < claims.keys.count {
                keys = try readKeys()
                judgement = judge(claims.jobs, stock: stock, keys: keys)
            }
            last = Extent(claims.jobs, judgement)
            var report = try writeBack(judgement, &places)
            try connection.commit()
            report.metUsedKeys = keys.contains { $0 != nil }
            offerSample(judgement)
            report.parked = parked
            report.mayHaveMore = claimedRows >= limit
            report.last = lastClaimed.map { ($0.priority, $0.id) }
            return report
        }
    }

    /// One item of each batch may be looked at by the online checker.
    private func offerSample(_ judgement: Judgement) {
        guard let item = judgement.changedItems.randomElement().map(Int.init) else { return }
        sample.offer(
            ChangedItems.Item(
                store: claims.items.string(of: item, column: 0), item: claims.items.string(of: item, column: 1),
                location: claims.items.string(of: item, column: 2)))
    }

    /// How a refused job is settled; each way is tried where the database refuses the one before it.
    private enum Settlement: CaseIterable {
        /// A failed result, or a later attempt where some are left.
        case asItIs
        /// A failed result with the job as text inside its message.
        case asText
        /// Set aside although its attempts are used: nothing may stay in front of a lane that can never be finished.
        case asideWhateverItsAttempts
    }

    /// Settles a job, or the lines of a group, that the database refused when they stood alone: counts the attempt and
    /// sets them aside, or gives them up when their attempts are used.
    ///
    /// - Returns: true when they were given up. Nil when the lane is busy or one of them is gone or held.
    func settleFailure(of ids: [Int64], lane: Int16, error: PostgresError) throws(PostgresError) -> Bool? {
        var last = error
        for settlement in Settlement.allCases {
            do throws(PostgresError) {
                return try settleFailure(of: ids, lane: lane, error: error, settlement)
            } catch {
                guard error.isCausedByData else { throw error }
                last = error
            }
        }
        throw last
    }

    private func settleFailure(
        of ids: [Int64], lane: Int16, error: PostgresError, _ settlement: Settlement
    ) throws(PostgresError) -> Bool? {
        try undoingOnError { () throws(PostgresError) in
            claims.removeAll()
            try sendHold(lane)
            try send(statements.claimByID) { $0.addArray(of: ids.count, int64: { ids[$0] }) }
            if let rows = try receiveHeld() { try claims.add(rows) }
            let jobs = claims.jobs
            guard jobs.count == ids.count else {
                try connection.rollBack()
                return nil
            }
            let mostAttempts = jobs.map { Int($0.maxAttempts) }.min() ?? 1
            let isOver =
                settlement != .asideWhateverItsAttempts
                && (jobs.map { Int($0.attempts) }.max() ?? 0) + 1 >= mostAttempts
            parameters.removeAll()
            parameters.addArray(of: jobs.count, place: { jobs[$0].place })
            let statement: Statement
            if isOver {
                parameters.add(workerName)
                parameters.add(error.sqlState)
                parameters.add(error.debugDescription)
                statement = settlement == .asText ? statements.writeFailuresAsText : statements.writeFailures
            } else {
                parameters.add(error.debugDescription)
                statement = statements.retryLater
            }
            let changed = try connection.execute(statement, parameters).affectedRows
            try expect(changed == jobs.count, statement, changed, jobs.count)
            try connection.commit()
            return isOver
        }
    }

    // MARK: claim

    /// - Returns: false when somebody else holds the lane.
    private func claim(lane: Int16, limit: Int, marks: [Int64]) throws(PostgresError) -> Bool {
        claims.removeAll()
        try sendHold(lane)
        try send(statements.claim) { parameters in
            parameters.add(Int32(limit))
            parameters.addArray(of: marks.count, int64: { marks[$0] })
        }
        guard let rows = try receiveHeld() else { return false }
        try claims.add(rows)
        return true
    }

    private func sendHold(_ lane: Int16) throws(PostgresError) {
        try connection.send(.begin)
        try connection.sendSessionSettings()
        try send(statements.holdLane) { $0.add(lane) }
    }

    /// The rows of the claim that was sent behind `sendHold`; nil when somebody else holds the lane, or it is paused.
    private func receiveHeld() throws(PostgresError) -> ResultSet? {
        let results = try connection.receive()
        let held = results[results.count - 2]
        guard held.rowCount == 1 else { return nil }
        hasPausedStores = held.bool(0, 1)
        laneRevision = held.int64(0, 2)
        return results[results.count - 1]
    }

    /// Sets the jobs of paused stores aside; they are out of the batch then.
    ///
    /// - Returns: how many.
    private func park() throws(PostgresError) -> Int {
        try send(statements.readPausedStores) { _ in }
        let stores = try connection.receive()[0]
        let places = claims.removeJobs(ofStores: Set((0..<stores.rowCount).map { stores.string($0, 0) }))
        if places.isEmpty { return 0 }
        try send(statements.park) { $0.addArray(of: places.count, place: { places[$0] }) }
        let parked = try connection.receive()[0].affectedRows
        try expect(parked == places.count, statements.park, parked, places.count)
        return parked
    }

    /// Brings in what belongs to the claim: the rest of groups that were cut, and jobs that somebody else holds, which
    /// are left and keep what comes after them on their items behind them.
    private func completeClaim(lane: Int16, marks: [Int64]) throws(PostgresError) {
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
    private func readKeys() throws(PostgresError) -> [KeyState?] {
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

    private func lockStock(skipsHeld: Bool, _ places: inout ItemPlaces.Lane) throws(PostgresError) -> [StockState] {
        let items = claims.items
        var stock = [StockState](repeating: StockState(), count: items.count)
        func take(_ rows: ResultSet, _ keys: [Int32]) {
            for row in 0..<rows.rowCount { stock[Int(keys[Int(rows.int32(row, 0))])] = Self.stockState(rows, row) }
        }
        var keys = items.sortedKeys()
        if !skipsHeld {
            let remembered = keys.filter { places[items.hash(of: $0)] != nil }
            if !remembered.isEmpty {
                let there = remembered.map { places[items.hash(of: $0)] ?? RowPlace(block: 0, line: 0) }
                try send(statements.lockRememberedStock) { parameters in
                    self.addItems(remembered, to: &parameters)
                    parameters.addArray(of: there.count, place: { there[$0] })
                }
                take(try connection.receive()[0], remembered)
                keys.removeAll { stock[Int($0)].presence == .known }
            }
        }
        if keys.isEmpty { return stock }
        let lock = skipsHeld ? statements.lockFreeStock : statements.lockStock
        try send(lock) { self.addItems(keys, to: &$0) }
        take(try connection.receive()[0], keys)
        for key in keys where stock[Int(key)].presence == .known {
            places[items.hash(of: key)] = stock[Int(key)].place
        }
        let missing = keys.filter { stock[Int($0)].presence == .unknown }
        if skipsHeld && !missing.isEmpty {
            try send(statements.readStock) { self.addItems(missing, to: &$0) }
            let held = try connection.receive()[0]
            for row in 0..<held.rowCount { stock[Int(missing[Int(held.int32(row, 0))])].presence = .held }
        }
        return stock
    }

    private func addItems(_ keys: [Int32], to parameters: inout Parameters) {
        for column in 0..<3 { parameters.addArray(of: keys, in: claims.items, column: column) }
    }

    private static let levels = AlertLevel.labels
    private static let allLevels = AlertLevel.allCases

    static func stockState(_ rows: ResultSet, _ row: Int) -> StockState {
        var state = StockState()
        state.presence = .known
        state.place = rows.place(row, 1)
        state.onHand = rows.int64(row, 2)
        state.allocated = rows.int64(row, 3)
        state.version = rows.int64(row, 4)
        state.threshold = rows.optionalInt64(row, 5)
        state.lastJobID = rows.optionalInt64(row, 6)
        if !rows.isNull(row, 7) { state.toldLevel = rows.label(row, 7, among: levels).map { allLevels[$0] } }
        state.tracked = rows.bool(row, 8)
        return state
    }

    // MARK: write back

    private func writeBack(
        _ judgement: Judgement, _ places: inout ItemPlaces.Lane
    ) throws(PostgresError) -> BatchReport {
        var report = BatchReport()
        report.claimed = claims.jobs.count
        report.finished = judgement.finished
        report.waiting = judgement.waiting
        report.left = judgement.left
        report.notifications = judgement.levelChanges.count
        var expected: [(Statement, Int)] = []
        let keyUsers = judgement.keyUsers
        if !keyUsers.isEmpty {
            try sendKeyUse(keyUsers)
            expected.append((statements.useKeys, keyUsers.count))
        }
        if !judgement.changedItems.isEmpty {
            try sendStock(judgement)
            expected.append((statements.writeStock, judgement.changedItems.count))
        }
        let finished = judgement.verdicts.indices.filter { judgement.verdicts[$0].fate == .result }
        if !finished.isEmpty {
            try sendResults(judgement.verdicts, finished)
            expected.append((statements.writeResults, finished.count))
        }
        if !judgement.levelChanges.isEmpty {
            try sendNotifications(judgement.levelChanges)
            expected.append((statements.writeNotifications, judgement.levelChanges.count))
        }
        if judgement.waiting > 0 {
            let waiting = judgement.verdicts.indices.filter { judgement.verdicts[$0].fate == .waits }
            try sendWaiting(judgement.verdicts, waiting)
            expected.append((statements.deferWaiting, waiting.count))
        }
        let results = try connection.receive()
        for (result, (statement, rows)) in zip(results, expected) {
            try expect(result.affectedRows == rows, statement, result.affectedRows, rows)
        }
        if !judgement.changedItems.isEmpty {
            let written = results[keyUsers.isEmpty ? 0 : 1]
            for row in 0..<written.rowCount {
                let item = judgement.changedItems[Int(written.int32(row, 0))]
                places[claims.items.hash(of: item)] = written.place(row, 1)
            }
        }
        try promoteWaiting(judgement, &report)
        for index in finished {
            switch judgement.verdicts[index].outcome {
            case .applied: report.applied += 1
            case .rejected: report.rejected += 1
            default: break
            }
        }
        return report
    }

    private func sendKeyUse(_ users: [Int32]) throws(PostgresError) {
        let jobs = claims.jobs
        try send(statements.useKeys) { $0.addArray(of: users.count, place: { jobs[Int(users[$0])].place }) }
    }

    private func sendStock(_ judgement: Judgement) throws(PostgresError) {
        let items = judgement.changedItems
        let stock = judgement.stock
        func state(_ index: Int) -> StockState { stock[Int(items[index])] }
        try send(statements.writeStock) { parameters in
            parameters.addArray(of: items.count, place: { state($0).place })
            parameters.addArray(of: items.count, int64: { state($0).onHand })
            parameters.addArray(of: items.count, int64: { state($0).allocated })
            parameters.addArray(of: items.count, int64: { state($0).version })
            parameters.addArray(of: items.count, int64: { state($0).lastJobID })
            parameters.addArray(of: items.count, int16: { state($0).toldLevel.map { Int16($0.ordinal) } })
        }
    }

    private func sendResults(_ verdicts: [Verdict], _ finished: [Int]) throws(PostgresError) {
        let count = finished.count
        let jobs = claims.jobs
        func verdict(_ index: Int) -> Verdict { verdicts[finished[index]] }
        // Arrays without elements are padded with NULL: most batches have neither.
        let repeats = claims.keys.count > 0 ? count : 0
        let groupLasts = claims.groups.count > 0 ? claims.lastOfGroups() : []
        try send(statements.writeResults) { parameters in
            parameters.addArray(of: count, place: { jobs[finished[$0]].place })
            parameters.addArray(of: count, int16: { Int16(verdict($0).outcome.ordinal) })
            parameters.addArray(of: count, int16: { verdict($0).code.map { Int16($0.ordinal) } })
            parameters.addArray(of: count, bool: { verdict($0).warnsNegative })
            parameters.addArray(of: count, int64: { verdict($0).appliedQuantity })
            parameters.addArray(of: count, int64: { verdict($0).hasStock ? verdict($0).onHandBefore : nil })
            parameters.addArray(of: count, int64: { verdict($0).hasStock ? verdict($0).onHandAfter : nil })
            parameters.addArray(of: count, int64: { verdict($0).hasStock ? verdict($0).allocatedBefore : nil })
            parameters.addArray(of: count, int64: { verdict($0).hasStock ? verdict($0).allocatedAfter : nil })
            parameters.addArray(of: count, int64: { verdict($0).hasStock ? verdict($0).version : nil })
            parameters.addArray(of: count, int64: { verdict($0).previousJobID })
            parameters.addArray(of: count, int16: { verdict($0).levelBefore.map { Int16($0.ordinal) } })
            parameters.addArray(of: count, int16: { verdict($0).levelAfter.map { Int16($0.ordinal) } })
            parameters.add(workerName)
            parameters.addArray(of: repeats, int64: { verdict($0).firstJobID })
            parameters.addArray(of: groupLasts.isEmpty ? 0 : count, int64: { groupLasts[finished[$0]] })
        }
    }

    private func sendNotifications(_ changes: [LevelChange]) throws(PostgresError) {
        let items = changes.map(\.item)
        let jobs = claims.jobs
        try send(statements.writeNotifications) { parameters in
            self.addItems(items, to: &parameters)
            parameters.addArray(of: changes.count, int16: { Int16(changes[$0].kind.ordinal) })
            parameters.addArray(of: changes.count, int64: { changes[$0].threshold })
            parameters.addArray(of: changes.count, int64: { changes[$0].availableBefore })
            parameters.addArray(of: changes.count, int64: { changes[$0].availableAfter })
            parameters.addArray(of: changes.count, int64: { jobs[Int(changes[$0].job)].id })
            parameters.addArray(of: changes.count, int64: { changes[$0].version })
        }
    }

    private func sendWaiting(_ verdicts: [Verdict], _ waiting: [Int]) throws(PostgresError) {
        let jobs = claims.jobs
        try send(statements.deferWaiting) { parameters in
            parameters.addArray(of: waiting.count, place: { jobs[waiting[$0]].place })
            parameters.addArray(of: waiting.count, int64: { verdicts[waiting[$0]].waitingQuantity })
            parameters.add(Int64(settings.waitLongestSeconds))
        }
    }

    /// Wakes what waits for the stock that rose, a bounded number of jobs at a time.
    private func promoteWaiting(_ judgement: Judgement, _ report: inout BatchReport) throws(PostgresError) {
        var risen = judgement.risenItems.filter { judgement.stock[Int($0)].available > 0 }
        var left = risen.map { judgement.stock[Int($0)].available }
        while !risen.isEmpty {
            try send(statements.promoteWaiting) { parameters in
                self.addItems(risen, to: &parameters)
                parameters.addArray(of: left.count, int64: { left[$0] })
                parameters.add(Int32(settings.wakeWaitingMax))
            }
            let promoted = try connection.receive()[0]
            var stillRisen: [Int32] = []
            var stillLeft: [Int64] = []
            for row in 0..<promoted.rowCount {
                let count = Int(promoted.int64(row, 3))
                if promoted.isNull(row, 0) {
                    report.woken += count
                    report.wokenPlaces.append((promoted.int16(row, 1), promoted.int16(row, 2), promoted.int64(row, 4)))
                    continue
                }
                guard count == settings.wakeWaitingMax else { continue }
                let index = Int(promoted.int32(row, 0))
                stillRisen.append(risen[index])
                stillLeft.append(left[index] - promoted.int64(row, 4))
            }
            risen = stillRisen
            left = stillLeft
        }
    }

    // MARK: sending

    private func send(_ statement: Statement, _ fill: (inout Parameters) -> Void) throws(PostgresError) {
        parameters.removeAll()
        fill(&parameters)
        try connection.send(statement, parameters)
    }

    /// `unnest` joins silently: a key that is there twice or not at all shows only in the number of rows.
    private func expect(_ holds: Bool, _ statement: Statement, _ got: Int, _ wanted: Int) throws(PostgresError) {
        if holds { return }
        throw PostgresError(
            kind: .protocolViolation, message: "\(statement.name) changed \(got) rows, not \(wanted)",
            statement: statement.name)
    }

    private func undoingOnError<Value>(_ body: () throws(PostgresError) -> Value) throws(PostgresError) -> Value {
        do {
            return try body()
        } catch {
            // The first error is the one to tell; a connection on which even ROLLBACK fails is made anew by the worker.
            if !error.endsConnection { try? connection.rollBack() }
            throw error
        }
    }
}

extension PostgresError {
    /// The job's own data made the statement fail: class 22 (data exception) or 23 (constraint violation), except for a
    /// partition of the results that is missing, which is the house's trouble.
    var isCausedByData: Bool {
        guard kind == .server, let sqlState else { return false }
        return (sqlState.hasPrefix("22") || sqlState.hasPrefix("23")) && !isMissingPartition
    }

    /// "no partition of relation … found for row" is a check violation without a constraint's name.
    var isMissingPartition: Bool { sqlState == "23514" && constraint == nil }
}
