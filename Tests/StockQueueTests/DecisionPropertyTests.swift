import Foundation
import StockQueue
import TestSupport
import Testing

/// Half a million random jobs, batch by batch.
@Suite("The decision against the one-at-a-time model") struct DecisionPropertyTests {
    /// A run under a sanitizer, which looks for other errors, needs fewer: `STOCKQ_DECIDED_JOBS=…`.
    static let jobsEach = ProcessInfo.processInfo.environment["STOCKQ_DECIDED_JOBS"].flatMap { Int($0) } ?? 65_000

    @Test("random batches have the results of the model", arguments: Seeds.random(8, fullCount: 32))
    func agreesWithTheModel(seed: UInt64)
        async throws
    {
        let jobs = try await onThread { try Self.compare(seed: seed, jobs: Self.jobsEach) }
        #expect(jobs >= Self.jobsEach)
    }

    private static func compare(seed: UInt64, jobs total: Int) throws -> Int {
        var done = 0
        var round: UInt64 = 0
        while done < total {
            round += 1
            var scenario = Scenario(seed: seed &+ round &* 7_919, items: 1 + Int(round % 9))
            var model = Model(items: scenario.items)
            var shop = DecidedShop(scenario.items)
            for _ in 0..<20 {
                let jobs = scenario.jobs(
                    1 + scenario.random.below(60), firstID: Int64(done + 1), waits: true, groups: true)
                done += jobs.count
                let seen = model.notifications.count
                model.work(jobs)
                let problem = shop.work(jobs, model, newNotifications: Array(model.notifications[seen...]))
                if let problem {
                    Issue.record("seed \(seed), round \(round): \(problem) – run again with STOCKQ_SEED=\(seed)")
                    return done
                }
            }
        }
        return done
    }
}
