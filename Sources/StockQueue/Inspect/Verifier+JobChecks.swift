/// Jobs and groups against their results.
extension Verifier.Check {
    static func ofJobs(_ s: String) -> [Self] {
        [finishedOnce(s), oneResult(s), wholeGroupsQueued(s), wholeGroupsApplied(s)]
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
