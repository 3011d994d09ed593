import CommandLineKit
import Dispatch
import Foundation
import StockQueue
import StockQueuePostgres

/// A store with a job now and then, beside others that flood the queue.
struct FairnessScenarios {
    let rig: BenchRig
    let scale: Double

    enum Flood: String, CaseIterable {
        /// One store fills many lanes by its ordering keys; the other is in a lane of its own.
        case otherLanes
        /// One store, in the lane of the other.
        case sameLane
        /// The same, with the highest priority.
        case firstPriority
        /// A thousand stores.
        case manyStores

        var title: String {
            switch self {
            case .otherLanes: "another store in 42 other lanes"
            case .sameLane: "another store in the same lane"
            case .firstPriority: "another store in the same lane at priority 1"
            case .manyStores: "1,000 stores"
            }
        }

        /// The store, the priority and the ordering key of a flooding job, in SQL over `number`.
        fileprivate var columns: String {
            switch self {
            case .otherLanes: "'flood', 2, 'key ' || number % 70"
            case .sameLane: "'flood', 2, NULL"
            case .firstPriority: "'flood', 1, NULL"
            case .manyStores: "'flood ' || number % 1000, 2, NULL"
            }
        }

        /// The condition on the lane of the visitor `store`.
        fileprivate var visitorCondition: String {
            switch self {
            case .otherLanes: "lane NOT IN (SELECT lane FROM stockq.jobs)"
            case .sameLane, .firstPriority: "lane = (SELECT lane FROM stockq.jobs LIMIT 1)"
            case .manyStores: "true"
            }
        }
    }

    struct Seen {
        /// From the commit of the visitor's job to that of its result, ascending.
        var latenciesMs: [Double]
        /// Jobs a second of the flood, beside the visitor and alone.
        var rate, rateAlone: Double
    }

    private static let jobsAtScale = 1_000_000
    private static let visitorPauseMs = 200

    func measure(_ flood: Flood) throws -> Seen {
        let workload = workload(flood)
        let rateAlone = try rig.withCopy(of: workload) { try rig.drain($0).rate }
        return try rig.withCopy(of: workload) { database in
            let connection = try database.connect()
            let visitor = try visitor(of: flood, connection)
            let jobs = jobs
            var visits = 0
            let rate = try rig.withPool(database) { meter in
                while meter.totals.finished < jobs {
                    try visitor.enqueue(connection)
                    visits += 1
                    pause(milliseconds: Self.visitorPauseMs)
                }
                let seconds = meter.totals.seconds
                try BenchScenarios.waitUntil("the visitor's jobs are done") { meter.totals.finished >= jobs + visits }
                return Double(jobs) / seconds
            }
            try rig.verify(database)
            return Seen(latenciesMs: try visitor.latencies(connection), rate: rate, rateAlone: rateAlone)
        }
    }

    private var jobs: Int { max(2_000, Int(Double(Self.jobsAtScale) * scale)) }

    private func workload(_ flood: Flood) -> Workload {
        Workload(
            name: "flood_\(flood)_\(jobs)".lowercased(),
            statements: [
                """
                INSERT INTO stockq.jobs (store_id, priority, ordering_key, item_id, quantity)
                SELECT \(flood.columns), 'item-' || number % 10000, -1 FROM generate_series(1, \(jobs)) AS number
                """,
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand)
                SELECT DISTINCT store_id, item_id, 100000000 FROM stockq.jobs
                """,
            ])
    }

    /// The store with few jobs.
    private struct Visitor {
        let store: String

        private static let enqueue = Statement(
            "enqueue_of_visitor", [.text],
            """
            INSERT INTO stockq.jobs (store_id, item_id, quantity, reference)
            VALUES ($1, 'item', -1, pg_current_xact_id()::text)
            """)

        func enqueue(_ connection: Connection) throws {
            var parameters = Parameters()
            parameters.add(store)
            try connection.execute(Self.enqueue, parameters)
        }

        func latencies(_ connection: Connection) throws -> [Double] {
            var parameters = Parameters()
            parameters.add(store)
            let rows = try connection.execute(
                Statement(
                    "latencies_of_visitor", [.text],
                    """
                    SELECT (extract(epoch FROM pg_xact_commit_timestamp(xmin)
                        - pg_xact_commit_timestamp(reference::xid8::xid)) * 1000000)::bigint
                    FROM stockq.results
                    WHERE store_id = $1
                    ORDER BY 1
                    """), parameters)
            return (0..<rows.rowCount).map { Double(rows.int64($0, 0)) / 1_000 }
        }
    }

    private func visitor(of flood: Flood, _ connection: Connection) throws -> Visitor {
        let rows = try connection.execute(
            Statement(
                "find_visitor", [],
                """
                SELECT store_id
                FROM (
                    SELECT 'visitor ' || number AS store_id,
                        stockq.strand_of('visitor ' || number, NULL, 1) >> 24 AS lane
                    FROM generate_series(1, 10000) AS number
                ) AS candidates
                WHERE \(flood.visitorCondition)
                LIMIT 1
                """))
        guard rows.rowCount == 1 else { throw Failure("no store fits the flood \(flood)") }
        let visitor = Visitor(store: rows.string(0, 0))
        try connection.executeScript(
            "INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('\(visitor.store)', 'item', 100000000)")
        return visitor
    }
}
