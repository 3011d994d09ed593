import StockModel
import StockQueuePostgres

/// Finds the lanes and priorities with ready jobs above their low-water marks, and the first job of each.
///
/// One probe of the ready index for each lane and priority, so that one statement a second is nearly all that an idle
/// process costs. A scalar sub-select is not turned into a join, and only the ready index can answer the comparison of
/// rows.
struct PollStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        statement = Statement(
            "poll", [.int8Array],
            """
            SELECT lane, priority, job_id
            FROM (\(ReadyJob.firstOfEach(schema, upTo: nil))) AS ready
            WHERE job_id IS NOT NULL
                AND NOT EXISTS (SELECT FROM \(s).lanes WHERE lanes.lane = ready.lane AND paused_at IS NOT NULL)
            """)
    }
}

/// Finds ready jobs at or below their low-water marks: the first of each lane and priority with an id in a range.
///
/// While vacuum is held back, a scan below the marks steps over the entries of all jobs that are gone. The range bounds
/// that.
struct FullScanStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "full_scan", [.int8Array, .int8, .int8],
            """
            SELECT lane, priority, job_id
            FROM (\(ReadyJob.firstOfEach(schema, after: "$2", upTo: "least(marked.mark, $3)"))) AS ready
            WHERE job_id IS NOT NULL
            """)
    }
}

/// The first ready job of a lane and priority that a poll or a full scan found.
struct ReadyJob {
    var lane: Int16
    var priority: Int16
    var id: Int64

    /// Lane by lane.
    static func all(in rows: ResultSet) -> [ReadyJob] {
        let (lane, priority, jobID) = (rows.column("lane"), rows.column("priority"), rows.column("job_id"))
        return (0..<rows.rowCount).map {
            ReadyJob(lane: rows.int16($0, lane), priority: rows.int16($0, priority), id: rows.int64($0, jobID))
        }
    }

    /// A query for the first ready id of each lane and priority, NULL where there is none. `$1` are the marks.
    ///
    /// - Parameters:
    ///   - after: the id above which to look; the mark by default.
    ///   - upTo: the highest id to look at; nil for no limit.
    fileprivate static func firstOfEach(
        _ schema: QueueSchema, after: String = "marked.mark", upTo: String?
    ) -> String {
        let bound =
            upTo.map { "AND (jobs.priority, job_id) <= (marked.priority, \($0))" }
            ?? "AND jobs.priority <= marked.priority"
        return """
            SELECT lane, priority, (
                    SELECT job_id
                    FROM \(schema.quoted).jobs
                    WHERE jobs.lane = marked.lane AND run_at IS NULL
                        AND (jobs.priority, job_id) > (marked.priority, \(after)) \(bound)
                    ORDER BY jobs.priority, job_id
                    LIMIT 1
                ) AS job_id
                FROM (
                    SELECT ((number - 1) / \(JobRequest.priorityMax))::smallint AS lane,
                        ((number - 1) % \(JobRequest.priorityMax) + 1)::smallint AS priority,
                        mark
                    FROM unnest($1) WITH ORDINALITY AS marks (mark, number)
                ) AS marked
                OFFSET 0
            """
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
