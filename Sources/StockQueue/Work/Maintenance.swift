import StockQueuePostgres

/// Keeps partitions of the results ahead of the ids drawn, drops those whose results have all expired, and forgets expired
/// idempotency keys.
struct Maintenance {
    let connection: Connection
    let schema: QueueSchema
    let settings: WorkerSettings
    let stop: StopSignal
    let onEvent: WorkEventHandler

    /// Every how many rounds expired results are looked for.
    private static let roundsBetweenDrops = 60
    /// Dropping locks the parent, and nobody writes results while it waits for that; so it does not wait long.
    private static let dropLockTimeoutMs = 100

    /// Bounds of partitions come from the catalog by whatever plan is best; only waiting is bounded.
    static func session(_ settings: WorkerSettings) -> [(name: String, value: String)] {
        [("jit", "off")] + settings.limits(lockTimeoutMs: dropLockTimeoutMs)
    }

    func poll(_ succeeded: () -> Void) throws(PostgresError) {
        var round = 0
        repeat {
            do throws(PostgresError) {
                try addPartitions()
                if round % Self.roundsBetweenDrops == 0 { try dropExpired() }
                succeeded()
            } catch  where !error.isConnectionFatal && !error.isReadOnlyServer {
                // A lock that was not to be had in time, most likely; the next round tries again.
                onEvent(.maintenanceFailed(error))
            }
            round += 1
        } while !stop.wait(milliseconds: settings.maintenanceEveryMs)
    }

    private func addPartitions() throws(PostgresError) {
        let added = try Self.addPartitions(connection, schema, settings)
        if added > 0 { onEvent(.partitionsAdded(added)) }
    }

    /// Builds the partitions that live jobs and the ids drawn next need; a worker that meets a missing one does it at once.
    ///
    /// - Returns: how many were missing.
    static func addPartitions(
        _ connection: Connection, _ schema: QueueSchema, _ settings: WorkerSettings
    ) throws(PostgresError) -> Int {
        var parameters = Parameters()
        parameters.add(Int64(settings.jobsPerPartition))
        parameters.add(Int32(settings.partitionsAhead))
        return Int(try connection.executeAlone(PollerStatements(schema: schema).addPartitions, parameters).int32(0, 0))
    }

    /// The most keys forgotten in one transaction.
    private static let droppedKeysMax = 10_000

    private func dropExpired() throws(PostgresError) {
        let statements = PollerStatements(schema: schema)
        guard try connection.executeAlone(statements.canDropExpired).bool(0, 0) else { return }
        var keep = Parameters()
        keep.add(Int64(settings.keepKeysSeconds))
        keep.add(Int32(Self.droppedKeysMax))
        while try connection.executeAlone(statements.dropExpiredKeys, keep).int32(0, 0) == Self.droppedKeysMax
            && !stop.isFinishing
        {}
        var parameters = Parameters()
        parameters.add(Int64(settings.keepResultsSeconds))
        let dropped = try connection.executeAlone(statements.dropExpired, parameters)
        if let name = dropped.optionalString(0, 0) { onEvent(.partitionDropped(name)) }
    }
}
