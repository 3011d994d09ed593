import StockDecision
import StockModel
import StockQueuePostgres

/// Checks who makes the calls of a batch, and whether a store has a limit: the calls are enqueued then.
struct ReadImmediateAccessStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "read_immediate_access", [.textArray, .textArray, .textArray],
            "SELECT store_id, may_update, may_read FROM \(schema.quoted).immediate_accesses($1, $2, $3)")
    }

    static func parameters(_ parameters: inout Parameters, _ accesses: [ImmediateAccess]) {
        parameters.addArray(of: accesses.count, text: { accesses[$0].tokenHash })
        parameters.addArray(of: accesses.count, text: { accesses[$0].storeID })
        parameters.addArray(of: accesses.count, text: { accesses[$0].scopes })
    }

    struct Grant {
        var storeID: String
        var mayUpdate: Bool
        /// Whether the caller may change items that have a parent.
        var mayRead: Bool
    }

    /// One for each access; fewer where calls cannot be decided at once.
    static func grants(in rows: ResultSet) -> [Grant] {
        let (store, update, read) = (rows.column("store_id"), rows.column("may_update"), rows.column("may_read"))
        return (0..<rows.rowCount).map { row in
            Grant(
                storeID: rows.optionalString(row, store) ?? "", mayUpdate: rows.bool(row, update),
                mayRead: rows.bool(row, read))
        }
    }
}

/// Draws the ids of jobs that never come into the table of jobs. Behind the lane's lock: so they are behind the ids of
/// all jobs that the batch has claimed.
struct DrawJobIDsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let sequence = quoteLiteral("\(schema.quoted).jobs_job_id_seq")
        statement = Statement(
            "draw_job_ids", [.int4],
            """
            SELECT nextval(\(sequence)) AS job_id,
                CASE WHEN number = 1 THEN pg_current_xact_id()::text END AS transaction
            FROM generate_series(1, $1) AS number
            """)
    }

    static func ids(in rows: ResultSet) -> (transaction: String, jobIDs: [Int64]) {
        let (jobID, transaction) = (rows.column("job_id"), rows.column("transaction"))
        return (rows.string(0, transaction), (0..<rows.rowCount).map { rows.int64($0, jobID) })
    }
}

/// Writes the results of jobs that were decided at once. Beside a job's texts only numbers travel.
struct WriteImmediateResultsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let columns = ResultNumbers.Columns(schema: schema, array: "$1", count: ResultNumbers.countOfImmediateJob)
        let defaults = JobRequest(store: "", item: "", quantity: 0)
        statement = Statement(
            "write_immediate_results",
            [.int8Array, .textArray, .textArray, .textArray, .textArray, .int8Array, .text],
            """
            INSERT INTO \(schema.quoted).results (
                \(ResultNumbers.Columns.decided), job_id, quantity, action, on_insufficient, notify,
                store_id, item_id, location_id, group_id, group_last_job_id,
                finished_at, enqueued_at, submission_id, attempts, priority, max_attempts, worker
            )
            SELECT
                \(columns.decided), \(columns[.jobID]), \(columns[.quantity]),
                \(columns.label(.action, StockAction.self)),
                \(columns.label(.policy, InsufficientStockPolicy.self)),
                \(columns.flag(.notify)),
                store_id, item_id, location_id, group_id, \(columns.id("$6")),
                now(), now(), pg_current_xact_id(), 1, \(defaults.priority), \(defaults.maxAttempts), $7
            FROM \(columns.rows([("$2", "store_id"), ("$3", "item_id"), ("$4", "location_id"), ("$5", "group_id")]))
            """)
    }

    struct Row {
        var job: ClaimedJob
        var outcome: JobOutcome
        var groupLastJobID: Int64?

        fileprivate var labels: Int64 {
            typealias Label = ResultNumbers.Label
            return ResultNumbers.labels(outcome) | Label.action.number(job.action.ordinal)
                | Label.policy.number(job.onInsufficient.ordinal) | Label.notify.number(job.notify)
        }
    }

    static func parameters(_ parameters: inout Parameters, _ rows: [Row], _ claims: ClaimSet, worker: String) {
        let items = rows.map(\.job.item.rawValue)
        var numbers: [Int64] = []
        numbers.reserveCapacity(rows.count * ResultNumbers.countOfImmediateJob)
        for row in rows {
            ResultNumbers.append(row.outcome, labels: row.labels, to: &numbers)
            numbers.append(row.job.id)
            numbers.append(row.job.quantity)
        }
        parameters.addArray(of: numbers.count, int64: { numbers[$0] })
        for column in 0..<3 { parameters.addArray(of: items, in: claims.items, column: column) }
        // Empty without groups: `unnest` pads with NULL.
        let groups = rows.contains { $0.job.group != nil } ? rows.count : 0
        parameters.addArray(
            of: groups, text: { rows[$0].job.group.map { claims.groups.string(of: $0.position, column: 0) } })
        ResultNumbers.addIDs(rows.map(\.groupLastJobID), to: &parameters)
        parameters.add(worker)
    }
}
