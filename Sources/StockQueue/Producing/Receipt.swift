import StockModel
import StockQueuePostgres

/// What enqueueing returns.
public struct Receipt: Sendable, Hashable {
    /// The job; for an idempotency key that was used before, the first job with it.
    public let jobID: Int64
    /// The key was used before for the same request: nothing was enqueued.
    public let isDuplicate: Bool
    /// The outcome of the first job; nil while it is queued.
    public let outcome: Outcome?
    public let code: ResultCode?
    public let appliedQuantity: Int64?

    /// The target list of the statements whose rows are receipts.
    static let columns = "job_id, is_duplicate, outcome::text AS outcome, code::text AS code, applied_quantity"

    init(_ rows: ResultSet, _ row: Int) {
        jobID = rows.int64(row, rows.column("job_id"))
        isDuplicate = rows.bool(row, rows.column("is_duplicate"))
        outcome = rows.optionalString(row, rows.column("outcome")).flatMap { Outcome(rawValue: $0) }
        code = rows.optionalString(row, rows.column("code")).flatMap { ResultCode(rawValue: $0) }
        appliedQuantity = rows.optionalInt64(row, rows.column("applied_quantity"))
    }

    static func all(in rows: ResultSet) -> [Receipt] { (0..<rows.rowCount).map { Receipt(rows, $0) } }
}
