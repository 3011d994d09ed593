import Foundation
import StockQueuePostgres
import TestSupport
import Testing

extension Faults {
    /// Every kind of fault at random, with producers, workers and an administrator: `make soak SECONDS=900 SEED=7`.
    ///
    /// A seed makes the same faults in the same order. What the workers are doing at each fault differs.
    @Suite("Soak", .serialized) struct Soak {
        static let environment = ProcessInfo.processInfo.environment
        static let seconds = environment["STOCKQ_SOAK_SECONDS"].flatMap { Int($0) }
        /// Faults that are left out, to find which of them matters.
        static let without = Set((environment["STOCKQ_SOAK_WITHOUT"] ?? "").split(separator: ",").map(String.init))
        static let seed = environment["STOCKQ_SEED"].flatMap { UInt64($0) } ?? UInt64.random(in: 1...999_999)

        @Test("the queue is sound after all faults at random", .enabled(if: Soak.seconds != nil, "make soak SECONDS=…"))
        func everythingAtOnce() async throws {
            try await onThread {
                let tally = SoakTally(seed: Self.seed, secondsAsked: Self.seconds ?? 60)
                tally.reportSummaryOnSignals()
                do {
                    try Storm(tally, without: Self.without).rage()
                    tally.reportSummary(ended: nil)
                } catch {
                    tally.reportSummary(ended: error)
                    throw error
                }
            }
        }

        @Test("the summary of a soak says how long it ran, and why it ended early")
        func summary() {
            let tally = SoakTally(seed: 7, secondsAsked: 900)
            tally.figures.value = SoakTally.Figures(faults: 3, jobs: 1_000, violations: 0)
            #expect(
                tally.summary(secondsRun: 903, ended: nil)
                    == "soak: seed 7, 903 s of 900 s, 3 faults, 1000 jobs, 0 violations")
            struct Trouble: Error {}
            #expect(
                tally.summary(secondsRun: 310, ended: Trouble())
                    == "soak: seed 7, ENDED EARLY after 310 s of 900 s, 3 faults, 1000 jobs, 0 violations: Trouble()")
        }
    }
}
