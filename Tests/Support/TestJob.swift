import StockModel
import StockQueuePostgres

/// A job to enqueue, as a row of `stockq.jobs`. Columns that a test does not set have the table's defaults.
///
///     try database.enqueue(.adjust("a", -1, group: "g"), .adjust("b", -5))
public struct TestJob: Sendable {
    /// A time of the database's clock.
    public enum Time: Sendable {
        case now
        /// An interval from now, as PostgreSQL writes it, for instance `1 day`.
        case after(String)
        /// A timestamp, as PostgreSQL writes it.
        case at(String)

        var sql: String {
            switch self {
            case .now: "now()"
            case .after(let interval): "now() + interval \(quoteLiteral(interval))"
            case .at(let time): "timestamptz \(quoteLiteral(time))"
            }
        }
    }

    public var store: String
    public var item: String
    public var action: StockAction
    public var quantity: Int64
    public var policy: InsufficientStockPolicy?
    public var group: String?
    public var key: String?
    public var priority: Int?
    public var runAt: Time?
    public var expiresAt: Time?
    public var orderingKey: String?
    public var reason: String?
    public var reference: String?
    public var maxAttempts: Int?

    /// A job with any action. The store is `s` unless a test names another.
    public init(
        _ action: StockAction, _ item: String, _ quantity: Int64, store: String = "s",
        policy: InsufficientStockPolicy? = nil, group: String? = nil, key: String? = nil, priority: Int? = nil,
        runAt: Time? = nil, expiresAt: Time? = nil, orderingKey: String? = nil, reason: String? = nil,
        reference: String? = nil, maxAttempts: Int? = nil
    ) {
        self.store = store
        self.item = item
        self.action = action
        self.quantity = quantity
        self.policy = policy
        self.group = group
        self.key = key
        self.priority = priority
        self.runAt = runAt
        self.expiresAt = expiresAt
        self.orderingKey = orderingKey
        self.reason = reason
        self.reference = reference
        self.maxAttempts = maxAttempts
    }

    /// A job that adds the quantity to on_hand.
    public static func adjust(
        _ item: String, _ quantity: Int64, store: String = "s", policy: InsufficientStockPolicy? = nil,
        group: String? = nil, key: String? = nil, priority: Int? = nil, runAt: Time? = nil, expiresAt: Time? = nil,
        orderingKey: String? = nil, reason: String? = nil, reference: String? = nil, maxAttempts: Int? = nil
    ) -> TestJob {
        TestJob(
            .adjust, item, quantity, store: store, policy: policy, group: group, key: key, priority: priority,
            runAt: runAt, expiresAt: expiresAt, orderingKey: orderingKey, reason: reason, reference: reference,
            maxAttempts: maxAttempts)
    }

    /// A stock count.
    public static func set(_ item: String, _ quantity: Int64, store: String = "s") -> TestJob {
        TestJob(.set, item, quantity, store: store)
    }

    /// The columns that are set, with their values in SQL.
    private var values: [String: String] {
        var values = [
            "store_id": quoteLiteral(store), "item_id": quoteLiteral(item), "quantity": String(quantity),
        ]
        // The most common action is the table's default, so that the default is tested too.
        if action != .adjust { values["action"] = quoteLiteral(action.rawValue) }
        values["on_insufficient"] = policy.map { quoteLiteral($0.rawValue) }
        values["group_id"] = group.map(quoteLiteral)
        values["idempotency_key"] = key.map(quoteLiteral)
        values["priority"] = priority.map { String($0) }
        values["run_at"] = runAt?.sql
        values["expires_at"] = expiresAt?.sql
        values["ordering_key"] = orderingKey.map(quoteLiteral)
        values["reason"] = reason.map(quoteLiteral)
        values["reference"] = reference.map(quoteLiteral)
        values["max_attempts"] = maxAttempts.map { String($0) }
        return values
    }

    /// One INSERT of all jobs: one submission. In a column that some of the jobs set, the others have the default.
    ///
    /// - Parameter schema: quoted.
    static func insertSQL(_ jobs: [TestJob], schema: String = "stockq") -> String {
        let all = jobs.map(\.values)
        let columns = Set(all.flatMap(\.keys)).sorted()
        let rows = all.map { values in
            "(" + columns.map { values[$0] ?? "DEFAULT" }.joined(separator: ", ") + ")"
        }
        return "INSERT INTO \(schema).jobs (\(columns.joined(separator: ", "))) VALUES \(rows.joined(separator: ", "))"
    }

    /// One INSERT of equal jobs.
    static func insertSQL(_ count: Int, of job: TestJob, schema: String = "stockq") -> String {
        let values = job.values.sorted { $0.key < $1.key }
        return "INSERT INTO \(schema).jobs (\(values.map(\.key).joined(separator: ", "))) "
            + "SELECT \(values.map(\.value).joined(separator: ", ")) FROM generate_series(1, \(count))"
    }
}

extension TestDatabase {
    /// Enqueues jobs as one submission.
    public func enqueue(_ jobs: TestJob...) throws { try connect().enqueue(jobs) }

    /// Enqueues jobs as one submission.
    public func enqueue(_ jobs: [TestJob]) throws { try connect().enqueue(jobs) }

    /// Enqueues equal jobs as one submission.
    public func enqueue(_ count: Int, of job: TestJob) throws { try run(TestJob.insertSQL(count, of: job)) }
}

extension Connection {
    /// Enqueues jobs in the session's transaction.
    public func enqueue(_ jobs: TestJob...) throws { try enqueue(jobs) }

    /// Enqueues jobs in the session's transaction.
    public func enqueue(_ jobs: [TestJob]) throws { try executeScript(TestJob.insertSQL(jobs)) }
}
