import Foundation
import StockModel
import StockQueuePostgres

/// A job to be enqueued. What is not set has the table's default.
public struct JobRequest: Sendable {
    public var storeID: String
    public var itemID: String
    /// 1–200 bytes, like all identifiers.
    public var locationID = "main"
    /// Within ± (2^53 − 1).
    public var quantity: Int64
    public var action = StockAction.adjust
    public var onInsufficient = InsufficientStockPolicy.reject
    /// The available quantity that the producer saw; another one rejects the job as stale.
    public var expectedAvailable: Int64?
    /// Of several jobs of a store with the same key, one takes effect.
    public var idempotencyKey: String?
    /// Jobs of a store with the same group are applied all together or not at all.
    public var groupID: String?
    /// 1 (first) to 4 (last).
    public var priority = 2
    /// Not before this time.
    public var runAt: Date?
    /// Rejected as expired after this time.
    public var expiresAt: Date?
    /// False: this job's change of the alert level is not told.
    public var notify = true
    /// Jobs with the same key are applied in order; by default it is the store. Not with a group.
    public var orderingKey: String?
    /// At most 2,000 bytes, kept in the result.
    public var reason: String?
    /// At most 2,000 bytes, kept in the result.
    public var reference: String?
    /// Tries before the job is given up as failed, 1–1,000.
    public var maxAttempts = 10

    public init(store: String, item: String, quantity: Int64) {
        storeID = store
        itemID = item
        self.quantity = quantity
    }

    /// The columns as texts.
    var fields: [JobField: String] {
        var fields: [JobField: String] = [
            .storeID: storeID, .itemID: itemID, .locationID: locationID, .quantity: String(quantity),
            .action: action.rawValue, .onInsufficient: onInsufficient.rawValue, .priority: String(priority),
            .notify: String(notify), .maxAttempts: String(maxAttempts),
        ]
        fields[.expectedAvailable] = expectedAvailable.map { String($0) }
        fields[.idempotencyKey] = idempotencyKey
        fields[.groupID] = groupID
        fields[.runAt] = runAt.map { Timestamp($0).description }
        fields[.expiresAt] = expiresAt.map { Timestamp($0).description }
        fields[.orderingKey] = orderingKey
        fields[.reason] = reason
        fields[.reference] = reference
        return fields
    }
}

/// What enqueueing answers.
public struct Receipt: Sendable, Hashable {
    /// The job; of a repeated idempotency key the first one.
    public let jobID: Int64
    /// The key was used before: nothing was enqueued.
    public let isDuplicate: Bool
    /// What became of the first job; nil while it is queued.
    public let outcome: Outcome?
    public let code: ResultCode?
    public let appliedQuantity: Int64?

    /// A row of job_id, is_duplicate, outcome, code and applied_quantity.
    init(_ rows: ResultSet, _ row: Int) {
        jobID = rows.int64(row, 0)
        isDuplicate = rows.bool(row, 1)
        outcome = rows.optionalString(row, 2).flatMap { Outcome(rawValue: $0) }
        code = rows.optionalString(row, 3).flatMap { ResultCode(rawValue: $0) }
        appliedQuantity = rows.optionalInt64(row, 4)
    }

    static let columns = "job_id, is_duplicate, outcome::text, code::text, applied_quantity"
}
