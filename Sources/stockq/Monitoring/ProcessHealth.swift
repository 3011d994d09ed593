import CommandLineKit
import Foundation
import HTTPServer
import StockQueue
import StockQueueLocking

/// Whether this process lives, has started, and can work: for a service manager and for orchestrators.
package final class ProcessHealth: Sendable {
    enum Phase: Sendable {
        /// - Parameter problem: why it has not started yet; nil where nothing is known.
        case starting(problem: String?)
        case running
        case stopping
    }

    /// One line of an answer.
    package struct Check: Sendable {
        var name: String
        /// Nil where all is well.
        package var problem: String?
        /// What is known where all is well.
        var note: String?

        package var line: String { "\(name): " + (problem ?? "ok" + (note.map { " (\($0))" } ?? "")) }
    }

    private struct State: Sendable {
        var phase = Phase.starting(problem: nil)
        var statuses: @Sendable () -> [ServiceStatus] = { [] }
        var databaseIsAway: @Sendable () -> Bool = { false }
    }

    /// A service that waits for nothing longer than this without word from the database hangs.
    private let hangAfter: TimeInterval
    private let state = Mutex(State())

    /// - Parameter callTimeout: how long one call of the database may take. A batch has several.
    package init(callTimeout: Duration) { hangAfter = 10 * (callTimeout / .seconds(1)) }

    // MARK: what the process reports

    func isWaiting(for problem: String) { state.withLock { $0.phase = .starting(problem: problem) } }

    func isRunning() { state.withLock { $0.phase = .running } }

    /// - Returns: whether this is news.
    func isStopping() -> Bool {
        state.withLock { state in
            if case .stopping = state.phase { return false }
            state.phase = .stopping
            return true
        }
    }

    /// - Parameter statuses: of the services of a pool; empty before it runs.
    package func watch(_ statuses: @escaping @Sendable () -> [ServiceStatus]) {
        state.withLock { $0.statuses = statuses }
    }

    /// - Parameter databaseIsAway: whether the last call of the gateway was not answered.
    func watch(databaseIsAway: @escaping @Sendable () -> Bool) {
        state.withLock { $0.databaseIsAway = databaseIsAway }
    }

    /// What each service does now.
    var statuses: [ServiceStatus] { state.withLock { $0.statuses }() }

    // MARK: checks

    /// Whether the process lives. A problem means that only a new start helps; a database that is away is none.
    package func liveness(at now: Date = Date()) -> [Check] {
        let hanging = statuses.compactMap { status -> Check? in
            guard let since = status.waitsSince, now.timeIntervalSince(since) > hangAfter else { return nil }
            let seconds = Int(now.timeIntervalSince(since))
            return Check(name: status.role, problem: "hangs; the database answered it last \(seconds) s ago")
        }
        return [Check(name: "process")] + hanging
    }

    /// Whether the process has started.
    func startup() -> [Check] {
        switch state.withLock({ $0.phase }) {
        case .starting(let problem):
            [Check(name: "start", problem: "not complete" + (problem.map { ": \($0)" } ?? ""))]
        case .running, .stopping: [Check(name: "start")]
        }
    }

    /// Whether the process works, or takes calls, now.
    func readiness() -> [Check] {
        let (phase, databaseIsAway) = state.withLock { ($0.phase, $0.databaseIsAway) }
        var checks = startup()
        if case .stopping = phase { checks.append(Check(name: "stop", problem: "under way")) }
        if case .running = phase {
            let database = database(databaseIsAway())
            checks.append(database)
            // A worker that is idle learns later than the poller that its connection is lost.
            if database.problem == nil { checks += workers() }
        }
        return checks
    }

    private func database(_ isAway: Bool) -> Check {
        if isAway { return Check(name: "database", problem: "away; the last call was not answered") }
        guard let poller = statuses.first(where: { !$0.role.hasPrefix("worker ") }), !poller.isConnected else {
            return Check(name: "database")
        }
        let reason = poller.lastError.map { "; \($0)" } ?? ""
        return Check(name: "database", problem: "the \(poller.role) has no connection\(reason)")
    }

    private func workers() -> [Check] {
        let workers = statuses.filter { $0.role.hasPrefix("worker ") }
        if workers.isEmpty { return [] }
        let connected = workers.count { $0.isConnected }
        let text = "\(connected) of \(workers.count) connected"
        return [
            connected > 0
                ? Check(name: "workers", note: text) : Check(name: "workers", problem: text)
        ]
    }

    // MARK: answers

    /// 200 if all is well, else 503, with a line for each check.
    static func response(_ checks: [Check]) -> Response {
        .text(
            checks.allSatisfy { $0.problem == nil } ? .ok : .serviceUnavailable,
            checks.map { $0.line.printable }.joined(separator: "\n"))
    }
}

extension ServiceStatus {
    /// Since when the service has had no word from the database that it should have: the poller asks again and again, and
    /// a worker while it works.
    fileprivate var waitsSince: Date? {
        let isAsking =
            switch activity {
            case .working: true
            case .idle: role == "poller"
            case .disconnected, .connecting, .ended: false
            }
        return isAsking ? max(since, lastSuccessAt ?? since) : nil
    }
}
