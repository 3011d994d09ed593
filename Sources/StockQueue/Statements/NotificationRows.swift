import StockModel
import StockQueuePostgres

/// Reads rows of `notifications`.
struct NotificationRows: RowReader {
    static func columns(_ schema: QueueSchema) -> String {
        """
        notification_id, \(ItemKeyReader.columns), kind, low_stock_threshold, available_before, available_after, job_id,
            version, created_at
        """
    }

    private let key: ItemKeyReader
    private let (id, kind, threshold, before, after): (Int, Int, Int, Int, Int)
    private let (jobID, version, createdAt): (Int, Int, Int)

    init(_ rows: ResultSet) {
        key = ItemKeyReader(rows)
        id = rows.column("notification_id")
        kind = rows.column("kind")
        threshold = rows.column("low_stock_threshold")
        before = rows.column("available_before")
        after = rows.column("available_after")
        jobID = rows.column("job_id")
        version = rows.column("version")
        createdAt = rows.column("created_at")
    }

    func value(in rows: ResultSet, row: Int) throws(UnknownLabelError) -> StockNotification {
        StockNotification(
            id: rows.int64(row, id), key: key.key(in: rows, row: row),
            kind: try rows.label(row, kind, of: NotificationKind.self),
            lowStockThreshold: rows.optionalInt64(row, threshold), availableBefore: rows.int64(row, before),
            availableAfter: rows.int64(row, after), jobID: rows.optionalInt64(row, jobID),
            version: rows.int64(row, version), createdAt: rows.timestamp(row, createdAt).date)
    }
}
