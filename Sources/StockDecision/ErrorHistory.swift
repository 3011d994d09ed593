/// What a worker remembers of the errors of a lane, to distinguish an error of a job from one of the server.
///
/// An error belongs to a job if the statement that fails for the job succeeds for others: a batch that contained the job
/// failed, the same statement succeeded in another batch, and the job alone fails again. SQLSTATEs do not show
/// it: a trigger may raise any.
///
/// A value without I/O. Losing it costs a few more batches.
public struct ErrorHistory: Sendable, Hashable {
    /// The work units that batches leave out, to see whether the same statement succeeds without them.
    public private(set) var setAside: [[Int64]] = []
    /// The work unit that was alone when the last timeout came.
    public private(set) var timedOut: [Int64]?

    /// Errors of other transactions since the lane worked without any.
    private var conflicts = 0
    /// The statement of the latest error that may be the server's or a job's.
    private var statement: String?
    /// How often batches of this process have committed that statement.
    private var successes = 0
    /// The jobs of the batches in which the statement failed, each with the successes before its first error.
    private var successesBefore: [Int64: Int] = [:]

    public init() {}

    /// The most work units that are set aside before the error counts as the server's.
    public static let setAsideMax = 4
    /// More jobs than this are not remembered.
    private static let jobsMax = 200_000

    /// After so many conflicts with other transactions, without a batch of full size in between, the next one may be a
    /// job's.
    private static let conflictsMax = 3

    // MARK: learning

    /// Counts a conflict with another transaction, and doubts it after some: a trigger may raise the same SQLSTATE for
    /// one job each time, which would stop the lane for ever.
    public mutating func explained(_ fault: DatabaseFault) -> DatabaseFault {
        guard fault == .otherTransaction else { return fault }
        conflicts += 1
        return conflicts > Self.conflictsMax ? .unexplained : fault
    }

    /// A batch with these jobs failed in a statement.
    ///
    /// - Parameter successes: how often batches of this process have committed the statement.
    public mutating func learnError(in jobs: [Int64], statement: String?, successes: Int) {
        if statement != self.statement || successesBefore.count > Self.jobsMax {
            successesBefore.removeAll()
            self.statement = statement
        }
        self.successes = successes
        for job in jobs where successesBefore[job] == nil { successesBefore[job] = successes }
    }

    /// A work unit was alone when a timeout came.
    public mutating func learnTimeout(of unit: [Int64]) { timedOut = unit }

    public mutating func setAside(_ unit: [Int64]) { setAside.append(unit) }

    public mutating func endSettingAside() { setAside.removeAll() }

    /// An attempt of this work unit was counted.
    public mutating func forget(_ unit: [Int64]) {
        for job in unit { successesBefore[job] = nil }
        timedOut = nil
        setAside.removeAll()
    }

    /// Forgets everything: the lane works.
    public mutating func removeAll() { self = ErrorHistory() }

    // MARK: conclusions

    /// Whether the statement that failed for this work unit succeeded for other jobs since it failed first.
    public func succeedsWithout(_ unit: [Int64]) -> Bool {
        guard let first = unit.first, let before = successesBefore[first] else { return false }
        return successes > before
    }
}
