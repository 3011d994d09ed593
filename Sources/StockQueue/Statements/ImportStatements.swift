import StockModel
import StockQueuePostgres

/// Whether jobs cannot be copied straight into their table.
///
/// Row security forbids COPY into the table (PostgreSQL manual, COPY, "Notes"), and a store limit has to be checked.
struct MustStageStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        statement = Statement(
            "must_stage", [],
            """
            SELECT row_security_active(\(quoteLiteral("\(s).jobs"))) OR EXISTS (SELECT FROM \(s).store_limits) AS must_stage
            """)
    }
}

/// The latest `run_at` and `expires_at` of a job that is enqueued now.
///
/// Only the table's constraints have the span, so that no way into the table passes it by (`set_time_limit`).
struct LatestTimesStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let jobs = quoteLiteral("\(schema.quoted).jobs")
        let limits = [JobField.runAt, .expiresAt].map {
            """
            now() + (
                SELECT substring(pg_get_constraintdef(oid) FROM $$'([^']+)'::interval$$)::interval
                FROM pg_constraint WHERE conrelid = \(jobs)::regclass AND conname = 'jobs_\($0.rawValue)_limit'
            ) AS \($0.rawValue)
            """
        }
        let columns = limits + ["now() + interval '5 minutes' AS counted_at"]
        statement = Statement("latest_times", [], "SELECT " + columns.joined(separator: ",\n"))
    }

    /// In microseconds since 2000. An owner who has dropped a constraint has no limit.
    static func read(_ rows: ResultSet) -> JobRequest.LatestTimes {
        func latest(_ field: JobField) -> Int64 {
            rows.optionalTimestamp(0, rows.column(field.rawValue))?.microsecondsSince2000 ?? .max
        }
        return .init(runAt: latest(.runAt), expiresAt: latest(.expiresAt), countedAt: latest(.countedAt))
    }
}

/// The id of the session's transaction, by which another session can ask for its outcome, and an id that no job has that
/// was enqueued before.
struct TransactionIDStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "transaction_id", [],
            """
            SELECT pg_current_xact_id()::text::bigint AS transaction_id, last_value + is_called::integer AS first_job_id
            FROM \(schema.quoted).jobs_job_id_seq
            """)
    }
}

/// The outcome of a transaction (PostgreSQL manual, 9.27.8 "Transaction ID and Snapshot Information Functions").
struct TransactionStatusStatement: QueueStatement {
    let statement = Statement("transaction_status", [.text], "SELECT pg_xact_status($1::xid8) AS status")

    static func parameters(_ transaction: Int64) -> Parameters {
        var parameters = Parameters()
        parameters.add(String(transaction))
        return parameters
    }
}

/// The temporary table into which an import copies jobs that are checked before they are inserted.
struct StagedJobs {
    static let table = "pg_temp.stockq_staged_jobs"

    let schema: QueueSchema
    /// In the order of the table of fields.
    let fields: [JobField]
    /// Whether jobs whose idempotency key was used before for the same request are skipped, a group only as a whole.
    let skipsDuplicates: Bool

    var columns: String { fields.map(\.rawValue).joined(separator: ", ") }

    /// Distinguishes the statements for different fields: one bit a field, so that a name is the same in every process.
    var suffix: String {
        let mask = fields.reduce(0) { $0 | 1 << (JobField.allCases.firstIndex(of: $1) ?? 0) }
        return String(mask, radix: 16) + (skipsDuplicates ? "_new" : "")
    }

    /// A column of an enum needs a privilege on its type, which producers lack: it is staged as text.
    static func isLabel(_ field: JobField) -> Bool { if case .choice = field.definition.kind { true } else { false } }

    /// The staged rows that are to be enqueued, with their positions.
    ///
    /// - Parameter condition: a WHERE clause for the staged rows.
    func kept(where condition: String = "") -> String {
        let rows = "SELECT *, ctid AS position FROM \(Self.table) \(condition)"
        guard skipsDuplicates else { return rows }
        let group = fields.contains(.groupID) ? "job.group_id" : "NULL::text"
        return """
            SELECT *
            FROM (
                SELECT job.*,
                    CASE WHEN \(group) IS NULL THEN is_duplicate
                        ELSE bool_and(is_duplicate) OVER (PARTITION BY job.store_id, \(group)) END AS is_skipped
                FROM (\(rows)) AS job
                CROSS JOIN LATERAL (
                    SELECT EXISTS (
                        SELECT FROM \(schema.quoted).keys_in_use AS used
                        WHERE used.idempotency_key = job.idempotency_key AND used.store_id = job.store_id
                            AND \(isSameRequest)
                    ) AS is_duplicate
                ) AS known
            ) AS marked
            WHERE NOT is_skipped
            """
    }

    /// Whether the request that a key was used for is the staged one. NULL means the default.
    private var isSameRequest: String {
        let request: [JobField] = [.itemID, .locationID, .action, .quantity, .onInsufficient, .expectedAvailable]
        let values = request.map { field in
            let cast = field.definition.sqlType == .bigint ? "::bigint" : ""
            return fields.contains(field) ? "job.\(field.rawValue)\(cast)" : "NULL"
        }
        return "\(schema.quoted).is_same_request(used, \(values.joined(separator: ", ")))"
    }
}

extension StagedJobs {
    /// The priority with which a stock count that belongs to a moment comes after the queued jobs of its item, with its
    /// whole group. The jobs among which it is may be staged or copied.
    fileprivate var placedPriority: String {
        let value = { (field: JobField) in fields.contains(field) ? field.rawValue : "NULL::text" }
        return Self.placedPriority(
            schema, location: value(.locationID), orderingKey: value(.orderingKey), group: value(.groupID),
            row: "position") + "::smallint"
    }

    fileprivate static func placedPriority(
        _ schema: QueueSchema, location: String, orderingKey: String, group: String, row: String
    ) -> String {
        """
        greatest(priority, max(
            CASE WHEN counted_at IS NOT NULL THEN \(schema.quoted).priority_behind(
                store_id, ARRAY[item_id], ARRAY[\(location)], priority, \(orderingKey)) END
        ) OVER (PARTITION BY CASE WHEN \(group) IS NULL THEN \(row) END, store_id, \(group)))
        """
    }
}

/// Puts the stock counts among copied jobs that belong to a moment behind the queued jobs of their items, which they
/// count already; groups whole.
struct PlaceCopiedCountsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        let priority = StagedJobs.placedPriority(
            schema, location: "location_id", orderingKey: "ordering_key", group: "group_id", row: "job_id")
        statement = Statement(
            "place_copied_counts", [.int8],
            """
            UPDATE \(s).jobs
            SET priority = placed.priority
            FROM (
                SELECT job_id, \(priority) AS priority
                FROM \(s).jobs
                WHERE job_id >= $1 AND submission_id = pg_current_xact_id()
            ) AS placed
            WHERE jobs.job_id = placed.job_id AND jobs.priority < placed.priority
            """)
    }

    static func parameters(firstJobID: Int64) -> Parameters {
        var parameters = Parameters()
        parameters.add(firstJobID)
        return parameters
    }
}

/// Starts the copying of jobs, into their table or into the temporary one. COPY is never prepared.
struct CopyJobsStatement: QueueStatement {
    let statement: Statement

    init(_ jobs: StagedJobs, isStaged: Bool) {
        let table = isStaged ? StagedJobs.table : "\(jobs.schema.quoted).jobs"
        statement = Statement("copy_jobs", [], "COPY \(table) (\(jobs.columns)) FROM STDIN")
    }
}

/// Makes the temporary table for a transaction.
struct StageJobsStatement: QueueStatement {
    let statement: Statement

    init(_ jobs: StagedJobs) {
        let columns = jobs.fields.map { StagedJobs.isLabel($0) ? "\($0.rawValue)::text" : $0.rawValue }
        statement = Statement(
            "stage_jobs_\(jobs.suffix)", [],
            """
            CREATE TEMPORARY TABLE \(StagedJobs.table) ON COMMIT DROP
            AS SELECT \(columns.joined(separator: ", ")) FROM \(jobs.schema.quoted).jobs WITH NO DATA
            """)
    }
}

/// Raises an error where the staged jobs do not fit a store's limit. Duplicates that are skipped do not count.
struct CheckStagedLimitStatement: QueueStatement {
    let statement: Statement

    init(_ jobs: StagedJobs) {
        let s = jobs.schema.quoted
        let limited = jobs.kept(where: "WHERE store_id IN (SELECT store_id FROM \(s).store_limits)")
        statement = Statement(
            "check_staged_limit_\(jobs.suffix)", [],
            """
            SELECT \(s).check_store_limit(store_id, count(*)::integer)
            FROM (\(limited)) AS job
            GROUP BY store_id
            """)
    }
}

/// Enqueues the staged jobs in the order in which they were copied, which is that of their tuple ids.
struct InsertStagedJobsStatement: QueueStatement {
    let statement: Statement

    init(_ jobs: StagedJobs) {
        let s = jobs.schema.quoted
        let values = jobs.fields.map { field in
            if field == .priority && jobs.fields.contains(.countedAt) { return jobs.placedPriority }
            return StagedJobs.isLabel(field) ? "\(field.rawValue)::\(s).\(field.rawValue)" : field.rawValue
        }
        statement = Statement(
            "insert_staged_\(jobs.suffix)", [],
            """
            INSERT INTO \(s).jobs (\(jobs.columns))
            SELECT \(values.joined(separator: ", "))
            FROM (\(jobs.kept())) AS job
            ORDER BY position
            """)
    }
}
