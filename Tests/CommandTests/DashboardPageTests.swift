import DashboardPage
import Foundation
import StockQueue
import TestSupport
import Testing

/// The page in a browser: `Tests/Browser/dashboard.py`, with Chromium and axe-core.
@Suite("The dashboard in a browser") struct DashboardPageTests {
    @Test("the script and the style that the policy names are those of the page") func parts() throws {
        let page = String(decoding: DashboardPage.html, as: UTF8.self)
        #expect(page.components(separatedBy: "<script").count == 2)
        #expect(page.components(separatedBy: "<style").count == 2)
        #expect(page.contains("<script>\(String(decoding: DashboardPage.script, as: UTF8.self))</script>"))
        #expect(page.contains("<style>\(String(decoding: DashboardPage.style, as: UTF8.self))</style>"))
    }

    @Test(
        "on a phone and on a desktop, light and dark, by keyboard alone: no violation, no message on the console, and acts"
    ) func browser() async throws {
        try await withDatabase { (database: TestDatabase) throws in
            try DashboardTests.shop(database)
            // A name that would be a tag, if any text became HTML.
            try database.run(
                """
                SELECT stockq.enqueue('berlin', '<img src=x>', -1, reference => '<script>alert(1)</script>');
                SELECT stockq.add_subscription('hook', 'webhook', 'https://example.com/', secret => 'whsec_x');
                """)
            try database.drain { $0.deliver = false }
            let dashboard = try DashboardUnderTest(database)
            let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../..")
            let screenshots = ProcessInfo.processInfo.environment["STOCKQ_SCREENSHOTS"].map { [$0] } ?? []
            let ended = try Program().start(
                [
                    "python3", root.appendingPathComponent("Tests/Browser/dashboard.py").path, dashboard.address,
                    DashboardUnderTest.token, DashboardUnderTest.adminToken, "berlin", "mug", "3", "o",
                ] + screenshots,
                environment: ["PYTHONPATH": root.appendingPathComponent(".build/python").path],
                executable: "/usr/bin/env"
            ).wait(seconds: 400)
            #expect(ended.code == 0, "\(ended.err)")
            #expect(ended.out == "", "\(ended.out)")
            try dashboard.stop()
        }
    }
}
