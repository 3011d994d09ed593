import StockModel
import StockQueueLocking

/// Low-water marks: for each lane and priority an id at or below which the lane has no ready job.
///
/// They let a claim start behind the index entries of jobs that are gone, which stay for as long as any transaction of
/// the server holds back vacuum. The threads of a process share them, and they only save time. A mark may rise to an id
/// S when
/// - every transaction that could have drawn an id up to S has ended or is a passed transaction (`stableID`), and
/// - no ready job up to S remains, as the worker that finished them, or a poll that found none, knows.
///
/// A mark falls when a job below it becomes ready: after a promotion by this process at once; after an administrator's
/// change with the next claim, which sees the lane's epoch; after anything else with the next full scan. The jobs of a
/// passed transaction become visible when it ends. So every claim and poll that relies on the marks asks, behind its
/// reads, whether a passed transaction has ended; if so it is discarded, and the marks fall below that transaction's
/// first id.
final class LowWaterMarks: Sendable {
    static let priorities = JobRequest.priorityMax

    private struct State {
        /// Lane by lane, in each by priority.
        var marks = [Int64](repeating: 0, count: LaneQueue.laneCount * LowWaterMarks.priorities)
        /// Raised whenever a mark of the lane falls: what was seen before is outdated then.
        var changeCounts = [Int](repeating: 0, count: LaneQueue.laneCount)
        var stableID: Int64 = 0
        /// The passed transactions, each with the last id that was drawn before it could draw one.
        var passed: [TransactionID: Int64] = [:]
        /// The epoch of each lane for which its marks are valid.
        var epochs = [Int64](repeating: 0, count: LaneQueue.laneCount)
    }

    private let state = Mutex(State())

    /// The marks of one lane, for one claim and what follows from it.
    struct View {
        /// By priority, from 1 on.
        var marks: [Int64]
        var stableID: Int64
        /// What these marks rely on: these transactions are open.
        var passed: [TransactionID]
        var epoch: Int64
        fileprivate var changeCount: Int

        /// Whether a claim above the marks could miss a ready job.
        var hideAnything: Bool { marks.contains { $0 > 0 } }

        /// Whether no mark of the lane has fallen between the two.
        func isStill(_ other: View) -> Bool { changeCount == other.changeCount && epoch == other.epoch }

        /// As if the ready jobs up to this one were gone.
        ///
        /// - Returns: false where the marks cannot rise that far yet.
        mutating func raise(upTo last: (priority: Int16, id: Int64)) -> Bool {
            for priority in 1...last.priority {
                let index = Int(priority) - 1
                marks[index] = max(marks[index], Self.mark(of: priority, last, stableID: stableID))
            }
            return marks[Int(last.priority) - 1] >= last.id
        }

        /// No ready job up to the mark remains when all are gone up to the last one.
        fileprivate static func mark(
            of priority: Int16, _ last: (priority: Int16, id: Int64), stableID: Int64
        ) -> Int64 {
            priority == last.priority ? min(stableID, last.id) : stableID
        }
    }

    func view(of lane: Int16) -> View {
        state.withLock { state in
            let first = Int(lane) * Self.priorities
            return View(
                marks: Array(state.marks[first..<first + Self.priorities]), stableID: state.stableID,
                passed: Array(state.passed.keys), epoch: state.epochs[Int(lane)],
                changeCount: state.changeCounts[Int(lane)])
        }
    }

    /// The marks of all lanes, for one poll and what follows from it.
    struct Snapshot {
        var marks: [Int64]
        /// What these marks rely on: these transactions are open.
        var passed: [TransactionID]
        fileprivate var stableID: Int64
        fileprivate var changeCounts: [Int]

        var highest: Int64 { marks.max() ?? 0 }

        /// For a poll of everything.
        var fromZero: Snapshot {
            var snapshot = self
            snapshot.marks = [Int64](repeating: 0, count: marks.count)
            return snapshot
        }
    }

    var snapshot: Snapshot {
        state.withLock {
            Snapshot(
                marks: $0.marks, passed: Array($0.passed.keys), stableID: $0.stableID,
                changeCounts: $0.changeCounts)
        }
    }

    /// The index of a mark in a snapshot.
    static func index(lane: Int16, priority: Int16) -> Int { Int(lane) * priorities + Int(priority) - 1 }

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
            for index in state.marks.indices { state.marks[index] = min(state.marks[index], floor) }
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
            let first = Int(lane) * Self.priorities
            for index in first..<first + Self.priorities { state.marks[index] = 0 }
            state.changeCounts[Int(lane)] += 1
            state.epochs[Int(lane)] = epoch
        }
    }

    /// After a batch that skipped nothing: all ready jobs up to the last one claimed are gone.
    func raise(_ lane: Int16, from view: View, upTo last: (priority: Int16, id: Int64)) {
        state.withLock { state in
            guard state.changeCounts[Int(lane)] == view.changeCount else { return }
            for priority in 1...last.priority {
                let mark = View.mark(of: priority, last, stableID: view.stableID)
                let index = Self.index(lane: lane, priority: priority)
                state.marks[index] = max(state.marks[index], mark)
            }
        }
    }

    /// After a poll that saw nothing ready above these marks.
    func raise(from snapshot: Snapshot, where isEmpty: (_ index: Int) -> Bool) {
        state.withLock { state in
            for index in state.marks.indices where isEmpty(index) {
                let lane = index / Self.priorities
                if state.changeCounts[lane] == snapshot.changeCounts[lane] {
                    state.marks[index] = max(state.marks[index], snapshot.stableID)
                }
            }
        }
    }

    /// A job with this id has become ready and may be below the mark.
    func lower(lane: Int16, priority: Int16, below id: Int64) {
        state.withLock { state in
            let index = Self.index(lane: lane, priority: priority)
            if state.marks[index] < id { return }
            state.changeCounts[Int(lane)] += 1
            state.marks[index] = min(state.marks[index], id - 1)
        }
    }
}
