import StockQueuePostgres

/// Looks, while the workers work, whether the ledger of items that were just changed are right.
///
/// `Verifier` proves all the ledger and reads all of them; this reads the last few changes of a few items a second, so it
/// can always run. It shares no code with the decision: what it asks is one statement, on one snapshot.
struct LedgerChecker {
    let connection: Connection
    let schema: QueueSchema
    let settings: WorkerSettings
    let sample: ChangedItemSample
    let stop: StopSignal
    /// Takes each violation as a sentence.
    let found: (String) -> Void
    let failed: (PostgresError) -> Void

    func check(_ succeeded: () -> Void) throws(PostgresError) {
        let statement = LedgerCheckStatement.recentChanges(schema)
        while !stop.wait(milliseconds: settings.checkEveryMs) {
            let items = sample.take(settings.checkItemsMax)
            if items.isEmpty { continue }
            var parameters = Parameters()
            parameters.addArray(items.map(\.store))
            parameters.addArray(items.map(\.item))
            parameters.addArray(items.map(\.location))
            parameters.add(Int32(settings.checkChangesMax))
            do throws(PostgresError) {
                let rows = try connection.executeAlone(statement, parameters)
                succeeded()
                for row in 0..<rows.rowCount { found(rows.string(row, 0)) }
            } catch {
                // A lock that was not to be had, most likely; the next poll takes other items.
                if error.isConnectionFatal { throw error }
                failed(error)
            }
        }
    }
}
