import StockQueuePostgres

/// Adds and drops partitions of the results, and deletes expired idempotency keys: what the maintenance of a worker
/// process and the command `prune` do.
package struct Retention {
    private let connection: Connection
    private let statements: RetentionStatements

    package init(connection: Connection, schema: QueueSchema) {
        self.connection = connection
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

    /// Whether this role may drop what has expired. A worker's role may not: it cannot change what has happened.
    package func canDropExpired() throws(PostgresError) -> Bool {
        try connection.execute(statements.canDropExpired).bool(0, 0)
    }

    /// Drops the oldest partition of the results when all in it has expired.
    ///
    /// - Returns: its name, or nil when there is nothing to drop.
    package func dropExpiredPartition(keepSeconds: Int64) throws(PostgresError) -> String? {
        var parameters = Parameters()
        parameters.add(keepSeconds)
        return try connection.execute(statements.dropExpiredResults, parameters).optionalString(0, 0)
    }

    /// The queued jobs that keep the oldest partition of the results from being dropped; nil if jobs keep nothing.
    package func blocker(keepSeconds: Int64) throws(PostgresError) -> RetentionBlocker? {
        var parameters = Parameters()
        parameters.add(keepSeconds)
        return RetentionBlocker(try connection.execute(statements.findBlocker, parameters))
    }

    /// Deletes expired keys, a bounded number in each transaction.
    ///
    /// - Parameter goesOn: asked before each further transaction.
    /// - Returns: how many keys were deleted.
    package func dropExpiredKeys(keepSeconds: Int64, while goesOn: () -> Bool) throws(PostgresError) -> Int {
        try drop(statements.dropExpiredKeys, keepSeconds, goesOn)
    }

    /// Deletes deliveries that have ended, a bounded number in each transaction.
    ///
    /// - Parameter goesOn: asked before each further transaction.
    /// - Returns: how many deliveries were deleted.
    package func dropOldDeliveries(keepSeconds: Int64, while goesOn: () -> Bool) throws(PostgresError) -> Int {
        try drop(statements.dropOldDeliveries, keepSeconds, goesOn)
    }

    private func drop(
        _ statement: Statement, _ keepSeconds: Int64, _ goesOn: () -> Bool
    ) throws(PostgresError) -> Int {
        var parameters = Parameters()
        parameters.add(keepSeconds)
        parameters.add(Int32(Self.rowsMax))
        var rows = 0
        repeat {
            let dropped = Int(try connection.execute(statement, parameters).int32(0, 0))
            rows += dropped
            if dropped < Self.rowsMax { break }
        } while goesOn()
        return rows
    }
}
