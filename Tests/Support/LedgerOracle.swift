import StockQueue
import StockQueuePostgres

/// The oracle of the fault tests: it checks the invariants I1–I10 of docs/internals/reliability.md with SQL of its own
/// and with the one-at-a-time model. It shares no code with the worker.
///
/// Its triggers keep a copy of every job and every item as inserted, so that it knows what there should be.
public struct LedgerOracle {
    let database: TestDatabase
    let connection: Connection

    public init(_ database: TestDatabase) throws {
        self.database = database
        connection = try database.connect()
    }

    /// What the oracle needs of the server's configuration: it asks when jobs were committed.
    public static let setting = (name: "track_commit_timestamp", value: "on")

    /// Creates the copies, their triggers, and the function that fails on demand.
    public static func install(in database: TestDatabase) throws {
        try database.run(
            """
            CREATE SCHEMA audit;
            CREATE TABLE audit.jobs (LIKE stockq.jobs, PRIMARY KEY (job_id));
            CREATE TABLE audit.items (LIKE stockq.items, PRIMARY KEY (store_id, item_id, location_id));
            -- Jobs that became visible later than jobs of their lane with higher ids.
            CREATE TABLE audit.late (job_id bigint PRIMARY KEY);
            -- Jobs that an administrator deleted from the queue.
            CREATE TABLE audit.canceled (job_id bigint PRIMARY KEY);
            CREATE FUNCTION audit.keep() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                EXECUTE format('INSERT INTO audit.%I SELECT * FROM added', TG_TABLE_NAME);
                IF TG_TABLE_NAME = 'jobs' AND current_setting('audit.late', true) = 'on' THEN
                    INSERT INTO audit.late SELECT job_id FROM added;
                END IF;
                RETURN NULL;
            END
            $$;
            CREATE TRIGGER keep AFTER INSERT ON stockq.jobs REFERENCING NEW TABLE AS added
                FOR EACH STATEMENT EXECUTE FUNCTION audit.keep();
            CREATE TRIGGER keep AFTER INSERT ON stockq.items REFERENCING NEW TABLE AS added
                FOR EACH STATEMENT EXECUTE FUNCTION audit.keep();
            CREATE FUNCTION audit.fail(code text) RETURNS void LANGUAGE plpgsql AS $$
            BEGIN
                RAISE EXCEPTION 'injected' USING ERRCODE = code;
            END
            $$;
            """)
    }

    /// Marks the jobs that the rest of the transaction inserts: it commits them beside the producer of their store, so
    /// that jobs with higher ids may be finished before them.
    public static let marksLateJobs = "SET LOCAL audit.late = 'on'"

    /// The names of groups with more lines than a group may have begin with this. None of their lines may be applied, and
    /// the model, which has no such limit, does not replay them.
    public static let tooLargeGroups = "giant-above-"

    /// Violations of I1–I7, which hold on any snapshot, also while workers run.
    public func violationsNow() throws -> [String] {
        var violations: [String] = []
        try Verifier(connection: connection, schema: database.schema).runAll { violations += $0.violations }
        return try violations
            + database.rows(
                """
                SELECT 'job ' || job_id || ' is neither queued nor finished' FROM audit.jobs
                WHERE NOT EXISTS (SELECT FROM stockq.jobs WHERE jobs.job_id = audit.jobs.job_id)
                    AND NOT EXISTS (SELECT FROM stockq.results WHERE results.job_id = audit.jobs.job_id)
                    AND NOT EXISTS (SELECT FROM audit.canceled WHERE canceled.job_id = audit.jobs.job_id)
                UNION ALL
                SELECT 'job ' || job_id || ' was never enqueued' FROM (
                    SELECT job_id FROM stockq.jobs
                    UNION ALL
                    -- Not the immediate jobs of a gateway: the transaction that submitted one decided it.
                    SELECT job_id FROM stockq.results
                    WHERE mod(submission_id::text::numeric, 4294967296) <> xmin::text::numeric
                ) AS known
                WHERE NOT EXISTS (SELECT FROM audit.jobs WHERE jobs.job_id = known.job_id)
                UNION ALL
                SELECT format('%s lines of the group %s, which is too large, were applied', count(*), group_id)
                FROM stockq.results
                WHERE group_id LIKE '\(Self.tooLargeGroups)%' AND outcome = 'applied' GROUP BY group_id
                UNION ALL
                SELECT 'job ' || results.job_id || ' was not finished as it was enqueued' FROM stockq.results
                JOIN audit.jobs USING (job_id)
                WHERE (results.store_id, results.item_id, results.location_id, results.quantity, results.action,
                        results.on_insufficient, results.priority)
                    IS DISTINCT FROM (jobs.store_id, jobs.item_id, jobs.location_id, jobs.quantity, jobs.action,
                        jobs.on_insufficient, jobs.priority)
                """, connection)
    }

    /// Which jobs are finished in the order of their ids (I8).
    public enum Order: Sendable {
        /// All jobs of a lane: none was skipped, deferred or retried.
        case ofLanes
        /// The jobs of an item: some were skipped because another transaction had locked their item.
        case ofItems
        /// None: jobs became visible in another order than that of their ids, or were retried.
        case none
    }

    /// Violations of all invariants. No worker runs, and all jobs are finished, except those that wait for stock.
    public func violations(order: Order = .ofLanes) throws -> [String] {
        try violationsNow() + pending() + (order == .none ? [] : outOfOrder(order)) + replay() + leftovers()
    }

    private func pending() throws -> [String] {
        try database.rows(
            """
            SELECT format('job %s is still queued: %s', job_id, coalesce(last_error, 'no error')) FROM stockq.jobs
            WHERE waiting_since IS NULL
            LIMIT 10
            """, connection)
    }

    /// I8. Jobs become visible in the order of their ids where one producer at a time enqueues a store's jobs. A job may
    /// be finished after one with a higher id only if it was committed after the batch of that one had begun, as a call
    /// that the gateway enqueues may be beside a call that a worker decides at once; or if it is marked as late.
    /// (The server notes the time of a commit a moment before others see it.)
    ///
    /// A job that waited is promoted at any time, and then delays later jobs of its item, but not of other items. So in
    /// a store with waiting jobs the order is that of each item.
    private func outOfOrder(_ order: Order) throws -> [String] {
        try database.rows(
            """
            WITH finished AS MATERIALIZED (
                SELECT job_id, priority, store_id, ordering_key, finished_at, results.xmin::text::bigint AS transaction,
                    CASE WHEN \(order == .ofItems) OR EXISTS (
                        SELECT FROM audit.jobs WHERE jobs.store_id = results.store_id AND on_insufficient = 'wait'
                    ) THEN item_id END AS item_id,
                    mod(submission_id::text::numeric, 4294967296)::text::xid AS submission
                FROM stockq.results
                WHERE attempts = 1 AND on_insufficient <> 'wait' AND scheduled_at IS NULL AND group_id IS NULL
                    AND NOT EXISTS (SELECT FROM audit.late WHERE late.job_id = results.job_id)
            ), passed AS (
                SELECT *, min(transaction) OVER (
                    PARTITION BY store_id, ordering_key, priority, item_id ORDER BY job_id DESC
                    ROWS UNBOUNDED PRECEDING
                ) AS first_of_later
                FROM finished
            )
            SELECT format('job %s (order of %s, priority %s) was finished after job %s',
                one.job_id, concat_ws(' ', one.store_id, one.ordering_key), one.priority, later.job_id)
            FROM passed AS one
            JOIN finished AS later ON later.job_id > one.job_id AND later.transaction < one.transaction
                AND (later.store_id, later.priority) = (one.store_id, one.priority)
                AND (later.ordering_key, later.item_id) IS NOT DISTINCT FROM (one.ordering_key, one.item_id)
            WHERE one.first_of_later < one.transaction
                AND coalesce(pg_xact_commit_timestamp(one.submission), '-infinity') < later.finished_at
            LIMIT 20
            """, connection)
    }

    /// I10.
    private func leftovers() throws -> [String] {
        var found: [String] = []
        _ = try eventually(seconds: 10) {
            found = try database.rows(
                """
                SELECT format('session %s (%s) remains: %s', pid, application_name, state) FROM pg_stat_activity
                WHERE datname = current_database()
                    AND (application_name LIKE 'tests %' OR application_name LIKE 'stockq run%'
                        OR application_name LIKE 'stockq deliver%')
                UNION ALL
                SELECT 'prepared transaction ' || gid FROM pg_prepared_xacts WHERE database = current_database()
                """, connection)
            return found.isEmpty
        }
        return found
    }
}
