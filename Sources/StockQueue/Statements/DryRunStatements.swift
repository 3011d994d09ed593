import StockModel
import StockQueuePostgres

/// The database's clock, by which jobs expire.
struct CurrentTimeStatement: QueueStatement {
    let statement = Statement("current_time", [], "SELECT now() AS now")
}

/// Finds one store whose items the caller may not read: row security hides them, and all would look unknown.
struct HiddenStoreStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        statement = Statement(
            "hidden_store", [.textArray],
            """
            SELECT store
            FROM unnest($1) AS store
            WHERE NOT \(s).can_read_all_stores() AND NOT \(s).has_grant(store, 'read_catalog')
            LIMIT 1
            """)
    }
}
