import StockQueuePostgres

/// A transaction of an import whose COMMIT was sent and not answered: it may or may not have taken effect.
public struct InDoubtCommit: Sendable {
    /// Its id, for `pg_xact_status`.
    public let transaction: Int64
    /// Jobs of the transaction.
    public let rows: Int
    let duplicates: Int
    /// Each record up to this line is finished if it was committed.
    public let line: Int

    enum Outcome {
        case committed, rolledBack, inProgress
    }

    /// Asks the server over a new connection.
    func outcome(over connection: Connection) throws(PostgresError) -> Outcome {
        let status = try connection.execute(
            TransactionStatusStatement().statement, TransactionStatusStatement.parameters(transaction))
        return switch status.optionalString(0, status.column("status")) {
        case "committed": .committed
        case "aborted": .rolledBack
        default: .inProgress
        }
    }
}

extension JobImport {
    /// Finds out over new connections whether the transaction in doubt took effect, since enqueueing its lines again
    /// would double them.
    ///
    /// Retries while the server cannot be reached and while the transaction is in progress.
    ///
    /// - Parameter connect: makes a connection.
    /// - Returns: how far the import really came; nil when the timeout expired before.
    public mutating func resolveInDoubt(timeoutMs: Int, connect: () throws -> Connection) -> ImportProgress? {
        let deadline = Deadline.after(milliseconds: timeoutMs)
        var backoff = Backoff(firstMs: 50, longestMs: 2_000)
        while !deadline.hasPassed {
            // An error is that of a server that is not back yet; the next attempt may reach it.
            if let connection = try? connect(), let progress = try? resolveInDoubt(over: connection) {
                return progress
            }
            pause(milliseconds: backoff.next())
        }
        return nil
    }
}
