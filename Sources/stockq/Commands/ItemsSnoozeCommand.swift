import CommandLineKit
import StockQueue
import StockQueuePostgres

enum ItemsSnoozeCommand: Command {
    private static let store = Argument(.text("STORE"), help: "the item's store")
    private static let item = Argument(.text("ITEM"), help: "the item")
    private static let end = Argument(
        ValueType.moment.orNone, help: "until when no message about the item is sent; none ends the snooze")
    private static let location = Option("location", .text("LOCATION"), default: "main", help: "the item's location")

    static let spec = CommandSpec(
        "items snooze", "Sends no message about an item until a time.", arguments: [store, item, end],
        options: [location], usesDatabase: true,
        examples: [
            .init("Hear nothing of an item for three days.", "berlin", "shirt-m", "+3d"),
            .init("Hear of it again.", "berlin", "shirt-m", "none"),
        ],
        notes: [
            "At that time a message follows if the level of the item differs from that of the last message. Notifications "
                + "are written all the time: stockq notifications shows them."
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let key = ItemKey(input[store], input[item], location: input[location])
        let until: QueueAdmin.SnoozeEnd =
            switch input[end].value {
            case .at(let microseconds): .at(Timestamp(microsecondsSince2000: microseconds))
            case .after(let delay): .after(delay.wholeSeconds)
            case nil: .now
            }
        let (connection, schema) = try Database.open(input)
        let inspector = Inspector(connection: connection, schema: schema)
        let before = try snooze(of: key, inspector)
        let exists = try QueueAdmin(connection: connection, schema: schema).snooze(key, until: until)
        if !exists { throw Failure.unknownItem(key) }
        Terminal.print("\(key.shown): snoozed \(before) → \(try snooze(of: key, inspector))")
        return .success
    }

    /// `until 2026-03-04 13:00:00`, or `not`.
    private static func snooze(of key: ItemKey, _ inspector: Inspector) throws -> String {
        guard let json = try inspector.rows(of: SnoozeList(of: key)).first else { return "not" }
        return "until \(try Row(json: json).time("until"))"
    }
}
