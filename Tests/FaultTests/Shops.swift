import StockQueue
import StockQueueLocking
import StockQueuePostgres
import TestSupport

/// Random jobs of several stores, round by round; the same for the same seed.
final class Shops: Sendable {
    private struct Shop {
        let name: String
        var scenario: Scenario
        /// In the first of several stores no job waits, so that the order of its lane can be proven.
        let waits: Bool
        var enqueued: Int64 = 0
    }

    private let shops: Mutex<[Shop]>
    let itemsSQL: String

    init(seed: UInt64, stores: Int, items: Int = 8) {
        let all = (0..<stores).map { number in
            Shop(
                name: "store-\(number)", scenario: Scenario(seed: seed &* 1_000 &+ UInt64(number), items: items),
                waits: stores == 1 || number > 0)
        }
        itemsSQL = all.map { StoreCase(name: $0.name, items: $0.scenario.items).itemsSQL }.joined()
        shops = Mutex(all)
    }

    /// SQL that enqueues the next jobs: a transaction for each store.
    func nextJobs(_ count: Int) -> [String] {
        shops.withLock { shops in shops.indices.map { Self.nextJobs(count, &shops[$0]) } }
    }

    /// SQL that enqueues the next jobs of one store.
    func nextJobs(_ count: Int, store: Int) -> String { shops.withLock { Self.nextJobs(count, &$0[store]) } }

    private static func nextJobs(_ count: Int, _ shop: inout Shop) -> String {
        let jobs = shop.scenario.jobs(count, firstID: shop.enqueued + 1, waits: shop.waits, groups: true)
        shop.enqueued += Int64(jobs.count)
        return StoreCase(name: shop.name, items: [:], jobs: jobs).jobsSQL
    }
}

/// Runs the statements of a producer, or of an administrator, until it is stopped. It reconnects when its connection is
/// lost. The oracle knows whether a lost COMMIT took effect: it keeps its copies in the same transaction.
final class RepeatingSession: Sendable {
    private let stopped = StopSignal()
    private let ended: Background

    /// - Parameters:
    ///   - accepts: errors after which it continues, beside those of the connection. Any other error ends it, and `stop`
    ///     throws it.
    ///   - next: the statements of a round, counted from 1; each is a transaction.
    init(
        _ database: TestDatabase, everyMs: Int = 5, accepts: Set<SQLState> = [],
        next: @escaping @Sendable (_ round: Int) -> [String]
    ) {
        let stopped = stopped
        ended = Background {
            var connection: Connection?
            var round = 0
            while !stopped.wait(milliseconds: everyMs) {
                round += 1
                do {
                    let usable = try connection ?? database.connect()
                    connection = usable
                    for sql in next(round) { try usable.executeScript(sql) }
                } catch let error as PostgresError
                    where error.isTransient || error.sqlState.map(accepts.contains) ?? false
                {
                    connection = nil
                }
            }
        }
    }

    // A soak that ends early has no other chance to stop it.
    deinit { stopped.finish() }

    func stop() throws {
        stopped.finish()
        try ended.wait()
    }
}
