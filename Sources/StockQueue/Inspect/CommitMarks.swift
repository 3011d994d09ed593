import StockModel
import StockQueuePostgres

/// A moment of the queue: a time and the last job id that was drawn by then, and the transactions that were open.
///
/// A transaction that is not among them has ended, or begins later: then its `now()` is not before the time, and the
/// ids that it draws are higher.
package struct CommitMark: Sendable, Hashable {
    package var at: Timestamp
    package var lastJob: Int64
    package var open: Set<String>

    package init(at: Timestamp, lastJob: Int64, open: Set<String>) {
        (self.at, self.lastJob, self.open) = (at, lastJob, open)
    }
}

/// Knows up to which moment all rows are visible, whatever order their transactions commit in.
package struct CommitMarks: Sendable {
    /// Nothing from before it can still appear.
    package private(set) var complete: CommitMark
    private var pending: CommitMark?

    package init(from start: CommitMark) {
        complete = start
        pending = start.open.isEmpty ? nil : start
    }

    /// A row from before `complete` is visible to a statement that begins after this call.
    package mutating func advance(to now: CommitMark) {
        if let mark = pending, mark.open.isDisjoint(with: now.open) {
            complete = mark
            pending = nil
        }
        if now.open.isEmpty {
            complete = now
        } else if pending == nil {
            pending = now
        }
    }
}

/// Reads a mark. The time is that of the statement's begin, before the transactions are read.
///
/// Every open transaction counts, also one that has not written yet: its `now()` is the time of its begin.
package struct CommitMarkList: FilteredList {
    package let limit = 1

    package init() {}

    package func rows(of schema: QueueSchema) -> FilteredRows {
        let sequence = quoteLiteral("\(schema.quoted).jobs_job_id_seq")
        return FilteredRows(
            "read_commit_mark",
            from: """
                (
                    SELECT statement_timestamp() AS at,
                        coalesce(pg_sequence_last_value(\(sequence)::regclass), 0) AS last_job,
                        ARRAY(
                            SELECT lock.virtualxid
                            FROM pg_locks AS lock
                            JOIN pg_stat_activity AS session USING (pid)
                            WHERE lock.locktype = 'virtualxid' AND lock.mode = 'ExclusiveLock'
                                AND session.datname = current_database() AND lock.pid <> pg_backend_pid()
                        ) AS open
                )
                """, order: "at")
    }
}
