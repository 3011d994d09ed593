import StockModel
import StockQueuePostgres

extension Verifier {
    /// A part of the ledger: the items of a store, one item, or what was changed lately. At least one of them is given.
    package struct Scope: Sendable, Hashable {
        package var store, item, location: String?
        /// Changes that were finished at this time or later.
        package var since: PastMoment?

        package init() {}
    }
}

/// The checks of a part of the ledger. Indexes find its rows: an item's results are a chain, each with the id of the one
/// before it, and the change log has the applied jobs by time.
extension Verifier.Check {
    static func of(_ scope: Verifier.Scope, _ s: String) -> [Self] {
        let part = Part(scope, s)
        let checks = [
            part.stock(), part.continuity(), part.changes(), part.negativeStock(), part.notifications(),
            part.notifiedLevels(), part.finishedOnce(),
        ]
        return scope.item == nil ? checks + [part.reachable()] : checks
    }
}

/// The SQL of these checks. A value of the scope is a literal, because a check has no parameters.
private struct Part {
    private let scope: Verifier.Scope
    private let s: String

    init(_ scope: Verifier.Scope, _ s: String) { (self.scope, self.s) = (scope, s) }

    /// The first moment; nil for all of the past.
    private var since: String? { scope.since?.literal }

    /// Conditions on the key of a row.
    private func key(_ row: String) -> [String] {
        [("store_id", scope.store), ("item_id", scope.item), ("location_id", scope.location)].compactMap {
            name, value in
            value.map { "\(row).\(name) = \(quoteLiteral($0))" }
        }
    }

    private func both(_ conditions: [String]) -> String {
        conditions.isEmpty ? "" : "WHERE " + conditions.joined(separator: " AND ")
    }

    /// The applied jobs of the change log.
    private var logged: String {
        let store = scope.store.map { "log.store_id = \(quoteLiteral($0))" }
        let conditions = [since.map { "log.created_at >= \($0)" }, store].compactMap { $0 }
        return """
            SELECT applied.*
                FROM \(s).change_log AS log
                CROSS JOIN LATERAL unnest(log.job_ids) AS logged (job_id)
                CROSS JOIN LATERAL (SELECT * FROM \(s).results WHERE results.job_id = logged.job_id LIMIT 1) AS applied
                \(both(conditions))
            """
    }

    /// The item of a row, as `scoped`. `LIMIT` keeps it a look-up for each row, which the table's index answers.
    private func item(of row: String) -> String {
        """
        CROSS JOIN LATERAL (
                    SELECT * FROM \(s).items AS item
                    WHERE (item.store_id, item.item_id, item.location_id)
                        = (\(row).store_id, \(row).item_id, \(row).location_id)
                    LIMIT 1
                ) AS scoped
        """
    }

    /// `scoped`: the items. `chain`: their applied results, from the last one back.
    ///
    /// The planner takes both for small, and may do so with the tables. Every row is therefore looked up by its key: of
    /// two sets that it takes for small, the planner would compare each row with each.
    private var common: String {
        let isOfTouched = since != nil && scope.item == nil
        let items =
            isOfTouched
            ? """
            (SELECT DISTINCT store_id, item_id, location_id FROM (\(logged)) AS logged) AS touched
                \(item(of: "touched"))
            """ : "\(s).items AS scoped"
        // What is up to the opening counts no more, whether its partition is gone or not.
        let recent =
            "WHERE change.version > scoped.opening_version" + (since.map { " AND change.finished_at >= \($0)" } ?? "")
        return """
            WITH RECURSIVE scoped AS MATERIALIZED (
                SELECT scoped.*, \(createdVersion("scoped")) AS created_version
                FROM \(items)
                \(both(key("scoped")))
            ), chain AS (
                SELECT change.*
                FROM scoped
                CROSS JOIN LATERAL (SELECT * FROM \(s).results WHERE results.job_id = scoped.last_job_id LIMIT 1) AS change
                \(recent)
                UNION ALL
                SELECT change.*
                FROM chain
                \(item(of: "chain"))
                CROSS JOIN LATERAL (
                    SELECT * FROM \(s).results
                    WHERE results.job_id = chain.previous_job_id AND results.version < chain.version
                    LIMIT 1
                ) AS change
                \(recent)
            )
            """
    }

    private func check(_ name: String, _ statementName: String, _ sql: String) -> Verifier.Check {
        Verifier.Check(name: name, statementName: "verify_part_\(statementName)", sql: "\(common)\n\(sql)")
    }

    /// The balance that an administrator accepted behind a version, where there is one.
    private func accepted(_ row: String, behind version: String) -> String {
        """
        LEFT JOIN \(s).reconciliations AS accepted
                ON (accepted.store_id, accepted.item_id, accepted.location_id, accepted.version)
                    = (\(row).store_id, \(row).item_id, \(row).location_id, \(version))
        """
    }

    /// The version with which an item was created the last time.
    private func createdVersion(_ item: String) -> String {
        """
        (
                    SELECT coalesce(max(retired.version), 0) FROM \(s).retired_items AS retired
                    WHERE (retired.store_id, retired.item_id, retired.location_id)
                        = (\(item).store_id, \(item).item_id, \(item).location_id)
                )
        """
    }

    /// The balance with which the kept history of the item `scoped` begins.
    private func opening(_ column: String) -> String {
        """
        coalesce(scoped.opening_\(column), scoped.\(column)) + (
                    SELECT coalesce(sum(a.\(column)_after - a.\(column)_before), 0) FROM \(s).reconciliations AS a
                    WHERE (a.store_id, a.item_id, a.location_id) = (scoped.store_id, scoped.item_id, scoped.location_id)
                        AND a.version > \(createdVersion("scoped")) AND a.version <= scoped.opening_version
                )
        """
    }

    func stock() -> Verifier.Check {
        check(
            "the stock of an item is that after its last change", "stock",
            """
            SELECT format('item %L %L %L: version %s, on_hand %s, allocated %s; job %s ended with %s, %s and %s',
                store_id, item_id, location_id, version, on_hand, allocated, last_job_id, last_version, last_on_hand,
                last_allocated)
            FROM (
                SELECT scoped.*, coalesce(last.version, scoped.opening_version) AS last_version,
                    coalesce(accepted.on_hand_after, last.on_hand_after, \(opening("on_hand"))) AS last_on_hand,
                    coalesce(accepted.allocated_after, last.allocated_after, \(opening("allocated"))) AS last_allocated
                FROM scoped
                LEFT JOIN LATERAL (
                    SELECT * FROM \(s).results WHERE results.job_id = scoped.last_job_id LIMIT 1
                ) AS last ON true
                \(accepted("scoped", behind: "last.version"))
            ) AS item
            WHERE (version, on_hand, allocated) IS DISTINCT FROM (last_version, last_on_hand, last_allocated)
            """)
    }

    func continuity() -> Verifier.Check {
        check(
            "each change begins where the one before it ended, and versions are gapless", "continuity",
            """
            SELECT format('job %s: item %L %L %L has %s on hand and %s allocated before version %s; version %s ended at %s and %s',
                job_id, store_id, item_id, location_id, on_hand_before, allocated_before, version, earlier_version,
                earlier_on_hand, earlier_allocated)
            FROM (
                SELECT chain.*, coalesce(earlier.version, scoped.opening_version) AS earlier_version,
                    coalesce(accepted.on_hand_after, earlier.on_hand_after, \(opening("on_hand"))) AS earlier_on_hand,
                    coalesce(accepted.allocated_after, earlier.allocated_after, \(opening("allocated")))
                        AS earlier_allocated
                FROM chain
                \(item(of: "chain"))
                LEFT JOIN LATERAL (
                    SELECT * FROM \(s).results
                    WHERE results.job_id = chain.previous_job_id AND results.outcome = 'applied'
                        AND (results.store_id, results.item_id, results.location_id)
                            = (chain.store_id, chain.item_id, chain.location_id)
                    LIMIT 1
                ) AS earlier ON true
                \(accepted("chain", behind: "earlier.version"))
            ) AS movement
            WHERE (version - 1, on_hand_before, allocated_before)
                IS DISTINCT FROM (earlier_version, earlier_on_hand, earlier_allocated)
            """)
    }

    func changes() -> Verifier.Check {
        check(
            "applied jobs change stock", "changes",
            """
            SELECT format('job %s: %s, on_hand %s to %s, allocated %s to %s', job_id, outcome,
                on_hand_before, on_hand_after, allocated_before, allocated_after)
            FROM chain
            WHERE outcome <> 'applied'
                OR (on_hand_before, allocated_before) IS NOT DISTINCT FROM (on_hand_after, allocated_after)
            """)
    }

    func negativeStock() -> Verifier.Check {
        check(
            "available stock went below zero only where the job allowed it", "negative_stock",
            """
            SELECT format('job %s (%s, %s): available %s to %s', job_id, action, on_insufficient,
                on_hand_before - allocated_before, on_hand_after - allocated_after)
            FROM chain
            WHERE \(Verifier.Check.wentBelowZero)
            """)
    }

    func notifications() -> Verifier.Check {
        let recent = since.map { "AND n.created_at >= \($0)" } ?? ""
        return check(
            "notifications are the changes of level that the results record", "notifications",
            """
            SELECT format('job %s: item %L %L %L version %s went from %s to %s, notified: %s', job_id,
                store_id, item_id, location_id, version, alert_before, alert_after,
                coalesce(written.kind::text, 'nothing'))
            FROM (
                SELECT job_id, store_id, item_id, location_id, version, alert_before, alert_after,
                    \(Verifier.Check.dueKind(s)) AS kind
                FROM chain
            ) AS due
            FULL JOIN (
                SELECT n.*
                FROM scoped
                CROSS JOIN LATERAL (
                    SELECT * FROM \(s).notifications AS n
                    WHERE (n.item_id, n.store_id, n.location_id) = (scoped.item_id, scoped.store_id, scoped.location_id)
                        AND n.job_id IS NOT NULL \(recent)
                        -- Notifications may outlive the results that retention has dropped.
                        AND n.version > greatest(scoped.created_version, scoped.opening_version)
                    OFFSET 0
                ) AS n
            ) AS written USING (job_id, store_id, item_id, location_id, version)
            WHERE due.kind IS DISTINCT FROM written.kind AND (due.kind IS NOT NULL OR written.kind IS NOT NULL)
            """)
    }

    func notifiedLevels() -> Verifier.Check {
        check(
            "the notified level of an item is that of its last change", "notified_levels",
            """
            SELECT \(Verifier.Check.item) || format(': notified level %s, after job %s it should be %s', notified_level, last_job_id,
                should)
            FROM (
                SELECT scoped.*, \(Verifier.Check.dueLevel(of: "scoped", after: "last", s)) AS should
                FROM scoped
                CROSS JOIN LATERAL (
                    SELECT * FROM \(s).results WHERE results.job_id = scoped.last_job_id LIMIT 1
                ) AS last
            ) AS item
            WHERE notified_level IS DISTINCT FROM should
            """)
    }

    func finishedOnce() -> Verifier.Check {
        check(
            "no job is both queued and finished", "finished_once",
            """
            SELECT format('job %s', chain.job_id)
            FROM chain
            CROSS JOIN LATERAL (SELECT FROM \(s).jobs WHERE jobs.job_id = chain.job_id LIMIT 1) AS queued
            """)
    }

    /// A result that is not in its item's chain was written beside the item.
    func reachable() -> Verifier.Check {
        check(
            "every job of the change log is in the chain of its item", "reachable",
            """
            SELECT format('job %s: item %L %L %L has it not among its changes', job_id, store_id, item_id, location_id)
            FROM (
                SELECT logged.job_id, logged.store_id, logged.item_id, logged.location_id
                FROM (\(logged)) AS logged
                \(item(of: "logged"))
                WHERE logged.version > scoped.opening_version
                EXCEPT
                SELECT job_id, store_id, item_id, location_id FROM chain
            ) AS lost
            """)
    }
}
