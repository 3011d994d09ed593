import StockQueuePostgres

/// The items and jobs of one store, as SQL and for the model.
public struct StoreCase: Sendable {
    public let name: String
    /// Each item has its own ordering key.
    public let byItem: Bool
    public let items: [String: Model.Item]
    public let jobs: [Model.Job]

    public init(name: String, byItem: Bool, seed: UInt64, jobs count: Int) {
        self.name = name
        self.byItem = byItem
        var scenario = Scenario(seed: seed, items: 12)
        items = scenario.items
        jobs = scenario.jobs(count, waits: false, groups: !byItem)
    }

    /// Items and jobs from another source.
    public init(name: String, items: [String: Model.Item], jobs: [Model.Job] = []) {
        self.name = name
        byItem = false
        self.items = items
        self.jobs = jobs
    }

    public var itemsSQL: String {
        items.map { id, item in
            """
            INSERT INTO stockq.items (store_id, item_id, on_hand, allocated, low_stock_threshold, tracked)
            VALUES ('\(name)', '\(id)', \(item.onHand), \(item.allocated), \(item.threshold.map { "\($0)" } ?? "NULL"), \(item.tracked));

            """
        }.joined()
    }

    /// One INSERT, in order, with the submission ids of the model; `reference` keeps the model's id of the job.
    public var jobsSQL: String {
        let values = jobs.map { job in
            let expires = job.expired ? "'2000-01-01 00:00Z'" : "NULL"
            return "('\(name)', '\(job.item)', \(job.quantity), '\(job.action)', '\(job.policy)', \(job.priority), "
                + "\(job.expected.map { "\($0)" } ?? "NULL"), \(job.groupID.map { "'\($0)'" } ?? "NULL"), \(job.notify), "
                + "\(expires)::timestamptz, \(byItem ? "'\(name)-\(job.item)'" : "NULL"), '\(job.id)', "
                + "\(job.key.map { "'\($0)'" } ?? "NULL"), '\(job.submission + 1)'::xid8)"
        }
        return """
            INSERT INTO stockq.jobs (store_id, item_id, quantity, action, on_insufficient, priority, expected_available,
                group_id, notify, expires_at, ordering_key, reference, idempotency_key, submission_id)
            VALUES \(values.joined(separator: ",\n"));
            """
    }

    /// The first difference between the database, all of whose jobs are finished, and the model; nil if there is none.
    public func difference(_ database: TestDatabase, _ connection: Connection) throws -> String? {
        var model = Model(items: items)
        model.work(jobs)
        let results = try database.rows(
            """
            SELECT concat_ws(' ', results.reference, outcome, coalesce(code::text, '-'), coalesce(warning::text, '-'),
                applied_quantity,
                '[' || concat_ws(', ', on_hand_before, on_hand_after, allocated_before, allocated_after, results.version)
                    || ']',
                coalesce(alert_before || ' ' || alert_after, '-'), coalesce(previous.reference, '0'),
                coalesce(first.reference, '0'))
            FROM stockq.results
            LEFT JOIN (SELECT job_id AS first_job_id, reference FROM stockq.results) AS first USING (first_job_id)
            LEFT JOIN (SELECT job_id AS previous_job_id, reference FROM stockq.results) AS previous
                USING (previous_job_id)
            WHERE store_id = '\(name)'
            ORDER BY results.reference::bigint
            """, connection)
        let expected = jobs.map(\.id).sorted().map { id in
            guard let result = model.results[id] else { return "\(id) no result" }
            return "\(id) \(result.outcome) \(result.code) \(result.warning) \(result.applied) "
                + "\(result.stock) \(result.levels) \(result.previous ?? 0) \(result.first ?? 0)"
        }
        for (mine, theirs) in zip(results, expected) where mine != theirs {
            return "\(name): \(mine), the model says \(theirs)"
        }
        if results.count != expected.count { return "\(name): \(results.count) results for \(expected.count) jobs" }
        let notifications = try database.rows(
            """
            SELECT concat_ws(' ', item_id, version, kind, available_before, available_after)
            FROM stockq.notifications WHERE store_id = '\(name)' ORDER BY item_id, version
            """, connection)
        let expectedNotifications = model.notifications.sorted().map {
            "\($0.item) \($0.version) \($0.kind) \($0.before) \($0.after)"
        }
        if notifications != expectedNotifications {
            return "\(name): notifications \(notifications), the model has \(expectedNotifications)"
        }
        let stock = try database.rows(
            """
            SELECT concat_ws(' ', item_id, on_hand, allocated, version) FROM stockq.items
            WHERE store_id = '\(name)' ORDER BY item_id
            """, connection)
        let expectedStock = model.items.sorted { $0.key < $1.key }.map {
            "\($0) \($1.onHand) \($1.allocated) \($1.version)"
        }
        return stock == expectedStock ? nil : "\(name): stock \(stock), the model has \(expectedStock)"
    }
}
