import StockDecision
import StockQueuePostgres

/// Reads what the stock counts of a batch need of the time: when they were taken, what the ledger has of the time since,
/// and to which moments the other jobs of their items belong.
///
/// It runs only for batches with a `set` job, behind the locks of the items, and gets the jobs of the items that have one:
/// no column of a claim is spent on it. The function is strict, so it runs for counts with a moment only.
struct ReadCountsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        statement = Statement(
            "read_counts", [.tidArray],
            """
            SELECT job_id, counted_at, on_hand_change, is_outdated, coalesce(counted_at, CASE
                    WHEN waiting_since IS NOT NULL THEN now()
                    ELSE coalesce(occurred_at, greatest(enqueued_at, \(SQL.requestedTime)))
                END) AS moment
            FROM unnest($1) AS wanted (tuple_id)
            JOIN \(s).jobs ON jobs.ctid = wanted.tuple_id
            LEFT JOIN LATERAL \(s).changes_since_count(store_id, item_id, location_id, counted_at) ON true
            """)
    }

    static func counts(in rows: ResultSet) -> StockCounts {
        var counts = StockCounts()
        let (jobID, countedAt) = (rows.column("job_id"), rows.column("counted_at"))
        let (change, outdated) = (rows.column("on_hand_change"), rows.column("is_outdated"))
        let moment = rows.column("moment")
        for row in 0..<rows.rowCount {
            guard let time = rows.optionalTimestamp(row, countedAt) else { continue }
            counts.counts[rows.int64(row, jobID)] = .init(
                countedAt: time.microsecondsSince2000, changeSince: rows.int64(row, change),
                isOutdated: rows.bool(row, outdated))
        }
        if counts.isEmpty { return counts }
        for row in 0..<rows.rowCount {
            counts.moments[rows.int64(row, jobID)] = rows.timestamp(row, moment).microsecondsSince2000
        }
        return counts
    }
}

/// Reads the changes since stock counts were taken, for a dry run.
struct ReadChangesSinceCountsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "read_changes_since_counts", [.textArray, .textArray, .textArray, .timestamptzArray],
            """
            SELECT (wanted.number - 1)::integer AS wanted_index, on_hand_change, is_outdated
            FROM unnest($1, $2, $3, $4) WITH ORDINALITY AS wanted (store, item, location, at, number)
            CROSS JOIN LATERAL \(schema.quoted).changes_since_count(store, item, location, at)
            """)
    }

    static func changes(in rows: ResultSet) -> [(position: Int, change: Int64, isOutdated: Bool)] {
        let (position, change) = (rows.column("wanted_index"), rows.column("on_hand_change"))
        let outdated = rows.column("is_outdated")
        return (0..<rows.rowCount).map {
            (Int(rows.int32($0, position)), rows.int64($0, change), rows.bool($0, outdated))
        }
    }
}
