import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// Stock rows and jobs that somebody else holds.
@Suite struct LockedItemTests {
    @Test func aGroupWithAHeldLineKeepsItsPlace() async throws {
        try await withDatabase { database in
            for item in ["a", "b"] { try database.addItem(item, 10) }
            try database.enqueue(
                "item_id, quantity, group_id",
                "('s', 'a', -1, 'g'), ('s', 'b', -5, NULL), ('s', 'b', -1, 'g')")
            let holder = try database.connect()
            try holder.executeScript("BEGIN")
            try holder.executeScript("SELECT FROM stockq.jobs WHERE job_id = 1 FOR UPDATE")
            var settings = WorkerSettings()
            settings.batchJobsMax = 1
            let events = Events()
            let pool = WorkerPool(
                connection: database.settings, schema: .standard, settings: settings, drains: true, onEvent: events.take
            )
            let ended = Background { pool.run() }
            // Job 2 stands behind the group, which touches its item further on.
            #expect(events.wait { $0.batch?.finished == 0 && $0.batch?.skipped == 3 })
            try holder.executeScript("COMMIT")
            try ended.wait()
            #expect(
                try database.rows("SELECT job_id, version FROM stockq.results WHERE item_id = 'b' ORDER BY version")
                    == [
                        "3,1", "2,2",
                    ])
        }
    }

    @Test func jobsOfAHeldItemAreLeftAndTheOthersGoOn() async throws {
        try await withDatabase { database in
            try database.addItem("held", 10)
            try database.addItem("free", 10)
            let holder = try database.connect()
            try holder.executeScript("BEGIN")
            try holder.executeScript("UPDATE stockq.items SET updated_at = now() WHERE item_id = 'held'")
            try database.enqueue(
                "item_id, quantity",
                "('s', 'held', -1), ('s', 'free', -1), ('s', 'nowhere', -1), ('s', 'held', -2)")
            let events = Events()
            let pool = WorkerPool(
                connection: database.settings, schema: .standard, settings: WorkerSettings(), drains: true,
                onEvent: events.take)
            let ended = Background { pool.run() }
            let went = events.wait { $0.batch?.finished == 2 && $0.batch?.skipped == 2 }
            #expect(went, "two finish, two are left")
            #expect(try database.results() == ["2 applied -1", "3 rejected unknown_item 0"])
            try holder.executeScript("COMMIT")
            try ended.wait()
            #expect(
                try database.results() == [
                    "1 applied -1", "2 applied -1", "3 rejected unknown_item 0", "4 applied -2",
                ])
            #expect(
                try database.value("SELECT max(attempts) FROM stockq.results") == "1",
                "nothing is counted against a job")
        }
    }
}
