import StockModel
import StockQueuePostgres

/// A SQL statement of the queue: why it is as it is, its SQL, its parameters and its rows are together in one type.
///
/// Statements name the schema themselves, because a session's `search_path` is the user's.
protocol QueueStatement: Sendable {
    var statement: Statement { get }
}

extension QueueStatement {
    /// The name by which the statement is prepared, logged and profiled.
    var name: String { statement.name }
}

/// Parts of SQL that several statements share.
enum SQL {
    /// The labels of an enum as a constant array, so that the client sends a small number and the table stores the
    /// label.
    static func labels<Label: DatabaseLabel>(_ type: Label.Type, _ schema: QueueSchema) -> String {
        let quoted = Label.allCases.map { quoteLiteral($0.rawValue) }.joined(separator: ", ")
        return "ARRAY[\(quoted)]::\(schema.quoted).\(Label.typeName)[]"
    }

    /// The time that the producer asked for, of a row of `jobs`: a `run_at` that neither a backoff, nor waiting, nor a
    /// pause has set.
    static let requestedTime =
        "coalesce(scheduled_at, CASE WHEN attempts = 0 AND waiting_since IS NULL AND paused_at IS NULL THEN run_at END)"

    /// Of a row of `jobs`: a worker may take it now, whether it has been promoted yet or not. A job that waits for stock,
    /// and is only looked at again, is waiting until it is promoted.
    static let isReady = "(run_at IS NULL OR run_at <= now() AND waiting_since IS NULL)"

    /// What `jobCounts` counts, of a row of `jobs`.
    static let jobStates = """
        run_at, waiting_since, attempts, \(isReady) AS is_ready,
                            NOT \(isReady) AND run_at < 'infinity' AS is_deferred
        """

    /// The numbers of jobs in each state, as columns. The rows have `jobStates`.
    static let jobCounts = """
        count(*) FILTER (WHERE is_ready) AS ready,
                    count(*) FILTER (WHERE is_deferred AND waiting_since IS NULL AND attempts = 0) AS scheduled,
                    count(*) FILTER (WHERE is_deferred AND waiting_since IS NOT NULL) AS waiting,
                    count(*) FILTER (WHERE is_deferred AND waiting_since IS NULL AND attempts > 0) AS retrying,
                    count(*) FILTER (WHERE run_at = 'infinity') AS paused
        """

    /// Since when a ready row of `jobs` could have been worked, pauses aside.
    static let readySince = "greatest(enqueued_at, scheduled_at, run_at)"

    /// When the store or the lane of a row was resumed last; null where it was not. The rows of the function `resumes`
    /// are named `resumed`.
    static func resumedAt(_ row: String) -> String {
        """
        (
            SELECT max(resumed_at) FROM resumed
            WHERE resumed.store_id = \(row).store_id OR resumed.lane = \(row).lane
                OR resumed.store_id IS NULL AND resumed.lane IS NULL
        )
        """
    }

    /// Whether an administrator accepted that the balance of an item was changed outside the queue behind a version.
    ///
    /// - Parameters:
    ///   - row: the name of a row with the item's key.
    ///   - version: an expression, as each part of the balances.
    ///   - before, after: on hand and allocated, separated by a comma.
    static func isAccepted(
        _ row: String, behind version: String, before: String, after: String, _ schema: String
    ) -> String {
        """
        EXISTS (
            SELECT FROM \(schema).reconciliations AS accepted
            WHERE (accepted.store_id, accepted.item_id, accepted.location_id, accepted.version)
                    = (\(row).store_id, \(row).item_id, \(row).location_id, \(version))
                AND (accepted.on_hand_before, accepted.allocated_before) = (\(before))
                AND (accepted.on_hand_after, accepted.allocated_after) = (\(after))
        )
        """
    }

    /// The alert level of an item; `AlertLevel.init` is the same rule.
    ///
    /// - Parameters:
    ///   - available, threshold, tracked: expressions for the item's attributes.
    static func alertLevel(
        available: String = "available", threshold: String = "low_stock_threshold", tracked: String = "tracked",
        _ schema: QueueSchema
    ) -> String {
        """
        CASE
                WHEN NOT \(tracked) THEN 'ok'
                WHEN \(available) <= 0 THEN 'out'
                WHEN \(available) <= \(threshold) THEN 'low'
                ELSE 'ok'
            END::\(schema.quoted).alert_level
        """
    }

    /// A factor for a pause, from 0.75 to 1.25. It is the same for all lines of a group, which are due together;
    /// otherwise the group would have another first line at each attempt.
    static let jitter = """
        (0.75 + 0.5 * CASE WHEN group_id IS NULL THEN random()
                ELSE (hashtextextended(group_id, extract(epoch FROM now())::bigint) & 1023) / 1024.0 END)
        """
}

extension AlertLevel {
    static let labels = Labels(allCases.map(\.rawValue))
}

extension StockAction {
    static let labels = Labels(allCases.map(\.rawValue))
}

extension InsufficientStockPolicy {
    static let labels = Labels(allCases.map(\.rawValue))
}

extension ResultSet {
    /// The label in a column.
    func label<Label: DatabaseLabel>(
        _ row: Int, _ column: Int, of type: Label.Type
    ) throws(UnknownLabelError) -> Label {
        let text = string(row, column)
        guard let label = Label(rawValue: text) else { throw UnknownLabelError(type: Label.typeName, label: text) }
        return label
    }

    func optionalLabel<Label: DatabaseLabel>(
        _ row: Int, _ column: Int, of type: Label.Type
    ) throws(UnknownLabelError) -> Label? {
        isNull(row, column) ? nil : try label(row, column, of: type)
    }

    /// The label in a column; nil for one that this program does not know.
    func label<Label: DatabaseLabel>(_ row: Int, _ column: Int, _ labels: Labels, _ all: [Label]) -> Label? {
        label(row, column, among: labels).map { all[$0] }
    }
}
