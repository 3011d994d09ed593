import Dispatch
import HTTPServer
import StockDecision
import StockGateway
import StockGatewayExecution
import StockModel
import StockQueue
import StockQueueLocking
import StockQueuePostgres
import TestSupport
import Testing

/// The executor with a database: how calls that change stock get their results.
@Suite("Executor") struct ExecutorTests {
    private static let token = "secret_of_a_test"

    /// Calls `body` with an executor and the strands that it named.
    ///
    /// - Parameter pollMsMax: by default no poll comes in time: what is not handed over, or looked up at once, makes the
    ///   test fail.
    private static func withExecutor(
        pollMsMax: Int = 60_000, _ body: @escaping @Sendable (TestDatabase, GatewayExecutor, Strands) throws -> Void
    ) async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 10), ('s', 'b', 10);
                SELECT stockq.create_gateway_token(
                    'test', '\(GatewaySecret(token).hash)', '{s}', '{update_catalog,read_catalog}');
                """)
            var settings = ExecutorSettings()
            settings.pollMsMax = pollMsMax
            let strands = Strands()
            let executor = GatewayExecutor(
                connection: database.settings, schema: database.schema, settings: settings,
                vendorSettings: VendorSettings(), onEvent: { _ in }, onEnqueued: { strands.add($0) })
            executor.start()
            defer { executor.stop() }
            try body(database, executor, strands)
        }
    }

    private final class Strands: Sendable {
        private let strands = Mutex<Set<Strand>>([])

        func add(_ more: Set<Strand>) { strands.withLock { $0.formUnion(more) } }

        var all: Set<Strand> { strands.withLock { $0 } }
    }

    private static func call(_ lines: [StockLine], key: String? = nil) -> StockCall {
        let access = Access(
            Caller(Credential(token, .bearer), peer: PeerAddress("127.0.0.1")), .named("s"), [.updateCatalog])
        let check = key.flatMap { IdempotencyKey($0) }.map { DuplicateCheck.key($0) } ?? .unguarded
        return StockCall(access, lines, isGroup: lines.count > 1, duplicateCheck: check, deadlineMs: 30_000)
    }

    /// Executes a call. `submitted` is called while it is under way.
    private static func execute(
        _ call: StockCall, _ executor: GatewayExecutor, submitted: () -> Void = {}
    ) -> StockAnswer {
        let result = Answer()
        executor.execute(
            .stock(call) { answer in
                result.set(answer)
                return Response(.ok)
            }, onDeparture: { _ in }, answer: { _ in result.isComplete.signal() })
        executor.burstEnded()
        submitted()
        #expect(result.isComplete.wait(timeout: .now() + .seconds(25)) == .success, "the call has no answer")
        return result.value
    }

    private final class Answer: Sendable {
        let isComplete = DispatchSemaphore(value: 0)
        private let answer = Mutex<StockAnswer>(.failure(.internalError))

        func set(_ value: StockAnswer) { answer.withLock { $0 = value } }

        var value: StockAnswer { answer.withLock { $0 } }
    }

    /// Workers that hand over what they decide.
    private static func withWorkers(
        _ database: TestDatabase, _ executor: GatewayExecutor, _ body: () throws -> Void
    ) throws {
        let pool = WorkerPool(
            connection: database.settings, schema: database.schema, settings: WorkerSettings(),
            onFinished: { executor.take($0) })
        let ended = Background { pool.run() }
        try body()
        pool.finish()
        try ended.wait()
    }

    @Test("workers of the same process hand over what the table of results says") func handedOver() async throws {
        try await Self.withExecutor { database, executor, strands in
            try Self.withWorkers(database, executor) { () throws in
                var wrong = StockLine(item: "b", .adjust, -100)
                wrong.onInsufficient = .reject
                let calls = [
                    [StockLine(item: "a", .adjust, -3)], [StockLine(item: "a", .set, 7)], [wrong],
                    [StockLine(item: "a", .adjust, -1), StockLine(item: "b", .adjust, -2)],
                    [StockLine(item: "a", .adjust, -1), wrong],
                ]
                var seen: [String] = []
                for lines in calls {
                    let answer = Self.execute(Self.call(lines), executor)
                    for result in try answer.get() {
                        seen.append(
                            "\(result.jobID) \(result.itemID) \(result.action.rawValue) \(result.quantity) "
                                + "\(result.outcome.rawValue) \(result.code?.rawValue ?? "-") \(result.appliedQuantity) "
                                + "\(result.before.map { "\($0.onHand)" } ?? "-") "
                                + "\(result.after.map { "\($0.onHand)" } ?? "-") \(result.finishedAt)")
                    }
                }
                #expect(
                    try database.rows(
                        """
                        SELECT concat_ws(' ', job_id, item_id, action, quantity, outcome, coalesce(code::text, '-'),
                            applied_quantity, coalesce(on_hand_before::text, '-'), coalesce(on_hand_after::text, '-'),
                            (extract(epoch FROM finished_at - '2000-01-01 00:00Z') * 1000000)::bigint)
                        FROM stockq.results ORDER BY job_id
                        """) == seen)
                #expect(seen.count == 7)
            }
            let strand = try #require(Int32(try database.value("SELECT stockq.strand_of('s', NULL, 2)")))
            #expect(strands.all == [Strand(rawValue: strand)])
        }
    }

    @Test("what a worker decided for another job with the same id answers no call") func anotherJob() async throws {
        try await Self.withExecutor(pollMsMax: 50) { database, executor, _ in
            let answer = Self.execute(Self.call([StockLine(item: "a", .adjust, -3)]), executor) {
                #expect(eventually { (try? database.value("SELECT job_id FROM stockq.jobs")) == "1" })
                // As after a crash of the server: the id was given away again.
                let other = FinishedJobs.Job(
                    jobID: 1, enqueuedAt: Timestamp(microsecondsSince2000: 0),
                    outcome: .rejected(.unknownItem, nil, firstJobID: nil))
                executor.take(FinishedJobs([other], finishedAt: Timestamp(microsecondsSince2000: 0)))
                WorkersUnderTest.drain(database.settings, schema: database.schema)
            }
            #expect(answer.map { $0.map(\.after?.onHand) } == .success([7]))
        }
    }

    @Test("results of workers of other processes are found in the database") func otherProcess() async throws {
        try await Self.withExecutor(pollMsMax: 50) { database, executor, _ in
            for onHand in [9, 8] as [Int64] {
                let answer = Self.execute(Self.call([StockLine(item: "a", .adjust, -1)]), executor) {
                    #expect(eventually { (try? database.value("SELECT count(*) FROM stockq.jobs")) == "1" })
                    WorkersUnderTest.drain(database.settings, schema: database.schema)
                }
                #expect(answer.map { $0.map(\.after?.onHand) } == .success([onHand]))
            }
        }
    }

    @Test("a call with a used idempotency key gets the first result at once") func usedKey() async throws {
        try await Self.withExecutor { database, executor, _ in
            try Self.withWorkers(database, executor) { () throws in
                let call = Self.call([StockLine(item: "a", .adjust, -3)], key: "k")
                let first = Self.execute(call, executor)
                let second = Self.execute(call, executor)
                #expect(first == second)
                #expect(try database.value("SELECT on_hand FROM stockq.items WHERE item_id = 'a'") == "7")
            }
        }
    }
}
