import StockDecision
import StockModel
import StockQueuePostgres

/// The columns of a claimed job, and their reader.
struct ClaimedJobColumns {
    /// The target list of every statement that reads jobs for a batch.
    static let list = """
        job_id, jobs.ctid AS tuple_id, quantity::bigint AS quantity, expected_available::bigint AS expected_available, priority, attempts, max_attempts, action, on_insufficient, notify,
            coalesce(expires_at <= now(), false) AS is_expired, run_at IS NULL AS is_ready, enqueued_at,
            store_id, item_id, location_id, strand,
            group_id, CASE WHEN group_id IS NOT NULL THEN store_id END AS group_store_id,
            CASE WHEN group_id IS NOT NULL THEN submission_id END AS submission_id,
            idempotency_key, CASE WHEN idempotency_key IS NOT NULL THEN store_id END AS key_store_id
        """

    let jobID, tupleID, quantity, expectedAvailable, priority, attempts, maxAttempts, action, policy, notify: Int
    let isExpired, isReady, enqueuedAt, strand: Int
    /// The first of store_id, item_id and location_id.
    let item: Int
    /// The first of group_id, group_store_id and submission_id.
    let group: Int
    /// The first of idempotency_key and key_store_id.
    let key: Int

    init(_ rows: ResultSet) {
        jobID = rows.column("job_id")
        tupleID = rows.column("tuple_id")
        quantity = rows.column("quantity")
        expectedAvailable = rows.column("expected_available")
        priority = rows.column("priority")
        attempts = rows.column("attempts")
        maxAttempts = rows.column("max_attempts")
        action = rows.column("action")
        policy = rows.column("on_insufficient")
        notify = rows.column("notify")
        isExpired = rows.column("is_expired")
        isReady = rows.column("is_ready")
        enqueuedAt = rows.column("enqueued_at")
        strand = rows.column("strand")
        item = rows.column("store_id")
        group = rows.column("group_id")
        key = rows.column("idempotency_key")
    }

    /// The job in a row, but for its indexes.
    func job(_ rows: ResultSet, _ row: Int, item: ItemIndex) throws(PostgresError) -> ClaimedJob {
        guard let action = rows.label(row, action, StockAction.labels, StockAction.allCases),
            let policy = rows.label(row, policy, InsufficientStockPolicy.labels, InsufficientStockPolicy.allCases)
        else { throw Self.newerVersion(rows.int64(row, jobID)) }
        var job = ClaimedJob(
            id: rows.int64(row, jobID), item: item, action: action, onInsufficient: policy,
            quantity: rows.int64(row, quantity))
        job.expectedAvailable = rows.optionalInt64(row, expectedAvailable)
        job.priority = rows.int16(row, priority)
        job.attempts = rows.int16(row, attempts)
        job.maxAttempts = rows.int16(row, maxAttempts)
        job.notify = rows.bool(row, notify)
        job.isExpired = rows.bool(row, isExpired)
        job.isReady = rows.bool(row, isReady)
        return job
    }

    static func newerVersion(_ job: Int64) -> PostgresError {
        PostgresError(
            kind: .protocolViolation, message: "job \(job) has an action or policy of a newer version")
    }
}

/// Claims the first ready jobs of stores of the locked lane above the low-water marks: of each store so many, in order of
/// work, and of all together no more than a batch.
///
/// Store by store, in the order of their turns. Of each, one branch for each priority, from its own mark on. An Append
/// runs the branches one after the other, and the limits above it stop as soon as they have enough, so nothing is locked
/// that is not returned. Only the index on (strand, job_id) can answer the comparison of rows, whatever the statistics
/// say.
///
/// A job that another transaction has locked is an error, `lock_not_available`. It is rare, and without it the claim has
/// every job of its range that was ready when it began. The other form skips locked jobs, and `CountUpToStatement` finds
/// out whether there were any. That takes a sixth as long as the claim.
///
/// Rejected: `IN (SELECT …)`, where FOR UPDATE SKIP LOCKED LIMIT n can claim more than n rows. Rejected: joining the
/// items here; in a statement that locks one table and reads another, the other can be stale.
struct ClaimStatement: QueueStatement {
    static let name = "claim"
    let statement: Statement

    init(_ schema: QueueSchema, skipsLocked: Bool = false) {
        let priorities = 1...JobRequest.priorityMax
        let branches = priorities.map { priority in
            """
            SELECT * FROM (
                SELECT \(ClaimedJobColumns.list)
                FROM \(schema.quoted).jobs
                WHERE run_at IS NULL AND (strand, job_id) > (first_strand + \(priority - 1), mark_\(priority))
                    AND strand <= first_strand + \(priority - 1)
                ORDER BY strand, job_id
                FOR UPDATE \(skipsLocked ? "SKIP LOCKED" : "NOWAIT")
            ) AS priority_\(priority)
            """
        }
        statement = Statement(
            skipsLocked ? "claim_unlocked" : Self.name,
            [.int4, .int4Array, .int4Array] + priorities.map { _ in .int8Array },
            """
            SELECT claimed.*
            FROM unnest($2, $3, \(priorities.map { "$\($0 + 3)" }.joined(separator: ", ")))
                AS shares (first_strand, jobs_max, \(priorities.map { "mark_\($0)" }.joined(separator: ", ")))
            CROSS JOIN LATERAL (
                \(branches.joined(separator: "\nUNION ALL\n"))
                LIMIT jobs_max
            ) AS claimed
            WHERE first_strand >> 24 = \(LockLaneStatement.lockedLane)
            LIMIT $1
            """)
    }

    static func parameters(_ parameters: inout Parameters, jobsMax: Int, marks: LowWaterMarks.View) {
        let stores = marks.stores
        parameters.add(Int32(jobsMax))
        parameters.addArray(of: stores.count, int32: { stores[$0].share.store.firstStrand })
        parameters.addArray(of: stores.count, int32: { Int32(stores[$0].share.jobsMax) })
        for priority in 0..<JobRequest.priorityMax {
            parameters.addArray(of: stores.count, int64: { stores[$0].marks[priority].id })
        }
    }
}

/// Claims certain jobs of the locked lane: those that the database failed when they were alone, and those that arrived
/// while the claim was being completed.
struct ClaimByIDStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "claim_by_id", [.int8Array],
            """
            SELECT \(ClaimedJobColumns.list)
            FROM \(schema.quoted).jobs
            WHERE lane = \(LockLaneStatement.lockedLane) AND job_id = ANY ($1)
            ORDER BY job_id
            FOR UPDATE SKIP LOCKED
            """)
    }
}

/// The ready jobs of strands up to a last one, from the low-water marks on.
///
/// LATERAL with an aggregate or an ORDER BY in it cannot be reordered by the planner; the other order reads every ready
/// job.
private func readyUpTo(_ schema: QueueSchema, _ columns: String, _ order: String) -> String {
    """
    SELECT ready.*
    FROM unnest($1, $2, $3) AS bounds (bounded_strand, mark, last)
    CROSS JOIN LATERAL (
        SELECT \(columns) FROM \(schema.quoted).jobs
        WHERE run_at IS NULL AND (strand, job_id) > (bounded_strand, mark) AND (strand, job_id) <= (bounded_strand, last)
        \(order)
    ) AS ready
    """
}

/// The part of a lane that a claim has read: of each store that it took jobs of, its strands above the marks up to the
/// last job.
struct ClaimedRange {
    private var bounds: [(strand: Strand, mark: Int64, last: Int64)] = []

    /// - Parameters:
    ///   - claimed: what the claim took.
    ///   - whole: stores of which the range has every ready job.
    init(_ claimed: [ClaimedStrand], marks: LowWaterMarks.View, whole: Set<StoreInLane>) {
        var lasts: [StoreInLane: ClaimedStrand] = [:]
        for strand in claimed { lasts[strand.strand.store] = strand }
        for (share, marks) in marks.stores {
            let isWhole = whole.contains(share.store)
            let last = isWhole ? nil : lasts[share.store]
            if !isWhole && last == nil { continue }
            for (index, mark) in marks.enumerated() {
                let strand = share.store.strand(Int16(index + 1))
                if let last, strand > last.strand { break }
                bounds.append((strand, mark.id, strand == last?.strand ? last?.lastID ?? .max : .max))
            }
        }
    }

    func parameters(_ parameters: inout Parameters) {
        parameters.addArray(of: bounds.count, int32: { bounds[$0].strand.rawValue })
        parameters.addArray(of: bounds.count, int64: { bounds[$0].mark })
        parameters.addArray(of: bounds.count, int64: { bounds[$0].last })
    }
}

/// Counts the ready jobs at or before the last claimed one, behind a claim that skips locked jobs. More than were claimed
/// means that another transaction has locked one of them, and that later jobs of its items have to stay behind it.
struct CountUpToStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "count_up_to", [.int4Array, .int8Array, .int8Array], readyUpTo(schema, "count(*) AS jobs", ""))
    }

    static func count(in rows: ResultSet) -> Int64 {
        let jobs = rows.column("jobs")
        return (0..<rows.rowCount).reduce(0) { $0 + rows.int64($1, jobs) }
    }
}

/// Reads the ready jobs at or before the last claimed one, without locking.
struct ReadUpToStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "read_up_to", [.int4Array, .int8Array, .int8Array],
            readyUpTo(schema, ClaimedJobColumns.list, "ORDER BY strand, job_id"))
    }
}

// MARK: groups

/// The groups that the statements below ask for.
private let wantedGroups =
    "unnest($1, $2, $3) WITH ORDINALITY AS wanted (wanted_group, wanted_store, wanted_submission, number)"
private let groupParameters: [TypeOID] = [.textArray, .textArray, .xid8Array]
private let linesOfWantedGroups =
    "group_id = wanted_group AND store_id = wanted_store AND submission_id = wanted_submission"
private let isWantedGroup =
    "(group_id, store_id, submission_id) = (wanted_group, wanted_store, wanted_submission)"

/// Counts the lines of each claimed group, up to one more than a group may have or the batch has claimed. More than were
/// claimed means that the claim cut the group.
///
/// The limit is inside the sub-select, so that a group of a million lines costs no more than a batch.
/// Mostly no group is marked as too large, and then none is looked up.
struct CountGroupsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        statement = Statement(
            "count_groups", groupParameters + [.int8],
            """
            SELECT (wanted.number - 1)::integer AS wanted_index,
                (
                    SELECT count(*) FROM (SELECT FROM \(s).jobs WHERE \(linesOfWantedGroups) LIMIT $4) AS line
                ) AS lines,
                (SELECT EXISTS (SELECT FROM \(s).too_large_groups))
                    AND EXISTS (SELECT FROM \(s).too_large_groups WHERE \(isWantedGroup)) AS is_marked
            FROM \(wantedGroups)
            """)
    }

    struct Count {
        /// The group's position among those that were asked for.
        var position: Int
        /// Its queued lines, up to the limit of the count.
        var lines: Int
        /// Some of its lines were rejected already, because the group is too large.
        var isMarked: Bool
    }

    static func counts(in rows: ResultSet) -> [Count] {
        let (position, lines) = (rows.column("wanted_index"), rows.column("lines"))
        let isMarked = rows.column("is_marked")
        return (0..<rows.rowCount).map {
            Count(
                position: Int(rows.int32($0, position)), lines: Int(rows.int64($0, lines)),
                isMarked: rows.bool($0, isMarked))
        }
    }
}

/// Marks groups that are too large and have lines left in the queue, so that none of those is ever applied.
struct MarkTooLargeGroupsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "mark_too_large_groups", groupParameters,
            """
            INSERT INTO \(schema.quoted).too_large_groups (group_id, store_id, submission_id)
            SELECT wanted_group, wanted_store, wanted_submission FROM \(wantedGroups)
            """)
    }
}

/// Forgets groups that are too large, when their last lines are rejected.
struct UnmarkTooLargeGroupsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "unmark_too_large_groups", groupParameters,
            "DELETE FROM \(schema.quoted).too_large_groups USING \(wantedGroups) WHERE \(isWantedGroup)")
    }
}

/// Claims all lines of groups, deferred ones too, but for those that another transaction has locked.
struct ClaimGroupsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "claim_groups", groupParameters, ReadGroupsStatement.lines(schema, fence: "FOR UPDATE SKIP LOCKED"))
    }
}

/// Reads all lines of groups, without locking.
struct ReadGroupsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement("read_groups", groupParameters, Self.lines(schema, fence: "OFFSET 0"))
    }

    /// - Parameter fence: as in `ReadItemsStatement`.
    static func lines(_ schema: QueueSchema, fence: String) -> String {
        """
        SELECT line.*
        FROM \(wantedGroups)
        CROSS JOIN LATERAL (
            SELECT \(ClaimedJobColumns.list)
            FROM \(schema.quoted).jobs
            WHERE \(linesOfWantedGroups)
            \(fence)
        ) AS line
        """
    }
}
