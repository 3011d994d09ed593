import Dispatch
import Foundation
import StockQueueLocking
import StockQueuePostgres

/// Runs calls in threads, each with a connection of its own, so that blocking calls stay off Swift's pool.
final class ConnectionThreads: Sendable {
    /// A piece of work for one connection.
    struct Call: Sendable {
        let id: UInt64
        /// Uses the thread's connection, which is made when there is none. Returns whether it can be used again.
        let work: @Sendable (_ connection: () throws -> Connection) -> Bool
        /// The threads end before they came to this call.
        let drop: @Sendable () -> Void
    }

    private struct State {
        var waiting: [Call] = []
        /// The call of each thread.
        var working: [UInt64?]
        var isStopped = false
        var lastID: UInt64 = 0
    }

    private let settings: ConnectionSettings
    private let state: Mutex<State>
    /// Signaled once for each call, and once for each thread when it has to end.
    private let available = DispatchSemaphore(value: 0)
    /// Ends the wait of a thread's connection for the server.
    private let interrupts: [WakePipe]

    init(_ settings: ConnectionSettings, count: Int) {
        self.settings = settings
        state = Mutex(State(working: Array(repeating: nil, count: count)))
        interrupts = (0..<count).map { _ in WakePipe() }
    }

    /// One for each thread to be started.
    var bodies: [@Sendable () -> Void] { interrupts.indices.map { number in { [self] in serve(number) } } }

    /// Queues a call; before the threads are started too.
    ///
    /// - Returns: its id; nil after `stop`.
    func submit(
        work: @escaping @Sendable (_ connection: () throws -> Connection) -> Bool, drop: @escaping @Sendable () -> Void
    ) -> UInt64? {
        let id: UInt64? = state.withLock { state in
            if state.isStopped { return nil }
            state.lastID += 1
            state.waiting.append(Call(id: state.lastID, work: work, drop: drop))
            return state.lastID
        }
        if id != nil { available.signal() }
        return id
    }

    /// Takes a call out of the queue, or interrupts the connection that it uses.
    func cancel(_ id: UInt64) {
        state.withLock { state in
            state.waiting.removeAll { $0.id == id }
            // Under the lock, so that the thread is not at its next call when it is interrupted.
            if let number = state.working.firstIndex(of: id) { interrupts[number].wake() }
        }
    }

    /// Lets the calls end that have a connection, and drops all others.
    func stop() {
        let dropped: [Call] = state.withLock { state in
            state.isStopped = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for call in dropped { call.drop() }
        for _ in interrupts { available.signal() }
    }

    private func serve(_ number: Int) {
        var connection: Connection?
        while let call = next(number) {
            let isUsable = call.work {
                if let connection { return connection }
                let made = try Connection(settings)
                made.interruptDescriptor = interrupts[number].descriptor
                connection = made
                return made
            }
            if !isUsable { connection = nil }
        }
    }

    /// Waits for a call; nil when the thread has to end.
    private func next(_ number: Int) -> Call? {
        finishCall(number)
        while true {
            available.wait()
            let (call, isStopped): (Call?, Bool) = state.withLock { state in
                let call = state.waiting.isEmpty ? nil : state.waiting.removeFirst()
                state.working[number] = call?.id
                return (call, state.isStopped)
            }
            if let call { return call }
            if isStopped { return nil }
            // The call was canceled while it was queued.
        }
    }

    private func finishCall(_ number: Int) {
        state.withLock { state in
            state.working[number] = nil
            interrupts[number].clear()
        }
    }
}
