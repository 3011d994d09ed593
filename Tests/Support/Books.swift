import StockQueue
import StockQueuePostgres

/// The oracle of the fault tests: what must hold whatever happened, asked of the database in SQL and of the one-at-a-time
/// model. It shares no code with the worker.
///
/// It keeps a copy of every job and every item as they came in, by triggers of its own, so that it knows what should be there.
public struct Books {
    private let database: TestDatabase
    private let connection: Connection

    public init(_ database: TestDatabase) throws {
        self.database = database
        connection = try database.connect()
    }

    /// Puts the copies, their triggers, and the statement that fails on demand into a database.
    public static func open(in database: TestDatabase) throws {
        try database.run(
            """
            CREATE SCHEMA audit;
            CREATE TABLE audit.jobs (LIKE stockq.jobs, PRIMARY KEY (job_id));
            CREATE TABLE audit.items (LIKE stockq.items, PRIMARY KEY (store_id, item_id, location_id));
            -- What an operator took out of the queue.
            CREATE TABLE audit.canceled (job_id bigint PRIMARY KEY);
            CREATE FUNCTION audit.keep() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                EXECUTE format('INSERT INTO audit.%I SELECT * FROM added', TG_TABLE_NAME);
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

    /// I1–I7: what holds on any snapshot, while work goes on.
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
                    SELECT job_id FROM stockq.jobs UNION ALL SELECT job_id FROM stockq.results
                ) AS known
                WHERE NOT EXISTS (SELECT FROM audit.jobs WHERE jobs.job_id = known.job_id)
                UNION ALL
                SELECT 'job ' || results.job_id || ' was not finished as it was enqueued' FROM stockq.results
                JOIN audit.jobs USING (job_id)
                WHERE (results.store_id, results.item_id, results.location_id, results.quantity, results.action,
                        results.on_insufficient, results.priority)
                    IS DISTINCT FROM (jobs.store_id, jobs.item_id, jobs.location_id, jobs.quantity, jobs.action,
                        jobs.on_insufficient, jobs.priority)
                """, connection)
    }

    /// How far the order of jobs is promised (I8).
    public enum Order: Sendable {
        /// All jobs of a lane, where nothing was left, deferred or retried.
        case ofLanes
        /// The jobs of an item, where some were left because somebody held their item.
        case ofItems
        /// None, where jobs became visible in another order than their ids', or were retried.
        case none
    }

    /// All invariants, once the queue is worked off but for what waits for stock, and no worker runs.
    public func violations(order: Order = .ofLanes) throws -> [String] {
        try violationsNow() + pending() + (order == .none ? [] : outOfOrder(order)) + replay() + leftOver()
    }

    private func pending() throws -> [String] {
        try database.rows(
            """
            SELECT format('job %s is still queued: %s', job_id, coalesce(last_error, 'no error')) FROM stockq.jobs
            WHERE waiting_since IS NULL
            LIMIT 10
            """, connection)
    }

    /// I8. Jobs of a store come from one producer at a time, so that job order is the order in which they were there.
    ///
    /// A job that waited is promoted at any time, and then keeps later jobs of its item behind it while others go on; so in a
    /// store with waiting jobs the order is that of each item.
    private func outOfOrder(_ order: Order) throws -> [String] {
        try database.rows(
            """
            SELECT format('job %s (lane of %s, priority %s) was finished after job %s', before, key, priority, job_id) FROM (
                SELECT job_id, priority, coalesce(ordering_key, store_id) AS key, results.xmin::text::bigint AS transaction,
                    lag(results.xmin::text::bigint) OVER line AS transaction_before, lag(job_id) OVER line AS before
                FROM stockq.results
                WHERE attempts = 1 AND on_insufficient <> 'wait' AND scheduled_at IS NULL AND group_id IS NULL
                WINDOW line AS (
                    PARTITION BY coalesce(ordering_key, store_id), priority,
                        CASE WHEN \(order == .ofItems) OR EXISTS (
                            SELECT FROM audit.jobs WHERE jobs.store_id = results.store_id AND on_insufficient = 'wait'
                        ) THEN item_id END
                    ORDER BY job_id
                )
            ) AS finished
            WHERE transaction_before > transaction
            LIMIT 20
            """, connection)
    }

    /// I10.
    private func leftOver() throws -> [String] {
        var found: [String] = []
        _ = try eventually(seconds: 10) {
            found = try database.rows(
                """
                SELECT format('session %s (%s) is left over: %s', pid, application_name, state) FROM pg_stat_activity
                WHERE datname = current_database() AND (application_name LIKE 'tests %' OR application_name LIKE 'stockq run%')
                UNION ALL
                SELECT 'prepared transaction ' || gid FROM pg_prepared_xacts WHERE database = current_database()
                """, connection)
            return found.isEmpty
        }
        return found
    }

    // MARK: I9: one at a time

    /// Replays the results one at a time, in the order in which their transactions held the lane, and compares.
    ///
    /// A transaction that has a lane draws its number (xmin) when it locks the lane's row, so numbers stand in the order of the
    /// lane. Within one, units stand as their ids and priorities say, unless the versions of items or the idempotency keys show
    /// that one was before another: a group of which some lines were deferred stands at its best ready line, and no result
    /// tells which that was.
    private func replay() throws -> [String] {
        var found: [String] = []
        var items: [String: [String: Model.Item]] = [:]
        for row in try fields(
            """
            SELECT store_id, item_id, on_hand::text, allocated::text, low_stock_threshold::text, tracked::text
            FROM audit.items WHERE location_id = 'main'
            """)
        {
            items[row[0], default: [:]][row[1]] = Model.Item(
                onHand: Int64(row[2])!, allocated: Int64(row[3])!, threshold: Int64(row[4]), tracked: row[5] == "true")
        }
        for store in items.keys.sorted() {
            var model = Model(items: items[store]!)
            var batch: [Unit] = []
            var transaction = ""
            func take() {
                for unit in Unit.inOrder(batch, &found) {
                    model.take(unit.lines.sorted { $0.job.id < $1.job.id }.map(\.job))
                    for line in unit.lines {
                        let expected = model.results[line.job.id].map(Self.text) ?? "nothing, it waits"
                        if line.recorded != expected {
                            found.append("job \(line.job.id) of \(store): \(line.recorded), the model says \(expected)")
                        }
                    }
                    model.forgetResults()
                }
                batch = []
            }
            for row in try fields(Self.replaySQL(store)) {
                if row[13] != transaction { take() }
                transaction = row[13]
                if batch.last?.name != row[0] { batch.append(Unit(name: row[0])) }
                batch[batch.count - 1].lines.append(
                    Unit.Line(
                        job: Self.job(row), recorded: row[11], version: Int64(row[14]), isApplied: row[15] == "true",
                        first: Int64(row[16])))
            }
            take()
            let stock = try database.rows(
                "SELECT concat_ws(' ', item_id, on_hand, allocated, version) FROM stockq.items WHERE store_id = '\(store)' ORDER BY item_id",
                connection)
            let should = model.items.sorted { $0.key < $1.key }.map {
                "\($0) \($1.onHand) \($1.allocated) \($1.version)"
            }
            if stock != should { found.append("store \(store) has \(stock), the model has \(should)") }
        }
        return Array(found.prefix(20))
    }

    private static func replaySQL(_ store: String) -> String {
        """
        SELECT CASE WHEN group_id IS NULL THEN 'job ' || job_id ELSE 'group ' || group_id || ' ' || submission_id || ' ' || transaction END,
            job_id::text, item_id, action::text, on_insufficient::text, quantity::text, expected_available::text, group_id,
            priority::text, notify::text, (code = 'expired')::text,
            concat_ws(' ', outcome, coalesce(code::text, '-'), coalesce(warning::text, '-'), applied_quantity,
                '[' || concat_ws(', ', on_hand_before, on_hand_after, allocated_before, allocated_after, version) || ']',
                coalesce(alert_before || ' ' || alert_after, '-'), coalesce(previous_job_id, 0), coalesce(first_job_id, 0)),
            idempotency_key, transaction::text, version::text, (outcome = 'applied')::text, first_job_id::text,
            submission_id::text
        FROM (
            SELECT *, xmin::text::bigint AS transaction,
                CASE WHEN group_id IS NULL THEN priority ELSE min(priority) OVER line END AS unit_priority,
                CASE WHEN group_id IS NULL THEN job_id ELSE min(job_id) OVER line END AS unit_id
            FROM stockq.results
            WHERE store_id = \(quoteLiteral(store)) AND outcome IN ('applied', 'unchanged', 'rejected', 'duplicate')
            WINDOW line AS (PARTITION BY group_id, submission_id, xmin::text)
        ) AS finished
        ORDER BY finished.transaction, unit_priority, unit_id, job_id
        """
    }

    private static func job(_ row: [String]) -> Model.Job {
        var job = Model.Job(id: Int64(row[1])!, item: row[2], quantity: Int64(row[5])!)
        job.action = row[3]
        job.policy = row[4]
        job.expected = Int64(row[6])
        job.groupID = row[7] == "∅" ? nil : row[7]
        job.priority = Int(row[8])!
        job.notify = row[9] == "true"
        job.expired = row[10] == "true"
        job.key = row[12] == "∅" ? nil : row[12]
        job.submission = Int64(row[17])!
        return job
    }

    private static func text(_ result: Model.Result) -> String {
        "\(result.outcome) \(result.code) \(result.warning) \(result.applied) \(result.stock) \(result.levels) "
            + "\(result.previous ?? 0) \(result.first ?? 0)"
    }

    /// Rows of text columns; NULL is `∅`.
    private func fields(_ sql: String) throws -> [[String]] {
        let rows = try connection.execute(Statement("books_\(UInt(bitPattern: sql.hashValue))", [], sql))
        return (0..<rows.rowCount).map { row in
            (0..<rows.columnCount).map { rows.optionalString(row, $0) ?? "∅" }
        }
    }
}

/// A job, or a group as far as it was finished in one transaction.
private struct Unit {
    struct Line {
        var job: Model.Job
        /// The result as it was recorded.
        var recorded: String
        /// The item's version after; nil where there is no item.
        var version: Int64?
        var isApplied: Bool
        /// The job that used the key before.
        var first: Int64?
    }

    var name: String
    var lines: [Line] = []

    /// The units of a transaction, each behind those that must have been before it, and else as they come.
    static func inOrder(_ units: [Unit], _ found: inout [String]) -> [Unit] {
        var before = [[Int]](repeating: [], count: units.count)
        addVersions(units, &before)
        var unitOfJob: [Int64: Int] = [:]
        for (number, unit) in units.enumerated() { for line in unit.lines { unitOfJob[line.job.id] = number } }
        for (number, unit) in units.enumerated() {
            for line in unit.lines {
                if let first = line.first.flatMap({ unitOfJob[$0] }), first != number { before[number].append(first) }
            }
        }
        var order: [Unit] = []
        var state = [Int](repeating: 0, count: units.count)  // 1: its predecessors are being placed; 2: placed
        for start in units.indices where state[start] == 0 {
            var stack = [start]
            while let unit = stack.last {
                if state[unit] == 0 {
                    state[unit] = 1
                    let open = before[unit].filter { state[$0] != 2 }
                    if open.contains(where: { state[$0] == 1 }) {
                        found.append("\(units[unit].name) and others are each before the other")
                    }
                    stack += open.filter { state[$0] == 0 }.reversed()
                } else {
                    stack.removeLast()
                    if state[unit] == 1 {
                        state[unit] = 2
                        order.append(units[unit])
                    }
                }
            }
        }
        return order
    }

    /// By the versions that each unit saw and left: what left an item unchanged was before what made its next version.
    private static func addVersions(_ units: [Unit], _ before: inout [[Int]]) {
        var spans: [String: [(from: Int64, to: Int64, unit: Int)]] = [:]
        for (number, unit) in units.enumerated() {
            for (item, lines) in Dictionary(grouping: unit.lines.filter { $0.version != nil }, by: \.job.item) {
                let from = lines.map { $0.version! - ($0.isApplied ? 1 : 0) }.min()!
                let to = lines.map { $0.version! }.max()!
                spans[item, default: []].append((from, to, number))
            }
        }
        for all in spans.values {
            let sorted = all.sorted { ($0.from, $0.to, $0.unit) < ($1.from, $1.to, $1.unit) }
            var level: [Int] = []
            var earlier: [Int] = []
            var last: (from: Int64, to: Int64)?
            for span in sorted {
                if let last, last != (span.from, span.to) {
                    earlier = level
                    level = []
                }
                last = (span.from, span.to)
                before[span.unit] += earlier
                level.append(span.unit)
            }
        }
    }
}
