import Foundation
import StockQueuePostgres
import TestSupport
import Testing

/// What the commands do to a queue, and what they print.
@Suite struct CommandTests {
    @Test("a job goes from the queue to its result") func jobLifecycle() async throws {
        try await withDatabase { database in
            let program = Program(database)
            let items = try program.run(
                ["items", "import", "-"], input: "store_id,item_id,on_hand,low_stock_threshold\ns,a,5,2\n")
            #expect(items.out == "items: 1 created, 0 changed, 0 unchanged, 0 bad lines; import stdin-1\n")
            let enqueued = try program.run([
                "enqueue", "s", "a", "-4", "--reason", "sale", "--reference", "order 1", "--no-notify",
            ])
            #expect(enqueued.out == "1\n")
            let queued = try program.run(["result", "1"]).out
            let time = /[0-9-]{10}T[0-9:]{8}\.[0-9]+Z/
            #expect(
                queued.replacing(time, with: "T")
                    == "job 1: queued – adjust -4 of a in s\n  enqueued T\n  reference order 1, reason sale\n")
            #expect(try program.run(["run", "--drain"]).code == 0)
            #expect(
                try program.run(["result", "1"]).out.replacing(time, with: "T") == """
                    job 1: applied – adjust -4 of a in s; available 5 → 1
                      enqueued T, finished T
                      reference order 1, reason sale

                    """)
            #expect(try program.run(["result", "1", "--json"]).out.contains("\"reference\":\"order 1\""))
            #expect(try program.run(["result", "1", "77"]).code == 1)
            let shown = try program.run(["items", "show", "s", "a"])
            #expect(shown.out.contains("available  1 (low, threshold 2)"))
            #expect(shown.out.contains("5 → 1"))
            #expect(try program.run(["items", "list", "--level", "low"]).out.contains("low"))
            #expect(try program.run(["items", "show", "s", "b"]).code == 1)
            #expect(try program.run(["notifications"]).out == "", "the job was enqueued with --no-notify")
            #expect(try program.run(["stats", "--json"]).out.contains("\"applied\" : 1"))
            #expect(try program.run(["verify"]).code == 0)
            try database.run("UPDATE stockq.items SET on_hand = 99")
            let wrong = try program.run(["verify"])
            #expect(wrong.code == 1)
            #expect(wrong.out.contains("item 's' 'a' 'main': on_hand is 99 and should be 1"))
        }
    }

    @Test("result says when a queued job is worked, who caused it, and where an unknown item is") func jobDetails()
        async throws
    {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, location_id, on_hand)
                VALUES ('s', 'a', 'main', 0), ('s', 'b', 'cellar', 1), ('t', 'c', 'main', 1);
                SELECT stockq.enqueue('s', 'a', -1, run_at => now() + interval '23 hours');
                SELECT stockq.enqueue('s', 'a', -1, run_at => now() + interval '5 days 1 hour');
                SELECT stockq.enqueue('s', 'a', -1, on_insufficient => 'wait', actor => 'anna',
                    occurred_at => '2026-03-01 12:00:00Z');
                SELECT stockq.enqueue('s', 'b', -1);
                SELECT stockq.enqueue('s', 'c', -1);
                """)
            try database.drain()
            try database.run("UPDATE stockq.jobs SET run_at = now() + interval '90 seconds' WHERE job_id = 3")
            let program = Program(database)
            func result(_ job: String) throws -> String { try program.run(["result", job]).out }
            #expect(try result("1").contains(/in s, scheduled for [0-9T:.-]+Z \(in 23 h\)\n/))
            #expect(try result("2").contains(/scheduled for [0-9T:.-]+Z \(in 5 d\)\n/))
            #expect(
                try result("3").contains(/in s, waits for stock, tried again at [0-9T:.-]+Z \(in (8|9)[0-9] s\)\n/))
            #expect(try result("3").hasSuffix("\n  actor anna, occurred 2026-03-01T12:00:00.000Z\n"))
            #expect(try result("4").contains("rejected (unknown_item) – adjust -1 of b in s\n  b is at cellar\n"))
            #expect(try !result("5").contains(" is at "))
            try database.run("UPDATE stockq.jobs SET run_at = now() - interval '1 second' WHERE job_id = 1")
            #expect(try result("1").hasPrefix("job 1: queued – adjust -1 of a in s\n"))
            try database.run("SELECT stockq.pause(everything => true)")
            #expect(try result("2").contains("scheduled for"))
            #expect(try result("1").hasPrefix("job 1: queued – adjust -1 of a in s, paused\n"), "due, and not promoted")
            try database.run("UPDATE stockq.jobs SET run_at = NULL WHERE job_id = 1")
            #expect(try result("1").hasPrefix("job 1: queued – adjust -1 of a in s, paused\n"))
        }
    }

    @Test("enqueue --wait prints the result") func enqueueWaits() async throws {
        try await withDatabase { database in
            try database.run("INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 5)")
            let program = Program(database)
            let workers = try program.start(["run"])
            let applied = try program.run(["enqueue", "s", "a", "-4", "--wait"])
            #expect(applied.code == 0)
            #expect(applied.out == "job 1: applied – adjust -4 of a in s; available 5 → 1\n")
            let rejected = try program.run(["enqueue", "s", "a", "-4", "--wait"])
            #expect(rejected.code == 1)
            #expect(rejected.out == "job 2: rejected (insufficient_stock) – adjust -4 of a in s; available 1\n")
            workers.send(SIGINT)
            #expect(try workers.wait().code == 0)
            let unanswered = try program.run(["enqueue", "s", "a", "1", "--wait", "--timeout", "0s"])
            #expect(unanswered.code == 1)
            #expect(unanswered.err.contains("job 3 is enqueued and has no result after 0ms"))
        }
    }

    @Test("rejected lines can be corrected and imported again") func rejects() async throws {
        try await withDatabase { database in
            let program = Program(database)
            let rejects = NSTemporaryDirectory() + "stockq-rejects-\(UUID().uuidString).csv"
            defer { try? FileManager.default.removeItem(atPath: rejects) }
            let first = try program.run(
                ["import", "-", "--rejects", rejects], input: "store_id,item_id,quantity\ns,a,1\ns,b,two\ns,c,3\n")
            #expect(first.code == 1)
            #expect(first.err.contains("line 3: quantity must be a whole number, not 'two'"))
            #expect(first.out.hasPrefix("jobs: 3 read, 2 enqueued, 1 bad line"))
            let text = try String(contentsOfFile: rejects, encoding: .utf8)
            #expect(
                text == """
                    _line,_problem,store_id,item_id,quantity
                    3,"quantity must be a whole number, not 'two'",s,b,two

                    """)
            let again = try program.run(["import", "-"], input: text.replacingOccurrences(of: ",two", with: ",2"))
            #expect(again.code == 0)
            #expect(try database.value("SELECT sum(quantity) FROM stockq.jobs") == "6")
            #expect(try program.run(["import", "/nowhere.csv"]).err.contains("cannot open /nowhere.csv: No such file"))
            #expect(try program.run(["import", "/tmp"]).err.contains("/tmp is a folder"))
            let same = try program.run(["import", rejects, "--rejects", rejects])
            #expect(same.code == 1)
            #expect(same.err.contains("is the file that is read"))
            #expect(try String(contentsOfFile: rejects, encoding: .utf8) == text)
        }
    }

    @Test("an import whose COMMIT got no answer asks the server whether it took effect") func commitInDoubt()
        async throws
    {
        try await withDatabase { database in
            // The session ends during its second COMMIT.
            try database.run(
                """
                CREATE FUNCTION public.end_session() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    PERFORM pg_terminate_backend(pg_backend_pid());
                    RETURN NULL;
                END
                $$;
                CREATE CONSTRAINT TRIGGER end_session AFTER INSERT ON stockq.jobs DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW WHEN (NEW.item_id = 'last') EXECUTE FUNCTION public.end_session()
                """)
            let ended = try Program(database).run(
                ["import", "-", "--rows-per-commit", "2"],
                input: "store_id,item_id,quantity\ns,a,1\ns,a,2\ns,a,3\ns,last,4\n")
            #expect(ended.code == 1)
            #expect(
                ended.err.contains(
                    "import stopped: 2 jobs enqueued (through line 3); resume with --resume stdin-1"))
            #expect(try database.value("SELECT count(*) FROM stockq.jobs") == "2")
        }
    }

    @Test("notifications are followed as they are written") func notifications() async throws {
        try await withDatabase { database in
            try database.run(
                "INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold) VALUES ('s', 'a', 9, 5)")
            let program = Program(database)
            let following = try program.start(["notifications", "--follow"])
            for quantity in ["-5", "-4", "9"] { _ = try program.run(["enqueue", "s", "a", quantity]) }
            #expect(try program.run(["run", "--drain"]).code == 0)
            #expect(eventually { following.outputText.split(separator: "\n").count == 3 })
            following.send(SIGINT)
            let ended = try following.wait()
            #expect(ended.code == 0)
            #expect(
                ended.out.split(separator: "\n").map { $0.split(separator: " ")[1] } == [
                    "low_stock", "out_of_stock", "back_in_stock",
                ])
            #expect(
                try program.run(["notifications", "--since", "1h", "--json"]).out.split(separator: "\n").count == 3)
        }
    }
}
