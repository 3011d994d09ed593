import Foundation
import StockModel
import StockQueue
import StockQueueLocking
import StockQueuePostgres
import TestSupport
import Testing

extension Faults {
    @Suite("The connection: cut, slow, silent, rejected", .serialized) struct Wire {
        /// The connection has run a batch before, so its statements are prepared, and the bytes are those of one batch.
        @Test(
            "a connection cut after any byte of a batch loses nothing and does nothing twice",
            arguments: [Proxy.Direction.toServer, .toClient])
        func everyByteOfABatch(direction: Proxy.Direction) async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 3, stores: 1)
                let workers = rig.startWorkers()
                try rig.enqueueRound()
                #expect(try rig.jobsFinish())
                var position = 0
                var hits = 0
                var misses = 0
                while misses < 3 {
                    let cut = ByteCut(direction, after: position)
                    rig.proxy.setRule(cut.rule)
                    try rig.enqueueRound(3)
                    #expect(try rig.jobsFinish(), "cut after byte \(position)")
                    rig.proxy.passAll()
                    hits += cut.hasCut ? 1 : 0
                    // Rounds differ in length; after the longest there is no byte to cut at.
                    misses = cut.hasCut ? 0 : misses + 1
                    position += Faults.isFull ? 1 : 97
                    // A round without a fault, so that the next connection has prepared its statements.
                    if cut.hasCut {
                        try rig.enqueueRound(3)
                        #expect(try rig.jobsFinish())
                    }
                    if hits % 200 == 199 { #expect(try LedgerOracle(database).violationsNow() == []) }
                }
                try workers.stop()
                Faults.report("cut after \(hits) bytes of a batch, \(direction), the last \(position)")
                #expect(hits > (Faults.isFull ? 1_000 : 10))
                try rig.expectSound()
            }
        }

        /// Nothing arrives any more, and neither side notices. The server releases the lane within its timeouts, also
        /// in the middle of a pipeline, and another worker continues.
        @Test("a connection that falls silent at any message of a batch does not stop its lane")
        func silenceAtEveryMessage() async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 23, stores: 1)
                var longest = 0
                var messages: Set<String> = []
                var number = 0
                var misses = 0
                while misses < 10 {
                    var settings = Rig.quick()
                    settings.idleInTransactionTimeout = .milliseconds(100)
                    settings.callTimeout = .milliseconds(100)
                    let silenced = Mutex<(left: Int, hit: Proxy.Message?)>((number, nil))
                    let workers = rig.startWorkers(settings)
                    try rig.enqueueRound(8)
                    #expect(try rig.jobsFinish())
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
                    #expect(try rig.jobsFinish(), "silent at message \(number)")
                    longest = max(longest, start.milliseconds)
                    rig.proxy.passAll()
                    try workers.stop()
                    if let hit = silenced.withLock({ $0.hit }) { messages.insert("\(hit.type) \(hit.statement)") }
                    // Rounds differ in length; after the longest there is no message to silence.
                    misses = silenced.withLock { $0.hit != nil } ? 0 : misses + 1
                    number += Faults.isFull ? 1 : 5
                }
                Faults.report(
                    "silent at \(number) messages, \(messages.count) of them different, longest \(longest) ms")
                // Rounds need different statements.
                #expect(messages.count >= (Faults.isFull ? 20 : 5))
                try rig.expectSound()
            }
        }

        /// Between two statements of a pipeline no timeout of the server runs.
        @Test("silence in the middle of a pipeline stops a lane for at most 10 s with the default settings")
        func silenceInMidPipeline() async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 29, stores: 1)
                try database.run(
                    "INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('store-0', 'sold', 100)")
                let sell = "INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('store-0', 'sold', -1)"
                // The first job prepares the statements of the one worker: a Parse would start `statement_timeout`.
                var settings = WorkerSettings()
                settings.workers = 1
                let silent = rig.startWorkers(settings)
                try database.run(sell)
                #expect(try rig.jobsFinish())
                let isSilent = Mutex(false)
                rig.proxy.setRule { message in
                    // The items are written, and the next Bind never arrives.
                    guard message.isOfWorker, message.isOf("B"), message.statement == "write_results" else {
                        return .pass
                    }
                    isSilent.withLock { $0 = true }
                    return .silence
                }
                try database.run(sell)
                #expect(eventually { isSilent.withLock { $0 } })
                let start = Stopwatch()
                let other = WorkersUnderTest(database.settings, settings: WorkerSettings())
                #expect(try rig.jobsFinish(seconds: 20))
                let took = start.milliseconds
                Faults.report(
                    "silent in mid-pipeline with the default settings: the jobs of the lane were finished after \(took) ms"
                )
                #expect(took < 10_000)
                rig.proxy.passAll()
                rig.proxy.close()
                try silent.stop()
                try other.stop()
                try rig.expectSound()
            }
        }

        /// With a pooler that loses an answer, each statement would get the answer to the next one.
        @Test(
            "a worker closes a connection on which an answer was lost",
            .enabled(if: !Faults.isSanitized, "libpq does not free a result whose end was lost, which is a leak"))
        func lostAnswers() async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 29, stores: 1)
                let workers = rig.startWorkers()
                try rig.enqueueRound()
                #expect(try rig.jobsFinish())
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
                    #expect(try rig.jobsFinish())
                }
                rig.proxy.passAll()
                try workers.stop()
                let violations = workers.events.all.count {
                    $0.disconnection?.kind == .protocolViolation
                }
                #expect(violations > 0)
                try rig.expectSound(order: .none)
            }
        }

        @Test("a slow connection, byte by byte or with delays, loses no session") func slowConnections() async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 31, stores: 1)
                let workers = rig.startWorkers()
                try rig.enqueueRound()
                #expect(try rig.jobsFinish())
                for action in [Proxy.Effect.delay(milliseconds: 5), .drip] {
                    rig.proxy.setRule { $0.isOfWorker ? action : .pass }
                    try rig.enqueueRound(4)
                    #expect(try rig.jobsFinish(seconds: 60))
                }
                rig.proxy.passAll()
                try workers.stop()
                #expect(!workers.events.all.contains { if case .disconnected = $0 { true } else { false } })
                try rig.expectSound()
            }
        }

        @Test("workers continue within a second after connections are accepted again") func rejectedConnections()
            async throws
        {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 37)
                let workers = rig.startWorkers(WorkerSettings())
                try rig.enqueueRound()
                #expect(try rig.jobsFinish())
                rig.proxy.rejectConnections(true)
                rig.proxy.cutAll()
                try rig.enqueueRound()
                func failedAttempts() -> Int {
                    workers.events.all.count {
                        $0.disconnection?.kind == .cannotConnect
                    }
                }
                #expect(eventually { failedAttempts() > 20 })
                rig.proxy.rejectConnections(false)
                let start = Stopwatch()
                #expect(try rig.jobsFinish())
                let took = start.milliseconds
                Faults.report(
                    "connections rejected for a while: jobs finished \(took) ms after they were accepted again")
                #expect(took < 1_000)
                try workers.stop()
                try rig.expectSound()
            }
        }

        /// Ends a worker's connection after a number of bytes in one direction, once.
        private final class ByteCut: Sendable {
            private let direction: Proxy.Direction
            private let left: Mutex<(bytes: Int, hasCut: Bool)>

            init(_ direction: Proxy.Direction, after bytes: Int) {
                self.direction = direction
                left = Mutex((bytes, false))
            }

            var hasCut: Bool { left.withLock { $0.hasCut } }

            @Sendable func rule(_ message: Proxy.Message) -> Proxy.Effect {
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
