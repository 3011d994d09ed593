import Foundation
import StockModel
import StockQueuePostgres

/// Reads rows of `jobs`.
struct QueuedJobRows: RowReader {
    static func columns(_ schema: QueueSchema) -> String {
        """
        job_id, \(ItemKeyReader.columns), action, quantity::bigint AS quantity, priority, run_at, waiting_since, attempts,
            max_attempts, last_error, enqueued_at, reason, reference, actor, occurred_at, metadata::text AS metadata_text,
            counted_at, \(SQL.isReady) AND (lane IN (SELECT p.lane FROM \(schema.quoted).paused_lanes AS p)
                OR store_id IN (SELECT p.store_id FROM \(schema.quoted).my_paused_stores AS p)) AS is_paused
        """
    }

    private let key: ItemKeyReader
    private let (jobID, action, quantity, priority, runAt): (Int, Int, Int, Int, Int)
    private let (waitingSince, attempts, maxAttempts, lastError, enqueuedAt): (Int, Int, Int, Int, Int)
    private let (reason, reference, actor, occurredAt, metadata, countedAt): (Int, Int, Int, Int, Int, Int)
    private let isPaused: Int

    init(_ rows: ResultSet) {
        key = ItemKeyReader(rows)
        jobID = rows.column("job_id")
        action = rows.column("action")
        quantity = rows.column("quantity")
        priority = rows.column("priority")
        runAt = rows.column("run_at")
        waitingSince = rows.column("waiting_since")
        attempts = rows.column("attempts")
        maxAttempts = rows.column("max_attempts")
        lastError = rows.column("last_error")
        enqueuedAt = rows.column("enqueued_at")
        reason = rows.column("reason")
        reference = rows.column("reference")
        actor = rows.column("actor")
        occurredAt = rows.column("occurred_at")
        metadata = rows.column("metadata_text")
        countedAt = rows.column("counted_at")
        isPaused = rows.column("is_paused")
    }

    func value(in rows: ResultSet, row: Int) throws(UnknownLabelError) -> QueuedJob {
        QueuedJob(
            jobID: rows.int64(row, jobID), key: key.key(in: rows, row: row),
            action: try rows.label(row, action, of: StockAction.self), quantity: rows.int64(row, quantity),
            priority: Int(rows.int16(row, priority)), schedule: schedule(in: rows, row: row),
            waitingSince: rows.optionalTimestamp(row, waitingSince)?.date, attempts: Int(rows.int16(row, attempts)),
            maxAttempts: Int(rows.int16(row, maxAttempts)), lastError: rows.optionalString(row, lastError),
            enqueuedAt: rows.timestamp(row, enqueuedAt).date, reason: rows.optionalString(row, reason),
            reference: rows.optionalString(row, reference), actor: rows.optionalString(row, actor),
            occurredAt: rows.optionalTimestamp(row, occurredAt)?.date, metadata: rows.optionalString(row, metadata),
            countedAt: rows.optionalTimestamp(row, countedAt)?.date)
    }

    /// A job of a paused store that a worker has met has the time `infinity`.
    private func schedule(in rows: ResultSet, row: Int) -> QueuedJob.Schedule {
        if rows.bool(row, isPaused) { return .paused }
        guard let time = rows.optionalTimestamp(row, runAt) else { return .ready }
        return time.microsecondsSince2000 == .max ? .paused : .deferred(until: time.date)
    }
}

/// Reads a job that is still queued.
struct ShowJobStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "show_job", [.int8],
            """
            SELECT to_json(jobs)::text AS json, \(QueuedJobRows.columns(schema))
            FROM \(schema.quoted).jobs
            WHERE job_id = $1
            """)
    }
}

/// Counts paused lanes and stores. Cheaper than the statistics, which count the jobs.
struct ReadPausesStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "read_pauses", [],
            """
            SELECT (SELECT count(*) FROM \(schema.quoted).lanes WHERE paused_at IS NOT NULL) AS lanes,
                (SELECT count(*) FROM \(schema.quoted).paused_stores) AS stores
            """)
    }

    static func pauses(in rows: ResultSet) -> (lanes: Int64, stores: Int64) {
        (rows.int64(0, rows.column("lanes")), rows.int64(0, rows.column("stores")))
    }
}
