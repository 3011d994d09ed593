internal import CLibPQ

/// Prepared statements.
extension Connection {
    func sendPreparation(of statement: Statement) throws(PostgresError) {
        if let other = preparedNames[statement.name] {
            if other == statement.sql { return }
            throw PostgresError(
                kind: .protocolViolation,
                message: "statement \(statement.name) has another text on this connection")
        }
        let types = statement.parameterTypes.map(\.rawValue)
        try check(PQsendPrepare(handle, statement.name, statement.sql, Int32(types.count), types) == 1)
        inFlight.append(Request(statement: statement.name, isPreparation: true))
        preparedNames[statement.name] = statement.sql
    }

    /// Prepares statements and makes their plans, so that their first use takes no longer than a later one. Behind a
    /// pooler nothing is prepared, and this does nothing.
    ///
    /// EXPLAIN EXECUTE runs nothing, and in JSON it answers in one row. The session keeps the plan where
    /// `plan_cache_mode` is `force_generic_plan`. An error of the server comes again where the statement is needed, so
    /// only a lost connection is one here.
    package func planAhead(_ statements: [Statement]) throws(PostgresError) {
        if settings.pooled { return }
        do throws(PostgresError) {
            try plan(statements)
        } catch {
            if error.isConnectionFatal { throw error }
        }
    }

    private func plan(_ statements: [Statement]) throws(PostgresError) {
        try enterPipeline()
        for statement in statements { try sendPreparation(of: statement) }
        _ = try receive()
        let script = statements.map { statement in
            let nulls = statement.parameterTypes.map { _ in "NULL" }.joined(separator: ", ")
            return
                "EXPLAIN (FORMAT JSON) EXECUTE \(quoteIdentifier(statement.name))\(nulls.isEmpty ? "" : "(\(nulls))")"
        }
        try executeScript(script.joined(separator: ";\n"))
    }

    func discardPreparedStatement(_ request: Request) {
        if request.isPreparation, let name = request.statement { preparedNames[name] = nil }
    }
}
