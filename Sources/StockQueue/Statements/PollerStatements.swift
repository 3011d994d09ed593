import StockModel
import StockQueuePostgres

/// Finds the strands with ready jobs above their low-water marks, and the first job of each.
///
/// One probe of the ready index for each strand that is known, from its mark on up to the next one: it finds the strand's
/// first job or the first strand in between that is not known yet. Where the strand has jobs, a second probe looks behind
/// it. LATERAL with a limit in it cannot be reordered, and only the ready index can answer the comparison of rows.
struct PollStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        statement = Statement(
            "poll", [.int4Array, .int8Array, .int4Array],
            """
            SELECT strand, job_id,
                EXISTS (SELECT FROM \(s).lanes WHERE lanes.lane = strand >> 24 AND paused_at IS NOT NULL) AS is_paused
            FROM unnest($1, $2, $3) AS known (after_strand, after_id, before_strand)
            CROSS JOIN LATERAL (
                SELECT strand, job_id
                FROM \(s).jobs
                WHERE run_at IS NULL AND (strand, job_id) > (after_strand, after_id) AND strand < before_strand
                ORDER BY strand, job_id
                LIMIT 1
            ) AS ready
            """)
    }

    /// - Parameters:
    ///   - busy: the known strands that are likely to have jobs.
    ///   - deep: stores that are likely to have more jobs (`StoreTurns.deep`). Their known strands are not probed.
    ///   - isWide: probe behind the strands of deep stores too, for others that are not known.
    static func parameters(
        _ snapshot: LowWaterMarks.Snapshot, busy: Set<Strand>, deep: Set<StoreInLane>, isWide: Bool
    ) -> Parameters {
        // Before the first strand that is known.
        var probes: [(strand: Int32, id: Int64, before: Int32)] = [
            (-1, .max, snapshot.strands.first?.rawValue ?? .max)
        ]
        probes.reserveCapacity(snapshot.strands.count + busy.count + 1)
        for (index, strand) in snapshot.strands.enumerated() {
            let isLast = index + 1 == snapshot.strands.count
            let next = isLast ? Int32.max : snapshot.strands[index + 1].rawValue
            let isDeep = deep.contains(strand.store)
            let isBusy = isDeep || busy.contains(strand)
            if !isDeep {
                probes.append((strand.rawValue, snapshot.marks[index].id, isBusy ? strand.rawValue + 1 : next))
            }
            if isBusy && (isWide || !isDeep) && strand.rawValue + 1 < next {
                probes.append((strand.rawValue, .max, next))
            }
        }
        var parameters = Parameters()
        parameters.addArray(of: probes.count, int32: { probes[$0].strand })
        parameters.addArray(of: probes.count, int64: { probes[$0].id })
        parameters.addArray(of: probes.count, int32: { probes[$0].before })
        return parameters
    }
}

/// Finds the lanes that an administrator's change has met since: jobs may be ready below their marks.
struct ChangedLanesStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "changed_lanes", [.int8Array],
            "SELECT lane, epoch FROM \(schema.quoted).lanes WHERE epoch <> ($1)[lane + 1]")
    }

    static func parameters(_ snapshot: LowWaterMarks.Snapshot) -> Parameters {
        var parameters = Parameters()
        parameters.addArray(of: snapshot.epochs.count, int64: { snapshot.epochs[$0] })
        return parameters
    }

    static func lanes(in rows: ResultSet) -> [(lane: Int16, epoch: Int64)] {
        let (lane, epoch) = (rows.column("lane"), rows.column("epoch"))
        return (0..<rows.rowCount).map { (rows.int16($0, lane), rows.int64($0, epoch)) }
    }
}

/// Finds all strands with ready jobs in gaps between those that are known, by one probe for each.
struct FindStrandsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        func first(after strand: String) -> String {
            """
            SELECT jobs.strand FROM \(schema.quoted).jobs
            WHERE run_at IS NULL AND jobs.strand > \(strand) AND jobs.strand < gaps.before_strand
            ORDER BY jobs.strand LIMIT 1
            """
        }
        statement = Statement(
            "find_strands", [.int4Array, .int4Array, .int4],
            """
            SELECT strand
            FROM unnest($1, $2) AS gaps (after_strand, before_strand)
            CROSS JOIN LATERAL (
                WITH RECURSIVE ready AS (
                    (\(first(after: "gaps.after_strand")))
                    UNION ALL
                    SELECT (\(first(after: "ready.strand"))) FROM ready WHERE strand IS NOT NULL
                )
                SELECT strand FROM ready WHERE strand IS NOT NULL
            ) AS found
            LIMIT $3
            """)
    }

    /// The most strands that are found at once.
    private static let strandsMax: Int32 = 5_000

    /// - Parameter found: strands that are not among the known ones: each is the first in its gap.
    static func parameters(behind found: [Strand], known: [Strand]) -> Parameters {
        let ends = found.map { strand in
            let next = known.partitioningIndex { $0 > strand }
            return next < known.count ? known[next].rawValue : Int32.max
        }
        var parameters = Parameters()
        parameters.addArray(of: found.count, int32: { found[$0].rawValue })
        parameters.addArray(of: found.count, int32: { ends[$0] })
        parameters.add(strandsMax)
        return parameters
    }

    static func strands(in rows: ResultSet) -> [Strand] {
        (0..<rows.rowCount).map { Strand(rawValue: rows.int32($0, 0)) }
    }
}

/// Counts the ready jobs of stores in their lanes, each up to a limit. It also steps over the entries of jobs that are gone
/// and not vacuumed yet.
struct CountFirstJobsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "count_first_jobs", [.int4Array, .int4],
            """
            SELECT first_strand, (
                SELECT count(*)
                FROM (
                    SELECT FROM \(schema.quoted).jobs
                    WHERE run_at IS NULL AND (strand, job_id) > (first_strand, 0)
                        AND strand <= first_strand + \(JobRequest.priorityMax - 1)
                    LIMIT $2
                ) AS first
            ) AS jobs
            FROM unnest($1) AS stores (first_strand)
            """)
    }

    static func parameters(_ stores: ArraySlice<StoreInLane>, jobsMax: Int) -> Parameters {
        let stores = stores.map(\.firstStrand)
        var parameters = Parameters()
        parameters.addArray(of: stores.count, int32: { stores[$0] })
        parameters.add(Int32(jobsMax))
        return parameters
    }

    static func counts(in rows: ResultSet) -> [(store: StoreInLane, jobs: Int)] {
        let (strand, jobs) = (rows.column("first_strand"), rows.column("jobs"))
        return (0..<rows.rowCount).map {
            (Strand(rawValue: rows.int32($0, strand)).store, Int(rows.int64($0, jobs)))
        }
    }
}

extension Array {
    /// The first index whose element has a property that all later elements have too.
    fileprivate func partitioningIndex(where belongs: (Element) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if belongs(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

/// Finds ready jobs at or below their low-water marks: the first of each strand with an id in a range.
///
/// While vacuum is held back, a scan below the marks steps over the entries of all jobs that are gone. The range bounds
/// that.
struct FullScanStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "full_scan", [.int4Array, .int8Array, .int8, .int8],
            """
            SELECT strand, job_id, false AS is_paused
            FROM unnest($1, $2) AS known (known_strand, mark)
            CROSS JOIN LATERAL (
                SELECT strand, job_id
                FROM \(schema.quoted).jobs
                WHERE run_at IS NULL AND (strand, job_id) > (known_strand, $3)
                    AND (strand, job_id) <= (known_strand, least(mark, $4))
                ORDER BY strand, job_id
                LIMIT 1
            ) AS ready
            """)
    }

    static func parameters(_ snapshot: LowWaterMarks.Snapshot, after: Int64, upTo: Int64) -> Parameters {
        var parameters = Parameters()
        parameters.addArray(of: snapshot.strands.count, int32: { snapshot.strands[$0].rawValue })
        parameters.addArray(of: snapshot.marks.count, int64: { snapshot.marks[$0].id })
        parameters.add(after)
        parameters.add(upTo)
        return parameters
    }
}

/// The first ready job of a strand that a poll or a full scan found.
struct ReadyJob {
    var strand: Strand
    var id: Int64
    /// The lane is paused.
    var isPaused: Bool

    /// In the order of the strands.
    static func all(in rows: ResultSet) -> [ReadyJob] {
        let (strand, jobID, isPaused) = (rows.column("strand"), rows.column("job_id"), rows.column("is_paused"))
        return (0..<rows.rowCount).map {
            ReadyJob(
                strand: Strand(rawValue: rows.int32($0, strand)), id: rows.int64($0, jobID),
                isPaused: rows.bool($0, isPaused))
        }
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
