import CommandLineKit
import StockQueue

enum CancelCommand: Command {
    private static let reason = Option("reason", .text("REASON"), help: "kept in the results")
    private static let json = Flag("json", help: "one JSON object a line for each job canceled")

    static let spec = CommandSpec(
        "cancel", "Cancels queued jobs; of a group, all its jobs.", arguments: [QueuedJobSelection.jobs],
        options: QueuedJobSelection.options + [reason, json], usesDatabase: true,
        examples: [
            .init("Cancel two jobs and their groups.", "123", "124"),
            .init(
                "Cancel an order.", "--store", "berlin", "--reference", "order 1001", "--reason",
                "canceled by the customer"
            ),
        ],
        notes: [
            "A producer cancels jobs of the stores for which it has the scope update_catalog.",
            "A job that a worker has finished is not canceled. Exit code 1 if nothing was canceled. Without --json only the first ids "
                + "are printed.",
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let selection = try QueuedJobSelection.selection(input)
        let (connection, schema) = try Database.open(input)
        let canceled = try QueueAdmin(connection: connection, schema: schema).cancel(selection, reason: input[reason])
        if input[json] {
            for job in canceled { Terminal.print(["job_id": .integer(job), "outcome": .string("canceled")]) }
        } else {
            Terminal.print("\(grouped(canceled.count)) canceled\(canceled.isEmpty ? "" : ": ")\(jobList(canceled))")
        }
        return canceled.isEmpty ? .failure : .success
    }
}
