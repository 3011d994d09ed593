import StockModel
import StockQueuePostgres

/// The receiver of an import's jobs, a transaction at a time: the queue, or a dry run.
protocol JobTarget: AnyObject {
    /// Between `begin` and `end`.
    var isOpen: Bool { get }

    /// Begins a transaction.
    ///
    /// - Returns: its id, for `pg_xact_status`.
    func begin() throws(PostgresError) -> Int64

    func write(_ job: JobRequest) throws(PostgresError)

    /// Ends the writing; the transaction is not committed yet.
    ///
    /// - Parameter rows: how many were written.
    /// - Returns: how many were enqueued; the others were duplicates.
    func end(rows: Int) throws(PostgresError) -> Int

    func commit() throws(PostgresError)

    /// Rolls back, ignoring secondary errors.
    func abandon()
}
