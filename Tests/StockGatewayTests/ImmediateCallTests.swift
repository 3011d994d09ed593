import Dispatch
import HTTPServer
import StockGateway
import StockGatewayExecution
import StockModel
import StockQueue
import StockQueueLocking
import StockQueuePostgres
import TestSupport
import Testing

/// Calls that workers of the gateway's process decide without the table of jobs.
@Suite("Immediate calls") struct ImmediateCallTests {
    private static let token = "secret_of_a_test"

    /// A gateway with workers in one process, and a count of the jobs that came into the table of jobs.
    private struct Rig {
        let database: TestDatabase
        let executor: GatewayExecutor

        /// Jobs that were enqueued since the last call of this.
        func enqueued() throws -> String {
            let count = try database.value("SELECT count(*) FROM public.enqueued")
            try database.run("TRUNCATE public.enqueued")
            return count
        }

        func execute(_ call: StockCall) -> StockAnswer {
            let answers = Answers()
            start(call, answers)
            answers.wait(for: 1)
            return answers.all[0]
        }

        func start(_ call: StockCall, _ answers: Answers) {
            executor.execute(
                .stock(call) { answer in
                    answers.add(answer)
                    return Response(.ok)
                }, onDeparture: { _ in }, answer: { _ in answers.arrived.signal() })
            executor.burstEnded()
        }
    }

    private final class Answers: Sendable {
        let arrived = DispatchSemaphore(value: 0)
        private let answers = Mutex<[StockAnswer]>([])

        func add(_ answer: StockAnswer) { answers.withLock { $0.append(answer) } }

        func wait(for count: Int) {
            for _ in 0..<count {
                #expect(arrived.wait(timeout: .now() + .seconds(25)) == .success, "a call has no answer")
            }
        }

        var all: [StockAnswer] { answers.withLock { $0 } }
    }

    private final class Pool: Sendable {
        private let state = Mutex<WorkerPool?>(nil)
        var pool: WorkerPool? {
            get { state.withLock { $0 } }
            set { state.withLock { $0 = newValue } }
        }
    }

    /// Calls `body` when the gateway knows its caller: the first call of each is enqueued.
    private static func withRig(_ body: @escaping @Sendable (Rig) throws -> Void) async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold)
                VALUES ('s', 'a', 100, 95), ('s', 'b', 100, NULL);
                INSERT INTO stockq.items (store_id, item_id, on_hand, parent_id) VALUES ('s', 'a-red', 100, 'a');
                SELECT stockq.create_gateway_token(
                    'test', '\(GatewaySecret(token).hash)', '{s}', '{update_catalog,read_catalog}');
                CREATE TABLE public.enqueued (job_id bigint);
                CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    INSERT INTO public.enqueued VALUES (NEW.job_id);
                    RETURN NULL;
                END $$;
                CREATE TRIGGER note AFTER INSERT ON stockq.jobs FOR EACH ROW EXECUTE FUNCTION public.note();
                """)
            let workers = Pool()
            let executor = GatewayExecutor(
                connection: database.settings, schema: database.schema, settings: ExecutorSettings(),
                vendorSettings: VendorSettings(),
                onEvent: { event in if case .failed = event { Issue.record("\(event)") } },
                onEnqueued: { workers.pool?.enqueued(in: $0) },
                offerCalls: { workers.pool?.offer($0) ?? false })
            let pool = WorkerPool(
                connection: database.settings, schema: database.schema, settings: WorkerSettings(),
                onFinished: { executor.take($0) })
            workers.pool = pool
            let ended = Background { pool.run() }
            executor.start()
            let rig = Rig(database: database, executor: executor)
            #expect(try rig.execute(call([StockLine(item: "b", .adjust, 0)])).get().count == 1)
            #expect(try rig.enqueued() == "1")
            try body(rig)
            executor.stop()
            pool.finish()
            try ended.wait()
            var violations: [String] = []
            try Verifier(connection: database.connect(), schema: database.schema).runAll { violations += $0.violations }
            #expect(violations.isEmpty)
        }
    }

    private static func call(_ lines: [StockLine], isGroup: Bool = false) -> StockCall {
        let access = Access(
            Caller(Credential(token, .bearer), peer: PeerAddress("127.0.0.1")), .named("s"), [.updateCatalog])
        return StockCall(access, lines, isGroup: isGroup, deadlineMs: 30_000)
    }

    private static func take(_ quantity: Int64, _ item: String = "a") -> StockCall {
        call([StockLine(item: item, .adjust, -quantity)])
    }

    @Test("a call of a known caller is decided without a row in the table of jobs") func decidedAtOnce() async throws {
        try await Self.withRig { rig in
            let answer = try rig.execute(Self.take(3)).get()
            #expect(answer.map(\.after?.onHand) == [97])
            #expect(try rig.enqueued() == "0")
        }
    }

    @Test("its results and notifications are those of the same call by the table of jobs") func sameRows() async throws
    {
        try await Self.withRig { rig in
            var taken = StockLine(item: "a", .adjust, -200)
            taken.notify = false
            var below = StockLine(item: "b", .adjust, -101)
            below.onInsufficient = .allow
            var partial = StockLine(item: "b", .allocate, 5)
            partial.onInsufficient = .partial
            let calls = [
                Self.take(6), Self.call([taken]), Self.call([below]), Self.call([partial]),
                Self.call([StockLine(item: "a", .allocate, 2)]), Self.call([StockLine(item: "a", .adjust, 0)]),
                Self.call([StockLine(item: "a", .adjust, -1), StockLine(item: "b", .adjust, -2)], isGroup: true),
                Self.call([StockLine(item: "a", .adjust, 1), StockLine(item: "b", .adjust, 200)], isGroup: true),
                Self.call([StockLine(item: "a", .adjust, -1), StockLine(item: "a", .adjust, -1)]),
            ]
            // What depends on neither the ids nor the time.
            let rows = """
                SELECT concat_ws('|', r.item_id, r.action, r.quantity, r.applied_quantity, r.on_insufficient, r.outcome,
                    coalesce(r.code::text, '-'), coalesce(r.warning::text, '-'), r.on_hand_before, r.on_hand_after,
                    r.allocated_before, r.allocated_after, coalesce(r.alert_before::text, '-'),
                    coalesce(r.alert_after::text, '-'), r.notify, r.priority, r.attempts, r.max_attempts,
                    r.group_id IS NULL, r.group_last_job_id - r.job_id, r.first_job_id, r.reason, r.reference,
                    n.kind, n.available_before, n.available_after)
                FROM stockq.results AS r
                LEFT JOIN stockq.notifications AS n USING (job_id)
                WHERE r.quantity <> 0 OR r.item_id = 'a'
                ORDER BY r.job_id
                """
            for call in calls { _ = try rig.execute(call).get() }
            #expect(try rig.enqueued() == "0")
            let atOnce = try rig.database.rows(rows)
            #expect(atOnce.count == 12)

            try rig.database.run(
                """
                UPDATE stockq.items SET on_hand = 100, allocated = 0, notified_level = NULL, version = 0,
                    last_job_id = NULL;
                TRUNCATE stockq.results, stockq.notifications, stockq.change_log;
                SELECT stockq.set_store_limit('s', 1000);
                """)
            for call in calls { _ = try rig.execute(call).get() }
            #expect(try rig.enqueued() == "12", "a store with a limit has all its jobs in the table")
            #expect(try rig.database.rows(rows) == atOnce)
        }
    }

    @Test("it comes behind the ready jobs of its store", arguments: [2, 3, 1]) func inOrder(priority: Int) async throws
    {
        try await Self.withRig { rig in
            try rig.database.run(
                """
                INSERT INTO stockq.jobs (store_id, item_id, quantity, action, priority)
                VALUES ('s', 'a', 50, 'set', \(priority))
                """)
            _ = try rig.execute(Self.take(3)).get()
            let order = try rig.database.rows("SELECT action FROM stockq.results WHERE item_id = 'a' ORDER BY version")
            // The job can have been decided before the call came; never is one of a later priority before it otherwise.
            #expect(order == ["set", "adjust"] || priority == 3 && order == ["adjust", "set"])
            #expect(eventually { (try? rig.database.value("SELECT count(*) FROM stockq.jobs")) == "0" })
        }
    }

    @Test("it does not overtake a job of its item that another transaction has locked") func behindLocked() async throws
    {
        try await Self.withRig { rig in
            let lanes = try rig.database.connect()
            try lanes.executeScript("BEGIN; SELECT FROM stockq.lanes FOR UPDATE")
            try rig.database.run(
                "INSERT INTO stockq.jobs (store_id, item_id, quantity, action) VALUES ('s', 'a', 50, 'set')")
            let holder = try rig.database.connect()
            try holder.executeScript("BEGIN; SELECT FROM stockq.jobs FOR UPDATE")
            try lanes.executeScript("COMMIT")
            let answers = Answers()
            rig.start(Self.take(3), answers)
            #expect(eventually { (try? rig.database.value("SELECT count(*) FROM public.enqueued")) == "2" })
            #expect(answers.all.isEmpty)
            try holder.executeScript("COMMIT")
            answers.wait(for: 1)
            #expect(try answers.all[0].get().map(\.after?.onHand) == [47])
        }
    }

    @Test("calls of a paused store wait in the table") func pausedStore() async throws {
        try await Self.withRig { rig in
            try rig.database.run("SELECT stockq.pause(store_id => 's')")
            let answers = Answers()
            rig.start(Self.take(3), answers)
            #expect(eventually { (try? rig.database.value("SELECT count(*) FROM stockq.jobs")) == "1" })
            #expect(answers.all.isEmpty)
            try rig.database.run("SELECT stockq.resume(store_id => 's')")
            answers.wait(for: 1)
            #expect(try answers.all[0].get().map(\.after?.onHand) == [97])
        }
    }

    @Test("a token that was revoked changes nothing") func revoked() async throws {
        try await Self.withRig { rig in
            try rig.database.run("SELECT stockq.revoke_gateway_token('test')")
            #expect(rig.execute(Self.take(3)) == .failure(.invalidCredential))
            #expect(try rig.database.value("SELECT on_hand FROM stockq.items WHERE item_id = 'a'") == "100")
        }
    }

    @Test("an item that is unknown, or of another parent, is an error") func unknownItem() async throws {
        try await Self.withRig { rig in
            #expect(rig.execute(Self.take(3, "none")) == .failure(.unknownItem(line: 0)))
            for (item, role, isFound) in [
                ("a-red", ItemRole.variation(of: "a"), true), ("a-red", .variation(of: "b"), false),
                ("a-red", .product, false), ("a", .product, true), ("a", .variation(of: "a"), false),
            ] {
                var line = StockLine(item: item, .adjust, -1)
                line.role = role
                let answer = rig.execute(Self.call([line]))
                #expect(answer == .failure(.unknownItem(line: 0)) || isFound, "\(item) \(role)")
                #expect((try? answer.get()) != nil || !isFound, "\(item) \(role)")
            }
        }
    }

    @Test("a group is applied as a whole or not at all") func group() async throws {
        try await Self.withRig { rig in
            let lines = [StockLine(item: "a", .adjust, -1), StockLine(item: "b", .adjust, -1_000)]
            let codes = try rig.execute(Self.call(lines, isGroup: true)).get().map(\.code)
            #expect(codes == [.groupRejected, .insufficientStock])
            #expect(try rig.enqueued() == "0")
            #expect(try rig.database.value("SELECT sum(on_hand) FROM stockq.items") == "300")
        }
    }

    @Test("a call that the database fails is enqueued, and others are decided") func failing() async throws {
        try await Self.withRig { rig in
            try rig.database.run(
                """
                CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    IF NEW.quantity = -13 AND NEW.outcome <> 'canceled' THEN
                        RAISE check_violation USING MESSAGE = 'not 13';
                    END IF;
                    RETURN NEW;
                END $$;
                CREATE TRIGGER refuse BEFORE INSERT ON stockq.results FOR EACH ROW EXECUTE FUNCTION public.refuse();
                """)
            let answers = Answers()
            var bad = Self.take(13)
            bad.deadlineMs = 1_000
            rig.start(bad, answers)
            let others = Answers()
            for _ in 0..<5 { rig.start(Self.take(1, "b"), others) }
            others.wait(for: 5)
            #expect(try others.all.map { try $0.get().count } == [1, 1, 1, 1, 1])
            answers.wait(for: 1)
            #expect(answers.all == [.failure(.undecided)])
            #expect(try rig.database.value("SELECT on_hand FROM stockq.items WHERE item_id = 'a'") == "100")
        }
    }

    @Test("many calls at once beside producers of the table lose nothing") func many() async throws {
        try await Self.withRig { rig in
            let answers = Answers()
            let producer = Background {
                for _ in 0..<100 {
                    try rig.database.run(
                        "INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'b', 1), ('s', 'a', 1)")
                }
            }
            for round in 0..<500 {
                let lines = [StockLine(item: "a", .adjust, 1), StockLine(item: "b", .adjust, 2)]
                rig.start(round % 3 == 0 ? Self.call(lines, isGroup: true) : Self.call([lines[0]]), answers)
            }
            answers.wait(for: 500)
            try producer.wait()
            #expect(eventually { (try? rig.database.value("SELECT count(*) FROM stockq.jobs")) == "0" })
            #expect(answers.all.allSatisfy { (try? $0.get()) != nil })
            #expect(
                try rig.database.rows("SELECT on_hand FROM stockq.items WHERE item_id IN ('a', 'b') ORDER BY item_id")
                    == ["700", "534"])
        }
    }
}
