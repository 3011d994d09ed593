import CommandLineKit
import StockModel
import StockQueue

enum ReprioritizeCommand: Command {
    private static let priority = Argument(
        .wholeNumber(1...JobRequest.priorityMax, "PRIORITY"), help: "1 is first, 4 is last")

    static let spec = CommandSpec(
        "reprioritize", "Gives queued jobs another priority; of a group, all its jobs.",
        arguments: [priority, QueuedJobSelection.jobs], options: QueuedJobSelection.options, usesDatabase: true,
        examples: [
            .init("Move two jobs to the front.", "1", "123", "124"),
            .init("Move an order to the back.", "4", "--store", "berlin", "--group", "order 1001"),
        ],
        notes: ["Exit code 1 if nothing was changed."])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let selection = try QueuedJobSelection.selection(input)
        let (connection, schema) = try Database.open(input)
        let changed = try QueueAdmin(connection: connection, schema: schema).reprioritize(
            selection, to: input[priority])
        Terminal.print("\(grouped(changed)) changed")
        return changed > 0 ? .success : .failure
    }
}
