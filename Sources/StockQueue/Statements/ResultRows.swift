import StockModel
import StockQueuePostgres

/// Reads rows of `results`.
struct ResultRows: RowReader {
    static func columns(_ schema: QueueSchema) -> String {
        """
        job_id, \(ItemKeyReader.columns), action, quantity, applied_quantity, outcome, code, warning,
            on_hand_before, allocated_before, on_hand_after, allocated_after, version, group_id, idempotency_key,
            first_job_id, retry_of, reason, reference, actor, occurred_at, metadata::text AS metadata,
            counted_at, attempts, worker, enqueued_at, finished_at, sqlstate, message
        """
    }

    private let key: ItemKeyReader
    private let (jobID, action, quantity, applied): (Int, Int, Int, Int)
    private let (outcome, code, warning, version): (Int, Int, Int, Int)
    private let (onHandBefore, allocatedBefore, onHandAfter, allocatedAfter): (Int, Int, Int, Int)
    private let (groupID, idempotencyKey, firstJobID, retryOf): (Int, Int, Int, Int)
    private let (reason, reference, attempts, worker): (Int, Int, Int, Int)
    private let (enqueuedAt, finishedAt, sqlState, message): (Int, Int, Int, Int)
    private let (actor, occurredAt, metadata, countedAt): (Int, Int, Int, Int)

    init(_ rows: ResultSet) {
        key = ItemKeyReader(rows)
        (jobID, action) = (rows.column("job_id"), rows.column("action"))
        (quantity, applied) = (rows.column("quantity"), rows.column("applied_quantity"))
        (outcome, code) = (rows.column("outcome"), rows.column("code"))
        (warning, version) = (rows.column("warning"), rows.column("version"))
        (onHandBefore, allocatedBefore) = (rows.column("on_hand_before"), rows.column("allocated_before"))
        (onHandAfter, allocatedAfter) = (rows.column("on_hand_after"), rows.column("allocated_after"))
        (groupID, idempotencyKey) = (rows.column("group_id"), rows.column("idempotency_key"))
        (firstJobID, retryOf) = (rows.column("first_job_id"), rows.column("retry_of"))
        (reason, reference) = (rows.column("reason"), rows.column("reference"))
        (attempts, worker) = (rows.column("attempts"), rows.column("worker"))
        (enqueuedAt, finishedAt) = (rows.column("enqueued_at"), rows.column("finished_at"))
        (sqlState, message) = (rows.column("sqlstate"), rows.column("message"))
        (actor, occurredAt) = (rows.column("actor"), rows.column("occurred_at"))
        (metadata, countedAt) = (rows.column("metadata"), rows.column("counted_at"))
    }

    func value(in rows: ResultSet, row: Int) throws(UnknownLabelError) -> JobResult {
        JobResult(
            jobID: rows.int64(row, jobID), key: key.key(in: rows, row: row),
            action: try rows.label(row, action, of: StockAction.self), quantity: rows.int64(row, quantity),
            appliedQuantity: rows.int64(row, applied), outcome: try rows.label(row, outcome, of: Outcome.self),
            code: try rows.optionalLabel(row, code, of: ResultCode.self),
            warning: try rows.optionalLabel(row, warning, of: ResultWarning.self),
            before: balance(in: rows, row, onHandBefore, allocatedBefore),
            after: balance(in: rows, row, onHandAfter, allocatedAfter), version: rows.optionalInt64(row, version),
            groupID: rows.optionalString(row, groupID), idempotencyKey: rows.optionalString(row, idempotencyKey),
            firstJobID: rows.optionalInt64(row, firstJobID), retryOf: rows.optionalInt64(row, retryOf),
            reason: rows.optionalString(row, reason), reference: rows.optionalString(row, reference),
            actor: rows.optionalString(row, actor), occurredAt: rows.optionalTimestamp(row, occurredAt)?.date,
            metadata: rows.optionalString(row, metadata), countedAt: rows.optionalTimestamp(row, countedAt)?.date,
            attempts: Int(rows.int16(row, attempts)), worker: rows.string(row, worker),
            enqueuedAt: rows.timestamp(row, enqueuedAt).date, finishedAt: rows.timestamp(row, finishedAt).date,
            sqlState: rows.optionalString(row, sqlState), message: rows.optionalString(row, message))
    }

    private func balance(in rows: ResultSet, _ row: Int, _ onHand: Int, _ allocated: Int) -> Balance? {
        guard let onHand = rows.optionalInt64(row, onHand), let allocated = rows.optionalInt64(row, allocated) else {
            return nil
        }
        return Balance(onHand: onHand, allocated: allocated)
    }
}

/// Reads the results of some jobs. A job without a result has no row.
struct ReadResultsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "read_results", [.int8Array],
            "SELECT \(ResultRows.columns(schema)) FROM \(schema.quoted).results WHERE job_id = ANY ($1)")
    }

    static func parameters(_ jobs: [Int64]) -> Parameters {
        var parameters = Parameters()
        parameters.addArray(of: jobs.count, int64: { jobs[$0] })
        return parameters
    }
}

/// Reads the result of one job.
struct ShowResultStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "show_result", [.int8],
            """
            SELECT to_json(results)::text AS json, \(ResultRows.columns(schema))
            FROM \(schema.quoted).results
            WHERE job_id = $1
            """)
    }
}

/// Reads the last results that changed an item, newest first.
struct ReadMovementsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "read_movements", ItemKeyReader.types + [.int4],
            """
            SELECT to_json(movement)::text AS json, \(ResultRows.columns(schema))
            FROM \(schema.quoted).item_history($1, $2, $3, $4) AS movement
            """)
    }

    static func parameters(_ key: ItemKey, limit: Int) -> Parameters {
        var parameters = ItemKeyReader.parameters(key)
        parameters.add(Int32(clamping: limit))
        return parameters
    }
}

/// Reads the newest jobs that were rejected for a reason of their own, not because of their group.
struct ReadRejectedStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "read_rejected", [.int8],
            """
            SELECT to_json(results)::text AS json, \(ResultRows.columns(schema))
            FROM \(schema.quoted).results
            WHERE outcome = 'rejected' AND code <> 'group_rejected'
            ORDER BY job_id DESC
            LIMIT $1
            """)
    }
}
