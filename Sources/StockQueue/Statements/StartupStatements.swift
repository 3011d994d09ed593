import StockQueuePostgres

/// Reads what of the server and of the role's functions can be an obstacle for workers.
struct ReadServerStateStatement: QueueStatement {
    let statement = Statement(
        "read_server_state", [.text],
        """
        SELECT pg_is_in_recovery() AS is_standby,
            current_setting('fsync') = 'on' AS fsync, current_setting('full_page_writes') = 'on' AS full_page_writes,
            current_setting('synchronous_commit') <> 'off' AS synchronous_commit,
            coalesce(bool_and(has_function_privilege(oid, 'EXECUTE')) FILTER (WHERE starts_with(proname, 'add_')), false)
                AS can_add_partitions,
            coalesce(bool_and(has_function_privilege(oid, 'EXECUTE')) FILTER (WHERE starts_with(proname, 'drop_')), false)
                AS can_drop_expired
        FROM pg_proc
        WHERE pronamespace = to_regnamespace(quote_ident($1))
            AND proname IN ('add_results_partitions', 'drop_expired_results', 'drop_expired_keys')
        """)

    static func parameters(_ schema: QueueSchema) -> Parameters {
        var parameters = Parameters()
        parameters.add(schema.name)
        return parameters
    }

    struct State {
        let isStandby: Bool
        /// The settings that are off and without which a commit may be lost.
        fileprivate let durabilityOff: [String]
        let canAddPartitions: Bool
        let canDropExpired: Bool

        /// A sentence for each of the settings that are off.
        var durabilityProblems: [String] {
            durabilityOff.map { "\($0) is off: a crash or a power cut may lose what was committed" }
        }
    }

    static func state(in rows: ResultSet) -> State {
        func bool(_ name: String) -> Bool { rows.bool(0, rows.column(name)) }
        return State(
            isStandby: bool("is_standby"),
            durabilityOff: ["fsync", "full_page_writes", "synchronous_commit"].filter { !bool($0) },
            canAddPartitions: bool("can_add_partitions"), canDropExpired: bool("can_drop_expired"))
    }
}

/// What the statements of a worker process do with the objects of the schema. `migrations/roles.sql` grants the same to
/// `stockq_worker`; a test compares both.
package enum WorkerPrivileges {
    /// The privileges on whole tables and sequences.
    static let objects: [(object: String, privileges: [String])] = [
        ("jobs", ["SELECT", "DELETE"]), ("items", ["SELECT"]), ("lanes", ["SELECT"]),
        ("results", ["SELECT", "INSERT"]), ("notifications", ["INSERT"]), ("change_log", ["INSERT"]),
        ("idempotency_keys", ["SELECT", "INSERT"]), ("paused_stores", ["SELECT"]),
        ("too_large_groups", ["SELECT", "INSERT", "DELETE"]), ("ledger_violations", ["SELECT", "INSERT", "UPDATE"]),
        ("workers_awake", ["SELECT", "UPDATE"]), ("jobs_job_id_seq", ["SELECT", "USAGE"]), ("feed_base", ["SELECT"]),
    ]

    /// The columns that statements set. A lane is only locked, and for that some column must be open.
    static let updates: [(table: String, columns: [String])] = [
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
                "opening_allocated", "updated_at",
            ]
        ),
        ("lanes", ["epoch"]),
    ]

    /// Each privilege with its object, and with its column where it is one of a column.
    package static var all: [(object: String, privilege: String, column: String?)] { each(objects, updates) }

    fileprivate static func each(
        _ objects: [(object: String, privileges: [String])], _ updates: [(table: String, columns: [String])]
    ) -> [(object: String, privilege: String, column: String?)] {
        objects.flatMap { object in object.privileges.map { (object.object, $0, nil) } }
            + updates.flatMap { update in update.columns.map { (update.table, "UPDATE", $0) } }
    }
}

/// Finds the privileges that this role lacks.
struct FindMissingPrivilegesStatement: QueueStatement {
    let statement = Statement(
        "find_missing_privileges", [.textArray, .textArray, .textArray],
        """
        SELECT format('%s%s on %s', privilege, ' (' || column_name || ')', object) AS missing
        FROM unnest($1, $2, $3) AS need (object, privilege, column_name)
        WHERE NOT CASE
            WHEN column_name IS NOT NULL THEN has_column_privilege(object, column_name, privilege)
            WHEN (SELECT relkind FROM pg_class WHERE oid = object::regclass) = 'S'
                THEN has_sequence_privilege(object, privilege)
            ELSE has_table_privilege(object, privilege)
        END
        """)

    /// - Parameters:
    ///   - objects: privileges on whole tables and sequences.
    ///   - columns: privileges to update columns.
    static func parameters(
        _ schema: QueueSchema, objects: [(object: String, privileges: [String])] = WorkerPrivileges.objects,
        columns: [(table: String, columns: [String])] = WorkerPrivileges.updates
    ) -> Parameters {
        let needs = WorkerPrivileges.each(objects, columns)
        var parameters = Parameters()
        parameters.addArray(needs.map { "\(schema.quoted).\($0.object)" })
        parameters.addArray(needs.map(\.privilege))
        parameters.addArray(needs.map(\.column))
        return parameters
    }

    static func privileges(in rows: ResultSet) -> [String] {
        let missing = rows.column("missing")
        return (0..<rows.rowCount).map { rows.string($0, missing) }
    }
}

/// Finds the lanes without a row: a worker locks a lane's row, so such a lane is never worked.
struct FindMissingLanesStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "find_missing_lanes", [],
            """
            SELECT number AS lane
            FROM generate_series(0, \(LaneQueue.laneCount - 1)) AS number
            WHERE NOT EXISTS (SELECT FROM \(schema.quoted).lanes WHERE lane = number)
            ORDER BY number
            """)
    }

    static func lanes(in rows: ResultSet) -> [Int32] {
        let lane = rows.column("lane")
        return (0..<rows.rowCount).map { rows.int32($0, lane) }
    }
}

/// Finds the tables of which row security may hide rows from this role.
///
/// Each command that a worker uses needs a permissive policy that lets everything through, and no restrictive policy
/// that does not (PostgreSQL manual, "CREATE POLICY").
struct FindHiddenRowsStatement: QueueStatement {
    let statement = Statement(
        "find_hidden_rows", [.textArray, .textArray],
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
        """)

    /// How `pg_policy.polcmd` abbreviates a command.
    private static let commands = ["SELECT": "r", "INSERT": "a", "UPDATE": "w", "DELETE": "d"]

    static func parameters(
        _ schema: QueueSchema, objects: [(object: String, privileges: [String])] = WorkerPrivileges.objects
    ) -> Parameters {
        let needs = objects.flatMap { need in
            need.privileges.compactMap { commands[$0].map { (object: need.object, command: $0) } }
        }
        var parameters = Parameters()
        parameters.addArray(needs.map { "\(schema.quoted).\($0.object)" })
        parameters.addArray(needs.map(\.command))
        return parameters
    }

    static func tables(in rows: ResultSet) -> [String] {
        let object = rows.column("object")
        return (0..<rows.rowCount).map { rows.string($0, object) }
    }
}
