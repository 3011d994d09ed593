import Locking

/// Below which job ids a lane has nothing ready: so that a claim does not step over the index entries of jobs that are
/// gone, which stay for as long as any transaction of the server holds vacuum back.
///
/// One mark for each lane and priority, shared by the threads of a process. A mark only saves time; it may rise to S when
/// - every transaction that could have drawn an id up to S has ended (`settled`), and
/// - no ready job up to S is left, as the worker that finished them, or a look that found none, knows.
/// It falls when a job below it becomes ready: by a promotion of this process at once, by an operator's hand with the next claim
/// (the lane's revision says so), by anything else at the next look below the marks.
final class LowWaterMarks: Sendable {
    static let priorities = 4

    private struct State {
        var marks = [Int64](repeating: 0, count: LaneBoard.laneCount * LowWaterMarks.priorities)
        /// Raised whenever a mark of the lane falls: what was seen before then says nothing any more.
        var generations = [Int](repeating: 0, count: LaneBoard.laneCount)
        var settled: Int64 = 0
        /// The revision of each lane that its marks belong to.
        var revisions = [Int64](repeating: 0, count: LaneBoard.laneCount)
    }

    private let state = Mutex(State())

    /// The marks of a lane as they stand, for one claim and what follows from it.
    struct View {
        /// By priority, from 1 on.
        var marks: [Int64]
        var settled: Int64
        var revision: Int64
        fileprivate var generation: Int
    }

    func view(of lane: Int16) -> View {
        state.withLock { state in
            let first = Int(lane) * Self.priorities
            return View(
                marks: Array(state.marks[first..<first + Self.priorities]), settled: state.settled,
                revision: state.revisions[Int(lane)], generation: state.generations[Int(lane)])
        }
    }

    /// All marks as they stand, lane by lane, for a look.
    struct Sight {
        var marks: [Int64]
        fileprivate var settled: Int64
        fileprivate var generations: [Int]

        /// A look at everything.
        var fromZero: Sight {
            Sight(
                marks: [Int64](repeating: 0, count: marks.count), settled: settled, generations: generations)
        }
    }

    var sight: Sight {
        state.withLock { Sight(marks: $0.marks, settled: $0.settled, generations: $0.generations) }
    }

    static func place(lane: Int16, priority: Int16) -> Int { Int(lane) * priorities + Int(priority) - 1 }

    /// Every transaction that could have drawn an id up to this one has ended.
    func settle(_ id: Int64) { state.withLock { $0.settled = max($0.settled, id) } }

    /// Starts from nothing: what was seen on another server says nothing of this one.
    func forget() {
        state.withLock { state in
            let generations = state.generations.map { $0 + 1 }
            state = State()
            state.generations = generations
        }
    }

    /// An operator has made jobs of a lane ready that may stand below its marks.
    func revise(_ lane: Int16, to revision: Int64) {
        state.withLock { state in
            let first = Int(lane) * Self.priorities
            for place in first..<first + Self.priorities { state.marks[place] = 0 }
            state.generations[Int(lane)] += 1
            state.revisions[Int(lane)] = revision
        }
    }

    /// After a batch that left nothing behind: all ready jobs up to the last one claimed are gone.
    func raise(_ lane: Int16, from view: View, upTo last: (priority: Int16, id: Int64)) {
        state.withLock { state in
            guard state.generations[Int(lane)] == view.generation else { return }
            for priority in 1...last.priority {
                let mark = priority == last.priority ? min(view.settled, last.id) : view.settled
                let place = Self.place(lane: lane, priority: priority)
                state.marks[place] = max(state.marks[place], mark)
            }
        }
    }

    /// After a look that saw nothing ready in these places.
    func raise(from sight: Sight, where isEmpty: (_ place: Int) -> Bool) {
        state.withLock { state in
            for place in state.marks.indices where isEmpty(place) {
                let lane = place / Self.priorities
                if state.generations[lane] == sight.generations[lane] {
                    state.marks[place] = max(state.marks[place], sight.settled)
                }
            }
        }
    }

    /// A job is ready that may stand below the mark.
    func lower(lane: Int16, priority: Int16, below id: Int64) {
        state.withLock { state in
            let place = Self.place(lane: lane, priority: priority)
            if state.marks[place] < id { return }
            state.generations[Int(lane)] += 1
            state.marks[place] = min(state.marks[place], id - 1)
        }
    }
}
