import StockDecision
import StockModel
import Testing

/// What each action and policy does, and the order of the checks.
@Suite("Decision rules") struct DecisionTests {
    private func job(
        _ action: StockAction, _ quantity: Int64, _ policy: InsufficientStockPolicy = .reject, id: Int64 = 1,
        item: Int32 = 0,
        group: Int32? = nil, _ change: (inout ClaimedJob) -> Void = { _ in }
    ) -> ClaimedJob {
        var job = ClaimedJob(
            id: id, item: ItemIndex(rawValue: item), action: action, onInsufficient: policy, quantity: quantity)
        job.group = group.map { GroupIndex(rawValue: $0) }
        change(&job)
        return job
    }

    private func one(_ job: ClaimedJob, _ stock: ItemState) -> (JobDecision, ItemState) {
        let decision = decide([job], items: [stock])
        return (decision.jobs[0], decision.items[0])
    }

    /// The result of a finished job.
    private func outcome(_ decision: JobDecision) -> JobOutcome? {
        if case .finished(let outcome) = decision { outcome } else { nil }
    }

    /// `applied`, `waits`, or the code.
    private static func summary(_ decision: JobDecision) -> String {
        switch decision {
        case .waits: "waits"
        case .skipped: "skipped"
        case .finished(let outcome): outcome.code?.rawValue ?? outcome.outcome.rawValue
        }
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var action: StockAction
        var quantity: Int64
        var policy = InsufficientStockPolicy.reject
        var onHand: Int64
        var allocated: Int64 = 0
        /// `applied`, `waits`, or the code.
        var expects: String
        var onHandAfter: Int64
        var allocatedAfter: Int64 = 0

        var testDescription: String { "\(action) \(quantity) \(policy) with \(onHand) on hand, \(allocated) allocated" }
    }

    private static let quantityMax: Int64 = 9_007_199_254_740_991

    static let cases: [Case] = [
        Case(action: .adjust, quantity: -5, onHand: 5, expects: "applied", onHandAfter: 0),
        Case(
            action: .adjust, quantity: -5, onHand: 9, allocated: 5, expects: "insufficient_stock", onHandAfter: 9,
            allocatedAfter: 5),
        Case(action: .adjust, quantity: -5, policy: .allow, onHand: 3, expects: "applied", onHandAfter: -2),
        Case(action: .adjust, quantity: -5, policy: .partial, onHand: 3, expects: "applied", onHandAfter: 0),
        Case(action: .adjust, quantity: -5, policy: .partial, onHand: 0, expects: "insufficient_stock", onHandAfter: 0),
        Case(action: .adjust, quantity: -5, policy: .wait, onHand: 3, expects: "waits", onHandAfter: 3),
        Case(action: .adjust, quantity: 0, onHand: 3, expects: "no_change", onHandAfter: 3),
        Case(action: .allocate, quantity: 3, onHand: 3, expects: "applied", onHandAfter: 3, allocatedAfter: 3),
        Case(action: .allocate, quantity: 4, onHand: 3, expects: "insufficient_stock", onHandAfter: 3),
        Case(
            action: .allocate, quantity: 4, policy: .allow, onHand: 3, expects: "applied", onHandAfter: 3,
            allocatedAfter: 4),
        Case(action: .allocate, quantity: 0, onHand: 3, expects: "invalid_quantity", onHandAfter: 3),
        Case(action: .deallocate, quantity: 2, onHand: 3, allocated: 2, expects: "applied", onHandAfter: 3),
        Case(
            action: .deallocate, quantity: 3, onHand: 3, allocated: 2, expects: "insufficient_allocation",
            onHandAfter: 3,
            allocatedAfter: 2),
        Case(action: .ship, quantity: 2, onHand: 3, allocated: 2, expects: "applied", onHandAfter: 1),
        Case(
            action: .ship, quantity: 3, onHand: 3, allocated: 2, expects: "insufficient_allocation", onHandAfter: 3,
            allocatedAfter: 2),
        Case(action: .set, quantity: 7, onHand: 3, expects: "applied", onHandAfter: 7),
        Case(action: .set, quantity: 3, onHand: 3, expects: "no_change", onHandAfter: 3),
        Case(
            action: .set, quantity: 1, onHand: 3, allocated: 2, expects: "insufficient_stock", onHandAfter: 3,
            allocatedAfter: 2),
        Case(
            action: .set, quantity: 1, policy: .allow, onHand: 3, allocated: 2, expects: "applied", onHandAfter: 1,
            allocatedAfter: 2),
        Case(action: .set, quantity: -1, onHand: 3, expects: "invalid_quantity", onHandAfter: 3),
        Case(action: .adjust, quantity: quantityMax, onHand: 0, expects: "applied", onHandAfter: quantityMax),
        Case(action: .adjust, quantity: 1, onHand: quantityMax, expects: "out_of_range", onHandAfter: quantityMax),
        Case(action: .adjust, quantity: quantityMax + 1, onHand: 0, expects: "invalid_quantity", onHandAfter: 0),
        Case(action: .adjust, quantity: .min, onHand: 0, expects: "invalid_quantity", onHandAfter: 0),
        Case(action: .adjust, quantity: .max, onHand: 0, expects: "invalid_quantity", onHandAfter: 0),
        Case(
            action: .adjust, quantity: -quantityMax, policy: .allow, onHand: -1, expects: "out_of_range",
            onHandAfter: -1),
    ]

    @Test("each action and policy has its effect", arguments: cases) func effect(_ expected: Case) {
        let (decision, stock) = one(
            job(expected.action, expected.quantity, expected.policy),
            ItemState(onHand: expected.onHand, allocated: expected.allocated))
        #expect(Self.summary(decision) == expected.expects)
        #expect(stock.balance.onHand == expected.onHandAfter)
        #expect(stock.balance.allocated == expected.allocatedAfter)
        #expect(stock.version == (expected.expects == "applied" ? 1 : 0))
    }

    @Test("the first check that fails gives the code") func orderOfChecks() {
        // Every check fails for this job. Each correction leads to the next check.
        var stock = ItemState()
        var wrong = job(.allocate, 0) {
            $0.isExpired = true
            $0.expectedAvailable = 99
        }
        #expect(outcome(one(wrong, stock).0)?.code == .expired)
        wrong.isExpired = false
        #expect(outcome(one(wrong, stock).0)?.code == .invalidQuantity)
        wrong.quantity = 50
        #expect(outcome(one(wrong, stock).0)?.code == .unknownItem)
        stock = ItemState(onHand: 3, tracked: false)
        #expect(outcome(one(wrong, stock).0)?.code == .untracked)
        stock.tracked = true
        #expect(outcome(one(wrong, stock).0)?.code == .stale)
        wrong.expectedAvailable = 3
        #expect(outcome(one(wrong, stock).0)?.code == .insufficientStock)
        wrong.quantity = 3
        #expect(outcome(one(wrong, stock).0)?.outcome == .applied)
    }

    @Test("a partial job reports the applied quantity") func partialQuantity() {
        let (decision, _) = one(job(.adjust, -9, .partial), ItemState(onHand: 4))
        #expect(outcome(decision)?.change?.quantity == -4)
    }

    @Test("an item that appears twice in a group counts twice") func itemTwiceInGroup() {
        let lines = [job(.adjust, -3, id: 1, group: 0), job(.adjust, -3, id: 2, group: 0)]
        let decision = decide(lines, items: [ItemState(onHand: 5)])
        #expect(decision.jobs.map { outcome($0)?.code } == [.groupRejected, .insufficientStock])
        #expect(decision.items[0].balance.onHand == 5)
        #expect(decision.changedItems.isEmpty)
        // A rejected line reports the real balance, before the group.
        #expect(outcome(decision.jobs[1])?.before?.onHand == 5)
    }

    @Test("a line that fails does not change the balance that later lines of its group see") func failingLine() {
        let lines = [
            job(.adjust, -9, id: 1, group: 0), job(.adjust, -5, id: 2, group: 0), job(.adjust, -1, id: 3, group: 0),
        ]
        let decision = decide(lines, items: [ItemState(onHand: 5)])
        #expect(decision.jobs.map { outcome($0)?.code } == [.insufficientStock, .groupRejected, .insufficientStock])
    }

    @Test("a group with a rejected line is rejected, even if another line would wait") func rejectionBeforeWaiting() {
        let lines = [job(.adjust, -9, .wait, id: 1, group: 0), job(.adjust, -1, id: 2, item: 1, group: 0)]
        let decision = decide(lines, items: [ItemState(onHand: 5), ItemState()])
        #expect(decision.jobs.map { outcome($0)?.code } == [.groupRejected, .unknownItem])
        #expect(decision.waiting == 0)
    }

    @Test("a group with a waiting line waits as a whole") func waitingLine() {
        let lines = [job(.adjust, -1, id: 1, group: 0), job(.adjust, -9, .wait, id: 2, group: 0)]
        let decision = decide(lines, items: [ItemState(onHand: 5)])
        #expect(decision.waiting == 2)
        #expect(decision.jobs == [.waits(quantity: nil), .waits(quantity: 9)])
        #expect(decision.items[0].balance.onHand == 5)
    }

    @Test("the lines of a group that is too large are rejected whatever they are, and report the real balance")
    func tooLargeGroup() {
        var known = job(.adjust, -1, id: 2, group: 0)
        known.key = KeyIndex(0)
        var new = job(.adjust, -1, id: 3, item: 1, group: 0)
        new.key = KeyIndex(1)
        let jobs = [
            job(.adjust, -1, id: 1, group: 0), known, new, job(.adjust, -9, .wait, id: 4, group: 0),
            job(.adjust, -5, id: 5),
        ]
        let used = KeyState(
            jobID: 99,
            request: .init(item: nil, action: .set, quantity: 1, onInsufficient: .reject, expectedAvailable: nil))
        let decision = decide(
            jobs, items: [ItemState(onHand: 5), ItemState()], keys: [used, nil], tooLargeGroups: [GroupIndex(0)])
        #expect(decision.jobs.dropLast().map { outcome($0)?.code } == Array(repeating: .groupTooLarge, count: 4))
        #expect(decision.jobs.map { outcome($0)?.before?.onHand } == [5, 5, nil, 5, 5])
        #expect(outcome(decision.jobs[4])?.outcome == .applied)
        // Only an unused key is used up, and by the job that has it.
        #expect(decision.keyUsers == [JobIndex(2)])
        #expect(decision.keys.map { $0?.jobID } == [99, 3])
    }

    @Test("of a group that is too large a locked line skips all lines of the batch") func lockedTooLargeGroup() {
        let jobs = [job(.adjust, -1, id: 1, group: 0), job(.adjust, -1, id: 2, group: 0) { $0.isClaimed = false }]
        let decision = decide(jobs, items: [ItemState(onHand: 5)], tooLargeGroups: [GroupIndex(0)])
        #expect(decision.jobs == [.skipped, .skipped])
    }

    @Test("a waiting job does not delay later jobs of its item") func waitingJob() {
        let jobs = [job(.adjust, -9, .wait, id: 1), job(.adjust, -5, id: 2)]
        let decision = decide(jobs, items: [ItemState(onHand: 5)])
        #expect(outcome(decision.jobs[1])?.outcome == .applied)
    }

    @Test("jobs behind a skipped job of the same item or group are skipped too") func skippedFollowers() {
        var locked = ItemState(onHand: 5)
        locked.presence = .locked
        let jobs = [
            job(.adjust, -1, id: 1, item: 0),  // of the locked item
            job(.adjust, -1, id: 2, item: 1, group: 0),  // its group has a line of the locked item
            job(.adjust, -1, id: 3, item: 0, group: 0),
            job(.adjust, -1, id: 4, item: 1),  // later than the group, of the same item
            job(.adjust, -1, id: 5, item: 2),  // of an item of its own
        ]
        let decision = decide(jobs, items: [locked, ItemState(onHand: 5), ItemState(onHand: 5)])
        #expect(decision.jobs.map { $0 == .skipped } == [true, true, true, true, false])
        #expect(decision.skipped == 4)
    }

    @Test("later jobs of the item do not overtake a job that another transaction has locked") func lockedJob() {
        let jobs = [
            job(.adjust, -1, id: 1) { $0.isClaimed = false }, job(.adjust, -1, id: 2), job(.adjust, -1, id: 3, item: 1),
        ]
        let decision = decide(jobs, items: [ItemState(onHand: 5), ItemState(onHand: 5)])
        #expect(decision.jobs.map { $0 == .skipped } == [true, true, false])
    }

    @Test("a job with notify = false writes no notification, and re-arms the next one") func silentJob() {
        var stock = ItemState(onHand: 10, threshold: 5)
        // The next job that notifies reports the silent fall.
        var decision = decide([job(.adjust, -6, id: 1) { $0.notify = false }, job(.adjust, -1, id: 2)], items: [stock])
        #expect(decision.levelChanges.map(\.kind) == [.lowStock])
        #expect(decision.levelChanges.first?.job == JobIndex(1))
        // The silent rise counts: the next fall is notified again.
        stock = decision.items[0]
        decision = decide([job(.adjust, 10, id: 3) { $0.notify = false }, job(.adjust, -9, id: 4)], items: [stock])
        #expect(decision.levelChanges.map(\.kind) == [.lowStock])
    }

    @Test("the level at which an item is created is its baseline") func baseline() {
        let decision = decide([job(.adjust, -1, id: 1)], items: [ItemState(onHand: 3, threshold: 5)])
        #expect(decision.levelChanges.isEmpty)
        #expect(decision.items[0].notifiedLevel == .low)
    }
}
