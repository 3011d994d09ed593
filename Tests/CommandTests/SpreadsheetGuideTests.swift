import Foundation
import TestSupport
import Testing

/// Runs the examples of the guide to files of spreadsheets.
@Suite struct SpreadsheetGuideTests {
    private static let page = "docs/guides/spreadsheets.md"

    @Test("the commands of the guide to spreadsheets print what it shows") func commands() async throws {
        try await withDatabase { database in
            let folder = URL(fileURLWithPath: NSTemporaryDirectory() + "stockq-guide-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }
            for (name, text) in zip(["stock", "sales"], try ProducerDocsTests.blocks("csv", in: Self.page)) {
                try Data((text + "\n").utf8).write(to: folder.appendingPathComponent("\(name).csv"))
            }
            let examples = try ProducerDocsTests.blocks("console", in: Self.page).flatMap(GuideExample.examples)
            #expect(examples.count == 11)
            for example in examples {
                let out = try example.run(database, in: folder)
                #expect(example.isShown(by: out), "\(example.command): \(out)")
            }
        }
    }
}
