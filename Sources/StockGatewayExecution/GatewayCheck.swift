import StockQueue
import StockQueuePostgres

/// What the gateway checks before it starts: whatever would fail at every call.
package enum GatewayCheck {
    private static let functions = [
        "gateway_access", "gateway_enqueue", "gateway_results", "gateway_cancel", "gateway_levels", "gateway_history",
        "gateway_issue_tokens", "gateway_change_item", "gateway_submit", "gateway_jobs", "gateway_cancel_queued",
        "gateway_items", "gateway_create_item", "gateway_set_item", "gateway_movements", "gateway_stock_at",
        "gateway_notifications", "gateway_dry_run",
    ]

    private static let statement = Statement(
        "gateway_check", [.text, .textArray],
        """
        SELECT pg_is_in_recovery() AS is_standby, coalesce((
            SELECT string_agg(name, ', ' ORDER BY name)
            FROM unnest($2) AS name
            WHERE NOT EXISTS (
                SELECT FROM pg_proc
                WHERE pronamespace = to_regnamespace(quote_ident($1)) AND proname = name
                    AND has_function_privilege(oid, 'EXECUTE')
            )
        ), '') AS missing
        """)

    /// Connects and asks. The schema must be at this program's version.
    ///
    /// - Returns: why the gateway cannot serve here, as sentences that say what to do.
    package static func blockers(_ settings: ConnectionSettings, _ schema: QueueSchema) throws -> [String] {
        let connection = try Connection(settings)
        try Migrator(connection: connection, schema: schema).check()
        var parameters = Parameters()
        parameters.add(schema.name)
        parameters.addArray(functions)
        let rows = try connection.execute(statement, parameters)
        var blockers: [String] = []
        if rows.bool(0, rows.column("is_standby")) {
            blockers.append(
                "the server is a standby and takes no writes; name the primary, or all hosts with target_session_attrs=read-write"
            )
        }
        let missing = rows.string(0, rows.column("missing"))
        if !missing.isEmpty {
            blockers.append(
                "this role lacks EXECUTE on \(missing); run: GRANT \(schema.name)_gateway TO ROLE")
        }
        return blockers
    }
}
