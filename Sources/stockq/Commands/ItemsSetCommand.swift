import CommandLineKit
import StockQueue

enum ItemsSetCommand: Command {
    private static let store = Argument(.text("STORE"), help: "the item's store")
    private static let item = Argument(.text("ITEM"), help: "the item")
    private static let location = Option("location", .text("LOCATION"), default: "main", help: "the item's location")
    private static let threshold = Option(
        "threshold", ValueType.wholeNumber(0...Quantity.max).orNone,
        help: "low stock when no more than this is available")
    private static let tracked = Option(
        "tracked", .yesOrNo, help: "no means unlimited stock: jobs do not change it")
    private static let parent = Option(
        "parent", ValueType.text("ITEM").orNone, help: "the product that the item is a variation of")

    static let spec = CommandSpec(
        "items set", "Changes an item's attributes; only jobs change its stock.", arguments: [store, item],
        options: [location, threshold, tracked, parent], usesDatabase: true,
        examples: [
            .init("Report low stock from 5 down.", "berlin", "shirt-m", "--threshold", "5"),
            .init("Give an item unlimited stock.", "berlin", "gift-card", "--tracked", "no"),
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let key = ItemKey(input[store], input[item], location: input[location])
        guard input.isGiven(threshold) || input.isGiven(tracked) || input.isGiven(parent) else {
            throw input.usageError("give --threshold, --tracked or --parent")
        }
        var clear: [String] = []
        if case .some(.none) = input[threshold] { clear.append("low_stock_threshold") }
        if case .some(.none) = input[parent] { clear.append("parent_id") }
        let (connection, schema) = try Database.open(input)
        let inspector = Inspector(connection: connection, schema: schema)
        guard let before = try inspector.item(key)?.value else { throw try Failure.unknownItem(key, inspector) }
        let exists = try QueueAdmin(connection: connection, schema: schema).setItem(
            key, threshold: input[threshold]?.value, tracked: input[tracked], parent: input[parent]?.value,
            clear: clear)
        guard exists, let after = try inspector.item(key)?.value else { throw try Failure.unknownItem(key, inspector) }
        Terminal.print("\(key.shown): \(changes(input, before, after))")
        return .success
    }

    /// `threshold 5 → 20, level ok → low (8 available)`
    private static func changes(_ input: ParsedCommand, _ before: Item, _ after: Item) -> String {
        var changes: [String] = []
        func compare(_ name: String, _ isGiven: Bool, _ before: String, _ after: String, _ end: String = "") {
            if before != after {
                changes.append("\(name) \(before) → \(after)\(end)")
            } else if isGiven {
                changes.append("\(name) \(after) already")
            }
        }
        compare(
            "threshold", input.isGiven(threshold), before.lowStockThreshold.map { grouped($0) } ?? "none",
            after.lowStockThreshold.map { grouped($0) } ?? "none")
        compare("tracked", input.isGiven(tracked), before.isTracked ? "yes" : "no", after.isTracked ? "yes" : "no")
        compare(
            "parent", input.isGiven(parent), before.parentID?.shownName ?? "none", after.parentID?.shownName ?? "none")
        if after.isTracked {
            compare(
                "level", false, before.alertLevel.rawValue, after.alertLevel.rawValue,
                " (\(grouped(after.balance.available)) available)")
        }
        return changes.joined(separator: ", ")
    }
}
