import StockQueuePostgres

/// The batch transaction of one worker: claim, lock, decide, write back, commit.
///
/// Owned by the worker's thread, like the connection; the buffers are reused from batch to batch.
final class Batch {
    let connection: Connection
    let statements: WorkStatements
    let settings: WorkerSettings
    let workerName: String
    private let sample: ChangedItemSample
    var claims = ClaimSet()
    /// Some store is paused, so that jobs may have to be paused.
    var hasPausedStores = false
    var laneEpoch: Int64 = 0
    var parameters = Parameters()

    init(
        connection: Connection, statements: WorkStatements, settings: WorkerSettings, workerName: String,
        sample: ChangedItemSample
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
        /// The jobs that were decided, where they were a single job or group; nil where they were more, or none.
        var onlyUnit: [Int64]?

        init() {}

        init(_ jobs: [ClaimedJob], _ decision: BatchDecision) {
            claimed = jobs.count
            left = decision.left
            let decided = jobs.indices.lazy.filter { decision.decisions[$0].fate != .left }
            guard let first = decided.first.map({ jobs[$0] }) else { return }
            if decided.allSatisfy({ jobs[$0].id == first.id || jobs[$0].group >= 0 && jobs[$0].group == first.group }) {
                onlyUnit = decided.map { jobs[$0].id }
            }
        }
    }

    /// Works off one batch of a lane.
    ///
    /// - Parameters:
    ///   - limit: the most jobs to claim; the rest of a group that is cut comes on top.
    ///   - marks: the low-water marks of the lane's priorities; nothing is claimed at or below them.
    ///   - epoch: the lane's epoch that the marks belong to.
    ///   - places: where the lane's stock rows stood last; brought up to date.
    ///   - skipsLockedItems: do not wait for stock rows that somebody else holds.
    ///   - readsKeys: ask which idempotency keys were used before. Otherwise all are taken for free, and where one is not the
    ///     batch is undone.
    /// - Throws: any error of the database; the transaction is rolled back, nothing has happened.
    func run(
        lane: Int16, limit: Int, marks: [Int64], epoch: Int64, places: inout ItemTupleCache.Lane,
        skipsLockedItems: Bool,
        readsKeys: Bool
    ) throws(PostgresError) -> BatchReport {
        last = Extent()
        do throws(PostgresError) {
            var report = try work(
                lane: lane, limit: limit, marks: marks, epoch: epoch, places: &places,
                skipsLockedItems: skipsLockedItems,
                readsKeys: readsKeys)
            if !report.laneWasBusy { report.epoch = laneEpoch }
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
        lane: Int16, limit: Int, marks: [Int64], epoch: Int64, places: inout ItemTupleCache.Lane,
        skipsLockedItems: Bool,
        readsKeys: Bool
    ) throws(PostgresError) -> BatchReport {
        try undoingOnError { () throws(PostgresError) in
            guard try claim(lane: lane, limit: limit, marks: marks) else {
                try connection.rollBack()
                return BatchReport(laneWasBusy: true)
            }
            if laneEpoch != epoch && marks.contains(where: { $0 > 0 }) {
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
            let paused = hasPausedStores ? try pauseJobs() : 0
            var keys = try readsKeys ? readKeys() : [KeyState?](repeating: nil, count: claims.keys.count)
            let stock = try lockItems(skipsLockedItems: skipsLockedItems, &places)
            var decision = decide(claims.jobs, stock: stock, keys: keys)
            // A key taken for free that nobody uses up would not be missed by the database: what waits may be a duplicate.
            if !readsKeys && decision.keyUsers.count < claims.keys.count {
                keys = try readKeys()
                decision = decide(claims.jobs, stock: stock, keys: keys)
            }
            last = Extent(claims.jobs, decision)
            var report = try writeBack(decision, &places)
            try connection.commit()
            report.metUsedKeys = keys.contains { $0 != nil }
            offerSample(decision)
            report.paused = paused
            report.mayHaveMore = claimedRows >= limit
            report.last = lastClaimed.map { ($0.priority, $0.id) }
            return report
        }
    }

    /// One item of each batch may be looked at by the online checker.
    private func offerSample(_ decision: BatchDecision) {
        guard let item = decision.changedItems.randomElement().map(Int.init) else { return }
        sample.offer(
            ChangedItemSample.Item(
                store: claims.items.string(of: item, column: 0), item: claims.items.string(of: item, column: 1),
                location: claims.items.string(of: item, column: 2)))
    }

    // MARK: sending

    func send(_ statement: Statement, _ fill: (inout Parameters) -> Void) throws(PostgresError) {
        parameters.removeAll()
        fill(&parameters)
        try connection.send(statement, parameters)
    }

    /// `unnest` joins silently: a key that is there twice or not at all shows only in the number of rows.
    func expect(_ holds: Bool, _ statement: Statement, _ got: Int, _ wanted: Int) throws(PostgresError) {
        if holds { return }
        throw PostgresError(
            kind: .protocolViolation, message: "\(statement.name) changed \(got) rows, not \(wanted)",
            statement: statement.name)
    }

    func undoingOnError<Value>(_ body: () throws(PostgresError) -> Value) throws(PostgresError) -> Value {
        do {
            return try body()
        } catch {
            // The first error is the one to tell; a connection on which even ROLLBACK fails is made anew by the worker.
            if !error.isConnectionFatal { try? connection.rollBack() }
            throw error
        }
    }
}
