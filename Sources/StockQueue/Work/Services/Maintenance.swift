import StockQueuePostgres

/// Keeps partitions of the results ahead of the ids drawn, drops those whose results have all expired, and deletes
/// expired idempotency keys.
struct Maintenance: WorkerService {
    let context: ServiceContext

    let name = "maintenance"
    let role = "maintenance"

    /// Rounds between two searches for expired results.
    private static let roundsBetweenDrops = 60
    /// Dropping a partition locks the parent, and no worker writes results while it waits for that lock; so it does not
    /// wait long.
    private static let dropLockTimeout = Duration.milliseconds(100)

    /// The planner may choose freely: the bounds of partitions come from the system catalog. Only waiting is bounded.
    func session(_ settings: WorkerSettings) -> [(name: String, value: String)] {
        settings.limits(lockTimeout: Self.dropLockTimeout)
    }

    func run(on connection: Connection, _ report: ServiceReport) throws(PostgresError) {
        let retention = Retention(connection: connection, schema: context.schema)
        var round = 0
        repeat {
            do throws(PostgresError) {
                let added = try Self.addPartitions(connection, context)
                if added > 0 { context.onEvent(.partitionsAdded(.init(count: added))) }
                if round % Self.roundsBetweenDrops == 0 { try dropExpired(retention) }
                report.healthy()
            } catch let error where !error.isConnectionFatal && !error.isReadOnlyServer {
                // Most likely a lock that was not available in time; the next round tries again.
                context.onEvent(.maintenanceFailed(error))
            }
            round += 1
        } while !context.stop.wait(milliseconds: context.settings.maintenanceInterval.milliseconds)
    }

    /// Adds the partitions that queued jobs and the ids drawn next need. A worker that finds one missing calls it at
    /// once.
    ///
    /// - Returns: how many were missing.
    static func addPartitions(_ connection: Connection, _ context: ServiceContext) throws(PostgresError) -> Int {
        try Retention(connection: connection, schema: context.schema).addPartitions(
            jobsPerPartition: context.settings.jobsPerPartition, ahead: context.settings.partitionsAhead)
    }

    private func dropExpired(_ retention: Retention) throws(PostgresError) {
        let settings = context.settings
        _ = try retention.dropOldDeliveries(keepSeconds: settings.keepDeliveries.wholeSeconds) {
            !context.stop.isFinishing
        }
        guard try retention.canDropExpired() else { return }
        _ = try retention.dropExpiredKeys(keepSeconds: settings.keepKeys.wholeSeconds) { !context.stop.isFinishing }
        if let name = try retention.dropExpiredPartition(keepSeconds: settings.keepResults.wholeSeconds) {
            context.onEvent(.partitionDropped(.init(name: name)))
        }
    }
}
