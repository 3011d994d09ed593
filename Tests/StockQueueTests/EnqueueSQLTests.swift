import Foundation
import StockQueue
import StockQueueLocking
import StockQueuePostgres
import TestSupport
import Testing

/// The SQL functions for producers, called as a producer calls them.
@Suite struct EnqueueSQLTests {
    static let items = """
        INSERT INTO stockq.items (store_id, item_id, on_hand, location_id) VALUES
            ('s', 'a', 10, 'main'), ('s', 'b', 5, 'main'), ('s', 'a', 0, 'cellar'), ('t', 'a', 10, 'main')
        """

    @Test("an argument that is not given has the default of a plain INSERT") func defaultsOfEachEntry() async throws {
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

    @Test("every column arrives") func everyColumnArrives() async throws {
        try await withDatabase { database in
            try database.run("SELECT stockq.set_time_limit(36500)")
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

    @Test("a reference and a reason of a list are those of its lines without one") func referenceOfAll() async throws {
        try await withDatabase { database in
            let lines =
                "[{\"item_id\": \"a\", \"quantity\": 1, \"reference\": \"r\"}, {\"item_id\": \"b\", \"quantity\": 1, \"reason\": \"x\"}]"
            try database.run(
                """
                SELECT stockq.enqueue_lines('s', '\(lines)', reference => 'order 1', reason => 'sale');
                SELECT stockq.enqueue_arrays('s', '{c,d}', '{1,1}', "references" => '[5:6]={NULL,r}', reason => 'sale');
                SELECT stockq.enqueue_arrays('s', '{e}', '{1}', reasons => '{y}');
                """)
            #expect(
                try database.rows("SELECT item_id, reference, reason FROM stockq.jobs ORDER BY job_id")
                    == ["a,r,sale", "b,order 1,x", "c,,sale", "d,r,sale", "e,,y"])
        }
    }

    @Test("a list is a group where it has a group id") func lists() async throws {
        try await withDatabase { database in
            try database.run(Self.items)
            let lines = "[{\"item_id\": \"a\", \"quantity\": -3}, {\"item_id\": \"b\", \"quantity\": -6}]"
            let alone = try database.rows(
                "SELECT concat_ws(' ', line, is_duplicate) FROM stockq.enqueue_lines('s', '\(lines)')")
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

    static let badCallCases: [(String, String)] = [
        ("enqueue_lines('s', '{}')", "22023 the lines must be a JSON array of objects"),
        ("enqueue_lines('s', '[{\"item_id\": \"a\", \"quantity\": 1}, 7]')", "22023 line 2 is not an object"),
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
            "22023 idempotency key 'k' is used on more than one line"
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
        (
            "enqueue('s', 'a', 1, action => 'steal')",
            "22P02 action must be one of adjust, allocate, deallocate, ship, set, not 'steal'"
        ),
        (
            "enqueue('s', 'a', 1, on_insufficient => 'x')",
            "22P02 on_insufficient must be one of reject, allow, partial, wait, not 'x'"
        ),
        (
            "enqueue('s', 'a', 1, action => 'ship', on_insufficient => 'wait')",
            "23514 on_insufficient wait does not go with action ship"
        ),
        ("enqueue('s', '', 1)", "23514 item_id is empty"),
        ("enqueue('s', NULL, 1)", "23502 item_id is empty"),
        ("enqueue('', 'a', 1)", "23514 store_id is empty"),
        ("enqueue('s', 'a', NULL)", "23502 quantity is empty"),
        ("enqueue('s', repeat('a', 201), 1)", "23514 item_id has 201 bytes, at most 200 are allowed"),
        (
            "enqueue('s', 'a', 1, location_id => 'main ')",
            "23514 location_id ends with U+0020 (SPACE), which does not show; remove it"
        ),
        ("enqueue('s', E'a\\u200Bb', 1)", "23514 item_id contains U+200B, which does not show; remove it"),
        ("enqueue('s', E'\\tGröße', 1)", "23514 item_id begins with U+0009, which does not show; remove it"),
        ("enqueue('s', 'a', 1, priority => 9)", "23514 priority must be from 1 to 4, not 9"),
        ("enqueue('s', 'a', 1, max_attempts => 0)", "23514 max_attempts must be from 1 to 1000, not 0"),
        (
            "enqueue('s', 'a', 1, group_id => 'g', ordering_key => 'o')",
            "23514 group_id and ordering_key are mutually exclusive"
        ),
        ("enqueue('s', 'a', 1, run_at => 'infinity')", "23514 run_at must be a time, not infinity"),
        (
            "enqueue('s', 'a', 1, expires_at => 'infinity')",
            "23514 expires_at is too far ahead: 400 days is the limit, and it is infinity"
        ),
        (
            "enqueue('s', 'a', 1, reason => repeat('x', 2001))", "23514 reason has 2001 bytes, at most 2000 are allowed"
        ),
        (
            "enqueue('s', 'a', 1, metadata => '3')",
            "23514 metadata must be a JSON object like {\"till\": 3}, not 3"
        ),
        (
            "enqueue_lines('s', '[{\"item_id\": \"a\", \"quantity\": 1}, {\"item_id\": \"\", \"quantity\": 1}]')",
            "23514 line 2: item_id is empty"
        ),
        (
            "enqueue_arrays('s', '{a,b,\"c \"}', '{1,1,1}', priority => 1)",
            "23514 line 3: item_id ends with U+0020 (SPACE), which does not show; remove it"
        ),
        ("enqueue_arrays('s', '{a,b}', '{1,NULL}')", "23502 line 2: quantity is empty"),
        (
            "enqueue_arrays('s', '{a,b}', '{1,1}', '{adjust,sell}')",
            "22P02 line 2: action must be one of adjust, allocate, deallocate, ship, set, not 'sell'"
        ),
        (
            "enqueue_arrays('s', '{a,b}', '{1,1}', counted_ats => ARRAY[NULL, now()])",
            "22023 line 2: counted_at is for the action set, not for adjust"
        ),
        (
            "enqueue_arrays('s', '{a,b}', '{1,1}', idempotency_keys => '{k,\"\"}')",
            "23514 line 2: idempotency_key is empty"
        ),
        ("enqueue_arrays('s', '{a}', '{1}', priority => 0)", "23514 priority must be from 1 to 4, not 0"),
        ("transfer('s', 'a', 0, 'main', 'cellar')", "22023 the quantity of a transfer must be above 0, not 0"),
        ("transfer('s', 'a', 1, 'main', 'main')", "22023 both locations are 'main'"),
        (
            "transfer('s', 'a', 1, 'main', 'cellar', on_insufficient => 'partial')",
            "22023 on_insufficient of a transfer must be reject, allow or wait, not partial"
        ),
    ]

    @Test("a bad call says what is wrong", arguments: badCallCases) func badCalls(_ call: String, says: String)
        async throws
    {
        try await withDatabase { database in
            try database.run(Self.items)
            #expect(try database.failure(of: "SELECT * FROM stockq.\(call)") == says)
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "0")
        }
    }

    @Test("an error in words has the constraint's name, and unusual ids are accepted") func namesOfConstraints()
        async throws
    {
        try await withDatabase { database in
            for (call, constraint) in [
                ("enqueue('s', 'a ', 1)", "jobs_ids_visible"), ("enqueue('s', '', 1)", "jobs_item_id_length"),
                ("enqueue_arrays('s', '{a}', '{1}', priority => 5)", "jobs_priority_range"),
            ] {
                let error = #expect(throws: PostgresError.self) { try database.run("SELECT stockq.\(call)") }
                #expect(error?.constraint == constraint)
            }
            try database.run(
                """
                SELECT stockq.enqueue('ber lin', 'Größe | 40', 1, location_id => 'a |b', metadata => '{}');
                SELECT stockq.enqueue_arrays('ber lin', '{Größe | 40,a  b,"東京"}', '{1,1,1}', location_ids => '{a |b,NULL,x}')
                """)
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "4")
            // A later time than at first, which an administrator allows.
            try database.run("SELECT stockq.set_time_limit(36500)")
            try database.run("SELECT stockq.enqueue('s', 'a', 1, run_at => now() + interval '9999 days')")
        }
    }

    @Test("a transfer moves stock") func transfer() async throws {
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
                    "SELECT concat_ws(' ', is_duplicate, outcome) FROM stockq.transfer('s', 'a', 4, 'main', 'cellar', idempotency_key => 't1')"
                )
                    == ["t applied", "t applied"])
        }
    }

    @Test("a job is enqueued only if its transaction commits") func rollback() async throws {
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

    @Test("waiting ends with the result") func waiting() async throws {
        try await withDatabase { database in
            try database.run(Self.items)
            let job = try database.value("SELECT job_id FROM stockq.enqueue('s', 'a', -1)")
            #expect(try database.rows("SELECT 1 FROM stockq.wait_for_result(\(job), 30)") == [])
            let result = Mutex("")
            let waits = Background {
                let answer = try database.value(
                    "SELECT concat_ws(' ', outcome, on_hand_after) FROM stockq.wait_for_result(\(job), 60000)")
                result.withLock { $0 = answer }
            }
            try database.drain()
            try waits.wait()
            #expect(result.withLock { $0 } == "applied 9")
            #expect(
                try database.failure(
                    of: "SELECT stockq.wait_for_result(job_id, 1000) FROM stockq.enqueue('s', 'a', -1)"
                ).hasSuffix("was enqueued by this transaction, and workers see it only after the commit"))
            #expect(
                try database.failure(
                    of:
                        "BEGIN; SAVEPOINT x; SELECT stockq.enqueue('s', 'a', -7); RELEASE x; SELECT stockq.wait_for_result((SELECT max(job_id) FROM stockq.jobs), 60000)"
                ).hasPrefix("55000"))
            #expect(
                try database.failure(of: "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT stockq.wait_for_result(1)")
                    == "55000 a transaction that is repeatable read never sees the result")
        }
    }

    @Test("a job is found by its id, key, group and reference") func finding() async throws {
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

    @Test("the history has the stock of any time") func history() async throws {
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

    /// The limit is exact for one producer at a time; the backlog is counted only near it.
    @Test("a store may have a limit of ready jobs") func storeLimit() async throws {
        try await withDatabase { database in
            try database.run(Self.items + "; SELECT stockq.set_store_limit('s', 3)")
            let session = try database.connect()
            for _ in 1...3 { try session.executeScript("SELECT stockq.enqueue('s', 'a', -1)") }
            let full = #expect(throws: PostgresError.self) {
                try session.executeScript("SELECT stockq.enqueue('s', 'a', -1)")
            }
            #expect(
                full?.sqlState?.rawValue == "53400"
                    && full?.message == "store 's' has reached its limit of 3 ready jobs")
            try session.executeScript("SELECT stockq.enqueue('t', 'a', -1)")
            try database.drain()
            try session.executeScript("SELECT stockq.enqueue('s', 'a', -1)")
            #expect(
                try database.failure(of: "SELECT stockq.enqueue_arrays('s', '{a,a,a}', '{1,1,1}')")
                    == "53400 3 more lines exceed the limit of 3 ready jobs of store 's', which has 1")
            try session.executeScript(
                "SELECT stockq.enqueue('s', 'a', -1); SELECT stockq.set_store_limit('s', NULL); SELECT stockq.enqueue_arrays('s', '{a,a,a,a}', '{1,1,1,1}')"
            )
        }
    }

    /// A producer must not retry what can never fit.
    @Test("more lines than the store limit never fit") func linesBeyondTheLimit() async throws {
        try await withDatabase { database in
            try database.run("SELECT stockq.set_store_limit('s', 3)")
            #expect(
                try database.failure(of: "SELECT stockq.enqueue_arrays('s', '{a,a,a,a}', '{1,1,1,1}')")
                    == "54000 4 lines at once exceed the limit of 3 ready jobs of store 's'")
        }
    }

    @Test("waiting has a limit", arguments: [-1, 60_001]) func waitingLimit(_ milliseconds: Int) async throws {
        try await withDatabase { database in
            let error = try database.failure(of: "SELECT stockq.wait_for_result(1, \(milliseconds))")
            #expect(error == "22023 timeout_ms must be 0 to 60000, not \(milliseconds)")
        }
    }
}
