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
            let examples = try ProducerDocsTests.blocks("console", in: Self.page).flatMap(Self.examples)
            #expect(examples.count == 8)
            for (command, shown) in examples {
                let line = "cd \(folder.path); stockq() { \(Program.path) \"$@\"; }; exec 2>&1; \(command)"
                let ended = try Program(database).start(["-c", line], executable: "/bin/sh").wait()
                let pieces = shown.components(separatedBy: "…")
                #expect(Self.has(pieces, ended.out), "\(command): \(ended.out)")
            }
        }
    }

    /// The commands of a block and what each of them prints.
    private static func examples(_ block: String) -> [(command: String, shown: String)] {
        var examples: [(command: String, shown: String)] = []
        for line in block.split(separator: "\n") {
            if line.hasPrefix("$ ") {
                examples.append((String(line.dropFirst(2)), ""))
            } else if !examples.isEmpty {
                examples[examples.count - 1].shown += line + "\n"
            }
        }
        return examples
    }

    /// Whether a text is these pieces with anything between them.
    private static func has(_ pieces: [String], _ text: String) -> Bool {
        guard pieces.count > 1 else { return pieces == [text] }
        var rest = text[...]
        guard rest.hasPrefix(pieces[0]) else { return false }
        for piece in pieces where !piece.isEmpty && piece != "\n" {
            guard let range = rest.range(of: piece) else { return false }
            rest = rest[range.upperBound...]
        }
        return true
    }
}
