import StockDecision
import StockModel
import StockQueuePostgres

/// The batch transaction of one worker: claim, lock, decide, write back, commit.
///
/// Owned by the worker's thread, like the connection. The buffers are reused from batch to batch.
final class Batch {
    let connection: Connection
    let statements: BatchStatements
    let settings: WorkerSettings
    let workerName: String
    private let sample: ChangedItemSample
    private let onFinished: FinishedJobsHandler?
    var claims = ClaimSet()
    var items = Items()
    var parameters = Parameters()
    /// The statements by which the batch writes, for each that it has sent.
    var writes: [String] = []
    /// How many jobs the batch claimed before it was decided.
    private var claimedJobs = 0
    /// What the batch decided, until it is committed.
    private var decision: BatchDecision?
    private var isCommitting = false
    /// When the transaction began, by the server's clock.
    private var beganAt: Timestamp?
    /// The same by the worker's clock.
    var started = ContinuousClock.now

    /// How far the last batch came; after an error it says which jobs may be at fault.
    var progress: BatchProgress {
        guard let decision else { return BatchProgress(undecided: claimedJobs > 0 ? claims.jobs : []) }
        var progress = BatchProgress(claims.jobs, decision)
        progress.isCommitting = isCommitting
        return progress
    }

    /// After an error: says what became of the calls that the batch was to decide.
    func end(_ immediate: ImmediateWork, after error: PostgresError) {
        if isCommitting, error.isConnectionFatal, let beganAt {
            immediate.doubt(beganAt: beganAt)
        } else {
            immediate.decline()
        }
    }

    /// The hashes of the items of the jobs that were claimed last.
    var claimedItems: Set<UInt32> { Set((0..<Int32(claims.items.count)).map { claims.items.hash(of: $0) }) }

    /// Whose jobs were claimed last.
    var subject: WorkEvent.Subject {
        let items = Set(claims.jobs.map(\.item.position))
        let stores = Set(items.map { claims.items.string(of: $0, column: 0) })
        return WorkEvent.Subject(
            storeIDs: Array(stores.sorted().prefix(Self.storesShownMax)),
            item: items.count == 1 ? items.first.map(key(ofItem:)) : nil)
    }

    private static let storesShownMax = 5

    private func key(ofItem item: Int) -> ItemKey {
        ItemKey(
            claims.items.string(of: item, column: 0), claims.items.string(of: item, column: 1),
            location: claims.items.string(of: item, column: 2))
    }

    init(
        connection: Connection, statements: BatchStatements, settings: WorkerSettings, workerName: String,
        sample: ChangedItemSample, onFinished: FinishedJobsHandler?
    ) {
        self.connection = connection
        self.statements = statements
        self.settings = settings
        self.workerName = workerName
        self.sample = sample
        self.onFinished = onFinished
    }

    /// Runs one batch of a lane.
    ///
    /// - Parameter tuples: the cached tuple ids of the lane's items; brought up to date.
    /// - Throws: any error of the database. The transaction is rolled back then, and nothing has happened.
    func run(_ request: BatchRequest, tuples: inout ItemTupleCache.Lane) throws(PostgresError) -> BatchOutcome {
        startAnew()
        return try rollingBackOnError { () throws(PostgresError) in
            let outcome = try work(request, &tuples)
            if case .committed = outcome { return outcome }
            try connection.rollBack()
            return outcome
        }
    }

    func startAnew() {
        (claimedJobs, decision, isCommitting, items) = (0, nil, false, Items())
        writes.removeAll(keepingCapacity: true)
    }

    private func work(_ request: BatchRequest, _ tuples: inout ItemTupleCache.Lane) throws(PostgresError)
        -> BatchOutcome
    {
        guard let lane = try request.isClaimed ? lockClaimed(request) : claim(request) else {
            return .laneUnavailable
        }
        if lane.epoch != request.marks.epoch && request.marks.hideAnything { return .staleMarks(epoch: lane.epoch) }
        let claimedRows = claims.jobs.count
        claimedJobs = claimedRows
        let atLimit = claims.storesAtLimit(of: request.marks)
        let immediate = immediate(of: request, lane, claimedRows: claimedRows, atLimit: atLimit)
        if claimedRows == 0 && immediate == nil { return .nothingReady(epoch: lane.epoch) }
        let keepsAll = !lane.hasPausedStores && !request.skipsLockedItems && request.leavesOut.isNothing
        // Calls come behind every job that is ready. A claim ahead skips locked jobs too.
        let mayLackJobs = request.skipsLockedJobs || immediate != nil
        let range =
            mayLackJobs ? ClaimedRange(claims.strands, marks: request.marks, whole: immediate?.stores ?? []) : nil
        let mayHaveMore = claimedRows >= request.jobsMax || !atLimit.isEmpty
        let ended = try completeClaim(
            range, passing: request.marks.passed, locking: keepsAll ? tuples : nil, immediate)
        if !ended.isEmpty { return .transactionsEnded(ended) }
        let metLockedJobs = range != nil && claims.jobs.contains { !$0.isClaimed }
        claims.leaveOut(request.leavesOut)
        let paused = lane.hasPausedStores ? try pauseJobs() : 0
        var keys = try request.readsKeys ? readKeys() : [KeyState?](repeating: nil, count: claims.keys.count)
        try lockItems(skipsLocked: request.skipsLockedItems, &tuples)
        if let immediate, immediate.isInBatch { add(immediate, lane) }
        let tooLarge = Set(claims.tooLargeGroups.keys)
        let counts = try readCounts()
        var decision = decide(
            claims.jobs, items: items.states, keys: keys, tooLargeGroups: tooLarge, counts: counts)
        // A key that was taken for unused and that no job uses would not violate the primary key: a job that waits may
        // be a duplicate.
        if !request.readsKeys && decision.keyUsers.count < claims.keys.count {
            keys = try readKeys()
            decision = decide(
                claims.jobs, items: items.states, keys: keys, tooLargeGroups: tooLarge, counts: counts)
        }
        self.decision = decision
        if keepsAll, mayHaveMore, claimedRows * 2 >= request.jobsMax, decision.skipped == 0 {
            request.handover?.offer(claims.strands)
        }
        let written = try writeBack(decision, &tuples)
        (isCommitting, beganAt) = (true, lane.beganAt)
        if case .trying = request.leavesOut {
            try execute(statements.checkConstraints)
            return .tried(statements: committedStatements)
        }
        try connection.commit()
        self.decision = nil
        immediate?.end(written.immediate, beganAt: lane.beganAt)
        onFinished?(FinishedJobs(claims, decision, finishedAt: lane.beganAt))
        offerSample(decision)
        return .committed(
            BatchReport(
                epoch: lane.epoch, claimed: claims.jobs.count, outcomes: decision.outcomes,
                finished: decision.finished, waiting: decision.waiting, skipped: decision.skipped,
                notifications: decision.levelChanges.count,
                latencies: JobLatencies(
                    claims.enqueuedAts, decision.jobs, began: lane.beganAt, duration: started.duration(to: .now)),
                paused: paused, promotions: written.promotions,
                metLockedJobs: metLockedJobs, metUsedKeys: keys.contains { $0 != nil }, strands: claims.strands,
                isFull: claimedRows >= request.jobsMax, mayHaveMore: mayHaveMore, statements: committedStatements))
    }

    /// A COMMIT without anything to commit proves nothing.
    private var committedStatements: [String] { writes.isEmpty ? [] : writes + [Statement.commit.name] }

    /// Offers one changed item of the batch to the ledger checker.
    private func offerSample(_ decision: BatchDecision) {
        guard let item = decision.changedItems.randomElement() else { return }
        sample.offer(key(ofItem: item.position))
    }

    // MARK: sending

    func send(_ statement: some QueueStatement, _ fill: (inout Parameters) -> Void = { _ in }) throws(PostgresError) {
        parameters.removeAll()
        fill(&parameters)
        try connection.send(statement.statement, parameters)
    }

    /// Sends one statement and waits for its rows.
    @discardableResult
    func execute(
        _ statement: some QueueStatement, _ fill: (inout Parameters) -> Void = { _ in }
    ) throws(PostgresError) -> ResultSet {
        try send(statement, fill)
        return try connection.receive()[0]
    }

    /// Checks the number of rows that a statement changed. `unnest` joins silently: a key that is missing or occurs
    /// twice shows only there.
    func expect(_ rows: Int, changedBy statement: String, got: Int) throws(PostgresError) {
        if got == rows { return }
        throw PostgresError(
            kind: .unexpectedRowCount, message: "\(statement) changed \(got) rows, not \(rows)", statement: statement)
    }

    func rollingBackOnError<Value>(_ body: () throws(PostgresError) -> Value) throws(PostgresError) -> Value {
        do {
            return try body()
        } catch {
            // Rethrow the first error; a failed rollback adds nothing. The worker replaces a connection that cannot
            // roll back.
            if !error.isConnectionFatal { try? connection.rollBack() }
            throw error
        }
    }
}
