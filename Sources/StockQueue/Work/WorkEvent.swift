import StockQueuePostgres

/// What a worker process tells about itself, for logs and progress lines.
public enum WorkEvent: Sendable {
    case started(workers: Int)
    case connected(worker: String, server: Int)
    case disconnected(worker: String, error: PostgresError, retryInMs: Int)
    /// A batch that is being halved until the job that the database refuses stands alone.
    case batchHalved(worker: String, lane: Int, jobs: Int, error: PostgresError)
    case attemptFailed(worker: String, lane: Int, job: Int64, gaveUp: Bool, error: PostgresError)
    /// The database refused a batch for a reason that is not the jobs'; it is tried again.
    case batchFailed(worker: String, lane: Int, error: PostgresError, retryInMs: Int)
    case batch(
        worker: String, lane: Int, claimed: Int, finished: Int, applied: Int, rejected: Int, waiting: Int, left: Int,
        notifications: Int)
    case promoted(jobs: Int)
    case partitionsAdded(Int)
    case partitionDropped(String)
    case maintenanceFailed(PostgresError)
    /// Sessions that held a lane for a client that had fallen silent were ended.
    case stalledSessionsTerminated(Int)
    case checkFailed(PostgresError)
    /// The online checker found the ledger wrong.
    case violation(String)
    case stopping
    case stopped
}

/// Takes events; called from the threads of the pool, so it must be safe to call from several at once.
public typealias WorkEventHandler = @Sendable (WorkEvent) -> Void
