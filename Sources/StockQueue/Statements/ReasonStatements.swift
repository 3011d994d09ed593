import StockModel
import StockQueuePostgres

/// Reads the reasons that a job may have.
struct AllowedReasonsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "allowed_reasons", [],
            """
            SELECT reasons IS NOT NULL AS is_restricted, reason
            FROM \(schema.quoted).allowed_reasons() AS reasons
            LEFT JOIN unnest(reasons) AS reason ON true
            """)
    }

    /// Nil: any reason.
    static func read(_ connection: Connection, _ schema: QueueSchema) throws(PostgresError) -> AllowedReasons? {
        let rows = try connection.execute(AllowedReasonsStatement(schema).statement)
        guard rows.rowCount > 0, rows.bool(0, rows.column("is_restricted")) else { return nil }
        let reason = rows.column("reason")
        return AllowedReasons((0..<rows.rowCount).compactMap { rows.optionalString($0, reason) })
    }
}

/// Changes the list of reasons, and whether jobs may have others.
struct SetReasonsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "admin_set_reasons", [.textArray, .textArray, .bool], "SELECT \(schema.quoted).set_reasons($1, $2, $3)")
    }

    static func parameters(_ change: QueueAdmin.ReasonChange) -> Parameters {
        var parameters = Parameters()
        parameters.addArray(change.added)
        parameters.addArray(change.removed)
        parameters.add(change.onlyListed)
        return parameters
    }
}
