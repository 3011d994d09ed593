import StockGateway
import StockModel
import StockQueue
import StockQueuePostgres

// The functions of `migrations/functions/native.sql`. The parameters have the hashes of tokens only.

/// Enqueues the jobs of many calls of the native API.
enum SubmitCalls {
    /// Milliseconds behind the deadline of a call after which its jobs expire, should the gateway die before its answer.
    private static let expiryMs = 5_000

    static func statement(_ schema: QueueSchema) -> Statement {
        let types: [TypeOID] = [
            .textArray, .textArray, .textArray, .boolArray, .int4Array, .int4Array, .textArray, .int4Array, .textArray,
            .textArray, .textArray, .int8Array, .textArray, .int8Array, .textArray, .textArray, .textArray, .int4Array,
            .timestamptzArray, .timestamptzArray, .boolArray, .int4Array, .textArray, .textArray, .timestamptzArray,
            .textArray, .timestamptzArray, .jsonbArray,
        ]
        let list = types.indices.map { "$\($0 + 1)" }.joined(separator: ", ")
        return Statement(
            "gateway_submit", types,
            """
            SELECT line, job_id, enqueued_at, is_duplicate, failure, strand
            FROM \(schema.quoted).gateway_submit(\(list))
            ORDER BY line
            """)
    }

    static func parameters(_ calls: [PendingCall]) -> Parameters {
        let submissions = calls.map { pending -> JobSubmission in
            guard let submission = pending.call.submission else { preconditionFailure("a call of a vendor") }
            return submission
        }
        var parameters = Parameters()
        parameters.addArray(calls.map(\.tokenHash))
        parameters.addArray(calls.map { $0.call.access.storeID })
        parameters.addArray(calls.map { $0.call.access.scopeList })
        parameters.addArray(of: calls.count, bool: { submissions[$0].isKeyed })
        parameters.addArray(
            of: calls.count,
            optionalInt32: { index in
                let isWaitedFor = submissions[index].acceptedAfterMs == nil && !submissions[index].isKeyed
                return isWaitedFor ? Int32(clamping: calls[index].remainingMs + expiryMs) : nil
            })
        let unused = submissions.enumerated().flatMap { index, submission in
            submission.unusedKeys.map { (call: Int32(index + 1), key: $0) }
        }
        parameters.addArray(of: unused.count, int32: { unused[$0].call })
        parameters.addArray(unused.map(\.key))
        addLines(
            submissions.enumerated().flatMap { index, submission in
                submission.jobs.map { (call: Int32(index + 1), job: $0) }
            }, to: &parameters)
        return parameters
    }

    private static func addLines(_ lines: [(call: Int32, job: JobRequest)], to parameters: inout Parameters) {
        func time(_ microseconds: Int64?) -> Timestamp? { microseconds.map { Timestamp(microsecondsSince2000: $0) } }
        parameters.addArray(of: lines.count, int32: { lines[$0].call })
        parameters.addArray(lines.map(\.job.itemID))
        parameters.addArray(lines.map(\.job.locationID))
        parameters.addArray(lines.map(\.job.action.rawValue))
        parameters.addArray(of: lines.count, int64: { lines[$0].job.quantity })
        parameters.addArray(lines.map(\.job.onInsufficient.rawValue))
        parameters.addArray(of: lines.count, int64: { lines[$0].job.expectedAvailable })
        parameters.addArray(lines.map(\.job.idempotencyKey))
        parameters.addArray(lines.map(\.job.groupID))
        parameters.addArray(lines.map(\.job.orderingKey))
        parameters.addArray(of: lines.count, int32: { Int32(lines[$0].job.priority) })
        parameters.addArray(of: lines.count, optionalTimestamp: { time(lines[$0].job.runAtMicroseconds) })
        parameters.addArray(of: lines.count, optionalTimestamp: { time(lines[$0].job.expiresAtMicroseconds) })
        parameters.addArray(of: lines.count, bool: { lines[$0].job.notify })
        parameters.addArray(of: lines.count, int32: { Int32(lines[$0].job.maxAttempts) })
        parameters.addArray(lines.map(\.job.reason))
        parameters.addArray(lines.map(\.job.reference))
        parameters.addArray(of: lines.count, optionalTimestamp: { time(lines[$0].job.countedAtMicroseconds) })
        parameters.addArray(lines.map(\.job.actor))
        parameters.addArray(of: lines.count, optionalTimestamp: { time(lines[$0].job.occurredAtMicroseconds) })
        parameters.addArray(of: lines.count, jsonb: { lines[$0].job.metadata })
    }
}

/// Runs a query of the native API.
enum RunQuery {
    static func run(
        _ query: NativeQuery, _ secrets: SubscriptionCalls.Secrets?, _ schema: QueueSchema,
        _ connection: Connection
    ) throws(PostgresError) -> NativeAnswer {
        var parameters = Parameters()
        if case .notifications(let cursor, let limit) = query.subject {
            let read = try ReadNotifications.run(
                [(query.access, cursor ?? "0")], limit: limit, schema, connection)
            return read[0].map { NativeRows($0.events.map { NativeRows.Row($0.json) }, cursor: $0.cursor) }
        }
        parameters.add(query.access.tokenHash)
        parameters.add(query.access.storeID)
        let (name, types) = add(query.subject, secrets, to: &parameters)
        let list = (1...types.count + 2).map { "$\($0)" }.joined(separator: ", ")
        let rows = try connection.execute(
            Statement(name, [.text, .text] + types, "SELECT * FROM \(schema.quoted).\(name)(\(list))"), parameters)
        if let failure = rows.optionalString(0, rows.column("failure")) {
            if let known = NotificationFailure(rawValue: failure) { return .success(NativeRows(known)) }
            return .failure(CallFailure(failure))
        }
        return .success(NativeRows(answers(rows, query.subject)))
    }

    /// The rows behind the first.
    private static func answers(_ rows: ResultSet, _ subject: NativeQuery.Subject) -> [NativeRows.Row] {
        let json = rows.column("json")
        return (1..<max(1, rows.rowCount)).map { row in
            var answer = NativeRows.Row(rows.string(row, json))
            switch subject {
            case .cancelJob, .cancelGroup: answer.isCanceled = rows.bool(row, rows.column("is_canceled"))
            case .items: answer.itemID = rows.string(row, rows.column("item"))
            case .subscriptions(.add), .subscriptions(.deliveries): answer.id = rows.int64(row, rows.column("id"))
            default: break
            }
            return answer
        }
    }

    /// Adds the parameters behind the token's hash and the store.
    ///
    /// - Returns: the function and the types of these parameters.
    private static func add(
        _ subject: NativeQuery.Subject, _ secrets: SubscriptionCalls.Secrets?, to parameters: inout Parameters
    ) -> (name: String, types: [TypeOID]) {
        func addJobs(_ first: Int64?, _ last: Int64?, _ group: String?, _ key: String?) -> (String, [TypeOID]) {
            parameters.add(first)
            parameters.add(last)
            parameters.add(group)
            parameters.add(key)
            return ("gateway_jobs", [.int8, .int8, .text, .text])
        }
        func addCancellation(_ job: Int64?, _ group: String?) -> (String, [TypeOID]) {
            parameters.add(job)
            parameters.add(group)
            return ("gateway_cancel_queued", [.int8, .text])
        }
        switch subject {
        case .job(let id): return addJobs(id, nil, nil, nil)
        case .submission(let first, let last): return addJobs(first, last, nil, nil)
        case .group(let id): return addJobs(nil, nil, id, nil)
        case .key(let key): return addJobs(nil, nil, nil, key)
        case .cancelJob(let id): return addCancellation(id, nil)
        case .cancelGroup(let id): return addCancellation(nil, id)
        case .item, .items, .createItem, .changeItem, .movements, .stock:
            return addItem(subject, to: &parameters)
        case .alerts(let subject): return AlertCalls.add(subject, to: &parameters)
        case .subscriptions(let subject): return SubscriptionCalls.add(subject, secrets, to: &parameters)
        case .notifications: preconditionFailure("read by ReadNotifications")
        }
    }

    private static func addItem(
        _ subject: NativeQuery.Subject, to parameters: inout Parameters
    ) -> (name: String, types: [TypeOID]) {
        switch subject {
        case .item(let item, let location):
            for text in [item, location, nil, nil] { parameters.add(text) }
            parameters.add(nil as Int32?)
            return ("gateway_items", [.text, .text, .text, .text, .int4])
        case .items(let filter):
            for text in [nil, filter.locationID, filter.parentID, filter.after] { parameters.add(text) }
            parameters.add(Int32(filter.limit))
            return ("gateway_items", [.text, .text, .text, .text, .int4])
        case .createItem(let item):
            parameters.add(item.itemID)
            parameters.add(item.locationID)
            parameters.add(item.onHand)
            parameters.add(item.parentID)
            parameters.add(item.isTracked)
            parameters.add(item.lowStockThreshold)
            return ("gateway_create_item", [.text, .text, .int8, .text, .bool, .int8])
        case .changeItem(let change):
            parameters.add(change.itemID)
            parameters.add(change.locationID)
            parameters.add(change.parentID)
            parameters.add(change.isTracked)
            parameters.add(change.lowStockThreshold)
            parameters.addArray(change.cleared)
            return ("gateway_set_item", [.text, .text, .text, .bool, .int8, .textArray])
        case .movements(let item, let location, let limit):
            parameters.add(item)
            parameters.add(location)
            parameters.add(Int32(limit))
            return ("gateway_movements", [.text, .text, .int4])
        case .stock(let item, let location, let at):
            parameters.add(item)
            parameters.add(location)
            parameters.add(at.map { Timestamp(microsecondsSince2000: $0) })
            return ("gateway_stock_at", [.text, .text, .timestamptz])
        default: preconditionFailure("no subject with an item")
        }
    }
}

/// Reads the notifications behind cursors. What a cursor is, only the function of the schema knows.
enum ReadNotifications {
    struct Page: Sendable {
        var events: [(json: String, cursor: String)]
        /// Behind everything that was read.
        var cursor: String
    }

    /// - Parameter callers: each with its cursor; nil begins behind the newest notification.
    static func run(
        _ callers: [(access: Access, cursor: String?)], limit: Int, _ schema: QueueSchema, _ connection: Connection
    ) throws(PostgresError) -> [Result<Page, CallFailure>] {
        let statement = Statement(
            "gateway_notifications", [.textArray, .textArray, .textArray, .int4],
            """
            SELECT number, failure, next_cursor, json
            FROM \(schema.quoted).gateway_notifications($1, $2, $3, $4)
            """)
        var parameters = Parameters()
        parameters.addArray(callers.map { $0.access.tokenHash })
        parameters.addArray(callers.map { $0.access.storeID })
        parameters.addArray(callers.map(\.cursor))
        parameters.add(Int32(limit))
        let rows = try connection.execute(statement, parameters)
        let (number, failure) = (rows.column("number"), rows.column("failure"))
        let (cursor, json) = (rows.column("next_cursor"), rows.column("json"))
        var pages = callers.map { Result<Page, CallFailure>.success(Page(events: [], cursor: $0.cursor ?? "0")) }
        for row in 0..<rows.rowCount {
            let index = Int(rows.int32(row, number)) - 1
            if let name = rows.optionalString(row, failure) {
                pages[index] = .failure(CallFailure(name))
            } else if case .success(var page) = pages[index] {
                page.cursor = rows.string(row, cursor)
                if let text = rows.optionalString(row, json) { page.events.append((text, page.cursor)) }
                pages[index] = .success(page)
            }
        }
        return pages
    }
}

/// Decides jobs without writing anything.
enum RunDryRun {
    static func run(
        _ call: DryRunCall, _ schema: QueueSchema, _ connection: Connection
    ) throws(PostgresError) -> DryRunAnswer {
        let answers = try DryRun.answers(
            to: call.jobs, tokenHash: call.access.tokenHash, store: call.access.storeID ?? "", connection: connection,
            schema: schema)
        switch answers {
        case .failure(let failure): return .failure(CallFailure(failure.name))
        case .success(let answers):
            return .success(
                answers.map {
                    DryRunLine(
                        $0.outcome, code: $0.code, appliedQuantity: $0.appliedQuantity, before: $0.before,
                        after: $0.after)
                })
        }
    }
}
