import StockDecision
import StockModel
import StockQueuePostgres

/// Offered calls in a batch, from the claim to the commit. Owned by the worker's thread.
final class ImmediateWork {
    private let offers: [ImmediateOffer]
    /// The stores of the calls.
    let stores: Set<StoreInLane>
    /// The calls of all offers, in their order.
    let calls: [ImmediateCall]
    let lines: Int
    /// Each access once, and the access of each call.
    let accesses: [ImmediateAccess]
    private let accessOfCall: [Int]
    /// The item of each line, by its number in the batch.
    private var items: [Int32] = []
    /// The ids that were drawn, one for each line.
    private var jobIDs: [Int64] = []
    private var grants: [ReadImmediateAccessStatement.Grant] = []
    /// The calls whose jobs are in the batch.
    private(set) var admitted: [Int] = []
    /// The transaction that decides the calls.
    private(set) var transaction = ""
    private var hasEnded = false

    init(_ offers: [ImmediateOffer]) {
        self.offers = offers
        stores = offers.reduce(into: []) { $0.formUnion($1.stores) }
        calls = offers.flatMap(\.calls)
        lines = calls.reduce(0) { $0 + $1.lines.count }
        var numbers: [ImmediateAccess: Int] = [:]
        var (accesses, accessOfCall): ([ImmediateAccess], [Int]) = ([], [])
        for call in calls {
            let number = numbers[call.access] ?? accesses.count
            if number == accesses.count {
                numbers[call.access] = number
                accesses.append(call.access)
            }
            accessOfCall.append(number)
        }
        (self.accesses, self.accessOfCall) = (accesses, accessOfCall)
    }

    /// Its jobs are, or may yet come, in the batch.
    var isInBatch: Bool { !hasEnded }

    // MARK: joining the batch

    /// Gives each item of the calls its number in the batch.
    func number(in table: inout KeyTable) {
        items = calls.flatMap { call in
            call.lines.map { table.number(of: [call.storeID, $0.itemID, $0.locationID]) }
        }
    }

    /// Takes what the database says of the accesses, and the ids.
    func take(access: ResultSet, ids: ResultSet) {
        grants = ReadImmediateAccessStatement.grants(in: access)
        (transaction, jobIDs) = DrawJobIDsStatement.ids(in: ids)
    }

    /// Finds the calls that may change the items that they name. Every other call has to be enqueued, and gets its error
    /// there.
    func admit(_ locked: Batch.Items) {
        guard jobIDs.count == lines, grants.count == accesses.count else { return }
        var first = 0
        for (index, call) in calls.enumerated() {
            let grant = grants[accessOfCall[index]]
            let range = first..<first + call.lines.count
            first = range.upperBound
            guard grant.mayUpdate, grant.storeID == call.storeID else { continue }
            let isAdmitted = zip(call.lines, items[range]).allSatisfy { line, item in
                let parent = locked.parentIDs[Int(item)]
                return locked.states[Int(item)].presence == .known
                    && (line.parentID == nil || line.parentID == parent ?? "") && (parent == nil || grant.mayRead)
            }
            if isAdmitted { admitted.append(index) }
        }
    }

    /// The jobs of an admitted call. The index of a group is for the caller to give.
    func jobs(ofCall index: Int) -> [ClaimedJob] {
        let range = range(ofCall: index)
        return zip(calls[index].lines, range).map { line, position in
            var job = ClaimedJob(
                id: jobIDs[position], item: ItemIndex(rawValue: items[position]), action: line.action,
                onInsufficient: line.onInsufficient, quantity: line.quantity)
            job.notify = line.notify
            return job
        }
    }

    /// Distinct among the calls of a transaction.
    func groupID(ofCall index: Int) -> String { "http-\(transaction)-\(index + 1)" }

    private lazy var firstLines: [Int] = {
        var first = 0
        return calls.map { call in
            defer { first += call.lines.count }
            return first
        }
    }()

    private func range(ofCall index: Int) -> Range<Int> {
        firstLines[index]..<firstLines[index] + calls[index].lines.count
    }

    // MARK: ending

    /// Leaves the calls out of the batch.
    func decline() {
        if hasEnded { return }
        hasEnded = true
        for offer in offers { offer.end(.declined) }
    }

    /// - Parameter outcomes: of the jobs in the batch, in the order of `admitted` and of their lines.
    func end(_ outcomes: [JobOutcome], beganAt: Timestamp) {
        var next = 0
        end(
            admittedJobs { ids in
                defer { next += ids.count }
                return zip(ids, outcomes[next...]).map {
                    FinishedJobs.Job(jobID: $0, enqueuedAt: beganAt, outcome: $1)
                }
            }, { .decided($0, finishedAt: beganAt) })
    }

    /// The answer of COMMIT was lost.
    func doubt(beganAt: Timestamp) {
        let jobs = admittedJobs { ids in ids.map { FinishedJobs.ID(jobID: $0, enqueuedAt: beganAt) } }
        end(jobs, { [transaction] in .doubtful($0.map { $0 ?? [] }, transaction: transaction) })
    }

    /// For each call what `value` makes of the ids of its jobs; nil for a call that is not in the batch.
    private func admittedJobs<Value>(_ value: (ArraySlice<Int64>) -> [Value]) -> [[Value]?] {
        var values = [[Value]?](repeating: nil, count: calls.count)
        for index in admitted { values[index] = value(jobIDs[range(ofCall: index)]) }
        return values
    }

    private func end<Value>(_ values: [[Value]?], _ outcome: ([[Value]?]) -> ImmediateOutcome) {
        if hasEnded { return }
        hasEnded = true
        var first = 0
        for offer in offers {
            offer.end(outcome(Array(values[first..<first + offer.calls.count])))
            first += offer.calls.count
        }
    }
}
