import Foundation
import StockQueueLocking
import StockQueuePostgres

/// What a service of a worker process is doing.
public struct ServiceStatus: Sendable {
    public enum Activity: Sendable, Hashable {
        /// It has no connection, and waits before it connects.
        case disconnected
        case connecting
        /// It is connected and has nothing to do.
        case idle
        /// It works on a lane, 0–63.
        case working(lane: Int)
        /// It has ended.
        case ended
    }

    /// The service's name in logs and results.
    public let name: String
    /// What the service does: `worker 1`, `poller`, `maintenance`, `ledger checker`.
    public let role: String
    public internal(set) var activity = Activity.disconnected
    /// Since when it has had this activity.
    public internal(set) var since = Date()
    /// When the database did last what the service asked it to.
    public internal(set) var lastSuccessAt: Date?
    /// The last error after which it had to connect again, or paused a lane.
    public internal(set) var lastError: PostgresError?
    /// When that was.
    public internal(set) var lastErrorAt: Date?

    package init(
        name: String, role: String, activity: Activity = .disconnected, since: Date = Date(),
        lastSuccessAt: Date? = nil
    ) {
        (self.name, self.role, self.activity) = (name, role, activity)
        (self.since, self.lastSuccessAt) = (since, lastSuccessAt)
    }

    public var isConnected: Bool {
        switch activity {
        case .idle, .working: true
        case .disconnected, .connecting, .ended: false
        }
    }
}

/// Where a service reports what it does.
final class ServiceReport: Sendable {
    private let state: Mutex<ServiceStatus>
    private let isHealthy = Mutex(false)

    init(name: String, role: String) { state = Mutex(ServiceStatus(name: name, role: role)) }

    var status: ServiceStatus { state.withLock { $0 } }

    /// The service has begun something else.
    func became(_ activity: ServiceStatus.Activity) {
        state.withLock { status in
            if status.activity == activity { return }
            status.activity = activity
            status.since = Date()
        }
    }

    func failed(_ error: PostgresError) {
        state.withLock { status in
            status.lastError = error
            status.lastErrorAt = Date()
        }
    }

    /// The database did what the service asked it to: the next reconnection starts with the shortest pause.
    func healthy() {
        isHealthy.withLock { $0 = true }
        let now = Date()
        state.withLock { $0.lastSuccessAt = now }
    }

    /// Whether `healthy` was called since the last time this was asked.
    func resetHealth() -> Bool {
        isHealthy.withLock { value in
            defer { value = false }
            return value
        }
    }
}
