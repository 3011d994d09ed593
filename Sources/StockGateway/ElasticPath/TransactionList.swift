import HTTPServer
import StockFormats
import StockModel

/// `GET /v2/inventories/{product}/transactions` and `…/{transaction}`: the history of an item, its opening balance
/// first.
enum TransactionList {
    static func plan(_ input: ElasticPathInput) throws(InvalidField) -> CallPlan {
        let page = try PageParameters.read(input.request.head.query)
        guard let productID = input.productID else { return input.notFound }
        let query = HistoryQuery(input.access, item: productID, location: input.locationID, .page(page))
        let path = "/v2/inventories/\(input.path["product"])/transactions"
        return plan(query, input) { listing, json in
            json.key("data")
            json.array { json in
                for entry in listing.elements {
                    transaction(entry, productID, input.dialect).write(input.dialect, &json)
                }
            }
            PageParameters.write(page, listing, path: path, &json)
            return true
        }
    }

    static func planOne(_ input: ElasticPathInput) -> CallPlan {
        guard let productID = input.productID, let id = TransactionID.entry(input.path["transaction"]) else {
            return input.notFound
        }
        let query = HistoryQuery(input.access, item: productID, location: input.locationID, .entry(id))
        return plan(query, input) { listing, json in
            guard let entry = listing.elements.first else { return false }
            json.key("data")
            transaction(entry, productID, input.dialect).write(input.dialect, &json)
            return true
        }
    }

    /// - Parameter write: writes the members of the answer; false if there is nothing to show.
    private static func plan(
        _ query: HistoryQuery, _ input: ElasticPathInput,
        _ write: @escaping @Sendable (Listing<HistoryEntry>, inout JSONWriter) -> Bool
    ) -> CallPlan {
        let dialect = input.dialect
        return .history(query) { answer in
            switch answer {
            case .failure(let failure): return ElasticPathError(failure).response(dialect)
            case .success(nil): return ElasticPathError.notFound.response(dialect)
            case .success(let listing?):
                var json = JSONWriter()
                var isFound = true
                json.object { json in isFound = write(listing, &json) }
                return isFound ? .json(.ok, json.bytes) : ElasticPathError.notFound.response(dialect)
            }
        }
    }

    private static func transaction(
        _ entry: HistoryEntry, _ productID: String, _ dialect: ElasticPathDialect
    ) -> TransactionObject {
        let (action, quantity) = shown(entry)
        return TransactionObject(
            id: entry.id, action: action, productID: productID, quantity: quantity,
            locationID: dialect == .basic ? nil : entry.locationID, createdAt: entry.at)
    }

    /// In the vendor's words; `ship`, which the vendor does not have, keeps its name.
    private static func shown(_ entry: HistoryEntry) -> (action: String, quantity: Int64) {
        switch entry.kind {
        case .opening: ("create", entry.quantity)
        case .job(.adjust): entry.quantity < 0 ? ("decrement", -entry.quantity) : ("increment", entry.quantity)
        case .job(let action): (action.rawValue, entry.quantity)
        }
    }
}

/// `page[limit]` and `page[offset]`, and the members `links` and `meta` of a list.
enum PageParameters {
    private static let limitDefault: Int64 = 100
    private static let limits: ClosedRange<Int64> = 1...1_000
    private static let offsets: ClosedRange<Int64> = 0...1_000_000_000

    static func read(_ query: QueryParameters) throws(InvalidField) -> Page {
        Page(
            offset: Int(try number("page[offset]", query, offsets) ?? 0),
            limit: Int(try number("page[limit]", query, limits) ?? limitDefault))
    }

    private static func number(
        _ name: String, _ query: QueryParameters, _ range: ClosedRange<Int64>
    ) throws(InvalidField) -> Int64? {
        guard let text = query[name] else { return nil }
        guard let value = Int64(pathText: text), range.contains(value) else {
            throw InvalidField(name, "must be a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    /// Links are paths, because the server does not know the scheme and the host that its proxy is called by.
    static func write<Element>(_ page: Page, _ listing: Listing<Element>, path: String, _ json: inout JSONWriter) {
        let pages = max(1, (listing.total + page.limit - 1) / page.limit)
        func link(_ name: String, _ offset: Int, _ json: inout JSONWriter) {
            json.key(name)
            json.string("\(path)?page[offset]=\(offset)&page[limit]=\(page.limit)")
        }
        json.key("links")
        json.object { json in
            link("current", page.offset, &json)
            link("first", 0, &json)
            link("last", (pages - 1) * page.limit, &json)
            if page.offset > 0 { link("prev", max(0, page.offset - page.limit), &json) }
            if page.offset + page.limit < listing.total { link("next", page.offset + page.limit, &json) }
        }
        json.key("meta")
        json.object { json in
            json.key("results")
            writeNumbers([("total", listing.elements.count), ("all", listing.total)], &json)
            json.key("page")
            let current = page.offset / page.limit + 1
            writeNumbers(
                [("limit", page.limit), ("offset", page.offset), ("current", current), ("total", pages)], &json)
        }
    }

    private static func writeNumbers(_ members: [(String, Int)], _ json: inout JSONWriter) {
        json.object { json in
            for (name, number) in members {
                json.key(name)
                json.integer(number)
            }
        }
    }
}
