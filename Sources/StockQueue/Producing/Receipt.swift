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
    /// The code of the first job; nil while it is queued, and for an outcome without a code.
    public let code: ResultCode?
    /// How much the first job applied; nil while it is queued.
    public let appliedQuantity: Int64?

    /// The target list of the statements whose rows are receipts.
    static let columns = "job_id, is_duplicate, outcome::text AS outcome, code::text AS code, applied_quantity"

    /// - Throws: `UnknownLabelError` for an outcome or a code of a newer schema.
    init(_ rows: ResultSet, _ row: Int) throws(UnknownLabelError) {
        jobID = rows.int64(row, rows.column("job_id"))
        isDuplicate = rows.bool(row, rows.column("is_duplicate"))
        outcome = try rows.optionalLabel(row, rows.column("outcome"), of: Outcome.self)
        code = try rows.optionalLabel(row, rows.column("code"), of: ResultCode.self)
        appliedQuantity = rows.optionalInt64(row, rows.column("applied_quantity"))
    }

    static func all(in rows: ResultSet) throws(UnknownLabelError) -> [Receipt] {
        var receipts: [Receipt] = []
        for row in 0..<rows.rowCount { receipts.append(try Receipt(rows, row)) }
        return receipts
    }
}
