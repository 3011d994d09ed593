import StockModel
import StockQueuePostgres

/// Enqueues jobs and waits for their results.
public struct Producer {
    private let connection: Connection
    private let schema: QueueSchema

    public init(connection: Connection, schema: QueueSchema) {
        self.connection = connection
        self.schema = schema
    }

    /// Enqueues one job. If its idempotency key was used before, nothing is enqueued, and the receipt is the first
    /// job's.
    ///
    /// - Parameter delays: times of the job that count from now; those that the job has itself come first.
    /// - Throws: `ValidationError` for a field that breaks a rule, `PostgresError` when the database fails: SQLSTATE
    ///   23505 for a key of another request, 42501 for a store that this user has no grant for, 53400 for a store at
    ///   its limit.
    public func enqueue(_ job: JobRequest, delays: JobDelays = JobDelays()) throws -> Receipt {
        try job.validate()
        let parameters = EnqueueStatement.parameters(job, delays)
        return try Receipt(try connection.execute(EnqueueStatement(schema).statement, parameters), 0)
    }

    /// Enqueues a list of jobs of one store, at most 10,000: as a group where they have a group id.
    ///
    /// The fields of the list as a whole (group, priority, times, ordering key, attempts) are taken from the first
    /// line.
    ///
    /// - Parameters:
    ///   - idempotencyKey: gives each line this key and its number.
    ///   - delays: times of the lines that count from now; those that the first line has itself come first.
    /// - Throws: `ValidationError` with the number of the first invalid line; nothing is enqueued then.
    public func enqueue(
        _ lines: [JobRequest], idempotencyKey: String? = nil, delays: JobDelays = JobDelays()
    ) throws -> [Receipt] {
        guard let first = lines.first else { return [] }
        for (index, line) in lines.enumerated() {
            try line.validate(asLine: index + 1)
            if line.storeID != first.storeID || line.groupID != first.groupID {
                throw ValidationError(
                    "all lines must have the same store and the same group (or no group)", code: .conflict,
                    line: index + 1)
            }
        }
        let parameters = EnqueueListStatement.parameters(
            first, lines, idempotencyKey: idempotencyKey, delays)
        return try Receipt.all(in: try connection.execute(EnqueueListStatement(schema).statement, parameters))
    }

    /// Moves stock from one location to another: a group of two lines.
    ///
    /// - Parameter request: the job of the location that gives, with a quantity above 0. Both lines have its reason,
    ///   reference, actor, time and metadata.
    /// - Throws: `ValidationError` for a field that breaks a rule, or that a transfer has no use for.
    public func transfer(_ request: JobRequest, to location: String) throws -> [Receipt] {
        var other = request
        other.locationID = location
        for line in [request, other] { try line.validate() }
        let unused: [JobField] = [
            .action, .groupID, .priority, .runAt, .expiresAt, .expectedAvailable, .orderingKey, .notify, .maxAttempts,
            .countedAt,
        ]
        let plain = JobRequest(store: "", item: "", quantity: 0)
        if let field = unused.first(where: { request.value(of: $0) != plain.value(of: $0) }) {
            throw ValidationError("a transfer has no \(field.rawValue)", code: .conflict, field: field.rawValue)
        }
        var parameters = Parameters()
        for text in [request.storeID, request.itemID] { parameters.add(text) }
        parameters.add(request.quantity)
        for text in [
            request.locationID, location, request.idempotencyKey, request.onInsufficient.rawValue, request.reason,
            request.reference, request.actor,
        ] {
            parameters.add(text)
        }
        parameters.add(request.value(of: .occurredAt), as: .timestamptz)
        parameters.add(request.value(of: .metadata), as: .jsonb)
        return try Receipt.all(in: try connection.execute(TransferStatement(schema).statement, parameters))
    }

    /// Enqueues many jobs by COPY, in one transaction and in their order; through a temporary table where row security
    /// or a store limit requires it.
    ///
    /// - Parameter skipsDuplicates: skip jobs whose idempotency key was used before for the same request, a group only
    ///   as a whole. Otherwise they are enqueued and end as duplicates.
    /// - Returns: how many were enqueued.
    /// - Throws: `ValidationError` with the number, from 1, of the first invalid job; nothing is enqueued then.
    public func enqueueBulk(_ jobs: some Sequence<JobRequest>, skipsDuplicates: Bool = false) throws -> Int {
        let copy = try JobCopy(
            connection: connection, schema: schema, fields: JobField.allCases, skipsDuplicates: skipsDuplicates)
        let reasons = try AllowedReasonsStatement.read(connection, schema)
        do {
            var count = 0
            var linesOfGroups: [GroupName: Int] = [:]
            for job in jobs {
                count += 1
                try job.validate(asLine: count, reasons)
                if let group = job.groupID {
                    try GroupName(store: job.storeID, group: group).countLine(count, in: &linesOfGroups)
                }
                try copy.write(job)
            }
            let enqueued = try copy.end(rows: count).enqueued
            try copy.commit()
            return enqueued
        } catch {
            copy.abandon()
            throw error
        }
    }

    /// Returns what would become of jobs now, one after another; enqueues nothing. See `DryRun`.
    public func dryRun(_ jobs: [JobRequest]) throws -> [DryRun.Answer] {
        try DryRun.answers(to: jobs, connection: connection, schema: schema)
    }

    /// Waits until a job has its result.
    ///
    /// The result is polled for after pauses that grow to 50 ms.
    ///
    /// - Parameter stop: ends the wait when it says to finish.
    /// - Returns: false when the timeout expired before.
    public func awaitResult(of job: Int64, timeoutMs: Int, stop: StopSignal) throws(PostgresError) -> Bool {
        let deadline = Deadline.after(milliseconds: timeoutMs)
        let statement = HasResultStatement(schema).statement
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
}

/// A group of the jobs that are enqueued in one transaction.
private struct GroupName: Hashable {
    let store: String
    let group: String

    /// Counts a line of the group.
    ///
    /// - Throws: `ValidationError` for a line more than a group may have.
    func countLine(_ line: Int, in lines: inout [GroupName: Int]) throws(ValidationError) {
        lines[self, default: 0] += 1
        if lines[self]! <= GroupLimit.linesMax { return }
        throw ValidationError(
            "the group '\(group)' of store '\(store)' has more than \(GroupLimit.linesMax) lines; split it",
            code: .tooLong, field: JobField.groupID.rawValue, line: line)
    }
}

extension JobRequest {
    fileprivate func validate(asLine line: Int, _ reasons: AllowedReasons? = nil) throws(ValidationError) {
        do throws(ValidationError) {
            try validate()
            try reasons?.check(reason)
        } catch {
            throw error.at(line: line)
        }
    }
}
