import StockModel

/// Decides a batch, without I/O.
///
/// The results, versions, balances and notifications are those of deciding the jobs one at a time in their order.
///
/// - Parameters:
///   - jobs: in order of work; the lines of a group are neighbors, in job order.
///   - items: what the batch found under its locks, by item index.
///   - keys: the idempotency keys that were used before, by key index; nil for an unused key.
///   - tooLargeGroups: the groups with more lines than a group may have, of which the batch need not have all lines.
///   - counts: the jobs' stock counts that belong to a moment.
public func decide(
    _ jobs: [ClaimedJob], items: [ItemState], keys: [KeyState?] = [], tooLargeGroups: Set<GroupIndex> = [],
    counts: StockCounts = StockCounts()
) -> BatchDecision {
    var decider = BatchDecider(items: items, keys: keys, counts: counts)
    decider.decision.jobs.reserveCapacity(jobs.count)
    forEachWorkUnit(of: jobs) { unit in
        if decider.mustSkip(jobs[unit]) {
            decider.skip(jobs[unit])
        } else if let group = jobs[unit.lowerBound].group {
            if tooLargeGroups.contains(group) {
                decider.rejectTooLarge(jobs[unit])
            } else {
                decider.decideGroup(jobs[unit])
            }
        } else {
            decider.decideSingle(jobs[unit.lowerBound], at: JobIndex(unit.lowerBound))
        }
    }
    return decider.finish()
}

struct BatchDecider {
    var decision = BatchDecision()
    private(set) var items: [ItemState]
    var keys: [KeyState?]
    /// Items of skipped jobs: later jobs of these items are skipped too, or they would overtake.
    private var isSkipped: [Bool]
    private var isChanged: [Bool]
    private var hasMoreStock: [Bool]
    private var counted: CountedChanges

    init(items: [ItemState], keys: [KeyState?], counts: StockCounts = StockCounts()) {
        self.items = items
        self.keys = keys
        counted = CountedChanges(counts)
        isSkipped = items.map { $0.presence == .locked }
        isChanged = [Bool](repeating: false, count: items.count)
        hasMoreStock = isChanged
    }

    consuming func finish() -> BatchDecision {
        decision.changedItems = isChanged.indices.filter { isChanged[$0] }.map { ItemIndex($0) }
        decision.itemsWithMoreStock = hasMoreStock.indices.filter { hasMoreStock[$0] }.map { ItemIndex($0) }
        decision.items = items
        decision.keys = keys
        return decision
    }

    /// Records the result of the next job.
    mutating func record(_ outcome: JobOutcome) {
        decision.jobs.append(.finished(outcome))
        decision.outcomes.count(outcome.outcome, outcome.code)
        decision.finished += 1
    }

    // MARK: skipped jobs

    func mustSkip(_ unit: ArraySlice<ClaimedJob>) -> Bool {
        unit.contains { !$0.isClaimed || isSkipped[$0.item.position] }
    }

    mutating func skip(_ unit: ArraySlice<ClaimedJob>) {
        for job in unit { isSkipped[job.item.position] = true }
        decision.jobs += repeatElement(.skipped, count: unit.count)
        decision.skipped += unit.count
    }

    // MARK: a job without a group

    mutating func decideSingle(_ job: ClaimedJob, at index: JobIndex) {
        let item = items[job.item]
        if let used = use(of: job) { return record(Self.outcome(of: job, keyUsedBy: used, item)) }
        switch effect(
            of: job, on: item, availableSeen: item.balance.available, counted: counted.stock(of: job))
        {
        case .apply(let after, let quantity): record(.applied(apply(job, at: index, after: after, quantity: quantity)))
        case .unchanged(let code): record(Self.unchanged(code, item))
        case .reject(let code): record(.rejected(code, item.snapshot, firstJobID: nil))
        case .wait(let quantity):
            decision.jobs.append(.waits(quantity: quantity))
            decision.waiting += 1
            return
        }
        useKey(of: job, at: index)
    }

    private static func unchanged(_ code: ResultCode, _ item: ItemState) -> JobOutcome {
        .unchanged(code, BalanceAtVersion(balance: item.balance, version: item.version))
    }

    // MARK: a group

    /// What the batch would have to take back when a group is not applied.
    private struct Savepoint {
        var items: [ItemIndex: (state: ItemState, isChanged: Bool, hasMoreStock: Bool)] = [:]
        var levelChanges: Int
    }

    /// Decides each line against the stock that the lines before it leave, and takes all of them back when one is
    /// rejected or must wait. A rejection beats waiting.
    mutating func decideGroup(_ lines: ArraySlice<ClaimedJob>) {
        if let outcomes = outcomesByKeys(of: lines) {
            for outcome in outcomes { record(outcome) }
            return
        }
        let savepoint = savepoint(before: lines)
        var outcomes: [JobOutcome] = []
        var rejections: [Int: ResultCode] = [:]
        var needs: [Int: Int64] = [:]
        for index in lines.indices {
            let line = lines[index]
            let item = items[line.item]
            let seen = savepoint.items[line.item]?.state ?? item
            switch effect(
                of: line, on: item, availableSeen: seen.balance.available, counted: counted.stock(of: line))
            {
            case .apply(let after, let quantity):
                outcomes.append(.applied(apply(line, at: JobIndex(index), after: after, quantity: quantity)))
            case .unchanged(let code): outcomes.append(Self.unchanged(code, item))
            case .reject(let code): rejections[index] = code
            case .wait(let quantity): needs[index] = quantity
            }
        }
        if rejections.isEmpty && needs.isEmpty {
            for outcome in outcomes { record(outcome) }
            return useKeys(of: lines)
        }
        rollBack(to: savepoint)
        if rejections.isEmpty {
            for index in lines.indices { decision.jobs.append(.waits(quantity: needs[index])) }
            decision.waiting += lines.count
            return
        }
        for index in lines.indices {
            let code = rejections[index] ?? .groupRejected
            record(.rejected(code, items[lines[index].item].snapshot, firstJobID: nil))
        }
        useKeys(of: lines)
    }

    /// Rejects lines of a group that is too large. The other lines of the group are not known here, so nothing but their
    /// number decides; a key that another job has used stays that job's.
    mutating func rejectTooLarge(_ lines: ArraySlice<ClaimedJob>) {
        for index in lines.indices {
            let line = lines[index]
            record(.rejected(.groupTooLarge, items[line.item].snapshot, firstJobID: nil))
            if use(of: line) == nil { useKey(of: line, at: JobIndex(index)) }
        }
    }

    private func savepoint(before lines: ArraySlice<ClaimedJob>) -> Savepoint {
        var savepoint = Savepoint(levelChanges: decision.levelChanges.count)
        for line in lines where savepoint.items[line.item] == nil {
            let position = line.item.position
            savepoint.items[line.item] = (items[position], isChanged[position], hasMoreStock[position])
        }
        return savepoint
    }

    private mutating func rollBack(to savepoint: Savepoint) {
        for (item, before) in savepoint.items {
            items[item] = before.state
            isChanged[item.position] = before.isChanged
            hasMoreStock[item.position] = before.hasMoreStock
            counted.rollBack(item, to: before.state.version)
        }
        decision.levelChanges.removeSubrange(savepoint.levelChanges...)
    }

    // MARK: applying

    private mutating func apply(
        _ job: ClaimedJob, at index: JobIndex, after balance: Balance, quantity: Int64
    ) -> AppliedChange {
        let item = job.item.position
        let before = items[item]
        items[item].balance = balance
        items[item].version += 1
        items[item].lastJobID = job.id
        let after = items[item]
        let notified = before.notifiedLevel ?? before.level
        let level = after.level
        // A job with notify = false writes no notification and still re-arms: a level that got better is recorded, a
        // worse one is notified by a later job.
        items[item].notifiedLevel = job.notify ? level : min(notified, level)
        if job.notify, let kind = NotificationKind(from: notified, to: level) {
            decision.levelChanges.append(
                LevelChange(
                    kind: kind, job: index, item: job.item, threshold: after.threshold,
                    availableBefore: before.balance.available, availableAfter: balance.available,
                    version: after.version))
        }
        counted.add(job, onHand: balance.onHand - before.balance.onHand, version: after.version)
        isChanged[item] = true
        if balance.available > before.balance.available { hasMoreStock[item] = true }
        return AppliedChange(
            quantity: quantity, before: before.balance, after: balance, version: after.version,
            previousJobID: before.lastJobID, levelBefore: notified, levelAfter: level)
    }
}
