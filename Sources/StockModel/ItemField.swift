/// The columns of an items file. `definition` is the one table of them.
public enum ItemField: String, CaseIterable, Sendable {
    case storeID = "store_id"
    case itemID = "item_id"
    case onHand = "on_hand"
    case locationID = "location_id"
    case parentID = "parent_id"
    case tracked
    case lowStockThreshold = "low_stock_threshold"

    /// The field's row of the table.
    public var definition: FieldDefinition {
        switch self {
        case .storeID: field(.id(bytesMax: 200), .text, isRequired: true, help: "the item's store")
        case .itemID: field(.id(bytesMax: 200), .text, isRequired: true, help: "the item")
        case .onHand: field(.wholeNumber(Quantity.range), .bigint, isRequired: true, help: "the opening stock")
        case .locationID: field(.id(bytesMax: 200), .text, help: "the item's location")
        case .parentID: field(.id(bytesMax: 200), .text, help: "the product of which the item is a variation")
        case .tracked: field(.flag, .boolean, help: "false: unlimited stock")
        case .lowStockThreshold:
            field(
                .wholeNumber(0...Quantity.max), .bigint,
                help: "the level is low when available is at or below it")
        }
    }

    private func field(
        _ kind: FieldKind, _ sqlType: FieldSQLType, isRequired: Bool = false, help: String
    ) -> FieldDefinition {
        FieldDefinition(rawValue, kind, sqlType, isRequired: isRequired, isKeptInResult: false, help: help)
    }

    package static let definitions = allCases.map(\.definition)

    package static let required = allCases.filter(\.definition.isRequired)

    /// The names of all columns, for messages.
    public static let list = allCases.map(\.rawValue).joined(separator: ", ")
}

/// An item to be created with its opening stock, or whose attributes are to be changed.
public struct ItemRequest: Sendable, Hashable {
    public var storeID: String
    public var itemID: String
    public var locationID = ItemKey.defaultLocation
    public var onHand: Int64
    /// The product of which the item is a variation.
    public var parentID: String?
    /// False: unlimited stock, jobs do not change it.
    public var isTracked = true
    public var lowStockThreshold: Int64?

    public init(store: String, item: String, onHand: Int64) {
        storeID = store
        itemID = item
        self.onHand = onHand
    }

    public var key: ItemKey { ItemKey(storeID, itemID, location: locationID) }

    /// Checks the rules of the table's constraints.
    ///
    /// - Throws: the first rule that is broken.
    public func validate() throws(ValidationError) {
        for (field, definition) in zip(ItemField.allCases, ItemField.definitions) {
            try definition.validate(value(of: field))
        }
    }
}

extension ItemRequest {
    /// The value of a field.
    package func value(of field: ItemField) -> FieldValue {
        switch field {
        case .storeID: .text(storeID)
        case .itemID: .text(itemID)
        case .onHand: .integer(onHand)
        case .locationID: .text(locationID)
        case .parentID: FieldValue(parentID)
        case .tracked: .flag(isTracked)
        case .lowStockThreshold: FieldValue(lowStockThreshold)
        }
    }

    /// Sets a field to a value of its kind, as its parser makes it.
    package mutating func set(_ field: ItemField, _ value: FieldValue) {
        switch (field, value) {
        case (.storeID, .text(let text)): storeID = text
        case (.itemID, .text(let text)): itemID = text
        case (.onHand, .integer(let number)): onHand = number
        case (.locationID, .text(let text)): locationID = text
        case (.parentID, .text(let text)): parentID = text
        case (.tracked, .flag(let flag)): isTracked = flag
        case (.lowStockThreshold, .integer(let number)): lowStockThreshold = number
        default: preconditionFailure("\(field.rawValue) cannot be \(value)")
        }
    }
}
