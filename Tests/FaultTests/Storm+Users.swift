import Foundation
import StockQueuePostgres
import TestSupport
import Testing

/// Faults of the other users of the database.
extension Storm {
    // MARK: a hung producer

    /// A producer inserts jobs and leaves its transaction open for a while.
    func hangProducer() {
        let sql = rig.shops.nextJobs(1 + random.below(20), store: random.below(Self.stores))
        let ending = random.pick(HungProducer.Ending.allCases)
        let open = 500 + random.below(12_000)
        hungProducers.append(
            Background { [database = rig.database] in
                do {
                    let producer = try waitingForServer { try HungProducer(database, sql) }
                    pause(milliseconds: open)
                    try producer.end(ending)
                } catch let error as PostgresError where error.isTransient {
                    // Another fault ended its session. The oracle knows whether the COMMIT took effect.
                }
            })
    }

    /// Waits until the last of them has ended.
    func waitForHungProducers() throws {
        for producer in hungProducers { try producer.wait() }
        hungProducers = []
    }
}
