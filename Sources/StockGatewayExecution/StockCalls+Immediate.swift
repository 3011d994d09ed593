import StockGateway
import StockModel
import StockQueue
import StockQueueLocking
import StockQueuePostgres

/// Calls that workers of this process decide without the table of jobs. All others are enqueued, and so is what no worker
/// takes, or what a batch could not decide.
extension StockCalls {
    /// An offer, with its calls.
    struct Offered {
        let offer: ImmediateOffer
        let calls: [PendingCall]
        let since = Stopwatch()
    }

    /// What is known of a caller, since its first call was enqueued. A worker checks it again with each batch.
    struct Place: Hashable {
        var storeID: String
        var store: StoreInLane
    }

    /// Milliseconds after which calls that no worker has taken are enqueued.
    private static let offerMs = 100
    /// Milliseconds for which calls of a lane are enqueued after an offer was not decided.
    private static let afterDeclineMs = 20
    private static let placesMax = 10_000
    /// A call with more lines is enqueued. Every line holds up the batch.
    private static let linesMax = 200

    /// Offers what can be decided at once to the workers of this process.
    ///
    /// - Returns: the calls that have to be enqueued.
    func offer(_ calls: [PendingCall], _ offered: inout [Offered]) -> [PendingCall] {
        guard let offerCalls = usableOffers else { return calls }
        var rest: [PendingCall] = []
        var lanes: [Int16: (pending: [PendingCall], calls: [ImmediateCall], stores: Set<StoreInLane>)] = [:]
        state.withLock { state in
            for pending in calls {
                if Self.canBeImmediate(pending.call), let place = state.places[pending.immediateAccess],
                    state.declinedUntil[place.store.lane]?.hasPassed ?? true
                {
                    let lane = place.store.lane
                    lanes[lane, default: ([], [], [])].pending.append(pending)
                    lanes[lane]?.calls.append(pending.immediateCall(of: place.storeID))
                    lanes[lane]?.stores.insert(place.store)
                } else {
                    rest.append(pending)
                }
            }
        }
        for (lane, group) in lanes {
            let offer = ImmediateOffer(lane: lane, stores: group.stores, calls: group.calls) { [self] outcome in
                take(outcome, of: group.pending, lane: lane)
            }
            if offerCalls(offer) {
                offered.append(Offered(offer: offer, calls: group.pending))
            } else {
                rest += group.pending
            }
        }
        return rest
    }

    /// Takes back what no worker has taken in time.
    ///
    /// - Returns: the calls that have to be enqueued.
    func withdrawLate(_ offered: inout [Offered]) -> [PendingCall] {
        var withdrawn: [PendingCall] = []
        offered.removeAll { entry in
            if entry.offer.hasEnded { return true }
            guard entry.since.milliseconds >= Self.offerMs, entry.offer.withdraw() else { return false }
            withdrawn += entry.calls
            return true
        }
        return withdrawn
    }

    /// Learns where the jobs of callers are that have enqueued, so that their next calls can be offered.
    ///
    /// - Parameter rows: what was enqueued of the calls, a row for each line.
    func learnPlaces(of calls: [PendingCall], _ rows: ResultSet) {
        if usableOffers == nil { return }
        state.withLock { state in
            var row = 0
            for pending in calls {
                defer { row += pending.call.lines.count }
                let access = pending.immediateAccess
                guard state.places[access] == nil, let place = EnqueueCalls.place(rows, row) else { continue }
                if state.places.count >= Self.placesMax { state.places.removeAll() }
                state.places[access] = place
            }
        }
    }

    private var usableOffers: (@Sendable (ImmediateOffer) -> Bool)? {
        settings.hasWorkers && settings.decidesAtOnce ? offerCalls : nil
    }

    /// A `set` may have to come behind what is queued with a lower priority, and a job that waits needs a row.
    private static func canBeImmediate(_ call: StockCall) -> Bool {
        call.submission == nil && !call.hasKey && call.lines.count <= linesMax
            && call.lines.allSatisfy { $0.action != .set && $0.onInsufficient != .wait }
    }

    /// On a worker's thread, which goes on at once: other threads write the answers.
    private func take(_ outcome: ImmediateOutcome, of calls: [PendingCall], lane: Int16) {
        var declined: [PendingCall] = []
        var finished: [JobRegistry.Finished] = []
        switch outcome {
        case .decided(let results, let finishedAt):
            for (pending, jobs) in zip(calls, results) {
                if let jobs {
                    let lines = zip(jobs, pending.call.lines).map { LineResult($0, $1, finishedAt: finishedAt) }
                    finished.append(JobRegistry.Finished(pending: pending, results: lines))
                } else {
                    declined.append(pending)
                }
            }
        case .declined: declined = calls
        case .doubtful(let jobs, let transaction):
            var givenUp: [PendingCall] = []
            for (pending, jobs) in zip(calls, jobs) {
                if jobs.isEmpty {
                    declined.append(pending)
                    continue
                }
                let submission = Submission(
                    jobs: jobs.map { EnqueuedJob(jobID: $0.jobID, enqueuedAt: $0.enqueuedAt) }, isDuplicate: false,
                    doubtfulTransaction: transaction)
                if pending.enqueued(submission) { givenUp.append(pending) }
            }
            addGivenUp(givenUp)
        }
        state.withLock { [finished, declined] state in
            state.finished += finished
            state.declined += declined
            if finished.isEmpty {
                state.declinedUntil[lane] = .after(milliseconds: Self.afterDeclineMs)
            } else {
                state.isAway = false
            }
        }
        if !finished.isEmpty { waitingWakeUp.signal() }
        if !declined.isEmpty { queuedWakeUp.signal() }
    }
}

extension PendingCall {
    /// Who makes the call, as the gateway's functions take it.
    fileprivate var immediateAccess: ImmediateAccess {
        ImmediateAccess(tokenHash: tokenHash, storeID: call.access.storeID, scopes: call.access.scopeList)
    }

    fileprivate func immediateCall(of storeID: String) -> ImmediateCall {
        ImmediateCall(
            access: immediateAccess, storeID: storeID, isGroup: call.isGroup,
            lines: call.lines.map { line in
                ImmediateCall.Line(
                    itemID: line.itemID, locationID: line.locationID, action: line.action, quantity: line.quantity,
                    onInsufficient: line.onInsufficient, notify: line.notify, parentID: line.role.parentID)
            })
    }
}
