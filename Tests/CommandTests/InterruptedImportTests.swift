import Foundation
import StockQueuePostgres
import TestSupport
import Testing

/// Imports that are stopped or killed, and run again.
@Suite struct InterruptedImportTests {
    @Test("a stopped import says where to resume", arguments: [SIGINT, SIGTERM]) func stopped(signal: Int32)
        async throws
    {
        try await withDatabase { database in
            let path = NSTemporaryDirectory() + "stockq-stopped-\(UUID().uuidString)"
            try #require(mkfifo(path, 0o600) == 0)
            defer { unlink(path) }
            let importing = try Program(database).start([
                "import", path, "--rows-per-commit", "10", "--commit-interval", "1h",
            ])
            let pipe = try #require(FileHandle(forWritingAtPath: path))
            try pipe.write(
                contentsOf: Data("store_id,item_id,quantity\n\(String(repeating: "s,a,1\n", count: 15))".utf8))
            #expect(eventually { (try? database.value("SELECT count(*) FROM stockq.jobs")) == "10" })
            importing.send(signal)
            let ended = try importing.wait()
            try pipe.close()
            #expect(ended.code == 130)
            let name = "\(path.split(separator: "/").last ?? "")-1"
            #expect(
                ended.err
                    == "import stopped: 10 jobs enqueued (through line 11); resume with --resume \(name)\nstockq: stopped by a signal; uncommitted work is rolled back\n"
            )
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "10")
        }
    }

    /// Each line has a quantity of its own, so that their sum shows whether each was applied once.
    private static func lines(_ count: Int) -> String {
        "store_id,item_id,quantity\n" + (1...count).map { "s,a,\($0)\n" }.joined()
    }

    private static let words = [
        "--idempotency-prefix", "file 1", "--rows-per-commit", "100", "--commit-interval", "1h",
    ]

    /// The import is killed twice while it reads and commits, then run twice to its end: once while its jobs are
    /// queued, once when they are finished.
    @Test("a killed import that is run again enqueues each line once") func killed() async throws {
        try await withDatabase { database in
            try database.run("INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 0)")
            let program = Program(database)
            for fed in [650, 1_350] {
                let pipe = try NamedPipe()
                defer { pipe.close() }
                let running = try program.start(["import", pipe.path, "--format", "csv"] + Self.words)
                // Half a line at the end, so that the import waits for the rest of it.
                try pipe.write(Self.lines(fed) + "s,a")
                let committed = fed / 100 * 100
                #expect(
                    try eventually { try database.value("SELECT count(*) FROM stockq.jobs") == "\(committed)" })
                #expect(!running.hasEnded)
                running.send(SIGKILL)
                #expect(try running.wait().code == -SIGKILL)
            }
            let second = try program.run(["import", "-"] + Self.words, input: Self.lines(2_000))
            #expect(second.code == 0, "\(second.err)")
            #expect(second.out.hasPrefix("jobs: 2,000 read, 700 enqueued, 0 bad lines, 1,300 duplicates"))
            #expect(
                try database.rows(
                    "SELECT concat_ws(' ', count(*), count(DISTINCT idempotency_key), sum(quantity)) FROM stockq.jobs")
                    == ["2000 2000 2001000"])
            #expect(try program.run(["run", "--drain"]).code == 0)
            let third = try program.run(["import", "-"] + Self.words, input: Self.lines(2_000))
            #expect(third.code == 0, "\(third.err)")
            #expect(third.out.hasPrefix("jobs: 2,000 read, 0 enqueued, 0 bad lines, 2,000 duplicates"))
            #expect(try program.run(["run", "--drain"]).code == 0)
            #expect(
                try database.rows(
                    """
                    SELECT concat_ws(' ', outcome, count(*), count(DISTINCT idempotency_key), sum(applied_quantity))
                    FROM stockq.results GROUP BY outcome
                    """) == ["applied 2000 2000 2001000"])
            #expect(try database.value("SELECT on_hand FROM stockq.items") == "2001000")
            #expect(try program.run(["verify"]).code == 0)
        }
    }

    /// The same 500 lines by six imports at once, three times over, while workers run.
    @Test("the same import many times at once has one effect") func concurrent() async throws {
        try await withDatabase { database in
            try database.run("INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 0)")
            let program = Program(database)
            let workers = try program.start(["run"])
            for _ in 1...3 {
                let imports = try (1...6).map { _ in
                    try program.start(["import", "-"] + Self.words, input: Array(Self.lines(500).utf8))
                }
                for running in imports {
                    let ended = try running.wait()
                    #expect(ended.code == 0, "\(ended.err)")
                    #expect(ended.out.hasPrefix("jobs: 500 read, "))
                }
            }
            workers.send(SIGTERM)
            #expect(try workers.wait().code == 0)
            #expect(try program.run(["run", "--drain"]).code == 0)
            #expect(
                try database.rows(
                    """
                    SELECT concat_ws(' ', count(*), count(DISTINCT idempotency_key), sum(applied_quantity))
                    FROM stockq.results WHERE outcome = 'applied'
                    """) == ["500 500 125250"])
            #expect(
                try database.value("SELECT count(*) FROM stockq.results WHERE outcome NOT IN ('applied', 'duplicate')")
                    == "0")
            #expect(try database.value("SELECT on_hand FROM stockq.items") == "125250")
            #expect(try program.run(["verify"]).code == 0)
        }
    }
}
