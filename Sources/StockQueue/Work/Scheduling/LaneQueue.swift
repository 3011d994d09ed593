import Dispatch
import StockQueueLocking
import StockQueuePostgres

/// The lanes of a process that have work, and those that a worker has: the poller adds lanes, the workers remove them.
///
/// Advisory only: the database decides whether a lane has work and which worker has it.
package final class LaneQueue: Sendable {
    private enum Lane {
        case idle
        case queued
        case working
        /// The poller saw work in it while a worker had it.
        case workingAgain
    }

    private struct State {
        var lanes = [Lane](repeating: .idle, count: LaneQueue.laneCount)
        var cooldownEnds = [Deadline?](repeating: nil, count: LaneQueue.laneCount)
        var queue: [Int16] = []
        /// Deep lanes that the workers who have them hand over.
        var handovers: [LaneHandover] = []
        /// Those of them for which a worker claims ahead.
        var taken: [LaneHandover] = []
        /// Workers that wait for a lane.
        var waiting = 0
        var working = 0
        /// The express worker has one of them.
        var expressWorks = false
        /// `shortAvailable` was signaled, and the express worker has not asked for a lane since.
        var isShortOffered = false
        /// Workers that keep a deep lane.
        var keeping = 0
        /// A producer of this process has enqueued jobs since the last poll.
        var hasProducerWork = false
        /// It has done so a moment ago.
        var producerIsBusyUntil: Deadline?
        var stopped = false
    }

    static let laneCount = 64

    private let workers: Int
    private let turns: StoreTurns
    private let state = Mutex(State())
    /// At least one count for each queued lane and each offered one; after `stop`, one for each worker that calls `next`.
    private let available = DispatchSemaphore(value: 0)
    /// Wakes the express worker.
    private let shortAvailable = DispatchSemaphore(value: 0)

    package init(workers: Int, turns: StoreTurns) { (self.workers, self.turns) = (workers, turns) }

    /// What a worker is to do next.
    package enum Work {
        case lane(Int16)
        /// No lane is queued: claim ahead in one that another worker has.
        case handover(LaneHandover)
    }

    private enum Found {
        case work(Work)
        /// Another worker has the lane by now, or it is no longer offered.
        case nothing
        case stopped
    }

    /// Waits for a lane with work.
    ///
    /// - Returns: nil when the queue has been stopped.
    package func next() -> Work? {
        while true {
            state.withLock { $0.waiting += 1 }
            available.wait()
            switch state.withLock({ find(&$0) }) {
            case .work(let work): return work
            case .nothing: continue
            case .stopped:
                available.signal()  // for the next worker that waits
                return nil
            }
        }
    }

    private func find(_ state: inout State) -> Found {
        state.waiting -= 1
        if state.stopped { return .stopped }
        // The lane of the store that has waited longest; of several, the first in the queue.
        if let next = turns.next(of: state.queue) {
            let lane = take(next, &state)
            offerShort(state.queue, &state)
            return .work(.lane(lane))
        }
        while let handover = state.handovers.popLast() {
            if handover.take() {
                state.taken.append(handover)
                return .work(.handover(handover))
            }
        }
        return .nothing
    }

    /// Waits for a queued lane of which the next batch is short, while fewer workers wait than lanes are queued.
    ///
    /// - Returns: nil when the queue has been stopped.
    package func nextShort() -> Int16? {
        while true {
            switch state.withLock({ findShort(&$0) }) {
            case .work(.lane(let lane)): return lane
            case .work, .nothing: shortAvailable.wait()
            case .stopped: return nil
            }
        }
    }

    /// The count of the lane in `available` stays: a worker that finds nothing for it waits again.
    private func findShort(_ state: inout State) -> Found {
        (state.isShortOffered, state.expressWorks) = (false, false)
        if state.stopped { return .stopped }
        guard state.waiting < state.queue.count, let next = turns.nextShort(of: state.queue) else { return .nothing }
        state.expressWorks = true
        return .work(.lane(take(next, &state)))
    }

    /// Wakes the express worker, if fewer workers wait than lanes are queued, and one of these lanes is short.
    private func offerShort(_ lanes: [Int16], _ state: inout State) {
        if state.isShortOffered || state.waiting >= state.queue.count { return }
        guard lanes.contains(where: { turns.isShort($0) }) else { return }
        state.isShortOffered = true
        shortAvailable.signal()
    }

    private func take(_ place: Int, _ state: inout State) -> Int16 {
        let lane = state.queue.remove(at: place)
        state.lanes[Int(lane)] = .working
        state.working += 1
        return lane
    }

    /// A worker no longer waits for a lane that was handed over.
    func ended(_ handover: LaneHandover) {
        state.withLock { $0.taken.removeAll { $0 === handover } }
    }

    /// Offers a deep lane to a worker that has nothing to do, if there is one.
    func offer(_ handover: LaneHandover) {
        state.withLock { state in
            if state.stopped || state.waiting <= state.queue.count + state.handovers.count { return }
            state.handovers.append(handover)
            available.signal()
        }
    }

    /// Queues the lanes in which the poller saw work, but for those in their cooldown.
    ///
    /// - Returns: whether any lane is queued or worked now.
    @discardableResult
    package func enqueue(_ lanes: [Int16]) -> Bool {
        state.withLock { state in
            for lane in lanes where !state.stopped {
                switch state.lanes[Int(lane)] {
                case .idle:
                    if state.cooldownEnds[Int(lane)]?.hasPassed == false { continue }
                    state.cooldownEnds[Int(lane)] = nil
                    state.lanes[Int(lane)] = .queued
                    state.queue.append(lane)
                    available.signal()
                    // A lane without a worker goes before one that has its own.
                    if state.waiting == 0 { state.taken.popLast()?.cancel() }
                case .working: state.lanes[Int(lane)] = .workingAgain
                case .queued, .workingAgain: break
                }
            }
            // Also what was queued before may have become short.
            offerShort(lanes.filter { state.lanes[Int($0)] == .queued }, &state)
            return !state.queue.isEmpty || state.working > 0
        }
    }

    /// Milliseconds for which a producer of this process counts as busy after its last jobs.
    private static let producerBusyMs = 100

    /// Queues the lanes of strands in which a producer of this process has committed jobs.
    func enqueueOfProducer(_ strands: Set<Strand>) {
        turns.found(Set(strands.map(\.store)))
        state.withLock { state in
            state.hasProducerWork = true
            state.producerIsBusyUntil = .after(milliseconds: Self.producerBusyMs)
        }
        enqueue(Array(Set(strands.map(\.lane))))
    }

    /// Queues the lane of stores for which a producer of this process has offered calls.
    ///
    /// - Returns: false when no worker will take the lane soon.
    func enqueueForOffer(_ lane: Int16, of stores: Set<StoreInLane>) -> Bool {
        let isPossible = state.withLock { state in
            if state.stopped { return false }
            if state.lanes[Int(lane)] == .idle, state.cooldownEnds[Int(lane)]?.hasPassed == false { return false }
            state.producerIsBusyUntil = .after(milliseconds: Self.producerBusyMs)
            return true
        }
        if isPossible {
            turns.found(stores)
            enqueue([lane])
        }
        return isPossible
    }

    /// A producer of this process enqueues jobs and names their lanes: the poller polls at a pace of its own.
    var isProducerBusy: Bool { state.withLock { $0.producerIsBusyUntil?.hasPassed == false } }

    /// Whether there was a call of `enqueueOfProducer` since the last call of this.
    func takeProducerWork() -> Bool {
        state.withLock { state in
            defer { state.hasProducerWork = false }
            return state.hasProducerWork
        }
    }

    /// What happens to a lane that a worker releases.
    package enum Disposition {
        /// It has more work and is queued behind the others.
        case requeue
        case idle
        /// It may have work that cannot be done yet: it is not queued again before this time is over.
        case cooldown(milliseconds: Int)
    }

    /// Releases a lane.
    ///
    /// - Returns: true when no lane is queued, so that the poller should look for more.
    package func release(_ lane: Int16, _ disposition: Disposition) -> Bool {
        state.withLock { state in
            var isQueued = state.lanes[Int(lane)] == .workingAgain
            switch disposition {
            case .requeue: isQueued = true
            case .idle: break
            case .cooldown(let milliseconds):
                isQueued = false
                state.cooldownEnds[Int(lane)] = .after(milliseconds: milliseconds)
            }
            state.working -= 1
            if isQueued && !state.stopped {
                state.lanes[Int(lane)] = .queued
                state.queue.append(lane)
                available.signal()
                offerShort([lane], &state)
            } else {
                state.lanes[Int(lane)] = .idle
            }
            return state.queue.isEmpty
        }
    }

    /// Asks to keep a lane that has more work than a batch, instead of queueing it behind the others.
    ///
    /// At most `workers − 1` workers may, so that one stays free for the other lanes. Pair a true with
    /// `stopKeepingLane`.
    func keepLane() -> Bool {
        state.withLock { state in
            if state.stopped || state.keeping >= workers - 1 { return false }
            state.keeping += 1
            return true
        }
    }

    func stopKeepingLane() { state.withLock { $0.keeping -= 1 } }

    /// No lane is queued or worked.
    var isIdle: Bool { state.withLock { $0.queue.isEmpty && $0.working == 0 } }

    /// How many lanes are being worked, but for that of the express worker.
    var working: Int { state.withLock { $0.working - ($0.expressWorks ? 1 : 0) } }

    package func stop() {
        state.withLock { state in
            state.stopped = true
            state.queue.removeAll()
            available.signal()
            shortAvailable.signal()
        }
    }
}
