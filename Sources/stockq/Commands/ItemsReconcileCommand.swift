import CommandLineKit
import StockQueue

enum ItemsReconcileCommand: Command {
    private static let store = Argument(.text("STORE"), help: "the item's store")
    private static let item = Argument(.text("ITEM"), help: "the item")
    private static let location = Option("location", .text("LOCATION"), default: "main", help: "the item's location")
    private static let reason = Option(
        "reason", .text("TEXT"), help: "why the stock was changed outside the queue; required")

    static let spec = CommandSpec(
        "items reconcile", "Accepts a stock that was changed outside the queue, so that the ledger is right again.",
        arguments: [store, item], options: [location, reason], usesDatabase: true,
        examples: [
            .init("Accept what an UPDATE did.", "berlin", "shirt-m", "--reason", "UPDATE of the night of 3 May")
        ],
        notes: [
            "The stock stays as it is. Each place where the item's history does not continue is recorded with the reason, "
                + "in the table reconciliations and in: stockq operations list. Reads all results."
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let key = ItemKey(input[store], input[item], location: input[location])
        guard let reason = input[reason] else { throw input.usageError("give --reason TEXT") }
        let (connection, schema) = try Database.open(input)
        let corrections = try QueueAdmin(connection: connection, schema: schema).reconcileItem(key, reason: reason)
        Terminal.print(corrections.isEmpty ? "nothing to reconcile" : corrections.joined(separator: "\n"))
        return .success
    }
}
