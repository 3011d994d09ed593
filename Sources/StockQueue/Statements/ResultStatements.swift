import StockDecision
import StockModel
import StockQueuePostgres

/// Writes the results of the finished jobs. What is in a job's row never travels to the worker.
///
/// The rows are locked since the claim, so their tuple ids are still right.
struct WriteResultsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let columns = ResultNumbers.Columns(schema: schema, array: "$2", count: ResultNumbers.countOfQueuedJob)
        statement = Statement(
            "write_results", [.tidArray, .int8Array, .text, .int8Array, .int8Array],
            """
            INSERT INTO \(schema.quoted).results (
                \(ResultNumbers.Columns.decided), first_job_id, group_last_job_id,
                job_id, finished_at, enqueued_at, scheduled_at, attempts, submission_id, worker, retry_of, waiting_since,
                \(JobField.resultColumns)
            )
            SELECT
                \(columns.decided), \(columns.id("$4")), \(columns.id("$5")),
                job_id, now(), enqueued_at, \(SQL.requestedTime), attempts + 1, submission_id, $3, retry_of, waiting_since,
                \(JobField.resultColumns)
            FROM \(columns.rows([("$1", "tuple_id")]))
            JOIN \(schema.quoted).jobs ON jobs.ctid = decided.tuple_id
            """)
    }

    /// A finished job as the statement's arrays carry it.
    struct Row {
        var tupleID: TupleID
        var outcome: JobOutcome
        /// Of the first line of a group: the id of its last line.
        var groupLastJobID: Int64?
    }

    static func parameters(_ parameters: inout Parameters, _ rows: [Row], worker: String) {
        var numbers: [Int64] = []
        numbers.reserveCapacity(rows.count * ResultNumbers.countOfQueuedJob)
        for row in rows { ResultNumbers.append(row.outcome, labels: ResultNumbers.labels(row.outcome), to: &numbers) }
        parameters.addArray(of: rows.count, tupleID: { rows[$0].tupleID })
        parameters.addArray(of: numbers.count, int64: { numbers[$0] })
        parameters.add(worker)
        ResultNumbers.addIDs(rows.map(\.outcome.firstJobID), to: &parameters)
        ResultNumbers.addIDs(rows.map(\.groupLastJobID), to: &parameters)
    }
}

/// Deletes the jobs whose results were written. One statement that does both would carry each row from one to the other.
struct DeleteFinishedStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "delete_finished", [.tidArray], "DELETE FROM \(schema.quoted).jobs WHERE ctid = ANY ($1)")
    }

    static func parameters(_ parameters: inout Parameters, _ rows: [WriteResultsStatement.Row]) {
        parameters.addArray(of: rows.count, tupleID: { rows[$0].tupleID })
    }
}

/// Writes a notification for each change of an alert level.
struct WriteNotificationsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let columns = """
            store_id, item_id, location_id, kind, low_stock_threshold, available_before, available_after, job_id, version
            """
        statement = Statement(
            "write_notifications",
            [
                .textArray, .textArray, .textArray, .int2Array, .int8Array, .int8Array, .int8Array, .int8Array,
                .int8Array,
            ],
            """
            INSERT INTO \(schema.quoted).notifications (\(columns))
            SELECT
                store_id, item_id, location_id, (\(SQL.labels(NotificationKind.self, schema)))[kind + 1],
                low_stock_threshold, available_before, available_after, job_id, version
            FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) AS change (\(columns))
            """)
    }

    /// The parameters behind the items' keys.
    static func parameters(_ parameters: inout Parameters, _ changes: [LevelChange], _ jobs: [ClaimedJob]) {
        let count = changes.count
        parameters.addArray(of: count, int16: { changes[$0].kind.ordinal })
        parameters.addArray(of: count, int64: { changes[$0].threshold })
        parameters.addArray(of: count, int64: { changes[$0].availableBefore })
        parameters.addArray(of: count, int64: { changes[$0].availableAfter })
        parameters.addArray(of: count, int64: { jobs[changes[$0].job].id })
        parameters.addArray(of: count, int64: { changes[$0].version })
    }
}

// MARK: failures

/// Checks what COMMIT would check, for a batch that is rolled back.
struct CheckConstraintsStatement: QueueStatement {
    let statement = Statement("check_constraints", [], "SET CONSTRAINTS ALL IMMEDIATE")
}

/// Counts an attempt and defers the jobs for 2^attempts seconds with jitter, at most an hour.
struct RetryLaterStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "retry_later", [.tidArray, .text],
            """
            UPDATE \(schema.quoted).jobs
            SET scheduled_at = \(SQL.requestedTime),
                waiting_quantity = NULL,
                attempts = least(attempts + 1, 1000),
                last_error = $2,
                run_at = now() + least(power(2, attempts + 1), 3600) * interval '1 second' * \(SQL.jitter)
            WHERE ctid = ANY ($1)
            """)
    }
}

/// Ends jobs as failed. The result keeps the whole job and the database's error.
struct WriteFailuresStatement: QueueStatement {
    let statement: Statement

    /// - Parameter asText: for a row that cannot be written as it is: the job is kept as text in the message.
    init(_ schema: QueueSchema, asText: Bool) {
        let columns = JobField.definitions.filter(\.isKeptInResult).map(\.name)
        let dropped: [JobField] = asText ? [.orderingKey, .reason, .reference, .idempotencyKey, .actor, .metadata] : []
        let values = columns.map { column in dropped.contains { $0.rawValue == column } ? "NULL" : column }
        statement = Statement(
            asText ? "write_failures_as_text" : "write_failures", [.tidArray, .text, .text, .text],
            // The jobs are one job, or the lines of one group.
            """
            WITH gone AS (DELETE FROM \(schema.quoted).jobs WHERE ctid = ANY ($1) RETURNING jobs.*)
            INSERT INTO \(schema.quoted).results (
                job_id, applied_quantity, finished_at, enqueued_at, scheduled_at, outcome, attempts, submission_id,
                retry_of, group_last_job_id, worker, sqlstate, message, \(columns.joined(separator: ", "))
            )
            SELECT
                job_id, 0, now(), enqueued_at, \(SQL.requestedTime), 'failed'::\(schema.quoted).outcome, attempts + 1,
                submission_id, retry_of,
                CASE WHEN group_id IS NOT NULL AND job_id = min(job_id) OVER () THEN max(job_id) OVER () END,
                $2, $3, \(asText ? "$4 || '; job: ' || gone::text" : "$4"), \(values.joined(separator: ", "))
            FROM gone
            """)
    }
}
