import CommandLineKit
import Foundation
import StockQueueLocking
import StockQueuePostgres

/// What stockq is compared with.
enum Reference {
    private static let resultColumns = """
        job_id, quantity, applied_quantity, on_hand_before, on_hand_after, allocated_before, allocated_after, version,
        expected_available, submission_id, finished_at, enqueued_at, scheduled_at, expires_at, outcome, action, on_insufficient, alert_before,
        alert_after, priority, attempts, max_attempts, notify, store_id, item_id, location_id, group_id, ordering_key, reason,
        reference, worker
        """

    /// The baseline: what a good engineer writes first. One transaction for each job, four prepared statements: claim
    /// one row with FOR UPDATE SKIP LOCKED, change the stock if it suffices, insert the result, delete the job.
    static func oneTransactionAJob(_ database: BenchRig.Database, connections: Int, seconds: Double) throws -> (
        jobs: Int, seconds: Double
    ) {
        try database.run(
            """
            DROP INDEX stockq.jobs_ready;
            CREATE INDEX ON stockq.jobs (priority, job_id) WHERE run_at IS NULL;
            DROP TRIGGER send_wakeup ON stockq.jobs;
            ANALYZE stockq.jobs; ANALYZE stockq.items
            """)
        let done = Mutex(0)
        let start = DispatchTime.now()
        let deadline = start + seconds
        try Parallel.run("the baseline", threads: connections) { _ in
            var settings = database.settings
            settings.session = [("jit", "off")]
            let connection = try Connection(settings)
            while DispatchTime.now() < deadline, try workOne(connection) { done.withLock { $0 += 1 } }
        }
        return (done.withLock { $0 }, Double(DispatchTime.now().uptimeNanoseconds - start.uptimeNanoseconds) / 1e9)
    }

    private static let claim = Statement(
        "baseline_claim", [],
        """
        SELECT job_id, store_id, item_id, location_id, quantity::bigint
        FROM stockq.jobs
        WHERE run_at IS NULL
        ORDER BY priority, job_id
        LIMIT 1
        FOR UPDATE SKIP LOCKED
        """)
    private static let change = Statement(
        "baseline_change", [.text, .text, .text, .int8, .int8],
        """
        UPDATE stockq.items
        SET on_hand = on_hand + $4, version = version + 1, last_job_id = $5, updated_at = now()
        WHERE store_id = $1 AND item_id = $2 AND location_id = $3 AND available + $4 >= 0
        RETURNING on_hand::bigint, version
        """)
    private static let insert = Statement(
        "baseline_insert", [.int8, .int8, .int8],
        """
        INSERT INTO stockq.results (\(resultColumns))
        SELECT job_id, quantity, CASE WHEN $2 IS NULL THEN 0 ELSE quantity END, $2 - quantity, $2, 0, 0, $3,
            expected_available, submission_id, now(), enqueued_at, scheduled_at, expires_at,
            CASE WHEN $2 IS NULL THEN 'rejected' ELSE 'applied' END::stockq.outcome,
            action, on_insufficient, 'ok', 'ok', priority, attempts, max_attempts, notify, store_id, item_id, location_id,
            group_id, ordering_key, reason, reference, 'baseline'
        FROM stockq.jobs
        WHERE job_id = $1
        """)
    private static let delete = Statement("baseline_delete", [.int8], "DELETE FROM stockq.jobs WHERE job_id = $1")

    private static func workOne(_ connection: Connection) throws(PostgresError) -> Bool {
        try connection.send(.begin)
        try connection.send(claim)
        let claimed = try connection.receive()[1]
        if claimed.rowCount == 0 {
            try connection.rollBack()
            return false
        }
        let job = claimed.int64(0, 0)
        var key = Parameters()
        for column in 1...3 { key.add(claimed.string(0, column)) }
        key.add(claimed.int64(0, 4))
        key.add(job)
        let changed = try connection.execute(change, key)
        let isApplied = changed.rowCount == 1
        var result = Parameters()
        result.add(job)
        result.add(isApplied ? changed.int64(0, 0) : nil)
        result.add(isApplied ? changed.int64(0, 1) : nil)
        try connection.execute(insert, result)
        var id = Parameters()
        id.add(job)
        try connection.execute(delete, id)
        try connection.commit()
        return true
    }

    /// The wide upper bound: one statement that deletes all jobs, changes the stock and inserts the results, without
    /// claiming or deciding.
    ///
    /// - Parameter withKeys: inserts the idempotency keys too.
    static func oneStatement(
        _ database: BenchRig.Database, withKeys: Bool = false
    ) throws -> (jobs: Int, seconds: Double) {
        let keys = """
            , kept AS (
                INSERT INTO stockq.idempotency_keys (
                    idempotency_key, store_id, job_id, quantity, expected_available, action, on_insufficient, item_id,
                    location_id)
                SELECT idempotency_key, store_id, job_id, quantity, expected_available, action, on_insufficient, item_id,
                    location_id
                FROM gone
            )
            """
        return try time(
            database, before: "ANALYZE stockq.jobs; ANALYZE stockq.items",
            """
            WITH gone AS MATERIALIZED (
                DELETE FROM stockq.jobs WHERE run_at IS NULL RETURNING *
            ), \(changed)\(withKeys ? keys : "")
            INSERT INTO stockq.results (\(resultColumns))
            SELECT job_id, quantity, quantity, on_hand, on_hand, 0, 0, version, expected_available, submission_id, now(),
                enqueued_at, scheduled_at, expires_at, 'applied', action, on_insufficient, 'ok', 'ok', priority, attempts,
                max_attempts, notify, store_id, item_id, location_id, group_id, ordering_key, reason, reference,
                'upper bound'
            FROM gone
            JOIN changed USING (store_id, item_id, location_id)
            """)
    }

    /// The narrow upper bound: the same with tables that have only what stock needs, 7 columns of a job and 11 of a
    /// result. No queue keeps less.
    static func oneNarrowStatement(_ database: BenchRig.Database) throws -> (jobs: Int, seconds: Double) {
        try time(
            database,
            before: """
                CREATE TABLE narrow_jobs (
                    job_id bigint PRIMARY KEY, quantity bigint NOT NULL, enqueued_at timestamptz NOT NULL,
                    store_id text COLLATE "C" NOT NULL, item_id text COLLATE "C" NOT NULL,
                    location_id text COLLATE "C" NOT NULL, reference text COLLATE "C");
                CREATE TABLE narrow_results (
                    job_id bigint PRIMARY KEY, quantity bigint NOT NULL, on_hand_after bigint, version bigint,
                    enqueued_at timestamptz NOT NULL, finished_at timestamptz NOT NULL, outcome stockq.outcome NOT NULL,
                    store_id text COLLATE "C" NOT NULL, item_id text COLLATE "C" NOT NULL,
                    location_id text COLLATE "C" NOT NULL, reference text COLLATE "C");
                INSERT INTO narrow_jobs (job_id, quantity, enqueued_at, store_id, item_id, location_id, reference)
                SELECT job_id, quantity, enqueued_at, store_id, item_id, location_id, reference
                FROM stockq.jobs ORDER BY job_id;
                ANALYZE narrow_jobs; ANALYZE stockq.items; CHECKPOINT
                """,
            """
            WITH gone AS MATERIALIZED (
                DELETE FROM narrow_jobs RETURNING *
            ), \(changed)
            INSERT INTO narrow_results (
                job_id, quantity, on_hand_after, version, enqueued_at, finished_at, outcome, store_id, item_id, location_id,
                reference)
            SELECT job_id, quantity, on_hand, version, enqueued_at, now(), 'applied', store_id, item_id, location_id,
                reference
            FROM gone
            JOIN changed USING (store_id, item_id, location_id)
            """)
    }

    /// Adds up what is sold of each item.
    private static let changed = """
        changed AS (
            UPDATE stockq.items
            SET on_hand = items.on_hand + sold.quantity, version = items.version + sold.jobs,
                last_job_id = sold.last_job_id, updated_at = now()
            FROM (
                SELECT store_id, item_id, location_id, sum(quantity)::bigint AS quantity, count(*) AS jobs,
                    max(job_id) AS last_job_id
                FROM gone
                GROUP BY store_id, item_id, location_id
            ) AS sold
            WHERE items.store_id = sold.store_id AND items.item_id = sold.item_id
                AND items.location_id = sold.location_id
            RETURNING items.store_id, items.item_id, items.location_id, items.on_hand, items.version
        )
        """

    /// Runs one statement over all jobs.
    ///
    /// - Parameter before: is not measured.
    private static func time(
        _ database: BenchRig.Database, before: String, _ sql: String
    ) throws -> (jobs: Int, seconds: Double) {
        var settings = database.settings
        settings.session = [("jit", "off"), ("work_mem", "512MB"), ("max_parallel_workers_per_gather", "0")]
        let connection = try Connection(settings)
        for statement in before.split(separator: ";") {
            try connection.executeScript(String(statement), timeoutMs: 600_000)
        }
        let start = DispatchTime.now().uptimeNanoseconds
        let done = try connection.execute(Statement("upper_bound", [], sql), timeoutMs: 600_000).affectedRows
        return (done, Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9)
    }
}
