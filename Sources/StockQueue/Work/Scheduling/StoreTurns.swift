import Foundation
import StockQueueLocking
import StockQueuePostgres

/// Which stores have ready jobs in which lane, and whose turn it is.
///
/// The store that was served longest ago comes first: its lane before other lanes, and in a claim it before the other
/// stores of the lane. A store that floods the queue is served all the time, so it is behind every other one, in
/// however many lanes its ordering keys put its jobs.
///
/// Before all of them come stores that had few jobs lately: their batches are short, and where a thousand stores have a
/// backlog each, such a store would wait for all of them. So that they cannot fill all turns, the others have every second
/// batch of a lane and every fifth choice of a lane.
///
/// Advisory only, like `LaneQueue`: the database decides whether a store has work.
final class StoreTurns: Sendable {
    /// What a claim may take of a store.
    struct Share {
        var store: StoreInLane
        /// The most jobs.
        var jobsMax: Int
        /// Other stores of the lane have to wait.
        var isFirst = false
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
        /// The lanes whose last batch was for stores that came first, while others waited.
        var othersWait = [Bool](repeating: false, count: LaneQueue.laneCount)
        /// What stores had lately, in any lane, by their hashes.
        var served: [Int32: Served] = [:]
        var batches = 0
        /// How often lanes of such stores were chosen, one after the other.
        var littleChosen = 0
        var lastServed: Int32?
        /// Until then batches are short.
        var isSharedUntil: Deadline?
        /// How fast a worker is.
        var jobsPerMs: Double?

        /// The number of the batch that served a store last; 0 for none.
        func servedAt(_ store: StoreInLane) -> Int { served[store.storeHash]?.batch ?? 0 }

        /// How many jobs a store had lately; what is expected of one that was never served.
        func load(_ store: StoreInLane) -> Double { served[store.storeHash]?.jobs ?? unknownLoad }

        /// Those of some stores that come before the others: with less than what is expected of an unknown one, else with
        /// little, else all that have left no jobs behind.
        func first(of works: some Sequence<(key: StoreInLane, value: Work)>) -> [StoreInLane] {
            let shallow = works.filter { !$0.value.isDeep }.map { (store: $0.key, load: load($0.key)) }
            let least = shallow.contains { $0.load < unknownLoad } ? unknownLoad.nextDown : littleMax
            let little = shallow.filter { $0.load <= least }
            return (little.isEmpty ? shallow : little).map(\.store)
        }
    }

    private struct Served {
        /// The number of the last batch.
        var batch: Int
        /// The jobs of all batches, each later batch a tenth less.
        var jobs: Double
    }

    /// The most stores of one claim. Each costs some probes of the ready index.
    static let storesMax = 256
    /// How many stores are remembered.
    private static let servedMax = 100_000
    /// The most jobs of a store with little work, and the milliseconds for which batches are short after one was served.
    private static let (littleMax, sharedMs) = (500.0, 60_000)
    /// What is expected of a store that was never served: more than one has that gets a job now and then.
    private static let unknownLoad = 50.0
    /// The most lanes of stores with little work that are chosen before one of the others is.
    private static let littleChosenMax = 4

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
    /// stores with little work have a batch for themselves alone, which is short; where there is none, those that left no
    /// jobs behind have one. Callers are always among them. At most every second batch is such a one.
    ///
    /// - Parameters:
    ///   - jobsMax: the most jobs of the claim.
    ///   - skipped: jobs that the last batch of the lane skipped: they are still at the head of some strand.
    ///   - callers: the stores of offered calls: the batch has to see their ready jobs, whether it knows of any or not.
    func shares(of lane: Int16, jobsMax: Int, skipped: Int, callers: Set<StoreInLane> = []) -> [Share] {
        state.withLock { state in
            let works = state.lanes[Int(lane)]
            var stores = works.keys.map { (store: $0, servedAt: state.servedAt($0)) }
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
            let first = Self.first(of: shares.map { ($0.store, $0.work) }, lane, callers: callers, state)
            if !first.isEmpty {
                return shares.filter { first.contains($0.store) }.map { share in
                    var share = share
                    share.isFirst = first.count < shares.count
                    return share
                }
            }
            return shares.filter { !$0.work.isDeep } + shares.filter(\.work.isDeep)
        }
    }

    /// The stores of the next batch that come before the others of the lane; empty where it is for all.
    private static func first(
        of works: [(store: StoreInLane, work: Work)], _ lane: Int16, callers: Set<StoreInLane> = [], _ state: State
    ) -> Set<StoreInLane> {
        if state.othersWait[Int(lane)] { return [] }
        return Set(state.first(of: works.lazy.map { (key: $0.store, value: $0.work) })).union(callers)
    }

    /// Whether the next batch is for stores that come before the others of the lane, and none of them is among those of
    /// which another worker has claimed jobs.
    func isForOthers(_ lane: Int16, than claimed: Set<StoreInLane>) -> Bool {
        state.withLock { state in
            let first = Self.first(of: state.lanes[Int(lane)].map { ($0, $1) }, lane, state)
            return !first.isEmpty && claimed.isDisjoint(with: first)
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
            if let share = shares.first { state.othersWait[Int(share.store.lane)] = share.isFirst }
            var hadTurn = true
            for share in shares {
                let taken = jobs[share.store] ?? 0
                if taken > 0 || callers.contains(share.store) {
                    Self.serve(share.store, jobs: taken, &state)
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

    private static func serve(_ store: StoreInLane, jobs: Int, _ state: inout State) {
        let before = state.served[store.storeHash].map { $0.jobs * pow(0.9, Double(state.batches - $0.batch)) } ?? 0
        let served = Served(batch: state.batches, jobs: before + Double(jobs))
        if served.jobs <= littleMax, let last = state.lastServed, last != store.storeHash {
            state.isSharedUntil = .after(milliseconds: sharedMs)
        }
        state.lastServed = store.storeHash
        if state.served.count >= servedMax { state.served.removeAll(keepingCapacity: true) }
        state.served[store.storeHash] = served
    }

    /// Whether any store is known to have ready jobs in the lane.
    func hasWork(_ lane: Int16) -> Bool { state.withLock { !$0.lanes[Int(lane)].isEmpty } }

    /// The place of the lane whose turn it is: that of a store with little work, else of the store that was served
    /// longest ago. Of several, the first.
    func next(of lanes: [Int16]) -> Int? {
        if lanes.count < 2 { return lanes.indices.first }
        return state.withLock { state in
            let servedAt = lanes.map { lane in
                state.lanes[Int(lane)].keys.prefix(Self.storesMax).reduce(Int.max) {
                    min($0, state.servedAt($1))
                }
            }
            // A lane comes before others by the store with the least load.
            let places = Array(lanes.indices)
            let loads = places.map { place in
                state.lanes[Int(lanes[place])].reduce(Double.infinity) {
                    $1.value.isDeep ? $0 : min($0, state.load($1.key))
                }
            }
            let least = loads.contains { $0 < Self.unknownLoad } ? Self.unknownLoad.nextDown : Self.littleMax
            let little = places.filter { loads[$0] <= least }
            let isForLittle = !little.isEmpty && state.littleChosen < Self.littleChosenMax
            state.littleChosen = isForLittle ? state.littleChosen + 1 : 0
            return (isForLittle ? little : places).min { servedAt[$0] < servedAt[$1] }
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
