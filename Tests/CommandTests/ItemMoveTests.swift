import Foundation
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// `items rename` and `items move`: stock, allocated units and queued jobs go to another item, by jobs.
@Suite(.timeLimit(.minutes(15))) struct ItemMoveTests {
    private static func items(_ database: TestDatabase) throws -> [String] {
        try database.rows(
            """
            SELECT concat_ws(' ', item_id, location_id, on_hand, allocated, low_stock_threshold, parent_id)
            FROM stockq.items ORDER BY 1
            """)
    }

    private static func verify(_ database: TestDatabase) throws {
        try Verifier(connection: database.connect(), schema: .standard).runAll { #expect($0.violations == []) }
    }

    private static func run(_ database: TestDatabase, _ words: String, code: Int32 = 0) throws -> String {
        let ended = try Program(database).run(words.split(separator: " ").map(String.init))
        #expect(ended.code == code, "stockq \(words): \(ended.out)\(ended.err)")
        return ended.out + ended.err
    }

    @Test("a renamed item has the stock, the reservations, the threshold, the variations and the queued jobs")
    func rename() async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold, parent_id) VALUES
                    ('s', 'old', 10, 3, NULL), ('s', 'kid', 1, NULL, 'old');
                INSERT INTO stockq.items (store_id, item_id, location_id, on_hand) VALUES ('s', 'old', 'cellar', 2);
                SELECT stockq.enqueue('s', 'old', 4, action => 'allocate');
                SELECT stockq.enqueue('s', 'old', -50, on_insufficient => 'wait');
                """)
            try database.drain()
            try database.run("SELECT stockq.enqueue('s', 'old', -1, run_at => now() + interval '1 day')")
            let workers = database.startWorkers()
            let said = try Self.run(database, "items rename s old new --reason typo")
            try workers.stop()
            #expect(
                said == """
                    s/old at cellar → s/new at cellar: 2 on hand and 0 allocated moved, it is new; the old item is retired
                    s/old at main → s/new at main: 10 on hand and 4 allocated moved, 2 queued jobs given to it, it is new; the old item is retired

                    """)
            #expect(try Self.items(database) == ["kid main 1 0 new", "new cellar 2 0", "new main 10 4 3"])
            #expect(
                try database.rows("SELECT item_id || ' ' || quantity FROM stockq.jobs ORDER BY job_id") == [
                    "new -50", "new -1",
                ])
            #expect(try database.value("SELECT count(*) FROM stockq.notifications") == "0")
            #expect(
                try database.rows("SELECT DISTINCT reference, reason FROM stockq.results WHERE reference IS NOT NULL")
                    == ["move old to new,typo"])
            try Self.verify(database)
        }
    }

    @Test("an item that exists gets the stock in addition, if that is asked for") func merge() async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold) VALUES
                    ('s', 'old', 10, 3), ('s', 'new', 0, 1)
                """)
            let unchanged = try Self.items(database)
            #expect(try Self.run(database, "items rename s old new", code: 1).contains("With --merge"))
            #expect(try Self.items(database) == unchanged)
            let workers = database.startWorkers()
            #expect(try Self.run(database, "items rename s old new --merge").contains("moved, merged"))
            try workers.stop()
            #expect(try Self.items(database) == ["new main 10 0 1"])
            #expect(try database.rows("SELECT item_id, kind FROM stockq.notifications") == ["new,back_in_stock"])
            try Self.verify(database)
        }
    }

    @Test("jobs that were ready before are applied to the old item first, and the rest moves") func readyJobs()
        async throws
    {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'old', 10);
                SELECT stockq.enqueue('s', 'old', -3, priority => 4);
                SELECT stockq.enqueue('s', 'old', 2, action => 'allocate');
                """)
            let moving = try Program(database).start(["items", "move", "s", "old", "main", "cellar"])
            #expect(try eventually { try database.value("SELECT count(*) FROM stockq.jobs") == "4" })
            let workers = database.startWorkers()
            let ended = try moving.wait()
            try workers.stop()
            #expect(
                ended.out
                    == "s/old at main → s/old at cellar: 7 on hand and 2 allocated moved, it is new; the old item is retired\n",
                "\(ended.err)")
            #expect(try Self.items(database) == ["old cellar 7 2"])
            try Self.verify(database)
        }
    }

    @Test("without workers the move is canceled, and the item keeps its stock") func noWorkers() async throws {
        try await withDatabase { database in
            try database.run("INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'old', 10)")
            let said = try Self.run(database, "items rename s old new --timeout 1s", code: 1)
            #expect(said.contains("so it was canceled") && said.contains("stockq run"), "\(said)")
            #expect(try Self.items(database) == ["new main 0 0", "old main 10 0"])
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "0")
            let workers = database.startWorkers()
            _ = try Self.run(database, "items rename s old new --merge")
            try workers.stop()
            #expect(try Self.items(database) == ["new main 10 0"])
            try Self.verify(database)
        }
    }

    @Test("negative and untracked stock moves too, and an unknown item is an error") func otherStock() async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand, tracked) VALUES
                    ('s', 'short', 1, true), ('s', 'card', 0, false), ('s', 'empty', 0, true);
                SELECT stockq.enqueue('s', 'short', -4, on_insufficient => 'allow');
                """)
            try database.drain()
            let workers = database.startWorkers()
            _ = try Self.run(database, "items rename s short less")
            _ = try Self.run(database, "items rename s card voucher")
            _ = try Self.run(database, "items rename s empty void")
            try workers.stop()
            #expect(try Self.items(database) == ["less main -3 0", "void main 0 0", "voucher main 0 0"])
            #expect(try database.value("SELECT tracked FROM stockq.items WHERE item_id = 'voucher'") == "f")
            #expect(try Self.run(database, "items rename s nosuch new", code: 1).contains("there is no item nosuch"))
            #expect(try Self.run(database, "items move s nosuch main cellar", code: 1).contains("there is no item"))
            _ = try Self.run(database, "items rename s less less", code: 2)
            try Self.verify(database)
        }
    }
}
