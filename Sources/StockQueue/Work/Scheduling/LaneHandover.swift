import Dispatch
import StockQueueLocking
import StockQueuePostgres

/// A deep lane on its way from one worker to another: while the first writes its batch back, the second claims the jobs
/// behind it. Once the batch is committed, the lane is the second worker's.
///
/// Until then nothing of the second worker's claim is certain. Where the batch is not committed the claim is given up,
/// and the lane stays with the first worker.
package final class LaneHandover: Sendable {
    private enum Phase {
        case open
        /// The batch is being written; a worker may take the lane.
        case offered
        /// A worker claims the jobs behind the batch.
        case taken
        /// The batch is committed, and the lane is the other worker's.
        case done
        /// The lane stays where it is.
        case ended
    }

    private struct State {
        var phase = Phase.open
        /// What the batch has claimed.
        var claimed: [ClaimedStrand] = []
        /// Of which stores the second worker claims jobs.
        var followed: Set<StoreInLane>?
    }

    let lane: Int16
    /// The low-water marks of the batch.
    let marks: LowWaterMarks.View
    private let queue: LaneQueue
    private let state = Mutex(State())
    private let hasEnded = DispatchSemaphore(value: 0)

    /// - Parameter marks: those of the batch.
    init(lane: Int16, marks: LowWaterMarks.View, queue: LaneQueue) {
        self.lane = lane
        self.marks = marks
        self.queue = queue
    }

    // MARK: the first worker

    /// The batch is decided and will be written. It skips none of the jobs that it has claimed.
    func offer(_ claimed: [ClaimedStrand]) {
        var raised = marks
        // A claim above lower marks would step over every job that the batch has locked.
        guard raised.raise(upTo: claimed) else { return }
        let isOffered = state.withLock { state in
            guard state.phase == .open else { return false }
            (state.phase, state.claimed) = (.offered, claimed)
            return true
        }
        if isOffered { queue.offer(self) }
    }

    /// Of which stores the second worker claims jobs; nil where it has not said so yet, or there is none.
    var followed: Set<StoreInLane>? { state.withLock { $0.phase == .taken ? $0.followed : nil } }

    /// The batch has ended.
    ///
    /// - Returns: whether the lane is another worker's now.
    func end(isCommitted: Bool) -> Bool {
        let isDone = state.withLock { state in
            if state.phase == .done { return true }
            state.phase = isCommitted && state.phase == .taken ? .done : .ended
            return state.phase == .done
        }
        hasEnded.signal()
        return isDone
    }

    // MARK: the second worker

    /// - Returns: false where the batch has ended.
    func take() -> Bool { move(from: .offered, to: .taken) }

    /// The second worker is going to claim jobs of these stores.
    func follow(_ stores: Set<StoreInLane>) { state.withLock { $0.followed = stores } }

    /// What the batch has claimed.
    var claimed: [ClaimedStrand] { state.withLock { $0.claimed } }

    /// Waits for the end of the batch; if it takes too long, the lane stays where it is.
    ///
    /// - Returns: whether the lane is this worker's.
    func wait(milliseconds: Int) -> Bool {
        if hasEnded.wait(timeout: .now() + .milliseconds(milliseconds)) == .timedOut {
            _ = move(from: .taken, to: .ended)
        }
        queue.ended(self)
        return state.withLock { $0.phase == .done }
    }

    /// The second worker has better to do: another lane has work.
    func cancel() {
        if move(from: .taken, to: .ended) { hasEnded.signal() }
    }

    private func move(from old: Phase, to new: Phase) -> Bool {
        state.withLock { state in
            guard state.phase == old else { return false }
            state.phase = new
            return true
        }
    }
}
