import StockModel
import StockQueuePostgres

/// Partitions of the results, and what has expired. The work is done by functions of the schema
/// (`migrations/functions/retention.sql`).
struct RetentionStatements: Sendable {
    /// Adds missing partitions of the results; returns how many.
    let addPartitions: Statement
    /// Begins the next partition if the present one spans too long; returns how many ids are left out.
    let beginPartition: Statement
    /// The oldest partition, and what keeps it.
    let findKept: Statement
    /// The three steps in which a partition is dropped.
    let prepare, fold, dropPartition: Statement
    /// Locks retention for a transaction; returns false if another process has it.
    let lock: Statement
    /// Whether this role may drop what has expired.
    let canDropExpired: Statement
    /// Whether there are notifications that are older than they should get.
    let hasOldNotifications: Statement
    private let rows: [RetentionRows: Statement]

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        addPartitions = Statement(
            "add_results_partitions", [.int8, .int4], "SELECT \(s).add_results_partitions($1, $2)")
        beginPartition = Statement(
            "begin_results_partition", [.int8], "SELECT \(s).begin_results_partition($1 * interval '1 second')")
        findKept = Statement(
            "find_kept_partition", [.int8], "SELECT * FROM \(s).find_kept_partition($1 * interval '1 second')")
        prepare = Statement(
            "prepare_expired_results", [.int8], "SELECT \(s).prepare_expired_results($1 * interval '1 second')")
        fold = Statement(
            "fold_expired_results", [.int4, .bool], "SELECT * FROM \(s).fold_expired_results($1, $2)")
        dropPartition = Statement(
            "drop_results_partition", [.text, .bool], "SELECT \(s).drop_results_partition($1, $2)")
        lock = Statement("lock_retention", [], "SELECT \(s).lock_retention()")
        hasOldNotifications = Statement(
            "has_old_notifications", [.int8],
            "SELECT EXISTS (SELECT FROM \(s).notifications WHERE created_at < now() - $1 * interval '1 second')")
        rows = Dictionary(
            uniqueKeysWithValues: RetentionRows.allCases.map { kind in
                (
                    kind,
                    Statement(
                        kind.function, [.int8, .int4],
                        "SELECT \(s).\(kind.function)($1 * interval '1 second', $2)")
                )
            })
        canDropExpired = Statement(
            "can_drop_expired", [],
            "SELECT has_function_privilege(\(quoteLiteral("\(s).prepare_expired_results(interval)")), 'EXECUTE')")
    }

    /// Deletes what is older than a span, at most so many rows; returns how many.
    func drop(_ kind: RetentionRows) -> Statement {
        guard let statement = rows[kind] else { preconditionFailure("no statement drops \(kind)") }
        return statement
    }
}

/// What is deleted row by row when it is old.
package enum RetentionRows: String, CaseIterable, Sendable {
    case keys, deliveries, notifications, operations, imports

    fileprivate var function: String { self == .keys ? "drop_expired_keys" : "drop_old_\(rawValue)" }
}

/// The oldest partition of the results, and why it is kept.
package struct KeptPartition: Sendable, Hashable {
    package enum Reason: Sendable, Hashable {
        /// Producers draw ids in it.
        case inUse
        /// A result in it was finished then.
        case notExpired(lastFinished: Timestamp)
        /// Its results have expired.
        case queuedJobs(QueuedJobs)
    }

    /// Jobs with an id in it.
    package struct QueuedJobs: Sendable, Hashable {
        /// The most that are counted.
        package static let max = 1_000

        /// How many, at most `max`.
        package let count: Int64
        /// The oldest of them.
        package let job: Int64
        package let store: String
        package let runAt: Timestamp?
        package let expiresAt: Timestamp?
    }

    package let name: String
    /// How many partitions there are; all are kept with the oldest one.
    package let partitions: Int64
    package let reason: Reason

    /// - Returns: nil if nothing keeps a partition.
    init?(_ rows: ResultSet) {
        func column(_ name: String) -> Int { rows.column(name) }
        name = rows.optionalString(0, column("name")) ?? ""
        partitions = rows.optionalInt64(0, column("partitions")) ?? 0
        switch rows.optionalString(0, column("reason")) {
        case "in_use": reason = .inUse
        case "not_expired": reason = .notExpired(lastFinished: rows.timestamp(0, column("last_finished_at")))
        case "queued_job":
            reason = .queuedJobs(
                QueuedJobs(
                    count: rows.int64(0, column("jobs")), job: rows.int64(0, column("job_id")),
                    store: rows.string(0, column("store_id")),
                    runAt: rows.optionalTimestamp(0, column("run_at")),
                    expiresAt: rows.optionalTimestamp(0, column("expires_at"))))
        default: return nil
        }
    }
}
