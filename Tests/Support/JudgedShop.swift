import StockQueue

/// The decision's side: stock by item number, carried from batch to batch.
public struct JudgedShop {
    private var names: [String]
    private var stock: [ItemState]
    private var keyNames: [String] = []
    private var keys: [KeyState?] = []

    public init(_ items: [String: Model.Item]) {
        names = items.keys.sorted()
        stock = names.map { name in
            let item = items[name]!
            return ItemState(
                onHand: Int64(item.onHand), allocated: Int64(item.allocated),
                threshold: item.threshold.map { Int64($0) },
                tracked: item.tracked)
        }
    }

    /// Judges the jobs as one batch and compares it with the model, which has worked them off already.
    ///
    /// - Parameters:
    ///   - unlocked: jobs that somebody else holds.
    ///   - held: items that somebody else holds.
    ///   - left: the jobs that must be left for the next round, which the model has not seen.
    /// - Returns: the first difference.
    public mutating func work(
        _ jobs: [Model.Job], _ model: Model, newNotifications: [Model.Notification], unlocked: Set<Int64> = [],
        held: Set<String> = [], left: Set<Int64> = []
    ) -> String? {
        let claimed = claim(jobs, unlocked)
        let before = stock
        var locked = stock
        for (number, name) in names.enumerated() where held.contains(name) { locked[number].presence = .held }
        let decision = decide(claimed, stock: locked, keys: keys)
        keys = decision.keys
        stock = decision.stock
        for number in stock.indices { stock[number].presence = before[number].presence }
        if keyNames.indices.contains(where: { keys[$0]?.jobID != model.usedKeys[keyNames[$0]]?.job }) {
            return "keys \(keyNames) are used by \(keys.map { $0?.jobID }), the model has \(model.usedKeys)"
        }
        return verdictProblem(claimed, decision, model, left) ?? stockProblem(model, before, decision)
            ?? tellingProblem(claimed, decision, newNotifications)
    }

    private func verdictProblem(
        _ claimed: [ClaimedJob], _ decision: BatchDecision, _ model: Model, _ left: Set<Int64>
    ) -> String? {
        let (finished, waiting) = (decision.finished, decision.waiting)
        if decision.decisions.count != claimed.count { return "\(decision.decisions.count) decisions" }
        if decision.left != left.count { return "\(decision.left) jobs are left, not \(left.count)" }
        if finished + waiting + left.count != claimed.count { return "\(finished) are finished and \(waiting) wait" }
        for (job, decision) in zip(claimed, decision.decisions) {
            let mine = describe(job, decision)
            let theirs =
                if left.contains(job.id) { "left" } else if model.waiting.contains(job.id) { "waits" } else {
                    model.results[job.id].map(describe) ?? "nothing"
                }
            if mine != theirs { return "job \(job): \(mine), the model says \(theirs)" }
        }
        return nil
    }

    private func stockProblem(_ model: Model, _ before: [ItemState], _ decision: BatchDecision) -> String? {
        for (name, state) in zip(names, stock) {
            guard let item = model.items[name] else { continue }
            let mine =
                "\(state.onHand) \(state.allocated) \(state.version) \(state.notifiedLevel ?? state.level) \(state.lastJobID ?? 0)"
            let theirs = "\(item.onHand) \(item.allocated) \(item.version) \(item.told) \(item.lastJob ?? 0)"
            if mine != theirs { return "item \(name): \(mine), the model says \(theirs)" }
        }
        let changed = stock.indices.filter { stock[$0].version != before[$0].version }.map { Int32($0) }
        return decision.changedItems == changed ? nil : "\(decision.changedItems) are to be written, not \(changed)"
    }

    private func tellingProblem(
        _ claimed: [ClaimedJob], _ decision: BatchDecision, _ newNotifications: [Model.Notification]
    ) -> String? {
        let told = decision.levelChanges.map { change in
            Model.Notification(
                item: names[Int(change.item)], version: Int(change.version), kind: change.kind.rawValue,
                job: claimed[Int(change.job)].id, before: Int128(change.availableBefore),
                after: Int128(change.availableAfter))
        }
        return told.sorted() == newNotifications.sorted() ? nil : "told \(told), the model tells \(newNotifications)"
    }

    /// In order of work, as a claim arranges them.
    private mutating func claim(_ jobs: [Model.Job], _ unlocked: Set<Int64>) -> [ClaimedJob] {
        var best: [String: (Int, Int64)] = [:]
        for job in jobs {
            guard let group = job.group else { continue }
            if let known = best[group], known < (job.priority, job.id) { continue }
            best[group] = (job.priority, job.id)
        }
        let ordered = jobs.sorted { left, right in
            let a = left.group.flatMap { best[$0] } ?? (left.priority, left.id)
            let b = right.group.flatMap { best[$0] } ?? (right.priority, right.id)
            return a != b ? a < b : left.id < right.id
        }
        var groups: [String: Int32] = [:]
        return ordered.map { job in
            var claimed = ClaimedJob(
                id: job.id, item: number(of: job.item), action: StockAction(rawValue: job.action)!,
                onInsufficient: InsufficientStockPolicy(rawValue: job.policy)!, quantity: job.quantity)
            claimed.expectedAvailable = job.expected
            claimed.notify = job.notify
            claimed.isExpired = job.expired
            if let key = job.key { claimed.key = number(ofKey: key) }
            if job.group != nil { claimed.enqueuedAt = job.sentAt }
            claimed.isLocked = !unlocked.contains(job.id)
            if let group = job.group {
                let number = groups[group] ?? Int32(groups.count)
                groups[group] = number
                claimed.group = number
            }
            return claimed
        }
    }

    private mutating func number(of item: String) -> Int32 {
        if let known = names.firstIndex(of: item) { return Int32(known) }
        names.append(item)
        stock.append(ItemState())
        return Int32(names.count - 1)
    }

    private mutating func number(ofKey key: String) -> Int32 {
        if let known = keyNames.firstIndex(of: key) { return Int32(known) }
        keyNames.append(key)
        keys.append(nil)
        return Int32(keyNames.count - 1)
    }

    private func describe(_ job: ClaimedJob, _ decision: JobDecision) -> String {
        if decision.fate == .waits { return "waits" }
        if decision.fate == .left { return "left" }
        let result = Model.Result(
            job: job.id, outcome: decision.outcome.rawValue, code: decision.code?.rawValue ?? "-",
            warning: decision.warnsNegative ? "negative_stock" : "-", applied: Int128(decision.appliedQuantity),
            stock: decision.hasStock
                ? [
                    decision.onHandBefore, decision.onHandAfter, decision.allocatedBefore, decision.allocatedAfter,
                    decision.version,
                ]
                .map { Int128($0) } : [],
            levels: decision.levelBefore.map { "\($0) \(decision.levelAfter!)" } ?? "-",
            previous: decision.previousJobID,
            first: decision.firstJobID)
        return describe(result)
    }

    private func describe(_ result: Model.Result) -> String {
        "\(result.outcome) \(result.code) \(result.warning) \(result.applied) \(result.stock) \(result.levels) \(result.previous ?? 0) \(result.first ?? 0)"
    }
}
