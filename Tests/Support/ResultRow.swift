import StockModel
import StockQueuePostgres

/// What a result says about its job: a row to compare, so that a failure names the field that differs.
///
///     #expect(try database.results() == [.applied(1, -4), .rejected(2, .groupRejected)])
public struct ResultRow: Sendable, Hashable {
    public var job: Int64
    public var outcome: Outcome
    public var code: ResultCode?
    public var appliedQuantity: Int64

    public static func applied(_ job: Int64, _ quantity: Int64) -> ResultRow {
        ResultRow(job: job, outcome: .applied, appliedQuantity: quantity)
    }

    public static func rejected(_ job: Int64, _ code: ResultCode) -> ResultRow {
        ResultRow(job: job, outcome: .rejected, code: code, appliedQuantity: 0)
    }

    public static func duplicate(_ job: Int64) -> ResultRow {
        ResultRow(job: job, outcome: .duplicate, appliedQuantity: 0)
    }

    public static func failed(_ job: Int64) -> ResultRow {
        ResultRow(job: job, outcome: .failed, appliedQuantity: 0)
    }
}

extension TestDatabase {
    private static let resultsStatement = Statement(
        "test_results", [],
        """
        SELECT job_id, outcome::text, code::text, applied_quantity, version, attempts::int4, first_job_id
        FROM stockq.results ORDER BY job_id
        """)

    private func readResults<Value>(_ row: (ResultSet, Int) -> Value) throws -> [Value] {
        let rows = try connect().execute(Self.resultsStatement)
        return (0..<rows.rowCount).map { row(rows, $0) }
    }

    /// The results, in order of the jobs.
    public func results() throws -> [ResultRow] {
        try readResults { rows, row in
            guard let outcome = Outcome(rawValue: rows.string(row, 1)) else {
                fatalError("an outcome of the schema that StockModel lacks: \(rows.string(row, 1))")
            }
            return ResultRow(
                job: rows.int64(row, 0), outcome: outcome,
                code: rows.optionalString(row, 2).flatMap { ResultCode(rawValue: $0) },
                appliedQuantity: rows.int64(row, 3))
        }
    }

    /// The version of its item after each job, by job id. Versions of one item show the order of its jobs.
    public func versionsByJob() throws -> [Int64: Int64?] {
        try Dictionary(uniqueKeysWithValues: readResults { ($0.int64($1, 0), $0.optionalInt64($1, 4)) })
    }

    /// The attempts of each job, by job id.
    public func attemptsByJob() throws -> [Int64: Int32] {
        try Dictionary(uniqueKeysWithValues: readResults { ($0.int64($1, 0), $0.int32($1, 5)) })
    }

    /// The job that used the key of each job before, by job id.
    public func firstJobIDs() throws -> [Int64: Int64?] {
        try Dictionary(uniqueKeysWithValues: readResults { ($0.int64($1, 0), $0.optionalInt64($1, 6)) })
    }

    /// How many jobs are queued.
    public func queuedJobs() throws -> Int { Int(try value("SELECT count(*) FROM stockq.jobs")) ?? -1 }

    /// How many results there are.
    public func resultCount() throws -> Int { Int(try value("SELECT count(*) FROM stockq.results")) ?? -1 }

    /// Whether a job has a result.
    public func hasResult(_ job: Int64) throws -> Bool {
        try value("SELECT count(*) FROM stockq.results WHERE job_id = \(job)") == "1"
    }

    /// How often another worker finished the next job, in the order of the jobs' ids.
    public func changesOfWorker() throws -> Int {
        let changes = try value(
            """
            SELECT count(*) FROM (
                SELECT worker <> lag(worker) OVER (ORDER BY job_id) AS is_other FROM stockq.results
            ) AS result
            WHERE is_other
            """)
        return Int(changes) ?? -1
    }
}
