import StockQueuePostgres

extension Batch {
    /// How a refused job is stableID; each way is tried where the database refuses the one before it.
    private enum FailureRecord: CaseIterable {
        /// A failed result, or a later attempt where some are left.
        case asItIs
        /// A failed result with the job as text inside its message.
        case asText
        /// Set aside although its attempts are used: nothing may stay in front of a lane that can never be finished.
        case asideWhateverItsAttempts
    }

    /// Settles a job, or the lines of a group, that the database refused when they stood alone: counts the attempt and
    /// sets them aside, or gives them up when their attempts are used.
    ///
    /// - Returns: true when they were given up. Nil when the lane is busy or one of them is gone or held.
    func recordFailure(of ids: [Int64], lane: Int16, error: PostgresError) throws(PostgresError) -> Bool? {
        var last = error
        for record in FailureRecord.allCases {
            do throws(PostgresError) {
                return try recordFailure(of: ids, lane: lane, error: error, record)
            } catch {
                guard error.isCausedByData else { throw error }
                last = error
            }
        }
        throw last
    }

    private func recordFailure(
        of ids: [Int64], lane: Int16, error: PostgresError, _ record: FailureRecord
    ) throws(PostgresError) -> Bool? {
        try undoingOnError { () throws(PostgresError) in
            claims.removeAll()
            try sendLockLane(lane)
            try send(statements.claimByID) { $0.addArray(of: ids.count, int64: { ids[$0] }) }
            if let rows = try receiveLocked() { try claims.add(rows) }
            let jobs = claims.jobs
            guard jobs.count == ids.count else {
                try connection.rollBack()
                return nil
            }
            let mostAttempts = jobs.map { Int($0.maxAttempts) }.min() ?? 1
            let isOver =
                record != .asideWhateverItsAttempts
                && (jobs.map { Int($0.attempts) }.max() ?? 0) + 1 >= mostAttempts
            parameters.removeAll()
            parameters.addArray(of: jobs.count, tupleID: { jobs[$0].place })
            let statement: Statement
            if isOver {
                parameters.add(workerName)
                parameters.add(error.sqlState)
                parameters.add(error.debugDescription)
                statement = record == .asText ? statements.writeFailuresAsText : statements.writeFailures
            } else {
                parameters.add(error.debugDescription)
                statement = statements.retryLater
            }
            let changed = try connection.execute(statement, parameters).affectedRows
            try expect(changed == jobs.count, statement, changed, jobs.count)
            try connection.commit()
            return isOver
        }
    }
}

extension PostgresError {
    /// The job's own data made the statement fail: class 22 (data exception) or 23 (constraint violation), except for a
    /// partition of the results that is missing, which is the house's trouble.
    var isCausedByData: Bool {
        guard kind == .server, let sqlState else { return false }
        return (sqlState.hasPrefix("22") || sqlState.hasPrefix("23")) && !isMissingPartition
    }

    /// "no partition of relation … found for row" is a check violation without a constraint's name.
    var isMissingPartition: Bool { sqlState == "23514" && constraint == nil }
}
