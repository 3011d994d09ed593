import CommandLineKit
import StockQueue

enum OperationsListCommand: Command {
    private static let verb = Option("verb", .text("VERB"), help: "only operations of this kind, such as 'pause'")
    private static let since = Option("since", .pastMoment, help: "only operations at this time or later")
    private static let until = Option("until", .pastMoment, help: "only operations before this time")
    private static let before = Option(
        "before", .wholeNumber(0...Int64.max, "OPERATION"), help: "only operations with a lower id, to continue a list")
    private static let limit = Option("limit", .wholeNumber(1...1_000_000), default: 100, help: "at most N operations")

    static let spec = CommandSpec(
        "operations list", "Lists what administrators did, the newest first: who, when and what.",
        options: [verb, since, until, limit, before] + RowTable.formats, usesDatabase: true,
        examples: [
            .init("Find out who paused what.", "--verb", "pause"),
            .init("List the last week's operations.", "--since", "7d"),
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        var list = OperationList(limit: input[limit])
        (list.verb, list.since, list.until, list.before) = (input[verb], input[since], input[until], input[before])
        let (connection, schema) = try Database.open(input)
        let rows = try Inspector(connection: connection, schema: schema).rows(of: list)
        try listing.print(rows, input)
        try ListFilters.noteRest(rows, limit: input[limit], option: "--before", key: "operation_id")
        return .success
    }

    private static let listing = RowTable(
        columns: [
            .init("operation", "operation_id"), .init("at") { $0.time("at") }, .init("who", "who"),
            .init("verb", "verb"), .init("jobs") { $0.grouped("jobs") },
            RowTable.Column("subject", OperationText.words).shortened,
        ],
        csvColumns: ["operation_id", "at", "who", "verb", "jobs", "subject"])
}
