import Foundation
import StockFormats
import TestSupport
import Testing

/// What administrators do on the dashboard.
@Suite("Acts on the dashboard") struct DashboardActTests {
    private static func queued(_ database: TestDatabase) throws -> String {
        try database.value("SELECT string_agg(job_id::text, ' ' ORDER BY job_id) FROM stockq.jobs")
    }

    private static func answer(_ answer: ServeCommandTests.Answer) throws -> JSONValue {
        #expect(answer.status == 200, "\(answer.body)")
        return try JSONReader.read(Array(answer.body.utf8)[...])
    }

    /// Three jobs for later; the second and the third are a group.
    private static func fill(_ database: TestDatabase) throws {
        try database.run(
            """
            INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 9);
            SELECT stockq.enqueue('s', 'a', -1, run_at => now() + interval '1 day');
            SELECT stockq.enqueue_lines('s', '[{"item_id": "a", "quantity": -1}, {"item_id": "a", "quantity": -2}]',
                group_id => 'g', run_at => now() + interval '1 day');
            """)
    }

    @Test("a rehearsal shows the jobs and changes nothing; the act changes them and is recorded") func cancel()
        async throws
    {
        try await withDatabase { (database: TestDatabase) throws in
            try Self.fill(database)
            let dashboard = try DashboardUnderTest(database)
            // Whatever does not say clearly that it is to be done is a rehearsal.
            for dryRun in [#","dry_run":true"#, "", #","dry_run":0"#] {
                let shown = try Self.answer(try dashboard.act(#"{"verb":"cancel","jobs":[2]\#(dryRun)}"#))
                #expect(shown["jobs"] == .array([.integer(2), .integer(3)]))
                #expect(shown["dry_run"] == .bool(true))
                #expect(try Self.queued(database) == "1 2 3")
            }
            #expect(try database.value("SELECT count(*) FROM stockq.operations") == "0")
            let done = try Self.answer(
                try dashboard.act(#"{"verb":"cancel","jobs":[2,3],"dry_run":false,"reason":"wrong order"}"#))
            #expect(done["count"] == .integer(2))
            #expect(try Self.queued(database) == "1")
            let record = try database.value(
                "SELECT who, verb, jobs, subject->>'reason' FROM stockq.operations")
            #expect(record == "stockq,cancel,2,wrong order")
            #expect(dashboard.process.errorText.contains("event=act verb=cancel jobs=2"))
            try dashboard.stop()
        }
    }

    @Test("acts on a filter, a group and a reference; priorities; pauses") func others() async throws {
        try await withDatabase { (database: TestDatabase) throws in
            try Self.fill(database)
            let dashboard = try DashboardUnderTest(database)
            let filtered = try Self.answer(
                try dashboard.act(#"{"verb":"reprioritize","priority":4,"filter":"store=s&state=scheduled"}"#))
            #expect(filtered["jobs"] == .array([.integer(1), .integer(2), .integer(3)]))
            _ = try Self.answer(
                try dashboard.act(#"{"verb":"reprioritize","priority":4,"jobs":[1,2,3],"dry_run":false}"#))
            #expect(try database.value("SELECT string_agg(priority::text, ' ') FROM stockq.jobs") == "4 4 4")
            let group = try Self.answer(try dashboard.act(#"{"verb":"cancel","store":"s","group":"g"}"#))
            #expect(group["jobs"] == .array([.integer(2), .integer(3)]))
            let pause = try Self.answer(try dashboard.act(#"{"verb":"pause","store":"s"}"#))
            guard case .string(let text)? = pause["text"] else { throw ServeCommandTests.ShopError("\(pause)") }
            #expect(text.contains("would be paused") && text.contains("3 queued jobs"))
            #expect(try database.value("SELECT count(*) FROM stockq.paused_stores") == "0")
            _ = try Self.answer(try dashboard.act(#"{"verb":"pause","store":"s","dry_run":false}"#))
            #expect(try database.value("SELECT store_id FROM stockq.paused_stores") == "s")
            _ = try Self.answer(try dashboard.act(#"{"verb":"resume","store":"s","dry_run":false}"#))
            #expect(try database.value("SELECT count(*) FROM stockq.paused_stores") == "0")
            try dashboard.stop()
        }
    }

    @Test("rejected jobs are retried once, those of a filter too") func retry() async throws {
        try await withDatabase { (database: TestDatabase) throws in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 1);
                SELECT stockq.enqueue('s', 'a', -5), stockq.enqueue('s', 'a', -6);
                """)
            try database.drain()
            let dashboard = try DashboardUnderTest(database)
            let shown = try Self.answer(
                try dashboard.act(#"{"verb":"retry","filter":"outcome=rejected&code=insufficient_stock"}"#))
            #expect(shown["count"] == .integer(2))
            #expect(try Self.queued(database) == "")
            for expected in [1, 0] {
                let done = try Self.answer(try dashboard.act(#"{"verb":"retry","jobs":[1],"dry_run":false}"#))
                #expect(done["count"] == .integer(expected))
            }
            #expect(try database.value("SELECT count(*) FROM stockq.jobs WHERE retry_of = 1") == "1")
            #expect(try dashboard.act(#"{"verb":"retry","filter":"outcome=applied"}"#).status == 400)
            #expect(try dashboard.act(#"{"verb":"retry","jobs":[99],"dry_run":false}"#).status == 422)
            try dashboard.stop()
        }
    }

    @Test("without the admin token, its field, or an administrator's role nothing happens") func rights() async throws {
        try await withDatabase { (database: TestDatabase) throws in
            try Self.fill(database)
            let body = #"{"verb":"cancel","jobs":[1],"dry_run":false}"#
            let dashboard = try DashboardUnderTest(database)
            #expect(try dashboard.act(body, token: nil).status == 401)
            #expect(try dashboard.act(body, token: "wrong-token-of-the-tests-0123").status == 401)
            #expect(try dashboard.act(body, token: DashboardUnderTest.token).status == 403)
            #expect(try dashboard.act(body, fields: []).status == 403)
            #expect(try dashboard.act(body, fields: ["Content-Type: application/x-www-form-urlencoded"]).status == 403)
            #expect(try dashboard.curl("/dashboard/api/acts", ["-H", "X-Stockq-Act: 1"]).status == 405)
            try dashboard.stop()

            let readOnly = try DashboardUnderTest(database, admits: false)
            #expect(try readOnly.act(body, token: DashboardUnderTest.token).status == 403)
            #expect(try readOnly.act(body).status == 401)
            try readOnly.stop()

            let role = "reader_of_\(database.name)"
            try database.run("CREATE ROLE \(role) LOGIN; GRANT stockq_reader TO \(role)")
            defer { try? database.run("DROP ROLE \(role)") }
            let ofReader = try DashboardUnderTest(database, as: role)
            let forbidden = try ofReader.act(body)
            #expect(forbidden.status == 403)
            #expect(forbidden.body.contains("role"))
            try ofReader.stop()
            #expect(try Self.queued(database) == "1 2 3")
        }
    }

    @Test(
        "a call that makes no sense is an error that says why",
        arguments: [
            "", "[]", #"{"verb":"drop"}"#, #"{"verb":"cancel"}"#, #"{"verb":"cancel","jobs":[]}"#,
            #"{"verb":"cancel","jobs":["x"]}"#,
            #"{"verb":"cancel","group":"g"}"#, #"{"verb":"reprioritize","jobs":[1],"priority":9}"#,
            #"{"verb":"pause"}"#,
            #"{"verb":"pause","lane":64}"#, #"{"verb":"pause","lane":1,"store":"s"}"#,
            #"{"verb":"cancel","filter":"state=x"}"#,
        ]) func faults(body: String) async throws
    {
        try await withDatabase { (database: TestDatabase) throws in
            let dashboard = try DashboardUnderTest(database)
            let answer = try dashboard.act(body)
            #expect(answer.status == 400, "\(body): \(answer.body)")
            #expect(answer.body.hasPrefix(#"{"error":""#))
            try dashboard.stop()
        }
    }
}
