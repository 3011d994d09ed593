import StockQueueLocking

/// Below which job ids a lane has nothing ready: so that a claim does not step over the index entries of jobs that are
/// gone, which stay for as long as any transaction of the server holds vacuum back.
///
/// One mark for each lane and priority, shared by the threads of a process. A mark only saves time; it may rise to S when
/// - every transaction that could have drawn an id up to S has ended (`stableID`), and
/// - no ready job up to S is left, as the worker that finished them, or a poll that found none, knows.
/// It falls when a job below it becomes ready: by a promotion of this process at once, by an operator's hand with the next claim
/// (the lane's epoch says so), by anything else at the next poll below the marks.
final class LowWaterMarks: Sendable {
    static let priorities = 4

    private struct State {
        var marks = [Int64](repeating: 0, count: LaneQueue.laneCount * LowWaterMarks.priorities)
        /// Raised whenever a mark of the lane falls: what was seen before then says nothing any more.
        var changeCounts = [Int](repeating: 0, count: LaneQueue.laneCount)
        var stableID: Int64 = 0
        /// The epoch of each lane that its marks belong to.
        var epochs = [Int64](repeating: 0, count: LaneQueue.laneCount)
    }

    private let state = Mutex(State())

    /// The marks of a lane as they stand, for one claim and what follows from it.
    struct View {
        /// By priority, from 1 on.
        var marks: [Int64]
        var stableID: Int64
        var epoch: Int64
        fileprivate var changeCount: Int
    }

    func view(of lane: Int16) -> View {
        state.withLock { state in
            let first = Int(lane) * Self.priorities
            return View(
                marks: Array(state.marks[first..<first + Self.priorities]), stableID: state.stableID,
                epoch: state.epochs[Int(lane)], changeCount: state.changeCounts[Int(lane)])
        }
    }

    /// All marks as they stand, lane by lane, for a poll.
    struct Snapshot {
        var marks: [Int64]
        fileprivate var stableID: Int64
        fileprivate var changeCounts: [Int]

        /// A poll at everything.
        var fromZero: Snapshot {
            Snapshot(
                marks: [Int64](repeating: 0, count: marks.count), stableID: stableID, changeCounts: changeCounts)
        }
    }

    var sight: Snapshot {
        state.withLock { Snapshot(marks: $0.marks, stableID: $0.stableID, changeCounts: $0.changeCounts) }
    }

    static func place(lane: Int16, priority: Int16) -> Int { Int(lane) * priorities + Int(priority) - 1 }

    /// Every transaction that could have drawn an id up to this one has ended.
    func settle(_ id: Int64) { state.withLock { $0.stableID = max($0.stableID, id) } }

    /// Starts from nothing: what was seen on another server says nothing of this one.
    func forget() {
        state.withLock { state in
            let changeCounts = state.changeCounts.map { $0 + 1 }
            state = State()
            state.changeCounts = changeCounts
        }
    }

    /// An operator has made jobs of a lane ready that may stand below its marks.
    func reset(_ lane: Int16, to epoch: Int64) {
        state.withLock { state in
            let first = Int(lane) * Self.priorities
            for place in first..<first + Self.priorities { state.marks[place] = 0 }
            state.changeCounts[Int(lane)] += 1
            state.epochs[Int(lane)] = epoch
        }
    }

    /// After a batch that left nothing behind: all ready jobs up to the last one claimed are gone.
    func raise(_ lane: Int16, from view: View, upTo last: (priority: Int16, id: Int64)) {
        state.withLock { state in
            guard state.changeCounts[Int(lane)] == view.changeCount else { return }
            for priority in 1...last.priority {
                let mark = priority == last.priority ? min(view.stableID, last.id) : view.stableID
                let place = Self.place(lane: lane, priority: priority)
                state.marks[place] = max(state.marks[place], mark)
            }
        }
    }

    /// After a poll that saw nothing ready in these places.
    func raise(from sight: Snapshot, where isEmpty: (_ place: Int) -> Bool) {
        state.withLock { state in
            for place in state.marks.indices where isEmpty(place) {
                let lane = place / Self.priorities
                if state.changeCounts[lane] == sight.changeCounts[lane] {
                    state.marks[place] = max(state.marks[place], sight.stableID)
                }
            }
        }
    }

    /// A job is ready that may stand below the mark.
    func lower(lane: Int16, priority: Int16, below id: Int64) {
        state.withLock { state in
            let place = Self.place(lane: lane, priority: priority)
            if state.marks[place] < id { return }
            state.changeCounts[Int(lane)] += 1
            state.marks[place] = min(state.marks[place], id - 1)
        }
    }
}
