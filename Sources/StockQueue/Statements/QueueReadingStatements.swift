import StockModel
import StockQueuePostgres

/// Counts the queued jobs by state, and finds since when the oldest ready one waits, at a bounded cost.
///
/// The first jobs of each kind are counted, ready ones and deferred ones. Where there are more, the size of the table
/// gives an estimate. The first job of a strand was enqueued before the others, so the oldest ready job is among these;
/// of the jobs that are due and not promoted yet the first ones of each lane count.
///
/// The orders leave the planner no index but those of ready and of deferred jobs.
struct CountQueueStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        statement = Statement(
            "count_queue", [.int8],
            """
            WITH jobs_table AS (
                SELECT CASE WHEN relpages > 0 AND reltuples > 0
                    THEN (reltuples / relpages * pg_relation_size(oid) / current_setting('block_size')::integer)::bigint
                    ELSE 0 END AS jobs
                FROM pg_class
                WHERE oid = \(quoteLiteral("\(s).jobs"))::regclass
            ), counted_ready AS (
                SELECT count(*) AS jobs
                FROM (
                    SELECT FROM \(s).jobs WHERE run_at IS NULL ORDER BY strand, job_id LIMIT $1
                ) AS jobs
            ), counted_deferred AS (
                SELECT count(*) AS jobs, \(SQL.jobCounts)
                FROM (
                    SELECT \(SQL.jobStates) FROM \(s).jobs WHERE run_at IS NOT NULL ORDER BY lane, run_at LIMIT $1
                ) AS jobs
            ), scale AS (
                SELECT
                    CASE WHEN counted_ready.jobs < $1 THEN counted_ready.jobs
                        ELSE greatest($1, jobs_table.jobs - counted_deferred.jobs) END AS ready,
                    CASE WHEN counted_deferred.jobs < $1 THEN 1
                        ELSE greatest(1, (jobs_table.jobs - counted_ready.jobs)::float8 / $1) END AS deferred
                FROM jobs_table, counted_ready, counted_deferred
            ), heads AS MATERIALIZED (
                SELECT store_id, lane, since
                FROM (SELECT store_id, lane, since FROM \(s).ready_heads LIMIT $1) AS head
                WHERE lane NOT IN (SELECT lane FROM \(s).lanes WHERE paused_at IS NOT NULL)
                UNION ALL
                SELECT due.store_id, due.lane, due.since
                FROM \(s).lanes
                CROSS JOIN LATERAL (
                    SELECT store_id, lane, \(SQL.readySince) AS since, \(SQL.isReady) AS is_ready
                    FROM \(s).jobs
                    WHERE jobs.lane = lanes.lane AND run_at <= now()
                    ORDER BY run_at
                    LIMIT \(Self.dueJobsMax)
                ) AS due
                WHERE paused_at IS NULL AND due.is_ready
            ), resumed AS MATERIALIZED (
                SELECT * FROM \(s).resumes((SELECT min(since) FROM heads))
            )
            SELECT scale.ready + (counted_deferred.ready * scale.deferred)::bigint AS ready,
                (scheduled * scale.deferred)::bigint AS scheduled, (waiting * scale.deferred)::bigint AS waiting,
                (retrying * scale.deferred)::bigint AS retrying, (paused * scale.deferred)::bigint AS paused,
                (
                    SELECT min(greatest(since, \(SQL.resumedAt("heads"))))
                    FROM heads
                    WHERE store_id NOT IN (SELECT store_id FROM \(s).paused_stores)
                ) AS oldest_ready_at
            FROM scale, counted_deferred
            """)
    }

    /// Of a lane: before the first that is ready there may be some that wait for stock. Behind more of these none is
    /// found until the poller has promoted them.
    private static let dueJobsMax = 100

    static func parameters(countMax: Int64) -> Parameters {
        var parameters = Parameters()
        parameters.add(countMax)
        return parameters
    }

    static func depth(in rows: ResultSet) -> QueueReading.Depth {
        func number(_ name: String) -> Int64 { rows.int64(0, rows.column(name)) }
        return QueueReading.Depth(
            ready: number("ready"), scheduled: number("scheduled"), waiting: number("waiting"),
            retrying: number("retrying"), paused: number("paused"),
            oldestReadyAt: rows.optionalTimestamp(0, rows.column("oldest_ready_at"))?.date)
    }
}

/// Reads what an administrator watches beside the queue: how far the partitions of the results reach, the transactions
/// that hold vacuum back, deliveries, and the workers of all processes.
///
/// A role without the rights of `pg_read_all_stats` does not see the transactions of other roles.
struct ReadServerStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        statement = Statement(
            "read_server", [.int8],
            """
            WITH transactions AS (
                SELECT xact_start AS began_at
                FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
                    AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)
                UNION ALL
                SELECT prepared FROM pg_prepared_xacts WHERE database = current_database()
            )
            SELECT (SELECT max(upper_bound) FROM \(s).partition_bounds())
                    - (SELECT last_value FROM \(s).jobs_job_id_seq) AS partition_jobs_left,
                (SELECT min(began_at) FROM transactions) AS oldest_transaction_at,
                pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all,
                (
                    SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name ~ '\(SessionNames.worker)'
                ) AS workers,
                (SELECT count(*) FROM \(s).lanes WHERE paused_at IS NOT NULL) AS paused_lanes,
                (SELECT count(*) FROM \(s).paused_stores) AS paused_stores,
                (
                    SELECT count(*) FROM (SELECT FROM \(s).deliveries WHERE state = 'pending' LIMIT $1) AS pending
                ) AS pending_deliveries,
                (
                    SELECT count(*) FROM (SELECT FROM \(s).deliveries WHERE state = 'dead' LIMIT $1) AS dead
                ) AS dead_deliveries
            """)
    }

    static func parameters(countMax: Int64) -> Parameters { CountQueueStatement.parameters(countMax: countMax) }

    static func server(in rows: ResultSet) -> QueueReading.Server {
        func number(_ name: String) -> Int64 { rows.int64(0, rows.column(name)) }
        return QueueReading.Server(
            partitionJobsLeft: rows.optionalInt64(0, rows.column("partition_jobs_left")) ?? 0,
            oldestTransactionAt: rows.optionalTimestamp(0, rows.column("oldest_transaction_at"))?.date,
            seesAllTransactions: rows.bool(0, rows.column("sees_all")), workers: number("workers"),
            pausedLanes: number("paused_lanes"), pausedStores: number("paused_stores"),
            pendingDeliveries: number("pending_deliveries"), deadDeliveries: number("dead_deliveries"))
    }
}

/// Reads how many rows of the tables that change most are live and dead, as the server's statistics have it.
struct ReadTablesStatement: QueueStatement {
    let statement = Statement(
        "read_tables", [.text, .textArray],
        """
        SELECT relname, n_live_tup, n_dead_tup
        FROM pg_stat_user_tables
        WHERE schemaname = $1 AND relname = ANY ($2)
        ORDER BY relname
        """)

    private static let tables = [
        "jobs", "items", "lanes", "idempotency_keys", "notifications", "change_log", "deliveries",
    ]

    static func parameters(_ schema: QueueSchema) -> Parameters {
        var parameters = Parameters()
        parameters.add(schema.name)
        parameters.addArray(tables)
        return parameters
    }

    static func tables(in rows: ResultSet) -> [QueueReading.Table] {
        let (name, live, dead) = (rows.column("relname"), rows.column("n_live_tup"), rows.column("n_dead_tup"))
        return (0..<rows.rowCount).map {
            QueueReading.Table(name: rows.string($0, name), live: rows.int64($0, live), dead: rows.int64($0, dead))
        }
    }
}
