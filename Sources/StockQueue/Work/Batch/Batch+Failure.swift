import StockDecision
import StockModel
import StockQueuePostgres

/// Recording that the database failed a work unit.
extension Batch {
    /// How a failure is recorded; each way is tried where the database fails the one before it.
    private enum FailureRecord: CaseIterable {
        /// A failed result, or a later attempt where the jobs have attempts left.
        case complete
        /// A failed result with the job as text in its message.
        case asText
        /// A later attempt although all are used: nothing may stay at the head of a lane that can never be finished.
        case deferredAnyway
    }

    /// What became of a work unit after a failure.
    enum FailureOutcome {
        /// It has a failed result.
        case failed
        /// It is tried again later.
        case retriedLater
        /// Another worker has the lane. Nothing was recorded.
        case laneLocked
        /// One of the jobs is gone or locked. Nothing was recorded.
        case unavailable
    }

    /// Counts an attempt of a job, or of the lines of a group, that the database failed when they were alone: defers
    /// them, or ends them as failed when they have no attempt left. Where only some lines of a group are named, because
    /// the batch that failed had not claimed the others yet, it counts for all of them.
    func recordFailure(of ids: [Int64], lane: Int16, error: PostgresError) throws(PostgresError) -> FailureOutcome {
        var last = error
        var completesGroups = true
        var records = FailureRecord.allCases[...]
        while let record = records.first {
            do throws(PostgresError) {
                return try recordFailure(of: ids, lane: lane, error: error, record, completesGroups: completesGroups)
            } catch {
                guard error.mayBelongToJob else { throw error }
                last = error
                if completesGroups && error.statement == statements.countGroups.name {
                    // A group id that is not UTF-8 cannot be sent back.
                    completesGroups = false
                } else {
                    records.removeFirst()
                }
            }
        }
        throw last
    }

    private func recordFailure(
        of ids: [Int64], lane: Int16, error: PostgresError, _ record: FailureRecord, completesGroups: Bool
    ) throws(PostgresError) -> FailureOutcome {
        try rollingBackOnError { () throws(PostgresError) in
            claims.removeAll()
            try sendLockLane(lane)
            try send(statements.claimByID) { $0.addArray(of: ids.count, int64: { ids[$0] }) }
            guard let (_, rows) = try receiveLocked() else {
                try connection.rollBack()
                return .laneLocked
            }
            try claims.add(rows)
            let areAllThere = claims.jobs.count == ids.count
            if areAllThere && completesGroups && claims.groups.count > 0 { try completeGroups() }
            guard areAllThere && claims.jobs.allSatisfy(\.isClaimed) else {
                try connection.rollBack()
                return .unavailable
            }
            if record != .deferredAnyway && !hasAttemptLeft {
                try writeFailure(error, asText: record == .asText)
                try markTooLargeGroups()
                try connection.commit()
                return .failed
            }
            try deferJobs(error)
            try connection.commit()
            return .retriedLater
        }
    }

    /// The smallest limit of a group's lines rules, and the line with the most attempts counts.
    private var hasAttemptLeft: Bool {
        let attempts = claims.jobs.map(\.attempts).max() ?? 0
        return Int(attempts) + 1 < Int(claims.jobs.map(\.maxAttempts).min() ?? 1)
    }

    private func writeFailure(_ error: PostgresError, asText: Bool) throws(PostgresError) {
        let statement = asText ? statements.writeFailuresAsText : statements.writeFailures
        let changed = try execute(statement) { parameters in
            self.addClaimed(to: &parameters)
            parameters.add(self.workerName)
            parameters.add(error.sqlState?.rawValue)
            parameters.add(error.debugDescription)
        }.affectedRows
        try expect(claims.jobs.count, changedBy: statement.name, got: changed)
    }

    /// The lines of a group that is too large end here too, and those behind the claim must not be applied later.
    private func markTooLargeGroups() throws(PostgresError) {
        let groups = claims.changedMarks { _ in true }
        try changeMarks(of: groups.marked, by: statements.markTooLargeGroups)
        try changeMarks(of: groups.unmarked, by: statements.unmarkTooLargeGroups)
    }

    private func changeMarks(of groups: [Int32], by statement: some QueueStatement) throws(PostgresError) {
        if groups.isEmpty { return }
        let changed = try execute(statement) { self.addGroups(groups, to: &$0) }.affectedRows
        try expect(groups.count, changedBy: statement.name, got: changed)
    }

    private func deferJobs(_ error: PostgresError) throws(PostgresError) {
        let changed = try execute(statements.retryLater) { parameters in
            self.addClaimed(to: &parameters)
            parameters.add(error.debugDescription)
        }.affectedRows
        try expect(claims.jobs.count, changedBy: statements.retryLater.name, got: changed)
    }

    private func addClaimed(to parameters: inout Parameters) {
        let tupleIDs = claims.tupleIDs
        parameters.addArray(of: tupleIDs.count, tupleID: { tupleIDs[$0] })
    }
}
