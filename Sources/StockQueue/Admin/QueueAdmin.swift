import StockModel
import StockQueuePostgres

/// What an administrator changes: jobs, pauses, items, store limits, grants. The functions of the schema record each
/// change with who and when.
///
/// All methods throw `PostgresError`, with SQLSTATE 42501 where this role is no administrator of the queue.
public struct QueueAdmin {
    let connection: Connection
    let schema: QueueSchema

    package init(connection: Connection, schema: QueueSchema) {
        self.connection = connection
        self.schema = schema
    }

    /// Runs changes in a transaction that is rolled back: what they return is what they would do now.
    ///
    /// It waits for locks as the changes do. Ids of jobs that it draws are not used again.
    package func rehearse<Value>(_ body: (QueueAdmin) throws -> Value) throws -> Value {
        try connection.begin()
        do {
            let value = try body(self)
            try connection.rollBack()
            return value
        } catch {
            try? connection.rollBack()  // nothing is kept either way; a failed rollback adds nothing to the first error
            throw error
        }
    }

    /// Runs changes in a transaction whose records name a person behind the role of the database.
    ///
    /// - Parameter name: as the caller knows it; nil for the role alone.
    package func perform<Value>(for name: String?, _ body: (QueueAdmin) throws -> Value) throws -> Value {
        try connection.begin()
        do {
            var parameters = Parameters()
            parameters.add(name ?? "")
            try run(SetActorStatement(), parameters)
            let value = try body(self)
            try connection.commit()
            return value
        } catch {
            try? connection.rollBack()  // nothing is kept either way; a failed rollback adds nothing to the first error
            throw error
        }
    }

    // MARK: jobs

    /// Jobs that are still queued.
    public enum Selection: Sendable, Hashable {
        case jobs([Int64])
        case group(store: String, String)
        case reference(store: String, String)
        /// The job with an idempotency key.
        case key(store: String, String)
    }

    /// A job that was enqueued again.
    public struct Retry: Sendable, Hashable {
        /// The new job.
        public let jobID: Int64
        /// The job that it repeats.
        public let retryOf: Int64
    }

    /// Cancels queued jobs, groups whole. Waits for a batch that has them locked.
    ///
    /// - Returns: the ids of the jobs canceled.
    package func cancel(_ selection: Selection, reason: String? = nil) throws(PostgresError) -> [Int64] {
        try run(CancelJobsStatement(schema), CancelJobsStatement.parameters(selection, reason: reason)).jobIDs
    }

    /// Cancels the queued jobs of an import, groups whole, the first ones first, as many with a statement as a producer
    /// may name.
    ///
    /// - Parameter importID: see `Inspector.importID`.
    /// - Returns: the ids of the jobs canceled. What was canceled before an error stays so, unless a transaction is open.
    package func cancel(jobsOfImport importID: Int64, reason: String? = nil) throws(PostgresError) -> [Int64] {
        var canceled: [Int64] = []
        var last: Int64 = 0
        while true {
            let jobs = try run(
                JobsOfImportStatement(schema), JobsOfImportStatement.parameters(importID, after: last, max: 10_000)
            ).jobIDs
            guard let end = jobs.last else { return canceled }
            canceled += try cancel(.jobs(jobs), reason: reason)
            last = end
        }
    }

    /// Gives queued jobs another priority, groups whole.
    ///
    /// - Parameter priority: 1 (first) to 4 (last).
    /// - Returns: how many jobs.
    package func reprioritize(_ selection: Selection, to priority: Int) throws(PostgresError) -> Int {
        let parameters = ReprioritizeStatement.parameters(selection, priority: priority)
        return ReprioritizeStatement.jobs(in: try run(ReprioritizeStatement(schema), parameters))
    }

    /// Enqueues finished jobs that changed nothing again, groups whole, each at most once.
    package func retry(_ jobs: [Int64]) throws(PostgresError) -> [Retry] {
        RetryJobsStatement.retries(in: try run(RetryJobsStatement(schema), RetryJobsStatement.parameters(jobs)))
    }

    /// Enqueues the failed jobs again, or the jobs rejected with a code.
    ///
    /// - Parameters:
    ///   - code: nil for the failed jobs.
    ///   - store: nil for all stores.
    ///   - seconds: only jobs that were finished within this time.
    package func retry(code: ResultCode?, store: String?, since seconds: Int64) throws(PostgresError) -> [Retry] {
        let parameters = RetryManyStatement.parameters(code: code, store: store, seconds: seconds)
        return RetryJobsStatement.retries(in: try run(RetryManyStatement(schema), parameters))
    }

    // MARK: pauses

    /// What can be paused.
    public enum Scope: Sendable, Hashable {
        case everything
        case store(String)
        /// 0–63.
        case lane(Int)

        /// The lanes that there are.
        package static let lanes = 0...(LaneQueue.laneCount - 1)
    }

    /// Stops the work. When this returns, no worker claims a job there.
    package func pause(_ scope: Scope) throws(PostgresError) {
        try run(PauseStatement(schema), PauseStatement.parameters(scope))
    }

    /// Resumes a paused store, a paused lane, or everything.
    ///
    /// - Returns: how many paused jobs are ready again.
    package func resume(_ scope: Scope) throws(PostgresError) -> Int {
        ResumeStatement.jobs(in: try run(ResumeStatement(schema), ResumeStatement.parameters(scope)))
    }

    // MARK: items and limits

    /// Changes attributes of an item. An attribute that is nil does not change.
    ///
    /// - Parameter clear: columns to be emptied, `low_stock_threshold` or `parent_id`.
    /// - Returns: whether there is such an item.
    package func setItem(
        _ key: ItemKey, threshold: Int64? = nil, tracked: Bool? = nil, parent: String? = nil, clear: [String] = []
    ) throws(PostgresError) -> Bool {
        let parameters = SetItemStatement.parameters(
            key, threshold: threshold, tracked: tracked, parent: parent, clear: clear)
        return SetItemStatement.isKnown(in: try run(SetItemStatement(schema), parameters))
    }

    /// Creates an item without stock at another location of its store, with its attributes.
    ///
    /// - Returns: whether it was created; it exists there already, or the store has no such item.
    package func copyItem(_ key: ItemKey, to location: String) throws(PostgresError) -> Bool {
        var parameters = ItemKeyReader.parameters(key)
        parameters.add(location)
        return try run(CopyItemStatement(schema), parameters).affectedRows > 0
    }

    /// Deletes an item without stock and without queued jobs.
    ///
    /// - Returns: whether there was such an item.
    package func retireItem(_ key: ItemKey) throws(PostgresError) -> Bool {
        RetireItemStatement.wasKnown(in: try run(RetireItemStatement(schema), ItemKeyReader.parameters(key)))
    }

    /// Accepts an item's stock that was changed outside the queue, so that the ledger is right again.
    ///
    /// - Returns: a sentence for each change that was accepted; empty where the ledger was right.
    package func reconcileItem(_ key: ItemKey, reason: String) throws(PostgresError) -> [String] {
        let parameters = ReconcileItemStatement.parameters(key, reason: reason)
        return ReconcileItemStatement.corrections(in: try run(ReconcileItemStatement(schema), parameters))
    }

    /// Sets the store limit.
    ///
    /// - Parameter readyJobs: the most ready jobs that the store may have; nil for no limit.
    package func setStoreLimit(store: String, readyJobs: Int?) throws(PostgresError) {
        try run(
            SetStoreLimitStatement(schema), SetStoreLimitStatement.parameters(store: store, readyJobs: readyJobs))
    }

    // MARK: grants

    /// Which scopes of a store a producer has.
    public struct Grant: Sendable, Hashable {
        /// The role of the database.
        public let producer: String
        /// The store.
        public let store: String
        /// Of `update_catalog`, `read_catalog` and `manage_items`, at least one.
        public let scopes: [String]
        /// The role that granted it last.
        public let grantedBy: String
        /// When it was granted last.
        public let grantedAt: Timestamp
        /// There is a role with the producer's name.
        public let isRole: Bool
    }

    /// Lets a role of the database enqueue for a store, in addition to what it may do already.
    package func grant(_ producer: String, store: String, scopes: [String]) throws(PostgresError) {
        let parameters = GrantStoreStatement.parameters(producer: producer, store: store, scopes: scopes)
        try run(GrantStoreStatement(schema), parameters)
    }

    /// Removes scopes of a store from a producer, all of them where none is named.
    ///
    /// - Returns: whether it had any of them.
    package func revoke(_ producer: String, store: String, scopes: [String]) throws(PostgresError) -> Bool {
        let parameters = GrantStoreStatement.parameters(producer: producer, store: store, scopes: scopes)
        return RevokeStoreStatement.hadAny(in: try run(RevokeStoreStatement(schema), parameters))
    }

    /// All grants, by producer and store.
    package func grants() throws(PostgresError) -> [Grant] {
        ListGrantsStatement.grants(in: try run(ListGrantsStatement(schema)))
    }

    @discardableResult
    func execute(_ statement: Statement, _ parameters: Parameters = Parameters()) throws(PostgresError) -> ResultSet {
        try connection.execute(statement, parameters)
    }

    @discardableResult
    func run(
        _ statement: some QueueStatement, _ parameters: Parameters = Parameters()
    ) throws(PostgresError) -> ResultSet {
        try connection.execute(statement.statement, parameters)
    }
}
