import StockModel
import StockQueuePostgres

/// Jobs that have no result, and failed ones, by job id.
package struct JobList: FilteredList {
    /// What a job is at, as of now.
    package enum State: String, Sendable, CaseIterable {
        case ready, scheduled, waiting, retrying, paused
        /// The job has a result with the outcome `failed`.
        case failed
    }

    package var store, item, location, group, reference, idempotencyKey: String?
    /// Only jobs of this import.
    package var importID: Int64?
    package var state: State?
    /// When the job was enqueued.
    package var since, until: PastMoment?
    /// Only jobs with a higher id.
    package var after: Int64?
    package var limit: Int

    package init(limit: Int) { self.limit = limit }

    package func rows(of schema: QueueSchema) -> FilteredRows {
        var rows = FilteredRows("list_jobs", from: "\(schema.quoted).job_states", order: "job_id")
        rows.filter("job_id > $", after)
        rows.filter("store_id = $", store)
        rows.filter("item_id = $", item)
        rows.filter("location_id = $", location)
        rows.filter("group_id = $", group)
        rows.filter("reference = $", reference)
        rows.filter("idempotency_key = $", idempotencyKey)
        rows.filter(ImportList.jobs(schema), importID)
        rows.filter("enqueued_at >= $", since)
        rows.filter("enqueued_at < $", until)
        // The planner leaves one of the two tables out for either condition.
        rows.filter(state == .failed ? "state = 'finished' AND outcome = 'failed'" : nil)
        rows.filter(state == nil ? "state <> 'finished'" : nil)
        rows.filter("state = $ AND state <> 'finished'", state == .failed ? nil : state?.rawValue)
        return rows
    }
}

/// The queued jobs that an administrator names, with the rest of their groups.
package struct SelectedJobList: FilteredList {
    private let selection: QueueAdmin.Selection
    package let limit = 100_000

    package init(_ selection: QueueAdmin.Selection) { self.selection = selection }

    package func rows(of schema: QueueSchema) -> FilteredRows {
        let s = schema.quoted
        var rows = FilteredRows("list_selected_jobs", from: "(SELECT job_id, priority FROM \(s).jobs)", order: "job_id")
        let (jobs, values): (String, [String]) =
            switch selection {
            case .jobs(let ids):
                ("job_id = ANY ($::bigint[])", ["{\(ids.map { String($0) }.joined(separator: ","))}"])
            case .group(let store, let group): ("(store_id, group_id) = ($, $)", [store, group])
            case .reference(let store, let reference): ("(store_id, reference) = ($, $)", [store, reference])
            case .key(let store, let key): ("(store_id, idempotency_key) = ($, $)", [store, key])
            }
        let named = "SELECT job_id, group_id, store_id, submission_id FROM \(s).jobs WHERE \(jobs)"
        let whole = """
            job_id IN (
                WITH named AS (\(named))
                SELECT job_id FROM named
                UNION
                SELECT line.job_id FROM named JOIN \(s).jobs AS line USING (group_id, store_id, submission_id)
            )
            """
        // Each kind is a statement of its own.
        for kind in 0..<4 { rows.filter(whole, kind == selection.kind ? values : nil) }
        return rows
    }
}

extension QueueAdmin.Selection {
    fileprivate var kind: Int {
        switch self {
        case .jobs: 0
        case .group: 1
        case .reference: 2
        case .key: 3
        }
    }
}

/// Results, the newest jobs first.
package struct ResultList: FilteredList {
    package var store, item, location, group, reference, idempotencyKey: String?
    /// Only results of this import's jobs.
    package var importID: Int64?
    package var outcome: Outcome?
    package var code: ResultCode?
    /// When the job was finished.
    package var since, until: PastMoment?
    /// Only jobs with a lower id.
    package var before: Int64?
    /// Only jobs with a higher id.
    package var after: Int64?
    /// Only these jobs.
    package var jobs: [Int64]?
    /// Only jobs that were not applied.
    package var leavesOutApplied = false
    /// Only jobs that were neither retried nor corrected by an import; for roles that may read the retries.
    package var leavesOutRetried = false
    /// The beginning of the idempotency key of a job's correction, before the id: as the function `correction_of` has it.
    package static let correctionOf = "correction of job "
    package var limit: Int

    package init(limit: Int) { self.limit = limit }

    package func rows(of schema: QueueSchema) -> FilteredRows {
        let s = schema.quoted
        var rows = FilteredRows("list_results", from: "\(s).results", order: "job_id DESC")
        rows.filter("job_id < $", before)
        rows.filter("job_id > $", after)
        rows.filter("store_id = $", store)
        rows.filter("item_id = $", item)
        rows.filter("location_id = $", location)
        rows.filter(
            """
            job_id = ANY (ARRAY(
                SELECT line.job_id
                FROM \(s).results AS first
                JOIN \(s).results AS line ON line.job_id BETWEEN first.job_id AND first.group_last_job_id
                WHERE first.group_id = $ AND first.group_last_job_id IS NOT NULL
                    AND line.group_id = first.group_id AND line.store_id = first.store_id
            ))
            """, group)
        rows.filter("reference = $", reference)
        rows.filter("idempotency_key = $", idempotencyKey)
        rows.filter(ImportList.jobs(schema), importID)
        rows.filter(outcome == .failed ? "outcome = 'failed'" : nil)
        rows.filter("outcome = $::\(s).outcome", outcome == .failed ? nil : outcome?.rawValue)
        rows.filter("code = $::\(s).code", code?.rawValue)
        // The index by time leaves applied jobs out, and the planner does not know the value of a parameter's label. An
        // applied job has no code.
        let isNotApplied = leavesOutApplied || code != nil || outcome.map { $0 != .applied } ?? false
        rows.filter(isNotApplied ? "outcome <> 'applied'" : nil)
        let retry = "SELECT FROM \(s).retries WHERE retries.job_id = listed.job_id"
        let correction = """
            SELECT FROM \(s).keys_in_use AS k
            WHERE k.store_id = listed.store_id
                AND k.idempotency_key IN (
                    '\(Self.correctionOf)' || listed.job_id, '\(Self.correctionOf)' || listed.retry_of)
            """
        rows.filter(leavesOutRetried ? "NOT EXISTS (\(retry)) AND NOT EXISTS (\(correction))" : nil)
        rows.filter("finished_at >= $", since)
        rows.filter("finished_at < $", until)
        let ids = jobs.map { "{\($0.map { String($0) }.joined(separator: ","))}" }
        rows.filter("job_id = ANY ($::bigint[])", ids)
        return rows
    }
}

/// Items in the order of their keys, or those first of which the least is available.
package struct ItemList: FilteredList {
    package enum Order: String, Sendable, CaseIterable {
        case key, available
    }

    package var store, item: String?
    /// Only items at this alert level or at a worse one.
    package var level: AlertLevel?
    package var order = Order.key
    /// Only items after this key, in the order of the keys.
    package var after: ItemKey?
    package var limit: Int

    package init(limit: Int) { self.limit = limit }

    package func rows(of schema: QueueSchema) -> FilteredRows {
        let s = schema.quoted
        let source = "(SELECT \(ItemRows.columns(schema)), threshold_is_default FROM \(s).items)"
        let keys = "store_id, item_id, location_id"
        var rows = FilteredRows(
            "list_items_by_\(order.rawValue)", from: source, order: order == .key ? keys : "available, \(keys)")
        rows.filter("store_id = $", store)
        rows.filter("item_id = $", item)
        rows.filter("level >= $::\(s).alert_level", level?.rawValue)
        rows.filter("(\(keys)) > ($, $, $)", after.map { [$0.storeID, $0.itemID, $0.locationID] })
        return rows
    }
}

/// What administrators did, the newest first.
package struct OperationList: FilteredList {
    package var verb: String?
    package var since, until: PastMoment?
    /// Only operations with a lower id.
    package var before: Int64?
    package var limit: Int

    package init(limit: Int) { self.limit = limit }

    package func rows(of schema: QueueSchema) -> FilteredRows {
        var rows = FilteredRows("list_operations", from: "\(schema.quoted).operations", order: "operation_id DESC")
        rows.filter("operation_id < $", before)
        rows.filter("verb = $", verb)
        rows.filter("at >= $", since)
        rows.filter("at < $", until)
        return rows
    }
}

/// The changes outside the queue of an item that administrators accepted, the newest first.
package struct ReconciliationList: FilteredList {
    package var item: ItemKey
    package var limit: Int

    package init(of item: ItemKey, limit: Int) { (self.item, self.limit) = (item, limit) }

    package func rows(of schema: QueueSchema) -> FilteredRows {
        var rows = FilteredRows(
            "list_reconciliations", from: "\(schema.quoted).reconciliations", order: "version DESC")
        rows.filter("(store_id, item_id, location_id) = ($, $, $)", [item.storeID, item.itemID, item.locationID])
        return rows
    }
}

/// The limits of stores, by store.
package struct LimitList: FilteredList {
    package var store: String?
    package var limit: Int

    package init(limit: Int) { self.limit = limit }

    package func rows(of schema: QueueSchema) -> FilteredRows {
        var rows = FilteredRows("list_limits", from: "\(schema.quoted).store_limits", order: "store_id")
        rows.filter("store_id = $", store)
        return rows
    }
}

/// The reasons that have a name in the queue.
package struct ReasonList: FilteredList {
    package var limit: Int

    package init(limit: Int) { self.limit = limit }

    package func rows(of schema: QueueSchema) -> FilteredRows {
        FilteredRows("list_reasons", from: "\(schema.quoted).reasons", order: "reason")
    }
}

/// The sessions of worker processes that are connected to the queue's database, by name.
///
/// Of other roles' sessions a role without the rights of `pg_read_all_stats` sees only whose they are, and no kind.
package struct WorkerSessionList: FilteredList {
    /// The state of a session that this role may not see.
    package static let hidden = "hidden"

    package var limit: Int

    package init(limit: Int) { self.limit = limit }

    package func rows(of schema: QueueSchema) -> FilteredRows {
        FilteredRows(
            "list_worker_sessions",
            from: """
                (
                    SELECT pid AS process_id, application_name AS name, usename AS user_name,
                        CASE WHEN backend_type IS NULL THEN '\(Self.hidden)'
                            ELSE coalesce(client_hostname, host(client_addr), 'local') END AS client,
                        backend_start AS connected_at,
                        CASE WHEN backend_type IS NULL THEN '\(Self.hidden)' WHEN state = 'idle' THEN 'idle'
                            WHEN state = 'disabled' THEN 'unknown' ELSE 'working' END AS state,
                        state_change AS since
                    FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name ~ '\(SessionNames.service)'
                )
                """, order: "name, process_id")
    }
}

/// The queued jobs by what they have in common and by state, those with the most ready jobs first.
package struct BacklogList: FilteredList {
    package enum Group: String, Sendable, CaseIterable {
        case store, lane, item
    }

    package var group: Group
    package var limit: Int

    package init(by group: Group, limit: Int) { (self.group, self.limit) = (group, limit) }

    package func rows(of schema: QueueSchema) -> FilteredRows {
        let keys =
            switch group {
            case .store: "store_id"
            case .lane: "lane"
            case .item: "store_id, item_id, location_id"
            }
        // Of a store the lanes of its jobs, of a lane the first stores in it.
        let others =
            switch group {
            case .store: "array_agg(DISTINCT lane) AS lanes"
            case .lane:
                "count(DISTINCT store_id) AS store_count, (array_agg(DISTINCT store_id))[:\(Self.storesMax)] AS stores"
            // Beyond 64 bits: a job's quantity may be anything that fits into them.
            case .item: "sum(quantity) FILTER (WHERE action = 'adjust') AS adjusted_by"
            }
        return FilteredRows(
            "list_backlog_by_\(group.rawValue)",
            from: """
                (
                    SELECT \(keys), \(SQL.jobCounts),
                        date_trunc('milliseconds', min(since) FILTER (WHERE is_ready)) AS oldest_ready_at, \(others)
                    FROM (
                        SELECT store_id, item_id, location_id, lane, quantity, action, \(SQL.jobStates),
                            \(SQL.readySince) AS since
                        FROM \(schema.quoted).jobs
                    ) AS queued
                    GROUP BY \(keys)
                )
                """, order: "ready DESC, scheduled + waiting + retrying + paused DESC, \(keys)")
    }

    private static let storesMax = 20
}

/// Until when no message is sent about an item: one row, or none.
package struct SnoozeList: FilteredList {
    package var item: ItemKey
    package let limit = 1

    package init(of item: ItemKey) { self.item = item }

    /// The last one of each item, unless it has ended.
    private static func inForce(_ schema: QueueSchema) -> String {
        let snoozes = "\(schema.quoted).snoozes"
        return """
            (
                SELECT *
                FROM \(snoozes) AS s
                WHERE until > now() AND NOT EXISTS (
                    SELECT FROM \(snoozes) AS later
                    WHERE (later.item_id, later.store_id, later.location_id) = (s.item_id, s.store_id, s.location_id)
                        AND later.snooze_id > s.snooze_id
                )
            )
            """
    }

    package func rows(of schema: QueueSchema) -> FilteredRows {
        var rows = FilteredRows("list_snoozes", from: Self.inForce(schema), order: "snooze_id DESC")
        rows.filter("(store_id, item_id, location_id) = ($, $, $)", [item.storeID, item.itemID, item.locationID])
        return rows
    }
}

/// How the alerts of stores are sent, by store.
package struct AlertPolicyList: FilteredList {
    package var store: String?
    package var limit: Int

    package init(limit: Int) { self.limit = limit }

    package func rows(of schema: QueueSchema) -> FilteredRows {
        let source = """
            (
                SELECT DISTINCT ON (store_id) store_id, default_threshold,
                    extract(epoch FROM quiet_period)::bigint AS quiet_seconds, rearm_margin, set_at, set_by
                FROM \(schema.quoted).alert_policies
                ORDER BY store_id, policy_id DESC
            )
            """
        var rows = FilteredRows("list_alert_policies", from: source, order: "store_id")
        rows.filter("store_id = $", store)
        // A row without any of them says that the policy was removed.
        rows.filter("default_threshold IS NOT NULL OR quiet_seconds > 0 OR rearm_margin > 0")
        return rows
    }
}
