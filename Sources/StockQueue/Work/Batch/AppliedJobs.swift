import StockDecision
import StockQueuePostgres

/// The applied jobs of a batch for the change log: store by store, each in the order in which they were applied.
struct AppliedJobs {
    /// One item of each store, by item index: its key names the store.
    private(set) var stores: [Int32] = []
    /// The ids of the jobs, those of a store together.
    private(set) var jobIDs: [Int64] = []
    /// How many jobs each store has.
    private(set) var counts: [Int] = []

    init(_ decision: BatchDecision, _ claims: ClaimSet) {
        var numbers = StoreNumbers(claims.items)
        var applied: [(store: Int, jobID: Int64)] = []
        applied.reserveCapacity(decision.finished)
        for (index, job) in decision.jobs.enumerated() {
            guard case .finished(.applied) = job else { continue }
            let claimed = claims.jobs[index]
            let store = numbers.number(ofItem: claimed.item.rawValue)
            if store == stores.count {
                stores.append(claimed.item.rawValue)
                counts.append(0)
            }
            counts[store] += 1
            applied.append((store, claimed.id))
        }
        jobIDs = [Int64](repeating: 0, count: applied.count)
        var next = firsts
        for (store, jobID) in applied {
            jobIDs[next[store]] = jobID
            next[store] += 1
        }
    }

    /// Where the jobs of each store begin in `jobIDs`.
    var firsts: [Int] {
        var sum = 0
        return counts.map { count in
            defer { sum += count }
            return sum
        }
    }

    /// Numbers the stores of items in the order of first sight.
    private struct StoreNumbers {
        private let items: KeyTable
        private var numbers: [ArraySlice<UInt8>: Int] = [:]
        /// The number of each item's store; -1 before it is known.
        private var ofItems: [Int]
        /// Most lanes have few stores, so an item's store is often that of the item before.
        private var last: (store: ArraySlice<UInt8>, number: Int)?

        init(_ items: KeyTable) {
            self.items = items
            ofItems = [Int](repeating: -1, count: items.count)
        }

        mutating func number(ofItem item: Int32) -> Int {
            let known = ofItems[Int(item)]
            if known >= 0 { return known }
            let store = items.bytes(of: Int(item), column: 0)
            let number = number(of: store)
            ofItems[Int(item)] = number
            return number
        }

        private mutating func number(of store: ArraySlice<UInt8>) -> Int {
            if let last, last.store == store { return last.number }
            let number = numbers[store] ?? numbers.count
            numbers[store] = number
            last = (store, number)
            return number
        }
    }
}
