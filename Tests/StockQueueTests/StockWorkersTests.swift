import Foundation
import StockModel
import StockQueue
import StockQueueLocking
import StockQueuePostgres
import TestSupport
import Testing

/// Workers inside an application.
@Suite("StockWorkers", .timeLimit(.minutes(15))) struct StockWorkersTests {
    /// Records what it observes.
    private final class Recorder: WorkersObserver {
        struct Events {
            var names: [String] = []
            var finished = 0
            var outcomes = OutcomeCounts()
        }

        private let events = Mutex(Events())

        var all: Events { events.withLock { $0 } }

        func workersStarted(_ event: WorkEvent.Started) { record("started") }
        func workersStopping() { record("stopping") }
        func workersStopped() { record("stopped") }

        func serviceDisconnected(_ event: WorkEvent.Disconnected) { record("disconnected \(event.service)") }

        func batchCommitted(_ event: WorkEvent.BatchCommitted) {
            events.withLock {
                $0.finished += event.finished
                $0.outcomes += event.outcomes
            }
        }

        private func record(_ name: String) { events.withLock { $0.names.append(name) } }
    }

    private static let jobs = """
        INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 10);
        INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'a', -1), ('s', 'a', -99)
        """

    @Test("run() works until its task is canceled, and the observer sees the batches")
    func runsUntilCanceled() async throws {
        try await withTestDatabase { database in
            try await onThread { try database.run(Self.jobs) }
            let observer = Recorder()
            let workers = StockWorkers(connection: database.settings, observer: observer)
            #expect(workers.status.isEmpty)
            let running = Task { try await workers.run() }
            try await onThread { #expect(eventually { observer.all.finished == 2 }) }
            #expect(observer.all.outcomes[.applied] == 1 && observer.all.outcomes[.insufficientStock] == 1)
            try await onThread {
                #expect(eventually { workers.status.allSatisfy { $0.activity == .idle } }, "\(workers.status)")
            }
            #expect(workers.status.map(\.role).contains("worker 2"))
            #expect(workers.warnings.contains { $0.hasPrefix("fsync is off") })
            running.cancel()
            try await running.value
            #expect(observer.all.names == ["started", "stopping", "stopped"])
            #expect(workers.status.allSatisfy { $0.activity == .ended })
            await #expect { try await workers.run() } throws: {
                if case QueueError.alreadyRun = $0 { true } else { false }
            }
        }
    }

    @Test("a drain ends by itself")
    func drains() async throws {
        try await withTestDatabase { database in
            try await onThread { try database.run(Self.jobs) }
            try await StockWorkers(connection: database.settings, drain: true).run()
            #expect(try database.value("SELECT count(*) FROM stockq.results") == "2")
        }
    }

    @Test("abort() rolls the batch back")
    func aborts() async throws {
        try await withTestDatabase { database in
            try await onThread { try database.run(Self.jobs) }
            var settings = WorkerSettings()
            settings.lockTimeout = .seconds(60)
            let lock = try database.connect()
            try lock.executeScript("BEGIN; UPDATE stockq.items SET updated_at = now()")
            let workers = StockWorkers(connection: database.settings, settings: settings)
            let running = Task { try await workers.run() }
            try await onThread {
                #expect(
                    eventually {
                        (try? database.value("SELECT count(*) FROM pg_locks WHERE NOT granted")) == "1"
                    })
            }
            workers.abort()
            try await running.value
            try lock.executeScript("COMMIT")
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "2")
            #expect(try database.value("SELECT count(*) FROM stockq.results") == "0")
        }
    }

    @Test("run() throws where workers must not run")
    func blocked() async throws {
        try await withTestDatabase { database in
            let unmigrated = StockWorkers(connection: database.settings, schema: try #require(QueueSchema("nowhere")))
            await #expect { try await unmigrated.run() } throws: {
                if case QueueError.schema(.notMigrated) = $0 { true } else { false }
            }
            var settings = WorkerSettings()
            settings.requireDurability = true
            let unsafe = StockWorkers(connection: database.settings, settings: settings)
            await #expect { try await unsafe.run() } throws: {
                if case QueueError.blocked(let reasons) = $0 {
                    reasons.contains { $0.hasPrefix("fsync is off") }
                } else {
                    false
                }
            }
        }
    }

    @Test("run() waits for its database, and cancellation ends the wait")
    func waitsForTheDatabase() async throws {
        try await withTestDatabase { database in
            let proxy = try Proxy(to: database)
            proxy.rejectConnections(true)
            let observer = Recorder()
            let settings = ConnectionSettings(
                conninfo: proxy.conninfo(database: database.name), applicationName: "tests")
            let workers = StockWorkers(connection: settings, observer: observer)
            let running = Task { try await workers.run() }
            try await onThread {
                #expect(eventually { observer.all.names.contains("disconnected start-up") })
            }
            running.cancel()
            try await running.value
            #expect(!observer.all.names.contains("started"))
            proxy.close()
        }
    }
}
