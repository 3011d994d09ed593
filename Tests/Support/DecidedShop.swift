import StockDecision
import StockModel

/// The decision's side of a comparison with the model: it keeps items and keys from batch to batch.
public struct DecidedShop {
    private var names: [String]
    private var items: [ItemState]
    private var keyNames: [String] = []
    private var keys: [KeyState?] = []

    public init(_ items: [String: Model.Item]) {
        names = items.keys.sorted()
        self.items = names.map { name in
            let item = items[name]!
            return ItemState(
                onHand: Int64(item.onHand), allocated: Int64(item.allocated),
                threshold: item.threshold.map { Int64($0) },
                tracked: item.tracked)
        }
    }

    /// Decides the jobs as one batch and compares it with the model, which has processed them already.
    ///
    /// - Parameters:
    ///   - lockedJobs: jobs that another transaction has locked.
    ///   - lockedItems: items that another transaction has locked.
    ///   - skipped: the jobs that must be skipped; the model has not seen them.
    /// - Returns: the first difference.
    public mutating func work(
        _ jobs: [Model.Job], _ model: Model, newNotifications: [Model.Notification], lockedJobs: Set<Int64> = [],
        lockedItems: Set<String> = [], skipped: Set<Int64> = []
    ) -> String? {
        let claimed = claim(jobs, lockedJobs)
        let before = items
        var seen = items
        for (index, name) in names.enumerated() where lockedItems.contains(name) { seen[index].presence = .locked }
        let decision = decide(claimed, items: seen, keys: keys)
        keys = decision.keys
        items = decision.items
        for index in items.indices { items[index].presence = before[index].presence }
        if keyNames.indices.contains(where: { keys[$0]?.jobID != model.usedKeys[keyNames[$0]]?.job }) {
            return "keys \(keyNames) are used by \(keys.map { $0?.jobID }), the model has \(model.usedKeys)"
        }
        return decisionDifference(claimed, decision, model, skipped) ?? itemDifference(model, before, decision)
            ?? notificationDifference(claimed, decision, newNotifications)
    }

    private func decisionDifference(
        _ claimed: [ClaimedJob], _ decision: BatchDecision, _ model: Model, _ skipped: Set<Int64>
    ) -> String? {
        let (finished, waiting) = (decision.finished, decision.waiting)
        if decision.jobs.count != claimed.count { return "\(decision.jobs.count) decisions" }
        if decision.skipped != skipped.count { return "\(decision.skipped) jobs are skipped, not \(skipped.count)" }
        if finished + waiting + skipped.count != claimed.count { return "\(finished) are finished, \(waiting) wait" }
        if decision.outcomes.total != finished { return "\(decision.outcomes.total) outcomes are counted" }
        for (job, decision) in zip(claimed, decision.jobs) {
            let mine = describe(job, decision)
            let theirs =
                if skipped.contains(job.id) { "skipped" } else if model.waiting.contains(job.id) { "waits" } else {
                    model.results[job.id].map(describe) ?? "nothing"
                }
            if mine != theirs { return "job \(job): \(mine), the model says \(theirs)" }
        }
        return nil
    }

    private func itemDifference(_ model: Model, _ before: [ItemState], _ decision: BatchDecision) -> String? {
        for (name, state) in zip(names, items) {
            guard let item = model.items[name] else { continue }
            let mine =
                """
                \(state.balance.onHand) \(state.balance.allocated) \(state.version) \
                \(state.notifiedLevel ?? state.level) \(state.lastJobID ?? 0)
                """
            let theirs =
                "\(item.onHand) \(item.allocated) \(item.version) \(item.notifiedLevel) \(item.lastJob ?? 0)"
            if mine != theirs { return "item \(name): \(mine), the model says \(theirs)" }
        }
        let changed = items.indices.filter { items[$0].version != before[$0].version }.map { ItemIndex($0) }
        return decision.changedItems == changed ? nil : "\(decision.changedItems) are to be written, not \(changed)"
    }

    private func notificationDifference(
        _ claimed: [ClaimedJob], _ decision: BatchDecision, _ newNotifications: [Model.Notification]
    ) -> String? {
        let mine = decision.levelChanges.map { change in
            Model.Notification(
                item: names[change.item.position], version: Int(change.version), kind: change.kind.rawValue,
                job: claimed[change.job].id, before: Int128(change.availableBefore),
                after: Int128(change.availableAfter))
        }
        return mine.sorted() == newNotifications.sorted()
            ? nil : "notifications \(mine), the model has \(newNotifications)"
    }

    /// In order of work, as a claim arranges the jobs.
    private mutating func claim(_ jobs: [Model.Job], _ lockedJobs: Set<Int64>) -> [ClaimedJob] {
        var best: [Model.Group: (Int, Int64)] = [:]
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
        var groups: [Model.Group: GroupIndex] = [:]
        return ordered.map { job in
            var claimed = ClaimedJob(
                id: job.id, item: index(of: job.item), action: StockAction(rawValue: job.action)!,
                onInsufficient: InsufficientStockPolicy(rawValue: job.policy)!, quantity: job.quantity)
            claimed.expectedAvailable = job.expected
            claimed.notify = job.notify
            claimed.isExpired = job.expired
            if let key = job.key { claimed.key = index(ofKey: key) }
            claimed.isClaimed = !lockedJobs.contains(job.id)
            if let group = job.group {
                let index = groups[group] ?? GroupIndex(groups.count)
                groups[group] = index
                claimed.group = index
            }
            return claimed
        }
    }

    private mutating func index(of item: String) -> ItemIndex {
        if let known = names.firstIndex(of: item) { return ItemIndex(known) }
        names.append(item)
        items.append(ItemState())
        return ItemIndex(names.count - 1)
    }

    private mutating func index(ofKey key: String) -> KeyIndex {
        if let known = keyNames.firstIndex(of: key) { return KeyIndex(known) }
        keyNames.append(key)
        keys.append(nil)
        return KeyIndex(keyNames.count - 1)
    }

    private func describe(_ job: ClaimedJob, _ decision: JobDecision) -> String {
        guard case .finished(let outcome) = decision else { return decision == .skipped ? "skipped" : "waits" }
        let balances = [
            outcome.before?.onHand, outcome.after?.onHand, outcome.before?.allocated, outcome.after?.allocated,
        ]
        let result = Model.Result(
            job: job.id, outcome: outcome.outcome.rawValue, code: outcome.code?.rawValue ?? "-",
            warning: outcome.change?.warnsNegativeStock == true ? "negative_stock" : "-",
            applied: Int128(outcome.change?.quantity ?? 0),
            stock: (balances + [outcome.version]).compactMap { $0.map { Int128($0) } },
            levels: outcome.change.map { "\($0.levelBefore) \($0.levelAfter)" } ?? "-",
            previous: outcome.change?.previousJobID, first: outcome.firstJobID)
        return describe(result)
    }

    private func describe(_ result: Model.Result) -> String {
        """
        \(result.outcome) \(result.code) \(result.warning) \(result.applied) \(result.stock) \(result.levels) \
        \(result.previous ?? 0) \(result.first ?? 0)
        """
    }
}
