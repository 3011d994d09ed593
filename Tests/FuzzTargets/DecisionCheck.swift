import StockQueue
import TestSupport

/// Batches of jobs: the decision against the one-at-a-time model. Unlike in the random scenarios of the test suite,
/// another transaction may have locked jobs and items.
enum DecisionCheck {
    static func problem(with bytes: [UInt8]) -> String? {
        var feed = ByteFeed(bytes)
        let names = (0...feed.below(4)).map { "item-\($0)" }
        var items: [String: Model.Item] = [:]
        for name in names.dropLast(names.count > 2 ? 1 : 0) { items[name] = item(&feed) }
        var model = Model(items: items)
        var shop = DecidedShop(items)
        var nextID: Int64 = 1
        while !feed.isEmpty {
            let locked = Set(names.filter { model.items[$0] != nil && feed.chance(12) })
            var lockedJobs: Set<Int64> = []
            var jobs: [Model.Job] = []
            for _ in 0...feed.below(24) where !feed.isEmpty || jobs.isEmpty {
                jobs.append(job(nextID, names, jobs.last, &feed))
                if feed.chance(24) { lockedJobs.insert(nextID) }
                nextID += 1
            }
            let skipped = skippedJobs(jobs, lockedJobs, locked)
            let seen = model.notifications.count
            model.work(jobs.filter { !skipped.contains($0.id) })
            let problem = shop.work(
                jobs, model, newNotifications: Array(model.notifications[seen...]), lockedJobs: lockedJobs,
                lockedItems: locked, skipped: skipped)
            if let problem { return problem }
        }
        return nil
    }

    /// The jobs that are locked or have a locked item, and all later ones that share an item with them.
    private static func skippedJobs(
        _ jobs: [Model.Job], _ lockedJobs: Set<Int64>, _ lockedItems: Set<String>
    ) -> Set<Int64> {
        var units = Dictionary(grouping: jobs) { $0.groupID ?? "job \($0.id)" }.values.map { $0 }
        units.sort { left, right in
            let best = [left, right].map { unit in unit.map { ($0.priority, $0.id) }.min(by: <)! }
            return best[0] < best[1]
        }
        var items = lockedItems
        var skipped: Set<Int64> = []
        for unit in units where unit.contains(where: { lockedJobs.contains($0.id) || items.contains($0.item) }) {
            skipped.formUnion(unit.map(\.id))
            items.formUnion(unit.map(\.item))
        }
        return skipped
    }

    private static let quantityMax: Int64 = 9_007_199_254_740_991
    private static let edges: [Int64] = [
        quantityMax, -quantityMax, quantityMax + 1, -quantityMax - 1, .max, .min, quantityMax - 1, 1 - quantityMax,
    ]

    private static func item(_ feed: inout ByteFeed) -> Model.Item {
        let onHand =
            feed.chance(8) ? feed.pick([quantityMax, -quantityMax, quantityMax - 3]) : Int64(feed.below(40)) - 8
        let isLarge = feed.chance(8)
        // As the table's constraints demand: available is within the bounds, too.
        let allocated = isLarge && onHand >= 0 ? feed.pick([onHand, quantityMax]) : Int64(feed.below(10))
        let fits = Int128(onHand) - Int128(allocated) >= -Int128(quantityMax)
        return Model.Item(
            onHand: onHand, allocated: fits ? allocated : 0,
            threshold: feed.chance(4) ? nil : feed.chance(16) ? quantityMax : Int64(feed.below(15)),
            tracked: !feed.chance(16))
    }

    private static func job(_ id: Int64, _ names: [String], _ last: Model.Job?, _ feed: inout ByteFeed) -> Model.Job {
        var job = Model.Job(id: id, item: feed.pick(names), quantity: Int64(Int8(bitPattern: feed.byte())) / 4)
        let shape = feed.byte()
        job.action =
            ["adjust", "adjust", "adjust", "allocate", "allocate", "deallocate", "ship", "set"][Int(shape & 7)]
        let policies = ["reject", "allow", "partial", "wait"]
        switch job.action {
        case "adjust", "allocate": job.policy = policies[Int(shape >> 3 & 3)]
        case "set": job.policy = policies[Int(shape >> 3 & 1)]
        default: break
        }
        if job.action != "adjust" && shape >> 5 != 7 { job.quantity = abs(job.quantity) }
        let more = feed.byte()
        if more & 7 == 7 { job.quantity = feed.pick(edges) }
        if more >> 3 & 3 == 3 { job.expected = Int64(feed.below(32)) - 4 }
        job.notify = more >> 5 & 3 != 3
        // A few keys, so that some are used again, sometimes with the request of the job before.
        if shape >> 5 == 5 {
            let key = feed.byte()
            job.key = "key-\(key & 7)"
            if key & 8 != 0, let last {
                (job.item, job.action, job.policy) = (last.item, last.action, last.policy)
                (job.quantity, job.expected, job.key) = (last.quantity, last.expected, last.key ?? job.key)
            }
        }
        // Groups of consecutive jobs, sometimes with another priority.
        if more & 0x80 != 0 {
            let group = feed.byte()
            let joins = group & 3 != 0 && last?.groupID != nil
            job.groupID = joins ? last?.groupID : "group-\(id)"
            job.expired = group >> 2 & 15 == 15
            job.priority = group >> 6 == 3 ? 1 : joins ? last!.priority : 2
        } else {
            job.priority = 2 + (shape >> 5 == 6 ? 1 : 0)
        }
        return job
    }
}
