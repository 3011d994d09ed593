import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

extension Faults.Content {
    /// Its jobs have lower ids than the jobs that workers finish meanwhile.
    @Test(
        "while a producer's transaction stays open, workers continue, and find its jobs within 2 s after its commit",
        arguments: HungProducer.Ending.allCases, [1, 20])
    func hungProducer(ending: HungProducer.Ending, producers: Int) async throws {
        try await withDatabase { database in
            let rig = try Rig(database, seed: 127, stores: 1)
            let workers = rig.startDirectWorkers()
            // Each has the lowest ids of its priority.
            let hung = try (0..<producers).map { number in
                try HungProducer(
                    database,
                    """
                    INSERT INTO stockq.jobs (store_id, item_id, quantity, priority, reference)
                    VALUES ('store-0', 'item-1', 1, \(number % 4 + 1), 'late'), ('store-0', 'item-2', -1, 2, 'late')
                    """)
            }
            for _ in 0..<20 {
                let results = try database.resultCount()
                try rig.enqueueRound(50)
                #expect(try eventually(seconds: 5) { try database.resultCount() > results })
            }
            #expect(try rig.jobsFinish())
            let lateResults = "SELECT count(*) FROM stockq.results WHERE reference = 'late'"
            let start = Stopwatch()
            for producer in hung { try producer.end(ending) }
            let expected = ending == .commits ? producers * 2 : 0
            #expect(try eventually { try database.value(lateResults) == String(expected) })
            if expected > 0 {
                Faults.report("\(expected) jobs of late commits were finished after \(start.milliseconds) ms")
                #expect(start.milliseconds <= 2_000)
            }
            try rig.enqueueRound(50)
            #expect(try rig.jobsFinish())
            try workers.stop()
            #expect(try database.value(lateResults) == String(expected))
            try rig.expectSound()
        }
    }
}
