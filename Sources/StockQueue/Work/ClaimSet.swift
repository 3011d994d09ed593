import StockQueuePostgres

/// The jobs of a batch as they were claimed, and the texts that their numbers stand for.
struct ClaimSet {
    /// In order of work; the lines of a group side by side.
    private(set) var jobs: [ClaimedJob] = []
    /// (store, item, location) by item number.
    private(set) var items = KeyTable(columns: 3)
    /// (group, store) by group number.
    private(set) var groups = KeyTable(columns: 2)
    /// (idempotency key, store) by key number.
    private(set) var keys = KeyTable(columns: 2)
    /// How many lines of each group are in `jobs`.
    private(set) var groupLines: [Int] = []
    private var knownIDs: Set<Int64> = []

    fileprivate static let actions = StockAction.labels
    fileprivate static let policies = InsufficientStockPolicy.labels
    fileprivate static let allActions = StockAction.allCases
    fileprivate static let allPolicies = InsufficientStockPolicy.allCases

    mutating func removeAll() {
        jobs.removeAll(keepingCapacity: true)
        items.removeAll()
        groups.removeAll()
        keys.removeAll()
        groupLines.removeAll(keepingCapacity: true)
        knownIDs.removeAll(keepingCapacity: true)
    }

    /// Takes in the rows of a claim, in the order in which they came.
    mutating func add(_ rows: ResultSet, locked: Bool = true) throws(PostgresError) {
        jobs.reserveCapacity(jobs.count + rows.rowCount)
        for row in 0..<rows.rowCount {
            guard let job = try read(rows, row, locked: locked) else { continue }
            jobs.append(job)
            if job.group >= 0 { groupLines[Int(job.group)] += 1 }
        }
    }

    /// The ids among the rows that are not here yet.
    mutating func missing(from rows: ResultSet) -> [Int64] {
        if knownIDs.isEmpty { knownIDs = Set(jobs.map(\.id)) }
        return (0..<rows.rowCount).map { rows.int64($0, 0) }.filter { !knownIDs.contains($0) }
    }

    /// Takes in only the rows that are not here yet.
    mutating func addMissing(_ rows: ResultSet, locked: Bool) throws(PostgresError) {
        if knownIDs.isEmpty { knownIDs = Set(jobs.map(\.id)) }
        for row in 0..<rows.rowCount where knownIDs.insert(rows.int64(row, 0)).inserted {
            guard let job = try read(rows, row, locked: locked) else { continue }
            jobs.append(job)
            if job.group >= 0 { groupLines[Int(job.group)] += 1 }
        }
    }

    /// Puts the jobs into order of work: each stands at its priority and id, a group at its best ready line with its
    /// lines in job order behind it.
    mutating func arrange() {
        if groups.count == 0 && knownIDs.isEmpty { return }  // as claimed
        var best = [Rank](repeating: Rank.last, count: groups.count)
        for job in jobs where job.group >= 0 && job.isReady {
            best[Int(job.group)] = min(best[Int(job.group)], Rank(of: job))
        }
        let ranked = jobs.map { (rank: $0.group >= 0 ? best[Int($0.group)] : Rank(of: $0), job: $0) }
        jobs = ranked.sorted { left, right in
            left.rank != right.rank ? left.rank < right.rank : left.job.id < right.job.id
        }.map(\.job)
    }

    /// Takes out the jobs of these stores.
    ///
    /// - Returns: where they stand, but for those that somebody else holds.
    mutating func removeJobs(ofStores stores: Set<String>) -> [TupleID] {
        let isOfStore = (0..<items.count).map { stores.contains(items.string(of: $0, column: 0)) }
        let places = jobs.filter { isOfStore[Int($0.item)] && $0.isLocked }.map(\.place)
        jobs.removeAll { isOfStore[Int($0.item)] }
        return places
    }

    /// On the first line of each group the id of its last line, by place of the job; nil on all others.
    func lastOfGroups() -> [Int64?] {
        var lasts = [Int64?](repeating: nil, count: jobs.count)
        var start = 0
        while start < jobs.count {
            let group = jobs[start].group
            var end = start + 1
            if group >= 0 {
                while end < jobs.count && jobs[end].group == group { end += 1 }
                lasts[start] = jobs[end - 1].id
            }
            start = end
        }
        return lasts
    }

    /// The state of a key in a row of `read_keys`.
    mutating func keyState(in rows: ResultSet, row: Int) throws(PostgresError) -> KeyState {
        try KeyState(in: rows, row: row, items: &items)
    }

    fileprivate static func newerVersion(_ job: Int64) -> PostgresError {
        PostgresError(
            kind: .protocolViolation, message: "job \(job) has an action or policy of a newer version")
    }

    private struct Rank: Comparable {
        var priority: Int16
        var id: Int64

        static let last = Rank(priority: .max, id: .max)

        init(priority: Int16, id: Int64) {
            self.priority = priority
            self.id = id
        }

        init(of job: ClaimedJob) { self.init(priority: job.priority, id: job.id) }

        static func < (left: Rank, right: Rank) -> Bool {
            left.priority != right.priority ? left.priority < right.priority : left.id < right.id
        }
    }

    private mutating func read(_ rows: ResultSet, _ row: Int, locked: Bool) throws(PostgresError) -> ClaimedJob? {
        guard let action = rows.label(row, 7, among: Self.actions),
            let policy = rows.label(row, 8, among: Self.policies)
        else { throw Self.newerVersion(rows.int64(row, 0)) }
        var job = ClaimedJob(
            id: rows.int64(row, 0), place: rows.tupleID(row, 1),
            item: items.number(in: rows, row: row, firstColumn: 13),
            action: Self.allActions[action], onInsufficient: Self.allPolicies[policy], quantity: rows.int64(row, 2))
        job.expectedAvailable = rows.optionalInt64(row, 3)
        job.priority = rows.int16(row, 4)
        job.attempts = rows.int16(row, 5)
        job.maxAttempts = rows.int16(row, 6)
        job.notify = rows.bool(row, 9)
        job.isExpired = rows.bool(row, 10)
        job.isReady = rows.bool(row, 11)
        job.isLocked = locked
        if !rows.isNull(row, 12) {
            job.group = groups.number(in: rows, row: row, firstColumn: 12)
            if groupLines.count < groups.count { groupLines.append(0) }
        }
        if !rows.isNull(row, 16) { job.key = keys.number(in: rows, row: row, firstColumn: 16) }
        if !rows.isNull(row, 18) { job.enqueuedAt = rows.int64(row, 18) }
        return job
    }
}

extension KeyState {
    /// A row of `read_keys`.
    init(in rows: ResultSet, row: Int, items: inout KeyTable) throws(PostgresError) {
        guard let action = rows.label(row, 4, among: ClaimSet.actions),
            let policy = rows.label(row, 5, among: ClaimSet.policies)
        else { throw ClaimSet.newerVersion(rows.int64(row, 1)) }
        self.init(
            jobID: rows.int64(row, 1),
            request: Request(
                item: items.knownNumber(in: rows, row: row, firstColumn: 6) ?? -1, action: ClaimSet.allActions[action],
                quantity: rows.int64(row, 2), onInsufficient: ClaimSet.allPolicies[policy],
                expectedAvailable: rows.optionalInt64(row, 3)))
    }
}
