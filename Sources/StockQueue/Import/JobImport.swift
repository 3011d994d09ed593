import StockFormats
import StockModel
import StockQueuePostgres

/// Enqueues jobs from a CSV or NDJSON input by COPY: streaming, in bounded memory, in transactions of some ten thousand
/// rows or a second, so that workers begin before the import ends. A group is never split between transactions.
public struct JobImport {
    private var options: Options
    private let connection: Connection
    private let onProgress: (ImportProgress) -> Void
    private let onReject: (ValidationError, _ raw: ArraySlice<UInt8>) throws -> Void

    private var reader: FieldReader<JobField>
    private let parser: RecordParser
    private let target: any JobTarget
    private let columns: [JobField]
    private let storeColumn: Int?
    private let groupColumn: Int?
    private var splitGroups = SplitGroups()
    /// As of the start. The limit moves ahead with time, so what is within it now is within it later.
    private let latestTimes: JobRequest.LatestTimes
    /// As of the start.
    private let allowedReasons: AllowedReasons?
    /// How the input's rejected records are kept.
    public let rejectsForm: RejectsForm

    private var progress = ImportProgress()
    private var unit = WorkUnit()
    /// The last record was unreadable and may belong to the group after it.
    private var followsUnreadable = false
    private var transaction = OpenTransaction()

    /// What the input would do, if that is all that was asked for.
    public let dryRun: DryRun?
    /// The last transaction, if the connection broke between its COMMIT and the answer.
    public private(set) var inDoubt: InDoubtCommit?

    /// The import's row, if it keeps one.
    private var record: ImportRecord?
    /// Of the finished lines.
    private var rejectedBefore = 0

    /// The rows of the group that is being read, or one row without a group: enqueued or rejected together.
    private struct WorkUnit {
        var groupKey: [UInt8] = []
        var jobs: [JobRequest] = []
        /// Of the jobs, in a dry run.
        var lines: [Int] = []
        var rows = 0
        var lastLine = 0
        /// The records of a group and bad records, in case the unit is rejected.
        var records: [(line: Int, raw: ArraySlice<UInt8>, error: ValidationError?)] = []
        var isBad = false
        /// Why the unit as a whole is rejected, if it is not because of one of its lines.
        var errorForAll: ValidationError?

        static let otherLineIsBad = ValidationError("another line of its group is bad", code: .conflict)

        /// Empties the unit. One without a group keeps its memory for the next row.
        mutating func reset() {
            if !groupKey.isEmpty || isBad {
                self = WorkUnit()
            } else {
                jobs.removeAll(keepingCapacity: true)
                if !lines.isEmpty { lines.removeAll() }
                rows = 0
            }
        }
    }

    /// The transaction that is being written.
    private struct OpenTransaction {
        var rows = 0
        var lastLine = 0
    }

    /// When the rows that were read are to be committed; nil while there are none.
    private var commitTime: ContinuousClock.Instant?

    /// - Parameters:
    ///   - onReject: is called with each record that is not enqueued, and with the reason and the line; may throw to end
    ///     the import.
    ///   - onAnswer: is called in a dry run with each job, its line and what would become of it.
    /// - Throws: what is wrong with the input as a whole; nothing has been enqueued then.
    public init(
        connection: Connection, schema: QueueSchema, source: ByteSource, options: Options,
        onProgress: @escaping (ImportProgress) -> Void = { _ in },
        onReject: @escaping (ValidationError, _ raw: ArraySlice<UInt8>) throws -> Void,
        onAnswer: ((_ line: Int, JobRequest, DryRun.Answer) -> Void)? = nil
    ) throws {
        self.options = options
        self.connection = connection
        self.onProgress = onProgress
        self.onReject = onReject
        let start = source.position
        reader = try FieldReader(source, form: options.form, required: JobField.required)
        if let start, !options.isStrict, reader.columns.contains(.groupID) {
            splitGroups = try SplitGroups(&reader)
            try source.goBack(to: start)
            reader = try FieldReader(source, form: options.form, required: JobField.required)
        }
        rejectsForm = RejectsForm(reader)
        parser = RecordParser(reader.columns.map(\.definition), timeZone: options.form.timeZone)
        columns = reader.columns
        storeColumn = reader.columns.firstIndex(of: .storeID)
        groupColumn = reader.columns.firstIndex(of: .groupID)
        dryRun =
            options.isDryRun
            ? DryRun(connection: connection, schema: schema, groupLinesMax: options.groupLinesMax) : nil
        dryRun?.onAnswer = onAnswer
        latestTimes = LatestTimesStatement.read(try connection.execute(LatestTimesStatement(schema).statement))
        allowedReasons = try AllowedReasonsStatement.read(connection, schema)
        target = try dryRun ?? Self.copy(connection, schema, columns: reader.columns, options)
    }

    private static func copy(
        _ connection: Connection, _ schema: QueueSchema, columns: [JobField], _ options: Options
    ) throws(PostgresError) -> JobCopy {
        var fields = columns + [.priority]
        if options.idempotencyPrefix != nil { fields.append(.idempotencyKey) }
        if options.reference != nil { fields.append(.reference) }
        if options.reason != nil { fields.append(.reason) }
        // An NDJSON record may have any field; whether some have keys is seen too late.
        let hasKeys = fields.contains(.idempotencyKey) && (options.format == .csv || options.idempotencyPrefix != nil)
        return try JobCopy(connection: connection, schema: schema, fields: fields, skipsDuplicates: hasKeys)
    }

    /// Keeps a row of the import. One that was resumed goes on behind its last line.
    package mutating func keep(_ record: ImportRecord) {
        self.record = record
        options.afterLine = max(options.afterLine, record.throughLine)
    }

    /// How many records the preset of the form left out, by the reason.
    public var leftOut: [String: Int] { reader.leftOut }

    /// Runs the import to its end.
    ///
    /// - Throws: `ValidationError` for an input that cannot be read or, when strict, has a bad record;
    ///   `InputInterrupted` for an import that was stopped; `PostgresError` when the database fails. `onProgress` has
    ///   reported by then what is committed.
    public mutating func run() throws -> ImportProgress {
        do {
            try readRecords()
            try finishUnit()
            try endTransaction()
            let counts = ImportCounts(
                enqueued: progress.enqueued, duplicates: progress.duplicates, rejected: progress.rejected)
            try record?.finish(counts, throughLine: progress.committedThroughLine, over: connection)
        } catch {
            target.abandon()
            throw error
        }
        onProgress(progress)
        return progress
    }

    private static let recordsPerReport = 4_096

    // MARK: records

    private mutating func readRecords() throws {
        while true {
            switch try reader.next(until: commitTime) {
            case .end: return
            case .notYet: try commitInTime()
            case .record(let record):
                if record.line <= options.afterLine { continue }
                progress.read += 1
                progress.endedInMidLine = record.isUnterminated
                try add(record)
                if commitTime == nil && !options.isStrict { commitTime = .now + options.commitInterval }
                if progress.read.isMultiple(of: Self.recordsPerReport) { onProgress(progress) }
            }
        }
    }

    /// Commits the complete rows. A group may go on with the next record, so it waits for that or for the end.
    private mutating func commitInTime() throws {
        commitTime = nil
        if unit.groupKey.isEmpty { try finishUnit() }
        try endTransaction()
    }

    private mutating func add(_ record: InputRecord) throws {
        if record.problem != nil, groupColumn != nil, !unit.groupKey.isEmpty { return try addUnreadable(record) }
        let key = record.groupKey(storeColumn: storeColumn, groupColumn: groupColumn)
        if key.isEmpty || key != unit.groupKey {
            try finishUnit()
            try beginUnit(key, record)
        }
        followsUnreadable = record.problem != nil
        let error = addJob(of: record)
        if let error { try reject(record, error) }
        unit.rows += 1
        unit.lastLine = record.line
        if !key.isEmpty || error != nil { unit.records.append((record.line, record.raw, error)) }
        if unit.rows > options.groupLinesMax { try rejectTooLarge(record, key) }
    }

    /// Rejects the group. Its records are reported as they come, so that a group of any size takes no more memory.
    private mutating func rejectTooLarge(_ record: InputRecord, _ key: [UInt8]) throws {
        let name = unit.jobs.last.flatMap(\.groupID).map { " '\($0)'" } ?? ""
        let error =
            unit.errorForAll
            ?? ValidationError(
                "the group\(name) has more than \(options.groupLinesMax) lines; split it, or leave out the group",
                code: .tooLong, field: JobField.groupID.rawValue)
        try reject(record, error, all: true)
        try reportRejects()
        unit.jobs.removeAll()
        unit.records.removeAll()
    }

    /// An unreadable record inside or after a group may belong to it, and a group that may lack a line must not be
    /// enqueued.
    private mutating func addUnreadable(_ record: InputRecord) throws {
        if let problem = record.problem { try reject(record, problem) }
        unit.records.append((record.line, record.raw, record.problem))
        unit.lastLine = record.line
        followsUnreadable = true
    }

    private mutating func addJob(of record: InputRecord) -> ValidationError? {
        let columns = columns
        var job = JobRequest(store: "", item: "", quantity: 0)
        job.priority = options.defaultPriority
        do throws(ValidationError) {
            try parser.parse(record) { job.set(columns[$0], $1) }
            job.reference = job.reference ?? options.reference
            job.reason = job.reason ?? options.reason
            if let prefix = options.idempotencyPrefix, job.idempotencyKey == nil {
                // The corrected lines of a file of rejects keep the keys that they would have had.
                job.idempotencyKey = "\(prefix)/\(rejectsForm.notedLine(record.raw) ?? record.line)"
            }
            try job.validate()
            try job.validateTimes(latest: latestTimes)
            try allowedReasons?.check(job.reason)
        } catch {
            return error
        }
        if unit.isBad { return nil }
        unit.jobs.append(job)
        if dryRun != nil { unit.lines.append(record.line) }
        return nil
    }

    /// Marks the unit as bad; a strict import ends here.
    private mutating func reject(_ record: InputRecord, _ error: ValidationError, all: Bool = false) throws {
        if options.isStrict {
            var error = error.at(line: record.line)
            error.message += "; nothing was enqueued"
            throw error
        }
        unit.isBad = true
        if all { unit.errorForAll = error }
    }

    // MARK: work units

    private mutating func beginUnit(_ key: [UInt8], _ record: InputRecord) throws {
        unit.groupKey = key
        if key.isEmpty { return }
        if splitGroups.contains(key) {
            try reject(
                record,
                ValidationError(
                    "rows of this group also appear elsewhere in the file; a group's rows must be adjacent",
                    code: .conflict, field: JobField.groupID.rawValue), all: true)
        } else if followsUnreadable {
            try reject(
                record,
                ValidationError(
                    "the preceding line is unreadable and may belong to this group", code: .conflict,
                    field: JobField.groupID.rawValue), all: true)
        }
    }

    private mutating func finishUnit() throws {
        if unit.rows == 0 { return }
        if unit.isBad { try finishRejects() } else { try writeUnit() }
        unit.reset()
    }

    private mutating func finishRejects() throws {
        try reportRejects()
        rejectedBefore = progress.rejected
        if transaction.rows == 0 {
            progress.committedThroughLine = unit.lastLine
        } else {
            transaction.lastLine = unit.lastLine
        }
    }

    private mutating func reportRejects() throws {
        for (line, raw, error) in unit.records {
            try onReject((error ?? unit.errorForAll ?? WorkUnit.otherLineIsBad).at(line: line), raw)
            progress.rejected += 1
        }
    }

    private mutating func writeUnit() throws {
        for job in unit.jobs { try target.write(job) }
        dryRun?.addLines(unit.lines)
        transaction.rows += unit.rows
        transaction.lastLine = unit.lastLine
        if transaction.rows >= options.rowsPerCommit && !options.isStrict { try endTransaction() }
    }

    // MARK: transactions

    private mutating func endTransaction() throws {
        if transaction.rows == 0 { return }
        let written = try target.end(rows: transaction.rows)
        let commit = InDoubtCommit(
            transaction: written.transaction, rows: written.enqueued,
            duplicates: transaction.rows - written.enqueued, line: transaction.lastLine)
        try save(commit, written)
        do {
            try target.commit()
        } catch {
            if error.isConnectionFatal { inDoubt = commit }
            throw error
        }
        finish(commit)
        onProgress(progress)
    }

    private func save(_ commit: InDoubtCommit, _ written: WrittenJobs) throws(PostgresError) {
        let counts = ImportCounts(
            enqueued: progress.enqueued + commit.rows, duplicates: progress.duplicates + commit.duplicates,
            rejected: rejectedBefore)
        let part = ImportRecord.Part(firstJobID: written.firstJobID, hasJobs: commit.rows > 0)
        try record?.save(counts, throughLine: commit.line, part: part, over: connection)
    }

    private mutating func finish(_ commit: InDoubtCommit) {
        progress.enqueued += commit.rows
        progress.duplicates += commit.duplicates
        progress.committedThroughLine = commit.line
        transaction = OpenTransaction()
        commitTime = nil
    }

    /// Asks over a new connection for the outcome of the transaction in doubt.
    ///
    /// - Returns: how far the import really came; nil while the transaction is in progress.
    public mutating func resolveInDoubt(over connection: Connection) throws(PostgresError) -> ImportProgress? {
        guard let inDoubt else { return progress }
        switch try inDoubt.outcome(over: connection) {
        case .committed: finish(inDoubt)
        case .rolledBack: break
        case .inProgress: return nil
        }
        self.inDoubt = nil
        return progress
    }
}
