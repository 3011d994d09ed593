import Foundation
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// The calls of three commerce APIs, each with its published outcome, from Python and from psql.
@Suite struct ShopCallTests {
    /// A call and the expected text for each of its jobs: outcome, code, warning, applied quantity, and on_hand and
    /// allocated after it, as far as the interface publishes them; or the SQLSTATE with which the call fails.
    struct Call: Sendable {
        enum Value: Sendable, ExpressibleByStringLiteral, ExpressibleByBooleanLiteral {
            case text(String)
            case flag(Bool)

            init(stringLiteral text: String) { self = .text(text) }
            init(booleanLiteral flag: Bool) { self = .flag(flag) }

            var sql: String {
                switch self {
                case .text(let text): quoteLiteral(text)
                case .flag(let flag): "\(flag)"
                }
            }

            var python: String {
                switch self {
                case .text(let text): "\"\(text)\""
                case .flag(let flag): flag ? "True" : "False"
                }
            }
        }

        enum What: Sendable {
            case job(item: String, quantity: Int64)
            /// A JSON array, which is Python too.
            case lines(String)
        }

        var what: What
        var options: KeyValuePairs<String, Value>
        var outcomes: [String]

        static func job(
            _ item: String, _ quantity: Int64, _ options: KeyValuePairs<String, Value> = [:], is outcome: String
        ) -> Self {
            Self(what: .job(item: item, quantity: quantity), options: options, outcomes: [outcome])
        }

        static func lines(
            _ lines: String, _ options: KeyValuePairs<String, Value> = [:], are outcomes: [String]
        ) -> Self {
            Self(what: .lines(lines), options: options, outcomes: outcomes)
        }
    }

    private static let item = "65f0c0ffee0123456789abcd"
    private static let cart = """
        [{"item_id": "45-9", "quantity": -6}, {"item_id": "\(item)", "quantity": -4}, {"item_id": "45-9", "quantity": -6}]
        """

    private static let calls: [Call] = [
        // Adjust by a delta: negative stock is allowed with a warning, and the caller chooses whether to notify.
        .job("45", -8, ["on_insufficient": "allow", "notify": false], is: "applied - - -8 2 0"),
        .job("45", -5, ["on_insufficient": "allow", "notify": true], is: "applied - negative_stock -5 -3 0"),
        .job("45-9", 2, ["on_insufficient": "allow"], is: "applied - - 2 7 0"),
        .job("45", 0, is: "unchanged no_change"),
        .job("46", -1, is: "unchanged untracked"),
        .job("47", -1, is: "rejected unknown_item"),
        .job("45-9", 9_007_199_254_740_991, is: "rejected out_of_range"),
        .lines(#"[{"item_id": "45-9", "quantity": 5.0}]"#, are: ["applied -"]),
        .lines(#"[{"item_id": "45-9", "quantity": 5.5}]"#, are: ["22023"]),
        // Deduct a purchase: products and variations, all or nothing; quantities of a repeated id add up.
        .lines(cart, ["group_id": "cart 1"], are: ["applied -", "applied -", "applied -"]),
        .lines(
            cart, ["group_id": "cart 2"],
            are: ["rejected insufficient_stock", "rejected group_rejected", "rejected insufficient_stock"]),
        // Increment, decrement, allocate, deallocate: limited by the available and the allocated quantity.
        .job(item, 10, is: "applied - - 10 16 0"),
        .job(item, -17, is: "rejected insufficient_stock"),
        .job(item, 12, ["action": "allocate"], is: "applied - - 12 16 12"),
        .job(item, 5, ["action": "allocate"], is: "rejected insufficient_stock"),
        .job(item, -5, is: "rejected insufficient_stock"),
        .job(item, 13, ["action": "deallocate"], is: "rejected insufficient_allocation"),
        .job(item, 2, ["action": "deallocate"], is: "applied - - 2 16 10"),
        .job(item, 10, ["action": "ship"], is: "applied - - 10 6 0"),
        .job(item, 0, ["action": "allocate"], is: "rejected invalid_quantity"),
        .job(item, 4, ["action": "set"], is: "applied - - 4 4 0"),
    ]

    /// Makes the calls while workers run, with a client that prints a line for each job or error.
    private static func check(_ client: (TestDatabase) throws -> Program.Ended) throws {
        let database = try TestDatabase()
        defer { database.drop() }
        try database.run(
            """
            INSERT INTO stockq.items (store_id, item_id, parent_id, on_hand, low_stock_threshold, tracked) VALUES
                ('7', '45', NULL, 10, 3, true), ('7', '45-9', '45', 5, NULL, true), ('7', '46', NULL, 0, NULL, false),
                ('7', '\(item)', NULL, 10, NULL, true)
            """)
        try ProducerDocsTests.whileWorking(database) {
            let ended = try client(database)
            #expect(ended.code == 0, "\(ended.err)")
            let lines = ended.out.split(separator: "\n").map { $0.split(separator: " ") }
            let expected = calls.flatMap { call in call.outcomes.map { (call, $0.split(separator: " ")) } }
            #expect(lines.count == expected.count, "\(ended.out)\(ended.err)")
            for (line, (call, outcome)) in zip(lines, expected) {
                #expect(Array(line.prefix(outcome.count)) == outcome, "\(call)")
            }
        }
        #expect(
            try database.rows("SELECT concat_ws(' ', item_id, kind) FROM stockq.notifications ORDER BY notification_id")
                == ["45 out_of_stock", "45-9 out_of_stock"])
    }

    /// With parameters bound by psycopg.
    @Test("every call has its published outcome from Python") func fromPython() async throws {
        try await onThread {
            let calls = Self.calls.map { call in
                let options = call.options.map { ", \($0.key)=\($0.value.python)" }.joined()
                return switch call.what {
                case .job(let item, let quantity): "call(\"\(item)\", \(quantity)\(options))"
                case .lines(let lines): "lines(\(lines)\(options))"
                }
            }
            try Self.check { try ProducerDocsTests.python(Self.python + calls.joined(separator: "\n") + "\n", $0) }
        }
    }

    private static let python = """
        import json, os, psycopg

        db = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)

        def show(sql, values):
            try:
                jobs = db.execute(sql, values).fetchall()
            except psycopg.Error as error:
                print(error.sqlstate)
                return
            for (job,) in jobs:
                row = db.execute("SELECT outcome, code, warning, applied_quantity, on_hand_after, allocated_after"
                                 " FROM stockq.wait_for_result(%s, 20000)", (job,)).fetchone()
                print(*("-" if value is None else value for value in row))

        def named(more):
            return "".join(f", {name} => %({name})s" for name in more)

        def call(item, quantity, **more):
            show(f"SELECT job_id FROM stockq.enqueue('7', %(item)s, %(quantity)s{named(more)})",
                 dict(more, item=item, quantity=quantity))

        def lines(rows, **more):
            show(f"SELECT job_id FROM stockq.enqueue_lines('7', %(rows)s{named(more)}) ORDER BY line",
                 dict(more, rows=json.dumps(rows)))


        """

    /// With literals, and `\gexec` for the results.
    @Test("every call has its published outcome from psql") func fromPsql() async throws {
        try await onThread {
            let calls = Self.calls.map { call in
                let options = call.options.map { ", \($0.key) => \($0.value.sql)" }.joined()
                let function =
                    switch call.what {
                    case .job(let item, let quantity): "enqueue('7', \(quoteLiteral(item)), \(quantity)\(options))"
                    case .lines(let lines): "enqueue_lines('7', \(quoteLiteral(lines))\(options))"
                    }
                return """
                    SELECT format(:'result_query', job_id) FROM stockq.\(function) ORDER BY line \\gexec
                    \\if :ERROR
                        \\echo :LAST_ERROR_SQLSTATE
                    \\endif
                    """
            }
            let script = Self.psql + calls.joined(separator: "\n") + "\n"
            try Self.check { database in
                try Program().start(
                    ["-X", "-q", "-A", "-t", "-F", " ", "-P", "null=-", "-d", database.conninfo],
                    input: Array(script.utf8), executable: "/usr/bin/psql"
                ).wait()
            }
        }
    }

    private static let psql = """
        \\set result_query 'SELECT outcome, code, warning, applied_quantity, on_hand_after, allocated_after FROM stockq.wait_for_result(%s, 20000)'

        """
}
