import StockGateway
import StockQueue
import StockQueueLocking
import StockQueuePostgres

/// The thread that enqueues.
extension StockCalls {
    func enqueueLoop() {
        let session = Session("gateway enqueue", connection, report)
        var offered: [Offered] = []
        while true {
            gather()
            let new = takeQueued()
            let calls = takeDeclined() + withdrawLate(&offered) + offer(new, &offered)
            if !calls.isEmpty {
                enqueue(calls, session)
            } else if isStopped, offered.isEmpty {
                return
            } else if new.isEmpty, !queuedWakeUp.wait(milliseconds: offered.isEmpty ? Self.idleMs : Self.offeredMs),
                offered.isEmpty
            {
                probe(session)
            }
        }
    }

    /// Milliseconds between two looks at calls that are offered.
    private static let offeredMs = 20

    private func takeDeclined() -> [PendingCall] {
        state.withLock { state in
            defer { state.declined.removeAll() }
            return state.declined
        }
    }

    /// Waits until as many calls are queued as are being decided. So half of many calls are enqueued while workers decide
    /// the other half, in transactions as large as theirs; a few calls wait for nothing.
    private func gather() {
        let end = Deadline.after(milliseconds: settings.gatherMsMax)
        while settings.hasWorkers {
            let waits = state.withLock { state in
                let wanted = min(state.underWay - state.queued.count, settings.callsPerCommitMax)
                let waits =
                    !state.queued.isEmpty && state.queued.count < wanted && state.declined.isEmpty && !state.isStopped
                    && !end.hasPassed
                state.gathersUpTo = waits ? wanted : 0
                return waits
            }
            if !waits { return }
            queuedWakeUp.wait(milliseconds: end.remainingMs)
        }
    }

    /// Milliseconds without a call after which the database is asked whether it is there.
    private static let idleMs = 1_000

    /// So that the first call after a while finds a connection, and that health checks know of a database that is away.
    private func probe(_ session: Session) {
        var isAway = false
        do throws(PostgresError) {
            try session.open().execute(EnqueueCalls.probe)
        } catch {
            session.recover(from: error)
            isAway = true
        }
        state.withLock { [isAway] in $0.isAway = isAway }
    }

    /// The calls of the next transaction. Those whose time is over are answered.
    private func takeQueued() -> [PendingCall] {
        let taken: [PendingCall] = state.withLock { state in
            let count = min(state.queued.count, settings.callsPerCommitMax)
            let (taken, postponed) = Self.withoutEqualGroups(state.queued[..<count])
            state.queued.replaceSubrange(..<count, with: postponed)
            return taken
        }
        return taken.filter { pending in
            guard pending.beginEnqueuing() else { return false }
            if pending.isLate { pending.answer(.failure(.undecided)) }
            return !pending.isLate
        }
    }

    /// The calls that one transaction can enqueue, and those for the next: the lines of two groups with one name and store
    /// would be one group.
    private static func withoutEqualGroups(
        _ calls: ArraySlice<PendingCall>
    ) -> (taken: [PendingCall], postponed: [PendingCall]) {
        guard calls.contains(where: { $0.call.submission != nil }) else { return (Array(calls), []) }
        var groups: Set<[String]> = []
        var (taken, postponed): ([PendingCall], [PendingCall]) = ([], [])
        for pending in calls {
            let own = (pending.call.submission?.groupIDs ?? []).map { [pending.call.access.storeID ?? "", $0] }
            if groups.isDisjoint(with: own) {
                groups.formUnion(own)
                taken.append(pending)
            } else {
                postponed.append(pending)
            }
        }
        return (taken, postponed)
    }

    /// - Parameter isSecond: the connection was lost before anything was enqueued, and this is another one.
    private func enqueue(_ calls: [PendingCall], _ session: Session, isSecond: Bool = false) {
        let outcomes: [Result<Submission, CallFailure>]
        let strands: Set<Strand>
        var vendorRows: ResultSet?
        let transaction: String?
        // Those of the vendors first.
        let (native, vendors) = (calls.filter { $0.call.submission != nil }, calls.filter { $0.call.submission == nil })
        let calls = vendors + native
        do throws(PostgresError) {
            let connection = try session.open()
            try connection.send(.begin)
            try connection.sendSessionSettings()
            // No answer depends on this COMMIT being on the disk, unless it says that the jobs are in the queue: a result
            // does, and the worker's COMMIT behind it writes the log up to itself. Jobs that a crash of the server loses
            // were never applied, and their calls are given up.
            if !native.contains(where: { $0.call.submission?.acceptedAfterMs != nil }) {
                try connection.send(EnqueueCalls.commitLater)
            }
            if !vendors.isEmpty {
                try connection.send(EnqueueCalls.statement(schema), EnqueueCalls.parameters(vendors))
            }
            if !native.isEmpty { try connection.send(SubmitCalls.statement(schema), SubmitCalls.parameters(native)) }
            try connection.send(EnqueueCalls.transaction)
            let answers = try connection.receive()
            let last = answers.count - 1
            let rows = answers[last]
            vendorRows = vendors.isEmpty ? nil : answers[native.isEmpty ? last - 1 : last - 2]
            (outcomes, strands) = EnqueueCalls.outcomes(
                (vendorRows.map { [($0, vendors)] } ?? [])
                    + (native.isEmpty ? [] : [(answers[last - 1], native)]))
            transaction = rows.optionalString(0, rows.column("transaction"))
        } catch {
            // No COMMIT was sent, so nothing was enqueued.
            session.recover(from: error)
            if error.kind == .connectionLost, !isSecond { return enqueue(calls, session, isSecond: true) }
            return notEnqueued(calls, error, session)
        }
        if settings.hasWorkers { register(calls, outcomes) }
        do throws(PostgresError) {
            try session.open().commit()
            onEnqueued(strands)
            if let vendorRows { learnPlaces(of: vendors, vendorRows) }
            handOver(calls, outcomes, doubtfulTransaction: nil)
        } catch {
            session.recover(from: error)
            handOver(calls, outcomes, doubtfulTransaction: transaction)
        }
        state.withLock { $0.isAway = false }
    }

    /// Before the commit, so that a worker that decides the jobs at once finds their calls.
    private func register(_ calls: [PendingCall], _ outcomes: [Result<Submission, CallFailure>]) {
        var added: [(pending: PendingCall, jobs: [EnqueuedJob])] = []
        added.reserveCapacity(calls.count)
        for (pending, outcome) in zip(calls, outcomes) {
            guard case .success(let submission) = outcome, !submission.isDuplicate else { continue }
            added.append((pending, submission.jobs))
        }
        registry.add(added)
    }

    private func notEnqueued(_ calls: [PendingCall], _ error: PostgresError, _ session: Session) {
        if error.isTransient {
            state.withLock { $0.isAway = true }
            for pending in calls {
                pending.answer(.failure(.unavailable(retryAfterSeconds: Self.retryAfterSeconds)))
            }
        } else if calls.count > 1 {
            // One call is at fault: the others are enqueued without it.
            let middle = calls.count / 2
            enqueue(Array(calls[..<middle]), session)
            enqueue(Array(calls[middle...]), session)
        } else {
            session.reportFailure(error, requestID: calls.first?.call.access.caller.requestID)
            for pending in calls { pending.answer(.failure(.internalError)) }
        }
    }

    private func handOver(
        _ calls: [PendingCall], _ outcomes: [Result<Submission, CallFailure>], doubtfulTransaction: String?
    ) {
        var waiting: [PendingCall] = []
        var givenUp: [PendingCall] = []
        // Workers of this process hand over the results of new jobs.
        var mustLook = !settings.hasWorkers
        for (pending, outcome) in zip(calls, outcomes) {
            switch outcome {
            case .failure(let failure): pending.answer(.failure(failure))
            case .success(var submission):
                submission.doubtfulTransaction = doubtfulTransaction
                mustLook = mustLook || submission.isDuplicate || pending.call.submission?.acceptedAfterMs != nil
                if pending.enqueued(submission) {
                    givenUp.append(pending)
                } else if !pending.accept(), pending.isWaiting {
                    waiting.append(pending)
                }
            }
        }
        if !waiting.isEmpty {
            mustLook = state.withLock { [mustLook] state in
                // The thread that looks at the list sleeps long while it is empty.
                let mustLook = mustLook || state.waiting.isEmpty
                state.waiting += waiting
                state.hasNewWaiting = state.hasNewWaiting || mustLook
                return mustLook
            }
            if mustLook { waitingWakeUp.signal() }
        }
        addGivenUp(givenUp)
    }
}
