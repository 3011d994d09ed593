import Foundation
import StockQueuePostgres
import TestSupport
import Testing

/// What signals do to `stockq run`.
@Suite struct SignalTests {
    @Test("a signal right after the start is not lost") func earlySignal() async throws {
        try await withDatabase { database in
            for _ in 1...8 {
                let running = try Program(database).start(["run"])
                #expect(eventually { running.errorText.contains("event=started") })
                let deadline = Deadline.after(milliseconds: 5_000)
                running.send(SIGTERM)
                #expect(try running.wait().code == 0)
                #expect(!deadline.hasPassed)
            }
        }
    }

    private static func fill(_ database: TestDatabase, jobs: Int) throws {
        try database.run(
            """
            INSERT INTO stockq.items (store_id, item_id, on_hand) SELECT 's' || i % 8, 'a' || i, 1000000 FROM generate_series(1, 200) AS i;
            INSERT INTO stockq.jobs (store_id, item_id, quantity) SELECT 's' || i % 8, 'a' || 1 + (i - 1) % 200, -1 FROM generate_series(1, \(jobs)) AS i;
            """)
    }

    @Test("SIGTERM finishes the batch and keeps the other jobs queued") func termination() async throws {
        try await withDatabase { database in
            try Self.fill(database, jobs: 60_000)
            let program = Program(database)
            let running = try program.start(["run", "--drain", "--batch-max", "100"])
            #expect(try eventually { try database.value("SELECT count(*) > 500 FROM stockq.results") == "t" })
            let deadline = Deadline.after(milliseconds: 5_000)
            running.send(SIGTERM)
            let ended = try running.wait()
            #expect(!deadline.hasPassed)
            #expect(ended.code == 0, "\(ended.err)")
            #expect(
                try database.value("SELECT count(*) > 0 FROM stockq.jobs") == "t",
                "it was stopped before the queue was empty")
            #expect(try program.run(["run", "--drain"]).code == 0)
            #expect(try database.value("SELECT count(*), sum(applied_quantity) FROM stockq.results") == "60000,-60000")
            #expect(try program.run(["verify"]).code == 0)
        }
    }

    @Test("SIGKILL loses nothing") func kill() async throws {
        try await withDatabase { database in
            try Self.fill(database, jobs: 60_000)
            let program = Program(database)
            for round in 1...4 {
                let running = try program.start(["run", "--drain", "--batch-max", "200"])
                let resultsMin = round * 3_000
                #expect(
                    try eventually { try database.value("SELECT count(*) > \(resultsMin) FROM stockq.results") == "t" })
                running.send(SIGKILL)
                #expect(try running.wait().code == -SIGKILL)
            }
            #expect(try program.run(["run", "--drain"]).code == 0)
            #expect(try database.value("SELECT count(*), sum(applied_quantity) FROM stockq.results") == "60000,-60000")
            #expect(try program.run(["verify"]).code == 0)
        }
    }

    @Test("a second signal rolls the batch back") func secondSignal() async throws {
        try await withDatabase { database in
            try Self.fill(database, jobs: 10)
            // The write-back waits for this lock until its statement timeout, far longer than the test.
            let blocker = try database.connect()
            try blocker.executeScript("BEGIN")
            try blocker.executeScript("LOCK TABLE stockq.results IN ACCESS EXCLUSIVE MODE")
            let running = try Program(database).start([
                "run", "--set", "lockTimeout=60000ms", "--set", "stopTimeout=60000ms",
            ])
            #expect(
                try eventually {
                    try database.value(
                        """
                        SELECT count(*) > 0 FROM pg_stat_activity
                        WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'INSERT INTO%.results %'
                        """) == "t"
                })
            running.send(SIGTERM)
            #expect(eventually { running.errorText.contains("event=stopping") })
            let deadline = Deadline.after(milliseconds: 3_000)
            running.send(SIGTERM)
            let ended = try running.wait()
            #expect(!deadline.hasPassed)
            #expect(ended.code == 1, "the batch was rolled back")
            try blocker.executeScript("ROLLBACK")
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "10")
        }
    }
}
