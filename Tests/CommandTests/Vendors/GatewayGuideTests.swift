import Foundation
import TestSupport
import Testing

/// The requests and answers in the pages of the gateway, as they are.
@Suite struct GatewayGuideTests {
    static let docs = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../../../docs")

    /// The blocks of a page in one language.
    static func blocks(_ page: String, _ language: String) throws -> [String] {
        try String(contentsOf: docs.appendingPathComponent(page), encoding: .utf8)
            .components(separatedBy: "```\(language)\n").dropFirst().map { $0.components(separatedBy: "```")[0] }
    }

    @Test(
        "the calls of a vendor's page get the answers that it shows",
        arguments: [("ecwid", 5), ("prosperna", 2), ("elastic-path", 5)])
    func page(name: String, count: Int) async throws {
        try await withDatabase { (database: TestDatabase) throws in
            let shop = try ServeCommandTests.Shop(database)
            try database.run(
                """
                INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES
                    ('1003', 'shirt-m', 15), ('1003', 'shirt-l', 15)
                """)
            let client = try Program(database).run([
                "clients", "create", "sdk", "--store", "1003", "--scope", "update_catalog", "--json",
            ])
            let environment = [
                "TOKEN": shop.token, "CLIENT_ID": try ServeCommandTests.Shop.member("client_id", of: client),
                "CLIENT_SECRET": try ServeCommandTests.Shop.member("client_secret", of: client),
            ]
            let blocks = try Self.blocks("guides/\(name).md", "console")
            #expect(blocks.count == count)
            for block in blocks {
                let lines = block.components(separatedBy: "\n")
                let command = lines.filter { $0.hasPrefix("$ ") || $0.hasPrefix("    ") }.joined(separator: "\n")
                    .dropFirst(2).replacingOccurrences(of: "127.0.0.1:8080", with: shop.address)
                let ended = try Program().start(
                    ["-c", command], environment: environment, executable: "/bin/sh"
                ).wait()
                let shown = lines.filter { !$0.isEmpty && !$0.hasPrefix("$ ") && !$0.hasPrefix("    ") }.joined()
                #expect(ended.code == 0 && Self.matches(ended.out, shown), "\(command): \(ended)")
            }
            try shop.stop()
        }
    }

    /// Whether a text is what a page shows. `…` matches anything.
    private static func matches(_ text: String, _ shown: String) -> Bool {
        let pieces = shown.components(separatedBy: "…")
        var rest = text[...]
        guard rest.hasPrefix(pieces[0]) else { return false }
        for piece in pieces where !piece.isEmpty {
            guard let range = rest.range(of: piece) else { return false }
            rest = rest[range.upperBound...]
        }
        return pieces.last?.isEmpty == true || rest.isEmpty
    }
}
