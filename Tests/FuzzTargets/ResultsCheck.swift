import StockQueuePostgres

/// Rows as libpq keeps them, with values of the right length for their types: the values read must be the values sent.
///
/// A value of another length ends the process by design; the tests of `ResultSet` cover that.
enum ResultsCheck {
    private enum Kind: CaseIterable {
        case int8, int4, int2, bool, text, tupleID, timestamp, label
    }

    private static let words = ["adjust", "set", "", "s\u{E9}t"]

    static func problem(with bytes: [UInt8]) -> String? {
        var feed = ByteFeed(bytes)
        let kinds = (0...feed.below(5)).map { _ in feed.pick(Kind.allCases) }
        var rows: [[[UInt8]?]] = []
        while !feed.isEmpty && rows.count < 50 {
            rows.append(kinds.map { feed.chance(6) ? nil : value(of: $0, &feed) })
        }
        let result = MadeResult.of(rows, columns: kinds.count)
        if result.rowCount != rows.count || result.columnCount != kinds.count {
            return "the number of rows or columns is wrong"
        }
        for (row, values) in rows.enumerated() {
            for (column, value) in values.enumerated() {
                if !isRead(result, row, column, kinds[column], value) {
                    return "row \(row), column \(column): \(kinds[column]) \(String(describing: value)) is read wrongly"
                }
            }
        }
        return nil
    }

    private static func value(of kind: Kind, _ feed: inout ByteFeed) -> [UInt8] {
        switch kind {
        case .int8, .timestamp: feed.bytes(8)
        case .int4: feed.bytes(4)
        case .int2: feed.bytes(2)
        case .bool: [feed.byte() & 1]
        case .tupleID: feed.bytes(6)
        case .text: feed.bytes(feed.below(24))
        case .label: feed.chance(3) ? feed.bytes(feed.below(8)) : Array(feed.pick(words).utf8)
        }
    }

    private static func isRead(
        _ result: ResultSet, _ row: Int, _ column: Int, _ kind: Kind, _ value: [UInt8]?
    ) -> Bool {
        if result.isNull(row, column) != (value == nil) { return false }
        guard let value else {
            return switch kind {
            case .int8: result.optionalInt64(row, column) == nil
            case .int4: result.optionalInt32(row, column) == nil
            case .timestamp: result.optionalTimestamp(row, column) == nil
            default: result.optionalString(row, column) == nil
            }
        }
        let number = value.reduce(Int128(0)) { $0 << 8 | Int128($1) }
        return switch kind {
        case .int8: result.int64(row, column) == Int64(truncatingIfNeeded: number)
        case .int4: result.int32(row, column) == Int32(truncatingIfNeeded: number)
        case .int2: result.int16(row, column) == Int16(truncatingIfNeeded: number)
        case .bool: result.bool(row, column) == (number == 1)
        case .tupleID:
            result.tupleID(row, column)
                == TupleID(block: UInt32(number >> 16), line: UInt16(truncatingIfNeeded: number))
        case .text: result.string(row, column) == String(decoding: value, as: UTF8.self)
        case .label:
            result.label(row, column, among: Labels(words)) == words.firstIndex { Array($0.utf8) == value }
        case .timestamp: isTimestampRead(result.timestamp(row, column), Int64(truncatingIfNeeded: number))
        }
    }

    /// PostgreSQL's timestamps end in the year 294276.
    private static func isTimestampRead(_ timestamp: Timestamp, _ microseconds: Int64) -> Bool {
        guard timestamp.microsecondsSince2000 == microseconds else { return false }
        let range: Range<Int64> = -211_813_488_000_000_000..<9_223_371_331_200_000_000
        return !range.contains(microseconds) || timestamp.description.hasSuffix("Z")
    }
}
