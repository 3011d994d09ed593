import StockQueuePostgres

/// Proves the ledger: whether stock, results, notifications and queue agree with one another.
///
/// Written in SQL alone, so that it shares nothing with the code whose work it checks.
public struct Verifier {
    public struct Check: Sendable {
        /// What must hold, as a sentence.
        public let name: String
        /// Selects one text for each violation.
        let sql: String
    }

    public struct Finding: Sendable {
        public let check: String
        public let violations: [String]
        /// There are more than were listed.
        public let isCut: Bool
    }

    /// The most violations listed for a check.
    public static let violationsMax = 100

    private let connection: Connection
    private let schema: QueueSchema
    public let checks: [Check]

    public init(connection: Connection, schema: QueueSchema) {
        self.connection = connection
        self.schema = schema
        checks = Self.checks(schema.quoted)
    }

    /// Runs one check over everything there is; as long as the tables are large.
    public func run(_ check: Check) throws(PostgresError) -> Finding {
        let sql = "SELECT violation FROM (\(check.sql)) AS found (violation) LIMIT \(Self.violationsMax + 1)"
        let rows = try connection.execute(
            Statement("verify_\(sql.hashValue)", [], sql), timeoutMs: 3_600_000)
        let violations = (0..<min(rows.rowCount, Self.violationsMax)).map { rows.string($0, 0) }
        return Finding(check: check.name, violations: violations, isCut: rows.rowCount > Self.violationsMax)
    }

    /// Whether row security hides nothing from this user; otherwise the checks prove nothing.
    public func seesEverything() throws(PostgresError) -> Bool {
        try connection.execute(Statement("can_read_all_stores", [], "SELECT \(schema.quoted).can_read_all_stores()"))
            .bool(0, 0)
    }

    /// Runs all checks on one snapshot, so that a queue that is being worked can be verified too.
    public func runAll(_ body: (Finding) -> Void) throws(PostgresError) {
        try connection.execute(Statement("begin_verify", [], "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        do throws(PostgresError) {
            for check in checks { body(try run(check)) }
            try connection.commit()
        } catch {
            try? connection.rollBack()  // nothing was written; the first error is the one to tell
            throw error
        }
    }

    private static func checks(_ s: String) -> [Check] {
        let key = "format('item %L %L %L', store_id, item_id, location_id)"
        let ledger = """
            SELECT store_id, item_id, location_id,
                    sum(on_hand_after - on_hand_before) AS on_hand, sum(allocated_after - allocated_before) AS allocated,
                    count(*) AS changes, count(DISTINCT version) AS versions, min(version) AS lowest, max(version) AS highest
                FROM \(s).results
                WHERE outcome = 'applied'
                GROUP BY store_id, item_id, location_id
            """
        return [
            Check(
                name: "opening + sum of applied = present, for on_hand and allocated",
                sql: """
                    SELECT \(key) || format(': on_hand is %s and should be %s, allocated is %s and should be %s',
                        items.on_hand, coalesce(opening_on_hand, items.on_hand) + coalesce(ledger.on_hand, 0),
                        items.allocated, coalesce(opening_allocated, items.allocated) + coalesce(ledger.allocated, 0))
                    FROM \(s).items
                    LEFT JOIN (\(ledger)) AS ledger USING (store_id, item_id, location_id)
                    WHERE items.on_hand <> coalesce(opening_on_hand, items.on_hand) + coalesce(ledger.on_hand, 0)
                        OR items.allocated <> coalesce(opening_allocated, items.allocated) + coalesce(ledger.allocated, 0)
                    """),
            Check(
                name: "versions are gapless",
                sql: """
                    SELECT \(key) || format(': version %s, opening version %s, %s changes with %s versions from %s to %s',
                        items.version, opening_version, coalesce(changes, 0), coalesce(versions, 0), lowest, highest)
                    FROM \(s).items
                    LEFT JOIN (\(ledger)) AS ledger USING (store_id, item_id, location_id)
                    WHERE items.version - opening_version <> coalesce(changes, 0)
                        OR versions <> changes
                        OR highest <> items.version
                        OR (opening_version = 0 AND lowest <> 1)
                    """),
            Check(
                name: "each change begins where the one before it ended",
                sql: """
                    SELECT format('job %s: item %L %L %L has %s on hand and %s allocated before version %s, version %s left %s and %s',
                        job_id, store_id, item_id, location_id, on_hand_before, allocated_before, version,
                        version_then, on_hand_then, allocated_then)
                    FROM (
                        SELECT *,
                            lag(version) OVER history AS version_then, lag(on_hand_after) OVER history AS on_hand_then,
                            lag(allocated_after) OVER history AS allocated_then, lag(job_id) OVER history AS job_then
                        FROM \(s).results
                        WHERE outcome = 'applied'
                        WINDOW history AS (PARTITION BY store_id, item_id, location_id ORDER BY version)
                    ) AS movement
                    WHERE version_then = version - 1
                        AND ((on_hand_then, allocated_then) <> (on_hand_before, allocated_before)
                            OR previous_job_id IS DISTINCT FROM job_then)
                    """),
            Check(
                name: "every applied job belongs to an item",
                sql: """
                    SELECT format('job %s: item %L %L %L is not there', job_id, store_id, item_id, location_id)
                    FROM \(s).results
                    LEFT JOIN \(s).items USING (store_id, item_id, location_id)
                    WHERE outcome = 'applied' AND items.store_id IS NULL
                    """),
            Check(
                name: "applied jobs change stock, all others leave it",
                sql: """
                    SELECT format('job %s: %s, on_hand %s to %s, allocated %s to %s', job_id, outcome,
                        on_hand_before, on_hand_after, allocated_before, allocated_after)
                    FROM \(s).results
                    WHERE (outcome = 'applied') <> coalesce(
                        (on_hand_before, allocated_before) <> (on_hand_after, allocated_after), false)
                    """),
            Check(
                name: "no job is both queued and finished",
                sql: "SELECT format('job %s', job_id) FROM \(s).jobs JOIN \(s).results USING (job_id)"),
            Check(
                name: "no job has two results",
                sql:
                    "SELECT format('job %s has %s', job_id, count(*)) FROM \(s).results GROUP BY job_id HAVING count(*) > 1"
            ),
            Check(
                name: "no job has vanished from within a group",
                sql: """
                    SELECT format('group %L of store %L is partly finished: %s results, and %s lines of the same submission still queued',
                        group_id, store_id, count(DISTINCT results.job_id), count(DISTINCT jobs.job_id))
                    FROM (
                        -- A retried group keeps its submission: results of the lines that it repeats are of an earlier try.
                        SELECT group_id, store_id, submission_id, coalesce(max(retry_of), 0) AS earlier_try_up_to
                        FROM \(s).jobs
                        WHERE group_id IS NOT NULL
                        GROUP BY group_id, store_id, submission_id
                    ) AS queued
                    JOIN \(s).jobs USING (group_id, store_id, submission_id)
                    JOIN \(s).results USING (group_id, store_id, submission_id)
                    WHERE results.job_id > earlier_try_up_to
                    GROUP BY group_id, store_id, submission_id
                    """),
            Check(
                name: "no job that may not took available stock below zero",
                sql: """
                    SELECT format('job %s (%s, %s): available %s to %s', job_id, action, on_insufficient,
                        on_hand_before - allocated_before, on_hand_after - allocated_after)
                    FROM \(s).results
                    WHERE outcome = 'applied' AND on_insufficient <> 'allow'
                        AND on_hand_after - allocated_after < least(0, on_hand_before - allocated_before)
                    """),
            Check(
                name: "groups are applied all together or not at all",
                sql: """
                    SELECT format('group %L of store %L at %s: %s applied, %s rejected', group_id, store_id, finished_at,
                        count(*) FILTER (WHERE outcome IN ('applied', 'unchanged')), count(*) FILTER (WHERE outcome = 'rejected'))
                    FROM \(s).results
                    -- A submission of which only a part was a duplicate is rejected beside the first one.
                    WHERE group_id IS NOT NULL AND first_job_id IS NULL AND code IS DISTINCT FROM 'idempotency_mismatch'
                    GROUP BY group_id, store_id, submission_id, finished_at
                    HAVING bool_or(outcome IN ('applied', 'unchanged')) AND bool_or(outcome = 'rejected')
                    """),
            Check(
                name: "notifications are the changes of level that the results tell",
                sql: """
                    SELECT format('job %s: item %L %L %L version %s went from %s to %s, told: %s', job_id,
                        store_id, item_id, location_id, version, alert_before, alert_after, coalesce(told.kind::text, 'nothing'))
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
                    ) AS owed
                    FULL JOIN \(s).notifications AS told USING (job_id, store_id, item_id, location_id, version)
                    WHERE owed.kind IS DISTINCT FROM told.kind
                        AND (owed.kind IS NOT NULL OR told.kind IS NOT NULL)
                        -- Notifications may outlive the results that retention has dropped.
                        AND (owed.kind IS NOT NULL OR job_id >= (SELECT coalesce(min(job_id), 0) FROM \(s).results))
                    """),
            Check(
                name: "the level last told is the one that the last change left",
                sql: """
                    SELECT \(key) || format(': told %s, after job %s it should be %s', notified_level, last_job_id, should)
                    FROM (
                        SELECT items.*, CASE WHEN notify THEN alert_after ELSE least(alert_before, alert_after) END AS should
                        FROM \(s).items
                        JOIN \(s).results ON results.job_id = items.last_job_id
                    ) AS item
                    WHERE notified_level IS DISTINCT FROM should
                    """),
        ]
    }
}
