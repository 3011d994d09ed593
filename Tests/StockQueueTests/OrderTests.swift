import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

@Suite("Order of jobs: groups, priorities, ids") struct OrderTests {
    @Test("a group is never split between batches", arguments: [1, 2, 3, 100])
    func groupInOneBatch(batchJobsMax: Int) async throws {
        try await withDatabase { database in
            try database.addItem("a", 10)
            try database.enqueue(
                .adjust("a", -4), .adjust("a", -3, group: "g"), .adjust("a", -1), .adjust("a", -4, group: "g"),
                .adjust("a", -1))
            try database.drain { $0.batchJobsMax = batchJobsMax }
            // The group has the position of its first line, includes its other line, and is rejected as a whole.
            #expect(
                try database.results() == [
                    .applied(1, -4), .rejected(2, .groupRejected), .applied(3, -1), .rejected(4, .insufficientStock),
                    .applied(5, -1),
                ])
        }
    }

    @Test("a group includes its deferred lines and those of lower priority")
    func groupIncludesDeferredLines() async throws {
        try await withDatabase { database in
            try database.addItem("a", 10)
            try database.enqueue(
                .adjust("a", -1, group: "g", priority: 4),
                .adjust("a", -1, group: "g", priority: 2, runAt: .after("1 day")),
                .adjust("a", -1, group: "g", priority: 1), .adjust("a", -1, priority: 2))
            try database.drain { $0.batchJobsMax = 1 }
            #expect(try database.queuedJobs() == 0)
            // The versions show the order: the whole group, in job order, at the position of its line with priority 1.
            #expect(try database.versionsByJob() == [1: 1, 2: 2, 3: 3, 4: 4])
        }
    }

    @Test("a group with a locked line is skipped as a whole") func groupWithLockedLine() async throws {
        try await withDatabase { database in
            try database.addItem("a", 10)
            try database.addItem("b", 10)
            try database.enqueue(
                .adjust("a", -1, group: "g"), .adjust("b", -1, group: "g"), .adjust("a", -1), .adjust("b", -1))
            let holder = try database.lockJob(2)
            let workers = database.startWorkers(drains: true)
            let skipped = workers.waitForBatch { $0.finished == 0 && $0.skipped == 4 }
            #expect(skipped, "all jobs are skipped: the group, and the later jobs of its items")
            try holder.executeScript("ROLLBACK")
            try workers.wait()
            #expect(try database.versionsByJob() == [1: 1, 2: 1, 3: 2, 4: 2])
        }
    }

    @Test("a higher priority goes first, and equal priorities keep the order of ids") func priorities() async throws {
        try await withDatabase { database in
            try database.addItem("a", 2)
            try database.enqueue(
                .adjust("a", -1, priority: 3), .adjust("a", -1, priority: 2), .adjust("a", -1, priority: 2),
                .adjust("a", -1, priority: 1))
            try database.drain { $0.batchJobsMax = 2 }
            #expect(
                try database.results() == [
                    .rejected(1, .insufficientStock), .applied(2, -1), .rejected(3, .insufficientStock),
                    .applied(4, -1),
                ])
        }
    }

    @Test("a stock count is applied between the jobs before and after it") func stockCount() async throws {
        try await withDatabase { database in
            try database.addItem("a", 10)
            try database.enqueue(.adjust("a", -1), .set("a", 100), .adjust("a", -1))
            try database.drain()
            #expect(try database.value("SELECT on_hand FROM stockq.items") == "99")
        }
    }
}
