import HTTPServer
import StockFormats
import StockModel

/// The operations that read, create and change items.
enum ItemOperations {
    static let all = [items, create, item, change, movements, stock]

    private static let store = "/v1/stores/{store_id}"

    private static let items = NativeOperation(
        id: "listItems", method: .get, path: "\(store)/items",
        summary: "List the store's items in the order of their ids; next has the path of the next page",
        scopes: [.readCatalog],
        parameters: [
            .id("after", "Begin behind this item."), .id("location_id", "Only items at this location."),
            .id("parent_id", "Only variations of this product."), .limit,
        ], answers: [.init(200, "The items; one at several locations is there for each.", "Items")]
    ) { input throws(Problem) in
        let filter = ItemFilter(
            after: try input.id("after"), location: try input.id("location_id"), parent: try input.id("parent_id"),
            limit: try input.limit())
        return input.query(.items(filter)) { [store = input.store] rows throws(Problem) in
            JobAnswers.members("items", rows.rows.map(\.json), ("next", next(rows, filter, store)))
        }
    }

    /// nil on the last page.
    private static func next(_ rows: NativeRows, _ filter: ItemFilter, _ store: String) -> String? {
        guard Set(rows.rows.map(\.itemID)).count == filter.limit, let last = rows.rows.last?.itemID else { return nil }
        let parameters = [
            ("after", last), ("location_id", filter.locationID), ("parent_id", filter.parentID),
            ("limit", String(filter.limit)),
        ].compactMap { name, value in value.map { "\(name)=\(PathText.encoded($0))" } }
        return "/v1/stores/\(PathText.encoded(store))/items?\(parameters.joined(separator: "&"))"
    }

    private static let item = NativeOperation(
        id: "getItem", method: .get, path: "\(store)/items/{item_id}", summary: "Read an item at each of its locations",
        scopes: [.readCatalog], parameters: [.id("location_id", "Only at this location.")],
        answers: [.init(200, "The item.", "Items")]
    ) { input throws(Problem) in
        input.query(.item(input.path["item_id"], location: try input.id("location_id"))) { rows throws(Problem) in
            if rows.rows.isEmpty { throw unknownItem }
            return JobAnswers.members("items", rows.rows.map(\.json))
        }
    }

    // MARK: changes

    private static let create = NativeOperation(
        id: "createItem", method: .post, path: "\(store)/items", summary: "Create an item with its opening stock",
        scopes: [.manageItems], body: "ItemRequest",
        answers: [
            .init(
                201, "The new item.", "Item", fields: ["Location"],
                links: ["getItem", "changeItem", "getHistory", "getStock"].map { .init($0, "item_id", "/item_id") })
        ]
    ) { input throws(Problem) in
        var item = ItemRequest(store: input.store, item: "", onHand: 0)
        try FieldValues.read(try JobBody.value(input.request), ItemBody.definitions, at: "") {
            item.set(ItemBody.fields[$0], $1)
        }
        do throws(ValidationError) {
            try item.validate()
        } catch {
            throw Problem(.unknownStore)
        }
        return input.query(.createItem(item)) { [store = input.store, itemID = item.itemID] rows throws(Problem) in
            guard let row = rows.rows.first else { throw Problem(.itemExists) }
            var response = Response.json(.created, Array(row.json.utf8))
            response.fields.add(
                "Location", "/v1/stores/\(PathText.encoded(store))/items/\(PathText.encoded(itemID))")
            return response
        }
    }

    private static let change = NativeOperation(
        id: "changeItem", method: .patch, path: "\(store)/items/{item_id}",
        summary: "Change attributes of an item; a null empties one (RFC 7396)", scopes: [.manageItems],
        parameters: [.location], body: "ItemChange", answers: [.init(200, "The item.", "Item")]
    ) { input throws(Problem) in
        let body = try JobBody.value(input.request)
        var change = ItemChange(item: input.path["item_id"], location: try input.location())
        try FieldValues.read(body, ItemBody.attributes.map(\.definition), at: "") { position, value in
            switch (ItemBody.attributes[position], value) {
            case (.parentID, .text(let text)): change.parentID = text
            case (.tracked, .flag(let flag)): change.isTracked = flag
            case (.lowStockThreshold, .integer(let number)): change.lowStockThreshold = number
            default: preconditionFailure("no such attribute")
            }
        }
        change.cleared = [ItemField.parentID, .lowStockThreshold].map(\.rawValue).filter { body[$0] == .null }
        if body["tracked"] == .null { throw FieldValues.fault("", "tracked", "tracked must be true or false") }
        return input.query(.changeItem(change)) { rows throws(Problem) in
            guard let row = rows.rows.first else { throw unknownItem }
            return .json(.ok, Array(row.json.utf8))
        }
    }

    // MARK: the past

    private static let movements = NativeOperation(
        id: "getHistory", method: .get, path: "\(store)/items/{item_id}/history",
        summary: "Read the last applied jobs of an item, newest first", scopes: [.readCatalog],
        parameters: [.location, .limit], answers: [.init(200, "The jobs.", "Jobs")]
    ) { input throws(Problem) in
        let location = try input.location()
        let limit = try input.limit()
        return input.query(.movements(item: input.path["item_id"], location: location, limit: limit)) {
            rows throws(Problem) in JobAnswers.members("jobs", rows.rows.map(\.json))
        }
    }

    private static let stock = NativeOperation(
        id: "getStock", method: .get, path: "\(store)/items/{item_id}/stock",
        summary: "Read the stock that an item had at a time", scopes: [.readCatalog],
        parameters: [
            .location,
            .init(
                name: "at", location: .query, schema: NativeSchemas.time,
                help: "The time; without one the present stock."),
        ], answers: [.init(200, "The stock.", "Stock")]
    ) { input throws(Problem) in
        let location = try input.location()
        var at: Int64?
        if let text = input.text("at") {
            guard let time = Moment.parse(text) else {
                throw Problem.parameter("at", "must be a time with its zone like 2026-03-01T12:00:00Z")
            }
            at = time
        }
        return input.query(.stock(item: input.path["item_id"], location: location, at: at)) { rows throws(Problem) in
            guard let row = rows.rows.first else {
                throw Problem(.notFound, "The stock of the item at this time is not known.")
            }
            return .json(.ok, Array(row.json.utf8))
        }
    }

    private static var unknownItem: Problem { Problem(.notFound, "The store has no such item at this location.") }
}

/// The fields of items in bodies: those of the table, without the store, which the path has.
enum ItemBody {
    static let fields = ItemField.allCases.filter { $0 != .storeID }
    static let definitions = fields.map(\.definition)
    /// Those that can change.
    static let attributes: [ItemField] = [.parentID, .tracked, .lowStockThreshold]
}
