import StockQueuePostgres
import TestSupport

/// A group with as many lines as a group may have, or one more.
enum GiantGroup {
    /// The default of the limit.
    static let linesMax = 10_000

    /// An item for the groups in each store.
    static func itemSQL(stores: Int) -> String {
        (0..<stores).map { store in
            """
            INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold)
            VALUES ('store-\(store)', 'giant', 50, 10);

            """
        }.joined()
    }
}

extension Rig {
    /// Enqueues a group of one item, whose lines take and return a unit each, beside the store's producer.
    ///
    /// - Returns: false if the database does not accept it.
    func enqueueGiantGroup(lines: Int, store: Int, number: Int) throws -> Bool {
        let group = (lines > GiantGroup.linesMax ? LedgerOracle.tooLargeGroups : "giant-") + "\(number)"
        return try waitingForServer {
            // A COMMIT whose answer was lost may have taken effect.
            if try database.value("SELECT EXISTS (SELECT FROM audit.jobs WHERE group_id = '\(group)')") == "t" {
                return true
            }
            do {
                try database.run(
                    """
                    BEGIN;
                    \(LedgerOracle.marksLateJobs);
                    INSERT INTO stockq.jobs (store_id, item_id, quantity, group_id)
                    SELECT 'store-\(store)', 'giant', CASE n % 2 WHEN 1 THEN -1 ELSE 1 END, '\(group)'
                    FROM generate_series(1, \(lines)) AS n;
                    COMMIT
                    """)
                return true
            } catch let error as PostgresError where error.kind == .server && !error.isTransient {
                return false
            }
        }
    }
}
