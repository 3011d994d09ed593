import CommandLineKit
import StockQueue

enum TransferCommand: Command {
    private static let store = Argument(.text("STORE"), help: "the item's store")
    private static let item = Argument(.text("ITEM"), help: "the item")
    private static let quantity = Argument(.wholeNumber(1...Quantity.max, "QUANTITY"), help: "whole units")
    private static let from = Argument(.text("FROM"), help: "the location that gives")
    private static let to = Argument(.text("TO"), help: "the location that receives")

    private static let onInsufficient = Option(
        "on-insufficient", .choice("POLICY", of: [.reject, .allow, .wait]), default: InsufficientStockPolicy.reject,
        help: "what to do when FROM has too little")
    private static let idempotencyKey = Option(
        "idempotency-key", .text("KEY"), help: "of several transfers with this key, one takes effect")
    private static let reason = Option("reason", .text("REASON"), help: "kept in the results")
    private static let reference = Option("reference", .text("REFERENCE"), help: "kept in the results")

    static let spec = CommandSpec(
        "transfer", "Moves stock between two locations: a group of two jobs, applied both or not at all.",
        arguments: [store, item, quantity, from, to],
        options: [onInsufficient, idempotencyKey, reason, reference], usesDatabase: true,
        examples: [
            .init(
                "Bring four shirts from the main location to the shop floor.", "berlin", "shirt-m", "4", "main",
                "floor",
                "--idempotency-key", "transfer 17")
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let (connection, schema) = try Database.open(input)
        let receipts = try Producer(connection: connection, schema: schema).transfer(
            input[quantity], of: ItemKey(input[store], input[item], location: input[from]), to: input[to],
            idempotencyKey: input[idempotencyKey], onInsufficient: input[onInsufficient], reason: input[reason],
            reference: input[reference])
        if receipts.contains(where: \.isDuplicate) {
            Terminal.note("the idempotency key was used before for the same transfer; nothing was enqueued")
        }
        Terminal.print(jobList(receipts.map(\.jobID)))
        return .success
    }
}
