import StockQueuePostgres

/// What a worker looks at before it starts: whatever would make it wrong without an error, or fail at every batch.
public struct StartupCheck: Sendable {
    /// Why a worker must not run here, as sentences that say what to do.
    public private(set) var blockers: [String] = []
    /// What it may run with, and somebody should know.
    public private(set) var warnings: [String] = []

    /// PostgreSQL 15 is the oldest that this program is tested with.
    private static let serverVersionMin = 150_000

    /// Asks the server. The schema must be migrated (`Migrator.check`).
    ///
    /// - Parameter requiresDurability: a server that may lose commits in a power cut is refused instead of warned of.
    public init(connection: Connection, schema: QueueSchema, requiresDurability: Bool) throws(PostgresError) {
        if connection.serverVersion < Self.serverVersionMin {
            blockers.append(
                "the server is PostgreSQL \(connection.serverVersion / 10_000); 15 or later is needed")
            return
        }
        var names = Parameters()
        names.add(schema.name)
        let rows = try connection.execute(
            Statement(
                "server_state", [.text],
                """
                SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on', current_setting('fsync') = 'on',
                    current_setting('full_page_writes') = 'on', current_setting('synchronous_commit') <> 'off',
                    bool_and(has_function_privilege(oid, 'EXECUTE')) FILTER (WHERE starts_with(proname, 'add_')),
                    bool_and(has_function_privilege(oid, 'EXECUTE')) FILTER (WHERE starts_with(proname, 'drop_'))
                FROM pg_proc
                WHERE pronamespace = to_regnamespace(quote_ident($1))
                    AND proname IN ('add_results_partitions', 'drop_expired_results', 'drop_expired_keys')
                """), names)
        if rows.bool(0, 0) {
            blockers.append(
                "the server is a standby and takes no writes; name the primary, or all hosts with target_session_attrs=read-write"
            )
        } else if rows.bool(0, 1) {
            blockers.append(
                "this session takes no writes: default_transaction_read_only is on, by ALTER ROLE, ALTER DATABASE or postgresql.conf"
            )
        }
        for (column, name) in [(2, "fsync"), (3, "full_page_writes"), (4, "synchronous_commit")]
        where !rows.bool(0, column) {
            let text = "\(name) is off: a crash or a power cut may lose what was committed"
            if requiresDurability { blockers.append(text) } else { warnings.append(text) }
        }
        if !rows.bool(0, 5) {
            blockers.append(
                "this role lacks EXECUTE on add_results_partitions, and work would stop when the partitions there are full"
            )
        }
        if !rows.bool(0, 6) {
            warnings.append(
                "this role may not drop expired results and keys, so nobody does until an administrator runs stockq prune"
            )
        }
        try checkPrivileges(connection, schema)
        try checkRowSecurity(connection, schema)
    }

    /// What the statements of a worker do with each table and sequence.
    private static let needs: [(object: String, privileges: [String])] = [
        ("jobs", ["SELECT", "DELETE"]), ("items", ["SELECT"]), ("lanes", ["SELECT"]),
        ("results", ["SELECT", "INSERT"]), ("notifications", ["INSERT"]), ("idempotency_keys", ["SELECT", "INSERT"]),
        ("paused_stores", ["SELECT"]), ("workers_awake", ["SELECT", "UPDATE"]),
        ("jobs_job_id_seq", ["SELECT"]),
    ]

    /// The columns that a worker's statements set, or, of a lane, must be able to so that the row can be locked.
    private static let updates: [(table: String, columns: [String])] = [
        (
            "jobs",
            [
                "run_at", "scheduled_at", "paused_at", "expires_at", "waiting_since", "waiting_quantity", "attempts",
                "last_error",
            ]
        ),
        (
            "items",
            [
                "on_hand", "allocated", "version", "last_job_id", "notified_level", "opening_on_hand",
                "opening_allocated",
                "updated_at",
            ]
        ),
        ("lanes", ["epoch"]),
    ]

    /// Objects of the schema, and what is needed of each.
    private static func parameters(_ pairs: [(object: String, need: String)], _ schema: QueueSchema) -> Parameters {
        var parameters = Parameters()
        parameters.addArray(pairs.map { "\(schema.quoted).\($0.object)" })
        parameters.addArray(pairs.map(\.need))
        return parameters
    }

    private mutating func checkPrivileges(_ connection: Connection, _ schema: QueueSchema) throws(PostgresError) {
        var needs: [(object: String, need: String, column: String?)] = []
        for need in Self.needs { needs += need.privileges.map { (need.object, $0, nil) } }
        for update in Self.updates { needs += update.columns.map { (update.table, "UPDATE", $0) } }
        var parameters = Self.parameters(needs.map { ($0.object, $0.need) }, schema)
        parameters.addArray(needs.map(\.column))
        let missing = try connection.execute(
            Statement(
                "missing_privileges", [.textArray, .textArray, .textArray],
                """
                SELECT format('%s%s on %s', privilege, ' (' || column_name || ')', object)
                FROM unnest($1, $2, $3) AS need (object, privilege, column_name)
                WHERE NOT CASE
                    WHEN column_name IS NOT NULL THEN has_column_privilege(object, column_name, privilege)
                    WHEN (SELECT relkind FROM pg_class WHERE oid = object::regclass) = 'S'
                        THEN has_sequence_privilege(object, privilege)
                    ELSE has_table_privilege(object, privilege)
                END
                """), parameters)
        if missing.rowCount == 0 { return }
        let list = (0..<missing.rowCount).map { missing.string($0, 0) }.joined(separator: ", ")
        blockers.append("this role lacks \(list)")
    }

    /// Rows that row security hides are jobs never worked and items that poll unknown, without any error.
    ///
    /// Each command that a worker uses needs a permissive policy that lets everything through, and no restrictive one that does
    /// not (PostgreSQL manual, "CREATE POLICY").
    private mutating func checkRowSecurity(_ connection: Connection, _ schema: QueueSchema) throws(PostgresError) {
        let commands = ["SELECT": "r", "INSERT": "a", "UPDATE": "w", "DELETE": "d"]
        let pairs = Self.needs.flatMap { need in need.privileges.compactMap { commands[$0].map { (need.object, $0) } } }
        let hidden = try connection.execute(
            Statement(
                "hidden_rows", [.textArray, .textArray],
                """
                SELECT DISTINCT object
                FROM unnest($1, $2) AS need (object, command)
                CROSS JOIN LATERAL (
                    SELECT coalesce(bool_or(lets_all) FILTER (WHERE polpermissive), false)
                        AND coalesce(bool_and(lets_all) FILTER (WHERE NOT polpermissive), true) AS lets_all
                    FROM (
                        SELECT polpermissive,
                            (command = 'a' OR pg_get_expr(polqual, polrelid) = 'true')
                            AND (command IN ('r', 'd') OR coalesce(pg_get_expr(polwithcheck, polrelid), pg_get_expr(polqual, polrelid)) = 'true')
                            AS lets_all
                        FROM pg_policy
                        WHERE polrelid = object::regclass AND polcmd IN ('*', command::"char")
                            AND (0 = ANY (polroles) OR EXISTS (SELECT FROM unnest(polroles) AS role WHERE pg_has_role(role, 'USAGE')))
                    ) AS policy
                ) AS policies
                WHERE row_security_active(object) AND NOT lets_all
                """), Self.parameters(pairs, schema))
        for row in 0..<hidden.rowCount {
            blockers.append(
                "row security may hide rows of \(hidden.string(row, 0)) from this role, and jobs would be passed over in silence; "
                    + "give the worker's role a policy FOR ALL USING (true), or BYPASSRLS")
        }
    }
}
