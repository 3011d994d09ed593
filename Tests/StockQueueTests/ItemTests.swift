import Foundation
import StockModel
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

@Suite struct ItemTests {
    @Test("a new item has its opening stock and its baseline level") func newItemsHaveTheirOpeningStockAndBaseline()
        async throws
    {
        try await withDatabase { database in
            let (report, rejects) = try importItems(
                database,
                """
                store_id,item_id,on_hand,location_id,parent_id,tracked,low_stock_threshold
                s,a,5,,,,9
                s,b,0,back,shirt,,
                s,c,-3,,,no,4
                s,d,x,,,,
                s,e,1,,,,-1
                """, allowsNegativeStock: true)
            #expect(report.created == 3)
            #expect(
                rejects == [
                    "5: on_hand must be a whole number, not 'x'",
                    "6: low_stock_threshold must be from 0 to 9007199254740991, not -1",
                ])
            #expect(
                try database.rows(
                    "SELECT item_id, location_id, parent_id, tracked, on_hand, opening_on_hand, version, notified_level FROM stockq.items ORDER BY 1"
                )
                    == ["a,main,,t,5,5,0,low", "b,back,shirt,t,0,0,0,out", "c,main,,f,-3,-3,0,ok"])
        }
    }

    @Test("an existing item changes its attributes alone") func anItemThatExistsChangesItsAttributesAlone() async throws
    {
        try await withDatabase { database in
            _ = try importItems(
                database, "store_id,item_id,on_hand,parent_id,low_stock_threshold\ns,a,5,p,2\ns,b,5,p,2\n")
            let (report, _) = try importItems(
                database, "store_id,item_id,on_hand,low_stock_threshold\ns,a,99,7\ns,b,5,2\n")
            #expect("\(report.created) \(report.changed) \(report.unchanged) \(report.setJobs)" == "0 1 1 0")
            // A changed threshold notifies at once, and a column that the file lacks does not change.
            #expect(
                try database.rows(
                    "SELECT item_id, on_hand, parent_id, low_stock_threshold, version, notified_level FROM stockq.items ORDER BY 1"
                )
                    == ["a,5,p,7,0,low", "b,5,p,2,0,ok"])
            #expect(try database.rows("SELECT kind, job_id IS NULL FROM stockq.notifications") == ["low_stock,t"])
            try database.run("INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'a', 1)")
            try database.drain()
            #expect(try database.rows("SELECT kind FROM stockq.notifications") == ["low_stock"])
        }
    }

    @Test("a stock count is a job") func aStockCountIsAJob() async throws {
        try await withDatabase { database in
            let text = "store_id,item_id,on_hand\ns,a,5\ns,b,5\n"
            _ = try importItems(database, text)
            try database.run("INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'a', -2)")
            try database.drain()
            let (report, _) = try importItems(database, text, setsStock: true)
            #expect(report.setJobs == 1)
            try database.drain()
            #expect(try database.rows("SELECT on_hand, version FROM stockq.items ORDER BY item_id") == ["5,2", "5,0"])
            try expectSoundLedger(database)
        }
    }

    @Test("lines that contradict each other are rejected, each with the other one's number", arguments: [false, true])
    func contradictions(isPipe: Bool) async throws {
        try await withDatabase { database in
            let (report, rejects) = try importItems(
                database, "store_id,item_id,on_hand\ns,a,5\ns,b,1\ns,a,9\ns,b,1\ns,c,x\ns,c,2\ns,a,5\n", isPipe: isPipe)
            let bad = "6: on_hand must be a whole number, not 'x'"
            let other = { (line: Int) in "the item is also on line \(line), with other values; keep one of the lines" }
            // A pipe is read once: the first line is imported when the second one comes.
            #expect(
                rejects == (isPipe ? [] : ["2: \(other(4))"]) + ["4: \(other(2))", bad, "8: \(other(2))"])
            #expect("\(report.read) \(report.created) \(report.unchanged)" == (isPipe ? "7 3 1" : "7 2 1"))
            #expect(
                try database.rows("SELECT item_id, on_hand FROM stockq.items ORDER BY 1")
                    == (isPipe ? ["a,5"] : []) + ["b,1", "c,2"])
        }
    }

    @Test("a bad line contradicts none, whatever its rule, in a file as in a pipe", arguments: [false, true])
    func badLinesContradictNone(isPipe: Bool) async throws {
        try await withDatabase { database in
            let text = "store_id,item_id,on_hand\ns,a,-2\ns,a,5\ns,b,1\ns,b,x\n"
            let (report, rejects) = try importItems(database, text, isPipe: isPipe)
            #expect(
                rejects == [
                    "2: on_hand is -2: below 0 it can only open a new item, with --allow-negative",
                    "5: on_hand must be a whole number, not 'x'",
                ])
            #expect(report.created == 2)
            let (counts, refused) = try importItems(
                database, text, setsStock: true, isPipe: isPipe, allowsNegativeStock: true)
            #expect(refused.first == "2: on_hand must not be below 0 for a stock count, not -2")
            #expect("\(counts.rejected) \(counts.unchanged)" == "2 2")
        }
    }

    @Test("a file's stock that existing items do not get is counted") func stockDifferences() async throws {
        try await withDatabase { database in
            _ = try importItems(database, "store_id,item_id,on_hand,tracked\ns,a,5,\ns,b,5,\ns,c,5,no\n")
            let text = "store_id,item_id,on_hand\ns,a,6\ns,b,5\ns,c,7\ns,d,8\n"
            let (report, _) = try importItems(database, text)
            #expect("\(report.created) \(report.unchanged) \(report.stockDifferences)" == "1 3 1")
            #expect(try importItems(database, text, setsStock: true).0.stockDifferences == 0)
        }
    }

    @Test(
        "a threshold that is raised above the stock notifies at once and once, whichever way the item came in",
        arguments: [
            "INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold) VALUES ('s', 'a', 8, 5)", "",
        ],
        [
            "SELECT stockq.set_item('s', 'a', low_stock_threshold => 20)",
            "UPDATE stockq.items SET low_stock_threshold = 20",
        ])
    func baseline(insert: String, raise: String) async throws {
        try await withDatabase { database in
            if insert.isEmpty {
                _ = try importItems(database, "store_id,item_id,on_hand,low_stock_threshold\ns,a,8,5\n")
            } else {
                try database.run(insert)
            }
            #expect(try database.value("SELECT notified_level FROM stockq.items") == "ok")
            try database.run(raise)
            #expect(
                try database.rows("SELECT kind, job_id IS NULL, available_after, version FROM stockq.notifications")
                    == ["low_stock,t,8,0"])
            try database.enqueue(.adjust("a", -1))
            try database.drain()
            #expect(try database.rows("SELECT kind FROM stockq.notifications") == ["low_stock"])
            try expectSoundLedger(database)
            // Lower again, at the same version twice.
            try database.run("UPDATE stockq.items SET low_stock_threshold = 1")
            try database.run("UPDATE stockq.items SET low_stock_threshold = 7")
            #expect(
                try database.rows("SELECT kind FROM stockq.notifications ORDER BY notification_id")
                    == ["low_stock", "restocked", "low_stock"])
            try expectSoundLedger(database)
            try database.enqueue(.adjust("a", -7))
            try database.drain()
            #expect(try database.value("SELECT kind FROM stockq.notifications ORDER BY 1 DESC LIMIT 1") == "restocked")
            #expect(try database.value("SELECT count(*) FROM stockq.notifications WHERE kind = 'out_of_stock'") == "1")
            try expectSoundLedger(database)
        }
    }

    @Test("a plain INSERT records the level as the baseline") func baselineOfInsert() async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand, allocated, low_stock_threshold, tracked) VALUES
                    ('s', 'a', 8, 2, 5, true), ('s', 'b', 7, 2, 5, true), ('s', 'c', 2, 2, NULL, true),
                    ('s', 'd', -1, 0, 5, false), ('s', 'e', 1, 0, NULL, true)
                """)
            #expect(
                try database.rows("SELECT item_id, notified_level FROM stockq.items ORDER BY 1")
                    == ["a,ok", "b,low", "c,out", "d,ok", "e,ok"])
        }
    }

    @Test("an item's movements are listed backwards") func anItemsHistoryIsWalkedBackwards() async throws {
        try await withDatabase { database in
            _ = try importItems(database, "store_id,item_id,on_hand\ns,a,5\ns,b,50\n")
            try database.run(
                """
                INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES
                    ('s', 'a', -2), ('s', 'b', -1), ('s', 'a', -100), ('s', 'a', 7), ('s', 'a', -1)
                """)
            try database.drain { $0.batchJobsMax = 2 }
            let inspector = Inspector(connection: try database.connect(), schema: .standard)
            let all = try inspector.movements(ItemKey("s", "a"), limit: 10).map(\.value)
            #expect(all.map(\.jobID) == [5, 4, 1])
            #expect(all.map(\.version) == [3, 2, 1])
            #expect(try inspector.movements(ItemKey("s", "a"), limit: 2).map(\.value.jobID) == [5, 4])
            #expect(try inspector.item(ItemKey("s", "a"))?.value.balance.onHand == 9)
            #expect(try inspector.item(ItemKey("s", "nowhere"))?.value.balance.onHand == nil)
        }
    }
}
