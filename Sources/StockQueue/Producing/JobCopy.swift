import StockFormats
import StockModel
import StockQueuePostgres

/// Enqueues jobs by COPY, a transaction at a time: straight into the table where that is possible, otherwise through a
/// temporary one.
///
/// The rows are staged and then inserted where row security or a store limit requires it, and where jobs whose
/// idempotency keys were used before are skipped.
final class JobCopy: JobTarget {
    private let connection: Connection
    private let beginning: Statement
    private let fields: [JobField]
    private let copy: Statement
    private let staging: Staging?
    private let placeCounts: Statement
    /// The transaction has stock counts that belong to a moment.
    private var hasCounts = false
    private var lines: [UInt8] = []
    /// Nil until the first lines are sent.
    private var transaction: (id: Int64, firstJobID: Int64)?
    private var isCopying = false

    private struct Staging {
        let create, checkLimit, insert: Statement
    }

    /// Bytes that are collected before they are sent.
    private static let sendBytes = 1 << 17

    /// - Parameters:
    ///   - fields: the fields to be written; the others have the table's defaults.
    ///   - skipsDuplicates: skip jobs whose key was used before for the same request, a group only as a whole.
    init(
        connection: Connection, schema: QueueSchema, fields: [JobField], skipsDuplicates: Bool
    ) throws(PostgresError) {
        self.connection = connection
        beginning = TransactionIDStatement(schema).statement
        let fields = JobField.allCases.filter(fields.contains)
        self.fields = fields
        let jobs = StagedJobs(schema: schema, fields: fields, skipsDuplicates: skipsDuplicates)
        let isStaged =
            try connection.execute(MustStageStatement(schema).statement).bool(0, 0) || skipsDuplicates
        copy = CopyJobsStatement(jobs, isStaged: isStaged).statement
        placeCounts = PlaceCopiedCountsStatement(schema).statement
        staging =
            isStaged
            ? Staging(
                create: StageJobsStatement(jobs).statement, checkLimit: CheckStagedLimitStatement(jobs).statement,
                insert: InsertStagedJobsStatement(jobs).statement) : nil
    }

    func write(_ job: JobRequest) throws(PostgresError) {
        COPYText.appendLine(job, fields, to: &lines)
        if job.countedAtMicroseconds != nil { hasCounts = true }
        if lines.count >= Self.sendBytes { _ = try sendLines() }
    }

    /// Sends the collected lines; the first ones begin the transaction. So no transaction is open while an input that
    /// gives a line now and then is waited for.
    ///
    /// - Returns: the transaction.
    private func sendLines() throws(PostgresError) -> (id: Int64, firstJobID: Int64) {
        let transaction = if let transaction { transaction } else { try begin() }
        try connection.copy(lines)
        lines.removeAll(keepingCapacity: true)
        return transaction
    }

    private func begin() throws(PostgresError) -> (id: Int64, firstJobID: Int64) {
        try connection.begin()
        let rows = try connection.execute(beginning)
        let begun = (
            id: rows.int64(0, rows.column("transaction_id")), firstJobID: rows.int64(0, rows.column("first_job_id"))
        )
        transaction = begun
        if let staging { try connection.execute(staging.create) }
        try connection.startCopy(copy)
        isCopying = true
        return begun
    }

    func end(rows: Int) throws(PostgresError) -> WrittenJobs {
        let (id, firstJobID) = try sendLines()
        isCopying = false
        let copied = try connection.endCopy()
        if copied != rows {
            throw PostgresError(
                kind: .protocolViolation, message: "COPY stored \(copied) rows of \(rows)", statement: copy.name)
        }
        guard let staging else {
            if hasCounts {
                try connection.execute(placeCounts, PlaceCopiedCountsStatement.parameters(firstJobID: firstJobID))
            }
            return WrittenJobs(transaction: id, firstJobID: firstJobID, enqueued: rows)
        }
        try connection.execute(staging.checkLimit)
        let inserted = try connection.execute(staging.insert).affectedRows
        return WrittenJobs(transaction: id, firstJobID: firstJobID, enqueued: inserted)
    }

    func commit() throws(PostgresError) {
        transaction = nil
        hasCounts = false
        try connection.commit()
    }

    func abandon() {
        lines.removeAll(keepingCapacity: true)
        if isCopying { try? connection.failCopy("the import was stopped") }
        isCopying = false
        transaction = nil
        try? connection.rollBack()
    }
}
