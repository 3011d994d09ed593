import StockQueue

extension WorkEvent {
    /// The payload of a committed batch; nil for other events.
    public var batch: BatchCommitted? { if case .batch(let batch) = self { batch } else { nil } }

    /// The error of a lost connection or a failed attempt to connect; nil for other events.
    public var disconnection: PostgresError? {
        if case .disconnected(let disconnected) = self { disconnected.error } else { nil }
    }

    /// The service that lost its connection or failed to connect; nil for other events.
    public var disconnectedService: String? {
        if case .disconnected(let disconnected) = self { disconnected.service } else { nil }
    }

    /// The service that has connected; nil for other events.
    public var connectedService: String? { if case .connected(let connected) = self { connected.service } else { nil } }

    /// The transaction that has been open for long; nil for other events.
    public var openTransaction: TransactionOpenLong? {
        if case .transactionOpenLong(let transaction) = self { transaction } else { nil }
    }

    /// The payload of a failed attempt; nil for other events.
    public var failedAttempt: AttemptFailed? { if case .attemptFailed(let failed) = self { failed } else { nil } }
}
