import CommandLineKit
import Foundation
import StockQueue

enum ItemsListCommand: Command {
    private static let store = Option("store", .text("STORE"), help: "only items of this store")
    private static let level = Option(
        "level", .choice("LEVEL", of: AlertLevel.allCases), help: "only items at this alert level or a worse one")
    private static let limit = Option("limit", .wholeNumber(1...1_000_000), default: 100, help: "at most N items")
    private static let after = Option(
        "after", .itemKey, help: "start after this item; a / in a name is written %2F, a % as %25")
    private static let json = Flag("json", help: "one JSON object a line")

    static let spec = CommandSpec(
        "items list", "Lists items in the order of their keys.", options: [store, level, limit, after, json],
        usesDatabase: true,
        examples: [
            .init("List what is out of stock in Berlin.", "--store", "berlin", "--level", "out"),
            .init("Continue a list.", "--after", "berlin/shirt-m/main"),
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let (connection, schema) = try Database.open(input)
        let items = try Inspector(connection: connection, schema: schema).items(
            store: input[store], below: input[level], limit: input[limit], after: input[after])
        if input[json] {
            for item in items { Terminal.print(item.json) }
            return .success
        }
        let heading = [
            "store", "item", "location", "on hand", "allocated", "available", "threshold", "level", "version",
        ]
        Terminal.print(table([heading] + items.map { row($0.value) }))
        if items.count == input[limit], let last = items.last?.value {
            let key = [last.storeID, last.itemID, last.locationID].map(escaped).joined(separator: "/")
            Terminal.note("only the first \(grouped(items.count)); continue with --after '\(key)'")
        }
        return .success
    }

    private static func escaped(_ name: String) -> String {
        name.addingPercentEncoding(withAllowedCharacters: CharacterSet(charactersIn: "%/'").inverted) ?? name
    }

    private static func row(_ item: Item) -> [String] {
        [
            item.storeID.printable, item.itemID.printable, item.locationID.printable, grouped(item.balance.onHand),
            grouped(item.balance.allocated), grouped(item.balance.available),
            item.lowStockThreshold.map { grouped($0) } ?? "–",
            item.isTracked ? item.alertLevel.rawValue : "untracked", grouped(item.version),
        ]
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
