import StockModel
import StockQueuePostgres

/// Reads the state of a queue: items, jobs, results, notifications, statistics.
///
/// A row comes as a value and as the JSON that PostgreSQL makes of it, because `--json` prints the names of the tables'
/// columns.
///
/// The methods throw `PostgresError`, and `UnknownLabelError` when a newer version has migrated the schema.
package struct Inspector {
    private let connection: Connection
    private let schema: QueueSchema

    package init(connection: Connection, schema: QueueSchema) {
        self.connection = connection
        self.schema = schema
    }

    // MARK: items

    /// One item; nil when there is no such item.
    package func item(_ key: ItemKey) throws -> JSONRow<Item>? {
        try ItemRows.jsonRows(in: run(ShowItemStatement(schema), ItemKeyReader.parameters(key))).first
    }

    /// Those of the keys that have no item, as far as this role may know.
    package func unknownItems(_ keys: [ItemKey]) throws -> [ItemKey] {
        UnknownItemsStatement.keys(in: try run(UnknownItemsStatement(schema), UnknownItemsStatement.parameters(keys)))
    }

    /// The last results that changed an item, newest first.
    package func movements(_ key: ItemKey, limit: Int) throws -> [JSONRow<JobResult>] {
        let parameters = ReadMovementsStatement.parameters(key, limit: limit)
        return try ResultRows.jsonRows(in: run(ReadMovementsStatement(schema), parameters))
    }

    /// Whether jobs may have only the reasons of the list.
    package func allowsOnlyListedReasons() throws -> Bool {
        try AllowedReasonsStatement.read(connection, schema) != nil
    }

    /// The roles of the queue that have a privilege on an object which this user lacks.
    package func roles(for object: String) throws -> (user: String, roles: [String]) {
        var parameters = Parameters()
        parameters.add(object)
        return FindRolesStatement.roles(in: try run(FindRolesStatement(schema), parameters))
    }

    // MARK: jobs and results

    /// How many lanes and stores are paused.
    package func pauses() throws -> (lanes: Int64, stores: Int64) {
        ReadPausesStatement.pauses(in: try run(ReadPausesStatement(schema)))
    }

    /// What is known about a store, a lane or everything that is to be paused or resumed.
    package func scopeState(_ scope: QueueAdmin.Scope) throws -> ScopeState {
        ReadScopeStatement.state(in: try run(ReadScopeStatement(schema), ScopeParameters.parameters(scope)))
    }

    /// Whether this role sees an item or a job of a store.
    package func isKnown(store: String) throws -> Bool {
        var parameters = Parameters()
        parameters.add(store)
        return try run(IsKnownStoreStatement(schema), parameters).bool(0, 0)
    }

    /// The result of a job; nil while it has none.
    package func result(of job: Int64) throws -> JSONRow<JobResult>? {
        try ResultRows.jsonRows(in: run(ShowResultStatement(schema), one(job))).first
    }

    /// The results of some jobs. A job without a result is missing.
    package func results(of jobs: [Int64]) throws -> [JobResult] {
        try ResultRows.values(in: run(ReadResultsStatement(schema), ReadResultsStatement.parameters(jobs)))
    }

    /// A job that is still queued; nil when it is not.
    package func job(_ job: Int64) throws -> JSONRow<QueuedJob>? {
        try QueuedJobRows.jsonRows(in: run(ShowJobStatement(schema), one(job))).first
    }

    /// The newest jobs that were rejected for a reason of their own, not because of their group.
    package func rejected(limit: Int) throws -> [JSONRow<JobResult>] {
        try ResultRows.jsonRows(in: run(ReadRejectedStatement(schema), one(Int64(limit))))
    }

    // MARK: feeds

    /// The newest notifications, the oldest of them first.
    package func lastNotifications(
        limit: Int, store: String? = nil
    ) throws -> [FeedRow<StockNotification, NotificationCursor>] {
        var parameters = Parameters()
        parameters.add(Int32(clamping: limit))
        parameters.add(store)
        return try ReadFeedStatement<NotificationFeed>.rows(
            in: run(ReadLastNotificationsStatement(schema), parameters))
    }

    /// The first notifications after a cursor. `NotificationFollower` moves the cursor.
    ///
    /// - Parameter store: nil for all stores that the role may read.
    package func notifications(
        after cursor: NotificationCursor, limit: Int, store: String? = nil
    ) throws -> [FeedRow<StockNotification, NotificationCursor>] {
        try page(NotificationFeed.self, after: cursor, limit: limit, store: store)
    }

    /// The cursor after which the notifications of the last seconds begin; nil for those that are still to come.
    package func notificationCursor(secondsAgo: Int64?) throws -> NotificationCursor {
        try cursor(NotificationFeed.self, secondsAgo: secondsAgo)
    }

    /// The first changes of stock after a cursor. `ChangeFollower` moves the cursor.
    ///
    /// - Parameter store: nil for all stores that the role may read.
    package func changes(
        after cursor: ChangeCursor, limit: Int, store: String? = nil
    ) throws -> [FeedRow<StockChange, ChangeCursor>] {
        try page(ChangeFeed.self, after: cursor, limit: limit, store: store)
    }

    /// The cursor after which the changes of the last seconds begin; nil for those that are still to come.
    package func changeCursor(secondsAgo: Int64?) throws -> ChangeCursor {
        try cursor(ChangeFeed.self, secondsAgo: secondsAgo)
    }

    private func page<Feed: FeedKind>(
        _ feed: Feed.Type, after cursor: Feed.Cursor, limit: Int, store: String?
    ) throws -> [FeedRow<Feed.Rows.Value, Feed.Cursor>] {
        let parameters = ReadFeedStatement<Feed>.parameters(cursor, limit: limit, store: store)
        return try ReadFeedStatement<Feed>.rows(in: run(ReadFeedStatement<Feed>(schema), parameters))
    }

    private func cursor<Feed: FeedKind>(_ feed: Feed.Type, secondsAgo: Int64?) throws -> Feed.Cursor {
        var parameters = Parameters()
        parameters.add(secondsAgo)
        return try FindCursorStatement<Feed>.cursor(in: run(FindCursorStatement<Feed>(schema), parameters))
    }

    // MARK: lists

    /// The id of an import, for a filter; nil where there is no import of this name that the role may read.
    package func importID(named name: String) throws(PostgresError) -> Int64? {
        var parameters = Parameters()
        parameters.add(name)
        let rows = try run(FindImportStatement(schema), parameters)
        return rows.rowCount == 0 ? nil : rows.int64(0, 0)
    }

    /// Whether the role may read which jobs were retried: producers may not.
    package func mayReadRetries() throws(PostgresError) -> Bool {
        let statement = Statement(
            "may_read_retries", [.text], "SELECT has_table_privilege($1, 'SELECT') AS may_read")
        var parameters = Parameters()
        parameters.add("\(schema.quoted).retries")
        return try connection.execute(statement, parameters).bool(0, 0)
    }

    /// The rows of a list, each as JSON with the names of the table's columns.
    package func rows(of list: some FilteredList) throws(PostgresError) -> [String] {
        let (statement, parameters) = list.rows(of: schema).statement(limit: list.limit)
        let rows = try connection.execute(statement, parameters)
        return (0..<rows.rowCount).map { rows.string($0, 0) }
    }

    // MARK: stories

    /// Everything about a job, as a JSON object; its member `job` is null where there is no such job.
    package func jobStory(_ job: Int64) throws(PostgresError) -> String {
        try text(run(ReadJobStoryStatement(schema), one(job)))
    }

    /// The jobs of a group, or with a reference, as a JSON object.
    ///
    /// - Parameters:
    ///   - store: nil for all stores.
    ///   - searchedJobs: how many of the newest jobs are searched for a reference.
    package func orderStory(
        store: String?, group: String?, reference: String?, searchedJobs: Int64
    ) throws(PostgresError) -> String {
        var parameters = Parameters()
        for value in [store, group, reference] { parameters.add(value) }
        parameters.add(try firstOfNewest(searchedJobs))
        return try text(run(ReadOrderStoryStatement(schema), parameters))
    }

    /// An item with its last movements and what proves them, as a JSON object; its member `item` is null where there is
    /// no such item.
    package func itemStory(_ key: ItemKey, movements: Int) throws(PostgresError) -> String {
        try text(
            run(ReadItemStoryStatement(schema), ReadMovementsStatement.parameters(key, limit: movements)))
    }

    /// What a text names, but for references, as a JSON object.
    ///
    /// - Parameter store: nil for all stores.
    package func search(_ query: String, store: String?) throws(PostgresError) -> String {
        var parameters = Parameters()
        parameters.add(query)
        parameters.add(store)
        parameters.add(Int64(query))
        return try text(run(SearchStatement(schema), parameters))
    }

    /// The id behind which the newest jobs are.
    package func firstOfNewest(_ jobs: Int64) throws(PostgresError) -> Int64 {
        max(0, try run(ReadLastJobStatement(schema)).int64(0, 0) - jobs)
    }

    private func text(_ rows: borrowing ResultSet) -> String { rows.string(0, 0).replacing("\n", with: "") }

    // MARK: statistics

    /// The queue now, and what was finished in the last `seconds`.
    package func statistics(seconds: Int64) throws -> JSONRow<QueueStatistics> {
        let rows = try run(StatisticsStatement(schema), StatisticsStatement.parameters(seconds: seconds))
        return try StatisticsStatement.statistics(in: rows)
    }

    // MARK: statements

    private func run(
        _ statement: some QueueStatement, _ parameters: Parameters = Parameters()
    ) throws(PostgresError) -> ResultSet {
        try connection.execute(statement.statement, parameters)
    }

    private func one(_ number: Int64) -> Parameters {
        var parameters = Parameters()
        parameters.add(number)
        return parameters
    }
}
