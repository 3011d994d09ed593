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
    private let fields: [JobField]
    private let copy: Statement
    private let staging: Staging?
    private var lines: [UInt8] = []
    private(set) var isOpen = false

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
        let fields = JobField.allCases.filter(fields.contains)
        self.fields = fields
        let jobs = StagedJobs(schema: schema, fields: fields, skipsDuplicates: skipsDuplicates)
        let isStaged =
            try connection.execute(MustStageStatement(schema).statement).bool(0, 0) || skipsDuplicates
        copy = CopyJobsStatement(jobs, isStaged: isStaged).statement
        staging =
            isStaged
            ? Staging(
                create: StageJobsStatement(jobs).statement, checkLimit: CheckStagedLimitStatement(jobs).statement,
                insert: InsertStagedJobsStatement(jobs).statement) : nil
    }

    func begin() throws(PostgresError) -> Int64 {
        try connection.begin()
        let transaction = try connection.execute(TransactionIDStatement().statement).int64(0, 0)
        if let staging { try connection.execute(staging.create) }
        try connection.startCopy(copy)
        isOpen = true
        return transaction
    }

    func write(_ job: JobRequest) throws(PostgresError) {
        COPYText.appendLine(job, fields, to: &lines)
        if lines.count >= Self.sendBytes { try sendLines() }
    }

    private func sendLines() throws(PostgresError) {
        try connection.copy(lines)
        lines.removeAll(keepingCapacity: true)
    }

    func end(rows: Int) throws(PostgresError) -> Int {
        try sendLines()
        isOpen = false
        let copied = try connection.endCopy()
        if copied != rows {
            throw PostgresError(
                kind: .protocolViolation, message: "COPY stored \(copied) rows of \(rows)", statement: copy.name)
        }
        guard let staging else { return rows }
        try connection.execute(staging.checkLimit)
        return try connection.execute(staging.insert).affectedRows
    }

    func commit() throws(PostgresError) { try connection.commit() }

    func abandon() {
        lines.removeAll(keepingCapacity: true)
        if isOpen { try? connection.failCopy("the import was stopped") }
        isOpen = false
        try? connection.rollBack()
    }
}
