import Foundation
import StockQueuePostgres
import TestSupport
import Testing

/// `stockq top` in tmux, as a person uses it.
@Suite("stockq top") struct TopTests {
    /// A terminal that shows the program, of which a test reads the screen and in which it types.
    private final class Session {
        private let name = "stockq-\(UUID().uuidString)"
        private let socket: String

        init(_ database: TestDatabase, columns: Int, rows: Int) throws {
            socket = NSTemporaryDirectory() + name
            let command =
                "trap : INT; DATABASE_URL='\(database.url)' TZ=UTC '\(Program.path)' top; echo ended with $?; exec sh"
            try run(["new-session", "-d", "-x", "\(columns)", "-y", "\(rows)", "-s", name, "sh", "-c", command])
            try run(["set-option", "-g", "status", "off"])
        }

        deinit {
            _ = try? run(["kill-server"])
            try? FileManager.default.removeItem(atPath: socket)
        }

        @discardableResult
        func run(_ arguments: [String]) throws -> String {
            let ended = try Program().start(
                ["-S", socket, "-f", "/dev/null"] + arguments,
                environment: ["LC_ALL": "C.UTF-8", "TERM": "xterm-256color", "SHELL": "/bin/sh"],
                executable: "/usr/bin/tmux"
            ).wait()
            guard ended.code == 0 else { throw ServeCommandTests.ShopError("tmux: \(ended.err)") }
            return ended.out
        }

        var screen: String { (try? run(["capture-pane", "-p", "-t", name])) ?? "" }

        func type(_ keys: String...) throws { try run(["send-keys", "-t", name] + keys) }

        func resize(columns: Int, rows: Int) throws {
            try run(["resize-window", "-t", name, "-x", "\(columns)", "-y", "\(rows)"])
        }

        /// Whether a full screen program draws now.
        var isAlternate: Bool {
            (try? run(["display-message", "-p", "-t", name, "#{alternate_on}"])) == "1\n"
        }

        /// The process of the program.
        func processID() throws -> Int32 {
            let shell = try run(["display-message", "-p", "-t", name, "#{pane_pid}"])
            let children = try String(
                contentsOfFile: "/proc/\(shell.trimmingCharacters(in: .whitespacesAndNewlines))/task/"
                    + "\(shell.trimmingCharacters(in: .whitespacesAndNewlines))/children", encoding: .utf8)
            return Int32(children.split(separator: " ").first ?? "") ?? 0
        }
    }

    private static func fill(_ database: TestDatabase) throws {
        try DashboardTests.shop(database)
        try database.run(
            """
            SELECT stockq.enqueue('store ' || n % 7, 'a', -1) FROM generate_series(1, 40) AS n;
            SELECT stockq.enqueue('zurich', 'a', -1, run_at => now() + interval '1 day') FROM generate_series(1, 3);
            """)
    }

    @Test("it fits the terminal while that is resized, sorts, opens a store and a job, and quits") func live()
        async throws
    {
        try await withDatabase { (database: TestDatabase) throws in
            try Self.fill(database)
            let session = try Session(database, columns: 80, rows: 24)
            #expect(eventually { session.screen.contains("stores by backlog") }, "\(session.screen)")
            #expect(session.isAlternate)
            for (columns, rows) in [(80, 24), (200, 50), (60, 15), (80, 24)] {
                try session.resize(columns: columns, rows: rows)
                let isDrawn = eventually {
                    let lines = session.screen.components(separatedBy: "\n")
                    return lines.first?.hasPrefix("stockq top") == true && lines.count - 1 == rows
                        && lines[rows - 1].hasPrefix("q quit")
                }
                #expect(isDrawn, "\(columns)×\(rows): \(session.screen)")
                #expect(columns < 100 || session.screen.contains("workers and services"), "\(session.screen)")
            }
            // By ready jobs the store 1 is first, by name berlin.
            #expect(eventually { session.screen.contains("> store ") })
            for _ in 0..<3 { try session.type("s") }
            #expect(
                eventually { session.screen.contains("sort: store") && session.screen.contains("> berlin") },
                "\(session.screen)")
            try session.type("Enter")
            #expect(
                eventually { session.screen.contains("store berlin") && session.screen.contains("scheduled") },
                "\(session.screen)")
            try session.type("Down", "Enter")
            #expect(
                eventually { session.screen.contains("outcome") && session.screen.contains("finished_at") },
                "\(session.screen)")
            try session.type("Escape")
            #expect(eventually { session.screen.contains("queued jobs, and then") })
            try session.type("Escape")
            #expect(eventually { session.screen.contains("stores by backlog") })
            try session.type("Tab")
            #expect(
                eventually {
                    session.screen.contains("failed and rejected jobs") && session.screen.contains("insufficient_stock")
                })
            try session.type("q")
            #expect(eventually { session.screen.contains("ended with 0") })
            #expect(!session.isAlternate)
        }
    }

    @Test("however it ends, the terminal is as before", arguments: ["C-c", "SIGTERM", "q"]) func restored(end: String)
        async throws
    {
        try await withDatabase { (database: TestDatabase) throws in
            let session = try Session(database, columns: 80, rows: 24)
            #expect(eventually { session.screen.contains("stores by backlog") }, "\(session.screen)")
            if end == "SIGTERM" { kill(try session.processID(), SIGTERM) } else { try session.type(end) }
            #expect(eventually { session.screen.contains("ended with 0") }, "\(session.screen)")
            #expect(!session.isAlternate)
            // The terminal shows what is typed, and gives it to the shell by lines.
            try session.type("stty -a | grep -c ' icanon'; stty -a | grep -c ' echo '", "Enter")
            #expect(eventually { session.screen.contains("1\n1\n") }, "\(session.screen)")
        }
    }

    @Test("it waits for a database that is away, and says so") func away() async throws {
        try await withDatabase { (database: TestDatabase) throws in
            let session = try Session(database, columns: 80, rows: 24)
            #expect(eventually { session.screen.contains("stores by backlog") })
            let name = database.name
            let admin = TestDatabase(existing: "postgres", on: database.cluster)
            try admin.run("ALTER DATABASE \(name) ALLOW_CONNECTIONS false")
            try admin.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '\(name)'")
            #expect(eventually { session.screen.contains("not currently accepting connections") }, "\(session.screen)")
            try admin.run("ALTER DATABASE \(name) ALLOW_CONNECTIONS true")
            #expect(eventually { !session.screen.contains("not currently accepting connections") }, "\(session.screen)")
            try session.type("q")
            #expect(eventually { session.screen.contains("ended with 0") })
        }
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
}
