import StockQueueLocking
import StockQueuePostgres

/// Which stores have ready jobs in which lane, and whose turn it is.
///
/// The store that was served longest ago comes first: its lane before other lanes, and in a claim it before the other
/// stores of the lane. A store that floods the queue is served all the time, so it is behind every other one, in
/// however many lanes its ordering keys put its jobs.
///
/// Advisory only, like `LaneQueue`: the database decides whether a store has work.
final class StoreTurns: Sendable {
    /// What a claim may take of a store.
    struct Share {
        var store: StoreInLane
        /// The most jobs.
        var jobsMax: Int
        /// The store's state when the share was planned.
        fileprivate var work: Work
    }

    fileprivate struct Work {
        /// The last claim left jobs behind.
        var isDeep = false
        /// Raised whenever work is found.
        var found = 0
    }

    private struct State {
        /// The stores with ready jobs, by lane.
        var lanes = [[StoreInLane: Work]](repeating: [:], count: LaneQueue.laneCount)
        /// The lanes whose last batch was for stores with little work alone, while others waited.
        var deepStoresWait = [Bool](repeating: false, count: LaneQueue.laneCount)
        /// When a store was served last, in any lane, by its hash: the number of that batch.
        var servedAt: [Int32: Int] = [:]
        var batches = 0
        var lastServed: Int32?
        /// Until then batches are short.
        var isSharedUntil: Deadline?
        /// How fast a worker is.
        var jobsPerMs: Double?
    }

    /// The most stores of one claim. Each costs some probes of the ready index.
    static let storesMax = 256
    /// How many stores are remembered.
    private static let servedMax = 100_000
    /// The most jobs of a store with little work, and the milliseconds for which batches are short after one was served.
    private static let (littleMax, sharedMs) = (500, 60_000)

    private let state = Mutex(State())

    /// A poll, or a producer of this process, has found ready jobs of these stores, or has offered calls.
    func found(_ stores: Set<StoreInLane>) {
        state.withLock { state in
            for store in stores { state.lanes[Int(store.lane)][store, default: Work()].found += 1 }
        }
    }

    /// What a claim of the lane takes, the store whose turn it is first.
    ///
    /// Each store has an equal share. Those that left jobs behind last time may also take what the others leave. But
    /// where others have work, and none of these stores makes a call, the next batch is for the others alone: they are
    /// mostly done with little, and a short batch is committed soon. At most every second batch is such a short one.
    ///
    /// - Parameters:
    ///   - jobsMax: the most jobs of the claim.
    ///   - skipped: jobs that the last batch of the lane skipped: they are still at the head of some strand.
    ///   - callers: the stores of offered calls: the batch has to see their ready jobs, whether it knows of any or not.
    func shares(of lane: Int16, jobsMax: Int, skipped: Int, callers: Set<StoreInLane> = []) -> [Share] {
        state.withLock { state in
            let works = state.lanes[Int(lane)]
            var stores = works.keys.map { (store: $0, servedAt: state.servedAt[$0.storeHash] ?? 0) }
            for store in callers where works[store] == nil { stores.append((store, Int.min)) }
            // By number where all else is equal, so that a claim that is made again is the same.
            stores.sort { ($0.servedAt, $0.store.firstStrand) < ($1.servedAt, $1.store.firstStrand) }
            if stores.count > Self.storesMax {
                stores =
                    stores.filter { callers.contains($0.store) }
                    + stores.filter { !callers.contains($0.store) }.prefix(Self.storesMax)
            }
            let deep = stores.count { works[$0.store]?.isDeep == true }
            let share = max(1, jobsMax / max(1, stores.count)) + skipped
            let deepShare = max(1, jobsMax / max(1, deep)) + skipped
            let shares = stores.map { entry in
                let work = works[entry.store] ?? Work()
                return Share(store: entry.store, jobsMax: work.isDeep ? deepShare : share, work: work)
            }
            let first = shares.filter { !$0.work.isDeep || callers.contains($0.store) }
            if !first.isEmpty && !state.deepStoresWait[Int(lane)] { return first }
            return shares.filter { !$0.work.isDeep } + shares.filter(\.work.isDeep)
        }
    }

    /// A claim with these shares was committed, or found nothing.
    ///
    /// - Parameters:
    ///   - claimed: what it took.
    ///   - isFull: it took as many jobs as it may, so the last shares may not have had their turn.
    ///   - callers: the stores of calls that it decided.
    func served(_ shares: [Share], _ claimed: [ClaimedStrand], isFull: Bool, callers: Set<StoreInLane> = []) {
        var jobs: [StoreInLane: Int] = [:]
        for strand in claimed { jobs[strand.strand.store, default: 0] += strand.jobs }
        let lastStore = claimed.last?.strand.store
        state.withLock { state in
            state.batches += 1
            if let lane = shares.first.map({ Int($0.store.lane) }) {
                let planned = Set(shares.map(\.store))
                state.deepStoresWait[lane] = state.lanes[lane].contains { $1.isDeep && !planned.contains($0) }
            }
            var hadTurn = true
            for share in shares {
                let taken = jobs[share.store] ?? 0
                if taken > 0 || callers.contains(share.store) {
                    Self.serve(share.store, hasLittle: !share.work.isDeep && taken <= Self.littleMax, &state)
                }
                if isFull && share.store == lastStore { hadTurn = false }
                let lane = Int(share.store.lane)
                if taken >= share.jobsMax || !hadTurn && taken > 0 {
                    state.lanes[lane][share.store, default: Work()].isDeep = true
                } else if hadTurn, state.lanes[lane][share.store]?.found == share.work.found {
                    state.lanes[lane][share.store] = nil
                } else if hadTurn {
                    state.lanes[lane][share.store]?.isDeep = false
                }
            }
        }
    }

    /// Whether the next batch is for stores with little work alone, and none of them is among those of which another
    /// worker has claimed jobs.
    func isForLittle(_ lane: Int16, beside claimed: Set<StoreInLane>) -> Bool {
        state.withLock { state in
            if state.deepStoresWait[Int(lane)] { return false }
            let stores = state.lanes[Int(lane)].filter { !$1.isDeep }.keys
            return !stores.isEmpty && claimed.isDisjoint(with: stores)
        }
    }

    private static func serve(_ store: StoreInLane, hasLittle: Bool, _ state: inout State) {
        if hasLittle, let last = state.lastServed, last != store.storeHash {
            state.isSharedUntil = .after(milliseconds: sharedMs)
        }
        state.lastServed = store.storeHash
        if state.servedAt.count >= servedMax { state.servedAt.removeAll(keepingCapacity: true) }
        state.servedAt[store.storeHash] = state.batches
    }

    /// Whether any store is known to have ready jobs in the lane.
    func hasWork(_ lane: Int16) -> Bool { state.withLock { !$0.lanes[Int(lane)].isEmpty } }

    /// The place of the lane whose turn it is: that of the store that was served longest ago. Of several, the first.
    func next(of lanes: [Int16]) -> Int? {
        if lanes.count < 2 { return lanes.indices.first }
        return state.withLock { state in
            let servedAt = lanes.map { lane in
                state.lanes[Int(lane)].keys.prefix(Self.storesMax).reduce(Int.max) {
                    min($0, state.servedAt[$1.storeHash] ?? 0)
                }
            }
            return servedAt.indices.min { servedAt[$0] < servedAt[$1] }
        }
    }

    // MARK: short batches

    /// The least of a batch that counts for the rate of work.
    private static let jobsOfRateMin = 200

    /// A batch of so many jobs took so long.
    func learn(jobs: Int, took duration: Duration) {
        if jobs < Self.jobsOfRateMin { return }
        let rate = Double(jobs) / max(duration / .milliseconds(1), 1)
        state.withLock { $0.jobsPerMs = $0.jobsPerMs.map { ($0 + rate) / 2 } ?? rate }
    }

    /// The most jobs that a batch may take, so that a store with little work waits no longer than about the batches that
    /// are under way. No limit where no such store was seen lately: what has a backlog gains by long batches.
    func jobsMax(for duration: Duration) -> Int {
        state.withLock { state in
            guard let rate = state.jobsPerMs, state.isSharedUntil?.hasPassed == false else { return .max }
            return max(Self.jobsOfRateMin, Int(rate * (duration / .milliseconds(1))))
        }
    }
}
