import StockQueuePostgres

/// Follows what workers do, for logs and metrics. Every method has a default that does nothing; implement only the
/// methods that you need.
///
/// The threads of the workers call the methods, several at the same time, and wait until they return.
public protocol WorkersObserver: Sendable {
    /// The workers start.
    func workersStarted(_ event: WorkEvent.Started)
    /// A service has a connection.
    func serviceConnected(_ event: WorkEvent.Connected)
    /// A service lost its connection, or could not connect.
    func serviceDisconnected(_ event: WorkEvent.Disconnected)
    /// A batch was committed.
    func batchCommitted(_ event: WorkEvent.BatchCommitted)
    /// A job's data caused a database error; the lane's next batches are halved until the job is alone.
    func batchHalved(_ event: WorkEvent.BatchHalved)
    /// An attempt was counted against a work unit.
    func attemptFailed(_ event: WorkEvent.AttemptFailed)
    /// The database raised an error that no job caused; the lane pauses.
    func batchFailed(_ event: WorkEvent.BatchFailed)
    /// Due jobs became ready.
    func jobsPromoted(_ event: WorkEvent.Promoted)
    /// Partitions of the results were added.
    func partitionsAdded(_ event: WorkEvent.PartitionsAdded)
    /// A partition of the results was dropped.
    func partitionDropped(_ event: WorkEvent.PartitionDropped)
    /// Expired results could not be exported, and are kept.
    func exportFailed(_ event: WorkEvent.ExportFailed)
    /// A round of maintenance failed; the next one tries again.
    func maintenanceFailed(_ error: PostgresError)
    /// Sessions that had locked a lane and did not answer were terminated.
    func stalledSessionsTerminated(_ event: WorkEvent.StalledSessionsTerminated)
    /// A transaction that may have enqueued jobs has been open for long.
    func transactionOpenLong(_ event: WorkEvent.TransactionOpenLong)
    /// Messages to subscriptions were delivered, or attempts failed.
    func deliveriesEnded(_ event: WorkEvent.DeliveriesEnded)
    /// A subscription was disabled.
    func subscriptionDisabled(_ event: WorkEvent.SubscriptionDisabled)
    /// The ledger checker could not run; the next check tries again.
    func ledgerCheckFailed(_ error: PostgresError)
    /// The ledger checker found an item whose ledger is wrong.
    func integrityViolated(_ event: WorkEvent.IntegrityViolation)
    /// The workers finish their batches and claim nothing more.
    func workersStopping()
    /// The workers have stopped.
    func workersStopped()
}

extension WorkersObserver {
    public func workersStarted(_ event: WorkEvent.Started) {}
    public func serviceConnected(_ event: WorkEvent.Connected) {}
    public func serviceDisconnected(_ event: WorkEvent.Disconnected) {}
    public func batchCommitted(_ event: WorkEvent.BatchCommitted) {}
    public func batchHalved(_ event: WorkEvent.BatchHalved) {}
    public func attemptFailed(_ event: WorkEvent.AttemptFailed) {}
    public func batchFailed(_ event: WorkEvent.BatchFailed) {}
    public func jobsPromoted(_ event: WorkEvent.Promoted) {}
    public func partitionsAdded(_ event: WorkEvent.PartitionsAdded) {}
    public func partitionDropped(_ event: WorkEvent.PartitionDropped) {}
    public func exportFailed(_ event: WorkEvent.ExportFailed) {}
    public func maintenanceFailed(_ error: PostgresError) {}
    public func stalledSessionsTerminated(_ event: WorkEvent.StalledSessionsTerminated) {}
    public func transactionOpenLong(_ event: WorkEvent.TransactionOpenLong) {}
    public func deliveriesEnded(_ event: WorkEvent.DeliveriesEnded) {}
    public func subscriptionDisabled(_ event: WorkEvent.SubscriptionDisabled) {}
    public func ledgerCheckFailed(_ error: PostgresError) {}
    public func integrityViolated(_ event: WorkEvent.IntegrityViolation) {}
    public func workersStopping() {}
    public func workersStopped() {}

    /// Calls the method for an event.
    func observe(_ event: WorkEvent) {
        switch event {
        case .started(let event): workersStarted(event)
        case .connected(let event): serviceConnected(event)
        case .disconnected(let event): serviceDisconnected(event)
        case .batch(let event): batchCommitted(event)
        case .batchHalved(let event): batchHalved(event)
        case .attemptFailed(let event): attemptFailed(event)
        case .batchFailed(let event): batchFailed(event)
        case .promoted(let event): jobsPromoted(event)
        case .partitionsAdded(let event): partitionsAdded(event)
        case .partitionDropped(let event): partitionDropped(event)
        case .exportFailed(let event): exportFailed(event)
        case .maintenanceFailed(let error): maintenanceFailed(error)
        case .stalledSessionsTerminated(let event): stalledSessionsTerminated(event)
        case .transactionOpenLong(let event): transactionOpenLong(event)
        case .deliveriesEnded(let event): deliveriesEnded(event)
        case .subscriptionDisabled(let event): subscriptionDisabled(event)
        case .ledgerCheckFailed(let error): ledgerCheckFailed(error)
        case .integrityViolation(let event): integrityViolated(event)
        case .stopping: workersStopping()
        case .stopped: workersStopped()
        }
    }
}
