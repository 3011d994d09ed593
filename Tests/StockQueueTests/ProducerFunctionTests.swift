import Foundation
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// What a producer does with its jobs after it has enqueued them: cancel, wait, look at the stock.
@Suite("Functions for producers") struct ProducerFunctionTests {
    /// A producer of the store `mine`, which may only read in `seen`, and knows nothing of `theirs`.
    private static func withProducer(
        _ database: TestDatabase, _ body: (Connection) throws -> Void
    ) throws {
        let producer = "shop_of_\(database.name)"
        try database.run(
            """
            CREATE ROLE \(producer) LOGIN; GRANT stockq_producer TO \(producer);
            SELECT stockq.grant_store('\(producer)', 'mine', '{update_catalog,read_catalog}'),
                stockq.grant_store('\(producer)', 'seen', '{read_catalog}');
            INSERT INTO stockq.items (store_id, item_id, location_id, on_hand, allocated, low_stock_threshold, tracked) VALUES
                ('mine', 'mug', 'main', 10, 3, 5, true), ('mine', 'mug', 'cellar', 4, 0, NULL, true),
                ('mine', 'voucher', 'main', 0, 0, NULL, false), ('theirs', 'mug', 'main', 10, 0, NULL, true);
            INSERT INTO stockq.jobs (store_id, item_id, quantity, group_id, reference) VALUES
                ('mine', 'mug', -1, 'order', NULL), ('mine', 'mug', -2, 'order', NULL), ('mine', 'mug', -1, NULL, 'r'),
                ('seen', 'mug', -1, NULL, NULL), ('theirs', 'mug', -1, NULL, 'r')
            """)
        try body(database.connect(as: producer))
        try database.run("DROP OWNED BY \(producer); DROP ROLE \(producer)")
    }

    @Test("a producer cancels jobs of its own stores, groups whole, and those of others are unknown to it")
    func cancel() async throws {
        try await withDatabase { database in
            try Self.withProducer(database) { (mine: Connection) throws in
                #expect(
                    try database.rows("SELECT stockq.cancel_jobs('{1}', reason => 'by mistake')", mine) == ["1", "2"])
                #expect(try database.rows("SELECT stockq.cancel_jobs('{5,99}')", mine) == [])
                #expect(
                    try database.rows("SELECT stockq.cancel_jobs(store_id => 'theirs', reference => 'r')", mine) == [])
                #expect(
                    mine.failure(of: "SELECT stockq.cancel_jobs('{3,4}')")
                        == "42501 shop_of_\(database.name) lacks the scope enqueue for store 'seen'")
                #expect(
                    try database.rows("SELECT stockq.cancel_jobs(store_id => 'mine', reference => 'r')", mine) == ["3"])
                #expect(
                    try database.rows(
                        "SELECT job_id, outcome, message FROM stockq.results ORDER BY 1") == [
                            "1,canceled,by mistake", "2,canceled,by mistake", "3,canceled,",
                        ])
                #expect(
                    try database.value("SELECT who FROM stockq.operations WHERE verb = 'cancel' ORDER BY 1 LIMIT 1")
                        == "shop_of_\(database.name)")
                #expect(try database.rows("SELECT job_id FROM stockq.jobs ORDER BY 1") == ["4", "5"])
            }
        }
    }

    @Test("a producer cancels and waits by idempotency key") func keys() async throws {
        try await withDatabase { database in
            try Self.withProducer(database) { (mine: Connection) throws in
                let job = try database.rows(
                    "SELECT job_id FROM stockq.enqueue('mine', 'mug', -1, idempotency_key => 'k')", mine)[0]
                let cancel = "SELECT stockq.cancel_jobs(store_id => 'mine', idempotency_key => 'k')"
                #expect(try database.rows(cancel, mine) == [job])
                #expect(try database.rows(cancel, mine) == [])
                #expect(
                    mine.failure(of: "SELECT stockq.cancel_jobs(idempotency_key => 'k')")
                        == "22023 name the job of an idempotency key by its store and the key")
                let both = "SELECT stockq.cancel_jobs(store_id => 'mine', group_id => 'g', idempotency_key => 'k')"
                #expect(
                    mine.failure(of: both)
                        == "22023 name jobs by job_ids, group_id, reference or idempotency_key")
                #expect(
                    try database.failure(of: "SELECT stockq.reprioritize(1)")
                        == "22023 name jobs by job_ids, group_id or reference")
                try mine.executeScript("SELECT stockq.enqueue('mine', 'mug', -1, idempotency_key => 'k')")
                #expect(try database.rows("SELECT outcome FROM stockq.wait_for_key('mine', 'k', 10)", mine) == [])
                try database.drain()
                #expect(
                    try database.rows("SELECT outcome FROM stockq.wait_for_key('mine', 'k')", mine) == ["applied"])
                #expect(try database.rows("SELECT outcome FROM stockq.wait_for_key('mine', 'none', 10)", mine) == [])
                #expect(mine.failure(of: "SELECT stockq.wait_for_key('mine', 'k', 60001)").hasPrefix("22023"))
            }
        }
    }

    @Test("a producer with the scope manage_items creates items and sets their attributes, and never their stock")
    func managesItems() async throws {
        try await withDatabase { database in
            try Self.withProducer(database) { (mine: Connection) throws in
                let producer = "shop_of_\(database.name)"
                let calls = ["create_item('mine', 'cup', on_hand => 5)", "set_item('mine', 'mug', tracked => true)"]
                for call in calls {
                    #expect(
                        mine.failure(of: "SELECT stockq.\(call)")
                            == "42501 \(producer) lacks the scope manage_items for store 'mine'")
                }
                try database.run("SELECT stockq.grant_store('\(producer)', 'mine', '{manage_items}')")
                #expect(try database.rows("SELECT stockq.\(calls[0])", mine) == ["t"])
                #expect(
                    try database.rows("SELECT stockq.create_item('mine', 'cup', on_hand => 50)", mine) == ["f"])
                // The stock of an item that it may not read shows nowhere, and it makes no variation.
                try database.run("SELECT stockq.revoke_store('\(producer)', 'mine', '{read}')")
                for (call, error) in [
                    ("set_item('mine', 'cup', low_stock_threshold => -1)", "23514 low_stock_threshold must be from 0"),
                    ("create_item('mine', 'hat', on_hand => -1)", "23514 on_hand must be from 0 to"),
                    ("create_item('mine', '')", "23514 item_id is empty"),
                    (
                        "set_item('mine', 'cup', parent_id => 'p')",
                        "42501 \(producer) lacks the scope read for store 'mine'"
                    ),
                    ("set_item('mine', 'cup', clear => '{parent_id}')", "42501 \(producer) lacks the scope read for"),
                ] {
                    let failure = mine.failure(of: "SELECT stockq.\(call)")
                    #expect(failure.hasPrefix(error), "\(failure)")
                }
                try database.run("SELECT stockq.grant_store('\(producer)', 'mine', '{read}')")
                #expect(
                    try database.rows(
                        "SELECT stockq.set_item('mine', 'cup', low_stock_threshold => 7, parent_id => 'p')", mine)
                        == ["t"])
                #expect(
                    try database.rows("SELECT stockq.set_item('mine', 'none', low_stock_threshold => 7)", mine)
                        == ["f"])
                #expect(
                    try database.rows(
                        """
                        SELECT on_hand, low_stock_threshold, parent_id, version, notified_level
                        FROM stockq.items WHERE item_id = 'cup'
                        """) == ["5,7,p,0,low"])
                let forged = { (call: String) in "SELECT stockq.\(call) FROM stockq.my_caller_token" }
                for sql in [
                    "SELECT stockq.create_item('theirs', 'cup')", "SELECT stockq.create_item('seen', 'cup')",
                    "SELECT stockq.set_item('theirs', 'mug', tracked => false)",
                    "INSERT INTO stockq.items (store_id, item_id) VALUES ('mine', 'hat')",
                    "UPDATE stockq.items SET on_hand = 99", "UPDATE stockq.items SET low_stock_threshold = 1",
                    "DELETE FROM stockq.items", "SELECT stockq.retire_item('mine', 'cup')",
                    forged("set_item_for('stockq', caller_token, 'theirs', 'mug', NULL, 1, NULL, NULL, '{}')"),
                    forged("create_item_for('stockq', caller_token, 'theirs', 'x', NULL, 1, NULL, NULL, 1)"),
                ] {
                    #expect(mine.failure(of: sql).hasPrefix("42501"), "\(sql)")
                }
                let verbs = "SELECT verb FROM stockq.operations WHERE verb LIKE 'items%' ORDER BY operation_id"
                #expect(
                    try database.rows(verbs)
                        == ["items create", "items set"])
                try database.drain()
                try expectSoundLedger(database)
            }
        }
    }

    @Test("a producer names at most 10,000 ids in a call, and a call that cancels nothing is not recorded")
    func cancelLimits() async throws {
        try await withDatabase { database in
            try Self.withProducer(database) { (mine: Connection) throws in
                #expect(
                    mine.failure(of: "SELECT stockq.cancel_jobs(ARRAY(SELECT generate_series(1::bigint, 10001)))")
                        == "54000 10001 ids of jobs in one call, at most 10000 are allowed")
                #expect(try database.rows("SELECT stockq.cancel_jobs('{5,99}')", mine) == [])
                #expect(try database.rows("SELECT stockq.cancel_jobs(NULL, 'mine', 'none')", mine) == [])
                let recorded = "SELECT verb, jobs FROM stockq.operations WHERE verb = 'cancel'"
                #expect(try database.rows(recorded) == [])
                #expect(
                    try database.rows(
                        "SELECT stockq.cancel_jobs(ARRAY(SELECT generate_series(3::bigint, 10002, 2)))", mine) == ["3"])
                #expect(try database.rows(recorded) == ["cancel,1"])
            }
        }
    }

    @Test("another role's name and a token of another transaction cancel nothing") func forgedCaller() async throws {
        try await withDatabase { database in
            try Self.withProducer(database) { (mine: Connection) throws in
                let arguments = "'{5}', NULL, NULL, NULL, NULL"
                for call in [
                    "stockq.cancel_jobs_for('stockq', caller_token, \(arguments))",
                    "stockq.cancel_jobs_for('stockq', NULL, \(arguments))",
                    "stockq.cancel_jobs_for(NULL, caller_token, \(arguments))",
                ] {
                    #expect(
                        mine.failure(of: "SELECT \(call) FROM stockq.my_caller_token").hasPrefix("42501"), "\(call)")
                }
                let token = try database.rows("SELECT caller_token FROM stockq.my_caller_token", mine)[0]
                let producer = "shop_of_\(database.name)"
                #expect(
                    mine.failure(
                        of: "SELECT stockq.cancel_jobs_for('\(producer)', '\(token)', '{3}', NULL, NULL, NULL, NULL)"
                    )
                    .hasPrefix("42501"))
                #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "5")
            }
        }
    }

    @Test("waiting for several jobs and for a group returns their results when all have one, or those that there are")
    func wait() async throws {
        try await withDatabase { database in
            try Self.withProducer(database) { (mine: Connection) throws in
                #expect(try database.rows("SELECT * FROM stockq.wait_for_results('{1,2,3}', 1)", mine) == [])
                try database.drain()
                #expect(
                    try database.rows("SELECT job_id, outcome FROM stockq.wait_for_results('{3,1,2}')", mine) == [
                        "1,applied", "2,applied", "3,applied",
                    ])
                // Job 5 is another store's, so nothing is seen of it.
                #expect(try database.rows("SELECT job_id FROM stockq.wait_for_results('{1,5}', 10)", mine) == ["1"])
                #expect(
                    try database.rows("SELECT job_id FROM stockq.wait_for_group('mine', 'order')", mine) == ["1", "2"])
                #expect(try database.rows("SELECT * FROM stockq.wait_for_group('mine', 'none', 10)", mine) == [])
                try mine.executeScript("BEGIN")
                let own = try database.rows("SELECT job_id FROM stockq.enqueue('mine', 'mug', -1)", mine)[0]
                #expect(
                    mine.failure(of: "SELECT * FROM stockq.wait_for_results('{1,\(own)}')")
                        == "55000 job \(own) was enqueued by this transaction, and workers see it only after the commit"
                )
                try mine.executeScript("ROLLBACK")
                #expect(
                    mine.failure(
                        of: "SELECT * FROM stockq.wait_for_results(ARRAY(SELECT generate_series(1::bigint, 10001)))"
                    ).hasPrefix("54000 10001 jobs in one call"))
            }
        }
    }

    @Test("waiting for a group begins before its transaction commits") func groupToCome() async throws {
        try await withDatabase { database in
            try Self.withProducer(database) { (mine: Connection) throws in
                let answer = Shared<[String]>([])
                let waiting = Background {
                    answer.value = try database.rows(
                        "SELECT quantity, outcome FROM stockq.wait_for_group('mine', 'late', 60000)")
                }
                #expect(
                    try eventually {
                        try database.value(
                            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
                        ) == "1"
                    })
                let lines = "[{\"item_id\": \"mug\", \"quantity\": -1}, {\"item_id\": \"mug\", \"quantity\": -2}]"
                try mine.executeScript("BEGIN; SELECT stockq.enqueue_lines('mine', '\(lines)', group_id => 'late')")
                #expect(
                    mine.failure(of: "SELECT * FROM stockq.wait_for_group('mine', 'late')").contains(
                        "was enqueued by this transaction"))
                try mine.executeScript("ROLLBACK")
                try mine.executeScript("SELECT stockq.enqueue_lines('mine', '\(lines)', group_id => 'late')")
                try database.drain()
                try waiting.wait()
                #expect(answer.value == ["-1,applied", "-2,applied"])
                for options in ["60001", "-1"] {
                    #expect(
                        mine.failure(of: "SELECT * FROM stockq.wait_for_group('mine', 'none', \(options))").hasPrefix(
                            "22023 timeout_ms must be 0 to 60000"))
                }
                try mine.executeScript("BEGIN ISOLATION LEVEL REPEATABLE READ")
                #expect(mine.failure(of: "SELECT * FROM stockq.wait_for_group('mine', 'none')").hasPrefix("55000"))
                try mine.executeScript("ROLLBACK")
            }
        }
    }

    @Test("the stock of items is shown by location, with what is queued if that is asked for") func stock() async throws
    {
        try await withDatabase { database in
            try Self.withProducer(database) { (mine: Connection) throws in
                let columns =
                    "item_id, location_id, on_hand, allocated, available, tracked, low_stock_threshold, queued"
                #expect(
                    try database.rows(
                        "SELECT \(columns) FROM stockq.stock('mine', '{voucher,mug,none}', with_queued => true)", mine)
                        == ["mug,cellar,4,0,4,t,,0", "mug,main,10,3,7,t,5,-4", "voucher,main,0,0,0,f,,0"])
                #expect(
                    try database.rows("SELECT item_id, queued FROM stockq.stock('mine', '{voucher}')", mine) == [
                        "voucher,"
                    ])
                #expect(try database.rows("SELECT * FROM stockq.stock('theirs', '{mug}')", mine) == [])
            }
        }
    }
}
