import StockModel
import StockQueuePostgres

/// Reads rows of the feed of changes.
struct ChangeRows: RowReader {
    static func columns(_ schema: QueueSchema) -> String {
        """
        job_id, \(ItemKeyReader.columns), version, action, quantity, applied_quantity, on_hand_before, on_hand_after,
            allocated_before, allocated_after, group_id, reason, reference, actor, occurred_at,
            metadata::text AS metadata, counted_at, finished_at
        """
    }

    private let key: ItemKeyReader
    private let (jobID, version, action, quantity, applied): (Int, Int, Int, Int, Int)
    private let (onHandBefore, onHandAfter, allocatedBefore, allocatedAfter): (Int, Int, Int, Int)
    private let (groupID, reason, reference, finishedAt): (Int, Int, Int, Int)
    private let (actor, occurredAt, metadata, countedAt): (Int, Int, Int, Int)

    init(_ rows: ResultSet) {
        key = ItemKeyReader(rows)
        (jobID, version, action) = (rows.column("job_id"), rows.column("version"), rows.column("action"))
        (quantity, applied) = (rows.column("quantity"), rows.column("applied_quantity"))
        (onHandBefore, onHandAfter) = (rows.column("on_hand_before"), rows.column("on_hand_after"))
        (allocatedBefore, allocatedAfter) = (rows.column("allocated_before"), rows.column("allocated_after"))
        (groupID, reason) = (rows.column("group_id"), rows.column("reason"))
        (reference, finishedAt) = (rows.column("reference"), rows.column("finished_at"))
        (actor, occurredAt) = (rows.column("actor"), rows.column("occurred_at"))
        (metadata, countedAt) = (rows.column("metadata"), rows.column("counted_at"))
    }

    func value(in rows: ResultSet, row: Int) throws(UnknownLabelError) -> StockChange {
        StockChange(
            jobID: rows.int64(row, jobID), key: key.key(in: rows, row: row), version: rows.int64(row, version),
            action: try rows.label(row, action, of: StockAction.self), quantity: rows.int64(row, quantity),
            appliedQuantity: rows.int64(row, applied),
            before: Balance(
                onHand: rows.int64(row, onHandBefore), allocated: rows.int64(row, allocatedBefore)),
            after: Balance(onHand: rows.int64(row, onHandAfter), allocated: rows.int64(row, allocatedAfter)),
            groupID: rows.optionalString(row, groupID), reason: rows.optionalString(row, reason),
            reference: rows.optionalString(row, reference), actor: rows.optionalString(row, actor),
            occurredAt: rows.optionalTimestamp(row, occurredAt)?.date, metadata: rows.optionalString(row, metadata),
            countedAt: rows.optionalTimestamp(row, countedAt)?.date, finishedAt: rows.timestamp(row, finishedAt).date)
    }
}
