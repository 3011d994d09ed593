import StockQueuePostgres

/// Drops the oldest partitions of the results whose results have expired, so that no worker waits long.
///
/// The steps and what each of them locks are in `migrations/functions/retention.sql`. Each is a transaction of its own,
/// and what one step has done the next attempt need not repeat.
package struct ExpiredResults {
    /// A partition that is gone.
    package struct Dropped: Sendable, Hashable {
        package let name: String
        /// The file that has its results.
        package let file: String?
    }

    private let retention: Retention
    /// A partition becomes a table of its own instead.
    private let detaches: Bool
    /// Where the results are written first.
    private let exports: ExportFolder?

    package init(_ retention: Retention, detaches: Bool = false, exports: ExportFolder? = nil) {
        (self.retention, self.detaches, self.exports) = (retention, detaches, exports)
    }

    /// The most items whose openings one transaction changes: a worker waits for them that long.
    private static let itemsMax = 500
    /// All batches wait while the drop waits for its lock, so it does not wait long; there are two locks.
    private static let dropLockTimeout = Duration.milliseconds(40)
    /// For one row lock, with nothing else locked.
    private static let itemLockTimeout = Duration.seconds(5)
    private static let pausesMs = 50...250

    /// - Parameter goesOn: asked before each transaction.
    /// - Returns: the partition that was dropped; nil if none can be, or if another process drops.
    /// - Throws: `ExportError` if the results could not be written; then they are kept.
    package func dropNext(keepSeconds: Int64, while goesOn: () -> Bool) throws -> Dropped? {
        guard let name = try prepare(keepSeconds), try fold(while: goesOn) else { return nil }
        var file: String?
        if let exports {
            guard let written = try export(name, exports) else { return nil }
            file = written
        }
        return try drop(name, while: goesOn) ? Dropped(name: name, file: file) : nil
    }

    private func prepare(_ keepSeconds: Int64) throws(PostgresError) -> String? {
        var parameters = Parameters()
        parameters.add(keepSeconds)
        return try retention.withoutTimeLimit { () throws(PostgresError) in
            try retention.connection.execute(retention.statements.prepare, parameters, timeoutMs: Retention.longMs)
                .optionalString(0, 0)
        }
    }

    /// - Returns: whether all items are done.
    private func fold(while goesOn: () -> Bool) throws(PostgresError) -> Bool {
        var waits = false
        while goesOn() {
            var parameters = Parameters()
            parameters.add(Int32(Self.itemsMax))
            parameters.add(waits)
            let rows = try retention.withoutTimeLimit(lockTimeout: Self.itemLockTimeout) { () throws(PostgresError) in
                try retention.connection.execute(
                    retention.statements.fold, parameters, timeoutMs: Retention.longMs)
            }
            guard !rows.isNull(0, 0) else { return false }
            if rows.bool(0, 1) { return true }
            // Workers have locked all that are left.
            waits = rows.int32(0, 0) == 0
        }
        return false
    }

    /// Writes the results of the partition; no other process drops meanwhile.
    ///
    /// - Returns: the file; nil if another process drops.
    private func export(_ name: String, _ folder: ExportFolder) throws -> String? {
        let connection = retention.connection
        try connection.begin()
        do {
            try connection.executeScript("SET LOCAL statement_timeout = 0")
            var file: String?
            if try connection.execute(retention.statements.lock).bool(0, 0) {
                file = try folder.write(partition: name, connection, retention.schema)
            }
            try connection.commit()
            return file
        } catch {
            try? connection.rollBack()  // nothing was written; a failed rollback adds nothing to the first error
            throw error
        }
    }

    private func drop(_ name: String, while goesOn: () -> Bool) throws(PostgresError) -> Bool {
        var parameters = Parameters()
        parameters.add(name)
        parameters.add(detaches)
        while true {
            do throws(PostgresError) {
                return try retention.withoutTimeLimit(lockTimeout: Self.dropLockTimeout) { () throws(PostgresError) in
                    try retention.connection.execute(retention.statements.dropPartition, parameters).bool(0, 0)
                }
            } catch let error where error.sqlState == .lockNotAvailable && goesOn() {
                pause(milliseconds: .random(in: Self.pausesMs))
            }
        }
    }
}
