import StockQueuePostgres

/// Waits for the database of workers that start before it, and checks what would make them silently wrong.
package struct WorkerStartup: Sendable {
    private let connection: ConnectionSettings
    private let schema: QueueSchema
    private let settings: WorkerSettings
    private let stop: StopSignal

    package init(connection: ConnectionSettings, schema: QueueSchema, settings: WorkerSettings, stop: StopSignal) {
        var connection = connection
        connection.connectTimeout = settings.connectTimeout
        connection.callTimeout = settings.callTimeout
        self.connection = connection
        self.schema = schema
        self.settings = settings
        self.stop = stop
    }

    /// Connects, again and again during `startTimeout`, and checks.
    ///
    /// - Parameter onRetry: called with the error and the pause before the next attempt, ms.
    /// - Returns: nil when the stop signal came before the database.
    /// - Throws: `QueueSchemaError` for a schema that is not at this program's version, `PostgresError`.
    package func run(onRetry: (PostgresError, _ pauseMs: Int) -> Void) throws -> StartupCheck? {
        let deadline = Deadline.after(milliseconds: settings.startTimeout.milliseconds)
        var backoff = Backoff(
            firstMs: settings.reconnectPauseMin.milliseconds, longestMs: settings.reconnectPauseMax.milliseconds)
        while !stop.isFinishing {
            do {
                return try check()
            } catch let error as PostgresError where error.isTransient && !deadline.hasPassed {
                let pauseMs = min(backoff.next(), deadline.remainingMs)
                onRetry(error, pauseMs)
                _ = stop.wait(milliseconds: pauseMs)
            }
        }
        return nil
    }

    private func check() throws -> StartupCheck {
        let connection = try Connection(connection)
        try Migrator(connection: connection, schema: schema).check()
        let check = try StartupCheck(
            connection: connection, schema: schema, requiresDurability: settings.requireDurability)
        // Before the first worker writes: a restored dump brought positions of another server.
        if check.blockers.isEmpty { try connection.execute(RebaseFeedsStatement(schema).statement) }
        return check
    }
}
