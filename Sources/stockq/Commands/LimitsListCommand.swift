import CommandLineKit
import StockQueue

enum LimitsListCommand: Command {
    private static let limit = Option("limit", .wholeNumber(1...1_000_000), default: 1_000, help: "at most N stores")

    static let spec = CommandSpec(
        "limits list", "Lists the stores with a limit of ready jobs.", options: [limit] + RowTable.formats,
        usesDatabase: true, examples: [.init("List all limits.")])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let (connection, schema) = try Database.open(input)
        let rows = try Inspector(connection: connection, schema: schema).rows(of: LimitList(limit: input[limit]))
        try listing.print(rows, input, limit: input[limit])
        return .success
    }

    private static let listing = RowTable(
        columns: [.init("store", "store_id"), .init("ready jobs at most") { $0.grouped("ready_jobs_max") }],
        csvColumns: ["store_id", "ready_jobs_max"])
}
