import Postgres

/// Enqueues single jobs and waits for their results.
public struct Producer {
    private let connection: Connection
    private let schema: Schema

    public init(connection: Connection, schema: Schema) {
        self.connection = connection
        self.schema = schema
    }

    /// Enqueues one job.
    ///
    /// - Parameters:
    ///   - fields: the job's columns as texts; what is left out has the table's default.
    ///   - delaySeconds: run the job this long after now by the database's clock, instead of a `run_at`.
    /// - Returns: the job's id.
    /// - Throws: `Problem` for a field that breaks a rule, `PostgresError` when the database fails.
    public func enqueue(_ fields: [JobColumn: String], delaySeconds: Int64? = nil) throws -> Int64 {
        let columns = JobColumn.allCases.filter { fields[$0] != nil || $0.isRequired }
        if let problem = Self.problem(with: fields) { throw problem }
        var names = columns.map(\.rawValue)
        var expressions = columns.enumerated().map { "$\($0.offset + 1)::\(Self.type(of: $0.element, schema))" }
        var parameters = Parameters()
        for column in columns { parameters.add(fields[column]) }
        var types = [TypeOID](repeating: .text, count: columns.count)
        if let delaySeconds {
            names.append(JobColumn.runAt.rawValue)
            expressions.append("now() + $\(types.count + 1) * interval '1 second'")
            types.append(.int8)
            parameters.add(delaySeconds)
        }
        let statement = Statement(
            "enqueue_\(names.hashValue)", types,
            """
            INSERT INTO \(schema.quoted).jobs (\(names.joined(separator: ", ")))
            VALUES (\(expressions.joined(separator: ", ")))
            RETURNING job_id
            """)
        return try connection.execute(statement, parameters).int64(0, 0)
    }

    /// Waits until a job has its result.
    ///
    /// The result's row is looked for after pauses that grow to 50 ms.
    ///
    /// - Parameter stop: ends the wait when it says to finish.
    /// - Returns: false when the time was over before.
    public func awaitResult(of job: Int64, timeoutMs: Int, stop: StopSignal) throws(PostgresError) -> Bool {
        let deadline = Deadline.after(milliseconds: timeoutMs)
        let statement = Statement(
            "has_result", [.int8], "SELECT EXISTS (SELECT FROM \(schema.quoted).results WHERE job_id = $1)")
        var parameters = Parameters()
        parameters.add(job)
        var pauseMs = 1
        while true {
            if try connection.execute(statement, parameters).bool(0, 0) { return true }
            if deadline.hasPassed || stop.wait(milliseconds: min(pauseMs, max(1, deadline.remainingMs))) {
                return false
            }
            pauseMs = min(pauseMs * 2, 50)
        }
    }

    /// What is wrong with a job's fields, checked without a connection; nil when nothing is.
    public static func problem(with fields: [JobColumn: String]) -> Problem? {
        let columns = JobColumn.allCases.filter { fields[$0] != nil || $0.isRequired }
        for column in columns where fields[column]?.isEmpty != false { return Problem("\(column.rawValue) is empty") }
        var line: [UInt8] = []
        do throws(Problem) {
            try JobRules(columns: columns).encode({ ArraySlice((fields[columns[$0]] ?? "").utf8) }, into: &line)
            return nil
        } catch {
            return error
        }
    }

    private static func type(of column: JobColumn, _ schema: Schema) -> String {
        switch column {
        case .action: "\(schema.quoted).action"
        case .onInsufficient: "\(schema.quoted).on_insufficient"
        default: column.sqlType
        }
    }
}
