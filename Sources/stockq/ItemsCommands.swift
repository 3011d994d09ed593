import CommandLineKit
import Foundation
import StockModel
import StockQueue
import StockQueuePostgres

enum ItemsImportCommand: Command {
    static let usage = Usage(
        command: "items import", positionals: "FILE|-", positionalCount: 1...1,
        summary: "Creates items with their opening stock, and changes the attributes of those that exist.",
        options: [
            Option("set-stock", nil, "for items whose stock differs, enqueue a job that sets it to on_hand"),
            Option("json", nil, "print the summary as JSON"),
        ] + Input.options,
        notes: """
            Columns: \(ItemField.allCases.map(\.rawValue).joined(separator: ", ")).
            The first three must be there. A CSV's header names them. Only attributes that have a column are changed.
            """)

    static func run(_ arguments: Arguments) throws -> Int32 {
        let input = try Input(arguments)
        let (connection, schema) = try Database.open(arguments)
        let rejects = try Rejects(arguments, input)
        var importer = try ItemImport(
            connection: connection, schema: schema, source: input.source, format: input.format,
            setsStock: arguments.has("set-stock"),
            onProgress: { Terminal.showProgress("\(grouped($0.read)) read, \(grouped($0.created)) created") },
            onReject: rejects.take)
        rejects.header = importer.header
        let report = try importer.run()
        Terminal.endProgress()
        if report.endedInMidLine { Terminal.note(Input.endedInMidLine) }
        if arguments.has("json") {
            Terminal.print(
                "{\"read\":\(report.read),\"created\":\(report.created),\"changed\":\(report.changed),"
                    + "\"unchanged\":\(report.unchanged),\"rejected\":\(report.rejected),\"set_jobs\":\(report.setJobs)}"
            )
            return report.rejected == 0 ? 0 : 1
        }
        Terminal.print(
            "items: \(grouped(report.created)) created, \(grouped(report.changed)) changed, \(grouped(report.unchanged)) unchanged, "
                + "\(grouped(report.rejected)) rejected"
                + (arguments.has("set-stock") ? "; \(grouped(report.setJobs)) stock counts enqueued" : ""))
        return report.rejected == 0 ? 0 : 1
    }
}

enum ItemsListCommand: Command {
    static let usage = Usage(
        command: "items list", summary: "Lists items in the order of their keys.",
        options: [
            Option("store", "STORE", "only this store's"),
            Option("level", "low|out", "only items at this alert level or worse"),
            Option("limit", "N", "at most N; default 100"),
            Option("after", "STORE/ITEM/LOCATION", "begin behind this item; a / in a name is written %2F, a % as %25"),
            Option("json", nil, "one JSON object a line"),
        ])

    static func run(_ arguments: Arguments) throws -> Int32 {
        var level: AlertLevel?
        if let text = arguments.text("level") {
            level = AlertLevel(rawValue: text)
            if level == nil { throw UsageError("--level must be ok, low or out, not '\(text)'", arguments.usage) }
        }
        var after: ItemKey?
        if let parts = arguments.text("after")?.split(separator: "/").map({ $0.removingPercentEncoding ?? String($0) })
        {
            guard parts.count == 3 else { throw UsageError("--after takes STORE/ITEM/LOCATION", arguments.usage) }
            after = ItemKey(parts[0], parts[1], location: parts[2])
        }
        let limit = try arguments.number("limit", in: 1...1_000_000) ?? 100
        let (connection, schema) = try Database.open(arguments)
        let items = try Inspector(connection: connection, schema: schema).items(
            store: arguments.text("store"), below: level, limit: limit, after: after)
        if arguments.has("json") {
            for item in items { Terminal.print(item.json) }
            return 0
        }
        let heading = [
            "store", "item", "location", "on hand", "allocated", "available", "threshold", "level", "version",
        ]
        Terminal.print(table([heading] + items.map { Self.row($0.value) }))
        if items.count == limit, let last = items.last?.value {
            let place = [last.storeId, last.itemId, last.locationId].map(Self.escaped).joined(separator: "/")
            Terminal.note("only the first \(grouped(limit)); go on with --after '\(place)'")
        }
        return 0
    }

    private static func escaped(_ name: String) -> String {
        name.addingPercentEncoding(withAllowedCharacters: CharacterSet(charactersIn: "%/'").inverted) ?? name
    }

    static func row(_ item: Item) -> [String] {
        [
            item.storeId.printable, item.itemId.printable, item.locationId.printable, grouped(item.onHand),
            grouped(item.allocated), grouped(item.available), item.lowStockThreshold.map { grouped($0) } ?? "–",
            item.tracked ? item.level : "untracked", grouped(item.version),
        ]
    }
}

enum ItemsShowCommand: Command {
    static let usage = Usage(
        command: "items show", positionals: "STORE ITEM", positionalCount: 2...2,
        summary: "Shows an item with its last movements.",
        options: [
            Option("location", "L", "the item's location; default main"),
            Option("last", "N", "how many movements; default 10"),
            Option("json", nil, "one JSON object, with the movements in it"),
        ])

    static func run(_ arguments: Arguments) throws -> Int32 {
        let key = ItemKey(
            arguments.positionals[0], arguments.positionals[1], location: arguments.text("location") ?? "main")
        let last = try arguments.number("last", in: 1...10_000) ?? 10
        let (connection, schema) = try Database.open(arguments)
        let inspector = Inspector(connection: connection, schema: schema)
        guard let item = try inspector.item(key) else {
            throw Failure(
                "there is no item \(key.itemID.printable) at \(key.locationID.printable) in store \(key.storeID.printable)"
            )
        }
        let movements = try inspector.movements(key, limit: last)
        if arguments.has("json") {
            Terminal.print(
                "{\"item\":\(item.json),\"movements\":[\(movements.map(\.json).joined(separator: ","))]}")
            return 0
        }
        let view = item.value
        Terminal.print(
            """
            \(view.storeId.printable) \(view.itemId.printable) at \(view.locationId.printable)\(view.parentId.map { ", a variation of \($0.printable)" } ?? "")
              on hand    \(grouped(view.onHand))
              allocated  \(grouped(view.allocated))
              available  \(grouped(view.available)) (\(view.tracked ? view.level : "not tracked")\(view.lowStockThreshold.map { ", threshold \(grouped($0))" } ?? ""))
              version    \(grouped(view.version)), opened with \(grouped(view.openingOnHand))
            """)
        if movements.isEmpty { return 0 }
        let rows = movements.map { row in
            let movement = row.value
            return [
                movement.version.map { grouped($0) } ?? "–", movement.finishedAt, String(movement.jobId),
                movement.action,
                grouped(movement.appliedQuantity), Self.change(movement.onHandBefore, movement.onHandAfter),
                Self.change(movement.allocatedBefore, movement.allocatedAfter), movement.groupId?.printable ?? "",
                movement.reference?.printable ?? movement.reason?.printable ?? "",
            ]
        }
        Terminal.print(
            "\n"
                + table(
                    [["version", "time", "job", "action", "quantity", "on hand", "allocated", "group", "reference"]]
                        + rows))
        return 0
    }

    static func change(_ before: Int64?, _ after: Int64?) -> String {
        guard let before, let after else { return "–" }
        return before == after ? grouped(after) : "\(grouped(before)) → \(grouped(after))"
    }
}
