import CommandLineKit
import StockModel
import StockQueue

enum ReprioritizeCommand: Command {
    private static let priority = Argument(
        .wholeNumber(1...JobRequest.priorityMax, "PRIORITY"), help: "1 is first, 4 is last")

    static let spec = CommandSpec(
        "reprioritize", "Gives queued jobs another priority; of a group, all its jobs.",
        arguments: [priority, QueuedJobSelection.jobs], options: QueuedJobSelection.options + [Confirmation.dryRun],
        usesDatabase: true,
        examples: [
            .init("Move two jobs to the front.", "1", "123", "124"),
            .init("Move an order to the back.", "4", "--store", "berlin", "--group", "order 1001"),
        ],
        notes: ["Exit code 1 if nothing was changed."])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let selection = try QueuedJobSelection.selection(input)
        let (connection, schema) = try Database.open(input)
        let inspector = Inspector(connection: connection, schema: schema)
        let priorities = try inspector.rows(of: SelectedJobList(selection)).compactMap {
            try Row(json: $0).number("priority")
        }
        let others = priorities.filter { $0 != Int64(input[priority]) }
        let change = { (admin: QueueAdmin) in try admin.reprioritize(selection, to: input[priority]) }
        let admin = QueueAdmin(connection: connection, schema: schema)
        let isDryRun = input[Confirmation.dryRun]
        let changed = try isDryRun ? admin.rehearse(change) : change(admin)
        let before = Set(others).sorted().map { String($0) }.joined(separator: ", ")
        if changed == 0 && priorities.isEmpty {
            Terminal.print("no such job is queued")
            return .failure
        }
        Terminal.print(
            "\(counted(changed, "job")): priority "
                + (changed > 0 && !before.isEmpty ? "\(before) → \(input[priority])" : "not changed")
                + (isDryRun ? "; nothing was changed" : ""))
        return changed > 0 ? .success : .failure
    }
}
