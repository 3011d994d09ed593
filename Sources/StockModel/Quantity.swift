/// Bounds of quantities.
public enum Quantity {
    /// The largest quantity and the largest stock, 2^53 − 1: the largest whole number that JSON carries unharmed (RFC
    /// 8259, section 6).
    public static let max: Int64 = 9_007_199_254_740_991

    /// Every quantity and every stock is within these bounds.
    public static let range = -max...max

    /// Whether a quantity or a stock is within the bounds. Compares without `abs`, which traps on `Int64.min`.
    @inlinable
    public static func isInRange(_ value: Int64) -> Bool { value >= -max && value <= max }
}

/// The quantities of one item at one version, in whole units within ± `Quantity.max`.
public struct Balance: Sendable, Hashable {
    /// Units that are physically present.
    public var onHand: Int64
    /// Units that are promised and not shipped.
    public var allocated: Int64

    public init(onHand: Int64 = 0, allocated: Int64 = 0) {
        self.onHand = onHand
        self.allocated = allocated
    }

    /// Units that can be sold.
    public var available: Int64 { onHand - allocated }

    /// Whether on_hand, allocated and available each are within the bounds.
    public var isInRange: Bool {
        Quantity.isInRange(onHand) && Quantity.isInRange(allocated) && Quantity.isInRange(available)
    }
}
