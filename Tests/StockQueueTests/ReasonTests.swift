import Foundation
import StockModel
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// Which reasons jobs may have.
@Suite("Reasons of jobs") struct ReasonTests {
    private static func restrict(_ database: TestDatabase) throws {
        try database.run("SET ROLE stockq_admin; SELECT stockq.set_reasons(only_listed => true); RESET ROLE")
    }

    private static let reasons = [
        "correction", "cycle_count_available", "damaged", "movement_canceled", "movement_created", "movement_received",
        "movement_updated", "other", "promotion", "quality_control", "received", "reservation_created",
        "reservation_deleted", "reservation_updated", "restock", "safety_stock", "shrinkage",
    ]

    private static let sentence = "the reason must be one of \(reasons.joined(separator: ", ")), not "

    static let calls = [
        "SELECT stockq.enqueue('s', 'a', 1, reason => '%')",
        "SELECT stockq.enqueue_lines('s', '[{\"item_id\": \"a\", \"quantity\": 1, \"reason\": \"%\"}]')",
        "SELECT stockq.enqueue_lines('s', '[{\"item_id\": \"a\", \"quantity\": 1}]', reason => '%')",
        "SELECT stockq.enqueue_arrays('s', '{a,a}', '{1,1}', reasons => '{NULL,%}')",
        "SELECT stockq.transfer('s', 'a', 1, 'main', 'back', reason => '%')",
    ]

    @Test("any reason is allowed at first, and only those of the list if the queue says so", arguments: calls)
    func functions(call: String) async throws {
        try await withDatabase { database in
            let with = { (reason: String) in call.replacing("%", with: reason) }
            try database.run(with("too many"))
            try Self.restrict(database)
            let failure = try database.failure(of: with("too many"))
            #expect(failure.hasPrefix("22023") && failure.contains(Self.sentence + "'too many'"), "\(failure)")
            for reason in Self.reasons { try database.run(with(reason)) }
            try database.run("SELECT stockq.enqueue('s', 'a', 1)")
            try database.run("SELECT stockq.set_reasons(add => '{too many}', remove => '{other}')")
            try database.run(with("too many"))
            #expect(try database.failure(of: with("other")).contains("not 'other'"))
            try database.run("SELECT stockq.set_reasons(only_listed => false)")
            try database.run(with("other"))
        }
    }

    @Test("an INSERT, COPY and a list of the Swift client obey too") func otherWays() async throws {
        try await withDatabase { database in
            try Self.restrict(database)
            let insert = "INSERT INTO stockq.jobs (store_id, item_id, quantity, reason) VALUES ('s', 'a', 1, '%')"
            let failure = try database.failure(of: insert.replacing("%", with: "x"))
            #expect(failure.hasPrefix("23514") && failure.contains("jobs_reason_listed"), "\(failure)")
            try database.run(insert.replacing("%", with: "damaged"))
            try database.run("INSERT INTO stockq.jobs (store_id, item_id, quantity) VALUES ('s', 'a', 1)")

            var job = JobRequest(store: "s", item: "a", quantity: 1)
            let producer = Producer(connection: try database.connect(), schema: .standard)
            // The same letter, written otherwise, is another reason.
            try database.run("SELECT stockq.set_reasons(add => '{caf\u{e9}}')")
            job.reason = "cafe\u{301}"
            let error = #expect(throws: ValidationError.self) { try producer.enqueueBulk([job]) }
            #expect(error?.field == "reason" && error?.line == 1)
            #expect(throws: ValidationError.self) { try producer.dryRun([job]) }
            job.reason = "caf\u{e9}"
            #expect(try producer.enqueueBulk([job]) == 1)
        }
    }

    @Test("an import rejects a line with another reason, and enqueues the others") func lines() async throws {
        try await withDatabase { database in
            try Self.restrict(database)
            let program = Program(database)
            let input = "store_id,item_id,quantity,reason\ns,a,1,damaged\ns,a,1,broken\ns,a,1,\n"
            for options in [["--dry-run"], []] {
                let ended = try program.run(["import", "-", "--format", "csv"] + options, input: input)
                #expect(ended.code == 1 && ended.err.contains("line 3: " + Self.sentence + "'broken'"), "\(ended.err)")
            }
            #expect(
                try database.rows("SELECT coalesce(reason, 'none') FROM stockq.jobs ORDER BY job_id")
                    == ["damaged", "none"])
        }
    }

    @Test("a list of one line names the line of a reason that is not listed") func oneLine() async throws {
        try await withDatabase { database in
            try Self.restrict(database)
            let list = #"SELECT stockq.enqueue_lines('s', '[{"item_id": "a", "quantity": 1, "reason": "broken"}]')"#
            #expect(try database.failure(of: list) == "22023 line 1: " + Self.sentence + "'broken'")
        }
    }

    @Test("a stock count of an import has a reason that the queue allows", arguments: [false, true])
    func counts(isCycleCountListed: Bool) async throws {
        try await withDatabase { database in
            try database.addItem("a", 5)
            try Self.restrict(database)
            if !isCycleCountListed {
                try database.run("SELECT stockq.set_reasons(remove => '{cycle_count_available}')")
            }
            let input = "store_id,item_id,on_hand\ns,a,4\n"
            let ended = try Program(database).run(["items", "import", "-", "--set-stock"], input: input)
            #expect(ended.code == 0, "\(ended.err)")
            #expect(
                try database.value("SELECT coalesce(reason, 'none') FROM stockq.jobs")
                    == (isCycleCountListed ? "cycle_count_available" : "none"))
        }
    }

    @Test("what is queued keeps its reason through deferral, retry and a repeated request") func queued() async throws {
        try await withDatabase { database in
            try database.addItem("a", 0)
            let enqueue = """
                SELECT stockq.enqueue('s', 'a', -1, on_insufficient => 'wait', reason => 'mine', idempotency_key => 'k')
                """
            try database.run(enqueue)
            try database.run("SELECT stockq.enqueue('s', 'a', -1, reason => 'mine')")
            try Self.restrict(database)
            try database.run(enqueue)
            try database.drain()
            #expect(try database.value("SELECT count(*) FROM stockq.jobs WHERE waiting_since IS NOT NULL") == "1")
            try database.run("SELECT stockq.retry_jobs(job_ids => '{2}')")
            #expect(try database.value("SELECT count(*) FROM stockq.jobs WHERE reason = 'mine'") == "2")
        }
    }

    @Test("the command line shows and changes the list, and says what was and what is") func commands() async throws {
        try await withDatabase { database in
            let program = Program(database)
            let listed = try program.run(["reasons", "list", "--csv"])
            #expect(listed.out == "reason\n" + Self.reasons.joined(separator: "\n") + "\n")
            #expect(listed.err == "jobs may have any other reason too\n")
            let set = try program.run(["reasons", "set", "--only-listed", "--add", "gift", "--remove", "other"])
            #expect(set.out == "reasons: 17 → 17 in the list, any allowed → only these allowed\n", "\(set.err)")
            #expect(try program.run(["reasons", "list"]).err == "jobs may have only these, or none\n")
            let rejected = try program.run(["enqueue", "s", "a", "1", "--reason", "other"])
            #expect(rejected.code == 1 && rejected.err.contains("the reason must be one of correction, "))
            let unknown = try program.run(["reasons", "set", "--remove", "other"])
            #expect(unknown.code == 1 && unknown.err.contains("the list has no reason 'other'"), "\(unknown.err)")
            #expect(try program.run(["reasons", "set"]).code == 2)
            let free = try program.run(["reasons", "set", "--any"])
            #expect(free.out == "reasons: 17 → 17 in the list, only these allowed → any allowed\n")
            let operations = try program.run(["operations", "list", "--verb", "reasons set", "--csv"])
            #expect(operations.out.split(separator: "\n").count == 3)
        }
    }
}
