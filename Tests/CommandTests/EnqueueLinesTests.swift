import Foundation
import StockQueuePostgres
import TestSupport
import Testing

/// `stockq enqueue` with several lines, and the times of jobs.
@Suite struct EnqueueLinesTests {
    @Test("the lines of a group in one call are applied all or none") func group() async throws {
        try await withDatabase { database in
            try database.run(
                "INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 5), ('s', 'b', 5)")
            let program = Program(database)
            // It works on what is committed, so that lines committed one by one would be booked one by one.
            let workers = try program.start(["run"])
            let rejected = try program.run(["enqueue", "s", "a", "-1", "b", "-9", "--group", "g", "--wait"])
            #expect(rejected.code == 1)
            #expect(
                rejected.out == """
                    job 1: rejected (group_rejected) – adjust -1 of a in s; available 5; group g
                    job 2: rejected (insufficient_stock) – adjust -9 of b in s; available 5; group g

                    """)
            let applied = try program.run(["enqueue", "s", "a", "-1", "b", "-2", "--group", "g", "--wait"])
            #expect(applied.code == 0, "\(applied.err)")
            workers.send(SIGTERM)
            #expect(try workers.wait().code == 0)
            #expect(
                try database.rows("SELECT concat_ws(' ', item_id, on_hand) FROM stockq.items ORDER BY 1") == [
                    "a 4", "b 3",
                ])
        }
    }

    @Test("several lines are one transaction, with and without a group") func transaction() async throws {
        try await withDatabase { database in
            let program = Program(database)
            #expect(
                try program.run(["enqueue", "s", "a", "-1", "b", "2", "a", "3", "--priority", "1"]).out == "1\n2\n3\n")
            #expect(
                try database.rows(
                    "SELECT concat_ws(' ', item_id, quantity, priority) FROM stockq.jobs ORDER BY job_id") == [
                        "a -1 1", "b 2 1", "a 3 1",
                    ])
            #expect(try database.value("SELECT count(DISTINCT submission_id) FROM stockq.jobs") == "1")
            _ = try program.run(["limits", "set", "s", "4"])
            #expect(try program.run(["enqueue", "s", "a", "1", "a", "1"]).code == 1)
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "3")
        }
    }

    @Test("an idempotency key of several lines gets their numbers") func keys() async throws {
        try await withDatabase { database in
            let program = Program(database)
            let words = ["enqueue", "s", "a", "-1", "b", "2", "--idempotency-key", "k", "--json"]
            let first = try program.run(words)
            #expect(
                first.out == "{\"job_id\":1,\"is_duplicate\":false}\n{\"job_id\":2,\"is_duplicate\":false}\n")
            let again = try program.run(words)
            #expect(again.code == 0)
            #expect(again.out == first.out.replacingOccurrences(of: "false", with: "true"))
            #expect(
                again.err
                    == "the idempotency keys of 2 lines were used for the same requests; 0 of 2 lines were enqueued\n")
            #expect(
                try database.rows("SELECT idempotency_key FROM stockq.jobs ORDER BY job_id") == ["k/1", "k/2"])
        }
    }

    @Test("a dry run of several lines says what each would do, one after the other") func dryRun() async throws {
        try await withDatabase { database in
            try database.run("INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 5)")
            let ended = try Program(database).run(["enqueue", "s", "a", "-4", "a", "-4", "--dry-run"])
            #expect(ended.code == 1)
            #expect(
                ended.out == """
                    a -4: would be: applied; available 5 → 1
                    a -4: would be: rejected (insufficient_stock); available 1
                    nothing was enqueued

                    """)
        }
    }

    // MARK: times

    @Test("a time may be a span from now by the database's clock", arguments: ["run-at", "expires-at"])
    func spans(option: String) async throws {
        try await withDatabase { database in
            let program = Program(database)
            for words in [["s", "a", "1"], ["s", "a", "1", "b", "1"]] {
                let ended = try program.run(["enqueue"] + words + ["--\(option)", "+2h"])
                #expect(ended.code == 0, "\(ended.err)")
            }
            let column = option.replacingOccurrences(of: "-", with: "_")
            #expect(
                try database.value(
                    "SELECT count(*) FROM stockq.jobs WHERE \(column) - enqueued_at = interval '2 hours'") == "3")
        }
    }

    private static let badTimes = "--run-at 2030-01-02T00:00:00Z --expires-at 2030-01-02T00:00:00Z"

    @Test("an expiry that is not after run_at is refused wherever it enters") func expiryBeforeRun() async throws {
        try await withDatabase { database in
            let program = Program(database)
            let message = "expires_at must be after run_at"
            for (times, code) in [(Self.badTimes, Int32(2)), ("--run-at +2h --expires-at +1h", 2)] {
                let ended = try program.run(["enqueue", "s", "a", "1"] + times.split(separator: " ").map(String.init))
                #expect(ended.code == code)
                #expect(ended.err.contains(message))
            }
            // Only the database's clock decides.
            let mixed = try program.run([
                "enqueue", "s", "a", "1", "--run-at", "2100-01-01T00:00:00Z", "--expires-at", "+1h",
            ])
            #expect(mixed.code == 1 && mixed.err.contains(message))
            let csv = "store_id,item_id,quantity,run_at,expires_at\ns,a,1,2030-01-02T00:00:00Z,2030-01-01T00:00:00Z\n"
            #expect(try program.run(["import", "-"], input: csv).err.contains("line 2: \(message)"))
            let json =
                #"{"store_id":"s","item_id":"a","quantity":1,"run_at":"2030-01-02T00:00:00Z","expires_at":"2030-01-01T00:00:00Z"}"#
            #expect(
                try program.run(["import", "-", "--format", "ndjson"], input: json).err.contains("line 1: \(message)"))
            for call in [
                "enqueue('s', 'a', 1,", "enqueue_lines('s', '[{\"item_id\": \"a\", \"quantity\": 1}]',",
                "enqueue_arrays('s', '{a}', '{1}',", "transfer('s', 'a', 1, 'x', 'y',",
            ] {
                #expect {
                    try database.run("SELECT stockq.\(call) run_at => '2030-01-02', expires_at => '2030-01-01')")
                } throws: {
                    ($0 as? PostgresError)?.message == message
                }
            }
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "0")
        }
    }
}
