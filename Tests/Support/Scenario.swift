// Tests of every target use the generator, and get it with this module.
@_exported public import struct PrivateCluster.SeededRandom

/// A random shop and random jobs, the same for the same seed. Stocks are small, so that rejections are common, and some
/// quantities are at the limits.
public struct Scenario {
    public var random: SeededRandom
    /// By name. A job may also name an unknown item.
    public private(set) var items: [String: Model.Item] = [:]
    private let itemNames: [String]
    /// Recent jobs and groups with keys; some are submitted again.
    private var submitted: [[Model.Job]] = []

    public init(seed: UInt64, items count: Int) {
        random = SeededRandom(seed: seed)
        itemNames = (0..<count).map { "item-\($0)" }
        for name in itemNames.dropLast(count > 3 ? 1 : 0) { items[name] = randomItem() }
    }

    private static let edges: [Int64] = [
        0, 1, -1, 9_007_199_254_740_991, -9_007_199_254_740_991, 9_007_199_254_740_992, -9_007_199_254_740_992, .max,
        .min,
    ]

    private mutating func randomItem() -> Model.Item {
        let isEdge = random.chance(1, in: 12)
        let onHand: Int64 = isEdge ? 9_007_199_254_740_991 - Int64(random.below(5)) : Int64(random.below(40))
        let allocated = random.chance(1, in: 3) && onHand > 0 ? Int64(random.below(Int(min(onHand, 10)) + 1)) : 0
        let threshold = random.chance(1, in: 4) ? nil : Int64(random.below(15))
        return Model.Item(
            onHand: onHand, allocated: allocated, threshold: threshold, tracked: !random.chance(1, in: 15))
    }

    /// - Parameters:
    ///   - waits: jobs may wait for stock.
    ///   - groups: some jobs are lines of groups.
    public mutating func jobs(_ count: Int, firstID: Int64 = 1, waits: Bool, groups: Bool) -> [Model.Job] {
        var jobs: [Model.Job] = []
        var groupsMade = 0
        while jobs.count < count {
            let isGroup = groups && random.chance(1, in: 3)
            let lines = isGroup ? 1 + random.below(6) : 1
            groupsMade += 1
            if !submitted.isEmpty && random.chance(1, in: 12) {
                jobs += resubmitted(
                    firstID: firstID + Int64(jobs.count), group: "again-\(firstID)-\(groupsMade)", groups)
                continue
            }
            let first = jobs.count
            let hasKeys = random.chance(1, in: 4)
            let priority = random.chance(1, in: 6) ? 1 + random.below(4) : 2
            for _ in 0..<lines {
                var job = randomJob(id: firstID + Int64(jobs.count), waits: waits)
                job.groupID = isGroup ? "group-\(firstID)-\(groupsMade)" : nil
                job.priority = isGroup && random.chance(1, in: 10) ? 1 + random.below(4) : priority
                if hasKeys { job.key = "key-\(job.id)" }
                jobs.append(job)
            }
            if hasKeys { submitted = submitted.suffix(7) + [Array(jobs[first...])] }
        }
        return jobs
    }

    /// A job or group that was submitted before: as it was, with a changed line, with a line less, or with a line more.
    private mutating func resubmitted(firstID: Int64, group: String, _ groups: Bool) -> [Model.Job] {
        var lines = random.pick(submitted)
        switch random.below(6) {
        case 0: lines[random.below(lines.count)].quantity &+= 1
        case 1 where lines.count > 1: lines.remove(at: random.below(lines.count))
        case 2 where lines.count > 1: lines[random.below(lines.count)].key = nil
        case 3 where lines[0].groupID != nil: lines.append(lines[0])
        default: break
        }
        // With its former group id, or with another one.
        let name = random.chance(1, in: 2) ? lines[0].groupID : group
        // As part of the first submission, which makes one group of both while the first is queued, or as a submission
        // of its own.
        let submission = random.chance(1, in: 2) ? lines[0].submission : firstID
        for index in lines.indices {
            lines[index].submission = submission
            lines[index].id = firstID + Int64(index)
            lines[index].groupID = lines[index].groupID == nil ? nil : name
        }
        return lines
    }

    private mutating func randomJob(id: Int64, waits: Bool) -> Model.Job {
        var job = Model.Job(id: id, item: random.pick(itemNames), quantity: Int64(random.below(12)))
        job.action = random.pick(["adjust", "adjust", "adjust", "allocate", "allocate", "deallocate", "ship", "set"])
        if job.action == "adjust" { job.quantity = random.chance(3, in: 4) ? -job.quantity : job.quantity * 2 }
        if random.chance(1, in: 25) { job.quantity = random.pick(Self.edges) }
        switch job.action {
        case "adjust", "allocate":
            job.policy = random.pick(["reject", "reject", "reject", "allow", "partial", waits ? "wait" : "partial"])
        case "set": job.policy = random.pick(["reject", "reject", "allow"])
        default: break
        }
        if random.chance(1, in: 12) { job.expected = Int64(random.below(20)) }
        job.notify = !random.chance(1, in: 8)
        job.expired = random.chance(1, in: 40)
        return job
    }
}
