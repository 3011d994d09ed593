import StockDecision
import StockQueue
import StockQueuePostgres
import Testing

/// The tables of what a worker does after an error of the database, without a database.
@Suite("Recovery from database errors") struct RecoveryTests {
    /// A batch that claimed 100 jobs and skipped 20 of them.
    private static let severalUnits = BatchProgress(claimed: 100, skipped: 20)
    private static let nothingClaimed = BatchProgress()
    private static let everythingSkipped = BatchProgress(claimed: 3, skipped: 3)
    private static let oneJob = BatchProgress(claimed: 4, skipped: 3, onlyWorkUnit: [7])
    private static let oneGroup = BatchProgress(claimed: 3, onlyWorkUnit: [7, 8, 9])

    // MARK: recovery(from:progress:jobsMax:)

    struct Case: Sendable, CustomTestStringConvertible {
        var fault: DatabaseFault
        var progress: BatchProgress
        var jobsMax = 1_000
        var expected: Recovery

        var testDescription: String {
            "\(fault) after \(progress.claimed) claimed, \(progress.skipped) skipped, at most \(jobsMax)"
        }
    }

    static let cases = [
        // A data error halves the batch until one work unit is alone, and counts an attempt against that unit only.
        Case(fault: .jobData, progress: severalUnits, expected: .isolate(jobsMax: 40)),
        Case(fault: .jobData, progress: severalUnits, jobsMax: 30, expected: .isolate(jobsMax: 15)),
        Case(fault: .jobData, progress: BatchProgress(claimed: 2), expected: .isolate(jobsMax: 1)),
        Case(fault: .jobData, progress: BatchProgress(claimed: 3), jobsMax: 1, expected: .isolate(jobsMax: 1)),
        Case(fault: .jobData, progress: oneJob, expected: .recordFailure(jobIDs: [7])),
        Case(fault: .jobData, progress: oneGroup, expected: .recordFailure(jobIDs: [7, 8, 9])),
        Case(fault: .jobData, progress: oneGroup, jobsMax: 1, expected: .recordFailure(jobIDs: [7, 8, 9])),
        // A statement that reads can fail for a job's data too, before the decision.
        Case(
            fault: .jobData, progress: BatchProgress(undecided: [claimed(7)]), jobsMax: 1,
            expected: .recordFailure(jobIDs: [7])),
        Case(
            fault: .jobData, progress: BatchProgress(undecided: [claimed(7), claimed(8)]),
            expected: .isolate(jobsMax: 1)),
        // A data error without a job belongs to no job.
        Case(fault: .jobData, progress: nothingClaimed, expected: .backOff),
        Case(fault: .jobData, progress: everythingSkipped, expected: .backOff),
        // A timeout makes the next batch smaller: half of what was claimed, or of what was allowed before the claim.
        Case(fault: .statementTimeout, progress: severalUnits, expected: .shrink(jobsMax: 50)),
        Case(fault: .statementTimeout, progress: severalUnits, jobsMax: 30, expected: .shrink(jobsMax: 15)),
        Case(fault: .statementTimeout, progress: nothingClaimed, expected: .shrink(jobsMax: 500)),
        Case(fault: .statementTimeout, progress: oneJob, expected: .shrink(jobsMax: 2)),
        Case(fault: .statementTimeout, progress: nothingClaimed, jobsMax: 1, expected: .shrink(jobsMax: 1)),
        Case(fault: .callTimeout, progress: severalUnits, expected: .shrinkAndReconnect(jobsMax: 50)),
        Case(fault: .callTimeout, progress: nothingClaimed, expected: .shrinkAndReconnect(jobsMax: 500)),
        Case(fault: .callTimeout, progress: nothingClaimed, jobsMax: 1, expected: .shrinkAndReconnect(jobsMax: 1)),
    ]

    @Test("data errors and timeouts depend on how far the batch came", arguments: cases)
    func dependsOnProgress(_ expected: Case) {
        #expect(
            recovery(from: expected.fault, progress: expected.progress, jobsMax: expected.jobsMax) == expected.expected)
    }

    @Test("all other faults have one recovery, however far the batch came", arguments: DatabaseFault.allCases)
    func dependsOnFault(_ fault: DatabaseFault) {
        let expected: Recovery? =
            switch fault {
            case .keyConflict: .readKeys
            case .lockedJob: .skipLockedJobs
            case .lockTimeout: .skipLockedItems
            case .missingPartition: .addPartitions
            case .connection: .reconnect
            case .otherTransaction, .server: .backOff
            case .jobData, .unexplained, .statementTimeout, .callTimeout: nil
            }
        guard let expected else { return }
        for progress in [
            Self.severalUnits, Self.nothingClaimed, Self.everythingSkipped, Self.oneJob, Self.oneGroup,
        ] {
            for jobsMax in [1, 20_000] {
                #expect(recovery(from: fault, progress: progress, jobsMax: jobsMax) == expected)
            }
        }
    }

    @Test("only a data error with one work unit counts an attempt", arguments: DatabaseFault.allCases)
    func countsAttempts(_ fault: DatabaseFault) {
        for progress in [Self.severalUnits, Self.nothingClaimed, Self.everythingSkipped] {
            if case .recordFailure = recovery(from: fault, progress: progress, jobsMax: 100) {
                Issue.record("\(fault) counts an attempt against one of several work units")
            }
        }
        let isCounted = recovery(from: fault, progress: Self.oneJob, jobsMax: 100) == .recordFailure(jobIDs: [7])
        #expect(isCounted == (fault == .jobData))
    }

    // MARK: history

    /// A step of a lane's history: an error, and what the worker must do after it. The units 7 and 8 are jobs of a batch
    /// of several.
    private struct Step {
        var progress: BatchProgress
        var successes = 0
        var statement = "write_results"
        var expected: Recovery
    }

    private static func alone(_ unit: [Int64]) -> BatchProgress { BatchProgress(claimed: 1, onlyWorkUnit: unit) }
    private static let both = BatchProgress(claimed: 4, decidedIDs: [7, 8, 9, 10])

    /// Acts as the worker does on what it recovers by.
    private func expect(_ steps: [Step], sourceLocation: SourceLocation = #_sourceLocation) {
        var history = ErrorHistory()
        for (index, step) in steps.enumerated() {
            history.learnError(in: step.progress.decidedIDs, statement: step.statement, successes: step.successes)
            let choice = recovery(from: .unexplained, progress: step.progress, jobsMax: 100, history: history)
            #expect(choice == step.expected, "step \(index)", sourceLocation: sourceLocation)
            switch choice {
            case .setAside(let unit): history.setAside(unit)
            case .recordFailure(let unit): history.forget(unit)
            case .backOff: history.endSettingAside()
            default: break
            }
        }
    }

    @Test("an error that comes back for one half of a batch, and not for the other, is counted against the job")
    func halves() {
        expect([
            Step(progress: Self.both, successes: 5, expected: .isolate(jobsMax: 2)),
            Step(progress: Self.alone([8]), successes: 6, expected: .recordFailure(jobIDs: [8])),
        ])
    }

    @Test("a work unit at the head of its lane is set aside, and counted when the others succeed without it")
    func headOfLane() {
        expect([
            Step(progress: Self.both, expected: .isolate(jobsMax: 2)),
            Step(progress: Self.alone([7]), expected: .setAside(jobIDs: [7])),
            Step(progress: Self.alone([7]), successes: 1, expected: .recordFailure(jobIDs: [7])),
            // What comes after it starts anew.
            Step(progress: Self.alone([11]), successes: 1, expected: .setAside(jobIDs: [11])),
        ])
    }

    @Test("an error that all work units have alike is the server's, and is never counted") func serversError() {
        for _ in 0..<3 {
            expect([
                Step(progress: Self.both, expected: .isolate(jobsMax: 2)),
                Step(progress: Self.alone([7]), expected: .setAside(jobIDs: [7])),
                Step(progress: Self.alone([8]), expected: .setAside(jobIDs: [8])),
                Step(progress: Self.alone([9]), expected: .setAside(jobIDs: [9])),
                Step(progress: Self.alone([10]), expected: .setAside(jobIDs: [10])),
                Step(progress: Self.alone([11]), expected: .backOff),
                Step(progress: Self.alone([7]), expected: .setAside(jobIDs: [7])),
            ])
        }
    }

    @Test("the success of another statement proves nothing") func otherStatement() {
        expect([
            Step(progress: Self.alone([7]), successes: 3, statement: "write_results", expected: .setAside(jobIDs: [7])),
            Step(
                progress: Self.alone([7]), successes: 9, statement: "write_notifications",
                expected: .setAside(jobIDs: [7])),
            Step(
                progress: Self.alone([7]), successes: 10, statement: "write_notifications",
                expected: .recordFailure(jobIDs: [7])),
        ])
    }

    @Test("an unexplained error before the decision belongs to no job") func beforeTheDecision() {
        expect([
            Step(progress: BatchProgress(), expected: .backOff),
            Step(progress: BatchProgress(claimed: 9), successes: 7, expected: .backOff),
            Step(progress: BatchProgress(claimed: 9), successes: 8, expected: .backOff),
        ])
    }

    @Test("a conflict with another transaction is doubted when it comes a fourth time, until the lane works again")
    func repeatedConflict() {
        var history = ErrorHistory()
        for _ in 1...3 { #expect(history.explained(.otherTransaction) == .otherTransaction) }
        #expect(history.explained(.server) == .server)
        #expect(history.explained(.otherTransaction) == .unexplained)
        history.removeAll()
        #expect(history.explained(.otherTransaction) == .otherTransaction)
    }

    @Test("a condition of the server is never counted, whatever succeeds meanwhile") func serverCondition() {
        var history = ErrorHistory()
        history.learnError(in: [7], statement: "write_results", successes: 1)
        history.learnError(in: [7], statement: "write_results", successes: 2)
        #expect(history.succeedsWithout([7]))
        let choice = recovery(from: .server, progress: Self.alone([7]), jobsMax: 1, history: history)
        #expect(choice == .backOff)
    }

    @Test(
        "a work unit that times out twice when it is alone is counted; a COMMIT that hangs is not",
        arguments: [
            DatabaseFault.statementTimeout, .callTimeout,
        ])
    func timeouts(_ fault: DatabaseFault) {
        let isStatement = fault == .statementTimeout
        let shrink: Recovery = isStatement ? .shrink(jobsMax: 1) : .shrinkAndReconnect(jobsMax: 1)
        let unit = Self.alone([7])
        var history = ErrorHistory()
        #expect(recovery(from: fault, progress: unit, jobsMax: 1, history: history) == shrink)
        history.learnTimeout(of: [7])
        #expect(
            recovery(from: fault, progress: unit, jobsMax: 1, history: history)
                == (isStatement ? .recordFailure(jobIDs: [7]) : .reconnectAndRecordFailure(jobIDs: [7])))
        #expect(recovery(from: fault, progress: Self.alone([8]), jobsMax: 1, history: history) == shrink)
        let committing = BatchProgress(claimed: 1, onlyWorkUnit: [7], isCommitting: true)
        #expect(
            recovery(from: .callTimeout, progress: committing, jobsMax: 1, history: history)
                == .shrinkAndReconnect(jobsMax: 1))
        history.forget([7])
        #expect(recovery(from: fault, progress: unit, jobsMax: 1, history: history) == shrink)
    }

    @Test("a batch that meets a locked job runs again without it, whatever it skips already") func lockedJob() {
        for skipsLockedItems in [false, true] {
            #expect(
                recovery(
                    from: .lockedJob, progress: BatchProgress(), jobsMax: 1, skipsLockedItems: skipsLockedItems)
                    == .skipLockedJobs)
        }
    }

    @Test("a lock timeout of a batch that skips locked items pauses the lane") func otherLock() {
        #expect(
            recovery(from: .lockTimeout, progress: Self.oneJob, jobsMax: 1, skipsLockedItems: true) == .backOff)
    }

    // MARK: progress

    private static func claimed(_ id: Int64, group: Int32? = nil) -> ClaimedJob {
        var job = ClaimedJob(
            id: id, item: ItemIndex(rawValue: 0), action: .adjust, onInsufficient: .reject, quantity: -1)
        job.group = group.map { GroupIndex(rawValue: $0) }
        return job
    }

    @Test("the progress of a decided batch knows whether one work unit was decided") func progressOfDecision() {
        func progress(_ jobs: [ClaimedJob], presence: ItemState.Presence = .known) -> BatchProgress {
            var item = ItemState(onHand: 10)
            item.presence = presence
            return BatchProgress(jobs, decide(jobs, items: [item]))
        }
        #expect(progress([]) == BatchProgress())
        #expect(progress([Self.claimed(1)]) == BatchProgress(claimed: 1, onlyWorkUnit: [1]))
        #expect(progress([Self.claimed(1), Self.claimed(2)]) == BatchProgress(claimed: 2, decidedIDs: [1, 2]))
        #expect(
            progress([Self.claimed(1, group: 0), Self.claimed(2, group: 0)])
                == BatchProgress(claimed: 2, onlyWorkUnit: [1, 2]))
        #expect(
            progress([Self.claimed(1, group: 0), Self.claimed(2, group: 1)])
                == BatchProgress(claimed: 2, decidedIDs: [1, 2]))
        #expect(
            progress([Self.claimed(1, group: 0), Self.claimed(2)]) == BatchProgress(claimed: 2, decidedIDs: [1, 2]))
        #expect(
            progress([Self.claimed(1), Self.claimed(2)], presence: .locked) == BatchProgress(claimed: 2, skipped: 2))
    }

    // MARK: faults

    struct FaultCase: Sendable, CustomTestStringConvertible {
        var kind = PostgresError.Kind.server
        var state: SQLState?
        var constraint: String?
        var table: String?
        var expected: DatabaseFault

        var testDescription: String {
            "\(kind) \(state?.rawValue ?? "-") \(constraint ?? "-") \(table ?? "-")"
        }
    }

    private static func server(_ state: SQLState, _ expected: DatabaseFault) -> FaultCase {
        FaultCase(state: state, expected: expected)
    }

    private static func server(_ state: String, _ expected: DatabaseFault) -> FaultCase {
        FaultCase(state: SQLState(rawValue: state), expected: expected)
    }

    static let faultCases = [
        // The named SQLSTATEs.
        server(.uniqueViolation, .jobData),
        FaultCase(state: .uniqueViolation, constraint: "idempotency_keys_pkey", expected: .keyConflict),
        FaultCase(state: .uniqueViolation, constraint: "results_pkey", expected: .jobData),
        FaultCase(state: .checkViolation, table: "results", expected: .missingPartition),
        // As a user's trigger raises it.
        server(.checkViolation, .jobData),
        FaultCase(state: .checkViolation, constraint: "trap", table: "results", expected: .jobData),
        FaultCase(state: .checkViolation, constraint: "trap", expected: .jobData),
        server(.lockNotAvailable, .lockTimeout),
        server(.queryCanceled, .statementTimeout),
        server(.readOnlyTransaction, .connection),
        server(.insufficientPrivilege, .unexplained),
        server(.configurationLimitExceeded, .server),
        server(.tooManyConnections, .server),
        server(.cannotConnectNow, .connection),
        server(.cannotEstablishConnection, .server),
        server(.invalidAuthorization, .unexplained),
        server(.invalidPassword, .unexplained),
        server(.unknownDatabase, .unexplained),
        // Data exceptions and integrity constraint violations.
        server("22003", .jobData), server("22P02", .jobData), server("23502", .jobData),
        // The server ends the session after these.
        server("57P01", .connection), server("57P02", .connection),
        // Not caused by the jobs or the connection.
        server("53100", .server), server("53200", .server), server("57P05", .connection), server("58030", .server),
        // Another transaction was in the way, or a trigger says so.
        server("40001", .otherTransaction), server("40P01", .otherTransaction), server("55006", .otherTransaction),
        // A trigger can raise anything; other batches show whose the error is.
        server("P0001", .unexplained), server("XX000", .unexplained), server("42P01", .unexplained),
        server("42703", .unexplained), server("0A000", .unexplained), server("54000", .unexplained),
        server("99999", .unexplained),
        // A key's constraint does not matter to another SQLSTATE.
        FaultCase(state: .lockNotAvailable, constraint: "idempotency_keys_pkey", expected: .lockTimeout),
        // Errors of the client.
        FaultCase(kind: .deadline, expected: .callTimeout),
        FaultCase(kind: .deadline, state: .uniqueViolation, expected: .callTimeout),
        FaultCase(kind: .cannotConnect, expected: .connection),
        FaultCase(kind: .cannotConnect, state: .invalidPassword, expected: .connection),
        FaultCase(kind: .connectionLost, expected: .connection),
        FaultCase(kind: .interrupted, expected: .connection),
        FaultCase(kind: .protocolViolation, expected: .connection),
        FaultCase(kind: .unexpectedRowCount, expected: .unexplained),
        FaultCase(expected: .connection),
    ]

    @Test("each kind of error and each SQLSTATE is one fault", arguments: faultCases)
    func faultOfError(_ expected: FaultCase) {
        let error = PostgresError(
            kind: expected.kind, sqlState: expected.state, message: "test", constraint: expected.constraint,
            table: expected.table)
        #expect(error.fault == expected.expected)
    }
}
