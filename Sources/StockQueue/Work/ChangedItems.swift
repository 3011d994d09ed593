import StockQueueLocking

/// A sample of the items that batches changed lately, for the online checker: bounded, and as likely to hold the one as the
/// other.
final class ChangedItemSample: Sendable {
    struct Item: Sendable, Hashable {
        var store: String
        var item: String
        var location: String
    }

    private struct State {
        var items: [Item] = []
        var offered = 0
    }

    /// The most items kept between two looks.
    private static let most = 1_024

    private let state = Mutex(State())

    /// Takes one changed item of a batch in; when full, in place of another with the odds of a reservoir (Vitter's algorithm R).
    func offer(_ item: @autoclosure () -> Item) {
        state.withLock { state in
            state.offered += 1
            if state.items.count < Self.most {
                state.items.append(item())
            } else {
                let place = Int.random(in: 0..<state.offered)
                if place < Self.most { state.items[place] = item() }
            }
        }
    }

    /// Hands out up to `limit` of them and forgets the rest.
    func take(_ limit: Int) -> [Item] {
        let all = state.withLock { state in
            defer { state = State() }
            return state.items
        }
        return Array(Set(all).shuffled().prefix(limit))
    }
}
