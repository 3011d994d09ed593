import StockModel
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// Shows both sides where they differ.
private func expectRows(_ found: [String], _ expected: [String]) { #expect(found == expected) }

/// Who caused a job, when it happened, and what the producer keeps with it.
@Suite("Details of jobs") struct JobDetailTests {
    private static let details =
        "concat_ws(',', actor, to_char(occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), metadata)"
    private static let given = "till 3,2026-01-02 03:04:05,{lot: [1, null]}"  // the rows have no quotes

    private static func jobs(_ database: TestDatabase) throws -> [String] {
        try database.rows("SELECT \(details) FROM stockq.jobs ORDER BY job_id")
    }

    private static func results(_ database: TestDatabase) throws -> [String] {
        try database.rows("SELECT \(details) FROM stockq.results ORDER BY job_id")
    }

    static let ways = [
        """
        INSERT INTO stockq.jobs (store_id, item_id, quantity, actor, occurred_at, metadata)
        VALUES ('s', 'a', 1, 'till 3', '2026-01-02T03:04:05Z', '{"lot": [1, null]}')
        """,
        """
        SELECT stockq.enqueue('s', 'a', 1, actor => 'till 3', occurred_at => '2026-01-02T03:04:05Z',
            metadata => '{"lot": [1, null]}')
        """,
        """
        SELECT stockq.enqueue_lines('s', '[{"item_id": "a", "quantity": 1, "actor": "till 3",
            "occurred_at": "2026-01-02T03:04:05Z", "metadata": {"lot": [1, null]}}]', actor => 'till 4',
            occurred_at => '2020-01-01Z', metadata => '{}')
        """,
        """
        SELECT stockq.enqueue_lines('s', '[{"item_id": "a", "quantity": 1, "metadata": null}]', actor => 'till 3',
            occurred_at => '2026-01-02T03:04:05Z', metadata => '{"lot": [1, null]}')
        """,
        """
        SELECT stockq.enqueue_arrays('s', '{a}', '{1}', actors => '{till 3}', occurred_ats => '{2026-01-02T03:04:05Z}',
            metadatas => ARRAY['{"lot": [1, null]}'::jsonb])
        """,
    ]

    @Test("each way of enqueueing in SQL takes them, and the result keeps them", arguments: ways)
    func enqueue(sql: String) async throws {
        try await withDatabase { database in
            try database.addItem("a", 5)
            try database.run(sql)
            expectRows(try Self.jobs(database), [Self.given])
            try database.drain()
            expectRows(try Self.results(database), [Self.given])
            #expect(
                try database.rows(
                    "SELECT \(Self.details) FROM stockq.changes_after('0') UNION ALL SELECT \(Self.details) FROM stockq.job_states"
                )
                    == [Self.given, Self.given])
            try expectSoundLedger(database)
        }
    }

    @Test("a Swift producer gives them singly, in a list and in bulk") func producer() async throws {
        try await withDatabase { database in
            try database.addItem("a", 5)
            let producer = Producer(connection: try database.connect(), schema: .standard)
            var job = JobRequest(store: "s", item: "a", quantity: 1)
            job.actor = "till 3"
            job.occurredAtMicroseconds = 820_638_245_000_000
            job.metadata = #"{"lot": [1, null]}"#
            _ = try producer.enqueue(job)
            _ = try producer.enqueue([job, JobRequest(store: "s", item: "a", quantity: 2)])
            _ = try producer.enqueueBulk([job])
            expectRows(try Self.jobs(database), [Self.given, Self.given, "", Self.given])
            try database.drain()
            let inspector = Inspector(connection: try database.connect(), schema: .standard)
            let result = try #require(try inspector.result(of: 1)).value
            #expect(result.actor == "till 3" && result.metadata == #"{"lot": [1, null]}"#)
            #expect(result.occurredAt == job.occurredAt && result.countedAt == nil)
        }
    }

    @Test(
        "files have columns for them, in CSV as text and in NDJSON as an object", arguments: [InputFormat.csv, .ndjson])
    func files(format: InputFormat) async throws {
        try await withDatabase { database in
            let text =
                format == .csv
                ? """
                store_id,item_id,quantity,actor,occurred_at,metadata
                s,a,1,till 3,2026-01-02T03:04:05Z,"{""lot"": [1, null]}"
                s,a,1,,,[1]
                s,a,1,,,{
                s,a,1,,,"{""a"": ""\\u0000""}"

                """
                : """
                {"store_id":"s","item_id":"a","quantity":1,"actor":"till 3","occurred_at":"2026-01-02T03:04:05Z","metadata":{"lot":[1,null]}}
                {"store_id":"s","item_id":"a","quantity":1,"metadata":[1]}
                {"store_id":"s","item_id":"a","quantity":1,"metadata":"{"}
                {"store_id":"s","item_id":"a","quantity":1,"metadata":{"a":"\\u0000"}}

                """
            var problems: [String] = []
            var options = JobImport.Options()
            options.form.format = format
            try withFile(Array(text.utf8)) { file in
                var importer = try JobImport(
                    connection: database.connect(), schema: .standard, source: ByteSource(descriptor: file),
                    options: options, onReject: { error, _ in problems.append(error.message) })
                _ = try importer.run()
            }
            expectRows(try Self.jobs(database), [Self.given])
            #expect(problems.map { $0.hasPrefix("metadata must") } == [true, true, true], "\(problems)")
        }
    }

    @Test("a canceled job keeps them, and its retry has them again") func canceledAndRetried() async throws {
        try await withDatabase { database in
            try database.run(Self.ways[1])
            try database.run("SELECT stockq.cancel_jobs('{1}'); SELECT stockq.retry_jobs(job_ids => '{1}')")
            expectRows(try Self.results(database), [Self.given])
            expectRows(try Self.jobs(database), [Self.given])
        }
    }

    @Test(
        "what is no actor, no time and no object is refused",
        arguments: [
            ("actor => ''", "jobs_actor_length"), ("occurred_at => 'infinity'", "jobs_occurred_at_finite"),
            ("metadata => '[1]'", "jobs_metadata_valid"),
            ("metadata => jsonb_build_object('a', repeat('x', 10000))", "jobs_metadata_valid"),
        ])
    func refused(argument: String, constraint: String) async throws {
        try await withDatabase { database in
            let error = #expect(throws: PostgresError.self) {
                try database.run("SELECT stockq.enqueue('s', 'a', 1, \(argument))")
            }
            #expect(error?.constraint == constraint)
        }
    }
}
