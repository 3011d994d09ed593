import Foundation
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// Jobs with a time of their own, and jobs that wait for stock.
@Suite struct WaitingTests {
    @Test func scheduledJobsRunWhenTheyAreDueAndKeepTheirTimes() async throws {
        try await withDatabase { database in
            try database.addItem("a", 100)
            try database.run(
                """
                INSERT INTO stockq.jobs (store_id, item_id, quantity, run_at)
                SELECT 's', 'a', -1, now() + i * interval '30 milliseconds' FROM generate_series(1, 20) AS i
                """)
            let pool = WorkerPool(
                connection: database.settings, schema: .standard, settings: WorkerSettings(), onEvent: { _ in })
            let ended = Background { pool.run() }
            let areDone = try eventually {
                let early = try database.rows(
                    "SELECT job_id FROM stockq.results WHERE scheduled_at > clock_timestamp()")
                #expect(early == [], "done before its time")
                return try database.value("SELECT count(*) FROM stockq.results") == "20"
            }
            pool.finish()
            try ended.wait()
            #expect(areDone)
            let late = try database.rows(
                """
                SELECT concat_ws(' ', job_id, scheduled_at, finished_at) FROM stockq.results
                WHERE finished_at > scheduled_at + \(Self.secondsLateMax) * interval '1 second'
                """)
            #expect(late == [], "at most \(Self.secondsLateMax) s late")
        }
    }

    /// One second is promised; a sanitizer, which makes everything slower, asks for more with `STOCKQ_SECONDS_LATE=…`.
    private static let secondsLateMax =
        ProcessInfo.processInfo.environment["STOCKQ_SECONDS_LATE"].flatMap { Int($0) } ?? 1

    @Test func aWaitingJobIsWokenByRisingStockInOrder() async throws {
        try await withDatabase { database in
            try database.addItem("a", 0)
            try database.enqueue(
                "item_id, quantity, on_insufficient",
                "('s', 'a', -3, 'wait'), ('s', 'a', -3, 'wait'), ('s', 'a', -1, 'wait')")
            try database.drain()
            #expect(
                try database.value("SELECT count(*) FROM stockq.jobs WHERE run_at IS NOT NULL AND waiting_quantity > 0")
                    == "3")
            #expect(
                try database.value(
                    "SELECT count(*) FROM stockq.jobs WHERE expires_at BETWEEN now() + interval '6 days' AND now() + interval '8 days'"
                )
                    == "3", "without expires_at, waiting ends after 7 days")
            // Too far off for the backoff step, so that only the rise can wake them.
            try database.run("UPDATE stockq.jobs SET run_at = now() + interval '1 hour'")
            try database.enqueue("item_id, quantity", "('s', 'a', 4)")
            try database.drain()
            // 3 fits, 3 + 3 does not; the one behind it waits for its turn.
            #expect(try database.results() == ["1 applied -3", "4 applied 4"])
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "2")
            try database.enqueue("item_id, quantity", "('s', 'a', 3)")
            try database.drain()
            #expect(
                try database.results() == [
                    "1 applied -3", "2 applied -3", "3 applied -1", "4 applied 4", "5 applied 3",
                ])
            #expect(
                try database.value("SELECT max(attempts) FROM stockq.results") == "1", "waiting uses up no attempts")
            try expectSoundBooks(database.connect())
        }
    }

    @Test func aHerdOfWaitingJobsIsWokenPieceByPiece() async throws {
        try await withDatabase { database in
            try database.addItem("a", 0)
            try database.run(
                "INSERT INTO stockq.jobs (store_id, item_id, quantity, on_insufficient) SELECT 's', 'a', -1, 'wait' FROM generate_series(1, 50)"
            )
            try database.drain()
            try database.run("UPDATE stockq.jobs SET run_at = now() + interval '1 hour'")
            try database.enqueue("item_id, quantity", "('s', 'a', 20)")
            // One poll takes in 8, so waking 20 takes three.
            try database.drain { $0.promoteWaitingJobsMax = 8 }
            #expect(try database.value("SELECT count(*), min(job_id) FROM stockq.jobs") == "30,21")
            #expect(try database.value("SELECT on_hand FROM stockq.items") == "0")
        }
    }

    @Test func aWaitingGroupWaitsAndWakesWhole() async throws {
        try await withDatabase { database in
            try database.addItem("a", 5)
            try database.addItem("b", 0)
            try database.enqueue(
                "item_id, quantity, on_insufficient, group_id",
                "('s', 'a', -1, 'reject', 'g'), ('s', 'b', -2, 'wait', 'g')")
            try database.drain()
            #expect(try database.value("SELECT count(*) FROM stockq.jobs WHERE run_at IS NOT NULL") == "2")
            #expect(
                try database.value("SELECT on_hand FROM stockq.items WHERE item_id = 'a'") == "5",
                "it holds nothing while it waits")
            try database.run("UPDATE stockq.jobs SET run_at = now() + interval '1 hour'")
            try database.enqueue("item_id, quantity", "('s', 'b', 2)")
            try database.drain()
            #expect(try database.results() == ["1 applied -1", "2 applied -2", "3 applied 2"])
        }
    }

    @Test func aJobThatWaitedTooLongIsExpired() async throws {
        try await withDatabase { database in
            try database.addItem("a", 0)
            try database.enqueue(
                "item_id, quantity, on_insufficient, expires_at",
                "('s', 'a', -1, 'wait', now() + interval '200 milliseconds')")
            let events = Events()
            let pool = WorkerPool(
                connection: database.settings, schema: .standard, settings: WorkerSettings(), onEvent: events.take)
            let ended = Background { pool.run() }
            let rejected = events.wait { $0.batch?.outcomes[.rejected] == 1 }
            pool.finish()
            try ended.wait()
            #expect(rejected)
            #expect(try database.results() == ["1 rejected expired 0"])
        }
    }

    @Test func aHeldWaitingJobDoesNotHoldTheRestockUp() async throws {
        try await withDatabase { database in
            try database.addItem("a", 0)
            try database.enqueue("item_id, quantity, on_insufficient", "('s', 'a', -1, 'wait'), ('s', 'a', -2, 'wait')")
            try database.drain()
            let holder = try database.connect()
            try holder.executeScript("BEGIN")
            try holder.executeScript("SELECT FROM stockq.jobs WHERE job_id = 1 FOR UPDATE")
            try database.enqueue("item_id, quantity", "('s', 'a', 10)")
            let events = Events()
            let pool = WorkerPool(
                connection: database.settings, schema: .standard, settings: WorkerSettings(),
                onEvent: events.take)
            let ended = Background { pool.run() }
            #expect(try eventually { try database.value("SELECT count(*) FROM stockq.results") == "2" })
            #expect(try database.results() == ["2 applied -2", "3 applied 10"])
            #expect(!events.all.contains { if case .batchFailed = $0 { true } else { false } })
            try holder.executeScript("COMMIT")
            // The held job was passed over, and comes due by itself.
            #expect(try eventually { try database.results().first == "1 applied -1" })
            pool.finish()
            try ended.wait()
        }
    }

    @Test func theProducersTimeIsKept() async throws {
        try await withDatabase { database in
            try database.addItem("a", 0)
            // A deferred line is taken along, and waits with its group; its time stays the producer's.
            try database.enqueue(
                "item_id, quantity, on_insufficient, group_id, run_at",
                "('s', 'a', -1, 'wait', 'g', NULL), ('s', 'a', -1, 'wait', 'g', '2126-01-01Z')")
            try database.drain()
            try database.enqueue("item_id, quantity", "('s', 'a', 2)")
            try database.drain()
            #expect(
                try database.rows(
                    "SELECT job_id, outcome, scheduled_at AT TIME ZONE 'UTC' FROM stockq.results ORDER BY 1") == [
                        "1,applied,", "2,applied,2126-01-01 00:00:00", "3,applied,",
                    ])
        }
    }
}
