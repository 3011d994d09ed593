import StockDecision
import StockModel
import StockQueuePostgres

/// Deletes the finished jobs and writes their results. What is in the job's row never travels to the worker.
struct WriteResultsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "write_results",
            [
                .tidArray, .int2Array, .int2Array, .boolArray, .int8Array, .int8Array, .int8Array, .int8Array,
                .int8Array, .int8Array, .int8Array, .int2Array, .int2Array, .text, .int8Array, .int8Array,
            ],
            """
            WITH gone AS (
                DELETE FROM \(schema.quoted).jobs
                USING unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $15, $16) AS decision (
                    tuple_id, outcome, code, warns_negative, applied_quantity, on_hand_before, on_hand_after,
                    allocated_before, allocated_after, version, previous_job_id, alert_before, alert_after,
                    first_job_id, group_last_job_id
                )
                WHERE jobs.ctid = decision.tuple_id
                RETURNING jobs.*, decision.*
            )
            INSERT INTO \(schema.quoted).results (
                job_id, applied_quantity, on_hand_before, on_hand_after, allocated_before, allocated_after,
                version, previous_job_id, finished_at, enqueued_at, scheduled_at, outcome, code, warning, alert_before,
                alert_after, attempts, submission_id, worker, first_job_id, retry_of, group_last_job_id, waiting_since,
                \(JobField.resultColumns)
            )
            SELECT
                job_id, applied_quantity, on_hand_before, on_hand_after, allocated_before, allocated_after,
                version, previous_job_id, now(), enqueued_at, \(SQL.requestedTime),
                (\(SQL.labels(Outcome.self, schema)))[outcome + 1],
                (\(SQL.labels(ResultCode.self, schema)))[code + 1],
                CASE WHEN warns_negative THEN 'negative_stock'::\(schema.quoted).warning END,
                (\(SQL.labels(AlertLevel.self, schema)))[alert_before + 1],
                (\(SQL.labels(AlertLevel.self, schema)))[alert_after + 1],
                attempts + 1, submission_id, $14, first_job_id, retry_of, group_last_job_id, waiting_since,
                \(JobField.resultColumns)
            FROM gone
            """)
    }

    /// A finished job as the statement's arrays carry it.
    struct Row {
        var tupleID: TupleID
        var outcome: JobOutcome
        /// Of the first line of a group: the id of its last line.
        var groupLastJobID: Int64?
    }

    /// - Parameters:
    ///   - hasKeys: some job of the batch has an idempotency key; otherwise the array of first jobs stays empty, and
    ///     `unnest` pads it with NULL.
    ///   - hasGroups: the same for the last jobs of groups.
    static func parameters(
        _ parameters: inout Parameters, _ rows: [Row], worker: String, hasKeys: Bool, hasGroups: Bool
    ) {
        let count = rows.count
        parameters.addArray(of: count, tupleID: { rows[$0].tupleID })
        parameters.addArray(of: count, int16: { rows[$0].outcome.outcome.ordinal })
        parameters.addArray(of: count, int16: { rows[$0].outcome.code?.ordinal })
        parameters.addArray(of: count, bool: { rows[$0].outcome.change?.warnsNegativeStock ?? false })
        parameters.addArray(of: count, int64: { rows[$0].outcome.change?.quantity ?? 0 })
        parameters.addArray(of: count, int64: { rows[$0].outcome.before?.onHand })
        parameters.addArray(of: count, int64: { rows[$0].outcome.after?.onHand })
        parameters.addArray(of: count, int64: { rows[$0].outcome.before?.allocated })
        parameters.addArray(of: count, int64: { rows[$0].outcome.after?.allocated })
        parameters.addArray(of: count, int64: { rows[$0].outcome.version })
        parameters.addArray(of: count, int64: { rows[$0].outcome.change?.previousJobID })
        parameters.addArray(of: count, int16: { rows[$0].outcome.change?.levelBefore.ordinal })
        parameters.addArray(of: count, int16: { rows[$0].outcome.change?.levelAfter.ordinal })
        parameters.add(worker)
        parameters.addArray(of: hasKeys ? count : 0, int64: { rows[$0].outcome.firstJobID })
        parameters.addArray(of: hasGroups ? count : 0, int64: { rows[$0].groupLastJobID })
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
