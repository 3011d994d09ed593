import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

extension Faults.Content {
    /// P0001 is an exception of PL/pgSQL; 40001 and 55000 look as if another transaction was in the way.
    static let triggerEffects: [RaisingTrigger.Effect] = [
        .raises(sqlState: "P0001"), .raises(sqlState: "40001"), .raises(sqlState: "55000"), .suppresses,
    ]

    @Test(
        "a user's trigger that raises for one item, or suppresses its update, fails the jobs of that item alone",
        arguments: triggerEffects)
    func triggerRaisesForAnItem(effect: RaisingTrigger.Effect) async throws {
        try await withDatabase { database in
            let rig = try Rig(database, seed: 131, stores: 1)
            try RaisingTrigger.install(in: database)
            try RaisingTrigger.start(in: database, .items, item: "item-bad", effect)
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES
                    ('store-0', 'item-bad', 100), ('store-0', 'item-good', 100);
                INSERT INTO stockq.jobs (store_id, item_id, quantity, reference, max_attempts, group_id)
                SELECT 'store-0', CASE WHEN n % 100 = 50 THEN 'item-bad' ELSE 'item-good' END, 1,
                    CASE WHEN n % 100 = 50 THEN 'bad' WHEN n BETWEEN 149 AND 151 THEN 'its group' ELSE 'good' END, 1,
                    CASE WHEN n BETWEEN 149 AND 151 THEN 'order' END
                FROM generate_series(1, 500) AS n
                """)
            let start = Stopwatch()
            let workers = rig.startDirectWorkers()
            let finished = "SELECT count(*) FROM stockq.results WHERE reference = 'good' AND outcome = 'applied'"
            #expect(try eventually { try database.value(finished) == "493" })
            #expect(try rig.jobsFinish())
            Faults.report("493 jobs beside 5 whose trigger \(effect.testDescription) took \(start.milliseconds) ms")
            let state = if case .raises(let state) = effect { state } else { "none" }
            // Five jobs, and the two other lines of the group of one of them.
            #expect(
                try database.rows(
                    """
                    SELECT reference, count(*), coalesce(sqlstate, 'none') FROM stockq.results WHERE outcome = 'failed'
                    GROUP BY 1, 3 ORDER BY 1
                    """) == ["bad,5,\(state)", "its group,2,\(state)"])
            try RaisingTrigger.stop(in: database)
            try rig.enqueueRound(20)
            #expect(try rig.jobsFinish())
            try workers.stop()
            try rig.expectSound(order: .ofItems)
        }
    }

    /// Each row raises with a chance of 1 in 50, so that nearly every batch of 500 fails, and a work unit fails now and
    /// then.
    @Test(
        "while a user's trigger raises at random, jobs are finished, and none is lost",
        arguments: RaisingTrigger.Table.allCases)
    func triggerRaisesAtRandom(table: RaisingTrigger.Table) async throws {
        try await withDatabase { database in
            let rig = try Rig(database, seed: 137, stores: 4)
            try RaisingTrigger.install(in: database)
            try RaisingTrigger.start(in: database, table, chance: 0.02)
            let workers = rig.startDirectWorkers()
            for _ in 0..<5 { try rig.enqueueRound(100) }
            // Those whose turn to be tried again comes later are not at the head of their lane.
            let ready = "SELECT count(*) FROM stockq.jobs WHERE waiting_since IS NULL AND run_at IS NULL"
            #expect(try eventually { try database.value(ready) == "0" })
            try RaisingTrigger.stop(in: database)
            #expect(try rig.jobsFinish(seconds: 60))
            try workers.stop()
            try rig.expectSound(order: .none)
        }
    }
}
