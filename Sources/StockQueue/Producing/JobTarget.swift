import StockModel
import StockQueuePostgres

/// The receiver of an import's jobs, a transaction at a time: the queue, or a dry run.
protocol JobTarget: AnyObject {
    /// Takes a job. The transaction begins when there is enough to send, not with the first job.
    func write(_ job: JobRequest) throws(PostgresError)

    /// Ends the writing; the transaction is not committed yet.
    ///
    /// - Parameter rows: how many were written.
    func end(rows: Int) throws(PostgresError) -> WrittenJobs

    func commit() throws(PostgresError)

    /// Rolls back, ignoring secondary errors.
    func abandon()
}

/// What a transaction of an import has written.
struct WrittenJobs {
    /// The transaction's id, for `pg_xact_status`.
    let transaction: Int64
    /// No job that was enqueued before the transaction has this id or a higher one.
    let firstJobID: Int64
    /// How many were enqueued; the others were duplicates.
    let enqueued: Int
}
