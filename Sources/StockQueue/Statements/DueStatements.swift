import StockQueuePostgres

/// Finds the next deferred job of each lane that has one; in a last row, as lane −1, a time up to which no deferred job is
/// left.
///
/// One probe of the index for each lane, above a time below which no deferred job was left: while vacuum is held back,
/// the entries of all promoted jobs stay there. A job may still come in below that time, with a time of the past or out
/// of a long transaction, so that time stays a minute behind, and the caller starts from the beginning now and
/// then.
struct FindDueStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "find_due", [.timestamptz],
            """
            SELECT lane, run_at, ceil(extract(epoch FROM run_at - clock_timestamp()) * 1000)::bigint AS due_in_ms
            FROM (
                SELECT lane, (
                    SELECT run_at
                    FROM \(schema.quoted).jobs
                    WHERE jobs.lane = numbered.lane AND run_at > $1 AND run_at < 'infinity'
                    ORDER BY run_at
                    LIMIT 1
                ) AS run_at
                FROM (SELECT generate_series(0, \(LaneQueue.laneCount - 1))::smallint AS lane) AS numbered
                OFFSET 0
            ) AS next
            WHERE run_at IS NOT NULL
            UNION ALL
            SELECT -1::smallint, now() - interval '1 minute', 0
            """)
    }

    struct Answer {
        /// The lanes with a due job.
        var dueLanes: [Int16] = []
        /// Until the next job is due, where none is due now; nil when no job is deferred.
        var nextDueMs: Int?
        /// No deferred job has this time or an earlier one, but for those that come in out of order.
        var dueMark: Timestamp
    }

    static func answer(in rows: ResultSet) -> Answer {
        let (lane, runAt, dueIn) = (rows.column("lane"), rows.column("run_at"), rows.column("due_in_ms"))
        var answer = Answer(dueMark: Timestamp(microsecondsSince2000: .max))
        for row in 0..<rows.rowCount {
            let number = rows.int16(row, lane)
            var dueMark = rows.timestamp(row, runAt).microsecondsSince2000
            if number >= 0 {
                let milliseconds = Int(clamping: rows.int64(row, dueIn))
                if milliseconds <= 0 { answer.dueLanes.append(number) }
                answer.nextDueMs = min(answer.nextDueMs ?? .max, milliseconds)
                dueMark -= 1
            }
            answer.dueMark = min(answer.dueMark, Timestamp(microsecondsSince2000: dueMark))
        }
        return answer
    }
}

/// Makes the due jobs of lanes ready, the first ones of each lane, and keeps the time that the producer asked for.
///
/// Of each lane equally many, so that the past-due jobs of one store do not delay another's. `now()`, because a volatile
/// time cannot bound the scan of the index, and each promotion would read all deferred jobs.
struct PromoteDueStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        statement = Statement(
            "promote_due", [.int2Array, .int4, .timestamptz],
            """
            WITH due AS MATERIALIZED (
                SELECT first.tuple_id
                FROM unnest($1) AS wanted (lane)
                CROSS JOIN LATERAL (
                    SELECT ctid AS tuple_id
                    FROM \(s).jobs
                    WHERE jobs.lane = wanted.lane AND run_at > $3 AND run_at <= now()
                    ORDER BY run_at
                    LIMIT $2
                    FOR UPDATE SKIP LOCKED
                ) AS first
            ), promoted AS (
                UPDATE \(s).jobs
                SET run_at = NULL,
                    scheduled_at = \(SQL.requestedTime)
                FROM due
                WHERE jobs.ctid = due.tuple_id
                RETURNING strand, job_id
            )
            SELECT strand, count(*) AS jobs, min(job_id) AS first_id FROM promoted GROUP BY strand
            """)
    }

    /// - Parameters:
    ///   - jobsMax: the most jobs of all lanes together, where there are no more lanes than that.
    ///   - dueMark: no due job has this time or an earlier one.
    static func parameters(lanes: [Int16], jobsMax: Int, after dueMark: Timestamp) -> Parameters {
        var parameters = Parameters()
        parameters.addArray(of: lanes.count, int16: { lanes[$0] })
        parameters.add(Int32(max(1, jobsMax / lanes.count)))
        parameters.add(dueMark)
        return parameters
    }

    static func promotions(in rows: ResultSet) -> [Promotion] {
        let (strand, jobs, firstID) = (rows.column("strand"), rows.column("jobs"), rows.column("first_id"))
        return (0..<rows.rowCount).map {
            Promotion(
                strand: Strand(rawValue: rows.int32($0, strand)), firstID: rows.int64($0, firstID),
                jobs: Int(rows.int64($0, jobs)))
        }
    }
}
