import Foundation
import TestSupport
import Testing

/// Rejected jobs that are written to a file, corrected and imported again.
@Suite struct CorrectionTests {
    @Test("a corrected job takes effect once, however often its file is imported and whatever is retried")
    func correctedOnce() async throws {
        try await withDatabase { database in
            try database.run(
                "INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 10), ('s', 'b', 10)")
            let program = Program(database)
            try database.enqueue(.adjust("typo", -1), .adjust("lost", -2), .adjust("wrong", -1, group: "g"))
            try database.enqueue(.adjust("wrong", -3, group: "h"), .adjust("b", -3, group: "h"))
            try database.drain()
            #expect(try program.run(["retry", "3"]).code == 0)
            try database.drain()
            let listed = try program.run(["results", "list", "--outcome", "rejected", "--for-import"])
            #expect(listed.code == 0, "\(listed.err)")
            // The third job was retried, so that its retry is listed instead. Of the second one no correction is imported.
            #expect(!listed.out.contains("correction of job 3"), "\(listed.out)")
            #expect(listed.out.contains("correction of job 6"), "\(listed.out)")
            let corrected = listed.out.split(separator: "\n").filter { !$0.contains("lost") }
                .joined(separator: "\n").replacingOccurrences(of: "typo", with: "a")
                .replacingOccurrences(of: "wrong", with: "a")
            for _ in 1...2 {
                let imported = try program.run(["import", "-"], input: corrected + "\n")
                #expect(imported.code == 0, "\(imported.err)")
            }
            let rest = try program.run(["results", "list", "--outcome", "rejected", "--for-import"])
            #expect(rest.out.split(separator: "\n").count == 2, "the job that was not corrected: \(rest.out)")
            // Queued or finished, the correction keeps the job from being retried.
            for _ in 1...2 {
                let named = try program.run(["retry", "1"])
                #expect(named.code == 1)
                #expect(named.err.contains("job 1 was corrected by job "), "\(named.err)")
                try database.drain()
            }
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand)
                VALUES ('s', 'lost', 10), ('s', 'typo', 10), ('s', 'wrong', 10)
                """)
            let retried = try program.run(["retry", "--code", "unknown_item", "--yes"])
            #expect(retried.code == 0, "\(retried.err)")
            // A line of a group that was corrected keeps the whole group.
            #expect(try program.run(["retry", "5"]).code == 1)
            try database.drain()
            let stock = try database.rows("SELECT item_id, on_hand FROM stockq.items ORDER BY item_id")
            #expect(stock == ["a,5", "b,7", "lost,8", "typo,10", "wrong,10"])
        }
    }

    @Test("what is not found is looked for where people may mean it") func suggestions() async throws {
        try await withDatabase { database in
            try database.run(
                "INSERT INTO stockq.items (store_id, item_id, location_id) VALUES ('s', 'a', 'cellar'), ('s', 'a', 'shop')"
            )
            let program = Program(database)
            for words in [["items", "show", "s", "a"], ["items", "set", "s", "a", "--threshold", "3"]] {
                let missed = try program.run(words)
                #expect(missed.code == 1)
                #expect(
                    missed.err.contains("there is no item a at main in store s; it is at cellar, shop: see --location"),
                    "\(missed.err)")
            }
            let path = NSTemporaryDirectory() + "stockq-sales-\(UUID().uuidString).csv"
            defer { try? FileManager.default.removeItem(atPath: path) }
            try "store_id,item_id,quantity\ns,a,1\n".write(toFile: path, atomically: true, encoding: .utf8)
            for _ in 1...2 { #expect(try program.run(["import", path]).code == 0) }
            let name = (path as NSString).lastPathComponent
            let unknown = try program.run(["imports", "show", name])
            #expect(unknown.code == 1)
            #expect(
                unknown.err.contains("that this user may read; the last one of this file is \(name)-2"),
                "\(unknown.err)")
        }
    }
}
