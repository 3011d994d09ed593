import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// What is worked off together, and in what order: groups, priorities, ids.
@Suite struct OrderTests {
    @Test(arguments: [1, 2, 3, 100]) func aGroupIsNeverCut(batchMax: Int) async throws {
        try await withDatabase { database in
            try database.addItem("a", 10)
            try database.enqueue(
                "item_id, quantity, group_id",
                "('s', 'a', -4, NULL), ('s', 'a', -3, 'g'), ('s', 'a', -1, NULL), ('s', 'a', -4, 'g'), ('s', 'a', -1, NULL)"
            )
            try database.drain { $0.batchJobsMax = batchMax }
            // The group stands at its first line, takes its other line along, and is refused whole.
            #expect(
                try database.results() == [
                    "1 applied -4", "2 rejected group_rejected 0", "3 applied -1", "4 rejected insufficient_stock 0",
                    "5 applied -1",
                ])
        }
    }

    @Test func aGroupTakesItsDeferredAndLowerLinesAlong() async throws {
        try await withDatabase { database in
            try database.addItem("a", 10)
            try database.enqueue(
                "item_id, quantity, group_id, priority, run_at",
                """
                ('s', 'a', -1, 'g', 4, NULL), ('s', 'a', -1, 'g', 2, now() + interval '1 day'),
                ('s', 'a', -1, 'g', 1, NULL), ('s', 'a', -1, NULL, 2, NULL)
                """)
            try database.drain { $0.batchJobsMax = 1 }
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "0")
            // Versions tell the order: the whole group, in job order, at the place of its priority-1 line.
            #expect(
                try database.rows("SELECT job_id, version FROM stockq.results ORDER BY version") == [
                    "1,1", "2,2", "3,3", "4,4",
                ])
        }
    }

    @Test func aGroupOfWhichSomebodyHoldsALineIsLeftWhole() async throws {
        try await withDatabase { database in
            try database.addItem("a", 10)
            try database.addItem("b", 10)
            try database.enqueue(
                "item_id, quantity, group_id",
                "('s', 'a', -1, 'g'), ('s', 'b', -1, 'g'), ('s', 'a', -1, NULL), ('s', 'b', -1, NULL)")
            let operatorSession = try database.connect()
            try operatorSession.executeScript("BEGIN")
            try operatorSession.executeScript("SELECT * FROM stockq.jobs WHERE job_id = 2 FOR UPDATE")
            let events = Events()
            let pool = WorkerPool(
                connection: database.settings, schema: .standard, settings: WorkerSettings(), drains: true,
                onEvent: events.take)
            let ended = Background { pool.run() }
            let skipped = events.wait { $0.batch?.finished == 0 && $0.batch?.skipped == 4 }
            #expect(skipped, "all jobs are skipped: the group, and the later jobs of its items")
            try operatorSession.executeScript("ROLLBACK")
            try ended.wait()
            #expect(
                try database.rows("SELECT job_id, version FROM stockq.results ORDER BY job_id") == [
                    "1,1", "2,1", "3,2", "4,2",
                ])
        }
    }

    // MARK: order

    @Test func higherPriorityGoesFirstAndIdsKeepTheOrder() async throws {
        try await withDatabase { database in
            try database.addItem("a", 2)
            try database.enqueue(
                "item_id, quantity, priority",
                "('s', 'a', -1, 3), ('s', 'a', -1, 2), ('s', 'a', -1, 2), ('s', 'a', -1, 1)")
            try database.drain { $0.batchJobsMax = 2 }
            #expect(
                try database.results() == [
                    "1 rejected insufficient_stock 0", "2 applied -1", "3 rejected insufficient_stock 0",
                    "4 applied -1",
                ])
        }
    }

    @Test func aSetLandsBetweenTheDeltasAroundIt() async throws {
        try await withDatabase { database in
            try database.addItem("a", 10)
            try database.enqueue(
                "item_id, quantity, action",
                "('s', 'a', -1, 'adjust'), ('s', 'a', 100, 'set'), ('s', 'a', -1, 'adjust')")
            try database.drain()
            #expect(try database.value("SELECT on_hand FROM stockq.items") == "99")
        }
    }
}
