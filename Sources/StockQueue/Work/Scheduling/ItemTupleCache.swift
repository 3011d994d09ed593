import StockQueueLocking
import StockQueuePostgres

/// The tuple ids of the items that a lane's last batches wrote, by a hash of their keys.
///
/// A popular item gets a new row version with every batch. While a transaction holds back vacuum, finding the item by
/// its key steps over all old versions; going straight to the last one does not. A tuple id is a hint: the statement
/// compares the key, and an item that is not found there is found by its key.
///
/// Only a scan by an index or of whole pages lets the server prune a page, that is remove old versions from it
/// (`heap_page_prune_opt` in PostgreSQL's source). So an item is found by its key now and then for its page's sake.
final class ItemTupleCache: Sendable {
    /// What is known of a lane's items.
    struct Lane: Sendable {
        private var tuples: [UInt32: TupleID] = [:]
        /// The versions that were written to each page since an item on it was found by its key.
        private var written: [UInt32: Int] = [:]
        /// So many versions are written to a page before it is due. Half a page has room for about 35.
        private var writtenMax = Lane.writtenMaxLeast
        /// Where pruning did not help, because a transaction holds back vacuum, pages are due more rarely until then.
        private var isRareUntil: Deadline?
        private var rareMs = Lane.rareMsRange.lowerBound
        /// If pruning does not help before then either, the next such time is twice as long.
        private var isCalmAfter: Deadline?

        private static let (writtenMaxLeast, writtenMaxMost) = (16, 1_024)
        private static let rareMsRange = 100...60_000

        var count: Int { tuples.count }

        subscript(_ item: UInt32) -> TupleID? { tuples[item] }

        /// Whether an item on the page should be found by its key, so that old versions are removed before the page is
        /// full.
        func isDue(_ page: UInt32) -> Bool { (written[page] ?? 0) >= writtenMax }

        /// An item was looked for by its key.
        mutating func found(_ item: UInt32, at tuple: TupleID?) {
            tuples[item] = tuple
            if let tuple { written[tuple.block] = nil }
        }

        /// A new version was written. It is on another page if its own was full.
        mutating func wrote(_ item: UInt32, at tuple: TupleID, before: TupleID) {
            tuples[item] = tuple
            written[tuple.block, default: 0] += 1
            if isRareUntil?.hasPassed == true {
                (writtenMax, isRareUntil) = (Self.writtenMaxLeast, nil)
                isCalmAfter = .after(milliseconds: 2 * rareMs)
            }
            if tuple.block != before.block && !isDue(before.block) { leftFullPage(before.block) }
        }

        private mutating func leftFullPage(_ page: UInt32) {
            if isRareUntil == nil {
                let isAgain = isCalmAfter?.hasPassed == false
                rareMs = isAgain ? min(2 * rareMs, Self.rareMsRange.upperBound) : Self.rareMsRange.lowerBound
                isRareUntil = .after(milliseconds: rareMs)
            }
            writtenMax = min(2 * writtenMax, Self.writtenMaxMost)
            // Once for all items that leave the page.
            written[page] = writtenMax
        }
    }

    /// Items cached by a process, about 8 MiB; beyond that the cache is emptied.
    private static let itemsMax = 262_144

    private struct State {
        var lanes = [Lane](repeating: Lane(), count: LaneQueue.laneCount)
        var count = 0
    }

    private let state = Mutex(State())

    /// Removes a lane's tuple ids, for the one worker that has the lane.
    func remove(_ lane: Int16) -> Lane {
        state.withLock { state in
            let tuples = state.lanes[Int(lane)]
            state.lanes[Int(lane)] = Lane()
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
