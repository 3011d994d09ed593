import StockDecision
import StockModel
import Testing

/// The rules of design one by one: what each action and policy does, and in which order the checks are made.
@Suite struct DecisionTests {
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
        var says: String
        var onHandAfter: Int64
        var allocatedAfter: Int64 = 0

        var testDescription: String { "\(action) \(quantity) \(policy) of \(onHand)/\(allocated)" }
    }

    private static let most: Int64 = 9_007_199_254_740_991

    static let cases: [Case] = [
        Case(action: .adjust, quantity: -5, onHand: 5, says: "applied", onHandAfter: 0),
        Case(
            action: .adjust, quantity: -5, onHand: 9, allocated: 5, says: "insufficient_stock", onHandAfter: 9,
            allocatedAfter: 5),
        Case(action: .adjust, quantity: -5, policy: .allow, onHand: 3, says: "applied", onHandAfter: -2),
        Case(action: .adjust, quantity: -5, policy: .partial, onHand: 3, says: "applied", onHandAfter: 0),
        Case(action: .adjust, quantity: -5, policy: .partial, onHand: 0, says: "insufficient_stock", onHandAfter: 0),
        Case(action: .adjust, quantity: -5, policy: .wait, onHand: 3, says: "waits", onHandAfter: 3),
        Case(action: .adjust, quantity: 0, onHand: 3, says: "no_change", onHandAfter: 3),
        Case(action: .allocate, quantity: 3, onHand: 3, says: "applied", onHandAfter: 3, allocatedAfter: 3),
        Case(action: .allocate, quantity: 4, onHand: 3, says: "insufficient_stock", onHandAfter: 3),
        Case(
            action: .allocate, quantity: 4, policy: .allow, onHand: 3, says: "applied", onHandAfter: 3,
            allocatedAfter: 4),
        Case(action: .allocate, quantity: 0, onHand: 3, says: "invalid_quantity", onHandAfter: 3),
        Case(action: .deallocate, quantity: 2, onHand: 3, allocated: 2, says: "applied", onHandAfter: 3),
        Case(
            action: .deallocate, quantity: 3, onHand: 3, allocated: 2, says: "insufficient_allocation", onHandAfter: 3,
            allocatedAfter: 2),
        Case(action: .ship, quantity: 2, onHand: 3, allocated: 2, says: "applied", onHandAfter: 1),
        Case(
            action: .ship, quantity: 3, onHand: 3, allocated: 2, says: "insufficient_allocation", onHandAfter: 3,
            allocatedAfter: 2),
        Case(action: .set, quantity: 7, onHand: 3, says: "applied", onHandAfter: 7),
        Case(action: .set, quantity: 3, onHand: 3, says: "no_change", onHandAfter: 3),
        Case(
            action: .set, quantity: 1, onHand: 3, allocated: 2, says: "insufficient_stock", onHandAfter: 3,
            allocatedAfter: 2),
        Case(
            action: .set, quantity: 1, policy: .allow, onHand: 3, allocated: 2, says: "applied", onHandAfter: 1,
            allocatedAfter: 2),
        Case(action: .set, quantity: -1, onHand: 3, says: "invalid_quantity", onHandAfter: 3),
        Case(action: .adjust, quantity: most, onHand: 0, says: "applied", onHandAfter: most),
        Case(action: .adjust, quantity: 1, onHand: most, says: "out_of_range", onHandAfter: most),
        Case(action: .adjust, quantity: most + 1, onHand: 0, says: "invalid_quantity", onHandAfter: 0),
        Case(action: .adjust, quantity: .min, onHand: 0, says: "invalid_quantity", onHandAfter: 0),
        Case(action: .adjust, quantity: .max, onHand: 0, says: "invalid_quantity", onHandAfter: 0),
        Case(action: .adjust, quantity: -most, policy: .allow, onHand: -1, says: "out_of_range", onHandAfter: -1),
    ]

    @Test(arguments: cases) func ruleHolds(_ expected: Case) {
        let (decision, stock) = one(
            job(expected.action, expected.quantity, expected.policy),
            ItemState(onHand: expected.onHand, allocated: expected.allocated))
        let says = Self.summary(decision)
        #expect(says == expected.says)
        #expect(stock.balance.onHand == expected.onHandAfter)
        #expect(stock.balance.allocated == expected.allocatedAfter)
        #expect(stock.version == (expected.says == "applied" ? 1 : 0))
    }

    @Test func checksAreMadeInOrder() {
        // All is wrong with this job; taking one fault away at a time brings up the next.
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

    @Test func partialSaysHowMuch() {
        let (decision, _) = one(job(.adjust, -9, .partial), ItemState(onHand: 4))
        #expect(outcome(decision)?.change?.quantity == -4)
    }

    @Test func aRepeatedItemInAGroupCountsTwice() {
        let lines = [job(.adjust, -3, id: 1, group: 0), job(.adjust, -3, id: 2, group: 0)]
        let decision = decide(lines, items: [ItemState(onHand: 5)])
        #expect(decision.jobs.map { outcome($0)?.code } == [.groupRejected, .insufficientStock])
        #expect(decision.items[0].balance.onHand == 5)
        #expect(decision.changedItems.isEmpty)
        // A rejected line shows the real stock, before the group.
        #expect(outcome(decision.jobs[1])?.before?.onHand == 5)
    }

    @Test func aFailingLineLeavesTheScratchAlone() {
        let lines = [
            job(.adjust, -9, id: 1, group: 0), job(.adjust, -5, id: 2, group: 0), job(.adjust, -1, id: 3, group: 0),
        ]
        let decision = decide(lines, items: [ItemState(onHand: 5)])
        #expect(decision.jobs.map { outcome($0)?.code } == [.insufficientStock, .groupRejected, .insufficientStock])
    }

    @Test func aRefusalBeatsWaiting() {
        let lines = [job(.adjust, -9, .wait, id: 1, group: 0), job(.adjust, -1, id: 2, item: 1, group: 0)]
        let decision = decide(lines, items: [ItemState(onHand: 5), ItemState()])
        #expect(decision.jobs.map { outcome($0)?.code } == [.groupRejected, .unknownItem])
        #expect(decision.waiting == 0)
    }

    @Test func oneWaitingLineMakesTheWholeGroupWait() {
        let lines = [job(.adjust, -1, id: 1, group: 0), job(.adjust, -9, .wait, id: 2, group: 0)]
        let decision = decide(lines, items: [ItemState(onHand: 5)])
        #expect(decision.waiting == 2)
        #expect(decision.jobs == [.waits(quantity: nil), .waits(quantity: 9)])
        #expect(decision.items[0].balance.onHand == 5)
    }

    @Test func aWaitingJobHoldsNobodyBack() {
        let jobs = [job(.adjust, -9, .wait, id: 1), job(.adjust, -5, id: 2)]
        let decision = decide(jobs, items: [ItemState(onHand: 5)])
        #expect(outcome(decision.jobs[1])?.outcome == .applied)
    }

    @Test func whatIsHeldTakesItsFollowersWithIt() {
        var locked = ItemState(onHand: 5)
        locked.presence = .locked
        let jobs = [
            job(.adjust, -1, id: 1, item: 0),  // held
            job(.adjust, -1, id: 2, item: 1, group: 0),  // its group touches the held item
            job(.adjust, -1, id: 3, item: 0, group: 0),
            job(.adjust, -1, id: 4, item: 1),  // behind the group on item 1
            job(.adjust, -1, id: 5, item: 2),  // free
        ]
        let decision = decide(jobs, items: [locked, ItemState(onHand: 5), ItemState(onHand: 5)])
        #expect(decision.jobs.map { $0 == .skipped } == [true, true, true, true, false])
        #expect(decision.skipped == 4)
    }

    @Test func aJobThatSomebodyElseHoldsIsNotOvertaken() {
        let jobs = [
            job(.adjust, -1, id: 1) { $0.isLocked = false }, job(.adjust, -1, id: 2), job(.adjust, -1, id: 3, item: 1),
        ]
        let decision = decide(jobs, items: [ItemState(onHand: 5), ItemState(onHand: 5)])
        #expect(decision.jobs.map { $0 == .skipped } == [true, true, false])
    }

    @Test func aSilentJobTellsNothingAndReArms() {
        var stock = ItemState(onHand: 10, threshold: 5)
        // A silent fall is told by the next job that speaks.
        var decision = decide([job(.adjust, -6, id: 1) { $0.notify = false }, job(.adjust, -1, id: 2)], items: [stock])
        #expect(decision.levelChanges.map(\.kind) == [.lowStock])
        #expect(decision.levelChanges.first?.job == JobIndex(1))
        // A silent rise is remembered: the next fall is told again.
        stock = decision.items[0]
        decision = decide([job(.adjust, 10, id: 3) { $0.notify = false }, job(.adjust, -9, id: 4)], items: [stock])
        #expect(decision.levelChanges.map(\.kind) == [.lowStock])
    }

    @Test func theLevelAtCreationIsTheBaseline() {
        let decision = decide([job(.adjust, -1, id: 1)], items: [ItemState(onHand: 3, threshold: 5)])
        #expect(decision.levelChanges.isEmpty)
        #expect(decision.items[0].notifiedLevel == .low)
    }
}
