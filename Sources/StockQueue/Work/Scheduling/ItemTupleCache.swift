import StockQueueLocking
import StockQueuePostgres

/// The tuple ids of the items that a lane's last batches wrote, by a hash of their keys.
///
/// A popular item gets a new row version with every batch. While a transaction holds back vacuum, finding the item by
/// its key steps over all old versions; going straight to the last one does not. A tuple id is a hint: the statement
/// compares the key, and an item that is not found there is found by its key.
final class ItemTupleCache: Sendable {
    typealias Lane = [UInt32: TupleID]

    /// Items cached by a process, about 8 MiB; beyond that the cache is emptied.
    private static let itemsMax = 262_144

    private struct State {
        var lanes = [Lane](repeating: [:], count: LaneQueue.laneCount)
        var count = 0
    }

    private let state = Mutex(State())

    /// Removes a lane's tuple ids, for the one worker that has the lane.
    func remove(_ lane: Int16) -> Lane {
        state.withLock { state in
            let tuples = state.lanes[Int(lane)]
            state.lanes[Int(lane)] = [:]
            state.count -= tuples.count
            return tuples
        }
    }

    /// Stores a lane's tuple ids. After an error the worker does not, and they are forgotten.
    func store(_ tuples: consuming Lane, of lane: Int16) {
        let tuples = tuples
        state.withLock { state in
            if state.count + tuples.count > Self.itemsMax { state = State() }
            if tuples.count > Self.itemsMax { return }
            state.count += tuples.count - state.lanes[Int(lane)].count
            state.lanes[Int(lane)] = tuples
        }
    }
}
