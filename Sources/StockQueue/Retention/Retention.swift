import StockQueuePostgres

/// Adds and drops partitions of the results, and deletes old rows: what the maintenance of a worker process and the
/// command `prune` do.
package struct Retention {
    let connection: Connection
    let schema: QueueSchema
    let statements: RetentionStatements

    package init(connection: Connection, schema: QueueSchema) {
        self.connection = connection
        self.schema = schema
        statements = RetentionStatements(schema)
    }

    /// The most rows deleted in one transaction.
    private static let rowsMax = 10_000

    /// Adds the partitions that queued jobs and the ids drawn next need.
    ///
    /// - Parameters:
    ///   - jobsPerPartition: job ids that a partition holds.
    ///   - ahead: partitions to keep ready ahead of the ids drawn.
    /// - Returns: how many were missing.
    package func addPartitions(jobsPerPartition: Int, ahead: Int) throws(PostgresError) -> Int {
        var parameters = Parameters()
        parameters.add(Int64(jobsPerPartition))
        parameters.add(Int32(ahead))
        return Int(try connection.execute(statements.addPartitions, parameters).int32(0, 0))
    }

    /// Begins the next partition if the results of the present one span longer.
    ///
    /// - Parameter goesOn: asked before each further transaction.
    package func beginPartition(spanSeconds: Int64, while goesOn: () -> Bool) throws(PostgresError) {
        var parameters = Parameters()
        parameters.add(spanSeconds)
        while try connection.execute(statements.beginPartition, parameters).int32(0, 0) > 0 && goesOn() {}
    }

    /// Whether this role may drop what has expired. A worker's role may not: it cannot change what has happened.
    package func canDropExpired() throws(PostgresError) -> Bool {
        try connection.execute(statements.canDropExpired).bool(0, 0)
    }

    /// Why the oldest partition of the results is kept; nil if nothing keeps it.
    package func keptPartition(keepSeconds: Int64) throws(PostgresError) -> KeptPartition? {
        var parameters = Parameters()
        parameters.add(keepSeconds)
        return KeptPartition(
            try withoutTimeLimit { () throws(PostgresError) in
                try connection.execute(statements.findKept, parameters, timeoutMs: Self.longMs)
            })
    }

    /// Deletes old rows, a bounded number in each transaction.
    ///
    /// - Parameter goesOn: asked before each further transaction.
    /// - Returns: how many were deleted.
    package func drop(
        _ rows: RetentionRows, keepSeconds: Int64, while goesOn: () -> Bool
    ) throws(PostgresError) -> Int {
        var parameters = Parameters()
        parameters.add(keepSeconds)
        parameters.add(Int32(Self.rowsMax))
        var count = 0
        repeat {
            let dropped = Int(try connection.execute(statements.drop(rows), parameters).int32(0, 0))
            count += dropped
            if dropped < Self.rowsMax { break }
        } while goesOn()
        return count
    }

    /// Whether notifications are kept that are older than they should get.
    package func hasOldNotifications(keepSeconds: Int64) throws(PostgresError) -> Bool {
        var parameters = Parameters()
        parameters.add(keepSeconds)
        return try connection.execute(statements.hasOldNotifications, parameters).bool(0, 0)
    }

    /// A scan of a partition may take minutes.
    static let longMs = 3_600_000

    /// Runs `body` in a transaction in which the server cancels no statement for its duration.
    func withoutTimeLimit<Value>(
        lockTimeout: Duration? = nil, _ body: () throws(PostgresError) -> Value
    ) throws(PostgresError) -> Value {
        try connection.transaction { () throws(PostgresError) in
            let lockLimit = lockTimeout.map { "; SET LOCAL lock_timeout = \($0.milliseconds)" } ?? ""
            try connection.executeScript("SET LOCAL statement_timeout = 0\(lockLimit)")
            return try body()
        }
    }
}
