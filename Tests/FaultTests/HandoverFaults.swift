import Foundation
import StockQueue
import TestSupport
import Testing

extension Faults {
    /// Two workers in one deep lane: while one writes its batch, the other claims the next.
    @Suite("Lanes handed over", .serialized) struct Handover {
        @Test(
            "a connection cut at any message loses nothing, does nothing twice and keeps the order",
            arguments: [Proxy.Direction.toServer, .toClient])
        func cutAtEveryStep(direction: Proxy.Direction) async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 71, stores: 1)
                var settings = Rig.quick()
                settings.workers = 2
                settings.batchJobsMax = 5
                let workers = rig.startWorkers(settings)
                try rig.enqueueRound(60)
                #expect(try rig.jobsFinish())
                var (number, misses, cuts) = (0, 0, 0)
                var statements: Set<String> = []
                while misses < 3 {
                    let trap = Trap(rig.proxy, atMessage: number, of: direction) { _, _ in .cut }
                    trap.set(process: ProcessInfo.processInfo.processIdentifier)
                    try rig.enqueueRound(60)
                    #expect(try rig.jobsFinish(), "cut at message \(number)")
                    rig.proxy.passAll()
                    // Rounds differ in length; after the longest there is no message to cut at.
                    misses = trap.hit == nil ? misses + 1 : 0
                    if let hit = trap.hit {
                        cuts += 1
                        statements.insert(hit.statement)
                    }
                    number += Faults.isFull ? 1 : 17
                }
                try workers.stop()
                Faults.report(
                    "two workers in one lane: cut at \(cuts) messages, \(direction), of \(statements.count) kinds")
                #expect(cuts > (Faults.isFull ? 100 : 5))
                #expect(try database.changesOfWorker() > 10, "the lane stayed with one worker")
                try rig.expectSound()
            }
        }
    }
}
