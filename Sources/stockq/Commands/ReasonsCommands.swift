import CommandLineKit
import StockQueue

enum ReasonsListCommand: Command {
    private static let limit = Option("limit", .wholeNumber(1...1_000_000), default: 1_000, help: "at most N reasons")

    static let spec = CommandSpec(
        "reasons list", "Lists the reasons of jobs that have a name in the queue.",
        options: [limit] + RowTable.formats, usesDatabase: true, examples: [.init("List the reasons.")],
        notes: ["A note says whether jobs may have other reasons too."])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let (connection, schema) = try Database.open(input)
        let inspector = Inspector(connection: connection, schema: schema)
        try listing.print(try inspector.rows(of: ReasonList(limit: input[limit])), input, limit: input[limit])
        Terminal.note(
            try inspector.allowsOnlyListedReasons()
                ? "jobs may have only these, or none" : "jobs may have any other reason too")
        return .success
    }

    private static let listing = RowTable(columns: [.init("reason", "reason")], csvColumns: ["reason"])
}

enum ReasonsSetCommand: Command {
    private static let add = Option(
        repeated: "add", .text("REASON", bytes: 1...200), help: "a reason for the list; give it again for each")
    private static let remove = Option(
        repeated: "remove", .text("REASON", bytes: 1...200),
        help: "a reason that leaves the list; give it again for each")
    private static let onlyListed = Flag("only-listed", help: "reject new jobs that have any other reason")
    private static let any = Flag("any", help: "allow every reason")

    static let spec = CommandSpec(
        "reasons set", "Sets which reasons jobs may have.", options: [add, remove, onlyListed, any], usesDatabase: true,
        examples: [
            .init("Allow only the reasons of the list.", "--only-listed"),
            .init("Add a reason of your own.", "--add", "store display"),
            .init("Allow every reason again.", "--any"),
        ],
        notes: [
            "The list begins with the reasons of Shopify. Without --only-listed it is a proposal.",
            "A job without a reason is always allowed, and queued jobs keep theirs. The change locks the table of jobs for a "
                + "moment.",
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        if input[onlyListed] && input[any] { throw input.usageError("give --only-listed or --any, not both") }
        var change = QueueAdmin.ReasonChange()
        (change.added, change.removed) = (input[add], input[remove])
        if input[onlyListed] || input[any] { change.onlyListed = input[onlyListed] }
        if change.added.isEmpty && change.removed.isEmpty && change.onlyListed == nil {
            throw input.usageError("give --add, --remove, --only-listed or --any")
        }
        let (connection, schema) = try Database.open(input)
        let inspector = Inspector(connection: connection, schema: schema)
        let before = try State(inspector)
        try QueueAdmin(connection: connection, schema: schema).setReasons(change)
        let after = try State(inspector)
        Terminal.print("reasons: \(before.count) → \(after.count) in the list, \(before.rule) → \(after.rule)")
        return .success
    }

    private struct State {
        let count: String
        let rule: String

        init(_ inspector: Inspector) throws {
            count = grouped(try inspector.rows(of: ReasonList(limit: 1_000_000)).count)
            rule = try inspector.allowsOnlyListedReasons() ? "only these allowed" : "any allowed"
        }
    }
}
