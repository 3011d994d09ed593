import Foundation
import StockQueuePostgres

/// Finds what an administrator has to act on, one row each: what was checked, and a sentence.
///
/// A role without the rights of `pg_read_all_stats` does not see when the transactions of others began, so it does not
/// find those that are open for long. Nor does it see of which kind a session of another role is; but such a session has a
/// role and a database, as no background process of the server has.
struct DoctorStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        statement = Statement(
            "doctor", [.int4, .int8, .int8, .int8, .int8, .int8, .int4, .text, .int8, .int8],
            """
            WITH sessions AS MATERIALIZED (
                SELECT pid, usename, application_name, backend_type, datname, clock_timestamp() - xact_start AS age,
                    clock_timestamp() - state_change AS silence,
                    coalesce(backend_type = 'client backend', usename IS NOT NULL AND datname IS NOT NULL) AS is_client
                FROM pg_stat_activity
            ), connected AS (
                SELECT count(*) AS workers FROM sessions
                WHERE datname = current_database() AND application_name ~ '\(SessionNames.worker)'
            ), last_result AS (
                SELECT (
                    SELECT finished_at FROM \(s).results WHERE outcome <> 'canceled' ORDER BY job_id DESC LIMIT 1
                ) AS finished_at
            ), ready AS MATERIALIZED (
                SELECT store_id, lane, count(*) AS jobs, min(\(SQL.readySince)) AS since
                FROM \(s).jobs
                WHERE \(SQL.isReady)
                    AND lane NOT IN (SELECT lane FROM \(s).lanes WHERE paused_at IS NOT NULL)
                    AND store_id NOT IN (SELECT store_id FROM \(s).paused_stores)
                GROUP BY store_id, lane
            ), resumed AS MATERIALIZED (
                SELECT * FROM \(s).resumes((SELECT min(since) FROM ready))
            ), oldest AS (
                SELECT store_id, lane, greatest(since, \(SQL.resumedAt("ready"))) AS since
                FROM ready
                ORDER BY 3
                LIMIT 1
            ), ready_jobs AS (
                SELECT sum(jobs) AS jobs FROM ready
            ), failed AS (
                SELECT count(*) AS jobs FROM \(s).results
                WHERE outcome = 'failed' AND finished_at > now() - $4 * interval '1 second'
                    AND NOT EXISTS (SELECT FROM \(s).retries WHERE retries.job_id = results.job_id)
            ), retrying AS (
                SELECT count(*) AS jobs, min(last_error) AS last_error
                FROM \(s).jobs
                WHERE last_error IS NOT NULL
            ), dead AS (
                SELECT count(*) AS deliveries FROM \(s).deliveries
                WHERE state = 'dead' AND finished_at > now() - $4 * interval '1 second'
            ), partitions AS (
                SELECT max(upper_bound) AS upper_bound, max(upper_bound - lower_bound) AS jobs,
                    (SELECT last_value FROM \(s).jobs_job_id_seq) AS last_id
                FROM \(s).partition_bounds()
            ), settings AS (
                SELECT name, setting FROM pg_settings
                WHERE name IN ('autovacuum', 'track_counts') AND setting = 'off'
            ), tables AS (
                SELECT relname, n_live_tup, n_dead_tup, coalesce(last_analyze, last_autoanalyze) AS analyzed_at
                FROM pg_stat_user_tables
                WHERE schemaname = $8
            )
            SELECT 'workers' AS check, format('%s, and at least %s expected; the last result is %s; start stockq run',
                    CASE workers WHEN 0 THEN 'no worker is' WHEN 1 THEN '1 worker is' ELSE workers || ' workers are' END
                        || ' connected to this database',
                    CASE $1 WHEN 1 THEN '1 is' ELSE $1 || ' are' END,
                    coalesce('of ' || date_trunc('second', finished_at), 'still to come')) AS finding
            FROM connected, last_result
            WHERE workers < $1
            UNION ALL
            SELECT 'workers', format(
                    'the poller of %s (server process %s) has asked for nothing for %s: its process is stopped or hangs; '
                        'restart it', regexp_replace(application_name, ' poller$', ''), pid, date_trunc('second', silence))
            FROM sessions
            WHERE datname = current_database() AND application_name ~ ' poller$'
                AND silence > \(Self.silenceMaxSeconds) * interval '1 second'
            UNION ALL
            SELECT 'pauses', format(
                    'store %s has been paused since %s; to end the pause: stockq resume --store %s', store_id,
                    date_trunc('second', paused_at), quote_literal(store_id))
            FROM \(s).paused_stores
            WHERE paused_at < now() - $10 * interval '1 second'
            UNION ALL
            SELECT 'pauses', format(
                    '%s paused since %s; to end all pauses: stockq resume --all',
                    CASE count(*) WHEN 1 THEN 'lane ' || min(lane) || ' has been'
                        ELSE count(*) || ' lanes have been' END, date_trunc('second', min(paused_at)))
            FROM \(s).lanes
            WHERE paused_at < now() - $10 * interval '1 second'
            HAVING count(*) > 0
            UNION ALL
            SELECT 'backlog', format(
                    'the oldest ready job has waited for %s, of store %s in lane %s; %s ready',
                    date_trunc('second', now() - since), store_id, lane,
                    CASE jobs WHEN 1 THEN '1 job is' ELSE jobs || ' jobs are' END)
            FROM oldest, ready_jobs
            WHERE since < now() - $2 * interval '1 second'
            UNION ALL
            SELECT 'failed jobs', format(
                    '%s failed within %s; see: stockq jobs list --state failed',
                    CASE jobs WHEN 1 THEN '1 job' ELSE jobs || ' jobs' END, \(Self.sinceText))
            FROM failed
            WHERE jobs > $3
            UNION ALL
            SELECT 'retrying jobs', format(
                    '%s again after an error of the database, for instance "%s"; see: stockq jobs list --state retrying',
                    CASE jobs WHEN 1 THEN '1 job is attempted' ELSE jobs || ' jobs are attempted' END, last_error)
            FROM retrying
            WHERE jobs > $3
            UNION ALL
            SELECT 'deliveries', format(
                    'every attempt of subscription %s has failed since %s; see: stockq deliveries list --subscription %s',
                    name, date_trunc('second', failing_since), quote_literal(name))
            FROM \(s).subscriptions
            WHERE disabled_at IS NULL AND failing_since < now() - $2 * interval '1 second'
            UNION ALL
            SELECT 'deliveries', format(
                    '%s given up within %s; see: stockq deliveries list --state dead',
                    CASE deliveries WHEN 1 THEN '1 delivery was' ELSE deliveries || ' deliveries were' END,
                    \(Self.sinceText))
            FROM dead
            WHERE deliveries > $5
            UNION ALL
            SELECT 'ledger', format(
                    'the ledger of item %L at %L in store %L is wrong, found at %s: %s; see: stockq verify, and the runbook',
                    item_id, location_id, store_id, date_trunc('second', found_at), violation)
            FROM \(s).ledger_violations JOIN \(s).items USING (store_id, item_id, location_id)
            UNION ALL
            SELECT 'partitions', format(
                    'the results have partitions up to job id %s, and the last job id is %s; '
                        'a worker adds partitions, or the owner: SELECT %I.add_results_partitions()',
                    upper_bound, last_id, $8)
            FROM partitions
            WHERE upper_bound - last_id < jobs / 2
            UNION ALL
            SELECT 'vacuum', format('%s is off: nothing removes the rows of finished jobs', name)
            FROM settings
            UNION ALL
            SELECT 'vacuum', format(
                    'table %s has %s dead rows and %s live ones; look for what holds vacuum back',
                    relname, n_dead_tup, n_live_tup)
            FROM tables
            WHERE n_dead_tup > $9 + 5 * n_live_tup
            UNION ALL
            SELECT 'statistics', format('table %s has %s rows and was never analyzed; run: ANALYZE', relname, n_live_tup)
            FROM tables
            WHERE n_live_tup > $9 AND analyzed_at IS NULL
            UNION ALL
            SELECT 'transactions', format(
                    'process %s (user %s, application %s) has had a transaction open for %s; it holds vacuum back, and '
                        'jobs that it has enqueued are not visible; set idle_in_transaction_session_timeout for its role',
                    pid, usename, application_name, date_trunc('second', age))
            FROM sessions
            WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
                AND age > $6 * interval '1 second'
            UNION ALL
            SELECT 'transactions', format(
                    'the transaction %s of %s was prepared %s ago and holds vacuum back; commit it or roll it back',
                    gid, owner, date_trunc('second', clock_timestamp() - prepared))
            FROM pg_prepared_xacts
            WHERE database = current_database() AND prepared < clock_timestamp() - $6 * interval '1 second'
            UNION ALL
            SELECT 'connections', format('%s of %s connections are in use', count(*), available)
            FROM sessions, LATERAL (
                SELECT current_setting('max_connections')::bigint
                    - current_setting('superuser_reserved_connections')::bigint AS available
            ) AS limits
            WHERE is_client
            GROUP BY available
            HAVING count(*) * 100 > available * $7
            UNION ALL
            SELECT 'roles', format(
                    'the role %s does not exist; migrate the schema as a role that may create roles', $8 || kind)
            FROM unnest(ARRAY['_producer', '_worker', '_gateway', '_reader', '_admin']) AS kind
            WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = $8 || kind)
            """)
    }

    /// The span as a text.
    private static let sinceText = "justify_hours($4 * interval '1 second')"

    /// A poller asks once a minute at least (`pollIntervalMax`).
    private static let silenceMaxSeconds = 90

    static func parameters(_ limits: Doctor.Limits, _ schema: QueueSchema) -> Parameters {
        var parameters = Parameters()
        parameters.add(limits.workersMin)
        parameters.add(limits.ageMax.wholeSeconds)
        parameters.add(limits.failedMax)
        parameters.add(limits.since.wholeSeconds)
        parameters.add(limits.deadMax)
        parameters.add(limits.transactionMax.wholeSeconds)
        parameters.add(limits.connectionsPercentMax)
        parameters.add(schema.name)
        parameters.add(limits.largeTableRows)
        parameters.add(limits.pauseMax.wholeSeconds)
        return parameters
    }

    static func findings(in rows: ResultSet) -> [Doctor.Finding] {
        let (check, finding) = (rows.column("check"), rows.column("finding"))
        return (0..<rows.rowCount).map {
            Doctor.Finding(check: rows.string($0, check), text: rows.string($0, finding))
        }
    }
}

/// Whether this role sees what other roles' sessions do (PostgreSQL manual, "Predefined Roles").
struct SeesSessionsStatement: QueueStatement {
    let statement = Statement(
        "sees_sessions", [], "SELECT pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all")
}

/// The folders of the server's files, where this role may know them and the server runs on this machine: the connection
/// is a unix socket.
struct ListFoldersStatement: QueueStatement {
    let statement = Statement(
        "list_folders", [],
        """
        SELECT folder
        FROM (
            SELECT setting AS folder FROM pg_settings WHERE name = 'data_directory'
            UNION
            SELECT pg_tablespace_location(oid) FROM pg_tablespace
        ) AS folders
        WHERE folder <> '' AND inet_server_addr() IS NULL
        ORDER BY folder
        """)

    static func folders(in rows: ResultSet) -> [String] {
        (0..<rows.rowCount).map { rows.string($0, rows.column("folder")) }
    }
}

/// Reads the server's clock, in a statement that does nothing else.
struct ReadClockStatement: QueueStatement {
    let statement = Statement("read_clock", [], "SELECT clock_timestamp() AS at")

    static func time(in rows: ResultSet) -> Timestamp { rows.timestamp(0, rows.column("at")) }
}
