import Dispatch
import Foundation
import StockQueuePostgres

/// Runs a service in a thread with a connection of its own, and connects again whenever the connection is lost.
///
/// The connection is made in the thread and never leaves it.
final class ServiceThread: Sendable {
    private let service: any WorkerService
    private let connection: ConnectionSettings
    private let context: ServiceContext
    private let report: ServiceReport
    /// Signaled when a service ends or begins to connect.
    private let changed: DispatchSemaphore
    /// Connects only while this one is connected.
    private let leader: ServiceThread?

    /// How often to check whether the leader is connected, while it is not.
    private static let leaderPauseMs = 10

    /// - Parameter leader: the service without which this one has nothing to do. It connects first: where connections
    ///   are few, the others must not use them up, and while the database is away one attempt at a time is enough.
    init(
        _ service: any WorkerService, _ base: ConnectionSettings, _ context: ServiceContext,
        changed: DispatchSemaphore, startsAfter leader: ServiceThread?
    ) {
        self.service = service
        self.context = context
        self.changed = changed
        self.leader = leader
        report = ServiceReport(name: service.name, role: service.role)
        connection = context.settings.connection(
            from: base, role: service.role, session: service.session(context.settings))
    }

    var status: ServiceStatus { report.status }

    private var isConnected: Bool { report.status.isConnected }

    var hasEnded: Bool { report.status.activity == .ended }

    /// Trying to connect: it holds no lock, so shutdown does not wait for it. libpq cannot be interrupted there.
    var isConnecting: Bool { report.status.activity == .connecting }

    func start() {
        let thread = Thread { [self] in
            run()
            transition(to: .ended)
        }
        thread.name = service.name
        thread.start()
    }

    private func run() {
        let settings = context.settings
        var backoff = Backoff(
            firstMs: settings.reconnectPauseMin.milliseconds, longestMs: settings.reconnectPauseMax.milliseconds)
        while !context.stop.isFinishing {
            if leader?.isConnected == false {
                if context.stop.wait(milliseconds: Self.leaderPauseMs) { return }
                continue
            }
            do throws(PostgresError) {
                let connection = try connect()
                // The pool does not wait for a thread that connects, so it may have ended meanwhile.
                if context.stop.isFinishing { return }
                context.onEvent(
                    .connected(.init(service: service.name, serverVersion: connection.serverVersion)))
                try service.run(on: connection, report)
                return
            } catch {
                transition(to: .disconnected)
                if error.kind == .interrupted { return }
                report.failed(error)
                if report.resetHealth() { backoff.reset() }
                let pause = backoff.next()
                context.onEvent(
                    .disconnected(.init(service: service.name, error: error, retryIn: .milliseconds(pause))))
                if context.stop.wait(milliseconds: pause) { return }
            }
        }
    }

    private func connect() throws(PostgresError) -> Connection {
        transition(to: .connecting)
        let connection = try Connection(connection)
        connection.interruptDescriptor = context.stop.abortDescriptor
        transition(to: .idle)
        return connection
    }

    private func transition(to activity: ServiceStatus.Activity) {
        report.became(activity)
        changed.signal()
    }
}
