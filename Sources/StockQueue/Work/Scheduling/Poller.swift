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

    func session(_ settings: WorkerSettings) -> [(name: String, value: String)] { settings.batchSession }

    /// Polls until the queue is drained or the stop signal ends it.
    func run(on connection: Connection, _ report: ServiceReport) throws(PostgresError) {
        var polling = Polling(poller: self, connection: connection, report: report)
        try polling.run()
    }
}

/// How long the last polls took, and so how long to pause beside busy workers.
private struct RecentPolls {
    /// The newest last.
    private var microseconds: [Int] = []

    /// A pause is so many times as long as the quickest of the last polls: the others also waited for a processor.
    private static let (pauseOfPollTime, remembered) = (20, 8)

    var isEmpty: Bool { microseconds.isEmpty }
    var pauseMs: Int { (microseconds.min() ?? 0) * Self.pauseOfPollTime / 1_000 }

    mutating func add(_ poll: Stopwatch) {
        microseconds = microseconds.suffix(Self.remembered - 1) + [poll.microseconds]
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
    private var openTransactions: OpenTransactionWatch
    private var dueJobs: DueJobs
    private var fullScan: FullScan
    private var nextWakeUpOfOthersAt: Deadline?
    private var nextWidePollAt: Deadline?
    private var polls = RecentPolls()
    /// Those that looked behind the strands of deep stores.
    private var widePolls = RecentPolls()
    /// The strands in which the last poll found jobs.
    private var busyStrands: Set<Strand> = []
    /// The drain has found nothing, and ends after a poll of everything that finds nothing either.
    private var isLastPoll = false

    private struct Statements {
        let poll: PollStatement
        let findStrands: FindStrandsStatement
        let countFirstJobs: CountFirstJobsStatement
        let changedLanes: ChangedLanesStatement
        let findEndedTransactions = FindEndedTransactionsStatement()
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
            poll: PollStatement(schema), findStrands: FindStrandsStatement(schema),
            countFirstJobs: CountFirstJobsStatement(schema), changedLanes: ChangedLanesStatement(schema),
            setWorkersAwake: SetWorkersAwakeStatement(schema))
        backoff = IdleBackoff(awakeAfterMs: context.settings.awakeAfter.milliseconds)
        openTransactions = OpenTransactionWatch(schema)
        dueJobs = DueJobs(schema)
        fullScan = FullScan(schema)
    }

    /// The longest pause while all workers are busy: a poll finds the stores whose turn comes before theirs. Also the
    /// longest pause between wide polls: a thousand deep stores make one of these ten times as long as the others.
    private static let busyPauseMs = 250
    /// A worker is idle, or due jobs are locked by another transaction.
    private static let shortPauseMs = 5
    /// All lanes with work are in their cooldown, because another transaction has locked them or their items.
    private static let cooldownPauseMs = 20
    /// A producer of this process is busy: it names its lanes itself, and the poller looks for the jobs of others. A poll
    /// costs as much as 20 jobs.
    private static let besideProducerPauseMs = 25
    private static let wakeOthersEveryMs = 1_000
    /// How long a process that starts counts the first jobs of stores, and of how many stores at once.
    private static let (startMs, storesCountedAtOnce) = (200, 64)

    mutating func run() throws(PostgresError) {
        if !connection.settings.pooled { try connection.listen(channel: context.schema.name) }
        try connection.planAhead([statements.poll.statement, statements.findStrands.statement])
        // A new connection may lead to another server, and a standby that was promoted may have drawn fewer ids.
        context.marks.resetAll()
        while true {
            // In this order: the thread that stops the pool sets the signal first, then wakes the poller.
            context.pollerWakeUp.clear()
            if context.stop.isFinishing { break }
            try openTransactions.look(connection, context, isQuiet: !backoff.isRecent)
            guard let pauseMs = try pollOnce() else { return }
            _ = try connection.waitForNotification(
                wakeDescriptor: context.pollerWakeUp.descriptor, timeoutMs: pauseMs)
        }
        // No poller of this process listens any more.
        try setWorkersAwake(false)
    }

    /// - Returns: the pause before the next poll, 0 for none; nil when the queue is drained.
    private mutating func pollOnce() throws(PostgresError) -> Int? {
        if !isLastPoll { try fullScan.run(connection, context.marks) }
        var lanes = try poll(probesDueJobs: true)
        if try dueJobs.promote(connection, context) { lanes = try poll(probesDueJobs: false) }
        report.healthy()
        var canBeWorked = true
        let hadProducerWork = context.laneQueue.takeProducerWork()
        if !lanes.isEmpty {
            canBeWorked = context.laneQueue.enqueue(lanes)
            isLastPoll = false
            backoff.foundWork()
            if lanes.count > context.settings.workers { try wakeOtherProcesses() }
        } else if hadProducerWork {
            // So that inserts send no wake-ups while a producer of this process is busy.
            backoff.foundWork()
        } else if context.laneQueue.isIdle {
            if drains && !dueJobs.foundDue {
                if isLastPoll {
                    try setWorkersAwake(false)
                    return nil
                }
                isLastPoll = true
                return 0
            }
            backoff.foundNothing()
        }
        if let awake = backoff.changeForProducers() { try setWorkersAwake(awake) }
        let longest = context.settings.pollIntervalMax.milliseconds
        let pause = backoff.isIdle ? backoff.pauseMs(longest: longest) : busyPauseMs(canBeWorked, hadProducerWork)
        // Due jobs come a page at a time, or are locked by another transaction: do not spin on them.
        let untilDue = dueJobs.pauseMs.map { max($0, Self.shortPauseMs) } ?? longest
        return min(pause, untilDue, fullScan.pauseMs ?? longest, longest)
    }

    /// The workers wake the poller when they run out of lanes. While all of them are busy, a poll finds the stores that
    /// come before those that they work on; while one is idle, work may arrive at any time, or another process may release
    /// a lane.
    private func busyPauseMs(_ canBeWorked: Bool, _ hadProducerWork: Bool) -> Int {
        if !canBeWorked { return Self.cooldownPauseMs }
        let working = context.laneQueue.working
        if hadProducerWork || working >= context.settings.workers {
            return min(max(polls.pauseMs, Self.besideProducerPauseMs), Self.busyPauseMs)
        }
        if working == 0 { return Self.shortPauseMs }
        return min(max(polls.pauseMs, Self.shortPauseMs), Self.busyPauseMs)
    }

    /// Finds the stores with ready jobs above the marks; in a full scan and in the last poll of a drain, with any ready
    /// job. It does not look for jobs of deep stores.
    ///
    /// - Returns: their lanes, without those that are paused, and the lanes of the deep stores.
    private mutating func poll(probesDueJobs: Bool) throws(PostgresError) -> [Int16] {
        while true {
            var snapshot = context.marks.snapshot
            let highest = snapshot.highest
            let isFullScan = isLastPoll || fullScan.isDueAsOne(below: highest)
            if isFullScan { snapshot = snapshot.fromZero }
            let deep = isFullScan ? [] : context.turns.deep
            let isWide = nextWidePollAt?.hasPassed ?? true
            let took = Stopwatch()
            let (ready, changed, ended) = try readyJobs(snapshot, deep, isWide: isWide, probesDueJobs)
            if !ended.isEmpty || !changed.isEmpty {
                // The poll may have missed their jobs.
                context.marks.end(ended)
                for lane in changed { context.marks.reset(lane.lane, to: lane.epoch) }
                continue
            }
            let isFirst = polls.isEmpty
            remember(took, isWide: isWide)
            if isFullScan { fullScan.scannedAsOne(below: highest, milliseconds: took.milliseconds) }
            let strandsOfDeep = deep.isEmpty ? [] : snapshot.strands.filter { deep.contains($0.store) }
            busyStrands = Set(ready.map(\.strand)).union(strandsOfDeep)
            if isFullScan { for job in ready { context.marks.lower(job.strand, below: job.id) } }
            context.marks.raise(from: snapshot) { !busyStrands.contains($0) }
            var strands = ready.filter { !$0.isPaused }.map(\.strand)
            strands += try learn(busyStrands.subtracting(snapshot.strands), snapshot)
            let stores = Set(strands.map(\.store))
            if isFirst { try foundBacklog(stores) } else { context.turns.found(stores) }
            // The jobs of a batch that is under way may be all that they had, and others may have come in since.
            context.turns.found(deep)
            // In random order; otherwise several processes would ask for the same lane at the same time.
            return Set(strands.map(\.lane)).union(deep.map(\.lane)).shuffled()
        }
    }

    private mutating func remember(_ poll: Stopwatch, isWide: Bool) {
        polls.add(poll)
        guard isWide else { return }
        widePolls.add(poll)
        nextWidePollAt = .after(milliseconds: min(widePolls.pauseMs, Self.busyPauseMs))
    }

    /// The jobs of the first poll may have been there for long. Stores with few of them come before the backlog of the
    /// others. When the poller connects again, the batches before have shown which these are.
    private func foundBacklog(_ stores: Set<StoreInLane>) throws(PostgresError) {
        let first = stores.count > 1 && context.turns.knowsNothing ? try storesWithFew(of: stores) : []
        context.turns.found(first)
        context.turns.found(stores.subtracting(first), isBacklog: true)
    }

    /// Stores that are not counted in time have many jobs: it is only a better order, and no job waits long for it.
    private func storesWithFew(of stores: Set<StoreInLane>) throws(PostgresError) -> Set<StoreInLane> {
        let few = Int(StoreTurns.fewMax)
        // With ordering keys a store's jobs are in several lanes.
        var jobs: [Int32: Int] = [:]
        let took = Stopwatch()
        // In random order; otherwise one lane with many dead index entries would always hide the same ones behind it.
        var rest = stores.shuffled()[...]
        while !rest.isEmpty && took.milliseconds < Self.startMs {
            let counted = rest.prefix(Self.storesCountedAtOnce)
            guard let counts = try countFirstJobs(of: counted, jobsMax: few + 1) else { break }
            for (store, count) in counts { jobs[store.storeHash, default: 0] += count }
            rest = rest.dropFirst(counted.count)
        }
        for store in rest { jobs[store.storeHash] = few + 1 }
        return stores.filter { jobs[$0.storeHash] ?? 0 <= few }
    }

    /// - Returns: nil where it takes too long, behind many dead index entries, or the server has another error.
    private func countFirstJobs(
        of stores: ArraySlice<StoreInLane>, jobsMax: Int
    ) throws(PostgresError) -> [(store: StoreInLane, jobs: Int)]? {
        let limit = min(Self.startMs, context.settings.statementTimeout.milliseconds)
        do throws(PostgresError) {
            return try connection.transaction { () throws(PostgresError) in
                try connection.executeScript("SET LOCAL statement_timeout = \(limit)")
                let rows = try connection.execute(
                    statements.countFirstJobs.statement, CountFirstJobsStatement.parameters(stores, jobsMax: jobsMax))
                return CountFirstJobsStatement.counts(in: rows)
            }
        } catch {
            if error.isConnectionFatal { throw error }
            return nil
        }
    }

    /// Learns strands that were not known, and looks for more of them behind each.
    ///
    /// - Returns: those that it found.
    private mutating func learn(
        _ new: Set<Strand>, _ snapshot: LowWaterMarks.Snapshot
    ) throws(PostgresError) -> [Strand] {
        if new.isEmpty { return [] }
        let found = FindStrandsStatement.strands(
            in: try connection.execute(
                statements.findStrands.statement,
                FindStrandsStatement.parameters(behind: new.sorted(), known: snapshot.strands)))
        context.marks.learn(new.union(found))
        busyStrands.formUnion(found)
        return found
    }

    /// The first ready jobs above the marks, the lanes of which an administrator made older ones ready, and the passed
    /// transactions that have ended. The statements are one transaction: an idle process costs one a second.
    private mutating func readyJobs(
        _ snapshot: LowWaterMarks.Snapshot, _ deep: Set<StoreInLane>, isWide: Bool, _ probesDueJobs: Bool
    ) throws(PostgresError) -> (ready: [ReadyJob], changed: [(lane: Int16, epoch: Int64)], ended: [TransactionID]) {
        let took = Stopwatch()
        let probe = probesDueJobs ? dueJobs.probe(isLastPoll: isLastPoll) : nil
        let asksForEnded = !snapshot.passed.isEmpty
        try connection.sendSessionSettings()
        if let probe { try connection.send(probe.statement, probe.parameters) }
        try connection.send(
            statements.poll.statement,
            PollStatement.parameters(snapshot, busy: busyStrands, deep: deep, isWide: isWide))
        // These are behind the poll, so that they hold for it.
        try connection.send(statements.changedLanes.statement, ChangedLanesStatement.parameters(snapshot))
        if asksForEnded {
            try connection.send(
                statements.findEndedTransactions.statement,
                FindEndedTransactionsStatement.parameters(snapshot.passed))
        }
        let answers = try connection.receive()
        let pollAt = answers.count - (asksForEnded ? 3 : 2)
        if probe != nil { dueJobs.probed(answers[pollAt - 1], milliseconds: took.milliseconds) }
        return (
            ReadyJob.all(in: answers[pollAt]), ChangedLanesStatement.lanes(in: answers[pollAt + 1]),
            asksForEnded ? FindEndedTransactionsStatement.transactions(in: answers[pollAt + 2]) : []
        )
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
