import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

extension Faults.Content {
    @Test("a group of 10,000 lines is applied whole, and a job behind it soon after")
    func giantGroup() async throws {
        try await withDatabase { database in
            let rig = try Rig(database, seed: 139, stores: 1)
            try database.run(GiantGroup.itemSQL(stores: 1))
            let workers = rig.startDirectWorkers()
            #expect(try rig.enqueueGiantGroup(lines: GiantGroup.linesMax, store: 0, number: 1))
            try database.run(
                "INSERT INTO stockq.jobs (store_id, item_id, quantity, reference) VALUES ('store-0', 'giant', 1, 'next')"
            )
            let start = Stopwatch()
            #expect(
                try eventually {
                    try database.value("SELECT count(*) FROM stockq.results WHERE reference = 'next'") == "1"
                })
            Faults.report("a job behind a group of 10,000 lines was finished after \(start.milliseconds) ms")
            #expect(start.milliseconds <= 5_000)
            try workers.stop()
            #expect(
                try database.rows(
                    """
                    SELECT outcome, count(*), count(DISTINCT xmin::text) FROM stockq.results
                    WHERE group_id IS NOT NULL GROUP BY 1
                    """) == ["applied,10000,1"])
            try rig.expectSound()
        }
    }

    @Test("a group of one line more is not applied, and does not stop its lane")
    func groupAboveTheLimit() async throws {
        try await withDatabase { database in
            let rig = try Rig(database, seed: 149, stores: 1)
            try database.run(GiantGroup.itemSQL(stores: 1))
            let workers = rig.startDirectWorkers()
            let isAccepted = try rig.enqueueGiantGroup(lines: GiantGroup.linesMax + 1, store: 0, number: 1)
            try rig.enqueueRound(50)
            #expect(try rig.jobsFinish())
            try workers.stop()
            let lines = try database.rows(
                "SELECT outcome, count(*) FROM stockq.results WHERE group_id LIKE 'giant%' GROUP BY 1")
            if isAccepted {
                #expect(lines == ["failed,10001"] || lines == ["rejected,10001"])
            } else {
                #expect(lines == [])
            }
            try rig.expectSound()
        }
    }
}
