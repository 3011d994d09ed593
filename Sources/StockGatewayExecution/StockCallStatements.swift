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
            SELECT line, store_id, job_id, enqueued_at, is_duplicate, failure, strand
            FROM \(schema.quoted).gateway_enqueue($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
            ORDER BY line
            """)
    }

    /// Names the transaction, so that its state can be asked for if COMMIT is not answered.
    static let transaction = Statement(
        "gateway_transaction", [], "SELECT pg_current_xact_id_if_assigned()::text AS transaction")

    /// COMMIT does not wait for the disk.
    static let commitLater = Statement("gateway_commit_later", [], "SET LOCAL synchronous_commit = off")

    static let probe = Statement("gateway_probe", [], "SELECT 1")

    static let transactionStatus = Statement(
        "gateway_transaction_status", [.text], "SELECT pg_xact_status($1::xid8) AS status")

    static func parameters(_ calls: [PendingCall]) -> Parameters {
        var parameters = Parameters()
        parameters.addArray(of: calls.count, text: { calls[$0].tokenHash })
        parameters.addArray(of: calls.count, text: { calls[$0].call.access.storeID })
        parameters.addArray(of: calls.count, text: { calls[$0].call.access.scopeList })
        parameters.addArray(of: calls.count, bool: { calls[$0].call.isGroup })
        parameters.addArray(of: calls.count, int32: { Int32(clamping: calls[$0].remainingMs) })
        var lines: [(call: Int, line: StockLine)] = []
        var keys: [String?] = []
        for (index, pending) in calls.enumerated() {
            for line in pending.call.lines { lines.append((index, line)) }
            guard pending.call.hasKey else { continue }
            // Empty unless some line has one.
            while keys.count < lines.count - pending.call.lines.count { keys.append(nil) }
            for line in pending.call.lines.indices { keys.append(pending.call.idempotencyKey(ofLine: line)) }
        }
        while !keys.isEmpty, keys.count < lines.count { keys.append(nil) }
        parameters.addArray(of: lines.count, int32: { Int32(lines[$0].call + 1) })
        parameters.addArray(of: lines.count, text: { lines[$0].line.itemID })
        parameters.addArray(of: lines.count, text: { lines[$0].line.locationID })
        parameters.addArray(of: lines.count, text: { lines[$0].line.action.rawValue })
        parameters.addArray(of: lines.count, int64: { lines[$0].line.quantity })
        parameters.addArray(of: lines.count, text: { lines[$0].line.onInsufficient.rawValue })
        parameters.addArray(of: lines.count, bool: { lines[$0].line.notify })
        parameters.addArray(keys)
        parameters.addArray(of: lines.count, text: { lines[$0].line.role.parentID })
        return parameters
    }

    /// What became of each call, in their order, and the strands of the new jobs.
    ///
    /// - Parameter answers: of the statement for the vendors' calls, and of that for calls of the native API.
    static func outcomes(
        _ answers: [(rows: ResultSet, calls: [PendingCall])]
    ) -> (calls: [Result<Submission, CallFailure>], strands: Set<Strand>) {
        var outcomes: [Result<Submission, CallFailure>] = []
        var strands: Set<Strand> = []
        for (rows, calls) in answers { read(rows, calls, &outcomes, &strands) }
        return (outcomes, strands)
    }

    /// Where the job in a row is; nil where none was enqueued.
    static func place(_ rows: ResultSet, _ row: Int) -> StockCalls.Place? {
        let (store, strand) = (rows.column("store_id"), rows.column("strand"))
        guard row < rows.rowCount, !rows.isNull(row, strand), !rows.isNull(row, store) else { return nil }
        return StockCalls.Place(
            storeID: rows.string(row, store), store: Strand(rawValue: rows.int32(row, strand)).store)
    }

    private static func read(
        _ rows: ResultSet, _ calls: [PendingCall], _ outcomes: inout [Result<Submission, CallFailure>],
        _ strands: inout Set<Strand>
    ) {
        let columns = Columns(rows)
        outcomes.reserveCapacity(outcomes.count + calls.count)
        var row = 0
        for pending in calls {
            let first = row
            row += pending.call.lines.count
            // Where lines are missing, the call was not enqueued.
            outcomes.append(row <= rows.rowCount ? outcome(rows, first..<row, columns) : .failure(.internalError))
        }
        for row in 0..<rows.rowCount where !rows.isNull(row, columns.strand) {
            strands.insert(Strand(rawValue: rows.int32(row, columns.strand)))
        }
    }

    private struct Columns {
        let jobID, time, isDuplicate, failure, strand: Int

        init(_ rows: ResultSet) {
            (jobID, time) = (rows.column("job_id"), rows.column("enqueued_at"))
            (isDuplicate, failure) = (rows.column("is_duplicate"), rows.column("failure"))
            strand = rows.column("strand")
        }
    }

    private static func outcome(
        _ rows: ResultSet, _ lines: Range<Int>, _ columns: Columns
    ) -> Result<Submission, CallFailure> {
        for row in lines {
            if let name = rows.optionalString(row, columns.failure) {
                return .failure(CallFailure(name, line: row - lines.lowerBound))
            }
        }
        var jobs: [EnqueuedJob] = []
        jobs.reserveCapacity(lines.count)
        for row in lines {
            if rows.isNull(row, columns.jobID) { return .failure(.storeLimit(retryAfterSeconds: 1)) }
            // The idempotency key was kept longer than the result of its first call, whose answer is lost.
            if rows.isNull(row, columns.time) { return .failure(.idempotencyMismatch) }
            jobs.append(
                EnqueuedJob(
                    jobID: rows.int64(row, columns.jobID), enqueuedAt: rows.timestamp(row, columns.time),
                    isDuplicate: rows.bool(row, columns.isDuplicate)))
        }
        return .success(Submission(jobs: jobs, isDuplicate: jobs.contains(where: \.isDuplicate)))
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

    var scopeList: String { Self.scopeLists[ScopeMask(scopes).rawValue] }

    private static let scopeLists = (0..<1 << Scope.allCases.count).map { ScopeMask(rawValue: $0).list }

    var tokenHash: String? { caller.credential.map { GatewaySecret($0.token).hash } }
}

/// A set of scopes as a number, to find its list in a table.
private struct ScopeMask {
    let rawValue: Int

    init(rawValue: Int) { self.rawValue = rawValue }

    init(_ scopes: Set<Scope>) {
        rawValue = Scope.allCases.indices.reduce(0) { scopes.contains(Scope.allCases[$1]) ? $0 | 1 << $1 : $0 }
    }

    /// As the functions of the schema take it.
    var list: String {
        Scope.allCases.indices.filter { rawValue & 1 << $0 != 0 }.map { Scope.allCases[$0].rawValue }.sorted()
            .joined(separator: " ")
    }
}

extension ItemRole {
    /// As `gateway_enqueue` takes it.
    var parentID: String? {
        switch self {
        case .any: nil
        case .product: ""
        case .variation(let parent): parent
        }
    }
}

extension CallFailure {
    /// The allowed reasons follow.
    private static let unlistedReason = "unlisted_reason:"

    /// - Parameter name: as the functions of the schema name it.
    init(_ name: String, line: Int = 0) {
        switch name {
        case "invalid_token": self = .invalidCredential
        case "missing_scope": self = .missingScope
        case "unknown_store": self = .unknownStore
        case "unknown_item": self = .unknownItem(line: line)
        case "idempotency_mismatch": self = .idempotencyMismatch
        case "store_limit": self = .storeLimit(retryAfterSeconds: 1)
        case "call_limit": self = .callLimit
        case "several_stores": self = .severalStores
        case "time_limit": self = .timeLimit(line: line)
        case let text where text.hasPrefix(Self.unlistedReason):
            self = .unlistedReason(line: line, allowed: String(text.dropFirst(Self.unlistedReason.count)))
        default: self = .internalError
        }
    }
}
