import StockModel
import StockQueuePostgres

/// Enqueues single jobs and waits for their results.
public struct Producer {
    private let connection: Connection
    private let schema: QueueSchema

    public init(connection: Connection, schema: QueueSchema) {
        self.connection = connection
        self.schema = schema
    }

    /// Enqueues one job. With an idempotency key that was used before nothing is enqueued, and the receipt tells of the first job.
    ///
    /// - Parameters:
    ///   - fields: the job's columns as texts; what is left out has the table's default.
    ///   - delaySeconds: run the job this long after now by the database's clock, instead of a `run_at`.
    /// - Throws: `ValidationError` for a field that breaks a rule, `PostgresError` when the database fails: SQLSTATE 23505 for a key
    ///   that stands for another request, 42501 for a store that this user has no grant for, 53400 for a store that is full.
    public func enqueue(_ fields: [JobField: String], delaySeconds: Int64? = nil) throws -> Receipt {
        if let problem = Self.problem(with: fields) { throw problem }
        let columns = JobField.allCases.filter { fields[$0] != nil }
        var arguments = columns.enumerated().map {
            "\($0.element.rawValue) => $\($0.offset + 1)::\($0.element.argumentType)"
        }
        var parameters = Parameters()
        for column in columns { parameters.add(fields[column]) }
        var types = [TypeOID](repeating: .text, count: columns.count)
        if let delaySeconds {
            arguments.append("run_at => now() + $\(types.count + 1) * interval '1 second'")
            types.append(.int8)
            parameters.add(delaySeconds)
        }
        let statement = Statement(
            "enqueue_\(UInt(bitPattern: arguments.hashValue))", types,
            "SELECT \(Receipt.columns) FROM \(schema.quoted).enqueue(\(arguments.joined(separator: ", ")))")
        return Receipt(try connection.execute(statement, parameters), 0)
    }

    /// Enqueues one job.
    public func enqueue(_ job: JobRequest) throws -> Receipt { try enqueue(job.fields) }

    /// Enqueues the lines of a list, all of one store, at most 10,000: as a group where they have a group's name.
    ///
    /// What concerns the list as a whole (group, priority, times, ordering key, attempts) is taken from the first line.
    ///
    /// - Parameter idempotencyKey: gives each line this key and its number.
    public func enqueue(_ lines: [JobRequest], idempotencyKey: String? = nil) throws -> [Receipt] {
        guard let first = lines.first else { return [] }
        for line in lines {
            if let problem = Self.problem(with: line.fields) { throw problem }
            if line.storeID != first.storeID || line.groupID != first.groupID {
                throw ValidationError("the lines of a list are of one store and one group, or of none")
            }
        }
        var parameters = Parameters()
        parameters.add(first.storeID)
        parameters.addArray(lines.map(\.itemID))
        parameters.addArray(of: lines.count, int64: { lines[$0].quantity })
        parameters.addArray(lines.map(\.action.rawValue))
        parameters.addArray(lines.map(\.locationID))
        parameters.addArray(lines.map(\.onInsufficient.rawValue))
        parameters.addArray(of: lines.count, int64: { lines[$0].expectedAvailable })
        let keys = lines.map(\.idempotencyKey)
        if keys.allSatisfy({ $0 == nil }) { parameters.add(nil as String?) } else { parameters.addArray(keys) }
        parameters.addArray(lines.map(\.reference))
        parameters.addArray(lines.map(\.reason))
        parameters.addArray(of: lines.count, bool: { lines[$0].notify })
        parameters.add(first.groupID)
        parameters.add(idempotencyKey)
        parameters.add(Int32(first.priority))
        parameters.add(first.runAt.map { Timestamp($0) })
        parameters.add(first.expiresAt.map { Timestamp($0) })
        parameters.add(first.orderingKey)
        parameters.add(Int32(first.maxAttempts))
        let rows = try connection.execute(
            Statement(
                "enqueue_arrays",
                [
                    .text, .textArray, .int8Array, .textArray, .textArray, .textArray, .int8Array, .textArray,
                    .textArray,
                    .textArray, .boolArray, .text, .text, .int4, .timestamptz, .timestamptz, .text, .int4,
                ],
                "SELECT \(Receipt.columns) FROM \(schema.quoted).enqueue_arrays(\((1...18).map { "$\($0)" }.joined(separator: ", ")))"
            ), parameters)
        return (0..<rows.rowCount).map { Receipt(rows, $0) }
    }

    /// Moves stock from one location to another: a group of two lines.
    ///
    /// - Parameter quantity: above 0.
    public func transfer(
        _ quantity: Int64, of key: ItemKey, to location: String, idempotencyKey: String? = nil,
        onInsufficient: InsufficientStockPolicy = .reject, reason: String? = nil, reference: String? = nil
    ) throws(PostgresError) -> [Receipt] {
        var parameters = Parameters()
        for text in [key.storeID, key.itemID] { parameters.add(text) }
        parameters.add(quantity)
        for text in [key.locationID, location, idempotencyKey, onInsufficient.rawValue, reason, reference] {
            parameters.add(text)
        }
        let rows = try connection.execute(
            Statement(
                "transfer", [.text, .text, .int8] + [TypeOID](repeating: .text, count: 6),
                """
                SELECT \(Receipt.columns)
                FROM \(schema.quoted).transfer($1, $2, $3, $4, $5, $6, $7, reason => $8, reference => $9)
                """), parameters)
        return (0..<rows.rowCount).map { Receipt(rows, $0) }
    }

    /// Enqueues many jobs by COPY, in one transaction and in their order; through a temporary table where row security or a
    /// ceiling asks for it.
    ///
    /// - Parameter skipsDuplicates: leave out jobs whose idempotency key stands for the same request already, a group only as a whole.
    ///   Otherwise they are enqueued and end as duplicates.
    /// - Returns: how many were enqueued.
    /// - Throws: `ValidationError` that names the first bad job by its place from 1; nothing is enqueued then.
    public func enqueueBulk(_ jobs: some Sequence<JobRequest>, skipsDuplicates: Bool = false) throws -> Int {
        let columns = JobField.allCases
        let rules = JobRules(columns: columns)
        let copy = try JobCopy(
            connection: connection, schema: schema, columns: rules.copyColumns, skipsDuplicates: skipsDuplicates)
        _ = try copy.begin()
        do {
            var lines: [UInt8] = []
            var count = 0
            for job in jobs {
                count += 1
                let fields = job.fields
                do throws(ValidationError) {
                    try rules.encode({ ArraySlice((fields[columns[$0]] ?? "").utf8) }, into: &lines)
                } catch {
                    throw ValidationError("job \(count): \(error)")
                }
                if lines.count >= Self.sendBytes {
                    try copy.send(lines)
                    lines.removeAll(keepingCapacity: true)
                }
            }
            try copy.send(lines)
            let enqueued = try copy.end(rows: count)
            try copy.commit()
            return enqueued
        } catch {
            copy.abandon()
            throw error
        }
    }

    /// Bytes gathered before they are sent.
    private static let sendBytes = 1 << 17

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
    public static func problem(with fields: [JobField: String]) -> ValidationError? {
        let columns = JobField.allCases.filter { fields[$0] != nil || $0.isRequired }
        for column in columns where fields[column]?.isEmpty != false {
            return ValidationError("\(column.rawValue) is empty")
        }
        var line: [UInt8] = []
        do throws(ValidationError) {
            try JobRules(columns: columns).encode({ ArraySlice((fields[columns[$0]] ?? "").utf8) }, into: &line)
            return nil
        } catch {
            return error
        }
    }
}
