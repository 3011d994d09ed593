/// Notifications and notified levels against the alert levels that the results record.
extension Verifier.Check {
    static func ofNotifications(_ s: String) -> [Self] { [notifications(s), notifiedLevels(s)] }

    private static func notifications(_ s: String) -> Self {
        Self(
            name: "notifications are the changes of level that the results record",
            statementName: "verify_notifications",
            sql: """
                SELECT format('job %s: item %L %L %L version %s went from %s to %s, notified: %s', job_id,
                    store_id, item_id, location_id, version, alert_before, alert_after, coalesce(written.kind::text, 'nothing'))
                FROM (
                    SELECT job_id, store_id, item_id, location_id, version, alert_before, alert_after,
                        CASE
                            WHEN NOT notify THEN NULL
                            WHEN alert_before = 'ok' AND alert_after = 'low' THEN 'low_stock'
                            WHEN alert_before <> 'out' AND alert_after = 'out' THEN 'out_of_stock'
                            WHEN alert_before = 'out' AND alert_after <> 'out' THEN 'back_in_stock'
                            WHEN alert_before = 'low' AND alert_after = 'ok' THEN 'restocked'
                        END::\(s).notification_kind AS kind
                    FROM \(s).results
                    WHERE outcome = 'applied'
                ) AS due
                FULL JOIN \(s).notifications AS written USING (job_id, store_id, item_id, location_id, version)
                WHERE due.kind IS DISTINCT FROM written.kind
                    AND (due.kind IS NOT NULL OR written.kind IS NOT NULL)
                    -- Notifications may outlive the results that retention has dropped.
                    AND (due.kind IS NOT NULL OR job_id >= (SELECT coalesce(min(job_id), 0) FROM \(s).results))
                """)
    }

    private static func notifiedLevels(_ s: String) -> Self {
        Self(
            name: "the notified level of an item is that of its last change", statementName: "verify_notified_levels",
            sql: """
                SELECT \(item) || format(': notified level %s, after job %s it should be %s', notified_level, last_job_id, should)
                FROM (
                    SELECT items.*, CASE WHEN notify THEN alert_after ELSE least(alert_before, alert_after) END AS should
                    FROM \(s).items
                    JOIN \(s).results ON results.job_id = items.last_job_id
                ) AS item
                WHERE notified_level IS DISTINCT FROM should
                """)
    }
}
