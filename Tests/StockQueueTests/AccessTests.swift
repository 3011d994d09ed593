import Foundation
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// Who may do what: every role with every object and every verb.
@Suite("Access") struct AccessTests {
    private static let roles = [
        "stockq_producer", "stockq_worker", "stockq_gateway", "stockq_reader", "stockq_admin", "outsider",
    ]

    /// S SELECT, I INSERT, U UPDATE, D DELETE, T TRUNCATE, R REFERENCES, G TRIGGER; small letters for some columns
    /// only. The columns are producer, worker, gateway, reader, admin and a role that is none of them.
    private static let tables = """
        alert_messages      -    -    -    S    S    -
        alert_policies      -    S    -    S    S    -
        announced_items     -    S    -    S    S    -
        announced_stores    -    S    -    S    S    -
        announcements       -    S    -    S    S    -
        caller_token_secret -    -    -    S    S    -
        change_log          S    SI   -    S    S    -
        deliveries          -    S    -    S    S    -
        delivery_progress   -    S    -    S    S    -
        gateway_clients     -    -    -    S    S    -
        gateway_tokens      -    -    -    S    S    -
        grants              -    -    -    S    S    -
        idempotency_keys    S    SI   -    S    S    -
        import_parts        S    -    -    S    S    -
        imports             S    -    -    S    S    -
        items               S    Su   -    S    Siu  -
        job_states          S    -    -    S    S    -
        jobs                Si   SuD  -    S    Si   -
        keys_in_use         S    -    -    S    S    -
        lanes               -    Su   -    S    S    -
        ledger_violations   -    SIU  -    S    S    -
        maintenance_locks   -    -    -    S    S    -
        migrations          S    S    S    S    S    -
        my_caller_token     S    -    -    S    S    -
        my_grants           S    -    -    S    S    -
        my_paused_stores    S    S    -    S    S    -
        my_ready_jobs       S    -    -    S    S    -
        my_variations       S    -    -    S    S    -
        next_openings       -    -    -    S    S    -
        notifications       S    SI   -    S    S    -
        operations          -    -    -    S    S    -
        paused_lanes        S    S    -    S    S    -
        paused_stores       -    S    -    S    S    -
        prepared_partitions -    -    -    S    S    -
        ready_heads         -    S    -    S    S    -
        reasons             S    -    -    S    S    -
        reconciliations     S    S    -    S    S    -
        results             S    SI   -    S    S    -
        retired_items       -    S    -    S    S    -
        retries             -    -    -    S    S    -
        snoozes             -    S    -    S    S    -
        store_limits        S    -    -    S    S    -
        subscriptions       -    -    -    S    S    -
        threshold_changes   -    S    -    S    S    -
        too_large_groups    -    SID  -    S    S    -
        """

    @Test("privileges on tables and views") func tablesAndViews() async throws {
        try await withDatabase { database in
            try Self.withOutsider(database) {
                let found = try database.rows(
                    """
                    SELECT concat_ws(' ', relname, string_agg(held, ' ' ORDER BY place))
                    FROM pg_class
                    CROSS JOIN LATERAL (
                        SELECT place, coalesce(nullif(string_agg(
                            CASE
                                WHEN has_table_privilege(role, pg_class.oid, privilege) THEN letter
                                WHEN may_be_of_columns AND has_any_column_privilege(role, pg_class.oid, privilege) THEN lower(letter)
                                ELSE ''
                            END, '' ORDER BY number), ''), '-') AS held
                        FROM unnest(\(Self.roleArray(database))) WITH ORDINALITY AS r (role, place)
                        CROSS JOIN (VALUES (1, 'SELECT', 'S', true), (2, 'INSERT', 'I', true), (3, 'UPDATE', 'U', true), (4, 'DELETE', 'D', false),
                            (5, 'TRUNCATE', 'T', false), (6, 'REFERENCES', 'R', true), (7, 'TRIGGER', 'G', false)
                        ) AS p (number, privilege, letter, may_be_of_columns)
                        GROUP BY place
                    ) AS of_role
                    WHERE relnamespace = 'stockq'::regnamespace AND relkind IN ('r', 'p', 'v') AND NOT relispartition
                    GROUP BY relname
                    ORDER BY relname COLLATE "C"
                    """)
                #expect(found == Self.lines(Self.tables))
            }
        }
    }

    /// The columns that the small letters mean, in the order of their names.
    private static let columns: [String: Set<String>] = [
        "stockq_producer": [insertOfJobs],
        "stockq_worker": [
            "UPDATE items allocated last_job_id notified_level on_hand opening_allocated opening_on_hand updated_at version",
            "UPDATE jobs attempts expires_at last_error paused_at run_at scheduled_at waiting_quantity waiting_since",
            "UPDATE lanes epoch",
        ],
        "stockq_gateway": [],
        "stockq_reader": [],
        "stockq_admin": [
            insertOfJobs,
            "INSERT items allocated item_id location_id low_stock_threshold notified_level on_hand opening_allocated "
                + "opening_on_hand parent_id store_id tracked",
            "UPDATE items low_stock_threshold notified_level parent_id threshold_is_default tracked updated_at",
        ],
        "outsider": [],
    ]
    private static let insertOfJobs = """
        INSERT jobs action actor counted_at expected_available expires_at group_id idempotency_key item_id location_id \
        max_attempts metadata notify occurred_at on_insufficient ordering_key priority quantity reason reference run_at \
        store_id
        """

    @Test("privileges on columns") func columnsOfTables() async throws {
        try await withDatabase { database in
            try Self.withOutsider(database) {
                for role in Self.roles {
                    let name = role == "outsider" ? Self.outsider(database) : role
                    let found = try database.rows(
                        """
                        SELECT concat_ws(' ', privilege, relname, string_agg(attname, ' ' ORDER BY attname))
                        FROM pg_class
                        JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
                        CROSS JOIN unnest('{INSERT,UPDATE}'::text[]) AS privilege
                        WHERE relnamespace = 'stockq'::regnamespace AND relname IN ('jobs', 'items', 'lanes')
                            AND NOT has_table_privilege('\(name)', pg_class.oid, privilege)
                            AND has_column_privilege('\(name)', pg_class.oid, attnum, privilege)
                        GROUP BY privilege, relname
                        """)
                    #expect(Set(found) == Self.columns[role], "\(role)")
                }
            }
        }
    }

    /// Only the roles that read everything have privileges on a partition itself.
    @Test("privileges on partitions and sequences") func partitionsAndSequences() async throws {
        try await withDatabase { database in
            try Self.withOutsider(database) {
                let partitions = try database.rows(
                    """
                    SELECT DISTINCT concat_ws(' ', role, privilege) FROM pg_class
                    CROSS JOIN unnest(\(Self.roleArray(database))) AS role
                    CROSS JOIN unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE}'::text[]) AS privilege
                    WHERE relnamespace = 'stockq'::regnamespace AND relispartition AND relkind = 'r'
                        AND has_table_privilege(role, pg_class.oid, privilege)
                    ORDER BY 1
                    """)
                #expect(partitions == ["stockq_admin SELECT", "stockq_reader SELECT"])
                let sequences = try database.rows(
                    """
                    SELECT concat_ws(' ', relname, role, string_agg(privilege, ' ' ORDER BY privilege)) FROM pg_class
                    CROSS JOIN unnest(\(Self.roleArray(database))) AS role
                    CROSS JOIN unnest('{SELECT,UPDATE,USAGE}'::text[]) AS privilege
                    WHERE relnamespace = 'stockq'::regnamespace AND relkind = 'S'
                        AND has_sequence_privilege(role, pg_class.oid, privilege)
                        AND role NOT IN ('stockq_reader', 'stockq_admin')
                    GROUP BY relname, role ORDER BY 1
                    """)
                #expect(
                    sequences == [
                        "change_log_log_id_seq stockq_producer SELECT", "change_log_log_id_seq stockq_worker SELECT",
                        "feed_base stockq_producer SELECT",
                        "feed_base stockq_worker SELECT", "jobs_job_id_seq stockq_producer SELECT",
                        "jobs_job_id_seq stockq_worker SELECT USAGE",
                        "notifications_notification_id_seq stockq_producer SELECT",
                        "notifications_notification_id_seq stockq_worker SELECT",
                        "workers_awake stockq_producer SELECT", "workers_awake stockq_worker SELECT UPDATE",
                    ])
            }
        }
    }

    private static let functions: [String: Set<String>] = [
        "stockq_producer": [
            "has_grant", "may_enqueue", "raise_missing_scope", "scope_name", "shell_word", "can_read_all_stores",
            "has_restrictive_policies",
            "inserts_as_caller", "insert_lines", "insert_lines_for",
            "check_store_limit", "check_group_limit", "priority_behind", "strand_of", "job_defaults", "key_in_use",
            "is_same_request", "known_keys",
            "raise_key_conflict",
            "hidden_characters", "hidden_character", "are_visible", "are_valid_options", "are_valid_details",
            "check_text", "check_time", "check_options", "check_line", "check_lines", "check_counted_at",
            "native_time_limit", "allowed_reasons", "check_reasons", "changes_since_count",
            "check_arrays", "fill_up", "check_line_keys", "known_lines", "check_list_length", "insert_new_lines",
            "read_lines",
            "enqueue",
            "enqueue_arrays", "enqueue_lines", "transfer", "cancel_jobs", "cancel_jobs_for", "create_item",
            "create_item_for", "set_item", "set_item_for", "wait_for_result",
            "wait_for_results", "wait_for_group", "wait_for_key", "find_job", "find_group", "find_key",
            "find_reference",
            "item_history", "stock", "stock_at", "import_state",
            "begin_import_for", "resume_import_for", "save_import_for",
            "feed_horizon", "read_cursor", "feed_stores", "check_page", "notifications_after", "last_notifications",
            "notifications_cursor", "changes_after", "changes_cursor",
        ],
        "stockq_worker": [
            "add_results_partitions", "begin_results_partition", "rebase_feeds", "fan_out_deliveries",
            "claim_deliveries", "finish_deliveries",
            "digest_items", "drop_old_deliveries", "can_read_all_stores", "resumes", "changes_since_count", "strand_of",
            "partition_bounds", "feed_horizon", "read_cursor", "feed_stores", "immediate_accesses",
            "check_page", "notifications_after", "last_notifications", "notifications_cursor", "changes_after",
            "changes_cursor",
        ],
        "stockq_gateway": [
            "gateway_access", "gateway_enqueue", "gateway_results", "gateway_cancel", "gateway_levels",
            "gateway_history", "gateway_issue_tokens", "gateway_change_item", "gateway_submit", "gateway_jobs",
            "gateway_cancel_queued", "gateway_items", "gateway_create_item", "gateway_set_item", "gateway_movements",
            "gateway_stock_at", "gateway_notifications", "gateway_dry_run", "gateway_alert_policy",
            "gateway_set_alert_policy", "gateway_apply_threshold", "gateway_snooze", "gateway_set_snooze",
            "gateway_subscriptions", "gateway_add_subscription", "gateway_set_subscription", "gateway_rotate_secret",
            "gateway_remove_subscription", "gateway_test_subscription", "gateway_deliveries",
            "gateway_retry_deliveries",
        ],
        "stockq_reader": [
            "partition_bounds", "resumes", "has_grant", "can_read_all_stores", "read_lines", "job_defaults",
            "key_in_use",
            "wait_for_result", "wait_for_results", "wait_for_group", "wait_for_key", "find_job", "find_group",
            "find_key",
            "find_reference", "item_history", "stock", "stock_at", "changes_since_count", "allowed_reasons",
            "import_state", "feed_horizon", "read_cursor", "feed_stores", "check_page", "notifications_after",
            "last_notifications",
            "notifications_cursor", "changes_after", "changes_cursor", "subscription_names",
        ],
        "outsider": [],
    ]
    private static let adminAlone: Set = [
        "lock_retention", "find_kept_partition", "prepare_expired_results", "fold_expired_results",
        "drop_results_partition", "drop_expired_results", "drop_expired_keys", "drop_old_notifications",
        "drop_old_operations", "drop_old_imports", "grant_store", "revoke_store",
        "retry_jobs", "pause", "resume",
        "reprioritize", "retire_item", "reconcile_item", "move_item", "finish_item_move", "set_store_limit",
        "set_time_limit", "set_reasons",
        "create_gateway_token", "revoke_gateway_token", "list_gateway_tokens", "create_gateway_client",
        "revoke_gateway_client", "list_gateway_clients", "add_subscription", "set_subscription_enabled",
        "rotate_subscription_secret", "remove_subscription", "test_subscription", "list_subscriptions",
        "retry_deliveries", "replay_deliveries", "drop_old_deliveries", "set_alert_policy",
        "remove_alert_policy", "apply_default_threshold", "snooze_item",
    ]

    @Test("privileges on functions and types, pinned search paths, and owners") func functionsAndTypes() async throws {
        try await withDatabase { database in
            try Self.withOutsider(database) {
                for role in Self.roles {
                    let name = role == "outsider" ? Self.outsider(database) : role
                    let found = try database.rows(
                        """
                        SELECT DISTINCT proname FROM pg_proc
                        WHERE pronamespace = 'stockq'::regnamespace AND has_function_privilege('\(name)', oid, 'EXECUTE')
                        """)
                    let expected =
                        Self.functions[role]
                        ?? Self.functions["stockq_producer"]!.union(Self.functions["stockq_reader"]!)
                        .union(Self.adminAlone)
                    #expect(Set(found) == expected, "\(role)")
                }
                let types = try database.rows(
                    """
                    SELECT typname FROM pg_type
                    WHERE typnamespace = 'stockq'::regnamespace AND typtype = 'e'
                        AND has_type_privilege('\(Self.outsider(database))', oid, 'USAGE')
                    """)
                #expect(types == [])
                // A function that runs with its owner's rights pins its search path, the caller's temporary objects
                // last.
                let unpinned = try database.rows(
                    """
                    SELECT proname FROM pg_proc
                    WHERE pronamespace = 'stockq'::regnamespace AND prosecdef
                        AND NOT coalesce('search_path=stockq, pg_temp' = ANY (proconfig), false)
                    """)
                #expect(unpinned == [])
                // No runtime role owns anything.
                let owned = try database.rows(
                    "SELECT relname FROM pg_class JOIN pg_roles ON pg_roles.oid = relowner WHERE starts_with(rolname, 'stockq_')"
                )
                #expect(owned == [])
            }
        }
    }

    /// The roles' script grants to a worker what the start-up check asks for. Some privileges are more: `Migrator.check`,
    /// which runs before, reads `migrations`, and commands read the others.
    @Test("the start-up check asks for what the worker's role is granted") func startUpCheck() async throws {
        try await withDatabase { database in
            let granted = try database.rows(
                """
                SELECT concat_ws(' ', privilege, relname, attname)
                FROM pg_class
                LEFT JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped AND relkind <> 'S'
                CROSS JOIN unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) AS privilege
                WHERE relnamespace = 'stockq'::regnamespace AND relkind IN ('r', 'p', 'v') AND NOT relispartition
                    AND NOT has_table_privilege('stockq_worker', pg_class.oid, privilege)
                    AND privilege <> 'DELETE' AND has_column_privilege('stockq_worker', pg_class.oid, attnum, privilege)
                UNION ALL
                SELECT concat_ws(' ', privilege, relname)
                FROM pg_class
                CROSS JOIN unnest('{SELECT,INSERT,UPDATE,DELETE,USAGE}'::text[]) AS privilege
                WHERE relnamespace = 'stockq'::regnamespace AND NOT relispartition
                    AND (relkind IN ('r', 'p', 'v') AND CASE WHEN privilege <> 'USAGE'
                            THEN has_table_privilege('stockq_worker', pg_class.oid, privilege) END
                        OR relkind = 'S' AND privilege IN ('SELECT', 'UPDATE', 'USAGE')
                            AND has_sequence_privilege('stockq_worker', pg_class.oid, privilege))
                """)
            let needed = WorkerPrivileges.all.map { need in
                [need.privilege, need.object, need.column].compactMap { $0 }.joined(separator: " ")
            }
            #expect(
                Set(granted)
                    == Set(
                        needed + [
                            "SELECT migrations", "SELECT notifications", "SELECT retired_items", "SELECT change_log",
                            "SELECT deliveries", "SELECT threshold_changes", "SELECT alert_policies",
                            "SELECT snoozes", "SELECT announced_stores", "SELECT announcements",
                            "SELECT announced_items", "SELECT delivery_progress", "SELECT reconciliations",
                            "SELECT ready_heads", "SELECT paused_lanes", "SELECT my_paused_stores",
                            "SELECT change_log_log_id_seq",
                            "SELECT notifications_notification_id_seq",
                        ]))
        }
    }

    private static func outsider(_ database: TestDatabase) -> String { "outsider_of_\(database.name)" }

    private static func withOutsider(_ database: TestDatabase, _ body: () throws -> Void) throws {
        try database.run("CREATE ROLE \(outsider(database))")
        try body()
        try database.run("DROP ROLE \(outsider(database))")
    }

    private static func roleArray(_ database: TestDatabase) -> String {
        let names = roles.map { $0 == "outsider" ? outsider(database) : $0 }
        return "ARRAY[\(names.map(quoteLiteral).joined(separator: ", "))]"
    }

    private static func lines(_ table: String) -> [String] {
        table.split(separator: "\n").map { $0.split(separator: " ").joined(separator: " ") }
    }
}
