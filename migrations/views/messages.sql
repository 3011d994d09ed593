-- What is sent of the notifications. Repeatable: applied again whenever this text changes; new columns go to the end,
-- and another change of the columns needs a migration.

-- The notifications that are sent, each as its announcement, if it has one, says.
CREATE OR REPLACE VIEW :"schema".alert_messages WITH (security_invoker) AS
SELECT n.position, n.notification_id, n.store_id, n.item_id, n.location_id,
    coalesce(a.kind, n.kind) AS kind,
    CASE WHEN a.notification_id IS NULL THEN n.job_id ELSE a.job_id END AS job_id,
    coalesce(a.version, n.version) AS version,
    coalesce(a.available_before, n.available_before) AS available_before,
    coalesce(a.available_after, n.available_after) AS available_after,
    n.low_stock_threshold,
    coalesce(a.announced_at, n.created_at) AS occurred_at,
    a.notification_id IS NOT NULL AS is_announced
FROM :"schema".notifications AS n
LEFT JOIN :"schema".announcements AS a ON a.notification_id = n.notification_id
WHERE CASE WHEN a.notification_id IS NOT NULL THEN a.is_sent
    ELSE NOT EXISTS (
        SELECT FROM :"schema".announced_stores AS s
        WHERE s.store_id = n.store_id AND (n.position, n.notification_id) > (s.from_position, s.from_row)
    )
END;
