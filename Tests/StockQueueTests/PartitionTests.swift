import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

@Suite("Partitions of the results: added ahead, filled, dropped") struct PartitionTests {
    @Test("every queued job has a partition") func everyJob() async throws {
        try await withDatabase { database in
            try database.addItem("a", 10)
            for drawn in [1, 12_345_678, 23_456_789, 87_654_321] {
                try database.run("SELECT setval('stockq.jobs_job_id_seq', \(drawn))")
                try database.enqueue(.adjust("a", -1))
            }
            try database.drain { $0.maintenanceInterval = .milliseconds(3_600_000) }
            #expect(
                try database.results() == [
                    .applied(2, -1), .applied(12_345_679, -1), .applied(23_456_790, -1), .applied(87_654_322, -1),
                ])
            #expect(Set(try database.attemptsByJob().values) == [1])
        }
    }

    @Test("partitions of another size have no gap between them") func anotherSize() async throws {
        try await withDatabase { database in
            try database.run("SELECT setval('stockq.jobs_job_id_seq', 31000000)")
            try database.run(
                "SELECT stockq.add_results_partitions(3000000, 2); SELECT stockq.add_results_partitions(7000000, 2)")
            #expect(
                try database.value(
                    """
                    SELECT count(*) FROM stockq.partition_bounds() AS p
                    WHERE p.upper_bound <= 31000000
                        AND NOT EXISTS (SELECT FROM stockq.partition_bounds() AS n WHERE n.lower_bound = p.upper_bound)
                        AND p.upper_bound <> 10000000
                    """) == "0")
        }
    }

    @Test("a missing partition is added, and counts no attempt against a job") func missing() async throws {
        try await withDatabase { database in
            try database.addItem("a", 10)
            try database.run("SELECT setval('stockq.jobs_job_id_seq', 123456789)")
            try database.enqueue(.adjust("a", -1))
            try database.drain { $0.maintenanceInterval = .milliseconds(3_600_000) }
            #expect(try database.results() == [.applied(123_456_790, -1)])
            #expect(try database.attemptsByJob() == [123_456_790: 1])
        }
    }

    @Test("partitions beyond 15 digits have names of their own") func longNames() async throws {
        try await withDatabase { database in
            try database.addItem("a", 10)
            for drawn in [999_999_999_999_999, 1_000_000_000_000_000, 9_000_000_000_000_000_000] {
                try database.run("SELECT setval('stockq.jobs_job_id_seq', \(drawn))")
                try database.enqueue(.adjust("a", -1))
                try database.drain { $0.jobsPerPartition = 1_000 }
            }
            #expect(
                try database.rows("SELECT name FROM stockq.partition_bounds() WHERE lower_bound > 10000000") == [
                    "results_1000000000000000", "results_1000000000001000", "results_1000000000002000",
                    "results_9000000000000000000", "results_9000000000000001000", "results_9000000000000002000",
                ])
            #expect(try database.resultCount() == 3)
        }
    }

    @Test("which jobs an import enqueued is dropped with their results") func expiredImports() async throws {
        try await withDatabase { database in
            try database.run(
                """
                DROP TABLE stockq.results_000000000000000, stockq.results_000000005000000;
                SELECT stockq.add_results_partitions(1000, 2);
                SELECT setval('stockq.jobs_job_id_seq', 1500);
                INSERT INTO stockq.imports (label, kind, imported_by, updated_at) VALUES
                    ('dropped', 'jobs', 'a', now() - interval '2 days'), ('later jobs', 'jobs', 'a', now() - interval '2 days'),
                    ('no jobs', 'items', 'a', now() - interval '2 days'), ('new', 'items', 'a', now());
                INSERT INTO stockq.import_parts (import_id, first_job_id, last_job_id, submission_id, imported_by) VALUES
                    (1, 1, 9, '3', 'a'), (1, 20, 999, '4', 'a'), (2, 990, 1000, '5', 'a'), (2, 500, 600, '6', 'a')
                """)
            let left = """
                SELECT label, (SELECT count(*) FROM stockq.import_parts AS p WHERE p.import_id = i.import_id)
                FROM stockq.imports AS i ORDER BY import_id
                """
            #expect(
                try database.value("SELECT stockq.drop_expired_results(interval '1 day')") == "results_000000000000000")
            #expect(try database.rows(left) == ["dropped,0", "later jobs,1", "no jobs,0", "new,0"])
            #expect(try database.value("SELECT stockq.drop_old_imports(interval '1 day', 10)") == "3")
            #expect(try database.rows(left) == ["new,0"])
        }
    }

    @Test("expired results are dropped, and the ledger remains sound") func expired() async throws {
        try await withDatabase { database in
            try database.addItem("a", 1_000)
            // Partitions of 1,000 ids, so that the first is full and no more ids are drawn for it.
            try database.run(
                """
                DROP TABLE stockq.results_000000000000000, stockq.results_000000005000000;
                SELECT stockq.add_results_partitions(1000, 2)
                """)
            try database.enqueue(300, of: .adjust("a", -1))
            try database.drain { $0.jobsPerPartition = 1_000 }
            try database.run("SELECT setval('stockq.jobs_job_id_seq', 1500)")
            try database.enqueue(300, of: .adjust("a", -1))
            try database.drain { $0.jobsPerPartition = 1_000 }
            #expect(
                try database.value("SELECT stockq.drop_expired_results(interval '1 day')") == "", "nothing has expired")
            #expect(try database.value("SELECT stockq.drop_expired_results(interval '0')") == "results_000000000000000")
            #expect(try database.resultCount() == 300)
            #expect(
                try database.value("SELECT opening_on_hand, opening_version, on_hand, version FROM stockq.items")
                    == "700,300,400,600")
            try expectSoundLedger(database)
        }
    }
}
