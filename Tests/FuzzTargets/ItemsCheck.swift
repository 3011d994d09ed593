import StockQueue

/// From the bytes of an items file to rows, or a told problem.
enum ItemsCheck {
    static func problem(with bytes: [UInt8], _ format: InputFormat) -> String? {
        let input = InputCheck<ItemField>(bytes, format, required: ItemField.required)
        if let problem = input.problem { return problem }
        let rules = ItemRules(columns: input.columns)
        for record in input.records {
            if format == .ndjson, let problem = ObjectCheck.problem(with: record, input.columns) { return problem }
            if record.problem != nil { continue }
            let fields = Dictionary(uniqueKeysWithValues: zip(input.columns, record.fields.map { Array($0) }))
            let expected = row(fields)
            let mine = try? rules.row(of: record)
            if mine != expected {
                return "\(fields) is read as \(String(describing: mine)), not \(String(describing: expected))"
            }
        }
        return nil
    }

    /// - Returns: nil where the line is to be refused.
    private static func row(_ fields: [ItemField: [UInt8]]) -> ItemRow? {
        func given(_ column: ItemField) -> [UInt8]? { fields[column].flatMap { $0.isEmpty ? nil : $0 } }
        for column in [ItemField.storeID, .itemID, .locationID, .parentID] {
            if let bytes = given(column), !PlainRules.isText(bytes, longest: 200) { return nil }
        }
        func text(_ column: ItemField) -> String? { given(column).flatMap(PlainRules.text) }
        guard let store = text(.storeID), let item = text(.itemID) else { return nil }
        guard let onHand = given(.onHand).flatMap(PlainRules.number), onHand.magnitude <= PlainRules.most.magnitude
        else { return nil }
        let tracked = given(.tracked).map { PlainRules.flag($0) } ?? true
        let threshold = given(.lowStockThreshold).map { PlainRules.number($0) ?? -1 }
        guard let tracked, (0...PlainRules.most).contains(threshold ?? 0) else { return nil }
        return ItemRow(
            key: [store, item, text(.locationID) ?? "main"], onHand: Int64(onHand), parent: text(.parentID),
            tracked: tracked, threshold: threshold.map { Int64($0) })
    }
}
