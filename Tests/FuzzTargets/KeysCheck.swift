import StockQueuePostgres

/// Keys added to a table as texts or from a result, against a dictionary.
enum KeysCheck {
    static func problem(with bytes: [UInt8]) -> String? {
        var feed = ByteFeed(bytes)
        let columns = 1 + feed.below(3)
        var table = KeyTable(columns: columns)
        var known: [[[UInt8]]: Int32] = [:]
        var keys: [[[UInt8]]] = []
        while !feed.isEmpty {
            if feed.chance(200) {
                table.removeAll()
                known.removeAll()
                keys.removeAll()
            }
            let key = (0..<columns).map { _ in column(&feed) }
            let texts = key.compactMap { String(validating: $0, as: UTF8.self) }
            let number: Int32
            if texts.count == columns && feed.chance(2) {
                number = table.number(of: texts)
            } else {
                // The key's columns are not the first ones of the row.
                number = table.number(
                    in: MadeResult.of([[[1]] + key], columns: columns + 1), row: 0, firstColumn: 1)
            }
            let expected = known[key] ?? Int32(keys.count)
            if known[key] == nil {
                known[key] = expected
                keys.append(key)
            }
            if number != expected { return "\(key) has the number \(number), not \(expected)" }
            if table.count != keys.count { return "\(table.count) keys, not \(keys.count)" }
        }
        for (number, key) in keys.enumerated() {
            let read = (0..<columns).map { Array(table.bytes(of: number, column: $0)) }
            if read != key { return "key \(number) is \(read), not \(key)" }
        }
        let sorted = table.sortedKeys().map { keys[Int($0)] }
        let expected = keys.sorted { left, right in
            for (a, b) in zip(left, right) where a != b { return a.lexicographicallyPrecedes(b) }
            return false
        }
        return sorted == expected ? nil : "sorted as \(sorted)"
    }

    /// Short texts of few letters: some keys are equal, and some differ only in where a column ends.
    private static func column(_ feed: inout ByteFeed) -> [UInt8] {
        let shape = feed.byte()
        let length = Int(shape & 3)
        return shape < 200 ? (0..<length).map { 0x61 + (shape >> (2 + $0)) & 1 } : feed.bytes(length * 3)
    }
}
