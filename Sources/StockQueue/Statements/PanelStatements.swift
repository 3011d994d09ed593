import StockModel
import StockQueuePostgres

// What the dashboard and `stockq top` show: each statement answers one panel as a JSON object, and reads a bounded number
// of rows whatever the size of the queue and of the results (docs/internals/dashboard.md).

/// A part of the snapshot that is read less often than the numbers: its name is the key in the snapshot's JSON.
package enum SnapshotPanel: String, Sendable, CaseIterable {
    /// Outcomes, codes and the items with the most jobs, of the newest results.
    case recent
    /// The stores and items with the most queued jobs.
    case backlog
    /// Items that became low or ran out lately, and the newest notifications.
    case levels
    /// The newest failed and rejected jobs.
    case failures
    /// Deliveries that failed or wait.
    case deliveries
    /// What the sessions of workers do.
    case workers
    /// What is paused, and what administrators did last.
    case administration
}

/// Reads a panel. The newest results are those with the highest job ids: an index has them, and by time it has not.
struct ReadPanelStatement: QueueStatement {
    let statement: Statement

    init(_ panel: SnapshotPanel, _ schema: QueueSchema) {
        let s = schema.quoted
        let sql =
            switch panel {
            case .recent: Self.recent(s)
            case .backlog: Self.backlog(s)
            case .levels: Self.levels(s, schema)
            case .failures: Self.failures(s)
            case .deliveries: Self.deliveries(s)
            case .workers: Self.workers(s)
            case .administration: Self.administration(s)
            }
        statement = Statement("panel_\(panel.rawValue)", [], sql)
    }

    /// The newest results of a panel, and those of them whose outcomes are counted.
    static let resultsMax = 2_000
    /// For how long a result is recent.
    static let recentSeconds = 3_600
    /// The rows of a list.
    private static let rowsMax = 15

    private static func recent(_ s: String) -> String {
        """
        WITH newest AS MATERIALIZED (
            SELECT outcome, code, store_id, item_id, location_id, finished_at
            FROM \(s).results
            ORDER BY job_id DESC
            LIMIT \(resultsMax)
        ), recent AS MATERIALIZED (
            SELECT * FROM newest WHERE finished_at > now() - interval '\(recentSeconds) seconds'
        ), hottest AS (
            SELECT store_id, item_id, location_id, count(*) AS jobs,
                count(*) FILTER (WHERE outcome = 'rejected') AS rejected
            FROM recent
            GROUP BY store_id, item_id, location_id
            ORDER BY jobs DESC, store_id, item_id, location_id
            LIMIT \(rowsMax)
        )
        SELECT json_build_object(
            'jobs', (SELECT count(*) FROM recent),
            'jobs_max', \(resultsMax),
            'since', (SELECT min(finished_at) FROM recent),
            'outcomes', (
                SELECT coalesce(json_object_agg(outcome, jobs), '{}')
                FROM (SELECT outcome, count(*) AS jobs FROM recent GROUP BY outcome ORDER BY outcome) AS counted
            ),
            'codes', (
                SELECT coalesce(json_object_agg(code, jobs), '{}')
                FROM (
                    SELECT code, count(*) AS jobs FROM recent
                    WHERE code IS NOT NULL GROUP BY code ORDER BY jobs DESC, code
                ) AS counted
            ),
            'hottest', (SELECT coalesce(json_agg(hottest), '[]') FROM hottest)
        )::text AS json
        """
    }

    /// The stores and items of all queued jobs while there are few; of many, those of a sample of the table's pages.
    private static func backlog(_ s: String) -> String {
        let pages =
            "greatest(1, pg_relation_size(\(quoteLiteral("\(s).jobs"))::regclass) / current_setting('block_size')::int)"
        let percent = "least(100, 100.0 * \(pagesMax) / \(pages))::real"
        return """
            WITH counted AS MATERIALIZED (
                SELECT count(*) AS jobs FROM (
                    (SELECT FROM \(s).jobs WHERE run_at IS NULL ORDER BY strand, job_id LIMIT \(jobsMax + 1))
                    UNION ALL
                    (SELECT FROM \(s).jobs WHERE run_at IS NOT NULL ORDER BY lane, run_at LIMIT \(jobsMax + 1))
                ) AS first
            ), queued AS MATERIALIZED (
                (
                    SELECT store_id, item_id, location_id, lane, true AS is_ready, \(SQL.readySince) AS since
                    FROM \(s).jobs
                    WHERE run_at IS NULL AND (SELECT jobs FROM counted) <= \(jobsMax)
                    ORDER BY strand, job_id
                    LIMIT \(jobsMax)
                )
                UNION ALL
                (
                    SELECT store_id, item_id, location_id, lane, \(SQL.isReady), \(SQL.readySince)
                    FROM \(s).jobs
                    WHERE run_at IS NOT NULL AND (SELECT jobs FROM counted) <= \(jobsMax)
                    ORDER BY lane, run_at
                    LIMIT \(jobsMax)
                )
                UNION ALL
                SELECT store_id, item_id, location_id, lane, \(SQL.isReady), \(SQL.readySince)
                FROM \(s).jobs TABLESAMPLE SYSTEM (\(percent))
                WHERE (SELECT jobs FROM counted) > \(jobsMax)
            ), scale AS (
                SELECT CASE WHEN jobs > \(jobsMax) THEN 100 / \(percent) ELSE 1 END AS factor,
                    jobs > \(jobsMax) AND \(percent) < 100 AS is_estimate
                FROM counted
            ), stores AS (
                SELECT store_id, round(count(*) FILTER (WHERE is_ready) * max(factor))::bigint AS ready,
                    round(count(*) FILTER (WHERE NOT is_ready) * max(factor))::bigint AS deferred,
                    min(since) FILTER (WHERE is_ready) AS oldest_ready_at,
                    min(lane) AS lane, count(DISTINCT lane) AS lanes,
                    bool_or(store_id IN (SELECT store_id FROM \(s).paused_stores)) AS is_paused
                FROM queued, scale
                GROUP BY store_id
                ORDER BY ready DESC, deferred DESC, store_id
                LIMIT \(rowsMax)
            ), items AS (
                SELECT store_id, item_id, location_id, round(count(*) * max(factor))::bigint AS jobs
                FROM queued, scale
                GROUP BY store_id, item_id, location_id
                ORDER BY jobs DESC, store_id, item_id, location_id
                LIMIT \(rowsMax)
            )
            SELECT json_build_object(
                'is_estimate', (SELECT is_estimate FROM scale),
                'jobs_read', (SELECT count(*) FROM queued),
                'store_count', (SELECT count(DISTINCT store_id) FROM queued),
                'stores', (SELECT coalesce(json_agg(stores), '[]') FROM stores),
                'items', (SELECT coalesce(json_agg(items), '[]') FROM items)
            )::text AS json
            """
    }

    /// The most queued jobs of each kind that are all read.
    private static let jobsMax = 5_000
    /// The pages of a sample: some thousand jobs.
    private static let pagesMax = 100

    private static func levels(_ s: String, _ schema: QueueSchema) -> String {
        """
        WITH newest AS MATERIALIZED (
            SELECT notification_id, kind, store_id, item_id, location_id, available_before, available_after,
                low_stock_threshold, job_id, created_at
            FROM \(s).notifications
            ORDER BY notification_id DESC
            LIMIT \(notificationsMax)
        ), named AS MATERIALIZED (
            SELECT DISTINCT ON (store_id, item_id, location_id) store_id, item_id, location_id, created_at AS since
            FROM newest
            ORDER BY store_id, item_id, location_id, notification_id DESC
        ), present AS MATERIALIZED (
            SELECT named.*, on_hand, allocated, available, low_stock_threshold, \(SQL.alertLevel(schema)) AS level
            FROM named
            JOIN \(s).items USING (store_id, item_id, location_id)
        )
        SELECT json_build_object(
            'notifications_read', (SELECT count(*) FROM newest),
            'low', (SELECT count(*) FROM present WHERE level = 'low'),
            'out', (SELECT count(*) FROM present WHERE level = 'out'),
            'items', (
                SELECT coalesce(json_agg(listed), '[]')
                FROM (
                    SELECT * FROM present WHERE level <> 'ok' ORDER BY since DESC, store_id, item_id LIMIT \(rowsMax)
                ) AS listed
            ),
            'notifications', (
                SELECT coalesce(json_agg(listed), '[]')
                FROM (SELECT * FROM newest ORDER BY notification_id DESC LIMIT \(rowsMax)) AS listed
            )
        )::text AS json
        """
    }

    private static let notificationsMax = 500

    private static func failures(_ s: String) -> String {
        """
        WITH newest AS MATERIALIZED (
            SELECT job_id, store_id, item_id, location_id, action, quantity, code, group_id, reference, on_hand_before,
                allocated_before, outcome, finished_at
            FROM \(s).results
            ORDER BY job_id DESC
            LIMIT \(rejectedMax)
        ), failed AS MATERIALIZED (
            SELECT job_id, store_id, item_id, location_id, action, quantity, sqlstate, message, attempts, finished_at,
                (SELECT retry_job_id FROM \(s).retries WHERE retries.job_id = results.job_id) AS retried_as
            FROM \(s).results
            WHERE outcome = 'failed'
            ORDER BY job_id DESC
            LIMIT \(failedMax)
        )
        SELECT json_build_object(
            'failed_max', \(failedMax),
            'failed_open', (SELECT count(*) FROM failed WHERE retried_as IS NULL),
            'failed', (
                SELECT coalesce(json_agg(listed), '[]')
                FROM (SELECT * FROM failed ORDER BY job_id DESC LIMIT \(rowsMax)) AS listed
            ),
            'rejected', (
                SELECT coalesce(json_agg(listed), '[]')
                FROM (
                    SELECT * FROM newest
                    WHERE outcome = 'rejected' AND code <> 'group_rejected'
                    ORDER BY job_id DESC
                    LIMIT \(rowsMax)
                ) AS listed
            )
        )::text AS json
        """
    }

    /// The newest results among which rejected ones are looked for.
    private static let rejectedMax = 2_000
    private static let failedMax = 100

    private static func deliveries(_ s: String) -> String {
        """
        WITH newest AS MATERIALIZED (
            SELECT delivery_id, subscription_id, event, store_id, item_id, location_id, state, attempts, created_at,
                next_attempt_at, finished_at, last_error
            FROM \(s).deliveries
            ORDER BY delivery_id DESC
            LIMIT \(deliveriesMax)
        ), named AS (
            SELECT newest.*, name AS subscription
            FROM newest
            LEFT JOIN \(s).subscription_names() USING (subscription_id)
        )
        SELECT json_build_object(
            'read', (SELECT count(*) FROM newest),
            'subscriptions', (
                SELECT coalesce(json_agg(listed), '[]')
                FROM (
                    SELECT subscription, count(*) FILTER (WHERE state = 'delivered') AS delivered,
                        count(*) FILTER (WHERE state = 'pending') AS pending,
                        count(*) FILTER (WHERE state = 'dead') AS dead, max(finished_at) AS last_at
                    FROM named
                    GROUP BY subscription
                    ORDER BY dead DESC, pending DESC, subscription
                    LIMIT \(rowsMax)
                ) AS listed
            ),
            'problems', (
                SELECT coalesce(json_agg(listed), '[]')
                FROM (
                    SELECT * FROM named
                    WHERE state = 'dead' OR state = 'pending' AND attempts > 0
                    ORDER BY delivery_id DESC
                    LIMIT \(rowsMax)
                ) AS listed
            )
        )::text AS json
        """
    }

    private static let deliveriesMax = 1_000

    private static func workers(_ s: String) -> String {
        """
        WITH sessions AS MATERIALIZED (
            SELECT pid AS process_id, application_name AS name, usename AS user_name, backend_type IS NULL AS is_hidden,
                coalesce(client_hostname, host(client_addr), 'local') AS client, backend_start AS connected_at,
                state, state_change, xact_start, wait_event_type, wait_event
            FROM pg_stat_activity
            WHERE datname = current_database() AND application_name ~ '\(SessionNames.service)'
            ORDER BY name, pid
            LIMIT 200
        )
        SELECT json_build_object('sessions', coalesce(json_agg(json_build_object(
            'process_id', process_id, 'name', name, 'user_name', user_name, 'client', client,
            'connected_at', connected_at, 'since', state_change,
            'state', CASE
                WHEN is_hidden THEN '\(WorkerSessionList.hidden)'
                WHEN state = 'idle' THEN 'idle'
                WHEN wait_event_type = 'Lock' THEN 'waits for a lock'
                ELSE 'works' END,
            'waits_for', CASE WHEN NOT is_hidden AND state <> 'idle' THEN wait_event_type || ' ' || wait_event END,
            'blocked_by', CASE WHEN wait_event_type = 'Lock' THEN pg_blocking_pids(process_id) END,
            'batch_since', xact_start
        ) ORDER BY name, process_id), '[]'))::text AS json
        FROM sessions
        """
    }

    private static func administration(_ s: String) -> String {
        """
        SELECT json_build_object(
            'paused_stores', (
                SELECT coalesce(json_agg(listed), '[]')
                FROM (SELECT store_id, paused_at FROM \(s).paused_stores ORDER BY store_id LIMIT 100) AS listed
            ),
            'paused_lanes', (
                SELECT coalesce(json_agg(listed), '[]')
                FROM (
                    SELECT lane, paused_at FROM \(s).lanes WHERE paused_at IS NOT NULL ORDER BY lane
                ) AS listed
            ),
            'operations', (
                SELECT coalesce(json_agg(listed), '[]')
                FROM (
                    SELECT operation_id, at, who, verb, left(subject::text, 300) AS subject, jobs
                    FROM \(s).operations
                    ORDER BY operation_id DESC
                    LIMIT \(rowsMax)
                ) AS listed
            )
        )::text AS json
        """
    }
}
