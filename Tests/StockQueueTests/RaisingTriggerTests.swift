import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// Triggers of the user's that raise errors: for one job, or for all of them.
@Suite("Triggers that raise errors") struct RaisingTriggerTests {
    /// SQLSTATEs that are neither data errors nor conditions of the server.
    private static let states = ["P0001", "XX000", "42P01", "42703", "0A000", "54000", "ZZ999"]

    /// A trigger on the results that raises an error for each row that meets the condition.
    private static func trap(_ state: String, when condition: String) -> String {
        """
        CREATE FUNCTION stockq.trap() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF \(condition) THEN
                RAISE EXCEPTION 'trapped' USING ERRCODE = '\(state)';
            END IF;
            RETURN NEW;
        END
        $$;
        CREATE TRIGGER trap BEFORE INSERT ON stockq.results FOR EACH ROW EXECUTE FUNCTION stockq.trap();
        """
    }

    private static func jobs(_ count: Int, bad: Set<Int>) -> [TestJob] {
        (1...count).map { .adjust(bad.contains($0) ? "bad" : "a", -1, maxAttempts: 1) }
    }

    @Test("an error that a trigger raises for one job belongs to that job, whatever its SQLSTATE", arguments: states)
    func oneJob(_ state: String) async throws {
        try await withDatabase { database in
            try database.addItem("a", 1_000)
            try database.addItem("bad", 1_000)
            try database.run(Self.trap(state, when: "NEW.item_id = 'bad' AND NEW.outcome <> 'failed'"))
            try database.enqueue(Self.jobs(200, bad: [77]))
            let events = try database.drain()
            #expect(
                try database.rows(
                    "SELECT job_id, sqlstate, attempts, message LIKE 'trapped%' FROM stockq.results WHERE outcome = 'failed'"
                )
                    == ["77,\(state),1,t"])
            #expect(try database.value("SELECT on_hand FROM stockq.items WHERE item_id = 'a'") == "801")
            #expect(events.compactMap(\.failedAttempt).map(\.jobID) == [77])
            // In the order of the lane.
            let versions = try database.versionsByJob().filter { $0.key != 77 }.sorted { $0.key < $1.key }
            #expect(versions.map(\.value) == (1...199).map { Int64($0) })
            try expectSoundLedger(database)
        }
    }

    @Test(
        "the job is found wherever it is in its lane, and beside others like it",
        arguments: [[1], [40], [1, 2, 3], [1, 20, 40], Array(2...9), [39, 40]])
    func positions(_ bad: [Int]) async throws {
        try await withDatabase { database in
            try database.addItem("a", 1_000)
            try database.addItem("bad", 1_000)
            try database.run(Self.trap("P0001", when: "NEW.item_id = 'bad' AND NEW.outcome <> 'failed'"))
            try database.enqueue(Self.jobs(40, bad: Set(bad)))
            try database.drain()
            #expect(
                try database.results().filter { $0.outcome == .failed }.map(\.job) == bad.map(Int64.init))
            #expect(try database.results().filter { $0.outcome == .applied }.count == 40 - bad.count)
            #expect(try Set(database.attemptsByJob().values) == [1])
        }
    }

    @Test("the jobs of other items do not wait for those of an item that all fail", arguments: ["P0001", "22000"])
    func allOfOneItem(_ state: String) async throws {
        try await withDatabase { database in
            try database.addItem("a", 10_000)
            try database.addItem("bad", 10_000)
            try database.run(Self.trap(state, when: "NEW.item_id = 'bad' AND NEW.outcome <> 'failed'"))
            try database.enqueue(Self.jobs(2_000, bad: Set((1...500).map { $0 * 4 })))
            let events = try database.drain()
            let lastApplied = try #require(events.lastIndex { ($0.batch?.outcomes[.applied] ?? 0) > 0 })
            let failures = events.compactMap(\.failedAttempt).count
            let failuresBefore = events[..<lastApplied].compactMap(\.failedAttempt).count
            #expect(failures == 500 && failuresBefore <= 30, "\(failuresBefore)")
            try expectSoundLedger(database)
        }
    }

    @Test("jobs of one item are never overtaken by each other while their lane looks for the error's owner")
    func oneItem() async throws {
        try await withDatabase { database in
            try database.addItem("bad", 1_000)
            try database.addItem("a", 1_000)
            try database.run(
                Self.trap("P0001", when: "NEW.item_id = 'bad' AND NEW.job_id = 1 AND NEW.outcome <> 'failed'"))
            try database.enqueue(
                (1...30).map { .adjust($0 % 3 == 0 ? "a" : "bad", -1, maxAttempts: 1) })
            try database.drain()
            #expect(try database.results().filter { $0.outcome == .failed }.map(\.job) == [1])
            let versions = try database.rows(
                "SELECT version FROM stockq.results WHERE item_id = 'bad' AND outcome = 'applied' ORDER BY job_id")
            #expect(versions == (1...19).map { String($0) })
        }
    }

    @Test("a group is one work unit") func group() async throws {
        try await withDatabase { database in
            try database.addItem("a", 1_000)
            try database.addItem("bad", 1_000)
            try database.run(Self.trap("XX000", when: "NEW.item_id = 'bad' AND NEW.outcome <> 'failed'"))
            try database.enqueue(
                .adjust("a", -1, group: "g", maxAttempts: 2), .adjust("bad", -1, group: "g", maxAttempts: 5))
            try database.enqueue(.adjust("a", -1))
            try database.drain()
            #expect(try database.results() == [.applied(3, -1)])
            #expect(try database.rows("SELECT attempts, run_at > now() FROM stockq.jobs") == ["1,t", "1,t"])
            try database.run("UPDATE stockq.jobs SET run_at = now(); DROP TRIGGER trap ON stockq.results")
            try database.drain()
            #expect(try database.results() == [.applied(1, -1), .applied(2, -1), .applied(3, -1)])
            #expect(try database.attemptsByJob() == [1: 2, 2: 2, 3: 1])
        }
    }

    @Test("a job whose failed result raises the error too is deferred, and its lane goes on") func everyResult()
        async throws
    {
        try await withDatabase { database in
            try database.addItem("a", 1_000)
            try database.addItem("bad", 1_000)
            try database.run(Self.trap("P0001", when: "NEW.item_id = 'bad'"))
            try database.enqueue(Self.jobs(30, bad: [1]))
            try database.drain()
            #expect(try database.resultCount() == 29)
            #expect(
                try database.rows("SELECT attempts, run_at > now(), last_error LIKE 'trapped%' FROM stockq.jobs")
                    == ["1,t,t"])
        }
    }

    @Test("a job that a trigger locks in its row does not stop its lane") func lockedInItsRow() async throws {
        try await withDatabase { database in
            try database.addItem("a", 1_000)
            try database.addItem("bad", 1_000)
            try database.enqueue(Self.jobs(200, bad: [1]))
            try database.run(
                """
                CREATE FUNCTION stockq.trap() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    RAISE EXCEPTION 'trapped';
                END
                $$;
                CREATE TRIGGER trap BEFORE UPDATE OR DELETE ON stockq.jobs FOR EACH ROW WHEN (OLD.item_id = 'bad')
                    EXECUTE FUNCTION stockq.trap()
                """)
            let workers = database.startWorkers(drains: true)
            #expect(try eventually { try database.resultCount() == 199 })
            #expect(try database.rows("SELECT job_id, attempts FROM stockq.jobs") == ["1,0"])
            try database.run("DROP TRIGGER trap ON stockq.jobs")
            try workers.wait()
            #expect(try database.queuedJobs() == 0)
        }
    }

    @Test("a check violation that names no constraint is the trigger's, not a missing partition")
    func checkViolation() async throws {
        try await withDatabase { database in
            try database.addItem("a", 1_000)
            try database.addItem("bad", 1_000)
            try database.run(Self.trap("23514", when: "NEW.item_id = 'bad' AND NEW.outcome <> 'failed'"))
            try database.enqueue(Self.jobs(30, bad: [7]))
            try database.drain()
            #expect(try database.results().filter { $0.outcome == .failed }.map(\.job) == [7])
        }
    }

    // MARK: errors of the server

    @Test("an error that a trigger raises for every job is counted against none", arguments: states)
    func everyJob(_ state: String) async throws {
        try await withDatabase { database in
            try database.addItem("a", 1_000)
            try database.addItem("bad", 1_000)
            try database.run(Self.trap(state, when: "true"))
            try database.enqueue(Self.jobs(50, bad: [7]))
            let workers = database.startWorkers(drains: true)
            // Three times the lane has tried its first job, others without it, and paused.
            #expect(
                eventually {
                    workers.events.all.count { if case .batchFailed = $0 { true } else { false } } >= 3
                })
            #expect(try database.value("SELECT max(attempts) FROM stockq.jobs") == "0")
            try database.run("DROP TRIGGER trap ON stockq.results")
            try workers.wait()
            #expect(try database.results().allSatisfy { $0.outcome == .applied })
            #expect(try Set(database.attemptsByJob().values) == [1])
            #expect(workers.events.all.allSatisfy { $0.failedAttempt == nil })
        }
    }

    @Test("a missing table that only some jobs need is counted against none of them, and the others go on")
    func missingTable() async throws {
        try await withDatabase { database in
            try database.addItem("low", 10, threshold: 9)
            try database.addItem("a", 1_000)
            try database.run("ALTER TABLE stockq.notifications RENAME TO missing")
            try database.enqueue([.adjust("low", -1)] + Self.jobs(100, bad: []))
            let workers = database.startWorkers(drains: true)
            #expect(try eventually { try database.resultCount() == 100 })
            let failures = workers.events.all.count
            #expect(workers.events.wait { _ in workers.events.all.count > failures + 3 })
            #expect(try database.rows("SELECT job_id, attempts FROM stockq.jobs") == ["1,0"])
            try database.run("ALTER TABLE stockq.missing RENAME TO notifications")
            try workers.wait()
            #expect(try database.attemptsByJob()[1] == 1)
        }
    }

    // MARK: time

    @Test("a work unit that cannot be done in time fails, and its lane goes on", arguments: [false, true])
    func tooSlow(givenUpByClient: Bool) async throws {
        try await withDatabase { database in
            try database.addItem("a", 1_000)
            try database.addItem("slow", 1_000)
            try database.run(
                """
                CREATE FUNCTION stockq.dawdle() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    PERFORM pg_sleep(1);
                    RETURN NEW;
                END
                $$;
                CREATE TRIGGER dawdle BEFORE INSERT ON stockq.results
                    FOR EACH ROW WHEN (NEW.item_id = 'slow' AND NEW.outcome <> 'failed')
                    EXECUTE FUNCTION stockq.dawdle()
                """)
            try database.enqueue(
                .adjust("a", -1), .adjust("a", -1, group: "g", maxAttempts: 1),
                .adjust("slow", -1, group: "g", maxAttempts: 1))
            try database.enqueue(.adjust("a", -1))
            try database.drain {
                if givenUpByClient {
                    $0.callTimeout = .milliseconds(300)
                } else {
                    $0.statementTimeout = .milliseconds(300)
                }
            }
            #expect(
                try database.rows("SELECT job_id, outcome, attempts FROM stockq.results ORDER BY 1") == [
                    "1,applied,1", "2,failed,1", "3,failed,1", "4,applied,1",
                ])
            try expectSoundLedger(database)
        }
    }

    @Test("one timeout is no proof: a work unit that is done at the second time has no attempt counted")
    func slowOnce() async throws {
        try await withDatabase { database in
            try database.addItem("a", 1_000)
            try database.run(
                """
                CREATE SEQUENCE stockq.tries;
                CREATE FUNCTION stockq.dawdle() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    IF nextval('stockq.tries') = 1 THEN
                        PERFORM pg_sleep(1);
                    END IF;
                    RETURN NEW;
                END
                $$;
                CREATE TRIGGER dawdle BEFORE INSERT ON stockq.results FOR EACH ROW EXECUTE FUNCTION stockq.dawdle()
                """)
            try database.enqueue(.adjust("a", -1, maxAttempts: 1))
            try database.drain { $0.statementTimeout = .milliseconds(300) }
            #expect(try database.results() == [.applied(1, -1)])
            #expect(try database.attemptsByJob() == [1: 1])
        }
    }
}
