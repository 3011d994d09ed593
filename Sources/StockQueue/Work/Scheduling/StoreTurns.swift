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
/// backlog each, such a store would wait for all of them. So that they cannot fill all turns, the other stores of a lane
/// have every second batch, and the lanes without such a store have every fifth choice.
///
/// Advisory only, like `LaneQueue`: the database decides whether a store has work.
package final class StoreTurns: Sendable {
    /// What a claim may take of a store.
    package struct Share {
        package var store: StoreInLane
        /// The most jobs.
        package var jobsMax: Int
        /// Other stores of the lane have to wait.
        fileprivate var isFirst: Bool
        /// The store's state when the share was planned.
        fileprivate var work: Work
    }

    fileprivate struct Work {
        /// The last claim left jobs behind, or the store was part of the backlog when the process started.
        var isDeep = false
        /// Raised whenever work is found.
        var found = 0
    }

    private struct Lane {
        /// The stores with ready jobs.
        var works: [StoreInLane: Work] = [:]
        /// Those among them that had few jobs lately, and left none behind; and those that are new.
        var few: Set<StoreInLane> = []
        /// The last batch was for stores that came first, while others waited.
        var othersWait = false
        /// A claim found it paused, or another worker had it, and no batch was committed since.
        var isUnavailable = false
        /// Among the stores of the lane.
        var sharing = Sharing()
    }

    /// Whether a store with little work is beside others.
    private struct Sharing {
        /// The store that was served last.
        private var lastServed: Int32?
        private var until: Deadline?

        var isShared: Bool { until?.hasPassed == false }

        mutating func serve(_ store: Int32, hasLittle: Bool) {
            if hasLittle, let lastServed, lastServed != store { until = .after(milliseconds: sharedMs) }
            lastServed = store
        }
    }

    private struct Served {
        /// The number of the last batch.
        var batch: Int
        /// The jobs of all batches until then, each later batch a tenth less.
        var jobs: Double
    }

    private struct State {
        var lanes = [Lane](repeating: Lane(), count: LaneQueue.laneCount)
        /// What stores had, in any lane, by their hashes.
        var served: [Int32: Served] = [:]
        var batches = 0
        /// How often a lane with few jobs was chosen, one after the other.
        var fewChosen = 0
        /// Among the stores of all lanes.
        var sharing = Sharing()
        /// How fast a worker is.
        var jobsPerMs: Double?

        /// The number of the batch that served a store last; 0 for none.
        func servedAt(_ store: StoreInLane) -> Int { served[store.storeHash]?.batch ?? 0 }

        /// Whether the next batch of a lane is for stores with few jobs.
        func isShort(_ lane: Int16) -> Bool { !lanes[Int(lane)].othersWait && !lanes[Int(lane)].few.isEmpty }

        /// The place of the lane with the store that was served longest ago. Of several, the first.
        func longestWaiting(_ places: [Int], of lanes: [Int16]) -> Int? {
            let servedAt = places.map { place in
                let stores = self.lanes[Int(lanes[place])].works.keys.prefix(storesMax)
                return (place: place, batch: stores.reduce(Int.max) { min($0, self.servedAt($1)) })
            }
            return servedAt.min { ($0.batch, $0.place) < ($1.batch, $1.place) }?.place
        }

        /// How many jobs a store had lately; nil for one that was never served.
        func load(_ store: StoreInLane) -> Double? {
            served[store.storeHash].map { $0.jobs * pow(fading, Double(batches - $0.batch)) }
        }

        /// Looks again whether a store has few jobs.
        mutating func sort(_ store: StoreInLane) {
            let lane = Int(store.lane)
            guard lanes[lane].works[store]?.isDeep == false else {
                lanes[lane].few.remove(store)
                return
            }
            // Of a store that was never served it stays as `found` has it.
            guard let load = load(store) else { return }
            if load <= fewMax { lanes[lane].few.insert(store) } else { lanes[lane].few.remove(store) }
        }

        /// The stores of the next batch that come before the others of the lane; empty where it is for all.
        func first(of lane: Int16) -> Set<StoreInLane> {
            let lane = lanes[Int(lane)]
            if lane.othersWait { return [] }
            if !lane.few.isEmpty { return lane.few }
            return Set(lane.works.lazy.filter { !$0.value.isDeep }.map(\.key))
        }
    }

    /// The most stores of one claim. Each costs some probes of the ready index.
    private static let storesMax = 256
    /// How many stores are remembered.
    private static let servedMax = 100_000
    /// The most jobs of a store with few.
    static let fewMax = 50.0
    private static let fading = 0.9
    /// The most lanes with few jobs that are chosen before one of the others is.
    private static let fewChosenMax = 4
    /// The most jobs of a store with little work, and the milliseconds for which batches are short after one was served.
    private static let (littleMax, sharedMs) = (500.0, 60_000)

    private let state = Mutex(State())

    private let hasExpressWorker: Bool

    /// - Parameter hasExpressWorker: a store with little work need not wait for the batches of other lanes.
    package init(hasExpressWorker: Bool) { self.hasExpressWorker = hasExpressWorker }

    /// No batch was committed yet.
    package var knowsNothing: Bool { state.withLock { $0.batches == 0 } }

    /// A poll, or a producer of this process, has found ready jobs of these stores, or has offered calls.
    ///
    /// A store that is new counts as one with few jobs until its first batch: behind a backlog of other stores that no
    /// batch has seen yet, it would wait for all of these.
    ///
    /// - Parameter isBacklog: the jobs may have been there for long, and may be many.
    package func found(_ stores: Set<StoreInLane>, isBacklog: Bool = false) {
        state.withLock { state in
            for store in stores {
                let lane = Int(store.lane)
                if !isBacklog && state.lanes[lane].works[store] == nil && state.served[store.storeHash] == nil {
                    state.lanes[lane].few.insert(store)
                }
                let isDeep = isBacklog && state.batches == 0
                state.lanes[lane].works[store, default: Work(isDeep: isDeep)].found += 1
                state.sort(store)
            }
        }
    }

    /// The stores that are likely to have more jobs: a poll need not look for them, and a claim finds out. Nothing is known
    /// of a lane that is paused or that another worker has.
    package var deep: Set<StoreInLane> {
        state.withLock { state in
            var deep: Set<StoreInLane> = []
            for lane in state.lanes where !lane.isUnavailable {
                for (store, work) in lane.works where work.isDeep { deep.insert(store) }
            }
            return deep
        }
    }

    /// A claim found the lane paused, or another worker had it.
    package func foundUnavailable(_ lane: Int16) { state.withLock { $0.lanes[Int(lane)].isUnavailable = true } }

    /// What a claim of the lane takes, the store whose turn it is first.
    ///
    /// Each store has an equal share. Deep stores may also take what the others leave. But stores that had few jobs lately
    /// have a batch for themselves alone, which is short; where there is none, those that left no jobs behind have one.
    /// Callers are always among them. At most every second batch is such a one.
    ///
    /// - Parameters:
    ///   - jobsMax: the most jobs of the claim.
    ///   - skipped: jobs that the last batch of the lane skipped: they are still at the head of some strand.
    ///   - callers: the stores of offered calls: the batch has to see their ready jobs, whether it knows of any or not.
    package func shares(of lane: Int16, jobsMax: Int, skipped: Int, callers: Set<StoreInLane> = []) -> [Share] {
        state.withLock { state in
            let works = state.lanes[Int(lane)].works
            let first = state.first(of: lane)
            let chosen = first.isEmpty ? Set(works.keys) : first
            let isFirst = works.keys.contains { !chosen.contains($0) && !callers.contains($0) }
            // By number where all else is equal, so that a claim that is made again is the same. Callers that have nothing
            // else in the queue come before all.
            var stores = chosen.union(callers).map {
                (store: $0, servedAt: works[$0] == nil ? Int.min : state.servedAt($0))
            }
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
                return Share(
                    store: entry.store, jobsMax: work.isDeep ? deepShare : share, isFirst: isFirst, work: work)
            }
            return shares.filter { !$0.work.isDeep } + shares.filter(\.work.isDeep)
        }
    }

    /// Whether the next batch is for stores that come before the others of the lane, and none of them is among those of
    /// which another worker has claimed jobs.
    package func isForOthers(_ lane: Int16, than claimed: Set<StoreInLane>) -> Bool {
        state.withLock { state in
            let first = state.first(of: lane)
            return !first.isEmpty && claimed.isDisjoint(with: first)
        }
    }

    /// A claim with these shares was committed, or found nothing.
    ///
    /// - Parameters:
    ///   - claimed: what it took.
    ///   - isFull: it took as many jobs as it may, so the last shares may not have had their turn.
    ///   - callers: the stores of calls that it decided.
    package func served(
        _ shares: [Share], _ claimed: [ClaimedStrand], isFull: Bool, callers: Set<StoreInLane> = []
    ) {
        var jobs: [StoreInLane: Int] = [:]
        for strand in claimed { jobs[strand.strand.store, default: 0] += strand.jobs }
        let lastStore = claimed.last?.strand.store
        state.withLock { state in
            state.batches += 1
            if let share = shares.first {
                state.lanes[Int(share.store.lane)].othersWait = share.isFirst
                state.lanes[Int(share.store.lane)].isUnavailable = false
            }
            var hadTurn = true
            for share in shares {
                let taken = jobs[share.store] ?? 0
                if taken > 0 || callers.contains(share.store) { Self.serve(share.store, jobs: taken, &state) }
                if isFull && share.store == lastStore { hadTurn = false }
                let lane = Int(share.store.lane)
                if taken >= share.jobsMax || !hadTurn && taken > 0 {
                    state.lanes[lane].works[share.store, default: Work()].isDeep = true
                } else if hadTurn, state.lanes[lane].works[share.store]?.found == share.work.found {
                    state.lanes[lane].works[share.store] = nil
                } else if hadTurn {
                    state.lanes[lane].works[share.store]?.isDeep = false
                }
                state.sort(share.store)
            }
        }
    }

    private static func serve(_ store: StoreInLane, jobs: Int, _ state: inout State) {
        let served = Served(batch: state.batches, jobs: (state.load(store) ?? 0) + Double(jobs))
        let hasLittle = served.jobs <= littleMax
        state.lanes[Int(store.lane)].sharing.serve(store.storeHash, hasLittle: hasLittle)
        state.sharing.serve(store.storeHash, hasLittle: hasLittle)
        if state.served.count >= servedMax { state.served.removeAll(keepingCapacity: true) }
        state.served[store.storeHash] = served
    }

    /// Whether any store is known to have ready jobs in the lane.
    package func hasWork(_ lane: Int16) -> Bool { state.withLock { !$0.lanes[Int(lane)].works.isEmpty } }

    /// The place of the lane whose turn it is: one of a store with few jobs, else that of the store that was served longest
    /// ago. Of several, the first.
    package func next(of lanes: [Int16]) -> Int? {
        if lanes.count < 2 { return lanes.indices.first }
        return state.withLock { state in
            let few = lanes.indices.filter { !state.lanes[Int(lanes[$0])].few.isEmpty }
            let others = lanes.indices.filter { state.lanes[Int(lanes[$0])].few.isEmpty }
            let isForFew = !few.isEmpty && (others.isEmpty || state.fewChosen < Self.fewChosenMax)
            state.fewChosen = isForFew ? state.fewChosen + 1 : 0
            return state.longestWaiting(isForFew ? few : others, of: lanes)
        }
    }

    // MARK: short batches

    /// Whether the next batch of a lane is for stores with few jobs.
    package func isShort(_ lane: Int16) -> Bool { state.withLock { $0.isShort(lane) } }

    /// Of the lanes of which the next batch is short, the place of the one whose turn it is.
    package func nextShort(of lanes: [Int16]) -> Int? {
        state.withLock { state in
            state.longestWaiting(lanes.indices.filter { state.isShort(lanes[$0]) }, of: lanes)
        }
    }

    /// The least of a batch that counts for the rate of work.
    private static let jobsOfRateMin = 200

    /// A batch of so many jobs took so long.
    package func learn(jobs: Int, took duration: Duration) {
        if jobs < Self.jobsOfRateMin { return }
        let rate = Double(jobs) / max(duration / .milliseconds(1), 1)
        state.withLock { $0.jobsPerMs = $0.jobsPerMs.map { ($0 + rate) / 2 } ?? rate }
    }

    /// The most jobs that a batch of a lane may take, so that a store with little work waits no longer than about the
    /// batches that are under way. No limit where no such store was seen lately, in the lane or, without an express worker,
    /// in any: what has a backlog gains by long batches.
    package func jobsMax(of lane: Int16, for duration: Duration) -> Int {
        state.withLock { state in
            let sharing = hasExpressWorker ? state.lanes[Int(lane)].sharing : state.sharing
            guard let rate = state.jobsPerMs, sharing.isShared else { return .max }
            return max(Self.jobsOfRateMin, Int(rate * (duration / .milliseconds(1))))
        }
    }
}
