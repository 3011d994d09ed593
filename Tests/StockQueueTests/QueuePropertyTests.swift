import Foundation
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// Random jobs through the whole path – table, claim, batch, results – with random batch sizes and numbers of workers,
/// against the one-at-a-time model.
@Suite struct QueuePropertyTests {
    static var seeds: [UInt64] {
        if let text = ProcessInfo.processInfo.environment["STOCKQ_SEED"], let seed = UInt64(text) { return [seed] }
        let day = UInt64.random(in: 0...UInt64.max)
        return (0..<12).map { day &+ $0 }
    }

    @Test(arguments: seeds) func agreesWithTheModel(seed: UInt64) async throws {
        try await withDatabase { database in
            var random = SeededRandom(seed: seed)
            var shops: [StoreCase] = []
            for number in 0..<4 {
                // In every other store each item is a lane of its own, and there are no groups.
                shops.append(
                    StoreCase(name: "store-\(number)", byItem: number % 2 == 1, seed: random.next(), jobs: 300))
            }
            let connection = try database.connect()
            try connection.executeScript(shops.map(\.itemsSQL).joined())
            for shop in shops { try connection.executeScript(shop.jobsSQL) }
            let workers = 1 + random.below(4)
            let batchMax = random.pick([1, 2, 7, 50, 10_000])
            try database.drain {
                $0.workers = workers
                $0.batchJobsMax = batchMax
            }
            for shop in shops {
                let problem = try shop.difference(database, connection)
                if let problem {
                    Issue.record(
                        "seed \(seed), \(workers) workers, batch \(batchMax): \(problem) – replay with STOCKQ_SEED=\(seed)"
                    )
                }
            }
            try expectSoundBooks(connection)
        }
    }
}

/// All checks of `stockq verify`.
func expectSoundBooks(_ connection: Connection) throws {
    var violations: [String] = []
    try Verifier(connection: connection, schema: .standard).runAll { violations += $0.violations }
    #expect(violations == [])
}
