import StockModel

/// An item as a line gives it.
package struct ItemRow: Sendable, Hashable {
    /// Store, item and location.
    package var key: [String]
    package var onHand: Int64
    package var parent: String?
    package var tracked: Bool
    package var threshold: Int64?

    package init(key: [String], onHand: Int64, parent: String?, tracked: Bool, threshold: Int64?) {
        self.key = key
        self.onHand = onHand
        self.parent = parent
        self.tracked = tracked
        self.threshold = threshold
    }
}

/// The rules that a line must keep before its item is written: those of the table's constraints.
package struct ItemRules {
    private let position: [ItemField: Int]

    package init(columns: [ItemField]) {
        position = Dictionary(uniqueKeysWithValues: columns.enumerated().map { ($0.element, $0.offset) })
    }

    /// Whether the input has the column.
    func gives(_ column: ItemField) -> Bool { position[column] != nil }

    /// The item of a record.
    package func row(of record: InputRecord) throws(ValidationError) -> ItemRow {
        if let problem = record.problem { throw problem }
        func given(_ column: ItemField) -> ArraySlice<UInt8>? {
            position[column].map { record.fields[$0] }.flatMap { $0.isEmpty ? nil : $0 }
        }
        func identifier(_ column: ItemField) throws(ValidationError) -> String? {
            guard let bytes = given(column) else { return nil }
            try JobRules.checkText(bytes, named: column.rawValue, longest: 200)
            return String(decoding: bytes, as: UTF8.self)
        }
        func number(_ column: ItemField, _ range: ClosedRange<Int64>) throws(ValidationError) -> Int64? {
            guard let bytes = given(column) else { return nil }
            return try JobRules.wholeNumber(bytes, named: column.rawValue, range)
        }
        guard let store = try identifier(.storeID) else { throw ValidationError("store_id is empty") }
        guard let item = try identifier(.itemID) else { throw ValidationError("item_id is empty") }
        guard let onHand = try number(.onHand, -Quantity.max...Quantity.max) else {
            throw ValidationError("on_hand is empty")
        }
        let location = try identifier(.locationID) ?? "main"
        let tracked = try given(.tracked).map { bytes throws(ValidationError) in
            try JobRules.flag(bytes, named: "tracked")
        }
        return ItemRow(
            key: [store, item, location], onHand: onHand, parent: try identifier(.parentID), tracked: tracked ?? true,
            threshold: try number(.lowStockThreshold, 0...Quantity.max))
    }
}
