import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

@Suite("The oracle of the fault tests") struct LedgerOracleTests {
    @Test("it reports a job that was visible, and was finished after a later one of its lane")
    func visibleJob() async throws {
        try await withDatabase { database in
            try LedgerOracle.install(in: database)
            try database.addItem("a", 10)
            try database.addItem("b", 10)
            try database.enqueue(.adjust("a", -1), .adjust("b", -1))
            let holder = try database.lockJob(1)
            let workers = database.startWorkers(drains: true)
            #expect(workers.waitForBatch { $0.finished == 1 && $0.skipped == 1 })
            try holder.executeScript("ROLLBACK")
            try workers.wait()
            let oracle = try LedgerOracle(database)
            let violations = try oracle.violations(order: .ofLanes)
            #expect(violations == ["job 1 (order of s, priority 2) was finished after job 2"])
            #expect(try oracle.violations(order: .ofItems) == [], "the jobs of each item are in order")
        }
    }

    @Test("it does not report a job that was committed after the batch of a later one had begun")
    func lateJob() async throws {
        try await withDatabase { database in
            try LedgerOracle.install(in: database)
            try database.addItem("a", 10)
            let late = try database.connect()
            try late.executeScript(
                "BEGIN; INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'a', -1)")
            try database.enqueue(.adjust("a", -2))
            try database.drain()
            try late.executeScript("COMMIT")
            try database.drain()
            let versions = try database.versionsByJob()
            #expect(versions == [1: 2, 2: 1])
            let violations = try LedgerOracle(database).violations()
            #expect(violations == [])
        }
    }
}
