import Foundation
import TestSupport
import Testing

/// `stockq top` without a terminal.
@Suite("stockq top") struct TopTests {
    private static func fill(_ database: TestDatabase) throws {
        try DashboardTests.shop(database)
        try database.run(
            """
            SELECT stockq.enqueue('store ' || n % 7, 'a', -1) FROM generate_series(1, 40) AS n;
            SELECT stockq.enqueue('zurich', 'a', -1, run_at => now() + interval '1 day') FROM generate_series(1, 3);
            """)
    }

    @Test("--once prints one screen, and without a terminal nothing else works") func once() async throws {
        try await withDatabase { (database: TestDatabase) throws in
            try Self.fill(database)
            let once = try Program(database).run(["top", "--once"])
            #expect(once.code == 0, "\(once.err)")
            #expect(once.out.contains("ready 40  scheduled 4  waiting 0"))
            #expect(once.out.contains("! 40 jobs are ready. No worker is connected"))
            #expect(once.out.contains("of the newest 4: applied 3, rejected 1 (insufficient_stock 1)"))
            #expect(!once.out.contains("\u{1B}"))
            let live = try Program(database).run(["top"])
            #expect(live.code == 2)
            #expect(live.err.contains("--once"))
        }
    }
}
