/// How an item's available stock compares with its threshold.
public enum AlertLevel: String, DatabaseLabel, Comparable {
    case ok, low, out

    public static let typeName = "alert_level"

    public var ordinal: Int16 {
        switch self {
        case .ok: 0
        case .low: 1
        case .out: 2
        }
    }

    /// The smaller level is the better one.
    public static func < (left: AlertLevel, right: AlertLevel) -> Bool { left.ordinal < right.ordinal }

    /// The level of an item: `out` at 0 or below, else `low` at its threshold or below it, else `ok`. Untracked items
    /// are always `ok`.
    public init(available: Int64, threshold: Int64?, tracked: Bool) {
        if !tracked {
            self = .ok
        } else if available <= 0 {
            self = .out
        } else if let threshold, available <= threshold {
            self = .low
        } else {
            self = .ok
        }
    }
}

/// What a notification says of an item.
public enum NotificationKind: String, DatabaseLabel {
    case lowStock = "low_stock"
    case outOfStock = "out_of_stock"
    case backInStock = "back_in_stock"
    case restocked

    public static let typeName = "notification_kind"

    public var ordinal: Int16 {
        switch self {
        case .lowStock: 0
        case .outOfStock: 1
        case .backInStock: 2
        case .restocked: 3
        }
    }

    /// The notification for a change of the alert level; nil when the level is the same.
    public init?(from notified: AlertLevel, to level: AlertLevel) {
        switch (notified, level) {
        case (.ok, .low): self = .lowStock
        case (.ok, .out), (.low, .out): self = .outOfStock
        case (.out, .low), (.out, .ok): self = .backInStock
        case (.low, .ok): self = .restocked
        case (.ok, .ok), (.low, .low), (.out, .out): return nil
        }
    }
}
