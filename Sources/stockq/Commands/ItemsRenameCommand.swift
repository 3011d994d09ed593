import CommandLineKit
import StockQueue

enum ItemsRenameCommand: Command {
    private static let store = Argument(.text("STORE", bytes: 1...200), help: "the item's store")
    private static let item = Argument(.text("ITEM", bytes: 1...200), help: "the item's present id")
    private static let new = Argument(.text("NEW", bytes: 1...200), help: "its new id")
    private static let location = Option(
        "location", .text("LOCATION", bytes: 1...200), defaultText: "all", help: "only at this location")

    static let spec = CommandSpec(
        "items rename", "Gives an item another id, or merges it into one that exists: moves its stock by jobs.",
        arguments: [store, item, new], options: [location, ItemMove.merge, ItemMove.reason, ItemMove.timeout],
        usesDatabase: true,
        examples: [
            .init("Correct an id that a file had wrong.", "berlin", "shirt-rn", "shirt-m"),
            .init(
                "Merge an item that was imported twice.", "berlin", "SHIRT-M", "shirt-m", "--merge", "--reason",
                "imported twice"),
        ],
        notes: ItemMove.notes)

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        if input[item] == input[new] { throw input.usageError("both ids are '\(input[item].shown)'") }
        let (connection, schema) = try Database.open(input)
        var list = ItemList(limit: 100_000)
        (list.store, list.item) = (input[store], input[item])
        let locations = try Inspector(connection: connection, schema: schema).rows(of: list)
            .map { try Row(json: $0)["location_id"] }.filter { input[location] == nil || $0 == input[location] }
        guard !locations.isEmpty else {
            throw Failure.unknownItem(
                ItemKey(input[store], input[item], location: input[location] ?? ItemKey.defaultLocation))
        }
        let move = ItemMove(input, connection, schema)
        for location in locations {
            try move.run(
                from: ItemKey(input[store], input[item], location: location),
                to: ItemKey(input[store], input[new], location: location))
        }
        return .success
    }
}
