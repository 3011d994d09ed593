import StockQueuePostgres

/// Follows what workers do, for logs and metrics. Every method has a default that does nothing; implement only the
/// methods that you need.
///
/// The threads of the workers call the methods, several at the same time, and wait until they return.
public protocol WorkersObserver: Sendable {
    func workersStarted(_ event: WorkEvent.Started)
    func serviceConnected(_ event: WorkEvent.Connected)
    func serviceDisconnected(_ event: WorkEvent.Disconnected)
    func batchCommitted(_ event: WorkEvent.BatchCommitted)
    func batchHalved(_ event: WorkEvent.BatchHalved)
    func attemptFailed(_ event: WorkEvent.AttemptFailed)
    func batchFailed(_ event: WorkEvent.BatchFailed)
    func jobsPromoted(_ event: WorkEvent.Promoted)
    func partitionsAdded(_ event: WorkEvent.PartitionsAdded)
    func partitionDropped(_ event: WorkEvent.PartitionDropped)
    func maintenanceFailed(_ error: PostgresError)
    func stalledSessionsTerminated(_ event: WorkEvent.StalledSessionsTerminated)
    func ledgerCheckFailed(_ error: PostgresError)
    func integrityViolated(_ event: WorkEvent.IntegrityViolation)
    func workersStopping()
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
    public func maintenanceFailed(_ error: PostgresError) {}
    public func stalledSessionsTerminated(_ event: WorkEvent.StalledSessionsTerminated) {}
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
        case .maintenanceFailed(let error): maintenanceFailed(error)
        case .stalledSessionsTerminated(let event): stalledSessionsTerminated(event)
        case .ledgerCheckFailed(let error): ledgerCheckFailed(error)
        case .integrityViolation(let event): integrityViolated(event)
        case .stopping: workersStopping()
        case .stopped: workersStopped()
        }
    }
}
