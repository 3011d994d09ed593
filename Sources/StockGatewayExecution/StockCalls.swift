import Foundation
import HTTPServer
import StockGateway
import StockQueue
import StockQueueLocking
import StockQueuePostgres

/// Executes the calls that change stock, in three threads with a connection each: one enqueues, one waits for results,
/// one cancels.
///
/// Calls that arrive while a transaction is under way are enqueued together by the next one (group commit), and one
/// statement asks for the results of all that wait. A call ends in one of three ways, and its answer is always true:
/// - it was not enqueued: nothing was applied;
/// - its jobs have results;
/// - its time is over, its client is gone, or its commit was not answered. Then its jobs are canceled, and the results
///   say what came first.
final class StockCalls: Sendable {
    struct State {
        var queued: [PendingCall] = []
        var waiting: [PendingCall] = []
        /// Calls were added to `waiting` since the last poll.
        var hasNewWaiting = false
        var givenUp: [PendingCall] = []
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
    let queuedWakeUp = WakeUp()
    let waitingWakeUp = WakeUp()
    let givenUpWakeUp = WakeUp()

    /// Seconds that a client must wait before it calls again.
    static let retryAfterSeconds = 1

    init(
        _ connection: ConnectionSettings, _ schema: QueueSchema, _ settings: ExecutorSettings,
        _ report: @escaping GatewayEventHandler
    ) {
        self.connection = connection
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
        state.withLock { $0.isStopped = true }
        for wakeUp in [queuedWakeUp, waitingWakeUp, givenUpWakeUp] { wakeUp.signal() }
    }

    /// A worker of this process has committed.
    func workersCommitted() { waitingWakeUp.signal() }

    var isAway: Bool { state.withLock { $0.isAway } }

    var isStopped: Bool { state.withLock { $0.isStopped } }

    /// Takes a call.
    ///
    /// - Parameters:
    ///   - onDeparture: registers what happens when the client goes away.
    ///   - onAccept: is called instead of `answer` when the jobs stay in the queue: for calls of the native API only.
    ///   - answer: is called once, with whether the client has gone away.
    func submit(
        _ call: StockCall, onDeparture: (@escaping @Sendable (Departure) -> Void) -> Void,
        onAccept: @escaping @Sendable ([EnqueuedJob]) -> Void = { _ in },
        answer: @escaping @Sendable (StockAnswer, _ isDeparted: Bool) -> Void
    ) {
        let pending = PendingCall(
            call, tokenHash: call.access.tokenHash,
            onAccept: { [self] jobs in
                state.withLock { $0.underWay -= 1 }
                onAccept(jobs)
            },
            onAnswer: { [self] result, isDeparted in
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
        onDeparture { [weak pending, self] departure in
            guard let pending else { return }
            departed(pending, departure)
        }
        queuedWakeUp.signal()
    }

    private func departed(_ pending: PendingCall, _ departure: Departure) {
        switch departure {
        // A client that went away looks like one that sends nothing more and waits for its answer.
        case .finishedSending:
            pending.hurry(milliseconds: settings.closedMs, isLeaving: true)
            waitingWakeUp.signal()
        case .shuttingDown:
            pending.hurry(milliseconds: settings.shutdownMs)
            waitingWakeUp.signal()
        case .disconnected:
            if pending.depart() == .giveUp { addGivenUp([pending]) }
        }
    }

    func addGivenUp(_ calls: [PendingCall]) {
        if calls.isEmpty { return }
        state.withLock { $0.givenUp += calls }
        givenUpWakeUp.signal()
    }
}
