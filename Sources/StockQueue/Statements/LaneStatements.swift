import StockQueuePostgres

/// Locks the lane for the batch, and hands its number to the claim that travels behind it in the same pipeline.
///
/// The claim must do nothing where another worker has the lane, and it is sent before the answer is known; a setting
/// that is local to the transaction carries the lane over. `set_config` is outside the sub-select, because a target
/// list is computed before FOR UPDATE has dropped the rows that are locked.
struct LockLaneStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "lock_lane", [.int2],
            """
            SELECT set_config('stockq.lane', lane::text, true), has_paused_stores, epoch, now() AS began_at
            FROM (
                SELECT lane, has_paused_stores, epoch
                FROM \(schema.quoted).lanes
                WHERE lane = $1 AND paused_at IS NULL
                FOR UPDATE SKIP LOCKED
            ) AS locked
            """)
    }

    /// What the claim reads: the lane that this transaction has locked, NULL where it has none.
    static let lockedLane = "nullif(current_setting('stockq.lane', true), '')::smallint"

    struct Lane {
        /// Some store is paused, so the batch has to look whether its jobs belong to it.
        var hasPausedStores: Bool
        /// Raised by an administrator's change that makes older jobs of the lane ready.
        var epoch: Int64
        /// When the batch began: the time at which its results say that their jobs were finished.
        var beganAt: Timestamp
    }

    /// Nil where another worker has the lane, or where it is paused.
    static func lane(in rows: ResultSet) -> Lane? {
        guard rows.rowCount == 1 else { return nil }
        return Lane(
            hasPausedStores: rows.bool(0, rows.column("has_paused_stores")),
            epoch: rows.int64(0, rows.column("epoch")),
            beganAt: rows.timestamp(0, rows.column("began_at")))
    }
}

/// Names the lane to a claim that is made before the lane is locked.
struct NameLaneStatement: QueueStatement {
    let statement = Statement("name_lane", [.int2], "SELECT set_config('stockq.lane', $1::text, true)")
}

/// Reads the stores that are paused.
struct ReadPausedStoresStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement("read_paused_stores", [], "SELECT store_id FROM \(schema.quoted).paused_stores")
    }

    static func stores(in rows: ResultSet) -> Set<String> {
        Set((0..<rows.rowCount).map { rows.string($0, 0) })
    }
}

/// Takes jobs of a paused store out of the ready index until the store is resumed, so that they cost other stores'
/// claims nothing.
struct PauseJobsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "pause_jobs", [.tidArray],
            """
            UPDATE \(schema.quoted).jobs
            SET scheduled_at = \(SQL.requestedTime), paused_at = now(), run_at = 'infinity'
            WHERE ctid = ANY ($1)
            """)
    }
}
