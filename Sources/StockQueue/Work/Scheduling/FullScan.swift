import StockQueuePostgres

/// Looks for ready jobs below the low-water marks: another process or an administrator may have made an older job ready.
///
/// The scan steps over everything that the marks spare the claims. So it reads a range of ids at a time, as large as
/// takes a few milliseconds, and at most a small share of the time: jobs that arrive meanwhile do not wait for it.
package struct FullScan {
    /// Time from the end of one scan to the beginning of the next.
    private static let everyMs = 1_000
    /// At least this many times its own duration passes until the next range.
    private static let share = 20
    /// But no more, after a scan that took much longer than those before it.
    private static let longestPauseMs = 10_000
    /// What a range should take.
    private static let rangeMs = 10
    /// The ids of the first range, and the least and the most of later ones.
    private static let (firstStep, stepMin, stepMax): (Int64, Int64, Int64) = (65_536, 1_024, 1 << 40)

    private let statement: FullScanStatement
    private var nextAt = Deadline.after(milliseconds: FullScan.everyMs)
    private var range = Range()

    init(_ schema: QueueSchema) { statement = FullScanStatement(schema) }

    /// Whether the next poll should ignore the marks: a scan is due, and one range would be all of it.
    func isDueAsOne(below highest: Int64) -> Bool {
        nextAt.hasPassed && !range.isUnderWay && range.step >= highest
    }

    /// A poll ignored the marks.
    mutating func scannedAsOne(below highest: Int64, milliseconds: Int) {
        range.step = max(range.step, highest)
        if milliseconds >= 2 * Self.rangeMs { range.step = min(range.step, highest) }
        range.adapt(toMilliseconds: milliseconds)
        nextAt = .after(milliseconds: Self.pauseMs(after: milliseconds))
    }

    private static func pauseMs(after milliseconds: Int) -> Int {
        max(min(milliseconds * share, longestPauseMs), everyMs)
    }

    /// Scans some ranges if a scan is due that is too large for one.
    mutating func run(_ connection: Connection, _ marks: LowWaterMarks) throws(PostgresError) {
        if !nextAt.hasPassed || isDueAsOne(below: marks.snapshot.highest) { return }
        let start = Stopwatch()
        repeat { try scanRange(connection, marks) } while range.isUnderWay && start.milliseconds < Self.rangeMs
        let pause = start.milliseconds * Self.share
        nextAt = .after(milliseconds: range.isUnderWay ? pause : Self.pauseMs(after: start.milliseconds))
    }

    /// Until the next range of a scan that is under way; nil when none is.
    var pauseMs: Int? { range.isUnderWay ? nextAt.remainingMs : nil }

    private mutating func scanRange(_ connection: Connection, _ marks: LowWaterMarks) throws(PostgresError) {
        let snapshot = marks.snapshot
        let (highest, upTo) = (snapshot.highest, range.upTo)
        if highest > range.after {
            let took = Stopwatch()
            let parameters = FullScanStatement.parameters(snapshot, after: range.after, upTo: upTo)
            for job in ReadyJob.all(in: try connection.execute(statement.statement, parameters)) {
                marks.lower(job.strand, below: job.id)
            }
            range.adapt(toMilliseconds: took.milliseconds)
        }
        range.advance(from: upTo, highest: highest)
    }

    /// The ids that are scanned next. Ids may come close to the end of Int64, so nothing here may overflow.
    package struct Range {
        /// The id behind which the range begins; 0 between two scans.
        package var after: Int64 = 0
        /// The number of ids in the range.
        package var step = FullScan.firstStep

        package init() {}

        /// The last id of the range.
        package var upTo: Int64 { after > Int64.max - step ? Int64.max : after + step }
        /// A scan has begun and not ended.
        package var isUnderWay: Bool { after > 0 }

        /// Chooses the size of the next range by how long this one took.
        package mutating func adapt(toMilliseconds milliseconds: Int) {
            if milliseconds >= 2 * FullScan.rangeMs { step = max(step / 2, FullScan.stepMin) }
            if milliseconds < FullScan.rangeMs && step <= FullScan.stepMax / 2 { step *= 2 }
        }

        /// Begins the next range; the scan ends at the highest id.
        package mutating func advance(from upTo: Int64, highest: Int64) { after = upTo >= highest ? 0 : upTo }
    }
}
