import Foundation
import StockModel
import StockQueuePostgres

/// A row as PostgreSQL wrote it in JSON, and as a value.
public struct JSONRow<Value: Decodable & Sendable>: Sendable {
    public let json: String
    public let value: Value
}

/// Answers the questions of operators: what is there, what happened to this job, what is going on.
///
/// Rows come as JSON that PostgreSQL makes, so that `--json` shows the very names of the tables' columns.
public struct Inspector {
    private let connection: Connection
    private let schema: QueueSchema

    public init(connection: Connection, schema: QueueSchema) {
        self.connection = connection
        self.schema = schema
    }

    // MARK: items

    /// Items in key order.
    ///
    /// - Parameter after: the key behind which to begin.
    public func items(store: String?, below level: AlertLevel?, limit: Int, after: ItemKey? = nil) throws -> [JSONRow<
        Item
    >] {
        var parameters = Parameters()
        parameters.add(store)
        parameters.add(level?.rawValue)
        parameters.add(Int64(limit))
        parameters.add(after?.storeID)
        parameters.add(after?.itemID)
        parameters.add(after?.locationID)
        return try rows(
            "list_items", [.text, .text, .int8, .text, .text, .text],
            """
            SELECT \(itemJSON)
            FROM \(schema.quoted).items
            WHERE ($1 IS NULL OR store_id = $1)
                AND ($2 IS NULL OR \(currentLevel) >= $2::\(schema.quoted).alert_level)
                AND ($4 IS NULL OR (store_id, item_id, location_id) > ($4, $5, $6))
            ORDER BY store_id, item_id, location_id
            LIMIT $3
            """, parameters)
    }

    public func item(_ key: ItemKey) throws -> JSONRow<Item>? {
        try row(
            "show_item", [.text, .text, .text],
            "SELECT \(itemJSON) FROM \(schema.quoted).items WHERE (store_id, item_id, location_id) = ($1, $2, $3)",
            parameters(key))
    }

    /// An item's last movements, newest first.
    public func movements(_ key: ItemKey, limit: Int) throws -> [JSONRow<JobResult>] {
        var parameters = parameters(key)
        parameters.add(Int32(clamping: limit))
        return try rows(
            "item_movements", [.text, .text, .text, .int4],
            "SELECT to_json(movement)::text FROM \(schema.quoted).item_history($1, $2, $3, $4) AS movement", parameters)
    }

    // MARK: jobs and results

    /// How many lanes and stores are paused; cheaper than the statistics, which count the jobs.
    public func pauses() throws -> (lanes: Int64, stores: Int64) {
        let paused = try connection.execute(
            Statement(
                "what_is_paused", [],
                """
                SELECT (SELECT count(*) FROM \(schema.quoted).lanes WHERE paused_at IS NOT NULL),
                    (SELECT count(*) FROM \(schema.quoted).paused_stores)
                """))
        return (paused.int64(0, 0), paused.int64(0, 1))
    }

    public func result(of job: Int64) throws -> JSONRow<JobResult>? {
        var parameters = Parameters()
        parameters.add(job)
        return try row(
            "show_result", [.int8], "SELECT to_json(results)::text FROM \(schema.quoted).results WHERE job_id = $1",
            parameters)
    }

    /// A job that is still queued.
    public func job(_ job: Int64) throws -> JSONRow<QueuedJob>? {
        var parameters = Parameters()
        parameters.add(job)
        return try row(
            "show_job", [.int8], "SELECT to_json(jobs)::text FROM \(schema.quoted).jobs WHERE job_id = $1", parameters)
    }

    /// The newest jobs that were refused for a reason of their own, not because of their group.
    public func refused(limit: Int) throws -> [JSONRow<JobResult>] {
        var parameters = Parameters()
        parameters.add(Int64(limit))
        return try rows(
            "refused", [.int8],
            """
            SELECT to_json(results)::text
            FROM \(schema.quoted).results
            WHERE outcome = 'rejected' AND code <> 'group_rejected'
            ORDER BY job_id DESC
            LIMIT $1
            """, parameters)
    }

    // MARK: notifications

    /// The newest notifications, oldest of them first.
    public func lastNotifications(limit: Int) throws -> [JSONRow<StockNotification>] {
        var parameters = Parameters()
        parameters.add(Int64(limit))
        return try rows(
            "last_notifications", [.int8],
            """
            SELECT to_json(told)::text
            FROM (SELECT * FROM \(schema.quoted).notifications ORDER BY notification_id DESC LIMIT $1) AS told
            ORDER BY notification_id
            """, parameters)
    }

    /// Notifications behind an id, and those with the given ids: ids are drawn before their transactions commit, so a
    /// smaller one may appear after a larger one.
    public func notifications(after id: Int64, or missing: [Int64], limit: Int) throws -> [JSONRow<StockNotification>] {
        var parameters = Parameters()
        parameters.add(id)
        parameters.addArray(of: missing.count, int64: { missing[$0] })
        parameters.add(Int64(limit))
        return try rows(
            "notifications_after", [.int8, .int8Array, .int8],
            """
            SELECT to_json(told)::text
            FROM (
                SELECT * FROM \(schema.quoted).notifications
                WHERE notification_id > $1 OR notification_id = ANY ($2)
                ORDER BY notification_id
                LIMIT $3
            ) AS told
            """, parameters)
    }

    /// The id behind which notifications since a time begin.
    public func lastNotification(secondsAgo: Int64) throws(PostgresError) -> Int64 {
        var parameters = Parameters()
        parameters.add(secondsAgo)
        return try connection.execute(
            Statement(
                "notification_before", [.int8],
                "SELECT coalesce(min(notification_id) - 1, (SELECT coalesce(max(notification_id), 0) FROM \(schema.quoted).notifications)) "
                    + "FROM \(schema.quoted).notifications WHERE created_at >= now() - $1 * interval '1 second'"),
            parameters
        ).int64(0, 0)
    }

    // MARK: statistics

    /// The queue now, and what was finished in the last `seconds`.
    public func statistics(seconds: Int64) throws -> JSONRow<QueueStatistics> {
        var parameters = Parameters()
        parameters.add(seconds)
        guard let found: JSONRow<QueueStatistics> = try row("statistics", [.int8], Self.statistics(schema), parameters)
        else { throw PostgresError(kind: .protocolViolation, message: "no statistics") }
        return found
    }

    /// One pass over the queue, one over the results of the time asked for, one over the notifications.
    private static func statistics(_ schema: QueueSchema) -> String {
        let s = schema.quoted
        return """
            WITH queue AS (
                SELECT
                    count(*) FILTER (WHERE run_at IS NULL) AS ready,
                    count(*) FILTER (WHERE run_at < 'infinity' AND waiting_since IS NULL AND attempts = 0) AS scheduled,
                    count(*) FILTER (WHERE run_at < 'infinity' AND waiting_since IS NOT NULL) AS waiting,
                    count(*) FILTER (WHERE run_at < 'infinity' AND waiting_since IS NULL AND attempts > 0) AS retrying,
                    count(*) FILTER (WHERE run_at = 'infinity') AS paused,
                    (SELECT count(*) FROM \(s).lanes WHERE paused_at IS NOT NULL) AS paused_lanes,
                    (SELECT coalesce(json_agg(store_id ORDER BY store_id), '[]') FROM \(s).paused_stores) AS paused_stores,
                    count(DISTINCT lane) FILTER (WHERE run_at IS NULL) AS lanes,
                    extract(epoch FROM now() - min(enqueued_at) FILTER (WHERE run_at IS NULL))::float8 AS oldest_ready_seconds
                FROM \(s).jobs
            ), finished AS (
                SELECT outcome, code,
                    count(*) FILTER (WHERE finished_at > now() - $1 * interval '1 second') AS jobs,
                    count(*) FILTER (WHERE finished_at > now() - interval '1 minute') AS last_minute,
                    count(*) FILTER (WHERE warning IS NOT NULL AND finished_at > now() - $1 * interval '1 second') AS warned
                FROM \(s).results
                WHERE finished_at > now() - greatest($1, 60) * interval '1 second'
                GROUP BY outcome, code
            ), told AS (
                SELECT kind, count(*) AS notifications
                FROM \(s).notifications
                WHERE created_at > now() - $1 * interval '1 second'
                GROUP BY kind
            )
            SELECT json_build_object(
                'window_seconds', $1,
                'queue', (SELECT to_json(queue) FROM queue),
                'items', (SELECT count(*) FROM \(s).items),
                'outcomes', coalesce((
                    SELECT json_object_agg(outcome, jobs)
                    FROM (
                        SELECT outcome, sum(jobs)::bigint AS jobs FROM finished
                        WHERE jobs > 0 GROUP BY outcome ORDER BY outcome
                    ) AS o
                ), '{}'),
                'codes', coalesce((
                    SELECT json_object_agg(code, jobs)
                    FROM (SELECT code, jobs FROM finished WHERE code IS NOT NULL AND jobs > 0 ORDER BY code) AS c
                ), '{}'),
                'warnings', (SELECT coalesce(sum(warned), 0)::bigint FROM finished),
                'notifications', coalesce((SELECT json_object_agg(kind, notifications) FROM told), '{}'),
                'finished_last_minute', (SELECT coalesce(sum(last_minute), 0)::bigint FROM finished)
            )::text
            """
    }

    // MARK: shared

    private var currentLevel: String {
        """
        CASE
                WHEN NOT tracked THEN 'ok'
                WHEN available <= 0 THEN 'out'
                WHEN available <= low_stock_threshold THEN 'low'
                ELSE 'ok'
            END::\(schema.quoted).alert_level
        """
    }

    private var itemJSON: String {
        """
        json_build_object(
                'store_id', store_id, 'item_id', item_id, 'location_id', location_id, 'parent_id', parent_id,
                'on_hand', on_hand, 'allocated', allocated, 'available', available, 'tracked', tracked,
                'low_stock_threshold', low_stock_threshold, 'level', \(currentLevel), 'version', version,
                'opening_on_hand', coalesce(opening_on_hand, on_hand), 'created_at', created_at, 'updated_at', updated_at
            )::text
        """
    }

    private func parameters(_ key: ItemKey) -> Parameters {
        var parameters = Parameters()
        parameters.add(key.storeID)
        parameters.add(key.itemID)
        parameters.add(key.locationID)
        return parameters
    }

    private func row<Value: Decodable & Sendable>(
        _ name: String, _ types: [TypeOID], _ sql: String, _ parameters: Parameters
    ) throws -> JSONRow<Value>? {
        let all: [JSONRow<Value>] = try rows(name, types, sql, parameters)
        return all.first
    }

    private func rows<Value: Decodable & Sendable>(
        _ name: String, _ types: [TypeOID], _ sql: String, _ parameters: Parameters
    ) throws -> [JSONRow<Value>] {
        let result = try connection.execute(Statement(name, types, sql), parameters)
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try (0..<result.rowCount).map { row in
            let json = result.string(row, 0)
            return JSONRow(json: json, value: try decoder.decode(Value.self, from: Data(json.utf8)))
        }
    }
}
