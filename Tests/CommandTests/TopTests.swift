import Foundation
import TestSupport
import Testing

/// `stockq top`, without a terminal and in one of tmux.
@Suite("stockq top") struct TopTests {
    private static func fill(_ database: TestDatabase) throws {
        try DashboardTests.shop(database)
        try database.run(
            """
            SELECT stockq.enqueue('store ' || n % 7, 'a', -1) FROM generate_series(1, 40) AS n;
            SELECT stockq.enqueue('zurich', 'a', -1, run_at => now() + interval '1 day') FROM generate_series(1, 3);
            """)
    }

    @Test("--once prints one screen, and without a terminal nothing else works") func once() async throws {
        try await withDatabase { (database: TestDatabase) throws in
            try Self.fill(database)
            let once = try Program(database).run(["top", "--once"])
            #expect(once.code == 0, "\(once.err)")
            #expect(once.out.contains("ready 40  scheduled 4  waiting 0"))
            #expect(once.out.contains("! 40 jobs are ready. No worker is connected"))
            #expect(once.out.contains("of the newest 4: applied 3, rejected 1 (insufficient_stock 1)"))
            #expect(!once.out.contains("\u{1B}"))
            let live = try Program(database).run(["top"])
            #expect(live.code == 2)
            #expect(live.err.contains("--once"))
        }
    }

    /// A window of tmux in which `stockq top` runs.
    private final class Window {
        private let program: Program
        /// In the foreground: a daemon would outlive the test.
        private let server: Program.Running
        private let name = "stockq-\(UUID().uuidString)"

        init(_ database: TestDatabase, width: Int, height: Int) throws {
            var program = Program(database)
            program.environment["LC_ALL"] = "C.UTF-8"
            self.program = program
            server = try program.start(["-L", name, "-D", "-f", "/dev/null"], executable: "/usr/bin/tmux")
            let size = ["-x", String(width), "-y", String(height)]
            let hasStarted = try eventually {
                try tmux(["new-session", "-d"] + size + [Program.path, "top"]).code == 0
            }
            #expect(hasStarted, "\(server.errorText)")
        }

        @discardableResult
        func tmux(_ words: [String]) throws -> Program.Ended {
            // -N: a command that came before the server would begin one of its own, which would never end.
            try program.start(["-N", "-u", "-L", name] + words, executable: "/usr/bin/tmux").wait()
        }

        func press(_ keys: String...) throws { try tmux(["send-keys"] + keys) }

        func resize(width: Int, height: Int) throws {
            try tmux(["resize-window", "-x", String(width), "-y", String(height)])
        }

        var lines: [String] {
            get throws {
                try tmux(["capture-pane", "-p"]).out.split(separator: "\n", omittingEmptySubsequences: false).map(
                    String.init)
            }
        }

        /// Waits for a screen.
        func expect(_ holds: ([String]) -> Bool, sourceLocation: SourceLocation = #_sourceLocation) throws {
            if try eventually({ holds(try lines) }) { return }
            Issue.record("\(try lines.joined(separator: "\n"))", sourceLocation: sourceLocation)
        }

        /// Whether the program has ended, and with it the session.
        func hasEnded() throws -> Bool { try eventually { try tmux(["has-session"]).code != 0 } }

        func close() throws {
            try tmux(["kill-server"])
            #expect(try server.wait(seconds: 10).code == 0)
        }
    }

    @Test("in a terminal it fits the window, follows its size, opens what is selected, and ends with q") func terminal()
        async throws
    {
        try await withDatabase { (database: TestDatabase) throws in
            try Self.fill(database)
            let window = try Window(database, width: 80, height: 24)
            let isWhole = { (lines: [String]) in lines.contains { $0.hasPrefix("> store 1 ") } }
            try window.expect(isWhole)
            let small = try window.lines
            #expect(small.count == 25 && small[23].hasPrefix("q quit"), "\(small)")
            #expect(small.contains { $0.hasPrefix("! 40 jobs are ready. No worker is connected") })
            #expect(!small.contains { $0.hasPrefix("failed and rejected jobs") })
            try window.resize(width: 200, height: 50)
            try window.expect { lines in
                lines.contains { $0.hasPrefix("failed and rejected jobs") } && lines[49].hasPrefix("q quit")
            }
            // The second store, one of its jobs, and back.
            try window.press("Down", "Enter")
            try window.expect { lines in
                lines[0].hasSuffix("store 2") && lines.contains { $0.hasPrefix("> ") && $0.contains("adjust") }
            }
            try window.press("Enter")
            try window.expect { lines in lines.contains { $0.hasPrefix("submission_id") } }
            try window.resize(width: 80, height: 24)
            try window.expect { $0.count == 25 && $0[23].hasPrefix("q quit  Esc back") }
            try window.press("Escape")
            try window.expect { $0[0].hasSuffix("store 2") }
            try window.press("Escape")
            try window.expect(isWhole)
            try window.press("q")
            #expect(try window.hasEnded())
            try window.close()
        }
    }
}
