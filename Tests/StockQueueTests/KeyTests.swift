import Foundation
import StockQueue
import StockQueueLocking
import StockQueuePostgres
import TestSupport
import Testing

/// Idempotency keys: what is sent again takes effect once, whichever way it came in.
@Suite struct KeyTests {
    @Test func aRepeatedKeyGivesTheFirstJobAndItsResult() async throws {
        try await withDatabase { database in
            try database.run(EnqueueSQLTests.items)
            let call =
                "SELECT concat_ws(' ', job_id, is_duplicate, outcome, applied_quantity, on_hand_after) FROM stockq.enqueue('s', 'a', -2, idempotency_key => 'k')"
            let first = try database.value(call)
            #expect(first.hasSuffix(" f"))
            let job = first.dropLast(2)
            #expect(try database.value(call) == "\(job) t")
            try database.drain()
            #expect(try database.value(call) == "\(job) t applied -2 8")
            // Another store, another key.
            #expect(
                try database.value("SELECT is_duplicate FROM stockq.enqueue('t', 'a', -2, idempotency_key => 'k')")
                    == "f")
            for other in [
                "-3, idempotency_key => 'k'", "-2, location_id => 'cellar', idempotency_key => 'k'",
                "-2, on_insufficient => 'allow', idempotency_key => 'k'",
                "-2, expected_available => 8, idempotency_key => 'k'",
            ] {
                #expect(
                    try database.failure(of: "SELECT stockq.enqueue('s', 'a', \(other))")
                        == "23505 idempotency key 'k' of store 's' was used by job \(job) for another request")
            }
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "1")
        }
    }

    /// However the jobs came in: by COPY, INSERT or function.
    @Test func keysAreSettledByTheJudgementToo() async throws {
        try await withDatabase { database in
            try database.run(
                EnqueueSQLTests.items + """
                    ; INSERT INTO stockq.jobs (store_id, item_id, quantity, idempotency_key)
                    VALUES ('s', 'a', -1, 'k'), ('s', 'a', -1, 'k'), ('s', 'a', -2, 'k'), ('s', 'b', -1, 'k'), ('t', 'a', -1, 'k')
                    """)
            try database.drain()
            #expect(
                try database.rows(
                    """
                    SELECT concat_ws(' ', outcome, code, (SELECT count(*) FROM stockq.results AS before WHERE before.job_id <= results.first_job_id))
                    FROM stockq.results ORDER BY job_id
                    """) == [
                        "applied 0", "duplicate 1", "rejected idempotency_mismatch 1",
                        "rejected idempotency_mismatch 1",
                        "applied 0",
                    ])
            #expect(
                try database.rows("SELECT on_hand FROM stockq.items ORDER BY store_id, item_id, location_id") == [
                    "0", "9", "5", "9",
                ])
            try expectSoundBooks(database.connect())
        }
    }

    /// Cancelled and failed jobs, duplicates and mismatches leave the key free; blockers of business use it up.
    @Test func whatUsesAKeyUp() async throws {
        try await withDatabase { database in
            try database.run(
                EnqueueSQLTests.items + """
                    ; INSERT INTO stockq.jobs (store_id, item_id, quantity, idempotency_key, group_id) VALUES
                    ('s', 'a', -1, 'applied', NULL), ('s', 'a', 0, 'unchanged', NULL), ('s', 'a', -99, 'rejected', NULL),
                    ('s', 'a', -1, 'of a group', 'g'), ('s', 'a', -99, 'refused in a group', 'g'), ('s', 'a', -1, 'canceled', NULL);
                    SELECT stockq.cancel_jobs(ARRAY(SELECT job_id FROM stockq.jobs WHERE idempotency_key = 'canceled'))
                    """)
            try database.drain()
            #expect(
                try database.rows("SELECT idempotency_key FROM stockq.idempotency_keys ORDER BY 1") == [
                    "applied", "of a group", "refused in a group", "rejected", "unchanged",
                ])
        }
    }

    /// Whatever would become of a repetition by itself – waiting, a refusal of its group – its key is looked at first, also in a
    /// batch in which no other key was used before.
    @Test func aRepetitionThatWouldWaitIsADuplicate() async throws {
        try await withDatabase { database in
            let jobs = """
                INSERT INTO stockq.jobs (store_id, item_id, quantity, on_insufficient, idempotency_key, group_id) VALUES
                    ('s', 'b', -4, 'wait', 'k', NULL), ('s', 'a', -1, 'reject', 'g1', 'g'), ('s', 'b', -1, 'reject', 'g2', 'g');
                """
            try database.run(EnqueueSQLTests.items + ";" + jobs)
            try database.drain()
            try database.run(jobs)
            try database.drain()
            #expect(
                try database.rows("SELECT outcome FROM stockq.results ORDER BY job_id") == [
                    "applied", "applied", "applied", "duplicate", "duplicate", "duplicate",
                ])
        }
    }

    @Test("of a group that is submitted twice with the same keys while queued, one takes effect")
    func groupSubmittedTwice() async throws {
        try await withDatabase { database in
            let order = """
                INSERT INTO stockq.jobs (store_id, item_id, quantity, idempotency_key, group_id) VALUES
                    ('s', 'a', -1, 'k1', 'g'), ('s', 'b', -1, 'k2', 'g'), ('s', 'a', -1, NULL, 'g');
                """
            try database.run(EnqueueSQLTests.items + ";" + order)
            try database.run(order)
            // Two sessions at once, so that the ids of the two submissions alternate.
            let (one, two) = (try database.connect(), try database.connect())
            for session in [one, two] { try session.executeScript("BEGIN") }
            for line in ["'a', -2, 'm1'", "'b', -2, 'm2'"] {
                for session in [one, two] {
                    try session.executeScript(
                        "INSERT INTO stockq.jobs (store_id, item_id, quantity, idempotency_key, group_id) VALUES ('s', \(line), 'h')"
                    )
                }
            }
            for session in [one, two] { try session.executeScript("COMMIT") }
            try database.drain()
            #expect(
                try database.rows(
                    "SELECT concat_ws(' ', group_id, quantity, outcome, code) FROM stockq.results ORDER BY job_id") == [
                        "g -1 applied", "g -1 applied", "g -1 applied", "g -1 rejected group_rejected",
                        "g -1 rejected group_rejected", "g -1 rejected idempotency_mismatch", "h -2 applied",
                        "h -2 duplicate",
                        "h -2 applied", "h -2 duplicate",
                    ])
            try expectSoundBooks(try database.connect())
        }
    }

    /// Line by line, too, a group is answered as a whole: its new line is not applied without the others.
    @Test func aGroupSentLineByLineIsJudgedAsAWhole() async throws {
        try await withDatabase { database in
            try database.run(EnqueueSQLTests.items)
            func send(_ count: Int) throws -> [String] {
                let connection = try database.connect()
                try connection.executeScript("BEGIN")
                defer { try? connection.executeScript("COMMIT") }
                return try (1...count).flatMap { line in
                    try database.rows(
                        "SELECT job_id, is_duplicate FROM stockq.enqueue('s', 'a', -1, idempotency_key => 'o/\(line)', group_id => 'g')",
                        connection)
                }
            }
            #expect(try send(2) == ["1,f", "2,f"])
            try database.drain()
            #expect(try send(3) == ["1,t", "2,t", "5,f"])
            try database.drain()
            #expect(try send(2) == ["1,t", "2,t"])
            try database.drain()
            #expect(
                try database.results() == [
                    "1 applied -1", "2 applied -1", "3 rejected group_rejected 0", "4 rejected group_rejected 0",
                    "5 rejected idempotency_mismatch 0", "6 duplicate 0", "7 duplicate 0",
                ])
        }
    }

    /// A second sending with another content does not take the first one down, whether that is finished yet or not.
    @Test(arguments: [false, true]) func anotherContentUnderTheSameKeysIsRefusedAlone(drainsBetween: Bool) async throws
    {
        try await withDatabase { database in
            try database.run(EnqueueSQLTests.items)
            func send(_ second: Int) throws {
                try database.run(
                    """
                    INSERT INTO stockq.jobs (store_id, item_id, quantity, idempotency_key, group_id)
                    VALUES ('s', 'a', -1, 'o/1', 'g'), ('s', 'b', \(second), 'o/2', 'g')
                    """)
            }
            try send(-1)
            if drainsBetween { try database.drain() }
            try send(-2)
            try database.drain()
            #expect(
                try database.rows(
                    "SELECT concat_ws(' ', job_id, outcome, code, first_job_id) FROM stockq.results ORDER BY job_id")
                    == [
                        "1 applied", "2 applied", "3 rejected group_rejected 1", "4 rejected idempotency_mismatch 2",
                    ])
            #expect(
                try database.rows(
                    "SELECT item_id, on_hand FROM stockq.items WHERE store_id = 's' AND location_id = 'main' ORDER BY 1"
                ) == ["a,9", "b,4"])
        }
    }

    /// A line too many makes the second sending another one; its new line does not join the first.
    @Test func aLineTooManyDoesNotJoinTheFirstSending() async throws {
        try await withDatabase { database in
            try database.run(EnqueueSQLTests.items)
            let lines = ["('s', 'a', -1, 'o/1', 'g')", "('s', 'b', -1, 'o/2', 'g')", "('s', 'b', -2, 'o/3', 'g')"]
            for count in [2, 3] {
                try database.run(
                    "INSERT INTO stockq.jobs (store_id, item_id, quantity, idempotency_key, group_id) VALUES "
                        + lines.prefix(count).joined(separator: ", "))
            }
            try database.drain()
            #expect(
                try database.results() == [
                    "1 applied -1", "2 applied -1", "3 rejected group_rejected 0", "4 rejected group_rejected 0",
                    "5 rejected idempotency_mismatch 0",
                ])
        }
    }

    @Test func groupsOfOneNameLieBetweenEachOther() async throws {
        try await withDatabase { database in
            let sessions = try (0..<2).map { _ in try database.connect() }
            let line = "INSERT INTO stockq.jobs (store_id, item_id, quantity, group_id) VALUES ('s', 'x', 1, 'g')"
            for session in sessions { try session.executeScript("BEGIN; \(line)") }
            try sessions[0].executeScript("\(line); COMMIT")
            try database.drain()
            try sessions[1].executeScript("\(line); COMMIT")
            try database.drain()
            #expect(
                try database.rows("SELECT count(*), count(DISTINCT job_id) FROM stockq.find_group('s', 'g')") == ["4,4"]
            )
        }
    }

    /// Two lanes use the same key at the same time: one is first, and the other one looks again.
    @Test func twoLanesMeetAtAKey() async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 100000);
                INSERT INTO stockq.jobs (store_id, item_id, quantity, idempotency_key, ordering_key)
                SELECT 's', 'a', -1, 'key-' || i / 8, 'lane-' || i % 8 FROM generate_series(0, 3999) AS i
                """)
            try database.drain {
                $0.workers = 8
                $0.batchJobsMax = 50
            }
            #expect(
                try database.rows(
                    "SELECT concat_ws(' ', outcome, count(*)) FROM stockq.results GROUP BY outcome ORDER BY 1") == [
                        "applied 500", "duplicate 3500",
                    ])
            #expect(try database.value("SELECT on_hand FROM stockq.items") == "99500")
        }
    }

    @Test func aListWithAKeyIsAddedOnce() async throws {
        try await withDatabase { database in
            try database.run(EnqueueSQLTests.items)
            func send(_ lines: String, group: String = "NULL") throws -> [String] {
                try database.rows(
                    """
                    SELECT concat_ws(' ', line, is_duplicate, outcome) FROM stockq.enqueue_lines('s', '\(lines)', group_id => \(group),
                        idempotency_key => 'list')
                    """)
            }
            let one = "{\"item_id\": \"a\", \"quantity\": -1}"
            let two = "{\"item_id\": \"b\", \"quantity\": -1}"
            #expect(try send("[\(one)]") == ["1 f"])
            #expect(try send("[\(one), \(two)]") == ["1 t", "2 f"])
            try database.drain()
            #expect(try send("[\(one), \(two)]") == ["1 t applied", "2 t applied"])
            #expect(
                try database.failure(of: "SELECT stockq.enqueue_lines('s', '[\(two)]', idempotency_key => 'list')")
                    .hasPrefix("23505"))
            // A group is all of it known, or none.
            #expect(
                try database.failure(
                    of:
                        "SELECT stockq.enqueue_lines('s', '[\(one), \(two), \(one)]', group_id => 'g', idempotency_key => 'list')"
                ) == "23505 1 of 3 lines of group 'g' of store 's' are new, and the keys of the others are in use")
            #expect(try send("[\(one), \(two)]", group: "'g'") == ["1 t applied", "2 t applied"])
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "0")
        }
    }
}
