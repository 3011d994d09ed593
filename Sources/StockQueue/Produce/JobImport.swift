import StockModel
import StockQueuePostgres

/// How far an import has come.
public struct ImportProgress: Sendable {
    /// Records read, good and bad.
    public var read = 0
    /// Jobs that are in the queue, committed.
    public var enqueued = 0
    public var rejected = 0
    /// Records whose idempotency key was used before for the same request: not enqueued again. Counted only where the import
    /// derives the keys, or a CSV has a column of them.
    public var duplicates = 0
    /// Everything up to this line of the input is stableID: enqueued or rejected.
    public var committedThroughLine = 0
    /// The input ended in mid-line; its last record was taken as it stood.
    public var endedInMidLine = false

    public init() {}
}

/// Enqueues jobs from a CSV or NDJSON input by COPY: streaming, in bounded tuning, a few ten thousand rows a
/// transaction, so that workers begin before the import ends. A group is never cut.
public struct JobImport {
    public struct Options: Sendable {
        public var format = InputFormat.csv
        /// Priority of jobs for which the input says nothing. Default 3: below the jobs of live orders.
        public var defaultPriority = 3
        /// One bad line refuses the whole input: nothing is enqueued.
        public var isStrict = false
        /// Skip the records up to this line; for going on after an import that broke off.
        public var afterLine = 0
        /// Rows a transaction. Default 50,000; 1–10,000,000.
        public var rowsPerCommit = 50_000
        /// The most lines of one group. Default 100,000.
        public var groupLinesMax = 100_000
        /// Gives each record without a key of its own this text, a slash and its line's number as idempotency key; so what is
        /// imported again adds nothing twice.
        public var idempotencyPrefix: String?
        /// Tell what would happen, and enqueue nothing.
        public var isDryRun = false

        public init() {}
    }

    private let connection: Connection
    private let options: Options
    private let onProgress: (ImportProgress) -> Void
    private let onReject: (_ line: Int, _ raw: ArraySlice<UInt8>, _ reason: String) throws -> Void

    private var progress = ImportProgress()
    private var rules: JobRules
    private var fields: FieldReader<JobField>
    private let target: any JobTarget
    /// What the input would do, where that was all that was asked for.
    public let dryRun: DryRun?
    private let keyColumn: Int?
    private var out: [UInt8] = []
    private var pending = PendingUnit()
    private var splitGroups = SplitGroups()
    private var rowsInTransaction = 0
    private var transaction: Int64 = 0

    /// Bytes gathered before they are sent.
    private static let sendBytes = 1 << 17

    /// - Parameters:
    ///   - onReject: takes each record that is not enqueued, with its line and the reason; may throw to end the import.
    /// - Throws: what is wrong with the input as a whole; nothing has been enqueued then.
    public init(
        connection: Connection, schema: QueueSchema, source: ByteSource, options: Options,
        onProgress: @escaping (ImportProgress) -> Void = { _ in },
        onReject: @escaping (_ line: Int, _ raw: ArraySlice<UInt8>, _ reason: String) throws -> Void
    ) throws {
        self.connection = connection
        self.options = options
        self.onProgress = onProgress
        self.onReject = onReject
        let required = JobField.allCases.filter(\.isRequired)
        let start = source.position
        fields = try FieldReader(source, format: options.format, required: required)
        if let start, !options.isStrict, fields.columns.contains(.groupID) {
            splitGroups = try SplitGroups(&fields)
            try source.goBack(to: start)
            fields = try FieldReader(source, format: options.format, required: required)
        }
        var columns = fields.columns
        if options.idempotencyPrefix != nil && !columns.contains(.idempotencyKey) { columns.append(.idempotencyKey) }
        keyColumn = columns.firstIndex(of: .idempotencyKey)
        rules = JobRules(columns: columns, defaultPriority: options.defaultPriority)
        // An NDJSON record may have any column; whether some have keys is seen too late.
        let hasKeys = keyColumn != nil && (options.format == .csv || options.idempotencyPrefix != nil)
        dryRun =
            options.isDryRun ? DryRun(connection: connection, schema: schema, columns: rules.copyColumns) : nil
        target =
            try dryRun
            ?? JobCopy(connection: connection, schema: schema, columns: rules.copyColumns, skipsDuplicates: hasKeys)
    }

    /// The input's header, for a file of rejects.
    public var header: [UInt8] { fields.header }

    /// Runs the import to its end.
    ///
    /// - Throws: `ValidationError` for an input that cannot be read or, when strict, has a bad line; `PostgresError` when the
    ///   database fails. `onProgress` has told by then what is stableID.
    public mutating func run() throws -> ImportProgress {
        do {
            while let record = try fields.next() {
                if record.line <= options.afterLine { continue }
                progress.read += 1
                progress.endedInMidLine = record.isUnterminated
                try take(record)
                if progress.read.isMultiple(of: 4_096) { onProgress(progress) }
            }
            try finishPending()
            try endTransaction()
        } catch {
            // The first error is the one to tell.
            target.abandon()
            throw error
        }
        onProgress(progress)
        return progress
    }

    // MARK: records and groups

    /// The rows of the group that is being read, or one row without a group: they are enqueued or rejected together.
    private struct PendingUnit {
        var key: [UInt8] = []
        var lines: [UInt8] = []
        var rows = 0
        var lastLine = 0
        var raws: [(line: Int, raw: ArraySlice<UInt8>, reason: String?)] = []
        var isBad = false
        /// Why all of it is refused, where it is not because of one of its lines.
        var reasonForAll: String?
    }

    /// The record before this one could not be split into fields.
    private var followsUnreadable = false

    private mutating func take(_ record: InputRecord) throws {
        if let problem = record.problem, options.isStrict { throw strictRefusal(record, problem.description) }
        if let problem = record.problem, rules.groupColumn != nil, !pending.key.isEmpty {
            // Nobody can say whether the line belongs to the group before it or behind it; a group that may lack a line
            // must not be enqueued.
            pending.isBad = true
            pending.raws.append((record.line, record.raw, problem.description))
            pending.lastLine = record.line
            followsUnreadable = true
            return
        }
        let key = groupKey(of: record)
        if key.isEmpty || key != pending.key {
            try finishPending()
            try startUnit(key, record)
        }
        followsUnreadable = record.problem != nil
        let reason = encode(record)
        if let reason, options.isStrict { throw strictRefusal(record, reason) }
        pending.rows += 1
        pending.lastLine = record.line
        // Only the rows of a group, or a bad row, are ever given back.
        if !key.isEmpty || reason != nil { pending.raws.append((record.line, record.raw, reason)) }
        if reason != nil { pending.isBad = true }
        if pending.rows > options.groupLinesMax {
            if options.isStrict { throw strictRefusal(record, groupTooLong) }
            pending.isBad = true
            pending.reasonForAll = groupTooLong
            pending.lines.removeAll(keepingCapacity: true)
        }
    }

    private mutating func startUnit(_ key: [UInt8], _ record: InputRecord) throws {
        pending.key = key
        if key.isEmpty { return }
        if splitGroups.contains(key) {
            let reason = "its group stands in another place too; a group's rows must be adjacent"
            if options.isStrict { throw strictRefusal(record, reason) }
            pending.isBad = true
            pending.reasonForAll = reason
        } else if followsUnreadable {
            pending.isBad = true
            pending.reasonForAll = "the line before its group cannot be read and may belong to it"
        }
    }

    private var groupTooLong: String { "a group of more than \(options.groupLinesMax) lines" }

    private func strictRefusal(_ record: InputRecord, _ reason: String) -> ValidationError {
        ValidationError("line \(record.line): \(reason); nothing was enqueued")
    }

    private mutating func encode(_ record: InputRecord) -> String? {
        if let problem = record.problem { return problem.description }
        let before = pending.lines.count
        do throws(ValidationError) {
            let derived = options.idempotencyPrefix.map { Array("\($0)/\(record.line)".utf8)[...] }
            try rules.encode(
                { position in
                    let field = position < record.fields.count ? record.fields[position] : []
                    return field.isEmpty && position == keyColumn ? derived : field
                }, into: &pending.lines)
            return nil
        } catch {
            pending.lines.removeSubrange(before...)
            return error.description
        }
    }

    private func groupKey(of record: InputRecord) -> [UInt8] {
        record.groupKey(storeColumn: rules.storeColumn, groupColumn: rules.groupColumn)
    }

    private mutating func finishPending() throws {
        defer { pending = PendingUnit() }
        if pending.rows == 0 { return }
        if pending.isBad {
            for (line, raw, reason) in pending.raws {
                try onReject(line, raw, reason ?? pending.reasonForAll ?? "another line of its group is bad")
                progress.rejected += 1
            }
            if rowsInTransaction == 0 { progress.committedThroughLine = pending.lastLine }
            return
        }
        if !target.isCopying { transaction = try target.begin() }
        out.append(contentsOf: pending.lines)
        rowsInTransaction += pending.rows
        lineOfTransaction = pending.lastLine
        if out.count >= Self.sendBytes { try sendOut() }
        if rowsInTransaction >= options.rowsPerCommit && !options.isStrict { try endTransaction() }
    }

    private var lineOfTransaction = 0

    // MARK: COPY

    private mutating func sendOut() throws {
        try target.send(out)
        out.removeAll(keepingCapacity: true)
    }

    private mutating func endTransaction() throws {
        guard target.isCopying else { return }
        try sendOut()
        let rows = try target.end(rows: rowsInTransaction)
        inDoubt = InDoubtCommit(
            transaction: transaction, rows: rows, duplicates: rowsInTransaction - rows, line: lineOfTransaction)
        try commit()
        settle(rows: rows, duplicates: rowsInTransaction - rows, line: lineOfTransaction)
        onProgress(progress)
    }

    private mutating func commit() throws(PostgresError) {
        do {
            try target.commit()
        } catch {
            if !error.isConnectionFatal { inDoubt = nil }
            throw error
        }
        inDoubt = nil
    }

    private mutating func settle(rows: Int, duplicates: Int, line: Int) {
        progress.enqueued += rows
        progress.duplicates += duplicates
        progress.committedThroughLine = line
        rowsInTransaction = 0
    }

    // MARK: a COMMIT without an answer

    /// The last transaction, where the connection broke between the sending of its COMMIT and the answer.
    public private(set) var inDoubt: InDoubtCommit?

    /// A transaction of which nobody knows yet whether it was committed.
    public struct InDoubtCommit: Sendable {
        /// Its id, for `pg_xact_status`.
        public let transaction: Int64
        public let rows: Int
        let duplicates: Int
        /// The line that is stableID if it was committed.
        public let line: Int
    }

    /// Finds out over a new connection what became of the transaction in inDoubt (PostgreSQL manual, 9.27.8
    /// "Transaction ID and Snapshot Information Functions").
    ///
    /// - Returns: how far the import really came. Nil while the transaction is still in progress; ask again then.
    public mutating func resolveInDoubt(over connection: Connection) throws(PostgresError) -> ImportProgress? {
        guard let inDoubt else { return progress }
        var parameters = Parameters()
        parameters.add(String(inDoubt.transaction))
        let status = try connection.execute(
            Statement("transaction_status", [.text], "SELECT pg_xact_status($1::xid8)"), parameters
        ).optionalString(0, 0)
        switch status {
        case "committed": settle(rows: inDoubt.rows, duplicates: inDoubt.duplicates, line: inDoubt.line)
        case "aborted": break
        default: return nil
        }
        self.inDoubt = nil
        return progress
    }
}

extension InputRecord {
    /// Store and group in one; empty for a job without a group or a record that could not be split.
    fileprivate func groupKey(storeColumn: Int?, groupColumn: Int?) -> [UInt8] {
        guard problem == nil, let groupColumn, let storeColumn, !fields[groupColumn].isEmpty else { return [] }
        return Array(fields[storeColumn]) + [0] + Array(fields[groupColumn])
    }
}

/// The groups of an input whose rows stand in more than one place, by a hash of 64 bits. What is enqueued cannot be taken back when
/// the second place comes, so they should be known before.
private struct SplitGroups {
    /// Nil where the input was not looked through.
    private var known: Set<Int>?
    private var seen = RecentGroups()

    /// For an input that can be read once only: a group is known when its second place comes.
    init() {}

    /// Reads the input to its end.
    init(_ fields: inout FieldReader<JobField>) throws(ValidationError) {
        let columns = (fields.columns.firstIndex(of: .storeID), fields.columns.firstIndex(of: .groupID))
        var torn: Set<Int> = []
        var last: [UInt8] = []
        while let record = try fields.next() {
            // As in the import, a record that cannot be read does not end the group before it.
            if record.problem != nil { continue }
            let key = record.groupKey(storeColumn: columns.0, groupColumn: columns.1)
            if !key.isEmpty && key != last && !seen.insert(key) { torn.insert(key.hashValue) }
            last = key
        }
        known = torn
    }

    /// - Parameter key: of a group that begins here.
    mutating func contains(_ key: [UInt8]) -> Bool { known?.contains(key.hashValue) ?? !seen.insert(key) }
}

/// The groups read lately, by a hash of 64 bits, so that one whose rows are not adjacent is noticed: its second part
/// would be a group of its own.
private struct RecentGroups {
    private let limit = 100_000
    private var newer: Set<Int> = []
    private var older: Set<Int> = []

    /// - Returns: false when the group was here already.
    mutating func insert(_ key: [UInt8]) -> Bool {
        let hash = key.hashValue
        if older.contains(hash) || !newer.insert(hash).inserted { return false }
        if newer.count >= limit {
            older = newer
            newer = []
        }
        return true
    }
}
