import CommandLineKit
import StockQueue
import StockQueuePostgres

/// The argument of the commands below.
private let store = Argument(.text("STORE", bytes: 1...200), help: "the store")

enum AlertsSetCommand: Command {
    private static let threshold = Option(
        "threshold", ValueType.wholeNumber(0...Quantity.max).orNone,
        help: "low stock when no more than this is available, for items without a threshold of their own")
    private static let quiet = Option(
        "quiet", ValueType.duration.orNone,
        help: "after a message about an item, send no other for this time, except that it ran out")
    private static let margin = Option(
        "margin", ValueType.wholeNumber(0...Quantity.max).orNone,
        help: "an item that was low is restocked above its threshold and this margin")

    static let spec = CommandSpec(
        "alerts set", "Sets when messages about a store's items are sent.", arguments: [store],
        options: [threshold, quiet, margin], usesDatabase: true,
        examples: [
            .init("Report low stock from 5 down, for all items that have no threshold.", "berlin", "--threshold", "5"),
            .init("Send one message where stock swings.", "berlin", "--margin", "3", "--quiet", "1h"),
            .init("Send every message at once again.", "berlin", "--margin", "none", "--quiet", "none"),
        ],
        notes: [
            "What is not given stays as it is. At the end of a quiet period a message follows if the level of the item "
                + "differs from that of the last message.",
            "A changed threshold is compared at once; the items are changed in steps, and the same command goes on after "
                + "an error.",
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        guard input.isGiven(threshold) || input.isGiven(quiet) || input.isGiven(margin) else {
            throw input.usageError("give --threshold, --quiet or --margin")
        }
        if let period = input[quiet]?.value, period > .seconds(366 * 86_400) {
            throw input.usageError("--quiet takes at most 366d")
        }
        var change = QueueAdmin.AlertPolicyChange(store: input[store])
        change.defaultThreshold = input[threshold].map { $0.value.map { .set($0) } ?? .cleared }
        change.quietSeconds = input[quiet].map { $0.value.map { .set($0.wholeSeconds) } ?? .cleared }
        change.rearmMargin = input[margin].map { $0.value.map { .set($0) } ?? .cleared }
        let (connection, schema) = try Database.open(input)
        let before = try AlertPolicyText(input[store], connection, schema)
        try QueueAdmin(connection: connection, schema: schema).setAlertPolicy(change)
        Terminal.print(try before.change(to: AlertPolicyText(input[store], connection, schema)))
        try UnknownStore.warn(input[store], connection, schema)
        return .success
    }
}

/// How the alerts of a store are sent, for people.
private struct AlertPolicyText {
    private let store: String
    private let attributes: [(name: String, value: String)]

    init(_ store: String, _ connection: Connection, _ schema: QueueSchema) throws {
        self.store = store
        var list = AlertPolicyList(limit: 1)
        list.store = store
        let row = try Inspector(connection: connection, schema: schema).rows(of: list).first.map { try Row(json: $0) }
        let quiet = row?.number("quiet_seconds") ?? 0
        let margin = row?.number("rearm_margin") ?? 0
        attributes = [
            ("threshold", row?.number("default_threshold").map { grouped($0) } ?? "none"),
            ("quiet", quiet == 0 ? "none" : Duration.seconds(quiet).text),
            ("margin", margin == 0 ? "none" : grouped(margin)),
        ]
    }

    /// `store berlin: threshold none → 5, quiet 1h, margin none`
    func change(to after: AlertPolicyText) -> String {
        let changes = zip(attributes, after.attributes).map { before, after in
            "\(before.name) \(before.value == after.value ? after.value : "\(before.value) → \(after.value)")"
        }
        return "store \(store.shownName): \(changes.joined(separator: ", "))"
    }
}

enum AlertsRemoveCommand: Command {
    static let spec = CommandSpec(
        "alerts remove", "Removes what alerts set has set for a store.", arguments: [store], usesDatabase: true,
        examples: [.init("Send every message of a store at once again.", "berlin")],
        notes: ["Items that had the store's threshold have none afterwards."])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let (connection, schema) = try Database.open(input)
        let before = try AlertPolicyText(input[store], connection, schema)
        let hadOne = try QueueAdmin(connection: connection, schema: schema).removeAlertPolicy(store: input[store])
        guard hadOne else {
            throw Failure(
                "nothing is set for the store \(input[store].shownName); stockq alerts list shows what is set")
        }
        Terminal.print(try before.change(to: AlertPolicyText(input[store], connection, schema)))
        return .success
    }
}

enum AlertsListCommand: Command {
    private static let limit = Option("limit", .wholeNumber(1...1_000_000), default: 1_000, help: "at most N stores")

    static let spec = CommandSpec(
        "alerts list", "Lists what alerts set has set, by store.", options: [limit] + RowTable.formats,
        usesDatabase: true, examples: [.init("List all stores with settings.")])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let (connection, schema) = try Database.open(input)
        let list = AlertPolicyList(limit: input[limit])
        let rows = try Inspector(connection: connection, schema: schema).rows(of: list)
        try listing.print(rows, input, limit: input[limit])
        return .success
    }

    private static let listing = RowTable(
        columns: [
            .init("store", "store_id"), .init("threshold") { $0.grouped("default_threshold") },
            .init("quiet") { $0.number("quiet_seconds").map { Duration.seconds($0).text } ?? "–" },
            .init("margin") { $0.grouped("rearm_margin") }, .init("set") { $0.time("set_at") }, .init("by", "set_by"),
        ],
        csvColumns: ["store_id", "default_threshold", "quiet_seconds", "rearm_margin", "set_at", "set_by"])
}
