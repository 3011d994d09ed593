/// Balances and versions against the ledger.
extension Verifier.Check {
    static func ofBalances(_ s: String) -> [Self] {
        [balances(s), versions(s), continuity(s), knownItems(s), changes(s), negativeStock(s)]
    }

    /// Each item's row, and the last row of each retired one. `created_version` is the version with which it was created.
    private static func lives(_ s: String) -> String {
        """
        SELECT store_id, item_id, location_id, on_hand, allocated, version, coalesce(earlier_version, 0) AS created_version,
                coalesce(opening_on_hand, on_hand) AS opening_on_hand,
                coalesce(opening_allocated, allocated) AS opening_allocated, opening_version,
                NULL::bigint AS retired_version
            FROM \(s).items
            LEFT JOIN (
                SELECT store_id, item_id, location_id, max(version) AS earlier_version
                FROM \(s).retired_items
                GROUP BY store_id, item_id, location_id
            ) AS earlier USING (store_id, item_id, location_id)
            UNION ALL
            SELECT store_id, item_id, location_id, on_hand, allocated, version, created_version, opening_on_hand,
                opening_allocated, opening_version, version
            FROM \(s).retired_items
        """
    }

    /// The sums of the ledger since the openings, item by item; those of a retired item apart from those of its
    /// successor.
    ///
    /// A partition that goes may have later changes of an item than one that is kept: the opening is then the balance
    /// after the last one that went, and has the kept ones before it too.
    private static func ledger(_ s: String) -> String {
        """
        SELECT results.store_id, results.item_id, results.location_id, retired.version AS retired_version,
                sum(on_hand_after - on_hand_before) AS on_hand, sum(allocated_after - allocated_before) AS allocated,
                count(*) AS changes, count(DISTINCT results.version) AS versions, min(results.version) AS lowest,
                max(results.version) AS highest
            FROM \(s).results
            LEFT JOIN \(s).retired_items AS retired
                ON retired.store_id = results.store_id AND retired.item_id = results.item_id
                AND retired.location_id = results.location_id
                AND results.version > retired.created_version AND results.version <= retired.version
            LEFT JOIN \(s).items ON items.store_id = results.store_id AND items.item_id = results.item_id
                AND items.location_id = results.location_id
            WHERE outcome = 'applied'
                AND results.version > coalesce(
                    CASE WHEN retired.version IS NULL THEN items.opening_version ELSE retired.opening_version END, 0)
            GROUP BY results.store_id, results.item_id, results.location_id, retired.version
        """
    }

    /// Joins the two, and the sums of the changes outside the queue that an administrator accepted.
    private static func livesWithLedger(_ s: String) -> String {
        """
        (\(lives(s))) AS item
                CROSS JOIN LATERAL (
                    SELECT coalesce(sum(on_hand_after - on_hand_before), 0) AS on_hand,
                        coalesce(sum(allocated_after - allocated_before), 0) AS allocated
                    FROM \(s).reconciliations AS accepted
                    WHERE (accepted.store_id, accepted.item_id, accepted.location_id)
                            = (item.store_id, item.item_id, item.location_id)
                        AND accepted.version > item.created_version
                        AND (item.retired_version IS NULL OR accepted.version <= item.retired_version)
                ) AS outside
                LEFT JOIN (\(ledger(s))) AS ledger ON ledger.store_id = item.store_id AND ledger.item_id = item.item_id
                    AND ledger.location_id = item.location_id
                    AND ledger.retired_version IS NOT DISTINCT FROM item.retired_version
                    AND (item.retired_version IS NULL OR item.retired_version > item.created_version)
        """
    }

    private static func balances(_ s: String) -> Self {
        Self(
            name: "opening + sum of applied = present, for on_hand and allocated", statementName: "verify_balances",
            sql: """
                SELECT format('item %L %L %L: on_hand is %s and should be %s, allocated is %s and should be %s',
                    item.store_id, item.item_id, item.location_id,
                    item.on_hand, opening_on_hand + coalesce(ledger.on_hand, 0) + outside.on_hand,
                    item.allocated, opening_allocated + coalesce(ledger.allocated, 0) + outside.allocated)
                FROM \(livesWithLedger(s))
                WHERE item.on_hand <> opening_on_hand + coalesce(ledger.on_hand, 0) + outside.on_hand
                    OR item.allocated <> opening_allocated + coalesce(ledger.allocated, 0) + outside.allocated
                """)
    }

    private static func versions(_ s: String) -> Self {
        Self(
            name: "versions are gapless", statementName: "verify_versions",
            sql: """
                SELECT format(
                    'item %L %L %L: version %s, opening version %s, %s changes with %s versions from %s to %s',
                    item.store_id, item.item_id, item.location_id,
                    version, opening_version, coalesce(changes, 0), coalesce(versions, 0), lowest, highest)
                FROM \(livesWithLedger(s))
                WHERE version - opening_version <> coalesce(changes, 0)
                    OR versions <> changes
                    OR highest <> version
                    OR lowest <> opening_version + 1
                """)
    }

    private static func continuity(_ s: String) -> Self {
        let isAccepted = SQL.isAccepted(
            "movement", behind: "earlier_version", before: "earlier_on_hand, earlier_allocated",
            after: "movement.on_hand_before, movement.allocated_before", s)
        return Self(
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
                            AND NOT \(isAccepted)
                        OR previous_job_id IS DISTINCT FROM earlier_job)
                    -- An item that was created again begins with an opening balance.
                    AND NOT EXISTS (
                        SELECT FROM \(s).retired_items AS retired
                        WHERE (retired.store_id, retired.item_id, retired.location_id, retired.version)
                            = (movement.store_id, movement.item_id, movement.location_id, earlier_version)
                    )
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
                    AND NOT EXISTS (
                        SELECT FROM \(s).retired_items AS retired
                        WHERE (retired.store_id, retired.item_id, retired.location_id)
                                = (results.store_id, results.item_id, results.location_id)
                            AND results.version > retired.created_version AND results.version <= retired.version
                    )
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

    /// Of an applied job: it took available stock below zero, which its policy does not allow.
    static let wentBelowZero = """
        on_insufficient <> 'allow'
                    AND on_hand_after - allocated_after < least(0, on_hand_before - allocated_before)
        """

    private static func negativeStock(_ s: String) -> Self {
        Self(
            name: "available stock went below zero only where the job allowed it",
            statementName: "verify_negative_stock",
            sql: """
                SELECT format('job %s (%s, %s): available %s to %s', job_id, action, on_insufficient,
                    on_hand_before - allocated_before, on_hand_after - allocated_after)
                FROM \(s).results
                WHERE outcome = 'applied' AND \(wentBelowZero)
                """)
    }
}
