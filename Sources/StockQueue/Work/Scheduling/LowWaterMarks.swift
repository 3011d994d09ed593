import StockModel
import StockQueueLocking

/// Low-water marks: for each strand an id at or below which it has no ready job.
///
/// They let a claim start behind the index entries of jobs that are gone, which stay for as long as any transaction of
/// the server holds back vacuum. The threads of a process share them, and they only save time. A mark may rise to an id
/// S when
/// - every transaction that could have drawn an id up to S has ended or is a passed transaction (`stableID`), and
/// - no ready job up to S remains, as the worker that finished them, or a poll that found none, knows.
///
/// A mark falls when a job below it becomes ready: after a promotion by this process at once; after an administrator's
/// change with the next poll or claim, which sees the lane's epoch; after anything else with the next full scan. The
/// jobs of a passed transaction become visible when it ends. So every claim and poll that relies on the marks asks,
/// behind its reads, whether a passed transaction has ended; if so it is discarded, and the marks fall below that
/// transaction's first id.
///
/// A strand has a mark once a poll or a claim has met it. A poll finds the others between those that it knows.
final class LowWaterMarks: Sendable {
    /// The mark of one strand.
    struct Mark: Equatable {
        var id: Int64 = 0
        /// Raised whenever a job of the strand becomes ready that may be below a mark: what was seen before is outdated.
        fileprivate var changes = 0
    }

    private struct State {
        var marks: [Strand: Mark] = [:]
        /// The strands with a mark, in order; nil when one was added since.
        var order: [Strand]? = []
        /// Raised whenever the marks of the lane fall.
        var changeCounts = [Int](repeating: 0, count: LaneQueue.laneCount)
        var stableID: Int64 = 0
        /// The passed transactions, each with the last id that was drawn before it could draw one.
        var passed: [TransactionID: Int64] = [:]
        /// The epoch of each lane for which its marks are valid.
        var epochs = [Int64](repeating: 0, count: LaneQueue.laneCount)

        /// The mark of a strand, which has one from now on.
        subscript(strand: Strand) -> Mark {
            get { marks[strand] ?? Mark() }
            set { if marks.updateValue(newValue, forKey: strand) == nil { order = nil } }
        }

        mutating func forgetMarks() {
            (marks, order) = ([:], [])
            for lane in changeCounts.indices { changeCounts[lane] += 1 }
        }
    }

    /// The most strands with a mark. Each costs most polls a probe of the ready index.
    private static let strandsMax = 20_000

    private let state = Mutex(State())

    /// The marks of some stores of a lane, for one claim and what follows from it.
    struct View {
        /// What the claim may take of each store, in the order of their turns, and the marks by priority.
        var stores: [(share: StoreTurns.Share, marks: [Mark])]
        var stableID: Int64
        /// What these marks rely on: these transactions are open.
        var passed: [TransactionID]
        var epoch: Int64
        fileprivate var changeCount: Int

        /// Whether a claim above the marks could miss a ready job.
        var hideAnything: Bool { stores.contains { $0.marks.contains { $0.id > 0 } } }

        /// As if the ready jobs that were claimed were gone.
        ///
        /// - Returns: false where the marks cannot rise that far yet.
        mutating func raise(upTo claimed: [ClaimedStrand]) -> Bool {
            let places = Dictionary(
                stores.enumerated().map { ($1.share.store, $0) }, uniquingKeysWith: { first, _ in first })
            var areRaised = true
            for strand in claimed {
                let mark = min(stableID, strand.lastID)
                if let place = places[strand.strand.store] {
                    let index = Int(strand.strand.priority) - 1
                    stores[place].marks[index].id = max(stores[place].marks[index].id, mark)
                }
                if strand.lastID != .max && mark < strand.lastID { areRaised = false }
            }
            return areRaised
        }
    }

    /// - Parameter shares: what the claim may take.
    func view(of lane: Int16, _ shares: [StoreTurns.Share]) -> View {
        state.withLock { state in
            View(
                stores: shares.map { share in
                    (share, (1...Int16(JobRequest.priorityMax)).map { state[share.store.strand($0)] })
                },
                stableID: state.stableID, passed: Array(state.passed.keys), epoch: state.epochs[Int(lane)],
                changeCount: state.changeCounts[Int(lane)])
        }
    }

    /// Whether no mark of the view has fallen since.
    func isStill(_ view: View, of lane: Int16) -> Bool {
        state.withLock { state in
            state.changeCounts[Int(lane)] == view.changeCount && state.epochs[Int(lane)] == view.epoch
                && view.stores.allSatisfy { store in
                    store.marks.enumerated().allSatisfy {
                        state[store.share.store.strand(Int16($0 + 1))].changes == $1.changes
                    }
                }
        }
    }

    /// The marks of all strands that are known, for one poll and what follows from it.
    struct Snapshot {
        /// In order.
        var strands: [Strand]
        var marks: [Mark]
        /// What these marks rely on: these transactions are open.
        var passed: [TransactionID]
        /// And these are the epochs of the lanes.
        var epochs: [Int64]
        fileprivate var stableID: Int64
        fileprivate var changeCounts: [Int]

        var highest: Int64 { marks.reduce(0) { max($0, $1.id) } }

        /// For a poll of everything.
        var fromZero: Snapshot {
            var snapshot = self
            for index in marks.indices { snapshot.marks[index].id = 0 }
            return snapshot
        }
    }

    var snapshot: Snapshot {
        state.withLock { state in
            let strands = state.order ?? state.marks.keys.sorted()
            state.order = strands
            return Snapshot(
                strands: strands, marks: strands.map { state[$0] }, passed: Array(state.passed.keys),
                epochs: state.epochs, stableID: state.stableID, changeCounts: state.changeCounts)
        }
    }

    /// Gives the strands a mark that have none.
    func learn(_ strands: some Sequence<Strand>) {
        state.withLock { state in
            for strand in strands where state.marks[strand] == nil {
                if state.marks.count >= Self.strandsMax { state.forgetMarks() }
                state[strand] = Mark()
            }
        }
    }

    /// Every transaction that could have drawn an id up to this one has ended, or is one of the passed transactions and
    /// of these.
    func raiseStableID(to id: Int64, passing transactions: [PassedTransaction] = []) {
        state.withLock { state in
            for transaction in transactions { state.passed[transaction.id] = transaction.lastIDBefore }
            state.stableID = max(state.stableID, id)
        }
    }

    /// Passed transactions have ended: their jobs may be visible now, in any lane.
    func end(_ transactions: [TransactionID]) {
        state.withLock { state in
            let floors = transactions.compactMap { state.passed.removeValue(forKey: $0) }
            guard let floor = floors.min() else { return }
            state.marks = state.marks.mapValues { Mark(id: min($0.id, floor), changes: $0.changes) }
            for lane in state.changeCounts.indices { state.changeCounts[lane] += 1 }
        }
    }

    /// Starts from zero: what was seen on one server says nothing about another.
    func resetAll() {
        state.withLock { state in
            let changeCounts = state.changeCounts.map { $0 + 1 }
            state = State()
            state.changeCounts = changeCounts
        }
    }

    /// An administrator's change has made jobs of the lane ready that may be below its marks.
    func reset(_ lane: Int16, to epoch: Int64) {
        state.withLock { state in
            for strand in state.marks.keys where strand.lane == lane { state.marks[strand]?.id = 0 }
            state.changeCounts[Int(lane)] += 1
            state.epochs[Int(lane)] = epoch
        }
    }

    /// After a batch that skipped nothing: all ready jobs that it claimed are gone.
    func raise(_ lane: Int16, from view: View, upTo claimed: [ClaimedStrand]) {
        let seen = Dictionary(view.stores.map { ($0.share.store, $0.marks) }, uniquingKeysWith: { first, _ in first })
        state.withLock { state in
            guard state.changeCounts[Int(lane)] == view.changeCount else { return }
            for strand in claimed {
                let mark = state[strand.strand]
                let before = seen[strand.strand.store]?[Int(strand.strand.priority) - 1]
                if mark.changes != before?.changes { continue }
                state[strand.strand].id = max(mark.id, min(view.stableID, strand.lastID))
            }
        }
    }

    /// After a poll that saw nothing ready above these marks.
    func raise(from snapshot: Snapshot, where isEmpty: (Strand) -> Bool) {
        state.withLock { state in
            for (strand, before) in zip(snapshot.strands, snapshot.marks) where isEmpty(strand) {
                let lane = Int(strand.lane)
                guard let mark = state.marks[strand], mark.changes == before.changes,
                    state.changeCounts[lane] == snapshot.changeCounts[lane]
                else { continue }
                state.marks[strand]?.id = max(mark.id, snapshot.stableID)
            }
        }
    }

    /// A full scan has found a job with this id.
    func lower(_ strand: Strand, below id: Int64) {
        state.withLock { state in
            guard let mark = state.marks[strand], mark.id >= id else { return }
            state[strand].changes += 1
            state[strand].id = id - 1
        }
    }

    /// A job with this id has become ready: it may be below the mark, or below that to which a batch is about to raise it.
    func promoted(_ strand: Strand, _ id: Int64) {
        state.withLock { state in
            state[strand].changes += 1
            state[strand].id = min(state[strand].id, id - 1)
        }
    }
}
