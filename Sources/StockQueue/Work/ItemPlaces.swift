import StockQueueLocking
import StockQueuePostgres

/// Where the stock rows of a lane's last batches stand, by a hash of their keys.
///
/// A popular item gets a new version with every batch. While some transaction holds vacuum back, finding it by its key steps
/// over all of them; going straight to the last one does not. It is a hint: the statement checks the key, and what is not
/// found where it was is found by its key.
final class ItemTupleCache: Sendable {
    typealias Lane = [UInt32: TupleID]

    /// Items remembered by a process, about 8 MiB; beyond, all are forgotten.
    private static let most = 262_144

    private struct State {
        var lanes = [Lane](repeating: [:], count: LaneQueue.laneCount)
        var count = 0
    }

    private let state = Mutex(State())

    /// Hands a lane's places over to the one worker that has it.
    func take(_ lane: Int16) -> Lane {
        state.withLock { state in
            let places = state.lanes[Int(lane)]
            state.lanes[Int(lane)] = [:]
            state.count -= places.count
            return places
        }
    }

    /// Takes them back. Without it, after an error, they are forgotten.
    func put(_ places: consuming Lane, of lane: Int16) {
        let places = places
        state.withLock { state in
            if state.count + places.count > Self.most { state = State() }
            if places.count > Self.most { return }
            state.count += places.count - state.lanes[Int(lane)].count
            state.lanes[Int(lane)] = places
        }
    }
}
