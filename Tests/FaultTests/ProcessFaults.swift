import Foundation
import StockModel
import StockQueue
import StockQueueLocking
import StockQueuePostgres
import TestSupport
import Testing

extension Faults {
    @Suite("Processes: killed, frozen, stopped, short of files", .serialized) struct Process {
        // MARK: killed

        /// From the first message of a drain to the last: those to the server once before and once after their arrival,
        /// COMMIT and its answer included.
        @Test("a worker killed at any message of its connection loses nothing and does nothing twice")
        func killedAtEveryStep() async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 5, stores: 1)
                var kills = 0
                var messages: Set<String> = []
                for arrives in [true, false] {
                    var number = 0
                    while true {
                        // A round that is not finished stays for the next process; more jobs would mean more messages,
                        // without end.
                        if try database.value("SELECT count(*) FROM stockq.jobs WHERE waiting_since IS NULL") == "0" {
                            try rig.enqueueRound(3)
                        }
                        let trap = Trap(rig.proxy, atMessage: number, of: arrives ? nil : .toServer) { process, _ in
                            kill(process, SIGKILL)
                            return arrives ? .pass : .cut
                        }
                        let running = try rig.program.start(Self.drainArguments)
                        trap.set(process: running.processID)
                        let ended = try running.wait()
                        guard let message = trap.hit else {
                            #expect(ended.code == 0, "\(ended.err)")
                            break
                        }
                        kills += 1
                        messages.insert("\(message.direction) \(message.type) \(message.statement)")
                        number += Faults.isFull ? 1 : 7
                    }
                }
                rig.proxy.passAll()
                Faults.report("killed a worker at \(kills) steps, \(messages.count) of them different")
                #expect(kills > (Faults.isFull ? 150 : 15))
                try rig.expectSound()
            }
        }

        private static let drainArguments = ["run", "--drain", "--workers", "1", "--set", "checkInterval=0ms"]

        @Test("another worker continues within a second when a worker that has locked the lane is killed")
        func nextWorkerWithinASecond() async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 7, stores: 1)
                let direct = WorkersUnderTest(database.settings, settings: WorkerSettings())
                var times: [Int] = []
                for _ in 0..<(Faults.isFull ? 220 : 15) {
                    let killedAt = Mutex(Stopwatch())
                    // Either of the two processes may claim the round.
                    let trap = Trap(rig.proxy, on: "write_results") { process, _ in
                        kill(process, SIGKILL)
                        killedAt.withLock { $0 = Stopwatch() }
                        return .pass
                    }
                    let running = try rig.program.start(["run", "--workers", "2"])
                    trap.set(process: running.processID)
                    while trap.hit == nil { try rig.enqueueRound(2) }
                    let connection = try database.connect()
                    let before = try database.rows("SELECT count(*) FROM stockq.results", connection)
                    // All jobs of a round may wait for stock; this job gets its result in any case.
                    try database.run(
                        "INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('store-0', 'item-1', 1)")
                    #expect(
                        try eventually {
                            try database.rows("SELECT count(*) FROM stockq.results", connection) != before
                        })
                    times.append(killedAt.withLock { $0 }.milliseconds)
                    _ = try running.wait()
                }
                try direct.stop()
                times.sort()
                let p99 = times[times.count * 99 / 100]
                Faults.report(
                    "next result after a kill, \(times.count) kills: median \(times[times.count / 2]) ms, p99 \(p99) ms"
                )
                #expect(p99 <= 1_000)
                try rig.expectSound()
            }
        }

        // MARK: frozen

        /// The process is stopped during a transaction for longer than its timeouts. The server releases its lane, and
        /// other workers continue. When it runs again, it has lost its session.
        @Test("a frozen worker writes nothing when it continues", arguments: ["claim", "lock_items", "write_results"])
        func frozenWorkerWritesNothing(statement: String) async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 11, stores: 1)
                let trap = Trap(rig.proxy, on: statement) { process, _ in
                    kill(process, SIGSTOP)
                    return .pass
                }
                let frozen = try rig.program.start(
                    ["run", "--workers", "1", "--set", "idleInTransactionTimeout=400ms", "--set", "checkInterval=0ms"])
                trap.set(process: frozen.processID)
                while trap.hit == nil { try rig.enqueueRound(2) }
                let stoppedAt = Stopwatch()
                let stopped = try database.value("SELECT clock_timestamp()::text")
                let other = WorkersUnderTest(database.settings, settings: Rig.quick())
                try rig.enqueueRound()
                #expect(try rig.jobsFinish(seconds: 10))
                let took = stoppedAt.milliseconds
                Faults.report(
                    "frozen at \(statement), the jobs of its lane were finished after \(took) ms (timeout 400 ms)")
                // Results of transactions that began before the process was stopped: finished_at is when a transaction
                // began.
                let begunBefore =
                    """
                    SELECT count(*) FROM stockq.results
                    WHERE worker LIKE '%:\(frozen.processID)/%' AND finished_at < '\(stopped)'
                    """
                let written = try database.value(begunBefore)
                frozen.send(SIGCONT)
                #expect(eventually { frozen.errorText.contains("event=disconnected") })
                #expect(try database.value(begunBefore) == written)
                frozen.send(SIGTERM)
                #expect(try frozen.wait().code == 0)
                try other.stop()
                try rig.expectSound()
            }
        }

        // MARK: stopped

        enum State: String, CaseIterable, Sendable {
            case waitingForTheDatabase, connecting, idle, working, hanging, reconnecting
        }

        @Test(
            "SIGTERM and SIGINT end the program within 5 s, whatever its state", arguments: State.allCases,
            [SIGTERM, SIGINT])
        func stopsInEveryState(state: State, signal: Int32) async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 13, stores: 4)
                if state == .waitingForTheDatabase { rig.proxy.rejectConnections(true) }
                if state == .connecting { rig.proxy.setRule { _ in .silence } }
                if state == .hanging {
                    rig.proxy.setRule { $0.isOfWorker && $0.statement == "write_results" ? .silence : .pass }
                }
                if state == .working || state == .hanging || state == .reconnecting { try rig.enqueueRound(200) }
                let running = try rig.program.start(["run", "--batch-max", "2", "--set", "stopTimeout=3000ms"])
                switch state {
                case .waitingForTheDatabase: #expect(eventually { running.errorText.contains("waiting_for_database") })
                case .connecting: pause(milliseconds: 300)
                case .idle: #expect(eventually { running.errorText.contains("event=started") })
                case .working:
                    #expect(try eventually { try database.value("SELECT count(*) > 20 FROM stockq.results") == "t" })
                case .hanging:
                    // In the middle of a pipeline a session is active although it waits for its client.
                    #expect(
                        try eventually {
                            try database.value(
                                """
                                SELECT count(*) > 0 FROM pg_stat_activity
                                WHERE datname = current_database() AND application_name LIKE 'stockq run worker%'
                                    AND wait_event = 'ClientRead' AND state <> 'idle'
                                    AND state_change < now() - interval '100 ms'
                                """) == "t"
                        })
                case .reconnecting:
                    #expect(eventually { running.errorText.contains("event=started") })
                    rig.proxy.setRule { _ in .silence }
                    rig.proxy.cutAll()
                    #expect(eventually { running.errorText.contains("event=disconnected") })
                }
                let deadline = Deadline.after(milliseconds: 5_000)
                running.send(signal)
                let ended = try running.wait()
                #expect(!deadline.hasPassed, "\(state)")
                // The program cancels a batch that hangs, and reports that by its exit code.
                #expect(ended.code == (state == .hanging ? 1 : 0), "\(state): \(ended.err)")
                rig.proxy.passAll()
                rig.proxy.rejectConnections(false)
                try rig.expectSound()
            }
        }

        // MARK: file descriptors

        /// A connection must not get the number of a closed stream: log lines would be written to it.
        @Test(
            "the program works with closed standard streams", arguments: ["2>&-", ">&-", "<&- >&- 2>&-", "2>&1 | true"])
        func closedStreams(redirection: String) async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 17)
                try rig.enqueueRound(40)
                _ = try rig.program.runInShell("run --drain --json --log-level debug", redirection)
                #expect(try rig.jobsFinish(seconds: 5, ofShops: true))
                try rig.expectSound()
            }
        }

        /// The numbers 0, 1 and 2 are never those of a connection or a pipe, and never free.
        @Test("no connection gets the number of a standard stream", arguments: ["2>&-", ">&-", "<&- >&- 2>&-"])
        func streamNumbers(redirection: String) async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 17)
                let running = try rig.program.start(
                    ["-c", "exec \(Program.path) run \(redirection)"], executable: "/bin/sh")
                try rig.enqueueRound()
                #expect(try rig.jobsFinish())
                for number in STDIN_FILENO...STDERR_FILENO {
                    let file = try? FileManager.default.destinationOfSymbolicLink(
                        atPath: "/proc/\(running.processID)/fd/\(number)")
                    #expect(file?.hasPrefix("/") == true, "\(number): \(file ?? "free")")
                }
                running.send(SIGTERM)
                #expect(try running.wait().code == 0)
                try rig.expectSound()
            }
        }

        @Test("with a low limit of open files the program says so, or works") func fewOpenFiles() async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 19)
                for limit in [8, 16, 25, 26] {
                    try rig.enqueueRound(4)
                    let ended = try rig.program.runInShell("run --drain", "", before: "ulimit -n \(limit); exec ")
                    #expect(ended.code == (limit < 26 ? 1 : 0), "\(limit): \(ended.err)")
                    if limit < 26 { #expect(ended.err.contains("need 26 open files")) }
                }
                try rig.expectSound()
            }
        }
    }
}

/// Acts on a process at one message of its connections, once.
final class Trap: Sendable {
    private struct State {
        var process: Int32 = 0
        var left: Int
        var hit: Proxy.Message?
    }

    private let state: Mutex<State>

    /// Acts at the worker's message with this number, counted from 0.
    convenience init(
        _ proxy: Proxy, atMessage number: Int, of direction: Proxy.Direction?,
        _ act: @escaping @Sendable (_ process: Int32, Proxy.Message) -> Proxy.Effect
    ) {
        self.init(proxy, number, { $0.isOfWorker && (direction == nil || $0.direction == direction) }, act)
    }

    /// Acts at the message with this number, counted from 0, of those that carry a gateway's call this way.
    convenience init(
        _ proxy: Proxy, atMessage number: Int, of way: GatewayUnderTest.Way, _ direction: Proxy.Direction?,
        _ act: @escaping @Sendable (_ process: Int32, Proxy.Message) -> Proxy.Effect
    ) {
        self.init(proxy, number, { way.carries($0) && (direction == nil || $0.direction == direction) }, act)
    }

    /// Acts at the deliverer's message with this number, counted from 0.
    convenience init(
        _ proxy: Proxy, atDelivererMessage number: Int, of direction: Proxy.Direction?,
        _ act: @escaping @Sendable (_ process: Int32, Proxy.Message) -> Proxy.Effect
    ) {
        self.init(proxy, number, { $0.isOfDeliverer && (direction == nil || $0.direction == direction) }, act)
    }

    /// Acts when the worker sends the statement.
    convenience init(
        _ proxy: Proxy, on statement: String,
        _ act: @escaping @Sendable (_ process: Int32, Proxy.Message) -> Proxy.Effect
    ) {
        self.init(
            proxy, 0,
            { $0.isOfWorker && $0.isOf("E") && $0.direction == .toServer && $0.statement == statement }, act)
    }

    private init(
        _ proxy: Proxy, _ number: Int, _ isMeant: @escaping @Sendable (Proxy.Message) -> Bool,
        _ act: @escaping @Sendable (_ process: Int32, Proxy.Message) -> Proxy.Effect
    ) {
        state = Mutex(State(left: number))
        proxy.setRule { [self] message in
            guard isMeant(message) else { return .pass }
            let isNow = state.withLock { state in
                if state.hit != nil { return false }
                state.left -= 1
                if state.left >= 0 { return false }
                state.hit = message
                return true
            }
            return isNow ? act(waitForProcess(), message) : .pass
        }
    }

    var hit: Proxy.Message? { state.withLock { $0.hit } }

    /// Sets the process of the connections; a message may arrive before this call.
    func set(process: Int32) { state.withLock { $0.process = process } }

    private func waitForProcess() -> Int32 {
        while true {
            let process = state.withLock { $0.process }
            if process != 0 { return process }
            pause(milliseconds: 1)
        }
    }
}
