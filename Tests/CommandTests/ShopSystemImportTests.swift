import Foundation
import TestSupport
import Testing

/// Small files in the form of what shop systems export.
@Suite struct ShopSystemImportTests {
    private static let items =
        "SELECT store_id, item_id, location_id, on_hand, low_stock_threshold, parent_id FROM stockq.items ORDER BY item_id, location_id"

    private static let catalogs: [(preset: String, file: String, items: [String], note: String)] = [
        (
            "shopify-inventory",
            """
            Handle,Title,Option1 Name,Option1 Value,Option2 Name,Option2 Value,Option3 Name,Option3 Value,SKU,HS Code,COO,Location,Bin name,Incoming (not editable),Unavailable (not editable),Committed (not editable),Available (not editable),On hand (current),On hand (new)
            mug,Mug,Title,Default Title,,,,,mug-1,,,Shop,,0,0,1,4,5,
            cap,"Cap, red",Size,M,,,,,cap-1,,,Depot,,0,0,0,7,7,9
            cap,"Cap, red",Size,L,,,,,cap-2,,,Depot,,0,0,0,not stocked,Not stocked,

            """,
            ["berlin,cap-1,Depot,9,,", "berlin,mug-1,Shop,5,,"], "1 line left out: the shop does not track the stock"
        ),
        (
            "woocommerce-products",
            """
            \u{FEFF}ID,Type,SKU,"GTIN, UPC, EAN, or ISBN",Name,Published,"In stock?",Stock,"Low stock amount","Backorders allowed?",Parent
            1,simple,mug-1,,Mug,1,1,5,2,0,
            2,variable,'-cap,,Cap,1,1,,,0,
            3,variation,cap-red,,"Cap, red",1,1,4,,0,'-cap
            4,variation,cap-blue,,"Cap, blue",1,1,parent,,0,'-cap

            """,
            ["berlin,cap-red,main,4,,-cap", "berlin,mug-1,main,5,2,"], "2 lines left out"
        ),
        (
            "square-inventory",
            """
            Token,Item Name,Variation Name,SKU,Description,Category,GTIN,Price,Current Quantity Mitte,New Quantity Mitte,Stock Alert Enabled Mitte,Stock Alert Count Mitte
            AB1,Mug,Regular,mug-1,,,,9.00,5,,Y,2
            AB2,Cap,Regular,cap-1,,,,19.00,7,9,N,3
            AB3,Voucher,Regular,voucher,,,,,,,N,

            """,
            ["berlin,cap-1,main,9,,", "berlin,mug-1,main,5,2,"], "1 line left out"
        ),
    ]

    @Test("the stock of a shop system's export is read", arguments: 0..<3) func presets(index: Int) async throws {
        let catalog = Self.catalogs[index]
        try await withDatabase { database in
            let options = ["items", "import", "-", "--from", catalog.preset]
            let nowhere = try Program(database).run(options, input: catalog.file)
            #expect(nowhere.code == 1 && nowhere.err.contains("--set store_id=VALUE"), "\(nowhere.err)")
            let plain = try Program(database).run(["items", "import", "-"], input: catalog.file)
            #expect(
                plain.code == 1 && plain.err.contains("export of a shop system: add --from \(catalog.preset)"),
                "\(plain.err)")
            let done = try Program(database).run(options + ["--set", "store_id=berlin"], input: catalog.file)
            #expect(done.code == 0, "\(done.err)")
            #expect(done.err.contains(catalog.note), "\(done.err)")
            #expect(try database.rows(Self.items) == catalog.items)
        }
    }

    @Test("of several locations in a Square export one has to be named") func squareLocations() async throws {
        try await withDatabase { database in
            let text = """
                SKU,Current Quantity A,New Quantity A,Stock Alert Enabled A,Stock Alert Count A,Current Quantity B,New Quantity B,Stock Alert Enabled B,Stock Alert Count B
                mug,1,,N,,2,,Y,4

                """
            let options = ["items", "import", "-", "--from", "square-inventory", "--set", "store_id=s"]
            let several = try Program(database).run(options, input: text)
            #expect(several.err.contains("'New Quantity A' and 'New Quantity B'; choose a location"), "\(several.err)")
            #expect(several.err.contains("--set 'location_id=A'"), "\(several.err)")
            for location in ["A", "B"] {
                let one = try Program(database).run(options + ["--set", "location_id=\(location)"], input: text)
                #expect(one.code == 0, "\(one.err)")
            }
            #expect(try database.rows(Self.items) == ["s,mug,A,1,,", "s,mug,B,2,4,"])
        }
    }

    @Test("only the stock of the named location is read, also of a Square export with one location")
    func otherLocation() async throws {
        try await withDatabase { database in
            let text = "SKU,Current Quantity A,Stock Alert Count A\nmug,1,2\n"
            let options = ["items", "import", "-", "--from", "square-inventory", "--set", "store_id=s"]
            let other = try Program(database).run(options + ["--set", "location_id=B"], input: text)
            let message = "--set location_id=B: the file has no column of this location; it has 'A'"
            #expect(other.code == 1 && other.err.contains(message), "\(other.err)")
            let mapped = try Program(database).run(
                options + ["--set", "location_id=B", "--map", "Current Quantity A=on_hand"], input: text)
            #expect(mapped.code == 0, "\(mapped.err)")
            let named = try Program(database).run(options + ["--set", "location_id=a"], input: text)
            #expect(named.code == 0, "\(named.err)")
            #expect(try database.rows(Self.items) == ["s,mug,B,1,,", "s,mug,a,1,2,"])
        }
    }

    @Test("of a Shopify inventory the rows of the named location are read") func shopifyLocation() async throws {
        try await withDatabase { database in
            let text = "SKU,Location,On hand\nmug,Shop,5\nmug,Depot,7\ncap,depot ,9\n"
            let done = try Program(database).run(
                [
                    "items", "import", "-", "--from", "shopify-inventory", "--set", "store_id=s", "--set",
                    "location_id=Depot",
                ], input: text)
            #expect(done.code == 0, "\(done.err)")
            #expect(done.err.contains("1 line left out: the location is not 'Depot'"), "\(done.err)")
            #expect(try database.rows(Self.items) == ["s,cap,Depot,9,,", "s,mug,Depot,7,,"])
        }
    }

    @Test("a preset's column that the header lacks is named, and --map goes before the preset") func presetColumns()
        async throws
    {
        try await withDatabase { database in
            let text = "Artikelnummer,Stock,Parent,Name\nmug,5,,Mug\n"
            let options = ["items", "import", "-", "--from", "woocommerce-products", "--set", "store_id=s"]
            let lacking = try Program(database).run(options, input: text)
            #expect(lacking.err.contains("the header lacks the column 'SKU' for item_id"), "\(lacking.err)")
            let mapped = try Program(database).run(
                options + ["--map", "Artikelnummer=item_id", "--map", "Name=parent_id"], input: text)
            #expect(mapped.code == 0, "\(mapped.err)")
            #expect(try database.rows(Self.items) == ["s,mug,main,5,,Mug"])
        }
    }

    @Test("the lines of Shopify's orders take their quantities away, those of canceled orders are left out")
    func shopifyOrders() async throws {
        try await withDatabase { database in
            let text = """
                Name,Email,Financial Status,Paid at,Total,Created at,Lineitem quantity,Lineitem name,Lineitem sku,Notes,Cancelled at,Id
                #1001,a@example.com,paid,2026-12-01 10:00:00 +0100,37.00,2026-12-01 10:00:00 +0100,2,Mug,mug-1,"two
                lines",,71
                #1001,a@example.com,,,,2026-12-01 10:00:00 +0100,1,Cap,cap-1,,,
                #1002,b@example.com,voided,,37.00,2026-12-01 11:00:00 +0100,1,Mug,mug-1,,2026-12-01 12:00:00 +0100,72
                #1002,b@example.com,,,,2026-12-01 11:00:00 +0100,1,Cap,cap-1,,,
                ,,,,,,4,Tee,tee-1,,,
                #1003,c@example.com,paid,,9.00,2026-12-01 11:00:00 +0100,3,Mug,mug-1,,,73
                ,,,,,,1,Tee,tee-1,,,
                #1004,d@example.com,paid,,5.00,2026-12-01 11:00:00 +0100,1,Tip,,,,74

                """
            let done = try Program(database).run(
                ["import", "-", "--from", "shopify-orders", "--set", "store_id=berlin"], input: text)
            #expect(done.code == 1)
            #expect(done.err.contains("3 lines left out: the order is canceled"), "\(done.err)")
            #expect(done.err.contains("line 10: item_id is empty"), "\(done.err)")
            #expect(
                try database.rows("SELECT item_id, quantity, reference FROM stockq.jobs ORDER BY job_id")
                    == ["mug-1,-2,#1001", "cap-1,-1,#1001", "mug-1,-3,#1003", "tee-1,-1,#1003"])
        }
    }
}
