import Foundation
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// What the dashboard and `stockq top` read.
@Suite struct SnapshotReaderTests {
    private func reader(_ database: TestDatabase) -> SnapshotReader {
        SnapshotReader(connection: database.settings, schema: database.schema)
    }

    private static func rows(_ database: TestDatabase, _ column: String) throws -> Int {
        Int(
            try database.value(
                "SELECT coalesce(sum(\(column)), 0) FROM pg_stat_user_tables WHERE relname LIKE 'results\\_%'")) ?? 0
    }

    @Test("however many results there are, a snapshot reads some thousand of them, and no table whole") func bounded()
        async throws
    {
        try await withDatabase { (database: TestDatabase) throws in
            try database.run(
                """
                INSERT INTO stockq.results (job_id, quantity, applied_quantity, submission_id, finished_at, enqueued_at, outcome,
                    code, action, on_insufficient, priority, attempts, max_attempts, notify, store_id, item_id, location_id,
                    worker)
                SELECT n, -1, 0, '1', now(), now(), 'rejected', 'unknown_item', 'adjust', 'reject', 2, 1, 10, true, 's',
                    'item ' || n % 50, 'main', 'w'
                FROM generate_series(1, 40000) AS n;
                SELECT setval('stockq.jobs_job_id_seq', 40000);
                """)
            var snapshot: QueueSnapshot?
            do {
                let reader = reader(database)
                for _ in 0...SnapshotPanel.allCases.count { snapshot = try reader.read() }
            }
            // The session reports what it has read when it ends.
            #expect(try eventually { try Self.rows(database, "idx_tup_fetch") > 0 })
            #expect(try Self.rows(database, "idx_tup_fetch") < 20_000)
            #expect(try Self.rows(database, "seq_tup_read") == 0)
            let recent = try #require(snapshot?.panels[.recent])
            #expect(recent.contains(#""rejected" : 2000"#))
            #expect(recent.contains(#""item_id":"item 10""#))
        }
    }

    @Test("a deep backlog is estimated from a sample, a small one is counted") func backlog() async throws {
        try await withDatabase { (database: TestDatabase) throws in
            try database.run(
                "INSERT INTO stockq.jobs (store_id, item_id, quantity) SELECT 'small', 'a', 1 FROM generate_series(1, 9)"
            )
            let exact = try #require(try reader(database).read().panels[.backlog])
            #expect(exact.contains(#""is_estimate" : false, "jobs_read" : 9"#))
            #expect(exact.contains(#"{"store_id":"small","ready":9,"deferred":0"#))
            try database.run(
                "INSERT INTO stockq.jobs (store_id, item_id, quantity) SELECT 'large', 'a', 1 FROM generate_series(1, 30000)"
            )
            let sample = try #require(try reader(database).read().panels[.backlog])
            #expect(sample.contains(#""is_estimate" : true"#))
            let match = try #require(sample.firstMatch(of: /"store_id":"large","ready":([0-9]+)/))
            let ready = try #require(Double(match.1))
            #expect((15_000...50_000).contains(ready), "\(ready)")
        }
    }

    @Test("rates are those of some seconds, and a panel is renewed each time") func rates() async throws {
        try await withDatabase { (database: TestDatabase) throws in
            let reader = reader(database)
            let first = try reader.read()
            #expect(first.flow.finishedPerSecond == nil)
            #expect(first.renewed.count == SnapshotPanel.allCases.count)
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 1000);
                SELECT stockq.enqueue('s', 'a', -1) FROM generate_series(1, 100);
                """)
            try database.drain()
            var renewed: Set<SnapshotPanel> = []
            // A session reports what it inserted and deleted some time after its transaction.
            var (finished, enqueued) = (false, false)
            let isComplete = try eventually {
                let snapshot = try reader.read()
                renewed.formUnion(snapshot.renewed)
                #expect(snapshot.renewed.count == 1)
                finished = finished || snapshot.flow.finishedPerSecond ?? 0 > 0
                enqueued = enqueued || snapshot.flow.enqueuedPerSecond ?? 0 > 0
                return finished && enqueued && renewed.count == SnapshotPanel.allCases.count
            }
            #expect(isComplete)
            let last = try reader.read()
            #expect(last.flow.latencies.count == 3)
            #expect(last.flow.lastResultAt != nil)
        }
    }

    @Test("the pause is a second, or fifty times a reading that took long") func pauses() {
        #expect(SnapshotReader.pause(after: .milliseconds(5)) == .seconds(1))
        #expect(SnapshotReader.pause(after: .milliseconds(100)) == .seconds(5))
    }

    @Test("what is wrong is a finding with what to do, the worst first") func findings() async throws {
        try await withDatabase { (database: TestDatabase) throws in
            var snapshot = try reader(database).read()
            #expect(snapshot.findings.map(\.severity) == [.warning])
            snapshot.server.workers = 1
            #expect(snapshot.findings == [])
            snapshot.server.workers = 0
            snapshot.depth.ready = 3
            snapshot.depth.oldestReadyAt = snapshot.at.addingTimeInterval(-7_200)
            snapshot.server.deadDeliveries = 1
            snapshot.server.pausedStores = 2
            snapshot.flow.failed = 4
            let texts = snapshot.findings.map { "\($0.severity.rawValue) \($0.text)" }
            #expect(
                texts == [
                    "bad 3 jobs are ready. No worker is connected to this database. Start stockq run; if it ends at once, its log says why.",
                    "bad The oldest ready job has waited for 2 h.",
                    "warning 4 jobs failed within a day and were not retried; stockq jobs list --state failed has the errors.",
                    "warning 1 delivery was given up; stockq deliveries list has the receivers' errors.",
                    "note Paused stores: 2.",
                ])
        }
    }
}
