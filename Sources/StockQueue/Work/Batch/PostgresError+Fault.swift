import StockDecision
import StockQueuePostgres

extension PostgresError {
    /// What kind of error this is for a batch.
    package var fault: DatabaseFault {
        if kind == .deadline { return .callTimeout }
        if kind == .unexpectedRowCount { return .unexplained }
        guard kind == .server, !isConnectionFatal, let sqlState else { return .connection }
        if isReadOnlyServer { return .connection }
        switch sqlState {
        case .uniqueViolation where constraint == UseKeysStatement.constraint: return .keyConflict
        case .lockNotAvailable: return statement == ClaimStatement.name ? .lockedJob : .lockTimeout
        case .queryCanceled: return .statementTimeout
        // "no partition of relation … found for row" is a check violation of a table without a constraint's name: an
        // operational fault, not the job's.
        case .checkViolation where constraint == nil && table != nil: return .missingPartition
        default:
            if sqlState.isDataError { return .jobData }
            if sqlState.isConflict { return .otherTransaction }
            return sqlState.isServerCondition ? .server : .unexplained
        }
    }

    /// Another way to write the same job may succeed.
    var mayBelongToJob: Bool { [.jobData, .unexplained, .otherTransaction].contains(fault) }
}
