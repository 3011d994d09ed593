/// Balances and versions against the ledger.
extension Verifier.Check {
    static func ofBalances(_ s: String) -> [Self] {
        [balances(s), versions(s), continuity(s), knownItems(s), changes(s), negativeStock(s)]
    }

    /// The sums of the ledger, item by item.
    private static func ledger(_ s: String) -> String {
        """
        SELECT store_id, item_id, location_id,
                sum(on_hand_after - on_hand_before) AS on_hand, sum(allocated_after - allocated_before) AS allocated,
                count(*) AS changes, count(DISTINCT version) AS versions, min(version) AS lowest, max(version) AS highest
            FROM \(s).results
            WHERE outcome = 'applied'
            GROUP BY store_id, item_id, location_id
        """
    }

    private static func balances(_ s: String) -> Self {
        Self(
            name: "opening + sum of applied = present, for on_hand and allocated", statementName: "verify_balances",
            sql: """
                SELECT \(item) || format(': on_hand is %s and should be %s, allocated is %s and should be %s',
                    items.on_hand, coalesce(opening_on_hand, items.on_hand) + coalesce(ledger.on_hand, 0),
                    items.allocated, coalesce(opening_allocated, items.allocated) + coalesce(ledger.allocated, 0))
                FROM \(s).items
                LEFT JOIN (\(ledger(s))) AS ledger USING (store_id, item_id, location_id)
                WHERE items.on_hand <> coalesce(opening_on_hand, items.on_hand) + coalesce(ledger.on_hand, 0)
                    OR items.allocated <> coalesce(opening_allocated, items.allocated) + coalesce(ledger.allocated, 0)
                """)
    }

    private static func versions(_ s: String) -> Self {
        Self(
            name: "versions are gapless", statementName: "verify_versions",
            sql: """
                SELECT \(item) || format(': version %s, opening version %s, %s changes with %s versions from %s to %s',
                    items.version, opening_version, coalesce(changes, 0), coalesce(versions, 0), lowest, highest)
                FROM \(s).items
                LEFT JOIN (\(ledger(s))) AS ledger USING (store_id, item_id, location_id)
                WHERE items.version - opening_version <> coalesce(changes, 0)
                    OR versions <> changes
                    OR highest <> items.version
                    OR (opening_version = 0 AND lowest <> 1)
                """)
    }

    private static func continuity(_ s: String) -> Self {
        Self(
            name: "each change begins where the one before it ended", statementName: "verify_continuity",
            sql: """
                SELECT format('job %s: item %L %L %L has %s on hand and %s allocated before version %s; version %s ended at %s and %s',
                    job_id, store_id, item_id, location_id, on_hand_before, allocated_before, version,
                    earlier_version, earlier_on_hand, earlier_allocated)
                FROM (
                    SELECT *,
                        lag(version) OVER history AS earlier_version, lag(on_hand_after) OVER history AS earlier_on_hand,
                        lag(allocated_after) OVER history AS earlier_allocated, lag(job_id) OVER history AS earlier_job
                    FROM \(s).results
                    WHERE outcome = 'applied'
                    WINDOW history AS (PARTITION BY store_id, item_id, location_id ORDER BY version)
                ) AS movement
                WHERE earlier_version = version - 1
                    AND ((earlier_on_hand, earlier_allocated) <> (on_hand_before, allocated_before)
                        OR previous_job_id IS DISTINCT FROM earlier_job)
                """)
    }

    private static func knownItems(_ s: String) -> Self {
        Self(
            name: "every applied job belongs to an item", statementName: "verify_known_items",
            sql: """
                SELECT format('job %s: there is no item %L %L %L', job_id, store_id, item_id, location_id)
                FROM \(s).results
                LEFT JOIN \(s).items USING (store_id, item_id, location_id)
                WHERE outcome = 'applied' AND items.store_id IS NULL
                """)
    }

    private static func changes(_ s: String) -> Self {
        Self(
            name: "applied jobs change stock, all others do not", statementName: "verify_changes",
            sql: """
                SELECT format('job %s: %s, on_hand %s to %s, allocated %s to %s', job_id, outcome,
                    on_hand_before, on_hand_after, allocated_before, allocated_after)
                FROM \(s).results
                WHERE (outcome = 'applied') <> coalesce(
                    (on_hand_before, allocated_before) <> (on_hand_after, allocated_after), false)
                """)
    }

    private static func negativeStock(_ s: String) -> Self {
        Self(
            name: "available stock went below zero only where the job allowed it",
            statementName: "verify_negative_stock",
            sql: """
                SELECT format('job %s (%s, %s): available %s to %s', job_id, action, on_insufficient,
                    on_hand_before - allocated_before, on_hand_after - allocated_after)
                FROM \(s).results
                WHERE outcome = 'applied' AND on_insufficient <> 'allow'
                    AND on_hand_after - allocated_after < least(0, on_hand_before - allocated_before)
                """)
    }
}
