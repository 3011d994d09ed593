import Foundation
import StockQueuePostgres

/// Finds work for the workers of a process: sees which lanes have ready jobs, promotes what is due, and hears the workers_awake.
///
/// One thread, one connection: idle workers ask the database nothing. A pooler in transaction mode
/// does not carry LISTEN; behind one, polling alone finds every job.
struct Poller {
    let connection: Connection
    let schema: QueueSchema
    let settings: WorkerSettings
    let laneQueue: LaneQueue
    let marks: LowWaterMarks
    let wake: WakePipe
    let stop: StopSignal
    let onEvent: WorkEventHandler
    /// Stop when nothing is ready or due.
    let drains: Bool

    /// Looks out until the queue is drained or the stop signal ends it.
    func poll(_ succeeded: () -> Void) throws(PostgresError) {
        if !connection.settings.pooled { try connection.listen(channel: schema.name) }
        // Another server may stand behind a new connection, and one that was a standby may have drawn fewer ids.
        marks.forget()
        let statements = PollerStatements(schema: schema)
        var rest = Rest(awakeAfterMs: settings.awakeAfterMs)
        var wokeOthersAt: Deadline?
        var settling = StableIDTracker()
        var whole = FullScan()
        var isLast = false
        while true {
            // In this order: whoever stops the pool says so first and wakes then.
            wake.clear()
            if stop.isFinishing { break }
            if rest.isFresh { try settling.advance(connection, statements, marks) }
            let isFullScan = isLast || whole.isDue
            let start = Stopwatch()
            var sight = try poll(statements, isFullScan: isFullScan)
            if isFullScan { whole.took(milliseconds: start.milliseconds) }
            if let due = sight.nextDueMs, due <= 0 {
                try promote(statements)
                sight = try poll(statements, isFullScan: isFullScan)
            }
            succeeded()
            var canBeWorked = true
            if !sight.lanes.isEmpty {
                canBeWorked = laneQueue.offer(sight.lanes)
                isLast = false
                rest.foundWork()
                if sight.lanes.count > settings.workers { try wakeOtherProcesses(statements, &wokeOthersAt) }
            } else if laneQueue.isIdle {
                if drains && (sight.nextDueMs ?? 1) > 0 {
                    if isFullScan { return }
                    isLast = true
                    continue
                }
                rest.foundNothing()
            }
            if let asleep = rest.newsForProducers() { try setWorkersAwake(asleep, statements) }
            let pause = rest.isResting ? rest.pauseMs(longest: settings.pollLongestMs) : busyPauseMs(canBeWorked)
            // What is due and could not be promoted is held by somebody else: come back soon, without spinning on it.
            let untilDue = sight.nextDueMs.map { max($0, Self.heldPauseMs) } ?? Int.max
            _ = try connection.waitForNotification(
                wakeDescriptor: wake.descriptor, timeoutMs: min(pause, untilDue, settings.pollLongestMs))
        }
        // Nobody of this process listens any more.
        try setWorkersAwake(true, statements)
    }

    /// Workers call when they run out of lanes, so while all are busy there is nothing to poll for. While one is idle,
    /// work may come for it at any time, or another process may free a lane.
    private func busyPauseMs(_ canBeWorked: Bool) -> Int {
        if !canBeWorked { return Self.restingLanesPauseMs }
        return laneQueue.working < settings.workers ? Self.heldPauseMs : Self.busyPauseMs
    }

    /// While all workers are busy, only the marks want to be raised now and then.
    private static let busyPauseMs = 250

    private static let heldPauseMs = 5
    /// All lanes with work rest, since somebody else holds them or their items.
    private static let restingLanesPauseMs = 20
    private static let ringEveryMs = 1_000

    /// There is more than this process can do at once: workers of others may have fallen asleep over it.
    private func wakeOtherProcesses(
        _ statements: PollerStatements, _ wokeOthersAt: inout Deadline?
    ) throws(PostgresError) {
        if wokeOthersAt?.hasPassed == false { return }
        wokeOthersAt = .after(milliseconds: Self.ringEveryMs)
        var parameters = Parameters()
        parameters.add(schema.name)
        try connection.executeAlone(statements.ring, parameters)
    }

    private struct Snapshot {
        var lanes: [Int16] = []
        var nextDueMs: Int?
    }

    private func poll(
        _ statements: PollerStatements, isFullScan: Bool
    ) throws(PostgresError) -> Snapshot {
        let marked = isFullScan ? marks.sight.fromZero : marks.sight
        var parameters = Parameters()
        parameters.addArray(of: marked.marks.count, int64: { marked.marks[$0] })
        let rows = try connection.executeAlone(statements.poll, parameters)
        var sight = Snapshot()
        var hasReady = [Bool](repeating: false, count: marked.marks.count)
        for row in 0..<rows.rowCount {
            let lane = rows.int16(row, 0)
            if lane < 0 {
                sight.nextDueMs = Int(clamping: rows.int64(row, 2))
                continue
            }
            let priority = rows.int16(row, 1)
            hasReady[LowWaterMarks.place(lane: lane, priority: priority)] = true
            if isFullScan { marks.lower(lane: lane, priority: priority, below: rows.int64(row, 2)) }
            if sight.lanes.last != lane { sight.lanes.append(lane) }
        }
        marks.raise(from: marked) { !hasReady[$0] }
        // Not always from lane 0 on, or several processes would ask for the same lane at the same time.
        sight.lanes.shuffle()
        return sight
    }

    private func promote(_ statements: PollerStatements) throws(PostgresError) {
        var parameters = Parameters()
        parameters.add(Int32(settings.promoteJobsMax))
        let rows = try connection.executeAlone(statements.promoteDue, parameters)
        var promoted = 0
        for row in 0..<rows.rowCount {
            promoted += Int(rows.int64(row, 2))
            marks.lower(lane: rows.int16(row, 0), priority: rows.int16(row, 1), below: rows.int64(row, 3))
        }
        if promoted > 0 { onEvent(.promoted(jobs: promoted)) }
    }

    private func setWorkersAwake(
        _ asleep: Bool, _ statements: PollerStatements
    ) throws(PostgresError) {
        var parameters = Parameters()
        parameters.add(asleep)
        try connection.executeAlone(statements.setWorkersAwake, parameters)
    }
}

/// Finds out up to which id every job that will ever be there can be seen.
private struct StableIDTracker {
    private static let everyMs = 100

    private var nextAt: Deadline?
    /// The id to settle next, and the transactions that were writing just after it was drawn and have not ended.
    private var wanted: Int64 = 0
    private var writers: Set<String> = []

    mutating func advance(
        _ connection: Connection, _ statements: PollerStatements, _ marks: LowWaterMarks
    ) throws(PostgresError) {
        if nextAt?.hasPassed == false { return }
        nextAt = .after(milliseconds: Self.everyMs)
        // The id first, and the locks in a statement of their own behind it: whoever has drawn an id up to it by then
        // holds the lock already, or has ended.
        try connection.sendSessionSettings()
        try connection.send(statements.lastDrawn)
        try connection.send(statements.writers)
        let answers = try connection.receive()
        let drawn = answers[answers.count - 2].int64(0, 0)
        let holders = answers[answers.count - 1]
        let now = Set((0..<holders.rowCount).map { holders.string($0, 0) })
        // Behind a pooler the server may have changed without a new connection.
        if drawn < wanted { marks.forget() }
        writers.formIntersection(now)
        guard writers.isEmpty else { return }
        marks.settle(wanted)
        wanted = drawn
        writers = now
        if now.isEmpty { marks.settle(wanted) }
    }
}

/// When to poll at everything instead of above the marks: another process, or an operator's hand, may have made a job ready
/// that stands below them.
///
/// Such a poll steps over whatever the marks spare the claims, so it takes at most a small share of the time.
private struct FullScan {
    private static let everyMs = 1_000
    /// At least this many times its own duration passes until the next one.
    private static let share = 20

    private var nextAt = Deadline.after(milliseconds: FullScan.everyMs)

    var isDue: Bool { nextAt.hasPassed }

    mutating func took(milliseconds: Int) {
        nextAt = .after(milliseconds: max(Self.everyMs, milliseconds * Self.share))
    }
}

/// How long to rest between two looks, and what producers should know about it.
private struct Rest {
    /// After the last work seen, poll again after these pauses, then at the longest interval: a producer that read
    /// "awake" just before the workers fell asleep has not rung.
    private static let pausesMs = [2, 5, 10, 50, 250]
    /// Looks without work after which producers are asked to ring.
    private static let looksBeforeSleep = 2

    private let awakeAfterMs: Int
    private var idleLooks = 0
    private var awakeAt: Deadline?
    private var wantsAsleep: Bool?
    private var told: Bool?
    private var toldAgainAt: Deadline?

    init(awakeAfterMs: Int) { self.awakeAfterMs = awakeAfterMs }

    var isResting: Bool { idleLooks > 0 }

    /// There is work, or there was a moment ago.
    var isFresh: Bool { idleLooks <= Self.pausesMs.count }

    mutating func foundWork() {
        idleLooks = 0
        let awakeAt = self.awakeAt ?? .after(milliseconds: awakeAfterMs)
        self.awakeAt = awakeAt
        // A single job now and then is no reason to change the flag twice; steady work is.
        if awakeAt.hasPassed { wantsAsleep = false }
    }

    mutating func foundNothing() {
        idleLooks += 1
        awakeAt = nil
        if idleLooks > Self.looksBeforeSleep { wantsAsleep = true }
    }

    func pauseMs(longest: Int) -> Int {
        idleLooks <= Self.pausesMs.count ? min(Self.pausesMs[idleLooks - 1], longest) : longest
    }

    /// The state of the workers_awake, when it is not the one told last; "awake" once a second, since another process that
    /// falls asleep says so for all.
    mutating func newsForProducers() -> Bool? {
        let isDue = wantsAsleep == false && toldAgainAt?.hasPassed != false
        if wantsAsleep == told && !isDue { return nil }
        told = wantsAsleep
        toldAgainAt = .after(milliseconds: 1_000)
        return told
    }
}
