import StockModel

/// The columns of a job that a producer may give, by their names in the table, in CSV headers and in JSON.
public enum JobField: String, CaseIterable, Sendable {
    case storeID = "store_id"
    case itemID = "item_id"
    case locationID = "location_id"
    case quantity
    case action
    case onInsufficient = "on_insufficient"
    case groupID = "group_id"
    case priority
    case runAt = "run_at"
    case expiresAt = "expires_at"
    case expectedAvailable = "expected_available"
    case orderingKey = "ordering_key"
    case notify
    case maxAttempts = "max_attempts"
    case reason
    case reference
    case idempotencyKey = "idempotency_key"

    enum Kind {
        /// 1–200 bytes.
        case identifier
        /// At most 2,000 bytes.
        case note
        case quantity
        case wholeNumber(ClosedRange<Int64>)
        case action
        case policy
        case flag
        case timestamp
    }

    var kind: Kind {
        switch self {
        case .storeID, .itemID, .locationID, .groupID, .orderingKey, .idempotencyKey: .identifier
        case .reason, .reference: .note
        case .quantity: .quantity
        case .action: .action
        case .onInsufficient: .policy
        case .priority: .wholeNumber(1...4)
        case .maxAttempts: .wholeNumber(1...1_000)
        case .expectedAvailable: .wholeNumber(-Quantity.max...Quantity.max)
        case .notify: .flag
        case .runAt, .expiresAt: .timestamp
        }
    }

    /// Must be given.
    public var isRequired: Bool { self == .storeID || self == .itemID || self == .quantity }

    /// The table's default, for a column that is named and left empty; nil stands for NULL.
    var defaultValue: String? {
        switch self {
        case .locationID: "main"
        case .action: StockAction.adjust.rawValue
        case .onInsufficient: InsufficientStockPolicy.reject.rawValue
        case .priority: "2"
        case .maxAttempts: "10"
        case .notify: "true"
        default: nil
        }
    }

    /// The type of the parameter of this name of the function `enqueue`.
    var argumentType: String {
        switch self {
        case .quantity, .expectedAvailable: "bigint"
        case .priority, .maxAttempts: "integer"
        case .notify: "boolean"
        case .runAt, .expiresAt: "timestamptz"
        default: "text"
        }
    }

    public static let list = allCases.map(\.rawValue).joined(separator: ", ")
}
