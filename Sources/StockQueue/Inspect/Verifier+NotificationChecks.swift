/// Notifications and notified levels against the alert levels that the results record.
extension Verifier.Check {
    static func ofNotifications(_ s: String) -> [Self] { [notifications(s), thresholds(s), notifiedLevels(s)] }

    /// The first job id whose result retention has kept.
    static func firstKeptJob(_ s: String) -> String {
        "(SELECT coalesce(min(lower_bound), 0) FROM \(s).partition_bounds())"
    }

    /// The notification that a row of `results` must have; NULL for none.
    static func dueKind(_ s: String) -> String {
        """
        CASE
                            WHEN NOT notify THEN NULL
                            WHEN alert_before = 'ok' AND alert_after = 'low' THEN 'low_stock'
                            WHEN alert_before <> 'out' AND alert_after = 'out' THEN 'out_of_stock'
                            WHEN alert_before = 'out' AND alert_after <> 'out' THEN 'back_in_stock'
                            WHEN alert_before = 'low' AND alert_after = 'ok' THEN 'restocked'
                        END::\(s).notification_kind
        """
    }

    /// The notified level that an item must have.
    ///
    /// - Parameters:
    ///   - item: the name of a row with the item's key and version.
    ///   - last: the name of the row of `results` of its last change.
    static func dueLevel(of item: String, after last: String, _ s: String) -> String {
        """
        coalesce(
                        (
                            SELECT changed.alert_after FROM \(s).threshold_changes AS changed
                            WHERE (changed.item_id, changed.store_id, changed.location_id, changed.version)
                                = (\(item).item_id, \(item).store_id, \(item).location_id, \(item).version)
                            ORDER BY change_id DESC LIMIT 1
                        ),
                        CASE WHEN \(last).notify THEN \(last).alert_after
                            ELSE least(\(last).alert_before, \(last).alert_after) END
                    )
        """
    }

    private static func notifications(_ s: String) -> Self {
        Self(
            name: "notifications are the changes of level that the results record",
            statementName: "verify_notifications",
            sql: """
                SELECT format('job %s: item %L %L %L version %s went from %s to %s, notified: %s', job_id,
                    store_id, item_id, location_id, version, alert_before, alert_after, coalesce(written.kind::text, 'nothing'))
                FROM (
                    SELECT job_id, store_id, item_id, location_id, version, alert_before, alert_after,
                        \(dueKind(s)) AS kind
                    FROM \(s).results
                    WHERE outcome = 'applied'
                ) AS due
                FULL JOIN (SELECT * FROM \(s).notifications WHERE job_id IS NOT NULL) AS written
                    USING (job_id, store_id, item_id, location_id, version)
                WHERE due.kind IS DISTINCT FROM written.kind
                    AND (due.kind IS NOT NULL OR written.kind IS NOT NULL)
                    -- Notifications may outlive the results that retention has dropped.
                    AND (due.kind IS NOT NULL OR job_id >= \(firstKeptJob(s)))
                """)
    }

    private static func thresholds(_ s: String) -> Self {
        Self(
            name: "notifications without a job are the changes of level that changed thresholds made",
            statementName: "verify_threshold_changes",
            sql: """
                SELECT format('notification %s: item %L %L %L went from %s to %s by a threshold, notified: %s',
                    notification_id, store_id, item_id, location_id, alert_before, alert_after,
                    coalesce(written.kind::text, 'nothing'))
                FROM (
                    SELECT *,
                        CASE
                            WHEN alert_after = 'out' THEN 'out_of_stock'
                            WHEN alert_before = 'out' THEN 'back_in_stock'
                            WHEN alert_after = 'low' THEN 'low_stock'
                            ELSE 'restocked'
                        END::\(s).notification_kind AS kind
                    FROM \(s).threshold_changes
                ) AS due
                FULL JOIN (SELECT * FROM \(s).notifications WHERE job_id IS NULL) AS written
                    USING (notification_id, store_id, item_id, location_id, version)
                WHERE due.kind IS DISTINCT FROM written.kind
                """)
    }

    private static func notifiedLevels(_ s: String) -> Self {
        Self(
            name: "the notified level of an item is that of its last change", statementName: "verify_notified_levels",
            sql: """
                SELECT \(item) || format(': notified level %s, after job %s it should be %s', notified_level, last_job_id, should)
                FROM (
                    SELECT items.*, \(dueLevel(of: "items", after: "results", s)) AS should
                    FROM \(s).items
                    JOIN \(s).results ON results.job_id = items.last_job_id
                ) AS item
                WHERE notified_level IS DISTINCT FROM should
                """)
    }
}
