/// A catalog and a queue, as SQL that always inserts the same rows.
struct Workload {
    /// Used as a part of a database's name.
    var name: String
    var statements: [String]

    /// Jobs of one line: half of them on 2% of the items.
    ///
    /// - Parameters:
    ///   - popularShare: the share of jobs that go to these 2%.
    ///   - hotShare: the share of jobs that go to a single item.
    ///   - deferred: how many jobs due tomorrow are queued beside the ready ones.
    ///   - hasKeys: whether each job has an idempotency key of its own.
    static func singles(
        _ jobs: Int, stores: Int = 16, items: Int = 10_000, popularShare: Double = 0.5, hotShare: Double = 0,
        deferred: Int = 0, hasKeys: Bool = false
    ) -> Workload {
        var statements = [catalog(stores: stores, items: items)]
        if deferred > 0 {
            statements.append(
                insertSingles(
                    deferred, stores, items, hotShare: 0, columns: ", run_at", values: ", now() + interval '1 day'"))
        }
        if jobs > 0 {
            // A random id, as an order's key often is.
            statements.append(
                insertSingles(
                    jobs, stores, items, popularShare: popularShare, hotShare: hotShare,
                    columns: hasKeys ? ", idempotency_key" : "",
                    values: hasKeys ? ", md5('order ' || number)" : ""))
        }
        let shares = [popularShare, hotShare].map { String(Int($0 * 100)) }.joined(separator: "_")
        let name = "singles_\(jobs)_\(stores)_\(items)_\(shares)_\(deferred)\(hasKeys ? "_keys" : "")"
        return Workload(name: name, statements: statements)
    }

    static func insertSingles(
        _ jobs: Int, _ stores: Int = 16, _ items: Int = 10_000, popularShare: Double = 0.5, hotShare: Double = 0,
        columns: String = "", values: String = ""
    ) -> String {
        """
        SELECT setseed(0.42);
        INSERT INTO stockq.jobs (store_id, item_id, quantity, reason, reference\(columns))
        SELECT 'store-' || item % \(stores), 'item-' || item, -1, 'sale', 'order ' || number\(values)
        FROM (
            SELECT number, (
                CASE
                    WHEN random() < \(hotShare) THEN 0
                    WHEN random() < \(popularShare) THEN floor(random() * \(items) * 0.02)
                    ELSE floor(random() * \(items))
                END
            )::integer AS item
            FROM generate_series(1, \(jobs)) AS number
        ) AS sale
        """
    }

    /// Orders of 1 to 50 lines, 15 in the mean, all or nothing; every twentieth takes more of its first item than is
    /// available.
    static func orders(lines: Int) -> Workload {
        Workload(
            name: "orders_\(lines)",
            statements: [
                catalog(stores: 16, items: 10_000),
                """
                SELECT setseed(0.42);
                INSERT INTO stockq.jobs (store_id, item_id, quantity, group_id, reference)
                SELECT 'store-' || number % 16,
                    'item-' || number % 16 + 16 * floor(random() * 625)::integer,
                    CASE WHEN number % 20 = 0 AND line = 1 THEN -1000000000 ELSE -1 END,
                    'order-' || number, 'order ' || number
                FROM (
                    SELECT number, 1 + floor(50 * random() ^ 2.5)::integer AS lines
                    FROM generate_series(1, \(lines / 15)) AS number
                ) AS "order"
                CROSS JOIN LATERAL generate_series(1, lines) AS line
                """,
            ])
    }

    /// A catalog of one store, without jobs; the ids of its products are numbers from 1.
    static func products(_ count: Int, store: String) -> Workload {
        Workload(
            name: "products_\(count)",
            statements: [
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold)
                SELECT '\(store)', number, 100000000, 100 FROM generate_series(1, \(count)) AS number
                """
            ])
    }

    /// Items of one store two units above their thresholds, each with a job that takes three.
    static func crossings(_ items: Int) -> Workload {
        Workload(
            name: "crossings_\(items)",
            statements: [
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold)
                SELECT 'store', 'item-' || number, 7, 5 FROM generate_series(1, \(items)) AS number
                """,
                """
                INSERT INTO stockq.jobs (store_id, item_id, quantity, reference)
                SELECT 'store', 'item-' || number, -3, 'order ' || number FROM generate_series(1, \(items)) AS number
                """,
            ])
    }

    private static func catalog(stores: Int, items: Int) -> String {
        """
        INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold)
        SELECT 'store-' || number % \(stores), 'item-' || number, 100000000, 100
        FROM generate_series(0, \(items - 1)) AS number
        """
    }
}
