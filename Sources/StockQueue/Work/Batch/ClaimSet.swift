import StockDecision
import StockModel
import StockQueuePostgres

/// The jobs of a batch as they were claimed, and the texts behind their indexes.
struct ClaimSet {
    /// In order of work; the lines of a group are neighbors.
    private(set) var jobs: [ClaimedJob] = []
    /// The tuple id of each job, valid while the claim's locks are held.
    private(set) var tupleIDs: [TupleID] = []
    /// When each job was enqueued.
    private(set) var enqueuedAts: [Timestamp] = []
    /// (store, item, location) by item index.
    private(set) var items = KeyTable(columns: 3)
    /// (group, store, submission) by group index.
    private(set) var groups = KeyTable(columns: 3)
    /// (idempotency key, store) by key index.
    private(set) var keys = KeyTable(columns: 2)
    /// How many lines of each group are in `jobs`, by group index.
    private(set) var groupLines: [Int] = []
    /// The groups with more lines than a group may have, and what the batch has of them.
    private(set) var tooLargeGroups: [GroupIndex: TooLargeGroup] = [:]
    /// What the claim took of each strand, store by store.
    private(set) var strands: [ClaimedStrand] = []
    private var knownIDs: Set<Int64> = []
    /// Jobs that were never in the table of jobs; they have no tuple id.
    private(set) var immediateJobs = 0

    /// A group that is too large. A batch rejects as many of its lines as it claimed.
    struct TooLargeGroup {
        /// An earlier batch has rejected some of its lines.
        var isMarked: Bool
        /// The batch has its last lines.
        var isComplete: Bool
    }

    mutating func removeAll() {
        jobs.removeAll(keepingCapacity: true)
        tupleIDs.removeAll(keepingCapacity: true)
        enqueuedAts.removeAll(keepingCapacity: true)
        items.removeAll()
        groups.removeAll()
        keys.removeAll()
        groupLines.removeAll(keepingCapacity: true)
        tooLargeGroups.removeAll()
        strands.removeAll(keepingCapacity: true)
        knownIDs.removeAll(keepingCapacity: true)
        immediateJobs = 0
    }

    // MARK: adding

    /// Adds the rows of the claim, in the order in which they came.
    mutating func add(_ rows: ResultSet) throws(PostgresError) {
        let columns = ClaimedJobColumns(rows)
        jobs.reserveCapacity(jobs.count + rows.rowCount)
        tupleIDs.reserveCapacity(jobs.count + rows.rowCount)
        enqueuedAts.reserveCapacity(jobs.count + rows.rowCount)
        for row in 0..<rows.rowCount {
            try add(rows, row, columns, isClaimed: true)
            count(Strand(rawValue: rows.int32(row, columns.strand)), rows.int64(row, columns.jobID))
        }
    }

    /// The stores of which the claim took all that it may.
    func storesAtLimit(of marks: LowWaterMarks.View) -> Set<StoreInLane> {
        var jobs: [StoreInLane: Int] = [:]
        for strand in strands { jobs[strand.strand.store, default: 0] += strand.jobs }
        return Set(marks.stores.lazy.map(\.share).filter { jobs[$0.store] ?? 0 >= $0.jobsMax }.map(\.store))
    }

    private mutating func count(_ strand: Strand, _ jobID: Int64) {
        if let last = strands.indices.last {
            if strands[last].strand == strand {
                strands[last].jobs += 1
                strands[last].lastID = jobID
                return
            }
            if strands[last].strand.store == strand.store { strands[last].lastID = .max }
        }
        strands.append(ClaimedStrand(strand: strand, jobs: 1, lastID: jobID))
    }

    /// The ids among the rows that are not in the set.
    mutating func missing(from rows: ResultSet) -> [Int64] {
        learnIDs()
        let jobID = rows.column("job_id")
        return (0..<rows.rowCount).map { rows.int64($0, jobID) }.filter { !knownIDs.contains($0) }
    }

    /// Adds only the rows that are not in the set.
    mutating func addMissing(_ rows: ResultSet, isClaimed: Bool) throws(PostgresError) {
        learnIDs()
        let columns = ClaimedJobColumns(rows)
        for row in 0..<rows.rowCount where knownIDs.insert(rows.int64(row, columns.jobID)).inserted {
            try add(rows, row, columns, isClaimed: isClaimed)
        }
    }

    /// The groups that are too large of which the batch ends the first lines, and those of which it ends the last.
    ///
    /// - Parameter ends: whether the batch ends lines of a group.
    func changedMarks(where ends: (GroupIndex) -> Bool) -> (marked: [Int32], unmarked: [Int32]) {
        let groups = tooLargeGroups.filter { ends($0.key) }
        return (
            groups.filter { !$0.value.isMarked && !$0.value.isComplete }.keys.map(\.rawValue),
            groups.filter { $0.value.isMarked && $0.value.isComplete }.keys.map(\.rawValue)
        )
    }

    mutating func addTooLargeGroup(_ position: Int, _ group: TooLargeGroup) {
        tooLargeGroups[GroupIndex(position)] = group
    }

    private mutating func learnIDs() {
        if knownIDs.isEmpty { knownIDs = Set(jobs.map(\.id)) }
    }

    private mutating func add(
        _ rows: ResultSet, _ row: Int, _ columns: ClaimedJobColumns, isClaimed: Bool
    ) throws(PostgresError) {
        let item = ItemIndex(rawValue: items.number(in: rows, row: row, firstColumn: columns.item))
        var job = try columns.job(rows, row, item: item)
        job.isClaimed = isClaimed
        if !rows.isNull(row, columns.group) {
            let group = groups.number(in: rows, row: row, firstColumn: columns.group)
            if groupLines.count < groups.count { groupLines.append(0) }
            groupLines[Int(group)] += 1
            job.group = GroupIndex(rawValue: group)
        }
        if !rows.isNull(row, columns.key) {
            job.key = KeyIndex(rawValue: keys.number(in: rows, row: row, firstColumn: columns.key))
        }
        jobs.append(job)
        tupleIDs.append(rows.tupleID(row, columns.tupleID))
        enqueuedAts.append(rows.timestamp(row, columns.enqueuedAt))
    }

    // MARK: immediate jobs

    /// Gives the items of calls their numbers, so that they are locked with those of the claim.
    mutating func number(itemsOf work: ImmediateWork) { work.number(in: &items) }

    /// Adds the jobs of the calls that were admitted, and brings all into order of work.
    mutating func add(_ work: ImmediateWork, enqueuedAt: Timestamp) {
        let claimed = jobs.count
        for call in work.admitted {
            var group: GroupIndex?
            if work.calls[call].isGroup {
                let number = groups.number(of: [work.groupID(ofCall: call), work.calls[call].storeID, work.transaction])
                groupLines.append(work.calls[call].lines.count)
                group = GroupIndex(rawValue: number)
            }
            for var job in work.jobs(ofCall: call) {
                job.group = group
                jobs.append(job)
                tupleIDs.append(.none)
                enqueuedAts.append(enqueuedAt)
            }
        }
        immediateJobs = jobs.count - claimed
        if claimed > 0 && immediateJobs > 0 { arrangeAll() }
    }

    /// The job at an index was never in the table of jobs.
    func isImmediate(_ index: Int) -> Bool { immediateJobs > 0 && tupleIDs[index] == .none }

    // MARK: arranging

    /// Brings the jobs into order of work: by priority and id, a group at its first ready line with its lines in job
    /// order.
    mutating func arrange() {
        if groups.count == 0 && knownIDs.isEmpty { return }  // as claimed
        arrangeAll()
    }

    private mutating func arrangeAll() {
        var best = [Rank](repeating: Rank.last, count: groups.count)
        for job in jobs where job.isReady {
            if let group = job.group { best[group.position] = min(best[group.position], Rank(of: job)) }
        }
        let ranks = jobs.map { job in job.group.map { best[$0.position] } ?? Rank(of: job) }
        let order = jobs.indices.sorted { left, right in
            ranks[left] != ranks[right] ? ranks[left] < ranks[right] : jobs[left].id < jobs[right].id
        }
        keep(order)
    }

    /// A position in the order of work.
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

    /// Marks jobs as not claimed, so that they are skipped, or removes them.
    mutating func leaveOut(_ leftOut: BatchRequest.LeftOut) {
        switch leftOut {
        case .none: return
        case .skipping(let ids):
            for index in jobs.indices where ids.contains(jobs[index].id) { jobs[index].isClaimed = false }
        case .skippingItems(let hashes):
            let isLeftOut = (0..<Int32(items.count)).map { hashes.contains(items.hash(of: $0)) }
            for index in jobs.indices where isLeftOut[jobs[index].item.position] { jobs[index].isClaimed = false }
        case .trying(let ids): keep(jobs.indices.filter { !ids.contains(jobs[$0].id) })
        }
    }

    /// Removes the jobs of these stores.
    ///
    /// - Returns: the tuple ids of those that this batch has locked.
    mutating func removeJobs(ofStores stores: Set<String>) -> [TupleID] {
        let isOfStore = (0..<items.count).map { stores.contains(items.string(of: $0, column: 0)) }
        let isRemoved = jobs.map { isOfStore[$0.item.position] }
        let removed = jobs.indices.filter { isRemoved[$0] && jobs[$0].isClaimed }.map { tupleIDs[$0] }
        keep(jobs.indices.filter { !isRemoved[$0] })
        return removed
    }

    private mutating func keep(_ kept: [Int]) {
        jobs = kept.map { jobs[$0] }
        tupleIDs = kept.map { tupleIDs[$0] }
        enqueuedAts = kept.map { enqueuedAts[$0] }
    }

    // MARK: reading

    /// On the first line of each group the id of its last line, by job index; nil on all others.
    func lastJobsOfGroups() -> [Int64?] {
        var lasts = [Int64?](repeating: nil, count: jobs.count)
        forEachWorkUnit(of: jobs) { unit in
            if jobs[unit.lowerBound].group != nil { lasts[unit.lowerBound] = jobs[unit.upperBound - 1].id }
        }
        return lasts
    }

    /// The used keys in the rows of `read_keys`, by key index; nil for an unused one.
    mutating func keyStates(in rows: ResultSet) throws(PostgresError) -> [KeyState?] {
        var states = [KeyState?](repeating: nil, count: keys.count)
        for used in try ReadKeysStatement.used(in: rows, items: &items) { states[used.position] = used.state }
        return states
    }
}
