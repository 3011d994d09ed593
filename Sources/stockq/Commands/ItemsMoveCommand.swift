import CommandLineKit
import StockQueue

enum ItemsMoveCommand: Command {
    private static let store = Argument(.text("STORE", bytes: 1...200), help: "the item's store")
    private static let item = Argument(.text("ITEM", bytes: 1...200), help: "the item")
    private static let from = Argument(.text("FROM", bytes: 1...200), help: "the location that it leaves")
    private static let to = Argument(.text("TO", bytes: 1...200), help: "the location to which it goes")

    static let spec = CommandSpec(
        "items move", "Moves an item to another location: all its stock, what is allocated, and its queued jobs.",
        arguments: [store, item, from, to], options: [ItemMove.merge, ItemMove.reason, ItemMove.timeout],
        usesDatabase: true,
        examples: [
            .init("Correct a location.", "berlin", "shirt-m", "main", "cellar"),
            .init("Give up a location.", "berlin", "shirt-m", "cellar", "main", "--merge"),
        ],
        notes: ItemMove.notes + ["To bring some units to another location: stockq transfer"])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        if input[from] == input[to] { throw input.usageError("both locations are '\(input[from].shown)'") }
        let (connection, schema) = try Database.open(input)
        try ItemMove(input, connection, schema).run(
            from: ItemKey(input[store], input[item], location: input[from]),
            to: ItemKey(input[store], input[item], location: input[to]))
        return .success
    }
}
