import Foundation
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

extension Faults.Content {
    // MARK: bad jobs

    @Test("one bad job among 500 fails alone, and the others are applied within a second")
    func oneBadJob() async throws {
        try await withDatabase { database in
            let rig = try Rig(database, seed: 103, stores: 1)
            try database.run("ALTER TABLE stockq.results ADD CONSTRAINT no_bad CHECK (reference <> 'bad')")
            try database.run(
                """
                INSERT INTO stockq.jobs (store_id, item_id, quantity, reference, max_attempts)
                SELECT 'store-0', 'item-' || n % 5, 1, CASE WHEN n = 250 THEN 'bad' ELSE 'good' END, 2
                FROM generate_series(1, 500) AS n
                """)
            let start = Stopwatch()
            let workers = rig.startDirectWorkers()
            #expect(
                try eventually {
                    try database.value("SELECT count(*) FROM stockq.results WHERE reference = 'good'") == "499"
                })
            let took = start.milliseconds
            Faults.report("499 jobs beside a bad one took \(took) ms")
            #expect(took < (Faults.isSanitized ? 10_000 : 1_000))
            // The failed result violates the constraint too, so the job is kept as text.
            #expect(
                try eventually {
                    try database.value(
                        "SELECT count(*) FROM stockq.results WHERE outcome = 'failed' AND message LIKE '%bad%'")
                        == "1"
                })
            try workers.stop()
            #expect(try database.value("SELECT attempts FROM stockq.results WHERE outcome = 'failed'") == "2")
            try database.run("UPDATE audit.jobs SET reference = NULL WHERE reference = 'bad'")
            try rig.expectSound(order: .none)
        }
    }

    /// The job is deferred again and again.
    @Test("a job whose result cannot be written in any form does not stop its lane")
    func unwritableResult() async throws {
        try await withDatabase { database in
            let rig = try Rig(database, seed: 107, stores: 1)
            try database.run("ALTER TABLE stockq.results ADD CONSTRAINT no_bad CHECK (item_id <> 'bad')")
            try database.run(
                """
                INSERT INTO stockq.jobs (store_id, item_id, quantity, max_attempts)
                VALUES ('store-0', 'bad', 1, 1), ('store-0', 'item-1', 1, 1)
                """)
            let workers = rig.startDirectWorkers()
            #expect(try eventually { try database.resultCount() == 1 })
            #expect(
                try eventually {
                    try database.value("SELECT attempts, last_error IS NOT NULL FROM stockq.jobs") == "1,t"
                })
            try rig.enqueueRound(20)
            #expect(
                try eventually {
                    try database.value("SELECT count(*) FROM stockq.jobs WHERE waiting_since IS NULL") == "1"
                })
            try database.run(
                "ALTER TABLE stockq.results DROP CONSTRAINT no_bad; UPDATE stockq.jobs SET run_at = NULL WHERE item_id = 'bad'"
            )
            #expect(try rig.jobsFinish())
            try workers.stop()
            try rig.expectSound(order: .none)
        }
    }

    // MARK: clocks

    /// The worker's clock is a day wrong, or daylight saving time begins or ends.
    @Test(
        "times come from the database's clock, whatever the worker's clock",
        .enabled(if: Faults.clockLibrary != nil, "needs libfaketime, with which a sanitizer hangs"),
        arguments: ["+1d", "-1d", "@2026-03-29 00:59:59", "@2026-10-25 00:59:59"])
    func wrongClock(_ clock: String) async throws {
        try await withDatabase { database in
            let rig = try Rig(database, seed: 109, stores: 2)
            try database.run("ALTER DATABASE \(database.name) SET timezone = 'Europe/Berlin'")
            var program = Program(database)
            program.environment["LD_PRELOAD"] = Faults.clockLibrary
            program.environment["FAKETIME"] = clock
            program.environment["FAKETIME_DONT_FAKE_MONOTONIC"] = "1"
            program.environment["TZ"] = "Europe/Berlin"
            // Started by a shell: the library loses the arguments of a process that is started with it directly.
            let running = try program.start(["-c", "exec \(Program.path) run"], executable: "/bin/sh")
            try rig.enqueueRound(30)
            try database.run(
                """
                INSERT INTO stockq.jobs (store_id, item_id, quantity, run_at, expires_at, reference) VALUES
                    ('store-0', 'item-1', 1, now() + interval '1 second', now() + interval '1 hour', 'soon'),
                    ('store-0', 'item-1', 1, now() + interval '12 hours', NULL, 'tomorrow'),
                    ('store-0', 'item-1', 1, NULL, now() + interval '12 hours', 'now')
                """)
            #expect(
                try eventually {
                    try database.value("SELECT count(*) FROM stockq.results WHERE reference = 'soon'") == "1"
                })
            #expect(
                try database.value(
                    """
                    SELECT max(finished_at - scheduled_at) BETWEEN '0' AND interval '1.5 seconds'
                    FROM stockq.results WHERE reference = 'soon'
                    """) == "t")
            #expect(
                try eventually {
                    try database.value("SELECT count(*) FROM stockq.jobs WHERE waiting_since IS NULL") == "1"
                })
            running.send(SIGTERM)
            let ended = try running.wait()
            #expect(ended.code == 0, "\(ended.err)")
            #expect(
                try database.value("SELECT reference FROM stockq.jobs WHERE waiting_since IS NULL") == "tomorrow")
            #expect(try database.value("SELECT outcome FROM stockq.results WHERE reference = 'now'") != "")
            try database.run("UPDATE stockq.jobs SET run_at = NULL WHERE reference = 'tomorrow'")
            try rig.expectSound(order: .none)
        }
    }
}
