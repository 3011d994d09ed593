import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// A group submitted again under the keys of its lines: in whole, in part, or with another content.
@Suite("Idempotency keys of groups") struct GroupKeyTests {
    @Test("of a group that is submitted twice with the same keys while queued, one takes effect")
    func groupSubmittedTwice() async throws {
        try await withDatabase { database in
            try database.run(EnqueueSQLTests.items)
            for _ in 0..<2 {
                try database.enqueue(
                    .adjust("a", -1, group: "g", key: "k1"), .adjust("b", -1, group: "g", key: "k2"),
                    .adjust("a", -1, group: "g"))
            }
            // Two sessions at once, so that the ids of the two submissions alternate.
            let sessions = [try database.connect(), try database.connect()]
            for session in sessions { try session.executeScript("BEGIN") }
            for line: TestJob in [.adjust("a", -2, group: "h", key: "m1"), .adjust("b", -2, group: "h", key: "m2")] {
                for session in sessions { try session.enqueue(line) }
            }
            for session in sessions { try session.executeScript("COMMIT") }
            try database.drain()
            let results = try database.results()
            #expect(
                try database.rows("SELECT concat_ws(' ', group_id, quantity) FROM stockq.results ORDER BY job_id")
                    == Array(repeating: "g -1", count: 6) + Array(repeating: "h -2", count: 4))
            #expect(
                results.map(\.outcome) == [
                    .applied, .applied, .applied, .rejected, .rejected, .rejected,
                    .applied, .duplicate, .applied, .duplicate,
                ])
            #expect(
                results.map(\.code) == [
                    nil, nil, nil, .groupRejected, .groupRejected, .idempotencyMismatch, nil, nil, nil, nil,
                ])
            try expectSoundLedger(database)
        }
    }

    @Test("a group enqueued line by line gets one decision: a new line is not applied without the others")
    func lineByLine() async throws {
        try await withDatabase { database in
            try database.run(EnqueueSQLTests.items)
            func submit(_ count: Int) throws -> [String] {
                let connection = try database.connect()
                try connection.executeScript("BEGIN")
                defer { try? connection.executeScript("COMMIT") }
                return try (1...count).flatMap { line in
                    try database.rows(
                        """
                        SELECT job_id, is_duplicate
                        FROM stockq.enqueue('s', 'a', -1, idempotency_key => 'o/\(line)', group_id => 'g')
                        """, connection)
                }
            }
            #expect(try submit(2) == ["1,f", "2,f"])
            try database.drain()
            #expect(try submit(3) == ["1,t", "2,t", "5,f"])
            try database.drain()
            #expect(try submit(2) == ["1,t", "2,t"])
            try database.drain()
            #expect(
                try database.results() == [
                    .applied(1, -1), .applied(2, -1), .rejected(3, .groupRejected), .rejected(4, .groupRejected),
                    .rejected(5, .idempotencyMismatch), .duplicate(6), .duplicate(7),
                ])
        }
    }

    @Test(
        "a second submission with another content is rejected, and the first takes effect, finished or not",
        arguments: [false, true])
    func anotherContent(drainsBetween: Bool) async throws {
        try await withDatabase { database in
            try database.run(EnqueueSQLTests.items)
            func submit(_ second: Int64) throws {
                try database.enqueue(
                    .adjust("a", -1, group: "g", key: "o/1"), .adjust("b", second, group: "g", key: "o/2"))
            }
            try submit(-1)
            if drainsBetween { try database.drain() }
            try submit(-2)
            try database.drain()
            #expect(
                try database.results() == [
                    .applied(1, -1), .applied(2, -1), .rejected(3, .groupRejected), .rejected(4, .idempotencyMismatch),
                ])
            #expect(try database.firstJobIDs() == [1: nil, 2: nil, 3: 1, 4: 2])
            #expect(
                try database.rows(
                    "SELECT item_id, on_hand FROM stockq.items WHERE store_id = 's' AND location_id = 'main' ORDER BY 1"
                ) == ["a,9", "b,4"])
        }
    }

    @Test("a second submission with one line more is rejected; its new line does not join the first")
    func oneLineMore() async throws {
        try await withDatabase { database in
            try database.run(EnqueueSQLTests.items)
            let lines: [TestJob] = [
                .adjust("a", -1, group: "g", key: "o/1"), .adjust("b", -1, group: "g", key: "o/2"),
                .adjust("b", -2, group: "g", key: "o/3"),
            ]
            try database.enqueue(Array(lines.prefix(2)))
            try database.enqueue(lines)
            try database.drain()
            #expect(
                try database.results() == [
                    .applied(1, -1), .applied(2, -1), .rejected(3, .groupRejected), .rejected(4, .groupRejected),
                    .rejected(5, .idempotencyMismatch),
                ])
        }
    }

    @Test("two groups with one name and alternating ids are two groups") func oneNameTwice() async throws {
        try await withDatabase { database in
            let sessions = [try database.connect(), try database.connect()]
            for session in sessions {
                try session.executeScript("BEGIN")
                try session.enqueue(.adjust("x", 1, group: "g"))
            }
            for session in sessions {
                try session.enqueue(.adjust("x", 1, group: "g"))
                try session.executeScript("COMMIT")
                try database.drain()
            }
            #expect(
                try database.rows("SELECT count(*), count(DISTINCT job_id) FROM stockq.find_group('s', 'g')") == ["4,4"]
            )
        }
    }
}
