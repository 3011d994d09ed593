import CommandLineKit
import StockQueue

enum LimitsSetCommand: Command {
    private static let store = Argument(.text("STORE"), help: "the store")
    private static let readyJobs = Argument(
        ValueType.wholeNumber(1...100_000_000).orNone, help: "the most ready jobs; none removes the limit")

    static let spec = CommandSpec(
        "limits set", "Sets the most ready jobs that a store may have.", arguments: [store, readyJobs],
        usesDatabase: true,
        examples: [
            .init("Limit a store.", "berlin", "100000"), .init("Remove the limit.", "berlin", "none"),
        ],
        notes: ["At the limit, enqueueing fails with SQLSTATE 53400, and the producer retries later."])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let limit = input[readyJobs].value
        let (connection, schema) = try Database.open(input)
        var list = LimitList(limit: 1)
        list.store = input[store]
        let before = try Inspector(connection: connection, schema: schema).rows(of: list).first
            .flatMap { try Row(json: $0).number("ready_jobs_max") }
        try QueueAdmin(connection: connection, schema: schema).setStoreLimit(store: input[store], readyJobs: limit)
        let after = limit.map { counted($0, "ready job") } ?? "none"
        Terminal.print("store \(input[store].shownName): limit \(before.map { grouped($0) } ?? "none") → \(after)")
        try UnknownStore.warn(input[store], connection, schema)
        return .success
    }
}
