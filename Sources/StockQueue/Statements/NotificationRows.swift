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
            availableAfter: rows.int64(row, after), jobID: rows.int64(row, jobID), version: rows.int64(row, version),
            createdAt: rows.timestamp(row, createdAt).date)
    }
}

/// Reads the newest notifications, the oldest of them first.
struct ReadLastNotificationsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "read_last_notifications", [.int8],
            """
            SELECT to_json(newest)::text AS json, \(NotificationRows.columns(schema))
            FROM (SELECT * FROM \(schema.quoted).notifications ORDER BY notification_id DESC LIMIT $1) AS newest
            ORDER BY notification_id
            """)
    }
}

/// Reads the notifications after a cursor: those with a greater id, and those with an id that was missing so far.
struct ReadNotificationsAfterStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "read_notifications_after", [.int8, .int8Array, .int8],
            """
            SELECT to_json(found)::text AS json, \(NotificationRows.columns(schema))
            FROM (
                SELECT * FROM \(schema.quoted).notifications
                WHERE notification_id > $1 OR notification_id = ANY ($2)
                ORDER BY notification_id
                LIMIT $3
            ) AS found
            ORDER BY notification_id
            """)
    }

    static func parameters(_ cursor: NotificationCursor, limit: Int) -> Parameters {
        var parameters = Parameters()
        parameters.add(cursor.lastID)
        let missing = cursor.missingIDs
        parameters.addArray(of: missing.count, int64: { missing[$0] })
        parameters.add(Int64(limit))
        return parameters
    }
}

/// Reads the id after which the notifications of the last seconds begin; the newest id when there are none.
struct FindNotificationStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "find_notification", [.int8],
            """
            SELECT coalesce(
                min(notification_id) - 1,
                (SELECT coalesce(max(notification_id), 0) FROM \(schema.quoted).notifications)
            ) AS last_id
            FROM \(schema.quoted).notifications
            WHERE created_at >= now() - $1 * interval '1 second'
            """)
    }

    static func lastID(in rows: ResultSet) -> Int64 { rows.int64(0, rows.column("last_id")) }
}
