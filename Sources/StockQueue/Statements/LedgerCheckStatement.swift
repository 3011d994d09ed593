import StockModel
import StockQueuePostgres

/// Selects a sentence for each thing that is wrong with the last changes of some items.
///
/// The statement walks each item's chain of results backwards by the primary key, so it costs a few probes an item,
/// however long the history is. A chain ends where retention has dropped what came before. For each item:
///
/// - its balance and version are those after its last change, or after a change outside the queue that an administrator
///   accepted;
/// - each change starts where the one before it ended, one version later;
/// - each result in the chain is that of an applied job that changed this item;
/// - none of these jobs is still queued;
/// - available stock went below zero only where the job allowed it.
struct LedgerCheckStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        let isAccepted = SQL.isAccepted(
            "change", behind: "change.version", before: "change.on_hand_after, change.allocated_after",
            after: "next_on_hand, next_allocated", s)
        statement = Statement(
            "check_ledger", [.textArray, .textArray, .textArray, .int4],
            """
            WITH RECURSIVE item AS (
                SELECT store_id, item_id, location_id, on_hand, allocated, version, last_job_id
                FROM unnest($1, $2, $3) AS wanted (store_id, item_id, location_id)
                JOIN \(s).items USING (store_id, item_id, location_id)
            ), change AS (
                SELECT 1 AS step, item.store_id, item.item_id, item.location_id, job_id,
                    item.on_hand AS next_on_hand, item.allocated AS next_allocated, item.version AS next_version,
                    on_hand_before, on_hand_after, allocated_before, allocated_after, results.version, previous_job_id,
                    outcome, on_insufficient, (results.store_id, results.item_id, results.location_id)
                        = (item.store_id, item.item_id, item.location_id) AS is_same_item
                FROM item
                JOIN \(s).results ON job_id = item.last_job_id
                UNION ALL
                SELECT step + 1, change.store_id, change.item_id, change.location_id, earlier.job_id,
                    change.on_hand_before, change.allocated_before, change.version - 1,
                    earlier.on_hand_before, earlier.on_hand_after, earlier.allocated_before, earlier.allocated_after,
                    earlier.version, earlier.previous_job_id, earlier.outcome, earlier.on_insufficient,
                    (earlier.store_id, earlier.item_id, earlier.location_id)
                        = (change.store_id, change.item_id, change.location_id)
                FROM change
                JOIN \(s).results AS earlier ON earlier.job_id = change.previous_job_id
                WHERE step < $4
            )
            SELECT store_id, item_id, location_id,
                format('item %L %L %L: job %s ', store_id, item_id, location_id, job_id) || problem AS violation
            FROM change
            CROSS JOIN LATERAL (
                SELECT format(
                    'ends at on_hand %s, allocated %s, version %s, but the next change starts at on_hand %s, allocated %s, version %s',
                    on_hand_after, allocated_after, version, next_on_hand, next_allocated, next_version)
                WHERE (on_hand_after, allocated_after, version)
                    IS DISTINCT FROM (next_on_hand, next_allocated, next_version)
                    AND NOT (change.version = next_version AND \(isAccepted))
                UNION ALL
                SELECT 'is in the item''s history, but its result is for another item' WHERE NOT is_same_item
                UNION ALL
                SELECT format('is %s, but is recorded as a change from on_hand %s, allocated %s to on_hand %s, allocated %s',
                    outcome, on_hand_before, allocated_before, on_hand_after, allocated_after)
                WHERE outcome <> 'applied'
                    OR (on_hand_before, allocated_before) IS NOT DISTINCT FROM (on_hand_after, allocated_after)
                UNION ALL
                SELECT 'is finished and still queued'
                WHERE EXISTS (SELECT FROM \(s).jobs WHERE jobs.job_id = change.job_id)
                UNION ALL
                SELECT format('took available stock from %s to %s, which its policy does not allow',
                    on_hand_before - allocated_before, on_hand_after - allocated_after)
                WHERE on_insufficient <> 'allow'
                    AND on_hand_after - allocated_after < least(0, on_hand_before - allocated_before)
            ) AS finding (problem)
            """)
    }

    /// - Parameter changesMax: how many changes of each item to check.
    static func parameters(_ parameters: inout Parameters, _ items: [ItemKey], changesMax: Int) {
        parameters.addArray(items.map(\.storeID))
        parameters.addArray(items.map(\.itemID))
        parameters.addArray(items.map(\.locationID))
        parameters.add(Int32(changesMax))
    }

    static func violations(in rows: ResultSet) -> [WorkEvent.IntegrityViolation] {
        func text(_ row: Int, _ column: String) -> String { rows.string(row, rows.column(column)) }
        return (0..<rows.rowCount).map { row in
            WorkEvent.IntegrityViolation(
                item: ItemKey(text(row, "store_id"), text(row, "item_id"), location: text(row, "location_id")),
                description: text(row, "violation"))
        }
    }
}

/// Notes what the ledger checker found, for `stats` and `doctor`.
struct NoteViolationsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "note_violations", [.textArray, .textArray, .textArray, .textArray],
            """
            INSERT INTO \(schema.quoted).ledger_violations (store_id, item_id, location_id, violation)
            SELECT DISTINCT ON (store_id, item_id, location_id) store_id, item_id, location_id, violation
            FROM unnest($1, $2, $3, $4) AS found (store_id, item_id, location_id, violation)
            ORDER BY store_id, item_id, location_id
            ON CONFLICT ON CONSTRAINT ledger_violations_pkey
                DO UPDATE SET violation = excluded.violation, found_at = excluded.found_at
            """)
    }

    static func parameters(_ violations: [WorkEvent.IntegrityViolation]) -> Parameters {
        var parameters = Parameters()
        parameters.addArray(violations.map(\.item.storeID))
        parameters.addArray(violations.map(\.item.itemID))
        parameters.addArray(violations.map(\.item.locationID))
        parameters.addArray(violations.map(\.description))
        return parameters
    }
}
