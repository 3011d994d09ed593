import StockQueuePostgres

/// Keeps partitions of the results ahead of the ids drawn, begins one when the present one spans too long, drops those
/// whose results have all expired, and deletes what else is old.
///
/// One process at a time drops: the process that has locked the row "retention" of `maintenance_locks`.
struct Maintenance: WorkerService {
    let context: ServiceContext

    let name = "maintenance"
    let role = "maintenance"

    /// Rounds between two searches for what is old.
    private static let roundsBetweenDrops = 60
    private static let lockTimeout = Duration.milliseconds(100)

    /// The planner may choose freely: the bounds of partitions come from the system catalog. Only waiting is bounded.
    func session(_ settings: WorkerSettings) -> [(name: String, value: String)] {
        settings.limits(lockTimeout: Self.lockTimeout)
    }

    func run(on connection: Connection, _ report: ServiceReport) throws(PostgresError) {
        let retention = Retention(connection: connection, schema: context.schema)
        var round = 0
        repeat {
            do throws(PostgresError) {
                let added = try Self.addPartitions(connection, context)
                if added > 0 { context.onEvent(.partitionsAdded(.init(count: added))) }
                if round % Self.roundsBetweenDrops == 0 {
                    try beginPartition(retention)
                    try dropOld(retention)
                }
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

    private func beginPartition(_ retention: Retention) throws(PostgresError) {
        try retention.beginPartition(spanSeconds: context.settings.partitionSpan.wholeSeconds) {
            !context.stop.isFinishing
        }
    }

    private func dropOld(_ retention: Retention) throws(PostgresError) {
        let settings = context.settings
        let goesOn = { !context.stop.isFinishing }
        // A worker's role may drop these.
        _ = try retention.drop(.deliveries, keepSeconds: settings.keepDeliveries.wholeSeconds, while: goesOn)
        guard try retention.canDropExpired() else { return }
        try dropResults(retention, while: goesOn)
        _ = try retention.drop(.keys, keepSeconds: settings.keepKeys.wholeSeconds, while: goesOn)
        _ = try retention.drop(.notifications, keepSeconds: settings.keepNotifications.wholeSeconds, while: goesOn)
        _ = try retention.drop(.operations, keepSeconds: settings.keepOperations.wholeSeconds, while: goesOn)
        _ = try retention.drop(.imports, keepSeconds: settings.keepImports.wholeSeconds, while: goesOn)
    }

    private func dropResults(_ retention: Retention, while goesOn: () -> Bool) throws(PostgresError) {
        let settings = context.settings
        let expired = ExpiredResults(
            retention, detaches: settings.detachResults,
            exports: settings.exportFolder.isEmpty ? nil : ExportFolder(settings.exportFolder))
        do {
            while let dropped = try expired.dropNext(
                keepSeconds: settings.keepResults.wholeSeconds, while: goesOn)
            {
                context.onEvent(
                    .partitionDropped(
                        .init(name: dropped.name, isDetached: settings.detachResults, file: dropped.file)))
            }
        } catch let error as PostgresError {
            throw error
        } catch {
            context.onEvent(.exportFailed(.init(problem: "\(error)")))
        }
    }
}
