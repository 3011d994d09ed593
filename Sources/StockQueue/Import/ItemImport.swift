import StockDecision
import StockFormats
import StockModel
import StockQueuePostgres

/// What an import of items did.
public struct ItemImportReport: Sendable {
    /// Records read, good and bad.
    public var read = 0
    /// Items that are new.
    public var created = 0
    /// Items that existed and whose attributes were changed.
    public var changed = 0
    /// Items that existed with the same attributes.
    public var unchanged = 0
    /// Records that break a rule.
    public var rejected = 0
    /// `set` jobs enqueued because the stock differed or jobs of the item were queued.
    public var setJobs = 0
    /// In a dry run: stock counts that would be rejected.
    public var rejectedCounts = 0
    /// Items that existed with another stock, which was not changed. Counted only where no stock counts are enqueued.
    public var stockDifferences = 0
    /// The last line of the input has no line break; its record was imported.
    public var endedInMidLine = false

    var counts: ImportCounts {
        ImportCounts(
            enqueued: setJobs, rejected: rejected, created: created, changed: changed, unchanged: unchanged,
            stockDifferences: stockDifferences)
    }
}

/// Creates items with their opening stock, and changes the attributes of those that exist.
///
/// Only results change the stock of an item that exists; a stock count is therefore a `set` job, enqueued on request.
public struct ItemImport {
    private let connection: Connection
    private let schema: QueueSchema
    private let rules: ItemRules
    private let countedAt: Timestamp?
    private let onReject: (ValidationError, _ raw: ArraySlice<UInt8>) throws -> Void
    private let onProgress: (ItemImportReport) -> Void
    private var reader: FieldReader<ItemField>
    private let parser: RecordParser
    private var repeatedItems = RepeatedItems()
    private var items: [ItemRequest] = []
    private var lines: [Int] = []
    /// Receives what each line would do; nil for an import that does it.
    private let onPreview: ((ItemPreview) -> Void)?
    private var keys: Set<ItemKey> = []
    private var report = ItemImportReport()
    /// The import's row, if it keeps one.
    private var record: ImportRecord?
    /// The last line before the record that is read.
    private var lastLine = 0

    private static let rowsPerCommit = 5_000

    /// - Parameters:
    ///   - form: how the records are written.
    ///   - setsStock: enqueue a stock count for each item whose stock differs or that has queued jobs.
    ///   - countedAt: when the stock was counted, in microseconds since 2000; nil for now.
    ///   - allowsNegativeStock: an opening stock may be below 0.
    ///   - onReject: is called with each record that is not imported, and with the reason and the line; may throw to
    ///     end the import.
    ///   - onPreview: makes it a dry run, which writes nothing: is called with what each line would do.
    /// - Throws: what is wrong with the input as a whole.
    public init(
        connection: Connection, schema: QueueSchema, source: ByteSource, form: InputForm, setsStock: Bool,
        countedAt: Int64? = nil, allowsNegativeStock: Bool = false,
        onProgress: @escaping (ItemImportReport) -> Void = { _ in },
        onReject: @escaping (ValidationError, _ raw: ArraySlice<UInt8>) throws -> Void,
        onPreview: ((ItemPreview) -> Void)? = nil
    ) throws {
        self.connection = connection
        self.schema = schema
        rules = ItemRules(setsStock: setsStock, allowsNegativeStock: allowsNegativeStock)
        self.countedAt = countedAt.map { Timestamp(microsecondsSince2000: $0) }
        self.onReject = onReject
        self.onProgress = onProgress
        self.onPreview = onPreview
        if let countedAt {
            var count = JobRequest(store: "", item: "", quantity: 0)
            count.countedAtMicroseconds = countedAt
            try count.validateTimes(
                latest: LatestTimesStatement.read(try connection.execute(LatestTimesStatement(schema).statement)))
        }
        let start = source.position
        reader = try FieldReader(source, form: form, required: ItemField.required)
        parser = RecordParser(reader.columns.map(\.definition), timeZone: form.timeZone)
        if let start {
            repeatedItems = try RepeatedItems(&reader, parser, rules)
            try source.goBack(to: start)
            reader = try FieldReader(source, form: form, required: ItemField.required)
        }
    }

    /// Keeps a row of the import.
    package mutating func keep(_ record: ImportRecord) { self.record = record }

    /// Asks the server for the privileges that the import needs, by writing nothing.
    ///
    /// - Throws: the error that the first commit would throw.
    package func checkPrivileges() throws(PostgresError) {
        _ = try connection.execute(
            UpsertItemsStatement(schema).statement, UpsertItemsStatement.parameters([], columns: reader.columns))
        if !rules.setsStock { return }
        var counted = EnqueueStockCountsStatement.parameters([])
        counted.add(countedAt)
        _ = try connection.execute(EnqueueStockCountsStatement(schema).statement, counted)
    }

    /// How the input's rejected records are kept.
    public var rejectsForm: RejectsForm { RejectsForm(reader) }

    /// How many records the preset of the form left out, by the reason.
    public var leftOut: [String: Int] { reader.leftOut }

    /// Runs the import to its end. Bad records are reported and skipped.
    public mutating func run() throws -> ItemImportReport {
        let columns = reader.columns
        while let record = try reader.next() {
            defer { lastLine = record.line }
            report.read += 1
            report.endedInMidLine = record.isUnterminated
            var item = ItemRequest(store: "", item: "", onHand: 0)
            do throws(ValidationError) {
                try parser.parse(record) { item.set(columns[$0], $1) }
                try rules.validate(item)
                if let other = repeatedItems.add(item, line: record.line) {
                    throw RepeatedItems.error(otherLine: other)
                }
            } catch {
                report.rejected += 1
                try onReject(error.at(line: record.line), record.raw)
                continue
            }
            try add(item, line: record.line)
        }
        try commitItems()
        try self.record?.finish(report.counts, throughLine: lastLine, over: connection)
        return report
    }

    private mutating func add(_ item: ItemRequest, line: Int) throws(PostgresError) {
        // One statement cannot write a row twice; an item that comes again, with the same values, goes into the next.
        if keys.contains(item.key) { try commitItems() }
        keys.insert(item.key)
        items.append(item)
        lines.append(line)
        if items.count >= Self.rowsPerCommit { try commitItems() }
    }

    private mutating func commitItems() throws(PostgresError) {
        if items.isEmpty { return }
        if let onPreview { return try preview(onPreview) }
        let upsert = UpsertItemsStatement(schema).statement
        let upsertParameters = UpsertItemsStatement.parameters(items, columns: reader.columns)
        let enqueue = EnqueueStockCountsStatement(schema).statement
        let countDifferences = CountStockDifferencesStatement(schema).statement
        let stock = EnqueueStockCountsStatement.parameters(items)
        let begin = TransactionIDStatement(schema).statement
        var counted = stock
        counted.add(countedAt)
        let (connection, setsStock, record, lastLine) = (connection, rules.setsStock, record, lastLine)
        let (before, count) = (report, items.count)
        report = try connection.transaction { () throws(PostgresError) in
            var report = before
            let begun = try connection.execute(begin)
            let firstJobID = begun.int64(0, begun.column("first_job_id"))
            let written = UpsertItemsStatement.counts(in: try connection.execute(upsert, upsertParameters))
            let jobs = setsStock ? try connection.execute(enqueue, counted).affectedRows : 0
            let differences = setsStock ? 0 : try connection.execute(countDifferences, stock).int64(0, 0)
            report.created += written.created
            report.changed += written.changed
            report.unchanged += count - written.created - written.changed
            report.setJobs += jobs
            report.stockDifferences += Int(differences)
            let part = ImportRecord.Part(firstJobID: firstJobID, hasJobs: jobs > 0)
            try record?.save(report.counts, throughLine: lastLine, part: part, over: connection)
            return report
        }
        forgetItems()
    }

    private mutating func forgetItems() {
        items.removeAll(keepingCapacity: true)
        lines.removeAll(keepingCapacity: true)
        keys.removeAll(keepingCapacity: true)
        onProgress(report)
    }

    /// Counts what the items would become, and writes nothing.
    private mutating func preview(_ onPreview: (ItemPreview) -> Void) throws(PostgresError) {
        let parameters = PreviewItemsStatement.parameters(items, columns: reader.columns, countedAt: countedAt)
        let rows = try connection.execute(PreviewItemsStatement(schema).statement, parameters)
        for found in PreviewItemsStatement.found(in: rows) {
            let preview = ItemPreview(
                line: lines[found.position], items[found.position], found, countsStock: rules.setsStock,
                countedAt: countedAt?.microsecondsSince2000)
            switch preview.change {
            case .created: report.created += 1
            case .changed: report.changed += 1
            case .unchanged: report.unchanged += 1
            }
            if preview.outcome == .applied { report.setJobs += 1 }
            if preview.outcome == .rejected { report.rejectedCounts += 1 }
            if preview.differsInStock { report.stockDifferences += 1 }
            onPreview(preview)
        }
        forgetItems()
    }
}

/// The rules for an item of an input, besides those of every item.
struct ItemRules {
    /// The input's stock is that of a count.
    let setsStock: Bool
    let allowsNegativeStock: Bool

    func validate(_ item: ItemRequest) throws(ValidationError) {
        try item.validate()
        if setsStock && !StockAction.set.accepts(item.onHand) {
            throw Self.error("on_hand must not be below 0 for a stock count, not \(item.onHand)")
        }
        if !allowsNegativeStock && item.onHand < 0 {
            throw Self.error("on_hand is \(item.onHand): below 0 it can only open a new item, with --allow-negative")
        }
    }

    private static func error(_ message: String) -> ValidationError {
        ValidationError(message, code: .outOfRange, field: ItemField.onHand.rawValue)
    }
}
