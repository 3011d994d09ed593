import StockQueuePostgres

/// What the poller and the maintenance of a worker process ask of the database.
struct PollerStatements: Sendable {
    /// The lanes and priorities with ready jobs above their marks, and the first of each; behind them, as lane −1, in how
    /// many milliseconds the next deferred job is due.
    ///
    /// One probe of the ready index for each, so that one statement a second is all that an idle process costs.
    let poll: Statement

    /// The highest job id drawn so far.
    let lastDrawn: Statement

    /// The transactions that may hold ids drawn and not yet to be seen: whoever inserts into the jobs holds this lock from
    /// before it draws an id until its transaction ends. Prepared transactions are among them.
    let writers: Statement

    /// Makes due jobs ready, a bounded number at a time. `now()`, since a volatile time cannot bound the scan of the index, and
    /// every promotion would read all deferred jobs.
    ///
    /// Returns for each lane and priority how many and the lowest id.
    ///
    /// The time that the producer asked for is kept.
    let promoteDue: Statement

    /// Tells producers whether they have to ring. Writes nothing where it says so already.
    let setWorkersAwake: Statement

    /// Wakes the workers of other processes when this one sees more than it can do at once.
    let ring: Statement

    /// Ends the sessions of this role that hold a lane and have waited for their client for so many milliseconds; returns how
    /// many.
    let terminateStalledSessions: Statement

    let addPartitions: Statement
    let dropExpired: Statement
    /// Whether this role may drop what has expired; a worker's may not, it cannot touch what has happened.
    let canDropExpired: Statement
    let dropExpiredKeys: Statement

    init(schema: QueueSchema) {
        let s = schema.quoted
        // A scalar sub-select is not turned into a join, and the comparison of rows leaves no index but the ready one.
        poll = Statement(
            "poll", [.int8Array],
            """
            SELECT lane, priority, job_id
            FROM (
                SELECT lane, priority, (
                    SELECT job_id
                    FROM \(s).jobs
                    WHERE jobs.lane = place.lane AND run_at IS NULL
                        AND (jobs.priority, job_id) > (place.priority, place.mark) AND jobs.priority <= place.priority
                    ORDER BY jobs.priority, job_id
                    LIMIT 1
                ) AS job_id
                FROM (
                    SELECT ((number - 1) / \(LowWaterMarks.priorities))::smallint AS lane,
                        ((number - 1) % \(LowWaterMarks.priorities) + 1)::smallint AS priority,
                        mark
                    FROM unnest($1) WITH ORDINALITY AS marks (mark, number)
                ) AS place
            ) AS ready
            WHERE job_id IS NOT NULL
                AND NOT EXISTS (SELECT FROM \(s).lanes WHERE lanes.lane = ready.lane AND paused_at IS NOT NULL)
            UNION ALL
            (
                SELECT -1::smallint, 0::smallint, ceil(extract(epoch FROM run_at - clock_timestamp()) * 1000)::bigint
                FROM \(s).jobs
                WHERE run_at < 'infinity'
                ORDER BY run_at
                LIMIT 1
            )
            """)
        lastDrawn = Statement(
            "last_drawn", [], "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM \(s).jobs_job_id_seq")
        writers = Statement(
            "writers", [],
            """
            SELECT DISTINCT virtualtransaction
            FROM pg_locks
            WHERE relation = to_regclass(\(quoteLiteral("\(s).jobs")))
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND mode = 'RowExclusiveLock'
            """)
        promoteDue = Statement(
            "promote_due", [.int4],
            """
            WITH due AS MATERIALIZED (
                SELECT ctid AS place
                FROM \(s).jobs
                WHERE run_at <= now()
                ORDER BY run_at
                LIMIT $1
                FOR UPDATE SKIP LOCKED
            ), promoted AS (
                UPDATE \(s).jobs
                SET run_at = NULL,
                    scheduled_at = \(Self.requestedTime)
                FROM due
                WHERE jobs.ctid = due.place
                RETURNING lane, priority, job_id
            )
            SELECT lane, priority, count(*), min(job_id) FROM promoted GROUP BY lane, priority
            """)
        setWorkersAwake = Statement(
            "set_workers_awake", [.bool],
            "SELECT setval(\(quoteLiteral("\(s).workers_awake"))::regclass, 1, NOT $1) FROM \(s).workers_awake WHERE is_called = $1"
        )
        ring = Statement("ring", [.text], "SELECT pg_notify($1, '')")
        // Whoever holds a lane's row holds RowShareLock on the table.
        terminateStalledSessions = Statement(
            "terminate_stalled_sessions", [.int8],
            """
            SELECT count(*) FILTER (WHERE pg_terminate_backend(pid))
            FROM pg_locks
            JOIN pg_stat_activity USING (pid)
            WHERE relation = to_regclass(\(quoteLiteral("\(s).lanes")))
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND mode = 'RowShareLock'
                AND wait_event = 'ClientRead'
                AND state_change < clock_timestamp() - $1 * interval '1 millisecond'
                AND pid <> pg_backend_pid()
                AND usename = current_user
                AND backend_type = 'client backend'
            """)
        addPartitions = Statement(
            "add_results_partitions", [.int8, .int4], "SELECT \(s).add_results_partitions($1, $2)")
        dropExpired = Statement(
            "drop_expired_results", [.int8],
            "SELECT \(s).drop_expired_results($1 * interval '1 second')")
        canDropExpired = Statement(
            "can_drop_expired", [],
            """
            SELECT bool_and(has_function_privilege(oid, 'EXECUTE'))
            FROM pg_proc
            WHERE oid IN (
                to_regprocedure(\(quoteLiteral("\(s).drop_expired_results(interval)"))),
                to_regprocedure(\(quoteLiteral("\(s).drop_expired_keys(interval,integer)")))
            )
            """)
        dropExpiredKeys = Statement(
            "drop_expired_keys", [.int8, .int4], "SELECT \(s).drop_expired_keys($1 * interval '1 second', $2)")
    }

    /// The time that the producer asked for, of a row of `jobs`: a `run_at` that neither a backoff, nor waiting, nor parking
    /// has set.
    static let requestedTime =
        "coalesce(scheduled_at, CASE WHEN attempts = 0 AND waiting_since IS NULL AND paused_at IS NULL THEN run_at END)"
}
