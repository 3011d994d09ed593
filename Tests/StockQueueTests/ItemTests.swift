import Foundation
import StockModel
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

@Suite struct ItemTests {
    private static func importItems(_ database: TestDatabase, _ text: String, setsStock: Bool = false) throws -> (
        ItemImportReport, [String]
    ) {
        let path = NSTemporaryDirectory() + "stockq-items-\(UUID().uuidString)"
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        let handle = try #require(FileHandle(forReadingAtPath: path))
        var rejects: [String] = []
        var importer = try ItemImport(
            connection: database.connect(), schema: .standard, source: ByteSource(descriptor: handle.fileDescriptor),
            format: .csv,
            setsStock: setsStock, onReject: { error, _ in rejects.append("\(error.line ?? 0): \(error.message)") })
        return (try importer.run(), rejects)
    }

    @Test("a new item has its opening stock and its baseline level") func newItemsHaveTheirOpeningStockAndBaseline()
        async throws
    {
        try await withDatabase { database in
            let (report, rejects) = try Self.importItems(
                database,
                """
                store_id,item_id,on_hand,location_id,parent_id,tracked,low_stock_threshold
                s,a,5,,,,9
                s,b,0,back,shirt,,
                s,c,-3,,,no,4
                s,d,x,,,,
                s,e,1,,,,-1
                """)
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
            _ = try Self.importItems(
                database, "store_id,item_id,on_hand,parent_id,low_stock_threshold\ns,a,5,p,2\ns,b,5,p,2\n")
            let (report, _) = try Self.importItems(
                database, "store_id,item_id,on_hand,low_stock_threshold\ns,a,99,7\ns,b,5,2\n")
            #expect("\(report.created) \(report.changed) \(report.unchanged) \(report.setJobs)" == "0 1 1 0")
            // A changed threshold creates no notification by itself, and a column that the file lacks does not change.
            #expect(
                try database.rows(
                    "SELECT item_id, on_hand, parent_id, low_stock_threshold, version, notified_level FROM stockq.items ORDER BY 1"
                )
                    == ["a,5,p,7,0,ok", "b,5,p,2,0,ok"])
            try database.run("INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'a', 1)")
            try database.drain()
            #expect(try database.rows("SELECT kind FROM stockq.notifications") == ["low_stock"])
        }
    }

    @Test("a stock count is a job") func aStockCountIsAJob() async throws {
        try await withDatabase { database in
            let text = "store_id,item_id,on_hand\ns,a,5\ns,b,5\n"
            _ = try Self.importItems(database, text)
            try database.run("INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'a', -2)")
            try database.drain()
            let (report, _) = try Self.importItems(database, text, setsStock: true)
            #expect(report.setJobs == 1)
            try database.drain()
            #expect(try database.rows("SELECT on_hand, version FROM stockq.items ORDER BY item_id") == ["5,2", "5,0"])
            try expectSoundLedger(database)
        }
    }

    @Test("an item given twice has its last attributes") func aKeyGivenTwiceHasItsLastAttributes() async throws {
        try await withDatabase { database in
            let (report, _) = try Self.importItems(
                database, "store_id,item_id,on_hand,low_stock_threshold\ns,a,5,1\ns,a,6,2\n")
            #expect("\(report.created) \(report.changed)" == "1 1")
            #expect(try database.rows("SELECT on_hand, low_stock_threshold FROM stockq.items") == ["5,2"])
        }
    }

    @Test("an item's movements are listed backwards") func anItemsHistoryIsWalkedBackwards() async throws {
        try await withDatabase { database in
            _ = try Self.importItems(database, "store_id,item_id,on_hand\ns,a,5\ns,b,50\n")
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
