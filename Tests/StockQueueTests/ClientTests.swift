import Foundation
import StockModel
import StockQueue
import StockQueueLocking
import StockQueuePostgres
import TestSupport
import Testing

/// The client of a Swift server application.
@Suite struct ClientTests {
    private static func withShop<Value>(_ body: (TestDatabase, StockQueueClient) async throws -> Value) async throws
        -> Value
    {
        let database = try TestDatabase()
        defer { database.drop() }
        try await onThread {
            try database.run(
                "INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 100), ('s', 'b', 5), ('t', 'a', 1)"
            )
        }
        let client = StockQueueClient(database.settings)
        defer { client.close() }
        return try await body(database, client)
    }

    private static func drain(_ database: TestDatabase) async throws {
        try await onThread { _ = try database.drain() }
    }

    @Test func jobsGroupsAndBulk() async throws {
        try await Self.withShop { database, client in
            var job = JobRequest(store: "s", item: "a", quantity: -2)
            job.idempotencyKey = "k"
            let first = try await client.enqueue(job)
            #expect(try await client.enqueue(job).jobID == first.jobID)
            var line = JobRequest(store: "s", item: "b", quantity: -9)
            line.groupID = "g"
            var other = JobRequest(store: "s", item: "a", quantity: -1)
            other.groupID = "g"
            let group = try await client.enqueue([line, other])
            #expect(
                try await client.enqueueBulk((0..<5_000).map { _ in JobRequest(store: "s", item: "a", quantity: 1) })
                    == 5_000)
            #expect(try await client.result(of: first.jobID, timeoutMs: 20) == nil)
            let waits = Task { try await client.result(of: group[0].jobID, timeoutMs: 300_000)?.code }
            try await Self.drain(database)
            #expect(try await waits.value == "insufficient_stock")
            #expect(try await client.result(of: first.jobID)?.outcome == "applied")
            #expect(try await client.enqueue(job).outcome == .applied)
            #expect(try await client.item(ItemKey("s", "a"))?.onHand == 5_098)
            #expect(
                try await client.history(of: ItemKey("s", "a"), limit: 3).map(\.onHandAfter) == [5_098, 5_097, 5_096])
        }
    }

    @Test func errorsSayWhichWay() async throws {
        try await Self.withShop { database, client in
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
            client.close()
            await #expect { _ = try await client.enqueue(JobRequest(store: "t", item: "a", quantity: 1)) } throws: {
                if case QueueError.closed = $0 { true } else { false }
            }
            await #expect { _ = try await client.result(of: 1, timeoutMs: 5) } throws: {
                if case QueueError.closed = $0 { true } else { false }
            }
        }
    }

    /// 32 callers, 1,000 calls each with 500 shared keys, while connections are cut at random: 500 effects.
    @Test func onceOnlyWhateverIsCut() async throws {
        try await Self.withShop { database, _ in
            let proxy = try Proxy(to: database)
            let client = StockQueueClient(
                ConnectionSettings(conninfo: proxy.conninfo(database: database.name), applicationName: "shop"),
                connections: 32)
            let left = Mutex(20)
            // A message now and then is the last one of its connection, before it arrives or after.
            proxy.setRule { _ in
                left.withLock { left in
                    left -= 1
                    if left > 0 { return .pass }
                    left = Int.random(in: 500...1_500)
                    return Bool.random() ? .cut : .cutAfter(7)
                }
            }
            let pool = RunningWorkers(database)
            let sent = try await withThrowingTaskGroup(of: Int.self) { group in
                for caller in 0..<32 {
                    group.addTask {
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
                return try await group.reduce(0, +)
            }
            #expect(sent == 32_000)
            // A call is two messages at the least, and one in at most 1,500 is a connection's last.
            #expect(proxy.cutConnections >= 32, "so many connections were cut: \(proxy.cutConnections)")
            client.close()
            proxy.close()
            try await onThread { try pool.stop() }
            try await Self.drain(database)
            try await onThread {
                #expect(
                    try database.value("SELECT on_hand FROM stockq.items WHERE (store_id, item_id) = ('s', 'a')")
                        == "600")
                #expect(try database.value("SELECT count(*) FROM stockq.results WHERE outcome = 'applied'") == "500")
                #expect(
                    try database.value(
                        "SELECT count(*) FROM stockq.results WHERE outcome NOT IN ('applied', 'duplicate')") == "0")
                try expectSoundBooks(try database.connect())
            }
        }
    }

    private final class RunningWorkers: Sendable {
        private let pool: WorkerPool
        private let running: Background

        init(_ database: TestDatabase) {
            let pool = WorkerPool(connection: database.settings, schema: database.schema, settings: WorkerSettings())
            self.pool = pool
            running = Background { pool.run() }
        }

        func stop() throws {
            pool.finish()
            try running.wait()
        }
    }
}
