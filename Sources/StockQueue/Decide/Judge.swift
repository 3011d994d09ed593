/// Judges a batch: the heart of the program, without I/O.
///
/// - Parameters:
///   - jobs: in order of work. The lines of a group stand side by side, in job order.
///   - stock: what the batch found under its locks, by item number.
///   - keys: the idempotency keys that were used up before, by key number; nil for one that is free.
/// - Returns: the same results, versions, stock and notifications as judging the jobs one at a time.
public func decide(_ jobs: [ClaimedJob], stock: [ItemState], keys: [KeyState?] = []) -> BatchDecision {
    var decide = BatchDecider(stock: stock, keys: keys)
    decide.result.decisions.reserveCapacity(jobs.count)
    let hasKeys = !keys.isEmpty
    var start = 0
    while start < jobs.count {
        let group = jobs[start].group
        var end = start + 1
        if group >= 0 {
            while end < jobs.count && jobs[end].group == group { end += 1 }
        }
        if decide.mustSkip(jobs[start..<end]) {
            decide.leave(jobs[start..<end])
        } else if group < 0 {
            decide.decideSingle(jobs[start], at: Int32(start))
        } else if hasKeys, let sendings = sendings(of: jobs[start..<end]) {
            decide.judgeSendings(sendings, of: jobs[start..<end])
        } else {
            decide.decideGroup(jobs[start..<end])
        }
        start = end
    }
    return decide.finish()
}

/// Tells apart how often a group was sent: whoever does not know whether it arrived sends it again, under the same keys, and while
/// both are queued they are one group by name.
///
/// Lines that came in one transaction were sent together, unless a key repeats among them: the nth line with a key and the same
/// request belongs to the nth sending then, and a line without a key goes with the line before it. Where no key repeats at all,
/// the group is one, in however many transactions it came.
///
/// - Returns: the places of the lines of each sending; nil where there is only one.
private func sendings(of lines: ArraySlice<ClaimedJob>) -> [[Int]]? {
    var keys: Set<Int32> = []
    guard lines.contains(where: { $0.key >= 0 && !keys.insert($0.key).inserted }) else { return nil }
    var transactions: [Int64: [Int]] = [:]
    var inOrder: [Int64] = []
    for index in lines.indices {
        if transactions[lines[index].enqueuedAt] == nil { inOrder.append(lines[index].enqueuedAt) }
        transactions[lines[index].enqueuedAt, default: []].append(index)
    }
    let sendings = inOrder.flatMap { repetitions(among: transactions[$0] ?? [], of: lines) }
    return sendings.count > 1 ? sendings : nil
}

/// The sendings among the lines of one transaction.
private func repetitions(among places: [Int], of lines: ArraySlice<ClaimedJob>) -> [[Int]] {
    var seen: [Int32: (request: KeyState.Request, count: Int)] = [:]
    var sendings: [[Int]] = [[]]
    var current = 0
    for index in places {
        let line = lines[index]
        if line.key >= 0 {
            let request = KeyState.Request(of: line)
            let known = seen[line.key]
            // Another request under the key is no repetition: what was sent together is refused as a whole.
            if let known, known.request != request { return [places] }
            current = known?.count ?? 0
            seen[line.key] = (request, current + 1)
        }
        while sendings.count <= current { sendings.append([]) }
        sendings[current].append(index)
    }
    return sendings
}

private struct BatchDecider {
    var result = BatchDecision()
    private var stock: [ItemState]
    private var keys: [KeyState?]
    /// Items that a job left behind touches: later jobs on them are left too, or they would overtake it.
    private var isSkipped: [Bool]
    private var isChanged: [Bool]
    private var hasMoreStock: [Bool]

    init(stock: [ItemState], keys: [KeyState?]) {
        self.stock = stock
        self.keys = keys
        isSkipped = stock.map { $0.presence == .held }
        isChanged = [Bool](repeating: false, count: stock.count)
        hasMoreStock = isChanged
    }

    // MARK: left behind

    func mustSkip(_ unit: ArraySlice<ClaimedJob>) -> Bool {
        unit.contains { !$0.isLocked || isSkipped[Int($0.item)] }
    }

    mutating func leave(_ unit: ArraySlice<ClaimedJob>) {
        for job in unit {
            isSkipped[Int(job.item)] = true
            result.decisions.append(JobDecision(.left, .unchanged, nil, stock: stock[Int(job.item)]))
        }
        result.left += unit.count
    }

    // MARK: a job that stands alone

    mutating func decideSingle(_ job: ClaimedJob, at index: Int32) {
        let before = stock[Int(job.item)]
        if let used = use(of: job) {
            result.decisions.append(Self.repeated(job, used, stock: before))
            result.finished += 1
            return
        }
        switch assess(job, against: before, availableSeen: before.available) {
        case .apply(let onHand, let allocated, let quantity):
            apply(job, at: index, onHand: onHand, allocated: allocated, quantity: quantity)
        case .unchanged(let code):
            result.decisions.append(JobDecision(.result, .unchanged, code, stock: before))
        case .reject(let code):
            result.decisions.append(JobDecision(.result, .rejected, code, stock: before))
        case .wait(let need):
            var decision = JobDecision(.waits, .unchanged, nil, stock: before)
            decision.waitingQuantity = need
            result.decisions.append(decision)
            result.waiting += 1
            return
        }
        result.finished += 1
        useKey(of: job, at: index)
    }

    // MARK: idempotency keys

    /// Who used the job's key up before it; nil where nobody did, and for a job without a key.
    private func use(of job: ClaimedJob) -> KeyState? { job.key < 0 ? nil : keys[Int(job.key)] }

    private static func repeated(_ job: ClaimedJob, _ used: KeyState, stock: ItemState) -> JobDecision {
        var decision =
            used.request == KeyState.Request(of: job)
            ? JobDecision(.result, .duplicate, nil, stock: stock)
            : JobDecision(.result, .rejected, .idempotencyMismatch, stock: stock)
        decision.firstJobID = used.jobID
        return decision
    }

    private mutating func useKey(of job: ClaimedJob, at index: Int32) {
        guard job.key >= 0 else { return }
        keys[Int(job.key)] = KeyState(jobID: job.id, request: KeyState.Request(of: job))
        result.keyUsers.append(index)
    }

    /// What becomes of a group because of its keys; nil where none of them was used before.
    ///
    /// A group is answered once, as a whole: sent again, it is a duplicate line by line. One of which only some lines were there
    /// before is not what was sent, nor is one with a key twice or a key that stands for another request.
    private func repeatedGroup(_ lines: ArraySlice<ClaimedJob>) -> [JobDecision]? {
        var uses = lines.map { use(of: $0) }
        var seen: [Int32: KeyState] = [:]
        for (place, line) in zip(uses.indices, lines) where line.key >= 0 && uses[place] == nil {
            uses[place] = seen[line.key]
            if uses[place] == nil { seen[line.key] = KeyState(jobID: line.id, request: KeyState.Request(of: line)) }
        }
        if uses.allSatisfy({ $0 == nil }) { return nil }
        let isDuplicate = zip(uses, lines).map { $0?.request == KeyState.Request(of: $1) }
        let isFullScan = !isDuplicate.contains(false)
        return zip(zip(uses, isDuplicate), lines).map { use, line in
            let state = stock[Int(line.item)]
            var decision =
                if isFullScan {
                    JobDecision(.result, .duplicate, nil, stock: state)
                } else {
                    JobDecision(.result, .rejected, use.1 ? .groupRejected : .idempotencyMismatch, stock: state)
                }
            decision.firstJobID = use.0?.jobID
            return decision
        }
    }

    // MARK: a group

    /// Judges a group that was sent more than once: each sending as a group of its own, one after the other.
    mutating func judgeSendings(_ sendings: [[Int]], of lines: ArraySlice<ClaimedJob>) {
        let firstVerdict = result.decisions.count
        var decisions: [Int: JobDecision] = [:]
        for places in sendings {
            // The lines of a sending side by side, and what was noted of them put back to their places.
            let sending = places.map { lines[$0] }
            let changes = result.levelChanges.count
            let users = result.keyUsers.count
            decideGroup(sending[...])
            for index in changes..<result.levelChanges.count {
                result.levelChanges[index].job = Int32(places[Int(result.levelChanges[index].job)])
            }
            for index in users..<result.keyUsers.count {
                result.keyUsers[index] = Int32(places[Int(result.keyUsers[index])])
            }
            for (place, decision) in zip(places, result.decisions[firstVerdict...]) { decisions[place] = decision }
            result.decisions.removeSubrange(firstVerdict...)
        }
        for index in lines.indices { if let decision = decisions[index] { result.decisions.append(decision) } }
    }

    /// Judges the lines against the stock as the lines before them leave it, and takes everything back when one of
    /// them is refused or must wait. A refusal beats waiting.
    mutating func decideGroup(_ lines: ArraySlice<ClaimedJob>) {
        if let repeated = repeatedGroup(lines) {
            result.decisions += repeated
            result.finished += lines.count
            return
        }
        var before: [Int32: ItemState] = [:]
        var changedBefore: [Int32: (changed: Bool, risen: Bool)] = [:]
        for line in lines where before[line.item] == nil {
            before[line.item] = stock[Int(line.item)]
            changedBefore[line.item] = (isChanged[Int(line.item)], hasMoreStock[Int(line.item)])
        }
        let firstVerdict = result.decisions.count
        let firstChange = result.levelChanges.count
        var blockers: [Int: ResultCode] = [:]
        var needs: [Int: Int64] = [:]
        for index in lines.indices {
            let line = lines[index]
            let now = stock[Int(line.item)]
            let seen = before[line.item] ?? now
            switch assess(line, against: now, availableSeen: seen.available) {
            case .apply(let onHand, let allocated, let quantity):
                apply(line, at: Int32(index), onHand: onHand, allocated: allocated, quantity: quantity)
            case .unchanged(let code): result.decisions.append(JobDecision(.result, .unchanged, code, stock: now))
            case .reject(let code):
                blockers[index] = code
                result.decisions.append(JobDecision(.result, .rejected, code, stock: seen))
            case .wait(let need):
                needs[index] = need
                result.decisions.append(JobDecision(.waits, .unchanged, nil, stock: seen))
            }
        }
        if blockers.isEmpty && needs.isEmpty {
            result.finished += lines.count
            useKeys(of: lines)
            return
        }
        for (item, state) in before { stock[Int(item)] = state }
        for (item, marks) in changedBefore {
            isChanged[Int(item)] = marks.changed
            hasMoreStock[Int(item)] = marks.risen
        }
        result.levelChanges.removeSubrange(firstChange...)
        result.decisions.removeSubrange(firstVerdict...)
        for index in lines.indices {
            let state = stock[Int(lines[index].item)]
            if blockers.isEmpty {
                var decision = JobDecision(.waits, .unchanged, nil, stock: state)
                decision.waitingQuantity = needs[index]
                result.decisions.append(decision)
            } else {
                result.decisions.append(
                    JobDecision(.result, .rejected, blockers[index] ?? .groupRejected, stock: state))
            }
        }
        if blockers.isEmpty {
            result.waiting += lines.count
        } else {
            result.finished += lines.count
            useKeys(of: lines)
        }
    }

    private mutating func useKeys(of lines: ArraySlice<ClaimedJob>) {
        for index in lines.indices { useKey(of: lines[index], at: Int32(index)) }
    }

    // MARK: applying

    private mutating func apply(_ job: ClaimedJob, at index: Int32, onHand: Int64, allocated: Int64, quantity: Int64) {
        let item = Int(job.item)
        let before = stock[item]
        var decision = JobDecision(.result, .applied, nil, stock: before)
        stock[item].onHand = onHand
        stock[item].allocated = allocated
        stock[item].version += 1
        stock[item].lastJobID = job.id
        let after = stock[item]
        let told = before.notifiedLevel ?? before.level
        let level = after.level
        // A silent job tells nothing, yet re-arms: a level that got better is remembered, a worse one is left to be told.
        stock[item].notifiedLevel = job.notify ? level : min(told, level)
        if job.notify, let kind = NotificationKind(from: told, to: level) {
            result.levelChanges.append(
                LevelChange(
                    kind: kind, job: index, item: job.item, threshold: after.threshold,
                    availableBefore: before.available, availableAfter: after.available, version: after.version))
        }
        decision.appliedQuantity = quantity
        decision.warnsNegative = after.available < 0
        decision.onHandAfter = onHand
        decision.allocatedAfter = allocated
        decision.version = after.version
        decision.levelBefore = told
        decision.levelAfter = level
        decision.previousJobID = before.lastJobID
        result.decisions.append(decision)
        isChanged[item] = true
        if after.available > before.available { hasMoreStock[item] = true }
    }

    consuming func finish() -> BatchDecision {
        result.changedItems = isChanged.indices.filter { isChanged[$0] }.map { Int32($0) }
        result.itemsWithMoreStock = hasMoreStock.indices.filter { hasMoreStock[$0] }.map { Int32($0) }
        result.stock = stock
        result.keys = keys
        return result
    }
}
