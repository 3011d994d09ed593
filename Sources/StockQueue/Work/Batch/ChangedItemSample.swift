import StockModel
import StockQueueLocking

/// A uniform random sample of the items that batches changed since the last check, of bounded size (Vitter's reservoir
/// sampling, algorithm R).
final class ChangedItemSample: Sendable {
    private struct State {
        var items: [ItemKey] = []
        var offered = 0
    }

    /// The most items kept between two checks.
    private static let itemsMax = 1_024

    private let state = Mutex(State())

    /// Offers an item that a batch changed.
    func offer(_ item: @autoclosure () -> ItemKey) {
        state.withLock { state in
            state.offered += 1
            if state.items.count < Self.itemsMax {
                state.items.append(item())
            } else {
                let index = Int.random(in: 0..<state.offered)
                if index < Self.itemsMax { state.items[index] = item() }
            }
        }
    }

    /// Removes the sample and returns up to `limit` of its items.
    func remove(_ limit: Int) -> [ItemKey] {
        let all = state.withLock { state in
            defer { state = State() }
            return state.items
        }
        return Array(Set(all).shuffled().prefix(limit))
    }
}
