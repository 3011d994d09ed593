import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

@Suite("Items and jobs that another transaction has locked") struct LockedItemTests {
    @Test("a group with a locked line keeps its position") func lockedLineKeepsPosition() async throws {
        try await withDatabase { database in
            for item in ["a", "b"] { try database.addItem(item, 10) }
            try database.enqueue(.adjust("a", -1, group: "g"), .adjust("b", -5), .adjust("b", -1, group: "g"))
            let holder = try database.lockJob(1)
            let workers = database.startWorkers(drains: true) { $0.batchJobsMax = 1 }
            // Job 2 comes after the group, one of whose later lines has the same item.
            #expect(workers.waitForBatch { $0.finished == 0 && $0.skipped == 3 })
            try holder.executeScript("COMMIT")
            try workers.wait()
            #expect(try database.results().map(\.outcome) == [.applied, .applied, .applied])
            #expect(try database.versionsByJob() == [1: 1, 3: 1, 2: 2])
        }
    }

    @Test("jobs of a locked item are skipped, and the others are applied") func lockedItem() async throws {
        try await withDatabase { database in
            try database.addItem("locked", 10)
            try database.addItem("free", 10)
            let holder = try database.lockItem("locked")
            try database.enqueue(
                .adjust("locked", -1), .adjust("free", -1), .adjust("nowhere", -1), .adjust("locked", -2))
            let workers = database.startWorkers(drains: true)
            let skipped = workers.waitForBatch { $0.finished == 2 && $0.skipped == 2 }
            #expect(skipped, "two jobs finish, two are skipped")
            #expect(try database.results() == [.applied(2, -1), .rejected(3, .unknownItem)])
            try holder.executeScript("COMMIT")
            try workers.wait()
            #expect(
                try database.results() == [
                    .applied(1, -1), .applied(2, -1), .rejected(3, .unknownItem), .applied(4, -2),
                ])
            #expect(try database.attemptsByJob().values.max() == 1, "no attempt is counted against a skipped job")
        }
    }
}
