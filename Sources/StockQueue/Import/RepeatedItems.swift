import StockFormats
import StockModel
import StockQueuePostgres

/// The items of an input that are given more than once. Two lines with the same values are one; lines that contradict
/// each other are rejected, each of them, since none is known to be the right one. A line that breaks a rule contradicts
/// none.
struct RepeatedItems {
    private var keys = KeyTable(columns: 3)
    private var firstLines: [Int] = []
    /// A hash of all values of the item, by 64 bits.
    private var firstValues: [Int] = []
    /// A line with other values than the first one, by the number of the key.
    private var contradicting: [Int32: Int] = [:]

    /// For an input that can be read only once: a contradiction is known when the second line comes.
    init() {}

    /// Reads the input to its end.
    init(_ reader: inout FieldReader<ItemField>, _ parser: RecordParser, _ rules: ItemRules) throws {
        let columns = reader.columns
        while let record = try reader.next() {
            var item = ItemRequest(store: "", item: "", onHand: 0)
            do throws(ValidationError) {
                try parser.parse(record) { item.set(columns[$0], $1) }
                try rules.validate(item)
            } catch { continue }
            add(item, line: record.line)
        }
    }

    /// Notes an item of the input.
    ///
    /// - Returns: the line that contradicts this one, if there is one.
    @discardableResult
    mutating func add(_ item: ItemRequest, line: Int) -> Int? {
        let key = keys.number(of: [item.storeID, item.itemID, item.locationID])
        if Int(key) == firstLines.count {
            firstLines.append(line)
            firstValues.append(item.hashValue)
            return nil
        }
        let first = firstLines[Int(key)]
        if first != line && firstValues[Int(key)] != item.hashValue && contradicting[key] == nil {
            contradicting[key] = line
        }
        guard let other = contradicting[key] else { return nil }
        return line == first ? other : first
    }

    static func error(otherLine: Int) -> ValidationError {
        ValidationError(
            "the item is also on line \(otherLine), with other values; keep one of the lines", code: .conflict,
            field: ItemField.itemID.rawValue)
    }
}
