import StockModel
import StockQueuePostgres

extension QueueAdmin {
    /// A step of moving an item's stock to another item of its store.
    package struct MoveStep: Sendable, Hashable {
        /// The jobs of the group that moves the stock; empty where there is none.
        package let jobs: [Int64]
        /// The new item was created.
        package let isNew: Bool
        /// How many deferred jobs of the old item name the new one now.
        package let givenJobs: Int64
    }

    /// Creates the new item if there is none, gives it the old one's deferred jobs, and enqueues the group that moves
    /// the stock.
    ///
    /// - Parameter merges: the new item may exist; otherwise that is an error.
    package func moveItem(
        _ from: ItemKey, to: ItemKey, merges: Bool, reason: String?
    ) throws(PostgresError) -> MoveStep {
        MoveItemStatement.step(
            in: try run(
                MoveItemStatement(schema), MoveItemStatement.parameters(from, to, merges: merges, reason: reason)))
    }

    /// Gives the new item the jobs that are still queued, and retires the old one, unless it has stock again.
    ///
    /// - Returns: how many jobs; nil if it has stock.
    package func finishMove(_ from: ItemKey, to: ItemKey) throws(PostgresError) -> Int64? {
        FinishItemMoveStatement.givenJobs(
            in: try run(FinishItemMoveStatement(schema), MoveItemStatement.keys(from, to)))
    }
}

/// Prepares a move and enqueues its group.
struct MoveItemStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "admin_move_item", [.text, .text, .text, .text, .text, .bool, .text],
            "SELECT unnest(job_ids || NULL::bigint) AS job_id, is_new, given_jobs FROM \(schema.quoted).move_item($1, $2, $3, $4, $5, $6, $7)"
        )
    }

    static func keys(_ from: ItemKey, _ to: ItemKey) -> Parameters {
        var parameters = Parameters()
        for text in [from.storeID, from.itemID, from.locationID, to.itemID, to.locationID] { parameters.add(text) }
        return parameters
    }

    static func parameters(_ from: ItemKey, _ to: ItemKey, merges: Bool, reason: String?) -> Parameters {
        var parameters = keys(from, to)
        parameters.add(merges)
        parameters.add(reason)
        return parameters
    }

    /// The last row has no job, so that there is a row where nothing is moved.
    static func step(in rows: ResultSet) -> QueueAdmin.MoveStep {
        let jobs = (0..<rows.rowCount - 1).map { rows.int64($0, rows.column("job_id")) }
        return QueueAdmin.MoveStep(
            jobs: jobs, isNew: rows.bool(0, rows.column("is_new")), givenJobs: rows.int64(0, rows.column("given_jobs")))
    }
}

/// Ends a move.
struct FinishItemMoveStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "admin_finish_item_move", [.text, .text, .text, .text, .text],
            "SELECT is_retired, given_jobs FROM \(schema.quoted).finish_item_move($1, $2, $3, $4, $5)")
    }

    static func givenJobs(in rows: ResultSet) -> Int64? {
        rows.bool(0, rows.column("is_retired")) ? rows.int64(0, rows.column("given_jobs")) : nil
    }
}
