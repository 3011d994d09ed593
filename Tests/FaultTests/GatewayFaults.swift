import Foundation
import StockQueue
import StockQueueLocking
import TestSupport
import Testing

extension Faults {
    @Suite("The gateway: cut, killed, frozen at every step of a request", .serialized) struct Gateway {
        /// A gateway whose database connections go through the rig's proxy.
        private static func start(
            _ rig: Rig, _ way: GatewayUnderTest.Way, _ arguments: [String] = ["--workers", "1", "--deadline", "2s"]
        ) throws -> GatewayUnderTest {
            let gateway = try GatewayUnderTest(rig.database, rig.program, arguments + way.arguments)
            try gateway.start()
            #expect(gateway.callOnce() == 200)
            return gateway
        }

        /// A gateway that sends a statement. It asks for results only where workers of another process decide the jobs.
        ///
        /// - Returns: those workers too.
        private static func start(
            _ rig: Rig, reaching point: String
        ) throws -> (GatewayUnderTest, WorkersUnderTest?) {
            if point != "gateway_results" { return (try start(rig, way(reaching: point)), nil) }
            let workers = rig.startDirectWorkers()
            return (try start(rig, .queued, ["--workers", "0", "--deadline", "2s"]), workers)
        }

        /// The statements that only a batch with immediate jobs sends.
        private static let statementsAtOnce = ["read_immediate_access", "draw_job_ids", "write_immediate_results"]

        private static func way(reaching point: String) -> GatewayUnderTest.Way {
            statementsAtOnce.contains(point) || point.hasPrefix("worker's") ? .atOnce : .queued
        }

        /// Points of a sweep: all, or some of them.
        private static let step = Faults.isFull ? 1 : 7

        /// - Parameter workers: of another process than the gateway's.
        private static func finish(
            _ gateway: GatewayUnderTest, _ rig: Rig, _ what: String, _ workers: WorkersUnderTest? = nil
        ) throws {
            rig.proxy.passAll()
            let wrong = try gateway.wrongAnswers()
            #expect(wrong == [])
            if !gateway.hasEnded { #expect(try gateway.stop()?.code == 0) }
            let plain = gateway.answers.plain
            Faults.report(
                "\(what): \(plain.applied) calls applied, \(plain.refused) refused, \(plain.lost) not answered")
            // The check counts the sessions that remain.
            try workers?.stop()
            try rig.expectSound()
        }

        // MARK: connections of the gateway

        @Test(
            "a gateway's connection cut at any message of a call makes no answer wrong",
            arguments: [Proxy.Direction.toServer, .toClient], GatewayUnderTest.Way.allCases)
        func cutAtEveryStep(direction: Proxy.Direction, way: GatewayUnderTest.Way) async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 61, stores: 1)
                let gateway = try Self.start(rig, way)
                var (number, misses, cuts) = (0, 0, 0)
                while misses < 3 {
                    let trap = Trap(rig.proxy, atMessage: number, of: way, direction) { _, _ in .cut }
                    trap.set(process: try #require(gateway.processID))
                    #expect(gateway.callOnce() != nil, "cut at message \(number)")
                    rig.proxy.passAll()
                    misses = trap.hit == nil ? misses + 1 : 0
                    cuts += trap.hit == nil ? 0 : 1
                    number += Self.step
                    // The next connection prepares its statements.
                    #expect(eventually { gateway.callOnce() == 200 })
                }
                #expect(cuts > (Faults.isFull ? 10 : 1))
                try Self.finish(gateway, rig, "a gateway's connection cut at \(cuts) messages, \(direction), \(way)")
            }
        }

        @Test(
            "a connection that falls silent at a statement of the gateway delays calls and makes no answer wrong",
            arguments: ["gateway_enqueue", "COMMIT", "gateway_results"])
        func silence(statement: String) async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 63, stores: 1)
                let (gateway, workers) = try Self.start(rig, reaching: statement)
                let isSilent = Mutex(false)
                rig.proxy.setRule { message in
                    guard message.isOfGateway, message.direction == .toClient || message.isOf("E") else { return .pass }
                    let isMeant = statement == "COMMIT" ? message.tag == "COMMIT" : message.statement == statement
                    guard isMeant else { return .pass }
                    return isSilent.withLock { isSilent in
                        defer { isSilent = true }
                        return isSilent ? .pass : .silence
                    }
                }
                // The gateway gives a server up that answers nothing for 10 s.
                #expect(gateway.callOnce() != nil)
                #expect(isSilent.withLock { $0 })
                try Self.finish(gateway, rig, "silent at \(statement)", workers)
            }
        }

        // MARK: its process

        /// The one window that HTTP leaves open: the call may have been applied, and its client does not know.
        @Test(
            "a gateway killed at any message of a call: with a key the repeated call is applied exactly once",
            arguments: GatewayUnderTest.Way.allCases)
        func killedAtEveryStep(way: GatewayUnderTest.Way) async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 67, stores: 1)
                let gateway = try Self.start(rig, way)
                var (kills, applied) = (0, 0)
                for arrives in [true, false] {
                    var number = 0
                    while true {
                        let trap = Trap(rig.proxy, atMessage: number, of: way, arrives ? nil : .toServer) {
                            process, _ in
                            kill(process, SIGKILL)
                            return arrives ? .pass : .cut
                        }
                        trap.set(process: try #require(gateway.processID))
                        let before = try gateway.onHand(GatewayUnderTest.plainItem)
                        let status = gateway.callOnce()
                        rig.proxy.passAll()
                        if trap.hit == nil { break }
                        kills += 1
                        _ = try gateway.wait()
                        try gateway.start()
                        #expect(try gateway.wrongAnswers() == [])
                        if status == nil { applied += try gateway.onHand(GatewayUnderTest.plainItem) - before }
                        number += Self.step
                    }
                }
                Faults.report("killed a gateway at \(kills) steps, \(applied) of the calls were applied all the same")
                #expect(kills > (Faults.isFull ? 20 : 3))
                try Self.finish(gateway, rig, "a gateway killed")
            }
        }

        @Test("the call with a key of a gateway that is killed is repeated and applied exactly once")
        func killedWithKey() async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 69, stores: 1)
                let gateway = try Self.start(rig, .queued)
                var (number, kills) = (0, 0)
                while true {
                    let trap = Trap(rig.proxy, atMessage: number, of: .queued, nil) { process, _ in
                        kill(process, SIGKILL)
                        return .pass
                    }
                    trap.set(process: try #require(gateway.processID))
                    let isApplied = Mutex(false)
                    let caller = Background {
                        guard gateway.callUntilApplied() else { throw GatewayUnderTest.Failure("not applied") }
                        isApplied.withLock { $0 = true }
                    }
                    #expect(eventually(seconds: 60) { trap.hit != nil || isApplied.withLock { $0 } })
                    let isHit = trap.hit != nil
                    rig.proxy.passAll()
                    if isHit {
                        _ = try gateway.wait()
                        try gateway.start()
                        kills += 1
                    }
                    try caller.wait()
                    if !isHit { break }
                    number += Self.step
                }
                #expect(kills > (Faults.isFull ? 10 : 1))
                #expect(gateway.answers.keyed.lost == 0)
                try Self.finish(gateway, rig, "a gateway killed, calls with keys")
            }
        }

        @Test(
            "a gateway that is frozen beyond its deadline at any message answers truly when it continues",
            arguments: GatewayUnderTest.Way.allCases)
        func frozenAtEveryStep(way: GatewayUnderTest.Way) async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 71, stores: 1)
                let gateway = try Self.start(rig, way, ["--workers", "1", "--deadline", "200ms"])
                var (number, freezes, misses) = (0, 0, 0)
                while misses < 2 {
                    let trap = Trap(rig.proxy, atMessage: number, of: way, .toServer) { process, _ in
                        kill(process, SIGSTOP)
                        let thread = Thread {
                            pause(milliseconds: 400)
                            kill(process, SIGCONT)
                        }
                        thread.start()
                        return .pass
                    }
                    trap.set(process: try #require(gateway.processID))
                    #expect(gateway.callOnce() != nil, "frozen at message \(number)")
                    rig.proxy.passAll()
                    misses = trap.hit == nil ? misses + 1 : 0
                    freezes += trap.hit == nil ? 0 : 1
                    number += Self.step
                }
                #expect(freezes > 0)
                try Self.finish(gateway, rig, "a gateway frozen at \(freezes) messages")
            }
        }

        // MARK: the others

        @Test("a worker killed at any message of its batch makes no answer of the gateway wrong")
        func workerKilled() async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 73, stores: 1)
                let gateway = try GatewayUnderTest(
                    database, Program(database), ["--workers", "0", "--deadline", "10s"])
                try gateway.start()
                var (number, kills) = (0, 0)
                while true {
                    let trap = Trap(rig.proxy, atMessage: number, of: nil) { process, _ in
                        kill(process, SIGKILL)
                        return .pass
                    }
                    let worker = try rig.program.start(["run", "--workers", "1", "--set", "checkInterval=0ms"])
                    trap.set(process: worker.processID)
                    let isAnswered = Mutex(false)
                    let caller = Background {
                        gateway.callOnce()
                        isAnswered.withLock { $0 = true }
                    }
                    #expect(eventually { trap.hit != nil || isAnswered.withLock { $0 } })
                    let isHit = trap.hit != nil
                    // Another worker takes over.
                    let rest = rig.startDirectWorkers()
                    try caller.wait()
                    try rest.stop()
                    rig.proxy.passAll()
                    worker.send(SIGKILL)
                    _ = try worker.wait()
                    if !isHit { break }
                    kills += 1
                    number += Self.step
                }
                #expect(gateway.answers.plain.lost == 0)
                #expect(try gateway.wrongAnswers() == [])
                #expect(kills > 3)
                try Self.finish(gateway, rig, "a worker killed at \(kills) messages")
            }
        }

        @Test(
            "a server that crashes at a statement of the gateway makes no answer wrong",
            arguments: [
                "gateway_enqueue", "COMMIT sent", "COMMIT answered", "gateway_results", "worker's COMMIT sent",
                "worker's COMMIT answered",
            ] + statementsAtOnce)
        func serverKilled(point: String) async throws {
            try await onThread {
                let cluster = try Faults.Server.cluster()
                defer { cluster.stop() }
                let rig = try Rig(TestDatabase(on: cluster), seed: 79, stores: 1)
                let (gateway, workers) = try Self.start(rig, reaching: point)
                for _ in 0..<(Faults.isFull ? 10 : 2) {
                    let isDown = Mutex(false)
                    let enqueues = Mutex(false)
                    rig.proxy.setRule { message in
                        guard Self.way(reaching: point).carries(message) else { return .pass }
                        let isSent = message.direction == .toServer && message.isOf("E")
                        if isSent, message.statement == "gateway_enqueue" { enqueues.withLock { $0 = true } }
                        let isMeant =
                            switch point {
                            case "COMMIT answered", "worker's COMMIT answered": message.tag == "COMMIT"
                            case "worker's COMMIT sent": isSent && message.statement == "commit"
                            case "COMMIT sent":
                                message.direction == .toServer && message.statement.isEmpty == false
                                    && message.isOf("E") && message.statement != "gateway_enqueue"
                                    && enqueues.withLock { $0 }
                            default: isSent && message.statement == point
                            }
                        guard isMeant,
                            isDown.withLock({ isDown in
                                defer { isDown = true }
                                return !isDown
                            })
                        else { return .pass }
                        do { try cluster.shutDown(.immediate) } catch { Issue.record(error) }
                        return .pass
                    }
                    let caller = Background { gateway.callOnce() }
                    #expect(eventually { isDown.withLock { $0 } }, "\(point)")
                    rig.proxy.passAll()
                    try cluster.startAgain()
                    try caller.wait()
                    #expect(eventually(seconds: 60) { gateway.callOnce() == 200 })
                }
                try Self.finish(gateway, rig, "a server crashed at \(point)", workers)
            }
        }

        @Test("a client that leaves after any byte of its request: before the last one nothing is applied")
        func clientCut() async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 83, stores: 1)
                let gateway = try Self.start(rig, .atOnce)
                let request = gateway.request(GatewayUnderTest.keyedItem)
                let length = request.utf8.count
                for bytes in stride(from: 0, to: length, by: Faults.isFull ? 1 : 17) {
                    let client = try gateway.client()
                    client.send(String(decoding: request.utf8.prefix(bytes), as: UTF8.self))
                    if bytes % 2 == 0 { client.reset() } else { client.finishSending() }
                }
                #expect(gateway.callOnce() == 200)
                #expect(try gateway.wrongAnswers() == [], "a request that was not complete was applied")
                let complete = 20
                for _ in 0..<complete {
                    let client = try gateway.client()
                    client.send(request)
                    client.reset()
                }
                #expect(gateway.callOnce() == 200)
                let jobs = "SELECT count(*) FROM stockq.jobs"
                #expect(try eventually { try database.value(jobs) == "0" })
                #expect((0...complete).contains(try gateway.onHand(GatewayUnderTest.keyedItem)))
                #expect(try gateway.stop()?.code == 0)
                try rig.expectSound()
            }
        }
    }
}

extension Proxy.Message {
    /// A connection of the gateway itself, not of its workers.
    var isOfGateway: Bool { application == "stockq serve" }
}
