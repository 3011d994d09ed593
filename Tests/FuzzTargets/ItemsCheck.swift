import StockFormats
import StockModel

/// From the bytes of an items file to items, or a reported error.
enum ItemsCheck {
    static func problem(with bytes: [UInt8], _ format: InputFormat) -> String? {
        let input = InputCheck<ItemField>(bytes, format, required: ItemField.required)
        if let problem = input.problem { return problem }
        let parser = RecordParser(input.columns.map(\.definition), timeZone: nil)
        for record in input.records {
            if format == .ndjson, let problem = ObjectCheck.problem(with: record, input.columns) { return problem }
            if record.problem != nil { continue }
            let fields = Dictionary(uniqueKeysWithValues: zip(input.columns, record.fields.map { Array($0) }))
            let expected = item(fields)
            let mine = item(record, input.columns, parser)
            if mine != expected {
                return "\(fields) is read as \(String(describing: mine)), not \(String(describing: expected))"
            }
        }
        return nil
    }

    private static func item(_ record: InputRecord, _ columns: [ItemField], _ parser: RecordParser) -> ItemRequest? {
        var item = ItemRequest(store: "", item: "", onHand: 0)
        do throws(ValidationError) {
            try parser.parse(record) { item.set(columns[$0], $1) }
            try item.validate()
        } catch {
            return nil
        }
        return item
    }

    /// - Returns: nil where the record has to be rejected.
    private static func item(_ fields: [ItemField: [UInt8]]) -> ItemRequest? {
        func given(_ column: ItemField) -> [UInt8]? { fields[column].flatMap { $0.isEmpty ? nil : $0 } }
        for column in [ItemField.storeID, .itemID, .locationID, .parentID] {
            if let bytes = given(column), !PlainRules.isFileID(bytes) { return nil }
        }
        func text(_ column: ItemField) -> String? { given(column).flatMap(PlainRules.text) }
        guard let store = text(.storeID), let itemID = text(.itemID) else { return nil }
        guard let onHand = given(.onHand).flatMap(PlainRules.number),
            onHand.magnitude <= PlainRules.quantityMax.magnitude
        else { return nil }
        let tracked = given(.tracked).map { PlainRules.flag($0) } ?? true
        let threshold = given(.lowStockThreshold).map { PlainRules.number($0) ?? -1 }
        guard let tracked, (0...PlainRules.quantityMax).contains(threshold ?? 0) else { return nil }
        var item = ItemRequest(store: store, item: itemID, onHand: Int64(onHand))
        item.locationID = text(.locationID) ?? "main"
        item.parentID = text(.parentID)
        item.isTracked = tracked
        item.lowStockThreshold = threshold.map { Int64($0) }
        return item
    }
}
