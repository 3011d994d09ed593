import Dispatch
import Foundation
import StockQueueLocking
import StockQueuePostgres

/// A thread of a worker process with a connection of its own, which it makes anew whenever it is lost.
///
/// The connection is made in the thread and never leaves it.
final class ServiceThread: Sendable {
    private enum State {
        case disconnected, connecting, connected, ended
    }

    /// What runs in the thread once it is connected. It calls its second argument whenever the database did what it was
    /// asked to, and returns when there is nothing more to do.
    typealias Body = @Sendable (Connection, () -> Void) throws(PostgresError) -> Void

    private let name: String
    private let connection: ConnectionSettings
    private let settings: WorkerSettings
    private let stop: StopSignal
    private let onEvent: WorkEventHandler
    /// Signalled when a thread ends or begins to connect.
    private let changed: DispatchSemaphore
    private let state = Mutex(State.disconnected)
    /// Connects only while this one is connected.
    private let leader: ServiceThread?

    /// How often to poll whether the leader is connected, while it is not.
    private static let leaderPauseMs = 10

    /// - Parameter leader: the thread without which this one has nothing to do. It connects first: where connections are few,
    ///   the others must not take them from it, and while the database is away it is enough that one asks.
    init(
        _ name: String, _ connection: ConnectionSettings, _ settings: WorkerSettings, stop: StopSignal,
        onEvent: @escaping WorkEventHandler, changed: DispatchSemaphore, behind leader: ServiceThread?
    ) {
        self.name = name
        self.connection = connection
        self.settings = settings
        self.stop = stop
        self.onEvent = onEvent
        self.changed = changed
        self.leader = leader
    }

    func start(_ body: @escaping Body) {
        let thread = Thread { [self] in
            live(body)
            enter(.ended)
        }
        thread.name = name
        thread.start()
    }

    private var isConnected: Bool { state.withLock { $0 == .connected } }

    var hasEnded: Bool { state.withLock { $0 == .ended } }

    /// Trying to connect: it holds nothing, so a stop need not wait for it. libpq cannot be interrupted in this.
    var isConnecting: Bool { state.withLock { $0 == .connecting } }

    private func live(_ body: Body) {
        var backoff = Backoff(firstMs: settings.reconnectFirstMs, longestMs: settings.reconnectLongestMs)
        while !stop.isFinishing {
            if leader?.isConnected == false {
                if stop.wait(milliseconds: Self.leaderPauseMs) { return }
                continue
            }
            do throws(PostgresError) {
                let connection = try connect()
                // Nobody waits for a thread that connects, so the pool may have ended meanwhile.
                if stop.isFinishing { return }
                onEvent(.connected(worker: name, server: connection.serverVersion))
                try body(connection) { backoff.reset() }
                return
            } catch {
                enter(.disconnected)
                if error.kind == .interrupted { return }
                let pause = backoff.next()
                onEvent(.disconnected(worker: name, error: error, retryInMs: pause))
                if stop.wait(milliseconds: pause) { return }
            }
        }
    }

    private func connect() throws(PostgresError) -> Connection {
        enter(.connecting)
        let connection = try Connection(connection)
        connection.interruptDescriptor = stop.abortDescriptor
        enter(.connected)
        return connection
    }

    private func enter(_ new: State) {
        state.withLock { $0 = new }
        changed.signal()
    }
}
