import Foundation
import StockQueue
import StockQueueLocking
import StockQueuePostgres
import TestSupport

/// Subscriptions of a fault test with their receiver, a deliverer program, and what must hold of what has arrived
/// (I11–I13 of docs/internals/reliability.md).
final class DeliveriesUnderTest: Sendable {
    let receiver: WebhookReceiver
    private let database: TestDatabase
    private let program: Program
    private let process = Mutex<Program.Running?>(nil)

    /// For each program that delivers.
    static let receiverSettings = [
        "--set", "allowPrivateTargets=true", "--set", "deliveryTimeout=1s", "--set", "deliveryPollInterval=20ms",
    ]

    /// For a deliverer: a claim that is lost counts as lost soon.
    static let settings = receiverSettings + ["--set", "callTimeout=2s"]

    /// For workers inside the test.
    static func change(_ settings: inout WorkerSettings) {
        settings.allowPrivateTargets = true
        settings.deliveryTimeout = .seconds(1)
        settings.deliveryPollInterval = .milliseconds(20)
        settings.callTimeout = .seconds(2)
    }

    private enum Subscription: String, CaseIterable {
        case alerts, out, changes

        /// Arguments of `add_subscription`.
        var filter: String {
            switch self {
            case .alerts: "store_id => NULL"
            case .out: "store_id => NULL, events => '{stock.out}', item_prefix => 'item-1'"
            case .changes: "store_id => 'store-0', events => '{stock.changed}', item_prefix => 'item-'"
            }
        }

        /// What there is to deliver: key, event and the contents that the test compares.
        var ledger: String {
            switch self {
            case .alerts, .out:
                """
                SELECT 'notification ' || notification_id, concat_ws(' ',
                    CASE kind WHEN 'low_stock' THEN 'stock.low' WHEN 'out_of_stock' THEN 'stock.out'
                        WHEN 'restocked' THEN 'stock.restocked' ELSE 'stock.back_in_stock' END,
                    store_id, item_id, version, available_after)
                FROM stockq.notifications
                \(self == .out ? "WHERE kind = 'out_of_stock' AND item_id LIKE 'item-1%'" : "")
                """
            case .changes:
                """
                SELECT 'job ' || job_id, concat_ws(' ', action, store_id, item_id, version,
                    on_hand_after - allocated_after)
                FROM stockq.results WHERE outcome = 'applied' AND store_id = 'store-0' AND item_id LIKE 'item-%'
                """
            }
        }
    }

    /// - Parameter program: with the database of the deliverer, directly or through a proxy.
    init(_ database: TestDatabase, _ program: Program) throws {
        self.database = database
        self.program = program
        receiver = try WebhookReceiver()
        for one in Subscription.allCases {
            try database.run(
                """
                SELECT stockq.add_subscription('\(one.rawValue)', 'webhook', '\(receiver.url("/moody/\(one.rawValue)"))',
                    secret => '\(WebhookReceiver.secret)', \(one.filter))
                """)
        }
    }

    // MARK: the deliverer

    var processID: Int32? { process.withLock { $0?.processID } }

    var hasEnded: Bool { process.withLock { $0?.hasEnded ?? true } }

    func send(_ signal: Int32) { process.withLock { $0?.send(signal) } }

    @discardableResult
    func start() throws -> Program.Running {
        let running = try program.start(["deliver", "--log-level", "error"] + Self.settings)
        process.withLock { $0 = running }
        return running
    }

    func wait() throws -> Program.Ended? { try process.withLock { $0 }?.wait() }

    /// Ends the deliverer as an administrator does: once it has a session it has its signal handlers, too.
    func stop() throws -> Program.Ended? {
        let sessions = """
            SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name LIKE 'stockq deliver%'
            """
        // While the server is away there are none; the deliverer was started long before.
        _ = eventually(seconds: 10) { hasEnded || (try? database.value(sessions)).map { $0 != "0" } == true }
        send(SIGTERM)
        return try wait()
    }

    // MARK: time

    /// SQL after which the time until the next attempts has passed: the attempts that the schedule puts off for hours
    /// are due. A claim is not changed, because its deliverer may live.
    static let timePasses = """
        UPDATE stockq.deliveries SET next_attempt_at = now(), attempts = least(attempts, 2)
        WHERE state = 'pending' AND claim_id IS NULL AND next_attempt_at > now()
        """

    /// Lets time pass again and again beside a test.
    func timePassing() -> RepeatingSession {
        RepeatingSession(database, everyMs: 200, accepts: [.deadlockDetected]) { _ in [Self.timePasses] }
    }

    // MARK: invariants

    /// Waits until everything is delivered. A deliverer must be running.
    ///
    /// - Returns: what is missing, invented, changed or out of order.
    func violations(seconds: Double = 90) throws -> [String] {
        try receiver.becomes(.ok)
        let time = timePassing()
        var violations: [String] = []
        // A statement of the test finds out first; reading what has arrived takes longer.
        let isPending = """
            SELECT EXISTS (SELECT FROM stockq.deliveries WHERE state = 'pending') OR EXISTS (
                SELECT FROM stockq.notifications AS n, stockq.delivery_progress AS p
                WHERE (n.position, n.notification_id) > (p.position, p.row_id))
            """
        _ = try eventually(seconds: seconds) {
            if try waitingForServer({ try database.value(isPending) }) == "t" {
                pause(milliseconds: 100)
                return false
            }
            violations = try Subscription.allCases.flatMap(difference)
            return violations.isEmpty
        }
        try time.stop()
        let remains = try waitingForServer { try database.value(isPending) } == "t"
        if violations.isEmpty && remains {
            let states = try waitingForServer {
                try database.rows(
                    """
                    SELECT format('%s deliveries are %s, for instance %s: %s', count(*), state, min(message_id),
                        min(last_error))
                    FROM stockq.deliveries GROUP BY state
                    """)
            }
            violations = ["deliveries are pending after \(seconds) s: \(states)"]
        }
        return try violations + unusual()
    }

    /// Deliveries that gave up, and subscriptions that were disabled: no fault of a test lasts that long.
    private func unusual() throws -> [String] {
        try waitingForServer {
            try database.rows(
                """
                SELECT format('delivery %s is dead: %s', delivery_id, last_error) FROM stockq.deliveries
                WHERE state = 'dead'
                UNION ALL
                SELECT format('subscription %s was disabled: %s', name, disabled_reason)
                FROM stockq.list_subscriptions() WHERE disabled_at IS NOT NULL
                """)
        }
    }

    private func difference(_ subscription: Subscription) throws -> [String] {
        let rows = try waitingForServer {
            try database.rows("SELECT key || '=' || contents FROM (\(subscription.ledger)) AS l (key, contents)")
        }
        var missing: [String: String] = [:]
        for row in rows {
            let parts = row.split(separator: "=", maxSplits: 1).map(String.init)
            missing[parts[0]] = parts[1]
        }
        let ledger = missing
        var violations: [String] = []
        var ids: Set<String> = []
        var last: [String: Event] = [:]
        for message in receiver.received where message.path == "/moody/\(subscription.rawValue)" {
            if !message.verified { violations.append("\(subscription): \(message.id) has a wrong signature") }
            // A receiver drops what it has received before.
            guard ids.insert(message.id).inserted else { continue }
            for event in try Event.all(in: message) {
                if ledger[event.key] != event.contents {
                    violations.append(
                        "\(subscription): \(event.key) was sent as \(event.contents), the ledger has "
                            + (ledger[event.key] ?? "nothing"))
                } else if missing.removeValue(forKey: event.key) == nil {
                    violations.append("\(subscription): \(event.key) came with two ids")
                }
                let item = "\(event.storeID) \(event.itemID)"
                if let earlier = last[item], (earlier.version, earlier.number) >= (event.version, event.number) {
                    violations.append("\(subscription): \(event.key) of \(item) came after \(earlier.key)")
                }
                last[item] = event
            }
        }
        return violations + missing.keys.map { "\(subscription): \($0) was not delivered" }
    }

    /// One notification, or one change of stock, as a message says.
    private struct Event {
        var key: String
        var contents: String
        var storeID: String
        var itemID: String
        var version: Int64
        /// Of the notification or of the job.
        var number: Int64

        private struct Body: Decodable {
            var type: String
            var data: Content
        }

        private struct Content: Decodable {
            var notificationID: Int64?
            var jobID: Int64?
            var action: String?
            var storeID: String?
            var itemID: String?
            var version: Int64?
            var available: Int64?
            var changes: [Content]?

            private enum CodingKeys: String, CodingKey {
                case notificationID = "notification_id"
                case jobID = "job_id"
                case storeID = "store_id"
                case itemID = "item_id"
                case action, version, available, changes
            }
        }

        static func all(in message: WebhookReceiver.Received) throws -> [Event] {
            let body = try JSONDecoder().decode(Body.self, from: Data(message.body.utf8))
            return (body.data.changes ?? [body.data]).map { Event(body.type, $0) }
        }

        private init(_ type: String, _ content: Content) {
            let isChange = type == "stock.changed"
            storeID = content.storeID ?? ""
            itemID = content.itemID ?? ""
            version = content.version ?? -1
            number = (isChange ? content.jobID : content.notificationID) ?? -1
            key = (isChange ? "job " : "notification ") + "\(number)"
            contents =
                "\(isChange ? content.action ?? "" : type) \(storeID) \(itemID) \(version) \(content.available ?? -1)"
        }
    }
}
