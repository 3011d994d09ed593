import Foundation
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// Administrative functions on groups of many lines, and from two sessions at once.
@Suite("Administrative functions on large groups") struct AdminGrowthTests {
    /// The functions on a group `g` of the store `s`, in an order in which each finds its lines.
    private static let calls = [
        "SELECT stockq.reprioritize(1, store_id => 's', group_id => 'g')",
        "SELECT count(*) FROM stockq.cancel_jobs(store_id => 's', group_id => 'g')",
        "SELECT count(*) FROM stockq.retry_jobs(ARRAY(SELECT job_id FROM stockq.results))",
        "SELECT count(*) FROM stockq.cancel_jobs(ARRAY(SELECT job_id FROM stockq.jobs))",
    ]

    private static func enqueueGroup(_ lines: Int, _ connection: Connection) throws {
        try connection.executeScript(
            """
            TRUNCATE stockq.jobs, stockq.results, stockq.retries;
            INSERT INTO stockq.jobs (store_id, item_id, quantity, group_id)
            SELECT 's', 'a', -1, 'g' FROM generate_series(1, \(lines))
            """, timeoutMs: 120_000)
    }

    @Test("a hundred times as many lines take about a hundred times as long") func growth() async throws {
        try await withDatabase { database in
            let connection = try database.connect()
            var times: [[Double]] = []
            for lines in [1_000, 100_000] {
                try Self.enqueueGroup(lines, connection)
                times.append(
                    try Self.calls.map { call in
                        let start = Stopwatch()
                        try connection.executeScript(call, timeoutMs: 120_000)
                        return Double(max(1, start.milliseconds))
                    })
            }
            #expect(try database.resultCount() == 200_000)
            for (index, call) in Self.calls.enumerated() {
                // Linear is 100, quadratic is 10,000. The machine may be busy with other tests.
                #expect(times[1][index] / max(5, times[0][index]) < 1_500, "\(call): \(times.map { $0[index] }) ms")
            }
        }
    }

    @Test("no step of their plans has more than a few rows for each line") func plans() async throws {
        try await withDatabase { database in
            let lines = 2_000
            let connection = try database.connect()
            try Self.enqueueGroup(lines, connection)
            try connection.executeScript(
                """
                LOAD 'auto_explain';
                SET auto_explain.log_min_duration = 0;
                SET auto_explain.log_analyze = on;
                SET auto_explain.log_timing = off;
                SET auto_explain.log_nested_statements = on
                """)
            for call in Self.calls { try connection.executeScript(call) }
            let plans = try Self.plans(database.logFile)
            // One of each function's own statements.
            for statement in ["queued_jobs.reference", "UPDATE jobs SET priority", "'canceled by '", "is_blocked"] {
                let found = plans.filter { $0.contains(statement) }
                #expect(!found.isEmpty, "no plan of the statement with \(statement)")
                for plan in found { #expect(Self.mostRows(in: plan) <= 4 * lines, "\(plan)") }
            }
        }
    }

    /// The plans that auto_explain has written to the server's log.
    private static func plans(_ logFile: String) throws -> [String] {
        var plans: [String] = []
        for line in try String(contentsOfFile: logFile, encoding: .utf8).split(separator: "\n") {
            if line.hasPrefix("\t") {
                if !plans.isEmpty { plans[plans.count - 1] += "\n" + line }
            } else {
                plans.append(String(line))
            }
        }
        return plans.filter { $0.contains("plan:") }
    }

    /// The most rows that a step of the plan returned or dropped, in all its loops.
    private static func mostRows(in plan: String) -> Int {
        var most = 0
        var loops = 1
        for line in plan.split(separator: "\n") {
            if let actual = line.firstMatch(of: /actual rows=(\d+) loops=(\d+)/) {
                loops = Int(actual.output.2) ?? 1
                most = max(most, (Int(actual.output.1) ?? 0) * loops)
            } else if let dropped = line.firstMatch(of: /Rows Removed by .*: (\d+)/) {
                most = max(most, (Int(dropped.output.1) ?? 0) * loops)
            }
        }
        return most
    }

    // MARK: two sessions

    /// Runs a statement in a session that stays open, and then one in another session, which must wait for the first and
    /// then succeed.
    ///
    /// - Returns: the first column of the second session's first row.
    private static func inTwoSessions(
        _ database: TestDatabase, first: String, second: String
    ) throws -> String {
        let holder = try database.connect()
        try holder.executeScript("BEGIN; \(first)")
        let answer = Shared("")
        let other = Background { answer.value = try database.value(second) }
        #expect(try eventually { try database.sessionsWaitingForLocks() == 1 })
        try holder.executeScript("COMMIT")
        try other.wait()
        return answer.value
    }

    @Test("two administrators who retry the same jobs at once retry each of them once") func twoRetries() async throws {
        try await withDatabase { database in
            try database.enqueue(.adjust("unknown", -1), .adjust("unknown", -2))
            try database.drain()
            let retry = "SELECT count(*) FROM stockq.retry_jobs(code => 'unknown_item')"
            #expect(try Self.inTwoSessions(database, first: retry, second: retry) == "0")
            #expect(try database.rows("SELECT retry_of FROM stockq.jobs ORDER BY 1") == ["1", "2"])
            #expect(
                try database.rows("SELECT verb, jobs FROM stockq.operations ORDER BY jobs") == ["retry,0", "retry,2"])
        }
    }

    @Test("two administrators who set a store's limit at once both succeed, and the later one counts")
    func twoLimits() async throws {
        try await withDatabase { database in
            _ = try Self.inTwoSessions(
                database, first: "SELECT stockq.set_store_limit('s', 10)",
                second: "SELECT stockq.set_store_limit('s', 20)")
            #expect(try database.rows("SELECT store_id, ready_jobs_max FROM stockq.store_limits") == ["s,20"])
            _ = try Self.inTwoSessions(
                database, first: "SELECT stockq.set_store_limit('s', NULL)",
                second: "SELECT stockq.set_store_limit('s', 30)")
            #expect(try database.rows("SELECT store_id, ready_jobs_max FROM stockq.store_limits") == ["s,30"])
        }
    }
}
