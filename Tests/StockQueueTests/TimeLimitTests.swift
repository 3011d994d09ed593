import Foundation
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// How far in the future a job's times may be, and what a far job keeps.
@Suite("limits of a job's times") struct TimeLimitTests {
    static let farTimes = [
        ("run_at", "'294276-01-01'"), ("run_at", "now() + interval '401 days'"), ("expires_at", "'infinity'"),
        ("expires_at", "now() + interval '401 days'"),
    ]

    @Test("a job for a far time is rejected, whichever way it comes", arguments: farTimes)
    func isRejected(column: String, time: String) async throws {
        try await withDatabase { database in
            for statement in [
                "INSERT INTO stockq.jobs (store_id, item_id, quantity, \(column)) VALUES ('s', 'a', 1, \(time))",
                "SELECT stockq.enqueue('s', 'a', 1, \(column) => \(time))",
                "SELECT stockq.enqueue_lines('s', '[{\"item_id\": \"a\", \"quantity\": 1}]', \(column) => \(time))",
            ] {
                let failure = try database.failure(of: statement)
                let isPlain = statement.hasPrefix("INSERT")
                let words = isPlain ? "jobs_\(column)_limit" : "\(column) is too far ahead: 400 days is the limit"
                #expect(failure.hasPrefix("23514") && failure.contains(words), "\(failure)")
            }
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "0")
        }
    }

    @Test("the command line explains the limit") func explanation() async throws {
        try await withDatabase { database in
            let ended = try Program(database).run(["enqueue", "s", "a", "1", "--run-at", "2999-01-01T00:00:00Z"])
            #expect(ended.code == 1 && ended.err.contains("run_at is too far ahead: 400 days is the limit"))
        }
    }

    @Test("an import rejects a job for a far time by its line, and enqueues the others")
    func importRejectsByLine() async throws {
        try await withDatabase { database in
            let now = Date()
            func line(_ item: String, _ runInDays: Double, _ expiresInDays: Double) -> String {
                let times = [runInDays, expiresInDays].map { now.addingTimeInterval($0 * 86_400).ISO8601Format() }
                return "s,\(item),1,\(times[0]),\(times[1])\n"
            }
            let input =
                "store_id,item_id,quantity,run_at,expires_at\n" + line("a", 398, 399) + line("late", 401, 402)
                + line("expires-late", 1, 402) + line("b", 1, 2)
            for options in [[], ["--dry-run"]] {
                let ended = try Program(database).run(["import", "-", "--format", "csv"] + options, input: input)
                #expect(ended.code == 1)
                #expect(ended.err.contains("line 3: run_at is too far ahead: 400 days is the limit"), "\(ended.err)")
                #expect(ended.err.contains("line 4: expires_at is too far ahead: 400 days is the limit"))
            }
            #expect(try database.rows("SELECT item_id FROM stockq.jobs ORDER BY job_id") == ["a", "b"])
            try database.run("SELECT stockq.set_time_limit(500)")
            #expect(try Program(database).run(["import", "-", "--format", "csv"], input: input).code == 0)
        }
    }

    @Test("a job for a time within 400 days is taken", arguments: ["run_at", "expires_at"])
    func isTaken(column: String) async throws {
        try await withDatabase { database in
            try database.run(
                "INSERT INTO stockq.jobs (store_id, item_id, quantity, \(column)) VALUES ('s', 'a', 1, now() + interval '9600 hours')"
            )
        }
    }

    @Test("an administrator changes the limit") func limit() async throws {
        try await withDatabase { database in
            try database.run("SET ROLE stockq_admin; SELECT stockq.set_time_limit(1)")
            let late = "SELECT stockq.enqueue('s', 'a', 1, run_at => now() + interval '25 hours')"
            #expect(try database.failure(of: late).hasPrefix("23514"))
            try database.run("SELECT stockq.set_time_limit(2)")
            try database.run(late)
            #expect(try database.failure(of: "SELECT stockq.set_time_limit(0)").hasPrefix("22023"))
            #expect(
                try database.value("SELECT subject FROM stockq.operations ORDER BY operation_id DESC LIMIT 1")
                    == "{days: 2}")
        }
    }

    @Test("a worker defers and pauses a job beyond the producer's limit") func workersAreNotBound() async throws {
        try await withDatabase { database in
            try database.addItem("a", 0)
            try database.run("SELECT stockq.set_time_limit(1)")
            try database.enqueue(.adjust("a", -1, policy: .wait))
            try database.drain { $0.waitDurationMax = .days(3_000) }
            #expect(try database.value("SELECT expires_at > now() + interval '2999 days' FROM stockq.jobs") == "t")
            try database.run("SELECT stockq.pause(store_id => 's')")
            try database.enqueue(.adjust("a", -1))
            try database.drain()
            #expect(try database.value("SELECT count(*) FROM stockq.jobs WHERE run_at = 'infinity'") == "1")
        }
    }

    @Test("prune names the job that keeps expired results, and drops them when it is gone") func prune() async throws {
        try await withDatabase { database in
            try database.addItem("a", 1_000)
            try database.run(
                """
                DROP TABLE stockq.results_000000000000000, stockq.results_000000005000000;
                SELECT stockq.add_results_partitions(1000, 2)
                """)
            try database.enqueue(3, of: .adjust("a", -1))
            try database.drain { $0.jobsPerPartition = 1_000 }
            try database.run(
                """
                INSERT INTO stockq.jobs (store_id, item_id, quantity, run_at)
                VALUES ('far', 'a', 1, now() + interval '300 days'), ('far', 'a', 2, now() + interval '1 day');
                SELECT setval('stockq.jobs_job_id_seq', 1500)
                """)
            let program = Program(database)
            let early = try program.run(["prune"]).out
            #expect(early.contains("results_000000000000000 is kept: a result was finished at "), "\(early)")
            #expect(!early.contains("still queued"), "its results have not expired")
            try database.run("UPDATE stockq.results SET finished_at = now() - interval '500 days'")
            let kept = try program.run(["prune"])
            #expect(kept.code == 0)
            #expect(
                kept.out.contains(
                    "results_000000000000000 is kept: its results have expired, but job 4 of store far is still queued (run_at "
                ), "\(kept.out)")
            #expect(kept.out.contains(", the first of 2 such jobs; stockq cancel 4 cancels it\n"), "\(kept.out)")
            #expect(try program.run(["cancel", "4", "5"]).code == 0)
            try database.run("UPDATE stockq.results SET finished_at = now() - interval '500 days'")
            #expect(try program.run(["prune"]).out.hasPrefix("dropped 1 partition"))
            try expectSoundLedger(database)
        }
    }
}
