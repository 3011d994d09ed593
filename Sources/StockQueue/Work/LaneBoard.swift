import Dispatch
import StockQueueLocking
import StockQueuePostgres

/// Which lanes have work, and which worker of this process has which: what the poller fills and the workers empty.
///
/// Only hints stand here. Whether a lane really has work, and whether nobody else has it, the database says.
final class LaneQueue: Sendable {
    private enum Lane {
        case idle
        case queued
        case working
        /// Work was seen in it while a worker had it.
        case workingAgain
    }

    private struct State {
        var lanes = [Lane](repeating: .idle, count: LaneQueue.laneCount)
        var restsUntil = [Deadline?](repeating: nil, count: LaneQueue.laneCount)
        var queue: [Int16] = []
        var working = 0
        /// Workers that stay with a deep lane.
        var staying = 0
        var stopped = false
    }

    static let laneCount = 64

    private let workers: Int
    private let state = Mutex(State())
    /// One count for each queued lane; after `stop`, one for each worker that comes.
    private let available = DispatchSemaphore(value: 0)

    init(workers: Int) { self.workers = workers }

    /// Waits for a lane with work.
    ///
    /// - Returns: nil when the laneQueue has been stopped.
    func next() -> Int16? {
        available.wait()
        return state.withLock { state in
            if state.stopped || state.queue.isEmpty {
                available.signal()  // pass it on to the next worker that waits
                return nil
            }
            let lane = state.queue.removeFirst()
            state.lanes[Int(lane)] = .working
            state.working += 1
            return lane
        }
    }

    /// Queues the lanes in which work was seen, but for those that rest.
    ///
    /// - Returns: whether any of them is queued or worked now.
    @discardableResult
    func offer(_ lanes: [Int16]) -> Bool {
        state.withLock { state in
            for lane in lanes where !state.stopped {
                switch state.lanes[Int(lane)] {
                case .idle:
                    if state.restsUntil[Int(lane)]?.hasPassed == false { continue }
                    state.restsUntil[Int(lane)] = nil
                    state.lanes[Int(lane)] = .queued
                    state.queue.append(lane)
                    available.signal()
                case .working: state.lanes[Int(lane)] = .workingAgain
                case .queued, .workingAgain: break
                }
            }
            return !state.queue.isEmpty || state.working > 0
        }
    }

    /// What is to become of a lane that a worker gives back.
    enum Then {
        /// It has more work: it queues behind the others.
        case again
        case idle
        /// There may be work in it that cannot be done yet: it is not to be offered again before this time is over.
        case rest(milliseconds: Int)
    }

    /// Gives a lane back.
    ///
    /// - Returns: true when no lane is left for this worker, so that somebody should poll for more.
    func release(_ lane: Int16, _ then: Then) -> Bool {
        state.withLock { state in
            var isQueued = state.lanes[Int(lane)] == .workingAgain
            switch then {
            case .again: isQueued = true
            case .idle: break
            case .rest(let milliseconds):
                isQueued = false
                state.restsUntil[Int(lane)] = .after(milliseconds: milliseconds)
            }
            state.working -= 1
            if isQueued && !state.stopped {
                state.lanes[Int(lane)] = .queued
                state.queue.append(lane)
                available.signal()
            } else {
                state.lanes[Int(lane)] = .idle
            }
            return state.queue.isEmpty
        }
    }

    /// Whether a worker may stay with a lane that has more work than a batch, instead of queueing it behind the others. All
    /// but one may: only one at a time can work the deep lane anyway, and begun last it would be worked alone. Where it may,
    /// `stopKeepingLane` follows.
    func canKeepLane() -> Bool {
        state.withLock { state in
            if state.stopped || state.staying >= workers - 1 { return false }
            state.staying += 1
            return true
        }
    }

    func stopKeepingLane() { state.withLock { $0.staying -= 1 } }

    var isIdle: Bool { state.withLock { $0.queue.isEmpty && $0.working == 0 } }

    /// How many lanes are being worked.
    var working: Int { state.withLock { $0.working } }

    func stop() {
        state.withLock { state in
            state.stopped = true
            state.queue.removeAll()
            available.signal()
        }
    }
}
