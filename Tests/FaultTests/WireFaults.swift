import Foundation
import Postgres
import StockQueue
import Synchronization
import TestSupport
import Testing

extension Faults {
    /// What the way between worker and server can do: cut at any byte, be slow, be silent, refuse.
    @Suite(.serialized) struct Wire {
        /// Cuts the worker's connection behind every byte of a batch, in both directions.
        ///
        /// The connection has worked a batch before, so its statements are prepared, and the bytes are those of a batch alone.
        @Test(arguments: [Proxy.Direction.toServer, .toClient])
        func everyByteOfABatch(direction: Proxy.Direction) async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 3, stores: 1)
                let pool = rig.start()
                try rig.enqueueRound()
                #expect(try rig.isWorkedOff())
                var place = 0
                var hits = 0
                var misses = 0
                while misses < 3 {
                    let cut = ByteCut(direction, behind: place)
                    rig.proxy.setRule(cut.rule)
                    try rig.enqueueRound(3)
                    #expect(try rig.isWorkedOff(), "cut behind byte \(place)")
                    rig.proxy.passAll()
                    hits += cut.hasCut ? 1 : 0
                    // Rounds differ in length; beyond the longest there is nothing more to cut.
                    misses = cut.hasCut ? 0 : misses + 1
                    place += Faults.isFull ? 1 : 97
                    // A round past the fault, so that the next connection has prepared what it needs.
                    if cut.hasCut {
                        try rig.enqueueRound(3)
                        #expect(try rig.isWorkedOff())
                    }
                    if hits % 200 == 199 { #expect(try Books(database).violationsNow() == []) }
                }
                try pool.stop()
                Faults.report("cut behind \(hits) bytes of a batch, \(direction), the last \(place)")
                #expect(hits > (Faults.isFull ? 1_000 : 10))
                try rig.expectSound()
            }
        }

        /// Ends a worker's connection behind a number of bytes in one direction, once.
        private final class ByteCut: Sendable {
            private let direction: Proxy.Direction
            private let left: Mutex<(bytes: Int, hasCut: Bool)>

            init(_ direction: Proxy.Direction, behind bytes: Int) {
                self.direction = direction
                left = Mutex((bytes, false))
            }

            var hasCut: Bool { left.withLock { $0.hasCut } }

            @Sendable func rule(_ message: Proxy.Message) -> Proxy.Action {
                guard message.isOfWorker, message.direction == direction else { return .pass }
                return left.withLock { left in
                    if left.hasCut { return .pass }
                    if left.bytes < message.size {
                        left.hasCut = true
                        return .cutAfter(left.bytes)
                    }
                    left.bytes -= message.size
                    return .pass
                }
            }
        }
    }
}
