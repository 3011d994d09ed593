import Foundation
import StockModel
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// Imports with idempotency keys, and by roles under row security.
@Suite struct KeyedImportTests {
    private static func load(
        _ text: String, _ connection: Connection, _ change: (inout JobImport.Options) -> Void = { _ in }
    ) throws -> ImportProgress {
        var options = JobImport.Options()
        change(&options)
        return try withFile(Array(text.utf8)) { descriptor in
            var importer = try JobImport(
                connection: connection, schema: .standard, source: ByteSource(descriptor: descriptor), options: options,
                onReject: { _, _ in })
            return try importer.run()
        }
    }

    private static let file =
        "store_id,item_id,quantity,group_id\n"
        + (1...2_000).map { "s,a,1,\($0 % 5 < 2 ? "g\($0 / 5)" : "")" }.joined(separator: "\n") + "\n"

    @Test("importing a file again enqueues nothing twice") func importedAgain() async throws {
        try await withDatabase { database in
            try database.run("INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 0)")
            let connection = try database.connect()
            let prefix: (inout JobImport.Options) -> Void = {
                $0.idempotencyPrefix = "file 1"
                $0.rowsPerCommit = 300
            }
            // Half of the file, then all of it twice: once while the jobs are queued, once when they are finished.
            let half = String(Self.file.prefix(Self.file.count / 2))
            let first = try Self.load(half + "\n", connection, prefix)
            let second = try Self.load(Self.file, connection, prefix)
            #expect(first.enqueued + second.enqueued >= 2_000 && second.duplicates > 900)
            try database.drain()
            let third = try Self.load(Self.file, connection, prefix)
            #expect(third.enqueued == 0 && third.duplicates == 2_000)
            try database.drain()
            #expect(try database.value("SELECT on_hand FROM stockq.items") == "2000")
        }
    }

    @Test("duplicates do not count against the store limit") func duplicatesAndTheStoreLimit() async throws {
        try await withDatabase { database in
            try database.run("SELECT stockq.set_store_limit('s', 5)")
            let connection = try database.connect()
            let text = "store_id,item_id,quantity\ns,a,1\ns,a,1\ns,a,1\n"
            let prefix: (inout JobImport.Options) -> Void = { $0.idempotencyPrefix = "f" }
            #expect(try Self.load(text, connection, prefix).enqueued == 3)
            #expect(try Self.load(text, connection, prefix).duplicates == 3)
            let error = #expect(throws: PostgresError.self) {
                try Self.load(text, connection) { $0.idempotencyPrefix = "g" }
            }
            #expect(error?.sqlState?.rawValue == "53400")
        }
    }

    @Test("a changed line with a used key is enqueued, and rejected as a mismatch") func changedLine() async throws {
        try await withDatabase { database in
            try database.run("INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 0)")
            let connection = try database.connect()
            let text = "store_id,item_id,quantity,idempotency_key\ns,a,1,k1\ns,a,2,k2\n"
            #expect(try Self.load(text, connection).enqueued == 2)
            try database.drain()
            let again = try Self.load(text.replacingOccurrences(of: "a,2,", with: "a,3,"), connection)
            #expect(again.enqueued == 1 && again.duplicates == 1)
            try database.drain()
            #expect(
                try database.rows("SELECT concat_ws(' ', quantity, outcome, code) FROM stockq.results ORDER BY job_id")
                    .last
                    == "3 rejected idempotency_mismatch")
        }
    }

    @Test("a producer imports jobs of its stores in their order") func producersImport() async throws {
        try await withDatabase { database in
            let name = "importer_of_\(database.name)"
            try database.run(
                """
                CREATE ROLE \(name) LOGIN; GRANT stockq_producer TO \(name);
                SELECT stockq.grant_store('\(name)', 's', '{update_catalog,read_catalog}');
                INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 0)
                """)
            let connection = try database.connect(as: name)
            let lines = (1...3_000).map { "s,a,\($0)" }
            #expect(
                try Self.load("store_id,item_id,quantity\n" + lines.joined(separator: "\n") + "\n", connection).enqueued
                    == 3_000)
            #expect(
                try database.value(
                    "SELECT bool_and(quantity = position) FROM (SELECT quantity, row_number() OVER (ORDER BY job_id) AS position FROM stockq.jobs) AS j"
                )
                    == "t")
            let error = #expect(throws: PostgresError.self) {
                try Self.load("store_id,item_id,quantity\ns,a,1\ntheirs,a,1\n", connection)
            }
            #expect(error?.sqlState?.rawValue == "42501")
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "3000")
            try database.run("DROP OWNED BY \(name); DROP ROLE \(name)")
        }
    }

    private static func dryRun(_ text: String, _ connection: Connection, rowsAtOnce: Int) throws -> [String: Int] {
        try withFile(Array(text.utf8)) { descriptor in
            var options = JobImport.Options()
            options.isDryRun = true
            options.rowsPerCommit = rowsAtOnce
            var importer = try JobImport(
                connection: connection, schema: .standard, source: ByteSource(descriptor: descriptor), options: options,
                onReject: { _, _ in })
            _ = try importer.run()
            return importer.dryRun?.counts ?? [:]
        }
    }

    /// The request that a key was used for names an item that only a later part of the file has.
    @Test("a dry run in several transactions knows the requests of used keys") func dryRunInParts() async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 9), ('s', 'b', 9);
                INSERT INTO stockq.jobs (store_id, item_id, quantity, idempotency_key) VALUES ('s', 'b', -1, 'k')
                """)
            try database.drain()
            let text = "store_id,item_id,quantity,idempotency_key\ns,a,-1,k\ns,b,-1,k\n"
            let counts = try Self.dryRun(text, database.connect(), rowsAtOnce: 1)
            #expect(counts == ["rejected (idempotency_mismatch)": 1, "duplicate": 1])
        }
    }

    @Test("a dry run counts what the import then does") func dryRunCounts() async throws {
        try await withDatabase { database in
            var scenario = Scenario(seed: 5, items: 6)
            try database.run(StoreCase(name: "s", items: scenario.items).itemsSQL)
            let jobs = scenario.jobs(400, waits: false, groups: true).map { job in
                var job = job
                job.quantity = max(-Quantity.max, min(Quantity.max, job.quantity))
                if job.action != "adjust" { job.quantity = max(1, job.quantity) }
                return
                    "s,\(job.item),\(job.quantity),\(job.action),\(job.policy),\(job.groupID ?? ""),\(job.expired ? "2001-01-01T00:00:00Z" : ""),\(job.key ?? "")"
            }
            let text =
                "store_id,item_id,quantity,action,on_insufficient,group_id,expires_at,idempotency_key\n"
                + jobs.joined(separator: "\n") + "\n"
            let connection = try database.connect()
            let counts = try Self.dryRun(text, connection, rowsAtOnce: 50)
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "0")
            _ = try Self.load(text, connection)
            try database.drain()
            let did = try database.rows(
                "SELECT concat_ws(' ', count(*), outcome, '[' || code || ']') FROM stockq.results GROUP BY outcome, code ORDER BY 1"
            )
            let should = counts.map {
                "\($0.value) \($0.key.replacingOccurrences(of: "(", with: "[").replacingOccurrences(of: ")", with: "]"))"
            }
            #expect(Set(did) == Set(should))
        }
    }
}
