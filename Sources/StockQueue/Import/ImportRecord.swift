import StockQueuePostgres

/// The row that an import keeps in `imports`: its name, what it read, and how far it has come.
///
/// Progress is saved in the transactions that enqueue the jobs, so what the row says is what is in the queue. Every
/// method throws `PostgresError`, also where another process has resumed the import.
package final class ImportRecord {
    package enum Kind: String, Sendable, CaseIterable {
        case jobs, items
    }

    /// What is read.
    package struct Input: Sendable {
        /// Nil for standard input.
        package var fileName: String?
        /// In hexadecimal digits; nil for an input that can be read only once.
        package var sha256: String?

        package init(fileName: String?, sha256: String?) {
            self.fileName = fileName
            self.sha256 = sha256
        }

        /// The beginning of a name that is not given.
        var label: String {
            fileName?.split(separator: "/").last.map { String($0.prefix(Self.labelLettersMax)) } ?? "stdin"
        }

        private static let labelLettersMax = 250
    }

    /// The last import of the same input.
    package struct Earlier: Sendable {
        package let name: String
        package let state: String
        package let importedBy: String
        package let startedAt: Timestamp

        package var isFinished: Bool { state == ImportList.State.finished.rawValue }

        package var isRunning: Bool { state == ImportList.State.running.rawValue }

        package var isInterrupted: Bool { state == ImportList.State.interrupted.rawValue }
    }

    package let name: String
    /// An import that was resumed goes on behind this line; 0 for a new one.
    package let throughLine: Int
    /// The hash of an input that can be read only once, at its end.
    package var hashAtEnd: () -> String? = { nil }
    private let id: Int64
    private let run: Int32
    /// Of the runs before.
    private let counts: ImportCounts
    private let schema: QueueSchema

    private init(
        _ schema: QueueSchema, id: Int64, name: String, run: Int32 = 1, throughLine: Int = 0,
        counts: ImportCounts = ImportCounts()
    ) {
        (self.schema, self.id, self.name, self.run) = (schema, id, name, run)
        (self.throughLine, self.counts) = (throughLine, counts)
    }

    /// Begins an import.
    ///
    /// - Parameters:
    ///   - name: nil for the label of the input and a number.
    ///   - once: begin nothing if there is an earlier import of the same input; one of items that has not come to its
    ///     end does not count.
    package static func begin(
        _ kind: Kind, _ input: Input, name: String?, once: Bool, connection: Connection, schema: QueueSchema
    ) throws(PostgresError) -> (record: ImportRecord?, earlier: Earlier?) {
        let rows = try connection.execute(
            BeginImportStatement(schema).statement,
            BeginImportStatement.parameters(
                kind, input, name: name, once: once, keepsSession: !connection.settings.pooled))
        let earlier = BeginImportStatement.earlier(in: rows)
        guard let id = rows.optionalInt64(0, rows.column("import_id")) else { return (nil, earlier) }
        return (ImportRecord(schema, id: id, name: rows.string(0, rows.column("name"))), earlier)
    }

    /// Lets an import of jobs go on that stopped.
    ///
    /// - Parameter sha256: of the input, where it is known; that of the import must be the same.
    package static func resume(
        _ name: String, sha256: String?, connection: Connection, schema: QueueSchema
    ) throws(PostgresError) -> ImportRecord {
        let rows = try connection.execute(
            ResumeImportStatement(schema).statement,
            ResumeImportStatement.parameters(
                name: name, sha256: sha256, keepsSession: !connection.settings.pooled))
        func count(_ column: String) -> Int { Int(rows.int64(0, rows.column(column))) }
        return ImportRecord(
            schema, id: rows.int64(0, rows.column("import_id")), name: name, run: rows.int32(0, rows.column("run")),
            throughLine: count("through_line"),
            counts: ImportCounts(
                enqueued: count("enqueued"), duplicates: count("duplicates"), rejected: count("rejected")))
    }

    // MARK: progress

    /// A transaction of the import, before its commit.
    struct Part {
        /// No job that was enqueued before the transaction has this id or a higher one.
        let firstJobID: Int64
        let hasJobs: Bool
    }

    /// Saves what the transaction that is about to be committed brings.
    ///
    /// - Parameter counts: of this run, with the transaction.
    func save(
        _ counts: ImportCounts, throughLine: Int, part: Part, over connection: Connection
    ) throws(PostgresError) {
        try save(.running, counts, throughLine: throughLine, part: part, over: connection)
    }

    /// Notes that the input was read to its end.
    func finish(_ counts: ImportCounts, throughLine: Int, over connection: Connection) throws(PostgresError) {
        try save(.finished, counts, throughLine: throughLine, sha256: hashAtEnd(), over: connection)
    }

    /// Notes that the import stopped. The counts stay those of the last commit.
    package func stop(because problem: String, over connection: Connection) throws(PostgresError) {
        try save(.stopped, problem: problem, over: connection)
    }

    private func save(
        _ state: ImportList.State, problem: String? = nil, _ counts: ImportCounts? = nil, throughLine: Int? = nil,
        sha256: String? = nil, part: Part? = nil, over connection: Connection
    ) throws(PostgresError) {
        var parameters = Parameters()
        parameters.add(id)
        parameters.add(run)
        parameters.add(state.rawValue)
        parameters.add(problem)
        parameters.add(sha256)
        parameters.add(part?.firstJobID)
        parameters.add(part?.hasJobs ?? false)
        parameters.add(throughLine.map { Int64(max($0, self.throughLine)) })
        for column in ImportCounts.columns {
            parameters.add(counts.map { Int64($0[keyPath: column] + self.counts[keyPath: column]) })
        }
        try connection.execute(SaveImportStatement(schema).statement, parameters)
    }
}

/// What became of the lines of an import.
struct ImportCounts {
    /// Jobs; of an import of items the stock counts.
    var enqueued = 0
    var duplicates = 0
    /// Bad lines.
    var rejected = 0
    var created = 0
    var changed = 0
    var unchanged = 0
    var stockDifferences = 0

    /// In the order of the arguments of `save_import_for`.
    static var columns: [KeyPath<ImportCounts, Int>] {
        [\.enqueued, \.duplicates, \.rejected, \.created, \.changed, \.unchanged, \.stockDifferences]
    }
}
