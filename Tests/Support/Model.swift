/// A plain model of the queue that processes one job at a time. It shares no code with the decision: keys and codes are
/// texts, numbers have 128 bits, and a group that is not applied restores a copy of everything.
public struct Model {
    /// The jobs of one submission that share a group id.
    public struct Group: Hashable, Sendable {
        public var id: String
        public var submission: Int64
    }

    public struct Job: Sendable {
        public var id: Int64
        public var item: String
        public var action = "adjust"
        public var policy = "reject"
        public var quantity: Int64
        public var expected: Int64?
        public var groupID: String?
        public var priority = 2
        public var notify = true
        public var expired = false
        public var key: String?
        /// The transaction that inserted it.
        public var submission: Int64 = 0

        /// The group that the job belongs to.
        public var group: Group? { groupID.map { Group(id: $0, submission: submission) } }

        /// What must be the same for a duplicate.
        var request: String { "\(item) \(action) \(quantity) \(policy) \(expected.map { "\($0)" } ?? "-")" }

        public init(id: Int64, item: String, quantity: Int64) {
            self.id = id
            self.item = item
            self.quantity = quantity
        }
    }

    public struct Item: Sendable, Equatable {
        public var onHand: Int128
        public var allocated: Int128
        public var version = 0
        public var threshold: Int128?
        public var tracked = true
        /// The alert level that the last notification reported.
        public var notifiedLevel: String
        public var lastJob: Int64?

        public init(onHand: Int64, allocated: Int64 = 0, threshold: Int64?, tracked: Bool) {
            self.onHand = Int128(onHand)
            self.allocated = Int128(allocated)
            self.threshold = threshold.map { Int128($0) }
            self.tracked = tracked
            notifiedLevel = ""
            notifiedLevel = level
        }

        public var available: Int128 { onHand - allocated }

        public var level: String {
            guard tracked else { return "ok" }
            guard available > 0 else { return "out" }
            guard let threshold, available <= threshold else { return "ok" }
            return "low"
        }
    }

    public struct Result: Sendable, Equatable {
        public var job: Int64
        public var outcome: String
        public var code = "-"
        public var warning = "-"
        public var applied: Int128 = 0
        /// on_hand and allocated before and after, then the version; empty without an item.
        public var stock: [Int128] = []
        public var levels = "-"
        public var previous: Int64?
        /// The job that used the idempotency key first.
        public var first: Int64?

        public init(
            job: Int64, outcome: String, code: String = "-", warning: String = "-", applied: Int128 = 0,
            stock: [Int128] = [], levels: String = "-", previous: Int64? = nil, first: Int64? = nil
        ) {
            self.first = first
            self.job = job
            self.outcome = outcome
            self.code = code
            self.warning = warning
            self.applied = applied
            self.stock = stock
            self.levels = levels
            self.previous = previous
        }
    }

    public struct Notification: Sendable, Equatable, Comparable {
        public var item: String
        public var version: Int
        public var kind: String
        public var job: Int64
        public var before: Int128
        public var after: Int128

        public init(item: String, version: Int, kind: String, job: Int64, before: Int128, after: Int128) {
            self.item = item
            self.version = version
            self.kind = kind
            self.job = job
            self.before = before
            self.after = after
        }

        public static func < (left: Notification, right: Notification) -> Bool {
            (left.item, left.version) < (right.item, right.version)
        }
    }

    private static let bound: Int128 = (1 << 53) - 1

    public var items: [String: Item]
    public private(set) var results: [Int64: Result] = [:]
    public private(set) var notifications: [Notification] = []
    /// The job and the request that each idempotency key was used for.
    public private(set) var usedKeys: [String: (job: Int64, request: String)] = [:]
    /// Jobs that wait for stock.
    public private(set) var waiting: Set<Int64> = []

    public init(items: [String: Item]) { self.items = items }

    /// Processes jobs in order: by priority and id, a group at the position of its first line.
    public mutating func work(_ jobs: [Job]) {
        var rest = jobs.sorted { ($0.priority, $0.id) < ($1.priority, $1.id) }
        while let first = rest.first {
            guard let group = first.group else {
                rest.removeFirst()
                take([first])
                continue
            }
            let lines = rest.filter { $0.group == group }.sorted { $0.id < $1.id }
            rest.removeAll { $0.group == group }
            take(lines)
        }
    }

    /// Processes one work unit: a job, or the lines of a group.
    public mutating func take(_ lines: [Job]) {
        if takeDuplicates(lines) { return }
        decide(lines)
        for line in lines {
            if let key = line.key, results[line.id] != nil { usedKeys[key] = (line.id, line.request) }
        }
    }

    /// A group that was submitted before under the same keys is a duplicate. A group with some new lines is rejected.
    private mutating func takeDuplicates(_ lines: [Job]) -> Bool {
        var known = usedKeys
        var seen: [(kind: String, first: Int64?)] = []
        for line in lines {
            if let key = line.key, let used = known[key] {
                seen.append((used.request == line.request ? "same" : "other", used.job))
            } else {
                if let key = line.key { known[key] = (line.id, line.request) }
                seen.append(("new", nil))
            }
        }
        if seen.allSatisfy({ $0.kind == "new" }) { return false }
        let isSame = seen.allSatisfy { $0.kind == "same" }
        for (line, found) in zip(lines, seen) {
            let code = isSame ? "-" : found.kind == "same" ? "group_rejected" : "idempotency_mismatch"
            results[line.id] = Result(
                job: line.id, outcome: isSame ? "duplicate" : "rejected", code: code,
                stock: unchangedBalance(line.item),
                first: found.first)
        }
        return true
    }

    private mutating func decide(_ lines: [Job]) {
        let before = self
        var outcomes: [String] = []
        for line in lines { outcomes.append(takeLine(line, groupStart: before)) }
        let isRejected = outcomes.contains { $0.hasPrefix("rejected") }
        let waits = outcomes.contains("waits")
        guard isRejected || waits else { return }
        let notes = zip(lines, outcomes)
        self = before
        for (line, outcome) in notes {
            if !isRejected {
                waiting.insert(line.id)
            } else {
                let code = outcome.hasPrefix("rejected ") ? String(outcome.dropFirst(9)) : "group_rejected"
                results[line.id] = Result(
                    job: line.id, outcome: "rejected", code: code, stock: unchangedBalance(line.item))
            }
        }
    }

    /// Forgets the results, notifications and waiting jobs so far, and keeps the items and keys.
    public mutating func forgetResults() {
        results = [:]
        notifications = []
        waiting = []
    }

    private func unchangedBalance(_ item: String) -> [Int128] {
        guard let state = items[item] else { return [] }
        return [state.onHand, state.onHand, state.allocated, state.allocated, Int128(state.version)]
    }

    private mutating func takeLine(_ job: Job, groupStart: Model) -> String {
        if job.expired { return "rejected expired" }
        let quantity = Int128(job.quantity)
        if !Self.isValid(quantity, job.action) { return "rejected invalid_quantity" }
        guard var state = items[job.item] else { return "rejected unknown_item" }
        if !state.tracked { return unchanged(job, "untracked") }
        if let expected = job.expected, Int128(expected) != groupStart.items[job.item]?.available {
            return "rejected stale"
        }
        if job.action == "adjust" && quantity == 0 { return unchanged(job, "no_change") }
        if job.action == "set" && quantity == state.onHand { return unchanged(job, "no_change") }

        var effect = quantity
        let need: Int128 =
            switch job.action {
            case "adjust": max(0, -quantity)
            case "allocate": quantity
            default: 0
            }
        if need > 0 && state.available < need {
            switch job.policy {
            case "allow": break
            case "partial" where state.available > 0:
                effect = job.action == "adjust" ? -state.available : state.available
            case "wait": return "waits"
            default: return "rejected insufficient_stock"
            }
        }
        if ["deallocate", "ship"].contains(job.action) && state.allocated < quantity {
            return "rejected insufficient_allocation"
        }
        if job.action == "set" && quantity < state.allocated && job.policy != "allow" {
            return "rejected insufficient_stock"
        }

        let old = state
        switch job.action {
        case "adjust": state.onHand += effect
        case "allocate": state.allocated += effect
        case "deallocate": state.allocated -= effect
        case "ship":
            state.allocated -= effect
            state.onHand -= effect
        default: state.onHand = effect
        }
        for figure in [state.onHand, state.allocated, state.available] where figure > Self.bound || figure < -Self.bound
        {
            return "rejected out_of_range"
        }
        state.version += 1
        state.lastJob = job.id
        let order = ["ok": 0, "low": 1, "out": 2]
        if job.notify {
            if state.level != old.notifiedLevel { notify(job, old, state) }
            state.notifiedLevel = state.level
        } else if order[state.level, default: 9] < order[old.notifiedLevel, default: 9] {
            state.notifiedLevel = state.level
        }
        items[job.item] = state
        results[job.id] = Result(
            job: job.id, outcome: "applied", warning: state.available < 0 ? "negative_stock" : "-", applied: effect,
            stock: [old.onHand, state.onHand, old.allocated, state.allocated, Int128(state.version)],
            levels: "\(old.notifiedLevel) \(state.level)", previous: old.lastJob)
        return "applied"
    }

    private static func isValid(_ quantity: Int128, _ action: String) -> Bool {
        if quantity > bound || quantity < -bound { return false }
        return switch action {
        case "allocate", "deallocate", "ship": quantity > 0
        case "set": quantity >= 0
        default: true
        }
    }

    private mutating func unchanged(_ job: Job, _ code: String) -> String {
        results[job.id] = Result(job: job.id, outcome: "unchanged", code: code, stock: unchangedBalance(job.item))
        return "unchanged"
    }

    private mutating func notify(_ job: Job, _ old: Item, _ new: Item) {
        let kinds = [
            "ok low": "low_stock", "ok out": "out_of_stock", "low out": "out_of_stock", "out low": "back_in_stock",
            "out ok": "back_in_stock", "low ok": "restocked",
        ]
        notifications.append(
            Notification(
                item: job.item, version: new.version, kind: kinds["\(old.notifiedLevel) \(new.level)", default: "?"],
                job: job.id,
                before: old.available, after: new.available))
    }
}
