import StockModel
import StockQueuePostgres

/// What happens in a worker process, for logs, metrics and progress lines. The payloads are structs, so that a field
/// can be added without breaking a match.
public enum WorkEvent: Sendable {
    case started(Started)
    case connected(Connected)
    case disconnected(Disconnected)
    /// A batch was committed.
    case batch(BatchCommitted)
    /// A job may have caused a database error in a batch; the lane's next batches are halved until the job is alone, or
    /// leave it out.
    case batchHalved(BatchHalved)
    /// The database raised an error for a work unit that was alone: an attempt was counted.
    case attemptFailed(AttemptFailed)
    /// The database raised an error that no job is known to have caused; the batch is tried again.
    case batchFailed(BatchFailed)
    /// Due jobs became ready.
    case promoted(Promoted)
    case partitionsAdded(PartitionsAdded)
    case partitionDropped(PartitionDropped)
    /// Expired results could not be written to the folder of exports; they are kept, and the next attempt follows.
    case exportFailed(ExportFailed)
    case maintenanceFailed(PostgresError)
    /// Sessions that had locked a lane for a client that stopped answering were terminated.
    case stalledSessionsTerminated(StalledSessionsTerminated)
    /// A transaction that may have enqueued jobs has been open for long. Repeated every minute.
    case transactionOpenLong(TransactionOpenLong)
    /// Messages to subscriptions were delivered, or attempts failed.
    case deliveriesEnded(DeliveriesEnded)
    /// A subscription was disabled, because its receiver failed for too long or wants nothing more.
    case subscriptionDisabled(SubscriptionDisabled)
    case ledgerCheckFailed(PostgresError)
    /// The ledger checker found an item whose ledger is wrong.
    case integrityViolation(IntegrityViolation)
    case stopping
    case stopped
}

extension WorkEvent {
    /// The workers start.
    public struct Started: Sendable {
        /// Worker threads.
        public let workers: Int
    }

    /// A service has a connection.
    public struct Connected: Sendable {
        /// The name of the service.
        public let service: String
        /// The server's version, for instance 150018.
        public let serverVersion: Int
    }

    /// A service lost its connection, or could not connect.
    public struct Disconnected: Sendable {
        /// The name of the service.
        public let service: String
        /// The error, safe to log.
        public let error: PostgresError
        /// Pause before the next attempt to connect.
        public let retryIn: Duration
    }

    /// What a committed batch did.
    public struct BatchCommitted: Sendable {
        /// The name of the worker, as `host:process/number`.
        public let worker: String
        /// 0–63.
        public let lane: Int
        /// From the claim to the end of COMMIT.
        public let duration: Duration
        /// Jobs claimed, with the whole of their groups.
        public let claimed: Int
        /// Jobs with a result.
        public let finished: Int
        /// The jobs with a result, by outcome and code.
        public let outcomes: OutcomeCounts
        /// Jobs deferred until stock rises.
        public let waiting: Int
        /// Jobs that stay for a later batch, because a row that they need is locked.
        public let skipped: Int
        /// Jobs of paused stores, taken out of the ready index.
        public let paused: Int
        /// Waiting jobs made ready, since the batch raised the stock they wait for.
        public let promoted: Int
        /// Notifications written.
        public let notifications: Int
        /// How long the jobs with a result took since they were enqueued.
        public let latencies: JobLatencies
    }

    /// Whose jobs an error met.
    public struct Subject: Sendable, Hashable {
        /// Stores of the jobs, a few at most.
        public let storeIDs: [String]
        /// The item, where all the jobs are of one.
        public let item: ItemKey?
    }

    /// A batch that is halved to find the job at fault.
    public struct BatchHalved: Sendable {
        /// The name of the worker, as `host:process/number`.
        public let worker: String
        /// The lane, 0–63.
        public let lane: Int
        /// Jobs that the batch had decided.
        public let jobs: Int
        /// Whose they are.
        public let subject: Subject
        /// The error, safe to log.
        public let error: PostgresError
    }

    /// An attempt that was counted against a work unit.
    public struct AttemptFailed: Sendable {
        /// The name of the worker, as `host:process/number`.
        public let worker: String
        /// The lane, 0–63.
        public let lane: Int
        /// The job, or the first line of the group.
        public let jobID: Int64
        /// How many jobs: the lines of the group, or 1.
        public let jobs: Int
        /// Whose they are.
        public let subject: Subject
        /// The job has no attempt left and ended as failed; otherwise it is tried again later.
        public let isFinal: Bool
        /// The error, safe to log.
        public let error: PostgresError
    }

    /// A batch that is tried again after a pause.
    public struct BatchFailed: Sendable {
        /// The name of the worker, as `host:process/number`.
        public let worker: String
        /// The lane, 0–63.
        public let lane: Int
        /// Whose jobs the batch had claimed.
        public let subject: Subject
        /// The error, safe to log.
        public let error: PostgresError
        /// Pause of the lane.
        public let retryIn: Duration
    }

    /// Due jobs that became ready.
    public struct Promoted: Sendable {
        /// How many jobs.
        public let jobs: Int
    }

    /// Partitions of the results that were added.
    public struct PartitionsAdded: Sendable {
        /// How many.
        public let count: Int
    }

    /// A partition of the results that was dropped.
    public struct PartitionDropped: Sendable {
        /// The name of the partition.
        public let name: String
        /// It is a table of its own now.
        public let isDetached: Bool
        /// The file that has its results.
        public let file: String?
    }

    /// An export that failed.
    public struct ExportFailed: Sendable {
        /// What went wrong, with the file.
        public let problem: String
    }

    /// Stalled sessions that were terminated.
    public struct StalledSessionsTerminated: Sendable {
        /// How many.
        public let count: Int
    }

    /// A transaction that writes to the jobs and stays open: vacuum cannot clean up, and its jobs are not visible.
    public struct TransactionOpenLong: Sendable {
        /// The process id of the session; nil for a prepared transaction.
        public let processID: Int?
        /// The database user.
        public let user: String?
        /// The session's `application_name`.
        public let applicationName: String?
        /// The name of a prepared transaction.
        public let preparedName: String?
        /// Since it began, seconds; since the poller saw it first where the poller's role may not know that.
        public let seconds: Int
    }

    /// Attempts to deliver messages that have ended.
    public struct DeliveriesEnded: Sendable {
        /// Messages that were delivered.
        public let delivered: Int
        /// Attempts that failed.
        public let failed: Int
        /// Why one of them failed.
        public let error: String?
    }

    /// A subscription that was disabled.
    public struct SubscriptionDisabled: Sendable {
        /// The name of the subscription.
        public let name: String
        /// Why it was disabled.
        public let reason: String
    }

    /// What the ledger checker found wrong.
    public struct IntegrityViolation: Sendable {
        /// The item whose ledger is wrong.
        public let item: ItemKey
        /// A sentence that names the item and what is wrong.
        public let description: String
    }
}

/// Takes events. The threads of a process call it at the same time.
public typealias WorkEventHandler = @Sendable (WorkEvent) -> Void
