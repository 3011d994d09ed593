-- The roles of a queue, and what each may do. `stockq migrate` runs it after the other files if its user may create
-- roles. Otherwise a role that may, and that owns the schema's tables, runs it:
--
--     psql -v schema=stockq -f roles.sql
--
-- Safe to run again. Roles belong to the whole cluster, so the schema's name leads theirs:
--
--     stockq_producer  enqueues for the stores granted to it, reads the results of its jobs, and may manage their items
--     stockq_worker    what `stockq run` needs; it cannot change or delete what is finished
--     stockq_gateway   what `stockq serve` needs: functions that check the token of each call
--     stockq_reader    reads everything
--     stockq_admin     reads everything, enqueues for every store, and runs the administrative functions
--
-- They cannot log in. Grant one to a role that can: GRANT stockq_producer TO shop; and then: stockq grant shop --store
-- berlin

SET search_path = :"schema", pg_temp;
SET client_min_messages = warning;

DO $$
DECLARE
    role text;
    kind text;
    object text;
    command text;
BEGIN
    FOREACH kind IN ARRAY ARRAY['producer', 'worker', 'gateway', 'reader', 'admin'] LOOP
        role := current_schema() || '_' || kind;
        IF octet_length(role) > 63 THEN
            RAISE 'the schema name is too long: the role % would have more than 63 bytes', role;
        END IF;
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- another session created it at the same time, perhaps in another database
            END;
        END IF;
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), role);
        -- Revokes what an earlier version granted and this one does not.
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM %I', current_schema(), role);
        EXECUTE format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA %I FROM %I', current_schema(), role);
        EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA %I FROM %I', current_schema(), role);
        -- Row security shows producers their own stores; the other roles see every row that their privileges reach. A
        -- role that may not enqueue gets no policy for it either: as a producer too it is bound to the granted stores.
        -- A policy's name says all that it has, so an existing one is right, and keeping it takes no lock.
        IF kind NOT IN ('producer', 'gateway') THEN
            FOREACH object IN ARRAY ARRAY[
                'items', 'jobs', 'results', 'notifications', 'change_log', 'deliveries', 'idempotency_keys',
                'store_limits', 'imports', 'import_parts', 'reconciliations'
            ] LOOP
                FOREACH command IN ARRAY CASE
                    WHEN kind = 'reader' THEN ARRAY['SELECT']
                    WHEN kind = 'worker' AND object = 'jobs' THEN ARRAY['SELECT', 'UPDATE', 'DELETE']
                    ELSE ARRAY['ALL']
                END LOOP
                    IF NOT EXISTS (
                        SELECT FROM pg_policy
                        WHERE polrelid = object::regclass AND polname = kind || '_' || lower(command)
                    ) THEN
                        EXECUTE format(
                            'CREATE POLICY %I ON %I FOR %s TO %I USING (true)',
                            kind || '_' || lower(command), object, command, role);
                    END IF;
                END LOOP;
            END LOOP;
        END IF;
    END LOOP;
END
$$;

-- A GRANT takes no role name from a parameter, so each one is a template: %1$I is the role, %2$I the schema.
DO $$
DECLARE
    kind text;
    template text;
    -- What reads the feeds.
    feeds CONSTANT text := 'feed_horizon, read_cursor, feed_stores, check_page, notifications_after,
        last_notifications, notifications_cursor, changes_after, changes_cursor';
    feed_sequences CONSTANT text := 'feed_base, notifications_notification_id_seq, change_log_log_id_seq';
    -- What the enqueue functions do with the caller's own rights. The columns that only the program sets are not among
    -- these.
    enqueue text[] := ARRAY[
        'GRANT INSERT (' || request_columns() || ', run_at, expires_at, idempotency_key) ON jobs TO %1$I',
        'GRANT SELECT ON jobs, results, items, notifications, change_log, idempotency_keys, reconciliations, my_grants,
            my_caller_token, my_variations, my_ready_jobs, keys_in_use, job_states, paused_lanes, my_paused_stores,
            store_limits, reasons, imports, import_parts TO %1$I',
        'GRANT SELECT ON SEQUENCE jobs_job_id_seq, workers_awake, ' || feed_sequences || ' TO %1$I',
        'GRANT EXECUTE ON FUNCTION ' || feeds || ' TO %1$I',
        'GRANT EXECUTE ON FUNCTION has_grant, may_enqueue, raise_missing_scope, scope_name, shell_word,
            can_read_all_stores, has_restrictive_policies, inserts_as_caller, check_store_limit, check_group_limit,
            priority_behind, strand_of, job_defaults, key_in_use, is_same_request, known_keys, raise_key_conflict,
            check_arrays, fill_up, check_line_keys, known_lines, check_list_length, read_lines, insert_lines,
            insert_lines_for, insert_new_lines, hidden_characters, hidden_character, are_visible, are_valid_options,
            are_valid_details, check_text, check_time, check_options, check_line, check_lines, check_counted_at,
            native_time_limit, allowed_reasons, check_reasons, changes_since_count, enqueue, enqueue_arrays,
            enqueue_lines, transfer, cancel_jobs, cancel_jobs_for, create_item, create_item_for, set_item,
            set_item_for, wait_for_result, wait_for_results, wait_for_group, wait_for_key, find_job, find_group,
            find_key, find_reference, item_history, stock, stock_at, import_state, begin_import_for,
            resume_import_for, save_import_for TO %1$I'
    ];
    read text[] := ARRAY[
        'GRANT SELECT ON ALL TABLES IN SCHEMA %2$I TO %1$I',
        'GRANT SELECT ON ALL SEQUENCES IN SCHEMA %2$I TO %1$I',
        'GRANT EXECUTE ON FUNCTION ' || feeds || ' TO %1$I',
        'GRANT EXECUTE ON FUNCTION partition_bounds, has_grant, can_read_all_stores, job_defaults, key_in_use,
            allowed_reasons, import_state, read_lines, wait_for_result, wait_for_results, wait_for_group,
            wait_for_key, find_job, find_group, find_key, find_reference, item_history, stock, stock_at,
            changes_since_count, resumes, subscription_names TO %1$I'
    ];
    work text[] := ARRAY[
        'GRANT SELECT, DELETE ON jobs TO %1$I',
        'GRANT UPDATE (run_at, scheduled_at, paused_at, expires_at, waiting_since, waiting_quantity, attempts,
            last_error) ON jobs TO %1$I',
        'GRANT SELECT ON items, retired_items, reconciliations, lanes TO %1$I',
        'GRANT UPDATE (on_hand, allocated, version, last_job_id, notified_level, opening_on_hand, opening_allocated,
            updated_at) ON items TO %1$I',
        -- A worker only locks a lane, which needs UPDATE of some column.
        'GRANT UPDATE (epoch) ON lanes TO %1$I',
        'GRANT SELECT, INSERT ON results, notifications, idempotency_keys TO %1$I',
        'GRANT SELECT, INSERT ON change_log TO %1$I',
        'GRANT SELECT, INSERT, UPDATE ON ledger_violations TO %1$I',
        -- What verify reads.
        'GRANT SELECT ON deliveries, threshold_changes, alert_policies, snoozes, announced_stores, announcements,
            announced_items, delivery_progress TO %1$I',
        'GRANT SELECT ON SEQUENCE ' || feed_sequences || ' TO %1$I',
        'GRANT EXECUTE ON FUNCTION can_read_all_stores, resumes, changes_since_count, strand_of, partition_bounds, '
            || feeds || ' TO %1$I',
        'GRANT SELECT, INSERT, DELETE ON too_large_groups TO %1$I',
        'GRANT SELECT ON paused_stores, paused_lanes, my_paused_stores, ready_heads, migrations TO %1$I',
        'GRANT SELECT, USAGE ON SEQUENCE jobs_job_id_seq TO %1$I',
        'GRANT SELECT, UPDATE ON SEQUENCE workers_awake TO %1$I',
        'GRANT EXECUTE ON FUNCTION immediate_accesses TO %1$I',
        'GRANT EXECUTE ON FUNCTION add_results_partitions, begin_results_partition, rebase_feeds, fan_out_deliveries,
            claim_deliveries, finish_deliveries, digest_items, drop_old_deliveries TO %1$I'
    ];
    -- No table of the queue: each function checks the tokens that it is given.
    serve text[] := ARRAY[
        'GRANT SELECT ON migrations TO %1$I',
        'GRANT EXECUTE ON FUNCTION gateway_access, gateway_enqueue, gateway_results, gateway_cancel, gateway_levels,
            gateway_history, gateway_issue_tokens, gateway_change_item, gateway_submit, gateway_jobs,
            gateway_cancel_queued, gateway_items, gateway_create_item, gateway_set_item, gateway_movements,
            gateway_stock_at, gateway_notifications, gateway_dry_run, gateway_alert_policy, gateway_set_alert_policy,
            gateway_apply_threshold, gateway_snooze, gateway_set_snooze, gateway_subscriptions,
            gateway_add_subscription, gateway_set_subscription, gateway_rotate_secret, gateway_remove_subscription,
            gateway_test_subscription, gateway_deliveries, gateway_retry_deliveries TO %1$I'
    ];
    administer text[] := ARRAY[
        'GRANT INSERT (store_id, item_id, location_id, parent_id, on_hand, allocated, low_stock_threshold, tracked,
            notified_level, opening_on_hand, opening_allocated) ON items TO %1$I',
        'GRANT UPDATE (parent_id, low_stock_threshold, threshold_is_default, tracked, notified_level, updated_at)
            ON items TO %1$I',
        'GRANT EXECUTE ON FUNCTION lock_retention, find_kept_partition, prepare_expired_results,
            fold_expired_results, drop_results_partition, drop_expired_results, drop_expired_keys,
            drop_old_notifications, drop_old_operations, drop_old_imports, grant_store, revoke_store, retry_jobs,
            pause, resume, reprioritize, retire_item, reconcile_item, move_item, finish_item_move, set_store_limit,
            set_time_limit, set_reasons, create_gateway_token, revoke_gateway_token, list_gateway_tokens,
            create_gateway_client, revoke_gateway_client, list_gateway_clients, add_subscription,
            set_subscription_enabled, rotate_subscription_secret, remove_subscription, test_subscription,
            list_subscriptions, subscription_names, retry_deliveries, replay_deliveries, drop_old_deliveries,
            set_alert_policy, remove_alert_policy, apply_default_threshold, snooze_item TO %1$I'
    ];
BEGIN
    FOREACH kind IN ARRAY ARRAY['producer', 'worker', 'gateway', 'reader', 'admin'] LOOP
        FOREACH template IN ARRAY CASE kind
            WHEN 'producer' THEN enqueue || ARRAY['GRANT SELECT ON migrations TO %1$I']
            WHEN 'worker' THEN work
            WHEN 'gateway' THEN serve
            WHEN 'reader' THEN read
            WHEN 'admin' THEN read || enqueue || administer
        END LOOP
            EXECUTE format(template, current_schema() || '_' || kind, current_schema());
        END LOOP;
    END LOOP;
END
$$;

RESET client_min_messages;
RESET search_path;
