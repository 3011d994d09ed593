import StockQueuePostgres

/// Finds work for the workers of a process: polls for lanes with ready jobs, promotes due jobs, and listens for
/// wake-ups.
///
/// One thread and one connection, so idle workers send nothing to the database. A pooler in transaction mode does not
/// carry LISTEN; behind one, polling alone finds every job.
struct Poller: WorkerService {
    let context: ServiceContext
    /// Stop when nothing is ready or due.
    let drains: Bool

    let name = "poller"
    let role = "poller"

    func session(_ settings: WorkerSettings) -> [(name: String, value: String)] { settings.session }

    /// Polls until the queue is drained or the stop signal ends it.
    func run(on connection: Connection, _ report: ServiceReport) throws(PostgresError) {
        var polling = Polling(poller: self, connection: connection, report: report)
        try polling.run()
    }
}

/// The poller's state on one connection.
private struct Polling {
    private let context: ServiceContext
    private let drains: Bool
    private let connection: Connection
    private let report: ServiceReport
    private let statements: Statements
    private var backoff: IdleBackoff
    private var stableID: StableIDTracker
    private var fullScan = FullScanSchedule()
    private var nextWakeUpOfOthersAt: Deadline?
    /// The drain has found nothing, and ends after a full scan that finds nothing either.
    private var isLastPoll = false

    private struct Statements {
        let poll: PollStatement
        let promoteDue: PromoteDueStatement
        let setWorkersAwake: SetWorkersAwakeStatement
        let wakeUp = WakeUpStatement()
    }

    init(poller: Poller, connection: Connection, report: ServiceReport) {
        context = poller.context
        drains = poller.drains
        self.connection = connection
        self.report = report
        let schema = context.schema
        statements = Statements(
            poll: PollStatement(schema), promoteDue: PromoteDueStatement(schema),
            setWorkersAwake: SetWorkersAwakeStatement(schema))
        backoff = IdleBackoff(awakeAfterMs: context.settings.awakeAfter.milliseconds)
        stableID = StableIDTracker(schema)
    }

    /// While all workers are busy, polling only raises the marks now and then.
    private static let busyPauseMs = 250
    /// A worker is idle, or due jobs are locked by another transaction.
    private static let shortPauseMs = 5
    /// All lanes with work are in their cooldown, because another transaction has locked them or their items.
    private static let cooldownPauseMs = 20
    private static let wakeOthersEveryMs = 1_000

    mutating func run() throws(PostgresError) {
        if !connection.settings.pooled { try connection.listen(channel: context.schema.name) }
        // A new connection may lead to another server, and a standby that was promoted may have drawn fewer ids.
        context.marks.resetAll()
        while true {
            // In this order: the thread that stops the pool sets the signal first, then wakes the poller.
            context.pollerWakeUp.clear()
            if context.stop.isFinishing { break }
            if backoff.isRecent { try stableID.advance(connection, context.marks) }
            guard let pauseMs = try pollOnce() else { return }
            _ = try connection.waitForNotification(
                wakeDescriptor: context.pollerWakeUp.descriptor, timeoutMs: pauseMs)
        }
        // No poller of this process listens any more.
        try setWorkersAwake(false)
    }

    /// - Returns: the pause before the next poll, 0 for none; nil when the queue is drained.
    private mutating func pollOnce() throws(PostgresError) -> Int? {
        let isFullScan = isLastPoll || fullScan.isDue
        let start = Stopwatch()
        var found = try poll(isFullScan)
        if isFullScan { fullScan.took(milliseconds: start.milliseconds) }
        if let due = found.nextDueMs, due <= 0 {
            try promoteDue()
            found = try poll(isFullScan)
        }
        report.healthy()
        var canBeWorked = true
        if !found.lanes.isEmpty {
            canBeWorked = context.laneQueue.enqueue(found.lanes)
            isLastPoll = false
            backoff.foundWork()
            if found.lanes.count > context.settings.workers { try wakeOtherProcesses() }
        } else if context.laneQueue.isIdle {
            if drains && (found.nextDueMs ?? 1) > 0 {
                if isFullScan { return nil }
                isLastPoll = true
                return 0
            }
            backoff.foundNothing()
        }
        if let awake = backoff.changeForProducers() { try setWorkersAwake(awake) }
        let longest = context.settings.pollIntervalMax.milliseconds
        let pause = backoff.isIdle ? backoff.pauseMs(longest: longest) : busyPauseMs(canBeWorked)
        // Due jobs that could not be promoted are locked by another transaction: poll again soon, without spinning on
        // them.
        let untilDue = found.nextDueMs.map { max($0, Self.shortPauseMs) } ?? Int.max
        return min(pause, untilDue, longest)
    }

    /// The workers wake the poller when they run out of lanes, so while all of them are busy it has nothing to find.
    /// While one is idle, work may arrive at any time, or another process may release a lane.
    private func busyPauseMs(_ canBeWorked: Bool) -> Int {
        if !canBeWorked { return Self.cooldownPauseMs }
        return context.laneQueue.working < context.settings.workers ? Self.shortPauseMs : Self.busyPauseMs
    }

    private func poll(_ isFullScan: Bool) throws(PostgresError) -> (lanes: [Int16], nextDueMs: Int?) {
        let snapshot = isFullScan ? context.marks.snapshot.fromZero : context.marks.snapshot
        var parameters = Parameters()
        parameters.addArray(of: snapshot.marks.count, int64: { snapshot.marks[$0] })
        let answer = PollStatement.answer(in: try connection.execute(statements.poll.statement, parameters))
        var lanes: [Int16] = []
        var hasReady = [Bool](repeating: false, count: snapshot.marks.count)
        for ready in answer.ready {
            hasReady[LowWaterMarks.index(lane: ready.lane, priority: ready.priority)] = true
            if isFullScan {
                context.marks.lower(lane: ready.lane, priority: ready.priority, below: ready.firstID)
            }
            if lanes.last != ready.lane { lanes.append(ready.lane) }
        }
        context.marks.raise(from: snapshot) { !hasReady[$0] }
        // In random order; otherwise several processes would ask for the same lane at the same time.
        return (lanes.shuffled(), answer.nextDueMs)
    }

    private func promoteDue() throws(PostgresError) {
        var parameters = Parameters()
        parameters.add(Int32(context.settings.promoteDueJobsMax))
        let promotions = PromoteDueStatement.promotions(
            in: try connection.execute(statements.promoteDue.statement, parameters))
        for promotion in promotions {
            context.marks.lower(lane: promotion.lane, priority: promotion.priority, below: promotion.firstID)
        }
        let jobs = promotions.reduce(0) { $0 + $1.jobs }
        if jobs > 0 { context.onEvent(.promoted(.init(jobs: jobs))) }
    }

    /// There is more work than this process can do at once, and the workers of other processes may sleep.
    private mutating func wakeOtherProcesses() throws(PostgresError) {
        if nextWakeUpOfOthersAt?.hasPassed == false { return }
        nextWakeUpOfOthersAt = .after(milliseconds: Self.wakeOthersEveryMs)
        var parameters = Parameters()
        parameters.add(context.schema.name)
        try connection.execute(statements.wakeUp.statement, parameters)
    }

    private func setWorkersAwake(_ awake: Bool) throws(PostgresError) {
        var parameters = Parameters()
        parameters.add(awake)
        try connection.execute(statements.setWorkersAwake.statement, parameters)
    }
}
