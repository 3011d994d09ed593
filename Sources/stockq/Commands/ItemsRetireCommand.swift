import CommandLineKit
import StockQueue

enum ItemsRetireCommand: Command {
    private static let store = Argument(.text("STORE"), help: "the item's store")
    private static let item = Argument(.text("ITEM"), help: "the item")
    private static let location = Option("location", .text("LOCATION"), default: "main", help: "the item's location")

    static let spec = CommandSpec(
        "items retire", "Deletes an item that has no stock and no queued jobs; its results stay.",
        arguments: [store, item], options: [location], usesDatabase: true,
        examples: [.init("Remove an item that is no longer sold.", "berlin", "shirt-m")],
        notes: [
            "Set the stock to 0 first: stockq enqueue STORE ITEM 0 --action set. An item that is created again with the same "
                + "key continues its versions."
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let key = ItemKey(input[store], input[item], location: input[location])
        let (connection, schema) = try Database.open(input)
        let item = try Inspector(connection: connection, schema: schema).item(key)?.value
        guard try QueueAdmin(connection: connection, schema: schema).retireItem(key), let item else {
            throw Failure.unknownItem(key)
        }
        Terminal.print("\(key.shown): \(item.alertLevel.rawValue), version \(grouped(item.version)) → retired")
        return .success
    }
}
