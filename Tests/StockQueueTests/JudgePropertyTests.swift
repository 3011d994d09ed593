import Foundation
import StockQueue
import TestSupport
import Testing

/// A million random jobs and more through the pure judgement, batch by batch, against the one-at-a-time model.
@Suite struct JudgePropertyTests {
    /// One seed of one's own with `STOCKQ_SEED=…`; a failure prints the seed it happened with.
    static var seeds: [UInt64] {
        if let text = ProcessInfo.processInfo.environment["STOCKQ_SEED"], let seed = UInt64(text) { return [seed] }
        let day = UInt64.random(in: 0...UInt64.max)
        return (0..<8).map { day &+ $0 }
    }

    @Test(arguments: seeds) func agreesWithTheModel(seed: UInt64) async throws {
        let jobs = try await onThread { try Self.compare(seed: seed, jobs: 130_000) }
        #expect(jobs >= 130_000)
    }

    private static func compare(seed: UInt64, jobs total: Int) throws -> Int {
        var done = 0
        var round: UInt64 = 0
        while done < total {
            round += 1
            var scenario = Scenario(seed: seed &+ round &* 7_919, items: 1 + Int(round % 9))
            var model = Model(items: scenario.items)
            var shop = Shop(scenario.items)
            for _ in 0..<20 {
                let jobs = scenario.jobs(
                    1 + scenario.random.below(60), firstID: Int64(done + 1), waits: true, groups: true)
                done += jobs.count
                let seen = model.notifications.count
                model.work(jobs)
                let problem = shop.work(jobs, model, newNotifications: Array(model.notifications[seen...]))
                if let problem {
                    Issue.record("seed \(seed), round \(round): \(problem) – replay with STOCKQ_SEED=\(seed)")
                    return done
                }
            }
        }
        return done
    }
}

/// The judgement's side: stock by item number, carried from batch to batch.
private struct Shop {
    private var names: [String]
    private var stock: [StockState]

    init(_ items: [String: Model.Item]) {
        names = items.keys.sorted()
        stock = names.map { name in
            let item = items[name]!
            return StockState(
                onHand: Int64(item.onHand), allocated: Int64(item.allocated),
                threshold: item.threshold.map { Int64($0) },
                tracked: item.tracked)
        }
    }

    /// Judges the jobs as one batch.
    ///
    /// - Returns: the first difference from the model.
    mutating func work(_ jobs: [Model.Job], _ model: Model, newNotifications: [Model.Notification]) -> String? {
        let claimed = claim(jobs)
        let judgement = judge(claimed, stock: stock)
        if judgement.left != 0 { return "\(judgement.left) jobs are left, and nobody holds anything" }
        for (job, verdict) in zip(claimed, judgement.verdicts) {
            let mine = describe(job, verdict)
            let theirs = model.waiting.contains(job.id) ? "waits" : model.results[job.id].map(describe) ?? "nothing"
            if mine != theirs { return "job \(job): \(mine), the model says \(theirs)" }
        }
        stock = judgement.stock
        for (name, state) in zip(names, stock) {
            guard let item = model.items[name] else { continue }
            let mine =
                "\(state.onHand) \(state.allocated) \(state.version) \(state.toldLevel ?? state.level) \(state.lastJobID ?? 0)"
            let theirs = "\(item.onHand) \(item.allocated) \(item.version) \(item.told) \(item.lastJob ?? 0)"
            if mine != theirs { return "item \(name): \(mine), the model says \(theirs)" }
        }
        let told = judgement.levelChanges.map { change in
            Model.Notification(
                item: names[Int(change.item)], version: Int(change.version), kind: change.kind.rawValue,
                job: claimed[Int(change.job)].id, before: Int128(change.availableBefore),
                after: Int128(change.availableAfter))
        }
        return told.sorted() == newNotifications.sorted() ? nil : "told \(told), the model tells \(newNotifications)"
    }

    /// In order of work, as a claim arranges them.
    private mutating func claim(_ jobs: [Model.Job]) -> [ClaimedJob] {
        var best: [String: (Int, Int64)] = [:]
        for job in jobs {
            guard let group = job.group else { continue }
            if let known = best[group], known < (job.priority, job.id) { continue }
            best[group] = (job.priority, job.id)
        }
        let ordered = jobs.sorted { left, right in
            let a = left.group.flatMap { best[$0] } ?? (left.priority, left.id)
            let b = right.group.flatMap { best[$0] } ?? (right.priority, right.id)
            return a != b ? a < b : left.id < right.id
        }
        var groups: [String: Int32] = [:]
        return ordered.map { job in
            var claimed = ClaimedJob(
                id: job.id, item: number(of: job.item), action: Action(rawValue: job.action)!,
                onInsufficient: OnInsufficient(rawValue: job.policy)!, quantity: job.quantity)
            claimed.expectedAvailable = job.expected
            claimed.notify = job.notify
            claimed.isExpired = job.expired
            if let group = job.group {
                let number = groups[group] ?? Int32(groups.count)
                groups[group] = number
                claimed.group = number
            }
            return claimed
        }
    }

    private mutating func number(of item: String) -> Int32 {
        if let known = names.firstIndex(of: item) { return Int32(known) }
        names.append(item)
        stock.append(StockState())
        return Int32(names.count - 1)
    }

    private func describe(_ job: ClaimedJob, _ verdict: Verdict) -> String {
        if verdict.fate == .waits { return "waits" }
        let result = Model.Result(
            job: job.id, outcome: verdict.outcome.rawValue, code: verdict.code?.rawValue ?? "-",
            warning: verdict.warnsNegative ? "negative_stock" : "-", applied: Int128(verdict.appliedQuantity),
            stock: verdict.hasStock
                ? [
                    verdict.onHandBefore, verdict.onHandAfter, verdict.allocatedBefore, verdict.allocatedAfter,
                    verdict.version,
                ]
                .map { Int128($0) } : [],
            levels: verdict.levelBefore.map { "\($0) \(verdict.levelAfter!)" } ?? "-", previous: verdict.previousJobID)
        return describe(result)
    }

    private func describe(_ result: Model.Result) -> String {
        "\(result.outcome) \(result.code) \(result.warning) \(result.applied) \(result.stock) \(result.levels) \(result.previous ?? 0)"
    }
}
