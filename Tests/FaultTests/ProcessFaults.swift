import Foundation
import StockModel
import StockQueue
import StockQueueLocking
import StockQueuePostgres
import TestSupport
import Testing

extension Faults {
    /// What can happen to a worker's process: killed or frozen at any step, told to stop in any state, started with little.
    @Suite(.serialized) struct Process {
        // MARK: killed

        /// Kills a worker at each message of its connection, from the first to the last of a drain: those to the server once
        /// before and once after they have arrived, COMMIT and its answer among them.
        @Test func killedAtEveryStep() async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 5, stores: 1)
                var kills = 0
                var places: Set<String> = []
                for arrives in [true, false] {
                    var number = 0
                    while true {
                        // Until a round is done it is the next one's too; more jobs would be more messages, without end.
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
                        places.insert("\(message.direction) \(message.type) \(message.statement)")
                        number += Faults.isFull ? 1 : 7
                    }
                }
                rig.proxy.passAll()
                Faults.report("killed a worker at \(kills) steps, \(places.count) of them different")
                #expect(kills > (Faults.isFull ? 150 : 15))
                try rig.expectSound()
            }
        }

        private static let drainArguments = ["run", "--drain", "--workers", "1", "--set", "checkInterval=0ms"]

        /// How long nobody works a lane whose worker was killed while it held it.
        @Test func anotherGoesOnWithinASecond() async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 7, stores: 1)
                let direct = RunningPool(database.settings, database.schema, WorkerSettings())
                var times: [Int] = []
                for _ in 0..<(Faults.isFull ? 220 : 15) {
                    let killedAt = Mutex(Stopwatch())
                    // The round is enqueued past the one that is killed, so that it may be the other that gets it.
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
                    // Jobs of a round may all have to wait for stock; this one gets its result in any case.
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

        /// A worker's process is stopped in mid-transaction for longer than its timeouts: the server frees its lane, others go
        /// on, and once it runs again it has lost its session and writes nothing.
        @Test(arguments: ["claim", "count_up_to", "write_results"])
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
                let other = RunningPool(database.settings, database.schema, Rig.quick())
                try rig.enqueueRound()
                #expect(try rig.isWorkedOff(seconds: 10))
                let took = stoppedAt.milliseconds
                Faults.report("frozen at \(statement), its lane was worked off after \(took) ms (timeout 400 ms)")
                // What it had begun before it was stopped; a result carries the time of its transaction's begin.
                let begunBefore =
                    "SELECT count(*) FROM stockq.results WHERE worker LIKE '%:\(frozen.processID)/%' AND finished_at < '\(stopped)'"
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

        // MARK: told to stop

        enum State: String, CaseIterable, Sendable {
            case waitingForTheDatabase, connecting, idle, working, hanging, reconnecting
        }

        /// SIGTERM and SIGINT end the program with 0 within 5 s in whatever state it is.
        @Test(arguments: State.allCases, [SIGTERM, SIGINT])
        func stopsInEveryState(state: State, signal: Int32) async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 13, stores: 4)
                if state == .waitingForTheDatabase { rig.proxy.refuse(true) }
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
                    // In the middle of a pipeline a session is active, and waits for its client all the same.
                    #expect(
                        try eventually {
                            try database.value(
                                """
                                SELECT count(*) > 0 FROM pg_stat_activity
                                WHERE datname = current_database() AND application_name LIKE 'stockq run worker%'
                                    AND wait_event = 'ClientRead' AND state <> 'idle' AND state_change < now() - interval '100 ms'
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
                // A batch that hangs has to be broken off, and that is told by the code.
                #expect(ended.code == (state == .hanging ? 1 : 0), "\(state): \(ended.err)")
                rig.proxy.passAll()
                rig.proxy.refuse(false)
                try rig.expectSound()
            }
        }

        // MARK: started with little

        /// A stream that is closed must not give its number to a connection, into which log lines would be written then.
        @Test(arguments: ["2>&-", ">&-", "<&- >&- 2>&-", "2>&1 | true"])
        func standardStreamsMayBeClosed(redirection: String) async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 17)
                try rig.enqueueRound(40)
                _ = try rig.program.runInShell("run --drain --json --log-level debug", redirection)
                #expect(try rig.isWorkedOff(seconds: 5))
                try rig.expectSound()
            }
        }

        /// The same while it works: a number below 3 is never a connection's or a pipe's, and never free for one.
        @Test(arguments: ["2>&-", ">&-", "<&- >&- 2>&-"])
        func noConnectionGetsAStreamsNumber(redirection: String) async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 17)
                let running = try rig.program.start(
                    ["-c", "exec \(Program.path) run \(redirection)"], executable: "/bin/sh")
                try rig.enqueueRound()
                #expect(try rig.isWorkedOff())
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

        /// With few files to open, the program refuses with a reason, or works.
        @Test func fewOpenFilesAreExplained() async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 19)
                for limit in [8, 16, 25, 26] {
                    try rig.enqueueRound(4)
                    let ended = try rig.program.runInShell("run --drain", "", before: "ulimit -n \(limit); exec ")
                    #expect(ended.code == (limit < 26 ? 1 : 0), "\(limit): \(ended.err)")
                    if limit < 26 { #expect(ended.err.contains("open files")) }
                }
                try rig.expectSound()
            }
        }
    }
}

/// Does something to a worker's process at one message of its connection, once.
final class Trap: Sendable {
    private struct State {
        var process: Int32 = 0
        var left: Int
        var hit: Proxy.Message?
    }

    private let state: Mutex<State>

    /// At the message of this number among the worker's, counted from 0.
    convenience init(
        _ proxy: Proxy, atMessage number: Int, of direction: Proxy.Direction?,
        _ act: @escaping @Sendable (_ process: Int32, Proxy.Message) -> Proxy.StockAction
    ) {
        self.init(proxy, number, { direction == nil || $0.direction == direction }, act)
    }

    /// When a statement is on its way to the server.
    convenience init(
        _ proxy: Proxy, on statement: String,
        _ act: @escaping @Sendable (_ process: Int32, Proxy.Message) -> Proxy.StockAction
    ) {
        self.init(proxy, 0, { $0.isOf("E") && $0.direction == .toServer && $0.statement == statement }, act)
    }

    private init(
        _ proxy: Proxy, _ number: Int, _ isMeant: @escaping @Sendable (Proxy.Message) -> Bool,
        _ act: @escaping @Sendable (_ process: Int32, Proxy.Message) -> Proxy.StockAction
    ) {
        state = Mutex(State(left: number))
        proxy.setRule { [self] message in
            guard message.isOfWorker, isMeant(message) else { return .pass }
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

    /// Whose connections these are; the program may be faster than its start.
    func set(process: Int32) { state.withLock { $0.process = process } }

    private func waitForProcess() -> Int32 {
        while true {
            let process = state.withLock { $0.process }
            if process != 0 { return process }
            pause(milliseconds: 1)
        }
    }
}
