/// Judges a batch: the heart of the program, without I/O.
///
/// - Parameters:
///   - jobs: in order of work. The lines of a group stand side by side, in job order.
///   - stock: what the batch found under its locks, by item number.
/// - Returns: the same results, versions, stock and notifications as judging the jobs one at a time.
public func judge(_ jobs: [ClaimedJob], stock: [StockState]) -> Judgement {
    var judge = BatchJudge(stock: stock)
    judge.result.verdicts.reserveCapacity(jobs.count)
    var start = 0
    while start < jobs.count {
        let group = jobs[start].group
        var end = start + 1
        if group >= 0 {
            while end < jobs.count && jobs[end].group == group { end += 1 }
        }
        if judge.mustLeave(jobs[start..<end]) {
            judge.leave(jobs[start..<end])
        } else if group < 0 {
            judge.judgeSingle(jobs[start], at: Int32(start))
        } else {
            judge.judgeGroup(jobs[start..<end])
        }
        start = end
    }
    return judge.finish()
}

private struct BatchJudge {
    var result = Judgement()
    private var stock: [StockState]
    /// Items that a job left behind touches: later jobs on them are left too, or they would overtake it.
    private var isLeft: [Bool]
    private var isChanged: [Bool]
    private var hasRisen: [Bool]

    init(stock: [StockState]) {
        self.stock = stock
        isLeft = stock.map { $0.presence == .held }
        isChanged = [Bool](repeating: false, count: stock.count)
        hasRisen = isChanged
    }

    // MARK: left behind

    func mustLeave(_ unit: ArraySlice<ClaimedJob>) -> Bool {
        unit.contains { !$0.isLocked || isLeft[Int($0.item)] }
    }

    mutating func leave(_ unit: ArraySlice<ClaimedJob>) {
        for job in unit {
            isLeft[Int(job.item)] = true
            result.verdicts.append(Verdict(.left, .unchanged, nil, stock: stock[Int(job.item)]))
        }
        result.left += unit.count
    }

    // MARK: a job that stands alone

    mutating func judgeSingle(_ job: ClaimedJob, at index: Int32) {
        let before = stock[Int(job.item)]
        switch assess(job, against: before, availableSeen: before.available) {
        case .apply(let onHand, let allocated, let quantity):
            apply(job, at: index, onHand: onHand, allocated: allocated, quantity: quantity)
        case .unchanged(let code):
            result.verdicts.append(Verdict(.result, .unchanged, code, stock: before))
        case .reject(let code):
            result.verdicts.append(Verdict(.result, .rejected, code, stock: before))
        case .wait(let need):
            var verdict = Verdict(.waits, .unchanged, nil, stock: before)
            verdict.waitingQuantity = need
            result.verdicts.append(verdict)
            result.waiting += 1
            return
        }
        result.finished += 1
    }

    // MARK: a group

    /// Judges the lines against the stock as the lines before them leave it, and takes everything back when one of
    /// them is refused or must wait. A refusal beats waiting.
    mutating func judgeGroup(_ lines: ArraySlice<ClaimedJob>) {
        var before: [Int32: StockState] = [:]
        var changedBefore: [Int32: (changed: Bool, risen: Bool)] = [:]
        for line in lines where before[line.item] == nil {
            before[line.item] = stock[Int(line.item)]
            changedBefore[line.item] = (isChanged[Int(line.item)], hasRisen[Int(line.item)])
        }
        let firstVerdict = result.verdicts.count
        let firstChange = result.levelChanges.count
        var refusals: [Int: Code] = [:]
        var needs: [Int: Int64] = [:]
        for index in lines.indices {
            let line = lines[index]
            let now = stock[Int(line.item)]
            let seen = before[line.item] ?? now
            switch assess(line, against: now, availableSeen: seen.available) {
            case .apply(let onHand, let allocated, let quantity):
                apply(line, at: Int32(index), onHand: onHand, allocated: allocated, quantity: quantity)
            case .unchanged(let code): result.verdicts.append(Verdict(.result, .unchanged, code, stock: now))
            case .reject(let code):
                refusals[index] = code
                result.verdicts.append(Verdict(.result, .rejected, code, stock: seen))
            case .wait(let need):
                needs[index] = need
                result.verdicts.append(Verdict(.waits, .unchanged, nil, stock: seen))
            }
        }
        if refusals.isEmpty && needs.isEmpty {
            result.finished += lines.count
            return
        }
        for (item, state) in before { stock[Int(item)] = state }
        for (item, marks) in changedBefore {
            isChanged[Int(item)] = marks.changed
            hasRisen[Int(item)] = marks.risen
        }
        result.levelChanges.removeSubrange(firstChange...)
        result.verdicts.removeSubrange(firstVerdict...)
        for index in lines.indices {
            let state = stock[Int(lines[index].item)]
            if refusals.isEmpty {
                var verdict = Verdict(.waits, .unchanged, nil, stock: state)
                verdict.waitingQuantity = needs[index]
                result.verdicts.append(verdict)
            } else {
                result.verdicts.append(Verdict(.result, .rejected, refusals[index] ?? .groupRejected, stock: state))
            }
        }
        if refusals.isEmpty { result.waiting += lines.count } else { result.finished += lines.count }
    }

    // MARK: applying

    private mutating func apply(_ job: ClaimedJob, at index: Int32, onHand: Int64, allocated: Int64, quantity: Int64) {
        let item = Int(job.item)
        let before = stock[item]
        var verdict = Verdict(.result, .applied, nil, stock: before)
        stock[item].onHand = onHand
        stock[item].allocated = allocated
        stock[item].version += 1
        stock[item].lastJobID = job.id
        let after = stock[item]
        let told = before.toldLevel ?? before.level
        let level = after.level
        // A silent job tells nothing, yet re-arms: a level that got better is remembered, a worse one is left to be told.
        stock[item].toldLevel = job.notify ? level : min(told, level)
        if job.notify, let kind = NotificationKind(from: told, to: level) {
            result.levelChanges.append(
                LevelChange(
                    kind: kind, job: index, item: job.item, threshold: after.threshold,
                    availableBefore: before.available, availableAfter: after.available, version: after.version))
        }
        verdict.appliedQuantity = quantity
        verdict.warnsNegative = after.available < 0
        verdict.onHandAfter = onHand
        verdict.allocatedAfter = allocated
        verdict.version = after.version
        verdict.levelBefore = told
        verdict.levelAfter = level
        verdict.previousJobID = before.lastJobID
        result.verdicts.append(verdict)
        isChanged[item] = true
        if after.available > before.available { hasRisen[item] = true }
    }

    consuming func finish() -> Judgement {
        result.changedItems = isChanged.indices.filter { isChanged[$0] }.map { Int32($0) }
        result.risenItems = hasRisen.indices.filter { hasRisen[$0] }.map { Int32($0) }
        result.stock = stock
        return result
    }
}
