import Foundation
import StockQueuePostgres
import TestSupport
import Testing

/// Ids of jobs on standard input, and lists that may be long.
@Suite struct JobIDTests {
    private static func enqueue(_ jobs: Int, _ database: TestDatabase) throws {
        try database.run(
            """
            INSERT INTO stockq.jobs (store_id, item_id, quantity, group_id)
            SELECT 's', 'a', 1, 'g' FROM generate_series(1, \(jobs))
            """)
    }

    @Test("ids are read from standard input") func standardInput() async throws {
        try await withDatabase { database in
            try Self.enqueue(3, database)
            let program = Program(database)
            let results = try program.run(["result", "-"], input: "1 2,3\n")
            #expect(results.code == 0)
            #expect(results.out.split(separator: "\n").filter { $0.hasPrefix("job ") }.count == 3)
            #expect(try program.run(["reprioritize", "4", "-"], input: "1\n").out == "3 jobs: priority 2 → 4\n")
            #expect(try program.run(["cancel", "-"], input: "1\n2\n").out == "3 jobs: queued → canceled: 1 2 3\n")
            #expect(
                try program.run(["retry", "-"], input: "1\n2").out.hasPrefix(
                    "job 1: canceled → queued as job 4 – adjust "))
        }
    }

    @Test("ids that cannot be read are explained, and change nothing") func wrongInput() async throws {
        try await withDatabase { database in
            try Self.enqueue(1, database)
            let program = Program(database)
            let long = String(repeating: "x", count: 5_000)
            for (input, message) in [
                ("1\nx\n", "standard input: an id is a whole number from 1, not 'x'"), ("0", "not '0'"),
                (" \n", "standard input has no ids of jobs"),
                (long, "not '\(String(repeating: "x", count: 60))'"),
                (
                    (1...100_001).map { "\($0)" }.joined(separator: "\n"),
                    "more than 100,000 ids on standard input; give them in several calls"
                ),
            ] {
                let ended = try program.run(["cancel", "-"], input: input)
                #expect(ended.code == 1)
                #expect(ended.err.contains(message), "\(ended.err)")
                #expect(ended.err.utf8.count < 300)
            }
            let both = try program.run(["cancel", "1", "-"])
            #expect(both.code == 2 && both.err.contains("- is for ids on standard input, and must be the only word"))
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "1")
        }
    }

    @Test("too many ids on a command line are not echoed", arguments: ["result", "cancel", "retry"])
    func tooManyWords(command: String) async throws {
        try await onThread {
            let ended = try Program().run([command] + (1...1_001).map { "\($0)" })
            #expect(ended.code == 2)
            #expect(
                ended.err.contains(
                    "got 1 2 3 4 5 6 7 8 9 10 … and 991 more; at most 1,000 words are allowed: give up to 100,000 ids on standard input"
                ))
            #expect(ended.err.utf8.count < 400)
        }
    }

    @Test("a long word is not echoed whole", arguments: [["frob"], ["stats", "--"], ["stats", "--since"], ["stats"]])
    func longWords(words: [String]) async throws {
        try await onThread {
            var words = words
            if words.last?.hasSuffix("--") == true {
                words[words.count - 1] += String(repeating: "y", count: 50_000)
            } else {
                words.append(String(repeating: "y", count: 50_000))
            }
            if words.count == 2 && words[0] == "frob" { words.removeFirst() }
            let ended = try Program().run(words)
            #expect(ended.code == 2)
            #expect(ended.err.contains("yyy…"))
            #expect(ended.err.utf8.count < 300, "\(ended.err.utf8.count)")
        }
    }

    @Test("a long name is not echoed whole", arguments: [["items", "show", "s"], ["pause", "--store"], ["import"]])
    func longNames(words: [String]) async throws {
        try await withDatabase { database in
            let ended = try Program(database).run(words + [String(repeating: "y", count: 100_000)])
            #expect(ended.code != 0)
            #expect(ended.err.utf8.count < 800, "\(ended.err.utf8.count)")
        }
    }

    @Test("a group of 5,000 is canceled and retried with bounded output, and --json has all") func longOutput()
        async throws
    {
        try await withDatabase { database in
            try Self.enqueue(5_000, database)
            let program = Program(database)
            let canceled = try program.run(["cancel", "--store", "s", "--group", "g"])
            #expect(canceled.out.hasPrefix("5,000 jobs: queued → canceled: 1 2 3 "))
            #expect(canceled.out.hasSuffix(" 20 … and 4,980 more\n"))
            let retried = try program.run(["retry", "1"])
            #expect(retried.out.split(separator: "\n").count == 102)
            #expect(retried.out.hasSuffix("\n… and 4,900 more\n5,000 jobs queued again\n"))
            let json = try program.run(["cancel", "--store", "s", "--group", "g", "--json"])
            let lines = json.out.split(separator: "\n")
            #expect(lines.count == 5_000)
            #expect(lines.first == "{\"job_id\":5001,\"outcome\":\"canceled\"}")
        }
    }
}
