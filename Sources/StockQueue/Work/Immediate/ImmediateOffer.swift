import StockQueueLocking
import StockQueuePostgres

/// What became of offered calls.
package enum ImmediateOutcome: Sendable {
    /// For each call the results of its lines, committed; nil for a call that has to be enqueued.
    case decided([[FinishedJobs.Job]?], finishedAt: Timestamp)
    /// Nothing was done: the calls have to be enqueued.
    case declined
    /// The answer of COMMIT was lost. For each call its jobs, none for a call that has to be enqueued.
    case doubtful([[FinishedJobs.ID]], transaction: String)
}

/// Calls of one lane that a producer of this process offers to the workers. It ends once: decided, declined, doubtful,
/// or withdrawn by the producer.
package final class ImmediateOffer: Sendable {
    private enum State { case offered, taken, ended }

    package let lane: Int16
    /// The stores of the calls.
    package let stores: Set<StoreInLane>
    package let calls: [ImmediateCall]
    private let state = Mutex(State.offered)
    private let onEnd: @Sendable (ImmediateOutcome) -> Void

    /// - Parameter onEnd: is called once, on a worker's thread, unless the offer is withdrawn.
    package init(
        lane: Int16, stores: Set<StoreInLane>, calls: [ImmediateCall],
        onEnd: @escaping @Sendable (ImmediateOutcome) -> Void
    ) {
        self.lane = lane
        self.stores = stores
        self.calls = calls
        self.onEnd = onEnd
    }

    /// Takes the calls back.
    ///
    /// - Returns: false when a worker has taken them: then it will end the offer.
    package func withdraw() -> Bool { move(from: .offered, to: .ended) }

    package var hasEnded: Bool { state.withLock { $0 == .ended } }

    func take() -> Bool { move(from: .offered, to: .taken) }

    func end(_ outcome: ImmediateOutcome) {
        if move(from: .taken, to: .ended) { onEnd(outcome) }
    }

    private func move(from old: State, to new: State) -> Bool {
        state.withLock { state in
            guard state == old else { return false }
            state = new
            return true
        }
    }
}

/// The offers of a process, by lane.
final class ImmediateOffers: Sendable {
    private let offers = Mutex([Int16: [ImmediateOffer]]())

    func add(_ offer: ImmediateOffer) { offers.withLock { $0[offer.lane, default: []].append(offer) } }

    /// Takes the offers of a lane that were not withdrawn.
    func take(_ lane: Int16) -> [ImmediateOffer] {
        (offers.withLock { $0.removeValue(forKey: lane) } ?? []).filter { $0.take() }
    }

    /// No worker will take the offers of the lane soon.
    func decline(_ lane: Int16) {
        for offer in take(lane) { offer.end(.declined) }
    }
}
