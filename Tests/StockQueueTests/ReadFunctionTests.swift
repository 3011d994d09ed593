import Foundation
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// The SQL functions that read: their plans, and the values that a list of lines may have.
@Suite struct ReadFunctionTests {
    /// Before the first ANALYZE the planner expects millions of results, and would compile the query.
    @Test("a function that looks something up compiles nothing and expects few rows") func plans() async throws {
        try await withDatabase { database in
            let functions = try database.rows(
                """
                SELECT concat_ws(' ', proname, prorows, 'jit=off' = ANY (proconfig))
                FROM pg_proc
                WHERE pronamespace = 'stockq'::regnamespace AND proretset
                    AND (proname ~ '^find_' OR proname IN ('wait_for_result', 'item_history', 'stock_at'))
                ORDER BY proname
                """)
            #expect(
                functions == [
                    "find_group 10 t", "find_job 1 t", "find_key 1 t", "find_reference 10 t",
                    "item_history 10 t", "stock_at 1 t", "wait_for_result 1 t",
                ])
        }
    }

    @Test(
        "a quantity of a list is a number or a text of digits, as in NDJSON",
        arguments: [
            ("-1", "-1"), ("\"-1\"", "-1"), ("\"+2\"", "2"), ("-1.0", "-1"), ("\"007\"", "7"),
        ])
    func wholeNumbers(value: String, quantity: String) async throws {
        try await withDatabase { database in
            let line = "{\"item_id\": \"a\", \"quantity\": \(value), \"expected_available\": \(value)}"
            try database.run("SELECT stockq.enqueue_lines('s', '[\(line)]')")
            #expect(
                try database.rows("SELECT concat_ws(' ', quantity, expected_available) FROM stockq.jobs") == [
                    "\(quantity) \(quantity)"
                ])
        }
    }

    @Test(
        "a text that is no whole number is shown as the JSON has it",
        arguments: ["\"-1.0\"", "\"x\"", "\"\"", "\" 1\"", "true", "[]", "1.5"])
    func wrongNumbers(value: String) async throws {
        try await withDatabase { database in
            for field in ["quantity", "expected_available"] {
                let other = field == "quantity" ? "" : "\"quantity\": 1, "
                #expect {
                    try database.run(
                        "SELECT stockq.enqueue_lines('s', '[{\"item_id\": \"a\", \(other)\"\(field)\": \(value)}]')")
                } throws: {
                    ($0 as? PostgresError)?.message == "line 1: \(field) must be a whole number, not \(value)"
                }
            }
        }
    }
}
