import Foundation
import Locking
import Postgres
import StockQueue
import TestSupport
import Testing

/// The SQL functions for producers, called as a producer calls them.
@Suite struct EnqueueSQLTests {
    private static let items = """
        INSERT INTO stockq.items (store_id, item_id, on_hand, location_id) VALUES
            ('s', 'a', 10, 'main'), ('s', 'b', 5, 'main'), ('s', 'a', 0, 'cellar'), ('t', 'a', 10, 'main')
        """

    /// The SQLSTATE and the message of a statement that must fail.
    private static func refusal(of sql: String, _ database: TestDatabase) throws -> String {
        let error = #expect(throws: PostgresError.self, "\(sql)") { try database.run(sql) }
        return "\(error?.sqlState ?? "-") \(error?.message ?? "-")"
    }

    @Test func whatIsLeftOutIsAsInAPlainInsert() async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'a', -1);
                SELECT stockq.enqueue('s', 'a', -1);
                SELECT stockq.enqueue_lines('s', '[{"item_id": "a", "quantity": -1.0}]');
                SELECT stockq.enqueue_arrays('s', '{a}', '{-1}');
                SELECT stockq.enqueue('s', 'a', -1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)
                """)
            let rows = try database.rows(
                "SELECT (to_jsonb(jobs) - 'job_id' - 'enqueued_at')::text FROM stockq.jobs ORDER BY job_id")
            #expect(rows.count == 5 && Set(rows).count == 1, "\(rows)")
        }
    }

    @Test func everyColumnArrives() async throws {
        try await withDatabase { database in
            try database.run(
                """
                SELECT stockq.enqueue('s', 'a', 3, action => 'allocate', location_id => 'cellar', on_insufficient => 'wait',
                    expected_available => 7, idempotency_key => 'k', priority => 1, run_at => '2031-01-01 00:00Z',
                    expires_at => '2032-01-01 00:00Z', notify => false, ordering_key => 'o', reason => 'r', reference => 'f', max_attempts => 3)
                """)
            #expect(
                try database.value(
                    """
                    SELECT concat_ws(' ', action, location_id, on_insufficient, expected_available, idempotency_key, priority,
                        extract(year FROM run_at), extract(year FROM expires_at), notify, ordering_key, reason, reference, max_attempts)
                    FROM stockq.jobs
                    """) == "allocate cellar wait 7 k 1 2031 2032 f o r f 3")
        }
    }

    @Test func aRepeatedKeyGivesTheFirstJobAndItsResult() async throws {
        try await withDatabase { database in
            try database.run(Self.items)
            let call =
                "SELECT concat_ws(' ', job_id, is_repeat, outcome, applied_quantity, on_hand_after) FROM stockq.enqueue('s', 'a', -2, idempotency_key => 'k')"
            let first = try database.value(call)
            #expect(first.hasSuffix(" f"))
            let job = first.dropLast(2)
            #expect(try database.value(call) == "\(job) t")
            try database.drain()
            #expect(try database.value(call) == "\(job) t applied -2 8")
            // Another store, another key.
            #expect(
                try database.value("SELECT is_repeat FROM stockq.enqueue('t', 'a', -2, idempotency_key => 'k')") == "f")
            for other in [
                "-3, idempotency_key => 'k'", "-2, location_id => 'cellar', idempotency_key => 'k'",
                "-2, on_insufficient => 'allow', idempotency_key => 'k'",
                "-2, expected_available => 8, idempotency_key => 'k'",
            ] {
                #expect(
                    try Self.refusal(of: "SELECT stockq.enqueue('s', 'a', \(other))", database)
                        == "23505 idempotency key 'k' of store 's' was used by job \(job) for another request")
            }
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "1")
        }
    }

    /// However the jobs came in: by COPY, INSERT or function.
    @Test func keysAreSettledByTheJudgementToo() async throws {
        try await withDatabase { database in
            try database.run(
                Self.items + """
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

    /// Cancelled and failed jobs, duplicates and mismatches leave the key free; refusals of business use it up.
    @Test func whatUsesAKeyUp() async throws {
        try await withDatabase { database in
            try database.run(
                Self.items + """
                    ; INSERT INTO stockq.jobs (store_id, item_id, quantity, idempotency_key, group_id) VALUES
                    ('s', 'a', -1, 'applied', NULL), ('s', 'a', 0, 'unchanged', NULL), ('s', 'a', -99, 'rejected', NULL),
                    ('s', 'a', -1, 'of a group', 'g'), ('s', 'a', -99, 'refused in a group', 'g'), ('s', 'a', -1, 'cancelled', NULL);
                    SELECT stockq.cancel_jobs(ARRAY(SELECT job_id FROM stockq.jobs WHERE idempotency_key = 'cancelled'))
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
            try database.run(Self.items + ";" + jobs)
            try database.drain()
            try database.run(jobs)
            try database.drain()
            #expect(
                try database.rows("SELECT outcome FROM stockq.results ORDER BY job_id") == [
                    "applied", "applied", "applied", "duplicate", "duplicate", "duplicate",
                ])
        }
    }

    /// Whoever does not know whether an order arrived sends it again, perhaps before it was worked: one of both takes effect.
    @Test func aGroupSentTwiceWhileQueuedTakesEffectOnce() async throws {
        try await withDatabase { database in
            let order = """
                INSERT INTO stockq.jobs (store_id, item_id, quantity, idempotency_key, group_id) VALUES
                    ('s', 'a', -1, 'k1', 'g'), ('s', 'b', -1, 'k2', 'g'), ('s', 'a', -1, NULL, 'g');
                """
            try database.run(Self.items + ";" + order + order)
            // Two sessions at once: their ids lie between each other.
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

    @Test func aListIsAGroupOrNot() async throws {
        try await withDatabase { database in
            try database.run(Self.items)
            let lines = "[{\"item_id\": \"a\", \"quantity\": -3}, {\"item_id\": \"b\", \"quantity\": -6}]"
            let alone = try database.rows(
                "SELECT concat_ws(' ', line, is_repeat) FROM stockq.enqueue_lines('s', '\(lines)')")
            #expect(alone == ["1 f", "2 f"])
            _ = try database.rows("SELECT job_id FROM stockq.enqueue_lines('s', '\(lines)', group_id => 'order-1')")
            try database.drain()
            #expect(
                try database.rows(
                    "SELECT concat_ws(' ', group_id, item_id, outcome, code) FROM stockq.results ORDER BY job_id") == [
                        "a applied", "b rejected insufficient_stock", "order-1 a rejected group_rejected",
                        "order-1 b rejected insufficient_stock",
                    ])
            #expect(
                try database.rows("SELECT concat_ws(' ', state, item_id, code) FROM stockq.find_group('s', 'order-1')")
                    == [
                        "finished a group_rejected", "finished b insufficient_stock",
                    ])
        }
    }

    @Test func aListWithAKeyIsAddedOnce() async throws {
        try await withDatabase { database in
            try database.run(Self.items)
            func send(_ lines: String, group: String = "NULL") throws -> [String] {
                try database.rows(
                    """
                    SELECT concat_ws(' ', line, is_repeat, outcome) FROM stockq.enqueue_lines('s', '\(lines)', group_id => \(group),
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
                try Self.refusal(
                    of: "SELECT stockq.enqueue_lines('s', '[\(two)]', idempotency_key => 'list')", database
                ).hasPrefix("23505"))
            // A group is all of it known, or none.
            #expect(
                try Self.refusal(
                    of:
                        "SELECT stockq.enqueue_lines('s', '[\(one), \(two), \(one)]', group_id => 'g', idempotency_key => 'list')",
                    database
                ) == "23505 of group 'g' of store 's', 2 lines were enqueued before under their keys, and 1 were not")
            #expect(try send("[\(one), \(two)]", group: "'g'") == ["1 t applied", "2 t applied"])
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "0")
        }
    }

    static let badCalls = [
        ("enqueue_lines('s', '{}')", "22023 the lines must be a JSON array of objects"),
        ("enqueue_lines('s', '[{\"item_id\": \"a\", \"quantity\": 1}, 7]')", "22023 line 2 is no object"),
        ("enqueue_lines('s', '[{\"item_id\": \"a\"}]')", "22023 line 1 needs item_id and quantity"),
        (
            "enqueue_lines('s', '[{\"item_id\": \"a\", \"quantity\": 5.5}]')",
            "22023 line 1: quantity must be a whole number, not 5.5"
        ),
        (
            "enqueue_lines('s', '[{\"item_id\": \"a\", \"quantity\": 1e30}]')",
            "22023 line 1: quantity 1000000000000000000000000000000 is too large"
        ),
        (
            "enqueue_lines('s', '[{\"item_id\": \"a\", \"quantity\": 1, \"qty\": 2}]')",
            "22023 line 1: there is no column 'qty'"
        ),
        ("enqueue_arrays('s', '{a,b}', '{1}')", "2202E quantities has 1 elements, item_ids has 2"),
        (
            "enqueue_arrays('s', '{a,b}', '{1,2}', idempotency_keys => '{k,k}')",
            "22023 idempotency key 'k' stands on more than one line"
        ),
        (
            "enqueue_arrays('s', '[0:1]={a,a}', '{1,1}', idempotency_key => 'k')",
            "2202E item_ids must have one dimension and begin at 1"
        ),
        (
            "enqueue_lines('s', '[{\"item_id\": null, \"quantity\": 1}]')", "22023 line 1 needs item_id and quantity"
        ),
        ("transfer('s', 'a', 1, NULL, 'main')", "22023 both locations are 'main'"),
        (
            "enqueue_lines('s', '[{\"item_id\": \"a\", \"quantity\": 1, \"expected_available\": 1.5}]')",
            "22023 line 1: expected_available must be a whole number, not 1.5"
        ),
        (
            "enqueue_arrays('s', array_fill('a'::text, '{10001}'), array_fill(1::bigint, '{10001}'))",
            "54000 10001 lines in one call, at most 10000 are allowed"
        ),
        ("enqueue('s', 'a', 1, action => 'steal')", "22P02 invalid input value for enum action: \"steal\""),
        ("enqueue('s', '', 1)", "23514 new row for relation \"jobs\" violates check constraint \"jobs_item_id_check\""),
        ("transfer('s', 'a', 0, 'main', 'cellar')", "22023 a transfer moves a quantity above 0, not 0"),
        ("transfer('s', 'a', 1, 'main', 'main')", "22023 both locations are 'main'"),
        (
            "transfer('s', 'a', 1, 'main', 'cellar', on_insufficient => 'partial')",
            "22023 on_insufficient of a transfer is reject, allow or wait, not partial: what leaves must arrive"
        ),
    ]

    @Test(arguments: badCalls) func aBadCallSaysWhatIsWrong(_ call: String, says: String) async throws {
        try await withDatabase { database in
            try database.run(Self.items)
            #expect(try Self.refusal(of: "SELECT * FROM stockq.\(call)", database) == says)
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "0")
        }
    }

    @Test func aTransferMovesStock() async throws {
        try await withDatabase { database in
            try database.run(Self.items)
            try database.run(
                """
                SELECT stockq.transfer('s', 'a', 4, 'main', 'cellar', idempotency_key => 't1');
                SELECT stockq.transfer('s', 'a', 7, 'main', 'cellar')
                """)
            try database.drain()
            #expect(
                try database.rows(
                    "SELECT concat_ws(' ', location_id, on_hand) FROM stockq.items WHERE (store_id, item_id) = ('s', 'a') ORDER BY 1"
                )
                    == ["cellar 4", "main 6"])
            #expect(
                try database.rows("SELECT concat_ws(' ', quantity, outcome, code) FROM stockq.results ORDER BY job_id")
                    == [
                        "-4 applied", "4 applied", "-7 rejected insufficient_stock", "7 rejected group_rejected",
                    ])
            #expect(
                try database.rows(
                    "SELECT concat_ws(' ', is_repeat, outcome) FROM stockq.transfer('s', 'a', 4, 'main', 'cellar', idempotency_key => 't1')"
                )
                    == ["t applied", "t applied"])
        }
    }

    @Test func whatATransactionUndoesWasNeverEnqueued() async throws {
        try await withDatabase { database in
            try database.run(Self.items + "; CREATE TABLE orders (id int)")
            let connection = try database.connect()
            for end in ["ROLLBACK", "COMMIT"] {
                try connection.executeScript(
                    """
                    BEGIN;
                    INSERT INTO orders VALUES (1);
                    SELECT stockq.enqueue('s', 'a', -1, idempotency_key => 'order 1');
                    SELECT stockq.enqueue_lines('s', '[{"item_id": "a", "quantity": -1}]', group_id => 'g');
                    \(end)
                    """)
                let expected = end == "COMMIT" ? "2 1" : "0 0"
                #expect(
                    try database.value(
                        "SELECT (SELECT count(*) FROM stockq.jobs) || ' ' || (SELECT count(*) FROM orders)")
                        == expected)
            }
        }
    }

    @Test func waitingEndsWithTheResult() async throws {
        try await withDatabase { database in
            try database.run(Self.items)
            let job = try database.value("SELECT job_id FROM stockq.enqueue('s', 'a', -1)")
            #expect(try database.rows("SELECT 1 FROM stockq.wait_for_result(\(job), 30)") == [])
            let told = Mutex("")
            let waits = Background {
                let answer = try database.value(
                    "SELECT concat_ws(' ', outcome, on_hand_after) FROM stockq.wait_for_result(\(job), 60000)")
                told.withLock { $0 = answer }
            }
            try database.drain()
            try waits.wait()
            #expect(told.withLock { $0 } == "applied 9")
            #expect(
                try Self.refusal(
                    of: "SELECT stockq.wait_for_result(job_id, 1000) FROM stockq.enqueue('s', 'a', -1)", database
                ).hasSuffix("was enqueued by this transaction, and nobody else sees it before it commits"))
            #expect(
                try Self.refusal(
                    of:
                        "BEGIN; SAVEPOINT x; SELECT stockq.enqueue('s', 'a', -7); RELEASE x; SELECT stockq.wait_for_result((SELECT max(job_id) FROM stockq.jobs), 60000)",
                    database
                ).hasPrefix("55000"))
            #expect(
                try Self.refusal(
                    of: "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT stockq.wait_for_result(1)", database
                ) == "55000 a transaction that is repeatable read never sees the result")
        }
    }

    @Test func jobsAreFoundByWhatNamesThem() async throws {
        try await withDatabase { database in
            try database.run(
                Self.items + """
                    ; SELECT stockq.enqueue('s', 'a', -1, idempotency_key => 'k1', reference => 'order 7');
                    SELECT stockq.enqueue('s', 'a', -1, reference => 'order 7')
                    """)
            try database.drain()
            try database.run(
                "SELECT stockq.enqueue('s', 'b', -1, idempotency_key => 'k2', reference => 'order 7', group_id => 'g')")
            #expect(
                try database.rows(
                    "SELECT concat_ws(' ', state, item_id, outcome) FROM stockq.find_reference('s', 'order 7')") == [
                        "finished a applied", "finished a applied", "ready b",
                    ])
            #expect(
                try database.rows("SELECT concat_ws(' ', state, outcome) FROM stockq.find_key('s', 'k1')") == [
                    "finished applied"
                ])
            #expect(try database.rows("SELECT state FROM stockq.find_key('s', 'k2')") == ["ready"])
            #expect(try database.rows("SELECT state FROM stockq.find_key('t', 'k1')") == [])
            #expect(try database.rows("SELECT state FROM stockq.find_group('s', 'g')") == ["ready"])
            let job = try database.value("SELECT max(job_id) FROM stockq.jobs")
            #expect(
                try database.rows("SELECT concat_ws(' ', state, item_id) FROM stockq.find_job(\(job))") == ["ready b"])
        }
    }

    @Test func theHistoryAnswersForAnyTime() async throws {
        try await withDatabase { database in
            try database.run(Self.items)
            var times: [String] = [try database.value("SELECT clock_timestamp()")]
            for quantity in [-1, -2, 5] {
                try database.run("SELECT stockq.enqueue('s', 'a', \(quantity))")
                try database.drain()
                times.append(try database.value("SELECT clock_timestamp()"))
            }
            #expect(
                try database.rows(
                    "SELECT concat_ws(' ', version, on_hand_before, on_hand_after) FROM stockq.item_history('s', 'a', movements => 2)"
                )
                    == ["3 7 12", "2 9 7"])
            let then = try times.map {
                try database.value(
                    "SELECT concat_ws(' ', on_hand, available, version) FROM stockq.stock_at('s', 'a', 'main', '\($0)')"
                )
            }
            #expect(then == ["10 10 0", "9 9 1", "7 7 2", "12 12 3"])
            #expect(try database.rows("SELECT 1 FROM stockq.stock_at('s', 'a', 'main', '2001-01-01')") == [])
            #expect(try database.value("SELECT on_hand FROM stockq.stock_at('s', 'b', 'main', now())") == "5")
            // Where retention has dropped everything, the present stock is still known.
            try database.run("DELETE FROM stockq.results")
            #expect(try database.value("SELECT on_hand FROM stockq.stock_at('s', 'a', 'main', now())") == "12")
            #expect(try database.rows("SELECT 1 FROM stockq.stock_at('s', 'a', 'main', '\(times[1])')") == [])
        }
    }

    /// The ceiling is exact for one producer at a time, and costs a count only near it.
    @Test func aStoreMayHaveACeiling() async throws {
        try await withDatabase { database in
            try database.run(Self.items + "; SELECT stockq.set_ceiling('s', 3)")
            let session = try database.connect()
            for _ in 1...3 { try session.executeScript("SELECT stockq.enqueue('s', 'a', -1)") }
            let full = #expect(throws: PostgresError.self) {
                try session.executeScript("SELECT stockq.enqueue('s', 'a', -1)")
            }
            #expect(full?.sqlState == "53400" && full?.message == "store 's' has 3 ready jobs, and may have 3")
            try session.executeScript("SELECT stockq.enqueue('t', 'a', -1)")
            try database.drain()
            #expect(
                try Self.refusal(of: "SELECT stockq.enqueue_arrays('s', '{a,a,a,a}', '{1,1,1,1}')", database).hasPrefix(
                    "53400"))
            try session.executeScript(
                "SELECT stockq.enqueue('s', 'a', -1); SELECT stockq.set_ceiling('s', NULL); SELECT stockq.enqueue_arrays('s', '{a,a,a,a}', '{1,1,1,1}')"
            )
        }
    }

    /// What a dry run says is what the model says, which the judgement is held against by the million.
    @Test(arguments: 0..<6) func aPreviewSaysWhatWouldHappen(seed: UInt64) async throws {
        try await withDatabase { database in
            var scenario = Scenario(seed: seed, items: 5)
            let shop = StoreCase(name: "s", items: scenario.items)
            let connection = try database.connect()
            try connection.executeScript(shop.itemsSQL)
            var model = Model(items: scenario.items)
            var nextID: Int64 = 1
            for round in 0..<24 {
                let isGroup = round % 2 == 1
                var jobs = scenario.jobs(12, firstID: nextID, waits: true, groups: isGroup)
                if isGroup {
                    jobs = jobs.filter { $0.group != nil && $0.group == jobs.last { $0.group != nil }?.group }
                }
                // The list's own repetitions are refused, as they are when it is enqueued.
                let keys = jobs.compactMap(\.key)
                if jobs.isEmpty || Set(keys).count < keys.count { continue }
                for index in jobs.indices {
                    jobs[index].expired = false
                    jobs[index].id = nextID
                    jobs[index].group = isGroup ? "group \(round)" : nil
                    jobs[index].priority = 2
                    nextID += 1
                }
                let before = model
                if isGroup { model.take(jobs) } else { for job in jobs { model.take([job]) } }
                let lines = jobs.map { job in
                    "{\"item_id\": \"\(job.item)\", \"quantity\": \(job.quantity), \"action\": \"\(job.action)\", \"on_insufficient\": \"\(job.policy)\""
                        + (job.expected.map { ", \"expected_available\": \($0)" } ?? "")
                        + (job.key.map { ", \"idempotency_key\": \"\($0)\"" } ?? "") + "}"
                }
                let told = try database.rows(
                    """
                    SELECT concat_ws(' ', CASE WHEN waits THEN 'waits' ELSE outcome::text END, coalesce(code::text, '-'), coalesce(warning::text, '-'),
                        applied_quantity, '[' || concat_ws(', ', on_hand_before, on_hand_after, allocated_before, allocated_after) || ']')
                    FROM stockq.preview('s', '[\(lines.joined(separator: ", "))]', \(isGroup))
                    """, connection)
                let expected = jobs.map { job in
                    guard let result = model.results[job.id] else { return "waits" }
                    return
                        "\(result.outcome) \(result.code) \(result.warning) \(result.applied) \(result.stock.dropLast())"
                }
                for ((mine, theirs), line) in zip(zip(told, expected), lines) {
                    let same = theirs == "waits" ? mine.hasPrefix("waits - - 0") : mine == theirs
                    #expect(same, "seed \(seed), round \(round), \(line): \(mine), the model says \(theirs)")
                }
                #expect(told.count == expected.count)
                #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "0")
                // Now for real, so that the next list meets keys that were used; but not what would wait, and be woken.
                if model.waiting.isEmpty {
                    try connection.executeScript(StoreCase(name: "s", items: [:], jobs: jobs).jobsSQL)
                    try database.drain { $0.workers = 1 }
                } else {
                    model = before
                }
                model.forgetResults()
            }
        }
    }
}
