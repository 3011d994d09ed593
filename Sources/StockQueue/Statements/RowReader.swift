import StockModel
import StockQueuePostgres

/// Reads rows of one kind into values: which columns a SELECT list must have, and where each of them is in an answer.
protocol RowReader {
    associatedtype Value: Sendable

    /// The columns of the SELECT list, of a row named as the statement likes.
    static func columns(_ schema: QueueSchema) -> String

    /// Finds the columns by their names.
    init(_ rows: ResultSet)

    func value(in rows: ResultSet, row: Int) throws(UnknownLabelError) -> Value
}

extension RowReader {
    static func values(in rows: ResultSet) throws(UnknownLabelError) -> [Value] {
        let reader = Self(rows)
        var values: [Value] = []
        for row in 0..<rows.rowCount { values.append(try reader.value(in: rows, row: row)) }
        return values
    }

    /// The values, each with the JSON that PostgreSQL made of its row in the column `json`.
    static func jsonRows(in rows: ResultSet) throws(UnknownLabelError) -> [JSONRow<Value>] {
        let json = rows.column("json")
        return zip(try values(in: rows), 0...).map { JSONRow(json: rows.string($1, json), value: $0) }
    }
}

/// A row as PostgreSQL wrote it in JSON, and as a value.
package struct JSONRow<Value: Sendable>: Sendable {
    package let json: String
    package let value: Value
}

/// The columns that name an item.
struct ItemKeyReader {
    static let columns = "store_id, item_id, location_id"

    private let storeID: Int
    private let itemID: Int
    private let locationID: Int

    init(_ rows: ResultSet) {
        storeID = rows.column("store_id")
        itemID = rows.column("item_id")
        locationID = rows.column("location_id")
    }

    func key(in rows: ResultSet, row: Int) -> ItemKey {
        ItemKey(rows.string(row, storeID), rows.string(row, itemID), location: rows.string(row, locationID))
    }

    static let types: [TypeOID] = [.text, .text, .text]

    static func parameters(_ key: ItemKey) -> Parameters {
        var parameters = Parameters()
        for text in [key.storeID, key.itemID, key.locationID] { parameters.add(text) }
        return parameters
    }
}
