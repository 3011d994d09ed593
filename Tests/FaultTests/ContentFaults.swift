import Foundation
import StockQueue
import StockQueueLocking
import StockQueuePostgres
import TestSupport
import Testing

extension Faults {
    /// What the database can answer, and what its other users can do: errors of every class at every statement, held and
    /// changed stock, canceled jobs, jobs that cannot be written.
    @Suite(.serialized) struct Content {
        /// Errors that belong to nobody's job: tried again, and counted against none.
        static let transient = ["40001", "40P01", "55P03", "57014", "57P01", "08006", "53300"]
        /// Errors that a job's own data can cause: the batch is halved.
        static let ofData = ["22003", "22P02", "23505", "23514"]

        /// Every class of error in place of every statement of the batch transaction, once each.
        @Test func everyErrorAtEveryStatement() async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 89, stores: 2)
                let pool = rig.start()
                let codes = Self.transient + Self.ofData
                var injected: Set<String> = []
                for (place, statement) in Self.statements.enumerated() {
                    // A selection has three classes at each statement, others at the next one.
                    for (index, code) in codes.enumerated() where Faults.isFull || (index + place) % 4 == 0 {
                        let injection = Injection(rig.proxy, statement, code)
                        for _ in 0..<60 where !injection.isDone {
                            try Self.provoke(statement, rig)
                            #expect(try rig.isWorkedOff(), "\(code) at \(statement)")
                        }
                        if injection.isDone { injected.insert("\(statement) \(code)") }
                        rig.proxy.passAll()
                    }
                }
                try pool.stop()
                let reached = Set(injected.map { $0.split(separator: " ")[0] })
                Faults.report(
                    "\(injected.count) errors injected at \(reached.count) statements: \(reached.sorted().joined(separator: ", "))"
                )
                #expect(reached.count == Self.statements.count)
                // No job paid for an error that was not its own, and each injected error struck once.
                #expect(try database.value("SELECT count(*) FROM stockq.results WHERE outcome = 'failed'") == "0")
                try rig.expectSound(order: .ofItems)
            }
        }

        private static let statements = [
            "begin", "lock_lane", "claim", "count_up_to", "count_groups", "claim_groups", "read_groups", "lock_items",
            "lock_cached_items", "lock_unlocked_items", "read_items", "read_up_to", "write_items", "write_results",
            "write_notifications", "defer_waiting", "promote_waiting", "commit",
        ]

        /// Makes jobs that need a statement.
        private static func provoke(_ statement: String, _ rig: Rig) throws {
            let other = try rig.database.connect()
            switch statement {
            case "claim_groups", "read_groups":
                // A line that is deferred is not claimed with the others, so the group is cut.
                try other.executeScript(
                    """
                    INSERT INTO stockq.jobs (store_id, item_id, quantity, group_id, run_at)
                    SELECT 'store-0', 'item-1', 1, 'cut-' || txid_current(), CASE n WHEN 2 THEN now() + interval '1 hour' END
                    FROM generate_series(1, 2) AS n
                    """)
            case "lock_unlocked_items", "read_items", "read_up_to":
                try other.executeScript(
                    statement == "read_up_to"
                        ? "BEGIN; SELECT FROM stockq.jobs WHERE false"
                        : "BEGIN; SELECT FROM stockq.items WHERE item_id = 'item-1' FOR UPDATE")
                try rig.enqueueRound(6)
                try rig.database.run(
                    "INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('store-0', 'item-1', 1)")
                if statement == "read_up_to" {
                    // Somebody holds a job in front of others.
                    try other.executeScript(
                        "SELECT FROM stockq.jobs WHERE run_at IS NULL ORDER BY job_id LIMIT 1 FOR UPDATE SKIP LOCKED")
                    try rig.enqueueRound(6)
                }
                // Longer than a batch waits, then free again.
                pause(milliseconds: 300)
                try other.executeScript("ROLLBACK")
            default: try rig.enqueueRound(6)
            }
        }

        /// Makes one statement of a worker fail, once.
        private final class Injection: Sendable {
            private let done = Mutex(false)

            init(_ proxy: Proxy, _ statement: String, _ code: String) {
                proxy.setRule { [self] message in
                    guard message.isOfWorker, message.isOf("B"), message.statement == statement else { return .pass }
                    return done.withLock { done in
                        if done { return .pass }
                        done = true
                        return .fail(sqlState: code)
                    }
                }
            }

            var isDone: Bool { done.withLock { $0 } }
        }

        // MARK: an operator

        /// An operator holds stock rows in the opposite order of the workers, changes attributes, deletes items that were never
        /// sold, and takes jobs out of the queue, all while it is worked.
        @Test func anOperatorAtWork() async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 97, stores: 4)
                let pool = rig.startDirect()
                let hand = try database.connect()
                var deadlocks = 0
                for round in 0..<(Faults.isFull ? 200 : 30) {
                    try rig.enqueueRound(20)
                    try hand.executeScript(
                        "INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('store-0', 'passing-\(round)', 5)"
                    )
                    do {
                        try hand.executeScript("BEGIN")
                        for item in ["item-6", "item-4", "item-2", "item-0"] {
                            try hand.executeScript(
                                "UPDATE stockq.items SET parent_id = 'p\(round)' WHERE item_id = '\(item)'")
                        }
                        try hand.executeScript("DELETE FROM stockq.items WHERE item_id = 'passing-\(round)'")
                        try hand.executeScript("COMMIT")
                    } catch let error as PostgresError where error.sqlState?.rawValue == "40P01" {
                        deadlocks += 1
                        try hand.executeScript("ROLLBACK")
                    }
                    try hand.executeScript(
                        """
                        WITH gone AS (
                            DELETE FROM stockq.jobs WHERE job_id IN (
                                SELECT job_id FROM stockq.jobs WHERE group_id IS NULL ORDER BY random() LIMIT 3 FOR UPDATE SKIP LOCKED
                            ) RETURNING job_id
                        )
                        INSERT INTO audit.canceled SELECT job_id FROM gone
                        """)
                }
                #expect(try rig.isWorkedOff())
                try pool.stop()
                Faults.report("an operator's deadlocks with workers: \(deadlocks)")
                // Deleted items are in the copy and not in the ledger; they had no jobs.
                try database.run("DELETE FROM audit.items WHERE item_id LIKE 'passing-%'")
                try rig.expectSound(order: .ofItems)
            }
        }

        /// What is decided about a row that somebody else is changing is decided when he is done, blockers too.
        @Test func decisionsWaitForWhoeverHoldsTheRow() async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 99, stores: 1)
                try database.run(
                    "INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('store-0', 'counted', 1)")
                let hand = try database.connect()
                try hand.executeScript("BEGIN; UPDATE stockq.items SET on_hand = 100 WHERE item_id = 'counted'")
                try database.run(
                    "INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('store-0', 'counted', -20)")
                let pool = rig.startDirect()
                #expect(
                    pool.events.wait { $0.batch.map { $0.finished + $0.skipped > 0 } ?? false })
                try hand.executeScript("COMMIT")
                #expect(try rig.isWorkedOff())
                try pool.stop()
                #expect(try database.value("SELECT outcome, on_hand_before FROM stockq.results") == "applied,100")
                try database.run("UPDATE audit.items SET on_hand = 100 WHERE item_id = 'counted'")
                try rig.expectSound(order: .ofItems)
            }
        }

        /// A statement takes longer than it may until its batch is small enough: the next batches are smaller, also after the
        /// client gave the connection up.
        @Test(arguments: [false, true]) func batchesThatTakeTooLongGetSmaller(byClient: Bool) async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 98, stores: 1)
                // A result takes 5 ms, so that 400 do not fit into the time there is.
                try database.run(
                    """
                    CREATE FUNCTION audit.slow() RETURNS trigger LANGUAGE plpgsql AS $$
                    BEGIN
                        PERFORM pg_sleep(0.005);
                        RETURN NEW;
                    END
                    $$;
                    CREATE TRIGGER slow BEFORE INSERT ON stockq.results FOR EACH ROW EXECUTE FUNCTION audit.slow();
                    INSERT INTO stockq.jobs (store_id, item_id, quantity)
                    SELECT 'store-0', 'item-' || n % 5, 1 FROM generate_series(1, 400) AS n
                    """)
                var settings = Rig.quick()
                if byClient { settings.callTimeout = .milliseconds(800) } else { settings.statementTimeout = .milliseconds(800) }
                let pool = rig.startDirect(settings)
                #expect(try rig.isWorkedOff())
                try pool.stop()
                #expect(try database.value("SELECT count(DISTINCT finished_at) > 1 FROM stockq.results") == "t")
                try database.run("DROP TRIGGER slow ON stockq.results")
                try rig.expectSound()
            }
        }

        /// A job of higher priority comes between the claim and what completes it: it joins the batch, and nothing behind it is
        /// overtaken.
        @Test func aJobThatComesWhileAClaimIsCompleted() async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 113, stores: 1)
                let add = "INSERT INTO stockq.jobs (store_id, item_id, quantity, priority) VALUES "
                try database.run(add + "('store-0', 'item-1', 1, 2), ('store-0', 'item-2', 1, 2)")
                let hasCome = Mutex(false)
                rig.proxy.setRule { message in
                    guard message.isOfWorker, message.isOf("B"), message.statement == "count_up_to" else {
                        return .pass
                    }
                    let isFirst = hasCome.withLock { hasCome in
                        defer { hasCome = true }
                        return !hasCome
                    }
                    if isFirst { try? database.run(add + "('store-0', 'item-1', 1, 1)") }
                    return .pass
                }
                let pool = rig.start()
                #expect(try rig.isWorkedOff())
                try pool.stop()
                #expect(
                    try database.rows(
                        "SELECT job_id, xmin = first_value(xmin) OVER (ORDER BY job_id) FROM stockq.results")
                        == ["1,t", "2,t", "3,t"])
                try rig.expectSound()
            }
        }

        /// One item is held for long: the others of its lane flow on meanwhile.
        @Test func aLongHold() async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 101, stores: 1)
                let pool = rig.startDirect()
                let hand = try database.connect()
                try hand.executeScript("BEGIN; SELECT FROM stockq.items WHERE item_id = 'item-3' FOR UPDATE")
                for round in 1...5 {
                    try database.run(
                        """
                        INSERT INTO stockq.jobs (store_id, item_id, quantity, reference)
                        SELECT 'store-0', 'item-' || CASE WHEN n % 10 = 0 THEN 3 ELSE n % 3 END, 1, 'round \(round)'
                        FROM generate_series(1, 100) AS n
                        """)
                    #expect(
                        try eventually(seconds: 5) {
                            try database.value("SELECT count(*) FROM stockq.results WHERE reference = 'round \(round)'")
                                == "90"
                        })
                }
                try hand.executeScript("ROLLBACK")
                #expect(try rig.isWorkedOff())
                try pool.stop()
                try rig.expectSound(order: .ofItems)
            }
        }

        // MARK: bad jobs

        /// One job among 500 is refused by the database: it alone is quarantined, within its attempts, and the rest is done
        /// within a second.
        @Test func oneBadJobDelaysNobody() async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 103, stores: 1)
                try database.run("ALTER TABLE stockq.results ADD CONSTRAINT no_bad CHECK (reference <> 'bad')")
                try database.run(
                    """
                    INSERT INTO stockq.jobs (store_id, item_id, quantity, reference, max_attempts)
                    SELECT 'store-0', 'item-' || n % 5, 1, CASE WHEN n = 250 THEN 'bad' ELSE 'good' END, 2
                    FROM generate_series(1, 500) AS n
                    """)
                let start = Stopwatch()
                let pool = rig.startDirect()
                #expect(
                    try eventually {
                        try database.value("SELECT count(*) FROM stockq.results WHERE reference = 'good'") == "499"
                    })
                let took = start.milliseconds
                Faults.report("499 jobs beside a bad one took \(took) ms")
                #expect(took < 1_000)
                // Its failure cannot be written as it is either, so the job is kept as text.
                #expect(
                    try eventually {
                        try database.value(
                            "SELECT count(*) FROM stockq.results WHERE outcome = 'failed' AND message LIKE '%bad%'")
                            == "1"
                    })
                try pool.stop()
                #expect(try database.value("SELECT attempts FROM stockq.results WHERE outcome = 'failed'") == "2")
                try database.run("UPDATE audit.jobs SET reference = NULL WHERE reference = 'bad'")
                try rig.expectSound(order: .none)
            }
        }

        /// No result of a job can be written in any form: it is set aside, again and again, and its lane goes on.
        @Test func aJobThatCannotEvenFailDoesNotStopItsLane() async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 107, stores: 1)
                try database.run("ALTER TABLE stockq.results ADD CONSTRAINT no_bad CHECK (item_id <> 'bad')")
                try database.run(
                    """
                    INSERT INTO stockq.jobs (store_id, item_id, quantity, max_attempts)
                    VALUES ('store-0', 'bad', 1, 1), ('store-0', 'item-1', 1, 1)
                    """)
                let pool = rig.startDirect()
                #expect(try eventually { try database.value("SELECT count(*) FROM stockq.results") == "1" })
                #expect(
                    try eventually {
                        try database.value("SELECT attempts, last_error IS NOT NULL FROM stockq.jobs") == "1,t"
                    })
                try rig.enqueueRound(20)
                #expect(
                    try eventually {
                        try database.value("SELECT count(*) FROM stockq.jobs WHERE waiting_since IS NULL") == "1"
                    })
                try database.run(
                    "ALTER TABLE stockq.results DROP CONSTRAINT no_bad; UPDATE stockq.jobs SET run_at = NULL WHERE item_id = 'bad'"
                )
                #expect(try rig.isWorkedOff())
                try pool.stop()
                try rig.expectSound(order: .none)
            }
        }

        // MARK: clocks

        /// The worker's clock is a day wrong, or its time zone changes to or from summer time: the database's clock rules.
        @Test(
            .enabled(if: Faults.clockLibrary != nil, "needs libfaketime, and no sanitizer, which it stops"),
            arguments: ["+1d", "-1d", "@2026-03-29 00:59:59", "@2026-10-25 00:59:59"])
        func wrongClock(_ clock: String) async throws {
            try await withDatabase { database in
                let rig = try Rig(database, seed: 109, stores: 2)
                try database.run("ALTER DATABASE \(database.name) SET timezone = 'Europe/Berlin'")
                var program = Program(database)
                program.environment["LD_PRELOAD"] = Faults.clockLibrary
                program.environment["FAKETIME"] = clock
                program.environment["FAKETIME_DONT_FAKE_MONOTONIC"] = "1"
                program.environment["TZ"] = "Europe/Berlin"
                // By a shell: the library loses the arguments of a process that is started with it at once.
                let running = try program.start(["-c", "exec \(Program.path) run"], executable: "/bin/sh")
                try rig.enqueueRound(30)
                try database.run(
                    """
                    INSERT INTO stockq.jobs (store_id, item_id, quantity, run_at, expires_at, reference) VALUES
                        ('store-0', 'item-1', 1, now() + interval '1 second', now() + interval '1 hour', 'soon'),
                        ('store-0', 'item-1', 1, now() + interval '12 hours', NULL, 'tomorrow'),
                        ('store-0', 'item-1', 1, NULL, now() + interval '12 hours', 'now')
                    """)
                #expect(
                    try eventually {
                        try database.value("SELECT count(*) FROM stockq.results WHERE reference = 'soon'") == "1"
                    })
                #expect(
                    try database.value(
                        "SELECT max(finished_at - scheduled_at) BETWEEN '0' AND interval '1.5 seconds' FROM stockq.results WHERE reference = 'soon'"
                    ) == "t")
                #expect(
                    try eventually {
                        try database.value("SELECT count(*) FROM stockq.jobs WHERE waiting_since IS NULL") == "1"
                    })
                running.send(SIGTERM)
                let ended = try running.wait()
                #expect(ended.code == 0, "\(ended.err)")
                #expect(
                    try database.value("SELECT reference FROM stockq.jobs WHERE waiting_since IS NULL") == "tomorrow")
                #expect(try database.value("SELECT outcome FROM stockq.results WHERE reference = 'now'") != "")
                try database.run("UPDATE stockq.jobs SET run_at = NULL WHERE reference = 'tomorrow'")
                try rig.expectSound(order: .none)
            }
        }
    }

    /// `make tsan` or `make asan`.
    static let isSanitized = ProcessInfo.processInfo.environment["STOCKQ_SANITIZED"] != nil

    /// What fakes a process's clock: Debian's package faketime. A program built with a sanitizer hangs with it.
    static let clockLibrary: String? =
        isSanitized
        ? nil
        : ["x86_64", "aarch64"].map { "/usr/lib/\($0)-linux-gnu/faketime/libfaketimeMT.so.1" }
            .first { FileManager.default.fileExists(atPath: $0) }
}
