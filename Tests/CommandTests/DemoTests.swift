import Foundation
import StockQueue
import TestSupport
import Testing

/// The demo; one test at a time, because each compares the folders that demos create.
@Suite(.serialized) struct DemoTests {
    private static func folders() throws -> Set<String> {
        Set(try FileManager.default.contentsOfDirectory(atPath: "/tmp").filter { $0.hasPrefix("stockq-demo-") })
    }

    @Test("the demo verifies its ledger and removes everything") func removesEverything() async throws {
        try await onThread {
            let before = try Self.folders()
            let ended = try Program().run(["demo", "--lines", "3000"])
            #expect(ended.code == 0, "\(ended.err)")
            #expect(ended.out.contains("nothing is wrong"))
            #expect(ended.out.contains("Try next:"))
            #expect(try Self.folders().subtracting(before).isEmpty)
        }
    }

    @Test("demo --keep ends, its server keeps running, and the three calls that it prints work") func keep()
        async throws
    {
        try await onThread {
            let demo = try Program().start(["demo", "--lines", "1000", "--keep"])
            #expect(eventually(seconds: 60) { demo.outputText.contains("/stop\n") })
            let folder = try #require(demo.outputText.firstMatch(of: /sh (\/tmp\/stockq-demo-\w+)\/stop/)).1
            let stop = try String(contentsOfFile: "\(folder)/stop", encoding: .utf8)
            // Foundation would wait for the server too, which inherited the end of a pipe; the process itself has
            // ended.
            #expect(
                eventually {
                    let state = try? String(contentsOfFile: "/proc/\(demo.processID)/stat", encoding: .utf8)
                    return state.map { $0.contains(") Z ") } ?? true
                })
            let gateway = try #require(stop.firstMatch(of: /kill (\d+)\n/)).1
            let calls = demo.outputText.split(separator: "\n").filter { $0.hasPrefix("  curl ") }
            let answers = [#"{"updateCount":1}"#, #""statusCode":200}"#, #""action":"allocate""#]
            #expect(calls.count == answers.count)
            for (call, answer) in zip(calls, answers) {
                let ended = try Program().start(["-c", String(call)], executable: "/bin/sh").wait()
                #expect(ended.code == 0 && ended.out.contains(answer), "\(call): \(ended)")
            }
            kill(try #require(Int32(gateway)), SIGTERM)
            let line = try String(contentsOfFile: "\(folder)/data/postmaster.pid", encoding: .utf8).prefix {
                $0 != "\n"
            }
            let server = try #require(Int32(line))
            #expect(kill(server, 0) == 0)
            kill(server, SIGINT)
            #expect(eventually { kill(server, 0) != 0 })
            try FileManager.default.removeItem(atPath: String(folder))
        }
    }

    @Test("a demo that is stopped early removes everything", arguments: [SIGINT, SIGTERM]) func stopped(signal: Int32)
        async throws
    {
        try await onThread {
            let before = try Self.folders()
            let demo = try Program().start(["demo", "--lines", "1000"])
            // While initdb runs.
            #expect(
                eventually {
                    (try? Self.folders().subtracting(before).contains {
                        FileManager.default.fileExists(atPath: "/tmp/\($0)/data/PG_VERSION")
                    }) ?? false
                })
            demo.send(signal)
            _ = try demo.wait()
            #expect(eventually { (try? Self.folders().subtracting(before).isEmpty) ?? false })
        }
    }
}
