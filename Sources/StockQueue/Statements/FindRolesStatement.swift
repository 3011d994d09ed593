import StockQueuePostgres

/// Finds the roles of the queue that have the privilege which the user lacks on an object of the schema, those with the
/// fewest privileges first.
struct FindRolesStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let prefix = quoteLiteral("\(schema.name)_")
        let namespace = "to_regnamespace(\(quoteLiteral(schema.quoted)))"
        statement = Statement(
            "find_roles", [.text],
            """
            SELECT quote_ident(r.rolname) AS role, quote_ident(current_user) AS user_name
            FROM unnest('{reader,producer,worker,gateway,admin}'::text[]) WITH ORDINALITY AS kind (name, number)
            JOIN pg_roles AS r ON r.rolname = \(prefix) || kind.name
            WHERE EXISTS (
                    SELECT FROM pg_proc AS f
                    WHERE f.pronamespace = \(namespace) AND f.proname = $1
                        AND has_function_privilege(r.oid, f.oid, 'EXECUTE')
                        AND NOT has_function_privilege(f.oid, 'EXECUTE')
                ) OR EXISTS (
                    SELECT FROM pg_class AS t
                    CROSS JOIN LATERAL (
                        SELECT CASE WHEN has_any_column_privilege(t.oid, 'SELECT') THEN 'INSERT' ELSE 'SELECT' END AS name
                    ) AS privilege
                    WHERE t.relnamespace = \(namespace) AND t.relname = $1 AND t.relkind IN ('r', 'p', 'v')
                        AND has_any_column_privilege(r.oid, t.oid, privilege.name)
                        AND NOT has_any_column_privilege(t.oid, privilege.name)
                )
            ORDER BY kind.number
            """)
    }

    static func roles(in rows: ResultSet) -> (user: String, roles: [String]) {
        let (role, user) = (rows.column("role"), rows.column("user_name"))
        return (rows.rowCount == 0 ? "" : rows.string(0, user), (0..<rows.rowCount).map { rows.string($0, role) })
    }
}
