import Foundation
import TestSupport
import Testing

/// Runs the commands of the guides, in the order in which a reader meets them, and compares what they print.
@Suite struct GuideTests {
    @Test(
        "the commands of a guide print what it shows",
        arguments: [("order-life", 21), ("low-stock", 8), ("wrong-ids", 12), ("stock-count", 17)])
    func commands(page: String, count: Int) async throws {
        try await withDatabase { database in
            let folder = URL(fileURLWithPath: NSTemporaryDirectory() + "stockq-guide-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }
            let examples = try ProducerDocsTests.blocks("console", in: "docs/guides/\(page).md").flatMap(
                GuideExample.examples)
            #expect(examples.count == count)
            for example in examples {
                let out = try example.run(database, in: folder)
                #expect(example.isShown(by: out), "\(example.command): \(out)")
            }
        }
    }
}

/// A command of a guide and what it prints; `…` in that is anything.
struct GuideExample {
    let command: String
    private(set) var shown = ""

    /// The commands of a block: lines that begin with `$`.
    static func examples(_ block: String) -> [GuideExample] {
        var examples: [GuideExample] = []
        for line in block.split(separator: "\n") {
            if line.hasPrefix("$ ") {
                examples.append(GuideExample(command: String(line.dropFirst(2))))
            } else if !examples.isEmpty {
                examples[examples.count - 1].shown += line + "\n"
            }
        }
        return examples
    }

    /// Runs the command in a shell.
    ///
    /// - Returns: both of its outputs.
    func run(_ database: TestDatabase, in folder: URL) throws -> String {
        let programs = URL(fileURLWithPath: Program.path).deletingLastPathComponent().path
        let line = "cd \(folder.path); PATH=\(programs):$PATH; exec 2>&1; \(command)"
        return try Program(database).start(["-c", line], executable: "/bin/bash").wait().out
    }

    func isShown(by text: String) -> Bool {
        let pieces = shown.components(separatedBy: "…")
        guard pieces.count > 1 else { return shown == text }
        var rest = text[...]
        guard rest.hasPrefix(pieces[0]) else { return false }
        for piece in pieces where !piece.isEmpty && piece != "\n" {
            guard let range = rest.range(of: piece) else { return false }
            rest = rest[range.upperBound...]
        }
        return true
    }
}
