import Foundation
import PrivateCluster
import StockQueue
import StockQueueLocking
import StockQueuePostgres
import TestSupport
import Testing

extension Faults {
    @Suite("Deliveries: deliverer, receiver and server", .serialized) struct Deliveries {
        // MARK: the deliverer

        /// From the first message of its connection on: those to the server once before and once after their arrival.
        @Test("a deliverer killed at any message of its connection loses nothing, and items stay in order")
        func killedAtEveryStep() async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 61, stores: 2)
                let deliveries = try DeliveriesUnderTest(database, rig.program)
                var kills = 0
                var messages: Set<String> = []
                for arrives in [true, false] {
                    for number in stride(from: 0, to: 80, by: Faults.isFull ? 1 : 7) {
                        try rig.enqueueRound(6)
                        try database.drain()
                        try Self.forgetClaims(database)
                        let trap = Trap(rig.proxy, atDelivererMessage: number, of: arrives ? nil : .toServer) {
                            kill($0, SIGKILL)
                            return $1.direction == .toClient || arrives ? .pass : .cut
                        }
                        trap.set(process: try deliveries.start().processID)
                        let ended = try #require(try deliveries.wait())
                        #expect(ended.code == -SIGKILL, "\(ended.err)")
                        let message = try #require(trap.hit)
                        kills += 1
                        messages.insert("\(message.direction) \(message.type) \(message.statement)")
                    }
                }
                rig.proxy.passAll()
                Faults.report("killed a deliverer at \(kills) steps, \(messages.count) of them different")
                // How many messages a statement takes varies, so a selection may miss one of them.
                let statements =
                    ["fan_out_deliveries", "claim_deliveries"] + (Faults.isFull ? ["finish_deliveries"] : [])
                for statement in statements {
                    #expect(messages.contains { $0.hasSuffix(" \(statement)") }, "\(statement)")
                }
                try deliveries.start()
                try Self.expectDelivered(deliveries)
                #expect(try deliveries.stop()?.code == 0)
                try rig.expectSound()
            }
        }

        /// The process that made them is dead, so their time need not pass.
        private static func forgetClaims(_ database: TestDatabase) throws {
            try database.run(
                "UPDATE stockq.deliveries SET next_attempt_at = now(), claim_id = NULL WHERE state = 'pending'")
        }

        private static func expectDelivered(_ deliveries: DeliveriesUnderTest) throws {
            let violations = try deliveries.violations()
            #expect(violations == [], "\(violations.prefix(20).joined(separator: "\n"))")
        }

        /// Its claims are over while it is stopped, and another deliverer sends what it had claimed. Then it goes on.
        @Test("a deliverer that is frozen beyond its claims and goes on changes no order")
        func frozen() async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 67, stores: 2)
                let deliveries = try DeliveriesUnderTest(database, rig.program)
                let other = try DeliveriesUnderTest.other(rig.program)
                let time = deliveries.timePassing()
                for _ in 0..<(Faults.isFull ? 20 : 2) {
                    try deliveries.receiver.becomes(.ok)
                    let count = deliveries.receiver.received.count
                    let frozen = try deliveries.start()
                    try rig.enqueueRound(60)
                    try database.drain()
                    #expect(eventually { deliveries.receiver.received.count > count })
                    frozen.send(SIGSTOP)
                    try rig.enqueueRound(60)
                    try database.drain()
                    // Longer than a claim.
                    #expect(
                        try eventually {
                            try database.value(
                                "SELECT count(*) FROM stockq.deliveries WHERE state = 'pending'") == "0"
                        })
                    frozen.send(SIGCONT)
                    #expect(try deliveries.stop()?.code == 0)
                }
                try time.stop()
                try Self.expectDelivered(deliveries)
                other.send(SIGTERM)
                #expect(try other.wait().code == 0)
                try rig.expectSound()
            }
        }

        // MARK: the receiver

        enum ReceiverFault: String, CaseIterable, Sendable {
            case killed, fails, cuts, leaves, silent
        }

        @Test(
            "each notification arrives in the order of its item when the receiver fails for a while",
            arguments: ReceiverFault.allCases)
        func receiver(fault: ReceiverFault) async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 71, stores: 2)
                let deliveries = try DeliveriesUnderTest(database, rig.program)
                let workers = rig.startDirectWorkers(DeliveriesUnderTest.change)
                let time = deliveries.timePassing()
                var failures = 0
                for _ in 0..<(Faults.isFull ? 20 : 3) {
                    let count = deliveries.receiver.received.count
                    try rig.enqueueRound(60)
                    #expect(eventually { deliveries.receiver.received.count > count })
                    switch fault {
                    case .killed: try deliveries.receiver.kill()
                    case .fails: try deliveries.receiver.becomes(.fails)
                    case .cuts: try deliveries.receiver.becomes(.cuts)
                    case .leaves: try deliveries.receiver.becomes(.leaves)
                    case .silent: try deliveries.receiver.becomes(.silent)
                    }
                    try rig.enqueueRound(60)
                    let failed = workers.failedDeliveries
                    #expect(eventually { workers.failedDeliveries > failed + 3 })
                    failures += workers.failedDeliveries - failed
                    if fault == .killed { try deliveries.receiver.startAgain() }
                    try deliveries.receiver.becomes(.ok)
                }
                try time.stop()
                try Self.expectDelivered(deliveries)
                try workers.stop()
                let received = deliveries.receiver.received
                let doubles = received.count - Set(received.map { $0.path + $0.id }).count
                Faults.report(
                    "receiver \(fault.rawValue): \(received.count) messages arrived, \(doubles) of them again, "
                        + "\(failures) attempts failed")
                try rig.expectSound()
            }
        }

        // MARK: the server

        @Test("each notification arrives in the order of its item when the server is stopped in each way")
        func restarts() async throws {
            try await onThread {
                let cluster = try Server.cluster()
                let database = try TestDatabase(on: cluster)
                let rig = try Rig(database, seed: 73, stores: 4)
                let deliveries = try DeliveriesUnderTest(database, Program(database))
                let workers = rig.startDirectWorkers { $0.deliver = false }
                let producer = RepeatingSession(rig.database) { _ in rig.shops.nextJobs(6) }
                let time = deliveries.timePassing()
                try deliveries.start()
                for round in 0..<(Faults.isFull ? 24 : 4) {
                    let count = deliveries.receiver.received.count
                    #expect(eventually { deliveries.receiver.received.count > count }, "deliveries continue")
                    if round % 4 == 3 {
                        let backend = try waitingForServer {
                            try database.value(
                                """
                                SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'stockq deliver%' LIMIT 1
                                """)
                        }
                        kill(try #require(Int32(backend)), SIGKILL)
                    } else {
                        try cluster.shutDown(PrivateCluster.Shutdown.allCases[round % 4])
                        try cluster.startAgain()
                    }
                }
                try producer.stop()
                #expect(try rig.jobsFinish())
                try time.stop()
                try Self.expectDelivered(deliveries)
                #expect(try deliveries.stop()?.code == 0)
                try workers.stop()
                try rig.expectSound(order: .none)
            }
        }
    }
}

extension DeliveriesUnderTest {
    /// A deliverer beside the one of a test.
    static func other(_ program: Program) throws -> Program.Running {
        try program.start(["deliver", "--log-level", "error"] + settings)
    }
}

extension WorkersUnderTest {
    /// How many attempts to deliver have failed so far.
    var failedDeliveries: Int {
        events.all.reduce(0) { count, event in
            if case .deliveriesEnded(let ended) = event { count + ended.failed } else { count }
        }
    }
}
