import StockQueuePostgres

/// Promotes due jobs, of every lane in turn, and knows when the next one is due.
struct DueJobs {
    /// Probes at most this often: several wake-ups within milliseconds bring one probe.
    private static let everyMs = 10
    /// A probe begins at the beginning of the index, unless the last one that did was slower than this; then at least
    /// this many times its own duration passes.
    private static let (quickMs, share) = (25, 20)
    /// Pauses while all due jobs are locked by another transaction.
    private static let (lockedPauseMinMs, lockedPauseMaxMs) = (5, 250)

    private let find: FindDueStatement
    private let promote: PromoteDueStatement
    /// No deferred job has this time or an earlier one, but for those that came in out of order.
    private var dueMark = Self.beginning
    private var nextFromBeginningAt = Deadline.after(milliseconds: 0)
    private var nextProbeAt = Deadline.after(milliseconds: 0)
    private var lockedPauseMs = DueJobs.lockedPauseMinMs
    /// When the next job is due, as far as known; nil for never.
    private var nextDueAt: Deadline?
    /// The lanes with due jobs at the last probe.
    private var dueLanes: [Int16] = []
    /// No page was promoted since the last probe.
    private var isProbeNew = false

    private static let beginning = Timestamp(microsecondsSince2000: .min)

    init(_ schema: QueueSchema) {
        find = FindDueStatement(schema)
        promote = PromoteDueStatement(schema)
    }

    /// Some job was due at the last probe.
    var foundDue: Bool { !dueLanes.isEmpty }

    /// Until the next probe or promotion has something to do; nil for any time.
    var pauseMs: Int? { nextDueAt?.remainingMs }

    // MARK: the probe, which travels with a poll

    /// The statement to send with this poll, and its parameters; nil for none.
    ///
    /// - Parameter isLastPoll: look now, and at all jobs.
    mutating func probe(isLastPoll: Bool) -> (statement: Statement, parameters: Parameters)? {
        if !isLastPoll && !nextProbeAt.hasPassed {
            // The producer that caused this poll may have enqueued a job that is due before the next one known.
            nextDueAt = min(nextDueAt ?? nextProbeAt, nextProbeAt)
            return nil
        }
        if isLastPoll || nextFromBeginningAt.hasPassed { dueMark = Self.beginning }
        var parameters = Parameters()
        parameters.add(dueMark)
        return (find.statement, parameters)
    }

    /// Takes the rows of a probe.
    ///
    /// - Parameter milliseconds: how long the poll took with it.
    mutating func probed(_ rows: ResultSet, milliseconds: Int) {
        let answer = FindDueStatement.answer(in: rows)
        if dueMark == Self.beginning {
            nextFromBeginningAt = .after(milliseconds: milliseconds < Self.quickMs ? 0 : milliseconds * Self.share)
        }
        dueMark = max(dueMark, answer.dueMark)
        dueLanes = answer.dueLanes
        isProbeNew = true
        nextProbeAt = .after(milliseconds: Self.everyMs)
        nextDueAt = answer.nextDueMs.map { .after(milliseconds: $0) }
        if dueLanes.isEmpty { lockedPauseMs = Self.lockedPauseMinMs }
    }

    // MARK: promoting

    /// Promotes a page of the jobs that the last probe found due.
    ///
    /// - Returns: whether jobs became ready.
    mutating func promote(_ connection: Connection, _ context: ServiceContext) throws(PostgresError) -> Bool {
        if dueLanes.isEmpty || !isProbeNew { return false }
        isProbeNew = false
        let rows = try connection.execute(
            promote.statement,
            PromoteDueStatement.parameters(
                lanes: dueLanes, jobsMax: context.settings.promoteDueJobsMax, after: dueMark))
        let promotions = PromoteDueStatement.promotions(in: rows)
        for promotion in promotions { context.marks.promoted(promotion.strand, promotion.firstID) }
        if promotions.isEmpty {
            nextProbeAt = .after(milliseconds: lockedPauseMs)
            lockedPauseMs = min(2 * lockedPauseMs, Self.lockedPauseMaxMs)
        } else {
            nextProbeAt = .after(milliseconds: 0)
            lockedPauseMs = Self.lockedPauseMinMs
            context.onEvent(.promoted(.init(jobs: promotions.reduce(0) { $0 + $1.jobs })))
        }
        nextDueAt = nextProbeAt
        return !promotions.isEmpty
    }
}
