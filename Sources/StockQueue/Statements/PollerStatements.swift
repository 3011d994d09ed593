import StockModel
import StockQueuePostgres

/// Finds the lanes and priorities with ready jobs above their low-water marks, and the first job of each; in a last
/// row, as lane −1, in how many milliseconds the next deferred job is due.
///
/// One probe of the ready index for each lane and priority, so that one statement a second is all that an idle process
/// costs. A scalar sub-select is not turned into a join, and only the ready index can answer the comparison of rows.
struct PollStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        statement = Statement(
            "poll", [.int8Array],
            """
            SELECT lane, priority, job_id
            FROM (
                SELECT lane, priority, (
                    SELECT job_id
                    FROM \(s).jobs
                    WHERE jobs.lane = marked.lane AND run_at IS NULL
                        AND (jobs.priority, job_id) > (marked.priority, marked.mark) AND jobs.priority <= marked.priority
                    ORDER BY jobs.priority, job_id
                    LIMIT 1
                ) AS job_id
                FROM (
                    SELECT ((number - 1) / \(JobRequest.priorityMax))::smallint AS lane,
                        ((number - 1) % \(JobRequest.priorityMax) + 1)::smallint AS priority,
                        mark
                    FROM unnest($1) WITH ORDINALITY AS marks (mark, number)
                ) AS marked
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
    }

    struct Answer {
        /// The first ready job above its mark, of each lane and priority that has one, lane by lane.
        var ready: [(lane: Int16, priority: Int16, firstID: Int64)] = []
        /// Until the next deferred job is due; nil when there is none.
        var nextDueMs: Int?
    }

    static func answer(in rows: ResultSet) -> Answer {
        let (lane, priority, jobID) = (rows.column("lane"), rows.column("priority"), rows.column("job_id"))
        var answer = Answer()
        for row in 0..<rows.rowCount {
            if rows.int16(row, lane) < 0 {
                answer.nextDueMs = Int(clamping: rows.int64(row, jobID))
            } else {
                answer.ready.append((rows.int16(row, lane), rows.int16(row, priority), rows.int64(row, jobID)))
            }
        }
        return answer
    }
}

/// Makes due jobs ready, a bounded number at a time, and keeps the time that the producer asked for.
///
/// `now()`, because a volatile time cannot bound the scan of the index, and each promotion would read all deferred
/// jobs.
struct PromoteDueStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        statement = Statement(
            "promote_due", [.int4],
            """
            WITH due AS MATERIALIZED (
                SELECT ctid AS tuple_id
                FROM \(s).jobs
                WHERE run_at <= now()
                ORDER BY run_at
                LIMIT $1
                FOR UPDATE SKIP LOCKED
            ), promoted AS (
                UPDATE \(s).jobs
                SET run_at = NULL,
                    scheduled_at = \(SQL.requestedTime)
                FROM due
                WHERE jobs.ctid = due.tuple_id
                RETURNING lane, priority, job_id
            )
            SELECT lane, priority, count(*) AS jobs, min(job_id) AS first_id FROM promoted GROUP BY lane, priority
            """)
    }

    static func promotions(in rows: ResultSet) -> [Promotion] {
        let (lane, priority) = (rows.column("lane"), rows.column("priority"))
        let (jobs, firstID) = (rows.column("jobs"), rows.column("first_id"))
        return (0..<rows.rowCount).map {
            Promotion(
                lane: rows.int16($0, lane), priority: rows.int16($0, priority), firstID: rows.int64($0, firstID),
                jobs: Int(rows.int64($0, jobs)))
        }
    }
}

/// Reads the highest job id drawn so far.
struct LastDrawnIDStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "last_drawn_id", [],
            "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM \(schema.quoted).jobs_job_id_seq")
    }
}

/// Reads the transactions that may have drawn ids which are not visible yet: a transaction that inserts jobs holds this
/// lock from before it draws an id until it ends. Prepared transactions are among them.
struct WritersStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "writers", [],
            """
            SELECT DISTINCT virtualtransaction
            FROM pg_locks
            WHERE relation = to_regclass(\(quoteLiteral("\(schema.quoted).jobs")))
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND mode = 'RowExclusiveLock'
            """)
    }
}

/// Records for producers whether the workers are awake, so that an insert need not send a wake-up. Writes nothing where
/// the flag is right.
struct SetWorkersAwakeStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let flag = quoteLiteral("\(schema.quoted).workers_awake")
        statement = Statement(
            "set_workers_awake", [.bool],
            "SELECT setval(\(flag)::regclass, 1, $1) FROM \(schema.quoted).workers_awake WHERE is_called <> $1")
    }
}

/// Wakes the workers of other processes, when this one sees more work than it can do at once.
struct WakeUpStatement: QueueStatement {
    let statement = Statement("wake_up", [.text], "SELECT pg_notify($1, '')")
}

/// Terminates the sessions of this role that have locked a lane and have waited for their client for so many
/// milliseconds; returns how many.
///
/// A transaction that has locked a lane's row holds RowShareLock on the table.
struct TerminateStalledSessionsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "terminate_stalled_sessions", [.int8],
            """
            SELECT count(*) FILTER (WHERE pg_terminate_backend(pid))
            FROM pg_locks
            JOIN pg_stat_activity USING (pid)
            WHERE relation = to_regclass(\(quoteLiteral("\(schema.quoted).lanes")))
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND mode = 'RowShareLock'
                AND wait_event = 'ClientRead'
                AND state_change < clock_timestamp() - $1 * interval '1 millisecond'
                AND pid <> pg_backend_pid()
                AND usename = current_user
                AND backend_type = 'client backend'
            """)
    }
}
