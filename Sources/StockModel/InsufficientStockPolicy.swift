/// What happens when less is available than a job needs.
public enum InsufficientStockPolicy: String, DatabaseLabel {
    /// The job is rejected.
    case reject
    /// The job is applied and available stock goes negative, with a warning.
    case allow
    /// What is available is applied.
    case partial
    /// The job stays queued until stock rises or it expires.
    case wait

    public static let typeName = "on_insufficient"

    public var ordinal: Int16 {
        switch self {
        case .reject: 0
        case .allow: 1
        case .partial: 2
        case .wait: 3
        }
    }

    /// Whether a job with this action may have the policy. The constraint `jobs_policy_fits_action` of the table is the
    /// same rule.
    public func fits(_ action: StockAction) -> Bool {
        switch self {
        case .reject: true
        case .allow: action == .adjust || action == .allocate || action == .set
        case .partial, .wait: action == .adjust || action == .allocate
        }
    }
}
