import StockQueue
import StockQueuePostgres

extension LedgerOracle {
    // MARK: I9: one at a time

    /// Replays the results one at a time, in the order in which their transactions locked the lane, and compares.
    ///
    /// A transaction draws its number (xmin) when it locks the lane's row, so the numbers have the order of the lane.
    /// Within a transaction, work units are ordered by priority and id, unless the versions of items or the idempotency
    /// keys show that one was before another: a group with deferred lines has the position of its first ready line, and
    /// no result shows which line that was.
    func replay() throws -> [String] {
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
            var batch: [WorkUnit] = []
            var transaction = ""
            func replayBatch() {
                for unit in WorkUnit.inOrder(batch, &found) {
                    model.take(unit.lines.sorted { $0.job.id < $1.job.id }.map(\.job))
                    for line in unit.lines {
                        let expected = model.results[line.job.id].map(Self.text) ?? "none, it waits"
                        if line.recorded != expected {
                            found.append("job \(line.job.id) of \(store): \(line.recorded), the model says \(expected)")
                        }
                    }
                    model.forgetResults()
                }
                batch = []
            }
            for row in try fields(Self.replaySQL(store)) {
                if row[13] != transaction { replayBatch() }
                transaction = row[13]
                if batch.last?.name != row[0] { batch.append(WorkUnit(name: row[0])) }
                batch[batch.count - 1].lines.append(
                    WorkUnit.Line(
                        job: Self.job(row), recorded: row[11], version: Int64(row[14]), isApplied: row[15] == "true",
                        first: Int64(row[16])))
            }
            replayBatch()
            let stock = try database.rows(
                """
                SELECT concat_ws(' ', item_id, on_hand, allocated, version) FROM stockq.items
                WHERE store_id = '\(store)' ORDER BY item_id
                """, connection)
            let expected = model.items.sorted { $0.key < $1.key }.map {
                "\($0) \($1.onHand) \($1.allocated) \($1.version)"
            }
            if stock != expected { found.append("store \(store) has \(stock), the model has \(expected)") }
        }
        return Array(found.prefix(20))
    }

    private static func replaySQL(_ store: String) -> String {
        """
        SELECT
            CASE WHEN group_id IS NULL THEN 'job ' || job_id
                ELSE 'group ' || group_id || ' ' || submission_id || ' ' || transaction END,
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
                AND coalesce(group_id, '') NOT LIKE '\(Self.tooLargeGroups)%'
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
        let rows = try connection.execute(Statement("replay_\(UInt(bitPattern: sql.hashValue))", [], sql))
        return (0..<rows.rowCount).map { row in
            (0..<rows.columnCount).map { rows.optionalString(row, $0) ?? "∅" }
        }
    }
}

/// A job, or the lines of a group that were finished in one transaction.
private struct WorkUnit {
    struct Line {
        var job: Model.Job
        /// The recorded result.
        var recorded: String
        /// The item's version after the job; nil without an item.
        var version: Int64?
        var isApplied: Bool
        /// The job that used the key first.
        var first: Int64?
    }

    var name: String
    var lines: [Line] = []

    /// The work units of a transaction: each after those that must have been before it, otherwise in the given order.
    static func inOrder(_ units: [WorkUnit], _ found: inout [String]) -> [WorkUnit] {
        var before = [[Int]](repeating: [], count: units.count)
        addVersions(units, &before)
        var unitOfJob: [Int64: Int] = [:]
        for (number, unit) in units.enumerated() { for line in unit.lines { unitOfJob[line.job.id] = number } }
        for (number, unit) in units.enumerated() {
            for line in unit.lines {
                if let first = line.first.flatMap({ unitOfJob[$0] }), first != number { before[number].append(first) }
            }
        }
        var order: [WorkUnit] = []
        var state = [Int](repeating: 0, count: units.count)  // 1: its predecessors come first; 2: in the order
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

    /// Adds what the versions of items show: a work unit that did not change an item was before the work unit that made
    /// its next version.
    private static func addVersions(_ units: [WorkUnit], _ before: inout [[Int]]) {
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
