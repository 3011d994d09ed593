import Foundation
import StockModel
import StockQueue
import StockQueueLocking
import StockQueuePostgres
import TestSupport
import Testing

/// The client of a Swift server application.
@Suite("Client", .timeLimit(.minutes(15))) struct ClientTests {
    // MARK: jobs and results

    @Test("enqueues a job, a group and many, and returns their results")
    func jobsGroupsAndBulk() async throws {
        try await withShop { database, client in
            var job = JobRequest(store: "s", item: "a", quantity: -2)
            job.idempotencyKey = "k"
            let first = try await client.enqueue(job)
            let second = try await client.enqueue(job)
            #expect(second.jobID == first.jobID && second.isDuplicate && !first.isDuplicate)
            var line = JobRequest(store: "s", item: "b", quantity: -9)
            line.groupID = "g"
            var other = JobRequest(store: "s", item: "a", quantity: -1)
            other.groupID = "g"
            let group = try await client.enqueue([line, other])
            let many = (0..<5_000).map { _ in JobRequest(store: "s", item: "a", quantity: 1) }
            #expect(try await client.enqueueBulk(many) == 5_000)
            #expect(try await client.result(of: first.jobID, timeout: .milliseconds(20)) == nil)
            #expect(try await client.queuedJob(first.jobID)?.schedule == .ready)
            #expect(try await client.statistics().queue.ready == 5_003)
            let waits = Task { try await client.result(of: group[0].jobID, timeout: .seconds(300)) }
            try await drain(database)
            #expect(try await waits.value?.code == .insufficientStock)
            let result = try #require(try await client.result(of: first.jobID))
            #expect(result.outcome == .applied && result.action == .adjust && result.warning == nil)
            #expect(result.before == Balance(onHand: 100) && result.after == Balance(onHand: 98))
            #expect(result.key == ItemKey("s", "a") && result.idempotencyKey == "k" && result.version == 1)
            #expect(result.finishedAt.timeIntervalSinceNow > -60 && result.enqueuedAt <= Date())
            #expect(try await client.enqueue(job).outcome == .applied)
            #expect(try await client.item(ItemKey("s", "a"))?.balance == Balance(onHand: 5_098))
            #expect(
                try await client.history(of: ItemKey("s", "a"), limit: 3).map(\.after?.onHand) == [5_098, 5_097, 5_096])
            let statistics = try await client.statistics()
            #expect(statistics.outcomes == [.applied: 5_001, .rejected: 2])
            #expect(statistics.codes == [.insufficientStock: 1, .groupRejected: 1])
        }
    }

    @Test("a dry run reports each job's outcome and enqueues nothing")
    func dryRun() async throws {
        try await withShop { _, client in
            let answers = try await client.dryRun([
                JobRequest(store: "s", item: "a", quantity: -60), JobRequest(store: "s", item: "a", quantity: -60),
            ])
            #expect(answers.map(\.summary) == ["applied", "rejected (insufficient_stock)"])
            #expect(answers[0].after == Balance(onHand: 40))
            #expect(try await client.statistics().queue.ready == 0)
        }
    }

    @Test("an administrator cancels, pauses and retries")
    func administration() async throws {
        try await withShop { database, client in
            let job = try await client.enqueue(JobRequest(store: "s", item: "a", quantity: -2))
            #expect(try await client.reprioritize(.jobs([job.jobID]), to: 1) == 1)
            #expect(try await client.queuedJob(job.jobID)?.priority == 1)
            #expect(try await client.cancel(.jobs([job.jobID]), reason: "test") == [job.jobID])
            #expect(try await client.result(of: job.jobID)?.outcome == .canceled)
            #expect(try await client.retry([job.jobID]).map(\.retryOf) == [job.jobID])
            try await client.pause(.store("s"))
            try await drain(database)
            #expect(try await client.statistics().queue.paused == 1)
            #expect(try await client.resume(.store("s")) == 1)
        }
    }

    @Test("errors say what to do")
    func errorsSayWhatToDo() async throws {
        try await withShop { database, client in
            var job = JobRequest(store: "s", item: "a", quantity: -2)
            job.idempotencyKey = "k"
            _ = try await client.enqueue(job)
            job.quantity = -3
            await #expect { _ = try await client.enqueue(job) } throws: {
                if case QueueError.keyConflict = $0 { true } else { false }
            }
            await #expect { _ = try await client.enqueue(JobRequest(store: "", item: "a", quantity: 1)) } throws: {
                if case QueueError.invalid = $0 { true } else { false }
            }
            try await onThread { try database.run("SELECT stockq.set_store_limit('s', 1)") }
            await #expect { _ = try await client.enqueue(JobRequest(store: "s", item: "a", quantity: 1)) } throws: {
                if case QueueError.storeIsFull = $0 { true } else { false }
            }
            await #expect {
                _ = try await client.enqueueBulk([JobRequest(store: "s", item: "a", quantity: 1)])
            } throws: {
                if case QueueError.storeIsFull = $0 { true } else { false }
            }
        }
    }

    @Test("a label of a newer schema is named, and is no error of the database")
    func unknownLabel() async throws {
        try await withShop { database, client in
            let job = try await client.enqueue(JobRequest(store: "s", item: "a", quantity: -2))
            try await drain(database)
            try await onThread {
                try database.run("ALTER TYPE stockq.outcome ADD VALUE 'postponed'")
                try database.run("UPDATE stockq.results SET outcome = 'postponed'")
            }
            let unknown = UnknownLabelError(type: "outcome", label: "postponed")
            await #expect { _ = try await client.result(of: job.jobID) } throws: {
                if case QueueError.unknownLabel(unknown) = $0 { true } else { false }
            }
            await #expect { _ = try await client.result(of: job.jobID, timeout: .seconds(20)) } throws: {
                if case QueueError.unknownLabel(unknown) = $0 { true } else { false }
            }
            await #expect { _ = try await client.statistics() } throws: {
                if case QueueError.unknownLabel(unknown) = $0 { true } else { false }
            }
            #expect(unknown.description.contains("outcome 'postponed'"))
        }
    }

    // MARK: run

    @Test("a call before run() waits for it")
    func callBeforeRun() async throws {
        try await withTestDatabase { database in
            let client = StockQueueClient(database.settings)
            let early = Task { try await client.item(ItemKey("s", "nothing")) }
            let earlyWait = Task { try await client.result(of: 1, timeout: .milliseconds(1)) }
            let running = Task { try await client.run() }
            #expect(try await early.value == nil)
            #expect(try await earlyWait.value == nil)
            running.cancel()
            try await running.value
        }
    }

    @Test("cancellation of run() is the shutdown: waits end, threads and connections are gone")
    func shutdown() async throws {
        try await withTestDatabase { database in
            // Direct, because a pooler keeps its sessions.
            let settings = ConnectionSettings(conninfo: database.conninfo, applicationName: "shutdown")
            let client = StockQueueClient(settings, connections: 2)
            let running = Task { try await client.run() }
            #expect(try await client.item(ItemKey("s", "nothing")) == nil)
            let wait = Task { try await client.result(of: 1, timeout: .seconds(300)) }
            try await onThread { #expect(eventually { client.waitingTasks == 1 }) }
            running.cancel()
            try await running.value
            await #expect { _ = try await wait.value } throws: {
                if case QueueError.stopped = $0 { true } else { false }
            }
            await #expect { _ = try await client.enqueue(JobRequest(store: "t", item: "a", quantity: 1)) } throws: {
                if case QueueError.stopped = $0 { true } else { false }
            }
            await #expect { _ = try await client.result(of: 1, timeout: .milliseconds(5)) } throws: {
                if case QueueError.stopped = $0 { true } else { false }
            }
            await #expect { try await client.run() } throws: {
                if case QueueError.alreadyRun = $0 { true } else { false }
            }
            try await onThread {
                #expect(
                    eventually {
                        (try? database.value(
                            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'shutdown'"))
                            == "0"
                    })
            }
        }
    }

    @Test("run() of a canceled task returns, and drops the calls that wait")
    func canceledBeforeRun() async throws {
        try await withTestDatabase { database in
            let client = StockQueueClient(database.settings)
            let early = Task { try await client.item(ItemKey("s", "nothing")) }
            let running = Task {
                while !Task.isCancelled { await Task.yield() }
                try await client.run()
            }
            running.cancel()
            try await running.value
            await #expect { _ = try await early.value } throws: {
                if case QueueError.stopped = $0 { true } else { false }
            }
        }
    }

    // MARK: cancellation

    @Test("a canceled call returns at once and frees its connection")
    func canceledCall() async throws {
        try await withShop(connections: 1) { database, client in
            let locked = try database.connect()
            try locked.executeScript("BEGIN; LOCK TABLE stockq.jobs")
            let blocked = Task { try await client.enqueue(JobRequest(store: "s", item: "a", quantity: 1)) }
            try await onThread {
                #expect(
                    eventually {
                        (try? database.value(
                            """
                            SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database
                            WHERE NOT granted AND datname = current_database()
                            """)) == "1"
                    })
            }
            // The only connection is in use, so this one stays in the queue.
            let queued = Task { try await client.enqueue(JobRequest(store: "s", item: "a", quantity: 5)) }
            queued.cancel()
            await #expect { _ = try await queued.value } throws: {
                if case QueueError.canceled = $0 { true } else { false }
            }
            blocked.cancel()
            await #expect { _ = try await blocked.value } throws: {
                if case QueueError.canceled = $0 { true } else { false }
            }
            // The lock is still there, but the connection is free.
            #expect(try await client.item(ItemKey("s", "a"))?.balance.onHand == 100)
            try locked.executeScript("COMMIT")
            #expect(try await client.enqueue(JobRequest(store: "s", item: "b", quantity: 1)).outcome == nil)
            #expect(try database.value("SELECT count(*) FROM stockq.jobs WHERE quantity = 5") == "0")
        }
    }

    @Test("a canceled wait for a result removes its waiter")
    func canceledWait() async throws {
        try await withShop { _, client in
            let waits = (1...3).map { _ in Task { try await client.result(of: 1, timeout: .seconds(300)) } }
            try await onThread { #expect(eventually { client.waitingTasks == 3 }) }
            waits[0].cancel()
            await #expect { _ = try await waits[0].value } throws: {
                if case QueueError.canceled = $0 { true } else { false }
            }
            #expect(client.waitingTasks == 2)
            for wait in waits { wait.cancel() }
            for wait in waits { _ = await wait.result }
            #expect(client.waitingTasks == 0)
        }
    }

    // MARK: lost connections

    /// 32 callers, 1,000 calls each with 500 shared keys, while connections are cut at random: 500 effects.
    @Test("jobs with keys take effect once, whichever connections are lost")
    func onceOnlyWhateverIsCut() async throws {
        try await withShop { database, _ in
            let proxy = try Proxy(to: database)
            let client = StockQueueClient(
                ConnectionSettings(conninfo: proxy.conninfo(database: database.name), applicationName: "shop"),
                connections: 32)
            let running = Task { try await client.run() }
            let untilCut = Mutex(20)
            // A message now and then is the last one of its connection, before it arrives or after.
            proxy.setRule { _ in
                untilCut.withLock { untilCut in
                    untilCut -= 1
                    if untilCut > 0 { return .pass }
                    untilCut = Int.random(in: 500...1_500)
                    return Bool.random() ? .cut : .cutAfter(7)
                }
            }
            let workers = database.startWorkers()
            let sent = try await withThrowingTaskGroup(of: Int.self) { group in
                for caller in 0..<32 { group.addTask { try await Self.enqueueThousand(client, caller) } }
                return try await group.reduce(0, +)
            }
            #expect(sent == 32_000)
            // A call is two messages at least, and one in at most 1,500 is a connection's last.
            #expect(proxy.cutConnections >= 32, "so many connections were cut: \(proxy.cutConnections)")
            running.cancel()
            try await running.value
            proxy.close()
            try await onThread { try workers.stop() }
            try await drain(database)
            try await onThread {
                #expect(
                    try database.value("SELECT on_hand FROM stockq.items WHERE (store_id, item_id) = ('s', 'a')")
                        == "600")
                #expect(try database.value("SELECT count(*) FROM stockq.results WHERE outcome = 'applied'") == "500")
                #expect(
                    try database.value(
                        "SELECT count(*) FROM stockq.results WHERE outcome NOT IN ('applied', 'duplicate')") == "0")
                try expectSoundLedger(database)
            }
        }
    }

    private static func enqueueThousand(_ client: StockQueueClient, _ caller: Int) async throws -> Int {
        var acknowledged = 0
        for call in 0..<1_000 {
            var job = JobRequest(store: "s", item: "a", quantity: 1)
            job.idempotencyKey = "key-\((caller &* 31 &+ call) % 500)"
            // A connection that was lost more often than the client tries: the caller tries again.
            while true {
                do throws(QueueError) {
                    _ = try await client.enqueue(job)
                    acknowledged += 1
                    break
                } catch {
                    guard case .database(let cause) = error, cause.isTransient else { throw error }
                }
            }
        }
        return acknowledged
    }
}

/// Lends a database to an asynchronous test.
func withTestDatabase<Value>(_ body: (TestDatabase) async throws -> Value) async throws -> Value {
    try await inPlace {
        let database = try await onThread { try TestDatabase() }
        defer { database.drop() }
        return try await body(database)
    }
}

/// Lends a database with a few items, and a client that runs.
func withShop<Value: Sendable>(
    connections: Int = 4, _ body: (TestDatabase, StockQueueClient) async throws -> Value
) async throws -> Value {
    try await withTestDatabase { database in
        try await onThread {
            try database.run(
                "INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 100), ('s', 'b', 5), ('t', 'a', 1)"
            )
        }
        let client = StockQueueClient(database.settings, connections: connections)
        let running = Task { try await client.run() }
        do {
            let value = try await body(database, client)
            running.cancel()
            try await running.value
            return value
        } catch {
            running.cancel()
            throw error
        }
    }
}

func drain(_ database: TestDatabase) async throws { try await onThread { _ = try database.drain() } }
