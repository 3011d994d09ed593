import Dispatch
import StockGateway
import StockQueueLocking
import StockQueuePostgres

/// Executes the calls that change no stock, in some threads with a connection each.
final class Lookups: Sendable {
    /// A call for one of the connections.
    struct Call: Sendable {
        /// Uses the connection and answers.
        let run: @Sendable (Connection) throws(PostgresError) -> Void
        let fail: @Sendable (CallFailure) -> Void
        var requestID: String?
    }

    private struct State {
        var calls: [Call] = []
        var isStopped = false
    }

    private let connection: ConnectionSettings
    private let settings: ExecutorSettings
    private let report: GatewayEventHandler
    private let state = Mutex(State())
    private let available = DispatchSemaphore(value: 0)

    init(_ connection: ConnectionSettings, _ settings: ExecutorSettings, _ report: @escaping GatewayEventHandler) {
        self.connection = connection
        self.settings = settings
        self.report = report
    }

    /// The bodies of the threads, with their names.
    var services: [(name: String, body: @Sendable () -> Void)] {
        (1...settings.lookupThreads).map { number in
            let name = "gateway lookup \(number)"
            return (name, { [self] in loop(name) })
        }
    }

    func submit(_ call: Call) {
        let isTaken = state.withLock { state in
            guard state.calls.count < settings.lookupsMax, !state.isStopped else { return false }
            state.calls.append(call)
            return true
        }
        if isTaken {
            available.signal()
        } else {
            call.fail(.unavailable(retryAfterSeconds: StockCalls.retryAfterSeconds))
        }
    }

    func stop() {
        state.withLock { $0.isStopped = true }
        for _ in 0..<settings.lookupThreads { available.signal() }
    }

    private func loop(_ name: String) {
        let session = Session(name, connection, report)
        while let call = next() {
            serve(call, session)
        }
    }

    /// - Parameter isSecond: the connection was lost, perhaps long ago, and this is another one.
    private func serve(_ call: Call, _ session: Session, isSecond: Bool = false) {
        do throws(PostgresError) {
            try call.run(session.open())
        } catch {
            session.recover(from: error)
            if error.kind == .connectionLost, !isSecond { return serve(call, session, isSecond: true) }
            if !error.isTransient { session.reportFailure(error, requestID: call.requestID) }
            call.fail(
                error.isTransient ? .unavailable(retryAfterSeconds: StockCalls.retryAfterSeconds) : .internalError)
        }
    }

    /// Waits for a call; nil when the thread has to end.
    private func next() -> Call? {
        while true {
            available.wait()
            let (call, isStopped): (Call?, Bool) = state.withLock { state in
                (state.calls.isEmpty ? nil : state.calls.removeFirst(), state.isStopped)
            }
            if let call { return call }
            if isStopped { return nil }
        }
    }
}
