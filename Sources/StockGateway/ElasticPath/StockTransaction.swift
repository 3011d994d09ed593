import HTTPServer
import StockFormats
import StockModel

/// `POST /v2/inventories/{product}/transactions`: one job.
enum StockTransaction {
    enum Action: String, Sendable {
        case increment, decrement, allocate, deallocate
        /// In the multi-location form only.
        case set

        init?(_ label: String, _ dialect: ElasticPathDialect) {
            self.init(rawValue: label)
            if self == .set, dialect == .basic { return nil }
        }

        static func names(_ dialect: ElasticPathDialect) -> String {
            "increment, decrement, allocate\(dialect == .basic ? " or deallocate" : ", deallocate or set")"
        }

        /// The multi-location form allows 0 where it changes nothing.
        func quantities(_ dialect: ElasticPathDialect) -> ClosedRange<Int64> {
            switch (dialect, self) {
            case (.multiLocation, .increment), (.multiLocation, .decrement), (_, .set): 0...Quantity.max
            default: 1...Quantity.max
            }
        }

        func line(_ itemID: String, _ quantity: Int64) -> StockLine {
            switch self {
            case .increment: StockLine(item: itemID, .adjust, quantity)
            case .decrement: StockLine(item: itemID, .adjust, -quantity)
            case .allocate: StockLine(item: itemID, .allocate, quantity)
            case .deallocate: StockLine(item: itemID, .deallocate, quantity)
            case .set: StockLine(item: itemID, .set, quantity)
            }
        }
    }

    private static let typeName = "stock-transaction"

    static func plan(_ input: ElasticPathInput, deadlineMs: Int) throws(InvalidField) -> CallPlan {
        let duplicateCheck: DuplicateCheck = try IdempotencyKey(input.request.head).map { .key($0) } ?? .unguarded
        let data = try input.data()
        let dialect = input.dialect
        let members = try members(data, dialect)
        let action = try action(members["action"], dialect)
        let quantity = try members.wholeNumber("quantity", in: action.quantities(dialect))
        let location = dialect == .multiLocation ? try members.identifier("location") : nil
        guard let productID = input.productID else { return input.notFound }
        var line = action.line(productID, quantity)
        line.locationID = location ?? ItemKey.defaultLocation
        let call = StockCall(input.access, [line], duplicateCheck: duplicateCheck, deadlineMs: deadlineMs)
        return .stock(call) { answer in
            response(to: answer, dialect) { result in
                TransactionObject(
                    id: .job(result.jobID), action: action.rawValue, productID: productID, quantity: quantity,
                    locationID: location, createdAt: result.finishedAt)
            }
        }
    }

    /// The object that has action and quantity: `data`, or its `attributes`. One client sends the type in the one,
    /// another in the other.
    private static func members(_ data: JSONValue, _ dialect: ElasticPathDialect) throws(InvalidField) -> JSONValue {
        guard dialect == .multiLocation else {
            try checkTypes([data["type"]])
            return data
        }
        guard let attributes = data["attributes"], case .object = attributes else {
            throw InvalidField("data.attributes", "must be an object")
        }
        try checkTypes([data["type"], attributes["type"]])
        return attributes
    }

    private static func checkTypes(_ types: [JSONValue?]) throws(InvalidField) {
        let given = types.compactMap { $0 }
        if given.isEmpty { throw InvalidField.missing("type") }
        if given.contains(where: { $0 != .string(typeName) }) { throw InvalidField("type", "must be \(typeName)") }
    }

    private static func action(_ value: JSONValue?, _ dialect: ElasticPathDialect) throws(InvalidField) -> Action {
        guard let value else { throw InvalidField.missing("action") }
        guard case .string(let label) = value, let action = Action(label, dialect) else {
            throw InvalidField("action", "must be \(Action.names(dialect))")
        }
        return action
    }

    // MARK: the answer

    private static func response(
        to answer: StockAnswer, _ dialect: ElasticPathDialect, _ transaction: (LineResult) -> TransactionObject
    ) -> Response {
        switch answer {
        case .failure(let failure): return ElasticPathError(failure).response(dialect)
        case .success(let results):
            guard let result = results.first else { return ElasticPathError.internalError.response(dialect) }
            if let error = error(result) { return error.response(dialect) }
            var json = JSONWriter()
            json.object { json in
                json.key("data")
                transaction(result).write(dialect, &json)
            }
            return .json(dialect == .basic ? .ok : .created, json.bytes)
        }
    }

    private static func error(_ result: LineResult) -> ElasticPathError? {
        switch (result.outcome, result.code) {
        // The stock of the product is not managed.
        case (.unchanged, .untracked), (.rejected, .unknownItem): .notFound
        case (.applied, _), (.unchanged, _): nil
        case (.canceled, _), (.rejected, .expired): .undecided
        case (.rejected, .insufficientStock), (.rejected, .insufficientAllocation): .insufficientStock
        case (.rejected, .outOfRange), (.rejected, .invalidQuantity):
            ElasticPathError(InvalidField("quantity", "would make the stock out of range"))
        case (.rejected, .idempotencyMismatch): .conflict
        case (.rejected, _), (.failed, _), (.duplicate, _): .internalError
        }
    }
}

/// A stock transaction as the API shows it.
struct TransactionObject {
    var id: HistoryEntry.ID
    var action: String
    var productID: String
    var quantity: Int64
    /// nil: not shown.
    var locationID: String?
    /// In microseconds since 2000-01-01 00:00 UTC.
    var createdAt: Int64

    func write(_ dialect: ElasticPathDialect, _ json: inout JSONWriter) {
        json.object { json in
            json.key("id")
            json.string(TransactionID.text(id))
            json.key("type")
            json.string("stock-transaction")
            switch dialect {
            case .basic:
                writeMembers(&json)
                writeTimestamps(Timestamp.go(createdAt), &json)
            case .multiLocation:
                json.key("attributes")
                json.object { json in writeMembers(&json) }
                json.key("meta")
                json.object { json in writeTimestamps(Timestamp.rfc3339(createdAt), &json) }
            }
        }
    }

    private func writeMembers(_ json: inout JSONWriter) {
        json.key("action")
        json.string(action)
        json.key("product_id")
        json.string(productID)
        json.key("quantity")
        json.integer(quantity)
        if let locationID {
            json.key("location")
            json.string(locationID)
        }
    }

    private func writeTimestamps(_ createdAt: String, _ json: inout JSONWriter) {
        json.key("timestamps")
        json.object { json in
            json.key("created_at")
            json.string(createdAt)
        }
    }
}
