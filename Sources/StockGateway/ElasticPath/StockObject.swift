import HTTPServer
import StockFormats
import StockModel

/// The calls about stock as a whole: one item, several, all, creation and removal.
enum StockObject {
    // MARK: reading

    static func planOne(_ input: ElasticPathInput) -> CallPlan {
        guard let productID = input.productID else { return input.notFound }
        return plan(input, .items([productID])) { listing in
            guard let level = listing.elements.first else { return ElasticPathError.notFound.response(input.dialect) }
            return response(.ok, level, input.dialect)
        }
    }

    static func planMultiple(_ input: ElasticPathInput, itemsMax: Int) throws(InvalidField) -> CallPlan {
        let data = try JSONBody.object(input.request.body)["data"]
        guard let data, case .array(let elements) = data else { throw InvalidField("data", "must be an array") }
        guard elements.count <= itemsMax else { throw InvalidField("data", "has more than \(itemsMax) elements") }
        var ids: [String] = []
        for element in elements {
            guard case .object = element, let id = try element.identifier("id") else {
                throw InvalidField("data.id", "must be a text in each element")
            }
            if !ids.contains(id) { ids.append(id) }
        }
        let order = ids
        return plan(input, .items(order)) { listing in
            let levels = Dictionary(listing.elements.map { ($0.itemID, $0) }, uniquingKeysWith: { first, _ in first })
            var json = JSONWriter()
            json.object { json in
                json.key("data")
                json.array { json in
                    for level in order.compactMap({ levels[$0] }) { write(level, input.dialect, &json) }
                }
            }
            return .json(.ok, json.bytes)
        }
    }

    static func planList(_ input: ElasticPathInput) throws(InvalidField) -> CallPlan {
        let page = try PageParameters.read(input.request.head.query)
        return plan(input, .page(page)) { listing in
            var json = JSONWriter()
            json.object { json in
                json.key("data")
                json.array { json in for level in listing.elements { write(level, input.dialect, &json) } }
                PageParameters.write(page, listing, path: "/v2/inventories", &json)
            }
            return .json(.ok, json.bytes)
        }
    }

    private static func plan(
        _ input: ElasticPathInput, _ selection: LevelQuery.Selection,
        _ response: @escaping @Sendable (Listing<StockLevel>) -> Response
    ) -> CallPlan {
        .levels(LevelQuery(input.access, selection, location: input.locationID)) { answer in
            switch answer {
            case .failure(let failure): ElasticPathError(failure).response(input.dialect)
            case .success(let listing): response(listing)
            }
        }
    }

    // MARK: creation and removal

    static func planCreation(_ input: ElasticPathInput) throws(InvalidField) -> CallPlan {
        let onHand = try openingBalances(try input.data(), input.dialect)
        guard let productID = input.productID else { return input.notFound }
        return plan(ItemCall(input.access, item: productID, .create(onHand: onHand)), input)
    }

    static func planRemoval(_ input: ElasticPathInput) -> CallPlan {
        guard let productID = input.productID else { return input.notFound }
        return plan(ItemCall(input.access, item: productID, .remove), input)
    }

    private static func openingBalances(
        _ data: JSONValue, _ dialect: ElasticPathDialect
    ) throws(InvalidField) -> [String: Int64] {
        guard dialect == .multiLocation else {
            return [ItemKey.defaultLocation: try data.wholeNumber("quantity", in: 0...Quantity.max)]
        }
        guard let attributes = data["attributes"], case .object = attributes else {
            throw InvalidField("data.attributes", "must be an object")
        }
        guard let locations = attributes["locations"], case .object(let members) = locations, !members.isEmpty else {
            return [ItemKey.defaultLocation: try attributes.wholeNumber("available", in: 0...Quantity.max)]
        }
        var onHand: [String: Int64] = [:]
        for member in members {
            guard Identifier.isValid(member.key) else {
                throw InvalidField("locations", "must have names of 1 to \(Identifier.bytesMax) bytes")
            }
            onHand[member.key] = try member.value.wholeNumber("available", in: 0...Quantity.max)
        }
        return onHand
    }

    private static func plan(_ call: ItemCall, _ input: ElasticPathInput) -> CallPlan {
        let dialect = input.dialect
        return .item(call) { answer in
            switch answer {
            case .failure(let failure): ElasticPathError(failure).response(dialect)
            case .success(.created(let level)): response(.created, level, dialect)
            case .success(.removed): Response(.noContent)
            case .success(.unknownItem): ElasticPathError.notFound.response(dialect)
            case .success(.exists):
                ElasticPathError(InvalidField("product", "is managed already; change its stock by a transaction"))
                    .response(dialect)
            }
        }
    }

    // MARK: writing

    private static func response(
        _ status: HTTPStatus, _ level: StockLevel, _ dialect: ElasticPathDialect
    ) -> Response {
        var json = JSONWriter()
        json.object { json in
            json.key("data")
            write(level, dialect, &json)
        }
        return .json(status, json.bytes)
    }

    private static func write(_ level: StockLevel, _ dialect: ElasticPathDialect, _ json: inout JSONWriter) {
        json.object { json in
            json.key("id")
            json.string(level.itemID)
            json.key("type")
            json.string("stock")
            switch dialect {
            case .basic: writeQuantities(level.total, &json)
            case .multiLocation:
                json.key("attributes")
                json.object { json in writeAttributes(level, &json) }
                json.key("meta")
                json.object { json in writeTimestamps(level, &json) }
            }
        }
    }

    private static func writeQuantities(_ balance: Balance, _ json: inout JSONWriter) {
        json.key("total")
        json.integer(balance.onHand)
        json.key("available")
        json.integer(balance.available)
        json.key("allocated")
        json.integer(balance.allocated)
    }

    private static func writeAttributes(_ level: StockLevel, _ json: inout JSONWriter) {
        json.key("product_id")
        json.string(level.itemID)
        writeQuantities(level.total, &json)
        json.key("locations")
        json.object { json in
            for location in level.locations {
                json.key(location.locationID)
                json.object { json in writeQuantities(location.balance, &json) }
            }
        }
    }

    private static func writeTimestamps(_ level: StockLevel, _ json: inout JSONWriter) {
        json.key("timestamps")
        json.object { json in
            json.key("created_at")
            json.string(Timestamp.rfc3339(level.createdAt))
            json.key("updated_at")
            json.string(Timestamp.rfc3339(level.updatedAt))
        }
    }
}
