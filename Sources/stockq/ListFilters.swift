import CommandLineKit
import StockQueue

/// The filters that lists of jobs and of results share.
struct ListFilters {
    private static let storeOption = Option("store", .text("STORE"), help: "only jobs of this store")
    private static let itemOption = Option("item", .text("ITEM"), help: "only jobs of this item")
    private static let locationOption = Option("location", .text("LOCATION"), help: "only jobs of this location")
    private static let groupOption = Option("group", .text("GROUP"), help: "only jobs of groups with this id")
    private static let referenceOption = Option(
        "reference", .text("REFERENCE"), help: "only jobs with this reference")
    private static let importOption = Option("import", .text("NAME"), help: "only jobs of this import")
    private static let keyOption = Option("key", .text("KEY"), help: "only jobs with this idempotency key")

    static let options: [any Parameter] = [
        storeOption, itemOption, locationOption, groupOption, referenceOption, keyOption, importOption,
    ]

    let store, item, location, group, reference, key: String?
    private let importName: String?

    init(_ input: ParsedCommand) {
        (store, item, location) = (input[Self.storeOption], input[Self.itemOption], input[Self.locationOption])
        (group, reference, key) = (input[Self.groupOption], input[Self.referenceOption], input[Self.keyOption])
        importName = input[Self.importOption]
    }

    /// The id of the import; nil where none is given.
    func importID(_ inspector: Inspector) throws -> Int64? {
        try importName.map { try Self.importID(named: $0, inspector) }
    }

    static func importID(named name: String, _ inspector: Inspector) throws -> Int64 {
        guard let id = try inspector.importID(named: name) else { throw try Failure.unknownImport(name, inspector) }
        return id
    }

    /// Says how a list that was cut goes on.
    static func noteRest(_ rows: [String], limit: Int, option: String, key: String) throws {
        guard rows.count == limit, let last = try rows.last.map({ try Row(json: $0) }) else { return }
        Terminal.note("only the first \(grouped(limit)); continue with \(option) \(last[key])")
    }
}
