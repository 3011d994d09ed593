import StockQueuePostgres

/// A type whose cases are the labels of an enum in the database, in the same order.
public protocol DatabaseEnum: CaseIterable, RawRepresentable, Sendable, Hashable where RawValue == String {
    /// The enum's name in the schema.
    static var typeName: String { get }
}

extension DatabaseEnum {
    /// The case's place among all cases, from 0.
    var ordinal: Int { Self.allCases.enumerated().first { $0.element == self }?.offset ?? 0 }

    static var labels: Labels { Labels(allCases.map(\.rawValue)) }

    /// The labels as they are named in messages: `adjust, allocate, …`.
    public static var list: String { allCases.map(\.rawValue).joined(separator: ", ") }
}

/// What a job does to its item.
public enum StockAction: String, DatabaseEnum {
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
}

/// What happens when less is available than a job needs.
public enum InsufficientStockPolicy: String, DatabaseEnum {
    /// The job is rejected.
    case reject
    /// The job is applied and the stock goes negative, with a warning.
    case allow
    /// What is available is applied.
    case partial
    /// The job stays queued until stock rises or it expires.
    case wait

    public static let typeName = "on_insufficient"

    /// Whether the policy may stand on a job with the action; the table has the same rule as a CHECK.
    public func fits(_ action: StockAction) -> Bool {
        switch self {
        case .reject: true
        case .allow: action == .adjust || action == .allocate || action == .set
        case .partial, .wait: action == .adjust || action == .allocate
        }
    }
}

/// What became of a job.
public enum Outcome: String, DatabaseEnum {
    case applied, unchanged, rejected, duplicate, canceled, failed

    public static let typeName = "outcome"
}

/// Why a job was rejected or left its item unchanged.
public enum ResultCode: String, DatabaseEnum {
    case untracked
    case noChange = "no_change"
    case insufficientStock = "insufficient_stock"
    case insufficientAllocation = "insufficient_allocation"
    case unknownItem = "unknown_item"
    case stale
    case outOfRange = "out_of_range"
    case invalidQuantity = "invalid_quantity"
    case expired
    case idempotencyMismatch = "idempotency_mismatch"
    case groupRejected = "group_rejected"

    public static let typeName = "code"
}

/// How an item stands against its threshold.
public enum AlertLevel: String, DatabaseEnum, Comparable {
    case ok, low, out

    public static let typeName = "alert_level"

    /// Smaller is better.
    public static func < (left: AlertLevel, right: AlertLevel) -> Bool { left.ordinal < right.ordinal }

    var ordinal: Int {
        switch self {
        case .ok: 0
        case .low: 1
        case .out: 2
        }
    }
}

/// What a change of the alert level is called.
public enum NotificationKind: String, DatabaseEnum {
    case lowStock = "low_stock"
    case outOfStock = "out_of_stock"
    case backInStock = "back_in_stock"
    case restocked

    public static let typeName = "notification_kind"

    /// The notification for a change of level; nil when the level is the same.
    public init?(from told: AlertLevel, to level: AlertLevel) {
        switch (told, level) {
        case (.ok, .low): self = .lowStock
        case (.ok, .out), (.low, .out): self = .outOfStock
        case (.out, .low), (.out, .ok): self = .backInStock
        case (.low, .ok): self = .restocked
        case (.ok, .ok), (.low, .low), (.out, .out): return nil
        }
    }
}

/// Bounds of quantities.
public enum Quantity {
    /// The largest quantity and stock, 2^53 − 1: the largest whole number that JSON carries unharmed (RFC 8259, section 6).
    public static let max: Int64 = 9_007_199_254_740_991

    /// Whether a quantity or stock is within ± `max`. Compares without `abs`, which traps on `Int64.min`.
    @inline(__always)
    static func isInRange(_ value: Int64) -> Bool { value >= -max && value <= max }
}
