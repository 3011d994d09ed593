import Foundation
import StockQueuePostgres
import TestSupport
import Testing

extension Faults {
    /// The harness itself.
    @Suite("The test program", .serialized) struct TestProgram {
        enum Ending: String, CaseIterable, Sendable {
            case killed, terminated, failedAssertion, thrownError
        }

        @Test("a test program leaves no process and no server behind, whatever ends it", arguments: Ending.allCases)
        func leavesNothing(ending: Ending) async throws {
            try await onThread {
                let flag = NSTemporaryDirectory() + "stockq-victim-\(UUID().uuidString)"
                try Data().write(to: URL(fileURLWithPath: flag))
                defer { try? FileManager.default.removeItem(atPath: flag) }  // it is removed already
                var program = Program()
                program.environment = [
                    "STOCKQ_VICTIM": ending.rawValue, "STOCKQ_VICTIM_FLAG": flag, "SWIFT_BACKTRACE": "enable=no",
                ]
                let victim = try program.start(
                    ["--testing-library", "swift-testing", "--filter", "TestProgram/victim"],
                    executable: Self.executable)
                #expect(eventually(seconds: 60) { victim.errorText.contains(Self.ready) || victim.hasEnded })
                let folder = victim.errorText.components(separatedBy: Self.ready).last?
                    .split(separator: "\n").first.map(String.init)
                let children = ProcessEntry.descendants(of: victim.processID)
                // Three shells, three workers and the shell of one, PgBouncer, the server and its processes.
                #expect(children.count >= 12, "\(victim.errorText)")
                try FileManager.default.removeItem(atPath: flag)
                #expect(try victim.wait().code != 0)
                #expect(
                    eventually(seconds: 60) { !children.contains(where: \.isRunning) },
                    "\(children.filter(\.isRunning))")
                #expect(try !FileManager.default.fileExists(atPath: #require(folder)))
            }
        }

        @Test("a soak that a signal ends early says so in its summary") func interruptedSoak() async throws {
            try await onThread {
                var program = Program()
                program.environment = ["STOCKQ_SOAK_SECONDS": "60", "STOCKQ_SEED": "7"]
                let soak = try program.start(
                    ["--testing-library", "swift-testing", "--filter", "Soak/everythingAtOnce"],
                    executable: Self.executable)
                #expect(eventually(seconds: 60) { soak.errorText.contains("seed 7, 60 s") || soak.hasEnded })
                soak.send(SIGTERM)
                let ended = try soak.wait()
                #expect(ended.code == -SIGTERM)
                #expect(ended.err.contains("soak: seed 7, ENDED EARLY after "), "\(ended.err)")
                #expect(ended.err.contains(" s of 60 s, ") && ended.err.contains(": signal 15\n"), "\(ended.err)")
            }
        }

        /// This test program.
        private static let executable = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().path
        private static let ready = "the victim is ready in "
        private static let environment = ProcessInfo.processInfo.environment

        /// Ends its test program as the test above wishes, with everything running that a fault test may have, and a
        /// worker and a process of the server stopped.
        @Test(
            "the test program ends beside its children", .enabled(if: environment["STOCKQ_VICTIM"] != nil, "a helper"))
        func victim() async throws {
            let ending = try #require(Ending(rawValue: Self.environment["STOCKQ_VICTIM"] ?? ""))
            let flag = try #require(Self.environment["STOCKQ_VICTIM_FLAG"])
            try await onThread {
                let cluster = try Faults.Server.cluster()
                let database = try TestDatabase(on: cluster)
                let rig = try Rig(database)
                let arguments = ["run", "--workers", "1", "--log-level", "error"]
                let workers = try (1...2).map { _ in try rig.program.start(arguments) }
                let nested = try rig.program.startInShell(arguments)
                let bouncer = PgBouncer.isInstalled ? try PgBouncer(cluster) : nil
                let isWorker = "application_name LIKE 'stockq run worker%'"
                let areConnected = try eventually {
                    try database.value("SELECT count(*) FROM pg_stat_activity WHERE \(isWorker)") == "3"
                }
                #expect(areConnected)
                let backend = try database.value("SELECT pid FROM pg_stat_activity WHERE \(isWorker) LIMIT 1")
                kill(try #require(Int32(backend)), SIGSTOP)
                workers[0].send(SIGSTOP)
                Faults.report(Self.ready + cluster.folder)
                _ = eventually(seconds: 60) { !FileManager.default.fileExists(atPath: flag) }
                try withExtendedLifetime((workers, nested, bouncer)) {
                    switch ending {
                    case .killed: kill(getpid(), SIGKILL)
                    case .terminated: kill(getpid(), SIGTERM)
                    case .failedAssertion: fatalError("on purpose")
                    case .thrownError: throw CancellationError()
                    }
                    pause(milliseconds: 10_000)  // the signal ends the program
                }
            }
        }

        @Test("a failed expectation in a body on a thread of its own belongs to its test") func attribution()
            async throws
        {
            let test = try #require(Test.current)
            // An expectation reports its failure for the test that it finds here.
            #expect(try await onThread { Test.current } == test)
        }
    }
}

/// A process in `/proc` (proc(5)).
private struct ProcessEntry: CustomStringConvertible {
    let id: Int32
    let parent: Int32
    let name: String
    let state: String
    /// A later process may have the same id, and not the same start.
    let startedAt: String

    init?(id: Int32) {
        guard let text = try? String(contentsOfFile: "/proc/\(id)/stat", encoding: .utf8),
            let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")")
        else { return nil }
        let fields = text[text.index(after: close)...].split(separator: " ").map(String.init)
        guard fields.count > 19, let parent = Int32(fields[1]) else { return nil }
        self.id = id
        self.parent = parent
        name = String(text[text.index(after: open)..<close])
        state = fields[0]
        startedAt = fields[19]
    }

    var description: String { "\(id) \(name) (\(state))" }

    /// A process that has ended may wait for its parent to notice (state Z).
    var isRunning: Bool {
        guard let now = ProcessEntry(id: id) else { return false }
        return now.startedAt == startedAt && now.state != "Z" && now.state != "X"
    }

    static func descendants(of ancestor: Int32) -> [ProcessEntry] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        let children = Dictionary(
            grouping: names.compactMap { Int32($0) }.compactMap { ProcessEntry(id: $0) }, by: \.parent)
        var found: [ProcessEntry] = []
        var open = [ancestor]
        while let next = open.popLast() {
            found += children[next] ?? []
            open += (children[next] ?? []).map(\.id)
        }
        return found
    }
}
