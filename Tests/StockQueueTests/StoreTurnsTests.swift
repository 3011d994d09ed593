import StockQueue
import Testing

/// The turns of stores, by what batches have served.
@Suite struct StoreTurnsTests {
    private let turns = StoreTurns(hasExpressWorker: true)

    private static func store(_ number: Int32, lane: Int32 = 1) -> StoreInLane {
        Strand(rawValue: lane << 24 | number << 2).store
    }

    private static let crowd = Set((1...300).map { store($0) })
    private static let visitor = store(1_000)

    /// Plans a batch of a lane and serves it.
    ///
    /// - Parameter jobs: how many jobs each store has.
    /// - Returns: the stores of the batch.
    @discardableResult
    private func batch(lane: Int16 = 1, jobsMax: Int = 3_000, _ jobs: (StoreInLane) -> Int) -> [StoreInLane] {
        let shares = turns.shares(of: lane, jobsMax: jobsMax, skipped: 0)
        turns.served(
            shares,
            shares.compactMap { share in
                let taken = min(jobs(share.store), share.jobsMax)
                return taken == 0 ? nil : ClaimedStrand(strand: share.store.strand(1), jobs: taken, lastID: 1)
            }, isFull: false)
        return shares.map(\.store)
    }

    /// The visitor had one job, and the crowd has a backlog.
    private func welcome() {
        turns.found([Self.visitor])
        batch { _ in 1 }
        turns.found(Self.crowd, isBacklog: true)
        batch { _ in 1_000_000 }
    }

    @Test("a store with few jobs has a batch for itself beside a crowd, then the crowd has one") func fewBeforeCrowd() {
        welcome()
        turns.found([Self.visitor])
        let share = turns.shares(of: 1, jobsMax: 3_000, skipped: 0)
        #expect(share.map(\.store) == [Self.visitor])
        #expect(share.first?.jobsMax == 3_000, "its share is the whole batch")
        #expect(batch { _ in 20 } == [Self.visitor])
        turns.found([Self.visitor])
        let next = batch { $0 == Self.visitor ? 1 : 1_000_000 }
        #expect(next.count == 256 && Set(next).subtracting([Self.visitor]).isSubset(of: Self.crowd))
        #expect(batch { _ in 1 } == [Self.visitor])
    }

    @Test("a batch that was claimed ahead of the crowd's jobs waits for a store with few, and not for its own")
    func claimedAhead() {
        welcome()
        #expect(!turns.isForOthers(1, than: Self.crowd), "no other store has work")
        turns.found([Self.visitor])
        #expect(turns.isForOthers(1, than: Self.crowd))
        #expect(!turns.isForOthers(1, than: [Self.visitor]))
        batch { _ in 1 }
        turns.found([Self.visitor])
        #expect(!turns.isForOthers(1, than: Self.crowd), "now it is the crowd's turn")
    }

    @Test("a store that is new comes before a backlog that no batch has seen") func newStore() {
        turns.found(Self.crowd, isBacklog: true)
        #expect(!turns.isShort(1))
        turns.found(Self.crowd.union([Self.visitor]))
        #expect(turns.isShort(1))
        #expect(batch { _ in 1 } == [Self.visitor])
        #expect(!turns.isShort(1))
    }

    @Test("of five choices of a lane, one is for the lanes without a store that has few jobs") func lanes() {
        let visitor = Self.store(1_000, lane: 2)
        turns.found([visitor])
        batch(lane: 2) { _ in 1 }
        turns.found(Self.crowd, isBacklog: true)
        batch { _ in 1_000_000 }
        turns.found([visitor])
        #expect((0..<10).map { _ in turns.next(of: [1, 2]) } == [1, 1, 1, 1, 0, 1, 1, 1, 1, 0])
        #expect((0..<5).map { _ in turns.next(of: [2, 2]) } == [0, 0, 0, 0, 0])
    }

    @Test("a lane with a store that has few jobs, or with new stores alone, is short") func short() {
        let visitor = Self.store(1_000, lane: 2)
        #expect(!turns.isShort(1), "nothing is known of it")
        turns.found([visitor, Self.store(1)])
        #expect(turns.isShort(1) && turns.nextShort(of: [1, 2]) == 0)
        batch { _ in 1_000_000 }
        #expect(!turns.isShort(1), "its store has a backlog")
        #expect(turns.nextShort(of: [1, 2]) == 1)
        batch(lane: 2) { _ in 1 }
        #expect(!turns.isShort(2), "it has no work")
        turns.found([visitor])
        #expect(turns.isShort(2))
        turns.found(Self.crowd.subtracting([Self.store(1)]), isBacklog: true)
        #expect(turns.nextShort(of: [1]) == nil, "nothing is known of a backlog")
    }

    @Test(
        "batches are short in the lanes of stores with little work; without an express worker, in all",
        arguments: [(true, Int.max), (false, 10_000)])
    func shortBatches(hasExpressWorker: Bool, jobsMaxOfOthers: Int) {
        let turns = StoreTurns(hasExpressWorker: hasExpressWorker)
        turns.learn(jobs: 10_000, took: .milliseconds(100))
        let jobs = [(Self.store(1, lane: 1), 100_000), (Self.store(2, lane: 2), 100_000), (Self.store(3, lane: 2), 1)]
        for (store, jobs) in jobs {
            turns.found([store])
            let shares = turns.shares(of: store.lane, jobsMax: 100_000, skipped: 0)
            turns.served(shares, [ClaimedStrand(strand: store.strand(1), jobs: jobs, lastID: 1)], isFull: false)
        }
        #expect(turns.jobsMax(of: 2, for: .milliseconds(100)) == 10_000)
        #expect(turns.jobsMax(of: 1, for: .milliseconds(100)) == jobsMaxOfOthers)
    }

    @Test("a backlog is known until a claim finds its end, and in a lane that cannot be had nothing is known")
    func deep() {
        let (shop, neighbor, other) = (Self.store(1), Self.store(2), Self.store(3, lane: 2))
        turns.found([Self.visitor])
        #expect(turns.deep == [], "it may have a single job")
        turns.found([shop, neighbor, other], isBacklog: true)
        #expect(turns.deep == [shop, neighbor, other])
        batch { _ in 1 }
        batch { $0 == shop ? 1_000_000 : 1 }
        #expect(turns.deep == [shop, other])
        turns.foundUnavailable(1)
        #expect(turns.deep == [other])
        batch { _ in 1_000_000 }
        #expect(turns.deep == [shop, other])
        batch { _ in 1 }
        #expect(turns.deep == [other])
    }

    @Test("a store with few jobs is none of the backlog when the poller connects again") func connectsAgain() {
        welcome()
        turns.found(Self.crowd.union([Self.visitor]), isBacklog: true)
        #expect(turns.isShort(1))
        #expect(!turns.deep.contains(Self.visitor))
        #expect(batch { _ in 1 } == [Self.visitor])
    }

    @Test("what a store had fades with the batches of others") func fading() {
        let visitor = Self.store(1_000, lane: 2)
        turns.found(Self.crowd, isBacklog: true)
        batch { _ in 1_000_000 }
        turns.found([visitor])
        batch(lane: 2) { _ in 2_000 }
        turns.found([visitor])
        #expect(turns.next(of: [1, 2]) == 0, "it had many jobs just now")
        for _ in 1...60 { batch { _ in 1_000_000 } }
        turns.found([visitor])
        #expect(turns.next(of: [1, 2]) == 1)
    }
}
