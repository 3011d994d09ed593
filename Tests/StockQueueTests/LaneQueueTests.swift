import StockQueue
import StockQueueLocking
import TestSupport
import Testing

/// Which lanes the express worker gets, while too few other workers wait for one.
@Suite struct LaneQueueTests {
    private let turns: StoreTurns
    private let queue: LaneQueue

    init() {
        turns = StoreTurns(hasExpressWorker: true)
        queue = LaneQueue(workers: 2, turns: turns)
    }

    private static let crowd = store(1, lane: 1)
    private static let visitor = store(2, lane: 1)

    private static func store(_ number: Int32, lane: Int32) -> StoreInLane {
        Strand(rawValue: lane << 24 | number << 2).store
    }

    /// A batch of a store.
    private func serve(_ store: StoreInLane, jobs: Int) {
        turns.found([store])
        let shares = turns.shares(of: store.lane, jobsMax: 1_000, skipped: 0)
        turns.served(shares, [ClaimedStrand(strand: store.strand(1), jobs: jobs, lastID: 1)], isFull: false)
    }

    /// - Returns: the lane that the express worker gets, which waits beside the events; nil for none.
    private func express(beside events: () -> Void) throws -> Int16? {
        let next = Mutex<(hasEnded: Bool, lane: Int16?)>((false, nil))
        let worker = Background { [queue] in
            let lane = queue.nextShort()
            next.withLock { $0 = (true, lane) }
        }
        events()
        _ = eventually(seconds: 5) { next.withLock { $0.hasEnded } }
        let lane = next.withLock { $0.lane }
        queue.stop()
        try worker.wait()
        return lane
    }

    @Test("a lane of new stores, while no worker waits") func newStores() async throws {
        try await onThread {
            let lane = try express {
                turns.found([Self.visitor])
                queue.enqueue([1])
            }
            #expect(lane == 1)
        }
    }

    @Test("a queued lane that a store with few jobs enters") func becomesShort() async throws {
        try await onThread {
            serve(Self.visitor, jobs: 1)
            serve(Self.crowd, jobs: 1_000)
            queue.enqueue([1])
            #expect(turns.nextShort(of: [1]) == nil)
            let lane = try express {
                turns.found([Self.visitor])
                queue.enqueue([1])
            }
            #expect(lane == 1)
        }
    }

    @Test("a lane that its worker releases with more work", arguments: [LaneQueue.Disposition.requeue, .idle])
    func released(_ disposition: LaneQueue.Disposition) async throws {
        try await onThread {
            turns.found([Self.visitor])
            queue.enqueue([1])
            guard case .lane(1)? = queue.next() else {
                Issue.record("the lane was not queued")
                return
            }
            let lane = try express {
                // Seen by a poll, while the worker has the lane.
                queue.enqueue([1])
                _ = queue.release(1, disposition)
            }
            #expect(lane == 1)
        }
    }

    @Test("one of three lanes, of which a worker that waits takes another one") func tooFewWorkers() async throws {
        try await onThread {
            let other = Mutex<Int16?>(nil)
            let worker = Background { [queue] in
                guard case .lane(let lane)? = queue.next() else { return }
                other.withLock { $0 = lane }
            }
            let lane = try express {
                for lane in 1...3 { turns.found([Self.store(7, lane: Int32(lane))]) }
                queue.enqueue([1, 2, 3])
                _ = eventually { other.withLock { $0 } != nil }
            }
            try worker.wait()
            #expect(try #require(lane) != #require(other.withLock { $0 }))
        }
    }

    @Test("none where all work is deep, nor after the end") func none() async throws {
        try await onThread {
            serve(Self.crowd, jobs: 1_000)
            let lane = try express {
                queue.enqueue([1])
                queue.stop()
            }
            #expect(lane == nil)
        }
    }
}
