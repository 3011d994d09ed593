import Foundation
import StockModel
import StockQueue
import StockQueueLocking
import StockQueuePostgres
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

        /// A worker's connection falls silent at each message of a batch: neither side is told, and nothing arrives any more. The
        /// server frees the lane within its timeouts, in the middle of a pipeline too, and another worker goes on.
        @Test func silenceAtEveryMessage() async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 23, stores: 1)
                var longest = 0
                var places: Set<String> = []
                var number = 0
                var misses = 0
                while misses < 10 {
                    var settings = Rig.quick()
                    settings.idleInTransactionTimeout = .milliseconds(100)
                    settings.callTimeout = .milliseconds(100)
                    let silenced = Mutex<(left: Int, hit: Proxy.Message?)>((number, nil))
                    let pool = rig.start(settings)
                    try rig.enqueueRound(8)
                    #expect(try rig.isWorkedOff())
                    rig.proxy.setRule { message in
                        guard message.isOfWorker, message.direction == .toServer else { return .pass }
                        return silenced.withLock { state in
                            if state.hit != nil { return .pass }
                            state.left -= 1
                            if state.left >= 0 { return .pass }
                            state.hit = message
                            return .silence
                        }
                    }
                    try rig.enqueueRound(8)
                    let start = Stopwatch()
                    #expect(try rig.isWorkedOff(), "silent at message \(number)")
                    longest = max(longest, start.milliseconds)
                    rig.proxy.passAll()
                    try pool.stop()
                    if let hit = silenced.withLock({ $0.hit }) { places.insert("\(hit.type) \(hit.statement)") }
                    // Rounds differ in length; beyond the longest there is nothing more to silence.
                    misses = silenced.withLock { $0.hit != nil } ? 0 : misses + 1
                    number += Faults.isFull ? 1 : 5
                }
                Faults.report("silent at \(number) messages, \(places.count) of them different, longest \(longest) ms")
                // Which statements a batch needs differs from round to round.
                #expect(places.count >= (Faults.isFull ? 20 : 5))
                try rig.expectSound()
            }
        }

        /// The same with the settings that users have, between two statements of one pipeline, where no timeout of the server
        /// runs.
        @Test func silenceInMidPipelineIsNoticedWithinTenSeconds() async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 29, stores: 1)
                try database.run(
                    "INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('store-0', 'sold', 100)")
                let sell = "INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('store-0', 'sold', -1)"
                // One worker, which has its statements prepared by the first job: a Parse would start `statement_timeout`.
                var settings = WorkerSettings()
                settings.workers = 1
                let silent = rig.start(settings)
                try database.run(sell)
                #expect(try rig.isWorkedOff())
                let isSilent = Mutex(false)
                rig.proxy.setRule { message in
                    // The stock has been written, and the Bind behind it never comes.
                    guard message.isOfWorker, message.isOf("B"), message.statement == "write_results" else {
                        return .pass
                    }
                    isSilent.withLock { $0 = true }
                    return .silence
                }
                try database.run(sell)
                #expect(eventually { isSilent.withLock { $0 } })
                let start = Stopwatch()
                let other = RunningPool(database.settings, database.schema, WorkerSettings())
                #expect(try rig.isWorkedOff(seconds: 20))
                let took = start.milliseconds
                Faults.report(
                    "silent in mid-pipeline with the default settings: the lane was worked off after \(took) ms")
                #expect(took < 10_000)
                rig.proxy.passAll()
                rig.proxy.close()
                try silent.stop()
                try other.stop()
                try rig.expectSound()
            }
        }

        /// A pooler that loses an answer would give each statement that of the one behind it: the worker leaves the connection.
        @Test(.enabled(if: !Faults.isSanitized, "libpq forgets a result whose end was lost, which is a leak"))
        func lostAnswers() async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 29, stores: 1)
                let pool = rig.start()
                try rig.enqueueRound()
                #expect(try rig.isWorkedOff())
                for behind in 0..<5 {
                    let left = Mutex(behind)
                    rig.proxy.setRule { message in
                        guard message.isOfWorker, message.direction == .toClient, message.isOf("C") else {
                            return .pass
                        }
                        return left.withLock { left in
                            left -= 1
                            return left == -1 ? .lose : .pass
                        }
                    }
                    try rig.enqueueRound()
                    #expect(eventually { left.withLock { $0 < 0 } })
                    #expect(try rig.isWorkedOff())
                }
                rig.proxy.passAll()
                try pool.stop()
                let violations = pool.events.all.count {
                    $0.disconnection?.kind == .protocolViolation
                }
                #expect(violations > 0)
                try rig.expectSound(order: .none)
            }
        }

        /// A slow way, byte by byte or with delays, is slow and nothing else.
        @Test func slowWays() async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 31, stores: 1)
                let pool = rig.start()
                try rig.enqueueRound()
                #expect(try rig.isWorkedOff())
                for action in [Proxy.StockAction.delay(milliseconds: 5), .drip] {
                    rig.proxy.setRule { $0.isOfWorker ? action : .pass }
                    try rig.enqueueRound(4)
                    #expect(try rig.isWorkedOff(seconds: 60))
                }
                rig.proxy.passAll()
                try pool.stop()
                #expect(!pool.events.all.contains { if case .disconnected = $0 { true } else { false } })
                try rig.expectSound()
            }
        }

        /// A server that is not there is asked again and again with pauses; once it is, work goes on within a second.
        @Test func refusedConnections() async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 37)
                let pool = rig.start(WorkerSettings())
                try rig.enqueueRound()
                #expect(try rig.isWorkedOff())
                rig.proxy.refuse(true)
                rig.proxy.cutAll()
                try rig.enqueueRound()
                func blockers() -> Int {
                    pool.events.all.count {
                        $0.disconnection?.kind == .cannotConnect
                    }
                }
                #expect(eventually { blockers() > 20 })
                rig.proxy.refuse(false)
                let start = Stopwatch()
                #expect(try rig.isWorkedOff())
                let took = start.milliseconds
                Faults.report("refused for a while: worked off \(took) ms after the server was there")
                #expect(took < 1_000)
                try pool.stop()
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

            @Sendable func rule(_ message: Proxy.Message) -> Proxy.StockAction {
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
