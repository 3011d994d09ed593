import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// Random jobs on the whole way – table, claim, batch, results – with random batch sizes and numbers of workers.
@Suite("The queue against the one-at-a-time model") struct QueuePropertyTests {
    @Test("random jobs have the results of the model", arguments: Seeds.random(6, fullCount: 24))
    func agreesWithTheModel(seed: UInt64) async throws {
        try await withDatabase { database in
            var random = SeededRandom(seed: seed)
            var shops: [StoreCase] = []
            for number in 0..<4 {
                // In every other store each item has its own ordering key, and there are no groups.
                shops.append(
                    StoreCase(name: "store-\(number)", byItem: number % 2 == 1, seed: random.next(), jobs: 300))
            }
            let connection = try database.connect()
            try connection.executeScript(shops.map(\.itemsSQL).joined())
            for shop in shops { try connection.executeScript(shop.jobsSQL) }
            let workers = 1 + random.below(4)
            let batchJobsMax = random.pick([1, 2, 7, 50, 10_000])
            try database.drain {
                $0.workers = workers
                $0.batchJobsMax = batchJobsMax
            }
            for shop in shops {
                if let difference = try shop.difference(database, connection) {
                    Issue.record(
                        """
                        seed \(seed), \(workers) workers, batches of \(batchJobsMax): \(difference) – \
                        run again with STOCKQ_SEED=\(seed)
                        """)
                }
            }
            try expectSoundLedger(database)
        }
    }
}
