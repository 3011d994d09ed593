import Foundation
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// `--follow` of lists of jobs and of results: each row once, whatever order transactions commit in.
@Suite(.timeLimit(.minutes(15))) struct ListFollowTests {
    private static func ids(_ text: String) -> [Int] {
        text.split(separator: "\n").compactMap { line in
            line.firstMatch(of: /"job_id":([0-9]+)/).flatMap { Int($0.1) }
        }
    }

    @Test("results are followed, applied and rejected ones, each once") func results() async throws {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 5);
                SELECT stockq.enqueue('s', 'a', -1), stockq.enqueue('s', 'a', -9);
                """)
            try database.drain()
            let following = try Program(database).start(["results", "list", "--follow", "--json"])
            #expect(eventually { Self.ids(following.outputText) == [1, 2] })
            try database.run("SELECT stockq.enqueue('s', 'a', -9), stockq.enqueue('s', 'a', -2)")
            try database.drain()
            #expect(eventually { Set(Self.ids(following.outputText)) == [1, 2, 3, 4] })
            // Its results have the time of its begin, which is before that of the next ones.
            try database.run("SELECT stockq.enqueue('t', 'a', 1, run_at => now() + interval '1 day')")
            let slow = try database.connect()
            try slow.executeScript("BEGIN; SELECT stockq.cancel_jobs('{5}')")
            let workers = database.startWorkers()
            try database.run("SELECT stockq.enqueue('s', 'a', -99)")
            #expect(eventually { Set(Self.ids(following.outputText)) == [1, 2, 3, 4, 6] })
            try slow.executeScript("COMMIT")
            try workers.stop()
            #expect(eventually { Set(Self.ids(following.outputText)) == [1, 2, 3, 4, 5, 6] })
            following.send(SIGINT)
            #expect(try following.wait().code == 0)
            #expect(Self.ids(following.outputText).count == 6, "each once")
        }
    }

    @Test("only the results that the filters choose are followed") func filtered() async throws {
        try await withDatabase { database in
            try database.run(
                "INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 5), ('t', 'a', 5)")
            let following = try Program(database).start(
                ["results", "list", "--store", "s", "--outcome", "rejected", "--follow", "--csv"])
            #expect(eventually { following.outputText.hasPrefix("job_id,") })
            try database.run(
                """
                SELECT stockq.enqueue('s', 'a', -1), stockq.enqueue('t', 'a', -9), stockq.enqueue('s', 'a', -9)
                """)
            try database.drain()
            #expect(eventually { following.outputText.contains("\n3,") })
            following.send(SIGINT)
            _ = try following.wait()
            #expect(following.outputText.split(separator: "\n").count == 2)
        }
    }

    @Test("jobs are followed, also those of a transaction that commits late") func jobs() async throws {
        try await withDatabase { database in
            try database.run("SELECT stockq.enqueue('s', 'a', 1)")
            let following = try Program(database).start(["jobs", "list", "--follow", "--json"])
            #expect(eventually { Self.ids(following.outputText) == [1] })
            let slow = try database.connect()
            try slow.executeScript("BEGIN; SELECT stockq.enqueue('s', 'b', 1)")
            try database.run("SELECT stockq.enqueue('s', 'c', 1)")
            #expect(eventually { Self.ids(following.outputText) == [1, 3] })
            try slow.executeScript("COMMIT")
            #expect(eventually { Self.ids(following.outputText) == [1, 3, 2] })
            try database.run("SELECT stockq.enqueue('s', 'd', 1)")
            #expect(eventually { Self.ids(following.outputText) == [1, 3, 2, 4] })
            following.send(SIGINT)
            #expect(try following.wait().code == 0)
        }
    }

    @Test("a mark is complete when the transactions that were open have ended") func marks() {
        let at = { (second: Int64, open: Set<String>) in
            CommitMark(at: Timestamp(microsecondsSince2000: second), lastJob: second, open: open)
        }
        var marks = CommitMarks(from: at(1, ["a"]))
        #expect(marks.complete.lastJob == 1)
        marks.advance(to: at(2, ["a", "b"]))
        #expect(marks.complete.lastJob == 1)
        marks.advance(to: at(3, ["b", "c"]))
        #expect(marks.complete.lastJob == 1 && marks.complete == at(1, ["a"]))
        marks.advance(to: at(4, ["c"]))
        #expect(marks.complete.lastJob == 1, "c was open at 3")
        marks.advance(to: at(5, ["d"]))
        #expect(marks.complete.lastJob == 3)
        marks.advance(to: at(6, []))
        #expect(marks.complete.lastJob == 6)
    }
}
