import StockGateway
import StockModel
import StockQueue
import StockQueuePostgres

// The functions of `migrations/functions/gateway.sql` for calls that change stock. The parameters have the hashes of
// tokens only.

/// Enqueues the jobs of many calls.
enum EnqueueCalls {
    static func statement(_ schema: QueueSchema) -> Statement {
        Statement(
            "gateway_enqueue",
            [
                .textArray, .textArray, .textArray, .boolArray, .int4Array, .int4Array, .textArray, .textArray,
                .textArray, .int8Array, .textArray, .boolArray, .textArray, .textArray,
            ],
            """
            SELECT line, job_id, enqueued_at, is_duplicate, failure
            FROM \(schema.quoted).gateway_enqueue($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
            ORDER BY line
            """)
    }

    /// Names the transaction, so that its state can be asked for if COMMIT is not answered.
    static let transaction = Statement(
        "gateway_transaction", [], "SELECT pg_current_xact_id_if_assigned()::text AS transaction")

    static let probe = Statement("gateway_probe", [], "SELECT 1")

    static let transactionStatus = Statement(
        "gateway_transaction_status", [.text], "SELECT pg_xact_status($1::xid8) AS status")

    static func parameters(_ calls: [PendingCall]) -> Parameters {
        var parameters = Parameters()
        parameters.addArray(calls.map(\.tokenHash))
        parameters.addArray(calls.map { $0.call.access.storeID })
        parameters.addArray(calls.map { $0.call.access.scopeList })
        parameters.addArray(of: calls.count, bool: { calls[$0].call.isGroup })
        parameters.addArray(of: calls.count, int32: { Int32(clamping: calls[$0].remainingMs) })
        let lines = calls.enumerated().flatMap { index, pending in
            zip(pending.call.jobs(store: ""), pending.call.lines).map { (call: Int32(index + 1), job: $0, line: $1) }
        }
        parameters.addArray(of: lines.count, int32: { lines[$0].call })
        parameters.addArray(lines.map(\.job.itemID))
        parameters.addArray(lines.map(\.job.locationID))
        parameters.addArray(lines.map(\.job.action.rawValue))
        parameters.addArray(of: lines.count, int64: { lines[$0].job.quantity })
        parameters.addArray(lines.map(\.job.onInsufficient.rawValue))
        parameters.addArray(of: lines.count, bool: { lines[$0].job.notify })
        parameters.addArray(lines.map(\.job.idempotencyKey))
        parameters.addArray(lines.map(\.line.role.parentID))
        return parameters
    }

    /// What became of each call, in their order.
    static func outcomes(_ rows: ResultSet, _ calls: [PendingCall]) -> [Result<Submission, CallFailure>] {
        let (jobID, time) = (rows.column("job_id"), rows.column("enqueued_at"))
        let (isDuplicate, failure) = (rows.column("is_duplicate"), rows.column("failure"))
        var row = 0
        return calls.map { pending in
            let first = row
            row += pending.call.lines.count
            // Where lines are missing, the call was not enqueued.
            guard row <= rows.rowCount else { return .failure(.internalError) }
            for index in first..<row {
                if let name = rows.optionalString(index, failure) {
                    return .failure(CallFailure(name, line: index - first))
                }
            }
            guard (first..<row).allSatisfy({ !rows.isNull($0, jobID) }) else {
                return .failure(.overLimit(retryAfterSeconds: 1))
            }
            // The idempotency key was kept longer than the result of its first call, whose answer is lost.
            guard (first..<row).allSatisfy({ !rows.isNull($0, time) }) else { return .failure(.idempotencyMismatch) }
            let jobs = (first..<row).map {
                EnqueuedJob(
                    jobID: rows.int64($0, jobID), enqueuedAt: rows.timestamp($0, time),
                    isDuplicate: rows.bool($0, isDuplicate))
            }
            return .success(Submission(jobs: jobs, isDuplicate: jobs.contains(where: \.isDuplicate)))
        }
    }
}

/// Reads the results of jobs, and cancels jobs.
enum FollowCalls {
    private static let types: [TypeOID] = [.textArray, .int8Array, .timestamptzArray]

    static func results(_ schema: QueueSchema) -> Statement {
        Statement(
            "gateway_results", types,
            """
            SELECT number, job_id, item_id, location_id, action, quantity, applied_quantity, outcome, code, warning,
                on_hand_before, allocated_before, on_hand_after, allocated_after, finished_at
            FROM \(schema.quoted).gateway_results($1, $2, $3)
            """)
    }

    static func cancel(_ schema: QueueSchema) -> Statement {
        Statement("gateway_cancel", types, "SELECT * FROM \(schema.quoted).gateway_cancel($1, $2, $3)")
    }

    /// - Parameter jobs: each with the hash of its call's token.
    static func parameters(_ jobs: [(tokenHash: String?, job: EnqueuedJob)]) -> Parameters {
        var parameters = Parameters()
        parameters.addArray(jobs.map(\.tokenHash))
        parameters.addArray(of: jobs.count, int64: { jobs[$0].job.jobID })
        parameters.addArray(of: jobs.count, timestamp: { jobs[$0].job.enqueuedAt })
        return parameters
    }

    /// The results by the number of the job in the parameters, from 0.
    static func lineResults(_ rows: ResultSet) throws(UnknownLabelError) -> [Int: LineResult] {
        func column(_ name: String) -> Int { rows.column(name) }
        let number = column("number")
        var results: [Int: LineResult] = [:]
        for row in 0..<rows.rowCount {
            results[Int(rows.int32(row, number)) - 1] = LineResult(
                jobID: rows.int64(row, column("job_id")), itemID: rows.string(row, column("item_id")),
                locationID: rows.string(row, column("location_id")),
                action: try label(rows.string(row, column("action"))),
                quantity: rows.int64(row, column("quantity")),
                appliedQuantity: rows.int64(row, column("applied_quantity")),
                outcome: try label(rows.string(row, column("outcome"))),
                code: try optionalLabel(rows.optionalString(row, column("code"))),
                warning: try optionalLabel(rows.optionalString(row, column("warning"))),
                before: balance(rows, row, column("on_hand_before"), column("allocated_before")),
                after: balance(rows, row, column("on_hand_after"), column("allocated_after")),
                finishedAt: rows.timestamp(row, column("finished_at")).microsecondsSince2000)
        }
        return results
    }

    private static func balance(_ rows: ResultSet, _ row: Int, _ onHand: Int, _ allocated: Int) -> Balance? {
        guard let onHand = rows.optionalInt64(row, onHand), let allocated = rows.optionalInt64(row, allocated) else {
            return nil
        }
        return Balance(onHand: onHand, allocated: allocated)
    }

    private static func optionalLabel<Label: DatabaseLabel>(_ text: String?) throws(UnknownLabelError) -> Label? {
        guard let text else { return nil }
        return try label(text)
    }

    private static func label<Label: DatabaseLabel>(_ text: String) throws(UnknownLabelError) -> Label {
        guard let label = Label(rawValue: text) else { throw UnknownLabelError(type: Label.typeName, label: text) }
        return label
    }
}

extension Access {
    /// nil for the one store of the token.
    var storeID: String? {
        switch store {
        case .named(let name): name
        case .ofToken: nil
        }
    }

    var scopeList: String { scopes.map(\.rawValue).sorted().joined(separator: " ") }

    var tokenHash: String? { caller.credential.map { GatewaySecret($0.token).hash } }
}

extension ItemRole {
    /// As `gateway_enqueue` takes it.
    fileprivate var parentID: String? {
        switch self {
        case .any: nil
        case .product: ""
        case .variation(let parent): parent
        }
    }
}

extension CallFailure {
    /// - Parameter name: as the functions of the schema name it.
    init(_ name: String, line: Int = 0) {
        switch name {
        case "invalid_token": self = .invalidCredential
        case "missing_scope": self = .missingScope
        case "unknown_store": self = .unknownStore
        case "unknown_item": self = .unknownItem(line: line)
        case "idempotency_mismatch": self = .idempotencyMismatch
        case "store_limit": self = .overLimit(retryAfterSeconds: 1)
        case "time_limit": self = .timeLimit(line: line)
        default: self = .internalError
        }
    }
}
