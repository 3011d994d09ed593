/// What became of a job.
public enum Outcome: String, DatabaseLabel {
    case applied, unchanged, rejected, duplicate, canceled, failed

    public static let typeName = "outcome"

    public var ordinal: Int16 {
        switch self {
        case .applied: 0
        case .unchanged: 1
        case .rejected: 2
        case .duplicate: 3
        case .canceled: 4
        case .failed: 5
        }
    }
}

/// Why a job was rejected or did not change its item.
public enum ResultCode: String, DatabaseLabel {
    /// Of `unchanged`: the item's stock is unlimited.
    case untracked
    /// Of `unchanged`: the quantity is 0, or the counted quantity equals the present one.
    case noChange = "no_change"
    // All others are codes of `rejected`.
    case insufficientStock = "insufficient_stock"
    case insufficientAllocation = "insufficient_allocation"
    case unknownItem = "unknown_item"
    case stale
    case outOfRange = "out_of_range"
    case invalidQuantity = "invalid_quantity"
    case expired
    case idempotencyMismatch = "idempotency_mismatch"
    case groupRejected = "group_rejected"
    case groupTooLarge = "group_too_large"

    public static let typeName = "code"

    public var ordinal: Int16 {
        switch self {
        case .untracked: 0
        case .noChange: 1
        case .insufficientStock: 2
        case .insufficientAllocation: 3
        case .unknownItem: 4
        case .stale: 5
        case .outOfRange: 6
        case .invalidQuantity: 7
        case .expired: 8
        case .idempotencyMismatch: 9
        case .groupRejected: 10
        case .groupTooLarge: 11
        }
    }
}

/// How many jobs ended with which outcome and code.
public struct OutcomeCounts: Sendable, Hashable {
    private var byOutcome = [Int](repeating: 0, count: Outcome.allCases.count)
    private var byCode = [Int](repeating: 0, count: ResultCode.allCases.count)

    public init() {}

    public subscript(outcome: Outcome) -> Int { byOutcome[Int(outcome.ordinal)] }

    public subscript(code: ResultCode) -> Int { byCode[Int(code.ordinal)] }

    /// All jobs counted.
    public var total: Int { byOutcome.reduce(0, +) }

    /// Counts one job.
    public mutating func count(_ outcome: Outcome, _ code: ResultCode?) {
        byOutcome[Int(outcome.ordinal)] += 1
        if let code { byCode[Int(code.ordinal)] += 1 }
    }

    public static func += (left: inout OutcomeCounts, right: OutcomeCounts) {
        for index in left.byOutcome.indices { left.byOutcome[index] += right.byOutcome[index] }
        for index in left.byCode.indices { left.byCode[index] += right.byCode[index] }
    }
}
