import CommandLineKit
import Foundation
import StockQueue

enum ItemsListCommand: Command {
    private static let store = Option("store", .text("STORE"), help: "only items of this store")
    private static let level = Option(
        "level", .choice("LEVEL", of: AlertLevel.allCases), help: "only items at this alert level or a worse one")
    private static let item = Option("item", .text("ITEM"), help: "only this item, at all locations")
    private static let sort = Option(
        "sort", .choice("ORDER", of: ItemList.Order.allCases), default: .key, defaultText: "key",
        help: "by key, or the items first of which the least is available")
    private static let limit = Option("limit", .wholeNumber(1...1_000_000), default: 100, help: "at most N items")
    private static let after = Option(
        "after", .itemKey,
        help: "start after this item, in the order of the keys; a / in a name is written %2F, a % as %25")

    static let spec = CommandSpec(
        "items list", "Lists items.",
        options: [store, item, level, sort, limit, after] + RowTable.formats, usesDatabase: true,
        examples: [
            .init("List what is out of stock in Berlin.", "--store", "berlin", "--level", "out"),
            .init(
                "List what is left of the items that ran low, the least first.", "--level", "low", "--sort", "available"
            ),
            .init("Write the items to a file, edit it, and import it again.", "--limit", "1000000", "--csv"),
            .init("Continue a list.", "--after", "berlin/shirt-m/main"),
        ],
        notes: [
            "--csv prints the columns that stockq items import reads. The threshold of an item that has its store's is empty."
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        if input[sort] == .available && input.isGiven(after) {
            throw input.usageError("--after goes with --sort key")
        }
        var list = ItemList(limit: input[limit])
        (list.store, list.item, list.level) = (input[store], input[item], input[level])
        (list.order, list.after) = (input[sort], input[after])
        let (connection, schema) = try Database.open(input)
        let rows = try Inspector(connection: connection, schema: schema).rows(of: list)
        try listing.print(rows, input)
        if rows.isEmpty { try UnknownStore.warn(input[store], connection, schema) }
        if rows.count == input[limit], let last = try rows.last.map({ try Row(json: $0) }) {
            let key = ["store_id", "item_id", "location_id"].map { escaped(last[$0]) }.joined(separator: "/")
            let advice = input[sort] == .key ? "continue with --after '\(key)'" : "--limit shows more"
            Terminal.note("only the first \(grouped(rows.count)); \(advice)")
        }
        return .success
    }

    private static let listing = RowTable(
        columns: [
            .init("store", "store_id"), .init("item", "item_id"), .init("location", "location_id"),
            .init("on hand") { $0.grouped("on_hand") }, .init("allocated") { $0.grouped("allocated") },
            .init("available") { $0.grouped("available") }, .init("threshold") { $0.grouped("low_stock_threshold") },
            RowTable.Column("level") { $0["tracked"] == "true" ? $0["level"] : "untracked" }.styled { row in
                guard row["tracked"] == "true" else { return nil }
                return row["level"] == AlertLevel.out.rawValue
                    ? .bad : row["level"] == AlertLevel.low.rawValue ? .warning : nil
            },
            RowTable.Column("version") { $0.grouped("version") }.optional,
        ],
        csvColumns: ItemField.allCases.map(\.rawValue),
        // A threshold that the file has would become the item's own.
        csvValue: { row, column in
            column == ItemField.lowStockThreshold.rawValue && row["threshold_is_default"] == "true" ? "" : row[column]
        })

    private static func escaped(_ name: String) -> String {
        name.addingPercentEncoding(withAllowedCharacters: CharacterSet(charactersIn: "%/'").inverted) ?? name
    }
}

extension ValueType where Value == ItemKey {
    fileprivate static var itemKey: Self {
        Self("STORE/ITEM/LOCATION", shape: .text(bytes: nil), expectation: "STORE/ITEM/LOCATION") { word in
            let parts = word.split(separator: "/").map { $0.removingPercentEncoding ?? String($0) }
            return parts.count == 3 ? ItemKey(parts[0], parts[1], location: parts[2]) : nil
        }
    }
}
