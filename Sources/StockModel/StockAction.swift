/// What a job does to its item.
public enum StockAction: String, DatabaseLabel {
    /// on_hand += quantity; a negative quantity must be available.
    case adjust
    /// allocated += quantity, which must be available.
    case allocate
    /// allocated −= quantity, which must be allocated.
    case deallocate
    /// allocated −= quantity and on_hand −= quantity.
    case ship
    /// on_hand = quantity (a stock count), which must cover what is allocated.
    case set

    public static let typeName = "action"

    public var ordinal: Int16 {
        switch self {
        case .adjust: 0
        case .allocate: 1
        case .deallocate: 2
        case .ship: 3
        case .set: 4
        }
    }

    /// Whether the quantity has the sign that the action needs and is within ± `Quantity.max`.
    ///
    /// A zero `adjust` is valid: it changes nothing.
    public func accepts(_ quantity: Int64) -> Bool {
        guard Quantity.isInRange(quantity) else { return false }
        return switch self {
        case .adjust: true
        case .allocate, .deallocate, .ship: quantity > 0
        case .set: quantity >= 0
        }
    }
}
