import StockModel
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// Items that are deleted and created again: versions never start again, and every ledger stays provable.
@Suite("Retired items") struct RetiredItemTests {
    /// An item at version 2 that has run out, with its notifications.
    private static func sellOut(_ database: TestDatabase) throws {
        try database.run(
            "INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold) VALUES ('s', 'a', 9, 5)")
        try database.enqueue(.adjust("a", -6), .adjust("a", -3))
        try database.drain()
    }

    @Test(
        "an item that is created again continues its versions",
        arguments: [
            "SELECT stockq.retire_item('s', 'a')", "DELETE FROM stockq.items", "TRUNCATE stockq.items",
        ])
    func createdAgain(retire: String) async throws {
        try await withDatabase { database in
            try Self.sellOut(database)
            try database.run(retire)
            #expect(try database.value("SELECT count(*) FROM stockq.items") == "0")
            try expectSoundLedger(database)
            try database.run(
                "INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold) VALUES ('s', 'a', 8, 5)")
            try database.enqueue(.adjust("a", -6), .adjust("a", -3), .adjust("a", -2))
            try database.drain()
            #expect(
                try database.rows("SELECT job_id, outcome, version FROM stockq.results ORDER BY 1")
                    == ["1,applied,1", "2,applied,2", "3,applied,3", "4,rejected,3", "5,applied,4"])
            #expect(
                try database.rows("SELECT version, kind FROM stockq.notifications ORDER BY 1")
                    == ["1,low_stock", "2,out_of_stock", "3,low_stock", "4,out_of_stock"])
            try expectSoundLedger(database)
            // A second time, after jobs and without any.
            for _ in 1...2 {
                try database.run(retire)
                _ = try importItems(database, "store_id,item_id,on_hand\ns,a,0\n")
                try expectSoundLedger(database)
            }
            #expect(try database.value("SELECT version FROM stockq.items") == "4")
            #expect(
                try database.rows("SELECT created_version, version FROM stockq.retired_items ORDER BY 1")
                    == ["0,2", "2,4"])
        }
    }

    @Test("dropping old results keeps the ledger of a retired item provable") func retention() async throws {
        try await withDatabase { database in
            // Partitions of 1,000 ids.
            try database.run(
                """
                DROP TABLE stockq.results_000000000000000, stockq.results_000000005000000;
                SELECT stockq.add_results_partitions(1000, 2)
                """)
            try Self.sellOut(database)
            try database.run(
                """
                SELECT stockq.retire_item('s', 'a');
                INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 7);
                """)
            try database.enqueue(.adjust("a", -2))
            try database.drain { $0.jobsPerPartition = 1_000 }
            try database.run("SELECT setval('stockq.jobs_job_id_seq', 1500)")
            try database.enqueue(.adjust("a", -1))
            try database.drain { $0.jobsPerPartition = 1_000 }
            #expect(try database.value("SELECT stockq.drop_expired_results('0')") == "results_000000000000000")
            #expect(
                try database.rows("SELECT opening_on_hand, opening_version FROM stockq.retired_items") == ["0,2"])
            #expect(try database.rows("SELECT opening_on_hand, opening_version FROM stockq.items") == ["5,3"])
            try expectSoundLedger(database)
        }
    }

    @Test("an item with stock or queued jobs is not retired") func refused() async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand, allocated, tracked) VALUES
                    ('s', 'a', 2, 0, true), ('s', 'b', 0, 0, true), ('s', 'free', 9, 0, false)
                """)
            try database.enqueue(.adjust("b", 1, runAt: .after("1 day")))
            for (item, reason) in [("a", "has 2 on hand and 0 allocated"), ("b", "has queued jobs")] {
                let error = #expect(throws: PostgresError.self) {
                    try database.run("SELECT stockq.retire_item('s', '\(item)')")
                }
                #expect(error?.sqlState?.rawValue == "55000")
                #expect(error?.message.contains(reason) == true)
            }
            #expect(try database.value("SELECT stockq.retire_item('s', 'free')") == "t")
            #expect(try database.value("SELECT stockq.retire_item('s', 'unknown')") == "f")
            #expect(try database.rows("SELECT verb FROM stockq.operations") == ["items retire"])
        }
    }
}
