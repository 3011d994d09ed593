import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// The results' partitions: built ahead, filled, dropped.
@Suite struct PartitionTests {
    @Test func partitionsAreBuiltForAllLiveJobs() async throws {
        try await withDatabase { database in
            try database.addItem("a", 10)
            for drawn in [1, 12_345_678, 23_456_789, 87_654_321] {
                try database.run("SELECT setval('stockq.jobs_job_id_seq', \(drawn))")
                try database.enqueue("item_id, quantity", "('s', 'a', -1)")
            }
            try database.drain { $0.maintenanceInterval = .milliseconds(3_600_000) }
            #expect(
                try database.rows("SELECT job_id, outcome, attempts FROM stockq.results ORDER BY 1") == [
                    "2,applied,1", "12345679,applied,1", "23456790,applied,1", "87654322,applied,1",
                ])
        }
    }

    @Test func partitionsOfAnotherSizeLeaveNoGap() async throws {
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

    @Test func aMissingPartitionIsBuiltAndNotCountedAgainstAJob() async throws {
        try await withDatabase { database in
            try database.addItem("a", 10)
            try database.run("SELECT setval('stockq.jobs_job_id_seq', 123456789)")
            try database.enqueue("item_id, quantity", "('s', 'a', -1)")
            try database.drain { $0.maintenanceInterval = .milliseconds(3_600_000) }
            #expect(
                try database.rows("SELECT job_id, outcome, attempts FROM stockq.results") == ["123456790,applied,1"])
        }
    }

    @Test func expiredResultsAreDroppedAndTheBooksStaySound() async throws {
        try await withDatabase { database in
            try database.addItem("a", 1_000)
            let add =
                "INSERT INTO stockq.jobs (store_id, item_id, quantity) SELECT 's', 'a', -1 FROM generate_series(1, 300)"
            // Partitions of 1,000 ids, so that the first is full and left behind.
            try database.run(
                "DROP TABLE stockq.results_000000000000000, stockq.results_000000005000000; SELECT stockq.add_results_partitions(1000, 2)"
            )
            try database.run(add)
            try database.drain { $0.jobsPerPartition = 1_000 }
            try database.run("SELECT setval('stockq.jobs_job_id_seq', 1500)")
            try database.run(add)
            try database.drain { $0.jobsPerPartition = 1_000 }
            #expect(
                try database.value("SELECT stockq.drop_expired_results(interval '1 day')") == "", "nothing has expired")
            #expect(try database.value("SELECT stockq.drop_expired_results(interval '0')") == "results_000000000000000")
            #expect(try database.value("SELECT count(*) FROM stockq.results") == "300")
            #expect(
                try database.value("SELECT opening_on_hand, opening_version, on_hand, version FROM stockq.items")
                    == "700,300,400,600")
            try expectSoundBooks(database.connect())
        }
    }
}
