import StockQueuePostgres
import TestSupport
import Testing

@Suite("Key table") struct KeyTableTests {
    @Test("equal keys have one number") func equalKeys() {
        var table = KeyTable(columns: 2)
        #expect(table.number(of: ["a", "bc"]) == 0)
        #expect(table.number(of: ["ab", "c"]) == 1)
        #expect(table.number(of: ["a", "bc"]) == 0)
        #expect(table.number(of: ["", ""]) == 2)
        #expect(table.number(of: ["", ""]) == 2)
        #expect(table.count == 3)
        #expect(table.string(of: 1, column: 0) == "ab")
        table.removeAll()
        #expect(table.number(of: ["ab", "c"]) == 0)
    }

    @Test("numbers remain when the table grows") func growth() {
        var table = KeyTable(columns: 1)
        for number in 0..<5_000 { #expect(table.number(of: ["key \(number)"]) == Int32(number)) }
        for number in 0..<5_000 { #expect(table.number(of: ["key \(number)"]) == Int32(number)) }
    }

    /// Workers and SQL functions lock items in the order of their keys, so both must sort alike.
    @Test("keys are sorted as by PostgreSQL's collation C") func sortedKeys() async throws {
        try await withDatabase(migrated: false) { database in
            var random = SeededRandom(seed: 5)
            let letters = ["a", "b", "Z", "é", "☃", " ", "~", "0", "\u{10FFFF}", "-"]
            var table = KeyTable(columns: 2)
            var keys: [[String]] = []
            for _ in 0..<400 {
                let key = (0..<2).map { _ in (0...random.below(3)).map { _ in random.pick(letters) }.joined() }
                if table.number(of: key) == Int32(keys.count) { keys.append(key) }
            }
            let connection = try database.connect()
            var parameters = Parameters()
            parameters.addArray(keys.map { $0[0] })
            parameters.addArray(keys.map { $0[1] })
            let rows = try connection.execute(
                Statement(
                    "sorted", [.textArray, .textArray],
                    "SELECT a, b FROM unnest($1, $2) AS k (a, b) ORDER BY a COLLATE \"C\", b COLLATE \"C\""), parameters
            )
            let expected = (0..<rows.rowCount).map { [rows.string($0, 0), rows.string($0, 1)] }
            #expect(table.sortedKeys().map { keys[Int($0)] } == expected)
        }
    }
}
