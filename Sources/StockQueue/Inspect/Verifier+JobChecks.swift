/// Jobs and groups against their results.
extension Verifier.Check {
    static func ofJobs(_ s: String) -> [Self] {
        [finishedOnce(s), oneResult(s), wholeGroupsQueued(s), wholeGroupsApplied(s), counts(s)]
    }

    /// Replays the stock counts that belong to a moment. A count is not checked if retention has dropped results of the
    /// time since.
    private static func counts(_ s: String) -> Self {
        Self(
            name: "a stock count leaves what was counted, and what later jobs had changed by then",
            statementName: "verify_counts",
            sql: """
                WITH movement AS (
                    SELECT *, CASE
                            WHEN counted_at IS NOT NULL THEN counted_at
                            WHEN waiting_since IS NOT NULL THEN finished_at
                            WHEN occurred_at IS NOT NULL THEN occurred_at
                            ELSE greatest(enqueued_at, scheduled_at)
                        END AS moment
                    FROM \(s).results
                    WHERE outcome = 'applied'
                ), counted AS (
                    SELECT c.*, (
                            SELECT coalesce(max(retired.version), 0) FROM \(s).retired_items AS retired
                            WHERE (retired.store_id, retired.item_id, retired.location_id)
                                    = (c.store_id, c.item_id, c.location_id)
                                AND retired.version <= c.version - CASE c.outcome WHEN 'applied' THEN 1 ELSE 0 END
                        ) AS created_version
                    FROM \(s).results AS c
                    WHERE counted_at > (SELECT min(finished_at) FROM \(s).results)
                        AND (outcome = 'applied' OR code IN ('no_change', 'stale')) AND expected_available IS NULL
                        AND action = 'set'
                ), replayed AS (
                    SELECT c.job_id, c.store_id, c.item_id, c.location_id, c.outcome, c.quantity, c.on_hand_after,
                        coalesce(sum(m.on_hand_after - m.on_hand_before) FILTER (
                            WHERE m.action <> 'set' AND m.moment >= c.counted_at), 0) AS change,
                        coalesce(bool_or(m.action = 'set' AND m.moment > c.counted_at), false) AS is_outdated,
                        -- Of a rejected line of a group the balance is that before the group.
                        c.outcome = 'rejected' AND c.group_id IS NOT NULL AS is_of_group
                    FROM counted AS c
                    LEFT JOIN movement AS m ON (m.store_id, m.item_id, m.location_id)
                            = (c.store_id, c.item_id, c.location_id)
                        AND m.version > c.created_version
                        AND m.version <= c.version - CASE c.outcome WHEN 'applied' THEN 1 ELSE 0 END
                    GROUP BY c.job_id, c.store_id, c.item_id, c.location_id, c.outcome, c.quantity, c.on_hand_after,
                        c.group_id
                )
                SELECT format('job %s: item %L %L %L has %s on hand after a count of %s and later changes of %s, %s',
                    job_id, store_id, item_id, location_id, on_hand_after, quantity, change,
                    CASE WHEN is_outdated THEN 'and a later count' ELSE 'and no later count' END)
                FROM replayed
                WHERE CASE outcome
                    WHEN 'rejected' THEN NOT is_outdated AND NOT is_of_group
                    ELSE is_outdated OR on_hand_after <> quantity + change
                END
                """)
    }

    private static func finishedOnce(_ s: String) -> Self {
        Self(
            name: "no job is both queued and finished", statementName: "verify_finished_once",
            sql: "SELECT format('job %s', job_id) FROM \(s).jobs JOIN \(s).results USING (job_id)")
    }

    private static func oneResult(_ s: String) -> Self {
        Self(
            name: "no job has two results", statementName: "verify_one_result",
            sql: """
                SELECT format('job %s has %s', job_id, count(*)) FROM \(s).results GROUP BY job_id HAVING count(*) > 1
                """)
    }

    private static func wholeGroupsQueued(_ s: String) -> Self {
        Self(
            name: "no group is finished in part", statementName: "verify_whole_groups_queued",
            sql: """
                SELECT format('group %L of store %L is partly finished: %s results, and %s lines of the same submission still queued',
                    group_id, store_id, count(DISTINCT results.job_id), count(DISTINCT jobs.job_id))
                FROM (
                    -- A retried group keeps its submission: results of the lines that it retries are of an earlier try.
                    SELECT group_id, store_id, submission_id, coalesce(max(retry_of), 0) AS earlier_try_up_to
                    FROM \(s).jobs
                    WHERE group_id IS NOT NULL
                    GROUP BY group_id, store_id, submission_id
                ) AS queued
                JOIN \(s).jobs USING (group_id, store_id, submission_id)
                JOIN \(s).results USING (group_id, store_id, submission_id)
                -- A group that is too large is rejected a batch at a time.
                WHERE results.job_id > earlier_try_up_to AND results.code IS DISTINCT FROM 'group_too_large'
                GROUP BY group_id, store_id, submission_id
                """)
    }

    private static func wholeGroupsApplied(_ s: String) -> Self {
        Self(
            name: "groups are applied all together or not at all", statementName: "verify_whole_groups_applied",
            sql: """
                SELECT format('group %L of store %L at %s: %s applied, %s rejected', group_id, store_id, finished_at,
                    count(*) FILTER (WHERE outcome IN ('applied', 'unchanged')), count(*) FILTER (WHERE outcome = 'rejected'))
                FROM \(s).results
                -- A submission of which only a part was a duplicate is rejected beside the first one.
                WHERE group_id IS NOT NULL AND first_job_id IS NULL AND code IS DISTINCT FROM 'idempotency_mismatch'
                GROUP BY group_id, store_id, submission_id, finished_at
                HAVING bool_or(outcome IN ('applied', 'unchanged')) AND bool_or(outcome = 'rejected')
                """)
    }
}
