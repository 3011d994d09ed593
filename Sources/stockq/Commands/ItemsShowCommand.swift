import CommandLineKit
import StockQueue

enum ItemsShowCommand: Command {
    private static let store = Argument(.text("STORE"), help: "the item's store")
    private static let item = Argument(.text("ITEM"), help: "the item")
    private static let location = Option("location", .text("LOCATION"), default: "main", help: "the item's location")
    private static let last = Option("last", .wholeNumber(1...10_000), default: 10, help: "how many movements")
    private static let json = Flag("json", help: "one JSON object that contains both")

    static let spec = CommandSpec(
        "items show", "Shows an item with its last movements, and the changes outside the queue that were accepted.",
        arguments: [store, item],
        options: [location, last, json], usesDatabase: true,
        examples: [.init("Show the last fifty movements of an item.", "berlin", "shirt-m", "--last", "50")])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let key = ItemKey(input[store], input[item], location: input[location])
        let (connection, schema) = try Database.open(input)
        let inspector = Inspector(connection: connection, schema: schema)
        guard let item = try inspector.item(key) else { throw try Failure.unknownItem(key, inspector) }
        let movements = try inspector.movements(key, limit: input[last])
        let accepted = try inspector.rows(of: ReconciliationList(of: key, limit: input[last]))
        if input[json] {
            Terminal.print([
                "item": .encoded(item.json), "movements": .array(movements.map { .encoded($0.json) }),
                "reconciliations": .array(accepted.map { .encoded($0) }),
            ])
            return .success
        }
        Terminal.print(text(item.value))
        if !movements.isEmpty { Terminal.print("\n" + movementTable(movements.map(\.value))) }
        if !accepted.isEmpty {
            Terminal.print("\nChanged outside the queue, and accepted:\n\(try reconciliationTable(accepted))")
        }
        return .success
    }

    private static func reconciliationTable(_ rows: [String]) throws -> String {
        let heading = ["after version", "accepted at", "by", "on hand", "allocated", "reason"]
        return table(
            [heading]
                + (try rows.map { try Row(json: $0) }.map { row in
                    [
                        row.grouped("version"), row.time("at"), row.printable("who"),
                        changeText(row.number("on_hand_before"), row.number("on_hand_after")),
                        changeText(row.number("allocated_before"), row.number("allocated_after")),
                        row.printable("reason"),
                    ]
                }), shortened: [heading.count - 1])
    }

    private static func text(_ item: Item) -> String {
        let parent = item.parentID.map { ", a variation of \($0.printable)" } ?? ""
        let level = item.isTracked ? item.alertLevel.rawValue : "not tracked"
        let threshold = item.lowStockThreshold.map { ", threshold \(grouped($0))" } ?? ""
        return """
            \(item.storeID.printable) \(item.itemID.printable) at \(item.locationID.printable)\(parent)
              on hand    \(grouped(item.balance.onHand))
              allocated  \(grouped(item.balance.allocated))
              available  \(grouped(item.balance.available)) (\(level)\(threshold))
              version    \(grouped(item.version)), opened with \(grouped(item.openingOnHand))
            """
    }

    private static func movementTable(_ movements: [JobResult]) -> String {
        let heading = [
            "version", "time", "job", "action", "quantity", "on hand", "allocated", "group", "reference",
        ]
        let rows = movements.map { movement in
            [
                movement.version.map { grouped($0) } ?? "–", Timestamp(movement.finishedAt).shown,
                String(movement.jobID),
                movement.action.rawValue, grouped(movement.appliedQuantity),
                changeText(movement.before?.onHand, movement.after?.onHand),
                changeText(movement.before?.allocated, movement.after?.allocated), movement.groupID?.printable ?? "",
                movement.reference?.printable ?? movement.reason?.printable ?? "",
            ]
        }
        return table([heading] + rows, optional: [heading.count - 2], shortened: [heading.count - 1])
    }
}
