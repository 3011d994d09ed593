import Foundation
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// What a producer cannot reach in any way, and what the other roles cannot either.
@Suite("Producer access") struct ProducerAccessTests {
    /// Two producers with a store each; calls `body` with a connection of the first one, and what names them.
    private static func withProducers(
        _ database: TestDatabase, scopes: String = "{update_catalog,read_catalog}", _ body: (Connection) throws -> Void
    ) throws {
        let (mine, other) = ("shop_of_\(database.name)", "rival_of_\(database.name)")
        try database.run(
            """
            CREATE ROLE \(mine) LOGIN; CREATE ROLE \(other) LOGIN;
            GRANT stockq_producer TO \(mine), \(other);
            SELECT stockq.grant_store('\(mine)', 'mine', '\(scopes)');
            SELECT stockq.grant_store('\(other)', 'theirs', '{update_catalog,read_catalog}');
            INSERT INTO stockq.items (store_id, item_id, on_hand, parent_id, low_stock_threshold) VALUES
                ('mine', 'a', 10, NULL, NULL), ('mine', 'a-red', 10, 'a', NULL), ('theirs', 'a', 10, NULL, 9);
            """)
        let rival = try database.connect(as: other)
        try rival.executeScript(
            """
            SELECT stockq.enqueue('theirs', 'a', -1, idempotency_key => 'k', reference => 'secret', group_id => 'g');
            """)
        try database.drain()
        try rival.executeScript("SELECT stockq.enqueue('theirs', 'a', -1, idempotency_key => 'queued')")
        let connection = try database.connect(as: mine)
        try body(connection)
        try database.run("DROP OWNED BY \(mine), \(other); DROP ROLE \(mine), \(other)")
    }

    @Test("a producer cannot see another store") func anotherStoreIsHidden() async throws {
        try await withDatabase { database in
            try Self.withProducers(database) { mine in
                for table in [
                    "jobs", "results", "items", "notifications", "idempotency_keys", "keys_in_use", "job_states",
                    "store_limits",
                ] {
                    #expect(
                        try database.rows("SELECT 1 FROM stockq.\(table) WHERE store_id = 'theirs'", mine) == [],
                        "\(table)")
                }
                let theirs = try database.value("SELECT job_id FROM stockq.results WHERE store_id = 'theirs'")
                for call in [
                    "find_job(\(theirs))", "find_key('theirs', 'k')", "find_key('theirs', 'queued')",
                    "find_group('theirs', 'g')",
                    "find_reference('theirs', 'secret')", "item_history('theirs', 'a')",
                    "stock_at('theirs', 'a', 'main', now())",
                    "wait_for_result(\(theirs), 1)",
                ] {
                    #expect(try database.rows("SELECT 1 FROM stockq.\(call)", mine) == [], "\(call)")
                }
                // The rival's keys are unknown here: neither an error nor a wait reveals them.
                #expect(
                    try database.rows(
                        "SELECT is_duplicate FROM stockq.enqueue('mine', 'a', -1, idempotency_key => 'k')", mine) == [
                            "f"
                        ])
                // And the rival's own store looks the same whether a key is used there or not.
                for key in ["k", "queued", "never used"] {
                    #expect(
                        mine.failure(of: "SELECT stockq.enqueue('theirs', 'a', -1, idempotency_key => '\(key)')")
                            == "42501 shop_of_\(database.name) lacks the scope enqueue for store 'theirs'")
                }
                try database.run("SELECT stockq.set_store_limit('theirs', 1)")
                #expect(mine.failure(of: "SELECT stockq.enqueue('theirs', 'a', -1)").hasPrefix("42501"))
                let hidden = #expect(throws: PostgresError.self) {
                    try DryRun.answers(
                        to: [JobRequest(store: "theirs", item: "a", quantity: -1)], connection: mine, schema: .standard)
                }
                #expect(hidden?.sqlState?.rawValue == "42501")
            }
        }
    }

    @Test("a producer cannot change another store") func anotherStoreIsProtected() async throws {
        try await withDatabase { database in
            try Self.withProducers(database) { mine in
                for sql in [
                    "INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('theirs', 'a', -1)",
                    "SELECT stockq.enqueue_lines('theirs', '[{\"item_id\": \"a\", \"quantity\": -1}]')",
                    "SELECT stockq.enqueue_arrays('theirs', '{a}', '{-1}')",
                    "SELECT stockq.transfer('theirs', 'a', 1, 'main', 'cellar')",
                    "INSERT INTO stockq.jobs (store_id, item_id, quantity, attempts) VALUES ('mine', 'a', -1, 5)",
                    "UPDATE stockq.jobs SET quantity = 1", "DELETE FROM stockq.jobs", "TRUNCATE stockq.jobs",
                    "UPDATE stockq.results SET quantity = 1", "DELETE FROM stockq.results",
                    "INSERT INTO stockq.idempotency_keys SELECT * FROM stockq.idempotency_keys",
                    "UPDATE stockq.items SET on_hand = 1", "SELECT * FROM stockq.grants",
                    "SELECT stockq.retry_jobs('{1}')",
                    "SELECT stockq.grant_store(current_user, 'theirs', '{update_catalog}')",
                    "SELECT * FROM stockq.results_000000000000000", "SELECT stockq.drop_expired_results('0')",
                    "CREATE TABLE stockq.mine (id int)", "COPY stockq.grants TO STDOUT",
                ] {
                    #expect(mine.failure(of: sql).hasPrefix("42501"), "\(sql)")
                }
                #expect(
                    mine.failure(of: "COPY stockq.jobs (store_id, item_id, quantity) FROM STDIN")
                        == "0A000 COPY FROM not supported with row-level security")
            }
        }
    }

    @Test("objects in the caller's search path do not replace those of the queue")
    func ownObjectsDoNotDeceive() async throws {
        try await withDatabase { database in
            try Self.withProducers(database) { mine in
                try mine.executeScript(
                    """
                    CREATE TEMP TABLE grants AS SELECT current_user::text AS producer, 'theirs' AS store_id, '{update_catalog,read_catalog}'::text[] AS scopes;
                    CREATE TEMP TABLE my_grants AS SELECT store_id, scopes FROM grants;
                    CREATE TEMP TABLE my_caller_token AS SELECT current_user::text AS producer, ''::bytea AS caller_token;
                    CREATE TEMP TABLE caller_token_secret AS SELECT ''::bytea AS secret;
                    CREATE TEMP TABLE my_variations (store_id text, item_id text, location_id text);
                    CREATE TEMP TABLE jobs (store_id text);
                    CREATE TEMP TABLE items (store_id text);
                    CREATE FUNCTION pg_temp.has_grant(text, text DEFAULT NULL) RETURNS boolean LANGUAGE sql RETURN true;
                    CREATE FUNCTION pg_temp.may_enqueue(text, text, text) RETURNS boolean LANGUAGE sql RETURN true;
                    SET search_path = pg_temp, stockq
                    """)
                for call in ["enqueue('theirs', 'a', -1)", "enqueue_arrays('theirs', '{a}', '{-1}')"] {
                    #expect(
                        mine.failure(of: "SELECT stockq.\(call)")
                            == "42501 shop_of_\(database.name) lacks the scope enqueue for store 'theirs'")
                }
                #expect(
                    mine.failure(of: "INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('theirs', 'a', -1)")
                        .hasPrefix("42501"))
                #expect(try database.rows("SELECT 1 FROM stockq.results WHERE store_id = 'theirs'", mine) == [])
                // The caller's own store is still reachable.
                #expect(try database.rows("SELECT is_duplicate FROM stockq.enqueue('mine', 'a', -1)", mine) == ["f"])
                #expect(
                    try database.rows("SELECT is_duplicate FROM stockq.enqueue_arrays('mine', '{a}', '{-1}')", mine)
                        == ["f"])
            }
        }
    }

    /// Lists are inserted with the owner's rights, and only in the name of the caller, whichever token is presented and
    /// whichever function presents it.
    @Test("a caller token proves only the role it was issued for") func callerTokens() async throws {
        try await withDatabase { database in
            try Self.withProducers(database) { mine in
                let rivalName = "rival_of_\(database.name)"
                let rival = try database.connect(as: rivalName)
                let lines =
                    "jsonb_populate_record(NULL::stockq.lines, '{\"store_id\": \"theirs\", \"item_ids\": [\"a\"], \"quantities\": [-1]}')"
                func error(token: String) -> String {
                    mine.failure(of: "SELECT stockq.insert_lines_for('\(rivalName)', \(token), \(lines))")
                }
                let isNotTheirs = "42501 the caller token is not the one of \(rivalName) in this transaction"
                #expect(error(token: "(SELECT caller_token FROM stockq.my_caller_token)") == isNotTheirs)
                #expect(error(token: "NULL") == isNotTheirs)
                #expect(
                    mine.failure(of: "SELECT stockq.insert_lines_for(NULL, NULL, \(lines))")
                        == "42501 the caller token names no producer")
                #expect(error(token: "sha256('')") == isNotTheirs)
                // The rival's own token of an earlier transaction.
                let stolen = try database.rows("SELECT encode(caller_token, 'hex') FROM stockq.my_caller_token", rival)[
                    0]
                #expect(error(token: "'\\x\(stolen)'") == isNotTheirs)
                // The rival calls a function that has its owner's rights, and gives it nothing by that.
                try database.run("CREATE SCHEMA trap_of_\(database.name) AUTHORIZATION shop_of_\(database.name)")
                try mine.executeScript(
                    """
                    CREATE FUNCTION trap_of_\(database.name).helpful(store_id text) RETURNS SETOF bigint LANGUAGE sql SECURITY DEFINER
                        AS $$ SELECT job_id FROM stockq.enqueue_arrays(store_id, '{a}', '{-1}') $$;
                    GRANT USAGE ON SCHEMA trap_of_\(database.name) TO PUBLIC
                    """)
                #expect(
                    rival.failure(of: "SELECT trap_of_\(database.name).helpful('theirs')")
                        == "42501 shop_of_\(database.name) lacks the scope enqueue for store 'theirs'")
                #expect(
                    try database.rows("SELECT helpful > 0 FROM trap_of_\(database.name).helpful('mine')", rival) == [
                        "t"
                    ])
                #expect(
                    try database.rows("SELECT store_id FROM stockq.jobs WHERE idempotency_key IS NULL") == ["mine"])
            }
        }
    }

    /// A role that calls another role's function can have plans printed.
    @Test("plans do not show the caller token") func plansDoNotShowTheToken() async throws {
        try await withDatabase { database in
            try Self.withProducers(database) { mine in
                try database.run("CREATE SCHEMA help_of_\(database.name) AUTHORIZATION rival_of_\(database.name)")
                let rival = try database.connect(as: "rival_of_\(database.name)")
                try rival.executeScript(
                    """
                    CREATE FUNCTION help_of_\(database.name).sell() RETURNS SETOF bigint LANGUAGE sql SECURITY DEFINER
                        AS $$ SELECT job_id FROM stockq.enqueue_arrays('theirs', '{a}', '{-1}') $$;
                    GRANT USAGE ON SCHEMA help_of_\(database.name) TO PUBLIC
                    """)
                try mine.executeScript(
                    "SET debug_print_plan = on; SELECT help_of_\(database.name).sell(); SET debug_print_plan = off")
                let log = try String(contentsOfFile: database.logFile, encoding: .utf8)
                // 25 is text, and 17 bytea (pg_type.dat).
                #expect(log.contains(":consttype 25"))
                #expect(!log.contains(":consttype 17"))
            }
        }
    }

    @Test("no role can read the secret, and without it an insert is an error") func secret() async throws {
        try await withDatabase { database in
            try Self.withProducers(database) { mine in
                try database.run("GRANT pg_read_all_data TO shop_of_\(database.name)")
                #expect(try database.rows("SELECT 1 FROM stockq.caller_token_secret", mine) == [])
                _ = try database.rows("SELECT stockq.enqueue_arrays('mine', '{a}', '{-1}')", mine)
                try database.run("DELETE FROM stockq.caller_token_secret")
                let jobs = try database.value("SELECT count(*) FROM stockq.jobs")
                #expect(
                    mine.failure(of: "SELECT stockq.enqueue_arrays('mine', '{a}', '{-1}')")
                        == "XX000 0 of 1 lines were inserted")
                #expect(
                    mine.failure(
                        of:
                            "SELECT stockq.insert_lines_for('shop_of_\(database.name)', NULL, ROW('mine', '{a}', '{-1}', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::stockq.lines)"
                    ).hasPrefix("42501"))
                #expect(try database.value("SELECT count(*) FROM stockq.jobs") == jobs)
            }
        }
    }

    @Test("restrictive policies that the owner of the tables adds hold for lists too")
    func restrictivePolicies() async throws {
        try await withDatabase { database in
            try Self.withProducers(database) { mine in
                let name = "shop_of_\(database.name)"
                try database.run(
                    "CREATE POLICY no_set ON stockq.jobs AS RESTRICTIVE FOR INSERT TO \(name) WITH CHECK (action <> 'set')"
                )
                _ = try database.rows("SELECT stockq.enqueue_arrays('mine', '{a}', '{5}')", mine)
                #expect(
                    mine.failure(of: "SELECT stockq.enqueue_arrays('mine', '{a}', '{5}', '{set}')")
                        == "42501 new row violates row-level security policy \"no_set\" for table \"jobs\"")
                try database.run("DROP POLICY no_set ON stockq.jobs; ALTER ROLE \(name) BYPASSRLS")
                // A role without row security needs no token.
                _ = try database.rows("SELECT stockq.enqueue_arrays('mine', '{a}', '{5}', '{set}')", mine)
            }
        }
    }

    @Test(
        "a producer that is a reader or a worker too enqueues only within its grants",
        arguments: ["stockq_reader", "stockq_worker"])
    func producerWithAnotherRole(_ role: String) async throws {
        try await withDatabase { database in
            try Self.withProducers(database) { mine in
                try database.run("GRANT \(role) TO shop_of_\(database.name)")
                #expect(
                    try database.rows("SELECT DISTINCT store_id FROM stockq.items ORDER BY 1", mine)
                        == ["mine", "theirs"])
                for sql in [
                    "INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('theirs', 'a', -1)",
                    "SELECT stockq.enqueue('theirs', 'a', -1)", "SELECT stockq.enqueue_arrays('theirs', '{a}', '{-1}')",
                ] {
                    #expect(
                        mine.failure(of: sql)
                            == "42501 shop_of_\(database.name) lacks the scope enqueue for store 'theirs'")
                }
                _ = try database.rows("SELECT stockq.enqueue('mine', 'a', -1)", mine)
                _ = try database.rows("SELECT stockq.enqueue_arrays('mine', '{a}', '{-1}')", mine)
            }
        }
    }

    @Test("a job for a variation needs both scopes") func variations() async throws {
        try await withDatabase { database in
            try Self.withProducers(database, scopes: "{update_catalog}") { mine in
                let lacks = "42501 shop_of_\(database.name) lacks the scope read for store 'mine'"
                _ = try database.rows("SELECT stockq.enqueue('mine', 'a', -1)", mine)
                _ = try database.rows("SELECT stockq.enqueue('mine', 'not there', -1)", mine)
                #expect(mine.failure(of: "SELECT stockq.enqueue('mine', 'a-red', -1)") == lacks)
                _ = try database.rows("SELECT stockq.enqueue_arrays('mine', '{a,a}', '{-1,-1}')", mine)
                #expect(
                    mine.failure(of: "SELECT stockq.enqueue_arrays('mine', '{a,a-red}', '{-1,-1}')") == lacks)
                #expect(
                    mine.failure(
                        of: "INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('mine', 'a-red', -1)")
                        == lacks)
                #expect(try database.rows("SELECT 1 FROM stockq.items", mine) == [])
                try database.run("SELECT stockq.grant_store('shop_of_\(database.name)', 'mine', '{read_catalog}')")
                _ = try database.rows("SELECT stockq.enqueue('mine', 'a-red', -1)", mine)
                #expect(try database.rows("SELECT item_id FROM stockq.items ORDER BY 1", mine) == ["a", "a-red"])
                try database.run("SELECT stockq.revoke_store('shop_of_\(database.name)', 'mine', '{update_catalog}')")
                #expect(
                    mine.failure(of: "SELECT stockq.enqueue('mine', 'a', -1)")
                        == "42501 shop_of_\(database.name) lacks the scope enqueue for store 'mine'")
                try database.run("SELECT stockq.revoke_store('shop_of_\(database.name)', 'mine')")
                #expect(try database.rows("SELECT 1 FROM stockq.results", mine) == [])
            }
        }
    }

    @Test("grants have the names of the scopes on the command line too, and an unknown one is an error in words")
    func namesOfScopes() async throws {
        try await withDatabase { database in
            try Self.withProducers(database, scopes: "{enqueue}") { mine in
                let producer = "shop_of_\(database.name)"
                let scopes = "SELECT scopes FROM stockq.grants WHERE producer = '\(producer)'"
                #expect(try database.value("\(scopes) AND scopes = '{update_catalog}'") == "{update_catalog}")
                try database.run("SELECT stockq.grant_store('\(producer)', 'mine', '{read,read_catalog}')")
                try database.run("SELECT stockq.revoke_store('\(producer)', 'mine', '{enqueue}')")
                #expect(try database.value(scopes) == "{read_catalog}")
                for function in ["grant_store", "revoke_store"] {
                    let error = #expect(throws: PostgresError.self) {
                        try database.run("SELECT stockq.\(function)('\(producer)', 'mine', '{sell}')")
                    }
                    #expect(error?.message == "there is no scope 'sell' of producers")
                    #expect(error?.hint == "The scopes are enqueue, read, manage_items.")
                }
                let missing = #expect(throws: PostgresError.self) {
                    try mine.executeScript("SELECT stockq.enqueue_arrays('mine', '{a}', '{1}')")
                }
                #expect(
                    missing?.hint
                        == "An administrator grants it with: stockq grant \(producer) --store mine --scope enqueue")
            }
        }
    }

    @Test("a worker drains every store, and cannot change results") func worker() async throws {
        try await withDatabase { database in
            let name = "hand_of_\(database.name)"
            try database.run(
                """
                CREATE ROLE \(name) LOGIN; GRANT stockq_worker TO \(name);
                INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold) VALUES ('s', 'a', 100, 50);
                INSERT INTO stockq.jobs (store_id, item_id, quantity, group_id, idempotency_key, on_insufficient)
                SELECT 's', 'a', -1, CASE WHEN i % 3 = 0 THEN 'g' || i % 9 END, CASE WHEN i % 2 = 0 THEN 'k' || i % 40 END, 'allow'
                FROM generate_series(1, 200) AS i
                """)
            try database.drain(as: name)
            #expect(try database.value("SELECT count(*) FROM stockq.results") == "200")
            let worker = try database.connect(as: name)
            for sql in [
                "UPDATE stockq.results SET quantity = 1", "DELETE FROM stockq.results", "TRUNCATE stockq.results",
                "UPDATE stockq.idempotency_keys SET job_id = 1", "DELETE FROM stockq.idempotency_keys",
                "DELETE FROM stockq.notifications",
                "SELECT stockq.drop_expired_results('0')", "DELETE FROM stockq.items",
                "UPDATE stockq.jobs SET quantity = 5", "UPDATE stockq.items SET store_id = 't'",
                "UPDATE stockq.lanes SET paused_at = NULL",
                "INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'a', 1)",
                "DROP TABLE stockq.results_000000000000000", "ALTER TABLE stockq.jobs DISABLE ROW LEVEL SECURITY",
            ] {
                #expect(worker.failure(of: sql).hasPrefix("42501"), "\(sql)")
            }
            try database.run("DROP OWNED BY \(name); DROP ROLE \(name)")
        }
    }

    @Test("ids may have quotes, semicolons and percent signs, and texts line breaks and control characters too")
    func awkwardNames() async throws {
        try await withDatabase { database in
            let name = "a'b\"; DROP TABLE stockq.jobs; -- %s %n\\x {}ü"
            let literal = quoteLiteral(name)
            let text = "\(name)\n\t\u{1}\u{202E}"
            try database.run("INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES (\(literal), \(literal), 5)")
            let connection = try database.connect()
            let lines = try JSONSerialization.data(withJSONObject: [["item_id": name, "quantity": -1, "reason": text]])
            try connection.executeScript(
                """
                SELECT stockq.enqueue(\(literal), \(literal), -1, idempotency_key => \(literal), reference => \(quoteLiteral(text)), group_id => \(literal));
                SELECT stockq.enqueue_lines(\(literal), \(quoteLiteral(String(decoding: lines, as: UTF8.self))))
                """)
            try database.drain()
            let rows = try connection.execute(
                Statement(
                    "awkward", [],
                    "SELECT store_id, item_id, outcome::text, coalesce(reference, reason) FROM stockq.results"))
            for row in 0..<2 {
                #expect(rows.string(row, 0) == name && rows.string(row, 1) == name && rows.string(row, 3) == text)
                #expect(rows.string(row, 2) == "applied")
            }
        }
    }

    @Test("readers and administrators see every store without a grant; store limits hold for all")
    func readers() async throws {
        try await withDatabase { database in
            let name = "chief_of_\(database.name)"
            try database.run(
                """
                CREATE ROLE \(name) LOGIN; GRANT stockq_admin TO \(name);
                INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 10)
                """)
            let chief = try database.connect(as: name)
            let answers = try DryRun.answers(
                to: [JobRequest(store: "s", item: "a", quantity: -2)], connection: chief, schema: .standard)
            #expect(answers.map(\.summary) == ["applied"])
            try chief.executeScript(
                "SELECT stockq.set_store_limit('s', 2); SELECT stockq.enqueue_arrays('s', '{a,a}', '{1,1}')")
            #expect(chief.failure(of: "SELECT stockq.enqueue('s', 'a', 1)").hasPrefix("53400"))
            try database.run("DROP OWNED BY \(name); DROP ROLE \(name)")
        }
    }

    @Test("a producer loads every column with COPY, and needs read_catalog for a dry run")
    func everyColumn() async throws {
        try await withDatabase { database in
            try Self.withProducers(database, scopes: "{update_catalog}") { mine in
                let producer = Producer(connection: mine, schema: .standard)
                var job = JobRequest(store: "mine", item: "a", quantity: 1)
                job.idempotencyKey = "bulk"
                job.reason = "tab\tand \\ and\nbreak"
                let first = try producer.enqueueBulk([job, JobRequest(store: "mine", item: "a", quantity: 1)])
                let again = try producer.enqueueBulk([job], skipsDuplicates: true)
                #expect(first == 2 && again == 0)
                let hidden = #expect(throws: PostgresError.self) {
                    try producer.dryRun([JobRequest(store: "mine", item: "a", quantity: 1)])
                }
                #expect(hidden?.sqlState?.rawValue == "42501")
            }
        }
    }
}
