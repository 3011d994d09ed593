/// Announcements against the notifications, the results, the policies and the snoozes that they follow from.
///
/// The rules are those of `migrations/functions/alerts.sql`, written as one query over all items.
extension Verifier.Check {
    static func ofAlerts(_ s: String) -> [Self] { [announcements(s), firstSupplies(s), deliveries(s)] }

    /// The notifications of announced stores that the fan-out has read, with their announcements.
    private static func read(_ s: String) -> String {
        """
        SELECT n.*, a.alert_before, a.alert_after, a.kind AS sent_kind, a.job_id AS sent_job, a.version AS sent_version,
                a.available_after AS sent_available, a.announced_at, a.made_at, a.is_sent,
                CASE WHEN n.available_after <= 0 THEN 'out' WHEN n.available_after <= n.low_stock_threshold THEN 'low'
                    ELSE 'ok' END AS level,
                CASE n.kind WHEN 'restocked' THEN 'low' WHEN 'back_in_stock' THEN 'out' ELSE 'ok' END AS level_before,
                lead(n.created_at) OVER item AS next_at, lead(n.position) OVER item AS next_position,
                lead(n.notification_id) OVER item AS next_id,
                (
                    SELECT min(r.retired_at) FROM \(s).retired_items AS r
                    WHERE (r.item_id, r.store_id, r.location_id) = (n.item_id, n.store_id, n.location_id)
                        AND r.last_notification_id >= n.notification_id
                ) AS retired_at,
                (
                    SELECT max(r.last_notification_id) FROM \(s).retired_items AS r
                    WHERE (r.item_id, r.store_id, r.location_id) = (n.item_id, n.store_id, n.location_id)
                        AND r.last_notification_id < n.notification_id
                ) AS predecessor
            FROM \(s).notifications AS n
            JOIN \(s).announced_stores AS s USING (store_id)
            CROSS JOIN \(s).delivery_progress AS progress
            LEFT JOIN \(s).announcements AS a USING (notification_id)
            WHERE (n.position, n.notification_id) > (s.from_position, s.from_row)
                AND (n.position, n.notification_id) <= (progress.position, progress.row_id)
            WINDOW item AS (PARTITION BY n.item_id, n.store_id, n.location_id ORDER BY n.notification_id)
        """
    }

    /// These with the policy and the snooze in force: when the announcement was made, or when the next notification was
    /// read.
    private static func inForce(_ s: String) -> String {
        let last = { (table: String, key: String) in
            """
            SELECT * FROM \(s).\(table) AS p
                    WHERE \(key) AND CASE
                        WHEN n.made_at IS NOT NULL THEN p.set_at <= n.made_at
                        ELSE n.next_id IS NULL OR (p.from_position, p.from_row) < (n.next_position, n.next_id)
                    END
            """
        }
        let ofItem = "(p.item_id, p.store_id, p.location_id) = (n.item_id, n.store_id, n.location_id)"
        return """
            SELECT n.*, coalesce(p.quiet_period, interval '0') AS quiet_period,
                    n.low_stock_threshold + coalesce(p.rearm_margin, 0) AS rearm_above, z.until,
                    greatest(
                        CASE WHEN (p.from_position, p.from_row) >= (n.position, n.notification_id) THEN p.set_at END,
                        CASE WHEN (z.from_position, z.from_row) >= (n.position, n.notification_id) THEN z.set_at END
                    ) AS not_before
                FROM read AS n
                LEFT JOIN LATERAL (
                    \(last("alert_policies", "p.store_id = n.store_id"))
                    ORDER BY policy_id DESC LIMIT 1
                ) AS p ON true
                LEFT JOIN LATERAL (
                    \(last("snoozes", ofItem))
                    ORDER BY snooze_id DESC LIMIT 1
                ) AS z ON true
            """
    }

    /// The changes of stock between two notifications of an item, each with the first of the two.
    private static func between(_ s: String) -> String {
        """
        SELECT * FROM (
                SELECT job_id, version, available, finished_at, is_notification,
                    max(notification_id) OVER (
                        PARTITION BY item_id, store_id, location_id ORDER BY version, is_notification, notification_id
                    ) AS notification_id
                FROM (
                    SELECT store_id, item_id, location_id, version, true AS is_notification, notification_id,
                        NULL::bigint AS job_id, NULL::bigint AS available, NULL::timestamptz AS finished_at
                    FROM read
                    UNION ALL
                    SELECT r.store_id, r.item_id, r.location_id, r.version, false, NULL, r.job_id,
                        r.on_hand_after - r.allocated_after, r.finished_at
                    FROM \(s).results AS r
                    JOIN \(s).announced_stores USING (store_id)
                    LEFT JOIN read AS own ON own.job_id = r.job_id
                    WHERE r.outcome = 'applied' AND own.job_id IS NULL
                ) AS events
            ) AS numbered
            WHERE NOT is_notification AND notification_id IS NOT NULL
        """
    }

    /// These with the first change that exceeded the margin.
    private static let withRise = """
        SELECT DISTINCT ON (n.notification_id) n.*, b.job_id AS rise_job, b.version AS rise_version,
                b.available AS rise_available, b.finished_at AS rise_at
            FROM in_force AS n
            LEFT JOIN between_notifications AS b
                ON b.notification_id = n.notification_id AND b.available > n.rearm_above
            ORDER BY n.notification_id, b.version
        """

    /// These with the level that was announced last before each of them, and when.
    ///
    /// An item begins with the level before its first notification; so it does again when a job without notifications
    /// made its level better. An item that was created again with the same key is another.
    private static let chained = """
        SELECT *,
                coalesce(set_before, ('{ok,low,out}'::text[])[(
                    max(ARRAY[notification_id, array_position('{ok,low,out}', coalesce(set_after, set_before))])
                        FILTER (WHERE coalesce(set_after, set_before) IS NOT NULL) OVER earlier
                )[2]]) AS announced_level,
                max(announced_at) FILTER (WHERE is_sent) OVER earlier AS last_at
            FROM (
                SELECT *,
                    CASE WHEN last_level IS NULL
                            OR CASE kind WHEN 'out_of_stock' THEN last_level = 'out' ELSE last_level <> level_before END
                        THEN level_before END AS set_before,
                    CASE WHEN made_at IS NOT NULL THEN level END AS set_after
                FROM (
                    SELECT *,
                        lag(level) OVER (
                            PARTITION BY item_id, store_id, location_id, predecessor ORDER BY notification_id
                        ) AS last_level
                    FROM with_rise
                ) AS following
            ) AS setting
            WINDOW earlier AS (
                PARTITION BY item_id, store_id, location_id, predecessor ORDER BY notification_id
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            )
        """

    /// These with the time at which each was due; null for one that has nothing new, waits for more stock, or is of an
    /// item that was retired before that time.
    private static let due = """
        SELECT *, CASE WHEN retired_at < due THEN NULL ELSE due END AS due_at
            FROM (
                SELECT *,
                    CASE
                        WHEN level = announced_level THEN NULL
                        WHEN NOT is_sent THEN created_at
                        WHEN NOT waits OR rise_at IS NOT NULL THEN greatest(
                            CASE WHEN waits THEN rise_at ELSE created_at END,
                            CASE WHEN level <> 'out' THEN last_at + quiet_period END, until, not_before)
                    END AS due
                FROM (
                    SELECT *,
                        coalesce(
                            announced_level = 'low' AND level = 'ok' AND available_after <= rearm_above, false) AS waits
                    FROM chained
                ) AS waiting
            ) AS decided
        """

    private static func announcements(_ s: String) -> Self {
        Self(
            name: "announcements follow from notifications, results, policies and snoozes",
            statementName: "verify_announcements",
            sql: """
                WITH read AS MATERIALIZED (\(read(s))), in_force AS MATERIALIZED (\(inForce(s))),
                between_notifications AS (\(between(s))), with_rise AS MATERIALIZED (\(withRise)),
                chained AS MATERIALIZED (\(chained)), due AS (\(due))
                SELECT format('notification %s: item %L %L %L is %s, announced was %s, due is %s; announced: %s', notification_id,
                    store_id, item_id, location_id, level, announced_level, coalesce(due_at::text, 'nothing'),
                    CASE WHEN made_at IS NULL THEN 'nothing'
                        ELSE format('%s, %s to %s, at %s', sent_kind, alert_before, alert_after, announced_at) END)
                FROM due
                WHERE CASE
                    WHEN made_at IS NULL THEN due_at <= next_at
                    -- Retention may have dropped the result that it follows from.
                    WHEN waits AND rise_at IS NULL AND sent_job < \(firstKeptJob(s))
                        THEN false
                    ELSE announced_at > made_at
                        OR (announced_at, alert_before::text, alert_after::text, sent_version, sent_available, sent_job)
                            IS DISTINCT FROM (due_at, announced_level, level,
                                CASE WHEN waits AND is_sent THEN rise_version ELSE version END,
                                CASE WHEN waits AND is_sent THEN rise_available ELSE available_after END,
                                CASE WHEN waits AND is_sent THEN rise_job ELSE job_id END)
                END
                UNION ALL
                SELECT format('announcement of notification %s: none of an announced store has this id', notification_id)
                FROM \(s).announcements
                LEFT JOIN read USING (notification_id)
                WHERE read.notification_id IS NULL
                UNION ALL
                SELECT format('item %L %L %L: announced last was %s at %s, after notification %s; it should be %s at %s, after %s',
                    store_id, item_id, location_id, i.announced_level, i.announced_at, i.notification_id,
                    last.announced_level, last.announced_at, last.notification_id)
                FROM (
                    SELECT store_id, item_id, location_id, notification_id,
                        coalesce(set_after, announced_level) AS announced_level,
                        greatest(CASE WHEN is_sent THEN announced_at END, last_at) AS announced_at
                    FROM chained
                    WHERE next_id IS NULL
                ) AS last
                FULL JOIN \(s).announced_items AS i USING (item_id, store_id, location_id)
                WHERE (i.announced_level::text, i.announced_at, i.notification_id)
                    IS DISTINCT FROM (last.announced_level, last.announced_at, last.notification_id)
                """)
    }

    /// Whether the result `line` has its other side in its group.
    private static func isTransfer(_ line: String, _ s: String) -> String {
        """
        (\(line).action = 'adjust' AND EXISTS (
                    SELECT FROM \(s).results AS first
                    JOIN \(s).results AS other ON other.job_id BETWEEN first.job_id AND first.group_last_job_id
                    WHERE (first.group_id, first.store_id) = (\(line).group_id, \(line).store_id)
                        AND first.group_last_job_id IS NOT NULL
                        AND \(line).job_id BETWEEN first.job_id AND first.group_last_job_id
                        AND (other.group_id, other.store_id, other.submission_id, other.item_id)
                            = (\(line).group_id, \(line).store_id, \(line).submission_id, \(line).item_id)
                        AND other.location_id <> \(line).location_id AND other.action = 'adjust'
                        AND other.outcome = 'applied' AND other.applied_quantity = -\(line).applied_quantity
                ))
        """
    }

    private static func firstSupplies(_ s: String) -> Self {
        Self(
            name: "a transfer to a location that never sold the item, and nothing else, is announced without a message",
            statementName: "verify_first_supplies",
            sql: """
                WITH RECURSIVE change AS (
                    SELECT n.notification_id, r.job_id, r.previous_job_id, 0 AS step,
                        r.applied_quantity > 0 AND \(isTransfer("r", s)) AS fits
                    FROM \(s).announcements AS a
                    JOIN \(s).notifications AS n USING (notification_id)
                    JOIN \(s).results AS r ON r.job_id = n.job_id
                    WHERE n.kind = 'back_in_stock' AND r.group_id IS NOT NULL
                    UNION ALL
                    SELECT change.notification_id, r.job_id, r.previous_job_id, change.step + 1,
                        r.on_hand_after - r.allocated_after >= r.on_hand_before - r.allocated_before
                            OR \(isTransfer("r", s))
                    FROM change
                    JOIN \(s).results AS r ON r.job_id = change.previous_job_id
                    WHERE change.step <= 1000 AND change.fits
                )
                SELECT format('notification %s of item %L %L %L: a message was %s', notification_id, store_id, item_id, location_id,
                    CASE WHEN is_sent THEN 'sent' ELSE 'left out' END)
                FROM \(s).announcements
                LEFT JOIN (
                    SELECT notification_id, bool_and(fits) AND max(step) <= 1000 AS is_first,
                        -- Retention has dropped what was before.
                        bool_and(fits) AND (array_agg(previous_job_id ORDER BY step DESC))[1] IS NOT NULL
                            AND max(step) <= 1000 AS is_cut
                    FROM change
                    GROUP BY notification_id
                ) AS found USING (notification_id)
                JOIN \(s).notifications AS n USING (notification_id, store_id, item_id, location_id)
                WHERE is_sent = coalesce(found.is_first, false) AND NOT coalesce(found.is_cut, false)
                    AND (found.is_first IS NOT NULL OR NOT is_sent
                        AND coalesce(n.job_id, 9223372036854775807) >= \(firstKeptJob(s)))
                """)
    }

    private static func deliveries(_ s: String) -> Self {
        Self(
            name: "deliveries are of notifications that are sent", statementName: "verify_deliveries",
            sql: """
                SELECT format('delivery %s: %s of item %L %L %L, message %s', delivery_id, event, d.store_id, d.item_id,
                    d.location_id, message_id)
                FROM \(s).deliveries AS d
                WHERE event IN ('stock.low', 'stock.out', 'stock.back_in_stock', 'stock.restocked')
                    AND NOT EXISTS (
                        SELECT FROM \(s).notifications AS n
                        LEFT JOIN \(s).announcements AS a USING (notification_id)
                        WHERE n.notification_id = substring(message_id FROM '^msg_[0-9]+_([0-9]{1,18})$')::bigint
                            AND (n.store_id, n.item_id, n.location_id) = (d.store_id, d.item_id, d.location_id)
                            AND CASE coalesce(a.kind, n.kind) WHEN 'low_stock' THEN 'stock.low'
                                WHEN 'out_of_stock' THEN 'stock.out' WHEN 'back_in_stock' THEN 'stock.back_in_stock'
                                ELSE 'stock.restocked' END = event
                            AND CASE WHEN a.notification_id IS NOT NULL THEN a.is_sent ELSE NOT EXISTS (
                                SELECT FROM \(s).announced_stores AS s
                                WHERE s.store_id = n.store_id
                                    AND (n.position, n.notification_id) > (s.from_position, s.from_row)
                            ) END
                    )
                """)
    }
}
