import StockModel
import StockQueuePostgres

/// What operators do by hand, by the functions of the schema: each act is recorded there with who and when.
///
/// All of them throw `PostgresError`, with SQLSTATE 42501 where this user is no administrator of the queue.
public struct QueueAdmin {
    /// Jobs that are still queued.
    public enum Selection: Sendable {
        case jobs([Int64])
        case group(store: String, String)
        case reference(store: String, String)
    }

    /// What can be paused.
    public enum Scope: Sendable {
        case everything
        case store(String)
        case lane(Int)
    }

    private let connection: Connection
    private let schema: QueueSchema

    public init(connection: Connection, schema: QueueSchema) {
        self.connection = connection
        self.schema = schema
    }

    /// Cancels queued jobs, groups whole; waits for a batch that has them.
    ///
    /// - Returns: the jobs canceled.
    public func cancel(_ selection: Selection, reason: String? = nil) throws(PostgresError) -> [Int64] {
        var parameters = parameters(selection)
        parameters.add(reason)
        let rows = try call(
            "cancel_jobs", selectionTypes + [.text],
            "SELECT * FROM \(schema.quoted).cancel_jobs(job_ids => $1, store_id => $2, group_id => $3, reference => $4, reason => $5)",
            parameters)
        return (0..<rows.rowCount).map { rows.int64($0, 0) }
    }

    /// Gives queued jobs another priority, groups whole.
    ///
    /// - Parameter priority: 1 (first) to 4 (last).
    /// - Returns: how many.
    public func reprioritize(_ selection: Selection, to priority: Int) throws(PostgresError) -> Int {
        var parameters = parameters(selection)
        parameters.add(Int32(priority))
        return Int(
            try call(
                "reprioritize", selectionTypes + [.int4],
                "SELECT \(schema.quoted).reprioritize($5, job_ids => $1, store_id => $2, group_id => $3, reference => $4)",
                parameters
            ).int64(0, 0))
    }

    /// Enqueues finished jobs that changed nothing again, groups whole; each once.
    ///
    /// - Returns: the new jobs, each with the one that it repeats.
    public func retry(_ jobs: [Int64]) throws(PostgresError) -> [(job: Int64, of: Int64)] {
        var parameters = Parameters()
        parameters.addArray(of: jobs.count, int64: { jobs[$0] })
        return pairs(
            try call("retry_jobs", [.int8Array], "SELECT * FROM \(schema.quoted).retry_jobs(job_ids => $1)", parameters)
        )
    }

    /// The same for the failed ones, or those rejected with a code.
    ///
    /// - Parameters:
    ///   - code: nil for the failed ones.
    ///   - store: nil for all stores.
    ///   - seconds: not older than this.
    public func retry(code: ResultCode?, store: String?, since seconds: Int64) throws(PostgresError) -> [(
        job: Int64, of: Int64
    )] {
        var parameters = Parameters()
        parameters.add(code?.rawValue)
        parameters.add(store)
        parameters.add(seconds)
        return pairs(
            try call(
                "retry_many", [.text, .text, .int8],
                "SELECT * FROM \(schema.quoted).retry_jobs(failed => $1 IS NULL, code => $1, store_id => $2, since => $3 * interval '1 second')",
                parameters))
    }

    private func pairs(_ rows: ResultSet) -> [(job: Int64, of: Int64)] {
        (0..<rows.rowCount).map { (rows.int64($0, 0), rows.int64($0, 1)) }
    }

    /// Stops the work; when this returns, nothing is claimed any more there.
    public func pause(_ scope: Scope) throws(PostgresError) {
        try call(
            "pause", scopeTypes, "SELECT \(schema.quoted).pause(store_id => $1, lane => $2, everything => $3)",
            parameters(scope))
    }

    /// Lets the work go on.
    ///
    /// - Returns: how many paused jobs are ready again.
    public func resume(_ scope: Scope) throws(PostgresError) -> Int {
        Int(
            try call(
                "resume", scopeTypes, "SELECT \(schema.quoted).resume(store_id => $1, lane => $2, everything => $3)",
                parameters(scope)
            )
            .int64(0, 0))
    }

    /// Changes attributes of an item; nil leaves one as it is.
    ///
    /// - Parameter clear: columns to be emptied, `low_stock_threshold` or `parent_id`.
    /// - Returns: whether there is such an item.
    public func setItem(
        _ key: ItemKey, threshold: Int64? = nil, tracked: Bool? = nil, parent: String? = nil, clear: [String] = []
    ) throws(PostgresError) -> Bool {
        var parameters = Parameters()
        for text in [key.storeID, key.itemID, key.locationID] { parameters.add(text) }
        parameters.add(threshold)
        parameters.add(tracked)
        parameters.add(parent)
        parameters.addArray(clear)
        return try call(
            "set_item", [.text, .text, .text, .int8, .bool, .text, .textArray],
            "SELECT \(schema.quoted).set_item($1, $2, $3, $4, $5, $6, $7)",
            parameters
        ).bool(0, 0)
    }

    /// The most ready jobs that a store may have; nil for no ceiling.
    public func setStoreLimit(store: String, readyJobs: Int?) throws(PostgresError) {
        var parameters = Parameters()
        parameters.add(store)
        parameters.add(readyJobs.map { Int32($0) })
        try call("set_store_limit", [.text, .int4], "SELECT \(schema.quoted).set_store_limit($1, $2)", parameters)
    }

    // MARK: grants

    public struct Grant: Sendable {
        public let producer: String
        public let store: String
        public let scopes: [String]
        public let grantedBy: String
        public let grantedAt: Timestamp
        /// There is such a role.
        public let isRole: Bool
    }

    /// Lets a role of the database enqueue for a store, on top of what it may.
    public func grant(_ producer: String, store: String, scopes: [String]) throws(PostgresError) {
        var parameters = Parameters()
        parameters.add(producer)
        parameters.add(store)
        parameters.addArray(scopes)
        try call(
            "grant_store", [.text, .text, .textArray], "SELECT \(schema.quoted).grant_store($1, $2, $3)", parameters)
    }

    /// Takes scopes of a store back, all of them where none is named.
    ///
    /// - Returns: whether it had any of them.
    public func revoke(_ producer: String, store: String, scopes: [String]) throws(PostgresError) -> Bool {
        var parameters = Parameters()
        parameters.add(producer)
        parameters.add(store)
        parameters.addArray(scopes)
        return try call(
            "revoke_store", [.text, .text, .textArray],
            "SELECT \(schema.quoted).revoke_store($1, $2, CASE WHEN cardinality($3) > 0 THEN $3 END)", parameters
        ).bool(0, 0)
    }

    public func grants() throws(PostgresError) -> [Grant] {
        let rows = try connection.execute(
            Statement(
                "list_grants", [],
                """
                SELECT producer, store_id, array_to_string(scopes, ','), granted_by, granted_at,
                    EXISTS (SELECT FROM pg_roles WHERE rolname = producer)
                FROM \(schema.quoted).grants ORDER BY producer, store_id
                """))
        return (0..<rows.rowCount).map { row in
            Grant(
                producer: rows.string(row, 0), store: rows.string(row, 1),
                scopes: rows.string(row, 2).split(separator: ",").map(String.init), grantedBy: rows.string(row, 3),
                grantedAt: rows.timestamp(row, 4), isRole: rows.bool(row, 5))
        }
    }

    // MARK: retention

    /// Drops what has expired, as a worker does that may.
    ///
    /// - Returns: the partitions of results dropped, and how many keys were forgotten.
    public func prune(keepResultsSeconds: Int64, keepKeysSeconds: Int64) throws(PostgresError) -> (
        partitions: [String], keys: Int
    ) {
        let retention = Retention(connection: connection, schema: schema)
        var partitions: [String] = []
        while let name = try retention.dropExpiredPartition(keepSeconds: keepResultsSeconds) { partitions.append(name) }
        return (partitions, try retention.dropExpiredKeys(keepSeconds: keepKeysSeconds) { true })
    }

    // MARK: parameters

    private let selectionTypes: [TypeOID] = [.int8Array, .text, .text, .text]
    private let scopeTypes: [TypeOID] = [.text, .int4, .bool]

    private func parameters(_ selection: Selection) -> Parameters {
        var parameters = Parameters()
        var (store, group, reference): (String?, String?, String?)
        switch selection {
        case .jobs(let jobs): parameters.addArray(of: jobs.count, int64: { jobs[$0] })
        case .group(let ofStore, let name):
            parameters.add(nil as String?)
            (store, group) = (ofStore, name)
        case .reference(let ofStore, let text):
            parameters.add(nil as String?)
            (store, reference) = (ofStore, text)
        }
        for text in [store, group, reference] { parameters.add(text) }
        return parameters
    }

    private func parameters(_ scope: Scope) -> Parameters {
        var parameters = Parameters()
        switch scope {
        case .everything:
            parameters.add(nil as String?)
            parameters.add(nil as Int32?)
            parameters.add(true)
        case .store(let store):
            parameters.add(store)
            parameters.add(nil as Int32?)
            parameters.add(false)
        case .lane(let lane):
            parameters.add(nil as String?)
            parameters.add(Int32(lane))
            parameters.add(false)
        }
        return parameters
    }

    @discardableResult
    private func call(
        _ name: String, _ types: [TypeOID], _ sql: String, _ parameters: Parameters
    ) throws(PostgresError) -> ResultSet {
        try connection.execute(Statement("operate_\(name)", types, sql), parameters)
    }
}
