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

/// Writes the results of jobs that were decided at once. Beside a job's texts a few numbers travel: one has all labels.
struct WriteImmediateResultsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let columns = """
            job_id, store_id, item_id, location_id, labels, quantity, applied_quantity, on_hand_before, on_hand_after,
            allocated_before, allocated_after, version, previous_job_id, group_id, group_last_job_id
            """
        let defaults = JobRequest(store: "", item: "", quantity: 0)
        statement = Statement(
            "write_immediate_results",
            [
                .int8Array, .textArray, .textArray, .textArray, .int4Array, .int8Array, .int8Array, .int8Array,
                .int8Array, .int8Array, .int8Array, .int8Array, .int8Array, .textArray, .int8Array, .text,
            ],
            """
            INSERT INTO \(schema.quoted).results (
                job_id, store_id, item_id, location_id, quantity, applied_quantity, on_hand_before, on_hand_after,
                allocated_before, allocated_after, version, previous_job_id, group_id, group_last_job_id,
                action, on_insufficient, outcome, code, alert_before, alert_after, notify, warning,
                finished_at, enqueued_at, submission_id, attempts, priority, max_attempts, worker
            )
            SELECT
                job_id, store_id, item_id, location_id, quantity, applied_quantity, on_hand_before, on_hand_after,
                allocated_before, allocated_after, version, previous_job_id, group_id, group_last_job_id,
                \(Label.action.sql(StockAction.self, schema)),
                \(Label.policy.sql(InsufficientStockPolicy.self, schema)),
                \(Label.outcome.sql(Outcome.self, schema)),
                \(Label.code.sql(ResultCode.self, schema)),
                \(Label.levelBefore.sql(AlertLevel.self, schema)),
                \(Label.levelAfter.sql(AlertLevel.self, schema)),
                (labels >> \(Label.notify.rawValue)) & 1 = 1,
                CASE WHEN (labels >> \(Label.warnsNegative.rawValue)) & 1 = 1
                    THEN 'negative_stock'::\(schema.quoted).warning END,
                now(), now(), pg_current_xact_id(), 1, \(defaults.priority), \(defaults.maxAttempts), $16
            FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) AS decided (
                \(columns)
            )
            """)
    }

    /// The labels and flags of a result in one number. 0 is none, else the label's place counted from 1.
    ///
    /// The raw value is the lowest bit.
    private enum Label: Int32 {
        case action = 0
        case policy = 4
        case outcome = 8
        case code = 12
        case levelBefore = 17
        case levelAfter = 20
        case notify = 24
        case warnsNegative = 25

        func sql<Names: DatabaseLabel>(_ type: Names.Type, _ schema: QueueSchema) -> String {
            let mask = UInt8(Names.allCases.count).leadingZeroBitCount
            return "(\(SQL.labels(type, schema)))[(labels >> \(rawValue)) & \(UInt8.max >> UInt8(mask))]"
        }

        func number(_ ordinal: Int16?) -> Int32 { ordinal.map { (Int32($0) + 1) << rawValue } ?? 0 }

        func number(_ flag: Bool) -> Int32 { flag ? 1 << rawValue : 0 }
    }

    struct Row {
        var job: ClaimedJob
        var outcome: JobOutcome
        var groupLastJobID: Int64?

        fileprivate var labels: Int32 {
            let change = outcome.change
            return Label.action.number(job.action.ordinal) | Label.policy.number(job.onInsufficient.ordinal)
                | Label.outcome.number(outcome.outcome.ordinal) | Label.code.number(outcome.code?.ordinal)
                | Label.levelBefore.number(change?.levelBefore.ordinal)
                | Label.levelAfter.number(change?.levelAfter.ordinal) | Label.notify.number(job.notify)
                | Label.warnsNegative.number(change?.warnsNegativeStock ?? false)
        }
    }

    static func parameters(_ parameters: inout Parameters, _ rows: [Row], _ claims: ClaimSet, worker: String) {
        let count = rows.count
        let items = rows.map(\.job.item.rawValue)
        parameters.addArray(of: count, int64: { rows[$0].job.id })
        for column in 0..<3 { parameters.addArray(of: items, in: claims.items, column: column) }
        parameters.addArray(of: count, int32: { rows[$0].labels })
        parameters.addArray(of: count, int64: { rows[$0].job.quantity })
        parameters.addArray(of: count, int64: { rows[$0].outcome.change?.quantity ?? 0 })
        parameters.addArray(of: count, int64: { rows[$0].outcome.before?.onHand })
        parameters.addArray(of: count, int64: { rows[$0].outcome.after?.onHand })
        parameters.addArray(of: count, int64: { rows[$0].outcome.before?.allocated })
        parameters.addArray(of: count, int64: { rows[$0].outcome.after?.allocated })
        parameters.addArray(of: count, int64: { rows[$0].outcome.version })
        parameters.addArray(of: count, int64: { rows[$0].outcome.change?.previousJobID })
        // Empty without groups: `unnest` pads with NULL.
        let groups = rows.contains { $0.job.group != nil } ? count : 0
        parameters.addArray(
            of: groups, text: { rows[$0].job.group.map { claims.groups.string(of: $0.position, column: 0) } })
        parameters.addArray(of: groups, int64: { rows[$0].groupLastJobID })
        parameters.add(worker)
    }
}
