import Foundation
import HTTPServer
import StockGateway
import StockQueue
import StockQueueLocking
import StockQueuePostgres

/// Executes the calls that change stock, in three threads with a connection each: one enqueues, one waits for results,
/// one cancels.
///
/// Calls that arrive while a transaction is under way are enqueued together by the next one (group commit). Workers of
/// this process hand over their results; one statement asks for those of all other calls. A call ends in one of three ways, and its answer is always true:
/// - it was not enqueued: nothing was applied;
/// - its jobs have results;
/// - its time is over, its client is gone, or its commit was not answered. Then its jobs are canceled, and the results
///   say what came first.
final class StockCalls: Sendable {
    struct State {
        var queued: [PendingCall] = []
        /// The thread that enqueues waits until so many calls are queued, or until an answer; 0 while it does not.
        var gathersUpTo = 0
        var waiting: [PendingCall] = []
        /// Calls were added to `waiting` since the last poll, or have to be looked at.
        var hasNewWaiting = false
        /// What workers of this process have handed over.
        var finished: [JobRegistry.Finished] = []
        var givenUp: [PendingCall] = []
        /// What a worker did not decide at once.
        var declined: [PendingCall] = []
        var places: [ImmediateAccess: Place] = [:]
        /// The lanes of which calls were not decided at once a moment ago.
        var declinedUntil: [Int16: Deadline] = [:]
        /// Calls without an answer.
        var underWay = 0
        var isStopped = false
        /// Since the last attempt the database is away.
        var isAway = false
    }

    let schema: QueueSchema
    let settings: ExecutorSettings
    let connection: ConnectionSettings
    let report: GatewayEventHandler
    let state = Mutex(State())
    let registry = JobRegistry()
    /// Names the strands of new jobs to workers of this process.
    let onEnqueued: @Sendable (Set<Strand>) -> Void
    /// Offers calls to workers of this process; false when none will take them soon.
    let offerCalls: (@Sendable (ImmediateOffer) -> Bool)?
    let queuedWakeUp = WakeUp()
    let waitingWakeUp = WakeUp()
    let givenUpWakeUp = WakeUp()

    /// Seconds that a client must wait before it calls again.
    static let retryAfterSeconds = 1

    init(
        _ connection: ConnectionSettings, _ schema: QueueSchema, _ settings: ExecutorSettings,
        _ report: @escaping GatewayEventHandler, onEnqueued: @escaping @Sendable (Set<Strand>) -> Void,
        offerCalls: (@Sendable (ImmediateOffer) -> Bool)?
    ) {
        self.offerCalls = offerCalls
        self.connection = connection
        self.onEnqueued = onEnqueued
        self.schema = schema
        self.settings = settings
        self.report = report
    }

    /// The bodies of the threads, with their names.
    var services: [(name: String, body: @Sendable () -> Void)] {
        [
            ("gateway enqueue", { [self] in enqueueLoop() }), ("gateway results", { [self] in resultLoop() }),
            ("gateway cancel", { [self] in cancelLoop() }),
        ]
    }

    /// Ends the threads. No call is under way any more.
    func stop() {
        state.withLock { state in
            state.isStopped = true
            state.hasNewWaiting = true
        }
        for wakeUp in [queuedWakeUp, waitingWakeUp, givenUpWakeUp] { wakeUp.signal() }
    }

    /// All calls that arrived together have been submitted.
    func wake() {
        let isWanted = state.withLock { !$0.queued.isEmpty && $0.queued.count >= $0.gathersUpTo }
        if isWanted { queuedWakeUp.signal() }
    }

    /// A worker of this process has committed. Its thread goes on at once; another one writes the answers.
    func take(_ finished: FinishedJobs) {
        let calls = registry.take(finished)
        if calls.isEmpty { return }
        state.withLock { $0.finished += calls }
        waitingWakeUp.signal()
    }

    var isAway: Bool { state.withLock { $0.isAway } }

    var isStopped: Bool { state.withLock { $0.isStopped } }

    /// Takes a call. `wake` follows.
    ///
    /// - Parameters:
    ///   - onDeparture: registers what happens when the client goes away.
    ///   - onAccept: is called instead of `answer` when the jobs stay in the queue: for calls of the native API only.
    ///   - answer: is called once, with whether the client has gone away.
    func submit(
        _ call: StockCall, tokenHash: String?, onDeparture: (@escaping @Sendable (Departure) -> Void) -> Void,
        onAccept: @escaping @Sendable ([EnqueuedJob]) -> Void = { _ in },
        answer: @escaping @Sendable (StockAnswer, _ isDeparted: Bool) -> Void
    ) {
        let pending = PendingCall(
            call, tokenHash: tokenHash,
            onAccept: { [self] jobs in
                registry.remove(jobs)
                state.withLock { $0.underWay -= 1 }
                onAccept(jobs)
            },
            onAnswer: { [self] result, isDeparted, jobs in
                registry.remove(jobs)
                state.withLock { $0.underWay -= 1 }
                answer(result, isDeparted)
            })
        let isTaken = state.withLock { state in
            guard state.underWay < settings.callsMax, !state.isStopped else { return false }
            state.underWay += 1
            state.queued.append(pending)
            return true
        }
        guard isTaken else {
            return answer(.failure(.unavailable(retryAfterSeconds: Self.retryAfterSeconds)), false)
        }
        // The closure ends with the answer: the exchange forgets it.
        onDeparture { [self] departure in departed(pending, departure) }
    }

    private func departed(_ pending: PendingCall, _ departure: Departure) {
        switch departure {
        // A client that went away looks like one that sends nothing more and waits for its answer.
        case .finishedSending:
            pending.hurry(milliseconds: settings.closedMs, isLeaving: true)
            lookAtWaiting()
        case .shuttingDown:
            pending.hurry(milliseconds: settings.shutdownMs)
            lookAtWaiting()
        case .disconnected:
            if pending.depart() == .giveUp { addGivenUp([pending]) }
        }
    }

    private func lookAtWaiting() {
        state.withLock { $0.hasNewWaiting = true }
        waitingWakeUp.signal()
    }

    func addGivenUp(_ calls: [PendingCall]) {
        if calls.isEmpty { return }
        state.withLock { $0.givenUp += calls }
        givenUpWakeUp.signal()
    }
}
