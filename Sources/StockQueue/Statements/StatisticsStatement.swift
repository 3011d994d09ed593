import Foundation
import StockModel
import StockQueuePostgres

/// Counts the queue, and what was finished and written within a span of time, as one JSON object: one scan of the
/// queue, one of the notifications of the span, and of its results those that were not applied. The change log has the
/// numbers of the others.
///
/// As of now: a job that is due counts as ready since its time, whether a worker has promoted it yet or not; but one that
/// waits for stock is waiting until then.
struct StatisticsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        statement = Statement(
            "statistics", [.int8],
            """
            WITH queued AS MATERIALIZED (
                SELECT store_id, lane, \(SQL.jobCounts),
                    min(ready_since) FILTER (WHERE is_ready) AS ready_since
                FROM (
                    SELECT store_id, lane, \(SQL.jobStates),
                        \(SQL.readySince) AS ready_since
                    FROM \(s).jobs
                ) AS jobs
                GROUP BY store_id, lane
            ), resumed AS MATERIALIZED (
                SELECT * FROM \(s).resumes((SELECT min(ready_since) FROM queued))
            ), queue AS (
                SELECT
                    coalesce(sum(ready), 0)::bigint AS ready, coalesce(sum(scheduled), 0)::bigint AS scheduled,
                    coalesce(sum(waiting), 0)::bigint AS waiting, coalesce(sum(retrying), 0)::bigint AS retrying,
                    coalesce(sum(paused), 0)::bigint AS paused,
                    (SELECT count(*) FROM \(s).lanes WHERE paused_at IS NOT NULL) AS paused_lanes,
                    (SELECT coalesce(json_agg(store_id ORDER BY store_id), '[]') FROM \(s).paused_stores) AS paused_stores,
                    count(DISTINCT lane) FILTER (WHERE ready > 0) AS lanes,
                    -- A transaction that began later may have enqueued it. least() would leave a null out.
                    max(extract(epoch FROM now() - least(
                        now(), greatest(ready_since, \(SQL.resumedAt("queued")))
                    ))::float8) FILTER (WHERE ready > 0) AS oldest_ready_seconds
                FROM queued
            ), finished AS (
                SELECT outcome, code,
                    count(*) FILTER (WHERE finished_at > now() - $1 * interval '1 second') AS jobs,
                    count(*) FILTER (WHERE finished_at > now() - interval '1 minute') AS last_minute
                FROM \(s).results
                WHERE outcome <> 'applied' AND finished_at > now() - greatest($1, 60) * interval '1 second'
                GROUP BY outcome, code
                UNION ALL
                SELECT 'applied', NULL,
                    sum(cardinality(job_ids)) FILTER (WHERE created_at > now() - $1 * interval '1 second'),
                    sum(cardinality(job_ids)) FILTER (WHERE created_at > now() - interval '1 minute')
                FROM \(s).change_log
                WHERE created_at > now() - greatest($1, 60) * interval '1 second'
            ), written AS (
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
                'warnings', (
                    SELECT count(*) FROM \(s).results
                    WHERE warning IS NOT NULL AND finished_at > now() - $1 * interval '1 second'
                ),
                'notifications', coalesce((SELECT json_object_agg(kind, notifications) FROM written), '{}'),
                'deliveries', (
                    SELECT json_build_object(
                        'pending', count(*) FILTER (WHERE state = 'pending'),
                        'dead', count(*) FILTER (WHERE state = 'dead'))
                    FROM \(s).deliveries WHERE state IN ('pending', 'dead')
                ),
                'violations', (
                    SELECT json_build_object(
                        'items', count(*),
                        'last', (array_agg(
                            json_build_object('store_id', store_id, 'item_id', item_id, 'location_id', location_id,
                                'seconds', extract(epoch FROM now() - found_at)::float8)
                            ORDER BY found_at DESC
                        ))[1])
                    -- An item that was retired since is not among them.
                    FROM \(s).ledger_violations JOIN \(s).items USING (store_id, item_id, location_id)
                ),
                'finished_last_minute', (
                    SELECT coalesce(sum(last_minute), 0)::bigint FROM finished WHERE outcome <> 'canceled'
                ),
                'workers', (
                    SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name ~ '\(SessionNames.worker)'
                ),
                'last_result_seconds', (
                    SELECT extract(epoch FROM now() - finished_at)::float8
                    FROM \(s).results
                    WHERE outcome <> 'canceled'
                    ORDER BY job_id DESC
                    LIMIT 1
                )
            )::text AS json
            """)
    }

    static func parameters(seconds: Int64) -> Parameters {
        var parameters = Parameters()
        parameters.add(seconds)
        return parameters
    }

    /// - Throws: `UnknownLabelError`, or `DecodingError`.
    static func statistics(in rows: ResultSet) throws -> JSONRow<QueueStatistics> {
        let json = rows.string(0, rows.column("json"))
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return JSONRow(json: json, value: try decoder.decode(Object.self, from: Data(json.utf8)).statistics())
    }

    /// The JSON object; `outcomes`, `codes` and `notifications` have labels as keys.
    private struct Object: Decodable {
        struct Queue: Decodable {
            let ready, scheduled, waiting, retrying, paused, pausedLanes: Int64
            let pausedStores: [String]
            let lanes: Int64
            let oldestReadySeconds: Double?
        }

        struct Deliveries: Decodable {
            let pending, dead: Int64
        }

        struct Violations: Decodable {
            struct Last: Decodable {
                let storeId, itemId, locationId: String
                let seconds: Double
            }

            let items: Int64
            let last: Last?
        }

        let windowSeconds: Int64
        let queue: Queue
        let items: Int64
        let outcomes, codes: [String: Int64]
        let warnings: Int64
        let notifications: [String: Int64]
        let finishedLastMinute: Int64
        let workers: Int64
        let lastResultSeconds: Double?
        let deliveries: Deliveries
        let violations: Violations

        func statistics() throws(UnknownLabelError) -> QueueStatistics {
            QueueStatistics(
                windowSeconds: windowSeconds,
                queue: QueueStatistics.Backlog(
                    ready: queue.ready, scheduled: queue.scheduled, waiting: queue.waiting, retrying: queue.retrying,
                    paused: queue.paused, pausedLanes: queue.pausedLanes, pausedStores: queue.pausedStores,
                    lanes: queue.lanes, oldestReadySeconds: queue.oldestReadySeconds),
                items: items, outcomes: try byLabel(outcomes), codes: try byLabel(codes), warnings: warnings,
                notifications: try byLabel(notifications), finishedLastMinute: finishedLastMinute,
                workers: workers, lastResultSeconds: lastResultSeconds, pendingDeliveries: deliveries.pending,
                deadDeliveries: deliveries.dead,
                violations: QueueStatistics.Violations(
                    items: violations.items,
                    last: violations.last.map {
                        (ItemKey($0.storeId, $0.itemId, location: $0.locationId), $0.seconds)
                    }))
        }
    }

    private static func byLabel<Label: DatabaseLabel>(
        _ numbers: [String: Int64]
    ) throws(UnknownLabelError) -> [Label: Int64] {
        var counts: [Label: Int64] = [:]
        for (text, number) in numbers {
            guard let label = Label(rawValue: text) else { throw UnknownLabelError(type: Label.typeName, label: text) }
            counts[label] = number
        }
        return counts
    }
}
