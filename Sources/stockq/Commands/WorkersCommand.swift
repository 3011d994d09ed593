import CommandLineKit
import StockQueue

enum WorkersCommand: Command {
    private static let limit = Option("limit", .wholeNumber(1...1_000_000), default: 1_000, help: "at most N sessions")

    static let spec = CommandSpec(
        "workers", "Lists the sessions of workers and of the other services of their processes.",
        options: [limit] + RowTable.formats, usesDatabase: true,
        examples: [.init("See who is connected, and since when.")],
        notes: [
            "A role without the rights of pg_read_all_stats sees the names of other roles' sessions; their state is hidden.",
            "Sessions of all queues in the database are listed. Exit code 1 if there is none.",
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let (connection, schema) = try Database.open(input)
        let rows = try Inspector(connection: connection, schema: schema).rows(
            of: WorkerSessionList(limit: input[limit]))
        if rows.isEmpty {
            Terminal.note("no worker is connected; start one with: stockq run")
            return .failure
        }
        try listing.print(rows, input, limit: input[limit])
        if try rows.contains(where: { try Row(json: $0)["state"] == WorkerSessionList.hidden }) {
            Terminal.note(
                "the state of other roles' sessions is hidden, because this role lacks the rights of pg_read_all_stats")
        }
        return .success
    }

    private static let listing = RowTable(
        columns: [
            .init("session", "name"), .init("process", "process_id"), RowTable.Column("client", "client").optional,
            RowTable.Column("user", "user_name").optional,
            RowTable.Column("connected since") { $0.time("connected_at") }.optional, .init("state", "state"),
            .init("since") { $0.time("since") },
        ], csvColumns: ["name", "process_id", "client", "user_name", "connected_at", "state", "since"])
}
