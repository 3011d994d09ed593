import Foundation
import StockQueuePostgres
import TestSupport
import Testing

/// Commands that read for a long time, while their sessions end.
@Suite(.timeLimit(.minutes(15))) struct FollowTests {
    private static func insert(_ version: Int) -> String {
        """
        INSERT INTO stockq.notifications
            (job_id, version, available_before, available_after, kind, store_id, item_id, location_id)
        VALUES (1, \(version), 1, 1, 'restocked', 's', 'a', 'main')
        """
    }

    /// Ends the session of a command, as a restart of the server does.
    private static func endSession(_ command: String, _ database: TestDatabase) throws -> Bool {
        try eventually {
            try database.value(
                """
                SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                WHERE application_name = 'stockq \(command)' AND datname = current_database()
                """) != "0"
        }
    }

    /// Waits until a command has enqueued its job and asks for the result.
    private static func waits(_ database: TestDatabase) throws -> Bool {
        try eventually {
            try database.value(
                """
                SELECT count(*) FROM pg_stat_activity
                WHERE application_name = 'stockq enqueue' AND datname = current_database()
                    AND query LIKE '%AS has_result'
                """) == "1"
        }
    }

    private struct Line: Decodable {
        var version: Int
        var cursor: String
    }

    private static func lines(_ text: String) throws -> [Line] {
        try text.split(separator: "\n").map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
    }

    @Test("notifications are followed over a lost session, and a cursor goes on where it ended") func follow()
        async throws
    {
        try await withDatabase { database in
            let program = Program(database)
            try database.run(Self.insert(1))
            let slow = try database.connect()
            try slow.executeScript("BEGIN; \(Self.insert(2))")
            try database.run(Self.insert(3))
            let following = try program.start(["notifications", "--follow", "--json"])
            #expect(try eventually { try Self.lines(following.outputText).map(\.version) == [1] })
            #expect(try Self.endSession("notifications", database))
            try slow.executeScript("COMMIT")
            #expect(try eventually { try Self.lines(following.outputText).map(\.version) == [1, 2, 3] })
            following.send(SIGTERM)
            let ended = try following.wait()
            #expect(ended.code == 0)
            #expect(ended.err.contains("connecting again …"))
            #expect(ended.err.contains("stockq notifications: connected again\n"))
            let cursors = try Self.lines(ended.out).map(\.cursor)
            #expect(ended.err.hasSuffix("continue with --after \(cursors[2])\n"))
            let resumed = try program.run(["notifications", "--after", cursors[0], "--json"])
            #expect(try Self.lines(resumed.out).map(\.version) == [2, 3])
            let limited = try program.run(["notifications", "--after", "0", "--limit", "2"])
            #expect(limited.err == "there may be more; continue with --after \(cursors[1])\n")
            #expect(try program.run(["notifications", "--after", cursors[2]]).out == "")
        }
    }

    @Test("notifications are chosen by kind and item, the newest of them, and written as CSV") func chosen()
        async throws
    {
        try await withDatabase { database in
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold)
                VALUES ('s', 'a', 6, 5), ('s', 'b', 6, 5), ('t', 'a', 1, 5)
                """)
            for (store, item, quantity) in [
                ("s", "a", -1), ("s", "b", -1), ("s", "a", -5), ("s", "b", -5), ("t", "a", -1),
            ] as [(String, String, Int64)] {
                try database.enqueue(.adjust(item, quantity, store: store))
                try database.drain()
            }
            func shown(_ options: String...) throws -> [String] {
                try Program(database).run(["notifications", "--csv"] + options).out.split(separator: "\n").dropFirst()
                    .map {
                        $0.split(separator: ",", omittingEmptySubsequences: false)[2...6].joined(separator: ",")
                    }
            }
            let out = ["out_of_stock,s,a,main,5", "out_of_stock,s,b,main,5", "out_of_stock,t,a,main,1"]
            #expect(try shown("--kind", "out_of_stock") == out)
            #expect(try shown("--kind", "out_of_stock", "--limit", "1") == [out[2]])
            #expect(try shown("--kind", "out_of_stock", "--after", "0", "--limit", "2") == Array(out[...1]))
            #expect(try shown("--kind", "out_of_stock", "--item", "a", "--store", "s", "--since", "1h") == [out[0]])
            #expect(try shown("--item", "b") == ["low_stock,s,b,main,6", out[1]])
            #expect(try Program(database).run(["notifications", "--csv", "--json"]).code == 2)
        }
    }

    @Test("a wait for a result goes on over a lost session") func waitForResult() async throws {
        try await withDatabase { database in
            try database.run("INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 5)")
            let program = Program(database)
            let waiting = try program.start(["enqueue", "s", "a", "-4", "--wait"])
            #expect(try Self.waits(database))
            #expect(try Self.endSession("enqueue", database))
            #expect(eventually { waiting.errorText.contains("connecting again …") })
            #expect(try program.run(["run", "--drain"]).code == 0)
            let ended = try waiting.wait()
            #expect(ended.code == 0, "\(ended.err)")
            #expect(ended.out == "job 1: applied – adjust -4 of a in s; available 5 → 1\n")
            #expect(try database.value("SELECT count(*) FROM stockq.results") == "1")
        }
    }

    @Test("a wait whose server stays away names the job that was enqueued") func serverStaysAway() async throws {
        try await withDatabase { database in
            let proxy = try Proxy(to: database)
            var program = Program()
            program.environment["DATABASE_URL"] = proxy.conninfo(database: database.name)
            let waiting = try program.start(["enqueue", "s", "a", "-4", "--wait", "--timeout", "1s"])
            #expect(try Self.waits(database))
            proxy.rejectConnections(true)
            proxy.cutAll()
            let ended = try waiting.wait()
            #expect(ended.code == 1)
            #expect(ended.err.contains("enqueued: 1; the results could not be read\nstockq: "), "\(ended.err)")
        }
    }

    @Test("a wait without a connection ends at its timeout") func waitWithoutServer() async throws {
        try await withDatabase { database in
            let program = Program(database)
            let waiting = try program.start(["enqueue", "s", "a", "-4", "--wait", "--timeout", "2s"])
            #expect(try Self.waits(database))
            #expect(try Self.endSession("enqueue", database))
            let ended = try waiting.wait()
            #expect(ended.code == 1)
            #expect(ended.err.contains("job 1 is enqueued and has no result after 2s"))
        }
    }
}
